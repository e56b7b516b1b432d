/* SPDX-License-Identifier: Apache-2.0 */
/* What going back to a consistent point must mean (obligations (c) to (g) of
 * docs/safety-tests.md; (a) and (b) are played in sim/): stories of three nodes of
 * plain Raft whose messages all arrive, told with repair.h between them. The observer
 * of repair_cluster.h sees what is committed, voted and applied. */
#include "raft/test/repair_weakened.h"

#include "raft/test/repair_cluster_life.h"
#include "testkit/test.h"

enum { ROUNDS = 20 };

static struct cluster *open_three(void)
{
    struct cluster *c = mem_zalloc(sizeof *c);
    struct configuration all = {0};
    c->random = random_seeded(1);
    c->voters = 3;
    c->nodes = 3;
    c->healing = true;
    c->lab = lab_open_long(c->nodes, CLUSTER_LOG + 1);
    for (size_t x = 0; x < c->nodes; x++) {
        lab_add_server(&all, x + 1, SERVER_VOTER);
    }
    lab_configure(c->lab, all);
    for (size_t x = 0; x < c->nodes; x++) {
        c->members[x].lab = &c->lab->nodes[x];
        c->lab->nodes[x].up = true;
        launch(c, x);
    }
    return c;
}

static void close_cluster(struct cluster *c)
{
    EXPECT(c->failure == NULL);
    if (c->failure != NULL) {
        printf("%s at %" PRIu64 "\n", c->failure, c->failure_index);
    }
    lab_close(c->lab);
    mem_free(c);
}

/* 'x' stands; whether it leads then. */
static bool elect(struct cluster *c, size_t x)
{
    cluster_elect(c, x);
    cluster_settle(c);
    return c->members[x].role == CLUSTER_LEADER;
}

/* The leader x sends all it has to those in 'to' (node numbers), and all sync. */
static void spread(struct cluster *c, size_t x, const char *to)
{
    cluster_sync(c, x);
    for (unsigned k = 0; k < ROUNDS; k++) {
        for (const char *p = to; *p != '\0'; p++) {
            size_t y = (size_t)(*p - '0');
            if (c->members[y].running && c->members[x].role == CLUSTER_LEADER) {
                cluster_replicate(c, x, y);
                cluster_settle(c);
                cluster_sync(c, y);
                cluster_settle(c);
            }
        }
    }
}

static void submit_up_to(struct cluster *c, size_t x, uint64_t last)
{
    while (member_last(&c->members[x]) < last) {
        cluster_submit(c, x);
    }
}

static void run_repairs(struct cluster *c)
{
    for (unsigned k = 0; k < ROUNDS; k++) {
        lab_deliver_all(c->lab);
        notice(c);
        c->lab->now_ms += 20 * (uint64_t)LAB_INTERVAL_MS;
        lab_tick(c->lab);
        notice(c);
        cluster_settle(c);
    }
}

/* Everything after 'last', and that there was any. */
static void lose_end(struct cluster *c, size_t x, uint64_t last)
{
    struct lab_node *n = c->members[x].lab;
    CHECK(!n->up);
    for (uint64_t i = last + 1; i <= n->last; i++) {
        c->members[x].truth[i] = n->log[i];
        n->log[i] = (struct lab_slot){0};
    }
    n->last = last;
    n->end_unknown = true;
    member_sync(&c->members[x]);
}

static void damage_from(struct cluster *c, size_t x, uint64_t first)
{
    struct lab_node *n = c->members[x].lab;
    CHECK(!n->up);
    for (uint64_t i = first; i <= n->last; i++) {
        lab_damage(n, i);
    }
    member_sync(&c->members[x]);
}

/* (c) The leader lives on and remembers what the follower acknowledged. */
TEST(repair_obligations, a_follower_has_again_what_its_leader_remembers_before_it_joins)
{
    struct cluster *c = open_three();
    REQUIRE(elect(c, 0));
    submit_up_to(c, 0, 8);
    spread(c, 0, "12");
    EXPECT_UINT(c->members[0].match[1], 8);
    stop(c, 1, false);
    damage_from(c, 1, 4);
    start(c, 1);
    EXPECT(!c->members[1].running);
    run_repairs(c);
    EXPECT(c->members[1].running);
    EXPECT(c->members[0].role == CLUSTER_LEADER);
    EXPECT_UINT(member_last(&c->members[1]), c->members[0].match[1]);
    submit_up_to(c, 0, 9);
    spread(c, 0, "1");
    EXPECT_UINT(c->members[0].commit, 9);
    close_cluster(c);
}

/* Without a repair the leader takes the follower's rejections for late ones, and it
 * never gets what it lost. */
TEST(repair_obligations, a_follower_that_joins_with_less_is_never_fed)
{
    struct cluster *c = open_three();
    REQUIRE(elect(c, 0));
    submit_up_to(c, 0, 8);
    spread(c, 0, "12");
    stop(c, 1, false);
    lose_end(c, 1, 3);
    c->members[1].lab->end_unknown = false; /* it takes its log for whole */
    start(c, 1);
    EXPECT(c->members[1].running);
    submit_up_to(c, 0, 9);
    spread(c, 0, "1");
    EXPECT_UINT(member_last(&c->members[1]), 3);
    EXPECT_UINT(c->members[0].commit, 8);
    close_cluster(c);
}

/* (d) It held up to 10 and has its log to 4: no vote for a log that ends at 9. */
TEST(repair_obligations, a_node_that_held_more_votes_only_for_who_has_it)
{
    struct cluster *c = open_three();
    REQUIRE(elect(c, 0));
    submit_up_to(c, 0, 9);
    spread(c, 0, "12");
    submit_up_to(c, 0, 10);
    spread(c, 0, "1");
    EXPECT_UINT(c->members[0].commit, 10);
    EXPECT_UINT(member_last(&c->members[2]), 9);
    stop(c, 0, false);
    stop(c, 1, false);
    lose_end(c, 1, 4);
    start(c, 1);
    run_repairs(c);
    EXPECT(!c->members[1].running); /* two logs of which one ends at 9: it can't tell */
    EXPECT(!elect(c, 2));
    start(c, 0);
    run_repairs(c);
    EXPECT(c->members[1].running);
    EXPECT_UINT(member_last(&c->members[1]), 10);
    stop(c, 0, false);
    EXPECT(!elect(c, 2)); /* refilled: Raft's own rule refuses it */
    start(c, 0);
    EXPECT(elect(c, 0));
    spread(c, 0, "12");
    EXPECT(c->members[0].commit > 10);
    close_cluster(c);
}

/* (e) What it alone held was never committed: it does not block the others for ever. */
TEST(repair_obligations, what_one_node_alone_held_is_given_up)
{
    struct cluster *c = open_three();
    REQUIRE(elect(c, 1));
    submit_up_to(c, 1, 4);
    spread(c, 1, "02");
    submit_up_to(c, 1, 10);
    cluster_sync(c, 1);
    EXPECT_UINT(c->members[1].commit, 4);
    stop(c, 1, false);
    damage_from(c, 1, 5);
    EXPECT(elect(c, 0));
    spread(c, 0, "2");
    uint64_t term = c->members[0].lab->term;
    start(c, 1);
    run_repairs(c);
    EXPECT(c->members[1].running);
    EXPECT_UINT(member_last(&c->members[1]), 4);
    EXPECT(c->members[1].lab->term > term); /* nobody counts on what it acknowledged */
    EXPECT(elect(c, 0));
    submit_up_to(c, 0, 8);
    spread(c, 0, "12");
    EXPECT(c->members[0].commit >= 8);
    EXPECT_UINT(member_last(&c->members[1]), c->members[0].commit);
    close_cluster(c);
}

/* (f) The leader and one node had it; the leader is gone for good, and the node has
 * lost it: nothing else is committed there, ever. */
TEST(repair_obligations, what_is_lost_is_waited_for_and_never_replaced)
{
    struct cluster *c = open_three();
    REQUIRE(elect(c, 0));
    submit_up_to(c, 0, 4);
    spread(c, 0, "12");
    submit_up_to(c, 0, 5);
    spread(c, 0, "1");
    EXPECT_UINT(c->members[0].commit, 5);
    stop(c, 0, false);
    stop(c, 1, false);
    damage_from(c, 1, 5);
    start(c, 1);
    for (unsigned k = 0; k < ROUNDS; k++) {
        run_repairs(c);
        EXPECT(!elect(c, 2));
        EXPECT(!c->members[1].running);
    }
    EXPECT_CONTAINS(c->members[1].lab->waits, "waits for entry 5 (term 1)");
    start(c, 0);
    run_repairs(c);
    EXPECT(c->members[1].running);
    EXPECT(elect(c, 1) || elect(c, 1)); /* it learns of the terms that 2 has stood in */
    spread(c, 1, "02");
    EXPECT(same_entry(c->members[2].lab->log[5], c->committed[5]));
    close_cluster(c);
}

/* (g) While a node repairs, the others checkpoint and cut what it lost. */
TEST(repair_obligations, what_is_cut_during_a_repair_comes_with_a_checkpoint)
{
    struct cluster *c = open_three();
    REQUIRE(elect(c, 0));
    submit_up_to(c, 0, 8);
    spread(c, 0, "12");
    stop(c, 1, false);
    lab_damage(c->members[1].lab, 3);
    member_sync(&c->members[1]);
    start(c, 1);
    EXPECT(!c->members[1].running);
    checkpoint(c, &c->members[0]);
    cut(c, &c->members[0]);
    EXPECT_UINT(c->members[0].lab->first, 1); /* one node alone has that checkpoint */
    checkpoint(c, &c->members[2]);
    cut(c, &c->members[0]);
    cut(c, &c->members[2]);
    EXPECT_UINT(c->members[0].lab->first, 9);
    EXPECT_UINT(c->members[2].lab->first, 9);
    run_repairs(c);
    EXPECT(c->members[1].running);
    EXPECT_UINT(c->members[1].lab->snapshot_index, 8);
    submit_up_to(c, 0, 10);
    spread(c, 0, "1");
    EXPECT_UINT(member_last(&c->members[1]), 10);
    close_cluster(c);
}
