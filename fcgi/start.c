/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See start.h.
 */
#include "fcgi/start.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "libsx/base/mem.h"

#define SX_LISTEN_BACKLOG 1024

int sx_start_user(const struct sx_node_conf *conf, struct sx_err *e)
{
    const struct passwd *pw;

    if (geteuid() != 0 || !conf->user[0] || strcmp(conf->user, "root") == 0)
        return 0;
    pw = getpwnam(conf->user);
    if (!pw)
        return sx_err_set(e, SX_ECONFIG,
                          "user '%s' of node.json does not exist on this machine: "
                          "create it or change 'user'",
                          conf->user);
    if (initgroups(pw->pw_name, pw->pw_gid) != 0 || setgid(pw->pw_gid) != 0 ||
        setuid(pw->pw_uid) != 0)
        return sx_err_errno(e, errno, "become user '%s'", conf->user);
    if (setuid(0) == 0)
        return sx_err_set(e, SX_EBUG, "root privileges came back after becoming user '%s'",
                          conf->user);
    return 0;
}

static _Noreturn void wait_ready(int fd)
{
    char c;
    ssize_t n;

    do
        n = read(fd, &c, 1);
    while (n < 0 && errno == EINTR);
    _exit(n == 1 ? 0 : 1);
}

static int null_stdio(struct sx_err *e)
{
    SX_AUTO_CLOSE int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

    if (fd < 0)
        return sx_err_errno(e, errno, "open /dev/null");
    /* Standard error stays: what goes wrong until the log is open is shown to who started us. */
    if (dup2(fd, STDIN_FILENO) < 0 || dup2(fd, STDOUT_FILENO) < 0)
        return sx_err_errno(e, errno, "dup2");
    return 0;
}

int sx_start_background(int *ready_fd, struct sx_err *e)
{
    int p[2];
    pid_t pid;

    if (pipe2(p, O_CLOEXEC) != 0)
        return sx_err_errno(e, errno, "pipe");
    pid = fork();
    if (pid < 0)
        return sx_err_errno(e, errno, "fork");
    if (pid > 0) {
        close(p[1]);
        wait_ready(p[0]);
    }
    close(p[0]);
    *ready_fd = p[1];
    if (setsid() < 0)
        return sx_err_errno(e, errno, "setsid");
    return null_stdio(e);
}

static char *run_path(const struct sx_node_conf *conf, const char *name)
{
    return sx_asprintf("%s/run/%s", conf->dir, name);
}

int sx_start_pid_file(const struct sx_node_conf *conf, struct sx_err *e)
{
    SX_AUTO_FREE char *path = run_path(conf, "sx.fcgi.pid");
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    SX_AUTO_CLOSE int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    char text[32];
    int n;

    if (fd < 0)
        return sx_err_errno(e, errno, "open %s", path);
    if (fcntl(fd, F_SETLK, &lock) != 0) {
        if ((errno != EAGAIN && errno != EACCES) || fcntl(fd, F_GETLK, &lock) != 0)
            return sx_err_errno(e, errno, "lock %s", path);
        return sx_err_set(e, SX_EEXIST, "sx.fcgi already runs for %s (pid %d)", conf->dir,
                          (int)lock.l_pid);
    }
    n = snprintf(text, sizeof text, "%d\n", (int)getpid());
    if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)n, 0) != n)
        return sx_err_errno(e, errno, "write %s", path);
    /* Never closed by us: closing any descriptor of the file would drop the lock. */
    (void)sx_steal_fd(&fd);
    return 0;
}

void sx_start_pid_file_remove(const struct sx_node_conf *conf)
{
    SX_AUTO_FREE char *path = run_path(conf, "sx.fcgi.pid");

    unlink(path);
}

int sx_start_listen(const struct sx_node_conf *conf, const char *name, int *out, struct sx_err *e)
{
    SX_AUTO_FREE char *path = run_path(conf, name);
    struct sockaddr_un sa = { .sun_family = AF_UNIX };
    SX_AUTO_CLOSE int fd = -1;

    if (strlen(path) >= sizeof sa.sun_path)
        return sx_err_set(e, SX_ECONFIG,
                          "%s is %zu bytes long; a socket's path has at most %zu: "
                          "use a shorter directory",
                          path, strlen(path), sizeof sa.sun_path - 1);
    memcpy(sa.sun_path, path, strlen(path) + 1);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return sx_err_errno(e, errno, "socket");
    if (unlink(path) != 0 && errno != ENOENT)
        return sx_err_errno(e, errno, "remove %s", path);
    if (bind(fd, (const struct sockaddr *)&sa, sizeof sa) != 0)
        return sx_err_errno(e, errno, "bind %s", path);
    if (chmod(path, 0660) != 0)
        return sx_err_errno(e, errno, "chmod %s", path);
    if (listen(fd, SX_LISTEN_BACKLOG) != 0)
        return sx_err_errno(e, errno, "listen on %s", path);
    *out = sx_steal_fd(&fd);
    return 0;
}

void sx_start_unlisten(const struct sx_node_conf *conf, const char *name, int fd)
{
    SX_AUTO_FREE char *path = run_path(conf, name);

    close(fd);
    unlink(path);
}
