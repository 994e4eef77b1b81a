/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See proc.h.
 */
#include "fcgi/jobs/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "libsx/base/json.h"
#include "libsx/base/log.h"
#include "libsx/base/mem.h"

int sx_proc_init(struct sx_proc *p, const char *dir, const char *name, int stop_fd,
                 struct sx_err *e)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    *p = (struct sx_proc){ .stop_fd = stop_fd, .signal_fd = signalfd(-1, &set, SFD_CLOEXEC) };
    if (p->signal_fd < 0)
        return sx_err_errno(e, errno, "signalfd");
    p->poke = sx_asprintf("%s/run/%s", dir, name);
    return 0;
}

void sx_proc_fini(struct sx_proc *p)
{
    if (p->signal_fd >= 0)
        close(p->signal_fd);
    free(p->poke);
}

bool sx_proc_stop(struct sx_proc *p, int ms)
{
    struct pollfd f[2] = { { p->signal_fd, POLLIN, 0 }, { p->stop_fd, POLLIN, 0 } };

    return poll(f, p->stop_fd >= 0 ? 2 : 1, ms) > 0;
}

bool sx_proc_poked(struct sx_proc *p)
{
    return unlink(p->poke) == 0;
}

void sx_proc_poke(const char *dir, const char *name)
{
    SX_AUTO_FREE char *path = sx_asprintf("%s/run/%s", dir, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0640);

    if (fd < 0)
        sx_warn("%s: %s", path, strerror(errno)); /* it looks by itself before long */
    else
        close(fd);
}

void sx_proc_publish(const char *dir, const char *name, const struct sx_proc_counter *c, size_t n)
{
    SX_AUTO_FREE char *path = sx_asprintf("%s/run/%s.json", dir, name);
    SX_AUTO_FREE char *tmp = sx_asprintf("%s.tmp", path);
    SX_AUTO_JSON json_t *j = json_object();

    for (size_t i = 0; i < n; i++)
        json_object_set_new(j, c[i].name, json_integer((json_int_t)*c[i].value));
    if (json_dump_file(j, tmp, JSON_COMPACT) || rename(tmp, path))
        sx_warn("%s: %s", path, strerror(errno));
}

void sx_proc_read(const char *dir, const char *name, const struct sx_proc_counter *c, size_t n)
{
    SX_AUTO_FREE char *path = sx_asprintf("%s/run/%s.json", dir, name);
    SX_AUTO_JSON json_t *j = json_load_file(path, 0, NULL);

    for (size_t i = 0; i < n; i++)
        if (!j || sx_json_u64(j, c[i].name, 0, INT64_MAX, c[i].value, NULL))
            *c[i].value = 0;
}
