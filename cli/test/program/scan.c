/* SPDX-License-Identifier: Apache-2.0 */
/* tidemark scan, run as a program against the fake cluster. */
#include <stdio.h>
#include <string.h>

#include "cli/test/fake_server.h"
#include "cli/test/program.h"
#include "testkit/test.h"

static struct fake *fake_with_rows(unsigned servers, int64_t rows)
{
    struct fake *f = fake_open(servers, false);
    fake_table(f, "db", "t", "value:double", "host:string:primary");
    for (int64_t i = 0; i < rows; i++) {
        char value[24];
        (void)snprintf(value, sizeof value, "%lld.5", (long long)i);
        fake_row(f, i % 2 == 0 ? "a" : "b,c", 1000 * i, i == 1 ? "null" : value);
    }
    return f;
}

TEST(program_scan, prints_rows_in_every_format)
{
    struct fake *f = fake_with_rows(1, 3);
    fake_start(f);
    const char *at = fake_endpoints(f);
    const struct ran *r = RUN(at, "scan", "db.t");
    EXPECT_INT(r->code, 0);
    EXPECT_STR(r->out, "ts,value,host\n"
                       "1970-01-01T00:00:00.000Z,0.5,a\n"
                       "1970-01-01T00:00:01.000Z,,\"b,c\"\n"
                       "1970-01-01T00:00:02.000Z,2.5,a\n");
    r = RUN(at, "scan", "db.t", "--format", "table", "--time-format", "epoch", "--limit", "2");
    EXPECT_STR(r->out, "  ts  value  host\n"
                       "   0    0.5  a\n"
                       "1000         b,c\n");
    r = RUN(at, "scan", "db.t", "--format", "json");
    EXPECT_INT(r->code, 0);
    EXPECT(program_json_error(r) == NULL);
    EXPECT_CONTAINS(r->out, "{\"ts\": \"1970-01-01T00:00:01.000Z\", \"value\": null, "
                            "\"host\": \"b,c\"}");
    EXPECT_CONTAINS(r->out, "\"index\": 42");
    EXPECT_CONTAINS(r->out, "\"rows_total\": 3,\n  \"age_ms\": 0,\n  \"complete\": true");
    fake_close(f);
}

TEST(program_scan, counts_without_rows)
{
    struct fake *f = fake_with_rows(1, 250);
    fake_start(f);
    const struct ran *r = RUN(fake_endpoints(f), "scan", "db.t", "--count");
    EXPECT_INT(r->code, 0);
    EXPECT_STR(r->out, "rows,index,age_ms\n250,42,0\n");
    fake_close(f);
}

TEST(program_scan, what_it_prints_can_be_imported_again)
{
    enum { ROWS = 1500 };
    struct fake *f = fake_with_rows(1, ROWS);
    fake_start(f);
    const struct ran *r = RUN(fake_endpoints(f), "scan", "db.t", "--stale");
    EXPECT_INT(r->code, 0);
    const char *file = program_file(r->out);
    fake_close(f);
    f = fake_with_rows(1, 0);
    fake_start(f);
    r = RUN(fake_endpoints(f), "import", "--table", "db.t", file);
    EXPECT_INT(r->code, 0);
    fake_stop(f);
    EXPECT_UINT(fake_row_count(f), ROWS);
    EXPECT_STR(fake_find_row(f, "b,c", 1000), "null");
    EXPECT_STR(fake_find_row(f, "b,c", 1499000), "1499.5");
    fake_close(f);
    program_remove_files();
}

TEST(program_scan, asks_elsewhere_before_the_first_row)
{
    struct fake *f = fake_with_rows(2, 3);
    fake_rule(f, (struct fake_rule){.method = "Scan",
                                    .server = 0,
                                    .from = 1,
                                    .count = 1,
                                    .action = FAKE_FAIL,
                                    .status = GRPC_UNAVAILABLE,
                                    .message = "starting"});
    fake_start(f);
    const struct ran *r = RUN(fake_endpoints(f), "scan", "db.t", "--count");
    EXPECT_INT(r->code, 0);
    EXPECT_CONTAINS(r->out, "\n3,42,0\n");
    fake_close(f);
}

TEST(program_scan, says_what_is_wrong)
{
    struct fake *f = fake_with_rows(1, 3);
    fake_rule(f, (struct fake_rule){.method = "Scan",
                                    .server = 0,
                                    .from = 1,
                                    .count = 1,
                                    .action = FAKE_FAIL,
                                    .status = GRPC_NOT_FOUND,
                                    .message = "no tag \"x\""});
    fake_start(f);
    const char *at = fake_endpoints(f);
    const struct ran *r = RUN(at, "scan", "db.t", "--tags", "x=1");
    EXPECT_INT(r->code, 1);
    EXPECT_STR(r->err, "tidemark: NOT_FOUND: no tag \"x\"\n");
    r = RUN(at, "scan", "db.u");
    EXPECT_INT(r->code, 1);
    EXPECT_CONTAINS(r->err, "no table 'db.u'");
    r = RUN(at, "scan", "db.t", "--columns", "valux");
    EXPECT_INT(r->code, 1);
    EXPECT_CONTAINS(r->err, "--columns: the table has no column 'valux'");
    EXPECT_INT(RUN(at, "scan", "t")->code, 2);
    EXPECT_INT(RUN(at, "scan", "db.t", "--from", "soon")->code, 2);
    EXPECT_INT(RUN(at, "scan", "db.t", "--tags", "host")->code, 2);
    fake_close(f);
}
