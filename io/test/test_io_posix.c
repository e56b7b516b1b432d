/* SPDX-License-Identifier: Apache-2.0 */
#include "io/io_posix.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "testkit/test.h"

/* A real directory of its own for each test. */
struct fixture {
    struct io *io;
    char dir[IO_PATH_MAX];
    char path[IO_PATH_MAX]; /* of a file "a" in it, not made */
    struct err err;
};

static struct fixture fixture_open(void)
{
    struct fixture f = {.io = io_posix()};
    const char *root = getenv("TMPDIR");
    (void)snprintf(f.dir, sizeof f.dir, "%s/tidemark-io-XXXXXX", root == NULL ? "/tmp" : root);
    REQUIRE(mkdtemp(f.dir) != NULL);
    REQUIRE_OK(io_join(f.path, f.dir, "a", &f.err));
    return f;
}

/* Removes what a test left: files, and directories that are empty. */
static void fixture_close(struct fixture *f)
{
    struct io_name *names = NULL;
    size_t count = 0;
    EXPECT_OK(io_list(f->io, f->dir, &names, &count, &f->err));
    for (size_t i = 0; i < count; i++) {
        char path[IO_PATH_MAX];
        EXPECT_OK(io_join(path, f->dir, names[i].name, &f->err));
        EXPECT_OK(names[i].is_dir ? io_rmdir(f->io, path, &f->err)
                                  : io_unlink(f->io, path, &f->err));
    }
    mem_free(names);
    EXPECT_OK(io_rmdir(f->io, f->dir, &f->err));
}

static struct file *open_new(struct fixture *f)
{
    struct file *file = NULL;
    REQUIRE_OK(io_open(f->io, f->path, IO_WRITE | IO_CREATE, &file, &f->err));
    return file;
}

/* "PATH: REST" */
static const char *story(const struct fixture *f, const char *rest, char text[ERR_TEXT_SIZE])
{
    (void)snprintf(text, ERR_TEXT_SIZE, "%.400s: %s", f->path, rest);
    return text;
}

TEST(io_posix, reads_back_what_was_written_at_any_offset)
{
    struct fixture f = fixture_open();
    struct file *file = open_new(&f);
    struct bytes parts[] = {bytes_str("ab"), bytes_of(NULL, 0), bytes_str("cdef")};
    EXPECT_OK(file_write_at(file, 3, parts, 3, &f.err));
    EXPECT_OK(file_sync(file, &f.err));
    uint8_t got[16];
    size_t size = 0;
    EXPECT_OK(file_read_at(file, 0, got, sizeof got, &size, &f.err));
    EXPECT_UINT(size, 9);
    EXPECT_MEM(got, "\0\0\0abcdef", 9);
    EXPECT_OK(file_read_at(file, 9, got, sizeof got, &size, &f.err));
    EXPECT_UINT(size, 0);
    EXPECT_ERR(file_read_exact(file, 5, got, 5, &f.err), ERR_CORRUPT);
    EXPECT_OK(file_read_exact(file, 5, got, 4, &f.err));
    file_close(file);
    fixture_close(&f);
}

/* More parts than one system call takes, of sizes 0, 1, 2 ... */
TEST(io_posix, writes_more_parts_than_one_call_takes)
{
    enum { PARTS = 2500 };
    struct fixture f = fixture_open();
    struct file *file = open_new(&f);
    struct buf data = {0};
    struct bytes *parts = mem_array(PARTS, sizeof *parts);
    size_t total = 0;
    for (size_t i = 0; i < PARTS; i++) {
        total += i % 5;
    }
    uint8_t *bytes = buf_extend(&data, total);
    for (size_t i = 0; i < total; i++) {
        bytes[i] = (uint8_t)(i * 7);
    }
    for (size_t i = 0, at = 0; i < PARTS; at += i % 5, i++) {
        parts[i] = bytes_of(bytes + at, i % 5);
    }
    EXPECT_OK(file_write_at(file, 0, parts, PARTS, &f.err));
    uint8_t *got = mem_alloc(total);
    EXPECT_OK(file_read_exact(file, 0, got, total, &f.err));
    EXPECT(memcmp(got, bytes, total) == 0);
    uint64_t size = 0;
    EXPECT_OK(file_size(file, &size, &f.err));
    EXPECT_UINT(size, total);
    mem_free(got);
    mem_free(parts);
    buf_deinit(&data);
    file_close(file);
    fixture_close(&f);
}

TEST(io_posix, syncs_and_writes_through_in_both_ways)
{
    struct fixture f = fixture_open();
    struct file *file = open_new(&f);
    struct bytes parts[] = {bytes_str("ab"), bytes_str("cdef")};
    uint8_t got[12];
    EXPECT_OK(file_write_through(file, 0, parts, 2, FILE_SYNC_DATA, &f.err));
    EXPECT_OK(file_write_through(file, 6, parts, 2, FILE_SYNC_ALL, &f.err));
    EXPECT_OK(file_sync_as(file, FILE_SYNC_DATA, &f.err));
    EXPECT_OK(file_sync_as(file, FILE_SYNC_ALL, &f.err));
    EXPECT_OK(file_read_exact(file, 0, got, 12, &f.err));
    EXPECT_MEM(got, "abcdefabcdef", 12);
    file_close(file);
    REQUIRE_OK(io_open(f.io, f.path, IO_READ, &file, &f.err));
    EXPECT_ERR(file_write_through(file, 0, parts, 1, FILE_SYNC_DATA, &f.err), ERR_IO);
    file_close(file);
    fixture_close(&f);
}

TEST(io_posix, resize_cuts_and_extends_with_zeros)
{
    struct fixture f = fixture_open();
    struct file *file = open_new(&f);
    struct bytes part = bytes_str("abcdef");
    uint8_t got[8];
    EXPECT_OK(file_write_at(file, 0, &part, 1, &f.err));
    EXPECT_OK(file_resize(file, 2, &f.err));
    EXPECT_OK(file_resize(file, 8, &f.err));
    EXPECT_OK(file_read_exact(file, 0, got, 8, &f.err));
    EXPECT_MEM(got, "ab\0\0\0\0\0\0", 8);
    file_close(file);
    fixture_close(&f);
}

/* Whether the cache still has it can't be seen from here; that nothing is lost can. */
TEST(io_posix, forgetting_loses_nothing)
{
    struct fixture f = fixture_open();
    struct file *file = open_new(&f);
    static const uint8_t content[200000] = {[0] = 'a', [65536] = 'b', [199999] = 'c'};
    static uint8_t got[sizeof content];
    struct bytes part = bytes_of(content, sizeof content);
    EXPECT_OK(file_write_at(file, 0, &part, 1, &f.err));
    file_forget(file, 0, sizeof content); /* not synced yet: stays */
    EXPECT_OK(file_sync(file, &f.err));
    file_forget(file, 70000, 60000);
    file_forget(file, 0, 1 << 20);
    EXPECT_OK(file_read_exact(file, 0, got, sizeof got, &f.err));
    EXPECT_MEM(got, content, sizeof got);
    file_close(file);
    fixture_close(&f);
}

TEST(io_posix, errors_name_the_path_the_call_and_the_reason)
{
    struct fixture f = fixture_open();
    struct file *file = NULL;
    char want[ERR_TEXT_SIZE];
    EXPECT_ERR(io_open(f.io, f.path, IO_READ, &file, &f.err), ERR_NOT_FOUND);
    EXPECT_STR(f.err.text, story(&f, "open: No such file or directory", want));
    file_close(open_new(&f));
    EXPECT_ERR(io_open(f.io, f.path, IO_WRITE | IO_CREATE | IO_EXCL, &file, &f.err), ERR_EXISTS);
    EXPECT_STR(f.err.text, story(&f, "open: File exists", want));
    EXPECT_ERR(io_mkdir(f.io, f.path, &f.err), ERR_EXISTS);
    EXPECT_ERR(io_rmdir(f.io, f.path, &f.err), ERR_IO);
    EXPECT_STR(f.err.text, story(&f, "rmdir: Not a directory", want));
    EXPECT_ERR(io_sync_dir(f.io, f.path, &f.err), ERR_IO);
    EXPECT_OK(io_unlink(f.io, f.path, &f.err));
    EXPECT_ERR(io_unlink(f.io, f.path, &f.err), ERR_NOT_FOUND);
    EXPECT_ERR(io_rename(f.io, f.path, f.dir, &f.err), ERR_NOT_FOUND);
    EXPECT_CONTAINS(f.err.text, "rename: No such file or directory");
    fixture_close(&f);
}

TEST(io_posix, reading_a_file_opened_as_a_directory_fails_with_the_offset)
{
    struct fixture f = fixture_open();
    struct file *file = NULL;
    uint8_t got[4];
    size_t size = 0;
    EXPECT_OK(io_open(f.io, f.dir, IO_READ, &file, &f.err));
    EXPECT_ERR(file_read_at(file, 7, got, sizeof got, &size, &f.err), ERR_IO);
    EXPECT_CONTAINS(f.err.text, ": pread at 7: Is a directory");
    file_close(file);
    fixture_close(&f);
}

/* A real write error: the process may not write files larger than this. The
 * kernel writes the prefix that fits, and refuses the rest. */
TEST(io_posix, a_write_that_ends_short_goes_on_and_reports_where_it_failed)
{
    struct fixture f = fixture_open();
    struct file *file = open_new(&f);
    struct rlimit before;
    REQUIRE(getrlimit(RLIMIT_FSIZE, &before) == 0);
    struct rlimit limit = {1000, before.rlim_max};
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    struct sigaction action;
    REQUIRE(sigaction(SIGXFSZ, &ignore, &action) == 0);
    REQUIRE(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    static const uint8_t data[800] = {1};
    struct bytes parts[] = {bytes_of(data, sizeof data), bytes_of(data, sizeof data)};
    enum err_code code = file_write_at(file, 100, parts, 2, &f.err);
    REQUIRE(setrlimit(RLIMIT_FSIZE, &before) == 0);
    REQUIRE(sigaction(SIGXFSZ, &action, NULL) == 0);

    char want[ERR_TEXT_SIZE];
    EXPECT_ERR(code, ERR_IO);
    EXPECT_STR(f.err.text, story(&f, "pwrite at 1000: File too large", want));
    uint64_t size = 0;
    EXPECT_OK(file_size(file, &size, &f.err));
    EXPECT_UINT(size, 1000);
    file_close(file);
    fixture_close(&f);
}

/* A device that is always full. */
TEST(io_posix, a_full_disk_is_reported_as_no_space)
{
    struct io *io = io_posix();
    struct err e;
    struct file *file = NULL;
    REQUIRE_OK(io_open(io, "/dev/full", IO_WRITE, &file, &e));
    struct bytes part = bytes_str("x");
    EXPECT_ERR(file_write_at(file, 5, &part, 1, &e), ERR_NO_SPACE);
    EXPECT_STR(e.text, "/dev/full: pwrite at 5: No space left on device");
    file_close(file);
}

TEST(io_posix, what_is_made_is_for_the_owner_alone)
{
    struct fixture f = fixture_open();
    struct stat st;
    mode_t mask = umask(0);
    file_close(open_new(&f));
    char sub[IO_PATH_MAX];
    EXPECT_OK(io_join(sub, f.dir, "sub", &f.err));
    EXPECT_OK(io_mkdir(f.io, sub, &f.err));
    (void)umask(mask);
    REQUIRE(stat(f.path, &st) == 0);
    EXPECT_UINT(st.st_mode & 0777, 0600);
    REQUIRE(stat(sub, &st) == 0);
    EXPECT_UINT(st.st_mode & 0777, 0700);
    fixture_close(&f);
}

TEST(io_posix, rename_replaces_and_list_is_sorted)
{
    struct fixture f = fixture_open();
    static const char *const names[] = {"b", "Z", "a10", "a2"};
    for (size_t i = 0; i < 4; i++) {
        EXPECT_OK(io_replace_file(f.io, f.dir, names[i], bytes_str(names[i]), &f.err));
    }
    char from[IO_PATH_MAX];
    char to[IO_PATH_MAX];
    EXPECT_OK(io_join(from, f.dir, "Z", &f.err));
    EXPECT_OK(io_join(to, f.dir, "b", &f.err));
    EXPECT_OK(io_rename(f.io, from, to, &f.err));
    EXPECT_OK(io_sync_dir(f.io, f.dir, &f.err));
    EXPECT_OK(io_mkdir(f.io, from, &f.err));
    EXPECT_ERR(io_rmdir(f.io, f.dir, &f.err), ERR_STATE);

    struct io_name *found = NULL;
    size_t count = 0;
    EXPECT_OK(io_list(f.io, f.dir, &found, &count, &f.err));
    REQUIRE_UINT(count, 4);
    EXPECT_STR(found[0].name, "Z");
    EXPECT(found[0].is_dir);
    EXPECT_STR(found[1].name, "a10");
    EXPECT(!found[1].is_dir);
    EXPECT_STR(found[2].name, "a2");
    EXPECT_STR(found[3].name, "b");
    mem_free(found);
    struct buf content = {0};
    EXPECT_OK(io_read_file(f.io, to, 10, &content, &f.err));
    EXPECT(bytes_equal(buf_bytes(&content), bytes_str("Z")));
    buf_deinit(&content);
    EXPECT_ERR(io_list(f.io, to, &found, &count, &f.err), ERR_IO);
    fixture_close(&f);
}

TEST(io_posix, a_link_to_a_directory_is_listed_as_one)
{
    struct fixture f = fixture_open();
    REQUIRE(symlink("/", f.path) == 0);
    struct io_name *found = NULL;
    size_t count = 0;
    EXPECT_OK(io_list(f.io, f.dir, &found, &count, &f.err));
    REQUIRE_UINT(count, 1);
    EXPECT(found[0].is_dir);
    mem_free(found);
    EXPECT_OK(io_unlink(f.io, f.path, &f.err));
    fixture_close(&f);
}

/* --- locks --- */

/* Another process takes the lock, says so, and holds it until it is killed. */
static pid_t hold_lock(const char *path)
{
    int ready[2];
    REQUIRE(pipe(ready) == 0);
    pid_t pid = fork();
    REQUIRE(pid >= 0);
    if (pid == 0) {
        struct file *lock = NULL;
        char code = (char)io_lock(io_posix(), path, &lock, NULL);
        if (write(ready[1], &code, 1) == 1) {
            (void)pause();
        }
        _exit(1);
    }
    char code = 1;
    REQUIRE(read(ready[0], &code, 1) == 1);
    REQUIRE(code == ERR_OK);
    (void)close(ready[0]);
    (void)close(ready[1]);
    return pid;
}

TEST(io_posix, a_lock_of_another_process_is_refused_with_its_id)
{
    struct fixture f = fixture_open();
    struct file *lock = NULL;
    pid_t pid = hold_lock(f.path);
    char rest[64];
    char want[ERR_TEXT_SIZE];
    (void)snprintf(rest, sizeof rest, "held by process %ld", (long)pid);
    EXPECT_ERR(io_lock(f.io, f.path, &lock, &f.err), ERR_STATE);
    EXPECT_STR(f.err.text, story(&f, rest, want));
    REQUIRE(kill(pid, SIGKILL) == 0);
    REQUIRE(waitpid(pid, NULL, 0) == pid);
    EXPECT_OK(io_lock(f.io, f.path, &lock, &f.err));
    file_close(lock);
    fixture_close(&f);
}

TEST(io_posix, a_lock_is_refused_within_one_process_too)
{
    struct fixture f = fixture_open();
    struct file *lock = NULL;
    struct file *second = NULL;
    EXPECT_OK(io_lock(f.io, f.path, &lock, &f.err));
    EXPECT_ERR(io_lock(f.io, f.path, &second, &f.err), ERR_STATE);
    EXPECT(second == NULL);
    file_close(lock);
    EXPECT_OK(io_lock(f.io, f.path, &second, &f.err));
    file_close(second);
    fixture_close(&f);
}

TEST(io_posix, a_read_lock_keeps_out_and_leaves_no_trace)
{
    struct fixture f = fixture_open();
    struct file *lock = NULL;
    struct file *reader = NULL;
    struct buf content = {0};
    char missing[IO_PATH_MAX];
    size_t before = 0;
    (void)snprintf(missing, sizeof missing, "%s.missing", f.path);
    EXPECT_ERR(io_lock_read(f.io, missing, &reader, &f.err), ERR_NOT_FOUND);
    EXPECT_OK(io_lock(f.io, f.path, &lock, &f.err));
    EXPECT_ERR(io_lock_read(f.io, f.path, &reader, &f.err), ERR_STATE);
    file_close(lock);
    EXPECT_OK(io_read_file(f.io, f.path, 100, &content, &f.err));
    before = content.size;
    EXPECT_OK(io_lock_read(f.io, f.path, &reader, &f.err));
    EXPECT_ERR(io_lock(f.io, f.path, &lock, &f.err), ERR_STATE);
    file_close(reader);
    buf_reset(&content);
    EXPECT_OK(io_read_file(f.io, f.path, 100, &content, &f.err));
    EXPECT_UINT(content.size, before);
    bool exists = true;
    EXPECT_OK(io_exists(f.io, missing, &exists, &f.err));
    EXPECT(!exists);
    buf_deinit(&content);
    fixture_close(&f);
}

/* Starts a program that lives until *input is closed, and waits until it runs. */
static pid_t start_program(int *input)
{
    int to_child[2];
    int started[2]; /* closed by exec: then reading it ends */
    REQUIRE(pipe(to_child) == 0);
    REQUIRE(pipe(started) == 0);
    REQUIRE(fcntl(started[1], F_SETFD, FD_CLOEXEC) == 0);
    REQUIRE(fcntl(to_child[1], F_SETFD, FD_CLOEXEC) == 0);
    pid_t pid = fork();
    REQUIRE(pid >= 0);
    if (pid == 0) {
        (void)dup2(to_child[0], STDIN_FILENO);
        (void)execlp("cat", "cat", (char *)NULL);
        _exit(1);
    }
    char byte = 0;
    (void)close(started[1]);
    (void)close(to_child[0]);
    REQUIRE(read(started[0], &byte, 1) == 0);
    (void)close(started[0]);
    *input = to_child[1];
    return pid;
}

/* Else a child that is left behind would hold the lock of a dead node. */
TEST(io_posix, a_program_that_is_started_does_not_inherit_files)
{
    struct fixture f = fixture_open();
    struct file *lock = NULL;
    EXPECT_OK(io_lock(f.io, f.path, &lock, &f.err));
    int input = -1;
    pid_t pid = start_program(&input);
    file_close(lock);
    EXPECT_OK(io_lock(f.io, f.path, &lock, &f.err));
    file_close(lock);
    (void)close(input);
    int status = 1;
    REQUIRE(waitpid(pid, &status, 0) == pid);
    EXPECT_INT(status, 0);
    fixture_close(&f);
}

/* --- the rest --- */

TEST(io_posix, free_space_is_what_the_file_system_says)
{
    struct fixture f = fixture_open();
    uint64_t space = 0;
    EXPECT_OK(io_space(f.io, f.dir, &space, &f.err));
    EXPECT(space > 0);
    EXPECT_ERR(io_space(f.io, f.path, &space, &f.err), ERR_NOT_FOUND);
    fixture_close(&f);
}

TEST(io_posix, clocks_run_and_entropy_differs)
{
    struct io *io = io_posix();
    uint64_t before = io_monotonic_us(io);
    EXPECT(io_monotonic_us(io) >= before);
    EXPECT(io_wall_us(io) > INT64_C(1600000000000000));
    EXPECT(io_entropy_u64(io) != io_entropy_u64(io));
    uint8_t bytes[1000] = {0};
    io_entropy(io, bytes, sizeof bytes);
    EXPECT(!bytes_is_zero(bytes_of(bytes + 900, 100)));
    io_entropy(io, NULL, 0);
}
