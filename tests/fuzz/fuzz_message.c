/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Messages, and with them our use of the JSON parser.
 */
#include "libsx/base/json.h"
#include "libsx/http/message.h"
#include "tests/fuzz/fuzz.h"

static const char *const heads[] = {
    "{}", "{\"volume\":\"V\",\"count\":2}",
    ("{\"size\":123,\"mtime_ns\":1763650800123456789,\"mode\":420,\"entries\":1,\"records\":1,\"inline\":true,"
    "\"meta\":{\"a\":\"\\u00e4\\n\"},\"if_none_match\":false,\"x\":[1.5e3,null,-1]}"),
};

const unsigned fuzz_seeds = 3;

void fuzz_seed(unsigned i, struct sx_buf *out)
{
    sx_buf_string(out, heads[i]);
    sx_buf_str(out, "binary");
}

/* The getters may refuse, but must not crash or give what is outside the limits. */
static void read_members(const json_t *j)
{
    const char *s;
    uint64_t n;
    bool b;

    if (sx_json_need_u64(j, "count", 4096, &n, NULL) == 0)
        sx_assert(n <= 4096);
    if (sx_json_u64(j, "size", 7, UINT64_MAX, &n, NULL) == 0)
        sx_assert(n <= INT64_MAX);
    if (sx_json_need_str(j, "volume", &s, NULL) == 0)
        sx_assert(strlen(s) < 65536);
    if (sx_json_bool(j, "inline", false, &b, NULL) == 0)
        sx_assert(b == true || b == false);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    SX_AUTO(sx_message) struct sx_message m = { 0 }, again = { 0 };
    SX_AUTO(sx_buf) struct sx_buf text = SX_BUF_INIT;
    struct sx_err e = SX_ERR_INIT;

    if (sx_message_parse(&m, data, n, &e)) {
        sx_assert(e.code == SX_EMALFORMED);
        return 0;
    }
    sx_assert(m.data + m.len == data + n && m.len <= n - 4);
    read_members(m.json);
    if (sx_message_head(&text, m.json, &e)) { /* escapes may make it longer than it was */
        sx_assert(e.code == SX_ETOOBIG);
        return 0;
    }
    sx_assert(sx_message_parse(&again, text.data, text.len, &e) == 0);
    sx_assert(json_equal(m.json, again.json) && again.len == 0);
    return 0;
}
