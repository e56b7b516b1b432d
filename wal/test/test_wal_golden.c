/* SPDX-License-Identifier: Apache-2.0 */
/* Format 1, byte for byte: a log written today is the one kept in golden/, and
 * the kept one opens. A change that fails here needs a new format number.
 *
 * TIDEMARK_WRITE_GOLDEN=1 writes the files anew. */
#include <stdlib.h>

#include "io/io_posix.h"
#include "wal/test/wal_fixture.h"
#include "wal/wal_inspect.h"

static struct fixture f;

static const char *const files[] = {
    "000000010000000000000001",
    "000000010000000000000001.side",
};

enum { FILE_COUNT = sizeof files / sizeof files[0] };

/* Every type of record, one hole filled beside its place, identifiers, a MARK. */
static void build(void)
{
    fixture_init(&f, WAL_RAFT);
    REQUIRE_OK(fixture_open(&f));
    for (uint64_t i = 1; i <= 6; i++) {
        struct wal_entry entry = fixture_entry(&f, i, 2, (size_t)(40 + i * 100));
        entry.type = (enum wal_type)(1 + i % 4);
        REQUIRE_OK(wal_append(f.wal, &entry, 1, i / 2, &f.err));
        REQUIRE_OK(wal_sync(f.wal, &f.err));
    }
    REQUIRE_OK(wal_drop(f.wal, 6, 3, &f.err));
    struct wal_entry entry = fixture_entry(&f, 5, 4, 64);
    REQUIRE_OK(wal_replace(f.wal, &entry, 1, 4, &f.err));
    REQUIRE_OK(wal_close(f.wal, &f.err));
    f.wal = NULL;
    /* Header and identifiers of entry 3 are gone: repair goes to the side file. */
    uint64_t third =
        wal_segment_records_at(FIXTURE_SEGMENT_SIZE) + wal_record_span(140) + wal_record_span(240);
    fake_disk_zero(f.disk, fixture_segment(1), WAL_SEGMENT_HEADER_SIZE, WAL_IDENTIFIER_PAGE_SIZE);
    fake_disk_flip_bit(f.disk, fixture_segment(1), third + 40, 1);
    REQUIRE_OK(fixture_open(&f));
    for (uint64_t i = 2; i <= 3; i++) { /* 3 may have replaced 2, for all the log knows */
        REQUIRE(wal_hole_at(f.wal, i) != NULL);
        entry = fixture_entry(&f, i, 2, (size_t)(40 + i * 100));
        REQUIRE_OK(wal_repair(f.wal, &entry, &f.err));
    }
    REQUIRE_OK(wal_close(f.wal, &f.err));
    f.wal = NULL;
}

static void golden_path(const char *name, char dst[IO_PATH_MAX])
{
    REQUIRE_OK(io_join(dst, TEST_DATA_DIR "/golden/format-1", name, NULL));
}

static void read_golden(const char *name, struct buf *out)
{
    char path[IO_PATH_MAX];
    golden_path(name, path);
    REQUIRE_OK(io_read_file(io_posix(), path, FIXTURE_SEGMENT_SIZE, out, &f.err));
}

static void write_golden(void)
{
    for (size_t i = 0; i < FILE_COUNT; i++) {
        char path[64];
        static uint8_t bytes[FIXTURE_SEGMENT_SIZE];
        (void)snprintf(path, sizeof path, "log/%s", files[i]);
        size_t size = fake_disk_peek(f.disk, path, 0, bytes, sizeof bytes);
        REQUIRE_OK(io_replace_file(io_posix(), TEST_DATA_DIR "/golden/format-1", files[i],
                                   bytes_of(bytes, size), &f.err));
    }
}

TEST(wal_golden, todays_bytes_are_those_of_format_1)
{
    build();
    if (getenv("TIDEMARK_WRITE_GOLDEN") != NULL) {
        write_golden();
    }
    for (size_t i = 0; i < FILE_COUNT; i++) {
        struct buf golden = {0};
        char path[64];
        static uint8_t bytes[FIXTURE_SEGMENT_SIZE];
        read_golden(files[i], &golden);
        (void)snprintf(path, sizeof path, "log/%s", files[i]);
        size_t size = fake_disk_peek(f.disk, path, 0, bytes, sizeof bytes);
        EXPECT_UINT(size, golden.size);
        EXPECT(golden.size > 0);
        EXPECT(memcmp(bytes, golden.data, size < golden.size ? size : golden.size) == 0);
        buf_deinit(&golden);
    }
    fixture_deinit(&f);
}

static void install_golden(void)
{
    for (size_t i = 0; i < FILE_COUNT; i++) {
        struct buf golden = {0};
        char path[64];
        struct file *file;
        read_golden(files[i], &golden);
        (void)snprintf(path, sizeof path, "log/%s", files[i]);
        REQUIRE_OK(io_open(f.options.io, path, IO_WRITE | IO_CREATE, &file, &f.err));
        struct bytes part = buf_bytes(&golden);
        REQUIRE_OK(file_write_at(file, 0, &part, 1, &f.err));
        file_close(file);
        buf_deinit(&golden);
    }
}

TEST(wal_golden, a_log_of_format_1_opens)
{
    fixture_init(&f, WAL_RAFT);
    REQUIRE_OK(io_mkdir(f.options.io, "log", &f.err));
    install_golden();
    f.extent = (struct wal_extent){.segment_first = 1, .segment_last = 1};
    f.extent_made = true;
    REQUIRE_OK(fixture_open(&f));
    EXPECT_UINT(wal_index_last(f.wal), 5);
    EXPECT_UINT(f.report.commit_stated, 4);
    for (uint64_t i = 1; i <= 5; i++) {
        struct wal_entry entry;
        size_t count;
        REQUIRE_OK(wal_read(f.wal, i, 1, SIZE_MAX, &f.storage, &entry, &count, &f.err));
        REQUIRE_UINT(count, 1);
        EXPECT_UINT(entry.term, i == 5 ? 4 : 2);
        size_t size = i == 5 ? 64 : (size_t)(40 + i * 100);
        EXPECT(bytes_equal(entry.payload, fixture_payload(&f, i, entry.term, size)));
        EXPECT_UINT((uint64_t)entry.type, i == 2 || i == 3 || i == 5 ? WAL_COMMAND : 1 + i % 4);
    }
    fixture_deinit(&f);
}

/* --- wal_inspect() on the same log --- */

static enum err_code inspect(bool (*slot)(void *context, const struct wal_view *view),
                             void *context)
{
    const struct wal_visitor visitor = {.slot = slot, .context = context};
    return wal_inspect(f.options.io, "log", &visitor, &f.report, &f.err);
}

static bool stop_at_once(void *context, const struct wal_view *view)
{
    EXPECT_STR(view->kind, "barrier");
    EXPECT(bytes_equal(view->payload, fixture_payload(&f, 1, 2, 140)));
    ++*(unsigned *)context;
    return false;
}

static bool print_view(void *context, const struct wal_view *view)
{
    char lsn[WAL_LSN_TEXT_SIZE];
    buf_printf(context, "%s %s %s seq=%llu index=%llu term=%llu size=%u commit=%llu%s%s\n",
               wal_lsn_text(view->lsn, lsn), view->kind, view->verdict,
               (unsigned long long)view->sequence, (unsigned long long)view->index,
               (unsigned long long)view->term, view->size, (unsigned long long)view->commit,
               view->state == WAL_SLOT_HELD ? "" : " ",
               view->state == WAL_SLOT_HELD ? "" : wal_slot_state_name(view->state));
    return true;
}

TEST(wal_golden, inspect_shows_every_record_of_it)
{
    fixture_init(&f, WAL_RAFT);
    REQUIRE_OK(io_mkdir(f.options.io, "log", &f.err));
    install_golden();
    struct buf text = {0};
    uint64_t calls = fake_disk_calls_of(f.disk, FAKE_DISK_WRITE);
    REQUIRE_OK(inspect(print_view, &text));
    buf_put_u8(&text, 0);
    EXPECT_STR((const char *)text.data,
               "0/00013000 barrier whole seq=1 index=1 term=2 size=140 commit=0\n"
               "0/000130F0 change whole seq=2 index=2 term=2 size=240 commit=1\n"
               "0/00013240 unknown unknown seq=0 index=0 term=0 size=0 commit=0 repaired\n"
               "0/000133F8 command whole seq=4 index=4 term=2 size=440 commit=2\n"
               "0/00013610 barrier whole seq=5 index=5 term=2 size=540 commit=2 replaced\n"
               "0/00013890 change whole seq=6 index=6 term=2 size=640 commit=3 replaced\n"
               "0/00013B70 drop whole seq=7 index=6 term=0 size=0 commit=3\n"
               "0/00013BD0 begin whole seq=8 index=5 term=4 size=0 commit=4\n"
               "0/00013C30 command whole seq=9 index=5 term=4 size=64 commit=4\n"
               "0/00013CD0 end whole seq=10 index=5 term=4 size=0 commit=4\n"
               "0/00013D30 mark whole seq=11 index=5 term=4 size=0 commit=4\n");
    EXPECT_UINT(fake_disk_calls_of(f.disk, FAKE_DISK_WRITE), calls);
    EXPECT_UINT(f.report.records_unknown, 1);
    EXPECT_UINT(f.report.segments, 1);
    buf_deinit(&text);
    fixture_deinit(&f);
}

TEST(wal_golden, inspect_stops_when_told)
{
    fixture_init(&f, WAL_RAFT);
    REQUIRE_OK(io_mkdir(f.options.io, "log", &f.err));
    install_golden();
    unsigned views = 0;
    REQUIRE_OK(inspect(stop_at_once, &views));
    EXPECT_UINT(views, 1);
    fixture_deinit(&f);
}

TEST(wal_golden, inspect_says_what_is_no_log)
{
    fixture_init(&f, WAL_RAFT);
    EXPECT_ERR(inspect(NULL, NULL), ERR_NOT_FOUND);
    REQUIRE_OK(io_mkdir(f.options.io, "log", &f.err));
    EXPECT_ERR(inspect(NULL, NULL), ERR_NOT_FOUND);
    EXPECT_CONTAINS(f.err.text, "no segment");
    install_golden();
    fake_disk_flip_bit(f.disk, fixture_segment(1), 9, 1);
    EXPECT_ERR(inspect(NULL, NULL), ERR_CORRUPT);
    EXPECT_CONTAINS(f.err.text, "none of 1 segment headers");
    fixture_deinit(&f);
}
