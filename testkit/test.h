/* SPDX-License-Identifier: Apache-2.0 */
/* Tests, as they read in every room. CUnit runs and counts them; this header
 * makes them register themselves and show the values that differ.
 *
 *   TEST(wal_segment, failed_sync_breaks_the_segment_for_good)
 *   {
 *       EXPECT_OK(wal_segment_sync(s, &e));
 *       EXPECT_UINT(wal_segment_size(s), 64);
 *   }
 *
 * EXPECT*   records a failure and goes on
 * REQUIRE*  records a failure and leaves the test at once (by longjmp: what the
 *           test holds is lost, so use it where going on would crash)
 *
 * Values come first, what they should be second. A test that asserts nothing
 * fails. The executable takes names to run: test_wal_segment [suite[.name] ...].
 * Only the thread that runs the test may assert. */
#ifndef TIDEMARK_TESTKIT_TEST_H
#define TIDEMARK_TESTKIT_TEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct test_case {
    const char *suite;
    const char *name;
    void (*run)(void);
    struct test_case *next;
};

struct test_place {
    const char *file;
    unsigned line;
    bool fatal;
};

#define TEST(suite, name)                                                                          \
    static void suite##_##name##_body(void);                                                       \
    static void suite##_##name##_run(void)                                                         \
    {                                                                                              \
        test_begin();                                                                              \
        suite##_##name##_body();                                                                   \
        test_end(__FILE__, __LINE__);                                                              \
    }                                                                                              \
    __attribute__((constructor)) static void suite##_##name##_register(void)                       \
    {                                                                                              \
        static struct test_case self = {#suite, #name, suite##_##name##_run, NULL};                \
        test_register(&self);                                                                      \
    }                                                                                              \
    static void suite##_##name##_body(void)

#define TEST_HERE(fatal) ((struct test_place){__FILE__, __LINE__, (fatal)})

#define EXPECT(fact) test_true((fact), #fact, TEST_HERE(false))
#ifdef __clang_analyzer__ /* it can't see that a failed REQUIRE does not return */
#define REQUIRE(fact) ((fact) ? (void)0 : __builtin_trap())
#else
#define REQUIRE(fact) test_true((fact), #fact, TEST_HERE(true))
#endif

/* For calls that return an enum err_code. */
#define EXPECT_OK(call) test_code((call), ERR_OK, #call, TEST_HERE(false))
#define REQUIRE_OK(call) test_code((call), ERR_OK, #call, TEST_HERE(true))
#define EXPECT_ERR(call, code) test_code((call), (code), #call, TEST_HERE(false))
#define REQUIRE_ERR(call, code) test_code((call), (code), #call, TEST_HERE(true))

#define EXPECT_UINT(value, want) test_uint((value), (want), #value, TEST_HERE(false))
#define REQUIRE_UINT(value, want) test_uint((value), (want), #value, TEST_HERE(true))
#define EXPECT_INT(value, want) test_int((value), (want), #value, TEST_HERE(false))
#define REQUIRE_INT(value, want) test_int((value), (want), #value, TEST_HERE(true))

/* The same bits, so that 0.0 and -0.0 differ and a NaN equals itself. */
#define EXPECT_DOUBLE(value, want) test_double((value), (want), #value, TEST_HERE(false))

#define EXPECT_STR(value, want) test_str((value), (want), #value, TEST_HERE(false))
#define REQUIRE_STR(value, want) test_str((value), (want), #value, TEST_HERE(true))
#define EXPECT_CONTAINS(value, part) test_contains((value), (part), #value, TEST_HERE(false))
#define EXPECT_MEM(value, want, size) test_mem((value), (want), (size), #value, TEST_HERE(false))

/* Runs 'run(arg)' in a child process, which must stop by abort() after writing
 * 'message' (part of it) to stderr: how a CHECK is tested. */
#define EXPECT_DIES(run, arg, message) test_dies((run), (arg), (message), #run, TEST_HERE(false))

/* The same for a test that judges itself: whether it stopped by abort(); 'output' is
 * what it wrote to stderr, cut. */
bool test_aborts(void (*run)(void *arg), void *arg, char *output, size_t output_size);

/* Whether a sanitizer watches this program: it is many times as slow then, lays out
 * memory in its own way, and stops the process where the program would. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { TEST_SANITIZED = 1 };
#elif defined(__has_feature)
enum { TEST_SANITIZED = __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) };
#else
enum { TEST_SANITIZED = 0 };
#endif

/* What failures from here to the end of the test start with: the seed of a
 * random test, the case of a loop. */
void test_context(const char *format, ...) ERR_FORMAT(1, 2);

/* Called by the macros. */
void test_register(struct test_case *test);
void test_begin(void);
void test_end(const char *file, unsigned line);
void test_true(bool fact, const char *text, struct test_place place);
void test_code(enum err_code code, enum err_code want, const char *text, struct test_place place);
void test_uint(uint64_t value, uint64_t want, const char *text, struct test_place place);
void test_int(int64_t value, int64_t want, const char *text, struct test_place place);
void test_double(double value, double want, const char *text, struct test_place place);
void test_str(const char *value, const char *want, const char *text, struct test_place place);
void test_contains(const char *value, const char *part, const char *text, struct test_place place);
void test_mem(const void *value, const void *want, size_t size, const char *text,
              struct test_place place);
void test_dies(void (*run)(void *arg), void *arg, const char *message, const char *text,
               struct test_place place);

/* The main function of every test executable; see testkit/test_main.c. */
int test_run_all(int argc, char **argv);

#endif
