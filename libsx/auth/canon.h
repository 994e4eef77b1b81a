/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The canonical forms that signatures of either version are made of; for the files of this folder.
 */
#ifndef SX_AUTH_CANON_H
#define SX_AUTH_CANON_H

#include "libsx/auth/sig.h"

/* Path or query text: every byte is decoded once and encoded again by AWS's rule, so that a client
 * that encodes more, or less, than it must signs the same text.  With `plus` a '+' is a space. A
 * bad escape stays as it is; the request is refused elsewhere. */
void sx_canon_text(struct sx_buf *out, const char *s, size_t n, bool keep_slash, bool plus);

/* The query of V4: sorted by name, then by value; without the parameter `but` (if not NULL).
 * SX_EAUTH for more than SX_SIG_PARAMS_MAX parameters. */
int sx_canon_query(struct sx_buf *out, const struct sx_sig_request *r, const char *but,
                   struct sx_err *e) SX_MUST_CHECK;

/* One line "name:value\n" for the header `lower` (n bytes), repeated ones joined by ','; with
 * `fold` runs of spaces become one (V4).  Returns how often the header is there. */
size_t sx_canon_header(struct sx_buf *out, const struct sx_sig_request *r, const char *lower,
                       size_t n, bool fold);

/* The decoded value of a query parameter, in `out` (replaced): 1, or 0 if it is not there; -1 with
 * SX_EAUTH for a bad escape or if it is there twice.  '+' stays '+'. */
int sx_canon_param(struct sx_buf *out, const char *query, const char *name, struct sx_err *e)
    SX_MUST_CHECK;

/* Whether the header (of any case) is in a list "a;b;c". */
bool sx_canon_listed(const char *list, const char *name);

/* Notes the kind of fault in the claim and sets the error.  Returns -1. */
int sx_sig_fail(struct sx_sig_claim *c, enum sx_sig_fault fault, struct sx_err *e, const char *fmt,
                ...) __attribute__((format(printf, 4, 5)));

#endif
