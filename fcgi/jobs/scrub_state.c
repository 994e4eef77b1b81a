/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See scrub_state.h.
 */
#include "fcgi/jobs/scrub_state.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fcgi/jobs/proc.h"
#include "libsx/base/mem.h"
#include "libsx/base/text.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))
#define FOUND(f)                                                                                   \
    {                                                                                              \
        { "bytes", &(f)->bytes }, { "rows", &(f)->rows }, { "blocks", &(f)->blocks },              \
            { "damaged", &(f)->damaged }, { "mended", &(f)->mended }, { "sums", &(f)->sums },      \
            { "stray", &(f)->stray }, { "headers", &(f)->headers },                                \
            { "read_errors", &(f)->read_errors }, { "index_faults", &(f)->index_faults },          \
    }

static json_t *found_json(const struct sx_scrub_found *found)
{
    struct sx_scrub_found f = *found;
    const struct sx_proc_counter list[] = FOUND(&f);
    json_t *j = json_object();

    for (size_t i = 0; i < COUNT(list); i++)
        json_object_set_new(j, list[i].name, json_integer((json_int_t)*list[i].value));
    return j;
}

static int read_found(const json_t *j, struct sx_scrub_found *f)
{
    const struct sx_proc_counter list[] = FOUND(f);

    for (size_t i = 0; i < COUNT(list); i++)
        if (sx_json_need_u64(j, list[i].name, INT64_MAX, list[i].value, NULL))
            return -1;
    return 0;
}

static int read_place(const json_t *j, struct sx_scrub_place *p)
{
    const char *after = json_string_value(json_object_get(j, "after"));
    uint64_t phase, database;

    if (sx_json_need_u64(j, "phase", SX_SCRUB_PACKS, &phase, NULL) ||
        sx_json_need_u64(j, "database", UINT8_MAX, &database, NULL) ||
        sx_json_need_u64(j, "pack", INT64_MAX, &p->pack, NULL) ||
        sx_json_need_u64(j, "at", INT64_MAX, &p->at, NULL) || !after ||
        sx_unhex(p->after.b, SX_ID_SIZE, after))
        return -1;
    p->phase = (enum sx_scrub_phase)phase;
    p->database = (unsigned)database;
    return 0;
}

static int read_state(const json_t *j, struct sx_scrub_state *st)
{
    st->running = json_is_true(json_object_get(j, "running"));
    st->hurry = json_is_true(json_object_get(j, "hurry"));
    return sx_json_need_u64(j, "started_ms", INT64_MAX, &st->started_ms, NULL) ||
                   sx_json_need_u64(j, "done_ms", INT64_MAX, &st->done_ms, NULL) ||
                   sx_json_u64(j, "rounds", 0, INT64_MAX, &st->rounds, NULL) ||
                   sx_json_need_u64(j, "total", INT64_MAX, &st->total, NULL) ||
                   read_place(json_object_get(j, "place"), &st->place) ||
                   read_found(json_object_get(j, "found"), &st->found) ||
                   read_found(json_object_get(j, "last"), &st->last)
               ? -1
               : 0;
}

void sx_scrub_state_load(const char *device_dir, struct sx_scrub_state *st)
{
    SX_AUTO_FREE char *path = sx_asprintf("%s/scrub.json", device_dir);
    SX_AUTO_JSON json_t *j = json_load_file(path, 0, NULL);
    struct sx_scrub_state read = { 0 };

    *st = (struct sx_scrub_state){ 0 };
    if (j && read_state(j, &read) == 0)
        *st = read;
}

int sx_scrub_state_save(const char *device_dir, const struct sx_scrub_state *st, struct sx_err *e)
{
    SX_AUTO_FREE char *path = sx_asprintf("%s/scrub.json", device_dir);
    SX_AUTO_FREE char *tmp = sx_asprintf("%s.tmp", path);
    char after[2 * SX_ID_SIZE + 1];
    const struct sx_scrub_place *p = &st->place;
    SX_AUTO_JSON json_t *j = json_pack(
        "{s:b, s:b, s:I, s:I, s:I, s:I, s:{s:i, s:i, s:s, s:I, s:I}, s:o, s:o}", "running", st->running,
        "hurry", st->hurry, "started_ms", (json_int_t)st->started_ms, "done_ms",
        (json_int_t)st->done_ms, "rounds", (json_int_t)st->rounds, "total", (json_int_t)st->total, "place", "phase", (int)p->phase,
        "database", (int)p->database, "after", sx_hex(after, p->after.b, SX_ID_SIZE), "pack",
        (json_int_t)p->pack, "at", (json_int_t)p->at, "found", found_json(&st->found), "last",
        found_json(&st->last));

    if (json_dump_file(j, tmp, JSON_COMPACT) || rename(tmp, path))
        return sx_err_errno(e, errno, "write %s", path);
    return 0;
}

bool sx_scrub_failing(const struct sx_scrub_state *st)
{
    return st->found.read_errors + st->last.read_errors >= SX_SCRUB_READ_ERRORS_MAX ||
           st->found.damaged + st->last.damaged >= SX_SCRUB_DAMAGED_MAX;
}

unsigned sx_scrub_percent(const struct sx_scrub_state *st)
{
    if (!st->running || st->total == 0 || st->place.phase < SX_SCRUB_PACKS)
        return 0;
    return st->found.bytes >= st->total ? 99 : (unsigned)(st->found.bytes * 100 / st->total);
}

json_t *sx_scrub_state_json(const struct sx_scrub_state *st)
{
    const struct sx_scrub_found *f = &st->found, *l = &st->last;

    return json_pack("{s:s, s:i, s:I, s:I, s:b, s:I, s:I, s:I, s:I}", "state",
                     st->running ? "running" : "idle", "percent", (int)sx_scrub_percent(st),
                     "started_ms", (json_int_t)st->started_ms, "done_ms", (json_int_t)st->done_ms,
                     "failing", sx_scrub_failing(st), "damaged",
                     (json_int_t)(f->damaged + l->damaged), "mended",
                     (json_int_t)(f->mended + f->sums + l->mended + l->sums), "read_errors",
                     (json_int_t)(f->read_errors + l->read_errors), "index_faults",
                     (json_int_t)(f->index_faults + (st->running ? 0 : l->index_faults)));
}

void sx_scrub_poke(const char *dir)
{
    sx_proc_poke(dir, SX_SCRUB_POKE);
}
