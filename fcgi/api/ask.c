/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See ask.h.
 */
#include "fcgi/api/ask.h"

#include "libsx/base/log.h"
#include "libsx/base/mem.h"

struct asked {
    struct sx_peers *peers;
    size_t node;
    const char *path;
    struct sx_buf answer;
    json_t **j;
};

static void asked_done(void *arg, const struct sx_http_answer *answer)
{
    struct asked *a = arg;
    struct sx_err e = SX_ERR_INIT;

    sx_peers_note(a->peers, a->node, &answer->err);
    if (answer->err.code == SX_OK)
        *a->j = sx_json_parse(a->answer.data, a->answer.len, &e);
    if (!*a->j)
        sx_info("%s of node %016llx: %s", a->path,
                (unsigned long long)sx_peers_node(a->peers, a->node)->id,
                answer->err.code != SX_OK ? answer->err.msg : e.msg);
}

void sx_ask_nodes(struct sx_app *a, const char *method, const char *path, size_t answer_max,
                  json_t **answers)
{
    size_t n = sx_peers_count(a->peers);
    struct asked *asked = sx_calloc(n + 1, sizeof *asked);
    struct sx_err e = SX_ERR_INIT;

    for (size_t i = 0; i < n; i++) {
        struct sx_http_request r = {
            .method = method, .path = path, .answer = &asked[i].answer, .answer_max = answer_max,
            .timeout_ms = SX_ASK_TIMEOUT_MS, .done = asked_done, .arg = &asked[i],
        };

        asked[i].peers = a->peers;
        asked[i].node = i;
        asked[i].path = path;
        asked[i].j = &answers[i];
        if (i != sx_peers_self(a->peers) && sx_peers_start(a->peers, i, &r, &e) != 0)
            sx_warn("%s of the other nodes: %s", path, e.msg);
    }
    while (sx_http_in_flight(sx_peers_http(a->peers)) > 0)
        sx_http_run(sx_peers_http(a->peers), SX_ASK_TIMEOUT_MS);
    for (size_t i = 0; i < n; i++)
        sx_buf_fini(&asked[i].answer);
    free(asked);
}
