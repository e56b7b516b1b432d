/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/test/cluster.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "raft/raft_replica.h"
#include "raft/test/cluster_inside.h"
#include "raft/test/cluster_trace.h"

void cluster_fail(const struct cluster *c, const char *format, ...)
{
    char text[400];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (c->options.trace) {
        size_t skip = c->trace.size > 60000 ? c->trace.size - 60000 : 0;
        (void)fprintf(stderr, "%.*s", (int)(c->trace.size - skip),
                      (const char *)c->trace.data + skip);
    }
    PANIC("seed %" PRIu64 " at %" PRIu64 " ms: %s", c->options.seed, c->now_ms, text);
}

static bool is_shown(const struct cluster *c, enum trace_topic topic)
{
    return c->options.trace && (c->shown & 1U << (unsigned)topic) != 0;
}

static void note_fault(struct cluster *c, uint64_t node, const char *text)
{
    if (is_shown(c, TRACE_FAULTS)) {
        buf_printf(&c->trace, "%" PRIu64 " n%" PRIu64 " %s\n", c->now_ms, node, text);
    }
}

static void note_action(struct cluster *c, uint64_t node, const struct action *a)
{
    if (c->options.trace && is_shown(c, cluster_trace_topic_of(a, node))) {
        buf_printf(&c->trace, "%" PRIu64 " n%" PRIu64 " ", c->now_ms, node);
        cluster_trace_action(a, node, &c->trace);
        buf_put_u8(&c->trace, '\n');
    }
}

void cluster_show_none(struct cluster *c)
{
    c->shown = 0;
}

bool cluster_show(struct cluster *c, const char *topic)
{
    enum trace_topic t = TRACE_TOPICS;
    if (!cluster_trace_topic(topic, &t)) {
        return false;
    }
    c->shown |= 1U << (unsigned)t;
    return true;
}

const char *cluster_refusal(const struct cluster *c)
{
    return c->refusal;
}

struct cluster_node *cluster_node(struct cluster *c, uint64_t id)
{
    CHECK(id >= 1 && id <= c->options.nodes);
    return &c->nodes[id];
}

uint64_t cluster_now(const struct cluster *c)
{
    return c->now_ms;
}

struct random *cluster_random(struct cluster *c)
{
    return &c->random;
}

struct cluster_options *cluster_tune(struct cluster *c)
{
    return &c->options;
}

struct cluster_totals *cluster_totals(struct cluster *c)
{
    return &c->totals;
}

struct buf *cluster_trace(struct cluster *c)
{
    return &c->trace;
}

uint64_t cluster_acknowledged(const struct cluster *c)
{
    return c->acknowledged;
}

/* --- the network --- */

static void transmit(struct cluster *c, uint64_t from, uint64_t to, struct buf *message)
{
    c->totals.messages++;
    const struct cluster_options *o = &c->options;
    unsigned copies = 1 + (o->reorder && random_chance(&c->random, o->duplicate, 1000) ? 1U : 0U);
    for (unsigned i = 0; i < copies; i++) {
        if (c->cut[from][to] || random_chance(&c->random, o->loss, 1000)) {
            continue;
        }
        uint64_t delay = random_between(&c->random, o->net_min_ms, o->net_max_ms);
        if (random_chance(&c->random, o->slow, 1000)) {
            delay += random_below(&c->random, 1500);
        }
        struct happen h = {.at_ms = c->now_ms + delay, .kind = ON_MESSAGE, .node = to};
        if (!o->reorder) {
            h.at_ms = h.at_ms < c->delivered_ms[from][to] ? c->delivered_ms[from][to] : h.at_ms;
            c->delivered_ms[from][to] = h.at_ms;
        }
        h.from = from;
        buf_put(&h.message, message->data, message->size);
        cluster_schedule(c, &h);
    }
    buf_deinit(message);
}

/* --- actions --- */

static void on_role(struct cluster *c, struct cluster_node *n, const struct action *a)
{
    if (a->role != REPLICA_LEADER) {
        return;
    }
    while (c->leader_count <= a->term) {
        c->leaders =
            mem_grow(c->leaders, &c->leader_capacity, c->leader_count + 1, sizeof *c->leaders);
        c->leaders[c->leader_count++] = 0;
    }
    if (c->leaders[a->term] != 0 && c->leaders[a->term] != n->id) {
        cluster_fail(c, "nodes %" PRIu64 " and %" PRIu64 " lead in term %" PRIu64,
                     c->leaders[a->term], n->id, a->term);
    }
    c->totals.elections += c->leaders[a->term] == 0 ? 1 : 0;
    c->leaders[a->term] = n->id;
}

static void on_read_done(struct cluster *c, struct cluster_node *n, const struct action *a)
{
    for (size_t i = 0; i < n->read_count; i++) {
        if (n->reads[i].term != a->token) {
            continue;
        }
        if (a->type == ACTION_READ_READY && a->index < n->reads[i].index) {
            cluster_fail(c, "stale read: %" PRIu64 " is acknowledged, %" PRIu64 " is read",
                         n->reads[i].index, a->index);
        }
        n->reads[i] = n->reads[--n->read_count];
        if (a->type == ACTION_READ_READY) {
            c->totals.reads++;
        } else {
            c->totals.reads_failed++;
        }
        return;
    }
    cluster_fail(c, "node %" PRIu64 " answers a read that nobody asked", n->id);
}

static void perform(struct cluster *c, struct cluster_node *n, struct action *a)
{
    switch (a->type) {
    case ACTION_HARD_STATE:
    case ACTION_APPEND:
        cluster_on_write(c, n, a);
        break;
    case ACTION_SEND:
        transmit(c, n->id, a->id, &a->message);
        break;
    case ACTION_READ_LOG:
        cluster_on_read_log(c, n, a);
        break;
    case ACTION_APPLY:
        cluster_on_apply_action(c, n, a);
        break;
    case ACTION_READ_READY:
    case ACTION_READ_FAILED:
        on_read_done(c, n, a);
        break;
    case ACTION_INSTALL:
        cluster_on_install(c, n, a);
        break;
    case ACTION_ROLE:
        on_role(c, n, a);
        break;
    case ACTION_CHANGE_FAILED:
        n->change_failed = a->reason;
        break;
    case ACTION_CUT_OK:
        cluster_disk_cut(&n->disk, a->index);
        break;
    case ACTION_CONFIGURATION:
        break;
    case ACTION_STOP:
        cluster_fail(c, "node %" PRIu64 " stops: %s", n->id, a->reason);
    }
}

static void set_timer(struct cluster *c, struct cluster_node *n)
{
    uint64_t due = replica_deadline_ms(n->replica);
    due = due <= c->now_ms ? c->now_ms + 1 : due;
    if (due == n->timer_ms || due == UINT64_MAX) {
        return;
    }
    n->timer_ms = due;
    struct happen h = cluster_happens_in(c, ON_TIMER, n, due - c->now_ms);
    cluster_schedule(c, &h);
}

/* Takes the list away from the cluster, because an action may lead to another step. */
static void perform_all(struct cluster *c, struct cluster_node *n)
{
    struct actions actions = c->actions;
    c->actions = (struct actions){0};
    unsigned life = n->life;
    for (size_t i = 0; i < actions.count; i++) {
        note_action(c, n->id, &actions.items[i]);
        perform(c, n, &actions.items[i]);
    }
    actions_reset(&actions);
    if (c->actions.items == NULL) {
        c->actions = actions;
    } else {
        actions_deinit(&actions);
    }
    if (n->up && n->life == life) {
        set_timer(c, n);
    }
}

enum err_code cluster_event(struct cluster *c, uint64_t id, struct event *event, struct err *e)
{
    struct cluster_node *n = cluster_node(c, id);
    if (!n->up) {
        return err_set(e, ERR_UNAVAILABLE, "node %" PRIu64 " is down", id);
    }
    event->now_ms = c->now_ms;
    enum err_code code = replica_step(n->replica, event, &c->actions, e);
    if (code != ERR_OK) {
        (void)snprintf(c->refusal, sizeof c->refusal, "%s: %s", err_name(code), e->text);
    }
    perform_all(c, n);
    return code;
}

void cluster_step(struct cluster *c, struct cluster_node *n, struct event *event)
{
    struct err e;
    if (cluster_event(c, n->id, event, &e) != ERR_OK) {
        cluster_fail(c, "node %" PRIu64 " refuses event %d: %s", n->id, (int)event->type, e.text);
    }
}

/* --- faults --- */

void cluster_start(struct cluster *c, uint64_t id)
{
    struct cluster_node *n = cluster_node(c, id);
    CHECK(!n->up);
    struct replica_options options = {
        .id = id,
        .seed = random_u64(&c->random),
        .heartbeat_ms = c->options.heartbeat_ms,
        .election_ms = c->options.election_ms,
        .cache_size_max = c->options.cache_size_max,
    };
    (void)snprintf(options.address, sizeof options.address, "n%" PRIu64, id);
    struct replica_state state = {
        .term = n->disk.term,
        .voted_for = n->disk.voted_for,
        .snapshot_index = n->disk.snapshot.index,
        .snapshot_term = n->disk.snapshot.term,
        .snapshot_configuration = n->disk.snapshot.configuration,
        .log_first = n->disk.first,
        .count = n->disk.count,
        .entries = n->disk.entries,
    };
    n->up = true;
    n->life++;
    n->applied = n->disk.snapshot.index;
    n->applied_term = n->disk.snapshot.term;
    n->hash = n->disk.snapshot.hash;
    n->configuration = n->disk.snapshot.configuration;
    n->checkpoint_running = false;
    n->apply_runs = false;
    n->timer_ms = 0;
    struct err e;
    if (replica_start(&options, &state, c->now_ms, &n->replica, &c->actions, &e) != ERR_OK) {
        cluster_fail(c, "node %" PRIu64 " can't start: %s", id, e.text);
    }
    n->replica->guards.off = c->options.guards_off;
    n->replica->outbox.leaks = (c->options.guards_off & 1U << RAFT_B1) != 0;
    note_fault(c, id, "starts");
    perform_all(c, n);
}

void cluster_crash(struct cluster *c, uint64_t id, bool torn)
{
    struct cluster_node *n = cluster_node(c, id);
    if (!n->up) {
        return;
    }
    note_fault(c, id, "crashes");
    struct cluster_job *first = n->lane_first;
    if (torn && first != NULL && first->type == ACTION_APPEND) {
        cluster_disk_append(c, &n->disk, first->entries,
                            random_below(&c->random, first->count + 1));
    }
    cluster_drop_jobs(&n->lane_first, &n->lane_last);
    cluster_drop_jobs(&n->apply_first, &n->apply_last);
    n->lane_free_ms = 0;
    c->totals.anew += n->replica->starts - 1;
    replica_close(n->replica);
    n->replica = NULL;
    n->up = false;
    n->life++;
    n->submit_count = 0;
    n->read_count = 0;
    c->totals.crashes++;
}

void cluster_cut(struct cluster *c, uint64_t from, uint64_t to, bool cut)
{
    c->cut[cluster_node(c, from)->id][cluster_node(c, to)->id] = cut;
}

void cluster_isolate(struct cluster *c, uint64_t id, bool cut)
{
    for (uint64_t i = 1; i <= c->options.nodes; i++) {
        cluster_cut(c, id, i, cut);
        cluster_cut(c, i, id, cut);
    }
}

void cluster_heal(struct cluster *c)
{
    memset(c->cut, 0, sizeof c->cut);
}

void cluster_hold_disk(struct cluster *c, uint64_t id, bool held)
{
    struct cluster_node *n = cluster_node(c, id);
    n->disk_held = held;
    if (!held) {
        n->lane_free_ms = 0;
        cluster_run_lane(c, n);
    }
}

void cluster_hold_apply(struct cluster *c, uint64_t id, bool held)
{
    struct cluster_node *n = cluster_node(c, id);
    n->apply_held = held;
    cluster_run_apply(c, n);
}

/* --- requests --- */

enum err_code cluster_submit(struct cluster *c, uint64_t id, size_t count, size_t size)
{
    struct cluster_node *n = cluster_node(c, id);
    struct entry **entries = mem_array(count, sizeof(struct entry *));
    struct err e;
    for (size_t i = 0; i < count; i++) {
        entries[i] = entry_new(ENTRY_COMMAND, 0, 0, bytes_of(NULL, size < 8 ? 8 : size));
        memset(entries[i]->payload, (int)(c->payload & 0xff), entries[i]->size);
        bytes_put_u64(entries[i]->payload, ++c->payload);
    }
    uint64_t first = n->up ? replica_status(n->replica).last_index + 1 : 0;
    uint64_t term = n->up ? replica_status(n->replica).term : 0;
    struct event event = {.type = EVENT_SUBMIT, .entries = entries, .count = count};
    enum err_code code = cluster_event(c, id, &event, &e);
    for (size_t i = 0; code == ERR_OK && i < count; i++) {
        n->submits =
            mem_grow(n->submits, &n->submit_capacity, n->submit_count + 1, sizeof *n->submits);
        n->submits[n->submit_count++] = (struct cluster_open){first + i, term};
        c->totals.submitted++;
    }
    cluster_drop_entries(entries, count);
    return code;
}

enum err_code cluster_read(struct cluster *c, uint64_t id)
{
    struct cluster_node *n = cluster_node(c, id);
    struct err e;
    uint64_t token = ++c->read_token;
    if (!n->up) {
        return ERR_UNAVAILABLE;
    }
    n->reads = mem_grow(n->reads, &n->read_capacity, n->read_count + 1, sizeof *n->reads);
    n->reads[n->read_count++] = (struct cluster_open){c->acknowledged, token};
    struct event event = {.type = EVENT_READ, .token = token};
    enum err_code code = cluster_event(c, id, &event, &e);
    if (code != ERR_OK) {
        n->read_count--;
    }
    return code;
}

enum err_code cluster_transfer(struct cluster *c, uint64_t id, uint64_t target)
{
    struct event event = {.type = EVENT_TRANSFER, .id = target};
    struct err e;
    enum err_code code = cluster_event(c, id, &event, &e);
    c->totals.transfers += code == ERR_OK ? 1 : 0;
    return code;
}

enum err_code cluster_gone(struct cluster *c, uint64_t id, uint64_t leader)
{
    struct event event = {.type = EVENT_LEADER_GONE, .id = leader};
    struct err e;
    return cluster_event(c, id, &event, &e);
}

enum err_code cluster_change(struct cluster *c, uint64_t id, uint64_t server, int role)
{
    struct cluster_node *n = cluster_node(c, id);
    if (!n->up) {
        return ERR_UNAVAILABLE;
    }
    struct configuration to = *replica_configuration(n->replica);
    size_t at = 0;
    while (at < to.count && to.servers[at].id != server) {
        at++;
    }
    if (role > SERVER_VOTER) {
        if (at == to.count) {
            return ERR_INVALID;
        }
        to.count--;
        memmove(to.servers + at, to.servers + at + 1, (to.count - at) * sizeof to.servers[0]);
    } else {
        to.servers[at].id = server;
        to.servers[at].role = (enum server_role)role;
        (void)snprintf(to.servers[at].address, sizeof to.servers[at].address, "n%" PRIu64, server);
        to.count = at == to.count ? at + 1 : to.count;
    }
    struct event event = {.type = EVENT_CHANGE, .configuration = &to};
    struct err e;
    n->change_failed = NULL;
    enum err_code code = cluster_event(c, id, &event, &e);
    c->totals.changes += code == ERR_OK ? 1 : 0;
    return code;
}

bool cluster_checkpoint(struct cluster *c, uint64_t id, uint64_t trailing)
{
    struct cluster_node *n = cluster_node(c, id);
    if (!n->up || n->checkpoint_running || n->applied <= n->disk.snapshot.index) {
        return false;
    }
    struct happen h = cluster_happens_in(
        c, ON_CHECKPOINT, n,
        random_between(&c->random, c->options.disk_min_ms, c->options.disk_max_ms));
    h.snapshot = (struct cluster_snapshot){
        .index = n->applied, .hash = n->hash, .configuration = n->configuration};
    h.snapshot.term = n->applied_term;
    h.trailing = trailing;
    n->checkpoint_running = true;
    cluster_schedule(c, &h);
    return true;
}

/* --- running --- */

static void happen_now(struct cluster *c, struct happen *h)
{
    struct cluster_node *n = &c->nodes[h->node];
    if (!n->up || (h->kind != ON_MESSAGE && h->life != n->life)) {
        return;
    }
    struct event event = {.type = EVENT_TICK};
    switch (h->kind) {
    case ON_MESSAGE:
        if (!c->cut[h->from][h->node]) {
            event.type = EVENT_MESSAGE;
            event.id = h->from;
            event.message = buf_bytes(&h->message);
            cluster_step(c, n, &event);
        }
        break;
    case ON_LANE:
        cluster_on_lane(c, n);
        break;
    case ON_TIMER:
        if (n->timer_ms == h->at_ms) {
            n->timer_ms = 0;
            cluster_step(c, n, &event);
        }
        break;
    case ON_LOG_READ:
        cluster_on_log_read(c, n, h);
        break;
    case ON_FETCHED:
        cluster_on_fetched(c, n, h);
        break;
    case ON_APPLY:
        cluster_on_apply(c, n);
        break;
    case ON_CHECKPOINT:
        cluster_on_checkpoint(c, n, h);
        break;
    }
}

void cluster_run(struct cluster *c, uint64_t ms)
{
    uint64_t until = c->now_ms + ms;
    while (c->heap_count > 0 && c->heap[0].at_ms <= until) {
        struct happen h = cluster_take_next(c);
        c->now_ms = h.at_ms > c->now_ms ? h.at_ms : c->now_ms;
        happen_now(c, &h);
        cluster_happen_deinit(&h);
    }
    c->now_ms = until;
}

uint64_t cluster_leader(struct cluster *c)
{
    uint64_t leader = 0;
    uint64_t term = 0;
    for (uint64_t i = 1; i <= c->options.nodes; i++) {
        if (!c->nodes[i].up) {
            continue;
        }
        struct replica_status s = replica_status(c->nodes[i].replica);
        if (s.role == REPLICA_LEADER && s.term > term) {
            leader = i;
            term = s.term;
        }
    }
    return leader;
}

uint64_t cluster_run_to_leader(struct cluster *c, uint64_t ms_max)
{
    for (uint64_t ms = 0; ms < ms_max; ms++) {
        uint64_t leader = cluster_leader(c);
        if (leader != 0 && replica_status(c->nodes[leader].replica).leader_ready) {
            return leader;
        }
        cluster_run(c, 1);
    }
    return 0;
}

void cluster_check_equal(struct cluster *c)
{
    uint64_t leader = cluster_leader(c);
    if (leader == 0) {
        cluster_fail(c, "nobody leads");
    }
    const struct cluster_node *l = &c->nodes[leader];
    const struct configuration *configuration = replica_configuration(l->replica);
    if (l->applied != replica_status(l->replica).last_index || l->applied < c->acknowledged) {
        cluster_fail(
            c, "leader %" PRIu64 " applied %" PRIu64 " of %" PRIu64 ", %" PRIu64 " is acknowledged",
            leader, l->applied, replica_status(l->replica).last_index, c->acknowledged);
    }
    for (size_t i = 0; i < configuration->count; i++) {
        const struct cluster_node *n = &c->nodes[configuration->servers[i].id];
        if (configuration->servers[i].role == SERVER_SPARE) {
            continue;
        }
        if (!n->up || n->applied != l->applied || n->hash != l->hash) {
            cluster_fail(c, "node %" PRIu64 " applied %" PRIu64 ", leader %" PRIu64 " %" PRIu64,
                         n->id, n->applied, leader, l->applied);
        }
        if (!configuration_equal(replica_configuration(n->replica), configuration)) {
            cluster_fail(c, "node %" PRIu64 " has another configuration", n->id);
        }
    }
}

/* --- opening --- */

static void found(struct cluster *c)
{
    struct configuration first = {.count = c->options.voters};
    for (size_t i = 0; i < c->options.voters; i++) {
        first.servers[i].id = i + 1;
        first.servers[i].role = SERVER_VOTER;
        (void)snprintf(first.servers[i].address, sizeof first.servers[i].address, "n%zu", i + 1);
    }
    struct buf payload = {0};
    configuration_encode(&first, &payload);
    for (uint64_t i = 1; i <= c->options.nodes; i++) {
        struct cluster_node *n = &c->nodes[i];
        n->id = i;
        n->disk.first = 1;
        if (i <= c->options.voters) {
            struct entry *entry = entry_new(ENTRY_CHANGE, 1, 1, buf_bytes(&payload));
            cluster_disk_append(c, &n->disk, &entry, 1);
            n->disk.term = 1;
            entry_unref(entry);
        }
    }
    buf_deinit(&payload);
}

struct cluster *cluster_open(const struct cluster_options *options)
{
    CHECK(options->nodes >= 1 && options->nodes <= CLUSTER_NODES_MAX);
    CHECK(options->voters <= options->nodes);
    struct cluster *c = mem_zalloc(sizeof *c);
    c->options = *options;
    c->options.heartbeat_ms = options->heartbeat_ms == 0 ? 100 : options->heartbeat_ms;
    c->options.election_ms = options->election_ms == 0 ? 500 : options->election_ms;
    c->random = random_seeded(options->seed);
    c->now_ms = 1000;
    c->shown = ~0U;
    found(c);
    for (uint64_t i = 1; i <= options->nodes; i++) {
        cluster_start(c, i);
    }
    return c;
}

void cluster_close(struct cluster *c)
{
    for (uint64_t i = 1; i <= c->options.nodes; i++) {
        struct cluster_node *n = &c->nodes[i];
        cluster_crash(c, i, false);
        cluster_disk_truncate(&n->disk, n->disk.first);
        mem_free((void *)n->disk.entries);
        mem_free(n->submits);
        mem_free(n->reads);
    }
    for (size_t i = 0; i < c->heap_count; i++) {
        cluster_happen_deinit(&c->heap[i]);
    }
    actions_deinit(&c->actions);
    buf_deinit(&c->trace);
    mem_free(c->heap);
    mem_free(c->agreed);
    mem_free(c->leaders);
    mem_free(c);
}
