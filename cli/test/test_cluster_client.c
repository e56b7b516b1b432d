/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "cli/cluster_client.h"
#include "cli/test/fake_server.h"
#include "testkit/test.h"

static struct cluster *cluster_at(const char *endpoints, uint64_t timeout_ms)
{
    struct cluster *c = NULL;
    struct cluster_options options = {endpoints, timeout_ms};
    REQUIRE_OK(cluster_open(&options, &c, NULL));
    return c;
}

static enum err_code create(struct cluster *c, bool *ambiguous, struct err *e)
{
    Tidemark__V1__CreateDatabaseRequest request;
    tidemark__v1__create_database_request__init(&request);
    request.database = (char *)(uintptr_t)"made";
    struct buf message = {0};
    struct buf answer = {0};
    cluster_pack(&request.base, &message);
    struct cluster_request call = {.path = "/tidemark.v1.Admin/CreateDatabase",
                                   .message = buf_bytes(&message)};
    enum err_code code = cluster_call(c, &call, &answer, ambiguous, e);
    buf_deinit(&message);
    buf_deinit(&answer);
    return code;
}

TEST(cluster_client, asks_and_gets_an_answer)
{
    struct fake *f = fake_open(1, false);
    fake_start(f);
    struct cluster *c = cluster_at(fake_endpoints(f), 5000);
    Tidemark__V1__ListSettingsRequest request;
    tidemark__v1__list_settings_request__init(&request);
    ProtobufCMessage *answer = NULL;
    struct err e = {0};
    REQUIRE_OK(cluster_ask(c, "/tidemark.v1.Admin/ListSettings", &request.base,
                           &tidemark__v1__list_settings_response__descriptor, &answer, &e));
    EXPECT_UINT(((Tidemark__V1__ListSettingsResponse *)answer)->n_settings, 1);
    protobuf_c_message_free_unpacked(answer, NULL);
    REQUIRE_OK(cluster_ask_at(c, 0, "/tidemark.v1.Admin/NodeStatus",
                              &tidemark__v1__node_status_response__descriptor, &answer, &e));
    EXPECT_UINT(((Tidemark__V1__NodeStatusResponse *)answer)->term, 3);
    protobuf_c_message_free_unpacked(answer, NULL);
    cluster_close(c);
    cluster_close(NULL);
    fake_close(f);
}

TEST(cluster_client, gives_up_at_once_when_nobody_is_there)
{
    /* Ports that were free a moment ago. */
    struct fake *f = fake_open(2, false);
    char endpoints[80];
    (void)snprintf(endpoints, sizeof endpoints, "%s", fake_endpoints(f));
    fake_close(f);
    struct cluster *c = cluster_at(endpoints, 60000);
    struct err e = {0};
    EXPECT_ERR(create(c, NULL, &e), ERR_UNAVAILABLE);
    EXPECT_CONTAINS(e.text, "no server can be reached: connect to 127.0.0.1:");
    cluster_close(c);
}

TEST(cluster_client, goes_to_the_next_endpoint_when_one_is_dead)
{
    struct fake *dead = fake_open(1, false);
    struct fake *f = fake_open(1, false);
    char endpoints[80];
    (void)snprintf(endpoints, sizeof endpoints, "%s,%s", fake_endpoints(dead), fake_endpoints(f));
    fake_close(dead);
    fake_start(f);
    struct cluster *c = cluster_at(endpoints, 5000);
    bool ambiguous = true;
    EXPECT_OK(create(c, &ambiguous, NULL));
    EXPECT(!ambiguous);
    EXPECT_UINT(cluster_endpoints(c)->current, 1);
    cluster_close(c);
    fake_close(f);
}

TEST(cluster_client, follows_the_leader_that_an_answer_names)
{
    struct fake *f = fake_open(3, true);
    fake_rule(f, (struct fake_rule){.method = "CreateDatabase",
                                    .server = 2,
                                    .from = 1,
                                    .count = 1,
                                    .action = FAKE_FAIL,
                                    .status = GRPC_UNAVAILABLE,
                                    .message = "not the leader",
                                    .name_leader = true});
    fake_start(f);
    struct cluster *c = cluster_at(fake_address(f, 2), 5000);
    EXPECT_OK(create(c, NULL, NULL));
    EXPECT_STR(cluster_endpoints(c)->addresses[cluster_endpoints(c)->current], fake_address(f, 0));
    cluster_close(c);
    fake_close(f);
}

TEST(cluster_client, a_lost_answer_makes_the_next_one_ambiguous)
{
    struct fake *f = fake_open(1, false);
    fake_rule(f, (struct fake_rule){.method = "CreateDatabase",
                                    .server = FAKE_ANY,
                                    .from = 1,
                                    .count = 1,
                                    .action = FAKE_LOSE});
    fake_start(f);
    struct cluster *c = cluster_at(fake_endpoints(f), 5000);
    struct err e = {0};
    bool ambiguous = false;
    EXPECT_ERR(create(c, &ambiguous, &e), ERR_EXISTS);
    EXPECT(ambiguous);
    cluster_close(c);
    fake_stop(f);
    EXPECT_UINT(fake_calls(f, "CreateDatabase"), 2);
    fake_close(f);
}

TEST(cluster_client, a_refusal_is_final)
{
    struct fake *f = fake_open(2, false);
    fake_rule(f, (struct fake_rule){.method = "CreateDatabase",
                                    .server = FAKE_ANY,
                                    .from = 1,
                                    .count = 9,
                                    .action = FAKE_FAIL,
                                    .status = GRPC_INVALID_ARGUMENT,
                                    .message = "bad name"});
    fake_start(f);
    struct cluster *c = cluster_at(fake_endpoints(f), 5000);
    struct err e = {0};
    EXPECT_ERR(create(c, NULL, &e), ERR_INVALID);
    EXPECT_STR(e.text, "INVALID_ARGUMENT: bad name");
    cluster_close(c);
    fake_stop(f);
    EXPECT_UINT(fake_calls(f, "CreateDatabase"), 1);
    fake_close(f);
}

TEST(cluster_client, gives_up_when_time_is_over)
{
    struct fake *f = fake_open(2, false);
    fake_rule(f, (struct fake_rule){.method = "CreateDatabase",
                                    .server = FAKE_ANY,
                                    .from = 1,
                                    .count = 100000,
                                    .action = FAKE_FAIL,
                                    .status = GRPC_UNAVAILABLE,
                                    .message = "no leader"});
    fake_start(f);
    struct cluster *c = cluster_at(fake_endpoints(f), 300);
    struct err e = {0};
    EXPECT_ERR(create(c, NULL, &e), ERR_DEADLINE);
    /* The last attempt may be cut short by the end of the time itself. */
    EXPECT_CONTAINS(e.text, "gave up after 300 ms: ");
    cluster_close(c);
    fake_stop(f);
    EXPECT(fake_calls(f, "CreateDatabase") >= 2);
    fake_close(f);
}

/* --- streams --- */

static bool count_message(void *context, struct bytes message)
{
    (void)message;
    ++*(unsigned *)context;
    return true;
}

static bool refuse_message(void *context, struct bytes message)
{
    (void)message;
    ++*(unsigned *)context;
    return false;
}

static enum err_code scan(struct cluster *c, bool (*message)(void *, struct bytes), unsigned *count,
                          struct err *e)
{
    struct cluster_request request = {.path = "/tidemark.v1.Data/Scan"};
    return cluster_stream(c, &request, message, count, e);
}

TEST(cluster_client, a_stream_is_tried_elsewhere_until_it_begins)
{
    struct fake *f = fake_open(2, false);
    for (int64_t i = 0; i < 350; i++) {
        fake_row(f, "a", i, "1");
    }
    fake_rule(f, (struct fake_rule){.method = "Scan",
                                    .server = 0,
                                    .from = 1,
                                    .count = 1,
                                    .action = FAKE_FAIL,
                                    .status = GRPC_UNAVAILABLE,
                                    .message = "starting"});
    fake_start(f);
    struct cluster *c = cluster_at(fake_endpoints(f), 5000);
    struct err e = {0};
    unsigned count = 0;
    EXPECT_OK(scan(c, count_message, &count, &e));
    EXPECT_UINT(count, 5);
    count = 0;
    EXPECT_ERR(scan(c, refuse_message, &count, &e), ERR_CANCELLED);
    EXPECT_UINT(count, 1);
    cluster_close(c);
    fake_close(f);
}

TEST(cluster_client, a_silent_stream_is_given_up)
{
    struct fake *f = fake_open(1, false);
    fake_rule(f,
              (struct fake_rule){
                  .method = "Scan", .server = 0, .from = 1, .count = 100, .action = FAKE_IGNORE});
    fake_start(f);
    struct cluster *c = cluster_at(fake_endpoints(f), 100);
    struct err e = {0};
    unsigned count = 0;
    EXPECT_ERR(scan(c, count_message, &count, &e), ERR_DEADLINE);
    EXPECT_UINT(count, 0);
    cluster_close(c);
    fake_close(f);
}

TEST(cluster_client, an_answer_that_is_none_is_refused)
{
    ProtobufCMessage *answer = NULL;
    struct err e = {0};
    EXPECT_ERR(
        cluster_unpack(&tidemark__v1__setting__descriptor, bytes_str("\xff\xff"), &answer, &e),
        ERR_CORRUPT);
    EXPECT_OK(cluster_unpack(&tidemark__v1__setting__descriptor, (struct bytes){0}, &answer, &e));
    protobuf_c_message_free_unpacked(answer, NULL);
    struct cluster *c = NULL;
    struct cluster_options options = {"a:b", 100};
    EXPECT_ERR(cluster_open(&options, &c, &e), ERR_INVALID);
}
