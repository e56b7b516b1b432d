/* SPDX-License-Identifier: Apache-2.0 */
#include "node/config_option.h"

#include <stdio.h>

#include "base/mem.h"
#include "testkit/test.h"

static const struct config_option *option(const char *name)
{
    size_t count = 0;
    const struct config_option *options = config_options(&count);
    size_t at = config_option_find(name);
    REQUIRE(at < count);
    return &options[at];
}

/* The value as it is printed again. */
static void expect_value(const char *name, const char *text, const char *want)
{
    struct config *c = mem_zalloc(sizeof *c);
    struct buf out = {0};
    struct err e = {0};
    EXPECT_OK(config_option_set(option(name), text, c, &e));
    config_option_format(option(name), c, &out);
    buf_put_u8(&out, 0);
    EXPECT_STR((const char *)out.data, want);
    buf_deinit(&out);
    mem_free(c);
}

static void expect_refused(const char *name, const char *text, const char *why)
{
    struct config *c = mem_zalloc(sizeof *c);
    struct config *before = mem_zalloc(sizeof *before);
    struct err e = {0};
    EXPECT_ERR(config_option_set(option(name), text, c, &e), ERR_INVALID);
    EXPECT_STR(e.text, why);
    EXPECT_MEM(c, before, sizeof *c);
    mem_free(before);
    mem_free(c);
}

TEST(config_option, names_are_unique_and_make_variables)
{
    size_t count = 0;
    const struct config_option *options = config_options(&count);
    char variable[CONFIG_VARIABLE_SIZE];
    EXPECT(count > 10);
    for (size_t i = 0; i < count; i++) {
        EXPECT_UINT(config_option_find(options[i].name), i);
        EXPECT(options[i].help != NULL);
        EXPECT(options[i].fallback != NULL || options[i].fallback_help != NULL);
        EXPECT((options[i].kind == OPTION_CHOICE) == (options[i].choices != NULL));
    }
    EXPECT_UINT(config_option_find("no-such"), count);
    config_option_variable(option("wal-segment-size"), variable);
    EXPECT_STR(variable, "TIDEMARK_WAL_SEGMENT_SIZE");
}

TEST(config_option, sizes_have_units)
{
    expect_value("wal-segment-size", "65536", "64KiB");
    expect_value("wal-segment-size", "64KiB", "64KiB");
    expect_value("wal-segment-size", "16MiB", "16MiB");
    expect_value("wal-segment-size", "1GiB", "1GiB");
    expect_value("wal-segment-size", "65537", "65537");
    static const char *const bad[] = {"",
                                      "16 MiB",
                                      "16MB",
                                      "MiB",
                                      "-1",
                                      "1.5MiB",
                                      "0x10",
                                      "99999999999999999999",
                                      "99999999999GiB"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char why[128];
        (void)snprintf(why, sizeof why, "'%s' is not a size such as 16MiB (units: KiB, MiB, GiB)",
                       bad[i]);
        expect_refused("wal-segment-size", bad[i], why);
    }
    expect_refused("wal-segment-size", "65535", "65535 is not from 64KiB to 1GiB");
    expect_refused("wal-segment-size", "1025MiB", "1025MiB is not from 64KiB to 1GiB");
    expect_refused("message-size-max", "5MiB", "5MiB is not from 64KiB to 4MiB");
}

TEST(config_option, times_have_units)
{
    expect_value("drain-limit", "0s", "0ms");
    expect_value("drain-limit", "1500ms", "1500ms");
    expect_value("drain-limit", "30s", "30s");
    expect_value("drain-limit", "120s", "2m");
    expect_value("drain-limit", "1h", "1h");
    expect_refused("drain-limit", "30", "'30' is not a time such as 30s (units: ms, s, m, h)");
    expect_refused("drain-limit", "3601s", "3601s is not from 0ms to 1h");
}

TEST(config_option, names_are_plain)
{
    char longest[LIMIT_NAME_SIZE_MAX + 2];
    memset(longest, 'n', sizeof longest);
    longest[LIMIT_NAME_SIZE_MAX] = '\0';
    expect_value("name", longest, longest);
    expect_value("name", "Rack-2_n.1", "Rack-2_n.1");
    longest[LIMIT_NAME_SIZE_MAX] = 'n';
    longest[LIMIT_NAME_SIZE_MAX + 1] = '\0';
    expect_refused("name", longest, "it has 64 bytes, more than 63");
    expect_refused("name", "", "it is empty");
    expect_refused("name", "a b",
                   "'a b' is not a name: letters, digits, '_', '-' and '.', not "
                   "first '-' or '.'");
    expect_refused("name", "-x",
                   "'-x' is not a name: letters, digits, '_', '-' and '.', not "
                   "first '-' or '.'");
}

TEST(config_option, addresses_have_a_port)
{
    expect_value("listen-peer", "n1:7071", "n1:7071");
    expect_value("listen-peer", "[::1]:7071", "[::1]:7071");
    expect_value("listen-peer", "127.0.0.1:0", "127.0.0.1:0");
    struct config *c = mem_zalloc(sizeof *c);
    static const char *const bad[] = {"n1", "n1:", ":7071", "n1:70000", "::1:7071", "n1:x"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct err e = {0};
        EXPECT_ERR(config_option_set(option("listen-peer"), bad[i], c, &e), ERR_INVALID);
        EXPECT_CONTAINS(e.text, bad[i]);
    }
    mem_free(c);
}

TEST(config_option, peers_are_sorted_and_counted_once)
{
    expect_value("peers", "n3:1, n1:1,n2:1 ,,n1:1,", "n1:1,n2:1,n3:1");
    expect_value("peers", "", "");
    struct buf many = {0};
    for (unsigned i = 0; i <= LIMIT_NODES_MAX; i++) {
        buf_printf(&many, "n%u:1,", i);
    }
    buf_put_u8(&many, 0);
    expect_refused("peers", (const char *)many.data, "more than 16 addresses");
    buf_deinit(&many);

    char address[LIMIT_ADDRESS_SIZE_MAX + 2];
    memset(address, 'x', sizeof address);
    address[LIMIT_ADDRESS_SIZE_MAX + 1] = '\0';
    expect_refused("peers", address, "an address of 256 bytes, more than 255");
}

TEST(config_option, choices_suggest_the_nearest)
{
    expect_value("log-level", "warn", "warn");
    expect_value("recovery-mode", "absolute_consistency", "absolute_consistency");
    expect_refused("log-level", "warm",
                   "'warm' is not one of debug, info, warn, error: did you mean warn?");
    expect_refused("log-format", "xml", "'xml' is not one of text, json");
}

TEST(config_option, switches_are_true_or_false)
{
    expect_value("test-small-segments", "true", "true");
    expect_value("test-small-segments", "false", "false");
    expect_refused("test-small-segments", "yes", "'yes' is neither true nor false");
}

TEST(config_option, paths_leave_room_for_what_is_inside)
{
    char path[IO_PATH_MAX];
    memset(path, 'd', sizeof path);
    path[IO_PATH_MAX - 128] = '\0';
    expect_value("data-dir", path, path);
    path[IO_PATH_MAX - 128] = 'd';
    path[IO_PATH_MAX - 127] = '\0';
    expect_refused("data-dir", path, "it has 897 bytes, more than 896");
    expect_refused("data-dir", "", "it is empty");
}

TEST(config_option, guesses_only_what_is_near)
{
    static const char *const names[] = {"data-dir", "listen-client", "listen-peer"};
    EXPECT_STR(config_option_guess("datadir", names, 3), "data-dir");
    EXPECT_STR(config_option_guess("listen-per", names, 3), "listen-peer");
    EXPECT_STR(config_option_guess("listn-clientt", names, 3), "listen-client");
    EXPECT(config_option_guess("cluster", names, 3) == NULL);
    EXPECT(config_option_guess("", names, 3) == NULL);
    char longest[100];
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    EXPECT(config_option_guess(longest, names, 3) == NULL);
}
