/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The census of space: a real state machine, three stores in place of three nodes, and their figures
 * put together as the API does.  Known data whose right figures are written here; and random ones
 * against a recount that reads the tables in another way.
 */
#include "tests/unit/space_util.h"

#include "fcgi/jobs/count.h"
#include "libsx/base/clock.h"

/* ---- known data ---- */

#define R (SX_RECORD_HEADER + PAYLOAD) /* each record */

#define EXPECT_FIGURES(k, volume, l, u, co, p, in)                                                 \
    do {                                                                                           \
        SX_AUTO_JSON json_t *j_ = sx_space_figures(&(k)->c, volume);                               \
        assert_int_equal(get(j_, "logical"), l);                                                   \
        assert_int_equal(get(j_, "unique"), u);                                                    \
        assert_int_equal(get(j_, "compressed"), co);                                               \
        assert_int_equal(get(j_, "physical"), p);                                                  \
        assert_int_equal(get(j_, "inline"), in);                                                   \
    } while (0)

static uint64_t exclusive_of(const struct counts *k, uint64_t volume)
{
    SX_AUTO_JSON json_t *j = sx_space_figures(&k->c, volume);

    return get(j, "exclusive");
}

static void upload_open(struct world *w, uint8_t number, const char *volume, uint64_t seed,
                        unsigned n)
{
    SX_AUTO(sx_buf) struct sx_buf entries = SX_BUF_INIT;
    char path[16];

    snprintf(path, sizeof path, "up%u", number);
    entries_make(&entries, seed, n, LEN);
    assert_int_equal(DO(w, "admin", upload_begin, .upload = { number }, .volume = volume,
                        .path = path), SX_OK);
    assert_int_equal(DO(w, "admin", upload_part, .upload = { number }, .lease = UINT64_MAX,
                        .entries = { entries.data, entries.len }), SX_OK);
}

static int put(struct cluster *c, const char *volume, const char *path, uint64_t seed, unsigned n)
{
    return put_blocks(&c->w, "admin", volume, path, seed, n, LEN, UINT64_MAX);
}

static void copy(struct cluster *c, const char *from, const char *path, const char *to,
                 const char *to_path)
{
    assert_int_equal(DO(&c->w, "admin", file_copy, .volume = from, .path = path, .to_volume = to,
                        .to_path = to_path), SX_OK);
}

/* Blocks 0 … 29 in v0 (twice: as another content, and as an older revision), 20 … 29 in v1 too;
 * 30 … 39 only in an upload; 40 … 44 deleted; 50 … 119 deleted, and so many that the content
 * is only doomed; an inline file, copied inside v0 and to v1. */
static void make_known(struct cluster *c)
{
    assert_int_equal(put(c, "v0", "a", 0, 20), SX_OK);
    assert_int_equal(put(c, "v0", "a", 10, 20), SX_OK);
    assert_int_equal(put(c, "v0", "b", 0, 30), SX_OK);
    assert_int_equal(put(c, "v1", "c", 20, 10), SX_OK);
    upload_open(&c->w, 1, "v0", 25, 15);
    assert_int_equal(put(c, "v0", "gone", 40, 5), SX_OK);
    assert_int_equal(put(c, "v0", "doomed", 50, LONG), SX_OK);
    assert_int_equal(put_inline(&c->w, "admin", "v0", "small", 130, 300), SX_OK);
    copy(c, "v0", "small", "v0", "small2");
    copy(c, "v0", "small", "v1", "small3");
    assert_int_equal(put_inline(&c->w, "admin", "v0", "empty", 0, 0), SX_OK);
    assert_int_equal(DO(&c->w, "admin", file_delete, .volume = "v0", .path = "gone"), SX_OK);
    assert_int_equal(DO(&c->w, "admin", file_delete, .volume = "v0", .path = "doomed"), SX_OK);
}

static void known_data(void **state)
{
    struct cluster c;
    struct counts k;
    uint64_t v0, v1, v2, small;

    cluster_open(&c);
    make_known(&c);
    for (unsigned i = 0; i < NODES; i++) /* copies: two of most, three of 0 … 9 */
        store_run(&c, i, 0, i < 2 ? SEEDS : 10);
    for (unsigned s = 0; s < SEEDS; s++)
        if (first_of(s) == 2)
            store_one(&c.node[2], s, PAYLOAD);
    count_all(&c, &k);
    v0 = world_volume(&c.w, "v0").id;
    v1 = world_volume(&c.w, "v1").id;
    v2 = world_volume(&c.w, "v2").id;
    small = record_len(130);

    uint64_t third[2] = { 0, 0 }; /* copies on node 2 of blocks 0 … 29, and of 20 … 29 */
    for (unsigned s = 0; s < 30; s++) {
        third[0] += c.node[2].stored[s] != 0;
        third[1] += s >= 20 && c.node[2].stored[s];
    }
    EXPECT_FIGURES(&k, v0, 70 * LEN + 600, 30 * LEN + 300, 30 * R + small, (60 + third[0]) * R,
                   small);
    EXPECT_FIGURES(&k, v1, 10 * LEN + 300, 10 * LEN + 300, 10 * R + small, (20 + third[1]) * R,
                   small);
    EXPECT_FIGURES(&k, v2, 0, 0, 0, 0, 0);
    EXPECT_FIGURES(&k, SX_SPACE_ALL, 80 * LEN + 900, 30 * LEN + 300, 30 * R + small,
                   (60 + third[0]) * R, small);
    assert_int_equal(exclusive_of(&k, v0), (40 + third[0] - third[1]) * R);
    assert_int_equal(exclusive_of(&k, v1), 0);
    assert_int_equal(world_volume(&c.w, "v0").used, 70 * LEN + 600);
    assert_int_equal(k.space[0].uploading, 10 * R);
    assert_int_equal(k.space[0].unreferenced, (SEEDS - 40) * R);
    assert_int_equal(k.space[0].blocks, 30);
    assert_int_equal(k.space[0].lacking, 0);
    assert_true(sx_space_complete(&k.c));
    assert_int_equal(sx_space_as_of(&k.c), 1000);
    counts_free(&k);
    cluster_close(&c);
}

static uint64_t content_put(struct cluster *c, const char *path, uint64_t seed, unsigned n)
{
    assert_int_equal(put(c, "v0", path, seed, n), SX_OK);
    return result_file(&c->w).content;
}

static void pin(struct cluster *c, uint8_t number, uint64_t content)
{
    assert_int_equal(DO(&c->w, "", pin, .pin = { number }, .content = content, .ttl_ms = 1000),
                     SX_OK);
}

/* What only readers have is no volume's: it is on its way out, before and after they end. */
static void pinned(void **state)
{
    struct cluster c;
    struct counts k;

    cluster_open(&c);
    pin(&c, 1, content_put(&c, "gone", 0, 20));
    pin(&c, 2, content_put(&c, "long", 20, LONG));
    pin(&c, 3, content_put(&c, "kept", 10, 5));
    assert_int_equal(DO(&c.w, "admin", file_delete, .volume = "v0", .path = "gone"), SX_OK);
    assert_int_equal(DO(&c.w, "admin", file_delete, .volume = "v0", .path = "long"), SX_OK);
    for (unsigned i = 0; i < NODES; i++)
        store_run(&c, i, 0, 20 + LONG);
    for (unsigned i = 0; i < 3; i++) {
        count_all(&c, &k); /* the sums agree with the packs */
        EXPECT_FIGURES(&k, world_volume(&c.w, "v0").id, 5 * LEN, 5 * LEN, 5 * R, NODES * 5 * R, 0);
        EXPECT_FIGURES(&k, SX_SPACE_ALL, 5 * LEN, 5 * LEN, 5 * R, NODES * 5 * R, 0);
        assert_int_equal(k.space[0].unreferenced, (15 + LONG) * R);
        assert_int_equal(k.space[0].uploading, 0);
        counts_free(&k);
        assert_int_equal(DO(&c.w, "", unpin, .pin = { (uint8_t)(i + 1) }), SX_OK);
    }
    cluster_close(&c);
}

static void multipart(struct world *w, uint8_t upload, unsigned number, uint64_t seed, unsigned n)
{
    SX_AUTO(sx_buf) struct sx_buf entries = SX_BUF_INIT;

    entries_make(&entries, seed, n, LEN);
    assert_int_equal(DO(w, "admin", mpart_put, .upload = { upload }, .number = number,
                        .size = (uint64_t)n * LEN, .lease = UINT64_MAX,
                        .entries = { entries.data, entries.len }), SX_OK);
}

/* A joint content counts as the parts that it is made of, also where it was copied to; parts of
 * an open upload count as uploads. */
static void joint_contents(void **state)
{
    static const uint8_t parts[2 * SX_MPART_NAMED] = { [0] = 1, [SX_MPART_NAMED] = 2 };
    struct cluster c;
    struct counts k;

    cluster_open(&c);
    assert_int_equal(DO(&c.w, "admin", upload_begin, .upload = { 1 }, .volume = "v0", .path = "m",
                        .multipart = 1), SX_OK);
    multipart(&c.w, 1, 1, 0, 10);
    multipart(&c.w, 1, 2, 10, 5);
    assert_int_equal(DO(&c.w, "admin", mpart_complete, .upload = { 1 },
                        .parts = { parts, sizeof parts }), SX_OK);
    copy(&c, "v0", "m", "v1", "n");
    assert_int_equal(DO(&c.w, "admin", upload_begin, .upload = { 2 }, .volume = "v0", .path = "o",
                        .multipart = 1), SX_OK);
    multipart(&c.w, 2, 7, 20, 5);
    for (unsigned i = 0; i < NODES; i++)
        store_run(&c, i, 0, 25);
    count_all(&c, &k);
    for (unsigned v = 0; v < 2; v++)
        EXPECT_FIGURES(&k, world_volume(&c.w, v ? "v1" : "v0").id, 15 * LEN, 15 * LEN, 15 * R,
                       NODES * 15 * R, 0);
    EXPECT_FIGURES(&k, SX_SPACE_ALL, 30 * LEN, 15 * LEN, 15 * R, NODES * 15 * R, 0);
    assert_int_equal(k.space[0].uploading, 5 * R);
    counts_free(&k);
    cluster_close(&c);
}

static double ratio(const struct counts *k, const char *name)
{
    SX_AUTO_JSON json_t *j = sx_space_figures(&k->c, SX_SPACE_ALL);

    return json_number_value(json_object_get(j, name));
}

/* A node is missing, or a block where it should be: the sums say so, the ratios hold. */
static void incomplete(void **state)
{
    struct cluster c;
    struct counts k;
    unsigned s = 0;
    json_t *kept;

    cluster_open(&c);
    assert_int_equal(put(&c, "v0", "a", 0, 60), SX_OK);
    assert_int_equal(put(&c, "v0", "b", 0, 60), SX_OK);
    for (unsigned i = 0; i < NODES; i++)
        store_run(&c, i, 0, 60);
    count_all(&c, &k);
    assert_true(sx_space_complete(&k.c));
    assert_true(ratio(&k, "dedup") == 2.0 && ratio(&k, "compression") == 7.813);
    assert_true(ratio(&k, "reduction") == 15.625);

    kept = k.json[0];
    k.json[0] = NULL;
    assert_false(sx_space_complete(&k.c));
    assert_true(ratio(&k, "dedup") == 2.0 && ratio(&k, "compression") == 7.813);
    EXPECT_FIGURES(&k, SX_SPACE_ALL, 120 * LEN, 60 * LEN,
                   k.space[1].all.compressed + k.space[2].all.compressed, 120 * R, 0);
    k.json[0] = kept;
    json_object_set_new(kept, "map_version", json_integer(7)); /* it counted by another map */
    assert_false(sx_space_complete(&k.c));
    counts_free(&k);

    while (first_of(s) != 1)
        s++;
    unstore(&c.node[1], s);
    count_all(&c, &k);
    assert_int_equal(k.space[1].lacking, LEN);
    assert_false(sx_space_complete(&k.c));
    EXPECT_FIGURES(&k, SX_SPACE_ALL, 120 * LEN, 60 * LEN, 59 * R, 179 * R, 0);
    counts_free(&k);

    k = (struct counts){ .c = { k.json, NODES, 0 } }; /* nobody has counted */
    k.json[0] = k.json[1] = k.json[2] = NULL;
    EXPECT_FIGURES(&k, SX_SPACE_ALL, 0, 0, 0, 0, 0);
    assert_int_equal(sx_space_as_of(&k.c), 0);
    assert_true(ratio(&k, "dedup") == 0);
    cluster_close(&c);
}

/* When all is deleted, collected and compacted, nothing is left to reclaim, and nothing at all. */
static void all_reclaimed(void **state)
{
    struct sx_store_compaction done;
    struct sx_err e = SX_ERR_INIT;
    struct cluster c;
    struct counts k;

    cluster_open(&c);
    assert_int_equal(put(&c, "v0", "a", 0, 60), SX_OK);
    for (unsigned i = 0; i < NODES; i++)
        store_run(&c, i, 0, 60);
    assert_int_equal(DO(&c.w, "admin", file_delete, .volume = "v0", .path = "a"), SX_OK);
    count_all(&c, &k);
    assert_int_equal(sx_space_total(&k.c, "unreferenced"), NODES * 60 * R);
    assert_int_equal(sx_space_total(&k.c, "dead"), 0);
    counts_free(&k);

    for (unsigned i = 0; i < NODES; i++)
        for (unsigned s = 0; s < 60; s++)
            unstore(&c.node[i], s);
    count_all(&c, &k);
    assert_int_equal(sx_space_total(&k.c, "unreferenced"), 0);
    assert_int_equal(sx_space_total(&k.c, "dead"), NODES * 60 * R);
    counts_free(&k);

    for (unsigned i = 0; i < NODES; i++)
        assert_done(sx_store_compact(c.node[i].s, false, 0, &done, &e), &e);
    count_all(&c, &k);
    assert_int_equal(sx_space_total(&k.c, "dead"), 0);
    EXPECT_FIGURES(&k, SX_SPACE_ALL, 0, 0, 0, 0, 0);
    counts_free(&k);
    cluster_close(&c);
}

/* More of everything than one page takes. */
static void many_pages(void **state)
{
    uint64_t inlined = 0, stored = 0;
    struct cluster c;
    struct sx_space s;
    struct sx_err e = SX_ERR_INIT;

    cluster_open(&c);
    for (unsigned i = 0; i < MANY; i++) {
        char path[16];

        snprintf(path, sizeof path, "f%u", i);
        for (unsigned revision = 0; revision < 2; revision++) {
            uint64_t seed = 2 * i + revision;

            assert_int_equal(put_inline(&c.w, "admin", volume_names[i % 2], path, seed, 100),
                             SX_OK);
            inlined += record_len(seed);
        }
        stored += SX_RECORD_HEADER + util_len(i, PAYLOAD);
    }
    assert_done(util_put(c.node[0].s, 0, MANY, PAYLOAD, NULL, NULL, &e), &e);
    s = census(&c, 0);
    assert_int_equal(s.all.logical, MANY * 200);
    assert_int_equal(s.all.unique, MANY * 200);
    assert_int_equal(s.all.inlined_plain, MANY * 200);
    assert_int_equal(s.all.inlined, inlined);
    assert_int_equal(s.n_volumes, 2);
    assert_int_equal(s.volumes[0].sums.logical, MANY * 100);
    assert_int_equal(s.volumes[1].sums.inlined + s.volumes[0].sums.inlined, inlined);
    assert_int_equal(s.unreferenced, stored);
    check_packs(&c.node[0], &s);
    sx_space_fini(&s);
    cluster_close(&c);
}

static void put_meanwhile(struct cluster *c)
{
    store_run(c, 0, 20, 10);
    assert_int_equal(put(c, "v1", "new", 20, 10), SX_OK);
    assert_int_equal(DO(&c->w, "admin", file_delete, .volume = "v0", .path = "old"), SX_OK);
}

/* What is committed while it counts is no garbage, and what is deleted is what it was. */
static void counted_under_change(void **state)
{
    struct cluster c;
    struct sx_space s;

    cluster_open(&c);
    assert_int_equal(put(&c, "v0", "kept", 0, 5), SX_OK);
    assert_int_equal(put(&c, "v0", "old", 5, 5), SX_OK);
    store_run(&c, 0, 0, 12);
    s = census_with(&c, 0, put_meanwhile);
    assert_int_equal(s.all.logical, 10 * LEN);
    assert_int_equal(s.all.physical, 5 * R);
    assert_int_equal(s.uploading, 10 * R);
    assert_int_equal(s.unreferenced, 7 * R); /* the deleted file's, and two of nobody */
    check_packs(&c.node[0], &s);
    sx_space_fini(&s);
    cluster_close(&c);
}

static uint64_t mark_of(struct cluster *c)
{
    struct sx_err e = SX_ERR_INIT;
    uint64_t mark;

    assert_done(sx_query_space_mark(world_db(&c->w), &mark, &e), &e);
    return mark;
}

/* The mark moves with what users do, and stays when the cluster only tidies up. */
static void mark_moves(void **state)
{
    struct cluster c;
    uint64_t last, now;

    cluster_open(&c);
    last = mark_of(&c);
#define MOVES(what)                                                                                \
    do {                                                                                           \
        what;                                                                                      \
        now = mark_of(&c);                                                                         \
        assert_int_not_equal(now, last);                                                           \
        last = now;                                                                                \
    } while (0)
    MOVES(put(&c, "v0", "a", 0, 5));
    MOVES(put(&c, "v0", "a", 5, 5));
    MOVES(copy(&c, "v0", "a", "v0", "b"));
    MOVES(copy(&c, "v0", "a", "v0", "b"));
    MOVES(DO(&c.w, "admin", file_rename, .volume = "v0", .path = "b", .to_volume = "v1",
             .to_path = "b"));
    MOVES(upload_open(&c.w, 1, "v0", 25, 15));
    MOVES(DO(&c.w, "admin", upload_abort, .upload = { 1 }));
    MOVES(DO(&c.w, "admin", file_delete, .volume = "v0", .path = "a"));
    DO(&c.w, "", expire, .limit = 100);
    DO(&c.w, "", epoch_set, .epoch = 3);
    assert_int_equal(mark_of(&c), last);
    cluster_close(&c);
}

/* ---- the job manager's part ---- */

static uint64_t as_of(const char *dir)
{
    SX_AUTO_JSON json_t *j = sx_space_read(dir);

    return j ? get(j, "as_of_ms") : 0;
}

/* Looks until figures newer than `than` are there. */
static json_t *look_until(struct sx_count *count, const char *dir, uint64_t than)
{
    for (unsigned i = 0; i < 1000 && as_of(dir) <= than; i++) {
        sx_sleep_ms(1);
        sx_count_look(count);
    }
    assert_true(as_of(dir) > than);
    return sx_space_read(dir);
}

static uint64_t all_of(const json_t *j, const char *name)
{
    return get(json_object_get(j, "all"), name);
}

/* Counts at the start and when asked to, not without need, and not while the store does not open. */
static void counts_when_due(void **state)
{
    struct sx_node_conf conf = { .node = 1 };
    struct sx_count *count;
    struct sx_meta *meta;
    struct cluster c;
    json_t *first, *second;
    uint64_t began;

    cluster_open(&c);
    conf.dir = c.node[0].dir;
    SX_AUTO_FREE char *folder = sx_asprintf("%s/meta", conf.dir);
    SX_AUTO_FREE char *db = sx_asprintf("%s/group-0.db", folder);
    SX_AUTO_FREE char *json = sx_asprintf("%s/node.json", conf.dir);

    assert_int_equal(put(&c, "v0", "a", 0, 10), SX_OK);
    store_run(&c, 0, 0, 12);
    meta = sx_meta_new(conf.dir);
    count = sx_count_new(&conf, meta);
    sx_count_look(count); /* no store, no metadata */
    assert_int_equal(as_of(conf.dir), 0);
    sx_count_free(count);

    assert_int_equal(mkdir(folder, 0700), 0);
    assert_int_equal(symlink(c.w.path, db), 0);
    FILE *f = fopen(json, "w");
    assert_non_null(f);
    fprintf(f, "%s", NODE_JSON);
    fclose(f);
    count = sx_count_new(&conf, meta);
    first = look_until(count, conf.dir, 0);
    assert_int_equal(all_of(first, "physical"), 10 * R);
    assert_int_equal(get(first, "unreferenced"), 2 * R);
    assert_int_equal(get(first, "map_version"), NODES);

    assert_int_equal(put(&c, "v0", "b", 5, 7), SX_OK);
    for (unsigned i = 0; i < 20; i++)
        sx_count_look(count);
    began = as_of(conf.dir);
    assert_int_equal(began, get(first, "as_of_ms")); /* it is not due */
    sx_space_poke(conf.dir);
    second = look_until(count, conf.dir, began);
    assert_int_equal(all_of(second, "physical"), 12 * R);
    assert_int_equal(all_of(second, "logical"), 17 * LEN);
    assert_int_equal(get(second, "unreferenced"), 0);
    json_decref(first);
    json_decref(second);
    sx_count_free(count);
    sx_meta_free(meta);
    cluster_close(&c);
}

static void pure_sums(void **state)
{
    static const uint64_t nobody[1], both[2] = { 4, 9 }, upload[1] = { SX_SPACE_UPLOAD };
    static const uint64_t with_upload[2] = { SX_SPACE_UPLOAD, 9 };
    struct sx_space s = { 0 };

    sx_space_add_block(&s, &(struct sx_space_block){ 100, 60, true, true }, both, 2);
    assert_int_equal(s.damaged, 60);
    assert_int_equal(s.lacking, 100);
    assert_int_equal(s.all.unique, 100);
    assert_int_equal(s.all.physical + s.all.counted + s.all.compressed, 0);
    sx_space_add_block(&s, &(struct sx_space_block){ 0, 50, true, true }, nobody, 0);
    assert_int_equal(s.damaged, 110);
    assert_int_equal(s.unreferenced + s.uploading, 0);
    sx_space_add_block(&s, &(struct sx_space_block){ 100, 40, false, true }, upload, 1);
    assert_int_equal(s.uploading, 40);
    assert_int_equal(s.all.unique, 100);
    sx_space_add_block(&s, &(struct sx_space_block){ 100, 40, false, false }, with_upload, 2);
    assert_int_equal(sx_space_volume(&s, 9)->exclusive, 40);
    assert_int_equal(sx_space_volume(&s, 9)->unique, 200);
    assert_int_equal(sx_space_volume(&s, 4)->unique, 100);
    assert_int_equal(s.all.counted, 0);
    assert_int_equal(s.n_volumes, 2);
    sx_space_fini(&s);
}

/* ---- random data against a recount ---- */

struct recount {
    unsigned held[SEEDS], uploaded[SEEDS]; /* bits of volumes; whether an upload has it */
    uint64_t logical[VOLUMES], inlined[VOLUMES], inlined_plain[VOLUMES];
    uint64_t inlined_all, inlined_plain_all;
};

static unsigned seed_of(const uint8_t *id)
{
    for (unsigned s = 0; s < SEEDS; s++) {
        struct sx_id want = id_of(s);

        if (memcmp(want.b, id, SX_ID_SIZE) == 0)
            return s;
    }
    fail_msg("a block that nobody put");
    return 0;
}

static void recount_content(struct cluster *c, uint64_t content, unsigned *held, unsigned bit)
{
    sqlite3_stmt *st;

    assert_int_equal(sqlite3_prepare_v2(world_db(&c->w), "SELECT entries FROM part WHERE content=?",
                                        -1, &st, NULL), SQLITE_OK);
    sqlite3_bind_int64(st, 1, (sqlite3_int64)content);
    while (sqlite3_step(st) == SQLITE_ROW) {
        const uint8_t *p = sqlite3_column_blob(st, 0);

        for (int at = 0; at < sqlite3_column_bytes(st, 0); at += SX_ENTRY_SIZE)
            held[seed_of(p + at)] |= bit;
    }
    sqlite3_finalize(st);
}

static unsigned index_of(struct cluster *c, uint64_t volume)
{
    for (unsigned v = 0; v < VOLUMES; v++)
        if (world_volume(&c->w, volume_names[v]).id == volume)
            return v;
    fail_msg("no such volume");
    return 0;
}

static void recount_inline(struct cluster *c, struct recount *r)
{
    sqlite3_stmt *st;
    const char *sql =
        "SELECT c.id, length(record), (SELECT max(size) FROM (SELECT size, content FROM file"
        " UNION ALL SELECT size, content FROM old) WHERE content = c.id), h.volume FROM"
        " (SELECT content AS id, record FROM inline) c,"
        " (SELECT volume, content FROM file UNION SELECT volume, content FROM old) h"
        " WHERE h.content = c.id ORDER BY c.id";
    uint64_t last = 0;

    assert_int_equal(sqlite3_prepare_v2(world_db(&c->w), sql, -1, &st, NULL), SQLITE_OK);
    while (sqlite3_step(st) == SQLITE_ROW) {
        uint64_t id = (uint64_t)sqlite3_column_int64(st, 0);
        uint64_t stored = (uint64_t)sqlite3_column_int64(st, 1);
        uint64_t plain = (uint64_t)sqlite3_column_int64(st, 2);
        unsigned v = index_of(c, (uint64_t)sqlite3_column_int64(st, 3));

        r->inlined[v] += stored;
        r->inlined_plain[v] += plain;
        r->inlined_all += id == last ? 0 : stored;
        r->inlined_plain_all += id == last ? 0 : plain;
        last = id;
    }
    sqlite3_finalize(st);
}

static void recount(struct cluster *c, struct recount *r)
{
    sqlite3_stmt *st;

    memset(r, 0, sizeof *r);
    assert_int_equal(sqlite3_prepare_v2(world_db(&c->w),
                                        "SELECT volume, content, size FROM file UNION ALL"
                                        " SELECT volume, content, size FROM old", -1, &st, NULL),
                     SQLITE_OK);
    while (sqlite3_step(st) == SQLITE_ROW) {
        unsigned v = index_of(c, (uint64_t)sqlite3_column_int64(st, 0));

        r->logical[v] += (uint64_t)sqlite3_column_int64(st, 2);
        recount_content(c, (uint64_t)sqlite3_column_int64(st, 1), r->held, 1u << v);
    }
    sqlite3_finalize(st);
    assert_int_equal(sqlite3_prepare_v2(world_db(&c->w), "SELECT content FROM upload", -1, &st,
                                        NULL), SQLITE_OK);
    while (sqlite3_step(st) == SQLITE_ROW)
        recount_content(c, (uint64_t)sqlite3_column_int64(st, 0), r->uploaded, 1);
    sqlite3_finalize(st);
    recount_inline(c, r);
}

/* What the figures of the volumes in `mask` should be. */
static void check_figures(struct cluster *c, const struct counts *k, const struct recount *r,
                          unsigned mask, uint64_t volume)
{
    uint64_t logical = 0, unique = 0, compressed = 0, physical = 0, exclusive = 0, inlined = 0;
    bool all = volume == SX_SPACE_ALL;

    for (unsigned v = 0; v < VOLUMES; v++) {
        logical += mask & 1u << v ? r->logical[v] : 0;
        unique += !all && mask & 1u << v ? r->inlined_plain[v] : 0;
        inlined += !all && mask & 1u << v ? r->inlined[v] : 0;
    }
    unique += all ? r->inlined_plain_all : 0;
    inlined += all ? r->inlined_all : 0;
    compressed = inlined;
    for (unsigned s = 0; s < SEEDS; s++) {
        if (!(r->held[s] & mask))
            continue;
        unique += LEN;
        compressed += c->node[first_of(s)].stored[s];
        for (unsigned i = 0; i < NODES; i++) {
            physical += c->node[i].stored[s];
            exclusive += r->held[s] == mask ? c->node[i].stored[s] : 0;
        }
    }
    EXPECT_FIGURES(k, volume, logical, unique, compressed, physical, inlined);
    if (!all)
        assert_int_equal(exclusive_of(k, volume), exclusive);
}

static void check_node(struct cluster *c, unsigned i, const struct sx_space *s,
                       const struct recount *r)
{
    uint64_t uploading = 0, unreferenced = 0, lacking = 0, blocks = 0;

    for (unsigned seed = 0; seed < SEEDS; seed++) {
        uint32_t stored = c->node[i].stored[seed];

        blocks += r->held[seed] != 0;
        if (!r->held[seed])
            *(r->uploaded[seed] ? &uploading : &unreferenced) += stored;
        else if (!stored && first_of(seed) == i)
            lacking += LEN;
    }
    assert_int_equal(s->uploading, uploading);
    assert_int_equal(s->unreferenced, unreferenced);
    assert_int_equal(s->lacking, lacking);
    assert_int_equal(s->blocks, blocks);
}

static void check_all(struct cluster *c)
{
    struct recount r;
    struct counts k;

    count_all(c, &k);
    recount(c, &r);
    check_figures(c, &k, &r, (1u << VOLUMES) - 1, SX_SPACE_ALL);
    for (unsigned v = 0; v < VOLUMES; v++) {
        check_figures(c, &k, &r, 1u << v, world_volume(&c->w, volume_names[v]).id);
        assert_int_equal(r.logical[v], world_volume(&c->w, volume_names[v]).used);
    }
    for (unsigned i = 0; i < NODES; i++)
        check_node(c, i, &k.space[i], &r);
    counts_free(&k);
}

static void random_step(struct cluster *c, uint64_t *seed)
{
    const char *volume = volume_names[unit_random(seed) % VOLUMES];
    const char *other = volume_names[unit_random(seed) % VOLUMES];
    uint64_t from = unit_random(seed) % (SEEDS - LONG);
    unsigned node = (unsigned)(unit_random(seed) % NODES);
    static uint8_t uploads;
    char path[8], to[8];

    snprintf(path, sizeof path, "p%u", (unsigned)(unit_random(seed) % 6));
    snprintf(to, sizeof to, "p%u", (unsigned)(unit_random(seed) % 6));
    switch (unit_random(seed) % 9) {
    case 0:
    case 1:
        put(c, volume, path, from, 1 + (unsigned)(unit_random(seed) % LONG));
        break;
    case 2:
        put_inline(&c->w, "admin", volume, path, from, (uint32_t)(unit_random(seed) % 500));
        break;
    case 3:
        DO(&c->w, "admin", file_delete, .volume = volume, .path = path);
        break;
    case 4:
    case 5:
        DO(&c->w, "admin", file_copy, .volume = volume, .path = path, .to_volume = other,
           .to_path = to);
        break;
    case 6:
        DO(&c->w, "", pin, .pin = { (uint8_t)from }, .content = (c->w.index - from % 50) << 16,
           .ttl_ms = 1000);
        if (from % 4 == 0)
            DO(&c->w, "", unpin, .pin = { (uint8_t)(from + 1) });
        if (unit_random(seed) % 8 == 0 && uploads < 100)
            upload_open(&c->w, ++uploads, volume, from, 5);
        break;
    case 7:
        for (uint64_t s = from; s < from + LONG; s++)
            store_one(&c->node[node], s, 60 + (uint32_t)(s % 50) + node);
        break;
    default:
        for (uint64_t s = from; s < from + 20; s++)
            unstore(&c->node[node], s);
    }
}

static void random_data(void **state)
{
    uint64_t seed = 20261126;
    struct cluster c;

    cluster_open(&c);
    for (unsigned i = 0; i < 600; i++) {
        random_step(&c, &seed);
        if (i % 20 == 0)
            check_all(&c);
    }
    check_all(&c);
    cluster_close(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pure_sums),  cmocka_unit_test(known_data),
        cmocka_unit_test(pinned),
        cmocka_unit_test(joint_contents), cmocka_unit_test(incomplete),
        cmocka_unit_test(all_reclaimed), cmocka_unit_test(many_pages),
        cmocka_unit_test(counted_under_change),
        cmocka_unit_test(mark_moves), cmocka_unit_test(counts_when_due),
        cmocka_unit_test(random_data),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
