/* SPDX-License-Identifier: Apache-2.0 */
/* A client in another language, with that language's own gRPC. */
#include <stdio.h>
#include <string.h>

#include "cluster-tests/cluster.h"
#include "io/io_posix.h"
#include "testkit/test.h"

#define PYTHON "/usr/bin/python3"

enum { CLIENT_LIMIT_MS = 120000, OUTPUT_SIZE_MAX = LIMIT_MIB };

/* Turns the loop meanwhile: a node that ends is noticed. */
static int run_client(struct cluster *c, const char *output)
{
    const char *argv[CLUSTER_NODES_MAX + 3] = {PYTHON, TEST_SOURCE_DIR "/client.py"};
    struct process p = {0};
    struct process_end end = {.code = -1};
    struct err e;
    for (size_t i = 0; i < cluster_size(c); i++) {
        argv[2 + i] = cluster_client_address(c, i);
    }
    REQUIRE_OK(process_start(&p, argv, output, &e));
    uint64_t end_us = process_now_us() + UINT64_C(1000) * CLIENT_LIMIT_MS;
    while (!process_has_ended(&p, &end)) {
        if (process_now_us() > end_us) {
            process_kill(&p);
            cluster_fail(c, "the client does not end");
        }
        cluster_turn(c, 10);
    }
    return end.code;
}

TEST(python, a_client_made_from_reflection_writes_and_scans)
{
    struct cluster_options options = {.name = "python", .founders = 3};
    struct cluster *c = cluster_open(&options);
    char output[IO_PATH_MAX];
    struct buf text = {0};
    struct err e;
    bool found = false;
    REQUIRE_OK(io_exists(io_posix(), PYTHON, &found, &e));
    if (!found) {
        (void)printf("skipped: no %s\n", PYTHON);
        cluster_close(c);
        return;
    }
    cluster_start_all(c);
    (void)cluster_wait_healthy(c);
    workdir_path(cluster_workdir(c), "client.out", output);
    int code = run_client(c, output);
    EXPECT_OK(io_read_file(io_posix(), output, OUTPUT_SIZE_MAX, &text, &e));
    buf_put_u8(&text, 0);
    (void)printf("%s", (const char *)text.data);
    EXPECT_INT(code, 0);
    EXPECT(strstr((const char *)text.data, "skipped: ") != NULL ||
           strstr((const char *)text.data, "ok\n") != NULL);
    buf_deinit(&text);
    cluster_expect_equal_state(c);
    cluster_close(c);
}
