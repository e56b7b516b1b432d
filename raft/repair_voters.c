/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/repair_voters.h"

#include "base/check.h"
#include "raft/repair_weak.h"

enum { PEER_BITS = 32 };

_Static_assert((int)LIMIT_REPAIR_PEERS <= (int)PEER_BITS, "a set of peers fits in a uint32_t");

/* Whether an entry that we lost can have been a membership change. */
static bool hides_change(const struct judge *j)
{
    CHECK(j->own != NULL);
    if (j->end_unknown) {
        return true;
    }
    for (size_t i = 0; i < j->own->count; i++) {
        struct slot slot = j->own->items[i].slot;
        bool change = slot.kind == SLOT_DAMAGED && slot.type == ENTRY_CHANGE;
        if (slot.kind == SLOT_UNKNOWN || change) {
            return true;
        }
    }
    return false;
}

/* How many others must answer; see "Configurations" in repair.h. */
static size_t voters_needed(size_t voters, bool hidden)
{
    CHECK(voters <= LIMIT_NODES_MAX);
    size_t majority = voters / 2 + 1;
    size_t others = voters + 1 - majority;
    if (WEAK(C23_COUNT)) {
        return others > 1 ? others - 1 : 1;
    }
    if (!hidden && (voters <= 2 || WEAK(C23_EVEN))) {
        return others;
    }
    return majority;
}

static bool holds_in(const struct judge *j, uint32_t counted, const struct configuration *c,
                     bool hidden)
{
    CHECK(j->peer_count <= PEER_BITS);
    CHECK(c->count <= LIMIT_NODES_MAX);
    size_t found = 0;
    for (size_t i = 0; i < j->peer_count; i++) {
        bool voter = configuration_is_voter(c, j->peers[i].id) || WEAK(C23_SPARE);
        found += (counted & UINT32_C(1) << i) != 0 && voter;
    }
    return found >= voters_needed(configuration_voters(c), hidden);
}

bool voters_are_enough(const struct judge *j, uint32_t counted, uint64_t index)
{
    CHECK(index > j->base);
    CHECK(j->configuration_count == 0 || j->configurations != NULL);
    size_t at = j->configuration_count;
    while (at > 0 && j->configurations[at - 1].index > index) {
        at--;
    }
    if (at == 0) {
        return false; /* the one in force at 'index' is not known */
    }
    bool hidden = hides_change(j) && !WEAK(C23_HIDDEN);
    at = WEAK(C23_CONFIGS) ? j->configuration_count : at;
    for (size_t i = at - 1; i < j->configuration_count; i++) {
        if (!holds_in(j, counted, &j->configurations[i], hidden)) {
            return false;
        }
    }
    uint64_t latest = j->configurations[j->configuration_count - 1].index;
    for (size_t i = 0; i < j->peer_count && hidden; i++) {
        const struct repair_said *said = j->peers[i].said;
        bool names = (counted & UINT32_C(1) << i) != 0 && said != NULL &&
                     said->configuration_known && said->configuration.index > latest;
        if (names && !holds_in(j, counted, &said->configuration, hidden)) {
            return false;
        }
    }
    return true;
}

bool voters_may_count(const struct judge *j, const struct judge_peer *p, uint64_t index)
{
    CHECK(index > j->base);
    CHECK(p->id != j->id);
    if (p->said == NULL) {
        return false;
    }
    if (p->said->term <= judge_our_term(j, index) && !WEAK(C23_TERM)) {
        return false;
    }
    bool told = p->said->configuration_known && (!p->said->configuration_hidden || WEAK(C3_END));
    return told || !hides_change(j) || WEAK(C23_HIDDEN);
}
