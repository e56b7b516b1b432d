/* SPDX-License-Identifier: Apache-2.0 */
/* tidemark import, run as a program against the fake cluster. */
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "cli/test/fake_server.h"
#include "cli/test/program.h"
#include "testkit/test.h"

static const char small[] = "ts,value,host\n"
                            "2014-02-14 14:30:00,1.5,a\n"
                            "2014-02-14 14:35:00,2,a\n"
                            "2014-02-14 14:30:00,,b\n"
                            "2014-02-14 14:30:00,9.25,a\n";

TEST(program_import, makes_the_table_and_stores_the_rows)
{
    struct fake *f = fake_open(1, false);
    fake_start(f);
    const struct ran *r = RUN(fake_endpoints(f), "import", "--create", "--table", "metrics.cpu",
                              "--tags", "host", "--format", "json", program_file(small));
    EXPECT_INT(r->code, 0);
    EXPECT(program_json_error(r) == NULL);
    EXPECT_CONTAINS(r->out, "\"rows_read\": 4");
    EXPECT_CONTAINS(r->out, "\"rows_acknowledged\": 4");
    EXPECT_CONTAINS(r->out, "\"rows_distinct\": 3");
    EXPECT_CONTAINS(r->out, "\"rows_rejected\": 0");
    EXPECT_CONTAINS(r->out, "\"complete\": true");
    EXPECT_STR(r->err, "");
    fake_stop(f);
    EXPECT_UINT(fake_row_count(f), 3);
    EXPECT_STR(fake_find_row(f, "a", INT64_C(1392388200000)), "9.25");
    EXPECT_STR(fake_find_row(f, "a", INT64_C(1392388500000)), "2");
    EXPECT_STR(fake_find_row(f, "b", INT64_C(1392388200000)), "null");
    const Tidemark__V1__TableDefinition *t = fake_definition(f, "cpu");
    REQUIRE(t != NULL);
    EXPECT_STR(t->database, "metrics");
    EXPECT_UINT(t->n_tags, 1);
    fake_close(f);
    program_remove_files();
}

TEST(program_import, reads_standard_input_with_other_separators)
{
    struct fake *f = fake_open(1, false);
    fake_table(f, "db", "t", "v:int64", "host:string:primary");
    fake_start(f);
    static const char *const words[] = {"import",   "--table",       "db.t",    "--separator",
                                        "tab",      "--time-column", "when",    "--time-format",
                                        "%d.%m.%Y", "--tag-value",   "host=h1", "-",
                                        NULL};
    const struct ran *r = program_run(fake_endpoints(f), "when\tv\n15.02.2014\t7\n", words);
    EXPECT_INT(r->code, 0);
    EXPECT_CONTAINS(r->out, "rows_read,rows_sent,");
    EXPECT_CONTAINS(r->out, "\n1,1,1,1,0,0,1,");
    fake_stop(f);
    EXPECT_STR(fake_find_row(f, "h1", INT64_C(1392422400000)), "7");
    fake_close(f);
}

/* Many batches, the leader killed in the middle, an answer lost, connections
 * dropped: every row is there, once, and the last in the file wins. */
TEST(program_import, loses_nothing_when_leaders_die)
{
    enum { ROWS = 3000 };
    struct fake *f = fake_open(3, true);
    fake_table(f, "db", "t", "v:int64", "host:string:primary");
    fake_rule(f, (struct fake_rule){
                     .method = "Write", .server = 0, .from = 10, .count = 1, .action = FAKE_LOSE});
    fake_rule(f, (struct fake_rule){
                     .method = "Write", .server = 0, .from = 30, .count = 1, .action = FAKE_KILL});
    fake_rule(f, (struct fake_rule){
                     .method = "Write", .server = 1, .from = 10, .count = 1, .action = FAKE_LOSE});
    fake_start(f);
    struct buf text = {0};
    buf_printf(&text, "ts,v,host\n");
    for (int i = 0; i < ROWS; i++) {
        /* Every fifth row overrides one that came shortly before. */
        buf_printf(&text, "%d,%d,a\n", i % 5 == 4 ? i - 23 : i, i);
    }
    buf_put_u8(&text, 0);
    const struct ran *r = RUN(fake_endpoints(f), "import", "--table", "db.t", "--time-format",
                              "epoch_ms", "--batch-rows", "20", "--in-flight", "8", "--format",
                              "json", program_file((const char *)text.data));
    EXPECT_INT(r->code, 0);
    EXPECT_CONTAINS(r->out, "\"rows_acknowledged\": 3000");
    EXPECT(strstr(r->out, "\"retries\": 0,") == NULL);
    fake_stop(f);
    EXPECT_UINT(fake_applied(f), ROWS / 20);
    EXPECT(fake_repeated(f) > 0);
    for (int i = 0; i < ROWS; i++) {
        char want[24];
        int time = i % 5 == 4 ? i - 23 : i;
        bool overridden = i % 5 != 4 && (i + 23) % 5 == 4 && i + 23 < ROWS;
        (void)snprintf(want, sizeof want, "%d", overridden ? i + 23 : i);
        const char *is = fake_find_row(f, "a", time);
        EXPECT_STR(is == NULL ? "missing" : is, want);
    }
    buf_deinit(&text);
    fake_close(f);
    program_remove_files();
}

TEST(program_import, stops_at_a_refused_line_unless_told_to_go_on)
{
    static const char bad[] = "ts,v,host\n1,1,a\n2,two,a\n3,3\n\"4,4,a\n5,5,a\n";
    struct fake *f = fake_open(1, false);
    fake_table(f, "db", "t", "v:int64", "host:string:primary");
    fake_start(f);
    const char *file = program_file(bad);
    const struct ran *r =
        RUN(fake_endpoints(f), "import", "--table", "db.t", "--format", "json", file);
    EXPECT_INT(r->code, 1);
    EXPECT_CONTAINS(r->out, "\"rows_acknowledged\": 1");
    EXPECT_CONTAINS(r->out, "\"complete\": false");
    EXPECT_CONTAINS(r->err, "line 3: column 'v': 'two' is no int64\n");
    EXPECT_CONTAINS(r->err, "tidemark: stopped after 1 refused lines (--max-rejects 0)");
    const char *rejects = program_new_file();
    r = RUN(fake_endpoints(f), "import", "--table", "db.t", "--max-rejects", "3", "--rejects",
            rejects, "--format", "json", file);
    EXPECT_INT(r->code, 0);
    EXPECT_CONTAINS(r->out, "\"rows_read\": 5");
    EXPECT_CONTAINS(r->out, "\"rows_acknowledged\": 2");
    EXPECT_CONTAINS(r->out, "\"rows_rejected\": 3");
    EXPECT_STR(r->err, "");
    EXPECT_STR(program_read_file(rejects), "line,reason\n"
                                           "3,column 'v': 'two' is no int64\n"
                                           "4,\"2 fields, the header has 3\"\n"
                                           "5,a quote is not closed\n");
    fake_stop(f);
    EXPECT_UINT(fake_row_count(f), 2);
    fake_close(f);
    program_remove_files();
}

TEST(program_import, says_why_it_cannot_begin)
{
    struct fake *f = fake_open(1, false);
    fake_table(f, "db", "table", "v:int64", "host:string:primary");
    fake_start(f);
    const char *endpoints = fake_endpoints(f);
    const char *file = program_file(small);
    const struct ran *r = RUN(endpoints, "import", "--table", "db.tablo", file);
    EXPECT_INT(r->code, 1);
    EXPECT_STR(r->err, "tidemark: use --create to have it made: no table 'db.tablo'; did you mean "
                       "'db.table'?\n");
    EXPECT_STR(r->out, "");
    r = RUN(endpoints, "import", "--table", "db.table", file);
    EXPECT_INT(r->code, 1);
    EXPECT_CONTAINS(r->err, "no column or tag 'value'");
    r = RUN(endpoints, "import", "--table", "db.table", "/nowhere/file.csv");
    EXPECT_INT(r->code, 1);
    EXPECT_STR(r->err, "tidemark: /nowhere/file.csv: No such file or directory\n");
    r = RUN(endpoints, "import", "--table", "db.table", "/tmp");
    EXPECT_INT(r->code, 1);
    EXPECT_STR(r->err, "tidemark: /tmp: is a directory\n");
    r = RUN(endpoints, "import", "--table", "db.table", program_file(""));
    EXPECT_INT(r->code, 1);
    EXPECT_STR(r->err, "tidemark: the file is empty: not even a header line\n");
    r = RUN(endpoints, "import", "--table", "db.table", program_file("a\"b,c\n"));
    EXPECT_INT(r->code, 1);
    EXPECT_CONTAINS(r->err, "line 1, the header: a quote inside a field");
    r = RUN(endpoints, "import", file);
    EXPECT_INT(r->code, 2);
    EXPECT_STR(r->err, "tidemark: --table DATABASE.TABLE is needed\n");
    r = RUN(endpoints, "import", "--table", "db.t", "--separator", "ab", file);
    EXPECT_INT(r->code, 2);
    r = RUN(endpoints, "import", "--table", "db.t", "--time-format", "%Q", file);
    EXPECT_INT(r->code, 2);
    fake_close(f);
    program_remove_files();
}

TEST(program_import, gives_up_when_nothing_is_acknowledged)
{
    struct fake *f = fake_open(1, false);
    fake_table(f, "db", "t", "value:double", "host:string:primary");
    fake_rule(f, (struct fake_rule){.method = "Write",
                                    .server = 0,
                                    .from = 1,
                                    .count = 100000,
                                    .action = FAKE_FAIL,
                                    .status = GRPC_UNAVAILABLE,
                                    .message = "no leader"});
    fake_start(f);
    const struct ran *r = RUN(fake_endpoints(f), "import", "--table", "db.t", "--timeout", "300ms",
                              "--format", "json", program_file(small));
    EXPECT_INT(r->code, 3);
    EXPECT_CONTAINS(r->out, "\"rows_acknowledged\": 0");
    EXPECT_CONTAINS(r->out, "\"complete\": false");
    EXPECT(program_json_error(r) == NULL);
    EXPECT_CONTAINS(r->err, "tidemark: lines 2 to 5: not acknowledged for ");
    fake_close(f);
    program_remove_files();
}
