/* SPDX-License-Identifier: Apache-2.0 */
/* What a replica sends and serves: appends, feeding from disk, leadership rounds. */
#include <string.h>

#include "raft/raft_replica.h"
#include "raft/test/single.h"
#include "testkit/test.h"

/* --- messages --- */

TEST(replica_sending, splits_appends_below_the_size_of_a_frame)
{
    struct single s;
    struct single_options o = {.count = 3, .cache_size_max = 1 << 30};
    single_open(&s, &o);
    single_lead(&s);
    single_acknowledge(&s, 2);
    single_acknowledge(&s, 2);
    single_forget(&s);
    EXPECT_OK(single_submit(&s, 40, 100000));
    size_t appends = single_sent_count(&s, 2, RAFT_APPEND_ENTRIES);
    uint64_t next = single_action(&s, ACTION_APPEND, 0)->index;
    EXPECT(appends >= 4);
    for (size_t i = 0; i < appends; i++) {
        struct single_sent sent = single_sent(&s, 2, RAFT_APPEND_ENTRIES, i);
        EXPECT_UINT(sent.entry_first, next);
        EXPECT_UINT(sent.packet.core.append_entries.prev_log_index, next - 1);
        EXPECT(sent.entry_count >= 1);
        EXPECT(sent.entry_count <= 11);
        next += sent.entry_count;
    }
    EXPECT_UINT(next, single_status(&s).last_index + 1);
    single_close(&s);
}

TEST(replica_sending, does_not_send_a_lagging_peer_an_empty_append_for_each_entry)
{
    struct single s;
    struct single_options o = {.count = 3};
    single_open(&s, &o);
    single_lead(&s);
    single_acknowledge(&s, 2);
    /* Node 3 never answers: it is probed, and its appends would be empty. */
    single_forget(&s);
    for (int i = 0; i < 50; i++) {
        EXPECT_OK(single_submit(&s, 1, 8));
        single_acknowledge(&s, 2);
        (void)single_tick(&s, 1);
    }
    EXPECT(single_sent_count(&s, 3, RAFT_APPEND_ENTRIES) <= 2);
    single_close(&s);
}

TEST(replica_sending, tells_a_peer_what_it_asks_and_nothing_of_another_term)
{
    struct single s;
    struct single_options o = {.term = 4, .count = 3};
    single_open(&s, &o);
    single_forget(&s);
    EXPECT_OK(single_round(&s, 3, RAFT_MESSAGE_PING, 3, 8));
    EXPECT_OK(single_round(&s, 3, RAFT_MESSAGE_PING, 5, 8));
    EXPECT_UINT(single_sent_count(&s, 3, SINGLE_PONG), 0);
    EXPECT_OK(single_round(&s, 3, RAFT_MESSAGE_PING, 4, 9));
    struct single_sent pong = single_sent(&s, 3, SINGLE_PONG, 0);
    REQUIRE(pong.found);
    EXPECT_UINT(pong.packet.term, 4);
    EXPECT_UINT(pong.packet.round, 9);
    single_close(&s);
}

/* --- reads --- */

TEST(replica_sending, serves_all_waiting_reads_with_one_round)
{
    struct single s;
    struct single_options o = {.count = 3};
    single_open(&s, &o);
    single_lead(&s);
    single_acknowledge(&s, 2);
    uint64_t term = single_status(&s).term;
    single_forget(&s);
    for (uint64_t token = 1; token <= 5; token++) {
        struct event read = {.type = EVENT_READ, .token = token};
        EXPECT_OK(single_step(&s, &read));
    }
    EXPECT_UINT(single_sent_count(&s, 2, SINGLE_PING), 1);
    EXPECT_OK(single_round(&s, 2, RAFT_MESSAGE_PONG, term, 1));
    EXPECT_UINT(single_count(&s, ACTION_READ_READY), 1);
    EXPECT_UINT(single_sent_count(&s, 2, SINGLE_PING), 2);
    EXPECT_OK(single_round(&s, 2, RAFT_MESSAGE_PONG, term, 1)); /* again: counts for nothing */
    EXPECT_OK(single_round(&s, 2, RAFT_MESSAGE_PONG, term - 1, 2));
    EXPECT_UINT(single_count(&s, ACTION_READ_READY), 1);
    EXPECT_OK(single_round(&s, 2, RAFT_MESSAGE_PONG, term, 2));
    EXPECT_UINT(single_count(&s, ACTION_READ_READY), 5);
    single_close(&s);
}

TEST(replica_sending, asks_again_when_an_answer_is_lost)
{
    struct single s;
    struct single_options o = {.count = 3};
    struct event read = {.type = EVENT_READ, .token = 1};
    single_open(&s, &o);
    single_lead(&s);
    single_acknowledge(&s, 2);
    single_acknowledge(&s, 3);
    single_forget(&s);
    EXPECT_OK(single_step(&s, &read));
    EXPECT(replica_deadline_ms(s.replica) <= s.now_ms + 100);
    (void)single_tick(&s, 100);
    EXPECT_UINT(single_sent_count(&s, 2, SINGLE_PING), 2);
    EXPECT_UINT(single_sent_count(&s, 3, SINGLE_PING), 2);
    single_close(&s);
}

TEST(replica_sending, fails_reads_when_it_is_deposed)
{
    struct single s;
    struct single_options o = {.count = 3};
    single_open(&s, &o);
    single_lead(&s);
    single_acknowledge(&s, 2);
    single_forget(&s);
    for (uint64_t token = 1; token <= 3; token++) {
        struct event read = {.type = EVENT_READ, .token = token};
        EXPECT_OK(single_step(&s, &read));
    }
    uint64_t term = single_status(&s).term;
    EXPECT_OK(single_heartbeat(&s, 3, term + 1, 4, 1, 1));
    EXPECT_UINT(single_count(&s, ACTION_READ_FAILED), 3);
    EXPECT_UINT(single_count(&s, ACTION_READ_READY), 0);
    EXPECT_OK(single_round(&s, 2, RAFT_MESSAGE_PONG, term, 1));
    EXPECT_UINT(single_count(&s, ACTION_READ_READY), 0);
    EXPECT_UINT(single_status(&s).leader, 3);
    single_close(&s);
}

TEST(replica_sending, alone_serves_reads_at_once)
{
    struct single s;
    struct single_options o = {.servers = "v", .count = 3};
    struct event read = {.type = EVENT_READ, .token = 9};
    single_open(&s, &o);
    EXPECT(single_status(&s).leader_ready);
    EXPECT_OK(single_step(&s, &read));
    EXPECT_UINT(single_action(&s, ACTION_READ_READY, 0)->token, 9);
    EXPECT_OK(single_submit(&s, 1, 8));
    EXPECT_UINT(single_status(&s).commit_index, single_status(&s).last_index);
    single_close(&s);
}

/* --- feeding from disk --- */

struct fed {
    struct single s;
    struct entry *disk[300]; /* disk[i] is entry i + 1 */
};

/* Leads with 203 entries of which none is in memory any more; node 2 holds entry 1 alone. */
static void fed_open(struct fed *f)
{
    struct single_options o = {.count = 200};
    single_open(&f->s, &o);
    single_lead(&f->s);
    for (uint64_t i = 0; i < single_status(&f->s).last_index; i++) {
        f->disk[i] = entry_ref(replica_entry(f->s.replica, i + 1));
    }
    single_acknowledge(&f->s, 3);
    EXPECT_OK(single_applied(&f->s, single_status(&f->s).last_index));
    EXPECT_UINT(single_status(&f->s).cache_entries, 0);
    single_forget(&f->s);
    EXPECT_OK(single_result(&f->s, 2, single_status(&f->s).term, 201, 1));
}

static void fed_close(struct fed *f)
{
    for (size_t i = 0; i < 300; i++) {
        entry_unref(f->disk[i]);
    }
    single_close(&f->s);
}

static enum err_code fed_answer(struct fed *f, const struct action *read, size_t count)
{
    struct event e = {.type = EVENT_LOG_READ,
                      .token = read->token,
                      .index = read->index,
                      .entries = f->disk + read->index - 1,
                      .count = count};
    return single_step(&f->s, &e);
}

TEST(replica_sending, reads_from_disk_what_memory_does_not_hold)
{
    static struct fed f;
    memset(&f, 0, sizeof f);
    fed_open(&f);
    uint64_t next = 2;
    for (size_t i = 0; single_action(&f.s, ACTION_READ_LOG, i) != NULL; i++) {
        const struct action *read = single_action(&f.s, ACTION_READ_LOG, i);
        EXPECT_UINT(read->index, next);
        EXPECT_UINT(read->id, 2);
        EXPECT(read->count <= RAFT_FEED_ENTRIES);
        EXPECT_UINT(single_count(&f.s, ACTION_READ_LOG), i + 1); /* one out at a time */
        size_t give = read->count > 10 ? 10 + i % 3 : read->count;
        next += give;
        EXPECT_OK(fed_answer(&f, read, give));
        struct single_sent sent = single_sent(&f.s, 2, RAFT_APPEND_ENTRIES, i);
        EXPECT_UINT(sent.entry_count, give);
        EXPECT_UINT(sent.packet.core.append_entries.prev_log_index, next - give - 1);
        EXPECT_UINT(sent.packet.core.append_entries.prev_log_term, 1);
    }
    EXPECT_UINT(next, single_status(&f.s).last_index + 1);
    fed_close(&f);
}

TEST(replica_sending, forgets_a_read_from_disk_with_its_leadership)
{
    static struct fed f;
    memset(&f, 0, sizeof f);
    fed_open(&f);
    const struct action *read = single_action(&f.s, ACTION_READ_LOG, 0);
    REQUIRE(read != NULL);
    struct action copy = *read;
    EXPECT_OK(single_heartbeat(&f.s, 3, single_status(&f.s).term + 1, 1, 1, 1));
    single_forget(&f.s);
    EXPECT_OK(fed_answer(&f, &copy, copy.count));
    EXPECT_UINT(single_sent_count(&f.s, 2, RAFT_APPEND_ENTRIES), 0);
    fed_close(&f);
}

TEST(replica_sending, refuses_entries_from_disk_that_it_did_not_ask_for)
{
    static struct fed f;
    memset(&f, 0, sizeof f);
    fed_open(&f);
    struct action read = *single_action(&f.s, ACTION_READ_LOG, 0);
    read.index++;
    EXPECT_ERR(fed_answer(&f, &read, 5), ERR_INVALID);
    EXPECT_UINT(single_sent_count(&f.s, 2, RAFT_APPEND_ENTRIES), 0);
    fed_close(&f);
}

/* While a read is out the peer hears its leader, and no append that it must refuse. */
TEST(replica_sending, sends_a_fed_peer_neutral_heartbeats)
{
    static struct fed f;
    memset(&f, 0, sizeof f);
    fed_open(&f);
    single_forget(&f.s);
    for (uint64_t end = f.s.now_ms + 450; f.s.now_ms < end;) {
        single_wait(&f.s);
        single_acknowledge(&f.s, 3);
    }
    size_t heartbeats = single_sent_count(&f.s, 2, RAFT_APPEND_ENTRIES);
    EXPECT(heartbeats >= 4);
    for (size_t i = 0; i < heartbeats; i++) {
        struct single_sent sent = single_sent(&f.s, 2, RAFT_APPEND_ENTRIES, i);
        EXPECT_UINT(sent.entry_count, 0);
        EXPECT_UINT(sent.packet.core.append_entries.prev_log_index, 0);
    }
    fed_close(&f);
}

TEST(replica_sending, gives_a_feed_up_when_the_disk_can_not_read_now)
{
    static struct fed f;
    memset(&f, 0, sizeof f);
    fed_open(&f);
    struct action read = *single_action(&f.s, ACTION_READ_LOG, 0);
    single_forget(&f.s);
    EXPECT_OK(fed_answer(&f, &read, 0));
    EXPECT_UINT(single_sent_count(&f.s, 2, RAFT_APPEND_ENTRIES), 0);
    EXPECT_UINT(single_count(&f.s, ACTION_READ_LOG), 0);
    for (int i = 0; i < 4; i++) {
        single_wait(&f.s);
        single_acknowledge(&f.s, 3);
    }
    EXPECT(single_count(&f.s, ACTION_READ_LOG) >= 1); /* libraft probes again */
    fed_close(&f);
}
