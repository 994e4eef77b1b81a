/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Entries of the log and the bootstrap file: runs of commands with their lengths.
 */
#include "fcgi/meta/command.h"

void sx_entry_begin(struct sx_buf *out)
{
    sx_assert(out->len == 0);
    sx_buf_u64(out, 0);
    sx_buf_u32(out, 0);
}

void sx_entry_add(struct sx_buf *out, const void *command, size_t n)
{
    uint32_t count = sx_entry_count(out->data);

    sx_assert(n <= SX_COMMAND_MAX && count < SX_ENTRY_COMMANDS_MAX);
    sx_buf_bytes(out, command, n);
    sx_put_u32(out->data + 8, count + 1);
}

void sx_entry_time_set(void *entry, uint64_t time_ms)
{
    sx_put_u64(entry, time_ms);
}

uint64_t sx_entry_time(const void *entry)
{
    return sx_get_u64(entry);
}

uint32_t sx_entry_count(const void *entry)
{
    return sx_get_u32((const uint8_t *)entry + 8);
}

int sx_entry_open(const void *p, size_t n, struct sx_entry_iter *it, struct sx_err *e)
{
    struct sx_cur walk;

    it->cur = sx_cur_of(p, n);
    it->time_ms = sx_cur_u64(&it->cur);
    it->count = sx_cur_u32(&it->cur);
    if (it->cur.bad || n > SX_ENTRY_MAX || it->count > SX_ENTRY_COMMANDS_MAX)
        return sx_err_set(e, SX_EMALFORMED, "entry of %zu bytes with %u commands", n, it->count);
    walk = it->cur;
    for (uint32_t i = 0; i < it->count && !walk.bad; i++) {
        size_t len;

        sx_cur_bytes(&walk, &len);
        if (len > SX_COMMAND_MAX)
            walk.bad = true;
    }
    if (!sx_cur_done(&walk))
        return sx_err_set(e, SX_EMALFORMED, "entry of %zu bytes does not hold %u commands", n,
                          it->count);
    return 0;
}

bool sx_entry_next(struct sx_entry_iter *it, const uint8_t **command, size_t *n)
{
    if (it->count == 0)
        return false;
    it->count--;
    *command = sx_cur_bytes(&it->cur, n);
    return true;
}

void sx_bootstrap_add(struct sx_buf *out, const void *command, size_t n)
{
    sx_assert(n <= SX_COMMAND_MAX);
    if (out->len == 0)
        sx_buf_u32(out, SX_BOOTSTRAP_MAGIC);
    sx_buf_bytes(out, command, n);
}

int sx_bootstrap_entry(const void *p, size_t n, struct sx_buf *entry, struct sx_err *e)
{
    struct sx_cur cur = sx_cur_of(p, n);
    uint32_t magic = sx_cur_u32(&cur);
    struct sx_cmd cmd;

    if (cur.bad || magic != SX_BOOTSTRAP_MAGIC || n > SX_ENTRY_MAX)
        return sx_err_set(e, SX_EMALFORMED, "%zu bytes with magic %08x are no bootstrap file", n,
                          magic);
    sx_buf_reset(entry);
    sx_entry_begin(entry);
    while (cur.left) {
        size_t len;
        const uint8_t *c = sx_cur_bytes(&cur, &len);

        if (!c || sx_cmd_parse(c, len, &cmd, e) != 0 ||
            sx_entry_count(entry->data) == SX_ENTRY_COMMANDS_MAX)
            return sx_err_set(e, SX_EMALFORMED,
                              "bootstrap file is damaged %zu bytes before its end", cur.left);
        sx_entry_add(entry, c, len);
    }
    return 0;
}
