/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The block store under stress: many processes, kill -9, failing calls, power cuts.  The rule
 * everywhere: a block whose put returned 0 is readable and right, every other is right or not
 * there.
 *
 * The power cut: a child runs on a layer over sx_io that counts calls and notes what is synced; at
 * the chosen call it ends, and the parent takes away, by chance, what was not: bytes (cut, or
 * sectors zeroed), new names, removals, renames, and the index's write-ahead logs, which the store
 * does not sync for each batch.
 */
#include "tests/unit/store_session.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "libsx/base/clock.h"
#include "libsx/base/log.h"
#include "libsx/io/stack.h"

/* ---- many processes ---- */

static void writers(void **state)
{
    enum { PROCESSES = 4, BATCHES = 60 };
    char *dir = util_dir();
    struct sx_store_options o = options();
    struct sx_store_stats st;
    struct sx_err e = SX_ERR_INIT;
    struct sx_store *s;
    pid_t pid[PROCESSES];
    int status;

    for (int p = 0; p < PROCESSES; p++) {
        pid[p] = fork();
        if (pid[p] == 0) {
            if (sx_store_open(dir, &o, &s, &e))
                _exit(1);
            for (uint64_t b = 0; b < BATCHES; b++) { /* each overlaps with the next process's */
                uint64_t from = b * BATCH * PROCESSES + (uint64_t)p * BATCH;

                if (util_put(s, from, BATCH + 4, MAX, NULL, NULL, &e))
                    _exit(2);
                if (util_get(s, from + b % BATCH, MAX))
                    _exit(3);
            }
            sx_store_close(s);
            _exit(0);
        }
    }
    for (int p = 0; p < PROCESSES; p++) {
        assert_int_equal(waitpid(pid[p], &status, 0), pid[p]);
        assert_int_equal(status, 0);
    }
    s = util_open(dir, &o);
    for (uint64_t i = 0; i < PROCESSES * BATCHES * BATCH; i++)
        assert_int_equal(util_get(s, i, MAX), 0);
    assert_done(sx_store_stats(s, &st, &e), &e);
    assert_int_equal(st.blocks, PROCESSES * BATCHES * BATCH + 4);
    util_check(s);
    sx_store_close(s);
    util_remove(dir);
}

/* ---- kill -9 ---- */

struct journal {
    uint64_t next;      /* first block of the writer's next batch */
    uint64_t acked;     /* blocks first … acked - 1 are acknowledged */
    uint64_t first;
};

/* Puts for ever; now and then compacts, as the collector would beside it. */
_Noreturn static void write_on(const char *dir, struct journal *j, bool compacts)
{
    struct sx_store_options o = options();
    struct sx_err e = SX_ERR_INIT;
    struct sx_store_compaction done;
    struct sx_store *s;

    sx_log_level_set(SX_LOG_ERROR);
    if (sx_store_open(dir, &o, &s, &e)) {
        fprintf(stderr, "open: %s\n", e.msg);
        _exit(1);
    }
    for (unsigned n = 0;; n++) {
        if (compacts && n % 4 == 0 && sx_store_compact(s, n % 8 == 0, 0, &done, &e)) {
            fprintf(stderr, "compact: %s\n", e.msg);
            _exit(2);
        }
        if (util_put(s, j->acked, BATCH, MAX, NULL, NULL, &e)) {
            while (e.code == SX_ENOSPACE) /* a fast machine fills the store: wait for the end */
                pause();
            fprintf(stderr, "put: %s\n", e.msg);
            _exit(3);
        }
        __atomic_store_n(&j->acked, j->acked + BATCH, __ATOMIC_SEQ_CST);
    }
}

static void end(pid_t pid)
{
    int status;

    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status)); /* an error would have ended it before */
}

static void read_acked(struct sx_store *s, const struct journal *j)
{
    for (uint64_t i = j->first; i < j->acked; i++)
        assert_int_equal(util_get(s, i, MAX), 0);
}

/* One process is killed and started anew while the others write; in the end all are. */
static void kill_nine(void **state)
{
    enum { PROCESSES = 3, KILLS = 25 };
    char *dir = util_dir();
    struct sx_store_options o = options();
    struct journal *j = shared(PROCESSES * sizeof *j);
    uint64_t seed = sx_mono_ns(), total = 0;
    struct sx_store *s;
    pid_t pid[PROCESSES];

    print_message("seed %llu\n", (unsigned long long)seed);
    for (int p = 0; p < PROCESSES; p++) {
        j[p].first = j[p].acked = (uint64_t)p << 32;
        pid[p] = fork();
        if (pid[p] == 0)
            write_on(dir, &j[p], p == 0);
    }
    for (int k = 0; k < KILLS; k++) {
        int p = (int)(unit_random(&seed) % PROCESSES);

        sx_sleep_ms(5 + unit_random(&seed) % 30);
        end(pid[p]);
        pid[p] = fork();
        if (pid[p] == 0)
            write_on(dir, &j[p], p == 0);
        if (k % 8 == 7) { /* and all at once: the next to open recovers */
            for (int q = 0; q < PROCESSES; q++)
                end(pid[q]);
            s = util_open(dir, &o);
            for (int q = 0; q < PROCESSES; q++)
                read_acked(s, &j[q]);
            util_check(s);
            sx_store_close(s);
            for (int q = 0; q < PROCESSES; q++) {
                pid[q] = fork();
                if (pid[q] == 0)
                    write_on(dir, &j[q], q == 0);
            }
        }
    }
    for (int p = 0; p < PROCESSES; p++)
        end(pid[p]);
    s = util_open(dir, &o);
    for (int p = 0; p < PROCESSES; p++) {
        read_acked(s, &j[p]);
        total += j[p].acked - j[p].first;
    }
    util_check(s);
    assert_true(total > 100);
    sx_store_close(s);
    munmap(j, PROCESSES * sizeof *j);
    util_remove(dir);
}

/* A process that was killed is slow to die: the store has no user any more, and its pack is locked
 * still.  What the pack holds is not lost. */
static void slow_to_die(void **state)
{
    enum { HELD_MS = 300 };
    struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    char *dir = util_dir();
    SX_AUTO_FREE char *pack = sx_asprintf("%s/packs/0000000001.pack", dir);
    struct sx_store_options o = options();
    struct sx_err e = SX_ERR_INIT;
    struct sx_store *s;
    pid_t pid = fork();
    int fd, status;

    if (pid == 0) {
        s = util_open(dir, &o);
        _exit(util_put(s, 0, BATCH, MAX, NULL, NULL, &e) != 0); /* unclean */
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    fd = open(pack, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(fcntl(fd, F_OFD_SETLK, &l), 0);
    pid = fork();
    if (pid == 0) { /* it has the lock now */
        sx_sleep_ms(HELD_MS);
        _exit(0);
    }
    close(fd);
    s = util_open(dir, &o);
    for (uint64_t i = 0; i < BATCH; i++)
        assert_int_equal(util_get(s, i, MAX), 0);
    util_check(s);
    sx_store_close(s);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    util_remove(dir);
}

/* ---- failing calls ---- */

/* A session in which the n-th call that changes something goes wrong, for n from 1 until none does
 * any more; of a fault that only makes more work all puts succeed. */
static void fail_each_call(const char *fault, bool forever, bool harmless)
{
    SX_AUTO_FREE char *spec = sx_asprintf("fault(change,0,%s):disk", fault);
    unsigned at = 0;
    bool fired = true;

    while (fired) {
        char *dir = util_dir();
        struct sx_store_options o = options();
        struct session w = { 0 };
        struct sx_io_stack *io;
        struct sx_store *s;
        struct sx_err e = SX_ERR_INIT;

        assert_done(sx_io_stack_new(spec, &io, &e), &e);
        sx_io_stack_arm(io, ++at, forever);
        session_run(dir, sx_io_stack_io(io), &w);
        fired = sx_io_stack_fired(io) > 0;
        s = util_open(dir, &o);
        assert_int_equal(session_lost(s, &w), 0);
        util_check(s);
        if (!fired || harmless)
            for (unsigned i = 0; i < SESSION_BLOCKS; i++)
                assert_true(w.acked[i]);
        sx_store_close(s);
        sx_io_stack_free(io);
        util_remove(dir);
    }
    print_message("%s%s: %u calls\n", fault, forever ? " from then on" : "", at - 1);
    assert_true(at > 30);
}

static void faults_eio(void **state)
{
    fail_each_call("EIO", false, false);
    fail_each_call("EIO", true, false);
}

static void faults_enospc(void **state)
{
    fail_each_call("ENOSPC", false, false);
}

static void short_writes(void **state)
{
    fail_each_call("short", false, true);
    fail_each_call("short", true, true);
}

/* After a failed fsync nothing is ever appended to that pack again, by nobody. */
static void failed_fsync_is_final(void **state)
{
    char *dir = util_dir();
    struct sx_io_stack *io;
    struct sx_store_options o = options();
    SX_AUTO_FREE char *pack = sx_asprintf("%s/packs/0000000001.pack", dir);
    struct sx_store *s, *other;
    struct sx_err e = SX_ERR_INIT;
    struct stat before, after;

    assert_done(sx_io_stack_new("fault(fdatasync,0,EIO):disk", &io, &e), &e);
    o.io = sx_io_stack_io(io);
    s = util_open(dir, &o);
    assert_done(util_put(s, 0, 1, 100, NULL, NULL, &e), &e);
    sx_io_stack_arm(io, 1, false);
    assert_error(util_put(s, 1, 1, 100, NULL, NULL, &e), &e, SX_EIO);
    assert_non_null(strstr(e.msg, "pack 1"));
    assert_int_equal(stat(pack, &before), 0);
    o.io = NULL;
    other = util_open(dir, &o);
    assert_done(util_put(s, 1, 1, 100, NULL, NULL, &e), &e);
    assert_done(util_put(other, 2, 1, 100, NULL, NULL, &e), &e);
    assert_int_equal(stat(pack, &after), 0);
    assert_int_equal(before.st_size, after.st_size);
    for (uint64_t i = 0; i < 3; i++)
        assert_int_equal(util_get(other, i, 100), 0);
    sx_store_close(s);
    sx_store_close(other);
    sx_io_stack_free(io);
    util_remove(dir);
}

/* ---- power cuts ---- */

enum { FILES = 256, FDS = 256 };

struct crash_file {
    char path[96];
    bool named;        /* its name is durable */
    bool gone;         /* unlinked, or the source of a rename */
    bool replaced;     /* an older file of this name lies in path + ".old" */
    uint64_t size, synced;
};

struct crash {
    struct crash_file file[FILES];
    unsigned files;
    int of_fd[FDS];    /* index + 1 */
    char dir_of_fd[FDS][96];
    unsigned calls, cut_at;
    bool lie;          /* syncs do nothing: the test must notice; stays last */
};

static void tick(const struct sx_io *io)
{
    struct crash *c = io->ctx;

    if (++c->calls == c->cut_at)
        _exit(0);
}

static struct crash_file *find(struct crash *c, const char *path, bool make)
{
    for (unsigned i = 0; i < c->files; i++)
        if (!c->file[i].gone && strcmp(c->file[i].path, path) == 0)
            return &c->file[i];
    if (!make)
        return NULL;
    sx_assert(c->files < FILES && strlen(path) < sizeof c->file[0].path);
    strcpy(c->file[c->files].path, path);
    return &c->file[c->files++];
}

static int crash_open(const struct sx_io *io, const char *path, int flags, mode_t mode)
{
    struct crash *c = io->ctx;
    bool there = access(path, F_OK) == 0;
    struct crash_file *f;
    struct stat st;
    int fd;

    if (flags & O_CREAT)
        tick(io);
    fd = sx_io_posix.open(io, path, flags, mode);
    if (fd < 0)
        return fd;
    sx_assert(fd < FDS && strlen(path) < 96);
    c->of_fd[fd] = 0;
    if (flags & O_DIRECTORY) {
        strcpy(c->dir_of_fd[fd], path);
        return fd;
    }
    c->dir_of_fd[fd][0] = '\0';
    f = find(c, path, false);
    if (!f) {
        f = find(c, path, true);
        sx_assert(fstat(fd, &st) == 0);
        f->size = f->synced = (uint64_t)st.st_size;
        f->named = there;
    }
    c->of_fd[fd] = (int)(f - c->file) + 1;
    return fd;
}

static ssize_t crash_pwritev(const struct sx_io *io, int fd, const struct iovec *iov, int count,
                             off_t at)
{
    struct crash *c = io->ctx;
    struct crash_file *f = &c->file[c->of_fd[fd] - 1];
    ssize_t r;

    tick(io);
    r = sx_io_posix.pwritev(io, fd, iov, count, at);
    if (r > 0 && (uint64_t)(at + r) > f->size)
        f->size = (uint64_t)(at + r);
    return r;
}

static int crash_ftruncate(const struct sx_io *io, int fd, off_t size)
{
    struct crash *c = io->ctx;
    struct crash_file *f = &c->file[c->of_fd[fd] - 1];

    tick(io);
    f->size = (uint64_t)size;
    if (f->synced > f->size)
        f->synced = f->size;
    return sx_io_posix.ftruncate(io, fd, size);
}

static char *old_name(const char *path)
{
    return sx_asprintf("%s.old", path);
}

/* All names in a directory are durable now: what they replaced, and what was removed, is gone. */
static void names_synced(struct crash *c, const char *dir)
{
    size_t n = strlen(dir);

    for (unsigned i = 0; i < c->files; i++) {
        struct crash_file *f = &c->file[i];
        SX_AUTO_FREE char *old = old_name(f->path);

        if (strncmp(f->path, dir, n) != 0 || f->path[n] != '/' || strchr(f->path + n + 1, '/'))
            continue;
        if (f->replaced)
            unlink(old);
        f->named = true;
        f->replaced = false;
    }
}

static int crash_sync(const struct sx_io *io, int fd)
{
    struct crash *c = io->ctx;

    tick(io);
    if (c->of_fd[fd] && !c->lie)
        c->file[c->of_fd[fd] - 1].synced = c->file[c->of_fd[fd] - 1].size;
    else if (!c->of_fd[fd])
        names_synced(c, c->dir_of_fd[fd]);
    return 0;
}

static int crash_unlink(const struct sx_io *io, const char *path)
{
    struct crash *c = io->ctx;
    SX_AUTO_FREE char *old = old_name(path);
    struct crash_file *f;

    if (access(path, F_OK))
        return sx_io_posix.unlink(io, path);
    tick(io);
    f = find(c, path, true);
    unlink(old);
    sx_assert(rename(path, old) == 0);
    f->gone = f->replaced = true;
    return 0;
}

static int crash_rename(const struct sx_io *io, const char *from, const char *to)
{
    struct crash *c = io->ctx;
    struct crash_file *f = find(c, from, true), *t = find(c, to, true);
    SX_AUTO_FREE char *old = old_name(to);

    tick(io);
    if (access(to, F_OK) == 0 && !t->replaced) {
        sx_assert(rename(to, old) == 0);
        t->replaced = true;
    }
    t->named = false;
    t->size = f->size;
    t->synced = f->synced;
    f->gone = true;
    return sx_io_posix.rename(io, from, to);
}

static struct sx_io crash_io(struct crash *c)
{
    struct sx_io io = sx_io_posix;

    io.open = crash_open;
    io.pwritev = crash_pwritev;
    io.ftruncate = crash_ftruncate;
    io.fdatasync = io.fsync = crash_sync;
    io.unlink = crash_unlink;
    io.rename = crash_rename;
    io.ctx = c;
    return io;
}

/* What the disk holds after the cut. */
static void lose_bytes(const struct crash_file *f, uint64_t *seed)
{
    int fd = open(f->path, O_RDWR | O_CLOEXEC);
    uint64_t keep = f->synced + unit_random(seed) % (f->size - f->synced + 1);
    static const uint8_t zero[512];

    if (fd < 0)
        return;
    if (unit_random(seed) % 3 == 0)
        keep = f->size;
    assert_int_equal(ftruncate(fd, (off_t)keep), 0);
    for (uint64_t at = f->synced; at < keep; at += 512 - at % 512)
        if (unit_random(seed) % 4 == 0) {
            uint64_t n = 512 - at % 512;

            n = n < keep - at ? n : keep - at;
            assert_int_equal(pwrite(fd, zero, n, (off_t)at), n);
        }
    close(fd);
}

static void lose_names(const struct crash_file *f, uint64_t *seed)
{
    SX_AUTO_FREE char *old = old_name(f->path);

    if (f->replaced && unit_random(seed) % 2)
        assert_int_equal(rename(old, f->path), 0);
    else if (!f->gone && !f->named && unit_random(seed) % 2)
        unlink(f->path);
    unlink(old);
}

static void power_cut(const char *dir, const struct crash *c, uint64_t *seed)
{
    for (unsigned i = 0; i < c->files; i++)
        if (!c->file[i].gone && c->file[i].size > c->file[i].synced)
            lose_bytes(&c->file[i], seed);
    for (unsigned i = 0; i < c->files; i++)
        lose_names(&c->file[i], seed);
    for (unsigned i = 0; i <= 8; i++) {
        SX_AUTO_FREE char *db = i < 8 ? sx_asprintf("%s/index/shard-%u.db", dir, i)
                                      : sx_asprintf("%s/index/packs.db", dir);
        SX_AUTO_FREE char *wal = sx_asprintf("%s-wal", db);
        SX_AUTO_FREE char *shm = sx_asprintf("%s-shm", db);

        unlink(shm);
        if (unit_random(seed) % 2)
            unlink(wal);
    }
}

/* Runs a session that is cut at one call; gives whether the cut came before its end. */
static bool cut_session(const char *dir, struct crash *c, struct session *w, unsigned at,
                        uint64_t *seed)
{
    int status;
    pid_t pid;

    memset(c, 0, offsetof(struct crash, lie));
    c->cut_at = at;
    pid = fork();
    if (pid == 0) {
        struct sx_io io = crash_io(c);

        sx_log_level_set(SX_LOG_ERROR);
        session_run(dir, &io, w);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    power_cut(dir, c, seed);
    return !w->ended;
}

/* `rounds` directories, in each three sessions cut at random places.  Gives how many blocks were
 * lost. */
static unsigned power_cuts(unsigned rounds, bool lie)
{
    enum { SESSIONS = 3 };
    struct crash *c = shared(sizeof *c);
    struct session *w = shared(SESSIONS * sizeof *w);
    uint64_t seed = sx_mono_ns();
    unsigned lost = 0, cut = 0;

    print_message("seed %llu\n", (unsigned long long)seed);
    sx_log_level_set(SX_LOG_ERROR);
    for (unsigned r = 0; r < rounds; r++) {
        char *dir = util_dir();
        struct sx_store_options o = options();
        struct sx_err e = SX_ERR_INIT;
        struct sx_store *s;
        size_t deleted;

        memset(w, 0, SESSIONS * sizeof *w);
        for (unsigned k = 0; k < SESSIONS; k++) {
            struct sx_id id;

            w[k].base = 1000 * k;
            c->lie = lie;
            cut += cut_session(dir, c, &w[k], 1 + (unsigned)(unit_random(&seed) % 70), &seed);
            s = util_open(dir, &o);
            for (unsigned i = 0; i <= k; i++)
                lost += session_lost(s, &w[i]);
            if (!lie)
                util_check(s);
            /* No lease is lost. */
            for (unsigned i = 0; i < SESSION_BLOCKS; i++) {
                id = util_id(w[k].base + i);
                assert_done(sx_store_delete(s, &id, 1, SESSION_EPOCH - 1, &deleted, &e),
                            &e);
                assert_int_equal(deleted, 0);
            }
            sx_store_close(s);
        }
        util_remove(dir);
        if (lost && !lie)
            fail_msg("round %u: %u acknowledged blocks are lost", r, lost);
    }
    assert_true(cut > rounds);
    munmap(c, sizeof *c);
    munmap(w, SESSIONS * sizeof *w);
    return lost;
}

static void power_cut_loses_nothing(void **state)
{
    const char *n = getenv("SX_CRASH_ROUNDS");

    assert_int_equal(power_cuts(n ? (unsigned)atoi(n) : 150, false), 0);
}

static void power_cut_test_can_fail(void **state)
{
    assert_true(power_cuts(20, true) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writers),
        cmocka_unit_test(kill_nine),
        cmocka_unit_test(slow_to_die),
        cmocka_unit_test(faults_eio),
        cmocka_unit_test(faults_enospc),
        cmocka_unit_test(short_writes),
        cmocka_unit_test(failed_fsync_is_final),
        cmocka_unit_test(power_cut_loses_nothing),
        cmocka_unit_test(power_cut_test_can_fail),
    };

    return cmocka_run_group_tests_name("store crash", tests, NULL, NULL);
}
