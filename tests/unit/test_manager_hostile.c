/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a group manager does with strangers, liars and nonsense on its two doors: it hangs up, and
 * goes on.
 */
#include "tests/unit/unit.h"

#include <arpa/inet.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "fcgi/meta/manager/frame.h"
#include "fcgi/meta/manager/tls.h"
#include "libsx/crypt/crypt.h"
#include "tests/unit/manager_util.h"

#define HANG_UP_MS 8000
#define SUBMIT_MS 5000u

static struct mu_cluster cluster, other;

static int setup(void **state)
{
    mu_new(&cluster, 2); /* the second one never runs: its certificate is for the liars */
    mu_new(&other, 1);
    mu_form(&cluster, 1, 1);
    return 0;
}

static int teardown(void **state)
{
    mu_free(&cluster);
    mu_free(&other);
    return 0;
}

static void assert_alive(void)
{
    struct sx_meta *m = mu_meta(&cluster, 0);
    struct sx_err e = SX_ERR_INIT;

    assert_done(mu_submit_setting(m, "test.alive", "yes", SUBMIT_MS, &e), &e);
    sx_meta_free(m);
    assert_int_equal(mu_leader(&cluster, SUBMIT_MS), 0);
}

/* The other side closes within the time, whatever it sends before. */
static void assert_hangs_up(int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };
    char byte[4096];

    do {
        assert_int_equal(poll(&p, 1, HANG_UP_MS), 1);
    } while (recv(fd, byte, sizeof byte, 0) > 0);
}

static int local_socket(void)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    snprintf(at.sun_path, sizeof at.sun_path, "%s/run/manager.sock", cluster.nodes[0].dir);
    assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof at), 0);
    return fd;
}

static int peer_socket(void)
{
    struct sockaddr_in at = { .sin_family = AF_INET,
                              .sin_port = htons(cluster.nodes[0].conf.peer_port) };
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_int_equal(inet_pton(AF_INET, cluster.nodes[0].conf.address, &at.sin_addr), 1);
    assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof at), 0);
    return fd;
}

static void send_local(const struct sx_frame *f, uint32_t claimed_len)
{
    SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;
    int fd = local_socket();

    sx_frame_put(&b, f);
    sx_put_u32(b.data, claimed_len);
    assert_int_equal(send(fd, b.data, b.len, MSG_NOSIGNAL), b.len);
    assert_hangs_up(fd);
    close(fd);
}

static void nonsense_on_the_local_socket(void **state)
{
    uint8_t junk[1000];
    struct sx_frame f = { .type = SX_FRAME_SUBMIT, .body = junk, .len = sizeof junk };
    int fd;

    unit_fill(junk, sizeof junk, 1);
    send_local(&f, UINT32_MAX);
    send_local(&f, SX_FRAME_LOCAL_MAX + 1);
    f.type = 99;
    send_local(&f, sizeof junk);
    f.type = SX_FRAME_ANSWER;
    send_local(&f, sizeof junk);
    f.type = 0;
    send_local(&f, sizeof junk);
    /* Half a frame, then nothing: it costs a connection, no more. */
    fd = local_socket();
    assert_int_equal(send(fd, junk, 7, MSG_NOSIGNAL), 7);
    assert_alive();
    close(fd);
    assert_alive();
}

static void malformed_requests_are_answered(void **state)
{
    static const struct sx_frame bad[] = {
        { .type = SX_FRAME_SUBMIT, .word = 1 },
        { .type = SX_FRAME_SUBMIT, .word = 2, .body = (const uint8_t *)"12", .len = 2 },
        { .type = SX_FRAME_SUBMIT, .word = 3, .body = (const uint8_t *)"1234nonsense", .len = 12 },
        { .type = SX_FRAME_SYNC, .word = 4 },
        { .type = SX_FRAME_SYNC, .word = 5, .body = (const uint8_t *)"12345", .len = 5 },
        { .type = SX_FRAME_STATUS, .group = 3, .word = 6 },
    };
    int fd = local_socket();

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;
        uint8_t head[SX_FRAME_HEADER], body[512];
        struct sx_err e = SX_ERR_INIT;
        struct sx_frame f;

        sx_frame_put(&b, &bad[i]);
        assert_int_equal(send(fd, b.data, b.len, MSG_NOSIGNAL), b.len);
        assert_int_equal(recv(fd, head, sizeof head, MSG_WAITALL), sizeof head);
        assert_done(sx_frame_head(&f, head, sizeof body, &e), &e);
        assert_int_equal(recv(fd, body, f.len, MSG_WAITALL), f.len);
        assert_int_equal(f.type, SX_FRAME_ANSWER);
        assert_int_equal(f.word, bad[i].word);
        assert_int_not_equal(sx_get_u32(body), SX_OK);
    }
    close(fd);
    assert_alive();
}

/* A TLS connection with a node's certificate that says `b`; the manager must hang up. */
static void say(const char *dir, const struct sx_buf *b)
{
    struct sx_err e = SX_ERR_INIT;
    SSL_CTX *c = sx_tls_context(dir, &e);
    int fd = peer_socket();
    SSL *ssl;

    assert_non_null(c);
    /* The stranger does not mind whom he talks to. */
    SSL_CTX_set_verify(c, SSL_VERIFY_NONE, NULL);
    ssl = SSL_new(c);
    SSL_set_fd(ssl, fd);
    if (SSL_connect(ssl) == 1)
        for (size_t at = 0, put = 0; at < b->len; at += put)
            if (SSL_write_ex(ssl, b->data + at, b->len - at, &put) != 1)
                break;
    assert_hangs_up(fd);
    SSL_free(ssl);
    SSL_CTX_free(c);
    close(fd);
}

static struct sx_hello good_hello(void)
{
    struct sx_hello h = { .from = cluster.nodes[1].conf.node,
                          .to = cluster.nodes[0].conf.node,
                          .purpose = SX_HELLO_LINK,
                          .address = "127.0.0.1:1" };

    memcpy(h.cluster, cluster.nodes[0].conf.cluster, sizeof h.cluster);
    return h;
}

static void say_hello(const char *dir, const struct sx_hello *h)
{
    SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;

    sx_hello_put(&b, h);
    say(dir, &b);
}

static void strangers_on_the_peer_port(void **state)
{
    SX_AUTO(sx_buf) struct sx_buf none = SX_BUF_INIT;
    struct sx_hello h = good_hello();
    uint8_t junk[500];
    int fd = peer_socket();

    /* No TLS at all. */
    unit_fill(junk, sizeof junk, 2);
    assert_int_equal(send(fd, junk, sizeof junk, MSG_NOSIGNAL), sizeof junk);
    assert_hangs_up(fd);
    close(fd);
    /* Silence. */
    fd = peer_socket();
    assert_hangs_up(fd);
    close(fd);
    /* Another cluster's certificate. */
    say(other.nodes[0].dir, &none);
    say_hello(other.nodes[0].dir, &h);
    assert_alive();
}

static void liars_on_the_peer_port(void **state)
{
    const char *dir = cluster.nodes[1].dir;
    SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;
    struct sx_frame f = { .type = SX_FRAME_RAFT, .word = cluster.nodes[1].conf.node };
    struct sx_hello h = good_hello();

    h.from = cluster.nodes[0].conf.node;
    say_hello(dir, &h);
    h = good_hello();
    h.to = 77;
    say_hello(dir, &h);
    h = good_hello();
    h.cluster[0] ^= 1;
    say_hello(dir, &h);
    h = good_hello();
    sx_hello_put(&b, &h);
    b.data[SX_FRAME_HEADER + 4] = 99; /* version */
    say(dir, &b);
    /* The first frame is not HELLO. */
    sx_buf_reset(&b);
    sx_frame_put(&b, &f);
    say(dir, &b);
    /* A database for a node that is no member. */
    h = good_hello();
    h.purpose = SX_HELLO_FETCH;
    sx_buf_reset(&b);
    sx_hello_put(&b, &h);
    f = (struct sx_frame){ .type = SX_FRAME_FETCH,
                           .word = h.from,
                           .body = (const uint8_t *)"\0\0\0\0\0\0\0",
                           .len = 8 };
    sx_frame_put(&b, &f);
    say(dir, &b);
    /* A good HELLO, then a frame in another's name. */
    h = good_hello();
    sx_buf_reset(&b);
    sx_hello_put(&b, &h);
    f = (struct sx_frame){ .type = SX_FRAME_RAFT, .word = 5 };
    sx_frame_put(&b, &f);
    say(dir, &b);
    /* And one that is too long. */
    sx_buf_reset(&b);
    sx_hello_put(&b, &h);
    f = (struct sx_frame){ .type = SX_FRAME_RAFT, .word = h.from };
    sx_frame_put(&b, &f);
    sx_put_u32(b.data + b.len - SX_FRAME_HEADER, SX_FRAME_LINK_MAX + 1);
    say(dir, &b);
    assert_alive();
}

/* Frames of every type, with nonsense in them, from a node that knows how to say hello but is no
 * member. */
static void nonsense_after_hello(void **state)
{
    SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;
    struct sx_hello h = good_hello();
    uint8_t junk[300];

    sx_hello_put(&b, &h);
    for (unsigned i = 0; i < 400; i++) {
        struct sx_frame f = { .type = (uint16_t)(i % 52), .word = h.from, .body = junk };

        unit_fill(junk, sizeof junk, i);
        f.len = i * 7 % sizeof junk;
        sx_frame_put(&b, &f);
    }
    sx_put_u32(sx_buf_extend(&b, SX_FRAME_HEADER), UINT32_MAX); /* the end */
    say(cluster.nodes[1].dir, &b);
    assert_alive();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nonsense_on_the_local_socket),
        cmocka_unit_test(malformed_requests_are_answered),
        cmocka_unit_test(strangers_on_the_peer_port),
        cmocka_unit_test(liars_on_the_peer_port),
        cmocka_unit_test(nonsense_after_hello),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
