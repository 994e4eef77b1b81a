/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The configuration documents of buckets: what each is called, how it is checked, what is answered
 * where there is none.  (The policy, being JSON, and ACLs have files of their own.)
 */
#ifndef SX_FCGI_S3_DOCUMENTS_H
#define SX_FCGI_S3_DOCUMENTS_H

#include <stdbool.h>

#include "fcgi/s3/s3err.h"
#include "fcgi/s3/target.h"
#include "fcgi/s3/xml.h"

struct sx_s3_document {
    enum sx_s3_op get, put, delete; /* SX_S3_OP_N: there is no such operation */
    const char *name; /* of the volume's document; NULL: nothing is kept, `none` is the answer */
    const char *root;
    enum sx_s3_code absent; /* what is answered where there is none; 0: */
    const char *none;       /* a document with this inside */
    /* Of a document that is sent: SX_S3_MALFORMED_XML, …; SX_S3_NOT_IMPLEMENTED for what would
     * switch on what we do not do. */
    int (*check)(const struct sx_xml_node *top, struct sx_err *e);
};

/* NULL if the operation is none on such a document. */
const struct sx_s3_document *sx_s3_document_of(enum sx_s3_op op);
/* Is it a value of ObjectOwnership?  NULL is none. */
bool sx_s3_ownership_known(const char *mode);

#endif
