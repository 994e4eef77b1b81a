/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What gives access to a cluster, as a link and as a key file (docs/api.md, Key files and links).
 */
#include "libsx/client/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "libsx/base/text.h"
#include "libsx/crypt/crypt.h"
#include "libsx/io/io.h"

#define KEY_FORMAT "sx-key-1"
#define KEY_CONTEXT "sx key file"
#define KEY_FILE_MAX (64u << 10)
#define PASSWORD_MAX 1024
#define SALT_SIZE 16

void sx_access_init(struct sx_access *a)
{
    memset(a, 0, sizeof *a);
}

void sx_access_fini(struct sx_access *a)
{
    if (a->secret_key)
        sx_wipe(a->secret_key, strlen(a->secret_key));
    free(a->cluster);
    free(a->user);
    free(a->access_key);
    free(a->secret_key);
    free(a->fingerprint);
    for (size_t i = 0; i < a->n_nodes; i++)
        free(a->nodes[i]);
    free(a->nodes);
    memset(a, 0, sizeof *a);
}

/* "host", "host:port", "[v6]:port" to "host:port". */
static char *node_text(const char *s, struct sx_err *e)
{
    const char *colon = s[0] == '[' ? strchr(s, ']') : s;
    size_t bad = strcspn(s, "/@?#& \t\r\n\"'\\");
    char *end;
    unsigned long port;

    colon = colon ? strchr(colon, ':') : NULL;
    if (s[bad] || !*s || colon == s || (s[0] == '[' && !strchr(s, ']')) ||
        (s[0] != '[' && colon && strchr(colon + 1, ':')))
        goto bad;
    if (!colon)
        return sx_asprintf("%s:%d", s, SX_CLIENT_PORT_DEFAULT);
    port = strtoul(colon + 1, &end, 10);
    if (colon[1] < '0' || colon[1] > '9' || *end || port == 0 || port > 65535)
        goto bad;
    return sx_strdup(s);
bad:
    sx_err_set(e, SX_EINVAL, "'%s' is not a node's address; write HOST:PORT", s);
    return NULL;
}

int sx_access_add_node(struct sx_access *a, const char *host_port, struct sx_err *e)
{
    char *text = node_text(host_port, e);

    if (!text)
        return -1;
    for (size_t i = 0; i < a->n_nodes; i++) {
        if (!strcmp(a->nodes[i], text)) {
            free(text);
            return 0;
        }
    }
    if (a->n_nodes == SX_ACCESS_NODES_MAX) {
        free(text);
        return sx_err_set(e, SX_EINVAL, "more than %d nodes are named", SX_ACCESS_NODES_MAX);
    }
    a->nodes = sx_realloc(a->nodes, (a->n_nodes + 1) * sizeof *a->nodes);
    a->nodes[a->n_nodes++] = text;
    return 0;
}

static int fingerprint_check(const char *hex, struct sx_err *e)
{
    uint8_t raw[SX_FINGERPRINT_HEX / 2];

    return strlen(hex) == SX_FINGERPRINT_HEX && sx_unhex(raw, sizeof raw, hex) == 0 ?
               0 :
               sx_err_set(e, SX_EINVAL, "the fingerprint must be %d hexadecimal digits",
                          SX_FINGERPRINT_HEX);
}

/* ---- Links -------------------------------------------------------------------------------- */

static int add_nodes(struct sx_access *a, char *list, struct sx_err *e)
{
    char *save = NULL;

    for (char *s = strtok_r(list, ",", &save); s; s = strtok_r(NULL, ",", &save))
        if (sx_access_add_node(a, s, e))
            return -1;
    return 0;
}

static int link_member(struct sx_access *a, const char *name, const char *value, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;
    char **to = !strcmp(name, "fingerprint") ? &a->fingerprint :
                !strcmp(name, "access_key")  ? &a->access_key :
                !strcmp(name, "secret_key")  ? &a->secret_key :
                                               NULL;

    if (sx_pct_decode(&b, value, strlen(value), e))
        return -1;
    if (!strcmp(name, "nodes"))
        return add_nodes(a, (char *)b.data, e);
    if (!to || *to)
        return sx_err_set(e, SX_EINVAL, "'%s' is unknown or given twice", name);
    *to = sx_strdup(sx_buf_cstr(&b));
    sx_wipe(b.data, b.len);
    return to == &a->fingerprint ? fingerprint_check(*to, e) : 0;
}

static int link_members(struct sx_access *a, const char *query, struct sx_err *e)
{
    SX_AUTO_FREE char *copy = sx_strdup(query);
    char *save = NULL;
    int r = 0;

    for (char *s = strtok_r(copy, "&", &save); s && r == 0; s = strtok_r(NULL, "&", &save)) {
        char *eq = strchr(s, '=');

        if (!eq)
            r = sx_err_set(e, SX_EINVAL, "'%s' has no value", s);
        else {
            *eq = '\0';
            r = link_member(a, s, eq + 1, e);
        }
    }
    sx_wipe(copy, strlen(query));
    return r;
}

static int link_whole(const struct sx_access *a, struct sx_err *e)
{
    if (!a->user)
        return sx_err_set(e, SX_EINVAL, "the user is missing: sx://USER@CLUSTER/?…");
    if (!a->access_key || !a->secret_key)
        return sx_err_set(e, SX_EINVAL, "the access key or the secret key is missing");
    if (!a->n_nodes)
        return sx_err_set(e, SX_EINVAL, "the nodes are missing");
    return 0;
}

int sx_access_parse_link(const char *link, struct sx_access *out, struct sx_err *e)
{
    const char *query = strchr(link, '?');
    SX_AUTO_FREE char *head = query ? sx_strndup(link, (size_t)(query - link)) : sx_strdup(link);
    struct sx_access a;
    struct sx_uri u;

    if (link[0] == '@' || sx_uri_parse(NULL, head, &u, e))
        return sx_err_set(e, SX_EINVAL,
                          "this is not a link; it looks like sx://USER@CLUSTER/?nodes=…");
    sx_access_init(&a);
    a.cluster = SX_STEAL(u.cluster);
    a.user = SX_STEAL(u.user);
    sx_uri_fini(&u);
    if (link_members(&a, query ? query + 1 : "", e) || link_whole(&a, e)) {
        sx_access_fini(&a);
        return sx_err_wrap(e, "link");
    }
    *out = a;
    return 0;
}

char *sx_access_link(const struct sx_access *a)
{
    struct sx_buf b = SX_BUF_INIT;

    sx_buf_printf(&b, "sx://%s@%s/?nodes=", a->user, a->cluster);
    for (size_t i = 0; i < a->n_nodes; i++)
        sx_buf_printf(&b, "%s%s", i ? "," : "", a->nodes[i]);
    if (a->fingerprint)
        sx_buf_printf(&b, "&fingerprint=%s", a->fingerprint);
    sx_buf_str(&b, "&access_key=");
    sx_pct_encode(&b, a->access_key, strlen(a->access_key), false);
    sx_buf_str(&b, "&secret_key=");
    sx_pct_encode(&b, a->secret_key, strlen(a->secret_key), false);
    return (char *)b.data;
}

/* ---- Key files ---------------------------------------------------------------------------- */

static int unlock(const json_t *j, const char *file, sx_password_fn *password, void *arg,
                  struct sx_access *a, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf raw = SX_BUF_INIT, plain = SX_BUF_INIT;
    const char *salt_hex, *sealed;
    char text[PASSWORD_MAX] = "";
    uint8_t salt[SALT_SIZE], key[32];
    int r;

    if (sx_json_need_str(j, "salt", &salt_hex, e) || sx_json_need_str(j, "sealed", &sealed, e) ||
        sx_unbase64(&raw, sealed, strlen(sealed), e))
        return -1;
    if (sx_unhex(salt, sizeof salt, salt_hex))
        return sx_err_set(e, SX_EINVAL, "'salt' is not %d hexadecimal digits", 2 * SALT_SIZE);
    if (!password)
        return sx_err_set(e, SX_EKEY, "the file is protected by a password; use --pass-file");
    if (password(arg, file, text, sizeof text, e))
        return -1;
    r = sx_password_key(key, text, salt, e);
    sx_wipe(text, sizeof text);
    if (r == 0)
        r = sx_unseal(&plain, key, KEY_CONTEXT, raw.data, raw.len, e);
    sx_wipe(key, sizeof key);
    if (r)
        return sx_err_set(e, SX_EKEY, "wrong password, or the file is damaged");
    a->secret_key = sx_strndup((const char *)plain.data, plain.len);
    sx_wipe(plain.data, plain.len);
    return 0;
}

static int read_members(const json_t *j, struct sx_access *a, struct sx_err *e)
{
    const char *format, *cluster, *user, *access_key, *fingerprint;
    const json_t *node;
    size_t i;

    if (sx_json_need_str(j, "format", &format, e))
        return -1;
    if (strcmp(format, KEY_FORMAT))
        return sx_err_set(e, SX_EVERSION, "format '%s' is not known", format);
    if (sx_json_need_str(j, "cluster", &cluster, e) || sx_json_need_str(j, "user", &user, e) ||
        sx_json_need_str(j, "access_key", &access_key, e) ||
        sx_json_str(j, "fingerprint", NULL, &fingerprint, e) || sx_name_cluster_check(cluster, e) ||
        sx_name_user_check(user, e) || (fingerprint && fingerprint_check(fingerprint, e)))
        return -1;
    a->cluster = sx_strdup(cluster);
    a->user = sx_strdup(user);
    a->access_key = sx_strdup(access_key);
    a->fingerprint = fingerprint ? sx_strdup(fingerprint) : NULL;
    json_array_foreach(json_object_get(j, "nodes"), i, node)
    {
        if (!json_is_string(node))
            return sx_err_set(e, SX_EINVAL, "'nodes' must hold texts");
        if (sx_access_add_node(a, json_string_value(node), e))
            return -1;
    }
    return 0;
}

static int read_key(const json_t *j, const char *file, sx_password_fn *password, void *arg,
                    struct sx_access *a, struct sx_err *e)
{
    const char *secret;

    if (read_members(j, a, e))
        return -1;
    if (json_object_get(j, "sealed"))
        return unlock(j, file, password, arg, a, e);
    if (sx_json_need_str(j, "secret_key", &secret, e))
        return -1;
    a->secret_key = sx_strdup(secret);
    return 0;
}

int sx_access_load(const char *file, sx_password_fn *password, void *arg, struct sx_access *out,
                   struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;
    SX_AUTO_JSON json_t *j = NULL;
    struct sx_access a;

    if (sx_io_read_file(&sx_io_posix, file, KEY_FILE_MAX, &b, e))
        return -1;
    j = sx_json_parse(b.data, b.len, e);
    sx_wipe(b.data, b.len);
    sx_access_init(&a);
    if (!j || read_key(j, file, password, arg, &a, e)) {
        sx_access_fini(&a);
        return sx_err_wrap(e, "key file %s", file);
    }
    *out = a;
    return 0;
}

static int seal_into(json_t *j, const char *secret, const char *password, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf sealed = SX_BUF_INIT, text = SX_BUF_INIT;
    uint8_t salt[SALT_SIZE], key[32];
    char hex[2 * SALT_SIZE + 1];

    sx_random(salt, sizeof salt);
    if (sx_password_key(key, password, salt, e))
        return -1;
    sx_seal(&sealed, key, KEY_CONTEXT, secret, strlen(secret));
    sx_wipe(key, sizeof key);
    sx_base64(&text, sealed.data, sealed.len, false);
    json_object_set_new(j, "salt", json_string(sx_hex(hex, salt, sizeof salt)));
    json_object_set_new(j, "sealed", json_string(sx_buf_cstr(&text)));
    return 0;
}

static int write_new(const char *file, const struct sx_buf *b, struct sx_err *e)
{
    SX_AUTO_CLOSE int fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    if (fd < 0)
        return sx_err_errno(e, errno, "key file %s", file);
    if (sx_io_pwrite_all(&sx_io_posix, fd, b->data, b->len, 0, e)) {
        unlink(file);
        return sx_err_wrap(e, "key file %s", file);
    }
    return 0;
}

int sx_access_save(const struct sx_access *a, const char *file, const char *password,
                   struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;
    SX_AUTO_JSON json_t *j =
        json_pack("{s:s,s:s,s:[],s:s*,s:s,s:s}", "format", KEY_FORMAT, "cluster", a->cluster,
                  "nodes",
                  "fingerprint", a->fingerprint, "user", a->user, "access_key", a->access_key);
    int r;

    for (size_t i = 0; i < a->n_nodes; i++)
        json_array_append_new(json_object_get(j, "nodes"), json_string(a->nodes[i]));
    if (!password)
        json_object_set_new(j, "secret_key", json_string(a->secret_key));
    else if (seal_into(j, a->secret_key, password, e))
        return -1;
    sx_json_dump(&b, j);
    sx_buf_str(&b, "\n");
    r = write_new(file, &b, e);
    sx_wipe(b.data, b.len);
    return r;
}
