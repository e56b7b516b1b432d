/* SPDX-License-Identifier: Apache-2.0 */
#include "node/founding.h"

#include <stdio.h>

#include "base/mem.h"
#include "node/founding_wire.h"
#include "testkit/test.h"

enum { A = 0xa1, B = 0xb2, C = 0xc3, CLUSTER = 0x777 };

static const char *const three[] = {"h1:1", "h2:1", "h3:1"};

struct fixture {
    struct founding *founding;
    struct founding_actions actions;
    uint64_t now_ms;
    uint64_t random;   /* of the last event */
    uint64_t asked[3]; /* number of the last question to each of the three */
    struct err err;
};

static struct founding_member member(uint64_t id, const char *name, const char *address)
{
    struct founding_member m = {.directory_id = id};
    (void)snprintf(m.name, sizeof m.name, "%s", name);
    (void)snprintf(m.peer_address, sizeof m.peer_address, "%s", address);
    (void)snprintf(m.client_address, sizeof m.client_address, "%s", "client:1");
    return m;
}

static struct founding_peers peers_of(const char *const *addresses, size_t count)
{
    struct founding_peers peers;
    struct err e = {0};
    REQUIRE_OK(founding_peers_make(addresses, count, &peers, &e));
    return peers;
}

static struct fixture *open_with(const struct founding_options *options)
{
    struct fixture *f = mem_zalloc(sizeof *f);
    f->now_ms = 1000;
    f->random = 1;
    REQUIRE_OK(founding_open(options, &f->founding, &f->err));
    return f;
}

/* An empty node, number 0 to 2 of the three. */
static struct fixture *node(size_t number)
{
    static const uint64_t ids[] = {A, B, C};
    static const char *const names[] = {"n1", "n2", "n3"};
    struct founding_peers peers = peers_of(three, 3);
    struct founding_options options = {.self = member(ids[number], names[number], three[number]),
                                       .peers = &peers};
    return open_with(&options);
}

static void fixture_close(struct fixture *f)
{
    founding_close(f->founding);
    mem_free(f);
}

static void step(struct fixture *f, struct founding_event event)
{
    event.now_ms = f->now_ms;
    event.random = ++f->random;
    founding_step(f->founding, &event, &f->actions);
    for (size_t i = 0; i < f->actions.count; i++) {
        const struct founding_action *a = &f->actions.items[i];
        for (size_t k = 0; k < 3 && a->type == FOUNDING_ASK; k++) {
            if (strcmp(a->address, three[k]) == 0) {
                f->asked[k] = a->question->question;
            }
        }
    }
}

static void tick(struct fixture *f)
{
    step(f, (struct founding_event){.type = FOUNDING_TICK});
}

static void up(struct fixture *f, const char *address)
{
    step(f, (struct founding_event){.type = FOUNDING_PEER_UP, .address = address});
}

static void down(struct fixture *f, const char *address)
{
    step(f, (struct founding_event){.type = FOUNDING_PEER_DOWN, .address = address});
}

static const struct founding_action *find_action(const struct fixture *f,
                                                 enum founding_action_type type)
{
    for (size_t i = 0; i < f->actions.count; i++) {
        if (f->actions.items[i].type == type) {
            return &f->actions.items[i];
        }
    }
    return NULL;
}

static size_t count_actions(const struct fixture *f, enum founding_action_type type)
{
    size_t count = 0;
    for (size_t i = 0; i < f->actions.count; i++) {
        count += f->actions.items[i].type == type;
    }
    return count;
}

static struct founding_answer empty_answer(uint64_t question, size_t number)
{
    static const uint64_t ids[] = {A, B, C};
    static const char *const names[] = {"n1", "n2", "n3"};
    return (struct founding_answer){.question = question,
                                    .answerer = member(ids[number], names[number], three[number]),
                                    .empty = true,
                                    .peers = peers_of(three, 3)};
}

static void answer(struct fixture *f, const struct founding_answer *a)
{
    step(f, (struct founding_event){.type = FOUNDING_ANSWER, .answer = a});
}

/* To the question that it was asked last. */
static void say_empty(struct fixture *f, size_t number)
{
    struct founding_answer a = empty_answer(f->asked[number], number);
    answer(f, &a);
}

static void ask(struct fixture *f, size_t asker)
{
    static const uint64_t ids[] = {A, B, C};
    struct founding_question q = {.question = 99,
                                  .asker = member(ids[asker], "n", three[asker]),
                                  .peers = peers_of(three, 3)};
    step(f, (struct founding_event){.type = FOUNDING_QUESTION, .question = &q});
}

/* An answer of a node that holds the cluster; its record names 'ids'. */
static struct founding_answer cluster_answer(uint64_t question, struct buf *record,
                                             const uint64_t *ids, size_t count)
{
    struct founding_answer a = empty_answer(question, 2);
    a.empty = false;
    a.cluster_id = CLUSTER;
    a.holds_entries = true;
    if (count > 0) {
        struct founding_record r = {.cluster_id = CLUSTER, .count = count};
        for (size_t i = 0; i < count; i++) {
            r.members[i] = member(ids[i], "n", three[i]);
        }
        r.configuration = bytes_str("entry one");
        founding_record_encode(&r, record);
    }
    a.record = buf_bytes(record);
    return a;
}

/* --- lists --- */

TEST(founding, a_list_of_peers_is_sorted_and_has_no_duplicates)
{
    static const char *const addresses[] = {"b:1", "a:2", "b:1", "a:1"};
    struct founding_peers peers = peers_of(addresses, 4);
    EXPECT_UINT(peers.count, 3);
    EXPECT_STR(peers.items[0], "a:1");
    EXPECT_STR(peers.items[1], "a:2");
    EXPECT_STR(peers.items[2], "b:1");
    const char *many[LIMIT_NODES_MAX + 1];
    char texts[LIMIT_NODES_MAX + 1][8];
    struct err e = {0};
    for (size_t i = 0; i <= LIMIT_NODES_MAX; i++) {
        (void)snprintf(texts[i], sizeof texts[i], "h%zu:1", i);
        many[i] = texts[i];
    }
    EXPECT_OK(founding_peers_make(many, LIMIT_NODES_MAX, &peers, &e));
    EXPECT_ERR(founding_peers_make(many, LIMIT_NODES_MAX + 1, &peers, &e), ERR_FULL);
    char address[LIMIT_ADDRESS_SIZE_MAX + 2];
    memset(address, 'x', sizeof address);
    address[LIMIT_ADDRESS_SIZE_MAX + 1] = '\0';
    many[0] = address;
    EXPECT_ERR(founding_peers_make(many, 1, &peers, &e), ERR_RANGE);
}

TEST(founding, a_list_without_its_own_address_is_refused)
{
    struct founding_peers peers = peers_of(three, 3);
    struct founding *out = NULL;
    struct err e = {0};
    struct founding_options options = {.self = member(A, "n1", "h9:1"), .peers = &peers};
    EXPECT_ERR(founding_open(&options, &out, &e), ERR_INVALID);
    EXPECT_STR(e.text, "the list of peers does not hold h9:1, the address of this node itself");
    options.self = member(A, "n1", three[0]);
    memcpy(peers.items[0], "z", 2);
    EXPECT_ERR(founding_open(&options, &out, &e), ERR_INVALID);
    EXPECT_STR(e.text, "the list of 3 peers is not in order");
}

TEST(founding, a_record_of_another_cluster_is_refused)
{
    struct founding_peers peers = peers_of(three, 3);
    struct founding *out = NULL;
    struct buf record = {0};
    struct err e = {0};
    static const uint64_t ids[] = {A};
    (void)cluster_answer(1, &record, ids, 1);
    struct founding_options options = {.self = member(A, "n1", three[0]),
                                       .peers = &peers,
                                       .cluster_id = CLUSTER + 1,
                                       .record = buf_bytes(&record)};
    EXPECT_ERR(founding_open(&options, &out, &e), ERR_INVALID);
    EXPECT_STR(e.text, "the founding record is not that of cluster 0000000000000778");
    options.cluster_id = CLUSTER;
    EXPECT_OK(founding_open(&options, &out, &e));
    EXPECT(founding_is_settled(out));
    founding_close(out);
    buf_deinit(&record);
}

/* --- founding --- */

TEST(founding, a_node_alone_founds_at_once)
{
    for (size_t count = 0; count <= 1; count++) {
        struct founding_peers peers = peers_of(three, count);
        struct founding_options options = {.self = member(A, "n1", three[0]), .peers = &peers};
        struct fixture *f = open_with(&options);
        tick(f);
        const struct founding_action *found = find_action(f, FOUNDING_FOUND);
        REQUIRE(found != NULL);
        EXPECT_UINT(f->actions.count, 1);
        EXPECT_UINT(found->record->cluster_id, f->random);
        EXPECT_UINT(found->record->count, 1);
        EXPECT_UINT(found->record->members[0].directory_id, A);
        tick(f);
        EXPECT_UINT(f->actions.count, 0);
        fixture_close(f);
    }
}

TEST(founding, the_first_founds_when_all_others_said_empty)
{
    struct fixture *f = node(0);
    up(f, three[1]);
    up(f, three[2]);
    say_empty(f, 1);
    EXPECT(find_action(f, FOUNDING_FOUND) == NULL);
    say_empty(f, 2);
    const struct founding_action *found = find_action(f, FOUNDING_FOUND);
    REQUIRE(found != NULL);
    EXPECT_UINT(found->record->cluster_id, f->random);
    EXPECT_UINT(found->record->count, 3);
    EXPECT_UINT(found->record->members[0].directory_id, A);
    EXPECT_UINT(found->record->members[1].directory_id, B);
    EXPECT_UINT(found->record->members[2].directory_id, C);
    EXPECT_STR(found->record->members[2].name, "n3");
    EXPECT_STR(found->record->members[2].peer_address, "h3:1");
    EXPECT_STR(founding_text(f->founding), "");
    fixture_close(f);
}

TEST(founding, it_waits_for_every_listed_peer_and_says_for_whom)
{
    struct fixture *f = node(0);
    tick(f);
    const struct founding_action *wait = find_action(f, FOUNDING_WAIT);
    REQUIRE(wait != NULL);
    EXPECT_STR(wait->text, "cluster is not founded yet, 1 of 3 nodes are there; no answer yet from "
                           "h2:1, h3:1");
    tick(f);
    EXPECT(find_action(f, FOUNDING_WAIT) == NULL); /* nothing new */
    up(f, three[1]);
    say_empty(f, 1);
    EXPECT_STR(founding_text(f->founding),
               "cluster is not founded yet, 2 of 3 nodes are there; no answer yet from h3:1");
    EXPECT(find_action(f, FOUNDING_FOUND) == NULL);
    fixture_close(f);
}

TEST(founding, nobody_but_the_first_of_the_list_founds)
{
    struct fixture *f = node(1);
    up(f, three[0]);
    up(f, three[2]);
    say_empty(f, 0);
    EXPECT_STR(founding_text(f->founding), "waits for h1:1, the first of the list, to found the "
                                           "cluster; no answer yet from h3:1");
    say_empty(f, 2);
    EXPECT(find_action(f, FOUNDING_FOUND) == NULL);
    EXPECT_STR(founding_text(f->founding),
               "waits for h1:1, the first of the list, to found the cluster");
    fixture_close(f);
}

TEST(founding, an_answer_counts_only_for_the_question_that_is_open)
{
    struct fixture *f = node(0);
    up(f, three[1]);
    up(f, three[2]);
    say_empty(f, 1);
    struct founding_answer a = empty_answer(f->asked[2] + 1, 2);
    answer(f, &a);
    a.question = 0;
    answer(f, &a);
    EXPECT(find_action(f, FOUNDING_FOUND) == NULL);
    EXPECT(f->asked[1] != f->asked[2]);
    a.question = f->asked[1]; /* asked of another */
    answer(f, &a);
    EXPECT(find_action(f, FOUNDING_FOUND) == NULL);
    say_empty(f, 1);
    say_empty(f, 2);
    EXPECT(find_action(f, FOUNDING_FOUND) != NULL);
    fixture_close(f);
}

TEST(founding, an_answer_is_forgotten_with_its_link)
{
    struct fixture *f = node(0);
    up(f, three[1]);
    up(f, three[2]);
    say_empty(f, 1);
    down(f, three[1]);
    say_empty(f, 2);
    EXPECT(find_action(f, FOUNDING_FOUND) == NULL);
    struct founding_answer late = empty_answer(f->asked[1], 1);
    answer(f, &late);
    EXPECT(find_action(f, FOUNDING_FOUND) == NULL);
    up(f, three[1]);
    answer(f, &late); /* asked on a link before this one */
    EXPECT(find_action(f, FOUNDING_FOUND) == NULL);
    say_empty(f, 1);
    EXPECT(find_action(f, FOUNDING_FOUND) != NULL);
    fixture_close(f);
}

TEST(founding, two_nodes_of_one_name_are_refused)
{
    struct fixture *f = node(0);
    up(f, three[1]);
    up(f, three[2]);
    struct founding_answer twin = empty_answer(f->asked[1], 1);
    memcpy(twin.answerer.name, "n3", 3);
    answer(f, &twin);
    say_empty(f, 2);
    EXPECT(find_action(f, FOUNDING_FOUND) == NULL);
    EXPECT_STR(founding_text(f->founding),
               "h2:1 and h3:1 are both named n3: give each node a name of its own");
    twin = empty_answer(f->asked[1], 1);
    twin.answerer.directory_id = C;
    answer(f, &twin);
    EXPECT_STR(founding_text(f->founding), "h2:1 and h3:1 are the same node");
    say_empty(f, 1); /* mended */
    EXPECT(find_action(f, FOUNDING_FOUND) != NULL);
    fixture_close(f);
}

TEST(founding, lists_that_differ_are_refused)
{
    struct fixture *f = node(0);
    up(f, three[1]);
    up(f, three[2]);
    struct founding_answer other = empty_answer(f->asked[1], 1);
    other.peers_differ = true;
    other.peers = peers_of(three, 2);
    answer(f, &other);
    say_empty(f, 2);
    EXPECT(find_action(f, FOUNDING_FOUND) == NULL);
    EXPECT_STR(founding_text(f->founding),
               "h2:1 was started with other peers (h1:1, h2:1) than this node (h1:1, h2:1, h3:1): "
               "give all nodes the same list");

    struct founding_question q = {
        .question = 5, .asker = member(B, "n2", three[1]), .peers = peers_of(three, 2)};
    step(f, (struct founding_event){.type = FOUNDING_QUESTION, .question = &q});
    const struct founding_action *reply = find_action(f, FOUNDING_REPLY);
    REQUIRE(reply != NULL);
    EXPECT(reply->answer->empty);
    EXPECT(reply->answer->peers_differ);
    EXPECT_UINT(reply->answer->peers.count, 3);
    fixture_close(f);
}

TEST(founding, a_peer_that_answers_under_another_address_is_named)
{
    struct fixture *f = node(0);
    up(f, three[1]);
    up(f, three[2]);
    say_empty(f, 2);
    struct founding_answer stranger = empty_answer(f->asked[1], 1);
    memcpy(stranger.answerer.peer_address, "other:1", 8);
    answer(f, &stranger);
    EXPECT(find_action(f, FOUNDING_FOUND) == NULL);
    EXPECT_STR(founding_text(f->founding),
               "h2:1 answers as other:1: its advertise-peer is not as in the list of peers");
    say_empty(f, 1); /* mended */
    EXPECT(find_action(f, FOUNDING_FOUND) != NULL);
    fixture_close(f);
}

TEST(founding, more_nodes_than_can_vote_join_but_do_not_found)
{
    const char *addresses[LIMIT_VOTERS_MAX + 1];
    char texts[LIMIT_VOTERS_MAX + 1][8];
    for (size_t i = 0; i <= LIMIT_VOTERS_MAX; i++) {
        (void)snprintf(texts[i], sizeof texts[i], "h%zu:1", i);
        addresses[i] = texts[i];
    }
    struct founding_peers peers = peers_of(addresses, LIMIT_VOTERS_MAX + 1);
    struct founding_options options = {.self = member(0x100, "n0", texts[0]), .peers = &peers};
    struct fixture *f = open_with(&options);
    for (size_t i = 1; i <= LIMIT_VOTERS_MAX; i++) {
        up(f, texts[i]);
        const struct founding_action *asked = find_action(f, FOUNDING_ASK);
        REQUIRE(asked != NULL);
        struct founding_answer a = {.question = asked->question->question,
                                    .answerer = member(0x100 + i, texts[i], texts[i]),
                                    .empty = true};
        answer(f, &a);
    }
    EXPECT(find_action(f, FOUNDING_FOUND) == NULL);
    EXPECT_STR(founding_text(f->founding),
               "a cluster is founded by at most 7 nodes, the list has 8");
    fixture_close(f);
}

/* --- a cluster is there --- */

TEST(founding, a_peer_named_in_the_record_adopts_it)
{
    static const uint64_t ids[] = {A, B, C};
    struct fixture *f = node(1);
    struct buf record = {0};
    up(f, three[2]);
    struct founding_answer a = cluster_answer(f->asked[2], &record, ids, 3);
    answer(f, &a);
    const struct founding_action *adopt = find_action(f, FOUNDING_ADOPT);
    REQUIRE(adopt != NULL);
    EXPECT_UINT(adopt->record->cluster_id, CLUSTER);
    EXPECT_UINT(adopt->record->count, 3);
    EXPECT(bytes_equal(adopt->record->configuration, bytes_str("entry one")));
    struct buf again = {0}; /* what is kept and given on are the founder's bytes */
    founding_record_encode(adopt->record, &again);
    EXPECT(bytes_equal(buf_bytes(&again), buf_bytes(&record)));
    buf_deinit(&again);
    buf_deinit(&record);
    fixture_close(f);
}

TEST(founding, a_peer_that_is_not_named_joins_who_holds_entries)
{
    static const uint64_t ids[] = {A, C};
    for (size_t count = 0; count <= 2; count += 2) { /* without a record, and with one */
        struct fixture *f = node(1);
        struct buf record = {0};
        up(f, three[2]);
        struct founding_answer a = cluster_answer(f->asked[2], &record, ids, count);
        answer(f, &a);
        const struct founding_action *join = find_action(f, FOUNDING_JOIN);
        REQUIRE(join != NULL);
        EXPECT_UINT(join->record->cluster_id, CLUSTER);
        EXPECT_UINT(join->record->members[0].directory_id, C);
        buf_deinit(&record);
        fixture_close(f);
    }
}

TEST(founding, the_founder_joins_too_when_any_peer_holds_a_cluster)
{
    struct fixture *f = node(0);
    struct buf record = {0};
    up(f, three[1]);
    up(f, three[2]);
    say_empty(f, 1);
    struct founding_answer a = cluster_answer(f->asked[2], &record, NULL, 0);
    answer(f, &a);
    EXPECT(find_action(f, FOUNDING_JOIN) != NULL);
    say_empty(f, 2);
    EXPECT_UINT(f->actions.count, 0);
    buf_deinit(&record);
    fixture_close(f);
}

TEST(founding, one_that_holds_nothing_of_its_cluster_is_neither_empty_nor_joined)
{
    struct fixture *f = node(0);
    struct buf record = {0};
    up(f, three[1]);
    up(f, three[2]);
    say_empty(f, 1);
    struct founding_answer a = cluster_answer(f->asked[2], &record, NULL, 0);
    a.holds_entries = false;
    answer(f, &a);
    EXPECT_UINT(count_actions(f, FOUNDING_WAIT), 1);
    EXPECT_UINT(f->actions.count, 1);
    EXPECT_STR(founding_text(f->founding),
               "cluster is not founded yet, 2 of 3 nodes are there; joined a cluster but hold "
               "nothing of it yet: h3:1");
    buf_deinit(&record);
    fixture_close(f);
}

TEST(founding, a_record_that_is_damaged_or_of_another_cluster_is_ignored)
{
    static const uint64_t ids[] = {A, B, C};
    struct fixture *f = node(1);
    struct buf record = {0};
    up(f, three[2]);
    struct founding_answer a = cluster_answer(f->asked[2], &record, ids, 3);
    struct founding_answer bad = a;
    bad.record.size--;
    answer(f, &bad);
    EXPECT(find_action(f, FOUNDING_ADOPT) == NULL);
    EXPECT(find_action(f, FOUNDING_JOIN) == NULL);
    bad = a;
    bad.cluster_id++;
    answer(f, &bad);
    EXPECT(find_action(f, FOUNDING_ADOPT) == NULL);
    EXPECT(find_action(f, FOUNDING_JOIN) == NULL);
    answer(f, &a);
    EXPECT(find_action(f, FOUNDING_ADOPT) != NULL);
    buf_deinit(&record);
    fixture_close(f);
}

/* --- answering --- */

/* The execution that the rule closes: B asks C, which still holds a cluster; C is
 * wiped; A asks B, hears "empty", and founds with B and C; then C's old answer
 * reaches B. */
TEST(founding, saying_empty_to_the_founder_voids_the_own_questions)
{
    struct fixture *f = node(1);
    struct buf record = {0};
    up(f, three[0]);
    up(f, three[2]);
    struct founding_answer late = cluster_answer(f->asked[2], &record, NULL, 0);
    ask(f, 0);
    const struct founding_action *reply = find_action(f, FOUNDING_REPLY);
    REQUIRE(reply != NULL);
    EXPECT(reply->answer->empty);
    EXPECT_UINT(reply->answer->question, 99);
    EXPECT_UINT(reply->answer->answerer.directory_id, B);
    answer(f, &late);
    EXPECT(find_action(f, FOUNDING_JOIN) == NULL);
    EXPECT(f->asked[0] != 0 && f->asked[2] != late.question); /* asked anew */
    buf_deinit(&record);
    fixture_close(f);
}

TEST(founding, saying_empty_to_another_voids_nothing)
{
    struct fixture *f = node(1);
    struct buf record = {0};
    up(f, three[0]);
    up(f, three[2]);
    struct founding_answer a = cluster_answer(f->asked[2], &record, NULL, 0);
    ask(f, 2);
    EXPECT(find_action(f, FOUNDING_REPLY) != NULL);
    answer(f, &a);
    EXPECT(find_action(f, FOUNDING_JOIN) != NULL);
    buf_deinit(&record);
    fixture_close(f);
}

TEST(founding, between_decision_and_durability_it_answers_nobody)
{
    struct founding_peers peers = peers_of(three, 1);
    struct founding_options options = {.self = member(A, "n1", three[0]), .peers = &peers};
    struct fixture *f = open_with(&options);
    tick(f);
    uint64_t cluster = find_action(f, FOUNDING_FOUND)->record->cluster_id;
    ask(f, 1);
    EXPECT_UINT(f->actions.count, 0);

    founding_settle(f->founding, cluster, bytes_str("record"));
    EXPECT(founding_is_settled(f->founding));
    ask(f, 1);
    const struct founding_action *reply = find_action(f, FOUNDING_REPLY);
    REQUIRE(reply != NULL);
    EXPECT(!reply->answer->empty);
    EXPECT(!reply->answer->peers_differ); /* a list matters only for founding */
    EXPECT_UINT(reply->answer->cluster_id, cluster);
    EXPECT(reply->answer->holds_entries);
    EXPECT(bytes_equal(reply->answer->record, bytes_str("record")));
    fixture_close(f);
}

TEST(founding, a_joined_node_holds_entries_once_it_is_told)
{
    struct fixture *f = node(1);
    struct buf record = {0};
    up(f, three[2]);
    struct founding_answer a = cluster_answer(f->asked[2], &record, NULL, 0);
    answer(f, &a);
    founding_settle(f->founding, CLUSTER, bytes_of(NULL, 0));
    ask(f, 0);
    EXPECT(!find_action(f, FOUNDING_REPLY)->answer->holds_entries);
    founding_set_holds_entries(f->founding);
    ask(f, 0);
    EXPECT(find_action(f, FOUNDING_REPLY)->answer->holds_entries);
    buf_deinit(&record);
    fixture_close(f);
}

/* A directory is not empty: it never asks, whatever happens. */
TEST(founding, a_settled_node_only_answers)
{
    struct founding_peers peers = peers_of(three, 3);
    struct founding_options options = {
        .self = member(A, "n1", three[0]), .peers = &peers, .cluster_id = CLUSTER};
    struct fixture *f = open_with(&options);
    up(f, three[1]);
    f->now_ms += 10000;
    tick(f);
    say_empty(f, 1);
    say_empty(f, 2);
    EXPECT_UINT(f->actions.count, 0);
    EXPECT_STR(founding_text(f->founding), "");
    fixture_close(f);
}

TEST(founding, its_own_words_do_not_count)
{
    struct fixture *f = node(0);
    up(f, three[1]);
    up(f, three[2]);
    struct founding_answer own = empty_answer(f->asked[1], 1);
    own.answerer.directory_id = A;
    answer(f, &own);
    say_empty(f, 2);
    EXPECT(find_action(f, FOUNDING_FOUND) == NULL);
    ask(f, 0);
    EXPECT(find_action(f, FOUNDING_REPLY) == NULL);
    fixture_close(f);
}

/* --- when it asks --- */

TEST(founding, it_asks_who_is_connected_at_intervals)
{
    struct fixture *f = node(1);
    tick(f);
    EXPECT_UINT(count_actions(f, FOUNDING_ASK), 0);
    up(f, three[0]);
    EXPECT_UINT(count_actions(f, FOUNDING_ASK), 1);
    EXPECT_STR(find_action(f, FOUNDING_ASK)->address, three[0]);
    EXPECT_UINT(find_action(f, FOUNDING_ASK)->question->peers.count, 3);
    EXPECT_UINT(find_action(f, FOUNDING_ASK)->question->asker.directory_id, B);
    up(f, "h9:1"); /* not in the list */
    up(f, three[1]);
    EXPECT_UINT(count_actions(f, FOUNDING_ASK), 0);
    f->now_ms += FOUNDING_ASK_INTERVAL_MS - 1;
    tick(f);
    EXPECT_UINT(count_actions(f, FOUNDING_ASK), 0);
    f->now_ms++;
    tick(f);
    EXPECT_UINT(count_actions(f, FOUNDING_ASK), 1);
    down(f, three[0]);
    f->now_ms += 10000;
    tick(f);
    EXPECT_UINT(count_actions(f, FOUNDING_ASK), 0);
    fixture_close(f);
}

TEST(founding, the_founder_rarely_asks_again_who_said_empty)
{
    struct fixture *f = node(0);
    up(f, three[1]);
    say_empty(f, 1);
    f->now_ms += FOUNDING_ASK_AGAIN_MS - 1;
    tick(f);
    EXPECT_UINT(count_actions(f, FOUNDING_ASK), 0);
    f->now_ms++;
    tick(f);
    EXPECT_UINT(count_actions(f, FOUNDING_ASK), 1);
    fixture_close(f);
}

/* --- forming --- */

TEST(founding, it_is_formed_when_every_voter_holds_the_first_entry)
{
    struct founding_voter voters[] = {{"n1", 5}, {"n2", 0}, {"n3", 0}};
    char text[FOUNDING_TEXT_SIZE];
    EXPECT(!founding_is_formed(voters, 3, text));
    EXPECT_STR(text, "cluster is forming, 1 of 3: waits for n2, n3");
    voters[2].match_index = 1;
    EXPECT(!founding_is_formed(voters, 3, text));
    EXPECT_STR(text, "cluster is forming, 2 of 3: waits for n2");
    voters[1].match_index = 1;
    EXPECT(founding_is_formed(voters, 3, text));
    EXPECT(founding_is_formed(voters, 1, text));
    EXPECT(!founding_is_formed(voters, 0, text));
}

/* Any text fits, however long the addresses are. */
TEST(founding, a_long_text_is_cut)
{
    const char *addresses[3];
    char texts[3][LIMIT_ADDRESS_SIZE_MAX + 1];
    for (size_t i = 0; i < 3; i++) {
        memset(texts[i], 'a' + (int)i, LIMIT_ADDRESS_SIZE_MAX);
        texts[i][LIMIT_ADDRESS_SIZE_MAX] = '\0';
        addresses[i] = texts[i];
    }
    struct founding_peers peers = peers_of(addresses, 3);
    struct founding_options options = {.self = member(A, "n1", texts[0]), .peers = &peers};
    struct fixture *f = open_with(&options);
    tick(f);
    EXPECT_UINT(strlen(founding_text(f->founding)), FOUNDING_TEXT_SIZE - 1);
    fixture_close(f);
}
