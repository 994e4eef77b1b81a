/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See form.h.
 *
 *   state    what is expected                          then
 *   SEEK     "\r\n--boundary", whatever is before it   BEGUN
 *   BEGUN    "\r\n": a part; "--": the end             HEAD, or an error: there was no file
 *   HEAD     the part's header, an empty line          VALUE, FILE
 *   VALUE    bytes up to "\r\n--boundary"              BEGUN
 *   FILE     the same, given away as they come         OVER
 *   OVER     anything
 */
#include "fcgi/s3/form.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "fcgi/s3/s3err.h"
#include "libsx/base/mem.h"

#define BOUNDARY_MAX 70 /* RFC 2046 §5.1.1 */

enum state { SEEK, BEGUN, HEAD, VALUE, FILE_DATA, OVER };

struct sx_form {
    enum state state;
    struct sx_buf in;      /* what came and is not used up */
    size_t used;           /* of `in` */
    size_t seen;           /* bytes of `in` in which what is looked for does not begin */
    size_t pre;            /* bytes used up before the file's */
    struct sx_buf name, value;
    size_t n_mark;
    char mark[BOUNDARY_MAX + 5]; /* "\r\n--boundary" */
};

static int malformed(struct sx_err *e, const char *what)
{
    return sx_err_set(e, SX_S3_MALFORMED_POST,
                      "The body of your POST request is not well-formed multipart/form-data: %s.",
                      what);
}

/* ---- parameters of a header ---- */

/* name=token or name="quoted" behind a ';' of the header; in quotes only \" is an escape, since
 * browsers send paths with backslashes.  False if there is no such parameter. */
static bool parameter(const char *header, const char *name, struct sx_buf *out)
{
    size_t n = strlen(name);
    bool quoted = false;

    sx_buf_reset(out);
    for (const char *s = header; *s; s++) {
        if (*s == '\\' && s[1] == '"' && quoted) {
            s++;
            continue;
        }
        quoted ^= *s == '"';
        if (*s != ';' || quoted)
            continue;
        s += 1 + strspn(s + 1, " \t");
        if (strncasecmp(s, name, n) != 0 || s[n] != '=') {
            s--;
            continue;
        }
        s += n + 1;
        quoted = *s == '"';
        for (s += quoted; *s && *s != (quoted ? '"' : ';'); s++) {
            s += quoted && *s == '\\' && s[1] == '"';
            sx_buf_u8(out, (uint8_t)*s);
        }
        return true;
    }
    return false;
}

int sx_form_open(struct sx_form **out, const char *type, struct sx_err *e)
{
    static const char form[] = "multipart/form-data";
    SX_AUTO(sx_buf) struct sx_buf boundary = SX_BUF_INIT;
    struct sx_form *f;

    if (!type || strncasecmp(type, form, strlen(form)) != 0)
        return sx_err_set(e, SX_S3_PRECONDITION_FAILED,
                          "Bucket POST must be of the enclosure-type multipart/form-data");
    if (!parameter(type, "boundary", &boundary) || boundary.len == 0 ||
        boundary.len > BOUNDARY_MAX)
        return malformed(e, "Content-Type gives no boundary of 1 to 70 characters");
    f = sx_calloc(1, sizeof *f);
    snprintf(f->mark, sizeof f->mark, "\r\n--%s", sx_buf_cstr(&boundary));
    f->n_mark = strlen(f->mark);
    sx_buf_str(&f->in, "\r\n"); /* the first boundary may be the first line */
    *out = f;
    return 0;
}

void sx_form_free(struct sx_form *f)
{
    if (!f)
        return;
    sx_buf_fini(&f->in);
    sx_buf_fini(&f->name);
    sx_buf_fini(&f->value);
    free(f);
}

void sx_form_feed(struct sx_form *f, const void *p, size_t n)
{
    if (f->state != OVER)
        sx_buf_add(&f->in, p, n);
}

/* ---- what came ---- */

static void consume(struct sx_form *f, size_t n)
{
    f->used += n;
    f->seen = 0;
    if (f->state < FILE_DATA)
        f->pre += n;
}

/* Where `what` begins in what is not used up; if it is not there yet, the number of bytes in which
 * it surely does not begin, and false. */
static bool look_for(struct sx_form *f, const char *what, size_t n, size_t *at)
{
    const uint8_t *p = f->in.data + f->used;
    size_t len = f->in.len - f->used;
    const uint8_t *hit = len >= n ? memmem(p + f->seen, len - f->seen, what, n) : NULL;

    if (!hit && len >= n)
        f->seen = len - n + 1;
    *at = hit ? (size_t)(hit - p) : f->seen;
    return hit != NULL;
}

static int begun(struct sx_form *f, struct sx_err *e)
{
    const uint8_t *p = f->in.data + f->used;

    if (f->in.len - f->used < 2)
        return 0;
    if (p[0] == '-' && p[1] == '-')
        return sx_err_set(e, SX_S3_INVALID_ARGUMENT,
                          "POST requires exactly one file upload per request.");
    if (p[0] != '\r' || p[1] != '\n')
        return malformed(e, "a boundary is not followed by the end of its line");
    f->state = HEAD; /* the end of the line is that of the header that may be empty */
    f->seen = 0;
    return 1;
}

/* One line of a part's header. */
static bool is_disposition(const char *line)
{
    static const char name[] = "\r\nContent-Disposition:";

    return strncasecmp(line, name, strlen(name)) == 0;
}

/* The header, from its "\r\n" to the one that ends its last line: name and, for the file, its name in
 * `value`. */
static int read_head(struct sx_form *f, char *head, struct sx_err *e)
{
    for (char *line = head; line; line = strstr(line + 2, "\r\n")) {
        char *end = strstr(line + 2, "\r\n");

        if (!is_disposition(line))
            continue;
        if (end)
            *end = '\0';
        if (!parameter(line, "name", &f->name))
            return malformed(e, "a Content-Disposition has no name");
        if (!parameter(line, "filename", &f->value))
            sx_buf_reset(&f->value);
        return 0;
    }
    return malformed(e, "a part has no Content-Disposition");
}

static int head(struct sx_form *f, struct sx_form_piece *p, struct sx_err *e)
{
    SX_AUTO_FREE char *text = NULL;
    size_t at;

    if (!look_for(f, "\r\n\r\n", 4, &at))
        return 0;
    text = sx_strndup((const char *)f->in.data + f->used, at + 2);
    if (strlen(text) != at + 2)
        return malformed(e, "a header has a NUL in it");
    if (read_head(f, text, e) != 0)
        return -1;
    consume(f, at + 2); /* an empty value has the same end of line as its boundary */
    if (strcasecmp(sx_buf_cstr(&f->name), "file") != 0) {
        f->state = VALUE;
        return 1;
    }
    consume(f, 2);
    f->state = FILE_DATA;
    p->event = SX_FORM_FILE;
    p->name = sx_buf_cstr(&f->name);
    p->value = sx_buf_cstr(&f->value);
    return 1;
}

/* From the "\r\n" that ends the header. */
static int value(struct sx_form *f, struct sx_form_piece *p, struct sx_err *e)
{
    size_t at;

    if (!look_for(f, f->mark, f->n_mark, &at))
        return 0;
    sx_buf_reset(&f->value);
    if (at > 2)
        sx_buf_add(&f->value, f->in.data + f->used + 2, at - 2);
    consume(f, at + f->n_mark);
    p->name = sx_buf_cstr(&f->name);
    p->value = sx_buf_cstr(&f->value);
    if (strlen(p->value) != f->value.len)
        return malformed(e, "a value has a NUL in it");
    p->event = SX_FORM_FIELD;
    f->state = BEGUN;
    return 1;
}

static int file_data(struct sx_form *f, struct sx_form_piece *p)
{
    size_t at;
    bool ends = look_for(f, f->mark, f->n_mark, &at);

    if (at > 0) {
        p->event = SX_FORM_DATA;
        p->data = f->in.data + f->used;
        p->n = at;
        consume(f, at);
        return 1;
    }
    if (!ends)
        return 0;
    p->event = SX_FORM_END;
    f->state = OVER;
    return 1;
}

static int seek(struct sx_form *f)
{
    size_t at;

    if (!look_for(f, f->mark, f->n_mark, &at))
        return 0;
    consume(f, at + f->n_mark);
    f->state = BEGUN;
    return 1;
}

/* The bytes before the file's: used up, and, while it has not begun, those that wait. */
static size_t pre(const struct sx_form *f)
{
    return f->pre + (f->state == SEEK || f->state == VALUE || f->state == HEAD ? f->seen : 0);
}

/* 1: a step was made, 0: more is needed. */
static int step(struct sx_form *f, struct sx_form_piece *p, struct sx_err *e)
{
    switch (f->state) {
    case SEEK:
        return seek(f);
    case BEGUN:
        return begun(f, e);
    case HEAD:
        return head(f, p, e);
    case VALUE:
        return value(f, p, e);
    case FILE_DATA:
        return file_data(f, p);
    case OVER:
        break;
    }
    return 0;
}

int sx_form_next(struct sx_form *f, struct sx_form_piece *p, struct sx_err *e)
{
    int r;

    *p = (struct sx_form_piece){ .event = SX_FORM_MORE };
    do {
        r = step(f, p, e);
        if (r >= 0 && pre(f) > SX_FORM_PRE_MAX)
            return sx_s3_fail(e, SX_S3_MAX_POST_PRE_DATA);
    } while (r == 1 && p->event == SX_FORM_MORE);
    if (r != 0)
        return r < 0 ? -1 : 0;
    sx_buf_consume(&f->in, f->used);
    f->used = 0;
    return 0;
}
