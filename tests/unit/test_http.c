/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * libsx/http against a TLS server in this process (tls_server.h), and messages.
 */
#include <arpa/inet.h>
#include <curl/curl.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libsx/base/clock.h"
#include "libsx/http/http.h"
#include "libsx/http/message.h"
#include "tests/unit/tls_server.h"
#include "tests/unit/unit.h"

#define ANSWER_MAX (40u << 20)

static char dir[] = "/tmp/sx-test-http-XXXXXX";
static char ca[64], other_ca[64], cert[64], key[64];
static struct tls_server *server;
static struct sx_err e;

static int set_up(void **state)
{
    signal(SIGPIPE, SIG_IGN);
    if (!mkdtemp(dir))
        return -1;
    snprintf(ca, sizeof ca, "%s/ca.pem", dir);
    snprintf(other_ca, sizeof other_ca, "%s/other-ca.pem", dir);
    snprintf(cert, sizeof cert, "%s/node.pem", dir);
    snprintf(key, sizeof key, "%s/node.key", dir);
    server = tls_server_new(dir);
    return 0;
}

static int tear_down(void **state)
{
    tls_server_free(server);
    unlink(ca);
    unlink(other_ca);
    unlink(cert);
    unlink(key);
    return rmdir(dir);
}

static struct sx_http *engine(void)
{
    struct sx_http_config config = { .ca_file = ca, .access_key = "SXTEST", .secret = "secret",
                                     .per_node = 4 };

    return sx_http_new(&config);
}

static struct sx_http_request request(const char *path, struct sx_buf *answer)
{
    return (struct sx_http_request){ .method = "GET", .address = "127.0.0.1",
                                     .port = tls_server_port(server), .path = path,
                                     .answer = answer, .answer_max = ANSWER_MAX };
}

static void test_echo(void **state)
{
    SX_AUTO(sx_buf) struct sx_buf out = SX_BUF_INIT;
    SX_AUTO_FREE uint8_t *big = sx_malloc(16 << 20);
    struct sx_http *h = engine();
    struct sx_http_request r = request("/echo", &out);
    struct sx_http_answer a;
    static char hello[] = "hello", world[] = " world";
    const size_t lengths[] = { 0, 5, 5, 11, 11 + (16 << 20) };
    struct iovec body[] = { { hello, 5 }, { NULL, 0 }, { world, 6 }, { big, 16 << 20 } };

    unit_fill(big, 16 << 20, 1);
    r.method = "PUT";
    r.content_type = SX_HTTP_JSON;
    r.body = body;
    for (r.n_body = 0; r.n_body <= 4; r.n_body++) {
        assert_done(sx_http_call(h, &r, &a, &e), &e);
        assert_int_equal(a.status, 200);
        assert_string_equal(a.request_id, "r-1");
        assert_int_equal(out.len, lengths[r.n_body]);
    }
    assert_memory_equal(out.data, "hello world", 11);
    assert_memory_equal(out.data + 11, big, 16 << 20);
    sx_http_free(h);
}

static size_t completed;

static void count(void *arg, const struct sx_http_answer *a)
{
    int *status = arg;

    *status = a->err.code == SX_OK ? a->status : -a->err.code;
    completed++;
}

static void test_many(void **state)
{
    enum { N = 300 };
    struct sx_http *h = engine();
    unsigned before = tls_server_connections(server);
    struct sx_buf out[N] = { SX_BUF_INIT };
    int status[N];

    completed = 0;
    for (int i = 0; i < N; i++) {
        struct sx_http_request r = request("/zero/1000", &out[i]);

        r.done = count;
        r.arg = &status[i];
        assert_done(sx_http_start(h, &r, &e), &e);
    }
    assert_int_equal(completed, 0);
    assert_int_equal(sx_http_in_flight(h), N);
    while (sx_http_run(h, 5000))
        ;
    assert_int_equal(completed, N);
    for (int i = 0; i < N; i++) {
        assert_int_equal(status[i], 200);
        assert_int_equal(out[i].len, 1000);
        sx_buf_fini(&out[i]);
    }
    assert_in_range(tls_server_connections(server) - before, 1, 4);
    assert_true(tls_server_most_open(server) <= 5);
    sx_http_free(h);
}

/* Finds the signed headers and the Authorization header in a request's head. */
static const char *find_signed(char *head, struct sx_header headers[3])
{
    const char *authorization = NULL;

    for (char *line = strtok(head, "\r\n"); line; line = strtok(NULL, "\r\n")) {
        for (int i = 0; i < 3; i++)
            if (strncasecmp(line, headers[i].name, strlen(headers[i].name)) == 0)
                headers[i].value = strchr(line, ':') + 2;
        if (strncmp(line, "Authorization: ", 15) == 0)
            authorization = line + 15;
        assert_int_not_equal(strncasecmp(line, "Expect", 6), 0);
    }
    assert_non_null(authorization);
    return authorization;
}

static void test_signature(void **state)
{
    SX_AUTO(sx_buf) struct sx_buf out = SX_BUF_INIT;
    struct sx_header extra = { "X-Sx-Op", "00112233445566778899aabbccddeeff" };
    struct sx_http *h = engine();
    struct sx_http_request r = request("/head/a%20b", &out);
    struct sx_header headers[3] = { { "host" }, { "x-amz-date" }, { "x-amz-content-sha256" } };
    struct sx_sig_request s = { .method = "GET", .path = "/head/a%20b", .query = "b=2&a=%2F",
                                .headers = headers, .n_headers = 3 };
    struct sx_sig_claim claim;
    uint64_t signed_ms;

    r.query = "b=2&a=%2F";
    r.headers = &extra;
    r.n_headers = 1;
    r.clock_ms = 3600 * 1000;
    assert_done(sx_http_call(h, &r, NULL, &e), &e);
    assert_non_null(strstr(sx_buf_cstr(&out), "X-Sx-Op: 00112233445566778899aabbccddeeff\r\n"));
    assert_done(sx_sigv4_parse(find_signed((char *)out.data, headers), &claim, &e), &e);
    assert_string_equal(claim.access_key, "SXTEST");
    s.payload = headers[2].value;
    assert_int_equal(sx_amz_date_parse(headers[1].value, &signed_ms), 0);
    assert_in_range(signed_ms, sx_wall_ms() + 3590 * 1000, sx_wall_ms() + 3610 * 1000);
    assert_done(sx_sigv4_verify(&claim, &s, "secret", headers[1].value, signed_ms, &e), &e);
    sx_http_free(h);
}

static size_t collect(char *p, size_t size, size_t n, void *out)
{
    sx_buf_add(out, p, size * n);
    return size * n;
}

/* We accept what libcurl's own implementation of AWS signatures signs. */
static void test_signature_of_curl(void **state)
{
    SX_AUTO(sx_buf) struct sx_buf out = SX_BUF_INIT;
    SX_AUTO_FREE char *url = sx_asprintf("https://127.0.0.1:%u/head/x%%20y?a=1&b=%%2F",
                                         tls_server_port(server));
    struct sx_header headers[3] = { { "host" }, { "x-amz-date" }, { "x-amz-content-sha256" } };
    struct sx_sig_request s = { .method = "GET", .path = "/head/x%20y", .query = "a=1&b=%2F",
                                .headers = headers, .n_headers = 3 };
    struct sx_sig_claim claim;
    struct curl_slist *list = curl_slist_append(NULL,
                                                "x-amz-content-sha256: e3b0c44298fc1c149afbf4c8996fb924"
                                                      "27ae41e4649b934ca495991b7852b855");
    CURL *c = curl_easy_init();

    curl_easy_setopt(c, CURLOPT_URL, url);
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, list);
    curl_easy_setopt(c, CURLOPT_CAINFO, ca);
    curl_easy_setopt(c, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(c, CURLOPT_AWS_SIGV4, "aws:amz:us-east-1:s3");
    curl_easy_setopt(c, CURLOPT_USERPWD, "SXCURL:secret");
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, collect);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, &out);
    assert_int_equal(curl_easy_perform(c), CURLE_OK);
    curl_easy_cleanup(c);
    curl_slist_free_all(list);
    sx_buf_u8(&out, 0);
    assert_done(sx_sigv4_parse(find_signed((char *)out.data, headers), &claim, &e), &e);
    s.payload = headers[2].value;
    assert_done(sx_sigv4_verify(&claim, &s, "secret", headers[1].value, sx_wall_ms(), &e), &e);
}

static void test_errors(void **state)
{
    SX_AUTO(sx_buf) struct sx_buf out = SX_BUF_INIT;
    struct sx_http *h = engine();
    struct sx_http_request r = request("/missing", &out);
    struct sx_http_answer a;

    assert_error(sx_http_call(h, &r, &a, &e), &e, SX_ENOVOLUME);
    assert_string_equal(e.msg, "volume 'v' does not exist");
    assert_int_equal(a.status, 404);
    assert_int_equal(out.len, 0);
    r.path = "/busy";
    assert_error(sx_http_call(h, &r, &a, &e), &e, SX_EUNAVAIL);
    assert_int_equal(a.retry_after_s, 7);
    r.path = "/drop";
    assert_error(sx_http_call(h, &r, &a, &e), &e, SX_ENET);
    r.path = "/zero/1001";
    r.answer_max = 1000;
    assert_error(sx_http_call(h, &r, &a, &e), &e, SX_ETOOBIG);
    assert_int_equal(out.len, 0);
    r.path = "/zero/1000";
    assert_done(sx_http_call(h, &r, &a, &e), &e);
    r.path = "/stall";
    r.timeout_ms = 100;
    assert_error(sx_http_call(h, &r, &a, &e), &e, SX_ETIMEOUT);
    r.timeout_ms = 0;
    r.stall_timeout_ms = 1000;
    assert_error(sx_http_call(h, &r, &a, &e), &e, SX_ETIMEOUT);
    sx_http_free(h);
}

/* A server that takes the request and then hangs is noticed in that time, not some seconds later. */
static void test_stall_after_body(void **state)
{
    SX_AUTO(sx_buf) struct sx_buf out = SX_BUF_INIT;
    struct sx_http *h = engine();
    struct sx_http_request r = request("/stall", &out);
    char body[100000] = "";
    const struct iovec v = { body, sizeof body };
    uint64_t start = sx_mono_ms();

    r.method = "POST";
    r.content_type = SX_HTTP_MESSAGE;
    r.body = &v;
    r.n_body = 1;
    r.stall_timeout_ms = 1000;
    assert_error(sx_http_call(h, &r, NULL, &e), &e, SX_ETIMEOUT);
    assert_in_range(sx_mono_ms() - start, 1000, 4000);
    sx_http_free(h);
}

static uint16_t unused_port(void)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t n = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
    close(fd);
    return ntohs(a.sin_port);
}

static void test_no_server(void **state)
{
    struct sx_http *h = engine();
    struct sx_http_request r = request("/echo", NULL);
    char node[32];

    r.port = unused_port();
    snprintf(node, sizeof node, "node 127.0.0.1:%u: ", r.port);
    assert_error(sx_http_call(h, &r, NULL, &e), &e, SX_ENET);
    assert_memory_equal(e.msg, node, strlen(node));
    sx_http_free(h);
}

static void test_kept_connection_closed(void **state)
{
    SX_AUTO(sx_buf) struct sx_buf out = SX_BUF_INIT;
    struct sx_http *h = engine();
    struct sx_http_request r = request("/once", &out);
    char abc[] = "abc";
    struct iovec body = { abc, 3 };

    r.method = "POST";
    r.content_type = SX_HTTP_MESSAGE;
    r.body = &body;
    r.n_body = 1;
    for (int i = 0; i < 3; i++) {
        assert_done(sx_http_call(h, &r, NULL, &e), &e);
        assert_string_equal(sx_buf_cstr(&out), "abc");
        if (i)
            usleep(20000);
    }
    sx_http_free(h);
}

static void test_certificates(void **state)
{
    struct sx_http_config config = { .ca_file = other_ca };
    struct sx_http_request r = request("/echo", NULL);
    SX_AUTO(sx_buf) struct sx_buf pem = SX_BUF_INIT;
    struct sx_http *h = sx_http_new(&config);
    FILE *f;

    assert_error(sx_http_call(h, &r, NULL, &e), &e, SX_ECERT);
    sx_http_free(h);

    config.ca_file = ca; /* the right CA, but not the certificate's address */
    h = sx_http_new(&config);
    r.address = "localhost";
    assert_error(sx_http_call(h, &r, NULL, &e), &e, SX_ECERT);
    r.address = "127.0.0.1";
    assert_done(sx_http_call(h, &r, NULL, &e), &e);
    assert_false(tls_server_saw_client_cert(server));
    assert_null(sx_http_chain_ca(h));
    sx_http_free(h);

    config.cert_file = cert;
    config.key_file = key;
    h = sx_http_new(&config);
    assert_done(sx_http_call(h, &r, NULL, &e), &e);
    assert_true(tls_server_saw_client_cert(server));
    sx_http_free(h);

    config = (struct sx_http_config){ 0 }; /* trust on first use */
    h = sx_http_new(&config);
    assert_done(sx_http_call(h, &r, NULL, &e), &e);
    f = fopen(ca, "r");
    pem.len = fread(sx_buf_reserve(&pem, 8192), 1, 8192, f);
    fclose(f);
    assert_non_null(sx_http_chain_ca(h));
    assert_string_equal(sx_http_chain_ca(h), sx_buf_cstr(&pem));
    sx_http_free(h);
}

static void test_stop(void **state)
{
    enum { N = 10 };
    struct sx_http *h = engine();
    int status[N];

    completed = 0;
    for (int i = 0; i < N; i++) {
        struct sx_http_request r = request("/stall", NULL);

        r.done = count;
        r.arg = &status[i];
        assert_done(sx_http_start(h, &r, &e), &e);
    }
    assert_int_equal(sx_http_run(h, 100), 0);
    sx_http_stop(h);
    assert_int_equal(completed, N);
    assert_int_equal(sx_http_in_flight(h), 0);
    for (int i = 0; i < N; i++)
        assert_int_equal(status[i], -SX_ECANCELED);
    sx_http_wake(h);
    sx_http_free(h);
}

/* 20 requests of 100,000 bytes each way at 4 MB a second, on four connections. */
static void test_limit(void **state)
{
    enum { N = 20 };
    SX_AUTO_FREE uint8_t *data = sx_malloc(100000);
    struct iovec body = { data, 100000 };
    struct sx_buf out[N] = { SX_BUF_INIT };
    struct sx_http *h = engine();
    uint64_t start = sx_mono_ms();
    int status[N];

    completed = 0;
    unit_fill(data, body.iov_len, 3);
    sx_http_limit(h, 4000000);
    for (int i = 0; i < N; i++) {
        struct sx_http_request r = request("/echo", &out[i]);

        r.method = "PUT";
        r.content_type = SX_HTTP_MESSAGE;
        r.body = &body;
        r.n_body = 1;
        r.done = count;
        r.arg = &status[i];
        assert_done(sx_http_start(h, &r, &e), &e);
    }
    while (sx_http_run(h, 1000) || sx_http_in_flight(h))
        ;
    assert_int_equal(completed, N);
    assert_in_range(sx_mono_ms() - start, 450, 10000);
    for (int i = 0; i < N; i++) {
        assert_int_equal(status[i], 200);
        assert_int_equal(out[i].len, body.iov_len);
        assert_memory_equal(out[i].data, data, body.iov_len);
        sx_buf_fini(&out[i]);
    }
    sx_http_free(h);
}

static void test_message(void **state)
{
    SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;
    SX_AUTO(sx_message) struct sx_message m = { 0 };
    SX_AUTO_JSON json_t *head = json_pack("{s:i}", "count", 2);
    SX_AUTO_JSON json_t *long_head = json_object();
    SX_AUTO_FREE char *text = sx_malloc(SX_MESSAGE_JSON_MAX + 1);
    uint64_t n;

    assert_done(sx_message_head(&b, head, &e), &e);
    sx_buf_str(&b, "binary");
    assert_memory_equal(b.data, "\x0b\0\0\0{\"count\":2}binary", 21);
    assert_done(sx_message_parse(&m, b.data, b.len, &e), &e);
    assert_done(sx_json_need_u64(m.json, "count", 10, &n, &e), &e);
    assert_int_equal(n, 2);
    assert_int_equal(m.len, 6);
    assert_memory_equal(m.data, "binary", 6);
    for (size_t i = 0; i < 15; i++) {
        struct sx_message bad;

        assert_error(sx_message_parse(&bad, b.data, i, &e), &e, SX_EMALFORMED);
    }
    sx_put_u32(b.data, SX_MESSAGE_JSON_MAX + 1);
    assert_error(sx_message_parse(&m, b.data, b.len, &e), &e, SX_EMALFORMED);
    memset(text, 'x', SX_MESSAGE_JSON_MAX);
    text[SX_MESSAGE_JSON_MAX] = '\0';
    json_object_set_new(long_head, "k", json_string(text));
    assert_error(sx_message_head(&b, long_head, &e), &e, SX_ETOOBIG);
    assert_int_equal(b.len, 21);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_message),    cmocka_unit_test(test_echo),
        cmocka_unit_test(test_many),       cmocka_unit_test(test_signature),
        cmocka_unit_test(test_signature_of_curl),
        cmocka_unit_test(test_errors),     cmocka_unit_test(test_stall_after_body),
        cmocka_unit_test(test_no_server),
        cmocka_unit_test(test_kept_connection_closed), cmocka_unit_test(test_certificates),
        cmocka_unit_test(test_stop),       cmocka_unit_test(test_limit),
    };

    return cmocka_run_group_tests_name("http", tests, set_up, tear_down);
}
