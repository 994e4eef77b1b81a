/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What can be read from a group's database.  Functions over a read-only handle, from sx_meta_db()
 * or sx_query_open(); they see the last transaction that was committed when they begin.  Several
 * calls that must see one state stand between sx_query_begin() and sx_query_end(); keep that short.
 *
 * Statements are prepared once for each handle and stay with it, so a handle is closed with
 * sx_query_close() and not with sqlite3_close().  One thread at a time.
 *
 * `user` is the name of the caller; "" is the cluster itself and sees everything.  Structs are
 * filled only on success.  Members that are arrays are copies; where something is allocated the
 * comment says who frees.
 */
#ifndef SX_FCGI_META_QUERY_H
#define SX_FCGI_META_QUERY_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fcgi/meta/command.h"
#include "libsx/base/buf.h"
#include "libsx/base/err.h"
#include "libsx/base/json.h"
#include "libsx/codec/id.h"

int sx_query_open(const char *path, sqlite3 **db, struct sx_err *e) SX_MUST_CHECK; /* read-only */
void sx_query_close(sqlite3 *db); /* NULL is fine */
int sx_query_begin(sqlite3 *db, struct sx_err *e) SX_MUST_CHECK;
void sx_query_end(sqlite3 *db);

/* ---- cluster ---- */

struct sx_cluster {
    char *uuid, *name;
    struct sx_buf domain_key; /* sealed */
    char *ca_cert;            /* PEM */
    struct sx_buf ca_key;     /* sealed */
    uint64_t map_version;     /* raised at each change of the node list */
};

/* SX_ENOTFOUND before the first command was applied.  sx_cluster_fini() frees. */
int sx_query_cluster(sqlite3 *db, struct sx_cluster *c, struct sx_err *e) SX_MUST_CHECK;
void sx_cluster_fini(struct sx_cluster *c);

/* A setting; SX_ENOTFOUND.  Replaces the content of `value`. */
int sx_query_setting(sqlite3 *db, const char *name, struct sx_buf *value,
                     struct sx_err *e) SX_MUST_CHECK;

struct sx_node {
    uint64_t id;
    char address[SX_ADDRESS_MAX + 1];
    uint16_t port, peer_port;
    char zone[SX_ZONE_MAX + 1];
    uint64_t capacity;
    char version[SX_VERSION_MAX + 1];
    uint64_t joined_ms;
};

/* All nodes, ascending id; *nodes is for the caller to free(). */
int sx_query_nodes(sqlite3 *db, struct sx_node **nodes, size_t *n, struct sx_err *e) SX_MUST_CHECK;
int sx_query_map_version(sqlite3 *db, uint64_t *version, struct sx_err *e) SX_MUST_CHECK;

/* The epoch that leases are given in now. */
int sx_query_epoch(sqlite3 *db, uint64_t *epoch, struct sx_err *e) SX_MUST_CHECK;
/* The cluster's time: that of the last entry applied here, which is never older than some minutes where
 * the cluster can be reached.  It ascends, and no clock of this node has a part in it. */
int sx_query_time(sqlite3 *db, uint64_t *time_ms, struct sx_err *e) SX_MUST_CHECK;
int sx_query_applied(sqlite3 *db, uint64_t *index, uint64_t *term, struct sx_err *e) SX_MUST_CHECK;

struct sx_counters {
    uint64_t volumes, files, bytes; /* bytes: of all revisions, before dedup */
    uint64_t users, uploads;
    uint64_t jobs_running, jobs_waiting;
};

int sx_query_counters(sqlite3 *db, struct sx_counters *c, struct sx_err *e) SX_MUST_CHECK;

/* ---- users ---- */

struct sx_user {
    char name[SX_USER_NAME_MAX + 1];
    uint8_t role; /* enum sx_role */
    uint64_t quota, used;
    char description[SX_DESCRIPTION_MAX + 1];
    uint64_t created_ms;
    uint32_t max_volumes;
};

/* SX_ENOUSER. */
int sx_query_user(sqlite3 *db, const char *name, struct sx_user *u, struct sx_err *e) SX_MUST_CHECK;
/* U of docs/api.md, without secrets; a new reference. */
int sx_query_user_json(sqlite3 *db, const char *name, json_t **u, struct sx_err *e) SX_MUST_CHECK;
int sx_query_users_json(sqlite3 *db, json_t **array, struct sx_err *e) SX_MUST_CHECK;

struct sx_key {
    char user[SX_USER_NAME_MAX + 1];
    uint8_t role;
    uint8_t secret[SX_SEALED_MAX]; /* sealed */
    size_t secret_len;
};

/* SX_ENOKEY. */
int sx_query_key(sqlite3 *db, const char *access_key, struct sx_key *k,
                 struct sx_err *e) SX_MUST_CHECK;

/* ---- volumes ---- */

struct sx_volume {
    uint64_t id;
    char name[SX_VOLUME_NAME_MAX + 1];
    char owner[SX_USER_NAME_MAX + 1];
    unsigned replica;
    uint64_t quota;
    unsigned revisions;
    uint8_t compression; /* enum sx_codec */
    uint64_t used, files, created_ms;
    uint64_t deleting; /* job that removes it, or 0 */
    uint8_t versioning; /* enum sx_versioning */
    uint8_t lock_mode;  /* enum sx_lock_mode */
    uint64_t lock_ms;   /* default retention */
    unsigned rights;   /* of the user who asked: enum sx_right bits; SX_RIGHT_ALL for admins */
};

/* SX_ENOVOLUME if it does not exist or the user has no right on it; SX_EACCESS if one of the rights
 * `need` is missing (0: any right will do). */
int sx_query_volume(sqlite3 *db, const char *user, const char *name, unsigned need,
                    struct sx_volume *v, struct sx_err *e) SX_MUST_CHECK;
int sx_query_volume_by_id(sqlite3 *db, uint64_t id, struct sx_volume *v,
                          struct sx_err *e) SX_MUST_CHECK;
json_t *sx_volume_json(const struct sx_volume *v); /* V of docs/api.md; a new reference */
/* Array of V: those the user has a right on, by name. */
int sx_query_volumes_json(sqlite3 *db, const char *user, json_t **array,
                          struct sx_err *e) SX_MUST_CHECK;
/* The rows that the user may see: {"acl":[…]}. */
int sx_query_acl_json(sqlite3 *db, const char *user, const char *volume, json_t **acl,
                      struct sx_err *e) SX_MUST_CHECK;

/* ---- files ---- */

/* A file's facts (command.h) with the memory they point into. */
struct sx_file_row {
    struct sx_file f;
    struct sx_buf mem;
};

#define SX_FILE_ROW_INIT { .mem = SX_BUF_INIT }

/* The newest revision (`rev` 0) or one, that is no deletion marker.  SX_ENOFILE, SX_ENOREVISION.  sx_file_row_fini() frees; a
 * row may be used again without. */
int sx_query_file(sqlite3 *db, uint64_t volume, const char *path, uint64_t rev,
                  struct sx_file_row *row, struct sx_err *e) SX_MUST_CHECK;
/* The same, deletion markers too. */
int sx_query_revision(sqlite3 *db, uint64_t volume, const char *path, uint64_t rev,
                      struct sx_file_row *row, struct sx_err *e) SX_MUST_CHECK;
/* The null version, perhaps a marker.  SX_ENOFILE, SX_ENOREVISION. */
int sx_query_null(sqlite3 *db, uint64_t volume, const char *path, struct sx_file_row *row,
                  struct sx_err *e) SX_MUST_CHECK;
void sx_file_row_fini(struct sx_file_row *row);

/* One page of a block list. */
struct sx_manifest {
    uint64_t from;         /* index of the first entry */
    uint64_t offset;       /* its byte offset in the file */
    uint32_t count;
    struct sx_buf entries; /* count x SX_ENTRY_SIZE */
    struct sx_buf record;  /* an inline file's record; empty for others */
};

#define SX_MANIFEST_INIT { .entries = SX_BUF_INIT, .record = SX_BUF_INIT }
#define SX_AT_NONE UINT64_MAX

/* The page that begins with entry `from`, or, if `at` is not SX_AT_NONE, with the entry that holds
 * byte `at`. At most `count` (<= SX_PART_ENTRIES_MAX) entries; fewer are not the end: that is where
 * from + count = f->blocks.  Behind the end: an empty page.  SX_ENOREVISION if the file was
 * replaced since `f` was read (do both inside one sx_query_begin()). */
int sx_query_manifest(sqlite3 *db, const struct sx_file *f, uint64_t from, uint64_t at,
                      uint32_t count, struct sx_manifest *m, struct sx_err *e) SX_MUST_CHECK;
void sx_manifest_fini(struct sx_manifest *m);
/* Where the contents that a joint content is made of begin in the file, from number `from` on
 * (counted from 0), at most `max`.  None for a content that is not joint. */
int sx_query_joints(sqlite3 *db, const struct sx_file *f, uint64_t from, uint64_t *offsets,
                    size_t max, size_t *n, struct sx_err *e) SX_MUST_CHECK;
/* The items of the parts that such contents were, for the same numbers; `meta` may be empty. */
typedef void sx_joint_fn(void *ctx, uint64_t number, const struct sx_span *meta);
int sx_query_joint_meta(sqlite3 *db, const struct sx_file *f, uint64_t from, size_t max,
                        sx_joint_fn *fn, void *ctx, struct sx_err *e) SX_MUST_CHECK;

#define SX_LIST_MAX 1000u
#define SX_LIST_SCAN_MAX 20000u /* rows looked at for one page */

struct sx_list {
    const char *prefix;    /* NULL or "": all */
    const char *after;     /* NULL or "": from the start; a name, or a `next` */
    const char *delimiter; /* NULL or "": none */
    const char *glob;      /* NULL or "": none */
    unsigned limit;        /* 1 … SX_LIST_MAX files and prefixes together */
    bool versions;         /* all revisions of each file, newest first, markers too */
    struct sx_buf *facts;  /* not with `versions`: path and facts of each file are appended here; NULL: they are JSON */
    uint64_t after_rev;    /* versions: goes on behind this revision of file `after`, which may have gone; 0: behind all */
};

/* {"files":[F,…],"prefixes":[…]} and, if there may be more, "next".  With `facts` "files" is their number.  With `versions` an F has "newest" and,
 * if so, "null", and beside "next" there is "next_rev" (hex) if the page ends within a file's revisions.
 * A new reference. */
int sx_query_list_json(sqlite3 *db, uint64_t volume, const struct sx_list *l, json_t **page,
                       struct sx_err *e) SX_MUST_CHECK;
/* Array of F, newest first.  SX_ENOFILE. */
int sx_query_revisions_json(sqlite3 *db, uint64_t volume, const char *path, json_t **array,
                            struct sx_err *e) SX_MUST_CHECK;

/* A document of a volume; SX_ENOTFOUND.  Replaces the content of `value`. */
int sx_query_config(sqlite3 *db, uint64_t volume, const char *name, struct sx_buf *value,
                    struct sx_err *e) SX_MUST_CHECK;
/* The document of that name of the volume with the lowest number above *volume, which is set: 1; 0
 * if there is no more; -1. */
int sx_query_config_next(sqlite3 *db, const char *name, uint64_t *volume, struct sx_buf *value,
                         struct sx_err *e) SX_MUST_CHECK;

/* ---- multipart uploads ---- */

struct sx_mupload {
    uint8_t id[SX_UPLOAD_ID];
    uint64_t volume;
    char path[SX_PATH_MAX + 1];
    char user[SX_USER_NAME_MAX + 1]; /* who began it */
    uint64_t created_ms;
    struct sx_buf meta; /* items */
};

/* SX_ENOUPLOAD.  sx_mupload_fini() frees. */
int sx_query_mupload(sqlite3 *db, const uint8_t id[SX_UPLOAD_ID], struct sx_mupload *u,
                     struct sx_err *e) SX_MUST_CHECK;
void sx_mupload_fini(struct sx_mupload *u);

struct sx_mpart {
    uint32_t number;
    uint64_t size;
    uint8_t md5[SX_MD5_SIZE];
    uint64_t time_ms;
    struct sx_span meta; /* valid in the call only */
};

/* Parts with numbers above `after`, ascending, each given to fn until that returns false.  */
typedef bool sx_mpart_fn(void *ctx, const struct sx_mpart *p);
int sx_query_mparts(sqlite3 *db, const uint8_t id[SX_UPLOAD_ID], uint32_t after, sx_mpart_fn *fn,
                    void *ctx, struct sx_err *e) SX_MUST_CHECK;

/* Uploads into a volume whose path begins with `prefix`, in order of path and id, behind (after,
 * after_id; NULL: behind all uploads of that path), each given to fn until that returns false; its
 * meta is empty. */
typedef bool sx_mupload_fn(void *ctx, const struct sx_mupload *u);
int sx_query_muploads(sqlite3 *db, uint64_t volume, const char *prefix, const char *after,
                      const uint8_t *after_id, sx_mupload_fn *fn, void *ctx,
                      struct sx_err *e) SX_MUST_CHECK;

/* ---- uploads and jobs ---- */

struct sx_upload {
    char user[SX_USER_NAME_MAX + 1];
    uint64_t volume;
    char path[SX_PATH_MAX + 1];
    uint32_t parts;        /* the next seq */
    uint64_t blocks, size; /* so far */
    uint64_t created_ms, updated_ms;
};

/* SX_ENOUPLOAD if there is none, or it is another user's. */
int sx_query_upload(sqlite3 *db, const char *user, const uint8_t upload[SX_UPLOAD_ID],
                    struct sx_upload *u, struct sx_err *e) SX_MUST_CHECK;

struct sx_job {
    uint64_t id;
    uint8_t type, state;
    char user[SX_USER_NAME_MAX + 1];
    uint64_t done, failed;
};

/* J of docs/api.md; SX_ENOJOB if there is none, or it is another user's and he is no admin.  A new
 * reference. */
int sx_query_job_json(sqlite3 *db, const char *user, uint64_t id, json_t **j,
                      struct sx_err *e) SX_MUST_CHECK;
/* Array of J, newest first, at most `limit`: his own, or all for an admin. */
int sx_query_jobs_json(sqlite3 *db, const char *user, unsigned limit, json_t **array,
                       struct sx_err *e) SX_MUST_CHECK;
/* Jobs that wait or run, oldest first, at most `max`: for the job manager. */
int sx_query_jobs_pending(sqlite3 *db, struct sx_job *out, size_t max, size_t *n,
                          struct sx_err *e) SX_MUST_CHECK;

/* ---- references: for the collector and block transfer ---- */

/* yes[i] = 1 if ids[i] is in a revision's block list or in an open upload. */
int sx_query_referenced(sqlite3 *db, const struct sx_id *ids, size_t n, uint8_t *yes,
                        struct sx_err *e) SX_MUST_CHECK;

/* Sets the bit of each part of the id space (sx_id_prefix()) in which a reference has gone away
 * behind command *num, which becomes the last such command.  Begin with 0. */
int sx_query_dropped(sqlite3 *db, uint64_t *num, uint8_t bits[SX_ID_PREFIXES / 8],
                     struct sx_err *e) SX_MUST_CHECK;
/* *any: block lists without a revision, revisions above a lowered count, or pins that have expired
 * wait for sx_cmd_expire. */
int sx_query_doomed(sqlite3 *db, bool *any, struct sx_err *e) SX_MUST_CHECK;

struct sx_ref {
    struct sx_id id;
    uint32_t len;    /* plain length */
    uint8_t replica; /* largest of the volumes that refer to it */
};

/* The referenced ids from `from` (included) on, ascending, at most `max`; *n < max means the
 * end. */
int sx_query_refs(sqlite3 *db, const struct sx_id *from, size_t max, struct sx_ref *out, size_t *n,
                  struct sx_err *e) SX_MUST_CHECK;

/* ---- for the census of space (docs/operations.md, Space) ---- */

/* Who holds a content: a revision of a file, or an open upload (volume 0). */
struct sx_holder {
    uint64_t volume;
    uint64_t content; /* 0: the file is empty */
    uint64_t size;    /* of the revision */
};

enum sx_holder_table {
    SX_HOLDERS_FILE,
    SX_HOLDERS_OLD,
    SX_HOLDERS_UPLOAD,
    SX_HOLDERS_PART,  /* parts of multipart uploads: volume 0, as uploads */
    SX_HOLDERS_JOINT, /* `volume` is a joint content, `content` one that it is made of */
    SX_HOLDERS_END
};

/* How far a walk over the holders has come; all zero: at its start. */
struct sx_holder_at {
    enum sx_holder_table table;
    bool began;
    uint64_t volume, ord;
    char path[SX_PATH_MAX + 1];
    uint8_t upload[SX_UPLOAD_ID];
};

/* At most `max` holders behind *at, which moves on.  at->table is SX_HOLDERS_END behind the last. */
int sx_query_holders(sqlite3 *db, struct sx_holder_at *at, struct sx_holder *out, size_t max,
                     size_t *n, struct sx_err *e) SX_MUST_CHECK;

struct sx_inline {
    uint64_t content;
    uint32_t plain, stored; /* length of what lies inline, and of its record */
};

/* The inline contents with a number above `after`, ascending; *n < max means the end.  SX_ECORRUPT,
 * as from its neighbours: a row that no command has written so. */
int sx_query_inlines(sqlite3 *db, uint64_t after, struct sx_inline *out, size_t max, size_t *n,
                     struct sx_err *e) SX_MUST_CHECK;

/* One reference; those of one block follow each other. */
struct sx_ref_row {
    struct sx_id id;
    uint64_t content;
    uint32_t len; /* plain length */
};

/* References behind *after (NULL: from the first), by id and content; *n < max means the end. */
int sx_query_ref_rows(sqlite3 *db, const struct sx_ref_row *after, struct sx_ref_row *out,
                      size_t max, size_t *n, struct sx_err *e) SX_MUST_CHECK;

/* A number that changes when users have changed something that takes or gives space.  It may miss a
 * change now and then: whoever uses it looks at the whole once in a while nevertheless. */
int sx_query_space_mark(sqlite3 *db, uint64_t *mark, struct sx_err *e) SX_MUST_CHECK;
/* Size of the database, without its write-ahead log. */
int sx_query_size(sqlite3 *db, uint64_t *bytes, struct sx_err *e) SX_MUST_CHECK;

/* ---- what the loss of blocks hits ---- */

/* Which files refer to some blocks.  First clear, then add the blocks, then ask; what was added
 * is kept in a temporary table of the handle, so memory is bounded. */
int sx_query_hit_clear(sqlite3 *db, struct sx_err *e) SX_MUST_CHECK;
int sx_query_hit_add(sqlite3 *db, const struct sx_id *id, struct sx_err *e) SX_MUST_CHECK;

struct sx_hit {
    const char *volume, *path;
    uint64_t rev;
    bool newest; /* false: an older revision */
};

/* Calls fn for each revision that is hit; reads all names of files once if there is any. */
int sx_query_hit_files(sqlite3 *db, void (*fn)(void *ctx, const struct sx_hit *hit), void *ctx,
                       uint64_t *n, struct sx_err *e) SX_MUST_CHECK;

#endif
