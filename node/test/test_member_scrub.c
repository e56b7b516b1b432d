/* SPDX-License-Identifier: Apache-2.0 */
/* The scrubber of one node; how what it finds comes back from other nodes is played
 * in sim/test/test_part_damage.c and by every seed of the simulator. */
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "node/test/solo.h"
#include "testkit/fake_disk_damage.h"
#include "testkit/test.h"
#include "tsdb/part.h"
#include "wal/wal_inspect.h"

enum { ROWS = 40, ROUND_MS = 11000, KIB = 1024 };

static void fill(struct solo *s)
{
    EXPECT_OK(solo_make_table(s));
    for (int64_t i = 1; i <= ROWS; i++) {
        EXPECT_OK(solo_write(s, i));
    }
}

static struct member_damage damage_of(const struct solo *s)
{
    return member_status(s->member).damage;
}

struct place {
    uint64_t index;
    uint64_t lsn;
};

static bool find_slot(void *context, const struct wal_view *view)
{
    struct place *p = context;
    p->lsn = view->index == p->index && view->size > 0 ? view->lsn : p->lsn;
    return true;
}

/* A bit of an entry that stands in the log's only segment. */
static void flip_entry(struct solo *s, const char *dir, uint64_t index)
{
    enum { SEGMENT_SIZE = 64 * KIB };
    struct place p = {.index = index};
    struct wal_visitor visitor = {.slot = find_slot, .context = &p};
    struct wal_report report;
    struct io_name *names = NULL;
    size_t count = 0;
    char path[IO_PATH_MAX] = "";
    struct err e;
    REQUIRE_OK(wal_inspect(fake_disk_io(s->disk), dir, &visitor, &report, &e));
    REQUIRE(p.lsn != 0);
    REQUIRE_OK(io_list(fake_disk_io(s->disk), dir, &names, &count, &e));
    for (size_t i = 0; i < count && path[0] == '\0'; i++) {
        if (strlen(names[i].name) == 24) {
            REQUIRE_OK(io_join(path, dir, names[i].name, &e));
        }
    }
    mem_free(names);
    fake_disk_flip_bit(s->disk, path, p.lsn % SEGMENT_SIZE + 110, 3);
}

static size_t holes(struct solo *s, enum storage_log log)
{
    size_t count = 0;
    (void)wal_holes(storage_wal(s->storage, log), &count);
    return count;
}

/* Nothing is asked of the node meanwhile. */
TEST(member_scrub, an_idle_node_reads_its_logs_and_parts_again_and_again)
{
    for (unsigned level = 2; level <= 3; level++) {
        struct solo s;
        solo_open(&s, (struct solo_options){.wal_level = level});
        solo_run(&s, 1500);
        fill(&s);
        EXPECT_OK(solo_propose(&s, COMMAND_CHECKPOINT, (struct bytes){0}));
        solo_run(&s, ROUND_MS);
        struct member_damage before = damage_of(&s);
        solo_run(&s, 3 * ROUND_MS);
        struct member_damage after = damage_of(&s);
        EXPECT(after.scrubbed > before.scrubbed);
        EXPECT(after.rounds_parts >= before.rounds_parts + 2);
        EXPECT(after.rounds_parts <= before.rounds_parts + 4); /* a pause between them */
        EXPECT(after.rounds_logs >= before.rounds_logs + 2);
        EXPECT_UINT(after.parts_found, 0);
        EXPECT_OK(solo_set(&s, "ts.scrub.rate", "0"));
        solo_run(&s, ROUND_MS);
        uint64_t read = damage_of(&s).scrubbed;
        solo_run(&s, 3 * ROUND_MS);
        EXPECT_UINT(damage_of(&s).scrubbed, read);
        solo_close(&s);
    }
}

/* At a rate below the size of all there is, never more than that. */
TEST(member_scrub, reads_no_faster_than_it_may)
{
    enum { RATE = 64 * KIB, SECONDS = 120, STEP = 256 * KIB };
    struct solo s;
    solo_open(&s, (struct solo_options){.wal_level = 3});
    solo_run(&s, 1500);
    EXPECT_OK(solo_set(&s, "ts.scrub.rate", "64KiB"));
    EXPECT_OK(solo_make_table(&s));
    for (int64_t i = 0; i < 400; i++) {
        EXPECT_OK(solo_write_rows(&s, i * SOLO_ROWS_MAX, SOLO_ROWS_MAX));
    }
    solo_run(&s, ROUND_MS);
    uint64_t before = damage_of(&s).scrubbed;
    solo_run(&s, SECONDS * 1000);
    uint64_t read = damage_of(&s).scrubbed - before;
    EXPECT(read > 0);
    EXPECT(read <= (uint64_t)SECONDS * RATE + STEP);
    solo_close(&s);
}

TEST(member_scrub, finds_a_damaged_part_that_nobody_reads)
{
    struct solo s;
    solo_open(&s, (struct solo_options){.wal_level = 2});
    solo_run(&s, 1500);
    fill(&s);
    EXPECT_OK(solo_propose(&s, COMMAND_CHECKPOINT, (struct bytes){0}));
    solo_run(&s, 1000);
    struct io_name *names = NULL;
    size_t count = 0;
    char path[IO_PATH_MAX] = "";
    struct err e;
    REQUIRE_OK(io_list(fake_disk_io(s.disk), "/data/tsdb", &names, &count, &e));
    for (size_t i = 0; i < count; i++) {
        if (strncmp(names[i].name, "part-", 5) == 0) {
            REQUIRE_OK(io_join(path, "/data/tsdb", names[i].name, &e));
        }
    }
    mem_free(names);
    fake_disk_flip_bit(s.disk, path, PART_HEADER_SIZE + 5, 1);
    solo_run(&s, 2 * ROUND_MS);
    EXPECT_UINT(damage_of(&s).parts_found, 1);
    EXPECT_UINT(damage_of(&s).parts_waiting, 1);
    EXPECT_CONTAINS(member_status(s.member).message, "is damaged");
    solo_close(&s);
}

/* The entry is still in memory: it is written again, the node goes on. */
TEST(member_scrub, a_slot_of_the_raft_log_is_filled_from_memory)
{
    struct solo s;
    solo_open(&s, (struct solo_options){.wal_level = 3});
    solo_run(&s, 1500);
    fill(&s);
    uint64_t index = member_status(s.member).applied_index;
    uint64_t starts = member_status(s.member).start_counter;
    flip_entry(&s, "/data/raft", index - 3);
    flip_entry(&s, "/data/raft", index - 10);
    solo_run(&s, 2 * ROUND_MS);
    EXPECT_UINT(holes(&s, STORAGE_RAFT), 0);
    struct wal_stats stats = wal_stats(storage_wal(s.storage, STORAGE_RAFT));
    EXPECT_UINT(stats.holes_found, 2);
    EXPECT_UINT(stats.holes_filled, 2);
    EXPECT_UINT(member_status(s.member).start_counter, starts);
    solo_crash(&s, true);
    solo_start(&s);
    solo_run(&s, 3000);
    EXPECT_INT(solo_count(&s), ROWS);
    EXPECT_UINT(member_status(s.member).repaired.filled, 0);
    solo_close(&s);
}

/* What it says is in memory too: a checkpoint makes the damaged slot needless. */
TEST(member_scrub, a_slot_of_the_local_wal_is_made_needless_by_a_checkpoint)
{
    struct solo s;
    solo_open(&s, (struct solo_options){.wal_level = 1});
    solo_run(&s, 1500);
    fill(&s);
    uint64_t index = member_status(s.member).applied_index;
    flip_entry(&s, "/data/wal", index - 3);
    solo_run(&s, 2 * ROUND_MS);
    EXPECT(member_status(s.member).checkpoint_index >= index);
    EXPECT_UINT(holes(&s, STORAGE_LOCAL), 0);
    EXPECT_UINT(wal_stats(storage_wal(s.storage, STORAGE_LOCAL)).holes_found, 1);
    EXPECT_OK(solo_write(&s, 1000));
    solo_crash(&s, true);
    solo_start(&s);
    solo_run(&s, 3000);
    EXPECT_INT(solo_count(&s), ROWS + 1);
    solo_close(&s);
}
