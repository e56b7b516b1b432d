/* SPDX-License-Identifier: Apache-2.0 */
/* One address that is dialed until there is a link, and again when it is lost. */
#include "base/check.h"
#include "base/mem.h"
#include "rpc/peer_net_parts.h"

enum { DOUBLINGS_MAX = 16, PROBE_MS = 1000 };

static bool has_link(struct peer_net *n, uint64_t id)
{
    const struct peer *p = id == 0 ? NULL : peer_find(n, id);
    return p != NULL && p->link != NULL;
}

static void on_timer(void *owner)
{
    struct peer_target *t = owner;
    if (t->is_self || t->link != NULL || has_link(t->net, t->id)) {
        return;
    }
    t->link = peer_link_dial(t);
}

/* Random, so that two nodes that dial each other do not meet in the middle every
 * time; bounded, so that a peer that comes back is found soon. */
static uint64_t next_delay(struct peer_target *t)
{
    const struct peer_net_options *o = &t->net->options;
    if (t->slow) {
        return random_between(&t->net->random, o->refused_ms / 2, o->refused_ms);
    }
    unsigned doublings = t->failures < DOUBLINGS_MAX ? t->failures : DOUBLINGS_MAX;
    uint64_t high = (uint64_t)o->backoff_min_ms << doublings;
    high = high < o->backoff_max_ms ? high : o->backoff_max_ms;
    return random_between(&t->net->random, o->backoff_min_ms, high);
}

struct peer_target *peer_target_open(struct peer_net *n, const char *text,
                                     const struct net_address *address)
{
    struct peer_target *t = mem_zalloc(sizeof *t);
    t->net = n;
    size_t size = strlen(text) + 1;
    CHECK(size <= sizeof t->text);
    memcpy(t->text, text, size);
    t->address = *address;
    net_timer_init(&t->timer, &n->loop, on_timer, t);
    net_timer_start(&t->timer, 0, 0);
    LIST_INSERT_HEAD(&n->targets, t, entry);
    n->target_count++;
    return t;
}

static void on_closed(void *owner)
{
    mem_free(owner);
}

void peer_target_close(struct peer_target *t)
{
    LIST_REMOVE(t, entry);
    CHECK(t->net->target_count > 0);
    t->net->target_count--;
    struct peer_link *link = t->link;
    t->link = NULL;
    net_timer_close(&t->timer, on_closed);
    if (link != NULL) {
        link->target = NULL;
        if (link->state != LINK_UP) {
            peer_link_end(link, "its address is not dialed any more");
        }
    }
}

void peer_target_link_ended(struct peer_target *t, bool refused)
{
    t->link = NULL;
    t->failures++;
    if (!t->is_self) {
        net_timer_start(&t->timer, next_delay(t), 0);
    }
    if (refused && t->id != 0) {
        peer_refused_dial(t->net, t->id);
    }
}

void peer_target_wake(struct peer_target *t)
{
    t->failures = 0;
    t->slow = false;
    if (t->link == NULL && !t->is_self) {
        net_timer_start(&t->timer, next_delay(t), 0);
    }
}

/* --- whether a peer is dead --- */

void peer_probe_end(struct probe *p)
{
    LIST_REMOVE(p, entry);
    net_conn_close(&p->conn);
}

static void on_probe_connected(struct net_conn *c)
{
    peer_probe_end((struct probe *)c); /* somebody listens */
}

static void on_probe_read(struct net_conn *c, struct bytes input)
{
    (void)c;
    (void)input;
}

static void on_probe_ended(struct net_conn *c, int status)
{
    struct probe *p = (struct probe *)c;
    peer_probe_end(p);
    if (status == UV_ECONNREFUSED) {
        peer_refused_dial(p->net, p->id);
    }
}

static void on_probe_closed(struct net_conn *c)
{
    mem_free(c);
}

static const struct net_conn_ops probe_ops = {.connected = on_probe_connected,
                                              .read = on_probe_read,
                                              .ended = on_probe_ended,
                                              .closed = on_probe_closed};

void peer_probe(struct peer_net *n, const struct net_address *address, uint64_t id)
{
    struct probe *p = mem_zalloc(sizeof *p);
    p->net = n;
    p->id = id;
    LIST_INSERT_HEAD(&n->probes, p, entry);
    net_conn_dial(&p->conn, &n->loop, &probe_ops, address, PROBE_MS);
}
