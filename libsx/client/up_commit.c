/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The head of a PUT, and whether its answer says that the cluster stored what we sent.
 */
#include <inttypes.h>
#include <string.h>

#include "libsx/client/ops.h"
#include "libsx/client/up.h"
#include "libsx/http/message.h"

#define MODE_BITS 07777

int up_commit_head(struct up_file *f, uint32_t entries, uint64_t lease_ms, struct sx_err *e)
{
    int64_t mtime = (int64_t)f->st.st_mtim.tv_sec * 1000000000 + f->st.st_mtim.tv_nsec;
    SX_AUTO_JSON json_t *j =
        json_pack("{s:I,s:I,s:i,s:i,s:i,s:b,s:s}", "size", (json_int_t)f->size, "mtime_ns",
                  (json_int_t)mtime, "mode", (int)(f->st.st_mode & MODE_BITS), "entries",
                  (int)entries, "records", (int)f->n_records, "inline", f->is_inline, "etag",
                  f->etag);

    if (lease_ms)
        json_object_set_new(j, "lease_ms", json_integer((json_int_t)lease_ms));
    if (*f->upload)
        json_object_set_new(j, "upload", json_string(f->upload));
    sx_buf_reset(&f->head);
    return sx_message_head(&f->head, j, e);
}

int up_commit_check(struct up_file *f, struct sx_err *e)
{
    SX_AUTO_JSON json_t *j = sx_json_parse(f->answer.data, f->answer.len, e);
    struct sx_file_info info;

    if (!j || sx_file_read(j, &info, e))
        return sx_err_wrap(e, "answer of the cluster");
    if (strcmp(info.etag, f->etag) || info.size != f->size)
        return sx_err_set(e, SX_ECORRUPT,
                          "the cluster stored other content than was sent: "
                          "%" PRIu64 " bytes, etag %s, not "
                          "%" PRIu64 " bytes, etag %s",
                          info.size, info.etag, f->size, f->etag);
    return 0;
}
