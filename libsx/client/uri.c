/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * URIs: sx://[user@]cluster[/volume[/path]] and @alias[/volume[/path]].  Names are exact; nothing
 * is percent-decoded.  In the path a backslash takes the next character literally.
 */
#include "libsx/client/internal.h"

#include <string.h>

#include "libsx/base/text.h"

#define SX_URI_SCHEME "sx://"

bool sx_uri_is(const char *text)
{
    return text[0] == '@' || strncmp(text, SX_URI_SCHEME, strlen(SX_URI_SCHEME)) == 0;
}

void sx_uri_fini(struct sx_uri *u)
{
    free(u->user);
    free(u->cluster);
    free(u->volume);
    free(u->path);
    memset(u, 0, sizeof *u);
}

bool sx_uri_glob(const struct sx_uri *u)
{
    return u->path && sx_glob_has(u->path);
}

char *sx_uri_name(const struct sx_uri *u)
{
    const char *s = u->path ? u->path : "";
    char *out = sx_malloc(strlen(s) + 1), *o = out;

    for (; *s; s++) {
        if (*s == '\\' && s[1])
            s++;
        *o++ = *s;
    }
    *o = '\0';
    return out;
}

static int parse_authority(const char *s, size_t n, struct sx_uri *u, struct sx_err *e)
{
    SX_AUTO_FREE char *text = sx_strndup(s, n);
    char *at = strrchr(text, '@');

    if (at) {
        *at = '\0';
        if (sx_name_user_check(text, e))
            return -1;
        u->user = sx_strdup(text);
    }
    u->cluster = sx_strdup(at ? at + 1 : text);
    return sx_name_cluster_check(u->cluster, e);
}

static int parse_alias(const struct sx_client *c, const char *s, size_t n, struct sx_uri *u,
                       struct sx_err *e)
{
    SX_AUTO_FREE char *name = sx_strndup(s, n);
    SX_AUTO_JSON json_t *all = c ? sx_alias_load(c, e) : json_object();
    const char *target;

    if (!all)
        return -1;
    target = json_string_value(json_object_get(all, name));
    if (!target)
        return sx_err_set(e, SX_ECONFIG,
                          "alias %s is not configured; set it up with: sxinit --alias %s "
                          "sx://CLUSTER",
                          name, name);
    if (strncmp(target, SX_URI_SCHEME, strlen(SX_URI_SCHEME)))
        return sx_err_set(e, SX_ECONFIG, "alias %s has a bad target '%s'", name, target);
    target += strlen(SX_URI_SCHEME);
    return parse_authority(target, strlen(target), u, e);
}

/* What follows the authority: "", "/", "/volume", "/volume/path…". */
static int parse_names(const char *s, struct sx_uri *u, struct sx_err *e)
{
    SX_AUTO_FREE char *name = NULL;
    size_t n;

    if (*s == '/')
        s++;
    if (!*s)
        return 0;
    n = strcspn(s, "/");
    u->volume = sx_strndup(s, n);
    if (sx_name_volume_check(u->volume, e))
        return -1;
    s += n;
    if (*s == '/') {
        u->slash = true;
        s++;
    }
    if (!*s)
        return 0;
    n = strlen(s);
    u->slash = s[n - 1] == '/' && !(n > 1 && s[n - 2] == '\\');
    u->path = sx_strndup(s, u->slash ? n - 1 : n);
    name = sx_uri_name(u);
    return sx_name_path_check(name, e);
}

int sx_uri_parse(const struct sx_client *c, const char *text, struct sx_uri *out, struct sx_err *e)
{
    struct sx_uri u = { NULL };
    const char *s = text;
    size_t n;
    int r;

    if (!sx_uri_is(text))
        return sx_err_set(e, SX_EINVAL,
                          "'%s' is not a URI; write sx://[USER@]CLUSTER/VOLUME/PATH or "
                          "@ALIAS/VOLUME/PATH",
                          text);
    if (*s == '@') {
        n = strcspn(s, "/");
        r = parse_alias(c, s, n, &u, e);
    } else {
        s += strlen(SX_URI_SCHEME);
        n = strcspn(s, "/");
        r = parse_authority(s, n, &u, e);
    }
    if (r == 0)
        r = parse_names(s + n, &u, e);
    if (r) {
        sx_uri_fini(&u);
        return -1;
    }
    *out = u;
    return 0;
}

char *sx_uri_text(const struct sx_uri *u, const char *volume, const char *path)
{
    struct sx_buf b = SX_BUF_INIT;
    const char *v = volume ? volume : u->volume;
    SX_AUTO_FREE char *own = path ? NULL : sx_uri_name(u);
    const char *p = path ? path : own;

    sx_buf_str(&b, SX_URI_SCHEME);
    if (u->user)
        sx_buf_printf(&b, "%s@", u->user);
    sx_buf_str(&b, u->cluster);
    if (v)
        sx_buf_printf(&b, "/%s", v);
    if (v && *p)
        sx_buf_printf(&b, "/%s", p);
    return (char *)b.data;
}
