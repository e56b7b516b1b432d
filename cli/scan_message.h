/* SPDX-License-Identifier: Apache-2.0 */
/* One message of a scan's answer (tidemark.v1.ScanResponse), read in place.
 *
 * scan_message_read() checks everything: counts, indexes, types. What it has accepted
 * can be asked for any row and column within its counts. It borrows the message. */
#ifndef TIDEMARK_CLI_SCAN_MESSAGE_H
#define TIDEMARK_CLI_SCAN_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/limits.h"

enum { SCAN_ROWS_MAX = 1024 * 1024, SCAN_SERIES_MAX = SCAN_ROWS_MAX };

struct scan_column {
    char name[LIMIT_NAME_SIZE_MAX + 1];
    int type;            /* tidemark.v1.Type */
    struct bytes values; /* 8 bytes a row; bool: 1; string: nothing here */
    size_t strings_at;   /* string: place of the first in struct scan_message's 'strings' */
    struct bytes nulls;  /* a bit a row, or empty */
};

struct scan_series {
    size_t values_at; /* place of the first tag in 'strings' */
    size_t count;     /* of tags */
    struct bytes nulls;
};

struct scan_message {
    /* First message: */
    char (*tag_names)[LIMIT_NAME_SIZE_MAX + 1]; /* owned */
    size_t tag_count, tag_capacity;
    uint64_t index;
    /* Rows: */
    size_t rows;
    struct scan_column *columns; /* owned; the first is the timestamp */
    size_t column_count, column_capacity;
    struct scan_series *series; /* owned */
    size_t series_count, series_capacity;
    uint32_t *series_of_row; /* owned; of_row_count is rows, or 0: all are of series 0 */
    size_t of_row_count, of_row_capacity;
    struct bytes *strings; /* owned array of views */
    size_t string_count, string_capacity;
    /* Last message: */
    bool done;
    uint64_t rows_total;
    uint64_t age_ms;
};

/* The one before is forgotten; memory is used again. ERR_CORRUPT: no such message. */
MUST_CHECK enum err_code scan_message_read(struct scan_message *m, struct bytes message,
                                           struct err *e);
void scan_message_deinit(struct scan_message *m); /* zeros are an empty one */

bool scan_is_null(const struct scan_message *m, size_t column, size_t row);
/* Also timestamps and narrow ones. */
int64_t scan_int64(const struct scan_message *m, size_t column, size_t row);
double scan_double(const struct scan_message *m, size_t column, size_t row);
float scan_float(const struct scan_message *m, size_t column, size_t row);
bool scan_bool(const struct scan_message *m, size_t column, size_t row);
/* Also bytes. */
struct bytes scan_string(const struct scan_message *m, size_t column, size_t row);
/* The text of a tag of the row's series. False: null, or there is no such tag. */
bool scan_tag(const struct scan_message *m, size_t row, size_t tag, struct bytes *text);

#endif
