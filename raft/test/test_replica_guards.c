/* SPDX-License-Identifier: Apache-2.0 */
/* Each guard on a whole replica, both ways: the defect shows when the guard is
 * taken out, and does not when it is in. */
#include <raft.h>

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "raft/raft_replica.h"
#include "raft/test/single.h"
#include "testkit/test.h"

static unsigned without(enum raft_guard_number number)
{
    return 1U << (unsigned)number;
}

/* --- G1 --- */

/* What the stack holds where libraft leaves a field as it was. */
__attribute__((noinline)) static void paint_stack(void)
{
    volatile unsigned char paint[32768];
    for (size_t i = 0; i < sizeof paint; i++) {
        paint[i] = 0x5a;
    }
}

static uint64_t claim_for_an_old_term(unsigned guards_off)
{
    struct single s;
    struct single_options o = {.term = 5, .count = 9, .guards_off = guards_off};
    single_open(&s, &o);
    single_forget(&s);
    paint_stack();
    (void)single_heartbeat(&s, 2, 4, 10, 1, 0);
    struct single_sent reply = single_sent(&s, 2, RAFT_APPEND_ENTRIES_RESULT, 0);
    CHECK(reply.found);
    CHECK(reply.packet.core.append_entries_result.term == 5);
    uint64_t claimed = reply.packet.core.append_entries_result.last_log_index;
    single_close(&s);
    return claimed;
}

TEST(replica_guards, g1_an_append_of_an_old_term_is_answered_without_a_claim)
{
    EXPECT_UINT(claim_for_an_old_term(0), 0);
    /* Under the address sanitizer the field lies elsewhere than on the painted stack. */
    EXPECT(TEST_SANITIZED || claim_for_an_old_term(without(RAFT_G1)) != 0);
}

/* What such a claim does: the asker is leader of that very term by now. */
TEST(replica_guards, g1_a_leader_believes_any_claim_of_its_own_term)
{
    struct single s;
    struct single_options o = {.count = 9};
    single_open(&s, &o);
    single_lead(&s);
    EXPECT(single_status(&s).commit_index < single_status(&s).last_index);
    EXPECT_OK(single_result(&s, 2, single_status(&s).term, 0, 0));
    EXPECT(single_status(&s).commit_index < single_status(&s).last_index);
    EXPECT_OK(single_result(&s, 2, single_status(&s).term, 0, 0x5a5a5a5a5a5a5a5a));
    EXPECT_UINT(single_status(&s).commit_index, single_status(&s).last_index);
    single_close(&s);
}

/* --- G2 --- */

/* A peer acknowledges all, falls silent until it is probed, and then an old
 * rejection of its comes late. */
static void reject_late(void *arg)
{
    struct single s;
    struct single_options o = {.count = 9, .guards_off = *(unsigned *)arg};
    single_open(&s, &o);
    single_lead(&s);
    single_acknowledge(&s, 2);
    single_acknowledge(&s, 3);
    uint64_t match = single_status(&s).last_index;
    for (int i = 0; i < 3; i++) {
        single_wait(&s);
        single_acknowledge(&s, 3);
    }
    EXPECT_OK(single_result(&s, 2, single_status(&s).term, match, match - 1));
    EXPECT_UINT(single_status(&s).role, REPLICA_LEADER);
    single_close(&s);
}

TEST(replica_guards, g2_a_late_rejection_does_not_abort_the_leader)
{
    unsigned off = without(RAFT_G2);
    unsigned on = 0;
    reject_late(&on);
    EXPECT_DIES(reject_late, &off, "Assertion");
}

/* --- G3 --- */

/* A follower gets [command, change that adds node 4] in one append; then a new
 * leader replaces both. How many servers it asks for their vote after that. */
static size_t voters_asked_after_truncation(unsigned guards_off)
{
    struct single s;
    static const uint64_t terms[] = {1, 1};
    static const uint64_t terms_new[] = {2};
    static const enum entry_type types[] = {ENTRY_COMMAND, ENTRY_CHANGE};
    struct single_options o = {.servers = "vvvs", .guards_off = guards_off};
    single_open(&s, &o);
    struct single_append a = {.term = 1,
                              .prev = 1,
                              .prev_term = 1,
                              .commit = 1,
                              .terms = terms,
                              .types = types,
                              .servers = "vvvv",
                              .count = 2};
    (void)single_append(&s, 2, &a);
    struct single_append b = {
        .term = 2, .prev = 2, .prev_term = 1, .commit = 1, .terms = terms_new, .count = 1};
    (void)single_append(&s, 3, &b);
    CHECK(single_status(&s).last_index == 3);
    CHECK(configuration_voters(replica_configuration(s.replica)) == 3);
    size_t voters = 0;
    for (unsigned i = 0; i < s.replica->core.configuration.n; i++) {
        voters += s.replica->core.configuration.servers[i].role == RAFT_VOTER ? 1U : 0U;
    }
    single_close(&s);
    return voters;
}

static void run_g3(void *arg)
{
    size_t voters = voters_asked_after_truncation(*(unsigned *)arg);
    if (voters != 3) {
        PANIC("a change that was truncated is still in force: %zu voters", voters);
    }
}

TEST(replica_guards, g3_a_truncated_change_is_not_in_force)
{
    unsigned off = without(RAFT_G3);
    EXPECT_UINT(voters_asked_after_truncation(0), 3);
#ifdef TIDEMARK_VERIFY
    /* The replica compares itself with libraft after each step, and stops. */
    EXPECT_DIES(run_g3, &off, "raft_core_matches");
#else
    EXPECT_DIES(run_g3, &off, "still in force: 4 voters");
#endif
}

/* A second change that arrives says that the first is committed: rolling back
 * the second one must not roll back the first. */
static void roll_back_second_change(unsigned guards_off)
{
    struct single s;
    static const uint64_t one[] = {1};
    static const uint64_t two[] = {2};
    static const enum entry_type change[] = {ENTRY_CHANGE};
    struct single_options o = {.servers = "vvvss", .guards_off = guards_off};
    single_open(&s, &o);
    struct single_append a = {.term = 1,
                              .prev = 1,
                              .prev_term = 1,
                              .commit = 1,
                              .terms = one,
                              .types = change,
                              .servers = "vvvvs",
                              .count = 1};
    (void)single_append(&s, 2, &a);
    a.prev = 2;
    a.servers = "vvvvv";
    (void)single_append(&s, 2, &a);
    CHECK(configuration_voters(replica_configuration(s.replica)) == 5);
    struct single_append b = {
        .term = 2, .prev = 2, .prev_term = 1, .commit = 1, .terms = two, .count = 1};
    (void)single_append(&s, 3, &b);
    EXPECT_UINT(configuration_voters(replica_configuration(s.replica)), 4);
    if (!raft_core_matches(&s.replica->core.configuration, replica_configuration(s.replica))) {
        PANIC("rolled back too far");
    }
    single_close(&s);
}

static void run_roll_back(void *arg)
{
    roll_back_second_change(*(unsigned *)arg);
}

TEST(replica_guards, g3_a_newer_change_commits_the_older_one)
{
    unsigned off = without(RAFT_G3);
    roll_back_second_change(0);
#ifdef TIDEMARK_VERIFY
    EXPECT_DIES(run_roll_back, &off, "raft_core_matches");
#else
    EXPECT_DIES(run_roll_back, &off, "rolled back too far");
#endif
}

/* --- G4 --- */

/* A checkpoint at 10 is done after the leader's snapshot 30 began to be installed. */
static void finish_overtaken_checkpoint(void *arg)
{
    struct single s;
    struct single_options o = {.count = 9, .guards_off = *(unsigned *)arg};
    single_open(&s, &o);
    (void)single_heartbeat(&s, 2, 1, 10, 1, 10);
    EXPECT_OK(single_applied(&s, 10));
    EXPECT_OK(single_install(&s, 2, 1, 30, 1, "vvv"));
    EXPECT(single_status(&s).installing);
    struct event done = {.type = EVENT_CHECKPOINT, .index = 10, .term = 1, .cut = 5};
    EXPECT_OK(single_step(&s, &done));
    EXPECT_UINT(single_count(&s, ACTION_CUT_OK), 0);
    struct event installed = {.type = EVENT_INSTALLED, .index = 30, .term = 1};
    EXPECT_OK(single_step(&s, &installed));
    EXPECT_OK(single_step(&s, &done));
    EXPECT_UINT(single_status(&s).first_index, 31);
    single_close(&s);
}

TEST(replica_guards, g4_a_checkpoint_that_an_install_overtook_is_forgotten)
{
    unsigned on = 0;
    unsigned off = without(RAFT_G4);
    finish_overtaken_checkpoint(&on);
    EXPECT_DIES(finish_overtaken_checkpoint, &off, "Assertion");
}

/* --- G5 --- */

static enum replica_role role_after_late_vote(unsigned guards_off)
{
    struct single s;
    struct single_options o = {.count = 3, .guards_off = guards_off};
    single_open(&s, &o);
    single_lead(&s);
    (void)single_vote(&s, 3, single_status(&s).term + 1, true, true);
    enum replica_role role = single_status(&s).role;
    single_close(&s);
    return role;
}

TEST(replica_guards, g5_a_pre_vote_that_comes_late_does_not_depose_the_leader)
{
    EXPECT_INT(role_after_late_vote(0), REPLICA_LEADER);
    EXPECT_INT(role_after_late_vote(without(RAFT_G5)), REPLICA_FOLLOWER);
}

/* --- G6 --- */

struct counted {
    size_t blocks;
};

static void *counted_malloc(void *data, size_t size)
{
    ((struct counted *)data)->blocks++;
    return mem_alloc(size);
}

static void counted_free(void *data, void *p)
{
    ((struct counted *)data)->blocks -= p == NULL ? 0 : 1;
    mem_free(p);
}

static void *counted_calloc(void *data, size_t count, size_t size)
{
    ((struct counted *)data)->blocks++;
    return mem_array(count, size);
}

static void *counted_realloc(void *data, void *p, size_t size)
{
    ((struct counted *)data)->blocks += p == NULL ? 1 : 0;
    return mem_resize(p, size);
}

static void count_blocks_of_two_offers(void *arg)
{
    struct counted counted = {0};
    struct raft_heap heap = {.data = &counted,
                             .malloc = counted_malloc,
                             .free = counted_free,
                             .calloc = counted_calloc,
                             .realloc = counted_realloc};
    struct single s;
    struct single_options o = {.guards_off = *(unsigned *)arg};
    raft_heap_set(&heap);
    single_open(&s, &o);
    (void)single_install(&s, 2, 1, 30, 1, "vvv");
    (void)single_install(&s, 2, 1, 40, 1, "vvv");
    EXPECT_UINT(single_count(&s, ACTION_INSTALL), 1);
    single_close(&s);
    raft_heap_set_default();
    if (counted.blocks != 0) {
        PANIC("libraft leaks %zu blocks", counted.blocks);
    }
}

TEST(replica_guards, g6_a_snapshot_offered_during_an_install_is_freed)
{
    unsigned on = 0;
    unsigned off = without(RAFT_G6);
    count_blocks_of_two_offers(&on);
    EXPECT_DIES(count_blocks_of_two_offers, &off, "libraft leaks");
}

/* --- G7 --- */

/* [command, change] while a change is pending; how far libraft's log is ahead of ours. */
static uint64_t leaked_entries(unsigned guards_off, enum err_code *code)
{
    struct single s;
    struct configuration c;
    struct buf payload = {0};
    struct single_options o = {.servers = "vvv", .count = 3};
    single_open(&s, &o);
    single_lead(&s);
    single_acknowledge(&s, 2);
    EXPECT_OK(single_change(&s, "vvvs"));
    EXPECT_OK(single_round(&s, 2, RAFT_MESSAGE_PONG, single_status(&s).term, 1));
    EXPECT_UINT(replica_configuration(s.replica)->count, 4);
    s.replica->guards.off = guards_off;
    single_configuration("vvvs", 0, &c);
    configuration_encode(&c, &payload);
    struct entry *entries[2] = {entry_new(ENTRY_COMMAND, 0, 0, bytes_str("row")),
                                entry_new(ENTRY_CHANGE, 0, 0, buf_bytes(&payload))};
    struct event event = {.type = EVENT_SUBMIT, .entries = entries, .count = 2};
    uint64_t before = single_status(&s).last_index;
    event.now_ms = s.now_ms;
    /* Not through single_step(): with the guard out the next event would stop the process. */
    *code = replica_step(s.replica, &event, &s.actions, &s.err);
    EXPECT_UINT(single_status(&s).last_index, before);
    uint64_t leaked = raft_last_index(&s.replica->core) - before;
    entry_unref(entries[0]);
    entry_unref(entries[1]);
    buf_deinit(&payload);
    single_close(&s);
    return leaked;
}

TEST(replica_guards, g7_a_change_among_other_entries_leaves_nothing_behind)
{
    enum err_code code = ERR_OK;
    EXPECT_UINT(leaked_entries(0, &code), 0);
    EXPECT_INT(code, ERR_INVALID);
    EXPECT_UINT(leaked_entries(without(RAFT_G7), &code), 1);
    EXPECT_INT(code, ERR_STATE);
}

/* --- G8 --- */

struct offers {
    size_t snapshots;
    size_t heartbeats;
};

/* Leads, with a log that begins at 51, while node 2 refuses everything for a second. */
static struct offers offers_to_a_peer_far_behind(unsigned guards_off)
{
    struct single s;
    struct single_options o = {.snapshot = 50, .count = 3, .guards_off = guards_off};
    single_open(&s, &o);
    single_lead(&s);
    single_acknowledge(&s, 3);
    EXPECT_OK(single_result(&s, 2, single_status(&s).term, single_status(&s).last_index - 1, 0));
    EXPECT_OK(single_result(&s, 2, single_status(&s).term, 1, 0));
    single_forget(&s);
    for (uint64_t end = s.now_ms + 1000; s.now_ms < end;) {
        single_wait(&s);
        single_acknowledge(&s, 3);
        EXPECT_OK(single_result(&s, 2, single_status(&s).term, 50, 0));
    }
    struct offers out = {single_sent_count(&s, 2, RAFT_INSTALL_SNAPSHOT),
                         single_sent_count(&s, 2, RAFT_APPEND_ENTRIES)};
    EXPECT_INT(single_status(&s).role, REPLICA_LEADER);
    single_close(&s);
    return out;
}

TEST(replica_guards, g8_a_peer_that_fetches_a_snapshot_hears_its_leader)
{
    struct offers on = offers_to_a_peer_far_behind(0);
    struct offers off = offers_to_a_peer_far_behind(without(RAFT_G8));
    EXPECT(on.snapshots <= 3);
    EXPECT(on.snapshots >= 1);
    EXPECT(on.heartbeats >= 8);
    EXPECT(off.snapshots >= 9);
}

/* --- G9 --- */

/* Node 3 becomes a standby and then a spare; after that, how many of 50
 * deadlines lie in the past. */
static unsigned deadlines_in_the_past(unsigned guards_off)
{
    struct single s;
    struct single_options o = {.servers = "vvv", .count = 3};
    single_open(&s, &o);
    single_lead(&s);
    single_acknowledge(&s, 2);
    EXPECT_OK(single_change(&s, "vvs"));
    EXPECT_OK(single_round(&s, 2, RAFT_MESSAGE_PONG, single_status(&s).term, 1));
    single_acknowledge(&s, 2);
    EXPECT_OK(single_change(&s, "vvp"));
    EXPECT_OK(single_round(&s, 2, RAFT_MESSAGE_PONG, single_status(&s).term, 2));
    single_acknowledge(&s, 2);
    EXPECT_INT(replica_configuration(s.replica)->servers[2].role, SERVER_SPARE);
    s.replica->guards.off = guards_off;
    unsigned past = 0;
    for (int i = 0; i < 50; i++) {
        (void)single_tick(&s, 60);
        single_acknowledge(&s, 2);
        past += replica_deadline_ms(s.replica) <= s.now_ms ? 1 : 0;
    }
    EXPECT_INT(single_status(&s).role, REPLICA_LEADER);
    single_close(&s);
    return past;
}

TEST(replica_guards, g9_a_leader_does_not_spin_after_a_voter_became_a_spare)
{
    EXPECT_UINT(deadlines_in_the_past(0), 0);
    EXPECT(deadlines_in_the_past(without(RAFT_G9)) > 40);
}

/* --- G10 --- */

/* A transfer to node 2 while it lags two entries; it acknowledges one, then the
 * other. How many go-aheads it gets before it has all, and after. */
static struct offers go_aheads(unsigned guards_off)
{
    struct single s;
    struct single_options o = {.count = 3, .guards_off = guards_off};
    single_open(&s, &o);
    single_lead(&s);
    single_acknowledge(&s, 2);
    single_acknowledge(&s, 3);
    EXPECT_OK(single_submit(&s, 1, 8));
    EXPECT_OK(single_submit(&s, 1, 8));
    struct event transfer = {.type = EVENT_TRANSFER, .id = 2};
    EXPECT_OK(single_step(&s, &transfer));
    single_forget(&s);
    uint64_t last = single_status(&s).last_index;
    EXPECT_OK(single_result(&s, 2, single_status(&s).term, 0, last - 1));
    struct offers out = {.snapshots = single_sent_count(&s, 2, RAFT_TIMEOUT_NOW)};
    single_forget(&s);
    EXPECT_OK(single_result(&s, 2, single_status(&s).term, 0, last));
    out.heartbeats = single_sent_count(&s, 2, RAFT_TIMEOUT_NOW);
    single_close(&s);
    return out;
}

TEST(replica_guards, g10_leadership_is_handed_to_a_peer_that_holds_everything)
{
    struct offers on = go_aheads(0);
    struct offers off = go_aheads(without(RAFT_G10));
    EXPECT_UINT(on.snapshots, 0);
    EXPECT_UINT(on.heartbeats, 1);
    EXPECT_UINT(off.snapshots, 1); /* too early: the peer ignores it */
    EXPECT_UINT(off.heartbeats, 0);
}

/* --- G11 --- */

/* A follower with 60 entries of term 2 that the leader of term 3 does not have;
 * how many probes it takes to find where they part. */
static unsigned probes_to_agree(unsigned guards_off)
{
    uint64_t terms[60];
    for (size_t i = 0; i < 60; i++) {
        terms[i] = i < 5 ? 1 : 2;
    }
    struct single s;
    struct single_options o = {.term = 2, .terms = terms, .count = 60, .guards_off = guards_off};
    single_open(&s, &o);
    uint64_t next = 61;
    for (unsigned probes = 1; probes < 100; probes++) {
        single_forget(&s);
        /* The leader's log: term 1 up to 6, term 3 from there on. */
        EXPECT_OK(single_heartbeat(&s, 2, 3, next, next <= 6 ? 1 : 3, 1));
        struct single_sent reply = single_sent(&s, 2, RAFT_APPEND_ENTRIES_RESULT, 0);
        REQUIRE(reply.found);
        if (reply.packet.core.append_entries_result.rejected == 0) {
            single_close(&s);
            return probes;
        }
        EXPECT(reply.packet.core.append_entries_result.last_log_index < next);
        next = reply.packet.core.append_entries_result.last_log_index;
    }
    single_close(&s);
    return 100;
}

TEST(replica_guards, g11_a_diverging_log_is_walked_back_by_terms)
{
    EXPECT_UINT(probes_to_agree(0), 2);
    EXPECT(probes_to_agree(without(RAFT_G11)) > 50);
}

/* --- G12 --- */

static void append_the_start_again(void *arg)
{
    struct single s;
    struct single_options o = {.snapshot = 20, .guards_off = *(unsigned *)arg};
    static const enum entry_type types[] = {ENTRY_CHANGE, ENTRY_COMMAND, ENTRY_COMMAND};
    struct single_append a = {.term = 1, .commit = 3, .types = types, .servers = "vvv", .count = 3};
    single_open(&s, &o);
    EXPECT_OK(single_append(&s, 2, &a));
    EXPECT_UINT(single_status(&s).last_index, 20);
    single_close(&s);
}

TEST(replica_guards, g12_an_old_append_of_the_first_entries_is_harmless_after_a_cut)
{
    unsigned on = 0;
    unsigned off = without(RAFT_G12);
    append_the_start_again(&on);
    EXPECT_DIES(append_the_start_again, &off, "");
}

/* --- G13 --- */

static uint64_t term_of_a_denial(unsigned guards_off)
{
    struct single s;
    struct single_options o = {.term = 18, .count = 3, .guards_off = guards_off};
    struct raft_request_vote v = {
        .term = 4, .last_log_index = 10, .last_log_term = 1, .pre_vote = true};
    single_open(&s, &o);
    EXPECT_OK(single_request_vote(&s, 2, &v));
    struct single_sent reply = single_sent(&s, 2, RAFT_REQUEST_VOTE_RESULT, 0);
    REQUIRE(reply.found);
    EXPECT(!reply.packet.core.request_vote_result.vote_granted);
    single_close(&s);
    return reply.packet.core.request_vote_result.term;
}

TEST(replica_guards, g13_a_denied_pre_vote_tells_the_higher_term)
{
    EXPECT_UINT(term_of_a_denial(0), 18);
    EXPECT_UINT(term_of_a_denial(without(RAFT_G13)), 4);
}

TEST(replica_guards, g13_a_candidate_takes_the_term_from_a_denial)
{
    struct single s;
    struct single_options o = {.term = 3, .count = 3};
    single_open(&s, &o);
    for (int i = 0; i < 8 && single_status(&s).role == REPLICA_FOLLOWER; i++) {
        single_wait(&s);
    }
    EXPECT_OK(single_vote(&s, 2, 18, false, true));
    EXPECT_UINT(single_status(&s).term, 18);
    single_forget(&s);
    for (int i = 0; i < 8 && single_status(&s).role == REPLICA_FOLLOWER; i++) {
        single_wait(&s);
    }
    EXPECT_UINT(single_sent(&s, 2, RAFT_REQUEST_VOTE, 0).packet.core.request_vote.term, 19);
    single_close(&s);
}

/* --- G14 --- */

/* Node 2 was offered snapshot 50; the leader makes another checkpoint at 53. How
 * often it offers that within three seconds, though node 2 refuses all else. */
static size_t offers_of_the_newer_snapshot(unsigned guards_off)
{
    struct single s;
    struct single_options o = {.snapshot = 50, .count = 3, .guards_off = guards_off};
    single_open(&s, &o);
    struct event timers = {.type = EVENT_TIMERS, .heartbeat_ms = 100, .election_ms = 500};
    EXPECT_OK(single_step(&s, &timers));
    single_lead(&s);
    single_acknowledge(&s, 3);
    EXPECT_OK(single_result(&s, 2, single_status(&s).term, single_status(&s).last_index - 1, 0));
    EXPECT_OK(single_result(&s, 2, single_status(&s).term, 1, 0));
    EXPECT(single_sent_count(&s, 2, RAFT_INSTALL_SNAPSHOT) > 0);
    EXPECT_OK(single_applied(&s, 53));
    struct event done = {.type = EVENT_CHECKPOINT, .index = 53, .term = 1, .cut = 53};
    EXPECT_OK(single_step(&s, &done));
    single_forget(&s);
    for (uint64_t end = s.now_ms + 3000; s.now_ms < end;) {
        single_wait(&s);
        single_acknowledge(&s, 3);
        EXPECT_OK(single_result(&s, 2, single_status(&s).term, 53, 0));
    }
    size_t offers = 0;
    for (size_t i = 0; i < single_sent_count(&s, 2, RAFT_INSTALL_SNAPSHOT); i++) {
        struct single_sent offer = single_sent(&s, 2, RAFT_INSTALL_SNAPSHOT, i);
        offers += offer.packet.core.install_snapshot.last_index == 53 ? 1U : 0U;
    }
    single_close(&s);
    return offers;
}

TEST(replica_guards, g14_a_newer_checkpoint_does_not_strand_a_peer)
{
    EXPECT(offers_of_the_newer_snapshot(0) >= 2);
    EXPECT_UINT(offers_of_the_newer_snapshot(without(RAFT_G14)), 0);
}

/* --- G15 --- */

/* A node that was told to take over and gets no answer: what it asks for at its
 * next timeout. */
static struct raft_request_vote second_try(unsigned guards_off)
{
    struct single s;
    struct single_options o = {.count = 3, .guards_off = guards_off};
    struct event gone = {.type = EVENT_LEADER_GONE, .id = 2};
    single_open(&s, &o);
    EXPECT_OK(single_heartbeat(&s, 2, 1, 4, 1, 1));
    EXPECT_OK(single_step(&s, &gone));
    struct single_sent first = single_sent(&s, 3, RAFT_REQUEST_VOTE, 0);
    EXPECT(first.found);
    EXPECT(first.packet.core.request_vote.disrupt_leader);
    EXPECT(!first.packet.core.request_vote.pre_vote);
    EXPECT_UINT(single_status(&s).term, 2);
    single_forget(&s);
    for (int i = 0; i < 20 && !single_sent(&s, 3, RAFT_REQUEST_VOTE, 0).found; i++) {
        single_wait(&s);
    }
    struct single_sent second = single_sent(&s, 3, RAFT_REQUEST_VOTE, 0);
    REQUIRE(second.found);
    EXPECT_UINT(single_status(&s).term, second.packet.core.request_vote.pre_vote ? 2 : 3);
    single_close(&s);
    return second.packet.core.request_vote;
}

TEST(replica_guards, g15_a_candidate_disturbs_once)
{
    struct raft_request_vote on = second_try(0);
    struct raft_request_vote off = second_try(without(RAFT_G15));
    EXPECT(on.pre_vote);
    EXPECT(!on.disrupt_leader);
    EXPECT(!off.pre_vote);
    EXPECT(off.disrupt_leader);
}

/* --- rules of safety.md --- */

static bool votes_before_it_is_durable(unsigned guards_off)
{
    struct single s;
    struct single_options o = {.count = 3, .guards_off = guards_off};
    struct raft_request_vote v = {.term = 7, .last_log_index = 10, .last_log_term = 1};
    single_open(&s, &o);
    s.disk_held = true;
    single_forget(&s);
    EXPECT_OK(single_request_vote(&s, 2, &v));
    EXPECT_UINT(single_count(&s, ACTION_HARD_STATE), 1);
    EXPECT_UINT(single_action(&s, ACTION_HARD_STATE, 0)->term, 7);
    EXPECT_UINT(single_action(&s, ACTION_HARD_STATE, 0)->id, 2);
    bool before = single_sent(&s, 2, RAFT_REQUEST_VOTE_RESULT, 0).found;
    if (!before) {
        single_sync(&s);
        struct single_sent vote = single_sent(&s, 2, RAFT_REQUEST_VOTE_RESULT, 0);
        EXPECT(vote.found);
        EXPECT(vote.packet.core.request_vote_result.vote_granted);
    }
    single_close(&s);
    return before;
}

TEST(replica_guards, b1_a_vote_leaves_only_when_it_is_durable)
{
    EXPECT(!votes_before_it_is_durable(0));
    EXPECT(votes_before_it_is_durable(without(RAFT_B1)));
}

/* Leads four voters, of which only node 2 answers: no majority holds anything. */
static bool proposes_without_majorities(unsigned guards_off)
{
    struct single s;
    struct single_options o = {.servers = "vvvs", .count = 3};
    single_open(&s, &o);
    single_lead(&s);
    single_acknowledge(&s, 2);
    single_acknowledge(&s, 4);
    single_acknowledge(&s, 3);
    s.replica->guards.off = guards_off;
    EXPECT_OK(single_change(&s, "vvvv"));
    bool at_once = replica_configuration(s.replica)->servers[3].role == SERVER_VOTER;
    EXPECT_OK(single_round(&s, 2, RAFT_MESSAGE_PONG, single_status(&s).term, 1));
    if (!at_once) {
        /* Two of three old voters have answered, but two of four new ones are no majority. */
        EXPECT_INT(replica_configuration(s.replica)->servers[3].role, SERVER_STANDBY);
        EXPECT_OK(single_round(&s, 4, RAFT_MESSAGE_PONG, single_status(&s).term, 1));
        EXPECT_INT(replica_configuration(s.replica)->servers[3].role, SERVER_VOTER);
    }
    single_close(&s);
    return at_once;
}

TEST(replica_guards, b5_a_step_waits_for_majorities_of_old_and_new_voters)
{
    EXPECT(!proposes_without_majorities(0));
    EXPECT(proposes_without_majorities(without(RAFT_B5_HELD)));
}

static bool grants_though_it_knows_of_no_vote(unsigned guards_off)
{
    struct single s;
    struct single_options o = {.servers = "svv", .count = 3, .guards_off = guards_off};
    struct raft_request_vote v = {.term = 7, .last_log_index = 10, .last_log_term = 1};
    single_open(&s, &o);
    single_forget(&s);
    EXPECT_OK(single_request_vote(&s, 2, &v));
    struct single_sent vote = single_sent(&s, 2, RAFT_REQUEST_VOTE_RESULT, 0);
    REQUIRE(vote.found);
    bool granted = vote.packet.core.request_vote_result.vote_granted;
    EXPECT_UINT(vote.packet.core.request_vote_result.term, 7);
    EXPECT_UINT(single_status(&s).term, 7);
    EXPECT_UINT(single_action(&s, ACTION_HARD_STATE, 0)->id, granted ? 2 : 0);
    single_close(&s);
    return granted;
}

TEST(replica_guards, b5_a_server_votes_before_its_log_names_it_a_voter)
{
    EXPECT(grants_though_it_knows_of_no_vote(0));
    EXPECT(!grants_though_it_knows_of_no_vote(without(RAFT_B5_VOTE)));
}

static bool serves_a_read_alone(unsigned guards_off)
{
    struct single s;
    struct single_options o = {.count = 3, .guards_off = guards_off};
    struct event read = {.type = EVENT_READ, .token = 5};
    single_open(&s, &o);
    single_lead(&s);
    single_acknowledge(&s, 2);
    single_forget(&s);
    EXPECT_OK(single_step(&s, &read));
    bool alone = single_count(&s, ACTION_READ_READY) > 0;
    if (!alone) {
        EXPECT_UINT(single_sent_count(&s, 2, SINGLE_PING), 1);
        EXPECT_OK(single_round(&s, 3, RAFT_MESSAGE_PONG, single_status(&s).term, 1));
        EXPECT_UINT(single_count(&s, ACTION_READ_READY), 1);
        EXPECT_UINT(single_action(&s, ACTION_READ_READY, 0)->index, single_status(&s).commit_index);
    }
    single_close(&s);
    return alone;
}

TEST(replica_guards, a_leader_asks_a_majority_before_it_serves_a_read)
{
    EXPECT(!serves_a_read_alone(0));
    EXPECT(serves_a_read_alone(without(RAFT_READS)));
}

static enum err_code reads_before_its_barrier(unsigned guards_off)
{
    struct single s;
    struct single_options o = {.count = 3, .guards_off = guards_off};
    struct event read = {.type = EVENT_READ, .token = 5};
    single_open(&s, &o);
    single_lead(&s);
    EXPECT(single_status(&s).commit_index < single_status(&s).last_index);
    enum err_code code =
        replica_step(s.replica, (read.now_ms = s.now_ms, &read), &s.actions, &s.err);
    single_close(&s);
    return code;
}

static void run_reads_before_its_barrier(void *arg)
{
    if (reads_before_its_barrier(*(unsigned *)arg) != ERR_OK) {
        PANIC("refused");
    }
}

/* With the rule out a read would get a commit index from before this term. */
TEST(replica_guards, a_leader_commits_an_entry_of_its_own_before_it_serves_reads)
{
    unsigned off = without(RAFT_BARRIER_FIRST);
    EXPECT_INT(reads_before_its_barrier(0), ERR_STATE);
    EXPECT_DIES(run_reads_before_its_barrier, &off, "round->index >= r->lead_index");
}
