/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/raft_message.h"

#include <string.h>

#include "base/mem.h"
#include "base/random.h"
#include "raft/test/single.h"
#include "testkit/test.h"

enum { SENDER = 9 };

static struct raft_packet back(const struct raft_packet *p)
{
    struct buf b = {0};
    struct raft_packet out;
    struct err e = {0};
    raft_packet_encode(p, &b);
    REQUIRE_OK(raft_packet_decode(buf_bytes(&b), SENDER, &out, &e));
    EXPECT_UINT(out.kind, p->kind);
    buf_deinit(&b);
    return out;
}

/* A field that got lost (version, above all) would let a stale pre-vote grant
 * count as a vote. */
TEST(raft_message, carries_every_field_of_a_vote)
{
    struct raft_packet p = {.core = {.type = RAFT_REQUEST_VOTE, .server_id = SENDER}};
    p.core.request_vote = (struct raft_request_vote){.version = 2,
                                                     .term = 7,
                                                     .candidate_id = SENDER,
                                                     .last_log_index = 100,
                                                     .last_log_term = 6,
                                                     .disrupt_leader = true,
                                                     .pre_vote = true};
    struct raft_packet q = back(&p);
    EXPECT_INT(q.core.type, RAFT_REQUEST_VOTE);
    EXPECT_UINT(q.core.server_id, SENDER);
    EXPECT_UINT(q.core.request_vote.version, 2);
    EXPECT_UINT(q.core.request_vote.term, 7);
    EXPECT_UINT(q.core.request_vote.candidate_id, SENDER);
    EXPECT_UINT(q.core.request_vote.last_log_index, 100);
    EXPECT_UINT(q.core.request_vote.last_log_term, 6);
    EXPECT(q.core.request_vote.disrupt_leader);
    EXPECT(q.core.request_vote.pre_vote);

    p.core.type = RAFT_REQUEST_VOTE_RESULT;
    p.core.request_vote_result = (struct raft_request_vote_result){.version = 2,
                                                                   .term = 8,
                                                                   .vote_granted = true,
                                                                   .pre_vote = true,
                                                                   .features = 1,
                                                                   .capacity = 12};
    q = back(&p);
    EXPECT_UINT(q.core.request_vote_result.version, 2);
    EXPECT_UINT(q.core.request_vote_result.term, 8);
    EXPECT(q.core.request_vote_result.vote_granted);
    EXPECT(q.core.request_vote_result.pre_vote);
    EXPECT_UINT(q.core.request_vote_result.features, 1);
    EXPECT_UINT(q.core.request_vote_result.capacity, 12);
}

TEST(raft_message, carries_every_field_of_results_and_orders)
{
    struct raft_packet p = {.core = {.type = RAFT_APPEND_ENTRIES_RESULT, .server_id = SENDER}};
    p.core.append_entries_result = (struct raft_append_entries_result){.version = 2,
                                                                       .term = 5,
                                                                       .rejected = 44,
                                                                       .last_log_index = 43,
                                                                       .features = 1,
                                                                       .capacity = 3};
    struct raft_packet q = back(&p);
    EXPECT_UINT(q.core.append_entries_result.version, 2);
    EXPECT_UINT(q.core.append_entries_result.term, 5);
    EXPECT_UINT(q.core.append_entries_result.rejected, 44);
    EXPECT_UINT(q.core.append_entries_result.last_log_index, 43);
    EXPECT_UINT(q.core.append_entries_result.features, 1);
    EXPECT_UINT(q.core.append_entries_result.capacity, 3);

    p.core.type = RAFT_TIMEOUT_NOW;
    p.core.timeout_now =
        (struct raft_timeout_now){.term = 5, .last_log_index = 9, .last_log_term = 4};
    q = back(&p);
    EXPECT_UINT(q.core.timeout_now.term, 5);
    EXPECT_UINT(q.core.timeout_now.last_log_index, 9);
    EXPECT_UINT(q.core.timeout_now.last_log_term, 4);

    p = (struct raft_packet){.kind = RAFT_MESSAGE_PONG, .term = 3, .round = 99};
    q = back(&p);
    EXPECT_UINT(q.term, 3);
    EXPECT_UINT(q.round, 99);
    p.kind = RAFT_MESSAGE_PING;
    q = back(&p);
    EXPECT_UINT(q.term, 3);
    EXPECT_UINT(q.round, 99);
}

TEST(raft_message, carries_a_snapshots_configuration)
{
    struct raft_packet p = {.core = {.type = RAFT_INSTALL_SNAPSHOT, .server_id = SENDER}};
    p.core.install_snapshot.term = 6;
    p.core.install_snapshot.last_index = 500;
    p.core.install_snapshot.last_term = 5;
    p.core.install_snapshot.conf_index = 40;
    single_configuration("vvs", 40, &p.configuration);
    struct raft_packet q = back(&p);
    EXPECT_UINT(q.core.install_snapshot.term, 6);
    EXPECT_UINT(q.core.install_snapshot.last_index, 500);
    EXPECT_UINT(q.core.install_snapshot.last_term, 5);
    EXPECT_UINT(q.core.install_snapshot.conf_index, 40);
    EXPECT_UINT(q.configuration.index, 40);
    EXPECT(configuration_equal(&p.configuration, &q.configuration));
}

struct made {
    struct entry *entries[3];
    struct raft_packet packet;
};

static struct made make_append(void)
{
    struct made m = {0};
    struct configuration c;
    struct buf payload = {0};
    single_configuration("vvv", 12, &c);
    configuration_encode(&c, &payload);
    m.entries[0] = entry_new(ENTRY_COMMAND, 11, 3, bytes_str("a row"));
    m.entries[1] = entry_new(ENTRY_CHANGE, 12, 4, buf_bytes(&payload));
    m.entries[2] = entry_new(ENTRY_BARRIER, 13, 5, (struct bytes){0});
    buf_deinit(&payload);
    m.packet.core.type = RAFT_APPEND_ENTRIES;
    m.packet.core.server_id = SENDER;
    m.packet.core.append_entries = (struct raft_append_entries){
        .term = 5, .prev_log_index = 10, .prev_log_term = 3, .leader_commit = 9, .n_entries = 3};
    m.packet.count = 3;
    return m;
}

static void made_deinit(struct made *m)
{
    for (size_t i = 0; i < 3; i++) {
        entry_unref(m->entries[i]);
    }
}

TEST(raft_message, carries_entries_with_their_place)
{
    struct made m = make_append();
    m.packet.entries = m.entries;
    struct raft_packet q = back(&m.packet);
    EXPECT_UINT(q.core.append_entries.term, 5);
    EXPECT_UINT(q.core.append_entries.prev_log_index, 10);
    EXPECT_UINT(q.core.append_entries.prev_log_term, 3);
    EXPECT_UINT(q.core.append_entries.leader_commit, 9);
    EXPECT_UINT(q.core.append_entries.n_entries, 3);
    REQUIRE_UINT(q.count, 3);
    for (size_t i = 0; i < 3; i++) {
        EXPECT_UINT(q.entries[i]->index, m.entries[i]->index);
        EXPECT_UINT(q.entries[i]->term, m.entries[i]->term);
        EXPECT_UINT(q.entries[i]->type, m.entries[i]->type);
        EXPECT(bytes_equal(entry_payload(q.entries[i]), entry_payload(m.entries[i])));
    }
    raft_packet_deinit(&q);
    EXPECT_UINT(q.count, 0);
    made_deinit(&m);
}

static void expect_refused(const struct raft_packet *p, const char *text)
{
    struct buf b = {0};
    struct raft_packet out;
    struct err e = {0};
    raft_packet_encode(p, &b);
    EXPECT_ERR(raft_packet_decode(buf_bytes(&b), SENDER, &out, &e), ERR_CORRUPT);
    EXPECT_CONTAINS(e.text, text);
    EXPECT(out.entries == NULL);
    buf_deinit(&b);
}

/* Each of these would abort libraft, or make it believe the impossible. */
TEST(raft_message, refuses_appends_that_no_leader_sends)
{
    struct made m = make_append();
    struct raft_packet p = m.packet;
    p.entries = m.entries;
    p.core.append_entries.term = 0;
    expect_refused(&p, "impossible numbers");
    p = m.packet;
    p.entries = m.entries;
    p.core.append_entries.prev_log_term = 0;
    expect_refused(&p, "previous entry");
    p.core.append_entries.prev_log_term = 6;
    expect_refused(&p, "previous entry");
    p.core.append_entries.prev_log_term = 4;
    expect_refused(&p, "term falls");
    p.core.append_entries.prev_log_term = 3;
    p.core.append_entries.term = 4;
    expect_refused(&p, "above its leader's");
    p.core.append_entries.term = 5;
    p.core.append_entries.leader_commit = UINT64_MAX;
    expect_refused(&p, "impossible numbers");
    p.core.append_entries.leader_commit = 0;
    m.entries[1]->payload[1] = 0;
    expect_refused(&p, "configuration: 0 servers");
    memset(&m.entries[0]->type, 0, sizeof m.entries[0]->type);
    expect_refused(&p, "unknown type");
    m.entries[0]->type = ENTRY_COMMAND;
    made_deinit(&m);
}

TEST(raft_message, refuses_a_log_that_does_not_begin_with_a_configuration)
{
    struct entry *entry = entry_new(ENTRY_COMMAND, 1, 1, (struct bytes){0});
    struct raft_packet p = {.core = {.type = RAFT_APPEND_ENTRIES, .server_id = SENDER}};
    p.core.append_entries = (struct raft_append_entries){.term = 1, .n_entries = 1};
    p.entries = &entry;
    p.count = 1;
    expect_refused(&p, "does not begin with a configuration");
    entry_unref(entry);
}

TEST(raft_message, refuses_numbers_that_no_replica_has)
{
    struct raft_packet p = {.core = {.type = RAFT_REQUEST_VOTE, .server_id = SENDER}};
    p.core.request_vote =
        (struct raft_request_vote){.version = 2, .term = 7, .candidate_id = SENDER + 1};
    expect_refused(&p, "another candidate than its sender");
    p.core.request_vote.candidate_id = SENDER;
    p.core.request_vote.last_log_term = 8;
    expect_refused(&p, "impossible numbers");
    p.core.request_vote.last_log_term = 0;
    p.core.request_vote.term = UINT64_MAX;
    expect_refused(&p, "impossible numbers");

    p.core.type = RAFT_INSTALL_SNAPSHOT;
    p.core.install_snapshot = (struct raft_install_snapshot){
        .term = 5, .last_index = 9, .last_term = 4, .conf_index = 10};
    single_configuration("vvv", 10, &p.configuration);
    expect_refused(&p, "impossible numbers");
    p.core.install_snapshot.conf_index = 9;
    p.configuration.index = 9;
    p.core.install_snapshot.last_term = 6;
    expect_refused(&p, "impossible numbers");
    p.core.install_snapshot.last_term = 0;
    expect_refused(&p, "impossible numbers");

    p.core.type = RAFT_TIMEOUT_NOW;
    p.core.timeout_now =
        (struct raft_timeout_now){.term = 3, .last_log_index = 1, .last_log_term = 4};
    expect_refused(&p, "impossible numbers");
}

TEST(raft_message, notices_a_changed_payload)
{
    struct made m = make_append();
    struct raft_packet out;
    struct err e;
    struct buf b = {0};
    m.packet.entries = m.entries;
    raft_packet_encode(&m.packet, &b);
    for (size_t i = 0; i + 5 < b.size; i++) {
        if (memcmp(b.data + i, "a row", 5) == 0) {
            b.data[i] = 'b';
        }
    }
    EXPECT_ERR(raft_packet_decode(buf_bytes(&b), SENDER, &out, &e), ERR_CORRUPT);
    EXPECT_CONTAINS(e.text, "does not match its checksum");
    buf_deinit(&b);
    made_deinit(&m);
}

TEST(raft_message, refuses_what_is_no_message)
{
    struct raft_packet out;
    struct err e;
    EXPECT_ERR(raft_packet_decode((struct bytes){0}, SENDER, &out, &e), ERR_CORRUPT);
    EXPECT_CONTAINS(e.text, "no known body");
    EXPECT_ERR(raft_packet_decode(bytes_str("GET / HTTP/1.1\r\n"), SENDER, &out, &e), ERR_CORRUPT);
    struct bytes huge = {(const uint8_t *)"x", LIMIT_FRAME_SIZE_MAX + 1};
    EXPECT_ERR(raft_packet_decode(huge, SENDER, &out, &e), ERR_CORRUPT);
    EXPECT_CONTAINS(e.text, "longer than a frame");
}

/* A few bytes per entry on the wire are hundreds in memory: both are bounded. */
TEST(raft_message, takes_bounded_memory_for_many_tiny_entries)
{
    struct buf entries = {0};
    struct buf b = {0};
    struct raft_packet out;
    struct err e;
    for (int i = 0; i < 400000; i++) {
        buf_put_u8(&entries, 0x32); /* field 6 of AppendEntries: an empty entry */
        buf_put_u8(&entries, 0);
    }
    buf_put_u8(&b, 0x1a); /* field 3 of RaftMessage */
    buf_put_blob(&b, buf_bytes(&entries));
    size_t before = mem_in_use();
    EXPECT_ERR(raft_packet_decode(buf_bytes(&b), SENDER, &out, &e), ERR_CORRUPT);
    EXPECT_CONTAINS(e.text, "not a RaftMessage");
    EXPECT_UINT(mem_in_use(), before);
    buf_deinit(&b);
    buf_deinit(&entries);
}

TEST(raft_message, survives_any_bytes)
{
    struct random r = random_seeded(11);
    struct made m = make_append();
    struct buf b = {0};
    unsigned accepted = 0;
    unsigned refused = 0;
    size_t before = 0;
    m.packet.entries = m.entries;
    raft_packet_encode(&m.packet, &b);
    before = mem_in_use();
    for (int i = 0; i < 20000; i++) {
        struct raft_packet out;
        struct buf copy = {0};
        buf_put_bytes(&copy, buf_bytes(&b));
        for (uint64_t n = 1 + random_below(&r, 3); n > 0; n--) {
            uint64_t at = random_below(&r, copy.size);
            copy.data[at] = (uint8_t)random_u64(&r);
        }
        copy.size = random_chance(&r, 1, 5) ? random_below(&r, copy.size) : copy.size;
        if (raft_packet_decode(buf_bytes(&copy), SENDER, &out, NULL) == ERR_OK) {
            accepted++;
            raft_packet_deinit(&out);
        } else {
            refused++;
        }
        buf_deinit(&copy);
    }
    EXPECT(accepted > 10);
    EXPECT(refused > 10000);
    EXPECT_UINT(mem_in_use(), before);
    buf_deinit(&b);
    made_deinit(&m);
}

TEST(raft_message, knows_what_an_entry_adds_to_an_append)
{
    struct made m = make_append();
    struct buf empty = {0};
    struct buf full = {0};
    m.packet.entries = m.entries;
    raft_packet_encode(&m.packet, &full);
    m.packet.count = 0;
    m.packet.core.append_entries.n_entries = 0;
    raft_packet_encode(&m.packet, &empty);
    size_t size = 0;
    for (int i = 0; i < 3; i++) {
        size += raft_packet_entry_size(m.entries[i]);
    }
    EXPECT(full.size - empty.size <= size + 10);
    buf_deinit(&empty);
    buf_deinit(&full);
    made_deinit(&m);
}
