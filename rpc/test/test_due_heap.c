/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/due_heap.h"

#include "base/random.h"
#include "testkit/test.h"

TEST(due_heap, gives_the_earliest_first)
{
    struct due_heap h = {0};
    struct due_item items[5] = {{0}};
    const uint64_t due[] = {30, 10, 50, 20, 40};
    EXPECT(due_heap_first(&h) == NULL);
    for (size_t i = 0; i < 5; i++) {
        due_heap_set(&h, &items[i], due[i]);
    }
    for (uint64_t want = 10; want <= 50; want += 10) {
        struct due_item *first = due_heap_first(&h);
        REQUIRE(first != NULL);
        EXPECT_UINT(first->due_ms, want);
        due_heap_remove(&h, first);
        EXPECT_UINT(first->place, 0);
    }
    EXPECT(due_heap_first(&h) == NULL);
    due_heap_deinit(&h);
}

TEST(due_heap, moves_an_item_to_another_time)
{
    struct due_heap h = {0};
    struct due_item a = {0};
    struct due_item b = {0};
    due_heap_set(&h, &a, 10);
    due_heap_set(&h, &b, 20);
    due_heap_set(&h, &a, 30);
    EXPECT(due_heap_first(&h) == &b);
    EXPECT_UINT(h.count, 2);
    due_heap_set(&h, &a, 5);
    EXPECT(due_heap_first(&h) == &a);
    due_heap_remove(&h, &a);
    due_heap_remove(&h, &a); /* not in it: fine */
    EXPECT_UINT(h.count, 1);
    due_heap_deinit(&h);
    EXPECT_UINT(b.place, 0);
}

/* Against the plain way: the smallest of all that are in it. */
TEST(due_heap, agrees_with_a_linear_search)
{
    enum { ITEMS = 40 };
    struct due_heap h = {0};
    struct due_item items[ITEMS] = {{0}};
    struct random r = random_seeded(3);
    for (unsigned step = 0; step < 4000; step++) {
        struct due_item *item = &items[random_below(&r, ITEMS)];
        if (random_chance(&r, 1, 3)) {
            due_heap_remove(&h, item);
        } else {
            due_heap_set(&h, item, random_below(&r, 100));
        }
        uint64_t smallest = UINT64_MAX;
        size_t count = 0;
        for (size_t i = 0; i < ITEMS; i++) {
            if (items[i].place != 0) {
                count++;
                smallest = items[i].due_ms < smallest ? items[i].due_ms : smallest;
            }
        }
        REQUIRE_UINT(h.count, count);
        const struct due_item *first = due_heap_first(&h);
        REQUIRE_UINT(first == NULL ? UINT64_MAX : first->due_ms, smallest);
    }
    due_heap_deinit(&h);
}
