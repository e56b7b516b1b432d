/* SPDX-License-Identifier: Apache-2.0 */
/* Faults, within what the cluster promises to survive:
 *   - crashes of any nodes at any time, with or without loss of unsynced writes
 *   - damage to the log of one node at a time, or, while it runs, to its log or a part,
 *     while the others are whole
 *   - a wiped or rolled-back directory, one at a time, while the others are up
 *   - anything on the network */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "sim/world.h"
#include "testkit/fake_disk_damage.h"
#include "wal/wal_inspect.h"
#include "wal/wal_segment.h"

enum { SEGMENT_HEADER_SIZE = 4096 };

static struct node *any_node(struct world *w)
{
    return &w->nodes[random_below(&w->random, w->node_count)];
}

static void plan_restart(struct node *n)
{
    struct world *w = n->world;
    n->restart_us = w->now_us + random_between(&w->random, 10, 3000) * WORLD_MS;
}

/* --- crashes --- */

static void crash_one(struct world *w)
{
    struct node *n = any_node(w);
    if (!n->up) {
        return;
    }
    bool power = random_chance(&w->random, 1, 2) && w->power_fails;
    node_crash(n, power);
    w->counts.crashes++;
    w->counts.power_failures += power ? 1 : 0;
    plan_restart(n);
}

static void crash_all(struct world *w)
{
    for (size_t i = 0; i < w->node_count; i++) {
        struct node *n = &w->nodes[i];
        if (n->up) {
            node_crash(n, w->power_fails);
            w->counts.crashes++;
            w->counts.power_failures += w->power_fails ? 1 : 0;
            plan_restart(n);
        }
    }
}

/* From the k-th call on the disk is gone: the node fails in the middle of what
 * it writes, then the power goes. */
static void crash_in_write(struct world *w)
{
    struct node *n = any_node(w);
    if (n->up && !n->stopped) {
        fake_disk_stop_after(n->disk, random_below(&w->random, 40));
        w->counts.crashes++;
    }
}

static void pause_one(struct world *w)
{
    struct node *n = any_node(w);
    if (!n->up || n->paused || n->stopped) {
        return;
    }
    n->paused = true;
    n->resume_us = w->now_us + random_between(&w->random, 100, 3000) * WORLD_MS;
    fake_net_pause(w->net, n->number, true);
    world_say(w, "%s is paused", n->name);
}

static void slow_disk(struct world *w)
{
    struct node *n = any_node(w);
    n->slow_until_us = w->now_us + random_between(&w->random, 100, 3000) * WORLD_MS;
    world_say(w, "the disk of %s is slow", n->name);
}

/* A small disk, which the node itself fills: what it looks at once a second can't take
 * it by surprise (safety.md H1). */
static void fill_disk(struct world *w)
{
    struct node *n = any_node(w);
    uint64_t room = random_below(&w->random, 4 * WORLD_SEGMENT_SIZE);
    if (n->full_until_us != 0 || !node_is_serving(n)) {
        return;
    }
    n->full_until_us = w->now_us + random_between(&w->random, 1000, 8000) * WORLD_MS;
    fake_disk_set_capacity(n->disk, fake_disk_used(n->disk) + room);
    w->counts.full_disks++;
    world_say(w, "the disk of %s has %" PRIu64 " bytes left", n->name, room);
}

static void empty_disk(struct node *n)
{
    if (n->full_until_us != 0) {
        world_say(n->world, "the disk of %s has room", n->name);
    }
    n->full_until_us = 0;
    fake_disk_set_capacity(n->disk, 0);
}

static void step_clock(struct world *w)
{
    struct node *n = any_node(w);
    w->wall_offset_us[n->number] =
        (int64_t)random_below(&w->random, 7200 * WORLD_SECOND) - 3600 * (int64_t)WORLD_SECOND;
}

/* --- damage --- */

/* Every node serves and has all that it ever held. */
static bool others_are_well(const struct world *w, const struct node *except)
{
    if (w->node_count == 1) {
        return false; /* there are none to repair it */
    }
    for (size_t i = 0; i < w->node_count; i++) {
        const struct node *n = &w->nodes[i];
        if (!node_is_serving(n) || n->damaged || n->hurt || n->replaced ||
            configuration_voters(member_configuration(n->member)) != w->node_count) {
            return false;
        }
    }
    return except->up;
}

/* 'newest': the log ends in it. */
static bool pick_segment(struct node *n, char path[IO_PATH_MAX], bool *newest)
{
    struct io *io = fake_disk_io(n->disk);
    struct io_name *names = NULL;
    size_t count = 0;
    struct err e;
    if (io_list(io, "/data/raft", &names, &count, &e) != ERR_OK) {
        return false;
    }
    size_t segments = 0;
    char picked[IO_NAME_MAX + 1] = "";
    char last[IO_NAME_MAX + 1] = "";
    for (size_t i = 0; i < count; i++) {
        if (strlen(names[i].name) == 24 && !names[i].is_dir) {
            segments++;
            if (random_below(&n->world->random, segments) == 0) {
                memcpy(picked, names[i].name, sizeof picked);
            }
            if (strcmp(names[i].name, last) > 0) {
                memcpy(last, names[i].name, sizeof last);
            }
        }
    }
    mem_free(names);
    *newest = strcmp(picked, last) == 0;
    return segments > 0 && io_join(path, "/data/raft", picked, &e) == ERR_OK;
}

/* Zeros over the last records of a log, acknowledged in the last 50 ms, read as its
 * end (safety.md A4 names this limit): the newest segment gets none. */
static void damage_bytes(struct node *n, const char *path, bool newest)
{
    struct random *r = &n->world->random;
    uint64_t size = fake_disk_file_size(n->disk, path);
    uint64_t count = random_between(r, 1, 4);
    for (uint64_t i = 0; i < count; i++) {
        uint64_t offset = random_below(r, size / (i == 0 ? 2 : 1));
        uint64_t length = random_between(r, 1, 600);
        if (offset + length > size) {
            length = size - offset;
        }
        switch (random_below(r, newest ? 2 : 3)) {
        case 0:
            fake_disk_flip_bit(n->disk, path, offset, (unsigned)random_below(r, 8));
            break;
        case 1:
            fake_disk_garbage(n->disk, path, offset, length, r);
            break;
        default:
            fake_disk_zero(n->disk, path, offset, length);
            break;
        }
        world_say(n->world, "%s: damage in %s at %" PRIu64, n->name, path, offset);
    }
}

/* The node is down when its log is hurt; what it finds at its start is the test. */
static void damage_one(struct world *w)
{
    struct node *n = any_node(w);
    if (!n->up || !others_are_well(w, n) || !node_is_serving(n)) {
        return;
    }
    node_crash(n, false);
    w->counts.crashes++;
    char path[IO_PATH_MAX];
    bool newest = false;
    if (pick_segment(n, path, &newest)) {
        damage_bytes(n, path, newest);
        n->damaged = true;
        w->counts.damages++;
    }
    plan_restart(n);
}

/* --- damage while the node runs, found by its scrubber --- */

struct slot_pick {
    struct random *random;
    const struct wal *wal;
    uint64_t seen;
    uint64_t lsn, segment;
    uint32_t size;
};

/* Any entry that the log holds and has synced. */
static bool pick_slot(void *context, const struct wal_view *view)
{
    struct slot_pick *p = context;
    uint64_t term = 0;
    bool held = wal_term_at(p->wal, view->index, &term) && term == view->term && view->size > 0;
    if (held && view->lsn < wal_lsn_durable(p->wal) && random_below(p->random, ++p->seen) == 0) {
        p->lsn = view->lsn;
        p->segment = view->segment;
        p->size = view->size;
    }
    return true;
}

static bool find_segment(struct node *n, uint64_t segment, char path[IO_PATH_MAX])
{
    struct io_name *names = NULL;
    size_t count = 0;
    bool found = false;
    if (io_list(fake_disk_io(n->disk), "/data/raft", &names, &count, NULL) != ERR_OK) {
        return false;
    }
    for (size_t i = 0; i < count && !found; i++) {
        uint32_t timeline = 0;
        uint64_t number = 0;
        found = wal_segment_name_parse(WORLD_SEGMENT_SIZE, names[i].name, &timeline, &number) &&
                number == segment && io_join(path, "/data/raft", names[i].name, NULL) == ERR_OK;
    }
    mem_free(names);
    return found;
}

static bool hurt_log(struct node *n, char path[IO_PATH_MAX], uint64_t *offset)
{
    const struct wal_layout layout = {WORLD_SEGMENT_SIZE, 1};
    struct slot_pick pick = {.random = &n->world->random,
                             .wal = storage_wal(n->storage, STORAGE_RAFT)};
    struct wal_visitor visitor = {.slot = pick_slot, .context = &pick};
    struct wal_report report;
    if (pick.wal == NULL ||
        wal_inspect(fake_disk_io(n->disk), "/data/raft", &visitor, &report, NULL) != ERR_OK ||
        pick.seen == 0 || !find_segment(n, pick.segment, path)) {
        return false;
    }
    *offset = wal_lsn_offset(&layout, pick.lsn) +
              random_below(&n->world->random, WAL_RECORD_HEADER_SIZE + pick.size);
    return true;
}

static bool hurt_part(struct node *n, char path[IO_PATH_MAX], uint64_t *offset)
{
    struct io_name *names = NULL;
    size_t count = 0;
    uint64_t parts = 0;
    if (io_list(fake_disk_io(n->disk), "/data/tsdb", &names, &count, NULL) != ERR_OK) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (tsdb_name_is_valid(names[i].name) && names[i].name[0] == 'p' &&
            random_below(&n->world->random, ++parts) == 0 &&
            io_join(path, "/data/tsdb", names[i].name, NULL) != ERR_OK) {
            parts = 0;
            break;
        }
    }
    mem_free(names);
    if (parts > 0) {
        *offset = random_below(&n->world->random, fake_disk_file_size(n->disk, path));
    }
    return parts > 0;
}

static void hurt_one(struct world *w)
{
    struct node *n = any_node(w);
    char path[IO_PATH_MAX] = "";
    uint64_t offset = 0;
    if (!n->up || !others_are_well(w, n)) {
        return;
    }
    bool log = random_chance(&w->random, 1, 2);
    if (log ? !hurt_log(n, path, &offset) : !hurt_part(n, path, &offset)) {
        return;
    }
    fake_disk_flip_bit(n->disk, path, offset, (unsigned)random_below(&w->random, 8));
    world_say(w, "%s: damage in %s at %" PRIu64 " while it runs", n->name, path, offset);
    struct member_damage d = member_status(n->member).damage;
    n->hurt = true;
    n->hurt_rounds_logs = d.rounds_logs;
    n->hurt_rounds_parts = d.rounds_parts;
    w->counts.hurts++;
}

/* An image can be told from the directory only if a start that came after it
 * has been stored by the others (safety.md B2 names this limit). */
static bool image_can_be_told(const struct world *w, const struct node *n)
{
    struct member_status s = member_status(n->member);
    if (n->image == NULL || n->image_counter >= s.start_counter) {
        return false;
    }
    for (size_t i = 0; i < w->node_count; i++) {
        const struct node *other = &w->nodes[i];
        if (other == n) {
            continue;
        }
        const struct hard_state_seen *seen =
            hard_state_find_seen(storage_hard(other->storage), s.directory_id);
        if (seen == NULL || seen->counter <= n->image_counter) {
            return false;
        }
        /* Only who is a voter in the image's own log can condemn it. */
        uint64_t id = storage_hard(other->storage)->directory_id;
        if (!configuration_is_voter(&n->image_configuration, id)) {
            return false;
        }
    }
    return n->image_id == s.directory_id;
}

static void wipe_one(struct world *w)
{
    struct node *n = any_node(w);
    if (!n->up || !others_are_well(w, n) || !node_is_serving(n)) {
        return;
    }
    bool roll_back = image_can_be_told(w, n) && random_chance(&w->random, 2, 3);
    node_crash(n, false);
    w->counts.crashes++;
    if (roll_back) {
        node_restore(n, n->image);
        world_say(w, "%s: an old image of its disk is put back", n->name);
        w->counts.rollbacks++;
    } else {
        node_wipe(n);
        world_say(w, "%s: its disk is wiped", n->name);
        w->counts.wipes++;
    }
    n->replaced = true;
    plan_restart(n);
}

static void take_image(struct world *w)
{
    struct node *n = any_node(w);
    if (node_is_serving(n) && !n->replaced) {
        fake_disk_image_free(n->image);
        n->image = fake_disk_snapshot(n->disk);
        /* Of the disk: the member learns of a counter that a checkpoint raised a moment later. */
        n->image_counter = storage_hard(n->storage)->start_counter;
        n->image_id = member_status(n->member).directory_id;
        n->image_configuration = *member_configuration(n->member);
    }
}

/* --- the network --- */

static void partition(struct world *w)
{
    unsigned group[WORLD_NODES_MAX];
    for (size_t i = 0; i < w->node_count; i++) {
        group[i] = (unsigned)random_below(&w->random, 2);
    }
    fake_net_partition(w->net, group, w->now_us);
    w->counts.partitions++;
    world_say(w, "partition");
}

static void block_one_way(struct world *w)
{
    size_t from = random_below(&w->random, w->node_count);
    size_t to = random_below(&w->random, w->node_count);
    if (from != to) {
        fake_net_block(w->net, from, to, true, w->now_us);
        w->counts.partitions++;
        world_say(w, "n%zu can't reach n%zu", from + 1, to + 1);
    }
}

static void reset_link(struct world *w)
{
    size_t a = random_below(&w->random, w->node_count);
    size_t b = random_below(&w->random, w->node_count);
    if (a != b && w->nodes[a].up && w->nodes[b].up) {
        fake_net_reset(w->net, a, b, w->now_us);
    }
}

static void heal_network(struct world *w)
{
    fake_net_heal(w->net, w->now_us);
    world_say(w, "the network is whole");
}

/* --- when --- */

struct fault {
    unsigned weight;
    void (*strike)(struct world *w);
};

static const struct fault faults[] = {
    {12, crash_one}, {2, crash_all},     {8, crash_in_write}, {5, pause_one},     {5, slow_disk},
    {2, step_clock}, {10, damage_one},   {8, hurt_one},       {3, wipe_one},      {4, take_image},
    {6, partition},  {5, block_one_way}, {5, reset_link},     {16, heal_network}, {4, fill_disk},
};

static void strike(struct world *w)
{
    unsigned total = 0;
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        total += faults[i].weight;
    }
    uint64_t pick = random_below(&w->random, total);
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        if (pick < faults[i].weight) {
            faults[i].strike(w);
            return;
        }
        pick -= faults[i].weight;
    }
}

static void resume_due(struct world *w)
{
    for (size_t i = 0; i < w->node_count; i++) {
        struct node *n = &w->nodes[i];
        if (n->full_until_us != 0 && n->full_until_us <= w->now_us) {
            empty_disk(n);
        }
        if (n->up && n->paused && n->resume_us <= w->now_us) {
            n->paused = false;
            fake_net_pause(w->net, n->number, false);
            world_say(w, "%s goes on", n->name);
        }
    }
}

void chaos_run(struct world *w)
{
    resume_due(w);
    if (w->now_us >= w->chaos_us) {
        w->chaos_us = w->now_us + random_between(&w->random, 20, 900) * WORLD_MS;
        strike(w);
    }
}

uint64_t chaos_next_us(const struct world *w)
{
    return world_is_healing(w) ? UINT64_MAX : w->chaos_us;
}

void chaos_heal(struct world *w)
{
    world_say(w, "faults end");
    heal_network(w);
    for (size_t i = 0; i < w->node_count; i++) {
        struct node *n = &w->nodes[i];
        n->slow_until_us = 0;
        empty_disk(n);
        if (n->up && n->paused) {
            n->resume_us = w->now_us;
        }
        if (n->up) {
            fake_disk_clear_faults(n->disk);
        } else if (n->restart_us > w->now_us + WORLD_SECOND) {
            n->restart_us = w->now_us + WORLD_SECOND;
        }
    }
    resume_due(w);
}
