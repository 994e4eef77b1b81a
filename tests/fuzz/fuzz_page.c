/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Pages of a listing, as the client reads them.
 */
#include "libsx/client/list.h"
#include "libsx/http/message.h"
#include "tests/fuzz/fuzz.h"

const unsigned fuzz_seeds = 3;

void fuzz_seed(unsigned i, struct sx_buf *out)
{
    static const struct sx_facts facts = { .rev = 1, .size = 7, .mtime_ns = -5, .entries = 1 };
    SX_AUTO_JSON json_t *j = json_pack("{s:i,s:i}", "files", (int)i, "prefixes", 1);

    sx_assert(sx_message_head(out, j, NULL) == 0);
    for (unsigned k = 0; k < i; k++) {
        sx_buf_add(out, &"d/a\0d/c"[4 * k], 4);
        sx_facts_put(sx_buf_extend(out, SX_FACTS_SIZE), &facts);
    }
    sx_buf_add(out, "d/b/", 5);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct sx_buf b = SX_BUF_INIT;
    struct sx_err e = SX_ERR_INIT;
    struct sx_file_info f;
    struct sx_page *p;
    size_t names = 0;

    sx_buf_add(&b, data, n);
    p = sx_page_read(&b, &e);
    sx_assert(b.data == NULL);
    if (!p) {
        sx_assert(e.code == SX_EMALFORMED || e.code == SX_EINVAL);
        return 0;
    }
    for (; sx_page_next(p, &f); names += strlen(f.path) + 1)
        sx_assert(f.is_dir ? !f.rev : strlen(f.rev) == 16 && f.size <= INT64_MAX);
    sx_assert(names < n);
    sx_page_free(p);
    return 0;
}
