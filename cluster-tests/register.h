/* SPDX-License-Identifier: Apache-2.0 */
/* One row that one client writes, value after value, while others read it: shows
 * a stale read at once. Part of load.h.
 *
 * A read that began when value a was acknowledged, or had been seen by another
 * read, and that ends when value b was the last one sent, must see a value from a to b.
 *
 * Writer and readers each have one call open. A write without an answer is
 * repeated with the same request id until it has one. */
#ifndef TIDEMARK_CLUSTER_TESTS_REGISTER_H
#define TIDEMARK_CLUSTER_TESTS_REGISTER_H

#include "cluster-tests/cluster.h"
#include "cluster-tests/row_book.h"

struct reg;

/* What a read may see. */
struct reg_bounds {
    uint64_t low;  /* acknowledged, or seen by a read that has ended */
    uint64_t sent; /* the last value that was sent */
};

/* A read that began at 'low' has ended with 'value' (0: no row). */
bool reg_bounds_judge(struct reg_bounds *b, uint64_t low, uint64_t value);

/* Its row is (series 0, key 0) in 'book', which is borrowed. */
struct reg *reg_open(struct cluster *c, struct row_book *book);
/* No call may be open. */
void reg_close(struct reg *r);
void reg_turn(struct reg *r, uint64_t now_us, bool draining);
/* No call is open. */
bool reg_is_idle(const struct reg *r);
/* A write that waits for its next try becomes unknown; the writer goes no further. */
void reg_give_up(struct reg *r);
uint64_t reg_reads(const struct reg *r);
/* NULL: every read was right. */
const char *reg_fault(const struct reg *r);

#endif
