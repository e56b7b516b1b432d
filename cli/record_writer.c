/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/record_writer.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/check.h"
#include "base/mem.h"
#include "cli/value_text.h"

enum part { BEFORE, RECORDS, AFTER };

struct cell {
    size_t at; /* in struct record_writer's 'text' */
    size_t size;
    bool number;
    bool marked;
};

struct record_writer {
    struct text_sink *out; /* borrowed */
    struct record_style style;
    const char *const *columns; /* borrowed */
    size_t column_count;
    size_t column; /* of the next value */
    uint64_t count;
    enum part part; /* json */
    struct json_writer json;
    bool mark;
    /* Table: */
    bool sampled; /* widths are known and the header is written */
    size_t *widths;
    bool *numbers; /* columns that hold numbers alone */
    struct buf text;
    struct cell *cells; /* of whole records */
    size_t cell_count, cell_capacity;
};

struct record_writer *record_open(struct text_sink *out, const struct record_style *style,
                                  const char *const *columns, size_t column_count)
{
    CHECK(column_count > 0);
    struct record_writer *w = mem_zalloc(sizeof *w);
    w->out = out;
    w->style = *style;
    w->columns = columns;
    w->column_count = column_count;
    w->widths = mem_array(column_count, sizeof *w->widths);
    w->numbers = mem_array(column_count, sizeof *w->numbers);
    json_init(&w->json, out);
    if (style->format == FORMAT_JSON) {
        json_begin_object(&w->json);
    }
    return w;
}

/* --- table --- */

/* Characters, where a character is what is not the middle of one. */
static size_t shown_width(struct bytes text)
{
    size_t width = 0;
    for (size_t i = 0; i < text.size; i++) {
        width += (text.data[i] & 0xc0) != 0x80 ? 1 : 0;
    }
    return width;
}

static void put_blanks(struct text_sink *out, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        text_sink_char(out, ' ');
    }
}

static void put_clean(struct text_sink *out, struct bytes text)
{
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.data[i];
        if (c < 0x20 || c == 0x7f) {
            c = '?';
        }
        text_sink_char(out, (char)c);
    }
}

static void put_colored(const struct record_writer *w, struct bytes text, const char *color)
{
    bool colored = w->style.color && color != NULL && text.size > 0;
    if (colored) {
        text_sink_str(w->out, color);
    }
    put_clean(w->out, text);
    if (colored) {
        text_sink_str(w->out, "\x1b[0m");
    }
}

static void put_cell(const struct record_writer *w, size_t column, struct bytes text,
                     const char *color)
{
    size_t width = shown_width(text);
    size_t pad = w->widths[column] > width ? w->widths[column] - width : 0;
    bool last = column + 1 == w->column_count;
    if (column > 0) {
        put_blanks(w->out, 2);
    }
    if (w->numbers[column]) {
        put_blanks(w->out, pad);
    }
    put_colored(w, text, color);
    if (!w->numbers[column] && !last) {
        put_blanks(w->out, pad);
    }
    if (last) {
        text_sink_char(w->out, '\n');
    }
}

static struct bytes cell_text(const struct record_writer *w, const struct cell *cell)
{
    return cell->size == 0 ? (struct bytes){0} : bytes_of(w->text.data + cell->at, cell->size);
}

static void measure(struct record_writer *w)
{
    size_t column = 0;
    for (size_t c = 0; c < w->column_count; c++) {
        w->widths[c] = shown_width(bytes_str(w->columns[c]));
        w->numbers[c] = w->cell_count >= w->column_count;
    }
    for (size_t i = 0; i < w->cell_count; i++) {
        size_t width = shown_width(cell_text(w, &w->cells[i]));
        w->widths[column] = width > w->widths[column] ? width : w->widths[column];
        w->numbers[column] = w->numbers[column] && (w->cells[i].number || w->cells[i].size == 0);
        column = column + 1 < w->column_count ? column + 1 : 0;
    }
}

/* Writes the records that are held. */
static void put_held(struct record_writer *w)
{
    CHECK(w->column == 0); /* whole records alone are held here */
    if (!w->sampled) {
        measure(w);
        for (size_t c = 0; c < w->column_count; c++) {
            put_cell(w, c, bytes_str(w->columns[c]), "\x1b[1m");
        }
        w->sampled = true;
    }
    size_t column = 0;
    for (size_t i = 0; i < w->cell_count; i++) {
        put_cell(w, column, cell_text(w, &w->cells[i]), w->cells[i].marked ? "\x1b[31m" : NULL);
        column = column + 1 < w->column_count ? column + 1 : 0;
    }
    w->cell_count = 0;
    buf_reset(&w->text);
}

static void put_vertical(struct record_writer *w)
{
    size_t width = 0;
    for (size_t c = 0; c < w->column_count; c++) {
        size_t size = shown_width(bytes_str(w->columns[c]));
        width = size > width ? size : width;
    }
    for (size_t c = 0; c < w->cell_count; c++) {
        struct bytes name = bytes_str(w->columns[c]);
        put_colored(w, name, "\x1b[1m");
        put_blanks(w->out, width - shown_width(name) + 2);
        put_colored(w, cell_text(w, &w->cells[c]), w->cells[c].marked ? "\x1b[31m" : NULL);
        text_sink_char(w->out, '\n');
    }
}

static void hold(struct record_writer *w, struct bytes text, bool number)
{
    w->cells = mem_grow(w->cells, &w->cell_capacity, w->cell_count + 1, sizeof *w->cells);
    w->cells[w->cell_count++] = (struct cell){w->text.size, text.size, number, w->mark};
    if (text.size > 0) {
        buf_put_bytes(&w->text, text);
    }
}

/* --- csv --- */

static bool needs_quotes(struct bytes text)
{
    if (text.size == 0) {
        return true;
    }
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.data[i];
        if (c == '"' || c == ',' || c == '\n' || c == '\r') {
            return true;
        }
    }
    return text.data[0] == ' ' || text.data[text.size - 1] == ' ';
}

static void put_csv_text(struct text_sink *out, struct bytes text)
{
    if (!needs_quotes(text)) {
        text_sink_put(out, text);
        return;
    }
    text_sink_char(out, '"');
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == '"') {
            text_sink_char(out, '"');
        }
        text_sink_char(out, (char)text.data[i]);
    }
    text_sink_char(out, '"');
}

static void put_csv_header(const struct record_writer *w)
{
    for (size_t c = 0; c < w->column_count; c++) {
        if (c > 0) {
            text_sink_char(w->out, ',');
        }
        put_csv_text(w->out, bytes_str(w->columns[c]));
    }
    text_sink_char(w->out, '\n');
}

static void begin_csv_value(struct record_writer *w)
{
    if (w->count == 0 && w->column == 0) {
        put_csv_header(w);
    }
    if (w->column > 0) {
        text_sink_char(w->out, ',');
    }
}

/* --- json --- */

static void enter_records(struct record_writer *w)
{
    CHECK(w->part != AFTER);
    if (w->part == BEFORE) {
        w->part = RECORDS;
        if (w->style.kind == RECORD_LIST) {
            json_key(&w->json, w->style.name);
            json_begin_array(&w->json);
        }
    }
}

static void begin_json_value(struct record_writer *w)
{
    enter_records(w);
    if (w->column == 0 && w->style.kind == RECORD_LIST) {
        json_begin_object(&w->json);
    }
    json_key(&w->json, w->columns[w->column]);
}

static void leave_records(struct record_writer *w)
{
    enter_records(w);
    w->part = AFTER;
    if (w->style.kind == RECORD_LIST) {
        json_end(&w->json);
    }
}

struct json_writer *record_json(struct record_writer *w)
{
    CHECK(w->column == 0);
    if (w->style.format != FORMAT_JSON || w->style.kind != RECORD_LIST) {
        return NULL;
    }
    if (w->part == RECORDS) {
        leave_records(w);
    }
    return &w->json;
}

/* --- values --- */

static void end_value(struct record_writer *w)
{
    w->mark = false;
    w->column++;
    if (w->column < w->column_count) {
        return;
    }
    w->column = 0;
    w->count++;
    CHECK(w->style.kind == RECORD_LIST || w->count == 1);
    switch (w->style.format) {
    case FORMAT_TABLE:
        if (w->style.kind == RECORD_LIST &&
            (w->sampled || w->count >= RECORD_SAMPLE || w->text.size >= RECORD_SAMPLE_SIZE_MAX)) {
            put_held(w);
        }
        break;
    case FORMAT_CSV:
        text_sink_char(w->out, '\n');
        break;
    case FORMAT_JSON:
        if (w->style.kind == RECORD_LIST) {
            json_end(&w->json);
        }
        break;
    }
}

/* 'text' is the value in a table or csv; of json only the key is written. */
static void begin_value(struct record_writer *w, struct bytes text, bool number)
{
    switch (w->style.format) {
    case FORMAT_TABLE:
        hold(w, text, number);
        break;
    case FORMAT_CSV:
        begin_csv_value(w);
        if (number) {
            text_sink_put(w->out, text);
        } else {
            put_csv_text(w->out, text);
        }
        break;
    case FORMAT_JSON:
        begin_json_value(w);
        break;
    }
}

void record_text(struct record_writer *w, struct bytes text)
{
    begin_value(w, text, false);
    if (w->style.format == FORMAT_JSON) {
        json_text(&w->json, text);
    }
    end_value(w);
}

void record_str(struct record_writer *w, const char *text)
{
    record_text(w, bytes_str(text));
}

void record_int(struct record_writer *w, int64_t v)
{
    char text[24];
    (void)snprintf(text, sizeof text, "%" PRId64, v);
    begin_value(w, bytes_str(text), true);
    if (w->style.format == FORMAT_JSON) {
        json_int(&w->json, v);
    }
    end_value(w);
}

void record_uint(struct record_writer *w, uint64_t v)
{
    char text[24];
    (void)snprintf(text, sizeof text, "%" PRIu64, v);
    begin_value(w, bytes_str(text), true);
    if (w->style.format == FORMAT_JSON) {
        json_uint(&w->json, v);
    }
    end_value(w);
}

void record_double(struct record_writer *w, double v)
{
    char text[VALUE_TEXT_DOUBLE_SIZE];
    begin_value(w, bytes_str(value_text_print_double(v, text)), true);
    if (w->style.format == FORMAT_JSON) {
        json_double(&w->json, v);
    }
    end_value(w);
}

void record_float(struct record_writer *w, float v)
{
    char text[VALUE_TEXT_DOUBLE_SIZE];
    begin_value(w, bytes_str(value_text_print_float(v, text)), true);
    if (w->style.format == FORMAT_JSON) {
        json_float(&w->json, v);
    }
    end_value(w);
}

void record_bool(struct record_writer *w, bool v)
{
    begin_value(w, bytes_str(v ? "true" : "false"), false);
    if (w->style.format == FORMAT_JSON) {
        json_bool(&w->json, v);
    }
    end_value(w);
}

void record_null(struct record_writer *w)
{
    begin_value(w, (struct bytes){0}, true);
    if (w->style.format == FORMAT_JSON) {
        json_null(&w->json);
    }
    end_value(w);
}

void record_mark(struct record_writer *w)
{
    w->mark = true;
}

uint64_t record_count(const struct record_writer *w)
{
    return w->count;
}

void record_close(struct record_writer *w)
{
    CHECK(w->column == 0);
    switch (w->style.format) {
    case FORMAT_TABLE:
        if (w->style.kind == RECORD_SINGLE) {
            put_vertical(w);
        } else {
            put_held(w);
        }
        break;
    case FORMAT_CSV:
        if (w->count == 0) {
            put_csv_header(w);
        }
        break;
    case FORMAT_JSON:
        if (w->part != AFTER) {
            leave_records(w);
        }
        json_end(&w->json);
        json_finish(&w->json);
        break;
    }
    buf_deinit(&w->text);
    mem_free(w->cells);
    mem_free(w->widths);
    mem_free(w->numbers);
    mem_free(w);
}
