/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See egress.h.  Three pieces take turns: the caller has one, the next is being decoded, and that
 * behind it is being read, by a thread each.  A decoding, once its own piece was read, begins the reading
 * of the next, into what the caller had before.
 */
#include "fcgi/s3/egress.h"

#include <string.h>

#include "fcgi/api/pin.h"
#include "fcgi/s3/aside.h"
#include "libsx/base/mem.h"
#include "libsx/codec/record.h"

#define PIECES 3

/* A block on its way. */
struct piece {
    struct sx_egress *egress;
    struct sx_id id;
    uint32_t len;
    struct sx_buf record, plain;
    bool ready; /* plain was in memory */
    struct sx_err err;
};

struct sx_egress {
    struct sx_app *app;
    struct sx_block_ctx *domain; /* NULL: the cluster's, not asked for yet */
    bool customers;
    struct sx_file f;
    char *path;
    uint64_t at, end;       /* bytes of the file still to be given */
    struct sx_buf entries;
    size_t next, begun;     /* bytes of `entries` that were given, and whose reading was begun */
    uint64_t offset;        /* where the next entry begins in the file, */
    uint64_t begun_to;      /* and where the one does whose reading is to begin */
    struct sx_buf inline_record;
    struct piece pieces[PIECES]; /* that of an entry by the entry's number */
    struct sx_aside *reader, *decoder; /* NULL until a second piece is wanted */
    struct sx_pin *pin;     /* until the last piece was fetched */
};

/* Appends pages of the block list up to the end of the range, or the limit. */
static int read_list(struct sx_egress *g, sqlite3 *db, struct sx_err *e)
{
    struct sx_manifest m = SX_MANIFEST_INIT;
    uint64_t covered = g->at, next = 0;
    int r = 0;

    sx_buf_reset(&g->entries);
    g->next = g->begun = 0;
    while (covered < g->end && g->entries.len < EGRESS_ENTRIES_MAX * SX_ENTRY_SIZE) {
        bool first = g->entries.len == 0;

        r = sx_query_manifest(db, &g->f, next, first ? g->at : SX_AT_NONE, SX_PART_ENTRIES_MAX, &m,
                              e);
        if (r || m.count == 0)
            break;
        if (first)
            g->offset = g->begun_to = covered = m.offset;
        for (uint32_t i = 0; i < m.count; i++)
            covered += sx_get_u32(m.entries.data + (size_t)i * SX_ENTRY_SIZE + SX_ID_SIZE);
        sx_buf_add(&g->entries, m.entries.data, m.entries.len);
        sx_buf_add(&g->inline_record, m.record.data, m.record.len);
        next = m.from + m.count;
    }
    sx_manifest_fini(&m);
    return r;
}

int sx_egress_open(struct sx_app *app, sqlite3 *db, const struct sx_file *f, uint64_t from,
                   uint64_t n, struct sx_egress **out, struct sx_err *e)
{
    struct sx_egress *g = sx_calloc(1, sizeof *g);

    sx_assert(from <= f->size && n <= f->size - from);
    g->app = app;
    g->f = *f;
    g->path = sx_strdup(f->path);
    g->f.path = g->path;
    g->f.meta = (struct sx_span){ NULL, 0 };
    g->at = from;
    g->end = from + n;
    if (read_list(g, db, e) != 0) {
        sx_egress_free(g);
        return -1;
    }
    *out = g;
    return 0;
}

void sx_egress_under(struct sx_egress *g, struct sx_block_ctx *ctx)
{
    g->domain = ctx;
    g->customers = ctx != NULL;
}

int sx_egress_pin(struct sx_egress *g, struct sx_err *e)
{
    if (g->end - g->at < EGRESS_PIN_MIN)
        return 0;
    return sx_pin_take(g->app, g->f.content, &g->pin, e);
}

static void unpin(struct sx_egress *g)
{
    sx_pin_end(g->pin);
    g->pin = NULL;
}

void sx_egress_free(struct sx_egress *g)
{
    if (!g)
        return;
    unpin(g);
    sx_aside_put(g->decoder); /* which may begin a reading */
    sx_aside_put(g->reader);
    free(g->path);
    sx_buf_fini(&g->entries);
    sx_buf_fini(&g->inline_record);
    for (size_t i = 0; i < PIECES; i++) {
        sx_buf_fini(&g->pieces[i].record);
        sx_buf_fini(&g->pieces[i].plain);
    }
    free(g);
}

/* What a customer's key opens is not for others' memory, and an inline block is at hand. */
static struct sx_cache *cache_of(struct sx_egress *g)
{
    return g->customers || g->inline_record.len ? NULL : g->app->cache;
}

/* ---- read ---- */

static int fetch_record(struct sx_egress *g, struct piece *p)
{
    struct sx_blocks b;
    int r;

    sx_buf_reset(&p->record);
    sx_app_lock(g->app);
    r = sx_app_blocks(g->app, &b, &p->err) != 0 ||
        sx_blocks_fetch(&b, &p->id, &p->record, &p->err) != 0;
    sx_app_unlock(g->app);
    return r ? -1 : 0;
}

/* The piece's err tells how it went. */
static void read_piece(void *arg)
{
    struct piece *p = arg;
    struct sx_egress *g = p->egress;

    p->ready = sx_cache_get(cache_of(g), &p->id, &p->plain);
    if (!p->ready && !g->inline_record.len)
        (void)!fetch_record(g, p);
}

/* Takes the next entry of the list; NULL if the range or the list is at its end. */
static struct piece *next_to_read(struct sx_egress *g)
{
    struct piece *p = &g->pieces[g->begun / SX_ENTRY_SIZE % PIECES];

    if (g->begun == g->entries.len || g->begun_to >= g->end)
        return NULL;
    sx_block_entry_get(g->entries.data + g->begun, &p->id, &p->len);
    sx_err_clear(&p->err);
    p->egress = g;
    g->begun += SX_ENTRY_SIZE;
    g->begun_to += p->len;
    return p;
}

/* ---- decode ---- */

/* Whether this stored form is known to have the id; *crc is that of its plain bytes, which it gives. */
static bool open_known(struct sx_cache *cache, struct sx_block_ctx *ctx, struct piece *p,
                       const struct sx_record *rec, const uint8_t *tag, uint32_t *crc)
{
    return tag && sx_cache_known(cache, &p->id, tag, crc) &&
           sx_block_open(ctx, &p->id, rec->stored, rec->len, &p->plain, &p->err) == 0 &&
           sx_crc32c(0, p->plain.data, p->plain.len) == *crc;
}

/* The id is computed once of each stored form, as long as it is remembered. */
static int verify(struct sx_cache *cache, struct sx_block_ctx *ctx, struct piece *p,
                  const struct sx_record *rec)
{
    const uint8_t *tag = sx_block_tag(rec->stored, rec->len);
    uint32_t crc;

    if (!open_known(cache, ctx, p, rec, tag, &crc)) {
        sx_err_clear(&p->err);
        if (sx_block_decode(ctx, &p->id, rec->stored, rec->len, &p->plain, &p->err) != 0)
            return -1;
        if (!cache)
            return 0;
        crc = sx_crc32c(0, p->plain.data, p->plain.len);
        sx_cache_learn(cache, &p->id, tag, crc);
    }
    sx_cache_put(cache, &p->id, p->plain.data, p->plain.len, crc);
    return 0;
}

/* Asked for once: whoever is reading has the lock for as long as the disk takes. */
static int domain_of(struct sx_egress *g, struct sx_err *e)
{
    int r = 0;

    if (!g->domain) {
        sx_app_lock(g->app);
        r = sx_app_decoder(g->app, &g->domain, e);
        sx_app_unlock(g->app);
    }
    return r;
}

/* A fetched one is whole and its checksum right (cluster/blocks.h). */
static int record_of(struct sx_egress *g, struct piece *p, struct sx_record *rec)
{
    const struct sx_buf *in_line = &g->inline_record;
    size_t used;

    if (!in_line->len) {
        *rec = (struct sx_record){ p->id, (uint32_t)(p->record.len - SX_RECORD_HEADER),
                                   p->record.data + SX_RECORD_HEADER };
        return 0;
    }
    if (sx_record_parse(in_line->data, in_line->len, rec, &used, &p->err) != 0 || used == 0)
        return sx_err_set(&p->err, SX_ENOBLOCK, "a block's record is damaged");
    return 0;
}

static int decode(struct sx_egress *g, struct piece *p)
{
    struct sx_record rec;

    if (domain_of(g, &p->err) != 0 || record_of(g, p, &rec) != 0)
        return -1;
    return verify(cache_of(g), g->domain, p, &rec);
}

static void decode_piece(struct piece *p)
{
    if (p->err.code != SX_OK || (!p->ready && decode(p->egress, p) != 0))
        return;
    if (p->plain.len != p->len)
        (void)!sx_err_set(&p->err, SX_EBLOCK, "a block has %zu bytes, its file says %u",
                          p->plain.len, p->len);
}

/* A piece whose reading was begun; then the reading of the next begins. */
static void finish_piece(void *arg)
{
    struct piece *p = arg, *next;
    struct sx_egress *g = p->egress;

    sx_aside_wait(g->reader);
    next = next_to_read(g);
    if (next)
        sx_aside_start(g->reader, read_piece, next);
    decode_piece(p);
}

/* ---- the way of the pieces ---- */

static int more_list(struct sx_egress *g, struct sx_err *e)
{
    sqlite3 *db;
    int r;

    sx_app_lock(g->app);
    r = sx_app_db(g->app, &db, e) != 0 || read_list(g, db, e) != 0;
    sx_app_unlock(g->app);
    if (r)
        return -1;
    return g->entries.len ? 0 : sx_err_set(e, SX_ENOREVISION, "the file was replaced meanwhile");
}

/* The piece at `next` is made ready while the caller has the one before. */
static void look_ahead(struct sx_egress *g)
{
    struct piece *p;

    if (g->at == g->end)
        unpin(g);
    if (g->at == g->end || g->next == g->entries.len)
        return;
    if (!g->reader) {
        g->reader = sx_aside_get();
        g->decoder = sx_aside_get();
        if (!g->pin)
            g->pin = sx_pin_begin(g->app, g->f.content);
    }
    p = &g->pieces[g->next / SX_ENTRY_SIZE % PIECES];
    if (g->begun == g->next)
        sx_aside_start(g->reader, read_piece, next_to_read(g));
    sx_aside_start(g->decoder, finish_piece, p);
}

/* The piece at `next`.  The first one of a list has not been begun. */
static int take_piece(struct sx_egress *g, struct piece **p, struct sx_err *e)
{
    if (g->decoder)
        sx_aside_wait(g->decoder);
    if (g->next == g->entries.len && more_list(g, e) != 0)
        return -1;
    *p = &g->pieces[g->next / SX_ENTRY_SIZE % PIECES];
    if (g->begun == g->next) {
        read_piece(next_to_read(g));
        decode_piece(*p);
    }
    if ((*p)->err.code == SX_OK)
        return 0;
    *e = (*p)->err;
    return -1;
}

int sx_egress_next(struct sx_egress *g, const uint8_t **p, size_t *n, struct sx_err *e)
{
    struct piece *now;
    size_t skip;

    *n = 0;
    if (g->at == g->end)
        return 0;
    if (take_piece(g, &now, e) != 0) {
        unpin(g);
        return -1;
    }
    skip = (size_t)(g->at - g->offset);
    *p = now->plain.data + skip;
    *n = now->len - skip < g->end - g->at ? now->len - skip : (size_t)(g->end - g->at);
    g->at += *n;
    g->offset += now->len;
    g->next += SX_ENTRY_SIZE;
    look_ahead(g);
    return 0;
}
