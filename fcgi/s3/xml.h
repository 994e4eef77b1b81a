/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Reads an XML document of a request into a tree.  By libxml2's SAX parser without network, DTD
 * or entities: a document type is refused before anything in it is used.  Documents must be in
 * UTF-8, as all clients send them.  Names are local names; whichever namespace (or none) a client
 * uses, it means the same.
 *
 *   struct sx_xml *doc;
 *   if (sx_xml_parse(body.data, body.len, "Delete", &doc, e) != 0)
 *       return -1;                                    SX_S3_MALFORMED_XML
 *   for (n = sx_xml_child(sx_xml_top(doc), "Object"); n; n = sx_xml_next(n))
 *       key = sx_xml_get(n, "Key");
 *   sx_xml_free(doc);
 */
#ifndef SX_FCGI_S3_XML_H
#define SX_FCGI_S3_XML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libsx/base/err.h"

#define SX_XML_SIZE_MAX (4u << 20) /* 10,000 parts with all their checksums take some 2 MiB */
#define SX_XML_NODES_MAX 150000u
#define SX_XML_DEPTH_MAX 32
#define SX_XML_ATTRS_MAX 16        /* of an element */

struct sx_xml;

struct sx_xml_attr {
    const char *name;
    const char *value;
    struct sx_xml_attr *next;
};

struct sx_xml_node {
    const char *name;
    const char *text; /* all text directly in it, exactly; never NULL */
    size_t text_len;
    struct sx_xml_node *child; /* the first; in the order of the document */
    struct sx_xml_node *next;  /* sibling */
    struct sx_xml_attr *attr;
    unsigned n_children;
};

/* Parses; the document owns all its text.  `root` is the name that the root must have, or NULL.
 * SX_S3_MALFORMED_XML (also for a document type), SX_S3_MISSING_REQUEST_BODY if empty,
 * SX_S3_MAX_MESSAGE_LENGTH beyond the limits above. */
int sx_xml_parse(const void *p, size_t n, const char *root, struct sx_xml **doc, struct sx_err *e)
    SX_MUST_CHECK;
void sx_xml_free(struct sx_xml *doc); /* NULL is legal */

static inline void sx_xml_fini_(struct sx_xml **doc)
{
    sx_xml_free(*doc);
}
/* SX_AUTO_XML struct sx_xml *doc = NULL; */
#define SX_AUTO_XML __attribute__((cleanup(sx_xml_fini_)))

const struct sx_xml_node *sx_xml_top(const struct sx_xml *doc);

/* The first child of that name, and the next sibling of the same name; or NULL. */
const struct sx_xml_node *sx_xml_child(const struct sx_xml_node *n, const char *name);
const struct sx_xml_node *sx_xml_next(const struct sx_xml_node *n);
unsigned sx_xml_count(const struct sx_xml_node *n, const char *name);
/* The text of the first child of that name, or NULL if there is none. */
const char *sx_xml_get(const struct sx_xml_node *n, const char *name);
/* An attribute by its local name ("type" of xsi:type), or NULL. */
const char *sx_xml_attr(const struct sx_xml_node *n, const char *name);

/* The child as a decimal number up to `max`, or as true/false; blanks around it are ignored.  1; 0
 * if there is no such child (then *v is unchanged); -1 with SX_S3_MALFORMED_XML. */
int sx_xml_get_u64(const struct sx_xml_node *n, const char *name, uint64_t max, uint64_t *v,
                   struct sx_err *e) SX_MUST_CHECK;
int sx_xml_get_bool(const struct sx_xml_node *n, const char *name, bool *v, struct sx_err *e)
    SX_MUST_CHECK;

/* SX_S3_MALFORMED_XML if the node has a child whose name is not in the list (ended by NULL), or
 * one that is there more than once although its name in the list does not end with '*'. */
int sx_xml_check_children(const struct sx_xml_node *n, const char *const *names, struct sx_err *e)
    SX_MUST_CHECK;

#endif
