/* SPDX-License-Identifier: Apache-2.0 */
/* The series of one table: rows that share their primary tags.
 *
 *   tags:  (tag id varint | size varint | value) ...   of the tags that are set, by rising id
 *   key:   the same, of the primary tags only
 *
 * A tag that is null is not in the key, so that a primary tag can be added to a
 * table later without changing the keys that are there.
 *
 * The apply lane adds; any thread may find and list meanwhile. A reader of the
 * state after index V leaves out series made after V. */
#ifndef TIDEMARK_TSDB_SERIES_H
#define TIDEMARK_TSDB_SERIES_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/hash.h"

/* Shares of the series, by hash of the key. Part of the format. */
enum { VGROUP_COUNT = 4 };

struct memory_series;

struct series {
    uint64_t id; /* never used again, in no table */
    uint64_t index_created;
    uint64_t hash; /* of the key */
    unsigned vgroup;
    struct bytes key;
    struct bytes tags;
    /* Apply lane only: where its newest rows are, while the generation is that
     * of the memory table in use. */
    struct memory_series *memory;
    uint64_t memory_generation;
};

struct series_set;

/* All versions of a table share one; each has a reference. Any thread. */
struct series_set *series_set_new(void); /* one reference */
struct series_set *series_set_ref(struct series_set *s);
void series_set_unref(struct series_set *s); /* NULL is fine */

/* Apply lane only; the key must be new. Borrowed while the set lives. */
struct series *series_set_add(struct series_set *s, uint64_t id, uint64_t index, struct bytes key,
                              struct bytes tags);
struct series *series_set_find(const struct series_set *s, uint64_t hash, struct bytes key);
size_t series_set_count(const struct series_set *s);
struct series *series_set_at(const struct series_set *s, size_t i); /* by rising id */
size_t series_set_size(const struct series_set *s);                 /* bytes of keys and tags */

uint64_t series_key_hash(struct bytes key);
unsigned series_vgroup(uint64_t hash);

/* --- encoded tags --- */

void tags_put(struct buf *b, uint32_t id, struct bytes value);
/* The next tag; false at the end, or when it is bad. */
bool tags_next(struct cursor *tags, uint32_t *id, struct bytes *value);
/* The value of one tag; false: it is null. */
bool tags_find(struct bytes tags, uint32_t id, struct bytes *value);

#endif
