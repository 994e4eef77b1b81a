/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The members of a consensus group and their coded form, which is the content of a
 * SX_ENTRY_CHANGE entry and of a snapshot reference.  Byte by byte in docs/formats.md.
 */
#ifndef SX_META_RAFT_MEMBERS_H
#define SX_META_RAFT_MEMBERS_H

#include <stddef.h>
#include <stdint.h>

#include "libsx/base/buf.h"
#include "libsx/base/err.h"

enum sx_member_role {
    SX_ROLE_STANDBY = 0, /* gets the log, has no vote */
    SX_ROLE_VOTER = 1,
    SX_ROLE_SPARE = 2 /* listed only */
};

struct sx_member {
    uint64_t id; /* random, never 0, never used again */
    enum sx_member_role role;
    char *address; /* "host:port", text for the manager's links */
};

struct sx_members {
    struct sx_member *v;
    unsigned n;
};

#define SX_MEMBERS_MAX 255u
#define SX_MEMBER_ADDRESS_MAX 255u /* bytes */
/* Length of the coded form of as many members as there can be. */
#define SX_MEMBERS_BYTES_MAX (16u + SX_MEMBERS_MAX * (10u + SX_MEMBER_ADDRESS_MAX))

#define SX_MEMBERS_INIT { NULL, 0 }

void sx_members_fini(struct sx_members *m);
/* SX_EEXIST if the id or the address is listed already, SX_EINVAL for id 0, an empty or too
 * long address, SX_ETOOMANY beyond SX_MEMBERS_MAX.  Copies the address. */
int sx_members_add(struct sx_members *m, uint64_t id, const char *address, enum sx_member_role role,
                   struct sx_err *e) SX_MUST_CHECK;
void sx_members_remove(struct sx_members *m, uint64_t id);
struct sx_member *sx_members_find(const struct sx_members *m, uint64_t id); /* NULL: not there */
unsigned sx_members_voters(const struct sx_members *m);
void sx_members_copy(struct sx_members *to, const struct sx_members *from); /* replaces `to` */

/* Appends the coded form. */
void sx_members_encode(const struct sx_members *m, struct sx_buf *out);
/* Replaces `m`.  Everything is checked: version, counts, lengths, roles, doubles, padding;
 * SX_EMALFORMED says what is wrong. */
int sx_members_decode(struct sx_members *m, const void *p, size_t n,
                      struct sx_err *e) SX_MUST_CHECK;

#endif
