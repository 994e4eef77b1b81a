/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A fuzz target is a file with these three.  It is linked with driver.c for `make check`, or with
 * libFuzzer (tests/fuzz/run-libfuzzer).
 */
#ifndef SX_TESTS_FUZZ_FUZZ_H
#define SX_TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "libsx/base/buf.h"
#include "libsx/base/err.h"
#include "libsx/base/mem.h"

/* The name is libFuzzer's.  Aborts (sx_assert) if something that must hold does not. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* Appends valid input number i, from which the driver starts. */
extern const unsigned fuzz_seeds;
void fuzz_seed(unsigned i, struct sx_buf *out);

/* The next line, without its end, for inputs made of lines; the caller frees it. */
static inline char *fuzz_take_line(const char **s)
{
    size_t n = strcspn(*s, "\n");
    char *line = sx_strndup(*s, n);

    *s += n + ((*s)[n] == '\n');
    return line;
}

#endif
