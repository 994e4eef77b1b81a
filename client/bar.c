/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See bar.h.
 */
#include "client/bar.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "libsx/base/text.h"

#define WIDTH_DEFAULT 80
#define CELLS 20
#define SMOOTH 4 /* the new rate counts a quarter */

void bar_init(struct bar *b, bool wanted, const char *things)
{
    memset(b, 0, sizeof *b);
    b->things = things;
    b->on = wanted && isatty(STDERR_FILENO);
}

static int terminal_width(void)
{
    struct winsize w;

    return ioctl(STDERR_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 20 ? w.ws_col : WIDTH_DEFAULT;
}

static void eta_text(char out[16], const struct sx_progress *p, uint64_t rate)
{
    uint64_t s;

    strcpy(out, "--:--");
    if (p->walking || !rate || p->bytes_known < p->bytes_done)
        return;
    s = (p->bytes_known - p->bytes_done) / rate;
    if (s < 3600)
        snprintf(out, 16, "%02u:%02u", (unsigned)(s / 60), (unsigned)(s % 60));
    else if (s < 100 * 3600)
        snprintf(out, 16, "%uh%02um", (unsigned)(s / 3600), (unsigned)(s / 60 % 60));
    else
        strcpy(out, "days");
}

void bar_text(char out[BAR_LINE_MAX], const struct sx_progress *p, const char *things,
              uint64_t rate, int width)
{
    char done[SX_SIZE_TEXT], known[SX_SIZE_TEXT], speed[SX_SIZE_TEXT], eta[16], cells[CELLS + 1];
    char count[64] = "";
    uint64_t all = p->bytes_known ? p->bytes_known : 1;
    double part = p->bytes_done >= all ? 1.0 : (double)p->bytes_done / (double)all;
    int n = (int)(part * CELLS);

    memset(cells, ' ', CELLS);
    memset(cells, '#', (size_t)n);
    cells[CELLS] = '\0';
    eta_text(eta, p, rate);
    if (p->files_done || p->files_known)
        snprintf(count, sizeof count, "  %" PRIu64 "/%" PRIu64 " %.20s", p->files_done, p->files_known, things);
    snprintf(out, BAR_LINE_MAX, "[%s] %3d%%  %s of %s%s  %s/s  ETA %s%s", cells, (int)(part * 100),
             sx_size_text(done, p->bytes_done), sx_size_text(known, p->bytes_known), p->walking ? "+" : "",
             sx_size_text(speed, rate), eta, count);
    if (width > 0 && width < BAR_LINE_MAX)
        out[width - 1] = '\0';
}

static void update_rate(struct bar *b, const struct sx_progress *p)
{
    uint64_t ms = p->elapsed_ms - b->last_ms, now;

    if (p->elapsed_ms <= b->last_ms)
        return;
    now = (p->bytes_done - b->last_bytes) * 1000 / ms;
    b->rate = b->rate ? (b->rate * (SMOOTH - 1) + now) / SMOOTH : now;
    b->last_ms = p->elapsed_ms;
    b->last_bytes = p->bytes_done;
}

void bar_draw(struct bar *b, const struct sx_progress *p)
{
    char line[BAR_LINE_MAX];

    if (!b->on)
        return;
    update_rate(b, p);
    bar_text(line, p, b->things, b->rate, terminal_width());
    fprintf(stderr, "\r%s\033[K", line);
    b->drawn = true;
}

void bar_clear(struct bar *b)
{
    if (b->drawn)
        fputs("\r\033[K", stderr);
    b->drawn = false;
}
