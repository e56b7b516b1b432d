/* SPDX-License-Identifier: Apache-2.0 */
/* wal_cost DIR ROUNDS [small]: what identifiers cost on the write path. The library
 * with switches (wal/wal_mutation.h) writes with them and without, in turns. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/wal_load.h"
#include "wal/wal_mutation.h"

enum { OUTSTANDING = 64, SIZE = 1024 };

enum wal_mutation wal_mutation = WAL_MUTATION_NONE;

static void with_identifiers(void)
{
    wal_mutation = WAL_MUTATION_NONE;
}

static void without_identifiers(void)
{
    wal_mutation = WAL_MUTATION_UNIDENTIFIED;
}

static void measure(const char *name, bool sync, size_t batches, const char *dir, size_t rounds)
{
    struct load load = {.name = name, .size = SIZE, .sync = sync, .one_log = true, .busy = !sync};
    load_add(&load, "ours", &load_ours, OUTSTANDING, batches);
    load_add(&load, "without identifiers", &load_ours, OUTSTANDING, batches);
    load.sides[0].before = with_identifiers;
    load.sides[1].before = without_identifiers;
    load_run(&load, dir, rounds);
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        (void)fprintf(stderr, "usage: wal_cost DIR ROUNDS [small]\n");
        return 2;
    }
    size_t rounds = (size_t)strtoul(argv[2], NULL, 10);
    size_t scale = argc > 3 && strcmp(argv[3], "small") == 0 ? 16 : 1;
    measure("sync, 64 in flight", true, 64 / scale, argv[1], rounds);
    measure("flush, 64 in flight", false, 160 / scale, argv[1], rounds);
    return 0;
}
