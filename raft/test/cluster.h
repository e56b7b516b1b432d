/* SPDX-License-Identifier: Apache-2.0 */
/* One to six replicas in one thread, on a network, disks and clocks that a seed
 * drives: what the tests of a whole replica stand on.
 *
 * Disks keep what their lane has written; a crash loses the rest, and may keep
 * a prefix of the append that was under way. The state machine is a chain of
 * hashes. Checked all the time, by stopping with the seed and the moment:
 *
 *   one leader per term; the same entry at each index wherever it is applied;
 *   a read sees every write acknowledged before it; hard state never falls */
#ifndef TIDEMARK_RAFT_TEST_CLUSTER_H
#define TIDEMARK_RAFT_TEST_CLUSTER_H

#include "base/random.h"
#include "raft/replica.h"

enum { CLUSTER_NODES_MAX = 6, CLUSTER_SNAPSHOTS = 3 };

struct cluster_options {
    uint64_t seed;
    size_t nodes;          /* ids 1 .. nodes exist */
    size_t voters;         /* 1 .. voters found the cluster; the others are empty directories */
    unsigned heartbeat_ms; /* 0: 100 */
    unsigned election_ms;  /* 0: 500 */
    unsigned net_min_ms, net_max_ms;
    unsigned loss, duplicate, slow; /* per mille of messages */
    bool reorder;                   /* else a direction is FIFO */
    unsigned disk_min_ms, disk_max_ms;
    unsigned apply_max_ms;
    unsigned fetch_ms; /* of a snapshot */
    size_t cache_size_max;
    unsigned guards_off; /* struct raft_guards */
    bool trace;          /* keep a line for each action and fault */
};

struct cluster_snapshot {
    uint64_t index; /* 0: none */
    uint64_t term;
    uint64_t hash;
    struct configuration configuration;
};

struct cluster_disk {
    uint64_t term;
    uint64_t voted_for;
    struct cluster_snapshot snapshot;
    uint64_t first; /* index of entries[0] */
    struct entry **entries;
    size_t count;
    size_t capacity;
};

struct cluster_job; /* of the log lane */

struct cluster_open { /* a submitted entry, or a read, of which nothing is known yet */
    uint64_t index;
    uint64_t term;
};

struct cluster_node {
    uint64_t id;
    bool up;
    bool disk_held; /* the lane stands still */
    bool apply_held;
    unsigned life; /* raised at each start and crash */
    struct replica *replica;
    struct cluster_disk disk;
    struct cluster_job *lane_first;
    struct cluster_job *lane_last;
    uint64_t lane_free_ms;
    struct cluster_job *apply_first;
    struct cluster_job *apply_last;
    bool apply_runs;
    uint64_t timer_ms; /* the deadline that is scheduled */
    uint64_t applied;
    uint64_t applied_term;
    uint64_t hash;
    struct configuration configuration;                   /* of the last change applied */
    struct cluster_snapshot snapshots[CLUSTER_SNAPSHOTS]; /* newest first */
    struct cluster_open *submits;
    size_t submit_count, submit_capacity;
    struct cluster_open *reads; /* index: what it must see; term: its token */
    size_t read_count, read_capacity;
    uint64_t transfers_refused;
    const char *change_failed; /* reason of the last ACTION_CHANGE_FAILED, or NULL */
    bool checkpoint_running;
};

struct cluster_totals {
    uint64_t commits, acknowledged, submitted, messages, elections, crashes, snapshots, installs;
    uint64_t truncations, reads, reads_failed, changes, transfers, log_reads, anew;
};

struct cluster;

struct cluster *cluster_open(const struct cluster_options *options);
void cluster_close(struct cluster *c);

struct cluster_node *cluster_node(struct cluster *c, uint64_t id);
uint64_t cluster_now(const struct cluster *c);
struct random *cluster_random(struct cluster *c);
struct cluster_options *
cluster_tune(struct cluster *c); /* network and disk, changed while it runs */
struct cluster_totals *cluster_totals(struct cluster *c);
struct buf *cluster_trace(struct cluster *c); /* text */
/* Which topics (cluster_trace.h) are traced: all at first. False: there is no such one. */
void cluster_show_none(struct cluster *c);
bool cluster_show(struct cluster *c, const char *topic);
const char *cluster_refusal(const struct cluster *c);   /* "NAME: text" of the last one */
uint64_t cluster_acknowledged(const struct cluster *c); /* highest index */

void cluster_run(struct cluster *c, uint64_t ms);
/* Runs until a node leads and is ready; its id, 0 after ms_max. */
uint64_t cluster_run_to_leader(struct cluster *c, uint64_t ms_max);
uint64_t cluster_leader(struct cluster *c); /* of the highest term; 0: none */

void cluster_start(struct cluster *c, uint64_t id);
void cluster_crash(struct cluster *c, uint64_t id, bool torn);
void cluster_cut(struct cluster *c, uint64_t from, uint64_t to, bool cut);
void cluster_isolate(struct cluster *c, uint64_t id, bool cut);
void cluster_heal(struct cluster *c);
void cluster_hold_disk(struct cluster *c, uint64_t id, bool held);
void cluster_hold_apply(struct cluster *c, uint64_t id, bool held);

enum err_code cluster_submit(struct cluster *c, uint64_t id, size_t count, size_t size);
enum err_code cluster_read(struct cluster *c, uint64_t id);
enum err_code cluster_transfer(struct cluster *c, uint64_t id, uint64_t target);
enum err_code cluster_gone(struct cluster *c, uint64_t id, uint64_t leader);
/* Sets a server's role; SERVER_VOTER + 1 removes it. Adds it at the end if it is not there. */
enum err_code cluster_change(struct cluster *c, uint64_t id, uint64_t server, int role);
/* A checkpoint at what is applied, keeping 'trailing' entries; false: one runs, or nothing new. */
bool cluster_checkpoint(struct cluster *c, uint64_t id, uint64_t trailing);
enum err_code cluster_event(struct cluster *c, uint64_t id, struct event *event, struct err *e);

/* Stops the process with the seed and the moment. */
__attribute__((noreturn)) void cluster_fail(const struct cluster *c, const char *format, ...)
    ERR_FORMAT(2, 3);
/* All nodes that replicate hold the same state as the leader, and all that was acknowledged. */
void cluster_check_equal(struct cluster *c);

#endif
