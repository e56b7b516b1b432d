/* SPDX-License-Identifier: Apache-2.0 */
/* How a directory gets into a cluster: founds one alone, founds or adopts one
 * with the peers of the list, or joins one that is there (founding.h). */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "node/member_internal.h"
#include "proto/tidemark/log/v1/log.pb-c.h"
#include "proto/tidemark/peer/v1/peer.pb-c.h"

enum { JOIN_INTERVAL_MS = 500 };

static uint64_t fresh_random(struct member *m)
{
    uint64_t v = io_entropy_u64(storage_io(m->storage));
    return v != 0 ? v : 1;
}

/* --- making the decision durable --- */

struct found_job {
    struct job job;
    struct member *member;
    struct hard_state hard;
    struct control control;
    bool raft;
    struct buf entry; /* payload of entry 1; empty: none to write */
};

/* libraft's bootstrap: every founder starts from the same entry 1 of term 1. */
static enum err_code write_first_entry(struct storage *s, struct bytes payload, struct err *e)
{
    struct wal *w = storage_wal(s, STORAGE_RAFT);
    if (payload.size == 0 || wal_index_last(w) > 0 || wal_index_first(w) > 1) {
        return ERR_OK;
    }
    struct wal_entry first = {.index = 1, .term = 1, .type = WAL_CHANGE, .payload = payload};
    enum err_code code = wal_append(w, &first, 1, 0, e);
    return code == ERR_OK ? wal_sync(w, e) : code;
}

/* The control file names the era last: a start that finds none founds again. */
static enum err_code found(struct found_job *f, struct err *e)
{
    struct storage *s = f->member->storage;
    enum err_code code = storage_put_hard(s, &f->hard, e);
    if (code == ERR_OK && f->raft && storage_wal(s, STORAGE_RAFT) == NULL) {
        code = storage_make_log(s, STORAGE_RAFT, 0, 0, e);
    }
    if (code == ERR_OK && f->raft) {
        code = write_first_entry(s, buf_bytes(&f->entry), e);
    }
    if (code == ERR_OK && storage_wal(s, STORAGE_LOCAL) == NULL) {
        code = storage_make_log(s, STORAGE_LOCAL, 0, 0, e);
    }
    return code == ERR_OK ? storage_put_control(s, &f->control, e) : code;
}

static void work_found(struct job *job)
{
    struct found_job *f = (struct found_job *)job;
    struct err e;
    if (storage_failed(f->member->storage) == NULL && found(f, &e) != ERR_OK) {
        (void)storage_fail(f->member->storage, &e);
    }
}

static void settled(struct member *m, bool raft)
{
    log_info(m->log, "node", "cluster", "id=%016" PRIx64 " directory=%016" PRIx64,
             m->hard.cluster_id, m->hard.directory_id);
    if (m->founding == NULL) {
        member_found_open(m);
    } else if (!founding_is_settled(m->founding)) {
        founding_settle(m->founding, m->hard.cluster_id, hard_state_blob_bytes(&m->hard.founding));
    }
    if (member_is_ending(m)) {
        return;
    }
    member_hello_changed(m);
    if (!raft) {
        member_go_local(m);
        return;
    }
    member_dial(m);
    member_raft_load(m);
}

static void done_found(struct job *job)
{
    struct found_job *f = (struct found_job *)job;
    struct member *m = f->member;
    bool raft = f->raft;
    uint64_t term = f->hard.term;
    bool go = member_job_ended(m, job);
    buf_deinit(&f->entry);
    mem_free(f);
    if (go) {
        m->term_durable = term;
        settled(m, raft);
    }
}

static void submit_found(struct member *m, bool raft, struct bytes entry)
{
    struct control_era era = {
        .log = raft ? CONTROL_LOG_RAFT : CONTROL_LOG_LOCAL,
        .index_first = 1,
        .term_first = 1,
    };
    m->control.cluster_id = m->hard.cluster_id;
    m->control.wal_level = raft ? WAL_LEVEL_BYRL : (enum wal_level)m->wal_level_new;
    if (m->control.era_count == 0) {
        struct err e;
        enum err_code code = control_add_era(&m->control, &era, &e);
        CHECK(code == ERR_OK);
    }
    if (raft && entry.size > 0 && m->hard.term == 0) {
        m->hard.term = 1;
    }
    struct found_job *f = mem_zalloc(sizeof *f);
    f->member = m;
    f->hard = m->hard;
    f->control = m->control;
    f->raft = raft;
    buf_put_bytes(&f->entry, entry);
    member_submit(m, &f->job, LANE_LOG, work_found, done_found);
}

/* --- one node alone --- */

void member_own_configuration(const struct member *m, struct configuration *out)
{
    *out = (struct configuration){.index = 1, .count = 1};
    struct server *s = &out->servers[0];
    s->id = m->hard.directory_id;
    s->role = SERVER_VOTER;
    (void)snprintf(s->address, sizeof s->address, "%s@%s", m->name, m->peer_address);
}

void member_found_alone(struct member *m)
{
    if (m->hard.cluster_id == 0) {
        m->hard.cluster_id = fresh_random(m);
    }
    bool raft = m->wal_level_new == WAL_LEVEL_BYRL;
    struct buf entry = {0};
    if (raft) {
        struct configuration own;
        member_own_configuration(m, &own);
        configuration_encode(&own, &entry);
    }
    submit_found(m, raft, buf_bytes(&entry));
    buf_deinit(&entry);
}

/* --- founding with peers --- */

static void send_question(struct member *m, const struct founding_action *a)
{
    uint64_t id = member_peer_at(m, a->address);
    if (id == 0 || !member_peer_connected(m, id)) {
        return;
    }
    struct buf body = {0};
    founding_question_encode(a->question, &body);
    member_send_bytes(m, id, PEER_FIELD_FOUND_QUESTION, buf_bytes(&body));
    buf_deinit(&body);
}

static void send_answer(struct member *m, uint64_t peer_id, const struct founding_action *a)
{
    struct buf body = {0};
    founding_answer_encode(a->answer, &body);
    member_send_bytes(m, peer_id, PEER_FIELD_FOUND_ANSWER, buf_bytes(&body));
    buf_deinit(&body);
}

static void found_configuration(const struct founding_record *record, struct buf *out)
{
    struct configuration c = {.index = 1, .count = record->count};
    for (size_t i = 0; i < record->count; i++) {
        const struct founding_member *f = &record->members[i];
        c.servers[i].id = f->directory_id;
        c.servers[i].role = SERVER_VOTER;
        (void)snprintf(c.servers[i].address, sizeof c.servers[i].address, "%s@%s", f->name,
                       f->peer_address);
    }
    configuration_encode(&c, out);
}

static void decide(struct member *m, const struct founding_record *record, struct bytes entry)
{
    struct founding_record whole = *record;
    whole.configuration = entry;
    m->hard.cluster_id = record->cluster_id;
    struct buf bytes = {0};
    if (entry.size > 0) {
        founding_record_encode(&whole, &bytes);
        struct err e;
        if (hard_state_set_blob(&m->hard.founding, 1, buf_bytes(&bytes), &e) != ERR_OK) {
            member_fail(m, "founding: %s", e.text);
        }
    }
    buf_deinit(&bytes);
    if (!member_is_ending(m)) {
        submit_found(m, true, entry);
    }
}

static void run_founding(struct member *m, uint64_t peer_id, const struct founding_actions *list)
{
    for (size_t i = 0; i < list->count && !member_is_ending(m); i++) {
        const struct founding_action *a = &list->items[i];
        struct buf entry = {0};
        switch (a->type) {
        case FOUNDING_ASK:
            send_question(m, a);
            break;
        case FOUNDING_REPLY:
            send_answer(m, peer_id, a);
            break;
        case FOUNDING_FOUND:
            found_configuration(a->record, &entry);
            decide(m, a->record, buf_bytes(&entry));
            break;
        case FOUNDING_ADOPT:
            decide(m, a->record, a->record->configuration);
            break;
        case FOUNDING_JOIN:
            decide(m, a->record, (struct bytes){0});
            break;
        case FOUNDING_WAIT:
            member_say(m, "%s", a->text);
            break;
        }
        buf_deinit(&entry);
    }
}

static void step_founding(struct member *m, uint64_t peer_id, struct founding_event *event)
{
    if (m->founding == NULL) {
        return;
    }
    event->now_ms = m->now_ms;
    event->random = fresh_random(m);
    struct founding_actions *actions = mem_zalloc(sizeof *actions);
    founding_step(m->founding, event, actions);
    run_founding(m, peer_id, actions);
    mem_free(actions);
}

void member_found_open(struct member *m)
{
    struct founding_peers peers;
    struct err e;
    if (founding_peers_make((const char *const *)m->peers, m->peer_address_count, &peers, &e) !=
        ERR_OK) {
        member_fail(m, "peers: %s", e.text);
        return;
    }
    struct founding_options options = {
        .self = {.directory_id = m->hard.directory_id},
        .peers = &peers,
        .cluster_id = m->hard.cluster_id,
        .holds_entries = m->hard.cluster_id != 0 &&
                         (m->applied_index > 0 || storage_has(m->storage, STORAGE_RAFT)),
        .record = hard_state_blob_bytes(&m->hard.founding),
    };
    memcpy(options.self.name, m->name, sizeof options.self.name);
    memcpy(options.self.peer_address, m->peer_address, sizeof options.self.peer_address);
    memcpy(options.self.client_address, m->client_address, sizeof options.self.client_address);
    if (founding_open(&options, &m->founding, &e) != ERR_OK) {
        member_fail(m, "peers: %s", e.text);
    }
}

void member_found_start(struct member *m)
{
    CHECK(m->state == MEMBER_FORMING);
    CHECK(m->founding != NULL);
    member_dial(m);
    for (size_t i = 0; i < m->known_count; i++) { /* who dialed us while we were opening */
        if (m->known[i].connected) {
            member_found_peer(m, m->known[i].peer_address, true);
        }
    }
    struct founding_event ev = {.type = FOUNDING_TICK};
    step_founding(m, 0, &ev);
}

/* A first start that a crash cut short between hard state and control file. */
void member_found_resume(struct member *m)
{
    CHECK(m->control.era_count == 0);
    if (m->peer_address_count <= 1) {
        member_found_alone(m);
        return;
    }
    struct bytes blob = hard_state_blob_bytes(&m->hard.founding);
    struct founding_record *record = mem_zalloc(sizeof *record);
    struct err e;
    if (blob.size > 0 && founding_record_decode(blob, record, &e) != ERR_OK) {
        member_fail(m, "founding record: %s", e.text);
    } else {
        submit_found(m, true, record->configuration);
    }
    mem_free(record);
}

void member_found_peer(struct member *m, const char *address, bool up)
{
    struct founding_event ev = {.type = up ? FOUNDING_PEER_UP : FOUNDING_PEER_DOWN,
                                .address = address};
    step_founding(m, 0, &ev);
}

void member_found_question(struct member *m, uint64_t peer_id, struct bytes question)
{
    struct founding_question *q = mem_zalloc(sizeof *q);
    struct err e;
    if (founding_question_decode(question, q, &e) == ERR_OK) {
        struct founding_event ev = {.type = FOUNDING_QUESTION, .question = q};
        step_founding(m, peer_id, &ev);
    }
    mem_free(q);
}

void member_found_answer(struct member *m, struct bytes answer)
{
    struct founding_answer *a = mem_zalloc(sizeof *a);
    struct err e;
    if (founding_answer_decode(answer, a, &e) == ERR_OK) {
        struct founding_event ev = {.type = FOUNDING_ANSWER, .answer = a};
        step_founding(m, 0, &ev);
    }
    mem_free(a);
}

/* --- joining --- */

static void ask_to_join(struct member *m)
{
    Tidemark__Peer__V1__JoinRequest request;
    tidemark__peer__v1__join_request__init(&request);
    request.name = m->name;
    request.peer_address = m->peer_address;
    request.client_address = m->client_address;
    Tidemark__Peer__V1__PeerMessage message;
    tidemark__peer__v1__peer_message__init(&message);
    message.body_case = TIDEMARK__PEER__V1__PEER_MESSAGE__BODY_JOIN_REQUEST;
    message.join_request = &request;
    for (size_t i = 0; i < m->known_count; i++) {
        if (m->known[i].connected) {
            member_send_message(m, m->known[i].id, &message);
        }
    }
}

static void join_tick(struct member *m)
{
    bool member = configuration_find(&m->configuration, m->hard.directory_id) != NULL;
    if (m->state != MEMBER_RUNNING || member || m->now_ms < m->join_ms) {
        return;
    }
    m->join_ms = m->now_ms + JOIN_INTERVAL_MS;
    member_say(m, "waits to be added to cluster %016" PRIx64, m->hard.cluster_id);
    ask_to_join(m);
}

/* --- forming: all founders have adopted --- */

bool member_serves_clients(const struct member *m)
{
    return m->formed || is_weakened(m->weaken, WEAKEN_FORMING);
}

void member_put_level(struct buf *body, unsigned level)
{
    Tidemark__Log__V1__SetSetting set;
    tidemark__log__v1__set_setting__init(&set);
    set.name = (char *)(uintptr_t)"ts.wal.wal_level";
    char value[16];
    (void)snprintf(value, sizeof value, "%u", level);
    set.value = value;
    tidemark__log__v1__set_setting__pack(
        &set, buf_extend(body, tidemark__log__v1__set_setting__get_packed_size(&set)));
}

static void propose_level(struct member *m, unsigned level)
{
    struct buf body = {0};
    member_put_level(&body, level);
    member_propose_own(m, COMMAND_SET_SETTING, buf_bytes(&body));
    buf_deinit(&body);
}

void member_propose_formed(struct member *m)
{
    Tidemark__Log__V1__ClusterFormed formed;
    tidemark__log__v1__cluster_formed__init(&formed);
    formed.cluster_id = m->hard.cluster_id;
    struct buf body = {0};
    tidemark__log__v1__cluster_formed__pack(
        &formed, buf_extend(&body, tidemark__log__v1__cluster_formed__get_packed_size(&formed)));
    member_propose_own(m, COMMAND_CLUSTER_FORMED, buf_bytes(&body));
    buf_deinit(&body);
}

void member_formed_tick(struct member *m)
{
    if (m->formed || !member_is_leader(m)) {
        m->formed_proposed = m->formed_proposed && member_is_leader(m);
        return;
    }
    struct replica_status status = replica_status(m->replica);
    struct founding_voter voters[LIMIT_NODES_MAX];
    size_t count = 0;
    for (size_t i = 0; i < m->configuration.count; i++) {
        const struct server *s = &m->configuration.servers[i];
        if (s->role != SERVER_VOTER) {
            continue;
        }
        uint64_t match = s->id == m->hard.directory_id ? status.last_index : 0;
        uint64_t silent = 0;
        (void)replica_peer(m->replica, s->id, &match, &silent);
        voters[count++] = (struct founding_voter){s->address, match};
    }
    char text[FOUNDING_TEXT_SIZE];
    if (founding_is_formed(voters, count, text) && !m->formed_proposed && status.leader_ready) {
        m->formed_proposed = true;
        propose_level(m, WAL_LEVEL_BYRL);
        member_propose_formed(m);
    } else if (!m->formed_proposed) {
        member_say(m, "%s", text);
    }
}

void member_local_first(struct member *m)
{
    if (m->applied_index == 0 && m->local_index == 0 && m->settings.wal_level != m->wal_level_new) {
        propose_level(m, m->wal_level_new);
    }
}

/* --- time --- */

void member_found_tick(struct member *m)
{
    if (m->state == MEMBER_FORMING && m->now_ms >= m->found_ms) {
        m->found_ms = m->now_ms + FOUNDING_ASK_INTERVAL_MS;
        struct founding_event ev = {.type = FOUNDING_TICK};
        step_founding(m, 0, &ev);
    }
    join_tick(m);
    member_formed_tick(m);
}

uint64_t member_found_deadline_ms(const struct member *m)
{
    if (m->state == MEMBER_FORMING) {
        return m->found_ms;
    }
    bool forming = m->state == MEMBER_RUNNING && !m->formed;
    return forming ? m->now_ms + FOUNDING_ASK_INTERVAL_MS / 4 : UINT64_MAX;
}

void member_found_close(struct member *m)
{
    founding_close(m->founding);
    m->founding = NULL;
}
