/* SPDX-License-Identifier: Apache-2.0 */
/* safety.md H1 for a node alone; in clusters: sim/, cluster-tests/scenarios/disk.c. */
#include <string.h>

#include "node/member_weaken.h"
#include "node/test/solo.h"
#include "testkit/test.h"

enum {
    ROWS_MAX = 200000,
    ROOM = 3 * LIMIT_MIB, /* that the disk has when the rows begin */
    ASK_MS = 1100,        /* until the node has looked at its disk again */
    CHECKPOINT_MS = 12000,
    MINUTES_MS = 130000, /* checkpoints by time, too */
};

/* Writes until one is refused; rows that were taken. */
static long fill(struct solo *s, long row)
{
    while (row < ROWS_MAX && !s->stopped && solo_write_rows(s, row, SOLO_ROWS_MAX) == ERR_OK) {
        row += SOLO_ROWS_MAX;
    }
    EXPECT(row < ROWS_MAX);
    return row;
}

static void open_with_room(struct solo *s, unsigned level, unsigned weaken)
{
    solo_open(s, (struct solo_options){.wal_level = level, .weaken = weaken});
    solo_run(s, 1500);
    EXPECT_OK(solo_make_table(s));
    solo_run(s, ASK_MS);
    fake_disk_set_capacity(s->disk, fake_disk_used(s->disk) + ROOM);
    solo_run(s, ASK_MS);
}

static void refuse_and_recover(unsigned level)
{
    struct solo s;
    test_context("level %u: ", level);
    open_with_room(&s, level, 0);
    long rows = fill(&s, 0);
    EXPECT(rows > 0);
    EXPECT_INT(s.reply.code, ERR_NO_SPACE);
    EXPECT_CONTAINS(s.text, "disk full: /data needs ");
    EXPECT_CONTAINS(s.text, " bytes free, has ");
    EXPECT(member_status(s.member).healthy);
    solo_run(&s, CHECKPOINT_MS); /* the rows became parts, segments were freed */
    EXPECT_OK(solo_write(&s, rows++));
    fake_disk_set_capacity(s.disk, fake_disk_used(s.disk));
    solo_run(&s, ASK_MS);
    EXPECT_ERR(solo_write(&s, rows), ERR_NO_SPACE);
    solo_run(&s, MINUTES_MS);
    EXPECT_ERR(solo_write(&s, rows), ERR_NO_SPACE);
    EXPECT(!s.stopped);
    EXPECT_INT(solo_count(&s), rows);
    EXPECT_CONTAINS(member_status(s.member).message, "disk full: writes are refused; /data");
    fake_disk_set_capacity(s.disk, 0);
    solo_run(&s, ASK_MS);
    EXPECT_OK(solo_write(&s, rows++));
    EXPECT_STR(member_status(s.member).message, "");
    solo_crash(&s, level == 1 || level == 3);
    solo_start(&s);
    solo_run(&s, 3000);
    EXPECT_INT(solo_count(&s), rows);
    solo_close(&s);
}

TEST(member_room, a_full_disk_refuses_writes_and_stops_nothing_at_any_level)
{
    for (unsigned level = 1; level <= 3; level++) {
        refuse_and_recover(level);
    }
}

/* A full disk, and what a start finds on it. */
TEST(member_room, a_node_starts_on_a_full_disk_and_serves_reads)
{
    struct solo s;
    open_with_room(&s, 3, 0);
    long rows = fill(&s, 0);
    fake_disk_set_capacity(s.disk, fake_disk_used(s.disk));
    solo_crash(&s, true);
    fake_disk_set_capacity(s.disk, fake_disk_used(s.disk));
    solo_start(&s);
    solo_run(&s, 3000);
    EXPECT(!s.stopped);
    EXPECT_INT(solo_count(&s), rows);
    EXPECT_ERR(solo_write(&s, rows), ERR_NO_SPACE);
    fake_disk_set_capacity(s.disk, 0);
    solo_run(&s, ASK_MS);
    EXPECT_OK(solo_write(&s, rows));
    solo_close(&s);
}

/* Without the rule the log is written to until the disk refuses it. */
TEST(member_room, without_the_rule_a_full_disk_stops_the_node)
{
    struct solo s;
    open_with_room(&s, 3, WEAKEN_ROOM);
    (void)fill(&s, 0);
    EXPECT(s.stopped);
    EXPECT_CONTAINS(s.reason, "No space left");
    solo_end(&s);
    solo_close(&s);
}

/* Whoever else fills the disk: the checkpoint that would make room must not be what ends us. */
static bool survives_a_checkpoint_without_room(unsigned weaken)
{
    struct solo s;
    solo_open(&s, (struct solo_options){.wal_level = 1, .weaken = weaken});
    EXPECT_OK(solo_make_table(&s));
    EXPECT_OK(solo_write(&s, 1));
    fake_disk_fail(s.disk, (struct fake_disk_fault){.call = FAKE_DISK_WRITE,
                                                    .path = "/tsdb/",
                                                    .nth = 1,
                                                    .for_ever = true,
                                                    .code = ERR_NO_SPACE});
    (void)solo_propose(&s, COMMAND_CHECKPOINT, (struct bytes){0});
    solo_run(&s, MINUTES_MS);
    bool survives = !s.stopped;
    fake_disk_clear_faults(s.disk);
    if (survives) {
        EXPECT_OK(solo_write(&s, 2));
        solo_run(&s, ASK_MS);
        EXPECT(member_status(s.member).checkpoint_index > 0);
        EXPECT_INT(solo_count(&s), 2);
    } else {
        solo_end(&s);
    }
    solo_close(&s);
    return survives;
}

TEST(member_room, a_checkpoint_waits_for_room)
{
    EXPECT(survives_a_checkpoint_without_room(0));
    EXPECT(!survives_a_checkpoint_without_room(WEAKEN_ROOM));
}

/* A stop in the meantime neither waits for ever nor leaks. */
TEST(member_room, a_node_stops_while_a_checkpoint_waits_for_room)
{
    struct solo s;
    solo_open(&s, (struct solo_options){.wal_level = 1});
    EXPECT_OK(solo_make_table(&s));
    EXPECT_OK(solo_write(&s, 1));
    fake_disk_fail(s.disk, (struct fake_disk_fault){.call = FAKE_DISK_WRITE,
                                                    .path = "/tsdb/",
                                                    .nth = 1,
                                                    .for_ever = true,
                                                    .code = ERR_NO_SPACE});
    member_stop(s.member, s.now_ms + 5000);
    solo_run(&s, 6000);
    EXPECT(s.stopped);
    solo_end(&s);
    fake_disk_clear_faults(s.disk);
    solo_start(&s);
    solo_run(&s, 3000);
    EXPECT_INT(solo_count(&s), 1);
    solo_close(&s);
}
