/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What volumes and their owners use, and may: volume.used and user.used count the sizes of all
 * revisions, volume.files the rows of table file that are no marker.
 */
#include "fcgi/meta/sm/sm_int.h"

int sx_usage_add(struct sx_sm *sm, struct sx_volume *v, int64_t bytes, int64_t files,
                 struct sx_err *e)
{
    v->used += (uint64_t)bytes;
    v->files += (uint64_t)files;
    if (sx_sm_run(sm, e, "UPDATE volume SET used = used + ?, files = files + ? WHERE id = ?", "iii",
                  (uint64_t)bytes, (uint64_t)files, v->id) != 0)
        return -1;
    if (bytes == 0)
        return 0;
    return sx_sm_run(sm, e, "UPDATE user SET used = used + ? WHERE name = ?", "it", (uint64_t)bytes,
                     v->owner);
}

static int quota_check(const char *what, const char *name, uint64_t quota, uint64_t used,
                       uint64_t more, struct sx_err *e)
{
    if (quota == 0 || used + more <= quota)
        return 0;
    return sx_err_set(e, SX_EQUOTA,
                      "%s '%s' has a quota of %llu bytes: %llu are used, %llu more do not fit",
                      what, name, (unsigned long long)quota, (unsigned long long)used,
                      (unsigned long long)more);
}

int sx_usage_volume_room(const struct sx_volume *v, uint64_t counted, uint64_t more, struct sx_err *e)
{
    return quota_check("volume", v->name, v->quota, v->used - counted, more, e);
}

int sx_usage_owner_room(struct sx_sm *sm, const struct sx_volume *v, uint64_t counted, uint64_t more,
                        struct sx_err *e)
{
    uint64_t quota, used;
    sqlite3_stmt *st;
    int rc = sx_sm_row(sm, e, &st, "SELECT quota, used FROM user WHERE name = ?", "t", v->owner);

    if (rc != 1)
        return rc;
    quota = sx_mdb_u64(st, 0);
    used = sx_mdb_u64(st, 1);
    sqlite3_reset(st);
    return quota_check("user", v->owner, quota, used - counted, more, e);
}
