/* SPDX-License-Identifier: Apache-2.0 */
#include "node/founding_wire.h"

#include <stdio.h>

#include "base/mem.h"
#include "proto/tidemark/peer/v1/peer.pb-c.h"
#include "testkit/test.h"

static struct founding_member member(uint64_t id, const char *name)
{
    struct founding_member m = {.directory_id = id};
    (void)snprintf(m.name, sizeof m.name, "%s", name);
    (void)snprintf(m.peer_address, sizeof m.peer_address, "%s:7071", name);
    (void)snprintf(m.client_address, sizeof m.client_address, "%s:7070", name);
    return m;
}

static struct founding_peers peers(void)
{
    return (struct founding_peers){.count = 2, .items = {"n1:7071", "n2:7071"}};
}

static struct founding_record record(void)
{
    struct founding_record r = {.cluster_id = 0x1122334455667788, .count = 2};
    r.members[0] = member(1, "n1");
    r.members[1] = member(UINT64_MAX, "n2");
    r.configuration = bytes_str("entry one");
    return r;
}

static bool members_equal(const struct founding_member *a, const struct founding_member *b)
{
    return a->directory_id == b->directory_id && strcmp(a->name, b->name) == 0 &&
           strcmp(a->peer_address, b->peer_address) == 0 &&
           strcmp(a->client_address, b->client_address) == 0;
}

TEST(founding_wire, a_record_comes_back)
{
    struct founding_record r = record();
    struct founding_record back;
    struct buf b = {0};
    struct err e = {0};
    founding_record_encode(&r, &b);
    REQUIRE_OK(founding_record_decode(buf_bytes(&b), &back, &e));
    EXPECT_UINT(back.cluster_id, r.cluster_id);
    EXPECT_UINT(back.count, 2);
    EXPECT(members_equal(&back.members[0], &r.members[0]));
    EXPECT(members_equal(&back.members[1], &r.members[1]));
    EXPECT(bytes_equal(back.configuration, r.configuration));
    EXPECT(back.configuration.data > b.data && back.configuration.data < b.data + b.size);
    buf_deinit(&b);
}

/* The numbers of the fields are those of peer.proto. */
TEST(founding_wire, a_record_is_what_the_generated_code_reads)
{
    struct founding_record r = record();
    struct buf b = {0};
    founding_record_encode(&r, &b);
    Tidemark__Peer__V1__Founding *m = tidemark__peer__v1__founding__unpack(NULL, b.size, b.data);
    REQUIRE(m != NULL);
    EXPECT_UINT(m->cluster_id, r.cluster_id);
    REQUIRE_UINT(m->n_founders, 2);
    EXPECT_UINT(m->founders[1]->directory_id, UINT64_MAX);
    EXPECT_STR(m->founders[1]->name, "n2");
    EXPECT_STR(m->founders[1]->peer_address, "n2:7071");
    EXPECT_STR(m->founders[1]->client_address, "n2:7070");
    EXPECT(bytes_equal(bytes_of(m->configuration.data, m->configuration.len), r.configuration));
    tidemark__peer__v1__founding__free_unpacked(m, NULL);
    buf_deinit(&b);
}

TEST(founding_wire, a_question_is_what_the_generated_code_reads_and_comes_back)
{
    struct founding_question q = {.question = 77, .asker = member(5, "n5"), .peers = peers()};
    struct founding_question back;
    struct buf b = {0};
    struct err e = {0};
    founding_question_encode(&q, &b);
    Tidemark__Peer__V1__FoundQuestion *m =
        tidemark__peer__v1__found_question__unpack(NULL, b.size, b.data);
    REQUIRE(m != NULL);
    EXPECT_UINT(m->question, 77);
    REQUIRE_UINT(m->n_peers, 2);
    EXPECT_STR(m->peers[1], "n2:7071");
    EXPECT_UINT(m->asker->directory_id, 5);
    tidemark__peer__v1__found_question__free_unpacked(m, NULL);

    REQUIRE_OK(founding_question_decode(buf_bytes(&b), &back, &e));
    EXPECT_UINT(back.question, 77);
    EXPECT(members_equal(&back.asker, &q.asker));
    EXPECT_UINT(back.peers.count, 2);
    EXPECT_STR(back.peers.items[0], "n1:7071");
    buf_deinit(&b);
}

TEST(founding_wire, an_answer_is_what_the_generated_code_reads_and_comes_back)
{
    struct founding_answer a = {.question = 78,
                                .answerer = member(6, "n6"),
                                .cluster_id = 9,
                                .holds_entries = true,
                                .record = bytes_str("a record"),
                                .peers = peers()};
    struct founding_answer back;
    struct buf b = {0};
    struct err e = {0};
    founding_answer_encode(&a, &b);
    Tidemark__Peer__V1__FoundAnswer *m =
        tidemark__peer__v1__found_answer__unpack(NULL, b.size, b.data);
    REQUIRE(m != NULL);
    EXPECT_UINT(m->question, 78);
    EXPECT(!m->empty && !m->peers_differ && m->holds_entries);
    EXPECT_UINT(m->cluster_id, 9);
    EXPECT_UINT(m->founding.len, 8);
    EXPECT_STR(m->answerer->name, "n6");
    EXPECT_UINT(m->n_peers, 2);
    tidemark__peer__v1__found_answer__free_unpacked(m, NULL);

    REQUIRE_OK(founding_answer_decode(buf_bytes(&b), &back, &e));
    EXPECT_UINT(back.question, 78);
    EXPECT(!back.empty && !back.peers_differ && back.holds_entries);
    EXPECT_UINT(back.cluster_id, 9);
    EXPECT(bytes_equal(back.record, a.record));
    EXPECT(members_equal(&back.answerer, &a.answerer));
    EXPECT_UINT(back.peers.count, 2);

    buf_reset(&b);
    a = (struct founding_answer){
        .question = 1, .answerer = member(6, "n6"), .empty = true, .peers_differ = true};
    founding_answer_encode(&a, &b);
    REQUIRE_OK(founding_answer_decode(buf_bytes(&b), &back, &e));
    EXPECT(back.empty && back.peers_differ && !back.holds_entries);
    EXPECT_UINT(back.record.size, 0);
    buf_deinit(&b);
}

TEST(founding_wire, nothing_cut_is_taken_for_whole)
{
    struct founding_answer a = {.question = 78,
                                .answerer = member(6, "n6"),
                                .cluster_id = 9,
                                .record = bytes_str("a record")};
    struct founding_answer back;
    struct buf b = {0};
    founding_answer_encode(&a, &b);
    for (size_t size = 0; size < b.size; size++) {
        EXPECT_ERR(founding_answer_decode(bytes_of(b.data, size), &back, NULL), ERR_CORRUPT);
    }
    buf_deinit(&b);
}

/* Made with the generated code: what our own encoder would never say. */
static enum err_code decode_question(Tidemark__Peer__V1__FoundQuestion *m, struct err *e)
{
    struct founding_question out;
    struct buf b = {0};
    size_t size = tidemark__peer__v1__found_question__get_packed_size(m);
    (void)tidemark__peer__v1__found_question__pack(m, buf_extend(&b, size));
    enum err_code code = founding_question_decode(buf_bytes(&b), &out, e);
    buf_deinit(&b);
    return code;
}

TEST(founding_wire, texts_and_lists_are_bounded)
{
    Tidemark__Peer__V1__FoundQuestion q;
    tidemark__peer__v1__found_question__init(&q);
    Tidemark__Peer__V1__Founder asker;
    tidemark__peer__v1__founder__init(&asker);
    char name[LIMIT_NAME_SIZE_MAX + 2];
    char address[] = "n:1";
    char *list[LIMIT_NODES_MAX + 1];
    struct err e = {0};
    memset(name, 'n', sizeof name);
    name[LIMIT_NAME_SIZE_MAX + 1] = '\0';
    for (size_t i = 0; i <= LIMIT_NODES_MAX; i++) {
        list[i] = address;
    }
    q.question = 1;
    q.asker = &asker;
    asker.directory_id = 4;
    EXPECT_OK(decode_question(&q, &e));
    asker.name = name;
    EXPECT_ERR(decode_question(&q, &e), ERR_CORRUPT);
    name[LIMIT_NAME_SIZE_MAX] = '\0';
    EXPECT_OK(decode_question(&q, &e));
    q.peers = list;
    q.n_peers = LIMIT_NODES_MAX;
    EXPECT_OK(decode_question(&q, &e));
    q.n_peers++;
    EXPECT_ERR(decode_question(&q, &e), ERR_CORRUPT);
    q.n_peers = 0;
    asker.directory_id = 0;
    EXPECT_ERR(decode_question(&q, &e), ERR_CORRUPT);
    asker.directory_id = 4;
    q.question = 0;
    EXPECT_ERR(decode_question(&q, &e), ERR_CORRUPT);
    q.question = 1;
    q.asker = NULL;
    EXPECT_ERR(decode_question(&q, &e), ERR_CORRUPT);
    EXPECT_CONTAINS(e.text, "can't be read");
}

static enum err_code decode_answer(Tidemark__Peer__V1__FoundAnswer *m)
{
    struct founding_answer out;
    struct buf b = {0};
    size_t size = tidemark__peer__v1__found_answer__get_packed_size(m);
    (void)tidemark__peer__v1__found_answer__pack(m, buf_extend(&b, size));
    enum err_code code = founding_answer_decode(buf_bytes(&b), &out, NULL);
    buf_deinit(&b);
    return code;
}

TEST(founding_wire, an_answer_is_either_empty_or_names_a_cluster)
{
    Tidemark__Peer__V1__FoundAnswer a;
    tidemark__peer__v1__found_answer__init(&a);
    Tidemark__Peer__V1__Founder answerer;
    tidemark__peer__v1__founder__init(&answerer);
    answerer.directory_id = 3;
    a.answerer = &answerer;
    a.question = 1;
    EXPECT_ERR(decode_answer(&a), ERR_CORRUPT);
    a.empty = true;
    EXPECT_OK(decode_answer(&a));
    a.cluster_id = 5;
    EXPECT_ERR(decode_answer(&a), ERR_CORRUPT);
    a.empty = false;
    EXPECT_OK(decode_answer(&a));
}

TEST(founding_wire, a_record_has_founders_and_a_size)
{
    Tidemark__Peer__V1__Founding m;
    tidemark__peer__v1__founding__init(&m);
    Tidemark__Peer__V1__Founder founder;
    tidemark__peer__v1__founder__init(&founder);
    Tidemark__Peer__V1__Founder *founders[LIMIT_VOTERS_MAX + 1];
    struct founding_record out;
    static const size_t counts[] = {0, 1, LIMIT_VOTERS_MAX, LIMIT_VOTERS_MAX + 1};
    founder.directory_id = 8;
    for (size_t i = 0; i <= LIMIT_VOTERS_MAX; i++) {
        founders[i] = &founder;
    }
    m.cluster_id = 1;
    m.founders = founders;
    for (size_t i = 0; i < 4; i++) {
        struct buf b = {0};
        m.n_founders = counts[i];
        size_t size = tidemark__peer__v1__founding__get_packed_size(&m);
        (void)tidemark__peer__v1__founding__pack(&m, buf_extend(&b, size));
        bool good = counts[i] >= 1 && counts[i] <= LIMIT_VOTERS_MAX;
        EXPECT_ERR(founding_record_decode(buf_bytes(&b), &out, NULL), good ? ERR_OK : ERR_CORRUPT);
        buf_deinit(&b);
    }
    static const uint8_t large[FOUNDING_RECORD_SIZE_MAX + 1] = {0};
    struct err e = {0};
    EXPECT_ERR(founding_record_decode(bytes_of(large, sizeof large), &out, &e), ERR_CORRUPT);
    EXPECT_STR(e.text, "founding record of 8193 bytes");
}

/* The largest record that can be made fits where it is kept. */
TEST(founding_wire, the_largest_record_fits)
{
    struct founding_record r = {.cluster_id = 1, .count = LIMIT_VOTERS_MAX};
    uint8_t configuration[LIMIT_VOTERS_MAX * (LIMIT_ADDRESS_SIZE_MAX + 32)] = {0};
    struct buf b = {0};
    for (size_t i = 0; i < LIMIT_VOTERS_MAX; i++) {
        r.members[i].directory_id = 1 + i;
        memset(r.members[i].name, 'n', LIMIT_NAME_SIZE_MAX);
        memset(r.members[i].peer_address, 'p', LIMIT_ADDRESS_SIZE_MAX);
        memset(r.members[i].client_address, 'c', LIMIT_ADDRESS_SIZE_MAX);
    }
    r.configuration = bytes_of(configuration, sizeof configuration);
    founding_record_encode(&r, &b);
    EXPECT(b.size <= FOUNDING_RECORD_SIZE_MAX);
    struct founding_record back;
    EXPECT_OK(founding_record_decode(buf_bytes(&b), &back, NULL));
    EXPECT_UINT(back.count, LIMIT_VOTERS_MAX);
    buf_deinit(&b);
}
