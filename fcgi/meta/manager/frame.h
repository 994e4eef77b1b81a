/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Frames of the group manager: on the local socket between processes of a node and their manager,
 * and on the links between managers.  docs/formats.md section 11 describes them byte by byte.
 *
 *   u32 length of the body | u16 type | u16 group | u64 word | body
 *
 * `word` is the request's tag on the local socket, the sender's node id on a link.
 */
#ifndef SX_FCGI_META_MANAGER_FRAME_H
#define SX_FCGI_META_MANAGER_FRAME_H

#include <stdint.h>

#include "libsx/base/buf.h"
#include "libsx/base/err.h"
#include "libsx/base/wire.h"

#define SX_FRAME_HEADER 16
#define SX_FRAME_LOCAL_MAX ((1u << 20) + 4096)    /* a command of 1 MiB and its frame */
#define SX_FRAME_LINK_MAX ((2u << 20) + (1u << 16)) /* entries of 1 MiB and one command more */

enum sx_frame_type {
    /* Local socket, requests. */
    SX_FRAME_SUBMIT = 1,
    SX_FRAME_SYNC = 2,
    SX_FRAME_STATUS = 3,
    SX_FRAME_ROLE = 4,
    /* Local socket: the only answer. */
    SX_FRAME_ANSWER = 16,
    /* Links. */
    SX_FRAME_HELLO = 32,
    SX_FRAME_RAFT = 33,
    SX_FRAME_FORWARD = 34,
    SX_FRAME_REFUSED = 35,
    SX_FRAME_READ = 36,
    SX_FRAME_READ_INDEX = 37,
    SX_FRAME_ALIVE = 38,
    /* The second connection, which carries a database. */
    SX_FRAME_FETCH = 48,
    SX_FRAME_DATABASE = 49
};

struct sx_frame {
    uint16_t type;
    uint16_t group;
    uint64_t word;
    const uint8_t *body; /* borrowed */
    uint32_t len;
};

/* Appends header and body. */
void sx_frame_put(struct sx_buf *out, const struct sx_frame *f);
/* Reads the header at `p` (SX_FRAME_HEADER bytes); body stays NULL.  SX_EMALFORMED if it is
 * longer than `max`. */
int sx_frame_head(struct sx_frame *f, const uint8_t *p, uint32_t max, struct sx_err *e) SX_MUST_CHECK;

#define SX_LINK_VERSION 1
#define SX_HELLO_ADDRESS_MAX 262 /* host, ':' and port, and brackets for IPv6 */

enum sx_hello_purpose { SX_HELLO_LINK = 0, SX_HELLO_FETCH = 1 };

/* The first frame of a connection, from the side that made it. */
struct sx_hello {
    uint64_t from;
    uint64_t to; /* who is meant to be at the other end */
    uint8_t purpose;
    char cluster[37];
    char address[SX_HELLO_ADDRESS_MAX + 1]; /* host:port where the sender's manager listens */
};

void sx_hello_put(struct sx_buf *out, const struct sx_hello *h);
/* SX_EMALFORMED, SX_EVERSION. */
int sx_hello_get(struct sx_hello *h, const struct sx_frame *f, struct sx_err *e) SX_MUST_CHECK;

#endif
