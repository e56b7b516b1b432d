/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/crc32c.h"
#include "testkit/test.h"
#include "wal/wal_identifier.h"

enum { SEGMENT = 9, LOG_KEY = 0x01020304 };

static const struct wal_identifier sample = {
    .index = UINT64_C(0x1112131415161718),
    .term = UINT64_C(0x2122232425262728),
    .offset = 0x00313238,
    .type = WAL_RECORD_MARK,
    .framed = true,
    .size = 0x00414243,
    .payload_crc = 0x51525354,
};

/* place = offset / 8 | type 9 << 27 | framed << 31 */
static const uint8_t golden[WAL_IDENTIFIER_SIZE - 4] = {
    0x18, 0x17, 0x16, 0x15, 0x14, 0x13, 0x12, 0x11, /* index */
    0x28, 0x27, 0x26, 0x25, 0x24, 0x23, 0x22, 0x21, /* term */
    0x47, 0x26, 0x06, 0xc8,                         /* place */
    0x43, 0x42, 0x41, 0x00,                         /* size */
    0x54, 0x53, 0x52, 0x51,                         /* payload_crc */
};

static uint32_t seed(void)
{
    return wal_identifier_seed(SEGMENT, LOG_KEY);
}

static void expect_same(const struct wal_identifier *id, const struct wal_identifier *want)
{
    EXPECT_UINT(id->index, want->index);
    EXPECT_UINT(id->term, want->term);
    EXPECT_UINT(id->offset, want->offset);
    EXPECT_INT(id->type, want->type);
    EXPECT(id->framed == want->framed);
    EXPECT_UINT(id->size, want->size);
    EXPECT_UINT(id->payload_crc, want->payload_crc);
}

TEST(wal_identifier, version_1_has_these_bytes)
{
    uint8_t bytes[WAL_IDENTIFIER_SIZE];
    wal_identifier_encode(&sample, seed(), bytes);
    EXPECT_MEM(bytes, golden, sizeof golden);
    EXPECT_UINT(bytes_get_u32(bytes + 28), crc32c(seed(), golden, sizeof golden));
}

TEST(wal_identifier, what_is_written_reads_back)
{
    uint8_t bytes[WAL_IDENTIFIER_SIZE];
    wal_identifier_encode(&sample, seed(), bytes);
    struct wal_identifier id;
    REQUIRE(wal_identifier_decode(bytes, seed(), &id));
    expect_same(&id, &sample);
}

TEST(wal_identifier, every_type_and_frame_bit_and_offset_reads_back)
{
    static const uint32_t offsets[] = {0, 8, 12288, 65528, 1U << 27, (1U << 30) - 8};
    static const enum wal_record_type types[] = {
        WAL_RECORD_COMMAND, WAL_RECORD_BARRIER, WAL_RECORD_CHANGE, WAL_RECORD_METADATA,
        WAL_RECORD_DROP,    WAL_RECORD_MARK,    WAL_RECORD_BEGIN,  WAL_RECORD_END};
    for (size_t t = 0; t < sizeof types / sizeof types[0]; t++) {
        for (size_t i = 0; i < 12; i++) {
            const struct wal_identifier one = {
                .index = i, .offset = offsets[i / 2], .type = types[t], .framed = i % 2 == 1};
            uint8_t bytes[WAL_IDENTIFIER_SIZE];
            struct wal_identifier id;
            wal_identifier_encode(&one, seed(), bytes);
            test_context("type %u offset %u", (unsigned)types[t], one.offset);
            REQUIRE(wal_identifier_decode(bytes, seed(), &id));
            expect_same(&id, &one);
        }
    }
}

TEST(wal_identifier, every_flipped_bit_is_noticed)
{
    uint8_t bytes[WAL_IDENTIFIER_SIZE];
    wal_identifier_encode(&sample, seed(), bytes);
    for (size_t bit = 0; bit < sizeof bytes * 8; bit++) {
        struct wal_identifier id;
        bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
        test_context("bit %zu", bit);
        EXPECT(!wal_identifier_decode(bytes, seed(), &id));
        bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
}

TEST(wal_identifier, every_byte_of_any_other_value_is_noticed)
{
    uint8_t bytes[WAL_IDENTIFIER_SIZE];
    wal_identifier_encode(&sample, seed(), bytes);
    for (size_t at = 0; at < sizeof bytes; at++) {
        uint8_t right = bytes[at];
        unsigned noticed = 0;
        for (unsigned value = 0; value < 256; value++) {
            struct wal_identifier id;
            bytes[at] = (uint8_t)value;
            noticed += !wal_identifier_decode(bytes, seed(), &id);
        }
        bytes[at] = right;
        test_context("byte %zu", at);
        EXPECT_UINT(noticed, 255);
    }
}

/* Segments are reused: an identifier of an earlier use must not name a slot of this one. */
TEST(wal_identifier, another_segment_or_log_does_not_count)
{
    uint8_t bytes[WAL_IDENTIFIER_SIZE];
    wal_identifier_encode(&sample, seed(), bytes);
    struct wal_identifier id;
    for (uint64_t segment = 0; segment < 64; segment++) {
        test_context("segment %u", (unsigned)segment);
        EXPECT(wal_identifier_decode(bytes, wal_identifier_seed(segment, LOG_KEY), &id) ==
               (segment == SEGMENT));
    }
    for (uint32_t bit = 0; bit < 32; bit++) {
        test_context("key bit %u", bit);
        EXPECT(
            !wal_identifier_decode(bytes, wal_identifier_seed(SEGMENT, LOG_KEY ^ 1U << bit), &id));
    }
}

TEST(wal_identifier, an_unused_one_is_none)
{
    const uint8_t zeros[WAL_IDENTIFIER_SIZE] = {0};
    struct wal_identifier id;
    EXPECT(!wal_identifier_decode(zeros, seed(), &id));
}

TEST(wal_identifier, a_type_that_is_not_known_does_not_count)
{
    for (uint32_t type = 0; type < 16; type++) {
        uint8_t bytes[WAL_IDENTIFIER_SIZE] = {0};
        struct wal_identifier id;
        bytes_put_u32(bytes + 16, type << 27);
        bytes_put_u32(bytes + 28, crc32c(seed(), bytes, 28));
        test_context("type %u", type);
        EXPECT(wal_identifier_decode(bytes, seed(), &id) == wal_record_type_known(type));
    }
}

TEST(wal_identifier, a_size_beyond_the_largest_does_not_count)
{
    static const struct {
        uint32_t size;
        bool counts;
    } cases[] = {
        {0, true},
        {WAL_RECORD_SIZE_MAX - WAL_RECORD_HEADER_SIZE, true},
        {WAL_RECORD_SIZE_MAX - WAL_RECORD_HEADER_SIZE + 1, false},
        {UINT32_MAX, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct wal_identifier big = sample;
        big.size = cases[i].size;
        uint8_t bytes[WAL_IDENTIFIER_SIZE];
        struct wal_identifier id;
        wal_identifier_encode(&big, seed(), bytes);
        test_context("size %u", big.size);
        EXPECT(wal_identifier_decode(bytes, seed(), &id) == cases[i].counts);
    }
}

/* --- the statement at the end of a page --- */

static const struct wal_statement statement = {
    .lsn_durable = UINT64_C(0x1112131415161718),
    .commit = UINT64_C(0x2122232425262728),
    .page = 0x31323334,
};

static const uint8_t statement_golden[WAL_IDENTIFIER_SIZE - 4] = {
    0x18, 0x17, 0x16, 0x15, 0x14, 0x13, 0x12, 0x11, /* lsn_durable */
    0x28, 0x27, 0x26, 0x25, 0x24, 0x23, 0x22, 0x21, /* commit */
    0x34, 0x33, 0x32, 0x31,                         /* page */
    0x04, 0x03, 0x02, 0x01,                         /* log_key */
    0x00, 0x00, 0x00, 0x00,                         /* zero */
};

TEST(wal_identifier, a_statement_of_version_1_has_these_bytes)
{
    uint8_t bytes[WAL_IDENTIFIER_SIZE];
    wal_statement_encode(&statement, seed(), LOG_KEY, bytes);
    EXPECT_MEM(bytes, statement_golden, sizeof statement_golden);
    EXPECT_UINT(bytes_get_u32(bytes + 28), crc32c(seed(), statement_golden, 28));
}

TEST(wal_identifier, a_statement_reads_back)
{
    uint8_t bytes[WAL_IDENTIFIER_SIZE];
    struct wal_statement s;
    wal_statement_encode(&statement, seed(), LOG_KEY, bytes);
    REQUIRE(wal_statement_decode(bytes, seed(), LOG_KEY, &s));
    EXPECT_UINT(s.lsn_durable, statement.lsn_durable);
    EXPECT_UINT(s.commit, statement.commit);
    EXPECT_UINT(s.page, statement.page);
}

/* A wrong durable position would turn a torn tail into damage, or the reverse. */
TEST(wal_identifier, every_flipped_bit_of_a_statement_is_noticed)
{
    uint8_t bytes[WAL_IDENTIFIER_SIZE];
    wal_statement_encode(&statement, seed(), LOG_KEY, bytes);
    for (size_t bit = 0; bit < sizeof bytes * 8; bit++) {
        struct wal_statement s;
        bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
        test_context("bit %zu", bit);
        EXPECT(!wal_statement_decode(bytes, seed(), LOG_KEY, &s));
        bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
}

TEST(wal_identifier, a_statement_of_another_segment_or_log_does_not_count)
{
    uint8_t bytes[WAL_IDENTIFIER_SIZE];
    struct wal_statement s;
    wal_statement_encode(&statement, seed(), LOG_KEY, bytes);
    EXPECT(!wal_statement_decode(bytes, wal_identifier_seed(SEGMENT + 1, LOG_KEY), LOG_KEY, &s));
    EXPECT(!wal_statement_decode(bytes, seed(), LOG_KEY + 1, &s));
    EXPECT(wal_statement_decode(bytes, seed(), LOG_KEY, &s));
}

TEST(wal_identifier, a_page_of_zeros_states_nothing)
{
    const uint8_t zeros[WAL_IDENTIFIER_SIZE] = {0};
    struct wal_statement s;
    EXPECT(!wal_statement_decode(zeros, seed(), LOG_KEY, &s));
}

/* Both stand in the same page: neither may be taken for the other. */
TEST(wal_identifier, an_identifier_is_no_statement_and_the_reverse)
{
    uint8_t bytes[WAL_IDENTIFIER_SIZE];
    struct wal_statement s;
    struct wal_identifier id;
    wal_identifier_encode(&sample, seed(), bytes);
    EXPECT(!wal_statement_decode(bytes, seed(), LOG_KEY, &s));
    const struct wal_statement first = {.lsn_durable = 1, .commit = 2, .page = 0};
    wal_statement_encode(&first, seed(), LOG_KEY, bytes);
    EXPECT(!wal_identifier_decode(bytes, seed(), &id));
}

TEST(wal_identifier, pages_are_filled_by_identifiers_and_one_statement)
{
    EXPECT_UINT(WAL_IDENTIFIERS_PER_PAGE, 127);
    EXPECT_UINT((WAL_IDENTIFIERS_PER_PAGE + 1) * WAL_IDENTIFIER_SIZE, WAL_IDENTIFIER_PAGE_SIZE);
}

static void encode(void *arg)
{
    uint8_t bytes[WAL_IDENTIFIER_SIZE];
    wal_identifier_encode(arg, 1, bytes);
}

TEST(wal_identifier, nonsense_is_never_written)
{
    struct wal_identifier id = sample;
    /* NOLINTNEXTLINE(clang-analyzer-optin.core.EnumCastOutOfRange): that is the test */
    id.type = (enum wal_record_type)0;
    EXPECT_DIES(encode, &id, "type");
    id = sample;
    id.offset = 12;
    EXPECT_DIES(encode, &id, "offset");
    id = sample;
    id.offset = 1U << 30;
    EXPECT_DIES(encode, &id, "offset");
}
