/* SPDX-License-Identifier: Apache-2.0 */
/* Clients, and what they were told. Each writer has a series of its own, where
 * every operation leaves one row for ever, and a register (one row, overwritten
 * by each operation): a lost, repeated or late write shows in one or the other.
 *
 *   write k of client c:  row (series "c<c>", time k,  value k)
 *                         row (series "r<c>", time 0,  value k)
 *   one in four also:     rows (series "l<c>", from time k * 64 on, value k)
 *
 * The last ones make it too large for one entry of the log in half of the worlds, so
 * that it stands in parts (safety.md G2): all its rows are there or none, in every
 * state that is read.
 *
 * A client repeats a write with the same request id until it knows the outcome.
 * Readers ask any node for the register of any client: never below what was
 * acknowledged before they asked, never falling from one read to the next. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "proto/wire.h"
#include "sim/world.h"

enum {
    SETTLE_MS = 3000,
    UNKNOWN_ANSWERS_MAX = 50,
    LARGE_ROWS_MAX = 64,
    ROW_SIZE = 17,        /* of a write: its time, value and series */
    WRITE_BASE_SIZE = 200 /* of a write: more than all the rest of it */
};

enum outcome { OPEN, ACKED, UNKNOWN };
enum task { IDLE, SET_INTERVAL, CREATE_DATABASE, CREATE_TABLE, OPEN_SESSION, WRITE, READ };

struct operation {
    enum outcome outcome;
    size_t large_rows;
};

struct client {
    struct member_request request; /* first */
    struct job job;                /* of a scan */
    struct world *world;
    size_t number;
    enum task task;
    bool asked;    /* the request is with a member */
    bool answered; /* ... and came back: */
    enum err_code code;
    uint64_t result_session;
    uint64_t result_index;
    uint64_t next_us;

    /* writing */
    uint64_t session;
    uint64_t sequence;
    uint64_t operation; /* number of the write under way, or the last one */
    struct operation *operations;
    size_t operation_capacity;
    uint64_t acked_max;       /* highest acknowledged operation */
    unsigned unknown_answers; /* to the write under way */

    /* reading */
    struct node *node;
    size_t target;  /* whose register */
    uint64_t floor; /* acknowledged before the read began */
    uint64_t seen[WORLD_CLIENTS];
    bool scanning;
    bool scanned;
    uint64_t value;    /* of the register */
    size_t large_rows; /* of the operation that wrote it */
    enum err_code scan_code;
};

/* --- messages --- */

static void put_series(struct buf *out, const char *kind, size_t number)
{
    char key[16];
    (void)snprintf(key, sizeof key, "%s%zu", kind, number);
    size_t mark = wire_begin(out, 5);
    wire_put_item(out, 1, bytes_str(key));
    wire_end(out, mark);
}

static void put_column(struct buf *out, const char *name, const uint64_t *values, size_t count)
{
    uint8_t bytes[8 * (LARGE_ROWS_MAX + 2)];
    CHECK(8 * count <= sizeof bytes);
    for (size_t i = 0; i < count; i++) {
        bytes_put_u64(bytes + 8 * i, values[i]);
    }
    size_t mark = wire_begin(out, 7);
    wire_put_str(out, 1, name);
    wire_put_bytes(out, 2, bytes_of(bytes, 8 * count));
    wire_end(out, mark);
}

/* 'large_rows' of those that it adds. */
static void make_write(const struct client *c, size_t large_rows, struct buf *out)
{
    enum { IN_C, IN_R, IN_L };
    uint8_t series_of_row[LARGE_ROWS_MAX + 2] = {IN_C, IN_R};
    uint64_t times[LARGE_ROWS_MAX + 2] = {c->operation, 0};
    uint64_t values[LARGE_ROWS_MAX + 2] = {c->operation, c->operation};
    size_t count = 2;
    for (size_t i = 0; i < large_rows; i++) {
        series_of_row[count] = IN_L;
        times[count] = c->operation * LARGE_ROWS_MAX + i;
        values[count] = c->operation;
        count++;
    }
    size_t mark = wire_begin(out, 1);
    wire_put_uint(out, 1, c->session);
    wire_put_uint(out, 2, c->sequence);
    wire_put_uint(out, 3, c->sequence);
    wire_end(out, mark);
    wire_put_str(out, 2, "sim");
    wire_put_str(out, 3, "kv");
    wire_put_item(out, 4, bytes_str("key"));
    put_series(out, "c", c->number);
    put_series(out, "r", c->number);
    if (count > 2) {
        put_series(out, "l", c->number);
    }
    wire_put_bytes(out, 6, bytes_of(series_of_row, count));
    put_column(out, "ts", times, count);
    put_column(out, "v", values, count);
}

static void put_definition(struct buf *out)
{
    size_t table = wire_begin(out, 1);
    wire_put_str(out, 1, "sim");
    wire_put_str(out, 2, "kv");
    static const struct {
        const char *name;
        unsigned type;
        unsigned not_null;
    } columns[] = {{"ts", 1, 1}, {"v", 2, 0}};
    for (size_t i = 0; i < 2; i++) {
        size_t column = wire_begin(out, 3);
        wire_put_str(out, 1, columns[i].name);
        wire_put_uint(out, 2, columns[i].type);
        wire_put_uint(out, 3, columns[i].not_null);
        wire_end(out, column);
    }
    size_t tag = wire_begin(out, 4);
    wire_put_str(out, 1, "key");
    wire_put_uint(out, 2, 5);
    wire_put_uint(out, 3, 1);
    wire_put_uint(out, 4, 1);
    wire_end(out, tag);
    wire_end(out, table);
    wire_put_uint(out, 2, 1);
}

/* Rows of a series from one time to the one before 'until'. */
struct range {
    const char *kind;
    size_t number;
    uint64_t from, until;
};

static void make_scan(struct buf *out, const struct range *r)
{
    char key[16];
    (void)snprintf(key, sizeof key, "%s%zu", r->kind, r->number);
    wire_put_str(out, 1, "sim");
    wire_put_str(out, 2, "kv");
    wire_put_uint(out, 4, 1);
    wire_put_fixed64(out, 5, r->from);
    wire_put_uint(out, 6, 1);
    wire_put_fixed64(out, 7, r->until);
    size_t mark = wire_begin(out, 8);
    wire_put_str(out, 1, "key");
    wire_put_item(out, 2, bytes_str(key));
    wire_end(out, mark);
}

/* Packed 8-byte values of a column of an answer. */
static struct bytes column_of(struct bytes response, const char *name)
{
    struct cursor c = cursor_of(response);
    struct wire_field f;
    while (wire_next(&c, &f)) {
        if (f.number != 6) {
            continue;
        }
        struct cursor column = cursor_of(wire_bytes(&c, &f));
        struct wire_field g;
        struct bytes values = {0};
        bool named = false;
        while (wire_next(&column, &g)) {
            if (g.number == 1) {
                named = bytes_equal(wire_bytes(&column, &g), bytes_str(name));
            } else if (g.number == 2) {
                values = wire_bytes(&column, &g);
            }
        }
        if (named) {
            return values;
        }
    }
    return (struct bytes){0};
}

/* --- asking a node --- */

static struct node *pick_node(struct world *w)
{
    for (unsigned tries = 0; tries < 8; tries++) {
        struct node *n = &w->nodes[random_below(&w->random, w->node_count)];
        if (node_is_serving(n)) {
            return n;
        }
    }
    return NULL;
}

static void done_request(struct member_request *r, const struct member_reply *reply)
{
    struct client *c = (struct client *)r;
    c->answered = true;
    c->asked = false;
    c->code = reply->code;
    c->result_session = reply->result.session;
    c->result_index = reply->result.index;
}

static void wait(struct client *c, uint64_t low_ms, uint64_t high_ms)
{
    c->next_us = c->world->now_us + random_between(&c->world->random, low_ms, high_ms) * WORLD_MS;
}

static void propose(struct client *c, enum command_kind kind, const struct buf *body)
{
    struct node *n = pick_node(c->world);
    if (n == NULL) {
        wait(c, 20, 100);
        return;
    }
    struct command command = {.kind = kind, .body = buf_bytes(body)};
    if (kind == COMMAND_WRITE && (c->world->weaken & WORLD_WEAKEN_ANSWERS) == 0) {
        command.session = c->session;
        command.sequence = c->sequence;
        command.sequence_open = c->sequence;
    }
    c->node = n;
    c->asked = true;
    c->answered = false;
    memset(&c->request, 0, sizeof c->request);
    c->request.done = done_request;
    c->request.deadline_ms = c->world->now_us / WORLD_MS + 2000;
    c->next_us = UINT64_MAX;
    member_propose(n->member, &command, &c->request);
}

static void done_piece(struct member_request *r, const struct member_reply *reply)
{
    (void)reply; /* the write itself is the answer that counts */
    mem_free(r);
}

/* A change that is not one (safety.md G2): half of its rows take effect by themselves. */
static void propose_piece(struct client *c)
{
    struct node *n = pick_node(c->world);
    size_t rows = c->operations[c->operation].large_rows / 2;
    if (n == NULL || rows == 0) {
        return;
    }
    struct buf body = {0};
    make_write(c, rows, &body);
    struct command command = {.kind = COMMAND_WRITE, .body = buf_bytes(&body)};
    struct member_request *r = mem_zalloc(sizeof *r);
    r->done = done_piece;
    r->deadline_ms = c->world->now_us / WORLD_MS + 2000;
    member_propose(n->member, &command, r);
    buf_deinit(&body);
}

static void ask(struct client *c)
{
    struct buf body = {0};
    switch (c->task) {
    case SET_INTERVAL:
        wire_put_str(&body, 1, "ts.wal.checkpoint_interval");
        wire_put_str(&body, 2, "3s");
        propose(c, COMMAND_SET_SETTING, &body);
        break;
    case CREATE_DATABASE:
        wire_put_str(&body, 1, "sim");
        wire_put_uint(&body, 2, 1);
        propose(c, COMMAND_CREATE_DATABASE, &body);
        break;
    case CREATE_TABLE:
        put_definition(&body);
        propose(c, COMMAND_CREATE_TABLE, &body);
        break;
    case OPEN_SESSION:
        propose(c, COMMAND_OPEN_SESSION, &body);
        break;
    case WRITE:
        if ((c->world->weaken & WORLD_WEAKEN_CHANGES) != 0) {
            propose_piece(c);
        }
        make_write(c, c->operations[c->operation].large_rows, &body);
        propose(c, COMMAND_WRITE, &body);
        break;
    case IDLE:
    case READ:
        PANIC("task %d asks for nothing", (int)c->task);
    }
    buf_deinit(&body);
}

/* --- reading --- */

/* Rows in the range; 'last' is the value of the last one. */
static enum err_code count_rows(struct tsdb_view *view, const struct range *r, size_t *rows,
                                uint64_t *last)
{
    struct buf request = {0};
    struct buf answer = {0};
    struct tsdb_scan *scan = NULL;
    struct err e;
    bool done = false;
    make_scan(&request, r);
    enum err_code code = tsdb_scan_open(view, buf_bytes(&request), &scan, &e);
    if (code == ERR_OK) {
        code = tsdb_scan_next(scan, 65536, &answer, &done, &e);
        CHECK(code != ERR_OK || done);
        tsdb_scan_close(scan);
    }
    struct bytes values = column_of(buf_bytes(&answer), "v");
    *rows = values.size / 8;
    *last = *rows > 0 ? bytes_get_u64(values.data + values.size - 8) : 0;
    buf_deinit(&request);
    buf_deinit(&answer);
    return code;
}

/* The register, and in the same state the other rows of the write that is in it. */
static void work_scan(struct job *job)
{
    struct client *c = job->context;
    struct tsdb_view *view = tsdb_view_pin(member_tsdb(c->node->member));
    struct range r = {"r", c->target, 0, 1};
    size_t rows = 0;
    c->scan_code = count_rows(view, &r, &rows, &c->value);
    if (c->scan_code == ERR_OK) {
        uint64_t ignored = 0;
        r = (struct range){"l", c->target, c->value * LARGE_ROWS_MAX,
                           (c->value + 1) * LARGE_ROWS_MAX};
        c->scan_code = count_rows(view, &r, &c->large_rows, &ignored);
    }
    tsdb_view_unpin(view);
}

static void done_scan(struct job *job)
{
    struct client *c = job->context;
    member_view_closed(c->node->member);
    if (c->scan_code == ERR_CORRUPT || c->scan_code == ERR_IO) {
        member_damage_seen(c->node->member); /* as the service does */
    }
    c->scanning = false;
    c->scanned = true;
}

static void start_read(struct client *c)
{
    struct node *n = pick_node(c->world);
    if (n == NULL) {
        wait(c, 20, 100);
        return;
    }
    c->task = READ;
    c->node = n;
    c->target = random_below(&c->world->random, WORLD_CLIENTS);
    c->floor = c->world->clients[c->target].acked_max;
    c->scanned = false;
    c->asked = true;
    c->answered = false;
    memset(&c->request, 0, sizeof c->request);
    c->request.done = done_request;
    c->request.deadline_ms = c->world->now_us / WORLD_MS + 2000;
    c->next_us = UINT64_MAX;
    member_read(n->member, false, 0, &c->request);
}

static void start_scan(struct client *c)
{
    if (!node_is_serving(c->node) || !member_may_view(c->node->member)) {
        c->task = IDLE;
        wait(c, 5, 50);
        return;
    }
    member_view_opened(c->node->member);
    c->scanning = true;
    c->job = (struct job){.lane = LANE_APPLY, .work = work_scan, .done = done_scan, .context = c};
    job_queue_push(&c->node->lanes[LANE_APPLY], &c->job);
}

static void check_read(struct client *c)
{
    struct world *w = c->world;
    c->task = IDLE;
    c->scanned = false;
    wait(c, 1, 30);
    if (c->scan_code != ERR_OK) {
        return; /* no table yet, or the node is going down */
    }
    if (c->node->diverted) {
        return; /* by a test, which waits for the node to notice */
    }
    uint64_t value = c->value;
    if (value < c->floor) {
        world_fail(w,
                   "stale read at %s: register r%zu has %" PRIu64 ", but %" PRIu64
                   " was acknowledged before the read began",
                   c->node->name, c->target, value, c->floor);
    }
    if (value < c->seen[c->target]) {
        world_fail(w, "register r%zu fell from %" PRIu64 " to %" PRIu64, c->target,
                   c->seen[c->target], value);
    }
    if (value > w->clients[c->target].operation) {
        world_fail(w, "register r%zu has %" PRIu64 ", which was never written", c->target, value);
    }
    size_t large_rows = value == 0 ? 0 : w->clients[c->target].operations[value].large_rows;
    if (c->large_rows != large_rows) {
        world_fail(w, "%s has %zu of %zu rows that write %" PRIu64 " of client %zu adds",
                   c->node->name, c->large_rows, large_rows, value, c->target);
    }
    c->seen[c->target] = value;
    w->counts.acked_reads++;
}

/* --- writing --- */

static void note_outcome(struct client *c, enum outcome outcome)
{
    struct operation *o = &c->operations[c->operation];
    o->outcome = outcome;
    if (outcome == ACKED) {
        c->acked_max = c->operation;
        c->world->counts.acked_writes++;
        c->world->counts.large_writes += o->large_rows > 0 ? 1 : 0;
    } else {
        c->world->counts.unknown++;
    }
}

/* Asked again with the same id, until the session itself is forgotten. */
static bool may_be_repeated(struct client *c)
{
    enum err_code code = c->code;
    return code == ERR_UNAVAILABLE || code == ERR_NOT_LEADER || code == ERR_DEADLINE ||
           code == ERR_FULL || code == ERR_NO_SPACE ||
           (code == ERR_UNKNOWN_OUTCOME && c->unknown_answers++ < UNKNOWN_ANSWERS_MAX);
}

static void take_write(struct client *c)
{
    if (c->code == ERR_OK) {
        note_outcome(c, ACKED);
        c->task = IDLE;
        wait(c, 1, 40);
    } else if (may_be_repeated(c)) {
        wait(c, 5, 60);
    } else if (c->code == ERR_UNKNOWN_OUTCOME) {
        note_outcome(c, UNKNOWN);
        c->session = 0;
        c->task = OPEN_SESSION;
        wait(c, 10, 60);
    } else {
        world_fail(c->world, "client %zu: write %" PRIu64 " was refused: %s", c->number,
                   c->operation, err_name(c->code));
    }
}

static void take_other(struct client *c)
{
    bool done = c->code == ERR_OK;
    wait(c, 1, 50);
    if (!done) {
        return; /* again */
    }
    switch (c->task) {
    case SET_INTERVAL:
        c->task = CREATE_DATABASE;
        break;
    case CREATE_DATABASE:
        c->task = CREATE_TABLE;
        break;
    case CREATE_TABLE:
        c->task = OPEN_SESSION;
        break;
    case OPEN_SESSION:
        c->session = c->result_session;
        c->sequence = 0;
        c->task = IDLE;
        break;
    case IDLE:
    case WRITE:
    case READ:
        PANIC("task %d", (int)c->task);
    }
}

static void take_answer(struct client *c)
{
    c->answered = false;
    world_trace(c->world, WORLD_NODES_MAX + c->number, c->operation, c->result_index);
    world_say(c->world, "client %zu: task %d operation %" PRIu64 " at %s: %s index %" PRIu64,
              c->number, (int)c->task, c->operation, c->node->name, err_name(c->code),
              c->result_index);
    if (c->task == WRITE) {
        take_write(c);
    } else if (c->task != READ) {
        take_other(c);
    } else if (c->code == ERR_OK) {
        start_scan(c);
    } else {
        c->task = IDLE;
        wait(c, 5, 60);
    }
}

/* Rows that a write adds so that it needs all the parts that there may be, or fewer. */
static size_t draw_large_rows(struct world *w)
{
    if (w->part_size == 0) {
        return random_between(&w->random, 1, LARGE_ROWS_MAX);
    }
    size_t rows = (COMMAND_PARTS_MAX * w->part_size - WRITE_BASE_SIZE) / ROW_SIZE;
    rows = rows < LARGE_ROWS_MAX ? rows : LARGE_ROWS_MAX;
    return random_between(&w->random, w->part_size / ROW_SIZE, rows);
}

static void start_write(struct client *c)
{
    struct world *w = c->world;
    c->task = WRITE;
    c->operation++;
    c->sequence++;
    c->unknown_answers = 0;
    c->operations =
        mem_grow(c->operations, &c->operation_capacity, c->operation + 1, sizeof *c->operations);
    struct operation *o = &c->operations[c->operation];
    o->outcome = OPEN;
    o->large_rows = random_chance(&w->random, 1, 4) ? draw_large_rows(w) : 0;
    ask(c);
}

static void start_task(struct client *c)
{
    struct world *w = c->world;
    bool ending = w->now_us + SETTLE_MS * WORLD_MS >= w->end_us;
    if (ending) {
        c->next_us = UINT64_MAX;
    } else if (random_chance(&w->random, 1, 3)) {
        start_read(c);
    } else {
        start_write(c);
    }
}

/* --- the clients of a world --- */

void clients_open(struct world *w)
{
    w->clients = mem_array(WORLD_CLIENTS, sizeof *w->clients);
    for (size_t i = 0; i < WORLD_CLIENTS; i++) {
        struct client *c = &w->clients[i];
        c->world = w;
        c->number = i;
        c->task = SET_INTERVAL;
        c->next_us = w->now_us + random_between(&w->random, 100, 500) * WORLD_MS;
    }
}

void clients_close(struct world *w)
{
    for (size_t i = 0; i < WORLD_CLIENTS; i++) {
        struct client *c = &w->clients[i];
        CHECK(!c->asked);
        CHECK(!c->scanning);
        mem_free(c->operations);
    }
    mem_free(w->clients);
}

bool clients_run(struct world *w)
{
    bool any = false;
    for (size_t i = 0; i < WORLD_CLIENTS; i++) {
        struct client *c = &w->clients[i];
        if (c->answered) {
            take_answer(c);
            any = true;
        } else if (c->scanned) {
            check_read(c);
            any = true;
        } else if (!c->asked && !c->scanning && c->next_us <= w->now_us) {
            any = true;
            if (c->task == IDLE) {
                start_task(c);
            } else {
                ask(c);
            }
        }
    }
    return any;
}

uint64_t clients_next_us(const struct world *w)
{
    uint64_t at = UINT64_MAX;
    for (size_t i = 0; i < WORLD_CLIENTS; i++) {
        const struct client *c = &w->clients[i];
        if (!c->asked && !c->scanning && c->next_us < at) {
            at = c->next_us;
        }
    }
    return at;
}

void clients_node_lost(struct world *w, struct node *n)
{
    for (size_t i = 0; i < WORLD_CLIENTS; i++) {
        struct client *c = &w->clients[i];
        CHECK(c->node != n || (!c->asked && !c->scanning)); /* the member answered all */
        if (c->node == n && c->scanned) {
            c->scanned = false;
            c->task = IDLE;
            wait(c, 5, 50);
        }
    }
}

bool clients_are_settled(const struct world *w)
{
    for (size_t i = 0; i < WORLD_CLIENTS; i++) {
        const struct client *c = &w->clients[i];
        if (c->task != IDLE || c->asked || c->scanning || c->answered || c->scanned) {
            return false;
        }
    }
    return true;
}

/* --- the end --- */

struct found {
    uint64_t *values; /* by time */
    size_t capacity;
    uint64_t last;
};

static void collect(struct found *found, struct bytes response)
{
    struct bytes times = column_of(response, "ts");
    struct bytes values = column_of(response, "v");
    for (size_t i = 0; i + 8 <= times.size && i + 8 <= values.size; i += 8) {
        uint64_t time = bytes_get_u64(times.data + i);
        CHECK(time < UINT64_C(1) << 32);
        size_t before = found->capacity;
        found->values = mem_grow(found->values, &found->capacity, time + 1, sizeof *found->values);
        if (found->capacity > before) {
            memset(found->values + before, 0, (found->capacity - before) * sizeof *found->values);
        }
        found->values[time] = bytes_get_u64(values.data + i);
        found->last = time > found->last ? time : found->last;
    }
}

static void scan_all(struct node *n, const char *kind, size_t number, struct found *found)
{
    struct tsdb_view *view = tsdb_view_pin(member_tsdb(n->member));
    struct buf request = {0};
    struct buf answer = {0};
    struct tsdb_scan *scan = NULL;
    struct err e;
    bool done = false;
    make_scan(&request, &(struct range){kind, number, 0, INT64_MAX});
    enum err_code code = tsdb_scan_open(view, buf_bytes(&request), &scan, &e);
    while (code == ERR_OK && !done) {
        buf_reset(&answer);
        code = tsdb_scan_next(scan, 65536, &answer, &done, &e);
        collect(found, buf_bytes(&answer));
    }
    if (code != ERR_OK) {
        world_fail(n->world, "%s: scan of %s%zu: %s", n->name, kind, number, e.text);
    }
    tsdb_scan_close(scan);
    tsdb_view_unpin(view);
    buf_deinit(&request);
    buf_deinit(&answer);
}

static uint64_t value_at(const struct found *found, uint64_t time)
{
    return time < found->capacity ? found->values[time] : 0;
}

/* Of a write that took effect all rows are there, of another one none. */
static void check_large(struct node *n, const struct client *c, const struct found *rows)
{
    struct found large = {0};
    scan_all(n, "l", c->number, &large);
    for (uint64_t k = 1; k <= c->operation; k++) {
        size_t expected = value_at(rows, k) != 0 ? c->operations[k].large_rows : 0;
        for (size_t i = 0; i < LARGE_ROWS_MAX; i++) {
            uint64_t value = value_at(&large, k * LARGE_ROWS_MAX + i);
            if (value != (i < expected ? k : 0)) {
                world_fail(n->world,
                           "%s: write %" PRIu64 " of client %zu adds %zu rows, row %zu has "
                           "value %" PRIu64,
                           n->name, k, c->number, expected, i, value);
            }
        }
    }
    mem_free(large.values);
}

static void check_rows(struct node *n, const struct client *c)
{
    struct found found = {0};
    scan_all(n, "c", c->number, &found);
    if (found.last > c->operation) {
        world_fail(n->world, "%s: client %zu never wrote row %" PRIu64, n->name, c->number,
                   found.last);
    }
    for (uint64_t k = 1; k <= c->operation; k++) {
        uint64_t value = value_at(&found, k);
        if (c->operations[k].outcome == ACKED && value != k) {
            world_fail(n->world, "%s: write %" PRIu64 " of client %zu was acknowledged and is %s",
                       n->name, k, c->number, value == 0 ? "lost" : "changed");
        }
        if (value != 0 && value != k) {
            world_fail(n->world, "%s: row %" PRIu64 " of client %zu has value %" PRIu64, n->name, k,
                       c->number, value);
        }
    }
    check_large(n, c, &found);
    mem_free(found.values);
}

static void check_register(struct node *n, const struct client *c)
{
    struct found found = {0};
    scan_all(n, "r", c->number, &found);
    uint64_t value = found.capacity > 0 ? found.values[0] : 0;
    if (value < c->acked_max || value > c->operation) {
        world_fail(n->world,
                   "%s: register r%zu ends with %" PRIu64 ", acknowledged were up to %" PRIu64,
                   n->name, c->number, value, c->acked_max);
    }
    mem_free(found.values);
}

void clients_check(struct world *w)
{
    for (size_t i = 0; i < w->node_count; i++) {
        for (size_t k = 0; k < WORLD_CLIENTS; k++) {
            check_rows(&w->nodes[i], &w->clients[k]);
            check_register(&w->nodes[i], &w->clients[k]);
        }
    }
}
