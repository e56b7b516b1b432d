/* SPDX-License-Identifier: Apache-2.0 */
/* Settings changed while the cluster runs under load. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cluster-tests/load.h"
#include "proto/wire.h"
#include "testkit/test.h"

enum { ACKS = 200 };

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

static void set(struct cluster *c, const char *name, const char *value)
{
    struct err e = {0};
    size_t any = random_below(cluster_random(c), cluster_size(c));
    enum err_code code = node_setting_set(cluster_patient(c, any), name, value, &e);
    if (code != ERR_OK) {
        cluster_fail(c, "%s = %s: %s", name, value, e.text);
    }
}

static void expect_everywhere(struct cluster *c, const char *name, const char *value)
{
    for (size_t i = 0; i < cluster_size(c); i++) {
        char got[64];
        struct err e;
        EXPECT_OK(node_setting_get(cluster_patient(c, i), name, got, &e));
        EXPECT_STR(got, value);
    }
}

/* Slower timers, then the leader is killed: the new one comes by them, and every
 * node knows the values, also after a restart. */
TEST(settings, timers_change_at_run_time_and_stay)
{
    struct load *l = NULL;
    struct cluster *c = open_three("timers", &l);
    set(c, "raft.election_timeout", "2s");
    set(c, "raft.heartbeat_interval", "50ms");
    expect_everywhere(c, "raft.election_timeout", "2s");
    expect_everywhere(c, "raft.heartbeat_interval", "50ms");
    load_run(l, ACKS);
    for (size_t i = 0; i < 3; i++) {
        cluster_kill(c, i);
    }
    cluster_start_all(c);
    (void)cluster_wait_healthy(c);
    expect_everywhere(c, "raft.election_timeout", "2s");
    load_run(l, ACKS);

    set(c, "raft.heartbeat_interval", "20ms");
    set(c, "raft.election_timeout", "200ms");
    load_run(l, ACKS);
    size_t leader = cluster_wait_healthy(c);
    load_gap_begin(l);
    cluster_pause(c, leader); /* so that it is the timer that decides */
    load_run(l, ACKS);
    (void)printf("election timeout 200 ms: no write for %" PRIu64 " ms\n", load_gap_ms(l));
    cluster_resume(c, leader);
    set(c, "raft.election_timeout", "2s"); /* a busy machine would change leaders in the check */
    load_check(l);
    load_close(l);
    cluster_close(c);
}

/* Its answer waits for the local copy of metadata, while later writes are answered. */
TEST(settings, every_change_under_load_is_answered)
{
    enum { CHANGES = 150 };
    struct load *l = NULL;
    struct cluster *c = open_three("answers", &l);
    for (unsigned i = 0; i < CHANGES; i++) {
        char value[16];
        (void)snprintf(value, sizeof value, "%u", 100 + i);
        set(c, "ts.scan.batch_size", value);
        load_run(l, random_below(cluster_random(c), 10));
    }
    load_check(l);
    load_close(l);
    cluster_close(c);
}

/* Often enough that nodes are killed in the middle of checkpoints. */
TEST(settings, frequent_checkpoints_survive_kills)
{
    enum { KILLS = 60 };
    struct load *l = NULL;
    struct cluster *c = open_three("checkpoints", &l);
    set(c, "ts.wal.checkpoint_interval", "50ms");
    for (unsigned i = 0; i < cluster_rounds(KILLS); i++) {
        load_run(l, random_below(cluster_random(c), ACKS));
        size_t node = random_below(cluster_random(c), cluster_size(c));
        cluster_kill(c, node);
        load_run(l, random_below(cluster_random(c), ACKS));
        cluster_start(c, node, NULL);
        (void)cluster_wait_healthy(c);
    }
    struct node_status s = cluster_wait_status(c, 0);
    EXPECT(s.checkpoint_index > 0);
    load_check(l);
    load_print(l, "kills in frequent checkpoints");
    load_close(l);
    cluster_close(c);
}

/* They wait for checkpoints, again and again, also while the lead moves, which loses
 * proposals of checkpoints. */
TEST(settings, writes_go_on_when_memory_is_small)
{
    enum { ROUNDS = 200, ACKS_EACH = 60, GAP_LIMIT_MS = 5000 };
    struct cluster_options options = {.name = "memory", .founders = 3};
    struct cluster *c = cluster_open(&options);
    cluster_start_all(c);
    struct load_options load = {.reads = true, .rows_max = 3000, .depth = 2};
    struct load *l = load_open(c, &load);
    set(c, "ts.wal.checkpoint_interval", "1h"); /* only memory asks for checkpoints */
    set(c, "ts.mem_segment_size.max_limit", "1MiB");
    for (unsigned i = 0; i < cluster_rounds(ROUNDS); i++) {
        load_gap_begin(l);
        load_run(l, ACKS_EACH);
        size_t leader = cluster_wait_leader(c);
        if (i % 4 == 3) {
            cluster_kill(c, leader);
            load_run(l, 1);
            cluster_start(c, leader, NULL);
        } else if (i % 2 == 1) {
            struct err e; /* whether the lead moves now is not the matter here */
            enum err_code code =
                node_change(cluster_client(c, leader), "TransferLeadership", "", &e);
            EXPECT(code == ERR_OK || code == ERR_UNAVAILABLE || code == ERR_STATE ||
                   code == ERR_UNKNOWN_OUTCOME || code == ERR_DEADLINE);
        }
        (void)load_gap_end(l);
    }
    load_check(l);
    load_print(l, "small memory");
    load_expect_gaps(l, "small memory", GAP_LIMIT_MS);
    load_close(l);
    cluster_close(c);
}

/* --- watching --- */

struct watch {
    size_t settings; /* seen */
    size_t all;      /* that there are */
    bool done;       /* the change that is waited for was seen, or the call ended */
    bool changed;
    const char *name;
    const char *value;
};

static void on_setting(void *context, struct bytes message)
{
    struct watch *w = context;
    char name[64] = "";
    char value[64] = "";
    struct cursor c = cursor_of(message);
    struct wire_field f;
    while (wire_next(&c, &f)) {
        if (f.number == 1) {
            wire_str(&c, &f, name, sizeof name);
        } else if (f.number == 2) {
            wire_str(&c, &f, value, sizeof value);
        }
    }
    w->settings++;
    if (strcmp(name, w->name) == 0 && strcmp(value, w->value) == 0) {
        w->changed = true;
        w->done = true;
    }
}

static void on_end(void *context, const struct grpc_result *r)
{
    (void)r;
    ((struct watch *)context)->done = true;
}

static bool has_all(struct cluster *c, void *context)
{
    (void)c;
    const struct watch *w = context;
    return w->settings >= w->all;
}

static size_t count_settings(struct cluster *c)
{
    struct buf reply = {0};
    struct err e;
    EXPECT_OK(node_admin(cluster_patient(c, 0), "ListSettings", (struct bytes){0}, &reply, &e));
    struct cursor in = cursor_of(buf_bytes(&reply));
    struct wire_field f;
    size_t count = 0;
    while (wire_next(&in, &f)) {
        count += f.number == 1;
    }
    buf_deinit(&reply);
    return count;
}

static bool is_done(struct cluster *c, void *context)
{
    (void)c;
    return ((const struct watch *)context)->done;
}

TEST(settings, a_watcher_sees_all_settings_and_then_each_change)
{
    static const struct grpc_client_events events = {on_setting, on_end};
    struct load *l = NULL;
    struct cluster *c = open_three("watch", &l);
    struct watch w = {.name = "ts.scan.batch_size", .value = "77", .all = count_settings(c)};
    struct grpc_call_request request = {.path = "/tidemark.v1.Admin/WatchSettings",
                                        .streams = true};
    struct grpc_client_call *call =
        grpc_channel_call(cluster_client(c, 2)->channel, &request, &events, &w);
    REQUIRE(call != NULL);
    EXPECT(w.all > 10);
    cluster_wait(c, has_all, &w, 0, "the watcher does not get the settings");
    EXPECT(!w.changed);
    set(c, "ts.scan.batch_size", "77");
    cluster_wait(c, is_done, &w, 0, "the watcher does not see the change");
    EXPECT(w.changed);
    EXPECT_UINT(w.settings, w.all + 1);
    grpc_client_call_cancel(call);
    load_check(l);
    load_close(l);
    cluster_close(c);
}
