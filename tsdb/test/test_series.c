/* SPDX-License-Identifier: Apache-2.0 */
#include "tsdb/series.h"

#include <stdio.h>

#include "testkit/test.h"

static struct bytes key_of(struct buf *b, unsigned i)
{
    char text[32];
    (void)snprintf(text, sizeof text, "host-%u", i);
    buf_reset(b);
    tags_put(b, 0, bytes_str(text));
    return buf_bytes(b);
}

TEST(series, are_found_by_key_and_listed_by_id)
{
    struct series_set *set = series_set_new();
    struct buf b = {0};
    for (unsigned i = 0; i < 1000; i++) {
        struct bytes key = key_of(&b, i);
        struct series *s = series_set_add(set, i + 10, i / 3 + 1, key, key);
        EXPECT_UINT(s->id, i + 10);
        EXPECT_UINT(s->index_created, i / 3 + 1);
        EXPECT(s->vgroup < VGROUP_COUNT);
        EXPECT(s->vgroup == series_vgroup(series_key_hash(key)));
        EXPECT(s->key.data != key.data);
    }
    EXPECT_UINT(series_set_count(set), 1000);
    for (unsigned i = 0; i < 1000; i++) {
        struct bytes key = key_of(&b, i);
        const struct series *s = series_set_find(set, series_key_hash(key), key);
        REQUIRE(s != NULL);
        EXPECT(series_set_at(set, i) == s);
        EXPECT(bytes_equal(s->key, key));
    }
    struct bytes unknown = key_of(&b, 1000);
    EXPECT(series_set_find(set, series_key_hash(unknown), unknown) == NULL);
    series_set_unref(set);
    series_set_unref(NULL);
    buf_deinit(&b);
}

TEST(series, keys_spread_over_all_vgroups)
{
    struct buf b = {0};
    unsigned counts[VGROUP_COUNT] = {0};
    for (unsigned i = 0; i < 1000; i++) {
        counts[series_vgroup(series_key_hash(key_of(&b, i)))]++;
    }
    for (unsigned i = 0; i < VGROUP_COUNT; i++) {
        EXPECT(counts[i] > 150);
    }
    buf_deinit(&b);
}

/* The VGroup of a key is in files: it may never change. */
TEST(series, the_vgroup_of_a_key_is_fixed)
{
    struct buf b = {0};
    static const unsigned want[] = {2, 0, 2, 1};
    for (unsigned i = 0; i < 4; i++) {
        EXPECT_UINT(series_vgroup(series_key_hash(key_of(&b, i))), want[i]);
    }
    buf_deinit(&b);
}

TEST(series, keep_other_tags_beside_their_key)
{
    struct series_set *set = series_set_new();
    struct buf key = {0};
    struct buf tags = {0};
    tags_put(&key, 0, bytes_str("a"));
    tags_put(&tags, 0, bytes_str("a"));
    tags_put(&tags, 3, bytes_str("other"));
    const struct series *s = series_set_add(set, 1, 1, buf_bytes(&key), buf_bytes(&tags));
    EXPECT(bytes_equal(s->key, buf_bytes(&key)));
    EXPECT(bytes_equal(s->tags, buf_bytes(&tags)));
    EXPECT_UINT(series_set_size(set), key.size + tags.size);
    struct bytes value;
    EXPECT(tags_find(s->tags, 3, &value) && bytes_equal(value, bytes_str("other")));
    EXPECT(!tags_find(s->tags, 1, &value));
    EXPECT(!tags_find(s->key, 3, &value));
    series_set_unref(set);
    buf_deinit(&key);
    buf_deinit(&tags);
}

TEST(series, tags_that_are_cut_short_are_bad)
{
    struct buf b = {0};
    tags_put(&b, 1, bytes_str("value"));
    for (size_t size = 1; size < b.size; size++) {
        struct cursor c = cursor_of(bytes_of(b.data, size));
        uint32_t id = 0;
        struct bytes value;
        EXPECT(!tags_next(&c, &id, &value));
        EXPECT(c.bad);
    }
    struct cursor c = cursor_of((struct bytes){0});
    uint32_t id = 0;
    struct bytes value;
    EXPECT(!tags_next(&c, &id, &value));
    EXPECT(!c.bad);
    buf_deinit(&b);
}

static void add_without_key(void *arg)
{
    (void)series_set_add(arg, 1, 1, (struct bytes){0}, (struct bytes){0});
}

TEST(series, an_empty_key_is_a_bug)
{
    struct series_set *set = series_set_new();
    EXPECT_DIES(add_without_key, set, "key.size > 0");
    series_set_unref(set);
}
