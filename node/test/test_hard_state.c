/* SPDX-License-Identifier: Apache-2.0 */
#include "node/hard_state.h"

#include "base/mem.h"
#include "io/io_posix.h"
#include "testkit/fake_disk.h"
#include "testkit/fake_disk_damage.h"
#include "testkit/test.h"

enum { GOLDEN_SIZE_MAX = 4096 };

struct fixture {
    struct fake_disk *disk;
    struct io *io;
    struct hard_state_file *file;
    struct hard_state next; /* scratch */
    struct err err;
};

/* A directory that was made and started once. Large: on the heap. */
static struct fixture *fixture_open(void)
{
    static const struct hard_state_fresh fresh = {.name = "n1"};
    struct fixture *f = mem_zalloc(sizeof *f);
    f->disk = fake_disk_create(7);
    f->io = fake_disk_io(f->disk);
    REQUIRE_OK(hard_state_create(f->io, "/", &fresh, &f->file, &f->err));
    REQUIRE_OK(hard_state_start(f->file, &f->err));
    f->next = *hard_state_get(f->file);
    return f;
}

static void fixture_close(struct fixture *f)
{
    hard_state_close(f->file);
    EXPECT_UINT(fake_disk_open_files(f->disk), 0);
    fake_disk_destroy(f->disk);
    mem_free(f);
}

static enum err_code reopen(struct fixture *f)
{
    hard_state_close(f->file);
    f->file = NULL;
    return hard_state_open(f->io, "/", &f->file, &f->err);
}

static bool same(const struct hard_state *a, const struct hard_state *b)
{
    struct buf x = {0};
    struct buf y = {0};
    hard_state_encode(a, &x);
    hard_state_encode(b, &y);
    bool equal = bytes_equal(buf_bytes(&x), buf_bytes(&y));
    buf_deinit(&x);
    buf_deinit(&y);
    return equal;
}

/* Every field has a value of its own. */
static struct hard_state *example(void)
{
    struct hard_state *s = mem_zalloc(sizeof *s);
    struct err e = {0};
    s->cluster_id = 0xc1c2c3c4c5c6c7c8;
    s->directory_id = 0xd1d2d3d4d5d6d7d8;
    memcpy(s->name, "n1", 3);
    hard_state_add_start(s, 0x1111);
    hard_state_add_start(s, 0x2222);
    s->term = 7;
    s->voted_for = 0xabcdef;
    s->repair_term = 6;
    s->raft_extent = (struct wal_extent){1, 2, 300, 4, 500, 600, 70, 3};
    REQUIRE_OK(hard_state_set_blob(&s->committed, 40, bytes_str("three voters"), &e));
    REQUIRE_OK(hard_state_set_blob(&s->pending, 41, bytes_str("four"), &e));
    REQUIRE_OK(hard_state_set_blob(&s->founding, 1, bytes_str("record"), &e));
    s->cluster_formed = true;
    struct hard_state_seen seen = {0xe1, 5, 0x55, 2, false};
    REQUIRE_OK(hard_state_see(s, &seen, NULL, 0, &e));
    seen = (struct hard_state_seen){0xe2, 6, 0x66, 0, true};
    REQUIRE_OK(hard_state_see(s, &seen, NULL, 0, &e));
    return s;
}

/* --- the bytes --- */

/* Written once by version 1; a change of the format is a new version. */
TEST(hard_state, the_bytes_of_version_1_stay)
{
    struct hard_state *s = example();
    struct buf bytes = {0};
    struct buf golden = {0};
    struct err e = {0};
    hard_state_encode(s, &bytes);
    REQUIRE_OK(io_read_file(io_posix(), TEST_DATA_DIR "/corpus/hard_state/version-1",
                            GOLDEN_SIZE_MAX, &golden, &e));
    EXPECT_UINT(bytes.size, golden.size);
    EXPECT_MEM(bytes.data, golden.data, golden.size);
    buf_deinit(&bytes);
    buf_deinit(&golden);
    mem_free(s);
}

TEST(hard_state, decodes_what_it_encoded)
{
    struct hard_state *s = example();
    struct hard_state *back = mem_zalloc(sizeof *back);
    struct buf bytes = {0};
    struct err e = {0};
    hard_state_encode(s, &bytes);
    REQUIRE_OK(hard_state_decode(buf_bytes(&bytes), back, &e));
    EXPECT(same(s, back));
    EXPECT_MEM(back->committed.data, "three voters", 12);
    EXPECT_UINT(back->raft_extent.term_cut, 3);
    EXPECT(back->seen[1].removed);
    buf_deinit(&bytes);
    mem_free(back);
    mem_free(s);
}

TEST(hard_state, a_cut_anywhere_is_corrupt)
{
    struct hard_state *s = example();
    struct hard_state *back = mem_zalloc(sizeof *back);
    struct buf bytes = {0};
    hard_state_encode(s, &bytes);
    for (size_t size = 0; size < bytes.size; size++) {
        EXPECT_ERR(hard_state_decode(bytes_of(bytes.data, size), back, NULL), ERR_CORRUPT);
    }
    buf_put_u8(&bytes, 0);
    EXPECT_ERR(hard_state_decode(buf_bytes(&bytes), back, NULL), ERR_CORRUPT);
    buf_deinit(&bytes);
    mem_free(back);
    mem_free(s);
}

TEST(hard_state, a_newer_format_is_refused_with_both_numbers)
{
    struct hard_state *back = mem_zalloc(sizeof *back);
    struct err e = {0};
    static const uint8_t newer[] = {2, 0, 0, 0, 99};
    EXPECT_ERR(hard_state_decode(bytes_of(newer, sizeof newer), back, &e), ERR_UNSUPPORTED);
    EXPECT_STR(e.text, "hard state was written by a newer tidemarkd (format 2, this one knows up "
                       "to 1)");
    static const uint8_t zero[4] = {0};
    EXPECT_ERR(hard_state_decode(bytes_of(zero, sizeof zero), back, &e), ERR_CORRUPT);
    mem_free(back);
}

/* The largest state that can be has to fit, else a node would stop at run time. */
TEST(hard_state, the_largest_state_can_be_written)
{
    struct fixture *f = fixture_open();
    static const uint8_t blob[HARD_STATE_BLOB_SIZE_MAX + 1] = {0};
    struct bytes most = bytes_of(blob, HARD_STATE_BLOB_SIZE_MAX);
    EXPECT_OK(hard_state_set_blob(&f->next.committed, 1, most, &f->err));
    EXPECT_OK(hard_state_set_blob(&f->next.pending, 2, most, &f->err));
    EXPECT_OK(hard_state_set_blob(&f->next.founding, 1, most, &f->err));
    memset(f->next.name, 'n', LIMIT_NAME_SIZE_MAX);
    for (uint64_t i = 1; i < 2 * HARD_STATE_STARTS_MAX; i++) {
        hard_state_add_start(&f->next, i);
    }
    for (uint64_t i = 1; i <= HARD_STATE_SEEN_MAX; i++) {
        struct hard_state_seen seen = {i, i, i, i, true};
        EXPECT_OK(hard_state_see(&f->next, &seen, NULL, 0, &f->err));
    }
    EXPECT_OK(hard_state_write(f->file, &f->next, &f->err));
    EXPECT_OK(reopen(f));
    EXPECT(same(hard_state_get(f->file), &f->next));
    EXPECT_ERR(hard_state_set_blob(&f->next.pending, 2, bytes_of(blob, sizeof blob), &f->err),
               ERR_RANGE);
    EXPECT_STR(f->err.text, "8193 bytes, more than 8192");
    fixture_close(f);
}

/* --- starts --- */

TEST(hard_state, a_fresh_directory_draws_an_id_that_no_other_has)
{
    struct fixture *f = fixture_open();
    static const struct hard_state_fresh fresh = {.name = "n2", .cluster_id = 9};
    struct hard_state_file *other = NULL;
    REQUIRE_OK(io_mkdir(f->io, "/b", &f->err));
    REQUIRE_OK(hard_state_create(f->io, "/b", &fresh, &other, &f->err));
    EXPECT(hard_state_get(other)->directory_id != 0);
    EXPECT(hard_state_get(other)->directory_id != hard_state_get(f->file)->directory_id);
    EXPECT_STR(hard_state_get(other)->name, "n2");
    EXPECT_UINT(hard_state_get(other)->cluster_id, 9);
    EXPECT_UINT(hard_state_get(other)->start_counter, 0);
    hard_state_close(other);
    fixture_close(f);
}

TEST(hard_state, each_start_raises_the_counter_and_keeps_the_nonces)
{
    struct fixture *f = fixture_open();
    uint64_t first = 0;
    uint64_t second = 0;
    uint64_t third = 0;
    EXPECT_UINT(hard_state_get(f->file)->start_counter, 1);
    EXPECT_OK(reopen(f));
    EXPECT_OK(hard_state_start(f->file, &f->err));
    EXPECT_OK(hard_state_raise_counter(f->file, &f->err));
    EXPECT_OK(reopen(f));
    const struct hard_state *s = hard_state_get(f->file);
    EXPECT_UINT(s->start_counter, 3);
    EXPECT(hard_state_nonce(s, 1, &first));
    EXPECT(hard_state_nonce(s, 2, &second));
    EXPECT(hard_state_nonce(s, 3, &third));
    EXPECT(first != 0 && second != 0 && third != 0);
    EXPECT(first != second && second != third && first != third);
    EXPECT(!hard_state_nonce(s, 0, &first));
    EXPECT(!hard_state_nonce(s, 4, &first));
    fixture_close(f);
}

TEST(hard_state, the_last_starts_are_kept_and_those_that_a_peer_may_ask_for)
{
    struct fixture *f = fixture_open();
    struct hard_state *s = &f->next;
    uint64_t nonce = 0;
    struct hard_state_seen seen = {.directory_id = 5, .counter = 1, .nonce = 1, .welcomed = 3};
    EXPECT_OK(hard_state_see(s, &seen, NULL, 0, &f->err));
    seen = (struct hard_state_seen){.directory_id = 6, .welcomed = 4, .removed = true};
    EXPECT_OK(hard_state_see(s, &seen, NULL, 0, &f->err));
    for (uint64_t counter = 2; counter <= 200; counter++) {
        hard_state_add_start(s, 1000 + counter);
    }
    EXPECT_UINT(s->start_count, HARD_STATE_STARTS_MAX);
    EXPECT(hard_state_nonce(s, 3, &nonce)); /* peer 5 has stored it last */
    EXPECT_UINT(nonce, 1003);
    EXPECT(!hard_state_nonce(s, 4, &nonce)); /* of a peer that was removed */
    EXPECT(!hard_state_nonce(s, 200 - HARD_STATE_STARTS_MAX + 1, &nonce));
    for (uint64_t counter = 200 - HARD_STATE_STARTS_MAX + 2; counter <= 200; counter++) {
        EXPECT(hard_state_nonce(s, counter, &nonce));
        EXPECT_UINT(nonce, 1000 + counter);
    }
    fixture_close(f);
}

TEST(hard_state, when_every_start_is_asked_for_the_oldest_goes)
{
    struct fixture *f = fixture_open();
    uint64_t nonce = 0;
    for (uint64_t counter = 2; counter <= HARD_STATE_STARTS_MAX; counter++) {
        hard_state_add_start(&f->next, counter);
    }
    for (uint64_t i = 1; i <= HARD_STATE_SEEN_MAX; i++) {
        struct hard_state_seen seen = {.directory_id = 100 + i, .welcomed = i};
        EXPECT_OK(hard_state_see(&f->next, &seen, NULL, 0, &f->err));
    }
    hard_state_add_start(&f->next, 77);
    EXPECT(!hard_state_nonce(&f->next, 1, &nonce));
    EXPECT(hard_state_nonce(&f->next, 2, &nonce));
    fixture_close(f);
}

/* --- starts of others --- */

TEST(hard_state, of_a_directory_the_highest_counter_is_remembered)
{
    struct fixture *f = fixture_open();
    struct hard_state *s = &f->next;
    EXPECT(hard_state_find_seen(s, 5) == NULL);
    static const struct hard_state_seen news[] = {{5, 3, 33, 0, false},
                                                  {5, 2, 22, 8, false},
                                                  {5, 3, 34, 7, false},
                                                  {5, 4, 44, 0, true},
                                                  {5, 5, 55, 0, false}};
    for (size_t i = 0; i < sizeof news / sizeof news[0]; i++) {
        EXPECT_OK(hard_state_see(s, &news[i], NULL, 0, &f->err));
        const struct hard_state_seen *seen = hard_state_find_seen(s, 5);
        REQUIRE(seen != NULL);
        static const uint64_t nonces[] = {33, 33, 33, 44, 55};
        EXPECT_UINT(seen->nonce, nonces[i]);
        EXPECT(seen->removed == (i >= 3)); /* never undone */
        EXPECT_UINT(seen->welcomed, i == 0 ? 0 : 8);
    }
    EXPECT_UINT(s->seen_count, 1);
    fixture_close(f);
}

TEST(hard_state, a_full_list_forgets_who_is_no_member_and_never_a_member)
{
    struct fixture *f = fixture_open();
    struct hard_state *s = &f->next;
    uint64_t members[HARD_STATE_SEEN_MAX];
    for (uint64_t i = 0; i < HARD_STATE_SEEN_MAX; i++) {
        struct hard_state_seen seen = {.directory_id = 100 + i, .counter = 1, .nonce = 1};
        EXPECT_OK(hard_state_see(s, &seen, NULL, 0, &f->err));
        members[i] = 100 + i;
    }
    members[2] = 7; /* 102 and 105 are none */
    members[5] = 8;
    struct hard_state_seen seen = {.directory_id = 900, .counter = 1, .nonce = 1};
    EXPECT_OK(hard_state_see(s, &seen, members, HARD_STATE_SEEN_MAX, &f->err));
    EXPECT(hard_state_find_seen(s, 102) == NULL);
    EXPECT(hard_state_find_seen(s, 105) != NULL);
    EXPECT(hard_state_find_seen(s, 900) != NULL);
    members[2] = 900;
    seen.directory_id = 901;
    EXPECT_OK(hard_state_see(s, &seen, members, HARD_STATE_SEEN_MAX, &f->err));
    EXPECT(hard_state_find_seen(s, 105) == NULL);
    members[5] = 901;
    seen.directory_id = 902;
    EXPECT_ERR(hard_state_see(s, &seen, members, HARD_STATE_SEEN_MAX, &f->err), ERR_FULL);
    EXPECT_STR(f->err.text, "64 directories are known, all of them members");
    fixture_close(f);
}

/* --- two copies --- */

enum { COPY_SIZE = 64 * 1024 };

/* The vote that is left when the file of one copy rots. With 'alternating' the
 * other copy is as it was before the vote, as if each write went to one of them. */
static uint64_t vote_left(const char *rots, const char *other, bool alternating)
{
    struct fixture *f = fixture_open();
    struct buf before = {0};
    f->next.cluster_id = 5;
    f->next.term = 5;
    EXPECT_OK(hard_state_write(f->file, &f->next, &f->err));
    EXPECT_OK(io_read_file(f->io, other, COPY_SIZE, &before, &f->err));
    f->next.term = 6;
    f->next.voted_for = 8;
    EXPECT_OK(hard_state_write(f->file, &f->next, &f->err));
    hard_state_close(f->file);
    f->file = NULL;
    if (alternating) {
        EXPECT_OK(io_replace_file(f->io, "/", other, buf_bytes(&before), &f->err));
    }
    fake_disk_flip_bit(f->disk, rots, 70, 1);
    EXPECT_OK(hard_state_open(f->io, "/", &f->file, &f->err));
    uint64_t voted_for = hard_state_get(f->file)->voted_for;
    buf_deinit(&before);
    fixture_close(f);
    return voted_for;
}

/* safety.md B1 */
TEST(hard_state, a_promise_outlives_either_copy)
{
    EXPECT_UINT(vote_left("hard-state.0", "hard-state.1", false), 8);
    EXPECT_UINT(vote_left("hard-state.1", "hard-state.0", false), 8);
    EXPECT_UINT(vote_left("hard-state.0", "hard-state.1", true), 0);
    EXPECT_UINT(vote_left("hard-state.1", "hard-state.0", true), 0);
}

/* --- what must never be written --- */

static void write_next(void *fixture)
{
    struct fixture *f = fixture;
    (void)!hard_state_write(f->file, &f->next, &f->err);
}

TEST(hard_state, a_promise_is_never_taken_back)
{
    struct fixture *f = fixture_open();
    f->next.cluster_id = 5;
    f->next.term = 3;
    f->next.voted_for = 8;
    f->next.cluster_formed = true;
    EXPECT_OK(hard_state_write(f->file, &f->next, &f->err));
    struct hard_state *good = mem_dup(&f->next, sizeof f->next);

    f->next.voted_for = 9;
    EXPECT_DIES(write_next, f, "voted_for == from->voted_for");
    f->next.voted_for = 0;
    EXPECT_DIES(write_next, f, "voted_for == from->voted_for");
    f->next = *good;
    f->next.term = 2;
    EXPECT_DIES(write_next, f, "to->term >= from->term");
    f->next = *good;
    f->next.directory_id++;
    EXPECT_DIES(write_next, f, "directory_id");
    f->next = *good;
    f->next.cluster_id = 6;
    EXPECT_DIES(write_next, f, "cluster_id");
    f->next = *good;
    f->next.start_counter = 0;
    f->next.start_count = 0;
    EXPECT_DIES(write_next, f, "start_counter");
    f->next = *good;
    f->next.cluster_formed = false;
    EXPECT_DIES(write_next, f, "cluster_formed");

    f->next = *good;
    f->next.term = 4;
    f->next.voted_for = 9; /* a new term is a new vote */
    EXPECT_OK(hard_state_write(f->file, &f->next, &f->err));
    mem_free(good);
    fixture_close(f);
}

/* --- the disk --- */

TEST(hard_state, names_of_a_wrong_size_are_refused)
{
    struct fixture *f = fixture_open();
    struct hard_state_file *out = NULL;
    char name[LIMIT_NAME_SIZE_MAX + 2];
    memset(name, 'x', sizeof name);
    name[LIMIT_NAME_SIZE_MAX + 1] = '\0';
    struct hard_state_fresh fresh = {.name = name};
    EXPECT_ERR(hard_state_create(f->io, "/", &fresh, &out, &f->err), ERR_INVALID);
    EXPECT_STR(f->err.text, "the node's name has 64 bytes, not 1 to 63");
    fresh.name = "";
    EXPECT_ERR(hard_state_create(f->io, "/", &fresh, &out, &f->err), ERR_INVALID);
    EXPECT(out == NULL);
    fixture_close(f);
}

TEST(hard_state, a_missing_one_is_told_from_a_damaged_one)
{
    struct fixture *f = fixture_open();
    struct hard_state_file *out = NULL;
    REQUIRE_OK(io_mkdir(f->io, "/empty", &f->err));
    EXPECT_ERR(hard_state_open(f->io, "/empty", &out, &f->err), ERR_NOT_FOUND);
    fake_disk_flip_bit(f->disk, "hard-state.0", 40, 3);
    EXPECT_OK(reopen(f));
    EXPECT_UINT(hard_state_bad_copies(f->file), 1);
    fake_disk_flip_bit(f->disk, "hard-state.0", 40, 3);
    fake_disk_flip_bit(f->disk, "hard-state.1", 30, 1);
    EXPECT_ERR(reopen(f), ERR_CORRUPT);
    EXPECT_CONTAINS(f->err.text, "hard-state: no copy is whole");
    fixture_close(f);
}

TEST(hard_state, one_that_was_started_is_never_made_anew)
{
    struct fixture *f = fixture_open();
    static const struct hard_state_fresh fresh = {.name = "n1"};
    struct hard_state_file *out = NULL;
    EXPECT_ERR(hard_state_create(f->io, "/", &fresh, &out, &f->err), ERR_EXISTS);
    EXPECT_OK(reopen(f));
    EXPECT_UINT(hard_state_get(f->file)->start_counter, 1);
    fixture_close(f);
}

TEST(hard_state, after_a_failed_write_there_is_no_further_one)
{
    static const enum fake_disk_call calls[] = {FAKE_DISK_WRITE, FAKE_DISK_SYNC};
    for (size_t i = 0; i < 2; i++) {
        for (uint64_t nth = 1; nth <= 2; nth++) {
            struct fixture *f = fixture_open();
            f->next.term = 5;
            fake_disk_fail(f->disk,
                           (struct fake_disk_fault){.call = calls[i], .nth = nth, .code = ERR_IO});
            EXPECT_ERR(hard_state_write(f->file, &f->next, &f->err), ERR_IO);
            EXPECT_CONTAINS(f->err.text, nth == 1 ? "hard state: copy 0" : "hard state: copy 1");
            EXPECT_UINT(hard_state_get(f->file)->term, 0);
            EXPECT_ERR(hard_state_write(f->file, &f->next, &f->err), ERR_STATE);
            EXPECT_ERR(hard_state_start(f->file, &f->err), ERR_STATE);
            fixture_close(f);
        }
    }
}

/* The power fails after each call of a write in turn, with each fate of what
 * was not synced: the old or the new promises, never neither, and the new ones once
 * the write has returned. */
static void crash_in_write(uint64_t calls, uint64_t seed)
{
    struct fixture *f = fixture_open();
    struct random r = random_seeded(seed);
    struct hard_state *old = mem_dup(&f->next, sizeof f->next);
    f->next.term = 9;
    f->next.voted_for = f->next.directory_id;
    hard_state_add_start(&f->next, 4711);
    fake_disk_stop_after(f->disk, calls);
    enum err_code code = hard_state_write(f->file, &f->next, &f->err);
    fake_disk_power_fail(f->disk, &r);
    fake_disk_clear_faults(f->disk);
    REQUIRE_OK(reopen(f));
    const struct hard_state *now = hard_state_get(f->file);
    if (code == ERR_OK) {
        EXPECT(same(now, &f->next));
    } else {
        EXPECT(same(now, old) || same(now, &f->next));
    }
    /* What was believed at this open is still there after another failure. */
    struct hard_state *believed = mem_dup(now, sizeof *now);
    fake_disk_power_fail_lose_all(f->disk);
    REQUIRE_OK(reopen(f));
    EXPECT(same(hard_state_get(f->file), believed));
    mem_free(believed);
    mem_free(old);
    fixture_close(f);
}

TEST(hard_state, a_power_failure_leaves_the_old_or_the_new_promises)
{
    for (uint64_t calls = 0; calls <= 5; calls++) {
        for (uint64_t seed = 1; seed <= 12; seed++) {
            crash_in_write(calls, seed);
        }
    }
}

/* Cut short anywhere, the making of a directory can be begun again. */
TEST(hard_state, a_creation_cut_short_is_repeated)
{
    static const struct hard_state_fresh fresh = {.name = "n1"};
    struct err e = {0};
    for (uint64_t calls = 0; calls < 20; calls++) {
        struct fake_disk *disk = fake_disk_create(calls);
        struct io *io = fake_disk_io(disk);
        struct random r = random_seeded(calls);
        struct hard_state_file *file = NULL;
        fake_disk_stop_after(disk, calls);
        enum err_code code = hard_state_create(io, "/", &fresh, &file, &e);
        hard_state_close(file);
        fake_disk_power_fail(disk, &r);
        fake_disk_clear_faults(disk);
        file = NULL;
        if (code == ERR_OK) {
            EXPECT_OK(hard_state_open(io, "/", &file, &e));
        } else {
            EXPECT_OK(hard_state_create(io, "/", &fresh, &file, &e));
        }
        EXPECT_OK(hard_state_start(file, &e));
        hard_state_close(file);
        fake_disk_destroy(disk);
    }
}
