/* SPDX-License-Identifier: Apache-2.0 */
#include "node/test/solo.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "proto/wire.h"

enum { STEP_MS = 5, TURNS_MAX = 10000 };

/* --- the host --- */

static void host_submit(void *context, struct job *job)
{
    struct solo *s = context;
    job_queue_push(&s->lanes[job->lane], job);
}

static void host_send(void *context, uint64_t peer_id, struct bytes message)
{
    struct solo *s = context;
    (void)peer_id;
    s->sent_count++;
    buf_reset(&s->sent);
    buf_put_bytes(&s->sent, message);
}

static void host_dial(void *context, const char *const *addresses, size_t count)
{
    (void)context;
    (void)addresses;
    (void)count;
}

static void host_accept(void *context, uint64_t offer)
{
    (void)context;
    (void)offer;
}

static void host_refuse(void *context, uint64_t offer, const struct peer_refusal *refusal)
{
    (void)context;
    (void)offer;
    (void)refusal;
}

static void host_ask(void *context, uint64_t offer, uint64_t start_counter)
{
    (void)context;
    (void)offer;
    (void)start_counter;
}

static void host_nothing(void *context)
{
    (void)context;
}

static void host_disconnect(void *context, uint64_t peer_id, const char *reason)
{
    (void)context;
    (void)peer_id;
    (void)reason;
}

static void host_status(void *context, uint64_t peer_id, uint64_t token)
{
    (void)context;
    (void)peer_id;
    (void)token;
}

static void host_stopped(void *context, int exit_code, const char *reason)
{
    struct solo *s = context;
    s->stopped = true;
    s->exit_code = exit_code;
    (void)snprintf(s->reason, sizeof s->reason, "%s", reason);
}

static const struct member_host ops = {
    .submit = host_submit,
    .send = host_send,
    .dial = host_dial,
    .accept = host_accept,
    .refuse = host_refuse,
    .ask = host_ask,
    .hello_changed = host_nothing,
    .disconnect = host_disconnect,
    .status = host_status,
    .settings_changed = host_nothing,
    .stopped = host_stopped,
};

/* --- life --- */

void solo_open(struct solo *s, struct solo_options options)
{
    *s = (struct solo){.options = options, .now_ms = 1000, .disk = fake_disk_create(7)};
    solo_start(s);
}

void solo_start(struct solo *s)
{
    struct err e;
    if (!solo_try_start(s, &e)) {
        PANIC("storage: %s", e.text);
    }
}

bool solo_try_start(struct solo *s, struct err *e)
{
    CHECK(s->member == NULL);
    fake_disk_set_monotonic(s->disk, s->now_ms * 1000);
    struct storage_options storage = {
        .io = fake_disk_io(s->disk),
        .dir = "/data",
        .name = "n1",
        .segment_size = 64 * 1024,
        .recovery_mode = -1,
    };
    if (storage_open(&storage, &s->storage, e) != ERR_OK) {
        return false;
    }
    static const char *const peers[] = {"a:1", "b:1", "c:1"};
    struct member_host host = ops;
    host.context = s;
    struct member_options options = {
        .host = &host,
        .storage = s->storage,
        .name = "n1",
        .peer_address = "a:1",
        .client_address = "a:2",
        .peers = peers,
        .peer_count = s->options.peer_count,
        .wal_level = s->options.wal_level,
        .seed = 1,
        .part_size = s->options.part_size,
        .checkpoint_step = s->options.checkpoint_step,
        .weaken = s->options.weaken,
    };
    s->stopped = false;
    s->member = member_open(&options, s->now_ms);
    solo_run(s, 0);
    return true;
}

static bool run_lane(struct solo *s, enum lane lane)
{
    if (s->options.hold_apply_when_local && member_state(s->member) == MEMBER_LOCAL) {
        s->options.hold_apply_when_local = false;
        s->hold[LANE_APPLY] = true;
    }
    struct job_queue jobs = s->lanes[lane];
    if (s->hold[lane] || jobs.first == NULL) {
        return false;
    }
    s->lanes[lane] = (struct job_queue){0};
    for (struct job *job = jobs.first; job != NULL; job = job->next) {
        job->work(job);
    }
    if (lane == LANE_LOG) {
        storage_sync(s->storage);
    }
    struct job *job;
    while ((job = job_queue_pop(&jobs)) != NULL) {
        job->done(job);
    }
    return true;
}

bool solo_turn(struct solo *s)
{
    bool any = false;
    member_tick(s->member, s->now_ms);
    member_flush(s->member, s->now_ms);
    for (size_t i = 0; i < LANE_COUNT && !s->stopped; i++) {
        any |= run_lane(s, (enum lane)i);
    }
    return any && !s->stopped;
}

static void settle(struct solo *s)
{
    for (unsigned turns = 0; !s->stopped && solo_turn(s); turns++) {
        CHECK(turns < TURNS_MAX);
    }
}

void solo_run(struct solo *s, uint64_t ms)
{
    settle(s);
    for (uint64_t passed = 0; passed < ms && !s->stopped; passed += STEP_MS) {
        s->now_ms += STEP_MS;
        fake_disk_set_monotonic(s->disk, s->now_ms * 1000);
        settle(s);
    }
}

static void drop_jobs(struct solo *s)
{
    bool any = true;
    while (any) {
        any = false;
        for (size_t i = 0; i < LANE_COUNT; i++) {
            struct job *job;
            while ((job = job_queue_pop(&s->lanes[i])) != NULL) {
                any = true;
                job->work(job);
                job->done(job);
            }
        }
    }
}

static enum err_code release(struct solo *s, bool clean, struct err *e)
{
    member_close(s->member);
    s->member = NULL;
    enum err_code code = storage_close(s->storage, clean, e);
    s->storage = NULL;
    return code;
}

void solo_crash(struct solo *s, bool power)
{
    fake_disk_kill(s->disk);
    member_abort(s->member);
    drop_jobs(s);
    struct err e;
    CHECK(release(s, false, &e) == ERR_OK);
    fake_disk_clear_faults(s->disk);
    memset(s->hold, 0, sizeof s->hold);
    if (power) {
        fake_disk_power_fail_lose_all(s->disk);
    }
}

void solo_end(struct solo *s)
{
    struct err e;
    if (solo_try_end(s, &e) != ERR_OK) {
        PANIC("storage: %s", e.text);
    }
}

enum err_code solo_try_end(struct solo *s, struct err *e)
{
    CHECK(s->stopped);
    return release(s, s->exit_code == 0, e);
}

void solo_close(struct solo *s)
{
    if (s->member != NULL) {
        solo_crash(s, false);
    }
    fake_disk_destroy(s->disk);
    buf_deinit(&s->sent);
}

/* --- requests --- */

static void on_answer(struct member_request *r, const struct member_reply *reply)
{
    struct solo *s = (struct solo *)r;
    s->answered = true;
    s->reply = *reply;
    (void)snprintf(s->text, sizeof s->text, "%s", reply->text);
    s->reply.text = s->text;
}

enum err_code solo_propose(struct solo *s, enum command_kind kind, struct bytes body)
{
    struct command command = {.kind = kind, .body = body};
    s->answered = false;
    s->request = (struct member_request){.done = on_answer};
    member_propose(s->member, &command, &s->request);
    solo_run(s, 0);
    if (!s->answered && !s->stopped) {
        member_cancel(s->member, &s->request);
        return ERR_DEADLINE;
    }
    return s->reply.code;
}

static void on_ask(struct member_request *r, const struct member_reply *reply)
{
    struct solo_ask *a = (struct solo_ask *)r;
    CHECK(!a->answered);
    a->answered = true;
    a->reply = *reply;
    (void)snprintf(a->text, sizeof a->text, "%s", reply->text);
    a->reply.text = a->text;
}

static void ask(struct solo *s, enum command_kind kind, struct bytes body, struct solo_ask *a)
{
    struct command command = {.kind = kind, .body = body};
    *a = (struct solo_ask){.request = {.done = on_ask}};
    member_propose(s->member, &command, &a->request);
}

void solo_ask_set(struct solo *s, const char *name, const char *value, struct solo_ask *a)
{
    struct buf body = {0};
    wire_put_str(&body, 1, name);
    wire_put_str(&body, 2, value);
    ask(s, COMMAND_SET_SETTING, buf_bytes(&body), a);
    buf_deinit(&body);
}

enum err_code solo_set(struct solo *s, const char *name, const char *value)
{
    struct buf body = {0};
    wire_put_str(&body, 1, name);
    wire_put_str(&body, 2, value);
    enum err_code code = solo_propose(s, COMMAND_SET_SETTING, buf_bytes(&body));
    buf_deinit(&body);
    return code;
}

static void put_column(struct buf *body, const char *name, unsigned type)
{
    size_t mark = wire_begin(body, 3);
    wire_put_str(body, 1, name);
    wire_put_uint(body, 2, type);
    wire_put_uint(body, 3, 1);
    wire_end(body, mark);
}

enum err_code solo_make_table(struct solo *s)
{
    struct buf body = {0};
    wire_put_str(&body, 1, "t");
    enum err_code code = solo_propose(s, COMMAND_CREATE_DATABASE, buf_bytes(&body));
    buf_reset(&body);
    size_t table = wire_begin(&body, 1);
    wire_put_str(&body, 1, "t");
    wire_put_str(&body, 2, "kv");
    put_column(&body, "ts", 1);
    put_column(&body, "v", 2);
    size_t tag = wire_begin(&body, 4);
    wire_put_str(&body, 1, "key");
    wire_put_uint(&body, 2, 5);
    wire_put_uint(&body, 3, 1);
    wire_put_uint(&body, 4, 1);
    wire_end(&body, tag);
    wire_end(&body, table);
    if (code == ERR_OK) {
        code = solo_propose(s, COMMAND_CREATE_TABLE, buf_bytes(&body));
    }
    buf_deinit(&body);
    return code;
}

static void put_values(struct buf *body, const char *name, uint64_t value, size_t count)
{
    uint8_t bytes[8 * SOLO_ROWS_MAX];
    CHECK(count <= SOLO_ROWS_MAX);
    for (size_t i = 0; i < count; i++) {
        bytes_put_u64(bytes + 8 * i, value + i);
    }
    size_t mark = wire_begin(body, 7);
    wire_put_str(body, 1, name);
    wire_put_bytes(body, 2, bytes_of(bytes, 8 * count));
    wire_end(body, mark);
}

static void put_rows(struct buf *body, int64_t time, size_t count)
{
    wire_put_str(body, 2, "t");
    wire_put_str(body, 3, "kv");
    wire_put_item(body, 4, bytes_str("key"));
    size_t series = wire_begin(body, 5);
    wire_put_item(body, 1, bytes_str("k"));
    wire_end(body, series);
    put_values(body, "ts", (uint64_t)time, count);
    put_values(body, "v", (uint64_t)time, count);
}

void solo_ask_write(struct solo *s, int64_t time, struct solo_ask *a)
{
    struct buf body = {0};
    put_rows(&body, time, 1);
    ask(s, COMMAND_WRITE, buf_bytes(&body), a);
    buf_deinit(&body);
}

enum err_code solo_write_rows(struct solo *s, int64_t time, size_t count)
{
    struct buf body = {0};
    put_rows(&body, time, count);
    enum err_code code = solo_propose(s, COMMAND_WRITE, buf_bytes(&body));
    buf_deinit(&body);
    return code;
}

enum err_code solo_write(struct solo *s, int64_t time)
{
    return solo_write_rows(s, time, 1);
}

long solo_count(struct solo *s)
{
    enum { FIELD_ROWS_TOTAL = 9 };
    struct buf request = {0};
    struct buf answer = {0};
    struct tsdb_scan *scan = NULL;
    struct err e;
    bool done = false;
    long count = -1;
    wire_put_str(&request, 1, "t");
    wire_put_str(&request, 2, "kv");
    struct tsdb_view *view = tsdb_view_pin(member_tsdb(s->member));
    enum err_code code = tsdb_scan_open(view, buf_bytes(&request), &scan, &e);
    while (code == ERR_OK && !done) {
        buf_reset(&answer);
        code = tsdb_scan_next(scan, 65536, &answer, &done, &e);
    }
    if (code == ERR_OK) {
        count = 0;
        struct cursor c = cursor_of(buf_bytes(&answer));
        struct wire_field f;
        while (wire_next(&c, &f)) {
            count = f.number == FIELD_ROWS_TOTAL ? (long)wire_uint(&c, &f) : count;
        }
    }
    tsdb_scan_close(scan);
    tsdb_view_unpin(view);
    buf_deinit(&request);
    buf_deinit(&answer);
    return count;
}
