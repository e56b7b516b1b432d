/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "raft/raft_replica.h"
#include "raft/test/cluster_inside.h"

/* --- disks --- */

static uint64_t disk_last(const struct cluster_disk *d)
{
    return d->first + d->count - 1;
}

static struct entry *disk_entry(const struct cluster_disk *d, uint64_t index)
{
    return index < d->first || index > disk_last(d) ? NULL : d->entries[index - d->first];
}

void cluster_disk_truncate(struct cluster_disk *d, uint64_t index)
{
    while (d->count > 0 && disk_last(d) >= index) {
        d->count--;
        entry_unref(d->entries[d->count]);
    }
}

void cluster_disk_append(struct cluster *c, struct cluster_disk *d, struct entry *const *entries,
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
    cluster_disk_truncate(d, entries[0]->index);
    for (size_t i = 0; i < count; i++) {
        d->entries =
            mem_grow((void *)d->entries, &d->capacity, d->count + 1, sizeof(struct entry *));
        d->entries[d->count++] = entry_ref(entries[i]);
    }
}

void cluster_disk_cut(struct cluster_disk *d, uint64_t index)
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

void cluster_run_lane(struct cluster *c, struct cluster_node *n)
{
    struct cluster_job *job = n->lane_first;
    if (job == NULL || n->disk_held || n->lane_free_ms != 0) {
        return;
    }
    uint64_t delay = random_between(&c->random, c->options.disk_min_ms, c->options.disk_max_ms);
    n->lane_free_ms = c->now_ms + delay;
    struct happen h = cluster_happens_in(c, ON_LANE, n, delay);
    cluster_schedule(c, &h);
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
    cluster_run_lane(c, n);
}

static void job_close(struct cluster_job *job)
{
    cluster_drop_entries(job->entries, job->count);
    mem_free(job);
}

void cluster_drop_jobs(struct cluster_job **first, struct cluster_job **last)
{
    while (*first != NULL) {
        struct cluster_job *job = *first;
        pop_job(first, last);
        job_close(job);
    }
}

static void install(struct cluster *c, struct cluster_node *n, const struct cluster_snapshot *s)
{
    cluster_disk_truncate(&n->disk, n->disk.first);
    n->disk.first = s->index + 1;
    keep_snapshot(n, s);
    cluster_drop_jobs(&n->apply_first, &n->apply_last);
    n->applied = s->index;
    n->applied_term = s->term;
    n->hash = s->hash;
    n->configuration = s->configuration;
    c->totals.installs++;
}

void cluster_on_lane(struct cluster *c, struct cluster_node *n)
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
        cluster_disk_append(c, &n->disk, job->entries, job->count);
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
    cluster_run_lane(c, n);
    cluster_step(c, n, &event);
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

void cluster_run_apply(struct cluster *c, struct cluster_node *n)
{
    if (n->apply_first == NULL || n->apply_held || n->apply_runs) {
        return;
    }
    n->apply_runs = true;
    struct happen h =
        cluster_happens_in(c, ON_APPLY, n, random_between(&c->random, 0, c->options.apply_max_ms));
    cluster_schedule(c, &h);
}

void cluster_on_apply(struct cluster *c, struct cluster_node *n)
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
    cluster_run_apply(c, n);
    struct event event = {.type = EVENT_APPLIED, .index = n->applied};
    cluster_step(c, n, &event);
}

/* --- snapshots, and entries for lagging peers --- */

void cluster_on_install(struct cluster *c, struct cluster_node *n, const struct action *a)
{
    struct happen h = cluster_happens_in(c, ON_FETCHED, n, c->options.fetch_ms);
    h.from = a->id;
    h.a = a->index;
    h.b = a->term;
    h.snapshot.configuration = *a->configuration;
    cluster_schedule(c, &h);
    c->totals.snapshots++;
}

static void restart(struct cluster *c, struct cluster_node *n)
{
    cluster_crash(c, n->id, false);
    cluster_start(c, n->id);
}

void cluster_on_fetched(struct cluster *c, struct cluster_node *n, const struct happen *h)
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
        cluster_step(c, source, &ended);
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

void cluster_on_read_log(struct cluster *c, struct cluster_node *n, const struct action *a)
{
    struct happen h = cluster_happens_in(
        c, ON_LOG_READ, n,
        random_between(&c->random, c->options.disk_min_ms, c->options.disk_max_ms));
    h.a = a->index;
    h.b = a->count;
    h.token = a->token;
    cluster_schedule(c, &h);
    c->totals.log_reads++;
}

void cluster_on_log_read(struct cluster *c, struct cluster_node *n, const struct happen *h)
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
    cluster_step(c, n, &event);
}

void cluster_on_checkpoint(struct cluster *c, struct cluster_node *n, const struct happen *h)
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
    cluster_step(c, n, &event);
}

/* --- actions for the lanes --- */

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

void cluster_on_write(struct cluster *c, struct cluster_node *n, struct action *a)
{
    push_lane(c, n, job_of(a));
}

void cluster_on_apply_action(struct cluster *c, struct cluster_node *n, struct action *a)
{
    push_job(&n->apply_first, &n->apply_last, job_of(a));
    cluster_run_apply(c, n);
}
