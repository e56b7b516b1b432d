/* SPDX-License-Identifier: Apache-2.0 */
#include "tsdb/manifest.h"

#include "base/crc32c.h"
#include "testkit/test.h"
#include "tsdb/series.h"
#include "tsdb/test/fixture.h"

/* A manifest with something in each of its pieces. */
static struct fixture sample(struct buf *file)
{
    struct fixture f = fixture_open(false);
    EXPECT_OK(put(&f, "a 1 true", "1 1 1 true x"));
    EXPECT_OK(put(&f, "b", "2 2 2 true y"));
    EXPECT_OK(set_setting(&f, "node.replace", "manual"));
    uint64_t session = open_session(&f, 0);
    struct command c = {.kind = COMMAND_WRITE, .session = session, .sequence = 1};
    EXPECT_ERR(apply_command_of(&f, c), ERR_INVALID);
    struct buf body = {0};
    wire_put_fixed64(&body, 1, 42);
    wire_put_uint(&body, 2, 7);
    EXPECT_OK(apply_body(&f, COMMAND_NODE_START, buf_bytes(&body)));
    buf_deinit(&body);
    tsdb_apply_configuration(f.db, ++f.index, 1, bytes_str("voters"));
    EXPECT_OK(checkpoint(&f, NULL));
    char name[TSDB_NAME_SIZE];
    char path[IO_PATH_MAX];
    tsdb_manifest_name(f.index, name);
    REQUIRE_OK(io_join(path, "tsdb", name, &f.err));
    REQUIRE_OK(io_read_file(f.io, path, 1 << 20, file, &f.err));
    return f;
}

TEST(manifest, holds_all_but_the_rows)
{
    struct buf file = {0};
    struct fixture f = sample(&file);
    struct manifest m;
    REQUIRE_OK(manifest_decode(buf_bytes(&file), &m, &f.err));
    EXPECT_UINT(m.index, f.index);
    EXPECT_UINT(m.term, 1);
    EXPECT(m.part_count >= 1);
    EXPECT_UINT(m.parts[0].index_until, f.index);
    EXPECT_UINT(catalog_table_count(m.catalog), 1);
    EXPECT_UINT(series_set_count(catalog_table(m.catalog, 0)->series), 2);
    EXPECT_UINT(m.series_id_next, 3);
    EXPECT_INT(settings_value(m.settings, "node.replace"), 1);
    EXPECT_UINT(sessions_count(m.sessions), 1);
    EXPECT_UINT(m.nodes.count, 1);
    EXPECT(bytes_equal(buf_bytes(&m.configuration), bytes_str("voters")));
    manifest_deinit(&m);
    manifest_deinit(&m); /* one of zeros is fine */
    REQUIRE_OK(manifest_decode_parts(buf_bytes(&file), &m, &f.err));
    EXPECT_UINT(m.index, f.index);
    EXPECT(m.catalog == NULL);
    manifest_deinit(&m);
    buf_deinit(&file);
    fixture_close(&f);
}

TEST(manifest, every_changed_bit_is_noticed)
{
    struct buf file = {0};
    struct fixture f = sample(&file);
    struct manifest m;
    for (size_t i = 0; i < file.size; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            file.data[i] ^= (uint8_t)(1U << bit);
            EXPECT_ERR(manifest_decode(buf_bytes(&file), &m, &f.err), ERR_CORRUPT);
            file.data[i] ^= (uint8_t)(1U << bit);
        }
    }
    for (size_t size = 0; size < file.size; size++) {
        EXPECT_ERR(manifest_decode(bytes_of(file.data, size), &m, &f.err), ERR_CORRUPT);
    }
    EXPECT_OK(manifest_decode(buf_bytes(&file), &m, &f.err));
    manifest_deinit(&m);
    buf_deinit(&file);
    fixture_close(&f);
}

static void repair(struct buf *file)
{
    bytes_put_u64(file->data + 8, file->size);
    uint32_t crc = crc32c(0, file->data, 16);
    bytes_put_u32(file->data + 16, crc32c(crc, file->data + 20, file->size - 20));
}

TEST(manifest, changed_bytes_with_a_right_checksum_are_decoded_safely)
{
    struct buf file = {0};
    struct fixture f = sample(&file);
    struct manifest m;
    unsigned refused = 0;
    for (size_t i = 20; i < file.size; i++) {
        for (unsigned change = 1; change < 256; change = change * 3 + 1) {
            uint8_t old = file.data[i];
            file.data[i] = (uint8_t)(old + change);
            repair(&file);
            enum err_code code = manifest_decode(buf_bytes(&file), &m, &f.err);
            EXPECT(code == ERR_OK || code == ERR_CORRUPT || code == ERR_UNSUPPORTED);
            refused += code != ERR_OK ? 1 : 0;
            manifest_deinit(&m);
            file.data[i] = old;
        }
    }
    EXPECT(refused > file.size);
    for (size_t size = file.size - 1; size > 20; size--) {
        file.size = size;
        repair(&file);
        EXPECT_ERR(manifest_decode(buf_bytes(&file), &m, &f.err), ERR_CORRUPT);
    }
    buf_deinit(&file);
    fixture_close(&f);
}

TEST(manifest, a_newer_version_is_refused_as_such)
{
    struct buf file = {0};
    struct fixture f = sample(&file);
    struct manifest m;
    bytes_put_u16(file.data + 4, MANIFEST_VERSION + 1);
    repair(&file);
    EXPECT_ERR(manifest_decode(buf_bytes(&file), &m, &f.err), ERR_UNSUPPORTED);
    EXPECT_STR(f.err.text, "it has format version 3, this program knows 2");
    buf_deinit(&file);
    fixture_close(&f);
}

TEST(manifest, one_of_another_index_or_missing_is_told)
{
    struct buf file = {0};
    struct fixture f = sample(&file);
    struct manifest m;
    EXPECT_ERR(manifest_read(f.io, "tsdb", 99, false, &m, &f.err), ERR_NOT_FOUND);
    char name[TSDB_NAME_SIZE];
    tsdb_manifest_name(99, name);
    REQUIRE_OK(io_replace_file(f.io, "tsdb", name, buf_bytes(&file), &f.err));
    EXPECT_ERR(manifest_read(f.io, "tsdb", 99, false, &m, &f.err), ERR_CORRUPT);
    EXPECT_STR(f.err.text, "manifest checkpoint-0000000000000063: it is that of index 10");
    EXPECT_OK(manifest_read(f.io, "tsdb", f.index, true, &m, &f.err));
    manifest_deinit(&m);
    buf_deinit(&file);
    fixture_close(&f);
}
