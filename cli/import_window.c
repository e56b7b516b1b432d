/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/import_window.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "cli/retry.h"

/* An answer is late after some multiple of what answers took lately: a leader that
 * hangs is left early, a slow disk is not asked twice. Each next node gets twice the
 * time: it says so itself once another leader is elected. */
enum { ATTEMPT_MS_MIN = 300, ATTEMPT_MS_MAX = 10000, ATTEMPT_LATENCIES = 8, LATE_MAX = 6 };

_Static_assert(WINDOW_BATCHES_MAX <= LIMIT_SESSION_ANSWERS / 2,
               "the state remembers the answer to every sequence that is open");
_Static_assert(WINDOW_BATCHES_MAX <= 32, "a bit for each slot");

enum batch_state { FREE, WAITING, SENT };

struct slot {
    enum batch_state state; /* WAITING: held while 'waits_for' has bits, else due at due_ms */
    void *batch;
    uint64_t number; /* in the order of the file */
    uint64_t sequence;
    uint64_t *keys; /* owned, sorted */
    size_t key_count;
    uint32_t waits_for; /* a bit per slot with an earlier batch that shares a key */
    bool uncertain;     /* an attempt may have taken effect without our knowing */
    unsigned attempts;
    unsigned failures; /* in a row */
    unsigned late;     /* attempts in a row whose answer did not come in time */
    uint64_t due_ms;
    uint64_t sent_ms;
};

enum window_state { OPEN, SESSION_LOST, SESSION_NEEDED, FAILED };

static const unsigned allowed[] = {
    [OPEN] = 1U << SESSION_LOST | 1U << FAILED,
    [SESSION_LOST] = 1U << SESSION_NEEDED | 1U << FAILED,
    [SESSION_NEEDED] = 1U << OPEN | 1U << FAILED,
    [FAILED] = 0,
};

struct import_window {
    enum window_state state;
    unsigned batches_max;
    unsigned count;
    uint64_t number_next;
    uint64_t sequence_next;
    uint64_t latency_us; /* of answers, smoothed */
    struct slot slots[WINDOW_BATCHES_MAX];
    struct err failure; /* FAILED */
};

static void set_state(struct import_window *w, enum window_state next)
{
    CHECK((allowed[w->state] & 1U << next) != 0);
    w->state = next;
}

struct import_window *import_window_open(unsigned batches_max)
{
    CHECK(batches_max >= 1);
    CHECK(batches_max <= WINDOW_BATCHES_MAX);
    struct import_window *w = mem_zalloc(sizeof *w);
    w->batches_max = batches_max;
    w->number_next = 1;
    w->sequence_next = 1;
    return w;
}

void import_window_close(struct import_window *w)
{
    if (w == NULL) {
        return;
    }
    for (unsigned i = 0; i < WINDOW_BATCHES_MAX; i++) {
        mem_free(w->slots[i].keys);
    }
    mem_free(w);
}

static uint64_t lowest_sequence(const struct import_window *w)
{
    uint64_t lowest = UINT64_MAX;
    for (unsigned i = 0; i < WINDOW_BATCHES_MAX; i++) {
        if (w->slots[i].state != FREE && w->slots[i].sequence < lowest) {
            lowest = w->slots[i].sequence;
        }
    }
    return lowest;
}

bool import_window_has_room(const struct import_window *w)
{
    if (w->state != OPEN || w->count >= w->batches_max) {
        return false;
    }
    return w->count == 0 || w->sequence_next - lowest_sequence(w) < WINDOW_BATCHES_MAX;
}

bool import_window_is_empty(const struct import_window *w)
{
    return w->count == 0;
}

/* --- keys --- */

static int compare_keys(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static bool share_a_key(const struct slot *a, const struct slot *b)
{
    size_t i = 0;
    size_t j = 0;
    while (i < a->key_count && j < b->key_count) {
        if (a->keys[i] == b->keys[j]) {
            return true;
        }
        if (a->keys[i] < b->keys[j]) {
            i++;
        } else {
            j++;
        }
    }
    return false;
}

static struct slot *free_slot(struct import_window *w)
{
    unsigned i = 0;
    while (i < WINDOW_BATCHES_MAX && w->slots[i].state != FREE) {
        i++;
    }
    CHECK(i < WINDOW_BATCHES_MAX);
    return &w->slots[i];
}

void import_window_add(struct import_window *w, void *batch, const uint64_t *keys, size_t count)
{
    CHECK(import_window_has_room(w));
    CHECK(batch != NULL);
    struct slot *s = free_slot(w);
    *s = (struct slot){
        .batch = batch,
        .number = w->number_next++,
        .sequence = w->sequence_next++,
        .keys = mem_array(count + 1, sizeof *keys),
        .key_count = count,
    };
    if (count > 0) {
        memcpy(s->keys, keys, count * sizeof *keys);
        qsort(s->keys, count, sizeof *keys, compare_keys);
    }
    for (unsigned i = 0; i < WINDOW_BATCHES_MAX; i++) {
        if (w->slots[i].state != FREE && share_a_key(&w->slots[i], s)) {
            s->waits_for |= 1U << i;
        }
    }
    s->state = WAITING;
    w->count++;
}

/* --- sending --- */

/* The oldest batch that may be sent; NULL: none now, *wake_ms says when. */
static struct slot *next_due(struct import_window *w, uint64_t now_ms, uint64_t *wake_ms)
{
    struct slot *next = NULL;
    *wake_ms = UINT64_MAX;
    for (unsigned i = 0; i < WINDOW_BATCHES_MAX; i++) {
        struct slot *s = &w->slots[i];
        if (s->state != WAITING || s->waits_for != 0) {
            continue;
        }
        if (s->due_ms > now_ms) {
            *wake_ms = s->due_ms < *wake_ms ? s->due_ms : *wake_ms;
        } else if (next == NULL || s->number < next->number) {
            next = s;
        }
    }
    return next;
}

static uint64_t attempt_timeout_ms(const struct import_window *w, const struct slot *s)
{
    uint64_t usual = w->latency_us * ATTEMPT_LATENCIES / 1000;
    uint64_t timeout = (usual > ATTEMPT_MS_MIN ? usual : ATTEMPT_MS_MIN) << s->late;
    return timeout < ATTEMPT_MS_MAX ? timeout : ATTEMPT_MS_MAX;
}

bool import_window_next(struct import_window *w, uint64_t now_ms, struct window_attempt *out,
                        uint64_t *wake_ms)
{
    *wake_ms = UINT64_MAX;
    if (w->state != OPEN) {
        return false;
    }
    struct slot *s = next_due(w, now_ms, wake_ms);
    if (s == NULL) {
        return false;
    }
    s->state = SENT;
    s->attempts++;
    s->sent_ms = now_ms;
    *out = (struct window_attempt){
        .slot = (unsigned)(s - w->slots),
        .batch = s->batch,
        .sequence = s->sequence,
        .sequence_open = lowest_sequence(w),
        .number = s->attempts,
        .timeout_ms = attempt_timeout_ms(w, s),
    };
    CHECK(out->sequence >= out->sequence_open);
    CHECK(out->sequence - out->sequence_open < WINDOW_BATCHES_MAX);
    return true;
}

/* --- ends --- */

static void *take_out(struct import_window *w, struct slot *s)
{
    void *batch = s->batch;
    uint32_t bit = 1U << (unsigned)(s - w->slots);
    mem_free(s->keys);
    *s = (struct slot){0};
    w->count--;
    for (unsigned i = 0; i < WINDOW_BATCHES_MAX; i++) {
        w->slots[i].waits_for &= ~bit;
    }
    return batch;
}

static unsigned count_sent(const struct import_window *w)
{
    unsigned count = 0;
    for (unsigned i = 0; i < WINDOW_BATCHES_MAX; i++) {
        count += w->slots[i].state == SENT ? 1 : 0;
    }
    return count;
}

static bool some_uncertain(const struct import_window *w)
{
    for (unsigned i = 0; i < WINDOW_BATCHES_MAX; i++) {
        if (w->slots[i].state != FREE && w->slots[i].uncertain) {
            return true;
        }
    }
    return false;
}

/* In SESSION_LOST: what is still out decides first. */
static void settle_lost_session(struct import_window *w)
{
    if (w->state != SESSION_LOST || count_sent(w) > 0) {
        return;
    }
    if (some_uncertain(w)) {
        (void)err_set(&w->failure, ERR_UNKNOWN_OUTCOME,
                      "the session was forgotten by the cluster; whether rows that were sent and "
                      "not answered are stored can't be known");
        set_state(w, FAILED);
    } else {
        set_state(w, SESSION_NEEDED);
    }
}

static void wait_and_retry(struct slot *s, const struct window_end *end, uint64_t now_ms)
{
    s->state = WAITING;
    s->failures++;
    s->late = end->status == GRPC_DEADLINE_EXCEEDED && s->late < LATE_MAX ? s->late + 1 : s->late;
    s->due_ms = now_ms + (end->leader_named && s->failures == 1 ? 0 : retry_delay_ms(s->failures));
}

static void fail(struct import_window *w, const struct window_end *end)
{
    if (w->state != FAILED) {
        (void)err_set(&w->failure, grpc_status_to_err(end->status), "%s: %s",
                      grpc_status_name(end->status), end->message);
        set_state(w, FAILED);
    }
}

void *import_window_ended(struct import_window *w, unsigned slot, const struct window_end *end,
                          uint64_t now_ms)
{
    CHECK(slot < WINDOW_BATCHES_MAX);
    struct slot *s = &w->slots[slot];
    CHECK(s->state == SENT);
    void *acknowledged = NULL;
    switch (retry_judge(end->status)) {
    case RETRY_DONE:
        CHECK(now_ms >= s->sent_ms);
        w->latency_us = (w->latency_us * 7 + (now_ms - s->sent_ms) * 1000) / 8;
        acknowledged = take_out(w, s);
        break;
    case RETRY_NEVER:
        s->state = WAITING;
        fail(w, end);
        break;
    case RETRY_ELSEWHERE:
    case RETRY_LATER:
        wait_and_retry(s, end, now_ms);
        if (end->session_unknown) {
            if (w->state == OPEN) {
                set_state(w, SESSION_LOST);
            }
        } else if (retry_may_have_happened(end->status, end->unprocessed)) {
            s->uncertain = true;
        }
        break;
    }
    settle_lost_session(w);
    return acknowledged;
}

/* --- a new session --- */

bool import_window_needs_session(const struct import_window *w)
{
    return w->state == SESSION_NEEDED;
}

void import_window_renewed(struct import_window *w)
{
    set_state(w, OPEN);
    w->sequence_next = 1;
    uint64_t done = 0; /* batches up to this number have their new sequence */
    for (unsigned round = 0; round < w->count; round++) {
        struct slot *next = NULL;
        for (unsigned i = 0; i < WINDOW_BATCHES_MAX; i++) {
            struct slot *s = &w->slots[i];
            if (s->state != FREE && s->number > done &&
                (next == NULL || s->number < next->number)) {
                next = s;
            }
        }
        CHECK(next != NULL);
        next->sequence = w->sequence_next++;
        next->due_ms = 0;
        done = next->number;
    }
}

bool import_window_failed(const struct import_window *w, struct err *e)
{
    if (w->state != FAILED) {
        return false;
    }
    (void)err_set(e, w->failure.code, "%s", w->failure.text);
    return true;
}

static struct slot *oldest(const struct import_window *w)
{
    const struct slot *found = NULL;
    for (unsigned i = 0; i < WINDOW_BATCHES_MAX; i++) {
        const struct slot *s = &w->slots[i];
        if (s->state != FREE && (found == NULL || s->number < found->number)) {
            found = s;
        }
    }
    return found == NULL ? NULL : (struct slot *)(uintptr_t)found;
}

void *import_window_oldest(const struct import_window *w)
{
    const struct slot *s = oldest(w);
    return s == NULL ? NULL : s->batch;
}

void *import_window_take(struct import_window *w)
{
    struct slot *s = oldest(w);
    return s == NULL ? NULL : take_out(w, s);
}
