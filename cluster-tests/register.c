/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster-tests/register.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/check.h"
#include "base/mem.h"
#include "proto/wire.h"

enum { WRITE_LIMIT_MS = 1000, READ_LIMIT_MS = 5000, AGAIN_US = 10000, READ_PAUSE_US = 5000 };

struct reader {
    struct reg *reg;
    size_t node;
    bool out;
    bool good;      /* the answer can be read */
    uint64_t low;   /* when it began */
    uint64_t value; /* of the answer; 0: no row */
    uint64_t at_us; /* not before */
};

struct reg {
    struct cluster *cluster;
    struct row_book *book;
    struct reg_bounds bounds;
    uint64_t session;
    bool out;     /* a write, or the opening of the session */
    bool open;    /* a write has no answer */
    bool gave_up; /* the outcome of the last write stays unknown */
    struct node_write write;
    size_t target;
    uint64_t at_us;
    uint64_t reads;
    char fault[256];
    struct reader readers[CLUSTER_NODES_MAX];
};

bool reg_bounds_judge(struct reg_bounds *b, uint64_t low, uint64_t value)
{
    CHECK(low <= b->low);
    if (value < low || value > b->sent) {
        return false;
    }
    b->low = value > b->low ? value : b->low;
    return true;
}

/* --- writing --- */

static void later(struct reg *g, const struct grpc_result *r)
{
    size_t count = cluster_size(g->cluster);
    size_t leader = r->leader == NULL ? count : cluster_find(g->cluster, r->leader);
    g->target = leader < count && leader != g->target ? leader : (g->target + 1) % count;
    g->at_us = process_now_us() + AGAIN_US;
}

static void on_session(void *context, struct bytes message)
{
    struct reg *g = context;
    struct cursor c = cursor_of(message);
    struct wire_field f;
    while (wire_next(&c, &f)) {
        if (f.number == 1) {
            g->session = wire_uint(&c, &f);
        }
    }
}

static void on_session_done(void *context, const struct grpc_result *r)
{
    struct reg *g = context;
    g->out = false;
    if (r->status != GRPC_OK) {
        later(g, r);
    }
}

static void on_write_message(void *context, struct bytes message)
{
    (void)context;
    (void)message; /* its status says all */
}

static void on_write_done(void *context, const struct grpc_result *r)
{
    struct reg *g = context;
    g->out = false;
    if (r->status == GRPC_OK) {
        g->open = false;
        row_book_acked(g->book, g->write.value);
        g->bounds.low = g->write.value > g->bounds.low ? g->write.value : g->bounds.low;
    } else {
        later(g, r);
    }
}

static void send(struct reg *g, const char *path, struct buf *request,
                 const struct grpc_client_events *events)
{
    struct node_client *client = cluster_client(g->cluster, g->target);
    struct grpc_call_request r = {
        .path = path,
        .message = buf_bytes(request),
        .deadline_ms = grpc_blocking_now_ms(client->blocking) + WRITE_LIMIT_MS,
    };
    g->out = grpc_channel_call(client->channel, &r, events, g) != NULL;
    buf_deinit(request);
}

static void open_session(struct reg *g)
{
    static const struct grpc_client_events events = {on_session, on_session_done};
    struct buf request = {0};
    send(g, "/tidemark.v1.Data/OpenSession", &request, &events);
}

static void send_write(struct reg *g)
{
    static const struct grpc_client_events events = {on_write_message, on_write_done};
    struct buf request = {0};
    if (!g->open) {
        g->open = true;
        g->write = (struct node_write){
            .session = g->session,
            .sequence = g->write.sequence + 1,
            .sequence_open = g->write.sequence + 1,
            .count = 1,
            .value = row_book_begin(g->book, 0, 0, 1),
        };
        g->bounds.sent = g->write.value;
    }
    node_write_encode(&g->write, &request);
    send(g, "/tidemark.v1.Data/Write", &request, &events);
}

/* --- reading --- */

static void on_row(void *context, unsigned series, uint64_t key, uint64_t value)
{
    struct reader *reader = context;
    reader->good = reader->good && series == 0 && key == 0 && reader->value == 0;
    reader->value = value;
}

static struct node_scan scan_of(struct reader *reader)
{
    return (struct node_scan){.series = 0, .row = on_row, .context = reader};
}

static void on_answer(void *context, struct bytes message)
{
    struct reader *reader = context;
    struct node_scan scan = scan_of(reader);
    reader->good = node_scan_message(&scan, message) && reader->good;
}

static void on_read_done(void *context, const struct grpc_result *r)
{
    struct reader *reader = context;
    struct reg *g = reader->reg;
    reader->out = false;
    reader->at_us = process_now_us() + (r->status == GRPC_OK ? READ_PAUSE_US : AGAIN_US);
    if (r->status != GRPC_OK) {
        return; /* no answer is no lie */
    }
    g->reads++;
    uint64_t low = reader->low;
    if ((!reader->good || !reg_bounds_judge(&g->bounds, low, reader->value)) &&
        g->fault[0] == '\0') {
        (void)snprintf(g->fault, sizeof g->fault,
                       "a linearizable read on %s saw value %" PRIu64 ", not one from %" PRIu64
                       " to %" PRIu64 "%s",
                       cluster_name(g->cluster, reader->node), reader->value, low, g->bounds.sent,
                       reader->good ? "" : " (malformed)");
    }
}

static void send_read(struct reader *reader)
{
    static const struct grpc_client_events events = {on_answer, on_read_done};
    struct reg *g = reader->reg;
    struct node_client *client = cluster_client(g->cluster, reader->node);
    struct buf request = {0};
    struct node_scan scan = scan_of(reader);
    node_scan_encode(&scan, &request);
    struct grpc_call_request r = {
        .path = "/tidemark.v1.Data/Scan",
        .message = buf_bytes(&request),
        .deadline_ms = grpc_blocking_now_ms(client->blocking) + READ_LIMIT_MS,
        .streams = true,
    };
    reader->low = g->bounds.low;
    reader->value = 0;
    reader->good = true;
    reader->out = grpc_channel_call(client->channel, &r, &events, reader) != NULL;
    buf_deinit(&request);
}

/* --- life --- */

struct reg *reg_open(struct cluster *c, struct row_book *book)
{
    struct reg *g = mem_zalloc(sizeof *g);
    g->cluster = c;
    g->book = book;
    for (size_t i = 0; i < cluster_size(c); i++) {
        g->readers[i] = (struct reader){.reg = g, .node = i};
    }
    return g;
}

void reg_close(struct reg *g)
{
    CHECK(reg_is_idle(g));
    mem_free(g);
}

void reg_turn(struct reg *g, uint64_t now_us, bool draining)
{
    if (!g->out && now_us >= g->at_us && !g->gave_up && (!draining || g->open)) {
        if (g->session == 0) {
            open_session(g);
        } else {
            send_write(g);
        }
    }
    for (size_t i = 0; i < cluster_size(g->cluster) && !draining; i++) {
        struct reader *reader = &g->readers[i];
        if (!reader->out && now_us >= reader->at_us) {
            send_read(reader);
        }
    }
}

bool reg_is_idle(const struct reg *g)
{
    bool idle = !g->out && (!g->open || g->gave_up);
    for (size_t i = 0; i < cluster_size(g->cluster); i++) {
        idle = idle && !g->readers[i].out;
    }
    return idle;
}

void reg_give_up(struct reg *g)
{
    if (g->open && !g->out) {
        g->gave_up = true;
    }
}

uint64_t reg_reads(const struct reg *g)
{
    return g->reads;
}

const char *reg_fault(const struct reg *g)
{
    return g->fault[0] == '\0' ? NULL : g->fault;
}
