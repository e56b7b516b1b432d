/* SPDX-License-Identifier: Apache-2.0 */
/* Parts and manifests of one node or of several go bad, while they run or while
 * they are down: the node says so and is refilled from the others (safety.md E4),
 * the clients see nothing of it, and all end in one state. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "sim/world.h"
#include "testkit/fake_disk_damage.h"
#include "testkit/test.h"
#include "tsdb/part.h"
#include "wal/wal_inspect.h"
#include "wal/wal_segment.h"

enum { SEEDS = TEST_SANITIZED ? 1 : 3, LIMIT_S = 30 };

static struct world *open_scene(uint64_t seed)
{
    test_context("seed %" PRIu64, seed);
    struct world *w = world_create(&(struct world_options){.seed = seed, .calm = true});
    world_run_for(w, 8 * WORLD_SECOND); /* the clients let checkpoints be made every 3 s */
    CHECK(w->counts.acked_writes > 0);
    return w;
}

/* Where a bit of a file flips: in the first block of a part, which a read finds, or
 * in a part's footer or a manifest's end, which a start reads. */
enum place { IN_BLOCK, IN_FOOTER };

static void flip(struct node *n, const char *path, enum place place, unsigned bit)
{
    uint64_t size = fake_disk_file_size(n->disk, path);
    fake_disk_flip_bit(n->disk, path, place == IN_BLOCK ? PART_HEADER_SIZE + 5 : size - 10, bit);
}

/* In each file of the kind. How many there are. */
static unsigned flip_all(struct node *n, const char *start, enum place place, unsigned bit)
{
    struct io_name *names = NULL;
    size_t count = 0;
    unsigned flipped = 0;
    struct err e;
    REQUIRE_OK(io_list(fake_disk_io(n->disk), "/data/tsdb", &names, &count, &e));
    for (size_t i = 0; i < count; i++) {
        char path[IO_PATH_MAX];
        REQUIRE_OK(io_join(path, "/data/tsdb", names[i].name, &e));
        if (strncmp(names[i].name, start, strlen(start)) == 0) {
            flip(n, path, place, bit);
            flipped++;
        }
    }
    mem_free(names);
    return flipped;
}

static struct member_damage damage_of(struct node *n)
{
    return member_status(n->member).damage;
}

/* All rows read: what is damaged is seen, as by a scan. */
static enum err_code read_state(struct node *n)
{
    struct tsdb_view *view = tsdb_view_pin(member_tsdb(n->member));
    struct hash128 hash;
    enum err_code code = tsdb_view_hash(view, &hash, NULL);
    tsdb_view_unpin(view);
    if (code != ERR_OK) {
        member_damage_seen(n->member);
    }
    return code;
}

static void run_until_refilled(struct world *w, struct node *n)
{
    uint64_t limit_us = w->now_us + LIMIT_S * WORLD_SECOND;
    bool whole = false;
    while (!whole && w->now_us < limit_us) {
        world_run_for(w, 50 * WORLD_MS);
        struct member_damage d = node_is_serving(n) ? damage_of(n) : (struct member_damage){0};
        whole = node_is_serving(n) && d.parts_waiting == 0 && d.parts_found > 0 &&
                read_state(n) == ERR_OK;
    }
    EXPECT(whole);
    struct member_damage d = damage_of(n);
    EXPECT(d.parts_refilled > 0);
    EXPECT_UINT(d.parts_found, d.parts_refilled + d.parts_dropped + d.parts_waiting);
    EXPECT_STR(member_status(n->member).message, "");
}

static void end_scene(struct world *w)
{
    world_run(w);
    world_destroy(w);
}

TEST(part_damage, parts_found_damaged_at_the_start_are_refilled)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct world *w = open_scene(seed);
        struct node *n = &w->nodes[seed % 3];
        node_crash(n, false);
        EXPECT(flip_all(n, "part-", IN_FOOTER, 5) > 0);
        node_start(n);
        run_until_refilled(w, n);
        end_scene(w);
    }
}

TEST(part_damage, parts_found_damaged_by_a_read_are_refilled_while_the_node_serves)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct world *w = open_scene(seed);
        struct node *n = &w->nodes[seed % 3];
        uint64_t incarnation = n->incarnation;
        EXPECT(flip_all(n, "part-", IN_BLOCK, 5) > 0);
        EXPECT_ERR(read_state(n), ERR_CORRUPT);
        run_until_refilled(w, n);
        EXPECT_UINT(n->incarnation, incarnation);
        end_scene(w);
    }
}

/* Each has what the other lost: they help each other. */
TEST(part_damage, two_nodes_with_damage_refill_each_other)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct world *w = open_scene(seed);
        node_crash(&w->nodes[2], false); /* from now on only these two */
        world_run_for(w, WORLD_SECOND);
        struct io *io = fake_disk_io(w->nodes[0].disk);
        struct io_name *names = NULL;
        size_t count = 0;
        struct err e;
        REQUIRE_OK(io_list(io, "/data/tsdb", &names, &count, &e));
        unsigned flipped[2] = {0, 0};
        for (size_t i = 0; i < count; i++) {
            char path[IO_PATH_MAX];
            REQUIRE_OK(io_join(path, "/data/tsdb", names[i].name, &e));
            struct node *n = &w->nodes[i % 2];
            if (strncmp(names[i].name, "part-", 5) == 0 && fake_disk_has(n->disk, path)) {
                flip(n, path, IN_BLOCK, 1);
                flipped[i % 2]++;
            }
        }
        mem_free(names);
        EXPECT(flipped[0] > 0 && flipped[1] > 0);
        EXPECT_ERR(read_state(&w->nodes[0]), ERR_CORRUPT);
        EXPECT_ERR(read_state(&w->nodes[1]), ERR_CORRUPT);
        run_until_refilled(w, &w->nodes[0]);
        run_until_refilled(w, &w->nodes[1]);
        node_start(&w->nodes[2]);
        end_scene(w);
    }
}

/* The copy that comes first is damaged in the same part: the giver is told, looks
 * for itself, and both take it from the third. */
TEST(part_damage, a_giver_whose_copy_is_damaged_is_told_and_refilled_too)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct world *w = open_scene(seed);
        EXPECT(flip_all(&w->nodes[0], "part-", IN_BLOCK, 5) > 0);
        EXPECT(flip_all(&w->nodes[1], "part-", IN_BLOCK, 6) > 0);
        EXPECT_ERR(read_state(&w->nodes[0]), ERR_CORRUPT);
        run_until_refilled(w, &w->nodes[0]);
        uint64_t limit_us = w->now_us + LIMIT_S * WORLD_SECOND;
        while (read_state(&w->nodes[1]) != ERR_OK && w->now_us < limit_us) {
            world_run_for(w, 50 * WORLD_MS);
        }
        run_until_refilled(w, &w->nodes[1]);
        end_scene(w);
    }
}

/* Without its manifest a node has no state: its log's beginning is cut away, so it
 * takes a checkpoint from another node as repair does. */
TEST(part_damage, a_node_whose_manifest_is_damaged_takes_a_checkpoint_from_another)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct world *w = open_scene(seed);
        struct node *n = &w->nodes[seed % 3];
        world_run_for(w, 8 * WORLD_SECOND);
        node_crash(n, seed % 2 == 0);
        EXPECT(flip_all(n, "checkpoint-", IN_FOOTER, 5) > 0);
        node_start(n);
        world_run_for(w, 5 * WORLD_SECOND);
        EXPECT(node_is_serving(n));
        end_scene(w);
    }
}

/* Nobody has a part whole: it is waited for and said, and nothing else is lost. Then
 * one copy comes back. */
TEST(part_damage, a_part_that_nobody_has_is_waited_for)
{
    struct world *w = open_scene(4);
    world_run(w); /* the clients are done: no checkpoint replaces anything any more */
    for (size_t i = 0; i < 3; i++) {
        EXPECT(flip_all(&w->nodes[i], "part-", IN_BLOCK, 5) > 0);
        EXPECT_ERR(read_state(&w->nodes[i]), ERR_CORRUPT);
    }
    world_run_for(w, 10 * WORLD_SECOND);
    for (size_t i = 0; i < 3; i++) {
        struct member_status s = member_status(w->nodes[i].member);
        EXPECT(s.healthy);
        EXPECT(s.damage.parts_waiting > 0);
        EXPECT_UINT(s.damage.parts_refilled, 0);
        EXPECT_CONTAINS(s.message, "is damaged");
        EXPECT_CONTAINS(s.message, "waits for a node that has it whole");
    }
    (void)flip_all(&w->nodes[2], "part-", IN_BLOCK, 5);
    for (size_t i = 0; i < 3; i++) {
        unsigned seconds = 0;
        while (read_state(&w->nodes[i]) != ERR_OK && seconds++ < 180) {
            world_run_for(w, WORLD_SECOND); /* looked for at least once a minute */
        }
    }
    end_scene(w);
}

/* --- what nobody reads is found by the scrubber --- */

struct record_place {
    const struct wal *wal;
    uint64_t index; /* wanted */
    uint64_t lsn;
};

static bool find_slot(void *context, const struct wal_view *view)
{
    struct record_place *s = context;
    uint64_t term = 0;
    if (view->index == s->index && view->size > 0 && wal_term_at(s->wal, view->index, &term) &&
        term == view->term) {
        s->lsn = view->lsn;
    }
    return true;
}

/* A bit of an entry in the log of a node that runs. */
static void flip_entry(struct node *n, uint64_t index)
{
    struct io *io = fake_disk_io(n->disk);
    struct record_place slot = {.wal = storage_wal(n->storage, STORAGE_RAFT), .index = index};
    struct wal_visitor visitor = {.slot = find_slot, .context = &slot};
    struct wal_report report;
    struct io_name *names = NULL;
    size_t count = 0;
    struct err e;
    REQUIRE_OK(wal_inspect(io, "/data/raft", &visitor, &report, &e));
    REQUIRE(slot.lsn != 0);
    REQUIRE_OK(io_list(io, "/data/raft", &names, &count, &e));
    unsigned flipped = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t timeline = 0;
        uint64_t number = 0;
        char path[IO_PATH_MAX];
        if (wal_segment_name_parse(WORLD_SEGMENT_SIZE, names[i].name, &timeline, &number) &&
            number == slot.lsn / WORLD_SEGMENT_SIZE) {
            REQUIRE_OK(io_join(path, "/data/raft", names[i].name, &e));
            fake_disk_flip_bit(n->disk, path, slot.lsn % WORLD_SEGMENT_SIZE + 100, 2);
            flipped++;
        }
    }
    mem_free(names);
    EXPECT_UINT(flipped, 1);
}

/* Without the entries in memory they come from another node; the node takes part
 * all the time. */
TEST(part_damage, slots_of_a_running_nodes_log_are_filled)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        for (int cached = 0; cached < 2; cached++) {
            struct world_options options = {
                .seed = seed, .calm = true, .cache_size = cached == 1 ? 0 : 1};
            test_context("seed %" PRIu64 " cached %d", seed, cached);
            struct world *w = world_create(&options);
            world_run_for(w, 3 * WORLD_SECOND);
            struct node *n = &w->nodes[seed % 3];
            uint64_t incarnation = n->incarnation;
            struct wal *wal = storage_wal(n->storage, STORAGE_RAFT);
            uint64_t last = wal_index_durable(wal);
            REQUIRE(last > wal_index_first(wal) + 30);
            for (uint64_t i = 1; i <= 3; i++) {
                flip_entry(n, last - 10 * i);
            }
            world_run_for(w, 4 * WORLD_SECOND);
            size_t holes = 0;
            (void)wal_holes(wal, &holes);
            EXPECT_UINT(holes, 0);
            struct wal_stats stats = wal_stats(wal);
            EXPECT_UINT(stats.holes_found, 3);
            EXPECT_UINT(stats.holes_filled, 3);
            EXPECT_UINT(n->incarnation, incarnation);
            end_scene(w);
        }
    }
}

TEST(part_damage, parts_that_nobody_reads_are_refilled)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct world *w = open_scene(seed);
        struct node *n = &w->nodes[seed % 3];
        EXPECT(flip_all(n, "part-", IN_BLOCK, 4) > 0);
        world_run_for(w, 6 * WORLD_SECOND);
        struct member_damage d = damage_of(n);
        EXPECT(d.parts_refilled > 0);
        EXPECT_UINT(d.parts_waiting, 0);
        EXPECT_OK(read_state(n));
        end_scene(w);
    }
}
