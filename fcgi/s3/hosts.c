/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See hosts.h.
 */
#include "fcgi/s3/hosts.h"

#include <stdio.h>
#include <string.h>

#define PORT_DIGITS_MAX 5

static void add(struct sx_s3_hosts *h, const char *s, size_t n, const char *port, size_t port_n)
{
    char text[SX_S3_HOST_TEXT];

    if (n == 0 || n + 1 + port_n >= sizeof text || h->n == SX_S3_HOSTS_MAX)
        return;
    snprintf(text, sizeof text, "%.*s%s%.*s", (int)n, s, port_n ? ":" : "", (int)port_n, port);
    for (unsigned i = 0; i < h->n; i++)
        if (strcmp(h->text[i], text) == 0)
            return;
    memcpy(h->text[h->n], text, sizeof text);
    h->list[h->n] = h->text[h->n];
    h->n++;
}

/* The first item of a list, without blanks. */
static const char *first_item(const char *s, size_t *n)
{
    s += strspn(s, " \t");
    *n = strcspn(s, ", \t");
    return s;
}

/* Length without ":port"; the colons in "[::1]" are none of a port. */
static size_t without_port(const char *s, size_t n)
{
    size_t bare = n;

    while (bare && s[bare - 1] >= '0' && s[bare - 1] <= '9')
        bare--;
    return bare && bare < n && s[bare - 1] == ':' ? bare - 1 : n;
}

void sx_s3_hosts(struct sx_s3_hosts *h, const struct sx_s3_hosts_in *in)
{
    const char *host, *port;
    size_t n, port_n, bare;

    memset(h, 0, sizeof *h);
    if (in->external)
        add(h, in->external, strlen(in->external), "", 0);
    if (!in->trusted || !in->forwarded_host)
        return;
    host = first_item(in->forwarded_host, &n);
    bare = without_port(host, n);
    add(h, host, n, "", 0);
    add(h, host, bare, "", 0);
    if (!in->forwarded_port)
        return;
    port = first_item(in->forwarded_port, &port_n);
    if (port_n && port_n <= PORT_DIGITS_MAX && strspn(port, "0123456789") == port_n)
        add(h, host, bare, port, port_n);
}
