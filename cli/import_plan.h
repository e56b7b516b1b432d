/* SPDX-License-Identifier: Apache-2.0 */
/* How the fields of a CSV file become timestamp, columns and tags of a table: for a
 * table that exists, by the names in the file's header; for one that is to be made, a
 * definition guessed from the first records.
 *
 * What is guessed: numbers are double (a later 1.5 must fit), true/false are bool,
 * anything else, and fields that are always empty, string; the tags are what the user named,
 * all primary; the precision is the coarsest of 3, 6, 9 digits that fits. */
#ifndef TIDEMARK_CLI_IMPORT_PLAN_H
#define TIDEMARK_CLI_IMPORT_PLAN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/bytes.h"
#include "base/err.h"
#include "cli/csv_reader.h"
#include "cli/time_text.h"
#include "proto/tidemark/v1/admin.pb-c.h"

/* Not a field of the file: a constant, or always null. */
#define IMPORT_NO_FIELD SIZE_MAX

enum { IMPORT_SAMPLE_RECORDS = 1000 };

/* What the user said; NULL or empty: nothing. Lists are "a,b,c". */
struct import_request {
    const char *database;
    const char *table;
    const char *time_column;
    const char *time_format;
    const char *tags;
    const char *types; /* "a:double,b:int64" */
    const char *skip;
    const char *const *constants; /* "tag=value" */
    size_t constant_count;
};

struct import_column {
    char *name;        /* owned */
    int type;          /* tidemark.v1.Type */
    uint32_t size_max; /* of text and bytes */
    bool not_null;
    bool primary;   /* tags */
    size_t field;   /* of each record, or IMPORT_NO_FIELD */
    char *constant; /* owned; tags without a field: NULL is null */
};

struct import_plan {
    char *database, *table; /* owned */
    unsigned precision;
    struct time_format time_format;
    char *time_name; /* owned; of the table's column */
    size_t time_field;
    size_t field_count;            /* that every record must have */
    struct import_column *columns; /* without the timestamp */
    size_t column_count;
    struct import_column *tags; /* primary ones first */
    size_t tag_count;
    bool has_other_tags; /* some are not primary: the order of batches of a new series counts */
};

/* The names in the first record; owned copies. ERR_INVALID: an empty or doubled name. */
struct import_header {
    char **names;
    size_t count;
};
MUST_CHECK enum err_code import_header_read(const struct csv_record *record,
                                            struct import_header *out, struct err *e);
void import_header_deinit(struct import_header *h);

/* Appends an encoded tidemark.v1.TableDefinition. 'sample' is the beginning of the file,
 * header included; 'separator' as for csv_reader_open(). ERR_INVALID: no tags, unknown names. */
MUST_CHECK enum err_code import_guess_table(const struct import_request *request,
                                            const struct import_header *header, struct bytes sample,
                                            char separator, struct buf *out, struct err *e);

/* ERR_INVALID, ERR_NOT_FOUND: file and table do not fit, naming the column. *out is
 * the caller's, also after an error: import_plan_deinit() it. */
MUST_CHECK enum err_code import_plan_init(struct import_plan *out,
                                          const struct import_request *request,
                                          const struct import_header *header,
                                          const Tidemark__V1__TableDefinition *table,
                                          struct err *e);
void import_plan_deinit(struct import_plan *p);

#endif
