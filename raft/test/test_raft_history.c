/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/raft_history.h"

#include "base/mem.h"
#include "raft/test/single.h"
#include "testkit/test.h"

static void push(struct raft_history *h, const char *servers, uint64_t index)
{
    struct configuration c;
    single_configuration(servers, index, &c);
    raft_history_push(h, &c);
}

TEST(raft_history, begins_with_nothing)
{
    struct raft_history h;
    raft_history_init(&h, NULL);
    EXPECT_UINT(raft_history_last(&h)->count, 0);
    EXPECT_UINT(raft_history_at(&h, 100)->count, 0);
    raft_history_deinit(&h);
}

TEST(raft_history, has_the_newest_in_force)
{
    struct raft_history h;
    raft_history_init(&h, NULL);
    push(&h, "vvv", 1);
    push(&h, "vvvs", 20);
    EXPECT_UINT(raft_history_last(&h)->index, 20);
    EXPECT_UINT(raft_history_at(&h, 19)->index, 1);
    EXPECT_UINT(raft_history_at(&h, 20)->index, 20);
    EXPECT_UINT(raft_history_at(&h, 0)->count, 0);
    raft_history_deinit(&h);
}

/* A leader that loses its change goes back to the configuration before. */
TEST(raft_history, brings_back_what_was_before_a_truncated_change)
{
    struct raft_history h;
    raft_history_init(&h, NULL);
    push(&h, "vvv", 1);
    push(&h, "vvvs", 20);
    EXPECT(!raft_history_truncate(&h, 21));
    EXPECT(raft_history_truncate(&h, 20));
    EXPECT_UINT(raft_history_last(&h)->count, 3);
    push(&h, "vvvp", 20);
    EXPECT_UINT(raft_history_last(&h)->count, 4);
    raft_history_deinit(&h);
}

TEST(raft_history, keeps_what_a_snapshot_holds_as_its_base)
{
    struct raft_history h;
    size_t before = mem_in_use();
    raft_history_init(&h, NULL);
    push(&h, "vvv", 1);
    push(&h, "vvvs", 20);
    push(&h, "vvvv", 30);
    raft_history_cut(&h, 25);
    EXPECT_UINT(h.count, 2);
    EXPECT_UINT(h.items[0].index, 20);
    EXPECT_UINT(raft_history_last(&h)->index, 30);
    raft_history_cut(&h, 29);
    EXPECT_UINT(h.items[0].index, 20);
    raft_history_cut(&h, 40);
    EXPECT_UINT(h.count, 1);
    EXPECT_UINT(raft_history_last(&h)->index, 30);
    raft_history_deinit(&h);
    EXPECT_UINT(mem_in_use(), before);
}

TEST(raft_history, starts_anew_from_an_installed_snapshot)
{
    struct configuration base;
    struct raft_history h;
    single_configuration("vv", 7, &base);
    raft_history_init(&h, &base);
    push(&h, "vvs", 9);
    single_configuration("vvp", 50, &base);
    raft_history_reset(&h, &base);
    EXPECT_UINT(h.count, 1);
    EXPECT_UINT(raft_history_last(&h)->index, 50);
    raft_history_deinit(&h);
}

static void truncate_base(void *arg)
{
    (void)raft_history_truncate(arg, 7);
}

TEST(raft_history, never_loses_its_base)
{
    struct configuration base;
    struct raft_history h;
    single_configuration("vv", 7, &base);
    raft_history_init(&h, &base);
    EXPECT_DIES(truncate_base, &h, "index > h->items[0].index");
    raft_history_deinit(&h);
}
