/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/record_filter.h"

#include "testkit/test.h"

static struct record_range read_good(const char *text)
{
    struct record_range range = {1, 1};
    struct err e;
    EXPECT_OK(record_range_read(text, &range, &e));
    return range;
}

TEST(record_filter, a_range_is_a_value_or_has_ends)
{
    EXPECT_UINT(read_good("7").first, 7);
    EXPECT_UINT(read_good("7").last, 7);
    EXPECT_UINT(read_good("7..9").first, 7);
    EXPECT_UINT(read_good("7..9").last, 9);
    EXPECT_UINT(read_good("7..").last, UINT64_MAX);
    EXPECT_UINT(read_good("..9").first, 0);
    EXPECT_UINT(read_good(NULL).last, UINT64_MAX);
}

TEST(record_filter, positions_are_read_as_they_are_printed)
{
    struct record_range range;
    struct err e;
    EXPECT_OK(record_range_read_lsn("1/2A..1/0000002B", &range, &e));
    EXPECT_UINT(range.first, 0x10000002AU);
    EXPECT_UINT(range.last, 0x10000002BU);
    EXPECT_OK(record_range_read_lsn("42", &range, &e));
    EXPECT_UINT(range.first, 42);
}

TEST(record_filter, what_is_no_range_is_refused)
{
    static const char *const bad[] = {"", "..", "x", "7..x", "9..7", "-1", "7...9", "1/2"};
    struct record_range range;
    struct err e;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        test_context("%s", bad[i]);
        EXPECT_ERR(record_range_read(bad[i], &range, &e), ERR_INVALID);
    }
    EXPECT_ERR(record_range_read_lsn("1/100000000", &range, &e), ERR_INVALID);
    EXPECT_ERR(record_range_read_lsn("/", &range, &e), ERR_INVALID);
}

TEST(record_filter, a_record_passes_every_part_that_was_given)
{
    struct entry_content content = {0};
    buf_put(&content.commands, "write", 5);
    buf_put(&content.tables, "a.b, a.c", 8);
    const struct wal_view view = {.lsn = 100, .index = 7, .term = 2, .kind = "command"};
    struct record_filter f = record_filter_all();
    EXPECT(record_filter_passes(&f, &view, &content));
    f.table = "a.c";
    f.type = "write";
    f.index = (struct record_range){7, 7};
    EXPECT(record_filter_passes(&f, &view, &content));
    f.type = "command";
    EXPECT(record_filter_passes(&f, &view, &content));
    f.type = "metadata";
    EXPECT(!record_filter_passes(&f, &view, &content));
    f.type = NULL;
    f.table = "a.d";
    EXPECT(!record_filter_passes(&f, &view, &content));
    f.table = NULL;
    f.term = (struct record_range){3, 9};
    EXPECT(!record_filter_passes(&f, &view, &content));
    f.term = (struct record_range){0, 2};
    f.lsn = (struct record_range){101, 200};
    EXPECT(!record_filter_passes(&f, &view, &content));
    entry_content_deinit(&content);
}
