/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/peer_hello.h"

#include <string.h>

#include "base/mem.h"
#include "proto/tidemark/peer/v1/peer.pb-c.h"
#include "testkit/test.h"

static const struct peer_hello full = {
    .protocol = 1,
    .cluster_id = 0x0102030405060708,
    .directory_id = 0xffffffffffffffff,
    .start_counter = 300,
    .nonce = 5,
    .known_counter = 299,
    .known_nonce = 6,
    .name = "n1",
    .peer_address = "10.0.0.1:7071",
    .client_address = "10.0.0.1:7070",
    .version = "0.1.0",
};

static void expect_same(const struct peer_hello *a, const struct peer_hello *b)
{
    EXPECT_UINT(a->protocol, b->protocol);
    EXPECT_UINT(a->cluster_id, b->cluster_id);
    EXPECT_UINT(a->directory_id, b->directory_id);
    EXPECT_UINT(a->start_counter, b->start_counter);
    EXPECT_UINT(a->nonce, b->nonce);
    EXPECT_UINT(a->known_counter, b->known_counter);
    EXPECT_UINT(a->known_nonce, b->known_nonce);
    EXPECT_STR(a->name, b->name);
    EXPECT_STR(a->peer_address, b->peer_address);
    EXPECT_STR(a->client_address, b->client_address);
    EXPECT_STR(a->version, b->version);
}

TEST(peer_hello, hello_survives_the_way_there_and_back)
{
    struct buf b = {0};
    peer_hello_encode(&full, &b);
    struct peer_hello back;
    struct err e;
    REQUIRE_OK(peer_hello_decode(buf_bytes(&b), &back, &e));
    expect_same(&back, &full);
    buf_deinit(&b);
}

/* The bytes are those of peer.proto, as the generated code reads them. */
TEST(peer_hello, bytes_are_those_of_the_proto_file)
{
    struct peer_welcome w = {.ask_nonce_of = 7,
                             .duplicate = true,
                             .refusal = {.reason = "because",
                                         .removed = true,
                                         .rolled_back = true,
                                         .seen_counter = 8,
                                         .seen_nonce = 9,
                                         .directory_id = 10,
                                         .start_counter = 11,
                                         .nonce = 12},
                             .has_hello = true,
                             .hello = full};
    struct buf b = {0};
    peer_welcome_encode(&w, &b);
    Tidemark__Peer__V1__Welcome *m = tidemark__peer__v1__welcome__unpack(NULL, b.size, b.data);
    REQUIRE(m != NULL);
    EXPECT(!m->accepted);
    EXPECT_STR(m->reason, "because");
    EXPECT_UINT(m->ask_nonce_of, 7);
    EXPECT(m->removed);
    EXPECT(m->rolled_back);
    EXPECT_UINT(m->seen_counter, 8);
    EXPECT_UINT(m->seen_nonce, 9);
    EXPECT_UINT(m->directory_id, 10);
    EXPECT_UINT(m->start_counter, 11);
    EXPECT_UINT(m->nonce, 12);
    EXPECT(m->duplicate);
    REQUIRE(m->hello != NULL);
    EXPECT_UINT(m->hello->protocol, 1);
    EXPECT_UINT(m->hello->cluster_id, full.cluster_id);
    EXPECT_UINT(m->hello->directory_id, full.directory_id);
    EXPECT_UINT(m->hello->start_counter, 300);
    EXPECT_UINT(m->hello->nonce, 5);
    EXPECT_UINT(m->hello->known_counter, 299);
    EXPECT_UINT(m->hello->known_nonce, 6);
    EXPECT_STR(m->hello->name, "n1");
    EXPECT_STR(m->hello->peer_address, "10.0.0.1:7071");
    EXPECT_STR(m->hello->client_address, "10.0.0.1:7070");
    EXPECT_STR(m->hello->version, "0.1.0");
    struct buf again = {0};
    size_t size = tidemark__peer__v1__welcome__get_packed_size(m);
    (void)tidemark__peer__v1__welcome__pack(m, buf_extend(&again, size));
    EXPECT(bytes_equal(buf_bytes(&again), buf_bytes(&b)));
    tidemark__peer__v1__welcome__free_unpacked(m, NULL);

    struct peer_welcome back;
    struct err e;
    REQUIRE_OK(peer_welcome_decode(buf_bytes(&b), &back, &e));
    expect_same(&back.hello, &full);
    EXPECT_STR(back.refusal.reason, "because");
    EXPECT(back.duplicate);
    EXPECT(back.refusal.removed);
    EXPECT_UINT(back.refusal.seen_nonce, 9);
    EXPECT_UINT(back.refusal.directory_id, 10);
    EXPECT_UINT(back.refusal.start_counter, 11);
    EXPECT_UINT(back.refusal.nonce, 12);
    buf_deinit(&again);
    buf_deinit(&b);
}

TEST(peer_hello, what_can_not_be_right_is_refused)
{
    struct peer_hello h;
    struct peer_welcome w;
    struct err e;
    EXPECT_ERR(peer_hello_decode(bytes_str(""), &h, &e), ERR_CORRUPT);
    EXPECT_CONTAINS(e.text, "directory id");
    EXPECT_ERR(peer_hello_decode(bytes_str("nonsense"), &h, &e), ERR_CORRUPT);
    /* accepted, and asks for a nonce */
    EXPECT_ERR(peer_welcome_decode(bytes_of("\x08\1\x20\1", 4), &w, &e), ERR_CORRUPT);
    /* a Hello inside that has no id */
    EXPECT_ERR(peer_welcome_decode(bytes_of("\x1a\0", 2), &w, &e), ERR_CORRUPT);
    EXPECT_OK(peer_welcome_decode(bytes_str(""), &w, &e)); /* refused, without a reason */
}

TEST(peer_hello, texts_that_are_too_long_are_refused_but_a_reason_is_cut)
{
    struct buf b = {0};
    char text[400];
    memset(text, 'x', sizeof text);
    peer_hello_encode(&full, &b);
    buf_put(&b, "\x32\x40", 2); /* name, 64 bytes */
    buf_put(&b, text, 64);
    struct peer_hello h;
    struct err e;
    EXPECT_ERR(peer_hello_decode(buf_bytes(&b), &h, &e), ERR_CORRUPT);
    buf_reset(&b);
    buf_put(&b, "\x12\xac\x02", 3); /* reason, 300 bytes */
    buf_put(&b, text, 300);
    struct peer_welcome w;
    EXPECT_OK(peer_welcome_decode(buf_bytes(&b), &w, &e));
    EXPECT_UINT(strlen(w.refusal.reason), sizeof w.refusal.reason - 1);
    buf_deinit(&b);
}

TEST(peer_hello, fields_of_a_later_version_are_left_alone)
{
    struct buf b = {0};
    peer_hello_encode(&full, &b);
    buf_put(&b, "\xfa\x01\x02hi", 5); /* field 31 */
    struct peer_hello h;
    EXPECT_OK(peer_hello_decode(buf_bytes(&b), &h, NULL));
    expect_same(&h, &full);
    buf_deinit(&b);
}

/* Cut anywhere: refused or read, never a read beyond the end (asan sees it). */
TEST(peer_hello, cut_messages_never_crash)
{
    struct buf b = {0};
    struct peer_welcome w = {.accepted = true, .has_hello = true, .hello = full};
    peer_welcome_encode(&w, &b);
    unsigned refused = 0;
    for (size_t size = 0; size < b.size; size++) {
        uint8_t *copy = mem_dup(b.data, size);
        struct peer_welcome back;
        refused += peer_welcome_decode(bytes_of(copy, size), &back, NULL) != ERR_OK;
        mem_free(copy);
    }
    EXPECT(refused >= b.size - 3);
    buf_deinit(&b);
}
