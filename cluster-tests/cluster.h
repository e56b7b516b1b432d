/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes of one cluster as real processes on 127.0.0.1, each with a directory and
 * two ports of its own. Ports stay reserved while a node is down: the test holds
 * a bound socket on each, which lets only the node listen there.
 *
 *   cluster_open ──► (no node runs) ── cluster_start ──► ... ── cluster_close
 *
 * What can't go on (a node that does not start, a condition that is not met in
 * time) fails the running TEST and leaves it, after showing what each node said
 * last. Nodes then end with the test's process.
 *
 * One thread. All waiting turns the loop of the gRPC client, so that a load (load.h) goes on. */
#ifndef TIDEMARK_CLUSTER_TESTS_CLUSTER_H
#define TIDEMARK_CLUSTER_TESTS_CLUSTER_H

#include "base/random.h"
#include "cluster-tests/node_client.h"
#include "cluster-tests/process.h"
#include "cluster-tests/workdir.h"

struct cluster;

enum { CLUSTER_NODES_MAX = 5, CLUSTER_FLAGS_MAX = 8, CLUSTER_WAIT_MS = 30000 };

struct cluster_options {
    const char *name;
    size_t founders; /* nodes 0 .. founders - 1 found it; 0: one node alone, without peers */
    size_t nodes;    /* 0: as many as founders, at least one */
    bool faulty;     /* kill -9 loses what was not synced */
    const char *flags[CLUSTER_FLAGS_MAX]; /* for every node, besides the usual; NULL at the end */
};

/* Prints the seed of its random choices: TIDEMARK_SEED=N repeats them. */
struct cluster *cluster_open(const struct cluster_options *options);
/* Kills what runs. */
void cluster_close(struct cluster *c);

size_t cluster_size(const struct cluster *c);
struct random *cluster_random(struct cluster *c);
struct grpc_blocking *cluster_blocking(struct cluster *c);
struct workdir *cluster_workdir(struct cluster *c);
struct node_client *cluster_client(struct cluster *c, size_t node);
/* The same, patient: for what may be done twice and must succeed, whoever leads meanwhile. */
struct node_client *cluster_patient(struct cluster *c, size_t node);
struct process *cluster_process(struct cluster *c, size_t node);
const char *cluster_name(const struct cluster *c, size_t node);           /* "n1" for node 0 */
const char *cluster_client_address(const struct cluster *c, size_t node); /* "127.0.0.1:port" */
const char *cluster_peer_address(const struct cluster *c, size_t node);
const char *cluster_data_dir(const struct cluster *c, size_t node);
/* The node with that client address; the cluster's size: none. */
size_t cluster_find(const struct cluster *c, const char *client_address);

/* --- processes --- */

/* 'extra': flags for this start only, NULL at the end; may be NULL. */
void cluster_start(struct cluster *c, size_t node, const char *const *extra);
void cluster_start_all(struct cluster *c);
bool cluster_runs(struct cluster *c, size_t node);
void cluster_kill(struct cluster *c, size_t node); /* -9 */
/* SIGTERM, and waits; the node must end with 0. */
void cluster_stop(struct cluster *c, size_t node);
void cluster_pause(struct cluster *c, size_t node);
void cluster_resume(struct cluster *c, size_t node);
/* What the disk of a faulty node does from now on (testkit/lossy_io.h): "eio",
 * "hang MS", "room N"; NULL: what a disk should. */
void cluster_fault(struct cluster *c, size_t node, const char *fault);
/* Waits for a process that must end by itself, and returns its exit code. */
int cluster_wait_exit(struct cluster *c, size_t node);
/* Whether the node has ever said it. */
bool cluster_said(struct cluster *c, size_t node, const char *text);
/* What a run with these flags alone prints, and its exit code, in a directory of its own. */
int cluster_try(struct cluster *c, const char *const *flags, struct buf *output);

/* Any program: argv[0] is its path, NULL at the end. Waits; what it printed and its exit code. */
int cluster_run(struct cluster *c, const char *const *argv, struct buf *output);

/* --- waiting --- */

/* Called at every turn of a wait. Returns whether it writes, or waits for an answer. */
typedef bool cluster_work(void *context);
void cluster_on_turn(struct cluster *c, cluster_work *work, void *context);
/* What it returned last. */
bool cluster_works(const struct cluster *c);
/* Turns the loop once. Fails the test when a node that should run has ended. */
void cluster_turn(struct cluster *c, unsigned timeout_ms);

typedef bool cluster_condition(struct cluster *c, void *context);
/* Fails the test, with 'what', when it is not true in limit_ms (0: CLUSTER_WAIT_MS). */
void cluster_wait(struct cluster *c, cluster_condition *condition, void *context, unsigned limit_ms,
                  const char *what);
/* Every running, unpaused node serves, knows the leader, has no hole and has
 * applied what is committed. Returns the leader (or the node that is alone). */
size_t cluster_wait_healthy(struct cluster *c);
/* A leader that a majority follows; returns it. */
size_t cluster_wait_leader(struct cluster *c);
/* The node that says it leads in the highest term; the cluster's size: none. */
size_t cluster_leader(struct cluster *c);
/* False: it does not answer, or its process is paused or gone. */
bool cluster_status(struct cluster *c, size_t node, struct node_status *out);
/* Asks until it answers. */
struct node_status cluster_wait_status(struct cluster *c, size_t node);
/* An Admin method of the leader that changes members or the lead; made again, while
 * the lead moves or a call takes long, until 'done' is true. */
void cluster_change(struct cluster *c, const char *method, size_t node, cluster_condition *done,
                    void *context);
/* 'kind' as the leader shows it: "voter", "standby", "spare". NULL: not a member. */
void cluster_wait_kind(struct cluster *c, size_t node, const char *kind);
/* Both wait until it is done. */
void cluster_promote(struct cluster *c, size_t node);
void cluster_remove(struct cluster *c, size_t node);
/* All running nodes have the same state at the same index. It must stand still:
 * while the work of cluster_on_turn() writes, that they meet at one index is luck. */
void cluster_expect_equal_state(struct cluster *c);

/* --- what a test does when it fails --- */

__attribute__((noreturn)) void cluster_fail(struct cluster *c, const char *format, ...)
    ERR_FORMAT(2, 3);

/* TIDEMARK_ROUNDS=full: all of them; else a tenth, at least one. */
unsigned cluster_rounds(unsigned full);

#endif
