/* SPDX-License-Identifier: Apache-2.0 */
/* The judgement of each guard, alone. That the defect is there without it, and
 * gone with it, is shown on a whole replica in test_replica_guards.c. */
#include "raft/raft_guard.h"

#include "testkit/test.h"

static const struct raft_guards on;
static const struct raft_guards off = {.off = ~0U};

static struct raft_packet append_of(uint64_t term)
{
    struct raft_packet p = {.core = {.type = RAFT_APPEND_ENTRIES, .server_id = 2}};
    p.core.append_entries.term = term;
    return p;
}

TEST(raft_guard, g1_answers_an_old_term_without_claiming_anything)
{
    struct raft_packet reply;
    struct raft_packet p = append_of(4);
    EXPECT(raft_guard_stale_term(&on, &p, 5, &reply));
    EXPECT_INT(reply.core.type, RAFT_APPEND_ENTRIES_RESULT);
    EXPECT_UINT(reply.core.server_id, 2);
    EXPECT_UINT(reply.core.append_entries_result.term, 5);
    EXPECT_UINT(reply.core.append_entries_result.version, 2);
    EXPECT_UINT(reply.core.append_entries_result.rejected, 0);
    EXPECT_UINT(reply.core.append_entries_result.last_log_index, 0);
    EXPECT_UINT(reply.core.append_entries_result.features, 1);
    p.core.type = RAFT_INSTALL_SNAPSHOT;
    p.core.install_snapshot.term = 4;
    EXPECT(raft_guard_stale_term(&on, &p, 5, &reply));
    EXPECT(!raft_guard_stale_term(&off, &p, 5, &reply));
    p = append_of(5);
    EXPECT(!raft_guard_stale_term(&on, &p, 5, &reply));
    p = append_of(6);
    EXPECT(!raft_guard_stale_term(&on, &p, 5, &reply));
    p.core.type = RAFT_TIMEOUT_NOW;
    p.core.timeout_now.term = 1;
    EXPECT(!raft_guard_stale_term(&on, &p, 5, &reply));
}

TEST(raft_guard, g2_drops_rejections_of_what_is_acknowledged)
{
    struct raft_append_entries_result r = {.rejected = 10, .last_log_index = 3};
    EXPECT(!raft_guard_rejection(&on, &r, 10));
    EXPECT(raft_guard_rejection(&off, &r, 10));
    EXPECT(raft_guard_rejection(&on, &r, 9));
    EXPECT_UINT(r.last_log_index, 9);
    r = (struct raft_append_entries_result){.rejected = 10, .last_log_index = 3};
    EXPECT(raft_guard_rejection(&on, &r, 2));
    EXPECT_UINT(r.last_log_index, 3);
    r = (struct raft_append_entries_result){.rejected = 0, .last_log_index = 3};
    EXPECT(raft_guard_rejection(&on, &r, 10));
    EXPECT_UINT(r.last_log_index, 3);
}

TEST(raft_guard, g3_leaves_each_change_alone_in_its_piece)
{
    struct entry *e[6];
    static const char types[] = "ccXcXX";
    for (size_t i = 0; i < 6; i++) {
        e[i] =
            entry_new(types[i] == 'X' ? ENTRY_CHANGE : ENTRY_COMMAND, i + 1, 1, (struct bytes){0});
    }
    EXPECT_UINT(raft_guard_piece(&on, e, 6, 0), 2);
    EXPECT_UINT(raft_guard_piece(&on, e, 6, 2), 1);
    EXPECT_UINT(raft_guard_piece(&on, e, 6, 3), 1);
    EXPECT_UINT(raft_guard_piece(&on, e, 6, 4), 1);
    EXPECT_UINT(raft_guard_piece(&on, e, 6, 5), 1);
    EXPECT_UINT(raft_guard_piece(&on, e, 6, 6), 0);
    EXPECT_UINT(raft_guard_piece(&on, NULL, 0, 0), 0);
    EXPECT_UINT(raft_guard_piece(&off, e, 6, 0), 6);
    for (size_t i = 0; i < 6; i++) {
        entry_unref(e[i]);
    }
}

TEST(raft_guard, g4_tells_a_checkpoint_only_while_it_is_ahead)
{
    struct raft_log log;
    raft_log_init(&log, 11);
    for (uint64_t i = 11; i <= 20; i++) {
        struct entry *e = entry_new(ENTRY_COMMAND, i, 3, (struct bytes){0});
        raft_log_append(&log, e);
        entry_unref(e);
    }
    struct raft_guard_checkpoint good = {
        .index = 15, .term = 3, .snapshot_index = 10, .durable = 20, .applied = 15};
    struct raft_guard_checkpoint c = good;
    EXPECT(raft_guard_checkpoint(&on, &log, &c));
    c.installing = true;
    EXPECT(!raft_guard_checkpoint(&on, &log, &c));
    EXPECT(raft_guard_checkpoint(&off, &log, &c));
    c = good;
    c.snapshot_index = 15;
    EXPECT(!raft_guard_checkpoint(&on, &log, &c));
    c = good;
    c.durable = 14;
    EXPECT(!raft_guard_checkpoint(&on, &log, &c));
    c = good;
    c.applied = 14;
    EXPECT(!raft_guard_checkpoint(&on, &log, &c));
    c = good;
    c.term = 2;
    EXPECT(!raft_guard_checkpoint(&on, &log, &c));
    c = good;
    c.index = 21;
    c.durable = c.applied = 30;
    EXPECT(!raft_guard_checkpoint(&on, &log, &c));
    raft_log_deinit(&log);
}

TEST(raft_guard, g5_counts_votes_for_candidates_alone)
{
    struct raft_request_vote_result v = {.term = 5, .vote_granted = true, .pre_vote = true};
    EXPECT(raft_guard_vote(&on, &v, true, 5));
    EXPECT(raft_guard_vote(&on, &v, true, 4));
    EXPECT(!raft_guard_vote(&on, &v, false, 5));
    EXPECT(raft_guard_vote(&off, &v, false, 5));
    EXPECT(!raft_guard_vote(&on, &v, true, 3)); /* granted two terms ahead: nobody of ours */
    v.vote_granted = false;
    EXPECT(raft_guard_vote(&on, &v, true, 3));
}

TEST(raft_guard, g6_drops_a_snapshot_while_another_is_installed)
{
    EXPECT(raft_guard_install(&on, true));
    EXPECT(!raft_guard_install(&on, false));
    EXPECT(!raft_guard_install(&off, true));
}

TEST(raft_guard, g7_lets_a_change_be_submitted_only_by_itself)
{
    struct entry *e[2] = {entry_new(ENTRY_COMMAND, 1, 1, (struct bytes){0}),
                          entry_new(ENTRY_CHANGE, 2, 1, (struct bytes){0})};
    EXPECT(!raft_guard_submit(&on, e, 2));
    EXPECT(raft_guard_submit(&off, e, 2));
    EXPECT(raft_guard_submit(&on, e, 1));
    EXPECT(raft_guard_submit(&on, e + 1, 1));
    entry_unref(e[0]);
    entry_unref(e[1]);
}

TEST(raft_guard, g8_covers_requests_while_a_transfer_runs)
{
    struct raft_guard_transfer t = {.running = true, .index = 100, .asked_ms = 1000};
    EXPECT(raft_guard_snapshot(&on, &t, 1499, 500));
    EXPECT(!raft_guard_snapshot(&on, &t, 1500, 500));
    EXPECT(!raft_guard_snapshot(&off, &t, 1001, 500));
    t.running = false;
    EXPECT(!raft_guard_snapshot(&on, &t, 1001, 500));
    struct raft_packet p;
    raft_guard_neutral(&p, 3, 7);
    EXPECT_INT(p.core.type, RAFT_APPEND_ENTRIES);
    EXPECT_UINT(p.core.server_id, 3);
    EXPECT_UINT(p.core.append_entries.term, 7);
    EXPECT_UINT(p.core.append_entries.prev_log_index, 0);
    EXPECT_UINT(p.core.append_entries.leader_commit, 0);
    EXPECT_UINT(p.core.append_entries.n_entries, 0);
}

TEST(raft_guard, g9_never_sets_the_timer_into_the_past)
{
    EXPECT_UINT(raft_guard_timeout(&on, 900, 1000, 100), 1050);
    EXPECT_UINT(raft_guard_timeout(&on, 1051, 1000, 100), 1051);
    EXPECT_UINT(raft_guard_timeout(&on, 0, 1000, 1), 1001);
    EXPECT_UINT(raft_guard_timeout(&off, 900, 1000, 100), 900);
}

TEST(raft_guard, g10_hands_over_to_an_equal_alone)
{
    EXPECT(raft_guard_hand_over(&on, 20, 20));
    EXPECT(!raft_guard_hand_over(&on, 19, 20));
    EXPECT(raft_guard_hand_over(&off, 19, 20));
}

TEST(raft_guard, g11_hints_before_the_term_that_conflicts)
{
    struct raft_log log;
    raft_log_init(&log, 1);
    for (uint64_t i = 1; i <= 20; i++) {
        struct entry *e = entry_new(ENTRY_COMMAND, i, i <= 5 ? 1 : 2, (struct bytes){0});
        raft_log_append(&log, e);
        entry_unref(e);
    }
    struct raft_append_entries_result r = {.rejected = 18, .last_log_index = 17};
    raft_guard_hint(&on, &r, &log, 3);
    EXPECT_UINT(r.last_log_index, 5);
    r.last_log_index = 17;
    raft_guard_hint(&on, &r, &log, 9);
    EXPECT_UINT(r.last_log_index, 9);
    r.last_log_index = 4;
    raft_guard_hint(&on, &r, &log, 3);
    EXPECT_UINT(r.last_log_index, 4);
    r = (struct raft_append_entries_result){.rejected = 30, .last_log_index = 20};
    raft_guard_hint(&on, &r, &log, 3);
    EXPECT_UINT(r.last_log_index, 20);
    r = (struct raft_append_entries_result){.rejected = 18, .last_log_index = 17};
    raft_guard_hint(&off, &r, &log, 3);
    EXPECT_UINT(r.last_log_index, 17);
    raft_log_cut(&log, 4);
    r = (struct raft_append_entries_result){.rejected = 4, .last_log_index = 3};
    raft_guard_hint(&on, &r, &log, 3);
    EXPECT_UINT(r.last_log_index, 3);
    raft_log_deinit(&log);
}

TEST(raft_guard, g12_drops_the_start_of_a_log_that_was_cut)
{
    struct raft_append_entries a = {.term = 1, .n_entries = 3};
    EXPECT(raft_guard_prefix(&on, &a, 2));
    EXPECT(!raft_guard_prefix(&on, &a, 1));
    EXPECT(!raft_guard_prefix(&off, &a, 2));
    a.n_entries = 0;
    EXPECT(!raft_guard_prefix(&on, &a, 2));
    a.n_entries = 1;
    a.prev_log_index = 1;
    EXPECT(!raft_guard_prefix(&on, &a, 2));
}

TEST(raft_guard, g13_says_our_term_when_it_denies_a_pre_vote)
{
    struct raft_request_vote_result v = {.term = 4, .pre_vote = true};
    raft_guard_denial(&on, &v, 9);
    EXPECT_UINT(v.term, 9);
    v = (struct raft_request_vote_result){.term = 4, .pre_vote = true, .vote_granted = true};
    raft_guard_denial(&on, &v, 9);
    EXPECT_UINT(v.term, 4);
    v = (struct raft_request_vote_result){.term = 10, .pre_vote = true};
    raft_guard_denial(&on, &v, 9);
    EXPECT_UINT(v.term, 10);
    v.term = 4;
    raft_guard_denial(&off, &v, 9);
    EXPECT_UINT(v.term, 4);
}

TEST(raft_guard, g14_waits_no_longer_for_a_snapshot_than_for_a_leader)
{
    EXPECT_UINT(raft_guard_install_timeout(&on, 500), 500);
    EXPECT_UINT(raft_guard_install_timeout(&off, 500), 30000);
}

TEST(raft_guard, g15_begins_each_try_with_a_pre_vote)
{
    struct raft core = {.state = RAFT_CANDIDATE, .pre_vote = true};
    core.candidate_state.disrupt_leader = true;
    raft_guard_candidate(&off, &core);
    EXPECT(!core.candidate_state.in_pre_vote);
    EXPECT(core.candidate_state.disrupt_leader);
    raft_guard_candidate(&on, &core);
    EXPECT(core.candidate_state.in_pre_vote);
    EXPECT(!core.candidate_state.disrupt_leader);
    struct raft follower = {.state = RAFT_FOLLOWER, .pre_vote = true};
    struct raft before = follower;
    raft_guard_candidate(&on, &follower);
    EXPECT_MEM(&follower, &before, sizeof before);
}

static const struct raft_guard_voter stranger = {
    .settled = true, .term = 5, .last_index = 10, .last_term = 4};

TEST(raft_guard, b5_lets_a_server_vote_that_does_not_know_it_may)
{
    struct raft_guard_voter self = stranger;
    struct raft_request_vote v = {
        .term = 6, .candidate_id = 2, .last_log_index = 10, .last_log_term = 4};
    EXPECT_INT(raft_guard_unaware(&on, &self, &v), RAFT_VOTE_GRANT);
    EXPECT_INT(raft_guard_unaware(&off, &self, &v), RAFT_VOTE_CORE);
    v.last_log_index = 9;
    EXPECT_INT(raft_guard_unaware(&on, &self, &v), RAFT_VOTE_CORE);
    v.last_log_term = 5;
    EXPECT_INT(raft_guard_unaware(&on, &self, &v), RAFT_VOTE_GRANT);
    v.last_log_term = 3;
    v.last_log_index = 100;
    EXPECT_INT(raft_guard_unaware(&on, &self, &v), RAFT_VOTE_CORE);
}

TEST(raft_guard, b5_judges_by_term_and_log_and_nothing_else)
{
    struct raft_guard_voter self = stranger;
    struct raft_request_vote v = {
        .term = 4, .candidate_id = 2, .last_log_index = 10, .last_log_term = 4};
    EXPECT_INT(raft_guard_unaware(&on, &self, &v), RAFT_VOTE_CORE); /* an old term */
    v.term = 5;
    EXPECT_INT(raft_guard_unaware(&on, &self, &v), RAFT_VOTE_GRANT);
    self.voted_for = 3;
    EXPECT_INT(raft_guard_unaware(&on, &self, &v), RAFT_VOTE_CORE); /* voted for another */
    v.pre_vote = true;
    EXPECT_INT(raft_guard_unaware(&on, &self, &v), RAFT_VOTE_GRANT); /* a pre-vote binds nobody */
    v.pre_vote = false;
    self.voted_for = 2;
    EXPECT_INT(raft_guard_unaware(&on, &self, &v), RAFT_VOTE_GRANT); /* the same one again */
    v.term = 6;
    self.voted_for = 3;
    EXPECT_INT(raft_guard_unaware(&on, &self, &v), RAFT_VOTE_GRANT); /* a new term */
}

TEST(raft_guard, b5_leaves_alone_who_knows_follows_or_still_writes)
{
    struct raft_guard_voter self = stranger;
    struct raft_request_vote v = {
        .term = 6, .candidate_id = 2, .last_log_index = 10, .last_log_term = 4};
    self.knows_itself = true;
    EXPECT_INT(raft_guard_unaware(&on, &self, &v), RAFT_VOTE_CORE);
    self = stranger;
    self.settled = false;
    EXPECT_INT(raft_guard_unaware(&on, &self, &v), RAFT_VOTE_CORE);
    self = stranger;
    self.hears_leader = true;
    EXPECT_INT(raft_guard_unaware(&on, &self, &v), RAFT_VOTE_CORE);
    v.disrupt_leader = true;
    EXPECT_INT(raft_guard_unaware(&on, &self, &v), RAFT_VOTE_GRANT);
}
