/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The log in use.  What is appended is coded at once to its place in a segment and kept as
 * "chunks"; a sync takes the chunks and writes them.  The index in memory says where each entry of
 * each group lies; it runs ahead of the disk by what the chunks hold.
 */
#include "fcgi/meta/raft/wal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "fcgi/meta/raft/wal_int.h"
#include "libsx/base/mem.h"

#define ZEROES (1u << 20)

/* ---- index ---- */

struct sx_wal_group *sx_wal_group_get(struct sx_wal *w, uint32_t group)
{
    unsigned i = 0;

    while (i < w->n_groups && w->group[i].group < group)
        i++;
    if (i < w->n_groups && w->group[i].group == group)
        return &w->group[i];
    if (w->n_groups == SX_WAL_GROUPS_MAX)
        return NULL;
    w->group = sx_realloc(w->group, (w->n_groups + 1) * sizeof *w->group);
    memmove(w->group + i + 1, w->group + i, (w->n_groups - i) * sizeof *w->group);
    w->group[i] = (struct sx_wal_group){ .group = group, .first = 1 };
    w->n_groups++;
    return &w->group[i];
}

static struct sx_wal_place *place_of(const struct sx_wal_group *g, uint64_t index)
{
    if (index < g->first || index - g->first >= g->n)
        return NULL;
    return &g->place[g->skip + (index - g->first)];
}

void sx_wal_index_truncate(struct sx_wal_group *g, uint64_t from)
{
    while (g->n && sx_wal_group_last(g) >= from) {
        place_of(g, sx_wal_group_last(g))->segment->live--;
        g->n--;
    }
}

void sx_wal_index_cut(struct sx_wal_group *g, uint64_t first)
{
    while (g->n && g->first < first) {
        place_of(g, g->first)->segment->live--;
        g->first++;
        g->skip++;
        g->n--;
    }
    if (g->first < first)
        g->first = first;
}

void sx_wal_index_add(struct sx_wal_group *g, uint64_t index, const struct sx_wal_place *p)
{
    sx_wal_index_truncate(g, index);
    if (!g->n)
        g->first = index;
    if (g->skip && g->skip + g->n == g->cap) {
        memmove(g->place, g->place + g->skip, g->n * sizeof *g->place);
        g->skip = 0;
    }
    if (g->n == g->cap) {
        g->cap = g->cap ? g->cap * 2 : 64;
        g->place = sx_realloc(g->place, g->cap * sizeof *g->place);
    }
    g->place[g->skip + g->n++] = *p;
    p->segment->live++;
}

struct sx_wal_segment *sx_wal_segment_new(unsigned slot, int fd, uint64_t generation)
{
    struct sx_wal_segment *s = sx_calloc(1, sizeof *s);

    *s = (struct sx_wal_segment){ .slot = slot, .fd = fd, .generation = generation };
    return s;
}

void sx_wal_segment_push(struct sx_wal_segment ***list, unsigned *n, struct sx_wal_segment *s)
{
    *list = sx_realloc(*list, (*n + 1) * sizeof **list);
    (*list)[(*n)++] = s;
}

static struct sx_wal_segment *shift(struct sx_wal_segment **list, unsigned *n)
{
    struct sx_wal_segment *s = list[0];

    memmove(list, list + 1, --*n * sizeof *list);
    return s;
}

/* ---- open, close ---- */

int sx_wal_open(struct sx_wal **wal, const struct sx_io *io, const char *dir,
                uint32_t segment_bytes, struct sx_err *e)
{
    struct sx_wal *w = sx_calloc(1, sizeof *w);

    w->io = io;
    w->dir = sx_strdup(dir);
    w->segment_bytes = segment_bytes ? segment_bytes : SX_WAL_SEGMENT_BYTES;
    pthread_mutex_init(&w->lock, NULL);
    sx_assert(w->segment_bytes % SX_WAL_BLOCK == 0 && w->segment_bytes >= SX_WAL_SEGMENT_MIN);
    if (sx_wal_recover(w, e)) {
        sx_wal_close(w);
        return sx_err_wrap(e, "write-ahead log %s", dir);
    }
    *wal = w;
    return 0;
}

static void free_segments(struct sx_wal *w, struct sx_wal_segment **list, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        if (list[i]->fd >= 0)
            w->io->close(w->io, list[i]->fd);
        free(list[i]);
    }
    free(list);
}

static void free_chunks(struct sx_wal_chunk *chunk, size_t n)
{
    for (size_t i = 0; i < n; i++)
        sx_buf_fini(&chunk[i].bytes);
    free(chunk);
}

void sx_wal_close(struct sx_wal *w)
{
    if (!w)
        return;
    free_segments(w, w->segment, w->n_segments);
    free_segments(w, w->spare, w->n_spare);
    for (unsigned i = 0; i < w->n_groups; i++)
        free(w->group[i].place);
    free(w->group);
    free_chunks(w->chunk, w->n_chunks);
    pthread_mutex_destroy(&w->lock);
    free(w->dir);
    free(w);
}

/* ---- appending ---- */

static int usable(struct sx_wal *w, struct sx_err *e)
{
    if (w->failed)
        return sx_err_set(e, SX_EIO, "write-ahead log %s failed before", w->dir);
    return 0;
}

static struct sx_wal_segment *current(const struct sx_wal *w)
{
    return w->n_segments ? w->segment[w->n_segments - 1] : NULL;
}

/* Codes a record at the present position, which has room for it. */
static void put(struct sx_wal *w, struct sx_wal_record *r)
{
    struct sx_wal_chunk *c = w->n_chunks ? &w->chunk[w->n_chunks - 1] : NULL;

    if (!w->batch)
        w->batch = w->pos;
    r->generation = (uint32_t)current(w)->generation;
    r->batch = w->batch;
    if (!c || c->segment != current(w)) {
        w->chunk = sx_realloc(w->chunk, (w->n_chunks + 1) * sizeof *w->chunk);
        c = &w->chunk[w->n_chunks++];
        *c = (struct sx_wal_chunk){ current(w), w->pos, SX_BUF_INIT };
    }
    sx_wal_record_encode(&c->bytes, r, w->pos);
    w->pos += sx_wal_record_size(r->len);
}

/* Ends the current segment and makes the next one current; its file is made by the next sync. */
static int next_segment(struct sx_wal *w, struct sx_err *e)
{
    struct sx_wal_segment *s, *old = current(w);

    if (old)
        put(w, &(struct sx_wal_record){ .type = SX_WAL_END, .index = old->generation + 1 });
    if (w->n_spare)
        s = shift(w->spare, &w->n_spare);
    else if (w->n_segments < SX_WAL_SEGMENTS_MAX)
        s = sx_wal_segment_new(w->n_segments, -1, 0);
    else
        return sx_err_set(e, SX_ENOSPACE, "write-ahead log %s has %u segments", w->dir,
                          w->n_segments);
    s->generation = old ? old->generation + 1 : 1;
    s->headed = false;
    s->written = 0;
    sx_wal_segment_push(&w->segment, &w->n_segments, s);
    w->pos = SX_WAL_BLOCK;
    w->batch = 0;
    return 0;
}

static int add(struct sx_wal *w, struct sx_wal_record *r, struct sx_err *e)
{
    uint32_t end = sx_wal_record_size(0), size = sx_wal_record_size(r->len);

    if (r->len > SX_LOG_ENTRY_MAX || size + end > w->segment_bytes - SX_WAL_BLOCK)
        return sx_err_set(e, SX_ETOOBIG, "entry %llu of group %u has %u bytes",
                          (unsigned long long)r->index, r->group, r->len);
    if ((!current(w) || w->pos + size + end > w->segment_bytes) && next_segment(w, e))
        return -1;
    put(w, r);
    return 0;
}

static int append_one(struct sx_wal *w, struct sx_wal_group *g, const struct sx_entry *x,
                      struct sx_err *e)
{
    struct sx_wal_record r = { .len = x->len,
                               .type = x->type,
                               .group = g->group,
                               .index = x->index,
                               .term = x->term,
                               .data = x->data };
    struct sx_wal_place p = { .term = x->term, .len = x->len, .type = x->type };

    if (x->index < g->first || (g->n && x->index > sx_wal_group_last(g) + 1))
        return sx_err_set(e, SX_EBUG, "group %u: append at %llu, the log is %llu to %llu", g->group,
                          (unsigned long long)x->index, (unsigned long long)g->first,
                          (unsigned long long)sx_wal_group_last(g));
    if (add(w, &r, e))
        return -1;
    p.segment = current(w);
    p.offset = w->pos - sx_wal_record_size(x->len);
    sx_wal_index_add(g, x->index, &p);
    return 0;
}

int sx_wal_append(struct sx_wal *w, uint32_t group, const struct sx_entry *entries, unsigned n,
                  struct sx_err *e)
{
    SX_AUTO_LOCK(&w->lock);
    struct sx_wal_group *g;

    if (usable(w, e))
        return -1;
    g = sx_wal_group_get(w, group);
    if (!g)
        return sx_err_set(e, SX_ETOOMANY, "write-ahead log %s has %u groups", w->dir, w->n_groups);
    for (unsigned i = 0; i < n; i++)
        if (append_one(w, g, &entries[i], e)) {
            w->failed = true;
            return -1;
        }
    return 0;
}

int sx_wal_cut(struct sx_wal *w, uint32_t group, uint64_t first, bool all, struct sx_err *e)
{
    SX_AUTO_LOCK(&w->lock);
    struct sx_wal_record r = { .type = all ? SX_WAL_CUT_ALL : SX_WAL_CUT,
                               .group = group,
                               .index = first };
    struct sx_wal_group *g;

    if (usable(w, e))
        return -1;
    g = sx_wal_group_get(w, group);
    if (!g)
        return sx_err_set(e, SX_ETOOMANY, "write-ahead log %s has %u groups", w->dir, w->n_groups);
    if (add(w, &r, e)) {
        w->failed = true;
        return -1;
    }
    if (all)
        sx_wal_index_truncate(g, 0);
    sx_wal_index_cut(g, first);
    return 0;
}

/* ---- syncing ---- */

/* A new file is written full of zeroes, so that later syncs need not touch file metadata. */
static int create_file(struct sx_wal *w, struct sx_wal_segment *s, const char *path,
                       struct sx_err *e)
{
    SX_AUTO_FREE uint8_t *zero = sx_calloc(1, ZEROES);

    if (s->fd < 0)
        s->fd = w->io->open(w->io, path, O_RDWR | O_CREAT, 0640);
    if (s->fd < 0)
        return sx_err_errno(e, errno, "create %s", path);
    for (uint32_t at = 0; at < w->segment_bytes; at += ZEROES) {
        uint32_t left = w->segment_bytes - at;

        if (sx_io_pwrite_all(w->io, s->fd, zero, left < ZEROES ? left : ZEROES, at, e))
            return sx_err_wrap(e, "fill %s", path);
    }
    if (w->io->fsync(w->io, s->fd))
        return sx_err_errno(e, errno, "fsync %s", path);
    s->filled = true;
    return sx_io_sync_dir(w->io, w->dir, e);
}

/* The header is durable before the first record: a record behind a bad header is then damage. */
static int prepare(struct sx_wal *w, struct sx_wal_segment *s, struct sx_err *e)
{
    char name[SX_WAL_NAME_MAX];
    uint8_t block[SX_WAL_BLOCK];
    SX_AUTO_FREE char *path = sx_asprintf("%s/%s", w->dir, sx_wal_name(name, s->slot));

    if (s->headed)
        return 0;
    if (!s->filled && create_file(w, s, path, e))
        return -1;
    sx_wal_header_encode(block, w->segment_bytes, s->generation);
    if (sx_io_pwrite_all(w->io, s->fd, block, sizeof block, 0, e))
        return sx_err_wrap(e, "%s", path);
    if (w->io->fdatasync(w->io, s->fd))
        return sx_err_errno(e, errno, "fdatasync %s", path);
    s->headed = true;
    return 0;
}

static int write_chunk(struct sx_wal *w, struct sx_wal_chunk *c, struct sx_err *e)
{
    char name[SX_WAL_NAME_MAX];

    if (prepare(w, c->segment, e))
        return -1;
    sx_wal_name(name, c->segment->slot);
    if (sx_io_pwrite_all(w->io, c->segment->fd, c->bytes.data, c->bytes.len, c->offset, e))
        return sx_err_wrap(e, "%s", name);
    if (w->io->fdatasync(w->io, c->segment->fd))
        return sx_err_errno(e, errno, "fdatasync %s/%s", w->dir, name);
    return 0;
}

static int write_chunks(struct sx_wal *w, struct sx_wal_chunk *chunk, size_t n, uint64_t *bytes,
                        struct sx_err *e)
{
    for (size_t i = 0; i < n; i++) {
        if (write_chunk(w, &chunk[i], e))
            return -1;
        pthread_mutex_lock(&w->lock);
        chunk[i].segment->written = chunk[i].offset + (uint32_t)chunk[i].bytes.len;
        pthread_mutex_unlock(&w->lock);
        *bytes += chunk[i].bytes.len;
    }
    return 0;
}

/* Oldest segments without needed entries.  What made them unneeded must be durable before they are
 * overwritten, so they are counted when the chunks are taken, and freed after these are synced. */
static unsigned count_free(const struct sx_wal *w)
{
    unsigned n = 0;

    while (n + 1 < w->n_segments && !w->segment[n]->live)
        n++;
    return n;
}

int sx_wal_sync(struct sx_wal *w, uint64_t *bytes, struct sx_err *e)
{
    struct sx_wal_chunk *chunk;
    uint64_t written = 0;
    unsigned n_free;
    size_t n;
    int r;

    pthread_mutex_lock(&w->lock);
    r = usable(w, e);
    chunk = r ? NULL : SX_STEAL(w->chunk);
    n = r ? 0 : w->n_chunks;
    n_free = r ? 0 : count_free(w);
    if (!r) {
        w->n_chunks = 0;
        w->batch = 0;
    }
    pthread_mutex_unlock(&w->lock);
    if (!r)
        r = write_chunks(w, chunk, n, &written, e);
    free_chunks(chunk, n);
    pthread_mutex_lock(&w->lock);
    if (r)
        w->failed = true;
    for (unsigned i = 0; !r && i < n_free; i++)
        sx_wal_segment_push(&w->spare, &w->n_spare, shift(w->segment, &w->n_segments));
    pthread_mutex_unlock(&w->lock);
    if (bytes)
        *bytes = written;
    return r;
}

/* ---- queries ---- */

void sx_wal_range(struct sx_wal *w, uint32_t group, uint64_t *first, uint64_t *last)
{
    SX_AUTO_LOCK(&w->lock);
    const struct sx_wal_group *g = sx_wal_group_get(w, group);

    *first = g ? g->first : 1;
    *last = g ? sx_wal_group_last(g) : 0;
}

int sx_wal_read(struct sx_wal *w, uint32_t group, uint64_t index, struct sx_entry *entry,
                struct sx_buf *data, struct sx_err *e)
{
    SX_AUTO_LOCK(&w->lock);
    const struct sx_wal_group *g = sx_wal_group_get(w, group);
    const struct sx_wal_place *p = g ? place_of(g, index) : NULL;
    SX_AUTO(sx_buf) struct sx_buf raw = SX_BUF_INIT;
    struct sx_wal_record r;
    uint32_t size;
    char name[SX_WAL_NAME_MAX];

    if (!p)
        return sx_err_set(e, SX_ENOTFOUND, "group %u has no entry %llu", group,
                          (unsigned long long)index);
    size = sx_wal_record_size(p->len);
    if (p->offset + size > p->segment->written)
        return sx_err_set(e, SX_EBUG, "entry %llu of group %u is not on disk yet",
                          (unsigned long long)index, group);
    sx_wal_name(name, p->segment->slot);
    if (sx_io_pread_all(w->io, p->segment->fd, sx_buf_extend(&raw, size), size, p->offset, e))
        return sx_err_wrap(e, "%s/%s", w->dir, name);
    if (!sx_wal_record_decode(&r, raw.data, size, p->offset) || r.index != index ||
        r.group != group || r.generation != (uint32_t)p->segment->generation)
        return sx_err_set(e, SX_ECORRUPT, "%s/%s: bad record at offset %u", w->dir, name,
                          p->offset);
    sx_buf_add(data, r.data, r.len);
    *entry = (struct sx_entry){ index, r.term, r.type, r.len, data->data + data->len - r.len };
    return 0;
}

void sx_wal_status(struct sx_wal *w, struct sx_wal_status *s)
{
    SX_AUTO_LOCK(&w->lock);

    *s = (struct sx_wal_status){ .segments = w->n_segments, .spare = w->n_spare };
    s->bytes = (uint64_t)(w->n_segments + w->n_spare) * w->segment_bytes;
    for (unsigned i = 0; i < w->n_groups; i++)
        if (w->group[i].n && place_of(&w->group[i], w->group[i].first)->segment == w->segment[0])
            s->oldest_group = w->group[i].group;
}
