/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Every public operation of the store while SQLite's n-th file call, SQLite's n-th allocation, or our
 * own n-th allocation fails, for n from 1 until a pass fires no fault.  Each pass runs in a process
 * of its own: it may end (by assertion only), what it acknowledged must be there afterwards, and the
 * store must open and be sound.
 */
#include "tests/unit/store_session.h"

#include <errno.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "libsx/base/log.h"
#include "libsx/io/fault.h"

#define DENSE 60u     /* so many passes one by one; then each is a tenth later than the one before */

/* ---- SQLite's files ---- */

static struct sx_io_fault file_fault;

struct file {
    sqlite3_file base;
    sqlite3_file *real;
    char *path;
};

static sqlite3_vfs *below;
static sqlite3_io_methods methods;

static sqlite3_file *real_of(sqlite3_file *f)
{
    return ((struct file *)f)->real;
}

static bool file_fails(sqlite3_file *f, enum sx_io_call call)
{
    return sx_io_fault_hit(&file_fault, call, ((struct file *)f)->path) == SX_IO_FAULT_ERRNO;
}

static int file_close(sqlite3_file *f)
{
    int rc = real_of(f)->pMethods->xClose(real_of(f));

    free(((struct file *)f)->path);
    return rc;
}

static int file_read(sqlite3_file *f, void *p, int n, sqlite3_int64 at)
{
    return file_fails(f, SX_IO_PREAD) ? SQLITE_IOERR_READ
                                      : real_of(f)->pMethods->xRead(real_of(f), p, n, at);
}

static int file_write(sqlite3_file *f, const void *p, int n, sqlite3_int64 at)
{
    if (file_fails(f, SX_IO_PWRITEV)) {
        real_of(f)->pMethods->xWrite(real_of(f), p, n / 2, at); /* a torn one */
        return file_fault.err == ENOSPC ? SQLITE_FULL : SQLITE_IOERR_WRITE;
    }
    return real_of(f)->pMethods->xWrite(real_of(f), p, n, at);
}

static int file_sync(sqlite3_file *f, int flags)
{
    return file_fails(f, SX_IO_FSYNC) ? SQLITE_IOERR_FSYNC
                                      : real_of(f)->pMethods->xSync(real_of(f), flags);
}

static int file_truncate(sqlite3_file *f, sqlite3_int64 size)
{
    return file_fails(f, SX_IO_FTRUNCATE) ? SQLITE_IOERR_TRUNCATE
                                          : real_of(f)->pMethods->xTruncate(real_of(f), size);
}

/* The rest is the system's. */
#define PASS(name, params, ...)                                                                    \
    static int file_##name params                                                                  \
    {                                                                                              \
        return real_of(f)->pMethods->x##name(real_of(f), ##__VA_ARGS__);                           \
    }
PASS(FileSize, (sqlite3_file *f, sqlite3_int64 *size), size)
PASS(Lock, (sqlite3_file *f, int how), how)
PASS(Unlock, (sqlite3_file *f, int how), how)
PASS(CheckReservedLock, (sqlite3_file *f, int *out), out)
PASS(FileControl, (sqlite3_file *f, int op, void *arg), op, arg)
PASS(SectorSize, (sqlite3_file *f))
PASS(DeviceCharacteristics, (sqlite3_file *f))
PASS(ShmMap, (sqlite3_file *f, int page, int size, int extend, void volatile **p), page, size, extend, p)
PASS(ShmLock, (sqlite3_file *f, int offset, int n, int flags), offset, n, flags)
PASS(ShmUnmap, (sqlite3_file *f, int remove), remove)
PASS(Fetch, (sqlite3_file *f, sqlite3_int64 at, int n, void **p), at, n, p)
PASS(Unfetch, (sqlite3_file *f, sqlite3_int64 at, void *p), at, p)

static void file_shm_barrier(sqlite3_file *f)
{
    real_of(f)->pMethods->xShmBarrier(real_of(f));
}

static int vfs_open(sqlite3_vfs *v, const char *path, sqlite3_file *out, int flags, int *got)
{
    struct file *f = (struct file *)out;
    int rc;

    f->base.pMethods = NULL;
    if (sx_io_fault_hit(&file_fault, SX_IO_OPEN, path) == SX_IO_FAULT_ERRNO)
        return SQLITE_CANTOPEN;
    f->real = (sqlite3_file *)(f + 1);
    rc = below->xOpen(below, path, f->real, flags, got);
    if (rc == SQLITE_OK) {
        f->path = sx_strdup(path ? path : "");
        f->base.pMethods = &methods;
    }
    return rc;
}

static int vfs_delete(sqlite3_vfs *v, const char *path, int sync)
{
    return sx_io_fault_hit(&file_fault, SX_IO_UNLINK, path) == SX_IO_FAULT_ERRNO
               ? SQLITE_IOERR_DELETE
               : below->xDelete(below, path, sync);
}

static void use_files(void)
{
    static sqlite3_vfs vfs;

    methods = (sqlite3_io_methods){
        3, file_close, file_read, file_write, file_truncate, file_sync, file_FileSize, file_Lock,
        file_Unlock, file_CheckReservedLock, file_FileControl, file_SectorSize,
        file_DeviceCharacteristics, file_ShmMap, file_ShmLock, file_shm_barrier, file_ShmUnmap,
        file_Fetch, file_Unfetch,
    };
    below = sqlite3_vfs_find(NULL);
    vfs = *below;
    vfs.zName = "faults";
    vfs.szOsFile = (int)sizeof(struct file) + below->szOsFile;
    vfs.xOpen = vfs_open;
    vfs.xDelete = vfs_delete;
    assert_int_equal(sqlite3_vfs_register(&vfs, 1), SQLITE_OK);
}

/* ---- allocations ---- */

struct counter {
    unsigned at, counted, fired; /* in memory that the parent sees */
};

static struct counter *sqlite_memory, *own_memory;
static sqlite3_mem_methods real_memory;

static bool memory_fails(struct counter *c)
{
    bool hit = c && c->at && ++c->counted == c->at;

    if (hit)
        c->fired++;
    return hit;
}

static void *sqlite_malloc(int n)
{
    return memory_fails(sqlite_memory) ? NULL : real_memory.xMalloc(n);
}

static void *sqlite_realloc(void *p, int n)
{
    return memory_fails(sqlite_memory) ? NULL : real_memory.xRealloc(p, n);
}

static void use_sqlite_memory(void)
{
    sqlite3_mem_methods m;

    assert_int_equal(sqlite3_shutdown(), SQLITE_OK);
    assert_int_equal(sqlite3_config(SQLITE_CONFIG_GETMALLOC, &real_memory), SQLITE_OK);
    m = real_memory;
    m.xMalloc = sqlite_malloc;
    m.xRealloc = sqlite_realloc;
    assert_int_equal(sqlite3_config(SQLITE_CONFIG_MALLOC, &m), SQLITE_OK);
    assert_int_equal(sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0), SQLITE_OK);
}

/* The linker puts these in place of those that libsx calls (fcgi/store/local.mk). */
void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);

void *__wrap_malloc(size_t n)
{
    return memory_fails(own_memory) ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return memory_fails(own_memory) ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
    return memory_fails(own_memory) ? NULL : __real_realloc(p, n);
}

/* ---- one pass ---- */

struct pass {
    struct session session;
    struct counter counter;
};

/* The operations that a session does not have. */
static void the_rest(const char *dir)
{
    struct sx_store_options o = options();
    struct sx_store_item items[64];
    struct sx_store_report r;
    struct sx_store_stats st;
    struct sx_err e = SX_ERR_INIT;
    uint8_t present[BATCH];
    struct sx_id ids[BATCH];
    struct sx_store *s;
    uint64_t lease;
    size_t n;

    for (unsigned i = 0; i < BATCH; i++)
        ids[i] = util_id(i);
    if (sx_store_open(dir, &o, &s, &e))
        return;
    (void)!sx_store_have(s, ids, BATCH, present, &lease, &e);
    (void)!sx_store_exists(s, ids, BATCH, present, &e);
    for (unsigned i = 0; i < BATCH; i++)
        util_get(s, i, MAX);
    (void)!sx_store_list(s, NULL, items, 64, &n, &e);
    (void)!sx_store_list_bad(s, NULL, items, 64, &n, &e);
    (void)!sx_store_stats(s, &st, &e);
    (void)!sx_store_check(s, true, &r, &e);
    sx_store_close(s);
}

enum kind { FILES, SQLITE_MEMORY, OWN_MEMORY };

_Noreturn static void child(const char *dir, struct pass *p, enum kind kind)
{
    struct rlimit none = { 0, 0 };

    setrlimit(RLIMIT_CORE, &none);
    if (!freopen("/dev/null", "w", stderr))
        _exit(1);
    if (kind == SQLITE_MEMORY)
        use_sqlite_memory();
    if (kind == FILES)
        use_files();
    sqlite_memory = kind == SQLITE_MEMORY ? &p->counter : NULL;
    own_memory = kind == OWN_MEMORY ? &p->counter : NULL;
    file_fault.at = kind == FILES ? p->counter.at : 0;
    session_run(dir, NULL, &p->session);
    the_rest(dir);
    if (kind == FILES)
        p->counter.fired = file_fault.fired;
    _exit(0);
}

static bool fired_in_pass(enum kind kind, unsigned at)
{
    struct pass *p = shared(sizeof *p);
    struct sx_store_options o = options();
    char *dir = util_dir();
    struct sx_store *s;
    bool fired;
    pid_t pid;
    int status;

    p->counter.at = at;
    pid = fork();
    if (pid == 0)
        child(dir, p, kind);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFSIGNALED(status)) { /* only our own allocations may end a process, by abort() */
        assert_int_equal(kind, OWN_MEMORY);
        assert_int_equal(WTERMSIG(status), SIGABRT);
    } else {
        assert_int_equal(status, 0);
    }
    s = util_open(dir, &o);
    if (session_lost(s, &p->session))
        fail_msg("call %u: %u acknowledged blocks are lost", at, session_lost(s, &p->session));
    util_check(s);
    sx_store_close(s);
    util_remove(dir);
    fired = p->counter.fired > 0;
    if (!fired)
        assert_true(p->session.ended);
    munmap(p, sizeof *p);
    return fired;
}

static void each(enum kind kind, const char *what)
{
    unsigned at = 1, passes = 0;

    while (fired_in_pass(kind, at)) {
        passes++;
        at += at < DENSE ? 1 : at / 10;
    }
    print_message("%s: %u passes, up to call %u\n", what, passes, at);
    assert_true(passes > 40);
}

static void files(void **state)
{
    static const char *const faults[] = { "change,0,EIO", "change,0,ENOSPC", "pread,0,EIO" };
    struct sx_err e = SX_ERR_INIT;

    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        assert_done(sx_io_fault_parse(faults[i], &file_fault, &e), &e);
        each(FILES, faults[i]);
    }
}

static void sqlite_allocations(void **state)
{
    each(SQLITE_MEMORY, "SQLite's allocations");
}

static void own_allocations(void **state)
{
    each(OWN_MEMORY, "own allocations");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files),
        cmocka_unit_test(sqlite_allocations),
        cmocka_unit_test(own_allocations),
    };

    sx_log_level_set(SX_LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
