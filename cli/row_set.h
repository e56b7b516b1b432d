/* SPDX-License-Identifier: Apache-2.0 */
/* Counts how many different rows there are among those it is shown, by 64-bit
 * hashes of series and time. Two different rows count as one with a probability of
 * n * n / 2^65: one in a billion for 200,000 rows, 1 in 10^5 for 16 million.
 *
 * Memory is bounded: after ROW_SET_MAX different rows it lets go of everything and no
 * longer knows. */
#ifndef TIDEMARK_CLI_ROW_SET_H
#define TIDEMARK_CLI_ROW_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ROW_SET_MAX = 16 * 1024 * 1024 }; /* 256 MiB of memory */

struct row_set {
    uint64_t *slots;   /* owned; 0: free */
    size_t slot_count; /* a power of two, or 0 */
    size_t count;
    bool has_zero; /* the hash 0 can't stand in a slot */
    bool full;
};

void row_set_deinit(struct row_set *s); /* a set of zeros is empty and ready */
/* At most count_max different rows: ROW_SET_MAX, but for tests. */
void row_set_add(struct row_set *s, uint64_t hash, size_t count_max);
/* False: there were too many to count. */
bool row_set_count(const struct row_set *s, uint64_t *count);

#endif
