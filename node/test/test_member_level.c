/* SPDX-License-Identifier: Apache-2.0 */
/* Changes of ts.wal.wal_level on one node; those of a cluster are played in sim/
 * and with processes in cluster-tests/. */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "node/member_weaken.h"
#include "node/test/solo.h"
#include "testkit/test.h"

enum {
    LEVELS = 4,
    BEFORE = 20,   /* rows that are answered before the change */
    OPEN = 3,      /* writes that are open when it is asked for */
    ASKS_MAX = 400 /* writes of a change under load */
};

static const char setting[] = "ts.wal.wal_level";

static const char *text_of(unsigned level)
{
    static const char *const texts[LEVELS] = {"0", "1", "2", "3"};
    CHECK(level < LEVELS);
    return texts[level];
}

static void open_at(struct solo *s, struct solo_options options)
{
    solo_open(s, options);
    solo_run(s, 1500);
    EXPECT_OK(solo_make_table(s));
    for (int64_t i = 1; i <= BEFORE; i++) {
        EXPECT_OK(solo_write(s, i));
    }
}

static void expect_level(struct solo *s, unsigned level)
{
    struct member_status status = member_status(s->member);
    EXPECT_UINT(status.wal_level, level);
    EXPECT_STR(tsdb_setting(member_tsdb(s->member), setting), text_of(level));
    EXPECT(status.state == (level == WAL_LEVEL_BYRL ? MEMBER_RUNNING : MEMBER_LOCAL));
    const struct control *c = storage_control(s->storage);
    EXPECT(control_log(c) == (level == WAL_LEVEL_BYRL ? CONTROL_LOG_RAFT : CONTROL_LOG_LOCAL));
    EXPECT(c->wal_level == (enum wal_level)level);
}

/* --- under load --- */

struct loaded {
    struct solo_ask set;
    struct solo_ask writes[ASKS_MAX];
    size_t count;
    size_t held_from; /* the first write that came after the change was asked for */
};

static void ask_next(struct solo *s, struct loaded *l)
{
    CHECK(l->count < ASKS_MAX);
    solo_ask_write(s, 1000 + (int64_t)l->count, &l->writes[l->count]);
    l->count++;
}

static bool all_answered(const struct loaded *l)
{
    bool all = l->set.answered;
    for (size_t i = 0; i < l->count; i++) {
        all &= l->writes[i].answered;
    }
    return all;
}

/* A write at every turn, from before the change until after it. */
static void change_under_load(struct solo *s, unsigned to, struct loaded *l)
{
    enum { TURNS_MAX = 1000 };
    *l = (struct loaded){0};
    for (size_t i = 0; i < OPEN; i++) {
        ask_next(s, l);
        (void)solo_turn(s);
    }
    solo_ask_set(s, setting, text_of(to), &l->set);
    l->held_from = l->count;
    while (!l->set.answered && l->count < ASKS_MAX) {
        ask_next(s, l);
        s->now_ms++;
        (void)solo_turn(s);
    }
    for (unsigned turns = 0; !all_answered(l) && turns < TURNS_MAX; turns++) {
        s->now_ms++;
        (void)solo_turn(s);
    }
}

/* Answered in the order in which they came, each at an index of its own: none was
 * repeated, none came in between. */
static void expect_written(struct solo *s, const struct loaded *l)
{
    uint64_t index = 0;
    for (size_t i = 0; i < l->count; i++) {
        EXPECT(l->writes[i].answered);
        EXPECT_OK(l->writes[i].reply.code);
        EXPECT(l->writes[i].reply.index >= index); /* writes of one entry have its index */
        index = l->writes[i].reply.index;
    }
    EXPECT_UINT(member_status(s->member).applied_index, index);
    EXPECT_INT(solo_count(s), BEFORE + (long)l->count);
}

/* What survives: all that was answered before the change, since it is in a
 * checkpoint, and behind it what the new level promises. */
static void expect_survives(struct solo *s, unsigned to, const struct loaded *l, bool power)
{
    uint64_t index = member_status(s->member).applied_index;
    solo_crash(s, power);
    solo_start(s);
    solo_run(s, 3000);
    expect_level(s, to);
    long all = BEFORE + (long)l->count;
    bool promised =
        to == WAL_LEVEL_SYNC || to == WAL_LEVEL_BYRL || (to == WAL_LEVEL_FLUSH && !power);
    long count = solo_count(s);
    EXPECT(promised ? count == all : count >= BEFORE + (long)l->held_from);
    if (promised) {
        EXPECT(member_status(s->member).applied_index >= index);
    }
    EXPECT_OK(solo_write(s, 5000));
    EXPECT_INT(solo_count(s), count + 1);
}

TEST(member_level, all_sixteen_changes_of_a_node_alone_keep_every_row_under_load)
{
    for (unsigned i = 0; i < 2 * LEVELS * LEVELS; i++) {
        unsigned from = i / LEVELS % LEVELS;
        unsigned to = i % LEVELS;
        bool power = i >= LEVELS * LEVELS;
        test_context("from %u to %u%s", from, to, power ? ", then a power failure" : "");
        struct solo s;
        struct loaded l;
        open_at(&s, (struct solo_options){.wal_level = from});
        expect_level(&s, from);
        uint64_t before = member_status(s.member).checkpoint_index;
        change_under_load(&s, to, &l);
        EXPECT_OK(l.set.reply.code);
        expect_level(&s, to);
        expect_written(&s, &l);
        if (from == to) {
            EXPECT_CONTAINS(l.set.text, "nothing was done");
            EXPECT_UINT(l.set.reply.blocked_ms, 0);
            EXPECT_UINT(member_status(s.member).checkpoint_index, before);
            solo_close(&s);
            continue;
        }
        EXPECT(l.set.text[0] != '\0');
        EXPECT(l.set.reply.blocked_ms > 0);
        EXPECT(l.set.reply.blocked_ms <= l.count);
        EXPECT(member_status(s.member).checkpoint_index > before);
        expect_survives(&s, to, &l, power);
        solo_close(&s);
    }
}

/* Each era begins behind the one before, in terms of its own (safety.md F2). */
TEST(member_level, eras_and_their_terms_only_rise_and_the_index_goes_on)
{
    enum { ROUNDS = 3 };
    struct solo s;
    open_at(&s, (struct solo_options){.wal_level = 2});
    struct control_era last = storage_control(s.storage)->eras[0];
    EXPECT_UINT(last.index_first, 1);
    long rows = BEFORE;
    for (unsigned i = 0; i < 2 * ROUNDS; i++) {
        unsigned to = i % 2 == 0 ? 3 : i / 2 % 3;
        test_context("change %u, to %u", i, to);
        uint64_t index = member_status(s.member).applied_index;
        EXPECT_OK(solo_set(&s, setting, text_of(to)));
        const struct control *c = storage_control(s.storage);
        struct control_era era = c->eras[c->era_count - 1];
        EXPECT_UINT(era.index_first, c->checkpoint_index + 1);
        EXPECT(era.index_first > index);
        EXPECT(era.index_first <= index + 5); /* a checkpoint, and what Raft starts from */
        EXPECT(era.term_first > last.term_first);
        EXPECT(era.log != last.log);
        EXPECT_OK(solo_write(&s, 100 + (int64_t)i));
        rows++;
        EXPECT(s.reply.index > era.index_first);
        EXPECT_UINT(tsdb_applied_term(member_tsdb(s.member)), era.term_first);
        if (to != WAL_LEVEL_OFF) {
            solo_crash(&s, false);
            solo_start(&s);
            solo_run(&s, 3000);
        }
        expect_level(&s, to);
        EXPECT_INT(solo_count(&s), rows);
        last = era;
    }
    solo_close(&s);
}

/* --- crashes --- */

/* The level after a change that is cut at the 'calls'-th call to the disk; *through:
 * the change was answered by then. */
static unsigned cut_change(unsigned from, unsigned to, uint64_t calls, bool power, bool *through)
{
    struct solo s;
    struct solo_ask set;
    struct solo_ask write;
    open_at(&s, (struct solo_options){.wal_level = from});
    if (from == WAL_LEVEL_OFF || from == WAL_LEVEL_FLUSH) { /* these promise less */
        EXPECT_OK(solo_propose(&s, COMMAND_CHECKPOINT, (struct bytes){0}));
    }
    fake_disk_stop_after(s.disk, calls);
    solo_ask_set(&s, setting, text_of(to), &set);
    solo_ask_write(&s, 1000, &write);
    solo_run(&s, 50);
    *through = set.answered && set.reply.code == ERR_OK;
    bool acked = write.answered && write.reply.code == ERR_OK;
    if (s.stopped) {
        EXPECT(s.exit_code != 0);
        solo_end(&s);
        fake_disk_clear_faults(s.disk);
        if (power) {
            fake_disk_power_fail_lose_all(s.disk);
        }
    } else {
        solo_crash(&s, power);
    }
    solo_start(&s);
    solo_run(&s, 3000);
    unsigned level = member_status(s.member).wal_level;
    EXPECT(level == to || (level == from && !*through));
    expect_level(&s, level);
    long count = solo_count(&s);
    bool kept = to == WAL_LEVEL_SYNC || to == WAL_LEVEL_BYRL || (to == WAL_LEVEL_FLUSH && !power);
    EXPECT(count == BEFORE + 1 || (count == BEFORE && !(acked && kept)));
    EXPECT_OK(solo_write(&s, 2000));
    EXPECT_OK(solo_set(&s, setting, text_of(to)));
    expect_level(&s, to);
    EXPECT_INT(solo_count(&s), count + 1);
    solo_close(&s);
    return level;
}

TEST(member_level, a_crash_at_every_write_of_a_change_leaves_the_old_level_or_the_new_one)
{
    enum { CALLS_MAX = 400 };
    for (unsigned i = 0; i < 2 * LEVELS * LEVELS; i++) {
        unsigned from = i / LEVELS % LEVELS;
        unsigned to = i % LEVELS;
        bool power = i >= LEVELS * LEVELS;
        bool through = from == to;
        uint64_t calls = 0;
        uint64_t levels[LEVELS] = {0};
        for (; !through && calls < CALLS_MAX; calls++) {
            test_context("from %u to %u, cut at call %u%s", from, to, (unsigned)calls,
                         power ? " by a power failure" : "");
            levels[cut_change(from, to, calls, power, &through)]++;
        }
        EXPECT(calls < CALLS_MAX);
        EXPECT(from == to || (levels[from] >= 4 && levels[to] >= 1));
    }
}

/* A checkpoint that can't be written ends the node (D4); the level stays. */
TEST(member_level, a_failed_checkpoint_leaves_the_old_level_and_says_why)
{
    for (unsigned to = 0; to < LEVELS; to++) {
        unsigned from = to == 1 ? 3 : 1;
        struct solo s;
        struct solo_ask set;
        test_context("from %u to %u", from, to);
        open_at(&s, (struct solo_options){.wal_level = from});
        fake_disk_fail(s.disk, (struct fake_disk_fault){.call = FAKE_DISK_WRITE,
                                                        .path = "/tsdb/",
                                                        .nth = 1,
                                                        .for_ever = true,
                                                        .code = ERR_IO});
        solo_ask_set(&s, setting, text_of(to), &set);
        solo_run(&s, 100);
        EXPECT(set.answered);
        EXPECT(set.reply.code != ERR_OK);
        char stays[32];
        (void)snprintf(stays, sizeof stays, "ts.wal.wal_level stays %u", from);
        EXPECT_CONTAINS(set.text, stays);
        EXPECT_CONTAINS(set.text, "checkpoint");
        EXPECT(s.stopped);
        solo_end(&s);
        fake_disk_clear_faults(s.disk);
        solo_start(&s);
        solo_run(&s, 3000);
        expect_level(&s, from);
        EXPECT_INT(solo_count(&s), BEFORE);
        EXPECT_OK(solo_set(&s, setting, text_of(to)));
        expect_level(&s, to);
        solo_close(&s);
    }
}

TEST(member_level, a_change_that_finds_no_room_leaves_the_old_level_and_the_node_goes_on)
{
    struct solo s;
    open_at(&s, (struct solo_options){.wal_level = 2});
    struct solo_ask set;
    fake_disk_fail(s.disk, (struct fake_disk_fault){.call = FAKE_DISK_WRITE,
                                                    .path = "/raft/",
                                                    .nth = 1,
                                                    .for_ever = true,
                                                    .code = ERR_NO_SPACE});
    solo_ask_set(&s, setting, "3", &set);
    solo_run(&s, 100);
    EXPECT(set.answered);
    EXPECT(set.reply.code == ERR_NO_SPACE);
    EXPECT_CONTAINS(set.text, "ts.wal.wal_level stays 2");
    EXPECT(!s.stopped);
    EXPECT_OK(solo_write(&s, 1000));
    expect_level(&s, 2);
    fake_disk_clear_faults(s.disk);
    EXPECT_OK(solo_set(&s, setting, "3"));
    EXPECT_INT(solo_count(&s), BEFORE + 1);
    solo_close(&s);
}

/* --- while it is under way --- */

TEST(member_level, reads_go_on_and_no_more_writes_wait_than_there_is_room_for)
{
    struct solo s;
    struct solo_ask set;
    open_at(&s, (struct solo_options){.wal_level = 1});
    s.hold[LANE_POOL] = true; /* the checkpoint is not written */
    solo_ask_set(&s, setting, "3", &set);
    solo_run(&s, 20);
    struct solo_ask *writes = mem_array(LIMIT_HELD_COMMANDS + 1, sizeof *writes);
    for (size_t i = 0; i < LIMIT_HELD_COMMANDS; i++) {
        solo_ask_write(&s, 1000 + (int64_t)i, &writes[i]);
        CHECK(!writes[i].answered);
    }
    solo_ask_write(&s, 1, &writes[LIMIT_HELD_COMMANDS]);
    EXPECT(writes[LIMIT_HELD_COMMANDS].answered);
    EXPECT(writes[LIMIT_HELD_COMMANDS].reply.code == ERR_FULL);
    EXPECT_CONTAINS(writes[LIMIT_HELD_COMMANDS].text, "wait until ts.wal.wal_level is changed");
    member_cancel(s.member, &writes[0].request);
    struct solo_ask read = {.request = writes[1].request};
    read.request = (struct member_request){.done = writes[1].request.done};
    member_read(s.member, false, 0, &read.request);
    solo_run(&s, 0);
    EXPECT(read.answered);
    EXPECT_OK(read.reply.code);
    s.hold[LANE_POOL] = false;
    solo_run(&s, 100);
    EXPECT(set.answered);
    EXPECT_OK(set.reply.code);
    EXPECT(set.reply.blocked_ms >= 20);
    EXPECT(!writes[0].answered); /* nobody cares: it was not made */
    EXPECT_INT(solo_count(&s), BEFORE + LIMIT_HELD_COMMANDS - 1);
    mem_free(writes);
    solo_close(&s);
}

TEST(member_level, a_stop_in_the_middle_gives_the_change_up_and_stops_cleanly)
{
    struct solo s;
    struct solo_ask set;
    struct solo_ask write;
    open_at(&s, (struct solo_options){.wal_level = 2});
    s.hold[LANE_POOL] = true;
    solo_ask_set(&s, setting, "3", &set);
    solo_run(&s, 20);
    solo_ask_write(&s, 1000, &write);
    member_stop(s.member, s.now_ms + 10000);
    solo_run(&s, 20);
    EXPECT(set.answered);
    EXPECT_CONTAINS(set.text, "ts.wal.wal_level stays 2: the node is stopping");
    EXPECT(write.answered);
    EXPECT(write.reply.code == ERR_UNAVAILABLE);
    s.hold[LANE_POOL] = false;
    solo_run(&s, 1000);
    EXPECT(s.stopped);
    EXPECT_INT(s.exit_code, 0);
    solo_end(&s);
    solo_start(&s);
    struct member_status status = member_status(s.member);
    EXPECT_UINT(status.applied_index, status.checkpoint_index); /* nothing to replay */
    expect_level(&s, 2);
    EXPECT_INT(solo_count(&s), BEFORE);
    solo_close(&s);
}

TEST(member_level, a_second_change_waits_for_the_first_one)
{
    struct solo s;
    struct solo_ask sets[3];
    open_at(&s, (struct solo_options){.wal_level = 1});
    solo_ask_set(&s, setting, "3", &sets[0]);
    solo_ask_set(&s, setting, "0", &sets[1]);
    solo_ask_set(&s, setting, "4", &sets[2]);
    solo_run(&s, 100);
    EXPECT_OK(sets[0].reply.code);
    EXPECT_OK(sets[1].reply.code);
    EXPECT(sets[2].reply.code == ERR_RANGE);
    EXPECT(sets[1].reply.index > sets[0].reply.index);
    expect_level(&s, 0);
    EXPECT_INT(solo_count(&s), BEFORE);
    solo_close(&s);
}

/* --- why (safety.md F2) --- */

/* Rows that are left after a change, a synced row, and a power failure. */
static long rows_after_change(unsigned from, unsigned to, unsigned weaken)
{
    struct solo s;
    open_at(&s, (struct solo_options){.wal_level = from, .weaken = weaken});
    EXPECT_OK(solo_set(&s, setting, text_of(to)));
    EXPECT_OK(solo_write(&s, 1000));
    EXPECT_INT(solo_count(&s), BEFORE + 1);
    solo_crash(&s, true);
    solo_start(&s);
    solo_run(&s, 3000);
    long count = solo_count(&s);
    solo_close(&s);
    return count;
}

TEST(member_level, f2_the_control_file_names_the_log_that_is_replayed)
{
    EXPECT_INT(rows_after_change(3, 1, 0), BEFORE + 1);
    EXPECT_INT(rows_after_change(1, 3, 0), BEFORE + 1);
    EXPECT_INT(rows_after_change(3, 1, WEAKEN_ERAS), BEFORE);
    EXPECT_INT(rows_after_change(1, 3, WEAKEN_ERAS), BEFORE);
}
