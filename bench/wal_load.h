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

extern const struct load_kind load_ours;    /* room wal, level by the caller */
extern const struct load_kind load_bare;    /* the system calls alone */
extern const struct load_kind load_rocksdb; /* only where its library is */

/* Ours, entry by entry, after it was opened: what redo reads. The count of records, and
 * the seconds of work that it took. */
uint64_t load_ours_read_back(const char *dir, double *seconds);

/* Seconds of a clock that never goes back, and of this process's work. */
double load_now(void);
double load_busy(void);
/* Ends the program unless 'code' is ERR_OK. */
void load_must(enum err_code code, const struct err *e);
/* One figure: a line of JSON for bench/wal.py. */
void load_print(const char *name, const char *unit, const char *side, double value);

#endif
