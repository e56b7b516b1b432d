/* SPDX-License-Identifier: Apache-2.0 */
/* Links to peers: who they are and what they say. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/version.h"
#include "node/member_internal.h"
#include "proto/tidemark/log/v1/log.pb-c.h"
#include "proto/tidemark/peer/v1/peer.pb-c.h"

enum { HELLO_AGAIN_MS = 1000 };

/* --- the book of peers --- */

struct peer *member_peer_add(struct member *m, uint64_t id)
{
    struct peer *p = member_peer(m, id);
    if (p != NULL) {
        return p;
    }
    if (m->known_count == MEMBER_PEERS_MAX) {
        for (size_t i = 0; i < m->known_count; i++) { /* a stranger that left gives way */
            bool member = configuration_find(&m->configuration, m->known[i].id) != NULL;
            if (!m->known[i].connected && !member) {
                m->known[i] = (struct peer){.id = id};
                return &m->known[i];
            }
        }
        return NULL;
    }
    m->known[m->known_count] = (struct peer){.id = id};
    return &m->known[m->known_count++];
}

uint64_t member_peer_at(const struct member *m, const char *address)
{
    for (size_t i = 0; i < m->configuration.count; i++) {
        const char *at = strchr(m->configuration.servers[i].address, '@');
        if (at != NULL && strcmp(at + 1, address) == 0) {
            return m->configuration.servers[i].id;
        }
    }
    for (size_t i = 0; i < m->known_count; i++) {
        if (strcmp(m->known[i].peer_address, address) == 0) {
            return m->known[i].id;
        }
    }
    return 0;
}

void member_dial(struct member *m)
{
    const char *addresses[MEMBER_PEERS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < m->configuration.count; i++) {
        const char *at = strchr(m->configuration.servers[i].address, '@');
        if (at != NULL && strcmp(at + 1, m->peer_address) != 0) {
            addresses[count++] = at + 1;
        }
    }
    for (size_t i = 0; i < m->peer_address_count && count < MEMBER_PEERS_MAX; i++) {
        bool twice = strcmp(m->peers[i], m->peer_address) == 0;
        for (size_t k = 0; k < count; k++) {
            twice |= strcmp(addresses[k], m->peers[i]) == 0;
        }
        if (!twice) {
            addresses[count++] = m->peers[i];
        }
    }
    m->host.dial(m->host.context, addresses, count);
}

/* --- hellos (identity.h) --- */

uint64_t member_nonce_of(const struct member *m, uint64_t start_counter)
{
    uint64_t nonce = 0;
    (void)hard_state_nonce(&m->hard, start_counter, &nonce);
    return nonce;
}

void member_make_hello(const struct member *m, uint64_t ask_nonce_of, struct peer_hello *out)
{
    struct identity_self self = {
        .state = &m->hard,
        .peer_address = m->peer_address,
        .client_address = m->client_address,
        .version = TIDEMARK_VERSION,
    };
    identity_hello_make(&self, ask_nonce_of, out);
}

static void note_peer(struct peer *p, const struct peer_hello *hello)
{
    p->counter = hello->start_counter;
    p->nonce = hello->nonce;
    p->cluster_id = hello->cluster_id;
    memcpy(p->name, hello->name, sizeof p->name);
    memcpy(p->peer_address, hello->peer_address, sizeof p->peer_address);
    memcpy(p->client_address, hello->client_address, sizeof p->client_address);
}

static struct identity_view view_of(const struct member *m)
{
    return (struct identity_view){&m->hard, m->nodes, m->node_count};
}

static void tell_state_of_start(struct member *m, const struct peer_hello *hello)
{
    struct identity_view view = view_of(m);
    if (!member_is_leader(m) || !m->formed || !identity_is_news(&view, hello)) {
        return;
    }
    Tidemark__Log__V1__NodeStart start;
    tidemark__log__v1__node_start__init(&start);
    start.directory_id = hello->directory_id;
    start.start_counter = hello->start_counter;
    start.nonce = hello->nonce;
    start.name = (char *)(uintptr_t)hello->name;
    start.peer_address = (char *)(uintptr_t)hello->peer_address;
    start.client_address = (char *)(uintptr_t)hello->client_address;
    struct buf body = {0};
    tidemark__log__v1__node_start__pack(
        &start, buf_extend(&body, tidemark__log__v1__node_start__get_packed_size(&start)));
    member_propose_own(m, COMMAND_NODE_START, buf_bytes(&body));
    buf_deinit(&body);
}

/* The start is known and durable: its messages may be used from now on. */
static void accept_hello(struct member *m, uint64_t offer, const struct peer_hello *hello)
{
    if (offer != 0) {
        m->host.accept(m->host.context, offer);
        return;
    }
    struct peer *p = member_peer(m, hello->directory_id);
    if (p == NULL) {
        return;
    }
    note_peer(p, hello);
    tell_state_of_start(m, hello);
    if (hello->cluster_id != m->hard.cluster_id) {
        return; /* not stored while founding: it is to be said again */
    }
    Tidemark__Peer__V1__HelloStored stored;
    tidemark__peer__v1__hello_stored__init(&stored);
    stored.start_counter = hello->start_counter;
    stored.cluster_id = hello->cluster_id;
    Tidemark__Peer__V1__PeerMessage message;
    tidemark__peer__v1__peer_message__init(&message);
    message.body_case = TIDEMARK__PEER__V1__PEER_MESSAGE__BODY_HELLO_STORED;
    message.hello_stored = &stored;
    member_send_message(m, p->id, &message);
}

struct store_job {
    struct job job;
    struct member *member;
    uint64_t offer; /* 0: said on an open link */
    struct hard_state hard;
    struct peer_hello hello;
};

static void work_store(struct job *job)
{
    struct store_job *s = (struct store_job *)job;
    struct err e;
    if (storage_failed(s->member->storage) == NULL &&
        storage_put_hard(s->member->storage, &s->hard, &e) != ERR_OK) {
        (void)storage_fail(s->member->storage, &e);
    }
}

static void done_store(struct job *job)
{
    struct store_job *s = (struct store_job *)job;
    struct member *m = s->member;
    m->stores_out--;
    if (member_job_ended(m, job)) {
        accept_hello(m, s->offer, &s->hello);
    }
    mem_free(s);
}

static size_t member_ids(const struct member *m, uint64_t ids[LIMIT_NODES_MAX])
{
    for (size_t i = 0; i < m->configuration.count; i++) {
        ids[i] = m->configuration.servers[i].id;
    }
    return m->configuration.count;
}

/* What m->hard says now is durable before the hello is answered. */
static void accept_when_durable(struct member *m, uint64_t offer, const struct peer_hello *hello)
{
    struct store_job *s = mem_zalloc(sizeof *s);
    s->member = m;
    s->offer = offer;
    s->hard = m->hard;
    s->hello = *hello;
    m->stores_out++;
    member_submit(m, &s->job, LANE_LOG, work_store, done_store);
}

static void store_start(struct member *m, uint64_t offer, const struct peer_hello *hello,
                        const struct identity_judgement *judgement)
{
    uint64_t ids[LIMIT_NODES_MAX];
    size_t count = member_ids(m, ids);
    struct err e;
    if (identity_store(&m->hard, judgement, ids, count, &e) != ERR_OK) {
        log_warn(m->log, "node", "start-not-stored", "peer=%016" PRIx64 " reason=\"%s\"",
                 hello->directory_id, e.text);
        return;
    }
    accept_when_durable(m, offer, hello);
}

static void refuse_hello(struct member *m, uint64_t offer, const struct peer_hello *hello,
                         const struct identity_judgement *judgement)
{
    log_warn(m->log, "node", "hello-refused", "peer=%016" PRIx64 " name=%s reason=\"%s\"",
             hello->directory_id, hello->name, judgement->text);
    if (judgement->verdict == IDENTITY_ROLLED_BACK && m->gate_ready) {
        identity_gate_answered(&m->gate, hello->directory_id); /* it can't witness for us */
    }
    if (offer == 0) {
        m->host.disconnect(m->host.context, hello->directory_id, judgement->text);
        return;
    }
    struct peer_refusal refusal;
    identity_refusal_make(hello, judgement, &refusal);
    m->host.refuse(m->host.context, offer, &refusal);
}

static void judge(struct member *m, uint64_t offer, const struct peer_hello *hello)
{
    struct identity_view view = view_of(m);
    struct identity_judgement judgement;
    identity_judge(&view, hello, &judgement);
    switch (judgement.verdict) {
    case IDENTITY_ACCEPT:
    case IDENTITY_FOUNDING:
        if (m->stores_out > 0) {
            accept_when_durable(m, offer, hello); /* its start may be the one on its way */
        } else {
            accept_hello(m, offer, hello);
        }
        break;
    case IDENTITY_STORE:
        store_start(m, offer, hello, &judgement);
        break;
    case IDENTITY_ASK:
        if (offer != 0) {
            m->host.ask(m->host.context, offer, judgement.ask_nonce_of);
        } else {
            m->host.disconnect(m->host.context, hello->directory_id, judgement.text);
        }
        break;
    case IDENTITY_UNPROVEN:
    case IDENTITY_ROLLED_BACK:
    case IDENTITY_FOREIGN:
    case IDENTITY_REMOVED:
    case IDENTITY_OWN_ID:
    case IDENTITY_BAD:
        refuse_hello(m, offer, hello, &judgement);
        break;
    }
}

void member_hello(struct member *m, uint64_t offer, const struct peer_hello *hello)
{
    CHECK(offer != 0);
    if (!member_is_ending(m)) {
        judge(m, offer, hello);
    }
}

void member_refused(struct member *m, uint64_t peer_id, const struct peer_refusal *refusal)
{
    if (member_is_ending(m)) {
        return;
    }
    uint64_t voters[LIMIT_NODES_MAX];
    size_t count = 0;
    for (size_t i = 0; i < m->configuration.count; i++) {
        if (m->configuration.servers[i].role == SERVER_VOTER) {
            voters[count++] = m->configuration.servers[i].id;
        }
    }
    struct identity_standing standing = {
        .state = &m->hard,
        .leader = member_is_leader(m),
        .voters = voters,
        .voter_count = count,
    };
    char text[IDENTITY_TEXT_SIZE];
    if (identity_judge_refusal(&standing, peer_id, refusal, text) == IDENTITY_GO_ON) {
        log_warn(m->log, "node", "refused", "peer=%016" PRIx64 " reason=\"%s\"", peer_id,
                 refusal->reason);
        (void)snprintf(m->refused, sizeof m->refused, "refused by another node: %s",
                       refusal->reason);
        m->refused_ms = m->now_ms;
        return;
    }
    member_give_up_identity(m, text);
}

/* A message can be lost with a full queue: said again until it is answered. */
static void say_hello(struct member *m)
{
    struct peer_hello hello;
    struct buf bytes = {0};
    for (size_t i = 0; i < m->known_count; i++) {
        struct peer *p = &m->known[i];
        if (!p->connected || p->told || m->now_ms < p->hello_ms) {
            continue;
        }
        p->hello_ms = m->now_ms + HELLO_AGAIN_MS;
        buf_reset(&bytes);
        member_make_hello(m, 0, &hello);
        peer_hello_encode(&hello, &bytes);
        member_send_bytes(m, p->id, PEER_FIELD_HELLO, buf_bytes(&bytes));
    }
    buf_deinit(&bytes);
}

static void take_stored(struct member *m, uint64_t peer_id,
                        const Tidemark__Peer__V1__HelloStored *stored)
{
    (void)identity_welcomed(&m->hard, peer_id, stored->start_counter);
    struct peer *p = member_peer(m, peer_id);
    p->told =
        stored->start_counter == m->hard.start_counter && stored->cluster_id == m->hard.cluster_id;
}

void member_hello_changed(struct member *m)
{
    m->host.hello_changed(m->host.context);
    for (size_t i = 0; i < m->known_count; i++) {
        m->known[i].told = false;
        m->known[i].hello_ms = 0;
    }
    say_hello(m);
}

/* --- links --- */

void member_peer_up(struct member *m, const struct peer_hello *hello)
{
    if (member_is_ending(m)) {
        return;
    }
    struct peer *p = member_peer_add(m, hello->directory_id);
    if (p == NULL) {
        m->host.disconnect(m->host.context, hello->directory_id, "too many peers");
        return;
    }
    note_peer(p, hello);
    p->connected = true;
    p->unreachable = false;
    p->told = false; /* the hand-shake may have carried an older hello */
    p->hello_ms = 0;
    log_info(m->log, "node", "peer-up", "peer=%016" PRIx64 " name=%s", p->id, p->name);
    member_found_peer(m, p->peer_address, true);
    member_repair_peers(m);
    m->progress_ms = m->now_ms;
    tell_state_of_start(m, hello);
    if (m->gate_ready) {
        identity_gate_answered(&m->gate, p->id);
    }
    member_raft_try_start(m);
}

void member_peer_down(struct member *m, uint64_t peer_id)
{
    struct peer *p = member_peer(m, peer_id);
    if (p == NULL || member_is_ending(m)) {
        return;
    }
    log_info(m->log, "node", "peer-down", "peer=%016" PRIx64 " name=%s", p->id, p->name);
    p->connected = false;
    p->unreachable = true;
    member_forwards_lost(m, peer_id);
    member_found_peer(m, p->peer_address, false);
    member_repair_peers(m);
    if (m->gate_ready) {
        identity_gate_out_of_reach(&m->gate, peer_id);
        member_raft_try_start(m);
    }
}

/* --- sending --- */

void member_send_bytes(struct member *m, uint64_t peer_id, uint32_t field, struct bytes body)
{
    enum { WIRE_LENGTH_DELIMITED = 2 };
    buf_reset(&m->send_buf);
    buf_put_varint(&m->send_buf, (uint64_t)field << 3 | WIRE_LENGTH_DELIMITED);
    buf_put_blob(&m->send_buf, body);
    m->host.send(m->host.context, peer_id, buf_bytes(&m->send_buf));
}

void member_send_message(struct member *m, uint64_t peer_id,
                         const Tidemark__Peer__V1__PeerMessage *message)
{
    size_t size = tidemark__peer__v1__peer_message__get_packed_size(message);
    buf_reset(&m->send_buf);
    tidemark__peer__v1__peer_message__pack(message, buf_extend(&m->send_buf, size));
    m->host.send(m->host.context, peer_id, buf_bytes(&m->send_buf));
}

void member_tell_progress(struct member *m)
{
    Tidemark__Peer__V1__Progress progress;
    tidemark__peer__v1__progress__init(&progress);
    progress.checkpoint_index = m->control.checkpoint_index;
    progress.applied_index = m->applied_index;
    progress.manifest_low = m->agree.manifest.low;
    progress.manifest_high = m->agree.manifest.high;
    progress.content_low = m->agree.content.low;
    progress.content_high = m->agree.content.high;
    progress.no_room = m->room.low;
    Tidemark__Peer__V1__PeerMessage message;
    tidemark__peer__v1__peer_message__init(&message);
    message.body_case = TIDEMARK__PEER__V1__PEER_MESSAGE__BODY_PROGRESS;
    message.progress = &progress;
    for (size_t i = 0; i < m->known_count; i++) {
        if (m->known[i].connected) {
            member_send_message(m, m->known[i].id, &message);
        }
    }
}

void member_peer_tick(struct member *m)
{
    say_hello(m);
    if (m->now_ms >= m->progress_ms) {
        m->progress_ms = m->now_ms + MEMBER_PROGRESS_MS;
        member_tell_progress(m);
    }
}

/* --- messages --- */

static void take_raft(struct member *m, uint64_t peer_id, struct bytes body)
{
    if (m->replica == NULL) {
        return; /* forming, repairing or starting: no answer is the only safe one */
    }
    struct event ev = {.type = EVENT_MESSAGE,
                       .id = peer_id,
                       .message = body,
                       .room = member_room_for_append(m, body.size)};
    (void)member_raft_step(m, &ev, NULL);
}

static void take_hello(struct member *m, uint64_t peer_id, struct bytes body)
{
    struct peer_hello hello;
    struct err e;
    if (peer_hello_decode(body, &hello, &e) != ERR_OK || hello.directory_id != peer_id) {
        m->host.disconnect(m->host.context, peer_id, "a bad hello on an open link");
        return;
    }
    judge(m, 0, &hello);
}

static void take_progress(struct member *m, uint64_t peer_id,
                          const Tidemark__Peer__V1__Progress *progress)
{
    struct peer *p = member_peer(m, peer_id);
    if (p != NULL) {
        p->checkpoint_index = progress->checkpoint_index;
        p->applied_index = progress->applied_index;
        member_agree_peer(m, p, progress);
        p->no_room = progress->no_room;
    }
}

/* What nodes of different clusters, or of none yet, may say to each other. */
static bool is_for_strangers(const Tidemark__Peer__V1__PeerMessage *p)
{
    return p->body_case == TIDEMARK__PEER__V1__PEER_MESSAGE__BODY_FOUND_QUESTION ||
           p->body_case == TIDEMARK__PEER__V1__PEER_MESSAGE__BODY_FOUND_ANSWER ||
           p->body_case == TIDEMARK__PEER__V1__PEER_MESSAGE__BODY_HELLO ||
           p->body_case == TIDEMARK__PEER__V1__PEER_MESSAGE__BODY_HELLO_STORED;
}

static void take_message(struct member *m, uint64_t peer_id,
                         const Tidemark__Peer__V1__PeerMessage *p)
{
    switch (p->body_case) {
    case TIDEMARK__PEER__V1__PEER_MESSAGE__BODY_RAFT:
        take_raft(m, peer_id, bytes_of(p->raft.data, p->raft.len));
        break;
    case TIDEMARK__PEER__V1__PEER_MESSAGE__BODY_REPAIR_QUESTION:
        member_repair_question(m, peer_id,
                               bytes_of(p->repair_question.data, p->repair_question.len));
        break;
    case TIDEMARK__PEER__V1__PEER_MESSAGE__BODY_REPAIR_ANSWER:
        member_repair_message(m, peer_id, bytes_of(p->repair_answer.data, p->repair_answer.len));
        break;
    case TIDEMARK__PEER__V1__PEER_MESSAGE__BODY_FOUND_QUESTION:
        member_found_question(m, peer_id, bytes_of(p->found_question.data, p->found_question.len));
        break;
    case TIDEMARK__PEER__V1__PEER_MESSAGE__BODY_FOUND_ANSWER:
        member_found_answer(m, bytes_of(p->found_answer.data, p->found_answer.len));
        break;
    case TIDEMARK__PEER__V1__PEER_MESSAGE__BODY_FETCH_QUESTION:
        member_fetch_question(m, peer_id, p->fetch_question);
        break;
    case TIDEMARK__PEER__V1__PEER_MESSAGE__BODY_FETCH_ANSWER:
        member_fetch_answer(m, peer_id, p->fetch_answer);
        break;
    case TIDEMARK__PEER__V1__PEER_MESSAGE__BODY_FORWARD:
        member_take_forward(m, peer_id, p->forward);
        break;
    case TIDEMARK__PEER__V1__PEER_MESSAGE__BODY_FORWARD_ANSWER:
        member_take_forward_answer(m, p->forward_answer);
        break;
    case TIDEMARK__PEER__V1__PEER_MESSAGE__BODY_JOIN_REQUEST:
        member_join_request(m, peer_id, p->join_request->name, p->join_request->peer_address);
        break;
    case TIDEMARK__PEER__V1__PEER_MESSAGE__BODY_PROGRESS:
        take_progress(m, peer_id, p->progress);
        break;
    case TIDEMARK__PEER__V1__PEER_MESSAGE__BODY_STATUS_QUESTION:
        m->host.status(m->host.context, peer_id, p->status_question->token);
        break;
    case TIDEMARK__PEER__V1__PEER_MESSAGE__BODY_STATUS_ANSWER:
        member_take_status_answer(m, p->status_answer);
        break;
    case TIDEMARK__PEER__V1__PEER_MESSAGE__BODY_HELLO:
        take_hello(m, peer_id, bytes_of(p->hello.data, p->hello.len));
        break;
    case TIDEMARK__PEER__V1__PEER_MESSAGE__BODY_HELLO_STORED:
        take_stored(m, peer_id, p->hello_stored);
        break;
    case TIDEMARK__PEER__V1__PEER_MESSAGE__BODY__NOT_SET:
    case _TIDEMARK__PEER__V1__PEER_MESSAGE__BODY__CASE_IS_INT_SIZE:
        break; /* of a newer version */
    }
}

void member_peer_message(struct member *m, uint64_t peer_id, struct bytes message)
{
    if (member_is_ending(m) || member_peer(m, peer_id) == NULL) {
        return;
    }
    Tidemark__Peer__V1__PeerMessage *p =
        tidemark__peer__v1__peer_message__unpack(NULL, message.size, message.data);
    if (p == NULL) {
        m->host.disconnect(m->host.context, peer_id, "a message that can't be decoded");
        return;
    }
    bool ours =
        m->hard.cluster_id != 0 && member_peer(m, peer_id)->cluster_id == m->hard.cluster_id;
    if (ours || is_for_strangers(p)) {
        take_message(m, peer_id, p);
    }
    tidemark__peer__v1__peer_message__free_unpacked(p, NULL);
}
