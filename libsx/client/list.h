/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Pages of a listing, for those who fetch them on their own, and the facts of files in answers.
 */
#ifndef SX_CLIENT_LIST_H
#define SX_CLIENT_LIST_H

#include "libsx/client/internal.h"
#include "libsx/codec/facts.h"

/* The query of GET /list; to be freed. */
char *sx_list_query(const char *prefix, const char *glob, bool recursive, const char *after);

struct sx_page;

/* Takes the content of `answer`, and checks all of it.  NULL: SX_EMALFORMED, SX_EINVAL. */
struct sx_page *sx_page_read(struct sx_buf *answer, struct sx_err *e) SX_MUST_CHECK;
struct sx_page *sx_page_empty(void);
void sx_page_free(struct sx_page *p);
/* The next file or directory in order of their bytes; its strings live until the next call.  False: the
 * page is at its end. */
bool sx_page_next(struct sx_page *p, struct sx_file_info *f);
/* Where the next page begins; NULL: there is none. */
const char *sx_page_after(const struct sx_page *p);

/* Revision and etag as the library shows them. */
void sx_facts_digits(const struct sx_facts *f, char rev[17], char etag[2 * SX_FACTS_ETAG + 1]);

#endif
