/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A small cache of V4 signing keys: one lasts for a day, region and service, and costs four
 * HMACs to derive.  Of one worker, no locking.
 */
#ifndef SX_AUTH_SIGKEY_H
#define SX_AUTH_SIGKEY_H

#include "libsx/auth/sig.h"

#define SX_SIGKEYS_MAX 64

struct sx_sigkeys;

struct sx_sigkeys *sx_sigkeys_new(void);
void sx_sigkeys_free(struct sx_sigkeys *k); /* wipes what it holds */

/* The signing key for the scope of the claim.  An entry is used only if the secret is the one it
 * was made of (compared in constant time), so a key that was given a new secret is derived anew.
 * With `k` NULL it is always derived. */
void sx_sigkeys_get(struct sx_sigkeys *k, const struct sx_sig_claim *c, const char *secret,
                    uint8_t key[SX_SIG_SHA256]);

#endif
