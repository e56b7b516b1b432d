/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a node, first start to second stop, with the n-th call of one kind to the disk
 * failing, for every kind and every n. It may stop, saying why; it may not lose what it
 * acknowledged, start with less, or refuse to start when the disk works again. */
#include <inttypes.h>

#include "node/test/solo.h"
#include "testkit/test.h"

/* Odd, so that both ways of starting again are played. */
enum { WRITES = 8, CALLS_MAX = 5000, STEP = TEST_SANITIZED ? 5 : 1 };

struct life {
    struct solo solo;
    unsigned level;
    bool table; /* was acknowledged */
    long acked; /* rows */
    long asked;
};

static void write_some(struct life *l)
{
    for (int i = 0; i < WRITES && !l->solo.stopped; i++) {
        l->asked++;
        l->acked += solo_write(&l->solo, l->asked) == ERR_OK ? 1 : 0;
    }
}

static void stop(struct life *l)
{
    struct solo *s = &l->solo;
    struct err e;
    if (!s->stopped) {
        member_stop(s->member, s->now_ms + 10000);
        solo_run(s, 12000);
    }
    EXPECT(s->stopped);
    EXPECT(s->exit_code == 0 || s->reason[0] != '\0');
    (void)solo_try_end(s, &e);
}

static void live(struct life *l)
{
    struct solo *s = &l->solo;
    struct err e;
    if (!solo_try_start(s, &e)) {
        return;
    }
    solo_run(s, 1500);
    if (!s->stopped) {
        l->table = solo_make_table(s) == ERR_OK;
    }
    if (l->table && !s->stopped) {
        write_some(l);
    }
    if (l->acked > 0 && !s->stopped) {
        (void)solo_propose(s, COMMAND_CHECKPOINT, (struct bytes){0});
        solo_run(s, 100);
        write_some(l);
    }
    stop(l);
    if (!solo_try_start(s, &e)) {
        return;
    }
    solo_run(s, 3000);
    if (l->acked > 0 && !s->stopped) {
        long count = solo_count(s);
        EXPECT(count == -1 || count >= l->acked); /* a part that can't be read is an error */
        write_some(l);
    }
    stop(l);
}

/* The disk works again. 'drop': the page cache is gone, and with it what a failed sync
 * left there. Rows that are there, -1: it does not start. */
static long start_again(struct life *l, bool drop)
{
    struct solo *s = &l->solo;
    struct err e = {0};
    if (s->member != NULL) {
        solo_crash(s, false);
    }
    fake_disk_kill(s->disk);
    fake_disk_clear_faults(s->disk);
    if (drop) {
        fake_disk_power_fail_lose_all(s->disk);
    }
    bool started = solo_try_start(s, &e);
    EXPECT_STR(started ? "" : e.text, "");
    if (!started) {
        return -1;
    }
    solo_run(s, 3000);
    EXPECT(!s->stopped);
    return l->table && !s->stopped ? solo_count(s) : 0;
}

static void expect_nothing_lost(struct life *l, bool drop)
{
    long count = start_again(l, drop);
    EXPECT(count >= l->acked);
    EXPECT(count <= l->asked);
    EXPECT_INT(start_again(l, true), count); /* what was seen once is durable */
    if (l->table && l->solo.member != NULL && !l->solo.stopped) {
        EXPECT_OK(solo_write(&l->solo, l->asked + 1));
        EXPECT_INT(solo_count(&l->solo), count + 1);
    }
    if (l->solo.stopped) {
        struct err e;
        (void)solo_try_end(&l->solo, &e);
    }
}

/* How many calls of that kind a life has. */
static uint64_t fail_each(unsigned level, enum fake_disk_call call, enum err_code code)
{
    for (uint64_t turn = 2; turn < 2 * CALLS_MAX; turn += STEP) {
        uint64_t nth = turn / 2;
        struct life l = {.level = level};
        l.solo = (struct solo){
            .options = {.wal_level = level}, .now_ms = 1000, .disk = fake_disk_create(7)};
        test_context("level %u, call %u number %" PRIu64 ": ", level, (unsigned)call, nth);
        fake_disk_fail(l.solo.disk,
                       (struct fake_disk_fault){.call = call, .nth = nth, .code = code});
        live(&l);
        bool hit = fake_disk_faults_seen(l.solo.disk) > 0;
        expect_nothing_lost(&l, turn % 2 == 0);
        EXPECT(hit || l.acked == l.asked);
        solo_close(&l.solo);
        if (!hit) {
            return nth - 1;
        }
    }
    return CALLS_MAX;
}

static void fail_all(unsigned level)
{
    for (unsigned call = 0; call < FAKE_DISK_CALL_COUNT; call++) {
        uint64_t calls = fail_each(level, (enum fake_disk_call)call, ERR_IO);
        bool used = call != FAKE_DISK_SPACE && call != FAKE_DISK_RMDIR;
        EXPECT(!used || calls > 0);
        EXPECT(calls < CALLS_MAX);
    }
}

TEST(member_faults, any_call_may_fail_at_level_sync)
{
    fail_all(1);
}

TEST(member_faults, any_call_may_fail_at_level_byrl)
{
    fail_all(3);
}

TEST(member_faults, any_call_may_find_the_disk_full)
{
    static const enum fake_disk_call calls[] = {FAKE_DISK_OPEN, FAKE_DISK_WRITE, FAKE_DISK_SYNC,
                                                FAKE_DISK_RENAME, FAKE_DISK_MKDIR};
    for (unsigned level = 1; level <= 3; level += 2) {
        for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
            EXPECT(fail_each(level, calls[i], ERR_NO_SPACE) > 0);
        }
    }
}
