/* SPDX-License-Identifier: Apache-2.0 */
#include "node/member.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "node/member_internal.h"
#include "tsdb/settings.h"

static const char *const state_names[] = {
    [MEMBER_OPENING] = "opening",   [MEMBER_FORMING] = "forming", [MEMBER_REPAIRING] = "repairing",
    [MEMBER_STARTING] = "starting", [MEMBER_RUNNING] = "running", [MEMBER_LOCAL] = "standalone",
    [MEMBER_STOPPING] = "stopping", [MEMBER_STOPPED] = "stopped",
};

#define BIT(state) (1U << (state))

static const unsigned allowed[] = {
    [MEMBER_OPENING] = BIT(MEMBER_FORMING) | BIT(MEMBER_REPAIRING) | BIT(MEMBER_STARTING) |
                       BIT(MEMBER_LOCAL) | BIT(MEMBER_STOPPING),
    [MEMBER_FORMING] = BIT(MEMBER_STARTING) | BIT(MEMBER_STOPPING),
    [MEMBER_REPAIRING] = BIT(MEMBER_STARTING) | BIT(MEMBER_STOPPING),
    [MEMBER_STARTING] = BIT(MEMBER_RUNNING) | BIT(MEMBER_REPAIRING) | BIT(MEMBER_STOPPING),
    [MEMBER_RUNNING] = BIT(MEMBER_STARTING) | BIT(MEMBER_LOCAL) | BIT(MEMBER_STOPPING),
    [MEMBER_LOCAL] = BIT(MEMBER_STARTING) | BIT(MEMBER_STOPPING),
    [MEMBER_STOPPING] = BIT(MEMBER_STOPPED),
    [MEMBER_STOPPED] = 0,
};

const char *member_state_name(enum member_state state)
{
    CHECK(state <= MEMBER_STOPPED);
    return state_names[state];
}

void member_set_state(struct member *m, enum member_state next)
{
    CHECK((allowed[m->state] & BIT(next)) != 0);
    CHECK((next == MEMBER_RUNNING) == (m->replica != NULL));
    CHECK(next != MEMBER_STOPPED || m->jobs_out == 0);
    log_info(m->log, "node", "state", "from=%s to=%s", state_names[m->state], state_names[next]);
    m->state = next;
}

bool member_is_ending(const struct member *m)
{
    return m->state >= MEMBER_STOPPING;
}

void member_say(struct member *m, const char *format, ...)
{
    char text[sizeof m->message];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (strcmp(text, m->message) == 0) {
        return;
    }
    memcpy(m->message, text, sizeof text);
    if (text[0] != '\0') {
        log_info(m->log, "node", "message", "text=\"%s\"", text);
    }
}

/* --- jobs --- */

void member_submit(struct member *m, struct job *job, enum lane lane, void (*work)(struct job *),
                   void (*done)(struct job *))
{
    CHECK(m->state != MEMBER_STOPPED);
    job->lane = lane;
    job->work = work;
    job->done = done;
    m->jobs_out++;
    if (lane == LANE_LOG && m->log_jobs_out++ == 0) {
        m->log_progress_ms = m->now_ms;
    }
    m->host.submit(m->host.context, job);
}

bool member_job_ended(struct member *m, const struct job *job)
{
    CHECK(m->jobs_out > 0);
    m->jobs_out--;
    if (job->lane == LANE_LOG) {
        CHECK(m->log_jobs_out > 0);
        m->log_jobs_out--;
        m->log_progress_ms = m->now_ms;
        const char *failed = storage_failed(m->storage);
        if (failed != NULL) {
            member_fail(m, "%s", failed);
        }
    }
    return !member_is_ending(m);
}

struct hard_job {
    struct job job;
    struct member *member;
    struct hard_state hard;
};

static void work_put_hard(struct job *job)
{
    struct hard_job *h = (struct hard_job *)job;
    struct err e;
    if (storage_put_hard(h->member->storage, &h->hard, &e) != ERR_OK) {
        (void)storage_fail(h->member->storage, &e);
    }
}

static void done_put_hard(struct job *job)
{
    struct hard_job *h = (struct hard_job *)job;
    (void)member_job_ended(h->member, job);
    mem_free(h);
}

void member_put_hard(struct member *m)
{
    struct hard_job *h = mem_zalloc(sizeof *h);
    h->member = m;
    h->hard = m->hard;
    member_submit(m, &h->job, LANE_LOG, work_put_hard, done_put_hard);
}

struct control_job {
    struct job job;
    struct member *member;
    struct control control;
};

static void work_put_control(struct job *job)
{
    struct control_job *c = (struct control_job *)job;
    struct err e;
    if (storage_put_control(c->member->storage, &c->control, &e) != ERR_OK) {
        (void)storage_fail(c->member->storage, &e);
    }
}

static void done_put_control(struct job *job)
{
    struct control_job *c = (struct control_job *)job;
    (void)member_job_ended(c->member, job);
    mem_free(c);
}

void member_put_control(struct member *m)
{
    struct control_job *c = mem_zalloc(sizeof *c);
    c->member = m;
    c->control = m->control;
    member_submit(m, &c->job, LANE_LOG, work_put_control, done_put_control);
}

/* --- opening --- */

struct open_job {
    struct job job;
    struct member *member;
    struct tsdb *db;
    struct hash128 hash; /* of the manifest */
    enum err_code code;
    struct err err;
};

static void work_open(struct job *job)
{
    struct open_job *o = (struct open_job *)job;
    struct member *m = o->member;
    struct tsdb_options options = {
        .io = storage_io(m->storage),
        .log = m->log,
        .dir = storage_tsdb_dir(m->storage),
        .checkpoint_index = m->control.checkpoint_index,
        .forget_sessions = is_weakened(m->weaken, WEAKEN_SESSIONS),
    };
    o->code = tsdb_open(&options, &o->db, &o->err);
    o->hash = member_manifest_hash(m, options.checkpoint_index);
}

static void open_state(struct member *m);

/* A damaged manifest: a cluster's state is in the log from its beginning, or in the
 * checkpoint that the repair takes from another node. A node alone has nothing else. */
static bool open_without(struct member *m, const struct open_job *o)
{
    bool damaged = (o->code == ERR_CORRUPT || o->code == ERR_IO) && !member_is_known_alone(m);
    bool raft = m->hard.cluster_id != 0 && m->control.era_count > 0 &&
                m->control.eras[m->control.era_count - 1].log == CONTROL_LOG_RAFT;
    if (!damaged || !raft || m->control.checkpoint_index == 0) {
        return false;
    }
    log_error(m->log, "node", "checkpoint-lost", "index=%" PRIu64 " reason=\"%s\"",
              m->control.checkpoint_index, o->err.text);
    m->control.checkpoint_index = 0;
    m->control.checkpoint_term = 0;
    member_put_control(m);
    open_state(m);
    return true;
}

static void done_open(struct job *job)
{
    struct open_job *o = (struct open_job *)job;
    struct member *m = o->member;
    bool go = member_job_ended(m, job);
    if (o->code != ERR_OK) {
        if (go && !open_without(m, o)) {
            member_fail(m, "checkpoint %" PRIu64 ": %s", m->control.checkpoint_index, o->err.text);
        }
    } else {
        m->db = o->db;
        m->agree.manifest = o->hash;
        m->applied_index = tsdb_applied_index(m->db);
        m->applied_term = tsdb_applied_term(m->db);
    }
    mem_free(o);
    if (go && m->db != NULL) {
        member_damage_seen(m); /* if a part could not be opened */
        member_begin(m);
    }
}

static void open_state(struct member *m)
{
    struct open_job *o = mem_zalloc(sizeof *o);
    o->member = m;
    member_submit(m, &o->job, LANE_APPLY, work_open, done_open);
}

/* No entry is being applied yet: the loop may look into the tsdb. */
void member_adopt_state(struct member *m)
{
    m->formed = tsdb_cluster_formed(m->db) || m->hard.cluster_formed;
    uint64_t index = 0;
    struct bytes bytes = tsdb_configuration(m->db, &index);
    struct err e;
    if (bytes.size > 0) {
        if (configuration_decode(bytes, index, &m->committed, &e) != ERR_OK) {
            member_fail(m, "checkpoint %" PRIu64 ": %s", m->control.checkpoint_index, e.text);
            return;
        }
        m->configuration = m->committed;
    }
    member_load_settings(m);
    size_t count = 0;
    const struct tsdb_node *nodes = tsdb_nodes(m->db, &count);
    m->nodes = mem_grow(m->nodes, &m->node_capacity, count + 1, sizeof *m->nodes);
    if (count > 0) {
        memcpy(m->nodes, nodes, count * sizeof *nodes);
    }
    m->node_count = count;
    for (size_t i = 0; i < count; i++) {
        member_forget_gone(m, nodes[i].removed ? nodes[i].directory_id : 0);
    }
}

static void found_or_resume(struct member *m)
{
    if (m->hard.cluster_id == 0 && m->peer_address_count > 1) {
        member_set_state(m, MEMBER_FORMING);
        member_found_start(m);
    } else if (m->hard.cluster_id == 0) {
        member_found_alone(m);
    } else {
        member_found_resume(m);
    }
}

void member_begin(struct member *m)
{
    member_adopt_state(m);
    if (member_is_ending(m)) {
        return;
    }
    if (m->peer_address_count > 1 || m->hard.cluster_id != 0) {
        member_found_open(m); /* alone, it tells who asks that a cluster is here */
    }
    if (member_is_ending(m)) {
        return;
    }
    if (m->hard.cluster_id == 0 || m->control.era_count == 0) {
        found_or_resume(m);
        return;
    }
    if (m->control.eras[m->control.era_count - 1].log == CONTROL_LOG_LOCAL) {
        member_go_local(m);
        return;
    }
    member_dial(m);
    member_raft_load(m);
}

void member_go_local(struct member *m)
{
    m->formed = true;
    member_set_state(m, MEMBER_LOCAL);
    member_local_start(m);
}

static void copy_options(struct member *m, const struct member_options *o)
{
    m->host = *o->host;
    m->log = o->log;
    m->storage = o->storage;
    (void)snprintf(m->name, sizeof m->name, "%s", o->name);
    (void)snprintf(m->peer_address, sizeof m->peer_address, "%s", o->peer_address);
    (void)snprintf(m->client_address, sizeof m->client_address, "%s", o->client_address);
    m->peer_address_count = o->peer_count;
    m->peers = mem_array(o->peer_count + 1, sizeof *m->peers);
    for (size_t i = 0; i < o->peer_count; i++) {
        m->peers[i] = mem_strdup(o->peers[i]);
    }
    m->wal_level_new = o->wal_level;
    m->log_keep = o->log_keep != 0 ? o->log_keep : MEMBER_TRAILING_ENTRIES;
    m->part_size = o->part_size != 0 ? o->part_size : COMMAND_PART_SIZE_MAX;
    m->cache_size_max = o->cache_size_max != 0 ? o->cache_size_max : (size_t)MEMBER_CACHE_SIZE;
    m->scrub_pause_ms = o->scrub_pause_ms != 0 ? o->scrub_pause_ms : MEMBER_SCRUB_PAUSE_MS;
    m->checkpoint_step = o->checkpoint_step;
    m->weaken = o->weaken;
    m->random = random_seeded(o->seed);
}

struct member *member_open(const struct member_options *options, uint64_t now_ms)
{
    CHECK(options->host->submit != NULL);
    CHECK(options->host->send != NULL);
    CHECK(options->host->stopped != NULL);
    CHECK(options->part_size <= COMMAND_PART_SIZE_MAX);
    CHECK(options->storage != NULL);
    struct member *m = mem_zalloc(sizeof *m);
    copy_options(m, options);
    m->state = MEMBER_OPENING;
    m->now_ms = now_ms;
    m->opened_ms = now_ms;
    m->ticked_ms = now_ms;
    m->log_settings.buffer_size = STORAGE_BUFFER_SIZE; /* as storage_open() left it */
    /* An answer to the process before this one must not fit a question of ours. */
    m->token_next = random_u64(&m->random) >> 1 | 1;
    m->hard = *storage_hard(m->storage);
    m->term_durable = m->hard.term;
    m->control = *storage_control(m->storage);
    open_state(m);
    return m;
}

/* --- stopping --- */

static void close_parts(struct member *m)
{
    if (m->stop_closed) {
        return;
    }
    m->stop_closed = true;
    member_raft_close(m);
    member_repair_close(m);
    member_found_close(m);
    member_manage_close(m);
    member_level_close(m);
    member_apply_clear(m);
    member_reply_all(m, ERR_UNAVAILABLE, "the node is stopping");
}

static void end_if_idle(struct member *m)
{
    if (m->state == MEMBER_STOPPING && m->stop_closed && m->jobs_out == 0) {
        member_set_state(m, MEMBER_STOPPED);
        m->host.stopped(m->host.context, m->exit_code, m->reason);
    }
}

void member_fail(struct member *m, const char *format, ...)
{
    if (member_is_ending(m) && m->exit_code != 0) {
        return; /* the first reason is the one that helps */
    }
    va_list args;
    va_start(args, format);
    (void)vsnprintf(m->reason, sizeof m->reason, format, args);
    va_end(args);
    log_error(m->log, "node", "fail-stop", "reason=\"%s\"", m->reason);
    m->exit_code = 1;
    if (!member_is_ending(m)) {
        member_raft_close(m); /* RUNNING has a replica, STOPPING has none */
        member_set_state(m, MEMBER_STOPPING);
    }
    close_parts(m);
}

struct give_up_job {
    struct job job;
    struct member *member;
};

static void work_give_up(struct job *job)
{
    struct storage *s = ((struct give_up_job *)job)->member->storage;
    struct err e;
    if (storage_failed(s) == NULL && storage_give_up_identity(s, &e) != ERR_OK) {
        (void)storage_fail(s, &e);
    }
}

static void done_give_up(struct job *job)
{
    struct member *m = ((struct give_up_job *)job)->member;
    (void)member_job_ended(m, job);
    mem_free(job);
}

void member_checkpoint_lost(struct member *m, const char *why)
{
    if (member_is_ending(m)) {
        return;
    }
    log_error(m->log, "node", "checkpoint-lost", "index=%" PRIu64 " reason=\"%s\"",
              m->control.checkpoint_index, why);
    (void)snprintf(m->reason, sizeof m->reason, "%s", why);
    m->exit_code = MEMBER_EXIT_AGAIN;
    m->control.checkpoint_index = 0;
    m->control.checkpoint_term = 0;
    member_put_control(m);
    member_raft_close(m);
    member_set_state(m, MEMBER_STOPPING);
    close_parts(m);
}

void member_give_up_identity(struct member *m, const char *why)
{
    if (member_is_ending(m)) {
        return;
    }
    log_error(m->log, "node", "identity-lost", "reason=\"%s\"", why);
    (void)snprintf(m->reason, sizeof m->reason, "%s", why);
    m->exit_code = MEMBER_EXIT_AGAIN;
    struct give_up_job *g = mem_zalloc(sizeof *g);
    g->member = m;
    member_submit(m, &g->job, LANE_LOG, work_give_up, done_give_up);
    member_raft_close(m);
    member_set_state(m, MEMBER_STOPPING);
    close_parts(m);
}

/* A node alone leaves nothing to replay (safety.md E6). */
static bool is_checkpoint_due(const struct member *m)
{
    bool alone = m->state == MEMBER_LOCAL ||
                 (member_is_leader(m) && configuration_voters(&m->configuration) == 1);
    return !is_weakened(m->weaken, WEAKEN_CLEAN_STOP) && alone &&
           m->applied_index > m->control.checkpoint_index;
}

static bool must_hand_over(const struct member *m)
{
    return member_lead_successor(m) != 0 && !is_weakened(m->weaken, WEAKEN_CLEAN_STOP);
}

static void propose_last_checkpoint(struct member *m)
{
    if (m->level == NULL && !m->stop_checkpoint && is_checkpoint_due(m)) {
        m->stop_checkpoint = true;
        member_propose_own(m, COMMAND_CHECKPOINT, (struct bytes){0});
    }
}

void member_stop(struct member *m, uint64_t deadline_ms)
{
    if (member_is_ending(m) || m->stop_asked) {
        return;
    }
    m->stop_asked = true;
    m->stop_by_ms = deadline_ms;
    member_say(m, "stopping");
    member_level_stop(m);
    if (must_hand_over(m)) {
        member_lead_give(m);
    }
    propose_last_checkpoint(m);
}

static bool somebody_waits(const struct member *m)
{
    for (const struct proposal *p = m->proposals_first; p != NULL; p = p->next) {
        for (size_t i = 0; i < p->count; i++) {
            if (p->requests[i] != NULL) {
                return true;
            }
        }
    }
    return m->gathered_count > 0;
}

/* Nothing is open that a clean stop should wait for. */
static bool is_drained(const struct member *m)
{
    return !must_hand_over(m) && !somebody_waits(m) && m->applying == NULL && m->level == NULL &&
           !m->checkpoint_running && !is_checkpoint_due(m);
}

static void stop_tick(struct member *m)
{
    if (!m->stop_asked || member_is_ending(m)) {
        return;
    }
    if (must_hand_over(m)) {
        member_lead_give(m);
    }
    propose_last_checkpoint(m);
    bool forced = m->now_ms >= m->stop_by_ms;
    if (!forced && !is_drained(m)) {
        return;
    }
    (void)snprintf(m->reason, sizeof m->reason, "stopped%s", forced ? " at the drain limit" : "");
    member_raft_close(m);
    member_set_state(m, MEMBER_STOPPING);
    close_parts(m);
}

void member_abort(struct member *m)
{
    if (!member_is_ending(m)) {
        member_raft_close(m);
        member_set_state(m, MEMBER_STOPPING);
    }
    m->exit_code = 1;
    close_parts(m);
}

void member_close(struct member *m)
{
    if (m == NULL) {
        return;
    }
    CHECK(m->jobs_out == 0);
    CHECK(member_is_ending(m));
    close_parts(m);
    member_install_close(m);
    member_refill_close(m);
    member_scrub_close(m);
    member_checkpoint_close(m);
    tsdb_close(m->db);
    while (m->free_batches != NULL) {
        struct apply_batch *b = m->free_batches;
        m->free_batches = b->next_free;
        for (size_t i = 0; i < MEMBER_APPLY_ENTRIES_MAX; i++) {
            tsdb_results_deinit(&b->results[i]);
        }
        mem_free(b);
    }
    for (size_t i = 0; i < m->peer_address_count; i++) {
        mem_free(m->peers[i]);
    }
    mem_free(m->peers);
    mem_free(m->apply_queue.items);
    buf_deinit(&m->gather);
    buf_deinit(&m->send_buf);
    settings_unref(m->values);
    mem_free(m->nodes);
    actions_deinit(&m->actions);
    repair_actions_deinit(&m->repair_actions);
    log_map_deinit(&m->map);
    mem_free(m);
}

/* --- time --- */

void member_time(struct member *m, uint64_t now_ms)
{
    CHECK(now_ms >= m->now_ms);
    m->now_ms = now_ms;
}

/* Only while others rely on us (safety.md H2): a start reads the whole log in one
 * job, which may take long without anything being wrong. */
static void check_disk(struct member *m)
{
    bool takes_part = m->state == MEMBER_RUNNING || (m->state == MEMBER_LOCAL && m->local_ready);
    if (takes_part && !is_weakened(m->weaken, WEAKEN_HANGS) && m->log_jobs_out > 0 &&
        m->now_ms >= m->log_progress_ms + MEMBER_DISK_HANG_MS) {
        member_fail(m,
                    "the disk of %s has not finished a write for %u ms: the node can't tell "
                    "what is durable",
                    storage_dir(m->storage), (unsigned)MEMBER_DISK_HANG_MS);
    }
}

void member_tick(struct member *m, uint64_t now_ms)
{
    member_time(m, now_ms);
    if (now_ms > m->ticked_ms + MEMBER_STOPPED_MS) {
        m->log_progress_ms = now_ms; /* we were stopped, not the disk: its time begins now */
    }
    m->ticked_ms = now_ms;
    if (!member_is_ending(m)) {
        check_disk(m);
    }
    if (!member_is_ending(m)) {
        member_room_tick(m);
        member_found_tick(m);
        member_repair_tick(m);
        member_raft_tick(m);
        member_peer_tick(m);
        member_install_tick(m);
        member_snapshot_tick(m);
        member_refill_tick(m);
        member_scrub_tick(m);
        member_checkpoint_tick(m);
        member_manage_tick(m);
        member_level_tick(m);
        member_mark(m);
        member_log_tick(m);
        member_expire(m);
        stop_tick(m);
    }
    end_if_idle(m);
}

static uint64_t earliest(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint64_t member_deadline_ms(const struct member *m)
{
    uint64_t at = m->ticked_ms + MEMBER_PROGRESS_MS; /* from now, it would move with each event */
    if (m->state == MEMBER_STOPPING || m->stop_asked) {
        return m->now_ms + 10;
    }
    if (m->replica != NULL) {
        at = earliest(at, replica_deadline_ms(m->replica));
    }
    at = earliest(at, member_room_deadline_ms(m));
    if (m->leader_gone_ms != 0) {
        at = earliest(at, m->leader_gone_ms);
    }
    if (m->state == MEMBER_STARTING) {
        at = earliest(at, m->gate_open_ms);
    }
    if (m->mark_due) {
        at = earliest(at, m->appended_ms + MEMBER_MARK_IDLE_MS);
    }
    if (m->log_sync_ms != 0) {
        at = earliest(at, m->log_sync_ms);
    }
    if (m->level != NULL || m->manage != NULL || m->install != NULL || m->deadlines_ms != 0) {
        at = earliest(at, m->ticked_ms + (m->level != NULL ? 1 : 20));
    }
    at = earliest(at, member_found_deadline_ms(m));
    at = earliest(at, member_repair_deadline_ms(m));
    at = earliest(at, member_scrub_deadline_ms(m));
    return at <= m->now_ms ? m->now_ms + 1 : at;
}

/* --- looking --- */

enum member_state member_state(const struct member *m)
{
    return m->state;
}

const struct configuration *member_configuration(const struct member *m)
{
    return &m->configuration;
}

struct tsdb *member_tsdb(const struct member *m)
{
    return m->db;
}

struct storage *member_storage(const struct member *m)
{
    return m->storage;
}

const struct member_host *member_host(const struct member *m)
{
    return &m->host;
}

struct peer *member_peer(struct member *m, uint64_t id)
{
    for (size_t i = 0; i < m->known_count; i++) {
        if (m->known[i].id == id) {
            return &m->known[i];
        }
    }
    return NULL;
}

bool member_peer_connected(const struct member *m, uint64_t id)
{
    for (size_t i = 0; i < m->known_count; i++) {
        if (m->known[i].id == id) {
            return m->known[i].connected;
        }
    }
    return false;
}

/* "name@host:port" -> does it carry this name? */
static bool address_has_name(const char *address, const char *name)
{
    size_t size = strlen(name);
    return strncmp(address, name, size) == 0 && address[size] == '@';
}

uint64_t member_peer_id(const struct member *m, const char *name)
{
    for (size_t i = m->configuration.count; i-- > 0;) { /* the newest of a name */
        const struct server *s = &m->configuration.servers[i];
        if (address_has_name(s->address, name)) {
            return s->id;
        }
    }
    return 0;
}

static bool is_healthy(const struct member *m)
{
    if (m->state == MEMBER_LOCAL) {
        return m->local_ready; /* the local WAL is replayed */
    }
    if (member_level_reads_here(m)) {
        return true;
    }
    if (m->state != MEMBER_RUNNING || !m->formed) {
        return false;
    }
    struct replica_status status = replica_status(m->replica);
    return status.leader != 0 && !status.installing;
}

bool member_is_refused(const struct member *m)
{
    return m->refused[0] != '\0' && m->now_ms < m->refused_ms + MEMBER_REFUSED_MS && !is_healthy(m);
}

static void put_message(const struct member *m, char *dst, size_t size)
{
    bool refused = member_is_refused(m);
    (void)snprintf(dst, size, "%s%s%s", m->message, m->message[0] != '\0' && refused ? "; " : "",
                   refused ? m->refused : "");
    if (dst[0] == '\0') {
        member_room_message(m, dst, size);
    }
    if (dst[0] == '\0') {
        (void)snprintf(dst, size, "%s", m->agree.text);
    }
    if (dst[0] == '\0') {
        member_refill_message(m, dst, size);
    }
}

struct member_status member_status(const struct member *m)
{
    struct member_status s = {
        .state = m->state,
        .cluster_id = m->hard.cluster_id,
        .directory_id = m->hard.directory_id,
        .start_counter = m->hard.start_counter,
        .applied_index = m->applied_index,
        .checkpoint_index = m->control.checkpoint_index,
        .checkpoint_time_ms = m->control.checkpoint_time_ms,
        .checkpoint_ms = m->control.checkpoint_duration_ms,
        .checkpoint_bytes = m->control.checkpoint_bytes,
        .wal_level = m->settings.wal_level,
        .formed = m->formed,
        .healthy = is_healthy(m),
        .writes = m->writes,
        .rows_written = m->rows_written,
        .reads = m->reads,
        .damage = m->damage,
        .recovery = m->recovery,
        .recovery_view = recovery_look(&m->recovery, m->now_ms),
    };
    (void)snprintf(s.name, sizeof s.name, "%s", m->name);
    (void)snprintf(s.peer_address, sizeof s.peer_address, "%s", m->peer_address);
    (void)snprintf(s.client_address, sizeof s.client_address, "%s", m->client_address);
    put_message(m, s.message, sizeof s.message);
    memcpy(s.raft_retained_by, m->retained_by, sizeof s.raft_retained_by);
    s.repaired = m->repair_total;
    if (m->repair != NULL) {
        s.repair = repair_status(m->repair);
    }
    if (m->replica != NULL) {
        s.replica = replica_status(m->replica);
    } else {
        s.replica = (struct replica_status){.term = m->hard.term,
                                            .commit_index = m->applied_index,
                                            .applied_index = m->applied_index,
                                            .last_index = m->applied_index,
                                            .durable_index = m->applied_index};
    }
    return s;
}
