/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See serve.h.
 */
#include "fcgi/meta/manager/serve.h"

#include <inttypes.h>

#include "fcgi/meta/manager/copy.h"
#include "fcgi/meta/manager/exec.h"
#include "libsx/base/log.h"
#include "libsx/base/mem.h"

struct slot {
    struct sx_serve *serve;
    struct sx_exec *thread;
    struct sx_task task;
    struct sx_copy_stop stop;
    char *temp;
    /* The thread's while the task is busy. */
    int fd;
    SSL *ssl;
    uint64_t to, min_index;
    struct sx_err err;
};

struct sx_serve {
    const struct sx_node_conf *conf;
    const char *db_path;
    struct slot slots[SX_SERVE_MAX];
};

static void run(void *ctx)
{
    struct slot *s = ctx;

    if (sx_copy_serve(s->fd, s->ssl, s->serve->conf->node, s->serve->db_path, s->temp,
                      s->min_index, &s->stop, &s->err) == 0)
        sx_err_clear(&s->err);
}

static void done(void *ctx)
{
    struct slot *s = ctx;

    if (s->err.code != SX_OK)
        sx_warn("database for node %016" PRIx64 ": %s", s->to, s->err.msg);
    else
        sx_info("database sent to node %016" PRIx64, s->to);
}

struct sx_serve *sx_serve_new(struct sx_loop *l, const struct sx_node_conf *conf,
                              const char *db_path, struct sx_err *e)
{
    struct sx_serve *s = sx_calloc(1, sizeof *s);

    s->conf = conf;
    s->db_path = db_path;
    for (unsigned i = 0; i < SX_SERVE_MAX; i++) {
        struct slot *slot = &s->slots[i];

        slot->serve = s;
        slot->stop = (struct sx_copy_stop)SX_COPY_STOP_INIT;
        slot->temp = sx_asprintf("%s/meta/send-%u.tmp", conf->dir, i);
        slot->task = (struct sx_task){ .run = run, .done = done, .ctx = slot };
        slot->thread = sx_exec_new(l, "sx-serve", e);
        if (!slot->thread) {
            sx_serve_free(s);
            return NULL;
        }
        /* What a process that was killed has left. */
        unlink(slot->temp);
    }
    return s;
}

void sx_serve_free(struct sx_serve *s)
{
    if (!s)
        return;
    for (unsigned i = 0; i < SX_SERVE_MAX; i++) {
        sx_copy_stop(&s->slots[i].stop);
        sx_exec_free(s->slots[i].thread);
        free(s->slots[i].temp);
    }
    free(s);
}

int sx_serve_copy(struct sx_serve *s, uint64_t to, int fd, SSL *ssl, uint64_t min_index,
                  struct sx_err *e)
{
    for (unsigned i = 0; i < SX_SERVE_MAX; i++) {
        struct slot *slot = &s->slots[i];

        if (slot->task.busy)
            continue;
        slot->fd = fd;
        slot->ssl = ssl;
        slot->to = to;
        slot->min_index = min_index;
        sx_exec_run(slot->thread, &slot->task);
        return 0;
    }
    return sx_err_set(e, SX_EUNAVAIL, "%u copies are under way already", SX_SERVE_MAX);
}
