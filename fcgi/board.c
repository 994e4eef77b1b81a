/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See board.h.
 */
#include "fcgi/board.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "libsx/base/clock.h"
#include "libsx/base/mem.h"

int sx_board_create(const char *dir, struct sx_board **board, struct sx_err *e)
{
    SX_AUTO_FREE char *path = sx_asprintf("%s/run/state", dir);
    SX_AUTO_CLOSE int fd = -1;
    void *p;

    if (unlink(path) != 0 && errno != ENOENT)
        return sx_err_errno(e, errno, "remove %s", path);
    fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
    if (fd < 0)
        return sx_err_errno(e, errno, "create %s", path);
    if (ftruncate(fd, sizeof **board) != 0)
        return sx_err_errno(e, errno, "resize %s", path);
    p = mmap(NULL, sizeof **board, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED)
        return sx_err_errno(e, errno, "map %s", path);
    *board = p;
    return 0;
}

/* The row of a node; with `make` a free one is taken for it.  NULL if there is none. */
static struct sx_board_peer *peer_row(struct sx_board *b, uint64_t node, bool make)
{
    for (unsigned i = 0; i < SX_BOARD_PEERS; i++) {
        uint64_t have = atomic_load(&b->peers[i].node);

        if (have == 0 && !make)
            return NULL;
        if (have == 0 && atomic_compare_exchange_strong(&b->peers[i].node, &have, node))
            return &b->peers[i];
        if (have == node)
            return &b->peers[i];
    }
    return NULL;
}

bool sx_board_peer_down(struct sx_board *b, uint64_t node)
{
    struct sx_board_peer *p = peer_row(b, node, false);

    return p && atomic_load(&p->down_until_ms) > sx_mono_ms();
}

void sx_board_peer_failed(struct sx_board *b, uint64_t node)
{
    struct sx_board_peer *p = peer_row(b, node, true);
    uint64_t pause = SX_BOARD_DOWN_MIN_MS, now = sx_mono_ms();
    uint32_t failures;

    /* Requests that were under way together count as one failure. */
    if (!p || atomic_load(&p->down_until_ms) > now)
        return;
    failures = atomic_fetch_add(&p->failures, 1);
    while (failures-- > 0 && pause < SX_BOARD_DOWN_MAX_MS)
        pause *= 2;
    atomic_store(&p->down_until_ms,
                 now + (pause < SX_BOARD_DOWN_MAX_MS ? pause : SX_BOARD_DOWN_MAX_MS));
}

void sx_board_peer_late(struct sx_board *b, uint64_t node)
{
    struct sx_board_peer *p = peer_row(b, node, true);

    if (p && atomic_fetch_add(&p->late, 1) + 1 >= SX_BOARD_LATE_MAX)
        sx_board_peer_failed(b, node);
}

void sx_board_peer_answered(struct sx_board *b, uint64_t node)
{
    struct sx_board_peer *p = peer_row(b, node, false);

    if (p && (atomic_load(&p->failures) != 0 || atomic_load(&p->late) != 0)) {
        atomic_store(&p->failures, 0);
        atomic_store(&p->late, 0);
        atomic_store(&p->down_until_ms, 0);
    }
}

unsigned sx_board_count(const struct sx_board *b, enum sx_board_state state)
{
    unsigned n = 0;

    for (unsigned i = 0; i < b->n_slots; i++)
        n += atomic_load(&b->slots[i].state) == (uint32_t)state;
    return n;
}
