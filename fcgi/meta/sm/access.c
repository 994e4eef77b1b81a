/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Who may do what, decided when a command is applied.  Rights on a volume: its owner and
 * administrators have all, others what table acl gives.  Who has none is told that the volume does
 * not exist.
 */
#include <string.h>

#include "fcgi/meta/sm/sm_int.h"

int sx_sm_caller(struct sx_sm *sm, const char *user, struct sx_err *e)
{
    sqlite3_stmt *st;
    int rc;

    sm->user = user;
    sm->admin = true;
    if (!*user)
        return 0;
    rc = sx_sm_row(sm, e, &st, "SELECT role FROM user WHERE name = ?", "t", user);
    if (rc < 0)
        return -1;
    if (rc == 0)
        return sx_err_set(e, SX_ENOUSER, "user '%s' does not exist", user);
    sm->admin = sqlite3_column_int(st, 0) == SX_ROLE_ADMIN;
    sqlite3_reset(st);
    return 0;
}

int sx_sm_need_cluster(struct sx_sm *sm, struct sx_err *e)
{
    return *sm->user ? sx_err_set(e, SX_EACCESS, "only the cluster itself does this") : 0;
}

int sx_sm_need_admin(struct sx_sm *sm, struct sx_err *e)
{
    return sm->admin ? 0 : sx_err_set(e, SX_EACCESS, "user '%s' is no administrator", sm->user);
}

static int rights_get(struct sx_sm *sm, struct sx_volume *v, struct sx_err *e)
{
    uint64_t rights;

    if (sm->admin || strcmp(v->owner, sm->user) == 0) {
        v->rights = SX_RIGHT_ALL;
        return 0;
    }
    if (sx_sm_number(sm, e, &rights, 0, "SELECT rights FROM acl WHERE volume = ? AND user = ?",
                     "it", v->id, sm->user) != 0)
        return -1;
    v->rights = (unsigned)rights;
    return 0;
}

/* The volume in the statement's row (rc 1), with the caller's rights: 1, or 0 if he has none. */
static int volume_take(struct sx_sm *sm, int rc, sqlite3_stmt *st, struct sx_volume *v,
                       struct sx_err *e)
{
    if (rc != 1)
        return rc;
    sx_mdb_volume(st, v);
    sqlite3_reset(st);
    if (rights_get(sm, v, e) != 0)
        return -1;
    return v->rights != 0;
}

int sx_sm_volume(struct sx_sm *sm, const char *name, unsigned need, struct sx_volume *v,
                 struct sx_err *e)
{
    sqlite3_stmt *st;
    int rc = sx_sm_row(sm, e, &st, "SELECT " SX_VOLUME_COLS " FROM volume WHERE name = ?", "t",
                       name);

    rc = volume_take(sm, rc, st, v, e);
    if (rc == 0)
        return sx_err_set(e, SX_ENOVOLUME, "volume '%s' does not exist", name);
    return rc < 0 ? -1 : sx_mdb_rights_check(sm->user, v, need, e);
}

int sx_sm_volume_id(struct sx_sm *sm, uint64_t id, unsigned need, struct sx_volume *v,
                    struct sx_err *e)
{
    sqlite3_stmt *st;
    int rc = sx_sm_row(sm, e, &st, "SELECT " SX_VOLUME_COLS " FROM volume WHERE id = ?", "i", id);

    rc = volume_take(sm, rc, st, v, e);
    if (rc == 0)
        return sx_err_set(e, SX_ENOVOLUME, "the volume does not exist any more");
    return rc < 0 ? -1 : sx_mdb_rights_check(sm->user, v, need, e);
}

int sx_sm_volume_takes(const struct sx_volume *v, struct sx_err *e)
{
    return v->deleting ? sx_err_set(e, SX_ECONFLICT, "volume '%s' is being deleted", v->name) : 0;
}

int sx_sm_user_exists(struct sx_sm *sm, const char *name, struct sx_err *e)
{
    uint64_t there;

    if (sx_sm_number(sm, e, &there, 0, "SELECT 1 FROM user WHERE name = ?", "t", name) != 0)
        return -1;
    return there ? 0 : sx_err_set(e, SX_ENOUSER, "user '%s' does not exist", name);
}
