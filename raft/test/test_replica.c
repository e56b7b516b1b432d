/* SPDX-License-Identifier: Apache-2.0 */
/* What replica.h promises its caller: starts, refusals, durability, limits, and
 * feeding from disk. Stories of several nodes are in scenarios/. */
#include "raft/replica.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "proto/command.h"
#include "raft/raft_replica.h"
#include "raft/test/cluster.h"
#include "raft/test/single.h"
#include "testkit/test.h"

static struct cluster *open_three(uint64_t seed)
{
    struct cluster_options options = {.seed = seed,
                                      .nodes = 3,
                                      .voters = 3,
                                      .net_min_ms = 1,
                                      .net_max_ms = 3,
                                      .disk_min_ms = 1,
                                      .disk_max_ms = 2,
                                      .cache_size_max = 1 << 20};
    return cluster_open(&options);
}

TEST(replica, three_nodes_elect_a_leader_and_replicate)
{
    struct cluster *c = open_three(1);
    uint64_t leader = cluster_run_to_leader(c, 5000);
    REQUIRE(leader != 0);
    for (int i = 0; i < 50; i++) {
        EXPECT_OK(cluster_submit(c, leader, 4, 100));
        cluster_run(c, 5);
    }
    EXPECT_OK(cluster_read(c, leader));
    cluster_run(c, 500);
    EXPECT_UINT(cluster_totals(c)->acknowledged, 200);
    EXPECT_UINT(cluster_totals(c)->reads, 1);
    cluster_check_equal(c);
    cluster_close(c);
}

/* --- start --- */

struct start {
    struct replica_state state;
    struct entry *entries[4];
};

/* Entries 1 (configuration), 2, 3, 4 of terms 1, 1, 2, 3; the stored term is 3. */
static void start_init(struct start *s)
{
    static const uint64_t terms[] = {1, 1, 2, 3};
    struct configuration c;
    struct buf payload = {0};
    memset(s, 0, sizeof *s);
    single_configuration("vvv", 1, &c);
    configuration_encode(&c, &payload);
    for (size_t i = 0; i < 4; i++) {
        s->entries[i] = entry_new(i == 0 ? ENTRY_CHANGE : ENTRY_COMMAND, i + 1, terms[i],
                                  i == 0 ? buf_bytes(&payload) : bytes_str("row"));
    }
    s->state = (struct replica_state){.term = 3, .log_first = 1, .count = 4};
    s->state.entries = s->entries;
    buf_deinit(&payload);
}

static void start_deinit(struct start *s)
{
    for (size_t i = 0; i < 4; i++) {
        entry_unref(s->entries[i]);
    }
}

static enum err_code try_start(struct start *s, struct err *e, struct replica_status *status)
{
    struct replica_options options = {.id = 1, .heartbeat_ms = 100, .election_ms = 500};
    struct replica *r = NULL;
    struct actions actions = {0};
    e->text[0] = '\0';
    enum err_code code = replica_start(&options, &s->state, 1000, &r, &actions, e);
    if (code == ERR_OK && status != NULL) {
        *status = replica_status(r);
    }
    EXPECT((r == NULL) == (code != ERR_OK));
    replica_close(r);
    actions_deinit(&actions);
    return code;
}

TEST(replica, starts_from_what_the_disk_holds)
{
    struct start s;
    struct err e;
    struct replica_status status = {0};
    start_init(&s);
    EXPECT_OK(try_start(&s, &e, &status));
    EXPECT_UINT(status.last_index, 4);
    EXPECT_UINT(status.last_term, 3);
    EXPECT_UINT(status.durable_index, 4);
    EXPECT_UINT(status.commit_index, 1);
    EXPECT_INT(status.role, REPLICA_FOLLOWER);
    EXPECT_UINT(status.term, 3);
    EXPECT_UINT(status.cache_entries, 4);
    start_deinit(&s);
}

/* safety.md D1: a voter that is not alone applies only what becomes known as committed. */
TEST(replica, applies_nothing_at_start_but_what_is_known_as_committed)
{
    struct single s;
    struct single_options o = {.count = 9};
    single_open(&s, &o);
    REQUIRE_UINT(single_count(&s, ACTION_APPLY), 1);
    EXPECT_UINT(single_action(&s, ACTION_APPLY, 0)->index, 1);
    EXPECT_UINT(single_action(&s, ACTION_APPLY, 0)->count, 1);
    EXPECT_OK(single_heartbeat(&s, 2, 1, 10, 1, 7));
    REQUIRE_UINT(single_count(&s, ACTION_APPLY), 2);
    EXPECT_UINT(single_action(&s, ACTION_APPLY, 1)->index, 2);
    EXPECT_UINT(single_action(&s, ACTION_APPLY, 1)->count, 6);
    single_close(&s);
}

TEST(replica, refuses_to_start_from_a_state_that_cant_be)
{
    struct start s;
    struct err e;
    start_init(&s);
    s.entries[3]->term = 4;
    EXPECT_ERR(try_start(&s, &e, NULL), ERR_CORRUPT);
    EXPECT_CONTAINS(e.text, "entry 4 has term 4 after 2, the stored term is 3");
    s.entries[3]->term = 1;
    EXPECT_ERR(try_start(&s, &e, NULL), ERR_CORRUPT);
    EXPECT_CONTAINS(e.text, "entry 4 has term 1 after 2");
    s.entries[3]->term = 3;
    s.entries[2]->index = 5;
    EXPECT_ERR(try_start(&s, &e, NULL), ERR_CORRUPT);
    EXPECT_CONTAINS(e.text, "entry 5 where 3 belongs");
    s.entries[2]->index = 3;
    s.entries[0]->type = ENTRY_COMMAND;
    EXPECT_ERR(try_start(&s, &e, NULL), ERR_CORRUPT);
    EXPECT_CONTAINS(e.text, "begins with entry 1, a configuration");
    s.entries[0]->type = ENTRY_CHANGE;
    s.entries[0]->payload[0] = 9;
    EXPECT_ERR(try_start(&s, &e, NULL), ERR_CORRUPT);
    EXPECT_CONTAINS(e.text, "entry 1: configuration: format 9");
    s.entries[0]->payload[0] = 1;
    s.state.term = 0;
    s.state.count = 0;
    s.state.voted_for = 2;
    EXPECT_ERR(try_start(&s, &e, NULL), ERR_CORRUPT);
    EXPECT_CONTAINS(e.text, "no term");
    s.state.voted_for = 0;
    EXPECT_OK(try_start(&s, &e, NULL));
    start_deinit(&s);
}

TEST(replica, refuses_a_snapshot_that_does_not_fit_its_log)
{
    struct start s;
    struct err e;
    struct replica_status status = {0};
    start_init(&s);
    s.state.snapshot_index = 3;
    s.state.snapshot_term = 2;
    EXPECT_ERR(try_start(&s, &e, NULL), ERR_CORRUPT);
    EXPECT_CONTAINS(e.text, "snapshot 3 without its configuration");
    single_configuration("vvv", 1, &s.state.snapshot_configuration);
    EXPECT_OK(try_start(&s, &e, &status));
    EXPECT_UINT(status.commit_index, 3);
    EXPECT_UINT(status.applied_index, 3);
    EXPECT_UINT(status.first_index, 1);
    s.state.snapshot_term = 1;
    EXPECT_ERR(try_start(&s, &e, NULL), ERR_CORRUPT);
    EXPECT_CONTAINS(e.text, "entry 3 and the snapshot differ in term");
    s.state.snapshot_term = 4;
    EXPECT_ERR(try_start(&s, &e, NULL), ERR_CORRUPT);
    EXPECT_CONTAINS(e.text, "snapshot of term 4");
    s.state.snapshot_term = 2;
    s.state.snapshot_configuration.index = 4;
    EXPECT_ERR(try_start(&s, &e, NULL), ERR_CORRUPT);
    s.state.snapshot_configuration.index = 1;
    s.state.snapshot_index = 1;
    s.state.snapshot_term = 1;
    s.state.log_first = 3;
    s.state.entries = s.entries + 2;
    s.state.count = 2;
    EXPECT_ERR(try_start(&s, &e, NULL), ERR_CORRUPT);
    EXPECT_CONTAINS(e.text, "snapshot 1, but the log begins at 3");
    start_deinit(&s);
}

/* A checkpoint above the whole log: the log begins anew behind it. */
TEST(replica, starts_behind_a_snapshot_above_its_log)
{
    struct start s;
    struct err e;
    struct replica_status status = {0};
    start_init(&s);
    s.state.snapshot_index = 9;
    s.state.snapshot_term = 3;
    single_configuration("vvv", 1, &s.state.snapshot_configuration);
    EXPECT_OK(try_start(&s, &e, &status));
    EXPECT_UINT(status.first_index, 10);
    EXPECT_UINT(status.last_index, 9);
    EXPECT_UINT(status.last_term, 3);
    start_deinit(&s);
}

TEST(replica, gives_back_all_memory)
{
    struct start s;
    struct err e;
    size_t before = mem_in_use();
    start_init(&s);
    EXPECT_OK(try_start(&s, &e, NULL));
    s.entries[0]->payload[0] = 9;
    EXPECT_ERR(try_start(&s, &e, NULL), ERR_CORRUPT);
    start_deinit(&s);
    EXPECT_UINT(mem_in_use(), before);
}

/* --- refusals --- */

TEST(replica, refuses_a_leaders_work_while_it_does_not_lead)
{
    struct single s;
    struct single_options o = {.count = 3};
    struct event read = {.type = EVENT_READ, .token = 1};
    struct event transfer = {.type = EVENT_TRANSFER};
    single_open(&s, &o);
    EXPECT_ERR(single_submit(&s, 1, 8), ERR_NOT_LEADER);
    EXPECT_ERR(single_step(&s, &read), ERR_NOT_LEADER);
    EXPECT_ERR(single_step(&s, &transfer), ERR_NOT_LEADER);
    EXPECT_ERR(single_change(&s, "vvvs"), ERR_NOT_LEADER);
    single_close(&s);
}

TEST(replica, refuses_a_followers_work_while_it_leads)
{
    struct single s;
    struct single_options o = {.count = 3};
    struct event gone = {.type = EVENT_LEADER_GONE, .id = 2};
    single_open(&s, &o);
    EXPECT_ERR(single_step(&s, &gone), ERR_STATE);
    EXPECT_CONTAINS(s.err.text, "follows no leader");
    single_lead(&s);
    EXPECT_ERR(single_step(&s, &gone), ERR_STATE);
    single_close(&s);
}

TEST(replica, refuses_events_that_answer_nothing)
{
    struct single s;
    struct single_options o = {.count = 3};
    struct event e = {.type = EVENT_HARD_STATE_DURABLE};
    single_open(&s, &o);
    EXPECT_ERR(single_step(&s, &e), ERR_STATE);
    e = (struct event){.type = EVENT_APPEND_DURABLE, .token = 77, .index = 4, .term = 1};
    EXPECT_ERR(single_step(&s, &e), ERR_STATE);
    EXPECT_CONTAINS(s.err.text, "append 77 (4, 1) is not out");
    e = (struct event){.type = EVENT_INSTALLED, .index = 9, .term = 1};
    EXPECT_ERR(single_step(&s, &e), ERR_STATE);
    EXPECT_ERR(single_applied(&s, 9), ERR_INVALID);
    e = (struct event){.type = EVENT_SNAPSHOT_ENDED};
    EXPECT_ERR(single_step(&s, &e), ERR_INVALID);
    e = (struct event){.type = EVENT_SNAPSHOT_ENDED, .id = 9};
    EXPECT_OK(single_step(&s, &e));
    e = (struct event){.type = EVENT_CHECKPOINT, .index = 4, .term = 1, .cut = 5};
    EXPECT_ERR(single_step(&s, &e), ERR_INVALID);
    e = (struct event){.type = EVENT_TIMERS, .heartbeat_ms = 100, .election_ms = 100};
    EXPECT_ERR(single_step(&s, &e), ERR_INVALID);
    e = (struct event){.type = EVENT_LOG_READ, .token = 5};
    EXPECT_OK(single_step(&s, &e)); /* asked for in another life */
    single_close(&s);
}

TEST(replica, refuses_messages_of_nobody_and_nonsense)
{
    struct single s;
    struct single_options o = {.count = 3};
    struct event e = {.type = EVENT_MESSAGE, .id = 2, .message = bytes_str("nonsense")};
    single_open(&s, &o);
    EXPECT_ERR(single_step(&s, &e), ERR_CORRUPT);
    e.id = 0;
    EXPECT_ERR(single_step(&s, &e), ERR_INVALID);
    e.id = 1;
    EXPECT_ERR(single_step(&s, &e), ERR_INVALID);
    EXPECT_UINT(single_status(&s).term, 1);
    single_close(&s);
}

TEST(replica, takes_commands_alone)
{
    struct single s;
    struct single_options o = {.count = 3};
    single_open(&s, &o);
    single_lead(&s);
    struct entry *barrier = entry_new(ENTRY_BARRIER, 0, 0, (struct bytes){0});
    struct entry *change = entry_new(ENTRY_CHANGE, 0, 0, bytes_str("x"));
    struct event e = {.type = EVENT_SUBMIT, .entries = &barrier, .count = 1};
    EXPECT_ERR(single_step(&s, &e), ERR_INVALID);
    e.entries = &change;
    EXPECT_ERR(single_step(&s, &e), ERR_INVALID);
    EXPECT_CONTAINS(s.err.text, "only commands");
    entry_unref(barrier);
    entry_unref(change);
    single_close(&s);
}

/* --- what a leader submits --- */

TEST(replica, numbers_what_is_submitted)
{
    struct single s;
    struct single_options o = {.count = 3};
    single_open(&s, &o);
    single_lead(&s);
    single_forget(&s);
    uint64_t last = single_status(&s).last_index;
    EXPECT_OK(single_submit(&s, 3, 100));
    const struct action *a = single_action(&s, ACTION_APPEND, 0);
    REQUIRE(a != NULL);
    EXPECT_UINT(a->count, 3);
    EXPECT_UINT(a->index, last + 1);
    EXPECT_UINT(a->entries[2]->index, last + 3);
    EXPECT_UINT(a->entries[2]->term, single_status(&s).term);
    EXPECT(a->token != 0);
    EXPECT(replica_entry(s.replica, last + 3) == a->entries[2]);
    EXPECT(replica_entry(s.replica, last + 4) == NULL);
    single_close(&s);
}

TEST(replica, bounds_what_is_not_committed)
{
    struct single s;
    struct single_options o = {.count = 3};
    single_open(&s, &o);
    single_lead(&s);
    uint64_t open = single_status(&s).last_index - single_status(&s).commit_index;
    EXPECT_OK(single_submit(&s, LIMIT_UNCOMMITTED_ENTRIES - open, 8));
    EXPECT_ERR(single_submit(&s, 1, 8), ERR_FULL);
    EXPECT_CONTAINS(s.err.text, "1024 entries are not committed yet");
    single_acknowledge(&s, 2);
    EXPECT_OK(single_submit(&s, 1, 8));
    EXPECT_ERR(single_submit(&s, LIMIT_UNCOMMITTED_ENTRIES, 8), ERR_FULL);
    single_close(&s);
}

TEST(replica, bounds_the_bytes_that_are_not_applied)
{
    struct single s;
    struct single_options o = {.count = 3};
    unsigned accepted = 0;
    single_open(&s, &o);
    single_lead(&s);
    while (single_submit(&s, 1, LIMIT_ENTRY_SIZE_MAX) == ERR_OK && accepted < 1000) {
        accepted++;
        single_acknowledge(&s, 2);
        single_forget(&s);
        actions_reset(&s.actions);
        s.forgotten = s.handled = 0;
    }
    EXPECT_INT(s.code, ERR_FULL);
    EXPECT_CONTAINS(s.err.text, "not applied yet");
    EXPECT_UINT(accepted, LIMIT_UNAPPLIED_SIZE_MAX / LIMIT_ENTRY_SIZE_MAX - 1);
    EXPECT_OK(single_applied(&s, single_status(&s).commit_index));
    EXPECT_UINT(single_status(&s).cache_entries, 0);
    EXPECT_OK(single_submit(&s, 1, LIMIT_ENTRY_SIZE_MAX));
    single_close(&s);
}

/* A follower whose apply is stuck takes no more entries, and still follows. */
TEST(replica, leaves_out_entries_that_it_has_no_room_for)
{
    struct single s;
    struct single_options o = {.count = 3};
    struct entry *big = entry_new(ENTRY_COMMAND, 0, 1, bytes_of(NULL, LIMIT_ENTRY_SIZE_MAX));
    memset(big->payload, 1, big->size);
    single_open(&s, &o);
    struct raft_packet p = {.kind = RAFT_MESSAGE_CORE, .entries = &big, .count = 1};
    p.core.type = RAFT_APPEND_ENTRIES;
    p.core.server_id = 2;
    p.core.append_entries = (struct raft_append_entries){.term = 1, .n_entries = 1};
    uint64_t taken = 0;
    for (int i = 0; i < 200; i++) {
        uint64_t last = single_status(&s).last_index;
        big->index = last + 1;
        p.core.append_entries.prev_log_index = last;
        p.core.append_entries.prev_log_term = 1;
        single_forget(&s);
        EXPECT_OK(single_packet(&s, 2, &p));
        taken += single_status(&s).last_index - last;
        struct single_sent reply = single_sent(&s, 2, RAFT_APPEND_ENTRIES_RESULT, 0);
        EXPECT(reply.found);
        EXPECT_UINT(reply.packet.core.append_entries_result.last_log_index,
                    single_status(&s).last_index);
        actions_reset(&s.actions);
        s.forgotten = s.handled = 0;
    }
    EXPECT_UINT(taken, LIMIT_UNAPPLIED_SIZE_MAX / LIMIT_ENTRY_SIZE_MAX);
    EXPECT_UINT(single_status(&s).leader, 2);
    entry_unref(big);
    single_close(&s);
}

/* safety.md H1: what is dropped comes again; what elects or frees space is taken. */
TEST(replica, leaves_out_what_the_disk_has_no_room_for)
{
    static const struct {
        enum replica_room room;
        uint64_t taken;
    } cases[] = {{REPLICA_ROOM_NONE, 0}, {REPLICA_ROOM_RESERVED, 2}, {REPLICA_ROOM_ALL, 4}};
    static const uint8_t checkpoint[] = {COMMAND_CHECKPOINT, 0};
    static const uint8_t write[] = {COMMAND_WRITE, 0};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct single s;
        struct single_options o = {.count = 3};
        single_open(&s, &o);
        uint64_t last = single_status(&s).last_index;
        struct entry *entries[] = {
            entry_new(ENTRY_BARRIER, last + 1, 1, (struct bytes){0}),
            entry_new(ENTRY_COMMAND, last + 2, 1, bytes_of(checkpoint, sizeof checkpoint)),
            entry_new(ENTRY_COMMAND, last + 3, 1, bytes_of(write, sizeof write)),
            entry_new(ENTRY_BARRIER, last + 4, 1, (struct bytes){0}),
        };
        struct raft_packet p = {.kind = RAFT_MESSAGE_CORE, .entries = entries, .count = 4};
        p.core.type = RAFT_APPEND_ENTRIES;
        p.core.server_id = 2;
        p.core.append_entries = (struct raft_append_entries){
            .term = 1, .n_entries = 4, .prev_log_index = last, .prev_log_term = 1};
        struct buf message = {0};
        raft_packet_encode(&p, &message);
        struct event event = {
            .type = EVENT_MESSAGE, .id = 2, .message = buf_bytes(&message), .room = cases[i].room};
        EXPECT_OK(single_step(&s, &event));
        EXPECT_UINT(single_status(&s).last_index, last + cases[i].taken);
        EXPECT_UINT(single_status(&s).leader, 2); /* it still follows */
        for (size_t k = 0; k < 4; k++) {
            entry_unref(entries[k]);
        }
        buf_deinit(&message);
        single_close(&s);
    }
}

/* --- durability --- */

TEST(replica, acknowledges_only_what_is_durable)
{
    struct single s;
    struct single_options o = {0};
    struct single_append a = {.term = 1, .prev = 1, .prev_term = 1, .count = 3, .commit = 4};
    single_open(&s, &o);
    single_forget(&s);
    s.disk_held = true;
    EXPECT_OK(single_append(&s, 2, &a));
    EXPECT_UINT(single_status(&s).last_index, 4);
    EXPECT_UINT(single_status(&s).durable_index, 1);
    EXPECT_UINT(single_sent_count(&s, 2, RAFT_APPEND_ENTRIES_RESULT), 0);
    EXPECT_UINT(single_count(&s, ACTION_APPLY), 0);
    single_sync(&s);
    EXPECT_UINT(single_status(&s).durable_index, 4);
    EXPECT_UINT(single_sent(&s, 2, RAFT_APPEND_ENTRIES_RESULT, 0)
                    .packet.core.append_entries_result.last_log_index,
                4);
    EXPECT_UINT(single_action(&s, ACTION_APPLY, 0)->count, 3);
    single_close(&s);
}

/* One sync covers several appends: the last one's token is enough. */
TEST(replica, takes_one_event_for_several_appends)
{
    struct single s;
    struct single_options o = {.count = 3};
    single_open(&s, &o);
    single_lead(&s);
    single_forget(&s);
    s.disk_held = true;
    EXPECT_OK(single_submit(&s, 2, 8));
    EXPECT_OK(single_submit(&s, 2, 8));
    EXPECT_OK(single_submit(&s, 2, 8));
    uint64_t last = single_status(&s).last_index;
    struct event e = {.type = EVENT_APPEND_DURABLE,
                      .token = single_action(&s, ACTION_APPEND, 1)->token};
    EXPECT_OK(single_step(&s, &e));
    EXPECT_UINT(single_status(&s).durable_index, last - 2);
    e = (struct event){.type = EVENT_APPEND_DURABLE, .index = last, .term = 2};
    EXPECT_OK(single_step(&s, &e));
    EXPECT_UINT(single_status(&s).durable_index, last);
    EXPECT_ERR(single_step(&s, &e), ERR_STATE);
    single_close(&s);
}

/* Entry (3, 1) is written, replaced by (3, 2), and comes back with a leader of
 * term 3. The news of the first write says nothing about the third. */
TEST(replica, does_not_mistake_an_old_write_for_the_same_entry_written_again)
{
    struct single s;
    struct single_options o = {.count = 1};
    static const uint64_t two[] = {2};
    static const uint64_t old[] = {1};
    single_open(&s, &o);
    single_forget(&s);
    s.disk_held = true;
    struct single_append a = {.term = 1, .prev = 2, .prev_term = 1, .terms = old, .count = 1};
    EXPECT_OK(single_append(&s, 2, &a));
    a.term = 2;
    a.terms = two;
    EXPECT_OK(single_append(&s, 3, &a));
    a.term = 3;
    a.terms = old;
    EXPECT_OK(single_append(&s, 2, &a));
    EXPECT_UINT(single_status(&s).last_term, 1);
    EXPECT_UINT(single_status(&s).durable_index, 2);
    for (size_t i = 0; i < 2; i++) {
        struct event e = {.type = EVENT_APPEND_DURABLE,
                          .token = single_action(&s, ACTION_APPEND, i)->token};
        EXPECT_OK(single_step(&s, &e));
        EXPECT_UINT(single_status(&s).durable_index, 2);
    }
    struct event e = {.type = EVENT_APPEND_DURABLE, .index = 3, .term = 1};
    EXPECT_OK(single_step(&s, &e));
    EXPECT_UINT(single_status(&s).durable_index, 3);
    single_close(&s);
}

TEST(replica, forgets_writes_that_a_snapshot_replaces)
{
    struct single s;
    struct single_options o = {.count = 1};
    struct single_append a = {.term = 1, .prev = 2, .prev_term = 1, .count = 2};
    single_open(&s, &o);
    single_forget(&s);
    s.disk_held = true;
    EXPECT_OK(single_append(&s, 2, &a));
    EXPECT_OK(single_install(&s, 2, 1, 50, 1, "vvv"));
    EXPECT(single_status(&s).installing);
    const struct action *install = single_action(&s, ACTION_INSTALL, 0);
    REQUIRE(install != NULL);
    EXPECT_UINT(install->index, 50);
    EXPECT_UINT(install->id, 2);
    EXPECT_UINT(install->configuration->count, 3);
    struct event durable = {.type = EVENT_APPEND_DURABLE,
                            .token = single_action(&s, ACTION_APPEND, 0)->token};
    EXPECT_OK(single_step(&s, &durable));
    struct event installed = {.type = EVENT_INSTALLED, .index = 50, .term = 1};
    EXPECT_OK(single_step(&s, &installed));
    struct replica_status status = single_status(&s);
    EXPECT(!status.installing);
    EXPECT_UINT(status.first_index, 51);
    EXPECT_UINT(status.durable_index, 50);
    EXPECT_UINT(status.applied_index, 50);
    EXPECT_UINT(single_sent(&s, 2, RAFT_APPEND_ENTRIES_RESULT, 0)
                    .packet.core.append_entries_result.last_log_index,
                50);
    single_close(&s);
}

TEST(replica, stops_when_a_committed_entry_would_be_replaced)
{
    struct single s;
    struct single_options o = {.count = 3};
    static const uint64_t two[] = {2};
    single_open(&s, &o);
    EXPECT_OK(single_heartbeat(&s, 2, 1, 4, 1, 4));
    struct single_append a = {.term = 2, .prev = 2, .prev_term = 1, .terms = two, .count = 1};
    EXPECT_OK(single_append(&s, 3, &a));
    REQUIRE_UINT(single_count(&s, ACTION_STOP), 1);
    EXPECT(single_action(&s, ACTION_STOP, 0)->reason != NULL);
    struct event tick = {.type = EVENT_TICK};
    EXPECT_ERR(single_step(&s, &tick), ERR_STATE);
    EXPECT_CONTAINS(s.err.text, "has stopped");
    EXPECT_UINT(replica_deadline_ms(s.replica), UINT64_MAX);
    single_close(&s);
}

TEST(replica, stops_when_another_node_leads_in_its_own_term)
{
    struct single s;
    struct single_options o = {.count = 3};
    single_open(&s, &o);
    single_lead(&s);
    EXPECT_OK(single_heartbeat(&s, 2, single_status(&s).term, 4, 1, 1));
    REQUIRE_UINT(single_count(&s, ACTION_STOP), 1);
    EXPECT_STR(single_action(&s, ACTION_STOP, 0)->reason, "another node leads in our own term");
    single_close(&s);
}

/* --- checkpoints --- */

TEST(replica, cuts_its_log_where_the_checkpoint_says)
{
    struct single s;
    struct single_options o = {.count = 19, .cache_size_max = 1 << 20};
    struct configuration c;
    uint64_t term = 0;
    single_open(&s, &o);
    EXPECT_OK(single_heartbeat(&s, 2, 1, 20, 1, 20));
    EXPECT_OK(single_applied(&s, 20));
    single_configuration("vvv", 1, &c);
    struct event done = {
        .type = EVENT_CHECKPOINT, .index = 15, .term = 1, .cut = 8, .configuration = &c};
    EXPECT_OK(single_step(&s, &done));
    REQUIRE_UINT(single_count(&s, ACTION_CUT_OK), 1);
    EXPECT_UINT(single_action(&s, ACTION_CUT_OK, 0)->index, 8);
    EXPECT_UINT(single_action(&s, ACTION_CUT_OK, 0)->term, 1);
    EXPECT_UINT(single_status(&s).first_index, 9);
    EXPECT(replica_term_at(s.replica, 8, &term));
    EXPECT(!replica_term_at(s.replica, 7, &term));
    EXPECT_OK(single_step(&s, &done)); /* again: nothing to do */
    done.index = 20;
    done.cut = 4;
    EXPECT_OK(single_step(&s, &done)); /* a cut below the last one keeps what is there */
    EXPECT_UINT(single_status(&s).first_index, 9);
    EXPECT_UINT(single_count(&s, ACTION_CUT_OK), 1);
    single_close(&s);
}

TEST(replica, refuses_a_checkpoint_with_another_configuration_than_its_log)
{
    struct single s;
    struct single_options o = {.count = 19};
    struct configuration c;
    single_open(&s, &o);
    EXPECT_OK(single_heartbeat(&s, 2, 1, 20, 1, 20));
    EXPECT_OK(single_applied(&s, 20));
    single_configuration("vvv", 3, &c);
    struct event done = {
        .type = EVENT_CHECKPOINT, .index = 15, .term = 1, .cut = 8, .configuration = &c};
    EXPECT_ERR(single_step(&s, &done), ERR_INVALID);
    EXPECT_CONTAINS(s.err.text, "holds configuration 3, the log 1");
    EXPECT_UINT(single_status(&s).first_index, 1);
    single_close(&s);
}

TEST(replica, takes_a_checkpoint_as_proof_that_it_applied)
{
    struct single s;
    struct single_options o = {.count = 19};
    single_open(&s, &o);
    EXPECT_OK(single_heartbeat(&s, 2, 1, 20, 1, 20));
    struct event done = {.type = EVENT_CHECKPOINT, .index = 15, .term = 1, .cut = 15};
    EXPECT_OK(single_step(&s, &done));
    EXPECT_UINT(single_status(&s).applied_index, 15);
    EXPECT_UINT(single_status(&s).first_index, 16);
    single_close(&s);
}

/* --- looking --- */

TEST(replica, knows_its_peers_while_it_leads)
{
    struct single s;
    struct single_options o = {.count = 3};
    uint64_t match = 0;
    uint64_t silent = 0;
    single_open(&s, &o);
    EXPECT(!replica_peer(s.replica, 2, &match, &silent));
    single_lead(&s);
    single_acknowledge(&s, 2);
    (void)single_tick(&s, 30);
    EXPECT(replica_peer(s.replica, 2, &match, &silent));
    EXPECT_UINT(match, single_status(&s).last_index);
    EXPECT_UINT(silent, 30);
    EXPECT(replica_peer(s.replica, 1, &match, &silent));
    EXPECT_UINT(match, single_status(&s).durable_index);
    EXPECT(!replica_peer(s.replica, 9, &match, &silent));
    single_close(&s);
}

TEST(replica, keeps_applied_entries_for_followers_within_its_limit)
{
    struct single s;
    struct single_options o = {.count = 99, .cache_size_max = 10 * 64};
    single_open(&s, &o);
    EXPECT_UINT(single_status(&s).cache_entries, 100);
    EXPECT_OK(single_heartbeat(&s, 2, 1, 100, 1, 100));
    EXPECT_UINT(single_status(&s).cache_entries, 100);
    EXPECT_OK(single_applied(&s, 100));
    EXPECT(single_status(&s).cache_bytes <= 10 * 64);
    EXPECT(single_status(&s).cache_entries > 5);
    EXPECT(replica_entry(s.replica, 100) != NULL);
    EXPECT(replica_entry(s.replica, 1) == NULL);
    single_close(&s);
}

TEST(replica, changes_its_timers_while_it_runs)
{
    struct single s;
    struct single_options o = {.count = 3};
    struct event timers = {.type = EVENT_TIMERS, .heartbeat_ms = 1000, .election_ms = 9000};
    single_open(&s, &o);
    EXPECT(replica_deadline_ms(s.replica) <= s.now_ms + 1000);
    EXPECT_OK(single_step(&s, &timers));
    EXPECT(replica_deadline_ms(s.replica) >= s.now_ms + 9000);
    EXPECT(replica_deadline_ms(s.replica) <= s.now_ms + 18000);
    single_close(&s);
}

/* The same events give the same actions. */
TEST(replica, is_a_function_of_its_events)
{
    struct buf first = {0};
    for (int round = 0; round < 2; round++) {
        struct cluster_options o = {.seed = 5,
                                    .nodes = 3,
                                    .voters = 3,
                                    .net_min_ms = 1,
                                    .net_max_ms = 9,
                                    .disk_max_ms = 4,
                                    .loss = 50,
                                    .trace = true};
        struct cluster *c = cluster_open(&o);
        for (int i = 0; i < 300; i++) {
            uint64_t leader = cluster_leader(c);
            if (leader != 0) {
                (void)cluster_submit(c, leader, 2, 20);
            }
            cluster_run(c, 10);
        }
        if (round == 0) {
            buf_put_bytes(&first, buf_bytes(cluster_trace(c)));
        } else {
            EXPECT(first.size > 10000);
            EXPECT(bytes_equal(buf_bytes(&first), buf_bytes(cluster_trace(c))));
        }
        cluster_close(c);
    }
    buf_deinit(&first);
}
