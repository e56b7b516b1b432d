/* SPDX-License-Identifier: Apache-2.0 */
#include "testkit/fake_net.h"

#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/random.h"

enum { MILLION = 1000000 };

/* What travels or waits in the heap. */
enum item_kind {
    ITEM_MESSAGE,
    ITEM_CONNECT, /* asks for a link */
    ITEM_ACCEPT,  /* grants it */
    ITEM_REFUSE,  /* nobody listens */
    ITEM_END,     /* the sender has no such link (any more) */
    ITEM_TIMEOUT, /* of a connect; 'from' waits for 'to' */
    ITEM_BREAK    /* of a link that holds messages; 'epoch' is the lane's mark */
};

struct item {
    uint64_t time_us;
    uint64_t order; /* among those of one time */
    enum item_kind kind;
    size_t from;
    size_t to;
    uint64_t epoch;
    uint8_t *data; /* owned; of a message */
    size_t size;
};

/* A queue of items or events, oldest first. */
struct queue {
    struct item **items;
    size_t count;
    size_t capacity;
};

/* One node's side of its link to one peer. The host (its kernel) may be ahead of
 * the process, which acts on what it was told. */
struct side {
    uint64_t epoch;   /* of the host; 0: down */
    uint64_t told;    /* of the process; 0: down */
    uint64_t attempt; /* epoch asked for, 0: none */
};

/* One direction between two nodes. */
struct lane {
    bool blocked;
    uint64_t last_us;   /* nothing arrived or will arrive later than this */
    uint64_t floor_us;  /* messages don't arrive before this */
    struct queue held;  /* waits until the direction is open */
    uint64_t held_mark; /* of the break timer that counts */
};

struct node {
    bool alive;
    bool host_down;
    bool paused;
};

struct ready_event {
    struct fake_net_event event;
    uint8_t *data; /* owned */
};

struct fake_net {
    struct fake_net_options options;
    struct random random;
    size_t node_count;
    struct node nodes[FAKE_NET_NODES_MAX];
    struct side *sides; /* [node * node_count + peer] */
    struct lane *lanes; /* [from * node_count + to] */
    struct item **heap; /* by time, then order */
    size_t heap_count;
    size_t heap_capacity;
    struct ready_event *ready; /* [ready_first, ready_count): happened, to be told */
    size_t ready_first;
    size_t ready_count;
    size_t ready_capacity;
    uint8_t *told; /* data of the last event told */
    uint64_t now_us;
    uint64_t order_next;
    uint64_t epoch_last;
    uint64_t held_mark_last;
    size_t in_flight;
    struct fake_net_counts counts;
};

/* --- heap --- */

static bool is_before(const struct item *a, const struct item *b)
{
    return a->time_us != b->time_us ? a->time_us < b->time_us : a->order < b->order;
}

static void heap_push(struct fake_net *net, struct item *item)
{
    item->order = net->order_next++;
    net->heap =
        mem_grow(net->heap, &net->heap_capacity, net->heap_count + 1, sizeof(struct item *));
    size_t at = net->heap_count++;
    while (at > 0 && is_before(item, net->heap[(at - 1) / 2])) {
        net->heap[at] = net->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    net->heap[at] = item;
}

static struct item *heap_pop(struct fake_net *net)
{
    struct item *top = net->heap[0];
    struct item *last = net->heap[--net->heap_count];
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= net->heap_count) {
            break;
        }
        if (child + 1 < net->heap_count && is_before(net->heap[child + 1], net->heap[child])) {
            child++;
        }
        if (!is_before(net->heap[child], last)) {
            break;
        }
        net->heap[at] = net->heap[child];
        at = child;
    }
    net->heap[at] = last;
    return top;
}

/* --- places --- */

static struct side *side_of(const struct fake_net *net, size_t node, size_t peer)
{
    CHECK(node < net->node_count);
    CHECK(peer < net->node_count);
    CHECK(node != peer);
    return &net->sides[node * net->node_count + peer];
}

static struct lane *lane_of(const struct fake_net *net, size_t from, size_t to)
{
    return &net->lanes[from * net->node_count + to];
}

static void advance(struct fake_net *net, uint64_t now_us)
{
    CHECK(now_us >= net->now_us);
    net->now_us = now_us;
}

/* --- events --- */

/* Takes 'data'. */
static void tell(struct fake_net *net, struct fake_net_event event, uint8_t *data)
{
    net->ready = mem_grow(net->ready, &net->ready_capacity, net->ready_count + 1,
                          sizeof(struct ready_event));
    net->ready[net->ready_count++] = (struct ready_event){event, data};
}

static void tell_side(struct fake_net *net, enum fake_net_event_kind kind, size_t node, size_t peer,
                      uint64_t epoch)
{
    tell(net, (struct fake_net_event){.kind = kind, .node = node, .peer = peer, .epoch = epoch},
         NULL);
}

static void side_down(struct fake_net *net, size_t node, size_t peer)
{
    struct side *side = side_of(net, node, peer);
    if (side->epoch != 0) {
        tell_side(net, FAKE_NET_DOWN, node, peer, side->epoch);
        side->epoch = 0;
    }
}

static void side_up(struct fake_net *net, size_t node, size_t peer, uint64_t epoch)
{
    side_down(net, node, peer); /* an older link */
    side_of(net, node, peer)->epoch = epoch;
    tell_side(net, FAKE_NET_UP, node, peer, epoch);
}

/* --- travel --- */

static uint64_t random_delay(struct fake_net *net)
{
    const struct fake_net_options *o = &net->options;
    uint64_t delay = random_between(&net->random, o->delay_min_us, o->delay_max_us);
    if (random_chance(&net->random, o->slow_per_million, MILLION)) {
        delay += random_between(&net->random, 0, o->slow_max_us);
    }
    return delay;
}

static struct item *item_new(enum item_kind kind, size_t from, size_t to, uint64_t epoch)
{
    struct item *item = mem_alloc(sizeof *item);
    *item = (struct item){.kind = kind, .from = from, .to = to, .epoch = epoch};
    return item;
}

static void item_free(struct fake_net *net, struct item *item)
{
    net->in_flight -= item->kind == ITEM_MESSAGE;
    mem_free(item->data);
    mem_free(item);
}

/* Gives the item its time of arrival. What is no message is never overtaken. */
static void travel(struct fake_net *net, struct item *item)
{
    struct lane *lane = lane_of(net, item->from, item->to);
    uint64_t arrival = net->now_us + random_delay(net);
    bool ordered = net->options.fifo || item->kind != ITEM_MESSAGE;
    uint64_t earliest = ordered ? lane->last_us : lane->floor_us;
    item->time_us = arrival > earliest ? arrival : earliest;
    lane->last_us = item->time_us > lane->last_us ? item->time_us : lane->last_us;
    if (item->kind != ITEM_MESSAGE) {
        lane->floor_us = item->time_us;
    }
    heap_push(net, item);
}

static void send_control(struct fake_net *net, enum item_kind kind, size_t from, size_t to,
                         uint64_t epoch)
{
    travel(net, item_new(kind, from, to, epoch));
}

static void queue_push(struct queue *queue, struct item *item)
{
    queue->items =
        mem_grow(queue->items, &queue->capacity, queue->count + 1, sizeof(struct item *));
    queue->items[queue->count++] = item;
}

/* Kept until the direction is open; after break_us the link is given up. */
static void hold(struct fake_net *net, struct item *item)
{
    struct lane *lane = lane_of(net, item->from, item->to);
    if (lane->held.count == 0) {
        lane->held_mark = ++net->held_mark_last;
        struct item *timer = item_new(ITEM_BREAK, item->from, item->to, lane->held_mark);
        timer->time_us = net->now_us + net->options.break_us;
        heap_push(net, timer);
    }
    queue_push(&lane->held, item);
}

/* Takes everything out of the queue; the caller frees what it gets. */
static struct queue queue_take(struct queue *queue)
{
    struct queue taken = *queue;
    *queue = (struct queue){0};
    return taken;
}

static void drop_held(struct fake_net *net, size_t from, size_t to)
{
    struct queue held = queue_take(&lane_of(net, from, to)->held);
    for (size_t i = 0; i < held.count; i++) {
        item_free(net, held.items[i]);
    }
    mem_free(held.items);
}

/* --- arrivals; each takes its item --- */

static void arrive_message(struct fake_net *net, struct item *item)
{
    if (side_of(net, item->to, item->from)->epoch != item->epoch) {
        net->counts.stale++;
        send_control(net, ITEM_END, item->to, item->from, item->epoch);
        item_free(net, item);
        return;
    }
    struct fake_net_event event = {FAKE_NET_MESSAGE, item->to, item->from, item->epoch,
                                   bytes_of(item->data, item->size)};
    tell(net, event, item->data);
    item->data = NULL;
    item_free(net, item);
}

static void arrive_connect(struct fake_net *net, const struct item *item)
{
    if (!net->nodes[item->to].alive) {
        send_control(net, ITEM_REFUSE, item->to, item->from, item->epoch);
        return;
    }
    /* Both may have dialed at once: the later link wins, on both sides. */
    if (side_of(net, item->to, item->from)->epoch < item->epoch) {
        side_up(net, item->to, item->from, item->epoch);
        send_control(net, ITEM_ACCEPT, item->to, item->from, item->epoch);
    }
}

static void arrive_accept(struct fake_net *net, const struct item *item)
{
    struct side *side = side_of(net, item->to, item->from);
    if (side->attempt != item->epoch) { /* given up, or the process is gone */
        send_control(net, ITEM_END, item->to, item->from, item->epoch);
        return;
    }
    side->attempt = 0;
    if (side->epoch < item->epoch) {
        side_up(net, item->to, item->from, item->epoch);
    }
}

/* A connect came to nothing; that matters only while no link is up. */
static void end_attempt(struct fake_net *net, size_t node, size_t peer, uint64_t epoch,
                        enum fake_net_event_kind kind)
{
    struct side *side = side_of(net, node, peer);
    if (side->attempt == epoch) {
        side->attempt = 0;
        if (side->epoch == 0) {
            tell_side(net, kind, node, peer, epoch);
        }
    }
}

static void arrive_end(struct fake_net *net, const struct item *item)
{
    if (side_of(net, item->to, item->from)->epoch == item->epoch) {
        side_down(net, item->to, item->from);
    }
}

static void break_link(struct fake_net *net, const struct item *timer)
{
    struct lane *lane = lane_of(net, timer->from, timer->to);
    if (lane->held.count == 0 || lane->held_mark != timer->epoch) {
        return; /* it went on in the meantime */
    }
    drop_held(net, timer->from, timer->to);
    side_down(net, timer->from, timer->to);
    side_down(net, timer->to, timer->from);
}

static bool can_pass(const struct fake_net *net, const struct item *item)
{
    return !lane_of(net, item->from, item->to)->blocked && !net->nodes[item->to].host_down;
}

/* Takes the item. */
static void arrive(struct fake_net *net, struct item *item)
{
    bool travels = item->kind != ITEM_TIMEOUT && item->kind != ITEM_BREAK;
    bool waits = item->kind == ITEM_MESSAGE || item->kind == ITEM_END;
    if (travels && !can_pass(net, item)) {
        if (waits) {
            hold(net, item);
        } else {
            item_free(net, item); /* the one who asked will time out */
        }
        return;
    }
    switch (item->kind) {
    case ITEM_MESSAGE:
        arrive_message(net, item);
        return;
    case ITEM_CONNECT:
        arrive_connect(net, item);
        break;
    case ITEM_ACCEPT:
        arrive_accept(net, item);
        break;
    case ITEM_REFUSE:
        end_attempt(net, item->to, item->from, item->epoch, FAKE_NET_REFUSED);
        break;
    case ITEM_END:
        arrive_end(net, item);
        break;
    case ITEM_TIMEOUT:
        end_attempt(net, item->from, item->to, item->epoch, FAKE_NET_UNREACHABLE);
        break;
    case ITEM_BREAK:
        break_link(net, item);
        break;
    }
    item_free(net, item);
}

/* Older than all that is still under way, so it arrives before that, at once. */
static void release_held(struct fake_net *net, size_t from, size_t to)
{
    struct queue held = queue_take(&lane_of(net, from, to)->held);
    for (size_t i = 0; i < held.count; i++) {
        arrive(net, held.items[i]);
    }
    mem_free(held.items);
}

/* --- life --- */

struct fake_net *fake_net_create(size_t node_count, uint64_t seed,
                                 const struct fake_net_options *options)
{
    CHECK(node_count > 0);
    CHECK(node_count <= FAKE_NET_NODES_MAX);
    struct fake_net *net = mem_zalloc(sizeof *net);
    net->random = random_seeded(seed);
    net->node_count = node_count;
    net->sides = mem_array(node_count * node_count, sizeof *net->sides);
    net->lanes = mem_array(node_count * node_count, sizeof *net->lanes);
    for (size_t i = 0; i < node_count; i++) {
        net->nodes[i].alive = true;
    }
    fake_net_set_options(net, options);
    return net;
}

void fake_net_destroy(struct fake_net *net)
{
    if (net == NULL) {
        return;
    }
    while (net->heap_count > 0) {
        item_free(net, heap_pop(net));
    }
    for (size_t from = 0; from < net->node_count; from++) {
        for (size_t to = 0; to < net->node_count; to++) {
            drop_held(net, from, to);
        }
    }
    for (size_t i = net->ready_first; i < net->ready_count; i++) {
        mem_free(net->ready[i].data);
    }
    mem_free(net->told);
    mem_free(net->ready);
    mem_free(net->heap);
    mem_free(net->lanes);
    mem_free(net->sides);
    mem_free(net);
}

void fake_net_set_options(struct fake_net *net, const struct fake_net_options *options)
{
    CHECK(options->delay_min_us <= options->delay_max_us);
    CHECK(!options->fifo || options->duplicate_per_million == 0);
    net->options = *options;
}

/* --- links --- */

/* The host closes: its peer learns of it. */
static void end_side(struct fake_net *net, size_t node, size_t peer)
{
    struct side *side = side_of(net, node, peer);
    if (side->epoch != 0) {
        send_control(net, ITEM_END, node, peer, side->epoch);
        side->epoch = 0;
    }
}

void fake_net_connect(struct fake_net *net, size_t from, size_t to, uint64_t now_us)
{
    advance(net, now_us);
    struct side *side = side_of(net, from, to);
    CHECK(net->nodes[from].alive);
    if (side->epoch != 0 || side->told != 0 || side->attempt != 0) {
        return;
    }
    side->attempt = ++net->epoch_last;
    send_control(net, ITEM_CONNECT, from, to, side->attempt);
    struct item *timer = item_new(ITEM_TIMEOUT, from, to, side->attempt);
    timer->time_us = now_us + net->options.connect_timeout_us;
    heap_push(net, timer);
}

void fake_net_close(struct fake_net *net, size_t from, size_t to, uint64_t now_us)
{
    advance(net, now_us);
    struct side *side = side_of(net, from, to);
    if (side->told == side->epoch) {
        end_side(net, from, to);
    }
    side->told = 0;
    side->attempt = 0;
}

bool fake_net_is_up(const struct fake_net *net, size_t node, size_t peer)
{
    return side_of(net, node, peer)->told != 0;
}

static void send_message(struct fake_net *net, size_t from, size_t to, struct bytes data)
{
    struct item *item = item_new(ITEM_MESSAGE, from, to, side_of(net, from, to)->epoch);
    item->data = mem_dup(data.data, data.size);
    item->size = data.size;
    net->in_flight++;
    travel(net, item);
}

bool fake_net_send(struct fake_net *net, size_t from, size_t to, struct bytes data, uint64_t now_us)
{
    advance(net, now_us);
    const struct side *side = side_of(net, from, to);
    if (side->told == 0) {
        return false;
    }
    net->counts.sent++;
    if (side->told != side->epoch) { /* it will learn that this link is gone */
        net->counts.stale++;
        return true;
    }
    if (random_chance(&net->random, net->options.loss_per_million, MILLION)) {
        net->counts.lost++;
        return true;
    }
    send_message(net, from, to, data);
    if (random_chance(&net->random, net->options.duplicate_per_million, MILLION)) {
        net->counts.duplicated++;
        send_message(net, from, to, data);
    }
    return true;
}

/* --- time --- */

/* The first event in line whose node is not paused. */
static bool take_ready(struct fake_net *net, struct ready_event *out)
{
    for (size_t i = net->ready_first; i < net->ready_count; i++) {
        if (net->nodes[net->ready[i].event.node].paused) {
            continue;
        }
        *out = net->ready[i];
        /* What was skipped stays in front, in order. */
        memmove(&net->ready[net->ready_first + 1], &net->ready[net->ready_first],
                (i - net->ready_first) * sizeof net->ready[0]);
        net->ready_first++;
        if (net->ready_first == net->ready_count) {
            net->ready_first = 0;
            net->ready_count = 0;
        }
        return true;
    }
    return false;
}

/* The process learns of an event. False: it has closed that link itself. */
static bool hear(struct fake_net *net, const struct fake_net_event *event)
{
    struct side *side = side_of(net, event->node, event->peer);
    bool of_link = event->kind == FAKE_NET_MESSAGE || event->kind == FAKE_NET_DOWN;
    if (of_link && side->told != event->epoch) {
        net->counts.stale += event->kind == FAKE_NET_MESSAGE;
        return false;
    }
    if (event->kind == FAKE_NET_UP) {
        side->told = event->epoch;
    } else if (event->kind == FAKE_NET_DOWN) {
        side->told = 0;
    }
    net->counts.ups += event->kind == FAKE_NET_UP;
    net->counts.downs += event->kind == FAKE_NET_DOWN;
    net->counts.delivered += event->kind == FAKE_NET_MESSAGE;
    return true;
}

bool fake_net_deliver(struct fake_net *net, uint64_t now_us, struct fake_net_event *event)
{
    CHECK(now_us >= net->now_us);
    mem_free(net->told);
    net->told = NULL;
    for (;;) {
        struct ready_event ready;
        while (!take_ready(net, &ready)) {
            if (net->heap_count == 0 || net->heap[0]->time_us > now_us) {
                advance(net, now_us);
                return false;
            }
            struct item *item = heap_pop(net);
            net->now_us = item->time_us > net->now_us ? item->time_us : net->now_us;
            arrive(net, item);
        }
        if (hear(net, &ready.event)) {
            net->told = ready.data;
            *event = ready.event;
            return true;
        }
        mem_free(ready.data);
    }
}

uint64_t fake_net_next_us(const struct fake_net *net)
{
    for (size_t i = net->ready_first; i < net->ready_count; i++) {
        if (!net->nodes[net->ready[i].event.node].paused) {
            return net->now_us;
        }
    }
    return net->heap_count == 0 ? UINT64_MAX : net->heap[0]->time_us;
}

/* --- faults --- */

void fake_net_block(struct fake_net *net, size_t from, size_t to, bool blocked, uint64_t now_us)
{
    advance(net, now_us);
    (void)side_of(net, from, to); /* checks the numbers */
    lane_of(net, from, to)->blocked = blocked;
    if (!blocked && !net->nodes[to].host_down) {
        release_held(net, from, to);
    }
}

void fake_net_partition(struct fake_net *net, const unsigned *group_of_node, uint64_t now_us)
{
    for (size_t from = 0; from < net->node_count; from++) {
        for (size_t to = 0; to < net->node_count; to++) {
            if (from != to) {
                bool apart = group_of_node[from] != group_of_node[to];
                fake_net_block(net, from, to, apart, now_us);
            }
        }
    }
}

void fake_net_heal(struct fake_net *net, uint64_t now_us)
{
    static const unsigned together[FAKE_NET_NODES_MAX];
    fake_net_partition(net, together, now_us);
}

/* Events of a process that is gone are told to nobody. */
static void forget_ready(struct fake_net *net, size_t node)
{
    size_t kept = net->ready_first;
    for (size_t i = net->ready_first; i < net->ready_count; i++) {
        if (net->ready[i].event.node == node) {
            mem_free(net->ready[i].data);
        } else {
            net->ready[kept++] = net->ready[i];
        }
    }
    net->ready_count = kept;
}

void fake_net_kill(struct fake_net *net, size_t node, bool host_too, uint64_t now_us)
{
    CHECK(node < net->node_count);
    advance(net, now_us);
    for (size_t peer = 0; peer < net->node_count; peer++) {
        if (peer == node) {
            continue;
        }
        if (!host_too) {
            end_side(net, node, peer);
        }
        *side_of(net, node, peer) = (struct side){0};
    }
    forget_ready(net, node);
    net->nodes[node] = (struct node){.host_down = host_too};
}

void fake_net_start(struct fake_net *net, size_t node, uint64_t now_us)
{
    CHECK(node < net->node_count);
    CHECK(!net->nodes[node].alive);
    advance(net, now_us);
    net->nodes[node] = (struct node){.alive = true};
    for (size_t peer = 0; peer < net->node_count; peer++) {
        /* What the peers' hosts still try to send meets no link of theirs. */
        if (peer != node && !lane_of(net, peer, node)->blocked) {
            release_held(net, peer, node);
        }
    }
}

void fake_net_pause(struct fake_net *net, size_t node, bool paused)
{
    CHECK(node < net->node_count);
    CHECK(net->nodes[node].alive);
    net->nodes[node].paused = paused;
}

void fake_net_reset(struct fake_net *net, size_t a, size_t b, uint64_t now_us)
{
    advance(net, now_us);
    drop_held(net, a, b);
    drop_held(net, b, a);
    side_down(net, a, b);
    side_down(net, b, a);
}

struct fake_net_counts fake_net_counts(const struct fake_net *net)
{
    return net->counts;
}

size_t fake_net_in_flight(const struct fake_net *net)
{
    return net->in_flight;
}
