/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * See log.h.  The descriptor is replaced with dup3(), so that a thread that is just
 * writing never meets a closed one.
 */
#include "libsx/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 2048

static atomic_int log_fd = STDERR_FILENO;
static atomic_int log_level = SX_LOG_INFO;
static char log_role[32];

int sx_log_open(const char *path)
{
    int fd, cur = atomic_load(&log_fd);

    if (!path) {
        atomic_store(&log_fd, STDERR_FILENO);
        return 0;
    }
    fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
    if (fd < 0)
        return -1;
    if (cur == STDERR_FILENO) {
        atomic_store(&log_fd, fd);
        return 0;
    }
    if (dup3(fd, cur, O_CLOEXEC) < 0) {
        int saved = errno;
        close(fd);
        errno = saved;
        return -1;
    }
    close(fd);
    return 0;
}

void sx_log_level_set(enum sx_log_level level)
{
    atomic_store(&log_level, (int)level);
}

enum sx_log_level sx_log_level_get(void)
{
    return (enum sx_log_level)atomic_load(&log_level);
}

void sx_log_role(const char *role)
{
    snprintf(log_role, sizeof log_role, "%s", role);
}

void sx_log(enum sx_log_level level, const char *fmt, ...)
{
    static const char *const names[] = { "error", "warn", "info", "debug" };
    char line[LINE_MAX_BYTES];
    struct timespec now;
    struct tm tm;
    va_list ap;
    size_t n;
    int saved = errno;

    if ((int)level > atomic_load(&log_level))
        return;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    n = strftime(line, sizeof line, "%Y-%m-%dT%H:%M:%S", &tm);
    n += (size_t)snprintf(line + n, sizeof line - n, ".%03ldZ %s %s[%d] ", now.tv_nsec / 1000000,
                          names[level], log_role[0] ? log_role : "sx", (int)getpid());
    va_start(ap, fmt);
    vsnprintf(line + n, sizeof line - n - 1, fmt, ap);
    va_end(ap);
    n += strlen(line + n);
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)line[i] < ' ')
            line[i] = ' ';
    line[n++] = '\n';
    if (write(atomic_load(&log_fd), line, n) < 0) {
        /* there is nowhere left to report it */
    }
    errno = saved;
}
