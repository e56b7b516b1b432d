/* SPDX-License-Identifier: Apache-2.0 */
/* Every method of Data and Admin, once right and once wrong, over real sockets. */
#include "node/service.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "node/test/live_node.h"
#include "proto/grpc/health/v1/health.pb-c.h"
#include "proto/tidemark/v1/admin.pb-c.h"
#include "proto/tidemark/v1/data.pb-c.h"
#include "proto/wire.h"
#include "testkit/test.h"

enum { ROWS_MAX = 64, NEVER_INDEX = 1000000000, SHORT_MS = 150 };

struct fixture {
    struct live_node node;
    struct live_client client;
};

static void fixture_start(struct fixture *f)
{
    REQUIRE(live_node_start(&f->node));
    live_client_open(&f->client, f->node.client_port);
    live_client_wait_ready(&f->client);
}

static void fixture_open(struct fixture *f)
{
    live_node_open(&f->node);
    fixture_start(f);
}

static void fixture_close(struct fixture *f)
{
    live_client_close(&f->client);
    live_node_stop(&f->node);
    EXPECT_OK(f->node.code);
    EXPECT_INT(f->node.exit_code, 0);
    live_node_close(&f->node);
}

/* A request made by hand; empties it. */
static enum grpc_status call(struct fixture *f, const char *method, struct buf *request)
{
    enum grpc_status status = live_call_bytes(&f->client, method, buf_bytes(request));
    buf_deinit(request);
    return status;
}

/* A request of one text field (its number 1) and a flag (2). */
static enum grpc_status call_name(struct fixture *f, const char *method, const char *name,
                                  bool flag)
{
    struct buf request = {0};
    wire_put_str(&request, 1, name);
    wire_put_uint(&request, 2, flag ? 1 : 0);
    return call(f, method, &request);
}

static enum grpc_status call_empty(struct fixture *f, const char *method)
{
    return live_call_bytes(&f->client, method, (struct bytes){0});
}

static enum grpc_status call_malformed(struct fixture *f, const char *method)
{
    static const uint8_t cut[] = {0x0a, 0x7f, 'x'}; /* field 1 says 127 bytes, one is there */
    return live_call_bytes(&f->client, method, bytes_of(cut, sizeof cut));
}

#define EXPECT_TEXT(f, part) EXPECT_CONTAINS((f)->client.outcome.message, part)

/* Field 1 of the last reply, a number. */
static uint64_t reply_uint(struct fixture *f)
{
    uint64_t value = 0;
    struct cursor c = cursor_of(buf_bytes(&f->client.reply));
    struct wire_field field;
    while (wire_next(&c, &field)) {
        value = field.number == 1 ? wire_uint(&c, &field) : value;
    }
    EXPECT(!c.bad);
    return value;
}

/* --- a table t.kv: ts, v; tag key --- */

static void put_column(struct buf *b, const char *name, unsigned type)
{
    size_t mark = wire_begin(b, 3);
    wire_put_str(b, 1, name);
    wire_put_uint(b, 2, type);
    wire_put_uint(b, 3, type == TIDEMARK__V1__TYPE__TIMESTAMP ? 1 : 0);
    wire_end(b, mark);
}

static enum grpc_status create_table(struct fixture *f, const char *database, const char *table)
{
    struct buf b = {0};
    size_t definition = wire_begin(&b, 1);
    wire_put_str(&b, 1, database);
    wire_put_str(&b, 2, table);
    put_column(&b, "ts", TIDEMARK__V1__TYPE__TIMESTAMP);
    put_column(&b, "v", TIDEMARK__V1__TYPE__INT64);
    size_t tag = wire_begin(&b, 4);
    wire_put_str(&b, 1, "key");
    wire_put_uint(&b, 2, TIDEMARK__V1__TYPE__STRING);
    wire_put_uint(&b, 3, 1);
    wire_put_uint(&b, 4, 1);
    wire_end(&b, tag);
    wire_end(&b, definition);
    return call(f, "Admin/CreateTable", &b);
}

static void make_table(struct fixture *f)
{
    EXPECT_INT(call_name(f, "Admin/CreateDatabase", "t", false), GRPC_OK);
    EXPECT_INT(create_table(f, "t", "kv"), GRPC_OK);
}

struct row {
    const char *table;
    const char *key;
    int64_t time, value;
    uint64_t session, sequence; /* 0: none */
};

static void put_value(struct buf *b, const char *name, int64_t value)
{
    uint8_t bytes[8];
    bytes_put_u64(bytes, (uint64_t)value);
    size_t mark = wire_begin(b, 7);
    wire_put_str(b, 1, name);
    wire_put_bytes(b, 2, bytes_of(bytes, sizeof bytes));
    wire_end(b, mark);
}

static enum grpc_status write_row(struct fixture *f, struct row row)
{
    struct buf b = {0};
    size_t id = wire_begin(&b, 1);
    wire_put_uint(&b, 1, row.session);
    wire_put_uint(&b, 2, row.sequence);
    wire_put_uint(&b, 3, row.sequence > 0 ? 1 : 0);
    wire_end(&b, id);
    wire_put_str(&b, 2, "t");
    wire_put_str(&b, 3, row.table == NULL ? "kv" : row.table);
    wire_put_item(&b, 4, bytes_str("key"));
    size_t series = wire_begin(&b, 5);
    wire_put_item(&b, 1, bytes_str(row.key == NULL ? "a" : row.key));
    wire_end(&b, series);
    put_value(&b, "ts", row.time);
    put_value(&b, "v", row.value);
    return call(f, "Data/Write", &b);
}

/* --- scans --- */

struct rows {
    size_t count;
    int64_t times[ROWS_MAX], values[ROWS_MAX];
    size_t messages;
    bool done;
    uint64_t total;
    uint64_t index;
};

static bool take_rows(void *context, struct bytes message)
{
    struct rows *rows = context;
    Tidemark__V1__ScanResponse *r =
        tidemark__v1__scan_response__unpack(NULL, message.size, message.data);
    REQUIRE(r != NULL);
    for (size_t i = 0; i < r->rows; i++) {
        REQUIRE(rows->count < ROWS_MAX && r->n_columns >= 1);
        rows->times[rows->count] = r->columns[0]->int64_values[i];
        rows->values[rows->count++] = r->n_columns < 2 ? 0 : r->columns[1]->int64_values[i];
    }
    rows->index = rows->messages++ == 0 ? r->index : rows->index;
    EXPECT(!rows->done); /* nothing after the last message */
    rows->done = r->done != 0;
    rows->total = r->rows_total;
    tidemark__v1__scan_response__free_unpacked(r, NULL);
    return true;
}

static enum grpc_status scan(struct fixture *f, Tidemark__V1__ScanRequest *request,
                             struct rows *rows)
{
    *rows = (struct rows){0};
    struct grpc_reader reader = {.message = take_rows, .context = rows};
    return live_stream(&f->client, "Data/Scan", &request->base, &reader);
}

static Tidemark__V1__ScanRequest scan_of(char *table)
{
    static char database[] = "t";
    Tidemark__V1__ScanRequest request;
    tidemark__v1__scan_request__init(&request);
    request.database = database;
    request.table = table;
    return request;
}

static char kv[] = "kv";

static void expect_durability(struct fixture *f, Tidemark__V1__Durability durability)
{
    EXPECT_INT(write_row(f, (struct row){.time = 1, .value = 10}), GRPC_OK);
    Tidemark__V1__WriteResponse *r =
        live_reply(&f->client, &tidemark__v1__write_response__descriptor);
    REQUIRE(r != NULL);
    EXPECT(r->index > 0 && r->rows == 1);
    EXPECT_INT(r->durability, durability);
    tidemark__v1__write_response__free_unpacked(r, NULL);
}

TEST(service, writes_a_row_and_says_where_and_how_durable)
{
    struct fixture f;
    fixture_open(&f);
    make_table(&f);
    expect_durability(&f, TIDEMARK__V1__DURABILITY__FILE_SYSTEM);
    fixture_close(&f);
}

TEST(service, refuses_writes_that_it_can_not_understand)
{
    struct fixture f;
    fixture_open(&f);
    make_table(&f);
    EXPECT_INT(write_row(&f, (struct row){.table = "no_such", .time = 1}), GRPC_NOT_FOUND);
    EXPECT_TEXT(&f, "no_such");
    EXPECT_INT(call_malformed(&f, "Data/Write"), GRPC_INVALID_ARGUMENT);
    EXPECT_INT(call_empty(&f, "Data/Write"), GRPC_INVALID_ARGUMENT);
    EXPECT_INT(call_empty(&f, "Data/NoSuchMethod"), GRPC_UNIMPLEMENTED);
    EXPECT_INT(write_row(&f, (struct row){.time = 1}), GRPC_OK); /* and it goes on */
    fixture_close(&f);
}

TEST(service, refuses_messages_over_its_limit_and_over_one_change)
{
    struct fixture f;
    fixture_open(&f);
    make_table(&f);
    struct buf large = {0};
    (void)buf_extend(&large, LIMIT_MESSAGE_SIZE_MAX + 1);
    memset(large.data, 0, large.size);
    EXPECT_INT(live_call_bytes(&f.client, "Data/Write", buf_bytes(&large)),
               GRPC_RESOURCE_EXHAUSTED);
    buf_deinit(&large);
    wire_put_str(&large, 2, "t");
    wire_put_str(&large, 3, "kv");
    struct buf tag = {0};
    (void)buf_extend(&tag, LIMIT_ENTRY_SIZE_MAX);
    memset(tag.data, 'x', tag.size);
    size_t series = wire_begin(&large, 5);
    wire_put_item(&large, 1, buf_bytes(&tag));
    wire_end(&large, series);
    buf_deinit(&tag);
    EXPECT(call(&f, "Data/Write", &large) != GRPC_OK);
    EXPECT_INT(write_row(&f, (struct row){.time = 1}), GRPC_OK);
    fixture_close(&f);
}

TEST(service, scans_by_time_tag_and_limit)
{
    struct fixture f;
    fixture_open(&f);
    make_table(&f);
    for (int64_t i = 1; i <= 10; i++) {
        EXPECT_INT(write_row(&f, (struct row){.time = i, .value = i * 10}), GRPC_OK);
        EXPECT_INT(write_row(&f, (struct row){.key = "b", .time = i, .value = -i}), GRPC_OK);
    }
    struct rows rows;
    Tidemark__V1__ScanRequest all = scan_of(kv);
    EXPECT_INT(scan(&f, &all, &rows), GRPC_OK);
    EXPECT_UINT(rows.count, 20);
    EXPECT(rows.done);
    EXPECT_UINT(rows.total, 20);
    EXPECT(rows.index > 0);

    Tidemark__V1__ScanRequest some = scan_of(kv);
    ProtobufCBinaryData b = {1, (uint8_t[]){'b'}};
    Tidemark__V1__TagFilter filter;
    tidemark__v1__tag_filter__init(&filter);
    Tidemark__V1__TagFilter *filters[] = {&filter};
    char key[] = "key";
    filter.tag = key;
    filter.n_any_of = 1;
    filter.any_of = &b;
    some.n_tags = 1;
    some.tags = filters;
    some.has_from = 1;
    some.from = 3;
    some.has_until = 1;
    some.until = 8;
    EXPECT_INT(scan(&f, &some, &rows), GRPC_OK);
    REQUIRE_UINT(rows.count, 5);
    for (size_t i = 0; i < rows.count; i++) {
        EXPECT_INT(rows.times[i], (int64_t)i + 3);
        EXPECT_INT(rows.values[i], -(int64_t)i - 3);
    }
    some.limit = 2;
    some.stale = 1;
    EXPECT_INT(scan(&f, &some, &rows), GRPC_OK);
    EXPECT_UINT(rows.count, 2);
    some.limit = 0;
    some.count_only = 1;
    EXPECT_INT(scan(&f, &some, &rows), GRPC_OK);
    EXPECT_UINT(rows.count, 0);
    EXPECT_UINT(rows.total, 5);
    fixture_close(&f);
}

TEST(service, refuses_scans_of_what_is_not_there)
{
    struct fixture f;
    fixture_open(&f);
    make_table(&f);
    char no_table[] = "no_such";
    struct rows rows;
    Tidemark__V1__ScanRequest request = scan_of(no_table);
    EXPECT_INT(scan(&f, &request, &rows), GRPC_NOT_FOUND);
    EXPECT_TEXT(&f, "no_such");
    char *no_column[] = {no_table};
    request = scan_of(kv);
    request.n_columns = 1;
    request.columns = no_column;
    EXPECT_INT(scan(&f, &request, &rows), GRPC_NOT_FOUND);
    Tidemark__V1__TagFilter filter;
    tidemark__v1__tag_filter__init(&filter);
    Tidemark__V1__TagFilter *filters[] = {&filter};
    filter.tag = no_table;
    request = scan_of(kv);
    request.n_tags = 1;
    request.tags = filters;
    EXPECT_INT(scan(&f, &request, &rows), GRPC_NOT_FOUND);
    EXPECT_INT(call_malformed(&f, "Data/Scan"), GRPC_INVALID_ARGUMENT);
    fixture_close(&f);
}

/* A retry is answered with the first outcome, and takes effect no second time. */
TEST(service, answers_a_repeated_request_as_the_first_time)
{
    struct fixture f;
    fixture_open(&f);
    make_table(&f);
    EXPECT_INT(call_empty(&f, "Data/OpenSession"), GRPC_OK);
    uint64_t session = reply_uint(&f);
    EXPECT(session != 0);
    struct row first = {.time = 1, .value = 1, .session = session, .sequence = 1};
    struct row second = {.time = 1, .value = 2, .session = session, .sequence = 2};
    EXPECT_INT(write_row(&f, first), GRPC_OK);
    uint64_t index = reply_uint(&f);
    EXPECT_INT(write_row(&f, second), GRPC_OK);
    EXPECT(reply_uint(&f) > index);
    EXPECT_INT(write_row(&f, first), GRPC_OK);
    EXPECT_UINT(reply_uint(&f), index);
    struct rows rows;
    Tidemark__V1__ScanRequest all = scan_of(kv);
    EXPECT_INT(scan(&f, &all, &rows), GRPC_OK);
    REQUIRE_UINT(rows.count, 1);
    EXPECT_INT(rows.values[0], 2);
    first.session = session + 1;
    EXPECT_INT(write_row(&f, first), GRPC_ABORTED); /* its outcome can't be known */
    EXPECT_INT(call_malformed(&f, "Data/OpenSession"), GRPC_INVALID_ARGUMENT);
    fixture_close(&f);
}

/* --- settings --- */

static enum grpc_status set(struct fixture *f, const char *name, const char *value)
{
    struct buf b = {0};
    wire_put_str(&b, 1, name);
    wire_put_str(&b, 2, value);
    return call(f, "Admin/SetSetting", &b);
}

static void expect_setting(struct fixture *f, const char *name, const char *value)
{
    EXPECT_INT(call_name(f, "Admin/GetSetting", name, false), GRPC_OK);
    Tidemark__V1__Setting *s = live_reply(&f->client, &tidemark__v1__setting__descriptor);
    REQUIRE(s != NULL);
    EXPECT_STR(s->value, value);
    tidemark__v1__setting__free_unpacked(s, NULL);
}

static size_t count_settings(struct fixture *f, const char *pattern, bool changed_only)
{
    EXPECT_INT(call_name(f, "Admin/ListSettings", pattern, changed_only), GRPC_OK);
    Tidemark__V1__ListSettingsResponse *r =
        live_reply(&f->client, &tidemark__v1__list_settings_response__descriptor);
    REQUIRE(r != NULL);
    size_t count = r->n_settings;
    tidemark__v1__list_settings_response__free_unpacked(r, NULL);
    return count;
}

TEST(service, lists_sets_and_resets_settings)
{
    struct fixture f;
    fixture_open(&f);
    EXPECT(count_settings(&f, "", false) > count_settings(&f, "ts.wal.", false));
    EXPECT(count_settings(&f, "ts.wal.", false) > 0);
    EXPECT_UINT(count_settings(&f, "no.such.", false), 0);
    size_t changed = count_settings(&f, "", true);
    EXPECT_INT(set(&f, "ts.wal.checkpoint_interval", "120s"), GRPC_OK);
    Tidemark__V1__SetSettingResponse *r =
        live_reply(&f.client, &tidemark__v1__set_setting_response__descriptor);
    REQUIRE(r != NULL && r->setting != NULL);
    EXPECT_STR(r->setting->value, "2m");
    EXPECT_STR(r->setting->default_value, "1m");
    EXPECT_UINT(r->setting->changed_index, r->index);
    tidemark__v1__set_setting_response__free_unpacked(r, NULL);
    expect_setting(&f, "ts.wal.checkpoint_interval", "2m");
    EXPECT_UINT(count_settings(&f, "", true), changed + 1);
    EXPECT_INT(call_name(&f, "Admin/ResetSetting", "ts.wal.checkpoint_interval", false), GRPC_OK);
    expect_setting(&f, "ts.wal.checkpoint_interval", "1m");
    fixture_close(&f);
}

TEST(service, refuses_settings_that_are_unknown_out_of_range_or_of_another_type)
{
    struct fixture f;
    fixture_open(&f);
    EXPECT_INT(set(&f, "ts.wal.no_such", "1"), GRPC_NOT_FOUND);
    EXPECT_TEXT(&f, "ts.wal.no_such");
    EXPECT_INT(call_name(&f, "Admin/GetSetting", "ts.wal.no_such", false), GRPC_NOT_FOUND);
    EXPECT_INT(call_name(&f, "Admin/ResetSetting", "ts.wal.no_such", false), GRPC_NOT_FOUND);
    EXPECT_INT(set(&f, "ts.scan.batch_size", "0"), GRPC_OUT_OF_RANGE);
    EXPECT_TEXT(&f, "1..65536");
    EXPECT_INT(set(&f, "ts.scan.batch_size", "many"), GRPC_INVALID_ARGUMENT);
    EXPECT_INT(set(&f, "ts.wal.checkpoint_interval", "1 fortnight"), GRPC_INVALID_ARGUMENT);
    EXPECT_INT(call_malformed(&f, "Admin/SetSetting"), GRPC_INVALID_ARGUMENT);
    EXPECT_INT(call_malformed(&f, "Admin/GetSetting"), GRPC_INVALID_ARGUMENT);
    EXPECT_INT(call_malformed(&f, "Admin/ListSettings"), GRPC_INVALID_ARGUMENT);
    expect_setting(&f, "ts.scan.batch_size", "4096");
    fixture_close(&f);
}

TEST(service, changes_the_level_and_says_what_it_means)
{
    struct fixture f;
    fixture_open(&f);
    make_table(&f);
    EXPECT_INT(set(&f, "ts.wal.wal_level", "3"), GRPC_OK);
    Tidemark__V1__SetSettingResponse *s =
        live_reply(&f.client, &tidemark__v1__set_setting_response__descriptor);
    REQUIRE(s != NULL && s->setting != NULL);
    EXPECT_CONTAINS(s->note, "Raft commits from here on");
    tidemark__v1__set_setting_response__free_unpacked(s, NULL);
    expect_durability(&f, TIDEMARK__V1__DURABILITY__MAJORITY);
    EXPECT_INT(set(&f, "ts.wal.wal_level", "1"), GRPC_OK);
    expect_durability(&f, TIDEMARK__V1__DURABILITY__DISK);
    fixture_close(&f);
}

struct watch {
    struct fixture *fixture;
    size_t seen;
    bool set, changed;
};

static bool watch_settings(void *context, struct bytes message)
{
    struct watch *w = context;
    Tidemark__V1__Setting *s = tidemark__v1__setting__unpack(NULL, message.size, message.data);
    REQUIRE(s != NULL);
    w->seen++;
    w->changed = strcmp(s->name, "ts.scan.batch_size") == 0 && strcmp(s->value, "77") == 0;
    bool last = strcmp(s->name, "ts.wal.wal_level") == 0;
    tidemark__v1__setting__free_unpacked(s, NULL);
    if (last && !w->set) { /* all were sent: now change one */
        w->set = true;
        struct live_client other;
        struct fixture f = {.node = w->fixture->node};
        live_client_open(&other, f.node.client_port);
        f.client = other;
        EXPECT_INT(set(&f, "ts.scan.batch_size", "77"), GRPC_OK);
        live_client_close(&f.client);
    }
    return !w->changed;
}

TEST(service, tells_watchers_all_settings_and_then_each_change)
{
    struct fixture f;
    fixture_open(&f);
    size_t count = count_settings(&f, "", false);
    Tidemark__V1__WatchSettingsRequest request;
    tidemark__v1__watch_settings_request__init(&request);
    struct watch w = {.fixture = &f};
    struct grpc_reader reader = {.message = watch_settings, .context = &w};
    EXPECT_INT(live_stream(&f.client, "Admin/WatchSettings", &request.base, &reader),
               GRPC_CANCELLED);
    EXPECT(w.changed);
    EXPECT_UINT(w.seen, count + 1);
    fixture_close(&f);
}

/* --- catalog --- */

TEST(service, creates_lists_and_drops_databases_and_tables)
{
    struct fixture f;
    fixture_open(&f);
    make_table(&f);
    EXPECT_INT(call_empty(&f, "Admin/ListDatabases"), GRPC_OK);
    Tidemark__V1__ListDatabasesResponse *d =
        live_reply(&f.client, &tidemark__v1__list_databases_response__descriptor);
    REQUIRE(d != NULL && d->n_databases == 1);
    EXPECT_STR(d->databases[0], "t");
    tidemark__v1__list_databases_response__free_unpacked(d, NULL);
    EXPECT_INT(call_name(&f, "Admin/ListTables", "t", false), GRPC_OK);
    Tidemark__V1__ListTablesResponse *t =
        live_reply(&f.client, &tidemark__v1__list_tables_response__descriptor);
    REQUIRE(t != NULL && t->n_tables == 1);
    EXPECT_STR(t->tables[0]->table, "kv");
    EXPECT_UINT(t->tables[0]->n_columns, 2);
    tidemark__v1__list_tables_response__free_unpacked(t, NULL);

    EXPECT_INT(call_name(&f, "Admin/CreateDatabase", "t", true), GRPC_OK); /* if not exists */
    EXPECT_INT(call_name(&f, "Admin/DropDatabase", "t", false), GRPC_FAILED_PRECONDITION);
    struct buf b = {0};
    wire_put_str(&b, 1, "t");
    wire_put_str(&b, 2, "kv");
    EXPECT_INT(call(&f, "Admin/DropTable", &b), GRPC_OK);
    EXPECT_INT(call_name(&f, "Admin/DropDatabase", "t", false), GRPC_OK);
    make_table(&f);
    EXPECT_INT(call_name(&f, "Admin/DropDatabase", "t", true), GRPC_OK); /* cascade */
    EXPECT_INT(call_empty(&f, "Admin/ListDatabases"), GRPC_OK);
    EXPECT_UINT(f.client.reply.size, 0);
    fixture_close(&f);
}

TEST(service, refuses_wrong_changes_of_the_catalog)
{
    struct fixture f;
    fixture_open(&f);
    make_table(&f);
    EXPECT_INT(call_name(&f, "Admin/CreateDatabase", "t", false), GRPC_ALREADY_EXISTS);
    EXPECT_INT(call_name(&f, "Admin/CreateDatabase", "Not A Name", false), GRPC_INVALID_ARGUMENT);
    EXPECT_INT(call_name(&f, "Admin/DropDatabase", "no_such", false), GRPC_NOT_FOUND);
    EXPECT_INT(create_table(&f, "t", "kv"), GRPC_ALREADY_EXISTS);
    EXPECT_INT(create_table(&f, "no_such", "kv"), GRPC_NOT_FOUND);
    EXPECT_INT(call_name(&f, "Admin/DropTable", "t", false), GRPC_NOT_FOUND);
    EXPECT_INT(call_name(&f, "Admin/ListTables", "no_such", false), GRPC_NOT_FOUND);
    static const char *const methods[] = {"Admin/CreateDatabase", "Admin/DropDatabase",
                                          "Admin/CreateTable", "Admin/DropTable",
                                          "Admin/ListTables"};
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        EXPECT_INT(call_malformed(&f, methods[i]), GRPC_INVALID_ARGUMENT);
    }
    fixture_close(&f);
}

/* --- checkpoints, status, members --- */

static void state_hash(struct fixture *f, char dst[64])
{
    EXPECT_INT(call_empty(f, "Admin/StateHash"), GRPC_OK);
    Tidemark__V1__StateHashResponse *r =
        live_reply(&f->client, &tidemark__v1__state_hash_response__descriptor);
    REQUIRE(r != NULL);
    (void)snprintf(dst, 64, "%s", r->hash);
    tidemark__v1__state_hash_response__free_unpacked(r, NULL);
}

/* What NodeStatus says of the last checkpoint and of the log towards it. */
static void expect_checkpoint_status(struct fixture *f, uint64_t index, uint64_t bytes)
{
    EXPECT_INT(call_empty(f, "Admin/NodeStatus"), GRPC_OK);
    Tidemark__V1__NodeStatusResponse *n =
        live_reply(&f->client, &tidemark__v1__node_status_response__descriptor);
    REQUIRE(n != NULL && n->last_checkpoint != NULL && n->n_logs == 1);
    EXPECT_UINT(n->last_checkpoint->index, index);
    EXPECT_UINT(n->last_checkpoint->bytes, bytes);
    EXPECT(n->last_checkpoint->time_ms > 0);
    const Tidemark__V1__LogStatus *log = n->logs[0];
    EXPECT_STR(log->name, "local");
    EXPECT_UINT(log->index_checkpoint, index);
    EXPECT_STR(log->lsn_checkpoint, log->lsn_end); /* nothing was written behind it */
    EXPECT_UINT(log->segments_current, 1);
    EXPECT_UINT(log->segments_checkpoint, 0);
    EXPECT(log->segment_size > 0);
    EXPECT_STR(log->retained_by, "");
    EXPECT(log->records > 0);
    EXPECT(log->bytes > log->records);
    REQUIRE(log->write != NULL && log->sync != NULL);
    EXPECT(log->write->count > 0 && log->write->count <= log->records);
    EXPECT_UINT(log->sync->count, log->syncs);
    uint64_t counted = 0;
    for (size_t i = 0; i < log->write->n_buckets; i++) {
        counted += log->write->buckets[i];
    }
    EXPECT_UINT(counted, log->write->count);
    tidemark__v1__node_status_response__free_unpacked(n, NULL);
}

TEST(service, makes_a_checkpoint_that_changes_no_row)
{
    struct fixture f;
    fixture_open(&f);
    make_table(&f);
    EXPECT_INT(write_row(&f, (struct row){.time = 1, .value = 7}), GRPC_OK);
    char empty[64];
    char one[64];
    state_hash(&f, empty);
    EXPECT_INT(write_row(&f, (struct row){.time = 2, .value = 7}), GRPC_OK);
    state_hash(&f, one);
    EXPECT(strcmp(empty, one) != 0);
    EXPECT_INT(call_empty(&f, "Admin/Checkpoint"), GRPC_OK);
    Tidemark__V1__CheckpointResponse *r =
        live_reply(&f.client, &tidemark__v1__checkpoint_response__descriptor);
    REQUIRE(r != NULL);
    EXPECT(r->index > 0);
    EXPECT(r->bytes > 0);
    expect_checkpoint_status(&f, r->index, r->bytes);
    tidemark__v1__checkpoint_response__free_unpacked(r, NULL);
    struct rows rows;
    Tidemark__V1__ScanRequest all = scan_of(kv);
    EXPECT_INT(scan(&f, &all, &rows), GRPC_OK);
    EXPECT_UINT(rows.count, 2);
    EXPECT_INT(call_malformed(&f, "Admin/StateHash"), GRPC_INVALID_ARGUMENT);
    fixture_close(&f);
}

TEST(service, tells_the_status_of_the_cluster)
{
    struct fixture f;
    fixture_open(&f);
    EXPECT_INT(call_empty(&f, "Admin/ClusterStatus"), GRPC_OK);
    Tidemark__V1__ClusterStatusResponse *r =
        live_reply(&f.client, &tidemark__v1__cluster_status_response__descriptor);
    REQUIRE(r != NULL && r->n_nodes == 1);
    EXPECT(r->healthy != 0);
    EXPECT_STR(r->nodes[0]->self->name, "n1");
    tidemark__v1__cluster_status_response__free_unpacked(r, NULL);
    fixture_close(&f);
}

TEST(service, refuses_member_changes_on_a_node_without_raft)
{
    struct fixture f;
    fixture_open(&f);
    static const char *const methods[] = {"Admin/AddNode", "Admin/PromoteNode", "Admin/RemoveNode",
                                          "Admin/ReplaceNode"};
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        EXPECT_INT(call_empty(&f, methods[i]), GRPC_INVALID_ARGUMENT);
        EXPECT_TEXT(&f, "name");
        EXPECT_INT(call_malformed(&f, methods[i]), GRPC_INVALID_ARGUMENT);
        EXPECT_INT(call_name(&f, methods[i], "n2", false), GRPC_FAILED_PRECONDITION);
    }
    EXPECT_INT(call_name(&f, "Admin/TransferLeadership", "n2", false), GRPC_FAILED_PRECONDITION);
    EXPECT_INT(call_name(&f, "Admin/TransferLeadership", "", false), GRPC_FAILED_PRECONDITION);
    EXPECT_INT(call_malformed(&f, "Admin/TransferLeadership"), GRPC_INVALID_ARGUMENT);
    fixture_close(&f);
}

TEST(service, refuses_member_changes_that_make_no_sense_in_raft)
{
    struct fixture f;
    live_node_open(&f.node);
    f.node.config.wal_level = WAL_LEVEL_BYRL;
    fixture_start(&f);
    make_table(&f);
    EXPECT_INT(call_name(&f, "Admin/PromoteNode", "n2", false), GRPC_NOT_FOUND);
    EXPECT_INT(call_name(&f, "Admin/RemoveNode", "n2", false), GRPC_NOT_FOUND);
    EXPECT_INT(call_name(&f, "Admin/ReplaceNode", "n2", false), GRPC_NOT_FOUND);
    EXPECT_INT(call_name(&f, "Admin/TransferLeadership", "n2", false), GRPC_NOT_FOUND);
    EXPECT_INT(call_name(&f, "Admin/RemoveNode", "n1", false), GRPC_FAILED_PRECONDITION);
    fixture_close(&f);
}

/* --- calls that end early --- */

TEST(service, ends_a_waiting_call_at_its_deadline)
{
    struct fixture f;
    fixture_open(&f);
    make_table(&f);
    struct rows rows;
    Tidemark__V1__ScanRequest later = scan_of(kv);
    later.stale = 1;
    later.index_min = NEVER_INDEX;
    f.client.timeout_ms = SHORT_MS;
    EXPECT_INT(scan(&f, &later, &rows), GRPC_DEADLINE_EXCEEDED);
    EXPECT_UINT(rows.messages, 0);
    fixture_close(&f);
}

static void no_message(void *context, struct bytes message)
{
    (void)context;
    (void)message;
}

static void no_end(void *context, const struct grpc_result *result)
{
    (void)result;
    *(bool *)context = true;
}

/* If the node still held the call, its clean stop would wait for an hour. */
TEST(service, forgets_a_waiting_call_that_its_client_cancels)
{
    struct fixture f;
    live_node_open(&f.node);
    f.node.config.drain_limit_ms = 3600 * UINT64_C(1000);
    fixture_start(&f);
    make_table(&f);
    static const struct grpc_client_events events = {.message = no_message, .done = no_end};
    struct buf message = {0};
    wire_put_str(&message, 1, "t");
    wire_put_str(&message, 2, "kv");
    wire_put_uint(&message, 10, 1);
    wire_put_uint(&message, 11, NEVER_INDEX);
    struct grpc_call_request request = {
        .path = "/tidemark.v1.Data/Scan", .message = buf_bytes(&message), .streams = true};
    bool ended = false;
    struct grpc_client_call *waiting =
        grpc_channel_call(f.client.channel, &request, &events, &ended);
    REQUIRE(waiting != NULL);
    EXPECT_INT(call_empty(&f, "Admin/NodeStatus"), GRPC_OK); /* after it, on its connection */
    EXPECT(!ended);
    grpc_client_call_cancel(waiting);
    EXPECT_INT(call_empty(&f, "Admin/NodeStatus"), GRPC_OK);
    buf_deinit(&message);
    fixture_close(&f);
}

/* --- health and reflection --- */

static enum grpc_status check_health(struct fixture *f, char *service)
{
    Grpc__Health__V1__HealthCheckRequest request;
    grpc__health__v1__health_check_request__init(&request);
    request.service = service;
    return live_call(&f->client, "/grpc.health.v1.Health/Check", &request.base);
}

TEST(service, says_that_it_is_healthy)
{
    struct fixture f;
    fixture_open(&f);
    char node[] = "";
    char unknown[] = "no.such.Service";
    EXPECT_INT(check_health(&f, node), GRPC_OK);
    EXPECT_UINT(reply_uint(&f), GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING);
    EXPECT_INT(check_health(&f, unknown), GRPC_NOT_FOUND);
    fixture_close(&f);
}

static bool take_text(void *context, struct bytes message)
{
    buf_put_bytes(context, message);
    return true;
}

static bool holds(const struct buf *b, const char *text)
{
    size_t size = strlen(text);
    for (size_t i = 0; i + size <= b->size; i++) {
        if (memcmp(b->data + i, text, size) == 0) {
            return true;
        }
    }
    return false;
}

TEST(service, lists_its_services_by_reflection)
{
    static const char *const services[] = {"tidemark.v1.Data", "tidemark.v1.Admin",
                                           "grpc.health.v1.Health"};
    struct fixture f;
    fixture_open(&f);
    struct buf question = {0};
    wire_put_item(&question, 7, bytes_str("*"));
    struct buf answer = {0};
    struct grpc_reader reader = {.message = take_text, .context = &answer};
    struct grpc_call_request request = {
        .path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        .message = buf_bytes(&question),
        .streams = true,
    };
    struct err e;
    EXPECT_OK(grpc_client_stream_sync(f.client.blocking, f.client.channel, &request, &reader,
                                      &f.client.outcome, &e));
    for (size_t i = 0; i < sizeof services / sizeof services[0]; i++) {
        EXPECT(holds(&answer, services[i]));
    }
    buf_deinit(&question);
    buf_deinit(&answer);
    fixture_close(&f);
}
