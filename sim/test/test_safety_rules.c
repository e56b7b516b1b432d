/* SPDX-License-Identifier: Apache-2.0 */
/* Each rule of safety.md that a simulated cluster can show to be needed: with
 * the rule a run holds, without it the same run, or one of the next few, fails.
 * docs/safety-tests.md lists them all. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "node/member_weaken.h"
#include "sim/world.h"
#include "testkit/fake_disk_damage.h"
#include "testkit/test.h"
#include "wal/wal_segment.h"

/* Under the address sanitizer, which is five times as slow, fewer seeds do. */
enum { SCENES = TEST_SANITIZED ? 1 : 3, GAPS = TEST_SANITIZED ? 2 : 5 };

enum { TEXT_SIZE = 4096, LIMIT_MS = 20000 };

/* --- seeds that fail --- */

static void play(const struct world_options *options)
{
    struct world *w = world_create(options);
    world_run(w);
    world_destroy(w);
}

struct played {
    void (*run)(const struct world_options *options);
    const struct world_options *options;
};

static void run_played(void *arg)
{
    const struct played *p = arg;
    p->run(p->options);
}

/* In a child: a violation ends the process. */
static bool dies(void (*run)(const struct world_options *options),
                 const struct world_options *options, char text[TEXT_SIZE])
{
    struct played p = {run, options};
    return test_aborts(run_played, &p, text, TEXT_SIZE);
}

/* One of 'count' seeds must see the violation that 'says' names, and the same seed
 * holds with the rule. (That a cluster stands still is no violation.) */
static void expect_needed(unsigned rule, uint64_t first, uint64_t count, const char *says)
{
    char text[TEXT_SIZE];
    for (uint64_t seed = first; seed < first + count; seed++) {
        struct world_options options = {.seed = seed, .weaken = rule};
        if (dies(play, &options, text) && strstr(text, says) != NULL) {
            (void)printf("(%.*s) ", (int)strcspn(text, "\n"), text);
            options.weaken = 0;
            EXPECT(!dies(play, &options, text));
            return;
        }
    }
    test_context("no seed from %" PRIu64 " to %" PRIu64 " needs the rule", first,
                 first + count - 1);
    EXPECT(false);
}

TEST(safety_rules, b1_entries_are_synced_before_they_are_acknowledged)
{
    expect_needed(WEAKEN_APPENDS, 1, 30, "applied entry");
}

TEST(safety_rules, d1_a_start_applies_only_what_is_known_as_committed)
{
    expect_needed(WEAKEN_APPLY, 1, 30, "applied entry");
}

TEST(safety_rules, d2_the_local_wal_of_level_byrl_holds_no_data)
{
    expect_needed(WEAKEN_COPIES, 1, 30, "the local WAL holds a write");
}

TEST(safety_rules, e1_a_checkpoint_holds_the_sessions_too)
{
    expect_needed(WEAKEN_SESSIONS, 1, 30, "stale read");
}

TEST(safety_rules, e2_a_slow_node_skips_no_checkpoint)
{
    expect_needed(WEAKEN_CHECKPOINTS, 1, 30, "has another checkpoint");
}

TEST(safety_rules, e3_a_log_is_cut_only_where_a_majority_has_a_checkpoint)
{
    expect_needed(WEAKEN_CUTS, 1, 10, "has cut its log");
}

TEST(safety_rules, g1_a_request_that_comes_again_takes_effect_once)
{
    enum { FIRST = 50 };
    if (TEST_SANITIZED) { /* too many seeds until one needs it */
        char text[TEXT_SIZE];
        EXPECT(!dies(play, &(struct world_options){.seed = FIRST}, text));
    } else {
        expect_needed(WORLD_WEAKEN_ANSWERS, FIRST, 100, "register");
    }
}

TEST(safety_rules, g2_a_large_change_takes_effect_wholly_or_not_at_all)
{
    expect_needed(WORLD_WEAKEN_CHANGES, 1, 10, "rows that write");
}

/* --- scenes: faults chosen by hand, clients that write all the time --- */

static struct world *open_scene(const struct world_options *options)
{
    struct world_options calm = *options;
    calm.calm = true;
    struct world *w = world_create(&calm);
    world_run_for(w, 4 * WORLD_SECOND);
    CHECK(w->counts.acked_writes > 0);
    return w;
}

static struct node *leader(struct world *w)
{
    for (size_t i = 0; i < w->node_count; i++) {
        struct node *n = &w->nodes[i];
        if (node_is_serving(n) && member_status(n->member).replica.role == REPLICA_LEADER) {
            return n;
        }
    }
    return NULL;
}

/* Two nodes besides the leader. */
static struct node *wait_for_leader(struct world *w, struct node *others[2])
{
    uint64_t limit_us = w->now_us + LIMIT_MS * WORLD_MS;
    while (leader(w) == NULL && w->now_us < limit_us) {
        world_run_for(w, WORLD_MS);
    }
    struct node *first = leader(w);
    CHECK(first != NULL);
    others[0] = &w->nodes[(first->number + 1) % 3];
    others[1] = &w->nodes[(first->number + 2) % 3];
    return first;
}

static void pause_node(struct node *n, bool paused)
{
    n->paused = paused;
    n->resume_us = UINT64_MAX;
    fake_net_pause(n->world->net, n->number, paused);
}

/* A dies; B is elected with the vote of C, which dies before an entry of the new
 * term reaches it. A and C come back: C must remember that it has voted. */
static void play_vote(const struct world_options *options)
{
    struct world *w = open_scene(options);
    struct node *others[2];
    struct node *a = wait_for_leader(w, others);
    uint64_t elections = w->counts.elections;
    node_crash(a, true);
    while (w->counts.elections == elections) {
        world_run_for(w, 50);
    }
    struct node *b = leader(w);
    CHECK(b != NULL);
    struct node *c = b == others[0] ? others[1] : others[0];
    node_crash(c, true);
    pause_node(b, true);
    node_start(a);
    node_start(c);
    world_run_for(w, 5 * WORLD_SECOND);
    pause_node(b, false);
    world_run(w);
    world_destroy(w);
}

enum { BACK = 8000 }; /* bytes: far enough from the end of a log to be committed */

/* The newest segment of its Raft log, and where the records in it end. */
static uint64_t find_end(struct node *n, char path[IO_PATH_MAX])
{
    enum { SEGMENT_NAME_SIZE = 24 };
    struct io *io = fake_disk_io(n->disk);
    struct io_name *names = NULL;
    size_t count = 0;
    char newest[IO_NAME_MAX + 1] = "";
    struct err e;
    enum err_code code = io_list(io, "/data/raft", &names, &count, &e);
    CHECK(code == ERR_OK);
    for (size_t i = 0; i < count; i++) {
        if (strlen(names[i].name) == SEGMENT_NAME_SIZE && strcmp(names[i].name, newest) > 0) {
            (void)snprintf(newest, sizeof newest, "%s", names[i].name);
        }
    }
    mem_free(names);
    code = io_join(path, "/data/raft", newest, &e);
    CHECK(code == ERR_OK);
    struct buf content = {0};
    code = io_read_file(io, path, 2 * (size_t)WORLD_SEGMENT_SIZE, &content, &e);
    CHECK(code == ERR_OK);
    size_t end = content.size;
    while (end > 0 && content.data[end - 1] == 0) {
        end--;
    }
    buf_deinit(&content);
    return end;
}

/* Damages an entry that this node acknowledged, and that is not in its newest BACK bytes. */
static void damage_before_end(struct node *n)
{
    char path[IO_PATH_MAX];
    uint64_t end = find_end(n, path);
    fake_disk_flip_bit(n->disk, path, end - BACK, 3);
    n->damaged = true;
}

/* Until a node's newest segment holds so much that all of the damage is in what was
 * written in this scene. */
static void wait_for_bytes(struct world *w, struct node *n)
{
    char path[IO_PATH_MAX];
    while (find_end(n, path) < wal_segment_records_at(WORLD_SEGMENT_SIZE) + 2 * BACK) {
        world_run_for(w, 10 * WORLD_MS); /* a new segment has just begun */
    }
}

/* C is down while A and B acknowledge rows; B's log is damaged among them. Then
 * A is down, and B must not go on with C, which never had them. */
static void play_hole(const struct world_options *options)
{
    struct world *w = open_scene(options);
    struct node *others[2];
    struct node *a = wait_for_leader(w, others);
    struct node *b = others[0];
    node_crash(others[1], true);
    world_run_for(w, WORLD_SECOND);
    wait_for_bytes(w, b);
    node_crash(b, false);
    damage_before_end(b);
    node_crash(a, false);
    node_start(b);
    node_start(others[1]);
    world_run_for(w, 5 * WORLD_SECOND);
    node_start(a);
    world_run(w);
    world_destroy(w);
}

/* C is down while the leader A and B acknowledge rows. A's log is damaged among them
 * while it runs, and C comes back, so that A finds it. A bit later B's log is damaged
 * in the same entry: nobody has it if A has only logged what it found. */
static void play_found(const struct world_options *options)
{
    enum { AROUND = 2000 }; /* bytes: the same entries stand about as far from each log's end */
    struct world_options small = *options;
    small.cache_size = 1; /* what C lacks is read from disk */
    struct world *w = open_scene(&small);
    struct node *others[2];
    struct node *a = wait_for_leader(w, others);
    struct node *b = others[0];
    char path[IO_PATH_MAX];
    node_crash(others[1], true);
    world_run_for(w, WORLD_SECOND);
    wait_for_bytes(w, a);
    wait_for_bytes(w, b);
    uint64_t end = find_end(b, path);
    damage_before_end(a);
    node_start(others[1]);
    world_run_for(w, WORLD_SECOND);
    node_crash(b, false);
    fake_disk_garbage(b->disk, path, end - BACK - AROUND, 2 * AROUND, &w->random);
    b->damaged = true;
    node_start(b);
    world_run(w);
    world_destroy(w);
}

/* What was seen of a cluster that may be abandoned: nobody was told of anything. */
static void forget_cluster(struct world *w)
{
    w->leader_of_term_count = 0;
    w->applied_count = 0;
    w->manifest_of_index_count = 0;
    w->cut_max = 0;
    for (size_t i = 0; i < w->node_count; i++) {
        w->nodes[i].checkpoint_index = 0;
    }
}

/* A has founded, C has not adopted and is down. A and B lose their disks: all are
 * empty then, and found again. */
static void play_forming(const struct world_options *options)
{
    struct world_options calm = *options;
    calm.calm = true;
    struct world *w = world_create(&calm);
    struct node *a = &w->nodes[0];
    struct node *b = &w->nodes[1];
    struct node *c = &w->nodes[2];
    while (a->member == NULL || member_status(a->member).cluster_id == 0) {
        world_run_for(w, 10);
    }
    CHECK(member_status(c->member).cluster_id == 0);
    node_crash(c, true);
    world_run_for(w, 4 * WORLD_SECOND);
    CHECK((w->counts.acked_writes > 0) == ((w->weaken & WEAKEN_FORMING) != 0));
    node_crash(a, false);
    node_crash(b, false);
    node_wipe(a);
    node_wipe(b);
    forget_cluster(w);
    for (size_t i = 0; i < w->node_count; i++) {
        node_start(&w->nodes[i]);
    }
    world_run(w);
    world_destroy(w);
}

/* A node with an image of its disk, or with a new one, where it is the only witness
 * of acknowledged rows beside A: B was down when they were written, A is down now. */
static void play_other_disk(const struct world_options *options, bool wiped)
{
    struct world *w = open_scene(options);
    struct node *others[2];
    struct node *a = wait_for_leader(w, others);
    struct node *b = others[0];
    struct node *c = others[1];
    struct fake_disk_image *image = fake_disk_snapshot(c->disk);
    node_crash(c, false); /* the start after the image, which the others store */
    node_start(c);
    world_run_for(w, 3 * WORLD_SECOND);
    node_crash(b, false);
    uint64_t acked = w->counts.acked_writes;
    world_run_for(w, WORLD_SECOND);
    CHECK(w->counts.acked_writes > acked);
    node_crash(c, false);
    node_crash(a, false);
    if (wiped) {
        node_wipe(c);
    } else {
        node_restore(c, image);
    }
    fake_disk_image_free(image);
    c->replaced = true;
    node_start(b);
    node_start(c);
    world_run_for(w, 5 * WORLD_SECOND);
    node_start(a);
    world_run(w);
    world_destroy(w);
}

static void play_roll_back(const struct world_options *options)
{
    play_other_disk(options, false);
}

static void play_wipe(const struct world_options *options)
{
    play_other_disk(options, true);
}

static void expect_needed_in(void (*scene)(const struct world_options *), unsigned rule,
                             const char *says)
{
    char text[TEXT_SIZE];
    for (uint64_t seed = 1; seed <= SCENES; seed++) {
        struct world_options options = {.seed = seed};
        test_context("seed %" PRIu64, seed);
        scene(&options); /* ends the process if it fails */
        options.weaken = rule;
        EXPECT(dies(scene, &options, text));
        EXPECT_CONTAINS(text, says);
        (void)printf("(%.*s) ", (int)strcspn(text, "\n"), text);
    }
}

TEST(safety_rules, b1_a_vote_is_durable_before_it_is_given)
{
    expect_needed_in(play_vote, WEAKEN_VOTES, "two leaders");
}

TEST(safety_rules, b2_a_directory_that_went_back_in_time_is_refused)
{
    expect_needed_in(play_roll_back, WORLD_WEAKEN_ROLLBACKS, "applied entry");
}

TEST(safety_rules, b3_a_wiped_directory_does_not_keep_its_id)
{
    expect_needed_in(play_wipe, WORLD_WEAKEN_WIPES, "applied entry");
}

TEST(safety_rules, b4_clients_are_served_when_all_founders_have_adopted)
{
    /* The table that they made is gone. */
    expect_needed_in(play_forming, WEAKEN_FORMING, "was refused: NOT_FOUND");
}

TEST(safety_rules, c6_a_leader_that_finds_damage_stops_and_repairs_it)
{
    expect_needed_in(play_found, WEAKEN_FOUND, "not converged");
}

TEST(safety_rules, c_a_node_with_a_hole_repairs_it_before_it_takes_part)
{
    expect_needed_in(play_hole, WORLD_WEAKEN_REPAIR, "applied entry");
}

/* The leader is told to go to level 1: in a cluster that adds local copies, no more. */
static void play_level(const struct world_options *options)
{
    struct world *w = open_scene(options);
    struct node *others[2];
    leveler_set(w, wait_for_leader(w, others), WAL_LEVEL_SYNC);
    world_run_for(w, 5 * WORLD_SECOND);
    CHECK(w->counts.level_changes == 1);
    world_run(w);
    world_destroy(w);
}

TEST(safety_rules, f1_a_cluster_commits_through_raft_at_every_level)
{
    expect_needed_in(play_level, WEAKEN_ALONE, "stale read");
}

/* --- how long nobody is served --- */

static uint64_t gap_after(struct world *w, uint64_t elections)
{
    uint64_t since_us = w->now_us;
    while (w->counts.elections == elections && w->now_us < since_us + LIMIT_MS * WORLD_MS) {
        world_run_for(w, WORLD_MS);
    }
    return (w->now_us - since_us) / WORLD_MS;
}

static uint64_t gap_when_killed(uint64_t seed, unsigned weaken)
{
    struct world *w = open_scene(&(struct world_options){.seed = seed, .weaken = weaken});
    struct node *others[2];
    struct node *a = wait_for_leader(w, others);
    uint64_t elections = w->counts.elections;
    node_crash(a, false);
    uint64_t gap_ms = gap_after(w, elections);
    node_start(a);
    world_run(w);
    world_destroy(w);
    return gap_ms;
}

static uint64_t gap_when_stopped(uint64_t seed, unsigned weaken)
{
    struct world *w = open_scene(&(struct world_options){.seed = seed, .weaken = weaken});
    struct node *others[2];
    struct node *a = wait_for_leader(w, others);
    uint64_t elections = w->counts.elections;
    member_stop(a->member, w->now_us / WORLD_MS + LIMIT_MS);
    uint64_t gap_ms = gap_after(w, elections);
    world_run(w);
    world_destroy(w);
    return gap_ms;
}

/* Election timeouts are 500 ms and more. Two followers that stand at nearly the same
 * moment split the vote; then one of them needs a timeout after all. */
TEST(safety_rules, i_a_killed_leader_is_replaced_at_once)
{
    unsigned at_once = 0;
    for (uint64_t seed = 1; seed <= GAPS; seed++) {
        test_context("seed %" PRIu64, seed);
        uint64_t with = gap_when_killed(seed, 0);
        uint64_t without = gap_when_killed(seed, WEAKEN_LEADER_GONE);
        (void)printf("(%" PRIu64 " / %" PRIu64 " ms) ", with, without);
        at_once += with <= 100 ? 1 : 0;
        EXPECT(without >= 300);
    }
    EXPECT(at_once >= GAPS - 1);
}

TEST(safety_rules, e6_a_leader_that_stops_hands_over_first)
{
    for (uint64_t seed = 1; seed <= GAPS; seed++) {
        test_context("seed %" PRIu64, seed);
        uint64_t with = gap_when_stopped(seed, WEAKEN_LEADER_GONE);
        uint64_t without = gap_when_stopped(seed, WEAKEN_LEADER_GONE | WEAKEN_CLEAN_STOP);
        (void)printf("(%" PRIu64 " / %" PRIu64 " ms) ", with, without);
        EXPECT(with <= 50);
        EXPECT(without >= 300);
    }
}

/* The disk of a leader fills: nodes that stopped for it; *gap_ms until a write is acknowledged. */
static uint64_t stops_when_full(uint64_t seed, unsigned weaken, uint64_t *gap_ms)
{
    enum { FULL_SECONDS = 20 };
    struct world *w = open_scene(&(struct world_options){.seed = seed, .weaken = weaken});
    struct node *others[2];
    struct node *a = wait_for_leader(w, others);
    uint64_t since_us = w->now_us;
    uint64_t end_us = since_us + FULL_SECONDS * WORLD_SECOND;
    *gap_ms = 0;
    fake_disk_set_capacity(a->disk, fake_disk_used(a->disk) + WORLD_SEGMENT_SIZE / 2);
    for (uint64_t acked = w->counts.acked_writes; w->now_us < end_us;) {
        world_run_for(w, WORLD_MS);
        since_us = w->counts.acked_writes > acked ? w->now_us : since_us;
        acked = w->counts.acked_writes;
        uint64_t now_ms = (w->now_us - since_us) / WORLD_MS;
        *gap_ms = now_ms > *gap_ms ? now_ms : *gap_ms;
    }
    uint64_t stops = w->counts.fail_stops;
    stops += a->up && member_state(a->member) == MEMBER_STOPPING ? 1 : 0;
    fake_disk_set_capacity(a->disk, 0);
    world_run(w);
    world_destroy(w);
    return stops;
}

TEST(safety_rules, h1_a_full_disk_stops_no_node)
{
    for (uint64_t seed = 1; seed <= SCENES; seed++) {
        test_context("seed %" PRIu64, seed);
        uint64_t gap_ms = 0;
        EXPECT_UINT(stops_when_full(seed, 0, &gap_ms), 0);
        (void)printf("(%" PRIu64 " ms) ", gap_ms);
        EXPECT(gap_ms <= 5000);
        EXPECT(stops_when_full(seed, WEAKEN_ROOM, &gap_ms) > 0);
    }
}

/* The disk of a leader hangs for 10 s: until the next write is acknowledged. */
static uint64_t gap_when_hung(uint64_t seed, unsigned weaken)
{
    enum { HANG_MS = 10000 };
    struct world *w = open_scene(&(struct world_options){.seed = seed, .weaken = weaken});
    struct node *others[2];
    struct node *a = wait_for_leader(w, others);
    a->lane_free_us[LANE_LOG] = w->now_us + HANG_MS * WORLD_MS;
    world_run_for(w, 500 * WORLD_MS); /* what was under way is acknowledged */
    uint64_t acked = w->counts.acked_writes;
    uint64_t since_us = w->now_us;
    while (w->counts.acked_writes == acked) {
        world_run_for(w, WORLD_MS);
    }
    uint64_t gap_ms = (w->now_us - since_us) / WORLD_MS;
    world_run(w);
    world_destroy(w);
    return gap_ms;
}

TEST(safety_rules, h2_a_leader_whose_disk_hangs_is_replaced)
{
    for (uint64_t seed = 1; seed <= SCENES; seed++) {
        test_context("seed %" PRIu64, seed);
        uint64_t with = gap_when_hung(seed, 0);
        uint64_t without = gap_when_hung(seed, WEAKEN_HANGS);
        (void)printf("(%" PRIu64 " / %" PRIu64 " ms) ", with, without);
        EXPECT(with <= 4000);
        EXPECT(without >= 8000);
    }
}
