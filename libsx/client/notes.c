/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What the source thread has to tell of files, on its way to the caller's thread.
 */
#include <string.h>

#include "libsx/base/wire.h"
#include "libsx/client/source.h"

#define UNCHANGED_BYTES 8192u /* of the notes of unchanged files that are sent together */

struct note {
    struct sx_job job;
    struct up *u;
    enum sx_note what;
    uint64_t size;
    struct sx_err why;
    char name[];
};

static void note_done(struct sx_job *j)
{
    struct note *n = (struct note *)j;

    sx_xfer_note(&n->u->x, n->what, n->name, n->size, &n->why);
    free(n);
}

/* Of files that are as they were, which come by the thousand: sizes (8 bytes) and names. */
struct unchanged {
    struct sx_job job;
    struct up *u;
    struct sx_buf files;
};

static void unchanged_done(struct sx_job *j)
{
    struct unchanged *n = (struct unchanged *)j;
    struct sx_cur c = sx_cur_of(n->files.data, n->files.len);

    while (c.left) {
        uint64_t size = sx_cur_u64(&c);
        const char *name = (const char *)c.p;

        sx_cur_take(&c, strlen(name) + 1);
        sx_xfer_note(&n->u->x, SX_NOTE_UNCHANGED, name, size, NULL);
    }
    sx_buf_fini(&n->files);
    free(n);
}

void source_tell(struct source *s)
{
    if (s->unchanged)
        sx_work_post(s->u->x.work, &SX_STEAL(s->unchanged)->job);
}

static void note_unchanged(struct source *s, const char *name, uint64_t size)
{
    if (!s->unchanged) {
        s->unchanged = sx_calloc(1, sizeof *s->unchanged);
        s->unchanged->job.done = unchanged_done;
        s->unchanged->u = s->u;
    }
    sx_buf_u64(&s->unchanged->files, size);
    sx_buf_add(&s->unchanged->files, name, strlen(name) + 1);
    if (s->unchanged->files.len > UNCHANGED_BYTES)
        source_tell(s);
}

void source_note(struct source *s, enum sx_note what, const char *name, uint64_t size,
                 const struct sx_err *why)
{
    struct note *n;

    if (what == SX_NOTE_UNCHANGED) {
        note_unchanged(s, name, size);
        return;
    }
    source_tell(s);
    n = sx_calloc(1, sizeof *n + strlen(name) + 1);
    n->job.done = note_done;
    n->u = s->u;
    n->what = what;
    n->size = size;
    if (why)
        n->why = *why;
    strcpy(n->name, name);
    sx_work_post(s->u->x.work, &n->job);
}
