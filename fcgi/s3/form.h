/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A body of type multipart/form-data (RFC 7578), as browsers send it to PostObject: fields, then a
 * file, piece by piece in bounded memory.  What stands before the file is kept, at most
 * SX_FORM_PRE_MAX bytes; the file passes through; what follows it is not looked at, as S3 has it.
 *
 *   while (bytes come) {
 *       sx_form_feed(f, bytes, n);
 *       do {
 *           sx_form_next(f, &p, e);
 *           … p.event …
 *       } while (p.event != SX_FORM_MORE);
 *   }
 *   the body was whole only if SX_FORM_END came
 */
#ifndef SX_FCGI_S3_FORM_H
#define SX_FCGI_S3_FORM_H

#include "libsx/base/buf.h"
#include "libsx/base/err.h"

#define SX_FORM_PRE_MAX (64u << 10) /* bytes before the file's */

struct sx_form;

enum sx_form_event {
    SX_FORM_MORE,  /* feed more */
    SX_FORM_FIELD, /* name, value */
    SX_FORM_FILE,  /* the file begins: value is its name, "" if it has none */
    SX_FORM_DATA,  /* bytes of the file */
    SX_FORM_END    /* the file has ended */
};

/* Valid until the next call. */
struct sx_form_piece {
    enum sx_form_event event;
    const char *name, *value;
    const uint8_t *data;
    size_t n;
};

/* `type` is the Content-Type.  SX_S3_PRECONDITION_FAILED if it is no form, SX_S3_MALFORMED_POST
 * if it gives no boundary. */
int sx_form_open(struct sx_form **f, const char *type, struct sx_err *e) SX_MUST_CHECK;
void sx_form_free(struct sx_form *f); /* NULL is legal */
void sx_form_feed(struct sx_form *f, const void *p, size_t n);
/* SX_S3_MALFORMED_POST, SX_S3_MAX_POST_PRE_DATA; SX_S3_INVALID_ARGUMENT for a form without file. */
int sx_form_next(struct sx_form *f, struct sx_form_piece *p, struct sx_err *e) SX_MUST_CHECK;

#endif
