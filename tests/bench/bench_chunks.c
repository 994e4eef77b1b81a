/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a way to cut and encode makes of versions of a tree: bytes that would be stored, blocks, and CPU
 * time of each stage, on one thread.  All of libsx's own code, no server.  tests/bench/sweep.py calls it for many settings.
 *
 *   bench_chunks [-c MIN:AVG:MAX:NORM] [-z CODEC:LEVEL] [-s BYTES:LEVEL] [-i INLINE] VERSION...
 *
 *   -c  sizes in KiB, and the bits by which the masks before and behind the average differ from it
 *   -z  codec and level; -s a level for blocks of at most so many bytes
 *   -i  files of at most so many bytes are one block, kept in the metadata
 *
 * Prints one line of JSON.  Files without a new block share the block list of another.
 */
#include <fcntl.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "libsx/base/mem.h"
#include "libsx/base/wire.h"
#include "libsx/codec/chunk.h"
#include "libsx/codec/record.h"

#define TABLE (1u << 22) /* slots for ids; the data sets have a tenth of that */

struct options {
    size_t min, avg, max;
    unsigned norm;
    enum sx_codec codec;
    int level, small_level;
    size_t small_max, inline_max;
};

struct totals {
    uint64_t files, bytes, blocks, unique, unique_bytes, packs, listed;
    uint64_t inlined, inlined_unique, inlined_bytes, paths;
    double chunk_s, hash_s, encode_s;
};

static struct options o = { SX_CHUNK_MIN, SX_CHUNK_AVG, SX_CHUNK_MAX, 2, SX_CODEC_ZSTD, 0, 0, 0,
                            4096 };
static struct totals t;
static struct sx_chunker chunker;
static struct sx_block_ctx *ctx;
static struct sx_id *seen;

static double cpu_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* True if the id is new; it is noted. */
static bool note(const struct sx_id *id)
{
    static const struct sx_id none;
    size_t at = sx_get_u32(id->b) % TABLE;

    while (sx_id_cmp(&seen[at], &none) != 0) {
        if (sx_id_cmp(&seen[at], id) == 0)
            return false;
        at = (at + 1) % TABLE;
    }
    seen[at] = *id;
    sx_assert(++t.unique < TABLE / 2);
    return true;
}

static size_t encoded(const struct sx_id *id, const uint8_t *p, size_t n)
{
    static struct sx_buf out = SX_BUF_INIT;
    double start = cpu_now();
    struct sx_err e;

    sx_buf_reset(&out);
    sx_assert(sx_block_encode(ctx, id, p, n, o.codec, n <= o.small_max ? o.small_level : o.level,
                              &out, &e) == 0);
    t.encode_s += cpu_now() - start;
    return SX_RECORD_HEADER + out.len;
}

static void take_block(const uint8_t *p, size_t n, bool is_inline)
{
    double start = cpu_now();
    struct sx_id id;
    struct sx_err e;
    size_t stored;

    sx_assert(sx_block_id(ctx, p, n, &id, &e) == 0);
    t.hash_s += cpu_now() - start;
    t.blocks++;
    t.inlined += is_inline;
    if (!note(&id))
        return;
    t.unique_bytes += n;
    stored = encoded(&id, p, n);
    if (is_inline) {
        t.inlined_unique++;
        t.inlined_bytes += stored;
    } else {
        t.packs += stored;
    }
}

static void take_data(const uint8_t *p, size_t left)
{
    while (left > 0) {
        double start = cpu_now();
        size_t n = sx_chunk_next(&chunker, p, left);

        t.chunk_s += cpu_now() - start;
        take_block(p, n, false);
        p += n;
        left -= n;
    }
}

static void take_file(const char *path, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    uint64_t blocks = t.blocks, unique = t.unique;
    uint8_t *p;

    sx_assert(fd >= 0);
    t.files++;
    t.bytes += size;
    t.paths += strlen(path);
    if (size == 0) {
        close(fd);
        return;
    }
    p = mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
    sx_assert(p != MAP_FAILED);
    if (size <= o.inline_max)
        take_block(p, size, true);
    else
        take_data(p, size);
    if (size > o.inline_max && t.unique > unique)
        t.listed += t.blocks - blocks;
    munmap(p, size);
    close(fd);
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

static void take_tree(char *root)
{
    char *roots[] = { root, NULL };
    FTS *fts = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, by_name);
    FTSENT *f;

    sx_assert(fts);
    while ((f = fts_read(fts)))
        if (f->fts_info == FTS_F)
            take_file(f->fts_path, (size_t)f->fts_statp->st_size);
    fts_close(fts);
}

static void usage(void)
{
    fputs("usage: bench_chunks [-c MIN:AVG:MAX:NORM] [-z CODEC:LEVEL] [-s BYTES:LEVEL] [-i INLINE]"
          " VERSION...\n", stderr);
    exit(2);
}

static void read_codec(char *text)
{
    char *level = strchr(text, ':');
    struct sx_err e;

    if (level) {
        *level++ = 0;
        o.level = atoi(level);
    }
    if (sx_codec_parse(text, &o.codec, &e) != 0)
        usage();
}

static void read_options(int argc, char **argv)
{
    int c;

    while ((c = getopt(argc, argv, "c:z:s:i:")) != -1) {
        if (c == 'c' && sscanf(optarg, "%zu:%zu:%zu:%u", &o.min, &o.avg, &o.max, &o.norm) == 4) {
            o.min <<= 10;
            o.avg <<= 10;
            o.max <<= 10;
        } else if (c == 'z') {
            read_codec(optarg);
        } else if (c == 's' && sscanf(optarg, "%zu:%d", &o.small_max, &o.small_level) == 2) {
        } else if (c == 'i') {
            o.inline_max = strtoul(optarg, NULL, 10);
        } else {
            usage();
        }
    }
    if (optind == argc)
        usage();
}

static void prepare(void)
{
    static const uint8_t key[SX_DOMAIN_KEY_SIZE] = { 1 };
    unsigned bits = (unsigned)__builtin_ctzll(o.avg);
    struct sx_domain domain;
    struct sx_err e;

    sx_assert(sx_domain_init(&domain, key, &e) == 0);
    ctx = sx_block_ctx_new(&domain);
    seen = sx_calloc(TABLE, sizeof *seen);
    sx_chunker_init(&chunker, o.min, o.avg, o.max);
    chunker.mask_strict = ~0ULL << (64 - (bits + o.norm));
    chunker.mask_loose = ~0ULL << (64 - (bits - o.norm));
}

int main(int argc, char **argv)
{
    read_options(argc, argv);
    prepare();
    for (int i = optind; i < argc; i++)
        take_tree(argv[i]);
    printf("{\"files\":%ju,\"bytes\":%ju,\"paths\":%ju,\"blocks\":%ju,\"unique\":%ju,"
           "\"unique_bytes\":%ju,\"packs\":%ju,\"listed\":%ju,\"inlined\":%ju,\"inlined_unique\":%ju,"
           "\"inlined_bytes\":%ju,\"chunk_s\":%.3f,\"hash_s\":%.3f,\"encode_s\":%.3f}\n",
           (uintmax_t)t.files, (uintmax_t)t.bytes, (uintmax_t)t.paths, (uintmax_t)t.blocks,
           (uintmax_t)t.unique, (uintmax_t)t.unique_bytes, (uintmax_t)t.packs, (uintmax_t)t.listed,
           (uintmax_t)t.inlined, (uintmax_t)t.inlined_unique, (uintmax_t)t.inlined_bytes,
           t.chunk_s, t.hash_s, t.encode_s);
    sx_block_ctx_free(ctx);
    free(seen);
    return 0;
}
