/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The rules for names (docs/api.md, Limits), as the server applies them.
 */
#include "libsx/client/internal.h"

#include <string.h>

#include "libsx/base/text.h"

static bool has_control(const char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s < 0x20 || *s == 0x7f)
            return true;
    return false;
}

int sx_name_volume_check(const char *name, struct sx_err *e)
{
    size_t n = strlen(name);

    if (n > SX_NAME_VOLUME_MAX)
        return sx_err_set(e, SX_ENAMETOOLONG, "volume name of %zu bytes is too long (at most %d)",
                          n,
                          SX_NAME_VOLUME_MAX);
    if (!sx_utf8_valid(name, n))
        return sx_err_set(e, SX_ENAME, "volume name is not valid UTF-8");
    if (n < SX_NAME_VOLUME_MIN)
        return sx_err_set(e, SX_ENAME, "volume name '%s' is too short (at least %d bytes)", name,
                          SX_NAME_VOLUME_MIN);
    if (name[0] == '.')
        return sx_err_set(e, SX_ENAME, "volume name '%s' begins with a dot, which is reserved",
                          name);
    if (strpbrk(name, "/\\") || has_control(name))
        return sx_err_set(e, SX_ENAME, "volume name holds a slash, backslash or control character");
    return 0;
}

int sx_name_path_check(const char *path, struct sx_err *e)
{
    size_t n = strlen(path);

    if (n > SX_NAME_PATH_MAX)
        return sx_err_set(e, SX_ENAMETOOLONG, "file name of %zu bytes is too long (at most %d)", n,
                          SX_NAME_PATH_MAX);
    if (n == 0)
        return sx_err_set(e, SX_ENAME, "file name is empty");
    if (!sx_utf8_valid(path, n))
        return sx_err_set(e, SX_ENAME, "file name is not valid UTF-8");
    if (has_control(path))
        return sx_err_set(e, SX_ENAME, "file name holds a control character");
    for (const char *p = path;; p++) {
        size_t len = strcspn(p, "/");

        if (len == 0)
            return sx_err_set(e, SX_ENAME, "file name '%s' has an empty part", path);
        if ((len == 1 && p[0] == '.') || (len == 2 && p[0] == '.' && p[1] == '.'))
            return sx_err_set(e, SX_ENAME, "file name '%s' has a part '%.*s'", path, (int)len, p);
        p += len;
        if (!*p)
            return 0;
    }
}

static bool plain(const char *s, const char *more)
{
    for (; *s; s++)
        if (!((*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') || (*s >= '0' && *s <= '9') ||
              strchr(more, *s)))
            return false;
    return true;
}

int sx_name_user_check(const char *name, struct sx_err *e)
{
    size_t n = strlen(name);

    if (n > SX_NAME_USER_MAX)
        return sx_err_set(e, SX_ENAMETOOLONG, "user name of %zu bytes is too long (at most %d)", n,
                          SX_NAME_USER_MAX);
    if (n < SX_NAME_USER_MIN || !plain(name, "._-@"))
        return sx_err_set(e, SX_ENAME, "user name '%s' must be %d to %d of A-Z a-z 0-9 . _ - @",
                          name,
                          SX_NAME_USER_MIN, SX_NAME_USER_MAX);
    return 0;
}

int sx_name_cluster_check(const char *name, struct sx_err *e)
{
    size_t n = strlen(name);

    if (n == 0)
        return sx_err_set(e, SX_ENAME, "the cluster's name is missing");
    if (n > SX_NAME_CLUSTER_MAX || name[0] == '.' || !plain(name, "._-"))
        return sx_err_set(e, SX_ENAME, "cluster name '%s' must be 1 to %d of A-Z a-z 0-9 . _ -",
                          name,
                          SX_NAME_CLUSTER_MAX);
    return 0;
}
