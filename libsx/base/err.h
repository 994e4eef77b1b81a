/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Errors: a code and a message.  A function that can fail takes a `struct sx_err *`
 * as its last argument and returns 0, or -1 with the error set.  The message is set
 * once, where the error is found, with names and numbers; callers add context in
 * front of it on the way up: "store block 3f02…: append pack 12: no space left".
 *
 * A function that succeeds leaves no error there, not even that of an attempt which it repeated:
 * callers keep one error for a whole piece of work and look at its code in the end.
 *
 * A `struct sx_err *` may be NULL where the caller does not care for the reason.
 */
#ifndef SX_BASE_ERR_H
#define SX_BASE_ERR_H

#include <stdbool.h>

enum sx_err_code {
#define SX_ERR(sym, num, name, http, retry, severity, text) sym = num,
#include "libsx/base/err.def"
#undef SX_ERR
};

enum sx_err_retry { SX_RETRY_NO, SX_RETRY_SAME, SX_RETRY_OTHER };

enum sx_err_severity {
    SX_SEVERITY_EXPECTED,
    SX_SEVERITY_STRANGE,
    SX_SEVERITY_CORRUPT,
    SX_SEVERITY_ADMIN,
    SX_SEVERITY_BUG
};

#define SX_ERR_MSG_MAX 512

struct sx_err {
    int code; /* enum sx_err_code */
    char msg[SX_ERR_MSG_MAX];
};

#define SX_ERR_INIT { .code = SX_OK }

#define SX_MUST_CHECK __attribute__((warn_unused_result))

/* Sets code and message (replacing what was there).  Returns -1, so that a function
 * can end with `return sx_err_set(e, SX_EINVAL, "…")`. */
int sx_err_set(struct sx_err *e, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* The same for a failed system call: appends strerror(errnum) to the message and
 * chooses the code from errnum (ENOSPC and EDQUOT: SX_ENOSPACE, ENOMEM: SX_ENOMEM,
 * ENOENT: SX_ENOTFOUND, EACCES and EPERM: SX_EACCESS, connection errors: SX_ENET, else SX_EIO). */
int sx_err_errno(struct sx_err *e, int errnum, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "context: " in front of the message; keeps the code.  Returns -1. */
int sx_err_wrap(struct sx_err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

void sx_err_clear(struct sx_err *e);
void sx_err_copy(struct sx_err *to, const struct sx_err *from);

/* Facts of a code, from err.def; an unknown code has those of SX_EBUG. */
const char *sx_err_name(int code);
const char *sx_err_text(int code);
int sx_err_http(int code);
enum sx_err_retry sx_err_retry(int code);
enum sx_err_severity sx_err_severity(int code);
int sx_err_from_name(const char *name); /* SX_EBUG if unknown */

/* For our own mistakes only, never for input, disk or network.  Stays in release
 * builds: prints the place and aborts; a supervisor starts the process anew. */
#define sx_assert(cond)                                                                            \
    do {                                                                                           \
        if (__builtin_expect(!(cond), 0))                                                          \
            sx_assert_failed(#cond, __FILE__, __LINE__, __func__);                                 \
    } while (0)

_Noreturn void sx_assert_failed(const char *cond, const char *file, int line, const char *func);

#endif
