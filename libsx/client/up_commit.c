/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The JSON part of a file to be stored, and whether its answer says that the cluster stored what we sent.
 */
#include <inttypes.h>
#include <string.h>

#include "libsx/client/up.h"
#include "libsx/http/message.h"

#define MODE_BITS 07777

int up_commit_head(struct up_file *f, struct sx_buf *out, uint32_t entries, uint64_t lease,
                   struct sx_err *e)
{
    int64_t mtime = (int64_t)f->st.st_mtim.tv_sec * 1000000000 + f->st.st_mtim.tv_nsec;
    SX_AUTO_JSON json_t *j =
        json_pack("{s:I,s:I,s:i,s:i,s:i,s:b,s:s}", "size", (json_int_t)f->size, "mtime_ns",
                  (json_int_t)mtime, "mode", (int)(f->st.st_mode & MODE_BITS), "entries",
                  (int)entries, "records", (int)f->n_records, "inline", f->is_inline, "etag",
                  f->etag);

    if (lease)
        json_object_set_new(j, "lease", json_integer((json_int_t)lease));
    if (*f->upload)
        json_object_set_new(j, "upload", json_string(f->upload));
    if (f->whole)
        json_object_set_new(j, "path", json_string(f->path));
    return sx_message_head(out, j, e);
}

int up_commit_matches(const struct up_file *f, const json_t *j, struct sx_err *e)
{
    const char *etag;
    uint64_t size;

    if (sx_json_need_str(j, "etag", &etag, e) || sx_json_need_u64(j, "size", INT64_MAX, &size, e))
        return sx_err_wrap(e, "answer of the cluster");
    if (strcmp(etag, f->etag) || size != f->size)
        return sx_err_set(e, SX_ECORRUPT,
                          "the cluster stored other content than was sent: "
                          "%" PRIu64 " bytes, etag %s, not "
                          "%" PRIu64 " bytes, etag %s",
                          size, etag, f->size, f->etag);
    return 0;
}

int up_commit_check(const struct up_file *f, struct sx_err *e)
{
    SX_AUTO_JSON json_t *j = sx_json_parse(f->answer.data, f->answer.len, e);

    return j ? up_commit_matches(f, j, e) : sx_err_wrap(e, "answer of the cluster");
}
