/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "cli/cli.h"
#include "testkit/test.h"

static enum cli_exit run_show(struct cli *cli)
{
    static const char *const columns[] = {"argument", "limit"};
    struct record_writer *w = cli_list(cli, "shown", columns, 2);
    record_str(w, cli_argument(cli, 0) == NULL ? "none" : cli_argument(cli, 0));
    record_uint(w, flag_uint(cli->flags, "limit"));
    record_close(w);
    cli_note(cli, "a note");
    return cli_done(cli);
}

static enum cli_exit run_fail(struct cli *cli)
{
    struct err e = {0};
    const char *what = cli_argument(cli, 0);
    (void)err_set(&e, strcmp(what, "away") == 0 ? ERR_UNAVAILABLE : ERR_NOT_FOUND, "no %s", what);
    return cli_fail(cli, &e);
}

static enum cli_exit run_ask(struct cli *cli)
{
    enum cli_exit exit = CLI_OK;
    return cli_cluster(cli, &exit) == NULL ? exit : CLI_OK;
}

static const struct flag_definition show_flags[] = {
    {.name = "limit",
     .type = FLAG_UINT,
     .value_name = "N",
     .default_value = "3",
     .max = 9,
     .help = "how many"},
};

static const struct cli_command table[] = {
    {.path = "thing show",
     .arguments = "[NAME]",
     .arguments_max = 1,
     .summary = "show it",
     .flags = show_flags,
     .flag_count = 1,
     .run = run_show},
    {.path = "thing fail",
     .arguments = "WHAT",
     .arguments_min = 1,
     .arguments_max = 1,
     .summary = "fail at it",
     .run = run_fail},
    {.path = "ask", .arguments = "", .summary = "ask somebody", .run = run_ask},
};

struct ran {
    int code;
    char out[4096];
    char err[4096];
};

static void read_back(FILE *file, char *dst, size_t size)
{
    REQUIRE_INT(fseek(file, 0, SEEK_SET), 0);
    size_t got = fread(dst, 1, size - 1, file);
    dst[got] = '\0';
    (void)fclose(file);
}

static const char *no_color(const char *name)
{
    return strcmp(name, "NO_COLOR") == 0 ? "1" : NULL;
}

static struct ran run_at(bool terminal, flag_environment *environment, const char *const *words)
{
    struct ran r = {0};
    struct cli_world world = {environment, tmpfile(), tmpfile(), terminal, false};
    REQUIRE(world.out != NULL);
    REQUIRE(world.err != NULL);
    char *argv[16] = {(char *)(uintptr_t)"tidemark"};
    int argc = 1;
    for (; words[argc - 1] != NULL; argc++) {
        argv[argc] = (char *)(uintptr_t)words[argc - 1];
    }
    r.code = cli_run(table, sizeof table / sizeof table[0], argc, argv, &world);
    read_back(world.out, r.out, sizeof r.out);
    read_back(world.err, r.err, sizeof r.err);
    return r;
}

#define RUN(...) run_at(false, NULL, (const char *const[]){__VA_ARGS__, NULL})

TEST(cli, runs_a_command_of_two_words_with_flags_anywhere)
{
    struct ran r = RUN("--timeout", "2s", "thing", "--format=json", "show", "--limit", "5", "x");
    EXPECT_INT(r.code, CLI_OK);
    EXPECT_STR(r.out, "{\n  \"shown\": [\n    {\"argument\": \"x\", \"limit\": 5}\n  ]\n}\n");
    EXPECT_STR(r.err, "tidemark: a note\n");
}

TEST(cli, output_is_csv_unless_it_goes_to_a_terminal)
{
    struct ran r = RUN("thing", "show", "--quiet");
    EXPECT_STR(r.out, "argument,limit\nnone,3\n");
    EXPECT_STR(r.err, "");
    r = run_at(true, no_color, (const char *const[]){"thing", "show", NULL});
    EXPECT_STR(r.out, "argument  limit\nnone          3\n");
    r = run_at(true, NULL, (const char *const[]){"thing", "show", NULL});
    EXPECT_CONTAINS(r.out, "\x1b[1margument\x1b[0m");
}

TEST(cli, says_what_is_wrong_with_a_command_line)
{
    static const struct {
        const char *words[5];
        const char *err;
    } cases[] = {
        {{"thingg", "show"}, "tidemark: unknown command 'thingg'; did you mean 'thing'?\n"},
        {{"thing", "shoow"}, "tidemark: unknown command 'thing shoow'; did you mean 'show'?\n"},
        {{"frobnicate"}, "tidemark: unknown command 'frobnicate'; 'tidemark --help' lists them\n"},
        {{"thing", "show", "a", "b"},
         "tidemark: 'b' is one argument too many for: tidemark thing show [NAME]\n"},
        {{"thing", "fail"}, "tidemark: missing argument: tidemark thing fail WHAT\n"},
        {{"thing", "show", "--limt", "3"},
         "tidemark: unknown flag --limt; did you mean --limit?\n"},
        {{"thing", "show", "--timeout", "0s"},
         "tidemark: --timeout: '0s' is not between 1ms and 86400000ms\n"},
        {{"ask", "--endpoints", "a:b"}, "tidemark: --endpoints: "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ran r = run_at(false, NULL, cases[i].words);
        EXPECT_INT(r.code, CLI_USAGE);
        EXPECT_STR(r.out, "");
        EXPECT_CONTAINS(r.err, cases[i].err);
    }
}

TEST(cli, an_error_decides_the_exit_code)
{
    struct ran r = RUN("thing", "fail", "away");
    EXPECT_INT(r.code, CLI_UNREACHABLE);
    EXPECT_STR(r.err, "tidemark: no away\n");
    EXPECT_INT(RUN("thing", "fail", "table").code, CLI_FAILED);
    EXPECT_INT(RUN("ask").code, CLI_OK);
}

TEST(cli, messages_carry_no_control_characters)
{
    struct ran r = RUN("thing", "fail", "a\x1b[2J");
    EXPECT_STR(r.err, "tidemark: no a?[2J\n");
}

TEST(cli, help_is_data_when_asked_for_and_a_message_when_not)
{
    struct ran r = RUN("--help");
    EXPECT_INT(r.code, CLI_OK);
    EXPECT_CONTAINS(r.out, "thing show [NAME]");
    EXPECT_STR(r.err, "");
    r = run_at(false, NULL, (const char *const[]){NULL});
    EXPECT_INT(r.code, CLI_USAGE);
    EXPECT_STR(r.out, "");
    EXPECT_CONTAINS(r.err, "thing show [NAME]");
    r = RUN("thing", "show", "-h");
    EXPECT_INT(r.code, CLI_OK);
    EXPECT_CONTAINS(r.out, "--limit N");
    r = RUN("thing", "--help");
    EXPECT_INT(r.code, CLI_OK);
    EXPECT_CONTAINS(r.out, "thing fail WHAT");
    r = RUN("thing");
    EXPECT_INT(r.code, CLI_USAGE);
    EXPECT_CONTAINS(r.err, "'thing' needs one more word");
    EXPECT_CONTAINS(r.err, "thing fail WHAT");
}

TEST(cli, output_that_cannot_be_written_is_a_failure)
{
    struct cli_world world = {NULL, fopen("/dev/full", "w"), tmpfile(), false, false};
    REQUIRE(world.out != NULL);
    REQUIRE(world.err != NULL);
    char *argv[] = {(char *)(uintptr_t)"tidemark", (char *)(uintptr_t)"thing",
                    (char *)(uintptr_t)"show"};
    EXPECT_INT(cli_run(table, 3, 3, argv, &world), CLI_FAILED);
    char err[256];
    read_back(world.err, err, sizeof err);
    EXPECT_CONTAINS(err, "standard output: cannot be written");
    (void)fclose(world.out);
}

TEST(cli, a_table_is_named_with_its_database)
{
    struct cli_table t;
    struct err e = {0};
    EXPECT_OK(cli_table_name("db.my.table", &t, &e));
    EXPECT_STR(t.database, "db");
    EXPECT_STR(t.table, "my.table");
    EXPECT_ERR(cli_table_name("table", &t, &e), ERR_INVALID);
    EXPECT_STR(e.text, "'table' does not name a table: use DATABASE.TABLE");
    EXPECT_ERR(cli_table_name(".t", &t, &e), ERR_INVALID);
    EXPECT_ERR(cli_table_name("d.", &t, &e), ERR_INVALID);
    char text[200];
    memset(text, 'a', sizeof text);
    text[100] = '.';
    text[199] = '\0';
    EXPECT_ERR(cli_table_name(text, &t, &e), ERR_INVALID);
}
