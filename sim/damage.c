/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/damage.h"

#include <inttypes.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "testkit/fake_disk_damage.h"
#include "wal/wal_inspect.h"

#define LOG_DIR "/data/raft"

/* ---- looking ---- */

struct looking {
    struct damage_view *view;
    size_t node;
};

static uint64_t *term_at(struct damage_view *v, size_t node, uint64_t index)
{
    CHECK(index < UINT64_C(1) << 24);
    if (index >= v->count) {
        uint64_t count = 2 * index + 64;
        for (size_t i = 0; i < WORLD_NODES_MAX; i++) {
            uint64_t *grown = mem_zalloc(count * sizeof *grown);
            if (v->count > 0) {
                memcpy(grown, v->terms[i], v->count * sizeof *grown);
            }
            mem_free(v->terms[i]);
            v->terms[i] = grown;
        }
        v->count = count;
    }
    return &v->terms[node][index];
}

static bool see_slot(void *context, const struct wal_view *view)
{
    struct looking *l = context;
    bool lost = view->state == WAL_SLOT_LOST && strcmp(view->verdict, "unknown") == 0;
    l->view->unknown[l->node] = l->view->unknown[l->node] || lost;
    return true;
}

/* The terms of the entries that the log holds. False: it can't be read. */
static bool see_entries(struct looking *l, struct wal_inspection *log)
{
    struct wal_entry entry;
    struct err e;
    bool found = true;
    enum err_code code = ERR_OK;
    while (found && code == ERR_OK) {
        code = wal_inspection_next(log, &entry, &found, &e);
        if (found && code == ERR_OK) {
            *term_at(l->view, l->node, entry.index) = entry.term;
        }
    }
    return code == ERR_OK;
}

void damage_look(struct world *w, struct damage_view *v)
{
    *v = (struct damage_view){0};
    for (size_t i = 0; i < w->node_count; i++) {
        struct looking l = {v, i};
        struct wal_visitor visitor = {.slot = see_slot, .context = &l};
        struct wal_inspection *log = NULL;
        struct wal_report report;
        struct err e;
        CHECK(!w->nodes[i].up);
        (void)term_at(v, i, 1);
        if (wal_inspection_open(fake_disk_io(w->nodes[i].disk), LOG_DIR, &visitor, &report, &log,
                                &e) != ERR_OK ||
            !see_entries(&l, log)) {
            v->unknown[i] = true;
        }
        wal_inspection_close(log);
    }
}

void damage_view_deinit(struct damage_view *v)
{
    for (size_t i = 0; i < WORLD_NODES_MAX; i++) {
        mem_free(v->terms[i]);
    }
    *v = (struct damage_view){0};
}

static uint64_t held_term(const struct damage_view *v, size_t node, uint64_t index)
{
    return index < v->count ? v->terms[node][index] : 0;
}

/* A node whose log held the last entry that was applied anywhere: all that it held
 * below was committed (Log Matching). */
static size_t find_witness(const struct world *w, const struct damage_view *before,
                           uint64_t applied)
{
    for (size_t i = 0; i < w->node_count; i++) {
        if (held_term(before, i, applied) == w->term_of_index[applied]) {
            return i;
        }
    }
    return w->node_count;
}

static bool is_in_checkpoint(const struct world *w, uint64_t index)
{
    bool held = false;
    for (size_t i = 0; i < w->node_count; i++) {
        held = held || w->nodes[i].checkpoint_index >= index;
    }
    return held;
}

uint64_t damage_lost(const struct world *w, const struct damage_view *before,
                     const struct damage_view *after)
{
    uint64_t applied = w->applied_count;
    do {
        applied--;
    } while (applied > 0 && w->term_of_index[applied] == 0);
    size_t witness = find_witness(w, before, applied);
    CHECK(witness < w->node_count);
    for (uint64_t index = 1; index <= applied; index++) {
        uint64_t term = held_term(before, witness, index);
        bool held = term == 0 || is_in_checkpoint(w, index);
        for (size_t i = 0; i < w->node_count && !held; i++) {
            held = held_term(after, i, index) == term;
        }
        if (!held) {
            return index;
        }
    }
    return 0;
}

/* ---- damage ---- */

static bool is_log_file(const struct io_name *name)
{
    enum { SEGMENT_NAME_SIZE = 24 };
    return !name->is_dir && strlen(name->name) == SEGMENT_NAME_SIZE;
}

static bool is_block_used(struct node *n, const char *path, uint64_t offset)
{
    uint8_t block[DAMAGE_BLOCK_SIZE];
    size_t size = fake_disk_peek(n->disk, path, offset, block, sizeof block);
    for (size_t i = 0; i < size; i++) {
        if (block[i] != 0) {
            return true;
        }
    }
    return false;
}

/* Each used block of the log is as likely as any other, or the last one. */
static bool pick_block(struct node *n, enum damage_place place, char picked[IO_PATH_MAX],
                       uint64_t *offset)
{
    struct io_name *names = NULL;
    size_t count = 0;
    uint64_t used = 0;
    struct err e;
    if (io_list(fake_disk_io(n->disk), LOG_DIR, &names, &count, &e) != ERR_OK) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        char path[IO_PATH_MAX];
        if (!is_log_file(&names[i]) || io_join(path, LOG_DIR, names[i].name, &e) != ERR_OK) {
            continue;
        }
        uint64_t size = fake_disk_file_size(n->disk, path);
        for (uint64_t at = 0; at + DAMAGE_BLOCK_SIZE <= size; at += DAMAGE_BLOCK_SIZE) {
            if (!is_block_used(n, path, at)) {
                continue;
            }
            used++;
            bool later = used == 1 || strcmp(path, picked) >= 0;
            if (place == DAMAGE_AT_END ? later : random_below(&n->world->random, used) == 0) {
                memcpy(picked, path, sizeof path);
                *offset = at;
            }
        }
    }
    mem_free(names);
    return used > 0;
}

bool damage_block(struct node *n, enum damage_kind kind, enum damage_place place)
{
    char path[IO_PATH_MAX];
    uint64_t offset = 0;
    CHECK(!n->up);
    if (!pick_block(n, place, path, &offset)) {
        return false;
    }
    switch (kind) {
    case DAMAGE_GARBAGE:
        fake_disk_garbage(n->disk, path, offset, DAMAGE_BLOCK_SIZE, &n->world->random);
        break;
    case DAMAGE_READ_ERROR:
        fake_disk_read_error(n->disk, path, offset, DAMAGE_BLOCK_SIZE);
        break;
    }
    world_say(n->world, "%s: a block of %s is lost at %" PRIu64, n->name, path, offset);
    n->damaged = true;
    n->world->counts.damages++;
    return true;
}
