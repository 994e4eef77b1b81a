/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * See transfer.h.  Buffers of libcurl are chosen for each request by the sizes that are to be
 * expected.  libcurl allocates them anew for each transfer: beyond 128 KiB the page faults of that
 * cost more than the fewer calls save.
 */
#include "libsx/http/transfer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libsx/base/clock.h"
#include "libsx/base/date.h"
#include "libsx/base/mem.h"
#include "libsx/base/text.h"
#include "libsx/crypt/context.h"
#include "libsx/http/failure.h"

#define RECEIVE_BUFFER_MIN (16L << 10)
#define RECEIVE_BUFFER_MAX (128L << 10)
#define SEND_BUFFER_MIN (16L << 10)
#define SEND_BUFFER_MAX (128L << 10)
#define REGION "sx"
#define SERVICE "sx"

/* Options fail only for want of memory. */
#define SET(easy, option, value) sx_assert(curl_easy_setopt(easy, option, value) == CURLE_OK)

static void add_line(struct sx_http_transfer *t, const char *name, const char *value)
{
    SX_AUTO_FREE char *line = sx_asprintf(*value ? "%s: %s" : "%s:", name, value);
    struct curl_slist *list = curl_slist_append(t->list, line);

    sx_assert(list);
    t->list = list;
}

static const char *keep(struct sx_http_transfer *t, size_t i, const char *s)
{
    t->strings[i] = s ? sx_strdup(s) : NULL;
    return t->strings[i];
}

struct sx_http_transfer *sx_http_transfer_new(const struct sx_http_request *r)
{
    struct sx_http_transfer *t = sx_calloc(1, sizeof *t);
    bool v6 = strchr(r->address, ':') != NULL;

    t->r = *r;
    t->r.method = keep(t, 0, r->method);
    t->r.address = keep(t, 1, r->address);
    t->r.path = keep(t, 2, r->path);
    t->r.query = keep(t, 3, r->query && *r->query ? r->query : NULL);
    t->r.content_type = keep(t, 4, r->content_type);
    t->node = sx_asprintf(v6 ? "[%s]:%u" : "%s:%u", r->address, (unsigned)r->port);
    for (size_t i = 0; i < r->n_headers; i++)
        add_line(t, r->headers[i].name, r->headers[i].value);
    t->r.headers = NULL;
    t->r.n_headers = 0;
    for (size_t i = 0; i < r->n_body; i++)
        t->body_len += r->body[i].iov_len;
    if (r->answer)
        sx_buf_reset(r->answer);
    return t;
}

void sx_http_transfer_free(struct sx_http_transfer *t)
{
    for (size_t i = 0; i < sizeof t->strings / sizeof t->strings[0]; i++)
        free(t->strings[i]);
    free(t->node);
    curl_slist_free_all(t->list);
    sx_buf_fini(&t->own);
    free(t);
}

static size_t read_body(char *to, size_t size, size_t count, void *arg)
{
    struct sx_http_transfer *t = arg;
    size_t room = size * count, done = 0;

    if (t->limit->rate && t->limit->send <= 0) {
        t->paused = true;
        return CURL_READFUNC_PAUSE;
    }
    while (done < room && t->piece < t->r.n_body) {
        const struct iovec *v = &t->r.body[t->piece];
        size_t n = v->iov_len - t->piece_at;

        if (n > room - done)
            n = room - done;
        if (n)
            memcpy(to + done, (const char *)v->iov_base + t->piece_at, n);
        done += n;
        t->piece_at += n;
        if (t->piece_at == v->iov_len) {
            t->piece++;
            t->piece_at = 0;
        }
    }
    t->limit->send -= (int64_t)done;
    t->moved_ms = sx_mono_ms();
    return done;
}

/* libcurl goes back to the start when a kept connection proves dead. */
static int seek_body(void *arg, curl_off_t offset, int origin)
{
    struct sx_http_transfer *t = arg;

    if (offset != 0 || origin != SEEK_SET)
        return CURL_SEEKFUNC_CANTSEEK;
    t->piece = t->piece_at = 0;
    return CURL_SEEKFUNC_OK;
}

static long status_of(CURL *easy)
{
    long status = 0;

    sx_assert(curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status) == CURLE_OK);
    return status;
}

static struct sx_buf *answer_of(struct sx_http_transfer *t)
{
    return t->r.answer ? t->r.answer : &t->own;
}

static size_t write_answer(char *p, size_t size, size_t count, void *arg)
{
    struct sx_http_transfer *t = arg;
    struct sx_buf *out = answer_of(t);
    long status = status_of(t->easy);
    bool good = status >= 200 && status < 300;
    size_t n = size * count, max = good && t->r.answer ? t->r.answer_max : SX_HTTP_ERROR_BODY_MAX;
    curl_off_t whole = 0;

    if (t->limit->rate && t->limit->receive <= 0) {
        t->paused = true;
        return CURL_WRITEFUNC_PAUSE;
    }
    t->moved_ms = sx_mono_ms();
    if (!out->len) {
        sx_assert(curl_easy_getinfo(t->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &whole) ==
                  CURLE_OK);
        if (whole > 0 && (uint64_t)whole <= max)
            sx_buf_reserve(out, (size_t)whole);
    }
    if (n > max - out->len || (whole > 0 && (uint64_t)whole > max)) {
        t->too_big = true;
        return CURL_WRITEFUNC_ERROR;
    }
    sx_buf_add(out, p, n);
    t->limit->receive -= (int64_t)n;
    return n;
}

/* The hash of the body as AWS wants it.  A message's content proves itself by checksums and ids. */
static void payload_hash(const struct sx_http_transfer *t, char text[2 * SX_SHA256 + 1])
{
    uint8_t digest[SX_SHA256];
    struct sx_sha *sha;

    if (t->r.content_type && strcmp(t->r.content_type, SX_HTTP_MESSAGE) == 0) {
        strcpy(text, SX_UNSIGNED_PAYLOAD);
        return;
    }
    sha = sx_sha_new();
    for (size_t i = 0; i < t->r.n_body; i++)
        sx_sha_add(sha, t->r.body[i].iov_base, t->r.body[i].iov_len);
    sx_sha_end(sha, digest);
    sx_sha_free(sha);
    sx_hex(text, digest, sizeof digest);
}

static void sign(struct sx_http_transfer *t, const struct sx_http_settings *s)
{
    SX_AUTO(sx_buf) struct sx_buf authorization = SX_BUF_INIT;
    char date[17], payload[2 * SX_SHA256 + 1];
    const struct sx_header headers[] = { { "host", t->node },
                                         { "x-amz-content-sha256", payload },
                                         { "x-amz-date", date } };
    const struct sx_sig_request request = { .method = t->r.method, .path = t->r.path,
                                            .query = t->r.query, .headers = headers,
                                            .n_headers = sizeof headers / sizeof headers[0],
                                            .payload = payload };

    sx_amz_date(date, (uint64_t)((int64_t)sx_wall_ms() + t->r.clock_ms));
    payload_hash(t, payload);
    sx_sigv4_sign(&authorization, &request, s->access_key, s->secret, REGION, SERVICE, date);
    add_line(t, "x-amz-date", date);
    add_line(t, "x-amz-content-sha256", payload);
    add_line(t, "Authorization", sx_buf_cstr(&authorization));
}

static void set_tls(CURL *easy, const struct sx_http_settings *s)
{
    SET(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(easy, CURLOPT_SHARE, s->share);
    if (s->ca_file) {
        SET(easy, CURLOPT_CAINFO, s->ca_file);
        SET(easy, CURLOPT_CAPATH, NULL);
    } else {
        SET(easy, CURLOPT_SSL_VERIFYPEER, 0L);
        SET(easy, CURLOPT_SSL_VERIFYHOST, 0L);
        SET(easy, CURLOPT_CERTINFO, 1L);
    }
    if (s->cert_file) {
        SET(easy, CURLOPT_SSLCERT, s->cert_file);
        SET(easy, CURLOPT_SSLKEY, s->key_file);
    }
}

/* libcurl's own speed limit looks at an average over some seconds: a server that hangs after it has
 * got a request would be noticed that much later. */
static void set_times(struct sx_http_transfer *t, const struct sx_http_settings *s)
{
    t->stall_ms = t->r.stall_timeout_ms ? t->r.stall_timeout_ms : s->stall_timeout_ms;
    t->moved_ms = sx_mono_ms();
    SET(t->easy, CURLOPT_CONNECTTIMEOUT_MS, (long)s->connect_timeout_ms);
    SET(t->easy, CURLOPT_TIMEOUT_MS, (long)t->r.timeout_ms);
}

/* A limited transfer gets the least, so that many of them share the limit evenly. */
static long buffer_size(size_t want, bool limited, long min, long max)
{
    return limited || want <= (size_t)min ? min : want >= (size_t)max ? max : (long)want;
}

static void set_method(struct sx_http_transfer *t, bool limited)
{
    const char *method = t->r.method;
    bool sends = strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0 ||
                 strcmp(method, "PATCH") == 0;

    if (sends || t->body_len) {
        SET(t->easy, CURLOPT_POST, 1L);
        SET(t->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)t->body_len);
        SET(t->easy, CURLOPT_READFUNCTION, read_body);
        SET(t->easy, CURLOPT_READDATA, t);
        SET(t->easy, CURLOPT_SEEKFUNCTION, seek_body);
        SET(t->easy, CURLOPT_SEEKDATA, t);
        SET(t->easy, CURLOPT_UPLOAD_BUFFERSIZE,
            buffer_size(t->body_len, limited, SEND_BUFFER_MIN, SEND_BUFFER_MAX));
    } else if (strcmp(method, "HEAD") == 0) {
        SET(t->easy, CURLOPT_NOBODY, 1L);
    }
    SET(t->easy, CURLOPT_CUSTOMREQUEST, method);
    SET(t->easy, CURLOPT_WRITEFUNCTION, write_answer);
    SET(t->easy, CURLOPT_WRITEDATA, t);
    SET(t->easy, CURLOPT_BUFFERSIZE,
        buffer_size(t->r.answer_max, limited, RECEIVE_BUFFER_MIN, RECEIVE_BUFFER_MAX));
}

static void set_headers(struct sx_http_transfer *t, const struct sx_http_settings *s)
{
    add_line(t, "Host", t->node);
    add_line(t, "Expect", "");
    add_line(t, "Content-Type", t->r.content_type ? t->r.content_type : "");
    if (s->access_key && s->secret)
        sign(t, s);
    SET(t->easy, CURLOPT_HTTPHEADER, t->list);
    SET(t->easy, CURLOPT_USERAGENT, s->user_agent);
}

void sx_http_transfer_begin(struct sx_http_transfer *t, CURL *easy, struct sx_http_settings *s)
{
    SX_AUTO_FREE char *url = sx_asprintf("https://%s%s%s%s", t->node, t->r.path,
                                         t->r.query ? "?" : "",
                                         t->r.query ? t->r.query : "");

    t->easy = easy;
    t->limit = &s->limit;
    SET(easy, CURLOPT_URL, url);
    SET(easy, CURLOPT_PATH_AS_IS, 1L);
    SET(easy, CURLOPT_PROTOCOLS_STR, "https");
    SET(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(easy, CURLOPT_NOPROXY, "*");
    SET(easy, CURLOPT_NOSIGNAL, 1L);
    SET(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    SET(easy, CURLOPT_PRIVATE, t);
    SET(easy, CURLOPT_ERRORBUFFER, t->detail);
    set_tls(easy, s);
    set_times(t, s);
    set_method(t, s->limit.rate != 0);
    set_headers(t, s);
}

void sx_http_transfer_resume(struct sx_http_transfer *t)
{
    if (!t->paused)
        return;
    t->paused = false;
    t->moved_ms = sx_mono_ms();
    /* an error is found again, and told, by curl_multi_perform() */
    (void)curl_easy_pause(t->easy, CURLPAUSE_CONT);
}

static const char *header(CURL *easy, const char *name)
{
    struct curl_header *h;

    return curl_easy_header(easy, name, 0, CURLH_HEADER, -1, &h) == CURLHE_OK ? h->value : NULL;
}

static void read_headers(CURL *easy, struct sx_http_answer *a)
{
    const char *v;

    if ((v = header(easy, "X-Sx-Request")))
        snprintf(a->request_id, sizeof a->request_id, "%s", v);
    if ((v = header(easy, "Retry-After")) && strspn(v, "0123456789") == strlen(v) && strlen(v) < 6)
        a->retry_after_s = (unsigned)strtoul(v, NULL, 10);
    if (!(v = header(easy, "Date")) || sx_http_date_parse(v, &a->date_ms) != 0)
        a->date_ms = 0;
}

void sx_http_transfer_end(struct sx_http_transfer *t, CURLcode code, struct sx_http_answer *a)
{
    const struct sx_buf *body = answer_of(t);

    a->status = (int)status_of(t->easy);
    read_headers(t->easy, a);
    if (t->too_big)
        sx_err_set(&a->err, SX_ETOOBIG, "node %s: the answer is larger than %zu bytes", t->node,
                   t->r.answer_max);
    else if (code != CURLE_OK)
        sx_http_fail_transport(&a->err, code, t->detail, t->node);
    else if (a->status < 200 || a->status > 299)
        sx_http_fail_status(&a->err, a->status, body->data, body->len, t->node);
}

void sx_http_transfer_chain_ca(struct sx_http_transfer *t, struct sx_buf *pem)
{
    struct curl_certinfo *info;
    const struct curl_slist *l;

    if (curl_easy_getinfo(t->easy, CURLINFO_CERTINFO, &info) != CURLE_OK || info->num_of_certs < 1)
        return;
    for (l = info->certinfo[info->num_of_certs - 1]; l; l = l->next) {
        if (strncmp(l->data, "Cert:", 5) == 0) {
            sx_buf_reset(pem);
            sx_buf_str(pem, l->data + 5);
        }
    }
}
