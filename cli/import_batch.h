/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of a CSV file on their way into one tidemark.v1.WriteRequest: each record
 * is checked whole and added, or refused with the reason and no trace.
 *
 * What could make the server refuse a batch is refused here, per row: wrong types,
 * missing values, text that is not UTF-8 or too long, a wrong number of fields.
 *
 * Encoded once; only the request id differs between attempts. One thread. */
#ifndef TIDEMARK_CLI_IMPORT_BATCH_H
#define TIDEMARK_CLI_IMPORT_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "cli/csv_reader.h"
#include "cli/import_plan.h"

enum { IMPORT_BATCH_SIZE_MAX = 512 * LIMIT_KIB }; /* a batch that large takes no more rows */

struct import_batch;

/* Borrows 'plan' for its life. */
struct import_batch *import_batch_open(const struct import_plan *plan, size_t rows_max);
void import_batch_close(struct import_batch *b); /* NULL is fine */
void import_batch_reset(struct import_batch *b); /* empty again, keeps its memory */

/* ERR_INVALID, ERR_RANGE: the row is refused, 'e' says why; the batch is as before. */
MUST_CHECK enum err_code import_batch_add(struct import_batch *b, const struct csv_record *record,
                                          struct err *e);

size_t import_batch_rows(const struct import_batch *b);
bool import_batch_is_full(const struct import_batch *b);
uint64_t import_batch_first_line(const struct import_batch *b);
uint64_t import_batch_last_line(const struct import_batch *b);

/* A hash of series and time per row, in the order of the rows. */
const uint64_t *import_batch_row_hashes(const struct import_batch *b);
/* What must not be out at the same time with an equal key (import_window.h): the row
 * hashes; or, when the first row of a series also sets its other tags, hashes of the series. */
const uint64_t *import_batch_keys(const struct import_batch *b);

struct import_id {
    uint64_t session, sequence, sequence_open;
};
/* Appends the request. The first time ends the adding. */
void import_batch_encode(struct import_batch *b, const struct import_id *id, struct buf *out);

#endif
