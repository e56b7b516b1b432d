/* SPDX-License-Identifier: Apache-2.0 */
#include "node/test/live_node.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "base/mem.h"
#include "io/io_posix.h"
#include "node/host.h"
#include "proto/grpc/health/v1/health.pb-c.h"

enum { CALL_TIMEOUT_MS = 20000, PATH_SIZE = 128, ARGUMENTS = 7 };

/* --- the node --- */

static void set_config(struct live_node *n)
{
    char data[PATH_SIZE];
    (void)snprintf(data, sizeof data, "--data-dir=%s/data", n->dir);
    const char *argv[ARGUMENTS] = {"tidemarkd",
                                   data,
                                   "--name=n1",
                                   "--listen-client=127.0.0.1:0",
                                   "--listen-peer=127.0.0.1:0",
                                   "--test-small-segments",
                                   "--wal-segment-size=256KiB"};
    struct config_input input = {.argc = ARGUMENTS, .argv = argv, .io = io_posix()};
    struct err e;
    if (config_load(&input, &n->config, &e) != ERR_OK) {
        PANIC("config: %s", e.text);
    }
}

void live_node_open(struct live_node *n)
{
    *n = (struct live_node){.dir = "/tmp/tidemark-node-XXXXXX"};
    const char *made = mkdtemp(n->dir);
    CHECK(made != NULL);
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    int rv = sigaction(SIGPIPE, &ignore, NULL);
    rv |= pthread_mutex_init(&n->mutex, NULL);
    rv |= pthread_cond_init(&n->changed, NULL);
    CHECK(rv == 0);
    set_config(n);
}

static void on_listening(void *context, uint16_t client_port, uint16_t peer_port)
{
    struct live_node *n = context;
    pthread_mutex_lock(&n->mutex);
    n->listening = true;
    n->client_port = client_port;
    n->peer_port = peer_port;
    pthread_cond_signal(&n->changed);
    pthread_mutex_unlock(&n->mutex);
}

static void *run(void *arg)
{
    struct live_node *n = arg;
    struct host_options options = {
        .config = &n->config,
        .io = io_posix(),
        .listening = on_listening,
        .context = n,
    };
    int exit_code = -1;
    struct err e = {0};
    enum err_code code = host_run(&options, &exit_code, &e);
    pthread_mutex_lock(&n->mutex);
    n->ended = true;
    n->code = code;
    n->err = e;
    n->exit_code = exit_code;
    pthread_cond_signal(&n->changed);
    pthread_mutex_unlock(&n->mutex);
    return NULL;
}

static void join(struct live_node *n)
{
    int rv = pthread_join(n->thread, NULL);
    CHECK(rv == 0);
    n->running = false;
}

bool live_node_start(struct live_node *n)
{
    CHECK(!n->running);
    n->listening = false;
    n->ended = false;
    int rv = pthread_create(&n->thread, NULL, run, n);
    CHECK(rv == 0);
    n->running = true;
    pthread_mutex_lock(&n->mutex);
    while (!n->listening && !n->ended) {
        pthread_cond_wait(&n->changed, &n->mutex);
    }
    bool listening = n->listening;
    pthread_mutex_unlock(&n->mutex);
    if (!listening) {
        join(n);
    }
    return listening;
}

void live_node_stop(struct live_node *n)
{
    CHECK(n->running);
    int rv = kill(getpid(), SIGTERM);
    CHECK(rv == 0);
    join(n);
}

static void remove_tree(char *dir)
{
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        (void)execlp("rm", "rm", "-rf", dir, (char *)NULL);
        _exit(1);
    }
    int status = 1;
    pid_t ended = waitpid(pid, &status, 0);
    CHECK(ended == pid);
    CHECK(status == 0);
}

void live_node_close(struct live_node *n)
{
    if (n->running) {
        live_node_stop(n);
    }
    pthread_cond_destroy(&n->changed);
    pthread_mutex_destroy(&n->mutex);
    remove_tree(n->dir);
}

/* --- a client --- */

void live_client_open(struct live_client *c, uint16_t port)
{
    char address[32];
    (void)snprintf(address, sizeof address, "127.0.0.1:%u", port);
    *c = (struct live_client){.timeout_ms = CALL_TIMEOUT_MS};
    struct err e;
    if (grpc_blocking_open(&c->blocking, &e) != ERR_OK) {
        PANIC("client: %s", e.text);
    }
    struct grpc_channel_options options = {
        .loop = grpc_blocking_loop(c->blocking),
        .address = address,
    };
    if (grpc_channel_open(&options, &c->channel, &e) != ERR_OK) {
        PANIC("client: %s", e.text);
    }
}

void live_client_close(struct live_client *c)
{
    grpc_channel_close(c->channel);
    grpc_blocking_close(c->blocking);
    buf_deinit(&c->reply);
}

static struct grpc_call_request request_of(struct live_client *c, const char *path,
                                           struct bytes message)
{
    return (struct grpc_call_request){
        .path = path,
        .message = message,
        .deadline_ms = grpc_blocking_now_ms(c->blocking) + c->timeout_ms,
    };
}

static const char *path_of(const char *method, char dst[PATH_SIZE])
{
    (void)snprintf(dst, PATH_SIZE, "%s%s", method[0] == '/' ? "" : "/tidemark.v1.", method);
    return dst;
}

static struct buf pack(const ProtobufCMessage *message)
{
    struct buf b = {0};
    size_t size = protobuf_c_message_get_packed_size(message);
    buf_reserve(&b, size);
    b.size = protobuf_c_message_pack(message, b.data);
    CHECK(b.size == size);
    return b;
}

enum grpc_status live_call_bytes(struct live_client *c, const char *method, struct bytes request)
{
    char path[PATH_SIZE];
    struct grpc_call_request call = request_of(c, path_of(method, path), request);
    struct err e;
    buf_reset(&c->reply);
    enum err_code code =
        grpc_client_call_sync(c->blocking, c->channel, &call, &c->reply, &c->outcome, &e);
    CHECK((code == ERR_OK) == (c->outcome.status == GRPC_OK));
    return c->outcome.status;
}

enum grpc_status live_call(struct live_client *c, const char *method,
                           const ProtobufCMessage *request)
{
    struct buf message = pack(request);
    enum grpc_status status = live_call_bytes(c, method, buf_bytes(&message));
    buf_deinit(&message);
    return status;
}

void *live_reply(struct live_client *c, const ProtobufCMessageDescriptor *type)
{
    return protobuf_c_message_unpack(type, NULL, c->reply.size, c->reply.data);
}

enum grpc_status live_stream(struct live_client *c, const char *method,
                             const ProtobufCMessage *request, const struct grpc_reader *reader)
{
    char path[PATH_SIZE];
    struct buf message = pack(request);
    struct grpc_call_request call = request_of(c, path_of(method, path), buf_bytes(&message));
    call.streams = true;
    struct err e;
    c->outcome = (struct grpc_outcome){.status = GRPC_CANCELLED}; /* when the reader ends it */
    enum err_code code =
        grpc_client_stream_sync(c->blocking, c->channel, &call, reader, &c->outcome, &e);
    buf_deinit(&message);
    return code == ERR_CANCELLED ? GRPC_CANCELLED : c->outcome.status;
}

static bool not_serving_yet(void *context, struct bytes message)
{
    bool *serving = context;
    Grpc__Health__V1__HealthCheckResponse *r =
        grpc__health__v1__health_check_response__unpack(NULL, message.size, message.data);
    CHECK(r != NULL);
    *serving = r->status == GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING;
    grpc__health__v1__health_check_response__free_unpacked(r, NULL);
    return !*serving;
}

void live_client_wait_ready(struct live_client *c)
{
    Grpc__Health__V1__HealthCheckRequest request;
    grpc__health__v1__health_check_request__init(&request);
    bool serving = false;
    struct grpc_reader reader = {.message = not_serving_yet, .context = &serving};
    enum grpc_status status =
        live_stream(c, "/grpc.health.v1.Health/Watch", &request.base, &reader);
    if (!serving) {
        PANIC("the node does not serve: %s %s", grpc_status_name(status), c->outcome.message);
    }
}
