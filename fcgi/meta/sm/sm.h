/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The state machine of a consensus group: a SQLite database and the rules by which the entries of
 * the log change it.  Deterministic: equal entries give equal content, on every node, in whatever
 * way they are grouped into transactions; it takes no clock and no random number from where it
 * runs.
 *
 * Life: open → (begin → apply or note, any number → commit) … → close.  One thread.  The manager's
 * apply thread is the only writer of the file; everybody else reads it through query.h.
 *
 * The database is in WAL mode with synchronous=NORMAL: a commit is atomic but may be lost
 * with the power; the log is the truth, and what was lost is applied again from it.  Nothing
 * checkpoints by itself: sx_sm_checkpoint().
 *
 * A refused command changes nothing but table op.  A function that returns -1 (full disk, damage,
 * an entry that cannot be read) leaves the transaction open: roll back, and do not go on with the
 * next entry.
 */
#ifndef SX_FCGI_META_SM_SM_H
#define SX_FCGI_META_SM_SM_H

#include <sqlite3.h>
#include <stdint.h>

#include "fcgi/meta/command.h"

struct sx_sm;

/* The result of one command: code SX_OK or the refusal, its message ("" if SX_OK), the payload.
 * Called from sx_sm_commit(), after the transaction, in the order of the commands, duplicates of an
 * op id included.  Pointers are valid during the call. */
typedef void sx_sm_result_fn(void *arg, const uint8_t op[SX_OP_ID], int code, const char *msg,
                             const void *payload, size_t n);

/* Opens or creates the database at `path`.  `cache_kib` bounds the page cache (0: 64 MiB).
 * `fn` may be NULL. */
int sx_sm_open(const char *path, unsigned cache_kib, sx_sm_result_fn *fn, void *arg,
               struct sx_sm **sm, struct sx_err *e) SX_MUST_CHECK;
void sx_sm_close(struct sx_sm *sm); /* rolls an open transaction back */

/* Index and term of the last entry applied (committed or not); 0, 0 for a new database. */
void sx_sm_applied(const struct sx_sm *sm, uint64_t *index, uint64_t *term);
uint64_t sx_sm_time(const struct sx_sm *sm); /* of that entry, ms; 0 for a new database */

int sx_sm_begin(struct sx_sm *sm, struct sx_err *e) SX_MUST_CHECK;
/* Applies the entry at `index`.  An index that was applied before is skipped. */
int sx_sm_apply(struct sx_sm *sm, const void *entry, size_t n, uint64_t index, uint64_t term,
                struct sx_err *e) SX_MUST_CHECK;
/* Notes an entry without commands (barrier, configuration). */
int sx_sm_note(struct sx_sm *sm, uint64_t index, uint64_t term, struct sx_err *e) SX_MUST_CHECK;
int sx_sm_commit(struct sx_sm *sm, struct sx_err *e) SX_MUST_CHECK;
void sx_sm_rollback(struct sx_sm *sm);

/* The recorded result of an op id: 1 found (msg and payload replaced), 0 not, -1 error. */
int sx_sm_op_find(struct sx_sm *sm, const uint8_t op[SX_OP_ID], int *code, struct sx_buf *msg,
                  struct sx_buf *payload, struct sx_err *e) SX_MUST_CHECK;

/* Moves the write-ahead log of SQLite into the database and syncs it; not inside a transaction.
 * With `truncate` the log file is emptied, which waits for readers (at most 5 s); without, what can
 * be moved is moved. */
int sx_sm_checkpoint(struct sx_sm *sm, bool truncate, struct sx_err *e) SX_MUST_CHECK;

sqlite3 *sx_sm_db(struct sx_sm *sm); /* for reading and for VACUUM INTO; not inside a transaction */

/* For tests and `check`: SHA-256 over the content of all tables, in order; equal states, equal
 * digests. */
int sx_sm_digest(sqlite3 *db, uint8_t digest[32], struct sx_err *e) SX_MUST_CHECK;
/* Recounts what is kept twice (usage, references against block lists, revision counts).
 * SX_ECORRUPT names the first difference. */
int sx_sm_check(sqlite3 *db, struct sx_err *e) SX_MUST_CHECK;

#endif
