/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/raft_reads.h"

#include "base/mem.h"
#include "testkit/test.h"

TEST(raft_reads, one_round_serves_all_reads_that_came_before_it)
{
    struct raft_reads r = {0};
    struct err e;
    EXPECT_OK(raft_reads_add(&r, 11, &e));
    EXPECT_OK(raft_reads_add(&r, 12, &e));
    raft_reads_begin(&r, 1, 100, 5000);
    EXPECT_OK(raft_reads_add(&r, 13, &e));
    EXPECT_UINT(r.served_count, 2);
    EXPECT_UINT(r.served[0], 11);
    EXPECT_UINT(r.served[1], 12);
    EXPECT_UINT(r.waiting_count, 1);
    EXPECT_UINT(r.round.index, 100);
    r.served_count = 0;
    r.round.running = false;
    raft_reads_begin(&r, 2, 105, 5001);
    EXPECT_UINT(r.served_count, 1);
    EXPECT_UINT(r.served[0], 13);
    raft_reads_deinit(&r);
}

TEST(raft_reads, counts_an_answer_once_and_only_for_its_round)
{
    struct raft_round r = {0};
    raft_round_answer(&r, 0, 2);
    EXPECT_UINT(r.id_count, 0);
    raft_round_begin(&r, 7, 50, 1000);
    raft_round_answer(&r, 6, 2);
    EXPECT_UINT(r.id_count, 0);
    raft_round_answer(&r, 7, 2);
    raft_round_answer(&r, 7, 2);
    EXPECT_UINT(r.id_count, 1);
    EXPECT(raft_round_has(&r, 2));
    EXPECT(!raft_round_has(&r, 3));
    r.running = false;
    raft_round_begin(&r, 8, 60, 1001);
    EXPECT_UINT(r.id_count, 0);
    EXPECT_UINT(r.index, 60);
}

TEST(raft_reads, remembers_a_bounded_number_of_answers)
{
    struct raft_round r = {0};
    raft_round_begin(&r, 1, 1, 1);
    for (uint64_t id = 1; id <= 2 * LIMIT_NODES_MAX; id++) {
        raft_round_answer(&r, 1, id);
    }
    EXPECT_UINT(r.id_count, LIMIT_NODES_MAX);
}

TEST(raft_reads, are_refused_above_their_limit)
{
    struct raft_reads r = {0};
    struct err e;
    size_t before = mem_in_use();
    for (uint64_t i = 0; i < LIMIT_READS_WAITING / 2; i++) {
        if (raft_reads_add(&r, i, &e) != ERR_OK) {
            EXPECT_UINT(i, 0);
        }
    }
    raft_reads_begin(&r, 1, 1, 1);
    for (uint64_t i = 0; i < LIMIT_READS_WAITING / 2; i++) {
        if (raft_reads_add(&r, i, &e) != ERR_OK) {
            EXPECT_UINT(i, 0);
        }
    }
    EXPECT_ERR(raft_reads_add(&r, 1, &e), ERR_FULL);
    EXPECT_CONTAINS(e.text, "65536 reads wait already");
    raft_reads_deinit(&r);
    EXPECT_UINT(mem_in_use(), before);
}

static void begin_without_reads(void *arg)
{
    raft_reads_begin(arg, 1, 1, 1);
}

TEST(raft_reads, begin_no_round_for_nobody)
{
    struct raft_reads r = {0};
    EXPECT_DIES(begin_without_reads, &r, "waiting_count > 0");
}
