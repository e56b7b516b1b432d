/* SPDX-License-Identifier: Apache-2.0 */
#include "node/host.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/version.h"
#include "node/host_lanes.h"
#include "node/member.h"
#include "node/service.h"
#include "node/storage.h"
#include "rpc/grpc_server.h"
#include "rpc/peer_net.h"

enum { HUNG_DISK_GRACE_MS = 3000 };

struct host {
    const struct host_options *options;
    uv_loop_t loop;
    uv_prepare_t prepare;
    uv_timer_t timer;
    uv_signal_t term, interrupt;
    bool asked_to_stop; /* by a signal */
    struct storage *storage;
    struct host_lanes *lanes;
    struct member *member;
    struct peer_net *net;
    struct service *service;
    size_t jobs_out;      /* of the member and of the services */
    bool stopped;         /* the member has said so */
    bool drained;         /* the gRPC server has ended its calls */
    uint64_t stopping_ms; /* since when the member only waits for its jobs; 0: it doesn't */
    int exit_code;
    char dialed[2 * LIMIT_NODES_MAX][LIMIT_ADDRESS_SIZE_MAX + 1];
    size_t dialed_count;
};

static uint64_t now_ms(const struct host *h)
{
    return uv_now(&h->loop);
}

/* --- what the member asks of the world --- */

static void host_submit(void *context, struct job *job)
{
    struct host *h = context;
    h->jobs_out++;
    host_lanes_submit(h->lanes, job);
}

static void host_send(void *context, uint64_t peer_id, struct bytes message)
{
    struct host *h = context;
    if (h->net != NULL) {
        (void)peer_net_send(h->net, peer_id, &message, 1);
    }
}

static bool is_in(const char *const *addresses, size_t count, const char *address)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(addresses[i], address) == 0) {
            return true;
        }
    }
    return false;
}

static void host_dial(void *context, const char *const *addresses, size_t count)
{
    struct host *h = context;
    for (size_t i = 0; i < h->dialed_count; i++) {
        if (!is_in(addresses, count, h->dialed[i])) {
            peer_net_forget(h->net, h->dialed[i]);
        }
    }
    h->dialed_count = 0;
    for (size_t i = 0; i < count; i++) {
        struct err e;
        if (peer_net_dial(h->net, addresses[i], &e) != ERR_OK) {
            log_warn(h->options->log, "node", "dial", "address=%s reason=\"%s\"", addresses[i],
                     e.text);
            continue;
        }
        (void)snprintf(h->dialed[h->dialed_count++], sizeof h->dialed[0], "%s", addresses[i]);
    }
}

static void host_accept(void *context, uint64_t offer)
{
    peer_net_accept(((struct host *)context)->net, offer);
}

static void host_refuse(void *context, uint64_t offer, const struct peer_refusal *refusal)
{
    peer_net_refuse(((struct host *)context)->net, offer, refusal);
}

static void host_ask(void *context, uint64_t offer, uint64_t start_counter)
{
    peer_net_ask(((struct host *)context)->net, offer, start_counter);
}

static void host_hello_changed(void *context)
{
    struct host *h = context;
    struct peer_hello hello;
    member_make_hello(h->member, 0, &hello);
    peer_net_set_hello(h->net, &hello);
}

static void host_disconnect(void *context, uint64_t peer_id, const char *reason)
{
    peer_net_disconnect(((struct host *)context)->net, peer_id, reason);
}

static void host_status(void *context, uint64_t peer_id, uint64_t token)
{
    service_status_asked(((struct host *)context)->service, peer_id, token);
}

static void host_settings_changed(void *context)
{
    service_settings_changed(((struct host *)context)->service);
}

static void end_if_done(struct host *h);

static void host_stopped(void *context, int exit_code, const char *reason)
{
    struct host *h = context;
    log_info(h->options->log, "node", "stopped", "code=%d reason=\"%s\"", exit_code, reason);
    h->stopped = true;
    h->exit_code = exit_code;
}

/* --- what the network tells the member --- */

static void net_hello(void *context, uint64_t offer, const struct peer_hello *hello)
{
    member_hello(((struct host *)context)->member, offer, hello);
}

static void net_up(void *context, uint64_t id, const struct peer_hello *hello)
{
    (void)id;
    member_peer_up(((struct host *)context)->member, hello);
}

static void net_down(void *context, uint64_t id, const char *reason)
{
    (void)reason;
    member_peer_down(((struct host *)context)->member, id);
}

static void net_dead(void *context, uint64_t id)
{
    member_peer_dead(((struct host *)context)->member, id);
}

static void net_message(void *context, uint64_t id, struct bytes message)
{
    struct host *h = context;
    member_time(h->member, now_ms(h));
    member_peer_message(h->member, id, message);
}

static void net_refused(void *context, uint64_t id, const struct peer_refusal *refusal)
{
    member_refused(((struct host *)context)->member, id, refusal);
}

static uint64_t net_nonce_of(void *context, uint64_t start_counter)
{
    return member_nonce_of(((struct host *)context)->member, start_counter);
}

static const struct peer_events net_events = {
    .hello = net_hello,
    .up = net_up,
    .down = net_down,
    .dead = net_dead,
    .message = net_message,
    .refused = net_refused,
    .nonce_of = net_nonce_of,
};

/* --- turns of the loop --- */

static void on_finished(void *context)
{
    struct host *h = context;
    member_time(h->member, now_ms(h));
    for (struct job *job = host_lanes_take(h->lanes), *next; job != NULL; job = next) {
        next = job->next;
        h->jobs_out--;
        job->done(job);
    }
}

/* A disk that hangs holds a lane's thread for ever: nothing can be joined or
 * closed (safety.md H2). What is durable is decided at the next start. */
static void end_if_hung(struct host *h)
{
    if (member_state(h->member) != MEMBER_STOPPING || h->jobs_out == 0) {
        h->stopping_ms = 0;
        return;
    }
    if (h->stopping_ms == 0) {
        h->stopping_ms = now_ms(h);
    } else if (now_ms(h) > h->stopping_ms + HUNG_DISK_GRACE_MS) {
        log_error(h->options->log, "node", "killed", "reason=\"a disk operation does not end\"");
        _exit(1);
    }
}

static void on_timer(uv_timer_t *timer)
{
    struct host *h = timer->data;
    member_tick(h->member, now_ms(h));
    service_tick(h->service);
    end_if_hung(h);
}

static void on_prepare(uv_prepare_t *prepare)
{
    struct host *h = prepare->data;
    if (h->stopped) {
        end_if_done(h);
        return;
    }
    if (h->jobs_out == 0 && member_state(h->member) == MEMBER_STOPPING) {
        member_tick(h->member, now_ms(h));
    }
    member_flush(h->member, now_ms(h));
    uint64_t at = member_deadline_ms(h->member);
    uint64_t now = now_ms(h);
    uint64_t wait = at > now ? at - now : 0;
    /* Never later than before: a deadline counted from now would move on with
     * every turn, and never be reached while there is traffic. */
    if (!uv_is_active((const uv_handle_t *)&h->timer) || wait < uv_timer_get_due_in(&h->timer)) {
        (void)uv_timer_start(&h->timer, on_timer, wait, 0);
    }
}

static void on_drained(void *context)
{
    ((struct host *)context)->drained = true;
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct host *h = handle->data;
    const struct config *c = h->options->config;
    log_info(h->options->log, "node", "signal", "number=%d", number);
    h->asked_to_stop = true;
    service_drain(h->service, (unsigned)c->drain_limit_ms, on_drained, h);
    member_stop(h->member, now_ms(h) + c->drain_limit_ms);
}

/* --- the end --- */

static void close_handles(struct host *h)
{
    uv_close((uv_handle_t *)&h->prepare, NULL);
    uv_close((uv_handle_t *)&h->timer, NULL);
    uv_close((uv_handle_t *)&h->term, NULL);
    uv_close((uv_handle_t *)&h->interrupt, NULL);
}

static void end_if_done(struct host *h)
{
    if (h->jobs_out > 0) {
        return;
    }
    service_close_server(h->service); /* ends every call */
    peer_net_close(h->net);
    h->net = NULL;
    close_handles(h);
    host_lanes_close(h->lanes);
    h->lanes = NULL;
    service_close(h->service);
    h->service = NULL;
}

/* --- the beginning --- */

static enum err_code open_storage(struct host *h, struct err *e)
{
    const struct config *c = h->options->config;
    struct storage_options options = {
        .io = h->options->io,
        .log = h->options->log,
        .dir = c->data_dir,
        .name = c->name,
        .segment_size = c->wal_segment_size,
        .segment_size_given = c->wal_segment_size_given,
        .recovery_mode = c->recovery_mode_given ? (int)c->recovery_mode : -1,
    };
    return storage_open(&options, &h->storage, e);
}

static void open_member(struct host *h, const struct member_host *ops)
{
    const struct config *c = h->options->config;
    const char *peers[LIMIT_VOTERS_MAX];
    for (size_t i = 0; i < c->peers.count; i++) {
        peers[i] = c->peers.items[i];
    }
    struct member_options options = {
        .host = ops,
        .log = h->options->log,
        .storage = h->storage,
        .name = c->name,
        .peer_address = c->advertise_peer,
        .client_address = c->advertise_client,
        .peers = peers,
        .peer_count = c->peers.count,
        .wal_level = c->wal_level,
        .seed = io_entropy_u64(h->options->io),
    };
    h->member = member_open(&options, now_ms(h));
}

static enum err_code open_net(struct host *h, struct err *e)
{
    const struct config *c = h->options->config;
    struct peer_net_options options = {
        .loop = &h->loop,
        .log = h->options->log,
        .listen = c->listen_peer,
        .seed = io_entropy_u64(h->options->io),
        .events = &net_events,
        .context = h,
    };
    struct identity_self self = {
        .state = storage_hard(h->storage),
        .peer_address = c->advertise_peer,
        .client_address = c->advertise_client,
        .version = TIDEMARK_VERSION,
    };
    identity_hello_make(&self, 0, &options.hello);
    return peer_net_open(&options, &h->net, e);
}

static void open_handles(struct host *h)
{
    h->prepare.data = h;
    h->timer.data = h;
    h->term.data = h;
    h->interrupt.data = h;
    int rv = uv_prepare_init(&h->loop, &h->prepare);
    rv |= uv_timer_init(&h->loop, &h->timer);
    rv |= uv_signal_init(&h->loop, &h->term);
    rv |= uv_signal_init(&h->loop, &h->interrupt);
    rv |= uv_prepare_start(&h->prepare, on_prepare);
    rv |= uv_signal_start(&h->term, on_signal, SIGTERM);
    rv |= uv_signal_start(&h->interrupt, on_signal, SIGINT);
    CHECK(rv == 0);
}

static const struct member_host member_ops = {
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

static enum err_code open_sockets(struct host *h, struct err *e)
{
    enum err_code code = open_net(h, e);
    if (code != ERR_OK) {
        return err_wrap(e, "peers");
    }
    struct service_options options = {
        .loop = &h->loop,
        .log = h->options->log,
        .io = h->options->io,
        .address = h->options->config->listen_client,
        .message_size_max = h->options->config->message_size_max,
    };
    code = service_open(&options, &h->service, e);
    return code == ERR_OK ? ERR_OK : err_wrap(e, "clients");
}

static enum err_code open_all(struct host *h, struct err *e)
{
    enum err_code code = open_storage(h, e);
    if (code != ERR_OK) {
        return code;
    }
    code = open_sockets(h, e);
    if (code == ERR_OK) {
        code = host_lanes_open(&h->loop, h->storage, on_finished, h, &h->lanes, e);
    }
    if (code != ERR_OK) {
        service_close_server(h->service);
        service_close(h->service);
        peer_net_close(h->net);
        (void)uv_run(&h->loop, UV_RUN_DEFAULT);
        enum err_code closed = storage_close(h->storage, false, NULL);
        CHECK(closed == ERR_OK); /* nothing is written */
    }
    return code;
}

enum err_code host_run(const struct host_options *options, int *exit_code, struct err *e)
{
    struct host *h = mem_zalloc(sizeof *h);
    h->options = options;
    int rv = uv_loop_init(&h->loop);
    CHECK(rv == 0);
    enum err_code code = open_all(h, e);
    if (code == ERR_OK) {
        struct member_host ops = member_ops;
        ops.context = h;
        open_handles(h);
        open_member(h, &ops);
        service_start(h->service, h->member);
        if (options->listening != NULL) {
            options->listening(options->context, service_port(h->service), peer_net_port(h->net));
        }
        rv = uv_run(&h->loop, UV_RUN_DEFAULT);
        CHECK(rv == 0);
        member_close(h->member);
        code = storage_close(h->storage, h->exit_code == 0, e);
        /* Told to stop while it was ending to start again as a newcomer: it stops. */
        bool again = h->exit_code == MEMBER_EXIT_AGAIN && h->asked_to_stop;
        *exit_code = again ? 0 : h->exit_code;
    }
    rv = uv_loop_close(&h->loop);
    CHECK(rv == 0);
    mem_free(h);
    return code;
}
