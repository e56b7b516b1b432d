/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/crc32c.h"
#include "testkit/test.h"
#include "wal/wal_record.h"

static const struct wal_record sample = {
    .type = WAL_RECORD_CHANGE,
    .flags = WAL_RECORD_SIDE,
    .log_key = 0x11121314,
    .size = 0x00212223,
    .size_plain = 0x31323334,
    .payload_crc = 0x41424344,
    .sequence = UINT64_C(0x5152535455565758),
    .index = UINT64_C(0x6162636465666768),
    .term = UINT64_C(0x7172737475767778),
    .before = UINT64_C(0x8182838485868788),
    .commit = UINT64_C(0x9192939495969798),
    .lsn_durable = UINT64_C(0xa1a2a3a4a5a6a7a8),
    .vgroups = UINT64_C(0xb1b2b3b4b5b6b7b8),
    .frame = UINT64_C(0xc1c2c3c4c5c6c7c8),
    .lsn = UINT64_C(0xd1d2d3d4d5d6d7d8),
};

/* Bytes 4 .. 95; the crc before them is computed. */
static const uint8_t golden[WAL_RECORD_HEADER_SIZE - 4] = {
    0x01, 0x03, 0x01, 0x00,                         /* version, type, flags, zero */
    0x14, 0x13, 0x12, 0x11,                         /* log_key */
    0x23, 0x22, 0x21, 0x00,                         /* size */
    0x34, 0x33, 0x32, 0x31,                         /* size_plain */
    0x44, 0x43, 0x42, 0x41,                         /* payload_crc */
    0x58, 0x57, 0x56, 0x55, 0x54, 0x53, 0x52, 0x51, /* sequence */
    0x68, 0x67, 0x66, 0x65, 0x64, 0x63, 0x62, 0x61, /* index */
    0x78, 0x77, 0x76, 0x75, 0x74, 0x73, 0x72, 0x71, /* term */
    0x88, 0x87, 0x86, 0x85, 0x84, 0x83, 0x82, 0x81, /* before */
    0x98, 0x97, 0x96, 0x95, 0x94, 0x93, 0x92, 0x91, /* commit */
    0xa8, 0xa7, 0xa6, 0xa5, 0xa4, 0xa3, 0xa2, 0xa1, /* lsn_durable */
    0xb8, 0xb7, 0xb6, 0xb5, 0xb4, 0xb3, 0xb2, 0xb1, /* vgroups */
    0xc8, 0xc7, 0xc6, 0xc5, 0xc4, 0xc3, 0xc2, 0xc1, /* frame */
    0xd8, 0xd7, 0xd6, 0xd5, 0xd4, 0xd3, 0xd2, 0xd1, /* lsn */
};

static void expect_same(const struct wal_record *r, const struct wal_record *want)
{
    EXPECT_INT(r->type, want->type);
    EXPECT_UINT(r->flags, want->flags);
    EXPECT_UINT(r->log_key, want->log_key);
    EXPECT_UINT(r->size, want->size);
    EXPECT_UINT(r->size_plain, want->size_plain);
    EXPECT_UINT(r->payload_crc, want->payload_crc);
    EXPECT_UINT(r->sequence, want->sequence);
    EXPECT_UINT(r->index, want->index);
    EXPECT_UINT(r->term, want->term);
    EXPECT_UINT(r->before, want->before);
    EXPECT_UINT(r->commit, want->commit);
    EXPECT_UINT(r->lsn_durable, want->lsn_durable);
    EXPECT_UINT(r->vgroups, want->vgroups);
    EXPECT_UINT(r->frame, want->frame);
    EXPECT_UINT(r->lsn, want->lsn);
}

/* As a program of another version would write it. */
static void set_byte(uint8_t *header, size_t at, uint8_t value)
{
    header[at] = value;
    bytes_put_u32(header, crc32c(0, header + 4, WAL_RECORD_HEADER_SIZE - 4));
}

TEST(wal_record, version_1_has_these_bytes)
{
    uint8_t header[WAL_RECORD_HEADER_SIZE];
    wal_record_encode(&sample, header);
    EXPECT_MEM(header + 4, golden, sizeof golden);
    EXPECT_UINT(bytes_get_u32(header), crc32c(0, golden, sizeof golden));
}

TEST(wal_record, what_is_written_reads_back)
{
    uint8_t header[WAL_RECORD_HEADER_SIZE];
    wal_record_encode(&sample, header);
    struct wal_record r;
    REQUIRE(wal_record_decode(header, &r) == WAL_RECORD_GOOD);
    expect_same(&r, &sample);
    EXPECT_UINT(wal_record_peek_lsn(header), sample.lsn);
}

TEST(wal_record, every_type_reads_back)
{
    static const enum wal_record_type types[] = {
        WAL_RECORD_COMMAND, WAL_RECORD_BARRIER, WAL_RECORD_CHANGE, WAL_RECORD_METADATA,
        WAL_RECORD_DROP,    WAL_RECORD_MARK,    WAL_RECORD_BEGIN,  WAL_RECORD_END,
    };
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        const struct wal_record one = {.type = types[i], .lsn = 8 * (i + 1)};
        uint8_t header[WAL_RECORD_HEADER_SIZE];
        wal_record_encode(&one, header);
        struct wal_record r;
        test_context("type %d", (int)types[i]);
        EXPECT_INT(wal_record_decode(header, &r), WAL_RECORD_GOOD);
        expect_same(&r, &one);
    }
}

TEST(wal_record, every_flipped_bit_is_noticed)
{
    uint8_t header[WAL_RECORD_HEADER_SIZE];
    wal_record_encode(&sample, header);
    for (size_t bit = 0; bit < sizeof header * 8; bit++) {
        struct wal_record r = {.index = 77};
        header[bit / 8] ^= (uint8_t)(1U << bit % 8);
        test_context("bit %zu", bit);
        EXPECT_INT(wal_record_decode(header, &r), WAL_RECORD_BAD);
        EXPECT_UINT(r.index, 77); /* untouched */
        header[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
}

TEST(wal_record, every_byte_of_any_other_value_is_noticed)
{
    uint8_t header[WAL_RECORD_HEADER_SIZE];
    wal_record_encode(&sample, header);
    for (size_t at = 0; at < sizeof header; at++) {
        uint8_t right = header[at];
        unsigned noticed = 0;
        for (unsigned value = 0; value < 256; value++) {
            struct wal_record r;
            header[at] = (uint8_t)value;
            noticed += wal_record_decode(header, &r) == WAL_RECORD_BAD;
        }
        header[at] = right;
        test_context("byte %zu", at);
        EXPECT_UINT(noticed, 255);
    }
}

/* A write of which only whole sectors arrived leaves zeros on one side. */
TEST(wal_record, a_header_cut_anywhere_is_bad)
{
    uint8_t header[WAL_RECORD_HEADER_SIZE];
    struct wal_record r;
    for (size_t cut = 1; cut < sizeof header; cut++) {
        test_context("cut at %zu", cut);
        wal_record_encode(&sample, header);
        memset(header + cut, 0, sizeof header - cut);
        EXPECT_INT(wal_record_decode(header, &r), WAL_RECORD_BAD);
        wal_record_encode(&sample, header);
        memset(header, 0, cut);
        EXPECT_INT(wal_record_decode(header, &r), WAL_RECORD_BAD);
    }
}

/* So that a piece that is all zero was never written (safety.md A4). */
TEST(wal_record, both_ends_of_a_header_are_never_zero)
{
    for (unsigned i = 1; i < 200; i++) {
        const struct wal_record one = {
            .type = WAL_RECORD_COMMAND, .log_key = i, .lsn = UINT64_C(8) << i % 40};
        uint8_t header[WAL_RECORD_HEADER_SIZE];
        wal_record_encode(&one, header);
        test_context("record %u", i);
        EXPECT(!bytes_is_zero(bytes_of(header, 8)));
        EXPECT(!bytes_is_zero(bytes_of(header + WAL_RECORD_HEADER_SIZE - 8, 8)));
    }
}

TEST(wal_record, zeros_are_no_record)
{
    const uint8_t zeros[WAL_RECORD_HEADER_SIZE] = {0};
    struct wal_record r;
    EXPECT_INT(wal_record_decode(zeros, &r), WAL_RECORD_BAD);
}

/* Zeros whose crc happens to hold are still nothing that anyone wrote. */
TEST(wal_record, version_and_type_zero_are_bad_even_with_a_good_crc)
{
    uint8_t header[WAL_RECORD_HEADER_SIZE] = {0};
    set_byte(header, 7, 0);
    struct wal_record r;
    EXPECT_INT(wal_record_decode(header, &r), WAL_RECORD_BAD);
}

TEST(wal_record, another_version_is_newer_and_not_damage)
{
    for (unsigned version = 0; version < 256; version++) {
        uint8_t header[WAL_RECORD_HEADER_SIZE];
        struct wal_record r;
        wal_record_encode(&sample, header);
        set_byte(header, 4, (uint8_t)version);
        test_context("version %u", version);
        EXPECT_INT(wal_record_decode(header, &r),
                   version == WAL_RECORD_VERSION ? WAL_RECORD_GOOD : WAL_RECORD_NEWER);
    }
}

TEST(wal_record, another_type_is_newer_and_not_damage)
{
    for (unsigned type = 0; type < 256; type++) {
        uint8_t header[WAL_RECORD_HEADER_SIZE];
        struct wal_record r;
        wal_record_encode(&sample, header);
        set_byte(header, 5, (uint8_t)type);
        test_context("type %u", type);
        EXPECT_INT(wal_record_decode(header, &r),
                   wal_record_type_known(type) ? WAL_RECORD_GOOD : WAL_RECORD_NEWER);
    }
}

TEST(wal_record, a_size_beyond_the_largest_is_bad)
{
    static const struct {
        uint32_t size;
        enum wal_record_check want;
    } cases[] = {
        {0, WAL_RECORD_GOOD},
        {WAL_RECORD_SIZE_MAX - WAL_RECORD_HEADER_SIZE, WAL_RECORD_GOOD},
        {WAL_RECORD_SIZE_MAX - WAL_RECORD_HEADER_SIZE + 1, WAL_RECORD_BAD},
        {WAL_RECORD_SIZE_MAX, WAL_RECORD_BAD},
        {UINT32_MAX, WAL_RECORD_BAD},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t header[WAL_RECORD_HEADER_SIZE];
        struct wal_record r;
        wal_record_encode(&sample, header);
        bytes_put_u32(header + 12, cases[i].size);
        set_byte(header, 7, 0);
        test_context("size %u", cases[i].size);
        EXPECT_INT(wal_record_decode(header, &r), cases[i].want);
    }
}

TEST(wal_record, position_zero_is_bad)
{
    uint8_t header[WAL_RECORD_HEADER_SIZE];
    struct wal_record r;
    wal_record_encode(&sample, header);
    bytes_put_u64(header + 88, 0);
    set_byte(header, 7, 0);
    EXPECT_INT(wal_record_decode(header, &r), WAL_RECORD_BAD);
}

TEST(wal_record, a_span_is_the_header_and_the_payload_in_steps_of_eight)
{
    static const struct {
        uint32_t size;
        uint64_t span;
    } cases[] = {
        {0, 96},      {1, 104},       {7, 104},
        {8, 104},     {9, 112},       {512, 608},
        {4096, 4192}, {65535, 65632}, {UINT32_MAX, UINT64_C(4294967296) + 96},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        test_context("size %u", cases[i].size);
        EXPECT_UINT(wal_record_span(cases[i].size), cases[i].span);
    }
}

TEST(wal_record, types_have_names_and_four_bits)
{
    static const struct {
        enum wal_record_type type;
        const char *name;
        bool entry;
    } cases[] = {
        {WAL_RECORD_COMMAND, "command", true}, {WAL_RECORD_BARRIER, "barrier", true},
        {WAL_RECORD_CHANGE, "change", true},   {WAL_RECORD_METADATA, "metadata", true},
        {WAL_RECORD_DROP, "drop", false},      {WAL_RECORD_MARK, "mark", false},
        {WAL_RECORD_BEGIN, "begin", false},    {WAL_RECORD_END, "end", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        EXPECT_STR(wal_record_type_name(cases[i].type), cases[i].name);
        EXPECT(wal_record_is_entry(cases[i].type) == cases[i].entry);
        EXPECT((unsigned)cases[i].type < 16);
    }
    unsigned known = 0;
    for (unsigned type = 0; type < 1000; type++) {
        known += wal_record_type_known(type);
    }
    EXPECT_UINT(known, sizeof cases / sizeof cases[0]);
}

static void encode(void *arg)
{
    uint8_t header[WAL_RECORD_HEADER_SIZE];
    wal_record_encode(arg, header);
}

TEST(wal_record, nonsense_is_never_written)
{
    struct wal_record r = sample;
    /* NOLINTNEXTLINE(clang-analyzer-optin.core.EnumCastOutOfRange): that is the test */
    r.type = (enum wal_record_type)5;
    EXPECT_DIES(encode, &r, "type");
    r = sample;
    r.lsn = 0;
    EXPECT_DIES(encode, &r, "lsn");
    r = sample;
    r.lsn = 12;
    EXPECT_DIES(encode, &r, "lsn");
    r = sample;
    r.size = WAL_RECORD_SIZE_MAX;
    EXPECT_DIES(encode, &r, "size");
}
