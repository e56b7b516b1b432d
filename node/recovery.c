/* SPDX-License-Identifier: Apache-2.0 */
#include "node/recovery.h"

#include "base/check.h"

enum { LINE_MS = 1000, SECOND_MS = 1000 };

const char *recovery_phase_name(enum recovery_phase phase)
{
    static const char *const names[] = {
        [RECOVERY_ANALYSIS] = "analysis", [RECOVERY_REDO] = "redo", [RECOVERY_DONE] = "done"};
    CHECK((unsigned)phase < sizeof names / sizeof names[0]);
    return names[phase];
}

void recovery_begin(struct recovery *r, uint64_t now_ms, uint64_t analysis_ms)
{
    *r = (struct recovery){
        .phase = RECOVERY_REDO, .analysis_ms = analysis_ms, .began_ms = now_ms, .said_ms = now_ms};
}

void recovery_advance(struct recovery *r, const struct recovery_step *step)
{
    CHECK(r->phase == RECOVERY_REDO);
    CHECK(step->lsn_first <= step->lsn && step->lsn <= step->lsn_end);
    if (r->lsn_first == 0) {
        r->lsn_first = step->lsn_first;
    }
    r->lsn = step->lsn;
    r->lsn_end = step->lsn_end;
    r->index = step->index;
    r->entries += step->entries;
}

void recovery_end(struct recovery *r, uint64_t now_ms, uint64_t undone)
{
    CHECK(r->phase == RECOVERY_REDO);
    CHECK(now_ms >= r->began_ms);
    r->phase = RECOVERY_DONE;
    r->redo_ms = now_ms - r->began_ms;
    r->undone = undone;
}

struct recovery_view recovery_look(const struct recovery *r, uint64_t now_ms)
{
    bool done = r->phase == RECOVERY_DONE;
    uint64_t ms = done ? r->redo_ms : now_ms - r->began_ms;
    struct recovery_view v = {.bytes_done = r->lsn - r->lsn_first,
                              .bytes_left = done ? 0 : r->lsn_end - r->lsn};
    if (ms > 0) {
        v.bytes_per_second = v.bytes_done * SECOND_MS / ms;
    }
    if (v.bytes_per_second > 0) {
        v.remaining_ms = v.bytes_left * SECOND_MS / v.bytes_per_second;
    }
    return v;
}

bool recovery_line_due(struct recovery *r, uint64_t now_ms)
{
    if (r->phase != RECOVERY_REDO || now_ms < r->said_ms + LINE_MS) {
        return false;
    }
    r->said_ms = now_ms;
    return true;
}
