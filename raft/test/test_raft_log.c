/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/raft_log.h"

#include "base/mem.h"
#include "base/random.h"
#include "testkit/test.h"

enum { MODEL_MAX = 4000 };

static void append(struct raft_log *l, uint64_t term, size_t size)
{
    struct entry *e = entry_new(ENTRY_COMMAND, l->last + 1, term, bytes_of(NULL, size));
    raft_log_append(l, e);
    entry_unref(e);
}

static uint64_t term_of(const struct raft_log *l, uint64_t index)
{
    uint64_t term = 0;
    return raft_log_term(l, index, &term) ? term : 0;
}

TEST(raft_log, knows_the_term_of_each_entry)
{
    struct raft_log l;
    raft_log_init(&l, 1);
    EXPECT_UINT(term_of(&l, 1), 0);
    append(&l, 1, 10);
    append(&l, 1, 10);
    append(&l, 3, 10);
    append(&l, 7, 10);
    append(&l, 7, 10);
    EXPECT_UINT(l.last, 5);
    EXPECT_UINT(l.run_count, 3);
    EXPECT_UINT(term_of(&l, 0), 0);
    EXPECT_UINT(term_of(&l, 2), 1);
    EXPECT_UINT(term_of(&l, 3), 3);
    EXPECT_UINT(term_of(&l, 5), 7);
    EXPECT_UINT(term_of(&l, 6), 0);
    EXPECT_UINT(raft_log_term_first(&l, 5), 4);
    EXPECT_UINT(raft_log_term_first(&l, 1), 1);
    raft_log_deinit(&l);
}

TEST(raft_log, forgets_its_end_when_truncated)
{
    struct raft_log l;
    raft_log_init(&l, 1);
    append(&l, 1, 10);
    append(&l, 2, 10);
    append(&l, 2, 10);
    raft_log_truncate(&l, 3);
    EXPECT_UINT(l.last, 2);
    EXPECT(raft_log_entry(&l, 3) == NULL);
    raft_log_truncate(&l, 2);
    EXPECT_UINT(l.run_count, 1);
    append(&l, 5, 10);
    EXPECT_UINT(term_of(&l, 2), 5);
    raft_log_truncate(&l, 1);
    EXPECT_UINT(l.last, 0);
    EXPECT_UINT(l.bytes, 0);
    raft_log_deinit(&l);
}

TEST(raft_log, forgets_its_start_when_cut)
{
    struct raft_log l;
    raft_log_init(&l, 1);
    for (int i = 0; i < 10; i++) {
        append(&l, i < 4 ? 1 : 2, 10);
    }
    raft_log_cut(&l, 6);
    EXPECT_UINT(l.first, 7);
    EXPECT_UINT(l.run_count, 1);
    EXPECT_UINT(term_of(&l, 6), 2); /* where it was cut */
    EXPECT_UINT(term_of(&l, 5), 0);
    EXPECT_UINT(term_of(&l, 7), 2);
    EXPECT_UINT(raft_log_term_first(&l, 9), 7);
    raft_log_cut(&l, 10);
    EXPECT_UINT(l.first, 11);
    EXPECT_UINT(l.last, 10);
    EXPECT_UINT(l.run_count, 0);
    append(&l, 2, 10);
    EXPECT_UINT(term_of(&l, 11), 2);
    raft_log_deinit(&l);
}

TEST(raft_log, starts_anew_behind_a_snapshot)
{
    struct raft_log l;
    raft_log_init(&l, 1);
    append(&l, 1, 10);
    append(&l, 1, 10);
    raft_log_cut(&l, 1);
    EXPECT_UINT(term_of(&l, 1), 1);
    raft_log_reset(&l, 101);
    EXPECT_UINT(term_of(&l, 100), 0);
    EXPECT_UINT(l.last, 100);
    EXPECT_UINT(raft_log_cached(&l), 0);
    append(&l, 9, 10);
    EXPECT_UINT(raft_log_entry(&l, 101)->index, 101);
    raft_log_deinit(&l);
}

/* What followers may ask for stays while there is room; what is not durable
 * and applied stays in any case. */
TEST(raft_log, lets_go_of_what_is_free_to_go_and_no_more)
{
    struct raft_log l;
    raft_log_init(&l, 1);
    for (int i = 0; i < 100; i++) {
        append(&l, 1, 1000);
    }
    size_t one = raft_log_entry_bytes(raft_log_entry(&l, 1));
    EXPECT_UINT(l.bytes, 100 * one);
    raft_log_evict(&l, 40 * one, 90);
    EXPECT_UINT(l.cache_first, 61);
    EXPECT_UINT(l.bytes, 40 * one);
    EXPECT(raft_log_entry(&l, 60) == NULL);
    EXPECT_UINT(term_of(&l, 60), 1);
    raft_log_evict(&l, 0, 90);
    EXPECT_UINT(l.cache_first, 91);
    EXPECT_UINT(raft_log_cached(&l), 10);
    raft_log_evict(&l, 0, 100);
    EXPECT_UINT(raft_log_cached(&l), 0);
    EXPECT_UINT(l.last, 100);
    append(&l, 2, 5);
    EXPECT_UINT(raft_log_cached(&l), 1);
    raft_log_cut(&l, 50);
    EXPECT_UINT(l.first, 51);
    EXPECT_UINT(l.cache_first, 101);
    raft_log_deinit(&l);
}

TEST(raft_log, gives_its_references_back)
{
    size_t before = mem_in_use();
    struct raft_log l;
    raft_log_init(&l, 5);
    for (int i = 0; i < 1000; i++) {
        append(&l, 1 + (uint64_t)i / 10, 100);
    }
    raft_log_evict(&l, 10000, 500);
    raft_log_cut(&l, 200);
    raft_log_truncate(&l, 900);
    raft_log_deinit(&l);
    EXPECT_UINT(mem_in_use(), before);
}

struct model {
    uint64_t first, last;
    uint64_t terms[MODEL_MAX];
};

static void expect_same(const struct raft_log *l, const struct model *m)
{
    EXPECT_UINT(l->first, m->first);
    EXPECT_UINT(l->last, m->last);
    for (uint64_t i = m->first; i <= m->last; i++) {
        if (term_of(l, i) != m->terms[i]) {
            EXPECT_UINT(term_of(l, i), m->terms[i]);
        }
        const struct entry *e = raft_log_entry(l, i);
        if (e != NULL && (e->index != i || e->term != m->terms[i])) {
            EXPECT_UINT(e->term, m->terms[i]);
        }
    }
}

TEST(raft_log, agrees_with_a_plain_array)
{
    static struct model m;
    struct random r = random_seeded(3);
    struct raft_log l;
    uint64_t term = 1;
    m.first = 1;
    m.last = 0;
    raft_log_init(&l, 1);
    for (int i = 0; i < 3000 && m.last + 2 < MODEL_MAX; i++) {
        uint64_t dice = random_below(&r, 100);
        if (dice < 80) {
            term += random_chance(&r, 1, 8) ? 1 : 0;
            append(&l, term, random_below(&r, 64));
            m.last++;
            m.terms[m.last] = term;
        } else if (dice < 88 && m.last >= m.first) {
            uint64_t at = random_between(&r, m.first, m.last);
            raft_log_truncate(&l, at);
            m.last = at - 1;
        } else if (dice < 94 && m.last >= m.first) {
            uint64_t at = random_between(&r, m.first, m.last);
            raft_log_cut(&l, at);
            m.first = at + 1;
        } else {
            raft_log_evict(&l, random_below(&r, 4000), m.last);
        }
        if (i % 50 == 0) {
            expect_same(&l, &m);
        }
    }
    expect_same(&l, &m);
    raft_log_deinit(&l);
}

static void append_out_of_order(void *arg)
{
    struct raft_log *l = arg;
    struct entry *e = entry_new(ENTRY_COMMAND, l->last + 2, 1, (struct bytes){0});
    raft_log_append(l, e);
}

static void append_falling_term(void *arg)
{
    append(arg, 1, 1);
    struct entry *e = entry_new(ENTRY_COMMAND, 3, 1, (struct bytes){0});
    e->index = 3;
    append(arg, 5, 1);
    e->index = ((struct raft_log *)arg)->last + 1;
    e->term = 4;
    raft_log_append(arg, e);
}

TEST(raft_log, takes_a_gap_or_a_falling_term_for_a_bug)
{
    struct raft_log l;
    raft_log_init(&l, 1);
    EXPECT_DIES(append_out_of_order, &l, "e->index == l->last + 1");
    EXPECT_DIES(append_falling_term, &l, "term < e->term");
    raft_log_deinit(&l);
}
