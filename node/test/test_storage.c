/* SPDX-License-Identifier: Apache-2.0 */
#include "node/storage.h"

#include <string.h>

#include "testkit/fake_disk.h"
#include "testkit/fake_disk_damage.h"
#include "testkit/test.h"

static struct storage_options options_on(struct fake_disk *d)
{
    return (struct storage_options){
        .io = fake_disk_io(d),
        .dir = "/var/data",
        .name = "n1",
        .segment_size = 64 * 1024,
        .recovery_mode = -1,
    };
}

static struct fake_disk *new_disk(void)
{
    struct fake_disk *d = fake_disk_create(3);
    EXPECT_OK(io_mkdir(fake_disk_io(d), "/var", NULL));
    EXPECT_OK(io_sync_dir(fake_disk_io(d), "/", NULL));
    return d;
}

static struct storage *open_on(struct fake_disk *d)
{
    struct storage_options options = options_on(d);
    struct storage *s = NULL;
    struct err e = {0};
    enum err_code code = storage_open(&options, &s, &e);
    EXPECT_STR(code == ERR_OK ? "" : e.text, "");
    return s;
}

static void found(struct storage *s)
{
    struct hard_state *h = &(struct hard_state){0};
    *h = *storage_hard(s);
    h->cluster_id = 77;
    struct control c = *storage_control(s);
    c.cluster_id = 77;
    EXPECT_OK(storage_put_hard(s, h, NULL));
    EXPECT_OK(storage_put_control(s, &c, NULL));
    EXPECT_OK(storage_make_log(s, STORAGE_RAFT, 0, 0, NULL));
}

TEST(storage, a_first_start_can_be_cut_short_at_every_call)
{
    struct fake_disk *counted = new_disk();
    uint64_t before = fake_disk_calls(counted);
    EXPECT_OK(storage_close(open_on(counted), false, NULL));
    uint64_t calls = fake_disk_calls(counted) - before;
    fake_disk_destroy(counted);
    EXPECT(calls > 20);
    for (uint64_t k = 0; k < calls; k++) {
        for (int keep = 0; keep < 2; keep++) {
            struct fake_disk *d = new_disk();
            struct storage_options options = options_on(d);
            struct storage *s = NULL;
            fake_disk_stop_after(d, k);
            if (storage_open(&options, &s, NULL) == ERR_OK) {
                EXPECT_OK(storage_close(s, false, NULL));
            }
            fake_disk_clear_faults(d);
            if (keep != 0) {
                fake_disk_power_fail_keep_all(d);
            } else {
                fake_disk_power_fail_lose_all(d);
            }
            s = open_on(d);
            REQUIRE(s != NULL);
            EXPECT(storage_hard(s)->directory_id != 0);
            EXPECT_OK(storage_close(s, false, NULL));
            fake_disk_destroy(d);
        }
    }
}

/* Without the sync of its parent, a new directory is gone after a power failure,
 * and the node founds a second time. */
TEST(storage, a_new_directory_survives_a_power_failure)
{
    struct fake_disk *d = new_disk();
    struct storage *s = open_on(d);
    uint64_t id = storage_hard(s)->directory_id;
    fake_disk_kill(d);
    EXPECT_OK(storage_close(s, false, NULL));
    fake_disk_power_fail_lose_all(d);
    s = open_on(d);
    EXPECT_UINT(storage_hard(s)->directory_id, id);
    EXPECT_UINT(storage_hard(s)->start_counter, 2);
    EXPECT_OK(storage_close(s, false, NULL));
    fake_disk_destroy(d);
}

TEST(storage, a_second_process_is_refused)
{
    struct fake_disk *d = new_disk();
    struct storage *s = open_on(d);
    struct storage_options options = options_on(d);
    struct storage *second = NULL;
    EXPECT_ERR(storage_open(&options, &second, NULL), ERR_STATE);
    EXPECT_OK(storage_close(s, false, NULL));
    fake_disk_destroy(d);
}

TEST(storage, a_lost_log_is_not_taken_for_an_empty_one)
{
    struct fake_disk *d = new_disk();
    struct storage *s = open_on(d);
    found(s);
    struct wal_entry entry = {.index = 1, .term = 1, .type = WAL_CHANGE, .payload = bytes_str("x")};
    EXPECT_OK(wal_append(storage_wal(s, STORAGE_RAFT), &entry, 1, 0, NULL));
    storage_want_sync(s, STORAGE_RAFT);
    storage_sync(s);
    EXPECT(storage_failed(s) == NULL);
    EXPECT_OK(storage_close(s, true, NULL));
    fake_disk_remove(d, "/var/data/raft/000000010000000000000001");
    s = open_on(d);
    REQUIRE(s != NULL);
    EXPECT(wal_end_unknown(storage_wal(s, STORAGE_RAFT)));
    EXPECT_OK(storage_close(s, false, NULL));
    fake_disk_destroy(d);
}

TEST(storage, a_failed_sync_is_final)
{
    struct fake_disk *d = new_disk();
    struct storage *s = open_on(d);
    found(s);
    struct wal_entry entry = {.index = 1, .term = 1, .type = WAL_CHANGE, .payload = bytes_str("x")};
    EXPECT_OK(wal_append(storage_wal(s, STORAGE_RAFT), &entry, 1, 0, NULL));
    fake_disk_fail_next(d, FAKE_DISK_SYNC, ERR_IO);
    storage_want_sync(s, STORAGE_RAFT);
    storage_sync(s);
    EXPECT_CONTAINS(storage_failed(s), "injected");
    EXPECT_OK(storage_close(s, true, NULL)); /* says nothing more to the disk */
    fake_disk_destroy(d);
}

TEST(storage, settings_reach_the_log_that_is_there_and_the_one_made_later)
{
    enum { COUNT = 8, SIZE = 400 };
    static uint8_t payload[SIZE];
    struct fake_disk *d = new_disk();
    struct storage *s = open_on(d);
    found(s);
    const struct storage_log_settings settings = {
        .sync_method = {[STORAGE_RAFT] = WAL_OPEN_DATASYNC, [STORAGE_LOCAL] = WAL_FDATASYNC},
        .buffer_size = 1500,
    };
    EXPECT_OK(storage_set_log_settings(s, &settings, NULL));
    EXPECT_OK(storage_make_log(s, STORAGE_LOCAL, 0, 0, NULL));
    struct wal_entry entries[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        entries[i] = (struct wal_entry){
            .index = i + 1, .term = 1, .type = WAL_COMMAND, .payload = bytes_of(payload, SIZE)};
    }
    for (int i = STORAGE_RAFT; i <= STORAGE_LOCAL; i++) {
        struct wal *w = storage_wal(s, (enum storage_log)i);
        uint64_t before = wal_stats(w).buffers_full;
        EXPECT_OK(wal_append(w, entries, COUNT, 0, NULL));
        EXPECT_UINT(wal_stats(w).buffers_full - before, 2); /* 3 + 3 + 2 records */
        EXPECT((wal_lsn_durable(w) == wal_lsn_end(w)) == (i == STORAGE_RAFT));
    }
    EXPECT_OK(storage_close(s, false, NULL));
    fake_disk_destroy(d);
}

/* Only who names another size is refused; the directory is as before. */
TEST(storage, the_size_of_segments_is_that_of_the_directory)
{
    struct fake_disk *d = new_disk();
    struct storage *s = open_on(d);
    found(s);
    uint64_t counter = storage_hard(s)->start_counter;
    EXPECT_OK(storage_close(s, true, NULL));
    struct storage_options options = options_on(d);
    struct err e = {0};
    options.segment_size = 128 * 1024;
    options.segment_size_given = true;
    EXPECT_ERR(storage_open(&options, &s, &e), ERR_INVALID);
    EXPECT_STR(e.text, "/var/data was made with wal-segment-size 64KiB, which can't be changed to "
                       "128KiB: leave the option out, or use a new directory");
    options.segment_size_given = false;
    REQUIRE_OK(storage_open(&options, &s, &e));
    EXPECT_UINT(storage_segment_size(s), 64 * 1024);
    EXPECT_UINT(storage_hard(s)->start_counter, counter + 1);
    EXPECT(storage_was_clean(s));
    EXPECT_OK(storage_close(s, true, NULL));
    options.segment_size = 64 * 1024;
    options.segment_size_given = true;
    REQUIRE_OK(storage_open(&options, &s, &e));
    EXPECT_OK(storage_close(s, true, NULL));
    fake_disk_destroy(d);
}

TEST(storage, knows_a_clean_stop_from_a_crash)
{
    struct fake_disk *d = new_disk();
    struct storage *s = open_on(d);
    found(s);
    EXPECT_OK(storage_close(s, true, NULL));
    s = open_on(d);
    EXPECT(storage_was_clean(s));
    EXPECT_OK(storage_close(s, false, NULL));
    s = open_on(d);
    EXPECT(!storage_was_clean(s));
    EXPECT_OK(storage_close(s, false, NULL));
    fake_disk_destroy(d);
}

/* The old id may never come back, the cluster is not forgotten, whatever is cut short. */
TEST(storage, giving_up_an_identity_can_be_cut_short_at_every_call)
{
    struct fake_disk *base = new_disk();
    struct storage *s = open_on(base);
    found(s);
    uint64_t old = storage_hard(s)->directory_id;
    EXPECT_OK(storage_close(s, false, NULL));
    struct fake_disk_image *image = fake_disk_snapshot(base);
    bool finished = false;
    for (uint64_t k = 0; !finished; k++) {
        REQUIRE(k < 500);
        fake_disk_restore(base, image);
        s = open_on(base);
        REQUIRE(s != NULL);
        fake_disk_stop_after(base, k);
        finished = storage_give_up_identity(s, NULL) == ERR_OK;
        EXPECT(storage_hard(s)->directory_id != 0); /* it still says who it is */
        fake_disk_kill(base);
        EXPECT_OK(storage_close(s, false, NULL));
        fake_disk_clear_faults(base);
        fake_disk_power_fail_lose_all(base);
        s = open_on(base);
        REQUIRE(s != NULL);
        uint64_t id = storage_hard(s)->directory_id;
        bool still_old = id == old && storage_has(s, STORAGE_RAFT);
        bool newcomer = id != old && !storage_has(s, STORAGE_RAFT);
        EXPECT(still_old || newcomer);
        EXPECT(!finished || newcomer);
        EXPECT_OK(storage_close(s, false, NULL));
    }
    fake_disk_image_free(image);
    fake_disk_destroy(base);
}
