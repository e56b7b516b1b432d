/* SPDX-License-Identifier: Apache-2.0 */
#include "testkit/lossy_io.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/random.h"
#include "io/io_posix.h"
#include "io/io_twin.h"
#include "testkit/test.h"

/* A data directory "data" in a real directory of the test's own. */
struct fixture {
    struct io *real;
    char root[IO_PATH_MAX];
    char dir[IO_PATH_MAX];
    struct lossy_io *lossy;
    struct io *io;
    struct err err;
};

static void reopen(struct fixture *f)
{
    lossy_io_close(f->lossy); /* the same as a kill: it does nothing */
    REQUIRE_OK(lossy_io_open(f->real, f->dir, &f->lossy, &f->err));
    f->io = lossy_io_io(f->lossy);
}

static void fixture_init(struct fixture *f)
{
    *f = (struct fixture){.real = io_posix()};
    const char *root = getenv("TMPDIR");
    (void)snprintf(f->root, sizeof f->root, "%s/tidemark-lossy-XXXXXX",
                   root == NULL ? "/tmp" : root);
    REQUIRE(mkdtemp(f->root) != NULL);
    REQUIRE_OK(io_join(f->dir, f->root, "data", &f->err));
    reopen(f);
}

static void fixture_close(struct fixture *f)
{
    lossy_io_close(f->lossy);
    pid_t pid = fork();
    REQUIRE(pid >= 0);
    if (pid == 0) {
        (void)execlp("rm", "rm", "-rf", f->root, (char *)NULL);
        _exit(1);
    }
    int status = 1;
    REQUIRE(waitpid(pid, &status, 0) == pid);
    EXPECT_INT(status, 0);
}

/* A path below the data directory; valid until the call after the next. */
static const char *at(struct fixture *f, const char *name)
{
    static char paths[2][IO_PATH_MAX];
    static unsigned next;
    next = !next;
    REQUIRE_OK(io_join(paths[next], f->dir, name, &f->err));
    return paths[next];
}

static void put(struct fixture *f, const char *name, const char *content, bool sync)
{
    struct file *file = NULL;
    struct bytes part = bytes_str(content);
    REQUIRE_OK(io_open(f->io, at(f, name), IO_WRITE | IO_CREATE, &file, &f->err));
    EXPECT_OK(file_write_at(file, 0, &part, 1, &f->err));
    if (sync) {
        EXPECT_OK(file_sync(file, &f->err));
    }
    file_close(file);
}

/* The content as the process sees it, or as the real disk has it; "-": none. */
static const char *get(struct io *io, const char *path)
{
    static char text[64];
    struct buf content = {0};
    (void)snprintf(text, sizeof text, "-");
    if (io_read_file(io, path, sizeof text - 1, &content, NULL) == ERR_OK) {
        buf_put_u8(&content, 0);
        (void)snprintf(text, sizeof text, "%s", (const char *)content.data);
    }
    buf_deinit(&content);
    return text;
}

TEST(lossy_io, what_is_not_synced_is_seen_by_the_process_alone)
{
    struct fixture f;
    fixture_init(&f);
    put(&f, "a", "one", true);
    EXPECT_STR(get(f.io, at(&f, "a")), "one");
    EXPECT_STR(get(f.real, at(&f, "a")), "-");
    EXPECT_OK(io_sync_dir(f.io, f.dir, &f.err));
    EXPECT_STR(get(f.real, at(&f, "a")), "one");
    put(&f, "a", "two!", false);
    EXPECT_STR(get(f.io, at(&f, "a")), "two!");
    EXPECT_STR(get(f.real, at(&f, "a")), "one");
    reopen(&f);
    EXPECT_STR(get(f.io, at(&f, "a")), "one");
    put(&f, "a", "three", true);
    EXPECT_STR(get(f.real, at(&f, "a")), "three");
    fixture_close(&f);
}

TEST(lossy_io, a_name_without_synced_bytes_is_an_empty_file)
{
    struct fixture f;
    fixture_init(&f);
    put(&f, "a", "one", false);
    EXPECT_OK(io_sync_dir(f.io, f.dir, &f.err));
    EXPECT_STR(get(f.real, at(&f, "a")), "");
    reopen(&f);
    EXPECT_STR(get(f.io, at(&f, "a")), "");
    fixture_close(&f);
}

TEST(lossy_io, resizes_and_parts_of_a_file_are_carried_over)
{
    struct fixture f;
    struct file *file = NULL;
    fixture_init(&f);
    put(&f, "a", "0123456789", true);
    EXPECT_OK(io_sync_dir(f.io, f.dir, &f.err));
    EXPECT_OK(io_open(f.io, at(&f, "a"), IO_WRITE, &file, &f.err));
    EXPECT_OK(file_resize(file, 4, &f.err));
    EXPECT_OK(file_resize(file, 8, &f.err));
    struct bytes part = bytes_str("x");
    EXPECT_OK(file_write_at(file, 6, &part, 1, &f.err));
    EXPECT_STR(get(f.real, at(&f, "a")), "0123456789");
    EXPECT_OK(file_sync(file, &f.err));
    file_close(file);
    struct buf got = {0};
    EXPECT_OK(io_read_file(f.real, at(&f, "a"), 100, &got, &f.err));
    EXPECT(bytes_equal(buf_bytes(&got), bytes_of("0123\0\0x\0", 8)));
    buf_deinit(&got);
    fixture_close(&f);
}

TEST(lossy_io, renames_and_removals_wait_for_the_directory)
{
    struct fixture f;
    fixture_init(&f);
    put(&f, "a", "a", true);
    put(&f, "b", "b", true);
    put(&f, "c", "c", true);
    EXPECT_OK(io_sync_dir(f.io, f.dir, &f.err));
    EXPECT_OK(io_rename(f.io, at(&f, "a"), at(&f, "b"), &f.err));
    EXPECT_OK(io_unlink(f.io, at(&f, "c"), &f.err));
    EXPECT_STR(get(f.io, at(&f, "b")), "a");
    EXPECT_STR(get(f.io, at(&f, "c")), "-");
    EXPECT_STR(get(f.real, at(&f, "b")), "b");
    EXPECT_STR(get(f.real, at(&f, "c")), "c");
    EXPECT_OK(io_sync_dir(f.io, f.dir, &f.err));
    EXPECT_STR(get(f.real, at(&f, "a")), "-");
    EXPECT_STR(get(f.real, at(&f, "b")), "a");
    EXPECT_STR(get(f.real, at(&f, "c")), "-");
    fixture_close(&f);
}

TEST(lossy_io, directories_come_and_go_with_their_content)
{
    struct fixture f;
    fixture_init(&f);
    EXPECT_OK(io_mkdir(f.io, at(&f, "sub"), &f.err));
    EXPECT_OK(io_mkdir(f.io, at(&f, "sub/deep"), &f.err));
    put(&f, "sub/a", "a", true);
    put(&f, "sub/deep/b", "b", true);
    EXPECT_OK(io_sync_dir(f.io, at(&f, "sub/deep"), &f.err));
    EXPECT_OK(io_sync_dir(f.io, at(&f, "sub"), &f.err));
    EXPECT_STR(get(f.real, at(&f, "sub/a")), "-");
    EXPECT_OK(io_sync_dir(f.io, f.dir, &f.err));
    EXPECT_STR(get(f.real, at(&f, "sub/a")), "a");
    EXPECT_STR(get(f.real, at(&f, "sub/deep/b")), "b");

    reopen(&f);
    EXPECT_STR(get(f.io, at(&f, "sub/deep/b")), "b");
    EXPECT_OK(io_unlink(f.io, at(&f, "sub/deep/b"), &f.err));
    EXPECT_OK(io_rmdir(f.io, at(&f, "sub/deep"), &f.err));
    EXPECT_OK(io_unlink(f.io, at(&f, "sub/a"), &f.err));
    EXPECT_OK(io_rmdir(f.io, at(&f, "sub"), &f.err));
    EXPECT_STR(get(f.real, at(&f, "sub/deep/b")), "b");
    EXPECT_OK(io_sync_dir(f.io, f.dir, &f.err));
    bool exists = true;
    EXPECT_OK(io_exists(f.real, at(&f, "sub"), &exists, &f.err));
    EXPECT(!exists);
    fixture_close(&f);
}

TEST(lossy_io, a_failed_sync_reaches_nothing_real)
{
    struct fixture f;
    struct file *file = NULL;
    fixture_init(&f);
    put(&f, "a", "one", true);
    EXPECT_OK(io_sync_dir(f.io, f.dir, &f.err));
    fake_disk_fail_next(lossy_io_disk(f.lossy), FAKE_DISK_SYNC, ERR_IO);
    EXPECT_OK(io_open(f.io, at(&f, "a"), IO_WRITE, &file, &f.err));
    struct bytes part = bytes_str("two");
    EXPECT_OK(file_write_at(file, 0, &part, 1, &f.err));
    EXPECT_ERR(file_sync(file, &f.err), ERR_IO);
    file_close(file);
    EXPECT_STR(get(f.real, at(&f, "a")), "one");
    fixture_close(&f);
}

/* What a test asks of a process that it can't reach otherwise. */
static void ask_for(struct fixture *f, const char *fault)
{
    char path[IO_PATH_MAX];
    REQUIRE_OK(lossy_io_fault_path(f->dir, path, &f->err));
    struct bytes text = bytes_str(fault);
    struct file *file = NULL;
    (void)!io_unlink(f->real, path, NULL);
    if (text.size > 0) {
        REQUIRE_OK(io_open(f->real, path, IO_WRITE | IO_CREATE, &file, &f->err));
        EXPECT_OK(file_write_at(file, 0, &text, 1, &f->err));
        file_close(file);
    }
}

TEST(lossy_io, a_file_beside_it_makes_syncs_fail)
{
    struct fixture f;
    fixture_init(&f);
    put(&f, "a", "one", true);
    EXPECT_OK(io_sync_dir(f.io, f.dir, &f.err));
    put(&f, "a", "two", false);
    struct file *file = NULL;
    REQUIRE_OK(io_open(f.io, at(&f, "a"), IO_WRITE, &file, &f.err));
    ask_for(&f, "eio");
    EXPECT_ERR(file_sync(file, &f.err), ERR_IO);
    ask_for(&f, "");
    EXPECT_OK(file_sync(file, &f.err)); /* as a kernel that has marked the pages clean */
    file_close(file);
    EXPECT_STR(get(f.real, at(&f, "a")), "one");
    fixture_close(&f);
}

TEST(lossy_io, a_file_beside_it_makes_syncs_take_long)
{
    enum { HANG_MS = 30 };
    struct fixture f;
    fixture_init(&f);
    ask_for(&f, "hang 30");
    uint64_t before = io_monotonic_us(f.io);
    put(&f, "a", "one", true);
    EXPECT(io_monotonic_us(f.io) - before >= HANG_MS * UINT64_C(1000));
    fixture_close(&f);
}

TEST(lossy_io, a_file_beside_it_takes_the_room)
{
    struct fixture f;
    fixture_init(&f);
    put(&f, "a", "one", true);
    ask_for(&f, "room 8192");
    uint64_t room = 0;
    EXPECT_OK(io_space(f.io, f.dir, &room, &f.err));
    EXPECT_UINT(room, 8192);
    put(&f, "b", "one", true);
    put(&f, "c", "one", true);
    struct file *file = NULL;
    struct bytes part = bytes_str("one");
    REQUIRE_OK(io_open(f.io, at(&f, "d"), IO_WRITE | IO_CREATE, &file, &f.err));
    EXPECT_ERR(file_write_at(file, 0, &part, 1, &f.err), ERR_NO_SPACE);
    put(&f, "a", "two", true); /* takes no more */
    ask_for(&f, "");
    EXPECT_OK(file_write_at(file, 0, &part, 1, &f.err));
    EXPECT_OK(io_space(f.io, f.dir, &room, &f.err));
    EXPECT(room > 8192);
    file_close(file);
    fixture_close(&f);
}

TEST(lossy_io, other_paths_locks_and_clocks_are_real)
{
    struct fixture f;
    struct file *lock = NULL;
    struct file *second = NULL;
    char outside[IO_PATH_MAX];
    fixture_init(&f);
    EXPECT_OK(io_join(outside, f.root, "datafile", &f.err)); /* starts as the directory does */
    struct file *file = NULL;
    EXPECT_OK(io_open(f.io, outside, IO_WRITE | IO_CREATE, &file, &f.err));
    struct bytes part = bytes_str("x");
    EXPECT_OK(file_write_at(file, 0, &part, 1, &f.err));
    file_close(file);
    EXPECT_STR(get(f.real, outside), "x");
    EXPECT_ERR(io_rename(f.io, outside, at(&f, "in"), &f.err), ERR_UNSUPPORTED);
    EXPECT_OK(io_unlink(f.io, outside, &f.err));
    EXPECT_OK(io_lock(f.io, at(&f, "lock"), &lock, &f.err));
    EXPECT_ERR(io_lock(f.real, at(&f, "lock"), &second, &f.err), ERR_STATE);
    EXPECT_ERR(io_lock_read(f.io, at(&f, "lock"), &second, &f.err), ERR_STATE);
    file_close(lock);
    uint64_t space = 0;
    EXPECT_OK(io_space(f.io, f.dir, &space, &f.err));
    EXPECT(space > 0);
    EXPECT(io_monotonic_us(f.io) > 0);
    EXPECT(io_wall_us(f.io) > 0);
    EXPECT(io_entropy_u64(f.io) != io_entropy_u64(f.io));
    fixture_close(&f);
}

struct writer {
    struct io *io;
    const char *dir;
    char name[8];
    bool done;
};

/* Only the thread that runs the test may assert. */
static void *write_often(void *context)
{
    struct writer *w = context;
    char path[IO_PATH_MAX];
    struct file *file = NULL;
    if (io_join(path, w->dir, w->name, NULL) != ERR_OK ||
        io_open(w->io, path, IO_WRITE | IO_CREATE, &file, NULL) != ERR_OK) {
        return NULL;
    }
    struct bytes part = bytes_str(w->name);
    w->done = true;
    for (unsigned i = 0; i < 100; i++) {
        w->done = w->done && file_write_at(file, 0, &part, 1, NULL) == ERR_OK &&
                  file_sync(file, NULL) == ERR_OK && io_sync_dir(w->io, w->dir, NULL) == ERR_OK;
    }
    file_close(file);
    return NULL;
}

TEST(lossy_io, threads_wait_for_each_other)
{
    enum { THREADS = 4 };
    struct fixture f;
    pthread_t threads[THREADS];
    struct writer writers[THREADS];
    fixture_init(&f);
    for (unsigned i = 0; i < THREADS; i++) {
        writers[i] = (struct writer){.io = f.io, .dir = f.dir};
        (void)snprintf(writers[i].name, sizeof writers[i].name, "w%u", i);
        REQUIRE(pthread_create(&threads[i], NULL, write_often, &writers[i]) == 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        REQUIRE(pthread_join(threads[i], NULL) == 0);
        EXPECT(writers[i].done);
        EXPECT_STR(get(f.real, at(&f, writers[i].name)), writers[i].name);
    }
    fixture_close(&f);
}

/* The child writes a twin for ever and says after each change that it is done;
 * it is killed at some moment. */
static void write_until_killed(const char *dir, int progress)
{
    struct lossy_io *lossy = NULL;
    struct io_twin *twin = NULL;
    uint8_t payload[2000] = {0};
    if (lossy_io_open(io_posix(), dir, &lossy, NULL) != ERR_OK ||
        io_twin_open(lossy_io_io(lossy), dir, "t", 7, &twin, NULL) != ERR_OK) {
        _exit(1);
    }
    for (uint64_t i = bytes_get_u64(io_twin_payload(twin).data) + 1;; i++) {
        bytes_put_u64(payload, i);
        memset(payload + 8, (int)(i & 0xff), sizeof payload - 8);
        struct bytes bytes = bytes_of(payload, sizeof payload);
        if (io_twin_write(twin, bytes, NULL) != ERR_OK ||
            write(progress, &i, sizeof i) != (ssize_t)sizeof i) {
            _exit(1);
        }
    }
}

/* Kills it after 'changes' changes; returns the last one that it reported. */
static uint64_t run_and_kill(const char *dir, unsigned changes)
{
    int progress[2];
    uint64_t last = 0;
    uint64_t next = 0;
    REQUIRE(pipe(progress) == 0);
    pid_t pid = fork();
    REQUIRE(pid >= 0);
    if (pid == 0) {
        (void)close(progress[0]);
        write_until_killed(dir, progress[1]);
    }
    (void)close(progress[1]);
    for (unsigned i = 0; i < changes; i++) {
        REQUIRE(read(progress[0], &last, sizeof last) == (ssize_t)sizeof last);
    }
    REQUIRE(kill(pid, SIGKILL) == 0);
    while (read(progress[0], &next, sizeof next) == (ssize_t)sizeof next) {
        last = next;
    }
    (void)close(progress[0]);
    REQUIRE(waitpid(pid, NULL, 0) == pid);
    return last;
}

TEST(lossy_io, a_process_killed_at_any_moment_has_what_it_had_synced)
{
    struct fixture f;
    struct io_twin *twin = NULL;
    uint8_t first[8] = {0};
    fixture_init(&f);
    EXPECT_OK(io_twin_create(f.io, f.dir, "t", 7, bytes_of(first, sizeof first), &twin, &f.err));
    io_twin_close(twin);
    struct random r = random_seeded(1);
    for (unsigned i = 0; i < 20; i++) {
        uint64_t last = run_and_kill(f.dir, (unsigned)random_between(&r, 1, 40));
        EXPECT(last > 0);
        reopen(&f);
        EXPECT_OK(io_twin_open(f.io, f.dir, "t", 7, &twin, &f.err));
        uint64_t found = bytes_get_u64(io_twin_payload(twin).data);
        EXPECT(found == last || found == last + 1);
        io_twin_close(twin);
    }
    fixture_close(&f);
}
