/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/crc32c.h"
#include "testkit/fake_disk.h"
#include "testkit/fake_disk_damage.h"
#include "testkit/test.h"
#include "wal/wal_scan.h"

enum {
    SEGMENT_SIZE = 64 * 1024,
    LOG_KEY = 5,
    NUMBER = 4,
    RECORDS_AT = 12 * 1024,
    PAYLOAD = 1000,
    SPAN = 1096, /* of a record with that payload */
    COUNT = 5,
    FOUND_MAX = 64
};

static const struct wal_layout layout = {SEGMENT_SIZE, LOG_KEY};

struct fixture {
    struct fake_disk *disk;
    struct io *io;
    struct file *file;
    struct wal_reader reader;
    struct wal_scan scan;
    struct wal_scan_end end;
    struct wal_found found[FOUND_MAX];
    size_t count;
    struct err err;
    uint8_t content[SEGMENT_SIZE];
};

static struct fixture fixture;

static void visit(void *context, const struct wal_found *found)
{
    struct fixture *f = context;
    REQUIRE(f->count < FOUND_MAX);
    f->found[f->count++] = *found;
}

static uint64_t at(uint64_t n)
{
    return RECORDS_AT + n * SPAN;
}

static struct wal_record record_of(uint64_t n, uint64_t offset)
{
    return (struct wal_record){.type = WAL_RECORD_COMMAND,
                               .log_key = LOG_KEY,
                               .size = PAYLOAD,
                               .size_plain = PAYLOAD,
                               .sequence = n + 1,
                               .index = n + 1,
                               .term = 7,
                               .commit = n,
                               .lsn = wal_lsn_of(&layout, NUMBER, offset)};
}

/* Record n at its place, with its identifier if 'identified'. */
static void put_record(struct fixture *f, uint64_t n, bool identified)
{
    uint8_t *p = f->content + at(n);
    struct wal_record r = record_of(n, at(n));
    for (size_t i = 0; i < PAYLOAD; i++) {
        p[WAL_RECORD_HEADER_SIZE + i] = (uint8_t)(1 + (n + i) % 250);
    }
    r.payload_crc = crc32c(0, p + WAL_RECORD_HEADER_SIZE, PAYLOAD);
    wal_record_encode(&r, p);
    if (identified) {
        const struct wal_identifier id = {.index = r.index,
                                          .term = r.term,
                                          .offset = (uint32_t)at(n),
                                          .type = r.type,
                                          .size = r.size,
                                          .payload_crc = r.payload_crc};
        wal_identifier_encode(&id, wal_identifier_seed(NUMBER, LOG_KEY),
                              f->content + 4096 + n * WAL_IDENTIFIER_SIZE);
    }
}

/* A segment of COUNT records, not written to its file yet. */
static struct fixture *fixture_init(bool identified)
{
    struct fixture *f = &fixture;
    memset(f, 0, sizeof *f);
    f->disk = fake_disk_create(1);
    f->io = fake_disk_io(f->disk);
    REQUIRE_OK(io_open(f->io, "segment", IO_WRITE | IO_CREATE, &f->file, &f->err));
    wal_reader_init(&f->reader);
    for (uint64_t n = 0; n < COUNT; n++) {
        put_record(f, n, identified);
    }
    f->scan = (struct wal_scan){
        .layout = layout, .segment = NUMBER, .reader = &f->reader, .visit = visit, .context = f};
    return f;
}

static void store(struct fixture *f, size_t size)
{
    struct bytes part = bytes_of(f->content, size);
    REQUIRE_OK(file_resize(f->file, 0, &f->err));
    REQUIRE_OK(file_write_at(f->file, 0, &part, 1, &f->err));
    REQUIRE_OK(wal_reader_start(&f->reader, f->file, SEGMENT_SIZE, &f->err));
}

/* 'durable': offset of the durable position in the segment. */
static void run(struct fixture *f, uint64_t durable)
{
    f->count = 0;
    f->scan.lsn_durable = wal_lsn_of(&layout, NUMBER, durable);
    store(f, SEGMENT_SIZE);
    wal_scan_segment(&f->scan, &f->end);
}

static void fixture_deinit(struct fixture *f)
{
    wal_reader_deinit(&f->reader);
    file_close(f->file);
    EXPECT_UINT(fake_disk_open_files(f->disk), 0);
    fake_disk_destroy(f->disk);
}

/* Slots 0 .. count - 1 are whole but the one of number 'bad', which is 'verdict'. */
static void expect_slots(const struct fixture *f, size_t count, size_t bad,
                         enum wal_verdict verdict)
{
    EXPECT_UINT(f->count, count);
    for (size_t n = 0; n < f->count && n < count; n++) {
        const struct wal_found *found = &f->found[n];
        EXPECT_STR(wal_verdict_name(found->verdict),
                   wal_verdict_name(n == bad ? verdict : WAL_WHOLE));
        EXPECT_UINT(found->lsn, wal_lsn_of(&layout, NUMBER, at(n)));
        if (found->verdict != WAL_UNKNOWN) {
            EXPECT_UINT(found->record.index, n + 1);
            EXPECT_UINT(found->record.term, 7);
            EXPECT_UINT(found->record.size, PAYLOAD);
        }
    }
}

enum { NONE = 1000 };

TEST(wal_scan, a_whole_segment_is_read_slot_by_slot)
{
    for (unsigned identified = 0; identified < 2; identified++) {
        struct fixture *f = fixture_init(identified == 1);
        run(f, at(COUNT));
        expect_slots(f, COUNT, NONE, WAL_WHOLE);
        EXPECT_UINT(f->end.offset, at(COUNT));
        EXPECT(!f->end.torn);
        EXPECT(!f->end.unknown);
        EXPECT(!f->end.newer);
        EXPECT(f->found[0].by_header);
        EXPECT_UINT(f->found[0].record.sequence, 1);
        fixture_deinit(f);
    }
}

TEST(wal_scan, an_empty_segment_ends_at_its_first_record)
{
    struct fixture *f = fixture_init(false);
    memset(f->content, 0, sizeof f->content);
    run(f, RECORDS_AT);
    EXPECT_UINT(f->count, 0);
    EXPECT_UINT(f->end.offset, RECORDS_AT);
    EXPECT(!f->end.torn);
    fixture_deinit(f);
}

/* safety.md A4: before the durable position every damaged byte of a payload is a
 * damaged record, with its identity, and costs no other record. */
TEST(wal_scan, every_damaged_byte_of_a_payload_is_one_damaged_record)
{
    for (uint64_t n = 0; n < COUNT; n++) {
        for (uint64_t byte = 0; byte < PAYLOAD; byte += 37) {
            struct fixture *f = fixture_init(byte % 2 == 0);
            f->content[at(n) + WAL_RECORD_HEADER_SIZE + byte] ^= 1;
            run(f, at(COUNT));
            test_context("record %u byte %u", (unsigned)n, (unsigned)byte);
            expect_slots(f, COUNT, (size_t)n, WAL_DAMAGED);
            EXPECT_UINT(f->end.offset, at(COUNT));
            fixture_deinit(f);
        }
    }
}

TEST(wal_scan, every_damaged_byte_of_a_header_is_answered_by_the_identifier)
{
    for (uint64_t byte = 0; byte < WAL_RECORD_HEADER_SIZE; byte++) {
        struct fixture *f = fixture_init(true);
        f->content[at(2) + byte] ^= 0x40;
        run(f, at(COUNT));
        test_context("byte %u", (unsigned)byte);
        expect_slots(f, COUNT, 2, WAL_DAMAGED);
        EXPECT(f->count < 3 || !f->found[2].by_header);
        EXPECT(f->count < 3 || f->found[2].record.sequence == 0);
        fixture_deinit(f);
    }
}

TEST(wal_scan, every_damaged_byte_of_a_header_without_identifier_is_unknown)
{
    for (uint64_t n = 0; n < COUNT - 1; n++) {
        for (uint64_t byte = 0; byte < WAL_RECORD_HEADER_SIZE; byte += 3) {
            struct fixture *f = fixture_init(false);
            f->content[at(n) + byte] ^= 0x40;
            run(f, at(COUNT));
            test_context("record %u byte %u", (unsigned)n, (unsigned)byte);
            expect_slots(f, COUNT, (size_t)n, WAL_UNKNOWN);
            EXPECT(!f->end.unknown);
            EXPECT_UINT(f->end.offset, at(COUNT));
            fixture_deinit(f);
        }
    }
}

TEST(wal_scan, an_unknown_slot_at_the_end_ends_the_segment)
{
    for (uint64_t byte = 0; byte < WAL_RECORD_HEADER_SIZE; byte++) {
        struct fixture *f = fixture_init(false);
        f->content[at(COUNT - 1) + byte] ^= 0x40;
        run(f, at(COUNT));
        test_context("byte %u", (unsigned)byte);
        expect_slots(f, COUNT, COUNT - 1, WAL_UNKNOWN);
        EXPECT(f->end.unknown);
        fixture_deinit(f);
    }
}

/* Several headers lost in a row are one unknown slot, however many they were. */
TEST(wal_scan, several_lost_headers_are_one_unknown_slot)
{
    for (uint64_t lost = 1; lost <= 4; lost++) {
        struct fixture *f = fixture_init(false);
        for (uint64_t n = 0; n < lost; n++) {
            f->content[at(n)] ^= 1;
        }
        run(f, at(COUNT));
        test_context("%u lost", (unsigned)lost);
        EXPECT_UINT(f->count, 1 + COUNT - lost);
        EXPECT_INT(f->found[0].verdict, WAL_UNKNOWN);
        EXPECT_UINT(f->found[1].record.index, lost + 1);
        fixture_deinit(f);
    }
}

/* --- the torn tail --- */

/* After the durable position a sector of zeros in a slot says that a write never
 * ended: each record from there on was never acknowledged. */
TEST(wal_scan, a_sector_of_zeros_in_doubt_is_a_torn_tail)
{
    for (uint64_t sector = at(3) / 512 + 1; (sector + 1) * 512 <= at(4); sector++) {
        struct fixture *f = fixture_init(false);
        memset(f->content + sector * 512, 0, 512);
        run(f, at(3));
        test_context("sector %u", (unsigned)sector);
        expect_slots(f, 3, NONE, WAL_WHOLE);
        EXPECT(f->end.torn);
        EXPECT_UINT(f->end.offset, at(3));
        EXPECT_UINT(f->end.torn_records, 2);
        EXPECT(f->end.torn_bytes > SPAN);
        EXPECT(f->end.torn_bytes <= UINT64_C(2) * SPAN);
        fixture_deinit(f);
    }
}

TEST(wal_scan, the_same_zeros_before_the_durable_position_are_damage)
{
    for (uint64_t sector = at(3) / 512 + 1; (sector + 1) * 512 <= at(4); sector++) {
        struct fixture *f = fixture_init(false);
        memset(f->content + sector * 512, 0, 512);
        run(f, at(3) + 8);
        test_context("sector %u", (unsigned)sector);
        expect_slots(f, COUNT, 3, WAL_DAMAGED);
        EXPECT(!f->end.torn);
        fixture_deinit(f);
    }
}

/* A write cut after any number of bytes, as a kill between two pages leaves it. */
TEST(wal_scan, a_tail_cut_at_any_sector_is_torn)
{
    for (uint64_t sector = at(3) / 512 + 1; sector * 512 < at(5); sector++) {
        struct fixture *f = fixture_init(false);
        memset(f->content + sector * 512, 0, SEGMENT_SIZE - sector * 512);
        run(f, at(3));
        uint64_t whole = sector * 512 >= at(4) ? 4 : 3;
        test_context("cut at %u", (unsigned)(sector * 512));
        expect_slots(f, (size_t)whole, NONE, WAL_WHOLE);
        EXPECT_UINT(f->end.offset, at(whole));
        EXPECT(!f->end.unknown);
        fixture_deinit(f);
    }
}

/* A flipped bit is no torn write: nothing in the slot was left unwritten. */
TEST(wal_scan, a_flipped_bit_in_doubt_is_damage)
{
    for (uint64_t byte = 0; byte < SPAN - 8; byte += 5) {
        struct fixture *f = fixture_init(true);
        f->content[at(3) + byte] ^= 0x10;
        run(f, at(3));
        test_context("byte %u", (unsigned)byte);
        expect_slots(f, COUNT, 3, WAL_DAMAGED);
        EXPECT(!f->end.torn);
        fixture_deinit(f);
    }
}

TEST(wal_scan, a_whole_record_in_doubt_is_whole)
{
    struct fixture *f = fixture_init(false);
    run(f, RECORDS_AT);
    expect_slots(f, COUNT, NONE, WAL_WHOLE);
    fixture_deinit(f);
}

/* --- zeros --- */

TEST(wal_scan, zeros_before_the_durable_position_are_not_the_end)
{
    struct fixture *f = fixture_init(false);
    memset(f->content + at(3), 0, SEGMENT_SIZE - at(3));
    run(f, at(COUNT));
    expect_slots(f, 4, 3, WAL_UNKNOWN);
    EXPECT(f->end.unknown);
    fixture_deinit(f);
}

TEST(wal_scan, zeros_with_identifiers_are_damaged_records)
{
    struct fixture *f = fixture_init(true);
    memset(f->content + at(3), 0, SEGMENT_SIZE - at(3));
    run(f, at(COUNT));
    EXPECT_UINT(f->count, COUNT);
    EXPECT_INT(f->found[3].verdict, WAL_DAMAGED);
    EXPECT_INT(f->found[4].verdict, WAL_DAMAGED);
    EXPECT_UINT(f->found[4].record.index, 5);
    EXPECT_UINT(f->end.offset, at(COUNT));
    fixture_deinit(f);
}

TEST(wal_scan, the_rest_of_a_segment_that_another_follows_is_empty_by_right)
{
    struct fixture *f = fixture_init(false);
    f->scan.followed = true;
    run(f, SEGMENT_SIZE);
    expect_slots(f, COUNT, NONE, WAL_WHOLE);
    EXPECT(!f->end.unknown);
    fixture_deinit(f);
}

/* --- records that do not count --- */

TEST(wal_scan, a_record_in_another_place_or_of_another_log_does_not_count)
{
    for (unsigned n = 0; n < 3; n++) {
        struct fixture *f = fixture_init(false);
        struct wal_record r = record_of(COUNT, at(COUNT));
        r.size = 0;
        r.lsn += n == 0 ? 8 : 0;
        r.log_key += n == 1;
        r.flags = n == 2 ? WAL_RECORD_SIDE : 0;
        wal_record_encode(&r, f->content + at(COUNT));
        run(f, RECORDS_AT);
        test_context("case %u", n);
        EXPECT_UINT(f->count, COUNT + 1);
        EXPECT_INT(f->found[COUNT].verdict, WAL_UNKNOWN);
        EXPECT(f->end.unknown);
        fixture_deinit(f);
    }
}

TEST(wal_scan, a_record_that_says_to_reach_behind_the_segment_does_not_count)
{
    struct fixture *f = fixture_init(false);
    struct wal_record r = record_of(COUNT, at(COUNT));
    r.size = SEGMENT_SIZE;
    wal_record_encode(&r, f->content + at(COUNT));
    run(f, RECORDS_AT);
    EXPECT_UINT(f->count, COUNT + 1);
    EXPECT_INT(f->found[COUNT].verdict, WAL_UNKNOWN);
    fixture_deinit(f);
}

TEST(wal_scan, a_record_of_a_newer_program_stops_the_scan)
{
    struct fixture *f = fixture_init(false);
    uint8_t *p = f->content + at(3);
    p[4] = WAL_RECORD_VERSION + 1;
    bytes_put_u32(p, crc32c(0, p + 4, WAL_RECORD_HEADER_SIZE - 4));
    run(f, at(COUNT));
    expect_slots(f, 3, NONE, WAL_WHOLE);
    EXPECT(f->end.newer);
    EXPECT_UINT(f->end.offset, at(3));
    fixture_deinit(f);
}

/* --- files and disks --- */

/* safety.md A7: a short file is no end of the log. */
TEST(wal_scan, a_file_cut_anywhere_has_no_end)
{
    for (uint64_t size = RECORDS_AT; size < at(COUNT); size += 91) {
        struct fixture *f = fixture_init(true);
        store(f, (size_t)size);
        f->scan.lsn_durable = wal_lsn_of(&layout, NUMBER, RECORDS_AT);
        wal_scan_segment(&f->scan, &f->end);
        test_context("cut at %u", (unsigned)size);
        EXPECT(!f->end.torn);
        EXPECT(f->end.unknown);
        EXPECT_UINT(f->count, COUNT + 1); /* each has its identifier, and the rest is unknown */
        for (size_t n = 0; n < COUNT && n < f->count; n++) {
            bool whole = at(n) + WAL_RECORD_HEADER_SIZE + PAYLOAD <= size;
            EXPECT_INT(f->found[n].verdict, whole ? WAL_WHOLE : WAL_DAMAGED);
        }
        fixture_deinit(f);
    }
}

TEST(wal_scan, a_sector_that_cannot_be_read_is_damage)
{
    for (uint64_t sector = RECORDS_AT / 512; sector * 512 < at(COUNT); sector++) {
        struct fixture *f = fixture_init(true);
        store(f, SEGMENT_SIZE);
        fake_disk_read_error(f->disk, "segment", sector * 512, 512);
        f->scan.lsn_durable = wal_lsn_of(&layout, NUMBER, RECORDS_AT);
        wal_scan_segment(&f->scan, &f->end);
        test_context("sector %u", (unsigned)sector);
        EXPECT(!f->end.torn);
        for (size_t n = 0; n < COUNT && n < f->count; n++) {
            uint64_t end = at(n) + WAL_RECORD_HEADER_SIZE + PAYLOAD;
            bool hit = at(n) < (sector + 1) * 512 && sector * 512 < end;
            EXPECT_INT(f->found[n].verdict, hit ? WAL_DAMAGED : WAL_WHOLE);
            EXPECT_UINT(f->found[n].record.index, n + 1);
        }
        EXPECT(f->count >= COUNT);
        fixture_deinit(f);
    }
}

/* --- identifiers --- */

/* A page of an earlier time that came back must not name what never stood there. */
TEST(wal_scan, identifiers_whose_offsets_do_not_rise_are_left_out)
{
    struct fixture *f = fixture_init(true);
    uint8_t swapped[WAL_IDENTIFIER_SIZE];
    memcpy(swapped, f->content + 4096, sizeof swapped);
    memmove(f->content + 4096, f->content + 4096 + WAL_IDENTIFIER_SIZE, WAL_IDENTIFIER_SIZE);
    memcpy(f->content + 4096 + WAL_IDENTIFIER_SIZE, swapped, sizeof swapped);
    f->content[at(0)] ^= 1;
    run(f, at(COUNT));
    EXPECT_INT(f->found[0].verdict, WAL_UNKNOWN); /* its identifier came second */
    EXPECT_UINT(f->found[1].record.index, 2);
    fixture_deinit(f);
}

/* safety.md A4: a whole record is kept whatever its identifier says. */
TEST(wal_scan, damaged_identifiers_touch_no_whole_record)
{
    for (uint64_t byte = 0; byte < COUNT * WAL_IDENTIFIER_SIZE; byte++) {
        struct fixture *f = fixture_init(true);
        f->content[4096 + byte] ^= 2;
        run(f, at(COUNT));
        test_context("byte %u", (unsigned)byte);
        expect_slots(f, COUNT, NONE, WAL_WHOLE);
        fixture_deinit(f);
    }
}

/* --- statements --- */

static void statements(struct fixture *f, uint64_t *durable, uint64_t *commit)
{
    store(f, SEGMENT_SIZE);
    wal_scan_statements(&f->scan, durable, commit);
}

TEST(wal_scan, the_highest_statement_of_headers_and_pages_is_found)
{
    for (unsigned page = 0; page < 3; page++) {
        struct fixture *f = fixture_init(false);
        struct wal_record r = record_of(COUNT, at(COUNT));
        r.size = 0;
        r.lsn_durable = wal_lsn_of(&layout, NUMBER, at(2));
        r.commit = 40;
        wal_record_encode(&r, f->content + at(COUNT));
        const struct wal_statement s = {
            .lsn_durable = wal_lsn_of(&layout, NUMBER, at(4)), .commit = 30, .page = page};
        if (page < 2) {
            wal_statement_encode(&s, wal_identifier_seed(NUMBER, LOG_KEY), LOG_KEY,
                                 f->content + 8192 + (size_t)page * 4096 - WAL_IDENTIFIER_SIZE);
        }
        uint64_t durable = 0;
        uint64_t commit = 0;
        statements(f, &durable, &commit);
        test_context("page %u", page);
        EXPECT_UINT(durable, wal_lsn_of(&layout, NUMBER, page < 2 ? at(4) : at(2)));
        EXPECT_UINT(commit, 40);
        fixture_deinit(f);
    }
}

TEST(wal_scan, a_statement_never_lowers_what_is_known)
{
    struct fixture *f = fixture_init(false);
    uint64_t durable = UINT64_MAX;
    uint64_t commit = 1000;
    statements(f, &durable, &commit);
    EXPECT_UINT(durable, UINT64_MAX);
    EXPECT_UINT(commit, 1000);
    fixture_deinit(f);
}

/* A header behind a damaged one is found too: the highest statement decides. */
TEST(wal_scan, statements_behind_damage_count)
{
    struct fixture *f = fixture_init(false);
    struct wal_record r = record_of(COUNT, at(COUNT));
    r.size = 0;
    r.lsn_durable = wal_lsn_of(&layout, NUMBER, at(COUNT));
    wal_record_encode(&r, f->content + at(COUNT));
    for (uint64_t n = 0; n < COUNT; n++) {
        f->content[at(n)] ^= 1;
    }
    uint64_t durable = 0;
    uint64_t commit = 0;
    statements(f, &durable, &commit);
    EXPECT_UINT(durable, wal_lsn_of(&layout, NUMBER, at(COUNT)));
    fixture_deinit(f);
}

TEST(wal_scan, a_header_that_states_more_than_was_written_does_not_count)
{
    struct fixture *f = fixture_init(false);
    struct wal_record r = record_of(COUNT, at(COUNT));
    r.size = 0;
    r.lsn_durable = r.lsn + 8;
    r.commit = 99;
    wal_record_encode(&r, f->content + at(COUNT));
    uint64_t durable = 0;
    uint64_t commit = 0;
    statements(f, &durable, &commit);
    EXPECT_UINT(durable, 0);
    EXPECT_UINT(commit, COUNT - 1);
    fixture_deinit(f);
}

/* --- is there anything at all --- */

TEST(wal_scan, any_record_anywhere_is_found)
{
    for (uint64_t n = 0; n <= COUNT; n++) {
        struct fixture *f = fixture_init(false);
        for (uint64_t i = 0; i < COUNT; i++) {
            if (i != n) {
                memset(f->content + at(i), 0, SPAN);
            }
        }
        store(f, SEGMENT_SIZE);
        test_context("record %u", (unsigned)n);
        EXPECT(wal_scan_has_records(&f->scan) == (n < COUNT));
        fixture_deinit(f);
    }
}

TEST(wal_scan, records_of_another_segment_are_none)
{
    struct fixture *f = fixture_init(true);
    store(f, SEGMENT_SIZE);
    f->scan.segment = NUMBER + 1; /* a spare that was zeroed only in part */
    EXPECT(!wal_scan_has_records(&f->scan));
    fixture_deinit(f);
}
