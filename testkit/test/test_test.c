/* SPDX-License-Identifier: Apache-2.0 */
/* The harness tests itself: each kind of failure is made by a child process
 * that runs this same executable with a name that is not run by default. */
#include "testkit/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "base/mem.h"

enum { OUTPUT_SIZE = 16384 };

struct run_result {
    int exit_code; /* -1: ended by a signal */
    char output[OUTPUT_SIZE];
};

static bool is_victim_run(void)
{
    return getenv("TEST_TEST_VICTIM") != NULL;
}

/* Runs this executable with 'filter'; its tests know that they are to fail. */
static void run_self(const char *filter, struct run_result *result)
{
    int pipe_fds[2];
    REQUIRE(pipe(pipe_fds) == 0);
    (void)fflush(NULL);
    pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        (void)setenv("TEST_TEST_VICTIM", "1", 1);
        dup2(pipe_fds[1], STDOUT_FILENO);
        dup2(pipe_fds[1], STDERR_FILENO);
        close(pipe_fds[0]);
        close(pipe_fds[1]);
        execl("/proc/self/exe", "test_test", filter, (char *)NULL);
        _exit(99);
    }
    close(pipe_fds[1]);
    size_t used = 0;
    for (;;) {
        ssize_t size = read(pipe_fds[0], result->output + used, OUTPUT_SIZE - 1 - used);
        if (size <= 0) {
            break;
        }
        used += (size_t)size;
    }
    result->output[used] = '\0';
    close(pipe_fds[0]);
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    result->exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void expect_failure(const char *filter, const char *message)
{
    struct run_result *result = mem_alloc(sizeof *result);
    run_self(filter, result);
    EXPECT_INT(result->exit_code, 1);
    EXPECT_CONTAINS(result->output, message);
    mem_free(result);
}

/* A victim passes in a normal run, so that the suite can hold it. */
#define VICTIM(name, failing)                                                                      \
    TEST(victim, name)                                                                             \
    {                                                                                              \
        EXPECT(true);                                                                              \
        if (is_victim_run()) {                                                                     \
            failing;                                                                               \
        }                                                                                          \
    }

static enum err_code give_not_found(void)
{
    return ERR_NOT_FOUND;
}

static void do_nothing(void *arg)
{
    (void)arg;
}

static void fail_a_check(void *arg)
{
    const int *number = arg;
    CHECK(*number == 7);
}

VICTIM(fact, EXPECT(1 + 1 == 3))
VICTIM(code, EXPECT_OK(give_not_found()))
VICTIM(number, EXPECT_UINT(41U + 1U, 43))
VICTIM(negative, EXPECT_INT(-3, 3))
VICTIM(real, EXPECT_DOUBLE(0.5, 0.25))
VICTIM(string, EXPECT_STR("tide", "mark"))
VICTIM(null_string, EXPECT_STR(NULL, "mark"))
VICTIM(part, EXPECT_CONTAINS("tide", "mark"))
VICTIM(memory, EXPECT_MEM("abcdefgh", "abcdeFgh", 8))
VICTIM(survivor, EXPECT_DIES(do_nothing, NULL, "anything"))
VICTIM(required, REQUIRE(false); abort())

static void fail_with_context(unsigned seed)
{
    test_context("seed %u", seed);
    EXPECT_UINT(seed, 0);
}

VICTIM(context, fail_with_context(7))

TEST(victim, silent)
{
    if (!is_victim_run()) {
        EXPECT(true);
    }
}

TEST(test, a_false_fact_fails_with_its_text)
{
    expect_failure("victim.fact", "1 + 1 == 3");
}

TEST(test, an_error_code_is_named)
{
    expect_failure("victim.code", "give_not_found(): NOT_FOUND, not OK");
}

TEST(test, both_numbers_are_shown)
{
    expect_failure("victim.number", "41U + 1U: 42 (0x2a), not 43 (0x2b)");
    expect_failure("victim.negative", "-3: -3, not 3");
    expect_failure("victim.real", "0.5: 0.5 (0x1p-1), not 0.25 (0x1p-2)");
}

TEST(test, a_failure_starts_with_its_context)
{
    expect_failure("victim.context", "seed 7: seed: 7 (0x7), not 0 (0x0)");
}

TEST(test, both_strings_are_shown)
{
    expect_failure("victim.string", "is  \"tide\"");
    expect_failure("victim.string", "not \"mark\"");
    expect_failure("victim.null_string", "is  \"(null)\"");
    expect_failure("victim.part", "lacks \"mark\"");
}

TEST(test, the_first_different_byte_is_shown)
{
    expect_failure("victim.memory", "differs at byte 5 of 8");
    expect_failure("victim.memory", "61 62 63 64 65 66 67 68");
}

TEST(test, a_test_that_asserts_nothing_fails)
{
    expect_failure("victim.silent", "the test asserts nothing");
}

TEST(test, require_leaves_the_test)
{
    expect_failure("victim.required", "false");
}

TEST(test, a_child_that_goes_on_living_is_a_failure)
{
    expect_failure("victim.survivor", "did not abort");
}

TEST(test, no_matching_test_is_a_failure)
{
    struct run_result *result = mem_alloc(sizeof *result);
    run_self("victim.nobody", result);
    EXPECT_INT(result->exit_code, 2);
    EXPECT_CONTAINS(result->output, "no test ran");
    run_self("vict", result);
    EXPECT_INT(result->exit_code, 2);
    mem_free(result);
}

TEST(test, a_filter_runs_one_test_or_one_suite)
{
    struct run_result *result = mem_alloc(sizeof *result);
    run_self("victim.fact", result);
    EXPECT_CONTAINS(result->output, "Test: fact");
    EXPECT(strstr(result->output, "Test: code") == NULL);
    run_self("victim", result);
    EXPECT(strstr(result->output, "Suite: test") == NULL);
    EXPECT_CONTAINS(result->output, "Test: code");
    mem_free(result);
}

TEST(test, a_failed_check_is_seen_with_its_text)
{
    int number = 8;
    EXPECT_DIES(fail_a_check, &number, "*number == 7");
}

TEST(test, a_test_can_judge_a_process_that_aborts_by_itself)
{
    char output[16];
    int number = 8;
    EXPECT(test_aborts(fail_a_check, &number, output, sizeof output));
    EXPECT_UINT(strlen(output), sizeof output - 1); /* cut */
    EXPECT(!test_aborts(do_nothing, NULL, output, sizeof output));
    EXPECT_STR(output, "");
}

TEST(test, equal_values_pass)
{
    EXPECT_OK(ERR_OK);
    EXPECT_ERR(give_not_found(), ERR_NOT_FOUND);
    EXPECT_UINT(UINT64_MAX, UINT64_MAX);
    EXPECT_INT(INT64_MIN, INT64_MIN);
    EXPECT_DOUBLE(0.1, 0.1);
    EXPECT_STR("tide", "tide");
    EXPECT_CONTAINS("tidemark", "dem");
    EXPECT_MEM("abc", "abc", 3);
    EXPECT_MEM("", "", 0);
}
