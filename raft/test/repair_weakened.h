/* SPDX-License-Identifier: Apache-2.0 */
/* The sources of repair.h compiled into the test, with the weaker forms of the
 * rules that repair_weak.h lists: 'repair_weakness' is the one that is on. The
 * library has none of this. */
#ifndef TIDEMARK_RAFT_TEST_REPAIR_WEAKENED_H
#define TIDEMARK_RAFT_TEST_REPAIR_WEAKENED_H

#define REPAIR_WEAKENED

/* NOLINTBEGIN(bugprone-suspicious-include): compiled with other switches here */
#include "raft/repair.c"
#include "raft/repair_answer.c"
#include "raft/repair_ask.c"
#include "raft/repair_judge.c"
#include "raft/repair_runs.c"
#include "raft/repair_state.c"
#include "raft/repair_text.c"
#include "raft/repair_voters.c"
#include "raft/repair_wire.c"
/* NOLINTEND(bugprone-suspicious-include) */

#define REPAIR_WEAK_TEXT(name) #name,
static const char *const repair_weak_names[] = {REPAIR_WEAKNESSES(REPAIR_WEAK_TEXT)};
#undef REPAIR_WEAK_TEXT

_Static_assert(sizeof repair_weak_names / sizeof repair_weak_names[0] == WEAK_COUNT,
               "a name for each");

#endif
