/* SPDX-License-Identifier: Apache-2.0 */
#include "node/host_program.h"

#include <stdio.h>
#include <string.h>

#include "io/io_posix.h"
#include "testkit/test.h"

enum { ARGUMENTS_MAX = 8 };

static int run(struct io *io, const char *const *arguments)
{
    char text[ARGUMENTS_MAX][64];
    char *argv[ARGUMENTS_MAX + 1] = {0};
    char *environment[] = {NULL};
    struct host_program program = {.argv = argv, .environment = environment, .io = io};
    for (size_t i = 0; arguments[i] != NULL; i++) {
        (void)snprintf(text[i], sizeof text[i], "%s", arguments[i]);
        argv[i] = text[i];
        program.argc++;
    }
    return host_program_run(&program);
}

TEST(host_program, answers_questions_without_running_a_node)
{
    EXPECT_INT(run(io_posix(), (const char *const[]){"tidemarkd", "--version", NULL}), 0);
    EXPECT_INT(run(io_posix(), (const char *const[]){"tidemarkd", "--help", NULL}), 0);
    EXPECT_INT(run(io_posix(), (const char *const[]){"tidemarkd", "--print-config", NULL}), 0);
}

TEST(host_program, tells_a_wrong_flag_from_a_failure)
{
    EXPECT_INT(run(io_posix(), (const char *const[]){"tidemarkd", "--nme=x", NULL}),
               HOST_PROGRAM_USAGE);
    EXPECT_INT(
        run(io_posix(), (const char *const[]){"tidemarkd", "--data-dir=/proc/no/such/directory",
                                              "--listen-client=127.0.0.1:0",
                                              "--listen-peer=127.0.0.1:0", NULL}),
        HOST_PROGRAM_FAILED);
}

TEST(host_program, salvage_says_what_it_needs)
{
    EXPECT_INT(run(io_posix(), (const char *const[]){"tidemarkd", "salvage", NULL}),
               HOST_PROGRAM_USAGE);
    EXPECT_INT(run(io_posix(), (const char *const[]){"tidemarkd", "salvage", "--help", NULL}),
               HOST_PROGRAM_USAGE);
    EXPECT_INT(
        run(io_posix(), (const char *const[]){"tidemarkd", "salvage", "a", "b", "--nme=x", NULL}),
        HOST_PROGRAM_USAGE);
    EXPECT_INT(run(io_posix(), (const char *const[]){"tidemarkd", "salvage", "/proc/no/such",
                                                     "/proc/nor/such", NULL}),
               HOST_PROGRAM_FAILED);
}

static enum err_code refuse(void *context, const struct config *config, struct io **out,
                            struct err *e)
{
    (void)out;
    *(const char **)context = strcmp(config->data_dir, "here") == 0 ? "asked" : "asked wrongly";
    return err_set(e, ERR_IO, "no disk");
}

TEST(host_program, does_not_run_when_its_disk_does_not_open)
{
    char name[] = "tidemarkd";
    char flag[] = "--data-dir=here";
    char *argv[] = {name, flag, NULL};
    char *environment[] = {NULL};
    const char *called = "";
    struct host_program program = {.argc = 2,
                                   .argv = argv,
                                   .environment = environment,
                                   .io = io_posix(),
                                   .open_io = refuse,
                                   .context = &called};
    EXPECT_INT(host_program_run(&program), HOST_PROGRAM_FAILED);
    EXPECT_STR(called, "asked");
}
