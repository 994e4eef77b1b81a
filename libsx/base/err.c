/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The error table and the functions that set and extend errors.  See err.h.
 */
#include "libsx/base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libsx/base/log.h"

#define NO SX_RETRY_NO
#define SAME SX_RETRY_SAME
#define OTHER SX_RETRY_OTHER
#define EXPECTED SX_SEVERITY_EXPECTED
#define STRANGE SX_SEVERITY_STRANGE
#define CORRUPT SX_SEVERITY_CORRUPT
#define ADMIN SX_SEVERITY_ADMIN
#define BUG SX_SEVERITY_BUG

static const struct row {
    int code;
    const char *name;
    int http;
    enum sx_err_retry retry;
    enum sx_err_severity severity;
    const char *text;
} rows[] = {
#define SX_ERR(sym, num, name, http, retry, severity, text)                                        \
    { num, name, http, retry, severity, text },
#include "libsx/base/err.def"
#undef SX_ERR
};

#undef NO
#undef SAME
#undef OTHER
#undef EXPECTED
#undef STRANGE
#undef CORRUPT
#undef ADMIN
#undef BUG

static const struct row *row_of(int code)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].code == code)
            return &rows[i];
    return row_of(SX_EBUG);
}

static int code_of_errno(int errnum)
{
    switch (errnum) {
    case ENOSPC:
    case EDQUOT:
        return SX_ENOSPACE;
    case ENOMEM:
    case EMFILE: /* this process lacks something; it says nothing of the file */
    case ENFILE:
        return SX_ENOMEM;
    case ENOENT:
        return SX_ENOTFOUND;
    case EACCES:
    case EPERM:
        return SX_EACCESS;
    case EEXIST:
        return SX_EEXIST;
    case ECONNREFUSED:
    case ECONNRESET:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EPIPE:
        return SX_ENET;
    case ETIMEDOUT:
        return SX_ETIMEOUT;
    default:
        return SX_EIO;
    }
}

int sx_err_set(struct sx_err *e, int code, const char *fmt, ...)
{
    va_list ap;

    if (!e)
        return -1;
    e->code = code;
    va_start(ap, fmt);
    vsnprintf(e->msg, sizeof e->msg, fmt, ap);
    va_end(ap);
    return -1;
}

int sx_err_errno(struct sx_err *e, int errnum, const char *fmt, ...)
{
    va_list ap;
    size_t n;
    char text[96];

    if (!e)
        return -1;
    e->code = code_of_errno(errnum);
    va_start(ap, fmt);
    vsnprintf(e->msg, sizeof e->msg, fmt, ap);
    va_end(ap);
    n = strlen(e->msg);
    snprintf(e->msg + n, sizeof e->msg - n, ": %s", strerror_r(errnum, text, sizeof text));
    return -1;
}

int sx_err_wrap(struct sx_err *e, const char *fmt, ...)
{
    char old[SX_ERR_MSG_MAX];
    va_list ap;
    size_t n;

    if (!e)
        return -1;
    memcpy(old, e->msg, sizeof old);
    va_start(ap, fmt);
    vsnprintf(e->msg, sizeof e->msg, fmt, ap);
    va_end(ap);
    n = strlen(e->msg);
    snprintf(e->msg + n, sizeof e->msg - n, ": %s", old);
    return -1;
}

void sx_err_clear(struct sx_err *e)
{
    if (!e)
        return;
    e->code = SX_OK;
    e->msg[0] = '\0';
}

void sx_err_copy(struct sx_err *to, const struct sx_err *from)
{
    if (to && to != from)
        *to = *from;
}

const char *sx_err_name(int code)
{
    return row_of(code)->name;
}

const char *sx_err_text(int code)
{
    return row_of(code)->text;
}

int sx_err_http(int code)
{
    return row_of(code)->http;
}

enum sx_err_retry sx_err_retry(int code)
{
    return row_of(code)->retry;
}

enum sx_err_severity sx_err_severity(int code)
{
    return row_of(code)->severity;
}

int sx_err_from_name(const char *name)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (strcmp(rows[i].name, name) == 0)
            return rows[i].code;
    return SX_EBUG;
}

_Noreturn void sx_assert_failed(const char *cond, const char *file, int line, const char *func)
{
    sx_log(SX_LOG_ERROR, "assertion failed: %s at %s:%d in %s()", cond, file, line, func);
    abort();
}
