/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The commands that change the replicated metadata: one struct, one encoder and one decoder for
 * each, and the forms in which they travel.  Byte by byte in docs/formats.md, section 6.
 *
 *   command    op id (16), user (string), u8 type, body
 *   entry      u64 time_ms, u32 count, count x (u32 length, command): what one place in the log
 * holds
 *   bootstrap  u32 magic, run of (u32 length, command): the first entry of a new cluster
 *
 * Encoders cannot fail; they assert that strings and runs are within the limits below, which the
 * caller has checked against what came from outside.  Decoders check every length, and
 * give pointers INTO the encoded bytes: a decoded struct lives as long as they do.  Strings are
 * stored with their closing NUL, so that decoded ones are C strings; NULL is written as "".
 *
 * Who may do what is checked when a command is applied (fcgi/meta/sm/), from the user's name in the
 * command.  The empty user is the cluster itself and may do everything.
 *
 * "Result" below is the payload that sx_meta_submit() gives back; "-" is an empty one.
 */
#ifndef SX_FCGI_META_COMMAND_H
#define SX_FCGI_META_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fcgi/meta/meta.h"
#include "libsx/base/buf.h"
#include "libsx/base/err.h"
#include "libsx/base/json.h"
#include "libsx/base/wire.h"
#include "libsx/codec/facts.h"
#include "libsx/codec/id.h"

/* ---- limits ---- */

#define SX_COMMAND_MAX (1u << 20)                   /* bytes of one command */
#define SX_ENTRY_MAX (2 * SX_COMMAND_MAX + 64)      /* bytes of one entry */
#define SX_ENTRY_COMMANDS_MAX 65535u                /* commands in one entry: 16 bits of a number */
#define SX_VOLUME_NAME_MAX 255u
#define SX_PATH_MAX 1024u
#define SX_USER_NAME_MAX 64u
#define SX_DESCRIPTION_MAX 1024u
#define SX_ACCESS_KEY_MAX 64u
#define SX_SEALED_MAX 8192u                         /* a sealed secret */
#define SX_CERT_MAX 16384u                          /* a certificate, PEM */
#define SX_USER_KEYS_MAX 8u
#define SX_REVISIONS_MAX 64u
#define SX_FILE_SIZE_MAX (10ull << 40)
#define SX_ENTRY_SIZE 36u                           /* entry of a block list: id, u32 length */
#define SX_PART_ENTRIES_MAX 1500u                   /* entries in a command, in a part, in a page */
#define SX_INLINE_MAX 4096u                         /* plain bytes of an inline file */
#define SX_META_ITEMS_MAX 128u
#define SX_META_KEY_MAX 256u
#define SX_META_BYTES_MAX 65536u                    /* a value, and all keys and values together */
#define SX_ACL_CHANGES_MAX 64u                      /* users in one acl command */
#define SX_GLOB_MAX 1024u
#define SX_SETTING_NAME_MAX 64u
#define SX_SETTING_VALUE_MAX 65536u
#define SX_ADDRESS_MAX 255u
#define SX_ZONE_MAX 128u
#define SX_VERSION_MAX 32u
#define SX_MESSAGE_MAX 511u
#define SX_JOBS_PENDING_MAX 128u                    /* unfinished jobs of one user */
#define SX_UPLOADS_MAX 1024u                        /* open uploads of one user */
#define SX_STEP_MAX 1000u                           /* files in one job step */
#define SX_EXPIRE_MAX 10000u                        /* rows in one expire command */
#define SX_CONFIG_NAME_MAX 32u                      /* name of a volume's document */
#define SX_CONFIG_VALUE_MAX 65536u                  /* a volume's document */
#define SX_MPART_MAX 10000u                         /* number of a part of a multipart upload */
#define SX_PINS_MAX 4096u                           /* pins of a cluster */

/* ---- names ---- */

/* SX_ENAME or SX_ENAMETOOLONG, with the reason (docs/api.md, "Limits"). */
int sx_volume_name_check(const char *name, struct sx_err *e) SX_MUST_CHECK;
int sx_user_name_check(const char *name, struct sx_err *e) SX_MUST_CHECK;
/* The rule of the native API: no control characters, no empty, "." or ".." element. */
int sx_path_check(const char *path, struct sx_err *e) SX_MUST_CHECK;

/* ---- small shared types ---- */

struct sx_span {
    const uint8_t *p;
    size_t n;
};

enum sx_role { SX_ROLE_NORMAL = 0, SX_ROLE_ADMIN = 1 };

enum sx_right {
    SX_RIGHT_READ = 1,
    SX_RIGHT_WRITE = 2,
    SX_RIGHT_MANAGER = 4,
    SX_RIGHT_OWNER = 8,
    SX_RIGHT_ALL = 15
};

/* What becomes of the revisions of a volume's files.  Off: the newest `revisions` are kept, a
 * deleted file is gone.  Enabled: every revision is kept, deleting adds a marker.  Suspended: a
 * new revision, or marker, takes the place of the last one that was made while not enabled (the
 * "null" version of S3); the others stay. */
enum sx_versioning { SX_VERSIONING_OFF = 0, SX_VERSIONING_ENABLED = 1, SX_VERSIONING_SUSPENDED = 2 };

/* Object lock of a volume, and its default retention.  Once on it is never off. */
enum sx_lock_mode { SX_LOCK_OFF = 0, SX_LOCK_ON = 1, SX_LOCK_GOVERNANCE = 2, SX_LOCK_COMPLIANCE = 3 };

/* Bits of a revision's `hold`: what keeps it from being deleted. */
#define SX_HOLD_LEGAL 1u      /* until it is taken off */
#define SX_HOLD_GOVERNANCE 2u /* until retain_ms, or by somebody who may bypass that */
#define SX_HOLD_COMPLIANCE 4u /* until retain_ms, by nobody */
#define SX_HOLD_TIMED 6u      /* either */
#define SX_HOLD_NO_LEGAL 8u   /* holds nothing: it was said that there is no legal hold */

const char *sx_versioning_name(unsigned versioning); /* "off", "enabled", "suspended" */

/* "normal"/"admin"; "read"/"write"/"manager"/"owner". */
const char *sx_role_name(unsigned role);
int sx_role_parse(const char *name, uint8_t *role, struct sx_err *e) SX_MUST_CHECK;
int sx_right_parse(const char *name, uint8_t *right, struct sx_err *e) SX_MUST_CHECK;
json_t *sx_rights_json(unsigned rights); /* ["read", ...]; a new reference */

enum sx_job_type { SX_JOB_DELETE = 1, SX_JOB_RENAME = 2, SX_JOB_VOLUME_DELETE = 3 };
enum sx_job_state {
    SX_JOB_WAITING = 0,
    SX_JOB_RUNNING = 1,
    SX_JOB_DONE = 2,
    SX_JOB_FAILED = 3,
    SX_JOB_CANCELED = 4
};

const char *sx_job_type_name(unsigned type);   /* "delete", "rename", "volume" */
const char *sx_job_state_name(unsigned state); /* "waiting", ... */

/* Entries of a block list. */
void sx_block_entry_add(struct sx_buf *out, const struct sx_id *id, uint32_t len);
void sx_block_entry_get(const uint8_t *entry, struct sx_id *id, uint32_t *len);

/* A file's metadata items, encoded: u32 count, then count x (string key, u32 length, value),
 * keys ascending by their bytes.  The empty run means no items.  Values are JSON strings. */
int sx_meta_items_encode(const json_t *object, struct sx_buf *out, struct sx_err *e) SX_MUST_CHECK;
int sx_meta_items_check(const void *p, size_t n, struct sx_err *e) SX_MUST_CHECK;
/* The items of `was` with those of `now` set, or removed where the value is empty; both checked.
 * SX_EINVAL beyond the limits. */
int sx_meta_items_merge(const struct sx_span *was, const struct sx_span *now, struct sx_buf *out,
                        struct sx_err *e) SX_MUST_CHECK;
json_t *sx_meta_items_json(const void *p, size_t n); /* a new object; of checked items only */

/* Changes of an access list: run of (string user, u8 grant, u8 revoke), rights as bits. */
void sx_acl_change_add(struct sx_buf *out, const char *user, uint8_t grant, uint8_t revoke);
/* 1 and the next change, 0 at the end, -1 if malformed. */
int sx_acl_change_next(struct sx_cur *c, const char **user, uint8_t *grant, uint8_t *revoke);

/* ---- the commands ----
 *
 * SX_CMD(NAME, name, number): enum SX_CMD_NAME, struct sx_cmd_name,
 * sx_cmd_name_encode(), sx_cmd_name_decode().
 */
#define SX_CMD_LIST(X)                                                                             \
    X(INIT, init, 1)                                                                               \
    X(NODE_SET, node_set, 2)                                                                       \
    X(NODE_REMOVE, node_remove, 3)                                                                 \
    X(TOKEN_CREATE, token_create, 4)                                                               \
    X(TOKEN_USE, token_use, 5)                                                                     \
    X(SETTING_SET, setting_set, 6)                                                                 \
    X(EPOCH_SET, epoch_set, 7)                                                                     \
    X(EXPIRE, expire, 8)                                                                           \
    X(USER_ADD, user_add, 16)                                                                      \
    X(USER_MODIFY, user_modify, 17)                                                                \
    X(USER_DELETE, user_delete, 18)                                                                \
    X(KEY_ADD, key_add, 19)                                                                        \
    X(KEY_DELETE, key_delete, 20)                                                                  \
    X(VOLUME_CREATE, volume_create, 32)                                                            \
    X(VOLUME_MODIFY, volume_modify, 33)                                                            \
    X(VOLUME_DELETE, volume_delete, 34)                                                            \
    X(ACL_CHANGE, acl_change, 35)                                                                  \
    X(CONFIG_SET, config_set, 36)                                                                  \
    X(FILE_PUT, file_put, 48)                                                                      \
    X(FILE_DELETE, file_delete, 49)                                                                \
    X(FILE_COPY, file_copy, 50)                                                                    \
    X(FILE_RENAME, file_rename, 51)                                                                \
    X(UPLOAD_BEGIN, upload_begin, 52)                                                              \
    X(UPLOAD_PART, upload_part, 53)                                                                \
    X(UPLOAD_ABORT, upload_abort, 54)                                                              \
    X(FILE_ANNOTATE, file_annotate, 55)                                                            \
    X(FILE_LOCK, file_lock, 56)                                                                    \
    X(MPART_PUT, mpart_put, 57)                                                                    \
    X(MPART_COMPLETE, mpart_complete, 58)                                                          \
    X(PIN, pin, 59)                                                                                \
    X(UNPIN, unpin, 60)                                                                            \
    X(JOB_CREATE, job_create, 64)                                                                  \
    X(JOB_STEP, job_step, 65)                                                                      \
    X(JOB_CANCEL, job_cancel, 66)                                                                  \
    X(JOB_FINISH, job_finish, 67)

enum sx_cmd_type {
#define X(NAME, name, number) SX_CMD_##NAME = number,
    SX_CMD_LIST(X)
#undef X
};

struct sx_cmd_node { /* not a command: a node in one */
    uint64_t id;
    const char *address;
    uint16_t port, peer_port;
    const char *zone;
    uint64_t capacity;
    const char *version;
};

/* The first command of a cluster (once; SX_ECONFLICT afterwards).  Cluster only.  Result: -. */
struct sx_cmd_init {
    const char *uuid, *name;
    struct sx_span domain_key; /* sealed */
    const char *ca_cert;       /* PEM */
    struct sx_span ca_key;     /* sealed */
    const char *admin;         /* first administrator */
    const char *access_key;
    struct sx_span secret;     /* sealed */
    struct sx_cmd_node node;   /* first node */
};

/* Adds a node, or changes the facts of one; joined is the entry's time when added.  Admin.
 * Result: u64 map version (raised by 1 if anything changed). */
struct sx_cmd_node_set {
    struct sx_cmd_node node;
};

/* Admin.  SX_ENOTFOUND; SX_ECONFLICT for the last node.  Result: u64 map version. */
struct sx_cmd_node_remove {
    uint64_t id;
};

#define SX_TOKEN_TTL_MAX_MS (7ull * 86400 * 1000)
/* Admin.  Result: u64 expires_ms, by the entry's time as all that expires. */
struct sx_cmd_token_create {
    uint64_t id;
    uint8_t secret_hash[32]; /* SHA-256 of the secret */
    uint64_t ttl_ms;
};

/* Spends a token and adds the node, in one.  Cluster only (the holder has no name).  SX_ETOKEN.
 * Result: u64 map version. */
struct sx_cmd_token_use {
    uint64_t id;
    uint8_t secret_hash[32];
    struct sx_cmd_node node;
};

/* Admin.  Names "cluster.*" are made by init only: SX_EINVAL.  An empty value removes.  Result:
 * -. */
struct sx_cmd_setting_set {
    const char *name;
    struct sx_span value;
};

/* Raises the epoch that leases are counted in (a lower one leaves it).  From then on leases of
 * epochs up to the new one's horizon have lost their force.  Cluster only.
 * Result: u64 epoch now. */
struct sx_cmd_epoch_set {
    uint64_t epoch;
};

#define SX_EPOCH_FIRST 2u               /* of a new cluster; its horizon is 0 */
#define SX_EPOCH_MAX (1ull << 62)

/* The newest epoch whose leases have lost their force in `epoch`: a lease outlives the end of the
 * epoch that it was given in by one whole epoch. */
static inline uint64_t sx_epoch_horizon(uint64_t epoch)
{
    return epoch > SX_EPOCH_FIRST ? epoch - SX_EPOCH_FIRST : 0;
}

/* Removes at most `limit` rows of what has had its day: results older than 15 min, uploads idle for
 * 24 h (a jump of the time does not count as such), jobs ended 30 days ago, expired tokens and pins,
 * block lists without a revision, revisions above a lowered count.  By the entry's time.  Cluster only.
 * Result: u32 removed, u8 more (1: submit again at once). */
struct sx_cmd_expire {
    uint32_t limit;
};

/* Admin.  SX_EEXIST for the name or the key.  Result: -. */
struct sx_cmd_user_add {
    const char *name;
    uint8_t role;
    uint64_t quota;
    const char *description;
    const char *access_key;
    struct sx_span secret; /* sealed */
    uint32_t max_volumes;
};

#define SX_VOLUMES_ANY UINT32_MAX /* as max_volumes of a user: no limit */
#define SX_SET_ROLE 1u
#define SX_SET_QUOTA 2u
#define SX_SET_DESCRIPTION 4u
#define SX_SET_MAX_VOLUMES 8u

/* Admin.  SX_ECONFLICT if no admin were left.  Result: -. */
struct sx_cmd_user_modify {
    const char *name;
    uint8_t set; /* which of the members below: SX_SET_… */
    uint8_t role;
    uint64_t quota;
    const char *description;
    uint32_t max_volumes; /* he makes volumes himself until he owns so many; 0: only admins do */
};

/* Admin; SX_EINVAL for oneself.  His volumes pass to the caller.  Result: -. */
struct sx_cmd_user_delete {
    const char *name;
};

/* Admin, oneself.  SX_ETOOMANY above 8.  Result: -. */
struct sx_cmd_key_add {
    const char *name;
    const char *access_key;
    struct sx_span secret; /* sealed */
};

/* Admin, oneself.  SX_ENOKEY; SX_ECONFLICT for the last one.  Result: -. */
struct sx_cmd_key_delete {
    const char *name;
    const char *access_key;
};

#define SX_COMPRESSION_DEFAULT 255u

/* Admin.  Result: u64 volume id. */
struct sx_cmd_volume_create {
    const char *name;
    const char *owner;     /* "": the caller */
    uint8_t replica;       /* 0: min(nodes, 3) */
    uint64_t quota;        /* bytes, 0: none */
    uint8_t revisions;     /* 0: 1 */
    uint8_t compression;   /* enum sx_codec, or SX_COMPRESSION_DEFAULT */
};

#define SX_SET_NAME 1u
#define SX_SET_OWNER 2u
#define SX_SET_VOLUME_QUOTA 4u
#define SX_SET_REVISIONS 8u
#define SX_SET_COMPRESSION 16u
#define SX_SET_VERSIONING 32u
#define SX_SET_LOCK 64u

/* Owner (revisions, compression, versioning, lock), admin (all).  Versioning is never off again once
 * it was enabled, and stays enabled while the lock is on; the lock needs it: SX_ECONFLICT.
 * Result: u64 volume id. */
struct sx_cmd_volume_modify {
    const char *volume;
    uint8_t set; /* SX_SET_NAME … */
    const char *name;
    const char *owner;
    uint64_t quota;
    uint8_t revisions;
    uint8_t compression;
    uint8_t versioning; /* enum sx_versioning */
    uint8_t lock_mode;  /* enum sx_lock_mode */
    uint64_t lock_ms;   /* default retention; 0 with SX_LOCK_ON */
};

/* Admin, owner.  SX_ENOTEMPTY.  Result: -.  With files in it: job_create with
 * SX_JOB_VOLUME_DELETE. */
struct sx_cmd_volume_delete {
    const char *volume;
};

/* Manager (read, write), owner, admin (also manager).  All changes or none.  Result: -. */
struct sx_cmd_acl_change {
    const char *volume;
    struct sx_span changes; /* sx_acl_change_add() */
};

/* A document that belongs to a volume (policy, CORS rules, …); its name says which, its meaning is not
 * the state machine's business.  An empty value removes it.  Owner, manager.  Result: -. */
struct sx_cmd_config_set {
    const char *volume;
    const char *name;
    struct sx_span value;
};

#define SX_UPLOAD_ID 16u
#define SX_ETAG_SIZE 16u
#define SX_MD5_SIZE 16u
#define SX_PUT_IF_NONE_MATCH 1u /* refuse if there is a file */
#define SX_PUT_IF_MATCH 2u      /* refuse unless the file has `if_match` */
#define SX_PUT_UPLOAD 4u        /* the block list is that of `upload` */
#define SX_PUT_NEW 8u           /* a new revision even if nothing differs from the newest */
#define SX_PUT_IF_REV 16u       /* refuse unless the newest revision, or marker, is `if_rev` */
#define SX_COPY_REPLACE 32u

/* Write.  Content is one of: nothing (size 0); an inline record with its one entry; a list of
 * entries; an upload.  Result: sx_file_result_decode(). */
struct sx_cmd_file_put {
    const char *volume, *path;
    uint64_t size;
    int64_t mtime_ns;
    uint32_t mode;
    uint8_t etag[SX_ETAG_SIZE];
    uint8_t flags; /* SX_PUT_… */
    uint8_t if_match[SX_ETAG_SIZE];
    uint8_t upload[SX_UPLOAD_ID];
    uint64_t lease;         /* smallest lease of the listed blocks; SX_ELEASE if <= horizon */
    struct sx_span meta;    /* sx_meta_items_encode() */
    struct sx_span entries; /* n x 36 bytes */
    struct sx_span record;  /* inline: the record; else empty */
    uint64_t if_rev;
    uint8_t hold;           /* SX_HOLD_… of the new revision; 0: the volume's default */
    uint64_t retain_ms;
};

#define SX_DELETE_NULL 1u   /* the null version, instead of `rev` */
#define SX_DELETE_BYPASS 2u /* whatever governance says */
#define SX_DELETE_IF_REV 4u /* refuse unless the newest revision is `if_rev` */

/* Write.  Without a revision: the file with all its revisions or, in a volume with versioning, a
 * marker on top of them.  SX_ELOCKED.
 * Result: u32 revisions deleted, u64 revision of the marker that was made (0: none), u8 1 if what
 * was deleted is a marker. */
struct sx_cmd_file_delete {
    const char *volume, *path;
    uint64_t rev; /* 0: the file */
    uint8_t flags;
    uint64_t if_rev;
};

/* Read on the source, write on the destination.  Result: sx_file_result_decode(). */
struct sx_cmd_file_copy {
    const char *volume, *path;
    uint64_t rev; /* 0: the newest */
    const char *to_volume, *to_path;
    uint8_t flags; /* of SX_PUT_…: IF_NONE_MATCH, IF_REV, NEW; SX_COPY_REPLACE */
    uint64_t if_rev;
    struct sx_span meta; /* with SX_COPY_REPLACE: instead of the source's */
    uint8_t hold;        /* as in file_put */
    uint64_t retain_ms;
};

/* Sets metadata items of a revision that is there; an empty value removes one.  Write.
 * Result: sx_file_result_decode(). */
struct sx_cmd_file_annotate {
    const char *volume, *path;
    uint64_t rev; /* 0: the newest */
    struct sx_span items; /* sx_meta_items_encode() */
};

#define SX_LOCK_SET_LEGAL 1u  /* of `hold` the bit SX_HOLD_LEGAL counts; without it SX_HOLD_NO_LEGAL is set */
#define SX_LOCK_SET_RETAIN 2u /* the other bits, and retain_ms */
#define SX_LOCK_BYPASS 4u     /* governance may be shortened or ended */

/* Changes what holds a revision.  Write.  SX_ECONFLICT if the volume has no lock; SX_ELOCKED for a
 * change that retention forbids.  Result: sx_file_result_decode(). */
struct sx_cmd_file_lock {
    const char *volume, *path;
    uint64_t rev; /* 0: the newest */
    uint8_t set;  /* SX_LOCK_… */
    uint8_t hold;
    uint64_t retain_ms;
};

/* Write on both.  Result: sx_file_result_decode(). */
struct sx_cmd_file_rename {
    const char *volume, *path;
    const char *to_volume, *to_path;
};

/* Write.  Result: -. */
struct sx_cmd_upload_begin {
    uint8_t upload[SX_UPLOAD_ID]; /* random, chosen by the worker */
    const char *volume, *path;
    uint8_t multipart;   /* 1: it is made of parts by number (mpart_put) */
    struct sx_span meta; /* items for the file that it will be */
};

/* The user that began it.  `seq` must be the next; the last ones may be repeated.  Result: -. */
struct sx_cmd_upload_part {
    uint8_t upload[SX_UPLOAD_ID];
    uint32_t seq;
    uint64_t lease;
    struct sx_span entries; /* 1 … SX_PART_ENTRIES_MAX */
};

/* The user that began it.  Result: -. */
struct sx_cmd_upload_abort {
    uint8_t upload[SX_UPLOAD_ID];
};

/* Part `number` of a multipart upload; takes the place of one that has the number.  Its content is
 * given as in file_put.  Write; any user who may write, since S3 binds an upload to no user.
 * Result: -. */
struct sx_cmd_mpart_put {
    uint8_t upload[SX_UPLOAD_ID];
    uint32_t number; /* 1 … SX_MPART_MAX */
    uint64_t size;
    uint8_t md5[SX_MD5_SIZE];
    struct sx_span meta; /* items: checksums */
    uint8_t flags;       /* SX_PUT_UPLOAD */
    uint8_t source[SX_UPLOAD_ID];
    uint64_t lease;
    struct sx_span entries;
};

#define SX_MPART_NAMED (2 + SX_MD5_SIZE) /* u16 number, md5 */

/* Makes the file of the parts named, which must ascend and be there as named (SX_EINVAL); all
 * parts are gone then.  No byte moves.  Write.  Result: sx_file_result_decode(). */
struct sx_cmd_mpart_complete {
    uint8_t upload[SX_UPLOAD_ID];
    struct sx_span parts; /* run of SX_MPART_NAMED bytes */
    int64_t mtime_ns;
    uint8_t flags;        /* SX_PUT_IF_NONE_MATCH, SX_PUT_IF_REV */
    uint64_t if_rev;
    struct sx_span meta;  /* items beside those that upload_begin gave */
    uint8_t hold;
    uint64_t retain_ms;
};

#define SX_PIN_ID 16u
#define SX_PIN_TTL_MAX_MS (24ull * 3600 * 1000)

/* Keeps a content that is being read, whatever becomes of its revisions, until it is unpinned or
 * ttl_ms have passed, by the entry's time; the same again (`pin` and `content`) renews it.  Cluster
 * only: a worker does it, once it knows that he who reads may.  SX_ENOREVISION if the content is
 * gone, or nothing that takes a pin (an upload, an inline file); SX_ETOOMANY.  Result: -. */
struct sx_cmd_pin {
    uint8_t pin[SX_PIN_ID]; /* random, chosen by the worker */
    uint64_t content;       /* of struct sx_file */
    uint64_t ttl_ms;        /* 1 … SX_PIN_TTL_MAX_MS */
};

/* No effect if the pin is not there.  Cluster only.  Result: -. */
struct sx_cmd_unpin {
    uint8_t pin[SX_PIN_ID];
};

/* DELETE: write.  RENAME: write on both volumes.  VOLUME_DELETE: owner, admin; the volume takes no
 * new files from now on.  Files that are put or moved after this command are left alone.
 * Result: u64 job id. */
struct sx_cmd_job_create {
    uint8_t job_type; /* enum sx_job_type */
    const char *volume;
    const char *prefix;
    const char *glob;      /* "": none */
    const char *to_volume; /* rename */
    const char *to_prefix;
};

/* Does the next at most `limit` files of the job and moves its cursor, with the rights its user has
 * now; ends it when nothing is left.  Cluster only.  On an ended job it does nothing.
 * Result: sx_job_result_decode(). */
struct sx_cmd_job_step {
    uint64_t id;
    uint32_t limit; /* 1 … SX_STEP_MAX */
};

/* Who made it, admin.  No effect on an ended job.  Result: sx_job_result_decode(). */
struct sx_cmd_job_cancel {
    uint64_t id;
};

/* Ends a job from outside, e.g. as failed.  Cluster only.  Result: sx_job_result_decode(). */
struct sx_cmd_job_finish {
    uint64_t id;
    uint8_t state; /* SX_JOB_DONE, SX_JOB_FAILED */
    const char *message;
};

#define X(NAME, name, number)                                                                      \
    void sx_cmd_##name##_encode(struct sx_buf *out, const uint8_t op[SX_OP_ID], const char *user,  \
                                const struct sx_cmd_##name *c);                                    \
    int sx_cmd_##name##_decode(const void *body, size_t n, struct sx_cmd_##name *c,                \
                               struct sx_err *e) SX_MUST_CHECK;
SX_CMD_LIST(X)
#undef X

/* The head of a command. */
struct sx_cmd {
    uint8_t op[SX_OP_ID];
    const char *user;
    uint8_t type;
    struct sx_span body;
};

/* SX_EMALFORMED if it is no command; an unknown type is not an error here. */
int sx_cmd_parse(const void *p, size_t n, struct sx_cmd *c, struct sx_err *e) SX_MUST_CHECK;
const char *sx_cmd_name(unsigned type); /* "file_put"; "?" if unknown */

/* ---- results ---- */

/* F of docs/api.md.  Pointers as the function that fills it says. */
struct sx_file {
    const char *path;
    uint64_t rev;
    uint64_t size;
    uint64_t blocks; /* entries of the block list */
    int64_t mtime_ns;
    uint32_t mode;
    uint8_t etag[SX_ETAG_SIZE];
    uint64_t created_ms;
    bool is_inline;
    bool unchanged; /* of a put: the newest revision was this already */
    bool marker;    /* stands for the file's deletion; has no content */
    bool null_version; /* made while versioning was not enabled */
    uint8_t hold;      /* SX_HOLD_… */
    uint64_t retain_ms; /* 0: nothing */
    struct sx_span meta;
    uint64_t content; /* key of the block list in the database; 0: no content */
};

json_t *sx_rev_json(uint64_t rev); /* 16 hex digits; a new reference */
json_t *sx_file_json(const struct sx_file *f); /* F; a new reference */
void sx_file_facts(const struct sx_file *f, struct sx_facts *facts); /* entries: all; records: 0 */
/* The yes-or-no facts in one byte, as they are stored and sent. */
uint8_t sx_file_flags(const struct sx_file *f);
void sx_file_flags_set(struct sx_file *f, uint8_t flags);
void sx_file_result_encode(struct sx_buf *out, const struct sx_file *f);
/* Pointers into the payload. */
int sx_file_result_decode(const void *p, size_t n, struct sx_file *f,
                          struct sx_err *e) SX_MUST_CHECK;

struct sx_job_result {
    uint64_t id;
    uint8_t state; /* enum sx_job_state */
    uint64_t done, failed;
};

void sx_job_result_encode(struct sx_buf *out, const struct sx_job_result *r);
int sx_job_result_decode(const void *p, size_t n, struct sx_job_result *r,
                         struct sx_err *e) SX_MUST_CHECK;

/* ---- entries of the log ---- */

#define SX_ENTRY_HEADER 12u

void sx_entry_begin(struct sx_buf *out); /* `out` must be empty; time 0, count 0 */
void sx_entry_add(struct sx_buf *out, const void *command, size_t n);
void sx_entry_time_set(void *entry, uint64_t time_ms);
uint64_t sx_entry_time(const void *entry); /* of at least SX_ENTRY_HEADER bytes */
uint32_t sx_entry_count(const void *entry);

struct sx_entry_iter {
    uint64_t time_ms;
    uint32_t count; /* left */
    struct sx_cur cur;
};

/* SX_EMALFORMED if the bytes are no entry: every length is checked here, before the first
 * command. */
int sx_entry_open(const void *p, size_t n, struct sx_entry_iter *it,
                  struct sx_err *e) SX_MUST_CHECK;
bool sx_entry_next(struct sx_entry_iter *it, const uint8_t **command, size_t *n);

/* ---- bootstrap.bin ---- */

#define SX_BOOTSTRAP_MAGIC 0x53425853u /* the bytes "SXBS" */

/* Writes the magic first. */
void sx_bootstrap_add(struct sx_buf *out, const void *command, size_t n);
/* Makes the entry (time not set) that holds the commands of a bootstrap file. */
int sx_bootstrap_entry(const void *p, size_t n, struct sx_buf *entry,
                       struct sx_err *e) SX_MUST_CHECK;

#endif
