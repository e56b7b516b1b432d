/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/peer_net.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "rpc/peer_net_parts.h"

enum { SWEEP_MS_MAX = 250, SWEEP_MS_MIN = 5, SWEEPS_PER_TIME = 4, LATE_SWEEPS = 4 };

/* --- who is known --- */

struct peer *peer_find(struct peer_net *n, uint64_t id)
{
    CHECK(id != 0);
    for (size_t i = 0; i < PEERS_MAX; i++) {
        if (n->peers[i].id == id) {
            return &n->peers[i];
        }
    }
    return NULL;
}

struct peer *peer_find_or_add(struct peer_net *n, uint64_t id)
{
    struct peer *p = peer_find(n, id);
    struct peer *unused = NULL;
    for (size_t i = 0; i < PEERS_MAX && p == NULL; i++) {
        if (n->peers[i].link == NULL && (unused == NULL || n->peers[i].id == 0)) {
            unused = &n->peers[i]; /* a free slot, or somebody without a link */
        }
    }
    if (p == NULL && unused != NULL) {
        *unused = (struct peer){.id = id};
        p = unused;
    }
    return p;
}

/* --- one link to each --- */

/* Whether 'later' may take the place of 'standing', a connection with the same
 * directory. See peer_net.h; both sides must come to the same answer. */
static bool may_replace(const struct peer_net *n, const struct peer_link *later,
                        const struct peer_link *standing)
{
    if (later->hello.start_counter != standing->hello.start_counter) {
        return later->hello.start_counter > standing->hello.start_counter;
    }
    if (later->dialed == standing->dialed) {
        return !later->dialed;
    }
    bool lower_is_ours = n->hello.directory_id < later->hello.directory_id;
    return later->dialed == lower_is_ours;
}

static bool stands(const struct peer_link *link)
{
    return link->state == LINK_UP || link->state == LINK_DECIDING ||
           (link->state == LINK_AWAIT_WELCOME && link->has_hello);
}

bool peer_may_stand(struct peer_net *n, const struct peer_link *link)
{
    const struct peer_link *other;
    LIST_FOREACH(other, &n->links, entry)
    {
        if (other != link && stands(other) &&
            other->hello.directory_id == link->hello.directory_id && !may_replace(n, link, other)) {
            return false;
        }
    }
    return true;
}

void peer_link_is_up(struct peer_net *n, struct peer_link *link)
{
    uint64_t id = link->hello.directory_id;
    struct peer *p = peer_find_or_add(n, id);
    if (p == NULL) {
        peer_link_end(link, "too many peers");
        return;
    }
    struct peer_link *old = p->link;
    if (old != NULL && !may_replace(n, link, old)) {
        /* It is not the peer's link: ends without down(). */
        peer_link_end(link, "there is a link already");
        return;
    }
    if (old != NULL) {
        peer_link_end(old, "replaced by a new link"); /* with down() */
    }
    p->link = link;
    p->dead_until_ms = 0;
    p->stats.links++;
    memcpy(p->peer_address, link->hello.peer_address, sizeof p->peer_address);
    link->heard_ms = net_loop_now_ms(&n->loop);
    struct peer_target *t;
    LIST_FOREACH(t, &n->targets, entry)
    {
        if (t == link->target || strcmp(t->text, link->hello.peer_address) == 0) {
            t->id = id;
            t->failures = 0;
            t->slow = false;
        }
    }
    log_info(n->options.log, "rpc", "link-up", "peer=%016" PRIx64 " name=%s address=%s dialed=%d",
             id, link->hello.name, link->conn.peer, link->dialed ? 1 : 0);
    struct peer_hello hello = link->hello;
    n->options.events->up(n->options.context, id, &hello);
}

static void ask_whether_dead(struct peer_net *n, struct peer *p)
{
    p->dead_until_ms = net_loop_now_ms(&n->loop) + PEER_DEAD_MS;
    bool probed = false;
    struct peer_target *t;
    LIST_FOREACH(t, &n->targets, entry)
    {
        if (t->id == p->id) {
            probed = true;
            peer_probe(n, &t->address, p->id);
            peer_target_wake(t);
        }
    }
    struct net_address address;
    if (!probed && net_address_parse(p->peer_address, &address, NULL) == ERR_OK) {
        peer_probe(n, &address, p->id);
    }
}

static bool another_is_up(const struct peer_net *n, uint64_t id)
{
    const struct peer_link *link;
    LIST_FOREACH(link, &n->links, entry)
    {
        if (link->state == LINK_UP && link->hello.directory_id == id) {
            return true;
        }
    }
    return false;
}

void peer_link_is_down(struct peer_net *n, struct peer_link *link, const char *reason)
{
    uint64_t id = link->hello.directory_id;
    struct peer *p = peer_find(n, id);
    if (n->closed || p == NULL || p->link != link) {
        return; /* it never became the peer's link */
    }
    p->link = NULL;
    if (!another_is_up(n, id)) {
        ask_whether_dead(n, p);
    }
    log_info(n->options.log, "rpc", "link-down", "peer=%016" PRIx64 " reason=\"%s\"", id, reason);
    n->options.events->down(n->options.context, id, reason);
}

void peer_refused_dial(struct peer_net *n, uint64_t id)
{
    struct peer *p = peer_find(n, id);
    if (p == NULL || p->link != NULL || p->dead_until_ms < net_loop_now_ms(&n->loop)) {
        return;
    }
    p->dead_until_ms = 0;
    log_info(n->options.log, "rpc", "peer-dead", "peer=%016" PRIx64, id);
    n->options.events->dead(n->options.context, id);
}

/* --- time --- */

/* Ends and down() may remove any link from the list: begins anew after each. */
static struct peer_link *next_to_sweep(struct peer_net *n)
{
    struct peer_link *link;
    LIST_FOREACH(link, &n->links, entry)
    {
        if (link->sweep != n->sweeps) {
            return link;
        }
    }
    return NULL;
}

static void forgive_silence(struct peer_net *n, uint64_t now)
{
    struct peer_link *link;
    LIST_FOREACH(link, &n->links, entry)
    {
        link->heard_ms = now;
    }
}

static void sweep_leaving(struct peer_net *n, uint64_t now)
{
    struct peer_link *next = NULL;
    for (struct peer_link *link = LIST_FIRST(&n->leaving); link != NULL; link = next) {
        next = LIST_NEXT(link, entry);
        if (now > link->due_ms) {
            peer_link_drop(link);
        }
    }
}

static void on_sweep(void *owner)
{
    struct peer_net *n = owner;
    uint64_t now = net_loop_now_ms(&n->loop);
    if (now - n->sweep_last_ms > LATE_SWEEPS * n->sweep_every_ms) {
        /* We were stopped ourselves; what they said meanwhile is still to be read. */
        forgive_silence(n, now);
    }
    n->sweep_last_ms = now;
    n->sweeps++;
    for (;;) {
        struct peer_link *link = next_to_sweep(n);
        if (link == NULL) {
            break;
        }
        link->sweep = n->sweeps;
        peer_link_sweep(link, now);
    }
    sweep_leaving(n, now);
}

static void start_sweep(struct peer_net *n)
{
    const struct peer_net_options *o = &n->options;
    unsigned shortest = o->keepalive_ms < o->idle_ms ? o->keepalive_ms : o->idle_ms;
    shortest = o->hello_ms < shortest ? o->hello_ms : shortest;
    uint64_t every = shortest / SWEEPS_PER_TIME;
    every = every > SWEEP_MS_MAX ? SWEEP_MS_MAX : every < SWEEP_MS_MIN ? SWEEP_MS_MIN : every;
    n->sweep_every_ms = every;
    n->sweep_last_ms = net_loop_now_ms(&n->loop);
    net_timer_init(&n->sweep_timer, &n->loop, on_sweep, n);
    net_timer_start(&n->sweep_timer, every, every);
}

/* --- life --- */

static unsigned unsigned_or(unsigned value, unsigned otherwise)
{
    return value == 0 ? otherwise : value;
}

static void fill_in(struct peer_net_options *o)
{
    o->queue_size_max = o->queue_size_max == 0 ? LIMIT_PEER_QUEUE_SIZE : o->queue_size_max;
    o->hello_ms = unsigned_or(o->hello_ms, 5000);
    o->keepalive_ms = unsigned_or(o->keepalive_ms, 1000);
    o->idle_ms = unsigned_or(o->idle_ms, 5000);
    o->backoff_min_ms = unsigned_or(o->backoff_min_ms, 20);
    o->backoff_max_ms = unsigned_or(o->backoff_max_ms, 500);
    o->refused_ms = unsigned_or(o->refused_ms, 2000);
    CHECK(o->backoff_min_ms <= o->backoff_max_ms);
    CHECK(o->keepalive_ms < o->idle_ms);
    o->listen = NULL;
}

static void on_incoming(struct net_listener *l, int status)
{
    struct peer_net *n = l->owner;
    if (status < 0) {
        log_warn(n->options.log, "rpc", "accept-failed", "reason=%s", net_conn_reason(status));
        return;
    }
    if (n->link_count >= LIMIT_PEER_LINKS) {
        net_listener_drop(l);
        return;
    }
    peer_link_take(n);
}

static void on_loop_closed(void *owner)
{
    struct peer_net *n = owner;
    CHECK(LIST_EMPTY(&n->links));
    CHECK(LIST_EMPTY(&n->leaving));
    CHECK(LIST_EMPTY(&n->targets));
    CHECK(LIST_EMPTY(&n->probes));
    mem_free(n);
}

/* Where we listen, as others may dial it, if the owner does not say it better. */
static void fill_in_address(struct peer_net *n, const char *listen, uint16_t port)
{
    const char *colon = strrchr(listen, ':');
    CHECK(colon != NULL);
    (void)snprintf(n->hello.peer_address, sizeof n->hello.peer_address, "%.*s:%u",
                   (int)(colon - listen), listen, (unsigned)port);
}

enum err_code peer_net_open(const struct peer_net_options *options, struct peer_net **out,
                            struct err *e)
{
    CHECK(options->hello.directory_id != 0);
    int fd = -1;
    uint16_t port = 0;
    enum err_code code = net_listener_bind(options->loop, options->listen, &fd, &port, e);
    if (code != ERR_OK) {
        return code;
    }
    struct peer_net *n = mem_zalloc(sizeof *n);
    n->options = *options;
    fill_in(&n->options);
    n->random = random_seeded(options->seed);
    LIST_INIT(&n->links);
    LIST_INIT(&n->leaving);
    LIST_INIT(&n->targets);
    LIST_INIT(&n->probes);
    net_loop_init(&n->loop, options->loop, on_loop_closed, n);
    net_listener_open(&n->listener, &n->loop, fd, port, on_incoming, n);
    start_sweep(n);
    n->hello = options->hello;
    n->hello.protocol = PEER_PROTOCOL;
    if (n->hello.peer_address[0] == '\0') {
        fill_in_address(n, options->listen, port);
    }
    log_info(n->options.log, "rpc", "peers-listening", "address=%s port=%u", options->listen,
             (unsigned)port);
    *out = n;
    return ERR_OK;
}

void peer_net_close(struct peer_net *n)
{
    if (n == NULL) {
        return;
    }
    CHECK(!n->closed);
    n->closed = true;
    while (!LIST_EMPTY(&n->targets)) {
        peer_target_close(LIST_FIRST(&n->targets));
    }
    while (!LIST_EMPTY(&n->links)) {
        peer_link_end(LIST_FIRST(&n->links), "this node stops");
    }
    while (!LIST_EMPTY(&n->leaving)) {
        peer_link_drop(LIST_FIRST(&n->leaving));
    }
    while (!LIST_EMPTY(&n->probes)) {
        peer_probe_end(LIST_FIRST(&n->probes));
    }
    net_listener_close(&n->listener);
    net_timer_close(&n->sweep_timer, NULL);
    net_loop_close(&n->loop);
}

uint16_t peer_net_port(const struct peer_net *n)
{
    return n->listener.port;
}

void peer_net_set_hello(struct peer_net *n, const struct peer_hello *hello)
{
    CHECK(hello->directory_id == n->hello.directory_id);
    char address[sizeof n->hello.peer_address];
    memcpy(address, n->hello.peer_address, sizeof address);
    n->hello = *hello;
    n->hello.protocol = PEER_PROTOCOL;
    if (hello->peer_address[0] == '\0') {
        memcpy(n->hello.peer_address, address, sizeof address);
    }
}

/* --- addresses --- */

static struct peer_target *find_target(struct peer_net *n, const char *text)
{
    struct peer_target *t;
    LIST_FOREACH(t, &n->targets, entry)
    {
        if (strcmp(t->text, text) == 0) {
            return t;
        }
    }
    return NULL;
}

enum err_code peer_net_dial(struct peer_net *n, const char *address, struct err *e)
{
    struct net_address parsed;
    enum err_code code = net_address_parse(address, &parsed, e);
    if (code != ERR_OK) {
        return code;
    }
    if (strlen(address) > LIMIT_ADDRESS_SIZE_MAX) {
        return err_set(e, ERR_INVALID, "address: longer than %d bytes",
                       (int)LIMIT_ADDRESS_SIZE_MAX);
    }
    if (find_target(n, address) != NULL) {
        return ERR_OK;
    }
    if (n->target_count == PEER_TARGETS_MAX) {
        return err_set(e, ERR_FULL, "more than %d addresses of peers", (int)PEER_TARGETS_MAX);
    }
    (void)peer_target_open(n, address, &parsed);
    return ERR_OK;
}

void peer_net_forget(struct peer_net *n, const char *address)
{
    struct peer_target *t = find_target(n, address);
    if (t != NULL) {
        peer_target_close(t);
    }
}

/* --- offers --- */

static struct peer_link *find_offer(struct peer_net *n, uint64_t offer)
{
    struct peer_link *link;
    LIST_FOREACH(link, &n->links, entry)
    {
        if (link->state == LINK_DECIDING && link->offer == offer) {
            return link;
        }
    }
    return NULL;
}

void peer_net_accept(struct peer_net *n, uint64_t offer)
{
    struct peer_link *link = find_offer(n, offer);
    if (link != NULL) {
        peer_link_accept(link);
    }
}

void peer_net_refuse(struct peer_net *n, uint64_t offer, const struct peer_refusal *refusal)
{
    struct peer_link *link = find_offer(n, offer);
    if (link != NULL) {
        peer_link_refuse(link, refusal);
    }
}

void peer_net_ask(struct peer_net *n, uint64_t offer, uint64_t start_counter)
{
    struct peer_link *link = find_offer(n, offer);
    if (link != NULL) {
        peer_link_ask(link, start_counter);
    }
}

/* --- messages --- */

static size_t size_of(const struct bytes *parts, size_t count)
{
    size_t size = 0;
    for (size_t i = 0; i < count; i++) {
        size += parts[i].size;
    }
    return size;
}

bool peer_net_send(struct peer_net *n, uint64_t id, const struct bytes *parts, size_t count)
{
    size_t size = size_of(parts, count);
    CHECK(size > 0);
    CHECK(size <= LIMIT_FRAME_SIZE_MAX);
    struct peer *p = peer_find(n, id);
    if (p == NULL) {
        return false;
    }
    size_t queue_max = n->options.queue_size_max;
    if (size <= PEER_SMALL_SIZE_MAX) {
        queue_max += PEER_RESERVE_SIZE;
    }
    if (p->link == NULL ||
        net_conn_queued(&p->link->conn) + PEER_FRAME_HEADER_SIZE + size > queue_max) {
        p->stats.messages_dropped++;
        return false;
    }
    peer_frame_put(&p->link->conn.out, parts, count);
    net_conn_mark(&p->link->conn);
    p->link->said_ms = net_loop_now_ms(&n->loop);
    p->stats.messages_sent++;
    p->stats.bytes_sent += size;
    return true;
}

static const struct peer *find_const(const struct peer_net *n, uint64_t id)
{
    for (size_t i = 0; i < PEERS_MAX; i++) {
        if (n->peers[i].id == id) {
            return &n->peers[i];
        }
    }
    return NULL;
}

bool peer_net_is_up(const struct peer_net *n, uint64_t id)
{
    const struct peer *p = find_const(n, id);
    return p != NULL && p->link != NULL;
}

void peer_net_disconnect(struct peer_net *n, uint64_t id, const char *reason)
{
    const struct peer *p = find_const(n, id);
    if (p != NULL && p->link != NULL) {
        peer_link_end(p->link, reason);
    }
}

void peer_net_stats(const struct peer_net *n, uint64_t id, struct peer_stats *out)
{
    const struct peer *p = find_const(n, id);
    *out = (struct peer_stats){0};
    if (p != NULL && id != 0) {
        *out = p->stats;
        out->queued = p->link == NULL ? 0 : net_conn_queued(&p->link->conn);
    }
}
