/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "testkit/test.h"

struct fixture {
    struct log log;
    int64_t wall_us;
    unsigned count;
    char line[2 * LOG_LINE_SIZE_MAX];
};

static int64_t fixture_time(void *context)
{
    return ((struct fixture *)context)->wall_us;
}

static void fixture_write(void *context, const char *line)
{
    struct fixture *f = context;
    f->count++;
    (void)snprintf(f->line, sizeof f->line, "%s", line);
}

static void fixture_init(struct fixture *f)
{
    *f = (struct fixture){.wall_us = INT64_C(1769860800123456)};
    f->log = (struct log){LOG_INFO, "n1", fixture_time, fixture_write, f, false};
}

TEST(log, a_line_has_time_level_node_room_verb_and_pairs)
{
    struct fixture f;
    fixture_init(&f);
    log_warn(&f.log, "wal", "slot-damaged", "index=%d term=%d", 7, 2);
    EXPECT_STR(f.line,
               "2026-01-31T12:00:00.123456Z warn node=n1 wal slot-damaged index=7 term=2\n");
    log_error(&f.log, "node", "stop", NULL);
    EXPECT_STR(f.line, "2026-01-31T12:00:00.123456Z error node=n1 node stop\n");
    f.log.node[0] = '\0';
    log_info(&f.log, "node", "start", "id=%s", "x");
    EXPECT_STR(f.line, "2026-01-31T12:00:00.123456Z info node start id=x\n");
}

TEST(log, lines_below_the_level_are_left_out)
{
    struct fixture f;
    fixture_init(&f);
    log_debug(&f.log, "wal", "x", NULL);
    EXPECT_UINT(f.count, 0);
    f.log.level = LOG_DEBUG;
    log_debug(&f.log, "wal", "x", NULL);
    EXPECT_UINT(f.count, 1);
    f.log.level = LOG_ERROR;
    log_warn(&f.log, "wal", "x", NULL);
    EXPECT_UINT(f.count, 1);
    log_error(&f.log, "wal", "x", NULL);
    EXPECT_UINT(f.count, 2);
    log_error(NULL, "wal", "x", NULL);
    EXPECT_UINT(f.count, 2);
}

TEST(log, times_before_1970_and_beyond_all_years_are_written_too)
{
    struct fixture f;
    fixture_init(&f);
    f.wall_us = -1;
    log_info(&f.log, "a", "b", NULL);
    EXPECT_STR(f.line, "1969-12-31T23:59:59.999999Z info node=n1 a b\n");
    f.wall_us = 0;
    log_info(&f.log, "a", "b", NULL);
    EXPECT_STR(f.line, "1970-01-01T00:00:00.000000Z info node=n1 a b\n");
    f.wall_us = INT64_MAX;
    log_info(&f.log, "a", "b", NULL);
    EXPECT_CONTAINS(f.line, "info node=n1 a b\n");
}

TEST(log, a_line_is_an_object_when_that_is_wanted)
{
    struct fixture f;
    fixture_init(&f);
    f.log.json = true;
    log_warn(&f.log, "wal", "slot-damaged", "index=%d reason=\"%s\"", 7, "bad crc");
    EXPECT_STR(f.line,
               "{\"time\":\"2026-01-31T12:00:00.123456Z\",\"level\":\"warn\",\"node\":\"n1\","
               "\"room\":\"wal\",\"verb\":\"slot-damaged\",\"index\":7,"
               "\"reason\":\"bad crc\"}\n");
    log_info(&f.log, "node", "start", NULL);
    EXPECT_CONTAINS(f.line, "\"verb\":\"start\"}\n");
    char text[2 * LOG_LINE_SIZE_MAX];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    log_info(&f.log, "a", "b", "text=%s", text);
    EXPECT(strlen(f.line) <= LOG_LINE_SIZE_MAX);
    EXPECT_CONTAINS(f.line, "x\",\"cut\":true}\n");
}

TEST(log, content_can_not_forge_a_line)
{
    struct fixture f;
    fixture_init(&f);
    log_info(&f.log, "sql", "query", "text=%s",
             "a\nb\r\x1b[0m\x7f"
             "c\t\xc3\xa9");
    EXPECT_STR(f.line, "2026-01-31T12:00:00.123456Z info node=n1 sql query "
                       "text=a?b??[0m?c?\xc3\xa9\n");
}

/* Every length around the end of a line. */
TEST(log, a_line_too_long_is_cut_and_says_so)
{
    struct fixture f;
    fixture_init(&f);
    const size_t head = strlen("2026-01-31T12:00:00.123456Z info node=n1 a b text=");
    const size_t room = LOG_LINE_SIZE_MAX - strlen(" ...\n");
    char text[LOG_LINE_SIZE_MAX + 20];
    for (size_t size = room - head - 10; size < sizeof text; size++) {
        memset(text, 'x', size);
        text[size] = '\0';
        log_info(&f.log, "a", "b", "text=%s", text);
        size_t want = head + size <= room ? head + size + 1 : LOG_LINE_SIZE_MAX;
        EXPECT_UINT(strlen(f.line), want);
        EXPECT_STR(f.line + want - 6, head + size <= room ? "xxxxx\n" : "x ...\n");
    }
}

TEST(log, standard_error_gets_the_line)
{
    int ends[2];
    REQUIRE(pipe(ends) == 0);
    int before = dup(STDERR_FILENO);
    REQUIRE(before >= 0);
    CHECK(before >= 0); /* REQUIRE does not return, which clang-tidy can't see */
    REQUIRE(dup2(ends[1], STDERR_FILENO) >= 0);
    struct fixture f;
    fixture_init(&f);
    f.log.write = log_write_stderr;
    log_info(&f.log, "a", "b", NULL);
    REQUIRE(dup2(before, STDERR_FILENO) >= 0);
    char line[128] = "";
    EXPECT(read(ends[0], line, sizeof line - 1) > 0);
    EXPECT_STR(line, "2026-01-31T12:00:00.123456Z info node=n1 a b\n");
    (void)close(before);
    (void)close(ends[0]);
    (void)close(ends[1]);
}
