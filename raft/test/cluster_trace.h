/* SPDX-License-Identifier: Apache-2.0 */
/* One action as one line of prose, for scenario tests. Nodes are n1, n2 ... by id. */
#ifndef TIDEMARK_RAFT_TEST_CLUSTER_TRACE_H
#define TIDEMARK_RAFT_TEST_CLUSTER_TRACE_H

#include "raft/replica.h"

/* 'node' is the one that acts. */
void cluster_trace_action(const struct action *a, uint64_t node, struct buf *out);

#endif
