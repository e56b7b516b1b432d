/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster-tests/workdir.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cluster-tests/process.h"
#include "io/io_posix.h"
#include "testkit/test.h"

enum { FILE_SIZE_MAX = 1 << 20 };

static void put(const char *dir, const char *name, const char *text)
{
    struct err e;
    REQUIRE_OK(io_replace_file(io_posix(), dir, name, bytes_str(text), &e));
}

static void expect_file(const char *path, struct bytes want)
{
    struct buf got = {0};
    struct err e;
    EXPECT_OK(io_read_file(io_posix(), path, FILE_SIZE_MAX, &got, &e));
    EXPECT(bytes_equal(buf_bytes(&got), want));
    buf_deinit(&got);
}

static bool exists(const char *path)
{
    bool found = false;
    struct err e;
    REQUIRE_OK(io_exists(io_posix(), path, &found, &e));
    return found;
}

TEST(workdir, copies_removes_and_flips)
{
    struct workdir *w = workdir_open("workdir");
    char a[IO_PATH_MAX];
    char inner[IO_PATH_MAX];
    char b[IO_PATH_MAX];
    char path[IO_PATH_MAX];
    struct err e;
    workdir_path(w, "a", a);
    workdir_path(w, "a/inner", inner);
    workdir_path(w, "b", b);
    REQUIRE_OK(io_mkdir(io_posix(), a, &e));
    REQUIRE_OK(io_mkdir(io_posix(), inner, &e));
    workdir_path(w, "a/empty", path);
    REQUIRE_OK(io_mkdir(io_posix(), path, &e));
    put(a, "one", "first");
    put(inner, "two", "second");

    tree_copy(a, b);
    workdir_path(w, "b/one", path);
    expect_file(path, bytes_str("first"));
    tree_flip(path, 1, 2);
    expect_file(path, bytes_str("f\x96\x8dst"));
    workdir_path(w, "b/inner/two", path);
    expect_file(path, bytes_str("second"));
    workdir_path(w, "b/empty", path);
    EXPECT(exists(path));
    workdir_path(w, "a/one", path);
    expect_file(path, bytes_str("first"));

    tree_remove(a);
    EXPECT(!exists(a));
    tree_remove(a); /* missing is fine */
    EXPECT(exists(b));
    workdir_close(w);
    EXPECT(!exists(b));
}

/* The watcher removes the directory of a test that could not do it itself. */
TEST(workdir, is_gone_when_its_test_was_killed)
{
    int path_pipe[2];
    REQUIRE(pipe(path_pipe) == 0);
    pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        struct workdir *w = workdir_open("killed");
        char path[IO_PATH_MAX] = "";
        workdir_path(w, "inside", path);
        (void)!write(path_pipe[1], path, sizeof path);
        (void)kill(getpid(), SIGKILL);
    }
    char path[IO_PATH_MAX] = "";
    EXPECT_INT(read(path_pipe[0], path, sizeof path), sizeof path);
    EXPECT_INT(waitpid(child, NULL, 0), child);
    (void)close(path_pipe[0]);
    (void)close(path_pipe[1]);
    *strrchr(path, '/') = '\0';
    uint64_t limit_us = process_now_us() + 20 * UINT64_C(1000000);
    while (exists(path) && process_now_us() < limit_us) {
        (void)poll(NULL, 0, 5 /* ms */);
    }
    EXPECT(!exists(path));
}
