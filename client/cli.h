/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The frame of the commands: options, help, errors, exit status, output as JSON, questions.
 *
 * Exit status: 0 all done, 1 error, 2 some of several objects failed.
 */
#ifndef SX_CLIENT_CLI_H
#define SX_CLIENT_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libsx/base/buf.h"
#include "libsx/base/err.h"
#include "libsx/base/json.h"
#include "libsx/base/mem.h"
#include "libsx/client/sx.h"

#define CLI_OK 0
#define CLI_FAILED 1
#define CLI_PARTIAL 2

/* An option of a command.  The last of a table has the id 0. */
struct cli_option {
    int id;           /* the short letter, or a number from 256 on */
    const char *name; /* the long form */
    const char *arg;  /* what to call the argument in the help; NULL: takes none */
    const char *help;
};

struct cli_command {
    const char *name;     /* "sxcp" */
    const char *synopsis; /* lines, each "what follows the name" */
    const char *about;    /* one or a few sentences */
    const struct cli_option *options;
    /* Called for each own option.  Returns 0, or -1 with the error set. */
    int (*option)(void *arg, int id, const char *value, struct sx_err *e);
    void *arg;
    int section; /* of the manual page; 0: 1 */
};

struct cli {
    const char *name;
    const char *config_dir;
    bool json;
    bool quiet;
    int verbose;
    int done;   /* objects handled */
    int failed; /* objects that failed, each with its message */
    struct sx_client *client;
};

/* Parses the options, opens the client, and moves the operands to the front: *argc and *argv are
 * then the operands alone.  --help, --version and wrong usage end the process. */
void cli_start(struct cli *c, const struct cli_command *cmd, int *argc, char ***argv);
/* Frees all and gives the exit status by what was counted; a failed write to standard output is
 * an error too. */
int cli_end(struct cli *c);

/* "sxcp: message" on standard error, in one line. */
void cli_error(const struct cli *c, const struct sx_err *e);
/* The same, and counts a failed object. */
void cli_fail(struct cli *c, const struct sx_err *e);
void cli_note(const struct cli *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
_Noreturn void cli_usage(const char *name, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Prints the object as one line and drops the reference. */
void cli_json(json_t *j);

/* What a user may see on a terminal: control characters are replaced by '?'. */
char *cli_printable(const char *s); /* to be freed */

/* Questions, on the terminal; SX_EINVAL without one. */
bool cli_terminal(void);
int cli_ask(const char *question, char *out, size_t size, bool secret,
            struct sx_err *e) SX_MUST_CHECK;
int cli_ask_yes(const char *question, bool *yes, struct sx_err *e) SX_MUST_CHECK;
/* The first line of a file, for passwords. */
int cli_read_line(const char *file, char *out, size_t size, struct sx_err *e) SX_MUST_CHECK;

/* A URI and the cluster that it names.  Members are freed by cli_place_fini(). */
struct cli_place {
    struct sx_uri uri;
    struct sx_cluster *cluster; /* owned by the client */
};
/* What the URI must name; CLI_BELOW_CLUSTER: a volume, with or without a path. */
enum cli_place_kind { CLI_CLUSTER, CLI_VOLUME, CLI_FILE, CLI_BELOW_CLUSTER, CLI_ANY };
int cli_place(struct cli *c, const char *text, enum cli_place_kind kind, struct cli_place *p,
              struct sx_err *e) SX_MUST_CHECK;
void cli_place_fini(struct cli_place *p);

/* A number option. */
int cli_number(const char *name, const char *text, unsigned min, unsigned max, unsigned *out,
               struct sx_err *e) SX_MUST_CHECK;

#endif
