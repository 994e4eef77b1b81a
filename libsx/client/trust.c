/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * First contact with a cluster.  The CA certificate is taken from a server that nobody has
 * verified yet; only after its fingerprint is the one that was confirmed, and the server has
 * proved over a verified connection that it has that CA and knows the user's key, is anything
 * stored.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "libsx/base/text.h"
#include "libsx/client/call.h"
#include "libsx/crypt/crypt.h"
#include "libsx/io/io.h"

#define PEM_BEGIN "-----BEGIN CERTIFICATE-----"
#define PEM_END "-----END CERTIFICATE-----"
#define PEM_MAX (64u << 10)

/* SHA-256 of the DER form. */
static int pem_fingerprint(const char *pem, char hex[SX_FINGERPRINT_HEX + 1], struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf text = SX_BUF_INIT, der = SX_BUF_INIT;
    const char *begin = strstr(pem, PEM_BEGIN), *end = begin ? strstr(begin, PEM_END) : NULL;
    uint8_t digest[SX_SHA256];

    if (!end)
        return sx_err_set(e, SX_ECERT, "the server showed no certificate that can be read");
    for (const char *p = begin + strlen(PEM_BEGIN); p < end; p++)
        if (*p != '\n' && *p != '\r' && *p != ' ')
            sx_buf_u8(&text, (uint8_t)*p);
    if (sx_unbase64(&der, sx_buf_cstr(&text), text.len, e))
        return sx_err_wrap(e, "the server's CA certificate");
    sx_sha256(digest, der.data, der.len);
    sx_hex(hex, digest, sizeof digest);
    return 0;
}

/* The last certificate of the chain, from the first node that answers. */
static char *fetch_ca(struct sx_client *c, const struct sx_access *a, struct sx_err *e)
{
    struct sx_cluster *k = sx_cluster_new(c, a, NULL, e);
    const char *pem = NULL;
    char *copy = NULL;

    if (!k)
        return NULL;
    if (sx_call_json(k, "GET", sx_strdup(SX_API "/ping"), NULL, NULL, NULL, e) == 0) {
        pem = sx_http_chain_ca(k->http);
        if (pem && strlen(pem) <= PEM_MAX)
            copy = sx_strdup(pem);
        else
            sx_err_set(e, SX_ECERT, "the server showed no CA certificate");
    }
    sx_cluster_free(k);
    return copy;
}

int sx_trust_fetch(struct sx_client *c, const struct sx_access *a,
                   char fingerprint[SX_FINGERPRINT_HEX + 1], struct sx_err *e)
{
    SX_AUTO_FREE char *pem = fetch_ca(c, a, e);

    return pem ? pem_fingerprint(pem, fingerprint, e) : sx_err_wrap(e, "cluster '%s'", a->cluster);
}

/* A cluster of this name that is set up already must be the same one. */
static int check_known(const struct sx_client *c, const struct sx_access *a, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf pem = SX_BUF_INIT;
    SX_AUTO_FREE char *path = sx_config_path(c, a->cluster, "ca.pem");
    char hex[SX_FINGERPRINT_HEX + 1];

    if (sx_io_read_file(&sx_io_posix, path, PEM_MAX, &pem, NULL))
        return 0;
    if (pem_fingerprint(sx_buf_cstr(&pem), hex, NULL) == 0 && !strcasecmp(hex, a->fingerprint))
        return 0;
    return sx_err_set(e, SX_ECERT,
                      "another cluster is set up under the name '%s'; choose another name, or "
                      "remove that one "
                      "with sxinit --delete",
                      a->cluster);
}

static int write_temp(const char *path, const char *pem, struct sx_err *e)
{
    SX_AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (fd < 0)
        return sx_err_errno(e, errno, "%s", path);
    return sx_io_pwrite_all(&sx_io_posix, fd, pem, strlen(pem), 0, e);
}

static int store(struct sx_client *c, const struct sx_cluster *k, const struct sx_access *a,
                 const char *pem, struct sx_err *e)
{
    SX_AUTO_FREE char *dir = sx_config_path(c, a->cluster, "");
    SX_AUTO_FREE char *ca = sx_config_path(c, a->cluster, "ca.pem");
    SX_AUTO_FREE char *facts = sx_config_path(c, a->cluster, "cluster.json");

    dir[strlen(dir) - 1] = '\0';
    if (sx_io_mkdirs(dir, e))
        return -1;
    if (chmod(c->dir, 0700))
        return sx_err_errno(e, errno, "%s", c->dir);
    if (access(facts, F_OK) &&
        sx_config_cluster_save(c, a->cluster, k->uuid, a->user, a->fingerprint, a->nodes,
                               a->n_nodes, e))
        return -1;
    if (sx_io_replace(&sx_io_posix, ca, pem, strlen(pem), 0600, e))
        return -1;
    return sx_config_user_save(c, a, e);
}

/* Over a verified connection, with the user's key. */
static int prove(struct sx_client *c, const struct sx_access *a, const char *ca_file,
                 const char *pem, struct sx_err *e)
{
    SX_AUTO_JSON json_t *self = NULL;
    struct sx_cluster *k = sx_cluster_new(c, a, ca_file, e);
    const char *name;
    int r;

    if (!k)
        return -1;
    r = sx_cluster_refresh(k, e);
    if (r == 0)
        r = sx_call_json(k, "GET", sx_strdup(SX_API "/self"), NULL, NULL, &self, e);
    if (r == 0)
        r = sx_json_need_str(self, "name", &name, e);
    if (r == 0 && strcmp(name, a->user))
        r = sx_err_set(e, SX_EAUTH, "the key is of user '%s', not '%s'", name, a->user);
    if (r == 0)
        r = store(c, k, a, pem, e);
    sx_cluster_free(k);
    return r;
}

int sx_profile_store(struct sx_client *c, const struct sx_access *a, struct sx_err *e)
{
    SX_AUTO_FREE char *temp = sx_asprintf("%s/ca-%d.tmp", c->dir, (int)getpid());
    SX_AUTO_FREE char *pem = NULL;
    char hex[SX_FINGERPRINT_HEX + 1];
    int r;

    if (!a->fingerprint)
        return sx_err_set(e, SX_ECERT, "the fingerprint of cluster '%s' is not known", a->cluster);
    if (check_known(c, a, e))
        return -1;
    pem = fetch_ca(c, a, e);
    if (!pem || pem_fingerprint(pem, hex, e))
        return sx_err_wrap(e, "cluster '%s'", a->cluster);
    if (strcasecmp(hex, a->fingerprint))
        return sx_err_set(e, SX_ECERT,
                          "the CA certificate of cluster '%s' has the fingerprint %s, not %s: "
                          "this is not the "
                          "cluster that was meant",
                          a->cluster, hex, a->fingerprint);
    if (sx_io_mkdirs(c->dir, e))
        return -1;
    r = write_temp(temp, pem, e);
    if (r == 0)
        r = prove(c, a, temp, pem, e);
    unlink(temp);
    return r ? sx_err_wrap(e, "cluster '%s'", a->cluster) : 0;
}
