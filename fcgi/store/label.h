/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The label of a device: the file `device` in its directory says of which cluster and node it is
 * and which device there.  An empty directory (a disk that is not mounted) or a disk of another
 * node has none that fits, and is never written to.
 */
#ifndef SX_FCGI_STORE_LABEL_H
#define SX_FCGI_STORE_LABEL_H

#include "fcgi/store/values.h"
#include "libsx/base/err.h"

struct sx_label {
    uint8_t cluster[16];
    uint64_t node;
    uint32_t device;
};

/* SX_ENOTFOUND: there is none; SX_ECORRUPT: it cannot be read. */
int sx_label_read(const struct sx_io *io, const char *dir, struct sx_label *l,
                  struct sx_err *e) SX_MUST_CHECK;
/* Durable on return. */
int sx_label_write(const struct sx_io *io, const char *dir, const struct sx_label *l,
                   struct sx_err *e) SX_MUST_CHECK;
/* SX_ECONFLICT unless the directory has just this label; the message says what to look at. */
int sx_label_check(const struct sx_io *io, const char *dir, const struct sx_label *want,
                   struct sx_err *e) SX_MUST_CHECK;

#endif
