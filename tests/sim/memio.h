/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A file system in memory behind struct sx_io, for tests: what was not synced gets lost or
 * torn at a crash, and the n-th call fails on demand.
 *
 * Model: a write is durable after fsync/fdatasync of its file; if that fails, the bytes stay readable,
 * and no later sync makes them durable unless they are written anew; a name (made, renamed, removed)
 * after fsync of a directory.  At a crash each dirty sector of 512 bytes is, by a coin of the
 * given generator, as it was or as it was going to be; unsynced names are undone.
 */
#ifndef SX_TESTS_SIM_MEMIO_H
#define SX_TESTS_SIM_MEMIO_H

#include <stdbool.h>
#include <stdint.h>

#include "libsx/io/io.h"

struct sx_memio;

struct sx_memio *sx_memio_new(void);
void sx_memio_free(struct sx_memio *m);
const struct sx_io *sx_memio_io(struct sx_memio *m);

/* Lets every open descriptor go.  `random` NULL: all that is unsynced is lost; else torn by its
 * bits. */
void sx_memio_crash(struct sx_memio *m, uint64_t *random);

/* Lets the n-th call from now (1: the next) that writes, syncs or names fail with `errnum`;
 * `always`: and all after it. 0: never. */
void sx_memio_fail(struct sx_memio *m, unsigned nth, int errnum, bool always);
unsigned sx_memio_calls(const struct sx_memio *m); /* such calls so far */
unsigned sx_memio_syncs(const struct sx_memio *m);
/* From now on syncs do nothing but say so: a disk that lies, to prove that tests notice. */
void sx_memio_lie(struct sx_memio *m, bool lie);

/* The present bytes of a file, to look at or to damage (then also what is durable); NULL: no such
 * file. */
uint8_t *sx_memio_data(struct sx_memio *m, const char *path, size_t *size);
void sx_memio_damage(struct sx_memio *m, const char *path, size_t at, uint8_t xor_with);
void sx_memio_truncate(struct sx_memio *m, const char *path, size_t size);

/* splitmix64 (S. Vigna, public domain algorithm). */
static inline uint64_t sx_random(uint64_t *s)
{
    uint64_t z = *s += 0x9e3779b97f4a7c15u;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

#endif
