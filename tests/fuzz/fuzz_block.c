/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Stored blocks: headers, tags, and that no byte is given out of a bad one.
 */
#include "libsx/codec/block.h"
#include "tests/fuzz/fuzz.h"

const unsigned fuzz_seeds = 4;

static char plain[300];
static struct sx_block_ctx *ctx;
static struct sx_id id;
static struct sx_buf out;

static void prepare(void)
{
    static const uint8_t key[SX_DOMAIN_KEY_SIZE] = { 1 };
    struct sx_domain domain;

    if (ctx)
        return;
    sx_assert(sx_domain_init(&domain, key, NULL) == 0);
    ctx = sx_block_ctx_new(&domain);
    for (size_t i = 0; i < sizeof plain; i++)
        plain[i] = (char)('a' + i % 7);
    sx_assert(sx_block_id(ctx, plain, sizeof plain, &id, NULL) == 0);
}

void fuzz_seed(unsigned i, struct sx_buf *to)
{
    prepare();
    sx_assert(sx_block_encode(ctx, &id, plain, sizeof plain, (enum sx_codec)i, 0, to, NULL) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct sx_err e = SX_ERR_INIT;
    uint32_t len;

    prepare();
    if (sx_block_inspect(data, n, &len, &e) == 0)
        sx_assert(len >= 1 && len <= SX_BLOCK_PLAIN_MAX);
    if (sx_block_decode(ctx, &id, data, n, &out, &e) == 0) {
        sx_assert(out.len == sizeof plain && memcmp(out.data, plain, out.len) == 0);
    } else {
        sx_assert(e.code == SX_EBLOCK && out.len == 0);
    }
    return 0;
}
