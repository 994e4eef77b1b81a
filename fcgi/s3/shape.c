/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See shape.h.  Recursion is bounded by the depth that xml.h allows.
 */
#include "fcgi/s3/shape.h"

#include <string.h>

#include "fcgi/s3/xmlout.h"

int sx_s3_shape_check(const struct sx_xml_node *top, const struct sx_s3_shape *rows,
                      struct sx_err *e)
{
    static const char *const text_only[] = { NULL };
    const char *const *children = text_only;

    for (const struct sx_s3_shape *r = rows; r->name; r++)
        if (strcmp(r->name, top->name) == 0)
            children = r->children;
    if (sx_xml_check_children(top, children, e) != 0)
        return -1;
    for (const struct sx_xml_node *n = top->child; n; n = n->next)
        if (sx_s3_shape_check(n, rows, e) != 0)
            return -1;
    return 0;
}

static void write_inside(const struct sx_xml_node *n, struct sx_buf *out)
{
    if (!n->child)
        sx_xml_text_add(out, n->text, n->text_len);
    for (const struct sx_xml_node *c = n->child; c; c = c->next) {
        sx_xml_open(out, c->name);
        write_inside(c, out);
        sx_xml_close(out, c->name);
    }
}

void sx_s3_shape_write(const struct sx_xml_node *top, struct sx_buf *out)
{
    sx_xml_begin(out);
    sx_xml_root(out, top->name);
    write_inside(top, out);
    sx_xml_close(out, top->name);
}
