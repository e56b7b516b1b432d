/* SPDX-License-Identifier: Apache-2.0 */
#include "tsdb/test/fixture.h"

TEST(tsdb, rows_written_are_rows_scanned)
{
    struct fixture f = fixture_open(false);
    EXPECT_OK(put(&f, "a 1 true", "10 1 1.5 true one\n20 2 -2.25 false two"));
    EXPECT_UINT(f.result.rows, 2);
    EXPECT_UINT(f.result.index, f.index);
    EXPECT_OK(put(&f, "b", "5 -7 0 - -"));
    EXPECT_OK(put(&f, "a 1", "30 - - - -"));
    EXPECT_STR(scan_all(&f), "a,1,true 10 1 1.5 true one\n"
                             "a,1,true 20 2 -2.25 false two\n"
                             "a,1,true 30 - - - -\n"
                             "b,-,- 5 -7 0 - -\n");
    EXPECT_UINT(tsdb_applied_index(f.db), f.index);
    EXPECT(tsdb_memory_size(f.db) > 0);
    fixture_close(&f);
}

TEST(tsdb, a_checkpoint_changes_nothing_that_is_seen)
{
    struct fixture f = fixture_open(false);
    EXPECT_OK(put(&f, "a 1 true", "10 1 1.5 true one\n20 2 -2.25 false two"));
    EXPECT_OK(put(&f, "b", "5 -7 0 - -"));
    struct hash128 before = state_hash(&f);
    struct tsdb_checkpoint c;
    EXPECT_OK(checkpoint(&f, &c));
    EXPECT_UINT(c.index, f.index);
    EXPECT(c.parts_written > 0);
    EXPECT_SAME_HASH(state_hash(&f), before);
    EXPECT_STR(scan_all(&f), "a,1,true 10 1 1.5 true one\n"
                             "a,1,true 20 2 -2.25 false two\n"
                             "b,-,- 5 -7 0 - -\n");
    EXPECT_OK(put(&f, "a 1", "10 9 9 true nine\n15 - - - -"));
    struct hash128 later = state_hash(&f);

    tsdb_close(f.db);
    EXPECT_OK(open_at(&f, c.index));
    EXPECT_UINT(f.index, c.index);
    EXPECT_SAME_HASH(state_hash(&f), before);
    EXPECT_OK(put(&f, "a 1", "10 9 9 true nine\n15 - - - -"));
    EXPECT_SAME_HASH(state_hash(&f), later);
    EXPECT_STR(scan_all(&f), "a,1,true 10 9 9 true nine\n"
                             "a,1,true 15 - - - -\n"
                             "a,1,true 20 2 -2.25 false two\n"
                             "b,-,- 5 -7 0 - -\n");
    fixture_close(&f);
}
