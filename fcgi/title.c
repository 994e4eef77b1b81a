/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See title.h.  Linux shows as the command line what lies between argv[0] and the end of the last
 * argument, and on into the environment if no NUL ends the arguments (proc(5)).
 */
#include "fcgi/title.h"

#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "libsx/base/mem.h"

static char *area;
static size_t area_size;

static void take_neighbour(char **end, const char *s)
{
    if (s == *end)
        *end += strlen(s) + 1;
}

void sx_title_init(int argc, char **argv)
{
    char *end = argv[0];
    size_t n = 0;
    char **env;

    for (int i = 0; i < argc; i++)
        take_neighbour(&end, argv[i]);
    while (environ && environ[n])
        take_neighbour(&end, environ[n++]);
    env = sx_calloc(n + 1, sizeof *env);
    for (size_t i = 0; i < n; i++)
        env[i] = sx_strdup(environ[i]);
    environ = env;
    area = argv[0];
    area_size = (size_t)(end - argv[0]);
}

void sx_title_set(const char *role)
{
    if (area_size > 0) {
        memset(area, 0, area_size);
        snprintf(area, area_size, "sx.fcgi: %s", role);
    }
    prctl(PR_SET_NAME, role);
}
