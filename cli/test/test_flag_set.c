/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "cli/flag_set.h"
#include "testkit/test.h"

static const struct flag_definition global[] = {
    {.name = "endpoints",
     .type = FLAG_TEXT,
     .value_name = "A",
     .default_value = "here:1",
     .environment = "T_ENDPOINTS",
     .help = ""},
    {.name = "quiet", .type = FLAG_SWITCH, .environment = "T_QUIET", .help = ""},
    {.name = "help", .type = FLAG_SWITCH, .help = ""},
};

static const struct flag_definition own[] = {
    {.name = "limit",
     .type = FLAG_UINT,
     .value_name = "N",
     .default_value = "5",
     .min = 1,
     .max = 10,
     .help = ""},
    {.name = "wait",
     .type = FLAG_DURATION,
     .value_name = "T",
     .default_value = "2s",
     .min = 10,
     .max = 60000,
     .help = ""},
    {.name = "kind", .type = FLAG_CHOICE, .choices = "red|green", .help = ""},
    {.name = "tag", .type = FLAG_LIST, .value_name = "TAG", .help = ""},
    {.name = "file", .type = FLAG_FILE, .value_name = "FILE", .help = ""},
};

static const char *environment(const char *name)
{
    if (strcmp(name, "T_ENDPOINTS") == 0) {
        return "there:2";
    }
    return strcmp(name, "T_QUIET") == 0 ? "1" : NULL;
}

static const char *bad_environment(const char *name)
{
    return strcmp(name, "T_QUIET") == 0 ? "perhaps" : "";
}

static enum err_code parse(flag_environment *env, const char *const *words, struct flag_set **out,
                           struct err *e)
{
    static const struct flag_definition *const tables[] = {global, own};
    static const size_t counts[] = {3, 5};
    struct flag_request request = {tables, counts, 2, env};
    char *argv[16] = {(char *)(uintptr_t)"program"};
    int argc = 1;
    for (; words[argc - 1] != NULL; argc++) {
        argv[argc] = (char *)(uintptr_t)words[argc - 1];
    }
    return flag_set_open(&request, argc, argv, out, e);
}

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define NO_WORDS ((const char *const[]){NULL})

static struct flag_set *parsed(flag_environment *env, const char *const *words)
{
    struct flag_set *f = NULL;
    struct err e = {0};
    REQUIRE_OK(parse(env, words, &f, &e));
    return f;
}

static void expect_refused(const char *const *words, const char *why)
{
    struct flag_set *f = NULL;
    struct err e = {0};
    EXPECT_ERR(parse(NULL, words, &f, &e), ERR_INVALID);
    EXPECT_STR(e.text, why);
    EXPECT(f == NULL);
}

TEST(flag_set, has_defaults)
{
    struct flag_set *f = parsed(NULL, NO_WORDS);
    EXPECT_STR(flag_text(f, "endpoints"), "here:1");
    EXPECT(!flag_is_set(f, "endpoints"));
    EXPECT(!flag_switch(f, "quiet"));
    EXPECT_UINT(flag_uint(f, "limit"), 5);
    EXPECT_UINT(flag_uint(f, "wait"), 2000);
    EXPECT(flag_text(f, "kind") == NULL);
    EXPECT_UINT(flag_list_count(f, "tag"), 0);
    EXPECT_UINT(flag_argument_count(f), 0);
    flag_set_close(f);
    flag_set_close(NULL);
}

TEST(flag_set, a_flag_wins_over_the_environment_and_that_over_the_default)
{
    struct flag_set *f = parsed(environment, NO_WORDS);
    EXPECT_STR(flag_text(f, "endpoints"), "there:2");
    EXPECT(flag_is_set(f, "endpoints"));
    EXPECT(flag_switch(f, "quiet"));
    flag_set_close(f);
    f = parsed(environment, WORDS("--endpoints", "mine:3", "--quiet=off"));
    EXPECT_STR(flag_text(f, "endpoints"), "mine:3");
    EXPECT(!flag_switch(f, "quiet"));
    flag_set_close(f);
}

TEST(flag_set, takes_flags_and_arguments_in_any_order)
{
    struct flag_set *f = parsed(NULL, WORDS("one", "--tag", "a", "-", "--limit=7", "--tag=b=c",
                                            "-5", "--kind", "green", "--", "--quiet"));
    EXPECT_UINT(flag_argument_count(f), 4);
    EXPECT_STR(flag_argument(f, 0), "one");
    EXPECT_STR(flag_argument(f, 1), "-");
    EXPECT_STR(flag_argument(f, 2), "-5");
    EXPECT_STR(flag_argument(f, 3), "--quiet");
    EXPECT_UINT(flag_uint(f, "limit"), 7);
    EXPECT_STR(flag_text(f, "kind"), "green");
    REQUIRE_UINT(flag_list_count(f, "tag"), 2);
    EXPECT_STR(flag_list_item(f, "tag", 0), "a");
    EXPECT_STR(flag_list_item(f, "tag", 1), "b=c");
    EXPECT(!flag_switch(f, "quiet"));
    flag_set_close(f);
}

TEST(flag_set, the_last_of_a_flag_given_twice_counts)
{
    struct flag_set *f = parsed(NULL, WORDS("--limit", "3", "--limit", "4", "-h"));
    EXPECT_UINT(flag_uint(f, "limit"), 4);
    EXPECT(flag_switch(f, "help"));
    flag_set_close(f);
}

TEST(flag_set, says_what_is_wrong)
{
    expect_refused(WORDS("--limt", "3"), "unknown flag --limt; did you mean --limit?");
    expect_refused(WORDS("--zzzzzzzz"), "unknown flag --zzzzzzzz");
    expect_refused(WORDS("-x"), "unknown flag -x");
    expect_refused(WORDS("--limit"), "--limit needs a value");
    expect_refused(WORDS("--limit", "11"), "--limit: '11' is not a number between 1 and 10");
    expect_refused(WORDS("--limit", "x"), "--limit: 'x' is not a number between 1 and 10");
    expect_refused(WORDS("--wait", "soon"),
                   "--wait: 'soon' is not a duration like 500ms, 10s or 1m30s");
    expect_refused(WORDS("--wait", "1ms"), "--wait: '1ms' is not between 10ms and 60000ms");
    expect_refused(WORDS("--wait", "2m"), "--wait: '2m' is not between 10ms and 60000ms");
    expect_refused(WORDS("--kind", "gree"), "--kind: 'gree' is not one of red|green");
    expect_refused(WORDS("--kind="), "--kind: '' is not one of red|green");
    expect_refused(WORDS("--quiet=maybe"), "--quiet: 'maybe' is neither true nor false");
}

TEST(flag_set, a_bad_variable_is_named)
{
    struct flag_set *f = NULL;
    struct err e = {0};
    EXPECT_ERR(parse(bad_environment, NO_WORDS, &f, &e), ERR_INVALID);
    EXPECT_STR(e.text, "T_QUIET: 'perhaps' is neither true nor false");
}

TEST(flag_set, knows_its_choices)
{
    EXPECT(flag_is_choice("a|bc|d", "bc"));
    EXPECT(flag_is_choice("a|bc|d", "d"));
    EXPECT(!flag_is_choice("a|bc|d", "b"));
    EXPECT(!flag_is_choice("a|bc|d", "a|bc"));
    EXPECT(!flag_is_choice("a|bc|d", ""));
}

static void ask_unknown(void *arg)
{
    (void)flag_text(arg, "nowhere");
}

TEST(flag_set, asking_for_an_undefined_flag_is_a_bug)
{
    struct flag_set *f = parsed(NULL, NO_WORDS);
    EXPECT_DIES(ask_unknown, f, "flag != NULL");
    flag_set_close(f);
}
