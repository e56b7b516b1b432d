/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "cli/import_sender.h"
#include "cli/test/fake_server.h"
#include "testkit/test.h"

static struct import_column column = {
    .name = (char *)(uintptr_t)"value", .type = TIDEMARK__V1__TYPE__INT64, .field = 1};
static struct import_column tag = {.name = (char *)(uintptr_t)"host",
                                   .type = TIDEMARK__V1__TYPE__STRING,
                                   .primary = true,
                                   .field = 2};
static const struct import_plan plan = {
    .database = (char *)(uintptr_t)"db",
    .table = (char *)(uintptr_t)"t",
    .precision = 3,
    .time_name = (char *)(uintptr_t)"ts",
    .time_format = {.kind = TIME_EPOCH_MS},
    .field_count = 3,
    .columns = &column,
    .column_count = 1,
    .tags = &tag,
    .tag_count = 1,
};

struct fixture {
    struct fake *fake;
    struct cluster *cluster;
    struct import_sender *sender;
    struct err err;
    uint64_t line;
};

static void begin(struct fixture *f, unsigned servers, bool follow)
{
    *f = (struct fixture){.fake = fake_open(servers, follow)};
}

static void start(struct fixture *f, uint64_t patience_ms)
{
    fake_start(f->fake);
    struct cluster_options options = {fake_endpoints(f->fake), 5000};
    REQUIRE_OK(cluster_open(&options, &f->cluster, NULL));
    struct import_sender_options sender = {.cluster = f->cluster,
                                           .plan = &plan,
                                           .in_flight = 4,
                                           .batch_rows = 10,
                                           .patience_ms = patience_ms};
    REQUIRE_OK(import_sender_open(&sender, &f->sender, &f->err));
}

static void end(struct fixture *f)
{
    import_sender_close(f->sender);
    cluster_close(f->cluster);
    fake_close(f->fake);
}

/* One row of host "a". */
static void add_row(struct import_batch *b, uint64_t line, int64_t time, int64_t value)
{
    char text[3][24];
    (void)snprintf(text[0], sizeof text[0], "%lld", (long long)time);
    (void)snprintf(text[1], sizeof text[1], "%lld", (long long)value);
    struct csv_field fields[] = {
        {bytes_str(text[0]), false}, {bytes_str(text[1]), false}, {bytes_str("a"), false}};
    struct csv_record record = {line, fields, 3};
    struct err e = {0};
    REQUIRE_OK(import_batch_add(b, &record, &e));
}

/* 'batches' of two rows: one of its own time, one of time 0, which the last must win. */
static enum err_code send(struct fixture *f, int64_t batches)
{
    int64_t next = 1;
    while (next <= batches || !import_sender_is_empty(f->sender)) {
        if (next <= batches && import_sender_has_room(f->sender)) {
            struct import_batch *b = import_sender_take(f->sender);
            f->line += 2;
            add_row(b, f->line, next, next);
            if (next % 3 == 0) {
                add_row(b, f->line + 1, 0, next);
            }
            import_sender_add(f->sender, b);
            next++;
            continue;
        }
        enum err_code code = import_sender_run(f->sender, 20, &f->err);
        if (code != ERR_OK) {
            return code;
        }
    }
    return ERR_OK;
}

static void expect_all_stored(struct fixture *f, int64_t batches)
{
    char want[24];
    struct import_counts counts = import_sender_counts(f->sender);
    fake_stop(f->fake);
    for (int64_t i = 1; i <= batches; i++) {
        (void)snprintf(want, sizeof want, "%lld", (long long)i);
        const char *is = fake_find_row(f->fake, "a", i);
        EXPECT_STR(is == NULL ? "missing" : is, want);
    }
    (void)snprintf(want, sizeof want, "%lld", (long long)batches / 3 * 3);
    const char *is = fake_find_row(f->fake, "a", 0);
    EXPECT_STR(is == NULL ? "missing" : is, want);
    EXPECT_UINT(fake_applied(f->fake), (uint64_t)batches);
    EXPECT_UINT(counts.rows_sent, (uint64_t)(batches + batches / 3));
    EXPECT_UINT(counts.rows_acknowledged, counts.rows_sent);
    EXPECT(counts.distinct_known);
    EXPECT_UINT(counts.rows_distinct, (uint64_t)batches + 1);
}

TEST(import_sender, stores_every_row_once)
{
    struct fixture f;
    begin(&f, 1, false);
    start(&f, 5000);
    EXPECT_OK(send(&f, 30));
    EXPECT_UINT(import_sender_counts(f.sender).retries, 0);
    EXPECT_UINT(import_sender_counts(f.sender).sessions, 1);
    expect_all_stored(&f, 30);
    end(&f);
}

TEST(import_sender, survives_lost_answers_and_dead_servers)
{
    struct fixture f;
    begin(&f, 3, false);
    fake_rule(
        f.fake,
        (struct fake_rule){
            .method = "Write", .server = FAKE_ANY, .from = 4, .count = 2, .action = FAKE_LOSE});
    fake_rule(f.fake,
              (struct fake_rule){
                  .method = "Write", .server = 0, .from = 12, .count = 1, .action = FAKE_KILL});
    fake_rule(f.fake, (struct fake_rule){.method = "Write",
                                         .server = 1,
                                         .from = 5,
                                         .count = 3,
                                         .action = FAKE_FAIL,
                                         .status = GRPC_ABORTED,
                                         .message = "leadership changed"});
    start(&f, 10000);
    EXPECT_OK(send(&f, 60));
    EXPECT(import_sender_counts(f.sender).retries > 0);
    expect_all_stored(&f, 60);
    EXPECT(fake_repeated(f.fake) > 0);
    end(&f);
}

TEST(import_sender, asks_elsewhere_when_an_answer_does_not_come)
{
    struct fixture f;
    begin(&f, 2, false);
    fake_rule(f.fake,
              (struct fake_rule){
                  .method = "Write", .server = 0, .from = 3, .count = 1, .action = FAKE_SILENT});
    start(&f, 10000);
    EXPECT_OK(send(&f, 10));
    EXPECT(import_sender_counts(f.sender).gap_ms_max >= 250);
    expect_all_stored(&f, 10);
    end(&f);
}

TEST(import_sender, follows_the_leader)
{
    struct fixture f;
    begin(&f, 3, true);
    fake_rule(f.fake,
              (struct fake_rule){
                  .method = "Write", .server = 0, .from = 5, .count = 1, .action = FAKE_KILL});
    start(&f, 10000);
    EXPECT_OK(send(&f, 30));
    expect_all_stored(&f, 30);
    end(&f);
}

TEST(import_sender, a_forgotten_session_is_replaced_when_that_is_safe)
{
    struct fixture f;
    begin(&f, 1, false);
    fake_rule(f.fake,
              (struct fake_rule){
                  .method = "Write", .server = 0, .from = 6, .count = 1, .action = FAKE_FORGET});
    start(&f, 5000);
    EXPECT_OK(send(&f, 20));
    EXPECT_UINT(import_sender_counts(f.sender).sessions, 2);
    expect_all_stored(&f, 20);
    end(&f);
}

TEST(import_sender, a_forgotten_session_is_the_end_when_an_outcome_is_not_known)
{
    struct fixture f;
    begin(&f, 1, false);
    fake_rule(f.fake, (struct fake_rule){.method = "Write",
                                         .server = 0,
                                         .from = 6,
                                         .count = 1,
                                         .action = FAKE_FAIL,
                                         .status = GRPC_UNAVAILABLE,
                                         .message = "leadership changed"});
    fake_rule(f.fake, (struct fake_rule){.method = "Write",
                                         .server = 0,
                                         .from = 7,
                                         .count = 9,
                                         .action = FAKE_FAIL,
                                         .status = GRPC_ABORTED,
                                         .message = "unknown session",
                                         .session_unknown = true});
    start(&f, 5000);
    EXPECT_ERR(send(&f, 20), ERR_UNKNOWN_OUTCOME);
    EXPECT_CONTAINS(f.err.text, "lines ");
    EXPECT_CONTAINS(f.err.text, "can't be known");
    end(&f);
}

TEST(import_sender, a_refusal_names_the_lines)
{
    struct fixture f;
    begin(&f, 1, false);
    fake_rule(f.fake, (struct fake_rule){.method = "Write",
                                         .server = 0,
                                         .from = 1,
                                         .count = 9,
                                         .action = FAKE_FAIL,
                                         .status = GRPC_NOT_FOUND,
                                         .message = "no table t"});
    start(&f, 5000);
    EXPECT_ERR(send(&f, 3), ERR_NOT_FOUND);
    EXPECT_STR(f.err.text, "lines 2 to 2: NOT_FOUND: no table t");
    end(&f);
}

TEST(import_sender, gives_up_without_progress)
{
    struct fixture f;
    begin(&f, 2, false);
    fake_rule(f.fake, (struct fake_rule){.method = "Write",
                                         .server = FAKE_ANY,
                                         .from = 1,
                                         .count = 100000,
                                         .action = FAKE_FAIL,
                                         .status = GRPC_UNAVAILABLE,
                                         .message = "no leader"});
    start(&f, 200);
    EXPECT_ERR(send(&f, 3), ERR_DEADLINE);
    EXPECT_CONTAINS(f.err.text, "lines 2 to 2: not acknowledged for ");
    EXPECT_CONTAINS(f.err.text, "UNAVAILABLE: no leader");
    end(&f);
}

TEST(import_sender, without_a_server_there_is_no_session)
{
    struct fake *fake = fake_open(1, false);
    struct cluster *cluster = NULL;
    struct import_sender *sender = NULL;
    struct err e = {0};
    struct cluster_options options = {fake_endpoints(fake), 1000};
    REQUIRE_OK(cluster_open(&options, &cluster, NULL));
    fake_close(fake);
    struct import_sender_options o = {
        .cluster = cluster, .plan = &plan, .in_flight = 1, .batch_rows = 1, .patience_ms = 100};
    EXPECT_ERR(import_sender_open(&o, &sender, &e), ERR_UNAVAILABLE);
    EXPECT_CONTAINS(e.text, "open a session: no server can be reached");
    import_sender_close(NULL);
    cluster_close(cluster);
}
