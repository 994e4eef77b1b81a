/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A stream of bytes on its way into a volume: cut into blocks by its content, looked for in the
 * cluster, encoded, stored on the write quorum.  What comes out is a content that a command can
 * refer to.  The same cutting and encoding as in the client library, so both find each other's
 * blocks.
 *
 *   add ──► buffer ──► chunks ──► ids ──► have? ──► encode what is missing ──► put
 *          └────────────── prepared ───────────────────────────┘   └ stored ┘
 *              └────► MD5, in a thread of its own: it is the slowest stage
 *
 * There are two buffers.  One fills while the other is prepared in a thread of its own, and what was encoded of
 * the one before waits, in a third, for the disks of the write quorum.
 *
 * Memory: the buffers, and about as much for the encoded blocks, whatever the stream's length
 * (blocklist.h).
 */
#ifndef SX_FCGI_S3_INGEST_H
#define SX_FCGI_S3_INGEST_H

#include "fcgi/api/app.h"

struct sx_ingest;

/* What the stream became. */
struct sx_ingest_content {
    uint64_t size;
    uint8_t md5[SX_MD5_SIZE];
    uint8_t etag[SX_ETAG_SIZE];
    bool upload;                    /* the block list is that of upload_id, else `entries` */
    uint8_t upload_id[SX_UPLOAD_ID];
    struct sx_span entries;
    struct sx_span record;          /* of an inline file; else empty */
    uint64_t lease;                 /* oldest lease of the entries */
};

/* For a file `path` in `volume`, which outlives the ingest.  `user`: in whose name commands are
 * submitted.  `inline_ok`: a short stream becomes an inline content. */
struct sx_ingest *sx_ingest_new(struct sx_app *app, const char *user,
                                const struct sx_volume *volume, const char *path, bool inline_ok);
/* The blocks are of this domain, not the cluster's; NULL changes nothing.  Before the first byte; ctx outlives
 * the ingest. */
void sx_ingest_under(struct sx_ingest *g, struct sx_block_ctx *ctx);
/* Gives up what was not committed.  NULL is allowed. */
void sx_ingest_free(struct sx_ingest *g);

/* The next bytes.  SX_ETOOBIG above SX_FILE_SIZE_MAX; errors of sx_blocks_put(). */
int sx_ingest_add(struct sx_ingest *g, const void *p, size_t n, struct sx_err *e) SX_MUST_CHECK;
/* The end: everything is stored.  Pointers into the ingest. */
int sx_ingest_end(struct sx_ingest *g, struct sx_ingest_content *c, struct sx_err *e) SX_MUST_CHECK;
/* After a commit was refused with SX_ELEASE: leases anew what `entries` lists.  SX_EUNAVAIL if the
 * collector took a block meanwhile. */
int sx_ingest_renew(struct sx_ingest *g, struct sx_ingest_content *c,
                    struct sx_err *e) SX_MUST_CHECK;
/* The command was applied: there is nothing to give up. */
void sx_ingest_committed(struct sx_ingest *g);

#endif
