/* SPDX-License-Identifier: Apache-2.0 */
/* Which records of a log to show: tidemark wal dump --index 7..20 --table a.b.
 *
 *   range:  N | FIRST..LAST | FIRST.. | ..LAST        both ends included
 *
 * A record is shown when it passes every part that was given. */
#ifndef TIDEMARK_CLI_RECORD_FILTER_H
#define TIDEMARK_CLI_RECORD_FILTER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "cli/entry_content.h"
#include "wal/wal_inspect.h"

struct record_range {
    uint64_t first;
    uint64_t last;
};

struct record_filter {
    struct record_range lsn;
    struct record_range index;
    struct record_range term;
    const char *type;  /* of the record, or a command in it; NULL: any. Borrowed */
    const char *table; /* NULL: any. Borrowed */
};

/* Lets everything pass. */
struct record_filter record_filter_all(void);
/* ERR_INVALID, naming what is wrong. A NULL text is everything. */
MUST_CHECK enum err_code record_range_read(const char *text, struct record_range *out,
                                           struct err *e);
/* The same of positions: "0/16B3D80", or numbers. */
MUST_CHECK enum err_code record_range_read_lsn(const char *text, struct record_range *out,
                                               struct err *e);
bool record_filter_passes(const struct record_filter *f, const struct wal_view *view,
                          const struct entry_content *content);

#endif
