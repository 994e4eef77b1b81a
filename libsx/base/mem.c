/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * See mem.h.
 */
#include "libsx/base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "libsx/base/err.h"
#include "libsx/base/log.h"

static void *checked(void *p, size_t n)
{
    if (!p && n) {
        sx_error("out of memory: %zu bytes", n);
        abort();
    }
    return p;
}

void *sx_malloc(size_t n)
{
    return checked(malloc(n ? n : 1), n);
}

void *sx_calloc(size_t n, size_t size)
{
    return checked(calloc(n ? n : 1, size ? size : 1), n * size);
}

void *sx_realloc(void *p, size_t n)
{
    return checked(realloc(p, n ? n : 1), n);
}

char *sx_strdup(const char *s)
{
    return checked(strdup(s), 1);
}

char *sx_strndup(const char *s, size_t n)
{
    return checked(strndup(s, n), n + 1);
}

char *sx_asprintf(const char *fmt, ...)
{
    char *s = NULL;
    va_list ap;

    va_start(ap, fmt);
    if (vasprintf(&s, fmt, ap) < 0)
        s = NULL;
    va_end(ap);
    return checked(s, 1);
}

void sx_wipe(void *p, size_t n)
{
    if (n > 0) /* p may be NULL then */
        explicit_bzero(p, n);
}
