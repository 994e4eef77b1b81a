/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A node's identity and settings: the file node.json in the node's directory.  sxsetup writes it,
 * every process of the node reads it once at its start.  Reading is strict: an unknown member,
 * a wrong type or a value out of range is an error, so that a typing mistake is seen at once.
 */
#ifndef SX_FCGI_CONF_H
#define SX_FCGI_CONF_H

#include <stdint.h>

#include "libsx/base/err.h"
#include "libsx/base/json.h"

#define SX_CLUSTER_UUID 36  /* text: 8-4-4-4-12 lower-case hex digits */
#define SX_NODE_NAME_MAX 64
#define SX_CONF_ADDRESS_MAX 253  /* a DNS name's limit; also holds any IP address */
#define SX_CONF_ZONE_MAX 64
#define SX_USER_MAX 32      /* a system account's name */
#define SX_WORKERS_MAX 256
#define SX_LEASE_S 30u             /* default of lease_s */
#define SX_COLLECT_INTERVAL_S 60u  /* default of collect_interval_s */
#define SX_SCRUB_PERIOD_DAYS 14u   /* default of scrub_period_days */
#define SX_SCRUB_PERIOD_MAX 3650u
#define SX_PERIOD_MAX_S 86400u     /* largest value of both */
#define SX_S3_DOMAINS_MAX 8u       /* names of s3_domains, and of s3_website_domains */
#define SX_NODE_HEX 16      /* a node's id as text: 16 lower-case hex digits */

struct sx_node_conf {
    char *dir;                             /* the node's directory, as given */
    char cluster[SX_CLUSTER_UUID + 1];     /* the cluster's UUID */
    char name[SX_NODE_NAME_MAX + 1];       /* the cluster's name */
    char node_hex[SX_NODE_HEX + 1];        /* this node's id, as text */
    uint64_t node;                         /* and as a number: 1 … 2^63 - 1 */
    char address[SX_CONF_ADDRESS_MAX + 1];      /* where clients and other nodes reach it: IP or DNS name */
    uint16_t port;                         /* HTTPS */
    uint16_t peer_port;                    /* links of the group managers */
    char zone[SX_CONF_ZONE_MAX + 1];            /* empty: none */
    uint64_t capacity;                     /* bytes of blocks it may hold; 0: takes none */
    unsigned workers;                      /* for client.sock */
    unsigned reserved_workers;             /* for node.sock */
    char user[SX_USER_MAX + 1];            /* account the daemon runs as; empty: who starts it */
    int log_level;                         /* enum sx_log_level */
    unsigned lease_s;                      /* a block is kept for an upload, at least */
    unsigned collect_interval_s;           /* between two sweeps of the collector over all blocks */
    unsigned scrub_period_days;            /* each block is read and verified that often; 0: never */
    uint64_t scrub_rate;                   /* at most so many bytes a second; 0: no limit */
    uint64_t cache_size;                   /* bytes of memory for blocks read again; 0: none; or SX_CACHE_AUTO */
    uint16_t s3_port;                      /* plain HTTP for S3 alone; 0: none */
    char **s3_domains;                     /* BUCKET.NAME is a bucket's host; ended by NULL, or NULL */
    char **s3_website_domains;             /* BUCKET.NAME is a bucket's website; the same */
    char s3_external[SX_CONF_ADDRESS_MAX + 7]; /* "name[:port]" that clients of a proxy sign; or "" */
    bool s3_external_tls;                  /* they speak TLS with it: "https://" stands before the name */
};

/* Reads DIR/node.json.  `zone`, `user`, `log_level`, `workers`, `reserved_workers`, `lease_s`,
 * `collect_interval_s`, `scrub_period_days`, `scrub_rate`, `cache_size` and those of S3 may be missing
 * (empty, empty, "info", twice the processors, half of that, 30, 60, 14, 0, as the memory is, none).
 * SX_ECONFIG names the file and the member. */
int sx_node_conf_load(struct sx_node_conf *c, const char *dir, struct sx_err *e) SX_MUST_CHECK;
/* The same from a parsed object; `dir` is copied. */
int sx_node_conf_from_json(struct sx_node_conf *c, const char *dir, const json_t *j,
                           struct sx_err *e) SX_MUST_CHECK;
/* The object that sx_node_conf_from_json() reads back as `c`; new reference. */
json_t *sx_node_conf_to_json(const struct sx_node_conf *c);
void sx_node_conf_fini(struct sx_node_conf *c);

/* 16 hex digits of a node's id into `out` (SX_NODE_HEX + 1 bytes), and back: 0, or -1 if the text is
 * not 16 lower-case hex digits or the number not 1 … 2^63 - 1. */
char *sx_node_id_text(char *out, uint64_t id);
int sx_node_id_parse(const char *text, uint64_t *id) SX_MUST_CHECK;

#endif
