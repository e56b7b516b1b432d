/* SPDX-License-Identifier: Apache-2.0 */
/* A line of log.h as one JSON object, for programs that collect logs:
 *
 *   {"time":"2026-01-31T12:00:00.123456Z","level":"warn","node":"n1","room":"wal",
 *    "verb":"slot-damaged","index":7,"term":2,"segment":"..."}
 *
 * The pairs of the text line become members: numbers of up to 15 digits (which
 * any reader keeps exactly) as numbers, all else as strings. A value in quotes
 * ends at the quote behind which the line ends or the next pair begins; one
 * without, before that pair. Bytes that are no UTF-8 become '?'. What does not
 * fit is cut, and the object ends in "cut":true; it is valid JSON always. */
#ifndef TIDEMARK_BASE_LOG_JSON_H
#define TIDEMARK_BASE_LOG_JSON_H

#include <stdbool.h>

#include "base/log.h"

struct log_json {
    const char *time, *level, *room, *verb;
    const char *node;  /* "": left out */
    const char *pairs; /* "index=7 reason=\"no space\"" */
    bool cut;          /* the pairs are not all there are */
};

/* The object and a newline. */
void log_json_write(const struct log_json *line, char dst[LOG_LINE_SIZE_MAX + 1]);

#endif
