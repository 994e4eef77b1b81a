/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See xml.h.  Documents are in UTF-8, whatever they declare: so no code of libxml2 or iconv for
 * other encodings is ever reached.  libxml2 calls back for each element and run of text; the tree
 * is built in an arena that grows with the document, whose size is bounded before.
 */
#include "fcgi/s3/xml.h"

#include <libxml/parser.h>
#include <string.h>
#include <strings.h>

#include "fcgi/s3/s3err.h"
#include "libsx/base/buf.h"
#include "libsx/base/mem.h"
#include "libsx/base/text.h"

#define PIECE_SIZE 16384u
#define PLACES_PER_ATTR 5 /* libxml2: local name, prefix, URI, value, end of value */

struct piece {
    struct piece *next;
    size_t used, size;
    _Alignas(max_align_t) char data[];
};

struct sx_xml {
    struct piece *pieces;
    struct sx_xml_node *root;
};

/* A parser at work. */
struct builder {
    struct sx_xml *doc;
    xmlParserCtxtPtr ctxt;
    struct sx_xml_node *open[SX_XML_DEPTH_MAX]; /* the elements around the present place */
    struct sx_xml_node *last[SX_XML_DEPTH_MAX]; /* the youngest child of each */
    struct sx_buf text[SX_XML_DEPTH_MAX];
    unsigned depth, nodes;
    bool failed; /* *e is set */
    struct sx_err *e;
};

static void *arena(struct sx_xml *doc, size_t n)
{
    struct piece *p = doc->pieces;
    void *at;

    n = (n + _Alignof(max_align_t) - 1) / _Alignof(max_align_t) * _Alignof(max_align_t);
    if (!p || p->size - p->used < n) {
        size_t size = n > PIECE_SIZE ? n : PIECE_SIZE;

        p = sx_malloc(sizeof *p + size);
        p->next = doc->pieces;
        p->used = 0;
        p->size = size;
        doc->pieces = p;
    }
    at = p->data + p->used;
    p->used += n;
    return at;
}

static const char *arena_text(struct sx_xml *doc, const void *s, size_t n)
{
    char *copy = arena(doc, n + 1);

    if (n)
        memcpy(copy, s, n);
    copy[n] = '\0';
    return copy;
}

static void stop(struct builder *b, enum sx_s3_code code, const char *what)
{
    if (!b->failed)
        sx_err_set(b->e, (int)code, "the XML document %s", what);
    b->failed = true;
    xmlStopParser(b->ctxt);
}

static void on_doctype(void *user, const xmlChar *name, const xmlChar *public_id,
                       const xmlChar *system_id)
{
    stop(user, SX_S3_MALFORMED_XML, "must not have a document type");
}

static void add_attrs(struct builder *b, struct sx_xml_node *n, int count, const xmlChar **attrs)
{
    struct sx_xml_attr **tail = &n->attr;

    for (int i = 0; i < count; i++, attrs += PLACES_PER_ATTR) {
        struct sx_xml_attr *a = arena(b->doc, sizeof *a);

        a->name = arena_text(b->doc, attrs[0], strlen((const char *)attrs[0]));
        a->value = arena_text(b->doc, attrs[3], (size_t)(attrs[4] - attrs[3]));
        a->next = NULL;
        *tail = a;
        tail = &a->next;
    }
}

static void on_open(void *user, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri,
                    int n_namespaces, const xmlChar **namespaces, int n_attrs, int n_defaulted,
                    const xmlChar **attrs)
{
    struct builder *b = user;
    struct sx_xml_node *n, *parent = b->depth ? b->open[b->depth - 1] : NULL;

    if (b->failed)
        return;
    if (b->depth == SX_XML_DEPTH_MAX) {
        stop(b, SX_S3_MALFORMED_XML, "is too deep");
        return;
    }
    if (b->nodes++ == SX_XML_NODES_MAX || n_attrs > SX_XML_ATTRS_MAX) {
        stop(b, SX_S3_MAX_MESSAGE_LENGTH, "has too many elements or attributes");
        return;
    }
    n = arena(b->doc, sizeof *n);
    *n = (struct sx_xml_node){ .text = "" };
    n->name = arena_text(b->doc, name, strlen((const char *)name));
    add_attrs(b, n, n_attrs, attrs);
    if (!parent)
        b->doc->root = n;
    else if (b->last[b->depth - 1])
        b->last[b->depth - 1]->next = n;
    else
        parent->child = n;
    if (parent) {
        parent->n_children++;
        b->last[b->depth - 1] = n;
    }
    b->open[b->depth] = n;
    b->last[b->depth] = NULL;
    sx_buf_reset(&b->text[b->depth++]);
}

static void on_close(void *user, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri)
{
    struct builder *b = user;
    struct sx_xml_node *n;

    if (b->failed || b->depth == 0)
        return;
    n = b->open[--b->depth];
    n->text_len = b->text[b->depth].len;
    n->text = arena_text(b->doc, b->text[b->depth].data, n->text_len);
}

static void on_text(void *user, const xmlChar *s, int n)
{
    struct builder *b = user;

    if (!b->failed && b->depth && n > 0)
        sx_buf_add(&b->text[b->depth - 1], s, (size_t)n);
}

/* A prefix that is not declared is an error of namespaces, which do not count here. */
static void on_error(void *user, const xmlError *error)
{
    struct builder *b = user;
    const char *message = error->message ? error->message : "error\n";

    if (b->failed || error->level < XML_ERR_FATAL)
        return;
    sx_err_set(b->e, SX_S3_MALFORMED_XML, "the XML document is not well formed: line %d: %.*s",
               error->line, (int)strcspn(message, "\n"), message);
    b->failed = true;
}

static int run(struct builder *b, const void *p, size_t n)
{
    xmlSAXHandler sax = {
        .initialized = XML_SAX2_MAGIC,
        .internalSubset = on_doctype,
        .startElementNs = on_open,
        .endElementNs = on_close,
        .characters = on_text,
        .ignorableWhitespace = on_text,
        .cdataBlock = on_text,
        .serror = (xmlStructuredErrorFunc)on_error,
    };
    int good;

    b->ctxt = xmlCreatePushParserCtxt(&sax, b, NULL, 0, NULL);
    sx_assert(b->ctxt);
    xmlCtxtUseOptions(b->ctxt, XML_PARSE_NONET | XML_PARSE_IGNORE_ENC);
    xmlParseChunk(b->ctxt, p, (int)n, 1);
    good = b->ctxt->wellFormed && b->doc->root && b->depth == 0;
    xmlFreeDoc(b->ctxt->myDoc);
    b->ctxt->myDoc = NULL;
    xmlFreeParserCtxt(b->ctxt);
    if (!good && !b->failed) {
        sx_err_set(b->e, SX_S3_MALFORMED_XML, "the XML document is not well formed");
        b->failed = true;
    }
    return b->failed ? -1 : 0;
}

static int parse(struct sx_xml *doc, const void *p, size_t n, const char *root, struct sx_err *e)
{
    struct sx_err own = SX_ERR_INIT;
    struct builder b = { .doc = doc, .e = e ? e : &own };
    int result = run(&b, p, n);

    for (unsigned i = 0; i < SX_XML_DEPTH_MAX; i++)
        sx_buf_fini(&b.text[i]);
    if (result == 0 && root && strcmp(doc->root->name, root) != 0)
        return sx_err_set(e, SX_S3_MALFORMED_XML,
                          "the root of the XML document is '%.64s', not '%s'", doc->root->name,
                          root);
    return result;
}

int sx_xml_parse(const void *p, size_t n, const char *root, struct sx_xml **doc, struct sx_err *e)
{
    struct sx_xml *d;

    if (n == 0)
        return sx_s3_fail(e, SX_S3_MISSING_REQUEST_BODY);
    if (n > SX_XML_SIZE_MAX)
        return sx_err_set(e, SX_S3_MAX_MESSAGE_LENGTH,
                          "the XML document has %zu bytes; at most %u are allowed", n,
                          SX_XML_SIZE_MAX);
    if (memchr(p, '\0', n) || !sx_utf8_valid(p, n))
        return sx_err_set(e, SX_S3_MALFORMED_XML, "the XML document is not in UTF-8");
    d = sx_calloc(1, sizeof *d);
    if (parse(d, p, n, root, e) != 0) {
        sx_xml_free(d);
        return -1;
    }
    *doc = d;
    return 0;
}

void sx_xml_free(struct sx_xml *doc)
{
    if (!doc)
        return;
    while (doc->pieces) {
        struct piece *p = doc->pieces;

        doc->pieces = p->next;
        free(p);
    }
    free(doc);
}

const struct sx_xml_node *sx_xml_top(const struct sx_xml *doc)
{
    return doc->root;
}

static const struct sx_xml_node *find(const struct sx_xml_node *n, const char *name)
{
    while (n && strcmp(n->name, name) != 0)
        n = n->next;
    return n;
}

const struct sx_xml_node *sx_xml_child(const struct sx_xml_node *n, const char *name)
{
    return find(n->child, name);
}

const struct sx_xml_node *sx_xml_next(const struct sx_xml_node *n)
{
    return find(n->next, n->name);
}

unsigned sx_xml_count(const struct sx_xml_node *n, const char *name)
{
    unsigned count = 0;

    for (const struct sx_xml_node *c = sx_xml_child(n, name); c; c = sx_xml_next(c))
        count++;
    return count;
}

const char *sx_xml_get(const struct sx_xml_node *n, const char *name)
{
    const struct sx_xml_node *c = sx_xml_child(n, name);

    return c ? c->text : NULL;
}

const char *sx_xml_attr(const struct sx_xml_node *n, const char *name)
{
    for (const struct sx_xml_attr *a = n->attr; a; a = a->next)
        if (strcmp(a->name, name) == 0)
            return a->value;
    return NULL;
}

/* The text without blanks around it. */
static const char *trimmed(const char *s, size_t *n)
{
    static const char blanks[] = " \t\r\n";

    s += strspn(s, blanks);
    *n = strlen(s);
    while (*n && strchr(blanks, s[*n - 1]))
        --*n;
    return s;
}

int sx_xml_get_u64(const struct sx_xml_node *n, const char *name, uint64_t max, uint64_t *v,
                   struct sx_err *e)
{
    const char *s = sx_xml_get(n, name);
    size_t len;

    if (!s)
        return 0;
    s = trimmed(s, &len);
    if (sx_u64_parse(s, len, max, v) != 0)
        return sx_err_set(e, SX_S3_MALFORMED_XML, "%s is '%.40s', not a number up to %llu", name, s,
                          (unsigned long long)max);
    return 1;
}

int sx_xml_get_bool(const struct sx_xml_node *n, const char *name, bool *v, struct sx_err *e)
{
    const char *s = sx_xml_get(n, name);
    size_t len;

    if (!s)
        return 0;
    s = trimmed(s, &len);
    if ((len != 4 || strncasecmp(s, "true", len) != 0) &&
        (len != 5 || strncasecmp(s, "false", len) != 0))
        return sx_err_set(e, SX_S3_MALFORMED_XML, "%s is '%.40s', not true or false", name, s);
    *v = len == 4;
    return 1;
}

/* 0: unknown, 1: at most once, 2: any number */
static int how_often(const char *const *names, const char *name)
{
    size_t n = strlen(name);

    for (; *names; names++)
        if (strncmp(*names, name, n) == 0 && ((*names)[n] == '\0' || !strcmp(*names + n, "*")))
            return (*names)[n] ? 2 : 1;
    return 0;
}

int sx_xml_check_children(const struct sx_xml_node *n, const char *const *names, struct sx_err *e)
{
    for (const struct sx_xml_node *c = n->child; c; c = c->next) {
        int often = how_often(names, c->name);

        if (often == 0)
            return sx_err_set(e, SX_S3_MALFORMED_XML, "the element %.64s is unknown in %.64s",
                              c->name, n->name);
        if (often == 1 && sx_xml_next(c))
            return sx_err_set(e, SX_S3_MALFORMED_XML, "the element %.64s is twice in %.64s",
                              c->name, n->name);
    }
    return 0;
}
