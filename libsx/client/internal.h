/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What the files of the client library share: the parts of a client and of an open cluster.
 */
#ifndef SX_CLIENT_INTERNAL_H
#define SX_CLIENT_INTERNAL_H

#include "libsx/base/buf.h"
#include "libsx/base/err.h"
#include "libsx/base/json.h"
#include "libsx/base/mem.h"

#include "libsx/client/sx.h"

#define SX_NAME_VOLUME_MIN 2
#define SX_NAME_VOLUME_MAX 255
#define SX_NAME_PATH_MAX 1024
#define SX_NAME_USER_MIN 2
#define SX_NAME_USER_MAX 64
#define SX_NAME_CLUSTER_MAX 100

/* A port that is not written. */
#define SX_CLIENT_PORT_DEFAULT 8443

/* Names, checked before they are sent so that the answer does not need the network. */
int sx_name_volume_check(const char *name, struct sx_err *e) SX_MUST_CHECK;
int sx_name_path_check(const char *path, struct sx_err *e) SX_MUST_CHECK;
int sx_name_user_check(const char *name, struct sx_err *e) SX_MUST_CHECK;
int sx_name_cluster_check(const char *name, struct sx_err *e) SX_MUST_CHECK;

struct sx_client {
    char *dir;
    uint64_t rate; /* bytes a second, 0: no limit */
    struct sx_cluster *clusters; /* opened, a list */
};

/* The aliases of a client: {"@home": "sx://user@cluster"}; an empty object if there are none. */
json_t *sx_alias_load(const struct sx_client *c, struct sx_err *e) SX_MUST_CHECK;

/* Paths of the configuration; to be freed. */
char *sx_config_path(const struct sx_client *c, const char *cluster, const char *file);
char *sx_config_user_path(const struct sx_client *c, const char *cluster, const char *user);

/* Writes cluster.json. */
int sx_config_cluster_save(const struct sx_client *c, const char *cluster, const char *uuid,
                           const char *user, const char *fingerprint, char *const *nodes,
                           size_t n_nodes, struct sx_err *e) SX_MUST_CHECK;
/* Replaces the nodes in cluster.json. */
int sx_config_nodes_save(const struct sx_client *c, const char *cluster, char *const *nodes,
                         size_t n_nodes, struct sx_err *e) SX_MUST_CHECK;
int sx_config_user_save(const struct sx_client *c, const struct sx_access *a,
                        struct sx_err *e) SX_MUST_CHECK;

#endif
