/* SPDX-License-Identifier: Apache-2.0 */
/* A Raft log under random work, crashes and at most one fault of the disk a run,
 * and an oracle that knows what it may answer afterwards.
 *
 * Steps: one per entry appended, per drop, per replacement. After an open the
 * log must be in the state after some step m, last acknowledged <= m <= last
 * written. Without a fault: exactly that. With one: every index is whole with the
 * right content, a hole of the right term, or unknown; never missing, never
 * other; and a second open answers the same. Then the holes are filled from the
 * truth, and the run goes on without further faults.
 *
 * Residual, as safety.md A4 names it: a fault on a slot with a zero sector after
 * the last MARK reads as torn. */
#ifndef TIDEMARK_WAL_TEST_RANDOM_LOG_H
#define TIDEMARK_WAL_TEST_RANDOM_LOG_H

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/random.h"
#include "testkit/fake_disk.h"
#include "testkit/fake_disk_damage.h"
#include "wal/wal.h"
#include "wal/wal_record.h"
#include "wal/wal_segment.h"

enum {
    RL_SEGMENT_SIZE = 64 * 1024,
    RL_INDEX_MAX = 2000,
    RL_STEPS_MAX = 1200,
    RL_TERM_MAX = 4000,
    RL_PAYLOAD_MAX = 24000,
    RL_BATCH_MAX = 8,
    RL_SECTOR = 512
};

enum rl_fault {
    RL_NONE,
    RL_PAYLOAD,
    RL_HEADER,
    RL_BOTH,
    RL_IDENTIFIERS,
    RL_SEGMENT_HEADER,
    RL_MISSING,
    RL_SHORT,
    RL_ZEROED,
    RL_STALE,
    RL_MISDIRECTED,
    RL_READ_ERROR,
    RL_FAULT_COUNT
};

static const char *const rl_fault_names[] = {
    "none",    "payload", "header", "both",  "identifiers", "segment-header",
    "missing", "short",   "zeroed", "stale", "misdirected", "read-error",
};

struct rl_entry {
    uint64_t term;
    uint64_t id; /* of the payload; 0: nothing */
};

/* What a log holds: entries cut + 1 .. last. */
struct rl_state {
    uint64_t last;
    struct rl_entry entries[RL_INDEX_MAX];
};

enum rl_kind { RL_ENTRY, RL_DROP, RL_REPLACE };

struct rl_step {
    enum rl_kind kind;
    uint64_t index;
    uint64_t count; /* of a replacement */
    struct rl_entry entries[RL_BATCH_MAX];
};

struct rl_totals {
    uint64_t runs, opens, crashes, faults, residual, torn, holes, unknown, repairs, second_opens;
    uint64_t steps, segments;
    uint64_t residual_by[RL_FAULT_COUNT];
    uint64_t faults_by[RL_FAULT_COUNT];
};

struct rl {
    struct random random;
    struct fake_disk *disk;
    struct wal_options options;
    struct wal_extent extent;
    bool extent_made;
    struct wal *wal;
    struct wal_report report;
    struct err err;

    struct rl_state base; /* as the last open found it */
    struct rl_state live; /* after all steps */
    struct rl_step steps[RL_STEPS_MAX];
    size_t step_count;
    size_t acked;  /* steps that were synced */
    size_t marked; /* steps before the last stated durable position */
    uint64_t commit;
    uint64_t cut;
    uint64_t term;
    bool term_used[RL_TERM_MAX];
    bool term_fresh; /* the next append takes a new term */
    uint64_t ids;

    enum rl_fault fault;
    bool faulted;
    bool broken; /* a call failed: the process ends */
    char why[400];
    struct rl_totals *totals;
    bool trace;
    bool sync_changes; /* the sync method changes on the way */
};

static inline void rl_trace(const struct rl *r, const char *format, ...) ERR_FORMAT(2, 3);
static inline void rl_trace(const struct rl *r, const char *format, ...)
{
    if (r->trace) {
        va_list args;
        va_start(args, format);
        (void)printf("  ");
        (void)vprintf(format, args);
        (void)printf("\n");
        va_end(args);
    }
}

/* One draw a statement wherever the order matters: C leaves the order in which
 * arguments are evaluated to the compiler, and a seed must be one run on all. */
static inline uint64_t rl_below(struct rl *r, uint64_t limit)
{
    return random_below(&r->random, limit);
}

/* --- payloads: a function of their id, some with long runs of zeros --- */

static inline size_t rl_size(uint64_t id)
{
    struct random g = random_seeded(id * 77 + 5);
    uint64_t kind = random_below(&g, 40);
    if (kind == 0) {
        return 8 + random_below(&g, RL_PAYLOAD_MAX - 8);
    }
    if (kind < 20) {
        return 8 + random_below(&g, 120);
    }
    return kind < 32 ? 100 + random_below(&g, 500) : 400 + random_below(&g, 1500);
}

static inline struct bytes rl_payload(uint64_t id, uint8_t dst[RL_PAYLOAD_MAX])
{
    size_t size = rl_size(id);
    bytes_put_u64(dst, id);
    bool zeros = id % 6 == 0;
    for (size_t i = 8; i < size; i++) {
        dst[i] = zeros ? 0 : (uint8_t)(id * 31 + i * 7 + 1);
    }
    return bytes_of(dst, size);
}

/* --- the truth --- */

static inline void rl_apply(struct rl_state *s, const struct rl_step *step)
{
    switch (step->kind) {
    case RL_ENTRY:
        s->entries[step->index] = step->entries[0];
        s->last = step->index;
        break;
    case RL_DROP:
        s->last = step->index - 1;
        break;
    case RL_REPLACE:
        for (uint64_t i = 0; i < step->count; i++) {
            s->entries[step->index + i] = step->entries[i];
        }
        s->last = step->index + step->count - 1;
        break;
    }
}

static inline struct rl_step *rl_push(struct rl *r, enum rl_kind kind, uint64_t index)
{
    CHECK(r->step_count < RL_STEPS_MAX);
    CHECK(index < RL_INDEX_MAX - RL_BATCH_MAX);
    struct rl_step *step = &r->steps[r->step_count++];
    *step = (struct rl_step){.kind = kind, .index = index, .count = 1};
    r->totals->steps++;
    return step;
}

static inline uint64_t rl_term_at(const struct rl *r, uint64_t index)
{
    return index == 0 ? 0 : r->live.entries[index].term;
}

/* A term that no entry had, at least that of the entry below; sometimes lower
 * than others already seen, as when a new leader sends old entries. */
static inline uint64_t rl_new_term(struct rl *r, uint64_t index)
{
    uint64_t low = rl_term_at(r, index - 1) + 1;
    if (rl_below(r, 3) == 0) {
        for (uint64_t t = low; t < r->term; t++) {
            if (!r->term_used[t]) {
                r->term_used[t] = true;
                return t;
            }
        }
    }
    r->term += 1 + rl_below(r, 3);
    CHECK(r->term < RL_TERM_MAX);
    r->term_used[r->term] = true;
    return r->term;
}

static inline bool rl_full(const struct rl *r)
{
    return r->step_count + 40 > RL_STEPS_MAX || r->live.last + 60 > RL_INDEX_MAX ||
           r->term + 80 > RL_TERM_MAX;
}

/* --- crash and environment --- */

static inline enum err_code rl_extent_changed(void *context, const struct wal_extent *extent,
                                              struct err *e)
{
    struct rl *r = context;
    bool exists;
    /* A step like any other: the crash may come before it. */
    if (io_exists(r->options.io, "log", &exists, e) != ERR_OK) {
        return ERR_IO;
    }
    r->extent = *extent;
    r->extent_made = true;
    rl_trace(r, "extent %" PRIu64 "..%" PRIu64 " durable %" PRIx64 " cut %" PRIu64,
             extent->segment_first, extent->segment_last, extent->lsn_durable, extent->index_cut);
    return ERR_OK;
}

static inline void rl_fuse(struct rl *r)
{
    if (rl_below(r, 12) == 0) {
        /* Some sectors of a failed sync are lost, all are marked clean. */
        uint64_t nth = 1 + rl_below(r, 6);
        uint64_t done = rl_below(r, 40);
        fake_disk_fail(r->disk,
                       (struct fake_disk_fault){
                           .call = FAKE_DISK_SYNC, .nth = nth, .code = ERR_IO, .done = done});
    } else {
        fake_disk_stop_after(r->disk, rl_below(r, 30));
    }
}

static inline void rl_crash(struct rl *r)
{
    bool power = rl_below(r, 2) == 0;
    rl_trace(r, "%s", power ? "POWER FAILURE" : "KILL");
    r->totals->crashes++;
    fake_disk_clear_faults(r->disk);
    if (power) {
        fake_disk_power_fail(r->disk, &r->random);
    } else {
        fake_disk_kill(r->disk);
        if (rl_below(r, 3) == 0) {
            fake_disk_evict(r->disk);
        }
    }
    wal_abandon(r->wal);
    r->wal = NULL;
    r->broken = false;
}

static inline bool rl_ok(struct rl *r, enum err_code code)
{
    if (code != ERR_OK) {
        rl_trace(r, "failed: %s", r->err.text);
        r->broken = true;
    }
    return code == ERR_OK;
}

/* --- work --- */

static inline void rl_ack(struct rl *r)
{
    if (!r->broken && rl_ok(r, wal_sync(r->wal, &r->err))) {
        r->acked = r->step_count;
        rl_trace(r, "synced: %zu steps", r->acked);
    }
}

static inline struct rl_entry rl_make(struct rl *r, uint64_t term)
{
    return (struct rl_entry){.term = term, .id = ++r->ids};
}

static inline void rl_append(struct rl *r, uint64_t index, uint64_t count, uint64_t term)
{
    static uint8_t bytes[RL_BATCH_MAX][RL_PAYLOAD_MAX];
    struct wal_entry entries[RL_BATCH_MAX];
    CHECK(count <= RL_BATCH_MAX);
    for (uint64_t i = 0; i < count; i++) {
        struct rl_step *step = rl_push(r, RL_ENTRY, index + i);
        step->entries[0] = rl_make(r, term);
        rl_apply(&r->live, step);
        entries[i] = (struct wal_entry){.index = index + i,
                                        .term = term,
                                        .type = (enum wal_type)(1 + step->entries[0].id % 3),
                                        .vgroups = step->entries[0].id,
                                        .payload = rl_payload(step->entries[0].id, bytes[i])};
        rl_trace(r, "append %" PRIu64 ":%" PRIu64 " id %" PRIu64 " size %zu step %zu", term,
                 index + i, step->entries[0].id, entries[i].payload.size, r->step_count);
    }
    (void)rl_ok(r, wal_append(r->wal, entries, count, r->commit, &r->err));
}

static inline void rl_replace(struct rl *r, uint64_t index, uint64_t count, uint64_t term)
{
    static uint8_t bytes[RL_BATCH_MAX][RL_PAYLOAD_MAX];
    struct wal_entry entries[RL_BATCH_MAX];
    struct rl_step *step = rl_push(r, RL_REPLACE, index);
    step->count = count;
    for (uint64_t i = 0; i < count; i++) {
        step->entries[i] = rl_make(r, term);
        entries[i] = (struct wal_entry){.index = index + i,
                                        .term = term,
                                        .type = (enum wal_type)(1 + step->entries[i].id % 3),
                                        .vgroups = step->entries[i].id,
                                        .payload = rl_payload(step->entries[i].id, bytes[i])};
    }
    rl_apply(&r->live, step);
    rl_trace(r, "replace from %" PRIu64 " count %" PRIu64 " term %" PRIu64 " step %zu", index,
             count, term, r->step_count);
    if (rl_ok(r, wal_replace(r->wal, entries, count, r->commit, &r->err))) {
        r->acked = r->step_count;
    }
}

static inline void rl_write_one(struct rl *r)
{
    uint64_t low = (r->commit > r->cut ? r->commit : r->cut) + 1;
    uint64_t last = r->live.last;
    uint64_t kind = rl_below(r, 12);
    if (kind < 3 && last >= low) {
        uint64_t index = low + rl_below(r, last - low + 1);
        if (kind == 0) {
            rl_trace(r, "drop from %" PRIu64 " step %zu", index, r->step_count + 1);
            rl_apply(&r->live, rl_push(r, RL_DROP, index));
            (void)rl_ok(r, wal_drop(r->wal, index, r->commit, &r->err));
        } else if (kind == 1) {
            uint64_t term = rl_new_term(r, index);
            rl_append(r, index, 1 + rl_below(r, 3), term);
        } else {
            uint64_t term = rl_new_term(r, index);
            rl_replace(r, index, 1 + rl_below(r, 4), term);
        }
        r->term_fresh = true;
        return;
    }
    if (r->term_fresh || rl_below(r, 10) == 0 || last == 0) {
        r->term_fresh = false;
        r->term++;
        r->term_used[r->term] = true;
        rl_append(r, last + 1, 1 + rl_below(r, RL_BATCH_MAX), r->term);
    } else {
        rl_append(r, last + 1, 1 + rl_below(r, RL_BATCH_MAX), rl_term_at(r, last));
    }
}

static inline void rl_batch(struct rl *r)
{
    uint64_t count = 1 + rl_below(r, 4);
    for (uint64_t i = 0; i < count && !r->broken && !rl_full(r); i++) {
        rl_write_one(r);
    }
    if (rl_below(r, 4) != 0) {
        rl_ack(r);
    }
}

static inline void rl_idle(struct rl *r)
{
    rl_trace(r, "mark");
    if (rl_ok(r, wal_mark(r->wal, r->commit, &r->err))) {
        r->acked = r->step_count;
        r->marked = r->acked;
    }
}

static inline void rl_advance_commit(struct rl *r)
{
    if (r->acked == r->step_count && r->live.last > r->commit) {
        r->commit += 1 + rl_below(r, r->live.last - r->commit);
        rl_trace(r, "commit %" PRIu64, r->commit);
    }
}

static inline void rl_cut(struct rl *r)
{
    if (r->commit <= r->cut) {
        return;
    }
    uint64_t index = r->cut + 1 + rl_below(r, r->commit - r->cut);
    uint64_t term = rl_term_at(r, index);
    rl_trace(r, "cut %" PRIu64, index);
    (void)rl_ok(r, wal_cut(r->wal, index, term, &r->err));
    r->cut = r->extent.index_cut; /* what hard state says is what counts */
}

static inline void rl_rotate(struct rl *r)
{
    rl_trace(r, "rotate");
    (void)rl_ok(r, wal_rotate(r->wal, &r->err));
}

static inline void rl_prepare(struct rl *r)
{
    bool done;
    (void)rl_ok(r, wal_prepare(r->wal, 1 + rl_below(r, 40000), &done, &r->err));
}

static inline void rl_scrub(struct rl *r)
{
    size_t scanned;
    unsigned found;
    (void)rl_ok(r, wal_scrub(r->wal, 1 + rl_below(r, 100000), &scanned, &found, &r->err));
    r->broken = r->broken || found > 0; /* the disk has stopped: the process ends */
}

static inline void rl_close(struct rl *r)
{
    rl_trace(r, "close");
    enum err_code code = wal_close(r->wal, &r->err);
    r->wal = NULL;
    if (rl_ok(r, code)) {
        r->acked = r->step_count;
        r->marked = r->acked;
    }
    r->broken = true; /* the process ended either way */
}

/* --- faults of the disk --- */

struct rl_place {
    char path[64];
    uint64_t offset;
    uint64_t size; /* of the payload */
};

static inline void rl_path(uint64_t number, char dst[64])
{
    char name[WAL_SEGMENT_NAME_SIZE];
    const struct wal_layout layout = {RL_SEGMENT_SIZE, 1};
    wal_segment_name(&layout, 1, number, name);
    (void)snprintf(dst, 64, "log/%s", name);
}

/* Some record that stands on the disk, often one of the last. */
static inline bool rl_pick(struct rl *r, struct rl_place *out)
{
    uint64_t first = r->extent.segment_first;
    uint64_t last = r->extent.segment_last;
    uint64_t number = rl_below(r, 2) == 0 ? last : first + rl_below(r, last - first + 1);
    rl_path(number, out->path);
    if (!fake_disk_has(r->disk, out->path)) {
        return false;
    }
    struct rl_place found[700];
    size_t count = 0;
    uint64_t at = wal_segment_records_at(RL_SEGMENT_SIZE);
    while (at + WAL_RECORD_HEADER_SIZE <= RL_SEGMENT_SIZE && count < 700) {
        uint8_t header[WAL_RECORD_HEADER_SIZE];
        struct wal_record record;
        if (fake_disk_peek(r->disk, out->path, at, header, sizeof header) != sizeof header ||
            wal_record_decode(header, &record) != WAL_RECORD_GOOD) {
            break;
        }
        found[count] = *out;
        found[count].offset = at;
        found[count].size = record.size;
        count++;
        at += wal_record_span(record.size);
    }
    if (count == 0) {
        return false;
    }
    uint64_t back = rl_below(r, 2) == 0 ? 1 + rl_below(r, 3) : 1 + rl_below(r, count);
    *out = found[count - (back < count ? back : count)];
    return true;
}

static inline void rl_flip(struct rl *r, const struct rl_place *p, uint64_t from, uint64_t size)
{
    unsigned bit = (unsigned)rl_below(r, 8);
    fake_disk_flip_bit(r->disk, p->path, p->offset + from + rl_below(r, size), bit);
}

static inline uint64_t rl_sector_of(struct rl *r, const struct rl_place *p)
{
    uint64_t in = p->offset + rl_below(r, WAL_RECORD_HEADER_SIZE + p->size);
    return in / RL_SECTOR * RL_SECTOR;
}

/* Faults of bytes at rest. */
static inline bool rl_damage(struct rl *r, const struct rl_place *p)
{
    uint64_t pages = wal_segment_pages(RL_SEGMENT_SIZE);
    uint64_t sector = WAL_SEGMENT_HEADER_SIZE +
                      rl_below(r, pages * WAL_IDENTIFIER_PAGE_SIZE / RL_SECTOR) * RL_SECTOR;
    switch (r->fault) {
    case RL_PAYLOAD:
    case RL_BOTH:
        if (p->size == 0) {
            return false;
        }
        rl_flip(r, p, WAL_RECORD_HEADER_SIZE, p->size);
        if (r->fault == RL_BOTH) {
            rl_flip(r, p, 0, WAL_RECORD_HEADER_SIZE);
        }
        return true;
    case RL_HEADER:
        rl_flip(r, p, 0, WAL_RECORD_HEADER_SIZE);
        return true;
    case RL_IDENTIFIERS:
        if (rl_below(r, 2) == 0) {
            fake_disk_zero(r->disk, p->path, sector, RL_SECTOR);
        } else {
            fake_disk_garbage(r->disk, p->path, sector, RL_SECTOR, &r->random);
        }
        return true;
    case RL_SEGMENT_HEADER: {
        unsigned bit = (unsigned)rl_below(r, 8);
        fake_disk_flip_bit(r->disk, p->path, rl_below(r, WAL_SEGMENT_HEADER_SIZE), bit);
        return true;
    }
    case RL_MISSING:
        fake_disk_remove(r->disk, p->path);
        return true;
    case RL_SHORT:
        fake_disk_truncate(r->disk, p->path, rl_below(r, RL_SEGMENT_SIZE / RL_SECTOR) * RL_SECTOR);
        return true;
    case RL_ZEROED:
        fake_disk_zero(r->disk, p->path, rl_sector_of(r, p), RL_SECTOR);
        return true;
    case RL_READ_ERROR:
        fake_disk_read_error(r->disk, p->path, rl_sector_of(r, p), RL_SECTOR);
        return true;
    case RL_NONE:
    case RL_STALE:
    case RL_MISDIRECTED:
    case RL_FAULT_COUNT:
        break;
    }
    return false;
}

/* A sector of the last segment that the last batch changed. */
static inline bool rl_changed_sector(struct rl *r, struct fake_disk *before, const char *path,
                                     uint64_t *offset)
{
    uint64_t changed[RL_SEGMENT_SIZE / RL_SECTOR];
    size_t count = 0;
    for (uint64_t at = 0; at < RL_SEGMENT_SIZE; at += RL_SECTOR) {
        uint8_t was[RL_SECTOR] = {0};
        uint8_t is[RL_SECTOR] = {0};
        (void)fake_disk_peek(before, path, at, was, sizeof was);
        (void)fake_disk_peek(r->disk, path, at, is, sizeof is);
        if (memcmp(was, is, sizeof is) != 0) {
            changed[count++] = at;
        }
    }
    *offset = count == 0 ? 0 : changed[rl_below(r, count)];
    return count > 0;
}

/* A write that was lost, or that went elsewhere. */
static inline bool rl_lose_write(struct rl *r)
{
    struct fake_disk_image *image = fake_disk_snapshot(r->disk);
    struct fake_disk *before = fake_disk_create(1);
    fake_disk_restore(before, image);
    uint64_t last = r->extent.segment_last;
    bool done = false;
    rl_batch(r);
    rl_ack(r);
    char path[64];
    char other[64];
    uint64_t offset;
    rl_path(last, path);
    if (!r->broken && rl_changed_sector(r, before, path, &offset)) {
        if (r->fault == RL_MISDIRECTED) {
            uint64_t first = r->extent.segment_first;
            rl_path(rl_below(r, 2) == 0 ? last : first + rl_below(r, last - first + 1), other);
            uint64_t to = (1 + rl_below(r, RL_SEGMENT_SIZE / RL_SECTOR - 1)) * RL_SECTOR;
            rl_trace(r, "misdirected to %s %" PRIu64, other, to);
            fake_disk_misdirect(r->disk, (struct fake_disk_place){path, offset},
                                (struct fake_disk_place){other, to}, RL_SECTOR);
        }
        fake_disk_stale(r->disk, image, path, offset, RL_SECTOR);
        rl_trace(r, "lost write %s %" PRIu64, path, offset);
        done = true;
        if (rl_below(r, 3) != 0) {
            rl_idle(r);
        }
    }
    fake_disk_destroy(before);
    fake_disk_image_free(image);
    return done;
}

static inline void rl_inject(struct rl *r)
{
    struct rl_place place;
    if (r->faulted || r->fault == RL_NONE || r->acked != r->step_count || r->live.last < 3) {
        return;
    }
    fake_disk_clear_faults(r->disk);
    if (r->fault == RL_STALE || r->fault == RL_MISDIRECTED) {
        r->faulted = rl_lose_write(r);
    } else {
        r->faulted = rl_pick(r, &place) && rl_damage(r, &place);
        if (r->faulted) {
            rl_trace(r, "FAULT %s in %s near %" PRIu64 " size %" PRIu64, rl_fault_names[r->fault],
                     place.path, place.offset, place.size);
        }
    }
    if (r->faulted) {
        r->totals->faults++;
        r->totals->faults_by[r->fault]++;
        r->broken = true; /* the process ends, and starts on this disk */
    }
}

/* --- what the log answers --- */

struct rl_view {
    uint64_t last;
    bool end_unknown;
    char kind[RL_INDEX_MAX]; /* W, D, U, or 0 */
    struct rl_entry entries[RL_INDEX_MAX];
};

static inline bool rl_fail(struct rl *r, const char *format, ...) ERR_FORMAT(2, 3);
static inline bool rl_fail(struct rl *r, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(r->why, sizeof r->why, format, args);
    va_end(args);
    return false;
}

static inline bool rl_check_entry(struct rl *r, struct rl_view *v, const struct wal_entry *e)
{
    static uint8_t bytes[RL_PAYLOAD_MAX];
    uint64_t id = e->payload.size >= 8 ? bytes_get_u64(e->payload.data) : 0;
    if (id == 0 || id > r->ids || !bytes_equal(e->payload, rl_payload(id, bytes)) ||
        (uint64_t)e->type != 1 + id % 3 || e->vgroups != id) {
        return rl_fail(r, "entry %" PRIu64 " reads as something never written", e->index);
    }
    v->entries[e->index] = (struct rl_entry){.term = e->term, .id = id};
    v->kind[e->index] = 'W';
    return true;
}

static inline bool rl_look(struct rl *r, struct rl_view *v)
{
    struct buf storage = {0};
    *v = (struct rl_view){.last = wal_index_last(r->wal), .end_unknown = wal_end_unknown(r->wal)};
    bool good = v->last < RL_INDEX_MAX || rl_fail(r, "last index %" PRIu64, v->last);
    for (uint64_t i = wal_index_first(r->wal); good && i <= v->last;) {
        const struct wal_hole *hole = wal_hole_at(r->wal, i);
        if (hole != NULL) {
            v->kind[i] = hole->unknown ? 'U' : 'D';
            v->entries[i].term = hole->term;
            r->totals->holes++;
            r->totals->unknown += hole->unknown;
            i++;
            continue;
        }
        struct wal_entry entries[32];
        size_t count;
        if (wal_read(r->wal, i, 32, 100000, &storage, entries, &count, &r->err) != ERR_OK ||
            count == 0) {
            good = rl_fail(r, "entry %" PRIu64 " is no hole and can't be read", i);
            break;
        }
        for (size_t k = 0; good && k < count; k++) {
            uint64_t term = 0;
            good = rl_check_entry(r, v, &entries[k]) &&
                   ((wal_term_at(r->wal, entries[k].index, &term) && term == entries[k].term) ||
                    rl_fail(r, "term of %" PRIu64 " differs", entries[k].index));
        }
        i += count;
    }
    buf_deinit(&storage);
    return good;
}

static inline bool rl_agrees(struct rl *r, const struct rl_view *v, const struct rl_state *s,
                             bool exact)
{
    uint64_t top = v->last > s->last ? v->last : s->last;
    if (exact && v->end_unknown) {
        return rl_fail(r, "an unknown end, though nothing was damaged");
    }
    for (uint64_t i = r->cut + 1; i <= top; i++) {
        bool there = i <= s->last;
        const struct rl_entry *truth = &s->entries[i];
        char kind = '\0';
        if (i <= v->last) {
            kind = v->kind[i];
        }
        if (kind == 0 && there && !(v->end_unknown && i > v->last)) {
            return rl_fail(r, "index %" PRIu64 ":%" PRIu64 " is missing", truth->term, i);
        }
        if (kind == 'W' &&
            !(there && truth->term == v->entries[i].term && truth->id == v->entries[i].id)) {
            return rl_fail(r,
                           "index %" PRIu64 " whole as term %" PRIu64 " id %" PRIu64
                           ", truth %s term %" PRIu64 " id %" PRIu64,
                           i, v->entries[i].term, v->entries[i].id, there ? "has" : "has not",
                           truth->term, truth->id);
        }
        if (kind == 'D' && !(there && truth->term == v->entries[i].term)) {
            return rl_fail(r, "index %" PRIu64 " a hole of term %" PRIu64 ", truth %" PRIu64, i,
                           v->entries[i].term, there ? truth->term : 0);
        }
        if (exact && kind != 'W') {
            return rl_fail(r, "index %" PRIu64 " a hole, though nothing was damaged", i);
        }
    }
    return true;
}

enum rl_answer { RL_RIGHT, RL_WRONG, RL_RESIDUAL };

/* Which step the log is after; *state: what it should hold. */
static inline enum rl_answer rl_judge(struct rl *r, const struct rl_view *v, bool exact,
                                      struct rl_state *state)
{
    static struct rl_state s;
    char first[sizeof r->why] = "";
    bool found = false;
    bool residual = false;
    s = r->base;
    for (size_t m = 0; m <= r->step_count; m++) {
        if (m > 0) {
            rl_apply(&s, &r->steps[m - 1]);
        }
        if (m < r->marked || (m < r->acked && (exact || !r->faulted))) {
            continue;
        }
        if (!rl_agrees(r, v, &s, exact)) {
            if (m >= r->acked && first[0] == '\0') {
                memcpy(first, r->why, sizeof first);
            }
            continue;
        }
        if (m < r->acked) {
            residual = true;
            continue;
        }
        found = true;
        *state = s;
    }
    if (!found) {
        memcpy(r->why, first, sizeof first);
        return residual ? RL_RESIDUAL : RL_WRONG;
    }
    return RL_RIGHT;
}

static inline bool rl_same(struct rl *r, const struct rl_view *a, const struct rl_view *b)
{
    if (a->last != b->last || a->end_unknown != b->end_unknown) {
        return rl_fail(r, "second open: last %" PRIu64 "%s, first %" PRIu64 "%s", b->last,
                       b->end_unknown ? " and an unknown end" : "", a->last,
                       a->end_unknown ? " and an unknown end" : "");
    }
    for (uint64_t i = r->cut + 1; i <= a->last; i++) {
        if (a->kind[i] != b->kind[i] || a->entries[i].term != b->entries[i].term ||
            a->entries[i].id != b->entries[i].id) {
            return rl_fail(r, "second open: index %" PRIu64 " is %c:%" PRIu64 ", was %c:%" PRIu64,
                           i, b->kind[i], b->entries[i].term, a->kind[i], a->entries[i].term);
        }
    }
    return true;
}

#endif
