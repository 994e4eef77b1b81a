/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See verify.h.
 */
#include "fcgi/store/verify.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fcgi/store/device_int.h"
#include "libsx/base/mem.h"
#include "libsx/base/wire.h"

#define PAGE 256u

struct verify {
    struct sx_device *d;
    const struct sx_scrub_walk *w;
    struct sx_pack_verdict *v;
};

/* ---- which pack ---- */

static void read_header(struct verify *k, int fd, const char *path)
{
    const char *name = strrchr(path, '/');
    struct sx_err why = SX_ERR_INIT;
    uint8_t h[SX_PACK_HEADER];

    k->v->number = strtoull(name ? name + 1 : path, NULL, 10);
    if (sx_io_pread_all(k->d->io, fd, h, sizeof h, 0, &why) == 0 &&
        sx_pack_header_check(h, k->d, sx_get_u64(h + 8), &why) == 0) {
        if (k->v->number && k->v->number != sx_get_u64(h + 8))
            snprintf(k->v->header, sizeof k->v->header, "it says pack %llu",
                     (unsigned long long)sx_get_u64(h + 8));
        else
            k->v->number = sx_get_u64(h + 8);
        return;
    }
    k->v->read_errors += why.code == SX_EIO;
    snprintf(k->v->header, sizeof k->v->header, "%.127s", why.msg);
}

/* Is this the file that the device has under that number?  A copy elsewhere is not. */
static int find_in_table(struct verify *k, int fd, struct sx_err *e)
{
    SX_AUTO_FREE char *own = sx_pack_path(k->d, k->v->number);
    struct stat a, b;
    struct sx_pack_row row;
    bool found;

    if (sx_packs_get(&k->d->packs, k->v->number, &row, &found, e))
        return -1;
    if (k->d->io->fstat(k->d->io, fd, &a))
        return sx_err_errno(e, errno, "fstat");
    k->v->size = (uint64_t)a.st_size;
    k->v->indexed = found && stat(own, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
    return 0;
}

/* ---- its content ---- */

static int see_hole(struct verify *k, uint64_t from, uint64_t to, struct sx_err *e)
{
    const struct sx_pack_area area = { k->v->number, from, to, true };
    struct sx_id ids[PAGE];

    if (from >= to)
        return 0;
    if (k->v->holes < SX_VERIFY_HOLES)
        k->v->hole[k->v->holes] = (struct sx_pack_hole){ from, to };
    k->v->holes++;
    k->v->hole_bytes += to - from;
    for (unsigned i = 0; k->v->indexed && i < SX_SHARDS; i++) {
        size_t n = 0;

        do {
            if (sx_shard_in_pack(&k->d->shard[i], &area, ids, PAGE, &n, e))
                return -1;
            k->v->lost += n;
        } while (n == PAGE);
    }
    return 0;
}

static int see_record(struct verify *k, const struct sx_record *r, uint64_t at, struct sx_err *e)
{
    bool wrong = k->w->decode && k->w->decode(k->w->ctx, r, NULL) != 0, found;
    struct sx_row row;

    k->v->records++;
    k->v->wrong += wrong;
    if (!k->v->indexed)
        return 0;
    if (sx_shard_find(&k->d->shard[sx_shard_of(&r->id)], &r->id, &row, &found, e))
        return -1;
    if (found && row.pack == k->v->number && row.at == at) {
        k->v->live++;
        k->v->lost += wrong;
    } else {
        k->v->dead++;
    }
    return 0;
}

static int see_all(struct verify *k, int fd, struct sx_err *e)
{
    uint64_t at = 0, behind = SX_PACK_HEADER;
    struct sx_record rec;
    struct sx_scan sc;
    int r = 0;

    sx_scan_init(&sc, k->d->io, fd, SX_PACK_HEADER, sx_max_u64(k->v->size, SX_PACK_HEADER));
    while (!r && sx_scan_next(&sc, &rec, &at)) {
        r = see_hole(k, behind, at, e) || see_record(k, &rec, at, e) ? -1 : 0;
        behind = at + SX_RECORD_HEADER + rec.len;
    }
    if (!r)
        r = see_hole(k, behind, k->v->size, e);
    k->v->read_errors += sc.read_errors;
    sx_scan_fini(&sc);
    return r;
}

int sx_device_verify_pack(struct sx_device *d, const char *path, const struct sx_scrub_walk *w,
                          struct sx_pack_verdict *v, struct sx_err *e)
{
    struct verify k = { d, w, v };
    int fd = d->io->open(d->io, path, O_RDONLY, 0), r;

    if (fd < 0)
        return sx_err_errno(e, errno, "open %s", path);
    *v = (struct sx_pack_verdict){ 0 };
    read_header(&k, fd, path);
    r = find_in_table(&k, fd, e) || see_all(&k, fd, e) ? -1 : 0;
    d->io->close(d->io, fd);
    return r ? sx_err_wrap(e, "%s", path) : 0;
}
