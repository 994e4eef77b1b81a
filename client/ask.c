/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Questions on the terminal, and passwords from files.  See cli.h.
 */
#include "client/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <termios.h>
#include <unistd.h>

bool cli_terminal(void)
{
    return isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
}

static void chomp(char *s)
{
    s[strcspn(s, "\r\n")] = '\0';
}

int cli_ask(const char *question, char *out, size_t size, bool secret, struct sx_err *e)
{
    struct termios old, quiet;
    char *got;

    if (!cli_terminal())
        return sx_err_set(e, SX_EINVAL, "%s: cannot ask without a terminal; use the options",
                          question);
    fprintf(stderr, "%s: ", question);
    if (secret && tcgetattr(STDIN_FILENO, &old) == 0) {
        quiet = old;
        quiet.c_lflag &= ~(tcflag_t)ECHO;
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
    } else {
        secret = false;
    }
    got = fgets(out, (int)size, stdin);
    if (secret) {
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &old);
        fputc('\n', stderr);
    }
    if (!got)
        return sx_err_set(e, SX_ECANCELED, "%s: no answer", question);
    chomp(out);
    return 0;
}

int cli_ask_yes(const char *question, bool *yes, struct sx_err *e)
{
    char answer[16];

    if (cli_ask(question, answer, sizeof answer, false, e))
        return -1;
    *yes = !strcasecmp(answer, "y") || !strcasecmp(answer, "yes");
    return 0;
}

int cli_read_line(const char *file, char *out, size_t size, struct sx_err *e)
{
    SX_AUTO_CLOSE int fd = open(file, O_RDONLY | O_CLOEXEC);
    ssize_t n;

    if (fd < 0)
        return sx_err_errno(e, errno, "%s", file);
    n = read(fd, out, size - 1);
    if (n < 0)
        return sx_err_errno(e, errno, "%s", file);
    out[n] = '\0';
    chomp(out);
    if (!out[0])
        return sx_err_set(e, SX_EINVAL, "%s: the first line is empty", file);
    return 0;
}
