/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See judge.h.
 */
#include "tools/judge.h"

#include "fcgi/keys.h"
#include "fcgi/meta/query.h"
#include "libsx/base/mem.h"
#include "libsx/crypt/crypt.h"

#define PAGE 256u

int judge_open_meta(struct judge *j, const char *dir, struct sx_err *e)
{
    SX_AUTO_FREE char *path = sx_asprintf("%s/meta/group-0.db", dir);
    SX_AUTO_FREE struct sx_node *nodes = NULL;

    if (sx_query_open(path, &j->meta, e) != 0)
        return -1;
    if (sx_query_nodes(j->meta, &nodes, &j->nodes, e) == 0)
        return 0;
    sx_query_close(j->meta);
    j->meta = NULL;
    return -1;
}

int judge_open_key(struct judge *j, const char *dir, struct sx_err *e)
{
    SX_AUTO(sx_cluster) struct sx_cluster c = { 0 };
    uint8_t key[SX_DOMAIN_KEY_SIZE];
    struct sx_domain domain;
    struct sx_keys keys;
    int r;

    if (sx_query_cluster(j->meta, &c, e) != 0 || sx_keys_load(&keys, dir, e) != 0)
        return -1;
    r = sx_keys_open_domain(&keys, c.domain_key.data, c.domain_key.len, key, e);
    if (r == 0)
        r = sx_domain_init(&domain, key, e);
    if (r == 0)
        j->ctx = sx_block_ctx_new(&domain);
    sx_wipe(&domain, sizeof domain);
    sx_wipe(key, sizeof key);
    sx_keys_fini(&keys);
    return r;
}

void judge_close(struct judge *j)
{
    sx_block_ctx_free(j->ctx);
    sx_buf_fini(&j->plain);
    sx_query_close(j->meta);
}

static int decode(void *arg, const struct sx_record *r, struct sx_err *e)
{
    struct judge *j = arg;

    return sx_block_check(j->ctx, &r->id, r->stored, r->len, &j->plain, e);
}

static int referenced(void *arg, const struct sx_id *ids, size_t n, uint8_t *yes, struct sx_err *e)
{
    struct judge *j = arg;

    if (sx_query_referenced(j->meta, ids, n, yes, e) != 0)
        return -1;
    return j->store ? sx_store_not_elsewhere(j->store, j->walked, ids, n, yes, e) : 0;
}

struct sx_scrub_walk judge_walk(struct judge *j)
{
    return (struct sx_scrub_walk){ .decode = j->ctx ? decode : NULL, .referenced = j->meta ? referenced : NULL,
                                   .ctx = j };
}

int judge_epoch(struct judge *j, uint64_t *epoch, struct sx_err *e)
{
    *epoch = 0;
    return j->meta ? sx_query_epoch(j->meta, epoch, e) : 0;
}

/* ---- what is hit --------------------------------------------------------------------------- */

int judge_hit_clear(struct judge *j, struct sx_err *e)
{
    return j->meta ? sx_query_hit_clear(j->meta, e) : 0;
}

int judge_hit_block(struct judge *j, const struct sx_id *id, struct sx_err *e)
{
    return j->meta ? sx_query_hit_add(j->meta, id, e) : 0;
}

/* Of a page of references those that every node has to hold, and that are not here. */
static int hit_absent(struct judge *j, struct sx_store *s, const struct sx_ref *refs, size_t n, uint64_t *missing,
                      struct sx_err *e)
{
    struct sx_id ids[PAGE];
    uint8_t here[PAGE];
    size_t own = 0;

    for (size_t i = 0; i < n; i++)
        if (refs[i].replica >= j->nodes)
            ids[own++] = refs[i].id;
    if (sx_store_exists(s, ids, own, here, e) != 0)
        return -1;
    for (size_t i = 0; i < own; i++) {
        if (here[i])
            continue;
        ++*missing;
        if (sx_query_hit_add(j->meta, &ids[i], e) != 0)
            return -1;
    }
    return 0;
}

int judge_hit_missing(struct judge *j, struct sx_store *s, uint64_t *missing, struct sx_err *e)
{
    struct sx_ref refs[PAGE];
    struct sx_id from = { 0 };
    size_t n;

    *missing = 0;
    if (!j->meta)
        return 0;
    do {
        if (sx_query_refs(j->meta, &from, PAGE, refs, &n, e) != 0 || hit_absent(j, s, refs, n, missing, e) != 0)
            return -1;
        if (n)
            from = refs[n - 1].id;
    } while (n == PAGE && sx_id_next(&from));
    return 0;
}

struct naming {
    void (*fn)(void *arg, const struct judge_file *file);
    void *arg;
};

static void name_file(void *arg, const struct sx_hit *hit)
{
    const struct judge_file f = { hit->volume, hit->path, hit->rev, hit->newest };
    const struct naming *n = arg;

    n->fn(n->arg, &f);
}

int judge_hit_files(struct judge *j, void (*fn)(void *arg, const struct judge_file *file), void *arg, uint64_t *n,
                    struct sx_err *e)
{
    struct naming naming = { fn, arg };

    *n = 0;
    return j->meta ? sx_query_hit_files(j->meta, name_file, &naming, n, e) : 0;
}
