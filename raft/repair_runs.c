/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/repair_runs.h"

#include "base/check.h"
#include "base/mem.h"

static void check_runs(const struct slot_runs *r)
{
    CHECK(r->items != NULL || r->capacity == 0);
    CHECK(r->count <= r->capacity);
    if (r->count > 0) {
        const struct slot_run *last = &r->items[r->count - 1];
        CHECK(last->count > 0);
        CHECK(last->first <= UINT64_MAX - last->count);
    }
}

void slot_runs_deinit(struct slot_runs *r)
{
    CHECK(r->count <= r->capacity);
    mem_free(r->items);
    *r = (struct slot_runs){0};
}

void slot_runs_reset(struct slot_runs *r)
{
    CHECK(r->count <= r->capacity);
    r->count = 0;
}

static bool slot_equal(struct slot a, struct slot b)
{
    CHECK(a.kind <= SLOT_CUT);
    CHECK(b.kind <= SLOT_CUT);
    return a.kind == b.kind && a.term == b.term && a.type == b.type;
}

void slot_runs_add(struct slot_runs *r, struct slot_run run)
{
    CHECK(run.first <= UINT64_MAX - run.count);
    CHECK(run.count > 0);
    CHECK(run.slot.kind == SLOT_WHOLE || run.slot.kind == SLOT_DAMAGED ||
          run.slot.kind == SLOT_UNKNOWN);
    if (r->count > 0) {
        struct slot_run *last = &r->items[r->count - 1];
        CHECK(run.first >= last->first + last->count);
        if (run.first == last->first + last->count && slot_equal(run.slot, last->slot)) {
            last->count += run.count;
            check_runs(r);
            return;
        }
    }
    r->items = mem_grow(r->items, &r->capacity, r->count + 1, sizeof *r->items);
    r->items[r->count++] = run;
    check_runs(r);
}

const struct slot_run *slot_runs_from(const struct slot_runs *r, uint64_t index)
{
    CHECK(r->items != NULL || r->count == 0);
    size_t low = 0;
    size_t high = r->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (slot_run_last(&r->items[middle]) < index) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low == r->count ? NULL : &r->items[low];
}

const struct slot_run *slot_runs_find(const struct slot_runs *r, uint64_t index)
{
    CHECK(r->count <= r->capacity);
    const struct slot_run *run = slot_runs_from(r, index);
    return run != NULL && run->first <= index ? run : NULL;
}

/* Only what the rules tell apart, so that runs stay long. */
static struct slot simplified(struct slot slot)
{
    CHECK(slot.kind == SLOT_UNKNOWN || slot.term > 0);
    CHECK(slot.kind == SLOT_WHOLE || slot.kind == SLOT_DAMAGED || slot.kind == SLOT_UNKNOWN);
    struct slot kept = {.kind = slot.kind, .term = slot.term};
    if (slot.kind == SLOT_UNKNOWN) {
        kept.term = 0;
    } else if (slot.kind == SLOT_DAMAGED && slot.type != ENTRY_COMMAND &&
               slot.type != ENTRY_BARRIER) {
        kept.type = ENTRY_CHANGE; /* or not known: it can be one */
    }
    return kept;
}

void slot_runs_scan(struct slot_runs *r, const struct log_view *log, uint64_t first, uint64_t last)
{
    CHECK(log->at != NULL);
    CHECK(first > 0);
    CHECK(last < UINT64_MAX);
    for (uint64_t i = first; i <= last; i++) {
        struct slot slot = simplified(log->at(log->context, i));
        slot_runs_add(r, (struct slot_run){i, 1, slot});
    }
}

static void add_part(struct slot_runs *r, const struct slot_run *run, uint64_t first, uint64_t last)
{
    CHECK(run->count > 0);
    CHECK(first <= last || last < run->first);
    uint64_t from = run->first > first ? run->first : first;
    uint64_t to = slot_run_last(run) < last ? slot_run_last(run) : last;
    if (from <= to) {
        slot_runs_add(r, (struct slot_run){from, to - from + 1, run->slot});
    }
}

void slot_runs_rescan(struct slot_runs *r, const struct log_view *log, uint64_t first,
                      uint64_t last)
{
    CHECK(first > 0);
    CHECK(first <= last);
    struct slot_runs old = *r;
    *r = (struct slot_runs){0};
    for (size_t i = 0; i < old.count; i++) {
        add_part(r, &old.items[i], 0, first - 1);
    }
    slot_runs_scan(r, log, first, last);
    for (size_t i = 0; i < old.count; i++) {
        add_part(r, &old.items[i], last + 1, UINT64_MAX - 1);
    }
    slot_runs_deinit(&old);
}
