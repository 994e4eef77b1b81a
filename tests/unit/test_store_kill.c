/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * kill -9 at a system call: a child does a session under ptrace and is killed as it enters its n-th
 * call that changes a file, SQLite's calls included.  Then everything acknowledged must be there,
 * and the store sound.
 *
 * By default a random part of the calls is tried; SX_KILL_ALL=1 tries each.
 */
#include "tests/unit/store_session.h"

#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "libsx/base/clock.h"
#include "libsx/base/log.h"

#define TRIES 120

static bool changes_files(uint64_t nr)
{
    static const uint64_t list[] = {
        SYS_pwrite64, SYS_pwritev, SYS_fdatasync, SYS_fsync, SYS_ftruncate, SYS_openat,
        SYS_unlinkat, SYS_renameat,
#ifdef SYS_unlink
        SYS_unlink,
#endif
#ifdef SYS_rename
        SYS_rename,
#endif
    };

    for (size_t i = 0; i < sizeof list / sizeof *list; i++)
        if (list[i] == nr)
            return true;
    return false;
}

/* True if the child stands before such a call. */
static bool enters_change(pid_t pid)
{
    struct __ptrace_syscall_info info;

    memset(&info, 0, sizeof info);
    return ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info) > 0 &&
           info.op == PTRACE_SYSCALL_INFO_ENTRY && changes_files(info.entry.nr);
}

/* Runs a session and kills it at its kill_at-th change (0: never).  Gives how many there were; 0:
 * no ptrace here. */
static unsigned run_traced(const char *dir, struct session *w, unsigned kill_at)
{
    unsigned n = 0;
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        sx_log_level_set(SX_LOG_ERROR);
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
            _exit(1);
        raise(SIGSTOP);
        session_run(dir, NULL, w);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (!WIFSTOPPED(status) ||
        ptrace(PTRACE_SETOPTIONS, pid, NULL, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL))
        return 0;
    while (ptrace(PTRACE_SYSCALL, pid, NULL, NULL) == 0 && waitpid(pid, &status, 0) == pid &&
           WIFSTOPPED(status)) {
        if (WSTOPSIG(status) != (SIGTRAP | 0x80) || !enters_change(pid) || ++n != kill_at)
            continue;
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
        break;
    }
    return n;
}

static unsigned kill_at(unsigned at)
{
    struct session *w = shared(sizeof *w);
    struct sx_store_options o = options();
    char *dir = util_dir();
    unsigned n = run_traced(dir, w, at);
    struct sx_store *s;

    if (n) {
        s = util_open(dir, &o);
        if (session_lost(s, w))
            fail_msg("killed at call %u: acknowledged blocks are lost", at);
        util_check(s);
        sx_store_close(s);
        assert_int_equal(w->ended, at == 0);
    }
    munmap(w, sizeof *w);
    util_remove(dir);
    return n;
}

static void killed_at_system_calls(void **state)
{
    unsigned calls = kill_at(0);
    uint64_t seed = sx_mono_ns();

    sx_log_level_set(SX_LOG_ERROR);
    if (calls == 0) {
        print_message("ptrace is not allowed here\n");
        skip();
    }
    print_message("%u calls, seed %llu\n", calls, (unsigned long long)seed);
    assert_true(calls > 300);
    if (getenv("SX_KILL_ALL"))
        for (unsigned at = 1; at < calls; at++)
            kill_at(at);
    else
        for (unsigned i = 0; i < TRIES; i++) /* the last few, in closing the index, need not come */
            kill_at(1 + (unsigned)(unit_random(&seed) % (calls - calls / 20)));
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(killed_at_system_calls) };

    return cmocka_run_group_tests_name("store kill", tests, NULL, NULL);
}
