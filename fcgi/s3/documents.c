/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See documents.h.
 */
#include "fcgi/s3/documents.h"

#include <string.h>

#include "fcgi/s3/cors.h"
#include "fcgi/s3/lifecycle.h"
#include "fcgi/s3/shape.h"
#include "fcgi/s3/tags.h"
#include "fcgi/s3/website.h"

static int malformed(struct sx_err *e)
{
    return sx_s3_fail(e, SX_S3_MALFORMED_XML);
}

static bool is_one_of(const char *text, const char *const *values)
{
    for (; text && *values; values++)
        if (strcmp(text, *values) == 0)
            return true;
    return false;
}

static int check_tagging(const struct sx_xml_node *top, struct sx_err *e)
{
    return sx_s3_tags_check_xml(top, SX_S3_BUCKET_TAGS_MAX, e);
}

/* ---- encryption: all is encrypted with keys that the cluster holds ---- */

static int check_encryption(const struct sx_xml_node *top, struct sx_err *e)
{
    static const struct sx_s3_shape shape[] = {
        { "ServerSideEncryptionConfiguration", { "Rule" } },
        { "Rule", { "ApplyServerSideEncryptionByDefault", "BucketKeyEnabled",
                    "BlockedEncryptionTypes" } },
        { "BlockedEncryptionTypes", { "EncryptionType*" } },
        { "ApplyServerSideEncryptionByDefault", { "SSEAlgorithm", "KMSMasterKeyID" } },
        { NULL, { NULL } },
    };
    const struct sx_xml_node *rule = sx_xml_child(top, "Rule"), *apply;
    const char *algorithm;

    if (sx_s3_shape_check(top, shape, e) != 0)
        return -1;
    apply = rule ? sx_xml_child(rule, "ApplyServerSideEncryptionByDefault") : NULL;
    algorithm = apply ? sx_xml_get(apply, "SSEAlgorithm") : NULL;
    if (!algorithm)
        return malformed(e);
    if (strncmp(algorithm, "aws:kms", 7) == 0)
        return sx_err_set(e, SX_S3_NOT_IMPLEMENTED, "Encryption with KMS is not implemented");
    if (strcmp(algorithm, "AES256") != 0)
        return malformed(e);
    return sx_xml_get(apply, "KMSMasterKeyID")
               ? sx_err_set(e, SX_S3_INVALID_ARGUMENT, "a KMSMasterKeyID is not applicable if the "
                                                       "default sse algorithm is not aws:kms")
               : 0;
}

/* ---- access ---- */

bool sx_s3_ownership_known(const char *mode)
{
    static const char *const values[] = { "BucketOwnerPreferred", "ObjectWriter",
                                          "BucketOwnerEnforced", NULL };

    return is_one_of(mode, values);
}

static int check_ownership(const struct sx_xml_node *top, struct sx_err *e)
{
    static const struct sx_s3_shape shape[] = {
        { "OwnershipControls", { "Rule" } }, { "Rule", { "ObjectOwnership" } }, { NULL, { NULL } },
    };
    const struct sx_xml_node *rule = sx_xml_child(top, "Rule");

    if (sx_s3_shape_check(top, shape, e) != 0)
        return -1;
    return rule && sx_s3_ownership_known(sx_xml_get(rule, "ObjectOwnership")) ? 0 : malformed(e);
}

static int check_public_access(const struct sx_xml_node *top, struct sx_err *e)
{
    static const char *const names[] = { "BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy",
                                         "RestrictPublicBuckets", NULL };
    static const struct sx_s3_shape shape[] = { { NULL, { NULL } } };
    bool v;

    if (sx_xml_check_children(top, names, e) != 0)
        return -1;
    for (const struct sx_xml_node *n = top->child; n; n = n->next)
        if (sx_s3_shape_check(n, shape, e) != 0 || sx_xml_get_bool(top, n->name, &v, e) < 0)
            return -1;
    return 0;
}

/* ---- what is not done: only its absence can be asked for ---- */

static int check_nothing(const struct sx_xml_node *top, struct sx_err *e)
{
    return top->child ? sx_err_set(e, SX_S3_NOT_IMPLEMENTED, "%s is not implemented: only an empty "
                                                             "document is accepted", top->name)
                      : 0;
}

static int check_payment(const struct sx_xml_node *top, struct sx_err *e)
{
    static const char *const names[] = { "Payer", NULL };
    const char *payer = sx_xml_get(top, "Payer");

    if (sx_xml_check_children(top, names, e) != 0)
        return -1;
    if (!payer || (strcmp(payer, "BucketOwner") != 0 && strcmp(payer, "Requester") != 0))
        return malformed(e);
    return strcmp(payer, "BucketOwner") == 0
               ? 0 : sx_err_set(e, SX_S3_NOT_IMPLEMENTED, "Requester Pays is not implemented");
}

static int check_accelerate(const struct sx_xml_node *top, struct sx_err *e)
{
    static const char *const names[] = { "Status", NULL };
    const char *status = sx_xml_get(top, "Status");

    if (sx_xml_check_children(top, names, e) != 0)
        return -1;
    if (!status || (strcmp(status, "Suspended") != 0 && strcmp(status, "Enabled") != 0))
        return malformed(e);
    return strcmp(status, "Suspended") == 0
               ? 0 : sx_err_set(e, SX_S3_NOT_IMPLEMENTED,
                                "Transfer acceleration is not implemented");
}

/* ---- the table ---- */

#define ENCRYPTION_RULE                                                                            \
    "<Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm>"                \
    "</ApplyServerSideEncryptionByDefault><BucketKeyEnabled>false</BucketKeyEnabled></Rule>"
#define EMPTY_LIST "<IsTruncated>false</IsTruncated>"
#define OP(sym) SX_S3_OP_##sym
#define NO_OP SX_S3_OP_N

static const struct sx_s3_document documents[] = {
    { OP(GET_BUCKET_CORS), OP(PUT_BUCKET_CORS), OP(DELETE_BUCKET_CORS), "cors",
      "CORSConfiguration", SX_S3_NO_SUCH_CORS, NULL, sx_s3_cors_check },
    { OP(GET_BUCKET_LIFECYCLE), OP(PUT_BUCKET_LIFECYCLE), OP(DELETE_BUCKET_LIFECYCLE), "lifecycle",
      "LifecycleConfiguration", SX_S3_NO_SUCH_LIFECYCLE, NULL, sx_lifecycle_check },
    { OP(GET_BUCKET_TAGGING), OP(PUT_BUCKET_TAGGING), OP(DELETE_BUCKET_TAGGING), "tagging",
      "Tagging", SX_S3_NO_SUCH_TAG_SET, NULL, check_tagging },
    { OP(GET_BUCKET_WEBSITE), OP(PUT_BUCKET_WEBSITE), OP(DELETE_BUCKET_WEBSITE), "website",
      "WebsiteConfiguration", SX_S3_NO_SUCH_WEBSITE, NULL, sx_s3_website_check },
    { OP(GET_BUCKET_OWNERSHIP_CONTROLS), OP(PUT_BUCKET_OWNERSHIP_CONTROLS),
      OP(DELETE_BUCKET_OWNERSHIP_CONTROLS), "ownership", "OwnershipControls", SX_S3_NO_OWNERSHIP,
      NULL, check_ownership },
    { OP(GET_PUBLIC_ACCESS_BLOCK), OP(PUT_PUBLIC_ACCESS_BLOCK), OP(DELETE_PUBLIC_ACCESS_BLOCK),
      "publicaccess", "PublicAccessBlockConfiguration", SX_S3_NO_SUCH_PUBLIC_ACCESS_BLOCK, NULL,
      check_public_access },
    { OP(GET_BUCKET_ENCRYPTION), OP(PUT_BUCKET_ENCRYPTION), OP(DELETE_BUCKET_ENCRYPTION), NULL,
      "ServerSideEncryptionConfiguration", 0, ENCRYPTION_RULE, check_encryption },
    { OP(GET_BUCKET_REPLICATION), OP(PUT_BUCKET_REPLICATION), OP(DELETE_BUCKET_REPLICATION), NULL,
      "ReplicationConfiguration", SX_S3_NO_REPLICATION, NULL, check_nothing },
    { OP(GET_BUCKET_NOTIFICATION), OP(PUT_BUCKET_NOTIFICATION), NO_OP, NULL,
      "NotificationConfiguration", 0, "", check_nothing },
    { OP(GET_BUCKET_LOGGING), OP(PUT_BUCKET_LOGGING), NO_OP, NULL, "BucketLoggingStatus", 0, "",
      check_nothing },
    { OP(GET_BUCKET_REQUEST_PAYMENT), OP(PUT_BUCKET_REQUEST_PAYMENT), NO_OP, NULL,
      "RequestPaymentConfiguration", 0, "<Payer>BucketOwner</Payer>", check_payment },
    { OP(GET_BUCKET_ACCELERATE), OP(PUT_BUCKET_ACCELERATE), NO_OP, NULL,
      "AccelerateConfiguration", 0, "", check_accelerate },
    { OP(LIST_BUCKET_INVENTORY), NO_OP, NO_OP, NULL, "ListInventoryConfigurationsResult", 0,
      EMPTY_LIST, NULL },
    { OP(LIST_BUCKET_ANALYTICS), NO_OP, NO_OP, NULL, "ListBucketAnalyticsConfigurationsResult", 0,
      EMPTY_LIST, NULL },
    { OP(LIST_BUCKET_METRICS), NO_OP, NO_OP, NULL, "ListMetricsConfigurationsResult", 0, EMPTY_LIST,
      NULL },
    { OP(LIST_BUCKET_INTELLIGENT_TIERING), NO_OP, NO_OP, NULL,
      "ListBucketIntelligentTieringConfigurationsOutput", 0, EMPTY_LIST, NULL },
    { OP(GET_BUCKET_INVENTORY), NO_OP, OP(DELETE_BUCKET_INVENTORY), NULL, "",
      SX_S3_NO_SUCH_CONFIGURATION, NULL, NULL },
    { OP(GET_BUCKET_ANALYTICS), NO_OP, OP(DELETE_BUCKET_ANALYTICS), NULL, "",
      SX_S3_NO_SUCH_CONFIGURATION, NULL, NULL },
    { OP(GET_BUCKET_METRICS), NO_OP, OP(DELETE_BUCKET_METRICS), NULL, "",
      SX_S3_NO_SUCH_CONFIGURATION, NULL, NULL },
    { OP(GET_BUCKET_INTELLIGENT_TIERING), NO_OP, OP(DELETE_BUCKET_INTELLIGENT_TIERING), NULL, "",
      SX_S3_NO_SUCH_CONFIGURATION, NULL, NULL },
};

const struct sx_s3_document *sx_s3_document_of(enum sx_s3_op op)
{
    for (size_t i = 0; i < sizeof documents / sizeof *documents; i++)
        if (documents[i].get == op || documents[i].put == op || documents[i].delete == op)
            return &documents[i];
    return NULL;
}
