/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A file as it was sent to be stored: the message of PUT /files, or one of those of POST /files
 * (docs/api.md section 5), read and checked.  h_put.c stores it.
 */
#ifndef SX_FCGI_API_PUT_H
#define SX_FCGI_API_PUT_H

#include "fcgi/api/common.h"

#define SX_LEASE_FOREVER ((uint64_t)INT64_MAX) /* nothing in the list needs a lease */

/* The parts point into the body. */
struct sx_put {
    struct sx_message m;
    struct sx_cmd_file_put c; /* the caller sets `volume`, and `path` if the URL has it */
    uint8_t op[SX_OP_ID];     /* the caller's */
    bool is_inline;
    bool leased;              /* there are entries whose records are not here */
    size_t n_entries, n_records;
    const uint8_t *entries;
    struct sx_record *recs;
    uint32_t *plain_len;
    struct sx_buf meta;
    struct sx_buf command, result; /* of the metadata */
    struct sx_err err;             /* why it is not stored; SX_OK: nothing known against it */
};

/* Reads one message; every record is decoded and compared with its id. */
int sx_put_read(struct sx_req *r, struct sx_put *p, const void *body, size_t n,
                struct sx_err *e) SX_MUST_CHECK;
void sx_put_fini(struct sx_put *p);

#endif
