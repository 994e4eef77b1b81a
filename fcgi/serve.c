/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See serve.h.
 */
#include "fcgi/serve.h"

#include <string.h>

#include "fcgi/api/route.h"
#include "fcgi/api/worker.h"
#include "fcgi/s3/gateway.h"

/* What came by s3_port is of S3, whatever its path. */
static bool is_native(const struct sx_req *r)
{
    return !sx_req_param(r, "SX_S3_ONLY") &&
           (!r->path || strncmp(r->path, "/.sx/", 5) == 0 || strncmp(r->path, "/.node/", 7) == 0);
}

static void serve_client(struct sx_req *r)
{
    if (is_native(r))
        sx_route_serve(r);
    else
        sx_s3_serve(r);
}

static void refuse_client(struct sx_req *r, const struct sx_err *e)
{
    if (is_native(r))
        sx_route_fail(r, e);
    else
        sx_s3_refuse(r, e);
}

int sx_serve_clients(const struct sx_child *child)
{
    return sx_worker_run(child, false, serve_client, refuse_client);
}

int sx_serve_nodes(const struct sx_child *child)
{
    return sx_worker_run(child, true, sx_route_serve, sx_route_fail);
}
