/* SPDX-License-Identifier: Apache-2.0 */
/* Building the list of actions that replica.h hands out. */
#ifndef TIDEMARK_RAFT_RAFT_ACTIONS_H
#define TIDEMARK_RAFT_RAFT_ACTIONS_H

#include "raft/replica.h"

/* A cleared item at the end. Valid until the next one is put. */
struct action *raft_actions_put(struct actions *a, enum action_type type);
/* Takes references of its own; sets count, index (first) and term (last). */
void raft_actions_entries(struct action *a, struct entry *const *entries, size_t count);
void raft_actions_configuration(struct action *a, const struct configuration *c);

#endif
