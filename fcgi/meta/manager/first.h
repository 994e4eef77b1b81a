/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The first commands of a new cluster: DIR/meta/bootstrap.bin, which sxsetup wrote (format:
 * command.h).  While the file is there they are submitted as soon as this node leads; when they are
 * applied the file is removed.  They have op ids, so doing it again after a crash is harmless.
 */
#ifndef SX_FCGI_META_MANAGER_FIRST_H
#define SX_FCGI_META_MANAGER_FIRST_H

#include "fcgi/meta/manager/drive.h"

struct sx_first;

struct sx_first *sx_first_new(const char *dir);
void sx_first_free(struct sx_first *f);

bool sx_first_waiting(const struct sx_first *f); /* the file is there */
/* Submits, if it is time; call it now and then.  -1: the file is bad. */
int sx_first_submit(struct sx_first *f, struct sx_drive *d, struct sx_err *e) SX_MUST_CHECK;
/* Of every command that was applied. */
void sx_first_result(struct sx_first *f, const uint8_t op[SX_OP_ID], int code, const void *p,
                     size_t n);

#endif
