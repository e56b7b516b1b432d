/* SPDX-License-Identifier: Apache-2.0 */
#include "testkit/test.h"
#include "wal/test/random_run.h"

static struct rl run_state;

static uint64_t number_from_environment(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text == NULL ? otherwise : strtoull(text, NULL, 10);
}

static bool full(void)
{
    const char *rounds = getenv("TIDEMARK_ROUNDS");
    return rounds != NULL && strcmp(rounds, "full") == 0;
}

/* TIDEMARK_WAL_SEED replays one seed with a trace. */
static void run_seeds(uint64_t first, uint64_t count, enum rl_fault fault)
{
    struct rl_totals totals = {0};
    uint64_t replay = number_from_environment("TIDEMARK_WAL_SEED", 0);
    unsigned bad = 0;
    for (uint64_t seed = replay != 0 ? replay : first; seed < first + count; seed++) {
        if (replay != 0 && seed != replay) {
            continue;
        }
        const struct rl_options options = {
            .seed = seed, .fault = fault, .totals = &totals, .trace = replay != 0};
        if (!rl_run(&run_state, &options)) {
            (void)printf("\n    seed %" PRIu64 ", fault %s%s: %s\n    replay: "
                         "TIDEMARK_WAL_SEED=%" PRIu64 " test_wal_random\n",
                         seed, rl_fault_names[run_state.fault],
                         run_state.faulted ? "" : " (not yet)", run_state.why, seed);
            bad++;
        }
        if (bad == 5) {
            break;
        }
    }
    (void)printf("\n    runs %" PRIu64 " opens %" PRIu64 " crashes %" PRIu64 " faults %" PRIu64
                 " residual %" PRIu64 " torn %" PRIu64 " holes %" PRIu64 " (unknown %" PRIu64
                 ") repairs %" PRIu64 " steps %" PRIu64 " ",
                 totals.runs, totals.opens, totals.crashes, totals.faults, totals.residual,
                 totals.torn, totals.holes, totals.unknown, totals.repairs, totals.steps);
    EXPECT(replay != 0 || fault == RL_NONE || totals.residual * 5 < totals.faults);
    for (unsigned k = 1; k < RL_FAULT_COUNT && totals.faults > 0; k++) {
        (void)printf("%s%s %" PRIu64 "/%" PRIu64, k == 1 ? "\n    residual: " : ", ",
                     rl_fault_names[k], totals.residual_by[k], totals.faults_by[k]);
    }
    EXPECT(totals.runs > 0 || replay != 0);
    EXPECT_UINT(bad, 0);
}

TEST(wal_random, no_crash_loses_or_invents_an_entry)
{
    run_seeds(1, full() ? 20000 : 300, RL_NONE);
}

TEST(wal_random, one_fault_of_the_disk_is_noticed_and_repaired)
{
    run_seeds(1000000, full() ? 100000 : 1000, RL_FAULT_COUNT);
}
