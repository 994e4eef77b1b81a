/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See show.h.
 */
#include "client/show.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "libsx/base/text.h"

static const struct {
    unsigned bit;
    const char *name;
} rights_table[] = {
    { SX_RIGHT_READ, "read" },
    { SX_RIGHT_WRITE, "write" },
    { SX_RIGHT_MANAGER, "manager" },
    { SX_RIGHT_OWNER, "owner" },
};
#define RIGHTS (sizeof rights_table / sizeof *rights_table)

char *show_rights(char *out, unsigned rights)
{
    size_t n = 0;

    strcpy(out, "-");
    for (size_t i = 0; i < RIGHTS; i++)
        if (rights & rights_table[i].bit)
            n += (size_t)snprintf(out + n, SHOW_RIGHTS_MAX - n, "%s%s", n ? "," : "",
                                  rights_table[i].name);
    return out;
}

json_t *show_rights_json(unsigned rights)
{
    json_t *all = json_array();

    for (size_t i = 0; i < RIGHTS; i++)
        if (rights & rights_table[i].bit)
            json_array_append_new(all, json_string(rights_table[i].name));
    return all;
}

static json_t *space_json(const struct sx_volume_space *s)
{
    return json_pack("{s:I,s:b,s:I,s:I,s:I,s:I,s:I,s:I,s:f,s:f,s:f}", "as_of_ms",
                     (json_int_t)s->as_of_ms, "complete", (int)s->complete, "logical",
                     (json_int_t)s->logical, "unique", (json_int_t)s->unique, "compressed",
                     (json_int_t)s->compressed, "physical", (json_int_t)s->physical, "exclusive",
                     (json_int_t)s->exclusive, "inline", (json_int_t)s->in_metadata, "dedup",
                     s->dedup, "compression", s->compression, "reduction", s->reduction);
}

static json_t *volume_json(const struct sx_volume_info *v)
{
    json_t *j = json_pack("{s:s,s:s,s:i,s:i,s:s,s:s,s:I,s:I,s:I,s:I,s:o}", "volume", v->name, "owner",
                          v->owner, "replica", (int)v->replica, "revisions", (int)v->revisions,
                          "compression", v->compression, "versioning", v->versioning,
                          "quota", (json_int_t)v->quota, "used",
                          (json_int_t)v->used, "files", (json_int_t)v->files, "created_ms",
                          (json_int_t)v->created_ms, "rights", show_rights_json(v->rights));

    if (v->space)
        json_object_set_new(j, "space", space_json(v->space));
    return j;
}

/* "2.31 x", or "-" if it is not known. */
static const char *ratio_text(char *out, size_t size, double ratio)
{
    if (ratio > 0)
        snprintf(out, size, "%.2f x", ratio);
    else
        snprintf(out, size, "-");
    return out;
}

static void print_space(const struct sx_volume_space *s)
{
    char size[6][SX_SIZE_TEXT], ratio[3][16], at[SX_TIME_TEXT];

    if (s->as_of_ms == 0) {
        puts("space:        not counted yet");
        return;
    }
    printf("logical:      %s\nunique:       %s  (dedup %s)\n"
           "compressed:   %s  (compression %s, together %s)\n"
           "physical:     %s in packs, all copies; %s in the metadata\n"
           "exclusive:    %s of them in no other volume\n"
           "counted:      %s UTC%s\n",
           sx_size_text(size[0], s->logical), sx_size_text(size[1], s->unique),
           ratio_text(ratio[0], sizeof ratio[0], s->dedup), sx_size_text(size[2], s->compressed),
           ratio_text(ratio[1], sizeof ratio[1], s->compression),
           ratio_text(ratio[2], sizeof ratio[2], s->reduction), sx_size_text(size[3], s->physical),
           sx_size_text(size[4], s->in_metadata), sx_size_text(size[5], s->exclusive),
           sx_time_text(at, s->as_of_ms, false),
           s->complete ? "" : "; incomplete: compressed, physical and exclusive are at least that");
}

int show_volume_details(void *arg, const struct sx_volume_info *v)
{
    const struct cli *c = arg;
    char quota[SX_SIZE_TEXT], used[SX_SIZE_TEXT], made[SX_TIME_TEXT], rights[SHOW_RIGHTS_MAX];

    if (c->json) {
        cli_json(volume_json(v));
        return 0;
    }
    if (c->quiet)
        return 0;
    printf("volume:       %s\nowner:        %s\nreplica:      %u\nrevisions:    %u\n"
           "compression:  %s\nversioning:   %s\nquota:        %s\nused:         %s in %" PRIu64 " files\n"
           "created:      %s UTC\nyour rights:  %s\n",
           v->name, v->owner, v->replica, v->revisions, v->compression, v->versioning,
           v->quota ? sx_size_text(quota, v->quota) : "none", sx_size_text(used, v->used), v->files,
           sx_time_text(made, v->created_ms, false), show_rights(rights, v->rights));
    if (v->space)
        print_space(v->space);
    return 0;
}

static const char *size_column(char *out, uint64_t n, bool human)
{
    if (human)
        return sx_size_text(out, n);
    snprintf(out, SX_SIZE_TEXT + 8, "%" PRIu64, n);
    return out;
}

static void volume_columns(const struct show_volumes *how, const struct sx_volume_info *v)
{
    char used[SX_SIZE_TEXT + 8], percent[16] = "-";

    if (v->quota)
        snprintf(percent, sizeof percent, "%.0f%%", 100.0 * (double)v->used / (double)v->quota);
    printf("VOL  rep:%-2u rev:%-2u %c%c  %12s %5s  %-12s ", v->replica, v->revisions,
           v->rights & SX_RIGHT_READ ? 'r' : '-', v->rights & SX_RIGHT_WRITE ? 'w' : '-',
           size_column(used, v->used, how->human), percent, v->owner);
}

int show_volume_line(void *arg, const struct sx_volume_info *v)
{
    const struct show_volumes *how = arg;
    SX_AUTO_FREE char *uri = sx_uri_text(how->uri, v->name, "");

    if (how->cli->json) {
        json_t *j = volume_json(v);

        json_object_set_new(j, "uri", json_string(uri));
        cli_json(j);
        return 0;
    }
    if (how->full)
        volume_columns(how, v);
    puts(uri);
    return 0;
}

static json_t *file_json(const struct sx_uri *u, const struct sx_file_info *f, const char *uri)
{
    if (f->is_dir)
        return json_pack("{s:s,s:s,s:s,s:s}", "type", "directory", "volume", u->volume, "path",
                         f->path, "uri", uri);
    return json_pack("{s:s,s:s,s:s,s:s,s:I,s:I,s:i,s:s,s:s,s:I}", "type", "file", "volume",
                     u->volume, "path", f->path, "uri", uri, "size", (json_int_t)f->size,
                     "mtime_ns", (json_int_t)f->mtime_ns, "mode", (int)f->mode, "rev", f->rev,
                     "etag", f->etag, "created_ms", (json_int_t)f->created_ms);
}

void show_file_line(struct cli *c, const struct sx_uri *u, const struct sx_file_info *f, bool full,
                    bool human)
{
    SX_AUTO_FREE char *uri = sx_uri_text(u, NULL, f->path);
    char size[SX_SIZE_TEXT + 8], when[SX_TIME_TEXT];

    if (c->json) {
        cli_json(file_json(u, f, uri));
        return;
    }
    if (full && f->is_dir)
        printf("%16s %16s ", "", "DIR");
    else if (full)
        printf("%16s %16s ", sx_time_text(when, (uint64_t)(f->mtime_ns / 1000000), false),
               size_column(size, f->size, human));
    puts(uri);
}
