/* SPDX-License-Identifier: Apache-2.0 */
/* One table: its names, columns and tags, immutable once it is in a catalog;
 * and the set of its series, which grows.
 *
 *   encoded:  id varint | version varint | index_created varint | next column id varint
 *             | next tag id varint | database str | name str | precision u8
 *             | columns varint | (id varint, type u8, flags u8, size_max varint, name str) ...
 *             | tags varint | (id varint, type u8, flags u8, size_max varint, name str) ...
 *   flags:    1 not null, 2 primary
 *
 * Column and tag ids are never used again within a table. Any thread. */
#ifndef TIDEMARK_TSDB_TABLE_H
#define TIDEMARK_TSDB_TABLE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/limits.h"
#include "tsdb/value.h"

struct series_set;

struct column {
    uint32_t id;
    enum value_type type;
    uint32_t size_max; /* STRING, BYTES: bytes of a value; else 0 */
    bool not_null;
    char name[LIMIT_NAME_SIZE_MAX + 1];
};

struct tag {
    uint32_t id;
    enum value_type type;
    uint32_t size_max; /* as of a column */
    bool primary;
    bool not_null;
    char name[LIMIT_NAME_SIZE_MAX + 1];
};

struct table {
    atomic_uint references;
    uint64_t id;
    uint32_t version; /* 1, one more with each change */
    uint64_t index_created;
    uint32_t column_id_next;
    uint32_t tag_id_next;
    uint32_t precision; /* digits of a second: 3, 6, 9 */
    size_t column_count;
    size_t tag_count;
    size_t primary_count;
    struct column *columns; /* by id; the first is the timestamp */
    struct tag *tags;       /* by id */
    uint32_t *row_offsets;  /* of each column's value in a row of memory; row_size in all */
    size_t row_size;
    uint32_t *columns_by_name; /* places in columns, sorted by name */
    uint32_t *tags_by_name;
    struct series_set *series; /* one reference; grows while the table lives */
    char database[LIMIT_NAME_SIZE_MAX + 1];
    char name[LIMIT_NAME_SIZE_MAX + 1];
};

/* From an encoded tidemark.v1.TableDefinition; the caller's. The id is still 0.
 * ERR_INVALID or ERR_RANGE say what is wrong with which column or tag. */
MUST_CHECK enum err_code table_parse(struct bytes definition, struct table **out, struct err *e);
/* --- the next version of a table (alteration.h) --- */

/* A copy, with one more as its version and room for one column and one tag more, to
 * be changed and finished; the caller's. Shares the series. */
struct table *table_next_version(const struct table *t);
/* Columns and tags of an encoded definition, all but their ids. 'place' is for messages. */
MUST_CHECK enum err_code table_read_column(struct bytes definition, size_t place,
                                           struct column *out, struct err *e);
MUST_CHECK enum err_code table_read_tag(struct bytes definition, size_t place, struct tag *out,
                                        struct err *e);
/* As at the end of table_parse(). */
MUST_CHECK enum err_code table_finish(struct table *t, struct err *e);

/* --- life and use --- */

struct table *table_ref(struct table *t);
void table_unref(struct table *t); /* NULL is fine */

/* The place of the column of that id, or SIZE_MAX. */
size_t table_place_of_id(const struct table *t, uint32_t column_id);
/* The place of a column or tag, or SIZE_MAX. 'hint': the place it may be at. */
size_t table_find_column(const struct table *t, struct bytes name, size_t hint);
size_t table_find_tag(const struct table *t, struct bytes name, size_t hint);

/* As a field of an answer: an encoded TableDefinition. */
void table_put_definition(const struct table *t, struct buf *b, uint32_t field);
void table_encode(const struct table *t, struct buf *out);
/* ERR_CORRUPT. */
MUST_CHECK enum err_code table_decode(struct cursor *in, struct table **out, struct err *e);

#endif
