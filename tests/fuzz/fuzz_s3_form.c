/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Bodies of forms.  Cut into pieces in two ways they must give the same.
 */
#include "fcgi/s3/form.h"
#include "fcgi/s3/s3err.h"
#include "libsx/base/mem.h"
#include "tests/fuzz/fuzz.h"

#define PART "--b\r\nContent-Disposition: form-data; name="

static const char *const bodies[] = {
    PART "\"key\"\r\n\r\na\r\n" PART "\"file\"; filename=\"f\"\r\n\r\ndata\r\n--b--\r\n",
    PART "policy\r\nContent-Type: a/b\r\n\r\n\r\n" PART "file\r\n\r\n\r\n--b\r\nmore",
    "before\r\n" PART "a; filename=\"x\\\"y\r\n\r\nb\r\n--b--",
};

const unsigned fuzz_seeds = 3;

void fuzz_seed(unsigned i, struct sx_buf *out)
{
    sx_buf_str(out, bodies[i]);
}

static void run(const uint8_t *data, size_t n, size_t piece, struct sx_buf *out)
{
    struct sx_form_piece p = { .event = SX_FORM_MORE };
    struct sx_err e = SX_ERR_INIT;
    struct sx_form *f = NULL;
    int r = sx_form_open(&f, "multipart/form-data; boundary=b", &e);

    for (size_t at = 0; r == 0 && at < n; at += piece) {
        sx_form_feed(f, data + at, piece < n - at ? piece : n - at);
        do {
            r = sx_form_next(f, &p, &e);
            if (r == 0 && p.event == SX_FORM_DATA)
                sx_buf_add(out, p.data, p.n);
            else if (r == 0 && p.event != SX_FORM_MORE)
                sx_buf_printf(out, "%d%s=%s", (int)p.event, p.name ? p.name : "", p.value ? p.value : "");
        } while (r == 0 && p.event != SX_FORM_MORE);
    }
    sx_buf_printf(out, " %d", e.code);
    sx_form_free(f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    SX_AUTO(sx_buf) struct sx_buf one = SX_BUF_INIT, other = SX_BUF_INIT;

    if (n > SX_FORM_PRE_MAX)
        return 0;
    run(data, n, n ? n : 1, &one);
    run(data, n, 3, &other);
    sx_assert(one.len == other.len && memcmp(one.data, other.data, one.len) == 0);
    return 0;
}
