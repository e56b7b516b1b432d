/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/raft_actions.h"

#include "base/mem.h"
#include "raft/test/single.h"
#include "testkit/test.h"

TEST(raft_actions, own_what_they_carry_until_they_are_reset)
{
    size_t before = mem_in_use();
    struct actions list = {0};
    struct entry *entries[2] = {entry_new(ENTRY_COMMAND, 5, 2, bytes_str("a")),
                                entry_new(ENTRY_COMMAND, 6, 3, bytes_str("b"))};
    struct configuration c;
    single_configuration("vvv", 1, &c);
    raft_actions_entries(raft_actions_put(&list, ACTION_APPEND), entries, 2);
    raft_actions_configuration(raft_actions_put(&list, ACTION_CONFIGURATION), &c);
    buf_put_str(&raft_actions_put(&list, ACTION_SEND)->message, "hello");
    EXPECT_UINT(list.items[0].index, 5);
    EXPECT_UINT(list.items[0].term, 3);
    EXPECT_UINT(list.items[0].count, 2);
    EXPECT_UINT(list.items[1].configuration->count, 3);
    EXPECT_UINT(atomic_load(&entries[0]->references), 2);
    actions_reset(&list);
    EXPECT_UINT(list.count, 0);
    EXPECT_UINT(atomic_load(&entries[0]->references), 1);
    entry_unref(entries[0]);
    entry_unref(entries[1]);
    actions_deinit(&list);
    EXPECT_UINT(mem_in_use(), before);
}

TEST(raft_actions, leave_to_the_receiver_what_it_takes)
{
    struct actions list = {0};
    struct entry *entry = entry_new(ENTRY_COMMAND, 5, 2, bytes_str("a"));
    raft_actions_entries(raft_actions_put(&list, ACTION_APPLY), &entry, 1);
    struct entry **taken = list.items[0].entries;
    list.items[0].entries = NULL;
    actions_reset(&list);
    EXPECT_UINT(atomic_load(&entry->references), 2);
    entry_unref(taken[0]);
    mem_free((void *)taken);
    entry_unref(entry);
    actions_deinit(&list);
}

TEST(raft_actions, are_cleared_each_time)
{
    struct actions list = {0};
    raft_actions_put(&list, ACTION_STOP)->reason = "x";
    actions_reset(&list);
    EXPECT(raft_actions_put(&list, ACTION_ROLE)->reason == NULL);
    EXPECT_UINT(list.count, 1);
    actions_deinit(&list);
}
