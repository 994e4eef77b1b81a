/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The reference to a snapshot: up to which entry a group's database holds everything, so that the
 * log before it is not needed.  The content of the snapshot is the database itself.
 * Byte by byte in docs/formats.md.
 */
#ifndef SX_META_RAFT_SNAPREF_H
#define SX_META_RAFT_SNAPREF_H

#include <stdbool.h>
#include <stdint.h>

#include "fcgi/meta/raft/members.h"
#include "libsx/io/io.h"

struct sx_snapref {
    uint64_t index; /* last entry that is in the database; 0: there is no snapshot */
    uint64_t term;  /* of that entry */
    uint64_t members_index; /* of the last committed SX_ENTRY_CHANGE entry up to `index` */
    struct sx_members members;
};

#define SX_SNAPREF_INIT { 0, 0, 0, SX_MEMBERS_INIT }

void sx_snapref_fini(struct sx_snapref *s);
void sx_snapref_copy(struct sx_snapref *to, const struct sx_snapref *from); /* replaces `to` */

/* Durable on success; after a failure or crash the old reference is whole. */
int sx_snapref_save(const struct sx_io *io, const char *path, uint32_t group,
                    const struct sx_snapref *s, struct sx_err *e) SX_MUST_CHECK;
/* Replaces `s`.  No file: index 0.  SX_ECORRUPT for a damaged file or that of another group. */
int sx_snapref_load(const struct sx_io *io, const char *path, uint32_t group, struct sx_snapref *s,
                    struct sx_err *e) SX_MUST_CHECK;

#endif
