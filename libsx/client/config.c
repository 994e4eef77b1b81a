/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The configuration directory of a user:
 *
 *   aliases.json                       {"@home":"sx://user@cluster", …}
 *   clusters/NAME/cluster.json         {"cluster":uuid,"user":first,"fingerprint":…,"nodes":[…]}
 *   clusters/NAME/ca.pem               the pinned certificate
 *   clusters/NAME/user-USER.json       {"user":…,"access_key":…,"secret_key":…}, mode 0600
 *
 * Every file is replaced as a whole, so that commands running at the same time see one state or
 * the other.
 */
#include "libsx/client/internal.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "libsx/io/io.h"

#define CONFIG_FILE_MAX (1u << 20)

int sx_client_new(struct sx_client **out, const char *dir, struct sx_err *e)
{
    const char *home;
    struct sx_client *c;

    if (!dir)
        dir = getenv("SX_CONFIG_DIR");
    home = getenv("HOME");
    if (!dir && !home)
        return sx_err_set(e, SX_ECONFIG, "neither SX_CONFIG_DIR nor HOME is set; use --config-dir");
    c = sx_calloc(1, sizeof *c);
    c->dir = dir ? sx_strdup(dir) : sx_asprintf("%s/.sx", home);
    *out = c;
    return 0;
}

const char *sx_client_dir(const struct sx_client *c)
{
    return c->dir;
}

void sx_client_limit_rate(struct sx_client *c, uint64_t bytes_per_second)
{
    c->rate = bytes_per_second;
}

char *sx_config_path(const struct sx_client *c, const char *cluster, const char *file)
{
    return sx_asprintf("%s/clusters/%s/%s", c->dir, cluster, file);
}

char *sx_config_user_path(const struct sx_client *c, const char *cluster, const char *user)
{
    return sx_asprintf("%s/clusters/%s/user-%s.json", c->dir, cluster, user);
}

static json_t *load(const char *path, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;
    json_t *j;

    if (sx_io_read_file(&sx_io_posix, path, CONFIG_FILE_MAX, &b, e))
        return NULL;
    j = sx_json_parse(b.data, b.len, e);
    sx_wipe(b.data, b.len);
    if (!j)
        sx_err_wrap(e, "%s", path);
    return j;
}

static int save(const char *path, const json_t *j, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;
    int r;

    sx_json_dump(&b, j);
    r = sx_io_replace(&sx_io_posix, path, b.data, b.len, 0600, e);
    sx_wipe(b.data, b.len);
    return r;
}

/* ---- Aliases ------------------------------------------------------------------------------ */

json_t *sx_alias_load(const struct sx_client *c, struct sx_err *e)
{
    SX_AUTO_FREE char *path = sx_asprintf("%s/aliases.json", c->dir);
    struct sx_err why = SX_ERR_INIT;
    json_t *j = load(path, &why);

    if (!j && why.code == SX_ENOTFOUND)
        return json_object();
    if (!j)
        sx_err_copy(e, &why);
    return j;
}

static int alias_check(const char *alias, struct sx_err *e)
{
    if (alias[0] != '@')
        return sx_err_set(e, SX_EINVAL, "alias '%s' must begin with @", alias);
    return sx_name_cluster_check(alias + 1, NULL) ?
               sx_err_set(e, SX_ENAME, "alias '%s' must be @ and then A-Z a-z 0-9 . _ -", alias) :
               0;
}

int sx_alias_set(struct sx_client *c, const char *alias, const char *uri, struct sx_err *e)
{
    SX_AUTO_FREE char *path = sx_asprintf("%s/aliases.json", c->dir);
    SX_AUTO_JSON json_t *all = NULL;
    struct sx_uri u;

    if (alias_check(alias, e))
        return -1;
    all = sx_alias_load(c, e);
    if (!all)
        return -1;
    if (uri) {
        if (sx_uri_parse(c, uri, &u, e))
            return -1;
        SX_AUTO_FREE char *text = u.user ? sx_asprintf("sx://%s@%s", u.user, u.cluster) :
                                           sx_asprintf("sx://%s", u.cluster);
        sx_uri_fini(&u);
        json_object_set_new(all, alias, json_string(text));
    } else if (json_object_del(all, alias)) {
        return sx_err_set(e, SX_ENOTFOUND, "alias %s is not configured", alias);
    }
    if (sx_io_mkdirs(c->dir, e))
        return -1;
    return save(path, all, e);
}

/* Aliases of a removed profile would point nowhere. */
static int alias_drop_target(struct sx_client *c, const char *cluster, const char *user, bool last,
                             struct sx_err *e)
{
    SX_AUTO_FREE char *path = sx_asprintf("%s/aliases.json", c->dir);
    SX_AUTO_FREE char *exact = sx_asprintf("sx://%s@%s", user, cluster);
    SX_AUTO_FREE char *any = sx_asprintf("sx://%s", cluster);
    SX_AUTO_JSON json_t *all = sx_alias_load(c, e);
    const char *name;
    json_t *v;
    void *tmp;
    bool changed = false;

    if (!all)
        return -1;
    json_object_foreach_safe(all, tmp, name, v)
    {
        if (!strcmp(json_string_value(v), exact) || (last && !strcmp(json_string_value(v), any))) {
            json_object_del(all, name);
            changed = true;
        }
    }
    return changed ? save(path, all, e) : 0;
}

/* ---- Clusters and users ------------------------------------------------------------------- */

int sx_config_cluster_save(const struct sx_client *c, const char *cluster, const char *uuid,
                           const char *user, const char *fingerprint, char *const *nodes,
                           size_t n_nodes, struct sx_err *e)
{
    SX_AUTO_FREE char *path = sx_config_path(c, cluster, "cluster.json");
    SX_AUTO_JSON json_t *j = json_pack("{s:s,s:s,s:s,s:[]}", "cluster", uuid, "user", user,
                                       "fingerprint", fingerprint, "nodes");

    for (size_t i = 0; i < n_nodes; i++)
        json_array_append_new(json_object_get(j, "nodes"), json_string(nodes[i]));
    return save(path, j, e);
}

int sx_config_nodes_save(const struct sx_client *c, const char *cluster, char *const *nodes,
                         size_t n_nodes, struct sx_err *e)
{
    SX_AUTO_FREE char *path = sx_config_path(c, cluster, "cluster.json");
    SX_AUTO_JSON json_t *j = load(path, e);
    json_t *all = json_array();

    for (size_t i = 0; i < n_nodes; i++)
        json_array_append_new(all, json_string(nodes[i]));
    if (!j) {
        json_decref(all);
        return -1;
    }
    json_object_set_new(j, "nodes", all);
    return save(path, j, e);
}

int sx_config_user_save(const struct sx_client *c, const struct sx_access *a, struct sx_err *e)
{
    SX_AUTO_FREE char *path = sx_config_user_path(c, a->cluster, a->user);
    SX_AUTO_JSON json_t *j = json_pack("{s:s,s:s,s:s}", "user", a->user, "access_key",
                                       a->access_key, "secret_key", a->secret_key);

    return save(path, j, e);
}

static int load_user(const struct sx_client *c, struct sx_access *a, struct sx_err *e)
{
    SX_AUTO_FREE char *path = sx_config_user_path(c, a->cluster, a->user);
    SX_AUTO_JSON json_t *j = load(path, e);
    const char *access_key, *secret_key;

    if (!j && e && e->code == SX_ENOTFOUND)
        return sx_err_set(e, SX_ECONFIG,
                          "user '%s' of cluster '%s' is not set up here; run: sxinit sx://%s@%s",
                          a->user, a->cluster, a->user, a->cluster);
    if (!j)
        return -1;
    if (sx_json_need_str(j, "access_key", &access_key, e) ||
        sx_json_need_str(j, "secret_key", &secret_key, e))
        return sx_err_wrap(e, "%s", path);
    a->access_key = sx_strdup(access_key);
    a->secret_key = sx_strdup(secret_key);
    return 0;
}

static int load_cluster(const struct sx_client *c, const struct sx_uri *u, struct sx_access *a,
                        struct sx_err *e)
{
    SX_AUTO_FREE char *path = sx_config_path(c, u->cluster, "cluster.json");
    SX_AUTO_JSON json_t *j = load(path, e);
    const char *user, *fingerprint;
    const json_t *node;
    size_t i;

    if (!j && e && e->code == SX_ENOTFOUND)
        return sx_err_set(e, SX_ECONFIG, "cluster '%s' is not set up here; run: sxinit sx://%s%s%s",
                          u->cluster, u->user ? u->user : "", u->user ? "@" : "", u->cluster);
    if (!j)
        return -1;
    if (sx_json_need_str(j, "user", &user, e) ||
        sx_json_need_str(j, "fingerprint", &fingerprint, e))
        return sx_err_wrap(e, "%s", path);
    a->cluster = sx_strdup(u->cluster);
    a->user = sx_strdup(u->user ? u->user : user);
    a->fingerprint = sx_strdup(fingerprint);
    json_array_foreach(json_object_get(j, "nodes"), i, node)
    {
        if (!json_is_string(node) || sx_access_add_node(a, json_string_value(node), e))
            return sx_err_set(e, SX_ECONFIG, "%s: 'nodes' is damaged", path);
    }
    return 0;
}

int sx_profile_load(const struct sx_client *c, const struct sx_uri *u, struct sx_access *out,
                    struct sx_err *e)
{
    struct sx_err own = SX_ERR_INIT;
    struct sx_access a;

    sx_access_init(&a);
    if (load_cluster(c, u, &a, &own) || load_user(c, &a, &own)) {
        sx_err_copy(e, &own);
        sx_access_fini(&a);
        return -1;
    }
    *out = a;
    return 0;
}

#define USER_PREFIX "user-"
#define USER_SUFFIX ".json"

/* The user's name if this is the name of a key file; to be freed. */
static char *user_of_file(const char *name)
{
    size_t n = strlen(name), pre = strlen(USER_PREFIX), suf = strlen(USER_SUFFIX);

    if (n <= pre + suf || strncmp(name, USER_PREFIX, pre) || strcmp(name + n - suf, USER_SUFFIX))
        return NULL;
    return sx_strndup(name + pre, n - pre - suf);
}

static const char *alias_of(const json_t *aliases, const char *cluster, const char *user)
{
    SX_AUTO_FREE char *exact = sx_asprintf("sx://%s@%s", user, cluster);
    SX_AUTO_FREE char *any = sx_asprintf("sx://%s", cluster);
    const char *name;
    json_t *v;

    json_object_foreach((json_t *)aliases, name, v)
    {
        const char *s = json_string_value(v);

        if (s && (!strcmp(s, exact) || !strcmp(s, any)))
            return name;
    }
    return NULL;
}

static int each_user(const struct sx_client *c, const char *cluster, const json_t *aliases,
                     sx_profile_fn *fn, void *arg)
{
    SX_AUTO_FREE char *path = sx_config_path(c, cluster, ".");
    DIR *d = opendir(path);
    struct dirent *de;
    int r = 0;

    while (d && r == 0 && (de = readdir(d))) {
        SX_AUTO_FREE char *user = user_of_file(de->d_name);

        if (user)
            r = fn(arg, cluster, user, alias_of(aliases, cluster, user));
    }
    if (d)
        closedir(d);
    return r;
}

int sx_profile_each(const struct sx_client *c, sx_profile_fn *fn, void *arg, struct sx_err *e)
{
    SX_AUTO_FREE char *path = sx_asprintf("%s/clusters", c->dir);
    SX_AUTO_JSON json_t *aliases = sx_alias_load(c, e);
    struct dirent *de;
    DIR *d;
    int r = 0;

    if (!aliases)
        return -1;
    d = opendir(path);
    if (!d && errno != ENOENT)
        return sx_err_errno(e, errno, "%s", path);
    while (d && r == 0 && (de = readdir(d)))
        if (de->d_name[0] != '.')
            r = each_user(c, de->d_name, aliases, fn, arg);
    if (d)
        closedir(d);
    return r;
}

static int count_profile(void *arg, const char *cluster, const char *user, const char *alias)
{
    ++*(int *)arg;
    return 0;
}

int sx_profile_remove(struct sx_client *c, const struct sx_uri *u, struct sx_err *e)
{
    static const char *const files[] = { "cluster.json", "ca.pem" };
    SX_AUTO_JSON json_t *none = json_object();
    SX_AUTO_FREE char *path = NULL, *dir = NULL;
    struct sx_access a;
    int left = 0;

    if (sx_profile_load(c, u, &a, e))
        return -1;
    path = sx_config_user_path(c, a.cluster, a.user);
    dir = sx_config_path(c, a.cluster, "");
    if (unlink(path) && errno != ENOENT) {
        sx_err_errno(e, errno, "remove %s", path);
        sx_access_fini(&a);
        return -1;
    }
    each_user(c, a.cluster, none, count_profile, &left);
    for (size_t i = 0; left == 0 && i < sizeof files / sizeof *files; i++) {
        SX_AUTO_FREE char *f = sx_config_path(c, a.cluster, files[i]);

        unlink(f);
    }
    if (left == 0)
        rmdir(dir);
    left = alias_drop_target(c, a.cluster, a.user, left == 0, e);
    sx_access_fini(&a);
    return left;
}
