/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/crc32c.h"
#include "testkit/test.h"
#include "wal/wal_segment.h"

static const struct wal_segment_header sample = {
    .role = 2,
    .timeline = 0x11121314,
    .cluster_id = UINT64_C(0x2122232425262728),
    .directory_id = UINT64_C(0x3132333435363738),
    .number = UINT64_C(0x4142434445464748),
    .segment_size = 64 * 1024,
    .index_first = UINT64_C(0x5152535455565758),
    .sequence_first = UINT64_C(0x6162636465666768),
};

static const uint8_t golden[64] = {
    'T',  'M',  'L',  'G',                          /* magic */
    0x01, 0x00, 0x02, 0x00,                         /* format, role */
    0x28, 0x27, 0x26, 0x25, 0x24, 0x23, 0x22, 0x21, /* cluster_id */
    0x38, 0x37, 0x36, 0x35, 0x34, 0x33, 0x32, 0x31, /* directory_id */
    0x14, 0x13, 0x12, 0x11, 0x00, 0x00, 0x00, 0x00, /* timeline, zero */
    0x48, 0x47, 0x46, 0x45, 0x44, 0x43, 0x42, 0x41, /* number */
    0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, /* size */
    0x58, 0x57, 0x56, 0x55, 0x54, 0x53, 0x52, 0x51, /* index_first */
    0x68, 0x67, 0x66, 0x65, 0x64, 0x63, 0x62, 0x61, /* sequence_first */
};

/* As another program would have written it. */
static void seal(uint8_t *header)
{
    bytes_put_u32(header + WAL_SEGMENT_HEADER_SIZE - 4,
                  crc32c(0, header, WAL_SEGMENT_HEADER_SIZE - 4));
}

/* --- header --- */

TEST(wal_segment, version_1_has_these_bytes)
{
    uint8_t header[WAL_SEGMENT_HEADER_SIZE];
    wal_segment_header_encode(&sample, header);
    EXPECT_MEM(header, golden, sizeof golden);
    EXPECT(bytes_is_zero(
        bytes_of(header + sizeof golden, WAL_SEGMENT_HEADER_SIZE - 4 - sizeof golden)));
    EXPECT_UINT(bytes_get_u32(header + WAL_SEGMENT_HEADER_SIZE - 4),
                crc32c(0, header, WAL_SEGMENT_HEADER_SIZE - 4));
}

TEST(wal_segment, what_is_written_reads_back)
{
    uint8_t header[WAL_SEGMENT_HEADER_SIZE];
    struct wal_segment_header h;
    wal_segment_header_encode(&sample, header);
    REQUIRE(wal_segment_header_decode(header, &h) == WAL_RECORD_GOOD);
    EXPECT_UINT(h.role, sample.role);
    EXPECT_UINT(h.timeline, sample.timeline);
    EXPECT_UINT(h.cluster_id, sample.cluster_id);
    EXPECT_UINT(h.directory_id, sample.directory_id);
    EXPECT_UINT(h.number, sample.number);
    EXPECT_UINT(h.segment_size, sample.segment_size);
    EXPECT_UINT(h.index_first, sample.index_first);
    EXPECT_UINT(h.sequence_first, sample.sequence_first);
}

TEST(wal_segment, every_byte_that_differs_is_noticed)
{
    uint8_t header[WAL_SEGMENT_HEADER_SIZE];
    wal_segment_header_encode(&sample, header);
    for (size_t at = 0; at < sizeof header; at++) {
        struct wal_segment_header h = {.role = 77};
        uint8_t right = header[at];
        header[at] ^= (uint8_t)(1 + at % 255);
        test_context("byte %zu", at);
        EXPECT_INT(wal_segment_header_decode(header, &h), WAL_RECORD_BAD);
        EXPECT_UINT(h.role, 77);
        header[at] = right;
    }
}

TEST(wal_segment, every_flipped_bit_of_a_field_is_noticed)
{
    uint8_t header[WAL_SEGMENT_HEADER_SIZE];
    wal_segment_header_encode(&sample, header);
    for (size_t bit = 0; bit < sizeof golden * 8; bit++) {
        struct wal_segment_header h;
        header[bit / 8] ^= (uint8_t)(1U << bit % 8);
        test_context("bit %zu", bit);
        EXPECT_INT(wal_segment_header_decode(header, &h), WAL_RECORD_BAD);
        header[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
}

TEST(wal_segment, zeros_are_no_header)
{
    const uint8_t zeros[WAL_SEGMENT_HEADER_SIZE] = {0};
    struct wal_segment_header h;
    EXPECT_INT(wal_segment_header_decode(zeros, &h), WAL_RECORD_BAD);
}

TEST(wal_segment, another_format_is_newer_and_not_damage)
{
    for (unsigned format = 0; format < 1000; format++) {
        uint8_t header[WAL_SEGMENT_HEADER_SIZE];
        struct wal_segment_header h;
        wal_segment_header_encode(&sample, header);
        bytes_put_u16(header + 4, (uint16_t)format);
        seal(header);
        test_context("format %u", format);
        EXPECT_INT(wal_segment_header_decode(header, &h),
                   format == WAL_SEGMENT_FORMAT ? WAL_RECORD_GOOD : WAL_RECORD_NEWER);
    }
}

TEST(wal_segment, an_impossible_field_is_bad)
{
    static const uint64_t sizes[] = {0, 1, 65535, 65537, 98304, UINT64_C(1) << 31, UINT64_MAX};
    uint8_t header[WAL_SEGMENT_HEADER_SIZE];
    struct wal_segment_header h;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        wal_segment_header_encode(&sample, header);
        bytes_put_u64(header + 40, sizes[i]);
        seal(header);
        test_context("size %zu", (size_t)sizes[i]);
        EXPECT_INT(wal_segment_header_decode(header, &h), WAL_RECORD_BAD);
    }
    /* Role, timeline and number begin at 1. */
    static const size_t fields[][2] = {{6, 2}, {24, 4}, {32, 8}};
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        wal_segment_header_encode(&sample, header);
        memset(header + fields[i][0], 0, fields[i][1]);
        seal(header);
        test_context("field at %zu", fields[i][0]);
        EXPECT_INT(wal_segment_header_decode(header, &h), WAL_RECORD_BAD);
    }
}

static void encode(void *arg)
{
    uint8_t header[WAL_SEGMENT_HEADER_SIZE];
    wal_segment_header_encode(arg, header);
}

TEST(wal_segment, nonsense_is_never_written)
{
    struct wal_segment_header h = sample;
    h.number = 0;
    EXPECT_DIES(encode, &h, "number");
    h = sample;
    h.role = 0;
    EXPECT_DIES(encode, &h, "role");
    h = sample;
    h.role = UINT16_MAX + 1;
    EXPECT_DIES(encode, &h, "role");
    h = sample;
    h.segment_size = 65537;
    EXPECT_DIES(encode, &h, "size");
}

/* --- names --- */

struct named {
    uint64_t segment_size;
    uint32_t timeline;
    uint64_t number;
    const char *name;
};

static const struct named names[] = {
    {64 * 1024, 1, 1, "000000010000000000000001"},
    {64 * 1024, 1, 10, "00000001000000000000000A"},
    {64 * 1024, 0xABCDEF01, 255, "ABCDEF0100000000000000FF"},
    {64 * 1024, 1, 65535, "00000001000000000000FFFF"},
    {64 * 1024, 1, 65536, "000000010000000100000000"},
    {64 * 1024, 1, 65537, "000000010000000100000001"},
    {16 * 1024 * 1024, 2, 255, "0000000200000000000000FF"},
    {16 * 1024 * 1024, 2, 256, "000000020000000100000000"},
    {1024 * 1024 * 1024, 3, 3, "000000030000000000000003"},
    {1024 * 1024 * 1024, 3, 4, "000000030000000100000000"},
    {1024 * 1024 * 1024, 3, 0xFFFFFFFF, "000000033FFFFFFF00000003"},
    {64 * 1024, 0xFFFFFFFF, UINT64_C(0xFFFFFFFFFFFF), "FFFFFFFFFFFFFFFF0000FFFF"},
};

enum { NAME_COUNT = sizeof names / sizeof names[0] };

TEST(wal_segment, names_are_as_postgresql_has_them)
{
    for (size_t i = 0; i < NAME_COUNT; i++) {
        const struct wal_layout layout = {names[i].segment_size, 1};
        char name[WAL_SEGMENT_NAME_SIZE];
        wal_segment_name(&layout, names[i].timeline, names[i].number, name);
        EXPECT_STR(name, names[i].name);
    }
}

TEST(wal_segment, names_read_back)
{
    for (size_t i = 0; i < NAME_COUNT; i++) {
        uint32_t timeline = 0;
        uint64_t number = 0;
        test_context("%s", names[i].name);
        REQUIRE(wal_segment_name_parse(names[i].segment_size, names[i].name, &timeline, &number));
        EXPECT_UINT(timeline, names[i].timeline);
        EXPECT_UINT(number, names[i].number);
    }
}

/* A listing sorted by name is a listing in order of position. */
TEST(wal_segment, names_of_one_timeline_sort_as_numbers)
{
    const struct wal_layout layout = {64 * 1024, 1};
    char before[WAL_SEGMENT_NAME_SIZE] = "";
    for (uint64_t number = 1; number < UINT64_C(1) << 40; number = number * 3 + 1) {
        char name[WAL_SEGMENT_NAME_SIZE];
        wal_segment_name(&layout, 1, number, name);
        EXPECT(strcmp(before, name) < 0);
        memcpy(before, name, sizeof before);
    }
}

TEST(wal_segment, other_names_are_none_of_a_segment)
{
    static const char *const others[] = {
        "",
        "lost",
        "spare-00000001",
        "00000001000000000000000",
        "0000000100000000000000011",
        "00000001000000000000000a",
        "00000001000000000000000G",
        "0000000100000000 0000001",
        "-00000010000000000000001",
        "0x0000010000000000000001",
        "000000010000000000010000", /* there are only 65,536 in 4 GiB */
        "0000000100000000FFFFFFFF",
        "000000010000000000000000", /* number 0 would make position 0 */
        "000000000000000000000001", /* timelines begin at 1 */
        "000000010000000000000001.side",
    };
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        uint32_t timeline;
        uint64_t number;
        test_context("\"%s\"", others[i]);
        EXPECT(!wal_segment_name_parse(64 * 1024, others[i], &timeline, &number));
    }
}

TEST(wal_segment, a_name_with_any_character_that_is_no_digit_is_none)
{
    for (size_t at = 0; at < WAL_SEGMENT_NAME_SIZE - 1; at++) {
        for (unsigned c = 1; c < 256; c++) {
            char name[WAL_SEGMENT_NAME_SIZE] = "000000010000000100000001";
            name[at] = (char)c;
            bool digit = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F');
            bool too_high = at >= 16 && at < 20 && c != '0';
            uint32_t timeline;
            uint64_t number;
            if (wal_segment_name_parse(64 * 1024, name, &timeline, &number) !=
                (digit && !too_high)) {
                test_context("character %u at %zu", c, at);
                EXPECT(digit && !too_high);
            }
        }
    }
    uint32_t timeline;
    uint64_t number;
    EXPECT(wal_segment_name_parse(64 * 1024, "000000010000000100000001", &timeline, &number));
}

/* --- layout --- */

TEST(wal_segment, sizes_are_powers_of_two_between_the_limits)
{
    unsigned valid = 0;
    for (unsigned shift = 0; shift < 64; shift++) {
        uint64_t size = UINT64_C(1) << shift;
        test_context("2^%u", shift);
        EXPECT(wal_segment_size_valid(size) == (shift >= 16 && shift <= 30));
        EXPECT(shift < 2 || !wal_segment_size_valid(size + 1));
        EXPECT(shift < 2 || !wal_segment_size_valid(size - 1));
        valid += wal_segment_size_valid(size);
    }
    EXPECT_UINT(valid, 15);
    EXPECT(!wal_segment_size_valid(0));
}

TEST(wal_segment, identifiers_have_an_eighth_and_at_least_two_pages)
{
    static const struct {
        uint64_t size;
        uint64_t records_at;
        uint32_t pages;
    } cases[] = {
        {64 * 1024, 12 * 1024, 2},     {128 * 1024, 16 * 1024, 3}, {256 * 1024, 32 * 1024, 7},
        {1024 * 1024, 128 * 1024, 31}, {16777216, 2097152, 511},   {1073741824, 134217728, 32767},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        test_context("size %zu", (size_t)cases[i].size);
        EXPECT_UINT(wal_segment_records_at(cases[i].size), cases[i].records_at);
        EXPECT_UINT(wal_segment_pages(cases[i].size), cases[i].pages);
        EXPECT_UINT(wal_segment_identifiers_max(cases[i].size), (uint64_t)cases[i].pages * 127);
    }
}

TEST(wal_segment, areas_are_apart_for_every_size)
{
    for (uint64_t size = WAL_SEGMENT_SIZE_MIN; size <= WAL_SEGMENT_SIZE_MAX; size *= 2) {
        uint64_t area = (uint64_t)wal_segment_pages(size) * WAL_IDENTIFIER_PAGE_SIZE;
        test_context("size %zu", (size_t)size);
        EXPECT(WAL_SEGMENT_HEADER_SIZE + area <= wal_segment_records_at(size));
        EXPECT(wal_segment_records_at(size) % 4096 == 0);
        EXPECT(wal_segment_records_at(size) < size / 2);
    }
}

TEST(wal_segment, a_position_is_a_segment_and_an_offset)
{
    const struct wal_layout layout = {64 * 1024, 1};
    for (uint64_t segment = 1; segment < 100; segment++) {
        for (uint64_t offset = 0; offset < layout.segment_size; offset += 4096 + 8) {
            uint64_t lsn = wal_lsn_of(&layout, segment, offset);
            EXPECT_UINT(wal_lsn_segment(&layout, lsn), segment);
            EXPECT_UINT(wal_lsn_offset(&layout, lsn), offset);
        }
        EXPECT_UINT(wal_lsn_offset(&layout, wal_lsn_first(&layout, segment)), 12 * 1024);
        EXPECT_UINT(wal_lsn_segment(&layout, wal_lsn_first(&layout, segment)), segment);
    }
    EXPECT(wal_lsn_first(&layout, 1) > 0);
}

/* --- which log --- */

TEST(wal_segment, the_key_of_a_log_depends_on_directory_and_role)
{
    for (uint64_t directory = 1; directory < 200; directory++) {
        uint32_t raft = wal_log_key(directory, 1);
        uint32_t local = wal_log_key(directory, 2);
        test_context("directory %u", (unsigned)directory);
        EXPECT(raft != 0);
        EXPECT(local != 0);
        EXPECT(raft != local);
        EXPECT(raft != wal_log_key(directory + 1, 1));
        EXPECT_UINT(raft, wal_log_key(directory, 1));
    }
}
