/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * sxadm cluster df: where the space of a cluster is (docs/operations.md, Space; docs/api.md,
 * section 2).
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "libsx/base/clock.h"
#include "libsx/base/text.h"
#include "libsx/client/call.h"
#include "tools/sxadm.h"

#define POLL_MS 200
#define SPACE SX_API "/space"

static uint64_t number(const json_t *o, const char *name)
{
    return (uint64_t)json_integer_value(json_object_get(o, name));
}

static const char *text(const json_t *o, const char *name)
{
    const char *s = json_string_value(json_object_get(o, name));

    return s ? s : "";
}

/* ---- counting anew ------------------------------------------------------------------------- */

static const json_t *find_node(const json_t *space, const char *id)
{
    const json_t *n;
    size_t i;

    json_array_foreach(json_object_get(space, "nodes"), i, n)
        if (strcmp(text(n, "id"), id) == 0)
            return n;
    return NULL;
}

/* Each node that took the order has counted since, by its own clock. */
static bool all_new(const json_t *ordered, const json_t *now)
{
    const json_t *n;
    size_t i;

    json_array_foreach(json_object_get(ordered, "nodes"), i, n) {
        const json_t *then = find_node(now, text(n, "id"));

        if (json_is_true(json_object_get(n, "up")) && then &&
            json_is_true(json_object_get(then, "up")) &&
            number(then, "as_of_ms") < number(n, "now_ms"))
            return false;
    }
    return true;
}

/* Has the nodes count, and waits for them. */
static int count_now(struct sxadm *a, struct sx_cluster *k, json_t **space, struct sx_err *e)
{
    uint64_t until = sx_mono_ms() + a->timeout_s * 1000;
    SX_AUTO_JSON json_t *ordered = NULL;
    json_t *now = NULL;

    if (sx_call_json(k, "POST", sx_strdup(SPACE), NULL, NULL, &ordered, e) != 0)
        return -1;
    for (;;) {
        if (sx_call_json(k, "GET", sx_strdup(SPACE), NULL, NULL, &now, e) != 0)
            return -1;
        if (all_new(ordered, now))
            break;
        json_decref(now);
        if (sx_mono_ms() >= until)
            return sx_err_set(e, SX_ETIMEOUT, "not all nodes have counted within %" PRIu64
                              " s; they go on: ask later without --now, or with a longer --timeout",
                              a->timeout_s);
        sx_sleep_ms(POLL_MS);
    }
    *space = now;
    return 0;
}

/* ---- printing ------------------------------------------------------------------------------ */

static const char *size_of(char *out, const json_t *o, const char *name)
{
    return sx_size_text(out, number(o, name));
}

/* "2.31 x", or "-" if it is not known. */
static const char *ratio_of(char *out, size_t size, const json_t *o, const char *name)
{
    const json_t *ratio = json_object_get(o, name);

    if (ratio)
        snprintf(out, size, "%.2f x", json_number_value(ratio));
    else
        snprintf(out, size, "-");
    return out;
}

static void print_line(const char *label, const json_t *o, const char *name, const char *what)
{
    char size[SX_SIZE_TEXT];

    printf("%-14s %10s   %s\n", label, size_of(size, o, name), what);
}

static void print_totals(const json_t *s)
{
    char note[160], size[3][SX_SIZE_TEXT], ratio[2][16];

    print_line("logical:", s, "logical", "all revisions of all files");
    snprintf(note, sizeof note, "dedup %s: each block once",
             ratio_of(ratio[0], sizeof ratio[0], s, "dedup"));
    print_line("unique:", s, "unique", note);
    snprintf(note, sizeof note, "compression %s, together %s",
             ratio_of(ratio[0], sizeof ratio[0], s, "compression"),
             ratio_of(ratio[1], sizeof ratio[1], s, "reduction"));
    print_line("compressed:", s, "compressed", note);
    print_line("physical:", s, "physical", "all copies of these blocks");
    if (number(s, "uploading"))
        print_line("uploading:", s, "uploading", "only uploads under way refer to it");
    if (number(s, "damaged"))
        print_line("damaged:", s, "damaged", "blocks known to be damaged, being fetched anew");
    snprintf(note, sizeof note, "%s nothing refers to, %s dead in packs",
             size_of(size[0], s, "unreferenced"), size_of(size[1], s, "dead"));
    print_line("reclaimable:", s, "reclaimable", note);
    print_line("packs:", s, "packs", "what the files of all packs take: the above from physical on, and headers");
    snprintf(note, sizeof note, "the database on all nodes; %s of it inline files, once",
             size_of(size[2], s, "inline"));
    print_line("metadata:", s, "metadata", note);
}

static void print_volumes(const json_t *s)
{
    char size[5][SX_SIZE_TEXT], ratio[2][16];
    const json_t *v;
    size_t i;

    printf("\n%10s  %10s  %10s  %10s  %10s  %8s  %8s  %s\n", "LOGICAL", "UNIQUE", "COMPRESSED",
           "PHYSICAL", "EXCLUSIVE", "DEDUP", "COMPR", "VOLUME");
    json_array_foreach(json_object_get(s, "volumes"), i, v)
        printf("%10s  %10s  %10s  %10s  %10s  %8s  %8s  %s\n", size_of(size[0], v, "logical"),
               size_of(size[1], v, "unique"), size_of(size[2], v, "compressed"),
               size_of(size[3], v, "physical"), size_of(size[4], v, "exclusive"),
               ratio_of(ratio[0], sizeof ratio[0], v, "dedup"),
               ratio_of(ratio[1], sizeof ratio[1], v, "compression"), text(v, "name"));
}

static void print_nodes(const json_t *s)
{
    char size[4][SX_SIZE_TEXT], when[SX_TIME_TEXT];
    const json_t *n;
    size_t i;

    printf("\n%10s  %10s  %10s  %10s  %-16s  %s\n", "PACKS", "PHYSICAL", "UNREFER.", "DEAD",
           "COUNTED (UTC)", "NODE");
    json_array_foreach(json_object_get(s, "nodes"), i, n)
        if (number(n, "as_of_ms"))
            printf("%10s  %10s  %10s  %10s  %-16s  %s\n", size_of(size[0], n, "packs"),
                   size_of(size[1], n, "physical"), size_of(size[2], n, "unreferenced"),
                   size_of(size[3], n, "dead"), sx_time_text(when, number(n, "as_of_ms"), false),
                   text(n, "id"));
        else
            printf("%10s  %10s  %10s  %10s  %-16s  %s\n", "-", "-", "-", "-",
                   json_is_true(json_object_get(n, "up")) ? "not yet" : "no answer", text(n, "id"));
}

/* Says which nodes are missing in the sums. */
static void print_incomplete(const json_t *s)
{
    const json_t *n;
    size_t i;

    json_array_foreach(json_object_get(s, "nodes"), i, n) {
        if (!json_is_true(json_object_get(n, "up")))
            printf("incomplete: node %s does not answer\n", text(n, "id"));
        else if (!number(n, "as_of_ms"))
            printf("incomplete: node %s has not counted yet\n", text(n, "id"));
        else if (number(n, "lacking"))
            printf("incomplete: node %s lacks blocks of %" PRIu64 " bytes that it should have\n",
                   text(n, "id"), number(n, "lacking"));
    }
    puts("incomplete: compressed, physical, exclusive, packs and reclaimable are at least what is "
         "shown; the ratio of compression is that of the blocks that were counted");
}

static void print_space(const json_t *s)
{
    print_totals(s);
    print_volumes(s);
    print_nodes(s);
    if (!json_is_true(json_object_get(s, "complete"))) {
        putchar('\n');
        print_incomplete(s);
    }
}

int sxadm_cluster_df(struct sxadm *a, int argc, char **argv, struct sx_err *e)
{
    struct cli_place p = { 0 };
    json_t *s = NULL;
    int result = sxadm_open(a, argc, argv, 0, &p, e);

    if (result == 0)
        result = a->now ? count_now(a, p.cluster, &s, e)
                        : sx_call_json(p.cluster, "GET", sx_strdup(SPACE), NULL, NULL, &s, e);
    if (result == 0 && a->cli.json) {
        cli_json(s);
        s = NULL;
    }
    if (result == 0 && s)
        print_space(s);
    json_decref(s);
    cli_place_fini(&p);
    return result;
}
