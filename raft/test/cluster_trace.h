/* SPDX-License-Identifier: Apache-2.0 */
/* One action as one line of prose, for scenario tests. Nodes are n1, n2 ... by id. */
#ifndef TIDEMARK_RAFT_TEST_CLUSTER_TRACE_H
#define TIDEMARK_RAFT_TEST_CLUSTER_TRACE_H

#include "raft/replica.h"

enum trace_topic {
    TRACE_ROLES,
    TRACE_VOTES,
    TRACE_PROMISES,
    TRACE_WRITES,
    TRACE_APPLIES,
    TRACE_APPENDS,
    TRACE_ACKS,
    TRACE_HEARTBEATS,
    TRACE_ROUNDS,
    TRACE_READS,
    TRACE_SNAPSHOTS,
    TRACE_CONFIGURATIONS,
    TRACE_DISK,
    TRACE_FAULTS,
    TRACE_TOPICS,
};

bool cluster_trace_topic(const char *name, enum trace_topic *out);
enum trace_topic cluster_trace_topic_of(const struct action *a, uint64_t node);

/* 'node' is the one that acts. */
void cluster_trace_action(const struct action *a, uint64_t node, struct buf *out);

#endif
