/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A page of a listing: JSON with the numbers of files and prefixes, then for each file its path, a 0 byte
 * and its facts, then each prefix and a 0 byte (docs/api.md section 5).  Both are in order.
 */
#include <string.h>

#include "libsx/base/text.h"
#include "libsx/client/list.h"
#include "libsx/http/message.h"

struct sx_page {
    struct sx_buf answer; /* the cursors and the JSON part point into it */
    struct sx_message m;
    const char *after;
    struct sx_cur files, prefixes; /* what is left of them */
    uint64_t n_files, n_prefixes;
    char rev[17], etag[2 * SX_FACTS_ETAG + 1];
};

void sx_facts_digits(const struct sx_facts *f, char rev[17], char etag[2 * SX_FACTS_ETAG + 1])
{
    uint64_t big = htobe64(f->rev);

    sx_hex(rev, &big, sizeof big);
    sx_hex(etag, f->etag, sizeof f->etag);
}

static const char *take_name(struct sx_cur *c)
{
    return (const char *)sx_cur_take(c, strnlen((const char *)c->p, c->left) + 1);
}

/* Finds where the prefixes begin, and that everything is there. */
static int check(struct sx_page *p, struct sx_err *e)
{
    struct sx_cur c = sx_cur_of(p->m.data, p->m.len);
    struct sx_facts facts;

    p->files = c;
    for (uint64_t i = 0; i < p->n_files && !c.bad; i++) {
        take_name(&c);
        sx_facts_get(&c, &facts);
        if (facts.size > INT64_MAX || facts.created_ms > INT64_MAX)
            c.bad = true;
    }
    p->prefixes = c;
    for (uint64_t i = 0; i < p->n_prefixes && !c.bad; i++)
        take_name(&c);
    if (!sx_cur_done(&c))
        return sx_err_set(e, SX_EMALFORMED, "a page of the listing is malformed");
    return 0;
}

static int read_answer(struct sx_page *p, struct sx_err *e)
{
    if (sx_message_parse(&p->m, p->answer.data, p->answer.len, e) ||
        sx_json_need_u64(p->m.json, "files", UINT32_MAX, &p->n_files, e) ||
        sx_json_need_u64(p->m.json, "prefixes", UINT32_MAX, &p->n_prefixes, e) ||
        sx_json_str(p->m.json, "next", NULL, &p->after, e))
        return -1;
    return check(p, e);
}

struct sx_page *sx_page_read(struct sx_buf *answer, struct sx_err *e)
{
    struct sx_page *p = sx_page_empty();

    p->answer = *answer;
    *answer = (struct sx_buf)SX_BUF_INIT;
    if (read_answer(p, e) == 0)
        return p;
    sx_err_wrap(e, "answer of the cluster");
    sx_page_free(p);
    return NULL;
}

struct sx_page *sx_page_empty(void)
{
    return sx_calloc(1, sizeof(struct sx_page));
}

void sx_page_free(struct sx_page *p)
{
    if (!p)
        return;
    sx_message_fini(&p->m);
    sx_buf_fini(&p->answer);
    free(p);
}

static void take_file(struct sx_page *p, struct sx_file_info *f)
{
    const char *path = take_name(&p->files);
    struct sx_facts facts;

    sx_facts_get(&p->files, &facts);
    sx_facts_digits(&facts, p->rev, p->etag);
    *f = (struct sx_file_info){ .path = path, .rev = p->rev, .etag = p->etag, .size = facts.size,
                                .blocks = facts.entries, .mtime_ns = facts.mtime_ns,
                                .mode = facts.mode, .created_ms = facts.created_ms };
    p->n_files--;
}

bool sx_page_next(struct sx_page *p, struct sx_file_info *f)
{
    if (!p->n_files && !p->n_prefixes)
        return false;
    if (!p->n_prefixes ||
        (p->n_files && strcmp((const char *)p->files.p, (const char *)p->prefixes.p) <= 0)) {
        take_file(p, f);
    } else {
        *f = (struct sx_file_info){ .path = take_name(&p->prefixes), .is_dir = true };
        p->n_prefixes--;
    }
    return true;
}

const char *sx_page_after(const struct sx_page *p)
{
    return p->after;
}
