/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The parts of sxsetup.  A node's directory is made in one go; the file setup.part stands in it while that
 * is under way, so an interrupted set-up can be repeated and a finished one is never overwritten.
 */
#ifndef SX_TOOLS_SETUP_H
#define SX_TOOLS_SETUP_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "fcgi/conf.h"
#include "libsx/base/buf.h"
#include "libsx/base/err.h"

#define SX_SETUP_PORT 8443
#define SX_SETUP_ADMIN "admin"
#define SX_SETUP_SIZE_MIN (64ull << 20)

/* What was asked for, with the defaults filled in by setup_plan_complete(). */
struct setup_plan {
    const char *name;    /* of the cluster; new ones only */
    const char *token;   /* join */
    const char *address;
    unsigned port, peer_port;
    unsigned s3_port;    /* 0: none */
    const char *dir;
    uint64_t size;
    const char *zone;
    unsigned workers, reserved_workers;
    const char *user;
    const char *log_level;
    bool start;
    bool json;
    char own_address[64];     /* where a default address is kept */
    char full_dir[PATH_MAX];  /* the directory as realpath(3) gives it, once made */
};

/* What came out. */
struct setup_result {
    struct sx_node_conf conf;
    char fingerprint[65]; /* of the CA */
    char *key_file;       /* of the first administrator; NULL after a join */
};

/* Fills in defaults and checks everything that can be checked before anything is made: names, address,
 * ports, directory, space. */
int setup_plan_complete(struct setup_plan *p, struct sx_err *e) SX_MUST_CHECK;

/* Makes the directory with its subdirectories and the mark. */
int setup_dir_begin(struct setup_plan *p, struct sx_err *e) SX_MUST_CHECK;
/* Writes node.json, gives everything to the node's user, takes the mark away. */
int setup_dir_finish(struct setup_plan *p, const struct sx_node_conf *c, struct sx_err *e) SX_MUST_CHECK;
/* Writes DIR/NAME durably. */
int setup_file(const struct setup_plan *p, const char *name, const void *data, size_t n, unsigned mode,
               struct sx_err *e) SX_MUST_CHECK;
/* The settings of the new node; cluster, name and node are the caller's to fill in. */
int setup_conf(const struct setup_plan *p, const char *cluster, const char *name, uint64_t node,
               struct sx_node_conf *c, struct sx_err *e) SX_MUST_CHECK;
/* A random id, 1 … 2^63 - 1. */
uint64_t setup_node_id(void);
/* Writes tls/ca.pem, tls/node.key, and tls/node.pem: the node's certificate, then the CA's, so that clients can pin it. */
int setup_tls(const struct setup_plan *p, const char *ca, const char *cert, const char *key,
              struct sx_err *e) SX_MUST_CHECK;

/* The first node of a new cluster, and a further one: all files; nothing is started. */
int setup_create(struct setup_plan *p, struct setup_result *r, struct sx_err *e) SX_MUST_CHECK;
int setup_join(struct setup_plan *p, struct setup_result *r, struct sx_err *e) SX_MUST_CHECK;
/* After the start of a node that joined: waits until it holds what the cluster had when it came. */
int setup_wait_member(const struct setup_plan *p, const struct setup_result *r, unsigned timeout_s,
                      struct sx_err *e) SX_MUST_CHECK;

void setup_result_fini(struct setup_result *r);

#endif
