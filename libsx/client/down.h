/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Downloads.
 *
 *   listing ──► small files: many with one POST, data included ──► worker: decode, verify, write, rename
 *                └─ long or unknown: GET, manifest pages ──► window of entries ──► groups by node ──► worker: decode, verify, write
 *
 *   entry:  NEW ──► CHECKING (what is here already) ──► DONE
 *             └────────────────┴──► NEED ──► FETCHING ──► DONE, or HELD until its turn (in-order sinks)
 *                                     ▲         │ not there, damaged
 *                                     └─────────┘ next node
 *
 * A file appears under its name when it is whole: until then it is ".sx-….part" beside it, named
 * by content, so that an interrupted download goes on from there.  Nothing that did not match its
 * id is ever written.
 *
 * Memory: DOWN_GROUPS answers of about DOWN_GROUP_BYTES, DOWN_WINDOW of blocks that wait for
 * their turn, one or two manifest pages a file; small files DOWN_SMALL_BUDGET.
 */
#ifndef SX_CLIENT_DOWN_H
#define SX_CLIENT_DOWN_H

#include "libsx/client/xfer.h"
#include "libsx/crypt/context.h"
#include "libsx/http/message.h"

#define DOWN_SMALL_MAX (1u << 20)
#define DOWN_SMALL_BUDGET (24u << 20)
#define DOWN_SMALL_FILES 1024
#define DOWN_GET_FILES 128 /* small files in one request */
#define DOWN_GET_BYTES (4u << 20)
#define DOWN_STREAMS 2
#define DOWN_GROUPS 6
#define DOWN_GROUP_BYTES (2u << 20)
#define DOWN_GROUP_IDS 256
#define DOWN_WINDOW (32u << 20)
#define DOWN_LOOK 512       /* entries looked at for a group */
#define DOWN_PAGE 1500
#define DOWN_PAGES_AHEAD 400 /* entries left when the next page is asked for */
#define DOWN_CHECK_BYTES (8u << 20)
#define DOWN_MISSING_MS 30000u
#define DOWN_MISSING_DELAY_MS 500u
#define DOWN_TICKET_SIZE 16
#define DOWN_MANIFEST_ENTRY 52

enum down_state { DOWN_NEW, DOWN_CHECKING, DOWN_NEED, DOWN_FETCHING, DOWN_HELD, DOWN_DONE };

struct down_entry {
    struct sx_id id;
    uint32_t len;
    uint8_t ticket[DOWN_TICKET_SIZE];
    uint64_t expires_ms;
    uint64_t offset;
    uint64_t retry_ms;  /* monotonic: not before */
    uint64_t missed_ms; /* monotonic: first time that a node did not have it */
    unsigned attempts;
    enum down_state state;
    uint8_t *plain;     /* HELD */
};

/* What a node tells of a file: facts, a page of its block list, perhaps its data. */
struct down_page {
    char rev[17], etag[33];
    uint64_t size;
    int64_t mtime_ns;
    unsigned mode;
    uint64_t from;  /* the first entry */
    uint64_t count; /* entries, at most DOWN_PAGE */
    uint64_t records, expires_ms;
    const uint8_t *data; /* entries with tickets, then records: in the answer */
    size_t len;
};

struct down;

/* An open directory.  The files of a tree come in its order, so many that a worker writes one after
 * the other are in the same one, and need no walk along the whole path. */
struct down_dir {
    char *path; /* "…/"; NULL: none is open */
    int fd;
};

typedef int down_sink_fn(void *arg, const void *data, size_t n);

struct down_file {
    struct sx_job job;
    struct down *d;
    char *path;  /* in the volume */
    char *local; /* NULL: to the sink */
    const char *shown;
    uint64_t size;
    int64_t mtime_ns;
    unsigned mode;
    char rev[17], etag[33];
    bool small;        /* counted against the budget of small files */
    bool streaming;    /* block by block, not all with the first answer */
    uint64_t budget;
    const uint8_t *records; /* of the last page, in the answer that it came with */
    size_t records_len;
    struct sx_buf whole; /* content of a small file for the sink */
    struct sx_call call;
    struct sx_buf answer;
    struct sx_err err; /* of a job */
    bool failed;
    /* Manifest. */
    struct down_entry *entries; /* base … base + n - 1 */
    uint64_t base, n, cap;
    uint64_t listed_bytes; /* the sum of the lengths so far */
    uint64_t todo;         /* first entry that may be NEW or NEED */
    bool all_listed;
    bool alone;            /* was asked for by itself, not only as one of many */
    bool paging;           /* `call` fetches a page */
    uint64_t refresh;      /* first entry whose ticket is too old; UINT64_MAX: none */
    struct sx_sha *sha;
    /* Target. */
    struct down_dir *dir, own_dir; /* where name and part are */
    const char *name;              /* in `local` */
    char *part;                    /* NULL: there is none */
    int fd, old_fd;
    bool check;            /* there is something to compare with */
    uint64_t reached;      /* small files: where the last write ended */
    unsigned groups;       /* in flight, and check jobs */
    bool finishing;
    struct down_file *next, **prev;
};

struct down_group {
    struct sx_job job;
    struct down_group *next;
    struct down_file *file;
    struct sx_call call;
    struct sx_buf body, answer;
    uint32_t n;
    uint64_t bytes;
    uint64_t index[DOWN_GROUP_IDS]; /* of the entries */
    struct down_entry work[DOWN_GROUP_IDS]; /* copies for the worker, with its results */
    struct sx_err err;
};

/* A request for many small files. */
struct down_get {
    struct sx_job job;
    struct down_get *next; /* free */
    struct down *d;
    struct down_file *files[DOWN_GET_FILES];
    size_t n;
    uint64_t bytes;
    struct sx_buf body, answer;
    struct sx_call call;
};

struct down_item {
    char *path;  /* a file, or the prefix of a tree ("" or "dir/") */
    char *local; /* target file, or directory of the tree; NULL: the sink */
    bool tree;
};

struct down {
    struct sx_xfer x;
    const char *volume;
    unsigned replica;
    const struct down_item *items;
    size_t n_items, item;
    struct sx_listing *listing;
    bool fresh; /* when the tree was begun nothing was where it goes to */
    down_sink_fn *sink;
    void *sink_arg;
    bool fed; /* every file was started */
    unsigned small_files, streams;
    uint64_t small_bytes;
    unsigned groups_made;
    struct down_group *free_groups;
    struct down_get *gathered; /* not sent yet; NULL: none */
    struct down_get *free_gets;
    unsigned gets;             /* sent, and not yet written */
    struct down_file *files; /* streams in work */
};

/* down.c */
void down_file_start(struct down *d, const struct down_item *item, const struct sx_file_info *f,
                     char *local);
void down_file_end(struct down_file *f, const struct sx_err *why); /* NULL: well */
void down_file_free(struct down_file *f);

/* down_file.c: manifest and progress of a file. */
void down_file_fetch(struct down_file *f);
void down_file_step(struct down_file *f);
void down_file_fail(struct down_file *f, const struct sx_err *why);
void down_file_refused(struct down_file *f, const struct sx_err *why); /* fails, unless others may have it */
/* Takes the answer to a request for a file, or for its next page.  True: all of it is here, to be
 * written by a worker; else the rest is under way. */
bool down_file_page(struct down_file *f, const struct down_page *p);
/* Worker: all of a small file. */
void down_file_write(struct down_file *f, struct down_dir *dir, struct sx_worker *w);
void down_file_written(struct down_file *f);
struct down_entry *down_entry(struct down_file *f, uint64_t index);

/* down_get.c: small files, many at a time. */
void down_get_add(struct down_file *f);
void down_get_flush(struct down *d); /* sends what was gathered, full or not */
void down_get_drop(struct down *d);  /* the download stops: ends what was gathered */
void down_get_free_all(struct down *d);

/* down_group.c: blocks from the nodes. */
void down_groups_start(struct down_file *f);
void down_groups_free_all(struct down *d);

/* down_target.c: on worker threads. */
int down_target_open(struct down_file *f, struct down_dir *dir, bool resume, struct sx_err *e);
int down_target_write(struct down_file *f, const void *p, size_t n, uint64_t at, struct sx_err *e);
int down_target_finish(struct down_file *f, struct sx_err *e);
void down_target_drop(struct down_file *f, bool keep); /* of a file that is not finished: the part */
void down_dir_leave(struct down_dir *d);
bool down_target_nothing(const char *dir); /* it does not exist, or is empty */
bool down_target_unchanged(const char *local, const struct sx_file_info *f);
void down_check_run(struct sx_job *j, struct sx_worker *w);

/* Downloads the items. */
int sx_download(struct sx_cluster *k, const char *volume, const struct down_item *items, size_t n,
                down_sink_fn *sink, void *sink_arg, const struct sx_copy_options *o,
                struct sx_copy_stats *stats, struct sx_err *e);

#endif
