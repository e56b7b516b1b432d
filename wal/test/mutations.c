/* SPDX-License-Identifier: Apache-2.0 */
/* Each rule of the log, taken out, makes a test fail: so each is needed, and its
 * loss would be noticed. Rules that random runs break soon are shown by those;
 * the others by a scenario built for the purpose, which must come out right with
 * the rule and wrong without. */
#define TIDEMARK_WAL_MUTATIONS
#include "wal/wal_mutation.h"

#include "testkit/test.h"
#include "wal/test/random_run.h"
#include "wal/test/wal_fixture.h"
#include "wal/wal_identifier.h"

enum wal_mutation wal_mutation;

/* --- by random runs --- */

enum { SEEDS_MAX = 2000 };

static struct rl run_state;

static bool random_runs_fail(enum wal_mutation mutation, enum rl_fault fault)
{
    struct rl_totals totals = {0};
    bool failed = false;
    wal_mutation = mutation;
    for (uint64_t seed = 1; seed <= SEEDS_MAX && !failed; seed++) {
        const struct rl_options options = {.seed = seed, .fault = fault, .totals = &totals};
        failed = !rl_run(&run_state, &options);
        if (failed) {
            (void)printf("seed %" PRIu64 ": %s ", seed, run_state.why);
        }
    }
    wal_mutation = WAL_MUTATION_NONE;
    return failed;
}

#define NEEDED_BY_RANDOM_RUNS(name, fault)                                                         \
    TEST(wal_mutations, name)                                                                      \
    {                                                                                              \
        EXPECT(random_runs_fail(WAL_MUTATION_##name, fault));                                      \
    }

NEEDED_BY_RANDOM_RUNS(NO_DROP, RL_NONE)
NEEDED_BY_RANDOM_RUNS(FRAME_AT_ONCE, RL_NONE)
NEEDED_BY_RANDOM_RUNS(NO_ZEROS, RL_NONE)
NEEDED_BY_RANDOM_RUNS(TRUST_SPARES, RL_NONE)
NEEDED_BY_RANDOM_RUNS(SWITCH_SYNC, RL_NONE)
NEEDED_BY_RANDOM_RUNS(SWITCH_DIR, RL_NONE)
NEEDED_BY_RANDOM_RUNS(EXTENT_LATE, RL_NONE)
NEEDED_BY_RANDOM_RUNS(EXTENT_FIRST, RL_NONE)
NEEDED_BY_RANDOM_RUNS(CUT_FIRST, RL_NONE)
NEEDED_BY_RANDOM_RUNS(BAD_IS_END, RL_FAULT_COUNT)
NEEDED_BY_RANDOM_RUNS(NEVER_TORN, RL_NONE)
NEEDED_BY_RANDOM_RUNS(TORN_STAYS, RL_NONE)
NEEDED_BY_RANDOM_RUNS(NO_BEFORE, RL_FAULT_COUNT)
NEEDED_BY_RANDOM_RUNS(END_KNOWN, RL_FAULT_COUNT)
NEEDED_BY_RANDOM_RUNS(NO_SETTLE, RL_NONE)
NEEDED_BY_RANDOM_RUNS(SETTLE_NO_SYNC, RL_NONE)
NEEDED_BY_RANDOM_RUNS(MISSING_IS_EMPTY, RL_MISSING)

/* --- by scenarios: each says whether the log answered right --- */

enum { SIZE = 400, LONG = 1500 };

static struct fixture f;

static void crash_losing_all(void)
{
    fake_disk_power_fail_lose_all(f.disk);
    fixture_abandon(&f);
}

static bool is_hole(uint64_t index, uint64_t term)
{
    const struct wal_hole *hole = wal_hole_at(f.wal, index);
    return hole != NULL && !hole->unknown && hole->term == term;
}

/* Without the rule, a zeroed sector in an acknowledged record that later headers
 * call durable reads as a tear, and everything from there on is dropped. */
static bool zeroed_record_below_stated_position_is_a_hole(void)
{
    fixture_fill(&f, 1, 6, 1, LONG);
    fixture_fill(&f, 7, 7, 1, LONG); /* its header states that 1 .. 6 are durable */
    crash_losing_all();
    fake_disk_zero(f.disk, fixture_segment(1), fixture_offset(3, LONG) / 512 * 512 + 512, 512);
    return fixture_open(&f) == ERR_OK && wal_index_last(f.wal) == 7 && is_hole(4, 1);
}

/* Keeps all pending sectors but the last 'lost', which are the identifier page's. */
static void crash_losing_last_sectors(uint64_t lost)
{
    uint64_t count = fake_disk_pending(f.disk);
    bool *keep = mem_array(count + 1, sizeof *keep);
    for (uint64_t i = 0; i + lost < count; i++) {
        keep[i] = true;
    }
    fake_disk_power_fail_keep(f.disk, keep, fake_disk_pending_names(f.disk));
    mem_free(keep);
    fixture_abandon(&f);
}

/* The header of a torn record is the only one that states the durable position;
 * open zeroes it, crashes, and the next open finds a hole below. */
static bool position_outlives_the_torn_tail(void)
{
    fixture_fill(&f, 1, 6, 1, LONG);
    EXPECT_OK(fixture_append(&f, 7, 1, 4000));
    uint64_t pending = fake_disk_pending(f.disk);
    crash_losing_last_sectors(pending - 1); /* the header of 7 arrived, its payload did not */
    /* In mid-open the zeros arrive, the identifier page that states it too does not. */
    uint64_t zeros = (FIXTURE_SEGMENT_SIZE - fixture_offset(6, LONG) + 511) / 512;
    fake_disk_fail(f.disk, (struct fake_disk_fault){
                               .call = FAKE_DISK_SYNC, .nth = 1, .code = ERR_IO, .done = zeros});
    if (fixture_open(&f) != ERR_IO) {
        return false;
    }
    crash_losing_all();
    fake_disk_clear_faults(f.disk);
    fake_disk_zero(f.disk, fixture_segment(1), fixture_offset(3, LONG) / 512 * 512 + 512, 512);
    return fixture_open(&f) == ERR_OK && wal_index_last(f.wal) == 6 && is_hole(4, 1);
}

/* An entry that an unsynced one replaces is in the segment that a cut removes. */
static bool replaced_entry_outlives_a_cut(void)
{
    fixture_fill(&f, 1, 2, 1, SIZE);
    uint64_t last = 2;
    while (wal_extent(f.wal).segment_last == 1) {
        fixture_fill(&f, last + 1, last + 1, 1, SIZE);
        last++;
    }
    EXPECT_OK(fixture_append(&f, 2, 2, SIZE));
    EXPECT_OK(wal_cut(f.wal, 1, 1, &f.err));
    crash_losing_all();
    return fixture_open(&f) == ERR_OK &&
           (fixture_reads(&f, 2, 1, SIZE) || fixture_reads(&f, 2, 2, SIZE));
}

/* The record that took the end of the log away is itself cut away: it must go on
 * replacing what stands behind it. Random runs see this once in 2,000. */
static bool replaced_end_stays_replaced_below_the_cut(void)
{
    fixture_fill(&f, 1, 9, 1, SIZE);
    fixture_fill(&f, 4, 4, 2, SIZE); /* 5 .. 9 are gone */
    EXPECT_OK(wal_cut(f.wal, 4, 2, &f.err));
    crash_losing_all();
    return fixture_open(&f) == ERR_OK && wal_index_last(f.wal) == 4 && wal_index_first(f.wal) == 5;
}

/* A misdirected write puts an older record of the same size over a later one. */
static bool record_elsewhere_does_not_count(void)
{
    fixture_fill(&f, 1, 7, 1, 416); /* 512 bytes each: whole sectors */
    EXPECT_OK(wal_close(f.wal, &f.err));
    f.wal = NULL;
    fake_disk_misdirect(f.disk,
                        (struct fake_disk_place){fixture_segment(1), fixture_offset(2, 416)},
                        (struct fake_disk_place){fixture_segment(1), fixture_offset(5, 416)}, 512);
    return fixture_open(&f) == ERR_OK && wal_index_last(f.wal) == 7 && is_hole(6, 1) &&
           fixture_reads(&f, 4, 1, 416) && fixture_reads(&f, 5, 1, 416);
}

/* The header is gone; the identifier names the entry. */
static bool identifier_names_what_was_lost(void)
{
    fixture_fill(&f, 1, 7, 3, SIZE);
    EXPECT_OK(wal_close(f.wal, &f.err));
    f.wal = NULL;
    fake_disk_flip_bit(f.disk, fixture_segment(1), fixture_offset(4, SIZE) + 50, 1);
    if (fixture_open(&f) != ERR_OK || !is_hole(5, 3)) {
        return false;
    }
    const struct wal_hole *hole = wal_hole_at(f.wal, 5);
    return hole->size == SIZE && hole->type == WAL_COMMAND;
}

/* The identifier of a record that a power failure took back stays on disk; later
 * another record stands at its place and loses its header. */
static bool identifier_of_a_torn_record_is_gone(void)
{
    fixture_fill(&f, 1, 3, 1, SIZE);
    uint8_t page[WAL_IDENTIFIER_PAGE_SIZE] = {0};
    const struct wal_identifier id = {.index = 4,
                                      .term = 1,
                                      .offset = (uint32_t)fixture_offset(3, SIZE),
                                      .type = WAL_RECORD_COMMAND,
                                      .size = SIZE};
    wal_identifier_encode(&id, wal_identifier_seed(1, wal_log_key(22, WAL_RAFT)), page);
    fake_disk_overwrite(f.disk, fixture_segment(1),
                        WAL_SEGMENT_HEADER_SIZE + WAL_IDENTIFIER_PAGE_SIZE,
                        bytes_of(page, sizeof page));
    EXPECT_OK(fixture_kill_and_open(&f));
    fixture_fill(&f, 4, 4, 9, SIZE);
    crash_losing_all();
    fake_disk_flip_bit(f.disk, fixture_segment(1), fixture_offset(3, SIZE) + 50, 1);
    return fixture_open(&f) == ERR_OK && !is_hole(4, 1);
}

/* A replacement that crashed before its END; then a member loses its header. */
static bool lost_member_of_a_void_frame_has_no_effect(void)
{
    uint64_t last = 0;
    while (FIXTURE_SEGMENT_SIZE - fixture_offset(last, SIZE) > 3000) {
        last++;
        fixture_fill(&f, last, last, 1, SIZE);
    }
    static uint8_t big[4000];
    uint64_t index = last - 3;
    struct wal_entry entries[2] = {
        fixture_entry(&f, index, 2, SIZE),
        {.index = index + 1, .term = 2, .type = WAL_COMMAND, .payload = bytes_of(big, sizeof big)}};
    /* Spare zeroed, segment 1 full, header of segment 2; the fourth is the replacement's. */
    fake_disk_fail(f.disk,
                   (struct fake_disk_fault){.call = FAKE_DISK_SYNC, .nth = 4, .code = ERR_IO});
    EXPECT_ERR(wal_replace(f.wal, entries, 2, 0, &f.err), ERR_IO);
    EXPECT_UINT(f.extent.segment_last, 2);
    crash_losing_all();
    /* BEGIN stands where the next record would be, the member behind it. */
    fake_disk_flip_bit(f.disk, fixture_segment(1),
                       fixture_offset(last, SIZE) + wal_record_span(0) + 50, 1);
    return fixture_open(&f) == ERR_OK && wal_index_last(f.wal) == last &&
           fixture_reads(&f, index, 1, SIZE) && fixture_reads(&f, last, 1, SIZE);
}

/* Fills segment 1 to its end; returns the last index. */
static uint64_t fill_segment(size_t room)
{
    uint64_t last = 0;
    while (FIXTURE_SEGMENT_SIZE - fixture_offset(last, SIZE) >= room + wal_record_span(SIZE)) {
        last++;
        fixture_fill(&f, last, last, 1, SIZE);
    }
    return last;
}

static void zero_tail_and_identifiers(uint64_t from_record)
{
    uint64_t from = fixture_offset(from_record, SIZE);
    fake_disk_zero(f.disk, fixture_segment(1), from, FIXTURE_SEGMENT_SIZE - from);
    fake_disk_zero(f.disk, fixture_segment(1), WAL_SEGMENT_HEADER_SIZE,
                   wal_segment_records_at(FIXTURE_SEGMENT_SIZE) - WAL_SEGMENT_HEADER_SIZE);
}

/* Two replacements at the end of a segment vanish without a trace. The next header
 * knows them as committed: without the gap in numbers the loss would seem to lie
 * above what it calls committed, and the older entry would pass for the right one. */
static bool vanished_replacement_is_noticed(void)
{
    uint64_t last = fill_segment(2 * wal_record_span(SIZE));
    EXPECT_OK(fixture_append(&f, last - 1, 2, SIZE));
    EXPECT_OK(fixture_append(&f, last, 2, SIZE));
    EXPECT_OK(wal_sync(f.wal, &f.err));
    struct wal_entry next = fixture_entry(&f, last + 1, 2, SIZE);
    EXPECT_OK(wal_append(f.wal, &next, 1, last, &f.err));
    EXPECT_OK(wal_sync(f.wal, &f.err));
    EXPECT_UINT(f.extent.segment_last, 2);
    for (uint64_t i = last + 2; f.extent.segment_last == 2; i++) {
        fixture_fill(&f, i, i, 2, SIZE); /* the extent speaks of segment 2 from here on */
    }
    crash_losing_all();
    zero_tail_and_identifiers(last);
    return fixture_open(&f) == ERR_OK && is_hole(last, 2) && wal_hole_at(f.wal, last - 1) != NULL &&
           fixture_reads(&f, last + 1, 2, SIZE);
}

/* The last entries of a segment vanish, and the next one is still empty. */
static bool vanished_end_of_a_segment_is_noticed(void)
{
    uint64_t last = fill_segment(0);
    EXPECT_OK(fixture_append(&f, last + 1, 1, SIZE));
    EXPECT_UINT(f.extent.segment_last, 2);
    crash_losing_all();
    zero_tail_and_identifiers(last - 3);
    return fixture_open(&f) == ERR_OK && (wal_end_unknown(f.wal) || wal_index_last(f.wal) >= last);
}

/* Killed between write and sync of a repair, then a power failure. */
static bool repair_in_place_survives_two_crashes(void)
{
    uint64_t last = fill_segment(0);
    fixture_fill(&f, last + 1, last + 5, 1, SIZE);
    EXPECT_OK(wal_close(f.wal, &f.err));
    f.wal = NULL;
    fake_disk_flip_bit(f.disk, fixture_segment(1), fixture_offset(4, SIZE) + 200, 1);
    EXPECT_OK(fixture_open(&f));
    struct wal_entry entry = fixture_entry(&f, 5, 1, SIZE);
    fake_disk_fail_next(f.disk, FAKE_DISK_SYNC, ERR_IO);
    EXPECT_ERR(wal_repair(f.wal, &entry, &f.err), ERR_IO);
    EXPECT_OK(fixture_kill_and_open(&f));
    if (!fixture_reads(&f, 5, 1, SIZE)) {
        return true; /* not believed: that is right too */
    }
    crash_losing_all();
    return fixture_open(&f) == ERR_OK && fixture_reads(&f, 5, 1, SIZE);
}

/* Point-in-time recovery drops what follows a damage; the node goes on and
 * acknowledges more. The next open must not take that for what it once dropped. */
static bool writes_after_a_drop_stay(void)
{
    fixture_deinit(&f);
    fixture_init(&f, WAL_LOCAL);
    EXPECT_OK(fixture_open(&f));
    fixture_fill(&f, 1, 8, 1, SIZE);
    EXPECT_OK(wal_close(f.wal, &f.err));
    f.wal = NULL;
    fake_disk_flip_bit(f.disk, fixture_segment(1), fixture_offset(4, SIZE) + 200, 1);
    EXPECT_OK(fixture_open(&f));
    EXPECT_UINT(wal_index_last(f.wal), 4);
    fixture_fill(&f, 9, 12, 1, SIZE);
    crash_losing_all();
    return fixture_open(&f) == ERR_OK && fixture_reads(&f, 9, 1, SIZE) &&
           fixture_reads(&f, 12, 1, SIZE);
}

static bool right_under(enum wal_mutation mutation, bool (*scenario)(void))
{
    fixture_init(&f, WAL_RAFT);
    wal_mutation = mutation;
    EXPECT_OK(fixture_open(&f));
    bool right = scenario();
    wal_mutation = WAL_MUTATION_NONE;
    fixture_deinit(&f);
    return right;
}

#define NEEDED_BY_SCENARIO(name, scenario)                                                         \
    TEST(wal_mutations, name)                                                                      \
    {                                                                                              \
        EXPECT(right_under(WAL_MUTATION_NONE, scenario));                                          \
        EXPECT(!right_under(WAL_MUTATION_##name, scenario));                                       \
    }

NEEDED_BY_SCENARIO(BELOW_CUT, replaced_end_stays_replaced_below_the_cut)
NEEDED_BY_SCENARIO(HEADER_DURABLE, zeroed_record_below_stated_position_is_a_hole)
NEEDED_BY_SCENARIO(EXTENT_DURABLE, position_outlives_the_torn_tail)
NEEDED_BY_SCENARIO(CUT_SYNC, replaced_entry_outlives_a_cut)
NEEDED_BY_SCENARIO(ANY_LSN, record_elsewhere_does_not_count)
NEEDED_BY_SCENARIO(NO_IDENTIFIERS, identifier_names_what_was_lost)
NEEDED_BY_SCENARIO(IDENTIFIERS_STAY, identifier_of_a_torn_record_is_gone)
NEEDED_BY_SCENARIO(NO_FRAME_BIT, lost_member_of_a_void_frame_has_no_effect)
NEEDED_BY_SCENARIO(NO_SEQUENCE, vanished_replacement_is_noticed)
NEEDED_BY_SCENARIO(NO_EXTENT_CHECK, vanished_end_of_a_segment_is_noticed)
NEEDED_BY_SCENARIO(NO_SIDE_MARK, repair_in_place_survives_two_crashes)
NEEDED_BY_SCENARIO(NO_ANSWER, writes_after_a_drop_stay)
