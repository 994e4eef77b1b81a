/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * How fast the stages of a block are on one core, against memcpy and OpenSSL's SHA-256 in the same
 * run.  Never fails; read the ratios.
 *
 *   bench_codec [seconds per stage]
 */
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "libsx/base/mem.h"
#include "libsx/base/wire.h"
#include "libsx/codec/chunk.h"
#include "libsx/codec/record.h"
#include "libsx/crypt/crypt.h"

#define DATA_SIZE (64u << 20)
#define BLOCK (1u << 20)
#define SMALL 4096u

static uint8_t *noise, *text, *copy;
static struct sx_block_ctx *ctx;
static struct sx_buf out, stored;
static struct sx_id id;
static EVP_MD *sha256;

struct stage {
    const char *name;
    size_t (*run)(const struct stage *s, size_t at); /* returns the bytes it took from `at` on */
    const uint8_t *const *data;
    size_t block;
    enum sx_codec codec;
};

static double cpu_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static size_t run_memcpy(const struct stage *s, size_t at)
{
    memcpy(copy + at, *s->data + at, s->block);
    return s->block;
}

static size_t run_sha256(const struct stage *s, size_t at)
{
    uint8_t digest[32];

    sx_assert(EVP_Digest(*s->data + at, s->block, digest, NULL, sha256, NULL));
    return s->block;
}

static size_t run_crc(const struct stage *s, size_t at)
{
    static volatile uint32_t sink;

    sink = sx_crc32c(0, *s->data + at, s->block);
    (void)sink;
    return s->block;
}

static size_t run_chunk(const struct stage *s, size_t at)
{
    static struct sx_chunker c;

    if (!c.avg)
        sx_chunker_init(&c, SX_CHUNK_MIN, SX_CHUNK_AVG, SX_CHUNK_MAX);
    return sx_chunk_next(&c, *s->data + at, DATA_SIZE - at);
}

static size_t run_id(const struct stage *s, size_t at)
{
    struct sx_err e;

    sx_assert(sx_block_id(ctx, *s->data + at, s->block, &id, &e) == 0);
    return s->block;
}

static size_t run_encode(const struct stage *s, size_t at)
{
    struct sx_err e;

    sx_buf_reset(&out);
    sx_assert(sx_block_encode(ctx, &id, *s->data + at, s->block, s->codec, 0, &out, &e) == 0);
    return s->block;
}

/* Always the block that prepare_decode() has stored. */
static size_t run_decode(const struct stage *s, size_t at)
{
    struct sx_err e;

    sx_assert(sx_block_decode(ctx, &id, stored.data, stored.len, &out, &e) == 0);
    return s->block;
}

static void prepare_decode(const struct stage *s)
{
    struct sx_err e;

    run_id(s, 0);
    sx_buf_reset(&stored);
    sx_assert(sx_block_encode(ctx, &id, *s->data, s->block, s->codec, 0, &stored, &e) == 0);
}

static double measure(const struct stage *s, double seconds)
{
    double bytes = 0, start, used;
    size_t at = 0;

    if (s->run == run_decode)
        prepare_decode(s);
    s->run(s, 0);
    start = cpu_now();
    do {
        size_t n = s->run(s, at);

        bytes += (double)n;
        at += n;
        if (at + (s->block ? s->block : 1) > DATA_SIZE)
            at = 0;
        used = cpu_now() - start;
    } while (used < seconds);
    return bytes / used / 1e6;
}

static const struct stage stages[] = {
    { "memcpy, 1 MiB", run_memcpy, (const uint8_t *const *)&noise, BLOCK, SX_CODEC_NONE },
    { "SHA-256 of OpenSSL, 1 MiB", run_sha256, (const uint8_t *const *)&noise, BLOCK,
      SX_CODEC_NONE },
    { "chunk, noise", run_chunk, (const uint8_t *const *)&noise, 0, SX_CODEC_NONE },
    { "chunk, text", run_chunk, (const uint8_t *const *)&text, 0, SX_CODEC_NONE },
    { "crc, 1 MiB", run_crc, (const uint8_t *const *)&noise, BLOCK, SX_CODEC_NONE },
    { "id, 1 MiB", run_id, (const uint8_t *const *)&noise, BLOCK, SX_CODEC_NONE },
    { "id, 4 KiB", run_id, (const uint8_t *const *)&noise, SMALL, SX_CODEC_NONE },
    { "encode none, 1 MiB", run_encode, (const uint8_t *const *)&noise, BLOCK, SX_CODEC_NONE },
    { "encode zstd, noise, 1 MiB", run_encode, (const uint8_t *const *)&noise, BLOCK,
      SX_CODEC_ZSTD },
    { "encode lz4, noise, 1 MiB", run_encode, (const uint8_t *const *)&noise, BLOCK, SX_CODEC_LZ4 },
    { "encode zlib, noise, 1 MiB", run_encode, (const uint8_t *const *)&noise, BLOCK,
      SX_CODEC_ZLIB },
    { "encode zstd, text, 1 MiB", run_encode, (const uint8_t *const *)&text, BLOCK, SX_CODEC_ZSTD },
    { "encode lz4, text, 1 MiB", run_encode, (const uint8_t *const *)&text, BLOCK, SX_CODEC_LZ4 },
    { "encode zlib, text, 1 MiB", run_encode, (const uint8_t *const *)&text, BLOCK, SX_CODEC_ZLIB },
    { "encode none, 4 KiB", run_encode, (const uint8_t *const *)&noise, SMALL, SX_CODEC_NONE },
    { "encode zstd, noise, 4 KiB", run_encode, (const uint8_t *const *)&noise, SMALL,
      SX_CODEC_ZSTD },
    { "encode zstd, text, 4 KiB", run_encode, (const uint8_t *const *)&text, SMALL, SX_CODEC_ZSTD },
    { "decode none, noise, 1 MiB", run_decode, (const uint8_t *const *)&noise, BLOCK,
      SX_CODEC_NONE },
    { "decode zstd, text, 1 MiB", run_decode, (const uint8_t *const *)&text, BLOCK, SX_CODEC_ZSTD },
    { "decode lz4, text, 1 MiB", run_decode, (const uint8_t *const *)&text, BLOCK, SX_CODEC_LZ4 },
    { "decode zlib, text, 1 MiB", run_decode, (const uint8_t *const *)&text, BLOCK, SX_CODEC_ZLIB },
    { "decode none, noise, 4 KiB", run_decode, (const uint8_t *const *)&noise, SMALL,
      SX_CODEC_NONE },
    { "decode zstd, text, 4 KiB", run_decode, (const uint8_t *const *)&text, SMALL, SX_CODEC_ZSTD },
};

/* Words of random length and frequency: zstd makes about a third of it. */
static void make_text(uint8_t *p, size_t n, const uint8_t *random)
{
    static const char words[] =
        "the block of a file is named by what it holds and where does not matter ";
    size_t r = 0;

    for (size_t i = 0; i < n;) {
        size_t start = random[r] % (sizeof words - 12), len = 2 + random[r + 1] % 10;

        r = (r + 2) % (n - 2);
        for (size_t k = 0; k < len && i < n; k++)
            p[i++] = (uint8_t)words[start + k];
        if (random[r] < 40 && i < n)
            p[i++] = random[r + 1];
    }
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? atof(argv[1]) : 0.5, base = 0, hash = 0;
    uint8_t key[SX_DOMAIN_KEY_SIZE] = { 1 };
    struct sx_domain domain;
    struct sx_err e = SX_ERR_INIT;

    noise = sx_malloc(DATA_SIZE);
    text = sx_malloc(DATA_SIZE);
    copy = sx_calloc(1, DATA_SIZE);
    sx_random(noise, DATA_SIZE);
    make_text(text, DATA_SIZE, noise);
    sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    if (!sha256 || sx_domain_init(&domain, key, &e)) {
        fprintf(stderr, "bench_codec: %s\n", e.msg);
        return 1;
    }
    ctx = sx_block_ctx_new(&domain);
    printf("%-28s %10s %10s %10s\n", "stage", "MB/s", "of memcpy", "of SHA-256");
    for (size_t i = 0; i < sizeof stages / sizeof stages[0]; i++) {
        double speed = measure(&stages[i], seconds);

        base = i == 0 ? speed : base;
        hash = i == 1 ? speed : hash;
        printf("%-28s %10.0f %10.3f", stages[i].name, speed, speed / base);
        if (hash > 0)
            printf(" %10.2f", speed / hash);
        printf("\n");
        fflush(stdout);
    }
    sx_block_ctx_free(ctx);
    sx_buf_fini(&out);
    sx_buf_fini(&stored);
    EVP_MD_free(sha256);
    free(noise);
    free(text);
    free(copy);
    return 0;
}
