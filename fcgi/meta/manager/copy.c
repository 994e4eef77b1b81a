/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See copy.h.
 *
 *   fetching side: HELLO (purpose FETCH), FETCH {u64 least index}
 *   serving side:  DATABASE {u32 code, u64 size, u64 applied, string message}, then if the code is 0
 *                  `size` bytes of the database file and their SHA-256
 */
#include "fcgi/meta/manager/copy.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>

#include "fcgi/meta/manager/address.h"
#include "fcgi/meta/manager/frame.h"
#include "fcgi/meta/manager/tls.h"
#include "fcgi/meta/query.h"
#include "fcgi/meta/sm/sums.h"
#include "libsx/base/log.h"
#include "libsx/base/mem.h"
#include "libsx/io/io.h"

#define STEP (256u << 10)
#define SILENCE_S 30         /* during the transfer */
#define CONNECT_S 5
#define PREPARE_S 600        /* until the other side has made its copy */
#define PROBE_S 5            /* keep-alive probes find a machine that died meanwhile */
#define PROBES 3
#define SHA256_SIZE 32
#define DATABASE_HEAD_MAX 1024u

/* ---- both sides ---- */

void sx_copy_stop(struct sx_copy_stop *s)
{
    SX_AUTO_LOCK(&s->lock);

    s->stopped = true;
    if (s->fd >= 0)
        shutdown(s->fd, SHUT_RDWR);
}

static int stop_can(struct sx_copy_stop *s, int fd, struct sx_err *e)
{
    SX_AUTO_LOCK(&s->lock);

    if (s->stopped)
        return sx_err_set(e, SX_ECANCELED, "the group manager ends");
    s->fd = fd;
    return 0;
}

/* Before the descriptor is closed, so that no other file can be meant. */
static void stop_cannot(struct sx_copy_stop *s)
{
    SX_AUTO_LOCK(&s->lock);

    s->fd = -1;
}

static void set_patience(int fd, int receive_s, int send_s)
{
    struct timeval in = { .tv_sec = receive_s }, out = { .tv_sec = send_s };
    int on = 1, probe_s = PROBE_S, probes = PROBES;

    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &in, sizeof in) ||
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &out, sizeof out) ||
        setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on) ||
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &probe_s, sizeof probe_s) ||
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &probe_s, sizeof probe_s) ||
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes))
        sx_warn("setting a socket's time-outs: errno %d", errno);
}

static int send_all(SSL *ssl, const void *p, size_t n, struct sx_err *e)
{
    size_t put;

    while (n > 0) {
        if (SSL_write_ex(ssl, p, n, &put) != 1)
            return sx_tls_error(ssl, "sending", e);
        p = (const uint8_t *)p + put;
        n -= put;
    }
    return 0;
}

static int recv_all(SSL *ssl, void *p, size_t n, struct sx_err *e)
{
    size_t got;

    while (n > 0) {
        if (SSL_read_ex(ssl, p, n, &got) != 1)
            return sx_tls_error(ssl, "receiving", e);
        p = (uint8_t *)p + got;
        n -= got;
    }
    return 0;
}

static void free_digest(EVP_MD_CTX **d)
{
    EVP_MD_CTX_free(*d);
}
#define AUTO_DIGEST __attribute__((cleanup(free_digest))) EVP_MD_CTX *

static int digest_new(EVP_MD_CTX **d, struct sx_err *e)
{
    *d = EVP_MD_CTX_new();
    if (!*d || EVP_DigestInit_ex(*d, EVP_sha256(), NULL) != 1)
        return sx_err_set(e, SX_ENOMEM, "out of memory for a checksum");
    return 0;
}

static int digest_add(EVP_MD_CTX *d, const void *p, size_t n, struct sx_err *e)
{
    return EVP_DigestUpdate(d, p, n) == 1 ? 0 : sx_err_set(e, SX_ENOMEM, "checksum failed");
}

/* ---- serving ---- */

int sx_copy_request(const void *body, size_t n, uint64_t *min_index, struct sx_err *e)
{
    struct sx_cur c = sx_cur_of(body, n);
    uint64_t v = sx_cur_u64(&c);

    if (!sx_cur_done(&c))
        return sx_err_set(e, SX_EMALFORMED, "FETCH is malformed");
    *min_index = v;
    return 0;
}

static int sqlite_failed(struct sx_err *e, const char *what, sqlite3 *db)
{
    return sx_err_set(e, SX_EIO, "%s: %s", what, sqlite3_errmsg(db));
}

/* All pages, in one step, inside the read transaction of `from`: one state of the database. */
static int copy_pages(sqlite3 *from, const char *temp, struct sx_err *e)
{
    sqlite3 *to = NULL;
    sqlite3_backup *b;
    int r = sx_sums_open(temp, &to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);

    if (r == SQLITE_OK)
        r = sqlite3_exec(to, "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF", NULL, NULL, NULL);
    if (r == SQLITE_OK) {
        b = sqlite3_backup_init(to, "main", from, "main");
        r = b ? sqlite3_backup_step(b, -1) : SQLITE_ERROR;
        sqlite3_backup_finish(b);
    }
    if (r != SQLITE_DONE)
        sqlite_failed(e, "copy the database", to);
    sqlite3_close(to);
    return r == SQLITE_DONE ? 0 : -1;
}

/* A whole copy in `temp`, and what it has applied. */
static int make_copy(const char *db_path, const char *temp, uint64_t min_index, uint64_t *applied,
                     struct sx_err *e)
{
    sqlite3 *db;
    uint64_t term;
    int r;

    if (unlink(temp) && errno != ENOENT)
        return sx_err_errno(e, errno, "removing %s", temp);
    if (sx_query_open(db_path, &db, e))
        return -1;
    r = sx_query_begin(db, e);
    if (r == 0) {
        r = sx_query_applied(db, applied, &term, e);
        if (r == 0 && *applied < min_index)
            r = sx_err_set(e, SX_EUNAVAIL, "entry %" PRIu64 " is wanted, applied is %" PRIu64,
                           min_index, *applied);
        if (r == 0)
            r = copy_pages(db, temp, e);
        sx_query_end(db);
    }
    sx_query_close(db);
    return r;
}

static int send_head(SSL *ssl, uint64_t self, int code, uint64_t size, uint64_t applied,
                     const char *message, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf body = SX_BUF_INIT, frame = SX_BUF_INIT;
    struct sx_frame f = { .type = SX_FRAME_DATABASE, .word = self };

    sx_buf_u32(&body, (uint32_t)code);
    sx_buf_u64(&body, size);
    sx_buf_u64(&body, applied);
    sx_buf_string(&body, message);
    f.body = body.data;
    f.len = (uint32_t)body.len;
    sx_frame_put(&frame, &f);
    return send_all(ssl, frame.data, frame.len, e);
}

static int send_file(SSL *ssl, int fd, uint64_t size, struct sx_err *e)
{
    SX_AUTO_FREE uint8_t *p = sx_malloc(STEP);
    uint8_t sum[SHA256_SIZE];
    AUTO_DIGEST d = NULL;

    if (digest_new(&d, e))
        return -1;
    for (uint64_t at = 0; at < size;) {
        size_t n = size - at < STEP ? (size_t)(size - at) : STEP;

        if (sx_io_pread_all(&sx_io_posix, fd, p, n, at, e) || digest_add(d, p, n, e) ||
            send_all(ssl, p, n, e))
            return -1;
        at += n;
    }
    if (EVP_DigestFinal_ex(d, sum, NULL) != 1)
        return sx_err_set(e, SX_ENOMEM, "checksum failed");
    return send_all(ssl, sum, sizeof sum, e);
}

static int serve(SSL *ssl, uint64_t self, const char *db_path, const char *temp, uint64_t min_index,
                 struct sx_err *e)
{
    SX_AUTO_CLOSE int fd = -1;
    struct sx_err why = SX_ERR_INIT, ignored = SX_ERR_INIT;
    struct stat st;
    uint64_t applied = 0;

    if (make_copy(db_path, temp, min_index, &applied, &why) == 0) {
        fd = open(temp, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || fstat(fd, &st))
            sx_err_errno(&why, errno, "opening %s", temp);
    }
    unlink(temp);
    if (why.code != SX_OK) {
        if (send_head(ssl, self, why.code, 0, 0, why.msg, &ignored))
            sx_debug("telling why there is no copy: %s", ignored.msg);
        sx_err_copy(e, &why);
        return -1;
    }
    if (send_head(ssl, self, SX_OK, (uint64_t)st.st_size, applied, "", e))
        return -1;
    return send_file(ssl, fd, (uint64_t)st.st_size, e);
}

int sx_copy_serve(int fd, SSL *ssl, uint64_t self, const char *db_path, const char *temp,
                  uint64_t min_index, struct sx_copy_stop *stop, struct sx_err *e)
{
    int r = stop_can(stop, fd, e);

    set_patience(fd, SILENCE_S, SILENCE_S);
    if (r == 0)
        r = serve(ssl, self, db_path, temp, min_index, e);
    if (r == 0)
        SSL_shutdown(ssl);
    SSL_free(ssl);
    stop_cannot(stop);
    close(fd);
    return r;
}

/* ---- fetching ---- */

static int connect_to(const char *address, struct sx_err *e)
{
    struct sockaddr_storage to;
    socklen_t len;
    int fd;

    if (sx_address_find(address, 0, &to, &len, e))
        return -1;
    fd = socket(to.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return sx_err_errno(e, errno, "making a socket");
    set_patience(fd, PREPARE_S, CONNECT_S);
    if (connect(fd, (struct sockaddr *)&to, len)) {
        sx_err_errno(e, errno, "connecting to %s", address);
        close(fd);
        return -1;
    }
    return fd;
}

static int ask(SSL *ssl, const struct sx_copy_from *from, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;
    struct sx_hello h = { .from = from->conf->node, .to = from->node, .purpose = SX_HELLO_FETCH };
    uint8_t min[8];
    struct sx_frame f = { .type = SX_FRAME_FETCH,
                          .group = (uint16_t)from->group,
                          .word = from->conf->node,
                          .body = min,
                          .len = sizeof min };
    uint64_t id;

    if (SSL_connect(ssl) != 1)
        return sx_tls_error(ssl, "TLS handshake", e);
    if (sx_tls_peer(ssl, &id, e))
        return -1;
    if (id != from->node)
        return sx_err_set(e, SX_ECERT, "node %016" PRIx64 " answered", id);
    sx_put_u64(min, from->min_index);
    memcpy(h.cluster, from->conf->cluster, sizeof h.cluster);
    snprintf(h.address, sizeof h.address, "%s", from->self_address);
    sx_hello_put(&b, &h);
    sx_frame_put(&b, &f);
    return send_all(ssl, b.data, b.len, e);
}

static int recv_head(SSL *ssl, uint64_t min_index, uint64_t *size, uint64_t *applied,
                     struct sx_err *e)
{
    uint8_t head[SX_FRAME_HEADER], body[DATABASE_HEAD_MAX];
    struct sx_frame f;
    struct sx_cur c;
    const uint8_t *message;
    size_t n;
    int code;

    if (recv_all(ssl, head, sizeof head, e) || sx_frame_head(&f, head, sizeof body, e) ||
        recv_all(ssl, body, f.len, e))
        return -1;
    c = sx_cur_of(body, f.len);
    code = (int)sx_cur_u32(&c);
    *size = sx_cur_u64(&c);
    *applied = sx_cur_u64(&c);
    message = sx_cur_bytes(&c, &n);
    if (f.type != SX_FRAME_DATABASE || !sx_cur_done(&c))
        return sx_err_set(e, SX_EMALFORMED, "malformed answer, frame type %u", f.type);
    if (code != SX_OK)
        return sx_err_set(e, code, "%.*s", (int)n, (const char *)message);
    if (*applied < min_index)
        return sx_err_set(e, SX_EUNAVAIL, "has applied %" PRIu64 ", wanted is %" PRIu64, *applied,
                          min_index);
    return 0;
}

static int recv_file(SSL *ssl, int fd, uint64_t size, struct sx_err *e)
{
    SX_AUTO_FREE uint8_t *p = sx_malloc(STEP);
    uint8_t sum[SHA256_SIZE], theirs[SHA256_SIZE];
    AUTO_DIGEST d = NULL;

    if (digest_new(&d, e))
        return -1;
    for (uint64_t at = 0; at < size;) {
        size_t n = size - at < STEP ? (size_t)(size - at) : STEP;

        if (recv_all(ssl, p, n, e) || digest_add(d, p, n, e) ||
            sx_io_pwrite_all(&sx_io_posix, fd, p, n, at, e))
            return -1;
        at += n;
    }
    if (recv_all(ssl, theirs, sizeof theirs, e))
        return -1;
    if (EVP_DigestFinal_ex(d, sum, NULL) != 1)
        return sx_err_set(e, SX_ENOMEM, "checksum failed");
    if (memcmp(sum, theirs, sizeof sum) != 0)
        return sx_err_set(e, SX_ECORRUPT, "the checksum of the database is wrong");
    return 0;
}

/* The first row of PRAGMA quick_check is "ok" if SQLite finds nothing wrong. */
static int check_structure(const char *path, struct sx_err *e)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *st = NULL;
    int r = sx_sums_open(path, &db, SQLITE_OPEN_READWRITE);
    bool ok = false;

    if (r == SQLITE_OK)
        r = sqlite3_prepare_v2(db, "PRAGMA quick_check(1)", -1, &st, NULL);
    if (r == SQLITE_OK && sqlite3_step(st) == SQLITE_ROW)
        ok = strcmp((const char *)sqlite3_column_text(st, 0), "ok") == 0;
    if (!ok)
        sx_err_set(e, SX_ECORRUPT, "the fetched database is damaged: %s",
                   st ? (const char *)sqlite3_column_text(st, 0) : sqlite3_errmsg(db));
    sqlite3_finalize(st);
    sqlite3_close(db);
    return ok ? 0 : -1;
}

static int sync_file(const char *path, struct sx_err *e)
{
    SX_AUTO_CLOSE int fd = open(path, O_RDWR | O_CLOEXEC);

    return fd >= 0 && fsync(fd) == 0 ? 0 : sx_err_errno(e, errno, "syncing %s", path);
}

static int fetch(SSL *ssl, int sock, const struct sx_copy_from *from, const char *path,
                 uint64_t *index, struct sx_err *e)
{
    SX_AUTO_CLOSE int fd = -1;
    uint64_t size;

    if (SSL_set_fd(ssl, sock) != 1)
        return sx_err_set(e, SX_ENOMEM, "out of memory for a TLS connection");
    if (ask(ssl, from, e) || recv_head(ssl, from->min_index, &size, index, e))
        return -1;
    set_patience(sock, SILENCE_S, SILENCE_S);
    fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    if (fd < 0)
        return sx_err_errno(e, errno, "making %s", path);
    return recv_file(ssl, fd, size, e);
}

int sx_copy_fetch(const struct sx_copy_from *from, const char *path, uint64_t *index,
                  struct sx_err *e)
{
    SX_AUTO_CLOSE int sock = connect_to(from->address, e);
    SSL *ssl;
    int r;

    if (sock < 0)
        return -1;
    ssl = SSL_new(from->tls);
    if (!ssl)
        return sx_err_set(e, SX_ENOMEM, "out of memory for a TLS connection");
    r = stop_can(from->stop, sock, e);
    if (r == 0)
        r = fetch(ssl, sock, from, path, index, e);
    SSL_free(ssl);
    stop_cannot(from->stop);
    if (r || check_structure(path, e) || sync_file(path, e))
        return -1;
    return 0;
}
