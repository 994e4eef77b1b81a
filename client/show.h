/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Volumes and files as several commands print them, as text and as JSON.
 */
#ifndef SX_CLIENT_SHOW_H
#define SX_CLIENT_SHOW_H

#include "client/cli.h"

/* A page of several lines about a volume; `arg` is the struct cli. */
int show_volume_details(void *arg, const struct sx_volume_info *v);

/* One line a volume; `arg` is this. */
struct show_volumes {
    struct cli *cli;
    const struct sx_uri *uri; /* of the cluster */
    bool full;                /* -l */
    bool human;               /* -H */
};
int show_volume_line(void *arg, const struct sx_volume_info *v);

/* One line a file or directory. */
void show_file_line(struct cli *c, const struct sx_uri *u, const struct sx_file_info *f, bool full,
                    bool human);

#define SHOW_RIGHTS_MAX 32
/* "read,write,manager,owner", or "-"; `out` takes SHOW_RIGHTS_MAX bytes. */
char *show_rights(char *out, unsigned rights);
json_t *show_rights_json(unsigned rights);

#endif
