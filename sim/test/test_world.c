/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/world.h"

#include "base/limits.h"
#include "testkit/test.h"

/* Seeds that once found a violation; what it was is in the history of the code
 * that they changed. Each ends the process if it finds one again. */
static const uint64_t regressions[] = {17, 38, 256, 448, 735};
static const uint64_t regressions_alone[] = {1060};

static struct world_counts run_nodes(uint64_t seed, size_t nodes, uint64_t *trace)
{
    struct world *w = world_create(&(struct world_options){.seed = seed, .nodes = nodes});
    world_run(w);
    struct world_counts counts = w->counts;
    *trace = w->trace;
    world_destroy(w);
    return counts;
}

static struct world_counts run(uint64_t seed, uint64_t *trace)
{
    return run_nodes(seed, 0, trace);
}

TEST(world, holds_in_every_seed_that_once_failed)
{
    for (size_t i = 0; i < sizeof regressions / sizeof regressions[0]; i++) {
        test_context("seed %u", (unsigned)regressions[i]);
        uint64_t trace = 0;
        struct world_counts c = run(regressions[i], &trace);
        EXPECT(c.commits >= 1000);
        EXPECT(c.crashes >= 5);
        EXPECT(c.damages >= 1);
        EXPECT(c.acked_writes > 0 && c.acked_reads > 0);
    }
}

/* One node, which changes between local commit and Raft while it is killed. */
TEST(world, holds_in_every_seed_of_a_node_alone_that_once_failed)
{
    for (size_t i = 0; i < sizeof regressions_alone / sizeof regressions_alone[0]; i++) {
        test_context("seed %u", (unsigned)regressions_alone[i]);
        uint64_t trace = 0;
        struct world_counts c = run_nodes(regressions_alone[i], 1, &trace);
        EXPECT(c.commits >= 1000);
        EXPECT(c.crashes >= 5);
        EXPECT(c.level_changes >= 5);
        EXPECT(c.acked_writes > 0 && c.acked_reads > 0);
    }
}

TEST(world, plays_a_seed_the_same_way_every_time)
{
    uint64_t first = 0;
    uint64_t again = 0;
    uint64_t other = 0;
    struct world_counts a = run(38, &first);
    struct world_counts b = run(38, &again);
    EXPECT_UINT(again, first);
    EXPECT_UINT(b.commits, a.commits);
    EXPECT_UINT(b.acked_reads, a.acked_reads);
    EXPECT_UINT(b.elections, a.elections);
    (void)run(39, &other);
    EXPECT(other != first);
}

/* Each checkpoint raises the start counters, which the leader writes into the log:
 * were that worth a checkpoint, an idle cluster would make one after the other. */
TEST(world, an_idle_cluster_makes_no_checkpoints)
{
    struct world *w = world_create(&(struct world_options){.seed = 1, .calm = true});
    world_run_for(w, 4 * WORLD_SECOND);
    world_run(w);
    EXPECT(w->counts.acked_writes > 0);
    world_run_for(w, 10 * WORLD_SECOND); /* the clients' interval is 3 s: the last one is made */
    uint64_t applied[WORLD_NODES_MAX] = {0};
    uint64_t checkpoint[WORLD_NODES_MAX] = {0};
    for (size_t i = 0; i < w->node_count; i++) {
        struct member_status s = member_status(w->nodes[i].member);
        EXPECT(s.checkpoint_index > 0);
        applied[i] = s.applied_index;
        checkpoint[i] = s.checkpoint_index;
    }
    world_run_for(w, 60 * WORLD_SECOND);
    for (size_t i = 0; i < w->node_count; i++) {
        struct member_status s = member_status(w->nodes[i].member);
        EXPECT_UINT(s.applied_index, applied[i]);
        EXPECT_UINT(s.checkpoint_index, checkpoint[i]);
    }
    world_destroy(w);
}

/* --- scenes --- */

static struct world *open_calm(uint64_t seed)
{
    struct world *w = world_create(&(struct world_options){.seed = seed, .calm = true});
    world_run_for(w, 4 * WORLD_SECOND);
    EXPECT(w->counts.acked_writes > 0);
    return w;
}

static struct node *leader_of(struct world *w)
{
    for (size_t i = 0; i < w->node_count; i++) {
        struct node *n = &w->nodes[i];
        if (node_is_serving(n) && member_status(n->member).replica.role == REPLICA_LEADER) {
            return n;
        }
    }
    return NULL;
}

/* Rows in the local WAL of a node. */
static size_t count_copies(struct node *n)
{
    struct wal *local = storage_wal(n->storage, STORAGE_LOCAL);
    struct buf storage = {0};
    struct wal_entry record = {0};
    struct err e;
    size_t copies = 0;
    size_t count = 1;
    for (uint64_t index = wal_index_first(local); count > 0; index = record.index + 1) {
        buf_reset(&storage);
        EXPECT_OK(wal_read(local, index, 1, LIMIT_ENTRY_SIZE_MAX, &storage, &record, &count, &e));
        copies += count > 0 && record.type == WAL_COMMAND;
    }
    buf_deinit(&storage);
    return copies;
}

TEST(world, levels_one_and_two_of_a_cluster_add_copies_of_the_rows)
{
    for (unsigned level = 0; level <= 3; level++) {
        struct world *w = open_calm(level + 1);
        test_context("level %u", level);
        REQUIRE(leader_of(w) != NULL);
        leveler_set(w, leader_of(w), level);
        world_run_for(w, WORLD_SECOND);
        EXPECT_UINT(w->counts.level_changes, 1);
        for (size_t i = 0; i < w->node_count; i++) {
            EXPECT_UINT(member_status(w->nodes[i].member).wal_level, level);
            EXPECT((count_copies(&w->nodes[i]) > 0) == (level == 1 || level == 2));
        }
        world_run(w);
        world_destroy(w);
    }
}

static void on_removed(struct member_request *r, const struct member_reply *reply)
{
    (void)r;
    (void)reply;
}

static bool has_committed_removal(const struct node *n)
{
    const struct configuration *c = member_configuration(n->member);
    return c->count == 2 && member_status(n->member).applied_index >= c->index;
}

/* The leader dies at the moment at which the removal is committed: the next one has
 * to tell the state of it, or the removed node could vote again as what it was. */
TEST(world, a_removed_node_is_told_so_whoever_led_when_it_was_removed)
{
    enum { SEEDS = 3, STEPS_MAX = 20000, STEP_US = 50 };
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct world *w = open_calm(seed);
        test_context("seed %u", (unsigned)seed);
        struct node *a = leader_of(w);
        REQUIRE(a != NULL);
        struct node *c = &w->nodes[(a->number + 1) % w->node_count];
        uint64_t id = member_status(c->member).directory_id;
        struct member_request request = {.done = on_removed};
        struct member_change_request change = {.change = MEMBER_REMOVE, .name = c->name};
        node_crash(c, false);
        member_change(a->member, &change, &request);
        unsigned steps = 0;
        for (; steps < STEPS_MAX && !has_committed_removal(a); steps++) {
            world_run_for(w, STEP_US);
        }
        EXPECT(steps < STEPS_MAX);
        node_crash(a, false);
        world_run_for(w, WORLD_SECOND);
        node_start(a);
        world_run_for(w, 3 * WORLD_SECOND);
        node_start(c);
        world_run_for(w, 5 * WORLD_SECOND);
        REQUIRE(c->member != NULL);
        EXPECT(member_status(c->member).directory_id != id);
        world_destroy(w);
    }
}

static void fail(void *arg)
{
    struct world *w = arg;
    world_fail(w, "this is %s", "wrong");
}

TEST(world, says_the_seed_and_how_to_replay_it_when_something_is_wrong)
{
    struct world *w = world_create(&(struct world_options){.seed = 1234});
    EXPECT_DIES(fail, w, "seed 1234 FAILED at 1.000000 s: this is wrong");
    EXPECT_DIES(fail, w, "replay: simulator --first 1234 --seeds 1 --verbose");
    world_destroy(w);
}
