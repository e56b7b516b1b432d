/* SPDX-License-Identifier: Apache-2.0 */
/* A hash table that only grows: one thread puts items in, any thread finds them
 * meanwhile, without a lock.
 *
 * A larger table is filled and then published by one store; smaller ones are
 * kept until the end, because a reader may still be in them (together they are
 * smaller than the current one). A reader in an old table misses only items
 * that are newer than its question. */
#ifndef TIDEMARK_TSDB_INDEX_MAP_H
#define TIDEMARK_TSDB_INDEX_MAP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct index_table;

struct index_map {
    _Atomic(struct index_table *) current; /* NULL: nothing was put in yet */
    size_t count;
    size_t size; /* bytes held */
};

/* A map of zeros is empty and ready. Nobody reads it any more: */
void index_map_deinit(struct index_map *m);
/* Owner only. The item is borrowed and must be whole: readers see it at once. */
void index_map_put(struct index_map *m, uint64_t hash, void *item);
/* The first item put under 'hash' for which match(item, key) is true, or NULL. */
void *index_map_find(const struct index_map *m, uint64_t hash,
                     bool (*match)(const void *item, const void *key), const void *key);

#endif
