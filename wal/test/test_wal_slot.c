/* SPDX-License-Identifier: Apache-2.0 */
#include "testkit/test.h"
#include "wal/wal_slot.h"

enum { COMBINATIONS = 1 << WAL_FACTS_COUNT };

/* The n-th combination of facts, in the order of the struct. */
static struct wal_facts combination(unsigned n)
{
    return (struct wal_facts){
        .header_good = (n & 1) != 0,
        .in_file = (n & 2) != 0,
        .payload_good = (n & 4) != 0,
        .in_doubt = (n & 8) != 0,
        .zero_sector = (n & 16) != 0,
        .rest_zero = (n & 32) != 0,
        .followed = (n & 64) != 0,
        .identified = (n & 128) != 0,
    };
}

/* The rules of wal_slot.h as a person would follow them, written apart from the
 * table that the module decides by. */
static enum wal_verdict verdict_by_hand(const struct wal_facts *f)
{
    if (f->header_good) {
        if (!f->in_file) {
            return WAL_DAMAGED;
        }
        if (f->payload_good) {
            return WAL_WHOLE;
        }
        return f->in_doubt && f->zero_sector ? WAL_TORN : WAL_DAMAGED;
    }
    if (f->rest_zero) {
        if (f->in_doubt) {
            return WAL_END;
        }
        if (f->identified) {
            return WAL_DAMAGED;
        }
        return f->followed ? WAL_END : WAL_UNKNOWN;
    }
    if (f->in_doubt && f->in_file && f->zero_sector) {
        return WAL_TORN;
    }
    return f->identified ? WAL_DAMAGED : WAL_UNKNOWN;
}

TEST(wal_slot, every_combination_of_facts_has_exactly_one_row)
{
    for (unsigned n = 0; n < COMBINATIONS; n++) {
        struct wal_facts facts = combination(n);
        test_context("facts %02x", n);
        EXPECT_UINT(wal_slot_rows_matching(&facts), 1);
    }
}

TEST(wal_slot, every_combination_is_judged_by_the_rules)
{
    for (unsigned n = 0; n < COMBINATIONS; n++) {
        struct wal_facts facts = combination(n);
        test_context("facts %02x", n);
        EXPECT_STR(wal_verdict_name(wal_slot_judge(&facts)),
                   wal_verdict_name(verdict_by_hand(&facts)));
    }
}

/* Whatever else is true, an intact record that is all there counts. */
TEST(wal_slot, an_intact_record_is_whole_whatever_else_is_true)
{
    unsigned whole = 0;
    for (unsigned n = 0; n < COMBINATIONS; n++) {
        struct wal_facts facts = combination(n);
        bool intact = facts.header_good && facts.in_file && facts.payload_good;
        test_context("facts %02x", n);
        EXPECT((wal_slot_judge(&facts) == WAL_WHOLE) == intact);
        whole += intact;
    }
    EXPECT_UINT(whole, COMBINATIONS / 8);
}

/* Torn means dropped: before the durable position that loses what was promised. */
TEST(wal_slot, nothing_before_the_durable_position_is_torn)
{
    unsigned torn = 0;
    for (unsigned n = 0; n < COMBINATIONS; n++) {
        struct wal_facts facts = combination(n);
        if (wal_slot_judge(&facts) != WAL_TORN) {
            continue;
        }
        torn++;
        test_context("facts %02x", n);
        EXPECT(facts.in_doubt);
        EXPECT(facts.zero_sector);
        EXPECT(facts.in_file);
    }
    EXPECT(torn > 0);
}

/* The log may end only where zeros stand to the end of the segment. */
TEST(wal_slot, the_log_ends_only_before_zeros)
{
    unsigned ends = 0;
    for (unsigned n = 0; n < COMBINATIONS; n++) {
        struct wal_facts facts = combination(n);
        if (wal_slot_judge(&facts) != WAL_END) {
            continue;
        }
        ends++;
        test_context("facts %02x", n);
        EXPECT(facts.rest_zero);
        EXPECT(!facts.header_good);
        EXPECT(facts.in_doubt || facts.followed);
    }
    EXPECT(ends > 0);
}

/* Zeros that a disk invented before the durable position are a loss, not an end. */
TEST(wal_slot, zeros_before_the_durable_position_of_the_last_segment_are_a_loss)
{
    struct wal_facts facts = {.in_file = true, .zero_sector = true, .rest_zero = true};
    EXPECT_INT(wal_slot_judge(&facts), WAL_UNKNOWN);
    facts.identified = true;
    EXPECT_INT(wal_slot_judge(&facts), WAL_DAMAGED);
    facts.identified = false;
    facts.followed = true;
    EXPECT_INT(wal_slot_judge(&facts), WAL_END);
    facts.identified = true;
    EXPECT_INT(wal_slot_judge(&facts), WAL_DAMAGED);
}

/* An identity is only claimed where a header or an identifier states it. */
TEST(wal_slot, damaged_always_has_an_identity)
{
    for (unsigned n = 0; n < COMBINATIONS; n++) {
        struct wal_facts facts = combination(n);
        test_context("facts %02x", n);
        if (wal_slot_judge(&facts) == WAL_DAMAGED) {
            EXPECT(facts.header_good || facts.identified);
        } else if (wal_slot_judge(&facts) == WAL_UNKNOWN) {
            EXPECT(!facts.header_good);
            EXPECT(!facts.identified);
        }
        EXPECT_UINT(wal_slot_rows_matching(&facts), 1);
    }
}

TEST(wal_slot, verdicts_have_names)
{
    EXPECT_STR(wal_verdict_name(WAL_WHOLE), "whole");
    EXPECT_STR(wal_verdict_name(WAL_DAMAGED), "damaged");
    EXPECT_STR(wal_verdict_name(WAL_UNKNOWN), "unknown");
    EXPECT_STR(wal_verdict_name(WAL_TORN), "torn");
    EXPECT_STR(wal_verdict_name(WAL_END), "end");
}

static void name_a_verdict_that_is_none(void *arg)
{
    (void)arg;
    /* NOLINTNEXTLINE(clang-analyzer-optin.core.EnumCastOutOfRange): that is the test */
    (void)wal_verdict_name((enum wal_verdict)(WAL_END + 1));
}

TEST(wal_slot, a_verdict_that_is_none_stops_the_process)
{
    EXPECT_DIES(name_a_verdict_that_is_none, NULL, "verdict");
}
