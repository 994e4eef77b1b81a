/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Two slots of 512 bytes at offsets 0 and 4096, each with a sequence number and a CRC.  A save
 * writes and syncs one, then the other, so a complete save stands in both: whichever of them rots
 * later, the vote is not forgotten.
 *
 *   slots found          what happened            what counts
 *   both, equal          a save ended             both
 *   both, unequal        killed in between        the one with the higher sequence
 *   one                  torn write, or rot       the good one: the torn one was not promised
 *   none                                          nothing: the node must not start
 *
 * What is found may never have reached the disk (its sync failed, or the process was killed before
 * it), and counts from now on.  So unless both slots are equal, it is saved again before it is used.
 */
#include "fcgi/meta/raft/vote.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "libsx/base/log.h"
#include "libsx/base/mem.h"
#include "libsx/base/wire.h"
#include "libsx/codec/record.h"

#define MAGIC "SXV1"
#define SLOT 512u
#define SLOT_STEP 4096u
#define USED 40u /* bytes of a slot before the CRC */

struct sx_vote {
    const struct sx_io *io;
    char *path;
    int fd;
    uint32_t group;
    uint64_t seq; /* of the last save */
    bool failed;
};

struct slot {
    uint64_t seq, term, voted_for;
};

static void encode(uint8_t b[SLOT], uint32_t group, const struct slot *s)
{
    memset(b, 0, SLOT);
    memcpy(b, MAGIC, 4);
    sx_put_u32(b + 4, 1);
    sx_put_u32(b + 8, group);
    sx_put_u64(b + 16, s->seq);
    sx_put_u64(b + 24, s->term);
    sx_put_u64(b + 32, s->voted_for);
    sx_put_u32(b + USED, sx_crc32c(0, b, USED));
}

static bool decode(const uint8_t b[SLOT], uint32_t *group, struct slot *s)
{
    if (memcmp(b, MAGIC, 4) != 0 || sx_get_u32(b + USED) != sx_crc32c(0, b, USED) ||
        sx_get_u32(b + 4) != 1)
        return false;
    *group = sx_get_u32(b + 8);
    s->seq = sx_get_u64(b + 16);
    s->term = sx_get_u64(b + 24);
    s->voted_for = sx_get_u64(b + 32);
    return true;
}

static int write_slot(struct sx_vote *v, const struct slot *s, unsigned i, struct sx_err *e)
{
    uint8_t b[SLOT];

    encode(b, v->group, s);
    if (sx_io_pwrite_all(v->io, v->fd, b, SLOT, i * SLOT_STEP, e))
        return sx_err_wrap(e, "%s", v->path);
    if (v->io->fdatasync(v->io, v->fd))
        return sx_err_errno(e, errno, "fdatasync %s", v->path);
    return 0;
}

/* Slot `first` is whole again on disk before the other one is touched. */
static int write_both(struct sx_vote *v, const struct slot *s, unsigned first, struct sx_err *e)
{
    return write_slot(v, s, first, e) || write_slot(v, s, 1 - first, e) ? -1 : 0;
}

/* A new file has both slots before its name is known, so a file with no good slot is damaged. */
static int create(const struct sx_io *io, const char *path, uint32_t group, struct sx_err *e)
{
    uint8_t *b = sx_calloc(1, SLOT_STEP + SLOT);
    int r;

    encode(b, group, &(struct slot){ 0, 0, 0 });
    encode(b + SLOT_STEP, group, &(struct slot){ 0, 0, 0 });
    r = sx_io_replace(io, path, b, SLOT_STEP + SLOT, 0640, e);
    free(b);
    return r;
}

static int read_slot(struct sx_vote *v, unsigned i, struct slot *s, bool *good, struct sx_err *e)
{
    uint8_t b[SLOT] = { 0 };
    uint32_t group;

    if (v->io->pread(v->io, v->fd, b, SLOT, (off_t)(i * SLOT_STEP)) < 0)
        return sx_err_errno(e, errno, "read %s", v->path);
    *good = decode(b, &group, s);
    if (*good && group != v->group)
        return sx_err_set(e, SX_ECORRUPT, "%s is of group %u, not %u", v->path, group, v->group);
    return 0;
}

static int load(struct sx_vote *v, struct slot *best, struct sx_err *e)
{
    struct slot s[2] = { 0 };
    bool good[2];
    unsigned i;

    if (read_slot(v, 0, &s[0], &good[0], e) || read_slot(v, 1, &s[1], &good[1], e))
        return -1;
    if (!good[0] && !good[1])
        return sx_err_set(e, SX_ECORRUPT, "%s: no good slot: the vote is lost", v->path);
    i = !good[0] || (good[1] && s[1].seq > s[0].seq);
    *best = s[i];
    if (good[0] && good[1] && s[0].seq == s[1].seq)
        return 0;
    if (!good[1 - i])
        sx_warn("%s: one slot is damaged; term %llu counts", v->path,
                (unsigned long long)best->term);
    return write_both(v, best, i, e);
}

int sx_vote_open(struct sx_vote **out, const struct sx_io *io, const char *path, uint32_t group,
                 uint64_t *term, uint64_t *voted_for, struct sx_err *e)
{
    struct sx_vote *v = sx_calloc(1, sizeof *v);
    struct slot s = { 0, 0, 0 };

    *v = (struct sx_vote){ .io = io, .path = sx_strdup(path), .group = group };
    v->fd = io->open(io, path, O_RDWR, 0);
    if (v->fd < 0 && errno == ENOENT) {
        if (create(io, path, group, e))
            goto fail;
        v->fd = io->open(io, path, O_RDWR, 0);
    }
    if (v->fd < 0) {
        sx_err_errno(e, errno, "open %s", path);
        goto fail;
    }
    if (load(v, &s, e))
        goto fail;
    v->seq = s.seq;
    *term = s.term;
    *voted_for = s.voted_for;
    *out = v;
    return 0;
fail:
    sx_vote_close(v);
    return -1;
}

void sx_vote_close(struct sx_vote *v)
{
    if (!v)
        return;
    if (v->fd >= 0)
        v->io->close(v->io, v->fd);
    free(v->path);
    free(v);
}

int sx_vote_save(struct sx_vote *v, uint64_t term, uint64_t voted_for, struct sx_err *e)
{
    struct slot s = { v->seq + 1, term, voted_for };

    if (v->failed)
        return sx_err_set(e, SX_EIO, "%s failed before", v->path);
    if (write_both(v, &s, 0, e)) {
        v->failed = true;
        return -1;
    }
    v->seq++;
    return 0;
}
