/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The first node of a new cluster.  Everything the cluster begins with is one command, written to
 * meta/bootstrap.bin; the group manager makes it the first entry of the log.  See setup.h.
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "config.h"
#include "fcgi/ca.h"
#include "fcgi/keys.h"
#include "fcgi/meta/command.h"
#include "libsx/auth/sigv4.h"
#include "libsx/base/mem.h"
#include "libsx/crypt/crypt.h"
#include "tools/setup.h"

#define DOMAIN_KEY 32

struct secrets {
    struct sx_keys keys;
    char access_key[SX_ACCESS_KEY_LEN + 1];
    char secret_key[SX_SECRET_KEY_LEN + 1];
    struct sx_buf ca_cert, ca_key;
};

static void secrets_fini(struct secrets *s)
{
    sx_keys_fini(&s->keys);
    sx_wipe(s->secret_key, sizeof s->secret_key);
    if (s->ca_key.data)
        sx_wipe(s->ca_key.data, s->ca_key.len);
    sx_buf_fini(&s->ca_key);
    sx_buf_fini(&s->ca_cert);
}

/* RFC 9562, version 4. */
static void uuid_new(char out[SX_CLUSTER_UUID + 1])
{
    uint8_t b[16];

    sx_random(b, sizeof b);
    b[6] = (uint8_t)((b[6] & 0x0f) | 0x40);
    b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
    snprintf(out, SX_CLUSTER_UUID + 1, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
             b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
}

static int make_cluster_key(const struct setup_plan *p, struct secrets *s, struct sx_err *e)
{
    uint8_t key[SX_CLUSTER_KEY];
    int result;

    sx_random(key, sizeof key);
    sx_keys_derive(&s->keys, key);
    result = setup_file(p, "secret/cluster.key", key, sizeof key, 0600, e);
    sx_wipe(key, sizeof key);
    return result;
}

static int make_tls(const struct setup_plan *p, struct secrets *s, const struct sx_node_conf *c, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf key = SX_BUF_INIT, csr = SX_BUF_INIT, cert = SX_BUF_INIT;
    int result;

    if (sx_ca_create(c->name, &s->ca_cert, &s->ca_key, e) != 0 || sx_ca_request(c->node_hex, &key, &csr, e) != 0)
        return -1;
    result = sx_ca_sign(sx_buf_cstr(&s->ca_cert), sx_buf_cstr(&s->ca_key), sx_buf_cstr(&csr), c->node_hex,
                        c->address, &cert, e);
    if (result == 0)
        result = setup_tls(p, sx_buf_cstr(&s->ca_cert), sx_buf_cstr(&cert), sx_buf_cstr(&key), e);
    sx_wipe(key.data, key.len);
    return result;
}

static int write_bootstrap(const struct setup_plan *p, const struct secrets *s, const struct sx_node_conf *c,
                           struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf domain = SX_BUF_INIT, ca_key = SX_BUF_INIT, secret = SX_BUF_INIT;
    SX_AUTO(sx_buf) struct sx_buf command = SX_BUF_INIT, file = SX_BUF_INIT;
    uint8_t domain_key[DOMAIN_KEY], op[SX_OP_ID];

    sx_random(domain_key, sizeof domain_key);
    sx_random(op, sizeof op);
    sx_seal(&domain, s->keys.seal, SX_SEAL_DOMAIN, domain_key, sizeof domain_key);
    sx_wipe(domain_key, sizeof domain_key);
    sx_seal(&ca_key, s->keys.seal, SX_SEAL_CA, s->ca_key.data, s->ca_key.len);
    sx_keys_seal_secret(&s->keys, s->access_key, s->secret_key, &secret);
    struct sx_cmd_init init = {
        .uuid = c->cluster,
        .name = c->name,
        .domain_key = { domain.data, domain.len },
        .ca_cert = (const char *)s->ca_cert.data,
        .ca_key = { ca_key.data, ca_key.len },
        .admin = SX_SETUP_ADMIN,
        .access_key = s->access_key,
        .secret = { secret.data, secret.len },
        .node = { .id = c->node, .address = c->address, .port = c->port, .peer_port = c->peer_port,
                  .zone = c->zone, .capacity = c->capacity, .version = PACKAGE_VERSION },
    };

    sx_cmd_init_encode(&command, op, "", &init);
    sx_bootstrap_add(&file, command.data, command.len);
    return setup_file(p, "meta/bootstrap.bin", file.data, file.len, 0600, e);
}

/* docs/api.md, "Key files and links". */
static int write_key_file(const struct setup_plan *p, const struct secrets *s, const struct sx_node_conf *c,
                          const char *fingerprint, struct sx_err *e)
{
    SX_AUTO_FREE char *node = sx_asprintf(strchr(c->address, ':') ? "[%s]:%u" : "%s:%u", c->address, c->port);
    SX_AUTO_JSON json_t *j = json_pack("{s:s, s:s, s:[s], s:s, s:s, s:s, s:s}", "format", "sx-key-1", "cluster",
                                       c->name, "nodes", node, "fingerprint", fingerprint, "user",
                                       SX_SETUP_ADMIN, "access_key", s->access_key, "secret_key", s->secret_key);
    SX_AUTO_FREE char *text = json_dumps(j, JSON_INDENT(2));

    return setup_file(p, "admin.key", text, strlen(text), 0600, e);
}

static int make_all(struct setup_plan *p, struct secrets *s, struct setup_result *r, struct sx_err *e)
{
    struct sx_node_conf *c = &r->conf;

    sx_access_key_new(s->access_key);
    sx_secret_key_new(s->secret_key);
    if (make_cluster_key(p, s, e) != 0 || make_tls(p, s, c, e) != 0 ||
        sx_ca_fingerprint(sx_buf_cstr(&s->ca_cert), r->fingerprint, e) != 0 ||
        write_bootstrap(p, s, c, e) != 0 || write_key_file(p, s, c, r->fingerprint, e) != 0)
        return -1;
    r->key_file = sx_asprintf("%s/admin.key", p->full_dir);
    return setup_dir_finish(p, c, e);
}

int setup_create(struct setup_plan *p, struct setup_result *r, struct sx_err *e)
{
    struct secrets s = { .ca_cert = SX_BUF_INIT, .ca_key = SX_BUF_INIT };
    char uuid[SX_CLUSTER_UUID + 1];
    int result;

    uuid_new(uuid);
    if (setup_dir_begin(p, e) != 0 || setup_conf(p, uuid, p->name, setup_node_id(), &r->conf, e) != 0)
        return -1;
    result = make_all(p, &s, r, e);
    secrets_fini(&s);
    return result;
}
