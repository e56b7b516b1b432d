/* SPDX-License-Identifier: Apache-2.0 */
/* Three and five replicas under loss, duplication, reordering, partitions,
 * crashes that lose what was not synced, slow disks, snapshots, membership
 * steps, transfers and reads, from seeds. cluster.c checks all the time; here
 * the faults are made, and progress and equality after healing are checked. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "raft/raft_guard.h"
#include "raft/test/cluster.h"
#include "testkit/test.h"

enum shape { THREE, FIVE, MEMBERS, SHAPES };

enum { FAULTS_MS = 30000, HEALING_MS = 16000 };

static struct cluster_options options_of(uint64_t seed, enum shape shape, unsigned guards_off)
{
    struct random r = random_seeded(seed * 7919 + 13);
    struct cluster_options o = {
        .seed = seed,
        .guards_off = guards_off,
        .nodes = shape == THREE ? 3 : 5,
        .voters = shape == FIVE ? 5 : 3,
        .heartbeat_ms = 40,
        .election_ms = 300,
        .net_min_ms = 1,
        .net_max_ms = (unsigned)random_between(&r, 2, 40),
        .loss = random_chance(&r, 1, 2) ? 0 : (unsigned)random_below(&r, 80),
        .duplicate = (unsigned)random_below(&r, 100),
        .slow = 5,
        .reorder = seed % 2 == 0,
        .disk_min_ms = 1,
        .disk_max_ms = (unsigned)random_between(&r, 2, 30),
        .apply_max_ms = (unsigned)random_below(&r, 20),
        .fetch_ms = random_chance(&r, 1, 2) ? 5 : (unsigned)random_between(&r, 100, 900),
        .trace = getenv("TIDEMARK_TRACE") != NULL,
        .cache_size_max = random_chance(&r, 1, 2) ? 0 : 64 * 1024,
    };
    return o;
}

static void partition(struct cluster *c, size_t nodes)
{
    struct random *r = cluster_random(c);
    for (uint64_t a = 1; a <= nodes; a++) {
        for (uint64_t b = 1; b <= nodes; b++) {
            cluster_cut(c, a, b, random_chance(r, 300, 1000));
        }
    }
}

static void make_fault(struct cluster *c, size_t nodes)
{
    struct random *r = cluster_random(c);
    uint64_t id = random_between(r, 1, nodes);
    uint64_t dice = random_below(r, 100);
    uint64_t leader = cluster_leader(c);
    if (dice < 20) {
        cluster_crash(c, id, random_chance(r, 1, 2));
    } else if (dice < 52) {
        if (!cluster_node(c, id)->up) {
            cluster_start(c, id);
        }
    } else if (dice < 60) {
        partition(c, nodes);
    } else if (dice < 76) {
        cluster_heal(c);
        for (uint64_t i = 1; i <= nodes; i++) {
            cluster_hold_disk(c, i, false);
            cluster_hold_apply(c, i, false);
        }
    } else if (dice < 84) {
        cluster_isolate(c, leader == 0 ? id : leader, true);
    } else if (dice < 88) {
        cluster_hold_disk(c, id, true);
    } else if (dice < 90) {
        cluster_hold_apply(c, id, true);
    } else if (dice < 95 && leader != 0) {
        (void)cluster_transfer(c, leader, random_chance(r, 1, 2) ? 0 : id);
    } else if (leader != 0) {
        if (random_chance(r, 1, 2)) {
            cluster_crash(c, leader, true);
        }
        for (uint64_t i = 1; i <= nodes; i++) {
            (void)cluster_gone(c, i, leader);
        }
    }
}

static void make_change(struct cluster *c, size_t nodes)
{
    struct random *r = cluster_random(c);
    uint64_t leader = cluster_leader(c);
    uint64_t server = random_between(r, 1, nodes);
    if (leader == 0) {
        return;
    }
    const struct configuration *now = replica_configuration(cluster_node(c, leader)->replica);
    const struct server *s = configuration_find(now, server);
    int role = 0;
    if (s == NULL) {
        role = random_chance(r, 1, 2) ? SERVER_SPARE : SERVER_STANDBY;
    } else if (s->role == SERVER_VOTER && configuration_voters(now) <= 2) {
        return;
    } else if (random_chance(r, 1, 4)) {
        role = SERVER_VOTER + 1;
    } else {
        role = (int)s->role + (random_chance(r, 2, 3) ? 1 : -1);
        role = role > SERVER_VOTER ? SERVER_STANDBY : role;
        role = role < SERVER_SPARE ? SERVER_STANDBY : role;
    }
    (void)cluster_change(c, leader, server, role);
}

static void make_load(struct cluster *c, size_t nodes)
{
    struct random *r = cluster_random(c);
    for (uint64_t i = 1; i <= nodes; i++) {
        if (!cluster_node(c, i)->up) {
            continue;
        }
        if (random_chance(r, 800, 1000)) {
            /* One draw a statement: C leaves the order of arguments to the compiler. */
            size_t size = 8 + random_below(r, 60);
            (void)cluster_submit(c, i, 1 + random_below(r, 8), size);
        }
        if (random_chance(r, 300, 1000)) {
            (void)cluster_read(c, i);
        }
        struct replica_status s = replica_status(cluster_node(c, i)->replica);
        if (s.applied_index > cluster_node(c, i)->disk.snapshot.index + 40) {
            (void)cluster_checkpoint(c, i, random_chance(r, 1, 3) ? 8 : 400);
        }
    }
}

static void make_faults(struct cluster *c, const struct cluster_options *o, bool members)
{
    struct random *r = cluster_random(c);
    uint64_t fault_ms = cluster_now(c) + 700;
    uint64_t end_ms = cluster_now(c) + FAULTS_MS;
    while (cluster_now(c) < end_ms) {
        cluster_run(c, 1 + random_below(r, 20));
        make_load(c, o->nodes);
        if (cluster_now(c) < fault_ms) {
            continue;
        }
        fault_ms = cluster_now(c) + 50 + random_below(r, 700);
        make_fault(c, o->nodes);
        if (members) {
            make_change(c, o->nodes);
        }
    }
}

static void heal(struct cluster *c, size_t nodes)
{
    cluster_heal(c);
    cluster_tune(c)->loss = 0;
    cluster_tune(c)->slow = 0;
    for (uint64_t i = 1; i <= nodes; i++) {
        cluster_hold_disk(c, i, false);
        cluster_hold_apply(c, i, false);
        if (!cluster_node(c, i)->up) {
            cluster_start(c, i);
        }
    }
}

static void run_seed(uint64_t seed, enum shape shape, unsigned guards_off,
                     struct cluster_totals *all)
{
    struct cluster_options o = options_of(seed, shape, guards_off);
    struct cluster *c = cluster_open(&o);
    make_faults(c, &o, shape == MEMBERS);
    heal(c, o.nodes);
    cluster_run(c, HEALING_MS / 2);
    uint64_t before = cluster_totals(c)->acknowledged;
    for (int i = 0; i < 300; i++) {
        make_load(c, o.nodes);
        cluster_run(c, 10);
    }
    if (cluster_totals(c)->acknowledged <= before + 100) {
        cluster_fail(c, "no progress after healing");
    }
    cluster_run(c, HEALING_MS / 2 - 3000);
    cluster_check_equal(c);
    for (uint64_t i = 1; i <= o.nodes; i++) {
        cluster_crash(c, i, false);
    }
    const uint64_t *from = (const uint64_t *)cluster_totals(c);
    uint64_t *to = (uint64_t *)all;
    for (size_t i = 0; i < sizeof *all / sizeof *to; i++) {
        to[i] += from[i];
    }
    all->crashes -= o.nodes; /* the ones just made */
    cluster_close(c);
}

static bool is_full(void)
{
    const char *rounds = getenv("TIDEMARK_ROUNDS");
    return rounds != NULL && strcmp(rounds, "full") == 0;
}

/* TIDEMARK_SEED=n runs that one alone. */
static void run_seeds(enum shape shape, uint64_t count)
{
    const char *one = getenv("TIDEMARK_SEED");
    uint64_t first = 1;
    struct cluster_totals t = {0};
    if (one != NULL) {
        first = strtoull(one, NULL, 10);
        count = 1;
    } else if (is_full()) {
        count *= 10;
    }
    for (uint64_t seed = first; seed < first + count; seed++) {
        run_seed(seed, shape, 0, &t);
    }
    printf("%" PRIu64 " seeds: %" PRIu64 " commits, %" PRIu64 "/%" PRIu64 " acknowledged, %" PRIu64
           " messages, %" PRIu64 " elections, %" PRIu64 " crashes, %" PRIu64 " snapshots (%" PRIu64
           " installed), %" PRIu64 " truncations, %" PRIu64 " reads (%" PRIu64 " failed), %" PRIu64
           " changes, %" PRIu64 " transfers, %" PRIu64 " log reads, %" PRIu64
           " votes given unaware\n",
           count, t.commits, t.acknowledged, t.submitted, t.messages, t.elections, t.crashes,
           t.snapshots, t.installs, t.truncations, t.reads, t.reads_failed, t.changes, t.transfers,
           t.log_reads, t.anew);
    EXPECT(t.commits > 1000 * count);
    EXPECT(t.crashes >= 5 * count);
    EXPECT(t.reads > 0);
    EXPECT(t.installs > 0 || count == 1);
    EXPECT(t.truncations > 0 || count == 1);
}

struct weakened {
    enum shape shape;
    enum raft_guard_number number;
    const char *found;
};

static void run_weakened(void *arg)
{
    const struct weakened *w = arg;
    struct cluster_totals t = {0};
    for (uint64_t seed = 1; seed <= 300; seed++) {
        run_seed(seed, w->shape, 1U << (unsigned)w->number, &t);
    }
}

/* A checker that finds nothing proves nothing: with a rule taken out it must. */
TEST(replica_random, finds_what_a_missing_rule_does)
{
    struct weakened all[] = {
        {FIVE, RAFT_READS, "stale read"},
        {THREE, RAFT_B1, "lead in term"},
        {THREE, RAFT_G2, "Assertion"},
        {MEMBERS, RAFT_G4, "Assertion"},
    };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        EXPECT_DIES(run_weakened, &all[i], all[i].found);
    }
}

TEST(replica_random, three_nodes)
{
    run_seeds(THREE, 15);
}

TEST(replica_random, five_nodes)
{
    run_seeds(FIVE, 8);
}

TEST(replica_random, members_come_and_go)
{
    run_seeds(MEMBERS, 15);
}
