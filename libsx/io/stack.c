/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * See stack.h.  The text is read from its end: the bottom first, then each layer above it.
 */
#include "libsx/io/stack.h"

#include <string.h>

#include "libsx/base/mem.h"
#include "libsx/io/fault.h"
#include "libsx/io/memory.h"

#define FAULT "fault("

struct sx_io_stack {
    struct sx_io null;
    struct sx_io_memory *memory;
    struct sx_io_fault_layer *fault[SX_IO_LAYERS_MAX];
    size_t n;
    const struct sx_io *top;
};

static int bottom(struct sx_io_stack *s, const char *name, struct sx_err *e)
{
    if (strcmp(name, "disk") == 0) {
        s->top = &sx_io_posix;
    } else if (strcmp(name, "null") == 0) {
        sx_io_null_init(&s->null);
        s->top = &s->null;
    } else if (strcmp(name, "memory") == 0) {
        s->memory = sx_io_memory_new();
        s->top = sx_io_memory_io(s->memory);
    } else {
        return sx_err_set(e, SX_EINVAL, "'%s' is not disk, memory or null", name);
    }
    return 0;
}

static int above(struct sx_io_stack *s, char *layer, struct sx_err *e)
{
    size_t n = strlen(layer), skip = strlen(FAULT);
    struct sx_io_fault f;

    if (n <= skip || strncmp(layer, FAULT, skip) != 0 || layer[n - 1] != ')')
        return sx_err_set(e, SX_EINVAL, "'%s' is not fault(…)", layer);
    if (s->n == SX_IO_LAYERS_MAX)
        return sx_err_set(e, SX_EINVAL, "more than %d layers", SX_IO_LAYERS_MAX);
    layer[n - 1] = '\0';
    if (sx_io_fault_parse(layer + skip, &f, e))
        return -1;
    s->fault[s->n] = sx_io_fault_layer_new(&f, s->top);
    s->top = sx_io_fault_layer_io(s->fault[s->n++]);
    return 0;
}

int sx_io_stack_new(const char *spec, struct sx_io_stack **out, struct sx_err *e)
{
    struct sx_io_stack *s = sx_calloc(1, sizeof *s);
    SX_AUTO_FREE char *text = sx_strdup(spec);
    char *colon = strrchr(text, ':');
    int r = bottom(s, colon ? colon + 1 : text, e);

    while (!r && colon) {
        *colon = '\0';
        colon = strrchr(text, ':');
        r = above(s, colon ? colon + 1 : text, e);
    }
    if (r) {
        sx_io_stack_free(s);
        return sx_err_wrap(e, "layers of files '%s'", spec);
    }
    *out = s;
    return 0;
}

void sx_io_stack_free(struct sx_io_stack *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->n; i++)
        sx_io_fault_layer_free(s->fault[i]);
    sx_io_memory_free(s->memory);
    free(s);
}

const struct sx_io *sx_io_stack_io(const struct sx_io_stack *s)
{
    return s->top;
}

static struct sx_io_fault *top_fault(const struct sx_io_stack *s)
{
    sx_assert(s->n > 0);
    return sx_io_fault_layer_fault(s->fault[s->n - 1]);
}

void sx_io_stack_arm(struct sx_io_stack *s, unsigned n, bool forever)
{
    struct sx_io_fault *f = top_fault(s);

    f->counted = f->fired = 0;
    f->at = n;
    f->forever = forever;
}

unsigned sx_io_stack_calls(const struct sx_io_stack *s)
{
    return top_fault(s)->counted;
}

unsigned sx_io_stack_fired(const struct sx_io_stack *s)
{
    return top_fault(s)->fired;
}
