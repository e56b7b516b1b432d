/* SPDX-License-Identifier: Apache-2.0 */
#include "tsdb/write_batch.h"

#include "base/random.h"
#include "testkit/test.h"
#include "tsdb/test/fixture.h"

static struct err err;

/* d.m as in fixture.h. */
static struct catalog *make_catalog(void)
{
    struct catalog *c = catalog_new();
    struct catalog *next = NULL;
    struct buf b = {0};
    wire_put_str(&b, 1, "d");
    REQUIRE_OK(catalog_create_database(c, buf_bytes(&b), &next, &err));
    catalog_unref(c);
    c = next;
    buf_reset(&b);
    make_table_request(&b, "d", "m");
    REQUIRE_OK(catalog_create_table(c, buf_bytes(&b), 2, &next, &err));
    catalog_unref(c);
    buf_deinit(&b);
    return next;
}

/* d.types: a column of each of the newer types, the strings of at most 3 bytes. */
static struct catalog *make_narrow_catalog(void)
{
    static const char *const names[] = {"time", "i16", "i32", "f", "y", "s"};
    static const int types[] = {VALUE_TIMESTAMP, VALUE_INT16, VALUE_INT32,
                                VALUE_FLOAT,     VALUE_BYTES, VALUE_STRING};
    struct catalog *c = make_catalog();
    struct catalog *next = NULL;
    struct buf b = {0};
    size_t definition = wire_begin(&b, 1);
    wire_put_str(&b, 1, "d");
    wire_put_str(&b, 2, "types");
    for (size_t i = 0; i < 6; i++) {
        size_t column = wire_begin(&b, 3);
        wire_put_str(&b, 1, names[i]);
        wire_put_uint(&b, 2, (uint64_t)types[i]);
        wire_put_uint(&b, 3, i == 0 ? 1 : 0);
        wire_put_uint(&b, 4, i > 3 ? 3 : 0);
        wire_end(&b, column);
    }
    for (size_t i = 0; i < 2; i++) {
        size_t tag = wire_begin(&b, 4);
        wire_put_str(&b, 1, i == 0 ? "host" : "rack");
        wire_put_uint(&b, 2, i == 0 ? VALUE_STRING : VALUE_FLOAT);
        wire_put_uint(&b, 3, 1);
        wire_put_uint(&b, 4, i == 0 ? 1 : 0);
        wire_put_uint(&b, 5, i == 0 ? 2 : 0);
        wire_end(&b, tag);
    }
    wire_end(&b, definition);
    REQUIRE_OK(catalog_create_table(c, buf_bytes(&b), 3, &next, &err));
    catalog_unref(c);
    buf_deinit(&b);
    return next;
}

/* A request put together by hand, so that each part can be wrong by itself. */
struct draft {
    struct buf b;
    struct buf column;
};

static void begin(struct draft *d, const char *table)
{
    *d = (struct draft){{0}, {0}};
    wire_put_str(&d->b, 2, "d");
    wire_put_str(&d->b, 3, table);
}

static void put_tag_names(struct draft *d, const char *a, const char *b)
{
    wire_put_str(&d->b, 4, a);
    wire_put_str(&d->b, 4, b);
}

static void put_series(struct draft *d, const char *host, const char *rack)
{
    size_t m = wire_begin(&d->b, 5);
    wire_put_item(&d->b, 1, bytes_str(host));
    wire_put_item(&d->b, 1, bytes_str(rack));
    wire_end(&d->b, m);
}

static void put_column(struct draft *d, const char *name, uint32_t field, size_t count)
{
    size_t m = wire_begin(&d->b, 7);
    wire_put_str(&d->b, 1, name);
    size_t p = wire_begin(&d->b, field);
    for (size_t i = 0; i < count; i++) {
        if (field == 4) {
            buf_put_u8(&d->b, 1);
        } else {
            buf_put_u64(&d->b, 100 + i);
        }
    }
    wire_end(&d->b, p);
    wire_end(&d->b, m);
}

static void put_strings(struct draft *d, const char *name, size_t count, struct bytes value)
{
    size_t m = wire_begin(&d->b, 7);
    wire_put_str(&d->b, 1, name);
    for (size_t i = 0; i < count; i++) {
        wire_put_item(&d->b, 5, value);
    }
    wire_end(&d->b, m);
}

/* A usual beginning: tag names and one series. */
static void begin_usual(struct draft *d)
{
    begin(d, "m");
    put_tag_names(d, "host", "rack");
    put_series(d, "a", "7");
}

static struct catalog *catalog;
static struct write_batch batch;

static void open_all(void)
{
    catalog = make_catalog();
    batch = (struct write_batch){0};
}

static void close_all(void)
{
    write_batch_deinit(&batch);
    catalog_unref(catalog);
}

static const char *read_draft(struct draft *d)
{
    err.text[0] = '\0';
    enum err_code code = write_batch_read(&batch, catalog, buf_bytes(&d->b), &err);
    buf_deinit(&d->b);
    return code == ERR_OK ? "ok" : err.text;
}

TEST(write_batch, numbers_are_read_in_place)
{
    open_all();
    struct buf b = {0};
    make_write_request(&b, "m", "a 7 true", "10 1 1.5 true one\n20 2 2.5 false two");
    REQUIRE_OK(write_batch_read(&batch, catalog, buf_bytes(&b), &err));
    EXPECT_UINT(batch.row_count, 2);
    EXPECT_UINT(batch.column_count, 5);
    EXPECT_UINT(batch.series_count, 1);
    EXPECT(batch.series_of_row == NULL);
    EXPECT(batch.series[0].used);
    EXPECT_UINT(bytes_get_u64(batch.columns[0].values.data + 8), 20);
    for (int i = 0; i < 4; i++) {
        const uint8_t *p = batch.columns[i].values.data;
        EXPECT(p >= b.data && p < b.data + b.size);
    }
    EXPECT(bytes_equal(batch.columns[4].strings[1], bytes_str("two")));
    struct bytes value;
    EXPECT(tags_find(batch.series[0].key, 1, &value) && value.size == 8 &&
           bytes_get_u64(value.data) == 7);
    EXPECT(!tags_find(batch.series[0].key, 2, &value));
    EXPECT(tags_find(batch.series[0].tags, 2, &value) && value.data[0] == 1);
    buf_deinit(&b);
    close_all();
}

TEST(write_batch, left_out_columns_and_null_bits_are_null)
{
    open_all();
    struct draft d;
    begin_usual(&d);
    put_column(&d, "time", 2, 3);
    size_t m = wire_begin(&d.b, 7);
    wire_put_str(&d.b, 1, "x");
    size_t p = wire_begin(&d.b, 3);
    buf_put_zeros(&d.b, 24);
    wire_end(&d.b, p);
    wire_put_bytes(&d.b, 6, bytes_of("\x05", 1));
    wire_end(&d.b, m);
    struct buf kept = d.b;
    REQUIRE_OK(write_batch_read(&batch, catalog, buf_bytes(&kept), &err));
    EXPECT_UINT(batch.absent_count, 3);
    EXPECT(write_column_is_null(&batch.columns[1], 0));
    EXPECT(!write_column_is_null(&batch.columns[1], 1));
    EXPECT(write_column_is_null(&batch.columns[1], 2));
    buf_deinit(&kept);
    close_all();
}

/* Legal protobuf that encoders hardly ever write. */
TEST(write_batch, packed_values_in_pieces_and_single_values_are_put_together)
{
    open_all();
    struct draft d;
    begin(&d, "m");
    size_t m = wire_begin(&d.b, 7); /* columns before the series and names */
    size_t p = wire_begin(&d.b, 2);
    buf_put_u64(&d.b, 1);
    buf_put_u64(&d.b, 2);
    wire_end(&d.b, p);
    wire_put_str(&d.b, 1, "time");
    wire_put_fixed64(&d.b, 2, 3);
    p = wire_begin(&d.b, 2);
    buf_put_u64(&d.b, 4);
    wire_end(&d.b, p);
    wire_end(&d.b, m);
    put_series(&d, "a", "7");
    put_series(&d, "b", "8");
    put_tag_names(&d, "host", "rack");
    wire_put_uint(&d.b, 6, 1); /* one by one */
    p = wire_begin(&d.b, 6);
    buf_put_varint(&d.b, 0);
    buf_put_varint(&d.b, 1);
    wire_end(&d.b, p);
    wire_put_tag(&d.b, 6, WIRE_VARINT);
    buf_put_varint(&d.b, 0);
    struct buf kept = d.b;
    REQUIRE_OK(write_batch_read(&batch, catalog, buf_bytes(&kept), &err));
    REQUIRE_UINT(batch.row_count, 4);
    for (size_t i = 0; i < 4; i++) {
        EXPECT_UINT(bytes_get_u64(batch.columns[0].values.data + 8 * i), i + 1);
        EXPECT_UINT(batch.series_of_row[i], i % 2 == 0 ? 1 : 0);
    }
    buf_deinit(&kept);
    close_all();
}

TEST(write_batch, tags_may_come_in_any_order)
{
    open_all();
    struct draft d;
    begin(&d, "m");
    put_tag_names(&d, "rack", "host");
    put_series(&d, "7", "a");
    put_column(&d, "time", 2, 1);
    struct buf kept = d.b;
    REQUIRE_OK(write_batch_read(&batch, catalog, buf_bytes(&kept), &err));
    struct buf key = {0};
    uint8_t rack[8] = {7};
    tags_put(&key, 0, bytes_str("a"));
    tags_put(&key, 1, bytes_of(rack, 8));
    EXPECT(bytes_equal(batch.series[0].key, buf_bytes(&key)));
    EXPECT_UINT(batch.series[0].hash, series_key_hash(buf_bytes(&key)));
    buf_deinit(&key);
    buf_deinit(&kept);
    close_all();
}

TEST(write_batch, names_that_do_not_exist_are_said)
{
    open_all();
    struct draft d;
    begin(&d, "nothing");
    put_tag_names(&d, "host", "rack");
    put_series(&d, "a", "7");
    put_column(&d, "time", 2, 1);
    EXPECT_STR(read_draft(&d), "no table \"nothing\" in database \"d\"");
    begin_usual(&d);
    put_column(&d, "time", 2, 1);
    put_column(&d, "nope", 3, 1);
    EXPECT_STR(read_draft(&d), "no column \"nope\" in table \"m\"");
    begin(&d, "m");
    put_tag_names(&d, "host", "colour");
    put_series(&d, "a", "7");
    put_column(&d, "time", 2, 1);
    EXPECT_STR(read_draft(&d), "no tag \"colour\" in table \"m\"");
    close_all();
}

TEST(write_batch, columns_that_do_not_fit_are_refused)
{
    open_all();
    struct draft d;
    begin_usual(&d);
    EXPECT_STR(read_draft(&d), "the write request has no columns");
    begin_usual(&d);
    put_column(&d, "x", 3, 1);
    EXPECT_STR(read_draft(&d),
               "the first column of the request, and only it, must be the timestamp \"time\"");
    begin_usual(&d);
    put_column(&d, "time", 2, 1);
    put_column(&d, "time", 2, 1);
    EXPECT_STR(read_draft(&d),
               "the first column of the request, and only it, must be the timestamp \"time\"");
    begin_usual(&d);
    put_column(&d, "time", 2, 0);
    EXPECT_CONTAINS(read_draft(&d),
                    "column \"time\" is a timestamp, but the request has no values");
    begin_usual(&d);
    put_column(&d, "time", 2, 2);
    put_column(&d, "x", 3, 3);
    EXPECT_STR(read_draft(&d), "column \"x\" has 3 values, but there are 2 rows");
    begin_usual(&d);
    put_column(&d, "time", 2, 2);
    put_column(&d, "x", 2, 2); /* int64 values for a double column */
    EXPECT_STR(read_draft(&d), "column \"x\" is a double, but the request has no values of that "
                               "type for it");
    begin_usual(&d);
    put_column(&d, "time", 2, 2);
    put_column(&d, "b", 4, 1);
    EXPECT_STR(read_draft(&d), "column \"b\" has 1 values, but there are 2 rows");
    begin_usual(&d);
    put_column(&d, "time", 2, 2);
    put_strings(&d, "s", 3, bytes_str("x"));
    EXPECT_STR(read_draft(&d), "column \"s\" has 3 values, but there are 2 rows");
    begin_usual(&d);
    put_column(&d, "time", 2, 2);
    put_column(&d, "x", 3, 2);
    put_column(&d, "x", 3, 2);
    EXPECT_STR(read_draft(&d), "column \"x\" is given twice");
    close_all();
}

TEST(write_batch, values_that_are_wrong_are_refused_with_their_row)
{
    open_all();
    struct draft d;
    begin_usual(&d);
    put_column(&d, "time", 2, 1);
    put_strings(&d, "s", 1, bytes_of("\xff", 1));
    EXPECT_STR(read_draft(&d), "column \"s\", row 0: the string is not UTF-8");
    char *large = mem_zalloc(LIMIT_STRING_SIZE_MAX + 1);
    begin_usual(&d);
    put_column(&d, "time", 2, 1);
    put_strings(&d, "s", 1, bytes_of(large, LIMIT_STRING_SIZE_MAX + 1));
    EXPECT_STR(read_draft(&d), "column \"s\", row 0: a string of 65537 bytes, at most 65536 are "
                               "allowed");
    begin_usual(&d);
    put_column(&d, "time", 2, 1);
    put_strings(&d, "s", 1, bytes_of(large, LIMIT_STRING_SIZE_MAX));
    EXPECT_STR(read_draft(&d), "ok");
    mem_free(large);
    begin_usual(&d);
    put_column(&d, "time", 2, 1);
    size_t m = wire_begin(&d.b, 7);
    wire_put_str(&d.b, 1, "b");
    wire_put_bytes(&d.b, 4, bytes_of("\x02", 1));
    wire_end(&d.b, m);
    EXPECT_STR(read_draft(&d), "column \"b\", row 0: a bool must be 0 or 1");
    begin_usual(&d);
    m = wire_begin(&d.b, 7);
    wire_put_str(&d.b, 1, "time");
    wire_put_fixed64(&d.b, 2, 5);
    wire_put_bytes(&d.b, 6, bytes_of("\x01", 1));
    wire_end(&d.b, m);
    EXPECT_STR(read_draft(&d), "column \"time\" must not be null");
    begin_usual(&d);
    m = wire_begin(&d.b, 7);
    wire_put_str(&d.b, 1, "time");
    wire_put_fixed64(&d.b, 2, 5);
    wire_put_bytes(&d.b, 6, bytes_of("\x00\x00", 2));
    wire_end(&d.b, m);
    EXPECT_STR(read_draft(&d), "column \"time\": 2 bytes of null bits, but 1 rows need 1");
    close_all();
}

TEST(write_batch, series_that_are_wrong_are_refused)
{
    open_all();
    struct draft d;
    begin(&d, "m");
    put_tag_names(&d, "host", "rack");
    put_column(&d, "time", 2, 1);
    EXPECT_STR(read_draft(&d), "the write request names no series");
    begin(&d, "m");
    wire_put_str(&d.b, 4, "host");
    put_series(&d, "a", "7");
    put_column(&d, "time", 2, 1);
    EXPECT_STR(read_draft(&d), "the primary tag \"rack\" is missing");
    begin(&d, "m");
    put_tag_names(&d, "host", "host");
    put_series(&d, "a", "7");
    put_column(&d, "time", 2, 1);
    EXPECT_STR(read_draft(&d), "tag \"host\" is given twice");
    begin(&d, "m");
    put_tag_names(&d, "host", "rack");
    put_series(&d, "a", "seven");
    put_column(&d, "time", 2, 1);
    EXPECT_STR(read_draft(&d), "tag \"rack\": \"seven\": not a whole number");
    begin(&d, "m");
    put_tag_names(&d, "host", "rack");
    size_t m = wire_begin(&d.b, 5);
    wire_put_item(&d.b, 1, bytes_str("a"));
    wire_end(&d.b, m);
    put_column(&d, "time", 2, 1);
    EXPECT_STR(read_draft(&d), "a series has 1 tag values, but there are 2 tag names");
    begin(&d, "m");
    put_tag_names(&d, "host", "rack");
    m = wire_begin(&d.b, 5);
    wire_put_item(&d.b, 1, (struct bytes){0});
    wire_put_item(&d.b, 1, bytes_str("7"));
    wire_put_bytes(&d.b, 2, bytes_of("\x01", 1));
    wire_end(&d.b, m);
    put_column(&d, "time", 2, 1);
    EXPECT_STR(read_draft(&d), "tag \"host\" must not be null");
    close_all();
}

TEST(write_batch, rows_must_be_of_the_series_named)
{
    open_all();
    struct draft d;
    begin_usual(&d);
    put_column(&d, "time", 2, 2);
    wire_put_uint(&d.b, 6, 1);
    EXPECT_STR(read_draft(&d), "row 0 is of series 1, but the request names only 1");
    begin_usual(&d);
    put_column(&d, "time", 2, 2);
    wire_put_bytes(&d.b, 6, bytes_of("\0", 1));
    EXPECT_STR(read_draft(&d), "series_of_row has 1 values, but there are 2 rows");
    begin_usual(&d);
    put_column(&d, "time", 2, 2);
    wire_put_bytes(&d.b, 6, bytes_of("\0\0\0", 3));
    EXPECT_STR(read_draft(&d), "series_of_row has more values than there are rows (2)");
    begin_usual(&d);
    put_column(&d, "time", 2, 2);
    wire_put_bytes(&d.b, 6, bytes_of("\0\x80", 2));
    EXPECT_STR(read_draft(&d), "the write request is malformed");
    begin_usual(&d);
    put_series(&d, "unused", "1");
    put_column(&d, "time", 2, 1);
    EXPECT_STR(read_draft(&d), "ok");
    EXPECT(batch.series[0].used);
    EXPECT(!batch.series[1].used);
    close_all();
}

TEST(write_batch, a_request_that_is_cut_anywhere_is_refused)
{
    open_all();
    struct buf b = {0};
    make_write_request(&b, "m", "a 7 true", "10 1 1.5 true one\n20 - 2.5 false two");
    unsigned refused = 0;
    for (size_t size = 0; size < b.size; size++) {
        refused += write_batch_read(&batch, catalog, bytes_of(b.data, size), &err) != ERR_OK;
    }
    /* A cut between two columns leaves a whole request with fewer of them. */
    EXPECT_UINT(refused, b.size - 4);
    buf_deinit(&b);
    close_all();
}

TEST(write_batch, damaged_requests_are_read_safely)
{
    open_all();
    struct random random = random_seeded(3);
    struct buf b = {0};
    make_write_request(&b, "m", "a 7 true", "10 1 1.5 true one\n20 - 2.5 false two");
    unsigned good = 0;
    for (int round = 0; round < 20000; round++) {
        size_t at = (size_t)random_below(&random, b.size);
        uint8_t old = b.data[at];
        b.data[at] = (uint8_t)random_u64(&random);
        good += write_batch_read(&batch, catalog, buf_bytes(&b), &err) == ERR_OK ? 1 : 0;
        b.data[at] = old;
    }
    EXPECT(good > 100);
    EXPECT(good < 19000);
    buf_deinit(&b);
    close_all();
}

TEST(write_batch, the_limit_of_rows_is_kept)
{
    open_all();
    struct draft d;
    begin_usual(&d);
    put_column(&d, "time", 2, LIMIT_WRITE_ROWS_MAX);
    EXPECT_STR(read_draft(&d), "ok");
    begin_usual(&d);
    put_column(&d, "time", 2, LIMIT_WRITE_ROWS_MAX + 1);
    EXPECT_STR(read_draft(&d), "the write request has more than 262144 rows");
    begin_usual(&d);
    for (int i = 0; i < LIMIT_TAGS_MAX; i++) {
        wire_put_str(&d.b, 4, "more");
    }
    put_column(&d, "time", 2, 1);
    EXPECT_STR(read_draft(&d), "the write request has more than 128 tags");
    begin_usual(&d);
    for (int i = 0; i <= LIMIT_COLUMNS_MAX; i++) {
        wire_put_item(&d.b, 7, (struct bytes){0});
    }
    EXPECT_STR(read_draft(&d), "the write request has more than 4096 columns");
    close_all();
}

/* Six primary tags of 64 KiB are more than a key may have. */
TEST(write_batch, the_limit_of_a_series_key_is_kept)
{
    struct buf b = {0};
    struct catalog *empty = catalog_new();
    struct catalog *database = NULL;
    wire_put_str(&b, 1, "d");
    REQUIRE_OK(catalog_create_database(empty, buf_bytes(&b), &database, &err));
    buf_reset(&b);
    size_t definition = wire_begin(&b, 1);
    wire_put_str(&b, 1, "d");
    wire_put_str(&b, 2, "k");
    size_t time = wire_begin(&b, 3);
    wire_put_str(&b, 1, "time");
    wire_put_uint(&b, 2, VALUE_TIMESTAMP);
    wire_put_uint(&b, 3, 1);
    wire_end(&b, time);
    static const char *const names[] = {"a", "b", "c", "d", "e", "f"};
    for (size_t i = 0; i < 6; i++) {
        size_t tag = wire_begin(&b, 4);
        wire_put_str(&b, 1, names[i]);
        wire_put_uint(&b, 2, VALUE_STRING);
        wire_put_uint(&b, 3, 1);
        wire_put_uint(&b, 4, 1);
        wire_end(&b, tag);
    }
    wire_end(&b, definition);
    REQUIRE_OK(catalog_create_table(database, buf_bytes(&b), 2, &catalog, &err));
    buf_deinit(&b);
    char *large = mem_zalloc(LIMIT_STRING_SIZE_MAX);
    for (size_t full = 3; full < 6; full += 2) {
        struct draft d;
        begin(&d, "k");
        size_t m = 0;
        for (size_t i = 0; i < 6; i++) {
            wire_put_str(&d.b, 4, names[i]);
        }
        m = wire_begin(&d.b, 5);
        for (size_t i = 0; i < 6; i++) {
            wire_put_item(&d.b, 1, bytes_of(large, i < full ? LIMIT_STRING_SIZE_MAX : 1));
        }
        wire_end(&d.b, m);
        put_column(&d, "time", 2, 1);
        const char *answer = read_draft(&d);
        EXPECT(full == 5 || strcmp(answer, "ok") == 0);
        EXPECT(full == 3 || strstr(answer, "the primary tags of a series take") == answer);
    }
    mem_free(large);
    catalog_unref(empty);
    catalog_unref(database);
    close_all();
}

/* Used again, a batch forgets what it held and takes no more memory. */
TEST(write_batch, a_batch_is_used_again_without_growing)
{
    open_all();
    struct buf b = {0};
    make_write_request(&b, "m", "a 7 true", "10 1 1.5 true one\n20 - 2.5 false two");
    REQUIRE_OK(write_batch_read(&batch, catalog, buf_bytes(&b), &err));
    size_t size = batch.arena.size;
    for (int i = 0; i < 1000; i++) {
        EXPECT(write_batch_read(&batch, catalog, buf_bytes(&b), &err) == ERR_OK);
    }
    EXPECT_UINT(batch.arena.size, size);
    buf_deinit(&b);
    close_all();
}

/* --- narrow types, floats, bytes --- */

static void put_word(struct draft *d, const char *name, uint64_t word, bool null)
{
    uint8_t bit = 1;
    size_t m = wire_begin(&d->b, 7);
    wire_put_str(&d->b, 1, name);
    size_t p = wire_begin(&d->b, 2);
    buf_put_u64(&d->b, word);
    wire_end(&d->b, p);
    if (null) {
        wire_put_bytes(&d->b, 6, bytes_of(&bit, 1));
    }
    wire_end(&d->b, m);
}

static enum err_code read_narrow(struct catalog *c, const char *column, uint64_t word, bool null,
                                 const char *rack)
{
    struct draft d;
    struct write_batch w = {0};
    begin(&d, "types");
    put_tag_names(&d, "host", "rack");
    put_series(&d, "ab", rack);
    put_column(&d, "time", 2, 1);
    put_word(&d, column, word, null);
    enum err_code code = write_batch_read(&w, c, buf_bytes(&d.b), &err);
    write_batch_deinit(&w);
    buf_deinit(&d.b);
    return code;
}

TEST(write_batch, narrow_numbers_out_of_range_are_refused)
{
    struct catalog *c = make_narrow_catalog();
    EXPECT_OK(read_narrow(c, "i16", 0x7fff, false, "1.5"));
    EXPECT_OK(read_narrow(c, "i16", 0xffffffffffff8000, false, "1.5"));
    EXPECT_ERR(read_narrow(c, "i16", 0x8000, false, "1.5"), ERR_RANGE);
    EXPECT_STR(err.text, "column \"i16\", row 0: 32768 is outside the range of int16");
    EXPECT_OK(read_narrow(c, "i16", 0x8000, true, "1.5")); /* of a null it does not count */
    EXPECT_OK(read_narrow(c, "i32", 0x7fffffff, false, "-1e3"));
    EXPECT_ERR(read_narrow(c, "i32", 0x80000000, false, "1.5"), ERR_RANGE);
    EXPECT_ERR(read_narrow(c, "i32", 0, false, "nan"), ERR_INVALID);
    EXPECT_CONTAINS(err.text, "tag \"rack\"");
    EXPECT_ERR(read_narrow(c, "f", 0, false, "1"), ERR_INVALID);
    EXPECT_CONTAINS(err.text, "is a float32, but the request has no values of that type");
    catalog_unref(c);
}

TEST(write_batch, floats_packed_and_single_become_words)
{
    struct catalog *c = make_narrow_catalog();
    struct draft d;
    struct write_batch w = {0};
    begin(&d, "types");
    put_tag_names(&d, "host", "rack");
    put_series(&d, "ab", "0.1");
    put_column(&d, "time", 2, 3);
    size_t m = wire_begin(&d.b, 7);
    wire_put_str(&d.b, 1, "f");
    size_t p = wire_begin(&d.b, 8);
    buf_put_u32(&d.b, 0x7fa00001); /* a NaN that arithmetic would change */
    buf_put_u32(&d.b, 0x80000000);
    wire_end(&d.b, p);
    wire_put_tag(&d.b, 8, WIRE_FIXED32);
    buf_put_u32(&d.b, 0x3f800000);
    wire_end(&d.b, m);
    put_strings(&d, "y", 3, bytes_of("\xff\0z", 3));
    REQUIRE_OK(write_batch_read(&w, c, buf_bytes(&d.b), &err));
    EXPECT_UINT(bytes_get_u64(w.columns[1].values.data), 0x7fa00001);
    EXPECT_UINT(bytes_get_u64(w.columns[1].values.data + 8), 0x80000000);
    EXPECT_UINT(bytes_get_u64(w.columns[1].values.data + 16), 0x3f800000);
    EXPECT(bytes_equal(w.columns[2].strings[1], bytes_of("\xff\0z", 3)));
    put_strings(&d, "s", 3, bytes_str("four"));
    EXPECT_ERR(write_batch_read(&w, c, buf_bytes(&d.b), &err), ERR_RANGE);
    EXPECT_STR(err.text, "column \"s\", row 0: a string of 4 bytes, at most 3 are allowed");
    write_batch_deinit(&w);
    buf_deinit(&d.b);
    catalog_unref(c);
}
