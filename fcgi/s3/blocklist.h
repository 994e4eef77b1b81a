/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The block list of a stream that is being stored (ingest.h).  One that grows long, or whose leases
 * grow old, goes into an upload of the metadata, part by part; a short one stays here, for the command
 * that makes the file.
 */
#ifndef SX_FCGI_S3_BLOCKLIST_H
#define SX_FCGI_S3_BLOCKLIST_H

#include "fcgi/api/app.h"
#include "libsx/crypt/context.h"

struct sx_blocklist {
    struct sx_app *app;
    const char *user; /* in whose name commands are submitted */
    const struct sx_volume *volume;
    char *path;
    struct sx_buf entries; /* that were not sent */
    struct sx_sha *etag;   /* of all entries */
    uint64_t lease;        /* the oldest of `entries`; UINT64_MAX: none */
    uint64_t leased_ms;    /* monotonic, when the first of them was leased; 0: none */
    bool upload;           /* begun */
    bool committed;        /* there is nothing to give up */
    uint8_t upload_id[SX_UPLOAD_ID];
    uint32_t seq;
    struct sx_buf command, result;
};

/* `user` and `volume` outlive it. */
void sx_blocklist_init(struct sx_blocklist *l, struct sx_app *app, const char *user,
                       const struct sx_volume *volume, const char *path);
/* Gives up an upload that was not committed, under sx_app_lock(). */
void sx_blocklist_fini(struct sx_blocklist *l);

void sx_blocklist_add(struct sx_blocklist *l, const struct sx_id *id, uint32_t len);
/* Blocks that were added since the last one sent, or will be added next, have this lease. */
void sx_blocklist_leased(struct sx_blocklist *l, uint64_t lease, uint64_t at_ms);

/* The following are called under sx_app_lock().  Errors are those of commands. */

/* Sends the entries if so many more might not fit, or their leases have grown old. */
int sx_blocklist_flush(struct sx_blocklist *l, size_t more, struct sx_err *e) SX_MUST_CHECK;
/* After the last entry: of an upload the rest is sent. */
int sx_blocklist_end(struct sx_blocklist *l, struct sx_err *e) SX_MUST_CHECK;
/* Leases anew what `entries` lists.  SX_EUNAVAIL if the collector took a block meanwhile. */
int sx_blocklist_renew(struct sx_blocklist *l, struct sx_err *e) SX_MUST_CHECK;

#endif
