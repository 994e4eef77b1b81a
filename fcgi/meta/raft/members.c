/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Members of a group.  The coded form is the one that libraft reads from a
 * configuration entry: it trusts the bytes, so everything is checked here first.
 */
#include "fcgi/meta/raft/members.h"

#include <string.h>

#include "libsx/base/mem.h"
#include "libsx/base/wire.h"

#define FORMAT 1
#define HEADER 9u /* format, number of members */

void sx_members_fini(struct sx_members *m)
{
    for (unsigned i = 0; i < m->n; i++)
        free(m->v[i].address);
    free(m->v);
    *m = (struct sx_members)SX_MEMBERS_INIT;
}

struct sx_member *sx_members_find(const struct sx_members *m, uint64_t id)
{
    for (unsigned i = 0; i < m->n; i++)
        if (m->v[i].id == id)
            return &m->v[i];
    return NULL;
}

static const struct sx_member *find_address(const struct sx_members *m, const char *address)
{
    for (unsigned i = 0; i < m->n; i++)
        if (strcmp(m->v[i].address, address) == 0)
            return &m->v[i];
    return NULL;
}

int sx_members_add(struct sx_members *m, uint64_t id, const char *address, enum sx_member_role role,
                   struct sx_err *e)
{
    size_t len = address ? strlen(address) : 0;

    if (!id)
        return sx_err_set(e, SX_EINVAL, "member id 0");
    if (!len || len > SX_MEMBER_ADDRESS_MAX)
        return sx_err_set(e, SX_EINVAL, "address of member %016llx has %zu bytes",
                          (unsigned long long)id, len);
    if (role > SX_ROLE_SPARE)
        return sx_err_set(e, SX_EINVAL, "role %d of member %016llx", (int)role,
                          (unsigned long long)id);
    if (sx_members_find(m, id))
        return sx_err_set(e, SX_EEXIST, "member %016llx exists", (unsigned long long)id);
    if (find_address(m, address))
        return sx_err_set(e, SX_EEXIST, "address %s is used by a member", address);
    if (m->n == SX_MEMBERS_MAX)
        return sx_err_set(e, SX_ETOOMANY, "%u members already", m->n);
    m->v = sx_realloc(m->v, (m->n + 1) * sizeof *m->v);
    m->v[m->n++] = (struct sx_member){ id, role, sx_strdup(address) };
    return 0;
}

void sx_members_remove(struct sx_members *m, uint64_t id)
{
    struct sx_member *x = sx_members_find(m, id);

    if (!x)
        return;
    free(x->address);
    m->n--;
    memmove(x, x + 1, (size_t)(m->v + m->n - x) * sizeof *x);
}

unsigned sx_members_voters(const struct sx_members *m)
{
    unsigned n = 0;

    for (unsigned i = 0; i < m->n; i++)
        n += m->v[i].role == SX_ROLE_VOTER;
    return n;
}

void sx_members_copy(struct sx_members *to, const struct sx_members *from)
{
    struct sx_members c = { from->n ? sx_calloc(from->n, sizeof *from->v) : NULL, from->n };

    for (unsigned i = 0; i < from->n; i++)
        c.v[i] = (struct sx_member){ from->v[i].id, from->v[i].role,
                                     sx_strdup(from->v[i].address) };
    sx_members_fini(to);
    *to = c;
}

void sx_members_encode(const struct sx_members *m, struct sx_buf *out)
{
    size_t start = out->len;

    sx_buf_u8(out, FORMAT);
    sx_buf_u64(out, m->n);
    for (unsigned i = 0; i < m->n; i++) {
        sx_buf_u64(out, m->v[i].id);
        sx_buf_add(out, m->v[i].address, strlen(m->v[i].address) + 1);
        sx_buf_u8(out, (uint8_t)m->v[i].role);
    }
    while ((out->len - start) % 8)
        sx_buf_u8(out, 0);
}

static int decode_member(struct sx_members *m, struct sx_cur *c, struct sx_err *e)
{
    uint64_t id = sx_cur_u64(c);
    const void *end = c->bad ? NULL : memchr(c->p, 0, c->left);
    const char *address = (const char *)c->p;
    uint8_t role;

    if (!end)
        return sx_err_set(e, SX_EMALFORMED, "list of members is cut short");
    sx_cur_take(c, (size_t)((const uint8_t *)end - c->p) + 1);
    role = sx_cur_u8(c);
    if (c->bad)
        return sx_err_set(e, SX_EMALFORMED, "list of members is cut short");
    if (sx_members_add(m, id, address, (enum sx_member_role)role, e)) {
        if (e)
            e->code = SX_EMALFORMED;
        return sx_err_wrap(e, "list of members");
    }
    return 0;
}

static int decode_all(struct sx_members *m, struct sx_cur *c, struct sx_err *e)
{
    uint8_t format = sx_cur_u8(c);
    uint64_t n = sx_cur_u64(c);

    if (c->bad || format != FORMAT || n == 0 || n > SX_MEMBERS_MAX)
        return sx_err_set(e, SX_EMALFORMED, "list of members: format %u, %llu members", format,
                          (unsigned long long)n);
    for (uint64_t i = 0; i < n; i++)
        if (decode_member(m, c, e))
            return -1;
    if (c->left > 7)
        return sx_err_set(e, SX_EMALFORMED, "list of members: %zu bytes too many", c->left);
    while (c->left)
        if (sx_cur_u8(c))
            return sx_err_set(e, SX_EMALFORMED, "list of members: padding is not 0");
    return 0;
}

int sx_members_decode(struct sx_members *m, const void *p, size_t n, struct sx_err *e)
{
    SX_AUTO(sx_members) struct sx_members got = SX_MEMBERS_INIT;
    struct sx_cur c = sx_cur_of(p, n);

    if (n < HEADER || n % 8 || n > SX_MEMBERS_BYTES_MAX)
        return sx_err_set(e, SX_EMALFORMED, "list of members has %zu bytes", n);
    if (decode_all(&got, &c, e))
        return -1;
    sx_members_fini(m);
    *m = got;
    got = (struct sx_members)SX_MEMBERS_INIT;
    return 0;
}
