/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What creating and joining share: defaults, checks, the directory and its files.  See setup.h.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <netdb.h>
#include <pwd.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "libsx/base/mem.h"
#include "libsx/base/text.h"
#include "libsx/crypt/crypt.h"
#include "libsx/io/io.h"
#include "sxhttpd/ping.h"
#include "tools/setup.h"

#define DEFAULT_DIR "/var/lib/sx"
#define DEFAULT_NAME "sx"
#define DEFAULT_USER "sx"
#define SPACE_PERCENT 80       /* of the free space, when no size is given */
#define WORKERS_PER_CPU 4
#define WORKERS_MIN 8
#define WORKERS_DEFAULT_MAX 64
#define FTW_FDS 16
#define MARK "setup.part"

/* ---- defaults ------------------------------------------------------------------------------ */

/* The address this machine would use towards the outside; nothing is sent. */
static const char *own_address(char *out, size_t size)
{
    struct sockaddr_in there = { .sin_family = AF_INET, .sin_port = htons(9) }, here;
    SX_AUTO_CLOSE int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    socklen_t n = sizeof here;

    inet_pton(AF_INET, "192.0.2.1", &there.sin_addr); /* RFC 5737: nobody's */
    if (fd < 0 || connect(fd, (struct sockaddr *)&there, sizeof there) != 0 ||
        getsockname(fd, (struct sockaddr *)&here, &n) != 0 ||
        !inet_ntop(AF_INET, &here.sin_addr, out, (socklen_t)size))
        snprintf(out, size, "127.0.0.1");
    return out;
}

static unsigned default_workers(void)
{
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    int workers = n * WORKERS_PER_CPU;

    return workers < WORKERS_MIN ? WORKERS_MIN :
           workers > WORKERS_DEFAULT_MAX ? WORKERS_DEFAULT_MAX : (unsigned)workers;
}

/* Free bytes of the file system that holds the directory or will hold it. */
static int free_space(const char *dir, uint64_t *bytes, struct sx_err *e)
{
    SX_AUTO_FREE char *path = sx_strdup(dir);
    struct statvfs fs;
    char *slash;

    while (statvfs(path, &fs) != 0) {
        if (errno != ENOENT || strcmp(path, ".") == 0)
            return sx_err_errno(e, errno, "file system of %s", dir);
        slash = strrchr(path, '/');
        if (slash)
            slash[slash == path] = '\0';
        else
            strcpy(path, "."); /* a name is never shorter */
    }
    *bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
    return 0;
}

static void fill_defaults(struct setup_plan *p)
{
    if (!p->name)
        p->name = DEFAULT_NAME;
    if (!p->dir)
        p->dir = DEFAULT_DIR;
    if (!p->address)
        p->address = own_address(p->own_address, sizeof p->own_address);
    if (p->port == 0)
        p->port = SX_SETUP_PORT;
    if (p->peer_port == 0)
        p->peer_port = p->port + 1;
    if (!p->zone)
        p->zone = "";
    if (p->workers == 0)
        p->workers = default_workers();
    if (p->reserved_workers == 0)
        p->reserved_workers = (p->workers + 1) / 2;
    if (!p->user)
        p->user = geteuid() == 0 && getpwnam(DEFAULT_USER) ? DEFAULT_USER : "";
    if (!p->log_level)
        p->log_level = "info";
}

/* ---- checks -------------------------------------------------------------------------------- */

static int check_name(const char *name, struct sx_err *e)
{
    size_t n = strlen(name);

    if (n < 1 || n > SX_NODE_NAME_MAX || name[0] == '.' || name[0] == '-' ||
        strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") != n)
        return sx_err_set(e, SX_ENAME, "cluster name '%.80s': 1 to %d of A-Z a-z 0-9 . _ - are allowed", name,
                          SX_NODE_NAME_MAX);
    return 0;
}

/* A directory may be used if it is not there, empty, or holds an interrupted set-up. */
static int check_dir(const char *dir, struct sx_err *e)
{
    SX_AUTO_FREE char *node = sx_asprintf("%s/node.json", dir), *mark = sx_asprintf("%s/" MARK, dir);
    struct dirent *entry;
    bool empty = true;
    DIR *d;

    if (access(node, F_OK) == 0)
        return sx_err_set(e, SX_EEXIST, "%s holds a node already; start it with: sxserver start --dir %s", dir,
                          dir);
    if (access(mark, F_OK) == 0)
        return 0;
    d = opendir(dir);
    if (!d)
        return errno == ENOENT ? 0 : sx_err_errno(e, errno, "directory %s", dir);
    while ((entry = readdir(d)) != NULL)
        empty = empty && (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
                          strcmp(entry->d_name, "lost+found") == 0);
    closedir(d);
    if (!empty)
        return sx_err_set(e, SX_EEXIST, "%s is not empty; give an empty or new directory with --dir", dir);
    return 0;
}

static int check_space(struct setup_plan *p, struct sx_err *e)
{
    char want[SX_SIZE_TEXT], have[SX_SIZE_TEXT];
    uint64_t bytes = 0;

    if (free_space(p->dir, &bytes, e) != 0)
        return -1;
    if (p->size == 0)
        p->size = bytes / 100 * SPACE_PERCENT;
    if (p->size < SX_SETUP_SIZE_MIN)
        return sx_err_set(e, SX_ENOSPACE, "size %s is too small: a node needs at least %s",
                          sx_size_text(want, p->size), sx_size_text(have, SX_SETUP_SIZE_MIN));
    if (p->size > bytes)
        return sx_err_set(e, SX_ENOSPACE, "size %s is more than the %s that are free in %s",
                          sx_size_text(want, p->size), sx_size_text(have, bytes), p->dir);
    return 0;
}

static int check_user(const char *user, struct sx_err *e)
{
    if (!user[0])
        return 0;
    if (!getpwnam(user))
        return sx_err_set(e, SX_ENOUSER, "there is no system account '%s'; make one with: adduser --system --group %s",
                          user, user);
    if (geteuid() != 0)
        return sx_err_set(e, SX_EACCESS, "only root can set up a node for another account ('%s')", user);
    return 0;
}

int setup_plan_complete(struct setup_plan *p, struct sx_err *e)
{
    fill_defaults(p);
    if (p->port > 65535 || p->peer_port > 65535 || p->port == p->peer_port)
        return sx_err_set(e, SX_EINVAL, "ports %u and %u: two different ones up to 65535 are needed", p->port,
                          p->peer_port);
    if (p->s3_port && (p->s3_port == p->port || p->s3_port == p->peer_port))
        return sx_err_set(e, SX_EINVAL, "the S3 port %u is already the node's other port; give another one",
                          p->s3_port);
    if (strlen(p->address) > SX_CONF_ADDRESS_MAX || strlen(p->zone) > SX_CONF_ZONE_MAX)
        return sx_err_set(e, SX_ENAMETOOLONG, "the address or the zone is too long");
    if (check_name(p->name, e) != 0 || check_user(p->user, e) != 0 || check_dir(p->dir, e) != 0 ||
        check_space(p, e) != 0)
        return -1;
    if (sx_httpd_port_free(p->address, p->port, e) != 0 ||
        (p->s3_port && sx_httpd_port_free(p->address, p->s3_port, e) != 0))
        return -1;
    return sx_httpd_port_free(p->address, p->peer_port, e);
}

/* ---- the directory ------------------------------------------------------------------------- */

int setup_file(const struct setup_plan *p, const char *name, const void *data, size_t n, unsigned mode,
               struct sx_err *e)
{
    SX_AUTO_FREE char *path = sx_asprintf("%s/%s", p->full_dir, name);

    return sx_io_replace(&sx_io_posix, path, data, n, (mode_t)mode, e);
}

int setup_dir_begin(struct setup_plan *p, struct sx_err *e)
{
    static const char *const subs[] = { "tls", "secret", "meta", "store", "queue", "run", "log" };

    if (sx_io_mkdirs(p->dir, e) != 0)
        return -1;
    if (!realpath(p->dir, p->full_dir))
        return sx_err_errno(e, errno, "directory %s", p->dir);
    if (chmod(p->full_dir, 0700) != 0)
        return sx_err_errno(e, errno, "chmod %s", p->full_dir);
    if (setup_file(p, MARK, "", 0, 0600, e) != 0)
        return -1;
    for (size_t i = 0; i < sizeof subs / sizeof subs[0]; i++) {
        SX_AUTO_FREE char *path = sx_asprintf("%s/%s", p->full_dir, subs[i]);

        if (mkdir(path, 0700) != 0 && errno != EEXIST)
            return sx_err_errno(e, errno, "mkdir %s", path);
    }
    return sx_io_sync_dir(&sx_io_posix, p->full_dir, e);
}

static const struct passwd *new_owner; /* of what give() visits: nftw(3) passes no argument */

static int give(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return lchown(path, new_owner->pw_uid, new_owner->pw_gid);
}

int setup_dir_finish(struct setup_plan *p, const struct sx_node_conf *c, struct sx_err *e)
{
    SX_AUTO_FREE char *mark = sx_asprintf("%s/" MARK, p->full_dir);
    SX_AUTO(sx_buf) struct sx_buf text = SX_BUF_INIT;
    SX_AUTO_JSON json_t *j = sx_node_conf_to_json(c);
    SX_AUTO_FREE char *pretty = json_dumps(j, JSON_INDENT(2));

    sx_buf_printf(&text, "%s\n", pretty);
    if (setup_file(p, "node.json", text.data, text.len, 0600, e) != 0)
        return -1;
    new_owner = p->user[0] ? getpwnam(p->user) : NULL;
    if (new_owner && nftw(p->full_dir, give, FTW_FDS, FTW_PHYS) != 0)
        return sx_err_errno(e, errno, "give %s to %s", p->full_dir, p->user);
    if (unlink(mark) != 0)
        return sx_err_errno(e, errno, "unlink %s", mark);
    return sx_io_sync_dir(&sx_io_posix, p->full_dir, e);
}

/* ---- parts of a node ----------------------------------------------------------------------- */

uint64_t setup_node_id(void)
{
    uint64_t id;

    do {
        sx_random(&id, sizeof id);
        id &= INT64_MAX;
    } while (id == 0);
    return id;
}

int setup_conf(const struct setup_plan *p, const char *cluster, const char *name, uint64_t node,
               struct sx_node_conf *c, struct sx_err *e)
{
    char hex[SX_NODE_HEX + 1];
    SX_AUTO_JSON json_t *j = json_pack(
        "{s:s, s:s, s:s, s:s, s:i, s:i, s:i, s:s, s:I, s:i, s:i, s:s, s:s}", "cluster", cluster, "name", name, "node",
        sx_node_id_text(hex, node), "address", p->address, "port", (int)p->port, "peer_port", (int)p->peer_port,
        "s3_port", (int)p->s3_port, "zone", p->zone, "capacity", (json_int_t)p->size, "workers", (int)p->workers, "reserved_workers",
        (int)p->reserved_workers, "user", p->user, "log_level", p->log_level);

    if (!j)
        return sx_err_set(e, SX_EINVAL, "a name, address or zone is not valid UTF-8");
    return sx_node_conf_from_json(c, p->full_dir, j, e);
}

int setup_tls(const struct setup_plan *p, const char *ca, const char *cert, const char *key, struct sx_err *e)
{
    SX_AUTO(sx_buf) struct sx_buf chain = SX_BUF_INIT;

    sx_buf_printf(&chain, "%s%s", cert, ca);
    if (setup_file(p, "tls/ca.pem", ca, strlen(ca), 0644, e) != 0 ||
        setup_file(p, "tls/node.key", key, strlen(key), 0600, e) != 0)
        return -1;
    return setup_file(p, "tls/node.pem", chain.data, chain.len, 0644, e);
}

void setup_result_fini(struct setup_result *r)
{
    sx_node_conf_fini(&r->conf);
    free(r->key_file);
}
