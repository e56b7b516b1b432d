/* SPDX-License-Identifier: Apache-2.0 */
/* Membership steps, transfers, and a leader that is gone: when they are taken,
 * when they are refused, and when they are given up. */
#include "raft/raft_replica.h"
#include "raft/test/single.h"
#include "testkit/test.h"

/* Leads the servers, and nodes 2 and 3 hold everything. */
static void open_leader(struct single *s, const char *servers, size_t count)
{
    struct single_options o = {.servers = servers, .count = count};
    single_open(s, &o);
    single_lead(s);
    single_acknowledge(s, 2);
    single_acknowledge(s, 3);
    EXPECT(single_status(s).leader_ready);
    single_forget(s);
}

static enum server_role role_of(const struct single *s, uint64_t id)
{
    const struct server *server = configuration_find(replica_configuration(s->replica), id);
    return server == NULL ? SERVER_SPARE : server->role;
}

static void answer_round(struct single *s, uint64_t from, uint64_t round)
{
    EXPECT_OK(single_round(s, from, RAFT_MESSAGE_PONG, single_status(s).term, round));
}

/* --- membership --- */

TEST(replica_steps, a_step_is_a_command_in_the_log_and_in_force_at_once)
{
    struct single s;
    open_leader(&s, "vvv", 3);
    EXPECT_OK(single_change(&s, "vvvs"));
    EXPECT_UINT(single_count(&s, ACTION_APPEND), 0);
    answer_round(&s, 2, 1);
    const struct action *append = single_action(&s, ACTION_APPEND, 0);
    REQUIRE(append != NULL);
    EXPECT_INT(append->entries[0]->type, ENTRY_CHANGE);
    const struct action *configuration = single_action(&s, ACTION_CONFIGURATION, 0);
    REQUIRE(configuration != NULL);
    EXPECT_UINT(configuration->index, append->index);
    EXPECT_UINT(configuration->configuration->count, 4);
    EXPECT_INT(role_of(&s, 4), SERVER_STANDBY);
    single_close(&s);
}

TEST(replica_steps, one_step_at_a_time)
{
    struct single s;
    open_leader(&s, "vvv", 3);
    struct event transfer = {.type = EVENT_TRANSFER, .id = 2};
    EXPECT_OK(single_change(&s, "vvvs"));
    EXPECT_ERR(single_change(&s, "vv"), ERR_STATE);
    EXPECT_ERR(single_step(&s, &transfer), ERR_STATE);
    answer_round(&s, 2, 1);
    EXPECT_ERR(single_change(&s, "vvvp"), ERR_STATE); /* proposed, not committed */
    EXPECT_CONTAINS(s.err.text, "another membership step is under way");
    single_acknowledge(&s, 2);
    EXPECT_OK(single_change(&s, "vvvp"));
    single_close(&s);
}

TEST(replica_steps, a_step_that_is_none_is_refused)
{
    struct single s;
    open_leader(&s, "vvv", 3);
    EXPECT_ERR(single_change(&s, "vvvv"), ERR_INVALID);
    EXPECT_ERR(single_change(&s, "v"), ERR_INVALID);
    EXPECT_ERR(single_change(&s, "vvv"), ERR_INVALID);
    EXPECT_CONTAINS(s.err.text, "0 changes instead of one");
    EXPECT_UINT(single_sent_count(&s, 2, SINGLE_PING), 0);
    single_close(&s);
}

/* An answer to a question asked before counts for nothing. */
TEST(replica_steps, only_answers_to_its_own_question_count)
{
    struct single s;
    struct event read = {.type = EVENT_READ, .token = 1};
    open_leader(&s, "vvv", 3);
    EXPECT_OK(single_step(&s, &read));    /* round 1 */
    EXPECT_OK(single_change(&s, "vvvs")); /* round 2 */
    answer_round(&s, 2, 1);
    EXPECT_UINT(single_count(&s, ACTION_READ_READY), 1);
    EXPECT_UINT(single_count(&s, ACTION_APPEND), 0);
    answer_round(&s, 3, 2);
    EXPECT_UINT(single_count(&s, ACTION_APPEND), 1);
    single_close(&s);
}

/* Who answers must also hold the last step. */
TEST(replica_steps, an_answer_of_a_server_that_lacks_the_last_step_does_not_count)
{
    struct single s;
    open_leader(&s, "vvv", 3);
    EXPECT_OK(single_change(&s, "vvvs"));
    answer_round(&s, 2, 1);
    single_acknowledge(&s, 2); /* committed with node 2; node 3 has not got it */
    single_forget(&s);
    EXPECT_OK(single_change(&s, "vvvp"));
    answer_round(&s, 3, 2);
    EXPECT_UINT(single_count(&s, ACTION_APPEND), 0);
    single_acknowledge(&s, 3);
    EXPECT_UINT(single_count(&s, ACTION_APPEND), 1);
    single_close(&s);
}

TEST(replica_steps, a_server_is_promoted_only_when_it_has_caught_up)
{
    struct single s;
    open_leader(&s, "vvvs", 300);
    EXPECT_OK(single_change(&s, "vvvv"));
    answer_round(&s, 2, 1);
    answer_round(&s, 3, 1);
    answer_round(&s, 4, 1);
    EXPECT_INT(role_of(&s, 4), SERVER_STANDBY);
    uint64_t last = single_status(&s).last_index;
    uint64_t term = single_status(&s).term;
    EXPECT_OK(single_result(&s, 4, term, 0, last - RAFT_CATCH_UP_DISTANCE - 1));
    EXPECT_INT(role_of(&s, 4), SERVER_STANDBY);
    EXPECT_OK(single_result(&s, 4, term, 0, last - RAFT_CATCH_UP_DISTANCE));
    EXPECT_INT(role_of(&s, 4), SERVER_VOTER);
    single_close(&s);
}

TEST(replica_steps, a_promotion_that_does_not_catch_up_is_given_up)
{
    struct single s;
    open_leader(&s, "vvvs", 300);
    EXPECT_OK(single_change(&s, "vvvv"));
    for (uint64_t id = 2; id <= 4; id++) {
        answer_round(&s, id, 1);
    }
    for (uint64_t end = s.now_ms + 2500; s.now_ms < end;) {
        single_wait(&s);
        single_acknowledge(&s, 2);
    }
    REQUIRE_UINT(single_count(&s, ACTION_CHANGE_FAILED), 1);
    EXPECT_CONTAINS(single_action(&s, ACTION_CHANGE_FAILED, 0)->reason, "lacks too much");
    EXPECT_OK(single_change(&s, "vvv"));
    single_close(&s);
}

TEST(replica_steps, a_step_fails_with_its_leader)
{
    struct single s;
    open_leader(&s, "vvv", 3);
    EXPECT_OK(single_change(&s, "vvvs"));
    EXPECT_OK(single_heartbeat(&s, 3, single_status(&s).term + 1, 4, 1, 1));
    REQUIRE_UINT(single_count(&s, ACTION_CHANGE_FAILED), 1);
    EXPECT_CONTAINS(single_action(&s, ACTION_CHANGE_FAILED, 0)->reason, "does not lead");
    single_close(&s);
}

/* A leader that loses its step goes back to the servers of before. */
TEST(replica_steps, a_replaced_step_is_taken_back)
{
    struct single s;
    static const uint64_t terms[] = {3};
    open_leader(&s, "vvv", 3);
    EXPECT_OK(single_change(&s, "vvvs"));
    answer_round(&s, 2, 1);
    EXPECT_UINT(replica_configuration(s.replica)->count, 4);
    uint64_t index = single_status(&s).last_index;
    struct single_append a = {
        .term = 3, .prev = index - 1, .prev_term = 2, .commit = 1, .terms = terms, .count = 1};
    single_forget(&s);
    EXPECT_OK(single_append(&s, 3, &a));
    EXPECT_UINT(replica_configuration(s.replica)->count, 3);
    REQUIRE_UINT(single_count(&s, ACTION_CONFIGURATION), 1);
    EXPECT_UINT(single_action(&s, ACTION_CONFIGURATION, 0)->configuration->count, 3);
    single_close(&s);
}

TEST(replica_steps, asks_silent_servers_again)
{
    struct single s;
    open_leader(&s, "vvv", 3);
    EXPECT_OK(single_change(&s, "vvvs"));
    (void)single_tick(&s, 100);
    single_acknowledge(&s, 2);
    EXPECT_UINT(single_sent_count(&s, 2, SINGLE_PING), 2);
    EXPECT_UINT(single_sent_count(&s, 3, SINGLE_PING), 2);
    EXPECT_UINT(single_sent_count(&s, 4, SINGLE_PING), 0); /* not one of us yet */
    single_close(&s);
}

/* --- transfer --- */

static size_t orders(const struct single *s, uint64_t id)
{
    return single_sent_count(s, id, RAFT_TIMEOUT_NOW);
}

TEST(replica_steps, a_transfer_goes_to_another_voter_or_nobody)
{
    struct single s;
    struct event transfer = {.type = EVENT_TRANSFER, .id = 1};
    open_leader(&s, "vvvs", 3);
    EXPECT_ERR(single_step(&s, &transfer), ERR_INVALID);
    transfer.id = 4;
    EXPECT_ERR(single_step(&s, &transfer), ERR_INVALID);
    transfer.id = 9;
    EXPECT_ERR(single_step(&s, &transfer), ERR_INVALID);
    EXPECT_CONTAINS(s.err.text, "is no other voter");
    transfer.id = 3;
    EXPECT_OK(single_step(&s, &transfer));
    EXPECT_UINT(orders(&s, 3), 1);
    EXPECT_UINT(single_status(&s).transferee, 3);
    EXPECT_ERR(single_step(&s, &transfer), ERR_STATE);
    EXPECT_ERR(single_submit(&s, 1, 8), ERR_STATE);
    EXPECT_ERR(single_change(&s, "vvv"), ERR_STATE);
    single_close(&s);
}

TEST(replica_steps, a_transfer_without_a_target_picks_who_holds_most)
{
    struct single s;
    struct event transfer = {.type = EVENT_TRANSFER};
    open_leader(&s, "vvv", 3);
    EXPECT_OK(single_submit(&s, 1, 8));
    single_acknowledge(&s, 3);
    EXPECT_OK(single_step(&s, &transfer));
    EXPECT_UINT(orders(&s, 3), 1);
    EXPECT_UINT(orders(&s, 2), 0);
    single_close(&s);
}

TEST(replica_steps, a_transfer_without_anybody_is_refused)
{
    struct single s;
    struct single_options o = {.servers = "v", .count = 3};
    struct event transfer = {.type = EVENT_TRANSFER};
    single_open(&s, &o);
    EXPECT_ERR(single_step(&s, &transfer), ERR_STATE);
    EXPECT_CONTAINS(s.err.text, "no other voter was heard lately");
    single_close(&s);
}

TEST(replica_steps, a_transfer_to_a_peer_that_never_catches_up_is_given_up)
{
    struct single s;
    struct event transfer = {.type = EVENT_TRANSFER, .id = 3};
    open_leader(&s, "vvv", 3);
    EXPECT_OK(single_submit(&s, 1, 8));
    EXPECT_OK(single_step(&s, &transfer));
    EXPECT_UINT(single_status(&s).transferee, 3);
    EXPECT_ERR(single_submit(&s, 1, 8), ERR_STATE);
    for (uint64_t end = s.now_ms + 1100; s.now_ms < end;) {
        single_wait(&s);
        single_acknowledge(&s, 2);
    }
    EXPECT_UINT(orders(&s, 3), 0);
    EXPECT_UINT(single_status(&s).transferee, 0);
    EXPECT_OK(single_submit(&s, 1, 8));
    single_close(&s);
}

/* --- a leader that is gone (safety.md I) --- */

static void open_follower(struct single *s, const char *servers)
{
    struct single_options o = {.servers = servers, .count = 3};
    single_open(s, &o);
    EXPECT_OK(single_heartbeat(s, 2, 1, 4, 1, 1));
    EXPECT_UINT(single_status(s).leader, 2);
    single_forget(s);
}

TEST(replica_steps, a_follower_of_a_dead_leader_stands_at_once)
{
    struct single s;
    struct event gone = {.type = EVENT_LEADER_GONE, .id = 2};
    open_follower(&s, "vvv");
    EXPECT_OK(single_step(&s, &gone));
    struct single_sent request = single_sent(&s, 3, RAFT_REQUEST_VOTE, 0);
    REQUIRE(request.found);
    EXPECT(request.packet.core.request_vote.disrupt_leader);
    EXPECT_UINT(request.packet.core.request_vote.term, 2);
    EXPECT_OK(single_vote(&s, 3, 2, true, false));
    EXPECT_INT(single_status(&s).role, REPLICA_LEADER);
    single_close(&s);
}

TEST(replica_steps, only_for_the_leader_that_it_follows)
{
    struct single s;
    struct event gone = {.type = EVENT_LEADER_GONE, .id = 3};
    open_follower(&s, "vvv");
    EXPECT_ERR(single_step(&s, &gone), ERR_STATE);
    EXPECT_CONTAINS(s.err.text, "leads no more");
    struct raft_request_vote v = {
        .term = 5, .last_log_index = 10, .last_log_term = 1, .disrupt_leader = true};
    EXPECT_OK(single_request_vote(&s, 3, &v)); /* a new term: nobody leads it yet */
    gone.id = 0;
    EXPECT_ERR(single_step(&s, &gone), ERR_STATE);
    EXPECT_CONTAINS(s.err.text, "follows no leader of its term");
    single_close(&s);
}

TEST(replica_steps, only_a_voter_stands_for_a_dead_leader)
{
    struct single s;
    struct event gone = {.type = EVENT_LEADER_GONE, .id = 2};
    open_follower(&s, "svv");
    EXPECT_ERR(single_step(&s, &gone), ERR_STATE);
    EXPECT_CONTAINS(s.err.text, "has no vote");
    single_close(&s);
}

TEST(replica_steps, once_for_each_leader_and_not_again_soon)
{
    struct single s;
    struct event gone = {.type = EVENT_LEADER_GONE, .id = 2};
    open_follower(&s, "vvv");
    EXPECT_OK(single_step(&s, &gone));
    EXPECT_OK(single_heartbeat(&s, 2, 2, 4, 1, 1)); /* leads again, in the next term */
    EXPECT_ERR(single_step(&s, &gone), ERR_STATE);
    EXPECT_CONTAINS(s.err.text, "a moment ago");
    (void)single_tick(&s, 4999);
    EXPECT_OK(single_heartbeat(&s, 2, 9, 4, 1, 1));
    EXPECT_ERR(single_step(&s, &gone), ERR_STATE);
    (void)single_tick(&s, 1);
    EXPECT_OK(single_heartbeat(&s, 2, 9, 4, 1, 1));
    EXPECT_OK(single_step(&s, &gone));
    single_close(&s);
}

TEST(replica_steps, a_leaders_message_takes_it_back)
{
    struct single s;
    struct event gone = {.type = EVENT_LEADER_GONE, .id = 2};
    struct single_append a = {.term = 1, .prev = 4, .prev_term = 1, .commit = 1, .count = 1};
    open_follower(&s, "vvv");
    s.disk_held = true;
    EXPECT_OK(single_append(&s, 2, &a));
    EXPECT_OK(single_step(&s, &gone));
    EXPECT_INT(single_status(&s).role, REPLICA_FOLLOWER); /* waits for its own write */
    EXPECT_OK(single_heartbeat(&s, 2, 1, 5, 1, 1));
    single_sync(&s);
    EXPECT_INT(single_status(&s).role, REPLICA_FOLLOWER);
    single_close(&s);
}

TEST(replica_steps, it_is_given_when_the_own_write_is_done)
{
    struct single s;
    struct event gone = {.type = EVENT_LEADER_GONE, .id = 2};
    struct single_append a = {.term = 1, .prev = 4, .prev_term = 1, .commit = 1, .count = 1};
    open_follower(&s, "vvv");
    s.disk_held = true;
    EXPECT_OK(single_append(&s, 2, &a));
    EXPECT_OK(single_step(&s, &gone));
    EXPECT_INT(single_status(&s).role, REPLICA_FOLLOWER);
    single_sync(&s);
    EXPECT_INT(single_status(&s).role, REPLICA_CANDIDATE);
    single_close(&s);
}

TEST(replica_steps, it_is_forgotten_when_the_own_write_takes_too_long)
{
    struct single s;
    struct event gone = {.type = EVENT_LEADER_GONE, .id = 2};
    struct single_append a = {.term = 1, .prev = 4, .prev_term = 1, .commit = 1, .count = 1};
    open_follower(&s, "vvv");
    s.disk_held = true;
    EXPECT_OK(single_append(&s, 2, &a));
    EXPECT_OK(single_step(&s, &gone));
    EXPECT(replica_deadline_ms(s.replica) <= s.now_ms + 500);
    (void)single_tick(&s, 500);
    single_sync(&s);
    EXPECT_INT(single_status(&s).role, REPLICA_FOLLOWER);
    single_close(&s);
}

/* --- the vote of a server that doesn't know that it has one (safety.md B5) --- */

TEST(replica_steps, an_unaware_vote_keeps_what_is_applied)
{
    struct single s;
    struct single_options o = {.servers = "svv", .count = 9};
    struct raft_request_vote v = {.term = 7, .last_log_index = 10, .last_log_term = 1};
    single_open(&s, &o);
    EXPECT_OK(single_heartbeat(&s, 2, 1, 10, 1, 8));
    EXPECT_OK(single_applied(&s, 8));
    (void)single_tick(&s, 600);
    EXPECT_OK(single_request_vote(&s, 3, &v));
    EXPECT_UINT(s.replica->starts, 2);
    EXPECT_UINT(single_status(&s).commit_index, 8);
    EXPECT_UINT(single_status(&s).applied_index, 8);
    single_forget(&s);
    EXPECT_OK(single_heartbeat(&s, 3, 7, 10, 1, 10));
    REQUIRE_UINT(single_count(&s, ACTION_APPLY), 1);
    EXPECT_UINT(single_action(&s, ACTION_APPLY, 0)->index, 9);
    EXPECT_UINT(single_action(&s, ACTION_APPLY, 0)->count, 2);
    single_close(&s);
}

TEST(replica_steps, an_unaware_server_votes_once_in_a_term)
{
    struct single s;
    struct single_options o = {.servers = "svvv", .count = 3};
    struct raft_request_vote v = {.term = 7, .last_log_index = 10, .last_log_term = 1};
    single_open(&s, &o);
    EXPECT_OK(single_request_vote(&s, 2, &v));
    EXPECT_OK(single_request_vote(&s, 3, &v));
    EXPECT_OK(single_request_vote(&s, 2, &v));
    EXPECT(single_sent(&s, 2, RAFT_REQUEST_VOTE_RESULT, 0)
               .packet.core.request_vote_result.vote_granted);
    EXPECT(!single_sent(&s, 3, RAFT_REQUEST_VOTE_RESULT, 0)
                .packet.core.request_vote_result.vote_granted);
    EXPECT(single_sent(&s, 2, RAFT_REQUEST_VOTE_RESULT, 1)
               .packet.core.request_vote_result.vote_granted);
    EXPECT_UINT(s.replica->starts, 2);
    EXPECT_UINT(single_count(&s, ACTION_HARD_STATE), 1);
    single_close(&s);
}

TEST(replica_steps, an_unaware_servers_pre_vote_changes_nothing)
{
    struct single s;
    struct single_options o = {.servers = "svv", .count = 3};
    struct raft_request_vote v = {
        .term = 7, .last_log_index = 10, .last_log_term = 1, .pre_vote = true};
    single_open(&s, &o);
    EXPECT_OK(single_request_vote(&s, 2, &v));
    struct single_sent vote = single_sent(&s, 2, RAFT_REQUEST_VOTE_RESULT, 0);
    REQUIRE(vote.found);
    EXPECT(vote.packet.core.request_vote_result.vote_granted);
    EXPECT(vote.packet.core.request_vote_result.pre_vote);
    EXPECT_UINT(vote.packet.core.request_vote_result.term, 7);
    EXPECT_UINT(single_status(&s).term, 1);
    EXPECT_UINT(s.replica->starts, 1);
    single_close(&s);
}

/* A directory without any entry votes too: it can hold nothing that the candidate lacks. */
TEST(replica_steps, an_empty_server_votes)
{
    struct single s;
    struct single_options o = {.empty = true};
    struct raft_request_vote v = {.term = 7, .last_log_index = 10, .last_log_term = 1};
    single_open(&s, &o);
    EXPECT_OK(single_request_vote(&s, 2, &v));
    EXPECT(single_sent(&s, 2, RAFT_REQUEST_VOTE_RESULT, 0)
               .packet.core.request_vote_result.vote_granted);
    EXPECT_UINT(single_status(&s).term, 7);
    single_close(&s);
}
