/* SPDX-License-Identifier: Apache-2.0 */
/* Directories that the cluster knows: their starts, so that a rolled-back one is
 * noticed, and those removed, so that an id never comes back (safety.md B2).
 *
 *   encoded:  formed u8 | cluster_id u64 | count varint | node ...     by rising directory id
 *   node:     directory_id u64 | removed u8 | start_counter varint | nonce u64
 *             | name str | peer_address str | client_address str
 *
 * One thread. */
#ifndef TIDEMARK_TSDB_NODES_H
#define TIDEMARK_TSDB_NODES_H

#include "base/bytes.h"
#include "base/err.h"
#include "tsdb/tsdb.h"

struct nodes {
    struct tsdb_node *items; /* by rising directory id */
    size_t count;
    size_t capacity;
    bool formed;
    uint64_t cluster_id;
};

void nodes_deinit(struct nodes *n); /* nodes of zeros are empty and ready */
/* A log.v1.NodeStart. ERR_STATE: a later start of it is known, or it was
 * removed. ERR_FULL. */
MUST_CHECK enum err_code nodes_start(struct nodes *n, struct bytes request, struct err *e);
/* A log.v1.NodeRemoved; also of one that never was here. */
MUST_CHECK enum err_code nodes_remove(struct nodes *n, struct bytes request, struct err *e);
/* A log.v1.ClusterFormed. ERR_STATE: another cluster id was recorded. */
MUST_CHECK enum err_code nodes_form(struct nodes *n, struct bytes request, struct err *e);
const struct tsdb_node *nodes_find(const struct nodes *n, uint64_t directory_id); /* or NULL */

void nodes_encode(const struct nodes *n, struct buf *out);
/* ERR_CORRUPT. */
MUST_CHECK enum err_code nodes_decode(struct cursor *in, struct nodes *n, struct err *e);

#endif
