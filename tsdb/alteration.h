/* SPDX-License-Identifier: Apache-2.0 */
/* One change of a table's columns or tags: its next version.
 *
 * Versions share their series. Columns and tags keep their ids through all of
 * them, and what was written through one version is read through another by id:
 * null where it has no such column, wider where its type was widened. What is
 * dropped is left behind when parts are merged; its id does not come back, so that
 * a new column of the same name is empty.
 *
 * Keys of series hold only the primary tags that are set, so that one more changes
 * none of them. Primary tags can't be dropped: series would become one. */
#ifndef TIDEMARK_TSDB_ALTERATION_H
#define TIDEMARK_TSDB_ALTERATION_H

#include "base/bytes.h"
#include "base/err.h"
#include "tsdb/table.h"

/* 'request' is an encoded tidemark.v1.AlterTableRequest for table 't'; *out is the caller's.
 * ERR_NOT_FOUND, ERR_EXISTS: the column or tag. ERR_STATE: the request is meant for another
 * version. ERR_INVALID, ERR_RANGE: say what is wrong. */
MUST_CHECK enum err_code alteration_make(const struct table *t, struct bytes request,
                                         struct table **out, struct err *e);

#endif
