/* SPDX-License-Identifier: Apache-2.0 */
/* Some rows of one series, at most LIMIT_BLOCK_ROWS_MAX, as bytes.
 *
 *   block:    size u32 | crc32c u32 | version u8 | zero u8 | columns u16 | rows u32
 *             | series id u64 | first time i64 | last time i64 | entry ... | data ...
 *   entry:    column id varint | type u8 | encoding u8 | nulls varint | data size varint
 *             | statistics, but of the timestamp (block_statistics.h)
 *   data:     null bits (a bit a row, 1 = null; only where there are nulls) | encoded values
 *
 * The crc covers all behind it. The first entry is the timestamp (id 0), the
 * others follow by rising id; a column without a value in the block has no
 * entry. Times rise. Version 1 (other encodings, long statistics) is not read:
 * nothing was released with it. */
#ifndef TIDEMARK_TSDB_BLOCK_H
#define TIDEMARK_TSDB_BLOCK_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "tsdb/block_statistics.h"
#include "tsdb/rows.h"

enum { BLOCK_VERSION = 2, BLOCK_HEADER_SIZE = 40 };

struct block_header {
    uint32_t size;
    uint64_t series_id;
    uint32_t row_count;
    uint16_t column_count;
    int64_t time_first;
    int64_t time_last;
};

struct block_column {
    uint32_t id;
    enum value_type type;
    uint8_t encoding;
    uint32_t value_count;
    struct bytes nulls; /* empty: none is null */
    struct bytes data;
    struct block_statistics statistics; /* of the timestamp: without a sum */
};

/* Appends rows [from, to) of 'rows', which hold all columns of their table. */
void block_encode(uint64_t series_id, const struct rows *rows, size_t from, size_t to,
                  struct buf *out);

/* Checks size, crc and header. ERR_CORRUPT; ERR_UNSUPPORTED: a newer version. */
MUST_CHECK enum err_code block_check(struct bytes block, struct block_header *out, struct err *e);
/* The columns of a checked block; *columns is the caller's, to be given to
 * mem_free(); their bytes are views of the block. ERR_CORRUPT. */
MUST_CHECK enum err_code block_columns(struct bytes block, const struct block_header *h,
                                       struct block_column **columns, struct err *e);
/* All rows of a block, the columns that 'rows' wants, in place of what it holds.
 * ERR_CORRUPT: also when its crc holds but its content is no block. */
MUST_CHECK enum err_code block_decode(struct bytes block, struct block_header *h, struct rows *rows,
                                      struct err *e);

#endif
