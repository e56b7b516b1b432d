/* SPDX-License-Identifier: Apache-2.0 */
/* Random damage to checkpoints and logs (experiment P6 of protocol-aware recovery):
 * each of three nodes has the log alone, or a checkpoint of its first half too, or
 * that first half in the checkpoint alone. All 27 combinations, random faults in
 * each; an oracle says which nodes can be made good: those must be, with the right
 * entries, and the others must wait. */
#include "raft/test/repair_lab.h"
#include "testkit/test.h"

enum {
    NODES = 3,
    CHECKPOINT = 4, /* the last index that it holds */
    ENTRIES = 8,
    STATES = 3,
    COMBINATIONS = STATES * STATES * STATES,
    CASES_EACH = TEST_SANITIZED ? 40 : 200,
    ROUNDS = 12,
};

enum state { LOG_ALONE, LOG_TOO, CUT };

/* What stands on the disks of all nodes. */
struct disks {
    bool checkpoint[NODES];
    bool cut[NODES];
    bool whole[NODES][ENTRIES + 1];
};

static struct disks draw_disks(struct random *r, unsigned combination)
{
    struct disks d = {0};
    uint64_t damage_of_8 = random_between(r, 1, 5);
    for (size_t n = 0; n < NODES; n++, combination /= STATES) {
        enum state state = (enum state)(combination % STATES);
        d.cut[n] = state == CUT;
        d.checkpoint[n] = state != LOG_ALONE && !random_chance(r, damage_of_8, 8);
        for (uint64_t i = state == CUT ? CHECKPOINT + 1 : 1; i <= ENTRIES; i++) {
            d.whole[n][i] = !random_chance(r, damage_of_8, 8);
        }
    }
    return d;
}

static struct lab *make_lab(const struct disks *d, uint64_t seed)
{
    struct lab *lab = lab_open(NODES);
    lab->random = random_seeded(seed);
    for (size_t n = 0; n < NODES; n++) {
        struct lab_node *node = &lab->nodes[n];
        if (d->cut[n]) {
            lab_log_from(lab, n, CHECKPOINT + 1, "1 1 2 2");
            node->cut_term = 1;
        } else {
            lab_log(lab, n, "1 1 1 1 1 1 2 2");
        }
        node->term = 2;
        node->snapshot_index = d->checkpoint[n] ? CHECKPOINT : 0;
        node->snapshot_term = d->checkpoint[n] ? 1 : 0;
        for (uint64_t i = node->first; i <= ENTRIES; i++) {
            if (!d->whole[n][i]) {
                lab_damage(node, i);
            }
        }
    }
    return lab;
}

/* Someone has the entry whole, or it is in someone's checkpoint. */
static bool is_left(const struct disks *d, uint64_t index)
{
    bool left = false;
    for (size_t n = 0; n < NODES; n++) {
        left = left || d->whole[n][index] || (d->checkpoint[n] && index <= CHECKPOINT);
    }
    return left;
}

static bool has_any_checkpoint(const struct disks *d)
{
    return d->checkpoint[0] || d->checkpoint[1] || d->checkpoint[2];
}

/* The oracle. A log that is cut needs a checkpoint under it; any other one its
 * entries, or those above a checkpoint. */
static bool can_be_made_good(const struct disks *d, size_t n)
{
    bool good = !d->cut[n] || has_any_checkpoint(d);
    uint64_t first = d->cut[n] || d->checkpoint[n] ? CHECKPOINT + 1 : 1;
    for (uint64_t i = first; i <= ENTRIES; i++) {
        good = good && (d->whole[n][i] || is_left(d, i));
    }
    return good;
}

static uint64_t term_of(uint64_t index)
{
    return index <= 6 ? 1 : 2;
}

/* Nothing that was held is another entry now, or gone. */
static bool is_unharmed(const struct lab_node *node, const struct disks *d)
{
    bool unharmed = node->last == ENTRIES && !node->end_unknown;
    for (uint64_t i = 1; i <= ENTRIES; i++) {
        struct lab_slot s = node->log[i];
        bool held = i >= node->first && s.slot.kind == SLOT_WHOLE;
        if (held) {
            unharmed = unharmed && s.slot.term == term_of(i) && s.value == lab_value(i, term_of(i));
        } else if (d->whole[node->number][i]) {
            unharmed = unharmed && node->snapshot_index >= i;
        }
    }
    return unharmed;
}

struct tally {
    unsigned done, waits, wrong;
};

static void play_case(const struct disks *d, uint64_t seed, struct tally *t)
{
    struct lab *lab = make_lab(d, seed);
    lab_run_for(lab, ROUNDS);
    for (size_t n = 0; n < NODES; n++) {
        const struct lab_node *node = &lab->nodes[n];
        bool done = node->repair == NULL;
        bool says = done || (node->waits != NULL && strstr(node->waits, "waits for ") != NULL);
        t->done += done;
        t->waits += !done;
        if (done != can_be_made_good(d, n) || !says || !is_unharmed(node, d)) {
            printf("seed %" PRIu64 " node %zu: %s\n", seed, n, node->waits);
            t->wrong++;
        }
    }
    lab_close(lab);
}

TEST(repair_snapshots, every_node_that_can_be_made_good_is)
{
    struct tally t = {0};
    for (unsigned combination = 0; combination < COMBINATIONS; combination++) {
        for (uint64_t k = 0; k < CASES_EACH; k++) {
            uint64_t seed = combination * UINT64_C(1000) + k;
            struct random r = random_seeded(seed);
            struct disks d = draw_disks(&r, combination);
            play_case(&d, seed, &t);
        }
    }
    printf("(done %u, wait %u) ", t.done, t.waits);
    EXPECT_UINT(t.wrong, 0);
    EXPECT(t.done > t.waits / 2);
    EXPECT(t.waits > 0);
}
