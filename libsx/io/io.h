/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The seam between the core and the operating system's files.  All that must survive a
 * crash (packs, the consensus log, the vote) is written through such a table, so that a test can
 * make the n-th call fail, lose what was not synced, or count syncs.
 *
 * Calls have the meaning and the results of the system calls of the same name: -1 with errno on
 * failure.  sx_io_pwrite_all() and sx_io_pread_all() finish short counts.
 */
#ifndef SX_IO_IO_H
#define SX_IO_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "libsx/base/buf.h"
#include "libsx/base/err.h"

struct sx_io {
    int (*open)(const struct sx_io *io, const char *path, int flags, mode_t mode);
    int (*close)(const struct sx_io *io, int fd);
    ssize_t (*pread)(const struct sx_io *io, int fd, void *p, size_t n, off_t at);
    ssize_t (*pwritev)(const struct sx_io *io, int fd, const struct iovec *iov, int count, off_t at);
    int (*fdatasync)(const struct sx_io *io, int fd);
    int (*fsync)(const struct sx_io *io, int fd);
    int (*ftruncate)(const struct sx_io *io, int fd, off_t size);
    int (*fallocate)(const struct sx_io *io, int fd, off_t at, off_t n);
    int (*rename)(const struct sx_io *io, const char *from, const char *to);
    int (*unlink)(const struct sx_io *io, const char *path);
    int (*fstat)(const struct sx_io *io, int fd, struct stat *st);
    void *ctx; /* of a test's layer */
};

extern const struct sx_io sx_io_posix;

/* Whole transfers.  A read that ends early is SX_ECORRUPT "… is too short". */
int sx_io_pwrite_all(const struct sx_io *io, int fd, const void *p, size_t n, uint64_t at,
                     struct sx_err *e) SX_MUST_CHECK;
int sx_io_pread_all(const struct sx_io *io, int fd, void *p, size_t n, uint64_t at,
                    struct sx_err *e) SX_MUST_CHECK;
/* fsync of a directory, so that a name made or removed in it is durable. */
int sx_io_sync_dir(const struct sx_io *io, const char *dir, struct sx_err *e) SX_MUST_CHECK;
/* Writes path.tmp, fsyncs it, renames it over path, fsyncs the directory.  After success the
 * new content is durable, after a failure or crash the old one is whole. */
int sx_io_replace(const struct sx_io *io, const char *path, const void *p, size_t n, mode_t mode,
                  struct sx_err *e) SX_MUST_CHECK;
/* Appends the whole file to `out`; SX_ETOOBIG beyond `max`, SX_ENOTFOUND if there is none. */
int sx_io_read_file(const struct sx_io *io, const char *path, size_t max, struct sx_buf *out,
                    struct sx_err *e) SX_MUST_CHECK;
/* mkdir -p with mode 0750. */
int sx_io_mkdirs(const char *path, struct sx_err *e) SX_MUST_CHECK;

#endif
