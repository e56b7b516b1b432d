/* SPDX-License-Identifier: Apache-2.0 */
#include "tsdb/index_map.h"

#include <pthread.h>

#include "base/mem.h"
#include "testkit/test.h"

enum { ITEMS = 5000 };

struct item {
    uint64_t key;
};

static bool has_key(const void *item, const void *key)
{
    return ((const struct item *)item)->key == *(const uint64_t *)key;
}

/* Few hashes, so that items collide. */
static uint64_t hash_of(uint64_t key)
{
    return key % 97 == 0 ? 7 : key * 0x9e3779b97f4a7c15;
}

static struct item *find(const struct index_map *m, uint64_t key)
{
    return index_map_find(m, hash_of(key), has_key, &key);
}

TEST(index_map, finds_what_was_put_and_nothing_else)
{
    struct index_map m = {0};
    EXPECT(find(&m, 1) == NULL);
    struct item *items = mem_array(300, sizeof *items);
    for (uint64_t i = 0; i < 300; i++) {
        items[i].key = i;
        index_map_put(&m, hash_of(i), &items[i]);
        for (uint64_t j = 0; j < 300; j++) {
            EXPECT(find(&m, j) == (j <= i ? &items[j] : NULL));
        }
    }
    EXPECT_UINT(m.count, 300);
    EXPECT(m.size > 0);
    index_map_deinit(&m);
    EXPECT_UINT(m.size, 0);
    mem_free(items);
}

struct race {
    struct index_map map;
    struct item items[ITEMS];
    _Atomic uint64_t put; /* items below it are in the map */
    uint64_t missed;
};

static void *read_beside(void *arg)
{
    struct race *r = arg;
    uint64_t put = 0;
    while (put < ITEMS) {
        put = atomic_load(&r->put);
        for (uint64_t i = put > 50 ? put - 50 : 0; i < put; i++) {
            r->missed += find(&r->map, i) != &r->items[i] ? 1 : 0;
        }
    }
    return NULL;
}

/* Also what the thread sanitizer looks at. */
TEST(index_map, a_reader_finds_what_was_put_before_while_it_grows)
{
    struct race *r = mem_zalloc(sizeof *r);
    pthread_t thread;
    REQUIRE(pthread_create(&thread, NULL, read_beside, r) == 0);
    for (uint64_t i = 0; i < ITEMS; i++) {
        r->items[i].key = i;
        index_map_put(&r->map, i * 0x9e3779b97f4a7c15, &r->items[i]);
        if (i % 97 == 0) { /* hash_of() gives these another place */
            index_map_put(&r->map, hash_of(i), &r->items[i]);
        }
        atomic_store(&r->put, i + 1);
    }
    REQUIRE(pthread_join(thread, NULL) == 0);
    EXPECT_UINT(r->missed, 0);
    index_map_deinit(&r->map);
    mem_free(r);
}
