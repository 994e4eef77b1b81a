/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The client library of SX, a replicated, deduplicating storage cluster.  The sx* commands are
 * made of it.  Link with `pkg-config --cflags --libs sx`.
 *
 *   struct sx_err e = SX_ERR_INIT;
 *   struct sx_client *c;
 *   struct sx_uri u;
 *   struct sx_cluster *k;
 *
 *   if (sx_client_new(&c, NULL, &e) || sx_uri_parse(c, "@home/photos/2026/", &u, &e) ||
 *       sx_cluster_open(c, &u, &k, &e))
 *       fprintf(stderr, "%s\n", e.msg);
 *
 * Results.  A function that can fail returns 0, or -1 with the error set; iterators return 1 for
 * an element and 0 at the end.  An error is a code, whose name (sx_err_name()) is the one in the
 * API ("NoSuchVolume"), and one sentence for people.  Outputs are set only on success.
 *
 * Strings are UTF-8 and exact: no function here decodes percent signs.  Sizes are bytes.  Strings
 * inside a struct that a callback or an iterator gives are valid until it returns or moves on.
 *
 * Threads.  A client and all that was made from it belong to one thread at a time.  Transfers use
 * threads of their own inside; callbacks are made in the caller's thread.
 *
 * Requests that fail because a node is down or slow are repeated on other nodes with the same
 * operation id for about 30 seconds, so that each change has one effect.
 */
#ifndef SX_H
#define SX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The library's own sources have this struct from their error header. */
#ifndef SX_ERR_MSG_MAX
#define SX_ERR_MSG_MAX 512
struct sx_err {
    int code; /* 0: no error */
    char msg[SX_ERR_MSG_MAX];
};
#define SX_ERR_INIT { 0, "" }
#endif

const char *sx_version(void);
const char *sx_err_name(int code);
const char *sx_err_text(int code);

/* ---- Configuration -------------------------------------------------------------------------
 *
 * One directory, mode 0700: `aliases.json`, and for each cluster a directory with its pinned CA
 * certificate, the addresses of its nodes and the keys of the users that were set up. */

struct sx_client;

/* `dir` NULL: $SX_CONFIG_DIR, else ~/.sx.  The directory need not exist. */
int sx_client_new(struct sx_client **out, const char *dir, struct sx_err *e);
void sx_client_free(struct sx_client *c);
const char *sx_client_dir(const struct sx_client *c);

/* Upper limit for all transfers of this client, bytes a second each way; 0: none. */
void sx_client_limit_rate(struct sx_client *c, uint64_t bytes_per_second);

/* sx://[user@]cluster[/volume[/path]] or @alias[/volume[/path]].  In the path a backslash takes the
 * next character literally, so that names with * ? [ \\ can be written where patterns are
 * allowed. */
struct sx_uri {
    char *user;    /* NULL: the cluster's first user */
    char *cluster;
    char *volume;  /* NULL: the URI names the cluster */
    char *path;    /* as written, without a slash at the end; NULL: the URI names the volume */
    bool slash;    /* there was a slash at the end */
};

/* True if the text is meant as a URI (begins with "sx://" or "@"), well formed or not. */
bool sx_uri_is(const char *text);
int sx_uri_parse(const struct sx_client *c, const char *text, struct sx_uri *out, struct sx_err *e);
void sx_uri_fini(struct sx_uri *u);
bool sx_uri_glob(const struct sx_uri *u); /* the path is a pattern */
/* The path as an exact name, escapes taken away; "" if the URI names the volume.  To be freed. */
char *sx_uri_name(const struct sx_uri *u);
/* The text form, without alias; `path` replaces the URI's own if it is not NULL.  To be freed. */
char *sx_uri_text(const struct sx_uri *u, const char *volume, const char *path);

/* What is needed to reach a cluster as a user; see "Key files and links" in docs/api.md. */
#define SX_FINGERPRINT_HEX 64
#define SX_ACCESS_NODES_MAX 256
struct sx_access {
    char *cluster;
    char *user;
    char *access_key;
    char *secret_key;
    char *fingerprint; /* of the CA certificate, SX_FINGERPRINT_HEX digits; NULL: not known */
    char **nodes;      /* "host:port" */
    size_t n_nodes;
};

void sx_access_init(struct sx_access *a);
void sx_access_fini(struct sx_access *a); /* wipes the key */
int sx_access_add_node(struct sx_access *a, const char *host_port, struct sx_err *e);
int sx_access_parse_link(const char *link, struct sx_access *out, struct sx_err *e);
char *sx_access_link(const struct sx_access *a); /* to be freed */
/* Asks for the password (wiped after use) only when the file is protected; NULL: no password is
 * known. */
typedef int sx_password_fn(void *arg, const char *file, char *out, size_t size, struct sx_err *e);
int sx_access_load(const char *file, sx_password_fn *password, void *arg, struct sx_access *out,
                   struct sx_err *e);
/* `password` NULL: not protected.  The file is made with mode 0600 and must not exist. */
int sx_access_save(const struct sx_access *a, const char *file, const char *password,
                   struct sx_err *e);

/* Asks the nodes for the CA certificate, trusting nobody, and gives its fingerprint: to be
 * compared by a person with what the administrator says. */
int sx_trust_fetch(struct sx_client *c, const struct sx_access *a,
                   char fingerprint[SX_FINGERPRINT_HEX + 1], struct sx_err *e);
/* Checks that the cluster has the CA of `a->fingerprint` (needed) and takes the key, then stores
 * the profile.  Nothing is stored on failure. */
int sx_profile_store(struct sx_client *c, const struct sx_access *a, struct sx_err *e);
/* What is stored, for example for a link. */
int sx_profile_load(const struct sx_client *c, const struct sx_uri *u, struct sx_access *out,
                    struct sx_err *e);
/* Removes a user's key and, with the last one, the cluster's directory. */
int sx_profile_remove(struct sx_client *c, const struct sx_uri *u, struct sx_err *e);
/* Calls `fn` for each profile; a result other than 0 ends the walk and is returned. */
typedef int sx_profile_fn(void *arg, const char *cluster, const char *user, const char *alias);
int sx_profile_each(const struct sx_client *c, sx_profile_fn *fn, void *arg, struct sx_err *e);

/* An alias begins with '@'; the URI names a cluster and perhaps a user.  NULL removes. */
int sx_alias_set(struct sx_client *c, const char *alias, const char *uri, struct sx_err *e);

/* ---- Clusters ----------------------------------------------------------------------------- */

struct sx_cluster;

/* The cluster of a URI as the URI's user.  Handles are kept and owned by the client. */
int sx_cluster_open(struct sx_client *c, const struct sx_uri *u, struct sx_cluster **out,
                    struct sx_err *e);

struct sx_cluster_info {
    const char *uuid;
    const char *name;
    const char *version; /* of the node that answered */
    const char *user;
    const char *fingerprint;
    uint64_t map_version;
    size_t n_nodes;
};
void sx_cluster_info(const struct sx_cluster *k, struct sx_cluster_info *out);

struct sx_node_info {
    const char *id;
    const char *address;
    const char *zone;
    uint64_t capacity;
    unsigned port;
    bool up;
};
/* i counts from 0 to n_nodes - 1. */
void sx_cluster_node(const struct sx_cluster *k, size_t i, struct sx_node_info *out);

/* ---- Volumes and rights ------------------------------------------------------------------- */

#define SX_RIGHT_READ 1u
#define SX_RIGHT_WRITE 2u
#define SX_RIGHT_MANAGER 4u
#define SX_RIGHT_OWNER 8u

/* "read,write" to bits. */
int sx_rights_parse(const char *text, unsigned *out, struct sx_err *e);

/* What a volume takes: docs/operations.md, Space.  Bytes, and ratios that are 0 if not known. */
struct sx_volume_space {
    uint64_t as_of_ms; /* when it was counted; 0: not yet */
    bool complete;     /* all nodes that should have a part in it have */
    uint64_t logical, unique, compressed, physical, exclusive, in_metadata;
    double dedup, compression, reduction;
};

struct sx_volume_info {
    const char *name;
    const char *owner;
    const char *compression; /* "none", "zstd", "zlib", "lz4" */
    const char *versioning;  /* "off", "enabled", "suspended" */
    unsigned replica;
    unsigned revisions;
    unsigned rights; /* of the asking user */
    uint64_t quota;  /* 0: none */
    uint64_t used;   /* by all revisions */
    uint64_t files;
    uint64_t created_ms;
    const struct sx_volume_space *space; /* NULL but from sx_volume_space() */
};
typedef int sx_volume_fn(void *arg, const struct sx_volume_info *v);

/* A change of a volume, or the choices at creation; members left as sx_volume_change_init() sets
 * them mean "as it is", or the server's default. */
struct sx_volume_change {
    const char *owner;
    const char *compression;
    const char *versioning; /* "enabled", "suspended"; not at creation */
    const char *name;       /* a new name; not at creation */
    unsigned replica;   /* at creation only */
    unsigned revisions;
    bool has_quota;
    uint64_t quota;
};
void sx_volume_change_init(struct sx_volume_change *c);

/* `fn` may be NULL everywhere here. */
int sx_volume_each(struct sx_cluster *k, sx_volume_fn *fn, void *arg, struct sx_err *e);
int sx_volume_get(struct sx_cluster *k, const char *volume, sx_volume_fn *fn, void *arg,
                  struct sx_err *e);
/* The same, with its space: asks all nodes. */
int sx_volume_space(struct sx_cluster *k, const char *volume, sx_volume_fn *fn, void *arg,
                    struct sx_err *e);
int sx_volume_create(struct sx_cluster *k, const char *volume, const struct sx_volume_change *c,
                     sx_volume_fn *fn, void *arg, struct sx_err *e);
int sx_volume_modify(struct sx_cluster *k, const char *volume, const struct sx_volume_change *c,
                     sx_volume_fn *fn, void *arg, struct sx_err *e);
/* `with_files` deletes the content too, by a job that is waited for. */
int sx_volume_remove(struct sx_cluster *k, const char *volume, bool with_files, struct sx_err *e);

typedef int sx_acl_fn(void *arg, const char *user, unsigned rights);
int sx_acl_get(struct sx_cluster *k, const char *volume, sx_acl_fn *fn, void *arg,
               struct sx_err *e);
/* Either may be 0; `fn` gets the new list. */
int sx_acl_change(struct sx_cluster *k, const char *volume, const char *user, unsigned grant,
                  unsigned revoke, sx_acl_fn *fn, void *arg, struct sx_err *e);

/* ---- Users -------------------------------------------------------------------------------- */

#define SX_MAX_VOLUMES_ANY UINT32_MAX

struct sx_user_info {
    const char *name;
    const char *role; /* "admin", "normal" */
    const char *description;
    uint64_t quota; /* 0: none */
    uint64_t used;
    uint64_t created_ms;
    uint32_t max_volumes; /* he may create volumes until he owns so many; SX_MAX_VOLUMES_ANY: no limit */
    size_t n_keys;
    const char *const *keys; /* access keys */
};
typedef int sx_user_fn(void *arg, const struct sx_user_info *u);

struct sx_user_change {
    const char *role;
    const char *description;
    bool has_quota;
    uint64_t quota;
    bool has_max_volumes;
    uint32_t max_volumes;
};
void sx_user_change_init(struct sx_user_change *c);

/* `name` NULL: oneself. */
int sx_user_get(struct sx_cluster *k, const char *name, sx_user_fn *fn, void *arg,
                struct sx_err *e);
int sx_user_each(struct sx_cluster *k, sx_user_fn *fn, void *arg, struct sx_err *e);
/* Fills `key` with all that the new user needs to reach the cluster; to be given to
 * sx_access_fini(). */
int sx_user_create(struct sx_cluster *k, const char *name, const struct sx_user_change *c,
                   struct sx_access *key, struct sx_err *e);
int sx_user_modify(struct sx_cluster *k, const char *name, const struct sx_user_change *c,
                   sx_user_fn *fn, void *arg, struct sx_err *e);
int sx_user_remove(struct sx_cluster *k, const char *name, struct sx_err *e);
/* A further key for a user; the old ones stay. */
int sx_user_key_add(struct sx_cluster *k, const char *name, struct sx_access *key,
                    struct sx_err *e);
int sx_user_key_remove(struct sx_cluster *k, const char *name, const char *access_key,
                       struct sx_err *e);

/* ---- Files: names and metadata ------------------------------------------------------------ */

struct sx_file_info {
    const char *path;
    const char *rev;  /* NULL for a directory */
    const char *etag; /* names the content */
    uint64_t size;
    uint64_t blocks;
    int64_t mtime_ns;
    unsigned mode;
    uint64_t created_ms;
    bool is_dir; /* stands for all files below `path`, which ends with '/' */
};

typedef int sx_file_fn(void *arg, const struct sx_file_info *f);
int sx_stat(struct sx_cluster *k, const char *volume, const char *path, sx_file_fn *fn, void *arg,
            struct sx_err *e);

/* What a path names: a file, files below it, both, or nothing.  Needs the right to read. */
#define SX_KIND_FILE 1u
#define SX_KIND_DIR 2u
int sx_kind(struct sx_cluster *k, const char *volume, const char *path, unsigned *kind,
            struct sx_err *e);

/* Calls `fn` for each file and directory that matches the pattern, part by part; directories come
 * as in a listing, with a slash at the end.  A result of `fn` other than 0 ends the walk and is
 * returned. */
int sx_glob_each(struct sx_cluster *k, const char *volume, const char *pattern, sx_file_fn *fn,
                 void *arg, struct sx_err *e);

/* Files in order of the bytes of their paths, a page at a time. */
struct sx_listing;
struct sx_list_options {
    const char *prefix; /* NULL: all */
    const char *glob;   /* NULL: all; matched against the whole path, wildcards do not match '/' */
    bool recursive;     /* false: names behind the next '/' are folded into directories */
};
int sx_list_open(struct sx_cluster *k, const char *volume, const struct sx_list_options *o,
                 struct sx_listing **out, struct sx_err *e);
int sx_list_next(struct sx_listing *l, struct sx_file_info *f, struct sx_err *e); /* 1, 0 or -1 */
void sx_list_free(struct sx_listing *l);

int sx_remove(struct sx_cluster *k, const char *volume, const char *path, struct sx_err *e);
/* One file, with all revisions; replaces what is at the destination. */
int sx_rename(struct sx_cluster *k, const char *from_volume, const char *from,
              const char *to_volume,
              const char *to, struct sx_err *e);
/* The newest revision, without moving data.  `if_none`: AlreadyExists rather than replace. */
int sx_copy_within(struct sx_cluster *k, const char *from_volume, const char *from,
                   const char *to_volume, const char *to, bool if_none, struct sx_err *e);

struct sx_job_result {
    uint64_t done;
    uint64_t failed;
};
/* Jobs of the cluster, waited for.  A prefix is a text prefix: give "dir/" for what is below dir. */
int sx_remove_many(struct sx_cluster *k, const char *volume, const char *prefix, const char *glob,
                   struct sx_job_result *r, struct sx_err *e);
int sx_rename_many(struct sx_cluster *k, const char *from_volume, const char *from_prefix,
                   const char *to_volume, const char *to_prefix, struct sx_job_result *r,
                   struct sx_err *e);

/* ---- Transfers ---------------------------------------------------------------------------- */

struct sx_progress {
    uint64_t files_done;
    uint64_t files_known; /* so far */
    uint64_t bytes_done;  /* of file content, sent, received or found to be there */
    uint64_t bytes_known;
    uint64_t elapsed_ms;
    bool walking;         /* the known figures still grow */
    const char *current;  /* a file in work */
};

struct sx_copy_stats {
    uint64_t files;       /* copied */
    uint64_t unchanged;   /* left alone: the destination had them */
    uint64_t skipped;     /* left out: excluded, symbolic links, special files */
    uint64_t failed;
    uint64_t bytes;       /* of the content of the files copied */
    uint64_t moved;       /* bytes of encoded blocks that went over the network */
    uint64_t reused;      /* content bytes that were at the destination already */
    uint64_t elapsed_ms;
};

enum sx_note {
    SX_NOTE_COPIED,    /* a file is complete at its destination */
    SX_NOTE_UNCHANGED,
    SX_NOTE_SKIPPED,   /* the error says why; without an error: by a filter */
    SX_NOTE_FAILED     /* the error says why */
};

struct sx_copy_options {
    bool recursive;
    bool follow_links;     /* copy what symbolic links point to */
    bool one_file_system;
    bool ignore_errors;    /* go on after a file failed */
    bool sync;             /* fsync downloaded files */
    const char *const *filters; /* "+GLOB" and "-GLOB" in order; the first that matches decides */
    size_t n_filters;
    /* About five times a second; a result other than 0 aborts with Canceled.  May be NULL. */
    int (*progress)(void *arg, const struct sx_progress *p);
    /* For each file.  May be NULL. */
    void (*note)(void *arg, enum sx_note what, const char *name, uint64_t size,
                 const struct sx_err *why);
    void *arg;
};
void sx_copy_options_init(struct sx_copy_options *o);

/* Copies like rsync: "dir" copies the directory, "dir/" what is in it; a destination that ends
 * with '/', is a directory or a volume, or several sources: the sources go below it.  Sources
 * and destination are URIs or local paths; "-" is standard input or output.  Remote sources may be
 * globs.  Between places of one cluster no data moves.  Returns 0 also when files failed and
 * ignore_errors was set: see stats->failed.  Without it the first failure is the error. */
int sx_copy(struct sx_client *c, const char *const *sources, size_t n_sources,
            const char *destination,
            const struct sx_copy_options *o, struct sx_copy_stats *stats, struct sx_err *e);

/* The content in order; a result other than 0 from `fn` ends with Canceled. */
int sx_read(struct sx_cluster *k, const char *volume, const char *path,
            int (*fn)(void *arg, const void *data, size_t n), void *arg, struct sx_err *e);
/* From a file descriptor, from its position to its end; what is stored becomes visible as a
 * whole. */
int sx_write(struct sx_cluster *k, const char *volume, const char *path, int fd, struct sx_err *e);

#ifdef __cplusplus
}
#endif

#endif
