/* SPDX-License-Identifier: Apache-2.0 */
/* A picture of what a log holds: which indexes, of which terms, and where its
 * holes are. Taken on LANE_LOG, read on the loop: the log itself belongs to the
 * lane. Small: terms are kept as runs. */
#ifndef TIDEMARK_NODE_LOG_MAP_H
#define TIDEMARK_NODE_LOG_MAP_H

#include "raft/repair.h"
#include "wal/wal.h"

struct log_run {
    uint64_t index; /* first of the run */
    uint64_t term;
    enum entry_type type; /* 0: not known */
};

struct log_map {
    uint64_t first, last; /* empty: last = first - 1 */
    uint64_t cut_term;    /* of first - 1 */
    bool end_unknown;
    struct log_run *runs;
    size_t run_count;
    struct wal_hole *holes;
    size_t hole_count;
    uint64_t lsn_end, lsn_durable;
    struct wal_stats stats;
};

enum entry_type log_map_entry_type(enum wal_type type);
enum wal_type log_map_wal_type(enum entry_type type);

/* On LANE_LOG. *map is overwritten; give it to log_map_deinit(). */
void log_map_take(struct log_map *map, const struct wal *w);
void log_map_deinit(struct log_map *map);
bool log_map_is_whole(const struct log_map *map);
/* Identity at an index, as repair.h wants it. */
struct slot log_map_at(const struct log_map *map, uint64_t index);
/* A view of the map for repair.h; the map must outlive it. */
struct log_view log_map_view(struct log_map *map);

#endif
