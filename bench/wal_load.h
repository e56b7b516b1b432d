/* SPDX-License-Identifier: Apache-2.0 */
/* Loads on a log, the same for ours and for what it is measured beside; the C
 * half of scripts/bench wal. Rounds of each kind alternate, so that all see the
 * same machine; bench/wal.py compares them round by round.
 *
 * A log that fails ends the program: it could not measure. */
#ifndef TIDEMARK_BENCH_WAL_LOAD_H
#define TIDEMARK_BENCH_WAL_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

/* One kind of log, by the only things that a load does with it. */
struct load_kind {
    const char *name;
    /* 'dir' exists and is empty; borrowed until close. */
    void *(*open)(const char *dir);
    /* Writes 'count' records with this payload at once and syncs if told to. */
    void (*write)(void *log, struct bytes payload, size_t count, bool sync);
    /* What may be done between rounds: not timed. */
    void (*tidy)(void *log);
    void (*close)(void *log);

    /* Leaves a log of these records in 'dir', as a crash would. */
    void (*fill)(const char *dir, size_t size, uint64_t count);
    /* Opens what fill() left, reads and verifies all; the count of records, or of
     * bytes for the bare loop. */
    uint64_t (*replay)(const char *dir);
};

extern const struct load_kind load_ours;       /* room wal, level by the caller */
extern const struct load_kind load_ours_fsync; /* the same with a setting that is not the default */
extern const struct load_kind load_ours_open_datasync;
extern const struct load_kind load_ours_open_sync;
extern const struct load_kind load_ours_small_buffer;
extern const struct load_kind load_bare;    /* the system calls alone */
extern const struct load_kind load_rocksdb; /* only where its library is */

/* Ours, entry by entry, after it was opened: what redo reads. The count of records, and
 * the seconds of work that it took. */
uint64_t load_ours_read_back(const char *dir, double *seconds);

/* --- loads (wal_load_run.c) --- */

enum { LOAD_SIDES_MAX = 4, LOAD_PATH_SIZE = 1024 };

/* One log under one load. */
struct load_side {
    const char *name;
    const struct load_kind *kind;
    size_t outstanding; /* records of one batch */
    size_t batches;     /* of one round */
    void *log;
    void (*before)(void); /* a round; NULL: nothing */
};

struct load {
    const char *name;
    size_t size; /* of a record's payload */
    bool sync;
    bool one_log; /* the sides share that of the first, so that they differ in nothing else */
    bool busy;    /* by processor time: where no disk is waited for */
    struct load_side sides[LOAD_SIDES_MAX];
    size_t side_count;
};

void load_add(struct load *load, const char *name, const struct load_kind *kind, size_t outstanding,
              size_t batches);
/* In directories of their own below 'dir'; the first round warms up. */
void load_run(struct load *load, const char *dir, size_t rounds);
void load_make_dir(const char *parent, const char *name, char path[LOAD_PATH_SIZE]);

/* Seconds of a clock that never goes back, and of this process's work. */
double load_now(void);
double load_busy(void);
/* Ends the program unless 'code' is ERR_OK. */
void load_must(enum err_code code, const struct err *e);
/* One figure: a line of JSON for bench/wal.py. */
void load_print(const char *name, const char *unit, const char *side, double value);

#endif
