/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * sxadm node verify: looks at single packs of a node, or at copies of such, and changes nothing.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fcgi/store/verify.h"
#include "tools/node.h"

static const char *verdict_text(const struct sx_pack_verdict *v)
{
    return v->wrong + v->lost + v->read_errors || v->header[0] ? "damaged" : "good";
}

static void print_json(const char *path, const struct sx_pack_verdict *v)
{
    json_t *holes = json_array();

    for (uint64_t i = 0; i < v->holes && i < SX_VERIFY_HOLES; i++)
        json_array_append_new(holes, json_pack("[I, I]", (json_int_t)v->hole[i].from, (json_int_t)v->hole[i].to));
    cli_json(json_pack("{s:s, s:s, s:I, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:I, s:I, s:I, s:o}", "pack", path,
                       "result", verdict_text(v), "number", (json_int_t)v->number, "header", v->header, "size",
                       (json_int_t)v->size, "records", (json_int_t)v->records, "wrong", (json_int_t)v->wrong, "holes",
                       (json_int_t)v->holes, "hole_bytes", (json_int_t)v->hole_bytes, "read_errors",
                       (json_int_t)v->read_errors, "indexed", v->indexed, "live", (json_int_t)v->live, "dead",
                       (json_int_t)v->dead, "lost", (json_int_t)v->lost, "places", holes));
}

static void print_text(const char *path, const struct sx_pack_verdict *v, bool decoded)
{
    printf("%s: %s\n  header:  %s%s, pack %" PRIu64 ", %" PRIu64 " bytes\n  records: %" PRIu64 " with a right checksum, ",
           path, verdict_text(v), v->header[0] ? "" : "good", v->header, v->number, v->size, v->records);
    if (decoded)
        printf("%" PRIu64 " of them with a wrong content\n", v->wrong);
    else
        puts("contents not looked at");
    printf("  holes:   %" PRIu64 ", %" PRIu64 " bytes; %" PRIu64 " places unreadable\n", v->holes, v->hole_bytes,
           v->read_errors);
    for (uint64_t i = 0; i < v->holes && i < SX_VERIFY_HOLES; i++)
        printf("           bytes %" PRIu64 " to %" PRIu64 "\n", v->hole[i].from, v->hole[i].to - 1);
    if (v->indexed)
        printf("  index:   %" PRIu64 " live, %" PRIu64 " dead records; %" PRIu64 " blocks that should be here are not\n",
               v->live, v->dead, v->lost);
    else
        puts("  index:   this file is no pack of the node");
}

/* A number names a pack of the node. */
static char *pack_path(struct sx_store *s, const char *operand)
{
    if (operand[0] && strspn(operand, "0123456789") == strlen(operand)) {
        for (size_t i = 0; i < sx_store_devices(s); i++) {
            char *path = sx_asprintf("%s/packs/%010llu.pack", sx_device_dir(sx_store_device(s, i)),
                                     strtoull(operand, NULL, 10));

            if (access(path, F_OK) == 0)
                return path;
            free(path);
        }
    }
    return sx_strdup(operand);
}

/* By the device that has the file, or else by the first. */
static int verify(struct sxadm *a, struct sx_store *s, struct judge *j, const char *operand, struct sx_err *e)
{
    SX_AUTO_FREE char *path = pack_path(s, operand);
    const struct sx_scrub_walk w = judge_walk(j);
    struct sx_pack_verdict v = { 0 };

    for (size_t i = 0; i < sx_store_devices(s) && !v.indexed; i++)
        if (sx_device_verify_pack(sx_store_device(s, i), path, &w, &v, e) != 0)
            return -1;
    if (a->cli.json)
        print_json(path, &v);
    else
        print_text(path, &v, j->ctx != NULL);
    if (strcmp(verdict_text(&v), "good") != 0)
        a->status = SXADM_DAMAGED;
    return 0;
}

int sxadm_node_verify(struct sxadm *a, int argc, char **argv, struct sx_err *e)
{
    struct judge j = JUDGE_INIT;
    struct sx_node_conf c = { 0 };
    struct sx_store *s = NULL;
    char dir[PATH_MAX];
    int r;

    if (argc == 0)
        return sx_err_set(e, SX_EUSAGE, "node verify needs packs: their numbers, or files");
    if (sxadm_load_node(a, dir, &c, e) != 0)
        return -1;
    sxadm_judge_open(a, dir, &j);
    r = sx_store_open_node(dir, &s, e);
    for (int i = 0; i < argc && r == 0; i++)
        r = verify(a, s, &j, argv[i], e);
    sx_store_close(s);
    judge_close(&j);
    sx_node_conf_fini(&c);
    return r;
}
