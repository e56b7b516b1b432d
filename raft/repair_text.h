/* SPDX-License-Identifier: Apache-2.0 */
/* What a repair waits for, in words for the operator (safety.md C4): entries by
 * index and term, and for each what every node said or did not say. */
#ifndef TIDEMARK_RAFT_REPAIR_TEXT_H
#define TIDEMARK_RAFT_REPAIR_TEXT_H

#include "raft/repair_judge.h"

/* The caller's, mem_free(). */
MUST_CHECK char *repair_waiting_text(const struct judge *j);

#endif
