/* SPDX-License-Identifier: Apache-2.0 */
/* One connection between two nodes: the hand-shake, frames, silence. What comes
 * from the other side is decoded, refused and counted, never CHECKed. */
#include <inttypes.h>
#include <stdio.h>

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "rpc/peer_net_parts.h"

static const unsigned allowed[] = {
    [LINK_DIALING] = 1U << LINK_AWAIT_WELCOME | 1U << LINK_ENDED,
    [LINK_AWAIT_HELLO] = 1U << LINK_DECIDING | 1U << LINK_ENDED,
    [LINK_AWAIT_WELCOME] = 1U << LINK_DECIDING | 1U << LINK_UP | 1U << LINK_ENDED,
    [LINK_DECIDING] =
        1U << LINK_AWAIT_HELLO | 1U << LINK_AWAIT_WELCOME | 1U << LINK_UP | 1U << LINK_ENDED,
    [LINK_UP] = 1U << LINK_ENDED,
    [LINK_ENDED] = 0,
};

static uint64_t now_ms(const struct peer_link *link)
{
    return net_loop_now_ms(&link->net->loop);
}

static void set_state(struct peer_link *link, enum link_state next)
{
    CHECK((allowed[link->state] & 1U << next) != 0);
    link->state = next;
    link->due_ms = now_ms(link) + link->net->options.hello_ms;
}

/* --- ends --- */

/* Takes it out of everything; the connection itself is left to the caller. */
static void leave(struct peer_link *link, const char *reason, bool dial_refused)
{
    bool was_up = link->state == LINK_UP;
    struct peer_target *target = link->target;
    struct peer_net *n = link->net;
    set_state(link, LINK_ENDED);
    LIST_REMOVE(link, entry);
    CHECK(n->link_count > 0);
    n->link_count--;
    link->target = NULL;
    if (target != NULL) {
        peer_target_link_ended(target, dial_refused);
    }
    if (was_up) {
        peer_link_is_down(n, link, reason);
    }
}

void peer_link_end(struct peer_link *link, const char *reason)
{
    if (link->state == LINK_ENDED) {
        return;
    }
    net_conn_close(&link->conn);
    leave(link, reason, false);
}

/* Ends it when what was said last has left. */
static void finish(struct peer_link *link, const char *reason)
{
    net_conn_finish(&link->conn);
    leave(link, reason, false);
    link->leaving = true;
    LIST_INSERT_HEAD(&link->net->leaving, link, entry);
}

void peer_link_drop(struct peer_link *link)
{
    CHECK(link->leaving);
    link->leaving = false;
    LIST_REMOVE(link, entry);
    net_conn_close(&link->conn);
}

/* The other side broke the protocol. */
static void end_bad(struct peer_link *link, const char *what)
{
    log_warn(link->net->options.log, "rpc", "peer-bad", "address=%s reason=\"%s\"", link->conn.peer,
             what);
    struct peer *p = link->has_hello ? peer_find(link->net, link->hello.directory_id) : NULL;
    if (p != NULL) {
        p->stats.bad_frames++;
    }
    peer_link_end(link, what);
}

/* --- what we say --- */

static void put_frame(struct peer_link *link, struct buf *message)
{
    struct bytes part = buf_bytes(message);
    peer_frame_put(&link->conn.out, &part, 1);
    buf_deinit(message);
    net_conn_mark(&link->conn);
    link->said_ms = now_ms(link);
}

static void say_hello(struct peer_link *link, const struct peer_hello *hello)
{
    struct buf b = {0};
    peer_hello_encode(hello, &b);
    put_frame(link, &b);
}

static void say_welcome(struct peer_link *link, struct peer_welcome *w)
{
    struct buf b = {0};
    peer_welcome_encode(w, &b);
    put_frame(link, &b);
}

/* Accepted; the dialer is told who we are with it. */
static void say_accepted(struct peer_link *link, const struct peer_hello *hello)
{
    struct peer_welcome w = {.accepted = true};
    if (!link->dialed) {
        w.has_hello = true;
        w.hello = *hello;
    }
    say_welcome(link, &w);
}

/* So that the dialer knows whom it has reached, and does not try again. */
static void refuse_duplicate(struct peer_link *link)
{
    struct peer_welcome w = {.duplicate = true, .has_hello = true, .hello = link->net->hello};
    (void)snprintf(w.refusal.reason, sizeof w.refusal.reason, "there is a link already");
    say_welcome(link, &w);
    finish(link, "there is a link already");
}

/* --- the owner's decision --- */

static bool is_self(const struct peer_net *n, const struct peer_hello *h)
{
    return h->directory_id == n->hello.directory_id && h->nonce == n->hello.nonce &&
           h->start_counter == n->hello.start_counter;
}

/* The other side has said who it is: asks the owner, unless the answer is clear. */
static void judge(struct peer_link *link, const struct peer_hello *hello)
{
    struct peer_net *n = link->net;
    link->has_hello = true;
    link->hello = *hello;
    if (link->target != NULL) {
        link->target->id = hello->directory_id;
    }
    if (is_self(n, hello)) {
        if (link->target != NULL) {
            link->target->is_self = true;
        }
        refuse_duplicate(link);
        return;
    }
    if (!peer_may_stand(n, link)) {
        refuse_duplicate(link);
        return;
    }
    set_state(link, LINK_DECIDING);
    link->offer = ++n->offers;
    if (hello->protocol != PEER_PROTOCOL) {
        struct peer_refusal refusal = {.directory_id = hello->directory_id,
                                       .start_counter = hello->start_counter,
                                       .nonce = hello->nonce};
        (void)snprintf(refusal.reason, sizeof refusal.reason,
                       "protocol %" PRIu32 ", this node speaks %d", hello->protocol,
                       (int)PEER_PROTOCOL);
        log_warn(n->options.log, "rpc", "peer-refused", "address=%s reason=\"%s\"", link->conn.peer,
                 refusal.reason);
        peer_link_refuse(link, &refusal);
        return;
    }
    n->options.events->hello(n->options.context, link->offer, &link->hello);
}

void peer_link_accept(struct peer_link *link)
{
    CHECK(link->state == LINK_DECIDING);
    if (!peer_may_stand(link->net, link)) {
        refuse_duplicate(link);
        return;
    }
    say_accepted(link, &link->net->hello);
    if (link->dialed) {
        set_state(link, LINK_UP);
        peer_link_is_up(link->net, link);
    } else {
        set_state(link, LINK_AWAIT_WELCOME);
    }
}

void peer_link_refuse(struct peer_link *link, const struct peer_refusal *refusal)
{
    CHECK(link->state == LINK_DECIDING);
    struct peer_welcome w = {.refusal = *refusal, .has_hello = true, .hello = link->net->hello};
    say_welcome(link, &w);
    if (link->target != NULL) {
        link->target->slow = true;
    }
    finish(link, "refused by this node");
}

void peer_link_ask(struct peer_link *link, uint64_t start_counter)
{
    CHECK(link->state == LINK_DECIDING);
    CHECK(start_counter != 0);
    if (link->asks == PEER_ASKS_MAX) {
        peer_link_end(link, "asked too often for a nonce");
        return;
    }
    link->asks++;
    struct peer_welcome w = {.ask_nonce_of = start_counter};
    say_welcome(link, &w);
    set_state(link, link->dialed ? LINK_AWAIT_WELCOME : LINK_AWAIT_HELLO);
}

/* --- what the other side says --- */

static void on_hello(struct peer_link *link, struct bytes message)
{
    struct peer_hello hello;
    struct err e;
    if (peer_hello_decode(message, &hello, &e) != ERR_OK) {
        end_bad(link, e.text);
        return;
    }
    judge(link, &hello);
}

/* We are asked to prove an earlier start of ours. */
static void on_ask(struct peer_link *link, uint64_t start_counter)
{
    struct peer_net *n = link->net;
    if (link->asks == PEER_ASKS_MAX) {
        peer_link_end(link, "asked too often for a nonce");
        return;
    }
    link->asks++;
    struct peer_hello hello = n->hello;
    hello.known_counter = start_counter;
    /* 0: no longer known here. What that means, the other side decides. */
    hello.known_nonce = n->options.events->nonce_of(n->options.context, start_counter);
    if (link->dialed) {
        say_hello(link, &hello);
    } else {
        say_accepted(link, &hello);
    }
    link->due_ms = now_ms(link) + n->options.hello_ms;
}

static void on_refused(struct peer_link *link, const struct peer_welcome *w)
{
    struct peer_net *n = link->net;
    uint64_t id =
        w->has_hello ? w->hello.directory_id : (link->has_hello ? link->hello.directory_id : 0);
    struct peer_target *target = link->target;
    if (target != NULL && id != 0) {
        target->id = id;
        target->is_self = w->has_hello && is_self(n, &w->hello);
    }
    if (w->duplicate) {
        peer_link_end(link, "there is a link already");
        return;
    }
    if (target != NULL) {
        target->slow = true;
    }
    log_warn(n->options.log, "rpc", "refused-by-peer",
             "address=%s peer=%016" PRIx64 " reason=\"%s\"", link->conn.peer, id,
             w->refusal.reason);
    struct peer_refusal refusal = w->refusal;
    peer_link_end(link, "refused by the other side");
    n->options.events->refused(n->options.context, id, &refusal);
}

static void on_welcome(struct peer_link *link, struct bytes message)
{
    struct peer_welcome w;
    struct err e;
    if (peer_welcome_decode(message, &w, &e) != ERR_OK) {
        end_bad(link, e.text);
        return;
    }
    if (w.ask_nonce_of != 0) {
        on_ask(link, w.ask_nonce_of);
    } else if (!w.accepted) {
        on_refused(link, &w);
    } else if (!link->dialed) {
        set_state(link, LINK_UP);
        peer_link_is_up(link->net, link);
    } else if (w.has_hello) {
        judge(link, &w.hello);
    } else {
        end_bad(link, "a Welcome without a Hello");
    }
}

static void on_message(struct peer_link *link, struct bytes message)
{
    struct peer_net *n = link->net;
    struct peer *p = peer_find(n, link->hello.directory_id);
    CHECK(p != NULL);
    CHECK(p->link == link);
    p->stats.messages_received++;
    p->stats.bytes_received += message.size;
    n->options.events->message(n->options.context, p->id, message);
}

static void on_frame(struct peer_link *link, struct bytes message)
{
    if (message.size == 0) {
        return; /* "I am here" */
    }
    switch (link->state) {
    case LINK_AWAIT_HELLO:
        on_hello(link, message);
        break;
    case LINK_AWAIT_WELCOME:
        on_welcome(link, message);
        break;
    case LINK_UP:
        on_message(link, message);
        break;
    case LINK_DIALING:
    case LINK_DECIDING:
        end_bad(link, "a message before its time");
        break;
    case LINK_ENDED:
        break;
    }
}

static void on_read(struct net_conn *conn, struct bytes input)
{
    struct peer_link *link = (struct peer_link *)conn;
    link->heard_ms = now_ms(link);
    peer_inbox_push(&link->inbox, input);
    while (link->state != LINK_ENDED) {
        link->inbox.size_max =
            link->state == LINK_UP ? LIMIT_FRAME_SIZE_MAX : PEER_HANDSHAKE_SIZE_MAX;
        struct bytes message;
        switch (peer_inbox_next(&link->inbox, &message)) {
        case PEER_FRAME_MORE:
            return;
        case PEER_FRAME_MESSAGE:
            on_frame(link, message);
            break;
        case PEER_FRAME_TOO_LARGE:
            end_bad(link, "a frame over the size limit");
            return;
        case PEER_FRAME_BAD_CRC:
            end_bad(link, "a frame whose checksum is wrong");
            return;
        }
    }
}

static void on_connected(struct net_conn *conn)
{
    struct peer_link *link = (struct peer_link *)conn;
    set_state(link, LINK_AWAIT_WELCOME);
    say_hello(link, &link->net->hello);
}

static void on_ended(struct net_conn *conn, int status)
{
    struct peer_link *link = (struct peer_link *)conn;
    if (link->leaving) {
        peer_link_drop(link);
    } else {
        CHECK(link->state != LINK_ENDED);
        net_conn_close(conn);
        leave(link, net_conn_reason(status),
              link->state == LINK_DIALING && status == UV_ECONNREFUSED);
    }
}

static void on_closed(struct net_conn *conn)
{
    struct peer_link *link = (struct peer_link *)conn;
    peer_inbox_deinit(&link->inbox);
    mem_free(link);
}

static const struct net_conn_ops link_ops = {
    .connected = on_connected, .read = on_read, .ended = on_ended, .closed = on_closed};
static const struct net_conn_ops failed_ops = {.closed = on_closed};

static void enter(struct peer_net *n, struct peer_link *link, enum link_state state)
{
    link->net = n;
    link->state = state;
    link->due_ms = now_ms(link) + n->options.hello_ms;
    LIST_INSERT_HEAD(&n->links, link, entry);
    n->link_count++;
}

void peer_link_take(struct peer_net *n)
{
    struct peer_link *link = mem_zalloc(sizeof *link);
    int status = net_conn_take(&link->conn, &n->loop, &link_ops, net_listener_stream(&n->listener));
    if (status < 0) {
        link->conn.ops = &failed_ops;
        return;
    }
    enter(n, link, LINK_AWAIT_HELLO);
}

struct peer_link *peer_link_dial(struct peer_target *t)
{
    struct peer_net *n = t->net;
    struct peer_link *link = mem_zalloc(sizeof *link);
    net_conn_dial(&link->conn, &n->loop, &link_ops, &t->address, n->options.hello_ms);
    link->dialed = true;
    link->target = t;
    enter(n, link, LINK_DIALING);
    return link;
}

void peer_link_sweep(struct peer_link *link, uint64_t now)
{
    struct peer_net *n = link->net;
    if (link->state != LINK_UP) {
        if (now > link->due_ms) {
            peer_link_end(link, "the hand-shake took too long");
        }
        return;
    }
    if (now - link->heard_ms > n->options.idle_ms) {
        peer_link_end(link, "nothing was heard for too long");
        return;
    }
    if (now - link->said_ms >= n->options.keepalive_ms && net_conn_queued(&link->conn) == 0) {
        struct buf nothing = {0};
        put_frame(link, &nothing);
    }
}
