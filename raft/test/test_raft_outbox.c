/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/raft_outbox.h"

#include "base/mem.h"
#include "testkit/test.h"

static void send(struct raft_outbox *o, uint64_t peer, const char *text, struct actions *a)
{
    struct buf message = {0};
    buf_put(&message, text, 1);
    raft_outbox_send(o, peer, &message, a);
    EXPECT(message.data == NULL);
}

static size_t sends(const struct actions *a)
{
    size_t count = 0;
    for (size_t i = 0; i < a->count; i++) {
        count += a->items[i].type == ACTION_SEND ? 1U : 0U;
    }
    return count;
}

TEST(raft_outbox, lets_messages_through_while_no_hard_state_is_out)
{
    struct raft_outbox o = {0};
    struct actions a = {0};
    send(&o, 2, "x", &a);
    EXPECT_UINT(sends(&a), 1);
    EXPECT_UINT(a.items[0].id, 2);
    EXPECT_MEM(a.items[0].message.data, "x", 1);
    actions_deinit(&a);
    raft_outbox_deinit(&o);
}

/* safety.md B1: a promise is on disk before anybody hears of it. */
TEST(raft_outbox, holds_messages_until_the_hard_state_before_them_is_durable)
{
    struct raft_outbox o = {0};
    struct actions a = {0};
    struct err e;
    raft_outbox_hard_state(&o, 3, 2, &a);
    send(&o, 2, "a", &a);
    raft_outbox_hard_state(&o, 4, 0, &a);
    send(&o, 3, "b", &a);
    send(&o, 2, "c", &a);
    EXPECT_UINT(sends(&a), 0);
    EXPECT_UINT(a.count, 2);
    EXPECT_UINT(a.items[0].type, ACTION_HARD_STATE);
    EXPECT_UINT(a.items[0].term, 3);
    EXPECT_UINT(a.items[0].id, 2);
    EXPECT_OK(raft_outbox_durable(&o, &a, &e));
    EXPECT_UINT(sends(&a), 1);
    EXPECT_MEM(a.items[2].message.data, "a", 1);
    EXPECT_OK(raft_outbox_durable(&o, &a, &e));
    EXPECT_UINT(sends(&a), 3);
    EXPECT_MEM(a.items[3].message.data, "b", 1);
    EXPECT_MEM(a.items[4].message.data, "c", 1);
    EXPECT_UINT(a.items[4].id, 2);
    EXPECT(!raft_outbox_waits(&o));
    actions_deinit(&a);
    raft_outbox_deinit(&o);
}

TEST(raft_outbox, refuses_news_of_a_hard_state_that_was_not_out)
{
    struct raft_outbox o = {0};
    struct actions a = {0};
    struct err e;
    EXPECT_ERR(raft_outbox_durable(&o, &a, &e), ERR_STATE);
    raft_outbox_hard_state(&o, 1, 0, &a);
    EXPECT_OK(raft_outbox_durable(&o, &a, &e));
    EXPECT_ERR(raft_outbox_durable(&o, &a, &e), ERR_STATE);
    actions_deinit(&a);
    raft_outbox_deinit(&o);
}

TEST(raft_outbox, loses_messages_above_its_limit_like_a_network)
{
    struct raft_outbox o = {0};
    struct actions a = {0};
    struct err e;
    size_t before = mem_in_use();
    raft_outbox_hard_state(&o, 1, 0, &a);
    for (int i = 0; i < 5000; i++) {
        send(&o, 2, "m", &a);
    }
    EXPECT_UINT(o.count, 4096);
    EXPECT_OK(raft_outbox_durable(&o, &a, &e));
    EXPECT_UINT(sends(&a), 4096);
    EXPECT_UINT(o.bytes, 0);
    actions_deinit(&a);
    raft_outbox_deinit(&o);
    EXPECT_UINT(mem_in_use(), before);
}

TEST(raft_outbox, bounds_the_bytes_that_wait_too)
{
    struct raft_outbox o = {0};
    struct actions a = {0};
    raft_outbox_hard_state(&o, 1, 0, &a);
    for (int i = 0; i < 6; i++) {
        struct buf message = {0};
        buf_put_zeros(&message, LIMIT_FRAME_SIZE_MAX);
        raft_outbox_send(&o, 2, &message, &a);
    }
    EXPECT_UINT(o.count, 4);
    actions_deinit(&a);
    raft_outbox_deinit(&o);
}
