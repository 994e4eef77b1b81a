/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A further node for a cluster, with a token (docs/api.md, section 8).  See setup.h.
 *
 *   1. asks the nodes of the token, one after the other, for their certificate chain; only a chain with the CA
 *      certificate of the token's fingerprint is believed
 *   2. over a connection that this CA verifies: POST /join with a certificate request
 *   3. writes the answer down
 *
 * Nothing secret is sent before 2 has verified the server.
 */
#include <curl/curl.h>
#include <stdio.h>
#include <string.h>

#include "config.h"
#include "fcgi/ca.h"
#include "fcgi/keys.h"
#include "libsx/base/clock.h"
#include "libsx/base/mem.h"
#include "libsx/base/text.h"
#include "libsx/crypt/crypt.h"
#include "tools/setup.h"

#define TOKEN_PREFIX "sxj1."
#define ANSWER_MAX (1u << 20)
#define CONNECT_MS 5000L
#define REQUEST_MS 60000L
#define POLL_MS 200
#define ADDRESSES_MAX 256

struct token {
    json_t *json;
    const char *cluster, *fingerprint, *id, *secret;
    const json_t *addresses;
};

/* One request.  `ca` (PEM) verifies the server; NULL: nobody does, and only the chain is looked at. */
struct call {
    const char *address; /* host:port */
    const char *path;
    const char *body;    /* POST; NULL: GET */
    const char *ca;
    const char *dir;     /* use the node's own certificate; NULL: none */
    long status;
    struct sx_buf answer;
};

/* ---- HTTP ---------------------------------------------------------------------------------- */

static size_t take(char *p, size_t size, size_t n, void *arg)
{
    struct sx_buf *b = arg;

    if (b->len + size * n > ANSWER_MAX)
        return 0;
    sx_buf_add(b, p, size * n);
    return size * n;
}

/* The certificate of the chain with that fingerprint, as PEM into `out`. */
static int find_in_chain(CURL *h, const char *fingerprint, struct sx_buf *out, struct sx_err *e)
{
    struct curl_certinfo *chain = NULL;
    char found[SX_CA_FINGERPRINT_HEX + 1];

    curl_easy_getinfo(h, CURLINFO_CERTINFO, &chain);
    for (int i = 0; chain && i < chain->num_of_certs; i++)
        for (struct curl_slist *s = chain->certinfo[i]; s; s = s->next) {
            if (strncmp(s->data, "Cert:", 5) != 0)
                continue;
            if (sx_ca_fingerprint(s->data + 5, found, e) == 0 && strcmp(found, fingerprint) == 0) {
                sx_buf_str(out, s->data + 5);
                return 0;
            }
        }
    return sx_err_set(e, SX_ECERT, "its certificate is not of the token's cluster (CA fingerprint %.16s… is wanted)",
                      fingerprint);
}

static void set_tls(CURL *h, const struct call *c, char **files)
{
    struct curl_blob blob = { (void *)(uintptr_t)c->ca, c->ca ? strlen(c->ca) : 0, CURL_BLOB_COPY };

    if (c->ca) {
        curl_easy_setopt(h, CURLOPT_CAINFO_BLOB, &blob);
    } else {
        curl_easy_setopt(h, CURLOPT_SSL_VERIFYPEER, 0L);
        curl_easy_setopt(h, CURLOPT_SSL_VERIFYHOST, 0L);
        curl_easy_setopt(h, CURLOPT_CERTINFO, 1L);
    }
    if (c->dir) {
        curl_easy_setopt(h, CURLOPT_SSLCERT, files[0] = sx_asprintf("%s/tls/node.pem", c->dir));
        curl_easy_setopt(h, CURLOPT_SSLKEY, files[1] = sx_asprintf("%s/tls/node.key", c->dir));
    }
}

/* The server's own words if it sent an error. */
static int answer_error(const struct call *c, struct sx_err *e)
{
    SX_AUTO_JSON json_t *j = sx_json_parse(c->answer.data, c->answer.len, NULL);
    const json_t *error = json_object_get(j, "error");
    const char *code = json_string_value(json_object_get(error, "code"));
    const char *message = json_string_value(json_object_get(error, "message"));

    if (!code || !message)
        return sx_err_set(e, SX_EUNAVAIL, "%s answers with status %ld", c->address, c->status);
    return sx_err_set(e, sx_err_from_name(code), "%s says: %s", c->address, message);
}

static int call(struct call *c, const char *fingerprint, struct sx_buf *ca, struct sx_err *e)
{
    SX_AUTO_FREE char *url = sx_asprintf("https://%s%s", c->address, c->path);
    struct curl_slist *headers = NULL;
    char *files[2] = { NULL, NULL }, why[CURL_ERROR_SIZE] = "";
    CURL *h = curl_easy_init();
    CURLcode code;
    int result = 0;

    sx_assert(h != NULL);
    curl_easy_setopt(h, CURLOPT_URL, url);
    curl_easy_setopt(h, CURLOPT_PROXY, "");
    curl_easy_setopt(h, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
    curl_easy_setopt(h, CURLOPT_TIMEOUT_MS, REQUEST_MS);
    curl_easy_setopt(h, CURLOPT_ERRORBUFFER, why);
    curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, take);
    curl_easy_setopt(h, CURLOPT_WRITEDATA, &c->answer);
    set_tls(h, c, files);
    if (c->body) {
        uint8_t op[16];
        char hex[33];

        sx_random(op, sizeof op);
        SX_AUTO_FREE char *header = sx_asprintf("X-Sx-Op: %s", sx_hex(hex, op, sizeof op));

        headers = curl_slist_append(NULL, header);
        headers = curl_slist_append(headers, "Content-Type: application/json");
        curl_easy_setopt(h, CURLOPT_HTTPHEADER, headers);
        curl_easy_setopt(h, CURLOPT_POSTFIELDS, c->body);
    }
    code = curl_easy_perform(h);
    curl_easy_getinfo(h, CURLINFO_RESPONSE_CODE, &c->status);
    if (code != CURLE_OK)
        result = sx_err_set(e, SX_ENET, "%s: %s", c->address, why[0] ? why : curl_easy_strerror(code));
    else if (fingerprint)
        result = find_in_chain(h, fingerprint, ca, e);
    else if (c->status >= 300)
        result = answer_error(c, e);
    curl_easy_cleanup(h);
    curl_slist_free_all(headers);
    free(files[0]);
    free(files[1]);
    return result;
}

/* ---- the token ----------------------------------------------------------------------------- */

static int read_token(const char *text, struct token *t, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf plain = SX_BUF_INIT;

    if (strncmp(text, TOKEN_PREFIX, strlen(TOKEN_PREFIX)) != 0)
        return sx_err_set(e, SX_ETOKEN, "'%.20s…' is not a join token: it must begin with " TOKEN_PREFIX
                                        " (get one with: sxadm cluster token)", text);
    text += strlen(TOKEN_PREFIX);
    if (sx_unbase64(&plain, text, strlen(text), e) != 0 || !(t->json = sx_json_parse(plain.data, plain.len, e)) ||
        sx_json_need_str(t->json, "c", &t->cluster, e) != 0 ||
        sx_json_need_str(t->json, "f", &t->fingerprint, e) != 0 ||
        sx_json_need_str(t->json, "t", &t->id, e) != 0 || sx_json_need_str(t->json, "s", &t->secret, e) != 0) {
        sx_err_wrap(e, "the join token is damaged");
        e->code = SX_ETOKEN;
        return -1;
    }
    t->addresses = json_object_get(t->json, "a");
    if (!json_is_array(t->addresses) || json_array_size(t->addresses) == 0 ||
        json_array_size(t->addresses) > ADDRESSES_MAX)
        return sx_err_set(e, SX_ETOKEN, "the join token is damaged: it names no node");
    return 0;
}

/* The first node of the token that answers and is of its cluster. */
static int find_node(const struct token *t, const char **address, struct sx_buf *ca, struct sx_err *e)
{
    size_t i;
    json_t *value;

    json_array_foreach(t->addresses, i, value) {
        struct call c = { .address = json_string_value(value), .path = "/.sx/v1/ping" };
        int result;

        if (!c.address)
            return sx_err_set(e, SX_ETOKEN, "the join token is damaged: an address is not text");
        result = call(&c, t->fingerprint, ca, e);
        sx_buf_fini(&c.answer);
        if (result == 0) {
            *address = json_string_value(value);
            return 0;
        }
        if (e->code == SX_ECERT)
            return sx_err_wrap(e, "%s", json_string_value(value));
    }
    return sx_err_wrap(e, "no node of the token can be reached; the last error");
}

/* ---- joining ------------------------------------------------------------------------------- */

static int ask(const struct setup_plan *p, const struct token *t, const char *address, const char *ca,
               const char *csr, const char *node_hex, json_t **answer, struct sx_err *e)
{
    SX_AUTO_JSON json_t *j = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:i, s:i, s:s, s:I, s:s}", "token_id", t->id, "secret", t->secret, "csr", csr,
        "node", node_hex, "address", p->address, "port", (int)p->port, "peer_port", (int)p->peer_port, "zone",
        p->zone, "capacity", (json_int_t)p->size, "version", PACKAGE_VERSION);
    SX_AUTO_FREE char *body = json_dumps(j, JSON_COMPACT);
    struct call c = { .address = address, .path = "/.sx/v1/join", .body = body, .ca = ca };
    int result = call(&c, NULL, NULL, e);

    if (result == 0) {
        *answer = sx_json_parse(c.answer.data, c.answer.len, e);
        result = *answer ? 0 : sx_err_wrap(e, "answer of %s", address);
    }
    sx_buf_fini(&c.answer);
    return result;
}

static int write_answer(struct setup_plan *p, const json_t *answer, const char *ca, const char *key, uint64_t node,
                        struct setup_result *r, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf cluster_key = SX_BUF_INIT;
    const char *cluster, *name, *cert, *sealed;
    int result;

    if (sx_json_need_str(answer, "cluster", &cluster, e) != 0 || sx_json_need_str(answer, "name", &name, e) != 0 ||
        sx_json_need_str(answer, "certificate", &cert, e) != 0 ||
        sx_json_need_str(answer, "cluster_key", &sealed, e) != 0 ||
        sx_unbase64(&cluster_key, sealed, strlen(sealed), e) != 0)
        return sx_err_wrap(e, "answer to the join");
    if (cluster_key.len != SX_CLUSTER_KEY)
        return sx_err_set(e, SX_EMALFORMED, "answer to the join: the cluster key has %zu bytes", cluster_key.len);
    result = setup_file(p, "secret/cluster.key", cluster_key.data, cluster_key.len, 0600, e);
    sx_wipe(cluster_key.data, cluster_key.len);
    if (result != 0 || setup_tls(p, ca, cert, key, e) != 0 ||
        setup_conf(p, cluster, name, node, &r->conf, e) != 0)
        return -1;
    return setup_dir_finish(p, &r->conf, e);
}

static int join_with(struct setup_plan *p, const struct token *t, struct setup_result *r, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf ca = SX_BUF_INIT, key = SX_BUF_INIT, csr = SX_BUF_INIT;
    SX_AUTO_JSON json_t *answer = NULL;
    uint64_t node = setup_node_id();
    char hex[SX_NODE_HEX + 1];
    const char *address;
    int result;

    if (find_node(t, &address, &ca, e) != 0 || setup_dir_begin(p, e) != 0 ||
        sx_ca_request(sx_node_id_text(hex, node), &key, &csr, e) != 0)
        return -1;
    result = ask(p, t, address, sx_buf_cstr(&ca), sx_buf_cstr(&csr), hex, &answer, e);
    if (result == 0)
        result = write_answer(p, answer, sx_buf_cstr(&ca), sx_buf_cstr(&key), node, r, e);
    snprintf(r->fingerprint, sizeof r->fingerprint, "%s", t->fingerprint);
    sx_wipe(key.data, key.len);
    return result;
}

int setup_join(struct setup_plan *p, struct setup_result *r, struct sx_err *e)
{
    struct token t = { 0 };
    int result = read_token(p->token, &t, e);

    if (result == 0)
        result = join_with(p, &t, r, e);
    json_decref(t.json);
    return result;
}

/* ---- catching up --------------------------------------------------------------------------- */

/* The index that the node has applied in group 0. */
static int applied_of(const struct sx_node_conf *c, const char *ca, const char *address, uint64_t *applied,
                      struct sx_err *e)
{
    struct call status = { .address = address, .path = "/.node/v1/status", .ca = ca, .dir = c->dir };
    int result = call(&status, NULL, NULL, e);

    if (result == 0) {
        SX_AUTO_JSON json_t *j = sx_json_parse(status.answer.data, status.answer.len, e);
        const json_t *raft = json_object_get(j, "raft");

        result = raft ? sx_json_need_u64(raft, "applied", UINT64_MAX >> 1, applied, e) :
                        sx_err_set(e, SX_EUNAVAIL, "%s does not tell its state yet", address);
    }
    sx_buf_fini(&status.answer);
    return result;
}

/* The other nodes' largest applied index, as each of them says. */
static int cluster_applied(const struct token *t, const struct sx_node_conf *c, const char *ca, uint64_t *applied,
                           struct sx_err *e)
{
    int result = -1;
    uint64_t n = 0;
    json_t *value;
    size_t i;

    *applied = 0;
    json_array_foreach(t->addresses, i, value) {
        if (applied_of(c, ca, json_string_value(value), &n, e) == 0) {
            result = 0;
            *applied = n > *applied ? n : *applied;
        }
    }
    return result;
}

static int wait_applied(const struct token *t, const struct sx_node_conf *c, const char *ca, unsigned timeout_s,
                        struct sx_err *e)
{
    SX_AUTO_FREE char *self = sx_asprintf(strchr(c->address, ':') ? "[%s]:%u" : "%s:%u", c->address, c->port);
    uint64_t until = sx_mono_ms() + (uint64_t)timeout_s * 1000, goal = 0, applied = 0;
    struct sx_err last = SX_ERR_INIT;

    do {
        if ((goal > 0 || cluster_applied(t, c, ca, &goal, &last) == 0) &&
            applied_of(c, ca, self, &applied, &last) == 0 && applied >= goal && goal > 0)
            return 0;
        sx_sleep_ms(POLL_MS);
    } while (sx_mono_ms() < until);
    return sx_err_set(e, SX_ETIMEOUT,
                      "the node has joined but has not caught up after %u s (applied %llu of %llu)%s%s; it goes on; "
                      "look with: sxadm cluster status", timeout_s, (unsigned long long)applied,
                      (unsigned long long)goal, last.msg[0] ? ": " : "", last.msg);
}

int setup_wait_member(const struct setup_plan *p, const struct setup_result *r, unsigned timeout_s,
                      struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf ca = SX_BUF_INIT;
    struct token t = { 0 };
    const char *address;
    int result = read_token(p->token, &t, e);

    /* The token may have expired meanwhile; it is only read for its addresses. */
    if ((result == 0 || t.addresses) && (result = find_node(&t, &address, &ca, e)) == 0)
        result = wait_applied(&t, &r->conf, sx_buf_cstr(&ca), timeout_s, e);
    json_decref(t.json);
    return result;
}
