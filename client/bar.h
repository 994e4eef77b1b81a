/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The progress bar of a transfer or a check: one line on the terminal, redrawn.
 */
#ifndef SX_CLIENT_BAR_H
#define SX_CLIENT_BAR_H

#include "client/cli.h"

struct bar {
    bool on;
    bool drawn;
    const char *things;        /* what is counted beside bytes: "files" */
    uint64_t rate;             /* smoothed, bytes a second */
    uint64_t last_ms, last_bytes;
};

/* Draws only if standard error is a terminal and `wanted`.  `things` must live as long. */
void bar_init(struct bar *b, bool wanted, const char *things);
void bar_draw(struct bar *b, const struct sx_progress *p);
/* Takes the line away before something else is printed. */
void bar_clear(struct bar *b);

#define BAR_LINE_MAX 256
/* The text of the line, at most `width` columns; for tests too. */
void bar_text(char out[BAR_LINE_MAX], const struct sx_progress *p, const char *things,
              uint64_t rate, int width);

#endif
