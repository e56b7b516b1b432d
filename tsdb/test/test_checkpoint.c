/* SPDX-License-Identifier: Apache-2.0 */
#include "tsdb/checkpoint.h"

#include "base/random.h"
#include "testkit/test.h"
#include "tsdb/manifest.h"
#include "tsdb/test/fixture.h"

/* --- which parts are merged --- */

TEST(checkpoint, few_parts_are_left_alone)
{
    const uint64_t sizes[] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    EXPECT_UINT(checkpoint_merge_count(sizes, 0), 0);
    EXPECT_UINT(checkpoint_merge_count(sizes, LIMIT_PARTS_PER_VGROUP - 1), 0);
    EXPECT_UINT(checkpoint_merge_count(sizes, LIMIT_PARTS_PER_VGROUP), LIMIT_PARTS_PER_VGROUP);
}

TEST(checkpoint, a_merge_takes_in_parts_not_much_larger_than_what_it_has)
{
    const uint64_t sizes[] = {10, 20, 60, 180, 541, 1, 1, 1};
    EXPECT_UINT(checkpoint_merge_count(sizes, 8), 4);
    const uint64_t steep[] = {1, 10, 100, 1000, 10000, 100000, 1000000, 10000000};
    EXPECT_UINT(checkpoint_merge_count(steep, 8), 2); /* two at least: their number is bounded */
    const uint64_t large[] = {1, LIMIT_MERGE_SIZE_MAX, 1, 1, 1, 1, 1, 1};
    EXPECT_UINT(checkpoint_merge_count(large, 8), 1);
    const uint64_t all_large[] = {LIMIT_MERGE_SIZE_MAX, 1, 1, 1, 1, 1, 1, 1};
    EXPECT_UINT(checkpoint_merge_count(all_large, 8), 0);
}

TEST(checkpoint, the_number_of_parts_stays_bounded)
{
    struct fixture f = fixture_open(false);
    struct buf want = {0};
    for (int i = 0; i < 60; i++) {
        char row[64];
        (void)snprintf(row, sizeof row, "%d %d - - -", i, i);
        EXPECT_OK(put(&f, "a", row));
        struct tsdb_checkpoint c = {0};
        EXPECT_OK(checkpoint(&f, &c));
        EXPECT_UINT(c.parts_written, 1);
        EXPECT(c.parts_kept + c.parts_written <= LIMIT_PARTS_PER_VGROUP);
        buf_printf(&want, "a,-,- %d %d - - -\n", i, i);
    }
    buf_put_u8(&want, 0);
    EXPECT_STR(scan_all(&f), (const char *)want.data);
    uint64_t at = f.index;
    tsdb_close(f.db);
    REQUIRE_OK(open_at(&f, at));
    EXPECT_STR(scan_all(&f), (const char *)want.data);
    buf_deinit(&want);
    fixture_close(&f);
}

TEST(checkpoint, rows_of_dropped_tables_are_left_behind_at_the_merge)
{
    struct fixture f = fixture_open(false);
    for (int i = 0; i < LIMIT_PARTS_PER_VGROUP; i++) {
        EXPECT_OK(put(&f, "a", "1 1 - - -"));
        EXPECT_OK(checkpoint(&f, NULL));
    }
    EXPECT_OK(drop_table(&f, "m"));
    struct tsdb_checkpoint c = {0};
    EXPECT_OK(checkpoint(&f, &c));
    EXPECT_UINT(c.parts_written + c.parts_kept, 0);
    EXPECT_OK(create_table(&f, "m"));
    EXPECT_OK(put(&f, "a", "2 2 - - -"));
    EXPECT_OK(checkpoint(&f, &c));
    EXPECT_UINT(c.parts_written, 1);
    EXPECT_STR(scan_all(&f), "a,-,- 2 2 - - -\n");
    fixture_close(&f);
}

TEST(checkpoint, more_rows_than_a_block_holds_become_several)
{
    struct fixture f = fixture_open(false);
    struct buf rows = {0};
    for (int i = 0; i < 20; i++) {
        buf_reset(&rows);
        for (int j = 0; j < 500; j++) {
            buf_printf(&rows, "%d %d 0.5 true t\n", j * 20 + i,
                       i); /* each batch between the others */
        }
        buf_put_u8(&rows, 0);
        EXPECT_OK(put(&f, "a", (const char *)rows.data));
    }
    struct hash128 hash = state_hash(&f);
    EXPECT_OK(checkpoint(&f, NULL));
    EXPECT_SAME_HASH(state_hash(&f), hash);
    const struct part_set *parts = f.db->versions.current->parts;
    for (unsigned i = 0; i < VGROUP_COUNT; i++) {
        if (parts->counts[i] > 0) {
            const struct part *p = parts->items[i][0];
            EXPECT_UINT(part_block_count(p), 3);
            EXPECT_UINT(part_block(p, 0)->row_count, LIMIT_BLOCK_ROWS_MAX);
            EXPECT_UINT(part_block(p, 2)->row_count, 10000 - 2 * LIMIT_BLOCK_ROWS_MAX);
        }
    }
    buf_deinit(&rows);
    fixture_close(&f);
}

/* Blocks end where their strings take too much memory, at the same row wherever
 * the rows come from. */
TEST(checkpoint, long_strings_make_short_blocks)
{
    struct fixture f = fixture_open(false);
    struct buf row = {0};
    for (int i = 0; i < 60; i++) {
        buf_reset(&row);
        buf_printf(&row, "%d 1 - - ", i * 7 % 60);
        memset(buf_extend(&row, 50000), 'a' + i % 26, 50000);
        buf_put_u8(&row, 0);
        EXPECT_OK(put(&f, "a", (const char *)row.data));
    }
    struct hash128 hash = state_hash(&f);
    EXPECT_OK(checkpoint(&f, NULL));
    EXPECT_SAME_HASH(state_hash(&f), hash);
    const struct part_set *parts = f.db->versions.current->parts;
    for (unsigned i = 0; i < VGROUP_COUNT; i++) {
        if (parts->counts[i] > 0) {
            const struct part *p = parts->items[i][0];
            EXPECT_UINT(part_block_count(p), 3);
            EXPECT_UINT(part_block(p, 0)->row_count, ROWS_HEAP_SIZE / 50000);
        }
    }
    buf_deinit(&row);
    fixture_close(&f);
}

TEST(checkpoint, without_new_rows_keeps_the_parts)
{
    struct fixture f = fixture_open(false);
    EXPECT_OK(put(&f, "a", "1 1 - - -"));
    EXPECT_OK(checkpoint(&f, NULL));
    struct tsdb_checkpoint c = {0};
    EXPECT_OK(checkpoint(&f, &c));
    EXPECT_UINT(c.parts_written, 0);
    EXPECT_UINT(c.parts_kept, 1);
    EXPECT_UINT(tsdb_checkpoint_index(f.db), f.index);
    fixture_close(&f);
}

TEST(checkpoint, the_next_one_must_wait_until_it_is_finished)
{
    struct fixture f = fixture_open(false);
    EXPECT_ERR(tsdb_checkpoint_finish(f.db, &f.err), ERR_STATE);
    EXPECT_OK(freeze(&f));
    EXPECT(tsdb_frozen(f.db));
    uint64_t index = f.index;
    EXPECT_ERR(freeze(&f), ERR_STATE);
    EXPECT_STR(f.err.text, "the checkpoint before is still being written");
    EXPECT_UINT(tsdb_applied_index(f.db), index);
    EXPECT_ERR(tsdb_checkpoint_finish(f.db, &f.err), ERR_STATE);
    EXPECT_OK(put(&f, "a", "1 1 - - -")); /* other entries go on */
    struct tsdb_checkpoint c = {0};
    EXPECT_OK(tsdb_checkpoint_write(f.db, &c, &f.err));
    EXPECT_UINT(c.index, index);
    EXPECT_UINT(tsdb_checkpoint_index(f.db), 0);
    EXPECT_OK(tsdb_checkpoint_finish(f.db, &f.err));
    EXPECT_UINT(tsdb_checkpoint_index(f.db), index);
    EXPECT(!tsdb_frozen(f.db));
    EXPECT_OK(freeze(&f));
    fixture_close(&f); /* closed in FROZEN: given up */
}

/* A write that failed can be tried again. */
TEST(checkpoint, a_full_disk_fails_the_write_and_later_it_succeeds)
{
    struct fixture f = fixture_open(false);
    EXPECT_OK(put(&f, "a", "1 1 - - -"));
    EXPECT_OK(put(&f, "b", "1 1 - - -"));
    EXPECT_OK(freeze(&f));
    struct tsdb_checkpoint c = {0};
    for (uint64_t nth = 1; nth <= 2; nth++) { /* a part, the manifest */
        fake_disk_fail(f.disk, (struct fake_disk_fault){
                                   .call = FAKE_DISK_WRITE, .nth = nth, .code = ERR_NO_SPACE});
        EXPECT_ERR(tsdb_checkpoint_write(f.db, &c, &f.err), ERR_NO_SPACE);
        EXPECT_CONTAINS(f.err.text, "writing checkpoint 5: ");
        EXPECT(tsdb_frozen(f.db));
    }
    EXPECT_OK(tsdb_checkpoint_write(f.db, &c, &f.err));
    EXPECT_OK(tsdb_checkpoint_finish(f.db, &f.err));
    EXPECT_STR(scan_all(&f), "a,-,- 1 1 - - -\nb,-,- 1 1 - - -\n");
    fixture_close(&f);
}

/* --- crashes --- */

static struct fixture crash_world(uint64_t *first)
{
    struct fixture f = fixture_open(false);
    for (int i = 0; i < LIMIT_PARTS_PER_VGROUP; i++) { /* so that the next one merges, too */
        EXPECT_OK(put(&f, "a", "1 1 - - -\n2 2 2.5 true x"));
        EXPECT_OK(put(&f, "b 7", "1 1 - - -"));
        EXPECT_OK(checkpoint(&f, NULL));
    }
    *first = f.index;
    EXPECT_OK(put(&f, "a", "2 9 - - -\n3 3 - - -"));
    EXPECT_OK(put(&f, "c", "1 1 - - -"));
    return f;
}

static const char state_old[] = "a,-,- 1 1 - - -\na,-,- 2 2 2.5 true x\nb,7,- 1 1 - - -\n";
static const char state_new[] = "a,-,- 1 1 - - -\na,-,- 2 9 - - -\na,-,- 3 3 - - -\n"
                                "b,7,- 1 1 - - -\nc,-,- 1 1 - - -\n";

static void power_fail(struct fixture *f, int how, struct random *random)
{
    if (how == 0) {
        fake_disk_power_fail_lose_all(f->disk);
    } else if (how == 1) {
        fake_disk_power_fail_keep_all(f->disk);
    } else {
        fake_disk_power_fail(f->disk, random);
    }
}

/* After the crash: the old checkpoint opens, and so does the new one once its
 * writing was reported done; entries since then apply again. */
static void check_after_crash(struct fixture *f, uint64_t old, uint64_t new_index, bool written)
{
    tsdb_close(f->db);
    f->db = NULL;
    REQUIRE_OK(open_at(f, old));
    EXPECT_STR(scan_all(f), state_old);
    EXPECT_OK(put(f, "a", "2 9 - - -\n3 3 - - -"));
    EXPECT_OK(put(f, "c", "1 1 - - -"));
    EXPECT_STR(scan_all(f), state_new);
    struct tsdb_checkpoint c = {0};
    EXPECT_OK(checkpoint(f, &c));
    EXPECT_UINT(c.index, new_index);
    EXPECT_OK(tsdb_clean(f->db, &new_index, 1, &f->err));
    EXPECT_STR(scan_all(f), state_new);
    if (written) {
        tsdb_close(f->db);
        f->db = NULL;
        REQUIRE_OK(open_at(f, new_index));
        EXPECT_STR(scan_all(f), state_new);
    }
}

/* Stops the disk at every call of freezing, writing, finishing and cleaning, and
 * loses none, all or some of what was not synced. */
TEST(checkpoint, a_crash_at_any_call_leaves_a_checkpoint_to_open)
{
    struct random random = random_seeded(9);
    unsigned crashes = 0;
    unsigned whole = 0;
    for (int how = 0; how < 6; how++) {
        for (uint64_t stop = 0;; stop++) {
            uint64_t old = 0;
            struct fixture f = crash_world(&old);
            struct tsdb_checkpoint c = {0};
            fake_disk_stop_after(f.disk, stop);
            EXPECT_OK(freeze(&f));
            uint64_t new_index = f.index;
            bool written = tsdb_checkpoint_write(f.db, &c, &f.err) == ERR_OK;
            bool cleaned = false;
            if (written) {
                EXPECT_OK(tsdb_checkpoint_finish(f.db, &f.err));
                const uint64_t keep[] = {old, new_index};
                cleaned = tsdb_clean(f.db, keep, 2, &f.err) == ERR_OK;
            }
            power_fail(&f, how, &random);
            fake_disk_clear_faults(f.disk);
            if (written) { /* what was reported done is done */
                tsdb_close(f.db);
                f.db = NULL;
                REQUIRE_OK(open_at(&f, new_index));
                EXPECT_STR(scan_all(&f), state_new);
                whole++;
            }
            check_after_crash(&f, old, new_index, written);
            fixture_close(&f);
            crashes++;
            if (cleaned) {
                break;
            }
        }
    }
    EXPECT(crashes > 150);
    EXPECT(whole > 30);
}
