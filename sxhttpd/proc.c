/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See proc.h.
 */
#include "sxhttpd/proc.h"

#include <dirent.h>
#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libsx/base/clock.h"

#define POLL_MS 20

/* Reads the link /proc/PID/NAME; false if it cannot be read. */
static bool proc_link(const char *pid, const char *name, char *out, size_t size)
{
    char path[300];
    ssize_t n;

    snprintf(path, sizeof path, "/proc/%.20s/%s", pid, name);
    n = readlink(path, out, size - 1);
    if (n < 0)
        return false;
    out[n] = '\0';
    return true;
}

/* Kind of program by the file that it was started from; 0: another program. */
static int program_kind(const char *exe)
{
    const char *base = strrchr(exe, '/');
    size_t n;

    base = base ? base + 1 : exe;
    if (strncmp(base, "lt-", 3) == 0) /* libtool's name in a build tree */
        base += 3;
    n = strcspn(base, " "); /* " (deleted)" after an upgrade */
    if (n == strlen("sx.fcgi") && memcmp(base, "sx.fcgi", n) == 0)
        return SX_PROC_DAEMON;
    return n == strlen("nginx") && memcmp(base, "nginx", n) == 0 ? SX_PROC_NGINX : 0;
}

/* Parent of a process that is alive; 0 if it is gone or a zombie. */
static pid_t parent_of(const char *pid)
{
    char path[64], line[512];
    const char *end;
    char state;
    int parent = 0;
    FILE *f;

    snprintf(path, sizeof path, "/proc/%.20s/stat", pid);
    f = fopen(path, "re");
    if (!f)
        return 0;
    /* The name in parentheses may hold anything, so the rest is counted from the last one. */
    if (fgets(line, sizeof line, f) && (end = strrchr(line, ')')) != NULL &&
        sscanf(end + 1, " %c %d", &state, &parent) == 2 && (state == 'Z' || state == 'X'))
        parent = 0;
    fclose(f);
    return parent;
}

size_t sx_proc_find(const char *dir, enum sx_proc_kind kinds, struct sx_proc *out, size_t max)
{
    char cwd[PATH_MAX], exe[PATH_MAX];
    struct dirent *entry;
    DIR *d = opendir("/proc");
    size_t n = 0;

    while (d && n < max && (entry = readdir(d)) != NULL) {
        int kind;

        if (entry->d_name[0] < '1' || entry->d_name[0] > '9' ||
            !proc_link(entry->d_name, "cwd", cwd, sizeof cwd) || strcmp(cwd, dir) != 0 ||
            !proc_link(entry->d_name, "exe", exe, sizeof exe))
            continue;
        kind = program_kind(exe) & (int)kinds;
        if (kind == 0)
            continue;
        out[n] = (struct sx_proc){ (pid_t)atoi(entry->d_name), parent_of(entry->d_name),
                                   (enum sx_proc_kind)kind };
        if (out[n].parent != 0)
            n++;
    }
    if (d)
        closedir(d);
    return n;
}

pid_t sx_proc_main(const char *dir, enum sx_proc_kind kind)
{
    static struct sx_proc all[SX_PROC_MAX];
    size_t n = sx_proc_find(dir, kind, all, SX_PROC_MAX);

    for (size_t i = 0; i < n; i++) {
        size_t k = 0;

        while (k < n && all[k].pid != all[i].parent)
            k++;
        if (k == n)
            return all[i].pid;
    }
    return 0;
}

static size_t signal_found(const char *dir, enum sx_proc_kind kinds, int sig)
{
    static struct sx_proc all[SX_PROC_MAX];
    size_t n = sx_proc_find(dir, kinds, all, SX_PROC_MAX);

    for (size_t i = 0; i < n; i++)
        kill(all[i].pid, sig);
    return n;
}

bool sx_proc_end(const char *dir, enum sx_proc_kind kinds, unsigned grace_ms)
{
    uint64_t start = sx_mono_ms(), soft = start + grace_ms, hard = soft + SX_PROC_KILL_MS;
    size_t left = signal_found(dir, kinds, SIGTERM);

    while (left > 0 && sx_mono_ms() < hard) {
        sx_sleep_ms(POLL_MS);
        left = signal_found(dir, kinds, sx_mono_ms() < soft ? 0 : SIGKILL);
    }
    return left == 0;
}
