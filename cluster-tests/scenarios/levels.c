/* SPDX-License-Identifier: Apache-2.0 */
/* ts.wal.wal_level changed while clients write: every change on one node and on
 * three, one node that grows into three and back, and definitions and settings in
 * the middle of power failures at every level. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cluster-tests/load.h"
#include "proto/wire.h"
#include "testkit/test.h"

enum {
    ACKS = 100,
    BLOCKED_LIMIT_MS = 10000,
    ROUNDS = 200,
    KILL_SPAN_US = 30000,
    CUT_SPAN_US = 300000
};

/* Every change from one level to another, once. */
static const char *const way[] = {"0", "1", "2", "3", "0", "2", "0", "3", "1", "3", "2", "1", "0"};
enum { STEPS = sizeof way / sizeof way[0] };

struct change {
    uint64_t index, blocked_ms;
    char note[256];
};

static enum err_code set_level(struct cluster *c, size_t node, const char *level,
                               struct change *out, struct err *e)
{
    struct buf request = {0};
    struct buf reply = {0};
    *out = (struct change){0};
    wire_put_str(&request, 1, "ts.wal.wal_level");
    wire_put_str(&request, 2, level);
    enum err_code code =
        node_admin(cluster_patient(c, node), "SetSetting", buf_bytes(&request), &reply, e);
    struct cursor in = cursor_of(buf_bytes(&reply));
    struct wire_field f;
    while (code == ERR_OK && wire_next(&in, &f)) {
        if (f.number == 1) {
            out->index = wire_uint(&in, &f);
        } else if (f.number == 3) {
            out->blocked_ms = wire_uint(&in, &f);
        } else if (f.number == 4) {
            wire_str(&in, &f, out->note, sizeof out->note);
        }
    }
    buf_deinit(&request);
    buf_deinit(&reply);
    return code;
}

/* To the level, through 'node'; every node of the first 'count' has it then. */
static void change_level(struct cluster *c, size_t node, size_t count, const char *level)
{
    struct change change;
    struct err e;
    test_context("level %s", level);
    if (set_level(c, node, level, &change, &e) != ERR_OK) {
        cluster_fail(c, "level %s: %s", level, e.text);
    }
    EXPECT(change.note[0] != '\0');
    EXPECT(change.blocked_ms <= BLOCKED_LIMIT_MS);
    (void)printf("level %s: writes waited %" PRIu64 " ms\n", level, change.blocked_ms);
    for (size_t i = 0; i < count; i++) {
        char got[64];
        EXPECT_OK(node_setting_get(cluster_patient(c, i), "ts.wal.wal_level", got, &e));
        EXPECT_STR(got, level);
    }
    if (set_level(c, node, level, &change, &e) != ERR_OK) { /* again */
        cluster_fail(c, "level %s again: %s", level, e.text);
    }
    EXPECT_CONTAINS(change.note, "nothing was done");
    EXPECT_UINT(change.blocked_ms, 0);
}

static void crash(struct cluster *c, size_t node)
{
    cluster_kill(c, node);
    cluster_start(c, node, NULL);
    (void)cluster_wait_healthy(c);
}

/* A kill -9 between any two of them, but at level 0, which promises nothing then. */
TEST(levels, every_change_of_a_node_alone_keeps_what_was_acknowledged)
{
    struct cluster_options options = {.name = "alone"};
    struct cluster *c = cluster_open(&options);
    cluster_start_all(c);
    struct load *l = load_open(c, &(struct load_options){.reads = true});
    load_run(l, ACKS);
    for (size_t i = 0; i < STEPS; i++) {
        change_level(c, 0, 1, way[i]);
        load_run(l, ACKS);
        if (strcmp(way[i], "0") != 0) {
            crash(c, 0);
        }
    }
    load_check(l);
    load_print(l, "every change of level of a node alone");
    load_close(l);
    cluster_close(c);
}

/* In a cluster a level adds or removes local copies and never leaves Raft. */
TEST(levels, every_change_of_a_cluster_keeps_what_was_acknowledged)
{
    struct cluster_options options = {.name = "three", .founders = 3};
    struct cluster *c = cluster_open(&options);
    cluster_start_all(c);
    struct load *l = load_open(c, &(struct load_options){.reads = true});
    load_run(l, ACKS);
    for (size_t i = 0; i < STEPS; i++) {
        change_level(c, random_below(cluster_random(c), 3), 3, way[i]);
        load_run(l, ACKS);
        crash(c, random_below(cluster_random(c), 3));
    }
    load_check(l);
    load_print(l, "every change of level of three nodes");
    load_close(l);
    cluster_close(c);
}

/* --- growing and shrinking --- */

static void add(struct cluster *c, size_t node)
{
    struct err e;
    cluster_start(c, node, NULL);
    struct node_status s = cluster_wait_status(c, node);
    size_t leader = cluster_wait_leader(c);
    EXPECT_OK(node_add(cluster_patient(c, leader), cluster_name(c, node), s.id,
                       cluster_peer_address(c, node), &e));
    cluster_promote(c, node);
    (void)cluster_wait_healthy(c);
}

static void leave(struct cluster *c, size_t node)
{
    cluster_remove(c, node);
    cluster_stop(c, node);
}

static bool leads(struct cluster *c, void *context)
{
    return cluster_leader(c) == *(const size_t *)context;
}

static void lead(struct cluster *c, size_t node)
{
    if (cluster_wait_healthy(c) != node) {
        cluster_change(c, "TransferLeadership", node, leads, &node);
    }
}

static void expect_refused(enum err_code code, const struct err *e)
{
    EXPECT_STR(err_name(code), err_name(ERR_STATE));
    EXPECT_CONTAINS(e->text, "ts.wal.wal_level = 3");
}

/* The way that docs/operations.md names: 1 -> 3 nodes and back, nothing stops. */
TEST(levels, one_node_grows_into_three_and_shrinks_again_under_load)
{
    struct cluster_options options = {.name = "grow", .founders = 1, .nodes = 3};
    struct cluster *c = cluster_open(&options);
    struct err e;
    cluster_start(c, 0, NULL);
    struct load *l = load_open(c, &(struct load_options){.reads = true});
    load_run(l, ACKS);
    uint64_t index = cluster_wait_status(c, 0).applied_index;
    enum err_code code = node_add(cluster_client(c, 0), "n2", 77, cluster_peer_address(c, 1), &e);
    expect_refused(code, &e);

    change_level(c, 0, 1, "3");
    add(c, 1);
    load_run(l, ACKS);
    add(c, 2);
    load_run(l, ACKS);
    crash(c, cluster_wait_healthy(c)); /* the others go on: it is a cluster */
    load_run(l, ACKS);
    EXPECT(cluster_wait_status(c, 0).applied_index > index + 3);
    load_check(l);
    load_go(l);

    change_level(c, 0, 3, "1");
    lead(c, 0);
    leave(c, 2);
    do { /* its leader says why */
        code = node_change(cluster_client(c, cluster_wait_leader(c)), "RemoveNode", "n2", &e);
    } while (code == ERR_UNAVAILABLE);
    expect_refused(code, &e);
    change_level(c, 0, 2, "3");
    lead(c, 0);
    leave(c, 1);
    load_run(l, ACKS);
    index = cluster_wait_status(c, 0).applied_index;
    change_level(c, 0, 1, "2");
    EXPECT_UINT(cluster_wait_status(c, 0).role, NODE_STANDALONE);
    load_run(l, ACKS);
    EXPECT(cluster_wait_status(c, 0).applied_index > index);
    crash(c, 0);
    load_run(l, ACKS);
    load_check(l);
    load_print(l, "one node grown into three and back");
    load_close(l);
    cluster_close(c);
}

static uint64_t id_of(struct cluster *c, size_t node)
{
    return cluster_wait_status(c, node).id;
}

/* Their logs are long and their terms high; the node that went on alone, without
 * Raft, and with Raft again, would lose what it acknowledged if they could vote. */
TEST(levels, nodes_removed_before_a_local_era_come_back_only_as_newcomers)
{
    struct cluster_options options = {.name = "era", .founders = 3};
    struct cluster *c = cluster_open(&options);
    cluster_start_all(c);
    struct load *l = load_open(c, &(struct load_options){.reads = true});
    for (size_t i = 1; i <= 3; i++) { /* terms rise */
        load_run(l, ACKS);
        lead(c, i % 3);
    }
    uint64_t term = cluster_wait_status(c, 0).term;
    uint64_t ids[3] = {0, id_of(c, 1), id_of(c, 2)};
    cluster_kill(c, 2); /* it never hears that it is removed */
    cluster_remove(c, 2);
    leave(c, 1);
    change_level(c, 0, 1, "1");
    load_run(l, ACKS);
    change_level(c, 0, 1, "3");
    load_run(l, ACKS);
    EXPECT(cluster_wait_status(c, 0).term > term);
    for (size_t node = 1; node < 3; node++) {
        cluster_start(c, node, NULL);
        cluster_wait_kind(c, node, "spare");
        EXPECT(id_of(c, node) != ids[node]);
        cluster_promote(c, node);
        (void)cluster_wait_healthy(c);
        load_run(l, ACKS);
    }
    load_check(l);
    load_print(l, "removed nodes after a local era");
    load_close(l);
    cluster_close(c);
}

/* --- definitions and settings in the middle of power failures --- */

/* Statement by statement, each after the answer to the one before: CREATE DATABASE
 * db<i>, a setting, DROP DATABASE db<i>, and so on with the next i. */
struct definer {
    struct cluster *cluster;
    uint64_t done;                 /* statements that were answered */
    uint64_t total;                /* in all rounds */
    struct grpc_client_call *open; /* NULL: none is */
    bool stopped;                  /* no more: the node is to be killed */
};

enum { CREATE, SET, DROP, KINDS };

static void define_next(struct definer *d);

static void on_defined(void *context, const struct grpc_result *r)
{
    struct definer *d = context;
    struct err e;
    d->open = NULL;
    if (grpc_result_err(r, &e) == ERR_OK) {
        d->done++;
        d->total++;
        define_next(d);
    } else if (!d->stopped) {
        cluster_fail(d->cluster, "statement %" PRIu64 ": %s", d->done + 1, e.text);
    }
}

static void on_reply(void *context, struct bytes message)
{
    (void)context;
    (void)message;
}

static void define_next(struct definer *d)
{
    static const struct grpc_client_events events = {on_reply, on_defined};
    static const char *const paths[KINDS] = {"/tidemark.v1.Admin/CreateDatabase",
                                             "/tidemark.v1.Admin/SetSetting",
                                             "/tidemark.v1.Admin/DropDatabase"};
    char text[32];
    struct buf body = {0};
    if (d->done % KINDS == SET) {
        wire_put_str(&body, 1, "ts.scan.batch_size");
        (void)snprintf(text, sizeof text, "%" PRIu64, 100 + d->done % 1000);
        wire_put_str(&body, 2, text);
    } else {
        (void)snprintf(text, sizeof text, "db%" PRIu64, d->done / KINDS);
        wire_put_str(&body, 1, text);
    }
    struct grpc_call_request request = {.path = paths[d->done % KINDS],
                                        .message = buf_bytes(&body)};
    d->open = grpc_channel_call(cluster_client(d->cluster, 0)->channel, &request, &events, d);
    buf_deinit(&body);
    REQUIRE(d->open != NULL);
}

/* What the node shows after so many statements. */
static void show_after(uint64_t done, char dst[128])
{
    char database[32] = "";
    if (done % KINDS != 0) {
        (void)snprintf(database, sizeof database, "db%" PRIu64, done / KINDS);
    }
    uint64_t set = done / KINDS * KINDS + SET; /* the last one that may have set it */
    set = done % KINDS > SET ? set : set - KINDS;
    bool ever = done > SET;
    (void)snprintf(dst, 128, "[%s] %" PRIu64, database, ever ? 100 + set % 1000 : 0);
}

static void show_now(struct cluster *c, char dst[128])
{
    struct buf reply = {0};
    struct err e;
    char database[64] = "";
    char value[64];
    EXPECT_OK(node_admin(cluster_patient(c, 0), "ListDatabases", (struct bytes){0}, &reply, &e));
    struct cursor in = cursor_of(buf_bytes(&reply));
    struct wire_field f;
    while (wire_next(&in, &f)) {
        wire_str(&in, &f, database, sizeof database);
    }
    buf_deinit(&reply);
    EXPECT_OK(node_setting_get(cluster_patient(c, 0), "ts.scan.batch_size", value, &e));
    (void)snprintf(dst, 128, "[%s] %s", database, value);
}

/* What was answered is there; of the one that was open, all or nothing. */
static void expect_defined(struct definer *d)
{
    char now[128];
    char acked[128];
    char more[128];
    show_now(d->cluster, now);
    show_after(d->done, acked);
    show_after(d->done + 1, more);
    if (strcmp(now, more) == 0 && strcmp(now, acked) != 0) {
        d->done++;
    } else if (strcmp(now, acked) != 0 && d->done > SET) {
        cluster_fail(d->cluster, "after statement %" PRIu64 ": %s, not %s or %s", d->done, now,
                     acked, more);
    }
}

static void turn_for(struct cluster *c, uint64_t us)
{
    uint64_t end_us = process_now_us() + us;
    while (process_now_us() < end_us) {
        cluster_turn(c, 1);
    }
}

static void define_and_kill(const char *name, const char *flag)
{
    struct cluster_options options = {.name = name, .faulty = true, .flags = {flag}};
    struct cluster *c = cluster_open(&options);
    struct definer d = {.cluster = c};
    cluster_start_all(c);
    (void)cluster_wait_healthy(c);
    unsigned rounds = cluster_rounds(ROUNDS);
    for (unsigned i = 0; i < rounds; i++) {
        uint64_t done = d.done;
        d.stopped = false;
        define_next(&d);
        while (d.done == done) { /* at least one is answered */
            cluster_turn(c, 1);
        }
        turn_for(c, random_below(cluster_random(c), KILL_SPAN_US));
        d.stopped = true;
        cluster_kill(c, 0);
        while (d.open != NULL) {
            grpc_blocking_step(cluster_blocking(c), 1);
        }
        cluster_start(c, 0, NULL);
        (void)cluster_wait_healthy(c);
        expect_defined(&d);
    }
    (void)printf("%u power failures, %" PRIu64 " statements answered\n", rounds, d.total);
    EXPECT(d.total >= rounds);
    cluster_close(c);
}

TEST(levels, definitions_and_settings_survive_power_failures_at_level_off)
{
    define_and_kill("define-off", "--wal-level=off");
}

TEST(levels, definitions_and_settings_survive_power_failures_at_level_sync)
{
    define_and_kill("define-sync", "--wal-level=sync");
}

TEST(levels, definitions_and_settings_survive_power_failures_at_level_flush)
{
    define_and_kill("define-flush", "--wal-level=flush");
}

TEST(levels, definitions_and_settings_survive_power_failures_at_level_byrl)
{
    define_and_kill("define-byrl", "--wal-level=byrl");
}

/* --- changes of the level in the middle of power failures --- */

static void on_changed(void *context, const struct grpc_result *r)
{
    (void)r;
    *(bool *)context = false;
}

/* Asks for the other one of the two levels that promise everything, and kills the
 * node at some time in the middle. */
static void cut_change(struct cluster *c, unsigned from)
{
    static const struct grpc_client_events events = {on_reply, on_changed};
    struct buf body = {0};
    wire_put_str(&body, 1, "ts.wal.wal_level");
    wire_put_str(&body, 2, from == 1 ? "3" : "1");
    struct grpc_call_request request = {.path = "/tidemark.v1.Admin/SetSetting",
                                        .message = buf_bytes(&body)};
    bool open = true;
    REQUIRE(grpc_channel_call(cluster_client(c, 0)->channel, &request, &events, &open) != NULL);
    buf_deinit(&body);
    turn_for(c, random_below(cluster_random(c), CUT_SPAN_US));
    cluster_kill(c, 0);
    while (open) {
        grpc_blocking_step(cluster_blocking(c), 1);
    }
}

TEST(levels, power_failures_in_the_middle_of_changes_lose_nothing)
{
    enum { CHANGES = 100 };
    struct cluster_options options = {.name = "cut", .faulty = true, .flags = {"--wal-level=sync"}};
    struct cluster *c = cluster_open(&options);
    cluster_start_all(c);
    struct load *l = load_open(c, &(struct load_options){.reads = true});
    unsigned through = 0;
    for (unsigned i = 0; i < cluster_rounds(CHANGES); i++) {
        load_run(l, 1 + random_below(cluster_random(c), ACKS));
        unsigned from = cluster_wait_status(c, 0).wal_level;
        cut_change(c, from);
        cluster_start(c, 0, NULL);
        (void)cluster_wait_healthy(c);
        unsigned level = cluster_wait_status(c, 0).wal_level;
        EXPECT(level == 1 || level == 3);
        through += level != from;
    }
    (void)printf("%u of %u changes took effect\n", through, cluster_rounds(CHANGES));
    EXPECT(through > 0);
    load_check(l);
    load_print(l, "changes of level in power failures");
    load_close(l);
    cluster_close(c);
}
