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
    X(POST_OBJECT, post_object, SX_RIGHT_WRITE)                                                     \
    X(UPLOAD_PART_COPY, upload_part_copy, SX_RIGHT_WRITE)                                          \
    X(GET_OBJECT_ATTRIBUTES, get_attributes, SX_RIGHT_READ)                                        \
    X(GET_OBJECT_LOCK_CONFIGURATION, get_lock_config, SX_RIGHT_READ)                               \
    X(PUT_OBJECT_LOCK_CONFIGURATION, put_lock_config, SX_RIGHT_OWNER)                              \
    X(GET_OBJECT_RETENTION, get_retention, SX_RIGHT_READ)                                          \
    X(PUT_OBJECT_RETENTION, put_retention, SX_RIGHT_WRITE)                                         \
    X(GET_OBJECT_LEGAL_HOLD, get_legal_hold, SX_RIGHT_READ)                                        \
    X(PUT_OBJECT_LEGAL_HOLD, put_legal_hold, SX_RIGHT_WRITE)                                       \
    X(GET_BUCKET_CORS, get_document, SX_RIGHT_READ)                                                \
    X(PUT_BUCKET_CORS, put_document, SX_RIGHT_OWNER)                                               \
    X(DELETE_BUCKET_CORS, delete_document, SX_RIGHT_OWNER)                                         \
    X(GET_BUCKET_LIFECYCLE, get_document, SX_RIGHT_READ)                                           \
    X(PUT_BUCKET_LIFECYCLE, put_document, SX_RIGHT_OWNER)                                          \
    X(DELETE_BUCKET_LIFECYCLE, delete_document, SX_RIGHT_OWNER)                                    \
    X(GET_BUCKET_TAGGING, get_document, SX_RIGHT_READ)                                             \
    X(PUT_BUCKET_TAGGING, put_document, SX_RIGHT_OWNER)                                            \
    X(DELETE_BUCKET_TAGGING, delete_document, SX_RIGHT_OWNER)                                      \
    X(GET_BUCKET_WEBSITE, get_document, SX_RIGHT_READ)                                             \
    X(PUT_BUCKET_WEBSITE, put_document, SX_RIGHT_OWNER)                                            \
    X(DELETE_BUCKET_WEBSITE, delete_document, SX_RIGHT_OWNER)                                      \
    X(GET_BUCKET_OWNERSHIP_CONTROLS, get_document, SX_RIGHT_READ)                                  \
    X(PUT_BUCKET_OWNERSHIP_CONTROLS, put_document, SX_RIGHT_OWNER)                                 \
    X(DELETE_BUCKET_OWNERSHIP_CONTROLS, delete_document, SX_RIGHT_OWNER)                           \
    X(GET_BUCKET_ENCRYPTION, get_document, SX_RIGHT_READ)                                          \
    X(PUT_BUCKET_ENCRYPTION, put_document, SX_RIGHT_OWNER)                                         \
    X(DELETE_BUCKET_ENCRYPTION, delete_document, SX_RIGHT_OWNER)                                   \
    X(GET_BUCKET_REPLICATION, get_document, SX_RIGHT_READ)                                         \
    X(PUT_BUCKET_REPLICATION, put_document, SX_RIGHT_OWNER)                                        \
    X(DELETE_BUCKET_REPLICATION, delete_document, SX_RIGHT_OWNER)                                  \
    X(GET_PUBLIC_ACCESS_BLOCK, get_document, SX_RIGHT_READ)                                        \
    X(PUT_PUBLIC_ACCESS_BLOCK, put_document, SX_RIGHT_OWNER)                                       \
    X(DELETE_PUBLIC_ACCESS_BLOCK, delete_document, SX_RIGHT_OWNER)                                 \
    X(GET_BUCKET_NOTIFICATION, get_document, SX_RIGHT_READ)                                        \
    X(PUT_BUCKET_NOTIFICATION, put_document, SX_RIGHT_OWNER)                                       \
    X(GET_BUCKET_LOGGING, get_document, SX_RIGHT_READ)                                             \
    X(PUT_BUCKET_LOGGING, put_document, SX_RIGHT_OWNER)                                            \
    X(GET_BUCKET_REQUEST_PAYMENT, get_document, SX_RIGHT_READ)                                     \
    X(PUT_BUCKET_REQUEST_PAYMENT, put_document, SX_RIGHT_OWNER)                                    \
    X(GET_BUCKET_ACCELERATE, get_document, SX_RIGHT_READ)                                          \
    X(PUT_BUCKET_ACCELERATE, put_document, SX_RIGHT_OWNER)                                         \
    X(LIST_BUCKET_INVENTORY, get_document, SX_RIGHT_READ)                                          \
    X(GET_BUCKET_INVENTORY, get_document, SX_RIGHT_READ)                                           \
    X(DELETE_BUCKET_INVENTORY, delete_document, SX_RIGHT_OWNER)                                    \
    X(LIST_BUCKET_ANALYTICS, get_document, SX_RIGHT_READ)                                          \
    X(GET_BUCKET_ANALYTICS, get_document, SX_RIGHT_READ)                                           \
    X(DELETE_BUCKET_ANALYTICS, delete_document, SX_RIGHT_OWNER)                                    \
    X(LIST_BUCKET_METRICS, get_document, SX_RIGHT_READ)                                            \
    X(GET_BUCKET_METRICS, get_document, SX_RIGHT_READ)                                             \
    X(DELETE_BUCKET_METRICS, delete_document, SX_RIGHT_OWNER)                                      \
    X(LIST_BUCKET_INTELLIGENT_TIERING, get_document, SX_RIGHT_READ)                                \
    X(GET_BUCKET_INTELLIGENT_TIERING, get_document, SX_RIGHT_READ)                                 \
    X(DELETE_BUCKET_INTELLIGENT_TIERING, delete_document, SX_RIGHT_OWNER)                          \
    X(GET_BUCKET_POLICY, get_policy, SX_RIGHT_OWNER)                                               \
    X(PUT_BUCKET_POLICY, put_policy, SX_RIGHT_OWNER)                                               \
    X(DELETE_BUCKET_POLICY, delete_policy, SX_RIGHT_OWNER)                                         \
    X(GET_BUCKET_POLICY_STATUS, get_policy_status, SX_RIGHT_READ)                                  \
    X(GET_BUCKET_ACL, get_bucket_acl, SX_RIGHT_READ)                                               \
    X(PUT_BUCKET_ACL, put_bucket_acl, SX_RIGHT_OWNER)                                              \
    X(GET_OBJECT_ACL, get_object_acl, SX_RIGHT_READ)                                               \
    X(PUT_OBJECT_ACL, put_object_acl, SX_RIGHT_MANAGER | SX_RIGHT_WRITE)                           \
    X(GET_OBJECT_TAGGING, get_tagging, SX_RIGHT_READ)                                              \
    X(PUT_OBJECT_TAGGING, put_tagging, SX_RIGHT_WRITE)                                             \
    X(DELETE_OBJECT_TAGGING, delete_tagging, SX_RIGHT_WRITE)                                       \
    X(PREFLIGHT_SERVICE, preflight, 0)                                                             \
    X(PREFLIGHT_BUCKET, preflight, 0)                                                              \
    X(PREFLIGHT_OBJECT, preflight, 0)

#define X(op, fn, need) sx_s3_handler sx_s3_##fn;
SX_S3_HANDLERS(X)
#undef X

#endif
