/* SPDX-License-Identifier: Apache-2.0 */
#include "tsdb/block.h"

#include "base/crc32c.h"
#include "testkit/test.h"
#include "tsdb/test/random_rows.h"

static struct err err;

TEST(block, rows_of_every_kind_come_back)
{
    struct table *t = example_table();
    struct random random = random_seeded(1);
    for (int round = 0; round < 200; round++) {
        struct rows rows;
        struct rows decoded;
        rows_init(&rows, t, all_places, EXAMPLE_COLUMNS);
        rows_init(&decoded, t, all_places, EXAMPLE_COLUMNS);
        size_t count = 1 + (size_t)random_below(&random, round == 0 ? LIMIT_BLOCK_ROWS_MAX : 40);
        add_random_rows(&rows, count, &random);
        struct buf b = {0};
        block_encode(77, &rows, 0, count, &b);
        struct block_header h;
        REQUIRE_OK(block_decode(buf_bytes(&b), &h, &decoded, &err));
        EXPECT(same_rows(&rows, &decoded));
        EXPECT_UINT(h.series_id, 77);
        EXPECT_UINT(h.size, b.size);
        EXPECT_UINT(h.row_count, count);
        EXPECT_INT(h.time_first, rows.times[0]);
        EXPECT_INT(h.time_last, rows.times[count - 1]);
        buf_deinit(&b);
        rows_deinit(&rows);
        rows_deinit(&decoded);
    }
    table_unref(t);
}

TEST(block, a_part_of_the_rows_and_of_the_columns_can_be_taken)
{
    struct table *t = example_table();
    struct random random = random_seeded(2);
    const uint32_t some[] = {4, 2};
    struct rows rows;
    struct rows decoded;
    rows_init(&rows, t, all_places, 4);
    rows_init(&decoded, t, some, 2);
    add_random_rows(&rows, 100, &random);
    struct buf b = {0};
    block_encode(1, &rows, 10, 60, &b);
    struct block_header h;
    REQUIRE_OK(block_decode(buf_bytes(&b), &h, &decoded, &err));
    EXPECT_UINT(decoded.count, 50);
    for (size_t i = 0; i < 50; i++) {
        EXPECT_INT(decoded.times[i], rows.times[10 + i]);
        EXPECT_UINT(decoded.columns[1].nulls[i], rows.columns[1].nulls[10 + i]);
        EXPECT_UINT(decoded.columns[1].words[i], rows.columns[1].words[10 + i]);
    }
    buf_deinit(&b);
    rows_deinit(&rows);
    rows_deinit(&decoded);
    table_unref(t);
}

/* --- statistics --- */

static void one_column(struct rows *rows, size_t count, const uint64_t *words, const uint8_t *nulls)
{
    rows_reserve(rows, count);
    for (size_t i = 0; i < count; i++) {
        rows->times[i] = (int64_t)i * 10 - 20;
        rows->columns[0].words[i] = words[i];
        rows->columns[0].nulls[i] = nulls == NULL ? 0 : nulls[i];
    }
    rows->count = count;
}

/* The second column's statistics after encoding these values in column 'place'. */
static struct block_column column_of(struct table *t, uint32_t place, size_t count,
                                     const uint64_t *words, const uint8_t *nulls)
{
    struct rows rows;
    rows_init(&rows, t, &place, 1);
    one_column(&rows, count, words, nulls);
    struct buf b = {0};
    block_encode(1, &rows, 0, count, &b);
    struct block_header h;
    struct block_column *columns = NULL;
    REQUIRE_OK(block_check(buf_bytes(&b), &h, &err));
    REQUIRE_OK(block_columns(buf_bytes(&b), &h, &columns, &err));
    REQUIRE_UINT(h.column_count, 2);
    EXPECT_INT((int64_t)columns[0].statistics.least, -20);
    EXPECT_INT((int64_t)columns[0].statistics.greatest, (int64_t)count * 10 - 30);
    struct block_column c = columns[1];
    mem_free(columns);
    buf_deinit(&b);
    rows_deinit(&rows);
    return c;
}

TEST(block, statistics_of_whole_numbers_are_exact)
{
    struct table *t = example_table();
    const uint64_t words[] = {5, (uint64_t)INT64_MIN, (uint64_t)INT64_MIN, 7};
    const uint8_t nulls[] = {0, 0, 0, 1};
    struct block_column c = column_of(t, 1, 4, words, nulls);
    EXPECT_UINT(c.value_count, 3);
    EXPECT_UINT(c.statistics.least, (uint64_t)INT64_MIN);
    EXPECT_UINT(c.statistics.greatest, 5);
    EXPECT_UINT(c.statistics.first, 5);
    EXPECT_UINT(c.statistics.last, (uint64_t)INT64_MIN);
    /* -2^64 + 5 in 128 bits. */
    EXPECT_UINT(c.statistics.sum_low, 5);
    EXPECT_UINT(c.statistics.sum_high, UINT64_MAX);
    const uint64_t large[] = {(uint64_t)INT64_MAX, (uint64_t)INT64_MAX, 4};
    c = column_of(t, 1, 3, large, NULL);
    EXPECT_UINT(c.statistics.sum_low, 2);
    EXPECT_UINT(c.statistics.sum_high, 1);
    table_unref(t);
}

static uint64_t word(double v)
{
    uint64_t w = 0;
    memcpy(&w, &v, sizeof w);
    return w;
}

TEST(block, statistics_of_doubles_pass_over_nan)
{
    struct table *t = example_table();
    const uint64_t nan = 0x7ff80000000000aa;
    const uint64_t words[] = {nan, word(2.5), word(-1.5), word(100), nan};
    struct block_column c = column_of(t, 2, 5, words, NULL);
    EXPECT_UINT(c.statistics.least, word(-1.5));
    EXPECT_UINT(c.statistics.greatest, word(100));
    EXPECT_UINT(c.statistics.first, nan);
    EXPECT_UINT(c.statistics.last, nan);
    EXPECT_UINT(c.statistics.sum_low, 0x7ff8000000000000); /* one NaN, on every machine */
    c = column_of(t, 2, 1, words, NULL);
    EXPECT_UINT(c.statistics.least, 0x7ff8000000000000);
    EXPECT_UINT(c.statistics.greatest, 0x7ff8000000000000);
    c = column_of(t, 2, 3, words + 1, NULL);
    EXPECT_UINT(c.statistics.sum_low, word(101));
    const uint64_t opposite[] = {0x7ff0000000000000, 0xfff0000000000000};
    c = column_of(t, 2, 2, opposite, NULL);
    EXPECT_UINT(c.statistics.sum_low, 0x7ff8000000000000);
    EXPECT_UINT(c.statistics.least, 0xfff0000000000000);
    table_unref(t);
}

/* --- damage --- */

TEST(block, every_changed_bit_is_noticed)
{
    struct table *t = example_table();
    struct random random = random_seeded(3);
    struct rows rows;
    struct rows decoded;
    rows_init(&rows, t, all_places, EXAMPLE_COLUMNS);
    rows_init(&decoded, t, all_places, EXAMPLE_COLUMNS);
    add_random_rows(&rows, 12, &random);
    struct buf b = {0};
    block_encode(1, &rows, 0, 12, &b);
    struct block_header h;
    for (size_t i = 0; i < b.size; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            b.data[i] ^= (uint8_t)(1U << bit);
            EXPECT_ERR(block_decode(buf_bytes(&b), &h, &decoded, &err), ERR_CORRUPT);
            EXPECT_UINT(decoded.count, 0);
            b.data[i] ^= (uint8_t)(1U << bit);
        }
    }
    for (size_t size = 0; size < b.size; size++) {
        EXPECT_ERR(block_decode(bytes_of(b.data, size), &h, &decoded, &err), ERR_CORRUPT);
    }
    EXPECT_OK(block_decode(buf_bytes(&b), &h, &decoded, &err));
    buf_deinit(&b);
    rows_deinit(&rows);
    rows_deinit(&decoded);
    table_unref(t);
}

static void repair_crc(struct buf *b)
{
    bytes_put_u32(b->data + 4, crc32c(0, b->data + 8, b->size - 8));
}

/* A checksum that holds proves nothing about who wrote the bytes. */
TEST(block, changed_bytes_with_a_right_checksum_are_decoded_safely)
{
    struct table *t = example_table();
    struct random random = random_seeded(4);
    struct rows rows;
    struct rows decoded;
    rows_init(&rows, t, all_places, EXAMPLE_COLUMNS);
    rows_init(&decoded, t, all_places, EXAMPLE_COLUMNS);
    add_random_rows(&rows, 30, &random);
    struct buf b = {0};
    block_encode(1, &rows, 0, 30, &b);
    struct block_header h;
    unsigned refused = 0;
    for (int round = 0; round < 20000; round++) {
        size_t at = 8 + (size_t)random_below(&random, b.size - 8);
        uint8_t old = b.data[at];
        b.data[at] = (uint8_t)random_u64(&random);
        repair_crc(&b);
        enum err_code code = block_decode(buf_bytes(&b), &h, &decoded, &err);
        EXPECT(code == ERR_OK || code == ERR_CORRUPT || code == ERR_UNSUPPORTED);
        refused += code != ERR_OK ? 1 : 0;
        b.data[at] = old;
    }
    EXPECT(refused > 1000);
    buf_deinit(&b);
    rows_deinit(&rows);
    rows_deinit(&decoded);
    table_unref(t);
}

TEST(block, a_newer_version_is_refused_as_such)
{
    struct table *t = example_table();
    struct random random = random_seeded(5);
    struct rows rows;
    rows_init(&rows, t, all_places, 4);
    add_random_rows(&rows, 3, &random);
    struct buf b = {0};
    block_encode(1, &rows, 0, 3, &b);
    b.data[8] = BLOCK_VERSION + 1;
    repair_crc(&b);
    struct block_header h;
    EXPECT_ERR(block_check(buf_bytes(&b), &h, &err), ERR_UNSUPPORTED);
    EXPECT_STR(err.text, "a block has format version 3, this program knows 2");
    buf_deinit(&b);
    rows_deinit(&rows);
    table_unref(t);
}

/* A later table may have more columns, and have lost some. */
TEST(block, columns_that_the_block_does_not_have_are_null)
{
    struct table *t = example_table();
    const uint32_t place = 1;
    const uint64_t words[] = {1, 2, 3};
    struct rows rows;
    struct rows decoded;
    rows_init(&rows, t, &place, 1);
    rows_init(&decoded, t, all_places, 4);
    one_column(&rows, 3, words, NULL);
    struct buf b = {0};
    block_encode(1, &rows, 0, 3, &b);
    struct block_header h;
    REQUIRE_OK(block_decode(buf_bytes(&b), &h, &decoded, &err));
    for (size_t i = 0; i < 3; i++) {
        EXPECT_UINT(decoded.columns[0].words[i], i + 1);
        for (size_t column = 1; column < 4; column++) {
            EXPECT_UINT(decoded.columns[column].nulls[i], 1);
        }
    }
    buf_deinit(&b);
    rows_deinit(&rows);
    rows_deinit(&decoded);
    table_unref(t);
}
