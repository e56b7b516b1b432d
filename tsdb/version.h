/* SPDX-License-Identifier: Apache-2.0 */
/* What a reader needs to stay as it is: catalog, settings, parts and memory
 * tables of one moment. Immutable, except that rows are appended to the memory
 * tables in use, each with its log index.
 *
 *   versions_put() makes a version current; the one before stays for those who
 *   pinned it. Pins are taken by any thread and given back by any thread; the
 *   owner frees what nobody pins in versions_reap(), never a reader.
 *
 * Shared pieces (parts, memory tables) are counted by the owner alone. */
#ifndef TIDEMARK_TSDB_VERSION_H
#define TIDEMARK_TSDB_VERSION_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tsdb/catalog.h"
#include "tsdb/memtable.h"
#include "tsdb/part.h"
#include "tsdb/settings.h"

/* One memory table for each VGroup. */
struct memory {
    unsigned references;
    struct memtable *tables[VGROUP_COUNT];
};

/* The parts of each VGroup, newest first. */
struct part_set {
    unsigned references;
    struct part **items[VGROUP_COUNT]; /* one reference each */
    size_t counts[VGROUP_COUNT];
};

struct version {
    atomic_uint pins;
    atomic_uint readers;  /* pins of those who read rows */
    struct version *next; /* of all that are not freed yet */
    struct catalog *catalog;
    struct settings *settings;
    struct part_set *parts;
    struct memory *frozen; /* being written by a checkpoint, or NULL */
    struct memory *active;
};

struct memory *memory_new(uint64_t generation);
struct memory *memory_ref(struct memory *m);
void memory_unref(struct memory *m); /* NULL is fine */
size_t memory_size(const struct memory *m);
uint64_t memory_row_count(const struct memory *m);

struct part_set *part_set_new(void);
struct part_set *part_set_ref(struct part_set *s);
void part_set_unref(struct part_set *s); /* NULL is fine */
/* Takes the reference to the part; it is the newest. */
void part_set_put(struct part_set *s, unsigned vgroup, struct part *p);
size_t part_set_count(const struct part_set *s);

/* The versions of one tsdb. */
struct versions {
    pthread_mutex_t mutex; /* of 'current' */
    struct version *current;
    struct version *all;
};

void versions_init(struct versions *v);
/* No version may be pinned. */
void versions_deinit(struct versions *v);
/* Owner. Takes one reference to each piece. */
void versions_put(struct versions *v, struct version pieces);
/* Owner. The current pieces with one more reference each, to change and put. */
struct version versions_copy(const struct versions *v);
/* Any thread. */
struct version *versions_pin(struct versions *v);
void version_unpin(struct version *x);
/* Owner. A pin for one who reads rows, also those that are still to come into
 * the memory tables in use. */
struct version *versions_pin_reader(struct versions *v);
void version_unpin_reader(struct version *x); /* any thread */
/* Owner. Nobody reads the memory tables in use. */
bool versions_active_is_unread(const struct versions *v);
/* Owner. Frees what is neither current nor pinned. */
void versions_reap(struct versions *v);

#endif
