/* SPDX-License-Identifier: Apache-2.0 */
/* Rules that a member can be told to break, one bit each, so that tests can show
 * that the rule is needed: a run that holds with it must fail without it. 0 in
 * production; only tests and the simulator set it. docs/safety-tests.md names
 * the test of each. */
#ifndef TIDEMARK_NODE_MEMBER_WEAKEN_H
#define TIDEMARK_NODE_MEMBER_WEAKEN_H

#include <stdbool.h>

enum member_weaken {
    WEAKEN_VOTES = 1U << 0,        /* B1: a vote leaves without being durable */
    WEAKEN_APPENDS = 1U << 1,      /* B1: entries are acknowledged before they are synced */
    WEAKEN_APPLY = 1U << 2,        /* D1: a start applies up to the last whole entry */
    WEAKEN_COPIES = 1U << 3,       /* D2: byrl's local WAL holds data too */
    WEAKEN_FAIL_STOP = 1U << 4,    /* D4: a checkpoint that fails is given up, the node goes on */
    WEAKEN_SESSIONS = 1U << 5,     /* E1: a checkpoint holds no sessions */
    WEAKEN_CUTS = 1U << 6,         /* E3: a log is cut at the node's own checkpoint */
    WEAKEN_CLEAN_STOP = 1U << 7,   /* E6: a stop makes no checkpoint, hands nothing over */
    WEAKEN_HANGS = 1U << 8,        /* H2: a disk that hangs is waited for */
    WEAKEN_LEADER_GONE = 1U << 9,  /* I: a dead leader is missed only after a timeout */
    WEAKEN_CHECKPOINTS = 1U << 10, /* E2: a slow node skips a checkpoint */
    WEAKEN_FORMING = 1U << 11,     /* B4: clients are served before all have adopted */
    WEAKEN_PROMISES = 1U << 12,    /* C2.3: a term is told before it is stored */
    WEAKEN_TOLD = 1U << 13,        /* C2.3: a log is told of that is not read yet */
    WEAKEN_FOUND = 1U << 14,       /* C6: damage that a read finds is logged, nothing else */
    WEAKEN_REFUSALS = 1U << 15,    /* D4: what apply refuses is a failure, as it was validated */
    WEAKEN_ERAS = 1U << 16,        /* F2: the control file does not name a new era */
    WEAKEN_MAJORITY = 1U << 17,    /* E4: a node is refilled that differs from any other */
    WEAKEN_ROOM = 1U << 20,        /* H1: a disk that fills is noticed when a write fails */
    WEAKEN_ALONE = 1U << 18,       /* F1: a leader leaves Raft whoever else is a member */
};

static inline bool is_weakened(unsigned weaken, enum member_weaken rule)
{
    return (weaken & (unsigned)rule) != 0;
}

#endif
