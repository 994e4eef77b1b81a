/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * sxcp: copies files and trees into a cluster, out of it, and inside it.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "client/bar.h"
#include "libsx/base/text.h"

#define FILTERS_MAX 256

enum { OPT_INCLUDE = 256, OPT_EXCLUDE, OPT_IGNORE, OPT_FOLLOW, OPT_NO_PROGRESS, OPT_SYNC };

struct options {
    struct sx_copy_options copy;
    const char *filters[FILTERS_MAX];
    uint64_t rate;
    bool no_progress;
};

struct run {
    struct cli *c;
    struct options *o;
    struct bar bar;
};

static volatile sig_atomic_t interrupted;

/* The first one ends the transfer in order, the second the process. */
static void on_signal(int sig)
{
    interrupted = sig;
    signal(sig, SIG_DFL);
}

static int add_filter(struct options *o, char sign, const char *pattern, struct sx_err *e)
{
    if (o->copy.n_filters == FILTERS_MAX)
        return sx_err_set(e, SX_EINVAL, "more than %d patterns", FILTERS_MAX);
    o->filters[o->copy.n_filters++] = sx_asprintf("%c%s", sign, pattern);
    return 0;
}

static int take_option(void *arg, int id, const char *value, struct sx_err *e)
{
    struct options *o = arg;

    switch (id) {
    case 'r': o->copy.recursive = true; return 0;
    case 'x': o->copy.one_file_system = true; return 0;
    case 'b': return sx_size_parse(value, &o->rate, e);
    case OPT_INCLUDE: return add_filter(o, '+', value, e);
    case OPT_EXCLUDE: return add_filter(o, '-', value, e);
    case OPT_IGNORE: o->copy.ignore_errors = true; return 0;
    case OPT_FOLLOW: o->copy.follow_links = true; return 0;
    case OPT_SYNC: o->copy.sync = true; return 0;
    default: o->no_progress = true; return 0;
    }
}

static const struct cli_option options[] = {
    { 'r', "recursive", NULL, "copy directories with all that is below" },
    { 'x', "one-file-system", NULL, "do not cross mount points" },
    { OPT_INCLUDE, "include", "GLOB", "copy what matches; patterns count in their order" },
    { OPT_EXCLUDE, "exclude", "GLOB", "leave out what matches" },
    { OPT_FOLLOW, "follow", NULL, "copy what symbolic links point to" },
    { OPT_IGNORE, "ignore-errors", NULL, "go on after a file failed" },
    { OPT_SYNC, "sync", NULL, "flush downloaded files to disk" },
    { 'b', "bwlimit", "RATE", "at most so many bytes a second, like 500K or 10M" },
    { OPT_NO_PROGRESS, "no-progress", NULL, "no progress bar" },
    { 0 }
};

static int progress(void *arg, const struct sx_progress *p)
{
    struct run *r = arg;

    bar_draw(&r->bar, p);
    return interrupted;
}

static json_t *note_json(const char *state, const char *name, uint64_t size,
                         const struct sx_err *why)
{
    json_t *j = json_pack("{s:s,s:s,s:I}", "state", state, "name", name, "size", (json_int_t)size);

    if (!j) /* a local name that is not UTF-8 */
        j = json_pack("{s:s,s:n,s:I}", "state", state, "name", "size", (json_int_t)size);
    if (why && why->code != SX_OK) {
        json_object_set_new(j, "code", json_string(sx_err_name(why->code)));
        json_object_set_new(j, "message", json_string(why->msg));
    }
    return j;
}

static void note_failed(struct run *r, const char *name, const struct sx_err *why)
{
    struct sx_err named = *why;

    sx_err_wrap(&named, "%s", name);
    cli_error(r->c, &named);
}

static void note(void *arg, enum sx_note what, const char *name, uint64_t size,
                 const struct sx_err *why)
{
    static const char *const states[] = { "copied", "unchanged", "skipped", "failed" };
    struct run *r = arg;
    SX_AUTO_FREE char *shown = cli_printable(name);
    bool told = why && why->code != SX_OK;
    char text[SX_SIZE_TEXT];

    if (what == SX_NOTE_FAILED || r->c->json || r->c->verbose || (what == SX_NOTE_SKIPPED && told))
        bar_clear(&r->bar);
    if (what == SX_NOTE_FAILED)
        note_failed(r, name, why);
    else if (what == SX_NOTE_SKIPPED && told && !r->c->json)
        cli_note(r->c, "%s: skipped: %s", shown, why->msg);
    if (r->c->json)
        cli_json(note_json(states[what], name, size, why));
    else if (r->c->verbose && what == SX_NOTE_COPIED)
        printf("%s (%s)\n", shown, sx_size_text(text, size));
    else if (r->c->verbose > 1 && what == SX_NOTE_UNCHANGED)
        printf("%s (unchanged)\n", shown);
}

static void print_summary(const struct cli *c, const struct sx_copy_stats *s)
{
    char bytes[SX_SIZE_TEXT], moved[SX_SIZE_TEXT], reused[SX_SIZE_TEXT], rate[SX_SIZE_TEXT];
    uint64_t ms = s->elapsed_ms ? s->elapsed_ms : 1;

    if (c->json) {
        cli_json(json_pack("{s:s,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "state", "summary", "files",
                           (json_int_t)s->files, "unchanged", (json_int_t)s->unchanged, "skipped",
                           (json_int_t)s->skipped, "failed", (json_int_t)s->failed, "bytes",
                           (json_int_t)s->bytes, "moved", (json_int_t)s->moved, "reused",
                           (json_int_t)s->reused, "elapsed_ms", (json_int_t)s->elapsed_ms));
        return;
    }
    if (!c->verbose)
        return;
    printf("%" PRIu64 " files copied (%s in %.1f s, %s/s), %" PRIu64 " unchanged, %" PRIu64
           " skipped, %" PRIu64 " failed\n%s moved over the network, %s were there already\n",
           s->files, sx_size_text(bytes, s->bytes), (double)ms / 1000,
           sx_size_text(rate, s->bytes * 1000 / ms), s->unchanged, s->skipped, s->failed,
           sx_size_text(moved, s->moved), sx_size_text(reused, s->reused));
}

/* Standard output cannot take both. */
static bool to_stdout(const char *destination)
{
    return !strcmp(destination, "-");
}

static int copy(struct run *r, int n, char **names)
{
    struct sx_copy_stats stats = { 0 };
    struct sx_err e = SX_ERR_INIT;
    int result;

    if (to_stdout(names[n - 1]) && (r->c->json || r->c->verbose)) {
        sx_err_set(&e, SX_EUSAGE, "the file goes to standard output: no --json and no -v");
        cli_fail(r->c, &e);
        return -1;
    }
    result = sx_copy(r->c->client, (const char *const *)names, (size_t)n - 1, names[n - 1],
                     &r->o->copy, &stats, &e);
    bar_clear(&r->bar);
    if (result && (!stats.failed || e.code == SX_ECANCELED))
        cli_error(r->c, &e);
    print_summary(r->c, &stats);
    r->c->done = (int)(stats.files + stats.unchanged > 0);
    r->c->failed = result || stats.failed;
    return result;
}

int main(int argc, char **argv)
{
    struct options o = { .rate = 0 };
    const struct cli_command cmd = {
        "sxcp", "[OPTION]... SOURCE... DESTINATION",
        "Copies files: into a cluster, out of it, or inside it.  Source and destination are "
        "local paths or "
        "URIs, sx://[USER@]CLUSTER/VOLUME/PATH or @ALIAS/VOLUME/PATH; - is standard input or "
        "output.  "
        "\"dir\" copies the directory, \"dir/\" what is in it.",
        options, take_option, &o
    };
    struct run r = { .o = &o };
    struct cli c;

    sx_copy_options_init(&o.copy);
    o.copy.filters = o.filters;
    cli_start(&c, &cmd, &argc, &argv);
    if (argc < 2)
        cli_usage(c.name, argc ? "the destination is missing" : "the source is missing");
    r.c = &c;
    bar_init(&r.bar, !o.no_progress && !c.quiet && !c.json, "files");
    o.copy.progress = progress;
    o.copy.note = note;
    o.copy.arg = &r;
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    sx_client_limit_rate(c.client, o.rate);
    (void)!copy(&r, argc, argv);
    for (size_t i = 0; i < o.copy.n_filters; i++)
        free((char *)o.filters[i]);
    return cli_end(&c);
}
