/* SPDX-License-Identifier: Apache-2.0 */
/* A change that is too large for one log entry, gathered from its parts
 * (proto/command.h, safety.md G2).
 *
 *   part 0, part 1, ..., last part     in entries that follow each other without
 *                                      a gap, all of one term
 *
 * Anything else between two parts (the entry of another leader, a record that was
 * not written) makes the parts so far void: nothing of them ever takes effect, and
 * their memory is given back. So there is at most one such change at a time, none
 * across a checkpoint's entry, and it is no part of the state that checkpoints and
 * hashes cover.
 *
 * An embedded value, zero at first. One thread. */
#ifndef TIDEMARK_TSDB_LARGE_CHANGE_H
#define TIDEMARK_TSDB_LARGE_CHANGE_H

#include "proto/command.h"

struct large_change {
    struct buf bytes; /* of the parts so far */
    uint64_t index;   /* of the last one's entry */
    uint64_t term;
    uint64_t next; /* place of the part that must follow; 0: none is open */
    uint64_t count;
};

enum large_verdict {
    LARGE_MORE,  /* others follow */
    LARGE_WHOLE, /* l->bytes is the command */
    LARGE_VOID   /* a part before it is missing: forget it */
};

enum large_verdict large_change_add(struct large_change *l, const struct command_part *part,
                                    uint64_t index, uint64_t term);
/* Also gives the memory back. */
void large_change_drop(struct large_change *l);

#endif
