/* SPDX-License-Identifier: Apache-2.0 */
#include "testkit/fake_disk_damage.h"
#include "testkit/test.h"
#include "tsdb/part.h"
#include "tsdb/test/fixture.h"

enum { SERIES = 12, STEPS_MAX = 100000 };

static struct fixture open_with_parts(void)
{
    struct fixture f = fixture_open(false);
    for (int i = 0; i < SERIES; i++) {
        char tags[16];
        (void)snprintf(tags, sizeof tags, "h%d", i);
        EXPECT_OK(put(&f, tags, "1 1 1.5 true x\n2 2 2.5 - some_text"));
        if (i % 4 == 3) {
            EXPECT_OK(checkpoint(&f, NULL));
        }
    }
    return f;
}

/* The sizes of all part files together, and the path of the last one. */
static uint64_t parts_size(struct fixture *f, char path[IO_PATH_MAX])
{
    struct io_name *names = NULL;
    size_t count = 0;
    uint64_t size = 0;
    REQUIRE_OK(io_list(f->io, "tsdb", &names, &count, &f->err));
    for (size_t i = 0; i < count; i++) {
        if (strncmp(names[i].name, "part-", 5) == 0) {
            REQUIRE_OK(io_join(path, "tsdb", names[i].name, &f->err));
            size += fake_disk_file_size(f->disk, path);
        }
    }
    mem_free(names);
    return size;
}

/* Steps until every part was read; the bytes. */
static uint64_t read_all(struct fixture *f, struct tsdb_scrub *s, size_t step, bool *damaged)
{
    uint64_t size = 0;
    *damaged = false;
    for (unsigned i = 0; i < STEPS_MAX; i++) {
        struct tsdb_scrubbed done = tsdb_scrub_step(s, f->db, step);
        EXPECT(done.size <= step);
        size += done.size;
        *damaged |= done.damaged;
        if (done.all_read) {
            return size;
        }
    }
    EXPECT(false);
    return 0;
}

TEST(scrub, reads_every_part_once_a_round_in_steps_of_any_size)
{
    struct fixture f = open_with_parts();
    char path[IO_PATH_MAX] = "";
    uint64_t size = parts_size(&f, path);
    static const size_t steps[] = {1, 7, 100, 1 << 20};
    for (size_t i = 0; i < 4; i++) {
        struct tsdb_scrub *s = tsdb_scrub_open(0);
        for (int round = 0; round < 2; round++) {
            bool damaged = false;
            EXPECT_UINT(read_all(&f, s, steps[i], &damaged), size);
            EXPECT(!damaged);
        }
        tsdb_scrub_close(s);
    }
    fixture_close(&f);
}

/* Every byte, in a file that is open and was read before; and sectors that can't be read. */
TEST(scrub, finds_damage_anywhere_in_a_part)
{
    struct fixture f = open_with_parts();
    char path[IO_PATH_MAX] = "";
    (void)parts_size(&f, path);
    uint64_t size = fake_disk_file_size(f.disk, path);
    struct tsdb_damage found[TSDB_DAMAGE_MAX];
    for (uint64_t at = 0; at <= size; at++) {
        struct tsdb_scrub *s = tsdb_scrub_open(at);
        bool damaged = false;
        if (at < size) {
            fake_disk_flip_bit(f.disk, path, at, (unsigned)(at % 8));
        } else {
            fake_disk_read_error(f.disk, path, 0, 1);
        }
        (void)read_all(&f, s, 333, &damaged); /* it began in the middle */
        (void)read_all(&f, s, 333, &damaged);
        REQUIRE_UINT(tsdb_damaged(f.db, found), 1);
        EXPECT_CONTAINS(path, found[0].file.name);
        if (at < size) {
            fake_disk_flip_bit(f.disk, path, at, (unsigned)(at % 8));
            EXPECT_OK(tsdb_refilled(f.db, found[0].file.name, &f.err));
        }
        tsdb_scrub_close(s);
    }
    fixture_close(&f);
}

/* Wherever it starts, the second round has read all. */
TEST(scrub, starts_anywhere)
{
    struct fixture f = open_with_parts();
    char path[IO_PATH_MAX] = "";
    uint64_t size = parts_size(&f, path);
    for (uint64_t start = 0; start < 100; start++) {
        struct tsdb_scrub *s = tsdb_scrub_open(start * 1000003);
        bool damaged = false;
        EXPECT(read_all(&f, s, 1000, &damaged) <= size);
        EXPECT_UINT(read_all(&f, s, 1000, &damaged), size);
        tsdb_scrub_close(s);
    }
    fixture_close(&f);
}

/* Parts that are merged while one of them is being read. */
TEST(scrub, goes_on_when_parts_are_replaced)
{
    struct fixture f = open_with_parts();
    struct tsdb_scrub *s = tsdb_scrub_open(0);
    for (int i = 0; i < 60; i++) {
        EXPECT(!tsdb_scrub_step(s, f.db, 100).damaged);
        EXPECT_OK(put(&f, "h1", "3 3 - - -"));
        EXPECT_OK(checkpoint(&f, NULL));
        EXPECT_OK(tsdb_clean(f.db, &f.index, 1, &f.err));
    }
    char path[IO_PATH_MAX] = "";
    bool damaged = false;
    (void)read_all(&f, s, 100, &damaged);
    EXPECT_UINT(read_all(&f, s, 100, &damaged), parts_size(&f, path));
    EXPECT(!damaged);
    tsdb_scrub_close(s);
    fixture_close(&f);
}
