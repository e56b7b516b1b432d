/* SPDX-License-Identifier: Apache-2.0 */
/* A view: the state after one index, for readers beside the apply lane. */
#ifndef TIDEMARK_TSDB_VIEW_H
#define TIDEMARK_TSDB_VIEW_H

#include "tsdb/row_merge.h"
#include "tsdb/tsdb.h"
#include "tsdb/version.h"

struct tsdb_view {
    struct version *version; /* pinned */
    uint64_t index;
    uint64_t series_id_next;
    struct hash128 sessions_hash;
    struct hash128 nodes_hash;
    struct hash128 configuration_hash;
};

/* Series of a table that the view has are the first ones of its set. */
size_t view_series_count(const struct tsdb_view *v, const struct table *t);
/* Gives a merge all places where the view has rows of a series, newest first. */
void view_add_sources(const struct tsdb_view *v, const struct series *s, struct row_merge *m);

#endif
