/* SPDX-License-Identifier: Apache-2.0 */
/* A node alone whose parts go bad: there is nobody to refill them from, so it says
 * what is lost, refuses reads of it, and loses nothing else. Clusters are played in
 * sim/test/test_part_damage.c. */
#include <string.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "node/test/solo.h"
#include "testkit/fake_disk_damage.h"
#include "testkit/test.h"
#include "tsdb/part.h"

enum { ROWS = 5 };

/* Where a byte of a part flips: found by a read, or by a start. */
enum place { IN_BLOCK, IN_FOOTER };

static void make_checkpoint(struct solo *s)
{
    EXPECT_OK(solo_propose(s, COMMAND_CHECKPOINT, (struct bytes){0}));
    solo_run(s, 1000);
}

static void flip_parts(struct solo *s, enum place place)
{
    struct io_name *names = NULL;
    size_t count = 0;
    unsigned flipped = 0;
    struct err e;
    REQUIRE_OK(io_list(fake_disk_io(s->disk), "/data/tsdb", &names, &count, &e));
    for (size_t i = 0; i < count; i++) {
        char path[IO_PATH_MAX];
        REQUIRE_OK(io_join(path, "/data/tsdb", names[i].name, &e));
        if (strncmp(names[i].name, "part-", 5) == 0) {
            uint64_t size = fake_disk_file_size(s->disk, path);
            fake_disk_flip_bit(s->disk, path, place == IN_BLOCK ? PART_HEADER_SIZE + 5 : size - 10,
                               2);
            flipped++;
        }
    }
    mem_free(names);
    EXPECT(flipped > 0);
}

static void expect_lost(struct solo *s)
{
    EXPECT_INT(solo_count(s), -1);
    member_damage_seen(s->member);
    solo_run(s, 3000);
    struct member_status status = member_status(s->member);
    EXPECT(status.healthy);
    EXPECT_UINT(status.damage.parts_found, 1);
    EXPECT_UINT(status.damage.parts_waiting, 1);
    EXPECT_UINT(status.damage.parts_refilled, 0);
    EXPECT_CONTAINS(status.message, "is damaged");
    EXPECT_CONTAINS(status.message, "its rows can't be read; all others can");
}

static void open_with_part(struct solo *s, unsigned level)
{
    solo_open(s, (struct solo_options){.wal_level = level});
    solo_run(s, 1500);
    EXPECT_OK(solo_make_table(s));
    for (int64_t i = 1; i <= ROWS; i++) {
        EXPECT_OK(solo_write(s, i));
    }
    make_checkpoint(s);
}

/* With Raft or without. The bytes come back: so do the rows. */
TEST(member_refill, a_node_alone_says_what_it_lost_and_goes_on)
{
    for (unsigned level = 2; level <= 3; level++) {
        for (int start = 0; start < 2; start++) {
            struct solo s;
            open_with_part(&s, level);
            EXPECT_INT(solo_count(&s), ROWS);
            enum place place = start != 0 ? IN_FOOTER : IN_BLOCK;
            if (start != 0) {
                solo_crash(&s, false);
            }
            flip_parts(&s, place);
            if (start != 0) {
                solo_start(&s);
                solo_run(&s, 3000);
            }
            expect_lost(&s);
            EXPECT_OK(solo_write(&s, 1000)); /* writes go on */
            flip_parts(&s, place);
            solo_run(&s, 70000);
            EXPECT_UINT(member_status(s.member).damage.parts_waiting, 0);
            EXPECT_INT(solo_count(&s), ROWS + 1);
            solo_close(&s);
        }
    }
}

/* As a crash leaves them that comes between the last byte of a refill and its move. */
static void copy_parts_to_incoming(struct solo *s)
{
    struct io *io = fake_disk_io(s->disk);
    struct io_name *names = NULL;
    size_t count = 0;
    struct err e;
    REQUIRE_OK(io_list(io, "/data/tsdb", &names, &count, &e));
    REQUIRE_OK(io_mkdir(io, "/data/tsdb/incoming", &e));
    for (size_t i = 0; i < count; i++) {
        char path[IO_PATH_MAX];
        struct buf bytes = {0};
        REQUIRE_OK(io_join(path, "/data/tsdb", names[i].name, &e));
        if (strncmp(names[i].name, "part-", 5) == 0) {
            REQUIRE_OK(io_read_file(io, path, LIMIT_MIB, &bytes, &e));
            REQUIRE_OK(
                io_replace_file(io, "/data/tsdb/incoming", names[i].name, buf_bytes(&bytes), &e));
        }
        buf_deinit(&bytes);
    }
    mem_free(names);
}

/* It is read back where it is used, not where it lies: else the node takes the damaged
 * one for mended, for ever (simulator, seed 16733). */
TEST(member_refill, a_twin_that_a_crash_left_beside_a_damaged_part_takes_its_place)
{
    struct solo s;
    open_with_part(&s, 3);
    copy_parts_to_incoming(&s);
    flip_parts(&s, IN_BLOCK);
    EXPECT_INT(solo_count(&s), -1);
    member_damage_seen(s.member);
    solo_run(&s, 3000);
    EXPECT_INT(solo_count(&s), ROWS);
    struct member_status status = member_status(s.member);
    EXPECT_UINT(status.damage.parts_found, 1);
    EXPECT_UINT(status.damage.parts_refilled, 1);
    EXPECT_UINT(status.damage.parts_waiting, 0);
    solo_close(&s);
}

/* Checkpoints leave a damaged part as it is, with its rows for who can mend it, and
 * keep all that is written after it. */
TEST(member_refill, checkpoints_of_a_node_alone_spare_a_damaged_part)
{
    struct solo s;
    open_with_part(&s, 2);
    flip_parts(&s, IN_BLOCK);
    expect_lost(&s);
    for (int64_t i = 0; i < 3 * LIMIT_PARTS_PER_VGROUP; i++) {
        EXPECT_OK(solo_write(&s, 1000 + i));
        uint64_t index = member_status(s.member).checkpoint_index;
        make_checkpoint(&s);
        EXPECT(member_status(s.member).checkpoint_index > index);
    }
    solo_crash(&s, true);
    solo_start(&s);
    solo_run(&s, 3000);
    EXPECT_INT(solo_count(&s), -1);
    struct member_status status = member_status(s.member);
    EXPECT(status.healthy);
    solo_close(&s);
}

/* All of its state but the rows is in the manifest: without it the node does not start, and
 * changes nothing. */
TEST(member_refill, a_node_alone_does_not_start_without_its_manifest)
{
    struct solo s;
    open_with_part(&s, 2);
    solo_crash(&s, false);
    struct io_name *names = NULL;
    size_t count = 0;
    struct err e;
    char path[IO_PATH_MAX] = "";
    REQUIRE_OK(io_list(fake_disk_io(s.disk), "/data/tsdb", &names, &count, &e));
    for (size_t i = 0; i < count; i++) {
        if (strncmp(names[i].name, "checkpoint-", 11) == 0) {
            REQUIRE_OK(io_join(path, "/data/tsdb", names[i].name, &e));
        }
    }
    mem_free(names);
    fake_disk_flip_bit(s.disk, path, 40, 0);
    solo_start(&s);
    solo_run(&s, 1000);
    EXPECT(s.stopped);
    EXPECT_INT(s.exit_code, 1);
    EXPECT_CONTAINS(s.reason, "checkpoint");
    solo_end(&s);
    fake_disk_flip_bit(s.disk, path, 40, 0);
    solo_start(&s);
    solo_run(&s, 3000);
    EXPECT_INT(solo_count(&s), ROWS);
    solo_close(&s);
}
