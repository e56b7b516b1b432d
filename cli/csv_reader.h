/* SPDX-License-Identifier: Apache-2.0 */
/* Reads comma-separated values (RFC 4180) from bytes that arrive in pieces.
 *
 *   csv_reader_feed ──► csv_reader_next ──► CSV_RECORD | CSV_BAD   (again)
 *                                      └──► CSV_MORE: feed, or csv_reader_end
 *                                      └──► CSV_END
 *
 * Fields may be quoted; a quoted field may hold commas, line breaks and doubled
 * quotes. Lines end with LF or CRLF; a byte order mark at the start is skipped;
 * lines without any character are no records.
 *
 * CSV_BAD is one malformed record: text after a closing quote, a quote inside an
 * unquoted field, a quote that is never closed, a record over CSV_RECORD_SIZE_MAX or
 * CSV_FIELDS_MAX, a zero byte. Reading goes on with the line after the one where the bad record
 * began (so that one stray quote costs one line, not all that follow). A line too
 * long to hold is skipped to its end.
 *
 * Memory is bounded by CSV_RECORD_SIZE_MAX and the size of one piece. */
#ifndef TIDEMARK_CLI_CSV_READER_H
#define TIDEMARK_CLI_CSV_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/limits.h"

enum {
    CSV_RECORD_SIZE_MAX = 256 * LIMIT_KIB,
    CSV_FIELDS_MAX = LIMIT_COLUMNS_MAX + LIMIT_TAGS_MAX,
};

enum csv_result { CSV_RECORD, CSV_BAD, CSV_MORE, CSV_END };

struct csv_field {
    struct bytes text; /* unquoted */
    bool quoted;       /* "" is an empty text, nothing at all is no value */
};

struct csv_record {
    uint64_t line; /* where it begins, from 1 */
    const struct csv_field *fields;
    size_t count;
};

struct csv_reader;

/* 'separator' is a printable character or a tab, not a quote. */
struct csv_reader *csv_reader_open(char separator);
void csv_reader_close(struct csv_reader *r); /* NULL is fine */

/* The next bytes of the input; copied. */
void csv_reader_feed(struct csv_reader *r, struct bytes piece);
/* There is no more input. */
void csv_reader_end(struct csv_reader *r);

/* RECORD: *record is borrowed until the next call. BAD: record->line is set, 'e'
 * says what is wrong (ERR_INVALID). */
enum csv_result csv_reader_next(struct csv_reader *r, struct csv_record *record, struct err *e);

#endif
