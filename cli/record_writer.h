/* SPDX-License-Identifier: Apache-2.0 */
/* Records as people (table) or programs (csv, json) want them. One writer gives
 * one answer, in bounded memory however many records there are.
 *
 *   table  columns in line, a header; numbers to the right. The widths come from
 *          the first RECORD_SAMPLE records; wider cells later push their line out.
 *          Control characters are shown as '?', so that no value can steer a terminal.
 *   csv    RFC 4180 with a header line; no value is an empty field, empty text is ""
 *   json   {"<extra fields>": ..., "<name>": [{...}, ...], "<closing fields>": ...}
 *
 * Of a single record (RECORD_SINGLE) a table is lines of "name  value", json is
 * {...}.
 *
 *   record_open ──► [extra fields] ──► record_text ... per column, again and again
 *               ──► record_close
 *
 * Every record must have a value for every column; the writer counts. */
#ifndef TIDEMARK_CLI_RECORD_WRITER_H
#define TIDEMARK_CLI_RECORD_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "cli/json_writer.h"
#include "cli/text_sink.h"

enum output_format { FORMAT_TABLE, FORMAT_CSV, FORMAT_JSON };

enum { RECORD_SAMPLE = 200, RECORD_SAMPLE_SIZE_MAX = 1024 * 1024 };

enum record_kind { RECORD_LIST, RECORD_SINGLE };

struct record_style {
    enum output_format format;
    enum record_kind kind;
    bool color;       /* table: header in bold, marked cells in red */
    const char *name; /* json: of the array. LIST only */
};

struct record_writer;

/* Borrows everything until record_close(). */
struct record_writer *record_open(struct text_sink *out, const struct record_style *style,
                                  const char *const *columns, size_t column_count);
void record_close(struct record_writer *w);

/* The next value of the current record. */
void record_text(struct record_writer *w, struct bytes text);
void record_str(struct record_writer *w, const char *text);
void record_int(struct record_writer *w, int64_t v);
void record_uint(struct record_writer *w, uint64_t v);
void record_double(struct record_writer *w, double v);
void record_float(struct record_writer *w, float v);
void record_bool(struct record_writer *w, bool v);
void record_null(struct record_writer *w);
/* The next value of a table is bad news: in red, where there is color. */
void record_mark(struct record_writer *w);

/* For fields beside the records, before the first or after the last; NULL unless the
 * format is json (and the kind LIST). Give whole fields: a key and its value. */
struct json_writer *record_json(struct record_writer *w);

uint64_t record_count(const struct record_writer *w); /* whole records so far */

#endif
