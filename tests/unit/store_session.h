/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A session of everything that writes to a store (put, delete, compact, close), of which another
 * process can tell afterwards what was acknowledged.
 */
#ifndef SX_TESTS_UNIT_STORE_SESSION_H
#define SX_TESTS_UNIT_STORE_SESSION_H

#include "tests/unit/store_util.h"

#include <sys/mman.h>

#define MAX 3000u
#define BATCH 8u

static inline struct sx_store_options options(void)
{
    return (struct sx_store_options){ .node = 7, .capacity = 1u << 30, .reserve = 1,
                                      .pack_max = 32 << 10 };
}

static inline void *shared(size_t n)
{
    void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    assert_true(p != MAP_FAILED);
    return p;
}

#define SESSION_EPOCH 9u

enum { SESSION_BLOCKS = 6 * BATCH, VICTIMS = 4 * BATCH };

struct session {
    uint64_t base;                 /* number of its first block */
    bool acked[SESSION_BLOCKS];
    bool doomed[SESSION_BLOCKS];   /* asked to be deleted */
    bool ended;
};

static inline void session_put(struct sx_store *s, struct session *w, unsigned batch)
{
    struct sx_err e = SX_ERR_INIT;

    if (util_put(s, w->base + batch * BATCH, BATCH, MAX, NULL, NULL, &e) == 0)
        for (unsigned i = 0; i < BATCH; i++)
            w->acked[batch * BATCH + i] = true;
}

static inline void session_run(const char *dir, const struct sx_io *io, struct session *w)
{
    struct sx_store_options o = options();
    struct sx_store_compaction done;
    struct sx_err e = SX_ERR_INIT;
    struct sx_store *s;
    size_t deleted;

    o.io = io;
    if (sx_store_open(dir, &o, &s, &e))
        return;
    sx_store_set_epoch(s, SESSION_EPOCH);
    if (sx_store_set_floor(s, SESSION_EPOCH, &e)) { /* or nothing can be deleted after a crash */
        sx_store_close(s);
        return;
    }
    for (unsigned b = 0; b < 4; b++)
        session_put(s, w, b);
    for (unsigned i = 0; i < VICTIMS; i++) {
        struct sx_id id = util_id(w->base + i);

        if (i % 4 == 0)
            continue;
        w->doomed[i] = true;
        if (sx_store_delete(s, &id, 1, UINT64_MAX / 4, &deleted, &e))
            break;
    }
    if (sx_store_compact(s, true, 0, &done, &e))
        sx_err_clear(&e);
    session_put(s, w, 4);
    session_put(s, w, 5);
    sx_store_close(s);
    w->ended = true;
}

/* Number of acknowledged blocks that are not there. */
static inline unsigned session_lost(struct sx_store *s, const struct session *w)
{
    unsigned lost = 0;

    for (unsigned i = 0; i < SESSION_BLOCKS; i++) {
        int code = util_get(s, w->base + i, MAX); /* fails the test for wrong bytes */

        lost += code != 0 && w->acked[i] && !w->doomed[i];
    }
    return lost;
}

#endif
