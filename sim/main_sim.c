/* SPDX-License-Identifier: Apache-2.0 */
/* simulator [--first N] [--seeds N] [--share I/N] [--nodes N] [--weaken RULE]
 * [--verbose]: runs seeds one after the other (of N shares the I-th), ends with the
 * totals; the first violation ends the run. --nodes 1 plays a node alone. --weaken
 * takes a rule out (member_weaken.h): some seed should fail. TIDEMARK_SIM_SEEDS in
 * the environment stands for a missing --seeds. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "sim/world.h"

enum { SEEDS_DEFAULT = 500 };

static void add(struct world_counts *total, const struct world_counts *one)
{
    total->commits += one->commits;
    total->acked_writes += one->acked_writes;
    total->large_writes += one->large_writes;
    total->acked_reads += one->acked_reads;
    total->unknown += one->unknown;
    total->crashes += one->crashes;
    total->power_failures += one->power_failures;
    total->damages += one->damages;
    total->repairs += one->repairs;
    total->hurts += one->hurts;
    total->hurts_repaired += one->hurts_repaired;
    total->wipes += one->wipes;
    total->rollbacks += one->rollbacks;
    total->partitions += one->partitions;
    total->elections += one->elections;
    total->checkpoints += one->checkpoints;
    total->fail_stops += one->fail_stops;
    total->full_disks += one->full_disks;
    total->level_changes += one->level_changes;
}

static void print(const char *label, const struct world_counts *c)
{
    (void)printf("%s: commits %" PRIu64 " acked %" PRIu64 " (large %" PRIu64 ") reads %" PRIu64
                 " unknown %" PRIu64 " elections %" PRIu64 " crashes %" PRIu64 " (power %" PRIu64
                 ") damages %" PRIu64 " repaired %" PRIu64 " (running %" PRIu64 " repaired %" PRIu64
                 ") wipes %" PRIu64 " rollbacks %" PRIu64 " partitions %" PRIu64
                 " checkpoints %" PRIu64 " fail-stops %" PRIu64 " full disks %" PRIu64
                 " levels %" PRIu64 "\n",
                 label, c->commits, c->acked_writes, c->large_writes, c->acked_reads, c->unknown,
                 c->elections, c->crashes, c->power_failures, c->damages, c->repairs, c->hurts,
                 c->hurts_repaired, c->wipes, c->rollbacks, c->partitions, c->checkpoints,
                 c->fail_stops, c->full_disks, c->level_changes);
}

static uint64_t number_of(const char *text)
{
    char *end = NULL;
    uint64_t v = strtoull(text, &end, 10);
    if (end == text || *end != '\0') {
        (void)fprintf(stderr, "simulator: '%s' is not a number\n", text);
        exit(2);
    }
    return v;
}

struct arguments {
    uint64_t first;
    uint64_t seeds;
    uint64_t share;
    uint64_t shares;
    uint64_t nodes;
    unsigned weaken;
    bool verbose;
};

static bool parse(int argc, char **argv, struct arguments *a)
{
    const char *seeds = getenv("TIDEMARK_SIM_SEEDS");
    *a = (struct arguments){.first = 1, .shares = 1};
    for (int i = 1; i < argc; i++) {
        char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(argv[i], "--verbose") == 0) {
            a->verbose = true;
            continue;
        }
        if (value == NULL) {
            return false;
        }
        if (strcmp(argv[i], "--first") == 0) {
            a->first = number_of(value);
        } else if (strcmp(argv[i], "--seeds") == 0) {
            seeds = value;
        } else if (strcmp(argv[i], "--nodes") == 0) {
            a->nodes = number_of(value);
        } else if (strcmp(argv[i], "--weaken") == 0 && world_weaken_named(value) != 0) {
            a->weaken |= world_weaken_named(value);
        } else if (strcmp(argv[i], "--share") == 0 && strchr(value, '/') != NULL) {
            a->shares = number_of(strchr(value, '/') + 1);
            *strchr(value, '/') = '\0';
            a->share = number_of(value);
        } else {
            return false;
        }
        i++;
    }
    a->seeds = seeds != NULL ? number_of(seeds) : SEEDS_DEFAULT;
    return a->shares > 0 && a->share < a->shares && a->nodes <= WORLD_NODES_MAX;
}

int main(int argc, char **argv)
{
    struct arguments a;
    if (!parse(argc, argv, &a)) {
        (void)fprintf(stderr, "usage: simulator [--first N] [--seeds N] [--share I/N] [--nodes N] "
                              "[--weaken RULE] [--verbose]\n");
        return 2;
    }
    struct world_counts total = {0};
    uint64_t run = 0;
    for (uint64_t seed = a.first + a.share; seed < a.first + a.seeds; seed += a.shares) {
        struct world_options options = {
            .seed = seed, .weaken = a.weaken, .verbose = a.verbose, .nodes = (size_t)a.nodes};
        struct world *w = world_create(&options);
        world_run(w);
        add(&total, &w->counts);
        world_destroy(w);
        run++;
    }
    char label[64];
    (void)snprintf(label, sizeof label, "%" PRIu64 " seeds from %" PRIu64, run, a.first);
    print(label, &total);
    (void)printf("%" PRIu64 " passed, 0 failed\n", run);
    return run > 0 ? 0 : 1;
}
