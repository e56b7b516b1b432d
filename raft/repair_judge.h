/* SPDX-License-Identifier: Apache-2.0 */
/* The rules C1-C5 of safety.md as a function of what we hold and of what our
 * peers said in answer to one question: what may be done now?
 *
 * A verdict names identities, (index, term), never bytes: an identity names one
 * entry for ever, so that the entries may come from anybody, later. A verdict
 * also stays true however long it takes to act on it: what is proved dead stays
 * dead, and while we repair we neither vote nor acknowledge. */
#ifndef TIDEMARK_RAFT_REPAIR_JUDGE_H
#define TIDEMARK_RAFT_REPAIR_JUDGE_H

#include "raft/repair_wire.h"

struct judge_peer {
    uint64_t id;
    const struct repair_said *said; /* NULL: no answer */
    bool source;                    /* entries and snapshots can be fetched from it now */
};

/* All borrowed. */
struct judge {
    uint64_t id;
    uint64_t term_began; /* stored when the repair began */
    uint64_t base;       /* at or below: our checkpoint, or what is cut away */
    uint64_t last;       /* base at least */
    uint64_t gap_first;  /* the log ends before it, and gap_first .. base is in our checkpoint; 0:
                            it reaches the base */
    uint64_t base_term;  /* of our checkpoint */
    bool base_missing;   /* the log is cut above our checkpoint */
    bool end_unknown;
    bool replace_too_long;       /* what a deciding log holds more did not fit in memory: prefer
                                    its snapshot */
    const struct slot_runs *own; /* base + 1 .. last */
    const struct configuration *configurations; /* oldest first */
    size_t configuration_count;
    const struct judge_peer *peers;
    size_t peer_count; /* at most LIMIT_REPAIR_PEERS */
};

enum verdict_kind {
    VERDICT_WAIT,     /* no rule applies */
    VERDICT_FILL,     /* 'targets' are those of our holes that stand whole somewhere */
    VERDICT_SNAPSHOT, /* peer 'id' has 'index' (of 'term') in a snapshot */
    VERDICT_DROP,     /* 'index' and all after it, once a term above 'term' is durable */
    VERDICT_REPLACE, /* the same, by 'targets', in one step. Where the log ends below our checkpoint
                         they begin there: a log has no gaps */
};

struct verdict {
    enum verdict_kind kind;
    const char *rule;
    uint64_t id;
    uint64_t index;
    uint64_t term;
    struct slot_runs targets; /* WHOLE slots, ascending */
};

void verdict_deinit(struct verdict *v);

/* Holes that can be filled now, as many as one step takes. False: none. */
bool judge_fill(const struct judge *j, struct verdict *out);
/* Everything else: only after each peer that can be reached has answered, so
 * that a fill is never missed for a slow answer. False: wait. */
bool judge_rest(const struct judge *j, struct verdict *out);

/* "Our term" of C2 for index and after: of our last entry, or, where a slot
 * from there on is unknown, at least the term stored when the repair began. */
uint64_t judge_our_term(const struct judge *j, uint64_t index);
/* The first index that is in doubt: a hole, or last + 1 for an unknown end. 0: none. */
uint64_t judge_first_hole(const struct judge *j);
/* A peer that is known to have this entry whole and can be asked for it, or NULL. */
const struct judge_peer *judge_holder(const struct judge *j, uint64_t index, uint64_t term);
/* A live leader of a term below ours was named: it decides nothing, and keeps
 * its followers from promising a term. */
bool judge_leader_is_behind(const struct judge *j);

#endif
