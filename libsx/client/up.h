/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Uploads.
 *
 *   source thread        worker threads             caller's thread, with the network
 *   walk, compare,  ──►  whole file: read, hash ──► have (many ids at once) ──► missing? ─► encode ─► POST of many files
 *   read long files  └►  chunk: hash            ──► have ──► missing? ─► batch: encode ─► blocks ─► parts, PUT
 *
 * A *whole* file is at most UP_WHOLE_MAX long and stays in memory until it is committed; up to
 * UP_PUT_FILES of them are one request, and one more for `have`. A *stream* is anything longer or of unknown length: it passes
 * through a fixed number of slabs; its chunks' bytes are let go as soon as the cluster has them,
 * and read again (if the source can be) should a lease expire.
 *
 * Memory: UP_SLABS slabs, UP_WHOLE_BUDGET of whole files, UP_PUTS requests with them, UP_BATCHES batches; the block list of a
 * stream is sent in parts of UP_PART_ENTRIES as soon as their blocks are stored.
 */
#ifndef SX_CLIENT_UP_H
#define SX_CLIENT_UP_H

#include <pthread.h>
#include <sys/stat.h>

#include "libsx/client/xfer.h"
#include "libsx/codec/chunk.h"
#include "libsx/crypt/context.h"

#define UP_SLABS 5
#define UP_SLAB_SIZE (8u << 20)
#define UP_WHOLE_MAX (1u << 20)
#define UP_WHOLE_BUDGET (24u << 20)
#define UP_FILES 1024
#define UP_GROUP_FILES 16 /* for a worker at a time */
#define UP_GROUP_BYTES (512u << 10)
#define UP_PUTS 4
#define UP_PUT_FILES 128
#define UP_PUT_MS 10
#define UP_ASK_IDS 128
#define UP_ASK_MS 10
#define UP_ASKS 4
#define UP_BATCH_BYTES (4u << 20)
#define UP_BATCHES 5
#define UP_PART_ENTRIES 1500
#define UP_ENTRY_SIZE 36
#define UP_KNOWN 8192
#define UP_KNOWN_PART 6 /* of a lease: for so long a block is known to be there without asking */
#define UP_RENEW_PART 3 /* of a lease: then it is renewed */
#define UP_LEASE_REPEATS 5

struct up;

struct up_slab {
    struct up_slab *next;
    uint8_t *data;
    atomic_uint refs;
};

/* A piece of a file on its way. */
struct up_chunk {
    struct sx_job job;
    struct up_chunk *next;
    struct up_file *file;
    struct up_slab *slab; /* streams, first time */
    const uint8_t *data;  /* NULL: to be read again from the source */
    uint64_t index;       /* in the file */
    uint64_t offset;
    uint32_t len;
    bool missing;         /* the cluster does not have it */
    struct sx_id id;
};

struct up_chunks {
    struct up_chunk *head, **tail;
    size_t n;
    uint64_t bytes;
};

/* UP_PART_ENTRIES entries of a stream's block list. */
struct up_part {
    struct up_part *next;
    uint64_t seq;
    uint32_t filled;    /* entries hashed */
    uint32_t settled;   /* entries that the cluster has leased to us */
    uint64_t lease;     /* the oldest of them */
    uint64_t asked_ms;  /* monotonic: when the first was settled, 0: none is */
    unsigned repeats;   /* lease expiries so far */
    bool is_settled[UP_PART_ENTRIES];
    uint64_t offsets[UP_PART_ENTRIES];
    uint8_t entries[UP_PART_ENTRIES * UP_ENTRY_SIZE];
};

struct up_file {
    struct sx_job job; /* streams */
    struct up_file *next;
    struct up *u;
    char *name;  /* as the user knows it */
    char *path;  /* at the destination */
    struct stat st;
    uint64_t size; /* read */
    struct sx_err err;
    atomic_bool failed; /* the source need not go on with it */
    bool noted;
    char etag[33];
    struct sx_call call;
    struct sx_buf head, answer;
    /* Whole files. */
    bool whole;
    bool follow;        /* a symbolic link at its end */
    uint64_t held;      /* counted in whole_bytes */
    uint8_t *content;
    struct up_chunk *chunks;
    size_t n_chunks, n_asked; /* asked: answers to come */
    bool any_missing;
    bool is_inline;
    uint32_t n_records;
    struct sx_buf entries, records;
    uint64_t moved;     /* bytes of records in the request */
    uint64_t lease;
    unsigned repeats;
    /* Streams. */
    int fd;
    bool seekable;
    bool ended;         /* all chunks are known: `total` */
    uint64_t total;
    uint64_t hashed;
    uint64_t ordered;   /* chunks that the etag has taken in */
    struct sx_sha *sha;
    struct up_part *parts; /* not yet sent, in order */
    uint64_t parts_made, parts_sent;
    char upload[33];    /* empty: none */
    bool calling;       /* `call` is in flight */
    uint64_t alive;     /* chunks not yet let go */
    bool listed;        /* among the streams */
    struct up_file *next_stream;
};

struct up_group;

/* Files that wait until there are enough for a worker. */
struct up_gather {
    struct up_group *open; /* NULL: none waits */
    void (*work)(struct up_file *f, struct sx_worker *w);
    void (*done)(struct up_file *f);
};

struct up_batch {
    struct sx_job job;
    struct up_batch *next;
    struct up *u;
    struct up_chunks chunks;
    struct sx_buf body, answer;
    struct sx_err err;
    struct sx_call call;
};

/* A request with whole files. */
struct up_put {
    struct up_put *next; /* free */
    struct up *u;
    struct up_file *files;
    size_t n;
    struct sx_buf head, body, answer;
    struct sx_call call;
};

struct up_ask {
    struct up *u;
    struct up_chunks chunks;
    struct sx_buf body, answer;
    struct sx_call call;
};

struct up_known {
    struct sx_id id;
    uint64_t lease;
    uint64_t at_ms; /* monotonic; 0: empty */
};

/* A page of the destination's listing, asked for by the source thread and fetched by the other. */
struct up_page {
    struct sx_job job;
    struct sx_call call;
    struct sx_buf answer;
    char *prefix;
    unsigned limit; /* 0: the server's */
    char *after;
    bool asked;            /* the source thread's: it is on its way, or ready */
    struct sx_page *ready; /* under the lock */
    bool over;             /* under the lock: no more pages */
};

struct up_source_item {
    const char *local; /* "-" for standard input */
    char *dest;        /* path of the file, or prefix "dir/" (or "") for a tree */
    bool tree;
    int fd;            /* instead of a path, -1 if not */
    const struct stat *st; /* mode and time of what comes from `fd`; NULL: now */
};

struct up {
    struct sx_xfer x;
    const char *volume;
    enum sx_codec codec;
    unsigned replica;
    struct sx_chunker chunker;
    const struct up_source_item *items;
    size_t n_items;
    /* Between the source thread and the caller's, under the lock. */
    pthread_mutex_t lock;
    pthread_cond_t room;
    struct up_slab *free_slabs;
    unsigned slabs_made;
    uint64_t whole_bytes;
    unsigned files_open;
    struct up_page page;
    struct up_gather to_hash; /* the source thread's */
    pthread_t source;
    uint64_t source_offset; /* the source thread's: of the next chunk in its stream */
    struct sx_job source_end;
    bool source_ended;
    /* The caller's thread's own. */
    struct up_chunks to_ask, missing;
    uint64_t ask_since_ms;
    struct up_gather to_encode;
    atomic_uint working; /* files and chunks given to the workers, or gathered for them */
    unsigned asks, batches_out, batches_made, puts;
    struct up_batch *free_batches;
    struct up_file *ready, **ready_tail; /* whole files to be committed */
    size_t n_ready, ready_bytes;         /* of them; about so much of a request's body */
    uint64_t ready_since_ms;             /* monotonic: since when there are some */
    struct up_put *free_puts;
    struct up_file *streams;             /* not yet committed */
    struct up_known *known;
};

/* source.c: the source thread. */
void *up_source_run(void *arg);
void up_slab_release(struct up *u, struct up_slab *s);
bool up_stopped(const struct up *u);

/* up.c */
void up_chunks_init(struct up_chunks *l);
void up_chunks_add(struct up_chunks *l, struct up_chunk *c);
struct up_chunk *up_chunks_take(struct up_chunks *l);
void up_chunk_free(struct up_chunk *c);
void up_file_fail(struct up_file *f, const struct sx_err *why);
/* Frees the file when nothing refers to it any more; notes its failure. */
void up_file_release(struct up_file *f);
void up_file_copied(struct up_file *f);
/* Blocks that the cluster has leased to us a short time ago. */
void up_known_add(struct up *u, const struct sx_id *id, uint64_t lease);
void up_known_drop(struct up *u, const struct sx_id *id);

/* up_ask.c: which blocks the cluster has, and sending those it has not. */
void up_ask(struct up *u, struct up_chunk *c);
void up_flush(struct up *u);

/* up_whole.c */
void up_whole_hash(struct up_file *f, struct sx_worker *w);   /* worker: reads, cuts, hashes */
void up_whole_hashed(struct up_file *f);
void up_whole_encode(struct up_file *f, struct sx_worker *w); /* worker: what is missing */
void up_whole_encoded(struct up_file *f);
void up_whole_answered(struct up_chunk *c, uint64_t lease);
/* The cluster's answer for a file: stored (SX_OK), or why not. */
void up_whole_end(struct up_file *f, const struct sx_err *why);

/* up_group.c */
void up_gather_add(struct up_gather *k, struct up_file *f); /* gives them to a worker if enough */
void up_gather_flush(struct up *u, struct up_gather *k);    /* or not enough */
/* Opens for reading, without waiting for the writer of a pipe; -1 with an error. */
int up_open(const char *local, bool follow, struct sx_err *e);
bool up_same_state(const struct stat *a, const struct stat *b); /* size and time of change */
int up_read_whole(struct up_file *f, struct sx_err *e);         /* worker */

/* up_put.c */
void up_put_ready(struct up_file *f);         /* to be sent */
struct up_file *up_put_take(struct up *u);    /* takes back what is not sent yet; NULL: nothing */
bool up_put_room(const struct up *u);         /* another request may be started */
void up_put_start(struct up *u);              /* sends what is due, within UP_PUTS */
void up_put_free_all(struct up *u);

/* up_stream.c */
void up_stream_chunk(struct up_chunk *c); /* source thread: to be hashed */
void up_stream_end(struct up_file *f);    /* source thread: `total` and perhaps `err` are set */
void up_stream_settled(struct up_chunk *c, uint64_t lease);
void up_stream_step(struct up_file *f);
void up_stream_renew(struct up *u);

/* up_commit.c: the JSON part of a file to be stored (appended), and whether what the cluster says of
 * it is what was sent. */
int up_commit_head(struct up_file *f, struct sx_buf *out, uint32_t entries, uint64_t lease,
                   struct sx_err *e);
int up_commit_matches(const struct up_file *f, const json_t *j, struct sx_err *e);
int up_commit_check(const struct up_file *f, struct sx_err *e); /* streams: f->answer */

/* Copies the items into a volume.  0 also when single files failed and the options allow that. */
int sx_upload(struct sx_cluster *k, const char *volume, const struct up_source_item *items,
              size_t n,
              const struct sx_copy_options *o, struct sx_copy_stats *stats, struct sx_err *e);

#endif
