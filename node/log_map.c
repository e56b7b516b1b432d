/* SPDX-License-Identifier: Apache-2.0 */
#include "node/log_map.h"

#include <string.h>

#include "base/check.h"
#include "base/mem.h"

enum entry_type log_map_entry_type(enum wal_type type)
{
    switch (type) {
    case WAL_BARRIER:
        return ENTRY_BARRIER;
    case WAL_CHANGE:
        return ENTRY_CHANGE;
    case WAL_COMMAND:
    case WAL_METADATA:
        break;
    }
    return ENTRY_COMMAND;
}

enum wal_type log_map_wal_type(enum entry_type type)
{
    switch (type) {
    case ENTRY_BARRIER:
        return WAL_BARRIER;
    case ENTRY_CHANGE:
        return WAL_CHANGE;
    case ENTRY_COMMAND:
        break;
    }
    return WAL_COMMAND;
}

static void add_run(struct log_map *map, size_t *capacity, const struct log_run *run)
{
    const struct log_run *last = map->run_count > 0 ? &map->runs[map->run_count - 1] : NULL;
    if (last != NULL && last->term == run->term && last->type == run->type) {
        return;
    }
    map->runs = mem_grow(map->runs, capacity, map->run_count + 1, sizeof *map->runs);
    map->runs[map->run_count++] = *run;
}

void log_map_take(struct log_map *map, const struct wal *w)
{
    *map = (struct log_map){
        .first = wal_index_first(w),
        .last = wal_index_last(w),
        .end_unknown = wal_end_unknown(w),
        .lsn_end = wal_lsn_end(w),
        .lsn_durable = wal_lsn_durable(w),
        .stats = wal_stats(w),
    };
    if (map->first > 1) {
        (void)wal_term_at(w, map->first - 1, &map->cut_term);
    }
    size_t capacity = 0;
    for (uint64_t i = map->first; i <= map->last; i++) {
        struct log_run run = {.index = i}; /* stays 0 where the identity is lost */
        enum wal_type type;
        (void)wal_term_at(w, i, &run.term);
        if (wal_type_at(w, i, &type)) {
            run.type = log_map_entry_type(type);
        }
        add_run(map, &capacity, &run);
    }
    const struct wal_hole *holes = wal_holes(w, &map->hole_count);
    map->holes = mem_dup(holes, map->hole_count * sizeof *holes);
}

void log_map_deinit(struct log_map *map)
{
    mem_free(map->runs);
    mem_free(map->holes);
    *map = (struct log_map){0};
}

bool log_map_is_whole(const struct log_map *map)
{
    return map->hole_count == 0 && !map->end_unknown;
}

static const struct wal_hole *find_hole(const struct log_map *map, uint64_t index)
{
    size_t low = 0;
    size_t high = map->hole_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (map->holes[middle].index < index) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    bool found = low < map->hole_count && map->holes[low].index == index;
    return found ? &map->holes[low] : NULL;
}

static const struct log_run *run_of(const struct log_map *map, uint64_t index)
{
    size_t low = 0;
    size_t high = map->run_count;
    while (low < high) { /* the last run that starts at or before index */
        size_t middle = low + (high - low) / 2;
        if (map->runs[middle].index <= index) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    CHECK(low > 0);
    return &map->runs[low - 1];
}

struct slot log_map_at(const struct log_map *map, uint64_t index)
{
    if (index < map->first) {
        return (struct slot){.kind = SLOT_CUT, .term = index + 1 == map->first ? map->cut_term : 0};
    }
    if (index > map->last) {
        return (struct slot){.kind = map->end_unknown ? SLOT_UNKNOWN : SLOT_NEVER_HAD};
    }
    const struct wal_hole *hole = find_hole(map, index);
    if (hole != NULL && hole->unknown) {
        return (struct slot){.kind = SLOT_UNKNOWN};
    }
    const struct log_run *run = run_of(map, index);
    if (hole != NULL) {
        return (struct slot){SLOT_DAMAGED, hole->term, run->type};
    }
    return (struct slot){SLOT_WHOLE, run->term, run->type};
}

static uint64_t view_first(void *context)
{
    return ((const struct log_map *)context)->first;
}

static uint64_t view_last(void *context)
{
    return ((const struct log_map *)context)->last;
}

static bool view_end_unknown(void *context)
{
    return ((const struct log_map *)context)->end_unknown;
}

static struct slot view_at(void *context, uint64_t index)
{
    return log_map_at(context, index);
}

struct log_view log_map_view(struct log_map *map)
{
    return (struct log_view){map, view_first, view_last, view_end_unknown, view_at};
}
