/* SPDX-License-Identifier: Apache-2.0 */
/* When a node alone makes checkpoints, how fast, and what is left of its logs. */
#include <stdio.h>
#include <stdlib.h>
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

/* The log of rows before it is closed in whole files: the checkpoint of a node
 * that nobody writes to any more leaves one file, however full the last one was. */
TEST(member_checkpoint, the_files_before_it_are_cut_with_it)
{
    struct solo s;
    solo_open(&s, (struct solo_options){.wal_level = 1});
    EXPECT_OK(solo_make_table(&s));
    EXPECT_OK(solo_set(&s, "ts.wal.checkpoint_interval", "1h"));
    const struct wal *w = storage_wal(s.storage, STORAGE_LOCAL);
    uint64_t half = storage_segment_size(s.storage) / 2;
    int64_t row = 0;
    while (wal_stats(w).segments < 3 || wal_lsn_end(w) % (2 * half) < half) {
        REQUIRE_OK(solo_write_rows(&s, row, SOLO_ROWS_MAX));
        row += SOLO_ROWS_MAX;
    }
    struct wait wait = {.request = {.done = on_done}};
    member_checkpoint(s.member, &wait.request);
    solo_run(&s, 0);
    EXPECT(wait.done);
    EXPECT_UINT(wal_stats(w).segments, 1);
    EXPECT_UINT(wal_position(w, checkpoint_index(&s)).lsn, wal_lsn_end(w));
    EXPECT_INT(solo_count(&s), row);
    solo_close(&s);
}

/* As many spare files as min_wal_size says, from the next cut on. */
TEST(member_checkpoint, min_wal_size_is_how_many_files_are_kept_for_new_use)
{
    struct solo s;
    solo_open(&s, (struct solo_options){.wal_level = 1});
    EXPECT_OK(solo_make_table(&s));
    EXPECT_OK(solo_set(&s, "ts.wal.checkpoint_interval", "1h"));
    static const struct {
        const char *size;
        unsigned segments; /* 4 MiB, or one of the smaller ones of tests */
    } cases[] = {{"40MiB", 10}, {"8MiB", 2}, {"24MiB", 6}};
    int64_t row = 0;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        test_context("%s", cases[i].size);
        EXPECT_OK(solo_set(&s, "min_wal_size", cases[i].size));
        const struct wal *w = storage_wal(s.storage, STORAGE_LOCAL);
        while (wal_stats(w).segments < 12) {
            REQUIRE_OK(solo_write_rows(&s, row, SOLO_ROWS_MAX));
            row += SOLO_ROWS_MAX;
        }
        struct wait wait = {.request = {.done = on_done}};
        member_checkpoint(s.member, &wait.request);
        solo_run(&s, 0);
        EXPECT(wait.done);
        struct wal_position p = wal_position(w, checkpoint_index(&s));
        EXPECT_UINT(p.segments_checkpoint, 0);
        unsigned all = p.segments_current + p.segments_recycled;
        EXPECT(all == cases[i].segments || all == cases[i].segments + 1); /* one is always there */
        EXPECT_UINT(count_files(&s, "/data/wal"), all);
    }
    solo_close(&s);
}

/* --- crashes --- */

enum { CRASH_ROWS = 300 * SOLO_ROWS_MAX, POOL_MAX = 8, LOSSES = 4 };

static bool starts_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

/* Every name in a directory begins with one of these; how many names there are. */
static size_t expect_names(struct solo *s, const char *dir, const char *const starts[3])
{
    struct io_name *names = NULL;
    size_t count = 0;
    struct err e;
    EXPECT_OK(io_list(fake_disk_io(s->disk), dir, &names, &count, &e));
    for (size_t i = 0; i < count; i++) {
        bool known = strstr(names[i].name, ".tmp") == NULL;
        bool starts_right = false;
        for (size_t k = 0; k < 3 && starts[k] != NULL; k++) {
            starts_right |= starts_with(names[i].name, starts[k]);
        }
        test_context("%s/%s", dir, names[i].name);
        EXPECT(known && starts_right);
    }
    mem_free(names);
    return count;
}

/* Nothing lies about that no checkpoint and no log needs. */
static void expect_tidy(struct solo *s)
{
    static const char *const segments[3] = {"0000000", "spare-"};
    static const char *const state[3] = {"checkpoint-", "part-"};
    EXPECT(expect_names(s, "/data/wal", segments) <= POOL_MAX);
    EXPECT(expect_names(s, "/data/raft", segments) <= POOL_MAX);
    EXPECT(expect_names(s, "/data/tsdb", state) <= 2 + 2 * VGROUP_COUNT);
}

static bool ask_checkpoint(struct solo *s)
{
    struct wait wait = {.request = {.done = on_done}};
    member_checkpoint(s->member, &wait.request);
    solo_run(s, 100);
    if (!wait.done) {
        member_cancel(s->member, &wait.request);
    }
    return wait.done && wait.code == ERR_OK;
}

static struct fake_disk_image *crash_world(struct solo *s, unsigned level)
{
    solo_open(s, (struct solo_options){.wal_level = level, .checkpoint_step = 1000});
    solo_run(s, 1500);
    EXPECT_OK(solo_make_table(s));
    EXPECT_OK(solo_set(s, "ts.wal.checkpoint_interval", "1h"));
    EXPECT_OK(solo_set(s, "min_wal_size", "16MiB"));
    fill(s, CRASH_ROWS / 2);
    EXPECT(ask_checkpoint(s));
    fill(s, CRASH_ROWS); /* half of them once more */
    solo_run(s, 200);
    solo_crash(s, level != 2);
    return fake_disk_snapshot(s->disk);
}

static void fail_power(struct solo *s, unsigned how, struct random *random)
{
    if (how == 1) {
        fake_disk_power_fail_lose_all(s->disk);
    } else if (how == 2) {
        fake_disk_power_fail_keep_all(s->disk);
    } else if (how == 3) {
        fake_disk_power_fail(s->disk, random);
    }
}

/* Cuts the disk off at every call of a whole checkpoint: the segment that ends,
 * parts, manifest, control file, start counter, the cut, files that become spare
 * ones or are removed. Then by a kill, or by a power failure of each kind. */
static unsigned crash_everywhere(unsigned level)
{
    struct solo s;
    struct random random = random_seeded(level);
    struct fake_disk_image *image = crash_world(&s, level);
    const char *rounds = getenv("TIDEMARK_ROUNDS");
    bool full = rounds != NULL && strcmp(rounds, "full") == 0;
    unsigned losses = full && level != 2 ? LOSSES : 1;
    bool whole = false;
    unsigned calls = 0;
    for (; !whole; calls++) {
        REQUIRE(calls < 2000);
        for (unsigned i = 0; i < losses; i++) {
            unsigned how = level == 2 ? 0 : (calls + i) % LOSSES; /* level 2 promises no more */
            fake_disk_restore(s.disk, image);
            solo_start(&s);
            solo_run(&s, 1500);
            fake_disk_stop_after(s.disk, calls);
            whole = ask_checkpoint(&s) && !s.stopped;
            solo_crash(&s, false);
            fail_power(&s, how, &random);
            solo_start(&s);
            solo_run(&s, 1500);
            test_context("level %u, call %u, loss %u", level, calls, how);
            EXPECT_INT(solo_count(&s), CRASH_ROWS);
            EXPECT(ask_checkpoint(&s));
            EXPECT_INT(solo_count(&s), CRASH_ROWS);
            expect_tidy(&s);
            solo_crash(&s, false);
        }
    }
    fake_disk_image_free(image);
    solo_close(&s);
    return calls;
}

TEST(member_checkpoint, a_crash_at_any_call_loses_nothing_and_leaves_nothing_behind)
{
    for (unsigned level = 1; level <= 3; level++) {
        EXPECT(crash_everywhere(level) > 40);
    }
}
