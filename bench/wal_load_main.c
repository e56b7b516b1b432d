/* SPDX-License-Identifier: Apache-2.0 */
/* wal_load DIR ROUNDS [small]: the loads, one line of JSON per figure. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "bench/wal_load.h"

enum { NAME_SIZE = 64 };

/* --- writing --- */

static void add_rocksdb(struct load *load, size_t outstanding, size_t batches)
{
#ifdef BENCH_ROCKSDB
    load_add(load, load_rocksdb.name, &load_rocksdb, outstanding, batches);
#else
    (void)load;
    (void)outstanding;
    (void)batches;
#endif
}

static void writing(const char *dir, size_t rounds, size_t scale)
{
    static const struct {
        const char *name;
        size_t outstanding;
    } synced[] = {
        {"sync, 1 outstanding", 1}, {"sync, 16 outstanding", 16}, {"sync, 256 outstanding", 256}};
    size_t syncs = 32 / scale;
    for (size_t i = 0; i < sizeof synced / sizeof synced[0]; i++) {
        size_t outstanding = synced[i].outstanding;
        struct load load = {.name = synced[i].name, .size = 100, .sync = true};
        load_add(&load, load_ours.name, &load_ours, outstanding, syncs);
        load_add(&load, load_bare.name, &load_bare, 1, syncs);
        if (outstanding > 1) {
            load_add(&load, "bare batches", &load_bare, outstanding, syncs);
        }
        add_rocksdb(&load, outstanding, syncs);
        load_run(&load, dir, rounds);
    }
    size_t records = 12000 / scale;
    struct load flush = {.name = "flush, 1 KiB one by one", .size = 1024};
    load_add(&flush, load_ours.name, &load_ours, 1, records);
    load_add(&flush, load_bare.name, &load_bare, 1, records);
    add_rocksdb(&flush, 1, records);
    load_run(&flush, dir, rounds);
}

/* What the settings of a log make of it. */
static void settings(const char *dir, size_t rounds, size_t scale)
{
    static const struct load_kind *const methods[] = {
        &load_ours, &load_ours_fsync, &load_ours_open_datasync, &load_ours_open_sync};
    struct load sync = {.name = "sync method, 16 outstanding", .size = 100, .sync = true};
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        load_add(&sync, methods[i]->name, methods[i], 16, 32 / scale);
    }
    load_run(&sync, dir, rounds);
    struct load buffers = {.name = "buffer, 256 of 1 KiB at once", .size = 1024};
    load_add(&buffers, load_ours.name, &load_ours, 256, 45 / scale);
    load_add(&buffers, load_ours_small_buffer.name, &load_ours_small_buffer, 256, 45 / scale);
    load_run(&buffers, dir, rounds);
}

/* --- replay --- */

/* Records of a second in which one processor worked on nothing else: replay is
 * measured from the cache, and the machine may be shared. RocksDB's own threads
 * have nothing to do then. */
static double replay_rate(const struct load_kind *kind, const char *dir, uint64_t expected)
{
    double begin = load_busy();
    uint64_t count = kind->replay(dir);
    double took = load_busy() - begin;
    if (count < expected) {
        (void)fprintf(stderr, "wal_load: %s replayed %" PRIu64 " of %" PRIu64 "\n", kind->name,
                      count, expected);
        load_must(ERR_CORRUPT, NULL);
    }
    return (double)expected / took;
}

/* A rate in records/s, or in bytes of payload per second if they are large. */
static void print_replay(const char *name, size_t size, const char *side, double records)
{
    bool large = size >= 1000;
    load_print(name, large ? "GB/s" : "M records/s", side,
               large ? records * (double)size / 1e9 : records / 1e6);
}

static void replaying(const char *dir, size_t size, uint64_t count, size_t rounds)
{
    char name[NAME_SIZE];
    char read_name[NAME_SIZE];
    char of_load[LOAD_PATH_SIZE];
    char own[LOAD_PATH_SIZE];
    char rocks[LOAD_PATH_SIZE];
    (void)snprintf(name, sizeof name, "replay, %zu bytes", size);
    (void)snprintf(read_name, sizeof read_name, "read back, %zu bytes", size);
    load_make_dir(dir, name, of_load);
    load_make_dir(of_load, load_ours.name, own);
    load_ours.fill(own, size, count);
#ifdef BENCH_ROCKSDB
    load_make_dir(of_load, load_rocksdb.name, rocks);
    load_rocksdb.fill(rocks, size, count);
#else
    (void)rocks;
#endif
    for (size_t r = 0; r <= rounds; r++) {
        double seconds = 0;
        double opened = replay_rate(&load_ours, own, count);
        double bare = (double)count / (double)load_bare.replay(own) *
                      replay_rate(&load_bare, own, count * size);
        uint64_t read = load_ours_read_back(own, &seconds);
        CHECK(read == count);
        if (r == 0) {
            continue; /* fills the cache */
        }
        print_replay(name, size, load_ours.name, opened);
        print_replay(name, size, "bare reads", bare);
        print_replay(read_name, size, load_ours.name, (double)read / seconds);
#ifdef BENCH_ROCKSDB
        print_replay(name, size, load_rocksdb.name, replay_rate(&load_rocksdb, rocks, count));
#endif
    }
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        (void)fprintf(stderr, "usage: wal_load DIR ROUNDS [small]\n");
        return 2;
    }
    size_t rounds = (size_t)strtoul(argv[2], NULL, 10);
    size_t scale = argc > 3 && strcmp(argv[3], "small") == 0 ? 16 : 1;
    writing(argv[1], rounds, scale);
    settings(argv[1], rounds, scale);
    replaying(argv[1], 1000, 256 * 1024 / scale, rounds);
    replaying(argv[1], 100, 1024 * 1024 / scale, rounds);
    return 0;
}
