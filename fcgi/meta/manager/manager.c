/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See manager.h.  Here the parts are put together:
 *
 *   local   ── requests of this node's processes ──┐
 *   links   ── frames of other nodes ──────────────┤                    ┌──► stable (log, vote)
 *                                 submits, reads ◄─┴─► drive (group) ◄──┴──► apply (database)
 *
 * and here is what concerns the node as a whole: which commands are refused, and the end.  All
 * callbacks run in the loop's thread.
 */
#include "fcgi/meta/manager/manager.h"

#include <inttypes.h>
#include <unistd.h>

#include "fcgi/meta/manager/copy.h"
#include "fcgi/meta/manager/drive.h"
#include "fcgi/meta/manager/first.h"
#include "fcgi/meta/manager/freespace.h"
#include "fcgi/meta/manager/heal.h"
#include "fcgi/meta/manager/links.h"
#include "fcgi/meta/manager/local.h"
#include "fcgi/meta/manager/membership.h"
#include "fcgi/meta/manager/reads.h"
#include "fcgi/meta/manager/serve.h"
#include "fcgi/meta/manager/status.h"
#include "fcgi/meta/manager/stop.h"
#include "fcgi/meta/manager/submits.h"
#include "fcgi/meta/manager/tls.h"
#include "libsx/base/log.h"
#include "libsx/base/mem.h"
#include "libsx/io/io.h"

#define GROUP SX_META_GROUP_CLUSTER
#define FIRST_MS 200u      /* between two attempts to submit the first commands */
#define HAND_OVER_MS 1500u /* at the end: for another node to take the lead */

enum { EXIT_DONE = 0, EXIT_AGAIN = 1, EXIT_NEVER = 2 };

struct sx_manager {
    const struct sx_node_conf *conf;
    struct sx_loop *loop;
    SSL_CTX *tls;
    struct sx_links *links;
    struct sx_drive *drive; /* NULL: there is no good database, see heal.h */
    struct sx_submits *submits;
    struct sx_reads *reads;
    struct sx_local *local;
    struct sx_membership *membership;
    struct sx_freespace *freespace;
    struct sx_serve *serve;
    struct sx_heal *heal;
    uint64_t leader, term; /* as last logged */
    bool removed;          /* from the cluster */
    uint64_t space_limit;  /* what is free lies below this; 0: enough */
    struct sx_first *first;
    struct sx_call first_call;
    struct sx_timer first_timer;
    /* The end. */
    struct sx_stop *stop;
    bool stopping;
    struct sx_timer stop_timer;
    int status;
};

/* ---- the end ---- */

static void end(struct sx_manager *m, int status)
{
    if (status > m->status)
        m->status = status;
    sx_loop_stop(m->loop);
}

static int status_of(const struct sx_err *e)
{
    return e->code == SX_ECORRUPT || e->code == SX_EBUG || e->code == SX_ECONFIG ? EXIT_NEVER :
                                                                                   EXIT_AGAIN;
}

static void on_fatal(void *ctx, const struct sx_err *e)
{
    struct sx_manager *m = ctx;

    if (m->drive && e->code == SX_ECORRUPT && sx_heal_alone(m->heal)) {
        sx_error("the group waits for a good database: %s (%s)", e->msg, sx_err_name(e->code));
        return;
    }
    sx_error("the group manager must end: %s (%s)", e->msg, sx_err_name(e->code));
    end(m, status_of(e));
}

static void on_healed(void *ctx)
{
    end(ctx, EXIT_AGAIN);
}

static void stop_timer(void *ctx)
{
    end(ctx, EXIT_DONE);
}

static void on_stop(void *ctx)
{
    struct sx_manager *m = ctx;
    struct sx_err e = SX_ERR_INIT;

    if (m->stopping)
        return;
    m->stopping = true;
    if (m->membership)
        sx_membership_pause(m->membership);
    if (!m->drive || !sx_drive_can_hand_over(m->drive)) {
        end(m, EXIT_DONE);
        return;
    }
    if (sx_drive_transfer(m->drive, &e))
        sx_info("leadership is not handed over: %s", e.msg);
    sx_loop_arm(m->loop, &m->stop_timer, sx_loop_now_ms(m->loop) + HAND_OVER_MS);
}

/* ---- which commands are refused ---- */

static void refuse_or_not(struct sx_manager *m)
{
    struct sx_err e = SX_ERR_INIT;

    if (m->removed)
        sx_err_set(&e, SX_EUNAVAIL, "this node was removed from the cluster");
    else if (m->space_limit)
        sx_err_set(&e, SX_ENOSPACE, "less than %u MiB are free for metadata",
                   (unsigned)(m->space_limit >> 20));
    sx_submits_refuse(m->submits, &e, !m->removed && m->space_limit == SX_FREESPACE_RESERVE);
}

static void on_removed(void *ctx)
{
    struct sx_manager *m = ctx;

    if (m->removed)
        return;
    sx_warn("this node was removed from the cluster");
    m->removed = true;
    refuse_or_not(m);
}

/* Leadership is offered to another node once, not again and again: it may have no more space
 * than this one. */
static void on_space(void *ctx, uint64_t limit)
{
    struct sx_manager *m = ctx;
    struct sx_err e = SX_ERR_INIT;

    if (limit)
        sx_warn("less than %u MiB are free for metadata: commands are refused",
                (unsigned)(limit >> 20));
    else
        sx_info("there is enough space for metadata again");
    if (!m->space_limit && sx_drive_can_hand_over(m->drive) && sx_drive_transfer(m->drive, &e))
        sx_debug("handing leadership over: %s", e.msg);
    m->space_limit = limit;
    refuse_or_not(m);
}

/* ---- what the drive says ---- */

static void on_send(void *ctx, uint64_t to, const char *address, const void *msg, size_t n)
{
    struct sx_manager *m = ctx;

    /* The address in the list of nodes is newer than the one in the group's configuration. */
    if (!sx_membership_listed(m->membership, to) && address && *address)
        sx_links_need(m->links, to, address);
    sx_links_send(m->links, to, SX_FRAME_RAFT, GROUP, msg, n);
}

static const char *address_of(void *ctx, uint64_t id)
{
    struct sx_manager *m = ctx;

    return sx_links_address_of(m->links, id);
}

static void log_leader(struct sx_manager *m)
{
    struct sx_group_status s;

    sx_drive_status(m->drive, &s);
    if (s.leader == m->leader && s.term == m->term)
        return;
    m->leader = s.leader;
    m->term = s.term;
    if (s.leader)
        sx_info("group %u: term %" PRIu64 ", node %016" PRIx64 " leads", GROUP, s.term, s.leader);
    else
        sx_info("group %u: term %" PRIu64 ", no leader is known", GROUP, s.term);
}

static void on_state(void *ctx)
{
    struct sx_manager *m = ctx;

    /* In this turn and before other commands: a timer would be put off by each of them. */
    if (m->drive && sx_first_waiting(m->first))
        sx_loop_defer(m->loop, &m->first_call);
    sx_submits_state(m->submits);
    sx_reads_state(m->reads);
    if (!m->drive)
        return;
    log_leader(m);
    if (m->stopping && !sx_drive_leads(m->drive))
        end(m, EXIT_DONE);
}

static void on_read(void *ctx, uint64_t tag, int code, uint64_t index)
{
    struct sx_manager *m = ctx;

    sx_reads_done(m->reads, tag, code, index);
}

static void on_result(void *ctx, const uint8_t op[SX_OP_ID], int code, const void *p, size_t n)
{
    struct sx_manager *m = ctx;

    sx_submits_result(m->submits, op, code, p, n);
    sx_first_result(m->first, op, code, p, n);
}

static void on_applied(void *ctx, uint64_t index)
{
    struct sx_manager *m = ctx;

    sx_reads_applied(m->reads, index);
    if (m->removed && sx_members_find(sx_drive_members(m->drive), m->conf->node)) {
        m->removed = false;
        refuse_or_not(m);
    }
}

static void on_changed(void *ctx, uint64_t tag, int code)
{
    struct sx_manager *m = ctx;

    sx_membership_changed(m->membership, tag, code);
}

static void on_nodes(void *ctx, const struct sx_node *nodes, size_t n)
{
    struct sx_manager *m = ctx;

    sx_membership_nodes(m->membership, nodes, n);
}

static const struct sx_drive_ops drive_ops = { .on_send = on_send,
                                               .address_of = address_of,
                                               .on_state = on_state,
                                               .on_read = on_read,
                                               .on_changed = on_changed,
                                               .on_removed = on_removed,
                                               .on_result = on_result,
                                               .on_applied = on_applied,
                                               .on_nodes = on_nodes,
                                               .on_fatal = on_fatal };

/* ---- what other nodes and local processes say ---- */

static void on_frame(void *ctx, uint64_t from, const struct sx_frame *f)
{
    struct sx_manager *m = ctx;

    if (f->group != GROUP)
        return;
    if (f->type == SX_FRAME_RAFT) {
        sx_drive_receive(m->drive, from, f->body, f->len);
        return;
    }
    /* Only members may change or ask anything; a removed node's certificate is still good.
     * Answers are compared with what was asked; a node that begins knows no members yet. */
    if ((f->type == SX_FRAME_FORWARD || f->type == SX_FRAME_READ) &&
        !sx_membership_known(m->membership, from)) {
        sx_debug("frame of type %u from node %016" PRIx64 ", which is no member", f->type, from);
        return;
    }
    switch (f->type) {
    case SX_FRAME_FORWARD:
        sx_submits_forward(m->submits, from, f);
        break;
    case SX_FRAME_REFUSED:
        sx_submits_refused(m->submits, from, f);
        break;
    case SX_FRAME_READ:
        sx_reads_read(m->reads, from, f);
        break;
    case SX_FRAME_READ_INDEX:
        sx_reads_index(m->reads, from, f);
        break;
    default:
        sx_warn("frame of unknown type %u from node %016" PRIx64, f->type, from);
    }
}

static void on_fetch(void *ctx, uint64_t from, const struct sx_frame *f, int fd, SSL *ssl)
{
    struct sx_manager *m = ctx;
    uint64_t min_index;
    struct sx_err e = SX_ERR_INIT;

    if (!sx_membership_known(m->membership, from) || f->group != GROUP)
        sx_err_set(&e, SX_EACCESS, "it is no member of group %u", f->group);
    else if (sx_copy_request(f->body, f->len, &min_index, &e) == 0 &&
             sx_serve_copy(m->serve, from, fd, ssl, min_index, &e) == 0)
        return;
    sx_warn("node %016" PRIx64 " gets no database: %s", from, e.msg);
    SSL_free(ssl);
    close(fd);
}

static void on_link(void *ctx, uint64_t peer, bool up)
{
    struct sx_manager *m = ctx;

    sx_submits_link(m->submits, peer, up);
    sx_reads_link(m->reads, peer, up);
}

static const struct sx_links_ops links_ops = { on_frame, on_link, on_fetch };

static void answer_status(struct sx_manager *m, struct sx_asker who)
{
    SX_AUTO_JSON json_t *j = sx_manager_status(m->drive, m->links, GROUP);
    SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;

    sx_json_dump(&b, j);
    sx_local_answer(who, SX_OK, b.data, b.len);
}

static void on_request(void *ctx, struct sx_asker who, const struct sx_frame *f)
{
    static const char no_group[] = "there is no such group";
    struct sx_manager *m = ctx;
    uint8_t leader;

    if (f->group != GROUP) {
        sx_local_answer(who, SX_EINVAL, no_group, sizeof no_group - 1);
        return;
    }
    switch (f->type) {
    case SX_FRAME_SUBMIT:
        sx_submits_local(m->submits, who, f);
        break;
    case SX_FRAME_SYNC:
        sx_reads_local(m->reads, who, f);
        break;
    case SX_FRAME_STATUS:
        answer_status(m, who);
        break;
    default:
        leader = sx_drive_leads(m->drive);
        sx_local_answer(who, SX_OK, &leader, 1);
    }
}

/* ---- start ---- */

/* Without a database there is no group: only its healing goes on, and nobody else's frames are
 * taken.  The local processes find no socket. */
static void drop_group(struct sx_manager *m)
{
    sx_submits_free(SX_STEAL(m->submits));
    sx_reads_free(SX_STEAL(m->reads));
    sx_membership_free(SX_STEAL(m->membership));
    sx_links_free(SX_STEAL(m->links));
}

static int start_drive(struct sx_manager *m, struct sx_err *e)
{
    struct sx_drive_params p = { .loop = m->loop,
                                 .conf = m->conf,
                                 .tls = m->tls,
                                 .address = sx_links_address(m->links),
                                 .group = GROUP,
                                 .ops = &drive_ops,
                                 .ctx = m };

    m->heal = sx_heal_new(&p, on_healed, m, e);
    if (!m->heal)
        return -1;
    m->first = sx_first_new(m->conf->dir);
    m->drive = sx_drive_new(&p, sx_first_waiting(m->first), e);
    if (!m->drive)
        return -1;
    sx_heal_beside(m->heal, m->drive);
    m->serve = sx_serve_new(m->loop, m->conf, sx_drive_db_path(m->drive), e);
    if (!m->serve)
        return -1;
    sx_submits_set_drive(m->submits, m->drive);
    sx_reads_set_drive(m->reads, m->drive);
    return 0;
}

static void first_commands(void *ctx)
{
    struct sx_manager *m = ctx;
    struct sx_err e = SX_ERR_INIT;

    if (sx_first_submit(m->first, m->drive, &e))
        on_fatal(m, &e);
    else if (sx_first_waiting(m->first))
        sx_loop_arm(m->loop, &m->first_timer, sx_loop_now_ms(m->loop) + FIRST_MS);
}

static int start(struct sx_manager *m, int stop_fd, struct sx_err *e)
{
    SX_AUTO_FREE char *meta = sx_asprintf("%s/meta", m->conf->dir);
    SX_AUTO_FREE char *run = sx_asprintf("%s/run", m->conf->dir);
    SX_AUTO_FREE char *sock = sx_asprintf("%s/manager.sock", run);

    m->stop_timer = (struct sx_timer){ .fn = stop_timer, .ctx = m };
    m->first_call = (struct sx_call){ .fn = first_commands, .ctx = m };
    m->first_timer = (struct sx_timer){ .fn = first_commands, .ctx = m };
    if (!(m->loop = sx_loop_new(e)) || !(m->stop = sx_stop_new(m->loop, stop_fd, on_stop, m, e)) ||
        sx_io_mkdirs(meta, e) || sx_io_mkdirs(run, e) || !(m->tls = sx_tls_context(m->conf->dir, e)))
        return -1;
    m->links = sx_links_new(m->loop, m->conf, m->tls, &links_ops, m, e);
    if (!m->links)
        return -1;
    m->submits = sx_submits_new(m->loop, m->links, GROUP);
    m->reads = sx_reads_new(m->loop, m->links, GROUP);
    m->membership = sx_membership_new(m->loop, m->links, m->conf->node);
    if (start_drive(m, e)) {
        if (m->drive || e->code != SX_ECORRUPT || !sx_heal_alone(m->heal))
            return -1;
        sx_error("the group waits for a good database: %s (%s)", e->msg, sx_err_name(e->code));
        drop_group(m);
        return 0;
    }
    if (!(m->local = sx_local_new(m->loop, sock, on_request, m, e)))
        return -1;
    sx_membership_begin(m->membership, m->drive);
    m->freespace = sx_freespace_new(m->loop, m->conf->dir, on_space, m);
    sx_loop_arm(m->loop, &m->first_timer, 0);
    return 0;
}

static void finish(struct sx_manager *m)
{
    sx_loop_undefer(m->loop, &m->first_call);
    sx_freespace_free(m->freespace);
    sx_local_free(m->local);
    sx_heal_free(m->heal);
    sx_serve_free(m->serve);
    sx_first_free(m->first);
    sx_drive_free(m->drive);
    sx_submits_free(m->submits);
    sx_reads_free(m->reads);
    sx_membership_free(m->membership);
    sx_links_free(m->links);
    SSL_CTX_free(m->tls);
    sx_stop_free(m->stop);
    sx_loop_free(m->loop);
}

int sx_manager_main(const struct sx_node_conf *conf, int stop_fd)
{
    struct sx_manager m = { .conf = conf };
    struct sx_err e = SX_ERR_INIT;

    if (start(&m, stop_fd, &e)) {
        sx_error("the group manager does not start: %s (%s)", e.msg, sx_err_name(e.code));
        m.status = status_of(&e);
    } else {
        if (m.drive)
            sx_info("group manager of node %s is ready, links on %s", conf->node_hex,
                    sx_links_address(m.links));
        sx_loop_run(m.loop);
    }
    finish(&m);
    return m.status;
}
