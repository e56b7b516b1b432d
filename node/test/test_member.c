/* SPDX-License-Identifier: Apache-2.0 */
/* One member at a time; whole clusters of them are played in sim/. */
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "node/member_weaken.h"
#include "node/test/solo.h"
#include "proto/wire.h"
#include "testkit/fake_disk_damage.h"
#include "testkit/test.h"

enum { ROWS = 20, WRITES_MAX = 5000, DISK_HANG_MS = 2100, ROOM_WAIT_MS = 1100 };

static void fill(struct solo *s)
{
    EXPECT_OK(solo_make_table(s));
    for (int64_t i = 1; i <= ROWS; i++) {
        EXPECT_OK(solo_write(s, i));
    }
}

/* What each level promises, and no more. */
TEST(member, acknowledged_rows_survive_as_the_level_says)
{
    static const struct {
        unsigned level;
        long after_kill;
        long after_power; /* -1: nothing is promised */
    } cases[] = {{0, 0, 0}, {1, ROWS, ROWS}, {2, ROWS, -1}, {3, ROWS, ROWS}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (int power = 0; power < 2; power++) {
            struct solo s;
            solo_open(&s, (struct solo_options){.wal_level = cases[i].level});
            solo_run(&s, 1500);
            fill(&s);
            solo_crash(&s, power != 0);
            solo_start(&s);
            solo_run(&s, 3000);
            long expected = power != 0 ? cases[i].after_power : cases[i].after_kill;
            long count = solo_count(&s);
            EXPECT(expected == -1 || count == expected);
            EXPECT(count >= 0); /* the table itself is metadata: always there */
            EXPECT_OK(solo_write(&s, 1000));
            EXPECT_INT(solo_count(&s), count + 1);
            solo_close(&s);
        }
    }
}

/* Metadata is synced before the statement returns, at every level. */
TEST(member, settings_survive_a_power_failure_at_every_level)
{
    for (unsigned level = 0; level <= 3; level++) {
        struct solo s;
        solo_open(&s, (struct solo_options){.wal_level = level});
        solo_run(&s, 1500);
        EXPECT_OK(solo_set(&s, "ts.wal.checkpoint_interval", "7m"));
        solo_crash(&s, true);
        solo_start(&s);
        solo_run(&s, 3000);
        EXPECT_STR(tsdb_setting(member_tsdb(s.member), "ts.wal.checkpoint_interval"), "7m");
        EXPECT_UINT(member_status(s.member).wal_level, level);
        solo_close(&s);
    }
}

/* A read in between would show a state from before what was answered. */
TEST(member, a_node_alone_serves_when_all_of_its_wal_is_applied)
{
    struct solo s;
    solo_open(&s, (struct solo_options){.wal_level = 1});
    fill(&s);
    solo_crash(&s, false);
    s.hold[LANE_APPLY] = true;
    solo_start(&s);
    s.hold[LANE_APPLY] = false;
    (void)solo_turn(&s); /* opens the state, nothing of the WAL */
    s.hold[LANE_APPLY] = true;
    solo_run(&s, 100);
    EXPECT(!member_status(s.member).healthy);
    EXPECT_ERR(solo_write(&s, 1000), ERR_UNAVAILABLE);
    EXPECT_CONTAINS(s.text, "replaying the local WAL");
    s.hold[LANE_APPLY] = false;
    solo_run(&s, 100);
    EXPECT(member_status(s.member).healthy);
    EXPECT_INT(solo_count(&s), ROWS);
    solo_close(&s);
}

/* Entries to be replayed by the start after a clean stop. */
static uint64_t replayed_after_stop(unsigned weaken)
{
    struct solo s;
    solo_open(&s, (struct solo_options){.wal_level = 2, .weaken = weaken});
    fill(&s);
    member_stop(s.member, s.now_ms + 10000);
    solo_run(&s, 1000);
    EXPECT(s.stopped);
    EXPECT_INT(s.exit_code, 0);
    solo_end(&s);
    solo_start(&s);
    struct member_status status = member_status(s.member);
    EXPECT_INT(solo_count(&s), ROWS);
    solo_close(&s);
    return status.applied_index - status.checkpoint_index;
}

/* safety.md E6 */
TEST(member, a_clean_stop_of_a_node_alone_leaves_nothing_to_replay)
{
    EXPECT_UINT(replayed_after_stop(0), 0);
    EXPECT(replayed_after_stop(WEAKEN_CLEAN_STOP) >= ROWS);
}

/* Else a node that nobody speaks to would look as if it had yet to find a leader. */
TEST(member, a_node_that_others_refuse_says_so_until_they_do_not)
{
    struct solo s;
    solo_open(&s, (struct solo_options){.wal_level = 3, .peer_count = 3});
    struct peer_refusal refusal = {.reason = "n1 belongs to cluster a, n2 to cluster b"};
    EXPECT(strstr(member_status(s.member).message, "refused") == NULL);
    member_refused(s.member, 7, &refusal);
    EXPECT_CONTAINS(member_status(s.member).message,
                    "refused by another node: n1 belongs to cluster a, n2 to cluster b");
    EXPECT(!member_status(s.member).healthy);
    solo_run(&s, 6000);
    EXPECT(strstr(member_status(s.member).message, "refused") == NULL);
    solo_close(&s);

    solo_open(&s, (struct solo_options){.wal_level = 3}); /* one that serves is not concerned */
    solo_run(&s, 1500);
    member_refused(s.member, 7, &refusal);
    EXPECT(member_status(s.member).healthy);
    EXPECT_STR(member_status(s.member).message, "");
    solo_close(&s);
}

/* An operator who sees refused writes must find out why, and what helps. */
TEST(member, full_memory_refuses_writes_says_why_and_ends_with_the_checkpoint)
{
    enum { ROWS_MAX = 200000 };
    struct solo s;
    solo_open(&s, (struct solo_options){.wal_level = 2});
    EXPECT_OK(solo_make_table(&s));
    EXPECT_OK(solo_set(&s, "ts.mem_segment_size.max_limit", "1MiB"));
    EXPECT_OK(solo_set(&s, "ts.wal.checkpoint_interval", "1h"));
    EXPECT_STR(member_status(s.member).message, "");
    s.hold[LANE_POOL] = true; /* the checkpoint that is asked for at half is not written */
    int64_t rows = 0;
    while (rows < ROWS_MAX && solo_write(&s, rows) == ERR_OK) {
        rows++;
    }
    EXPECT(s.reply.code == ERR_FULL);
    EXPECT_CONTAINS(s.text, "bytes of rows wait in memory for a checkpoint");
    EXPECT_CONTAINS(s.text, "raise ts.mem_segment_size.max_limit");
    s.now_ms += 3000;
    solo_run(&s, 100);
    EXPECT_CONTAINS(member_status(s.member).message, "writes are refused");
    EXPECT_CONTAINS(member_status(s.member).message,
                    "ts.mem_segment_size.max_limit is 1048576: a checkpoint is written, since 3 s");
    EXPECT(member_status(s.member).healthy); /* it serves reads */
    s.hold[LANE_POOL] = false;
    solo_run(&s, 1000);
    EXPECT_STR(member_status(s.member).message, "");
    EXPECT_OK(solo_write(&s, rows));
    EXPECT_INT(solo_count(&s), rows + 1);
    solo_close(&s);
}

/* Flips a bit in a row of the local WAL, near its end. */
static void damage_near_end(struct solo *s, size_t back)
{
    enum { SIZE_MAX_READ = 1 << 20 };
    struct io *io = fake_disk_io(s->disk);
    struct io_name *names = NULL;
    struct buf content = {0};
    struct err e;
    size_t count = 0;
    char path[IO_PATH_MAX] = "";
    EXPECT_OK(io_list(io, "/data/wal", &names, &count, &e));
    for (size_t i = 0; i < count && content.size == 0; i++) {
        if (strstr(names[i].name, "00000001") != NULL) { /* the first segment */
            EXPECT_OK(io_join(path, "/data/wal", names[i].name, &e));
            EXPECT_OK(io_read_file(io, path, SIZE_MAX_READ, &content, &e));
        }
    }
    mem_free(names);
    size_t end = content.size;
    while (end > 0 && content.data[end - 1] == 0) {
        end--;
    }
    CHECK(end > back);
    fake_disk_flip_bit(s->disk, path, end - back, 3);
    buf_deinit(&content);
}

static void damage_a_row(struct solo *s)
{
    damage_near_end(s, 1500);
}

/* Rows that a start finds in a damaged log after the operator has asked to skip
 * what is damaged; 'mirrored': the control file says so. */
static long rows_behind_damage(bool mirrored)
{
    struct solo s;
    solo_open(&s, (struct solo_options){.wal_level = 1});
    solo_run(&s, 1500);
    EXPECT_OK(solo_set(&s, "ts.wal.recovery_mode", "skip_any_corrupted_records"));
    fill(&s);
    if (!mirrored) {
        struct control c = *storage_control(s.storage);
        struct err e;
        EXPECT(c.recovery_mode == WAL_SKIP_ANY_CORRUPTED_RECORDS);
        c.recovery_mode = WAL_POINT_IN_TIME_RECOVERY;
        EXPECT_OK(storage_put_control(s.storage, &c, &e));
    }
    solo_crash(&s, false);
    damage_a_row(&s);
    solo_start(&s);
    solo_run(&s, 3000);
    long count = solo_count(&s);
    solo_close(&s);
    return count;
}

/* safety.md D3: the setting itself stands in the log that it says how to read. */
TEST(member, the_recovery_mode_is_known_before_the_log_is_read)
{
    EXPECT_INT(rows_behind_damage(true), ROWS - 1);
    EXPECT(rows_behind_damage(false) < ROWS - 1);
}

/* The checkpoint that a start has made by itself; 0: none. */
static uint64_t checkpoint_after_start(bool damage)
{
    struct solo s;
    solo_open(&s, (struct solo_options){.wal_level = 1});
    EXPECT_OK(solo_set(&s, "ts.wal.checkpoint_interval", "1h"));
    fill(&s);
    solo_crash(&s, false);
    if (damage) {
        damage_a_row(&s);
    }
    solo_start(&s);
    solo_run(&s, 500);
    uint64_t index = member_status(s.member).checkpoint_index;
    long count = solo_count(&s);
    EXPECT(damage ? count > 0 && count < ROWS : count == ROWS);
    solo_crash(&s, true);
    solo_start(&s);
    solo_run(&s, 500);
    EXPECT_INT(solo_count(&s), count);
    solo_close(&s);
    return index;
}

TEST(member, a_replay_says_how_far_it_is_and_keeps_its_figures)
{
    enum { MANY = 3000 };
    struct solo s;
    solo_open(&s, (struct solo_options){.wal_level = 2});
    EXPECT_OK(solo_make_table(&s));
    EXPECT_OK(solo_set(&s, "ts.wal.checkpoint_interval", "1h"));
    for (int64_t i = 1; i <= MANY; i++) {
        EXPECT_OK(solo_write(&s, i));
    }
    solo_crash(&s, false);
    solo_start(&s);
    solo_run(&s, 500);
    struct member_status status = member_status(s.member);
    EXPECT(status.recovery.phase == RECOVERY_DONE);
    EXPECT(status.recovery.entries >= MANY);
    EXPECT_UINT(status.recovery.undone, 0);
    EXPECT(status.recovery_view.bytes_done > (uint64_t)MANY * 100);
    EXPECT_UINT(status.recovery_view.bytes_left, 0);
    EXPECT_STR(status.message, "");
    EXPECT_INT(solo_count(&s), MANY);
    solo_close(&s);
}

/* A log may hold more than fits in memory: reading waits for applying. */
TEST(member, a_replay_does_not_read_on_while_nothing_is_applied)
{
    enum { MANY = 3000, AHEAD_MAX = 2000 };
    struct solo s;
    solo_open(&s, (struct solo_options){.wal_level = 2});
    EXPECT_OK(solo_make_table(&s));
    EXPECT_OK(solo_set(&s, "ts.wal.checkpoint_interval", "1h"));
    for (int64_t i = 1; i <= MANY; i++) {
        EXPECT_OK(solo_write(&s, i));
    }
    solo_crash(&s, false);
    s.options.hold_apply_when_local = true;
    solo_start(&s);
    solo_run(&s, 3000);
    struct member_status status = member_status(s.member);
    EXPECT(status.recovery.phase == RECOVERY_REDO);
    EXPECT(status.recovery.entries > 0 && status.recovery.entries < AHEAD_MAX);
    EXPECT(status.recovery_view.bytes_left > 0);
    EXPECT(!status.healthy);
    s.hold[LANE_APPLY] = false;
    solo_run(&s, 1500);
    EXPECT(member_status(s.member).recovery.phase == RECOVERY_DONE);
    EXPECT_INT(solo_count(&s), MANY);
    solo_close(&s);
}

/* safety.md G2: its last parts are lost, so it never took effect, and that is said. */
TEST(member, a_large_change_without_its_end_is_undone)
{
    struct solo s;
    solo_open(&s, (struct solo_options){.wal_level = 1, .part_size = 200});
    fill(&s);
    EXPECT_OK(solo_write_rows(&s, 1000, SOLO_ROWS_MAX));
    EXPECT_INT(solo_count(&s), ROWS + SOLO_ROWS_MAX);
    solo_crash(&s, false);
    damage_near_end(&s, 300);
    solo_start(&s);
    solo_run(&s, 500);
    EXPECT_UINT(member_status(s.member).recovery.undone, 1);
    EXPECT_INT(solo_count(&s), ROWS);
    EXPECT_OK(solo_write(&s, 2000));
    EXPECT_INT(solo_count(&s), ROWS + 1);
    solo_close(&s);
}

/* safety.md A9 */
TEST(member, a_loss_in_the_local_wal_is_answered_by_a_checkpoint)
{
    EXPECT(checkpoint_after_start(true) > 0);
    EXPECT_UINT(checkpoint_after_start(false), 0);
}

/* A checkpoint can't be written. */
static void fail_a_checkpoint(struct solo *s, unsigned weaken)
{
    solo_open(s, (struct solo_options){.wal_level = 1, .weaken = weaken});
    fill(s);
    fake_disk_fail(
        s->disk,
        (struct fake_disk_fault){
            .call = FAKE_DISK_WRITE, .path = "/tsdb/", .nth = 1, .for_ever = true, .code = ERR_IO});
    (void)solo_propose(s, COMMAND_CHECKPOINT, (struct bytes){0});
    solo_run(s, 100);
}

/* safety.md D4. Without it the node stands still for ever, and says nothing. */
TEST(member, a_checkpoint_that_can_not_be_written_ends_the_node_with_the_reason)
{
    struct solo s;
    fail_a_checkpoint(&s, 0);
    EXPECT(s.stopped);
    EXPECT_INT(s.exit_code, 1);
    EXPECT_CONTAINS(s.reason, "checkpoint");
    solo_end(&s);
    solo_close(&s);
    fail_a_checkpoint(&s, WEAKEN_FAIL_STOP);
    EXPECT(!s.stopped);
    fake_disk_clear_faults(s.disk);
    EXPECT_ERR(solo_propose(&s, COMMAND_CHECKPOINT, (struct bytes){0}), ERR_DEADLINE);
    EXPECT_ERR(solo_write(&s, 500), ERR_DEADLINE);
    solo_close(&s);
}

struct two_requests {
    struct member_request requests[2];
    enum err_code codes[2];
};

static void on_first(struct member_request *r, const struct member_reply *reply)
{
    ((struct two_requests *)r)->codes[0] = reply->code;
}

static void on_second(struct member_request *r, const struct member_reply *reply)
{
    struct two_requests *two = (struct two_requests *)(r - 1);
    two->codes[1] = reply->code;
}

/* Both are valid when they are asked for, the second one not when it is applied. */
static void make_one_database_twice(struct solo *s, struct two_requests *two)
{
    struct buf body = {0};
    wire_put_str(&body, 1, "twice");
    struct command command = {.kind = COMMAND_CREATE_DATABASE, .body = buf_bytes(&body)};
    *two = (struct two_requests){.requests = {{.done = on_first}, {.done = on_second}}};
    member_propose(s->member, &command, &two->requests[0]);
    member_propose(s->member, &command, &two->requests[1]);
    solo_run(s, 100);
    buf_deinit(&body);
}

/* safety.md D4. What was valid when the leader took it can be refused where it is
 * applied. A node that counts on the first ends, and ends again at each start: on
 * every node of a cluster, for they all have the entry. */
TEST(member, what_was_valid_when_it_was_proposed_is_validated_when_it_is_applied)
{
    struct solo s;
    struct two_requests two;
    solo_open(&s, (struct solo_options){.wal_level = 3});
    solo_run(&s, 1500);
    make_one_database_twice(&s, &two);
    EXPECT_INT(two.codes[0], ERR_OK);
    EXPECT_INT(two.codes[1], ERR_EXISTS);
    EXPECT_OK(solo_make_table(&s));
    solo_close(&s);

    solo_open(&s, (struct solo_options){.wal_level = 3, .weaken = WEAKEN_REFUSALS});
    solo_run(&s, 1500);
    for (unsigned starts = 0; starts < 3; starts++) {
        if (starts == 0) {
            make_one_database_twice(&s, &two);
        } else {
            solo_start(&s);
            solo_run(&s, 1500);
        }
        EXPECT(s.stopped);
        EXPECT_CONTAINS(s.reason, "was validated and can't be applied");
        solo_end(&s);
    }
    solo_close(&s);
}

/* Without it the node would go on promising what its disk no longer takes. */
TEST(member, a_disk_that_hangs_ends_the_node_with_the_reason)
{
    struct solo s;
    solo_open(&s, (struct solo_options){.wal_level = 1});
    fill(&s);
    s.hold[LANE_LOG] = true;
    EXPECT_ERR(solo_write(&s, 500), ERR_DEADLINE);
    solo_run(&s, DISK_HANG_MS);
    EXPECT(member_state(s.member) == MEMBER_STOPPING);
    EXPECT(!s.stopped); /* its job is still out */
    s.hold[LANE_LOG] = false;
    solo_run(&s, 100);
    EXPECT(s.stopped);
    EXPECT_INT(s.exit_code, 1);
    EXPECT_CONTAINS(s.reason, "has not finished a write");
    solo_end(&s);
    solo_close(&s);
}

/* After SIGSTOP and SIGCONT all clocks have jumped; the disk is not to blame. */
TEST(member, a_process_that_was_stopped_does_not_blame_its_disk)
{
    struct solo s;
    solo_open(&s, (struct solo_options){.wal_level = 1});
    fill(&s);
    s.hold[LANE_LOG] = true;
    EXPECT_ERR(solo_write(&s, 500), ERR_DEADLINE);
    s.now_ms += 60000;
    solo_run(&s, 0);
    EXPECT(member_state(s.member) == MEMBER_LOCAL);
    s.hold[LANE_LOG] = false;
    EXPECT_OK(solo_write(&s, 501));
    solo_close(&s);
}

TEST(member, a_failed_sync_ends_the_node_and_acknowledges_nothing)
{
    struct solo s;
    solo_open(&s, (struct solo_options){.wal_level = 1});
    fill(&s);
    fake_disk_fail_next(s.disk, FAKE_DISK_SYNC, ERR_IO);
    EXPECT(solo_write(&s, 500) != ERR_OK);
    EXPECT(s.stopped);
    EXPECT_INT(s.exit_code, 1);
    solo_end(&s);
    solo_close(&s);
}

TEST(member, a_full_disk_refuses_writes_and_serves_again_when_there_is_room)
{
    struct solo s;
    solo_open(&s, (struct solo_options){.wal_level = 2});
    fill(&s);
    fake_disk_set_capacity(s.disk, fake_disk_used(s.disk));
    enum err_code code = ERR_OK;
    int64_t time = ROWS;
    while (code == ERR_OK && time < WRITES_MAX) {
        code = solo_write(&s, ++time);
    }
    EXPECT(code == ERR_NO_SPACE);
    EXPECT_CONTAINS(s.text, "disk full: /data needs ");
    EXPECT(!s.stopped);
    EXPECT_INT(solo_count(&s), time - 1);
    EXPECT_CONTAINS(member_status(s.member).message, "writes are refused; /data needs ");
    EXPECT(member_status(s.member).healthy); /* it serves reads */
    fake_disk_set_capacity(s.disk, 0);
    solo_run(&s, ROOM_WAIT_MS);
    EXPECT_STR(member_status(s.member).message, "");
    EXPECT_OK(solo_write(&s, time));
    EXPECT_INT(solo_count(&s), time);
    solo_close(&s);
}

/* One of three may not decide anything for the others. */
TEST(member, a_founder_without_its_peers_waits_and_says_for_whom)
{
    struct solo s;
    solo_open(&s, (struct solo_options){.wal_level = 3, .peer_count = 3});
    solo_run(&s, 3000);
    EXPECT(member_state(s.member) == MEMBER_FORMING);
    EXPECT_CONTAINS(member_status(s.member).message, "1 of 3");
    EXPECT_ERR(solo_write(&s, 1), ERR_UNAVAILABLE);
    EXPECT_CONTAINS(s.text, "b:1");
    EXPECT_UINT(member_status(s.member).cluster_id, 0);
    solo_close(&s);
}

TEST(member, a_cancelled_request_is_not_answered)
{
    struct solo s;
    solo_open(&s, (struct solo_options){.wal_level = 2});
    fill(&s);
    s.hold[LANE_APPLY] = true;
    EXPECT_ERR(solo_write(&s, 500), ERR_DEADLINE); /* cancelled by the helper */
    s.hold[LANE_APPLY] = false;
    solo_run(&s, 100);
    EXPECT(!s.answered);
    EXPECT_INT(solo_count(&s), ROWS + 1); /* it took effect all the same */
    solo_close(&s);
}

/* A write of ROWS rows in parts, cut at the 'calls'-th call to the disk. False: it
 * was through by then. */
static bool cut_large_write(unsigned level, uint64_t calls, bool power)
{
    enum { PART_SIZE = 100 }; /* of about 400 bytes */
    struct solo s;
    solo_open(&s, (struct solo_options){.wal_level = level, .part_size = PART_SIZE});
    solo_run(&s, 1500);
    EXPECT_OK(solo_make_table(&s));
    EXPECT_OK(solo_write(&s, 1000));
    uint64_t before = member_status(s.member).applied_index;
    fake_disk_stop_after(s.disk, calls);
    bool acked = solo_write_rows(&s, 1, ROWS) == ERR_OK;
    EXPECT(!acked || member_status(s.member).applied_index == before + 4);
    if (s.stopped) {
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
    long count = solo_count(&s);
    EXPECT(count == 1 + ROWS || (count == 1 && !acked));
    EXPECT_OK(solo_write_rows(&s, 1, ROWS)); /* what is left of the first one is void */
    EXPECT_INT(solo_count(&s), 1 + ROWS);
    solo_close(&s);
    return !acked;
}

/* safety.md G2 */
TEST(member, a_large_write_is_there_wholly_or_not_at_all_wherever_a_crash_cuts_it)
{
    enum { CALLS_MAX = 100 };
    for (int power = 0; power < 2; power++) {
        uint64_t calls = 0;
        while (calls < CALLS_MAX && cut_large_write(1, calls, power != 0)) {
            calls++;
        }
        EXPECT(calls >= 4); /* at least one for each part */
        EXPECT(calls < CALLS_MAX);
    }
}

/* The first part finds no room, later ones may: it is refused all the same. */
TEST(member, a_large_write_without_room_for_all_its_parts_is_refused)
{
    enum { PART_SIZE = 100, WRITES = 2000 };
    struct solo s;
    solo_open(&s, (struct solo_options){.wal_level = 2, .part_size = PART_SIZE});
    fill(&s);
    fake_disk_set_capacity(s.disk, fake_disk_used(s.disk));
    enum err_code code = ERR_OK;
    long rows = ROWS;
    for (int64_t time = 1000; code == ERR_OK && time < 1000 + WRITES * ROWS; time += ROWS) {
        code = solo_write_rows(&s, time, ROWS);
        rows += code == ERR_OK ? ROWS : 0;
    }
    EXPECT(code == ERR_NO_SPACE);
    EXPECT(!s.stopped);
    EXPECT_INT(solo_count(&s), rows);
    fake_disk_set_capacity(s.disk, 0);
    solo_run(&s, ROOM_WAIT_MS);
    EXPECT_OK(solo_write_rows(&s, 1, ROWS)); /* these are there already */
    EXPECT_OK(solo_write_rows(&s, 500000, ROWS));
    EXPECT_INT(solo_count(&s), rows + ROWS);
    solo_close(&s);
}
