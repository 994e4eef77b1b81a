/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See range.h.
 */
#include "fcgi/s3/range.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "fcgi/s3/s3err.h"
#include "fcgi/s3/target.h"
#include "libsx/base/mem.h"
#include "libsx/base/text.h"

#define VERSION_KEY "?versionId="

/* Digits, if there are any; what does not fit is the largest number.  Moves *s behind them. */
static bool number(const char **s, uint64_t *v)
{
    const char *start = *s;

    for (*v = 0; **s >= '0' && **s <= '9'; (*s)++) {
        uint64_t digit = (uint64_t)(**s - '0');

        *v = *v > (UINT64_MAX - digit) / 10 ? UINT64_MAX : *v * 10 + digit;
    }
    return *s > start;
}

/* bytes=a-b, bytes=a-, bytes=-b */
static bool split(const char *s, bool *has_first, uint64_t *first, bool *has_last, uint64_t *last)
{
    if (strncasecmp(s, "bytes=", 6) != 0)
        return false;
    s += 6;
    *has_first = number(&s, first);
    if (*s++ != '-')
        return false;
    *has_last = number(&s, last);
    return *s == '\0' && (*has_first || *has_last) &&
           !(*has_first && *has_last && *first > *last);
}

static void set(struct sx_s3_range *r, enum sx_s3_range_kind kind, uint64_t first, uint64_t count)
{
    *r = (struct sx_s3_range){ kind, first, count };
}

void sx_s3_range_parse(const char *value, uint64_t size, struct sx_s3_range *r)
{
    bool has_first, has_last;
    uint64_t first, last;

    if (!value || !split(value, &has_first, &first, &has_last, &last))
        set(r, SX_S3_RANGE_WHOLE, 0, size);
    else if (!has_first && (last == 0 || size == 0))
        set(r, SX_S3_RANGE_NONE, 0, 0);
    else if (!has_first)
        set(r, SX_S3_RANGE_PART, last < size ? size - last : 0, last < size ? last : size);
    else if (first >= size)
        set(r, SX_S3_RANGE_NONE, 0, 0);
    else
        set(r, SX_S3_RANGE_PART, first, (has_last && last < size ? last : size - 1) - first + 1);
}

int sx_s3_copy_range_parse(const char *value, uint64_t size, struct sx_s3_range *r,
                           struct sx_err *e)
{
    bool has_first, has_last;
    uint64_t first, last;

    if (!split(value, &has_first, &first, &has_last, &last) || !has_first || !has_last)
        return sx_err_set(e, SX_S3_INVALID_ARGUMENT,
                          "The x-amz-copy-source-range value must be of the form bytes=first-last "
                          "where first and last are the zero-based offsets of the first and last "
                          "bytes to copy");
    if (last >= size)
        return sx_err_set(e, SX_S3_INVALID_ARGUMENT,
                          "Range specified is not valid for source object of size: %llu",
                          (unsigned long long)size);
    set(r, SX_S3_RANGE_PART, first, last - first + 1);
    return 0;
}

static int bad_source(struct sx_err *e)
{
    return sx_err_set(e, SX_S3_INVALID_ARGUMENT,
                      "Copy Source must mention the source bucket and key: sourcebucket/sourcekey");
}

static int decode_to(char **to, const char *s, size_t n)
{
    SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;

    if (sx_pct_decode(&b, s, n, NULL) != 0 || b.len == 0 || b.len > SX_S3_BUCKET_ADDRESS_MAX ||
        !sx_utf8_valid(sx_buf_cstr(&b), b.len))
        return -1;
    *to = sx_strdup(sx_buf_cstr(&b));
    return 0;
}

/* The slash behind the bucket; some clients encode it. */
static const char *find_slash(const char *s, const char *end, size_t *len)
{
    for (; s < end; s++) {
        *len = *s == '/' ? 1 : end - s >= 3 && strncasecmp(s, "%2f", 3) == 0 ? 3 : 0;
        if (*len)
            return s;
    }
    return NULL;
}

int sx_s3_copy_source_parse(const char *value, struct sx_s3_copy_source *c, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf key = SX_BUF_INIT;
    const char *s = value, *version = strstr(value, VERSION_KEY), *slash;
    const char *end = version ? version : strchr(value, '?');
    size_t len = 0;

    *c = (struct sx_s3_copy_source){ 0 };
    if (!end)
        end = value + strlen(value);
    if (find_slash(s, end, &len) == s)
        s += len;
    slash = find_slash(s, end, &len);
    if (!slash || decode_to(&c->bucket, s, (size_t)(slash - s)) != 0)
        return bad_source(e);
    if (version) {
        const char *v = version + sizeof VERSION_KEY - 1;

        if (decode_to(&c->version, v, strlen(v)) != 0)
            return sx_err_set(e, SX_S3_INVALID_ARGUMENT, "Invalid version id specified");
    }
    if (sx_s3_key_decode(&key, slash + len, (size_t)(end - slash) - len, e) != 0) {
        if (e && e->code == SX_S3_KEY_TOO_LONG)
            return -1;
        return bad_source(e);
    }
    c->key = sx_strdup(sx_buf_cstr(&key));
    return 0;
}

void sx_s3_copy_source_fini(struct sx_s3_copy_source *c)
{
    free(c->bucket);
    free(c->key);
    free(c->version);
    *c = (struct sx_s3_copy_source){ 0 };
}
