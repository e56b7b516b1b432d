/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of a cluster: cluster.c (network, events, faults, requests),
 * cluster_time.c (what happens when), cluster_disk.c (disks, lanes, snapshots). */
#ifndef TIDEMARK_RAFT_TEST_CLUSTER_INSIDE_H
#define TIDEMARK_RAFT_TEST_CLUSTER_INSIDE_H

#include "raft/test/cluster.h"

enum happening { ON_MESSAGE, ON_LANE, ON_TIMER, ON_LOG_READ, ON_FETCHED, ON_APPLY, ON_CHECKPOINT };

struct happen {
    uint64_t at_ms;
    uint64_t sequence;
    enum happening kind;
    uint64_t node;
    unsigned life;
    uint64_t from;
    uint64_t a, b, token;
    uint64_t trailing;
    struct buf message;
    struct entry **entries;
    size_t count;
    struct cluster_snapshot snapshot;
};

struct cluster_job {
    struct cluster_job *next;
    enum action_type type; /* HARD_STATE, APPEND, INSTALL */
    uint64_t term;
    uint64_t id;
    uint64_t token;
    struct entry **entries;
    size_t count;
    struct cluster_snapshot snapshot;
};

struct agreed { /* what was applied at an index, by whoever came first */
    uint64_t term;
    uint64_t entry;
    uint64_t chain;
};

struct cluster {
    struct cluster_options options;
    struct random random;
    uint64_t now_ms;
    uint64_t sequence;
    struct cluster_node nodes[CLUSTER_NODES_MAX + 1];
    bool cut[CLUSTER_NODES_MAX + 1][CLUSTER_NODES_MAX + 1];
    uint64_t delivered_ms[CLUSTER_NODES_MAX + 1][CLUSTER_NODES_MAX + 1];
    struct happen *heap;
    size_t heap_count, heap_capacity;
    struct agreed *agreed;
    size_t agreed_count, agreed_capacity;
    uint64_t *leaders; /* by term */
    size_t leader_count, leader_capacity;
    uint64_t acknowledged;
    uint64_t read_token;
    uint64_t payload;
    struct cluster_totals totals;
    struct actions actions;
    struct buf trace;
    unsigned shown; /* bit per enum trace_topic */
    char refusal[600];
};

/* --- cluster_time.c --- */
/* Takes what 'h' holds. */
void cluster_schedule(struct cluster *c, struct happen *h);
struct happen cluster_take_next(struct cluster *c);
struct happen cluster_happens_in(const struct cluster *c, enum happening kind,
                                 const struct cluster_node *n, uint64_t delay_ms);
void cluster_happen_deinit(struct happen *h);
void cluster_drop_entries(struct entry **entries, size_t count);

/* --- cluster.c --- */
/* An event that must be accepted. */
void cluster_step(struct cluster *c, struct cluster_node *n, struct event *event);

/* --- cluster_disk.c --- */
void cluster_disk_append(struct cluster *c, struct cluster_disk *d, struct entry *const *entries,
                         size_t count);
void cluster_disk_truncate(struct cluster_disk *d, uint64_t index);
void cluster_disk_cut(struct cluster_disk *d, uint64_t index);
void cluster_run_lane(struct cluster *c, struct cluster_node *n);
void cluster_run_apply(struct cluster *c, struct cluster_node *n);
void cluster_drop_jobs(struct cluster_job **first, struct cluster_job **last);
void cluster_on_write(struct cluster *c, struct cluster_node *n, struct action *a);
void cluster_on_apply_action(struct cluster *c, struct cluster_node *n, struct action *a);
void cluster_on_install(struct cluster *c, struct cluster_node *n, const struct action *a);
void cluster_on_read_log(struct cluster *c, struct cluster_node *n, const struct action *a);
void cluster_on_lane(struct cluster *c, struct cluster_node *n);
void cluster_on_apply(struct cluster *c, struct cluster_node *n);
void cluster_on_fetched(struct cluster *c, struct cluster_node *n, const struct happen *h);
void cluster_on_log_read(struct cluster *c, struct cluster_node *n, const struct happen *h);
void cluster_on_checkpoint(struct cluster *c, struct cluster_node *n, const struct happen *h);

#endif
