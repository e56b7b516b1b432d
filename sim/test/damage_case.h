/* SPDX-License-Identifier: Apache-2.0 */
/* The experiments that protocol-aware recovery was published with, on whole
 * simulated nodes: all are stopped, disks of some are hurt, all start. Every case
 * must end with the cluster serving, but for those in which the oracle (sim/damage.h)
 * finds a committed entry of which no copy is left: there it must wait and say so.
 * The checkers of the simulator look for anything lost or changed all the time.
 *
 *   TIDEMARK_ROUNDS=full   the published numbers of cases, else a tenth of them
 *   TIDEMARK_SEED=n        from that world on
 *   TIDEMARK_TRACE=1       with the nodes' log lines */
#ifndef TIDEMARK_SIM_TEST_DAMAGE_CASE_H
#define TIDEMARK_SIM_TEST_DAMAGE_CASE_H

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "sim/damage.h"
#include "testkit/test.h"

enum { CASES_PER_WORLD = 50, SETTLE_SECONDS = 20, CASES_SANITIZED = 40 };

struct experiment {
    uint64_t cases; /* as published */
    enum damage_kind kind;
    bool crashes; /* at random moments, of nodes that lag then */
};

struct tally {
    uint64_t cases, correct;
    uint64_t waits_gone;    /* no copy is left of something */
    uint64_t waits_unknown; /* several nodes have lost identities: rule C3 may not decide */
    uint64_t damaged_nodes[WORLD_NODES_MAX + 1];
    uint64_t filled, dropped, replaced, snapshots;
};

static inline uint64_t cases_to_play(uint64_t published)
{
    const char *rounds = getenv("TIDEMARK_ROUNDS");
    bool full = rounds != NULL && strcmp(rounds, "full") == 0;
    if (TEST_SANITIZED) {
        return full ? published / 10 : CASES_SANITIZED;
    }
    return full ? published : published / 10;
}

/* ---- one case ---- */

static inline void crash_all(struct world *w, bool power)
{
    for (size_t i = 0; i < w->node_count; i++) {
        if (w->nodes[i].up) {
            node_crash(&w->nodes[i], power);
            w->counts.crashes++;
        }
    }
}

/* Nodes crash and come back in the middle of writes, so that they lag, and hold
 * entries of other terms that nobody else has. */
static inline void crash_some(struct world *w)
{
    for (uint64_t k = random_between(&w->random, 2, 5); k > 0; k--) {
        struct node *n = &w->nodes[random_below(&w->random, w->node_count)];
        if (!n->up) {
            node_start(n);
        } else if (random_chance(&w->random, 2, 3)) {
            node_crash(n, random_chance(&w->random, 1, 2));
            w->counts.crashes++;
        }
        world_run_for(w, random_between(&w->random, 1, 400) * WORLD_MS);
    }
}

/* After crashes half of the damage on one node is at its end, where entries stand that
 * nobody committed. (Two nodes that don't know how their logs end rightly wait.) */
static inline void hurt(struct world *w, const struct experiment *x, struct tally *t)
{
    uint64_t nodes = random_between(&w->random, 1, (UINT64_C(1) << w->node_count) - 1);
    bool one = (nodes & (nodes - 1)) == 0;
    bool end = x->crashes && one && random_chance(&w->random, 1, 2);
    size_t count = 0;
    for (size_t i = 0; i < w->node_count; i++) {
        if ((nodes >> i & 1U) != 0) {
            count += damage_block(&w->nodes[i], x->kind, end ? DAMAGE_AT_END : DAMAGE_ANYWHERE);
        }
    }
    t->damaged_nodes[count]++;
}

/* All run, one leads, and more is acknowledged than before. */
static inline bool is_serving(struct world *w, uint64_t acked)
{
    for (size_t i = 0; i < w->node_count; i++) {
        if (!node_is_serving(&w->nodes[i]) ||
            member_status(w->nodes[i].member).replica.leader == 0) {
            return false;
        }
    }
    return w->counts.acked_writes > acked;
}

static inline bool settles(struct world *w)
{
    uint64_t acked = w->counts.acked_writes;
    uint64_t limit_us = w->now_us + SETTLE_SECONDS * WORLD_SECOND;
    while (!is_serving(w, acked)) {
        if (w->now_us >= limit_us) {
            return false;
        }
        world_run_for(w, 20 * WORLD_MS);
    }
    return true;
}

static inline void add_repairs(struct world *w, struct tally *t)
{
    for (size_t i = 0; i < w->node_count; i++) {
        struct repair_status r = member_status(w->nodes[i].member).repaired;
        t->filled += r.filled;
        t->dropped += r.dropped;
        t->replaced += r.replaced;
        t->snapshots += r.snapshots;
    }
}

/* Who waits says for what. */
static inline void expect_waiting(struct world *w)
{
    bool any = false;
    for (size_t i = 0; i < w->node_count; i++) {
        struct node *n = &w->nodes[i];
        CHECK(n->up);
        if (member_state(n->member) == MEMBER_REPAIRING) {
            any = true;
            EXPECT_CONTAINS(member_status(n->member).message, "waits for ");
        }
    }
    EXPECT(any);
}

/* False: the cluster waits, rightly. */
static inline bool play_case(struct world *w, const struct experiment *x, struct tally *t)
{
    struct damage_view before;
    struct damage_view after;
    world_run_for(w, random_between(&w->random, 50, 400) * WORLD_MS);
    if (x->crashes) {
        crash_some(w);
    }
    crash_all(w, x->crashes);
    damage_look(w, &before);
    hurt(w, x, t);
    damage_look(w, &after);
    uint64_t lost = damage_lost(w, &before, &after);
    unsigned unknown = 0;
    for (size_t i = 0; i < w->node_count; i++) {
        unknown += after.unknown[i];
    }
    damage_view_deinit(&before);
    damage_view_deinit(&after);
    for (size_t i = 0; i < w->node_count; i++) {
        node_start(&w->nodes[i]);
    }
    t->cases++;
    if (settles(w)) {
        t->correct++;
        add_repairs(w, t);
        return true;
    }
    expect_waiting(w);
    if (lost == 0 && unknown < 2) {
        check_end(w); /* says how it stands */
        world_fail(w, "case %" PRIu64 " waits, and a copy of every entry is left", t->cases);
    }
    t->waits_gone += lost != 0;
    t->waits_unknown += lost == 0;
    return false;
}

/* ---- experiments ---- */

static inline struct world *open_world(uint64_t seed)
{
    struct world *w = world_create(&(struct world_options){
        .seed = seed, .calm = true, .verbose = getenv("TIDEMARK_TRACE") != NULL});
    w->end_us = UINT64_MAX / 2; /* until world_run() the clients go on */
    world_run_for(w, 4 * WORLD_SECOND);
    CHECK(w->counts.acked_writes > 0);
    return w;
}

static inline struct tally play(struct experiment x)
{
    struct tally t = {0};
    const char *first = getenv("TIDEMARK_SEED");
    uint64_t seed = first == NULL ? 1 : strtoull(first, NULL, 10);
    uint64_t cases = cases_to_play(x.cases);
    while (t.cases < cases) {
        test_context("world %" PRIu64, seed);
        struct world *w = open_world(seed++);
        bool served = true;
        for (unsigned k = 0; k < CASES_PER_WORLD && served && t.cases < cases; k++) {
            served = play_case(w, &x, &t);
        }
        if (served) {
            world_run(w); /* every acknowledged row is there, on every node */
        }
        world_destroy(w);
    }
    printf("(%" PRIu64 " cases, on one, two, three nodes %" PRIu64 " %" PRIu64 " %" PRIu64
           ": correct %" PRIu64 ", wait for what is gone %" PRIu64 ", for identities %" PRIu64
           "; filled %" PRIu64 " dropped %" PRIu64 " replaced %" PRIu64 " snapshots %" PRIu64 ") ",
           t.cases, t.damaged_nodes[1], t.damaged_nodes[2], t.damaged_nodes[3], t.correct,
           t.waits_gone, t.waits_unknown, t.filled, t.dropped, t.replaced, t.snapshots);
    EXPECT_UINT(t.correct + t.waits_gone + t.waits_unknown, cases);
    EXPECT(t.filled > 0);
    return t;
}

#endif
