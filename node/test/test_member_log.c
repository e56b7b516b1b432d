/* SPDX-License-Identifier: Apache-2.0 */
/* How the settings of the logs reach them, and the sync in the background. */
#include "node/test/solo.h"
#include "testkit/test.h"
#include "tsdb/settings.h"

enum { STEP_MS = 20, WRITES = 40 };

static void solo_at_level(struct solo *s, unsigned level)
{
    solo_open(s, (struct solo_options){.wal_level = level});
    solo_run(s, 1500);
    REQUIRE_OK(solo_make_table(s));
    solo_run(s, 200);
}

static const struct wal_latency *syncs_of(struct solo *s)
{
    static struct wal_stats stats;
    stats = wal_stats(storage_wal(s->storage, STORAGE_LOCAL));
    return &stats.syncs;
}

/* Writes so often that the log is never idle: no MARK syncs it. */
static void write_on(struct solo *s)
{
    for (int64_t i = 0; i < WRITES; i++) {
        REQUIRE_OK(solo_write(s, 1000 + i));
        solo_run(s, STEP_MS);
    }
}

TEST(member_log, at_level_flush_what_is_older_than_the_delay_survives_a_power_failure)
{
    struct solo s;
    solo_at_level(&s, 2);
    REQUIRE_OK(solo_set(&s, "wal_writer_delay", "100ms"));
    uint64_t before = syncs_of(&s)->count;
    write_on(&s);
    uint64_t syncs = syncs_of(&s)->count - before;
    EXPECT(syncs >= WRITES * STEP_MS / 200);
    EXPECT(syncs <= WRITES * STEP_MS / 100 + 1); /* and no more than were asked for */
    solo_crash(&s, true);
    solo_start(&s);
    solo_run(&s, 200);
    EXPECT(solo_count(&s) >= WRITES - 200 / STEP_MS);
    solo_close(&s);
}

TEST(member_log, at_level_flush_nothing_is_synced_before_the_delay)
{
    struct solo s;
    solo_at_level(&s, 2);
    REQUIRE_OK(solo_set(&s, "wal_writer_delay", "10s"));
    uint64_t before = syncs_of(&s)->count;
    write_on(&s);
    EXPECT_UINT(syncs_of(&s)->count, before);
    EXPECT_INT(solo_count(&s), WRITES);
    solo_close(&s);
}

TEST(member_log, at_level_sync_the_method_decides_what_syncs)
{
    static const char *const methods[] = {"fdatasync", "fsync", "open_datasync", "open_sync"};
    for (size_t i = 0; i < 4; i++) {
        struct solo s;
        solo_at_level(&s, 1);
        REQUIRE_OK(solo_set(&s, "wal_sync_method", methods[i]));
        solo_run(&s, 200); /* the MARK of that */
        uint64_t before = syncs_of(&s)->count;
        REQUIRE_OK(solo_write(&s, 1));
        EXPECT_UINT(syncs_of(&s)->count - before, i < 2 ? 1 : 0);
        solo_crash(&s, true);
        solo_start(&s);
        solo_run(&s, 200);
        EXPECT_INT(solo_count(&s), 1);
        /* The setting is known again after a restart. */
        before = syncs_of(&s)->count;
        REQUIRE_OK(solo_write(&s, 2));
        EXPECT_UINT(syncs_of(&s)->count - before, i < 2 ? 1 : 0);
        solo_close(&s);
    }
}

/* Else each record would be synced before the next is taken. */
TEST(member_log, at_level_flush_nothing_is_written_through)
{
    struct solo s;
    solo_at_level(&s, 2);
    REQUIRE_OK(solo_set(&s, "wal_sync_method", "open_sync"));
    REQUIRE_OK(solo_set(&s, "wal_writer_delay", "10s"));
    solo_run(&s, 200);
    uint64_t before = fake_disk_calls_of(s.disk, FAKE_DISK_SYNC);
    write_on(&s);
    EXPECT_UINT(fake_disk_calls_of(s.disk, FAKE_DISK_SYNC), before);
    solo_close(&s);
}

TEST(member_log, a_sync_in_the_background_that_fails_stops_the_node)
{
    struct solo s;
    solo_at_level(&s, 2);
    REQUIRE_OK(solo_set(&s, "wal_writer_delay", "10ms"));
    solo_run(&s, 200);
    fake_disk_fail(s.disk,
                   (struct fake_disk_fault){.call = FAKE_DISK_SYNC, .nth = 1, .code = ERR_IO});
    EXPECT_OK(solo_write(&s, 1));
    solo_run(&s, 40);
    EXPECT(s.stopped);
    EXPECT(s.exit_code != 0);
    fake_disk_clear_faults(s.disk);
    solo_close(&s);
}

/* Bytes of records that a write of many rows takes. */
static uint64_t bytes_of_write(struct solo *s, int64_t time)
{
    struct wal *w = storage_wal(s->storage, STORAGE_LOCAL);
    uint64_t before = wal_stats(w).bytes;
    EXPECT_OK(solo_write_rows(s, time, SOLO_ROWS_MAX));
    return wal_stats(w).bytes - before;
}

TEST(member_log, writes_are_compressed_once_and_read_back_by_a_node_of_any_setting)
{
    struct solo s;
    solo_at_level(&s, 2);
    uint64_t plain = bytes_of_write(&s, 1000);
    REQUIRE_OK(solo_set(&s, "wal_compression", "lz4"));
    uint64_t lz4 = bytes_of_write(&s, 2000);
    REQUIRE_OK(solo_set(&s, "wal_compression", "zstd"));
    uint64_t zstd = bytes_of_write(&s, 3000);
    EXPECT(lz4 < plain);
    EXPECT(zstd < plain);
    REQUIRE_OK(solo_set(&s, "wal_compression", "off"));
    EXPECT_UINT(bytes_of_write(&s, 4000), plain);
    EXPECT_INT(solo_count(&s), 4 * SOLO_ROWS_MAX);
    solo_crash(&s, false);
    solo_start(&s);
    solo_run(&s, 3000);
    EXPECT_INT(solo_count(&s), 4 * SOLO_ROWS_MAX);
    solo_close(&s);
}

/* A write that stands in parts for its size becomes one record if that is enough. */
TEST(member_log, a_large_write_that_gets_small_is_one_record)
{
    struct solo s;
    solo_open(&s, (struct solo_options){.wal_level = 2, .part_size = 300});
    solo_run(&s, 1500);
    REQUIRE_OK(solo_make_table(&s));
    struct wal *w = storage_wal(s.storage, STORAGE_LOCAL);
    uint64_t before = wal_stats(w).records;
    EXPECT_OK(solo_write_rows(&s, 1000, SOLO_ROWS_MAX));
    EXPECT(wal_stats(w).records - before > 1);
    REQUIRE_OK(solo_set(&s, "wal_compression", "zstd"));
    before = wal_stats(w).records;
    EXPECT_OK(solo_write_rows(&s, 2000, SOLO_ROWS_MAX));
    EXPECT_UINT(wal_stats(w).records - before, 1);
    EXPECT_INT(solo_count(&s), 2 * SOLO_ROWS_MAX);
    solo_close(&s);
}

TEST(member_log, until_settings_are_known_the_buffer_has_its_default_size)
{
    size_t i = 0;
    struct err e;
    REQUIRE_OK(settings_find(bytes_str("wal_buffers"), &i, &e));
    struct settings *all = settings_new();
    EXPECT_INT(settings_number(all, i), STORAGE_BUFFER_SIZE);
    settings_unref(all);
}
