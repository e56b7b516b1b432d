/* SPDX-License-Identifier: Apache-2.0 */
#include "tsdb/nodes.h"

#include <stdio.h>

#include "base/limits.h"
#include "proto/wire.h"
#include "testkit/test.h"

static struct err err;

static const char *start(struct nodes *n, uint64_t id, uint64_t counter, uint64_t nonce)
{
    struct buf b = {0};
    wire_put_fixed64(&b, 1, id);
    wire_put_uint(&b, 2, counter);
    wire_put_fixed64(&b, 3, nonce);
    wire_put_str(&b, 4, "n1");
    wire_put_str(&b, 5, "host:7071");
    wire_put_str(&b, 6, "host:7070");
    enum err_code code = nodes_start(n, buf_bytes(&b), &err);
    buf_deinit(&b);
    return err_name(code);
}

static const char *with_id(struct nodes *n, uint64_t id,
                           enum err_code (*call)(struct nodes *, struct bytes, struct err *))
{
    struct buf b = {0};
    wire_put_fixed64(&b, 1, id);
    enum err_code code = call(n, buf_bytes(&b), &err);
    buf_deinit(&b);
    return err_name(code);
}

TEST(nodes, starts_are_kept_by_directory_id)
{
    struct nodes n = {0};
    EXPECT_STR(start(&n, 30, 1, 111), "OK");
    EXPECT_STR(start(&n, 10, 1, 222), "OK");
    EXPECT_STR(start(&n, 10, 2, 333), "OK");
    EXPECT_UINT(n.count, 2);
    EXPECT_UINT(n.items[0].directory_id, 10);
    const struct tsdb_node *x = nodes_find(&n, 10);
    REQUIRE(x != NULL);
    EXPECT_UINT(x->start_counter, 2);
    EXPECT_UINT(x->nonce, 333);
    EXPECT_STR(x->name, "n1");
    EXPECT_STR(x->peer_address, "host:7071");
    EXPECT_STR(x->client_address, "host:7070");
    EXPECT(nodes_find(&n, 20) == NULL);
    nodes_deinit(&n);
}

/* Safety rule B2: a lower counter, or another nonce of the same start. */
TEST(nodes, a_rolled_back_directory_is_refused_by_name)
{
    struct nodes n = {0};
    EXPECT_STR(start(&n, 10, 5, 0xabc), "OK");
    EXPECT_STR(start(&n, 10, 5, 0xabc), "OK"); /* the same start, told again */
    EXPECT_STR(start(&n, 10, 4, 0xabc), "STATE");
    EXPECT_STR(start(&n, 10, 5, 0xdef), "STATE");
    EXPECT_STR(err.text, "directory 000000000000000a is rolled back: its start 5 with nonce "
                         "0000000000000abc is known, this is start 5 with nonce "
                         "0000000000000def");
    EXPECT_UINT(nodes_find(&n, 10)->nonce, 0xabc);
    EXPECT_STR(start(&n, 10, 6, 0xdef), "OK");
    nodes_deinit(&n);
}

TEST(nodes, a_removed_id_never_comes_back)
{
    struct nodes n = {0};
    EXPECT_STR(start(&n, 10, 5, 1), "OK");
    EXPECT_STR(with_id(&n, 10, nodes_remove), "OK");
    EXPECT_STR(start(&n, 10, 6, 2), "STATE");
    EXPECT_STR(err.text, "directory 000000000000000a was removed from the cluster");
    const struct tsdb_node *x = nodes_find(&n, 10);
    REQUIRE(x != NULL);
    EXPECT(x->removed);
    EXPECT_STR(x->name, "");
    EXPECT_UINT(x->start_counter, 0);
    EXPECT_STR(with_id(&n, 10, nodes_remove), "OK");
    EXPECT_STR(with_id(&n, 11, nodes_remove), "OK"); /* never seen, and never will be */
    EXPECT_STR(start(&n, 11, 1, 1), "STATE");
    nodes_deinit(&n);
}

TEST(nodes, the_cluster_is_formed_once)
{
    struct nodes n = {0};
    EXPECT(!n.formed);
    EXPECT_STR(with_id(&n, 77, nodes_form), "OK");
    EXPECT(n.formed);
    EXPECT_STR(with_id(&n, 77, nodes_form), "OK");
    EXPECT_STR(with_id(&n, 78, nodes_form), "STATE");
    EXPECT_UINT(n.cluster_id, 77);
    nodes_deinit(&n);
}

TEST(nodes, malformed_requests_are_refused)
{
    struct nodes n = {0};
    EXPECT_STR(start(&n, 0, 1, 1), "INVALID");
    EXPECT_STR(start(&n, 1, 0, 1), "INVALID");
    EXPECT_STR(with_id(&n, 0, nodes_remove), "INVALID");
    EXPECT_STR(with_id(&n, 0, nodes_form), "INVALID");
    static const uint8_t garbage[] = {0x09, 1};
    EXPECT_ERR(nodes_start(&n, bytes_of(garbage, 2), &err), ERR_INVALID);
    EXPECT_ERR(nodes_remove(&n, bytes_of(garbage, 2), &err), ERR_INVALID);
    EXPECT_ERR(nodes_form(&n, bytes_of(garbage, 2), &err), ERR_INVALID);
    EXPECT_UINT(n.count, 0);
    nodes_deinit(&n);
}

TEST(nodes, limits_are_kept_and_removing_makes_room)
{
    struct nodes n = {0};
    for (uint64_t id = 1; id <= LIMIT_NODES_MAX; id++) {
        EXPECT_STR(start(&n, id, 1, id), "OK");
    }
    EXPECT_STR(start(&n, 1000, 1, 1), "FULL");
    EXPECT_STR(start(&n, 1, 2, 1), "OK");
    EXPECT_STR(with_id(&n, 3, nodes_remove), "OK");
    EXPECT_STR(start(&n, 1000, 1, 1), "OK");
    for (uint64_t id = 2000; n.count < LIMIT_NODES_MAX + LIMIT_REMOVED_NODES_MAX; id++) {
        REQUIRE(with_id(&n, id, nodes_remove)[0] == 'O');
    }
    EXPECT_STR(with_id(&n, 9999999, nodes_remove), "FULL");
    EXPECT_STR(with_id(&n, 3, nodes_remove), "OK");
    nodes_deinit(&n);
}

TEST(nodes, survive_encoding_and_refuse_damage)
{
    struct nodes n = {0};
    EXPECT_STR(start(&n, 10, 5, 1), "OK");
    EXPECT_STR(start(&n, 20, 6, 2), "OK");
    EXPECT_STR(with_id(&n, 15, nodes_remove), "OK");
    EXPECT_STR(with_id(&n, 77, nodes_form), "OK");
    struct buf b = {0};
    struct buf again = {0};
    nodes_encode(&n, &b);
    struct nodes copy;
    struct cursor in = cursor_of(buf_bytes(&b));
    REQUIRE_OK(nodes_decode(&in, &copy, &err));
    EXPECT(cursor_done(&in));
    nodes_encode(&copy, &again);
    EXPECT(bytes_equal(buf_bytes(&b), buf_bytes(&again)));
    EXPECT(copy.formed && copy.cluster_id == 77);
    EXPECT(nodes_find(&copy, 15)->removed);
    nodes_deinit(&copy);
    for (size_t size = 0; size < b.size; size++) {
        in = cursor_of(bytes_of(b.data, size));
        EXPECT_ERR(nodes_decode(&in, &copy, &err), ERR_CORRUPT);
    }
    for (size_t i = 0; i < b.size; i++) {
        b.data[i] ^= 0x81;
        in = cursor_of(buf_bytes(&b));
        enum err_code code = nodes_decode(&in, &copy, &err);
        EXPECT(code == ERR_OK || code == ERR_CORRUPT);
        nodes_deinit(&copy);
        b.data[i] ^= 0x81;
    }
    buf_deinit(&b);
    buf_deinit(&again);
    nodes_deinit(&n);
}
