/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Access control lists: what is granted beside the owner's full control.  Pure functions.
 *
 * Kept as a JSON object from grantee to a sum of enum sx_acl_right: {"*":1,"bob":15}.  Grantees are
 * users of the cluster by name; "*" is everybody, "+" whoever has a key.  (Names of users have two
 * characters at least.)
 */
#ifndef SX_FCGI_S3_ACL_H
#define SX_FCGI_S3_ACL_H

#include "fcgi/s3/xml.h"
#include "libsx/base/buf.h"
#include "libsx/base/json.h"

#define SX_ACL_GRANTS_MAX 100u
#define SX_ACL_EVERYBODY "*"
#define SX_ACL_KEYHOLDERS "+"

enum sx_acl_right {
    SX_ACL_READ = 1,
    SX_ACL_WRITE = 2,
    SX_ACL_READ_ACP = 4,
    SX_ACL_WRITE_ACP = 8,
    SX_ACL_FULL = 15
};

/* All of these add to the object `acl`; grants to `owner` are left out, since he has all. */
/* "public-read", …: SX_S3_INVALID_ARGUMENT if it is not known. */
int sx_acl_canned(const char *name, json_t *acl, struct sx_err *e) SX_MUST_CHECK;
/* The value of an x-amz-grant-… header: id="bob", uri="…".  SX_S3_INVALID_ARGUMENT,
 * SX_S3_UNRESOLVABLE_GRANT. */
int sx_acl_header(const char *value, unsigned rights, const char *owner, json_t *acl,
                  struct sx_err *e) SX_MUST_CHECK;
/* <AccessControlPolicy>: SX_S3_MALFORMED_ACL, and as above. */
int sx_acl_xml(const struct sx_xml_node *top, const char *owner, json_t *acl, struct sx_err *e)
    SX_MUST_CHECK;

/* The document that tells it; `acl` may be NULL. */
void sx_acl_write(const json_t *acl, const char *owner, struct sx_buf *out);

/* What it gives to a user (NULL: to anybody), with or without what it gives to the groups. */
unsigned sx_acl_rights(const json_t *acl, const char *user, bool groups);
bool sx_acl_is_public(const json_t *acl);
/* The right that `action` needs of the ACL of an object, or of a bucket; 0: no ACL gives it. */
unsigned sx_acl_need(const char *action, bool object);

#endif
