/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * See json.h.
 */
#include "libsx/base/json.h"

#include <inttypes.h>

static int dump_cb(const char *p, size_t n, void *out)
{
    sx_buf_add(out, p, n);
    return 0;
}

json_t *sx_json_parse(const void *text, size_t n, struct sx_err *e)
{
    json_error_t je;
    json_t *j = json_loadb(text, n, JSON_REJECT_DUPLICATES, &je);

    if (!j) {
        sx_err_set(e, SX_EMALFORMED, "malformed JSON at line %d, column %d: %s", je.line, je.column,
                   je.text);
        return NULL;
    }
    if (!json_is_object(j)) {
        json_decref(j);
        sx_err_set(e, SX_EMALFORMED, "malformed JSON: an object is wanted");
        return NULL;
    }
    return j;
}

void sx_json_dump(struct sx_buf *out, const json_t *j)
{
    json_dump_callback(j, dump_cb, out, JSON_COMPACT);
    sx_buf_cstr(out);
}

static int missing(const char *name, struct sx_err *e)
{
    return sx_err_set(e, SX_EINVAL, "'%s' is missing", name);
}

int sx_json_str(const json_t *o, const char *name, const char *dflt, const char **out,
                struct sx_err *e)
{
    const json_t *v = json_object_get(o, name);

    if (!v || json_is_null(v)) {
        *out = dflt;
        return 0;
    }
    if (!json_is_string(v))
        return sx_err_set(e, SX_EINVAL, "'%s' must be a string", name);
    *out = json_string_value(v);
    return 0;
}

int sx_json_need_str(const json_t *o, const char *name, const char **out, struct sx_err *e)
{
    const char *s;

    if (sx_json_str(o, name, NULL, &s, e))
        return -1;
    if (!s)
        return missing(name, e);
    *out = s;
    return 0;
}

int sx_json_u64(const json_t *o, const char *name, uint64_t dflt, uint64_t max, uint64_t *out,
                struct sx_err *e)
{
    const json_t *v = json_object_get(o, name);

    if (!v || json_is_null(v)) {
        *out = dflt;
        return 0;
    }
    if (!json_is_integer(v) || json_integer_value(v) < 0 || (uint64_t)json_integer_value(v) > max)
        return sx_err_set(e, SX_EINVAL, "'%s' must be an integer from 0 to %" PRIu64, name, max);
    *out = (uint64_t)json_integer_value(v);
    return 0;
}

int sx_json_need_u64(const json_t *o, const char *name, uint64_t max, uint64_t *out,
                     struct sx_err *e)
{
    if (!json_object_get(o, name))
        return missing(name, e);
    return sx_json_u64(o, name, 0, max, out, e);
}

int sx_json_bool(const json_t *o, const char *name, bool dflt, bool *out, struct sx_err *e)
{
    const json_t *v = json_object_get(o, name);

    if (!v || json_is_null(v)) {
        *out = dflt;
        return 0;
    }
    if (!json_is_boolean(v))
        return sx_err_set(e, SX_EINVAL, "'%s' must be true or false", name);
    *out = json_is_true(v);
    return 0;
}
