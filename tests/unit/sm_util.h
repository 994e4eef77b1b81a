/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A state machine in a temporary directory, and commands in one line, for the tests of
 * fcgi/meta/sm.
 */
#ifndef TESTS_UNIT_SM_UTIL_H
#define TESTS_UNIT_SM_UTIL_H

#include "fcgi/meta/command.h"
#include "fcgi/meta/query.h"
#include "fcgi/meta/sm/sm.h"

struct world {
    char dir[64], path[80];
    struct sx_sm *sm;
    uint64_t index, time_ms;
    uint64_t ops;        /* op ids given out */
    uint8_t op[SX_OP_ID]; /* of the next command; changed after it */
    struct sx_buf cmd;
    /* of the last command */
    int code;
    char msg[SX_ERR_MSG_MAX];
    struct sx_buf payload;
    unsigned results;
};

/* A cluster of `nodes` nodes with administrator "admin" and users "alice", "bob", "carol". */
void world_open(struct world *w, unsigned nodes);
/* The same with three nodes and alice's volume "vol". */
void world_open_volume(struct world *w);
void world_open_empty(struct world *w);
void world_reopen(struct world *w);
void world_close(struct world *w);

/* A frame for tests: alice's volume before each of them; checked and closed behind it. */
extern struct world W;
int world_setup(void **state);
int world_teardown(void **state);

/* Applies w->cmd as an entry of its own and commits: the code. */
int world_run(struct world *w);
sqlite3 *world_db(struct world *w);
uint64_t world_number(struct world *w, const char *sql); /* what the query gives */
/* So much time passes as it does in a cluster: with an entry every minute, the clean-up. */
void world_pass(struct world *w, uint64_t ms);
void world_check(struct world *w); /* sx_sm_check() must be content */

/* Encodes and runs: DO(w, "alice", file_delete, .volume = "v", .path = "p"). */
#define DO(w, user, name, ...)                                                                     \
    (sx_buf_reset(&(w)->cmd),                                                                      \
     sx_cmd_##name##_encode(&(w)->cmd, (w)->op, user, &(struct sx_cmd_##name){ __VA_ARGS__ }),     \
     world_run(w))

/* Code and the whole message of the last command. */
#define EXPECT(w, call, want_code, want_msg)                                                       \
    do {                                                                                           \
        assert_int_equal(call, want_code);                                                         \
        assert_string_equal((w)->msg, want_msg);                                                   \
    } while (0)

/* Entries whose ids follow from (seed + i), each of length len. */
void entries_make(struct sx_buf *out, uint64_t seed, unsigned n, uint32_t len);
struct sx_id id_of(uint64_t seed);
void etag_of(const void *entries, size_t n, uint8_t etag[SX_ETAG_SIZE]);

/* The record of an inline block of `size` bytes; its length depends on both. */
void record_of(struct sx_buf *out, uint64_t seed, uint32_t size);
size_t record_len(uint64_t seed);

/* Puts a file of one inline block (n <= SX_INLINE_MAX; 0: empty) or of blocks. */
int put_inline(struct world *w, const char *user, const char *volume, const char *path,
               uint64_t seed, uint32_t size);
int put_blocks(struct world *w, const char *user, const char *volume, const char *path,
               uint64_t seed, unsigned n, uint32_t len, uint64_t lease);
/* Fills a put of blocks, for variations; the entries are kept in `entries`. */
void put_fill(struct sx_cmd_file_put *c, struct sx_buf *entries, const char *volume,
              const char *path, uint64_t seed, unsigned n, uint32_t len);
int put_run(struct world *w, const char *user, const struct sx_cmd_file_put *c);

/* Facts from the payload of the last command. */
struct sx_file result_file(struct world *w);
uint64_t result_u64(struct world *w);

struct sx_volume world_volume(struct world *w, const char *name);
uint64_t world_used(struct world *w, const char *user);
/* Revision numbers of a file, newest first; the number of them, 0 if there is no such file. */
size_t world_revisions(struct world *w, const char *volume, const char *path, uint64_t *out);
bool world_referenced(struct world *w, uint64_t seed); /* id_of(seed) */

#endif
