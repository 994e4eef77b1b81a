/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Conditions of policies, and the patterns that policies are written in.
 *
 *   operators   String{Equals,NotEquals,EqualsIgnoreCase,NotEqualsIgnoreCase,Like,NotLike},
 *               Numeric… and Date{Equals,NotEquals,LessThan,LessThanEquals,GreaterThan,
 *               GreaterThanEquals}, Bool, IpAddress, NotIpAddress, Null, Arn{Equals,Like,…};
 *               each also with "IfExists", and "ForAnyValue:", "ForAllValues:" before it
 *               (our facts have one value each)
 *
 * Source: "IAM JSON policy elements: Condition operators".
 */
#ifndef SX_FCGI_S3_CONDITION_H
#define SX_FCGI_S3_CONDITION_H

#include "fcgi/s3/policy.h"
#include "libsx/base/buf.h"

bool sx_s3_condition_known(const char *op);
/* All operators, all keys; any of a key's values.  NULL holds. */
bool sx_s3_conditions_hold(const json_t *conditions, const struct sx_s3_question *q);
/* Is there one that admits only addresses or users that it names? */
bool sx_s3_conditions_narrow(const json_t *conditions);

/* * any run, ? any character (byte).  Takes time in proportion to the product of the lengths. */
bool sx_s3_pattern(const char *pattern, const char *text, bool ignore_case);
/* Appends `text` with ${key} replaced by facts of the question; ${*}, ${?}, ${$} by themselves. */
void sx_s3_expand(const char *text, const struct sx_s3_question *q, struct sx_buf *out);

#endif
