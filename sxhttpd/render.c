/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See render.h.  Values reach the file only through the names of `fill()`.  A directory whose
 * name could end a quoted string of nginx's language, or is too long for a socket's address, is refused.
 */
#include "sxhttpd/render.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libsx/base/mem.h"
#include "libsx/io/io.h"

#define TEMPLATE_MAX (256 * 1024)
#define OUTPUT_MAX 4096      /* of nginx's words that are read */
#define NGINX_WORKERS_MAX 16
/* Between the two stands what is left out of the file where there is no s3_port. */
#define IF_S3_PORT "@IF_S3_PORT@"
#define END_S3_PORT "@END_S3_PORT@"
/* Between the two stands what each server of S3 has, in the place of S3. */
#define DEFINE_S3 "@DEFINE_S3@"
#define END_DEFINE_S3 "@END_DEFINE_S3@"
#define S3 "@S3@"
#define HTTP2_ON_SINCE 1025001 /* nginx 1.25.1 has a directive of its own for HTTP/2 */

const char *sx_httpd_nginx(void)
{
    const char *s = getenv("SX_NGINX");

    return s && *s ? s : SX_NGINX;
}

static const char *in_dir(char *out, size_t size, const char *variable, const char *installed,
                          const char *file)
{
    const char *dir = getenv(variable);

    snprintf(out, size, "%s/%s", dir && *dir ? dir : installed, file);
    return out;
}

const char *sx_httpd_template(void)
{
    static char path[4096];

    return in_dir(path, sizeof path, "SX_DATADIR", SX_DATADIR, "nginx.conf.in");
}

const char *sx_httpd_daemon(void)
{
    static char path[4096];

    return in_dir(path, sizeof path, "SX_LIBEXECDIR", SX_LIBEXECDIR, "sx.fcgi");
}

static int check_dir(const char *dir, struct sx_err *e)
{
    struct sockaddr_un un;

    if (dir[0] != '/' || strpbrk(dir, "\"'\\$:;{}@"))
        return sx_err_set(e, SX_ECONFIG, "directory '%s': nginx needs an absolute path without any of \"'\\$:;{}@",
                          dir);
    for (const char *p = dir; *p; p++)
        if ((unsigned char)*p <= ' ')
            return sx_err_set(e, SX_ECONFIG, "directory '%s': nginx needs a path without spaces", dir);
    if (strlen(dir) + sizeof "/run/client.sock" > sizeof un.sun_path)
        return sx_err_set(e, SX_ECONFIG, "directory '%s': longer than %zu bytes, too long for a socket", dir,
                          sizeof un.sun_path - sizeof "/run/client.sock");
    return 0;
}

/* Runs nginx with the given arguments; its words (both streams) go to `out`.  Returns the exit
 * status, or -1 with e set. */
static int run_nginx(const char *const argv[], char *out, size_t size, struct sx_err *e)
{
    int fds[2], status;
    size_t n = 0;
    ssize_t r;
    pid_t pid;

    if (pipe2(fds, O_CLOEXEC) != 0)
        return sx_err_errno(e, errno, "pipe");
    pid = fork();
    if (pid == 0) {
        dup2(fds[1], 1);
        dup2(fds[1], 2);
        execv(argv[0], (char *const *)argv);
        dprintf(2, "%s: %s", argv[0], strerror(errno));
        _exit(127);
    }
    close(fds[1]);
    while (pid > 0 && n < size - 1 && (r = read(fds[0], out + n, size - 1 - n)) > 0)
        n += (size_t)r;
    close(fds[0]);
    while (n > 0 && out[n - 1] == '\n')
        n--;
    out[n] = '\0';
    if (pid < 0 || waitpid(pid, &status, 0) < 0)
        return sx_err_errno(e, errno, "run %s", argv[0]);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
        return sx_err_set(e, SX_ECONFIG, "%s; install nginx, or name it in SX_NGINX", out);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

/* "nginx version: nginx/1.22.1" as 1022001. */
static int nginx_version(unsigned *version, struct sx_err *e)
{
    const char *argv[] = { sx_httpd_nginx(), "-v", NULL };
    char out[OUTPUT_MAX];
    unsigned major, minor, patch;
    const char *at;

    if (run_nginx(argv, out, sizeof out, e) < 0)
        return -1;
    at = strchr(out, '/');
    if (!at || sscanf(at, "/%u.%u.%u", &major, &minor, &patch) != 3)
        return sx_err_set(e, SX_ECONFIG, "%s -v: no version in '%.100s'", sx_httpd_nginx(), out);
    *version = major * 1000000 + minor * 1000 + patch;
    return 0;
}

static unsigned processors(void)
{
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;

    return n < 1 ? 1 : n > NGINX_WORKERS_MAX ? NGINX_WORKERS_MAX : (unsigned)n;
}

/* An IP address is listened on as it is.  A name may have, on this machine, an address that others cannot reach
 * (Debian's 127.0.1.1), so a node with a name listens on all addresses. */
static void add_listen(struct sx_buf *out, const struct sx_node_conf *c, unsigned port,
                       const char *options)
{
    struct in6_addr a;

    if (inet_pton(AF_INET, c->address, &a) == 1)
        sx_buf_printf(out, "%s:%u %s", c->address, port, options);
    else if (inet_pton(AF_INET6, c->address, &a) == 1)
        sx_buf_printf(out, "[%s]:%u %s ipv6only=on", c->address, port, options);
    else
        sx_buf_printf(out, "%u %s", port, options);
}

/* The account of nginx's workers; nginx would take a group of the user's name by itself. */
static void add_user(struct sx_buf *out, const char *user)
{
    const struct passwd *pw = getpwnam(user[0] ? user : "root");
    const struct group *gr = pw ? getgrgid(pw->pw_gid) : NULL;

    if (geteuid() == 0)
        sx_buf_printf(out, "user %s%s%s;", user[0] ? user : "root", gr ? " " : "", gr ? gr->gr_name : "");
}

/* Appends what stands for the name: 0, or -1 if there is no such name. */
static int fill(struct sx_buf *out, const struct sx_node_conf *c, unsigned version, const char *name,
                size_t n)
{
    bool directive = version >= HTTP2_ON_SINCE;

    if (n == 3 && memcmp(name, "DIR", n) == 0)
        sx_buf_str(out, c->dir);
    else if (n == 4 && memcmp(name, "USER", n) == 0)
        add_user(out, c->user);
    else if (n == 13 && memcmp(name, "NGINX_WORKERS", n) == 0)
        sx_buf_printf(out, "%u", processors());
    else if (n == 6 && memcmp(name, "LISTEN", n) == 0)
        add_listen(out, c, c->port, directive ? "ssl" : "ssl http2");
    else if (n == 9 && memcmp(name, "S3_LISTEN", n) == 0)
        add_listen(out, c, c->s3_port, "");
    else if (n == 7 && memcmp(name, "S3_PORT", n) == 0)
        sx_buf_printf(out, "%u", c->s3_port);
    else if (n == 11 && memcmp(name, "END_S3_PORT", n) == 0)
        return 0;
    else if (n == 5 && memcmp(name, "HTTP2", n) == 0)
        sx_buf_str(out, directive ? "http2 on;" : "");
    else
        return -1;
    return 0;
}

struct template {
    const struct sx_node_conf *c;
    unsigned version; /* of nginx */
    const char *s3;   /* what each server of S3 has; NULL before it was met */
};

static bool begins(const char *text, const char *name)
{
    return strncmp(text, name, strlen(name)) == 0;
}

/* The place behind the marker of our own template. */
static const char *behind(const char *text, const char *marker)
{
    const char *at = strstr(text, marker);

    sx_assert(at);
    return at + strlen(marker);
}

static int expand(struct sx_buf *out, struct template *t, const char *text, struct sx_err *e);

static int expand_s3(struct sx_buf *out, struct template *t, struct sx_err *e)
{
    SX_AUTO_FREE char *text = NULL;

    sx_assert(t->s3);
    text = sx_strndup(t->s3, (size_t)(strstr(t->s3, END_DEFINE_S3) - t->s3));
    return expand(out, t, text, e);
}

static int expand(struct sx_buf *out, struct template *t, const char *text, struct sx_err *e)
{
    const char *at, *end;

    while ((at = strchr(text, '@')) != NULL) {
        sx_buf_add(out, text, (size_t)(at - text));
        end = strchr(at + 1, '@');
        if (!end)
            break;
        text = end + 1;
        if (begins(at, IF_S3_PORT)) {
            text = t->c->s3_port ? text : behind(text, END_S3_PORT);
        } else if (begins(at, DEFINE_S3)) {
            t->s3 = text;
            text = behind(text, END_DEFINE_S3);
        } else if (begins(at, S3)) {
            if (expand_s3(out, t, e) != 0)
                return -1;
        } else if (fill(out, t->c, t->version, at + 1, (size_t)(end - at - 1)) == 0) {
            continue;
        } else if (strspn(at + 1, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789") == (size_t)(end - at - 1)) {
            return sx_err_set(e, SX_ECONFIG, "%s: unknown name %.*s", sx_httpd_template(),
                              (int)(end - at + 1), at);
        } else {
            sx_buf_add(out, "@", 1);
            text = at + 1;
        }
    }
    sx_buf_str(out, text);
    return 0;
}

static int check(const char *file, const char *log, struct sx_err *e)
{
    const char *argv[] = { sx_httpd_nginx(), "-q", "-t", "-e", log, "-c", file, NULL };
    char out[OUTPUT_MAX];
    int status = run_nginx(argv, out, sizeof out, e);

    if (status < 0)
        return -1;
    if (status != 0)
        return sx_err_set(e, SX_ECONFIG, "nginx refuses %s: %.300s", file, out[0] ? out : "no reason given");
    return 0;
}

/* What root makes here belongs to the account that the daemon will run as. */
static int give(const struct sx_node_conf *c, const char *path, struct sx_err *e)
{
    const struct passwd *pw;

    if (geteuid() != 0 || !c->user[0])
        return 0;
    pw = getpwnam(c->user);
    if (!pw)
        return sx_err_set(e, SX_ECONFIG, "there is no system account '%s', which node.json names", c->user);
    if (lchown(path, pw->pw_uid, pw->pw_gid) != 0)
        return sx_err_errno(e, errno, "give %s to %s", path, c->user);
    return 0;
}

static int make_places(const struct sx_node_conf *c, struct sx_err *e)
{
    static const char *const names[] = { "run", "run/tmp", "log" };
    SX_AUTO_FREE char *log = sx_asprintf("%s/log/sx.log", c->dir);
    SX_AUTO_CLOSE int fd = -1;

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        SX_AUTO_FREE char *path = sx_asprintf("%s/%s", c->dir, names[i]);

        if (sx_io_mkdirs(path, e) != 0 || give(c, path, e) != 0)
            return -1;
    }
    fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0640);
    if (fd < 0)
        return sx_err_errno(e, errno, "open %s", log);
    return give(c, log, e);
}

int sx_httpd_render(const struct sx_node_conf *c, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf text = SX_BUF_INIT, out = SX_BUF_INIT;
    SX_AUTO_FREE char *file = sx_asprintf("%s/run/nginx.conf.new", c->dir);
    SX_AUTO_FREE char *log = sx_asprintf("%s/log/nginx.log", c->dir);
    struct template t = { .c = c };

    if (check_dir(c->dir, e) != 0 || make_places(c, e) != 0 || nginx_version(&t.version, e) != 0)
        return -1;
    if (sx_io_read_file(&sx_io_posix, sx_httpd_template(), TEMPLATE_MAX, &text, e) != 0)
        return sx_err_wrap(e, "read the template of nginx.conf");
    if (expand(&out, &t, sx_buf_cstr(&text), e) != 0)
        return -1;
    if (sx_io_replace(&sx_io_posix, file, out.data, out.len, 0640, e) != 0)
        return -1;
    return check(file, log, e);
}

int sx_httpd_accept(const struct sx_node_conf *c, struct sx_err *e)
{
    SX_AUTO_FREE char *from = sx_asprintf("%s/run/nginx.conf.new", c->dir);
    SX_AUTO_FREE char *to = sx_asprintf("%s/run/nginx.conf", c->dir);

    if (rename(from, to) != 0)
        return sx_err_errno(e, errno, "rename %s to %s", from, to);
    return 0;
}
