/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Inside of the state machine: what its files share.  Handlers of commands get the caller and the
 * entry's time from the struct.  A handler returns 0, or -1 with the refusal in `e`; an error of
 * the database also sets `broken`, and then the entry as a whole fails.
 *
 * sm.c         transactions, entries, table op       cluster.c  init, nodes, tokens, settings
 * schema.c     tables                                expire.c   removal of what has had its day
 * access.c     who may do what                       users.c, volumes.c, files.c, uploads.c, jobs.c
 * content.c    block lists and references            revisions.c  tables file and old
 * usage.c      what volumes and owners may use       trim.c       revisions too many
 * holds.c      object lock                            multipart.c  uploads in numbered parts
 * pins.c       contents that are being read           check.c      digest, recount
 */
#ifndef SX_FCGI_META_SM_SM_INT_H
#define SX_FCGI_META_SM_SM_INT_H

#include <openssl/evp.h>
#include <stdbool.h>

#include "fcgi/meta/query.h"
#include "fcgi/meta/sm/db.h"
#include "fcgi/meta/sm/sm.h"
#include "libsx/base/mem.h"

#define SX_SM_STMTS 512u /* slots for statements; a power of two, at least twice what is used */

struct sx_sm {
    sqlite3 *db;
    struct {
        const char *sql; /* by address */
        sqlite3_stmt *st;
    } stmts[SX_SM_STMTS];
    sx_sm_result_fn *fn;
    void *arg;
    struct sx_buf results; /* of this transaction */
    EVP_MD *sha256;
    EVP_MD_CTX *md;
    uint64_t index, term;
    uint64_t time_ms; /* of the entry that is, or was last, applied; ascends */
    uint64_t jump_ms; /* to which time it last went on by more than passes between two entries */
    bool in_transaction;
    bool broken; /* the database failed: nothing but rollback makes sense */

    /* of the command that is being applied */
    uint64_t num;        /* index << 16 | position: revision, content and job numbers */
    const char *user;    /* "": the cluster */
    bool admin;          /* the user is an administrator, or the cluster */
    struct sx_buf *out;  /* payload */
};

typedef int sx_sm_handler(struct sx_sm *sm, const struct sx_span *body, struct sx_err *e);

#define X(NAME, name, number) sx_sm_handler sx_sm_do_##name;
SX_CMD_LIST(X)
#undef X

/* Creates the tables, or those that an older version lacks.  SX_EVERSION. */
int sx_sm_schema(sqlite3 *db, struct sx_err *e) SX_MUST_CHECK;

/* Runs a statement that gives no row. */
int sx_sm_run(struct sx_sm *sm, struct sx_err *e, const char *sql, const char *format,
              ...) SX_MUST_CHECK;
/* First row: 1, with *st to be reset by the caller; 0 none; -1 error. */
int sx_sm_row(struct sx_sm *sm, struct sx_err *e, sqlite3_stmt **st, const char *sql,
              const char *format, ...) SX_MUST_CHECK;
int sx_sm_next(struct sx_sm *sm, struct sx_err *e, sqlite3_stmt *st) SX_MUST_CHECK;
/* The number in the first column of the only row; `dflt` without a row. */
int sx_sm_number(struct sx_sm *sm, struct sx_err *e, uint64_t *v, uint64_t dflt, const char *sql,
                 const char *format, ...) SX_MUST_CHECK;

/* ---- access.c ---- */

int sx_sm_caller(struct sx_sm *sm, const char *user, struct sx_err *e) SX_MUST_CHECK;
int sx_sm_need_cluster(struct sx_sm *sm, struct sx_err *e) SX_MUST_CHECK;
int sx_sm_need_admin(struct sx_sm *sm, struct sx_err *e) SX_MUST_CHECK;
/* The volume with the caller's rights; SX_ENOVOLUME if he has none, SX_EACCESS if he lacks one of
 * `need`. */
int sx_sm_volume(struct sx_sm *sm, const char *name, unsigned need, struct sx_volume *v,
                 struct sx_err *e) SX_MUST_CHECK;
int sx_sm_volume_id(struct sx_sm *sm, uint64_t id, unsigned need, struct sx_volume *v,
                    struct sx_err *e) SX_MUST_CHECK;
/* SX_ECONFLICT while a job removes the volume. */
int sx_sm_volume_takes(const struct sx_volume *v, struct sx_err *e) SX_MUST_CHECK;
/* SX_ENOUSER. */
int sx_sm_user_exists(struct sx_sm *sm, const char *name, struct sx_err *e) SX_MUST_CHECK;

/* ---- cluster.c ---- */

int sx_sm_node_count(struct sx_sm *sm, uint64_t *n, struct sx_err *e) SX_MUST_CHECK;
int sx_sm_epoch(struct sx_sm *sm, uint64_t *epoch, struct sx_err *e) SX_MUST_CHECK;

/* ---- users.c ---- */

int sx_sm_user_create(struct sx_sm *sm, const struct sx_cmd_user_add *u,
                      struct sx_err *e) SX_MUST_CHECK;

/* ---- content.c ---- */

/* Sum and count of a run of entries; SX_EINVAL if a length is out of bounds. */
int sx_content_measure(const struct sx_span *entries, uint64_t *size, uint64_t *blocks,
                       struct sx_err *e) SX_MUST_CHECK;
void sx_content_etag(struct sx_sm *sm, const struct sx_span *entries, uint8_t etag[SX_ETAG_SIZE]);
/* One of the contents that a joint content is made of. */
struct sx_joint {
    uint64_t content, blocks, size;
    unsigned number; /* of the part that it was */
};
/* Etag over the block lists of stored contents, one behind the other. */
int sx_content_etag_joint(struct sx_sm *sm, const struct sx_joint *joints, size_t n,
                          uint8_t etag[SX_ETAG_SIZE], struct sx_err *e) SX_MUST_CHECK;
/* Etag over all parts of a stored content. */
int sx_content_etag_stored(struct sx_sm *sm, uint64_t content, uint8_t etag[SX_ETAG_SIZE],
                           struct sx_err *e) SX_MUST_CHECK;
/* A finished content of just these entries, inline or not; *id = 0 if none is found.  Lists that
 * are longer than a part are not looked for. */
int sx_content_find(struct sx_sm *sm, const struct sx_span *entries, bool is_inline, uint64_t *id,
                    struct sx_err *e) SX_MUST_CHECK;
/* A new content, which has one user. */
struct sx_content_new {
    uint64_t id;
    unsigned replica;
    const uint8_t *etag; /* SX_ETAG_SIZE bytes; NULL: not known before sx_content_finish() */
};

int sx_content_add_inline(struct sx_sm *sm, const struct sx_content_new *c,
                          const struct sx_span *record, struct sx_err *e) SX_MUST_CHECK;
int sx_content_add_list(struct sx_sm *sm, const struct sx_content_new *c,
                        const struct sx_span *entries, struct sx_err *e) SX_MUST_CHECK;
/* An upload, which parts are added to. */
int sx_content_add_empty(struct sx_sm *sm, const struct sx_content_new *c,
                         struct sx_err *e) SX_MUST_CHECK;
/* It is `n` others one behind the other, and takes over the one use of each that the caller has. */
int sx_content_join(struct sx_sm *sm, const struct sx_content_new *c, const struct sx_joint *joints,
                    size_t n, struct sx_err *e) SX_MUST_CHECK;
/* The upload has all its parts: from now on others may use the content. */
int sx_content_finish(struct sx_sm *sm, uint64_t id, const uint8_t etag[SX_ETAG_SIZE],
                      struct sx_err *e) SX_MUST_CHECK;
int sx_content_add_part(struct sx_sm *sm, uint64_t id, uint64_t seq, uint64_t first,
                        uint64_t offset, const struct sx_span *entries,
                        struct sx_err *e) SX_MUST_CHECK;
/* One more user that is no revision. */
int sx_content_hold(struct sx_sm *sm, uint64_t id, struct sx_err *e) SX_MUST_CHECK;
/* One more user, in a volume with that replica count; content 0 is nothing. */
int sx_content_use(struct sx_sm *sm, uint64_t id, unsigned replica, struct sx_err *e) SX_MUST_CHECK;
int sx_content_replica(struct sx_sm *sm, uint64_t id, unsigned replica,
                       struct sx_err *e) SX_MUST_CHECK;
/* One user less.  The last one's list goes at once if it is short, else by expire. */
int sx_content_drop(struct sx_sm *sm, uint64_t id, struct sx_err *e) SX_MUST_CHECK;
/* Removes doomed lists; takes what it did from *budget. */
int sx_content_expire(struct sx_sm *sm, uint64_t *budget, struct sx_err *e) SX_MUST_CHECK;

/* ---- revisions.c ---- */

/* A row of table file. */
struct sx_frow {
    struct sx_file f; /* path as given; meta in `mem` */
    uint64_t ord;     /* order number; revisions in table old have smaller ones */
    uint64_t changed; /* number of the command that put or moved it */
    uint64_t older;   /* rows in table old */
    struct sx_buf mem;
};

#define SX_FROW_INIT { .mem = SX_BUF_INIT }
void sx_frow_fini(struct sx_frow *r);

/* 1 found, perhaps as a marker; 0 not, -1 error. */
int sx_frow_find(struct sx_sm *sm, const struct sx_volume *v, const char *path, struct sx_frow *r,
                 struct sx_err *e) SX_MUST_CHECK;
/* One revision, newest or old, that is no marker: SX_ENOFILE, SX_ENOREVISION.  `rev` 0: the
 * newest. */
int sx_frow_revision(struct sx_sm *sm, const struct sx_volume *v, const char *path, uint64_t rev,
                     struct sx_frow *r, struct sx_err *e) SX_MUST_CHECK;
/* The same, markers too. */
int sx_frow_any(struct sx_sm *sm, const struct sx_volume *v, const char *path, uint64_t rev,
                struct sx_frow *r, struct sx_err *e) SX_MUST_CHECK;
/* The revision that is the null version of the file, whose newest one is r: SX_ENOREVISION. */
int sx_frow_null(struct sx_sm *sm, const struct sx_volume *v, const struct sx_frow *r,
                 uint64_t *rev, struct sx_err *e) SX_MUST_CHECK;
/* What a new revision has from the command and the volume: number, time, null or not, and what holds
 * it (hold 0: the volume's default).  SX_EINVAL, SX_ECONFLICT. */
int sx_frow_stamp(const struct sx_sm *sm, const struct sx_volume *v, uint8_t hold,
                  uint64_t retain_ms, struct sx_file *f, struct sx_err *e) SX_MUST_CHECK;
/* SX_ELOCKED if the revision is held; `bypass`: governance does not count. */
int sx_frow_locked(const struct sx_sm *sm, const struct sx_file *f, bool bypass,
                   struct sx_err *e) SX_MUST_CHECK;
/* The same of all revisions of the file whose newest one is r. */
int sx_frow_any_locked(struct sx_sm *sm, const struct sx_volume *v, const struct sx_frow *r,
                       struct sx_err *e) SX_MUST_CHECK;
/* Writes metadata items, hold and retention of a revision that is there. */
int sx_frow_facts_write(struct sx_sm *sm, const struct sx_volume *v, const struct sx_file *f,
                        struct sx_err *e) SX_MUST_CHECK;
int sx_frow_hold_check(const struct sx_sm *sm, const struct sx_volume *v, uint8_t hold,
                       uint64_t retain_ms, struct sx_err *e) SX_MUST_CHECK;
/* SX_EQUOTA unless a new revision of `size` bytes fits after trimming.  `old` NULL: a new file. */
int sx_frow_room(struct sx_sm *sm, const struct sx_volume *v, const struct sx_frow *old,
                 uint64_t size, struct sx_err *e) SX_MUST_CHECK;
/* Makes f the newest revision of v/path, trims, counts usage. */
int sx_frow_push(struct sx_sm *sm, struct sx_volume *v, const char *path, const struct sx_frow *old,
                 const struct sx_file *f, struct sx_err *e) SX_MUST_CHECK;
/* What deleting a file means in its volume: a marker on top (*n 0), or all revisions go. */
int sx_frow_delete(struct sx_sm *sm, struct sx_volume *v, const char *path, const struct sx_frow *r,
                   uint64_t *n, struct sx_err *e) SX_MUST_CHECK;
/* Deletes the file with all its revisions; *n their number.  SX_ELOCKED. */
int sx_frow_purge(struct sx_sm *sm, struct sx_volume *v, const char *path, const struct sx_frow *r,
                  uint64_t *n, struct sx_err *e) SX_MUST_CHECK;
/* Deletes one revision.  SX_ELOCKED; `bypass`: governance does not count. */
int sx_frow_delete_one(struct sx_sm *sm, struct sx_volume *v, const char *path,
                       const struct sx_frow *r, uint64_t rev, bool bypass,
                       struct sx_err *e) SX_MUST_CHECK;
/* Moves v/path with all revisions to w/to; may leave half of the work on a refusal (SX_EQUOTA). */
int sx_frow_move(struct sx_sm *sm, struct sx_volume *v, const char *path, struct sx_volume *w,
                 const char *to, struct sx_err *e) SX_MUST_CHECK;
/* ---- trim.c ---- */

/* Rows that table old may have of one file. */
uint64_t sx_frow_old_max(const struct sx_volume *v);
/* The oldest rows of old go until there are `keep`; *older, their number, and *bytes, what has gone,
 * follow. */
int sx_frow_trim(struct sx_sm *sm, uint64_t volume, const char *path, uint64_t *older, uint64_t keep,
                 uint64_t *bytes, struct sx_err *e) SX_MUST_CHECK;
/* Trims the files of a volume whose revision count was lowered. */
int sx_frow_expire(struct sx_sm *sm, uint64_t *budget, struct sx_err *e) SX_MUST_CHECK;

/* ---- usage.c ---- */

/* Counts for the volume, here and in its row, and for its owner. */
int sx_usage_add(struct sx_sm *sm, struct sx_volume *v, int64_t bytes, int64_t files,
                 struct sx_err *e) SX_MUST_CHECK;
/* SX_EQUOTA unless the quota has room for `more` bytes beside those used, but for `counted`, which are
 * part of them already. */
int sx_usage_volume_room(const struct sx_volume *v, uint64_t counted, uint64_t more,
                         struct sx_err *e) SX_MUST_CHECK;
int sx_usage_owner_room(struct sx_sm *sm, const struct sx_volume *v, uint64_t counted, uint64_t more,
                        struct sx_err *e) SX_MUST_CHECK;

/* ---- files.c ---- */

/* SX_PUT_IF_NONE_MATCH and SX_PUT_IF_REV of `flags`; `was` is NULL if there is no file. */
int sx_sm_file_conditions(const char *path, unsigned flags, uint64_t if_rev,
                          const struct sx_file *was, struct sx_err *e) SX_MUST_CHECK;

/* ---- uploads.c, jobs.c, volumes.c ---- */

/* Gives up the uploads into a volume, or of a user. */
int sx_sm_uploads_drop_volume(struct sx_sm *sm, uint64_t volume, struct sx_err *e) SX_MUST_CHECK;
int sx_sm_uploads_drop_user(struct sx_sm *sm, const char *user, struct sx_err *e) SX_MUST_CHECK;

struct sx_uprow {
    uint64_t volume, content, parts, blocks, size;
    char path[SX_PATH_MAX + 1];
};

/* SX_ENOUPLOAD if there is none or it is another user's. */
int sx_sm_upload_find(struct sx_sm *sm, const uint8_t id[SX_UPLOAD_ID], struct sx_uprow *u,
                      struct sx_err *e) SX_MUST_CHECK;
/* Removes the row; the content stays with its one user. */
int sx_sm_upload_forget(struct sx_sm *sm, const uint8_t id[SX_UPLOAD_ID],
                        struct sx_err *e) SX_MUST_CHECK;
/* ---- multipart.c ---- */

struct sx_multipart {
    struct sx_volume v;
    char path[SX_PATH_MAX + 1];
};

/* SX_ENOUPLOAD if there is none; SX_EACCESS for who may not write into its volume. */
int sx_sm_multipart_find(struct sx_sm *sm, const uint8_t id[SX_UPLOAD_ID], struct sx_multipart *mp,
                         struct sx_err *e) SX_MUST_CHECK;
/* Gives up all parts that an upload has. */
int sx_mparts_drop(struct sx_sm *sm, const uint8_t id[SX_UPLOAD_ID],
                   struct sx_err *e) SX_MUST_CHECK;

/* SX_ELEASE unless the lease is above the horizon. */
int sx_sm_lease_check(struct sx_sm *sm, uint64_t lease, struct sx_err *e) SX_MUST_CHECK;
int sx_sm_uploads_expire(struct sx_sm *sm, uint64_t *budget, struct sx_err *e) SX_MUST_CHECK;

/* ---- pins.c ---- */

int sx_sm_pins_expire(struct sx_sm *sm, uint64_t *budget, struct sx_err *e) SX_MUST_CHECK;
/* Time went on by so much without passing: pins live as long as they would have. */
int sx_sm_pins_shift(struct sx_sm *sm, uint64_t ms, struct sx_err *e) SX_MUST_CHECK;

/* Removes an empty volume with its rights and uploads. */
int sx_sm_volume_remove(struct sx_sm *sm, const struct sx_volume *v,
                        struct sx_err *e) SX_MUST_CHECK;

#endif
