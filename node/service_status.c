/* SPDX-License-Identifier: Apache-2.0 */
/* NodeStatus and ClusterStatus. The figures of the logs belong to the log lane:
 * a job reads them, then the answer is made on the loop. ClusterStatus asks
 * every other member over its peer link. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/version.h"
#include "node/service_internal.h"

enum { ASK_LIMIT_MS = 2000, STATM_SIZE_MAX = 256, PAGE_SIZE = 4096 };

/* Of tidemark.v1.NodeStatusResponse and DamageStatus. */
enum { FIELD_DAMAGE = 24, FIELD_RECOVERY = 25, DAMAGE_WAITING = 3 };

/* tidemark.v1.Role */
enum role {
    ROLE_FOLLOWER = 1,
    ROLE_CANDIDATE = 2,
    ROLE_LEADER = 3,
    ROLE_STANDALONE = 4,
    ROLE_FORMING = 5,
    ROLE_REPAIRING = 6,
    ROLE_SPARE = 7,
    ROLE_UNREACHABLE = 8,
};

/* --- this node's figures --- */

static void read_figures(struct storage *storage, enum storage_log log, uint64_t checkpoint_index,
                         struct log_figures *f)
{
    struct wal *w = storage_wal(storage, log);
    *f = (struct log_figures){.has = w != NULL};
    if (w == NULL) {
        return;
    }
    f->index_first = wal_index_first(w);
    f->index_last = wal_index_last(w);
    f->index_durable = wal_index_durable(w);
    f->lsn_end = wal_lsn_end(w);
    f->lsn_durable = wal_lsn_durable(w);
    (void)wal_holes(w, &f->holes);
    f->segment_size = storage_segment_size(storage);
    f->stats = wal_stats(w);
    f->position = wal_position(w, checkpoint_index);
}

/* The second number of /proc/self/statm: resident pages. (Its size reads as 0.) */
static uint64_t resident_size(struct io *io)
{
    struct file *file = NULL;
    uint8_t text[STATM_SIZE_MAX];
    size_t size = 0;
    uint64_t pages = 0;
    unsigned word = 0;
    if (io_open(io, "/proc/self/statm", IO_READ, &file, NULL) != ERR_OK) {
        return 0;
    }
    if (file_read_at(file, 0, text, sizeof text, &size, NULL) != ERR_OK) {
        size = 0;
    }
    for (size_t i = 0; i < size && word < 2; i++) {
        word += text[i] == ' ' ? 1 : 0;
        bool digit = word == 1 && text[i] >= '0' && text[i] <= '9';
        pages = digit ? pages * 10 + (uint64_t)(text[i] - '0') : pages;
    }
    file_close(file);
    return pages * PAGE_SIZE;
}

static enum role role_of(const struct member *m, const struct member_status *s)
{
    switch (s->state) {
    case MEMBER_LOCAL:
        return ROLE_STANDALONE;
    case MEMBER_REPAIRING:
        return ROLE_REPAIRING;
    case MEMBER_RUNNING:
        break;
    case MEMBER_OPENING:
    case MEMBER_FORMING:
    case MEMBER_STARTING:
    case MEMBER_STOPPING:
    case MEMBER_STOPPED:
        return ROLE_FORMING;
    }
    const struct server *self = configuration_find(member_configuration(m), s->directory_id);
    if (self == NULL || self->role == SERVER_SPARE) {
        return ROLE_SPARE;
    }
    return s->replica.role == REPLICA_LEADER      ? ROLE_LEADER
           : s->replica.role == REPLICA_CANDIDATE ? ROLE_CANDIDATE
                                                  : ROLE_FOLLOWER;
}

static void put_member(struct buf *out, uint32_t field, uint64_t id, const char *address,
                       const char *kind, const char *client_address)
{
    char name[LIMIT_ADDRESS_SIZE_MAX + 1];
    (void)snprintf(name, sizeof name, "%s", address);
    char *at = strchr(name, '@');
    size_t mark = wire_begin(out, field);
    wire_put_fixed64(out, 1, id);
    if (at != NULL) {
        *at = '\0';
        wire_put_str(out, 3, at + 1);
    }
    wire_put_str(out, 2, name);
    wire_put_str(out, 4, client_address);
    wire_put_str(out, 5, kind);
    wire_end(out, mark);
}

static const char *kind_of(const struct configuration *c, uint64_t id)
{
    static const char *const names[] = {"spare", "standby", "voter"};
    const struct server *s = configuration_find(c, id);
    return s == NULL ? "" : names[s->role];
}

static void put_latency(struct buf *out, uint32_t field, const struct wal_latency *l)
{
    size_t count = WAL_LATENCY_BUCKETS;
    while (count > 0 && l->buckets[count - 1] == 0) {
        count--;
    }
    size_t mark = wire_begin(out, field);
    wire_put_uint(out, 1, l->count);
    wire_put_uint(out, 2, l->us);
    wire_put_uint(out, 3, l->us_max);
    size_t buckets = wire_begin(out, 4);
    for (size_t i = 0; i < count; i++) {
        buf_put_varint(out, l->buckets[i]);
    }
    wire_end(out, buckets);
    wire_end(out, mark);
}

static void put_log(struct buf *out, const char *name, const struct log_figures *f,
                    const struct member_status *s, const struct wal_report *report)
{
    char lsn[WAL_LSN_TEXT_SIZE];
    size_t mark = wire_begin(out, 11);
    bool raft = strcmp(name, "raft") == 0;
    wire_put_str(out, 1, name);
    wire_put_str(out, 2, wal_lsn_text(f->lsn_end, lsn));
    wire_put_str(out, 3, wal_lsn_text(f->lsn_durable, lsn));
    wire_put_uint(out, 4, f->index_first);
    wire_put_uint(out, 5, f->index_last);
    wire_put_uint(out, 6, f->index_durable);
    wire_put_uint(out, 7, f->stats.segments);
    wire_put_uint(out, 8, f->holes);
    wire_put_uint(out, 9, f->stats.holes_found);
    wire_put_uint(out, 10, f->stats.holes_filled);
    wire_put_uint(out, 11, f->stats.holes_dropped);
    wire_put_uint(out, 12, report->records_torn);
    if (raft && s->state == MEMBER_REPAIRING) {
        wire_put_str(out, 13, s->message);
    }
    wire_put_uint(out, 14, f->stats.syncs.count);
    wire_put_uint(out, 15, f->stats.syncs.us_max);
    wire_put_str(out, 16, wal_lsn_text(f->position.lsn, lsn));
    wire_put_uint(out, 17, s->checkpoint_index);
    wire_put_uint(out, 18, f->position.segments_current);
    wire_put_uint(out, 19, f->position.segments_checkpoint);
    wire_put_uint(out, 20, f->position.segments_recycled);
    wire_put_uint(out, 21, f->segment_size);
    wire_put_str(out, 22, raft && f->index_first <= s->checkpoint_index ? s->raft_retained_by : "");
    wire_put_uint(out, 23, f->stats.records);
    wire_put_uint(out, 24, f->stats.bytes);
    wire_put_uint(out, 25, f->stats.buffers_full);
    put_latency(out, 26, &f->stats.writes);
    put_latency(out, 27, &f->stats.syncs);
    wire_end(out, mark);
}

static void put_checkpoint(struct buf *out, const struct member_status *s)
{
    if (s->checkpoint_index == 0) {
        return;
    }
    size_t mark = wire_begin(out, 22);
    wire_put_uint(out, 1, s->checkpoint_index);
    wire_put_uint(out, 2, s->checkpoint_time_ms);
    wire_put_uint(out, 3, s->checkpoint_ms);
    wire_put_uint(out, 4, s->checkpoint_bytes);
    wire_end(out, mark);
}

static void put_damage(struct buf *out, const struct member_damage *d)
{
    size_t mark = wire_begin(out, FIELD_DAMAGE);
    wire_put_uint(out, 1, d->parts_found);
    wire_put_uint(out, 2, d->parts_refilled);
    wire_put_uint(out, DAMAGE_WAITING, d->parts_waiting);
    wire_put_uint(out, 4, d->parts_dropped);
    wire_put_uint(out, 5, d->scrubbed);
    wire_put_uint(out, 6, d->rounds_parts);
    wire_put_uint(out, 7, d->rounds_logs);
    wire_end(out, mark);
}

static void put_recovery(struct buf *out, const struct member_status *s,
                         const struct wal_report *report)
{
    const struct recovery *r = &s->recovery;
    char lsn[WAL_LSN_TEXT_SIZE];
    if (r->phase == RECOVERY_ANALYSIS) {
        return;
    }
    size_t mark = wire_begin(out, FIELD_RECOVERY);
    wire_put_str(out, 1, recovery_phase_name(r->phase));
    wire_put_uint(out, 2, r->analysis_ms);
    wire_put_str(out, 3, wal_lsn_text(r->lsn, lsn));
    wire_put_uint(out, 4, r->index);
    wire_put_uint(out, 5, r->entries);
    wire_put_uint(out, 6, s->recovery_view.bytes_done);
    wire_put_uint(out, 7, s->recovery_view.bytes_left);
    wire_put_uint(out, 8, s->recovery_view.bytes_per_second);
    wire_put_uint(out, 9, s->recovery_view.remaining_ms);
    wire_put_uint(out, 10, r->redo_ms);
    wire_put_uint(out, 11, r->undone);
    if (report->loss_found) {
        wire_put_str(out, 12, wal_lsn_text(report->lsn_lost, lsn));
        wire_put_uint(out, 13, report->index_kept);
        wire_put_uint(out, 14, report->records_dropped);
    }
    wire_end(out, mark);
}

static const char *leader_name(const struct configuration *c, uint64_t leader, char *dst,
                               size_t size)
{
    const struct server *s = configuration_find(c, leader);
    (void)snprintf(dst, size, "%s", s == NULL ? "" : s->address);
    char *at = strchr(dst, '@');
    if (at != NULL) {
        *at = '\0';
    }
    return dst;
}

static void put_node_status(const struct service *service, const struct log_figures figures[2],
                            struct buf *out)
{
    const struct member *m = service->member;
    struct member_status s = member_status(m);
    const struct configuration *c = member_configuration(m);
    char address[LIMIT_ADDRESS_SIZE_MAX + 1];
    (void)snprintf(address, sizeof address, "%.60s@%.190s", s.name, s.peer_address);
    put_member(out, 1, s.directory_id, address, kind_of(c, s.directory_id), s.client_address);
    wire_put_fixed64(out, 2, s.cluster_id);
    wire_put_uint(out, 3, role_of(m, &s));
    wire_put_uint(out, 4, s.replica.term);
    wire_put_fixed64(out, 5, s.replica.leader);
    wire_put_str(out, 6, leader_name(c, s.replica.leader, address, sizeof address));
    wire_put_uint(out, 7, s.replica.commit_index);
    wire_put_uint(out, 8, s.applied_index);
    wire_put_uint(out, 9, s.replica.last_index);
    wire_put_uint(out, 10, s.checkpoint_index);
    const struct storage *storage = member_storage(m);
    if (figures[STORAGE_RAFT].has) {
        put_log(out, "raft", &figures[STORAGE_RAFT], &s, storage_report(storage, STORAGE_RAFT));
    }
    if (figures[STORAGE_LOCAL].has) {
        put_log(out, "local", &figures[STORAGE_LOCAL], &s, storage_report(storage, STORAGE_LOCAL));
    }
    wire_put_uint(out, 12, s.wal_level);
    wire_put_uint(out, 13, resident_size(service->io));
    wire_put_uint(out, 14, (io_monotonic_us(service->io) - service->started_us) / 1000);
    wire_put_str(out, 15, TIDEMARK_VERSION);
    wire_put_str(out, 16, s.message);
    wire_put_uint(out, 17, s.healthy ? 1 : 0);
    wire_put_uint(out, 18, s.start_counter);
    wire_put_uint(out, 19, s.writes);
    wire_put_uint(out, 20, s.rows_written);
    wire_put_uint(out, 21, s.reads);
    put_checkpoint(out, &s);
    put_damage(out, &s.damage);
    put_recovery(out, &s, storage_report(storage, STORAGE_LOCAL));
}

/* --- the job that reads the figures, for whoever asks --- */

struct figures_job {
    struct job job;
    struct service *service;
    struct log_figures figures[2];
    uint64_t peer_id; /* a peer asked ... */
    uint64_t token;
    struct node_call *call; /* ... or a client */
};

struct cluster_part {
    struct member_request request; /* first */
    struct node_call *owner;
    uint64_t id;
    bool out;
    struct buf status; /* empty: did not answer */
};

struct node_call {
    struct call call; /* first */
    bool cluster;     /* ClusterStatus */
    bool figures_out;
    size_t parts_out;
    size_t part_count;
    struct cluster_part parts[LIMIT_NODES_MAX];
    struct buf own;
};

static void try_finish(struct node_call *n);

static void work_figures(struct job *job)
{
    struct figures_job *f = (struct figures_job *)job;
    struct storage *storage = member_storage(f->service->member);
    uint64_t index = storage_control(storage)->checkpoint_index;
    read_figures(storage, STORAGE_RAFT, index, &f->figures[STORAGE_RAFT]);
    read_figures(storage, STORAGE_LOCAL, index, &f->figures[STORAGE_LOCAL]);
}

static void done_figures(struct job *job)
{
    struct figures_job *f = (struct figures_job *)job;
    struct buf status = {0};
    put_node_status(f->service, f->figures, &status);
    if (f->call != NULL) {
        f->call->figures_out = false;
        buf_put_bytes(&f->call->own, buf_bytes(&status));
        try_finish(f->call);
    } else {
        member_answer_status(f->service->member, f->peer_id, f->token, buf_bytes(&status));
    }
    buf_deinit(&status);
    mem_free(f);
}

static struct figures_job *read_logs(struct service *s)
{
    struct figures_job *f = mem_zalloc(sizeof *f);
    f->service = s;
    f->job.lane = LANE_LOG;
    f->job.work = work_figures;
    f->job.done = done_figures;
    const struct member_host *host = member_host(s->member);
    host->submit(host->context, &f->job);
    return f;
}

void service_status_asked(struct service *s, uint64_t peer_id, uint64_t token)
{
    struct figures_job *f = read_logs(s);
    f->peer_id = peer_id;
    f->token = token;
}

/* --- calls --- */

static void release_node_call(struct call *c)
{
    struct node_call *n = (struct node_call *)c;
    for (size_t i = 0; i < n->part_count; i++) {
        buf_deinit(&n->parts[i].status);
    }
    buf_deinit(&n->own);
    mem_free(n);
}

static bool is_healthy(struct bytes status)
{
    enum { FIELD_HEALTHY = 17, FIELD_LOG = 11, FIELD_HOLES = 8 };
    bool healthy = false;
    bool damaged = false;
    struct cursor c = cursor_of(status);
    struct wire_field f;
    while (wire_next(&c, &f)) {
        if (f.number == FIELD_HEALTHY) {
            healthy = wire_bool(&c, &f);
        } else if (f.number == FIELD_LOG) {
            struct cursor log = cursor_of(wire_bytes(&c, &f));
            struct wire_field g;
            while (wire_next(&log, &g)) {
                damaged |= g.number == FIELD_HOLES && wire_uint(&log, &g) > 0;
            }
        } else if (f.number == FIELD_DAMAGE) {
            struct cursor damage = cursor_of(wire_bytes(&c, &f));
            struct wire_field g;
            while (wire_next(&damage, &g)) {
                damaged |= g.number == DAMAGE_WAITING && wire_uint(&damage, &g) > 0;
            }
        }
    }
    return healthy && !damaged;
}

static void put_unreachable(struct buf *out, const struct configuration *c, uint64_t id)
{
    const struct server *s = configuration_find(c, id);
    size_t mark = wire_begin(out, 3);
    put_member(out, 1, id, s == NULL ? "" : s->address, kind_of(c, id), "");
    wire_put_uint(out, 3, ROLE_UNREACHABLE);
    wire_end(out, mark);
}

static void put_field(struct buf *out, const struct wire_field *f)
{
    if (f->type == WIRE_BYTES) {
        wire_put_item(out, f->number, f->bytes);
    } else if (f->type == WIRE_FIXED64) {
        wire_put_fixed64(out, f->number, f->value);
    } else {
        wire_put_uint(out, f->number, f->value);
    }
}

/* A member's own answer, but its kind as the configuration here says: a spare
 * has no log, so it can't know what it is. */
static void put_answer(struct buf *out, struct bytes status, const char *kind)
{
    enum { FIELD_SELF = 1, FIELD_KIND = 5 };
    size_t mark = wire_begin(out, 3);
    struct cursor c = cursor_of(status);
    struct wire_field f;
    while (wire_next(&c, &f)) {
        if (f.number != FIELD_SELF) {
            put_field(out, &f);
            continue;
        }
        size_t self = wire_begin(out, FIELD_SELF);
        struct cursor inner = cursor_of(wire_bytes(&c, &f));
        struct wire_field g;
        while (wire_next(&inner, &g)) {
            if (g.number != FIELD_KIND) {
                put_field(out, &g);
            }
        }
        wire_put_str(out, FIELD_KIND, kind);
        wire_end(out, self);
    }
    wire_end(out, mark);
}

static void reply_cluster(struct node_call *n)
{
    const struct member *m = n->call.service->member;
    const struct configuration *c = member_configuration(m);
    bool healthy = is_healthy(buf_bytes(&n->own));
    struct buf answer = {0};
    wire_put_fixed64(&answer, 1, member_status(m).cluster_id);
    wire_put_uint(&answer, 2, c->index);
    wire_put_item(&answer, 3, buf_bytes(&n->own));
    for (size_t i = 0; i < n->part_count; i++) {
        struct bytes status = buf_bytes(&n->parts[i].status);
        const struct server *s = configuration_find(c, n->parts[i].id);
        bool voter = s != NULL && s->role == SERVER_VOTER;
        if (status.size > 0) {
            put_answer(&answer, status, kind_of(c, n->parts[i].id));
            healthy &= !voter || is_healthy(status);
        } else {
            put_unreachable(&answer, c, n->parts[i].id);
            healthy &= !voter;
        }
    }
    wire_put_uint(&answer, 4, healthy ? 1 : 0);
    call_reply(&n->call, buf_bytes(&answer));
    buf_deinit(&answer);
}

static void try_finish(struct node_call *n)
{
    if (n->figures_out || n->parts_out > 0) {
        return;
    }
    n->call.job_out = false;
    if (call_is_over(&n->call)) {
        return;
    }
    if (n->cluster) {
        reply_cluster(n);
    } else {
        call_reply(&n->call, buf_bytes(&n->own));
    }
}

static void done_part(struct member_request *r, const struct member_reply *reply)
{
    struct cluster_part *p = (struct cluster_part *)r;
    p->owner->parts_out--;
    if (reply->code == ERR_OK) {
        buf_put_bytes(&p->status, reply->data);
    }
    try_finish(p->owner);
}

static void ask_members(struct node_call *n)
{
    struct member *m = n->call.service->member;
    const struct configuration *c = member_configuration(m);
    uint64_t own = member_status(m).directory_id;
    uint64_t now = io_monotonic_us(n->call.service->io) / 1000;
    for (size_t i = 0; i < c->count; i++) {
        if (c->servers[i].id == own) {
            continue;
        }
        struct cluster_part *p = &n->parts[n->part_count++];
        p->owner = n;
        p->id = c->servers[i].id;
        p->request.done = done_part;
        p->request.deadline_ms = now + ASK_LIMIT_MS;
        n->parts_out++;
    }
    for (size_t i = 0; i < n->part_count; i++) {
        member_ask_status(m, n->parts[i].id, &n->parts[i].request);
    }
}

static void on_status(struct grpc_call *grpc, struct service *s, bool cluster)
{
    if (!service_is_ready(s, grpc)) {
        return;
    }
    struct node_call *n = mem_zalloc(sizeof *n);
    call_begin(&n->call, s, grpc, release_node_call);
    n->cluster = cluster;
    n->call.job_out = true; /* until all parts are here */
    n->figures_out = true;
    read_logs(s)->call = n;
    if (cluster) {
        ask_members(n);
    }
}

static void on_node_status(struct grpc_call *grpc, struct bytes message, void *context)
{
    (void)message;
    on_status(grpc, context, false);
}

static void on_cluster_status(struct grpc_call *grpc, struct bytes message, void *context)
{
    (void)message;
    on_status(grpc, context, true);
}

size_t service_status_add(struct service *s, struct grpc_method *methods)
{
    methods[0] = (struct grpc_method){.path = "/tidemark.v1.Admin/NodeStatus",
                                      .kind = GRPC_UNARY,
                                      .message = on_node_status,
                                      .context = s};
    methods[1] = (struct grpc_method){.path = "/tidemark.v1.Admin/ClusterStatus",
                                      .kind = GRPC_UNARY,
                                      .message = on_cluster_status,
                                      .context = s};
    return 2;
}
