/* SPDX-License-Identifier: Apache-2.0 */
/* With one real node alone. */
#include "cluster-tests/load.h"

#include <string.h>

#include "testkit/test.h"

enum { ACKS = 200 };

static struct cluster *open_one(struct load **l, bool reads)
{
    struct cluster_options options = {.name = "harness"};
    struct cluster *c = cluster_open(&options);
    cluster_start_all(c);
    struct load_options load = {.reads = reads};
    *l = load_open(c, &load);
    return c;
}

TEST(load, writes_reads_and_finds_everything)
{
    struct load *l = NULL;
    struct cluster *c = open_one(&l, true);
    load_run(l, ACKS);
    EXPECT(load_acks(l) >= ACKS);
    EXPECT(load_gap_ms(l) < CLUSTER_WAIT_MS);
    load_check(l);
    EXPECT(load_reads(l) > 0);
    struct row_book_verdict v = load_scan(l, 0, true);
    EXPECT(row_book_is_good(&v));
    EXPECT(v.found >= ACKS / 4); /* some write a key again */
    load_close(l);
    cluster_close(c);
}

/* The check would be worth nothing if it could not fail. */
TEST(load, sees_a_row_changed_behind_its_back)
{
    struct load *l = NULL;
    struct cluster *c = open_one(&l, false);
    struct err e;
    load_run(l, ACKS);
    load_drain(l, CLUSTER_WAIT_MS);
    struct row_book_verdict v = load_scan(l, 0, false);
    EXPECT_STR(v.first, "");
    struct node_write changed = {.series = 1, .first = 0, .count = 1, .value = 77777};
    EXPECT_OK(node_write(cluster_client(c, 0), &changed, &e));
    v = load_scan(l, 0, false);
    EXPECT_UINT(v.wrong, 1);
    struct node_write foreign = {.series = 60, .first = 5, .count = 2, .value = 1};
    EXPECT_OK(node_write(cluster_client(c, 0), &foreign, &e));
    v = load_scan(l, 0, false);
    EXPECT_UINT(v.phantom, 2);
    EXPECT(!row_book_is_good(&v));
    load_close(l);
    cluster_close(c);
}

/* A node that lost its directory has lost every row. */
TEST(load, sees_that_everything_is_lost)
{
    struct load *l = NULL;
    struct cluster *c = open_one(&l, false);
    struct err e;
    load_run(l, ACKS);
    load_drain(l, CLUSTER_WAIT_MS);
    cluster_kill(c, 0);
    tree_remove(cluster_data_dir(c, 0));
    cluster_start(c, 0, NULL);
    (void)cluster_wait_healthy(c);
    EXPECT_OK(node_make_table(cluster_client(c, 0), &e));
    struct row_book_verdict v = load_scan(l, 0, false);
    EXPECT_UINT(v.found, 0);
    EXPECT(v.lost > 0);
    EXPECT_CONTAINS(v.first, "is lost");
    load_close(l);
    cluster_close(c);
}

TEST(load, gives_up_what_a_dead_node_does_not_answer)
{
    struct load *l = NULL;
    struct cluster *c = open_one(&l, true);
    load_run(l, ACKS);
    cluster_kill(c, 0);
    load_drain(l, 100);
    EXPECT(!cluster_runs(c, 0));
    cluster_start(c, 0, NULL);
    load_go(l);
    load_run(l, ACKS);
    load_check(l); /* at the default level a killed process loses nothing */
    load_close(l);
    cluster_close(c);
}
