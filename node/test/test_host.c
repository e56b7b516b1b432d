/* SPDX-License-Identifier: Apache-2.0 */
#include "node/host.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/random.h"
#include "io/io_posix.h"
#include "node/storage.h"
#include "node/test/live_node.h"
#include "proto/tidemark/v1/admin.pb-c.h"
#include "testkit/test.h"

static Tidemark__V1__NodeStatusResponse *node_status(struct live_client *c)
{
    Tidemark__V1__NodeStatusRequest request = TIDEMARK__V1__NODE_STATUS_REQUEST__INIT;
    EXPECT_INT(live_call(c, "Admin/NodeStatus", &request.base), GRPC_OK);
    Tidemark__V1__NodeStatusResponse *status =
        live_reply(c, &tidemark__v1__node_status_response__descriptor);
    REQUIRE(status != NULL);
    return status;
}

static enum err_code open_storage(const struct live_node *n, struct storage **out, struct err *e)
{
    struct storage_options options = {
        .io = io_posix(),
        .dir = n->config.data_dir,
        .name = n->config.name,
        .segment_size = n->config.wal_segment_size,
        .recovery_mode = -1,
    };
    return storage_open(&options, out, e);
}

TEST(host, runs_a_node_that_answers_and_leaves_a_clean_directory)
{
    struct live_node n;
    live_node_open(&n);
    REQUIRE(live_node_start(&n));
    EXPECT(n.client_port != 0 && n.peer_port != 0);
    struct live_client c;
    live_client_open(&c, n.client_port);
    live_client_wait_ready(&c);
    Tidemark__V1__NodeStatusResponse *status = node_status(&c);
    EXPECT_INT(status->role, TIDEMARK__V1__ROLE__ROLE_STANDALONE);
    EXPECT_UINT(status->wal_level, 2);
    EXPECT_STR(status->self->name, "n1");
    EXPECT(status->healthy != 0);
    tidemark__v1__node_status_response__free_unpacked(status, NULL);
    live_node_stop(&n);
    EXPECT_OK(n.code);
    EXPECT_INT(n.exit_code, 0);
    live_client_close(&c);

    struct storage *s = NULL;
    struct err e;
    REQUIRE_OK(open_storage(&n, &s, &e));
    EXPECT(storage_was_clean(s));
    EXPECT_OK(storage_close(s, false, &e));
    live_node_close(&n);
}

TEST(host, refuses_a_directory_that_another_process_has)
{
    struct live_node n;
    live_node_open(&n);
    struct storage *s = NULL;
    struct err e;
    REQUIRE_OK(open_storage(&n, &s, &e));
    EXPECT(!live_node_start(&n));
    EXPECT_ERR(n.code, ERR_STATE);
    EXPECT_CONTAINS(n.err.text, n.config.data_dir);
    EXPECT_CONTAINS(n.err.text, "held by process");
    EXPECT_OK(storage_close(s, false, &e));
    EXPECT(live_node_start(&n)); /* nothing was left behind by the attempt */
    live_node_close(&n);
}

/* A socket that listens on a free port. */
static int take_port(uint16_t *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    REQUIRE(fd >= 0);
    REQUIRE_INT(bind(fd, (const struct sockaddr *)&address, size), 0);
    REQUIRE_INT(listen(fd, 1), 0);
    REQUIRE_INT(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    *port = ntohs(address.sin_port);
    return fd;
}

TEST(host, says_which_port_is_in_use)
{
    uint16_t port = 0;
    int fd = take_port(&port);
    char address[32];
    (void)snprintf(address, sizeof address, "127.0.0.1:%u", port);
    static const char *const who[] = {"clients", "peers"};
    for (size_t i = 0; i < 2; i++) {
        struct live_node n;
        live_node_open(&n);
        char *listen_on = i == 0 ? n.config.listen_client : n.config.listen_peer;
        (void)snprintf(listen_on, sizeof n.config.listen_client, "%s", address);
        EXPECT(!live_node_start(&n));
        EXPECT_ERR(n.code, ERR_EXISTS);
        EXPECT_CONTAINS(n.err.text, who[i]);
        EXPECT_CONTAINS(n.err.text, address);
        live_node_close(&n);
    }
    (void)close(fd);
}

/* Sends garbage until the node has closed the connection or all is sent. */
static void send_garbage(uint16_t port, uint64_t seed)
{
    struct random r = random_seeded(seed);
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    REQUIRE(fd >= 0);
    REQUIRE_INT(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
    uint8_t bytes[4096];
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)random_u64(&r);
    }
    ssize_t sent = 0;
    for (unsigned i = 0; i < 16 && sent >= 0; i++) {
        sent = send(fd, bytes, sizeof bytes, MSG_NOSIGNAL);
    }
    (void)shutdown(fd, SHUT_WR);
    while (recv(fd, bytes, sizeof bytes, 0) > 0) {
        /* until it has closed */
    }
    (void)close(fd);
}

TEST(host, serves_on_while_garbage_comes_in_at_both_ports)
{
    struct live_node n;
    live_node_open(&n);
    REQUIRE(live_node_start(&n));
    struct live_client c;
    live_client_open(&c, n.client_port);
    live_client_wait_ready(&c);
    for (uint64_t seed = 1; seed <= 8; seed++) {
        send_garbage(n.client_port, seed);
        send_garbage(n.peer_port, seed);
    }
    Tidemark__V1__NodeStatusResponse *status = node_status(&c);
    EXPECT(status->healthy != 0);
    tidemark__v1__node_status_response__free_unpacked(status, NULL);
    live_client_close(&c);
    live_node_stop(&n);
    EXPECT_INT(n.exit_code, 0);
    live_node_close(&n);
}

TEST(host, starts_again_with_what_it_had)
{
    struct live_node n;
    live_node_open(&n);
    uint64_t id = 0;
    for (uint64_t start = 1; start <= 2; start++) {
        REQUIRE(live_node_start(&n));
        struct live_client c;
        live_client_open(&c, n.client_port);
        live_client_wait_ready(&c);
        Tidemark__V1__NodeStatusResponse *status = node_status(&c);
        EXPECT(start == 1 || status->self->id == id);
        id = status->self->id;
        EXPECT(status->start_counter >= start);
        tidemark__v1__node_status_response__free_unpacked(status, NULL);
        live_client_close(&c);
        live_node_stop(&n);
        EXPECT_INT(n.exit_code, 0);
    }
    live_node_close(&n);
}
