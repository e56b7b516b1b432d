/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "cli/cluster_client.h"
#include "cli/test/fake_parts.h"
#include "cli/value_text.h"

static void change_done(struct grpc_call *call)
{
    Tidemark__V1__ChangeResponse r;
    tidemark__v1__change_response__init(&r);
    r.index = 7;
    fake_reply(call, &r.base);
}

/* --- catalog --- */

void fake_create_database(struct server *s, struct grpc_call *call, struct bytes message)
{
    struct fake *f = s->fake;
    Tidemark__V1__CreateDatabaseRequest *r =
        tidemark__v1__create_database_request__unpack(NULL, message.size, message.data);
    CHECK(r != NULL);
    if (strcmp(f->database, r->database) == 0 && !r->if_not_exists) {
        grpc_call_finish(call, GRPC_ALREADY_EXISTS, "database exists");
    } else {
        (void)snprintf(f->database, sizeof f->database, "%s", r->database);
        change_done(call);
    }
    tidemark__v1__create_database_request__free_unpacked(r, NULL);
}

void fake_drop_database(struct server *s, struct grpc_call *call, struct bytes message)
{
    struct fake *f = s->fake;
    Tidemark__V1__DropDatabaseRequest *r =
        tidemark__v1__drop_database_request__unpack(NULL, message.size, message.data);
    CHECK(r != NULL);
    if (strcmp(f->database, r->database) != 0) {
        grpc_call_finish(call, GRPC_NOT_FOUND, "no such database");
    } else {
        f->database[0] = '\0';
        change_done(call);
    }
    tidemark__v1__drop_database_request__free_unpacked(r, NULL);
}

void fake_list_databases(struct server *s, struct grpc_call *call, struct bytes message)
{
    (void)message;
    char *names[] = {s->fake->database};
    Tidemark__V1__ListDatabasesResponse r;
    tidemark__v1__list_databases_response__init(&r);
    r.databases = names;
    r.n_databases = s->fake->database[0] == '\0' ? 0 : 1;
    fake_reply(call, &r.base);
}

void fake_create_table(struct server *s, struct grpc_call *call, struct bytes message)
{
    struct fake *f = s->fake;
    Tidemark__V1__CreateTableRequest *r =
        tidemark__v1__create_table_request__unpack(NULL, message.size, message.data);
    CHECK(r != NULL);
    CHECK(r->definition != NULL);
    bool exists = fake_find_table(f, r->definition->table) != NULL;
    if (exists && !r->if_not_exists) {
        grpc_call_finish(call, GRPC_ALREADY_EXISTS, "table exists");
    } else {
        if (!exists) {
            CHECK(f->table_count < TABLES_MAX);
            r->definition->version = 1;
            f->tables[f->table_count++] = r->definition;
            r->definition = NULL;
        }
        change_done(call);
    }
    tidemark__v1__create_table_request__free_unpacked(r, NULL);
}

void fake_drop_table(struct server *s, struct grpc_call *call, struct bytes message)
{
    struct fake *f = s->fake;
    Tidemark__V1__DropTableRequest *r =
        tidemark__v1__drop_table_request__unpack(NULL, message.size, message.data);
    CHECK(r != NULL);
    Tidemark__V1__TableDefinition *table = fake_find_table(f, r->table);
    if (table == NULL) {
        grpc_call_finish(call, GRPC_NOT_FOUND, "no such table");
    } else {
        size_t i = 0;
        while (f->tables[i] != table) {
            i++;
        }
        f->tables[i] = f->tables[--f->table_count];
        tidemark__v1__table_definition__free_unpacked(table, NULL);
        change_done(call);
    }
    tidemark__v1__drop_table_request__free_unpacked(r, NULL);
}

void fake_list_tables(struct server *s, struct grpc_call *call, struct bytes message)
{
    (void)message;
    Tidemark__V1__ListTablesResponse r;
    tidemark__v1__list_tables_response__init(&r);
    r.tables = s->fake->tables;
    r.n_tables = s->fake->table_count;
    fake_reply(call, &r.base);
}

/* --- settings: one, "ts.scan.batch_size", 1 .. 65536 --- */

static Tidemark__V1__Setting the_setting(struct fake *f)
{
    Tidemark__V1__Setting s;
    tidemark__v1__setting__init(&s);
    s.name = (char *)(uintptr_t)"ts.scan.batch_size";
    s.value = f->setting;
    s.default_value = (char *)(uintptr_t)"4096";
    s.type = (char *)(uintptr_t)"int";
    s.range = (char *)(uintptr_t)"1..65536";
    s.scope = (char *)(uintptr_t)"cluster";
    s.description = (char *)(uintptr_t)"Rows in one message.";
    return s;
}

void fake_list_settings(struct server *s, struct grpc_call *call, struct bytes message)
{
    (void)message;
    Tidemark__V1__Setting setting = the_setting(s->fake);
    Tidemark__V1__Setting *settings[] = {&setting};
    Tidemark__V1__ListSettingsResponse r;
    tidemark__v1__list_settings_response__init(&r);
    r.settings = settings;
    r.n_settings = 1;
    fake_reply(call, &r.base);
}

void fake_get_setting(struct server *s, struct grpc_call *call, struct bytes message)
{
    Tidemark__V1__GetSettingRequest *r =
        tidemark__v1__get_setting_request__unpack(NULL, message.size, message.data);
    CHECK(r != NULL);
    Tidemark__V1__Setting setting = the_setting(s->fake);
    if (strcmp(r->name, setting.name) == 0) {
        fake_reply(call, &setting.base);
    } else {
        grpc_call_finish(call, GRPC_NOT_FOUND, "no such setting");
    }
    tidemark__v1__get_setting_request__free_unpacked(r, NULL);
}

static void change_setting(struct server *s, struct grpc_call *call, const char *name,
                           const char *value)
{
    uint64_t number = 0;
    Tidemark__V1__Setting setting = the_setting(s->fake);
    if (strcmp(name, setting.name) != 0) {
        grpc_call_finish(call, GRPC_NOT_FOUND, "no such setting");
    } else if (!value_text_uint64(bytes_str(value), &number) || number < 1 || number > 65536) {
        grpc_call_finish(call, GRPC_OUT_OF_RANGE, "allowed is 1..65536");
    } else {
        (void)snprintf(s->fake->setting, sizeof s->fake->setting, "%s", value);
        Tidemark__V1__SetSettingResponse r;
        tidemark__v1__set_setting_response__init(&r);
        r.index = 11;
        r.setting = &setting;
        r.writes_blocked_ms = 3;
        fake_reply(call, &r.base);
    }
}

void fake_set_setting(struct server *s, struct grpc_call *call, struct bytes message)
{
    Tidemark__V1__SetSettingRequest *r =
        tidemark__v1__set_setting_request__unpack(NULL, message.size, message.data);
    CHECK(r != NULL);
    change_setting(s, call, r->name, r->value);
    tidemark__v1__set_setting_request__free_unpacked(r, NULL);
}

void fake_reset_setting(struct server *s, struct grpc_call *call, struct bytes message)
{
    Tidemark__V1__ResetSettingRequest *r =
        tidemark__v1__reset_setting_request__unpack(NULL, message.size, message.data);
    CHECK(r != NULL);
    change_setting(s, call, r->name, "4096");
    tidemark__v1__reset_setting_request__free_unpacked(r, NULL);
}

/* --- nodes --- */

struct status {
    Tidemark__V1__NodeStatusResponse node;
    Tidemark__V1__Member self;
    Tidemark__V1__LogStatus log;
    Tidemark__V1__LogStatus *logs[1];
    Tidemark__V1__LogLatency write, sync;
    uint64_t buckets[12];
    Tidemark__V1__CheckpointStatus checkpoint;
    Tidemark__V1__DamageStatus damage;
    char name[8];
};

static void fill_status(struct server *s, struct status *out)
{
    tidemark__v1__node_status_response__init(&out->node);
    tidemark__v1__member__init(&out->self);
    tidemark__v1__log_status__init(&out->log);
    (void)snprintf(out->name, sizeof out->name, "n%u", s->index + 1);
    out->self.id = 0xabc0 + s->index;
    out->self.name = out->name;
    out->self.client_address = s->address;
    out->self.kind = (char *)(uintptr_t)"voter";
    out->log.name = (char *)(uintptr_t)"raft";
    out->log.holes = s->holes;
    out->log.holes_found = s->holes;
    out->log.lsn_end = (char *)(uintptr_t)"1/0A000100";
    out->log.lsn_durable = (char *)(uintptr_t)"1/0A000080";
    out->log.lsn_checkpoint = (char *)(uintptr_t)"1/08000040";
    out->log.index_last = 20;
    out->log.index_durable = 19;
    out->log.index_checkpoint = 15;
    out->log.segments_current = 3;
    out->log.segments_checkpoint = 2;
    out->log.segments_recycled = 1;
    out->log.retained_by = (char *)(uintptr_t)(s->index == 0 ? "slow replica n3" : "");
    out->logs[0] = &out->log;
    if (s->index == 0) {
        tidemark__v1__log_latency__init(&out->write);
        tidemark__v1__log_latency__init(&out->sync);
        out->buckets[3] = 980; /* less than 8 us */
        out->buckets[6] = 15;
        out->buckets[11] = 5;
        out->write.count = 1000;
        out->write.us = 9000;
        out->write.us_max = 1500;
        out->write.buckets = out->buckets;
        out->write.n_buckets = 12;
        out->log.write = &out->write;
        out->log.sync = &out->sync; /* none yet */
        out->log.records = 4000;
        out->log.bytes = 500000;
        out->log.buffers_full = 7;
        tidemark__v1__checkpoint_status__init(&out->checkpoint);
        out->checkpoint.index = 15;
        out->checkpoint.time_ms = 1700000000000;
        out->checkpoint.duration_ms = 12;
        out->checkpoint.bytes = 4096;
        out->node.last_checkpoint = &out->checkpoint;
    }
    if (s->holes > 0) { /* a disk that goes bad does so in parts, too */
        tidemark__v1__damage_status__init(&out->damage);
        out->damage.parts_found = 3;
        out->damage.parts_refilled = 2;
        out->damage.parts_waiting = 1;
        out->damage.scrubbed_bytes = 7000;
        out->node.damage = &out->damage;
    }
    out->node.self = &out->self;
    out->node.logs = out->logs;
    out->node.n_logs = 1;
    out->node.role = s->role;
    out->node.term = 3;
    out->node.commit_index = 20;
    out->node.applied_index = 20 - s->index;
    out->node.version = (char *)(uintptr_t)"0.1.0";
    out->node.healthy =
        s->role == TIDEMARK__V1__ROLE__ROLE_LEADER || s->role == TIDEMARK__V1__ROLE__ROLE_FOLLOWER;
}

void fake_node_status(struct server *s, struct grpc_call *call, struct bytes message)
{
    (void)message;
    struct status status;
    fill_status(s, &status);
    fake_reply(call, &status.node.base);
}

void fake_cluster_status(struct server *s, struct grpc_call *call, struct bytes message)
{
    (void)message;
    struct fake *f = s->fake;
    struct status all[FAKE_SERVERS_MAX];
    Tidemark__V1__NodeStatusResponse *nodes[FAKE_SERVERS_MAX];
    Tidemark__V1__ClusterStatusResponse r;
    tidemark__v1__cluster_status_response__init(&r);
    r.healthy = 1;
    for (unsigned i = 0; i < f->server_count; i++) {
        fill_status(&f->servers[i], &all[i]);
        nodes[i] = &all[i].node;
        r.healthy = r.healthy && all[i].node.healthy && f->servers[i].holes == 0;
    }
    r.cluster_id = 0xc1;
    r.nodes = nodes;
    r.n_nodes = f->server_count;
    fake_reply(call, &r.base);
}

void fake_change(struct server *s, struct grpc_call *call, struct bytes message)
{
    (void)s;
    (void)message;
    change_done(call);
}

void fake_transfer(struct server *s, struct grpc_call *call, struct bytes message)
{
    (void)s;
    (void)message;
    Tidemark__V1__TransferLeadershipResponse r;
    tidemark__v1__transfer_leadership_response__init(&r);
    r.leader = (char *)(uintptr_t)"n2";
    r.term = 4;
    fake_reply(call, &r.base);
}

void fake_checkpoint(struct server *s, struct grpc_call *call, struct bytes message)
{
    (void)s;
    (void)message;
    Tidemark__V1__CheckpointResponse r;
    tidemark__v1__checkpoint_response__init(&r);
    r.index = 20;
    r.duration_ms = 5;
    r.bytes = 1000;
    fake_reply(call, &r.base);
}

void fake_state_hash(struct server *s, struct grpc_call *call, struct bytes message)
{
    Tidemark__V1__StateHashRequest *request =
        tidemark__v1__state_hash_request__unpack(NULL, message.size, message.data);
    CHECK(request != NULL);
    Tidemark__V1__StateHashResponse r;
    tidemark__v1__state_hash_response__init(&r);
    r.index = request->index > 20 ? request->index : 20;
    r.hash = s->hash;
    fake_reply(call, &r.base);
    tidemark__v1__state_hash_request__free_unpacked(request, NULL);
}
