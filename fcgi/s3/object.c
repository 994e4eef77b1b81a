/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See object.h.
 */
#include "fcgi/s3/object.h"

#include <string.h>

#include "fcgi/s3/cond.h"
#include "libsx/base/date.h"
#include "libsx/base/mem.h"

/* ---- conditions ---- */

/* Looks at the condition now, and leaves for the state machine that what was looked at is still so
 * when the command is applied. */
static int read_condition(struct sx_s3 *s, struct sx_s3_write *w, struct sx_err *e)
{
    struct sx_file_row row = SX_FILE_ROW_INIT;
    SX_AUTO_JSON json_t *items = NULL;
    struct sx_s3_write_cond c;
    char etag[SX_S3_ETAG_TEXT];
    bool there;
    int r;

    if (sx_s3_cond_write(&c, sx_s3_header(s, "if-match"), sx_s3_header(s, "if-none-match"), e) != 0)
        return -1;
    if (c.kind == SX_S3_WRITE_ANY)
        return 0;
    there = sx_query_file(s->db, s->v.id, s->t.key, 0, &row, NULL) == 0;
    if (there) {
        items = sx_s3_items(&row.f);
        sx_s3_etag(&row.f, items, etag);
    }
    w->if_rev = there ? row.f.rev : 0;
    w->flags |= c.kind == SX_S3_WRITE_ABSENT ? SX_PUT_IF_NONE_MATCH : SX_PUT_IF_REV;
    r = sx_s3_cond_write_check(&c, there ? etag : NULL, e);
    sx_file_row_fini(&row);
    return r;
}

int sx_s3_conflict(const struct sx_s3_write *w, struct sx_err *e)
{
    if (e->code != SX_EPRECONDITION)
        return -1;
    return sx_s3_fail(e, w->flags & SX_PUT_IF_NONE_MATCH ? SX_S3_PRECONDITION_FAILED
                                                         : SX_S3_CONDITIONAL_CONFLICT);
}

/* ---- what holds it ---- */

int sx_s3_mode_parse(const char *mode, uint8_t *hold, struct sx_err *e)
{
    if (strcmp(mode, "GOVERNANCE") == 0)
        *hold = SX_HOLD_GOVERNANCE;
    else if (strcmp(mode, "COMPLIANCE") == 0)
        *hold = SX_HOLD_COMPLIANCE;
    else
        return sx_err_set(e, SX_S3_INVALID_ARGUMENT, "Unknown wormMode directive.");
    return 0;
}

bool sx_s3_may_bypass(struct sx_s3 *s, const char *key)
{
    const char *wanted = sx_s3_header(s, "x-amz-bypass-governance-retention");
    unsigned need = s->need;
    bool may = sx_s3_is_true(wanted) &&
               sx_s3_allowed(s, "s3:BypassGovernanceRetention", key, SX_RIGHT_OWNER, NULL) == 0;

    s->need = need;
    return may;
}

static int read_hold(struct sx_s3 *s, struct sx_s3_write *w, struct sx_err *e)
{
    const char *mode = sx_s3_header(s, "x-amz-object-lock-mode");
    const char *until = sx_s3_header(s, "x-amz-object-lock-retain-until-date");
    const char *legal = sx_s3_header(s, "x-amz-object-lock-legal-hold");

    if (!mode != !until)
        return sx_err_set(e, SX_S3_INVALID_ARGUMENT,
                          "x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both"
                          " be supplied");
    if (mode && (sx_s3_mode_parse(mode, &w->hold, e) != 0 ||
                 sx_iso_date_parse(until, &w->retain_ms) != 0))
        return sx_err_set(e, SX_S3_INVALID_ARGUMENT, "The object lock headers are not valid");
    if (legal && strcmp(legal, "ON") != 0 && strcmp(legal, "OFF") != 0)
        return sx_err_set(e, SX_S3_INVALID_ARGUMENT, "Legal Hold must be either of 'ON' or 'OFF'");
    if (legal)
        w->hold |= strcmp(legal, "ON") == 0 ? SX_HOLD_LEGAL : SX_HOLD_NO_LEGAL;
    if (w->hold && s->v.lock_mode == SX_LOCK_OFF)
        return sx_err_set(e, SX_S3_INVALID_REQUEST, "Bucket is missing Object Lock Configuration");
    return 0;
}

/* Everything is encrypted, with keys that the cluster holds or with the one that comes along. */
static int read_encryption(struct sx_s3 *s, struct sx_err *e)
{
    const char *sse = sx_s3_header(s, "x-amz-server-side-encryption");

    if (sx_s3_key(s, e) != 0)
        return -1;
    if (sse && s->customer.there)
        return sx_err_set(e, SX_S3_INVALID_ARGUMENT,
                          "Server Side Encryption with Customer provided key is incompatible with the"
                          " encryption method specified");
    if (!sse || strcmp(sse, "AES256") == 0)
        return 0;
    if (strncmp(sse, "aws:kms", 7) == 0)
        return sx_err_set(e, SX_S3_NOT_IMPLEMENTED, "Encryption with KMS is not implemented");
    return sx_s3_fail(e, SX_S3_INVALID_ENCRYPTION_ALGORITHM);
}

int sx_s3_write_read(struct sx_s3 *s, struct sx_s3_write *w, struct sx_err *e)
{
    *w = (struct sx_s3_write){ 0 };
    return read_encryption(s, e) != 0 || read_hold(s, w, e) != 0 || read_condition(s, w, e) != 0 ? -1
                                                                                                 : 0;
}
