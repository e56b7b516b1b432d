/* SPDX-License-Identifier: Apache-2.0 */
/* A directory is a member, a name is not: a node whose directory was wiped or put
 * back to an old copy comes back under a new id, never votes as what it was, and
 * takes the seat of its name when it holds everything. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cluster-tests/load.h"
#include "io/io_posix.h"
#include "testkit/test.h"

enum { ACKS = 100, ROUNDS = 10 };

/* The configuration as the leader shows it: who is there under a name. */
struct seat {
    size_t node;
    uint64_t old_id;
    struct node_status now; /* of the voter of that name */
};

static bool has_new_voter(struct cluster *c, void *context)
{
    struct seat *s = context;
    struct node_cluster_status status;
    struct err e;
    size_t leader = cluster_leader(c);
    if (leader == cluster_size(c) ||
        node_cluster_status_get(cluster_client(c, leader), &status, &e) != ERR_OK) {
        return false;
    }
    bool found = false;
    for (size_t i = 0; i < status.count; i++) {
        const struct node_status *n = &status.nodes[i];
        if (n->id == s->old_id) {
            return false; /* still a member */
        }
        if (strcmp(n->name, cluster_name(c, s->node)) == 0 && strcmp(n->kind, "voter") == 0) {
            s->now = *n;
            found = true;
        }
    }
    return found && status.count == cluster_size(c);
}

static uint64_t id_of(struct cluster *c, size_t node)
{
    struct node_status s = cluster_wait_status(c, node);
    EXPECT(s.id != 0);
    return s.id;
}

static struct cluster *open_three(const char *name, struct load **l)
{
    struct cluster_options options = {.name = name, .founders = 3};
    struct cluster *c = cluster_open(&options);
    cluster_start_all(c);
    struct load_options load = {.reads = true};
    *l = load_open(c, &load);
    load_run(*l, ACKS);
    return c;
}

static void close_checked(struct cluster *c, struct load *l, const char *title)
{
    load_check(l);
    load_print(l, title);
    load_close(l);
    cluster_close(c);
}

/* Under load; each of the nodes, the leader among them, loses its disk. */
TEST(identity, a_wiped_node_takes_its_seat_under_a_new_id)
{
    struct load *l = NULL;
    struct cluster *c = open_three("wiped", &l);
    for (unsigned i = 0; i < cluster_rounds(ROUNDS) + 1; i++) {
        size_t leader = cluster_wait_healthy(c);
        struct seat seat = {.node = (leader + i % 2) % cluster_size(c)};
        seat.old_id = id_of(c, seat.node);
        cluster_kill(c, seat.node);
        tree_remove(cluster_data_dir(c, seat.node));
        load_run(l, ACKS);
        cluster_start(c, seat.node, NULL);
        cluster_wait(c, has_new_voter, &seat, 0, "the wiped node is not a voter under a new id");
        (void)cluster_wait_healthy(c);
        EXPECT(id_of(c, seat.node) != seat.old_id);
        EXPECT_UINT(id_of(c, seat.node), seat.now.id);
        load_run(l, ACKS);
    }
    close_checked(c, l, "wiped nodes");
}

/* Nobody writes: it must not wait for traffic. */
TEST(identity, a_wiped_node_rejoins_an_idle_cluster)
{
    struct load *l = NULL;
    struct cluster *c = open_three("idle", &l);
    load_drain(l, CLUSTER_WAIT_MS);
    struct seat seat = {.node = (cluster_wait_healthy(c) + 1) % 3};
    seat.old_id = id_of(c, seat.node);
    cluster_kill(c, seat.node);
    tree_remove(cluster_data_dir(c, seat.node));
    uint64_t begin_us = process_now_us();
    cluster_start(c, seat.node, NULL);
    cluster_wait(c, has_new_voter, &seat, 0, "not a voter again though nobody writes");
    (void)printf("a voter again after %" PRIu64 " ms\n", (process_now_us() - begin_us) / 1000);
    close_checked(c, l, "wiped, idle");
}

static bool is_spare(struct cluster *c, void *context)
{
    const struct seat *s = context;
    struct node_cluster_status status;
    struct err e;
    size_t leader = cluster_leader(c);
    if (leader == cluster_size(c) ||
        node_cluster_status_get(cluster_client(c, leader), &status, &e) != ERR_OK) {
        return false;
    }
    for (size_t i = 0; i < status.count; i++) {
        const struct node_status *n = &status.nodes[i];
        if (n->id != s->old_id && strcmp(n->name, cluster_name(c, s->node)) == 0) {
            EXPECT(strcmp(n->kind, "voter") != 0);
            return strcmp(n->kind, "spare") == 0 && n->role != NODE_UNREACHABLE;
        }
    }
    return false;
}

TEST(identity, with_node_replace_manual_a_wiped_node_waits_for_the_operator)
{
    struct load *l = NULL;
    struct cluster *c = open_three("manual", &l);
    struct err e;
    size_t leader = cluster_wait_healthy(c);
    EXPECT_OK(node_setting_set(cluster_patient(c, leader), "node.replace", "manual", &e));
    struct seat seat = {.node = (leader + 1) % 3};
    seat.old_id = id_of(c, seat.node);
    cluster_kill(c, seat.node);
    tree_remove(cluster_data_dir(c, seat.node));
    cluster_start(c, seat.node, NULL);
    cluster_wait(c, is_spare, &seat, 0, "the wiped node is not a spare");
    load_run(l, 20 * ACKS); /* long enough to be replaced if it were automatic */
    cluster_wait(c, is_spare, &seat, 0, "the wiped node is not a spare any more");
    cluster_change(c, "ReplaceNode", seat.node, has_new_voter, &seat);
    (void)cluster_wait_healthy(c);
    close_checked(c, l, "replaced by the operator");
}

/* An old copy of a directory knows an older term, vote and log than its node
 * promised: it is refused, set aside, and the node begins anew. */
TEST(identity, a_directory_put_back_is_refused_and_rejoins_as_a_newcomer)
{
    struct load *l = NULL;
    struct cluster *c = open_three("rolled-back", &l);
    struct seat seat = {.node = (cluster_wait_healthy(c) + 1) % 3};
    char copy[IO_PATH_MAX];
    workdir_path(cluster_workdir(c), "copy", copy);
    seat.old_id = id_of(c, seat.node);
    cluster_stop(c, seat.node);
    tree_copy(cluster_data_dir(c, seat.node), copy);
    cluster_start(c, seat.node, NULL);
    (void)cluster_wait_healthy(c);
    load_run(l, ACKS);
    cluster_kill(c, seat.node);
    tree_remove(cluster_data_dir(c, seat.node));
    tree_copy(copy, cluster_data_dir(c, seat.node));
    cluster_start(c, seat.node, NULL);
    cluster_wait(c, has_new_voter, &seat, 0, "the rolled back node is not a voter under a new id");
    (void)cluster_wait_healthy(c);
    EXPECT(cluster_said(c, seat.node, "node identity-lost"));
    char lost[IO_PATH_MAX];
    struct err e;
    bool exists = false;
    EXPECT_OK(io_join(lost, cluster_data_dir(c, seat.node), "lost", &e));
    EXPECT_OK(io_exists(io_posix(), lost, &exists, &e));
    EXPECT(exists);
    close_checked(c, l, "rolled back directory");
}
