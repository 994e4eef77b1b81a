/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Anything at all as the first segment of a write-ahead log: it opens or is refused as damaged; if
 * it opens, each entry can be read, a new one can be appended, and it opens again.
 */
#include <fcntl.h>

#include "fcgi/meta/raft/wal.h"
#include "libsx/base/log.h"
#include "tests/fuzz/fuzz.h"
#include "tests/sim/memio.h"

#define FILE0 "/w/wal-0000"
#define GROUPS 3u

const unsigned fuzz_seeds = 3;

static struct sx_wal *open_log(struct sx_memio *m)
{
    struct sx_wal *w = NULL;
    struct sx_err e = SX_ERR_INIT;

    if (sx_wal_open(&w, sx_memio_io(m), "/w", SX_WAL_SEGMENT_MIN, &e)) {
        sx_assert(e.code == SX_ECORRUPT || e.code == SX_ECONFIG);
        return NULL;
    }
    return w;
}

void fuzz_seed(unsigned i, struct sx_buf *out)
{
    struct sx_memio *m = sx_memio_new();
    struct sx_wal *w = open_log(m);
    char text[200];
    size_t n;
    const uint8_t *p;

    memset(text, 't', sizeof text);
    for (uint64_t k = 0; k < 4 + i * 6; k++) {
        uint32_t g = (uint32_t)k % 2;
        struct sx_entry x = { k / 2 + 1, 1 + k / 3, SX_ENTRY_COMMAND, (uint32_t)k * 9 + 1,
                              (const uint8_t *)text };

        sx_assert(sx_wal_append(w, g, &x, 1, NULL) == 0);
        if (k % 3 == 0)
            sx_assert(sx_wal_sync(w, NULL, NULL) == 0);
        if (k == 7)
            sx_assert(sx_wal_cut(w, 1, 2, false, NULL) == 0);
    }
    sx_assert(sx_wal_sync(w, NULL, NULL) == 0);
    p = sx_memio_data(m, FILE0, &n);
    sx_buf_add(out, p, n > 8192 ? 8192 : n);
    sx_wal_close(w);
    sx_memio_free(m);
}

static void use(struct sx_wal *w)
{
    for (uint32_t g = 0; g < GROUPS; g++) {
        uint64_t first, last;

        sx_wal_range(w, g, &first, &last);
        for (uint64_t i = first; i <= last; i++) {
            SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;
            struct sx_entry x;

            sx_assert(sx_wal_read(w, g, i, &x, &b, NULL) == 0 && x.index == i);
        }
    }
}

static void add(struct sx_wal *w, uint64_t *last)
{
    uint64_t first;
    struct sx_entry x = { 0, 99, SX_ENTRY_COMMAND, 3, (const uint8_t *)"new" };

    sx_wal_range(w, 1, &first, last);
    x.index = ++*last;
    sx_assert(sx_wal_append(w, 1, &x, 1, NULL) == 0 && sx_wal_sync(w, NULL, NULL) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct sx_memio *m = sx_memio_new();
    const struct sx_io *io = sx_memio_io(m);
    int fd = io->open(io, FILE0, O_RDWR | O_CREAT, 0600);
    struct sx_wal *w;
    uint64_t last, first, again;

    sx_log_level_set(SX_LOG_ERROR);
    if (n > SX_WAL_SEGMENT_MIN)
        n = SX_WAL_SEGMENT_MIN;
    sx_assert(sx_io_pwrite_all(io, fd, data, n, 0, NULL) == 0);
    sx_assert(io->ftruncate(io, fd, SX_WAL_SEGMENT_MIN) == 0);
    io->close(io, fd);
    w = open_log(m);
    if (w) {
        use(w);
        add(w, &last);
        sx_wal_close(w);
        w = open_log(m);
        sx_assert(w != NULL);
        sx_wal_range(w, 1, &first, &again);
        sx_assert(again == last);
        use(w);
    }
    sx_wal_close(w);
    sx_memio_free(m);
    return 0;
}
