/* SPDX-License-Identifier: Apache-2.0 */
/* Commands that look at a cluster and run it, against the fake one. */
#include <stdio.h>
#include <string.h>

#include "cli/test/fake_server.h"
#include "cli/test/program.h"
#include "testkit/test.h"

static void expect_json(const struct ran *r)
{
    const char *why = program_json_error(r);
    EXPECT_STR(why == NULL ? "valid" : why, "valid");
}

TEST(program_admin, status_shows_every_node)
{
    struct fake *f = fake_open(3, false);
    fake_start(f);
    const struct ran *r = RUN(fake_endpoints(f), "status", "--check", "--format", "table");
    EXPECT_INT(r->code, 0);
    EXPECT_CONTAINS(r->out, "name  role      kind   term  commit  applied  lag  log");
    EXPECT_CONTAINS(r->out, "n1    leader    voter     3      20       20    0  ok");
    EXPECT_CONTAINS(r->out, "n3    follower  voter     3      20       18    2  ok");
    EXPECT_STR(r->err, "");
    r = RUN(fake_endpoints(f), "status", "--format", "json");
    EXPECT_INT(r->code, 0);
    expect_json(r);
    EXPECT_CONTAINS(r->out, "\"cluster_id\": \"00000000000000c1\"");
    EXPECT_CONTAINS(r->out, "\"healthy\": true");
    fake_close(f);
}

TEST(program_admin, status_shows_every_log)
{
    struct fake *f = fake_open(2, false);
    fake_start(f);
    const struct ran *r = RUN(fake_endpoints(f), "status", "--logs", "--format", "csv");
    EXPECT_INT(r->code, 0);
    EXPECT_STR(r->out,
               "node,log,lsn,lsn_synced,lsn_checkpoint,index,index_synced,index_checkpoint,"
               "segments_current,segments_checkpoint,segments_recycled,checkpoint_time,"
               "checkpoint_ms,checkpoint_bytes,retained_by,writes,write_us_p99,"
               "buffers_full,syncs,sync_us_p99\n"
               "n1,raft,1/0A000100,1/0A000080,1/08000040,20,19,15,3,2,1,"
               "2023-11-14T22:13:20.000Z,12,4096,slow replica n3,1000,64,7,0,\n"
               "n2,raft,1/0A000100,1/0A000080,1/08000040,20,19,15,3,2,1,\"\",,,\"\",0,,0,0,\n");
    r = RUN(fake_endpoints(f), "status", "--logs", "--format", "json");
    EXPECT_INT(r->code, 0);
    expect_json(r);
    EXPECT_CONTAINS(r->out, "\"last_checkpoint\": {\"index\": 15, \"time\": "
                            "\"2023-11-14T22:13:20.000Z\", \"duration_ms\": 12, \"bytes\": 4096}");
    EXPECT_CONTAINS(r->out, "\"last_checkpoint\": null");
    EXPECT_CONTAINS(r->out, "\"recovery\": null");
    EXPECT_CONTAINS(r->out, "\"retained_by\": \"slow replica n3\"");
    EXPECT_CONTAINS(r->out, "\"records\": 4000, \"bytes\": 500000, \"buffers_full\": 7, \"write\": "
                            "{\"count\": 1000, \"us\": 9000, \"us_max\": 1500, \"below_us\": "
                            "{\"1\": 0, \"2\": 0, \"4\": 0, \"8\": 980,");
    EXPECT_CONTAINS(r->out, "\"2048\": 5}}, \"sync\": {\"count\": 0,");
    EXPECT_CONTAINS(r->out, "\"write\": null");
    fake_close(f);
}

/* The reader of the pipe leaves after two times: the program ends. */
TEST(program_admin, status_is_shown_again_until_nobody_reads)
{
    struct fake *f = fake_open(1, false);
    fake_start(f);
    const char *path = program_new_file();
    char command[400];
    (void)snprintf(command, sizeof command,
                   "timeout 60 %s/tidemark --endpoints %s status --watch --format csv | head -n 5 "
                   ">%s",
                   TEST_PROGRAM_DIR, fake_endpoints(f), path);
    EXPECT_INT(program_other((const char *const[]){"sh", "-c", command, NULL}), 0);
    const char *out = program_read_file(path);
    const char *second = strstr(out, "\n\nname,role");
    EXPECT(strncmp(out, "name,role", 9) == 0);
    REQUIRE(second != NULL);
    EXPECT_CONTAINS(second + 2, "\nn1,leader,");
    const struct ran *r = RUN(fake_endpoints(f), "status", "--watch", "--check");
    EXPECT_INT(r->code, 2);
    EXPECT_CONTAINS(r->err, "use one of them");
    program_remove_files();
    fake_close(f);
}

TEST(program_admin, status_says_what_is_wrong)
{
    struct fake *f = fake_open(3, false);
    fake_node_role(f, 1, TIDEMARK__V1__ROLE__ROLE_UNREACHABLE);
    fake_node_holes(f, 2, 4);
    fake_start(f);
    const struct ran *r = RUN(fake_endpoints(f), "status", "--check", "--format", "csv");
    EXPECT_INT(r->code, 4);
    EXPECT_CONTAINS(r->out, "n2,unreachable,voter,,,,,?,");
    EXPECT_CONTAINS(r->out,
                    "n3,follower,voter,3,20,18,2,\"damaged: 7 found, 2 filled, 0 dropped, 5 "
                    "waiting\",");
    EXPECT_STR(r->err, "tidemark: the cluster is not healthy\n");
    EXPECT_INT(RUN(fake_endpoints(f), "status", "--format", "csv")->code, 0);
    EXPECT_INT(RUN(fake_endpoints(f), "status", "--check", "--local")->code, 0);
    EXPECT_INT(RUN(fake_address(f, 2), "status", "--check", "--local")->code, 4);
    r = RUN(fake_address(f, 2), "status", "--local", "--format", "json");
    expect_json(r);
    EXPECT_CONTAINS(r->out, "\"parts_refilled\": 2");
    EXPECT_CONTAINS(r->out, "\"parts_waiting\": 1");
    EXPECT_CONTAINS(r->out, "\"scrubbed_bytes\": 7000");
    fake_close(f);
}

TEST(program_admin, status_lists_endpoints_that_are_not_there)
{
    struct fake *dead = fake_open(1, false);
    struct fake *f = fake_open(1, false);
    char endpoints[80];
    char gone[40];
    (void)snprintf(gone, sizeof gone, "%s", fake_endpoints(dead));
    (void)snprintf(endpoints, sizeof endpoints, "%s,%s", gone, fake_endpoints(f));
    fake_close(dead);
    fake_start(f);
    const struct ran *r = RUN(endpoints, "status", "--format", "json");
    EXPECT_INT(r->code, 0);
    expect_json(r);
    EXPECT_CONTAINS(r->out, "\"endpoints_unreachable\": [\n    {\"address\": \"");
    EXPECT_CONTAINS(r->out, gone);
    r = RUN(gone, "status", "--format", "json");
    EXPECT_INT(r->code, 3);
    expect_json(r);
    EXPECT_CONTAINS(r->err, "connection refused");
    r = RUN(gone, "status", "--check", "--local", "--format", "csv");
    EXPECT_INT(r->code, 3);
    EXPECT_CONTAINS(r->out, "\"\",unreachable,\"\",,,,,?,");
    fake_close(f);
}

TEST(program_admin, settings_are_shown_and_changed)
{
    struct fake *f = fake_open(1, false);
    fake_start(f);
    const char *at = fake_endpoints(f);
    EXPECT_STR(RUN(at, "settings", "list", "--format", "table")->out,
               "name                value  default  type  unit  range\n"
               "ts.scan.batch_size  4096   4096     int         1..65536\n");
    const struct ran *r = RUN(at, "settings", "set", "ts.scan.batch_size", "100");
    EXPECT_INT(r->code, 0);
    EXPECT_STR(r->out, "name,value,index,writes_blocked_ms,restart\n"
                       "ts.scan.batch_size,100,11,3,false\n");
    r = RUN(at, "settings", "get", "ts.scan.batch_size", "--format", "json");
    EXPECT_INT(r->code, 0);
    expect_json(r);
    EXPECT_CONTAINS(r->out, "\"value\": \"100\"");
    EXPECT_CONTAINS(r->out, "\"description\": \"Rows in one message.\"");
    EXPECT_CONTAINS(RUN(at, "settings", "reset", "ts.scan.batch_size")->out, ",4096,");
    r = RUN(at, "settings", "set", "ts.scan.batch_sise", "100");
    EXPECT_INT(r->code, 1);
    EXPECT_STR(r->err, "tidemark: no setting 'ts.scan.batch_sise'; did you mean "
                       "'ts.scan.batch_size'?\n");
    r = RUN(at, "settings", "set", "ts.scan.batch_size", "0");
    EXPECT_INT(r->code, 1);
    EXPECT_STR(r->err, "tidemark: OUT_OF_RANGE: allowed is 1..65536\n");
    fake_close(f);
}

TEST(program_admin, databases_and_tables_come_and_go)
{
    struct fake *f = fake_open(1, false);
    fake_start(f);
    const char *at = fake_endpoints(f);
    EXPECT_STR(RUN(at, "db", "create", "made")->out, "done,index\ncreated,7\n");
    EXPECT_INT(RUN(at, "db", "create", "made")->code, 1);
    EXPECT_INT(RUN(at, "db", "create", "made", "--if-not-exists")->code, 0);
    EXPECT_STR(RUN(at, "db", "list")->out, "database\nmade\n");
    EXPECT_INT(RUN(at, "table", "create", "made.t", "--column", "v:double", "--column",
                   "n:int64:not_null", "--tag", "host:string:primary", "--tag", "rack:string",
                   "--timestamp", "when", "--precision", "6")
                   ->code,
               0);
    EXPECT_INT(RUN(at, "table", "create", "made.t", "--tag", "h:string:primary")->code, 1);
    const struct ran *r = RUN(at, "table", "describe", "made.t", "--format", "table");
    EXPECT_STR(r->out, "name  kind         type       not_null\n"
                       "when  timestamp    timestamp  true\n"
                       "v     column       double     false\n"
                       "n     column       int64      true\n"
                       "host  primary tag  string     true\n"
                       "rack  tag          string     false\n");
    EXPECT_STR(r->err, "tidemark: version 1, times have 6 digits of a second\n");
    r = RUN(at, "table", "describe", "made.t", "--format", "json");
    expect_json(r);
    EXPECT_CONTAINS(r->out, "\"precision\": 6");
    EXPECT_STR(RUN(at, "table", "list")->out,
               "database,table,columns,tags,precision\nmade,t,3,2,6\n");
    EXPECT_INT(RUN(at, "table", "drop", "made.t")->code, 0);
    EXPECT_INT(RUN(at, "table", "drop", "made.t")->code, 1);
    EXPECT_INT(RUN(at, "db", "drop", "made", "--cascade")->code, 0);
    EXPECT_INT(RUN(at, "db", "drop", "made")->code, 1);
    r = RUN(at, "table", "create", "made.t", "--column", "v:money");
    EXPECT_INT(r->code, 2);
    EXPECT_CONTAINS(r->err, "--column: 'v:money': 'money' is no type here");
    fake_close(f);
}

/* The first attempt has made it and its answer was lost: that "it exists" is the
 * echo of this very command. */
TEST(program_admin, a_change_whose_answer_was_lost_is_done)
{
    struct fake *f = fake_open(1, false);
    fake_rule(
        f,
        (struct fake_rule){
            .method = "CreateDatabase", .server = 0, .from = 1, .count = 1, .action = FAKE_LOSE});
    fake_start(f);
    const struct ran *r = RUN(fake_endpoints(f), "db", "create", "made");
    EXPECT_INT(r->code, 0);
    EXPECT_STR(r->out, "done,index\ncreated,\n");
    fake_stop(f);
    EXPECT_UINT(fake_calls(f, "CreateDatabase"), 2);
    fake_close(f);
}

TEST(program_admin, nodes_are_listed_and_changed_at_the_leader)
{
    struct fake *f = fake_open(3, true);
    fake_start(f);
    const char *follower = fake_address(f, 2);
    EXPECT_CONTAINS(RUN(follower, "node", "list")->out,
                    "n2,000000000000abc1,voter,\"\",127.0.0.1:");
    EXPECT_STR(RUN(follower, "node", "add", "n4", "--id", "0xBEEF", "--peer", "h:7071")->out,
               "node,index\nn4,7\n");
    EXPECT_INT(RUN(follower, "node", "promote", "n4")->code, 0);
    EXPECT_INT(RUN(follower, "node", "replace", "n4")->code, 0);
    EXPECT_INT(RUN(follower, "node", "remove", "n4", "--id", "beef")->code, 0);
    EXPECT_STR(RUN(follower, "node", "transfer")->out, "leader,term\nn2,4\n");
    EXPECT_STR(RUN(follower, "checkpoint")->out, "index,duration_ms,bytes\n20,5,1000\n");
    EXPECT_INT(RUN(follower, "node", "add", "n4")->code, 2);
    EXPECT_INT(RUN(follower, "node", "add", "n4", "--id", "xyz", "--peer", "h:1")->code, 2);
    EXPECT_INT(RUN(follower, "node", "remove", "n4", "--id", "xyz")->code, 2);
    fake_close(f);
}

TEST(program_admin, hash_compares_all_nodes)
{
    struct fake *f = fake_open(3, false);
    fake_start(f);
    const struct ran *r = RUN(fake_address(f, 0), "hash", "--format", "json");
    EXPECT_INT(r->code, 0);
    expect_json(r);
    EXPECT_CONTAINS(r->out, "\"equal\": true");
    EXPECT_CONTAINS(r->out, "{\"name\": \"n3\", \"index\": 20, \"hash\": \"0123456789abcdef\"}");
    fake_stop(f);
    fake_node_hash(f, 1, "fedcba9876543210");
    fake_start(f);
    r = RUN(fake_endpoints(f), "hash");
    EXPECT_INT(r->code, 1);
    EXPECT_CONTAINS(r->out, "n2,20,fedcba9876543210\n");
    EXPECT_CONTAINS(r->err, "the nodes' states differ at index 20");
    fake_close(f);
}

TEST(program_admin, hash_says_when_a_node_could_not_be_asked)
{
    struct fake *f = fake_open(2, false);
    fake_rule(f, (struct fake_rule){.method = "StateHash",
                                    .server = 1,
                                    .from = 1,
                                    .count = 9,
                                    .action = FAKE_FAIL,
                                    .status = GRPC_UNAVAILABLE,
                                    .message = "starting"});
    fake_start(f);
    const struct ran *r = RUN(fake_endpoints(f), "hash");
    EXPECT_INT(r->code, 3);
    EXPECT_STR(r->out, "name,index,hash\nn1,20,0123456789abcdef\nn2,,\n");
    EXPECT_CONTAINS(r->err, "1 of 2 nodes could be asked");
    fake_close(f);
}

TEST(program_admin, bench_measures_and_cleans_up)
{
    struct fake *f = fake_open(2, true);
    fake_start(f);
    const struct ran *r = RUN(fake_endpoints(f), "bench", "--duration", "50ms", "--rows", "5",
                              "--series", "2", "--columns", "1", "--connections", "2",
                              "--in-flight", "2", "--rate", "2000", "--format", "json");
    EXPECT_INT(r->code, 0);
    expect_json(r);
    EXPECT_CONTAINS(r->out, "\"errors\": 0");
    EXPECT(strstr(r->out, "\"requests\": 0,") == NULL);
    EXPECT_INT(RUN(fake_endpoints(f), "bench", "--duration", "20ms", "--rows", "5", "--keep",
                   "--table", "a.b")
                   ->code,
               0);
    r = RUN(fake_endpoints(f), "bench", "--table", "a.b");
    EXPECT_INT(r->code, 1);
    EXPECT_CONTAINS(r->err, "write into it with --keep");
    EXPECT_INT(RUN(fake_endpoints(f), "bench", "--rows", "10000", "--columns", "100")->code, 1);
    fake_stop(f);
    EXPECT(fake_definition(f, "load") == NULL);
    EXPECT(fake_definition(f, "b") != NULL);
    EXPECT(fake_row_count(f) > 0);
    fake_close(f);
}
