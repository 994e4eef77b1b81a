/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Names: which are allowed, and how roles, rights and states are called in the API.
 */
#include <string.h>

#include "fcgi/meta/command.h"
#include "libsx/base/text.h"

static const char *const rights[] = { "read", "write", "manager", "owner" };
#define RIGHTS (sizeof rights / sizeof *rights)

static bool has_control(const char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s < 0x20 || *s == 0x7f)
            return true;
    return false;
}

int sx_volume_name_check(const char *name, struct sx_err *e)
{
    size_t n = strlen(name);

    if (n > SX_VOLUME_NAME_MAX)
        return sx_err_set(e, SX_ENAMETOOLONG, "volume name of %zu bytes; at most %u are allowed", n,
                          SX_VOLUME_NAME_MAX);
    if (n < 2)
        return sx_err_set(e, SX_ENAME, "volume name '%s' is shorter than 2 bytes", name);
    if (!sx_utf8_valid(name, n))
        return sx_err_set(e, SX_ENAME, "volume name is not valid UTF-8");
    if (name[0] == '.')
        return sx_err_set(e, SX_ENAME, "volume name '%s' begins with a dot", name);
    if (strpbrk(name, "/\\") || has_control(name))
        return sx_err_set(e, SX_ENAME, "volume name holds '/', '\\' or a control character");
    return 0;
}

int sx_user_name_check(const char *name, struct sx_err *e)
{
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-@";
    size_t n = strlen(name);

    if (n > SX_USER_NAME_MAX)
        return sx_err_set(e, SX_ENAMETOOLONG, "user name of %zu bytes; at most %u are allowed", n,
                          SX_USER_NAME_MAX);
    if (n < 2)
        return sx_err_set(e, SX_ENAME, "user name '%s' is shorter than 2 bytes", name);
    if (strspn(name, allowed) != n)
        return sx_err_set(e, SX_ENAME,
                          "user name holds a character other than A-Z a-z 0-9 . _ - @");
    return 0;
}

int sx_path_check(const char *path, struct sx_err *e)
{
    size_t n = strlen(path);
    const char *p = path;

    if (n > SX_PATH_MAX)
        return sx_err_set(e, SX_ENAMETOOLONG, "file path of %zu bytes; at most %u are allowed", n,
                          SX_PATH_MAX);
    if (n == 0)
        return sx_err_set(e, SX_ENAME, "file path is empty");
    if (!sx_utf8_valid(path, n))
        return sx_err_set(e, SX_ENAME, "file path is not valid UTF-8");
    if (has_control(path))
        return sx_err_set(e, SX_ENAME, "file path holds a control character");
    for (;; p++) {
        size_t len = strcspn(p, "/");

        if (len == 0 || (len == 1 && p[0] == '.') || (len == 2 && p[0] == '.' && p[1] == '.'))
            return sx_err_set(e, SX_ENAME, "file path holds an empty, '.' or '..' element");
        p += len;
        if (!*p)
            return 0;
    }
}

const char *sx_role_name(unsigned role)
{
    return role == SX_ROLE_ADMIN ? "admin" : "normal";
}

int sx_role_parse(const char *name, uint8_t *role, struct sx_err *e)
{
    if (strcmp(name, "normal") == 0)
        *role = SX_ROLE_NORMAL;
    else if (strcmp(name, "admin") == 0)
        *role = SX_ROLE_ADMIN;
    else
        return sx_err_set(e, SX_EINVAL, "role '%.64s' is neither 'normal' nor 'admin'", name);
    return 0;
}

int sx_right_parse(const char *name, uint8_t *right, struct sx_err *e)
{
    for (unsigned i = 0; i < RIGHTS; i++)
        if (strcmp(name, rights[i]) == 0) {
            *right = (uint8_t)(1u << i);
            return 0;
        }
    return sx_err_set(e, SX_EINVAL, "right '%.64s' is none of read, write, manager, owner", name);
}

json_t *sx_rights_json(unsigned set)
{
    json_t *a = json_array();

    for (unsigned i = 0; i < RIGHTS; i++)
        if (set & 1u << i)
            json_array_append_new(a, json_string(rights[i]));
    return a;
}

const char *sx_versioning_name(unsigned versioning)
{
    static const char *const names[] = { "off", "enabled", "suspended" };

    return names[versioning < sizeof names / sizeof *names ? versioning : 0];
}

const char *sx_job_type_name(unsigned type)
{
    static const char *const names[] = { "?", "delete", "rename", "volume" };

    return names[type < sizeof names / sizeof *names ? type : 0];
}

const char *sx_job_state_name(unsigned state)
{
    static const char *const names[] = { "waiting", "running", "done", "failed", "canceled" };

    return state < sizeof names / sizeof *names ? names[state] : "?";
}
