/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * See compress.h.  zstd and lz4 pass over incompressible data at gigabytes a second.  zlib does
 * not, by two orders of magnitude, so zstd looks first whether trying is worthwhile.
 *
 * The levels of zstd are where the curve bends (docs/performance.md): level 2 packs programs 5 % tighter than
 * level 1 for a quarter more time, level 3 a further 4 % for 40 %; for small blocks, whose time
 * goes into other things, level 3 costs little more than level 2.
 */
#include "libsx/codec/compress.h"

#include <lz4.h>
#include <zlib.h>
#include <zstd.h>

#include "libsx/base/mem.h"

#define ZSTD_LEVEL 2
#define ZSTD_LEVEL_SMALL 3
#define ZSTD_LEVEL_PROBE 1
#define ZSTD_SMALL (128u << 10) /* the largest block that counts as small */
#define ZLIB_LEVEL 6

struct sx_press {
    ZSTD_CCtx *zstd_c;
    ZSTD_DCtx *zstd_d;
    void *lz4_state;
    z_stream deflate;
    int deflate_level; /* 0: not made yet */
    z_stream inflate;
    bool inflate_made;
};

struct sx_press *sx_press_new(void)
{
    return sx_calloc(1, sizeof(struct sx_press));
}

void sx_press_free(struct sx_press *p)
{
    if (!p)
        return;
    ZSTD_freeCCtx(p->zstd_c);
    ZSTD_freeDCtx(p->zstd_d);
    free(p->lz4_state);
    if (p->deflate_level)
        deflateEnd(&p->deflate);
    if (p->inflate_made)
        inflateEnd(&p->inflate);
    free(p);
}

static size_t zstd_press(struct sx_press *p, int level, const void *in, size_t n, uint8_t *out,
                         size_t max)
{
    size_t r;

    if (!p->zstd_c)
        p->zstd_c = ZSTD_createCCtx();
    sx_assert(p->zstd_c);
    r = ZSTD_compressCCtx(p->zstd_c, out, max, in, n, level);
    return ZSTD_isError(r) ? 0 : r;
}

static int zstd_level(size_t n)
{
    return n <= ZSTD_SMALL ? ZSTD_LEVEL_SMALL : ZSTD_LEVEL;
}

static size_t lz4_press(struct sx_press *p, const void *in, size_t n, uint8_t *out, size_t max)
{
    int r;

    if (!p->lz4_state)
        p->lz4_state = sx_malloc((size_t)LZ4_sizeofState());
    r = LZ4_compress_fast_extState(p->lz4_state, in, (char *)out, (int)n, (int)max, 1);
    return r > 0 ? (size_t)r : 0;
}

static void deflate_prepare(struct sx_press *p, int level)
{
    if (p->deflate_level == level) {
        sx_assert(deflateReset(&p->deflate) == Z_OK);
        return;
    }
    if (p->deflate_level)
        deflateEnd(&p->deflate);
    p->deflate = (z_stream){ 0 };
    sx_assert(deflateInit(&p->deflate, level) == Z_OK);
    p->deflate_level = level;
}

static size_t zlib_press(struct sx_press *p, int level, const void *in, size_t n, uint8_t *out,
                         size_t max)
{
    z_stream *z = &p->deflate;

    if (!zstd_press(p, ZSTD_LEVEL_PROBE, in, n, out, max))
        return 0;
    if (level < Z_BEST_SPEED || level > Z_BEST_COMPRESSION)
        level = ZLIB_LEVEL;
    deflate_prepare(p, level);
    z->next_in = (Bytef *)in;
    z->avail_in = (uInt)n;
    z->next_out = out;
    z->avail_out = (uInt)max;
    return deflate(z, Z_FINISH) == Z_STREAM_END ? z->total_out : 0;
}

size_t sx_press(struct sx_press *p, enum sx_codec codec, int level, const void *in, size_t n,
                uint8_t *out, size_t max)
{
    sx_assert(n <= SX_BLOCK_PLAIN_MAX && max <= SX_BLOCK_PLAIN_MAX);
    switch (codec) {
    case SX_CODEC_ZSTD:
        return zstd_press(p, level ? level : zstd_level(n), in, n, out, max);
    case SX_CODEC_LZ4:
        return lz4_press(p, in, n, out, max);
    case SX_CODEC_ZLIB:
        return zlib_press(p, level, in, n, out, max);
    case SX_CODEC_NONE:
        break;
    }
    return 0;
}

static int zstd_unpress(struct sx_press *p, const void *in, size_t n, uint8_t *out, size_t plain)
{
    if (!p->zstd_d)
        p->zstd_d = ZSTD_createDCtx();
    sx_assert(p->zstd_d);
    return ZSTD_decompressDCtx(p->zstd_d, out, plain, in, n) == plain ? 0 : -1;
}

static int zlib_unpress(struct sx_press *p, const void *in, size_t n, uint8_t *out, size_t plain)
{
    z_stream *z = &p->inflate;

    if (p->inflate_made)
        sx_assert(inflateReset(z) == Z_OK);
    else
        sx_assert(inflateInit(z) == Z_OK);
    p->inflate_made = true;
    z->next_in = (Bytef *)in;
    z->avail_in = (uInt)n;
    z->next_out = out;
    z->avail_out = (uInt)plain;
    if (inflate(z, Z_FINISH) != Z_STREAM_END)
        return -1;
    return z->total_out == plain && z->avail_in == 0 ? 0 : -1;
}

int sx_unpress(struct sx_press *p, enum sx_codec codec, const void *in, size_t n, uint8_t *out,
               size_t plain)
{
    sx_assert(n <= SX_BLOCK_PLAIN_MAX && plain <= SX_BLOCK_PLAIN_MAX);
    switch (codec) {
    case SX_CODEC_ZSTD:
        return zstd_unpress(p, in, n, out, plain);
    case SX_CODEC_ZLIB:
        return zlib_unpress(p, in, n, out, plain);
    case SX_CODEC_LZ4:
        return LZ4_decompress_safe(in, (char *)out, (int)n, (int)plain) == (int)plain ? 0 : -1;
    case SX_CODEC_NONE:
        break;
    }
    return -1;
}
