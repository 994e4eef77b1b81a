/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Loads an S3 server, or a plain one, for some seconds: the client of s3bench.py.
 *
 *   s3load --url https://HOST:PORT/BUCKET --method PUT|GET --size BYTES [--connections N]
 *          [--seconds S] [--most N] [--limit N] [--first] [--ca FILE] [--access KEY]
 *
 * Each connection is a thread with a TLS connection of its own, kept open.  It writes objects of
 * that size under --most names, again and again, until the time is over or --limit objects are
 * written; or it writes one under each name, reads them (but not with --first, so that what is timed
 * are first reads), and then reads them in turn.  With --access every
 * request is signed (Signature V4, UNSIGNED-PAYLOAD) with the secret in the environment,
 * AWS_SECRET_ACCESS_KEY.  Without --ca the server's certificate is not verified.
 *
 *   prepare (GET: its objects)   barrier   the timed part   delete what was written
 *
 * The first error is told on standard error and ends the work of all connections; deletions are
 * still tried.  Then one line of JSON: requests, seconds from the first start to the last end,
 * CPU seconds of all threads, both of the timed part only; requests that failed, and how many
 * were answered with 503 and made again, both of the whole run.
 *
 * Exit status: 0 all done, 1 a request failed, 2 wrong usage.
 */
#include <curl/curl.h>
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libsx/auth/sigv4.h"
#include "libsx/base/clock.h"
#include "libsx/base/err.h"
#include "libsx/base/mem.h"
#include "libsx/base/text.h"
#include "libsx/crypt/crypt.h"

#define REGION "us-east-1"
#define SERVICE "s3"
#define BUSY_TRIES 100u /* of a request that is answered with 503 */
#define BUSY_PAUSE_MS 100u
#define CONNECTIONS_MAX 1024u
#define NAMES_MAX 1000000u
#define OBJECT_MAX (UINT64_C(5) << 30)   /* of one object, as AWS takes it in one PUT */
#define SECONDS_MAX 86400.0
#define FRESH_EVERY 32768u /* bytes; at most the smallest block of SX */
#define RANDOM_SIZE (4u << 20) /* a multiple of that; more than the largest block */
#define IDLE_S 60L         /* without a byte moved: given up */
#define BUFFER_MIN (16L << 10)
#define BUFFER_MAX (128L << 10)
#define SAID_MAX 300u /* of the body of an answer that tells an error */

/* Options fail only for want of memory. */
#define SET(easy, option, value) sx_assert(curl_easy_setopt(easy, option, value) == CURLE_OK)

struct load {
    const char *url;
    const char *path; /* within url */
    char *host;
    const char *ca;     /* NULL: anyone is believed */
    const char *access; /* NULL: nothing is signed */
    const char *secret;
    bool put, first;
    uint64_t size, connections, most, limit;
    double seconds;
    pthread_barrier_t begin;
    atomic_uint errors, busy;
};

struct connection {
    pthread_t thread;
    struct load *load;
    unsigned number;
    CURL *easy;
    uint8_t *random; /* what bodies are made of, */
    uint64_t fresh;  /* and the mark of the first piece of this one */
    uint64_t sent;
    uint64_t named; /* names that were written to */
    uint64_t requests, start_ns, end_ns, cpu_ns;
    uint64_t received;
    char said[SAID_MAX + 1];
    char detail[CURL_ERROR_SIZE];
};

static uint64_t thread_cpu_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

__attribute__((format(printf, 4, 5))) static int fail(struct connection *c, const char *method,
                                                      uint64_t name, const char *fmt, ...)
{
    va_list ap;

    if (atomic_fetch_add(&c->load->errors, 1))
        return -1;
    flockfile(stderr);
    fprintf(stderr, "s3load: %s %s/c%u-%" PRIu64 ": ", method, c->load->path, c->number, name);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    funlockfile(stderr);
    return -1;
}

static size_t count_answer(char *p, size_t size, size_t count, void *arg)
{
    struct connection *c = arg;
    size_t n = size * count;

    if (c->received < SAID_MAX) {
        size_t room = SAID_MAX - (size_t)c->received, part = n < room ? n : room;

        memcpy(c->said + c->received, p, part);
        c->said[c->received + part] = '\0';
    }
    c->received += n;
    return n;
}

static void add_header(struct curl_slist **list, const char *name, const char *value)
{
    SX_AUTO_FREE char *line = sx_asprintf(*value ? "%s: %s" : "%s:", name, value);

    *list = curl_slist_append(*list, line);
    sx_assert(*list);
}

static void add_signature(struct curl_slist **list, const struct load *l, const char *method,
                          const char *path)
{
    SX_AUTO(sx_buf) struct sx_buf authorization = SX_BUF_INIT;
    char date[17];
    const struct sx_header headers[] = { { "host", l->host },
                                         { "x-amz-content-sha256", SX_UNSIGNED_PAYLOAD },
                                         { "x-amz-date", date } };
    const struct sx_sig_request request = { .method = method, .path = path, .headers = headers,
                                            .n_headers = sizeof headers / sizeof headers[0],
                                            .payload = SX_UNSIGNED_PAYLOAD };

    sx_amz_date(date, sx_wall_ms());
    sx_sigv4_sign(&authorization, &request, l->access, l->secret, REGION, SERVICE, date);
    add_header(list, "x-amz-date", date);
    add_header(list, "x-amz-content-sha256", SX_UNSIGNED_PAYLOAD);
    add_header(list, "Authorization", sx_buf_cstr(&authorization));
}

/* A body is random bytes, again and again, with a mark at the beginning of each piece that no other has:
 * so no block of it is one that was there. */
static size_t give_body(char *to, size_t size, size_t count, void *arg)
{
    struct connection *c = arg;
    uint64_t left = c->load->size - c->sent;
    size_t n = size * count < left ? size * count : (size_t)left, part;

    for (size_t done = 0; done < n; done += part, c->sent += part) {
        uint64_t mark = c->fresh + c->sent / FRESH_EVERY;
        size_t in = c->sent % FRESH_EVERY, end = in < sizeof mark ? sizeof mark : FRESH_EVERY;
        const uint8_t *from = in < sizeof mark ? (const uint8_t *)&mark + in
                                               : c->random + c->sent % RANDOM_SIZE;

        part = end - in < n - done ? end - in : n - done;
        memcpy(to + done, from, part);
    }
    return n;
}

/* When curl sends it anew, over a connection that it did not find closed. */
static int seek_body(void *arg, curl_off_t at, int origin)
{
    struct connection *c = arg;

    if (origin != SEEK_SET)
        return CURL_SEEKFUNC_CANTSEEK;
    c->sent = (uint64_t)at;
    return CURL_SEEKFUNC_OK;
}

static void set_method(struct connection *c, const char *method)
{
    if (strcmp(method, "PUT") == 0) {
        SET(c->easy, CURLOPT_UPLOAD, 1L);
        SET(c->easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)c->load->size);
    } else {
        SET(c->easy, CURLOPT_UPLOAD, 0L);
        SET(c->easy, CURLOPT_HTTPGET, 1L);
    }
    SET(c->easy, CURLOPT_CUSTOMREQUEST, method);
}

/* Once; the status goes into *status. */
static CURLcode send_request(struct connection *c, const char *method, uint64_t name, long *status)
{
    SX_AUTO_FREE char *url = sx_asprintf("%s/c%u-%" PRIu64, c->load->url, c->number, name);
    struct curl_slist *list = NULL;
    CURLcode code;

    add_header(&list, "Host", c->load->host);
    add_header(&list, "Expect", "");
    add_header(&list, "Content-Type", "");
    if (c->load->access)
        add_signature(&list, c->load, method, url + (c->load->path - c->load->url));
    set_method(c, method);
    SET(c->easy, CURLOPT_URL, url);
    SET(c->easy, CURLOPT_HTTPHEADER, list);
    c->received = c->sent = 0;
    c->said[0] = c->detail[0] = '\0';
    code = curl_easy_perform(c->easy);
    sx_assert(curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, status) == CURLE_OK);
    SET(c->easy, CURLOPT_HTTPHEADER, NULL);
    curl_slist_free_all(list);
    return code;
}

/* Tries again while the server is busy, as SDKs do; the time counts. */
static int ask(struct connection *c, const char *method, uint64_t name)
{
    long status = 0;

    for (unsigned i = 0; i < BUSY_TRIES; i++) {
        CURLcode code = send_request(c, method, name, &status);

        if (code != CURLE_OK)
            return fail(c, method, name, "%s", *c->detail ? c->detail : curl_easy_strerror(code));
        if (status != 503)
            break;
        atomic_fetch_add(&c->load->busy, 1);
        sx_sleep_ms(BUSY_PAUSE_MS);
    }
    if (status != 200 && status != 201 && status != 204)
        return fail(c, method, name, "status %ld: %s", status, c->said);
    if (strcmp(method, "GET") == 0 && c->received != c->load->size)
        return fail(c, method, name, "%" PRIu64 " bytes instead of %" PRIu64, c->received,
                    c->load->size);
    return 0;
}

static int put(struct connection *c, uint64_t name)
{
    if (name >= c->named)
        c->named = name + 1; /* even if it fails, for it may be there */
    c->fresh += c->load->size / FRESH_EVERY + 1;
    return ask(c, "PUT", name);
}

/* Whether one request more is to be made. */
static bool more(const struct connection *c)
{
    const struct load *l = c->load;

    if (atomic_load(&l->errors))
        return false;
    return !c->requests || ((double)(sx_mono_ns() - c->start_ns) < l->seconds * 1e9 &&
                            (!l->put || c->requests < l->limit));
}

static void work(struct connection *c)
{
    const struct load *l = c->load;

    c->cpu_ns = thread_cpu_ns();
    c->start_ns = sx_mono_ns();
    while (more(c)) {
        uint64_t name = c->requests % l->most;

        if (l->put ? put(c, name) : ask(c, "GET", name))
            break;
        c->requests++;
    }
    c->end_ns = sx_mono_ns();
    c->cpu_ns = thread_cpu_ns() - c->cpu_ns;
}

static void connection_init(struct connection *c)
{
    const struct load *l = c->load;
    long buffer = l->size < (uint64_t)BUFFER_MAX ? BUFFER_MIN : BUFFER_MAX;

    c->random = sx_malloc(RANDOM_SIZE);
    sx_random(c->random, RANDOM_SIZE);
    sx_random(&c->fresh, sizeof c->fresh);
    c->easy = curl_easy_init();
    sx_assert(c->easy);
    SET(c->easy, CURLOPT_PROTOCOLS_STR, "https");
    SET(c->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(c->easy, CURLOPT_NOPROXY, "*");
    SET(c->easy, CURLOPT_NOSIGNAL, 1L);
    SET(c->easy, CURLOPT_ERRORBUFFER, c->detail);
    SET(c->easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
    SET(c->easy, CURLOPT_LOW_SPEED_TIME, IDLE_S);
    SET(c->easy, CURLOPT_BUFFERSIZE, buffer);
    SET(c->easy, CURLOPT_UPLOAD_BUFFERSIZE, buffer);
    SET(c->easy, CURLOPT_WRITEFUNCTION, count_answer);
    SET(c->easy, CURLOPT_WRITEDATA, c);
    SET(c->easy, CURLOPT_READFUNCTION, give_body);
    SET(c->easy, CURLOPT_READDATA, c);
    SET(c->easy, CURLOPT_SEEKFUNCTION, seek_body);
    SET(c->easy, CURLOPT_SEEKDATA, c);
    if (l->ca) {
        SET(c->easy, CURLOPT_CAINFO, l->ca);
    } else {
        SET(c->easy, CURLOPT_SSL_VERIFYPEER, 0L);
        SET(c->easy, CURLOPT_SSL_VERIFYHOST, 0L);
    }
}

static void prepare(struct connection *c)
{
    struct load *l = c->load;

    for (uint64_t i = 0; i < l->most && !atomic_load(&l->errors); i++)
        if (put(c, i) || (!l->first && ask(c, "GET", i)))
            return;
}

static void *connection_main(void *arg)
{
    struct connection *c = arg;
    struct load *l = c->load;

    connection_init(c);
    if (!l->put)
        prepare(c);
    /* What was prepared took some longer than others. */
    pthread_barrier_wait(&l->begin);
    work(c);
    for (uint64_t i = 0; i < c->named; i++)
        if (ask(c, "DELETE", i))
            break;
    curl_easy_cleanup(c->easy);
    free(c->random);
    return NULL;
}

static void run(struct load *l, struct connection *all)
{
    sx_assert(pthread_barrier_init(&l->begin, NULL, (unsigned)l->connections) == 0);
    for (unsigned i = 0; i < l->connections; i++) {
        all[i].load = l;
        all[i].number = i;
        if (pthread_create(&all[i].thread, NULL, connection_main, &all[i])) {
            fprintf(stderr, "s3load: thread %u of %" PRIu64 " cannot be started\n", i + 1,
                    l->connections);
            exit(1);
        }
    }
    for (unsigned i = 0; i < l->connections; i++)
        pthread_join(all[i].thread, NULL);
    pthread_barrier_destroy(&l->begin);
}

static void report(struct load *l, const struct connection *all)
{
    uint64_t requests = 0, cpu_ns = 0, start_ns = UINT64_MAX, end_ns = 0;

    for (unsigned i = 0; i < l->connections; i++) {
        requests += all[i].requests;
        cpu_ns += all[i].cpu_ns;
        start_ns = all[i].start_ns < start_ns ? all[i].start_ns : start_ns;
        end_ns = all[i].end_ns > end_ns ? all[i].end_ns : end_ns;
    }
    printf("{\"requests\": %" PRIu64 ", \"seconds\": %.6f, \"cpu\": %.6f, \"errors\": %u, "
           "\"busy\": %u}\n",
           requests, (double)(end_ns - start_ns) / 1e9, (double)cpu_ns / 1e9,
           atomic_load(&l->errors), atomic_load(&l->busy));
}

__attribute__((format(printf, 1, 2), noreturn)) static void refuse(const char *fmt, ...)
{
    va_list ap;

    fputs("s3load: ", stderr);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    exit(2);
}

static uint64_t number(const char *name, const char *s, uint64_t max)
{
    uint64_t v = 0;

    if (sx_u64_parse(s, strlen(s), max, &v) || v == 0)
        refuse("--%s: '%s' is no number from 1 to %" PRIu64, name, s, max);
    return v;
}

static double seconds(const char *s)
{
    char *end;
    double v = strtod(s, &end);

    if (end == s || *end || !(v >= 0 && v <= SECONDS_MAX))
        refuse("--seconds: '%s' is no number from 0 to %.0f", s, SECONDS_MAX);
    return v;
}

static bool is_put(const char *s)
{
    if (strcmp(s, "PUT") != 0 && strcmp(s, "GET") != 0)
        refuse("--method: '%s' is neither PUT nor GET", s);
    return strcmp(s, "PUT") == 0;
}

static void set_url(struct load *l, const char *s)
{
    const char *host = s + strlen("https://"), *slash;

    if (strncmp(s, "https://", strlen("https://")) != 0 || !(slash = strchr(host, '/')) ||
        slash == host || !slash[1] || s[strlen(s) - 1] == '/' || strpbrk(s, "?# "))
        refuse("--url: '%s' is not of the form https://HOST:PORT/BUCKET", s);
    l->url = s;
    l->path = slash;
    free(l->host);
    l->host = sx_strndup(host, (size_t)(slash - host));
}

static void set_option(struct load *l, int c, const char *name)
{
    switch (c) {
    case 'u': set_url(l, optarg); break;
    case 'm': l->put = is_put(optarg); break;
    case 's': l->size = number(name, optarg, OBJECT_MAX); break;
    case 'c': l->connections = number(name, optarg, CONNECTIONS_MAX); break;
    case 't': l->seconds = seconds(optarg); break;
    case 'n': l->most = number(name, optarg, NAMES_MAX); break;
    case 'f': l->first = true; break;
    case 'l': l->limit = number(name, optarg, UINT64_MAX); break;
    case 'C': l->ca = optarg; break;
    case 'a': l->access = optarg; break;
    default: exit(2); /* getopt has said why */
    }
}

static void check(struct load *l, bool method, int operands)
{
    if (operands)
        refuse("only options are wanted");
    if (!l->url || !method || !l->size)
        refuse("--url, --method and --size are wanted");
    l->secret = getenv("AWS_SECRET_ACCESS_KEY");
    if (l->access && (!*l->access || !l->secret || !*l->secret))
        refuse("--access: a key is wanted, and its secret in AWS_SECRET_ACCESS_KEY");
}

static void read_options(struct load *l, int argc, char **argv)
{
    static const struct option longs[] = {
        { "url", required_argument, NULL, 'u' },
        { "method", required_argument, NULL, 'm' },
        { "size", required_argument, NULL, 's' },
        { "connections", required_argument, NULL, 'c' },
        { "seconds", required_argument, NULL, 't' },
        { "most", required_argument, NULL, 'n' },
        { "limit", required_argument, NULL, 'l' },
        { "first", no_argument, NULL, 'f' },
        { "ca", required_argument, NULL, 'C' },
        { "access", required_argument, NULL, 'a' },
        { NULL, 0, NULL, 0 },
    };
    bool method = false;
    int c, at = 0;

    while ((c = getopt_long(argc, argv, "", longs, &at)) != -1) {
        set_option(l, c, longs[at].name);
        method |= c == 'm';
    }
    check(l, method, argc - optind);
}

int main(int argc, char **argv)
{
    struct load l = { .connections = 1, .most = 16, .limit = UINT64_MAX, .seconds = 4 };
    SX_AUTO_FREE struct connection *all = NULL;

    read_options(&l, argc, argv);
    sx_assert(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
    all = sx_calloc(l.connections, sizeof *all);
    run(&l, all);
    report(&l, all);
    curl_global_cleanup();
    free(l.host);
    return atomic_load(&l.errors) ? 1 : 0;
}
