/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Object lock: what holds a revision, so that nobody deletes it.  Enforced here, in the state
 * machine, whatever way a command came.  Source: "Locking objects with Object Lock", S3 User Guide.
 *
 *   legal hold   until somebody takes it off
 *   governance   until retain_ms; who may bypass it may shorten it, end it, and delete
 *   compliance   until retain_ms; it can only be made longer
 *
 * Time is that of the entry, which never goes back.
 */
#include "fcgi/meta/sm/sm_int.h"

int sx_frow_locked(const struct sx_sm *sm, const struct sx_file *f, bool bypass, struct sx_err *e)
{
    unsigned timed = f->retain_ms > sm->time_ms ? f->hold : 0;

    if (f->hold & SX_HOLD_LEGAL)
        return sx_err_set(e, SX_ELOCKED, "a revision of file '%s' is under legal hold", f->path);
    if (timed & SX_HOLD_COMPLIANCE || (timed & SX_HOLD_GOVERNANCE && !bypass))
        return sx_err_set(e, SX_ELOCKED, "a revision of file '%s' is retained until %llu", f->path,
                          (unsigned long long)f->retain_ms);
    return 0;
}

int sx_frow_any_locked(struct sx_sm *sm, const struct sx_volume *v, const struct sx_frow *r,
                       struct sx_err *e)
{
    uint64_t n = 0;

    if (sx_frow_locked(sm, &r->f, false, e) != 0)
        return -1;
    if (v->lock_mode && r->older &&
        sx_sm_number(sm, e, &n, 0,
                     "SELECT 1 FROM old WHERE volume = ? AND path = ? AND"
                     " (hold & 1 OR (hold & 6 AND retain_ms > ?)) LIMIT 1", "iti", v->id, r->f.path,
                     sm->time_ms) != 0)
        return -1;
    return n ? sx_err_set(e, SX_ELOCKED, "an old revision of file '%s' is held", r->f.path) : 0;
}

int sx_frow_stamp(const struct sx_sm *sm, const struct sx_volume *v, uint8_t hold,
                  uint64_t retain_ms, struct sx_file *f, struct sx_err *e)
{
    f->rev = sm->num;
    f->created_ms = sm->time_ms;
    f->null_version = v->versioning != SX_VERSIONING_ENABLED;
    f->hold = hold;
    f->retain_ms = retain_ms;
    if (!(hold & SX_HOLD_TIMED) && v->lock_mode >= SX_LOCK_GOVERNANCE) {
        f->hold |= v->lock_mode == SX_LOCK_COMPLIANCE ? SX_HOLD_COMPLIANCE : SX_HOLD_GOVERNANCE;
        f->retain_ms = sm->time_ms + v->lock_ms;
    }
    return sx_frow_hold_check(sm, v, f->hold, f->retain_ms, e);
}

int sx_frow_hold_check(const struct sx_sm *sm, const struct sx_volume *v, uint8_t hold,
                       uint64_t retain_ms, struct sx_err *e)
{
    unsigned timed = hold & SX_HOLD_TIMED, legal = hold & (SX_HOLD_LEGAL | SX_HOLD_NO_LEGAL);

    if (hold && v->lock_mode == SX_LOCK_OFF)
        return sx_err_set(e, SX_ECONFLICT, "volume '%s' has no object lock", v->name);
    if (hold > 15 || timed == SX_HOLD_TIMED || legal == (SX_HOLD_LEGAL | SX_HOLD_NO_LEGAL))
        return sx_err_set(e, SX_EINVAL, "a revision cannot be held by %u", hold);
    if ((timed != 0) != (retain_ms != 0) || (timed && retain_ms <= sm->time_ms))
        return sx_err_set(e, SX_EINVAL, "retention needs a mode and a time in the future");
    return 0;
}

/* ---- the command ---- */

static void change_legal(struct sx_file *f, const struct sx_cmd_file_lock *c)
{
    if (c->set & SX_LOCK_SET_LEGAL)
        f->hold = (uint8_t)((f->hold & SX_HOLD_TIMED) |
                            (c->hold & SX_HOLD_LEGAL ? SX_HOLD_LEGAL : SX_HOLD_NO_LEGAL));
}

/* Retention that has not passed is only made stricter, but governance by who may bypass it. */
static int change_retention(const struct sx_sm *sm, struct sx_file *f,
                            const struct sx_cmd_file_lock *c, struct sx_err *e)
{
    unsigned now = f->retain_ms > sm->time_ms ? f->hold : 0;
    bool longer = c->retain_ms >= f->retain_ms;
    bool free = !(now & SX_HOLD_TIMED) ||
                (now & SX_HOLD_GOVERNANCE && c->set & SX_LOCK_BYPASS) ||
                (now & SX_HOLD_GOVERNANCE && longer && c->hold & SX_HOLD_TIMED) ||
                (now & SX_HOLD_COMPLIANCE && longer && c->hold & SX_HOLD_COMPLIANCE);

    if (!free)
        return sx_err_set(e, SX_ELOCKED, "the retention of file '%s' until %llu cannot be shortened",
                          f->path, (unsigned long long)f->retain_ms);
    f->hold = (uint8_t)((f->hold & ~SX_HOLD_TIMED) | (c->hold & SX_HOLD_TIMED));
    f->retain_ms = c->retain_ms;
    return 0;
}

int sx_sm_do_file_lock(struct sx_sm *sm, const struct sx_span *body, struct sx_err *e)
{
    SX_AUTO(sx_frow) struct sx_frow r = SX_FROW_INIT;
    struct sx_cmd_file_lock c;
    struct sx_volume v;

    if (sx_cmd_file_lock_decode(body->p, body->n, &c, e) != 0 ||
        sx_sm_volume(sm, c.volume, SX_RIGHT_WRITE, &v, e) != 0)
        return -1;
    if (v.lock_mode == SX_LOCK_OFF)
        return sx_err_set(e, SX_ECONFLICT, "volume '%s' has no object lock", v.name);
    if (sx_frow_revision(sm, &v, c.path, c.rev, &r, e) != 0)
        return -1;
    change_legal(&r.f, &c);
    if ((c.set & SX_LOCK_SET_RETAIN &&
         (change_retention(sm, &r.f, &c, e) != 0 ||
          sx_frow_hold_check(sm, &v, r.f.hold, r.f.retain_ms, e) != 0)) ||
        sx_frow_facts_write(sm, &v, &r.f, e) != 0)
        return -1;
    sx_file_result_encode(sm->out, &r.f);
    return 0;
}
