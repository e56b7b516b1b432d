/* SPDX-License-Identifier: Apache-2.0 */
/* The damage grid: which node, what of it, when, and on how many nodes. 252 cells,
 * each a calm world of its own that must serve again, or wait where the oracle finds
 * something of which no copy is left. */
#include "base/mem.h"
#include "sim/test/damage_case.h"
#include "testkit/fake_disk_damage.h"
#include "wal/wal_inspect.h"
#include "wal/wal_record.h"
#include "wal/wal_segment.h"

enum role { ROLE_LEADER, ROLE_FOLLOWER, ROLE_LAGGING, ROLE_COUNT };
enum what {
    ENTRY_BODY,
    ENTRY_HEADER,
    IDENTIFIERS,
    SEGMENT_HEADER,
    VOTE_FILE,
    SNAPSHOT_DATA,
    SNAPSHOT_DESCRIPTION,
    WHAT_COUNT
};
enum when { WHILE_STOPPED, WHILE_RUNNING, DURING_SNAPSHOT, DURING_REPAIR, WHEN_COUNT };
enum spread { ONE_NODE, TWO_NODES, ALL_NODES, SPREAD_COUNT };

enum {
    CELLS = (int)ROLE_COUNT * (int)WHAT_COUNT * (int)WHEN_COUNT * (int)SPREAD_COUNT,
    STRIDE = TEST_SANITIZED ? 23 : 5, /* without TIDEMARK_ROUNDS=full: no divisor of CELLS */
    BEFORE_END = 20,                  /* entries: what is hit was committed */
    APART = 10,                       /* entries, from one node's damage to the next one's */
};

struct cell {
    enum role role;
    enum what what;
    enum when when;
    enum spread spread;
};

static struct cell cell_of(unsigned number)
{
    struct cell c = {.role = (enum role)(number % ROLE_COUNT)};
    number /= ROLE_COUNT;
    c.what = (enum what)(number % WHAT_COUNT);
    number /= WHAT_COUNT;
    c.when = (enum when)(number % WHEN_COUNT);
    c.spread = (enum spread)(number / WHEN_COUNT);
    return c;
}

/* ---- what is hit ---- */

struct target {
    uint64_t index;
    uint64_t lsn;
    uint32_t size;
};

static bool see_slot_of_target(void *context, const struct wal_view *view)
{
    struct target *t = context;
    if (view->state == WAL_SLOT_HELD && view->index == t->index && view->size > 0) {
        t->lsn = view->lsn;
        t->size = view->size;
    }
    return true;
}

/* The k-th file of a directory whose name begins so, from the newest on. */
static bool find_file(struct node *n, const char *dir, const char *start, size_t k,
                      char path[IO_PATH_MAX])
{
    struct io_name *names = NULL;
    size_t count = 0;
    struct err e;
    bool found = false;
    if (io_list(fake_disk_io(n->disk), dir, &names, &count, &e) != ERR_OK) {
        return false;
    }
    char below[IO_NAME_MAX + 1] = "~";
    for (size_t round = 0; round <= k; round++) {
        const char *best = NULL;
        for (size_t i = 0; i < count; i++) {
            const char *name = names[i].name;
            bool fits = strncmp(name, start, strlen(start)) == 0 && strcmp(name, below) < 0 &&
                        strstr(name, ".side") == NULL && strstr(name, "spare") == NULL;
            best = fits && (best == NULL || strcmp(name, best) > 0) ? name : best;
        }
        if (best == NULL) {
            break;
        }
        found = io_join(path, dir, best, &e) == ERR_OK;
        (void)snprintf(below, sizeof below, "%s", best);
    }
    mem_free(names);
    return found;
}

/* The place of entry 'index' in the log's files. */
static bool find_entry(struct node *n, uint64_t index, struct target *t, char path[IO_PATH_MAX])
{
    struct wal_visitor visitor = {.slot = see_slot_of_target, .context = t};
    struct wal_report report;
    struct err e;
    *t = (struct target){.index = index};
    if (wal_inspect(fake_disk_io(n->disk), "/data/raft", &visitor, &report, &e) != ERR_OK ||
        t->lsn == 0) {
        return false;
    }
    for (size_t k = 0; find_file(n, "/data/raft", "0", k, path); k++) {
        uint32_t timeline;
        uint64_t number;
        const char *name = strrchr(path, '/') + 1;
        if (wal_segment_name_parse(WORLD_SEGMENT_SIZE, name, &timeline, &number) &&
            number == t->lsn / WORLD_SEGMENT_SIZE) {
            return true;
        }
    }
    return false;
}

static void flip(struct node *n, const char *path, uint64_t offset)
{
    fake_disk_flip_bit(n->disk, path, offset, (unsigned)random_below(&n->world->random, 8));
}

/* 'place': another one on each node. */
static void hit(struct node *n, enum what what, size_t place, uint64_t last)
{
    char path[IO_PATH_MAX] = "nothing";
    struct target t;
    struct random *r = &n->world->random;
    uint64_t index = last > BEFORE_END + APART * place ? last - BEFORE_END - APART * place : 1;
    switch (what) {
    case ENTRY_BODY:
        if (find_entry(n, index, &t, path)) {
            flip(n, path, t.lsn % WORLD_SEGMENT_SIZE + WAL_RECORD_HEADER_SIZE + t.size / 2);
        }
        break;
    case ENTRY_HEADER:
        if (find_entry(n, index, &t, path)) {
            flip(n, path, t.lsn % WORLD_SEGMENT_SIZE + random_below(r, WAL_RECORD_HEADER_SIZE));
        }
        break;
    case IDENTIFIERS:
    case SEGMENT_HEADER:
        if (find_file(n, "/data/raft", "0", place, path)) {
            uint64_t at = what == IDENTIFIERS ? WAL_SEGMENT_HEADER_SIZE : 0;
            fake_disk_garbage(n->disk, path, at, WAL_SEGMENT_HEADER_SIZE, r);
        }
        break;
    case VOTE_FILE:
        if (find_file(n, "/data", "hard-state.", place % 2, path)) {
            fake_disk_garbage(n->disk, path, 0, fake_disk_file_size(n->disk, path), r);
        }
        break;
    case SNAPSHOT_DATA:
    case SNAPSHOT_DESCRIPTION: {
        bool part = what == SNAPSHOT_DATA;
        if (find_file(n, "/data/tsdb", part ? "part-" : "checkpoint-", part ? place : 0, path)) {
            flip(n, path, random_below(r, fake_disk_file_size(n->disk, path)));
        }
        break;
    }
    case WHAT_COUNT:
        PANIC("nothing is hit");
    }
    world_say(n->world, "%s: %s is hit", n->name, path);
    n->damaged = true;
}

/* ---- who and when ---- */

static struct node *find_leader(struct world *w)
{
    for (size_t i = 0; i < w->node_count; i++) {
        struct node *n = &w->nodes[i];
        if (node_is_serving(n) && member_status(n->member).replica.role == REPLICA_LEADER) {
            return n;
        }
    }
    PANIC("nobody leads a calm world");
}

/* A checkpoint is durable on one node and not yet on another. */
static bool is_in_snapshot(const struct world *w)
{
    uint64_t first = w->nodes[0].checkpoint_index;
    return first != w->nodes[1].checkpoint_index || first != w->nodes[2].checkpoint_index;
}

static bool is_repairing(const struct node *n)
{
    return n->up && member_state(n->member) == MEMBER_REPAIRING;
}

static void prepare(struct world *w, const struct cell *c, size_t first)
{
    struct node *victim = &w->nodes[first];
    struct node *other = &w->nodes[(first + 2) % w->node_count];
    if (c->role == ROLE_LAGGING) {
        node_crash(victim, false);
        world_run_for(w, 300 * WORLD_MS);
        node_start(victim);
    }
    for (unsigned k = 0; c->when == DURING_SNAPSHOT && !is_in_snapshot(w) && k < 10000; k++) {
        world_run_for(w, WORLD_MS);
    }
    if (c->when == DURING_REPAIR) {
        node_crash(other, false);
        (void)damage_block(other, DAMAGE_GARBAGE, DAMAGE_ANYWHERE);
        node_start(other);
        for (unsigned k = 0; !is_repairing(other) && k < 100; k++) {
            world_run_for(w, WORLD_MS / 10);
        }
    }
}

struct verdict_of_cell {
    uint64_t lost;
    unsigned unknown;
};

static struct verdict_of_cell strike(struct world *w, const struct cell *c, size_t first)
{
    struct damage_view before;
    struct damage_view after;
    size_t victims = 1 + (size_t)c->spread;
    uint64_t last = w->applied_count - 1;
    if (c->when == WHILE_RUNNING) { /* the scrubber or a read may find it first */
        for (size_t k = 0; k < victims; k++) {
            hit(&w->nodes[(first + k) % w->node_count], c->what, k, last);
        }
        world_run_for(w, 3 * WORLD_SECOND);
    }
    crash_all(w, false);
    damage_look(w, &before);
    for (size_t k = 0; c->when != WHILE_RUNNING && k < victims; k++) {
        hit(&w->nodes[(first + k) % w->node_count], c->what, k, last);
    }
    damage_look(w, &after);
    struct verdict_of_cell v = {.lost = damage_lost(w, &before, &after)};
    for (size_t i = 0; i < w->node_count; i++) {
        v.unknown += after.unknown[i];
    }
    damage_view_deinit(&before);
    damage_view_deinit(&after);
    for (size_t i = 0; i < w->node_count; i++) {
        node_start(&w->nodes[i]);
        w->nodes[i].hurt = true; /* until its scrubber has read everything */
    }
    return v;
}

/* Whether the cluster serves; else it waits, rightly. */
static bool play_cell(const struct cell *c, unsigned number)
{
    struct world *w = open_world(1000 + number);
    world_run_for(w, 4 * WORLD_SECOND); /* a checkpoint is there to be hit */
    size_t leader = find_leader(w)->number;
    size_t first = c->role == ROLE_LEADER ? leader : (leader + 1) % w->node_count;
    prepare(w, c, first);
    struct verdict_of_cell v = strike(w, c, first);
    bool serves = settles(w);
    bool may_wait =
        v.lost != 0 || v.unknown > 1 || (c->what == SNAPSHOT_DESCRIPTION && c->spread == ALL_NODES);
    if (!serves && !may_wait) {
        check_end(w);
        world_fail(w, "cell %u: waits, and a copy of everything is left", number);
    }
    if (serves) {
        world_run(w);
    }
    world_destroy(w);
    return serves;
}

TEST(damage_grid, every_cell_serves_or_waits_rightly)
{
    const char *one = getenv("TIDEMARK_CELL");
    const char *rounds = getenv("TIDEMARK_ROUNDS");
    bool all = one != NULL || (rounds != NULL && strcmp(rounds, "full") == 0);
    unsigned serve = 0;
    unsigned wait = 0;
    for (unsigned number = 0; number < CELLS; number += all ? 1 : STRIDE) {
        struct cell c = cell_of(number);
        if (one != NULL && strtoull(one, NULL, 10) != number) {
            continue;
        }
        test_context("cell %u: role %d, what %d, when %d, spread %d", number, (int)c.role,
                     (int)c.what, (int)c.when, (int)c.spread);
        bool serves = play_cell(&c, number);
        serve += serves;
        wait += !serves;
        if (!serves) {
            printf("(waits: cell %u what %d when %d spread %d) ", number, (int)c.what, (int)c.when,
                   (int)c.spread);
        }
    }
    printf("(serve %u, wait %u) ", serve, wait);
    EXPECT(one != NULL || serve >= (serve + wait) * 9 / 10);
}
