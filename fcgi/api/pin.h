/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Pins, on the reader's side: what a request reads stays until it was read, whatever becomes of the
 * file meanwhile (docs/design.md, "Pins").
 *
 *   sx_pin_take()   a long reading: pinned before it begins
 *   sx_pin_begin()  any other: pinned once it has lasted for SX_PIN_AFTER_MS; till then it costs two
 *                   system calls
 *   sx_pin_end()    released, without waiting
 *
 * A thread of the process does all of it but the first command: it pins late, renews, releases.  It has
 * a connection of its own to the group manager, and never waits for the reader, nor he for it.
 *
 * A pin is a help and no more: where none is to be had (no leader, too many of them, the content has
 * gone), reading goes on without, and what cannot be released expires.
 *
 * A process reads one content at a time.  Thread rule: all calls from one thread.
 */
#ifndef SX_FCGI_API_PIN_H
#define SX_FCGI_API_PIN_H

#include "fcgi/api/app.h"

#define SX_PIN_AFTER_MS 1000u
#define SX_PIN_LEASES 10u     /* a pin lives for so many times lease_s */
#define SX_PIN_RENEWALS 5u    /* in that time */
#define SX_PIN_RETRY_MS 5000u /* after an attempt that failed */
#define SX_PIN_TIMEOUT_MS 2000u

struct sx_pin;

/* Pins a content now.  *pin is set, perhaps to NULL, unless the content is gone: SX_ENOREVISION. */
int sx_pin_take(struct sx_app *app, uint64_t content, struct sx_pin **pin,
                struct sx_err *e) SX_MUST_CHECK;
/* NULL if it cannot be done. */
struct sx_pin *sx_pin_begin(struct sx_app *app, uint64_t content);
void sx_pin_end(struct sx_pin *p); /* frees; NULL is fine */

/* Of sx_app_fini(): what waits is released first.  NULL is fine. */
void sx_pins_free(struct sx_pins *k);

#endif
