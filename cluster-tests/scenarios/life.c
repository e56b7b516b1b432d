/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a node: all four levels, three crashes with damage before the next
 * start, and a growth to three nodes, while clients write all the time. In the
 * end every acknowledged row is on all three. */
#include <inttypes.h>
#include <stdio.h>

#include "cluster-tests/load.h"
#include "cluster-tests/log_damage.h"
#include "testkit/test.h"

enum { ACKS = 200, TWIN_DAMAGE_SIZE = 40 };

static void set_level(struct cluster *c, size_t node, const char *level)
{
    struct err e;
    if (node_setting_set(cluster_patient(c, node), "ts.wal.wal_level", level, &e) != ERR_OK) {
        cluster_fail(c, "level %s: %s", level, e.text);
    }
}

/* Flips the beginning of a file of the node's directory. */
static void damage_file(struct cluster *c, size_t node, const char *name)
{
    char path[IO_PATH_MAX];
    struct err e;
    REQUIRE_OK(io_join(path, cluster_data_dir(c, node), name, &e));
    tree_flip(path, 0, TWIN_DAMAGE_SIZE);
}

static void join(struct cluster *c, size_t node)
{
    cluster_start(c, node, NULL);
    cluster_wait_kind(c, node, "spare");
    cluster_promote(c, node);
    (void)cluster_wait_healthy(c);
}

TEST(life, ends_with_every_acknowledged_row_on_all_three_nodes)
{
    struct cluster_options options = {.name = "life", .founders = 1, .nodes = 3};
    struct cluster *c = cluster_open(&options);
    cluster_start(c, 0, NULL);
    (void)cluster_wait_healthy(c);
    EXPECT_UINT(cluster_wait_status(c, 0).wal_level, 2);
    struct load *l = load_open(c, &(struct load_options){.reads = true});
    load_run(l, ACKS);

    /* Synced, then a crash; one copy of what it promised and one of where it stands rot. */
    set_level(c, 0, "1");
    load_run(l, ACKS);
    cluster_kill(c, 0);
    damage_file(c, 0, "hard-state.0");
    damage_file(c, 0, "control.1");
    cluster_start(c, 0, NULL);
    (void)cluster_wait_healthy(c);
    load_run(l, ACKS);

    /* Not logged; what it took then is safe with the next level. */
    set_level(c, 0, "0");
    load_run(l, ACKS);

    /* Raft: a crash, and the copies of metadata in the local WAL rot. */
    set_level(c, 0, "3");
    load_run(l, ACKS);
    cluster_kill(c, 0);
    log_damage(c, 0, "wal", 0, 8);
    cluster_start(c, 0, NULL);
    (void)cluster_wait_healthy(c);
    load_run(l, ACKS);

    /* Two more. Then a crash of any of them, whose Raft log rots. */
    join(c, 1);
    load_run(l, ACKS);
    join(c, 2);
    load_run(l, ACKS);
    size_t node = random_below(cluster_random(c), 3);
    cluster_kill(c, node);
    log_damage(c, node, "raft", 0, 8);
    load_run(l, ACKS);
    cluster_start(c, node, NULL);
    (void)cluster_wait_healthy(c);
    load_run(l, ACKS);

    load_check(l);
    load_print(l, "the life of a node");
    for (size_t i = 0; i < 3; i++) { /* on its own disk, whoever leads */
        struct row_book_verdict v = load_scan(l, i, true);
        EXPECT_UINT(v.lost, 0);
        EXPECT_UINT(cluster_wait_status(c, i).raft.holes, 0);
    }
    load_close(l);
    cluster_close(c);
}
