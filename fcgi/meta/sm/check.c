/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * For tests and checks: the digest of a whole state, and a recount of everything that is kept
 * twice.
 */
#include <stdlib.h>
#include <string.h>

#include "fcgi/meta/sm/sm_int.h"

/* ---- digest ---- */

static const char *const tables[] = {
    "SELECT * FROM state",
    "SELECT * FROM setting ORDER BY name",
    "SELECT * FROM node ORDER BY id",
    "SELECT * FROM token ORDER BY id",
    "SELECT * FROM user ORDER BY name",
    "SELECT * FROM key ORDER BY access_key",
    "SELECT * FROM volume ORDER BY id",
    "SELECT * FROM acl ORDER BY volume, user",
    "SELECT * FROM config ORDER BY volume, name",
    "SELECT * FROM file ORDER BY volume, path",
    "SELECT * FROM old ORDER BY volume, path, ord",
    "SELECT * FROM content ORDER BY id",
    "SELECT * FROM inline ORDER BY content",
    "SELECT * FROM part ORDER BY content, seq",
    "SELECT * FROM ref ORDER BY id, content",
    "SELECT * FROM dropped ORDER BY prefix",
    "SELECT * FROM upload ORDER BY id",
    "SELECT * FROM mpart ORDER BY upload, number",
    "SELECT * FROM joint ORDER BY content, seq",
    "SELECT * FROM pin ORDER BY id",
    "SELECT * FROM job ORDER BY id",
    "SELECT * FROM op ORDER BY num",
    "SELECT * FROM trim ORDER BY volume",
};

static void hash_column(EVP_MD_CTX *md, sqlite3_stmt *st, int col)
{
    uint8_t head[9] = { (uint8_t)sqlite3_column_type(st, col) };
    struct sx_span s = { NULL, 0 };

    if (head[0] == SQLITE_INTEGER)
        sx_put_u64(head + 1, sx_mdb_u64(st, col));
    else {
        s = sx_mdb_blob(st, col);
        sx_put_u64(head + 1, s.n);
    }
    sx_assert(EVP_DigestUpdate(md, head, sizeof head) == 1);
    sx_assert(EVP_DigestUpdate(md, s.p, s.n) == 1);
}

static int hash_table(EVP_MD_CTX *md, sqlite3 *db, const char *sql, struct sx_err *e)
{
    sqlite3_stmt *st;
    int rc = sx_mdb_get(db, &st, e, sql, "");

    sx_assert(EVP_DigestUpdate(md, sql, strlen(sql)) == 1);
    for (; rc == 1; rc = sx_mdb_step(st, e))
        for (int i = 0; i < sqlite3_column_count(st); i++)
            hash_column(md, st, i);
    return rc;
}

int sx_sm_digest(sqlite3 *db, uint8_t digest[32], struct sx_err *e)
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    int rc = 0;

    sx_assert(md && EVP_DigestInit_ex2(md, EVP_sha256(), NULL) == 1);
    for (size_t i = 0; i < sizeof tables / sizeof *tables && rc == 0; i++)
        rc = hash_table(md, db, tables[i], e);
    if (rc == 0)
        sx_assert(EVP_DigestFinal_ex(md, digest, NULL) == 1);
    EVP_MD_CTX_free(md);
    return rc;
}

/* ---- recount ---- */

/* Each gives a row, whose first column names the place, for something that is wrong. */
static const struct {
    const char *what, *sql;
} rules[] = {
    { "volume's bytes are miscounted",
      "SELECT name FROM volume WHERE used <>"
      " (SELECT coalesce(sum(size), 0) FROM file WHERE file.volume = volume.id) +"
      " (SELECT coalesce(sum(size), 0) FROM old WHERE old.volume = volume.id)" },
    { "volume's files are miscounted",
      "SELECT name FROM volume WHERE files <>"
      " (SELECT count(*) FROM file WHERE file.volume = volume.id AND NOT"
      " (" SX_FILE_IS_MARKER "))" },
    { "user's bytes are miscounted",
      "SELECT name FROM user WHERE used <>"
      " (SELECT coalesce(sum(used), 0) FROM volume WHERE owner = user.name)" },
    { "volume without its owner",
      "SELECT name FROM volume WHERE owner NOT IN (SELECT name FROM user)" },
    { "rights without volume or user",
      "SELECT user FROM acl WHERE user NOT IN (SELECT name FROM user)"
      " OR volume NOT IN (SELECT id FROM volume)" },
    { "key without user", "SELECT access_key FROM key WHERE user NOT IN (SELECT name FROM user)" },
    { "file without volume", "SELECT path FROM file WHERE volume NOT IN (SELECT id FROM volume)" },
    { "old revisions are miscounted",
      "SELECT path FROM file WHERE older <>"
      " (SELECT count(*) FROM old WHERE old.volume = file.volume AND old.path = file.path)" },
    { "old revision without a newer one",
      "SELECT path FROM old WHERE NOT EXISTS (SELECT 1 FROM file WHERE file.volume = old.volume"
      " AND file.path = old.path AND file.ord > old.ord)" },
    { "more revisions than the volume keeps",
      "SELECT path FROM file JOIN volume ON volume.id = file.volume WHERE older >= revisions"
      " AND versioning = 0"
      " AND volume NOT IN (SELECT volume FROM trim)" },
    { "content's users are miscounted",
      "SELECT id FROM content LEFT JOIN (SELECT content AS c, count(*) AS n FROM"
      " (SELECT content FROM file UNION ALL SELECT content FROM old UNION ALL"
      " SELECT content FROM upload UNION ALL SELECT content FROM mpart UNION ALL"
      " SELECT child FROM joint UNION ALL SELECT content FROM pin) GROUP BY content) ON c = id WHERE users <> coalesce(n, 0)" },
    { "revision without its content",
      "SELECT path FROM (SELECT path, content, size FROM file UNION ALL"
      " SELECT path, content, size FROM old) AS r LEFT JOIN content ON content.id = r.content"
      " WHERE (r.content = 0) <> (r.size = 0) OR (r.content <> 0 AND (content.etag IS NULL OR"
      " content.blocks = 0))" },
    { "content's etag is missing or too early",
      "SELECT id FROM content WHERE users > 0 AND"
      " (etag IS NULL) <> (id IN (SELECT content FROM upload WHERE NOT multipart))" },
    { "inline record without content",
      "SELECT content FROM inline WHERE content NOT IN (SELECT id FROM content WHERE parts = 0)" },
    { "content's replica count is too small",
      "SELECT content.id FROM (SELECT volume, content FROM file UNION ALL SELECT volume, content FROM old)"
      " AS r JOIN content ON content.id = r.content JOIN volume ON volume.id = r.volume"
      " WHERE content.replica < volume.replica" },
    { "content's parts are miscounted",
      "SELECT id FROM content WHERE users > 0 AND parts <>"
      " (SELECT count(*) FROM part WHERE part.content = content.id) +"
      " (SELECT count(*) FROM joint WHERE joint.content = content.id)" },
    { "upload differs from its content",
      "SELECT path FROM upload LEFT JOIN content ON content.id = upload.content"
      " WHERE NOT multipart AND (content.id IS NULL OR content.parts <> upload.parts OR"
      " content.blocks <> upload.blocks)" },
    { "part of no multipart upload",
      "SELECT number FROM mpart WHERE upload NOT IN (SELECT id FROM upload WHERE multipart)" },
    { "joint content's blocks are miscounted",
      "SELECT c.id FROM content AS c WHERE c.users > 0 AND c.id IN (SELECT content FROM joint) AND"
      " c.blocks <> (SELECT sum(k.blocks) FROM joint JOIN content AS k ON k.id = child"
      " WHERE joint.content = c.id)" },
    { "joint content's part has too small a replica count",
      "SELECT c.id FROM joint JOIN content AS c ON c.id = joint.content JOIN content AS k"
      " ON k.id = child WHERE k.replica < c.replica" },
    { "joint content without its part",
      "SELECT content FROM joint WHERE child NOT IN (SELECT id FROM content)" },
    { "reference without content",
      "SELECT hex(id) FROM ref WHERE content NOT IN (SELECT id FROM content)" },
    { "pin without a block list",
      "SELECT hex(id) FROM pin WHERE content NOT IN"
      " (SELECT id FROM content WHERE users > 0 AND parts > 0 AND etag IS NOT NULL)" },
    { "part without content",
      "SELECT content FROM part WHERE content NOT IN (SELECT id FROM content)" },
    { "volume is being deleted by no job",
      "SELECT name FROM volume WHERE deleting <> 0 AND deleting NOT IN"
      " (SELECT id FROM job WHERE state < 2)" },
};

static int rule_check(sqlite3 *db, const char *what, const char *sql, struct sx_err *e)
{
    sqlite3_stmt *st;
    int rc = sx_mdb_get(db, &st, e, sql, "");

    if (rc != 1)
        return rc;
    sx_err_set(e, SX_ECORRUPT, "metadata: %s: %s", what, (const char *)sqlite3_column_text(st, 0));
    sqlite3_reset(st);
    return -1;
}

static int id_cmp(const void *a, const void *b)
{
    return memcmp(a, b, SX_ID_SIZE);
}

/* Each distinct id of the list must have its reference; adds their number to *refs. */
static int refs_check(sqlite3 *db, uint64_t content, struct sx_buf *list, uint64_t *refs,
                      struct sx_err *e)
{
    size_t n = list->len / SX_ENTRY_SIZE;

    if (n)
        qsort(list->data, n, SX_ENTRY_SIZE, id_cmp);
    for (size_t i = 0; i < n; i++) {
        const uint8_t *p = list->data + i * SX_ENTRY_SIZE;
        sqlite3_stmt *st;
        int rc;

        if (i && id_cmp(p, p - SX_ENTRY_SIZE) == 0)
            continue;
        rc = sx_mdb_get(db, &st, e, "SELECT 1 FROM ref WHERE id = ? AND content = ? AND len = ?",
                        "biu", p,
                       (size_t)SX_ID_SIZE, content, (unsigned)sx_get_u32(p + SX_ID_SIZE));
        if (rc < 0)
            return -1;
        if (rc == 0)
            return sx_err_set(e, SX_ECORRUPT, "metadata: content %llu lacks a reference",
                              (unsigned long long)content);
        sqlite3_reset(st);
        (*refs)++;
    }
    return 0;
}

/* `etag` is empty while the content is still an upload. */
static int etag_check(uint64_t content, const struct sx_buf *list, const struct sx_buf *etag,
                      struct sx_err *e)
{
    uint8_t digest[EVP_MAX_MD_SIZE];

    if (etag->len == 0)
        return 0;
    sx_assert(EVP_Digest(list->data, list->len, digest, NULL, EVP_sha256(), NULL) == 1);
    if (etag->len == SX_ETAG_SIZE && memcmp(etag->data, digest, SX_ETAG_SIZE) == 0)
        return 0;
    return sx_err_set(e, SX_ECORRUPT, "metadata: block list %llu has another etag",
                      (unsigned long long)content);
}

/* The parts of one content follow each other without a gap, give its etag, and are all referenced. */
static int content_check(sqlite3 *db, uint64_t content, uint64_t blocks, const struct sx_buf *etag,
                         uint64_t *refs, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf list = SX_BUF_INIT;
    uint64_t seq = 0, first = 0, offset = 0, size, n;
    sqlite3_stmt *st;
    int rc = sx_mdb_get(db, &st, e,
                       "SELECT seq, first, offset, entries FROM part WHERE content = ? ORDER BY seq", "i",
                       content);

    for (; rc == 1; rc = sx_mdb_step(st, e)) {
        struct sx_span s = sx_mdb_blob(st, 3);

        if (sx_mdb_u64(st, 0) != seq++ || sx_mdb_u64(st, 1) != first ||
            sx_mdb_u64(st, 2) != offset || sx_content_measure(&s, &size, &n, e) != 0) {
            sqlite3_reset(st);
            break;
        }
        first += n;
        offset += size;
        sx_buf_add(&list, s.p, s.n);
    }
    if (rc < 0)
        return -1;
    if (rc == 1 || first != blocks)
        return sx_err_set(e, SX_ECORRUPT, "metadata: block list %llu is damaged at part %llu",
                          (unsigned long long)content, (unsigned long long)seq);
    if (etag_check(content, &list, etag, e) != 0)
        return -1;
    return refs_check(db, content, &list, refs, e);
}

static int contents_check(sqlite3 *db, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf etag = SX_BUF_INIT;
    uint64_t refs = 0, all;
    sqlite3_stmt *st;
    int rc = sx_mdb_get(db, &st, e, "SELECT id, blocks, etag FROM content WHERE users > 0 AND"
                                    " parts > 0 AND id NOT IN (SELECT content FROM joint)", "");

    for (; rc == 1; rc = sx_mdb_step(st, e)) {
        struct sx_span s = sx_mdb_blob(st, 2);

        sx_buf_reset(&etag);
        sx_buf_add(&etag, s.p, s.n);
        if (content_check(db, sx_mdb_u64(st, 0), sx_mdb_u64(st, 1), &etag, &refs, e) != 0) {
            sqlite3_reset(st);
            return -1;
        }
    }
    if (rc < 0)
        return -1;
    rc = sx_mdb_get(db, &st, e,
                   "SELECT count(*) FROM ref JOIN content ON content.id = ref.content WHERE users > 0", "");
    if (rc != 1)
        return -1;
    all = sx_mdb_u64(st, 0);
    sqlite3_reset(st);
    if (all != refs)
        return sx_err_set(e, SX_ECORRUPT, "metadata: %llu references, %llu in block lists",
                          (unsigned long long)all, (unsigned long long)refs);
    return 0;
}

int sx_sm_check(sqlite3 *db, struct sx_err *e)
{
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (rule_check(db, rules[i].what, rules[i].sql, e) != 0)
            return -1;
    return contents_check(db, e);
}
