/* SPDX-License-Identifier: Apache-2.0 */
/* Repair before joining (raft/repair.h decides), and answers to other nodes'
 * repairs, which work whatever we are doing ourselves. */
#include <inttypes.h>
#include <string.h>

#include "node/member_internal.h"

/* --- our own repair --- */

struct repair_job {
    struct job job;
    struct member *member;
    enum repair_action_type type;
    uint64_t index;
    uint64_t term;
    struct entry **entries;
    size_t count;
    uint64_t commit;
    struct log_map map;
};

static struct wal_entry record_of(const struct entry *entry)
{
    return (struct wal_entry){
        .index = entry->index,
        .term = entry->term,
        .type = log_map_wal_type(entry->type),
        .payload = entry_payload(entry),
    };
}

static enum err_code fill(struct repair_job *r, struct wal *w, struct err *e)
{
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < r->count && code == ERR_OK; i++) {
        struct wal_entry record = record_of(r->entries[i]);
        code = wal_repair(w, &record, e);
    }
    return code;
}

static enum err_code replace(struct repair_job *r, struct wal *w, struct err *e)
{
    struct wal_entry *records = mem_array(r->count, sizeof *records);
    for (size_t i = 0; i < r->count; i++) {
        records[i] = record_of(r->entries[i]);
    }
    enum err_code code = wal_replace(w, records, r->count, r->commit, e);
    mem_free(records);
    return code;
}

static enum err_code drop(struct repair_job *r, struct wal *w, struct err *e)
{
    enum err_code code = wal_drop(w, r->index, r->commit, e);
    return code == ERR_OK ? wal_sync(w, e) : code;
}

static enum err_code change_log(struct repair_job *r, struct wal *w, struct err *e)
{
    switch (r->type) {
    case REPAIR_FILL:
        return fill(r, w, e);
    case REPAIR_REPLACE:
        return replace(r, w, e);
    case REPAIR_DROP:
        return drop(r, w, e);
    case REPAIR_ASK:
    case REPAIR_PERSIST_TERM:
    case REPAIR_SNAPSHOT:
    case REPAIR_WAITS:
    case REPAIR_DONE:
        break;
    }
    PANIC("repair action %d does not change the log", (int)r->type);
}

static void work_repair(struct job *job)
{
    struct repair_job *r = (struct repair_job *)job;
    struct storage *s = r->member->storage;
    struct wal *w = storage_wal(s, STORAGE_RAFT);
    struct err e;
    if (storage_failed(s) == NULL && change_log(r, w, &e) != ERR_OK) {
        (void)storage_fail(s, &e);
    }
    log_map_take(&r->map, w);
}

static void run_repair_actions(struct member *m);

static void step_repair(struct member *m, struct repair_event *event)
{
    if (m->repair == NULL) {
        return;
    }
    event->now_ms = m->now_ms;
    struct err e;
    if (repair_step(m->repair, event, &m->repair_actions, &e) != ERR_OK) {
        log_warn(m->log, "raft", "repair-message", "reason=\"%s\"", e.text);
    }
    run_repair_actions(m);
}

static void done_repair(struct job *job)
{
    struct repair_job *r = (struct repair_job *)job;
    struct member *m = r->member;
    bool go = member_job_ended(m, job);
    if (go && m->repair != NULL) {
        log_map_deinit(&m->map);
        m->map = r->map;
        r->map = (struct log_map){0};
        struct repair_event ev = {.type = REPAIR_FILLED};
        step_repair(m, &ev);
    }
    for (size_t i = 0; i < r->count; i++) {
        entry_unref(r->entries[i]);
    }
    mem_free(r->entries);
    log_map_deinit(&r->map);
    mem_free(r);
}

/* Nothing may be stored of a term above our own: libraft could not start from it. */
bool member_raise_term(struct member *m, uint64_t term)
{
    if (term <= m->hard.term) {
        return false;
    }
    m->hard.term = term;
    m->hard.voted_for = 0;
    return true;
}

static void submit_repair(struct member *m, struct repair_action *a)
{
    if (a->count > 0 && member_raise_term(m, a->entries[a->count - 1]->term)) {
        member_put_hard(m);
    }
    struct repair_job *r = mem_zalloc(sizeof *r);
    r->member = m;
    r->type = a->type;
    r->index = a->index;
    r->term = a->term;
    r->entries = a->entries;
    r->count = a->count;
    r->commit = m->applied_index;
    a->entries = NULL;
    a->count = 0;
    member_submit(m, &r->job, LANE_LOG, work_repair, done_repair);
}

struct term_job {
    struct job job;
    struct member *member;
    struct hard_state hard;
    /* For an answer that waits for it (C2.3); 0: our own repair. */
    uint64_t asker;
    struct buf question;
};

static void work_term(struct job *job)
{
    struct term_job *t = (struct term_job *)job;
    struct err e;
    if (storage_failed(t->member->storage) == NULL &&
        storage_put_hard(t->member->storage, &t->hard, &e) != ERR_OK) {
        (void)storage_fail(t->member->storage, &e);
    }
}

static void done_term(struct job *job)
{
    struct term_job *t = (struct term_job *)job;
    struct member *m = t->member;
    if (member_job_ended(m, job)) {
        m->term_durable = t->hard.term;
        if (t->asker != 0) {
            member_repair_question(m, t->asker, buf_bytes(&t->question));
        } else {
            struct repair_event ev = {.type = REPAIR_PERSISTED, .term = t->hard.term};
            step_repair(m, &ev);
        }
    }
    buf_deinit(&t->question);
    mem_free(t);
}

static void submit_term(struct member *m, uint64_t term, uint64_t asker, struct bytes question)
{
    (void)member_raise_term(m, term);
    struct term_job *t = mem_zalloc(sizeof *t);
    t->member = m;
    t->hard = m->hard;
    t->asker = asker;
    buf_put_bytes(&t->question, question);
    member_submit(m, &t->job, LANE_LOG, work_term, done_term);
}

static void finish_repair(struct member *m)
{
    struct repair_status status = repair_status(m->repair);
    log_info(m->log, "raft", "repaired", "filled=%" PRIu64 " replaced=%" PRIu64 " dropped=%" PRIu64,
             status.filled, status.replaced, status.dropped);
    m->repair_total.filled += status.filled;
    m->repair_total.replaced += status.replaced;
    m->repair_total.dropped += status.dropped;
    repair_close(m->repair);
    m->repair = NULL;
    m->hard.repair_term = 0;
    member_put_hard(m);
    member_say(m, "%s", "");
    member_raft_load(m);
}

static void run_repair_actions(struct member *m)
{
    bool done = false;
    for (size_t i = 0; i < m->repair_actions.count && !member_is_ending(m); i++) {
        struct repair_action *a = &m->repair_actions.items[i];
        switch (a->type) {
        case REPAIR_ASK:
            member_send_bytes(m, a->id, PEER_FIELD_REPAIR_QUESTION, buf_bytes(&a->message));
            break;
        case REPAIR_FILL:
        case REPAIR_REPLACE:
        case REPAIR_DROP:
            submit_repair(m, a);
            break;
        case REPAIR_PERSIST_TERM:
            submit_term(m, a->term, 0, (struct bytes){0});
            break;
        case REPAIR_SNAPSHOT:
            member_install_start(m, a->id, a->index, a->term, true);
            break;
        case REPAIR_WAITS:
            member_say(m, "%s", a->text);
            break;
        case REPAIR_DONE:
            done = true;
            break;
        }
    }
    repair_actions_reset(&m->repair_actions);
    if (done && !member_is_ending(m)) {
        finish_repair(m);
    }
}

static size_t collect_configurations(struct member *m)
{
    size_t count = 0;
    const struct hard_state_blob *blobs[] = {&m->hard.committed, &m->hard.pending};
    struct err e;
    if (m->committed.count > 0) {
        m->repair_configurations[count++] = m->committed;
    }
    for (size_t i = 0; i < 2; i++) {
        struct bytes b = hard_state_blob_bytes(blobs[i]);
        struct configuration c;
        bool newer = b.size > 0 &&
                     (count == 0 || blobs[i]->index > m->repair_configurations[count - 1].index);
        if (newer && configuration_decode(b, blobs[i]->index, &c, &e) == ERR_OK) {
            m->repair_configurations[count++] = c;
        }
    }
    struct founding_record *record = mem_zalloc(sizeof *record);
    struct bytes founding = hard_state_blob_bytes(&m->hard.founding);
    if (count == 0 && founding.size > 0 && founding_record_decode(founding, record, &e) == ERR_OK &&
        configuration_decode(record->configuration, 1, &m->repair_configurations[0], &e) ==
            ERR_OK) {
        count = 1;
    }
    mem_free(record);
    return count;
}

void member_repair_start(struct member *m)
{
    CHECK(m->state == MEMBER_REPAIRING);
    CHECK(m->repair == NULL);
    if (m->hard.repair_term == 0) {
        m->hard.repair_term = m->hard.term;
        member_put_hard(m);
    }
    for (size_t i = 0; i < m->map.hole_count; i++) {
        const struct wal_hole *h = &m->map.holes[i];
        log_warn(m->log, "raft", "hole", "index=%" PRIu64 " term=%" PRIu64 " identity=%s", h->index,
                 h->term, h->unknown ? "lost" : "known");
    }
    size_t count = collect_configurations(m);
    if (count > 0) {
        m->configuration = m->repair_configurations[count - 1];
        member_dial(m);
    }
    struct repair_options options = {
        .id = m->hard.directory_id,
        .seed = random_u64(&m->random),
        .term_began = m->hard.repair_term,
        .term = m->hard.term,
        .snapshot_index = m->control.checkpoint_index,
        .snapshot_term = m->control.checkpoint_term,
        .configurations = m->repair_configurations,
        .configuration_count = count,
        .log = log_map_view(&m->map),
        .ask_interval_ms = 200,
    };
    m->repair = repair_start(&options, m->now_ms, &m->repair_actions);
    run_repair_actions(m);
    member_repair_peers(m);
}

void member_repair_tick(struct member *m)
{
    if (m->repair != NULL && m->now_ms >= repair_deadline_ms(m->repair)) {
        struct repair_event ev = {.type = REPAIR_TICK};
        step_repair(m, &ev);
    }
}

void member_repair_message(struct member *m, uint64_t peer_id, struct bytes answer)
{
    if (m->repair == NULL) {
        member_scrub_answer(m, answer);
        return;
    }
    struct repair_event ev = {.type = REPAIR_MESSAGE, .id = peer_id, .message = answer};
    step_repair(m, &ev);
}

void member_repair_peers(struct member *m)
{
    uint64_t ids[MEMBER_PEERS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < m->known_count; i++) {
        if (m->known[i].connected) {
            ids[count++] = m->known[i].id;
        }
    }
    struct repair_event ev = {.type = REPAIR_PEERS, .peers = ids, .peer_count = count};
    step_repair(m, &ev);
}

void member_repair_installed(struct member *m, uint64_t index, uint64_t term)
{
    struct repair_event ev = {
        .type = REPAIR_INSTALLED, .index = index, .term = term, .configuration = &m->committed};
    step_repair(m, &ev);
}

void member_repair_close(struct member *m)
{
    repair_close(m->repair);
    m->repair = NULL;
    repair_actions_reset(&m->repair_actions);
}

uint64_t member_repair_deadline_ms(const struct member *m)
{
    return m->repair != NULL ? repair_deadline_ms(m->repair) : UINT64_MAX;
}

void member_repair_again(struct member *m, const char *what)
{
    log_error(m->log, "raft", "damage-found", "reason=\"%s\"", what);
    member_say(m, "repairing: %s", what);
    member_raft_close(m);
    member_apply_clear(m);
    member_set_state(m, MEMBER_STARTING);
    member_raft_load(m);
}

/* --- answering --- */

/* Identities of our log: those of the running replica, else those of the map. */
static uint64_t live_first(void *context)
{
    return replica_status(((struct member *)context)->replica).first_index;
}

static uint64_t live_last(void *context)
{
    return replica_status(((struct member *)context)->replica).last_index;
}

static bool live_end_unknown(void *context)
{
    (void)context;
    return false;
}

static struct slot live_at(void *context, uint64_t index)
{
    const struct member *m = context;
    struct replica_status status = replica_status(m->replica);
    uint64_t term = 0;
    if (index > status.last_index) {
        return (struct slot){.kind = SLOT_NEVER_HAD};
    }
    if (!replica_term_at(m->replica, index, &term)) {
        return (struct slot){.kind = SLOT_CUT};
    }
    struct slot slot = {.kind = index < status.first_index ? SLOT_CUT : SLOT_WHOLE, .term = term};
    const struct entry *cached = replica_entry(m->replica, index);
    if (slot.kind == SLOT_WHOLE && cached != NULL) {
        slot.type = cached->type;
    }
    return slot;
}

/* Entries that an answer needs and that are not in memory are read once and
 * kept for the second try. */
struct answer_job {
    struct job job;
    struct member *member;
    uint64_t asker;
    struct buf question;
    uint64_t index;
    size_t count;
    struct entry **entries;
    size_t read_count;
};

static struct entry *entry_for_answer(void *context, uint64_t index, bool *need)
{
    struct member *m = context;
    if (m->replica != NULL) {
        struct entry *cached = replica_entry(m->replica, index);
        if (cached != NULL) {
            return entry_ref(cached);
        }
    }
    const struct answer_job *a = m->answering;
    if (a != NULL && index >= a->index && index - a->index < a->read_count) {
        return entry_ref(a->entries[index - a->index]);
    }
    *need = a == NULL;
    return NULL;
}

static void work_answer(struct job *job)
{
    enum { ANSWER_SIZE_MAX = 1 << 20 };
    struct answer_job *a = (struct answer_job *)job;
    struct wal *w = storage_wal(a->member->storage, STORAGE_RAFT);
    struct wal_entry *found = mem_array(a->count, sizeof *found);
    struct buf storage = {0};
    struct err e;
    a->entries = mem_array(a->count, sizeof *a->entries);
    size_t count = 0;
    if (w != NULL &&
        wal_read(w, a->index, a->count, ANSWER_SIZE_MAX, &storage, found, &count, &e) == ERR_OK) {
        for (size_t i = 0; i < count; i++) {
            a->entries[i] = entry_new(log_map_entry_type(found[i].type), found[i].index,
                                      found[i].term, found[i].payload);
        }
        a->read_count = count;
    }
    buf_deinit(&storage);
    mem_free(found);
}

static void done_answer(struct job *job)
{
    struct answer_job *a = (struct answer_job *)job;
    struct member *m = a->member;
    if (member_job_ended(m, job)) {
        m->answering = a;
        member_repair_question(m, a->asker, buf_bytes(&a->question));
        m->answering = NULL;
    }
    for (size_t i = 0; i < a->read_count; i++) {
        entry_unref(a->entries[i]);
    }
    mem_free(a->entries);
    buf_deinit(&a->question);
    mem_free(a);
}

static void read_for_answer(struct member *m, uint64_t asker, struct bytes question,
                            const struct repair_reply *reply)
{
    struct answer_job *a = mem_zalloc(sizeof *a);
    a->member = m;
    a->asker = asker;
    a->index = reply->need_index;
    a->count = reply->need_count;
    buf_put_bytes(&a->question, question);
    member_submit(m, &a->job, LANE_LOG, work_answer, done_answer);
}

/* C2.3: a voter that says "never had" first persists a term above the asker's.
 * A running core can't be told a term: it is started again from disk, behind the
 * term in the same lane, and the asker gets its answer when it asks again. */
static void raise_term_first(struct member *m, uint64_t asker, struct bytes question, uint64_t term)
{
    bool early = is_weakened(m->weaken, WEAKEN_PROMISES);
    bool again = m->state == MEMBER_RUNNING && !early;
    if (again) {
        member_raft_close(m);
        member_apply_clear(m);
        member_set_state(m, MEMBER_STARTING);
    }
    submit_term(m, term, asker, question);
    m->term_durable = early ? term : m->term_durable;
    if (again) {
        member_raft_load(m);
    }
}

void member_repair_question(struct member *m, uint64_t peer_id, struct bytes question)
{
    bool live = m->replica != NULL;
    bool read = m->state == MEMBER_REPAIRING || (m->state == MEMBER_STARTING && m->loaded_ready);
    if ((!(live || read) && !is_weakened(m->weaken, WEAKEN_TOLD)) || m->db == NULL) {
        return; /* we don't know our own log (any more): m->map is older; the asker asks again */
    }
    if (m->hard.term != m->term_durable) {
        submit_term(m, m->hard.term, peer_id, question);
        return;
    }
    struct repair_self self = {
        .id = m->hard.directory_id,
        .term = m->hard.term,
        .configuration = m->configuration.count > 0 ? &m->configuration : NULL,
        .snapshot_index = m->control.checkpoint_index,
        .snapshot_term = m->control.checkpoint_term,
        .log = log_map_view(&m->map),
        .context = m,
        .entry = entry_for_answer,
    };
    if (live) {
        struct replica_status status = replica_status(m->replica);
        self.leader = status.leader;
        self.leader_term = status.leader != 0 ? status.term : 0;
        self.log = (struct log_view){m, live_first, live_last, live_end_unknown, live_at};
    }
    struct repair_reply reply = {0};
    struct err e;
    if (repair_answer(&self, peer_id, question, &reply, &e) != ERR_OK) {
        log_warn(m->log, "raft", "repair-question", "peer=%016" PRIx64 " reason=\"%s\"", peer_id,
                 e.text);
    } else if (reply.term_first != 0) {
        raise_term_first(m, peer_id, question, reply.term_first);
    } else if (reply.need_count > 0 && m->answering == NULL) {
        read_for_answer(m, peer_id, question, &reply);
    } else if (reply.message.size > 0) {
        member_send_bytes(m, peer_id, PEER_FIELD_REPAIR_ANSWER, buf_bytes(&reply.message));
    }
    buf_deinit(&reply.message);
}
