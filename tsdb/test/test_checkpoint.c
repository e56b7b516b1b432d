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

/* --- in steps --- */

static enum err_code write_in_steps(struct fixture *f, uint64_t size_max, struct tsdb_checkpoint *c,
                                    unsigned *steps)
{
    bool done = false;
    enum err_code code = ERR_OK;
    for (*steps = 0; !done && code == ERR_OK; (*steps)++) {
        uint64_t rows = c->rows_done;
        code = tsdb_checkpoint_step(f->db, size_max, c, &done, &f->err);
        EXPECT(code != ERR_OK || c->rows_done >= rows);
        EXPECT(c->rows_done <= c->rows_total);
    }
    return code;
}

/* Several blocks in each of several VGroups, some of them to be merged. */
static struct fixture steps_world(void)
{
    struct fixture f = fixture_open(false);
    struct buf rows = {0};
    for (int i = 0; i < LIMIT_PARTS_PER_VGROUP + 1; i++) {
        for (int series = 0; series < 10; series++) {
            char tags[16];
            int from = series % 2 * 450;
            (void)snprintf(tags, sizeof tags, "s%d", series / 2);
            buf_reset(&rows);
            for (int j = from; j < from + 450; j++) {
                buf_printf(&rows, "%d %d 0.5 true text-%d\n", j * 20 + i, i * j, j * j);
            }
            buf_put_u8(&rows, 0);
            EXPECT_OK(put(&f, tags, (const char *)rows.data));
        }
        if (i < LIMIT_PARTS_PER_VGROUP) {
            EXPECT_OK(checkpoint(&f, NULL));
        }
    }
    buf_deinit(&rows);
    EXPECT_OK(freeze(&f));
    return f;
}

static void read_manifest_bytes(struct fixture *f, struct buf *out)
{
    char name[TSDB_NAME_SIZE];
    char path[IO_PATH_MAX];
    tsdb_manifest_name(f->index, name);
    EXPECT_OK(io_join(path, "tsdb", name, &f->err));
    EXPECT_OK(io_read_file(f->io, path, LIMIT_MANIFEST_SIZE_MAX, out, &f->err));
}

/* Else nodes that are not equally fast would not have the same parts. */
TEST(checkpoint, small_steps_write_the_same_bytes)
{
    struct buf whole = {0};
    struct buf stepped = {0};
    struct fixture f = steps_world();
    struct tsdb_checkpoint c = {0};
    EXPECT_OK(tsdb_checkpoint_write(f.db, &c, &f.err));
    EXPECT_UINT(c.rows_done, c.rows_total);
    read_manifest_bytes(&f, &whole);
    fixture_close(&f);

    f = steps_world();
    struct tsdb_checkpoint d = {0};
    unsigned steps = 0;
    EXPECT_OK(write_in_steps(&f, 1, &d, &steps));
    EXPECT(steps >= 2 * 5); /* of each series several batches */
    EXPECT_UINT(d.bytes_written, c.bytes_written);
    EXPECT_UINT(d.parts_written, c.parts_written);
    EXPECT_UINT(d.rows_done, c.rows_total);
    read_manifest_bytes(&f, &stepped); /* it names each part by the hash of its bytes */
    EXPECT(bytes_equal(buf_bytes(&whole), buf_bytes(&stepped)));
    EXPECT_OK(tsdb_checkpoint_finish(f.db, &f.err));
    fixture_close(&f);
    buf_deinit(&whole);
    buf_deinit(&stepped);
}

static size_t count_files(struct fixture *f)
{
    struct io_name *names = NULL;
    size_t count = 0;
    EXPECT_OK(io_list(f->io, "tsdb", &names, &count, &f->err));
    mem_free(names);
    return count;
}

TEST(checkpoint, one_given_up_between_two_steps_leaves_no_unfinished_file)
{
    struct fixture f = steps_world();
    size_t files = count_files(&f);
    uint64_t before = tsdb_checkpoint_index(f.db);
    struct tsdb_checkpoint c = {0};
    bool done = false;
    EXPECT_OK(tsdb_checkpoint_step(f.db, 1, &c, &done, &f.err));
    EXPECT(!done);
    EXPECT_UINT(count_files(&f), files + 1);
    tsdb_close(f.db);
    f.db = NULL;
    EXPECT_UINT(count_files(&f), files);
    REQUIRE_OK(open_at(&f, before));
    fixture_close(&f);
}

/* --- only what changed --- */

/* The VGroup of the only part that there is. */
static unsigned vgroup_of_part(const struct fixture *f)
{
    const struct part_set *parts = f->db->versions.current->parts;
    unsigned found = VGROUP_COUNT;
    for (unsigned i = 0; i < VGROUP_COUNT; i++) {
        EXPECT(parts->counts[i] == 0 || found == VGROUP_COUNT);
        found = parts->counts[i] > 0 ? i : found;
    }
    REQUIRE(found < VGROUP_COUNT);
    return found;
}

static unsigned vgroup_of(const char *tags)
{
    struct fixture f = fixture_open(false);
    EXPECT_OK(put(&f, tags, "1 1 - - -"));
    EXPECT_OK(checkpoint(&f, NULL));
    unsigned vgroup = vgroup_of_part(&f);
    fixture_close(&f);
    return vgroup;
}

/* However often others are written and merged. */
TEST(checkpoint, parts_of_a_table_that_nobody_writes_to_are_not_written_again)
{
    struct fixture f = fixture_open(false);
    EXPECT_OK(create_table(&f, "quiet"));
    EXPECT_OK(put_in(&f, "quiet", "a", "1 1 - - -\n2 2 - - -"));
    EXPECT_OK(checkpoint(&f, NULL));
    unsigned quiet = vgroup_of_part(&f);
    struct hash128 hash = part_info(f.db->versions.current->parts->items[quiet][0])->hash;
    unsigned loud = 0;
    for (int i = 0; loud < 3 * LIMIT_PARTS_PER_VGROUP; i++) {
        REQUIRE(i < 1000);
        char tags[16];
        (void)snprintf(tags, sizeof tags, "s%d", i);
        if (vgroup_of(tags) == quiet) {
            continue;
        }
        loud++;
        struct tsdb_checkpoint c = {0};
        EXPECT_OK(put(&f, tags, "1 1 - - -"));
        EXPECT_OK(checkpoint(&f, &c));
        EXPECT_UINT(c.parts_written, 1);
        const struct part_set *parts = f.db->versions.current->parts;
        REQUIRE_UINT(parts->counts[quiet], 1);
        EXPECT_SAME_HASH(part_info(parts->items[quiet][0])->hash, hash);
    }
    fixture_close(&f);
}

/* Merging writes a row again about once each time that the parts have grown
 * three-fold, not once a checkpoint. */
TEST(checkpoint, a_row_is_written_again_only_a_logarithmic_number_of_times)
{
    enum { ROUNDS = 256, ROWS = 200, TIMES_MAX = 6 };
    struct fixture f = fixture_open(false);
    struct random random = random_seeded(4);
    struct buf rows = {0};
    uint64_t rows_written = 0;
    for (int i = 0; i < ROUNDS; i++) {
        buf_reset(&rows);
        for (int j = 0; j < ROWS; j++) {
            buf_printf(&rows, "%d %d - - -\n", i * ROWS + j, (int)random_below(&random, 1000000));
        }
        buf_put_u8(&rows, 0);
        EXPECT_OK(put(&f, "a", (const char *)rows.data));
        struct tsdb_checkpoint c = {0};
        EXPECT_OK(checkpoint(&f, &c));
        EXPECT_UINT(c.rows_done, c.rows_total);
        rows_written += c.rows_done;
    }
    test_context("%.2f times", (double)rows_written / (ROUNDS * ROWS));
    EXPECT(rows_written > (uint64_t)ROUNDS * ROWS);
    EXPECT(rows_written < (uint64_t)TIMES_MAX * ROUNDS * ROWS);
    buf_deinit(&rows);
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
    for (int how = 0; how < 8; how++) {
        uint64_t size_max = how < 6 ? UINT64_MAX : 1;
        for (uint64_t stop = 0;; stop++) {
            uint64_t old = 0;
            struct fixture f = crash_world(&old);
            struct tsdb_checkpoint c = {0};
            fake_disk_stop_after(f.disk, stop);
            EXPECT_OK(freeze(&f));
            uint64_t new_index = f.index;
            unsigned steps = 0;
            bool written = write_in_steps(&f, size_max, &c, &steps) == ERR_OK;
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
