/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/repair_runs.h"

#include "base/check.h"
#include "base/mem.h"
#include "base/random.h"
#include "testkit/test.h"

enum { LOG = 200 };

struct log {
    struct slot slots[LOG + 1];
};

static uint64_t first_of(void *context)
{
    (void)context;
    return 1;
}

static uint64_t last_of(void *context)
{
    (void)context;
    return LOG;
}

static bool end_of(void *context)
{
    (void)context;
    return false;
}

static struct slot at(void *context, uint64_t index)
{
    return ((const struct log *)context)->slots[index];
}

static struct log_view view_of(struct log *log)
{
    return (struct log_view){log, first_of, last_of, end_of, at};
}

static struct slot whole(uint64_t term)
{
    return (struct slot){.kind = SLOT_WHOLE, .term = term};
}

static void fill_log(struct log *log, uint64_t seed)
{
    struct random r = random_seeded(seed);
    for (size_t i = 1; i <= LOG; i++) {
        log->slots[i] = i > 1 && random_chance(&r, 3, 4)
                            ? log->slots[i - 1]
                            : (struct slot){.kind = (enum slot_kind)random_between(&r, SLOT_WHOLE,
                                                                                   SLOT_UNKNOWN),
                                            .term = random_between(&r, 1, 3),
                                            .type = ENTRY_COMMAND};
    }
}

TEST(repair_runs, equal_slots_join_a_run)
{
    struct slot_runs r = {0};
    slot_runs_add(&r, (struct slot_run){5, 2, whole(1)});
    slot_runs_add(&r, (struct slot_run){7, 3, whole(1)});
    EXPECT_UINT(r.count, 1);
    EXPECT_UINT(r.items[0].count, 5);
    slot_runs_add(&r, (struct slot_run){10, 1, whole(2)});
    slot_runs_add(&r, (struct slot_run){12, 1, whole(2)}); /* 11 is not known */
    EXPECT_UINT(r.count, 3);
    slot_runs_reset(&r);
    EXPECT_UINT(r.count, 0);
    slot_runs_deinit(&r);
}

TEST(repair_runs, find_and_from_agree_with_a_walk)
{
    struct slot_runs r = {0};
    slot_runs_add(&r, (struct slot_run){5, 2, whole(1)});
    slot_runs_add(&r, (struct slot_run){10, 1, whole(2)});
    slot_runs_add(&r, (struct slot_run){11, 4, whole(3)});
    EXPECT(slot_runs_find(&r, 4) == NULL);
    EXPECT(slot_runs_find(&r, 5) == &r.items[0]);
    EXPECT(slot_runs_find(&r, 6) == &r.items[0]);
    EXPECT(slot_runs_find(&r, 7) == NULL);
    EXPECT(slot_runs_find(&r, 14) == &r.items[2]);
    EXPECT(slot_runs_find(&r, 15) == NULL);
    EXPECT(slot_runs_from(&r, 1) == &r.items[0]);
    EXPECT(slot_runs_from(&r, 7) == &r.items[1]);
    EXPECT(slot_runs_from(&r, 15) == NULL);
    slot_runs_deinit(&r);
}

static bool is_as_scanned(const struct slot_runs *r, struct log *log)
{
    struct log_view view = view_of(log);
    struct slot_runs fresh = {0};
    slot_runs_scan(&fresh, &view, 1, LOG);
    bool same = fresh.count == r->count;
    for (size_t i = 0; i < fresh.count && same; i++) {
        same = fresh.items[i].first == r->items[i].first &&
               fresh.items[i].count == r->items[i].count &&
               fresh.items[i].slot.kind == r->items[i].slot.kind &&
               fresh.items[i].slot.term == r->items[i].slot.term &&
               fresh.items[i].slot.type == r->items[i].slot.type;
    }
    slot_runs_deinit(&fresh);
    return same;
}

TEST(repair_runs, a_part_scanned_again_is_as_if_all_were)
{
    struct log log = {0};
    struct log_view view = view_of(&log);
    struct random random = random_seeded(7);
    struct slot_runs r = {0};
    fill_log(&log, 1);
    slot_runs_scan(&r, &view, 1, LOG);
    for (unsigned round = 0; round < 300; round++) {
        uint64_t first = random_between(&random, 1, LOG);
        uint64_t last = random_between(&random, first, LOG);
        for (uint64_t i = first; i <= last; i++) {
            log.slots[i] = whole(random_between(&random, 1, 2));
        }
        slot_runs_rescan(&r, &view, first, last);
        REQUIRE(is_as_scanned(&r, &log));
        fill_log(&log, round);
        slot_runs_rescan(&r, &view, 1, LOG);
    }
    EXPECT(is_as_scanned(&r, &log));
    slot_runs_deinit(&r);
}

/* Whatever tells the rules nothing is left out. */
TEST(repair_runs, keep_of_a_type_whether_it_can_be_a_change)
{
    struct log log = {0};
    struct log_view view = view_of(&log);
    for (size_t i = 1; i <= LOG; i++) {
        log.slots[i] = (struct slot){.kind = SLOT_WHOLE, .term = 1, .type = ENTRY_COMMAND};
    }
    log.slots[2].type = ENTRY_CHANGE;
    log.slots[3] = (struct slot){.kind = SLOT_DAMAGED, .term = 1, .type = ENTRY_BARRIER};
    log.slots[4] = (struct slot){.kind = SLOT_DAMAGED, .term = 1, .type = ENTRY_CHANGE};
    log.slots[5] = (struct slot){.kind = SLOT_DAMAGED, .term = 1, .type = 0};
    log.slots[6] = (struct slot){.kind = SLOT_UNKNOWN, .term = 77, .type = ENTRY_CHANGE};
    struct slot_runs r = {0};
    slot_runs_scan(&r, &view, 1, LOG);
    EXPECT_UINT(r.count, 5);
    EXPECT_UINT(r.items[0].count, 2);
    EXPECT(r.items[1].slot.type == 0);
    EXPECT(r.items[2].slot.type == ENTRY_CHANGE);
    EXPECT_UINT(r.items[2].count, 2); /* not known: it can be one */
    EXPECT_UINT(r.items[3].slot.term, 0);
    slot_runs_deinit(&r);
}

static void add_below(void *arg)
{
    struct slot_runs r = {0};
    (void)arg;
    slot_runs_add(&r, (struct slot_run){5, 2, whole(1)});
    slot_runs_add(&r, (struct slot_run){6, 1, whole(1)});
}

static void add_what_is_no_slot(void *arg)
{
    struct slot_runs r = {0};
    (void)arg;
    slot_runs_add(&r, (struct slot_run){5, 1, {.kind = SLOT_NEVER_HAD}});
}

TEST(repair_runs, check_that_runs_ascend)
{
    EXPECT_DIES(add_below, NULL, "run.first >=");
    EXPECT_DIES(add_what_is_no_slot, NULL, "SLOT_WHOLE");
}
