/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Damage anywhere in a store that was closed: a bit flipped, a page zeroed, a file cut or removed.
 * Whatever it hits, opening works or refuses with a message, no call crashes, and no wrong byte is
 * given out; with the index made anew, all blocks are there but those whose own bytes were hit.
 *
 * SX_DAMAGE_ROUNDS: how many stores are damaged.
 */
#include "tests/unit/store_util.h"

#include <dirent.h>
#include <fcntl.h>

#include "libsx/base/clock.h"
#include "libsx/base/log.h"

#define MAX 1500u
enum { BLOCKS = 300, FILES_MAX = 64, PAGE = 4096 };

static struct sx_store_options options(void)
{
    return (struct sx_store_options){ .node = 7, .capacity = 1u << 30, .reserve = 1,
                                      .pack_max = 64 << 10 };
}

static char *make_template(void)
{
    char *dir = util_dir();
    struct sx_store_options o = options();
    struct sx_store *s = util_open(dir, &o);
    struct sx_err e = SX_ERR_INIT;

    for (uint64_t i = 0; i < BLOCKS; i += 30)
        assert_done(util_put(s, i, 30, MAX, NULL, NULL, &e), &e);
    sx_store_close(s);
    return dir;
}

static size_t add_files(const char *dir, char **files, size_t n)
{
    DIR *d = opendir(dir);
    struct dirent *de;

    assert_non_null(d);
    while ((de = readdir(d)) != NULL && n < FILES_MAX)
        if (de->d_type == DT_REG)
            files[n++] = sx_asprintf("%s/%s", dir, de->d_name);
    closedir(d);
    return n;
}

/* One damage at a random place.  True if it was to a pack. */
static bool damage(const char *dir, uint64_t *seed)
{
    SX_AUTO_FREE char *packs = sx_asprintf("%s/packs", dir), *index = sx_asprintf("%s/index", dir);
    char *files[FILES_MAX];
    size_t n = add_files(index, files, add_files(packs, files, add_files(dir, files, 0)));
    size_t which = unit_random(seed) % n;
    bool pack = strstr(files[which], "/packs/") != NULL;
    int fd = open(files[which], O_RDWR | O_CLOEXEC);
    struct stat st;
    uint8_t b[PAGE] = { 0 };

    assert_true(fd >= 0 && fstat(fd, &st) == 0);
    if (st.st_size) {
        off_t at = (off_t)(unit_random(seed) % (uint64_t)st.st_size);

        switch (unit_random(seed) % 8) {
        case 0:
            assert_int_equal(ftruncate(fd, at), 0);
            break;
        case 1:
            at -= at % PAGE;
            assert_true(pwrite(fd, b, (size_t)(st.st_size - at < PAGE ? st.st_size - at : PAGE),
                               at) > 0);
            break;
        case 2:
            unlink(files[which]);
            break;
        default:
            assert_int_equal(pread(fd, b, 1, at), 1);
            b[0] ^= (uint8_t)(1u << unit_random(seed) % 8);
            assert_int_equal(pwrite(fd, b, 1, at), 1);
        }
    }
    close(fd);
    for (size_t i = 0; i < n; i++)
        free(files[i]);
    return pack;
}

/* Every call that reads, and those that write, on a store that may be damaged.  Errors are right
 * here; only crashes and wrong bytes are not.  Gives how many calls failed. */
static unsigned use(struct sx_store *s)
{
    struct sx_store_item items[BLOCKS + 10];
    struct sx_store_compaction done;
    struct sx_store_report r;
    struct sx_store_stats st;
    uint8_t present[BLOCKS];
    struct sx_id ids[BLOCKS];
    struct sx_err e = SX_ERR_INIT;
    uint64_t lease;
    size_t n;
    unsigned failed = 0;

    for (uint64_t i = 0; i < BLOCKS; i++) {
        ids[i] = util_id(i);
        failed += util_get(s, i, MAX) != 0; /* wrong bytes fail the test */
    }
    failed += sx_store_have(s, ids, BLOCKS, present, &lease, &e) != 0;
    failed += sx_store_list(s, NULL, items, BLOCKS + 10, &n, &e) != 0;
    failed += sx_store_list_bad(s, NULL, items, BLOCKS + 10, &n, &e) != 0;
    failed += sx_store_stats(s, &st, &e) != 0;
    failed += util_put(s, 0, BLOCKS, MAX, &lease, NULL, &e) != 0;
    failed += sx_store_delete(s, ids, 10, lease, &n, &e) != 0;
    failed += sx_store_compact(s, false, 0, &done, &e) != 0;
    failed += sx_store_check(s, true, &r, &e) != 0;
    for (uint64_t i = 0; i < BLOCKS; i++)
        failed += util_get(s, i, MAX) != 0;
    return failed;
}

static unsigned lost(struct sx_store *s)
{
    unsigned n = 0;

    for (uint64_t i = 0; i < BLOCKS; i++)
        n += util_get(s, i, MAX) != 0;
    return n;
}

static void damaged_anywhere(void **state)
{
    const char *rounds = getenv("SX_DAMAGE_ROUNDS");
    char *template = make_template();
    struct sx_store_options o = options();
    uint64_t seed = sx_mono_ns();
    unsigned noticed = 0;

    print_message("seed %llu\n", (unsigned long long)seed);
    sx_log_level_set((enum sx_log_level)-1); /* thousands of errors are to be expected */
    for (int i = 0; i < (rounds ? atoi(rounds) : 150); i++) {
        char *dir = util_dir();
        SX_AUTO_FREE char *copy = sx_asprintf("cp -r %s/. %s", template, dir);
        struct sx_err e = SX_ERR_INIT;
        struct sx_store *s;
        bool pack;

        assert_int_equal(system(copy), 0);
        pack = damage(dir, &seed);
        if (unit_random(&seed) % 2) {
            if (sx_store_open(dir, &o, &s, &e)) {
                assert_true(e.msg[0]);
                noticed++;
            } else {
                noticed += use(s) > 0;
                sx_store_close(s);
            }
        }
        assert_done(sx_store_rebuild_index(dir, &o, &e), &e);
        s = util_open(dir, &o);
        if (!pack)
            assert_int_equal(lost(s), 0);
        util_check(s);
        sx_store_close(s);
        util_remove(dir);
    }
    print_message("%u times it was noticed\n", noticed);
    assert_true(noticed > 0);
    util_remove(template);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(damaged_anywhere) };

    return cmocka_run_group_tests_name("store damage", tests, NULL, NULL);
}
