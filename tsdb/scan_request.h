/* SPDX-License-Identifier: Apache-2.0 */
/* What a scan asks for: a tidemark.v1.ScanRequest read against the catalog of a
 * view. Borrows from the request's bytes only while it is read. One thread. */
#ifndef TIDEMARK_TSDB_SCAN_REQUEST_H
#define TIDEMARK_TSDB_SCAN_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "tsdb/arena.h"
#include "tsdb/catalog.h"
#include "tsdb/series.h"

struct scan_filter {
    size_t place;         /* of the tag in the table */
    struct bytes *any_of; /* stored form, sorted; none: only null matches */
    size_t count;
};

struct scan_request {
    struct table *table; /* borrowed from the catalog */
    uint32_t *places;    /* columns of the answer, without the timestamp */
    size_t place_count;
    bool empty; /* the time range holds nothing */
    int64_t from;
    int64_t until; /* both included */
    struct scan_filter *filters;
    size_t filter_count;
    uint64_t limit; /* UINT64_MAX: all */
    bool count_only;
    struct arena arena;
};

void scan_request_deinit(struct scan_request *r); /* one of zeros is fine */
/* ERR_NOT_FOUND (database, table, column, tag), ERR_INVALID, ERR_RANGE. */
MUST_CHECK enum err_code scan_request_read(struct scan_request *r, const struct catalog *catalog,
                                           struct bytes request, struct err *e);
bool scan_request_matches(const struct scan_request *r, const struct series *s);
/* The key of the only series that can match; false: several can. */
bool scan_request_key(const struct scan_request *r, struct buf *key);

#endif
