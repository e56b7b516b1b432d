/* SPDX-License-Identifier: Apache-2.0 */
/* simulator [--first N] [--seeds N] [--verbose]: runs seeds one after the other,
 * ends with the totals; the first violation ends the run with a status of 1. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "sim/world.h"

enum { SEEDS_DEFAULT = 20 };

static void add(struct world_counts *total, const struct world_counts *one)
{
    total->commits += one->commits;
    total->acked_writes += one->acked_writes;
    total->acked_reads += one->acked_reads;
    total->unknown += one->unknown;
    total->crashes += one->crashes;
    total->power_failures += one->power_failures;
    total->damages += one->damages;
    total->repairs += one->repairs;
    total->wipes += one->wipes;
    total->rollbacks += one->rollbacks;
    total->partitions += one->partitions;
    total->elections += one->elections;
    total->fail_stops += one->fail_stops;
}

static void print(const char *label, const struct world_counts *c)
{
    (void)printf("%s: commits %" PRIu64 " acked %" PRIu64 " reads %" PRIu64 " unknown %" PRIu64
                 " elections %" PRIu64 " crashes %" PRIu64 " (power %" PRIu64 ") damages %" PRIu64
                 " repaired %" PRIu64 " wipes %" PRIu64 " rollbacks %" PRIu64 " partitions %" PRIu64
                 " fail-stops %" PRIu64 "\n",
                 label, c->commits, c->acked_writes, c->acked_reads, c->unknown, c->elections,
                 c->crashes, c->power_failures, c->damages, c->repairs, c->wipes, c->rollbacks,
                 c->partitions, c->fail_stops);
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

int main(int argc, char **argv)
{
    uint64_t first = 1;
    uint64_t seeds = SEEDS_DEFAULT;
    bool verbose = false;
    const char *from_environment = getenv("TIDEMARK_SIM_SEEDS");
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--verbose") == 0) {
            verbose = true;
        } else if (strcmp(argv[i], "--first") == 0 && i + 1 < argc) {
            first = number_of(argv[++i]);
        } else if (strcmp(argv[i], "--seeds") == 0 && i + 1 < argc) {
            seeds = number_of(argv[++i]);
            from_environment = NULL;
        } else {
            (void)fprintf(stderr, "usage: simulator [--first N] [--seeds N] [--verbose]\n");
            return 2;
        }
    }
    if (from_environment != NULL) {
        seeds = number_of(from_environment);
    }
    struct world_counts total = {0};
    for (uint64_t seed = first; seed < first + seeds; seed++) {
        struct world *w = world_create(seed, verbose);
        world_run(w);
        add(&total, &w->counts);
        world_destroy(w);
    }
    char label[64];
    (void)snprintf(label, sizeof label, "%" PRIu64 " seeds from %" PRIu64, seeds, first);
    print(label, &total);
    (void)printf("%" PRIu64 " passed, 0 failed\n", seeds);
    return 0;
}
