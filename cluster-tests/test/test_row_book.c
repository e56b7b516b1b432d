/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster-tests/row_book.h"

#include "testkit/test.h"

/* Series 1: write 1 has keys 0 1 2, write 2 has key 3 and no answer, write 3
 * wrote key 1 again. */
static struct row_book *example(void)
{
    struct row_book *b = row_book_open();
    EXPECT_UINT(row_book_begin(b, 1, 0, 3), 1);
    row_book_acked(b, 1);
    EXPECT_UINT(row_book_begin(b, 1, 3, 1), 2);
    EXPECT_UINT(row_book_begin(b, 1, 1, 1), 3);
    row_book_acked(b, 3);
    row_book_scan_begin(b);
    return b;
}

TEST(row_book, accepts_what_was_acknowledged_with_or_without_what_is_unknown)
{
    struct row_book *b = example();
    EXPECT_UINT(row_book_acked_writes(b), 2);
    EXPECT_UINT(row_book_acked_rows(b), 3);
    EXPECT_UINT(row_book_unknown_writes(b), 1);
    EXPECT_UINT(row_book_next_key(b, 1), 4);
    for (int with = 0; with < 2; with++) {
        row_book_scan_begin(b);
        row_book_scan_row(b, 1, 0, 1);
        row_book_scan_row(b, 1, 1, 3);
        row_book_scan_row(b, 1, 2, 1);
        if (with == 1) {
            row_book_scan_row(b, 1, 3, 2);
        }
        struct row_book_verdict v = row_book_scan_end(b);
        EXPECT_STR(v.first, "");
        EXPECT(row_book_is_good(&v));
        EXPECT_UINT(v.found, with == 1 ? 4 : 3);
    }
    row_book_close(b);
}

TEST(row_book, sees_a_lost_row)
{
    struct row_book *b = example();
    row_book_scan_row(b, 1, 0, 1);
    row_book_scan_row(b, 1, 1, 3);
    struct row_book_verdict v = row_book_scan_end(b);
    EXPECT_UINT(v.lost, 1);
    EXPECT_STR(v.first, "row 1:2 of write 1 is lost");
    EXPECT(!row_book_is_good(&v));
    row_book_close(b);
}

/* As when a late retry of the first write comes after the second. */
TEST(row_book, sees_an_old_value)
{
    struct row_book *b = example();
    row_book_scan_row(b, 1, 0, 1);
    row_book_scan_row(b, 1, 1, 1);
    row_book_scan_row(b, 1, 2, 1);
    struct row_book_verdict v = row_book_scan_end(b);
    EXPECT_UINT(v.wrong, 1);
    EXPECT_STR(v.first, "row 1:1 holds 1, acknowledged is 3, without answer is 0");
    EXPECT(!row_book_is_good(&v));
    row_book_close(b);
}

TEST(row_book, sees_rows_that_nobody_wrote)
{
    struct row_book *b = example();
    row_book_scan_row(b, 1, 0, 1);
    row_book_scan_row(b, 1, 0, 1);
    row_book_scan_row(b, 1, 1, 3);
    row_book_scan_row(b, 1, 2, 1);
    row_book_scan_row(b, 1, 4, 1);
    row_book_scan_row(b, 2, 0, 1);
    row_book_scan_row(b, ROW_BOOK_SERIES_MAX, 0, 1);
    struct row_book_verdict v = row_book_scan_end(b);
    EXPECT_UINT(v.phantom, 4);
    EXPECT_STR(v.first, "row 1:0 is there twice");
    EXPECT(!row_book_is_good(&v));
    row_book_close(b);
}

TEST(row_book, sees_half_a_write)
{
    struct row_book *b = row_book_open();
    EXPECT_UINT(row_book_begin(b, 0, 0, 2), 1);
    row_book_scan_begin(b);
    row_book_scan_row(b, 0, 1, 1);
    struct row_book_verdict v = row_book_scan_end(b);
    EXPECT_UINT(v.torn, 1);
    EXPECT_STR(v.first, "1 of 2 rows of write 1");
    EXPECT(!row_book_is_good(&v));
    row_book_close(b);
}

TEST(row_book, sees_a_refused_write_that_took_effect)
{
    struct row_book *b = row_book_open();
    EXPECT_UINT(row_book_begin(b, 0, 0, 1), 1);
    row_book_refused(b, 1);
    EXPECT_UINT(row_book_unknown_writes(b), 0);
    row_book_scan_begin(b);
    row_book_scan_row(b, 0, 0, 1);
    struct row_book_verdict v = row_book_scan_end(b);
    EXPECT_UINT(v.wrong, 1);
    row_book_close(b);
}

TEST(row_book, offers_only_keys_that_may_be_written_again)
{
    struct row_book *b = example();
    uint64_t key = 0;
    EXPECT(row_book_acked_key(b, 1, 3 /* has no answer yet */, &key));
    EXPECT_UINT(key, 0);
    EXPECT(!row_book_acked_key(b, 5, 0, &key));
    row_book_close(b);
}
