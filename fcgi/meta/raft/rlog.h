/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a group remembers of its log: term, type and length of each entry from `first` to `last`,
 * and the data of the newest ones, up to a limit; older data is read from the write-ahead log.
 * Data that is not yet on disk is never dropped.
 */
#ifndef SX_META_RAFT_RLOG_H
#define SX_META_RAFT_RLOG_H

#include <stddef.h>
#include <stdint.h>

#include "fcgi/meta/raft/entry.h"

struct sx_rlog_item {
    uint64_t term;
    uint32_t len;
    uint8_t type;
    uint8_t *data; /* NULL: only on disk */
};

struct sx_rlog {
    uint64_t first; /* index of item[head] */
    size_t n;
    struct sx_rlog_item *item; /* ring */
    size_t head, cap;
    uint64_t cached;   /* bytes of data in memory */
    uint64_t oldest;   /* no data in memory before this index */
    uint64_t limit;    /* of `cached` */
    uint64_t mark, marked; /* bytes of data, in memory or not, of the entries behind `mark` */
};

void sx_rlog_init(struct sx_rlog *l, uint64_t first, uint64_t limit);
void sx_rlog_fini(struct sx_rlog *l);
/* Forgets everything; the next entry will be `first`. */
void sx_rlog_reset(struct sx_rlog *l, uint64_t first);

static inline uint64_t sx_rlog_last(const struct sx_rlog *l)
{
    return l->first + l->n - 1;
}

/* NULL: not in the log. */
struct sx_rlog_item *sx_rlog_get(const struct sx_rlog *l, uint64_t index);
uint64_t sx_rlog_term(const struct sx_rlog *l, uint64_t index); /* 0: not in the log */

/* Adds the entry last + 1 (asserted); copies the data. */
void sx_rlog_append(struct sx_rlog *l, const struct sx_entry *e);
void sx_rlog_truncate(struct sx_rlog *l, uint64_t from); /* drops `from` and what follows */
void sx_rlog_cut(struct sx_rlog *l, uint64_t first);     /* drops what is before `first` */
/* Drops data of the oldest entries while there is more than the limit; `stored`: last entry on
 * disk. */
void sx_rlog_evict(struct sx_rlog *l, uint64_t stored);

/* Bytes of data of the entries behind `index`; takes time with their number. */
uint64_t sx_rlog_bytes_after(const struct sx_rlog *l, uint64_t index);
void sx_rlog_mark(struct sx_rlog *l, uint64_t index);

#endif
