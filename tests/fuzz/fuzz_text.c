/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Text forms: percent-encoding, UTF-8, base64, sizes, durations; and globs, against a plain
 * recursive matcher where that is cheap.  Input: two lines, the first is also a pattern.
 */
#include "libsx/base/text.h"
#include "libsx/crypt/crypt.h"
#include "tests/fuzz/fuzz.h"

#define ORACLE_MAX 14 /* the plain matcher is exponential */

static const char *const lines[] = { "a*b?c/*\naxxbyc/d", "[a-c!]*[!x]\\*\nb/*",
                                     "a%2Fb%20%c3%a4\n1.5GiB", "Zm9vYg==\n15m",
                                     "***a**b\naaab", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\n7d" };

const unsigned fuzz_seeds = sizeof lines / sizeof lines[0];

void fuzz_seed(unsigned i, struct sx_buf *out)
{
    sx_buf_str(out, lines[i]);
}

static bool plain_match(const char *p, const char *s, bool slash)
{
    if (!*p)
        return !*s;
    if (*p == '*')
        return plain_match(p + 1, s, slash) ||
               (*s && !(slash && *s == '/') && plain_match(p, s + 1, slash));
    return *s && (*p == '?' ? !(slash && *s == '/') : *p == *s) && plain_match(p + 1, s + 1, slash);
}

static void check_glob(const char *pattern, const char *s)
{
    SX_AUTO(sx_buf) struct sx_buf prefix = SX_BUF_INIT;
    bool small = strlen(pattern) <= ORACLE_MAX && strlen(s) <= ORACLE_MAX &&
                 !strpbrk(pattern, "[\\");

    sx_glob_prefix(pattern, &prefix);
    for (int slash = 0; slash < 2; slash++) {
        bool hit = sx_glob_match(pattern, s, slash);

        sx_assert(!small || hit == plain_match(pattern, s, slash));
        sx_assert(!hit || strncmp(s, sx_buf_cstr(&prefix), prefix.len) == 0);
        sx_assert(sx_glob_has(pattern) || hit == (strcmp(s, sx_buf_cstr(&prefix)) == 0));
    }
}

static void check_percent(const char *s)
{
    SX_AUTO(sx_buf) struct sx_buf encoded = SX_BUF_INIT, back = SX_BUF_INIT;

    sx_pct_encode(&encoded, s, strlen(s), true);
    sx_assert(sx_pct_decode(&back, sx_buf_cstr(&encoded), encoded.len, NULL) == 0);
    sx_assert(strcmp(sx_buf_cstr(&back), s) == 0);
    sx_buf_reset(&back);
    if (sx_pct_decode(&back, s, strlen(s), NULL) == 0)
        sx_assert(back.len <= strlen(s) && strlen(sx_buf_cstr(&back)) == back.len);
}

static void check_base64(const char *s)
{
    SX_AUTO(sx_buf) struct sx_buf raw = SX_BUF_INIT, text = SX_BUF_INIT, again = SX_BUF_INIT;

    if (sx_unbase64(&raw, s, strlen(s), NULL)) {
        sx_assert(raw.len == 0);
        return;
    }
    sx_base64(&text, raw.data, raw.len, strlen(s) % 2);
    sx_assert(sx_unbase64(&again, sx_buf_cstr(&text), text.len, NULL) == 0);
    sx_assert(again.len == raw.len && (!raw.len || memcmp(again.data, raw.data, raw.len) == 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    SX_AUTO_FREE char *text = sx_strndup((const char *)data, n);
    char *second = strchr(text, '\n');
    char shown[SX_SIZE_TEXT];
    uint64_t v;

    if (second)
        *second++ = '\0';
    else
        second = text + strlen(text);
    check_glob(text, second);
    check_percent(text);
    check_base64(text);
    (void)sx_utf8_valid(text, strlen(text));
    if (sx_size_parse(second, &v, NULL) == 0)
        sx_assert(strlen(sx_size_text(shown, v)) < sizeof shown);
    if (sx_duration_parse(second, &v, NULL) == 0)
        sx_assert(v <= 1000000000);
    return 0;
}
