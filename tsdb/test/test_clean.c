/* SPDX-License-Identifier: Apache-2.0 */
#include "testkit/test.h"
#include "tsdb/test/fixture.h"

/* How many files of that start are in the directory. */
static size_t count_files(struct fixture *f, const char *start)
{
    struct io_name *names = NULL;
    size_t count = 0;
    size_t found = 0;
    EXPECT_OK(io_list(f->io, "tsdb", &names, &count, &f->err));
    for (size_t i = 0; i < count; i++) {
        found += strncmp(names[i].name, start, strlen(start)) == 0 ? 1 : 0;
    }
    mem_free(names);
    return found;
}

static void make_file(struct fixture *f, const char *name)
{
    REQUIRE_OK(io_replace_file(f->io, "tsdb", name, bytes_str("x"), &f->err));
}

TEST(clean, removes_checkpoints_and_parts_that_nobody_needs)
{
    struct fixture f = fixture_open(false);
    uint64_t indexes[12];
    for (int i = 0; i < 12; i++) {
        EXPECT_OK(put(&f, "a", "1 1 - - -"));
        EXPECT_OK(checkpoint(&f, NULL));
        indexes[i] = f.index;
    }
    EXPECT_UINT(count_files(&f, "checkpoint-"), 12);
    EXPECT(count_files(&f, "part-") > 10);
    const uint64_t keep[] = {indexes[6], indexes[11]};
    EXPECT_OK(tsdb_clean(f.db, keep, 2, &f.err));
    EXPECT_UINT(count_files(&f, "checkpoint-"), 2);
    for (int i = 0; i < 2; i++) {
        unsigned parts = 0;
        EXPECT_OK(tsdb_verify(f.io, "tsdb", keep[i], &parts, &f.err));
        EXPECT(parts > 0);
    }
    size_t before = count_files(&f, "part-");
    EXPECT_OK(tsdb_clean(f.db, keep + 1, 1, &f.err));
    EXPECT_UINT(count_files(&f, "checkpoint-"), 1);
    EXPECT(count_files(&f, "part-") < before);
    EXPECT_STR(scan_all(&f), "a,-,- 1 1 - - -\n");
    fixture_close(&f);
}

TEST(clean, parts_of_a_pinned_view_stay)
{
    struct fixture f = fixture_open(false);
    EXPECT_OK(put(&f, "a", "1 1 - - -"));
    EXPECT_OK(checkpoint(&f, NULL));
    struct tsdb_view *v = tsdb_view_pin(f.db);
    for (int i = 0; i < 9; i++) {
        EXPECT_OK(put(&f, "a", "2 2 - - -"));
        EXPECT_OK(checkpoint(&f, NULL));
    }
    uint64_t keep = f.index;
    EXPECT_OK(tsdb_clean(f.db, &keep, 1, &f.err));
    size_t before = count_files(&f, "part-");
    struct buf request = {0};
    struct scan_totals totals;
    scan_of(&request, "m");
    EXPECT_OK(scan_view(&f, v, buf_bytes(&request), 1 << 20, &totals));
    EXPECT_STR((const char *)f.text.data, "a,-,- 1 1 - - -\n");
    tsdb_view_unpin(v);
    EXPECT_OK(tsdb_clean(f.db, &keep, 1, &f.err));
    EXPECT(count_files(&f, "part-") < before);
    buf_deinit(&request);
    fixture_close(&f);
}

/* What a checkpoint in progress has written is on no list yet. */
TEST(clean, a_checkpoint_in_progress_keeps_its_files)
{
    struct fixture f = fixture_open(false);
    EXPECT_OK(put(&f, "a", "1 1 - - -"));
    EXPECT_OK(checkpoint(&f, NULL));
    uint64_t keep = f.index;
    EXPECT_OK(put(&f, "a", "2 2 - - -"));
    EXPECT_OK(freeze(&f));
    make_file(&f, "part-0123456789abcdef0123456789abcdef"); /* as if it were its own */
    struct tsdb_checkpoint c = {0};
    EXPECT_OK(tsdb_checkpoint_write(f.db, &c, &f.err));
    EXPECT_OK(tsdb_clean(f.db, &keep, 1, &f.err));
    EXPECT_UINT(count_files(&f, "checkpoint-"), 2);
    EXPECT_UINT(count_files(&f, "part-"), 3);
    EXPECT_OK(tsdb_checkpoint_finish(f.db, &f.err));
    keep = c.index;
    EXPECT_OK(tsdb_clean(f.db, &keep, 1, &f.err));
    EXPECT_UINT(count_files(&f, "checkpoint-"), 1);
    EXPECT_UINT(count_files(&f, "part-"), 2);
    EXPECT_STR(scan_all(&f), "a,-,- 1 1 - - -\na,-,- 2 2 - - -\n");
    fixture_close(&f);
}

TEST(clean, unfinished_files_go_and_files_of_others_stay)
{
    struct fixture f = fixture_open(false);
    make_file(&f, "writing-2.tmp");
    make_file(&f, "checkpoint-0000000000000001.tmp");
    make_file(&f, "part-0123456789abcdef0123456789abcdef");
    make_file(&f, "part-notes.txt");
    make_file(&f, "README");
    EXPECT_OK(tsdb_clean(f.db, NULL, 0, &f.err));
    EXPECT_UINT(count_files(&f, "writing-"), 0);
    EXPECT_UINT(count_files(&f, "checkpoint-"), 0);
    EXPECT_UINT(count_files(&f, "part-0"), 0);
    EXPECT_UINT(count_files(&f, "part-notes.txt"), 1);
    EXPECT_UINT(count_files(&f, "README"), 1);
    fixture_close(&f);
}

/* Without knowing what a kept checkpoint needs, nothing may go. */
TEST(clean, removes_nothing_when_a_kept_manifest_is_damaged)
{
    struct fixture f = fixture_open(false);
    EXPECT_OK(put(&f, "a", "1 1 - - -"));
    EXPECT_OK(checkpoint(&f, NULL));
    make_file(&f, "part-0123456789abcdef0123456789abcdef");
    char name[TSDB_NAME_SIZE];
    tsdb_manifest_name(99, name);
    make_file(&f, name);
    const uint64_t keep[] = {f.index, 99};
    EXPECT_ERR(tsdb_clean(f.db, keep, 2, &f.err), ERR_CORRUPT);
    EXPECT_CONTAINS(f.err.text, "removing old checkpoints: manifest checkpoint-");
    EXPECT_UINT(count_files(&f, "part-"), 2);
    EXPECT_UINT(count_files(&f, "checkpoint-"), 2);
    fixture_close(&f);
}

TEST(clean, a_failing_disk_is_told)
{
    struct fixture f = fixture_open(false);
    EXPECT_OK(put(&f, "a", "1 1 - - -"));
    EXPECT_OK(checkpoint(&f, NULL));
    make_file(&f, "writing-1.tmp");
    uint64_t keep = f.index;
    static const enum fake_disk_call calls[] = {FAKE_DISK_LIST, FAKE_DISK_UNLINK, FAKE_DISK_READ};
    for (size_t i = 0; i < 3; i++) {
        fake_disk_fail_next(f.disk, calls[i], ERR_IO);
        EXPECT_ERR(tsdb_clean(f.db, &keep, 1, &f.err), ERR_IO);
    }
    EXPECT_OK(tsdb_clean(f.db, &keep, 1, &f.err));
    fixture_close(&f);
}

TEST(clean, names_of_other_files_are_not_given_to_peers)
{
    EXPECT(tsdb_name_is_valid("part-0123456789abcdef0123456789abcdef"));
    EXPECT(tsdb_name_is_valid("checkpoint-0123456789abcdef"));
    EXPECT(!tsdb_name_is_valid(""));
    EXPECT(!tsdb_name_is_valid("part-"));
    EXPECT(!tsdb_name_is_valid("part-0123456789abcdef0123456789abcde"));
    EXPECT(!tsdb_name_is_valid("part-0123456789abcdef0123456789abcdef0"));
    EXPECT(!tsdb_name_is_valid("part-0123456789ABCDEF0123456789abcdef"));
    EXPECT(!tsdb_name_is_valid("part-../456789abcdef0123456789abcdef0"));
    EXPECT(!tsdb_name_is_valid("checkpoint-0123456789abcdef.tmp"));
    EXPECT(!tsdb_name_is_valid("../checkpoint-0123456789abcdef"));
    EXPECT(!tsdb_name_is_valid("hard-state.0"));
}
