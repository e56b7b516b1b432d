/* SPDX-License-Identifier: Apache-2.0 */
/* Runs of world.h: none may go wrong, and for each rule taken out one does.
 *
 *   TIDEMARK_ROUNDS=full   many more seeds
 *   TIDEMARK_SEED=n        that seed alone, told step by step
 *
 * A pinned seed only saves time: when a change of the model moves it, find another one
 * with TIDEMARK_ROUNDS=full. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "node/test/membership/world.h"
#include "testkit/test.h"

enum {
    SEEDS = 2500,
    SEEDS_FULL = 60000,
    MUTATED_SEEDS = 40, /* from the pinned one on */
    MUTATED_SEEDS_FULL = 13000,
};

static uint64_t seed_given(void)
{
    const char *text = getenv("TIDEMARK_SEED");
    return text != NULL ? strtoull(text, NULL, 10) : 0;
}

static bool full(void)
{
    const char *rounds = getenv("TIDEMARK_ROUNDS");
    return rounds != NULL && strcmp(rounds, "full") == 0;
}

/* True when nothing went wrong. */
static bool run(uint64_t seed, enum mutation mutation, struct counts *counts)
{
    struct world *w = world_open(seed, mutation, counts);
    w->verbose = seed_given() != 0;
    world_run(w);
    bool good = w->wrong[0] == '\0';
    if (!good && mutation == MUTATION_NONE) {
        (void)printf("\nseed %" PRIu64 ": %s\n  TIDEMARK_SEED=%" PRIu64
                     " build/dev/test/sim_node_membership membership.no_run_goes_wrong\n",
                     seed, w->wrong, seed);
    }
    world_close(w);
    return good;
}

TEST(membership, no_run_goes_wrong)
{
    struct counts counts = {0};
    uint64_t first = seed_given() != 0 ? seed_given() : 1;
    uint64_t last = seed_given() != 0 ? first : full() ? SEEDS_FULL : SEEDS;
    for (uint64_t seed = first; seed <= last; seed++) {
        EXPECT(run(seed, MUTATION_NONE, &counts));
    }
    (void)printf("\n  %" PRIu64 " runs: %" PRIu64 " founded, %" PRIu64 " adopted, %" PRIu64
                 " joined, %" PRIu64 " elections, %" PRIu64 " steps, %" PRIu64 " replaced, %" PRIu64
                 " wiped, %" PRIu64 " put back, %" PRIu64 " copied, %" PRIu64 " refused ",
                 counts.runs, counts.founded, counts.adopted, counts.joined, counts.elections,
                 counts.steps, counts.replaced, counts.wipes, counts.images, counts.copies,
                 counts.refused);
    if (seed_given() == 0) { /* the faults did happen */
        EXPECT(counts.founded > last);
        EXPECT(counts.replaced > last / 10);
        EXPECT(counts.images > last / 50);
        EXPECT(counts.copies > last / 50);
        EXPECT(counts.refused > last / 20);
    }
}

static void expect_wrong(enum mutation mutation, uint64_t pinned)
{
    struct counts counts = {0};
    uint64_t first = full() ? 1 : pinned;
    uint64_t count = full() ? MUTATED_SEEDS_FULL : MUTATED_SEEDS;
    uint64_t bad = 0;
    uint64_t bad_first = 0;
    for (uint64_t seed = first; seed < first + count; seed++) {
        if (!run(seed, mutation, &counts)) {
            bad_first = bad == 0 ? seed : bad_first;
            bad++;
        }
    }
    (void)printf("\n  %" PRIu64 " of %" PRIu64 " runs go wrong, seed %" PRIu64 " first ", bad,
                 count, bad_first);
    EXPECT(bad > 0);
}

TEST(membership, ids_by_name_go_wrong)
{
    expect_wrong(MUTATION_IDS_BY_NAME, 1);
}

TEST(membership, without_the_start_counter_a_run_goes_wrong)
{
    expect_wrong(MUTATION_NO_COUNTER, 160);
}

TEST(membership, without_the_nonce_a_run_goes_wrong)
{
    expect_wrong(MUTATION_NO_NONCE, 320);
}

TEST(membership, without_the_nonces_of_earlier_starts_a_run_goes_wrong)
{
    expect_wrong(MUTATION_NO_HISTORY, 1520);
}

TEST(membership, with_starts_that_are_not_stored_a_run_goes_wrong)
{
    expect_wrong(MUTATION_NOT_STORED, 4085);
}

TEST(membership, without_asking_before_the_first_vote_a_run_goes_wrong)
{
    expect_wrong(MUTATION_NO_GATE, 11700);
}

TEST(membership, with_a_counter_that_does_not_rise_with_an_image_a_run_goes_wrong)
{
    expect_wrong(MUTATION_NO_RAISE, 190);
}

TEST(membership, with_a_founder_that_does_not_ask_all_a_run_goes_wrong)
{
    expect_wrong(MUTATION_NOT_ALL_ASKED, 1);
}

TEST(membership, with_answers_to_older_questions_a_run_goes_wrong)
{
    expect_wrong(MUTATION_LATE_ANSWERS, 1700);
}

TEST(membership, with_refusals_of_older_starts_a_run_goes_wrong)
{
    expect_wrong(MUTATION_ANY_REFUSAL, 1);
}
