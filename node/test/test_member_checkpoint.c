/* SPDX-License-Identifier: Apache-2.0 */
/* When a node alone makes checkpoints, how fast, and what is left of its logs. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "node/test/solo.h"
#include "testkit/fake_disk_damage.h"
#include "testkit/test.h"
#include "tsdb/series.h"

enum { WAIT_MS = 100000, STEP_MS = 50, INTERVAL_MS = 10000, MANY_ROWS = 20000 };

static uint64_t checkpoint_index(const struct solo *s)
{
    return member_status(s->member).checkpoint_index;
}

static void fill(struct solo *s, int64_t rows)
{
    for (int64_t i = 0; i < rows; i += SOLO_ROWS_MAX) {
        REQUIRE_OK(solo_write_rows(s, i, SOLO_ROWS_MAX));
    }
}

/* A part has been begun and is not whole. */
static bool is_writing(const struct solo *s)
{
    for (unsigned i = 0; i < VGROUP_COUNT; i++) {
        char path[64];
        (void)snprintf(path, sizeof path, "/data/tsdb/writing-%u.tmp", i);
        if (fake_disk_has(s->disk, path)) {
            return true;
        }
    }
    return false;
}

/* A node whose next checkpoint takes several steps. */
static void open_slow(struct solo *s, const char *target)
{
    solo_open(s, (struct solo_options){.wal_level = 2, .checkpoint_step = 1});
    EXPECT_OK(solo_make_table(s));
    EXPECT_OK(solo_set(s, "checkpoint_completion_target", target));
    EXPECT_OK(solo_set(s, "ts.wal.checkpoint_interval", "10s"));
    fill(s, MANY_ROWS);
}

static void run_until_written(struct solo *s)
{
    for (uint64_t ms = 0; checkpoint_index(s) == 0; ms += STEP_MS) {
        REQUIRE(ms < WAIT_MS);
        solo_run(s, STEP_MS);
    }
}

static void run_until_writing(struct solo *s)
{
    for (uint64_t ms = 0; !is_writing(s); ms += STEP_MS) {
        REQUIRE(ms < WAIT_MS);
        solo_run(s, STEP_MS);
    }
    EXPECT_UINT(checkpoint_index(s), 0);
}

static uint64_t duration_ms(const char *target)
{
    struct solo s;
    open_slow(&s, target);
    run_until_written(&s);
    uint64_t ms = member_status(s.member).checkpoint_ms;
    EXPECT_INT(solo_count(&s), MANY_ROWS);
    solo_close(&s);
    return ms;
}

TEST(member_checkpoint, is_spread_over_its_share_of_the_interval)
{
    EXPECT(duration_ms("0") < 100);
    uint64_t half = duration_ms("0.5");
    EXPECT(half > INTERVAL_MS / 2 * 6 / 10); /* the last step is done when its time begins */
    EXPECT(half <= INTERVAL_MS / 2 + STEP_MS);
    uint64_t most = duration_ms("0.9");
    EXPECT(most > half);
    EXPECT(most <= INTERVAL_MS * 9 / 10 + STEP_MS);
}

struct wait {
    struct member_request request; /* first */
    bool done;
    enum err_code code;
};

static void on_done(struct member_request *r, const struct member_reply *reply)
{
    struct wait *w = (struct wait *)r;
    w->done = true;
    w->code = reply->code;
}

/* The one that is asked for has to wait until the one that is written is done. */
TEST(member_checkpoint, one_that_somebody_waits_for_does_not_take_its_time)
{
    struct solo s;
    open_slow(&s, "1");
    run_until_writing(&s);
    struct wait w = {.request = {.done = on_done}};
    member_checkpoint(s.member, &w.request);
    solo_run(&s, 0);
    EXPECT(w.done);
    EXPECT_OK(w.code);
    EXPECT(checkpoint_index(&s) > 0);
    EXPECT(!is_writing(&s));
    solo_close(&s);
}

TEST(member_checkpoint, a_stop_does_not_wait_for_the_time_of_one_that_is_written)
{
    struct solo s;
    open_slow(&s, "1");
    run_until_writing(&s);
    member_stop(s.member, s.now_ms + WAIT_MS);
    solo_run(&s, 100);
    REQUIRE(s.stopped);
    EXPECT_INT(s.exit_code, 0);
    solo_end(&s);
    solo_start(&s);
    struct member_status status = member_status(s.member);
    EXPECT_UINT(status.applied_index, status.checkpoint_index); /* nothing was replayed */
    EXPECT_INT(solo_count(&s), MANY_ROWS);
    solo_close(&s);
}

TEST(member_checkpoint, a_crash_between_two_steps_leaves_nothing_behind)
{
    struct solo s;
    open_slow(&s, "1");
    run_until_writing(&s);
    fake_disk_stop_after(s.disk, 0); /* nobody tidies up */
    solo_crash(&s, false);
    EXPECT(is_writing(&s));
    solo_start(&s);
    EXPECT_INT(solo_count(&s), MANY_ROWS);
    run_until_written(&s);
    solo_run(&s, 100);
    EXPECT(!is_writing(&s));
    EXPECT_INT(solo_count(&s), MANY_ROWS);
    solo_close(&s);
}

/* By its time it could take an hour; the memory would be full long before. */
TEST(member_checkpoint, keeps_up_with_writers_that_fill_the_memory)
{
    enum { ROWS_MAX = 150000 };
    struct solo s;
    solo_open(&s, (struct solo_options){.wal_level = 2, .checkpoint_step = 1});
    EXPECT_OK(solo_make_table(&s));
    EXPECT_OK(solo_set(&s, "ts.mem_segment_size.max_limit", "1MiB"));
    EXPECT_OK(solo_set(&s, "ts.wal.checkpoint_interval", "1h"));
    EXPECT_OK(solo_set(&s, "checkpoint_completion_target", "1"));
    fill(&s, ROWS_MAX); /* none is refused */
    EXPECT(checkpoint_index(&s) > 0);
    solo_close(&s);
}

TEST(member_checkpoint, a_shorter_interval_takes_effect_at_once)
{
    struct solo s;
    solo_open(&s, (struct solo_options){.wal_level = 2});
    EXPECT_OK(solo_make_table(&s));
    EXPECT_OK(solo_set(&s, "ts.wal.checkpoint_interval", "1h"));
    EXPECT_OK(solo_write(&s, 1));
    solo_run(&s, 5000);
    EXPECT_UINT(checkpoint_index(&s), 0);
    EXPECT_OK(solo_set(&s, "ts.wal.checkpoint_interval", "1s"));
    solo_run(&s, 1100);
    EXPECT(checkpoint_index(&s) > 0);
    EXPECT_ERR(solo_set(&s, "ts.wal.checkpoint_interval", "0s"), ERR_RANGE);
    solo_close(&s);
}

/* --- the size of the log --- */

static size_t count_files(struct solo *s, const char *dir)
{
    struct io_name *names = NULL;
    size_t count = 0;
    struct err e;
    EXPECT_OK(io_list(fake_disk_io(s->disk), dir, &names, &count, &e));
    mem_free(names);
    return count;
}

/* Writes until a checkpoint is made; the bytes that the log had grown by then. */
static uint64_t write_until_checkpoint(struct solo *s, enum storage_log log, int64_t *row)
{
    enum { WRITES_MAX = 100000 };
    uint64_t before = checkpoint_index(s);
    uint64_t begin = wal_lsn_end(storage_wal(s->storage, log));
    for (unsigned i = 0; checkpoint_index(s) == before; i++) {
        REQUIRE(i < WRITES_MAX);
        REQUIRE_OK(solo_write_rows(s, *row, SOLO_ROWS_MAX));
        *row += SOLO_ROWS_MAX;
    }
    return wal_lsn_end(storage_wal(s->storage, log)) - begin;
}

/* At every level: asked for before the log has max_wal_size, and cut by it; its
 * files are used again, and their number stays bounded. */
TEST(member_checkpoint, a_log_that_grows_asks_for_one_and_is_cut)
{
    enum { SIZE_MAX_MIB = 32, FILES_MAX = 64 };
    for (unsigned level = 0; level <= 3; level++) {
        struct solo s;
        test_context("level %u", level);
        solo_open(&s, (struct solo_options){.wal_level = level});
        solo_run(&s, 1500);
        EXPECT_OK(solo_make_table(&s));
        EXPECT_OK(solo_set(&s, "ts.wal.checkpoint_interval", "1h"));
        EXPECT_OK(solo_set(&s, "min_wal_size", "8MiB"));
        EXPECT_OK(solo_set(&s, "max_wal_size", "32MiB"));
        enum storage_log log = level == 3 ? STORAGE_RAFT : STORAGE_LOCAL;
        const char *dir = level == 3 ? "/data/raft" : "/data/wal";
        int64_t row = 0;
        for (unsigned round = 0; round < 2; round++) {
            uint64_t grown = write_until_checkpoint(&s, log, &row);
            EXPECT(grown < (uint64_t)SIZE_MAX_MIB * LIMIT_MIB);
            EXPECT(level == 0 || grown > (uint64_t)SIZE_MAX_MIB / 2 * LIMIT_MIB);
            EXPECT(count_files(&s, dir) < FILES_MAX);
        }
        EXPECT(level == 0 || wal_stats(storage_wal(s.storage, log)).segments_recycled > 0);
        EXPECT_INT(solo_count(&s), row);
        solo_crash(&s, false);
        solo_start(&s);
        solo_run(&s, 3000);
        EXPECT(count_files(&s, dir) < FILES_MAX);
        EXPECT(solo_count(&s) == row || level == 0);
        solo_close(&s);
    }
}
