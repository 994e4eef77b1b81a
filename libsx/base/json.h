/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Small additions to jansson: reading members with a clear error, and clean-up.
 */
#ifndef SX_BASE_JSON_H
#define SX_BASE_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "libsx/base/buf.h"
#include "libsx/base/err.h"

static inline void sx_auto_json_(json_t **j)
{
    json_decref(*j);
}
#define SX_AUTO_JSON __attribute__((cleanup(sx_auto_json_)))

/* Parses one JSON object (duplicate keys rejected).  SX_EMALFORMED names line and column. */
json_t *sx_json_parse(const void *text, size_t n, struct sx_err *e) SX_MUST_CHECK;
/* Appends the compact text of j. */
void sx_json_dump(struct sx_buf *out, const json_t *j);

/* Members of an object.  A missing member gives `dflt`, or SX_EINVAL "'name' is missing"
 * from the _need forms; a member of the wrong type or outside the range is always SX_EINVAL.
 * Strings stay owned by the object. */
int sx_json_str(const json_t *o, const char *name, const char *dflt, const char **out,
                struct sx_err *e) SX_MUST_CHECK;
int sx_json_need_str(const json_t *o, const char *name, const char **out, struct sx_err *e) SX_MUST_CHECK;
int sx_json_u64(const json_t *o, const char *name, uint64_t dflt, uint64_t max, uint64_t *out,
                struct sx_err *e) SX_MUST_CHECK;
int sx_json_need_u64(const json_t *o, const char *name, uint64_t max, uint64_t *out,
                     struct sx_err *e) SX_MUST_CHECK;
int sx_json_bool(const json_t *o, const char *name, bool dflt, bool *out, struct sx_err *e) SX_MUST_CHECK;

#endif
