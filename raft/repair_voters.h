/* SPDX-License-Identifier: Apache-2.0 */
/* How many others must answer before a rule that needs voters holds (C2.3, and
 * C3 without a leader), in every configuration that can matter: see
 * "Configurations" in repair.h. */
#ifndef TIDEMARK_RAFT_REPAIR_VOTERS_H
#define TIDEMARK_RAFT_REPAIR_VOTERS_H

#include "raft/repair_judge.h"

/* Whether the peers counted (bits by position in j->peers) are enough in every
 * configuration that is, or may be, in force at or after 'index'. */
bool voters_are_enough(const struct judge *j, uint32_t counted, uint64_t index);

/* Who may be counted at all: has a term above ours durable, and, when it
 * matters, can name the latest configuration of its log. */
bool voters_may_count(const struct judge *j, const struct judge_peer *p, uint64_t index);

#endif
