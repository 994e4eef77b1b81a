/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A node's store on several devices: where blocks go, and what happens when a device is full, fails,
 * vanishes, is not what it should be, is added or drained.
 */
#include "tests/unit/store_devices.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "fcgi/store/errors.h"
#include "fcgi/store/label.h"
#include "libsx/base/clock.h"
#include "libsx/base/log.h"
#include "libsx/io/stack.h"

/* ---- placing ---- */

/* Blocks are shared out by size, and those of a batch lie on several devices. */
static void balance(void **state)
{
    enum { N = 6000 };
    char *dir = new_node(3);
    struct sx_store *s;
    struct sx_err e = SX_ERR_INIT;
    size_t written;

    assert_done(sx_admin_set_size(dir, 2, 200 * MIB, &e), &e);
    assert_done(sx_admin_set_size(dir, 3, 300 * MIB, &e), &e);
    s = open_list(dir, NULL);
    put(s, 0, N);
    for (uint32_t id = 1; id <= 3; id++) {
        double share = (double)device(s, id).stats.blocks / N, fair = id / 6.0;

        if (share < fair - 0.03 || share > fair + 0.03)
            fail_msg("device %u has %.3f of the blocks, not %.3f", id, share, fair);
    }
    all_there(s, 0, N);
    assert_done(util_put(s, 0, 1000, MAX, NULL, &written, &e), &e);
    assert_int_equal(written, 0);
    sx_store_close(s);
    remove_node(dir);
}

/* After a device is added, old blocks are found where they are and not written again. */
static void added_later(void **state)
{
    char *dir = new_node(1);
    struct sx_store *s = open_list(dir, NULL);
    struct sx_store_item items[700];
    struct sx_err e = SX_ERR_INIT;
    uint8_t present[100];
    struct sx_id ids[100];
    uint64_t lease;
    size_t written, n;

    put(s, 0, 300);
    add(dir, "d2", 100 * MIB); /* while the store is open */
    put(s, 300, 300);
    assert_true(device(s, 2).stats.blocks > 100);
    assert_true(device(s, 1).stats.blocks > 400);
    for (unsigned i = 0; i < 100; i++)
        ids[i] = util_id(i);
    assert_done(sx_store_have(s, ids, 100, present, &lease, &e), &e);
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(present[i], 1);
    assert_done(util_put(s, 0, 300, MAX, NULL, &written, &e), &e);
    assert_int_equal(written, 0);
    assert_done(sx_store_list(s, NULL, items, 700, &n, &e), &e);
    assert_int_equal(n, 600);
    for (size_t i = 1; i < n; i++)
        assert_true(sx_id_cmp(&items[i - 1].id, &items[i].id) < 0);
    sx_store_close(s);
    remove_node(dir);
}

/* ---- full ---- */

static void full(void **state)
{
    char *dir = new_node(2);
    struct sx_store *s;
    struct sx_err e = SX_ERR_INIT;
    uint64_t n = 0, blocks;

    assert_done(sx_admin_set_size(dir, 1, 256 << 10, &e), &e);
    assert_done(sx_admin_set_size(dir, 2, 1 * MIB, &e), &e);
    s = open_list(dir, NULL);
    while (util_put(s, n, 10, MAX, NULL, NULL, &e) == 0)
        n += 10;
    assert_int_equal(e.code, SX_ENOSPACE);
    assert_true(device(s, 1).stats.used > (200 << 10) && device(s, 1).stats.used <= (256 << 10));
    assert_true(device(s, 2).stats.used > (900 << 10) && device(s, 2).stats.used <= 1 * MIB);
    blocks = device(s, 1).stats.blocks;
    all_there(s, 0, n);
    assert_done(util_put(s, 0, 10, MAX, NULL, NULL, &e), &e); /* are there: no room is wanted */
    assert_done(sx_admin_set_size(dir, 2, 2 * MIB, &e), &e);
    put(s, n, 100);
    assert_int_equal(device(s, 1).stats.blocks, blocks); /* all went to the other */
    all_there(s, 0, n + 100);
    sx_store_close(s);
    remove_node(dir);
}

/* ---- out ---- */

static void replaced(void **state)
{
    char *dir = new_node(3);
    SX_AUTO_FREE char *path = beside(dir, "d2");
    SX_AUTO_FREE char *away = beside(dir, "away");
    SX_AUTO_FREE char *packs = sx_asprintf("%s/packs", path);
    struct sx_store *s = open_list(dir, NULL);
    uint64_t there;

    put(s, 0, 300);
    there = device(s, 2).stats.blocks;
    sx_store_close(s);
    assert_int_equal(rename(path, away), 0);
    sx_log_level_set(SX_LOG_ERROR);
    for (int empty = 0; empty < 2; empty++) { /* no directory, then one that is not mounted */
        unsigned missing = 0;

        s = open_list(dir, NULL);
        assert_true(device(s, 2).out);
        assert_non_null(strstr(device(s, 2).entry.reason, empty ? "mounted" : "d2"));
        for (uint64_t i = 0; i < 300; i++)
            missing += util_get(s, i, MAX) == SX_ENOTFOUND;
        assert_int_equal(missing, empty ? 0 : there);
        put(s, 0, 400); /* what is missing is taken again */
        all_there(s, 0, 400);
        sx_store_close(s);
        assert_int_not_equal(access(packs, F_OK), 0);
        if (!empty)
            assert_int_equal(mkdir(path, 0750), 0);
    }
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(rename(away, path), 0);
    s = open_list(dir, NULL);
    assert_false(device(s, 2).out);
    assert_int_equal(device(s, 2).stats.blocks, there);
    all_there(s, 0, 400);
    sx_store_close(s);
    remove_node(dir);
}

/* A disk of another node, and another disk of this one, are not taken either. */
static void not_this_one(void **state)
{
    char *dir = new_node(3);
    SX_AUTO_FREE char *two = beside(dir, "d2");
    SX_AUTO_FREE char *three = beside(dir, "d3");
    SX_AUTO_FREE char *away = beside(dir, "away");
    struct sx_label other = { .node = 8, .device = 2 };
    struct sx_store *s;
    struct sx_err e = SX_ERR_INIT;

    assert_int_equal(rename(two, away), 0);
    assert_int_equal(rename(three, two), 0);
    assert_int_equal(rename(away, three), 0);
    s = open_list(dir, NULL);
    assert_non_null(strstr(device(s, 2).entry.reason, "is device 3, not device 2"));
    assert_non_null(strstr(device(s, 3).entry.reason, "is device 2, not device 3"));
    sx_store_close(s);
    assert_done(sx_label_write(&sx_io_posix, two, &other, &e), &e);
    s = open_list(dir, NULL);
    assert_non_null(strstr(device(s, 2).entry.reason, "another node"));
    put(s, 0, 50);
    sx_store_close(s);
    remove_node(dir);
}

/* ---- failing ---- */

/* A write or sync that fails: acknowledged from another device, noted for all and for good. */
static void fails(void **state)
{
    static const char *const faults[] = { "fault(pwritev,2+,EIO,-d2/packs):disk",
                                          "fault(fdatasync,2+,EIO,-d2/packs):disk",
                                          "fault(pwritev,2+,EROFS,-d2/packs):disk",
                                          "fault(open,2+,EACCES,-d2/packs):disk" };

    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        char *dir = new_node(3);
        struct sx_io_stack *io = NULL;
        struct sx_store *s, *other;
        struct sx_err e = SX_ERR_INIT;
        uint64_t kept;

        assert_done(sx_io_stack_new(faults[i], &io, &e), &e);
        other = open_list(dir, NULL);
        s = open_list(dir, sx_io_stack_io(io));
        put(s, 0, 300);
        assert_true(sx_io_stack_fired(io) > 0);
        assert_string_equal(sx_device_status_name(&(struct sx_device_status){
                                .entry = device(other, 2).entry }), "failed");
        assert_non_null(strstr(device(other, 2).entry.reason, "d2/packs") ?:
                        strstr(device(other, 2).entry.reason, "pack"));
        kept = device(other, 2).stats.blocks;
        put(other, 300, 300); /* healthy there, and yet not used */
        assert_int_equal(device(other, 2).stats.blocks, kept);
        all_there(other, 0, 600);
        sx_store_close(s);
        sx_store_close(other);
        s = open_list(dir, NULL);
        assert_int_equal(device(s, 2).entry.state, SX_DEVICE_FAILED);
        assert_done(sx_admin_set_state(dir, 2, SX_DEVICE_ACTIVE, &e), &e);
        put(s, 600, 100);
        assert_true(device(s, 2).stats.blocks > kept);
        assert_string_equal(device(s, 2).entry.reason, "");
        all_there(s, 0, 700);
        sx_store_close(s);
        sx_io_stack_free(io);
        remove_node(dir);
    }
}

/* The only device is not put aside: the pack that failed is, and the trouble is shown. */
static void last_one_fails(void **state)
{
    char *dir = new_node(1);
    SX_AUTO_FREE char *pack = sx_asprintf("%s/store/packs/0000000001.pack", dir);
    struct sx_io_stack *io = NULL;
    struct sx_store *s, *other;
    struct sx_err e = SX_ERR_INIT;
    struct stat before, after;

    assert_done(sx_io_stack_new("fault(fdatasync,2,EIO):disk", &io, &e), &e);
    s = open_list(dir, sx_io_stack_io(io));
    put(s, 0, 10);
    assert_error(util_put(s, 10, 10, MAX, NULL, NULL, &e), &e, SX_EIO);
    sx_err_clear(&e);
    assert_int_equal(stat(pack, &before), 0);
    put(s, 10, 10);
    other = open_list(dir, NULL);
    put(other, 20, 10);
    assert_int_equal(stat(pack, &after), 0);
    assert_int_equal(before.st_size, after.st_size); /* nobody writes to it again */
    assert_int_equal(device(other, 1).entry.state, SX_DEVICE_ACTIVE);
    assert_non_null(strstr(device(other, 1).entry.reason, "pack 1"));
    all_there(other, 0, 30);
    sx_store_close(s);
    sx_store_close(other);
    sx_io_stack_free(io);
    remove_node(dir);
}

/* Space and want of descriptors say nothing of the disk. */
static void no_failure(void **state)
{
    static const char *const faults[] = { "fault(pwritev,2,ENOSPC,-d2/packs):disk",
                                          "fault(open,2,EMFILE,-d2/packs):disk",
                                          "fault(pwritev,2,EINTR,-d2/packs):disk",
                                          "fault(pwritev,2+,short,-d2/packs):disk",
                                          "fault(fdatasync,1,delay=20,-d2/packs):disk" };

    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        char *dir = new_node(2);
        struct sx_io_stack *io = NULL;
        struct sx_store *s;
        struct sx_err e = SX_ERR_INIT;

        assert_done(sx_io_stack_new(faults[i], &io, &e), &e);
        s = open_list(dir, sx_io_stack_io(io));
        put(s, 0, 300);
        assert_true(sx_io_stack_fired(io) > 0);
        assert_int_equal(device(s, 2).entry.state, SX_DEVICE_ACTIVE);
        all_there(s, 0, 300);
        sx_store_close(s);
        sx_io_stack_free(io);
        remove_node(dir);
    }
}

static void none_takes(void **state)
{
    char *dir = new_node(2);
    struct sx_store *s = open_list(dir, NULL);
    struct sx_err e = SX_ERR_INIT;

    put(s, 0, 100);
    assert_done(sx_admin_set_state(dir, 1, SX_DEVICE_READ_ONLY, &e), &e);
    put(s, 100, 100);
    assert_done(sx_admin_set_state(dir, 2, SX_DEVICE_READ_ONLY, &e), &e);
    assert_error(util_put(s, 200, 1, MAX, NULL, NULL, &e), &e, SX_EUNAVAIL);
    assert_non_null(strstr(e.msg, "2 read-only"));
    sx_err_clear(&e);
    put(s, 0, 200); /* are there */
    all_there(s, 0, 200);
    assert_done(sx_admin_set_state(dir, 1, SX_DEVICE_ACTIVE, &e), &e);
    put(s, 200, 1);
    sx_store_close(s);
    remove_node(dir);
}

/* ---- a damaged block that another device has ---- */

static void mended_elsewhere(void **state)
{
    char *dir = new_node(2);
    SX_AUTO_FREE char *pack = sx_asprintf("%s-d2/packs/0000000001.pack", dir);
    struct sx_store *s = open_list(dir, NULL);
    struct sx_store_item bad[100];
    struct sx_err e = SX_ERR_INIT;
    size_t n;
    int fd;

    put(s, 0, 60);
    fd = open(pack, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0 && ftruncate(fd, 64) == 0);
    close(fd);
    for (uint64_t i = 0; i < 60; i++)
        assert_true(util_get(s, i, MAX) == 0 || device(s, 2).stats.bad > 0);
    assert_done(sx_store_list_bad(s, NULL, bad, 100, &n, &e), &e);
    assert_true(n > 10);
    assert_done(sx_admin_set_state(dir, 2, SX_DEVICE_READ_ONLY, &e), &e);
    put(s, 0, 60); /* as the transfer manager would */
    all_there(s, 0, 60);
    assert_done(sx_store_list_bad(s, NULL, bad, 100, &n, &e), &e);
    assert_int_equal(n, 0);
    assert_int_equal(device(s, 2).stats.bad, 0);
    sx_store_close(s);
    remove_node(dir);
}

/* ---- adding ---- */

static int try_add(const char *node_dir, const char *dir, uint64_t size, struct sx_err *e)
{
    struct sx_store_options o = options();
    struct sx_device_added added;

    sx_err_clear(e);
    return sx_admin_add(node_dir, &o, dir, size, &added, e);
}

static void refused(void **state)
{
    char *dir = new_node(2);
    SX_AUTO_FREE char *two = beside(dir, "d2");
    SX_AUTO_FREE char *within = sx_asprintf("%s/packs", two);
    SX_AUTO_FREE char *odd = beside(dir, "odd");
    SX_AUTO_FREE char *file = sx_asprintf("%s/file", odd);
    SX_AUTO_FREE char *own = sx_asprintf("%s/store", dir);
    struct sx_store_options o = options();
    struct sx_device_added added;
    struct sx_label other = { .node = 8, .device = 2 };
    struct sx_devices l;
    struct sx_err e = SX_ERR_INIT;

    sx_store_close(open_list(dir, NULL));
    assert_error(try_add(dir, odd, 0, &e), &e, SX_ENOTFOUND);
    assert_int_equal(mkdir(odd, 0750), 0);
    assert_int_equal(close(open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600)), 0);
    assert_error(try_add(dir, file, 0, &e), &e, SX_EINVAL);
    assert_error(try_add(dir, odd, 0, &e), &e, SX_ENOTEMPTY);
    assert_non_null(strstr(e.msg, "'file'"));
    assert_error(try_add(dir, two, 0, &e), &e, SX_EEXIST);
    assert_error(try_add(dir, own, 0, &e), &e, SX_EEXIST);
    assert_error(try_add(dir, within, 0, &e), &e, SX_ECONFLICT);
    assert_non_null(strstr(e.msg, "within device 2"));
    assert_error(try_add(dir, "/", 0, &e), &e, SX_ECONFLICT);
    assert_int_equal(unlink(file), 0);
    assert_done(sx_label_write(&sx_io_posix, odd, &other, &e), &e);
    assert_error(try_add(dir, odd, 0, &e), &e, SX_ECONFLICT);
    assert_non_null(strstr(e.msg, "another node"));
    if (geteuid() != 0) {
        assert_int_equal(chmod(odd, 0500), 0);
        assert_error(try_add(dir, odd, 0, &e), &e, SX_EACCESS);
        assert_int_equal(chmod(odd, 0750), 0);
    }
    other = (struct sx_label){ .node = 7, .device = 9, .cluster = { 1, 2, 3 } };
    assert_done(sx_label_write(&sx_io_posix, odd, &other, &e), &e); /* of this node, once */
    assert_done(sx_admin_add(dir, &o, odd, UINT64_MAX / 4, &added, &e), &e);
    assert_true(added.known && added.entry.id == 9);
    assert_non_null(strstr(added.warning, "larger than its file system"));
    assert_non_null(strstr(added.warning, "same file system"));
    assert_done(sx_devices_load(dir, &l, &e), &e);
    assert_int_equal(l.n, 3);
    assert_int_equal(l.next, 10);
    remove_node(dir);
}

static void bad_lists(void **state)
{
    static const char *const texts[] = {
        "", "[]", "{}", "{\"version\": 2, \"generation\": 1, \"next\": 2, \"devices\": []}",
        "{\"version\": 1, \"generation\": 1, \"next\": 2}",
        "{\"version\": 1, \"generation\": 1, \"next\": 2, \"devices\": [{\"id\": 1}]}",
        ("{\"version\": 1, \"generation\": 1, \"next\": 2, \"devices\": [{\"id\": 1, \"path\": \"store\","
         " \"size\": 0, \"state\": \"odd\"}]}"),
    };
    char *dir = new_node(1);
    SX_AUTO_FREE char *path = sx_asprintf("%s/devices.json", dir);
    struct sx_store_options o = options();
    struct sx_store *s = open_list(dir, NULL), *none = NULL;
    struct sx_err e = SX_ERR_INIT;

    put(s, 0, 10);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        assert_done(sx_io_replace(&sx_io_posix, path, texts[i], strlen(texts[i]), 0600, &e), &e);
        assert_int_equal(sx_store_open_list(dir, &o, &none, &e), -1);
        assert_true(e.code == SX_ECONFIG || e.code == SX_EVERSION);
        assert_non_null(strstr(e.msg, path));
        sx_err_clear(&e);
        put(s, 10 + i, 1); /* who is running goes on with the list that he knows */
    }
    sx_store_close(s);
    remove_node(dir);
}

/* ---- draining ---- */

static int drain(const char *dir, uint32_t id, struct sx_drain *d, struct sx_err *e)
{
    struct sx_store_options o = options();

    return sx_admin_drain(dir, &o, id, d, e);
}

static void drained(void **state)
{
    char *dir = new_node(3);
    struct sx_store *s = open_list(dir, NULL);
    struct sx_store_options o = options();
    struct sx_store_item before[600], after[600];
    struct sx_device_status dev[SX_DEVICES_MAX];
    struct sx_drain d = { 0 };
    struct sx_err e = SX_ERR_INIT;
    uint64_t there;
    size_t n, m;

    put(s, 0, 500);
    there = device(s, 2).stats.blocks;
    assert_done(sx_store_list(s, NULL, before, 600, &n, &e), &e);
    assert_error(sx_admin_lose(dir, &o, 2, &e), &e, SX_ECONFLICT);
    sx_err_clear(&e);
    assert_done(drain(dir, 2, &d, &e), &e);
    assert_int_equal(d.blocks, there);
    assert_int_equal(sx_store_status(s, dev), 2);
    all_there(s, 0, 500);
    assert_done(sx_store_list(s, NULL, after, 600, &m, &e), &e);
    assert_int_equal(n, m);
    for (size_t i = 0; i < n; i++) {
        assert_memory_equal(before[i].id.b, after[i].id.b, SX_ID_SIZE);
        assert_true(after[i].lease >= before[i].lease);
    }
    assert_error(drain(dir, 2, &d, &e), &e, SX_ENOTFOUND);
    assert_done(sx_admin_set_size(dir, 3, 1000, &e), &e);
    assert_error(drain(dir, 1, &d, &e), &e, SX_ENOSPACE); /* no room elsewhere */
    assert_int_equal(device(s, 1).entry.state, SX_DEVICE_ACTIVE);
    assert_done(sx_admin_set_state(dir, 3, SX_DEVICE_READ_ONLY, &e), &e);
    assert_error(drain(dir, 1, &d, &e), &e, SX_ENOSPACE); /* the last that takes blocks */
    sx_store_close(s);
    remove_node(dir);
}

static void drained_slowly(void **state)
{
    char *dir = new_node(2);
    struct sx_store *s = open_list(dir, NULL);
    struct sx_drain d = { .rate = 1 * MIB };
    struct sx_err e = SX_ERR_INIT;
    uint64_t bytes, began, took;

    put(s, 0, 900);
    bytes = device(s, 2).stats.bytes;
    began = sx_mono_ms();
    assert_done(drain(dir, 2, &d, &e), &e);
    took = sx_mono_ms() - began;
    if (took < bytes * 1000 / d.rate)
        fail_msg("%llu bytes in %llu ms", (unsigned long long)bytes, (unsigned long long)took);
    all_there(s, 0, 900);
    sx_store_close(s);
    remove_node(dir);
}

/* Each kind of error of device 2 alone is counted, seen by other handles and after they are closed, and
 * forgotten when the administrator uses the device again. */
static void errors_are_counted(void **state)
{
    static const struct {
        const char *fault;
        struct sx_error_counts least;
    } cases[] = { { "fault(pwritev,2,EIO,-d2/packs):disk", { .write = 1 } },
                  { "fault(fdatasync,2,EIO,-d2/packs):disk", { .sync = 1 } },
                  { "fault(pread,1,EIO,-d2/packs):disk", { .read = 1, .damaged = 1 } },
                  { "fault(pread,1,corrupt,-d2/packs):disk", { .damaged = 1 } },
                  { "fault(pwritev,2,ENOSPC,-d2/packs):disk", { 0 } } };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct sx_error_counts *want = &cases[i].least, zero = { 0 };
        char *dir = new_node(3);
        struct sx_io_stack *io = NULL;
        struct sx_store *s, *other = open_list(dir, NULL);
        struct sx_err e = SX_ERR_INIT;
        struct sx_error_counts got;

        assert_done(sx_io_stack_new(cases[i].fault, &io, &e), &e);
        s = open_list(dir, sx_io_stack_io(io));
        put(s, 0, 300);
        for (uint64_t n = 0; n < 300; n++)
            util_get(s, n, MAX);
        assert_true(sx_io_stack_fired(io) > 0);
        got = device(other, 2).errors;
        assert_int_equal(got.write, want->write);
        assert_int_equal(got.sync, want->sync);
        assert_int_equal(got.read, want->read);
        assert_int_equal(got.damaged, want->damaged);
        got = device(other, 1).errors;
        assert_memory_equal(&got, &zero, sizeof zero);
        sx_store_close(s);
        sx_store_close(other);
        s = open_list(dir, NULL);
        assert_int_equal(device(s, 2).errors.read, want->read);
        assert_int_equal(device(s, 2).errors.write, want->write);
        assert_done(sx_admin_set_state(dir, 2, SX_DEVICE_ACTIVE, &e), &e);
        got = device(s, 2).errors;
        assert_memory_equal(&got, &zero, sizeof zero);
        sx_store_close(s);
        sx_io_stack_free(io);
        remove_node(dir);
    }
}

#define AT_ONCE 8
#define APART 512 /* marks; several of each page */

static void map_and_touch(const char *dir)
{
    struct sx_shared *sh = sx_shared_open(dir);

    for (size_t k = 0; k < SX_DOORS; k += APART)
        atomic_fetch_add(&sh->read.marks[k], 1);
    sx_shared_close(sh);
}

static void all_touched(const char *dir)
{
    struct sx_shared *sh = sx_shared_open(dir);

    for (size_t k = 0; k < SX_DOORS; k += APART)
        assert_int_equal(atomic_load(&sh->read.marks[k]), AT_ONCE);
    sx_shared_close(sh);
}

/* Processes that begin at the same moment: none maps what is not whole yet, cuts what another has mapped,
 * or writes over what another has counted. */
static void shared_by_all_at_once(void **state)
{
    for (int round = 0; round < 20; round++) {
        char *dir = util_dir();
        pid_t pids[AT_ONCE];

        for (size_t i = 0; i < AT_ONCE; i++) {
            pids[i] = fork();
            assert_true(pids[i] >= 0);
            if (pids[i] == 0) {
                map_and_touch(dir);
                _exit(0);
            }
        }
        for (size_t i = 0; i < AT_ONCE; i++) {
            int status;

            assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
            assert_int_equal(status, 0);
        }
        all_touched(dir);
        util_remove(dir);
    }
}

static void dead_one_removed(void **state)
{
    char *dir = new_node(2);
    SX_AUTO_FREE char *path = beside(dir, "d2");
    SX_AUTO_FREE char *away = beside(dir, "away");
    struct sx_store_options o = options();
    struct sx_device_status dev[SX_DEVICES_MAX];
    struct sx_store *s = open_list(dir, NULL);
    struct sx_drain d = { 0 };
    struct sx_err e = SX_ERR_INIT;

    put(s, 0, 100);
    sx_store_close(s);
    assert_int_equal(rename(path, away), 0);
    assert_error(drain(dir, 2, &d, &e), &e, SX_EUNAVAIL);
    assert_non_null(strstr(e.msg, "--lost"));
    sx_err_clear(&e);
    assert_done(sx_admin_lose(dir, &o, 2, &e), &e);
    s = open_list(dir, NULL);
    assert_int_equal(sx_store_status(s, dev), 1);
    put(s, 0, 100);
    assert_done(try_add(dir, away, 0, &e), &e); /* it was not dead after all */
    assert_int_equal(device(s, 2).entry.id, 2);
    all_there(s, 0, 100);
    sx_store_close(s);
    remove_node(dir);
}

/* Writers go on while a device is drained by a process that is killed again and again; what was
 * acknowledged is there, and nothing is on the device in the end. */
_Noreturn static void write_on(const char *dir, uint64_t from, uint64_t *acked)
{
    struct sx_store *s = open_list(dir, NULL);
    struct sx_err e = SX_ERR_INIT;

    for (uint64_t n = 0;; n += 8) {
        if (util_put(s, from + n, 8, MAX, NULL, NULL, &e))
            _exit(1);
        __atomic_store_n(acked, n + 8, __ATOMIC_SEQ_CST);
    }
}

static void drained_under_load(void **state)
{
    enum { WRITERS = 2, KILLS = 12 };
    char *dir = new_node(3);
    uint64_t *acked = mmap(NULL, WRITERS * sizeof *acked, PROT_READ | PROT_WRITE,
                           MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct sx_store *s = open_list(dir, NULL);
    struct sx_drain d = { 0 };
    struct sx_err e = SX_ERR_INIT;
    uint64_t seed = sx_mono_ns();
    pid_t writer[WRITERS];
    int status;

    print_message("seed %llu\n", (unsigned long long)seed);
    put(s, 1u << 20, 3000);
    for (int w = 0; w < WRITERS; w++)
        if ((writer[w] = fork()) == 0)
            write_on(dir, (uint64_t)(w + 1) << 32, &acked[w]);
    for (int k = 0; k < KILLS; k++) {
        pid_t pid = fork();

        if (pid == 0)
            _exit(drain(dir, 2, &d, &e) && e.code != SX_ENOTFOUND);
        sx_sleep_ms(unit_random(&seed) % 40);
        kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
        all_there(s, 1u << 20, 3000);
    }
    if (drain(dir, 2, &d, &e))
        assert_int_equal(e.code, SX_ENOTFOUND);
    for (int w = 0; w < WRITERS; w++) {
        assert_int_equal(kill(writer[w], SIGKILL), 0);
        assert_int_equal(waitpid(writer[w], &status, 0), writer[w]);
        assert_true(WIFSIGNALED(status)); /* no put has failed */
        all_there(s, (uint64_t)(w + 1) << 32, acked[w]);
        assert_true(acked[w] > 0);
    }
    all_there(s, 1u << 20, 3000);
    util_check(s);
    sx_store_close(s);
    munmap(acked, WRITERS * sizeof *acked);
    remove_node(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(balance),          cmocka_unit_test(added_later),
        cmocka_unit_test(full),             cmocka_unit_test(replaced),
        cmocka_unit_test(not_this_one),     cmocka_unit_test(fails),
        cmocka_unit_test(last_one_fails),
        cmocka_unit_test(no_failure),       cmocka_unit_test(none_takes),
        cmocka_unit_test(mended_elsewhere), cmocka_unit_test(refused),
        cmocka_unit_test(bad_lists),        cmocka_unit_test(drained),
        cmocka_unit_test(dead_one_removed), cmocka_unit_test(drained_under_load),
        cmocka_unit_test(drained_slowly),   cmocka_unit_test(errors_are_counted),
        cmocka_unit_test(shared_by_all_at_once),
    };

    sx_log_level_set(SX_LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
