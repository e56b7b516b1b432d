/* SPDX-License-Identifier: Apache-2.0 */
/* Messages that wait for hard state (safety.md B1).
 *
 * A message may say what a term or vote that is not on disk yet implies; a
 * crash would forget the promise after others relied on it. So while a hard
 * state is out, every message waits for the newest one asked for when it was
 * made, and leaves in the order of making. */
#ifndef TIDEMARK_RAFT_RAFT_OUTBOX_H
#define TIDEMARK_RAFT_RAFT_OUTBOX_H

#include "raft/replica.h"

struct raft_outbox_item {
    uint64_t hard_state; /* number of the hard state it waits for */
    uint64_t peer;
    struct buf message;
};

struct raft_outbox {
    uint64_t asked;                 /* hard states asked for */
    uint64_t durable;               /* of them, on disk */
    struct raft_outbox_item *items; /* oldest first */
    size_t count;
    size_t capacity;
    size_t bytes;
    bool leaks; /* a test took the rule out: nothing waits */
};

void raft_outbox_deinit(struct raft_outbox *o);
/* Takes the message. Becomes an ACTION_SEND now or later. A full outbox loses it, as a network may. */
void raft_outbox_send(struct raft_outbox *o, uint64_t peer, struct buf *message,
                      struct actions *actions);
void raft_outbox_hard_state(struct raft_outbox *o, uint64_t term, uint64_t voted_for,
                            struct actions *actions);
/* The oldest hard state that was out is durable. ERR_STATE: none was out. */
MUST_CHECK enum err_code raft_outbox_durable(struct raft_outbox *o, struct actions *actions,
                                             struct err *e);
bool raft_outbox_waits(const struct raft_outbox *o); /* a hard state is out */

#endif
