/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The query of a page of a listing, for those who fetch pages on their own.
 */
#ifndef SX_CLIENT_LIST_H
#define SX_CLIENT_LIST_H

#include <stdbool.h>

char *sx_list_query(const char *prefix, const char *glob, bool recursive, const char *after);

#endif
