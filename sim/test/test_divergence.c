/* SPDX-License-Identifier: Apache-2.0 */
/* A node whose state went another way (here: it starts with its sessions forgotten,
 * as a fault of memory or of the program would have it): its checkpoints differ, the
 * others notice, and it is refilled where a majority says what is right (safety.md E4). */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "node/member_weaken.h"
#include "sim/world.h"
#include "testkit/fake_disk_damage.h"
#include "testkit/test.h"

enum { SEEDS = TEST_SANITIZED ? 1 : 3, TEXT_SIZE = 4096, LIMIT_S = 20 };

static struct world *open_scene(const struct world_options *options)
{
    struct world_options calm = *options;
    calm.calm = true;
    struct world *w = world_create(&calm);
    w->diverges = true;
    world_run_for(w, 7 * WORLD_SECOND);
    CHECK(w->counts.acked_writes > 0);
    CHECK(w->counts.checkpoints > 0);
    return w;
}

/* The i-th node after the one that leads. */
static struct node *follower(struct world *w, size_t i)
{
    for (size_t k = 0; k < w->node_count; k++) {
        struct node *n = &w->nodes[k];
        if (node_is_serving(n) && member_status(n->member).replica.role == REPLICA_LEADER) {
            return &w->nodes[(k + i) % w->node_count];
        }
    }
    CHECK(false);
    return NULL;
}

/* It starts once more, with another state than it had. */
static void divert(struct node *n)
{
    struct world *w = n->world;
    node_crash(n, false);
    unsigned weaken = w->weaken;
    w->weaken |= WEAKEN_SESSIONS;
    node_start(n);
    w->weaken = weaken; /* its next start is as it should be */
    n->diverted = true;
}

static const char *message_of(const struct node *n, char text[TEXT_SIZE])
{
    (void)snprintf(text, TEXT_SIZE, "%s",
                   n->member == NULL ? "" : member_status(n->member).message);
    return text;
}

static bool says(const struct node *n, const char *part)
{
    char text[TEXT_SIZE];
    return strstr(message_of(n, text), part) != NULL;
}

static bool wait_until_says(struct world *w, const struct node *n, const char *part)
{
    uint64_t limit_us = w->now_us + LIMIT_S * WORLD_SECOND;
    while (!says(n, part) && w->now_us < limit_us) {
        world_run_for(w, 50 * WORLD_MS);
    }
    return says(n, part);
}

/* Two agree: the third stops, takes their state, and is one of them again. */
TEST(divergence, a_node_that_differs_from_a_majority_is_refilled)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        test_context("seed %" PRIu64, seed);
        struct world *w = open_scene(&(struct world_options){.seed = seed});
        struct node *n = follower(w, 1); /* what a leader answers is its own state's */
        divert(n);
        uint64_t incarnation = n->incarnation;
        uint64_t limit_us = w->now_us + LIMIT_S * WORLD_SECOND;
        while (n->incarnation == incarnation && w->now_us < limit_us) {
            world_run_for(w, 50 * WORLD_MS);
        }
        EXPECT_UINT(n->incarnation, incarnation + 1); /* it gave up its checkpoint, once */
        EXPECT_UINT(w->counts.fail_stops, 0);
        world_run(w); /* ends with one state hash on all */
        EXPECT_UINT(n->incarnation, incarnation + 1);
        char text[TEXT_SIZE];
        for (size_t i = 0; i < 3; i++) {
            EXPECT_STR(message_of(&w->nodes[i], text), "");
        }
        world_destroy(w);
    }
}

/* C is down; of A and B one has diverged, and nobody can tell which. When C is back,
 * and makes the same checkpoint from its log, it decides. */
TEST(divergence, a_third_node_decides_between_two)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        test_context("seed %" PRIu64, seed);
        struct world *w = open_scene(&(struct world_options){.seed = seed});
        struct node *a = follower(w, 0);
        struct node *b = follower(w, 1);
        struct node *c = follower(w, 2);
        divert(b);
        world_run_for(w, 300 * WORLD_MS); /* it is there again, before the next checkpoint */
        node_crash(c, false);
        EXPECT(wait_until_says(w, a, "one against one"));
        EXPECT(wait_until_says(w, b, "one against one"));
        uint64_t incarnation = b->incarnation;
        world_run_for(w, 5 * WORLD_SECOND);
        EXPECT_UINT(b->incarnation, incarnation);
        EXPECT(says(a, "nobody is refilled"));
        EXPECT(says(b, "nobody is refilled"));
        node_start(c);
        world_run(w); /* ends with one state hash on all */
        EXPECT_UINT(b->incarnation, incarnation + 1);
        world_destroy(w);
    }
}

/* What docs/operations.md tells the operator: B's manifests are removed, so it takes the
 * checkpoint of A; so does C. */
static void decide_for(struct node *a, struct node *b)
{
    struct world *w = a->world;
    struct io_name *names = NULL;
    size_t count = 0;
    struct err e;
    node_crash(b, false);
    REQUIRE_OK(io_list(fake_disk_io(b->disk), "/data/tsdb", &names, &count, &e));
    for (size_t i = 0; i < count; i++) {
        char path[IO_PATH_MAX];
        REQUIRE_OK(io_join(path, "/data/tsdb", names[i].name, &e));
        if (strncmp(names[i].name, "checkpoint-", 11) == 0) {
            fake_disk_remove(b->disk, path);
        }
    }
    mem_free(names);
    node_start(b);
    world_run(w); /* ends with every acknowledged row on all three, and one state hash */
    char text[TEXT_SIZE];
    EXPECT_STR(message_of(a, text), "");
    EXPECT_STR(message_of(b, text), "");
}

/* C has been down for so long that A and B have cut their logs behind it: what was
 * acknowledged since is in their checkpoints alone, and these differ. */
static bool keeps_what_was_acknowledged(uint64_t seed, unsigned weaken)
{
    struct world *w = open_scene(&(struct world_options){.seed = seed, .weaken = weaken});
    struct node *a = follower(w, 0);
    struct node *b = follower(w, 1);
    struct node *c = follower(w, 2);
    uint64_t last = member_status(c->member).replica.last_index;
    node_crash(c, false);
    uint64_t limit_us = w->now_us + LIMIT_S * WORLD_SECOND;
    while (wal_index_first(storage_wal(a->storage, STORAGE_RAFT)) <= last + 1 ||
           wal_index_first(storage_wal(b->storage, STORAGE_RAFT)) <= last + 1) {
        CHECK(w->now_us < limit_us);
        world_run_for(w, 50 * WORLD_MS);
    }
    uint64_t applied = member_status(a->member).applied_index;
    divert(b);
    world_run_for(w, 12 * WORLD_SECOND);
    bool keeps = node_is_serving(a) && member_status(a->member).applied_index >= applied;
    if (weaken == 0) {
        EXPECT(says(a, "one against one"));
        EXPECT(says(b, "one against one"));
        node_start(c); /* and is given neither checkpoint */
        world_run_for(w, 5 * WORLD_SECOND);
        EXPECT(member_status(c->member).checkpoint_index <= last);
        EXPECT(says(a, "one against one"));
        decide_for(a, b);
    }
    world_destroy(w);
    return keeps;
}

/* Without the rule both give up what they have, and what only they had is gone. */
TEST(divergence, e4_one_against_one_nobody_is_refilled)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        test_context("seed %" PRIu64, seed);
        EXPECT(keeps_what_was_acknowledged(seed, 0));
        EXPECT(!keeps_what_was_acknowledged(seed, WEAKEN_MAJORITY));
    }
}
