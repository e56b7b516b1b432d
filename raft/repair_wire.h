/* SPDX-License-Identifier: Apache-2.0 */
/* RepairQuestion and RepairAnswer of proto/tidemark/peer/v1/repair.proto, as
 * the two sides of repair.h use them. Decoders of bytes from outside:
 * ERR_CORRUPT, never a crash; every count is bounded before memory is taken. */
#ifndef TIDEMARK_RAFT_REPAIR_WIRE_H
#define TIDEMARK_RAFT_REPAIR_WIRE_H

#include "raft/repair_runs.h"

/* Indexes first .. first + count - 1; count 0: from first to the end. */
struct repair_range {
    uint64_t first;
    uint64_t count;
};

/* The entries index .. index + count - 1, all of one term. */
struct repair_want {
    uint64_t index;
    uint64_t count; /* > 0 */
    uint64_t term;
};

struct repair_question {
    uint64_t question;
    uint64_t term_above; /* 0: no promise asked for */
    bool insist;
    struct repair_range ranges[LIMIT_REPAIR_RANGES]; /* ascending, not overlapping */
    size_t range_count;
    struct repair_want wants[LIMIT_REPAIR_WANTS];
    size_t want_count;
};

/* Both append to 'out', or read the whole of 'message'. */
void repair_question_encode(const struct repair_question *q, struct buf *out);
MUST_CHECK enum err_code repair_question_decode(struct bytes message, struct repair_question *out,
                                                struct err *e);

/* What one peer said in answer to one question. */
struct repair_said {
    uint64_t question;
    uint64_t term;
    uint64_t leader;
    uint64_t leader_term;
    uint64_t first;
    uint64_t last; /* at least first - 1 */
    bool end_unknown;
    uint64_t cut_term;
    uint64_t snapshot_index;
    uint64_t snapshot_term;
    struct slot_runs runs; /* inside first .. last */
    bool configuration_known;
    struct configuration configuration;
    bool configuration_hidden;
    struct entry **entries; /* whose crc held; one reference each */
    size_t entry_count;
};

void repair_said_deinit(struct repair_said *said);
void repair_said_encode(const struct repair_said *said, struct buf *out);
/* On success the caller gives *out to repair_said_deinit(). */
MUST_CHECK enum err_code repair_said_decode(struct bytes message, struct repair_said *out,
                                            struct err *e);

/* What the answer says about an index. False: it was not asked. */
bool repair_said_slot(const struct repair_said *said, uint64_t index, struct slot *out);

#endif
