/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/configuration.h"

#include <stdio.h>
#include <string.h>

#include "base/random.h"
#include "raft/test/single.h"
#include "testkit/test.h"

static struct configuration make(const char *servers)
{
    struct configuration c;
    single_configuration(servers, 5, &c);
    return c;
}

TEST(configuration, comes_back_from_its_bytes)
{
    struct configuration c = make("vvsp");
    struct configuration back;
    struct buf b = {0};
    struct err e;
    configuration_encode(&c, &b);
    REQUIRE_OK(configuration_decode(buf_bytes(&b), 9, &back, &e));
    EXPECT(configuration_equal(&c, &back));
    EXPECT_UINT(back.index, 9);
    EXPECT_UINT(back.count, 4);
    EXPECT_UINT(back.servers[2].role, SERVER_STANDBY);
    EXPECT_STR(back.servers[3].address, "n4");
    buf_deinit(&b);
}

/* The bytes are in logs and snapshots: they never change for version 1. */
TEST(configuration, has_the_bytes_of_version_1)
{
    static const uint8_t golden[] = {
        1, 2,                                   /* version, count */
        1, 0, 0, 0, 0, 0, 0, 0, 2, 2, 'n', '1', /* id, voter, address */
        2, 0, 0, 0, 0, 0, 0, 0, 1, 2, 'n', '2', /* id, standby, address */
    };
    struct configuration c = make("vs");
    struct buf b = {0};
    configuration_encode(&c, &b);
    REQUIRE_UINT(b.size, sizeof golden);
    EXPECT_MEM(b.data, golden, sizeof golden);
    buf_deinit(&b);
}

TEST(configuration, may_hold_two_servers_at_one_address)
{
    struct configuration c = make("vvv");
    struct configuration back;
    struct buf b = {0};
    struct err e;
    (void)snprintf(c.servers[2].address, sizeof c.servers[2].address, "n1");
    configuration_encode(&c, &b);
    EXPECT_OK(configuration_decode(buf_bytes(&b), 1, &back, &e));
    EXPECT(configuration_equal(&c, &back));
    buf_deinit(&b);
}

static void expect_refused(struct buf *b, const char *text)
{
    struct configuration c;
    struct err e;
    EXPECT_ERR(configuration_decode(buf_bytes(b), 1, &c, &e), ERR_CORRUPT);
    EXPECT_CONTAINS(e.text, text);
}

TEST(configuration, refuses_bytes_that_hold_none)
{
    struct configuration c = make("vv");
    struct buf b = {0};
    expect_refused(&b, "format");
    configuration_encode(&c, &b);
    b.data[0] = 2;
    expect_refused(&b, "format 2");
    b.data[0] = 1;
    b.data[1] = 0;
    expect_refused(&b, "0 servers");
    b.data[1] = LIMIT_NODES_MAX + 1;
    expect_refused(&b, "17 servers");
    b.data[1] = 3;
    expect_refused(&b, "cut short");
    b.data[1] = 1;
    expect_refused(&b, "bytes too many");
    b.data[1] = 2;
    b.data[10] = 3;
    expect_refused(&b, "role 3");
    b.data[10] = SERVER_SPARE;
    b.data[22] = SERVER_STANDBY;
    expect_refused(&b, "no voter");
    b.data[10] = SERVER_VOTER;
    b.data[14] = 1;
    expect_refused(&b, "twice");
    b.data[14] = 0;
    expect_refused(&b, "without id");
    buf_deinit(&b);
}

TEST(configuration, survives_any_bytes)
{
    struct random r = random_seeded(7);
    struct configuration c = make("vvspv");
    struct buf b = {0};
    unsigned refused = 0;
    configuration_encode(&c, &b);
    for (int i = 0; i < 20000; i++) {
        struct configuration out;
        struct buf copy = {0};
        buf_put_bytes(&copy, buf_bytes(&b));
        uint64_t at = random_below(&r, copy.size);
        copy.data[at] = (uint8_t)random_u64(&r);
        copy.size = random_chance(&r, 1, 4) ? random_below(&r, copy.size) : copy.size;
        if (configuration_decode(buf_bytes(&copy), 1, &out, NULL) != ERR_OK) {
            refused++;
        } else {
            EXPECT(out.count >= 1 && out.count <= LIMIT_NODES_MAX);
        }
        buf_deinit(&copy);
    }
    EXPECT(refused > 1000);
    buf_deinit(&b);
}

TEST(configuration, counts_majorities_of_voters_alone)
{
    struct configuration c = make("vvvsp");
    const uint64_t two[] = {1, 3};
    const uint64_t others[] = {1, 4, 5, 9};
    EXPECT_UINT(configuration_voters(&c), 3);
    EXPECT(configuration_has_majority(&c, two, 2));
    EXPECT(!configuration_has_majority(&c, two, 1));
    EXPECT(!configuration_has_majority(&c, others, 4));
    EXPECT(!configuration_has_majority(&c, NULL, 0));
    EXPECT(configuration_is_voter(&c, 3));
    EXPECT(!configuration_is_voter(&c, 4));
    EXPECT(!configuration_is_voter(&c, 9));
}

TEST(configuration, of_four_voters_needs_three)
{
    struct configuration c = make("vvvv");
    const uint64_t ids[] = {1, 2, 3};
    EXPECT(!configuration_has_majority(&c, ids, 2));
    EXPECT(configuration_has_majority(&c, ids, 3));
}

struct step {
    const char *from;
    const char *to;
    const char *refusal; /* NULL: one step */
};

/* A letter per node: voter, standby, spare (p), '-' not there. */
TEST(configuration, goes_one_step_at_a_time)
{
    static const struct step steps[] = {
        {"vvv", "vvvp", NULL},
        {"vvv", "vvvs", NULL},
        {"vvv", "vvvv", "starts as spare or standby"},
        {"vvv", "vvvpp", "from 3 to 5"},
        {"vvvp", "vvvs", NULL},
        {"vvvs", "vvvv", NULL},
        {"vvvp", "vvvv", "two steps"},
        {"vvvv", "vvvp", "two steps"},
        {"vvvv", "vvvs", NULL},
        {"vvvs", "vvvp", NULL},
        {"vvvs", "vvvs", "0 changes"},
        {"vvss", "vvvv", "2 changes"},
        {"vvv", "v-v", NULL},
        {"vvv", "-vv", NULL},
        {"vvv", "vv", NULL},
        {"vvv", "v-s", "changes another one"},
        {"v", "s", "0 voters"},
        {"vs", "-s", "0 voters"},
        {"vvvvvvvs", "vvvvvvvv", "8 voters"},
        {"vvv", "v-vp", "another one"},
        {"vvp", "vv-s", "another one"},
    };
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        struct configuration from = make(steps[i].from);
        struct configuration to = make(steps[i].to);
        struct err e = {0};
        enum err_code code = configuration_check_step(&from, &to, &e);
        if (steps[i].refusal == NULL) {
            EXPECT_OK(code);
        } else {
            EXPECT_ERR(code, ERR_INVALID);
            EXPECT_CONTAINS(e.text, steps[i].refusal);
        }
    }
}

TEST(configuration, keeps_the_order_of_its_servers)
{
    struct configuration from = make("vvs");
    struct configuration to = from;
    struct err e;
    to.servers[0] = from.servers[1];
    to.servers[1] = from.servers[0];
    EXPECT_ERR(configuration_check_step(&from, &to, &e), ERR_INVALID);
    EXPECT_CONTAINS(e.text, "server 0 is another one");
    to.servers[2] = to.servers[1];
    to.count = 3;
    EXPECT_ERR(configuration_check_step(&from, &to, &e), ERR_INVALID);
}

TEST(configuration, may_move_a_server_to_another_address_by_itself)
{
    struct configuration from = make("vvs");
    struct configuration to = from;
    struct err e;
    (void)snprintf(to.servers[1].address, sizeof to.servers[1].address, "n2@new:1");
    EXPECT_OK(configuration_check_step(&from, &to, &e));
    EXPECT(!configuration_equal(&from, &to));
    to.servers[2].role = SERVER_VOTER;
    EXPECT_ERR(configuration_check_step(&from, &to, &e), ERR_INVALID);
}

TEST(configuration, grows_to_its_limit_and_no_further)
{
    struct configuration c = make("vpppppppppppppp");
    struct configuration to;
    struct err e;
    EXPECT_UINT(c.count, 15);
    to = make("vppppppppppppppp");
    EXPECT_OK(configuration_check_step(&c, &to, &e));
    c = to;
    to.count = LIMIT_NODES_MAX + 1;
    EXPECT_ERR(configuration_check_step(&c, &to, &e), ERR_INVALID);
    EXPECT_CONTAINS(e.text, "17 servers");
    to.count = 0;
    EXPECT_ERR(configuration_check_step(&c, &to, &e), ERR_INVALID);
}
