/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>

#include "node/test/membership/world.h"

/* Who holds the last change and answers a question asked now (safety.md B5). */
static uint32_t holders_of(struct world *w, const struct directory *d, size_t change)
{
    uint32_t set = 1U << d->hard.directory_id;
    for (uint64_t id = 1; id < IDS; id++) {
        size_t disk =
            id != d->hard.directory_id && d->match[id] >= change ? disk_with_id(w, id) : DISKS;
        if (disk < DISKS && reaches(w, disk, disk_of(w, d))) {
            set |= 1U << id;
        }
    }
    return set;
}

static bool committed_in_own_term(const struct directory *d)
{
    for (size_t i = d->commit; i > 0; i--) {
        if (term_at(d, i) == d->hard.term) {
            return true;
        }
    }
    return false;
}

static bool change(struct world *w, struct directory *d, struct members next)
{
    struct members now = members_of(d);
    size_t last = members_index(d, d->count);
    if (!committed_in_own_term(d) || last > d->commit) {
        return false;
    }
    uint32_t holders = holders_of(w, d, last);
    if (!is_quorum(holders, now.voters) || !is_quorum(holders, next.voters)) {
        return false;
    }
    raft_append(w, d,
                (struct entry){.kind = ENTRY_MEMBERS,
                               .value = next.voters * UINT64_C(65599) + next.spares,
                               .members = next});
    w->counts->steps++;
    trace(w, "disk %zu: voters %" PRIx32 " spares %" PRIx32 " at %zu", disk_of(w, d), next.voters,
          next.spares, d->count);
    raft_advance(w, d);
    return true;
}

/* --- what the leader wants --- */

static bool form(struct world *w, struct directory *d)
{
    uint32_t voters = members_of(d).voters;
    for (uint64_t id = 1; id < IDS; id++) {
        if (has(voters, id) && id != d->hard.directory_id && d->match[id] < 1) {
            return false;
        }
    }
    if (d->hard.cluster_formed || d->commit < 1) {
        return false;
    }
    raft_append(w, d, (struct entry){.kind = ENTRY_FORMED});
    raft_advance(w, d);
    return true;
}

static bool drop_dead_names(struct world *w, struct directory *d)
{
    struct members now = members_of(d);
    for (uint64_t id = 1; id < IDS; id++) {
        bool member = has(now.voters | now.spares, id) && id != d->hard.directory_id;
        if (!member || !w->name_dead[w->id_name[id]] || !d->hard.cluster_formed) {
            continue;
        }
        uint32_t rest = ~(1U << id);
        if (silent(w, d, id) &&
            change(w, d, (struct members){now.voters & rest, now.spares & rest})) {
            return true;
        }
    }
    return false;
}

/* The ids of one name in the configuration. */
struct holders {
    uint64_t old_voter, young_voter, spare; /* 0: none */
};

static struct holders holders_of_name(const struct world *w, const struct members *now, size_t name)
{
    struct holders h = {0, 0, 0};
    for (uint64_t id = 1; id < IDS; id++) {
        if (w->id_name[id] != name) {
            continue;
        }
        if (has(now->voters, id)) {
            h.old_voter = h.old_voter == 0 ? id : h.old_voter;
            h.young_voter = id;
        }
        h.spare = has(now->spares, id) ? id : h.spare;
    }
    return h;
}

/* Two ids of one name vote: the old one goes, silent or not. */
static bool drop_old(struct world *w, struct directory *d, const struct holders *h)
{
    struct members now = members_of(d);
    uint64_t id = h->old_voter == d->hard.directory_id ? h->young_voter : h->old_voter;
    if (!change(w, d, (struct members){now.voters & ~(1U << id), now.spares})) {
        return false;
    }
    w->counts->replaced++;
    return true;
}

static bool promote_spare(struct world *w, struct directory *d, const struct holders *h,
                          size_t name)
{
    struct members now = members_of(d);
    uint32_t bit = 1U << h->spare;
    uint64_t want = d->want[name];
    bool own = h->old_voter == d->hard.directory_id;
    if (own || (want != 0 && want != h->spare && silent(w, d, h->spare))) {
        return change(w, d, (struct members){now.voters, now.spares & ~bit});
    }
    bool old_is_silent = h->old_voter == 0 || silent(w, d, h->old_voter);
    return old_is_silent && d->match[h->spare] >= d->commit && !silent(w, d, h->spare) &&
           change(w, d, (struct members){now.voters | bit, now.spares & ~bit});
}

static bool take_newcomer(struct world *w, struct directory *d, const struct holders *h,
                          size_t name)
{
    struct members now = members_of(d);
    uint64_t want = d->want[name];
    if (want == 0 || has(now.voters, want) || h->old_voter == d->hard.directory_id) {
        return false;
    }
    for (size_t i = 0; i < d->node_count; i++) {
        if (d->nodes[i].directory_id == want && d->nodes[i].removed) {
            return false;
        }
    }
    return change(w, d, (struct members){now.voters, now.spares | 1U << want});
}

void steps_tick(struct world *w, struct directory *d)
{
    if (form(w, d) || drop_dead_names(w, d)) {
        return;
    }
    for (size_t name = 0; name < NAMES; name++) {
        struct members now = members_of(d);
        struct holders h = holders_of_name(w, &now, name);
        bool done = false;
        if (h.old_voter != h.young_voter) {
            done = drop_old(w, d, &h);
        } else if (h.spare != 0) {
            done = promote_spare(w, d, &h, name);
        } else {
            done = take_newcomer(w, d, &h, name);
        }
        if (done) {
            return;
        }
    }
}
