/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * An entry of a consensus group's log, as group, write-ahead log and manager pass it around, and
 * the limits that all of them keep.
 */
#ifndef SX_META_RAFT_ENTRY_H
#define SX_META_RAFT_ENTRY_H

#include <stdint.h>

enum sx_entry_type {
    SX_ENTRY_COMMAND = 1, /* for the state machine */
    SX_ENTRY_BARRIER = 2, /* of the leader that was elected: no content for the state machine */
    SX_ENTRY_CHANGE = 3   /* members of the group, see members.h */
};

struct sx_entry {
    uint64_t index; /* from 1 */
    uint64_t term;
    uint8_t type; /* enum sx_entry_type */
    uint32_t len;
    const uint8_t *data;
};

/* An entry is filled up to SX_ENTRY_FILL and may then be longer by one command, so that a batch
 * need not be cut in the middle. */
#define SX_ENTRY_FILL (1u << 20)
#define SX_ENTRY_COMMAND_MAX (1u << 20)
#define SX_LOG_ENTRY_MAX (SX_ENTRY_FILL + SX_ENTRY_COMMAND_MAX)

#endif
