/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster-tests/process.h"

#include <signal.h>

#include "cluster-tests/workdir.h"
#include "io/io_posix.h"
#include "testkit/test.h"

enum { LONG_MS = 20000, OUTPUT_SIZE_MAX = 4096 };

/* Runs until it is killed: reads from a pipe that nobody writes to. */
static const char *const waiter[] = {"/usr/bin/tail", "-f", "/dev/null", NULL};

TEST(process, tells_how_a_program_ended_and_keeps_its_output)
{
    struct workdir *dir = workdir_open("process");
    char output[IO_PATH_MAX];
    workdir_path(dir, "output", output);
    struct process p = {0};
    struct process_end end;
    struct err e;
    const char *const argv[] = {"/bin/sh", "-c", "echo out; echo err >&2; exit 7", NULL};
    REQUIRE_OK(process_start(&p, argv, output, &e));
    EXPECT_OK(process_wait(&p, LONG_MS, &end, &e));
    EXPECT_INT(end.code, 7);
    EXPECT_INT(end.number, 0);
    EXPECT_INT(p.id, 0);
    struct buf text = {0};
    EXPECT_OK(io_read_file(io_posix(), output, OUTPUT_SIZE_MAX, &text, &e));
    EXPECT(bytes_equal(buf_bytes(&text), bytes_str("out\nerr\n")));
    buf_deinit(&text);
    workdir_close(dir);
}

TEST(process, ends_by_a_signal)
{
    struct workdir *dir = workdir_open("process");
    char output[IO_PATH_MAX];
    workdir_path(dir, "output", output);
    struct process p = {0};
    struct process_end end;
    struct err e;
    REQUIRE_OK(process_start(&p, waiter, output, &e));
    EXPECT(!process_has_ended(&p, &end));
    EXPECT_ERR(process_wait(&p, 1, &end, &e), ERR_DEADLINE);
    process_pause(&p);
    EXPECT(p.paused);
    process_signal(&p, SIGTERM); /* is seen when it runs again */
    EXPECT_ERR(process_wait(&p, 1, &end, &e), ERR_DEADLINE);
    process_resume(&p);
    EXPECT_OK(process_wait(&p, LONG_MS, &end, &e));
    EXPECT_INT(end.code, -1);
    EXPECT_INT(end.number, SIGTERM);
    process_kill(&p); /* gone already */
    workdir_close(dir);
}

TEST(process, that_is_missing_is_an_error)
{
    struct workdir *dir = workdir_open("process");
    char output[IO_PATH_MAX];
    workdir_path(dir, "output", output);
    struct process p = {0};
    struct err e;
    const char *const argv[] = {"/nowhere/program", NULL};
    EXPECT_ERR(process_start(&p, argv, output, &e), ERR_IO);
    EXPECT_STR(e.text, "/nowhere/program: No such file or directory");
    EXPECT_INT(p.id, 0);
    workdir_close(dir);
}
