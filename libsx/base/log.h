/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The log of a process: one line an event, "time level role[pid] text", to standard
 * error or to a file.  A line is one write(2), so processes may share the file.
 * Thread safe.  Never writes secrets: callers see to that.
 */
#ifndef SX_BASE_LOG_H
#define SX_BASE_LOG_H

enum sx_log_level { SX_LOG_ERROR, SX_LOG_WARN, SX_LOG_INFO, SX_LOG_DEBUG };

/* Opens (or, on a second call with the same path, reopens after rotation) the log
 * file; NULL means standard error.  Returns 0, or -1 with errno set and the old
 * destination kept. */
int sx_log_open(const char *path);

void sx_log_level_set(enum sx_log_level level);
enum sx_log_level sx_log_level_get(void);

/* The role shown in each line ("worker 3", "group manager"); copied, at most 31 bytes. */
void sx_log_role(const char *role);

void sx_log(enum sx_log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define sx_error(...) sx_log(SX_LOG_ERROR, __VA_ARGS__)
#define sx_warn(...) sx_log(SX_LOG_WARN, __VA_ARGS__)
#define sx_info(...) sx_log(SX_LOG_INFO, __VA_ARGS__)
#define sx_debug(...)                                                                              \
    do {                                                                                           \
        if (sx_log_level_get() >= SX_LOG_DEBUG)                                                    \
            sx_log(SX_LOG_DEBUG, __VA_ARGS__);                                                     \
    } while (0)

#endif
