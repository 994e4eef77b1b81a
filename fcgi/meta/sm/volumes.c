/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Commands on volumes and their access lists.
 */
#include <string.h>

#include "fcgi/meta/sm/sm_int.h"
#include "libsx/codec/block.h"

#define REPLICA_DEFAULT 3u

static int name_free(struct sx_sm *sm, const char *name, struct sx_err *e)
{
    uint64_t there;

    if (sx_volume_name_check(name, e) != 0 ||
        sx_sm_number(sm, e, &there, 0, "SELECT 1 FROM volume WHERE name = ?", "t", name) != 0)
        return -1;
    return there ? sx_err_set(e, SX_EEXIST, "volume '%s' exists", name) : 0;
}

static int values_check(uint64_t quota, unsigned revisions, unsigned compression, struct sx_err *e)
{
    if (quota > INT64_MAX)
        return sx_err_set(e, SX_EINVAL, "quota of %llu bytes is too large",
                          (unsigned long long)quota);
    if (revisions < 1 || revisions > SX_REVISIONS_MAX)
        return sx_err_set(e, SX_EINVAL, "%u revisions; 1 to %u are allowed", revisions,
                          SX_REVISIONS_MAX);
    if (compression > SX_CODEC_LZ4)
        return sx_err_set(e, SX_EINVAL, "compression %u is unknown", compression);
    return 0;
}

/* Replica count and owner of a new volume, with their defaults. */
static int create_check(struct sx_sm *sm, struct sx_cmd_volume_create *c, struct sx_err *e)
{
    uint64_t nodes;

    if (sx_sm_node_count(sm, &nodes, e) != 0)
        return -1;
    if (c->replica == 0)
        c->replica = (uint8_t)(nodes < REPLICA_DEFAULT ? nodes : REPLICA_DEFAULT);
    if (c->replica > nodes)
        return sx_err_set(e, SX_EREPLICA,
                          "replica count %u is larger than the number of nodes, %llu",
                          c->replica, (unsigned long long)nodes);
    if (c->revisions == 0)
        c->revisions = 1;
    if (c->compression == SX_COMPRESSION_DEFAULT)
        c->compression = SX_CODEC_ZSTD;
    if (!*c->owner)
        c->owner = sm->user;
    if (values_check(c->quota, c->revisions, c->compression, e) != 0)
        return -1;
    return sx_sm_user_exists(sm, c->owner, e);
}

/* Administrators make volumes for anybody, a user as many of his own as he may. */
static int may_create(struct sx_sm *sm, const char *owner, struct sx_err *e)
{
    uint64_t allowed, owned;

    if (sm->admin)
        return 0;
    if (sx_sm_number(sm, e, &allowed, 0, "SELECT max_volumes FROM user WHERE name = ?", "t",
                     sm->user) != 0 ||
        sx_sm_number(sm, e, &owned, 0, "SELECT count(*) FROM volume WHERE owner = ?", "t",
                     sm->user) != 0)
        return -1;
    if (!allowed)
        return sx_err_set(e, SX_EACCESS, "user '%s' may not create volumes", sm->user);
    if (*owner && strcmp(owner, sm->user) != 0)
        return sx_err_set(e, SX_EACCESS, "user '%s' may create volumes of his own only", sm->user);
    if (allowed != SX_VOLUMES_ANY && owned >= allowed)
        return sx_err_set(e, SX_EVOLUMES, "user '%s' owns %llu volumes; at most %llu are allowed",
                          sm->user, (unsigned long long)owned, (unsigned long long)allowed);
    return 0;
}

int sx_sm_do_volume_create(struct sx_sm *sm, const struct sx_span *body, struct sx_err *e)
{
    struct sx_cmd_volume_create c;
    uint64_t id;

    if (sx_cmd_volume_create_decode(body->p, body->n, &c, e) != 0 || may_create(sm, c.owner, e) != 0 ||
        name_free(sm, c.name, e) != 0 || create_check(sm, &c, e) != 0 ||
        sx_sm_number(sm, e, &id, 0, "SELECT next_volume FROM state", "") != 0 ||
        sx_sm_run(sm, e, "UPDATE state SET next_volume = next_volume + 1", "") != 0 ||
        sx_sm_run(sm, e, "INSERT INTO volume VALUES(?, ?, ?, ?, ?, ?, ?, 0, 0, ?, 0, 0, 0, 0)", "ittuiuui",
                  id, c.name, c.owner, (unsigned)c.replica, c.quota, (unsigned)c.revisions,
                  (unsigned)c.compression, sm->time_ms) != 0)
        return -1;
    sx_buf_u64(sm->out, id);
    return 0;
}

static int owner_change(struct sx_sm *sm, const struct sx_volume *v, const char *owner,
                        struct sx_err *e)
{
    if (sx_sm_user_exists(sm, owner, e) != 0 ||
        sx_sm_run(sm, e, "UPDATE user SET used = used - ? WHERE name = ?", "it", v->used,
                  v->owner) != 0 ||
        sx_sm_run(sm, e, "UPDATE user SET used = used + ? WHERE name = ?", "it", v->used,
                  owner) != 0)
        return -1;
    return sx_sm_run(sm, e, "UPDATE volume SET owner = ? WHERE id = ?", "ti", owner, v->id);
}

static int modify_admin(struct sx_sm *sm, const struct sx_cmd_volume_modify *c,
                        const struct sx_volume *v, struct sx_err *e)
{
    if (!(c->set & (SX_SET_NAME | SX_SET_OWNER | SX_SET_VOLUME_QUOTA)))
        return 0;
    if (sx_sm_need_admin(sm, e) != 0)
        return -1;
    if (c->set & SX_SET_NAME && strcmp(c->name, v->name) != 0 &&
        (name_free(sm, c->name, e) != 0 ||
         sx_sm_run(sm, e, "UPDATE volume SET name = ? WHERE id = ?", "ti", c->name, v->id) != 0))
        return -1;
    if (c->set & SX_SET_OWNER && owner_change(sm, v, c->owner, e) != 0)
        return -1;
    if (c->set & SX_SET_VOLUME_QUOTA &&
        sx_sm_run(sm, e, "UPDATE volume SET quota = ? WHERE id = ?", "ii", c->quota, v->id) != 0)
        return -1;
    return 0;
}

/* Versioning and lock as they shall be. */
static int modify_versions(struct sx_sm *sm, const struct sx_cmd_volume_modify *c,
                           struct sx_volume *v, struct sx_err *e)
{
    if (c->set & SX_SET_VERSIONING) {
        if (c->versioning > SX_VERSIONING_SUSPENDED ||
            (c->versioning == SX_VERSIONING_OFF && v->versioning))
            return sx_err_set(e, SX_EINVAL, "versioning is '%s': it can be enabled or suspended",
                              sx_versioning_name(v->versioning));
        v->versioning = c->versioning;
    }
    if (c->set & SX_SET_LOCK) {
        if (c->lock_mode == SX_LOCK_OFF || c->lock_mode > SX_LOCK_COMPLIANCE ||
            (c->lock_mode >= SX_LOCK_GOVERNANCE) != (c->lock_ms > 0))
            return sx_err_set(e, SX_EINVAL, "an object lock needs a mode and, but for 'on', a time");
        v->lock_mode = c->lock_mode;
        v->lock_ms = c->lock_ms;
    }
    if (v->lock_mode && v->versioning != SX_VERSIONING_ENABLED)
        return sx_err_set(e, SX_ECONFLICT, "volume '%s' has an object lock, which needs versioning",
                          v->name);
    return sx_sm_run(sm, e,
                     "UPDATE volume SET versioning = ?, lock_mode = ?, lock_ms = ? WHERE id = ?",
                     "uuii", (unsigned)v->versioning, (unsigned)v->lock_mode, v->lock_ms, v->id);
}

int sx_sm_do_volume_modify(struct sx_sm *sm, const struct sx_span *body, struct sx_err *e)
{
    struct sx_cmd_volume_modify c;
    struct sx_volume v;
    unsigned revisions, compression;

    if (sx_cmd_volume_modify_decode(body->p, body->n, &c, e) != 0 ||
        sx_sm_volume(sm, c.volume, SX_RIGHT_OWNER, &v, e) != 0)
        return -1;
    revisions = c.set & SX_SET_REVISIONS ? c.revisions : v.revisions;
    compression = c.set & SX_SET_COMPRESSION ? c.compression : v.compression;
    if (values_check(c.set & SX_SET_VOLUME_QUOTA ? c.quota : 0, revisions, compression, e) != 0 ||
        modify_admin(sm, &c, &v, e) != 0 || modify_versions(sm, &c, &v, e) != 0 ||
        sx_sm_run(sm, e, "UPDATE volume SET revisions = ?, compression = ? WHERE id = ?", "uui",
                  revisions, compression, v.id) != 0)
        return -1;
    if (revisions < v.revisions &&
        sx_sm_run(sm, e, "INSERT OR REPLACE INTO trim VALUES(?, '')", "i", v.id) != 0)
        return -1;
    sx_buf_u64(sm->out, v.id);
    return 0;
}

int sx_sm_volume_remove(struct sx_sm *sm, const struct sx_volume *v, struct sx_err *e)
{
    uint64_t rows;

    if (v->files)
        return sx_err_set(e, SX_ENOTEMPTY, "volume '%s' holds %llu files", v->name,
                          (unsigned long long)v->files);
    if (sx_sm_number(sm, e, &rows, 0, "SELECT 1 FROM file WHERE volume = ? LIMIT 1", "i", v->id) != 0)
        return -1;
    if (rows)
        return sx_err_set(e, SX_ENOTEMPTY, "volume '%s' holds old revisions of deleted files",
                          v->name);
    if (sx_sm_uploads_drop_volume(sm, v->id, e) != 0 ||
        sx_sm_run(sm, e, "DELETE FROM acl WHERE volume = ?", "i", v->id) != 0 ||
        sx_sm_run(sm, e, "DELETE FROM config WHERE volume = ?", "i", v->id) != 0 ||
        sx_sm_run(sm, e, "DELETE FROM trim WHERE volume = ?", "i", v->id) != 0)
        return -1;
    return sx_sm_run(sm, e, "DELETE FROM volume WHERE id = ?", "i", v->id);
}

int sx_sm_do_volume_delete(struct sx_sm *sm, const struct sx_span *body, struct sx_err *e)
{
    struct sx_cmd_volume_delete c;
    struct sx_volume v;

    if (sx_cmd_volume_delete_decode(body->p, body->n, &c, e) != 0 ||
        sx_sm_volume(sm, c.volume, SX_RIGHT_OWNER, &v, e) != 0)
        return -1;
    return sx_sm_volume_remove(sm, &v, e);
}

int sx_sm_do_config_set(struct sx_sm *sm, const struct sx_span *body, struct sx_err *e)
{
    struct sx_cmd_config_set c;
    struct sx_volume v;

    if (sx_cmd_config_set_decode(body->p, body->n, &c, e) != 0 ||
        sx_sm_volume(sm, c.volume, 0, &v, e) != 0)
        return -1;
    if (!(v.rights & (SX_RIGHT_MANAGER | SX_RIGHT_OWNER)))
        return sx_err_set(e, SX_EACCESS, "user '%s' is neither manager nor owner of volume '%s'",
                          sm->user, v.name);
    if (!*c.name)
        return sx_err_set(e, SX_EINVAL, "a volume's document needs a name");
    if (c.value.n == 0)
        return sx_sm_run(sm, e, "DELETE FROM config WHERE volume = ? AND name = ?", "it", v.id,
                         c.name);
    return sx_sm_run(sm, e, "INSERT OR REPLACE INTO config VALUES(?, ?, ?)", "itb", v.id, c.name,
                     c.value.p, c.value.n);
}

/* ---- access lists ---- */

static int change_check(struct sx_sm *sm, const struct sx_volume *v, const char *user,
                        unsigned grant, unsigned revoke, struct sx_err *e)
{
    unsigned all = grant | revoke;

    if (all & ~(unsigned)(SX_RIGHT_READ | SX_RIGHT_WRITE | SX_RIGHT_MANAGER))
        return sx_err_set(e, SX_EINVAL,
                          "the owner of volume '%s' is changed by modifying the volume", v->name);
    if (all & SX_RIGHT_MANAGER && !(v->rights & SX_RIGHT_OWNER))
        return sx_err_set(e, SX_EACCESS, "only the owner of volume '%s' changes who is its manager",
                          v->name);
    if (revoke && strcmp(user, v->owner) == 0)
        return sx_err_set(e, SX_EINVAL, "user '%s' owns volume '%s' and keeps all rights", user,
                          v->name);
    return sx_sm_user_exists(sm, user, e);
}

static int change_write(struct sx_sm *sm, const struct sx_volume *v, const char *user,
                        unsigned grant, unsigned revoke, struct sx_err *e)
{
    uint64_t rights;

    if (strcmp(user, v->owner) == 0)
        return 0;
    if (sx_sm_number(sm, e, &rights, 0, "SELECT rights FROM acl WHERE volume = ? AND user = ?",
                     "it", v->id, user) != 0)
        return -1;
    rights = (rights | grant) & ~(uint64_t)revoke;
    if (rights == 0)
        return sx_sm_run(sm, e, "DELETE FROM acl WHERE volume = ? AND user = ?", "it", v->id, user);
    return sx_sm_run(sm, e, "INSERT OR REPLACE INTO acl VALUES(?, ?, ?)", "iti", v->id, user,
                     rights);
}

int sx_sm_do_acl_change(struct sx_sm *sm, const struct sx_span *body, struct sx_err *e)
{
    struct sx_cmd_acl_change c;
    struct sx_volume v;
    struct sx_cur cur;
    const char *user;
    uint8_t grant, revoke;
    unsigned n = 0;
    int rc;

    if (sx_cmd_acl_change_decode(body->p, body->n, &c, e) != 0 ||
        sx_sm_volume(sm, c.volume, 0, &v, e) != 0)
        return -1;
    if (!(v.rights & (SX_RIGHT_MANAGER | SX_RIGHT_OWNER)))
        return sx_err_set(e, SX_EACCESS, "user '%s' is neither manager nor owner of volume '%s'",
                          sm->user, v.name);
    cur = sx_cur_of(c.changes.p, c.changes.n);
    while ((rc = sx_acl_change_next(&cur, &user, &grant, &revoke)) == 1) {
        if (++n > SX_ACL_CHANGES_MAX)
            return sx_err_set(e, SX_EINVAL, "more than %u users in one change", SX_ACL_CHANGES_MAX);
        if (change_check(sm, &v, user, grant, revoke, e) != 0 ||
            change_write(sm, &v, user, grant, revoke, e) != 0)
            return -1;
    }
    return rc < 0 ? sx_err_set(e, SX_EMALFORMED, "changes of an access list are malformed") : 0;
}
