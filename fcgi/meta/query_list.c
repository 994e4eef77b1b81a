/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Listing: one page of a volume's names, in order of their bytes.
 *
 * The page is filled by runs of an ordered scan.  A name that holds the delimiter behind the prefix
 * is folded, and the scan begins anew behind everything that folds alike, so the cost of a folded
 * directory does not depend on what is in it.  A page looks at no more than SX_LIST_SCAN_MAX rows;
 * then it is short and has a `next`.
 *
 * `next` is the last name that was looked at, or a folded prefix; `after` = a folded prefix
 * (it ends in the delimiter) means: behind all names that begin with it.
 */
#include <string.h>

#include "fcgi/meta/query.h"
#include "fcgi/meta/sm/db.h"
#include "libsx/base/mem.h"
#include "libsx/base/text.h"

#define BOUND_MAX (SX_PATH_MAX + 2)

struct scan {
    sqlite3 *db;
    uint64_t volume;
    const struct sx_list *l;
    const char *prefix, *delimiter, *glob; /* never NULL */
    size_t prefix_len, delimiter_len;
    char above[BOUND_MAX]; /* names >= this come next */
    char below[BOUND_MAX]; /* and < this */
    char last[BOUND_MAX];  /* last name looked at, or folded prefix: what `next` would be */
    uint64_t skip_rev;     /* versions: in the first file, what comes up to this one was given */
    uint64_t last_rev;     /* versions: the last one given, if its file is not at its end */
    unsigned found, seen;
    json_t *files, *prefixes;
};

/* The least string above all that begin with s (UTF-8 has no byte 0xff). */
static void bound_behind(char out[BOUND_MAX], const char *s, size_t n)
{
    memcpy(out, s, n);
    out[n] = 0;
    if (n == 0)
        memcpy(out, "\xff", 2);
    else
        out[n - 1] = (char)((unsigned char)out[n - 1] + 1);
}

/* The least string above s: names have no control characters below 1. */
static void bound_after(char out[BOUND_MAX], const char *s)
{
    size_t n = strlen(s);

    memcpy(out, s, n);
    memcpy(out + n, "\x01", 2);
}

/* Length of the part of `name` that folds, delimiter included; 0: it does not fold. */
static size_t folds(const struct scan *s, const char *name)
{
    const char *d;

    if (!s->delimiter_len || strncmp(name, s->prefix, s->prefix_len) != 0)
        return 0;
    d = strstr(name + s->prefix_len, s->delimiter);
    return d ? (size_t)(d - name) + s->delimiter_len : 0;
}

static bool text_fits(const char *s)
{
    return strlen(s) <= SX_PATH_MAX;
}

static int scan_init(struct scan *s, sqlite3 *db, uint64_t volume, const struct sx_list *l,
                     struct sx_err *e)
{
    const char *after = l->after ? l->after : "";
    size_t n;

    memset(s, 0, sizeof *s);
    s->db = db;
    s->volume = volume;
    s->l = l;
    s->prefix = l->prefix ? l->prefix : "";
    s->delimiter = l->delimiter ? l->delimiter : "";
    s->glob = l->glob ? l->glob : "";
    s->prefix_len = strlen(s->prefix);
    s->delimiter_len = strlen(s->delimiter);
    if (l->limit == 0 || l->limit > SX_LIST_MAX)
        return sx_err_set(e, SX_EINVAL, "limit %u is not between 1 and %u", l->limit, SX_LIST_MAX);
    if (!text_fits(s->prefix) || !text_fits(s->delimiter) || !text_fits(s->glob) ||
        !text_fits(after))
        return sx_err_set(e, SX_EINVAL, "prefix, delimiter, glob or after is longer than %u bytes",
                          SX_PATH_MAX);
    s->skip_rev = l->after_rev;
    bound_behind(s->below, s->prefix, s->prefix_len);
    memcpy(s->above, s->prefix, s->prefix_len);
    if (*after && strcmp(after, s->prefix) >= 0) {
        n = folds(s, after);
        if (l->after_rev)
            memcpy(s->above, after, strlen(after) + 1);
        else if (n && n == strlen(after))
            bound_behind(s->above, after, n);
        else
            bound_after(s->above, after);
    }
    return 0;
}

static void take_prefix(struct scan *s, const char *name, size_t n)
{
    memcpy(s->last, name, n);
    s->last[n] = 0;
    json_array_append_new(s->prefixes, json_string(s->last));
    s->found++;
    bound_behind(s->above, name, n);
}

static void add_facts(const struct scan *s, const struct sx_file *f)
{
    struct sx_facts facts;

    sx_file_facts(f, &facts);
    sx_buf_add(s->l->facts, f->path, strlen(f->path) + 1);
    sx_facts_put(sx_buf_extend(s->l->facts, SX_FACTS_SIZE), &facts);
}

/* The newest revision of the statement's row, which is no marker. */
static void take_file(struct scan *s, sqlite3_stmt *st, const char *name)
{
    struct sx_file f;

    memcpy(s->last, name, strlen(name) + 1);
    sx_mdb_file(st, 0, &f);
    if (f.marker || (*s->glob && !sx_glob_match(s->glob, name, true)))
        return;
    f.path = name;
    if (s->l->facts)
        add_facts(s, &f);
    else
        json_array_append_new(s->files, sx_file_json(&f));
    s->found++;
}

/* Is the revision that the page goes on behind still there, of the file that it was of? */
static int find_after(struct scan *s, bool *there, struct sx_err *e)
{
    sqlite3_stmt *st;
    int rc = 0;

    *there = false;
    if (s->skip_rev && strcmp(s->last, s->l->after) != 0)
        s->skip_rev = 0;
    if (s->skip_rev)
        rc = sx_mdb_get(s->db, &st, e,
                        "SELECT 1 FROM file WHERE volume = ?1 AND path = ?2 AND rev = ?3"
                        " UNION ALL SELECT 1 FROM old WHERE volume = ?1 AND path = ?2 AND rev = ?3",
                        "iti", s->volume, s->last, s->skip_rev);
    if (rc == 1) {
        *there = true;
        sqlite3_reset(st);
    }
    return rc < 0 ? -1 : 0;
}

/* Whether a revision was on an earlier page.  Revisions have ascending numbers, but for those of a
 * file that was renamed over another: so numbers only count where `after_rev` itself has gone. */
static bool skips(struct scan *s, uint64_t rev, bool there)
{
    if (!s->skip_rev)
        return false;
    if (there ? rev == s->skip_rev : rev < s->skip_rev)
        s->skip_rev = 0;
    return there || s->skip_rev;
}

/* All revisions of a file, newest first, as far as the page goes: 2 if it does not go to the end. */
static int take_versions(struct scan *s, struct sx_err *e)
{
    bool newest = true, null_seen = false, there;
    sqlite3_stmt *st;
    int rc;

    if (find_after(s, &there, e) != 0)
        return -1;
    rc = sx_mdb_get(s->db, &st, e, SX_FILE_REVISIONS, "it", s->volume, s->last);
    for (; rc == 1; rc = sx_mdb_step(st, e), newest = false) {
        struct sx_file f;
        json_t *o;
        bool is_null;

        sx_mdb_file(st, 0, &f);
        is_null = f.null_version && !null_seen; /* one at most has that name */
        null_seen = null_seen || f.null_version;
        if (skips(s, f.rev, there))
            continue;
        if (s->found == s->l->limit) {
            sqlite3_reset(st);
            return 2;
        }
        f.path = s->last;
        o = sx_file_json(&f);
        json_object_set_new(o, "newest", json_boolean(newest));
        if (is_null)
            json_object_set_new(o, "null", json_true());
        json_array_append_new(s->files, o);
        s->last_rev = f.rev;
        s->found++;
    }
    s->last_rev = s->skip_rev = 0;
    return rc;
}

/* A deleted file makes no folded prefix, unless its revisions are listed. */
static bool is_hidden(sqlite3_stmt *st, const struct scan *s)
{
    struct sx_file f;

    sx_mdb_file(st, 0, &f);
    return f.marker && !s->l->versions;
}

/* One run of the ordered scan: up to a folded prefix, the end, or a limit.
 * 1: go on with the next run, 0: the end, 2: the page is full, -1: error. */
static int scan_run(struct scan *s, struct sx_err *e)
{
    sqlite3_stmt *st;
    int rc = sx_mdb_get(s->db, &st, e,
                       "SELECT " SX_FILE_COLS ", path" SX_FILE_FROM("file")
                       " WHERE volume = ? AND path >= ? AND path < ? ORDER BY path", "itt", s->volume, s->above, s->below);

    for (; rc == 1; rc = sx_mdb_step(st, e)) {
        const char *name = (const char *)sqlite3_column_text(st, SX_FILE_COLS_N);
        size_t n = folds(s, name);

        if (s->found == s->l->limit || s->seen++ == SX_LIST_SCAN_MAX) {
            sqlite3_reset(st);
            return 2;
        }
        if (n && !is_hidden(st, s)) {
            take_prefix(s, name, n);
            sqlite3_reset(st);
            return 1;
        }
        if (s->l->versions) {
            memcpy(s->last, name, strlen(name) + 1);
            sqlite3_reset(st);
            bound_after(s->above, s->last);
            rc = take_versions(s, e);
            return rc == 0 ? 1 : rc;
        }
        take_file(s, st, name);
    }
    return rc;
}

static int page_fill(struct scan *s, json_t **page, struct sx_err *e)
{
    SX_AUTO_JSON json_t *o = json_pack("{s:O, s:O}", "files", s->files, "prefixes", s->prefixes);
    int rc = 1;

    while (rc == 1)
        rc = scan_run(s, e);
    if (rc < 0)
        return -1;
    if (s->l->facts)
        json_object_set_new(o, "files", json_integer(s->found - json_array_size(s->prefixes)));
    if (rc == 2)
        json_object_set_new(o, "next", json_string(s->last));
    if (rc == 2 && s->last_rev)
        json_object_set_new(o, "next_rev", sx_rev_json(s->last_rev));
    *page = SX_STEAL(o);
    return 0;
}

int sx_query_list_json(sqlite3 *db, uint64_t volume, const struct sx_list *l, json_t **page,
                       struct sx_err *e)
{
    struct scan s;
    int rc;

    if (scan_init(&s, db, volume, l, e) != 0)
        return -1;
    s.files = json_array();
    s.prefixes = json_array();
    rc = page_fill(&s, page, e);
    json_decref(s.files);
    json_decref(s.prefixes);
    return rc;
}
