/* SPDX-License-Identifier: Apache-2.0 */
/* Requests that one node hands to another: commands and reads to the leader,
 * questions for a status; and answering those that were handed to us. */
#include "node/member_internal.h"
#include "proto/tidemark/peer/v1/peer.pb-c.h"

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
        member_reply_error(r, ERR_UNAVAILABLE, "%s", member_why_no_leader(m));
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
        member_reply_error(r, ERR_UNAVAILABLE, "%s", member_why_no_leader(m));
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
    answer.blocked_ms = reply->blocked_ms;
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

void member_take_forward(struct member *m, uint64_t peer_id,
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

void member_take_forward_answer(struct member *m, const Tidemark__Peer__V1__ForwardAnswer *a)
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
        .blocked_ms = a->blocked_ms,
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

void member_take_status_answer(struct member *m, const Tidemark__Peer__V1__StatusAnswer *a)
{
    struct member_request *r = list_find(&m->status_asked, a->token);
    if (r != NULL) {
        list_remove(&m->status_asked, r);
        struct member_reply reply = {
            .text = "", .leader = "", .data = bytes_of(a->status.data, a->status.len)};
        r->done(r, &reply);
    }
}

/* --- requests whose answer will not come --- */

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

void member_forwards_lost(struct member *m, uint64_t peer_id)
{
    handed_over_lost(m, peer_id, false, "the link to the leader was lost");
    struct err e;
    (void)err_set(&e, ERR_UNAVAILABLE, "the link was lost");
    list_lost(&m->status_asked, peer_id, false, &e);
}
