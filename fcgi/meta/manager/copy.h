/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A database travels from one node to another, over its own TLS connection on the peer port;
 * blocking, for threads beside the loop.  Frames: docs/formats.md, section 11.
 */
#ifndef SX_FCGI_META_MANAGER_COPY_H
#define SX_FCGI_META_MANAGER_COPY_H

#include <openssl/ssl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "fcgi/conf.h"
#include "libsx/base/err.h"

/* Lets another thread end a transfer: its socket is shut down, and it fails soon.  Not while
 * SQLite works on a file. */
struct sx_copy_stop {
    pthread_mutex_t lock;
    int fd; /* -1: none */
    bool stopped;
};

#define SX_COPY_STOP_INIT { PTHREAD_MUTEX_INITIALIZER, -1, false }

void sx_copy_stop(struct sx_copy_stop *s);

/* Answers a FETCH: makes a consistent copy of the database at `db_path` in the file `temp` and
 * sends it with its checksum. `min_index`: the least applied index that will do; if the database
 * has not come so far the other side is told so. Takes fd and ssl.  The temporary file is gone
 * afterwards. */
int sx_copy_serve(int fd, SSL *ssl, uint64_t self, const char *db_path, const char *temp,
                  uint64_t min_index, struct sx_copy_stop *stop, struct sx_err *e) SX_MUST_CHECK;

struct sx_copy_from {
    const struct sx_node_conf *conf; /* of this node */
    SSL_CTX *tls;
    const char *self_address;
    uint64_t node; /* who is asked */
    const char *address;
    unsigned group;
    uint64_t min_index;
    struct sx_copy_stop *stop;
};

/* Fetches a database into the file `path`; checks its checksum and SQLite's structure; durable
 * on success. *index: what it has applied. */
int sx_copy_fetch(const struct sx_copy_from *from, const char *path, uint64_t *index,
                  struct sx_err *e) SX_MUST_CHECK;

/* The body of a FETCH frame: the least index. */
int sx_copy_request(const void *body, size_t n, uint64_t *min_index, struct sx_err *e) SX_MUST_CHECK;

#endif
