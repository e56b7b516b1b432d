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
static void run_seeds(uint64_t first, uint64_t count, struct rl_options base)
{
    struct rl_totals totals = {0};
    uint64_t replay = number_from_environment("TIDEMARK_WAL_SEED", 0);
    unsigned bad = 0;
    for (uint64_t seed = replay != 0 ? replay : first; seed < first + count; seed++) {
        if (replay != 0 && seed != replay) {
            continue;
        }
        struct rl_options options = base;
        options.seed = seed;
        options.totals = &totals;
        options.trace = replay != 0;
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
    EXPECT(replay != 0 || base.fault == RL_NONE || totals.residual * 5 < totals.faults);
    for (unsigned k = 1; k < RL_FAULT_COUNT && totals.faults > 0; k++) {
        (void)printf("%s%s %" PRIu64 "/%" PRIu64, k == 1 ? "\n    residual: " : ", ",
                     rl_fault_names[k], totals.residual_by[k], totals.faults_by[k]);
    }
    EXPECT(totals.runs > 0 || replay != 0);
    EXPECT_UINT(bad, 0);
}

TEST(wal_random, no_crash_loses_or_invents_an_entry)
{
    run_seeds(1, full() ? 20000 : 300, (struct rl_options){.fault = RL_NONE});
}

TEST(wal_random, one_fault_of_the_disk_is_noticed_and_repaired)
{
    run_seeds(1000000, full() ? 100000 : 1000, (struct rl_options){.fault = RL_FAULT_COUNT});
}

TEST(wal_random, every_sync_method_keeps_what_was_synced)
{
    for (int method = WAL_FSYNC; method <= WAL_OPEN_SYNC; method++) {
        run_seeds(2000000 + 100000 * (uint64_t)method, full() ? 10000 : 150,
                  (struct rl_options){.fault = RL_FAULT_COUNT,
                                      .sync_method = (enum wal_sync_method)method});
    }
}

TEST(wal_random, the_sync_method_may_change_between_any_two_calls)
{
    run_seeds(3000000, full() ? 20000 : 300,
              (struct rl_options){.fault = RL_FAULT_COUNT, .sync_changes = true});
}
