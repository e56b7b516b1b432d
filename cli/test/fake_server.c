/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/test/fake_server.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cli/import_sender.h"
#include "cli/table_definition.h"
#include "cli/test/fake_parts.h"
#include "testkit/test.h"

/* --- contents --- */

Tidemark__V1__TableDefinition *fake_find_table(const struct fake *f, const char *table)
{
    for (size_t i = 0; i < f->table_count; i++) {
        if (strcmp(f->tables[i]->table, table) == 0) {
            return f->tables[i];
        }
    }
    return NULL;
}

static void put_items(struct buf *definition, const char *list,
                      enum err_code (*put)(struct buf *, const char *, struct err *))
{
    char item[TEXT_SIZE];
    for (const char *p = list; *p != '\0';) {
        size_t size = strcspn(p, ",");
        (void)snprintf(item, sizeof item, "%.*s", (int)size, p);
        REQUIRE_OK(put(definition, item, NULL));
        p += size + (p[size] == ',' ? 1 : 0);
    }
}

void fake_table(struct fake *f, const char *database, const char *table, const char *columns,
                const char *tags)
{
    struct buf b = {0};
    Tidemark__V1__TableDefinition start;
    tidemark__v1__table_definition__init(&start);
    Tidemark__V1__ColumnDefinition time;
    tidemark__v1__column_definition__init(&time);
    Tidemark__V1__ColumnDefinition *first = &time;
    time.name = (char *)(uintptr_t)"ts";
    time.type = TIDEMARK__V1__TYPE__TIMESTAMP;
    time.not_null = 1;
    start.database = (char *)(uintptr_t)database;
    start.table = (char *)(uintptr_t)table;
    start.columns = &first;
    start.n_columns = 1;
    start.precision = 3;
    cluster_pack(&start.base, &b);
    put_items(&b, columns, table_put_column);
    put_items(&b, tags, table_put_tag);
    f->tables[f->table_count] = tidemark__v1__table_definition__unpack(NULL, b.size, b.data);
    CHECK(f->tables[f->table_count++] != NULL);
    (void)snprintf(f->database, sizeof f->database, "%s", database);
    buf_deinit(&b);
}

void fake_store(struct fake *f, const struct row *row)
{
    for (size_t i = 0; i < f->row_count; i++) {
        if (f->rows[i].time == row->time && strcmp(f->rows[i].tags, row->tags) == 0) {
            f->rows[i] = *row;
            return;
        }
    }
    CHECK(f->row_count < ROWS_MAX);
    f->rows[f->row_count++] = *row;
}

void fake_row(struct fake *f, const char *tag_values, int64_t time, const char *values)
{
    struct row row = {.time = time};
    (void)snprintf(row.tags, sizeof row.tags, "%s", tag_values);
    (void)snprintf(row.values, sizeof row.values, "%s", values);
    fake_store(f, &row);
}

void fake_node_role(struct fake *f, unsigned server, Tidemark__V1__Role role)
{
    f->servers[server].role = role;
}

void fake_node_holes(struct fake *f, unsigned server, uint64_t holes)
{
    f->servers[server].holes = holes;
}

void fake_node_hash(struct fake *f, unsigned server, const char *hash)
{
    (void)snprintf(f->servers[server].hash, sizeof f->servers[server].hash, "%s", hash);
}

/* --- answers --- */

void fake_reply(struct grpc_call *call, const ProtobufCMessage *message)
{
    struct buf b = {0};
    cluster_pack(message, &b);
    grpc_call_reply(call, buf_bytes(&b));
    buf_deinit(&b);
}

static void refuse(const struct server *s, struct grpc_call *call, enum grpc_status status,
                   const char *message, bool name_leader)
{
    if (name_leader) {
        grpc_call_trailer(call, GRPC_TRAILER_LEADER, s->fake->servers[s->fake->leader].address);
    }
    grpc_call_finish(call, status, message);
}

static void hold(struct fake *f, struct grpc_call *call)
{
    CHECK(f->held_count < HELD_MAX);
    f->held[f->held_count++] = call;
}

/* --- rules --- */

static const struct {
    const char *path;
    void (*run)(struct server *s, struct grpc_call *call, struct bytes message);
} methods[] = {
    {"/tidemark.v1.Data/OpenSession", fake_open_session},
    {"/tidemark.v1.Data/Write", fake_write},
    {"/tidemark.v1.Data/Scan", fake_scan},
    {"/tidemark.v1.Admin/CreateDatabase", fake_create_database},
    {"/tidemark.v1.Admin/DropDatabase", fake_drop_database},
    {"/tidemark.v1.Admin/ListDatabases", fake_list_databases},
    {"/tidemark.v1.Admin/CreateTable", fake_create_table},
    {"/tidemark.v1.Admin/DropTable", fake_drop_table},
    {"/tidemark.v1.Admin/ListTables", fake_list_tables},
    {"/tidemark.v1.Admin/ListSettings", fake_list_settings},
    {"/tidemark.v1.Admin/GetSetting", fake_get_setting},
    {"/tidemark.v1.Admin/SetSetting", fake_set_setting},
    {"/tidemark.v1.Admin/ResetSetting", fake_reset_setting},
    {"/tidemark.v1.Admin/NodeStatus", fake_node_status},
    {"/tidemark.v1.Admin/ClusterStatus", fake_cluster_status},
    {"/tidemark.v1.Admin/AddNode", fake_change},
    {"/tidemark.v1.Admin/PromoteNode", fake_change},
    {"/tidemark.v1.Admin/RemoveNode", fake_change},
    {"/tidemark.v1.Admin/ReplaceNode", fake_change},
    {"/tidemark.v1.Admin/TransferLeadership", fake_transfer},
    {"/tidemark.v1.Admin/Checkpoint", fake_checkpoint},
    {"/tidemark.v1.Admin/StateHash", fake_state_hash},
};

enum { METHOD_COUNT = sizeof methods / sizeof methods[0] };

static const char *short_name(const char *path)
{
    return strrchr(path, '/') + 1;
}

static const struct fake_rule *find_rule(const struct server *s, const char *method)
{
    struct fake *f = s->fake;
    for (size_t i = 0; i < f->rule_count; i++) {
        struct fake_rule *r = &f->rules[i];
        if (strcmp(r->method, method) != 0 ||
            (r->server != FAKE_ANY && (unsigned)r->server != s->index)) {
            continue;
        }
        r->seen++;
        if (r->seen >= r->from && r->seen < r->from + r->count) {
            return r;
        }
    }
    return NULL;
}

static void take_effect(struct server *s, size_t method, struct bytes message)
{
    if (methods[method].run == fake_write) {
        (void)fake_apply_write(s->fake, message);
    } else if (methods[method].run == fake_create_database) {
        (void)snprintf(s->fake->database, sizeof s->fake->database, "%s", "made");
    }
}

static void follow_rule(struct server *s, const struct fake_rule *r, size_t method,
                        struct grpc_call *call, struct bytes message)
{
    struct fake *f = s->fake;
    switch (r->action) {
    case FAKE_FAIL:
        if (r->session_unknown) {
            grpc_call_trailer(call, IMPORT_SESSION_TRAILER, IMPORT_SESSION_UNKNOWN);
        }
        refuse(s, call, r->status, r->message, r->name_leader);
        break;
    case FAKE_SILENT:
        take_effect(s, method, message);
        hold(f, call);
        break;
    case FAKE_IGNORE:
        hold(f, call);
        break;
    case FAKE_LOSE:
        take_effect(s, method, message);
        hold(f, call);
        s->restart = true;
        break;
    case FAKE_KILL:
        hold(f, call);
        s->kill = true;
        f->leader = (s->index + 1) % f->server_count;
        break;
    case FAKE_FORGET:
        f->session = 0;
        methods[method].run(s, call, message);
        break;
    }
}

static void on_call(struct grpc_call *call, struct bytes message, void *context)
{
    struct server *s = context;
    struct fake *f = s->fake;
    size_t method = 0;
    while (strcmp(methods[method].path, grpc_call_path(call)) != 0) {
        method++;
    }
    const char *name = short_name(methods[method].path);
    f->calls[method].count++;
    (void)snprintf(f->calls[method].name, sizeof f->calls[method].name, "%s", name);
    const struct fake_rule *rule = find_rule(s, name);
    if (rule != NULL) {
        follow_rule(s, rule, method, call, message);
        return;
    }
    bool change = strcmp(name, "Write") == 0 || strcmp(name, "OpenSession") == 0 ||
                  strstr(name, "Node") != NULL;
    if (f->follow && change && s->index != f->leader && strcmp(name, "NodeStatus") != 0) {
        refuse(s, call, GRPC_UNAVAILABLE, "not the leader", true);
        return;
    }
    methods[method].run(s, call, message);
}

/* --- life --- */

static void open_server(struct server *s, const char *address)
{
    struct grpc_server_options options = {.loop = grpc_blocking_loop(s->fake->blocking),
                                          .address = address};
    struct err e = {0};
    CHECK(grpc_server_open(&options, &s->server, &e) == ERR_OK);
    if (s->address[0] == '\0') { /* one that comes back keeps it */
        (void)snprintf(s->address, sizeof s->address, "127.0.0.1:%u",
                       (unsigned)grpc_server_port(s->server));
    }
    for (size_t i = 0; i < METHOD_COUNT; i++) {
        s->methods[i] = (struct grpc_method){
            .path = methods[i].path,
            .kind = methods[i].run == fake_scan ? GRPC_SERVER_STREAM : GRPC_UNARY,
            .message = on_call,
            .context = s,
        };
    }
    grpc_server_add(s->server, s->methods, METHOD_COUNT);
}

struct fake *fake_open(unsigned servers, bool follow)
{
    struct fake *f = mem_zalloc(sizeof *f);
    CHECK(servers <= FAKE_SERVERS_MAX);
    REQUIRE_OK(grpc_blocking_open(&f->blocking, NULL));
    f->server_count = servers;
    f->follow = follow;
    f->session_next = 100;
    f->rows = mem_array(ROWS_MAX, sizeof *f->rows);
    (void)snprintf(f->setting, sizeof f->setting, "4096");
    for (unsigned i = 0; i < servers; i++) {
        struct server *s = &f->servers[i];
        s->fake = f;
        s->index = i;
        s->role = i == 0 ? TIDEMARK__V1__ROLE__ROLE_LEADER : TIDEMARK__V1__ROLE__ROLE_FOLLOWER;
        (void)snprintf(s->hash, sizeof s->hash, "0123456789abcdef");
        open_server(s, "127.0.0.1:0");
        size_t at = strlen(f->endpoints);
        (void)snprintf(f->endpoints + at, sizeof f->endpoints - at, "%s%s", i == 0 ? "" : ",",
                       s->address);
    }
    return f;
}

void fake_rule(struct fake *f, struct fake_rule rule)
{
    CHECK(f->rule_count < RULES_MAX);
    f->rules[f->rule_count++] = rule;
}

const char *fake_endpoints(const struct fake *f)
{
    return f->endpoints;
}

const char *fake_address(const struct fake *f, unsigned server)
{
    return f->servers[server].address;
}

static void finish_held(struct fake *f)
{
    for (size_t i = 0; i < f->held_count; i++) {
        grpc_call_finish(f->held[i], GRPC_CANCELLED, NULL);
    }
    f->held_count = 0;
}

/* What a rule ordered while a call was being handled. */
static void do_orders(struct fake *f)
{
    for (unsigned i = 0; i < f->server_count; i++) {
        struct server *s = &f->servers[i];
        if (!s->restart && !s->kill) {
            continue;
        }
        char address[32];
        (void)snprintf(address, sizeof address, "%s", s->address);
        grpc_server_close(s->server);
        finish_held(f);
        s->server = NULL;
        if (s->restart) {
            open_server(s, address);
        }
        s->restart = false;
        s->kill = false;
    }
}

static void *serve(void *arg)
{
    struct fake *f = arg;
    while (!atomic_load(&f->stop)) {
        grpc_blocking_step(f->blocking, STEP_MS);
        do_orders(f);
    }
    return NULL;
}

void fake_start(struct fake *f)
{
    atomic_store(&f->stop, false);
    REQUIRE_INT(pthread_create(&f->thread, NULL, serve, f), 0);
    f->running = true;
}

void fake_stop(struct fake *f)
{
    CHECK(f->running);
    atomic_store(&f->stop, true);
    REQUIRE_INT(pthread_join(f->thread, NULL), 0);
    f->running = false;
}

void fake_close(struct fake *f)
{
    if (f->running) {
        fake_stop(f);
    }
    for (unsigned i = 0; i < f->server_count; i++) {
        grpc_server_close(f->servers[i].server);
    }
    finish_held(f);
    grpc_blocking_close(f->blocking);
    for (size_t i = 0; i < f->table_count; i++) {
        tidemark__v1__table_definition__free_unpacked(f->tables[i], NULL);
    }
    mem_free(f->rows);
    mem_free(f);
}

/* --- looking --- */

unsigned fake_calls(const struct fake *f, const char *method)
{
    for (size_t i = 0; i < METHOD_COUNT; i++) {
        if (strcmp(f->calls[i].name, method) == 0) {
            return f->calls[i].count;
        }
    }
    return 0;
}

size_t fake_row_count(const struct fake *f)
{
    return f->row_count;
}

const char *fake_find_row(struct fake *f, const char *tag_values, int64_t time)
{
    for (size_t i = 0; i < f->row_count; i++) {
        if (f->rows[i].time == time && strcmp(f->rows[i].tags, tag_values) == 0) {
            return f->rows[i].values;
        }
    }
    return NULL;
}

unsigned fake_applied(const struct fake *f)
{
    return f->applied;
}

unsigned fake_repeated(const struct fake *f)
{
    return f->repeated;
}

const Tidemark__V1__TableDefinition *fake_definition(const struct fake *f, const char *table)
{
    return fake_find_table(f, table);
}
