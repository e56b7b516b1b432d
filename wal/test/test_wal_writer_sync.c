/* SPDX-License-Identifier: Apache-2.0 */
/* The writer again: how records become durable, what is gathered, what is counted. */
#include "wal/test/writer_fixture.h"

/* What stands in the file of 'count' identifiers, in order, from the first page on. */
static uint32_t identifiers_on_disk(struct fixture *f, const struct wal_layout *l, uint32_t count)
{
    uint32_t seed = wal_identifier_seed(1, l->log_key);
    char path[IO_PATH_MAX];
    REQUIRE_OK(wal_set_path(&f->set, 1, path, &f->err));
    for (uint32_t i = 0; i < count; i++) {
        uint8_t bytes[WAL_IDENTIFIER_SIZE];
        struct wal_identifier id;
        uint64_t slot = i + i / WAL_IDENTIFIERS_PER_PAGE;
        REQUIRE_UINT(fake_disk_peek(f->disk, path,
                                    WAL_SEGMENT_HEADER_SIZE + slot * WAL_IDENTIFIER_SIZE, bytes,
                                    sizeof bytes),
                     sizeof bytes);
        if (!wal_identifier_decode(bytes, seed, &id) || id.index != i + 1) {
            return i;
        }
    }
    return count;
}

/* In a segment of usual size a page alone would be one more place for each sync. */
TEST(wal_writer, full_pages_of_identifiers_are_written_together)
{
    static const struct wal_layout large = {16 * 1024 * 1024, LOG_KEY};
    struct fixture f;
    fixture_init(&f);
    wal_writer_deinit(&f.writer);
    wal_set_deinit(&f.set);
    wal_pool_deinit(&f.pool);
    wal_set_init(&f.set, f.io, "log", &large, 1);
    wal_pool_init(&f.pool, f.io, "log", large.segment_size, 2);
    f.writer = (struct wal_writer){.set = &f.set,
                                   .pool = &f.pool,
                                   .io = f.io,
                                   .dir = "log",
                                   .layout = large,
                                   .role = WAL_RAFT,
                                   .timeline = 1,
                                   .extent_changed = extent_changed,
                                   .context = &f,
                                   .extent = {.segment_first = 1, .segment_last = 1},
                                   .sealed = true};
    wal_writer_init(&f.writer);
    REQUIRE_OK(begin(&f));
    const uint32_t together = f.writer.pages_together;
    EXPECT(together > 1);
    const uint32_t group = together * WAL_IDENTIFIERS_PER_PAGE;
    for (uint32_t i = 1; i < group; i++) {
        REQUIRE_OK(append(&f, i, 0));
    }
    EXPECT_UINT(identifiers_on_disk(&f, &large, group), 0);
    uint64_t writes = fake_disk_calls_of(f.disk, FAKE_DISK_WRITE);
    REQUIRE_OK(append(&f, group, 0));
    EXPECT_UINT(fake_disk_calls_of(f.disk, FAKE_DISK_WRITE) - writes, 2); /* record, pages */
    EXPECT_UINT(identifiers_on_disk(&f, &large, group), group);
    EXPECT(!f.writer.page_dirty);
    /* Told to, it writes what there is, and goes on in the same page and the next ones. */
    const uint32_t half = group + group / 2;
    for (uint32_t i = group + 1; i <= half; i++) {
        REQUIRE_OK(append(&f, i, 0));
    }
    REQUIRE_OK(wal_writer_write_identifiers(&f.writer, &f.err));
    EXPECT_UINT(identifiers_on_disk(&f, &large, 2 * group), half);
    for (uint32_t i = half + 1; i <= 2 * group; i++) {
        REQUIRE_OK(append(&f, i, 0));
    }
    EXPECT_UINT(identifiers_on_disk(&f, &large, 2 * group), (uint64_t)2 * group);
    fixture_close(&f);
}

/* --- how records become durable --- */

static bool on_platter(const struct fixture *f, uint64_t lsn)
{
    uint8_t header[WAL_RECORD_HEADER_SIZE] = {0};
    struct wal_record r;
    (void)fake_disk_peek_platter(f->disk, path_of(f, wal_lsn_segment(&layout, lsn)),
                                 wal_lsn_offset(&layout, lsn), header, sizeof header);
    return wal_record_decode(header, &r) == WAL_RECORD_GOOD;
}

TEST(wal_writer, the_open_methods_write_records_through)
{
    static const bool through[] = {[WAL_FDATASYNC] = false,
                                   [WAL_FSYNC] = false,
                                   [WAL_OPEN_DATASYNC] = true,
                                   [WAL_OPEN_SYNC] = true};
    for (int method = WAL_FDATASYNC; method <= WAL_OPEN_SYNC; method++) {
        struct fixture f;
        fixture_open(&f);
        f.writer.sync_method = (enum wal_sync_method)method;
        uint64_t lsn = wal_writer_lsn_end(&f.writer);
        REQUIRE_OK(append(&f, 1, 100));
        EXPECT(on_platter(&f, lsn) == through[method]);
        EXPECT((f.writer.lsn_durable == wal_writer_lsn_end(&f.writer)) == through[method]);
        uint64_t syncs = f.writer.syncs.count;
        EXPECT_OK(wal_writer_sync(&f.writer, &f.err));
        EXPECT_UINT(f.writer.syncs.count - syncs, through[method] ? 0 : 1);
        EXPECT(on_platter(&f, lsn));
        EXPECT_UINT(f.writer.lsn_durable, wal_writer_lsn_end(&f.writer));
        fixture_close(&f);
    }
}

/* Found by wal_random: the page that states the durable position was written and
 * never synced, because all records were durable. */
TEST(wal_writer, identifiers_are_synced_though_records_are_written_through)
{
    struct fixture f;
    fixture_open(&f);
    f.writer.sync_method = WAL_OPEN_DATASYNC;
    REQUIRE_OK(append(&f, 1, 100));
    EXPECT_OK(wal_writer_sync_identifiers(&f.writer, &f.err));
    uint8_t cache[WAL_IDENTIFIER_PAGE_SIZE];
    uint8_t platter[WAL_IDENTIFIER_PAGE_SIZE];
    EXPECT_UINT(
        fake_disk_peek(f.disk, path_of(&f, 1), WAL_SEGMENT_HEADER_SIZE, cache, sizeof cache),
        sizeof cache);
    EXPECT_UINT(fake_disk_peek_platter(f.disk, path_of(&f, 1), WAL_SEGMENT_HEADER_SIZE, platter,
                                       sizeof platter),
                sizeof platter);
    EXPECT_MEM(platter, cache, sizeof cache);
    EXPECT(!bytes_is_zero(bytes_of(platter, sizeof platter)));
    fixture_close(&f);
}

/* Else the durable position would run ahead of records that no sync covered. */
TEST(wal_writer, a_change_to_writing_through_syncs_first)
{
    struct fixture f;
    fixture_open(&f);
    uint64_t lsn = wal_writer_lsn_end(&f.writer);
    REQUIRE_OK(append(&f, 1, 100));
    EXPECT_OK(wal_writer_set_sync_method(&f.writer, WAL_OPEN_DATASYNC, &f.err));
    EXPECT(on_platter(&f, lsn));
    REQUIRE_OK(append(&f, 2, 100));
    EXPECT_UINT(f.writer.lsn_durable, wal_writer_lsn_end(&f.writer));
    fixture_close(&f);
}

TEST(wal_writer, a_write_through_that_fails_breaks_the_writer)
{
    struct fixture f;
    fixture_open(&f);
    f.writer.sync_method = WAL_OPEN_SYNC;
    uint64_t durable = f.writer.lsn_durable;
    fake_disk_fail(f.disk,
                   (struct fake_disk_fault){.call = FAKE_DISK_SYNC, .nth = 1, .code = ERR_IO});
    EXPECT_ERR(append(&f, 1, 100), ERR_IO);
    EXPECT(f.writer.broken);
    EXPECT_UINT(f.writer.lsn_durable, durable);
    fixture_close(&f);
}

/* --- the buffer and what is counted --- */

TEST(wal_writer, a_full_buffer_is_written_and_counted)
{
    enum { COUNT = 8, SIZE = 1000 };
    struct fixture f;
    fixture_open(&f);
    struct wal_draft drafts[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        drafts[i] = draft_of(i + 1, SIZE);
    }
    uint64_t span = wal_record_span(SIZE);
    f.writer.buffer_size = (size_t)(3 * span);
    REQUIRE_OK(wal_writer_reserve(&f.writer, drafts, COUNT, &f.err));
    REQUIRE_OK(wal_writer_append(&f.writer, drafts, COUNT, &f.err));
    EXPECT_UINT(f.writer.writes.count, 3); /* 3, 3 and 2 records */
    EXPECT_UINT(f.writer.buffers_full, 2);
    EXPECT_UINT(f.writer.records, COUNT);
    EXPECT_UINT(f.writer.bytes, COUNT * span);
    for (size_t i = 0; i < COUNT; i++) {
        EXPECT_UINT(record_at(&f, drafts[i].record.lsn).index, i + 1);
    }
    f.writer.buffer_size = 1; /* less than a record: each alone */
    REQUIRE_OK(append(&f, COUNT + 1, SIZE));
    EXPECT_UINT(f.writer.writes.count, 4);
    EXPECT_UINT(f.writer.buffers_full, 2);
    fixture_close(&f);
}

TEST(wal_writer, every_write_and_sync_is_in_a_bucket_by_how_long_it_took)
{
    struct fixture f;
    fixture_open(&f);
    for (uint64_t i = 1; i <= 20; i++) {
        REQUIRE_OK(append(&f, i, 100));
        REQUIRE_OK(wal_writer_sync(&f.writer, &f.err));
    }
    const struct wal_latency *both[] = {&f.writer.writes, &f.writer.syncs};
    for (size_t k = 0; k < 2; k++) {
        uint64_t sum = 0;
        uint64_t least = 0; /* that the buckets say it took together */
        for (size_t i = 0; i < WAL_LATENCY_BUCKETS; i++) {
            sum += both[k]->buckets[i];
            least += i == 0 ? 0 : both[k]->buckets[i] << (i - 1);
        }
        EXPECT_UINT(sum, 20);
        EXPECT_UINT(both[k]->count, 20);
        EXPECT(least <= both[k]->us);
        EXPECT(both[k]->us <= 2 * least + 20);
        EXPECT(both[k]->us_max <= both[k]->us);
    }
    fixture_close(&f);
}
