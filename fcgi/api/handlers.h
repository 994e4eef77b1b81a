/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The handlers of the routes, one file a subject.  Each answers the request and returns 0, or
 * returns -1 with the error that the request is answered with.
 */
#ifndef SX_FCGI_API_HANDLERS_H
#define SX_FCGI_API_HANDLERS_H

#include "fcgi/api/route.h"

#define SX_HANDLERS(X)                                                                             \
    X(ping) X(cluster) X(status) X(space) X(token_create) X(join) X(node_delete)                   \
    X(volumes) X(volume_create) X(volume_get) X(volume_modify) X(volume_delete)                    \
    X(acl_get) X(acl_change)                                                                       \
    X(self) X(users) X(user_create) X(user_get) X(user_modify) X(user_delete)                      \
    X(key_create) X(key_delete)                                                                    \
    X(list) X(file_get) X(files_get) X(file_put) X(files_put) X(file_delete) X(revisions)          \
    X(copy) X(rename)                                                                              \
    X(upload_begin) X(upload_part) X(upload_abort)                                                 \
    X(have) X(blocks_put) X(blocks_get)                                                            \
    X(job_create) X(job_get) X(jobs) X(job_cancel)                                                 \
    X(node_have) X(node_blocks_put) X(node_blocks_get) X(node_status) X(node_space)

#define X(name) sx_handler_fn sx_h_##name;
SX_HANDLERS(X)
#undef X

#endif
