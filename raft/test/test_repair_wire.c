/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/repair_wire.h"

#include "base/mem.h"
#include "proto/tidemark/peer/v1/repair.pb-c.h"
#include "proto/wire.h"
#include "testkit/test.h"

/* ---- the question ---- */

static struct repair_question sample_question(void)
{
    return (struct repair_question){
        .question = UINT64_C(0x0123456789abcdef),
        .term_above = 7,
        .insist = true,
        .ranges = {{4, 2}, {9, 0}},
        .range_count = 2,
        .wants = {{5, 3, 2}},
        .want_count = 1,
    };
}

TEST(repair_wire, a_question_comes_back_as_it_went)
{
    struct repair_question q = sample_question();
    struct repair_question back;
    struct buf b = {0};
    repair_question_encode(&q, &b);
    REQUIRE_OK(repair_question_decode(buf_bytes(&b), &back, NULL));
    EXPECT_UINT(back.question, q.question);
    EXPECT_UINT(back.term_above, 7);
    EXPECT(back.insist);
    REQUIRE_UINT(back.range_count, 2);
    EXPECT_UINT(back.ranges[0].first, 4);
    EXPECT_UINT(back.ranges[0].count, 2);
    EXPECT_UINT(back.ranges[1].first, 9);
    EXPECT_UINT(back.ranges[1].count, 0);
    REQUIRE_UINT(back.want_count, 1);
    EXPECT_UINT(back.wants[0].index, 5);
    EXPECT_UINT(back.wants[0].count, 3);
    EXPECT_UINT(back.wants[0].term, 2);
    buf_deinit(&b);
}

/* Written by hand, read by the code that protoc-c made of the .proto file. */
TEST(repair_wire, a_question_is_what_the_proto_file_says)
{
    struct repair_question q = sample_question();
    struct buf b = {0};
    repair_question_encode(&q, &b);
    Tidemark__Peer__V1__RepairQuestion *m =
        tidemark__peer__v1__repair_question__unpack(NULL, b.size, b.data);
    REQUIRE(m != NULL);
    EXPECT_UINT(m->question, q.question);
    EXPECT_UINT(m->term_above, 7);
    EXPECT(m->insist);
    REQUIRE_UINT(m->n_ranges, 2);
    EXPECT_UINT(m->ranges[1]->first, 9);
    REQUIRE_UINT(m->n_wants, 1);
    EXPECT_UINT(m->wants[0]->index, 5);
    EXPECT_UINT(m->wants[0]->count, 3);
    EXPECT_UINT(m->wants[0]->term, 2);
    tidemark__peer__v1__repair_question__free_unpacked(m, NULL);
    buf_deinit(&b);
}

static enum err_code decode_question(struct repair_question q, uint64_t first, uint64_t count)
{
    struct repair_question back;
    struct buf b = {0};
    repair_question_encode(&q, &b);
    size_t mark = wire_begin(&b, 4); /* one more range */
    wire_put_uint(&b, 1, first);
    wire_put_uint(&b, 2, count);
    wire_end(&b, mark);
    enum err_code code = repair_question_decode(buf_bytes(&b), &back, NULL);
    buf_deinit(&b);
    return code;
}

TEST(repair_wire, ranges_ascend_and_do_not_overlap)
{
    struct repair_question q = {.question = 1, .ranges = {{4, 2}}, .range_count = 1};
    EXPECT_ERR(decode_question(q, 5, 1), ERR_CORRUPT);
    EXPECT_OK(decode_question(q, 6, 1));
    EXPECT_ERR(decode_question(q, 0, 1), ERR_CORRUPT);
    EXPECT_ERR(decode_question(q, UINT64_MAX, 1), ERR_CORRUPT);
    q.ranges[0].count = 0; /* to the end: nothing can follow */
    EXPECT_ERR(decode_question(q, 100, 1), ERR_CORRUPT);
    q.range_count = LIMIT_REPAIR_RANGES;
    for (size_t i = 0; i < q.range_count; i++) {
        q.ranges[i] = (struct repair_range){1 + 2 * i, 1};
    }
    EXPECT_ERR(decode_question(q, 1000, 1), ERR_CORRUPT); /* one too many */
}

static enum err_code decode_want(uint64_t index, uint64_t count, uint64_t term, size_t times)
{
    struct repair_question back;
    struct buf b = {0};
    wire_put_fixed64(&b, 1, 1);
    for (size_t i = 0; i < times; i++) {
        size_t mark = wire_begin(&b, 5);
        wire_put_uint(&b, 1, index);
        wire_put_uint(&b, 2, count);
        wire_put_uint(&b, 3, term);
        wire_end(&b, mark);
    }
    enum err_code code = repair_question_decode(buf_bytes(&b), &back, NULL);
    buf_deinit(&b);
    return code;
}

TEST(repair_wire, a_want_names_an_entry)
{
    EXPECT_OK(decode_want(1, 1, 1, LIMIT_REPAIR_WANTS));
    EXPECT_ERR(decode_want(1, 1, 1, LIMIT_REPAIR_WANTS + 1), ERR_CORRUPT);
    EXPECT_ERR(decode_want(0, 1, 1, 1), ERR_CORRUPT);
    EXPECT_ERR(decode_want(1, 0, 1, 1), ERR_CORRUPT);
    EXPECT_ERR(decode_want(1, 1, 0, 1), ERR_CORRUPT);
}

TEST(repair_wire, a_question_has_an_id_and_a_bounded_size)
{
    struct repair_question back;
    struct buf b = {0};
    EXPECT_ERR(repair_question_decode(buf_bytes(&b), &back, NULL), ERR_CORRUPT);
    wire_put_fixed64(&b, 1, 1);
    EXPECT_OK(repair_question_decode(buf_bytes(&b), &back, NULL));
    wire_put_uint(&b, 99, 5); /* of a newer version */
    EXPECT_OK(repair_question_decode(buf_bytes(&b), &back, NULL));
    buf_put_u8(&b, 0x08); /* cut short */
    EXPECT_ERR(repair_question_decode(buf_bytes(&b), &back, NULL), ERR_CORRUPT);
    buf_put_zeros(&b, 100000);
    struct err e;
    EXPECT_ERR(repair_question_decode(buf_bytes(&b), &back, &e), ERR_CORRUPT);
    EXPECT_CONTAINS(e.text, "bytes");
    buf_deinit(&b);
}

/* ---- the answer ---- */

static struct repair_said sample_said(void)
{
    struct repair_said said = {
        .question = 99,
        .term = 8,
        .leader = 3,
        .leader_term = 8,
        .first = 5,
        .last = 20,
        .end_unknown = true,
        .cut_term = 2,
        .snapshot_index = 6,
        .snapshot_term = 3,
        .configuration_known = true,
        .configuration = {.index = 5, .count = 1, .servers = {{3, SERVER_VOTER, "n3@host:1"}}},
        .configuration_hidden = true,
    };
    slot_runs_add(&said.runs, (struct slot_run){5, 3, {.kind = SLOT_WHOLE, .term = 3}});
    slot_runs_add(&said.runs, (struct slot_run){8, 1, {.kind = SLOT_DAMAGED, .term = 3}});
    slot_runs_add(&said.runs, (struct slot_run){15, 6, {.kind = SLOT_UNKNOWN}});
    said.entries = mem_array(2, sizeof(struct entry *));
    said.entries[0] = entry_new(ENTRY_COMMAND, 5, 3, bytes_str("hello"));
    said.entries[1] = entry_new(ENTRY_BARRIER, 6, 3, (struct bytes){0});
    said.entry_count = 2;
    return said;
}

TEST(repair_wire, an_answer_comes_back_as_it_went)
{
    struct repair_said said = sample_said();
    struct repair_said back;
    struct buf b = {0};
    repair_said_encode(&said, &b);
    REQUIRE_OK(repair_said_decode(buf_bytes(&b), &back, NULL));
    EXPECT_UINT(back.question, 99);
    EXPECT_UINT(back.term, 8);
    EXPECT_UINT(back.leader, 3);
    EXPECT_UINT(back.leader_term, 8);
    EXPECT_UINT(back.first, 5);
    EXPECT_UINT(back.last, 20);
    EXPECT(back.end_unknown);
    EXPECT_UINT(back.cut_term, 2);
    EXPECT_UINT(back.snapshot_index, 6);
    EXPECT_UINT(back.snapshot_term, 3);
    REQUIRE_UINT(back.runs.count, 3);
    EXPECT_UINT(back.runs.items[2].first, 15);
    EXPECT_UINT(back.runs.items[2].count, 6);
    EXPECT(back.configuration_known && back.configuration_hidden);
    EXPECT_UINT(back.configuration.index, 5);
    EXPECT_STR(back.configuration.servers[0].address, "n3@host:1");
    REQUIRE_UINT(back.entry_count, 2);
    EXPECT_UINT(back.entries[0]->index, 5);
    EXPECT_MEM(back.entries[0]->payload, "hello", 5);
    EXPECT(back.entries[1]->type == ENTRY_BARRIER);
    repair_said_deinit(&back);
    repair_said_deinit(&said);
    buf_deinit(&b);
}

TEST(repair_wire, an_answer_is_what_the_proto_file_says)
{
    struct repair_said said = sample_said();
    struct buf b = {0};
    repair_said_encode(&said, &b);
    Tidemark__Peer__V1__RepairAnswer *m =
        tidemark__peer__v1__repair_answer__unpack(NULL, b.size, b.data);
    REQUIRE(m != NULL);
    EXPECT_UINT(m->question, 99);
    EXPECT_UINT(m->leader, 3);
    EXPECT_UINT(m->last, 20);
    EXPECT(m->end_unknown && m->configuration_hidden);
    REQUIRE_UINT(m->n_runs, 3);
    EXPECT_UINT(m->runs[1]->kind, SLOT_DAMAGED);
    EXPECT_UINT(m->runs[1]->term, 3);
    REQUIRE_UINT(m->n_entries, 2);
    EXPECT_UINT(m->entries[0]->type, ENTRY_COMMAND);
    EXPECT_UINT(m->entries[0]->payload.len, 5);
    EXPECT(m->entries[0]->crc != 0);
    EXPECT_UINT(m->configuration_index, 5);
    tidemark__peer__v1__repair_answer__free_unpacked(m, NULL);
    repair_said_deinit(&said);
    buf_deinit(&b);
}

/* Every bit of an entry's payload is under its checksum: the entry is left out. */
TEST(repair_wire, an_entry_with_a_flipped_bit_does_not_count)
{
    struct repair_said said = sample_said();
    entry_unref(said.entries[--said.entry_count]);
    struct buf b = {0};
    repair_said_encode(&said, &b);
    const size_t after = 5; /* tag and value of the crc end the message */
    for (size_t at = b.size - after - 5; at < b.size - after; at++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            struct repair_said back;
            b.data[at] = (uint8_t)(b.data[at] ^ 1U << bit);
            REQUIRE_OK(repair_said_decode(buf_bytes(&b), &back, NULL));
            EXPECT_UINT(back.entry_count, 0);
            EXPECT_UINT(back.runs.count, 3);
            repair_said_deinit(&back);
            b.data[at] = (uint8_t)(b.data[at] ^ 1U << bit);
        }
    }
    repair_said_deinit(&said);
    buf_deinit(&b);
}

/* The sample with one run more. */
static enum err_code decode_with_run(uint64_t index, uint64_t count, uint64_t kind, uint64_t term)
{
    struct repair_said back;
    struct buf b = {0};
    wire_put_fixed64(&b, 1, 1);
    wire_put_uint(&b, 5, 5);
    wire_put_uint(&b, 6, 20);
    for (unsigned i = 0; i < 2; i++) {
        size_t mark = wire_begin(&b, 11);
        wire_put_uint(&b, 1, i == 0 ? 6 : index);
        wire_put_uint(&b, 2, i == 0 ? 2 : count);
        wire_put_uint(&b, 3, i == 0 ? SLOT_WHOLE : kind);
        wire_put_uint(&b, 4, i == 0 ? 1 : term);
        wire_end(&b, mark);
    }
    enum err_code code = repair_said_decode(buf_bytes(&b), &back, NULL);
    if (code == ERR_OK) {
        repair_said_deinit(&back);
    }
    buf_deinit(&b);
    return code;
}

TEST(repair_wire, runs_are_in_order_and_inside_the_log)
{
    EXPECT_OK(decode_with_run(8, 13, SLOT_WHOLE, 2));
    EXPECT_OK(decode_with_run(9, 1, SLOT_UNKNOWN, 0));
    EXPECT_ERR(decode_with_run(7, 1, SLOT_WHOLE, 2), ERR_CORRUPT);  /* overlaps */
    EXPECT_ERR(decode_with_run(8, 14, SLOT_WHOLE, 2), ERR_CORRUPT); /* past the last */
    EXPECT_ERR(decode_with_run(8, 0, SLOT_WHOLE, 2), ERR_CORRUPT);
    EXPECT_ERR(decode_with_run(8, 1, SLOT_WHOLE, 0), ERR_CORRUPT);   /* no term */
    EXPECT_ERR(decode_with_run(8, 1, SLOT_UNKNOWN, 2), ERR_CORRUPT); /* a term */
    EXPECT_ERR(decode_with_run(8, 1, SLOT_NEVER_HAD, 0), ERR_CORRUPT);
    EXPECT_ERR(decode_with_run(8, 1, SLOT_CUT, 0), ERR_CORRUPT);
    EXPECT_ERR(decode_with_run(8, 1, 77, 1), ERR_CORRUPT);
    EXPECT_ERR(decode_with_run(8, UINT64_MAX, SLOT_WHOLE, 1), ERR_CORRUPT);
}

TEST(repair_wire, a_checkpoint_has_an_index_and_a_term)
{
    for (unsigned which = 0; which < 4; which++) {
        struct repair_said back;
        struct buf b = {0};
        wire_put_fixed64(&b, 1, 1);
        wire_put_uint(&b, 5, 1);
        wire_put_uint(&b, 9, which & 1U);
        wire_put_uint(&b, 10, which >> 1);
        bool good = which == 0 || which == 3;
        EXPECT_ERR(repair_said_decode(buf_bytes(&b), &back, NULL), good ? ERR_OK : ERR_CORRUPT);
        if (good) {
            repair_said_deinit(&back);
        }
        buf_deinit(&b);
    }
}

static enum err_code decode_position(uint64_t first, uint64_t last, uint64_t leader,
                                     uint64_t leader_term)
{
    struct repair_said back;
    struct buf b = {0};
    wire_put_fixed64(&b, 1, 1);
    wire_put_uint(&b, 2, 5);
    wire_put_fixed64(&b, 3, leader);
    wire_put_uint(&b, 4, leader_term);
    wire_put_uint(&b, 5, first);
    wire_put_uint(&b, 6, last);
    enum err_code code = repair_said_decode(buf_bytes(&b), &back, NULL);
    if (code == ERR_OK) {
        repair_said_deinit(&back);
    }
    buf_deinit(&b);
    return code;
}

TEST(repair_wire, an_answer_says_where_the_log_is_and_who_leads)
{
    EXPECT_OK(decode_position(1, 0, 0, 0));
    EXPECT_OK(decode_position(5, 4, 3, 5));
    EXPECT_ERR(decode_position(0, 0, 0, 0), ERR_CORRUPT);
    EXPECT_ERR(decode_position(5, 3, 0, 0), ERR_CORRUPT);
    EXPECT_ERR(decode_position(1, 0, 3, 0), ERR_CORRUPT);
    EXPECT_ERR(decode_position(1, 0, 0, 3), ERR_CORRUPT);
    EXPECT_ERR(decode_position(1, 0, 3, 6), ERR_CORRUPT); /* above the answerer's own term */
    EXPECT_ERR(decode_position(1, UINT64_MAX, 0, 0), ERR_CORRUPT);
}

TEST(repair_wire, an_answer_of_garbage_or_too_large_is_refused)
{
    struct repair_said back;
    struct buf b = {0};
    struct err e;
    EXPECT_ERR(repair_said_decode(buf_bytes(&b), &back, &e), ERR_CORRUPT);
    struct repair_said said = sample_said();
    repair_said_encode(&said, &b);
    for (size_t size = 0; size < b.size; size++) { /* cut anywhere: refused, or fewer entries */
        if (repair_said_decode(bytes_of(b.data, size), &back, &e) == ERR_OK) {
            EXPECT(back.entry_count < 2);
            repair_said_deinit(&back);
        }
    }
    buf_put_zeros(&b, LIMIT_REPAIR_ANSWER_SIZE_MAX);
    EXPECT_ERR(repair_said_decode(buf_bytes(&b), &back, &e), ERR_CORRUPT);
    EXPECT_CONTAINS(e.text, "bytes");
    repair_said_deinit(&said);
    buf_deinit(&b);
}

TEST(repair_wire, a_configuration_that_cannot_be_decoded_spoils_the_answer)
{
    struct repair_said back;
    struct buf b = {0};
    wire_put_fixed64(&b, 1, 1);
    wire_put_uint(&b, 5, 1);
    wire_put_bytes(&b, 12, bytes_str("no configuration"));
    EXPECT_ERR(repair_said_decode(buf_bytes(&b), &back, NULL), ERR_CORRUPT);
    buf_deinit(&b);
}

TEST(repair_wire, a_slot_is_what_the_answer_says_of_it)
{
    struct repair_said said = sample_said();
    struct slot slot;
    REQUIRE(repair_said_slot(&said, 3, &slot));
    EXPECT(slot.kind == SLOT_CUT && slot.term == 0);
    REQUIRE(repair_said_slot(&said, 4, &slot));
    EXPECT(slot.kind == SLOT_CUT && slot.term == 2); /* of the cut */
    REQUIRE(repair_said_slot(&said, 7, &slot));
    EXPECT(slot.kind == SLOT_WHOLE && slot.term == 3);
    REQUIRE(repair_said_slot(&said, 8, &slot));
    EXPECT(slot.kind == SLOT_DAMAGED);
    EXPECT(!repair_said_slot(&said, 9, &slot)); /* not asked */
    REQUIRE(repair_said_slot(&said, 21, &slot));
    EXPECT(slot.kind == SLOT_UNKNOWN); /* the end is not known */
    said.end_unknown = false;
    REQUIRE(repair_said_slot(&said, 21, &slot));
    EXPECT(slot.kind == SLOT_NEVER_HAD);
    said.snapshot_index = 30; /* a checkpoint that reaches beyond the log */
    said.snapshot_term = 4;
    REQUIRE(repair_said_slot(&said, 30, &slot));
    EXPECT(slot.kind == SLOT_CUT && slot.term == 4);
    REQUIRE(repair_said_slot(&said, 31, &slot));
    EXPECT(slot.kind == SLOT_NEVER_HAD);
    repair_said_deinit(&said);
}

/* The longest of everything fits, as the limits promise. */
TEST(repair_wire, the_longest_answer_fits)
{
    struct repair_said said = sample_said();
    slot_runs_reset(&said.runs);
    said.first = UINT64_C(1) << 60;
    said.last = said.first + UINT64_C(3) * LIMIT_REPAIR_RUNS;
    for (uint64_t i = 0; i < LIMIT_REPAIR_RUNS; i++) {
        struct slot slot = {.kind = SLOT_DAMAGED, .term = (UINT64_C(1) << 60) + i};
        slot_runs_add(&said.runs, (struct slot_run){said.first + 2 * i, 1, slot});
    }
    struct entry *large =
        entry_new(ENTRY_COMMAND, 5, 3, (struct bytes){NULL, LIMIT_ENTRY_SIZE_MAX});
    memset(large->payload, 7, large->size);
    entry_unref(said.entries[0]);
    said.entries[0] = large;
    struct buf b = {0};
    repair_said_encode(&said, &b);
    EXPECT(b.size <= LIMIT_REPAIR_ANSWER_SIZE_MAX);
    struct repair_said back;
    REQUIRE_OK(repair_said_decode(buf_bytes(&b), &back, NULL));
    EXPECT_UINT(back.runs.count, LIMIT_REPAIR_RUNS);
    EXPECT_UINT(back.entry_count, 2);
    repair_said_deinit(&back);
    repair_said_deinit(&said);
    buf_deinit(&b);
}
