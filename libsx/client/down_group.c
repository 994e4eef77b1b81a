/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Blocks in groups, each from one node.  A node that lacks a block says so; then the next owner
 * is asked, and after all owners every other node, for DOWN_MISSING_MS.  See down.h.
 */
#include <string.h>

#include "libsx/base/clock.h"
#include "libsx/base/text.h"
#include "libsx/client/down.h"
#include "libsx/codec/record.h"

static struct down_group *group_get(struct down_file *f)
{
    struct down *d = f->d;
    struct down_group *g = d->free_groups;

    if (g) {
        d->free_groups = g->next;
    } else {
        if (d->groups_made == d->x.batches_max)
            return NULL;
        d->groups_made++;
        g = sx_calloc(1, sizeof *g);
    }
    g->file = f;
    g->n = 0;
    g->bytes = 0;
    sx_err_clear(&g->err);
    f->groups++;
    return g;
}

static void group_put(struct down_group *g)
{
    struct down *d = g->file->d;

    g->file->groups--;
    sx_call_fini(&g->call);
    g->next = d->free_groups;
    d->free_groups = g;
}

static void group_add(struct down_group *g, uint64_t index, struct down_entry *en,
                      enum down_state state)
{
    en->state = state;
    g->index[g->n] = index;
    g->work[g->n++] = *en;
    g->bytes += en->len;
}

/* Where to ask for a block the n-th time: its owners in turn, beginning with another one for each
 * block, then all nodes. */
static size_t node_for(const struct down_file *f, const struct down_entry *en, uint64_t index)
{
    const struct sx_cluster *k = f->d->x.k;
    uint16_t order[SX_NODES_MAX];
    size_t n = sx_place(k->place, k->n_nodes, sx_id_partition(&en->id), k->n_nodes, order);
    size_t owners = f->d->replica && f->d->replica < n ? f->d->replica : n;

    if (n == 0)
        return 0;
    for (size_t i = 0; i < n; i++) {
        size_t a = en->attempts + i;
        size_t node = a < owners ? order[(index + a) % owners] : order[a % n];

        if (sx_node_well(k, node))
            return node;
    }
    return order[en->attempts % n];
}

/* ---- Answers ------------------------------------------------------------------------------- */

static void missed(struct down_file *f, struct down_entry *en)
{
    uint64_t now = sx_mono_ms();
    struct sx_err e = SX_ERR_INIT;
    char hex[17];

    en->attempts++;
    if (!en->missed_ms)
        en->missed_ms = now;
    if (now - en->missed_ms > DOWN_MISSING_MS) {
        sx_err_set(&e, SX_ENOBLOCK, "no good copy of block %s… was found on any node",
                   sx_hex(hex, en->id.b, 8));
        f->err = e;
        f->failed = true;
    }
    en->retry_ms = en->attempts % f->d->x.k->n_nodes ? 0 : now + DOWN_MISSING_DELAY_MS;
}

/* Takes over what the worker found out about each entry. */
static void group_results(struct down_group *g)
{
    struct down_file *f = g->file;

    for (uint32_t i = 0; i < g->n; i++) {
        struct down_entry *en = down_entry(f, g->index[i]), *r = &g->work[i];

        en->plain = r->plain;
        en->state = r->state;
        if (r->state == DOWN_DONE || r->state == DOWN_HELD)
            f->d->x.bytes_done += en->len;
        else if (r->attempts > en->attempts)
            missed(f, en);
        if (en->state == DOWN_NEED && g->index[i] < f->todo)
            f->todo = g->index[i];
    }
}

static void group_worked(struct sx_job *j)
{
    struct down_group *g = (struct down_group *)j;
    struct down_file *f = g->file;

    group_results(g);
    if (g->err.code != SX_OK && !f->failed) {
        f->err = g->err;
        f->failed = true;
    }
    group_put(g);
    down_file_step(f);
}

static void check_worked(struct sx_job *j)
{
    struct down_group *g = (struct down_group *)j;

    for (uint32_t i = 0; i < g->n; i++)
        if (g->work[i].state == DOWN_DONE)
            g->file->d->x.stats->reused += g->work[i].len;
    group_worked(j);
}

/* One record of an answer: write it, hold it, or leave it NEED. */
static int take_record(struct down_file *f, struct down_entry *en, const struct sx_record *r,
                       struct sx_worker *w, struct sx_err *e)
{
    struct sx_err bad = SX_ERR_INIT;

    en->state = DOWN_NEED;
    if (!r->len || sx_id_cmp(&r->id, &en->id) ||
        sx_block_decode(w->codec, &en->id, r->stored, r->len, &w->scratch, &bad) ||
        w->scratch.len != en->len) {
        if (bad.code == SX_EKEY) {
            *e = bad; /* no node has another */
            return -1;
        }
        en->attempts++; /* not there, or damaged: another node */
        return 0;
    }
    if (!f->local) {
        en->plain = sx_malloc(en->len);
        memcpy(en->plain, w->scratch.data, en->len);
        en->state = DOWN_HELD;
        return 0;
    }
    if (down_target_write(f, w->scratch.data, en->len, en->offset, e))
        return -1;
    en->state = DOWN_DONE;
    return 0;
}

static void group_decode(struct sx_job *j, struct sx_worker *w)
{
    struct down_group *g = (struct down_group *)j;
    const uint8_t *p = g->answer.data;
    size_t left = g->answer.len;
    uint32_t i = 0;

    for (; i < g->n && g->err.code == SX_OK; i++) {
        struct sx_record r;
        size_t used = 0;

        if (sx_record_parse(p, left, &r, &used, NULL) || !used)
            break;
        (void)!take_record(g->file, &g->work[i], &r, w, &g->err);
        p += used;
        left -= used;
    }
    /* An answer may end early; but one that begins with nonsense counts as a node without the
     * block. */
    if (i == 0 && g->n)
        g->work[0].attempts++;
    for (; i < g->n; i++)
        g->work[i].state = DOWN_NEED;
}

static void group_answered(void *arg, struct sx_call *call)
{
    struct down_group *g = arg;
    struct down_file *f = g->file;

    if (call->err.code == SX_OK) {
        f->d->x.stats->moved += g->answer.len;
        g->job.run = group_decode;
        g->job.done = group_worked;
        sx_work_add(f->d->x.work, &g->job);
        return;
    }
    for (uint32_t i = 0; i < g->n; i++)
        g->work[i].state = DOWN_NEED;
    if (call->err.code == SX_ETOKEN || call->err.code == SX_EACCESS) {
        /* The tickets are too old: the manifest is fetched again from here. */
        for (uint32_t i = 0; i < g->n; i++) {
            down_entry(f, g->index[i])->expires_ms = 0;
            g->work[i].attempts++;
        }
        if (g->index[0] < f->refresh)
            f->refresh = g->index[0];
    } else {
        g->err = call->err;
    }
    group_worked(&g->job);
}

/* ---- Questions ----------------------------------------------------------------------------- */

static void group_send(struct down_group *g, size_t node)
{
    struct down_file *f = g->file;
    SX_AUTO_JSON json_t *j = json_pack("{s:I,s:i}", "expires_ms", (json_int_t)g->work[0].expires_ms,
                                       "count", (int)g->n);

    sx_buf_reset(&g->body);
    sx_assert(sx_message_head(&g->body, j, NULL) == 0);
    for (uint32_t i = 0; i < g->n; i++) {
        sx_buf_add(&g->body, g->work[i].id.b, SX_ID_SIZE);
        sx_buf_add(&g->body, g->work[i].ticket, DOWN_TICKET_SIZE);
    }
    sx_call_init(&g->call, "POST", sx_strdup(SX_API "/blocks/get"));
    g->call.type = SX_HTTP_MESSAGE;
    g->call.body[0] = (struct iovec){ g->body.data, g->body.len };
    g->call.n_body = 1;
    g->call.answer = &g->answer;
    g->call.answer_max = SX_MESSAGE_ANSWER_MAX;
    g->call.node = (int)node;
    g->call.done = group_answered;
    g->call.arg = g;
    sx_call_start(f->d->x.k, &g->call);
}

/* Not here, and not on its way: where nothing is to compare with, from the beginning. */
static bool is_needed(const struct down_file *f, const struct down_entry *en)
{
    return en->state == DOWN_NEED || (en->state == DOWN_NEW && !f->check);
}

/* Gathers entries in the window that may come from the same node as the first. */
static bool fetch_group(struct down_file *f, uint64_t first)
{
    struct down_group *g = group_get(f);
    struct down_entry *head = down_entry(f, first);
    size_t node = node_for(f, head, first);
    uint64_t now = sx_mono_ms(), end = f->base + f->n;

    if (!g)
        return false;
    for (uint64_t i = first; i < end && i < first + DOWN_LOOK; i++) {
        struct down_entry *en = down_entry(f, i);

        if (!is_needed(f, en) || en->retry_ms > now || en->expires_ms != head->expires_ms ||
            node_for(f, en, i) != node)
            continue;
        if (g->n && (g->bytes + en->len > f->d->x.batch_bytes || g->n == DOWN_GROUP_IDS))
            break;
        if (!f->local && en->offset - down_entry(f, f->base)->offset > DOWN_WINDOW)
            break;
        group_add(g, i, en, DOWN_FETCHING);
    }
    sx_assert(g->n > 0);
    group_send(g, node);
    return true;
}

static bool check_group(struct down_file *f, uint64_t first)
{
    struct down_group *g = group_get(f);
    uint64_t end = f->base + f->n;

    if (!g)
        return false;
    for (uint64_t i = first; i < end && g->n < DOWN_GROUP_IDS && g->bytes < DOWN_CHECK_BYTES; i++) {
        struct down_entry *en = down_entry(f, i);

        if (en->state == DOWN_NEW)
            group_add(g, i, en, DOWN_CHECKING);
    }
    g->job.run = down_check_run;
    g->job.done = check_worked;
    sx_work_add(f->d->x.work, &g->job);
    return true;
}

static bool may_fetch(const struct down_file *f, const struct down_entry *en, uint64_t now)
{
    return is_needed(f, en) && en->retry_ms <= now && en->expires_ms &&
           (f->local || en->offset - f->entries[0].offset <= DOWN_WINDOW);
}

void down_groups_start(struct down_file *f)
{
    uint64_t now = sx_mono_ms(), end = f->base + f->n;
    bool passed = true; /* nothing before i is left to do */

    for (uint64_t i = f->todo > f->base ? f->todo : f->base; i < end; i++) {
        struct down_entry *en = down_entry(f, i);

        if (en->state == DOWN_NEW && f->check && !check_group(f, i))
            return;
        if (may_fetch(f, en, now) && !fetch_group(f, i))
            return;
        passed = passed && en->state != DOWN_NEW && en->state != DOWN_NEED;
        if (passed)
            f->todo = i + 1;
        if (!f->local && en->offset - f->entries[0].offset > DOWN_WINDOW)
            return;
    }
}

void down_groups_free_all(struct down *d)
{
    while (d->free_groups) {
        struct down_group *g = d->free_groups;

        d->free_groups = g->next;
        sx_buf_fini(&g->body);
        sx_buf_fini(&g->answer);
        free(g);
    }
}
