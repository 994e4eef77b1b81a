/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See manager_util.h.
 */
#include "tests/unit/manager_util.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fcgi/ca.h"
#include "fcgi/meta/manager/manager.h"
#include "fcgi/meta/query.h"
#include "libsx/base/clock.h"
#include "libsx/base/log.h"
#include "libsx/base/mem.h"
#include "libsx/crypt/crypt.h"
#include "libsx/io/io.h"

#define UUID "00000000-1111-4222-8333-444444444444"
#define FORM_MS 15000u
#define POLL_MS 10u

static void die(const char *what, const struct sx_err *e)
{
    fprintf(stderr, "%s: %s\n", what, e && e->msg[0] ? e->msg : strerror(errno));
    exit(1);
}

static void must(int r, const char *what, const struct sx_err *e)
{
    if (r)
        die(what, e);
}

static void put_file(const char *dir, const char *name, const struct sx_buf *b)
{
    SX_AUTO_FREE char *path = sx_asprintf("%s/%s", dir, name);
    struct sx_err e = SX_ERR_INIT;

    must(sx_io_replace(&sx_io_posix, path, b->data, b->len, 0600, &e), path, &e);
}

static void put_bootstrap(const struct sx_node_conf *conf)
{
    SX_AUTO(sx_buf) struct sx_buf command = SX_BUF_INIT, file = SX_BUF_INIT;
    static const uint8_t secret[40] = { 1 };
    struct sx_span sealed = { secret, sizeof secret };
    struct sx_cmd_init c = { .uuid = conf->cluster,
                             .name = conf->name,
                             .domain_key = sealed,
                             .ca_cert = "certificate",
                             .ca_key = sealed,
                             .admin = MU_ADMIN,
                             .access_key = "AKTEST",
                             .secret = sealed,
                             .node = { .id = conf->node,
                                       .address = conf->address,
                                       .port = conf->port,
                                       .peer_port = conf->peer_port,
                                       .zone = "",
                                       .capacity = conf->capacity,
                                       .version = "3.0.0" } };
    uint8_t op[SX_OP_ID];

    sx_random(op, sizeof op);
    sx_cmd_init_encode(&command, op, "", &c);
    sx_bootstrap_add(&file, command.data, command.len);
    put_file(conf->dir, "meta/bootstrap.bin", &file);
}

static void make_node(struct mu_cluster *c, unsigned i, const struct sx_buf *ca,
                      const struct sx_buf *ca_key, const uint8_t net[2])
{
    struct mu_node *n = &c->nodes[i];
    SX_AUTO(sx_buf) struct sx_buf key = SX_BUF_INIT, csr = SX_BUF_INIT, cert = SX_BUF_INIT;
    SX_AUTO(sx_buf) struct sx_buf settings = SX_BUF_INIT;
    SX_AUTO_JSON json_t *j = NULL;
    struct sx_err e = SX_ERR_INIT;

    n->dir = sx_asprintf("%s/n%u", c->dir, i);
    n->conf = (struct sx_node_conf){ .dir = n->dir,
                                     .cluster = UUID,
                                     .name = "test",
                                     .node = 0x1000 + i,
                                     .port = 8443,
                                     .peer_port = 8444,
                                     .capacity = 1u << 30,
                                     .workers = 1,
                                     .reserved_workers = 1,
                                     .log_level = SX_LOG_DEBUG };
    sx_node_id_text(n->conf.node_hex, n->conf.node);
    snprintf(n->conf.address, sizeof n->conf.address, "127.%u.%u.%u", net[0], net[1], i + 1);
    for (unsigned k = 0; k < 4; k++) {
        static const char *const dirs[] = { "meta", "tls", "run", "log" };
        SX_AUTO_FREE char *path = sx_asprintf("%s/%s", n->dir, dirs[k]);

        must(sx_io_mkdirs(path, &e), path, &e);
    }
    must(sx_ca_request(n->conf.node_hex, &key, &csr, &e), "request", &e);
    must(sx_ca_sign((const char *)ca->data, (const char *)ca_key->data, sx_buf_cstr(&csr),
                    n->conf.node_hex, n->conf.address, &cert, &e),
         "sign", &e);
    put_file(n->dir, "tls/ca.pem", ca);
    put_file(n->dir, "tls/node.pem", &cert);
    put_file(n->dir, "tls/node.key", &key);
    j = sx_node_conf_to_json(&n->conf);
    sx_json_dump(&settings, j);
    put_file(n->dir, "node.json", &settings);
}

void mu_new(struct mu_cluster *c, unsigned n)
{
    SX_AUTO(sx_buf) struct sx_buf ca = SX_BUF_INIT, ca_key = SX_BUF_INIT;
    struct sx_err e = SX_ERR_INIT;
    const char *tmp = getenv("TMPDIR");
    uint8_t net[2];

    *c = (struct mu_cluster){ .n = n };
    snprintf(c->dir, sizeof c->dir, "%s/sx-manager-XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(c->dir))
        die("mkdtemp", NULL);
    must(sx_ca_create("test", &ca, &ca_key, &e), "CA", &e);
    sx_buf_cstr(&ca);
    sx_buf_cstr(&ca_key);
    sx_random(net, sizeof net);
    net[0] = net[0] % 200 + 20;
    for (unsigned i = 0; i < n; i++)
        make_node(c, i, &ca, &ca_key, net);
    put_bootstrap(&c->nodes[0].conf);
}

static void remove_tree(const char *path)
{
    pid_t pid = fork();

    if (pid == 0) {
        execlp("rm", "rm", "-rf", path, (char *)NULL);
        _exit(127);
    }
    if (pid < 0 || waitpid(pid, NULL, 0) != pid)
        die("rm", NULL);
}

void mu_free(struct mu_cluster *c)
{
    for (unsigned i = 0; i < c->n; i++) {
        mu_kill(c, i);
        free(c->nodes[i].dir);
    }
    if (getenv("SX_TEST_KEEP"))
        fprintf(stderr, "kept: %s\n", c->dir);
    else
        remove_tree(c->dir);
}

static _Noreturn void node_main(const struct mu_node *n, int stop_fd)
{
    SX_AUTO_FREE char *log = sx_asprintf("%s/log/sx.log", n->dir);
    struct sx_node_conf conf;
    struct sx_err e = SX_ERR_INIT;
    int status;

    static const int caught[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGSYS }; /* by cmocka */

    for (unsigned i = 0; i < sizeof caught / sizeof *caught; i++)
        signal(caught[i], SIG_DFL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    sx_log_open(log);
    sx_log_role("group manager");
    must(sx_node_conf_load(&conf, n->dir, &e), "node.json", &e);
    sx_log_level_set((enum sx_log_level)conf.log_level);
    status = sx_manager_main(&conf, stop_fd);
    sx_info("exit status %d", status);
    sx_node_conf_fini(&conf);
    exit(status);
}

void mu_start(struct mu_cluster *c, unsigned i)
{
    struct mu_node *n = &c->nodes[i];
    int p[2];

    if (pipe2(p, O_CLOEXEC))
        die("pipe", NULL);
    fflush(NULL);
    n->pid = fork();
    if (n->pid < 0)
        die("fork", NULL);
    if (n->pid == 0) {
        close(p[1]);
        for (unsigned k = 0; k < c->n; k++)
            if (k != i && c->nodes[k].pid)
                close(c->nodes[k].stop_fd);
        node_main(n, p[0]);
    }
    close(p[0]);
    n->stop_fd = p[1];
}

static int reap(struct mu_node *n)
{
    int status;

    if (waitpid(n->pid, &status, 0) != n->pid)
        die("waitpid", NULL);
    close(n->stop_fd);
    n->pid = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int mu_stop(struct mu_cluster *c, unsigned i)
{
    if (!c->nodes[i].pid)
        return 0;
    /* A byte, since forked clients may hold the write end, too. */
    if (write(c->nodes[i].stop_fd, "", 1) != 1)
        die("stop", NULL);
    return reap(&c->nodes[i]);
}

int mu_wait(struct mu_cluster *c, unsigned i)
{
    return reap(&c->nodes[i]);
}

void mu_kill(struct mu_cluster *c, unsigned i)
{
    if (!c->nodes[i].pid)
        return;
    kill(c->nodes[i].pid, SIGKILL);
    reap(&c->nodes[i]);
}

struct sx_meta *mu_meta(struct mu_cluster *c, unsigned i)
{
    return sx_meta_new(c->nodes[i].dir);
}

static uint64_t number(const json_t *o, const char *name)
{
    return (uint64_t)json_integer_value(json_object_get(o, name));
}

bool mu_facts(struct mu_cluster *c, unsigned i, struct mu_facts *f)
{
    struct sx_meta *m;
    SX_AUTO_JSON json_t *j = NULL;
    struct sx_err e = SX_ERR_INIT;
    const json_t *g;
    const char *state, *leader;

    *f = (struct mu_facts){ 0 };
    if (!c->nodes[i].pid)
        return false;
    m = mu_meta(c, i);
    if (sx_meta_status(m, &j, &e))
        fprintf(stderr, "status of node %u: %s\n", i, e.msg);
    sx_meta_free(m);
    if (!j)
        return false;
    g = json_array_get(json_object_get(j, "groups"), 0);
    state = json_string_value(json_object_get(g, "state"));
    leader = json_string_value(json_object_get(g, "leader"));
    f->leader = strcmp(state, "leader") == 0;
    f->installing = strcmp(state, "installing") == 0;
    f->ready = json_is_true(json_object_get(g, "ready"));
    f->applied = number(g, "applied");
    f->first = number(g, "log_first");
    f->last = number(g, "log_last");
    f->snapshot = number(g, "snapshot");
    f->voters = (unsigned)json_array_size(json_object_get(g, "voters"));
    f->standby = (unsigned)json_array_size(json_object_get(g, "standby"));
    if (*leader && sx_node_id_parse(leader, &f->leader_id))
        die("leader id", NULL);
    return true;
}

void mu_show(struct mu_cluster *c)
{
    for (unsigned i = 0; i < c->n; i++) {
        struct sx_meta *m = mu_meta(c, i);
        SX_AUTO_JSON json_t *j = NULL;
        SX_AUTO(sx_buf) struct sx_buf text = SX_BUF_INIT;
        struct sx_err e = SX_ERR_INIT;

        if (!c->nodes[i].pid)
            sx_buf_str(&text, "not running");
        else if (sx_meta_status(m, &j, &e))
            sx_buf_str(&text, e.msg);
        else
            sx_json_dump(&text, j);
        fprintf(stderr, "node %u: %s\n", i, sx_buf_cstr(&text));
        sx_meta_free(m);
    }
}

int mu_leader(struct mu_cluster *c, unsigned timeout_ms)
{
    uint64_t end_ms = sx_mono_ms() + timeout_ms;
    struct mu_facts f;

    do {
        for (unsigned i = 0; i < c->n; i++)
            if (mu_facts(c, i, &f) && f.leader && f.ready)
                return (int)i;
        sx_sleep_ms(POLL_MS);
    } while (sx_mono_ms() < end_ms);
    return -1;
}

bool mu_settle(struct mu_cluster *c, unsigned timeout_ms)
{
    uint64_t end_ms = sx_mono_ms() + timeout_ms;
    struct mu_facts f;
    bool same;

    do {
        uint64_t applied = 0;

        same = true;
        for (unsigned i = 0; i < c->n; i++)
            if (c->nodes[i].pid) {
                same = mu_facts(c, i, &f) && same && !f.installing && f.applied == f.last &&
                       (!applied || applied == f.applied);
                applied = f.applied;
            }
        if (!same)
            sx_sleep_ms(POLL_MS);
    } while (!same && sx_mono_ms() < end_ms);
    return same;
}

void mu_add(struct mu_cluster *c, unsigned i)
{
    SX_AUTO(sx_buf) struct sx_buf command = SX_BUF_INIT, result = SX_BUF_INIT;
    const struct sx_node_conf *conf = &c->nodes[i].conf;
    struct sx_cmd_node_set set = { .node = { .id = conf->node,
                                             .address = conf->address,
                                             .port = conf->port,
                                             .peer_port = conf->peer_port,
                                             .zone = "",
                                             .capacity = conf->capacity,
                                             .version = "3.0.0" } };
    struct sx_meta *m = mu_meta(c, 0);
    struct sx_err e = SX_ERR_INIT;
    uint8_t op[SX_OP_ID];

    sx_random(op, sizeof op);
    sx_cmd_node_set_encode(&command, op, "", &set);
    must(sx_meta_submit(m, 0, &command, &result, FORM_MS, &e), "add a node", &e);
    sx_meta_free(m);
}

void mu_wait_members(struct mu_cluster *c, unsigned via, unsigned voters, unsigned standby)
{
    uint64_t end_ms = sx_mono_ms() + FORM_MS;
    struct mu_facts f;

    do {
        if (mu_facts(c, via, &f) && f.voters == voters && f.standby == standby)
            return;
        sx_sleep_ms(POLL_MS);
    } while (sx_mono_ms() < end_ms);
    mu_show(c);
    fprintf(stderr, "%u voters and %u standby, wanted are %u and %u\n", f.voters, f.standby,
            voters, standby);
    exit(1);
}

void mu_form(struct mu_cluster *c, unsigned count, unsigned voters)
{
    for (unsigned i = 0; i < count; i++)
        mu_start(c, i);
    for (unsigned i = 1; i < count; i++)
        mu_add(c, i);
    mu_wait_members(c, 0, voters, count - voters);
    if (!mu_settle(c, FORM_MS))
        die("the nodes do not settle", NULL);
}

void mu_setting(struct sx_buf *command, const char *name, const void *value, size_t n)
{
    struct sx_cmd_setting_set c = { .name = name, .value = { value, n } };
    uint8_t op[SX_OP_ID];

    sx_random(op, sizeof op);
    sx_cmd_setting_set_encode(command, op, "", &c);
}

int mu_submit_setting(struct sx_meta *m, const char *name, const char *value, unsigned timeout_ms,
                      struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf command = SX_BUF_INIT, result = SX_BUF_INIT;

    mu_setting(&command, name, value, strlen(value));
    return sx_meta_submit(m, 0, &command, &result, timeout_ms, e);
}

bool mu_setting_is(struct sx_meta *m, const char *name, const char *value)
{
    SX_AUTO(sx_buf) struct sx_buf got = SX_BUF_INIT;
    struct sx_err e = SX_ERR_INIT;
    sqlite3 *db;

    if (sx_meta_db(m, 0, &db, &e) || sx_query_setting(db, name, &got, &e)) {
        fprintf(stderr, "setting %s: %s\n", name, e.msg);
        return false;
    }
    return got.len == strlen(value) && memcmp(got.data, value, got.len) == 0;
}
