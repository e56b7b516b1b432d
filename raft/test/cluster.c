/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/test/cluster.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/mem.h"
#include "raft/raft_replica.h"
#include "raft/test/cluster_trace.h"

enum happening { ON_MESSAGE, ON_LANE, ON_TIMER, ON_LOG_READ, ON_FETCHED, ON_APPLY, ON_CHECKPOINT };

struct happen {
    uint64_t at_ms;
    uint64_t sequence;
    enum happening kind;
    uint64_t node;
    unsigned life;
    uint64_t from;
    uint64_t a, b, token;
    uint64_t trailing;
    struct buf message;
    struct entry **entries;
    size_t count;
    struct cluster_snapshot snapshot;
};

struct cluster_job {
    struct cluster_job *next;
    enum action_type type; /* HARD_STATE, APPEND, INSTALL */
    uint64_t term;
    uint64_t id;
    uint64_t token;
    struct entry **entries;
    size_t count;
    struct cluster_snapshot snapshot;
};

struct agreed { /* what was applied at an index, by whoever came first */
    uint64_t term;
    uint64_t entry;
    uint64_t chain;
};

struct cluster {
    struct cluster_options options;
    struct random random;
    uint64_t now_ms;
    uint64_t sequence;
    struct cluster_node nodes[CLUSTER_NODES_MAX + 1];
    bool cut[CLUSTER_NODES_MAX + 1][CLUSTER_NODES_MAX + 1];
    uint64_t delivered_ms[CLUSTER_NODES_MAX + 1][CLUSTER_NODES_MAX + 1];
    struct happen *heap;
    size_t heap_count, heap_capacity;
    struct agreed *agreed;
    size_t agreed_count, agreed_capacity;
    uint64_t *leaders; /* by term */
    size_t leader_count, leader_capacity;
    uint64_t acknowledged;
    uint64_t read_token;
    uint64_t payload;
    struct cluster_totals totals;
    struct actions actions;
    struct buf trace;
    unsigned shown; /* bit per enum trace_topic */
    char refusal[600];
};

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

/* --- what happens when --- */

static bool before(const struct happen *a, const struct happen *b)
{
    return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->sequence < b->sequence;
}

static void swap(struct happen *a, struct happen *b)
{
    struct happen x = *a;
    *a = *b;
    *b = x;
}

static void schedule(struct cluster *c, struct happen *h)
{
    h->sequence = c->sequence++;
    c->heap = mem_grow(c->heap, &c->heap_capacity, c->heap_count + 1, sizeof *c->heap);
    size_t i = c->heap_count++;
    c->heap[i] = *h;
    while (i > 0 && before(&c->heap[i], &c->heap[(i - 1) / 2])) {
        swap(&c->heap[i], &c->heap[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
}

static struct happen take_next(struct cluster *c)
{
    struct happen first = c->heap[0];
    c->heap[0] = c->heap[--c->heap_count];
    for (size_t i = 0;;) {
        size_t child = 2 * i + 1;
        if (child >= c->heap_count) {
            break;
        }
        if (child + 1 < c->heap_count && before(&c->heap[child + 1], &c->heap[child])) {
            child++;
        }
        if (!before(&c->heap[child], &c->heap[i])) {
            break;
        }
        swap(&c->heap[child], &c->heap[i]);
        i = child;
    }
    return first;
}

static void drop_entries(struct entry **entries, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        entry_unref(entries[i]);
    }
    mem_free((void *)entries);
}

static void happen_deinit(struct happen *h)
{
    buf_deinit(&h->message);
    drop_entries(h->entries, h->count);
}

static struct happen happens_in(const struct cluster *c, enum happening kind,
                                const struct cluster_node *n, uint64_t delay_ms)
{
    return (struct happen){
        .at_ms = c->now_ms + delay_ms, .kind = kind, .node = n->id, .life = n->life};
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

/* --- disks --- */

static uint64_t disk_last(const struct cluster_disk *d)
{
    return d->first + d->count - 1;
}

static struct entry *disk_entry(const struct cluster_disk *d, uint64_t index)
{
    return index < d->first || index > disk_last(d) ? NULL : d->entries[index - d->first];
}

static void disk_truncate(struct cluster_disk *d, uint64_t index)
{
    while (d->count > 0 && disk_last(d) >= index) {
        d->count--;
        entry_unref(d->entries[d->count]);
    }
}

static void disk_append(struct cluster *c, struct cluster_disk *d, struct entry *const *entries,
                        size_t count)
{
    if (count == 0) {
        return;
    }
    if (entries[0]->index < d->first || entries[0]->index > disk_last(d) + 1) {
        cluster_fail(c, "append of %" PRIu64 " to a log of %" PRIu64 " .. %" PRIu64,
                     entries[0]->index, d->first, disk_last(d));
    }
    c->totals.truncations += entries[0]->index <= disk_last(d) ? 1 : 0;
    disk_truncate(d, entries[0]->index);
    for (size_t i = 0; i < count; i++) {
        d->entries =
            mem_grow((void *)d->entries, &d->capacity, d->count + 1, sizeof(struct entry *));
        d->entries[d->count++] = entry_ref(entries[i]);
    }
}

static void disk_cut(struct cluster_disk *d, uint64_t index)
{
    while (d->count > 0 && d->first <= index) {
        entry_unref(d->entries[0]);
        memmove((void *)d->entries, (void *)(d->entries + 1),
                (d->count - 1) * sizeof(struct entry *));
        d->count--;
        d->first++;
    }
    d->first = d->first <= index ? index + 1 : d->first;
}

static void keep_snapshot(struct cluster_node *n, const struct cluster_snapshot *s)
{
    memmove(n->snapshots + 1, n->snapshots, (CLUSTER_SNAPSHOTS - 1) * sizeof n->snapshots[0]);
    n->snapshots[0] = *s;
    n->disk.snapshot = *s;
}

/* --- the log lane --- */

static void run_lane(struct cluster *c, struct cluster_node *n)
{
    struct cluster_job *job = n->lane_first;
    if (job == NULL || n->disk_held || n->lane_free_ms != 0) {
        return;
    }
    uint64_t delay = random_between(&c->random, c->options.disk_min_ms, c->options.disk_max_ms);
    n->lane_free_ms = c->now_ms + delay;
    struct happen h = happens_in(c, ON_LANE, n, delay);
    schedule(c, &h);
}

static void push_job(struct cluster_job **first, struct cluster_job **last, struct cluster_job *job)
{
    job->next = NULL;
    if (*last == NULL) {
        *first = job;
    } else {
        (*last)->next = job;
    }
    *last = job;
}

static void pop_job(struct cluster_job **first, struct cluster_job **last)
{
    *first = (*first)->next;
    *last = *first == NULL ? NULL : *last;
}

static void push_lane(struct cluster *c, struct cluster_node *n, struct cluster_job *job)
{
    push_job(&n->lane_first, &n->lane_last, job);
    run_lane(c, n);
}

static void job_close(struct cluster_job *job)
{
    drop_entries(job->entries, job->count);
    mem_free(job);
}

static void drop_jobs(struct cluster_job **first, struct cluster_job **last)
{
    while (*first != NULL) {
        struct cluster_job *job = *first;
        pop_job(first, last);
        job_close(job);
    }
}

static void step(struct cluster *c, struct cluster_node *n, struct event *event);

static void install(struct cluster *c, struct cluster_node *n, const struct cluster_snapshot *s)
{
    disk_truncate(&n->disk, n->disk.first);
    n->disk.first = s->index + 1;
    keep_snapshot(n, s);
    drop_jobs(&n->apply_first, &n->apply_last);
    n->applied = s->index;
    n->applied_term = s->term;
    n->hash = s->hash;
    n->configuration = s->configuration;
    c->totals.installs++;
}

static void on_lane(struct cluster *c, struct cluster_node *n)
{
    n->lane_free_ms = 0;
    if (n->disk_held || n->lane_first == NULL) {
        return;
    }
    struct cluster_job *job = n->lane_first;
    pop_job(&n->lane_first, &n->lane_last);
    struct event event = {.type = EVENT_HARD_STATE_DURABLE};
    if (job->type == ACTION_HARD_STATE) {
        if (job->term < n->disk.term ||
            (job->term == n->disk.term && n->disk.voted_for != 0 && job->id != n->disk.voted_for)) {
            cluster_fail(c, "node %" PRIu64 ": a promise of term %" PRIu64 " is taken back", n->id,
                         n->disk.term);
        }
        n->disk.term = job->term;
        n->disk.voted_for = job->id;
    } else if (job->type == ACTION_APPEND) {
        disk_append(c, &n->disk, job->entries, job->count);
        event.type = EVENT_APPEND_DURABLE;
        event.token = job->token;
        event.index = job->entries[job->count - 1]->index;
        event.term = job->entries[job->count - 1]->term;
    } else {
        install(c, n, &job->snapshot);
        event.type = EVENT_INSTALLED;
        event.index = job->snapshot.index;
        event.term = job->snapshot.term;
    }
    job_close(job);
    run_lane(c, n);
    step(c, n, &event);
}

/* --- the state machine --- */

static void apply_one(struct cluster *c, struct cluster_node *n, const struct entry *entry)
{
    uint64_t index = entry->index;
    if (index != n->applied + 1) {
        cluster_fail(c, "node %" PRIu64 " applies %" PRIu64 " after %" PRIu64, n->id, index,
                     n->applied);
    }
    uint64_t h = hash64(entry_payload(entry)) + (uint64_t)entry->type;
    uint64_t mixed[2] = {n->hash, h};
    n->hash = hash64(bytes_of(mixed, sizeof mixed));
    n->applied = index;
    n->applied_term = entry->term;
    if (entry->type == ENTRY_CHANGE &&
        configuration_decode(entry_payload(entry), index, &n->configuration, NULL) != ERR_OK) {
        cluster_fail(c, "entry %" PRIu64 " is no configuration", index);
    }
    while (c->agreed_count <= index) {
        c->agreed =
            mem_grow(c->agreed, &c->agreed_capacity, c->agreed_count + 1, sizeof *c->agreed);
        c->agreed[c->agreed_count++] = (struct agreed){0};
    }
    struct agreed *a = &c->agreed[index];
    if (a->term == 0) {
        *a = (struct agreed){entry->term, h, n->hash};
        c->totals.commits++;
    } else if (a->term != entry->term || a->entry != h || a->chain != n->hash) {
        cluster_fail(c, "node %" PRIu64 " applies another entry at %" PRIu64, n->id, index);
    }
    size_t kept = 0;
    for (size_t i = 0; i < n->submit_count; i++) {
        struct cluster_open open = n->submits[i];
        if (open.index > index) {
            n->submits[kept++] = open;
        } else if (open.index == index && open.term == entry->term) {
            c->totals.acknowledged++;
            c->acknowledged = index > c->acknowledged ? index : c->acknowledged;
        }
    }
    n->submit_count = kept;
}

static void run_apply(struct cluster *c, struct cluster_node *n)
{
    if (n->apply_first == NULL || n->apply_held || n->apply_runs) {
        return;
    }
    n->apply_runs = true;
    struct happen h =
        happens_in(c, ON_APPLY, n, random_between(&c->random, 0, c->options.apply_max_ms));
    schedule(c, &h);
}

static void on_apply(struct cluster *c, struct cluster_node *n)
{
    struct cluster_job *job = n->apply_first;
    n->apply_runs = false;
    if (n->apply_held || job == NULL) {
        return;
    }
    pop_job(&n->apply_first, &n->apply_last);
    for (size_t i = 0; i < job->count; i++) {
        apply_one(c, n, job->entries[i]);
    }
    job_close(job);
    run_apply(c, n);
    struct event event = {.type = EVENT_APPLIED, .index = n->applied};
    step(c, n, &event);
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
        schedule(c, &h);
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

static void on_install(struct cluster *c, struct cluster_node *n, const struct action *a)
{
    struct happen h = happens_in(c, ON_FETCHED, n, c->options.fetch_ms);
    h.from = a->id;
    h.a = a->index;
    h.b = a->term;
    h.snapshot.configuration = *a->configuration;
    schedule(c, &h);
    c->totals.snapshots++;
}

static void restart(struct cluster *c, struct cluster_node *n)
{
    cluster_crash(c, n->id, false);
    cluster_start(c, n->id);
}

static void on_fetched(struct cluster *c, struct cluster_node *n, const struct happen *h)
{
    struct cluster_node *source = &c->nodes[h->from];
    struct cluster_job *job = NULL;
    for (size_t i = 0; source->up && i < CLUSTER_SNAPSHOTS; i++) {
        if (source->snapshots[i].index == h->a && source->snapshots[i].term == h->b) {
            job = mem_zalloc(sizeof *job);
            job->type = ACTION_INSTALL;
            job->snapshot = source->snapshots[i];
        }
    }
    if (source->up) {
        struct event ended = {.type = EVENT_SNAPSHOT_ENDED, .id = n->id};
        step(c, source, &ended);
    }
    if (job == NULL) {
        restart(c, n); /* the snapshot is gone: back to what the disk holds */
        return;
    }
    if (!configuration_equal(&job->snapshot.configuration, &h->snapshot.configuration)) {
        cluster_fail(c, "snapshot %" PRIu64 " comes with another configuration", h->a);
    }
    push_lane(c, n, job);
}

static void on_read_log(struct cluster *c, struct cluster_node *n, const struct action *a)
{
    struct happen h =
        happens_in(c, ON_LOG_READ, n,
                   random_between(&c->random, c->options.disk_min_ms, c->options.disk_max_ms));
    h.a = a->index;
    h.b = a->count;
    h.token = a->token;
    schedule(c, &h);
    c->totals.log_reads++;
}

static void on_log_read(struct cluster *c, struct cluster_node *n, const struct happen *h)
{
    struct entry *found[RAFT_FEED_ENTRIES];
    struct event event = {.type = EVENT_LOG_READ, .index = h->a, .token = h->token};
    uint64_t most = 1 + random_below(&c->random, h->b);
    while (event.count < most) {
        found[event.count] = disk_entry(&n->disk, h->a + event.count);
        if (found[event.count] == NULL) {
            break;
        }
        event.count++;
    }
    event.entries = found;
    step(c, n, &event);
}

static struct cluster_job *job_of(struct action *a)
{
    struct cluster_job *job = mem_zalloc(sizeof *job);
    job->type = a->type;
    job->term = a->term;
    job->id = a->id;
    job->token = a->token;
    job->entries = a->entries;
    job->count = a->count;
    a->entries = NULL;
    a->count = 0;
    return job;
}

static void on_write(struct cluster *c, struct cluster_node *n, struct action *a)
{
    push_lane(c, n, job_of(a));
}

static void on_apply_action(struct cluster *c, struct cluster_node *n, struct action *a)
{
    push_job(&n->apply_first, &n->apply_last, job_of(a));
    run_apply(c, n);
}

static void perform(struct cluster *c, struct cluster_node *n, struct action *a)
{
    switch (a->type) {
    case ACTION_HARD_STATE:
    case ACTION_APPEND:
        on_write(c, n, a);
        break;
    case ACTION_SEND:
        transmit(c, n->id, a->id, &a->message);
        break;
    case ACTION_READ_LOG:
        on_read_log(c, n, a);
        break;
    case ACTION_APPLY:
        on_apply_action(c, n, a);
        break;
    case ACTION_READ_READY:
    case ACTION_READ_FAILED:
        on_read_done(c, n, a);
        break;
    case ACTION_INSTALL:
        on_install(c, n, a);
        break;
    case ACTION_ROLE:
        on_role(c, n, a);
        break;
    case ACTION_CHANGE_FAILED:
        n->change_failed = a->reason;
        break;
    case ACTION_CUT_OK:
        disk_cut(&n->disk, a->index);
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
    struct happen h = happens_in(c, ON_TIMER, n, due - c->now_ms);
    schedule(c, &h);
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

static void step(struct cluster *c, struct cluster_node *n, struct event *event)
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
        disk_append(c, &n->disk, first->entries, random_below(&c->random, first->count + 1));
    }
    drop_jobs(&n->lane_first, &n->lane_last);
    drop_jobs(&n->apply_first, &n->apply_last);
    n->lane_free_ms = 0;
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
        run_lane(c, n);
    }
}

void cluster_hold_apply(struct cluster *c, uint64_t id, bool held)
{
    struct cluster_node *n = cluster_node(c, id);
    n->apply_held = held;
    run_apply(c, n);
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
    drop_entries(entries, count);
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
    struct happen h =
        happens_in(c, ON_CHECKPOINT, n,
                   random_between(&c->random, c->options.disk_min_ms, c->options.disk_max_ms));
    h.snapshot = (struct cluster_snapshot){
        .index = n->applied, .hash = n->hash, .configuration = n->configuration};
    h.snapshot.term = n->applied_term;
    h.trailing = trailing;
    n->checkpoint_running = true;
    schedule(c, &h);
    return true;
}

static void on_checkpoint(struct cluster *c, struct cluster_node *n, const struct happen *h)
{
    const struct cluster_snapshot *s = &h->snapshot;
    n->checkpoint_running = false;
    if (s->index > n->disk.snapshot.index) {
        keep_snapshot(n, s);
    }
    struct event event = {
        .type = EVENT_CHECKPOINT,
        .index = s->index,
        .term = s->term,
        .cut = s->index > h->trailing ? s->index - h->trailing : 0,
        .configuration = &s->configuration,
    };
    step(c, n, &event);
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
            step(c, n, &event);
        }
        break;
    case ON_LANE:
        on_lane(c, n);
        break;
    case ON_TIMER:
        if (n->timer_ms == h->at_ms) {
            n->timer_ms = 0;
            step(c, n, &event);
        }
        break;
    case ON_LOG_READ:
        on_log_read(c, n, h);
        break;
    case ON_FETCHED:
        on_fetched(c, n, h);
        break;
    case ON_APPLY:
        on_apply(c, n);
        break;
    case ON_CHECKPOINT:
        on_checkpoint(c, n, h);
        break;
    }
}

void cluster_run(struct cluster *c, uint64_t ms)
{
    uint64_t until = c->now_ms + ms;
    while (c->heap_count > 0 && c->heap[0].at_ms <= until) {
        struct happen h = take_next(c);
        c->now_ms = h.at_ms > c->now_ms ? h.at_ms : c->now_ms;
        happen_now(c, &h);
        happen_deinit(&h);
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
            disk_append(c, &n->disk, &entry, 1);
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
        disk_truncate(&n->disk, n->disk.first);
        mem_free((void *)n->disk.entries);
        mem_free(n->submits);
        mem_free(n->reads);
    }
    for (size_t i = 0; i < c->heap_count; i++) {
        happen_deinit(&c->heap[i]);
    }
    actions_deinit(&c->actions);
    buf_deinit(&c->trace);
    mem_free(c->heap);
    mem_free(c->agreed);
    mem_free(c->leaders);
    mem_free(c);
}
