/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Scope-bound clean-up and checked allocation.
 *
 *   SX_AUTO_FREE char *p = …;              free(p) at the end of the scope
 *   SX_AUTO_CLOSE int fd = …;              close(fd) unless it is -1
 *   SX_AUTO(sx_buf) struct sx_buf b = …;   sx_buf_fini(&b)
 *   SX_AUTO_JSON json_t *j = …;            json_decref(j)
 */
#ifndef SX_BASE_MEM_H
#define SX_BASE_MEM_H

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

static inline void sx_auto_free_(void *p)
{
    free(*(void **)p);
}

static inline void sx_auto_close_(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

static inline void sx_auto_unlock_(pthread_mutex_t **m)
{
    if (*m)
        pthread_mutex_unlock(*m);
}

#define SX_AUTO_FREE __attribute__((cleanup(sx_auto_free_)))
#define SX_AUTO_CLOSE __attribute__((cleanup(sx_auto_close_)))
#define SX_AUTO(type) __attribute__((cleanup(type##_fini)))

/* Holds a mutex until the end of the scope. */
#define SX_LOCK_CAT2(a, b) a##b
#define SX_LOCK_CAT(a, b) SX_LOCK_CAT2(a, b)
#define SX_AUTO_LOCK(m)                                                                            \
    __attribute__((cleanup(sx_auto_unlock_), unused)) pthread_mutex_t *SX_LOCK_CAT(sx_lock_, __LINE__) =   \
        (pthread_mutex_lock(m), (m))

/* Gives up a pointer or descriptor that a clean-up attribute would release. */
#define SX_STEAL(p)                                                                                \
    __extension__({                                                                                \
        __typeof__(p) sx_stolen_ = (p);                                                            \
        (p) = NULL;                                                                                \
        sx_stolen_;                                                                                \
    })

static inline int sx_steal_fd(int *fd)
{
    int r = *fd;

    *fd = -1;
    return r;
}

/* Small allocations whose failure leaves nothing sensible to do: never NULL, the process
 * ends with a log line.  Sizes that come from a request or from disk must be
 * bounded before they get here. */
void *sx_malloc(size_t n) __attribute__((malloc, returns_nonnull));
void *sx_calloc(size_t n, size_t size) __attribute__((malloc, returns_nonnull));
void *sx_realloc(void *p, size_t n) __attribute__((returns_nonnull));
char *sx_strdup(const char *s) __attribute__((malloc, returns_nonnull));
char *sx_strndup(const char *s, size_t n) __attribute__((malloc, returns_nonnull));
char *sx_asprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2), returns_nonnull));

/* Overwrites a secret; the compiler may not leave it out. */
void sx_wipe(void *p, size_t n);

#endif
