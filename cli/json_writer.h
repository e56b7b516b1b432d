/* SPDX-License-Identifier: Apache-2.0 */
/* Writes one JSON document as it becomes known, in bounded memory.
 *
 *   json_begin_object(&j);
 *   json_key(&j, "rows");
 *   json_begin_array(&j);
 *   ...
 *   json_end(&j);  json_end(&j);  json_finish(&j);
 *
 * The two outer levels are laid out in lines, what is inside them stays on one line.
 * Text that is not UTF-8 has its bad bytes replaced by U+FFFD. Numbers are numbers;
 * those that JSON can't say (NaN, Infinity) are strings.
 *
 * Wrong nesting is a bug and stops the process. */
#ifndef TIDEMARK_CLI_JSON_WRITER_H
#define TIDEMARK_CLI_JSON_WRITER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "cli/text_sink.h"

enum { JSON_DEPTH_MAX = 16 };

struct json_writer {
    struct text_sink *out; /* borrowed */
    unsigned depth;
    bool is_array[JSON_DEPTH_MAX];
    bool has_items[JSON_DEPTH_MAX];
    bool after_key;
    bool done;
};

void json_init(struct json_writer *j, struct text_sink *out);
void json_begin_object(struct json_writer *j);
void json_begin_array(struct json_writer *j);
void json_end(struct json_writer *j); /* of the innermost object or array */
void json_key(struct json_writer *j, const char *key);
void json_text(struct json_writer *j, struct bytes text);
void json_str(struct json_writer *j, const char *text);
void json_int(struct json_writer *j, int64_t v);
void json_uint(struct json_writer *j, uint64_t v);
void json_double(struct json_writer *j, double v);
void json_float(struct json_writer *j, float v);
void json_bool(struct json_writer *j, bool v);
void json_null(struct json_writer *j);
/* The document is complete: the last line end. */
void json_finish(struct json_writer *j);

/* A key and its value. */
void json_put_str(struct json_writer *j, const char *key, const char *text);
void json_put_uint(struct json_writer *j, const char *key, uint64_t v);
void json_put_bool(struct json_writer *j, const char *key, bool v);

#endif
