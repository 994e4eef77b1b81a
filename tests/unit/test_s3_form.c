/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Forms: however a body is cut into pieces, its fields and its file come out the same; what is no
 * form is refused; memory stays bounded.
 */
#include <stdio.h>

#include "fcgi/s3/form.h"
#include "fcgi/s3/s3err.h"
#include "libsx/base/mem.h"
#include "tests/unit/unit.h"

#define TYPE "multipart/form-data; boundary=xYz"
#define PART(disposition) "\r\n--xYz\r\nContent-Disposition: form-data; " disposition "\r\n"

static struct sx_err e;

/* Runs a body through, `piece` bytes at a time: a line for each event, the file's bytes as they
 * are.  The error's code, or 0. */
static int run(const char *type, const char *body, size_t n, size_t piece, struct sx_buf *out)
{
    struct sx_form_piece p = { .event = SX_FORM_MORE };
    struct sx_form *f = NULL;
    bool ended = false;

    sx_err_clear(&e);
    sx_buf_reset(out);
    if (sx_form_open(&f, type, &e) != 0)
        return e.code;
    for (size_t at = 0; at < n; at += piece) {
        sx_form_feed(f, body + at, piece < n - at ? piece : n - at);
        do {
            if (sx_form_next(f, &p, &e) != 0) {
                sx_form_free(f);
                return e.code;
            }
            if (p.event == SX_FORM_FIELD)
                sx_buf_printf(out, "%s=%s\n", p.name, p.value);
            else if (p.event == SX_FORM_FILE)
                sx_buf_printf(out, "file %s\n", p.value);
            else if (p.event == SX_FORM_DATA)
                sx_buf_add(out, p.data, p.n);
            ended |= p.event == SX_FORM_END;
        } while (p.event != SX_FORM_MORE);
    }
    sx_form_free(f);
    if (ended)
        sx_buf_str(out, "\nend");
    return 0;
}

static void check(const char *body, const char *want)
{
    SX_AUTO(sx_buf) struct sx_buf out = SX_BUF_INIT;

    for (size_t piece = 1; piece <= strlen(body); piece++) {
        assert_int_equal(run(TYPE, body, strlen(body), piece, &out), 0);
        assert_string_equal(sx_buf_cstr(&out), want);
    }
}

static void test_whole(void **state)
{
    (void)state;
    check("--xYz\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\na/${filename}"
          PART("name=empty") "\r\n"
          PART("name=\"two\"") "Content-Type: text/plain\r\n\r\nline\r\n--xY\r\nline"
          PART("name=\"file\"; filename=\"C:\\dir\\a\\\"b;name=x.txt\"") "X: y\r\n\r\n"
          "\r\n--xY\r\n-data\r\n--xYz\r\nwhatever follows",
          "key=a/${filename}\nempty=\ntwo=line\r\n--xY\r\nline\nfile C:\\dir\\a\"b;name=x.txt\n"
          "\r\n--xY\r\n-data\nend");
    check("preamble" PART("name=file") "\r\n\r\n--xYz--\r\n", "file \n\nend");
    check("--xYz\r\nX: y\r\ncontent-disposition:form-data;filename=f;name=FILE\r\n\r\nabc\r\n--xYz--",
          "file f\nabc\nend");
}

/* A body that is cut off is no error of the form, but it has no end. */
static void test_cut(void **state)
{
    (void)state;
    check(PART("name=file") "\r\nabc\r\n--xY", "file \nabc");
    check(PART("name=a") "\r\nabc", "");
}

static void test_refused(void **state)
{
    static const struct {
        const char *type, *body;
        enum sx_s3_code code;
    } rows[] = {
        { NULL, "", SX_S3_PRECONDITION_FAILED },
        { "application/x-www-form-urlencoded", "", SX_S3_PRECONDITION_FAILED },
        { "multipart/form-data", "", SX_S3_MALFORMED_POST },
        { "multipart/form-data; boundary=\"\"", "", SX_S3_MALFORMED_POST },
        { "multipart/form-data; boundary=0123456789012345678901234567890123456789"
          "0123456789012345678901234567890", "", SX_S3_MALFORMED_POST },
        { TYPE, "--xYz--\r\n", SX_S3_INVALID_ARGUMENT },
        { TYPE, PART("name=a") "\r\nb\r\n--xYz--\r\n", SX_S3_INVALID_ARGUMENT },
        { TYPE, "--xYzA\r\n", SX_S3_MALFORMED_POST },
        { TYPE, "--xYz\r\n\r\nvalue\r\n--xYz", SX_S3_MALFORMED_POST },
        { TYPE, "--xYz\r\nContent-Type: a/b\r\n\r\nvalue", SX_S3_MALFORMED_POST },
        { TYPE, "--xYz\r\nContent-Disposition: form-data\r\n\r\nvalue", SX_S3_MALFORMED_POST },
    };
    SX_AUTO(sx_buf) struct sx_buf out = SX_BUF_INIT;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (size_t piece = 1; piece < 4; piece++)
            assert_int_equal(run(rows[i].type, rows[i].body, strlen(rows[i].body), piece, &out),
                             rows[i].code);
    assert_int_equal(run(TYPE, PART("name=a") "\r\nb\0c\r\n--xYz", sizeof PART("name=a") + 12, 1, &out),
                     SX_S3_MALFORMED_POST);
}

static void test_bounded(void **state)
{
    size_t n = 2 * SX_FORM_PRE_MAX;
    SX_AUTO_FREE char *body = sx_malloc(n);
    SX_AUTO(sx_buf) struct sx_buf out = SX_BUF_INIT;

    (void)state;
    memset(body, 'a', n);
    assert_int_equal(run(TYPE, body, n, 1000, &out), SX_S3_MAX_POST_PRE_DATA);
    memcpy(body, PART("name=a") "\r\n", sizeof PART("name=a") + 1);
    assert_int_equal(run(TYPE, body, n, 1000, &out), SX_S3_MAX_POST_PRE_DATA);
    memcpy(body, PART("name=file") "\r\n", sizeof PART("name=file") + 1);
    assert_int_equal(run(TYPE, body, n, 1000, &out), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
