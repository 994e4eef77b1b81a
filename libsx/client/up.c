/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The frame of an upload: start, event loop, end.  See up.h.
 */
#include "libsx/client/up.h"

#include <string.h>

#include "libsx/base/clock.h"
#include "libsx/base/wire.h"
#include "libsx/client/list.h"

#define STEP_MS 200u

void up_chunks_init(struct up_chunks *l)
{
    memset(l, 0, sizeof *l);
    l->tail = &l->head;
}

void up_chunks_add(struct up_chunks *l, struct up_chunk *c)
{
    c->next = NULL;
    *l->tail = c;
    l->tail = &c->next;
    l->n++;
    l->bytes += c->len;
}

struct up_chunk *up_chunks_take(struct up_chunks *l)
{
    struct up_chunk *c = l->head;

    if (!c)
        return NULL;
    l->head = c->next;
    if (!l->head)
        l->tail = &l->head;
    l->n--;
    l->bytes -= c->len;
    return c;
}

/* A stream's chunk: gives back its slab; the file may now be finished. */
void up_chunk_free(struct up_chunk *c)
{
    struct up_file *f = c->file;

    if (c->slab)
        up_slab_release(f->u, c->slab);
    if (f->whole)
        return; /* part of the file's own array */
    f->alive--;
    free(c);
}

void up_known_add(struct up *u, const struct sx_id *id, uint64_t lease)
{
    struct up_known *k = &u->known[sx_get_u32(id->b + 4) % UP_KNOWN];

    k->id = *id;
    k->lease = lease;
    k->at_ms = sx_mono_ms();
}

void up_known_drop(struct up *u, const struct sx_id *id)
{
    struct up_known *k = &u->known[sx_get_u32(id->b + 4) % UP_KNOWN];

    if (sx_id_cmp(&k->id, id) == 0)
        k->at_ms = 0;
}

/* ---- The end of a file --------------------------------------------------------------------- */

void up_file_fail(struct up_file *f, const struct sx_err *why)
{
    if (f->failed)
        return;
    f->err = *why;
    f->failed = true;
}

static void free_parts(struct up_file *f)
{
    while (f->parts) {
        struct up_part *p = f->parts;

        f->parts = p->next;
        free(p);
    }
}

static void give_up_upload_done(void *arg, struct sx_call *c)
{
    sx_call_fini(c);
    free(c);
}

/* What was sent in parts is of no use; the cluster would forget it by itself, later. */
static void give_up_upload(struct up_file *f)
{
    static struct sx_buf nowhere = SX_BUF_INIT;
    struct sx_call *c = sx_calloc(1, sizeof *c);

    sx_call_init(c, "DELETE", sx_api_path("uploads", f->upload, NULL));
    c->once = true;
    c->answer = &nowhere;
    c->done = give_up_upload_done;
    sx_call_start(f->u->x.k, c);
}

static void file_free(struct up_file *f)
{
    struct up *u = f->u;

    if (f->failed && *f->upload && !u->x.stop)
        give_up_upload(f);
    pthread_mutex_lock(&u->lock);
    if (f->whole)
        u->whole_bytes -= f->held;
    u->files_open--;
    pthread_cond_signal(&u->room);
    pthread_mutex_unlock(&u->lock);
    if (f->fd > 0)
        close(f->fd);
    sx_call_fini(&f->call);
    sx_buf_fini(&f->head);
    sx_buf_fini(&f->answer);
    sx_buf_fini(&f->entries);
    sx_buf_fini(&f->records);
    sx_sha_free(f->sha);
    free_parts(f);
    free(f->content);
    free(f->chunks);
    free(f->name);
    free(f->path);
    free(f);
}

static bool in_use(const struct up_file *f)
{
    if (f->whole)
        return f->calling || f->n_asked > 0;
    return f->calling || f->alive > 0 || !f->ended || f->hashed < f->total;
}

void up_file_release(struct up_file *f)
{
    if (in_use(f))
        return;
    if (!f->whole) {
        struct up_file **p = &f->u->streams;

        while (*p && *p != f)
            p = &(*p)->next_stream;
        if (*p)
            *p = f->next_stream;
    }
    if (f->failed && !f->noted)
        sx_xfer_note(&f->u->x, SX_NOTE_FAILED, f->name, f->size, &f->err);
    file_free(f);
}

void up_file_copied(struct up_file *f)
{
    f->noted = true;
    sx_xfer_note(&f->u->x, SX_NOTE_COPIED, f->name, f->size, NULL);
    up_file_release(f);
}

/* ---- Start, loop, end ---------------------------------------------------------------------- */

static void source_ended(struct sx_job *j)
{
    struct up *u = (struct up *)((char *)j - offsetof(struct up, source_end));

    u->source_ended = true;
    u->x.walking = false;
}

static bool busy(const struct up *u)
{
    return !u->source_ended || u->files_open > 0 || u->x.k->calls > 0 ||
           sx_work_pending(u->x.work) > 0;
}

/* Not longer than until `due`, but a moment if that could not be done when it was. */
static unsigned until(unsigned most, uint64_t due, uint64_t now)
{
    if (now >= due)
        return 1;
    return due - now < most ? (unsigned)(due - now) : most;
}

/* Waits no longer than until what was gathered so far should be sent. */
static unsigned step_time(const struct up *u)
{
    uint64_t now = sx_mono_ms();
    unsigned ms = STEP_MS;

    if (u->to_ask.head)
        ms = until(ms, u->ask_since_ms + UP_ASK_MS, now);
    if (u->ready && up_put_room(u))
        ms = until(ms, u->ready_since_ms + UP_PUT_MS, now);
    return ms;
}

/* After a failure of the whole: what is in flight is canceled, what waits is let go. */
static void drain(struct up *u)
{
    struct up_chunk *c;

    sx_cluster_stop(u->x.k);
    up_gather_flush(u, &u->to_encode);
    while ((c = up_chunks_take(&u->to_ask)) || (c = up_chunks_take(&u->missing))) {
        struct up_file *f = c->file;

        up_file_fail(f, &u->x.err);
        if (f->whole)
            f->n_asked--;
        up_chunk_free(c);
        up_file_release(f);
    }
    for (struct up_file *f = u->streams, *next; f; f = next) {
        next = f->next_stream;
        up_file_fail(f, &u->x.err);
        up_file_release(f);
    }
    for (struct up_file *f = up_put_take(u); f; f = up_put_take(u)) {
        up_file_fail(f, &u->x.err);
        up_file_release(f);
    }
    pthread_mutex_lock(&u->lock);
    pthread_cond_broadcast(&u->room);
    pthread_mutex_unlock(&u->lock);
}

static void loop(struct up *u)
{
    while (busy(u)) {
        if (u->x.stop) {
            drain(u);
            sx_xfer_step(&u->x, 10);
            continue;
        }
        up_put_start(u);
        up_flush(u);
        up_stream_renew(u);
        sx_xfer_step(&u->x, step_time(u));
    }
}

static int take_volume(void *arg, const struct sx_volume_info *v)
{
    struct up *u = arg;
    struct sx_err e = SX_ERR_INIT;

    u->replica = v->replica;
    if (sx_codec_parse(v->compression, &u->codec, &e))
        u->codec = SX_CODEC_NONE;
    return 0;
}

static void free_all(struct up *u)
{
    while (u->free_slabs) {
        struct up_slab *s = u->free_slabs;

        u->free_slabs = s->next;
        free(s->data);
        free(s);
    }
    while (u->free_batches) {
        struct up_batch *b = u->free_batches;

        u->free_batches = b->next;
        sx_buf_fini(&b->body);
        sx_buf_fini(&b->answer);
        free(b);
    }
    up_put_free_all(u);
    sx_page_free(u->page.ready);
    free(u->page.prefix);
    free(u->page.after);
    sx_buf_fini(&u->page.answer);
    free(u->known);
    pthread_mutex_destroy(&u->lock);
    pthread_cond_destroy(&u->room);
}

int sx_upload(struct sx_cluster *k, const char *volume, const struct up_source_item *items,
              size_t n,
              const struct sx_copy_options *o, struct sx_copy_stats *stats, struct sx_err *e)
{
    struct up u = { .volume = volume, .items = items, .n_items = n };

    if (sx_volume_get(k, volume, take_volume, &u, e))
        return -1;
    sx_xfer_init(&u.x, k, o, stats, UP_BATCH_BYTES, UP_BATCHES);
    sx_chunker_init(&u.chunker, k->chunk_min, k->chunk_avg, k->chunk_max);
    pthread_mutex_init(&u.lock, NULL);
    pthread_cond_init(&u.room, NULL);
    up_chunks_init(&u.to_ask);
    up_chunks_init(&u.missing);
    u.ready_tail = &u.ready;
    u.to_hash.work = up_whole_hash;
    u.to_hash.done = up_whole_hashed;
    u.to_encode.work = up_whole_encode;
    u.to_encode.done = up_whole_encoded;
    u.known = sx_calloc(UP_KNOWN, sizeof *u.known);
    u.source_end.done = source_ended;
    sx_assert(pthread_create(&u.source, NULL, up_source_run, &u) == 0);
    loop(&u);
    pthread_join(u.source, NULL);
    free_all(&u);
    return sx_xfer_fini(&u.x, e);
}
