/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See space.h.
 */
#include "fcgi/jobs/space.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fcgi/jobs/proc.h"
#include "libsx/base/log.h"
#include "libsx/base/mem.h"

#define VOLUMES_STEP 64u

void sx_space_fini(struct sx_space *s)
{
    free(s->volumes);
    memset(s, 0, sizeof *s);
}

/* The place of a volume in the array, or where it belongs. */
static size_t place_of(const struct sx_space *s, uint64_t volume)
{
    size_t low = 0, high = s->n_volumes;

    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (s->volumes[mid].id < volume)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

struct sx_space_sums *sx_space_volume(struct sx_space *s, uint64_t volume)
{
    size_t i = place_of(s, volume);

    if (i == s->n_volumes || s->volumes[i].id != volume) {
        if (s->n_volumes % VOLUMES_STEP == 0)
            s->volumes =
                sx_realloc(s->volumes, (s->n_volumes + VOLUMES_STEP) * sizeof *s->volumes);
        memmove(s->volumes + i + 1, s->volumes + i, (s->n_volumes - i) * sizeof *s->volumes);
        s->volumes[i] = (struct sx_space_volume){ .id = volume };
        s->n_volumes++;
    }
    return &s->volumes[i].sums;
}

static void add_sums(struct sx_space_sums *to, const struct sx_space_sums *more)
{
    to->unique += more->unique;
    to->counted += more->counted;
    to->compressed += more->compressed;
    to->physical += more->physical;
    to->inlined += more->inlined;
    to->inlined_plain += more->inlined_plain;
}

/* To the sums of all, once, and to those of each volume; returns how many these are. */
static size_t add_all(struct sx_space *s, const struct sx_space_sums *more,
                      const uint64_t *holders, size_t n)
{
    size_t volumes = 0;

    for (size_t i = 0; i < n; i++)
        if (holders[i] != SX_SPACE_UPLOAD) {
            add_sums(sx_space_volume(s, holders[i]), more);
            volumes++;
        }
    if (volumes)
        add_sums(&s->all, more);
    return volumes;
}

void sx_space_add_block(struct sx_space *s, const struct sx_space_block *b, const uint64_t *holders,
                        size_t n)
{
    uint32_t good = b->damaged ? 0 : b->stored;
    bool measured = b->first && good;
    const struct sx_space_sums more = {
        .unique = b->plain, .counted = measured ? b->plain : 0,
        .compressed = measured ? good : 0, .physical = good,
    };
    size_t volumes = add_all(s, &more, holders, n);

    if (b->damaged)
        s->damaged += b->stored;
    if (volumes == 0) {
        *(n ? &s->uploading : &s->unreferenced) += good;
        return;
    }
    s->blocks++;
    if (b->first && !good)
        s->lacking += b->plain;
    if (volumes == 1)
        sx_space_volume(s, holders[n - 1])->exclusive += good;
}

void sx_space_add_inline(struct sx_space *s, uint32_t plain, uint32_t stored,
                         const uint64_t *holders, size_t n)
{
    const struct sx_space_sums more = { .unique = plain, .inlined = stored, .inlined_plain = plain };

    add_all(s, &more, holders, n);
}

/* ---- JSON ---- */

static json_t *sums_json(const struct sx_space_sums *u)
{
    json_t *j = json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "logical", (json_int_t)u->logical,
                          "unique", (json_int_t)u->unique, "counted", (json_int_t)u->counted,
                          "compressed", (json_int_t)u->compressed, "physical",
                          (json_int_t)u->physical, "exclusive", (json_int_t)u->exclusive, "inline",
                          (json_int_t)u->inlined, "inline_plain", (json_int_t)u->inlined_plain);

    sx_assert(j);
    return j;
}

json_t *sx_space_json(const struct sx_space *s)
{
    json_t *volumes = json_array(), *j;

    for (size_t i = 0; i < s->n_volumes; i++) {
        json_t *v = sums_json(&s->volumes[i].sums);

        json_object_set_new(v, "id", json_integer((json_int_t)s->volumes[i].id));
        json_array_append_new(volumes, v);
    }
    j = json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:o,s:o}", "as_of_ms",
                  (json_int_t)s->as_of_ms, "took_ms", (json_int_t)s->took_ms,
                  "map_version", (json_int_t)s->map_version, "blocks", (json_int_t)s->blocks, "lacking", (json_int_t)s->lacking, "uploading",
                  (json_int_t)s->uploading, "unreferenced", (json_int_t)s->unreferenced, "damaged",
                  (json_int_t)s->damaged, "dead", (json_int_t)s->dead, "headers",
                  (json_int_t)s->headers, "packs", (json_int_t)s->packs, "metadata",
                  (json_int_t)s->metadata, "all", sums_json(&s->all), "volumes", volumes);
    sx_assert(j);
    return j;
}

static char *file_of(const char *dir)
{
    return sx_asprintf("%s/run/space.json", dir);
}

void sx_space_publish(const char *dir, const struct sx_space *s)
{
    SX_AUTO_FREE char *path = file_of(dir);
    SX_AUTO_FREE char *tmp = sx_asprintf("%s.tmp", path);
    SX_AUTO_JSON json_t *j = sx_space_json(s);

    if (json_dump_file(j, tmp, JSON_COMPACT) || rename(tmp, path))
        sx_warn("%s: %s", path, strerror(errno)); /* those of before stay */
}

json_t *sx_space_read(const char *dir)
{
    SX_AUTO_FREE char *path = file_of(dir);

    return json_load_file(path, 0, NULL);
}

void sx_space_poke(const char *dir)
{
    sx_proc_poke(dir, SX_SPACE_POKE);
}
