/* SPDX-License-Identifier: Apache-2.0 */
#include "testkit/test.h"

#include <CUnit/Basic.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"

enum {
    TEXT_SIZE = 2048,
    CONTEXT_SIZE = 255,
    CHILD_OUTPUT_SIZE = 8192,
    MEM_SHOWN = 16, /* bytes shown on each side of a difference */
};

/* The one piece of global state in the project's C code besides CUnit's own:
 * constructors run before main() and have nothing else to hand their test to. */
static struct test_case *tests;
static struct test_case **tests_end = &tests;
static unsigned assertion_count;       /* of the running test */
static char context[CONTEXT_SIZE + 1]; /* what every failure of it starts with */

void test_register(struct test_case *test)
{
    *tests_end = test;
    tests_end = &test->next;
}

void test_begin(void)
{
    assertion_count = 0;
    context[0] = '\0';
}

void test_context(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(context, sizeof context, format, args);
    va_end(args);
}

static void record(bool passed, const char *text, struct test_place place)
{
    assertion_count++;
    char with_context[TEXT_SIZE + CONTEXT_SIZE + 3];
    if (!passed && context[0] != '\0') {
        (void)snprintf(with_context, sizeof with_context, "%s: %s", context, text);
        text = with_context;
    }
    CU_assertImplementation(passed, place.line, text, place.file, "", place.fatal);
}

void test_end(const char *file, unsigned line)
{
    if (assertion_count == 0) {
        record(false, "the test asserts nothing", (struct test_place){file, line, false});
    }
}

void test_true(bool fact, const char *text, struct test_place place)
{
    record(fact, text, place);
}

/* Formats only on failure: assertions in loops must stay cheap. */
__attribute__((format(printf, 2, 3))) static void record_difference(struct test_place place,
                                                                    const char *format, ...)
{
    char text[TEXT_SIZE];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    record(false, text, place);
}

void test_code(enum err_code code, enum err_code want, const char *text, struct test_place place)
{
    if (code == want) {
        record(true, text, place);
        return;
    }
    record_difference(place, "%s: %s, not %s", text, err_name(code), err_name(want));
}

void test_uint(uint64_t value, uint64_t want, const char *text, struct test_place place)
{
    if (value == want) {
        record(true, text, place);
        return;
    }
    record_difference(place, "%s: %" PRIu64 " (0x%" PRIx64 "), not %" PRIu64 " (0x%" PRIx64 ")",
                      text, value, value, want, want);
}

void test_int(int64_t value, int64_t want, const char *text, struct test_place place)
{
    if (value == want) {
        record(true, text, place);
        return;
    }
    record_difference(place, "%s: %" PRId64 ", not %" PRId64, text, value, want);
}

void test_double(double value, double want, const char *text, struct test_place place)
{
    uint64_t value_bits;
    uint64_t want_bits;
    memcpy(&value_bits, &value, sizeof value_bits);
    memcpy(&want_bits, &want, sizeof want_bits);
    if (value_bits == want_bits) {
        record(true, text, place);
        return;
    }
    record_difference(place, "%s: %.17g (%a), not %.17g (%a)", text, value, value, want, want);
}

void test_str(const char *value, const char *want, const char *text, struct test_place place)
{
    if (value != NULL && want != NULL && strcmp(value, want) == 0) {
        record(true, text, place);
        return;
    }
    record_difference(place, "%s:\n      is  \"%s\"\n      not \"%s\"", text,
                      value == NULL ? "(null)" : value, want == NULL ? "(null)" : want);
}

void test_contains(const char *value, const char *part, const char *text, struct test_place place)
{
    if (value != NULL && strstr(value, part) != NULL) {
        record(true, text, place);
        return;
    }
    record_difference(place, "%s:\n      is   \"%s\"\n      lacks \"%s\"", text,
                      value == NULL ? "(null)" : value, part);
}

static void format_bytes(char *out, size_t out_size, const uint8_t *bytes, size_t first, size_t end)
{
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = first; i < end && used + 4 < out_size; i++) {
        used += (size_t)snprintf(out + used, out_size - used, " %02x", bytes[i]);
    }
}

void test_mem(const void *value, const void *want, size_t size, const char *text,
              struct test_place place)
{
    const uint8_t *is = value;
    const uint8_t *not = want;
    size_t at = 0;
    while (at < size && is[at] == not[at]) {
        at++;
    }
    if (at == size) {
        record(true, text, place);
        return;
    }
    size_t first = at < MEM_SHOWN ? 0 : at - MEM_SHOWN;
    size_t end = size - at < MEM_SHOWN ? size : at + MEM_SHOWN;
    char is_text[4 * 2 * MEM_SHOWN];
    char not_text[4 * 2 * MEM_SHOWN];
    format_bytes(is_text, sizeof is_text, is, first, end);
    format_bytes(not_text, sizeof not_text, not, first, end);
    record_difference(place,
                      "%s: differs at byte %zu of %zu, from byte %zu on\n      is %s\n      not%s",
                      text, at, size, first, is_text, not_text);
}

/* In the child: stderr goes to the pipe, nothing else leaves the process. */
static void run_child(void (*run)(void *arg), void *arg, const int pipe_fds[2])
{
    close(pipe_fds[0]);
    if (dup2(pipe_fds[1], STDERR_FILENO) < 0) {
        _exit(2);
    }
    run(arg);
    _exit(0);
}

/* Reads to the end, keeps what fits, terminates it. */
static void read_all(int fd, char *out, size_t out_size)
{
    size_t used = 0;
    char chunk[512];
    for (;;) {
        ssize_t size = read(fd, chunk, sizeof chunk);
        if (size <= 0) {
            break;
        }
        size_t room = out_size - 1 - used;
        size_t kept = (size_t)size < room ? (size_t)size : room;
        memcpy(out + used, chunk, kept);
        used += kept;
    }
    out[used] = '\0';
}

/* The exit status of the child, -1: there is none. */
static int run_apart(void (*run)(void *arg), void *arg, char *output, size_t output_size)
{
    int pipe_fds[2];
    output[0] = '\0';
    if (pipe(pipe_fds) != 0) {
        return -1;
    }
    (void)fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        run_child(run, arg, pipe_fds);
    }
    close(pipe_fds[1]);
    if (child > 0) {
        read_all(pipe_fds[0], output, output_size);
    }
    close(pipe_fds[0]);
    int status = 0;
    return child > 0 && waitpid(child, &status, 0) == child ? status : -1;
}

static bool is_abort(int status)
{
    return status != -1 && WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

bool test_aborts(void (*run)(void *arg), void *arg, char *output, size_t output_size)
{
    int status = run_apart(run, arg, output, output_size);
    CHECK(is_abort(status) || status == 0); /* nothing else is an answer */
    return status != 0;
}

void test_dies(void (*run)(void *arg), void *arg, const char *message, const char *text,
               struct test_place place)
{
    char output[CHILD_OUTPUT_SIZE];
    int status = run_apart(run, arg, output, sizeof output);
    if (is_abort(status)) {
        test_contains(output, message, text, place);
        return;
    }
    record_difference(place, "%s: did not abort (status 0x%x), wrote \"%s\"", text,
                      (unsigned)status, output);
}

/* 'filter' is "suite" or "suite.name". */
static bool filter_matches(const char *filter, const struct test_case *test)
{
    size_t suite_size = strlen(test->suite);
    if (strncmp(filter, test->suite, suite_size) != 0) {
        return false;
    }
    const char *rest = filter + suite_size;
    return rest[0] == '\0' || (rest[0] == '.' && strcmp(rest + 1, test->name) == 0);
}

static bool is_chosen(const struct test_case *test, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (filter_matches(argv[i], test)) {
            return true;
        }
    }
    return argc <= 1;
}

static bool add_to_cunit(const struct test_case *test)
{
    CU_pSuite suite = CU_get_suite(test->suite);
    if (suite == NULL) {
        suite = CU_add_suite(test->suite, NULL, NULL);
    }
    if (suite == NULL || CU_add_test(suite, test->name, test->run) == NULL) {
        (void)fprintf(stderr, "%s.%s: %s\n", test->suite, test->name, CU_get_error_msg());
        return false;
    }
    return true;
}

int test_run_all(int argc, char **argv)
{
    /* What a test printed must be seen even if it stops the process. */
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    if (CU_initialize_registry() != CUE_SUCCESS) {
        (void)fprintf(stderr, "CUnit: %s\n", CU_get_error_msg());
        return 2;
    }
    bool added = true;
    for (const struct test_case *test = tests; test != NULL; test = test->next) {
        if (is_chosen(test, argc, argv)) {
            added = add_to_cunit(test) && added;
        }
    }
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_ErrorCode code = CU_basic_run_tests();
    unsigned run_count = CU_get_number_of_tests_run();
    unsigned failure_count = CU_get_number_of_failures();
    CU_cleanup_registry();
    if (run_count == 0) {
        (void)fprintf(stderr, "no test ran\n");
        return 2;
    }
    return added && code == CUE_SUCCESS && failure_count == 0 ? 0 : 1;
}
