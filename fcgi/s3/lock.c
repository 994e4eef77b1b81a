/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Object lock: the bucket's default retention, and retention and legal hold of versions.  What is
 * held is held by the state machine (fcgi/meta/sm/holds.c), from native clients too; here are only
 * the documents.
 *
 * A year is the mean year of the calendar, 365.2425 days.  It is never a whole number of days below
 * 400 years, so the unit in which a default was given can be told from its length.
 */
#include <string.h>

#include "fcgi/s3/handlers.h"
#include "fcgi/s3/object.h"
#include "libsx/base/date.h"
#include "libsx/base/mem.h"
#include "libsx/crypt/crypt.h"

#define DAY_MS 86400000ull
#define YEAR_MS 31556952000ull
#define DAYS_MAX 36500u
#define YEARS_MAX 100u

static const char *mode_name(unsigned hold)
{
    return hold & SX_HOLD_COMPLIANCE ? "COMPLIANCE" : "GOVERNANCE";
}

static int need_lock(const struct sx_s3 *s, struct sx_err *e)
{
    if (s->v.lock_mode != SX_LOCK_OFF)
        return 0;
    return sx_err_set(e, SX_S3_INVALID_REQUEST, "Bucket is missing Object Lock Configuration");
}

/* ---- the bucket's default ---- */

int sx_s3_get_lock_config(struct sx_s3 *s, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf out = SX_BUF_INIT;
    bool years = s->v.lock_ms % YEAR_MS == 0;

    if (s->v.lock_mode == SX_LOCK_OFF)
        return sx_s3_fail(e, SX_S3_NO_LOCK_CONFIG);
    sx_xml_begin(&out);
    sx_xml_root(&out, "ObjectLockConfiguration");
    sx_xml_elem(&out, "ObjectLockEnabled", "Enabled");
    if (s->v.lock_mode >= SX_LOCK_GOVERNANCE) {
        sx_xml_open(&out, "Rule");
        sx_xml_open(&out, "DefaultRetention");
        sx_xml_elem(&out, "Mode",
                    s->v.lock_mode == SX_LOCK_COMPLIANCE ? "COMPLIANCE" : "GOVERNANCE");
        sx_xml_elem_u64(&out, years ? "Years" : "Days", s->v.lock_ms / (years ? YEAR_MS : DAY_MS));
        sx_xml_close(&out, "DefaultRetention");
        sx_xml_close(&out, "Rule");
    }
    sx_xml_close(&out, "ObjectLockConfiguration");
    return sx_s3_reply(s, 200, SX_S3_XML, &out);
}

/* 1 and the number; 0 if it is not there; -1 for what is none of 1 … max. */
static int read_period(const struct sx_xml_node *n, const char *name, uint64_t max, uint64_t *v,
                       struct sx_err *e)
{
    const char *text = sx_xml_get(n, name);
    struct sx_err why = SX_ERR_INIT;

    if (!text)
        return 0;
    if (sx_xml_get_u64(n, name, max, v, &why) == 1 && *v > 0)
        return 1;
    sx_err_set(e, SX_S3_INVALID_RETENTION_PERIOD,
               "Default retention period of %.20s %s: a whole number from 1 to %llu is allowed", text,
               name, (unsigned long long)max);
    return -1;
}

/* <DefaultRetention> into the command. */
static int read_default(const struct sx_xml_node *n, struct sx_cmd_volume_modify *c,
                        struct sx_err *e)
{
    const char *mode = n ? sx_xml_get(n, "Mode") : NULL;
    uint64_t days = 0, years = 0;
    int has_days, has_years;

    if (!mode)
        return sx_s3_fail(e, SX_S3_MALFORMED_XML);
    if (strcmp(mode, "COMPLIANCE") == 0)
        c->lock_mode = SX_LOCK_COMPLIANCE;
    else if (strcmp(mode, "GOVERNANCE") == 0)
        c->lock_mode = SX_LOCK_GOVERNANCE;
    else
        return sx_s3_fail(e, SX_S3_MALFORMED_XML);
    if ((has_days = read_period(n, "Days", DAYS_MAX, &days, e)) < 0 ||
        (has_years = read_period(n, "Years", YEARS_MAX, &years, e)) < 0)
        return -1;
    if (has_days == has_years)
        return sx_s3_fail(e, SX_S3_MALFORMED_XML);
    c->lock_ms = days * DAY_MS + years * YEAR_MS;
    return 0;
}

int sx_s3_put_lock_config(struct sx_s3 *s, struct sx_err *e)
{
    struct sx_cmd_volume_modify c = { .volume = s->v.name, .set = SX_SET_LOCK,
                                      .lock_mode = SX_LOCK_ON };
    SX_AUTO_XML struct sx_xml *doc = NULL;
    const struct sx_xml_node *rule;
    const char *enabled;

    if (sx_s3_body_xml(s, "ObjectLockConfiguration", &doc, e) != 0)
        return -1;
    enabled = sx_xml_get(sx_xml_top(doc), "ObjectLockEnabled");
    if (!enabled || strcmp(enabled, "Enabled") != 0)
        return sx_s3_fail(e, SX_S3_MALFORMED_XML);
    rule = sx_xml_child(sx_xml_top(doc), "Rule");
    if (rule && read_default(sx_xml_child(rule, "DefaultRetention"), &c, e) != 0)
        return -1;
    if (sx_s3_volume_modify(s, &c, e) == 0)
        return sx_s3_reply_empty(s, 200);
    return e->code != SX_S3_INVALID_BUCKET_STATE
               ? -1 : sx_err_set(e, SX_S3_INVALID_BUCKET_STATE,
                                 "Versioning must be 'Enabled' on the bucket to apply a Object Lock"
                                 " configuration");
}

/* ---- versions ---- */

/* The version of the request, in a bucket with object lock. */
static int find(struct sx_s3 *s, struct sx_file_row *row, struct sx_err *e)
{
    return need_lock(s, e) != 0 || sx_s3_find_object(s, row, e) != 0 ? -1 : 0;
}

static int submit_hold(struct sx_s3 *s, struct sx_cmd_file_lock *c, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf command = SX_BUF_INIT, result = SX_BUF_INIT;
    struct sx_file_row row = SX_FILE_ROW_INIT;
    uint8_t op[SX_OP_ID];

    if (find(s, &row, e) != 0) {
        sx_file_row_fini(&row);
        return -1;
    }
    c->volume = s->v.name;
    c->path = s->t.key;
    c->rev = row.f.rev;
    sx_random(op, sizeof op);
    sx_cmd_file_lock_encode(&command, op, sx_s3_user(s), c);
    sx_s3_version_field(s, &s->v, &row.f);
    sx_file_row_fini(&row);
    if (sx_s3_submit(s, &command, &result, e) == 0)
        return sx_s3_reply_empty(s, 200);
    if (e->code == SX_EINVAL) /* by the time of the log: no clock of a node counts */
        return sx_err_set(e, SX_S3_INVALID_ARGUMENT, "The retain until date must be in the future!");
    return e->code == SX_ELOCKED
               ? sx_err_set(e, SX_S3_ACCESS_DENIED,
                            "Access Denied because object protected by object lock.") : -1;
}

int sx_s3_get_retention(struct sx_s3 *s, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf out = SX_BUF_INIT;
    struct sx_file_row row = SX_FILE_ROW_INIT;
    bool retained;

    if (find(s, &row, e) != 0) {
        sx_file_row_fini(&row);
        return -1;
    }
    retained = row.f.hold & SX_HOLD_TIMED;
    sx_xml_begin(&out);
    sx_xml_root(&out, "Retention");
    sx_xml_elem(&out, "Mode", mode_name(row.f.hold));
    sx_xml_elem_time(&out, "RetainUntilDate", row.f.retain_ms);
    sx_xml_close(&out, "Retention");
    sx_s3_version_field(s, &s->v, &row.f);
    sx_file_row_fini(&row);
    return retained ? sx_s3_reply(s, 200, SX_S3_XML, &out) : sx_s3_fail(e, SX_S3_NO_OBJECT_LOCK);
}

/* <Mode> and <RetainUntilDate>; neither takes the retention off. */
static int read_retention(const struct sx_xml_node *n, struct sx_cmd_file_lock *c, struct sx_err *e)
{
    const char *mode = sx_xml_get(n, "Mode"), *until = sx_xml_get(n, "RetainUntilDate");

    if (!mode && !until)
        return 0;
    if (!mode || !until || sx_s3_mode_parse(mode, &c->hold, NULL) != 0 ||
        sx_iso_date_parse(until, &c->retain_ms) != 0)
        return sx_s3_fail(e, SX_S3_MALFORMED_XML);
    return 0;
}

int sx_s3_put_retention(struct sx_s3 *s, struct sx_err *e)
{
    struct sx_cmd_file_lock c = { .set = SX_LOCK_SET_RETAIN };
    SX_AUTO_XML struct sx_xml *doc = NULL;

    if (need_lock(s, e) != 0 || sx_s3_body_xml(s, "Retention", &doc, e) != 0 ||
        read_retention(sx_xml_top(doc), &c, e) != 0)
        return -1;
    if (sx_s3_may_bypass(s, s->t.key))
        c.set |= SX_LOCK_BYPASS;
    return submit_hold(s, &c, e);
}

int sx_s3_get_legal_hold(struct sx_s3 *s, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf out = SX_BUF_INIT;
    struct sx_file_row row = SX_FILE_ROW_INIT;
    int r = find(s, &row, e);

    if (r == 0 && !(row.f.hold & (SX_HOLD_LEGAL | SX_HOLD_NO_LEGAL)))
        r = sx_s3_fail(e, SX_S3_NO_OBJECT_LOCK);
    if (r == 0) {
        sx_xml_begin(&out);
        sx_xml_root(&out, "LegalHold");
        sx_xml_elem(&out, "Status", row.f.hold & SX_HOLD_LEGAL ? "ON" : "OFF");
        sx_xml_close(&out, "LegalHold");
        sx_s3_version_field(s, &s->v, &row.f);
    }
    sx_file_row_fini(&row);
    return r != 0 ? -1 : sx_s3_reply(s, 200, SX_S3_XML, &out);
}

int sx_s3_put_legal_hold(struct sx_s3 *s, struct sx_err *e)
{
    struct sx_cmd_file_lock c = { .set = SX_LOCK_SET_LEGAL };
    SX_AUTO_XML struct sx_xml *doc = NULL;
    const char *status;

    if (need_lock(s, e) != 0 || sx_s3_body_xml(s, "LegalHold", &doc, e) != 0)
        return -1;
    status = sx_xml_get(sx_xml_top(doc), "Status");
    if (!status || (strcmp(status, "ON") != 0 && strcmp(status, "OFF") != 0))
        return sx_s3_fail(e, SX_S3_MALFORMED_XML);
    c.hold = strcmp(status, "ON") == 0 ? SX_HOLD_LEGAL : 0;
    return submit_hold(s, &c, e);
}
