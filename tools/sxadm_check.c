/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * sxadm node check: looks at all that a node stores, beside the running node or without it; puts right in the index
 * what the packs have; names the files that are hit by what is damaged or missing.
 *
 *   fast (no option)  the index's databases and sums, its rows against the packs' sizes, the packs' headers
 *   --sample          the same, and some blocks by chance are read and decoded
 *   --deep            every block is read and decoded, in the order of the packs
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/bar.h"
#include "fcgi/store/store.h"
#include "libsx/base/clock.h"
#include "libsx/base/text.h"
#include "libsx/crypt/crypt.h"
#include "tools/node.h"

#define STEP_BYTES (1u << 20)
#define PAGE 256u
#define JSON_FILES_MAX 1000u /* so many are in the JSON; the others are only counted */

struct check {
    struct sxadm *a;
    struct judge judge;
    struct sx_store *store;
    struct bar bar;
    uint64_t began_ms;
    uint64_t blocks, bytes; /* that there are, when it begins */
    struct sx_scrub_found found; /* sum of all devices */
    uint64_t bad, missing, files;
    json_t *names;
};

/* ---- walking ------------------------------------------------------------------------------- */

static void show(struct check *k, const struct sx_scrub_found *f)
{
    struct sx_progress p = { .files_done = k->found.rows + f->rows, .files_known = k->blocks,
                             .bytes_done = k->found.bytes + f->bytes, .bytes_known = k->bytes,
                             .elapsed_ms = sx_mono_ms() - k->began_ms };

    bar_draw(&k->bar, &p);
}

/* Waits until what was read is not more than --rate allows. */
static void slow_down(const struct check *k, uint64_t read)
{
    uint64_t due = k->a->rate ? (k->found.bytes + read) * 1000 / k->a->rate : 0;
    uint64_t took = sx_mono_ms() - k->began_ms;

    if (due > took)
        sx_sleep_ms((unsigned)(due - took));
}

static int walk(struct check *k, struct sx_device *d, struct sx_scrub_walk *w, struct sx_err *e)
{
    while (w->place.phase != SX_SCRUB_DONE) {
        if (sx_device_scrub(d, w, STEP_BYTES, e) != 0)
            return -1;
        slow_down(k, w->found.bytes);
        show(k, &w->found);
    }
    return 0;
}

/* Blocks by chance: the first behind an id by chance. */
static int sample(struct check *k, struct sx_device *d, struct sx_scrub_walk *w, struct sx_err *e)
{
    struct sx_store_stats st;
    struct sx_store_item item;
    struct sx_id id;
    uint64_t wanted = k->a->sample;
    size_t n;

    if (sx_device_stats(d, &st, e) != 0)
        return -1;
    if (k->a->sample_percent)
        wanted = (st.blocks * k->a->sample + 99) / 100;
    for (uint64_t i = 0; i < wanted && st.blocks; i++) {
        sx_random(id.b, sizeof id.b);
        if (sx_device_list(d, &id, &item, 1, &n, e) != 0 || (n == 0 && sx_device_list(d, NULL, &item, 1, &n, e) != 0))
            return -1;
        if (n && !item.bad && sx_device_scrub_block(d, w, &item.id, e) != 0)
            return -1;
        slow_down(k, w->found.bytes);
        show(k, &w->found);
    }
    return 0;
}

static void add_found(struct sx_scrub_found *sum, const struct sx_scrub_found *f)
{
    sum->bytes += f->bytes;
    sum->rows += f->rows;
    sum->blocks += f->blocks;
    sum->damaged += f->damaged;
    sum->mended += f->mended;
    sum->stray += f->stray;
    sum->sums += f->sums;
    sum->headers += f->headers;
    sum->read_errors += f->read_errors;
    sum->index_faults += f->index_faults;
}

/* What is on a device that is out cannot be judged. */
static int check_all_in(struct check *k, struct sx_err *e)
{
    struct sx_device_status st[SX_DEVICES_MAX];
    size_t n = sx_store_status(k->store, st);

    for (size_t i = 0; i < n; i++)
        if (st[i].out)
            return sx_err_set(e, SX_EUNAVAIL, "device %u is out: %s", st[i].entry.id, st[i].entry.reason);
    return 0;
}

static int check_devices(struct check *k, struct sx_err *e)
{
    uint64_t epoch;

    if (check_all_in(k, e) != 0 || judge_epoch(&k->judge, &epoch, e) != 0)
        return -1;
    sx_store_set_epoch(k->store, epoch); /* of the lease of a row that is put back */
    for (size_t i = 0; i < sx_store_devices(k->store); i++) {
        struct sx_device *d = sx_store_device(k->store, i);
        struct sx_scrub_walk w = judge_walk(&k->judge);

        k->judge.store = k->store;
        k->judge.walked = d;
        w.fast = !k->a->deep;
        if (walk(k, d, &w, e) != 0 || (k->a->sample && sample(k, d, &w, e) != 0))
            return sx_err_wrap(e, "%s", sx_device_dir(d));
        add_found(&k->found, &w.found);
    }
    return 0;
}

/* ---- what is hit --------------------------------------------------------------------------- */

/* Bad blocks that are referenced count as missing, too. */
static int hit_bad(struct check *k, struct sx_err *e)
{
    struct sx_store_item items[PAGE];
    struct sx_id after = { 0 };
    size_t n;

    do {
        if (sx_store_list_bad(k->store, &after, items, PAGE, &n, e) != 0)
            return -1;
        for (size_t i = 0; i < n; i++)
            if (judge_hit_block(&k->judge, &items[i].id, e) != 0)
                return -1;
        if (n)
            after = items[n - 1].id;
        k->bad += n;
    } while (n);
    return 0;
}

static void name_file(void *arg, const struct judge_file *hit)
{
    struct check *k = arg;

    if (k->a->cli.json) {
        if (json_array_size(k->names) < JSON_FILES_MAX)
            json_array_append_new(k->names, json_pack("{s:s, s:s, s:I, s:b}", "volume", hit->volume, "path", hit->path,
                                                      "revision", (json_int_t)hit->rev, "newest", hit->newest));
        return;
    }
    SX_AUTO_FREE char *path = cli_printable(hit->path);

    printf("hit: %s/%s%s\n", hit->volume, path, hit->newest ? "" : " (an older revision)");
}

static int find_hits(struct check *k, struct sx_err *e)
{
    if (judge_hit_clear(&k->judge, e) != 0 || hit_bad(k, e) != 0 ||
        judge_hit_missing(&k->judge, k->store, &k->missing, e) != 0)
        return -1;
    return judge_hit_files(&k->judge, name_file, k, &k->files, e);
}

/* ---- the answer ---------------------------------------------------------------------------- */

static int verdict(const struct check *k)
{
    const struct sx_scrub_found *f = &k->found;

    if (k->bad + k->missing > 0)
        return k->judge.nodes == 1 && k->missing > 0 ? SXADM_LOST : SXADM_DAMAGED;
    if (f->index_faults + f->headers + f->read_errors > 0)
        return SXADM_DAMAGED;
    return f->mended + f->sums > 0 ? SXADM_MENDED : CLI_OK;
}

static const char *verdict_text(int v)
{
    return v == CLI_OK ? "clean" : v == SXADM_MENDED ? "mended" : v == SXADM_LOST ? "lost" : "damaged";
}

static void print_json(struct check *k)
{
    const struct sx_scrub_found *f = &k->found;

    cli_json(json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:I, s:O}", "result",
                       verdict_text(k->a->status), "blocks", (json_int_t)f->rows, "verified", (json_int_t)f->blocks,
                       "bad", (json_int_t)k->bad, "missing", (json_int_t)k->missing, "mended", (json_int_t)f->mended,
                       "sums", (json_int_t)f->sums, "stray", (json_int_t)f->stray, "headers", (json_int_t)f->headers,
                       "read_errors", (json_int_t)f->read_errors, "index_faults", (json_int_t)f->index_faults, "bytes",
                       (json_int_t)f->bytes, "decoded", k->judge.ctx != NULL, "files_total", (json_int_t)k->files,
                       "files", k->names));
}

static void print_advice(const struct check *k)
{
    const struct sx_scrub_found *f = &k->found;

    if (f->index_faults)
        puts("the index is damaged: it is made anew at the next start of the node, or now by sxadm node rebuild-index");
    if (f->read_errors)
        puts("the disk does not give back all of what was written: replace it");
    if (k->a->status == SXADM_LOST)
        puts("no other node can have these blocks: restore the files from elsewhere; an upload of the same content mends "
             "them all");
    else if (k->bad + k->missing)
        puts("the node fetches good copies from the other nodes while it runs");
}

static void print_text(const struct check *k)
{
    const struct sx_scrub_found *f = &k->found;

    printf("blocks:         %" PRIu64 "\nverified:       %" PRIu64 "%s\nbad:            %" PRIu64 "\nmissing:        %" PRIu64
           "\nfiles hit:      %" PRIu64 "\nmended:         %" PRIu64 " rows, %" PRIu64 " sums\n",
           f->rows, f->blocks, k->judge.ctx ? "" : " (checksums only)", k->bad, k->missing, k->files, f->mended, f->sums);
    printf("faults:         %" PRIu64 " of the index, %" PRIu64 " headers of packs, %" PRIu64 " places unreadable\n",
           f->index_faults, f->headers, f->read_errors);
    if (k->a->deep)
        printf("dead records:   %" PRIu64 " (no fault)\n", f->stray);
    printf("result:         %s\n", verdict_text(k->a->status));
    print_advice(k);
}

static int run(struct check *k, struct sx_err *e)
{
    struct sx_store_stats st;
    int r;

    if (sx_store_stats(k->store, &st, e) != 0)
        return -1;
    k->blocks = st.blocks;
    k->bytes = k->a->deep ? st.used : 0;
    k->began_ms = sx_mono_ms();
    bar_init(&k->bar, !k->a->cli.quiet && !k->a->cli.json, "blocks");
    r = check_devices(k, e);
    bar_clear(&k->bar);
    if (r != 0 || find_hits(k, e) != 0)
        return -1;
    k->a->status = verdict(k);
    if (k->a->cli.json)
        print_json(k);
    else
        print_text(k);
    return 0;
}

int sxadm_node_check(struct sxadm *a, int argc, char **argv, struct sx_err *e)
{
    struct check k = { .a = a, .judge = JUDGE_INIT };
    struct sx_node_conf c = { 0 };
    char dir[PATH_MAX];
    int r;

    if (argc > 0)
        return sx_err_set(e, SX_EUSAGE, "unexpected operand '%s'", argv[0]);
    if (sxadm_load_node(a, dir, &c, e) != 0)
        return -1;
    sxadm_judge_open(a, dir, &k.judge);
    k.names = json_array();
    r = sx_store_open_node(dir, &k.store, e);
    if (r == 0)
        r = run(&k, e);
    sx_store_close(k.store);
    json_decref(k.names);
    judge_close(&k.judge);
    sx_node_conf_fini(&c);
    return r;
}
