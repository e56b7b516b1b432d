/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/world.h"

#include "testkit/test.h"

/* Seeds that once found a violation; what it was is in the history of the code
 * that they changed. Each ends the process if it finds one again. */
static const uint64_t regressions[] = {17, 38, 256, 448, 735};

static struct world_counts run(uint64_t seed, uint64_t *trace)
{
    struct world *w = world_create(&(struct world_options){.seed = seed});
    world_run(w);
    struct world_counts counts = w->counts;
    *trace = w->trace;
    world_destroy(w);
    return counts;
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
