/* SPDX-License-Identifier: Apache-2.0 */
#include "node/identity.h"

#include <stdio.h>

#include "base/mem.h"
#include "testkit/test.h"

enum { OWN = 0xaa, PEER = 0xbb, OTHER = 0xcc, CLUSTER = 0x77, DEADLINE = 1000 };

struct fixture {
    struct hard_state state;
    struct tsdb_node nodes[2];
    struct identity_view view;
    struct peer_hello hello;
    struct identity_judgement judged;
    struct err err;
};

/* This node is at its start 3, nonces 0x301 to 0x303; a hello of PEER, start 5. */
static struct fixture *fixture_open(void)
{
    struct fixture *f = mem_zalloc(sizeof *f);
    f->state.cluster_id = CLUSTER;
    f->state.directory_id = OWN;
    memcpy(f->state.name, "n1", 3);
    for (uint64_t i = 1; i <= 3; i++) {
        hard_state_add_start(&f->state, 0x300 + i);
    }
    f->view = (struct identity_view){&f->state, f->nodes, 0};
    f->hello = (struct peer_hello){.protocol = PEER_PROTOCOL,
                                   .cluster_id = CLUSTER,
                                   .directory_id = PEER,
                                   .start_counter = 5,
                                   .nonce = 0x555,
                                   .name = "n2",
                                   .peer_address = "n2:7071",
                                   .client_address = "n2:7070"};
    return f;
}

static void fixture_close(struct fixture *f)
{
    mem_free(f);
}

static void see(struct fixture *f, uint64_t counter, uint64_t nonce)
{
    struct hard_state_seen seen = {.directory_id = PEER, .counter = counter, .nonce = nonce};
    REQUIRE_OK(hard_state_see(&f->state, &seen, NULL, 0, &f->err));
}

static void see_in_state(struct fixture *f, uint64_t counter, uint64_t nonce)
{
    f->nodes[0] = (struct tsdb_node){
        .directory_id = PEER, .start_counter = counter, .nonce = nonce, .name = "n2"};
    f->view.node_count = 1;
}

static enum identity_verdict judge(struct fixture *f)
{
    identity_judge(&f->view, &f->hello, &f->judged);
    return f->judged.verdict;
}

/* --- the hello --- */

TEST(identity, a_hello_says_the_start_in_force_and_proves_the_one_asked_for)
{
    struct fixture *f = fixture_open();
    struct identity_self self = {&f->state, "n1:7071", "n1:7070", "0.1"};
    struct peer_hello h;
    identity_hello_make(&self, 0, &h);
    EXPECT_UINT(h.protocol, PEER_PROTOCOL);
    EXPECT_UINT(h.cluster_id, CLUSTER);
    EXPECT_UINT(h.directory_id, OWN);
    EXPECT_UINT(h.start_counter, 3);
    EXPECT_UINT(h.nonce, 0x303);
    EXPECT_UINT(h.known_counter, 2); /* most often what the hearer knows */
    EXPECT_UINT(h.known_nonce, 0x302);
    EXPECT_STR(h.name, "n1");
    EXPECT_STR(h.peer_address, "n1:7071");
    EXPECT_STR(h.client_address, "n1:7070");
    EXPECT_STR(h.version, "0.1");
    identity_hello_make(&self, 1, &h);
    EXPECT_UINT(h.known_counter, 1);
    EXPECT_UINT(h.known_nonce, 0x301);
    identity_hello_make(&self, 9, &h); /* never made */
    EXPECT_UINT(h.known_counter, 9);
    EXPECT_UINT(h.known_nonce, 0);
    fixture_close(f);
}

TEST(identity, the_first_start_has_nothing_to_prove)
{
    struct fixture *f = fixture_open();
    struct identity_self self = {&f->state, "", "", ""};
    struct peer_hello h;
    f->state.start_count = 0;
    f->state.start_counter = 0;
    hard_state_add_start(&f->state, 0x301);
    identity_hello_make(&self, 0, &h);
    EXPECT_UINT(h.start_counter, 1);
    EXPECT_UINT(h.known_counter, 0);
    EXPECT_UINT(h.known_nonce, 0);
    fixture_close(f);
}

/* A checkpoint raises the counter on links that are up: they stay. */
TEST(identity, a_raised_counter_is_accepted_without_being_asked_back)
{
    struct fixture *f = fixture_open();
    struct fixture *peer = fixture_open();
    struct identity_self self = {&f->state, "", "", ""};
    peer->state.directory_id = PEER;
    for (unsigned i = 0; i < 3 * HARD_STATE_STARTS_MAX; i++) {
        identity_hello_make(&self, 0, &peer->hello);
        EXPECT_INT(judge(peer), IDENTITY_STORE);
        EXPECT_OK(identity_store(&peer->state, &peer->judged, NULL, 0, &f->err));
        hard_state_add_start(&f->state, 0x1000 + i);
    }
    fixture_close(peer);
    fixture_close(f);
}

/* --- judging --- */

TEST(identity, a_directory_never_seen_is_stored_first)
{
    struct fixture *f = fixture_open();
    EXPECT_INT(judge(f), IDENTITY_STORE);
    EXPECT_UINT(f->judged.seen.directory_id, PEER);
    EXPECT_UINT(f->judged.seen.counter, 5);
    EXPECT_UINT(f->judged.seen.nonce, 0x555);
    EXPECT_OK(identity_store(&f->state, &f->judged, NULL, 0, &f->err));
    EXPECT_INT(judge(f), IDENTITY_ACCEPT);
    EXPECT_STR(f->judged.text, "");
    fixture_close(f);
}

TEST(identity, a_later_start_proves_the_one_that_is_known)
{
    struct fixture *f = fixture_open();
    see(f, 4, 0x444);
    EXPECT_INT(judge(f), IDENTITY_ASK);
    EXPECT_UINT(f->judged.ask_nonce_of, 4);
    f->hello.known_counter = 3; /* what somebody else asked for */
    f->hello.known_nonce = 0x333;
    EXPECT_INT(judge(f), IDENTITY_ASK);
    f->hello.known_counter = 4;
    f->hello.known_nonce = 0x444;
    EXPECT_INT(judge(f), IDENTITY_STORE);
    EXPECT_UINT(f->judged.seen.counter, 5);
    fixture_close(f);
}

/* The image went on from an older start and drew other nonces. */
TEST(identity, a_later_start_with_another_past_is_refused)
{
    struct fixture *f = fixture_open();
    see(f, 4, 0x444);
    f->hello.known_counter = 4;
    f->hello.known_nonce = 0x999;
    EXPECT_INT(judge(f), IDENTITY_ROLLED_BACK);
    EXPECT_UINT(f->judged.seen.counter, 4);
    EXPECT_UINT(f->judged.seen.nonce, 0x444);
    fixture_close(f);
}

TEST(identity, an_older_start_is_refused_by_name)
{
    struct fixture *f = fixture_open();
    see(f, 6, 0x666);
    EXPECT_INT(judge(f), IDENTITY_ROLLED_BACK);
    EXPECT_STR(f->judged.text,
               "directory 00000000000000bb of n2 is older than what was seen of it, or a copy: "
               "start 5 (0000000000000555) after start 6 (0000000000000666)");
    fixture_close(f);
}

TEST(identity, the_same_start_with_another_nonce_is_refused)
{
    struct fixture *f = fixture_open();
    see(f, 5, 0x556);
    EXPECT_INT(judge(f), IDENTITY_ROLLED_BACK);
    fixture_close(f);
}

/* It was away for so long that the peer has dropped that nonce: nobody is at fault. */
TEST(identity, a_proof_that_is_no_longer_kept_condemns_nobody)
{
    struct fixture *f = fixture_open();
    struct peer_refusal refusal;
    see(f, 1, 0x111);
    f->hello.known_counter = 1;
    f->hello.known_nonce = 0;
    EXPECT_INT(judge(f), IDENTITY_UNPROVEN);
    EXPECT_CONTAINS(f->judged.text, "n2, start 5, no longer keeps the nonce of start 1");
    identity_refusal_make(&f->hello, &f->judged, &refusal);
    EXPECT(!refusal.rolled_back && !refusal.removed);
    fixture_close(f);
}

TEST(identity, what_only_the_replicated_state_knows_counts_and_is_stored)
{
    struct fixture *f = fixture_open();
    see(f, 3, 0x333);
    see_in_state(f, 6, 0x666);
    EXPECT_INT(judge(f), IDENTITY_ROLLED_BACK);
    EXPECT_UINT(f->judged.seen.counter, 6);
    see_in_state(f, 5, 0x555);
    EXPECT_INT(judge(f), IDENTITY_STORE); /* hard state does not hold it yet */
    EXPECT_OK(identity_store(&f->state, &f->judged, NULL, 0, &f->err));
    EXPECT_INT(judge(f), IDENTITY_ACCEPT);
    see_in_state(f, 5, 0x556); /* of one counter, what was stored here counts */
    EXPECT_INT(judge(f), IDENTITY_ACCEPT);
    fixture_close(f);
}

TEST(identity, a_removed_directory_is_told_so)
{
    struct fixture *f = fixture_open();
    struct peer_refusal refusal;
    see_in_state(f, 5, 0x555);
    f->nodes[0].removed = true;
    EXPECT_INT(judge(f), IDENTITY_REMOVED);
    EXPECT_STR(f->judged.text, "directory 00000000000000bb of n2 was removed from the cluster");
    identity_refusal_make(&f->hello, &f->judged, &refusal);
    EXPECT(refusal.removed && !refusal.rolled_back);
    f->view.node_count = 0;
    struct hard_state_seen seen = {.directory_id = PEER, .removed = true};
    EXPECT_OK(hard_state_see(&f->state, &seen, NULL, 0, &f->err));
    EXPECT_INT(judge(f), IDENTITY_REMOVED);
    fixture_close(f);
}

TEST(identity, another_cluster_is_refused)
{
    struct fixture *f = fixture_open();
    f->hello.cluster_id = CLUSTER + 1;
    EXPECT_INT(judge(f), IDENTITY_FOREIGN);
    EXPECT_STR(f->judged.text,
               "n2 belongs to cluster 0000000000000078, n1 to cluster 0000000000000077: one of "
               "them has another's data directory, or wrong peers");
    fixture_close(f);
}

/* Nothing is stored either: an empty directory makes no promises yet. */
TEST(identity, without_a_cluster_only_founding_counts)
{
    struct fixture *f = fixture_open();
    see(f, 9, 0x999);
    f->hello.cluster_id = 0;
    EXPECT_INT(judge(f), IDENTITY_FOUNDING);
    f->hello.cluster_id = CLUSTER;
    f->state.cluster_id = 0;
    EXPECT_INT(judge(f), IDENTITY_FOUNDING);
    f->hello.cluster_id = 0;
    EXPECT_INT(judge(f), IDENTITY_FOUNDING);
    fixture_close(f);
}

TEST(identity, our_own_id_is_refused_and_condemns_nobody)
{
    struct fixture *f = fixture_open();
    struct peer_refusal refusal;
    f->hello.directory_id = OWN;
    EXPECT_INT(judge(f), IDENTITY_OWN_ID);
    EXPECT_STR(f->judged.text, "directory 00000000000000aa of n1: n2 says it has the same (start "
                               "5 there, 3 here)");
    identity_refusal_make(&f->hello, &f->judged, &refusal);
    EXPECT(!refusal.rolled_back && !refusal.removed);
    fixture_close(f);
}

TEST(identity, nonsense_is_refused)
{
    struct fixture *f = fixture_open();
    f->hello.protocol = 2;
    EXPECT_INT(judge(f), IDENTITY_BAD);
    EXPECT_STR(f->judged.text, "n2 speaks version 2 of the peer protocol, not 1");
    f->hello.protocol = PEER_PROTOCOL;
    f->hello.directory_id = 0;
    EXPECT_INT(judge(f), IDENTITY_BAD);
    f->hello.directory_id = PEER;
    f->hello.start_counter = 0;
    EXPECT_INT(judge(f), IDENTITY_BAD);
    f->hello.start_counter = 5;
    f->hello.nonce = 0;
    EXPECT_INT(judge(f), IDENTITY_BAD);
    EXPECT_STR(f->judged.text, "n2 does not say which directory and start it is");
    fixture_close(f);
}

/* The longest texts that a hello can hold fit in a refusal. */
TEST(identity, every_reason_fits)
{
    struct fixture *f = fixture_open();
    struct peer_refusal refusal;
    memset(f->hello.name, 'n', LIMIT_NAME_SIZE_MAX);
    memset(f->state.name, 'm', LIMIT_NAME_SIZE_MAX);
    f->hello.start_counter = UINT64_MAX;
    f->hello.nonce = UINT64_MAX;
    see(f, UINT64_MAX, UINT64_MAX - 1);
    EXPECT_INT(judge(f), IDENTITY_ROLLED_BACK);
    identity_refusal_make(&f->hello, &f->judged, &refusal);
    EXPECT_CONTAINS(refusal.reason, "(fffffffffffffffe)");
    f->hello.directory_id = OWN;
    EXPECT_INT(judge(f), IDENTITY_OWN_ID);
    EXPECT_CONTAINS(f->judged.text, " here)");
    fixture_close(f);
}

TEST(identity, a_welcome_pins_the_start_that_the_peer_has_stored)
{
    struct fixture *f = fixture_open();
    EXPECT(!identity_welcomed(&f->state, PEER, 3)); /* not heard of */
    see(f, 5, 0x555);
    EXPECT(identity_welcomed(&f->state, PEER, 2));
    EXPECT(!identity_welcomed(&f->state, PEER, 2));
    EXPECT(!identity_welcomed(&f->state, PEER, 1));
    EXPECT(identity_welcomed(&f->state, PEER, 3));
    EXPECT_UINT(hard_state_find_seen(&f->state, PEER)->welcomed, 3);
    fixture_close(f);
}

/* The whole way of a peer that was away for 500 starts. */
TEST(identity, a_peer_that_was_away_for_long_is_still_convinced)
{
    struct fixture *f = fixture_open();
    struct fixture *away = fixture_open(); /* PEER, which knows OWN's start 3 */
    struct identity_self self = {&f->state, "", "", ""};
    struct hard_state_seen seen = {.directory_id = OWN, .counter = 3, .nonce = 0x303};
    away->state.directory_id = PEER;
    EXPECT_OK(hard_state_see(&away->state, &seen, NULL, 0, &f->err));
    see(f, 5, 0x555);
    EXPECT(identity_welcomed(&f->state, PEER, 3));
    for (uint64_t i = 0; i < 500; i++) {
        hard_state_add_start(&f->state, 0x1000 + i);
    }
    identity_hello_make(&self, 0, &away->hello);
    EXPECT_INT(judge(away), IDENTITY_ASK);
    identity_hello_make(&self, away->judged.ask_nonce_of, &away->hello);
    EXPECT_INT(judge(away), IDENTITY_STORE);
    fixture_close(away);
    fixture_close(f);
}

TEST(identity, the_leader_records_what_the_replicated_state_does_not_know)
{
    struct fixture *f = fixture_open();
    EXPECT(identity_is_news(&f->view, &f->hello));
    see_in_state(f, 4, 0x444);
    EXPECT(identity_is_news(&f->view, &f->hello));
    see_in_state(f, 5, 0x555);
    EXPECT(identity_is_news(&f->view, &f->hello)); /* without its addresses */
    memcpy(f->nodes[0].peer_address, "n2:7071", 8);
    memcpy(f->nodes[0].client_address, "n2:7070", 8);
    EXPECT(!identity_is_news(&f->view, &f->hello));
    memcpy(f->hello.client_address, "n2:9999", 8);
    EXPECT(identity_is_news(&f->view, &f->hello));
    f->nodes[0].removed = true;
    EXPECT(!identity_is_news(&f->view, &f->hello));
    see_in_state(f, 6, 0x666);
    EXPECT(!identity_is_news(&f->view, &f->hello));
    fixture_close(f);
}

/* --- the refused side --- */

static const uint64_t voters[] = {OWN, PEER, OTHER};

/* PEER has seen start 4, which was not made here. */
static struct peer_refusal rolled_back(void)
{
    return (struct peer_refusal){.reason = "no",
                                 .rolled_back = true,
                                 .seen_counter = 4,
                                 .seen_nonce = 0x444,
                                 .directory_id = OWN,
                                 .start_counter = 3,
                                 .nonce = 0x303};
}

static enum identity_fate fate(const struct fixture *f, uint64_t refuser,
                               const struct peer_refusal *refusal, size_t voter_count, bool leader)
{
    struct identity_standing standing = {&f->state, leader, voters, voter_count};
    char text[IDENTITY_TEXT_SIZE] = "";
    enum identity_fate fate = identity_judge_refusal(&standing, refuser, refusal, text);
    EXPECT(text[0] != '\0');
    return fate;
}

TEST(identity, a_voter_condemns_and_nobody_else)
{
    struct fixture *f = fixture_open();
    struct peer_refusal refusal = rolled_back();
    EXPECT_INT(fate(f, PEER, &refusal, 3, false), IDENTITY_CONDEMNED);
    EXPECT_INT(fate(f, 0xdd, &refusal, 3, false), IDENTITY_GO_ON);
    EXPECT_INT(fate(f, OWN, &refusal, 3, false), IDENTITY_GO_ON);
    EXPECT_INT(fate(f, OTHER, &refusal, 2, false), IDENTITY_GO_ON);
    /* When our own log does not name us a voter, anyone does. */
    EXPECT_INT(fate(f, 0xdd, &refusal, 0, false), IDENTITY_CONDEMNED);
    fixture_close(f);
}

TEST(identity, a_condemnation_names_both_starts)
{
    struct fixture *f = fixture_open();
    struct peer_refusal refusal = rolled_back();
    struct identity_standing standing = {&f->state, false, voters, 3};
    char text[IDENTITY_TEXT_SIZE];
    EXPECT_INT(identity_judge_refusal(&standing, PEER, &refusal, text), IDENTITY_CONDEMNED);
    EXPECT_STR(text, "directory 00000000000000aa, start 3, was put back from an image or copied: "
                     "start 4 (0000000000000444) was seen, which was not made here");
    fixture_close(f);
}

TEST(identity, a_late_refusal_of_an_older_start_says_nothing)
{
    struct fixture *f = fixture_open();
    struct peer_refusal refusal = rolled_back();
    refusal.start_counter = 2;
    refusal.nonce = 0x302;
    EXPECT_INT(fate(f, PEER, &refusal, 3, false), IDENTITY_GO_ON);
    refusal = rolled_back();
    refusal.nonce = 0x304; /* the start of an image that ran here before */
    EXPECT_INT(fate(f, PEER, &refusal, 3, false), IDENTITY_GO_ON);
    refusal = rolled_back();
    refusal.directory_id = OTHER;
    EXPECT_INT(fate(f, PEER, &refusal, 3, false), IDENTITY_GO_ON);
    fixture_close(f);
}

TEST(identity, to_be_refused_for_an_own_start_says_nothing)
{
    struct fixture *f = fixture_open();
    struct peer_refusal refusal = rolled_back();
    refusal.seen_counter = 3;
    refusal.seen_nonce = 0x303;
    EXPECT_INT(fate(f, PEER, &refusal, 3, false), IDENTITY_GO_ON);
    fixture_close(f);
}

TEST(identity, the_removed_give_up_their_id_unless_they_lead)
{
    struct fixture *f = fixture_open();
    struct peer_refusal refusal = rolled_back();
    refusal.rolled_back = false;
    refusal.removed = true;
    EXPECT_INT(fate(f, 0xdd, &refusal, 3, false), IDENTITY_GONE);
    EXPECT_INT(fate(f, 0xdd, &refusal, 3, true), IDENTITY_GO_ON);
    refusal.start_counter = 2;
    EXPECT_INT(fate(f, 0xdd, &refusal, 3, false), IDENTITY_GO_ON);
    fixture_close(f);
}

TEST(identity, other_refusals_say_nothing_about_the_data)
{
    struct fixture *f = fixture_open();
    struct peer_refusal refusal = rolled_back();
    refusal.rolled_back = false;
    EXPECT_INT(fate(f, PEER, &refusal, 3, false), IDENTITY_GO_ON);
    fixture_close(f);
}

/* What one side judges is what the other side needs to judge itself. */
TEST(identity, a_refusal_made_condemns_exactly_the_start_that_it_heard)
{
    struct fixture *f = fixture_open();
    struct fixture *peer = fixture_open();
    struct identity_self self = {&f->state, "", "", ""};
    struct peer_refusal refusal;
    peer->state.directory_id = PEER;
    struct hard_state_seen seen = {.directory_id = OWN, .counter = 7, .nonce = 0x777};
    EXPECT_OK(hard_state_see(&peer->state, &seen, NULL, 0, &f->err));
    identity_hello_make(&self, 0, &peer->hello);
    EXPECT_INT(judge(peer), IDENTITY_ROLLED_BACK);
    identity_refusal_make(&peer->hello, &peer->judged, &refusal);
    EXPECT_INT(fate(f, PEER, &refusal, 3, false), IDENTITY_CONDEMNED);
    hard_state_add_start(&f->state, 0x304);
    EXPECT_INT(fate(f, PEER, &refusal, 3, false), IDENTITY_GO_ON);
    fixture_close(peer);
    fixture_close(f);
}

/* --- the gate --- */

TEST(identity, the_gate_opens_when_every_voter_in_reach_has_answered)
{
    struct identity_gate g;
    uint64_t missing[LIMIT_VOTERS_MAX];
    identity_gate_init(&g, OWN, voters, 3, DEADLINE);
    EXPECT(!identity_gate_is_open(&g, 0));
    EXPECT_UINT(identity_gate_missing(&g, missing), 2);
    EXPECT_UINT(missing[0], PEER);
    identity_gate_answered(&g, PEER);
    identity_gate_answered(&g, 0xdd); /* no voter */
    EXPECT(!identity_gate_is_open(&g, 0));
    EXPECT_UINT(identity_gate_missing(&g, missing), 1);
    EXPECT_UINT(missing[0], OTHER);
    identity_gate_out_of_reach(&g, OTHER);
    EXPECT(identity_gate_is_open(&g, 0));
    identity_gate_in_reach(&g, OTHER);
    EXPECT(!identity_gate_is_open(&g, 0));
    identity_gate_answered(&g, OTHER);
    EXPECT(identity_gate_is_open(&g, 0));
    identity_gate_in_reach(&g, OTHER); /* an answer stays */
    EXPECT(identity_gate_is_open(&g, 0));
}

TEST(identity, the_gate_waits_for_the_silent_until_the_deadline)
{
    struct identity_gate g;
    identity_gate_init(&g, OWN, voters, 3, DEADLINE);
    EXPECT(!identity_gate_is_open(&g, DEADLINE - 1));
    EXPECT(identity_gate_is_open(&g, DEADLINE));
}

TEST(identity, the_gate_is_open_for_who_does_not_vote_or_votes_alone)
{
    struct identity_gate g;
    identity_gate_init(&g, 0xdd, voters, 3, DEADLINE);
    EXPECT(identity_gate_is_open(&g, 0));
    identity_gate_init(&g, OWN, voters, 1, DEADLINE);
    EXPECT(identity_gate_is_open(&g, 0));
}
