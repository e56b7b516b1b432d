/* SPDX-License-Identifier: Apache-2.0 */
#include "tsdb/part.h"

#include "testkit/test.h"
#include "tsdb/test/random_rows.h"

static struct err err;

/* A part of a few series with a few blocks each. */
struct sample {
    struct fake_disk *disk;
    struct io *io;
    struct table *table;
    struct part_info info;
    struct rows rows[3]; /* of series 5, 9, 12 */
};

static const uint64_t ids[] = {5, 9, 12};

static void write_sample(struct sample *s, size_t rows_each, size_t rows_per_block)
{
    struct part_writer *w = NULL;
    s->info = (struct part_info){.vgroup = 2, .index_from = 11, .index_until = 20};
    REQUIRE_OK(part_writer_open(s->io, "/", &s->info, &w, &err));
    for (size_t i = 0; i < 3; i++) {
        for (size_t from = 0; from < rows_each; from += rows_per_block) {
            size_t to = from + rows_per_block < rows_each ? from + rows_per_block : rows_each;
            EXPECT_OK(part_writer_add(w, ids[i], &s->rows[i], from, to, &err));
        }
    }
    EXPECT_OK(part_writer_finish(w, &s->info, &err));
    part_writer_close(w);
    EXPECT_OK(io_sync_dir(s->io, "/", &err));
}

static struct sample sample_open(uint64_t seed, size_t rows_each, size_t rows_per_block)
{
    struct sample s = {.disk = fake_disk_create(1), .table = example_table()};
    s.io = fake_disk_io(s.disk);
    struct random random = random_seeded(seed);
    for (size_t i = 0; i < 3; i++) {
        rows_init(&s.rows[i], s.table, all_places, 4);
        add_random_rows(&s.rows[i], rows_each, &random);
    }
    write_sample(&s, rows_each, rows_per_block);
    return s;
}

static void sample_close(struct sample *s)
{
    for (size_t i = 0; i < 3; i++) {
        rows_deinit(&s->rows[i]);
    }
    table_unref(s->table);
    EXPECT_UINT(fake_disk_open_files(s->disk), 0);
    fake_disk_destroy(s->disk);
}

/* Everything of one series, through a source. */
static enum err_code read_series(struct sample *s, struct part *p, uint64_t id, struct rows *out)
{
    struct part_source source;
    struct rows batch;
    rows_init(&batch, s->table, all_places, 4);
    part_source_init(&source, p, id, INT64_MIN, INT64_MAX);
    enum err_code code = ERR_OK;
    do {
        code = part_source_next(&source, &batch, &err);
        if (code == ERR_OK) {
            rows_append(out, &batch, 0, batch.count);
        }
    } while (code == ERR_OK && batch.count > 0);
    part_source_deinit(&source);
    rows_deinit(&batch);
    return code;
}

TEST(part, what_was_written_is_read)
{
    struct sample s = sample_open(1, 100, 30);
    struct part *p = NULL;
    REQUIRE_OK(part_open(s.io, "/", &s.info, &p, &err));
    EXPECT_UINT(part_block_count(p), 12);
    EXPECT_UINT(part_info(p)->row_count, 300);
    size_t first = 0;
    size_t end = 0;
    part_find(p, 9, &first, &end);
    EXPECT_UINT(first, 4);
    EXPECT_UINT(end, 8);
    part_find(p, 10, &first, &end);
    EXPECT(first == end);
    for (size_t i = 0; i < 3; i++) {
        struct rows rows;
        rows_init(&rows, s.table, all_places, 4);
        EXPECT_OK(read_series(&s, p, ids[i], &rows));
        EXPECT(same_rows(&rows, &s.rows[i]));
        rows_clear(&rows);
        EXPECT_OK(read_series(&s, p, ids[i] + 1, &rows));
        EXPECT_UINT(rows.count, 0);
        rows_deinit(&rows);
    }
    EXPECT_OK(part_verify(p, &err));
    struct part *again = part_ref(p);
    part_close(p);
    EXPECT_UINT(part_block_count(again), 12);
    part_close(again);
    part_close(NULL);
    sample_close(&s);
}

/* Rows from place 'from' to place 'until' of series 9, both included. */
static void expect_range(struct part *p, const struct rows *want, struct rows *rows, size_t from,
                         size_t until)
{
    struct part_source source;
    part_source_init(&source, p, 9, want->times[from], want->times[until]);
    size_t at = from;
    do {
        EXPECT_OK(part_source_next(&source, rows, &err));
        for (size_t i = 0; i < rows->count; i++, at++) {
            EXPECT(same_row(rows, i, want, at));
        }
    } while (rows->count > 0);
    EXPECT_UINT(at, until + 1);
    part_source_deinit(&source);
}

TEST(part, a_time_range_skips_blocks_and_trims_rows)
{
    struct sample s = sample_open(2, 100, 10);
    struct part *p = NULL;
    REQUIRE_OK(part_open(s.io, "/", &s.info, &p, &err));
    const struct rows *want = &s.rows[1];
    struct rows rows;
    rows_init(&rows, s.table, all_places, 4);
    for (size_t from = 0; from < 100; from += 7) {
        for (size_t until = from; until < 100; until += 11) {
            expect_range(p, want, &rows, from, until);
        }
    }
    uint64_t reads = fake_disk_calls_of(s.disk, FAKE_DISK_READ);
    struct part_source source;
    part_source_init(&source, p, 9, want->times[25], want->times[27]);
    EXPECT_OK(part_source_next(&source, &rows, &err));
    EXPECT_UINT(rows.count, 3);
    EXPECT_OK(part_source_next(&source, &rows, &err));
    EXPECT_UINT(rows.count, 0);
    EXPECT_UINT(fake_disk_calls_of(s.disk, FAKE_DISK_READ), reads + 1);
    part_source_deinit(&source);
    rows_deinit(&rows);
    part_close(p);
    sample_close(&s);
}

TEST(part, the_same_content_has_the_same_bytes_and_name)
{
    struct sample a = sample_open(3, 50, 20);
    struct sample b = sample_open(3, 50, 20);
    struct sample c = sample_open(4, 50, 20);
    EXPECT_UINT(a.info.hash.low, b.info.hash.low);
    EXPECT_UINT(a.info.hash.high, b.info.hash.high);
    EXPECT_UINT(a.info.size, b.info.size);
    EXPECT(a.info.hash.low != c.info.hash.low);
    sample_close(&a);
    sample_close(&b);
    sample_close(&c);
}

TEST(part, without_rows_leaves_no_file)
{
    struct fake_disk *disk = fake_disk_create(1);
    struct io *io = fake_disk_io(disk);
    struct part_info info = {.vgroup = 0, .index_from = 1, .index_until = 2};
    struct part_writer *w = NULL;
    REQUIRE_OK(part_writer_open(io, "/", &info, &w, &err));
    EXPECT_OK(part_writer_finish(w, &info, &err));
    EXPECT_UINT(info.row_count, 0);
    part_writer_close(w);
    part_writer_close(NULL);
    struct io_name *names = NULL;
    size_t count = 0;
    EXPECT_OK(io_list(io, "/", &names, &count, &err));
    EXPECT_UINT(count, 0);
    mem_free(names);
    fake_disk_destroy(disk);
}

/* --- damage --- */

static struct file *open_file(struct sample *s, char path[IO_PATH_MAX])
{
    char name[PART_NAME_SIZE];
    struct file *file = NULL;
    part_name(s->info.hash, name);
    REQUIRE_OK(io_join(path, "/", name, &err));
    REQUIRE_OK(io_open(s->io, path, IO_WRITE, &file, &err));
    return file;
}

/* Opens and reads all. ERR_OK only if every row is as it was written. */
static enum err_code read_all(struct sample *s)
{
    struct part *p = NULL;
    enum err_code code = part_open(s->io, "/", &s->info, &p, &err);
    for (size_t i = 0; i < 3 && code == ERR_OK; i++) {
        struct rows rows;
        rows_init(&rows, s->table, all_places, 4);
        code = read_series(s, p, ids[i], &rows);
        EXPECT(code != ERR_OK || same_rows(&rows, &s->rows[i]));
        rows_deinit(&rows);
    }
    if (p != NULL) {
        EXPECT(part_verify(p, NULL) != ERR_OK || code == ERR_OK);
    }
    part_close(p);
    return code;
}

/* Every byte of the file in turn: never wrong rows, never a crash; and the
 * hash of the content notices each. */
TEST(part, every_changed_byte_is_noticed)
{
    struct sample s = sample_open(5, 6, 3);
    char path[IO_PATH_MAX];
    struct file *file = open_file(&s, path);
    EXPECT_OK(read_all(&s));
    unsigned missed = 0;
    for (uint64_t at = 0; at < s.info.size; at++) {
        uint8_t byte = 0;
        REQUIRE_OK(file_read_exact(file, at, &byte, 1, &err));
        uint8_t changed = (uint8_t)(byte ^ (1U << (at % 8)));
        struct bytes b = bytes_of(&changed, 1);
        REQUIRE_OK(file_write_at(file, at, &b, 1, &err));
        enum err_code code = read_all(&s);
        missed += code == ERR_OK ? 1 : 0;
        EXPECT(code == ERR_OK || code == ERR_CORRUPT || code == ERR_UNSUPPORTED);
        EXPECT(code == ERR_OK || strncmp(err.text, "part part-", 10) == 0);
        b = bytes_of(&byte, 1);
        REQUIRE_OK(file_write_at(file, at, &b, 1, &err));
    }
    EXPECT_UINT(missed, 0);
    file_close(file);
    sample_close(&s);
}

TEST(part, a_file_cut_or_grown_is_refused)
{
    struct sample s = sample_open(6, 6, 3);
    char path[IO_PATH_MAX];
    struct file *file = open_file(&s, path);
    struct part *p = NULL;
    for (uint64_t size = 0; size < s.info.size; size += 13) {
        REQUIRE_OK(file_resize(file, size, &err));
        EXPECT_ERR(part_open(s.io, "/", &s.info, &p, &err), ERR_CORRUPT);
    }
    REQUIRE_OK(file_resize(file, s.info.size + 1, &err));
    EXPECT_ERR(part_open(s.io, "/", &s.info, &p, &err), ERR_CORRUPT);
    EXPECT_CONTAINS(err.text, "bytes, it should have");
    file_close(file);
    REQUIRE_OK(io_unlink(s.io, path, &err));
    EXPECT_ERR(part_open(s.io, "/", &s.info, &p, &err), ERR_NOT_FOUND);
    sample_close(&s);
}

/* A whole part under another one's description. */
TEST(part, one_that_is_not_the_one_listed_is_refused)
{
    struct sample s = sample_open(7, 6, 3);
    struct part *p = NULL;
    struct part_info info = s.info;
    info.vgroup = 1;
    EXPECT_ERR(part_open(s.io, "/", &info, &p, &err), ERR_CORRUPT);
    EXPECT_CONTAINS(err.text, "the header is that of another part");
    info = s.info;
    info.row_count++;
    EXPECT_ERR(part_open(s.io, "/", &info, &p, &err), ERR_CORRUPT);
    EXPECT_CONTAINS(err.text, "the footer is that of another part");
    info = s.info;
    info.index_until++;
    EXPECT_ERR(part_open(s.io, "/", &info, &p, &err), ERR_CORRUPT);
    sample_close(&s);
}

TEST(part, read_errors_are_told)
{
    struct sample s = sample_open(8, 6, 3);
    struct part *p = NULL;
    for (uint64_t nth = 1; nth <= 3; nth++) {
        fake_disk_fail(
            s.disk, (struct fake_disk_fault){.call = FAKE_DISK_READ, .nth = nth, .code = ERR_IO});
        EXPECT_ERR(part_open(s.io, "/", &s.info, &p, &err), ERR_IO);
        EXPECT_CONTAINS(err.text, "part part-");
    }
    REQUIRE_OK(part_open(s.io, "/", &s.info, &p, &err));
    struct rows rows;
    struct buf scratch = {0};
    rows_init(&rows, s.table, all_places, 4);
    fake_disk_fail_next(s.disk, FAKE_DISK_READ, ERR_IO);
    EXPECT_ERR(part_read(p, 1, &scratch, &rows, &err), ERR_IO);
    EXPECT_UINT(rows.count, 0);
    EXPECT_OK(part_read(p, 1, &scratch, &rows, &err));
    EXPECT_UINT(rows.count, 3);
    buf_deinit(&scratch);
    rows_deinit(&rows);
    part_close(p);
    sample_close(&s);
}

/* Whatever call fails: an error that names the file, and nothing left behind. */
TEST(part, a_failed_write_leaves_no_part)
{
    struct sample s = sample_open(9, 40, 10);
    struct part_info info = {.vgroup = 3, .index_from = 1, .index_until = 9};
    uint64_t calls = fake_disk_calls(s.disk);
    for (uint64_t n = 0;; n++) {
        struct part_writer *w = NULL;
        fake_disk_stop_after(s.disk, n);
        enum err_code code = part_writer_open(s.io, "/", &info, &w, &err);
        if (code == ERR_OK) {
            code = part_writer_add(w, 1, &s.rows[0], 0, 40, &err);
        }
        struct part_info made = {{0}, 0, 0, 0, 0, 0};
        if (code == ERR_OK) {
            code = part_writer_finish(w, &made, &err);
        }
        fake_disk_clear_faults(s.disk);
        part_writer_close(w);
        if (code == ERR_OK) {
            EXPECT_UINT(made.row_count, 40);
            EXPECT(n > 3);
            break;
        }
        EXPECT_INT(code, ERR_IO);
        EXPECT_CONTAINS(err.text, "writing");
    }
    EXPECT(fake_disk_calls(s.disk) > calls);
    sample_close(&s);
}

TEST(part, names_are_those_of_their_hash)
{
    char name[PART_NAME_SIZE];
    part_name((struct hash128){0xabc, 0x1}, name);
    EXPECT_STR(name, "part-00000000000000010000000000000abc");
}
