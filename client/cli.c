/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See cli.h.
 */
#include "client/cli.h"

#include <errno.h>
#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define OPTIONS_MAX 48
#define OPTION_WIDTH 30
#define HELP_WIDTH 79

enum { OPT_JSON = 1000 };

static const struct cli_option common[] = {
    { 'c', "config-dir", "DIR", "configuration directory (default: $SX_CONFIG_DIR or ~/.sx)" },
    { OPT_JSON, "json", NULL, "print JSON, one object a line" },
    { 'q', "quiet", NULL, "print errors only" },
    { 'v', "verbose", NULL, "print more" },
    { 'h', "help", NULL, "show this help" },
    { 'V', "version", NULL, "show the version" },
    { 0 }
};

static void print_options(const struct cli_option *o)
{
    for (; o->id; o++) {
        char text[64];
        int n = o->id < 256 ? snprintf(text, sizeof text, "  -%c, --%s", o->id, o->name) :
                              snprintf(text, sizeof text, "      --%s", o->name);

        if (o->arg)
            snprintf(text + n, sizeof text - (size_t)n, " %s", o->arg);
        printf("%-*s  %s\n", OPTION_WIDTH, text, o->help);
    }
}

/* Words in lines of at most HELP_WIDTH columns. */
static void print_wrapped(const char *s)
{
    size_t column = 0;

    while (*s) {
        size_t n = strcspn(s, " ");

        if (column && column + 1 + n > HELP_WIDTH) {
            putchar('\n');
            column = 0;
        }
        column += (size_t)printf("%s%.*s", column ? " " : "", (int)n, s);
        s += n;
        s += strspn(s, " ");
    }
    putchar('\n');
}

static void print_help(const struct cli_command *cmd)
{
    SX_AUTO_FREE char *lines = sx_strdup(cmd->synopsis);
    char *save = NULL;
    const char *lead = "usage:";

    for (char *s = strtok_r(lines, "\n", &save); s; s = strtok_r(NULL, "\n", &save)) {
        printf("%s %s %s\n", lead, cmd->name, s);
        lead = "      ";
    }
    putchar('\n');
    print_wrapped(cmd->about);
    puts("\noptions:");
    if (cmd->options)
        print_options(cmd->options);
    print_options(common);
    printf("\nExit status: 0 done, 1 error, 2 some of several objects failed.  See %s(%d).\n",
           cmd->name, cmd->section ? cmd->section : 1);
}

void cli_usage(const char *name, const char *fmt, ...)
{
    va_list ap;

    fprintf(stderr, "%s: ", name);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fprintf(stderr, "; see %s --help\n", name);
    exit(CLI_FAILED);
}

/* The tables as getopt_long() wants them. */
struct tables {
    char brief[2 * OPTIONS_MAX + 2];
    struct option full[OPTIONS_MAX + 1];
    int n;
};

static void add_options(struct tables *t, const struct cli_option *o)
{
    for (; o && o->id; o++) {
        size_t len = strlen(t->brief);

        sx_assert(t->n < OPTIONS_MAX);
        t->full[t->n++] = (struct option){ o->name, o->arg ? required_argument : no_argument, NULL,
                                           o->id };
        if (o->id < 256)
            t->brief[len++] = (char)o->id;
        if (o->id < 256 && o->arg)
            t->brief[len++] = ':';
        t->brief[len] = '\0';
    }
}

static void take_option(struct cli *c, const struct cli_command *cmd, int id)
{
    struct sx_err e = SX_ERR_INIT;

    switch (id) {
    case 'h':
        print_help(cmd);
        exit(fflush(stdout) ? CLI_FAILED : CLI_OK);
    case 'V':
        printf("%s %s\n", cmd->name, sx_version());
        exit(fflush(stdout) ? CLI_FAILED : CLI_OK);
    case '?':
    case ':':
        fprintf(stderr, "%s: see %s --help\n", cmd->name, cmd->name);
        exit(CLI_FAILED);
    case 'c':
        c->config_dir = optarg;
        return;
    case 'q':
        c->quiet = true;
        return;
    case 'v':
        c->verbose++;
        return;
    case OPT_JSON:
        c->json = true;
        return;
    default:
        if (cmd->option(cmd->arg, id, optarg, &e)) {
            cli_error(c, &e);
            exit(CLI_FAILED);
        }
    }
}

void cli_start(struct cli *c, const struct cli_command *cmd, int *argc, char ***argv)
{
    struct sx_err e = SX_ERR_INIT;
    struct tables t = { .brief = "" };
    int id;

    /* Freed buffers of some MiB are used again rather than given back: a page fault costs more
     * than hashing the page. */
    mallopt(M_MMAP_THRESHOLD, 64 << 20);
    mallopt(M_TRIM_THRESHOLD, 128 << 20);
    signal(SIGPIPE, SIG_IGN);
    memset(c, 0, sizeof *c);
    c->name = cmd->name;
    add_options(&t, cmd->options);
    add_options(&t, common);
    (*argv)[0] = (char *)cmd->name;
    while ((id = getopt_long(*argc, *argv, t.brief, t.full, NULL)) != -1)
        take_option(c, cmd, id);
    *argc -= optind;
    *argv += optind;
    if (sx_client_new(&c->client, c->config_dir, &e)) {
        cli_error(c, &e);
        exit(CLI_FAILED);
    }
}

int cli_end(struct cli *c)
{
    sx_client_free(c->client);
    c->client = NULL;
    if (fflush(stdout) || ferror(stdout)) {
        fprintf(stderr, "%s: write to standard output: %s\n", c->name, strerror(errno));
        return CLI_FAILED;
    }
    if (!c->failed)
        return CLI_OK;
    return c->done ? CLI_PARTIAL : CLI_FAILED;
}

char *cli_printable(const char *s)
{
    char *out = sx_strdup(s);

    for (char *p = out; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            *p = '?';
    return out;
}

/* What to do next, for the errors whose sentence cannot know it. */
static const char *next_step(int code)
{
    switch (code) {
    case SX_ECERT:
        return "; if the cluster was made anew, run sxinit --delete and sxinit again";
    case SX_EAUTH:
        return "; check the key with sxacl whoami, or set it up again with sxinit";
    case SX_ENET:
    case SX_EUNAVAIL:
    case SX_ETIMEOUT:
        return "; check the nodes with sxinit --info, then try again";
    case SX_ENOLEADER:
    case SX_EQUORUM:
        return "; more than half of the nodes must be up; try again";
    default:
        return "";
    }
}

void cli_error(const struct cli *c, const struct sx_err *e)
{
    SX_AUTO_FREE char *text = cli_printable(e->msg[0] ? e->msg : sx_err_text(e->code));

    fflush(stdout);
    fprintf(stderr, "%s: %s%s\n", c->name, text, strchr(text, ';') ? "" : next_step(e->code));
}

void cli_fail(struct cli *c, const struct sx_err *e)
{
    c->failed++;
    cli_error(c, e);
}

void cli_note(const struct cli *c, const char *fmt, ...)
{
    va_list ap;

    if (c->quiet)
        return;
    fflush(stdout);
    fprintf(stderr, "%s: ", c->name);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
}

void cli_json(json_t *j)
{
    SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;

    sx_json_dump(&b, j);
    sx_buf_str(&b, "\n");
    fwrite(b.data, 1, b.len, stdout);
    json_decref(j);
}

void cli_place_fini(struct cli_place *p)
{
    sx_uri_fini(&p->uri);
    p->cluster = NULL;
}

static int check_kind(const char *text, const struct sx_uri *u, enum cli_place_kind kind,
                      struct sx_err *e)
{
    if (kind == CLI_CLUSTER && u->volume)
        return sx_err_set(e, SX_EINVAL, "%s: a cluster is wanted, without a volume", text);
    if (kind != CLI_CLUSTER && kind != CLI_ANY && !u->volume)
        return sx_err_set(e, SX_EINVAL, "%s: the volume is missing", text);
    if (kind == CLI_VOLUME && u->path)
        return sx_err_set(e, SX_EINVAL, "%s: a volume is wanted, without a path", text);
    if (kind == CLI_FILE && !u->path)
        return sx_err_set(e, SX_EINVAL, "%s: the file is missing", text);
    return 0;
}

int cli_place(struct cli *c, const char *text, enum cli_place_kind kind, struct cli_place *p,
              struct sx_err *e)
{
    memset(p, 0, sizeof *p);
    if (sx_uri_parse(c->client, text, &p->uri, e))
        return -1;
    if (check_kind(text, &p->uri, kind, e) || sx_cluster_open(c->client, &p->uri, &p->cluster, e)) {
        cli_place_fini(p);
        return -1;
    }
    return 0;
}

int cli_number(const char *name, const char *text, unsigned min, unsigned max, unsigned *out,
               struct sx_err *e)
{
    char *end;
    unsigned long v;

    errno = 0;
    v = strtoul(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end || errno || v < min || v > max)
        return sx_err_set(e, SX_EINVAL, "%s: '%s' is not a number from %u to %u", name, text, min,
                          max);
    *out = (unsigned)v;
    return 0;
}
