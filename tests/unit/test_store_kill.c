/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * kill -9 at a system call: a child does a session under ptrace and is killed as it enters its n-th
 * call that changes a file, SQLite's calls included.  Then everything acknowledged must be there,
 * and the store sound: when it is opened the next time, and for another process that had it open all
 * the time, so that nothing was recovered.
 *
 * By default a random part of the calls is tried, and beside another process each at which a file
 * comes or goes; SX_KILL_ALL=1 tries each.
 */
#include "tests/unit/store_session.h"

#include <dirent.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "libsx/base/clock.h"
#include "fcgi/store/scrub.h"
#include "libsx/base/log.h"

#define TRIES 120
#define CALLS_MAX 4096u

/* The calls of a session that change a file. */
struct calls {
    unsigned n;
    uint64_t nr[CALLS_MAX + 1]; /* from 1 on */
};

static bool among(const uint64_t *list, size_t n, uint64_t nr)
{
    for (size_t i = 0; i < n; i++)
        if (list[i] == nr)
            return true;
    return false;
}

/* A file comes or goes, or is cut. */
static bool changes_names(uint64_t nr)
{
    static const uint64_t list[] = {
        SYS_fsync, SYS_ftruncate, SYS_openat, SYS_unlinkat, SYS_renameat,
#ifdef SYS_unlink
        SYS_unlink,
#endif
#ifdef SYS_rename
        SYS_rename,
#endif
    };

    return among(list, sizeof list / sizeof *list, nr);
}

static bool changes_files(uint64_t nr)
{
    static const uint64_t list[] = { SYS_pwrite64, SYS_pwritev, SYS_fdatasync };

    return changes_names(nr) || among(list, sizeof list / sizeof *list, nr);
}

/* True if the child stands before such a call. */
static bool enters_change(pid_t pid, uint64_t *nr)
{
    struct __ptrace_syscall_info info;

    memset(&info, 0, sizeof info);
    if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info) <= 0 ||
        info.op != PTRACE_SYSCALL_INFO_ENTRY)
        return false;
    *nr = info.entry.nr;
    return changes_files(*nr);
}

/* Runs a session and kills it at its kill_at-th change (0: never).  `beside`: the store is opened
 * before it.  No calls: no ptrace here. */
static void run_traced(const char *dir, struct session *w, unsigned kill_at, struct sx_store **beside,
                       struct calls *calls)
{
    struct sx_store_options o = options();
    uint64_t nr = 0;
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
        return;
    if (beside)
        *beside = util_open(dir, &o); /* here, for SQLite's handles do not survive a fork */
    while (ptrace(PTRACE_SYSCALL, pid, NULL, NULL) == 0 && waitpid(pid, &status, 0) == pid &&
           WIFSTOPPED(status)) {
        if (WSTOPSIG(status) != (SIGTRAP | 0x80) || !enters_change(pid, &nr))
            continue;
        assert_true(calls->n < CALLS_MAX);
        calls->nr[++calls->n] = nr;
        if (calls->n != kill_at)
            continue;
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
        break;
    }
}

static unsigned kill_at(unsigned at)
{
    struct session *w = shared(sizeof *w);
    struct sx_store_options o = options();
    struct calls calls = { 0 };
    char *dir = util_dir();
    struct sx_store *s;

    run_traced(dir, w, at, NULL, &calls);
    if (calls.n) {
        s = util_open(dir, &o);
        if (session_lost(s, w))
            fail_msg("killed at call %u: acknowledged blocks are lost", at);
        util_check(s);
        sx_store_close(s);
        assert_int_equal(w->ended, at == 0);
    }
    munmap(w, sizeof *w);
    util_remove(dir);
    return calls.n;
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

/* ---- beside another process ---- */

static int decode(void *ctx, const struct sx_record *r, struct sx_err *e)
{
    (void)ctx, (void)r, (void)e;
    return 0;
}

/* A scrub finds nothing to mend. */
static void nothing_wrong(struct sx_store *s, unsigned at)
{
    struct sx_scrub_walk w = { .decode = decode };
    struct sx_err e = SX_ERR_INIT;

    while (w.place.phase != SX_SCRUB_DONE)
        assert_done(sx_device_scrub(sx_store_device(s, 0), &w, 1 << 20, &e), &e);
    if (w.found.damaged + w.found.mended + w.found.sums + w.found.headers + w.found.read_errors +
        w.found.index_faults)
        fail_msg("killed at call %u: %llu damaged, %llu rows and %llu sums mended, %llu headers", at,
                 (unsigned long long)w.found.damaged, (unsigned long long)w.found.mended,
                 (unsigned long long)w.found.sums, (unsigned long long)w.found.headers);
}

static unsigned rows(sqlite3 *db, const char *where)
{
    SX_AUTO_FREE char *sql = sx_asprintf("SELECT count(*) FROM pack WHERE size > 0 AND %s", where);
    sqlite3_stmt *st;
    unsigned n;

    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(st), SQLITE_ROW);
    n = (unsigned)sqlite3_column_int(st, 0);
    sqlite3_finalize(st);
    return n;
}

/* The table of packs has what the directory has. */
static void packs_agree(const char *dir, unsigned at)
{
    SX_AUTO_FREE char *path = sx_asprintf("%s/index/packs.db", dir);
    SX_AUTO_FREE char *packs = sx_asprintf("%s/packs", dir);
    DIR *dp = opendir(packs);
    unsigned files = 0;
    struct dirent *de;
    sqlite3 *db;

    assert_non_null(dp);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    while ((de = readdir(dp)) != NULL) {
        SX_AUTO_FREE char *one = sx_asprintf("number = %llu", strtoull(de->d_name, NULL, 10));

        if (de->d_name[0] == '.')
            continue;
        if (rows(db, one) != 1)
            fail_msg("killed at call %u: %s is not in the table", at, de->d_name);
        files++;
    }
    if (rows(db, "1") != files)
        fail_msg("killed at call %u: %u packs, %u in the table", at, files, rows(db, "1"));
    sqlite3_close(db);
    closedir(dp);
}

static void kill_beside(unsigned at, struct calls *calls)
{
    struct session *w = shared(sizeof *w);
    struct sx_store_compaction done;
    struct sx_err e = SX_ERR_INIT;
    struct sx_store *s = NULL;
    char *dir = util_dir();

    calls->n = 0;
    run_traced(dir, w, at, &s, calls);
    if (s) {
        nothing_wrong(s, at);
        assert_done(sx_store_compact(s, true, 0, &done, &e), &e);
        packs_agree(dir, at);
        nothing_wrong(s, at);
        if (session_lost(s, w))
            fail_msg("killed at call %u: acknowledged blocks are lost", at);
        assert_int_equal(w->ended, at == 0);
    }
    sx_store_close(s);
    munmap(w, sizeof *w);
    util_remove(dir);
}

static void killed_beside_another(void **state)
{
    static struct calls all, now;
    unsigned tried = 0;

    sx_log_level_set(SX_LOG_ERROR);
    kill_beside(0, &all);
    if (all.n == 0)
        skip();
    for (unsigned at = 1; at < all.n; at++)
        if (getenv("SX_KILL_ALL") || changes_names(all.nr[at]) || changes_names(all.nr[at - 1])) {
            kill_beside(at, &now);
            tried++;
        }
    print_message("%u of %u calls beside another process\n", tried, all.n);
    assert_true(tried > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(killed_at_system_calls),
                                        cmocka_unit_test(killed_beside_another) };

    return cmocka_run_group_tests_name("store kill", tests, NULL, NULL);
}
