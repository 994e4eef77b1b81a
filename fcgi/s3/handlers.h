/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The handlers of the gateway's operations: which serves what, and the right on the volume that it
 * needs where no policy speaks.  An operation without a row is answered with NotImplemented.
 */
#ifndef SX_FCGI_S3_HANDLERS_H
#define SX_FCGI_S3_HANDLERS_H

#include "fcgi/s3/s3.h"

/* X(operation of ops.def, handler, right) */
#define SX_S3_HANDLERS(X)                                                                          \
    X(LIST_BUCKETS, list_buckets, 0)                                                               \
    X(CREATE_BUCKET, create_bucket, 0)                                                             \
    X(HEAD_BUCKET, head_bucket, SX_RIGHT_READ)                                                     \
    X(DELETE_BUCKET, delete_bucket, SX_RIGHT_OWNER)                                                \
    X(GET_BUCKET_LOCATION, get_location, SX_RIGHT_READ)                                            \
    X(LIST_OBJECTS, list_v1, SX_RIGHT_READ)                                                        \
    X(LIST_OBJECTS_V2, list_v2, SX_RIGHT_READ)                                                     \
    X(LIST_OBJECT_VERSIONS, list_versions, SX_RIGHT_READ)                                          \
    X(GET_BUCKET_VERSIONING, get_versioning, SX_RIGHT_READ)                                        \
    X(PUT_BUCKET_VERSIONING, put_versioning, SX_RIGHT_OWNER)                                       \
    X(PUT_OBJECT, put_object, SX_RIGHT_WRITE)                                                      \
    X(COPY_OBJECT, copy_object, SX_RIGHT_WRITE)                                                    \
    X(GET_OBJECT, get_object, SX_RIGHT_READ)                                                       \
    X(HEAD_OBJECT, get_object, SX_RIGHT_READ)                                                      \
    X(DELETE_OBJECT, delete_object, SX_RIGHT_WRITE)                                                \
    X(DELETE_OBJECTS, delete_objects, SX_RIGHT_WRITE)                                              \
    X(CREATE_MULTIPART_UPLOAD, create_upload, SX_RIGHT_WRITE)                                      \
    X(UPLOAD_PART, upload_part, SX_RIGHT_WRITE)                                                    \
    X(COMPLETE_MULTIPART_UPLOAD, complete_upload, SX_RIGHT_WRITE)                                  \
    X(ABORT_MULTIPART_UPLOAD, abort_upload, SX_RIGHT_WRITE)                                        \
    X(LIST_PARTS, list_parts, SX_RIGHT_WRITE)                                                      \
    X(LIST_MULTIPART_UPLOADS, list_uploads, SX_RIGHT_READ)                                         \
    X(UPLOAD_PART_COPY, upload_part_copy, SX_RIGHT_WRITE)                                          \
    X(GET_OBJECT_ATTRIBUTES, get_attributes, SX_RIGHT_READ)                                        \
    X(GET_OBJECT_LOCK_CONFIGURATION, get_lock_config, SX_RIGHT_READ)                               \
    X(PUT_OBJECT_LOCK_CONFIGURATION, put_lock_config, SX_RIGHT_OWNER)                              \
    X(GET_OBJECT_RETENTION, get_retention, SX_RIGHT_READ)                                          \
    X(PUT_OBJECT_RETENTION, put_retention, SX_RIGHT_WRITE)                                         \
    X(GET_OBJECT_LEGAL_HOLD, get_legal_hold, SX_RIGHT_READ)                                        \
    X(PUT_OBJECT_LEGAL_HOLD, put_legal_hold, SX_RIGHT_WRITE)

#define X(op, fn, need) sx_s3_handler sx_s3_##fn;
SX_S3_HANDLERS(X)
#undef X

#endif
