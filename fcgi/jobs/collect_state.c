/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the collector has to look at, in a file (docs/formats.md section 10), so that a restart goes
 * on from there.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "fcgi/jobs/collect.h"
#include "libsx/base/log.h"
#include "libsx/base/mem.h"
#include "libsx/base/wire.h"
#include "libsx/codec/record.h"

#define MAGIC "SXC1"
#define HEAD 8
#define BITS (SX_ID_PREFIXES / 8)
#define MOST (HEAD + 8 * SX_COLLECT_GROUPS_MAX + BITS + 4)

static size_t size_for(unsigned groups)
{
    sx_assert(groups <= SX_COLLECT_GROUPS_MAX);
    return HEAD + 8 * groups + BITS + 4;
}

static bool good(const struct sx_buf *b, unsigned groups)
{
    const size_t body = size_for(groups) - 4;

    return b->len == body + 4 && memcmp(b->data, MAGIC, 4) == 0 &&
           sx_get_u32(b->data + 4) == groups &&
           sx_get_u32(b->data + body) == sx_crc32c(0, b->data, body);
}

void sx_collect_load(struct sx_collect *c, const char *path, uint64_t *dropped, unsigned groups)
{
    SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;
    const uint8_t *p;

    if (sx_io_read_file(&sx_io_posix, path, MOST, &b, NULL) || !good(&b, groups)) {
        memset(dropped, 0, groups * sizeof *dropped);
        sx_collect_add_all(c);
        return;
    }
    p = b.data + HEAD;
    for (unsigned g = 0; g < groups; g++, p += 8)
        dropped[g] = sx_get_u64(p);
    sx_collect_add(c, p);
}

void sx_collect_save(const struct sx_collect *c, const char *path, const uint64_t *dropped,
                     unsigned groups)
{
    uint8_t b[MOST], *p = b + HEAD;
    SX_AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0640);
    const size_t size = size_for(groups);

    memcpy(b, MAGIC, 4);
    sx_put_u32(b + 4, groups);
    for (unsigned g = 0; g < groups; g++, p += 8)
        sx_put_u64(p, dropped[g]);
    for (size_t i = 0; i < BITS; i++)
        p[i] = c->todo[i] | c->waiting[i];
    sx_put_u32(b + size - 4, sx_crc32c(0, b, size - 4));
    if (fd < 0 || pwrite(fd, b, size, 0) != (ssize_t)size || ftruncate(fd, (off_t)size))
        sx_warn("%s: %s", path, strerror(errno));
}
