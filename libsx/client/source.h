/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The source thread's own parts: reading files (source.c), walking trees (walk.c), comparing with the
 * destination (compare.c) and telling (notes.c).
 */
#ifndef SX_CLIENT_SOURCE_H
#define SX_CLIENT_SOURCE_H

#include "libsx/client/up.h"

struct source {
    struct up *u;
    const struct up_source_item *item;
    struct sx_page *page;   /* of the destination's listing */
    struct sx_file_info at; /* what was taken from the page last, */
    bool have;              /* and is still to be compared */
    bool listed;            /* there may be more pages */
    dev_t dev;              /* of the tree's root */
    struct unchanged *unchanged; /* gathered notes; NULL: none */
};

/* What became of a file, for the caller's thread.  Notes of unchanged files go in groups. */
void source_note(struct source *s, enum sx_note what, const char *name, uint64_t size,
                 const struct sx_err *why);

/* Sends the notes that were gathered: before this thread waits, or does something longer. */
void source_tell(struct source *s);

/* Reads a regular file and hands it over; what fails is noted. */
void source_file(struct source *s, const char *local, const char *dest, bool follow);
void source_fd(struct source *s, int fd, const char *name, const char *dest);

void source_walk(struct source *s);

/* The listing of what begins with `prefix`; paths must then be asked for in order.  A page is
 * fetched while the one before is used. */
void compare_begin(struct source *s, const char *prefix, unsigned limit);
bool compare_unchanged(struct source *s, const char *dest, const struct stat *st);
void compare_end(struct source *s);

#endif
