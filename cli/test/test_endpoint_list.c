/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/bytes.h"
#include "cli/endpoint_list.h"
#include "testkit/test.h"

static struct endpoint_list list;

static void parse(const char *text)
{
    struct err e = {0};
    REQUIRE_OK(endpoint_list_parse(&list, text, &e));
}

static const char *current(void)
{
    return list.addresses[list.current];
}

static void fail_current(const char *leader)
{
    endpoint_list_failed(&list, list.current, leader);
}

TEST(endpoint_list, reads_addresses_and_fills_in_the_port)
{
    parse("a:1,b,[::1]:5,[::2]");
    REQUIRE_UINT(list.count, 4);
    EXPECT_UINT(list.given, 4);
    EXPECT_STR(list.addresses[0], "a:1");
    EXPECT_STR(list.addresses[1], "b:7070");
    EXPECT_STR(list.addresses[2], "[::1]:5");
    EXPECT_STR(list.addresses[3], "[::2]:7070");
    parse("a,a:7070,a");
    EXPECT_UINT(list.count, 1);
}

TEST(endpoint_list, refuses_bad_addresses)
{
    struct err e = {0};
    EXPECT_ERR(endpoint_list_parse(&list, "", &e), ERR_INVALID);
    EXPECT_ERR(endpoint_list_parse(&list, "a,,b", &e), ERR_INVALID);
    EXPECT_ERR(endpoint_list_parse(&list, "a:99999", &e), ERR_INVALID);
    EXPECT_ERR(endpoint_list_parse(&list, "a:b", &e), ERR_INVALID);
    struct buf many = {0};
    for (unsigned i = 0; i <= ENDPOINTS_MAX / 2; i++) {
        buf_printf(&many, "%shost%u", i == 0 ? "" : ",", i);
    }
    buf_put_u8(&many, 0);
    EXPECT_ERR(endpoint_list_parse(&list, (const char *)many.data, &e), ERR_INVALID);
    many.size = 0;
    buf_put_zeros(&many, 300);
    memset(many.data, 'a', 299);
    EXPECT_ERR(endpoint_list_parse(&list, (const char *)many.data, &e), ERR_INVALID);
    buf_deinit(&many);
}

TEST(endpoint_list, goes_round_when_nobody_knows_the_leader)
{
    parse("a,b,c");
    EXPECT_STR(current(), "a:7070");
    fail_current(NULL);
    EXPECT_STR(current(), "b:7070");
    fail_current("");
    EXPECT_STR(current(), "c:7070");
    fail_current("not an address");
    EXPECT_STR(current(), "a:7070");
}

TEST(endpoint_list, follows_the_leader_and_leaves_a_dead_one)
{
    parse("a,b,c");
    fail_current("c:7070");
    EXPECT_STR(current(), "c:7070");
    fail_current(NULL);
    EXPECT_STR(current(), "a:7070");
    fail_current("d:9");
    EXPECT_STR(current(), "d:9");
    EXPECT_UINT(list.count, 4);
    EXPECT_UINT(list.given, 3);
    fail_current(NULL);
    EXPECT_STR(current(), "b:7070");
}

TEST(endpoint_list, a_late_failure_of_another_endpoint_changes_nothing)
{
    parse("a,b,c");
    endpoint_list_failed(&list, 0, NULL);
    endpoint_list_failed(&list, 0, NULL);
    EXPECT_STR(current(), "b:7070");
    endpoint_list_failed(&list, 0, "c:7070");
    EXPECT_STR(current(), "c:7070");
}

TEST(endpoint_list, an_endpoint_that_names_itself_is_left)
{
    parse("a,b");
    fail_current("a:7070");
    EXPECT_STR(current(), "b:7070");
    parse("a");
    fail_current("a:7070");
    EXPECT_STR(current(), "a:7070");
}

TEST(endpoint_list, holds_a_bounded_number_of_leaders)
{
    parse("a");
    for (unsigned i = 0; i < 2 * ENDPOINTS_MAX; i++) {
        char address[32];
        (void)snprintf(address, sizeof address, "h%u:1", i);
        fail_current(address);
    }
    EXPECT_UINT(list.count, ENDPOINTS_MAX);
    EXPECT_UINT(endpoint_list_add(&list, "x:1"), ENDPOINTS_MAX);
    EXPECT_UINT(endpoint_list_add(&list, "a:7070"), 0);
}
