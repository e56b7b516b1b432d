/* SPDX-License-Identifier: Apache-2.0 */
#include "tsdb/scan_request.h"

#include "base/random.h"
#include "testkit/test.h"
#include "tsdb/test/fixture.h"

static struct catalog *catalog;
static struct scan_request request;
static struct err err;

static void open_catalog(void)
{
    struct catalog *c = catalog_new();
    struct buf b = {0};
    wire_put_str(&b, 1, "d");
    REQUIRE_OK(catalog_create_database(c, buf_bytes(&b), &catalog, &err));
    catalog_unref(c);
    c = catalog;
    buf_reset(&b);
    make_table_request(&b, "d", "m");
    REQUIRE_OK(catalog_create_table(c, buf_bytes(&b), 2, &catalog, &err));
    catalog_unref(c);
    buf_deinit(&b);
}

static void put_filter(struct buf *b, const char *tag, const char *one, const char *two)
{
    size_t m = wire_begin(b, 8);
    wire_put_str(b, 1, tag);
    if (one != NULL) {
        wire_put_item(b, 2, bytes_str(one));
    }
    if (two != NULL) {
        wire_put_item(b, 2, bytes_str(two));
    }
    wire_end(b, m);
}

/* "ok", or the error; resets the bytes. */
static const char *read_bytes(struct buf *b)
{
    scan_request_deinit(&request);
    err.text[0] = '\0';
    enum err_code code = scan_request_read(&request, catalog, buf_bytes(b), &err);
    buf_reset(b);
    return code == ERR_OK ? "ok" : err.text;
}

static void close_all(struct buf *b)
{
    scan_request_deinit(&request);
    buf_deinit(b);
    catalog_unref(catalog);
}

TEST(scan_request, defaults_are_all_columns_all_time_all_rows)
{
    struct buf b = {0};
    open_catalog();
    scan_of(&b, "m");
    EXPECT_STR(read_bytes(&b), "ok");
    EXPECT_UINT(request.place_count, 4);
    EXPECT_UINT(request.places[0], 1);
    EXPECT_INT(request.from, INT64_MIN);
    EXPECT_INT(request.until, INT64_MAX);
    EXPECT(request.limit == UINT64_MAX);
    EXPECT(!request.empty && !request.count_only);
    close_all(&b);
}

TEST(scan_request, columns_come_in_the_order_asked_for)
{
    struct buf b = {0};
    open_catalog();
    scan_of(&b, "m");
    wire_put_str(&b, 3, "s");
    wire_put_str(&b, 3, "time"); /* always there: changes nothing */
    wire_put_str(&b, 3, "i");
    EXPECT_STR(read_bytes(&b), "ok");
    REQUIRE_UINT(request.place_count, 2);
    EXPECT_UINT(request.places[0], 4);
    EXPECT_UINT(request.places[1], 1);
    scan_of(&b, "m");
    wire_put_str(&b, 3, "i");
    wire_put_uint(&b, 12, 1);
    EXPECT_STR(read_bytes(&b), "ok");
    EXPECT_UINT(request.place_count, 0);
    close_all(&b);
}

TEST(scan_request, the_time_range_includes_from_and_excludes_until)
{
    struct buf b = {0};
    open_catalog();
    scan_of(&b, "m");
    wire_put_uint(&b, 4, 1);
    wire_put_fixed64(&b, 5, (uint64_t)-5);
    wire_put_uint(&b, 6, 1); /* until 0, which proto3 leaves out */
    EXPECT_STR(read_bytes(&b), "ok");
    EXPECT_INT(request.from, -5);
    EXPECT_INT(request.until, -1);
    scan_of(&b, "m");
    wire_put_uint(&b, 6, 1);
    wire_put_fixed64(&b, 7, (uint64_t)INT64_MIN);
    EXPECT_STR(read_bytes(&b), "ok");
    EXPECT(request.empty);
    scan_of(&b, "m");
    wire_put_uint(&b, 4, 1);
    wire_put_fixed64(&b, 5, 7);
    wire_put_uint(&b, 6, 1);
    wire_put_fixed64(&b, 7, 7);
    EXPECT_STR(read_bytes(&b), "ok");
    EXPECT(request.empty);
    scan_of(&b, "m"); /* not said that they hold: ignored */
    wire_put_fixed64(&b, 5, 7);
    wire_put_fixed64(&b, 7, 8);
    EXPECT_STR(read_bytes(&b), "ok");
    EXPECT_INT(request.from, INT64_MIN);
    EXPECT_INT(request.until, INT64_MAX);
    close_all(&b);
}

TEST(scan_request, what_does_not_exist_is_said)
{
    struct buf b = {0};
    open_catalog();
    scan_of(&b, "x");
    EXPECT_STR(read_bytes(&b), "no table \"x\" in database \"d\"");
    scan_of(&b, "m");
    wire_put_str(&b, 3, "nope");
    EXPECT_STR(read_bytes(&b), "no column \"nope\" in table \"m\"");
    scan_of(&b, "m");
    put_filter(&b, "x", "1", NULL);
    EXPECT_STR(read_bytes(&b), "no tag \"x\" in table \"m\"");
    scan_of(&b, "m");
    wire_put_str(&b, 3, "i");
    wire_put_str(&b, 3, "i");
    EXPECT_STR(read_bytes(&b), "column \"i\" is asked for twice");
    scan_of(&b, "m");
    put_filter(&b, "rack", "seven", NULL);
    EXPECT_STR(read_bytes(&b), "filter of tag \"rack\": not a whole number");
    buf_put_u8(&b, 0xff);
    EXPECT_STR(read_bytes(&b), "the scan request is malformed");
    scan_of(&b, "m");
    for (int i = 0; i <= LIMIT_TAGS_MAX; i++) {
        put_filter(&b, "host", "a", NULL);
    }
    EXPECT_CONTAINS(read_bytes(&b), "129 tag filters, at most 4096 and 128 are allowed");
    close_all(&b);
}

/* --- filters --- */

static bool matches(const char *host, const char *rack)
{
    struct buf tags = {0};
    struct buf stored = {0};
    tags_put(&tags, 0, bytes_str(host));
    if (rack != NULL) {
        EXPECT_OK(value_parse_tag(VALUE_INT64, 0, bytes_str(rack), &stored, &err));
        tags_put(&tags, 1, buf_bytes(&stored));
    }
    struct series s = {.tags = buf_bytes(&tags)};
    bool match = scan_request_matches(&request, &s);
    buf_deinit(&tags);
    buf_deinit(&stored);
    return match;
}

TEST(scan_request, all_filters_must_hold_and_each_has_alternatives)
{
    struct buf b = {0};
    open_catalog();
    scan_of(&b, "m");
    EXPECT_STR(read_bytes(&b), "ok");
    EXPECT(matches("a", NULL) && matches("z", "7"));
    scan_of(&b, "m");
    put_filter(&b, "host", "c", "a");
    put_filter(&b, "rack", "07", "8");
    EXPECT_STR(read_bytes(&b), "ok");
    EXPECT(matches("a", "7") && matches("c", "8"));
    EXPECT(!matches("b", "7"));
    EXPECT(!matches("a", "9"));
    EXPECT(!matches("a", NULL));
    scan_of(&b, "m");
    put_filter(&b, "rack", NULL, NULL); /* only null */
    EXPECT_STR(read_bytes(&b), "ok");
    EXPECT(matches("a", NULL));
    EXPECT(!matches("a", "7"));
    scan_of(&b, "m");
    put_filter(&b, "host", "a", "b");
    put_filter(&b, "host", "b", "c");
    EXPECT_STR(read_bytes(&b), "ok");
    EXPECT(matches("b", NULL));
    EXPECT(!matches("a", NULL));
    close_all(&b);
}

TEST(scan_request, a_full_key_is_found_without_looking_at_all_series)
{
    struct buf b = {0};
    struct buf key = {0};
    struct buf want = {0};
    open_catalog();
    scan_of(&b, "m");
    put_filter(&b, "host", "a", NULL);
    EXPECT_STR(read_bytes(&b), "ok");
    EXPECT(!scan_request_key(&request, &key));
    scan_of(&b, "m");
    put_filter(&b, "host", "a", NULL);
    put_filter(&b, "rack", "7", "8");
    EXPECT_STR(read_bytes(&b), "ok");
    EXPECT(!scan_request_key(&request, &key));
    scan_of(&b, "m");
    put_filter(&b, "rack", NULL, NULL);
    put_filter(&b, "host", "a", NULL);
    EXPECT_STR(read_bytes(&b), "ok");
    EXPECT(scan_request_key(&request, &key));
    tags_put(&want, 0, bytes_str("a"));
    EXPECT(bytes_equal(buf_bytes(&key), buf_bytes(&want)));
    scan_of(&b, "m");
    put_filter(&b, "rack", "7", NULL);
    put_filter(&b, "host", "a", NULL);
    EXPECT_STR(read_bytes(&b), "ok");
    EXPECT(scan_request_key(&request, &key));
    uint8_t seven[8] = {7};
    tags_put(&want, 1, bytes_of(seven, 8));
    EXPECT(bytes_equal(buf_bytes(&key), buf_bytes(&want)));
    buf_deinit(&key);
    buf_deinit(&want);
    close_all(&b);
}

TEST(scan_request, damaged_requests_are_read_safely)
{
    struct random random = random_seeded(6);
    struct buf b = {0};
    struct buf b2 = {0};
    open_catalog();
    scan_of(&b, "m");
    wire_put_str(&b, 3, "i");
    put_filter(&b, "host", "a", "b");
    put_filter(&b, "rack", "7", NULL);
    wire_put_uint(&b, 9, 10);
    unsigned good = 0;
    for (int round = 0; round < 5000; round++) {
        buf_reset(&b2);
        buf_put_bytes(&b2, buf_bytes(&b));
        uint64_t at = random_below(&random, b.size);
        b2.data[at] = (uint8_t)random_u64(&random);
        good += read_bytes(&b2)[0] == 'o' ? 1 : 0;
    }
    EXPECT(good > 100);
    buf_deinit(&b2);
    close_all(&b);
}
