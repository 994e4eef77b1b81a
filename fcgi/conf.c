/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See conf.h.
 */
#include "fcgi/conf.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fcgi/cache.h"
#include "libsx/base/log.h"
#include "libsx/base/mem.h"
#include "libsx/base/text.h"
#include "libsx/io/io.h"

#define CONF_FILE_MAX 65536u
#define NODE_ID_MAX INT64_MAX
#define TLS_PREFIX "https://"

static const char *const members[] = { "cluster", "name",      "node",    "address",
                                       "port",    "peer_port", "zone",    "capacity",
                                       "workers", "reserved_workers", "user", "log_level",
                                       "lease_s", "collect_interval_s",
                                       "scrub_period_days", "scrub_rate", "cache_size",
                                       "s3_port", "s3_domains", "s3_website_domains",
                                       "s3_external" };
static const char *const levels[] = { "error", "warn", "info", "debug" };

#define COUNT(a) (sizeof(a) / sizeof *(a))

char *sx_node_id_text(char *out, uint64_t id)
{
    snprintf(out, SX_NODE_HEX + 1, "%016" PRIx64, id);
    return out;
}

int sx_node_id_parse(const char *text, uint64_t *id)
{
    char again[SX_NODE_HEX + 1];
    uint8_t raw[8];
    uint64_t v = 0;

    if (sx_unhex(raw, sizeof raw, text))
        return -1;
    for (size_t i = 0; i < sizeof raw; i++)
        v = v << 8 | raw[i];
    if (v == 0 || v > NODE_ID_MAX || strcmp(sx_node_id_text(again, v), text) != 0)
        return -1;
    *id = v;
    return 0;
}

static bool uuid_valid(const char *s)
{
    if (strlen(s) != SX_CLUSTER_UUID)
        return false;
    for (size_t i = 0; i < SX_CLUSTER_UUID; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;

        if (dash ? s[i] != '-' : !strchr("0123456789abcdef", s[i]))
            return false;
    }
    return true;
}

static int known_members(const json_t *j, struct sx_err *e)
{
    const char *key;
    json_t *v;

    json_object_foreach((json_t *)j, key, v) {
        size_t i = 0;

        while (i < COUNT(members) && strcmp(members[i], key) != 0)
            i++;
        if (i == COUNT(members))
            return sx_err_set(e, SX_EINVAL, "'%s' is not a setting", key);
    }
    return 0;
}

/* Copies a text member of `min` to `max` bytes of UTF-8 without control characters. */
static int text(const json_t *j, const char *name, char *out, size_t min, size_t max,
                struct sx_err *e)
{
    const char *s;
    size_t n;

    if (sx_json_str(j, name, "", &s, e))
        return -1;
    n = strlen(s);
    if (n < min || n > max)
        return sx_err_set(e, SX_EINVAL, "'%s' must have %zu to %zu bytes", name, min, max);
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)s[i] < ' ' || s[i] == 0x7f)
            return sx_err_set(e, SX_EINVAL, "'%s' has a control character", name);
    memcpy(out, s, n + 1);
    return 0;
}

static int number(const json_t *j, const char *name, uint64_t dflt, uint64_t min, uint64_t max,
                  uint64_t *out, struct sx_err *e)
{
    if (sx_json_u64(j, name, dflt, max, out, e))
        return -1;
    if (*out < min)
        return sx_err_set(e, SX_EINVAL, "'%s' must be a number from %" PRIu64 " to %" PRIu64, name,
                          min, max);
    return 0;
}

static int identity(struct sx_node_conf *c, const json_t *j, struct sx_err *e)
{
    if (text(j, "cluster", c->cluster, SX_CLUSTER_UUID, SX_CLUSTER_UUID, e) ||
        text(j, "name", c->name, 1, SX_NODE_NAME_MAX, e) ||
        text(j, "node", c->node_hex, SX_NODE_HEX, SX_NODE_HEX, e) ||
        text(j, "address", c->address, 1, SX_CONF_ADDRESS_MAX, e) ||
        text(j, "zone", c->zone, 0, SX_CONF_ZONE_MAX, e) || text(j, "user", c->user, 0, SX_USER_MAX, e))
        return -1;
    if (!uuid_valid(c->cluster))
        return sx_err_set(e, SX_EINVAL, "'cluster' is not a UUID");
    if (sx_node_id_parse(c->node_hex, &c->node))
        return sx_err_set(e, SX_EINVAL, "'node' must be 16 hex digits, at most 7fffffffffffffff");
    return 0;
}

static int cache_size(struct sx_node_conf *c, const json_t *j, struct sx_err *e)
{
    c->cache_size = SX_CACHE_AUTO;
    if (!json_object_get(j, "cache_size"))
        return 0;
    if (sx_json_need_u64(j, "cache_size", SX_CACHE_SIZE_MAX, &c->cache_size, e))
        return -1;
    if (c->cache_size && c->cache_size < SX_CACHE_SIZE_MIN)
        return sx_err_set(e, SX_EINVAL, "'cache_size' must be 0 or from %u to %" PRIu64, SX_CACHE_SIZE_MIN,
                          SX_CACHE_SIZE_MAX);
    return 0;
}

static int numbers(struct sx_node_conf *c, const json_t *j, struct sx_err *e)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    uint64_t workers = cpus > 0 ? 2 * (uint64_t)cpus : 2;
    uint64_t port, peer_port, s3_port, reserved, lease, collect, scrub;

    if (workers > SX_WORKERS_MAX)
        workers = SX_WORKERS_MAX;
    if (number(j, "port", 0, 1, UINT16_MAX, &port, e) ||
        number(j, "peer_port", 0, 1, UINT16_MAX, &peer_port, e) ||
        number(j, "s3_port", 0, 0, UINT16_MAX, &s3_port, e) ||
        sx_json_need_u64(j, "capacity", INT64_MAX, &c->capacity, e) ||
        number(j, "workers", workers, 1, SX_WORKERS_MAX, &workers, e) ||
        number(j, "reserved_workers", (workers + 1) / 2, 1, SX_WORKERS_MAX, &reserved, e) ||
        number(j, "lease_s", SX_LEASE_S, 1, SX_PERIOD_MAX_S, &lease, e) ||
        number(j, "collect_interval_s", SX_COLLECT_INTERVAL_S, 1, SX_PERIOD_MAX_S, &collect, e) ||
        number(j, "scrub_period_days", SX_SCRUB_PERIOD_DAYS, 0, SX_SCRUB_PERIOD_MAX, &scrub, e) ||
        number(j, "scrub_rate", 0, 0, INT64_MAX, &c->scrub_rate, e) || cache_size(c, j, e))
        return -1;
    if (port == peer_port)
        return sx_err_set(e, SX_EINVAL, "'port' and 'peer_port' must differ");
    if (s3_port && (s3_port == port || s3_port == peer_port))
        return sx_err_set(e, SX_EINVAL, "'s3_port' must differ from 'port' and 'peer_port'");
    c->s3_port = (uint16_t)s3_port;
    c->port = (uint16_t)port;
    c->peer_port = (uint16_t)peer_port;
    c->workers = (unsigned)workers;
    c->reserved_workers = (unsigned)reserved;
    c->lease_s = (unsigned)lease;
    c->collect_interval_s = (unsigned)collect;
    c->scrub_period_days = (unsigned)scrub;
    return 0;
}

/* Letters, digits, '-' and '.', as DNS names have them, in lower case since hosts are compared so;
 * with `port` also ":port". */
static bool host_valid(const char *s, bool port)
{
    size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-.");

    if (n == 0 || n > SX_CONF_ADDRESS_MAX || s[0] == '.' || s[n - 1] == '.')
        return false;
    if (port && s[n] == ':' && strspn(s + n + 1, "0123456789") == strlen(s + n + 1))
        return strlen(s + n + 1) >= 1 && strlen(s + n + 1) <= 5;
    return s[n] == '\0';
}

/* *domains: NULL if there is no such member. */
static int domains(const json_t *j, const char *member, char ***domains, struct sx_err *e)
{
    const json_t *list = json_object_get(j, member);
    size_t n = json_array_size(list);

    if (!list)
        return 0;
    if (!json_is_array(list) || n > SX_S3_DOMAINS_MAX)
        return sx_err_set(e, SX_EINVAL, "'%s' must be a list of at most %u names", member,
                          SX_S3_DOMAINS_MAX);
    *domains = sx_calloc(n + 1, sizeof **domains);
    for (size_t i = 0; i < n; i++) {
        const char *name = json_string_value(json_array_get(list, i));

        if (!name || !host_valid(name, false))
            return sx_err_set(e, SX_EINVAL, "'%s': each must be a DNS name in lower case", member);
        (*domains)[i] = sx_strdup(name);
    }
    return 0;
}

static int s3(struct sx_node_conf *c, const json_t *j, struct sx_err *e)
{
    char external[sizeof TLS_PREFIX + sizeof c->s3_external];
    const char *name = external;

    if (domains(j, "s3_domains", &c->s3_domains, e) != 0 ||
        domains(j, "s3_website_domains", &c->s3_website_domains, e) != 0 ||
        text(j, "s3_external", external, 0, sizeof external - 1, e) != 0)
        return -1;
    c->s3_external_tls = strncmp(external, TLS_PREFIX, strlen(TLS_PREFIX)) == 0;
    if (c->s3_external_tls)
        name += strlen(TLS_PREFIX);
    else if (!*name)
        return 0;
    if (strlen(name) >= sizeof c->s3_external || !host_valid(name, true))
        return sx_err_set(e, SX_EINVAL,
                          "'s3_external' must be a DNS name in lower case, perhaps with https:// before"
                          " and a :port behind it");
    memcpy(c->s3_external, name, strlen(name) + 1);
    return 0;
}

static int level(struct sx_node_conf *c, const json_t *j, struct sx_err *e)
{
    const char *s;

    if (sx_json_str(j, "log_level", levels[SX_LOG_INFO], &s, e))
        return -1;
    for (size_t i = 0; i < COUNT(levels); i++)
        if (strcmp(s, levels[i]) == 0) {
            c->log_level = (int)i;
            return 0;
        }
    return sx_err_set(e, SX_EINVAL, "'log_level' must be error, warn, info or debug");
}

int sx_node_conf_from_json(struct sx_node_conf *c, const char *dir, const json_t *j,
                           struct sx_err *e)
{
    struct sx_node_conf n = { 0 };

    if (known_members(j, e) || identity(&n, j, e) || numbers(&n, j, e) || level(&n, j, e) ||
        s3(&n, j, e)) {
        sx_node_conf_fini(&n);
        return -1;
    }
    n.dir = sx_strdup(dir);
    *c = n;
    return 0;
}

int sx_node_conf_load(struct sx_node_conf *c, const char *dir, struct sx_err *e)
{
    SX_AUTO_FREE char *path = sx_asprintf("%s/node.json", dir);
    SX_AUTO(sx_buf) struct sx_buf b = SX_BUF_INIT;
    SX_AUTO_JSON json_t *j = NULL;

    if (sx_io_read_file(&sx_io_posix, path, CONF_FILE_MAX, &b, e))
        return sx_err_wrap(e, "settings %s", path);
    j = sx_json_parse(b.data, b.len, e);
    if (!j || sx_node_conf_from_json(c, dir, j, e)) {
        if (e)
            e->code = SX_ECONFIG;
        return sx_err_wrap(e, "settings %s", path);
    }
    return 0;
}

static json_t *domains_json(char *const *names)
{
    json_t *list = json_array();

    for (; names && *names; names++)
        json_array_append_new(list, json_string(*names));
    return list;
}

json_t *sx_node_conf_to_json(const struct sx_node_conf *c)
{
    unsigned lease = c->lease_s ? c->lease_s : SX_LEASE_S;
    unsigned collect = c->collect_interval_s ? c->collect_interval_s : SX_COLLECT_INTERVAL_S;

    json_t *j = json_pack("{s:s, s:s, s:s, s:s, s:i, s:i, s:s, s:I, s:i, s:i, s:s, s:s, s:i, s:i, s:i, s:I}", "cluster",
                     c->cluster, "name", c->name, "node", c->node_hex, "address", c->address,
                     "port", (int)c->port, "peer_port", (int)c->peer_port, "zone", c->zone,
                     "capacity", (json_int_t)c->capacity, "workers", (int)c->workers,
                     "reserved_workers", (int)c->reserved_workers, "user", c->user, "log_level",
                     levels[c->log_level], "lease_s", (int)lease, "collect_interval_s",
                     (int)collect, "scrub_period_days", (int)c->scrub_period_days, "scrub_rate",
                     (json_int_t)c->scrub_rate);
    if (c->cache_size != SX_CACHE_AUTO)
        json_object_set_new(j, "cache_size", json_integer((json_int_t)c->cache_size));
    json_object_set_new(j, "s3_port", json_integer(c->s3_port));
    json_object_set_new(j, "s3_domains", domains_json(c->s3_domains));
    json_object_set_new(j, "s3_website_domains", domains_json(c->s3_website_domains));
    json_object_set_new(j, "s3_external", json_sprintf("%s%s", c->s3_external_tls ? TLS_PREFIX : "",
                                                       c->s3_external));
    return j;
}

static void domains_free(char ***names)
{
    for (char **d = *names; d && *d; d++)
        free(*d);
    free(*names);
    *names = NULL;
}

void sx_node_conf_fini(struct sx_node_conf *c)
{
    domains_free(&c->s3_domains);
    domains_free(&c->s3_website_domains);
    free(c->dir);
    c->dir = NULL;
}
