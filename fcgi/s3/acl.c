/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See acl.h.
 */
#include "fcgi/s3/acl.h"

#include <string.h>
#include <strings.h>

#include "fcgi/s3/s3err.h"
#include "fcgi/s3/shape.h"
#include "fcgi/s3/xmlout.h"
#include "libsx/base/mem.h"

#define GROUP_EVERYBODY "http://acs.amazonaws.com/groups/global/AllUsers"
#define GROUP_KEYHOLDERS "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"

static const struct {
    const char *name;
    unsigned right;
} permissions[] = {
    { "FULL_CONTROL", SX_ACL_FULL }, { "READ", SX_ACL_READ }, { "WRITE", SX_ACL_WRITE },
    { "READ_ACP", SX_ACL_READ_ACP }, { "WRITE_ACP", SX_ACL_WRITE_ACP },
};
#define N_PERMISSIONS (sizeof permissions / sizeof *permissions)

static unsigned rights_of(const json_t *acl, const char *who)
{
    return (unsigned)json_integer_value(json_object_get(acl, who));
}

static int add(json_t *acl, const char *who, unsigned rights, struct sx_err *e)
{
    json_object_set_new(acl, who, json_integer((json_int_t)(rights_of(acl, who) | rights)));
    return json_object_size(acl) > SX_ACL_GRANTS_MAX
               ? sx_err_set(e, SX_S3_INVALID_REQUEST, "An ACL can have at most %u grantees",
                            SX_ACL_GRANTS_MAX)
               : 0;
}

/* ---- reading ---- */

int sx_acl_canned(const char *name, json_t *acl, struct sx_err *e)
{
    static const struct {
        const char *name, *who;
        unsigned rights;
    } canned[] = {
        { "private", NULL, 0 },
        { "public-read", SX_ACL_EVERYBODY, SX_ACL_READ },
        { "public-read-write", SX_ACL_EVERYBODY, SX_ACL_READ | SX_ACL_WRITE },
        { "authenticated-read", SX_ACL_KEYHOLDERS, SX_ACL_READ },
        { "aws-exec-read", NULL, 0 },
        { "bucket-owner-read", NULL, 0 }, /* all objects are the bucket's owner's */
        { "bucket-owner-full-control", NULL, 0 },
    };

    for (size_t i = 0; i < sizeof canned / sizeof *canned; i++)
        if (strcmp(name, canned[i].name) == 0)
            return canned[i].who ? add(acl, canned[i].who, canned[i].rights, e) : 0;
    return sx_err_set(e, SX_S3_INVALID_ARGUMENT, "'%.60s' is no canned ACL", name);
}

static int add_group(const char *uri, unsigned rights, json_t *acl, struct sx_err *e)
{
    if (strcmp(uri, GROUP_EVERYBODY) == 0)
        return add(acl, SX_ACL_EVERYBODY, rights, e);
    if (strcmp(uri, GROUP_KEYHOLDERS) == 0)
        return add(acl, SX_ACL_KEYHOLDERS, rights, e);
    return sx_err_set(e, SX_S3_INVALID_ARGUMENT, "Invalid group uri");
}

static int add_user(const char *id, unsigned rights, const char *owner, json_t *acl,
                    struct sx_err *e)
{
    if (strlen(id) < 2)
        return sx_err_set(e, SX_S3_INVALID_ARGUMENT, "Invalid id");
    return strcmp(id, owner) == 0 ? 0 : add(acl, id, rights, e);
}

/* One of kind=value or kind="value", of n bytes. */
static int add_header(const char *p, size_t n, unsigned rights, const char *owner, json_t *acl,
                      struct sx_err *e)
{
    const char *eq = memchr(p, '=', n);
    size_t kind = eq ? (size_t)(eq - p) : 0, from = kind + 1, to = n;
    SX_AUTO_FREE char *value = NULL;

    if (!eq)
        return sx_err_set(e, SX_S3_INVALID_ARGUMENT, "Argument format not recognized");
    if (to - from >= 2 && p[from] == '"' && p[to - 1] == '"') {
        from++;
        to--;
    }
    value = sx_strndup(p + from, to - from);
    if (kind == 2 && strncasecmp(p, "id", kind) == 0)
        return add_user(value, rights, owner, acl, e);
    if (kind == 3 && strncasecmp(p, "uri", kind) == 0)
        return add_group(value, rights, acl, e);
    if (kind == 12 && strncasecmp(p, "emailAddress", kind) == 0)
        return sx_s3_fail(e, SX_S3_UNRESOLVABLE_GRANT);
    return sx_err_set(e, SX_S3_INVALID_ARGUMENT, "Argument format not recognized");
}

int sx_acl_header(const char *value, unsigned rights, const char *owner, json_t *acl,
                  struct sx_err *e)
{
    while (*value) {
        size_t n;

        value += strspn(value, ", \t");
        n = strcspn(value, ", \t");
        if (n && add_header(value, n, rights, owner, acl, e) != 0)
            return -1;
        value += n;
    }
    return 0;
}

static unsigned permission(const char *name)
{
    for (size_t i = 0; name && i < N_PERMISSIONS; i++)
        if (strcmp(permissions[i].name, name) == 0)
            return permissions[i].right;
    return 0;
}

static int add_grant(const struct sx_xml_node *grant, const char *owner, json_t *acl,
                     struct sx_err *e)
{
    const struct sx_xml_node *to = sx_xml_child(grant, "Grantee");
    unsigned rights = permission(sx_xml_get(grant, "Permission"));

    if (!to || !rights)
        return sx_s3_fail(e, SX_S3_MALFORMED_ACL);
    if (sx_xml_get(to, "URI"))
        return add_group(sx_xml_get(to, "URI"), rights, acl, e);
    if (sx_xml_get(to, "ID"))
        return add_user(sx_xml_get(to, "ID"), rights, owner, acl, e);
    return sx_s3_fail(e, sx_xml_get(to, "EmailAddress") ? SX_S3_UNRESOLVABLE_GRANT
                                                        : SX_S3_MALFORMED_ACL);
}

int sx_acl_xml(const struct sx_xml_node *top, const char *owner, json_t *acl, struct sx_err *e)
{
    static const struct sx_s3_shape shape[] = {
        { "AccessControlPolicy", { "Owner", "AccessControlList" } },
        { "Owner", { "ID", "DisplayName" } },
        { "AccessControlList", { "Grant*" } },
        { "Grant", { "Grantee", "Permission" } },
        { "Grantee", { "ID", "DisplayName", "URI", "EmailAddress", "Type" } },
        { NULL, { NULL } },
    };
    const struct sx_xml_node *list = sx_xml_child(top, "AccessControlList");
    const struct sx_xml_node *who = sx_xml_child(top, "Owner");
    const char *id = who ? sx_xml_get(who, "ID") : NULL;

    if (sx_s3_shape_check(top, shape, e) != 0 || !list || (who && !id))
        return sx_s3_fail(e, SX_S3_MALFORMED_ACL);
    if (id && strcmp(id, owner) != 0)
        return sx_s3_fail(e, SX_S3_ACCESS_DENIED); /* an ACL cannot change the owner */
    for (const struct sx_xml_node *g = sx_xml_child(list, "Grant"); g; g = sx_xml_next(g))
        if (add_grant(g, owner, acl, e) != 0)
            return -1;
    return 0;
}

/* ---- writing ---- */

static void write_grantee(const char *who, struct sx_buf *out)
{
    const char *group = strcmp(who, SX_ACL_EVERYBODY) == 0 ? GROUP_EVERYBODY
                        : strcmp(who, SX_ACL_KEYHOLDERS) == 0 ? GROUP_KEYHOLDERS : NULL;

    sx_buf_printf(out, "<Grantee xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\""
                       " xsi:type=\"%s\">", group ? "Group" : "CanonicalUser");
    if (group) {
        sx_xml_elem(out, "URI", group);
    } else {
        sx_xml_elem(out, "ID", who);
        sx_xml_elem(out, "DisplayName", who);
    }
    sx_xml_close(out, "Grantee");
}

static void write_grants(const char *who, unsigned rights, struct sx_buf *out)
{
    for (size_t i = 0; i < N_PERMISSIONS; i++) {
        if ((rights & permissions[i].right) != permissions[i].right)
            continue;
        sx_xml_open(out, "Grant");
        write_grantee(who, out);
        sx_xml_elem(out, "Permission", permissions[i].name);
        sx_xml_close(out, "Grant");
        rights &= ~permissions[i].right;
    }
}

void sx_acl_write(const json_t *acl, const char *owner, struct sx_buf *out)
{
    const char *who;
    json_t *rights;

    sx_xml_begin(out);
    sx_xml_root(out, "AccessControlPolicy");
    sx_xml_open(out, "Owner");
    sx_xml_elem(out, "ID", owner);
    sx_xml_elem(out, "DisplayName", owner);
    sx_xml_close(out, "Owner");
    sx_xml_open(out, "AccessControlList");
    write_grants(owner, SX_ACL_FULL, out);
    json_object_foreach((json_t *)(uintptr_t)acl, who, rights)
        write_grants(who, (unsigned)json_integer_value(rights), out);
    sx_xml_close(out, "AccessControlList");
    sx_xml_close(out, "AccessControlPolicy");
}

/* ---- evaluation ---- */

unsigned sx_acl_rights(const json_t *acl, const char *user, bool groups)
{
    unsigned rights = user ? rights_of(acl, user) : 0;

    if (groups)
        rights |= rights_of(acl, SX_ACL_EVERYBODY) |
                  (user ? rights_of(acl, SX_ACL_KEYHOLDERS) : 0);
    return rights;
}

bool sx_acl_is_public(const json_t *acl)
{
    return json_object_get(acl, SX_ACL_EVERYBODY) || json_object_get(acl, SX_ACL_KEYHOLDERS);
}

unsigned sx_acl_need(const char *action, bool object)
{
    static const struct {
        const char *action;
        bool object; /* whose ACL is asked */
        unsigned right;
    } needs[] = {
        { "s3:GetObject", true, SX_ACL_READ },
        { "s3:GetObjectVersion", true, SX_ACL_READ },
        { "s3:GetObjectAttributes", true, SX_ACL_READ },
        { "s3:GetObjectAcl", true, SX_ACL_READ_ACP },
        { "s3:GetObjectVersionAcl", true, SX_ACL_READ_ACP },
        { "s3:PutObjectAcl", true, SX_ACL_WRITE_ACP },
        { "s3:PutObjectVersionAcl", true, SX_ACL_WRITE_ACP },
        { "s3:ListBucket", false, SX_ACL_READ },
        { "s3:ListBucketVersions", false, SX_ACL_READ },
        { "s3:ListBucketMultipartUploads", false, SX_ACL_READ },
        { "s3:PutObject", false, SX_ACL_WRITE },
        { "s3:DeleteObject", false, SX_ACL_WRITE },
        { "s3:GetBucketAcl", false, SX_ACL_READ_ACP },
        { "s3:PutBucketAcl", false, SX_ACL_WRITE_ACP },
    };

    for (size_t i = 0; i < sizeof needs / sizeof *needs; i++)
        if (strcmp(needs[i].action, action) == 0 && needs[i].object == object)
            return needs[i].right;
    return 0;
}
