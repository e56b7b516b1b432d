/* SPDX-License-Identifier: Apache-2.0 */
/* A simulated machine: a disk, and a member that runs on it. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "io/io_twin.h"
#include "node/member_weaken.h"
#include "sim/world.h"

#define HELLO_US (2 * WORLD_SECOND)

enum link_message { LINK_HELLO = 1, LINK_ACCEPT, LINK_ASK, LINK_REFUSE, LINK_MESSAGE };

static uint64_t now_ms(const struct node *n)
{
    return n->world->now_us / WORLD_MS;
}

static int64_t log_time(void *context)
{
    return (int64_t)((const struct node *)context)->world->now_us;
}

static void log_write(void *context, const char *line)
{
    const struct node *n = context;
    (void)fprintf(stderr, "%9.6f %s", (double)n->world->now_us / (double)WORLD_SECOND,
                  strchr(line, ' ') + 1);
}

/* --- links --- */

static void send_frame(struct node *n, size_t to, enum link_message kind, struct bytes body)
{
    struct buf frame = {0};
    buf_put_u8(&frame, (uint8_t)kind);
    buf_put_bytes(&frame, body);
    (void)fake_net_send(n->world->net, n->number, to, buf_bytes(&frame), n->world->now_us);
    buf_deinit(&frame);
}

static void send_hello(struct node *n, size_t to, uint64_t ask_nonce_of)
{
    struct peer_hello hello;
    member_make_hello(n->member, ask_nonce_of, &hello);
    hello.protocol = PEER_PROTOCOL;
    struct buf body = {0};
    peer_hello_encode(&hello, &body);
    send_frame(n, to, LINK_HELLO, buf_bytes(&body));
    buf_deinit(&body);
}

static void announce(struct node *n, struct link *l)
{
    if (l->up && l->accepted && l->accepted_by && !l->announced) {
        l->announced = true;
        member_peer_up(n->member, &l->hello);
    }
}

static void lose_link(struct node *n, size_t peer, bool dead)
{
    struct link *l = &n->links[peer];
    bool announced = l->announced;
    uint64_t id = l->hello.directory_id;
    *l = (struct link){.retry_us = n->world->now_us +
                                   random_between(&n->world->random, 20, 500) * WORLD_MS};
    if (announced) {
        member_peer_down(n->member, id);
        if (dead) {
            member_peer_dead(n->member, id);
        }
    }
}

static void close_link(struct node *n, size_t peer)
{
    fake_net_close(n->world->net, n->number, peer, n->world->now_us);
    lose_link(n, peer, false);
}

static void take_refusal(struct node *n, size_t peer, struct bytes body)
{
    struct peer_welcome welcome;
    struct err e;
    struct link *l = &n->links[peer];
    if (peer_welcome_decode(body, &welcome, &e) != ERR_OK) {
        world_fail(n->world, "%s: a refusal can't be decoded: %s", n->name, e.text);
    }
    member_refused(n->member, l->hello.directory_id, &welcome.refusal);
    close_link(n, peer);
    n->links[peer].retry_us = n->world->now_us + 2 * WORLD_SECOND;
}

static void take_frame(struct node *n, size_t peer, struct bytes frame)
{
    struct link *l = &n->links[peer];
    CHECK(frame.size > 0);
    struct bytes body = bytes_of(frame.data + 1, frame.size - 1);
    struct err e;
    if (!l->up) {
        return;
    }
    switch ((enum link_message)frame.data[0]) {
    case LINK_HELLO:
        if (peer_hello_decode(body, &l->hello, &e) != ERR_OK) {
            world_fail(n->world, "%s: a hello can't be decoded: %s", n->name, e.text);
        }
        l->offer = n->incarnation * WORLD_OFFERS_MAX + peer + 1;
        member_hello(n->member, l->offer, &l->hello);
        break;
    case LINK_ACCEPT:
        l->accepted_by = true;
        announce(n, l);
        break;
    case LINK_ASK:
        send_hello(n, peer, bytes_get_u64(body.data));
        break;
    case LINK_REFUSE:
        take_refusal(n, peer, body);
        break;
    case LINK_MESSAGE:
        if (l->announced) {
            member_peer_message(n->member, l->hello.directory_id, body);
        }
        break;
    }
}

/* --- what the member asks of the world --- */

static size_t peer_of_id(const struct node *n, uint64_t id)
{
    for (size_t i = 0; i < n->world->node_count; i++) {
        if (n->links[i].announced && n->links[i].hello.directory_id == id) {
            return i;
        }
    }
    return SIZE_MAX;
}

static struct link *link_of_offer(struct node *n, uint64_t offer, size_t *peer)
{
    *peer = (size_t)((offer - 1) % WORLD_OFFERS_MAX);
    struct link *l = &n->links[*peer];
    return l->up && l->offer == offer ? l : NULL;
}

static void host_submit(void *context, struct job *job)
{
    struct node *n = context;
    job_queue_push(&n->lanes[job->lane], job);
}

static void host_send(void *context, uint64_t peer_id, struct bytes message)
{
    struct node *n = context;
    size_t peer = peer_of_id(n, peer_id);
    if (peer != SIZE_MAX) {
        send_frame(n, peer, LINK_MESSAGE, message);
    }
}

static void host_dial(void *context, const char *const *addresses, size_t count)
{
    struct node *n = context;
    memset(n->dial, 0, sizeof n->dial);
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < n->world->node_count; k++) {
            n->dial[k] |= strcmp(addresses[i], n->world->nodes[k].address) == 0;
        }
    }
}

static void host_accept(void *context, uint64_t offer)
{
    struct node *n = context;
    size_t peer = 0;
    struct link *l = link_of_offer(n, offer, &peer);
    if (l != NULL) {
        l->accepted = true;
        send_frame(n, peer, LINK_ACCEPT, (struct bytes){0});
        announce(n, l);
    }
}

static void host_refuse(void *context, uint64_t offer, const struct peer_refusal *refusal)
{
    struct node *n = context;
    size_t peer = 0;
    if (link_of_offer(n, offer, &peer) != NULL) {
        struct peer_welcome welcome = {.refusal = *refusal};
        struct buf body = {0};
        peer_welcome_encode(&welcome, &body);
        send_frame(n, peer, LINK_REFUSE, buf_bytes(&body));
        buf_deinit(&body);
    }
}

static void host_ask(void *context, uint64_t offer, uint64_t start_counter)
{
    struct node *n = context;
    size_t peer = 0;
    if (link_of_offer(n, offer, &peer) != NULL) {
        uint8_t body[8];
        bytes_put_u64(body, start_counter);
        send_frame(n, peer, LINK_ASK, bytes_of(body, sizeof body));
    }
}

static void host_hello_changed(void *context)
{
    (void)context; /* a hello is made anew for each link */
}

static void host_disconnect(void *context, uint64_t peer_id, const char *reason)
{
    struct node *n = context;
    size_t peer = peer_of_id(n, peer_id);
    if (peer != SIZE_MAX) {
        world_say(n->world, "%s closes its link to %s: %s", n->name, n->world->nodes[peer].name,
                  reason);
        fake_net_close(n->world->net, n->number, peer, n->world->now_us);
        n->links[peer].up = false; /* the member is told at the next turn */
    }
}

static void host_status(void *context, uint64_t peer_id, uint64_t token)
{
    (void)context;
    (void)peer_id;
    (void)token; /* nobody asks for a status here */
}

static void host_settings_changed(void *context)
{
    (void)context;
}

static void host_stopped(void *context, int exit_code, const char *reason)
{
    struct node *n = context;
    world_say(n->world, "%s stopped with %d: %s", n->name, exit_code, reason);
    n->stopped = true;
    n->exit_code = exit_code;
    if (strstr(reason, "No space left") != NULL && !is_weakened(n->world->weaken, WEAKEN_ROOM)) {
        world_fail(n->world, "%s stopped because its disk is full: %s", n->name, reason);
    }
}

static const struct member_host host_ops = {
    .submit = host_submit,
    .send = host_send,
    .dial = host_dial,
    .accept = host_accept,
    .refuse = host_refuse,
    .ask = host_ask,
    .hello_changed = host_hello_changed,
    .disconnect = host_disconnect,
    .status = host_status,
    .settings_changed = host_settings_changed,
    .stopped = host_stopped,
};

/* --- the process --- */

void node_open(struct world *w, size_t number)
{
    struct node *n = &w->nodes[number];
    n->world = w;
    n->number = number;
    unsigned label = (unsigned)number + 1;
    (void)snprintf(n->name, sizeof n->name, "n%u", label);
    (void)snprintf(n->address, sizeof n->address, "node-%u:7071", label);
    n->disk = fake_disk_create(random_u64(&w->random));
    n->log = (struct log){.level = LOG_INFO, .wall_us = log_time, .write = log_write, .context = n};
    (void)snprintf(n->log.node, sizeof n->log.node, "n%u", label);
}

static void set_clocks(struct node *n)
{
    fake_disk_set_monotonic(n->disk, n->world->now_us);
    fake_disk_set_wall(n->disk, (int64_t)n->world->now_us + n->world->wall_offset_us[n->number]);
}

static void open_member(struct node *n)
{
    struct world *w = n->world;
    const char *peers[WORLD_NODES_MAX];
    for (size_t i = 0; i < w->node_count; i++) {
        peers[i] = w->nodes[i].address;
    }
    struct member_host host = host_ops;
    host.context = n;
    struct member_options options = {
        .host = &host,
        .log = w->verbose ? &n->log : NULL,
        .storage = n->storage,
        .name = n->name,
        .peer_address = n->address,
        .client_address = n->address,
        .peers = peers,
        .peer_count = w->node_count,
        .wal_level = w->node_count == 1 && w->seed % 4 < 2 ? WAL_LEVEL_SYNC : WAL_LEVEL_BYRL,
        .log_keep = w->log_keep,
        .part_size = w->part_size,
        .scrub_pause_ms = 1000,
        .cache_size_max = w->cache_size,
        .checkpoint_step = w->checkpoint_step,
        .seed = random_u64(&w->random),
        .weaken = w->weaken,
    };
    n->member = member_open(&options, now_ms(n));
}

/* What a node without repair does (safety.md C): everything after the damage is lost. */
static void cut_at_hole(struct node *n)
{
    struct wal *w = storage_wal(n->storage, STORAGE_RAFT);
    uint64_t checkpoint = storage_control(n->storage)->checkpoint_index;
    size_t count = 0;
    const struct wal_hole *holes = w != NULL ? wal_holes(w, &count) : NULL;
    size_t i = 0;
    while (i < count && holes[i].index <= checkpoint) {
        i++;
    }
    struct err e;
    if (i < count && wal_drop(w, holes[i].index, checkpoint, &e) != ERR_OK) {
        world_fail(n->world, "%s: the log can't be cut: %s", n->name, e.text);
    }
}

static bool open_directory(struct node *n)
{
    struct storage_options options = {
        .io = fake_disk_io(n->disk),
        .log = n->world->verbose ? &n->log : NULL,
        .dir = "/data",
        .name = n->name,
        .segment_size = WORLD_SEGMENT_SIZE,
        .recovery_mode = -1,
    };
    struct err e;
    if (storage_open(&options, &n->storage, &e) == ERR_OK) {
        return true;
    }
    bool full = e.code == ERR_NO_SPACE && n->full_until_us != 0;
    if (!n->world->may_refuse && !full) {
        world_fail(n->world, "%s does not start: %s", n->name, e.text);
    }
    world_say(n->world, "%s does not start: %s", n->name, e.text);
    n->storage = NULL;
    return false;
}

static void close_directory(struct node *n)
{
    struct err e;
    if (storage_close(n->storage, false, &e) != ERR_OK) {
        world_fail(n->world, "%s: a crash wrote something: %s", n->name, e.text);
    }
    n->storage = NULL;
}

void node_start(struct node *n)
{
    struct world *w = n->world;
    CHECK(!n->up);
    set_clocks(n);
    world_say(w, "%s starts", n->name);
    n->restart_us = 0;
    bool opened = open_directory(n);
    n->refused = !opened && n->full_until_us == 0;
    if (!opened) {
        n->restart_us = n->refused ? 0 : w->now_us + WORLD_SECOND;
        return;
    }
    if ((w->weaken & WORLD_WEAKEN_REPAIR) != 0) {
        cut_at_hole(n);
    }
    n->up = true;
    n->diverted = false;
    n->stopped = false;
    n->incarnation++;
    n->applied_index = 0;
    world_trace(w, n->number, n->incarnation, storage_hard(n->storage)->directory_id);
    for (size_t i = 0; i < LANE_COUNT; i++) {
        n->lane_free_us[i] = w->now_us;
    }
    if (n->incarnation > 1) {
        fake_net_start(w->net, n->number, w->now_us);
    }
    open_member(n);
}

static void give_back(struct job_queue *jobs)
{
    struct job *job;
    while ((job = job_queue_pop(jobs)) != NULL) {
        job->done(job);
    }
}

/* The disk is dead: work fails at once, done() only frees. */
static void drop_jobs(struct node *n)
{
    bool any = true;
    while (any) {
        any = false;
        for (size_t i = 0; i < LANE_COUNT; i++) {
            give_back(&n->working[i]);
            struct job *job;
            while ((job = job_queue_pop(&n->lanes[i])) != NULL) {
                any = true;
                job->work(job);
                job->done(job);
            }
        }
    }
}

static void end_process(struct node *n)
{
    struct world *w = n->world;
    if (n->member != NULL) {
        member_abort(n->member);
        drop_jobs(n);
        clients_node_lost(w, n);
        member_close(n->member);
        n->member = NULL;
    }
    n->hard = *storage_hard(n->storage);
    n->hurt_rounds_logs = 0; /* the next process counts anew */
    n->hurt_rounds_parts = 0;
    close_directory(n);
    memset(n->links, 0, sizeof n->links);
    memset(n->dial, 0, sizeof n->dial);
    n->up = false;
    n->paused = false;
    fake_net_pause(w->net, n->number, false);
    fake_net_kill(w->net, n->number, false, w->now_us);
}

void node_crash(struct node *n, bool power)
{
    CHECK(n->up);
    world_say(n->world, "%s crashes%s", n->name, power ? " (power)" : "");
    fake_disk_kill(n->disk);
    end_process(n);
    fake_disk_clear_faults(n->disk);
    if (power) {
        fake_disk_power_fail(n->disk, &n->world->random);
    }
}

/* Makes the directory on the disk look like the one that was there before: its id,
 * and its starts. Nothing tells then that the rest is missing or old. */
static void forge_identity(struct node *n)
{
    struct io *io = fake_disk_io(n->disk);
    struct hard_state hard;
    struct io_twin *twin = NULL;
    struct buf bytes = {0};
    struct err e;
    if (io_twin_open(io, "/data", "hard-state", HARD_STATE_MAGIC, &twin, &e) != ERR_OK ||
        hard_state_decode(io_twin_payload(twin), &hard, &e) != ERR_OK) {
        world_fail(n->world, "%s: %s", n->name, e.text);
    }
    hard.directory_id = n->hard.directory_id;
    if (hard.start_counter > 0) { /* it is complete: not in the middle of being made */
        hard.start_counter = n->hard.start_counter;
        hard.start_count = n->hard.start_count;
        memcpy(hard.starts, n->hard.starts, sizeof hard.starts);
    }
    hard_state_encode(&hard, &bytes);
    if (io_twin_write(twin, buf_bytes(&bytes), &e) != ERR_OK) {
        world_fail(n->world, "%s: %s", n->name, e.text);
    }
    io_twin_close(twin);
    buf_deinit(&bytes);
}

static void make_hard_state(struct node *n)
{
    struct io *io = fake_disk_io(n->disk);
    struct hard_state_fresh fresh = {.name = n->name};
    struct hard_state_file *file = NULL;
    struct err e;
    if (io_mkdir(io, "/data", &e) != ERR_OK ||
        hard_state_create(io, "/data", &fresh, &file, &e) != ERR_OK) {
        world_fail(n->world, "%s: %s", n->name, e.text);
    }
    hard_state_close(file);
}

void node_wipe(struct node *n)
{
    CHECK(!n->up);
    n->hurt = false;
    fake_disk_destroy(n->disk);
    n->disk = fake_disk_create(random_u64(&n->world->random));
    if ((n->world->weaken & WORLD_WEAKEN_WIPES) != 0) {
        make_hard_state(n);
        forge_identity(n);
        (void)open_directory(n); /* makes the rest, under that id */
        close_directory(n);
        forge_identity(n);
    }
}

void node_restore(struct node *n, const struct fake_disk_image *image)
{
    CHECK(!n->up);
    n->hurt = false;
    fake_disk_restore(n->disk, image);
    if ((n->world->weaken & WORLD_WEAKEN_ROLLBACKS) != 0) {
        forge_identity(n);
    }
}

void node_close(struct node *n)
{
    if (n->up) {
        node_crash(n, false);
    }
    fake_disk_image_free(n->image);
    fake_disk_destroy(n->disk);
}

bool node_is_serving(const struct node *n)
{
    return n->up && !n->stopped && !n->paused && n->member != NULL &&
           (member_state(n->member) == MEMBER_RUNNING ||
            (member_state(n->member) == MEMBER_LOCAL && member_status(n->member).healthy));
}

/* --- turns --- */

static uint64_t job_time_us(struct node *n, enum lane lane)
{
    struct random *r = &n->world->random;
    uint64_t us = random_between(r, 50, lane == LANE_APPLY ? 200 : 4000);
    if (lane == LANE_LOG && n->world->now_us < n->slow_until_us) {
        us += random_between(r, 0, 300 * WORLD_MS);
    }
    return us;
}

/* A free lane works on all that waits; the outcome is known to the loop later. */
static bool run_lane(struct node *n, enum lane lane)
{
    uint64_t now = n->world->now_us;
    if (n->lane_free_us[lane] > now) {
        return false;
    }
    bool any = n->working[lane].first != NULL;
    if (any) {
        struct job_queue finished = n->working[lane];
        n->working[lane] = (struct job_queue){0};
        member_time(n->member, now_ms(n));
        give_back(&finished);
    }
    if (n->lanes[lane].first == NULL) {
        return any;
    }
    n->working[lane] = n->lanes[lane];
    n->lanes[lane] = (struct job_queue){0};
    for (struct job *job = n->working[lane].first; job != NULL; job = job->next) {
        job->work(job);
    }
    if (lane == LANE_LOG) {
        storage_sync(n->storage);
    }
    n->lane_free_us[lane] = now + job_time_us(n, lane);
    return true;
}

static bool run_links(struct node *n)
{
    bool any = false;
    struct world *w = n->world;
    for (size_t i = 0; i < w->node_count; i++) {
        struct link *l = &n->links[i];
        if (l->announced && !l->up) { /* closed by our own member */
            lose_link(n, i, false);
            any = true;
        } else if (l->up && !l->announced && l->retry_us <= w->now_us) {
            close_link(n, i); /* the hand-shake takes too long */
            any = true;
        } else if (!l->up && n->dial[i] && i > n->number && l->retry_us <= w->now_us) {
            l->retry_us = w->now_us + random_between(&w->random, 20, 500) * WORLD_MS;
            fake_net_connect(w->net, n->number, i, w->now_us);
            any = true;
        }
    }
    return any;
}

/* The process has ended by itself. */
static void after_stop(struct node *n)
{
    struct world *w = n->world;
    bool again = n->exit_code == MEMBER_EXIT_AGAIN;
    fake_disk_kill(n->disk);
    end_process(n);
    fake_disk_clear_faults(n->disk);
    if (!again) {
        w->counts.fail_stops++;
        n->restart_us = w->now_us + random_between(&w->random, 100, 2000) * WORLD_MS;
    } else {
        n->restart_us = w->now_us + WORLD_MS;
    }
}

bool node_run(struct node *n)
{
    struct world *w = n->world;
    if (!n->up) {
        if (n->restart_us == 0 || n->restart_us > w->now_us) {
            return false;
        }
        node_start(n);
        return true;
    }
    if (n->paused) {
        return false;
    }
    set_clocks(n);
    bool any = run_links(n);
    for (size_t i = 0; i < LANE_COUNT; i++) {
        any |= run_lane(n, (enum lane)i);
    }
    if (member_deadline_ms(n->member) <= now_ms(n)) {
        member_tick(n->member, now_ms(n));
        any = true;
    }
    member_flush(n->member, now_ms(n));
    check_step(n);
    if (n->stopped) {
        after_stop(n);
        return true;
    }
    return any;
}

uint64_t node_next_us(struct node *n)
{
    if (!n->up) {
        return n->restart_us == 0 ? UINT64_MAX : n->restart_us;
    }
    if (n->paused) {
        return n->resume_us;
    }
    uint64_t at = member_deadline_ms(n->member) * WORLD_MS;
    for (size_t i = 0; i < LANE_COUNT; i++) {
        bool busy = n->working[i].first != NULL || n->lanes[i].first != NULL;
        if (busy && n->lane_free_us[i] < at) {
            at = n->lane_free_us[i];
        }
    }
    for (size_t i = 0; i < n->world->node_count; i++) {
        const struct link *l = &n->links[i];
        bool dials = !l->up && n->dial[i] && i > n->number;
        if ((dials || (l->up && !l->announced)) && l->retry_us < at) {
            at = l->retry_us;
        }
    }
    return at;
}

void node_event(struct node *n, const struct fake_net_event *event)
{
    if (!n->up || n->stopped) {
        return;
    }
    set_clocks(n);
    member_time(n->member, now_ms(n));
    struct link *l = &n->links[event->peer];
    switch (event->kind) {
    case FAKE_NET_UP:
        *l = (struct link){.up = true, .retry_us = n->world->now_us + HELLO_US};
        send_hello(n, event->peer, 0);
        break;
    case FAKE_NET_MESSAGE:
        take_frame(n, event->peer, event->data);
        break;
    case FAKE_NET_DOWN:
        lose_link(n, event->peer, !n->world->nodes[event->peer].up);
        break;
    case FAKE_NET_REFUSED:
    case FAKE_NET_UNREACHABLE:
        lose_link(n, event->peer, false);
        break;
    }
    check_step(n);
}
