/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Page sums of the metadata database: a damaged file gives the same rows as before, or an error, never
 * other rows; and without the sums the same damage does give other rows.
 */
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fcgi/meta/sm/sums.h"
#include "libsx/base/log.h"
#include "libsx/base/mem.h"

#define PAGE 4096u
#define FLIPS 400u
#define READ_WRITE (SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX)

static char dir[] = "/tmp/sx-sums-XXXXXX";
static char path[64];
static uint8_t *good;
static size_t size;

static void must(sqlite3 *db, const char *sql)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
}

static void read_back(void)
{
    struct stat st;
    FILE *f = fopen(path, "re");

    assert_non_null(f);
    assert_int_equal(fstat(fileno(f), &st), 0);
    size = (size_t)st.st_size;
    good = sx_malloc(size);
    assert_int_equal(fread(good, 1, size, f), size);
    fclose(f);
}

static int make(void **state)
{
    sqlite3 *db;

    char log[64];

    assert_non_null(mkdtemp(dir));
    snprintf(log, sizeof log, "%s/log", dir);
    assert_int_equal(sx_log_open(log), 0);
    snprintf(path, sizeof path, "%s/db", dir);
    assert_int_equal(sx_sums_open(path, &db, READ_WRITE), SQLITE_OK);
    must(db, "PRAGMA journal_mode = WAL");
    must(db, "CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT, size INTEGER, entries BLOB)");
    must(db, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300)"
             " INSERT INTO t SELECT i, 'file ' || i, i * 1000,"
             " CASE i % 10 WHEN 0 THEN randomblob(20000) ELSE randomblob(40) END FROM n");
    must(db, "PRAGMA wal_checkpoint(TRUNCATE)");
    must(db, "DELETE FROM t WHERE id % 7 = 0");
    must(db, "VACUUM");
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    read_back();
    return 0;
}

static int remove_all(void **state)
{
    char command[80];

    free(good);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    return system(command);
}

static void put_file(const uint8_t *data, size_t n)
{
    FILE *f = fopen(path, "we");

    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, n, f), n);
    fclose(f);
}

/* All rows as one number, or 0: an error. */
static uint64_t rows(int (*open_db)(const char *, sqlite3 **, int))
{
    sqlite3 *db = NULL;
    sqlite3_stmt *st = NULL;
    uint64_t h = 1469598103934665603u; /* FNV-1a */
    int rc = open_db(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX);

    if (rc == SQLITE_OK)
        rc = sqlite3_prepare_v2(db, "SELECT id || name || size || hex(entries) FROM t", -1, &st, NULL);
    while (rc == SQLITE_OK && (rc = sqlite3_step(st)) == SQLITE_ROW) {
        for (const uint8_t *p = sqlite3_column_text(st, 0); p && *p; p++)
            h = (h ^ *p) * 1099511628211u;
        rc = SQLITE_OK;
    }
    sqlite3_finalize(st);
    sqlite3_close(db);
    return rc == SQLITE_DONE ? h : 0;
}

static int open_plain(const char *file, sqlite3 **db, int flags)
{
    return sqlite3_open_v2(file, db, flags, NULL);
}

static void flipped_bits(void **state)
{
    uint8_t *data = sx_malloc(size);
    unsigned errors = 0, plain_wrong = 0;
    uint64_t right = rows(sx_sums_open), seed = 11;

    assert_true(right != 0);
    assert_true(rows(open_plain) == right); /* the room for the sums is SQLite's own feature */
    for (unsigned i = 0; i < FLIPS; i++) {
        size_t at = unit_random(&seed) % size;
        uint64_t got, plain;

        memcpy(data, good, size);
        data[at] ^= (uint8_t)(1u << unit_random(&seed) % 8);
        put_file(data, size);
        got = rows(sx_sums_open);
        plain = rows(open_plain);
        if (got != 0 && got != right)
            fail_msg("a flipped bit at %zu gives other rows", at);
        errors += got == 0;
        plain_wrong += plain != 0 && plain != right;
    }
    print_message("%u flips: %u noticed, of %u unnoticed ones nothing is read; without sums %u gave "
                  "other rows\n", FLIPS, errors, FLIPS - errors, plain_wrong);
    assert_true(errors > FLIPS / 2);
    assert_true(plain_wrong > FLIPS / 10);
    put_file(good, size);
    free(data);
}

/* A page of zeroes, pages in each other's place, and a file that was cut: at every page. */
static void damaged_pages(void **state)
{
    uint8_t *data = sx_malloc(size);
    uint64_t right = rows(sx_sums_open);

    for (size_t at = 0; at < size; at += PAGE) {
        uint64_t got;

        memcpy(data, good, size);
        memset(data + at, 0, PAGE);
        put_file(data, size);
        got = rows(sx_sums_open);
        assert_true(got == 0 || got == right);
        memcpy(data, good, size);
        memcpy(data + at, good + (at + PAGE) % size, PAGE);
        put_file(data, size);
        got = rows(sx_sums_open);
        assert_true(got == 0 || got == right);
        put_file(good, at);
        got = at ? rows(sx_sums_open) : 0;
        assert_true(got == 0 || got == right);
    }
    put_file(good, size);
    free(data);
}

/* A bit is wrong in each page but the first. */
static void put_damaged(void)
{
    uint8_t *data = sx_malloc(size);

    memcpy(data, good, size);
    for (size_t at = PAGE; at < size; at += PAGE)
        data[at + 100] ^= 1;
    put_file(data, size);
    free(data);
}

static void error_is_known(void **state)
{
    sqlite3 *db;

    put_damaged();
    assert_int_equal(sx_sums_open(path, &db, READ_WRITE), SQLITE_OK);
    assert_int_not_equal(sqlite3_exec(db, "SELECT sum(size) FROM t", NULL, NULL, NULL), SQLITE_OK);
    assert_true(sx_sums_failed(db));
    sqlite3_close(db);
    put_file(good, size);
}

/* Some versions of SQLite read parts of pages: they are as true as whole ones. */
static void parts_of_pages(void **state)
{
    static const struct { int at, n; } parts[] = { { 0, 4088 }, { 4, 4084 }, { 0, 40 }, { 4000, 96 } };
    uint8_t got[PAGE];
    sqlite3_file *f;
    sqlite3 *db;

    for (unsigned bad = 0; bad < 2; bad++) {
        if (bad)
            put_damaged();
        assert_int_equal(sx_sums_open(path, &db, READ_WRITE), SQLITE_OK);
        (void)sqlite3_exec(db, "SELECT sum(size) FROM t", NULL, NULL, NULL); /* opens the file */
        assert_int_equal(sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, &f), SQLITE_OK);
        for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
            int at = 3 * (int)PAGE + parts[i].at;
            int rc = f->pMethods->xRead(f, got, parts[i].n, at);

            assert_int_equal(rc, bad ? SQLITE_IOERR_DATA : SQLITE_OK);
            if (!bad)
                assert_memory_equal(got, good + at, parts[i].n);
        }
        assert_int_equal(f->pMethods->xRead(f, got, PAGE, 3 * PAGE + 4), SQLITE_IOERR_DATA);
        sqlite3_close(db);
    }
    put_file(good, size);
}

static bool reads_all(sqlite3 *db)
{
    return sqlite3_exec(db, "SELECT sum(size), max(entries) FROM t", NULL, NULL, NULL) == SQLITE_OK;
}

/* Raised by what is watched, and only while that is the database still. */
static void flag(void **state)
{
    struct sx_err e = SX_ERR_INIT;
    char aside[80];
    sqlite3 *db;

    put_damaged();
    assert_int_equal(sx_sums_open(path, &db, READ_WRITE), SQLITE_OK);
    assert_false(reads_all(db));
    assert_false(sx_sums_raised(path)); /* nobody watches */
    sx_sums_watch(db);
    assert_false(reads_all(db));
    assert_true(sx_sums_raised(path));
    assert_int_equal(sx_sums_lower(path, &e), 0);
    assert_int_equal(sx_sums_lower(path, &e), 0);
    assert_false(sx_sums_raised(path));

    snprintf(aside, sizeof aside, "%s.aside", path);
    assert_int_equal(rename(path, aside), 0);
    put_file(good, size);
    assert_false(reads_all(db)); /* the old one */
    assert_false(sx_sums_raised(path));
    sqlite3_close(db);
    assert_int_equal(unlink(aside), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(flipped_bits), cmocka_unit_test(damaged_pages),
                                        cmocka_unit_test(error_is_known),
                                        cmocka_unit_test(parts_of_pages), cmocka_unit_test(flag) };

    return cmocka_run_group_tests_name("sums", tests, make, remove_all);
}
