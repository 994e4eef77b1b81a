/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Walking the records of a pack.  A record is what sx_record_parse() accepts: right magic, sane
 * length, right checksum.  Where there is none, the next place with the magic is tried; a page that
 * cannot be read is passed over.
 */
#include <errno.h>

#include "fcgi/store/device_int.h"
#include "libsx/base/mem.h"

#define READ_AHEAD (1u << 20)
#define SECTOR 4096u

void sx_scan_init(struct sx_scan *sc, const struct sx_io *io, int fd, uint64_t from, uint64_t to)
{
    *sc = (struct sx_scan){ .io = io, .fd = fd, .at = from, .end = to, .base = from,
                            .valid_end = from };
}

void sx_scan_fini(struct sx_scan *sc)
{
    sx_buf_fini(&sc->buf);
}

/* Each place that cannot be read is counted once, however often it is tried. */
static void note_error(struct sx_scan *sc, uint64_t at)
{
    if (sc->read_errors == 0 || sc->error_at != at)
        sc->read_errors++;
    sc->error_at = at;
}

/* Makes the buffer hold up to `want` bytes from sc->at on; fewer only at the end or before a
 * place that cannot be read.  Returns how many. */
static size_t fill(struct sx_scan *sc, size_t want)
{
    uint64_t left = sc->end - sc->at;

    if (want > left)
        want = (size_t)left;
    if (sc->at < sc->base || sc->at > sc->base + sc->buf.len) {
        sx_buf_reset(&sc->buf);
        sc->base = sc->at;
    }
    if (sc->base + sc->buf.len - sc->at >= want)
        return (size_t)(sc->base + sc->buf.len - sc->at);
    sx_buf_consume(&sc->buf, (size_t)(sc->at - sc->base));
    sc->base = sc->at;
    while (sc->buf.len < want) {
        uint64_t more = sc->end - sc->base - sc->buf.len;
        size_t n = more < READ_AHEAD ? (size_t)more : READ_AHEAD;
        ssize_t r = sc->io->pread(sc->io, sc->fd, sx_buf_reserve(&sc->buf, n), n,
                                  (off_t)(sc->base + sc->buf.len));

        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            note_error(sc, sc->base + sc->buf.len);
        if (r <= 0)
            break;
        sx_buf_extend(&sc->buf, (size_t)r);
    }
    return sc->buf.len;
}

/* From a place that holds no record to the next that begins like one. */
static void skip(struct sx_scan *sc)
{
    uint64_t from = sc->at++;

    while (sc->at < sc->end) {
        size_t have = fill(sc, SECTOR);
        uint8_t *p, *m;

        if (have < SX_RECORD_HEADER) { /* the end, or a page that cannot be read */
            sc->at = sc->end - sc->at <= SECTOR ? sc->end : (sc->at / SECTOR + 1) * SECTOR;
            continue;
        }
        p = sc->buf.data + (sc->at - sc->base);
        m = memmem(p, have, "SXR1", 4);
        if (m) {
            sc->at += (uint64_t)(m - p);
            break;
        }
        sc->at += have - 3;
    }
    sc->skipped += sc->at - from;
}

int sx_scan_next(struct sx_scan *sc, struct sx_record *r, uint64_t *at)
{
    while (sc->at < sc->end) {
        size_t have = fill(sc, SX_RECORD_HEADER), used = 0;
        int bad = sx_record_parse(sc->buf.data + (sc->at - sc->base), have, r, &used, NULL);

        if (!bad && used == 0) {
            have = fill(sc, SX_RECORD_MAX);
            bad = sx_record_parse(sc->buf.data + (sc->at - sc->base), have, r, &used, NULL);
        }
        if (!bad && used > SX_RECORD_HEADER) {
            *at = sc->at;
            sc->at += used;
            sc->valid_end = sc->at;
            return 1;
        }
        skip(sc);
    }
    return 0;
}
