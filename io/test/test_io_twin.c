/* SPDX-License-Identifier: Apache-2.0 */
#include "io/io_twin.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/mem.h"
#include "testkit/fake_disk.h"
#include "testkit/fake_disk_damage.h"
#include "testkit/test.h"

enum { MAGIC = 0x31535754, PENDING_MAX = 4096 };

struct fixture {
    struct fake_disk *disk;
    struct io *io;
    struct io_twin *twin;
    struct err err;
};

static struct bytes text(const char *s)
{
    return bytes_str(s);
}

static struct buf filled(int letter, size_t size)
{
    struct buf b = {0};
    memset(buf_extend(&b, size), letter, size);
    return b;
}

static enum err_code reopen(struct fixture *f)
{
    io_twin_close(f->twin);
    return io_twin_open(f->io, "/", "hard", MAGIC, &f->twin, &f->err);
}

/* A twin just made, that holds 'payload'. */
static struct fixture fixture_open(struct bytes payload)
{
    struct fake_disk *disk = fake_disk_create(1);
    struct fixture f = {disk, fake_disk_io(disk), NULL, {ERR_OK, ""}};
    REQUIRE_OK(io_twin_create(f.io, "/", "hard", MAGIC, payload, &f.twin, &f.err));
    return f;
}

static void fixture_close(struct fixture *f)
{
    io_twin_close(f->twin);
    EXPECT_UINT(fake_disk_open_files(f->disk), 0);
    fake_disk_destroy(f->disk);
}

static bool holds(const struct fixture *f, struct bytes payload)
{
    return f->twin != NULL && bytes_equal(io_twin_payload(f->twin), payload);
}

/* --- plain use --- */

TEST(io_twin, holds_what_was_created_and_written)
{
    struct fixture f = fixture_open(text("one"));
    EXPECT(holds(&f, text("one")));
    EXPECT_OK(reopen(&f));
    EXPECT(holds(&f, text("one")));
    EXPECT_OK(io_twin_write(f.twin, text("two, longer"), &f.err));
    EXPECT(holds(&f, text("two, longer")));
    EXPECT_OK(io_twin_write(f.twin, text(""), &f.err));
    EXPECT_OK(reopen(&f));
    EXPECT(holds(&f, text("")));
    EXPECT_UINT(io_twin_bad_copies(f.twin), 0);
    fixture_close(&f);
}

TEST(io_twin, a_payload_may_fill_the_whole_area)
{
    struct buf big = filled('x', IO_TWIN_SIZE - IO_TWIN_HEADER_SIZE);
    struct fixture f = fixture_open(text("small"));
    EXPECT_OK(io_twin_write(f.twin, buf_bytes(&big), &f.err));
    EXPECT_OK(reopen(&f));
    EXPECT(holds(&f, buf_bytes(&big)));
    EXPECT_UINT(fake_disk_file_size(f.disk, "hard.0"), IO_TWIN_SIZE);
    EXPECT_UINT(fake_disk_file_size(f.disk, "hard.1"), IO_TWIN_SIZE);
    buf_deinit(&big);
    fixture_close(&f);
}

static void write_too_much(void *twin)
{
    struct buf big = {0};
    buf_put_zeros(&big, IO_TWIN_SIZE - IO_TWIN_HEADER_SIZE + 1);
    (void)!io_twin_write(twin, buf_bytes(&big), NULL);
}

TEST(io_twin, a_payload_larger_than_the_area_is_a_bug)
{
    struct fixture f = fixture_open(text("one"));
    EXPECT_DIES(write_too_much, f.twin, "IO_TWIN_SIZE");
    fixture_close(&f);
}

/* The bytes of version 1, for good. */
TEST(io_twin, a_copy_has_the_bytes_of_its_format)
{
    static const uint8_t header[] = {0x54, 0x57, 0x53, 0x31, 1, 0, 0, 0, 2, 0,
                                     0,    0,    0,    0,    0, 0, 5, 0, 0, 0};
    struct fixture f = fixture_open(text("something longer"));
    EXPECT_OK(io_twin_write(f.twin, text("hello"), &f.err));
    for (unsigned copy = 0; copy < 2; copy++) {
        uint8_t got[IO_TWIN_SIZE];
        const char *path = copy == 0 ? "hard.0" : "hard.1";
        EXPECT_UINT(fake_disk_peek(f.disk, path, 0, got, sizeof got), IO_TWIN_SIZE);
        EXPECT_MEM(got, header, sizeof header);
        uint32_t crc = crc32c(crc32c(0, header, sizeof header), "hello", 5);
        EXPECT_UINT(bytes_get_u32(got + sizeof header), crc);
        EXPECT_MEM(got + IO_TWIN_HEADER_SIZE, "hello", 5);
        size_t used = IO_TWIN_HEADER_SIZE + 5;
        EXPECT(bytes_is_zero(bytes_of(got + used, sizeof got - used)));
    }
    fixture_close(&f);
}

TEST(io_twin, that_does_not_exist_is_not_found)
{
    struct fixture f = fixture_open(text("one"));
    struct io_twin *other = NULL;
    EXPECT_ERR(io_twin_open(f.io, "/", "other", MAGIC, &other, &f.err), ERR_NOT_FOUND);
    EXPECT_STR(f.err.text, "opening //other: neither copy exists");
    EXPECT(other == NULL);
    fixture_close(&f);
}

TEST(io_twin, create_replaces_leftovers_but_nothing_that_was_in_use)
{
    struct fixture f = fixture_open(text("one"));
    struct io_twin *again = NULL;
    fake_disk_truncate(f.disk, "hard.1", 7);
    EXPECT_OK(io_twin_create(f.io, "/", "hard", MAGIC, text("new"), &again, &f.err));
    io_twin_close(again);
    EXPECT_OK(reopen(&f));
    EXPECT(holds(&f, text("new")));
    EXPECT_OK(io_twin_write(f.twin, text("voted"), &f.err));
    EXPECT_ERR(io_twin_create(f.io, "/", "hard", MAGIC, text("x"), &again, &f.err), ERR_EXISTS);
    EXPECT(again == NULL);
    EXPECT_OK(reopen(&f));
    EXPECT(holds(&f, text("voted")));
    fixture_close(&f);
}

/* --- damage --- */

static void damage(struct fixture *f, const char *path, unsigned kind)
{
    struct random r = random_seeded(kind);
    switch (kind) {
    case 0:
        fake_disk_flip_bit(f->disk, path, 0, 3); /* magic */
        break;
    case 1:
        fake_disk_flip_bit(f->disk, path, 4, 1); /* format */
        break;
    case 2:
        fake_disk_flip_bit(f->disk, path, 8, 0); /* sequence */
        break;
    case 3:
        fake_disk_flip_bit(f->disk, path, 18, 7); /* size: past the end */
        break;
    case 4:
        fake_disk_flip_bit(f->disk, path, 21, 2); /* crc */
        break;
    case 5:
        fake_disk_flip_bit(f->disk, path, IO_TWIN_HEADER_SIZE, 5); /* payload */
        break;
    case 6:
        fake_disk_zero(f->disk, path, 0, FAKE_DISK_SECTOR_SIZE);
        break;
    case 7:
        fake_disk_garbage(f->disk, path, 0, IO_TWIN_SIZE, &r);
        break;
    case 8:
        fake_disk_truncate(f->disk, path, 0);
        break;
    case 9:
        fake_disk_truncate(f->disk, path, IO_TWIN_HEADER_SIZE + 1);
        break;
    case 10:
        fake_disk_remove(f->disk, path);
        break;
    default:
        fake_disk_read_error(f->disk, path, 0, 1);
        break;
    }
}

enum { DAMAGE_KINDS = 12, DAMAGE_READ_ERROR = 11, DAMAGE_REMOVED = 10 };

static const char *const paths[] = {"hard.0", "hard.1"};

static void lose_one_copy(unsigned writes, unsigned copy, unsigned kind)
{
    struct fixture f = fixture_open(text("vote 0"));
    char last[16] = "vote 0";
    for (unsigned i = 1; i <= writes; i++) {
        (void)snprintf(last, sizeof last, "vote %u", i);
        EXPECT_OK(io_twin_write(f.twin, text(last), &f.err));
    }
    damage(&f, paths[copy], kind);
    EXPECT_OK(reopen(&f));
    EXPECT(holds(&f, text(last)));
    EXPECT_UINT(io_twin_bad_copies(f.twin), 1);
    /* The damaged one was made good again: it serves alone. */
    damage(&f, paths[1 - copy], 7);
    EXPECT_OK(reopen(&f));
    EXPECT(holds(&f, text(last)));
    fixture_close(&f);
}

/* Rule B1 of the safety rules: a promise made is in both copies, whichever one
 * is lost. With copies that take turns, one of the two has the promise before. */
TEST(io_twin, either_copy_alone_has_the_last_promise)
{
    for (unsigned kind = 0; kind < DAMAGE_KINDS; kind++) {
        for (unsigned writes = 0; writes < 4; writes++) {
            for (unsigned copy = 0; copy < 2; copy++) {
                lose_one_copy(writes, copy, kind);
            }
        }
    }
}

TEST(io_twin, two_bad_copies_are_refused_whatever_they_have)
{
    for (unsigned first = 0; first < DAMAGE_KINDS; first++) {
        for (unsigned second = 0; second < DAMAGE_KINDS; second++) {
            struct fixture f = fixture_open(text("one"));
            EXPECT_OK(io_twin_write(f.twin, text("two"), &f.err));
            damage(&f, paths[0], first);
            damage(&f, paths[1], second);
            enum err_code want = ERR_CORRUPT;
            if (first == DAMAGE_READ_ERROR || second == DAMAGE_READ_ERROR) {
                want = ERR_IO;
            }
            if (first == DAMAGE_REMOVED && second == DAMAGE_REMOVED) {
                want = ERR_NOT_FOUND;
            }
            EXPECT_ERR(reopen(&f), want);
            EXPECT(f.twin == NULL);
            fixture_close(&f);
        }
    }
}

TEST(io_twin, damage_behind_the_payload_does_no_harm)
{
    struct fixture f = fixture_open(text("one"));
    fake_disk_flip_bit(f.disk, "hard.0", IO_TWIN_SIZE - 1, 0);
    fake_disk_flip_bit(f.disk, "hard.1", 2000, 0);
    EXPECT_OK(reopen(&f));
    EXPECT_UINT(io_twin_bad_copies(f.twin), 0);
    EXPECT(holds(&f, text("one")));
    uint8_t byte = 9;
    EXPECT_UINT(fake_disk_peek(f.disk, "hard.1", 2000, &byte, 1), 1);
    EXPECT_UINT(byte, 0);
    fixture_close(&f);
}

/* Writes a copy by hand, as another program would. */
static void forge(struct fixture *f, const char *path, uint32_t magic, uint32_t format,
                  uint64_t sequence, const char *payload)
{
    struct buf copy = {0};
    buf_put_u32(&copy, magic);
    buf_put_u32(&copy, format);
    buf_put_u64(&copy, sequence);
    buf_put_u32(&copy, (uint32_t)strlen(payload));
    buf_put_u32(&copy, crc32c(crc32c_bytes(buf_bytes(&copy)), payload, strlen(payload)));
    buf_put_bytes(&copy, bytes_str(payload));
    fake_disk_overwrite(f->disk, path, 0, buf_bytes(&copy));
    buf_deinit(&copy);
}

TEST(io_twin, a_newer_format_is_unsupported_not_damage)
{
    for (unsigned copy = 0; copy < 2; copy++) {
        struct fixture f = fixture_open(text("one"));
        forge(&f, paths[copy], MAGIC, 2, 7, "future");
        EXPECT_ERR(reopen(&f), ERR_UNSUPPORTED);
        EXPECT_CONTAINS(f.err.text, "format 2, this program knows 1");
        fixture_close(&f);
    }
}

/* Sequences that no twin writes, and that could not be followed by another. */
TEST(io_twin, an_impossible_sequence_or_format_is_damage)
{
    struct fixture f = fixture_open(text("one"));
    forge(&f, "hard.0", MAGIC, 1, 0, "x");
    EXPECT_OK(reopen(&f));
    EXPECT(holds(&f, text("one")));
    EXPECT_UINT(io_twin_bad_copies(f.twin), 1);
    forge(&f, "hard.1", MAGIC, 1, UINT64_MAX, "x");
    EXPECT_OK(reopen(&f));
    EXPECT(holds(&f, text("one")));
    forge(&f, "hard.1", MAGIC, 0, 7, "x");
    EXPECT_OK(reopen(&f));
    EXPECT(holds(&f, text("one")));
    fixture_close(&f);
}

TEST(io_twin, copies_of_another_kind_are_refused)
{
    struct fixture f = fixture_open(text("one"));
    io_twin_close(f.twin);
    EXPECT_ERR(io_twin_open(f.io, "/", "hard", MAGIC + 1, &f.twin, &f.err), ERR_CORRUPT);
    EXPECT_CONTAINS(f.err.text, "magic 31535754, expected 31535755");
    fixture_close(&f);
}

TEST(io_twin, whole_copies_that_contradict_each_other_are_refused)
{
    struct fixture f = fixture_open(text("one"));
    forge(&f, "hard.0", MAGIC, 1, 7, "mine");
    forge(&f, "hard.1", MAGIC, 1, 7, "other");
    EXPECT_ERR(reopen(&f), ERR_CORRUPT);
    EXPECT_CONTAINS(f.err.text, "both copies are whole, have sequence 7 and differ");
    forge(&f, "hard.1", MAGIC, 1, 8, "other");
    EXPECT_OK(reopen(&f));
    EXPECT(holds(&f, text("other")));
    EXPECT_UINT(io_twin_bad_copies(f.twin), 0);
    fixture_close(&f);
}

/* --- failures --- */

TEST(io_twin, refuses_everything_after_a_failed_write)
{
    static const enum fake_disk_call calls[] = {FAKE_DISK_WRITE, FAKE_DISK_SYNC};
    for (uint64_t nth = 1; nth <= 2; nth++) {
        for (size_t i = 0; i < 2; i++) {
            struct fixture f = fixture_open(text("one"));
            fake_disk_fail(f.disk, (struct fake_disk_fault){
                                       .call = calls[i], .nth = nth, .code = ERR_NO_SPACE});
            EXPECT_ERR(io_twin_write(f.twin, text("two"), &f.err), ERR_NO_SPACE);
            EXPECT_CONTAINS(f.err.text, nth == 1 ? "copy 0: /hard.0: " : "copy 1: /hard.1: ");
            EXPECT_ERR(io_twin_write(f.twin, text("three"), &f.err), ERR_STATE);
            EXPECT_OK(reopen(&f));
            EXPECT(holds(&f, text("two")) || holds(&f, text("one")));
            fixture_close(&f);
        }
    }
}

/* Each call of open and of create fails once: an error, nothing is held, and
 * the next attempt succeeds. */
TEST(io_twin, open_and_create_report_each_failure)
{
    for (unsigned create = 0; create < 2; create++) {
        for (uint64_t calls = 0;; calls++) {
            struct fake_disk *disk = fake_disk_create(1);
            struct fixture f = {disk, fake_disk_io(disk), NULL, {ERR_OK, ""}};
            if (create == 0) {
                EXPECT_OK(io_twin_create(f.io, "/", "hard", MAGIC, text("a"), &f.twin, &f.err));
                io_twin_close(f.twin);
                f.twin = NULL;
            }
            fake_disk_stop_after(disk, calls);
            enum err_code code =
                create == 1 ? io_twin_create(f.io, "/", "hard", MAGIC, text("a"), &f.twin, &f.err)
                            : io_twin_open(f.io, "/", "hard", MAGIC, &f.twin, &f.err);
            bool done = code == ERR_OK;
            EXPECT(done == (f.twin != NULL));
            fake_disk_clear_faults(disk);
            if (!done) {
                EXPECT_UINT(fake_disk_open_files(disk), 0);
                EXPECT_OK(io_twin_create(f.io, "/", "hard", MAGIC, text("a"), &f.twin, &f.err));
            }
            fixture_close(&f);
            if (done) {
                EXPECT(calls > 8);
                break;
            }
        }
    }
}

/* --- crashes --- */

/* Chooses a subset by the bits of 'subset' (all of them while they fit). */
static void power_fail_subset(struct fake_disk *disk, uint64_t subset, uint64_t pending)
{
    static bool keep[PENDING_MAX];
    REQUIRE(pending <= PENDING_MAX);
    for (uint64_t i = 0; i < pending; i++) {
        keep[i] = (subset >> i & 1) != 0;
    }
    fake_disk_power_fail_keep(disk, keep, UINT64_MAX);
}

/* After a crash: the payload is one of the two, and what was once read stays. */
static void check_outcome(struct fixture *f, struct bytes old, struct bytes new, bool written)
{
    EXPECT_OK(reopen(f));
    bool is_new = holds(f, new);
    EXPECT(is_new || (!written && holds(f, old)));
    fake_disk_power_fail_lose_all(f->disk);
    EXPECT_OK(reopen(f));
    EXPECT(holds(f, is_new ? new : old));
}

/* Stops a change after 'calls' calls and tries every subset of what is unsynced.
 * Returns whether the change was completed. */
static bool crash_change(struct bytes old, struct bytes new, uint64_t calls)
{
    struct fixture f = fixture_open(old);
    fake_disk_stop_after(f.disk, calls);
    bool written = io_twin_write(f.twin, new, &f.err) == ERR_OK;
    fake_disk_clear_faults(f.disk);
    io_twin_close(f.twin);
    f.twin = NULL;

    struct fake_disk_image *image = fake_disk_snapshot(f.disk);
    uint64_t pending = fake_disk_pending(f.disk);
    EXPECT(pending <= 12);
    for (uint64_t subset = 0; subset < UINT64_C(1) << pending; subset++) {
        fake_disk_restore(f.disk, image);
        power_fail_subset(f.disk, subset, pending);
        check_outcome(&f, old, new, written);
    }
    fake_disk_restore(f.disk, image); /* killed without a power failure */
    check_outcome(&f, old, new, written);
    fake_disk_image_free(image);
    fixture_close(&f);
    return written;
}

TEST(io_twin, a_crash_anywhere_in_a_change_leaves_the_old_or_the_new)
{
    struct buf large = filled('x', 1800); /* four sectors */
    struct bytes payloads[] = {text("small"), text("other"), buf_bytes(&large)};
    for (size_t from = 0; from < 3; from++) {
        for (size_t to = 0; to < 3; to++) {
            uint64_t calls = 0;
            while (from != to && !crash_change(payloads[from], payloads[to], calls)) {
                calls++;
            }
            EXPECT_UINT(calls, from == to ? 0 : 4); /* write, sync, write, sync */
        }
    }
    buf_deinit(&large);
}

/* Crashes in a change, then in the opens that follow, by chance. Once an open
 * has answered, no later one may answer otherwise. */
static void crash_repeatedly(uint64_t seed)
{
    struct random r = random_seeded(seed);
    static uint8_t letters[2][6000]; /* many sectors, so that a copy can be torn */
    memset(letters[0], 'o', sizeof letters[0]);
    memset(letters[1], 'n', sizeof letters[1]);
    struct bytes old = bytes_of(letters[0], (size_t)random_between(&r, 1, 6000));
    struct bytes new = bytes_of(letters[1], (size_t)random_between(&r, 1, 6000));
    struct fixture f = fixture_open(old);
    fake_disk_stop_after(f.disk, random_below(&r, 5));
    bool must_be_new = io_twin_write(f.twin, new, &f.err) == ERR_OK;
    bool must_be_old = false;
    for (unsigned crash = 0; crash < 6; crash++) {
        fake_disk_clear_faults(f.disk);
        if (random_chance(&r, 2, 3)) {
            fake_disk_power_fail(f.disk, &r);
        } else {
            fake_disk_kill(f.disk);
        }
        io_twin_close(f.twin);
        f.twin = NULL;
        fake_disk_stop_after(f.disk, random_below(&r, 20));
        enum err_code code = io_twin_open(f.io, "/", "hard", MAGIC, &f.twin, &f.err);
        if (code != ERR_OK) {
            EXPECT_ERR(code, ERR_IO);
            EXPECT_CONTAINS(f.err.text, "stopped");
            continue;
        }
        must_be_new = must_be_new || holds(&f, new);
        must_be_old = must_be_old || holds(&f, old);
        EXPECT(must_be_new != must_be_old);
    }
    fixture_close(&f);
}

TEST(io_twin, what_an_open_answered_is_never_taken_back)
{
    for (uint64_t seed = 0; seed < 3000; seed++) {
        test_context("seed %" PRIu64, seed);
        crash_repeatedly(seed);
    }
}

/* Killed in a change after 'change_calls', then in the open after 'open_calls',
 * then the power fails, in many ways: the open must never put both at risk. */
static bool crash_open(struct bytes old, struct bytes new, uint64_t change_calls,
                       uint64_t open_calls)
{
    struct random r = random_seeded(change_calls << 8 | open_calls);
    struct fixture f = fixture_open(old);
    fake_disk_stop_after(f.disk, change_calls);
    bool written = io_twin_write(f.twin, new, &f.err) == ERR_OK;
    fake_disk_kill(f.disk);
    fake_disk_clear_faults(f.disk);
    fake_disk_stop_after(f.disk, open_calls);
    bool opened = reopen(&f) == ERR_OK;
    bool read_new = holds(&f, new);
    fake_disk_clear_faults(f.disk);
    io_twin_close(f.twin);
    f.twin = NULL;
    struct fake_disk_image *image = fake_disk_snapshot(f.disk);
    for (unsigned i = 0; i < 30; i++) {
        fake_disk_restore(f.disk, image);
        fake_disk_power_fail(f.disk, &r);
        EXPECT_OK(reopen(&f));
        EXPECT(holds(&f, new) || (!written && holds(&f, old)));
        EXPECT(!opened || holds(&f, new) == read_new);
    }
    fake_disk_image_free(image);
    fixture_close(&f);
    return opened;
}

TEST(io_twin, a_crash_in_an_open_after_a_kill_leaves_the_old_or_the_new)
{
    struct buf old = filled('o', 5000);
    struct buf new = filled('n', 4000);
    for (uint64_t change_calls = 0; change_calls <= 4; change_calls++) {
        uint64_t open_calls = 0;
        while (!crash_open(buf_bytes(&old), buf_bytes(&new), change_calls, open_calls)) {
            open_calls++;
        }
        EXPECT_UINT(open_calls, 11); /* twice open, read; twice open, write, sync; the directory */
    }
    buf_deinit(&old);
    buf_deinit(&new);
}

TEST(io_twin, names_are_durable_after_create_and_after_open)
{
    struct fixture f = fixture_open(text("one"));
    fake_disk_power_fail_lose_all(f.disk);
    EXPECT_OK(reopen(&f));
    fake_disk_remove(f.disk, "hard.1");
    EXPECT_OK(reopen(&f));
    fake_disk_power_fail_lose_all(f.disk);
    EXPECT(fake_disk_has(f.disk, "hard.1"));
    EXPECT_OK(reopen(&f));
    EXPECT_UINT(io_twin_bad_copies(f.twin), 0);
    fixture_close(&f);
}
