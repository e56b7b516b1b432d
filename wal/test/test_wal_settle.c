/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/mem.h"
#include "testkit/fake_disk.h"
#include "testkit/fake_disk_damage.h"
#include "testkit/test.h"
#include "wal/wal_settle.h"

enum { SEGMENT_SIZE = 64 * 1024, LOG_KEY = 5, NUMBER = 4, RECORDS_AT = 12 * 1024 };

static const struct wal_layout layout = {SEGMENT_SIZE, LOG_KEY};

struct fixture {
    struct fake_disk *disk;
    struct io *io;
    struct file *file;
    struct wal_set set;
    struct wal_pool pool;
    struct wal_writer writer;
    struct err err;
    uint8_t identifiers[300 * WAL_IDENTIFIER_SIZE];
    uint8_t content[SEGMENT_SIZE]; /* as written and not synced */
    uint8_t platter[SEGMENT_SIZE];
};

static struct fixture fixture;

/* A file of zeros on the platter; in the cache every byte is 1 .. 250. */
static struct fixture *fixture_open(void)
{
    struct fixture *f = &fixture;
    memset(f, 0, sizeof *f);
    f->disk = fake_disk_create(1);
    f->io = fake_disk_io(f->disk);
    REQUIRE_OK(io_open(f->io, "segment", IO_WRITE | IO_CREATE, &f->file, &f->err));
    struct bytes part = bytes_of(f->content, SEGMENT_SIZE);
    REQUIRE_OK(file_write_at(f->file, 0, &part, 1, &f->err));
    REQUIRE_OK(file_sync(f->file, &f->err));
    REQUIRE_OK(io_sync_dir(f->io, ".", &f->err));
    for (size_t i = 0; i < SEGMENT_SIZE; i++) {
        f->content[i] = (uint8_t)(1 + i % 250);
    }
    REQUIRE_OK(file_write_at(f->file, 0, &part, 1, &f->err));
    /* Marked clean, as after a sync whose failure nobody heard of. */
    fake_disk_fail_next(f->disk, FAKE_DISK_SYNC, ERR_IO);
    REQUIRE_ERR(file_sync(f->file, &f->err), ERR_IO);
    wal_set_init(&f->set, f->io, ".", &layout, NUMBER);
    wal_pool_init(&f->pool, f->io, ".", SEGMENT_SIZE, 1);
    f->writer = (struct wal_writer){.set = &f->set,
                                    .pool = &f->pool,
                                    .io = f->io,
                                    .dir = ".",
                                    .layout = layout,
                                    .role = WAL_RAFT,
                                    .cluster_id = 7,
                                    .directory_id = 8,
                                    .lsn_durable = 4711,
                                    .commit = 12};
    wal_writer_init(&f->writer);
    return f;
}

static void fixture_close(struct fixture *f)
{
    wal_writer_deinit(&f->writer);
    wal_pool_deinit(&f->pool);
    wal_set_deinit(&f->set);
    file_close(f->file);
    EXPECT_UINT(fake_disk_open_files(f->disk), 0);
    fake_disk_destroy(f->disk);
}

static void read_platter(struct fixture *f)
{
    REQUIRE_UINT(fake_disk_peek_platter(f->disk, "segment", 0, f->platter, SEGMENT_SIZE),
                 SEGMENT_SIZE);
}

static bool zero(const struct fixture *f, uint64_t from, uint64_t to)
{
    return bytes_is_zero(bytes_of(f->platter + from, (size_t)(to - from)));
}

static bool same(const struct fixture *f, uint64_t from, uint64_t to)
{
    return memcmp(f->platter + from, f->content + from, (size_t)(to - from)) == 0;
}

static void make_identifiers(struct fixture *f, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct wal_identifier id = {
            .index = i + 1, .term = 1, .offset = RECORDS_AT + i * 96, .type = WAL_RECORD_COMMAND};
        wal_identifier_encode(&id, wal_identifier_seed(NUMBER, LOG_KEY),
                              f->identifiers + (size_t)i * WAL_IDENTIFIER_SIZE);
    }
}

static enum err_code settle(struct fixture *f, uint64_t from, uint64_t end, bool end_unknown,
                            uint32_t count)
{
    make_identifiers(f, count);
    const struct wal_settle s = {.file = f->file,
                                 .segment = NUMBER,
                                 .from = from,
                                 .end = end,
                                 .end_unknown = end_unknown,
                                 .identifiers = f->identifiers,
                                 .identifier_count = count};
    return wal_settle_segment(&f->writer, &s, &f->err);
}

/* safety.md A6, A2: everything from the durable position to the end is on the
 * platter as it was read, everything behind is zero there. */
TEST(wal_settle, what_was_read_is_durable_and_the_rest_is_zero)
{
    static const uint64_t ends[] = {0, 8, 96, 504, 512, 4096, 20000, 53240, 53248};
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        for (size_t j = 0; j <= i; j++) {
            struct fixture *f = fixture_open();
            uint64_t end = RECORDS_AT + ends[i];
            uint64_t from = RECORDS_AT + ends[j];
            test_context("from %u end %u", (unsigned)from, (unsigned)end);
            EXPECT_OK(settle(f, from, end, false, 0));
            read_platter(f);
            EXPECT(same(f, from, end));
            EXPECT(zero(f, end, SEGMENT_SIZE));
            /* Durable by its statement, so left alone; a sector goes as a whole. */
            EXPECT(zero(f, RECORDS_AT, from / 512 * 512));
            fixture_close(f);
        }
    }
}

/* How many of a page there are, each in its slot; all other slots are zero. */
static uint32_t identifiers_on(const struct fixture *f, uint32_t page)
{
    uint32_t seed = wal_identifier_seed(NUMBER, LOG_KEY);
    const uint8_t *p = f->platter + 4096 + (size_t)page * 4096;
    uint32_t found = 0;
    for (uint32_t slot = 0; slot < WAL_IDENTIFIERS_PER_PAGE; slot++) {
        const uint8_t *bytes = p + (size_t)slot * WAL_IDENTIFIER_SIZE;
        struct wal_identifier id;
        if (wal_identifier_decode(bytes, seed, &id)) {
            EXPECT_UINT(id.index, page * WAL_IDENTIFIERS_PER_PAGE + slot + 1);
            found++;
        } else {
            EXPECT(bytes_is_zero(bytes_of(bytes, WAL_IDENTIFIER_SIZE)));
        }
    }
    return found;
}

/* safety.md A5: identifiers above the end are zeroed together with a torn tail. */
TEST(wal_settle, identifiers_are_those_of_the_slots_and_no_others)
{
    static const uint32_t counts[] = {0, 1, 2, 126, 127, 128, 253, 254};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        struct fixture *f = fixture_open();
        EXPECT_OK(settle(f, RECORDS_AT, SEGMENT_SIZE, false, counts[i]));
        read_platter(f);
        test_context("%u identifiers", counts[i]);
        EXPECT_UINT(identifiers_on(f, 0) + identifiers_on(f, 1), counts[i]);
        EXPECT_UINT(f->writer.identifiers, counts[i]);
        EXPECT(!f->writer.page_dirty);
        fixture_close(f);
    }
}

/* safety.md A3: zeroing a tail must not remove the only statement. */
TEST(wal_settle, each_page_states_the_durable_position)
{
    struct fixture *f = fixture_open();
    EXPECT_OK(settle(f, RECORDS_AT, SEGMENT_SIZE, false, 200));
    read_platter(f);
    for (uint32_t page = 0; page < 2; page++) {
        struct wal_statement s;
        REQUIRE(wal_statement_decode(f->platter + 4096 + (size_t)(page + 1) * 4096 -
                                         WAL_IDENTIFIER_SIZE,
                                     wal_identifier_seed(NUMBER, LOG_KEY), LOG_KEY, &s));
        EXPECT_UINT(s.lsn_durable, 4711);
        EXPECT_UINT(s.commit, 12);
        EXPECT_UINT(s.page, page);
    }
    fixture_close(f);
}

/* What stands behind an unknown slot may be records: nothing is erased. */
TEST(wal_settle, with_an_unknown_end_nothing_is_zeroed)
{
    struct fixture *f = fixture_open();
    EXPECT_OK(settle(f, RECORDS_AT + 1024, RECORDS_AT + 2048, true, 9));
    read_platter(f);
    EXPECT(same(f, 4096, RECORDS_AT));
    EXPECT(same(f, RECORDS_AT + 1024, SEGMENT_SIZE));
    EXPECT(zero(f, RECORDS_AT, RECORDS_AT + 1024));
    fixture_close(f);
}

/* A sector that can't be read is left as it is: writing would call it good. */
TEST(wal_settle, a_bad_sector_is_not_written_and_its_neighbours_are)
{
    for (uint64_t sector = 24; sector < 128; sector += 13) {
        struct fixture *f = fixture_open();
        fake_disk_read_error(f->disk, "segment", sector * 512, 512);
        EXPECT_OK(settle(f, RECORDS_AT, SEGMENT_SIZE, false, 0));
        read_platter(f);
        test_context("sector %u", (unsigned)sector);
        EXPECT(same(f, RECORDS_AT, sector * 512));
        EXPECT(same(f, (sector + 1) * 512, SEGMENT_SIZE));
        uint8_t byte;
        size_t got;
        EXPECT_ERR(file_read_at(f->file, sector * 512, &byte, 1, &got, &f->err), ERR_IO);
        fixture_close(f);
    }
}

TEST(wal_settle, every_write_and_the_sync_that_fail_are_told)
{
    struct fixture *f = fixture_open();
    uint64_t before = fake_disk_calls_of(f->disk, FAKE_DISK_WRITE);
    REQUIRE_OK(settle(f, RECORDS_AT, RECORDS_AT + 4096, false, 130));
    uint64_t writes = fake_disk_calls_of(f->disk, FAKE_DISK_WRITE) - before;
    fixture_close(f);
    EXPECT(writes >= 4);
    for (uint64_t n = 1; n <= writes; n++) {
        f = fixture_open();
        fake_disk_fail(f->disk,
                       (struct fake_disk_fault){.call = FAKE_DISK_WRITE, .nth = n, .code = ERR_IO});
        test_context("write %u", (unsigned)n);
        EXPECT_ERR(settle(f, RECORDS_AT, RECORDS_AT + 4096, false, 130), ERR_IO);
        EXPECT_UINT(fake_disk_faults_seen(f->disk), 2); /* that of the fixture and this one */
        fixture_close(f);
    }
    for (unsigned unknown = 0; unknown < 2; unknown++) {
        f = fixture_open();
        fake_disk_fail_next(f->disk, FAKE_DISK_SYNC, ERR_IO);
        EXPECT_ERR(settle(f, RECORDS_AT, RECORDS_AT + 4096, unknown == 1, 1), ERR_IO);
        fixture_close(f);
    }
}

TEST(wal_settle, settle_twice_is_settle_once)
{
    static uint8_t first[SEGMENT_SIZE];
    struct fixture *f = fixture_open();
    REQUIRE_OK(settle(f, RECORDS_AT, RECORDS_AT + 9600, false, 100));
    read_platter(f);
    memcpy(first, f->platter, sizeof first);
    REQUIRE_OK(settle(f, RECORDS_AT, RECORDS_AT + 9600, false, 100));
    read_platter(f);
    EXPECT_MEM(f->platter, first, sizeof first);
    fixture_close(f);
}

/* safety.md A8: a segment that was being repaired in place. */
TEST(wal_settle, all_records_of_a_segment_are_written_again)
{
    struct fixture *f = fixture_open();
    EXPECT_OK(wal_settle_records(f->file, SEGMENT_SIZE, &f->err));
    read_platter(f);
    EXPECT(zero(f, 0, RECORDS_AT));
    EXPECT(same(f, RECORDS_AT, SEGMENT_SIZE));
    fake_disk_fail_next(f->disk, FAKE_DISK_SYNC, ERR_IO);
    EXPECT_ERR(wal_settle_records(f->file, SEGMENT_SIZE, &f->err), ERR_IO);
    fake_disk_fail_next(f->disk, FAKE_DISK_WRITE, ERR_IO);
    EXPECT_ERR(wal_settle_records(f->file, SEGMENT_SIZE, &f->err), ERR_IO);
    fixture_close(f);
}

TEST(wal_settle, a_header_is_written_again)
{
    struct fixture *f = fixture_open();
    EXPECT_OK(wal_settle_header(&f->writer, f->file, NUMBER, 3, &f->err));
    read_platter(f);
    struct wal_segment_header h;
    REQUIRE(wal_segment_header_decode(f->platter, &h) == WAL_RECORD_GOOD);
    EXPECT_UINT(h.role, WAL_RAFT);
    EXPECT_UINT(h.timeline, 3);
    EXPECT_UINT(h.number, NUMBER);
    EXPECT_UINT(h.cluster_id, 7);
    EXPECT_UINT(h.directory_id, 8);
    EXPECT_UINT(h.segment_size, SEGMENT_SIZE);
    EXPECT(zero(f, 4096, SEGMENT_SIZE));
    fake_disk_fail_next(f->disk, FAKE_DISK_SYNC, ERR_IO);
    EXPECT_ERR(wal_settle_header(&f->writer, f->file, NUMBER, 3, &f->err), ERR_IO);
    fixture_close(f);
}

static void settle_before_the_records(void *arg)
{
    (void)!settle(arg, RECORDS_AT - 8, RECORDS_AT, false, 0);
}

static void settle_behind_the_segment(void *arg)
{
    (void)!settle(arg, RECORDS_AT, SEGMENT_SIZE + 8, false, 0);
}

TEST(wal_settle, positions_outside_the_records_stop_the_process)
{
    struct fixture *f = fixture_open();
    EXPECT_DIES(settle_before_the_records, f, "from");
    EXPECT_DIES(settle_behind_the_segment, f, "end");
    fixture_close(f);
}
