/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * XML of requests: the tree that comes of any input is whole, and what is written of it is read
 * back as the same tree.
 */
#include "fcgi/s3/s3err.h"
#include "fcgi/s3/xml.h"
#include "fcgi/s3/xmlout.h"
#include "tests/fuzz/fuzz.h"

static const char *const documents[] = {
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
    "<Quiet>true</Quiet><Object><Key>a&amp;b&#x1F600;</Key><VersionId>1</VersionId></Object></Delete>",
    "<CompleteMultipartUpload><Part><ETag>&quot;a&quot;</ETag><PartNumber>1</PartNumber></Part>"
    "</CompleteMultipartUpload>",
    "<a xmlns:x='u' x:type='T'><![CDATA[<&]]><b> \r\n\t</b><!-- c --><?p q?></a>",
    "<!DOCTYPE a [<!ENTITY x \"y\">]><a>&x;</a>",
};

const unsigned fuzz_seeds = 4;

void fuzz_seed(unsigned i, struct sx_buf *out)
{
    sx_buf_str(out, documents[i]);
}

/* Writes the tree; names are those of the input, so they are written as they are. */
static void write_node(struct sx_buf *out, const struct sx_xml_node *n, unsigned depth)
{
    unsigned children = 0;

    sx_assert(depth < SX_XML_DEPTH_MAX && strlen(n->text) == n->text_len);
    sx_xml_open(out, n->name);
    sx_xml_text_add(out, n->text, n->text_len);
    for (const struct sx_xml_node *c = n->child; c; c = c->next, children++)
        write_node(out, c, depth + 1);
    sx_assert(children == n->n_children);
    sx_xml_close(out, n->name);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    SX_AUTO(sx_buf) struct sx_buf once = SX_BUF_INIT, twice = SX_BUF_INIT;
    SX_AUTO_XML struct sx_xml *doc = NULL, *again = NULL;
    struct sx_err e = SX_ERR_INIT;

    if (sx_xml_parse(data, n, NULL, &doc, &e) != 0) {
        sx_assert(e.code > SX_S3_ERR_BEFORE_FIRST && e.code < SX_S3_ERR_END && e.msg[0]);
        return 0;
    }
    sx_assert(!memmem(data, n, "<!DOCTYPE", 9) || memmem(data, n, "<!--", 4) ||
              memmem(data, n, "[CDATA[", 7) || memmem(data, n, "<?", 2));
    write_node(&once, sx_xml_top(doc), 0);
    sx_assert(sx_xml_parse(once.data, once.len, NULL, &again, &e) == 0);
    write_node(&twice, sx_xml_top(again), 0);
    sx_assert(once.len == twice.len && memcmp(once.data, twice.data, once.len) == 0);
    return 0;
}
