/* SPDX-License-Identifier: Apache-2.0 */
/* One run of random_log.h from its seed: work, crash, open, judge, repair, again. */
#ifndef TIDEMARK_WAL_TEST_RANDOM_RUN_H
#define TIDEMARK_WAL_TEST_RANDOM_RUN_H

#include "wal/test/random_log.h"

/* --- opening --- */

static inline enum err_code rl_try_open(struct rl *r)
{
    r->options.fresh = !r->extent_made;
    r->options.extent = r->extent;
    r->wal = NULL;
    enum err_code code = wal_open(&r->options, &r->wal, &r->report, &r->err);
    r->totals->opens++;
    r->cut = r->extent.index_cut;
    return code;
}

/* Opens, perhaps crashing on the way a few times. */
static inline bool rl_open(struct rl *r)
{
    for (unsigned attempt = 0; attempt < 6; attempt++) {
        if (attempt < 5 && rl_below(r, 3) == 0) {
            rl_fuse(r);
        }
        enum err_code code = rl_try_open(r);
        bool exists;
        if (code == ERR_OK) {
            /* Reads of a disk that has stopped look like damage: not a real open. */
            code = io_exists(r->options.io, "log", &exists, &r->err);
        }
        if (code == ERR_OK) {
            fake_disk_clear_faults(r->disk);
            r->totals->torn += r->report.records_torn;
            r->totals->segments += r->report.segments;
            rl_trace(r,
                     "open: last %" PRIu64 " end %" PRIx64 " durable %" PRIx64 " whole %" PRIu64
                     " torn %" PRIu64 " damaged %" PRIu64 " unknown %" PRIu64,
                     wal_index_last(r->wal), r->report.lsn_end, r->report.lsn_durable,
                     r->report.records_whole, r->report.records_torn, r->report.records_damaged,
                     r->report.records_unknown);
            return true;
        }
        if (code != ERR_IO) {
            return rl_fail(r, "open refuses: %s", r->err.text);
        }
        rl_trace(r, "open failed: %s", r->err.text);
        rl_crash(r);
    }
    return rl_fail(r, "open fails without a fault: %s", r->err.text);
}

/* --- repair, from the truth --- */

static inline struct wal_entry rl_true_entry(const struct rl_state *s, uint64_t index,
                                             uint8_t *bytes)
{
    const struct rl_entry *truth = &s->entries[index];
    return (struct wal_entry){.index = index,
                              .term = truth->term,
                              .type = (enum wal_type)(1 + truth->id % 3),
                              .vgroups = truth->id,
                              .payload = rl_payload(truth->id, bytes)};
}

static inline void rl_replace_from(struct rl *r, const struct rl_state *s, uint64_t index)
{
    size_t count = (size_t)(s->last - index + 1);
    uint8_t *bytes = mem_alloc(count * RL_PAYLOAD_MAX);
    struct wal_entry *entries = mem_array(count, sizeof *entries);
    for (size_t i = 0; i < count; i++) {
        entries[i] = rl_true_entry(s, index + i, bytes + i * RL_PAYLOAD_MAX);
    }
    rl_trace(r, "repair: replace %" PRIu64 "..%" PRIu64, index, s->last);
    (void)rl_ok(r, wal_replace(r->wal, entries, count, r->commit, &r->err));
    mem_free(entries);
    mem_free(bytes);
}

static inline void rl_fill_holes(struct rl *r, const struct rl_state *s)
{
    static uint8_t bytes[RL_PAYLOAD_MAX];
    for (;;) {
        size_t count;
        const struct wal_hole *holes = wal_holes(r->wal, &count);
        size_t usable = 0;
        while (usable < count && holes[usable].index <= s->last) {
            usable++;
        }
        if (usable == 0 || r->broken) {
            return;
        }
        uint64_t index = holes[rl_below(r, usable)].index;
        struct wal_entry entry = rl_true_entry(s, index, bytes);
        rl_trace(r, "repair: fill %" PRIu64 ":%" PRIu64, entry.term, index);
        r->totals->repairs++;
        (void)rl_ok(r, wal_repair(r->wal, &entry, &r->err));
    }
}

static inline void rl_fix_end(struct rl *r, const struct rl_state *s)
{
    uint64_t last = wal_index_last(r->wal);
    if (r->broken || (last == s->last && !wal_end_unknown(r->wal))) {
        return;
    }
    if (last < s->last) {
        rl_replace_from(r, s, last + 1);
        return;
    }
    rl_trace(r, "repair: drop from %" PRIu64, s->last + 1);
    if (rl_ok(r, wal_drop(r->wal, s->last + 1, r->commit, &r->err))) {
        (void)rl_ok(r, wal_sync(r->wal, &r->err));
    }
}

static inline void rl_repair(struct rl *r, const struct rl_state *s)
{
    size_t count;
    const struct wal_hole *holes = wal_holes(r->wal, &count);
    uint64_t first = count > 0 ? holes[0].index : 0;
    if (first != 0 && first <= s->last && s->last - first < 40 && rl_below(r, 3) == 0) {
        rl_replace_from(r, s, first);
    } else {
        rl_fill_holes(r, s);
        rl_fix_end(r, s);
    }
}

/* --- a run --- */

struct rl_options {
    uint64_t seed;
    enum rl_fault fault; /* RL_FAULT_COUNT: drawn from the seed */
    struct rl_totals *totals;
    bool trace;
    enum wal_sync_method sync_method;
    bool sync_changes;
};

static inline void rl_change_sync_method(struct rl *r)
{
    enum wal_sync_method method = (enum wal_sync_method)rl_below(r, WAL_OPEN_SYNC + 1);
    rl_trace(r, "sync method %d", (int)method);
    if (rl_ok(r, wal_set_sync_method(r->wal, method, &r->err))) {
        r->acked = r->step_count;
    }
}

static inline void rl_work(struct rl *r, unsigned *operations)
{
    while (!r->broken && *operations > 0 && !rl_full(r)) {
        --*operations;
        if (rl_below(r, 6) == 0) {
            rl_fuse(r);
        }
        uint64_t kind = rl_below(r, 24);
        if (kind < 11) {
            rl_batch(r);
        } else if (kind < 14) {
            rl_idle(r);
        } else if (kind < 17) {
            rl_advance_commit(r);
        } else if (kind == 17) {
            rl_cut(r);
        } else if (kind == 18) {
            rl_prepare(r);
            if (!r->broken) {
                rl_rotate(r);
            }
        } else if (kind == 19) {
            rl_scrub(r);
        } else if (kind < 22 && rl_below(r, 3) == 0) {
            rl_inject(r);
        } else if (kind == 22 && rl_below(r, 3) == 0) {
            rl_close(r);
        } else if (kind == 23 && r->sync_changes) {
            rl_change_sync_method(r);
        }
    }
    if (!r->broken && r->wal != NULL && *operations == 0) {
        rl_ack(r);
        rl_inject(r);
    }
}

/* The state that an open found becomes the one that the next steps start from. */
static inline void rl_settle(struct rl *r, const struct rl_state *state)
{
    r->base = *state;
    r->live = *state;
    r->step_count = 0;
    r->acked = 0;
    r->marked = 0;
    r->term_fresh = true;
    if (r->commit > r->live.last) {
        r->commit = r->live.last;
    }
}

/* Opens and judges; false: the log answers wrong. *over: nothing more to learn. */
static inline bool rl_cycle(struct rl *r, bool *repaired, bool *over)
{
    static struct rl_view view;
    static struct rl_view again;
    static struct rl_state state;
    bool exact = !r->faulted || *repaired;
    if (!rl_open(r) || !rl_look(r, &view)) {
        return false;
    }
    switch (rl_judge(r, &view, exact, &state)) {
    case RL_WRONG:
        return false;
    case RL_RESIDUAL:
        r->totals->residual++;
        r->totals->residual_by[r->fault]++;
        rl_trace(r, "residual of A4: %s", r->why);
        *over = true;
        return true;
    case RL_RIGHT:
        break;
    }
    rl_settle(r, &state);
    if (exact) {
        return true;
    }
    if (rl_below(r, 2) == 0) {
        rl_crash(r);
        r->totals->second_opens++;
        if (!rl_open(r) || !rl_look(r, &again) || !rl_agrees(r, &again, &state, false)) {
            return false;
        }
        /* A sector that can't be read comes back when zeros are written beside its record. */
        if (r->fault != RL_READ_ERROR && !rl_same(r, &view, &again)) {
            return false;
        }
    }
    if (rl_below(r, 3) == 0) {
        rl_fuse(r);
    }
    rl_repair(r, &state);
    if (r->broken) {
        return true;
    }
    fake_disk_clear_faults(r->disk);
    *repaired = true;
    if (!rl_look(r, &view) || !rl_agrees(r, &view, &state, true)) {
        return false;
    }
    return true;
}

static inline void rl_init(struct rl *r, const struct rl_options *o)
{
    *r = (struct rl){.random = random_seeded(o->seed), .totals = o->totals, .trace = o->trace};
    r->fault = o->fault;
    if (o->fault == RL_FAULT_COUNT) {
        r->fault =
            rl_below(r, 3) == 0 ? RL_NONE : (enum rl_fault)(1 + rl_below(r, RL_FAULT_COUNT - 1));
    }
    r->disk = fake_disk_create(o->seed);
    r->options = (struct wal_options){.io = fake_disk_io(r->disk),
                                      .dir = "log",
                                      .role = WAL_RAFT,
                                      .cluster_id = 1,
                                      .directory_id = o->seed + 1,
                                      .timeline = 1,
                                      .segment_size = RL_SEGMENT_SIZE,
                                      .segments_min = (unsigned)rl_below(r, 8),
                                      .sync_method = o->sync_method,
                                      .extent_changed = rl_extent_changed,
                                      .context = r};
    r->sync_changes = o->sync_changes;
}

/* False: r->why says what is wrong. */
static inline bool rl_run(struct rl *r, const struct rl_options *o)
{
    rl_init(r, o);
    o->totals->runs++;
    unsigned operations = 20 + (unsigned)rl_below(r, 60);
    bool repaired = false;
    bool over = false;
    bool good = true;
    for (unsigned cycle = 0; good && !over && cycle < 40; cycle++) {
        good = rl_cycle(r, &repaired, &over);
        if (good && !over && !r->broken) {
            bool last = operations == 0;
            rl_work(r, &operations);
            over = last;
        }
        if (good && !over) {
            rl_crash(r);
        }
    }
    wal_abandon(r->wal);
    fake_disk_destroy(r->disk);
    return good;
}

#endif
