/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A small mutational fuzzer with a fixed seed: the same inputs on every machine, so that it
 * can be an ordinary test.  It changes valid inputs by flipping bits, writing telling numbers,
 * cutting, doubling and splicing.
 *
 *   fuzz_x [runs [seed]]      an input that crashes is printed in hex
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "libsx/base/wire.h"
#include "tests/fuzz/fuzz.h"

#define RUNS 25000
#define SEED 20261120
#define INPUT_MAX 16384
#define STEPS_MAX 6

static struct sx_buf input, other;
static uint64_t state;

/* splitmix64 */
static uint64_t next(void)
{
    uint64_t x = state += 0x9e3779b97f4a7c15ULL;

    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
    x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
    return x ^ x >> 31;
}

static size_t below(size_t n)
{
    return n ? next() % n : 0;
}

static void write_number(void)
{
    static const uint64_t numbers[] = {
        0, 1, 47, 48, 49, 127, 128, 255, 256, 4096, 65535, 65536, 65537, 0x400000, 0x400001,
        0x400030, 0x400031, 0x7fffffff, 0x80000000, 0xffffffff, UINT64_MAX
    };
    static const size_t widths[] = { 1, 2, 4, 8 };
    size_t width = widths[below(4)];
    uint8_t le[8];

    if (input.len < width)
        return;
    sx_put_u64(le, numbers[below(sizeof numbers / sizeof numbers[0])]);
    memcpy(input.data + below(input.len - width + 1), le, width);
}

/* Copies a piece of `from` into the input at a random place. */
static void insert(const struct sx_buf *from)
{
    size_t n = below(from->len < 64 ? from->len + 1 : 64), start = below(from->len - n + 1);
    size_t at = below(input.len + 1);
    uint8_t piece[64];

    if (!n || input.len + n > INPUT_MAX)
        return;
    memcpy(piece, from->data + start, n);
    sx_buf_extend(&input, n);
    memmove(input.data + at + n, input.data + at, input.len - n - at);
    memcpy(input.data + at, piece, n);
}

static void cut(void)
{
    size_t at = below(input.len), n = below(input.len - at < 32 ? input.len - at + 1 : 32);

    if (!input.len)
        return;
    memmove(input.data + at, input.data + at + n, input.len - at - n);
    input.len -= n;
}

static void mutate(void)
{
    static const char telling[] = "\0\"\\/%*?[]{}-!;=,:& \n\x7f\x80\xff";

    switch (below(7)) {
    case 0:
        if (input.len)
            input.data[below(input.len)] ^= (uint8_t)(1u << below(8));
        break;
    case 1:
        if (input.len)
            input.data[below(input.len)] = (uint8_t)telling[below(sizeof telling)];
        break;
    case 2:
        write_number();
        break;
    case 3:
        insert(&input);
        break;
    case 4:
        insert(&other);
        break;
    case 5:
        cut();
        break;
    case 6: /* end early */
        input.len = below(4) ? input.len : below(input.len + 1);
        break;
    }
}

static void show_input(int sig)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < input.len; i++) {
        char two[2] = { digits[input.data[i] >> 4], digits[input.data[i] & 15] };

        if (write(STDERR_FILENO, two, 2) != 2)
            break;
    }
    signal(sig, SIG_DFL);
    raise(sig);
}

int main(int argc, char **argv)
{
    unsigned long runs = argc > 1 ? strtoul(argv[1], NULL, 10) : RUNS;

    state = argc > 2 ? strtoull(argv[2], NULL, 10) : SEED;
    printf("%lu runs, seed %llu\n", runs, (unsigned long long)state);
    signal(SIGABRT, show_input);
    signal(SIGSEGV, show_input);
    for (unsigned long i = 0; i < runs; i++) {
        SX_AUTO_FREE uint8_t *exact = NULL;

        sx_buf_reset(&input);
        sx_buf_reset(&other);
        fuzz_seed((unsigned)below(fuzz_seeds), &input);
        fuzz_seed((unsigned)below(fuzz_seeds), &other);
        for (size_t steps = i < fuzz_seeds ? 0 : 1 + below(STEPS_MAX); steps; steps--)
            mutate();
        exact = sx_malloc(input.len); /* so that a read behind the end is seen by ASan */
        if (input.len)
            memcpy(exact, input.data, input.len);
        LLVMFuzzerTestOneInput(exact, input.len);
    }
    sx_buf_fini(&input);
    sx_buf_fini(&other);
    return 0;
}
