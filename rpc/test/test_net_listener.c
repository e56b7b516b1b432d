/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/net_listener.h"

#include <string.h>
#include <unistd.h>

#include "rpc/test/loop.h"

TEST(net_listener, finds_a_free_port)
{
    struct loop loop;
    loop_open(&loop);
    int a = -1;
    int b = -1;
    uint16_t port_a = 0;
    uint16_t port_b = 0;
    REQUIRE_OK(net_listener_bind(&loop.uv, "127.0.0.1:0", &a, &port_a, NULL));
    REQUIRE_OK(net_listener_bind(&loop.uv, "127.0.0.1:0", &b, &port_b, NULL));
    EXPECT(port_a != 0);
    EXPECT(port_a != port_b);
    (void)close(a);
    (void)close(b);
    loop_close(&loop);
}

TEST(net_listener, address_in_use_is_named)
{
    struct loop loop;
    loop_open(&loop);
    int fd = -1;
    uint16_t port = 0;
    REQUIRE_OK(net_listener_bind(&loop.uv, "127.0.0.1:0", &fd, &port, NULL));
    struct err e;
    int second = -1;
    const char *address = loop_address(port);
    EXPECT_ERR(net_listener_bind(&loop.uv, address, &second, &port, &e), ERR_EXISTS);
    EXPECT_CONTAINS(e.text, address);
    EXPECT_INT(second, -1);
    (void)close(fd);
    loop_close(&loop);
}

TEST(net_listener, refuses_what_is_not_ours_to_bind)
{
    struct loop loop;
    loop_open(&loop);
    int fd = -1;
    uint16_t port = 0;
    struct err e;
    EXPECT_ERR(net_listener_bind(&loop.uv, "192.0.2.1:0", &fd, &port, &e), ERR_INVALID);
    EXPECT_ERR(net_listener_bind(&loop.uv, "nonsense", &fd, &port, &e), ERR_INVALID);
    /* A label over 63 bytes: refused by the resolver without asking anybody. */
    static const char no_such_host[] =
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.invalid:1";
    EXPECT_ERR(net_listener_bind(&loop.uv, no_such_host, &fd, &port, &e), ERR_INVALID);
    EXPECT_CONTAINS(e.text, "aaa.invalid");
    EXPECT_INT(fd, -1);
    loop_close(&loop);
}
