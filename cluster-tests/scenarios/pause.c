/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes that stop for a while (SIGSTOP) and go on as if nothing had happened: a
 * leader that slept is not one any more, and no read is answered from the past. */
#include "cluster-tests/load.h"
#include "testkit/test.h"

enum { ROUNDS = 30, ACKS = 50, READS_AFTER = 20, GAP_LIMIT_MS = 10000, SHORT_MS = 1500 };

/* Reads are sent to the sleeping node too, and answered when it wakes. */
static void pause_round(struct cluster *c, struct load *l, size_t node)
{
    load_gap_begin(l);
    cluster_pause(c, node);
    load_run(l, ACKS);
    (void)load_gap_end(l);
    cluster_resume(c, node);
    load_wait_reads(l, READS_AFTER);
    (void)cluster_wait_healthy(c);
}

static void run_rounds(bool leader, const char *title)
{
    struct cluster_options options = {.name = "pause", .founders = 3};
    struct cluster *c = cluster_open(&options);
    cluster_start_all(c);
    struct load_options load = {.reads = true};
    struct load *l = load_open(c, &load);
    load_run(l, ACKS);
    for (unsigned i = 0; i < cluster_rounds(ROUNDS); i++) {
        size_t node = cluster_wait_healthy(c);
        pause_round(c, l, leader ? node : (node + 1) % cluster_size(c));
    }
    load_check(l);
    load_print(l, title);
    load_expect_gaps(l, title, GAP_LIMIT_MS);
    load_close(l);
    cluster_close(c);
}

TEST(pause, a_leader_that_slept_serves_no_stale_read)
{
    run_rounds(true, "leader paused");
}

TEST(pause, a_follower_that_slept_serves_no_stale_read)
{
    run_rounds(false, "follower paused");
}

/* A write that a follower handed to a leader that sleeps is not lost with it. */
TEST(pause, a_write_handed_to_a_sleeping_leader_is_answered_when_another_leads)
{
    struct cluster_options options = {.name = "handed", .founders = 3};
    struct cluster *c = cluster_open(&options);
    cluster_start_all(c);
    struct load_options load = {0};
    struct load *l = load_open(c, &load); /* makes the table */
    load_run(l, ACKS);
    load_drain(l, CLUSTER_WAIT_MS);
    size_t leader = cluster_wait_healthy(c);
    struct node_client client = *cluster_client(c, (leader + 1) % 3);
    client.timeout_ms = CLUSTER_WAIT_MS;
    struct node_write write = {.series = 50, .count = 1, .value = 1};
    struct err e;
    EXPECT_OK(node_write(&client, &write, &e));
    cluster_pause(c, leader);
    /* Without a request id nobody may repeat it: its outcome is unknown. */
    EXPECT_ERR(node_write(&client, &write, &e), ERR_UNKNOWN_OUTCOME);
    EXPECT_CONTAINS(e.text, "another node leads now");
    cluster_resume(c, leader);
    cluster_expect_equal_state(c);
    load_close(l);
    cluster_close(c);
}

static void count_row(void *context, unsigned series, uint64_t key, uint64_t value)
{
    (void)series;
    (void)key;
    (void)value;
    (*(uint64_t *)context)++;
}

/* With the others asleep the leader can prove nothing: no write is acknowledged,
 * no linearizable read is answered. A stale one is. */
TEST(pause, a_leader_without_a_majority_answers_only_stale_reads)
{
    struct cluster_options options = {.name = "minority", .founders = 3};
    struct cluster *c = cluster_open(&options);
    struct err e;
    cluster_start_all(c);
    struct load_options load = {0};
    struct load *l = load_open(c, &load);
    load_run(l, ACKS);
    load_drain(l, CLUSTER_WAIT_MS);
    size_t leader = cluster_wait_healthy(c);
    cluster_pause(c, (leader + 1) % 3);
    cluster_pause(c, (leader + 2) % 3);

    struct node_client client = *cluster_client(c, leader);
    client.timeout_ms = SHORT_MS;
    struct node_write write = {.series = 50, .count = 1, .value = 1};
    enum err_code code = node_write(&client, &write, &e);
    EXPECT(code == ERR_DEADLINE || code == ERR_UNAVAILABLE || code == ERR_UNKNOWN_OUTCOME);
    uint64_t rows = 0;
    struct node_scan scan = {.series = -1, .row = count_row, .context = &rows};
    code = node_scan(&client, &scan, &e);
    EXPECT(code == ERR_DEADLINE || code == ERR_UNAVAILABLE);
    EXPECT_UINT(rows, 0);
    scan.stale = true;
    EXPECT_OK(node_scan(&client, &scan, &e));
    EXPECT(rows > 0);

    cluster_resume(c, (leader + 1) % 3);
    cluster_resume(c, (leader + 2) % 3);
    load_go(l);
    load_run(l, ACKS);
    /* The rows are not checked: the write without an answer is not in the load's book. */
    load_drain(l, CLUSTER_WAIT_MS);
    cluster_expect_equal_state(c);
    load_close(l);
    cluster_close(c);
}
