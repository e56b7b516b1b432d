/* SPDX-License-Identifier: Apache-2.0 */
/* wal_load DIR ROUNDS [small]: the loads, one line of JSON per figure. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/check.h"
#include "base/mem.h"
#include "bench/wal_load.h"

enum { SIDES_MAX = 4, PATH_SIZE = 1024, PAYLOAD_SIZE_MAX = 4096, NAME_SIZE = 64 };

/* One log under one load. */
struct side {
    const char *name;
    const struct load_kind *kind;
    size_t outstanding; /* records of one batch */
    size_t batches;     /* of one round */
    void *log;
};

struct load {
    const char *name;
    size_t size; /* of a record's payload */
    bool sync;
    struct side sides[SIDES_MAX];
    size_t side_count;
};

static double seconds_of(clockid_t clock)
{
    struct timespec now;
    int rv = clock_gettime(clock, &now);
    CHECK(rv == 0);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

double load_now(void)
{
    return seconds_of(CLOCK_MONOTONIC);
}

double load_busy(void)
{
    return seconds_of(CLOCK_PROCESS_CPUTIME_ID);
}

void load_must(enum err_code code, const struct err *e)
{
    if (code != ERR_OK) {
        (void)fprintf(stderr, "wal_load: %s\n", e != NULL ? e->text : err_name(code));
        exit(1); // NOLINT(concurrency-mt-unsafe): one thread
    }
}

void load_print(const char *name, const char *unit, const char *side, double value)
{
    (void)printf("{\"case\": \"%s\", \"unit\": \"%s\", \"side\": \"%s\", \"value\": %.6g}\n", name,
                 unit, side, value);
    (void)fflush(stdout);
}

static void make_dir(const char *parent, const char *name, char path[PATH_SIZE])
{
    (void)snprintf(path, PATH_SIZE, "%s/%s", parent, name);
    for (char *c = path + strlen(parent) + 1; *c != '\0'; c++) {
        if (*c == ' ' || *c == ',') {
            *c = '-';
        }
    }
    if (mkdir(path, 0700) != 0) {
        perror(path);
        load_must(ERR_IO, NULL);
    }
}

/* --- writing --- */

static double round_of(const struct load *load, const struct side *side, struct bytes payload)
{
    double begin = load_now();
    for (size_t i = 0; i < side->batches; i++) {
        side->kind->write(side->log, payload, side->outstanding, load->sync);
    }
    double took = load_now() - begin;
    return (double)(side->batches * side->outstanding) / took;
}

static void run_load(struct load *load, const char *dir, size_t rounds)
{
    uint8_t payload[PAYLOAD_SIZE_MAX];
    char own[PATH_SIZE];
    char of_load[PATH_SIZE];
    CHECK(load->size <= sizeof payload);
    make_dir(dir, load->name, of_load);
    for (size_t i = 0; i < load->size; i++) {
        payload[i] = (uint8_t)(i * 7 + 1);
    }
    for (size_t s = 0; s < load->side_count; s++) {
        struct side *side = &load->sides[s];
        make_dir(of_load, side->name, own);
        side->log = side->kind->open(own);
    }
    for (size_t r = 0; r <= rounds; r++) {
        for (size_t s = 0; s < load->side_count; s++) {
            struct side *side = &load->sides[s];
            side->kind->tidy(side->log);
            double rate = round_of(load, side, bytes_of(payload, load->size));
            if (r > 0) { /* the first one warms up */
                load_print(load->name, "records/s", side->name, rate);
            }
        }
    }
    for (size_t s = 0; s < load->side_count; s++) {
        load->sides[s].kind->close(load->sides[s].log);
    }
}

static void add_side(struct load *load, const char *name, const struct load_kind *kind,
                     size_t outstanding, size_t batches)
{
    CHECK(load->side_count < SIDES_MAX);
    load->sides[load->side_count++] =
        (struct side){.name = name, .kind = kind, .outstanding = outstanding, .batches = batches};
}

static void add_rocksdb(struct load *load, size_t outstanding, size_t batches)
{
#ifdef BENCH_ROCKSDB
    add_side(load, load_rocksdb.name, &load_rocksdb, outstanding, batches);
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
    size_t syncs = 64 / scale;
    for (size_t i = 0; i < sizeof synced / sizeof synced[0]; i++) {
        size_t outstanding = synced[i].outstanding;
        struct load load = {.name = synced[i].name, .size = 100, .sync = true};
        add_side(&load, load_ours.name, &load_ours, outstanding, syncs);
        add_side(&load, load_bare.name, &load_bare, 1, syncs);
        if (outstanding > 1) {
            add_side(&load, "bare batches", &load_bare, outstanding, syncs);
        }
        add_rocksdb(&load, outstanding, syncs);
        run_load(&load, dir, rounds);
    }
    size_t records = 12000 / scale;
    struct load flush = {.name = "flush, 1 KiB one by one", .size = 1024};
    add_side(&flush, load_ours.name, &load_ours, 1, records);
    add_side(&flush, load_bare.name, &load_bare, 1, records);
    add_rocksdb(&flush, 1, records);
    run_load(&flush, dir, rounds);
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
    char of_load[PATH_SIZE];
    char own[PATH_SIZE];
    char rocks[PATH_SIZE];
    (void)snprintf(name, sizeof name, "replay, %zu bytes", size);
    (void)snprintf(read_name, sizeof read_name, "read back, %zu bytes", size);
    make_dir(dir, name, of_load);
    make_dir(of_load, load_ours.name, own);
    load_ours.fill(own, size, count);
#ifdef BENCH_ROCKSDB
    make_dir(of_load, load_rocksdb.name, rocks);
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
    replaying(argv[1], 1000, 256 * 1024 / scale, rounds);
    replaying(argv[1], 100, 1024 * 1024 / scale, rounds);
    return 0;
}
