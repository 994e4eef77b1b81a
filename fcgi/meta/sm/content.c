/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Contents: block lists, and the references that keep blocks from being collected.
 *
 * A content is made by a put or an upload and never changes but by growing while it is an
 * upload; when it is finished it has its etag.  Revisions share it: `users` counts them (an upload
 * is one, and each pin).  So copies and moves cost the same for any size.  Its replica count is the largest of the
 * volumes that have used it.
 *
 *   users > 0   every distinct id of its parts has one row in table ref
 *   users = 0   doomed: sx_content_expire() removes parts, then the row; nobody can use it again
 *
 * A put of entries that a content has already becomes one more user of it (sx_content_find), so that
 * the same file in ten folders is kept once, inline or not.
 *
 * A joint content (of a multipart upload) has no parts but rows in table joint: others, in order,
 * one use of each is its own.  The references are theirs.
 *
 * An inline content has no parts and no references but a row in table inline: the record of its one
 * block, whose id and plain length are its entry.
 */
#include <string.h>

#include "fcgi/meta/sm/sm_int.h"
#include "libsx/codec/block.h"

#define DROP_BLOCKS_MAX 64u /* longer lists are left to expire */
#define FIND_MAX "16"        /* contents with the same first block that are compared */

int sx_content_measure(const struct sx_span *entries, uint64_t *size, uint64_t *blocks,
                       struct sx_err *e)
{
    *size = 0;
    *blocks = entries->n / SX_ENTRY_SIZE;
    if (entries->n % SX_ENTRY_SIZE)
        return sx_err_set(e, SX_EINVAL, "block list of %zu bytes is no run of entries", entries->n);
    for (uint64_t i = 0; i < *blocks; i++) {
        uint32_t len = sx_get_u32(entries->p + i * SX_ENTRY_SIZE + SX_ID_SIZE);

        if (len == 0 || len > SX_BLOCK_PLAIN_MAX)
            return sx_err_set(e, SX_EINVAL, "block list entry %llu has length %u",
                              (unsigned long long)i, len);
        *size += len;
    }
    return 0;
}

static void etag_end(struct sx_sm *sm, uint8_t etag[SX_ETAG_SIZE])
{
    uint8_t digest[EVP_MAX_MD_SIZE];

    sx_assert(EVP_DigestFinal_ex(sm->md, digest, NULL) == 1);
    memcpy(etag, digest, SX_ETAG_SIZE);
}

void sx_content_etag(struct sx_sm *sm, const struct sx_span *entries, uint8_t etag[SX_ETAG_SIZE])
{
    sx_assert(EVP_DigestInit_ex2(sm->md, sm->sha256, NULL) == 1);
    sx_assert(EVP_DigestUpdate(sm->md, entries->p, entries->n) == 1);
    etag_end(sm, etag);
}

/* All parts of a stored content into the digest. */
static int etag_add(struct sx_sm *sm, uint64_t content, struct sx_err *e)
{
    sqlite3_stmt *st;
    int rc = sx_sm_row(sm, e, &st, "SELECT entries FROM part WHERE content = ? ORDER BY seq", "i",
                       content);

    for (; rc == 1; rc = sx_sm_next(sm, e, st)) {
        struct sx_span s = sx_mdb_blob(st, 0);

        sx_assert(EVP_DigestUpdate(sm->md, s.p, s.n) == 1);
    }
    return rc;
}

int sx_content_etag_stored(struct sx_sm *sm, uint64_t content, uint8_t etag[SX_ETAG_SIZE],
                           struct sx_err *e)
{
    const struct sx_joint one = { .content = content };

    return sx_content_etag_joint(sm, &one, 1, etag, e);
}

int sx_content_etag_joint(struct sx_sm *sm, const struct sx_joint *joints, size_t n,
                          uint8_t etag[SX_ETAG_SIZE], struct sx_err *e)
{
    sx_assert(EVP_DigestInit_ex2(sm->md, sm->sha256, NULL) == 1);
    for (size_t i = 0; i < n; i++)
        if (etag_add(sm, joints[i].content, e) != 0)
            return -1;
    etag_end(sm, etag);
    return 0;
}

static int content_insert(struct sx_sm *sm, const struct sx_content_new *c, uint64_t parts,
                          uint64_t blocks, struct sx_err *e)
{
    return sx_sm_run(sm, e, "INSERT INTO content VALUES(?, 1, ?, ?, ?, ?)", "iuiio", c->id,
                     c->replica, parts, blocks, c->etag, (size_t)(c->etag ? SX_ETAG_SIZE : 0));
}

int sx_content_add_empty(struct sx_sm *sm, const struct sx_content_new *c, struct sx_err *e)
{
    return content_insert(sm, c, 0, 0, e);
}

int sx_content_finish(struct sx_sm *sm, uint64_t id, const uint8_t etag[SX_ETAG_SIZE],
                      struct sx_err *e)
{
    return sx_sm_run(sm, e, "UPDATE content SET etag = ? WHERE id = ?", "bi", etag,
                     (size_t)SX_ETAG_SIZE, id);
}

int sx_content_add_inline(struct sx_sm *sm, const struct sx_content_new *c,
                          const struct sx_span *record, struct sx_err *e)
{
    if (content_insert(sm, c, 0, 1, e) != 0)
        return -1;
    return sx_sm_run(sm, e, "INSERT INTO inline VALUES(?, ?)", "ib", c->id, record->p, record->n);
}

int sx_content_add_part(struct sx_sm *sm, uint64_t id, uint64_t seq, uint64_t first,
                        uint64_t offset, const struct sx_span *entries, struct sx_err *e)
{
    if (sx_sm_run(sm, e, "INSERT INTO part VALUES(?, ?, ?, ?, ?)", "iiiib", id, seq, first, offset,
                  entries->p, entries->n) != 0)
        return -1;
    for (size_t at = 0; at < entries->n; at += SX_ENTRY_SIZE) {
        const uint8_t *p = entries->p + at;

        if (sx_sm_run(sm, e, "INSERT OR IGNORE INTO ref VALUES(?, ?, ?)", "biu", p,
                      (size_t)SX_ID_SIZE, id, (unsigned)sx_get_u32(p + SX_ID_SIZE)) != 0)
            return -1;
    }
    return sx_sm_run(sm, e, "UPDATE content SET parts = ?, blocks = blocks + ? WHERE id = ?", "iii",
                     seq + 1, (uint64_t)(entries->n / SX_ENTRY_SIZE), id);
}

int sx_content_add_list(struct sx_sm *sm, const struct sx_content_new *c,
                        const struct sx_span *entries, struct sx_err *e)
{
    if (sx_content_add_empty(sm, c, e) != 0)
        return -1;
    return sx_content_add_part(sm, c->id, 0, 0, 0, entries, e);
}

int sx_content_join(struct sx_sm *sm, const struct sx_content_new *c, const struct sx_joint *joints,
                    size_t n, struct sx_err *e)
{
    uint64_t first = 0, offset = 0;

    for (size_t i = 0; i < n; i++) {
        if (sx_sm_run(sm, e, "INSERT INTO joint VALUES(?, ?, ?, ?, ?, NULL)", "iiiii", c->id,
                      (uint64_t)i, first, offset, joints[i].content) != 0)
            return -1;
        first += joints[i].blocks;
        offset += joints[i].size;
    }
    return content_insert(sm, c, n, first, e);
}

int sx_content_hold(struct sx_sm *sm, uint64_t id, struct sx_err *e)
{
    return sx_sm_run(sm, e, "UPDATE content SET users = users + 1 WHERE id = ?", "i", id);
}

int sx_content_use(struct sx_sm *sm, uint64_t id, unsigned replica, struct sx_err *e)
{
    if (id == 0)
        return 0;
    if (sx_content_hold(sm, id, e) != 0)
        return -1;
    return sx_content_replica(sm, id, replica, e);
}

int sx_content_replica(struct sx_sm *sm, uint64_t id, unsigned replica, struct sx_err *e)
{
    if (sx_sm_run(sm, e, "UPDATE content SET replica = ? WHERE id = ? AND replica < ?", "uiu",
                  replica, id, replica) != 0)
        return -1;
    return sx_sm_run(sm, e,
                     "UPDATE content SET replica = ?1 WHERE replica < ?1 AND id IN"
                     " (SELECT child FROM joint WHERE content = ?2)", "ui", replica, id);
}

/* Table dropped tells the collectors where to look: in which parts of the id space a reference went
 * away last, and with which command.  It never grows beyond one row a part. */
static int refs_remove(struct sx_sm *sm, uint64_t id, const struct sx_buf *entries,
                       struct sx_err *e)
{
    for (size_t at = 0; at < entries->len; at += SX_ENTRY_SIZE) {
        const uint8_t *p = entries->data + at;

        if (sx_sm_run(sm, e, "DELETE FROM ref WHERE id = ? AND content = ?", "bi", p,
                      (size_t)SX_ID_SIZE, id) != 0 ||
            sx_sm_run(sm, e, "INSERT OR REPLACE INTO dropped VALUES(?, ?)", "ui",
                      sx_id_prefix(p), sm->num) != 0)
            return -1;
    }
    return 0;
}

/* Only what cannot change any more is found: no upload, nothing doomed. */
int sx_content_find(struct sx_sm *sm, const struct sx_span *entries, bool is_inline, uint64_t *id,
                    struct sx_err *e)
{
    /* Of the record, the block's id and, in the block's header, its plain length. */
    static const char by_entry[] =
        "SELECT content FROM inline WHERE substr(record, 9, 8) = substr(?1, 1, 8)"
        " AND substr(record, 9, 32) = ?1 AND substr(record, 57, 4) = ?2 ORDER BY content LIMIT 1";
    static const char by_first[] =
        "SELECT c.id FROM (SELECT content FROM ref WHERE id = ? ORDER BY content DESC LIMIT " FIND_MAX
        ") AS r CROSS JOIN content AS c ON c.id = r.content CROSS JOIN part ON part.content = c.id"
        " WHERE c.users > 0 AND c.parts = 1 AND c.etag IS NOT NULL AND part.entries = ? LIMIT 1";

    if (is_inline)
        return sx_sm_number(sm, e, id, 0, by_entry, "bb", entries->p, (size_t)SX_ID_SIZE,
                            entries->p + SX_ID_SIZE, (size_t)(SX_ENTRY_SIZE - SX_ID_SIZE));
    return sx_sm_number(sm, e, id, 0, by_first, "bb", entries->p, (size_t)SX_ID_SIZE, entries->p,
                        entries->n);
}

/* Removes the first joint that is left, or else the content itself: 1 and 0. */
static int joint_remove(struct sx_sm *sm, uint64_t id, struct sx_err *e)
{
    uint64_t seq, child;
    sqlite3_stmt *st;
    int rc = sx_sm_row(sm, e, &st,
                       "SELECT seq, child FROM joint WHERE content = ? ORDER BY seq LIMIT 1", "i",
                       id);

    if (rc < 0)
        return -1;
    if (rc == 0)
        return sx_sm_run(sm, e, "DELETE FROM content WHERE id = ?", "i", id);
    seq = sx_mdb_u64(st, 0);
    child = sx_mdb_u64(st, 1);
    sqlite3_reset(st);
    if (sx_sm_run(sm, e, "DELETE FROM joint WHERE content = ? AND seq = ?", "ii", id, seq) != 0 ||
        sx_content_drop(sm, child, e) != 0)
        return -1;
    return 1;
}

/* Removes the first part or joint that is left, or else the content itself: 1 and 0; *cost in
 * rows. */
static int part_remove(struct sx_sm *sm, uint64_t id, uint64_t *cost, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf entries = SX_BUF_INIT;
    struct sx_span s;
    uint64_t seq;
    sqlite3_stmt *st;
    int rc = sx_sm_row(sm, e, &st,
                       "SELECT seq, entries FROM part WHERE content = ? ORDER BY seq LIMIT 1", "i",
                       id);

    *cost = 1;
    if (rc < 0)
        return -1;
    if (rc == 0)
        return joint_remove(sm, id, e);
    seq = sx_mdb_u64(st, 0);
    s = sx_mdb_blob(st, 1);
    sx_buf_add(&entries, s.p, s.n);
    sqlite3_reset(st);
    *cost += entries.len / SX_ENTRY_SIZE;
    if (refs_remove(sm, id, &entries, e) != 0 ||
        sx_sm_run(sm, e, "DELETE FROM part WHERE content = ? AND seq = ?", "ii", id, seq) != 0)
        return -1;
    return 1;
}

static int content_remove(struct sx_sm *sm, uint64_t id, uint64_t blocks, uint64_t parts,
                          struct sx_err *e)
{
    uint64_t cost;
    int rc = 1;

    if (parts && blocks > DROP_BLOCKS_MAX)
        return sx_sm_run(sm, e, "UPDATE content SET users = 0 WHERE id = ?", "i", id);
    if (!parts) {
        if (sx_sm_run(sm, e, "DELETE FROM inline WHERE content = ?", "i", id) != 0)
            return -1;
        return sx_sm_run(sm, e, "DELETE FROM content WHERE id = ?", "i", id);
    }
    while (rc == 1)
        rc = part_remove(sm, id, &cost, e);
    return rc;
}

int sx_content_drop(struct sx_sm *sm, uint64_t id, struct sx_err *e)
{
    uint64_t users, blocks, parts;
    sqlite3_stmt *st;
    int rc;

    if (id == 0)
        return 0;
    rc = sx_sm_row(sm, e, &st, "SELECT users, blocks, parts FROM content WHERE id = ?", "i", id);
    if (rc < 0)
        return -1;
    sx_assert(rc == 1);
    users = sx_mdb_u64(st, 0);
    blocks = sx_mdb_u64(st, 1);
    parts = sx_mdb_u64(st, 2);
    sqlite3_reset(st);
    sx_assert(users > 0);
    if (users == 1)
        return content_remove(sm, id, blocks, parts, e);
    return sx_sm_run(sm, e, "UPDATE content SET users = users - 1 WHERE id = ?", "i", id);
}

int sx_content_expire(struct sx_sm *sm, uint64_t *budget, struct sx_err *e)
{
    while (*budget) {
        uint64_t id, cost;

        if (sx_sm_number(sm, e, &id, 0,
                         "SELECT id FROM content WHERE users = 0 ORDER BY id LIMIT 1", "") != 0)
            return -1;
        if (id == 0)
            return 0;
        if (part_remove(sm, id, &cost, e) < 0)
            return -1;
        *budget -= cost < *budget ? cost : *budget;
    }
    return 0;
}
