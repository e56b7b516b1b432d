/* SPDX-License-Identifier: Apache-2.0 */
/* Files that are missing, can't be opened, are shorter or longer than they were: one
 * random file of a directory, on one or two nodes (experiment P7). A node may refuse
 * to start from what is left, and say why; it is replaced then. Published: 1,000
 * cases, none unsafe, 566 and 498 of them served. */
#include "base/mem.h"
#include "sim/test/damage_case.h"
#include "testkit/fake_disk_damage.h"

enum fault { FILE_MISSING, FILE_LOCKED, FILE_SHORTER, FILE_LONGER, FAULTS };

static const char *const fault_names[] = {"missing", "not to be opened", "shorter", "longer"};

struct files {
    char (*paths)[IO_PATH_MAX];
    size_t count;
    size_t capacity;
};

static void add_files(struct io *io, const char *dir, struct files *f)
{
    struct io_name *names = NULL;
    size_t count = 0;
    struct err e;
    if (io_list(io, dir, &names, &count, &e) != ERR_OK) {
        return; /* it has no such log */
    }
    for (size_t i = 0; i < count; i++) {
        if (!names[i].is_dir) {
            f->paths = mem_grow(f->paths, &f->capacity, f->count + 1, sizeof *f->paths);
            enum err_code code = io_join(f->paths[f->count++], dir, names[i].name, &e);
            CHECK(code == ERR_OK);
        }
    }
    mem_free(names);
}

static void make_longer(struct node *n, const char *path)
{
    uint8_t bytes[DAMAGE_BLOCK_SIZE];
    struct bytes part = {bytes, sizeof bytes};
    struct file *file = NULL;
    struct err e;
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)random_u64(&n->world->random);
    }
    if (io_open(fake_disk_io(n->disk), path, IO_WRITE, &file, &e) != ERR_OK ||
        file_write_at(file, fake_disk_file_size(n->disk, path), &part, 1, &e) != ERR_OK ||
        file_sync(file, &e) != ERR_OK) {
        world_fail(n->world, "%s: %s", n->name, e.text);
    }
    file_close(file);
}

static void hurt_file(struct node *n, uint64_t faults[FAULTS])
{
    static const char *const dirs[] = {"/data", "/data/raft", "/data/wal", "/data/tsdb"};
    struct random *r = &n->world->random;
    struct files f = {0};
    for (size_t i = 0; i < sizeof dirs / sizeof dirs[0]; i++) {
        add_files(fake_disk_io(n->disk), dirs[i], &f);
    }
    CHECK(f.count > 0);
    const char *path = f.paths[random_below(r, f.count)];
    enum fault fault = (enum fault)random_below(r, FAULTS);
    uint64_t size = fake_disk_file_size(n->disk, path);
    faults[fault]++;
    n->damaged = true;
    world_say(n->world, "%s: %s is %s", n->name, path, fault_names[fault]);
    switch (fault) {
    case FILE_MISSING:
        fake_disk_remove(n->disk, path);
        break;
    case FILE_LOCKED:
        fake_disk_fail(
            n->disk,
            (struct fake_disk_fault){
                .call = FAKE_DISK_OPEN, .path = path, .nth = 1, .for_ever = true, .code = ERR_IO});
        break;
    case FILE_SHORTER:
        fake_disk_truncate(n->disk, path, size == 0 ? 0 : random_below(r, size));
        break;
    case FILE_LONGER:
        make_longer(n, path);
        break;
    case FAULTS:
        PANIC("no fault");
    }
    mem_free(f.paths);
}

struct outcomes {
    uint64_t cases, served, refused, replaced, waits;
    uint64_t faults[FAULTS];
};

/* Those that don't refuse serve, and are a majority. */
static bool majority_serves(struct world *w, uint64_t acked)
{
    size_t serving = 0;
    for (size_t i = 0; i < w->node_count; i++) {
        struct node *n = &w->nodes[i];
        bool serves = node_is_serving(n) && member_status(n->member).replica.leader != 0;
        if (!serves && !n->refused) {
            return false;
        }
        serving += serves;
    }
    return serving > w->node_count / 2 && w->counts.acked_writes > acked;
}

static bool wait_for(struct world *w, bool (*holds)(struct world *w, uint64_t acked))
{
    uint64_t acked = w->counts.acked_writes;
    uint64_t limit_us = w->now_us + 2 * SETTLE_SECONDS * WORLD_SECOND;
    while (!holds(w, acked) && w->now_us < limit_us) {
        world_run_for(w, 20 * WORLD_MS);
    }
    return holds(w, acked);
}

static bool all_are_seated(struct world *w, uint64_t acked)
{
    for (size_t i = 0; i < w->node_count; i++) {
        if (w->nodes[i].replaced) {
            return false;
        }
    }
    return is_serving(w, acked);
}

static size_t count_refused(const struct world *w)
{
    size_t count = 0;
    for (size_t i = 0; i < w->node_count; i++) {
        count += w->nodes[i].refused;
    }
    return count;
}

/* Of two nodes that are hurt one may refuse and the other wait for it. */
static bool says_what_it_waits_for(const struct world *w)
{
    for (size_t i = 0; i < w->node_count; i++) {
        const struct node *n = &w->nodes[i];
        if (n->up && member_state(n->member) == MEMBER_REPAIRING &&
            strstr(member_status(n->member).message, "waits for ") != NULL) {
            return true;
        }
    }
    return false;
}

/* False: nobody can be served, as two nodes are hurt too much. */
static bool play_file_case(struct world *w, struct outcomes *o)
{
    size_t first = random_below(&w->random, w->node_count);
    bool two = random_chance(&w->random, 1, 2);
    world_run_for(w, random_between(&w->random, 50, 400) * WORLD_MS);
    crash_all(w, false);
    hurt_file(&w->nodes[first], o->faults);
    if (two) {
        hurt_file(&w->nodes[(first + 1) % w->node_count], o->faults);
    }
    o->cases++;
    for (size_t i = 0; i < w->node_count; i++) {
        node_start(&w->nodes[i]);
    }
    bool served = wait_for(w, majority_serves);
    size_t refused = count_refused(w);
    o->refused += refused;
    bool waits = !served && two && says_what_it_waits_for(w);
    o->waits += waits;
    if (refused > 1 || waits) {
        return false;
    }
    if (!served) {
        check_end(w); /* says how it stands */
        world_fail(w, "case %" PRIu64 ": too few nodes serve, %zu refused", o->cases, refused);
    }
    o->served++;
    for (size_t i = 0; i < w->node_count; i++) {
        struct node *n = &w->nodes[i];
        fake_disk_clear_faults(n->disk); /* as an operator would, and: */
        if (n->refused) {
            node_wipe(n);
            n->replaced = true;
            o->replaced++;
            node_start(n);
        }
    }
    if (!wait_for(w, all_are_seated)) {
        check_end(w);
        world_fail(w, "case %" PRIu64 ": a replaced node is no voter", o->cases);
    }
    return true;
}

TEST(damage_files, a_file_that_is_not_as_it_was_is_made_good_or_refused)
{
    enum { CASES = 1000 };
    struct outcomes o = {0};
    const char *first = getenv("TIDEMARK_SEED");
    uint64_t seed = first == NULL ? 1 : strtoull(first, NULL, 10);
    uint64_t cases = cases_to_play(CASES);
    while (o.cases < cases) {
        test_context("world %" PRIu64, seed);
        struct world *w = open_world(seed++);
        bool served = true;
        w->may_refuse = true;
        for (unsigned k = 0; k < CASES_PER_WORLD && served && o.cases < cases; k++) {
            served = play_file_case(w, &o);
        }
        if (served) {
            world_run(w);
        }
        world_destroy(w);
    }
    printf("(%" PRIu64 " cases, served in %" PRIu64 "; %" PRIu64 " starts refused, %" PRIu64
           " nodes replaced, %" PRIu64 " waits; missing %" PRIu64 " locked %" PRIu64
           " shorter %" PRIu64 " longer %" PRIu64 ") ",
           o.cases, o.served, o.refused, o.replaced, o.waits, o.faults[FILE_MISSING],
           o.faults[FILE_LOCKED], o.faults[FILE_SHORTER], o.faults[FILE_LONGER]);
    EXPECT(o.served * 1000 >= cases * 566);
}
