/* SPDX-License-Identifier: Apache-2.0 */
#include "base/random.h"
#include "testkit/test.h"
#include "wal/wal_table.h"

static struct wal_place place(uint64_t term, enum wal_place_state state)
{
    return (struct wal_place){
        .packed = wal_place_pack(term * 64, 1, false, state), .term = term, .size = 9};
}

static void put(struct wal_table *t, uint64_t index, uint64_t term)
{
    struct wal_place p = place(term, WAL_PLACE_WHOLE);
    wal_table_put(t, index, &p);
}

static void put_damaged(struct wal_table *t, uint64_t index, uint64_t term)
{
    struct wal_place p = place(term, WAL_PLACE_DAMAGED);
    wal_table_put(t, index, &p);
}

static void fill(struct wal_table *t, uint64_t first, uint64_t last, uint64_t term)
{
    for (uint64_t i = first; i <= last; i++) {
        put(t, i, term);
    }
}

/* 0: not held. */
static uint64_t term_at(const struct wal_table *t, uint64_t index)
{
    const struct wal_place *p = wal_table_at(t, index);
    return p == NULL ? 0 : p->term;
}

static bool unknown_at(const struct wal_table *t, uint64_t index)
{
    const struct wal_place *p = wal_table_at(t, index);
    return p != NULL && wal_place_state(p) == WAL_PLACE_UNKNOWN;
}

TEST(wal_table, a_place_packs_all_its_parts)
{
    static const uint64_t positions[] = {0, 8, 12288, UINT64_C(1) << 40, (UINT64_C(1) << 56) - 1};
    for (size_t i = 0; i < sizeof positions / sizeof positions[0]; i++) {
        for (unsigned n = 0; n < 16 * 2 * 3; n++) {
            unsigned type = n % 16;
            bool side = n / 16 % 2 == 1;
            enum wal_place_state state = (enum wal_place_state)(n / 32);
            const struct wal_place p = {.packed = wal_place_pack(positions[i], type, side, state)};
            test_context("position %zu, case %u", i, n);
            EXPECT_UINT(wal_place_lsn(&p), positions[i]);
            EXPECT_UINT(wal_place_type(&p), type);
            EXPECT(wal_place_side(&p) == side);
            EXPECT_INT(wal_place_state(&p), state);
        }
    }
}

TEST(wal_table, an_empty_table_holds_nothing)
{
    struct wal_table t;
    wal_table_init(&t, false, 7);
    EXPECT_UINT(t.last, 7);
    EXPECT_UINT(t.count, 0);
    for (uint64_t index = 0; index < 20; index++) {
        EXPECT(wal_table_at(&t, index) == NULL);
        EXPECT_UINT(wal_table_seek(&t, index), 0);
    }
    wal_table_deinit(&t);
}

TEST(wal_table, entries_are_found_at_their_index)
{
    struct wal_table t;
    wal_table_init(&t, false, 0);
    for (uint64_t i = 1; i <= 1000; i++) {
        put(&t, i, i * 3);
    }
    for (uint64_t i = 1; i <= 1000; i++) {
        EXPECT_UINT(term_at(&t, i), i * 3);
        EXPECT_UINT(wal_table_index(&t, (size_t)(i - 1)), i);
    }
    EXPECT(wal_table_at(&t, 0) == NULL);
    EXPECT(wal_table_at(&t, 1001) == NULL);
    EXPECT_UINT(t.last, 1000);
    wal_table_deinit(&t);
}

/* safety.md A1: a record of index i replaces every earlier one of index >= i. */
TEST(wal_table, an_entry_replaces_all_from_its_index_on)
{
    for (uint64_t at = 1; at <= 11; at++) {
        struct wal_table t;
        wal_table_init(&t, false, 0);
        fill(&t, 1, 10, 1);
        put(&t, at, 2);
        test_context("at %u", (unsigned)at);
        EXPECT_UINT(t.last, at);
        EXPECT_UINT(t.count, at);
        EXPECT_UINT(term_at(&t, at), 2);
        for (uint64_t i = 1; i < at; i++) {
            EXPECT_UINT(term_at(&t, i), 1);
        }
        for (uint64_t i = at + 1; i <= 12; i++) {
            EXPECT(wal_table_at(&t, i) == NULL);
        }
        wal_table_deinit(&t);
    }
}

TEST(wal_table, indexes_skipped_in_a_dense_table_become_unknown_holes)
{
    struct wal_table t;
    wal_table_init(&t, false, 0);
    fill(&t, 1, 3, 1);
    put(&t, 7, 2);
    EXPECT_UINT(t.last, 7);
    EXPECT_UINT(t.count, 7);
    EXPECT_UINT(term_at(&t, 3), 1);
    for (uint64_t i = 4; i <= 6; i++) {
        EXPECT(unknown_at(&t, i));
        EXPECT_UINT(term_at(&t, i), 0);
    }
    EXPECT_UINT(term_at(&t, 7), 2);
    wal_table_deinit(&t);
}

TEST(wal_table, drop_takes_all_from_an_index_on)
{
    for (uint64_t at = 1; at <= 15; at++) {
        struct wal_table t;
        wal_table_init(&t, false, 0);
        fill(&t, 1, 10, 1);
        wal_table_drop(&t, at);
        test_context("at %u", (unsigned)at);
        EXPECT_UINT(t.last, at <= 10 ? at - 1 : 10);
        EXPECT_UINT(t.count, t.last);
        EXPECT(wal_table_at(&t, at) == NULL);
        wal_table_deinit(&t);
    }
}

TEST(wal_table, cut_takes_all_up_to_an_index)
{
    for (uint64_t at = 0; at <= 15; at++) {
        struct wal_table t;
        wal_table_init(&t, false, 0);
        fill(&t, 1, 10, 1);
        wal_table_cut(&t, at);
        test_context("at %u", (unsigned)at);
        EXPECT_UINT(t.cut, at);
        EXPECT_UINT(t.last, at < 10 ? 10 : at);
        EXPECT_UINT(t.count, t.last - at);
        for (uint64_t i = 1; i <= 16; i++) {
            EXPECT((wal_table_at(&t, i) != NULL) == (i > at && i <= 10));
        }
        wal_table_deinit(&t);
    }
}

TEST(wal_table, a_cut_never_goes_back)
{
    struct wal_table t;
    wal_table_init(&t, false, 0);
    fill(&t, 1, 10, 1);
    wal_table_cut(&t, 6);
    wal_table_cut(&t, 6);
    wal_table_cut(&t, 3);
    EXPECT_UINT(t.cut, 6);
    EXPECT_UINT(t.count, 4);
    EXPECT(wal_table_at(&t, 6) == NULL);
    EXPECT_UINT(term_at(&t, 7), 1);
    wal_table_deinit(&t);
}

/* During a replay: what stands below the cut still replaces what stands above it. */
TEST(wal_table, an_entry_below_the_cut_replaces_those_above_it)
{
    struct wal_table t;
    wal_table_init(&t, false, 5);
    fill(&t, 6, 9, 1);
    put(&t, 4, 2);
    EXPECT_UINT(t.last, 4);
    EXPECT_UINT(t.count, 0);
    EXPECT(wal_table_at(&t, 4) == NULL);
    EXPECT(wal_table_at(&t, 6) == NULL);
    put(&t, 5, 2);
    EXPECT_UINT(t.last, 5);
    put(&t, 6, 2);
    EXPECT_UINT(t.last, 6);
    EXPECT_UINT(term_at(&t, 6), 2);
    wal_table_deinit(&t);
}

TEST(wal_table, extend_adds_unknown_holes_and_never_shortens)
{
    struct wal_table t;
    wal_table_init(&t, false, 2);
    fill(&t, 3, 4, 1);
    wal_table_extend(&t, 8);
    EXPECT_UINT(t.last, 8);
    for (uint64_t i = 5; i <= 8; i++) {
        EXPECT(unknown_at(&t, i));
    }
    wal_table_extend(&t, 3);
    EXPECT_UINT(t.last, 8);
    EXPECT_UINT(term_at(&t, 4), 1);
    wal_table_deinit(&t);
}

TEST(wal_table, forget_makes_a_range_unknown_and_nothing_else)
{
    for (uint64_t low = 0; low <= 14; low++) {
        for (uint64_t high = 0; high <= 14; high++) {
            struct wal_table t;
            wal_table_init(&t, false, 3);
            fill(&t, 4, 10, 1);
            wal_table_forget(&t, low, high, 4711);
            test_context("%u .. %u", (unsigned)low, (unsigned)high);
            EXPECT_UINT(t.last, 10);
            EXPECT_UINT(t.count, 7);
            for (uint64_t i = 4; i <= 10; i++) {
                bool inside = i >= low && i <= high;
                EXPECT(unknown_at(&t, i) == inside);
                EXPECT_UINT(term_at(&t, i), inside ? 0 : 1);
                EXPECT(!inside || wal_place_lsn(wal_table_at(&t, i)) == 4711);
            }
            wal_table_deinit(&t);
        }
    }
}

TEST(wal_table, reset_begins_behind_the_cut)
{
    struct wal_table t;
    wal_table_init(&t, false, 0);
    fill(&t, 1, 10, 1);
    wal_table_reset(&t, 100);
    EXPECT_UINT(t.last, 100);
    EXPECT_UINT(t.count, 0);
    put(&t, 101, 2);
    EXPECT_UINT(term_at(&t, 101), 2);
    EXPECT_UINT(wal_table_index(&t, 0), 101);
    wal_table_deinit(&t);
}

/* --- sparse --- */

TEST(wal_table, a_sparse_table_skips)
{
    struct wal_table t;
    wal_table_init(&t, true, 0);
    for (uint64_t i = 1; i <= 100; i++) {
        put(&t, i * 10, i);
    }
    EXPECT_UINT(t.count, 100);
    EXPECT_UINT(t.last, 1000);
    for (uint64_t index = 0; index <= 1010; index++) {
        bool held = index % 10 == 0 && index >= 10 && index <= 1000;
        EXPECT((wal_table_at(&t, index) != NULL) == held);
        size_t below = index == 0 ? 0 : (size_t)((index - 1) / 10); /* of index < 'index' */
        EXPECT_UINT(wal_table_seek(&t, index), below < 100 ? below : 100);
    }
    wal_table_deinit(&t);
}

TEST(wal_table, a_sparse_drop_ends_at_the_entry_before)
{
    struct wal_table t;
    wal_table_init(&t, true, 5);
    put(&t, 10, 1);
    put(&t, 20, 1);
    put(&t, 30, 1);
    wal_table_drop(&t, 25);
    EXPECT_UINT(t.last, 20);
    wal_table_drop(&t, 20);
    EXPECT_UINT(t.last, 10);
    wal_table_drop(&t, 1);
    EXPECT_UINT(t.last, 5);
    EXPECT_UINT(t.count, 0);
    wal_table_deinit(&t);
}

TEST(wal_table, a_sparse_cut_keeps_what_is_above)
{
    struct wal_table t;
    wal_table_init(&t, true, 0);
    put(&t, 10, 1);
    put(&t, 20, 2);
    put(&t, 30, 3);
    wal_table_cut(&t, 15);
    EXPECT_UINT(t.count, 2);
    EXPECT_UINT(wal_table_index(&t, 0), 20);
    EXPECT_UINT(term_at(&t, 20), 2);
    wal_table_cut(&t, 30);
    EXPECT_UINT(t.count, 0);
    EXPECT_UINT(t.last, 30);
    put(&t, 31, 4);
    EXPECT_UINT(term_at(&t, 31), 4);
    wal_table_deinit(&t);
}

/* Every pattern of whole and damaged places of up to eight. */
TEST(wal_table, remove_holes_keeps_what_is_whole)
{
    for (unsigned pattern = 0; pattern < 256; pattern++) {
        struct wal_table t;
        size_t holes = 0;
        wal_table_init(&t, true, 0);
        for (unsigned i = 0; i < 8; i++) {
            if ((pattern >> i & 1) != 0) {
                put_damaged(&t, i * 2 + 1, i + 1);
                holes++;
            } else {
                put(&t, i * 2 + 1, i + 1);
            }
        }
        test_context("pattern %02x", pattern);
        EXPECT_UINT(wal_table_remove_holes(&t), holes);
        EXPECT_UINT(t.count, 8 - holes);
        for (unsigned i = 0; i < 8; i++) {
            EXPECT_UINT(term_at(&t, i * 2 + 1), (pattern >> i & 1) != 0 ? 0 : i + 1);
        }
        wal_table_deinit(&t);
    }
}

/* --- against a plain array --- */

enum { MODEL_MAX = 300 };

struct model {
    bool sparse;
    uint64_t cut;
    uint64_t terms[MODEL_MAX]; /* 0: not held, UINT64_MAX: unknown */
};

static void model_drop(struct model *m, uint64_t index)
{
    for (uint64_t i = index; i < MODEL_MAX; i++) {
        m->terms[i] = 0;
    }
}

static void model_put(struct model *m, uint64_t index, uint64_t term)
{
    model_drop(m, index);
    m->terms[index] = term;
    for (uint64_t i = index - 1; !m->sparse && i > m->cut && m->terms[i] == 0; i--) {
        m->terms[i] = UINT64_MAX;
    }
}

static void model_cut(struct model *m, uint64_t index)
{
    for (uint64_t i = 0; i <= index; i++) {
        m->terms[i] = 0;
    }
    m->cut = index > m->cut ? index : m->cut;
}

static void compare(const struct wal_table *t, const struct model *m)
{
    size_t held = 0;
    for (uint64_t i = 1; i < MODEL_MAX; i++) {
        uint64_t want = m->terms[i];
        held += want != 0;
        EXPECT_UINT(term_at(t, i), want == UINT64_MAX ? 0 : want);
        EXPECT(unknown_at(t, i) == (want == UINT64_MAX));
    }
    EXPECT_UINT(t->count, held);
    EXPECT_UINT(t->cut, m->cut);
}

static void step(struct wal_table *t, struct model *m, struct random *r, uint64_t term)
{
    uint64_t high = t->last + 4 < MODEL_MAX ? t->last + 4 : MODEL_MAX - 1;
    uint64_t index = m->cut + 1 + random_below(r, high - m->cut);
    switch (random_below(r, 8)) {
    case 0:
        wal_table_drop(t, index);
        model_drop(m, index);
        break;
    case 1:
        if (index <= t->last) {
            wal_table_cut(t, index);
            model_cut(m, index);
        }
        break;
    default:
        if (index < MODEL_MAX) {
            index = t->last + 1 < MODEL_MAX && random_below(r, 2) == 0 ? t->last + 1 : index;
            put(t, index, term);
            model_put(m, index, term);
        }
        break;
    }
}

static void run_model(bool sparse, uint64_t seed)
{
    struct random r = random_seeded(seed);
    struct wal_table t;
    struct model m = {.sparse = sparse};
    wal_table_init(&t, sparse, 0);
    for (uint64_t n = 1; n <= 200 && m.cut + 8 < MODEL_MAX; n++) {
        test_context("seed %u sparse %d step %u", (unsigned)seed, sparse, (unsigned)n);
        step(&t, &m, &r, n);
        compare(&t, &m);
    }
    wal_table_deinit(&t);
}

TEST(wal_table, a_dense_table_agrees_with_a_plain_array)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        run_model(false, seed);
    }
}

TEST(wal_table, a_sparse_table_agrees_with_a_plain_array)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        run_model(true, seed);
    }
}
