/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * How the rest of the daemon uses the replicated metadata: submit a command, wait for a
 * linearizable state, read the local database.  This is the only header of meta/ that workers and
 * managers need beside command.h (what can be submitted) and query.h (what can be read).
 *
 * A `struct sx_meta` is a process's connection to its node's group manager and its read-only
 * database handles.  One thread at a time.  It survives restarts of the group manager: calls
 * reconnect, and wait up to their time-out.
 */
#ifndef SX_FCGI_META_META_H
#define SX_FCGI_META_META_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "libsx/base/buf.h"
#include "libsx/base/err.h"
#include "libsx/base/json.h"

#define SX_OP_ID 16
#define SX_META_TIMEOUT_MS 10000

struct sx_meta;

/* `dir` is the node's directory.  Makes no connection yet.  After fork only. */
struct sx_meta *sx_meta_new(const char *dir);
void sx_meta_free(struct sx_meta *m);

/* Submits one command (as encoded by command.h: op id, user, type, body) to a group and waits until the local
 * database has applied it.  0: applied, `result` holds the payload that applying gave (its
 * shape is the command's).  -1: either the state machine refused (its code and message), or SX_ENOLEADER,
 * SX_ETIMEOUT, SX_EUNAVAIL: then the outcome is not known, and the same op id may be submitted again. */
int sx_meta_submit(struct sx_meta *m, unsigned group, const struct sx_buf *command,
                   struct sx_buf *result, unsigned timeout_ms, struct sx_err *e) SX_MUST_CHECK;

/* One of many commands. */
struct sx_submission {
    const struct sx_buf *command; /* at most SX_COMMAND_MAX */
    struct sx_buf *result;        /* filled if err.code is SX_OK */
    struct sx_err err;            /* why it was refused, or that its outcome is not known */
    bool answered;
};

#define SX_META_SUBMIT_MAX 256u

/* Submits n (1 … SX_META_SUBMIT_MAX) commands together: they are applied in their order, as a rule in
 * one entry, and each has its own result.  0: all have one.  -1: those that are not `answered` have
 * an unknown outcome; all may be submitted again with the same op ids. */
int sx_meta_submit_all(struct sx_meta *m, unsigned group, struct sx_submission *all, size_t n,
                       unsigned timeout_ms, struct sx_err *e) SX_MUST_CHECK;

/* Waits until the local database holds everything that was acknowledged before this call. */
int sx_meta_sync(struct sx_meta *m, unsigned group, unsigned timeout_ms, struct sx_err *e) SX_MUST_CHECK;

/* The group's database, read-only; valid until the next call of sx_meta_db() (the file may have been
 * replaced by an installed snapshot).  Keep read transactions short. */
int sx_meta_db(struct sx_meta *m, unsigned group, sqlite3 **db, struct sx_err *e) SX_MUST_CHECK;

/* Was a damaged page found in a database of this node?  A copy from another node is on its way then,
 * if there is one. */
bool sx_meta_damaged(const struct sx_meta *m);

/* The manager's view: {"groups":[{"group","state","term","leader","applied","commit","log_first","log_last",
 * "voters":[…],"standby":[…]}],"peers":[{"node","connected","silent_ms"}]}. */
int sx_meta_status(struct sx_meta *m, json_t **status, struct sx_err *e) SX_MUST_CHECK;

/* True if this node leads the group now (a hint, for choosing who does background work). */
int sx_meta_is_leader(struct sx_meta *m, unsigned group, bool *leader, struct sx_err *e) SX_MUST_CHECK;

unsigned sx_meta_groups(void);                       /* number of groups */
unsigned sx_meta_group_of_volume(uint64_t volume_id); /* where a volume's files live */
#define SX_META_GROUP_CLUSTER 0u                     /* nodes, users, volumes, settings, jobs */

#endif
