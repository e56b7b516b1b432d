/* SPDX-License-Identifier: Apache-2.0 */
/* tidemark.v1.Admin: settings, catalog, members, checkpoints. Questions are
 * answered from the state after a linearizable read; changes are commands. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/service_internal.h"

enum { SETTING_NOTE_SIZE = 200 };

struct admin_call {
    struct call call; /* first */
    enum tsdb_question question;
    struct buf request;
    struct buf answer;
    uint64_t index;      /* SetSetting: where it took effect ... */
    uint64_t blocked_ms; /* ... how long writes waited for it */
    char note[SETTING_NOTE_SIZE];
    enum err_code code;
    struct err err;
};

static void release_admin(struct call *c)
{
    struct admin_call *a = (struct admin_call *)c;
    buf_deinit(&a->request);
    buf_deinit(&a->answer);
    mem_free(a);
}

static struct admin_call *begin(struct service *s, struct grpc_call *grpc,
                                void (*done)(struct member_request *, const struct member_reply *))
{
    struct admin_call *a = mem_zalloc(sizeof *a);
    call_begin(&a->call, s, grpc, release_admin);
    a->call.request.done = done;
    a->call.asked = true;
    return a;
}

/* --- questions --- */

static void work_ask(struct job *job)
{
    struct admin_call *a = (struct admin_call *)call_of_job(job);
    struct tsdb *db = member_tsdb(a->call.service->member);
    a->code = db == NULL ? err_set(&a->err, ERR_UNAVAILABLE, "the node is starting")
                         : tsdb_ask(db, a->question, buf_bytes(&a->request), &a->answer, &a->err);
}

static void done_ask(struct job *job)
{
    struct admin_call *a = (struct admin_call *)call_of_job(job);
    if (!call_job_ended(&a->call)) {
        (void)call_is_over(&a->call);
    } else if (a->code != ERR_OK) {
        call_fail(&a->call, a->code, a->err.text, NULL);
    } else {
        call_reply(&a->call, buf_bytes(&a->answer));
    }
}

static void done_read(struct member_request *r, const struct member_reply *reply)
{
    struct admin_call *a = (struct admin_call *)r;
    call_answered(&a->call);
    if (reply->code != ERR_OK) {
        call_fail(&a->call, reply->code, reply->text, reply->leader);
    } else {
        call_submit(&a->call, LANE_APPLY, work_ask, done_ask);
    }
}

static void ask(struct grpc_call *grpc, struct bytes message, struct service *s,
                enum tsdb_question question)
{
    if (!service_is_ready(s, grpc)) {
        return;
    }
    struct admin_call *a = begin(s, grpc, done_read);
    a->question = question;
    buf_put_bytes(&a->request, message);
    member_read(s->member, false, 0, &a->call.request);
}

static void on_list_settings(struct grpc_call *grpc, struct bytes message, void *context)
{
    ask(grpc, message, context, TSDB_LIST_SETTINGS);
}

static void on_get_setting(struct grpc_call *grpc, struct bytes message, void *context)
{
    ask(grpc, message, context, TSDB_GET_SETTING);
}

static void on_list_databases(struct grpc_call *grpc, struct bytes message, void *context)
{
    ask(grpc, message, context, TSDB_LIST_DATABASES);
}

static void on_list_tables(struct grpc_call *grpc, struct bytes message, void *context)
{
    ask(grpc, message, context, TSDB_LIST_TABLES);
}

/* --- changes of the catalog and of members --- */

static void done_change(struct member_request *r, const struct member_reply *reply)
{
    struct admin_call *a = (struct admin_call *)r;
    call_answered(&a->call);
    if (reply->code != ERR_OK) {
        call_fail(&a->call, reply->code, reply->text, reply->leader);
        return;
    }
    wire_put_uint(&a->answer, 1, reply->index);
    call_reply(&a->call, buf_bytes(&a->answer));
}

static void change(struct grpc_call *grpc, struct bytes message, struct service *s,
                   enum command_kind kind)
{
    if (!service_is_ready(s, grpc)) {
        return;
    }
    struct admin_call *a = begin(s, grpc, done_change);
    struct command command = {.kind = kind, .body = message};
    member_propose(s->member, &command, &a->call.request);
}

static void on_create_database(struct grpc_call *grpc, struct bytes message, void *context)
{
    change(grpc, message, context, COMMAND_CREATE_DATABASE);
}

static void on_drop_database(struct grpc_call *grpc, struct bytes message, void *context)
{
    change(grpc, message, context, COMMAND_DROP_DATABASE);
}

static void on_create_table(struct grpc_call *grpc, struct bytes message, void *context)
{
    change(grpc, message, context, COMMAND_CREATE_TABLE);
}

static void on_drop_table(struct grpc_call *grpc, struct bytes message, void *context)
{
    change(grpc, message, context, COMMAND_DROP_TABLE);
}

static void on_alter_table(struct grpc_call *grpc, struct bytes message, void *context)
{
    change(grpc, message, context, COMMAND_ALTER_TABLE);
}

/* name = 1, id = 2, peer_address = 3 in all of the membership requests */
struct member_fields {
    char name[LIMIT_NAME_SIZE_MAX + 1];
    uint64_t id;
    char peer_address[LIMIT_ADDRESS_SIZE_MAX + 1];
};

static bool read_member(struct bytes message, struct member_fields *out)
{
    *out = (struct member_fields){0};
    struct cursor c = cursor_of(message);
    struct wire_field f;
    while (wire_next(&c, &f)) {
        if (f.number == 1) {
            wire_str(&c, &f, out->name, sizeof out->name);
        } else if (f.number == 2) {
            out->id = wire_fixed64(&c, &f);
        } else if (f.number == 3) {
            wire_str(&c, &f, out->peer_address, sizeof out->peer_address);
        }
    }
    return !c.bad;
}

static void change_member(struct grpc_call *grpc, struct bytes message, struct service *s,
                          enum member_change kind)
{
    struct member_fields fields;
    if (!service_is_ready(s, grpc)) {
        return;
    }
    if (!read_member(message, &fields) || fields.name[0] == '\0') {
        grpc_call_finish(grpc, GRPC_INVALID_ARGUMENT, "a node's name is needed");
        return;
    }
    struct admin_call *a = begin(s, grpc, done_change);
    struct member_change_request request = {
        .change = kind,
        .name = fields.name,
        .id = fields.id,
        .peer_address = fields.peer_address,
    };
    member_change(s->member, &request, &a->call.request);
}

static void on_add_node(struct grpc_call *grpc, struct bytes message, void *context)
{
    change_member(grpc, message, context, MEMBER_ADD);
}

static void on_promote_node(struct grpc_call *grpc, struct bytes message, void *context)
{
    change_member(grpc, message, context, MEMBER_PROMOTE);
}

static void on_remove_node(struct grpc_call *grpc, struct bytes message, void *context)
{
    change_member(grpc, message, context, MEMBER_REMOVE);
}

static void on_replace_node(struct grpc_call *grpc, struct bytes message, void *context)
{
    change_member(grpc, message, context, MEMBER_REPLACE);
}

static void done_transfer(struct member_request *r, const struct member_reply *reply)
{
    struct admin_call *a = (struct admin_call *)r;
    call_answered(&a->call);
    if (reply->code != ERR_OK) {
        call_fail(&a->call, reply->code, reply->text, reply->leader);
        return;
    }
    wire_put_uint(&a->answer, 2, member_status(a->call.service->member).replica.term);
    call_reply(&a->call, buf_bytes(&a->answer));
}

static void on_transfer(struct grpc_call *grpc, struct bytes message, void *context)
{
    struct service *s = context;
    struct member_fields fields;
    if (!service_is_ready(s, grpc)) {
        return;
    }
    if (!read_member(message, &fields)) {
        grpc_call_finish(grpc, GRPC_INVALID_ARGUMENT, "not a valid message");
        return;
    }
    struct admin_call *a = begin(s, grpc, done_transfer);
    member_transfer(s->member, fields.name, &a->call.request);
}

static void done_checkpoint(struct member_request *r, const struct member_reply *reply)
{
    struct admin_call *a = (struct admin_call *)r;
    call_answered(&a->call);
    if (reply->code != ERR_OK) {
        call_fail(&a->call, reply->code, reply->text, reply->leader);
        return;
    }
    struct member_status status = member_status(a->call.service->member);
    wire_put_uint(&a->answer, 1, reply->index);
    wire_put_uint(&a->answer, 2, status.checkpoint_ms);
    wire_put_uint(&a->answer, 3, status.checkpoint_bytes);
    call_reply(&a->call, buf_bytes(&a->answer));
}

static void on_checkpoint(struct grpc_call *grpc, struct bytes message, void *context)
{
    (void)message;
    struct service *s = context;
    if (service_is_ready(s, grpc)) {
        struct admin_call *a = begin(s, grpc, done_checkpoint);
        member_checkpoint(s->member, &a->call.request);
    }
}

/* --- settings --- */

static void work_setting(struct job *job)
{
    struct admin_call *a = (struct admin_call *)call_of_job(job);
    struct tsdb *db = member_tsdb(a->call.service->member);
    struct buf setting = {0};
    a->code = tsdb_ask(db, TSDB_GET_SETTING, buf_bytes(&a->request), &setting, &a->err);
    wire_put_uint(&a->answer, 1, a->index);
    wire_put_item(&a->answer, 2, buf_bytes(&setting));
    wire_put_uint(&a->answer, 3, a->blocked_ms);
    wire_put_str(&a->answer, 4, a->note);
    buf_deinit(&setting);
}

static void done_visible(struct member_request *r, const struct member_reply *reply)
{
    struct admin_call *a = (struct admin_call *)r;
    call_answered(&a->call);
    if (reply->code != ERR_OK) {
        call_fail(&a->call, reply->code, reply->text, reply->leader);
    } else {
        call_submit(&a->call, LANE_APPLY, work_setting, done_ask);
    }
}

static void work_nothing(struct job *job)
{
    (void)job;
}

static void done_hop(struct job *job)
{
    struct admin_call *a = (struct admin_call *)call_of_job(job);
    if (!call_job_ended(&a->call)) {
        (void)call_is_over(&a->call);
        return;
    }
    a->call.asked = true;
    a->call.request.done = done_visible;
    member_read(a->call.service->member, true, a->index, &a->call.request);
}

static void done_set(struct member_request *r, const struct member_reply *reply)
{
    struct admin_call *a = (struct admin_call *)r;
    call_answered(&a->call);
    if (reply->code != ERR_OK) {
        call_fail(&a->call, reply->code, reply->text, reply->leader);
        return;
    }
    /* Shown from this node's own state, which may be behind the leader's: wait
     * for the index, but not from within the member's step. */
    a->index = reply->index;
    a->blocked_ms = reply->blocked_ms;
    (void)snprintf(a->note, sizeof a->note, "%s", reply->text);
    call_submit(&a->call, LANE_APPLY, work_nothing, done_hop);
}

static void set(struct grpc_call *grpc, struct bytes message, struct service *s, bool reset)
{
    char name[LIMIT_NAME_SIZE_MAX + 1] = "";
    char value[LIMIT_ADDRESS_SIZE_MAX + 1] = "";
    struct cursor c = cursor_of(message);
    struct wire_field f;
    while (wire_next(&c, &f)) {
        if (f.number == 1) {
            wire_str(&c, &f, name, sizeof name);
        } else if (f.number == 2) {
            wire_str(&c, &f, value, sizeof value);
        }
    }
    if (!service_is_ready(s, grpc)) {
        return;
    }
    if (c.bad) {
        grpc_call_finish(grpc, GRPC_INVALID_ARGUMENT, "not a valid message");
        return;
    }
    struct admin_call *a = begin(s, grpc, done_set);
    wire_put_str(&a->request, 1, name);
    struct buf body = {0};
    wire_put_str(&body, 1, name);
    wire_put_str(&body, 2, value);
    wire_put_uint(&body, 3, reset ? 1 : 0);
    struct command command = {.kind = COMMAND_SET_SETTING, .body = buf_bytes(&body)};
    member_propose(s->member, &command, &a->call.request);
    buf_deinit(&body);
}

static void on_set_setting(struct grpc_call *grpc, struct bytes message, void *context)
{
    set(grpc, message, context, false);
}

static void on_reset_setting(struct grpc_call *grpc, struct bytes message, void *context)
{
    set(grpc, message, context, true);
}

/* --- watching settings --- */

struct watcher {
    struct call call; /* first */
    struct watcher *next;
    bool first;     /* nothing was sent yet */
    bool again;     /* something changed while a job was out */
    uint64_t index; /* changes up to it were sent */
    struct buf answer;
    enum err_code code;
    struct err err;
};

static void unlink_watcher(struct service *s, const struct watcher *w)
{
    struct watcher **link = &s->watchers;
    while (*link != NULL && *link != w) {
        link = &(*link)->next;
    }
    if (*link != NULL) {
        *link = w->next;
    }
}

static void release_watcher(struct call *c)
{
    struct watcher *w = (struct watcher *)c;
    unlink_watcher(c->service, w);
    buf_deinit(&w->answer);
    mem_free(w);
}

static void work_watch(struct job *job)
{
    struct watcher *w = (struct watcher *)call_of_job(job);
    struct tsdb *db = member_tsdb(w->call.service->member);
    buf_reset(&w->answer);
    w->code = db == NULL ? err_set(&w->err, ERR_UNAVAILABLE, "the node is starting")
                         : tsdb_ask(db, TSDB_LIST_SETTINGS, (struct bytes){0}, &w->answer, &w->err);
}

static uint64_t changed_index(struct bytes setting)
{
    enum { FIELD_CHANGED_INDEX = 10 };
    uint64_t index = 0;
    struct cursor c = cursor_of(setting);
    struct wire_field f;
    while (wire_next(&c, &f)) {
        if (f.number == FIELD_CHANGED_INDEX) {
            index = wire_uint(&c, &f);
        }
    }
    return index;
}

static void send_changes(struct watcher *w)
{
    uint64_t newest = w->index;
    struct cursor c = cursor_of(buf_bytes(&w->answer));
    struct wire_field f;
    while (wire_next(&c, &f)) {
        struct bytes setting = wire_bytes(&c, &f);
        uint64_t index = changed_index(setting);
        if (w->first || index > w->index) {
            grpc_call_send(w->call.grpc, setting);
        }
        newest = index > newest ? index : newest;
    }
    w->index = newest;
    w->first = false;
}

static void watch(struct watcher *w);

static void done_watch(struct job *job)
{
    struct watcher *w = (struct watcher *)call_of_job(job);
    if (!call_job_ended(&w->call)) {
        (void)call_is_over(&w->call);
        return;
    }
    if (w->code != ERR_OK) {
        call_fail(&w->call, w->code, w->err.text, NULL);
        return;
    }
    w->call.job_out = true; /* a call that ends in a send is released below, not in it */
    send_changes(w);
    w->call.job_out = false;
    if (!call_is_over(&w->call) && w->again) {
        watch(w);
    }
}

static void watch(struct watcher *w)
{
    if (w->call.job_out) {
        w->again = true;
        return;
    }
    w->again = false;
    call_submit(&w->call, LANE_APPLY, work_watch, done_watch);
}

static void on_watch(struct grpc_call *grpc, struct bytes message, void *context)
{
    (void)message;
    struct service *s = context;
    if (!service_is_ready(s, grpc)) {
        return;
    }
    struct watcher *w = mem_zalloc(sizeof *w);
    call_begin(&w->call, s, grpc, release_watcher);
    w->first = true;
    w->next = s->watchers;
    s->watchers = w;
    watch(w);
}

void service_settings_changed(struct service *s)
{
    for (struct watcher *w = s->watchers; w != NULL; w = w->next) {
        watch(w);
    }
}

/* --- the table --- */

size_t service_admin_add(struct service *s, struct grpc_method *methods)
{
    static const struct {
        const char *path;
        void (*message)(struct grpc_call *grpc, struct bytes message, void *context);
    } table[] = {
        {"/tidemark.v1.Admin/ListSettings", on_list_settings},
        {"/tidemark.v1.Admin/GetSetting", on_get_setting},
        {"/tidemark.v1.Admin/SetSetting", on_set_setting},
        {"/tidemark.v1.Admin/ResetSetting", on_reset_setting},
        {"/tidemark.v1.Admin/WatchSettings", on_watch},
        {"/tidemark.v1.Admin/CreateDatabase", on_create_database},
        {"/tidemark.v1.Admin/DropDatabase", on_drop_database},
        {"/tidemark.v1.Admin/ListDatabases", on_list_databases},
        {"/tidemark.v1.Admin/CreateTable", on_create_table},
        {"/tidemark.v1.Admin/DropTable", on_drop_table},
        {"/tidemark.v1.Admin/AlterTable", on_alter_table},
        {"/tidemark.v1.Admin/ListTables", on_list_tables},
        {"/tidemark.v1.Admin/AddNode", on_add_node},
        {"/tidemark.v1.Admin/PromoteNode", on_promote_node},
        {"/tidemark.v1.Admin/RemoveNode", on_remove_node},
        {"/tidemark.v1.Admin/ReplaceNode", on_replace_node},
        {"/tidemark.v1.Admin/TransferLeadership", on_transfer},
        {"/tidemark.v1.Admin/Checkpoint", on_checkpoint},
    };
    size_t count = sizeof table / sizeof table[0];
    for (size_t i = 0; i < count; i++) {
        methods[i] = (struct grpc_method){
            .path = table[i].path,
            .kind = table[i].message == on_watch ? GRPC_SERVER_STREAM : GRPC_UNARY,
            .message = table[i].message,
            .context = s,
        };
    }
    return count;
}
