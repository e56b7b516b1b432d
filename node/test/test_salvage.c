/* SPDX-License-Identifier: Apache-2.0 */
/* What a damaged directory still holds, as another cluster; with real processes in
 * cluster-tests. */
#include "node/salvage.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "node/storage.h"
#include "node/test/solo.h"
#include "testkit/fake_disk_damage.h"
#include "testkit/test.h"
#include "wal/wal_inspect.h"

enum { ROWS = 20, EVER_MS = 3000, PATH_SIZE = 128 };

static struct buf text;
static struct salvage_figures figures;

static enum err_code salvage(struct solo *s, const char *from, const char *to, struct err *e)
{
    const struct salvage_options options = {.io = fake_disk_io(s->disk),
                                            .from = from,
                                            .to = to,
                                            .name = "n9",
                                            .segment_size = 64 * 1024};
    buf_reset(&text);
    enum err_code code = salvage_run(&options, &figures, &text, e);
    buf_put_u8(&text, 0);
    return code;
}

/* From /data to /new; then /data is the new one. Nothing is written to the old one. */
static void salvage_and_start(struct solo *s)
{
    static const enum fake_disk_call changes[] = {
        FAKE_DISK_WRITE, FAKE_DISK_RESIZE, FAKE_DISK_RENAME,   FAKE_DISK_UNLINK,
        FAKE_DISK_MKDIR, FAKE_DISK_RMDIR,  FAKE_DISK_SYNC_DIR, FAKE_DISK_SYNC};
    struct err e;
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        fake_disk_fail(
            s->disk,
            (struct fake_disk_fault){
                .call = changes[i], .path = "/data", .nth = 1, .for_ever = true, .code = ERR_IO});
    }
    REQUIRE_OK(salvage(s, "/data", "/new", &e));
    EXPECT_UINT(fake_disk_faults_seen(s->disk), 0);
    fake_disk_clear_faults(s->disk);
    REQUIRE_OK(io_rename(fake_disk_io(s->disk), "/data", "/old", &e));
    REQUIRE_OK(io_rename(fake_disk_io(s->disk), "/new", "/data", &e));
    REQUIRE_OK(io_sync_dir(fake_disk_io(s->disk), "/", &e));
    solo_start(s);
    solo_run(s, EVER_MS);
}

static void open_and_fill(struct solo *s, unsigned level)
{
    solo_open(s, (struct solo_options){.wal_level = level});
    solo_run(s, 1500);
    EXPECT_OK(solo_make_table(s));
    for (int64_t i = 1; i <= ROWS; i++) {
        EXPECT_OK(solo_write(s, i));
    }
}

static const char *report(void)
{
    return (const char *)text.data;
}

/* The first record of a write of that log, so many before the last. */
struct search {
    uint64_t lsns[4 * ROWS];
    size_t count;
};

static bool note_command(void *context, const struct wal_view *view)
{
    struct search *search = context;
    if (strcmp(view->kind, "command") == 0 && view->payload.size > 0 &&
        view->payload.data[0] == COMMAND_WRITE) {
        CHECK(search->count < sizeof search->lsns / sizeof search->lsns[0]);
        search->lsns[search->count++] = view->lsn;
    }
    return true;
}

/* Flips a bit of the payload of a write, from the end; its identifier stays. */
static void damage_write(struct solo *s, const char *dir, size_t from_end)
{
    struct search search = {0};
    const struct wal_visitor visitor = {.slot = note_command, .context = &search};
    struct wal_report found;
    struct err e;
    char path[PATH_SIZE];
    REQUIRE_OK(wal_inspect(fake_disk_io(s->disk), dir, &visitor, &found, &e));
    REQUIRE(search.count > from_end);
    uint64_t lsn = search.lsns[search.count - 1 - from_end];
    REQUIRE(lsn / (64 * 1024) == 1); /* all in the first segment */
    (void)snprintf(path, sizeof path, "%s/000000010000000000000001", dir);
    fake_disk_flip_bit(s->disk, path, lsn % (64 * 1024) + 100, 1);
}

/* Every level's own log, and the directory goes on as any node's. */
TEST(salvage, gives_back_all_rows_of_a_whole_directory)
{
    for (unsigned level = 1; level <= 3; level++) {
        struct solo s;
        test_context("level %u", level);
        open_and_fill(&s, level);
        uint64_t cluster = member_status(s.member).cluster_id;
        uint64_t directory = member_status(s.member).directory_id;
        solo_crash(&s, false);
        salvage_and_start(&s);
        EXPECT_INT(solo_count(&s), ROWS);
        EXPECT_UINT(figures.slots_lost, 0);
        EXPECT_UINT(figures.commands_refused, 0);
        EXPECT(figures.entries_kept >= ROWS);
        struct member_status status = member_status(s.member);
        EXPECT(status.cluster_id != cluster && status.cluster_id == figures.cluster_id);
        EXPECT(status.directory_id != directory && status.directory_id == figures.directory_id);
        EXPECT_UINT(status.wal_level, 2);
        EXPECT(status.healthy);
        EXPECT_CONTAINS(report(), "salvaged /data into /new");
        EXPECT_OK(solo_write(&s, 1000));
        solo_crash(&s, false);
        solo_start(&s);
        solo_run(&s, EVER_MS);
        EXPECT_INT(solo_count(&s), ROWS + 1);
        solo_close(&s);
    }
    buf_deinit(&text);
}

TEST(salvage, leaves_out_what_is_damaged_and_keeps_what_is_behind_it)
{
    for (unsigned level = 1; level <= 3; level += 2) {
        struct solo s;
        test_context("level %u", level);
        open_and_fill(&s, level);
        solo_crash(&s, false);
        const char *dir = level == 3 ? "/data/raft" : "/data/wal";
        damage_write(&s, dir, 7);
        damage_write(&s, dir, 3);
        salvage_and_start(&s);
        EXPECT_INT(solo_count(&s), ROWS - 2);
        EXPECT_UINT(figures.slots_lost, 2);
        EXPECT_CONTAINS(report(), level == 3 ? "dropped: Raft log: damaged at 0/"
                                             : "dropped: local WAL: damaged at 0/");
        solo_close(&s);
    }
    buf_deinit(&text);
}

/* At levels 1 and 2 of a cluster, and for metadata always, there are two copies. */
TEST(salvage, takes_an_entry_from_whichever_log_holds_it)
{
    struct solo s;
    open_and_fill(&s, 3);
    EXPECT_OK(solo_set(&s, "ts.wal.checkpoint_interval", "7m"));
    solo_crash(&s, false);
    struct io_name *names = NULL;
    size_t count = 0;
    struct err e;
    /* The Raft log is gone: of level byrl the local WAL has the table and no row. */
    REQUIRE_OK(io_list(fake_disk_io(s.disk), "/data/raft", &names, &count, &e));
    for (size_t i = 0; i < count; i++) {
        char path[PATH_SIZE];
        (void)snprintf(path, sizeof path, "/data/raft/%s", names[i].name);
        fake_disk_remove(s.disk, path);
    }
    mem_free(names);
    salvage_and_start(&s);
    EXPECT_INT(solo_count(&s), 0);
    EXPECT_CONTAINS(report(), "dropped: Raft log: all of it: ");
    EXPECT_CONTAINS(report(), "kept: Raft log: 0 entries");
    EXPECT_OK(solo_write(&s, 1));
    EXPECT_INT(solo_count(&s), 1);
    solo_close(&s);
    buf_deinit(&text);
}

/* Rows in parts, and rows in the log behind them; one of the parts is bad. */
TEST(salvage, starts_from_the_parts_that_check)
{
    struct solo s;
    open_and_fill(&s, 1);
    EXPECT_OK(solo_propose(&s, COMMAND_CHECKPOINT, (struct bytes){0}));
    solo_run(&s, 1000);
    for (int64_t i = 1; i <= 5; i++) {
        EXPECT_OK(solo_write(&s, 100 + i));
    }
    solo_crash(&s, false);
    struct fake_disk_image *image = fake_disk_snapshot(s.disk);
    salvage_and_start(&s);
    EXPECT_INT(solo_count(&s), ROWS + 5);
    EXPECT(figures.checkpoint_index > 0);
    EXPECT_UINT(figures.parts_dropped, 0);
    solo_crash(&s, false);

    fake_disk_restore(s.disk, image);
    struct io_name *names = NULL;
    size_t count = 0;
    struct err e;
    REQUIRE_OK(io_list(fake_disk_io(s.disk), "/data/tsdb", &names, &count, &e));
    for (size_t i = 0; i < count; i++) {
        char path[PATH_SIZE];
        (void)snprintf(path, sizeof path, "/data/tsdb/%s", names[i].name);
        if (strncmp(names[i].name, "part-", 5) == 0) {
            fake_disk_flip_bit(s.disk, path, 70, 1);
        }
    }
    mem_free(names);
    salvage_and_start(&s);
    EXPECT_INT(solo_count(&s), 5);
    EXPECT_UINT(figures.parts_kept, 0);
    EXPECT_UINT(figures.rows_dropped, ROWS);
    EXPECT_CONTAINS(report(), "dropped: 1 parts with 20 rows: ");
    fake_disk_image_free(image);
    solo_close(&s);
    buf_deinit(&text);
}

TEST(salvage, a_running_node_keeps_its_directory)
{
    struct solo s;
    struct err e;
    open_and_fill(&s, 2);
    EXPECT_ERR(salvage(&s, "/data", "/new", &e), ERR_STATE);
    EXPECT_CONTAINS(e.text, "a node runs in /data");
    EXPECT(!fake_disk_has(s.disk, "/new"));
    EXPECT_INT(solo_count(&s), ROWS);
    solo_close(&s);
    buf_deinit(&text);
}

TEST(salvage, a_target_that_is_in_use_or_in_the_source_is_refused)
{
    struct solo s;
    struct err e;
    open_and_fill(&s, 2);
    solo_crash(&s, false);
    REQUIRE_OK(io_mkdir(fake_disk_io(s.disk), "/new", &e));
    REQUIRE_OK(io_mkdir(fake_disk_io(s.disk), "/new/x", &e));
    EXPECT_ERR(salvage(&s, "/data", "/new", &e), ERR_EXISTS);
    EXPECT_ERR(salvage(&s, "/data", "/data/new", &e), ERR_INVALID);
    EXPECT_ERR(salvage(&s, "/data", "/data", &e), ERR_INVALID);
    REQUIRE_OK(io_rmdir(fake_disk_io(s.disk), "/new/x", &e));
    EXPECT_OK(salvage(&s, "/data", "/new", &e));
    solo_close(&s);
    buf_deinit(&text);
}

TEST(salvage, a_directory_without_anything_is_refused_and_leaves_none)
{
    struct solo s;
    struct err e;
    open_and_fill(&s, 2);
    EXPECT_ERR(salvage(&s, "/nowhere", "/new", &e), ERR_NOT_FOUND);
    EXPECT(!fake_disk_has(s.disk, "/new"));
    solo_close(&s);
    buf_deinit(&text);
}

/* Whatever fails in NEWDIR, SRC is there for another try. */
TEST(salvage, a_target_that_fails_is_said_and_costs_nothing)
{
    struct solo s;
    struct err e;
    open_and_fill(&s, 3);
    solo_crash(&s, false);
    uint64_t before = fake_disk_calls(s.disk);
    struct fake_disk_image *image = fake_disk_snapshot(s.disk);
    REQUIRE_OK(salvage(&s, "/data", "/new", &e));
    uint64_t calls = fake_disk_calls(s.disk) - before;
    for (uint64_t stop = 0; stop < calls; stop += 7) {
        fake_disk_restore(s.disk, image);
        fake_disk_stop_after(s.disk, stop);
        EXPECT(salvage(&s, "/data", "/new", &e) != ERR_OK || stop + 7 >= calls);
        fake_disk_clear_faults(s.disk);
        EXPECT_UINT(fake_disk_open_files(s.disk), 0);
    }
    fake_disk_restore(s.disk, image);
    salvage_and_start(&s);
    EXPECT_INT(solo_count(&s), ROWS);
    fake_disk_image_free(image);
    solo_close(&s);
    buf_deinit(&text);
}
