/* SPDX-License-Identifier: Apache-2.0 */
/* Links to peers: who they are, what they say, and requests handed to the leader. */
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

/* Requests that were handed to 'peer_id', or (other: true) to anybody else. */
static void list_lost(struct request_list *list, uint64_t peer_id, bool other,
                      const struct err *why)
{
    struct member_request *r = list->first;
    while (r != NULL) {
        struct member_request *next = r->next;
        if ((r->peer == peer_id) != other) {
            list_remove(list, r);
            member_reply_error(r, why->code, "%s", why->text);
        }
        r = next;
    }
}

static void handed_over_lost(struct member *m, uint64_t peer_id, bool other, const char *what)
{
    struct err e;
    (void)err_set(&e, ERR_UNKNOWN_OUTCOME, "%s: retry with the same request id", what);
    list_lost(&m->forwards, peer_id, other, &e);
    (void)err_set(&e, ERR_UNAVAILABLE, "%s: retry", what);
    list_lost(&m->reads_remote, peer_id, other, &e);
}

void member_leader_changed(struct member *m, uint64_t leader)
{
    handed_over_lost(m, leader, true, "another node leads now");
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
    handed_over_lost(m, peer_id, false, "the link to the leader was lost");
    struct err e;
    (void)err_set(&e, ERR_UNAVAILABLE, "the link was lost");
    list_lost(&m->status_asked, peer_id, false, &e);
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

/* --- handing requests to the leader --- */

static uint64_t leader_connected(const struct member *m)
{
    uint64_t leader = m->replica == NULL ? 0 : replica_status(m->replica).leader;
    return leader != 0 && member_peer_connected(m, leader) ? leader : 0;
}

static void send_forward(struct member *m, uint64_t leader, uint32_t kind, struct bytes request,
                         uint64_t token)
{
    Tidemark__Peer__V1__Forward forward;
    tidemark__peer__v1__forward__init(&forward);
    forward.token = token;
    forward.kind = kind;
    forward.request.data = (uint8_t *)(uintptr_t)request.data;
    forward.request.len = request.size;
    Tidemark__Peer__V1__PeerMessage message;
    tidemark__peer__v1__peer_message__init(&message);
    message.body_case = TIDEMARK__PEER__V1__PEER_MESSAGE__BODY_FORWARD;
    message.forward = &forward;
    member_send_message(m, leader, &message);
}

void member_forward(struct member *m, const struct command *command, struct member_request *r)
{
    uint64_t leader = leader_connected(m);
    if (leader == 0) {
        member_reply_error(r, ERR_UNAVAILABLE, "no leader is known now: retry");
        return;
    }
    struct buf request = {0};
    command_put(&request, command);
    r->token = m->token_next++;
    r->peer = leader;
    list_push(&m->forwards, r);
    send_forward(m, leader, (uint32_t)command->kind, buf_bytes(&request), r->token);
    buf_deinit(&request);
}

void member_forward_read(struct member *m, struct member_request *r)
{
    uint64_t leader = leader_connected(m);
    if (leader == 0) {
        member_reply_error(r, ERR_UNAVAILABLE, "no leader is known now: retry");
        return;
    }
    r->token = m->token_next++;
    r->peer = leader;
    list_push(&m->reads_remote, r);
    send_forward(m, leader, 0, (struct bytes){0}, r->token);
}

/* --- serving what a follower handed over --- */

struct forwarded {
    struct member_request request;
    struct member *owner;
    uint64_t peer;
    uint64_t token;
};

static void put_result(struct buf *out, const struct tsdb_result *r)
{
    buf_put_u8(out, (uint8_t)r->kind);
    buf_put_u8(out, r->repeated ? 1 : 0);
    buf_put_varint(out, r->index);
    buf_put_varint(out, r->session);
    buf_put_varint(out, r->rows);
}

static bool get_result(struct bytes b, struct tsdb_result *r)
{
    struct cursor c = cursor_of(b);
    r->kind = (enum command_kind)cursor_u8(&c);
    r->repeated = cursor_u8(&c) != 0;
    r->index = cursor_varint(&c);
    r->session = cursor_varint(&c);
    r->rows = cursor_varint(&c);
    return cursor_done(&c);
}

static void done_forwarded(struct member_request *r, const struct member_reply *reply)
{
    struct forwarded *f = (struct forwarded *)r;
    struct buf result = {0};
    put_result(&result, &reply->result);
    Tidemark__Peer__V1__ForwardAnswer answer;
    tidemark__peer__v1__forward_answer__init(&answer);
    answer.token = f->token;
    answer.code = (uint32_t)reply->code;
    answer.text = (char *)(uintptr_t)reply->text;
    answer.index = reply->index;
    answer.result.data = result.data;
    answer.result.len = result.size;
    Tidemark__Peer__V1__PeerMessage message;
    tidemark__peer__v1__peer_message__init(&message);
    message.body_case = TIDEMARK__PEER__V1__PEER_MESSAGE__BODY_FORWARD_ANSWER;
    message.forward_answer = &answer;
    if (!member_is_ending(f->owner)) {
        member_send_message(f->owner, f->peer, &message);
    }
    buf_deinit(&result);
    mem_free(f);
}

static void take_forward(struct member *m, uint64_t peer_id,
                         const Tidemark__Peer__V1__Forward *forward)
{
    struct forwarded *f = mem_zalloc(sizeof *f);
    f->request.done = done_forwarded;
    f->owner = m;
    f->peer = peer_id;
    f->token = forward->token;
    member_start_request(m, &f->request);
    if (!member_is_leader(m)) {
        member_reply_error(&f->request, ERR_UNAVAILABLE, "that node no longer leads: retry");
    } else if (forward->kind == 0) {
        f->request.only_index = true;
        member_raft_read(m, &f->request);
    } else {
        struct cursor cursor = cursor_of(bytes_of(forward->request.data, forward->request.len));
        struct command command;
        struct err e;
        if (command_next(&cursor, &command, &e) != ERR_OK) {
            member_reply_error(&f->request, ERR_INVALID, "%s", e.text);
        } else {
            member_propose(m, &command, &f->request);
        }
    }
}

static void take_read_answer(struct member *m, struct member_request *r,
                             const Tidemark__Peer__V1__ForwardAnswer *a)
{
    list_remove(&m->reads_remote, r);
    if (a->code != ERR_OK) {
        member_reply_error(r, ERR_UNAVAILABLE, "%s", a->text);
        return;
    }
    if (r->index < a->index) {
        r->index = a->index;
    }
    list_push(&m->reads_waiting, r);
    member_serve_reads(m);
}

static void take_forward_answer(struct member *m, const Tidemark__Peer__V1__ForwardAnswer *a)
{
    struct member_request *r = list_find(&m->reads_remote, a->token);
    if (r != NULL) {
        take_read_answer(m, r, a);
        return;
    }
    r = list_find(&m->forwards, a->token);
    if (r == NULL || a->code >= ERR_CODE_COUNT) {
        return; /* cancelled or late */
    }
    list_remove(&m->forwards, r);
    struct member_reply reply = {
        .code = (enum err_code)a->code,
        .text = a->text,
        .index = a->index,
        .leader = "",
    };
    (void)get_result(bytes_of(a->result.data, a->result.len), &reply.result);
    reply.result.code = reply.code;
    r->done(r, &reply);
}

/* --- status of others --- */

void member_ask_status(struct member *m, uint64_t peer_id, struct member_request *r)
{
    member_start_request(m, r);
    if (!member_peer_connected(m, peer_id) || member_is_ending(m)) {
        member_reply_error(r, ERR_UNAVAILABLE, "not connected");
        return;
    }
    r->token = m->token_next++;
    r->peer = peer_id;
    list_push(&m->status_asked, r);
    Tidemark__Peer__V1__StatusQuestion question;
    tidemark__peer__v1__status_question__init(&question);
    question.token = r->token;
    Tidemark__Peer__V1__PeerMessage message;
    tidemark__peer__v1__peer_message__init(&message);
    message.body_case = TIDEMARK__PEER__V1__PEER_MESSAGE__BODY_STATUS_QUESTION;
    message.status_question = &question;
    member_send_message(m, peer_id, &message);
}

void member_answer_status(struct member *m, uint64_t peer_id, uint64_t token, struct bytes status)
{
    if (member_is_ending(m)) {
        return;
    }
    Tidemark__Peer__V1__StatusAnswer answer;
    tidemark__peer__v1__status_answer__init(&answer);
    answer.token = token;
    answer.status.data = (uint8_t *)(uintptr_t)status.data;
    answer.status.len = status.size;
    Tidemark__Peer__V1__PeerMessage message;
    tidemark__peer__v1__peer_message__init(&message);
    message.body_case = TIDEMARK__PEER__V1__PEER_MESSAGE__BODY_STATUS_ANSWER;
    message.status_answer = &answer;
    member_send_message(m, peer_id, &message);
}

static void take_status_answer(struct member *m, const Tidemark__Peer__V1__StatusAnswer *a)
{
    struct member_request *r = list_find(&m->status_asked, a->token);
    if (r != NULL) {
        list_remove(&m->status_asked, r);
        struct member_reply reply = {
            .text = "", .leader = "", .data = bytes_of(a->status.data, a->status.len)};
        r->done(r, &reply);
    }
}

/* --- messages --- */

static void take_raft(struct member *m, uint64_t peer_id, struct bytes body)
{
    if (m->replica == NULL) {
        return; /* forming, repairing or starting: no answer is the only safe one */
    }
    struct event ev = {.type = EVENT_MESSAGE, .id = peer_id, .message = body};
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
        take_forward(m, peer_id, p->forward);
        break;
    case TIDEMARK__PEER__V1__PEER_MESSAGE__BODY_FORWARD_ANSWER:
        take_forward_answer(m, p->forward_answer);
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
        take_status_answer(m, p->status_answer);
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
