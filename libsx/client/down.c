/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The frame of a download: which files, event loop, end.  See down.h.
 */
#include "libsx/client/down.h"

#include <string.h>

#include "libsx/base/clock.h"

#define STEP_MS 100u

/* ---- A file's beginning and end ------------------------------------------------------------ */

void down_file_start(struct down *d, const struct down_item *item, const struct sx_file_info *info,
                     char *local)
{
    struct down_file *f = sx_calloc(1, sizeof *f);

    f->d = d;
    f->path = sx_strdup(info ? info->path : item->path);
    f->local = local;
    f->shown = f->local ? f->local : f->path;
    f->size = info ? info->size : 0;
    f->fd = f->old_fd = -1;
    f->refresh = UINT64_MAX;
    f->small = !info || info->size <= DOWN_SMALL_MAX;
    f->budget = !info ? DOWN_SMALL_MAX : f->small ? info->size : 0;
    d->x.files_known++;
    d->x.bytes_known += f->size;
    if (f->small) {
        d->small_files++;
        d->small_bytes += f->budget;
    } else {
        d->streams++;
    }
    f->next = d->files;
    f->prev = &d->files;
    if (f->next)
        f->next->prev = &f->next;
    d->files = f;
    /* In order, one after the other, or of unknown size: alone. */
    if (info && f->small && f->local)
        down_get_add(f);
    else
        down_file_fetch(f);
}

void down_file_free(struct down_file *f)
{
    struct down *d = f->d;

    *f->prev = f->next;
    if (f->next)
        f->next->prev = f->prev;
    if (f->small) {
        d->small_files--;
        d->small_bytes -= f->budget;
    } else {
        d->streams--;
    }
    for (uint64_t i = 0; i < f->n; i++)
        free(f->entries[i].plain);
    free(f->entries);
    sx_sha_free(f->sha);
    sx_buf_fini(&f->answer);
    sx_buf_fini(&f->whole);
    free(f->path);
    free(f->local);
    free(f);
}

void down_file_end(struct down_file *f, const struct sx_err *why)
{
    /* What a stream has got so far stays for the next attempt. */
    down_target_drop(f, f->streaming);
    sx_xfer_note(&f->d->x, why ? SX_NOTE_FAILED : SX_NOTE_COPIED, f->shown, f->size, why);
    down_file_free(f);
}

/* ---- What is next -------------------------------------------------------------------------- */

static bool room(const struct down *d)
{
    if (!d->sink)
        return d->streams < DOWN_STREAMS && d->small_files < DOWN_SMALL_FILES &&
               d->small_bytes < DOWN_SMALL_BUDGET;
    return !d->files; /* in order, one after the other */
}

static void refuse(struct down *d, const char *name, const struct sx_err *why)
{
    d->x.files_known++;
    sx_xfer_note(&d->x, SX_NOTE_FAILED, name, 0, why);
}

static void one_of_tree(struct down *d, const struct down_item *it, const struct sx_file_info *f)
{
    const char *rel = f->path + strlen(it->path);
    struct sx_err e = SX_ERR_INIT;
    char *local;

    /* A server must not lead us out of the directory. */
    if (sx_name_path_check(f->path, &e) || sx_name_path_check(rel, &e)) {
        refuse(d, f->path, &e);
        return;
    }
    if (!sx_filter_wants(d->x.o, rel, false)) {
        sx_xfer_note(&d->x, SX_NOTE_SKIPPED, f->path, f->size, NULL);
        return;
    }
    local = it->local ? sx_asprintf("%s/%s", it->local, rel) : NULL;
    if (local && !d->fresh && down_target_unchanged(local, f)) {
        d->x.files_known++;
        d->x.bytes_known += f->size;
        sx_xfer_note(&d->x, SX_NOTE_UNCHANGED, local, f->size, NULL);
        free(local);
        return;
    }
    down_file_start(d, it, f, local);
}

/* Directories that a filter excludes are passed over file by file: a parent of `rel` decides. */
static bool excluded_above(const struct down *d, const char *rel)
{
    SX_AUTO_FREE char *copy = sx_strdup(rel);

    for (char *p = strchr(copy, '/'); p; p = strchr(p + 1, '/')) {
        bool wanted;

        *p = '\0';
        wanted = sx_filter_wants(d->x.o, copy, true);
        *p = '/';
        if (!wanted)
            return true;
    }
    return false;
}

static void tree_next(struct down *d, const struct down_item *it)
{
    const struct sx_list_options lo = { .prefix = it->path, .recursive = true };
    struct sx_err e = SX_ERR_INIT;
    struct sx_file_info f;
    int r = 0;

    if (!d->listing) {
        d->fresh = it->local && down_target_nothing(it->local);
        r = sx_list_open(d->x.k, d->volume, &lo, &d->listing, &e);
    }
    if (r == 0)
        r = sx_list_next(d->listing, &f, &e);
    if (r == 1) {
        if (d->x.o->n_filters && excluded_above(d, f.path + strlen(it->path)))
            sx_xfer_note(&d->x, SX_NOTE_SKIPPED, f.path, f.size, NULL);
        else
            one_of_tree(d, it, &f);
        return;
    }
    if (r < 0)
        sx_xfer_fail(&d->x, &e);
    sx_list_free(SX_STEAL(d->listing));
    d->item++;
}

struct single {
    struct down *d;
    const struct down_item *it;
};

/* A named file: what is known of it tells whether it is here already. */
static int single_known(void *arg, const struct sx_file_info *f)
{
    const struct single *s = arg;

    if (s->it->local && down_target_unchanged(s->it->local, f)) {
        s->d->x.files_known++;
        s->d->x.bytes_known += f->size;
        sx_xfer_note(&s->d->x, SX_NOTE_UNCHANGED, s->it->local, f->size, NULL);
        return 0;
    }
    down_file_start(s->d, s->it, f, s->it->local ? sx_strdup(s->it->local) : NULL);
    return 0;
}

static void single_next(struct down *d, const struct down_item *it)
{
    struct single s = { d, it };
    struct sx_err e = SX_ERR_INIT;

    d->item++;
    if (it->local && access(it->local, F_OK) == 0) {
        if (sx_stat(d->x.k, d->volume, it->path, single_known, &s, &e))
            refuse(d, it->path, &e);
        return;
    }
    down_file_start(d, it, NULL, it->local ? sx_strdup(it->local) : NULL);
}

static void feed(struct down *d)
{
    while (!d->fed && !d->x.stop && room(d)) {
        const struct down_item *it = &d->items[d->item];

        if (d->item == d->n_items) {
            d->fed = true;
            d->x.walking = false;
        } else if (it->tree) {
            tree_next(d, it);
        } else {
            single_next(d, it);
        }
    }
    if (d->gathered && d->x.stop)
        down_get_drop(d);
    else if (d->gathered && (d->fed || d->gets == 0))
        down_get_flush(d);
}

/* ---- Loop ---------------------------------------------------------------------------------- */

/* Streams also move by time: a block that was missing is asked for again. */
static void step_streams(struct down *d)
{
    struct down_file *next;

    for (struct down_file *f = d->files; f; f = next) {
        next = f->next;
        if (f->streaming && !f->finishing)
            down_file_step(f);
    }
}

static bool busy(const struct down *d)
{
    return (!d->fed && !d->x.stop) || d->files || d->x.k->calls > 0 ||
           sx_work_pending(d->x.work) > 0;
}

static void loop(struct down *d)
{
    bool stopped = false;

    while (busy(d)) {
        if (d->x.stop && !stopped) {
            stopped = true;
            sx_cluster_stop(d->x.k);
        }
        feed(d);
        if (!busy(d))
            break; /* there was nothing left to feed: nothing to wait for */
        sx_xfer_step(&d->x, STEP_MS);
        step_streams(d);
    }
}

static int take_volume(void *arg, const struct sx_volume_info *v)
{
    ((struct down *)arg)->replica = v->replica;
    return 0;
}

int sx_download(struct sx_cluster *k, const char *volume, const struct down_item *items, size_t n,
                down_sink_fn *sink, void *sink_arg, const struct sx_copy_options *o,
                struct sx_copy_stats *stats, struct sx_err *e)
{
    struct down d = { .volume = volume, .items = items, .n_items = n, .sink = sink,
                      .sink_arg = sink_arg };

    if (sx_volume_get(k, volume, take_volume, &d, e))
        return -1;
    sx_xfer_init(&d.x, k, o, stats, DOWN_GROUP_BYTES, DOWN_GROUPS);
    loop(&d);
    sx_list_free(d.listing);
    down_get_free_all(&d);
    down_groups_free_all(&d);
    return sx_xfer_fini(&d.x, e);
}
