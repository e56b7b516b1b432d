/* SPDX-License-Identifier: Apache-2.0 */
/* Where a command's output goes: gathered, then written to a file in large
 * pieces. With file == NULL it only gathers, for tests.
 *
 * A write that fails (the reader of a pipe left) is remembered; later output is
 * thrown away, so that whoever produces it can look now and then.
 *
 * One thread. */
#ifndef TIDEMARK_CLI_TEXT_SINK_H
#define TIDEMARK_CLI_TEXT_SINK_H

#include <stdbool.h>
#include <stdio.h>

#include "base/bytes.h"
#include "base/err.h"

enum { TEXT_SINK_FLUSH_SIZE = 64 * 1024 };

struct text_sink {
    struct buf text;
    FILE *file; /* borrowed; NULL: keep everything */
    bool failed;
};

void text_sink_init(struct text_sink *s, FILE *file);
void text_sink_deinit(struct text_sink *s); /* does not flush */

void text_sink_put(struct text_sink *s, struct bytes text);
void text_sink_str(struct text_sink *s, const char *text);
void text_sink_char(struct text_sink *s, char c);
void text_sink_printf(struct text_sink *s, const char *format, ...) ERR_FORMAT(2, 3);

/* Everything so far to the file. False: a write failed, now or before. */
bool text_sink_flush(struct text_sink *s);

/* What was gathered, as a string; for tests without a file. */
const char *text_sink_text(struct text_sink *s);

#endif
