/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Drives one consensus group: gives the pure machine (raft/group.h) its clock, its files (stable.h),
 * snapshots and database (apply.h).  All in the loop's thread; disks are waited for in others.  No call into the group
 * is made from one of the group's effects: what an effect asks for is done here or noted down.
 */
#ifndef SX_FCGI_META_MANAGER_DRIVE_H
#define SX_FCGI_META_MANAGER_DRIVE_H

#include <openssl/ssl.h>

#include "fcgi/conf.h"
#include "fcgi/meta/manager/apply.h"
#include "fcgi/meta/manager/loop.h"
#include "fcgi/meta/raft/group.h"

struct sx_drive;

struct sx_drive_ops {
    /* To another member; may be lost.  The address may be empty or NULL: not known to the group. */
    void (*on_send)(void *ctx, uint64_t to, const char *address, const void *msg, size_t n);
    /* Where a node is reached, if the links know; NULL: no. */
    const char *(*address_of)(void *ctx, uint64_t id);
    /* State, term, leader or readiness changed: see sx_drive_status(). */
    void (*on_state)(void *ctx);
    /* End of sx_drive_read(): SX_OK and the index to wait for, or SX_ENOLEADER. */
    void (*on_read)(void *ctx, uint64_t tag, int code, uint64_t index);
    void (*on_changed)(void *ctx, uint64_t tag, int code); /* end of sx_drive_change() */
    void (*on_removed)(void *ctx);
    /* See apply.h. */
    void (*on_result)(void *ctx, const uint8_t op[SX_OP_ID], int code, const void *p, size_t n);
    void (*on_applied)(void *ctx, uint64_t index);
    void (*on_nodes)(void *ctx, const struct sx_node *nodes, size_t n);
    /* The process must end; SX_ECORRUPT and SX_EBUG: and not be started again by itself. */
    void (*on_fatal)(void *ctx, const struct sx_err *e);
};

struct sx_drive_params {
    struct sx_loop *loop;
    const struct sx_node_conf *conf;
    SSL_CTX *tls;        /* for fetching a database */
    const char *address; /* where this node's links listen */
    unsigned group;
    const struct sx_drive_ops *ops;
    void *ctx;
};

/* Opens log, vote, snapshot and database below DIR/meta and starts the group.  Begins a new
 * group, with this node as the only member, if there is nothing of an old one and `found_new` is
 * true. Keeps pointers to conf, tls, address. */
struct sx_drive *sx_drive_new(const struct sx_drive_params *p, bool found_new, struct sx_err *e) SX_MUST_CHECK;
void sx_drive_free(struct sx_drive *d);

/* Errors of the four: as in raft/group.h.  An entry is made with command.h; its time is set
 * here (logtime.h). */
int sx_drive_submit(struct sx_drive *d, struct sx_buf *entry, struct sx_err *e) SX_MUST_CHECK;
int sx_drive_read(struct sx_drive *d, uint64_t tag, struct sx_err *e) SX_MUST_CHECK;
int sx_drive_change(struct sx_drive *d, enum sx_group_change what, uint64_t id, const char *address,
                    uint64_t tag, struct sx_err *e) SX_MUST_CHECK;
int sx_drive_transfer(struct sx_drive *d, struct sx_err *e) SX_MUST_CHECK;

void sx_drive_receive(struct sx_drive *d, uint64_t from, const void *msg, size_t n);

void sx_drive_status(const struct sx_drive *d, struct sx_group_status *s);
bool sx_drive_leads(const struct sx_drive *d);
bool sx_drive_can_hand_over(const struct sx_drive *d); /* it leads, and there is another voter */
const struct sx_members *sx_drive_members(const struct sx_drive *d);
uint64_t sx_drive_match(const struct sx_drive *d, uint64_t id); /* see sx_group_match() */
uint64_t sx_drive_applied(const struct sx_drive *d);
const char *sx_drive_db_path(const struct sx_drive *d);
/* An entry that was submitted is not on this node's disk yet: what comes now is better gathered
 * for the next. */
bool sx_drive_busy(const struct sx_drive *d);

#endif
