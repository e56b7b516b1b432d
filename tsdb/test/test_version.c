/* SPDX-License-Identifier: Apache-2.0 */
#include "tsdb/version.h"

#include "testkit/test.h"

static struct version empty_pieces(uint64_t generation)
{
    return (struct version){.catalog = catalog_new(),
                            .settings = settings_new(),
                            .parts = part_set_new(),
                            .active = memory_new(generation)};
}

static size_t count_all(const struct versions *v)
{
    size_t count = 0;
    for (const struct version *x = v->all; x != NULL; x = x->next) {
        count++;
    }
    return count;
}

TEST(version, one_that_is_pinned_outlives_the_next_ones)
{
    struct versions v;
    versions_init(&v);
    versions_put(&v, empty_pieces(1));
    struct version *first = versions_pin(&v);
    struct memory *memory = first->active;
    struct version next = versions_copy(&v);
    memory_unref(next.active);
    next.active = memory_new(2);
    versions_put(&v, next);
    versions_put(&v, versions_copy(&v));
    EXPECT_UINT(count_all(&v), 2); /* the one between was nobody's */
    EXPECT(first->active == memory);
    EXPECT(v.current->active != memory);
    EXPECT(v.current->catalog == first->catalog);
    version_unpin(first);
    EXPECT_UINT(count_all(&v), 2); /* only the owner frees */
    versions_reap(&v);
    EXPECT_UINT(count_all(&v), 1);
    versions_deinit(&v);
}

TEST(version, pieces_are_freed_with_the_last_version_that_has_them)
{
    struct versions v;
    versions_init(&v);
    versions_put(&v, empty_pieces(1));
    struct version *pins[10];
    for (uint64_t i = 0; i < 10; i++) {
        pins[i] = versions_pin(&v);
        struct version next = versions_copy(&v);
        memory_unref(next.frozen);
        next.frozen = next.active;
        next.active = memory_new(i + 2);
        versions_put(&v, next);
    }
    EXPECT_UINT(count_all(&v), 11);
    for (size_t i = 0; i < 10; i++) { /* in no order of age */
        version_unpin(pins[i * 7 % 10]);
        versions_reap(&v);
        EXPECT_UINT(count_all(&v), 10 - i);
    }
    EXPECT(memory_size(v.current->active) == 0);
    EXPECT_UINT(memory_row_count(v.current->active), 0);
    EXPECT_UINT(part_set_count(v.current->parts), 0);
    versions_deinit(&v);
}

/* Only who reads rows of the memory in use counts: neither a look at the
 * catalog, nor a reader of memory that is frozen by now. */
TEST(version, readers_of_the_memory_in_use_are_known)
{
    struct versions v;
    versions_init(&v);
    versions_put(&v, empty_pieces(1));
    EXPECT(versions_active_is_unread(&v));
    struct version *look = versions_pin(&v);
    EXPECT(versions_active_is_unread(&v));
    struct version *reader = versions_pin_reader(&v);
    EXPECT(!versions_active_is_unread(&v));
    versions_put(&v, versions_copy(&v)); /* the same memory in a later version */
    EXPECT(!versions_active_is_unread(&v));
    struct version next = versions_copy(&v);
    next.frozen = next.active;
    next.active = memory_new(2);
    versions_put(&v, next);
    EXPECT(versions_active_is_unread(&v));
    version_unpin_reader(reader);
    version_unpin(look);
    versions_deinit(&v);
}

static void close_pinned(void *arg)
{
    versions_deinit(arg);
}

TEST(version, closing_while_one_is_pinned_is_a_bug)
{
    struct versions v;
    versions_init(&v);
    versions_put(&v, empty_pieces(1));
    struct version *x = versions_pin(&v);
    EXPECT_DIES(close_pinned, &v, "v->all == NULL");
    version_unpin(x);
    versions_deinit(&v);
}
