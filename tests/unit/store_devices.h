/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What tests of a node's devices share: a node with several, each a directory beside its own.
 */
#ifndef SX_TESTS_UNIT_STORE_DEVICES_H
#define SX_TESTS_UNIT_STORE_DEVICES_H

#include "tests/unit/store_util.h"

#include "fcgi/store/admin.h"

#define MAX 3000u
#define MIB (1u << 20)

static inline struct sx_store_options options(void)
{
    return (struct sx_store_options){ .node = 7, .cluster = { 1, 2, 3 }, .capacity = 100 * MIB,
                                      .reserve = 1, .pack_max = 1 * MIB };
}

/* Directory `name` beside the node's own directory; to free. */
static inline char *beside(const char *node_dir, const char *name)
{
    return sx_asprintf("%s-%s", node_dir, name);
}

static inline void add(const char *node_dir, const char *name, uint64_t size)
{
    SX_AUTO_FREE char *dir = beside(node_dir, name);
    struct sx_store_options o = options();
    struct sx_device_added added;
    struct sx_err e = SX_ERR_INIT;

    assert_int_equal(mkdir(dir, 0750), 0);
    assert_done(sx_admin_add(node_dir, &o, dir, size, &added, &e), &e);
}

static inline struct sx_store *open_list(const char *node_dir, const struct sx_io *io)
{
    struct sx_store_options o = options();
    struct sx_store *s = NULL;
    struct sx_err e = SX_ERR_INIT;

    o.io = io;
    assert_done(sx_store_open_list(node_dir, &o, &s, &e), &e);
    return s;
}

/* A node with device 1 in its directory and 2 … n beside it, all of 100 MiB. */
static inline char *new_node(unsigned n)
{
    char *dir = util_dir();

    sx_store_close(open_list(dir, NULL));
    for (unsigned i = 2; i <= n; i++) {
        char name[8];

        snprintf(name, sizeof name, "d%u", i);
        add(dir, name, 100 * MIB);
    }
    return dir;
}

static inline void remove_node(char *dir)
{
    SX_AUTO_FREE char *cmd = sx_asprintf("chmod -R u+rwX %s-*; rm -rf -- %s-*", dir, dir);

    assert_true(system(cmd) >= 0);
    util_remove(dir);
}

static inline struct sx_device_status device(struct sx_store *s, uint32_t id)
{
    struct sx_device_status dev[SX_DEVICES_MAX];
    size_t n = sx_store_status(s, dev);

    for (size_t i = 0; i < n; i++)
        if (dev[i].entry.id == id)
            return dev[i];
    fail_msg("there is no device %u", id);
    return dev[0];
}

static inline void put(struct sx_store *s, uint64_t from, size_t n)
{
    struct sx_err e = SX_ERR_INIT;

    for (size_t i = 0; i < n; i += 100)
        assert_done(util_put(s, from + i, n - i < 100 ? n - i : 100, MAX, NULL, NULL, &e), &e);
}

static inline void all_there(struct sx_store *s, uint64_t from, size_t n)
{
    for (uint64_t i = from; i < from + n; i++)
        assert_int_equal(util_get(s, i, MAX), 0);
}

#endif
