/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What decompression sees behind the cipher: only who has the key can send it, but that is every
 * user of a volume.  Input: codec, plain length (2 bytes), payload.
 */
#include "libsx/base/wire.h"
#include "libsx/codec/compress.h"
#include "tests/fuzz/fuzz.h"

const unsigned fuzz_seeds = 6;

static struct sx_press *press;

void fuzz_seed(unsigned i, struct sx_buf *out)
{
    uint8_t plain[2000], packed[2000];
    size_t n;

    if (!press)
        press = sx_press_new();
    for (size_t k = 0; k < sizeof plain; k++)
        plain[k] = (uint8_t)(i < 3 ? "a block of text "[k * k / 31 % 16] : 'x');
    n = sx_press(press, (enum sx_codec)(1 + i % 3), 0, plain, sizeof plain, packed, sizeof packed);
    sx_assert(n);
    sx_buf_u8(out, (uint8_t)(1 + i % 3));
    sx_buf_u16(out, sizeof plain);
    sx_buf_add(out, packed, n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    SX_AUTO_FREE uint8_t *plain = NULL;
    uint16_t len;

    if (n < 4)
        return 0;
    if (!press)
        press = sx_press_new();
    len = sx_get_u16(data + 1);
    plain = sx_malloc(len); /* exact, for ASan */
    if (len && sx_unpress(press, (enum sx_codec)(data[0] % 4), data + 3, n - 3, plain, len) == 0)
        sx_assert(data[0] % 4 != SX_CODEC_NONE);
    return 0;
}
