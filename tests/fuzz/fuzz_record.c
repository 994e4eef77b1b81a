/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Runs of records, as in packs and bodies.
 */
#include "libsx/codec/record.h"
#include "tests/fuzz/fuzz.h"

const unsigned fuzz_seeds = 3;

void fuzz_seed(unsigned i, struct sx_buf *out)
{
    struct sx_id id = { { (uint8_t)i } };

    for (unsigned k = 0; k <= i; k++) {
        size_t at = sx_record_begin(out);

        if (k != 1) /* number 1 is "not here" */
            memset(sx_buf_extend(out, 60 + 100 * k), (int)k, 60 + 100 * k);
        sx_record_end(out, at, &id);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    size_t at = 0, used;
    struct sx_record r;
    struct sx_err e = SX_ERR_INIT;

    while (sx_record_parse(data + at, n - at, &r, &used, &e) == 0 && used) {
        uint8_t h[SX_RECORD_HEADER];

        sx_assert(used <= n - at && used == SX_RECORD_HEADER + (size_t)r.len);
        sx_assert(r.stored == data + at + SX_RECORD_HEADER);
        sx_record_header(h, &r.id, r.stored, r.len); /* there is one form of a record only */
        sx_assert(memcmp(h, data + at, sizeof h) == 0);
        at += used;
    }
    sx_assert(e.code == SX_OK || e.code == SX_EBLOCK);
    return 0;
}
