/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/json_writer.h"

#include <inttypes.h>
#include <math.h>

#include "base/check.h"
#include "cli/value_text.h"

enum { LINES_DEPTH = 2 }; /* levels that are laid out in lines */

void json_init(struct json_writer *j, struct text_sink *out)
{
    *j = (struct json_writer){.out = out};
}

static void new_line(struct json_writer *j, unsigned depth)
{
    text_sink_char(j->out, '\n');
    for (unsigned i = 0; i < depth; i++) {
        text_sink_str(j->out, "  ");
    }
}

/* Comma and layout before a key, or before a value of an array. */
static void separate(struct json_writer *j)
{
    CHECK(j->depth > 0);
    if (j->has_items[j->depth - 1]) {
        text_sink_char(j->out, ',');
    }
    if (j->depth <= LINES_DEPTH) {
        new_line(j, j->depth);
    } else if (j->has_items[j->depth - 1]) {
        text_sink_char(j->out, ' ');
    }
    j->has_items[j->depth - 1] = true;
}

static void begin_value(struct json_writer *j)
{
    CHECK(!j->done);
    if (j->depth == 0) {
        j->done = true;
        return;
    }
    if (j->is_array[j->depth - 1]) {
        separate(j);
    } else {
        CHECK(j->after_key);
    }
    j->after_key = false;
}

static void begin(struct json_writer *j, bool array)
{
    begin_value(j);
    j->done = false;
    CHECK(j->depth < JSON_DEPTH_MAX);
    text_sink_char(j->out, array ? '[' : '{');
    j->is_array[j->depth] = array;
    j->has_items[j->depth] = false;
    j->depth++;
}

void json_begin_object(struct json_writer *j)
{
    begin(j, false);
}

void json_begin_array(struct json_writer *j)
{
    begin(j, true);
}

void json_end(struct json_writer *j)
{
    CHECK(j->depth > 0);
    CHECK(!j->after_key);
    j->depth--;
    if (j->has_items[j->depth] && j->depth < LINES_DEPTH) {
        new_line(j, j->depth);
    }
    text_sink_char(j->out, j->is_array[j->depth] ? ']' : '}');
    j->done = j->depth == 0;
}

static void put_escaped(struct json_writer *j, uint8_t c)
{
    switch (c) {
    case '"':
    case '\\':
        text_sink_char(j->out, '\\');
        text_sink_char(j->out, (char)c);
        return;
    case '\n':
        text_sink_str(j->out, "\\n");
        return;
    case '\t':
        text_sink_str(j->out, "\\t");
        return;
    default:
        text_sink_printf(j->out, "\\u%04x", c);
    }
}

static bool is_plain(uint8_t c)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

static void put_string(struct json_writer *j, struct bytes text)
{
    text_sink_char(j->out, '"');
    size_t i = 0;
    while (i < text.size) {
        size_t first = i;
        while (i < text.size && is_plain(text.data[i])) {
            i++;
        }
        text_sink_put(j->out, bytes_of(text.data + first, i - first));
        if (i == text.size) {
            break;
        }
        size_t size = value_text_utf8_size(bytes_of(text.data + i, text.size - i));
        if (size == 0) {
            text_sink_str(j->out, "\xef\xbf\xbd");
            i++;
        } else if (size == 1) {
            put_escaped(j, text.data[i++]);
        } else {
            text_sink_put(j->out, bytes_of(text.data + i, size));
            i += size;
        }
    }
    text_sink_char(j->out, '"');
}

void json_key(struct json_writer *j, const char *key)
{
    CHECK(j->depth > 0);
    CHECK(!j->is_array[j->depth - 1]);
    CHECK(!j->after_key);
    separate(j);
    put_string(j, bytes_str(key));
    text_sink_str(j->out, ": ");
    j->after_key = true;
}

void json_text(struct json_writer *j, struct bytes text)
{
    begin_value(j);
    put_string(j, text);
}

void json_str(struct json_writer *j, const char *text)
{
    json_text(j, bytes_str(text));
}

void json_int(struct json_writer *j, int64_t v)
{
    begin_value(j);
    text_sink_printf(j->out, "%" PRId64, v);
}

void json_uint(struct json_writer *j, uint64_t v)
{
    begin_value(j);
    text_sink_printf(j->out, "%" PRIu64, v);
}

static void put_real(struct json_writer *j, const char *text, bool finite)
{
    if (finite) {
        begin_value(j);
        text_sink_str(j->out, text);
    } else {
        json_str(j, text);
    }
}

void json_double(struct json_writer *j, double v)
{
    char text[VALUE_TEXT_DOUBLE_SIZE];
    put_real(j, value_text_print_double(v, text), isfinite(v));
}

void json_float(struct json_writer *j, float v)
{
    char text[VALUE_TEXT_DOUBLE_SIZE];
    put_real(j, value_text_print_float(v, text), isfinite(v));
}

void json_bool(struct json_writer *j, bool v)
{
    begin_value(j);
    text_sink_str(j->out, v ? "true" : "false");
}

void json_null(struct json_writer *j)
{
    begin_value(j);
    text_sink_str(j->out, "null");
}

void json_finish(struct json_writer *j)
{
    CHECK(j->depth == 0);
    CHECK(j->done);
    text_sink_char(j->out, '\n');
}

void json_put_str(struct json_writer *j, const char *key, const char *text)
{
    json_key(j, key);
    json_str(j, text);
}

void json_put_uint(struct json_writer *j, const char *key, uint64_t v)
{
    json_key(j, key);
    json_uint(j, v);
}

void json_put_bool(struct json_writer *j, const char *key, bool v)
{
    json_key(j, key);
    json_bool(j, v);
}
