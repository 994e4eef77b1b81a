/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Include and exclude patterns.  A pattern without a slash is matched against the last part of
 * the path, one with a slash against the whole path below the source.  The first that matches
 * decides.  What none matches is wanted, unless there are only includes.
 */
#include <string.h>

#include "libsx/base/text.h"
#include "libsx/client/xfer.h"

static bool matches(const char *pattern, const char *path)
{
    const char *base = strrchr(path, '/');

    if (strchr(pattern, '/'))
        return sx_glob_match(pattern[0] == '/' ? pattern + 1 : pattern, path, true);
    return sx_glob_match(pattern, base ? base + 1 : path, true);
}

bool sx_filter_wants(const struct sx_copy_options *o, const char *path, bool is_dir)
{
    bool only_includes = o->n_filters > 0;

    for (size_t i = 0; i < o->n_filters; i++) {
        if (matches(o->filters[i] + 1, path))
            return o->filters[i][0] == '+';
        only_includes = only_includes && o->filters[i][0] == '+';
    }
    return is_dir || !only_includes;
}
