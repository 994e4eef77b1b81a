/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Behind a proxy the client signed another Host than the one that arrives here.  Which values are
 * worth a try, for sx_sig_check.hosts, beside Host as it came.
 */
#ifndef SX_FCGI_S3_HOSTS_H
#define SX_FCGI_S3_HOSTS_H

#include <stdbool.h>

#define SX_S3_HOSTS_MAX 6
#define SX_S3_HOST_TEXT 300 /* a name of 255 bytes with its port */

struct sx_s3_hosts_in {
    const char *external;       /* configured, "name" or "name:port"; NULL: none */
    bool trusted;               /* whether the peer may say what follows */
    const char *forwarded_host; /* X-Forwarded-Host, or NULL; the first of a list counts */
    const char *forwarded_port; /* X-Forwarded-Port, or NULL; likewise */
};

struct sx_s3_hosts {
    const char *list[SX_S3_HOSTS_MAX + 1]; /* ended by NULL; for sx_sig_check.hosts */
    char text[SX_S3_HOSTS_MAX][SX_S3_HOST_TEXT];
    unsigned n;
};

/* The candidates, none twice: the external name; the forwarded one as it is, without its port, and
 * with the forwarded port.  `list` points into `h`: do not copy it. */
void sx_s3_hosts(struct sx_s3_hosts *h, const struct sx_s3_hosts_in *in);

#endif
