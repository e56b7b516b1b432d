/* SPDX-License-Identifier: Apache-2.0 */
/* Checkpoints. The leader proposes the command; every node freezes its memory
 * at that entry and then, on its own:
 *
 *   pool:   parts and manifest, durable; step by step, with pauses between them
 *           (checkpoint_completion_target), unless somebody waits
 *   log:    the control file names the checkpoint; the start counter is raised
 *   apply:  the frozen memory goes, files that nobody needs are removed
 *   log:    entries that a majority no longer needs are cut away (safety.md E3) */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/member_internal.h"

enum {
    RETRY_MS = 1000,
    KEEP_CHECKPOINTS = 2,
    TRIES_MAX = 1000, /* each finds another damaged part, as a rule */
    ALL = 1000,       /* thousandths */
};

struct checkpoint_job {
    struct job job;
    struct member *member;
    struct tsdb_checkpoint made; /* so far */
    uint64_t size_max;           /* of the step that is out */
    bool whole;
    struct control control;
    struct hard_state hard; /* as the lane left it: the new start */
    uint64_t keep[KEEP_CHECKPOINTS];
    size_t keep_count;
    struct hash128 hash;    /* of the manifest */
    uint64_t time_ms;       /* since 1970 */
    uint64_t slot_segments; /* how far back the log may be kept, and has to be */
    uint64_t kept_segments;
    uint64_t slot_index; /* what that is, as indexes */
    uint64_t kept_index;
    bool spare;     /* leave damaged parts as they are */
    unsigned tries; /* that ended at a damaged part */
    enum err_code code;
    struct err err;
};

static void work_write(struct job *job)
{
    struct checkpoint_job *c = (struct checkpoint_job *)job;
    if (c->spare) {
        tsdb_checkpoint_spare(c->member->db);
        c->spare = false;
    }
    c->code = tsdb_checkpoint_step(c->member->db, c->size_max, &c->made, &c->whole, &c->err);
    if (c->code == ERR_OK && c->whole) {
        c->hash = member_manifest_hash(c->member, c->made.index);
    }
    c->time_ms = (uint64_t)io_wall_us(storage_io(c->member->storage)) / 1000;
}

static void work_name(struct job *job)
{
    struct checkpoint_job *c = (struct checkpoint_job *)job;
    struct storage *s = c->member->storage;
    struct err e;
    if (storage_failed(s) != NULL) {
        return;
    }
    if (storage_put_control(s, &c->control, &e) != ERR_OK ||
        storage_raise_counter(s, &e) != ERR_OK) {
        (void)storage_fail(s, &e);
        return;
    }
    c->hard = *storage_hard(s);
    const struct wal *w = storage_wal(s, STORAGE_RAFT);
    if (w != NULL) {
        c->slot_index = wal_index_back(w, c->slot_segments);
        c->kept_index = wal_index_back(w, c->kept_segments);
    }
}

static void work_finish(struct job *job)
{
    struct checkpoint_job *c = (struct checkpoint_job *)job;
    c->code = tsdb_checkpoint_finish(c->member->db, &c->err);
    if (c->code == ERR_OK && c->keep_count > 0) {
        c->code = tsdb_clean(c->member->db, c->keep, c->keep_count, &c->err);
    }
}

static void fail_checkpoint(struct member *m, struct checkpoint_job *c)
{
    /* Memory is frozen and the next checkpoint waits for this one: a node that
     * can't write its parts can't go on (D4). */
    if (is_weakened(m->weaken, WEAKEN_FAIL_STOP)) {
        mem_free(c);
        return;
    }
    member_fail(m, "checkpoint: %s", c->err.text);
    mem_free(c);
}

static void take_start(struct member *m, const struct hard_state *hard)
{
    m->hard.start_counter = hard->start_counter;
    m->hard.start_count = hard->start_count;
    memcpy(m->hard.starts, hard->starts, sizeof m->hard.starts);
    if (m->hard.cluster_id != 0) {
        member_hello_changed(m);
    }
}

/* What is in memory stays there, frozen: tried again until there is room. */
static void wait_for_room(struct member *m, struct checkpoint_job *c)
{
    log_warn(m->log, "node", "checkpoint-waits", "reason=\"%s\"", c->err.text);
    CHECK(m->checkpoint_waits == NULL);
    m->checkpoint_waits = c;
    m->room.checkpoint_waits = true;
    m->checkpoint_retry_ms = m->now_ms + RETRY_MS;
}

static void reply_checkpoints(struct member *m, uint64_t index)
{
    struct member_request *r = m->checkpoint_requests.first;
    while (r != NULL) {
        struct member_request *next = r->next;
        if (r->index <= index) {
            list_remove(&m->checkpoint_requests, r);
            member_reply_ok(r, index);
        }
        r = next;
    }
}

static bool lower(uint64_t *reach, uint64_t index)
{
    bool lowers = index < *reach;
    *reach = lowers ? index : *reach;
    return lowers;
}

/* What a server said last that it has applied; 0: it has said nothing yet. */
static uint64_t applied_by(const struct member *m, uint64_t id)
{
    for (size_t i = 0; i < m->known_count; i++) {
        if (m->known[i].id == id) {
            return m->known[i].applied_index;
        }
    }
    return 0;
}

/* The server that gets the log and has applied least of it; NULL: there is none. */
static const struct server *find_slowest(const struct member *m, uint64_t *applied)
{
    const struct server *slowest = NULL;
    for (size_t i = 0; i < m->configuration.count; i++) {
        const struct server *s = &m->configuration.servers[i];
        if (s->id == m->hard.directory_id || s->role == SERVER_SPARE) {
            continue;
        }
        uint64_t index = applied_by(m, s->id);
        if (slowest == NULL || index < *applied) {
            slowest = s;
            *applied = index;
        }
    }
    return slowest;
}

/* A slow replica is fed from the log rather than given a checkpoint, as far as
 * max_slot_wal_keep_size goes: one that never comes back must not fill the disk. */
static void hold_for_slow(struct member *m, uint64_t *reach)
{
    uint64_t applied = 0;
    const struct server *slow = find_slowest(m, &applied);
    bool exact = m->log_keep != MEMBER_TRAILING_ENTRIES; /* a test says how much is kept */
    if (slow == NULL || exact || m->settings.slot_size_max == 0) {
        return;
    }
    int name_size = (int)strcspn(slow->address, "@");
    bool bounded = applied + 1 < m->slot_index;
    if (lower(reach, bounded ? m->slot_index - 1 : applied)) {
        (void)snprintf(m->retained_by, sizeof m->retained_by, "slow replica %.*s, at %" PRIu64 "%s",
                       name_size, slow->address, applied,
                       bounded ? ", as far as max_slot_wal_keep_size" : "");
    }
}

/* How far the Raft log may be cut; m->retained_by says who keeps the rest. */
static uint64_t find_reach(struct member *m)
{
    uint64_t index = m->control.checkpoint_index;
    uint64_t reach = index;
    m->retained_by[0] = '\0';
    uint64_t majority = member_checkpoint_majority(m);
    if (!is_weakened(m->weaken, WEAKEN_CUTS) && lower(&reach, majority)) {
        (void)snprintf(m->retained_by, sizeof m->retained_by,
                       "checkpoint of a majority, at %" PRIu64, majority);
    }
    bool alone = m->configuration.count <= 1;
    if (!alone && lower(&reach, index > m->log_keep ? index - m->log_keep : 0)) {
        (void)snprintf(m->retained_by, sizeof m->retained_by,
                       "the last %" PRIu64 " entries, for slow replicas", m->log_keep);
    }
    hold_for_slow(m, &reach);
    if (m->settings.segments_kept > 0 && m->kept_index > 0 && lower(&reach, m->kept_index - 1)) {
        (void)snprintf(m->retained_by, sizeof m->retained_by, "wal_keep_segments, %" PRIu64,
                       m->settings.segments_kept);
    }
    return reach;
}

static void tell_replica(struct member *m)
{
    struct event ev = {
        .type = EVENT_CHECKPOINT,
        .index = m->control.checkpoint_index,
        .term = m->control.checkpoint_term,
        .cut = find_reach(m),
        .configuration = &m->checkpoint_configuration,
    };
    struct err e;
    if (m->replica != NULL && member_raft_step(m, &ev, &e) != ERR_OK) {
        log_warn(m->log, "raft", "checkpoint-not-taken", "reason=\"%s\"", e.text);
    }
}

static void done_finish(struct job *job)
{
    struct checkpoint_job *c = (struct checkpoint_job *)job;
    struct member *m = c->member;
    if (!member_job_ended(m, job)) {
        mem_free(c);
        return;
    }
    if (c->code != ERR_OK) {
        fail_checkpoint(m, c);
        return;
    }
    m->checkpoint_running = false;
    log_info(m->log, "node", "checkpoint", "index=%" PRIu64 " ms=%" PRIu64 " bytes=%" PRIu64,
             c->made.index, m->now_ms - m->checkpoint_started_ms, c->made.bytes_written);
    struct hash128 hash = c->hash;
    mem_free(c);
    member_agree_own(m, hash);
    if (member_is_ending(m)) {
        return; /* ours is not that of the others */
    }
    tell_replica(m);
    if (member_is_ending(m)) {
        return;
    }
    member_checkpoint_cut(m);
    member_tell_progress(m);
    reply_checkpoints(m, m->control.checkpoint_index);
    member_apply_pump(m);
}

static void done_name(struct job *job)
{
    struct checkpoint_job *c = (struct checkpoint_job *)job;
    struct member *m = c->member;
    if (!member_job_ended(m, job)) {
        mem_free(c);
        return;
    }
    take_start(m, &c->hard);
    m->slot_index = c->slot_index;
    m->kept_index = c->kept_index;
    c->keep[0] = c->made.index;
    c->keep_count = m->install == NULL ? 1 : 0; /* parts that come in belong to no checkpoint yet */
    if (c->keep_count > 0 && m->checkpoint_before != 0 && m->checkpoint_before != c->made.index) {
        c->keep[c->keep_count++] = m->checkpoint_before; /* a transfer may still read it */
    }
    member_submit(m, job, LANE_APPLY, work_finish, done_finish);
}

static void name(struct member *m, struct checkpoint_job *c)
{
    m->checkpoint_before = m->control.checkpoint_index;
    m->control.checkpoint_index = c->made.index;
    m->control.checkpoint_term = c->made.term;
    m->control.checkpoint_time_ms = c->time_ms;
    m->control.checkpoint_duration_ms = m->now_ms - m->checkpoint_started_ms;
    m->control.checkpoint_bytes = c->made.bytes_written;
    if (m->state == MEMBER_LOCAL) {
        m->control.local_applied = c->made.index;
    }
    c->control = m->control;
    c->slot_segments = m->settings.slot_size_max / m->control.segment_size;
    c->kept_segments = m->settings.segments_kept;
    member_submit(m, &c->job, LANE_LOG, work_name, done_name);
}

/* --- the pace --- */

/* Somebody waits for the end: a request, a stop, a change of level, the next
 * checkpoint, a checkpoint of a peer that is to be put in place of the state. */
static bool is_awaited(const struct member *m)
{
    const struct entry_queue *q = &m->apply_queue;
    bool next = q->head < q->count && member_is_checkpoint(q->items[q->head]);
    return next || m->checkpoint_requests.first != NULL || m->stop_asked || m->install != NULL ||
           m->level != NULL;
}

static uint64_t share(uint64_t part, uint64_t whole)
{
    return whole == 0 || part >= whole ? ALL : part * ALL / whole;
}

/* How much of the writing has to be done by now, in thousandths: by time, and
 * well before memory or log would have to ask for the next checkpoint. */
static uint64_t work_due(const struct member *m)
{
    const struct member_settings *s = &m->settings;
    uint64_t target = s->completion_target;
    size_t memory = tsdb_memory_size(m->db);
    uint64_t grown = memory > m->checkpoint_memory ? memory - m->checkpoint_memory : 0;
    uint64_t room =
        s->memory_size_max > m->checkpoint_memory ? s->memory_size_max - m->checkpoint_memory : 0;
    uint64_t due =
        share(m->now_ms - m->checkpoint_started_ms, s->checkpoint_interval_ms * target / ALL);
    uint64_t by_memory = share(grown, room * target / ALL);
    uint64_t by_log = share(m->log_size, s->wal_size_max * target / ALL);
    due = by_memory > due ? by_memory : due;
    return by_log > due ? by_log : due;
}

static void done_write(struct job *job);

void member_checkpoint_resume(struct member *m)
{
    struct checkpoint_job *c = m->checkpoint_paused;
    if (c == NULL) {
        return;
    }
    bool at_once = m->settings.completion_target == 0 || is_awaited(m);
    bool begun = c->made.rows_total > 0;
    if (begun && !at_once && share(c->made.rows_done, c->made.rows_total) > work_due(m)) {
        return;
    }
    m->checkpoint_paused = NULL;
    size_t step = m->checkpoint_step != 0 ? m->checkpoint_step : MEMBER_WRITE_STEP;
    c->size_max = at_once ? UINT64_MAX : step;
    member_submit(m, &c->job, LANE_POOL, work_write, done_write);
}

static void done_write(struct job *job)
{
    struct checkpoint_job *c = (struct checkpoint_job *)job;
    struct member *m = c->member;
    if (!member_job_ended(m, job)) {
        mem_free(c);
    } else if (c->code != ERR_OK && c->made.unreadable && c->tries++ < TRIES_MAX) {
        log_warn(m->log, "node", "checkpoint-waits", "reason=\"%s\"", c->err.text);
        m->checkpoint_waits = c; /* for the part to be refilled, or for a newer checkpoint */
        member_damage_seen(m);
    } else if (c->code == ERR_NO_SPACE && !is_weakened(m->weaken, WEAKEN_ROOM)) {
        wait_for_room(m, c);
    } else if (c->code != ERR_OK) {
        fail_checkpoint(m, c);
    } else if (c->whole) {
        name(m, c);
    } else {
        m->checkpoint_paused = c;
        member_checkpoint_resume(m);
    }
}

void member_checkpoint_again(struct member *m)
{
    struct checkpoint_job *c = m->checkpoint_waits;
    if (c == NULL) {
        return;
    }
    m->checkpoint_waits = NULL;
    m->room.checkpoint_waits = false;
    m->checkpoint_paused = c;
    c->spare = !member_has_others(m);
    member_checkpoint_resume(m);
}

void member_checkpoint_close(struct member *m)
{
    if (m->checkpoint_waits != NULL || m->checkpoint_paused != NULL) {
        mem_free(m->checkpoint_waits);
        mem_free(m->checkpoint_paused);
        m->checkpoint_waits = NULL;
        m->checkpoint_paused = NULL;
        m->checkpoint_running = false;
    }
}

void member_checkpoint_frozen(struct member *m)
{
    CHECK(!m->checkpoint_running);
    m->checkpoint_running = true;
    m->checkpoint_started_ms = m->now_ms;
    m->checkpoint_retry_ms = 0;
    m->checkpoint_memory = tsdb_memory_size(m->db);
    m->checkpoint_configuration = m->committed;
    struct checkpoint_job *c = mem_zalloc(sizeof *c);
    c->member = m;
    m->checkpoint_paused = c;
    member_checkpoint_resume(m);
}

/* --- cutting --- */

static int compare_falling(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return x < y ? 1 : x > y ? -1 : 0;
}

uint64_t member_checkpoint_majority(const struct member *m)
{
    uint64_t held[LIMIT_NODES_MAX];
    size_t count = 0;
    for (size_t i = 0; i < m->configuration.count; i++) {
        const struct server *s = &m->configuration.servers[i];
        if (s->role != SERVER_VOTER) {
            continue;
        }
        held[count] = s->id == m->hard.directory_id ? m->control.checkpoint_index : 0;
        for (size_t k = 0; k < m->known_count; k++) {
            if (m->known[k].id == s->id && !m->known[k].differs) {
                held[count] = m->known[k].checkpoint_index;
            }
        }
        count++;
    }
    if (count == 0) {
        return 0;
    }
    qsort(held, count, sizeof held[0], compare_falling);
    uint64_t majority = held[count / 2];
    return majority < m->control.checkpoint_index ? majority : m->control.checkpoint_index;
}

struct cut_job {
    struct job job;
    struct member *member;
    enum storage_log log;
    uint64_t index;
    uint64_t term;
};

static void work_cut(struct job *job)
{
    struct cut_job *c = (struct cut_job *)job;
    struct storage *s = c->member->storage;
    struct wal *w = storage_wal(s, c->log);
    struct err e;
    if (w == NULL || storage_failed(s) != NULL || c->index < wal_index_first(w)) {
        return;
    }
    if (wal_cut(w, c->index, c->term, &e) != ERR_OK) {
        (void)storage_fail(s, &e);
    }
}

static void done_cut(struct job *job)
{
    struct cut_job *c = (struct cut_job *)job;
    (void)member_job_ended(c->member, job);
    mem_free(c);
}

static void submit_cut(struct member *m, enum storage_log log, uint64_t index, uint64_t term)
{
    struct cut_job *c = mem_zalloc(sizeof *c);
    c->member = m;
    c->log = log;
    c->index = index;
    c->term = term;
    member_submit(m, &c->job, LANE_LOG, work_cut, done_cut);
}

void member_checkpoint_cut(struct member *m)
{
    uint64_t index = m->control.checkpoint_index;
    if (storage_has(m->storage, STORAGE_LOCAL)) {
        submit_cut(m, STORAGE_LOCAL, index, m->control.checkpoint_term);
    }
    if (m->replica == NULL) {
        return;
    }
    /* The replica still feeds followers from what is above its own cut. */
    uint64_t term = 0;
    uint64_t first = replica_status(m->replica).first_index;
    if (first > 1 && replica_term_at(m->replica, first - 1, &term)) {
        submit_cut(m, STORAGE_RAFT, first - 1, term);
    }
}

/* --- when --- */

static bool may_propose(const struct member *m)
{
    if (m->state == MEMBER_LOCAL) {
        return m->local_ready;
    }
    return m->replica != NULL && m->formed && replica_status(m->replica).leader_ready;
}

/* Looked at anew each time: a proposal that was lost takes no wish with it. */
static bool is_due(const struct member *m)
{
    bool changed = m->changed_index > m->control.checkpoint_index;
    bool grown = tsdb_memory_size(m->db) > m->settings.memory_size_max / 2 ||
                 member_room_wants_checkpoint(m);
    if (changed && (grown || m->now_ms >= m->checkpoint_next_ms)) {
        return true;
    }
    /* It is to be cut, whatever is in it, and still grows while that is written. */
    uint64_t size_due = m->settings.wal_size_max / (ALL + m->settings.completion_target) * ALL;
    return m->log_size > size_due && m->applied_index > m->control.checkpoint_index + 1;
}

/* As tsdb_validate() judges. */
static bool is_memory_full(const struct member *m)
{
    return m->db != NULL && tsdb_memory_size(m->db) >= m->settings.memory_size_max;
}

void member_checkpoint_message(const struct member *m, char *dst, size_t size)
{
    dst[0] = '\0';
    if (!is_memory_full(m)) {
        return;
    }
    char doing[64] = "waits for the next checkpoint";
    if (m->checkpoint_running) {
        (void)snprintf(doing, sizeof doing, "a checkpoint is written, since %" PRIu64 " s",
                       (m->now_ms - m->checkpoint_started_ms) / 1000);
    }
    (void)snprintf(dst, size,
                   "writes are refused while %zu bytes of rows are in memory, "
                   "ts.mem_segment_size.max_limit is %" PRIu64 ": %s",
                   tsdb_memory_size(m->db), m->settings.memory_size_max, doing);
}

static void watch_memory(struct member *m)
{
    bool full = is_memory_full(m);
    if (full && !m->memory_full) {
        log_warn(m->log, "node", "memory-full", "bytes=%zu limit=%" PRIu64, tsdb_memory_size(m->db),
                 m->settings.memory_size_max);
    } else if (!full && m->memory_full) {
        log_info(m->log, "node", "memory-has-room", NULL);
    }
    m->memory_full = full;
}

void member_checkpoint_tick(struct member *m)
{
    watch_memory(m);
    if (m->checkpoint_waits != NULL && m->room.checkpoint_waits &&
        m->now_ms >= m->checkpoint_retry_ms) {
        member_checkpoint_again(m);
    }
    member_checkpoint_resume(m);
    if (m->db == NULL || m->checkpoint_running || m->stop_asked || m->level != NULL ||
        m->gone_count > 0 || !may_propose(m)) {
        return;
    }
    if (m->checkpoint_next_ms == 0) {
        m->checkpoint_next_ms = m->now_ms + m->settings.checkpoint_interval_ms;
    }
    if (!is_due(m) || m->now_ms < m->checkpoint_retry_ms) {
        return;
    }
    m->checkpoint_next_ms = m->now_ms + m->settings.checkpoint_interval_ms;
    m->checkpoint_retry_ms = m->now_ms + RETRY_MS;
    m->room.checkpoint_ms = m->now_ms + MEMBER_ROOM_CHECKPOINT_MS;
    member_propose_own(m, COMMAND_CHECKPOINT, (struct bytes){0});
}

void member_checkpoint(struct member *m, struct member_request *r)
{
    member_start_request(m, r);
    if (member_is_ending(m) || !may_propose(m)) {
        member_reply_error(r, ERR_UNAVAILABLE, "a checkpoint is made by the leader: ask it");
        return;
    }
    r->index = m->applied_index + 1; /* the next one holds at least what is applied now */
    list_push(&m->checkpoint_requests, r);
    member_checkpoint_resume(m);
    member_propose_own(m, COMMAND_CHECKPOINT, (struct bytes){0});
}
