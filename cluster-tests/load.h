/* SPDX-License-Identifier: Apache-2.0 */
/* Clients that write and read while nodes come and go, and the check of what is
 * left of it.
 *
 * Writers: each has a session of its own and several writes open. A write that
 * gets no answer is sent again with the same request id, to another node; one in
 * four repeats keys that are acknowledged. A write is given up (its outcome stays
 * unknown, and its session is replaced) when the cluster says so or the load is drained.
 * Even sessions stay with the node that serves them, odd ones go to the leader when told.
 *
 * One register (series 0, key 0) is written by one client, value after value, and
 * read by one reader per node, linearizably: a read must see what was acknowledged,
 * and what any read had seen, before it began. A read that does not, and a write
 * that is refused, fail the test.
 *
 *   load_open ──► running ── load_drain ──► idle ── load_check ──► load_close
 *                    ▲────── load_go ────────┘
 *
 * Runs inside cluster_turn(). */
#ifndef TIDEMARK_CLUSTER_TESTS_LOAD_H
#define TIDEMARK_CLUSTER_TESTS_LOAD_H

#include "cluster-tests/cluster.h"
#include "cluster-tests/row_book.h"

struct load;

struct load_options {
    unsigned writers;    /* 0: 8 */
    unsigned depth;      /* open writes of each. 0: 4 */
    unsigned rows_max;   /* of one write. 0: 5 */
    unsigned large_rows; /* now and then a write of so many; 0: never */
    bool reads;          /* the register and its readers */
    uint64_t pause_ms;   /* between the writes of a writer's slot; 0: none */
};

/* Makes the table and begins. */
struct load *load_open(struct cluster *c, const struct load_options *options);
void load_close(struct load *l);

/* Runs until so many more writes are acknowledged. Fails the test when none is for
 * CLUSTER_WAIT_MS; how long all of them take is the machine's affair. */
void load_run(struct load *l, uint64_t acks);
/* No new writes; waits until all open ones are answered, at most limit_ms (then unknown). */
void load_drain(struct load *l, unsigned limit_ms);
void load_go(struct load *l);

/* Writes that were acknowledged so far. */
uint64_t load_acks(const struct load *l);
/* Longest time without an acknowledgement from now on. */
void load_gap_begin(struct load *l);
uint64_t load_gap_ms(const struct load *l);
/* The same, and remembers it for load_expect_gaps(). */
uint64_t load_gap_end(struct load *l);
/* Prints the gaps and expects their median to be within the limit: one round may
 * meet a machine that is busy with something else, half of them may not. */
void load_expect_gaps(struct load *l, const char *title, uint64_t limit_ms);
/* Reads of the register that were answered. */
uint64_t load_reads(const struct load *l);
void load_wait_reads(struct load *l, uint64_t reads); /* so many more, as load_run() */

/* Drains, then scans the whole table on every running node, linearizably, and
 * fails the test if anything acknowledged is lost, wrong, or was never written,
 * or if the nodes' states differ. */
void load_check(struct load *l);
/* The same for one scan on one node. */
struct row_book_verdict load_scan(struct load *l, size_t node, bool stale);
/* "1,234 writes acknowledged, 3 unknown, ..." */
void load_print(const struct load *l, const char *title);

#endif
