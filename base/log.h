/* SPDX-License-Identifier: Apache-2.0 */
/* Lines for the operator, to standard error, one event each:
 *
 *   2026-01-31T12:00:00.123456Z warn node=n1 wal slot-damaged index=7 term=2 segment=...
 *
 * error: someone must act; warn: will degrade; info: a state changed; debug: off.
 * 'room' and 'verb' are words without blanks; 'format' gives key=value pairs
 * (NULL: none), values with blanks in double quotes.
 *
 * Control characters become '?', so that no content can forge a line.
 *
 * A 'struct log' is passed by pointer; several threads may use one (a line is
 * one write). NULL logs nothing. */
#ifndef TIDEMARK_BASE_LOG_H
#define TIDEMARK_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

enum { LOG_LINE_SIZE_MAX = 2048 }; /* a longer line is cut and ends in " ..." */

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

struct log {
    enum log_level level;                           /* lines below it are left out */
    char node[64];                                  /* "" leaves node= out */
    int64_t (*wall_us)(void *context);              /* time of a line */
    void (*write)(void *context, const char *line); /* takes one line with its newline */
    void *context;
    bool json; /* each line is an object, see log_json.h */
};

void log_line(const struct log *log, enum log_level level, const char *room, const char *verb,
              const char *format, ...) ERR_FORMAT(5, 6);

/* A 'write' for struct log: the line to standard error. Ignores its context. */
void log_write_stderr(void *context, const char *line);

#define log_debug(log, ...) log_line(log, LOG_DEBUG, __VA_ARGS__)
#define log_info(log, ...) log_line(log, LOG_INFO, __VA_ARGS__)
#define log_warn(log, ...) log_line(log, LOG_WARN, __VA_ARGS__)
#define log_error(log, ...) log_line(log, LOG_ERROR, __VA_ARGS__)

#endif
