/* SPDX-License-Identifier: Apache-2.0 */
#include "io/io_posix.h"
#include "tsdb/part.h"
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
    struct tsdb_checkpoint c = {0};
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

/* --- opening what is not right --- */

TEST(tsdb, a_checkpoint_that_lacks_its_manifest_is_not_opened_and_a_part_is_missed)
{
    struct fixture f = fixture_open(false);
    EXPECT_OK(put(&f, "a", "1 1 - - -"));
    EXPECT_OK(checkpoint(&f, NULL));
    uint64_t at = f.index;
    tsdb_close(f.db);
    EXPECT_ERR(open_at(&f, at + 1), ERR_CORRUPT);
    EXPECT_CONTAINS(f.err.text, "the manifest of checkpoint 5 is missing");
    EXPECT(f.db == NULL);
    struct io_name *names = NULL;
    size_t count = 0;
    REQUIRE_OK(io_list(f.io, "tsdb", &names, &count, &f.err));
    for (size_t i = 0; i < count; i++) {
        char path[IO_PATH_MAX];
        REQUIRE_OK(io_join(path, "tsdb", names[i].name, &f.err));
        if (strncmp(names[i].name, "part-", 5) == 0) {
            REQUIRE_OK(io_unlink(f.io, path, &f.err));
        }
    }
    mem_free(names);
    REQUIRE_OK(open_at(&f, at));
    EXPECT_CONTAINS(scan_all(&f), "part part-");
    struct tsdb_damage damage[TSDB_DAMAGE_MAX];
    EXPECT_UINT(tsdb_damaged(f.db, damage), 1);
    fixture_close(&f);
}

/* Each file damaged in turn: the node is told, and never serves wrong rows. */
TEST(tsdb, damage_in_any_file_is_an_error_that_names_it)
{
    struct fixture f = fixture_open(false);
    EXPECT_OK(put(&f, "a", "1 1 - - -\n2 2 2.5 true x"));
    EXPECT_OK(put(&f, "b", "1 1 - - -"));
    EXPECT_OK(checkpoint(&f, NULL));
    char *want = mem_strdup(scan_all(&f));
    uint64_t at = f.index;
    tsdb_close(f.db);
    struct io_name *names = NULL;
    size_t count = 0;
    REQUIRE_OK(io_list(f.io, "tsdb", &names, &count, &f.err));
    for (size_t i = 0; i < count; i++) {
        char path[IO_PATH_MAX];
        struct file *file = NULL;
        uint64_t size = 0;
        REQUIRE_OK(io_join(path, "tsdb", names[i].name, &f.err));
        REQUIRE_OK(io_open(f.io, path, IO_WRITE, &file, &f.err));
        REQUIRE_OK(file_size(file, &size, &f.err));
        for (uint64_t byte = 0; byte < size; byte++) {
            uint8_t old = 0;
            REQUIRE_OK(file_read_exact(file, byte, &old, 1, &f.err));
            uint8_t changed = (uint8_t)(old ^ 0x20);
            struct bytes b = bytes_of(&changed, 1);
            REQUIRE_OK(file_write_at(file, byte, &b, 1, &f.err));
            unsigned parts = 0;
            EXPECT_ERR(tsdb_verify(f.io, "tsdb", at, &parts, &f.err), ERR_CORRUPT);
            EXPECT_CONTAINS(f.err.text, names[i].name);
            if (open_at(&f, at) == ERR_OK) {
                const char *text = scan_all(&f);
                EXPECT(strcmp(text, want) == 0 || strstr(text, names[i].name) != NULL);
                tsdb_close(f.db);
            }
            b = bytes_of(&old, 1);
            REQUIRE_OK(file_write_at(file, byte, &b, 1, &f.err));
        }
        file_close(file);
    }
    mem_free(names);
    REQUIRE_OK(open_at(&f, at));
    EXPECT_STR(scan_all(&f), want);
    mem_free(want);
    fixture_close(&f);
}

TEST(tsdb, the_directory_and_its_name_are_made_durable)
{
    struct fixture f = fixture_open(false);
    EXPECT_OK(checkpoint(&f, NULL));
    uint64_t at = f.index;
    tsdb_close(f.db);
    fake_disk_power_fail_lose_all(f.disk);
    REQUIRE_OK(open_at(&f, at));
    tsdb_close(f.db);
    struct tsdb_options options = {.io = f.io, .dir = ""};
    EXPECT_ERR(tsdb_open(&options, &f.db, &f.err), ERR_RANGE);
    options.dir = "missing/deeper";
    EXPECT_ERR(tsdb_open(&options, &f.db, &f.err), ERR_NOT_FOUND);
    EXPECT_CONTAINS(f.err.text, "making missing/deeper");
    fixture_close(&f);
}

/* --- formats: what an earlier program wrote is read for ever --- */

static void read_golden(const char *name, struct buf *out)
{
    struct err e;
    char path[IO_PATH_MAX];
    REQUIRE_OK(io_join(path, TEST_DATA_DIR "/golden", name, &e));
    REQUIRE_OK(io_read_file(io_posix(), path, 1 << 20, out, &e));
}

/* The state of the golden files. */
static struct fixture golden_state(void)
{
    struct fixture f = fixture_open(false);
    EXPECT_OK(put(&f, "a 1 true", "10 1 1.5 true one\n20 -2 -0.25 false two\n30 - - - -"));
    EXPECT_OK(put(&f, "a -5", "10 9223372036854775807 1e300 true red\n11 7 0.1 - red"));
    EXPECT_OK(put(&f, "b", "7 7 7 true seven"));
    EXPECT_OK(set_setting(&f, "node.replace", "manual"));
    struct buf body = {0};
    wire_put_fixed64(&body, 1, 42);
    wire_put_uint(&body, 2, 7);
    wire_put_fixed64(&body, 3, 99);
    wire_put_str(&body, 4, "n1");
    EXPECT_OK(apply_body(&f, COMMAND_NODE_START, buf_bytes(&body)));
    buf_deinit(&body);
    uint64_t session = open_session(&f, 0);
    struct command c = {.kind = COMMAND_WRITE, .session = session, .sequence = 3};
    EXPECT_ERR(apply_command_of(&f, c), ERR_INVALID);
    tsdb_apply_configuration(f.db, ++f.index, 1, bytes_str("voters"));
    return f;
}

/* Manifests and parts of version 2: today's program writes the same bytes.
 * A new version adds files beside these. */
TEST(tsdb, kept_files_are_read_and_written_as_ever)
{
    struct fixture f = golden_state();
    struct hash128 want = state_hash(&f);
    EXPECT_OK(checkpoint(&f, NULL));
    struct io_name *names = NULL;
    size_t count = 0;
    REQUIRE_OK(io_list(f.io, "tsdb", &names, &count, &f.err));
    for (size_t i = 0; i < count; i++) {
        char path[IO_PATH_MAX];
        struct buf golden = {0};
        struct buf written = {0};
        read_golden(names[i].name, &golden);
        REQUIRE_OK(io_join(path, "tsdb", names[i].name, &f.err));
        REQUIRE_OK(io_read_file(f.io, path, 1 << 20, &written, &f.err));
        EXPECT(bytes_equal(buf_bytes(&golden), buf_bytes(&written)));
        REQUIRE_OK(io_replace_file(f.io, "tsdb", names[i].name, buf_bytes(&golden), &f.err));
        buf_deinit(&golden);
        buf_deinit(&written);
    }
    EXPECT(count >= 2);
    mem_free(names);
    uint64_t at = f.index;
    tsdb_close(f.db);
    REQUIRE_OK(open_at(&f, at));
    EXPECT_SAME_HASH(state_hash(&f), want);
    fixture_close(&f);
}

/* Nothing was released that wrote them: they are refused by name, not misread. */
TEST(tsdb, a_part_of_version_1_is_refused)
{
    struct buf old = {0};
    struct fake_disk *disk = fake_disk_create(1);
    struct err e;
    struct part *p = NULL;
    read_golden("version-1/part-687caf39afa4cd63057a307dae8ef4ac", &old);
    struct part_info info = {.hash = {UINT64_C(0x057a307dae8ef4ac), UINT64_C(0x687caf39afa4cd63)},
                             .size = old.size,
                             .vgroup = bytes_get_u16(old.data + 6),
                             .index_from = bytes_get_u64(old.data + 8),
                             .index_until = bytes_get_u64(old.data + 16)};
    char name[PART_NAME_SIZE];
    part_name(info.hash, name);
    REQUIRE_OK(io_replace_file(fake_disk_io(disk), "/", name, buf_bytes(&old), &e));
    EXPECT_ERR(part_open(fake_disk_io(disk), "/", &info, &p, &e), ERR_UNSUPPORTED);
    EXPECT_STR(e.text, "part part-687caf39afa4cd63057a307dae8ef4ac: format version 1, "
                       "this program knows 2");
    buf_deinit(&old);
    fake_disk_destroy(disk);
}
