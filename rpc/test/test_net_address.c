/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/net_address.h"

#include <string.h>

#include "testkit/test.h"

TEST(net_address, reads_host_and_port)
{
    struct net_address a;
    struct err e;
    REQUIRE_OK(net_address_parse("127.0.0.1:7070", &a, &e));
    EXPECT_STR(a.host, "127.0.0.1");
    EXPECT_UINT(a.port, 7070);
    REQUIRE_OK(net_address_parse("[::1]:0", &a, &e));
    EXPECT_STR(a.host, "::1");
    EXPECT_UINT(a.port, 0);
    REQUIRE_OK(net_address_parse("node-1.example:65535", &a, &e));
    EXPECT_STR(a.host, "node-1.example");
    EXPECT_UINT(a.port, 65535);
}

TEST(net_address, refuses_anything_else_and_names_it)
{
    static const char *const bad[] = {
        "",        "host",     ":1",   "host:",   "host:x",     "host:65536",
        "host:-1", "::1:7070", "[]:1", "host:1 ", "host:123456"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct net_address a;
        struct err e;
        EXPECT_ERR(net_address_parse(bad[i], &a, &e), ERR_INVALID);
        EXPECT_CONTAINS(e.text, bad[i]);
    }
    char longest[LIMIT_ADDRESS_SIZE_MAX + 10];
    memset(longest, 'a', sizeof longest);
    memcpy(longest + LIMIT_ADDRESS_SIZE_MAX + 1, ":1", 3);
    struct net_address a;
    EXPECT_ERR(net_address_parse(longest, &a, NULL), ERR_INVALID);
    EXPECT_OK(net_address_parse(longest + 1, &a, NULL));
}

TEST(net_address, numbers_become_socket_addresses_and_back)
{
    static const char *const texts[] = {"127.0.0.1:80", "[::1]:80", "[fe80::1:2]:65535"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct net_address a;
        struct sockaddr_storage sa;
        REQUIRE_OK(net_address_parse(texts[i], &a, NULL));
        REQUIRE(net_address_numeric(&a, &sa));
        char text[NET_ADDRESS_TEXT_SIZE];
        net_address_format((struct sockaddr *)&sa, text);
        EXPECT_STR(text, texts[i]);
    }
    struct net_address name;
    struct sockaddr_storage sa;
    REQUIRE_OK(net_address_parse("localhost:1", &name, NULL));
    EXPECT(!net_address_numeric(&name, &sa));
}
