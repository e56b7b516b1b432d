/* SPDX-License-Identifier: Apache-2.0 */
/* Leadership rounds, and the reads that wait for them.
 *
 * A leader that was deposed does not know it. Before a read it notes its commit
 * index and asks the voters whether its term is still theirs; with a majority
 * (itself included) no later leader had committed anything when the round
 * began. One round serves all reads that came before it started; those that
 * come while it runs wait for the next.
 *
 *   waiting ── begin ──► served by the round ── majority ──► ready
 *      └──────────────── leadership lost ──────────────────► failed  */
#ifndef TIDEMARK_RAFT_RAFT_READS_H
#define TIDEMARK_RAFT_RAFT_READS_H

#include "raft/configuration.h"

struct raft_round {
    bool running;
    uint64_t number;   /* of the question; answers to others don't count */
    uint64_t index;    /* commit index when it began */
    uint64_t asked_ms; /* when the question was last sent */
    uint64_t began_ms;
    uint64_t ids[LIMIT_NODES_MAX]; /* who has answered, ourselves included */
    size_t id_count;
};

void raft_round_begin(struct raft_round *r, uint64_t number, uint64_t index, uint64_t now_ms);
/* Counts each id once; ignores answers to other questions. */
void raft_round_answer(struct raft_round *r, uint64_t number, uint64_t id);
bool raft_round_has(const struct raft_round *r, uint64_t id);

struct raft_reads {
    struct raft_round round;
    uint64_t *waiting; /* tokens */
    size_t waiting_count;
    size_t waiting_capacity;
    uint64_t *served; /* tokens of the round that runs */
    size_t served_count;
    size_t served_capacity;
};

void raft_reads_deinit(struct raft_reads *r);
/* ERR_FULL: LIMIT_READS_WAITING wait already. */
MUST_CHECK enum err_code raft_reads_add(struct raft_reads *r, uint64_t token, struct err *e);
/* No round runs and reads wait: they are served by the one that begins now. */
void raft_reads_begin(struct raft_reads *r, uint64_t number, uint64_t index, uint64_t now_ms);

#endif
