/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster-tests/cluster.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/mem.h"
#include "io/io_posix.h"
#include "testkit/lossy_io.h"
#include "testkit/test.h"

enum {
    ADDRESS_SIZE = 32,
    ARGUMENTS_MAX = 40,
    ARGUMENT_SIZE = IO_PATH_MAX + 64,
    OUTPUT_SIZE_MAX = 64 * LIMIT_MIB,
    STOP_LIMIT_MS = 30000,
    CALL_LIMIT_MS = 10000,
    BACKOFF_MAX_MS = 50,
    CONNECT_LIMIT_MS = 2000,
};

struct port {
    int reserved; /* socket */
    char address[ADDRESS_SIZE];
};

struct node {
    char name[16];
    char data_dir[IO_PATH_MAX];
    char output[IO_PATH_MAX];
    struct port client_port, peer_port;
    struct process process;
    bool expected; /* to run */
    struct node_client client, patient;
};

struct cluster {
    struct cluster_options options;
    struct workdir *workdir;
    struct random random;
    uint64_t seed;
    struct grpc_blocking *blocking;
    size_t count;
    struct node nodes[CLUSTER_NODES_MAX];
    cluster_work *work; /* NULL: none */
    void *work_context;
    bool works;
    unsigned tries; /* of cluster_run() and cluster_try(), for their files */
};

/* --- open, close --- */

/* A second socket may bind there too, because both say SO_REUSEADDR and this one
 * never listens; a connection finds nobody, and no other program is given it. */
static void reserve_port(struct port *p)
{
    p->reserved = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(p->reserved >= 0);
    int one = 1;
    int rv = setsockopt(p->reserved, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    CHECK(rv == 0);
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof in;
    rv = bind(p->reserved, (const struct sockaddr *)&in, sizeof in);
    CHECK(rv == 0);
    rv = getsockname(p->reserved, (struct sockaddr *)&in, &size);
    CHECK(rv == 0);
    (void)snprintf(p->address, sizeof p->address, "127.0.0.1:%u", ntohs(in.sin_port));
}

static void open_node(struct cluster *c, size_t i)
{
    struct node *n = &c->nodes[i];
    char file[32];
    (void)snprintf(n->name, sizeof n->name, "n%zu", i + 1);
    workdir_path(c->workdir, n->name, n->data_dir);
    (void)snprintf(file, sizeof file, "%s.out", n->name);
    workdir_path(c->workdir, file, n->output);
    reserve_port(&n->client_port);
    reserve_port(&n->peer_port);
    struct grpc_channel_options options = {
        .loop = grpc_blocking_loop(c->blocking),
        .address = n->client_port.address,
        .connect_ms = CONNECT_LIMIT_MS,
        .backoff_max_ms = BACKOFF_MAX_MS,
    };
    struct err e;
    n->client = (struct node_client){.blocking = c->blocking, .timeout_ms = CALL_LIMIT_MS};
    REQUIRE_OK(grpc_channel_open(&options, &n->client.channel, &e));
    n->patient = n->client;
    n->patient.timeout_ms = CLUSTER_WAIT_MS;
    n->patient.patience_ms = CLUSTER_WAIT_MS;
}

struct cluster *cluster_open(const struct cluster_options *options)
{
    struct cluster *c = mem_zalloc(sizeof *c);
    struct err e;
    c->options = *options;
    c->count = options->nodes > 0 ? options->nodes : options->founders > 0 ? options->founders : 1;
    CHECK(c->count <= CLUSTER_NODES_MAX);
    const char *seed = getenv("TIDEMARK_SEED");
    c->seed = seed != NULL ? strtoull(seed, NULL, 10) : io_entropy_u64(io_posix()) % 1000000;
    c->random = random_seeded(c->seed);
    c->workdir = workdir_open(options->name);
    (void)printf("%s: TIDEMARK_SEED=%" PRIu64 "\n", options->name, c->seed);
    REQUIRE_OK(grpc_blocking_open(&c->blocking, &e));
    for (size_t i = 0; i < c->count; i++) {
        open_node(c, i);
    }
    return c;
}

void cluster_close(struct cluster *c)
{
    for (size_t i = 0; i < c->count; i++) {
        struct node *n = &c->nodes[i];
        process_kill(&n->process);
        grpc_channel_close(n->client.channel);
        (void)close(n->client_port.reserved);
        (void)close(n->peer_port.reserved);
    }
    grpc_blocking_close(c->blocking);
    workdir_close(c->workdir);
    mem_free(c);
}

/* --- looking --- */

static struct node *node_of(struct cluster *c, size_t node)
{
    CHECK(node < c->count);
    return &c->nodes[node];
}

size_t cluster_size(const struct cluster *c)
{
    return c->count;
}

struct random *cluster_random(struct cluster *c)
{
    return &c->random;
}

struct grpc_blocking *cluster_blocking(struct cluster *c)
{
    return c->blocking;
}

struct workdir *cluster_workdir(struct cluster *c)
{
    return c->workdir;
}

struct node_client *cluster_client(struct cluster *c, size_t node)
{
    return &node_of(c, node)->client;
}

struct node_client *cluster_patient(struct cluster *c, size_t node)
{
    return &node_of(c, node)->patient;
}

struct process *cluster_process(struct cluster *c, size_t node)
{
    return &node_of(c, node)->process;
}

const char *cluster_name(const struct cluster *c, size_t node)
{
    return c->nodes[node].name;
}

const char *cluster_client_address(const struct cluster *c, size_t node)
{
    return c->nodes[node].client_port.address;
}

const char *cluster_peer_address(const struct cluster *c, size_t node)
{
    return c->nodes[node].peer_port.address;
}

const char *cluster_data_dir(const struct cluster *c, size_t node)
{
    return c->nodes[node].data_dir;
}

size_t cluster_find(const struct cluster *c, const char *client_address)
{
    size_t i = 0;
    while (i < c->count && strcmp(c->nodes[i].client_port.address, client_address) != 0) {
        i++;
    }
    return i;
}

/* --- processes --- */

struct arguments {
    size_t count;
    const char *list[ARGUMENTS_MAX + 1]; /* NULL at the end */
    char text[ARGUMENTS_MAX][ARGUMENT_SIZE];
};

static void put(struct arguments *a, const char *flag, const char *value)
{
    CHECK(a->count < ARGUMENTS_MAX);
    char *text = a->text[a->count];
    (void)snprintf(text, ARGUMENT_SIZE, "%s%s", flag, value);
    a->list[a->count++] = text;
}

static void put_all(struct arguments *a, const char *const *flags)
{
    for (size_t i = 0; flags != NULL && flags[i] != NULL; i++) {
        put(a, flags[i], "");
    }
}

static struct arguments *new_arguments(const struct cluster *c)
{
    struct arguments *a = mem_zalloc(sizeof *a);
    put(a, TEST_PROGRAM_DIR, c->options.faulty ? "/tidemarkd-faulty" : "/tidemarkd");
    return a;
}

/* The founders; a node that joins later names itself besides. */
static void put_peers(struct arguments *a, const struct cluster *c, const struct node *n)
{
    char peers[CLUSTER_NODES_MAX * ADDRESS_SIZE] = "";
    size_t used = 0;
    for (size_t i = 0; i < c->count; i++) {
        if (i < c->options.founders || &c->nodes[i] == n) {
            used += (size_t)snprintf(peers + used, sizeof peers - used, "%s%s",
                                     used == 0 ? "" : ",", c->nodes[i].peer_port.address);
        }
    }
    if (c->options.founders > 0) {
        put(a, "--peers=", peers);
    }
}

static struct arguments *arguments_of(const struct cluster *c, const struct node *n)
{
    struct arguments *a = new_arguments(c);
    put(a, "--name=", n->name);
    put(a, "--data-dir=", n->data_dir);
    put(a, "--listen-client=", n->client_port.address);
    put(a, "--listen-peer=", n->peer_port.address);
    put(a, "--wal-segment-size=", "4MiB");
    put(a, "--drain-limit=", "10s");
    put_peers(a, c, n);
    put_all(a, c->options.flags);
    return a;
}

void cluster_start(struct cluster *c, size_t node, const char *const *extra)
{
    struct node *n = node_of(c, node);
    struct arguments *a = arguments_of(c, n);
    struct err e;
    put_all(a, extra);
    REQUIRE_OK(process_start(&n->process, a->list, n->output, &e));
    n->expected = true;
    mem_free(a);
}

void cluster_start_all(struct cluster *c)
{
    for (size_t i = 0; i < c->count; i++) {
        if (c->nodes[i].process.id == 0) {
            cluster_start(c, i, NULL);
        }
    }
}

bool cluster_runs(struct cluster *c, size_t node)
{
    return node_of(c, node)->process.id != 0;
}

void cluster_kill(struct cluster *c, size_t node)
{
    struct node *n = node_of(c, node);
    n->expected = false;
    process_kill(&n->process);
}

int cluster_wait_exit(struct cluster *c, size_t node)
{
    struct node *n = node_of(c, node);
    struct process_end end;
    uint64_t limit_us = process_now_us() + STOP_LIMIT_MS * UINT64_C(1000);
    n->expected = false;
    while (!process_has_ended(&n->process, &end)) {
        if (process_now_us() > limit_us) {
            cluster_fail(c, "%s still runs after %u ms", n->name, (unsigned)STOP_LIMIT_MS);
        }
        cluster_turn(c, 5);
    }
    if (end.number != 0) {
        cluster_fail(c, "%s was ended by signal %d", n->name, end.number);
    }
    return end.code;
}

void cluster_stop(struct cluster *c, size_t node)
{
    struct node *n = node_of(c, node);
    process_signal(&n->process, SIGTERM);
    int code = cluster_wait_exit(c, node);
    if (code != 0) {
        cluster_fail(c, "%s ended with %d after SIGTERM", n->name, code);
    }
}

void cluster_pause(struct cluster *c, size_t node)
{
    process_pause(&node_of(c, node)->process);
}

void cluster_resume(struct cluster *c, size_t node)
{
    process_resume(&node_of(c, node)->process);
}

void cluster_fault(struct cluster *c, size_t node, const char *fault)
{
    CHECK(c->options.faulty);
    char path[IO_PATH_MAX];
    struct err e;
    struct file *file = NULL;
    enum err_code code = lossy_io_fault_path(node_of(c, node)->data_dir, path, &e);
    if (code == ERR_OK && fault == NULL) {
        code = io_unlink(io_posix(), path, &e);
        code = code == ERR_NOT_FOUND ? ERR_OK : code;
    } else if (code == ERR_OK) {
        struct bytes text = bytes_str(fault);
        code = io_open(io_posix(), path, IO_WRITE | IO_CREATE, &file, &e);
        if (code == ERR_OK) {
            code = file_write_at(file, 0, &text, 1, &e);
        }
        if (code == ERR_OK) {
            code = file_resize(file, text.size, &e);
        }
        file_close(file);
    }
    if (code != ERR_OK) {
        cluster_fail(c, "%s", e.text);
    }
}

int cluster_run(struct cluster *c, const char *const *argv, struct buf *output)
{
    char name[32];
    char path[IO_PATH_MAX];
    struct process p = {0};
    struct process_end end = {0};
    struct err e;
    (void)snprintf(name, sizeof name, "run%u.out", c->tries++);
    workdir_path(c->workdir, name, path);
    REQUIRE_OK(process_start(&p, argv, path, &e));
    enum err_code code = process_wait(&p, STOP_LIMIT_MS, &end, &e);
    process_kill(&p);
    REQUIRE_OK(code);
    buf_reset(output);
    REQUIRE_OK(io_read_file(io_posix(), path, OUTPUT_SIZE_MAX, output, &e));
    buf_put_u8(output, 0);
    return end.code;
}

int cluster_try(struct cluster *c, const char *const *flags, struct buf *output)
{
    struct arguments *a = new_arguments(c);
    char name[32];
    char path[IO_PATH_MAX];
    (void)snprintf(name, sizeof name, "try%u", c->tries++);
    workdir_path(c->workdir, name, path);
    put(a, "--data-dir=", path);
    put_all(a, flags);
    int code = cluster_run(c, a->list, output);
    mem_free(a);
    return code;
}

/* --- turns --- */

void cluster_on_turn(struct cluster *c, cluster_work *work, void *context)
{
    c->work = work;
    c->work_context = context;
}

bool cluster_works(const struct cluster *c)
{
    return c->works;
}

void cluster_turn(struct cluster *c, unsigned timeout_ms)
{
    grpc_blocking_step(c->blocking, timeout_ms);
    c->works = c->work != NULL && c->work(c->work_context);
    for (size_t i = 0; i < c->count; i++) {
        struct node *n = &c->nodes[i];
        struct process_end end;
        if (n->expected && process_has_ended(&n->process, &end)) {
            n->expected = false;
            cluster_fail(c, "%s ended with code %d, signal %d", n->name, end.code, end.number);
        }
    }
}

/* --- failing --- */

bool cluster_said(struct cluster *c, size_t node, const char *text)
{
    struct buf output = {0};
    struct err e;
    REQUIRE_OK(io_read_file(io_posix(), node_of(c, node)->output, OUTPUT_SIZE_MAX, &output, &e));
    buf_put_u8(&output, 0);
    bool said = strstr((const char *)output.data, text) != NULL;
    buf_deinit(&output);
    return said;
}

static void show_output(const struct node *n)
{
    enum { SHOWN_SIZE = 6000 };
    struct buf output = {0};
    if (io_read_file(io_posix(), n->output, OUTPUT_SIZE_MAX, &output, NULL) == ERR_OK) {
        size_t skip = output.size > SHOWN_SIZE ? output.size - SHOWN_SIZE : 0;
        (void)fprintf(stderr, "--- %s:\n%.*s\n", n->name, (int)(output.size - skip),
                      (const char *)output.data + skip);
    }
    buf_deinit(&output);
}

void cluster_fail(struct cluster *c, const char *format, ...)
{
    char text[ERR_TEXT_SIZE];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    for (size_t i = 0; i < c->count; i++) {
        show_output(&c->nodes[i]);
    }
    (void)fprintf(stderr, "%s: TIDEMARK_SEED=%" PRIu64 "\n", c->options.name, c->seed);
    test_true(false, text, TEST_HERE(true));
    PANIC("a failed test goes on"); /* test_true() has left it */
}

unsigned cluster_rounds(unsigned full)
{
    enum { PART = 10 };
    const char *rounds = getenv("TIDEMARK_ROUNDS");
    if (rounds != NULL && strcmp(rounds, "full") == 0) {
        return full;
    }
    return full / PART > 0 ? full / PART : 1;
}
