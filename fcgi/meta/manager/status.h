/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The manager's view of its groups and peers as JSON; the shape is described at sx_meta_status() in
 * fcgi/meta/meta.h.
 */
#ifndef SX_FCGI_META_MANAGER_STATUS_H
#define SX_FCGI_META_MANAGER_STATUS_H

#include "fcgi/meta/manager/drive.h"
#include "fcgi/meta/manager/links.h"

json_t *sx_manager_status(const struct sx_drive *d, const struct sx_links *l, unsigned group);

#endif
