/* SPDX-License-Identifier: Apache-2.0 */
/* A checkpoint that goes from one disk to another, chunk by chunk. */
#include "base/random.h"
#include "testkit/test.h"
#include "tsdb/test/fixture.h"

static struct buf manifest; /* of the sender's checkpoint */

/* A sender with a checkpoint of several parts; its files stay as they are. */
static struct fixture sender_open(void)
{
    struct fixture f = fixture_open(false);
    for (int i = 0; i < 12; i++) {
        char tags[16];
        char rows[200];
        (void)snprintf(tags, sizeof tags, "h%d", i);
        (void)snprintf(rows, sizeof rows, "%d 1 1.5 true x\n%d 2 2.5 - some_text", i, i + 1);
        EXPECT_OK(put(&f, tags, rows));
        if (i == 7) {
            EXPECT_OK(checkpoint(&f, NULL));
        }
    }
    EXPECT_OK(checkpoint(&f, NULL));
    char name[TSDB_NAME_SIZE];
    char path[IO_PATH_MAX];
    tsdb_manifest_name(f.index, name);
    REQUIRE_OK(io_join(path, "tsdb", name, &f.err));
    buf_reset(&manifest);
    REQUIRE_OK(io_read_file(f.io, path, 1 << 20, &manifest, &f.err));
    return f;
}

static void sender_close(struct fixture *f)
{
    buf_deinit(&manifest);
    manifest = (struct buf){0};
    fixture_close(f);
}

/* Some bytes of the sender's file. */
static void read_chunk(struct fixture *sender, const struct tsdb_file *file, uint64_t offset,
                       size_t size_max, struct buf *out)
{
    char path[IO_PATH_MAX];
    struct file *open = NULL;
    EXPECT(tsdb_name_is_valid(file->name));
    REQUIRE_OK(io_join(path, "tsdb", file->name, &sender->err));
    REQUIRE_OK(io_open(sender->io, path, IO_READ, &open, &sender->err));
    size_t size = file->size - offset < size_max ? (size_t)(file->size - offset) : size_max;
    buf_reset(out);
    REQUIRE_OK(file_read_exact(open, offset, buf_extend(out, size), size, &sender->err));
    file_close(open);
}

/* Fetches until all is here, something fails, or 'chunks' are used up. */
static enum err_code fetch(struct fixture *sender, struct tsdb_install *t, size_t size_max,
                           unsigned *chunks, struct err *e)
{
    struct buf data = {0};
    struct tsdb_file file;
    uint64_t offset = 0;
    enum err_code code = ERR_OK;
    while (code == ERR_OK && *chunks > 0 && tsdb_install_next(t, &file, &offset)) {
        read_chunk(sender, &file, offset, size_max, &data);
        code = tsdb_install_chunk(t, file.name, offset, buf_bytes(&data), e);
        (*chunks)--;
    }
    buf_deinit(&data);
    return code;
}

struct receiver {
    struct fake_disk *disk;
    struct io *io;
    struct err err;
};

static struct receiver receiver_open(void)
{
    struct receiver r = {.disk = fake_disk_create(2)};
    r.io = fake_disk_io(r.disk);
    return r;
}

static enum err_code begin(struct receiver *r, uint64_t index, struct tsdb_install **t)
{
    return tsdb_install_begin(r->io, "tsdb", index, buf_bytes(&manifest), t, &r->err);
}

/* The receiver's state is the sender's. */
static void expect_installed(struct fixture *sender, struct receiver *r)
{
    struct fixture f = {.disk = r->disk, .io = r->io, .term = 1};
    unsigned parts = 0;
    EXPECT_OK(tsdb_verify(r->io, "tsdb", sender->index, &parts, &r->err));
    EXPECT(parts > 0);
    REQUIRE_OK(open_at(&f, sender->index));
    EXPECT_SAME_HASH(state_hash(&f), state_hash(sender));
    EXPECT_OK(put(&f, "h1", "100 1 - - -"));
    tsdb_close(f.db);
    tsdb_results_deinit(&f.results);
    buf_deinit(&f.text);
}

TEST(install, a_checkpoint_is_fetched_in_chunks_of_any_size)
{
    struct fixture sender = sender_open();
    static const size_t sizes[] = {1, 100, 4096, 1 << 20};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct receiver r = receiver_open();
        struct tsdb_install *t = NULL;
        unsigned chunks = 1 << 20;
        uint64_t index = 0;
        uint64_t term = 0;
        REQUIRE_OK(begin(&r, sender.index, &t));
        EXPECT_OK(fetch(&sender, t, sizes[i], &chunks, &r.err));
        EXPECT_OK(tsdb_install_finish(t, &index, &term, &r.err));
        EXPECT_UINT(index, sender.index);
        EXPECT_UINT(term, 1);
        tsdb_install_close(t);
        tsdb_install_close(NULL);
        expect_installed(&sender, &r);
        EXPECT_UINT(fake_disk_open_files(r.disk), 0);
        fake_disk_destroy(r.disk);
    }
    sender_close(&sender);
}

TEST(install, goes_on_where_an_earlier_attempt_stopped)
{
    struct fixture sender = sender_open();
    struct receiver r = receiver_open();
    unsigned total = 0;
    for (unsigned round = 0;; round++) {
        struct tsdb_install *t = NULL;
        unsigned chunks = 3;
        struct tsdb_file file;
        uint64_t offset = 0;
        REQUIRE_OK(begin(&r, sender.index, &t));
        bool more = tsdb_install_next(t, &file, &offset);
        EXPECT_OK(fetch(&sender, t, 200, &chunks, &r.err));
        total += 3 - chunks;
        if (!more) {
            uint64_t index = 0;
            uint64_t term = 0;
            EXPECT_OK(tsdb_install_finish(t, &index, &term, &r.err));
        }
        tsdb_install_close(t);
        if (!more) {
            EXPECT(round > 5);
            break;
        }
    }
    struct tsdb_install *t = NULL;
    struct receiver other = receiver_open();
    REQUIRE_OK(begin(&other, sender.index, &t));
    unsigned all = 1 << 20;
    EXPECT_OK(fetch(&sender, t, 200, &all, &other.err));
    EXPECT_UINT(total, (1 << 20) - all); /* no chunk was fetched twice */
    tsdb_install_close(t);
    fake_disk_destroy(other.disk);
    expect_installed(&sender, &r);
    fake_disk_destroy(r.disk);
    sender_close(&sender);
}

/* Parts that an older checkpoint of the receiver has are not fetched again,
 * unless they no longer check. */
TEST(install, takes_over_parts_that_are_here_and_whole)
{
    struct fixture sender = sender_open();
    struct receiver r = receiver_open();
    struct tsdb_install *t = NULL;
    unsigned chunks = 1 << 20;
    uint64_t index = 0;
    uint64_t term = 0;
    REQUIRE_OK(begin(&r, sender.index, &t));
    EXPECT_OK(fetch(&sender, t, 1 << 20, &chunks, &r.err));
    EXPECT_OK(tsdb_install_finish(t, &index, &term, &r.err));
    tsdb_install_close(t);
    struct tsdb_file file;
    uint64_t offset = 0;
    REQUIRE_OK(begin(&r, sender.index, &t));
    EXPECT(!tsdb_install_next(t, &file, &offset));
    tsdb_install_close(t);

    struct io_name *names = NULL;
    size_t count = 0;
    REQUIRE_OK(io_list(r.io, "tsdb", &names, &count, &r.err));
    for (size_t i = 0; i < count; i++) {
        if (strncmp(names[i].name, "part-", 5) == 0) {
            char path[IO_PATH_MAX];
            struct file *part = NULL;
            struct bytes one = bytes_of("\x55", 1);
            REQUIRE_OK(io_join(path, "tsdb", names[i].name, &r.err));
            REQUIRE_OK(io_open(r.io, path, IO_WRITE, &part, &r.err));
            REQUIRE_OK(file_write_at(part, 100, &one, 1, &r.err));
            file_close(part);
            break;
        }
    }
    mem_free(names);
    unsigned parts = 0;
    EXPECT_ERR(tsdb_verify(r.io, "tsdb", sender.index, &parts, &r.err), ERR_CORRUPT);
    REQUIRE_OK(begin(&r, sender.index, &t));
    chunks = 1 << 20;
    EXPECT_OK(fetch(&sender, t, 1 << 20, &chunks, &r.err));
    EXPECT_UINT(chunks, (1 << 20) - 1); /* the damaged one alone */
    EXPECT_OK(tsdb_install_finish(t, &index, &term, &r.err));
    tsdb_install_close(t);
    expect_installed(&sender, &r);
    fake_disk_destroy(r.disk);
    sender_close(&sender);
}

TEST(install, a_file_with_wrong_bytes_is_fetched_again)
{
    struct fixture sender = sender_open();
    struct receiver r = receiver_open();
    struct tsdb_install *t = NULL;
    struct tsdb_file file;
    uint64_t offset = 0;
    struct buf data = {0};
    REQUIRE_OK(begin(&r, sender.index, &t));
    REQUIRE(tsdb_install_next(t, &file, &offset));
    read_chunk(&sender, &file, 0, 1 << 20, &data);
    for (size_t at = 0; at < data.size; at += 11) {
        data.data[at] ^= 1;
        EXPECT_ERR(tsdb_install_chunk(t, file.name, 0, buf_bytes(&data), &r.err), ERR_CORRUPT);
        EXPECT(tsdb_install_next(t, &file, &offset));
        EXPECT_UINT(offset, 0);
        data.data[at] ^= 1;
    }
    EXPECT_OK(tsdb_install_chunk(t, file.name, 0, buf_bytes(&data), &r.err));
    buf_deinit(&data);
    tsdb_install_close(t);
    fake_disk_destroy(r.disk);
    sender_close(&sender);
}

TEST(install, chunks_that_are_not_needed_next_are_refused)
{
    struct fixture sender = sender_open();
    struct receiver r = receiver_open();
    struct tsdb_install *t = NULL;
    struct tsdb_file file;
    uint64_t offset = 0;
    struct buf data = {0};
    REQUIRE_OK(begin(&r, sender.index, &t));
    REQUIRE(tsdb_install_next(t, &file, &offset));
    read_chunk(&sender, &file, 0, 100, &data);
    EXPECT_ERR(tsdb_install_chunk(t, file.name, 100, buf_bytes(&data), &r.err), ERR_STATE);
    EXPECT_ERR(tsdb_install_chunk(t, "part-x", 0, buf_bytes(&data), &r.err), ERR_STATE);
    EXPECT_ERR(tsdb_install_chunk(t, file.name, 0, (struct bytes){0}, &r.err), ERR_INVALID);
    EXPECT_OK(tsdb_install_chunk(t, file.name, 0, buf_bytes(&data), &r.err));
    EXPECT_ERR(tsdb_install_chunk(t, file.name, 0, buf_bytes(&data), &r.err), ERR_STATE);
    (void)buf_extend(&data, (size_t)file.size);
    EXPECT_ERR(tsdb_install_chunk(t, file.name, 100, buf_bytes(&data), &r.err), ERR_INVALID);
    EXPECT(tsdb_install_next(t, &file, &offset));
    EXPECT_UINT(offset, 100);
    buf_deinit(&data);
    tsdb_install_close(t);
    fake_disk_destroy(r.disk);
    sender_close(&sender);
}

TEST(install, a_damaged_manifest_is_refused_before_anything_is_written)
{
    struct fixture sender = sender_open();
    struct receiver r = receiver_open();
    struct tsdb_install *t = NULL;
    EXPECT_ERR(begin(&r, sender.index + 1, &t), ERR_CORRUPT);
    for (size_t at = 0; at < manifest.size; at += 3) {
        manifest.data[at] ^= 0x40;
        EXPECT_ERR(begin(&r, sender.index, &t), ERR_CORRUPT);
        EXPECT(t == NULL);
        manifest.data[at] ^= 0x40;
    }
    EXPECT_UINT(fake_disk_used(r.disk), 0);
    fake_disk_destroy(r.disk);
    sender_close(&sender);
}

TEST(install, what_is_left_of_another_checkpoint_is_removed)
{
    struct fixture sender = sender_open();
    struct receiver r = receiver_open();
    struct tsdb_install *t = NULL;
    unsigned chunks = 2;
    REQUIRE_OK(begin(&r, sender.index, &t));
    EXPECT_OK(fetch(&sender, t, 100, &chunks, &r.err));
    tsdb_install_close(t);
    buf_reset(&manifest);
    /* An empty checkpoint: it needs no part at all. */
    struct fixture empty = fixture_open(true);
    tsdb_apply_barrier(empty.db, ++empty.index, 1);
    EXPECT_OK(checkpoint(&empty, NULL));
    char name[TSDB_NAME_SIZE];
    char path[IO_PATH_MAX];
    tsdb_manifest_name(empty.index, name);
    REQUIRE_OK(io_join(path, "tsdb", name, &empty.err));
    REQUIRE_OK(io_read_file(empty.io, path, 1 << 20, &manifest, &empty.err));
    REQUIRE_OK(begin(&r, empty.index, &t));
    struct io_name *names = NULL;
    size_t count = 0;
    EXPECT_OK(io_list(r.io, "tsdb/incoming", &names, &count, &r.err));
    EXPECT_UINT(count, 0);
    mem_free(names);
    tsdb_install_close(t);
    fixture_close(&empty);
    fake_disk_destroy(r.disk);
    sender_close(&sender);
}

/* A part that was here at the start and is gone at the end. */
TEST(install, finishing_without_a_part_asks_for_it_again)
{
    struct fixture sender = sender_open();
    struct receiver r = receiver_open();
    struct tsdb_install *t = NULL;
    unsigned chunks = 1 << 20;
    uint64_t index = 0;
    uint64_t term = 0;
    REQUIRE_OK(begin(&r, sender.index, &t));
    struct tsdb_file first;
    uint64_t offset = 0;
    REQUIRE(tsdb_install_next(t, &first, &offset));
    EXPECT_OK(fetch(&sender, t, 1 << 20, &chunks, &r.err));
    char path[IO_PATH_MAX];
    REQUIRE_OK(io_join(path, "tsdb/incoming", first.name, &r.err));
    REQUIRE_OK(io_unlink(r.io, path, &r.err));
    EXPECT_ERR(tsdb_install_finish(t, &index, &term, &r.err), ERR_STATE);
    EXPECT_CONTAINS(r.err.text, "is gone: fetch it again");
    struct tsdb_file again;
    REQUIRE(tsdb_install_next(t, &again, &offset));
    EXPECT_STR(again.name, first.name);
    EXPECT_OK(fetch(&sender, t, 1 << 20, &chunks, &r.err));
    EXPECT_OK(tsdb_install_finish(t, &index, &term, &r.err));
    tsdb_install_close(t);
    expect_installed(&sender, &r);
    fake_disk_destroy(r.disk);
    sender_close(&sender);
}

/* --- crashes --- */

static bool install_all(struct fixture *sender, struct receiver *r)
{
    struct tsdb_install *t = NULL;
    unsigned chunks = 1 << 20;
    uint64_t index = 0;
    uint64_t term = 0;
    bool done = begin(r, sender->index, &t) == ERR_OK &&
                fetch(sender, t, 700, &chunks, &r->err) == ERR_OK &&
                tsdb_install_finish(t, &index, &term, &r->err) == ERR_OK;
    tsdb_install_close(t);
    return done;
}

/* Stops at every call; what was reported done is there, and any attempt after
 * the crash succeeds. */
TEST(install, a_crash_at_any_call_loses_nothing_that_was_reported)
{
    struct fixture sender = sender_open();
    struct random random = random_seeded(4);
    unsigned crashes = 0;
    for (int how = 0; how < 4; how++) {
        for (uint64_t stop = 0;; stop++) {
            struct receiver r = receiver_open();
            fake_disk_stop_after(r.disk, stop);
            bool done = install_all(&sender, &r);
            if (how == 0) {
                fake_disk_power_fail_lose_all(r.disk);
            } else if (how == 1) {
                fake_disk_kill(r.disk);
            } else {
                fake_disk_power_fail(r.disk, &random);
            }
            fake_disk_clear_faults(r.disk);
            if (!done) {
                EXPECT(install_all(&sender, &r));
            }
            expect_installed(&sender, &r);
            EXPECT_UINT(fake_disk_open_files(r.disk), 0);
            fake_disk_destroy(r.disk);
            crashes++;
            if (done) {
                break;
            }
        }
    }
    EXPECT(crashes > 100);
    sender_close(&sender);
}
