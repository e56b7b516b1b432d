/* SPDX-License-Identifier: Apache-2.0 */
#include "base/random.h"
#include "testkit/test.h"
#include "wal/wal_holes.h"

static void insert(struct wal_holes *h, uint64_t index)
{
    const struct wal_hole hole = {.index = index, .term = index * 2, .size = 5};
    wal_holes_insert(h, &hole);
}

static bool has(const struct wal_holes *h, uint64_t index)
{
    const struct wal_hole *hole = wal_holes_find(h, index);
    EXPECT(hole == NULL || hole->index == index);
    EXPECT(hole == NULL || hole->term == index * 2);
    return hole != NULL;
}

static void expect_rising(const struct wal_holes *h)
{
    for (size_t i = 1; i < h->count; i++) {
        EXPECT(h->items[h->start + i - 1].index < h->items[h->start + i].index);
    }
    EXPECT(h->start + h->count <= h->capacity);
}

TEST(wal_holes, an_empty_list_has_none)
{
    struct wal_holes h = {0};
    EXPECT(wal_holes_find(&h, 0) == NULL);
    EXPECT(wal_holes_find(&h, UINT64_MAX) == NULL);
    EXPECT_UINT(wal_holes_drop_from(&h, 0), 0);
    EXPECT_UINT(wal_holes_drop_to(&h, 100), 0);
    wal_holes_deinit(&h);
}

TEST(wal_holes, holes_come_in_order_whatever_the_order_of_finding)
{
    static const uint64_t orders[][5] = {
        {1, 2, 3, 4, 5}, {5, 4, 3, 2, 1}, {3, 1, 5, 2, 4}, {2, 4, 1, 5, 3}, {5, 1, 4, 2, 3},
    };
    for (size_t n = 0; n < sizeof orders / sizeof orders[0]; n++) {
        struct wal_holes h = {0};
        for (size_t i = 0; i < 5; i++) {
            insert(&h, orders[n][i]);
            expect_rising(&h);
        }
        EXPECT_UINT(h.count, 5);
        for (uint64_t index = 0; index <= 6; index++) {
            EXPECT(has(&h, index) == (index >= 1 && index <= 5));
        }
        wal_holes_deinit(&h);
    }
}

TEST(wal_holes, any_one_can_be_removed)
{
    for (uint64_t gone = 1; gone <= 9; gone++) {
        struct wal_holes h = {0};
        for (uint64_t i = 1; i <= 9; i++) {
            insert(&h, i);
        }
        wal_holes_remove(&h, gone);
        test_context("removed %u", (unsigned)gone);
        EXPECT_UINT(h.count, 8);
        for (uint64_t i = 1; i <= 9; i++) {
            EXPECT(has(&h, i) == (i != gone));
        }
        expect_rising(&h);
        wal_holes_deinit(&h);
    }
}

/* The usual course: repair fills them from the front, new ones are found behind. */
TEST(wal_holes, the_front_moves_and_memory_does_not_grow_for_ever)
{
    struct wal_holes h = {0};
    for (uint64_t i = 1; i <= 8; i++) {
        insert(&h, i);
    }
    for (uint64_t i = 9; i <= 10000; i++) {
        wal_holes_remove(&h, i - 8);
        insert(&h, i);
    }
    EXPECT_UINT(h.count, 8);
    EXPECT(h.capacity < 100);
    for (uint64_t i = 9993; i <= 10000; i++) {
        EXPECT(has(&h, i));
    }
    expect_rising(&h);
    wal_holes_deinit(&h);
}

TEST(wal_holes, those_above_or_below_an_index_go_together)
{
    for (uint64_t at = 0; at <= 60; at++) {
        struct wal_holes above = {0};
        struct wal_holes below = {0};
        size_t from = 0;
        size_t to = 0;
        for (uint64_t i = 10; i <= 50; i += 10) {
            insert(&above, i);
            insert(&below, i);
            from += i >= at;
            to += i <= at;
        }
        test_context("at %u", (unsigned)at);
        EXPECT_UINT(wal_holes_drop_from(&above, at), from);
        EXPECT_UINT(wal_holes_drop_to(&below, at), to);
        for (uint64_t i = 10; i <= 50; i += 10) {
            EXPECT(has(&above, i) == (i < at));
            EXPECT(has(&below, i) == (i > at));
        }
        wal_holes_deinit(&above);
        wal_holes_deinit(&below);
    }
}

TEST(wal_holes, clear_takes_all)
{
    struct wal_holes h = {0};
    insert(&h, 1);
    insert(&h, 2);
    wal_holes_clear(&h);
    EXPECT_UINT(h.count, 0);
    EXPECT(!has(&h, 1));
    insert(&h, 2);
    EXPECT(has(&h, 2));
    wal_holes_deinit(&h);
}

TEST(wal_holes, a_damaged_place_gives_its_identity)
{
    const struct wal_place place = {
        .packed = wal_place_pack(4096, WAL_CHANGE, false, WAL_PLACE_DAMAGED),
        .term = 3,
        .size = 77,
        .crc = 99,
    };
    struct wal_hole hole = wal_hole_of(12, &place);
    EXPECT_UINT(hole.index, 12);
    EXPECT_UINT(hole.term, 3);
    EXPECT(!hole.unknown);
    EXPECT_INT(hole.type, WAL_CHANGE);
    EXPECT_UINT(hole.lsn, 4096);
    EXPECT_UINT(hole.size, 77);
    EXPECT_UINT(hole.crc, 99);
}

/* Nothing that an unknown place may still contain is told as if it were known. */
TEST(wal_holes, an_unknown_place_gives_no_identity)
{
    const struct wal_place place = {
        .packed = wal_place_pack(4096, WAL_CHANGE, false, WAL_PLACE_UNKNOWN),
        .term = 3,
        .size = 77,
        .crc = 99,
    };
    struct wal_hole hole = wal_hole_of(12, &place);
    EXPECT_UINT(hole.index, 12);
    EXPECT(hole.unknown);
    EXPECT_UINT(hole.lsn, 4096);
    EXPECT_UINT(hole.term, 0);
    EXPECT_UINT(hole.size, 0);
    EXPECT_UINT(hole.crc, 0);
}

/* Every pattern of whole, damaged and unknown over six indexes. */
TEST(wal_holes, rebuild_finds_every_place_that_is_not_whole)
{
    struct wal_holes h = {0};
    for (unsigned pattern = 0; pattern < 729; pattern++) {
        struct wal_table t;
        wal_table_init(&t, false, 10);
        size_t holes = 0;
        for (unsigned i = 0, left = pattern; i < 6; i++, left /= 3) {
            const struct wal_place place = {
                .packed = wal_place_pack(64, 1, false, (enum wal_place_state)(left % 3)),
                .term = 5};
            wal_table_put(&t, 11 + i, &place);
            holes += left % 3 != 0;
        }
        wal_holes_rebuild(&h, &t);
        test_context("pattern %u", pattern);
        EXPECT_UINT(h.count, holes);
        for (unsigned i = 0, left = pattern; i < 6; i++, left /= 3) {
            const struct wal_hole *hole = wal_holes_find(&h, 11 + i);
            EXPECT((hole != NULL) == (left % 3 != 0));
            EXPECT(hole == NULL || hole->unknown == (left % 3 == 2));
        }
        wal_table_deinit(&t);
    }
    wal_holes_deinit(&h);
}

TEST(wal_holes, agrees_with_a_plain_array)
{
    enum { MAX = 200 };
    struct random r = random_seeded(4);
    struct wal_holes h = {0};
    bool model[MAX] = {false};
    for (unsigned n = 0; n < 4000; n++) {
        uint64_t index = random_between(&r, 1, MAX - 1);
        if (model[index]) {
            wal_holes_remove(&h, index);
        } else {
            insert(&h, index);
        }
        model[index] = !model[index];
        if (n % 50 == 0) {
            size_t count = 0;
            for (uint64_t i = 0; i < MAX; i++) {
                test_context("step %u index %u", n, (unsigned)i);
                EXPECT(has(&h, i) == model[i]);
                count += model[i];
            }
            EXPECT_UINT(h.count, count);
            expect_rising(&h);
        }
    }
    wal_holes_deinit(&h);
}

static void insert_twice(void *arg)
{
    struct wal_holes *h = arg;
    insert(h, 7);
    insert(h, 7);
}

static void remove_missing(void *arg)
{
    struct wal_holes *h = arg;
    insert(h, 7);
    wal_holes_remove(h, 8);
}

static void hole_of_whole(void *arg)
{
    (void)wal_hole_of(1, arg);
}

TEST(wal_holes, wrong_use_stops_the_process)
{
    struct wal_holes h = {0};
    struct wal_place whole = {.packed = wal_place_pack(64, 1, false, WAL_PLACE_WHOLE)};
    EXPECT_DIES(insert_twice, &h, "index");
    EXPECT_DIES(remove_missing, &h, "index");
    EXPECT_DIES(hole_of_whole, &whole, "WHOLE");
}
