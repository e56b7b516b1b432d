/* SPDX-License-Identifier: Apache-2.0 */
/* Input that is wrong in every way one can think of, from clients and from
 * strangers on every port, while clients write: clear errors, the nodes stay up,
 * nothing is lost. */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "cluster-tests/load.h"
#include "proto/wire.h"
#include "testkit/test.h"

enum { ACKS = 50, OVERSIZED = 5 * LIMIT_MIB };

static struct cluster *open_three(const char *name, struct load **l)
{
    struct cluster_options options = {.name = name, .founders = 3};
    struct cluster *c = cluster_open(&options);
    cluster_start_all(c);
    struct load_options load = {.reads = true};
    *l = load_open(c, &load);
    load_run(*l, ACKS);
    return c;
}

/* All three processes are the ones that were started, and everything is there. */
static void close_checked(struct cluster *c, struct load *l)
{
    load_run(l, ACKS);
    load_check(l);
    for (size_t i = 0; i < cluster_size(c); i++) {
        EXPECT(!cluster_said(c, i, "check failed"));
    }
    load_close(l);
    cluster_close(c);
}

/* --- settings --- */

TEST(input, wrong_settings_are_refused_with_the_reason)
{
    static const struct {
        const char *name;
        const char *value;
        enum err_code code;
        const char *part;
    } cases[] = {
        {"no.such.setting", "1", ERR_NOT_FOUND, "no.such.setting"},
        {"", "1", ERR_NOT_FOUND, "setting"},
        {"raft.election_timeout", "10ms", ERR_RANGE, "50ms"},
        {"raft.election_timeout", "2h", ERR_RANGE, "1m"},
        {"raft.election_timeout", "soon", ERR_INVALID, "soon"},
        {"raft.election_timeout", "", ERR_INVALID, "raft.election_timeout"},
        {"raft.election_timeout", "-1s", ERR_INVALID, "-1s"},
        {"raft.election_timeout", "99999999999999999999999s", ERR_INVALID, "999"},
        {"raft.heartbeat_interval", "500ms", ERR_RANGE, "raft."}, /* too near to the election's */
        {"ts.wal.wal_level", "4", ERR_RANGE, "0..3"},
        {"ts.wal.wal_level", "fast", ERR_INVALID, "fast"},
        {"ts.wal.recovery_mode", "hope", ERR_INVALID, "hope"},
        {"node.replace", "on", ERR_INVALID, "auto"},
        {"max_wal_size", "1KiB", ERR_RANGE, "32MiB"},
        {"ts.scan.batch_size", "1.5", ERR_INVALID, "1.5"},
    };
    struct load *l = NULL;
    struct cluster *c = open_three("wrong-settings", &l);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct err e = {0};
        test_context("%s=%s", cases[i].name, cases[i].value);
        enum err_code code =
            node_setting_set(cluster_patient(c, i % 3), cases[i].name, cases[i].value, &e);
        EXPECT(code != ERR_OK);
        EXPECT_STR(err_name(code), err_name(cases[i].code));
        EXPECT_CONTAINS(e.text, cases[i].part);
    }
    close_checked(c, l);
}

/* --- writes and scans --- */

struct wrong {
    const char *what;
    const char *database, *table, *tag, *column;
    unsigned column_field; /* of Column: 2 integers, 3 doubles, 4 booleans, 5 strings */
    size_t rows;           /* of that column; the timestamps are two */
    const char *part;      /* of the answer */
};

static void put_wrong(const struct wrong *w, struct buf *b)
{
    wire_put_str(b, 2, w->database);
    wire_put_str(b, 3, w->table);
    wire_put_str(b, 4, w->tag);
    size_t series = wire_begin(b, 5);
    wire_put_item(b, 1, bytes_str("1"));
    wire_end(b, series);
    size_t ts = wire_begin(b, 7);
    wire_put_str(b, 1, "ts");
    size_t values = wire_begin(b, 2);
    buf_put_zeros(b, 2 * sizeof(uint64_t));
    wire_end(b, values);
    wire_end(b, ts);
    size_t column = wire_begin(b, 7);
    wire_put_str(b, 1, w->column);
    if (w->column_field == 5) {
        for (size_t i = 0; i < w->rows; i++) {
            wire_put_item(b, 5, bytes_str("x"));
        }
    } else {
        values = wire_begin(b, w->column_field);
        buf_put_zeros(b, w->rows * (w->column_field == 4 ? 1 : sizeof(uint64_t)));
        wire_end(b, values);
    }
    wire_end(b, column);
}

TEST(input, wrong_writes_are_refused_with_the_reason)
{
    static const struct wrong cases[] = {
        {"unknown database", "nowhere", "rows", "series", "value", 2, 2, "nowhere"},
        {"unknown table", "ct", "nothing", "series", "value", 2, 2, "nothing"},
        {"no table", "ct", "", "series", "value", 2, 2, ""},
        {"unknown column", "ct", "rows", "series", "value2", 2, 2, "value2"},
        {"unknown tag", "ct", "rows", "series2", "value", 2, 2, "series2"},
        {"wrong type", "ct", "rows", "series", "value", 3, 2, "value"},
        {"wrong type", "ct", "rows", "series", "half", 5, 2, "half"},
        {"too few values", "ct", "rows", "series", "value", 2, 1, "value"},
        {"too many values", "ct", "rows", "series", "value", 2, 3, "value"},
        {"not text where a column was", "ct", "rows", "series", "note", 2, 2, "note"},
        {"the timestamp twice", "ct", "rows", "series", "ts", 2, 2, "ts"},
    };
    struct load *l = NULL;
    struct cluster *c = open_three("wrong-writes", &l);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct err e = {0};
        struct buf request = {0};
        test_context("%s", cases[i].what);
        put_wrong(&cases[i], &request);
        enum err_code code =
            node_data(cluster_patient(c, i % 3), "Write", buf_bytes(&request), NULL, &e);
        EXPECT(code == ERR_INVALID || code == ERR_NOT_FOUND || code == ERR_RANGE);
        EXPECT_CONTAINS(e.text, cases[i].part);
        buf_deinit(&request);
    }
    close_checked(c, l);
}

TEST(input, messages_that_are_none_or_too_large_are_refused)
{
    static const char *const methods[] = {"Write", "OpenSession", "Scan"};
    struct load *l = NULL;
    struct cluster *c = open_three("messages", &l);
    struct err e;
    struct random *random = cluster_random(c);
    uint8_t noise[256];
    for (unsigned i = 0; i < 60; i++) {
        for (size_t k = 0; k < sizeof noise; k++) {
            noise[k] = (uint8_t)random_u64(random);
        }
        struct bytes message = {noise, random_between(random, 1, sizeof noise)};
        enum err_code code = node_data(cluster_client(c, i % 3), methods[i % 3], message, NULL, &e);
        if (i % 3 != 1) { /* OpenSession skips fields that it does not know */
            EXPECT(code != ERR_OK);
        }
        code = node_admin(cluster_client(c, i % 3), "CreateTable", message, NULL, &e);
        EXPECT(code != ERR_OK);
    }
    struct buf large = {0};
    buf_put_zeros(&large, OVERSIZED);
    EXPECT(node_data(cluster_client(c, 0), "Write", buf_bytes(&large), NULL, &e) != ERR_OK);
    EXPECT_INT(cluster_client(c, 0)->outcome.status, GRPC_RESOURCE_EXHAUSTED);
    buf_deinit(&large);
    EXPECT_ERR(node_data(cluster_client(c, 0), "NoSuchMethod", (struct bytes){0}, NULL, &e),
               ERR_UNSUPPORTED);
    close_checked(c, l);
}

/* --- strangers --- */

static int dial(const char *address)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    in.sin_port = htons((uint16_t)strtoul(strchr(address, ':') + 1, NULL, 10));
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    REQUIRE(fd >= 0);
    REQUIRE(connect(fd, (const struct sockaddr *)&in, sizeof in) == 0);
    return fd;
}

/* The other side may close before all is sent. */
static void say(int fd, const void *data, size_t size)
{
    const uint8_t *at = data;
    while (size > 0) {
        ssize_t sent = send(fd, at, size, MSG_NOSIGNAL);
        if (sent <= 0) {
            return;
        }
        at += sent;
        size -= (size_t)sent;
    }
}

/* Whether the other side closes, after whatever it says. */
static bool is_closed_by_peer(struct cluster *c, int fd)
{
    uint64_t end_us = process_now_us() + UINT64_C(1000) * CLUSTER_WAIT_MS;
    char answer[512];
    while (process_now_us() < end_us) {
        ssize_t got = recv(fd, answer, sizeof answer, MSG_DONTWAIT);
        if (got == 0 || (got < 0 && errno != EAGAIN)) {
            return true;
        }
        cluster_turn(c, 5);
    }
    return false;
}

static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

enum garbage { NOISE, ZEROS, HTTP1, GARBAGE_COUNT };

static int send_garbage(struct cluster *c, const char *address, enum garbage kind)
{
    enum { SIZE = 100000 };
    static const char http[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    uint8_t *bytes = mem_zalloc(SIZE);
    for (size_t i = 0; i < SIZE && kind == NOISE; i++) {
        bytes[i] = (uint8_t)random_u64(cluster_random(c));
    }
    int fd = dial(address);
    say(fd, kind == HTTP1 ? (const void *)http : bytes, kind == HTTP1 ? sizeof http - 1 : SIZE);
    mem_free(bytes);
    return fd;
}

TEST(input, garbage_on_every_port_closes_that_connection_alone)
{
    struct load *l = NULL;
    struct cluster *c = open_three("garbage", &l);
    int fds[CLUSTER_NODES_MAX][2][GARBAGE_COUNT] = {0};
    for (size_t i = 0; i < cluster_size(c); i++) {
        for (size_t kind = 0; kind < GARBAGE_COUNT; kind++) {
            fds[i][0][kind] = send_garbage(c, cluster_client_address(c, i), (enum garbage)kind);
            fds[i][1][kind] = send_garbage(c, cluster_peer_address(c, i), (enum garbage)kind);
        }
    }
    for (size_t i = 0; i < cluster_size(c) * 2 * GARBAGE_COUNT; i++) {
        size_t node = i / (2 * GARBAGE_COUNT);
        size_t port = i / GARBAGE_COUNT % 2;
        int fd = fds[node][port][i % GARBAGE_COUNT];
        test_context("%s port of %s, kind %zu", port == 0 ? "client" : "peer",
                     cluster_name(c, node), i % GARBAGE_COUNT);
        EXPECT(is_closed_by_peer(c, fd));
        (void)close(fd);
    }
    close_checked(c, l);
}

/* Half a frame and no more; a length of 4 GiB; a frame that ends too soon. */
TEST(input, truncated_frames_do_no_harm)
{
    static const uint8_t http2[][12] = {
        {0, 0, 4, 0x01, 0x04, 0, 0, 0, 1, 0x82, 0x86}, /* HEADERS before SETTINGS, cut */
        {0xff, 0xff, 0xff, 0x00, 0, 0, 0, 0, 1},       /* DATA of 16 MiB */
        {0, 0, 0, 0x08, 0, 0, 0, 0, 0},                /* WINDOW_UPDATE of the wrong size */
    };
    static const uint8_t peer[][12] = {
        {0xff, 0xff, 0xff, 0xff}, {0x7f, 0xff, 0xff, 0xff, 1, 2, 3}, {1}, {0, 0, 0, 1, 0}};
    struct load *l = NULL;
    struct cluster *c = open_three("truncated", &l);
    int fds[64];
    size_t count = 0;
    for (size_t i = 0; i < cluster_size(c); i++) {
        for (size_t k = 0; k < sizeof http2 / sizeof http2[0]; k++) {
            fds[count] = dial(cluster_client_address(c, i));
            say(fds[count], preface, sizeof preface - 1);
            say(fds[count++], http2[k], sizeof http2[k]);
        }
        for (size_t k = 0; k < sizeof peer / sizeof peer[0]; k++) {
            fds[count] = dial(cluster_peer_address(c, i));
            say(fds[count++], peer[k], 1 + k * 3);
        }
        fds[count] = dial(cluster_client_address(c, i));
        say(fds[count++], preface, 10); /* half of it */
    }
    load_run(l, ACKS); /* while they are open */
    for (size_t i = 0; i < count; i++) {
        (void)close(fds[i]);
    }
    close_checked(c, l);
}

/* Many connections that say nothing. */
TEST(input, idle_connections_do_not_keep_clients_out)
{
    enum { CONNECTIONS = 200 };
    struct load *l = NULL;
    struct cluster *c = open_three("idle-connections", &l);
    int fds[CONNECTIONS];
    for (size_t i = 0; i < CONNECTIONS; i++) {
        fds[i] = dial(i % 2 == 0 ? cluster_client_address(c, i / 2 % 3)
                                 : cluster_peer_address(c, i / 2 % 3));
    }
    load_run(l, ACKS);
    size_t leader = cluster_wait_healthy(c);
    cluster_kill(c, leader); /* the others' new links find room, too */
    cluster_start(c, leader, NULL);
    (void)cluster_wait_healthy(c);
    load_run(l, ACKS);
    for (size_t i = 0; i < CONNECTIONS; i++) {
        (void)close(fds[i]);
    }
    close_checked(c, l);
}
