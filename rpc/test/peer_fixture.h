/* SPDX-License-Identifier: Apache-2.0 */
/* Up to three peer_nets on one loop, each with an owner that decides about hellos
 * as it is told and counts what it is told. */
#ifndef TIDEMARK_RPC_TEST_PEER_FIXTURE_H
#define TIDEMARK_RPC_TEST_PEER_FIXTURE_H

#include "rpc/peer_net.h"

#include "base/check.h"
#include "base/mem.h"
#include "rpc/test/loop.h"

enum { NODES_MAX = 3, LOG_MAX = 256 };

/* What the owner of one peer_net does with hellos. */
enum policy { ACCEPT, REFUSE, LATER, ASK_FIRST };

struct node {
    struct peer_net *net;
    struct peer_net_options options;
    enum policy policy;
    uint64_t id;
    uint64_t offer;          /* the last one */
    struct peer_hello hello; /* the last one */
    struct peer_refusal refusal;
    unsigned hellos, ups, downs, deads, refusals;
    uint64_t refused_by;
    unsigned messages;
    size_t bytes;
    struct buf last;
    uint32_t next[NODES_MAX + 1]; /* next number expected from node i */
    bool out_of_order;
    char down_reason[100];
    unsigned asked; /* nonces that we were asked for */
};

struct fixture {
    struct loop loop;
    struct node nodes[NODES_MAX];
};

static inline void on_hello(void *context, uint64_t offer, const struct peer_hello *hello)
{
    struct node *n = context;
    n->hellos++;
    n->offer = offer;
    n->hello = *hello;
    switch (n->policy) {
    case ACCEPT:
        peer_net_accept(n->net, offer);
        break;
    case REFUSE:
        peer_net_refuse(n->net, offer, &n->refusal);
        break;
    case ASK_FIRST:
        if (hello->known_counter == 7) {
            peer_net_accept(n->net, offer);
        } else {
            peer_net_ask(n->net, offer, 7);
        }
        break;
    case LATER:
        break;
    }
}

static inline void on_up(void *context, uint64_t id, const struct peer_hello *hello)
{
    struct node *n = context;
    n->ups++;
    EXPECT_UINT(hello->directory_id, id);
    EXPECT(peer_net_is_up(n->net, id));
}

static inline void on_down(void *context, uint64_t id, const char *reason)
{
    struct node *n = context;
    n->downs++;
    (void)snprintf(n->down_reason, sizeof n->down_reason, "%s", reason);
    EXPECT(!peer_net_is_up(n->net, id));
}

static inline void on_dead(void *context, uint64_t id)
{
    (void)id;
    ((struct node *)context)->deads++;
}

static inline void on_message(void *context, uint64_t id, struct bytes message)
{
    struct node *n = context;
    n->messages++;
    n->bytes += message.size;
    buf_reset(&n->last);
    buf_put_bytes(&n->last, message);
    if (message.size == 4 && id <= NODES_MAX) {
        uint32_t number = bytes_get_u32(message.data);
        /* Links may lose, never repeat or reorder. */
        n->out_of_order = n->out_of_order || number < n->next[id];
        n->next[id] = number + 1;
    }
}

static inline void on_refused(void *context, uint64_t id, const struct peer_refusal *refusal)
{
    struct node *n = context;
    n->refusals++;
    n->refused_by = id;
    n->refusal = *refusal;
}

static inline uint64_t nonce_of(void *context, uint64_t start_counter)
{
    struct node *n = context;
    n->asked++;
    return start_counter == 7 ? 77 : 0;
}

static const struct peer_events events = {on_hello,   on_up,      on_down, on_dead,
                                          on_message, on_refused, nonce_of};

static inline void node_open(struct fixture *f, size_t i, const char *listen)
{
    struct node *n = &f->nodes[i];
    n->id = i + 1;
    struct peer_net_options *o = &n->options;
    o->loop = &f->loop.uv;
    o->listen = listen;
    o->hello.directory_id = n->id;
    o->hello.start_counter++;
    o->hello.nonce = 100 * n->id + o->hello.start_counter;
    (void)snprintf(o->hello.name, sizeof o->hello.name, "n%u", (unsigned)n->id);
    o->seed = n->id;
    o->events = &events;
    o->context = n;
    o->backoff_min_ms = 5;
    o->backoff_max_ms = 50;
    o->refused_ms = 60;
    struct err e;
    REQUIRE_OK(peer_net_open(o, &n->net, &e));
}

static inline struct fixture *fixture_open(size_t count)
{
    struct fixture *f = mem_zalloc(sizeof *f);
    loop_open(&f->loop);
    for (size_t i = 0; i < count; i++) {
        node_open(f, i, "127.0.0.1:0");
    }
    return f;
}

static inline void node_close(struct node *n)
{
    peer_net_close(n->net);
    n->net = NULL;
}

static inline void fixture_close(struct fixture *f)
{
    for (size_t i = 0; i < NODES_MAX; i++) {
        node_close(&f->nodes[i]);
        buf_deinit(&f->nodes[i].last);
    }
    loop_close(&f->loop);
    mem_free(f);
}

static inline void dial(struct node *from, const struct node *to)
{
    EXPECT_OK(peer_net_dial(from->net, loop_address(peer_net_port(to->net)), NULL));
}

static inline bool linked(const struct node *a, const struct node *b)
{
    return peer_net_is_up(a->net, b->id) && peer_net_is_up(b->net, a->id);
}

static inline bool send_text(struct node *n, uint64_t id, const char *text)
{
    struct bytes part = bytes_str(text);
    return peer_net_send(n->net, id, &part, 1);
}

static inline void turn(struct fixture *f, unsigned turns)
{
    for (unsigned i = 0; i < turns; i++) {
        loop_turn(&f->loop);
    }
}

static inline struct peer_stats stats_of(const struct node *n, uint64_t id)
{
    struct peer_stats stats;
    peer_net_stats(n->net, id, &stats);
    return stats;
}

#endif
