/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See chunked.h.  A chunk's data is handed on while it comes, before its signature could be
 * checked; who takes it must throw it away unless sx_payload_finish() says that all was right.
 */
#include "fcgi/s3/chunked.h"

#include <string.h>

#include "fcgi/s3/s3err.h"
#include "libsx/base/text.h"
#include "libsx/crypt/crypt.h"

#define SIZE_DIGITS_MAX 16
#define SIGNATURE_KEY ";chunk-signature="
#define TRAILER_SIGNATURE "x-amz-trailer-signature"

static int malformed(struct sx_err *e, const char *what)
{
    return sx_err_set(e, SX_S3_INVALID_REQUEST, "The aws-chunked body is malformed: %s.", what);
}

static int bad_trailer(struct sx_err *e, const char *what)
{
    return sx_err_set(e, SX_S3_MALFORMED_TRAILER, "The trailer of the request is malformed: %s.",
                      what);
}

static int mismatch(struct sx_err *e, const char *what)
{
    return sx_err_set(e, SX_S3_SIGNATURE_MISMATCH,
                      "The signature of a %s of the body does not match.", what);
}

void sx_chunked_init(struct sx_chunked *c, const struct sx_sig_claim *claim, uint64_t length)
{
    memset(c, 0, sizeof *c);
    c->claim = claim;
    c->total_left = length;
    c->trailer_alg = SX_SUM_NONE;
    if (!claim)
        return;
    memcpy(c->before, claim->seed, sizeof c->before);
    sx_sum_init(&c->chunk_sum, SX_SUM_SHA256);
    sx_sum_init(&c->trailer_sum, SX_SUM_SHA256);
}

void sx_chunked_fini(struct sx_chunked *c)
{
    sx_sum_fini(&c->chunk_sum);
    sx_sum_fini(&c->trailer_sum);
}

/* Collects a line.  1: it is whole in c->line, without its end; 0: `in` is empty; -1: it is too
 * long, or has a NUL in it. */
static int take_line(struct sx_chunked *c, struct sx_cur *in, size_t max)
{
    const uint8_t *lf = memchr(in->p, '\n', in->left);
    size_t n = lf ? (size_t)(lf - in->p) : in->left;

    if (n > max - c->line_len || memchr(in->p, '\0', n))
        return -1;
    memcpy(c->line + c->line_len, in->p, n);
    c->line_len += n;
    sx_cur_take(in, n + (lf != NULL));
    if (!lf)
        return 0;
    if (c->line_len && c->line[c->line_len - 1] == '\r')
        c->line_len--;
    c->line[c->line_len] = '\0';
    c->line_len = 0;
    return 1;
}

/* The chunk's size in hex, and what follows it. */
static int read_size(const char **s, uint64_t *size)
{
    size_t n = strspn(*s, "0123456789abcdefABCDEF");

    if (n == 0 || n > SIZE_DIGITS_MAX)
        return -1;
    *size = 0;
    for (; n; n--, (*s)++)
        *size = *size << 4 | (uint64_t)(**s <= '9' ? **s - '0' : (**s | 32) - 'a' + 10);
    return 0;
}

/* Ends the present chunk: its signature must be the wanted one; the next is chained to it. */
static int check_chunk(struct sx_chunked *c, struct sx_err *e)
{
    uint8_t sum[SX_SUM_MAX], got[SX_SIG_SHA256];

    if (!c->claim)
        return 0;
    sx_sum_end(&c->chunk_sum, sum);
    sx_sum_init(&c->chunk_sum, SX_SUM_SHA256);
    sx_sig_chunk(c->claim, c->before, sum, got);
    if (!sx_mem_equal(got, c->want, sizeof got))
        return mismatch(e, "chunk");
    memcpy(c->before, got, sizeof c->before);
    return 0;
}

static int read_header(struct sx_chunked *c, struct sx_err *e)
{
    const char *s = c->line;

    if (read_size(&s, &c->left) != 0)
        return malformed(e, "a chunk does not begin with its size");
    if (c->claim) {
        if (strncmp(s, SIGNATURE_KEY, sizeof SIGNATURE_KEY - 1) != 0 ||
            sx_unhex(c->want, sizeof c->want, s + sizeof SIGNATURE_KEY - 1) != 0)
            return malformed(e, "a chunk has no signature");
    } else if (*s) {
        return malformed(e, "something follows the size of a chunk");
    }
    if (c->left > c->total_left)
        return sx_err_set(e, SX_S3_INCOMPLETE_BODY,
                          "The body has more bytes than x-amz-decoded-content-length says.");
    c->total_left -= c->left;
    c->state = SX_CHUNKED_DATA;
    if (c->left)
        return 0;
    if (c->total_left)
        return sx_err_set(e, SX_S3_INCOMPLETE_BODY,
                          "The body has %llu bytes less than x-amz-decoded-content-length says.",
                          (unsigned long long)c->total_left);
    c->last_seen = true;
    c->state = SX_CHUNKED_TRAILER;
    return check_chunk(c, e);
}

static void take_data(struct sx_chunked *c, struct sx_cur *in, const uint8_t **data, size_t *n)
{
    *n = c->left < in->left ? (size_t)c->left : in->left;
    *data = sx_cur_take(in, *n);
    c->left -= *n;
    if (c->claim)
        sx_sum_add(&c->chunk_sum, *data, *n);
    if (c->left == 0)
        c->state = SX_CHUNKED_DATA_END;
}

static int check_trailer_signature(struct sx_chunked *c, const char *hex, struct sx_err *e)
{
    uint8_t sum[SX_SUM_MAX], got[SX_SIG_SHA256], want[SX_SIG_SHA256];

    if (!c->claim || sx_unhex(want, sizeof want, hex) != 0)
        return bad_trailer(e, "its signature is not expected, or not in hex");
    sx_sum_end(&c->trailer_sum, sum);
    sx_sig_trailer(c->claim, c->before, sum, got);
    if (!sx_mem_equal(got, want, sizeof got))
        return mismatch(e, "trailer");
    c->trailer_signed = true;
    return 0;
}

/* name:value; the name in any case, blanks around the value do not count */
static int read_trailer(struct sx_chunked *c, struct sx_err *e)
{
    char *colon = strchr(c->line, ':'), *value, *end;

    if (!colon || colon == c->line)
        return bad_trailer(e, "a line has no name");
    for (char *p = c->line; p < colon; p++)
        if (*p >= 'A' && *p <= 'Z')
            *p += 'a' - 'A';
    *colon = '\0';
    value = colon + 1 + strspn(colon + 1, " \t");
    for (end = value + strlen(value); end > value && (end[-1] == ' ' || end[-1] == '\t'); end--)
        end[-1] = '\0';
    if (c->trailer_signed)
        return bad_trailer(e, "something follows its signature");
    if (strcmp(c->line, TRAILER_SIGNATURE) == 0)
        return check_trailer_signature(c, value, e);
    if (c->trailer_seen || c->trailer_alg == SX_SUM_NONE ||
        strcmp(c->line, sx_sum_info(c->trailer_alg)->header) != 0)
        return bad_trailer(e, "it has a line that x-amz-trailer does not announce");
    if (c->claim) {
        sx_sum_add(&c->trailer_sum, c->line, strlen(c->line));
        sx_sum_add(&c->trailer_sum, ":", 1);
        sx_sum_add(&c->trailer_sum, value, strlen(value));
        sx_sum_add(&c->trailer_sum, "\n", 1);
    }
    memcpy(c->trailer_value, value, strlen(value) + 1);
    c->trailer_seen = true;
    return 0;
}

static int step_line(struct sx_chunked *c, struct sx_cur *in, struct sx_err *e)
{
    bool trailer = c->state == SX_CHUNKED_TRAILER;
    int got = take_line(c, in, trailer ? SX_CHUNKED_LINE_MAX : SX_CHUNKED_HEADER_MAX);

    if (got < 0)
        return trailer ? bad_trailer(e, "a line is too long")
                       : malformed(e, "the line before a chunk is too long");
    if (got == 0)
        return 0;
    if (c->state == SX_CHUNKED_HEADER)
        return read_header(c, e);
    if (c->state == SX_CHUNKED_DATA_END) {
        c->state = SX_CHUNKED_HEADER;
        return c->line[0] ? malformed(e, "a chunk is longer than its size") : check_chunk(c, e);
    }
    if (++c->lines > SX_CHUNKED_LINES_MAX)
        return bad_trailer(e, "it has too many lines");
    if (!c->line[0])
        return 0;
    return c->has_trailer ? read_trailer(c, e) : malformed(e, "something follows its last chunk");
}

int sx_chunked_next(struct sx_chunked *c, struct sx_cur *in, const uint8_t **data, size_t *n,
                    struct sx_err *e)
{
    sx_assert(c->state != SX_CHUNKED_FAILED);
    *n = 0;
    while (in->left && *n == 0) {
        if (c->state == SX_CHUNKED_DATA) {
            take_data(c, in, data, n);
        } else if (step_line(c, in, e) != 0) {
            c->state = SX_CHUNKED_FAILED;
            return -1;
        }
    }
    return 0;
}

int sx_chunked_finish(struct sx_chunked *c, struct sx_err *e)
{
    sx_assert(c->state != SX_CHUNKED_FAILED);
    if (!c->last_seen || c->line_len)
        return sx_err_set(e, SX_S3_INCOMPLETE_BODY,
                          "The aws-chunked body ends before its last chunk.");
    if (c->trailer_alg != SX_SUM_NONE && !c->trailer_seen)
        return bad_trailer(e, "what x-amz-trailer announces did not come");
    if (c->claim && c->trailer_seen && !c->trailer_signed)
        return bad_trailer(e, "it is not signed");
    return 0;
}
