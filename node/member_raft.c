/* SPDX-License-Identifier: Apache-2.0 */
/* The replica's side of the member: loading the log, starting, running its
 * actions on the lanes, reads, and the leader that is gone. */
#include <inttypes.h>
#include <string.h>

#include "node/member_internal.h"

enum {
    LOAD_ENTRIES = 256, /* read from the log at once */
    LOAD_SIZE = 1 << 20,
    GONE_WAIT_MS = 50,        /* safety.md I: random wait before an immediate election */
    GONE_AGAIN_TIMEOUTS = 10, /* election timeouts before it may be done again */
};

/* --- loading --- */

struct load_job {
    struct job job;
    struct member *member;
    uint64_t snapshot_index, snapshot_term;
    struct log_map map;
    struct entry **entries;
    size_t count, capacity;
    uint64_t first;
};

/* Whole entries from 'index' on into the job; stops at a hole. */
static enum err_code read_entries(struct load_job *l, struct wal *w, uint64_t index, uint64_t last,
                                  struct err *e)
{
    struct wal_entry *found = mem_array(LOAD_ENTRIES, sizeof *found);
    struct buf storage = {0};
    enum err_code code = ERR_OK;
    while (index <= last && code == ERR_OK) {
        size_t count = 0;
        buf_reset(&storage);
        code = wal_read(w, index, LOAD_ENTRIES, LOAD_SIZE, &storage, found, &count, e);
        if (code != ERR_OK || count == 0) {
            break;
        }
        l->entries = mem_grow(l->entries, &l->capacity, l->count + count, sizeof *l->entries);
        for (size_t i = 0; i < count; i++) {
            l->entries[l->count++] = entry_new(log_map_entry_type(found[i].type), found[i].index,
                                               found[i].term, found[i].payload);
        }
        index += count;
    }
    buf_deinit(&storage);
    mem_free(found);
    return code;
}

/* libraft's START: a log whose entry at the snapshot is missing or of another
 * term is not a continuation of it. (One that begins above the snapshot is a
 * matter for repair.) */
static bool log_is_void(const struct wal *w, uint64_t index, uint64_t term)
{
    uint64_t found = 0;
    if (index == 0 || wal_end_unknown(w)) {
        return false;
    }
    return index > wal_index_last(w) || (wal_term_at(w, index, &found) && found != term);
}

static uint64_t above_holes(const struct log_map *map, uint64_t snapshot_index)
{
    uint64_t first = map->first;
    for (size_t i = 0; i < map->hole_count && map->holes[i].index <= snapshot_index; i++) {
        first = map->holes[i].index + 1;
    }
    return first;
}

static void work_load(struct job *job)
{
    struct load_job *l = (struct load_job *)job;
    struct storage *s = l->member->storage;
    struct wal *w = storage_wal(s, STORAGE_RAFT);
    struct err e;
    if (storage_failed(s) != NULL) {
        return;
    }
    if (w == NULL) {
        if (storage_make_log(s, STORAGE_RAFT, l->snapshot_index, l->snapshot_term, &e) != ERR_OK) {
            (void)storage_fail(s, &e);
            return;
        }
        w = storage_wal(s, STORAGE_RAFT);
    }
    if (log_is_void(w, l->snapshot_index, l->snapshot_term) &&
        wal_reset(w, l->snapshot_index, l->snapshot_term, &e) != ERR_OK) {
        (void)storage_fail(s, &e);
        return;
    }
    log_map_take(&l->map, w);
    l->first = above_holes(&l->map, l->snapshot_index);
    bool damage_found =
        l->first <= l->map.last && read_entries(l, w, l->first, l->map.last, &e) != ERR_OK;
    if (damage_found) {
        log_warn(l->member->log, "node", "log-damaged", "reason=\"%s\"", e.text);
        log_map_deinit(&l->map);
        log_map_take(&l->map, w);
    }
}

static void free_entries(struct entry **entries, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        entry_unref(entries[i]);
    }
    mem_free(entries);
}

static void take_load(struct member *m, struct load_job *l)
{
    log_map_deinit(&m->map);
    m->map = l->map;
    l->map = (struct log_map){0};
    struct log_view view = log_map_view(&m->map);
    if (repair_is_needed(&view, m->control.checkpoint_index)) {
        member_set_state(m, MEMBER_REPAIRING);
        member_repair_start(m);
        return;
    }
    m->loaded = l->entries;
    m->loaded_count = l->count;
    m->loaded_first = l->first;
    l->entries = NULL;
    l->count = 0;
    for (size_t i = m->loaded_count; i-- > 0;) {
        const struct entry *entry = m->loaded[i];
        struct err e;
        if (entry->type == ENTRY_CHANGE && entry->index > m->configuration.index) {
            if (configuration_decode(entry_payload(entry), entry->index, &m->configuration, &e) !=
                ERR_OK) {
                member_fail(m, "log entry %" PRIu64 ": %s", entry->index, e.text);
                return;
            }
            break;
        }
    }
    member_dial(m);
    m->loaded_ready = true;
    member_raft_try_start(m);
}

static void done_load(struct job *job)
{
    struct load_job *l = (struct load_job *)job;
    struct member *m = l->member;
    if (member_job_ended(m, job)) {
        take_load(m, l);
    }
    free_entries(l->entries, l->count);
    log_map_deinit(&l->map);
    mem_free(l);
}

void member_raft_load(struct member *m)
{
    CHECK(m->replica == NULL);
    CHECK(!m->loaded_ready);
    if (m->state != MEMBER_STARTING) {
        member_set_state(m, MEMBER_STARTING);
    }
    m->gate_open_ms = m->now_ms + MEMBER_GATE_MS;
    struct load_job *l = mem_zalloc(sizeof *l);
    l->member = m;
    l->snapshot_index = m->control.checkpoint_index;
    l->snapshot_term = m->control.checkpoint_term;
    member_submit(m, &l->job, LANE_LOG, work_load, done_load);
}

/* --- starting --- */

static bool gate_is_open(struct member *m)
{
    if (!m->gate_ready) {
        uint64_t voters[LIMIT_NODES_MAX];
        size_t count = 0;
        for (size_t i = 0; i < m->configuration.count; i++) {
            const struct server *s = &m->configuration.servers[i];
            if (s->role == SERVER_VOTER) {
                voters[count++] = s->id;
            }
        }
        identity_gate_init(&m->gate, m->hard.directory_id, voters, count, m->gate_open_ms);
        m->gate_ready = true;
        for (size_t i = 0; i < m->known_count; i++) {
            if (m->known[i].connected) {
                identity_gate_answered(&m->gate, m->known[i].id);
            } else if (m->known[i].unreachable) {
                identity_gate_out_of_reach(&m->gate, m->known[i].id);
            }
        }
    }
    return identity_gate_is_open(&m->gate, m->now_ms);
}

static void free_loaded(struct member *m)
{
    free_entries(m->loaded, m->loaded_count);
    m->loaded = NULL;
    m->loaded_count = 0;
    m->loaded_ready = false;
}

/* What a node does that trusts its own log (safety.md D1). */
static void apply_loaded(struct member *m)
{
    for (size_t i = 0; i < m->loaded_count; i++) {
        member_apply_push(m, m->loaded[i]);
    }
    m->loaded_count = 0;
}

void member_raft_try_start(struct member *m)
{
    if (m->state != MEMBER_STARTING || !m->loaded_ready || !gate_is_open(m)) {
        return;
    }
    struct replica_options options = {
        .id = m->hard.directory_id,
        .seed = random_u64(&m->random),
        .heartbeat_ms = m->settings.heartbeat_ms,
        .election_ms = m->settings.election_ms,
        .cache_size_max = m->cache_size_max,
        .append_size = m->part_size,
    };
    struct replica_state state = {
        .term = m->hard.term,
        .voted_for = m->hard.voted_for,
        .snapshot_index = m->control.checkpoint_index,
        .snapshot_term = m->control.checkpoint_term,
        .log_first = m->loaded_first,
        .count = m->loaded_count,
        .entries = m->loaded,
    };
    if (m->control.checkpoint_index > 0) {
        state.snapshot_configuration = m->committed;
    }
    struct err e;
    enum err_code code = replica_start(&options, &state, m->now_ms, &m->replica, &m->actions, &e);
    if (code == ERR_OK && is_weakened(m->weaken, WEAKEN_APPLY)) {
        apply_loaded(m);
    }
    free_loaded(m);
    m->gate_ready = false;
    if (code != ERR_OK) {
        member_fail(m, "the Raft log can't be started from: %s", e.text);
        return;
    }
    m->generation++;
    member_set_state(m, MEMBER_RUNNING);
    member_say(m, "%s", m->formed ? "" : "cluster is forming");
    m->checkpoint_next_ms = m->now_ms + m->settings.checkpoint_interval_ms;
    member_run_actions(m);
}

void member_raft_close(struct member *m)
{
    replica_close(m->replica);
    m->replica = NULL;
    m->generation++;
    actions_reset(&m->actions);
    free_loaded(m);
    m->gate_ready = false;
    m->leader_gone_ms = 0;
}

/* --- jobs of the log lane --- */

struct vote_job {
    struct job job;
    struct member *member;
    uint64_t generation;
    struct hard_state hard;
};

static void work_vote(struct job *job)
{
    struct vote_job *v = (struct vote_job *)job;
    struct err e;
    if (is_weakened(v->member->weaken, WEAKEN_VOTES)) {
        return;
    }
    if (storage_failed(v->member->storage) == NULL &&
        storage_put_hard(v->member->storage, &v->hard, &e) != ERR_OK) {
        (void)storage_fail(v->member->storage, &e);
    }
}

static void done_vote(struct job *job)
{
    struct vote_job *v = (struct vote_job *)job;
    struct member *m = v->member;
    bool go = member_job_ended(m, job);
    m->term_durable = go ? v->hard.term : m->term_durable;
    if (go && v->generation == m->generation) {
        struct event ev = {.type = EVENT_HARD_STATE_DURABLE};
        (void)member_raft_step(m, &ev, NULL);
    }
    mem_free(v);
}

static void run_hard_state(struct member *m, const struct action *a)
{
    m->hard.term = a->term;
    m->hard.voted_for = a->id;
    struct vote_job *v = mem_zalloc(sizeof *v);
    v->member = m;
    v->generation = m->generation;
    v->hard = m->hard;
    member_submit(m, &v->job, LANE_LOG, work_vote, done_vote);
}

struct append_job {
    struct job job;
    struct member *member;
    uint64_t generation;
    uint64_t token;
    uint64_t commit;
    struct entry **entries;
    size_t count;
};

static void work_append(struct job *job)
{
    struct append_job *a = (struct append_job *)job;
    struct storage *s = a->member->storage;
    if (storage_failed(s) != NULL) {
        return;
    }
    struct wal_entry *records = mem_array(a->count, sizeof *records);
    for (size_t i = 0; i < a->count; i++) {
        records[i] = (struct wal_entry){
            .index = a->entries[i]->index,
            .term = a->entries[i]->term,
            .type = log_map_wal_type(a->entries[i]->type),
            .payload = entry_payload(a->entries[i]),
        };
    }
    struct err e;
    if (wal_append(storage_wal(s, STORAGE_RAFT), records, a->count, a->commit, &e) != ERR_OK) {
        (void)storage_fail(s, &e);
    } else if (!is_weakened(a->member->weaken, WEAKEN_APPENDS)) {
        storage_want_sync(s, STORAGE_RAFT);
    }
    if (storage_failed(s) == NULL && member_is_checkpoint(a->entries[a->count - 1])) {
        storage_rotate(s, STORAGE_RAFT);
    }
    mem_free(records);
}

static void done_append(struct job *job)
{
    struct append_job *a = (struct append_job *)job;
    struct member *m = a->member;
    if (member_job_ended(m, job) && a->generation == m->generation) {
        const struct entry *last = a->entries[a->count - 1];
        struct event ev = {.type = EVENT_APPEND_DURABLE,
                           .index = last->index,
                           .term = last->term,
                           .token = a->token};
        (void)member_raft_step(m, &ev, NULL);
    }
    free_entries(a->entries, a->count);
    mem_free(a);
}

static void run_append(struct member *m, struct action *a)
{
    CHECK(a->count > 0);
    uint64_t index = a->entries[0]->index;
    if (m->proposals_last != NULL && index <= m->proposals_last->index) {
        member_lost_from(m, index);
    }
    struct append_job *job = mem_zalloc(sizeof *job);
    job->member = m;
    job->generation = m->generation;
    job->token = a->token;
    job->commit = replica_status(m->replica).commit_index;
    job->entries = a->entries;
    job->count = a->count;
    a->entries = NULL;
    a->count = 0;
    for (size_t i = 0; i < job->count; i++) {
        member_room_appended(m, job->entries[i]->size);
    }
    m->mark_due = true;
    m->appended_ms = m->now_ms;
    member_submit(m, &job->job, LANE_LOG, work_append, done_append);
}

struct read_job {
    struct load_job load; /* its job, entries */
    uint64_t generation;
    uint64_t token;
    uint64_t index;
    uint64_t last;
    enum err_code code;
    struct err err;
};

static void work_read(struct job *job)
{
    struct read_job *r = (struct read_job *)job;
    struct wal *w = storage_wal(r->load.member->storage, STORAGE_RAFT);
    r->code = read_entries(&r->load, w, r->index, r->last, &r->err);
}

static void done_read(struct job *job)
{
    struct read_job *r = (struct read_job *)job;
    struct member *m = r->load.member;
    bool go = member_job_ended(m, job) && r->generation == m->generation;
    if (go && r->code != ERR_OK && is_weakened(m->weaken, WEAKEN_FOUND)) {
        log_error(m->log, "raft", "damage-found", "reason=\"%s\"", r->err.text);
    } else if (go && r->code != ERR_OK) {
        member_repair_again(m, r->err.text); /* safety.md C6 */
    } else if (go) {
        struct event ev = {.type = EVENT_LOG_READ,
                           .token = r->token,
                           .index = r->index,
                           .entries = r->load.entries,
                           .count = r->load.count};
        (void)member_raft_step(m, &ev, NULL);
    }
    free_entries(r->load.entries, r->load.count);
    mem_free(r);
}

static void run_read_log(struct member *m, const struct action *a)
{
    struct read_job *r = mem_zalloc(sizeof *r);
    r->load.member = m;
    r->generation = m->generation;
    r->token = a->token;
    r->index = a->index;
    r->last = a->index + a->count - 1;
    member_submit(m, &r->load.job, LANE_LOG, work_read, done_read);
}

/* --- the other actions --- */

static void run_apply(struct member *m, struct action *a)
{
    for (size_t i = 0; i < a->count; i++) {
        member_apply_push(m, a->entries[i]); /* takes the reference */
    }
    mem_free(a->entries);
    a->entries = NULL;
    a->count = 0;
    member_apply_pump(m);
}

static void run_read_ready(struct member *m, const struct action *a)
{
    struct member_request *r = list_find(&m->reads_asked, a->token);
    if (r == NULL) {
        return; /* cancelled */
    }
    list_remove(&m->reads_asked, r);
    if (r->only_index) {
        member_reply_ok(r, a->index);
        return;
    }
    if (r->index < a->index) {
        r->index = a->index;
    }
    list_push(&m->reads_waiting, r);
}

static void run_read_failed(struct member *m, const struct action *a)
{
    struct member_request *r = list_find(&m->reads_asked, a->token);
    if (r != NULL) {
        list_remove(&m->reads_asked, r);
        member_reply_error(r, ERR_UNAVAILABLE, "this node no longer leads: retry");
    }
}

static void run_role(struct member *m, const struct action *a)
{
    static const char *const names[] = {"follower", "candidate", "leader"};
    log_info(m->log, "raft", "role", "role=%s term=%" PRIu64 " leader=%016" PRIx64, names[a->role],
             a->term, a->id);
    if (a->id != 0) {
        m->leader_gone_ms = 0;
        member_leader_changed(m, a->id);
    }
    member_manage_role(m);
}

void member_configuration_changed(struct member *m, const struct configuration *c)
{
    m->configuration = *c;
    struct buf bytes = {0};
    configuration_encode(c, &bytes);
    struct err e;
    if (hard_state_set_blob(&m->hard.pending, c->index, buf_bytes(&bytes), &e) != ERR_OK) {
        member_fail(m, "configuration: %s", e.text);
    } else {
        member_put_hard(m);
        member_dial(m);
    }
    buf_deinit(&bytes);
}

static void run_action(struct member *m, struct action *a)
{
    switch (a->type) {
    case ACTION_HARD_STATE:
        run_hard_state(m, a);
        break;
    case ACTION_APPEND:
        run_append(m, a);
        break;
    case ACTION_SEND:
        member_send_bytes(m, a->id, PEER_FIELD_RAFT, buf_bytes(&a->message));
        break;
    case ACTION_READ_LOG:
        run_read_log(m, a);
        break;
    case ACTION_APPLY:
        run_apply(m, a);
        break;
    case ACTION_READ_READY:
        run_read_ready(m, a);
        break;
    case ACTION_READ_FAILED:
        run_read_failed(m, a);
        break;
    case ACTION_INSTALL:
        member_install_start(m, a->id, a->index, a->term, false);
        break;
    case ACTION_ROLE:
        run_role(m, a);
        break;
    case ACTION_CONFIGURATION:
        member_configuration_changed(m, a->configuration);
        break;
    case ACTION_CHANGE_FAILED:
        member_manage_failed(m, a->reason);
        break;
    case ACTION_CUT_OK:
        break; /* cutting follows checkpoints, see member_checkpoint.c */
    case ACTION_STOP:
        member_fail(m, "consensus stopped: %s", a->reason);
        break;
    }
}

void member_run_actions(struct member *m)
{
    /* Running an action never steps the replica: all answers come later, as events. */
    CHECK(!m->running_actions);
    m->running_actions = true;
    for (size_t i = 0; i < m->actions.count && !member_is_ending(m); i++) {
        run_action(m, &m->actions.items[i]);
    }
    actions_reset(&m->actions);
    m->running_actions = false;
    member_serve_reads(m);
}

enum err_code member_raft_step(struct member *m, struct event *event, struct err *e)
{
    CHECK(m->replica != NULL);
    struct err own;
    event->now_ms = m->now_ms;
    enum err_code code = replica_step(m->replica, event, &m->actions, e == NULL ? &own : e);
    if (code != ERR_OK && e == NULL) {
        log_debug(m->log, "raft", "refused", "event=%d reason=\"%s\"", (int)event->type, own.text);
    }
    member_run_actions(m);
    return code;
}

/* --- reads --- */

void member_raft_read(struct member *m, struct member_request *r)
{
    r->token = m->token_next++;
    list_push(&m->reads_asked, r);
    struct event ev = {.type = EVENT_READ, .token = r->token};
    struct err e;
    if (member_raft_step(m, &ev, &e) != ERR_OK && list_find(&m->reads_asked, r->token) == r) {
        list_remove(&m->reads_asked, r);
        member_reply_error(r, ERR_UNAVAILABLE, "%s", e.text);
    }
}

void member_read(struct member *m, bool stale, uint64_t index_min, struct member_request *r)
{
    member_start_request(m, r);
    r->index = index_min;
    r->only_index = false;
    bool here = member_level_reads_here(m);
    bool readable =
        m->db != NULL && (here || m->state == MEMBER_LOCAL || m->state == MEMBER_RUNNING);
    if (member_is_ending(m) || !readable ||
        (m->state == MEMBER_LOCAL && !m->local_ready && !here)) {
        member_reply_error(r, ERR_UNAVAILABLE, "this node serves no reads now: %s",
                           m->message[0] != '\0' ? m->message : member_state_name(m->state));
    } else if (stale || here || m->state == MEMBER_LOCAL) {
        list_push(&m->reads_waiting, r);
        member_serve_reads(m);
    } else if (!member_serves_clients(m)) {
        member_reply_error(r, ERR_UNAVAILABLE, "%s", m->message);
    } else if (member_is_leader(m)) {
        member_raft_read(m, r);
    } else {
        member_forward_read(m, r);
    }
}

/* --- time --- */

static void leader_gone_tick(struct member *m)
{
    if (m->leader_gone_ms == 0 || m->now_ms < m->leader_gone_ms) {
        return;
    }
    struct replica_status status = replica_status(m->replica);
    if (status.leader != m->leader_gone_id) {
        m->leader_gone_ms = 0;
        return;
    }
    /* Ignored while own writes are not durable yet: given again until it takes. */
    m->leader_gone_ms = m->now_ms + 1;
    m->leader_gone_again_ms = m->now_ms + (uint64_t)GONE_AGAIN_TIMEOUTS * m->settings.election_ms;
    struct event ev = {.type = EVENT_LEADER_GONE, .id = m->leader_gone_id};
    if (member_raft_step(m, &ev, NULL) != ERR_OK) {
        m->leader_gone_ms = 0;
    }
}

void member_peer_dead(struct member *m, uint64_t peer_id)
{
    if (m->replica == NULL || m->now_ms < m->leader_gone_again_ms ||
        is_weakened(m->weaken, WEAKEN_LEADER_GONE)) {
        return;
    }
    struct replica_status status = replica_status(m->replica);
    bool voter = configuration_is_voter(&m->configuration, m->hard.directory_id);
    if (status.role == REPLICA_FOLLOWER && status.leader == peer_id && voter) {
        m->leader_gone_id = peer_id;
        m->leader_gone_ms = m->now_ms + random_below(&m->random, GONE_WAIT_MS + 1);
    }
}

void member_raft_tick(struct member *m)
{
    if (m->state == MEMBER_STARTING) {
        member_raft_try_start(m);
    }
    if (m->replica == NULL) {
        return;
    }
    if (m->now_ms >= replica_deadline_ms(m->replica)) {
        struct event ev = {.type = EVENT_TICK};
        (void)member_raft_step(m, &ev, NULL);
    }
    if (m->replica != NULL && !member_is_ending(m)) {
        leader_gone_tick(m);
    }
}

/* --- marks (safety.md A3) --- */

struct mark_job {
    struct job job;
    struct member *member;
    uint64_t commit;
};

static void work_mark(struct job *job)
{
    struct mark_job *k = (struct mark_job *)job;
    struct storage *s = k->member->storage;
    for (int i = STORAGE_RAFT; i <= STORAGE_LOCAL && storage_failed(s) == NULL; i++) {
        struct wal *w = storage_wal(s, (enum storage_log)i);
        struct err e;
        if (w != NULL && wal_mark(w, k->commit, &e) != ERR_OK) {
            (void)storage_fail(s, &e);
        }
    }
}

static void done_mark(struct job *job)
{
    struct mark_job *k = (struct mark_job *)job;
    (void)member_job_ended(k->member, job);
    mem_free(k);
}

void member_mark(struct member *m)
{
    if (!m->mark_due || m->now_ms < m->appended_ms + MEMBER_MARK_IDLE_MS || m->log_jobs_out > 0) {
        return;
    }
    m->mark_due = false;
    struct mark_job *k = mem_zalloc(sizeof *k);
    k->member = m;
    k->commit = m->applied_index;
    member_submit(m, &k->job, LANE_LOG, work_mark, done_mark);
}
