/* SPDX-License-Identifier: Apache-2.0 */
/* The scrubber: reads logs and parts in the background, at ts.scrub.rate, also when
 * nothing else happens, so that damage is found while others still have what was lost.
 *
 *   tick ── enough may be read by now ──► one step: the log lane (Raft log, local WAL in
 *           turn) or the pool (parts), each round and round, a pause between rounds
 *
 *   a part is damaged         member_refill.c
 *   a slot of the Raft log    filled with the entry from memory, or from another node
 *                             (safety.md C1, C6): its identity is known, because it
 *                             was whole when the log was opened or written
 *   a slot of the local WAL   a checkpoint makes it needless; in a cluster it is a
 *                             second copy, which the next checkpoint cuts away */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "node/member_internal.h"
#include "raft/repair_wire.h"

enum {
    STEP_SIZE = 256 * 1024,
    LOG_STEP_SIZE = 64 * 1024, /* appends wait for it */
    FILL_AGAIN_MS = 1000,
    HOLES_MAX = LIMIT_REPAIR_WANTS,
};

enum target { TARGET_PARTS, TARGET_RAFT, TARGET_LOCAL, TARGET_COUNT };

struct scrub {
    uint64_t allowed; /* bytes that may be read by now */
    uint64_t allowed_ms;
    bool job_out;
    enum target turn;
    uint64_t round_ms[TARGET_COUNT]; /* when the round began; the next waits a while */
    bool round_ended[TARGET_COUNT];
    struct tsdb_scrub *parts;
    /* holes of the Raft log that were found */
    bool holes; /* there may be some */
    bool fill_out;
    uint64_t fill_ms;  /* when to try again */
    uint64_t question; /* that is out; 0: none */
};

struct scrub_job {
    struct job job;
    struct member *member;
    struct scrub *scrub;
    enum target target;
    size_t read;
    unsigned found;
    bool ended;         /* the round */
    uint64_t hole_last; /* highest index of a hole; 0: none */
    struct tsdb_scrubbed parts;
};

static bool takes_part(const struct member *m)
{
    return m->db != NULL && !m->stop_asked && !is_weakened(m->weaken, WEAKEN_FOUND) &&
           (m->state == MEMBER_RUNNING || (m->state == MEMBER_LOCAL && m->local_ready));
}

/* --- a step --- */

static void work_parts(struct job *job)
{
    struct scrub_job *j = (struct scrub_job *)job;
    j->parts = tsdb_scrub_step(j->scrub->parts, j->member->db, STEP_SIZE);
    j->read = j->parts.size;
    j->ended = j->parts.all_read;
}

static void work_log(struct job *job)
{
    struct scrub_job *j = (struct scrub_job *)job;
    struct storage *s = j->member->storage;
    struct wal *w = storage_wal(s, j->target == TARGET_RAFT ? STORAGE_RAFT : STORAGE_LOCAL);
    struct err e;
    j->ended = true;
    if (w == NULL || storage_failed(s) != NULL) {
        return;
    }
    if (wal_scrub(w, LOG_STEP_SIZE, &j->read, &j->found, &e) != ERR_OK) {
        (void)storage_fail(s, &e);
        return;
    }
    j->ended = j->read < LOG_STEP_SIZE;
    size_t count = 0;
    const struct wal_hole *holes = wal_holes(w, &count);
    j->hole_last = count > 0 ? holes[count - 1].index : 0;
}

static void take_step(struct member *m, const struct scrub_job *j)
{
    struct scrub *s = m->scrub;
    m->damage.scrubbed += j->read;
    s->allowed -= j->read < s->allowed ? j->read : s->allowed;
    if (j->ended) {
        s->round_ended[j->target] = true;
        m->damage.rounds_parts += j->target == TARGET_PARTS ? 1 : 0;
        m->damage.rounds_logs += j->target == TARGET_RAFT ? 1 : 0;
    }
    if (j->parts.damaged) {
        member_damage_seen(m);
    }
    if (j->target == TARGET_RAFT && j->hole_last > 0) {
        s->holes = true;
    }
    /* What the checkpoint holds is not read again. */
    if (j->target == TARGET_LOCAL && j->found > 0 && m->state == MEMBER_LOCAL &&
        j->hole_last > m->control.checkpoint_index) {
        member_propose_own(m, COMMAND_CHECKPOINT, (struct bytes){0});
    }
}

static void done_step(struct job *job)
{
    struct scrub_job *j = (struct scrub_job *)job;
    struct member *m = j->member;
    bool go = member_job_ended(m, job);
    j->scrub->job_out = false;
    if (j->target == TARGET_PARTS) {
        member_view_closed(m);
    }
    if (go) {
        take_step(m, j);
    }
    mem_free(j);
}

/* The next target whose round goes on, or may begin again. */
static bool choose(struct member *m, enum target *target)
{
    struct scrub *s = m->scrub;
    for (unsigned i = 1; i <= TARGET_COUNT; i++) {
        enum target t = (enum target)((s->turn + i) % TARGET_COUNT);
        if (s->round_ended[t] && m->now_ms < s->round_ms[t] + m->scrub_pause_ms) {
            continue;
        }
        if (t == TARGET_PARTS && !member_may_view(m)) {
            continue;
        }
        if (s->round_ended[t]) {
            s->round_ended[t] = false;
            s->round_ms[t] = m->now_ms;
        }
        s->turn = t;
        *target = t;
        return true;
    }
    return false;
}

static void begin_step(struct member *m)
{
    enum target target = TARGET_PARTS;
    if (!choose(m, &target)) {
        return;
    }
    struct scrub_job *j = mem_zalloc(sizeof *j);
    j->member = m;
    j->scrub = m->scrub;
    j->target = target;
    m->scrub->job_out = true;
    if (target == TARGET_PARTS) {
        member_view_opened(m); /* the tsdb stays */
        member_submit(m, &j->job, LANE_POOL, work_parts, done_step);
    } else {
        member_submit(m, &j->job, LANE_LOG, work_log, done_step);
    }
}

static void step_tick(struct member *m)
{
    struct scrub *s = m->scrub;
    uint64_t rate = m->settings.scrub_rate;
    uint64_t passed_ms = m->now_ms - s->allowed_ms;
    passed_ms = passed_ms < 1000 ? passed_ms : 1000; /* what was missed is not made up for */
    uint64_t more = rate * passed_ms / 1000;
    if (more > 0 || rate == 0) {
        s->allowed_ms = m->now_ms;
    }
    s->allowed += more;
    uint64_t most = rate > STEP_SIZE ? rate : STEP_SIZE;
    s->allowed = s->allowed < most ? s->allowed : most;
    if (rate > 0 && !s->job_out && s->allowed >= STEP_SIZE) {
        begin_step(m);
    }
}

/* --- filling holes of the Raft log while the node takes part (safety.md C6) --- */

struct fill_job {
    struct job job;
    struct member *member;
    struct scrub *scrub;
    struct wal_hole holes[HOLES_MAX]; /* that are left */
    size_t count;
    struct entry **entries; /* to fill with; their references */
    size_t entry_count;
};

static bool is_for_hole(const struct wal *w, const struct entry *entry)
{
    const struct wal_hole *hole = wal_hole_at(w, entry->index);
    return hole != NULL && !hole->unknown && hole->term == entry->term &&
           hole->type == log_map_wal_type(entry->type);
}

static enum err_code fill_holes(const struct fill_job *f, struct wal *w, struct err *e)
{
    enum err_code code = wal_sync(w, e); /* a repair stands behind what is synced */
    for (size_t i = 0; i < f->entry_count && code == ERR_OK; i++) {
        const struct entry *entry = f->entries[i];
        if (is_for_hole(w, entry)) {
            struct wal_entry record = {
                .index = entry->index,
                .term = entry->term,
                .type = log_map_wal_type(entry->type),
                .payload = entry_payload(entry),
            };
            code = wal_repair(w, &record, e);
        }
    }
    return code;
}

static void work_fill(struct job *job)
{
    struct fill_job *f = (struct fill_job *)job;
    struct storage *s = f->member->storage;
    struct wal *w = storage_wal(s, STORAGE_RAFT);
    struct err e;
    if (w == NULL || storage_failed(s) != NULL) {
        return;
    }
    if (f->entry_count > 0) {
        enum err_code code = fill_holes(f, w, &e);
        if (code != ERR_OK && code != ERR_NO_SPACE && code != ERR_FULL) {
            (void)storage_fail(s, &e);
            return;
        }
    }
    size_t count = 0;
    const struct wal_hole *holes = wal_holes(w, &count);
    while (f->count < count && f->count < HOLES_MAX) {
        f->holes[f->count] = holes[f->count];
        f->count++;
    }
}

static void done_fill(struct job *job);

static void submit_fill(struct member *m, struct entry **entries, size_t count)
{
    struct fill_job *f = mem_zalloc(sizeof *f);
    f->member = m;
    f->scrub = m->scrub;
    f->entries = entries;
    f->entry_count = count;
    m->scrub->fill_out = true;
    m->scrub->fill_ms = m->now_ms + FILL_AGAIN_MS;
    member_submit(m, &f->job, LANE_LOG, work_fill, done_fill);
}

/* What is in memory needs no question. */
static bool fill_from_memory(struct member *m, const struct fill_job *f)
{
    struct entry **entries = mem_array(HOLES_MAX, sizeof *entries);
    size_t count = 0;
    for (size_t i = 0; i < f->count; i++) {
        struct entry *cached = replica_entry(m->replica, f->holes[i].index);
        if (cached != NULL && cached->term == f->holes[i].term) {
            entries[count++] = entry_ref(cached);
        }
    }
    if (count == 0) {
        mem_free(entries);
        return false;
    }
    submit_fill(m, entries, count);
    return true;
}

static void ask_for_holes(struct member *m, const struct fill_job *f)
{
    struct repair_question q = {.question = m->token_next++};
    for (size_t i = 0; i < f->count; i++) {
        if (!f->holes[i].unknown) {
            q.wants[q.want_count++] = (struct repair_want){f->holes[i].index, 1, f->holes[i].term};
        }
    }
    if (q.want_count == 0) {
        return;
    }
    m->scrub->question = q.question;
    struct buf message = {0};
    repair_question_encode(&q, &message);
    for (size_t i = 0; i < m->known_count; i++) {
        if (m->known[i].connected && m->known[i].cluster_id == m->hard.cluster_id) {
            member_send_bytes(m, m->known[i].id, PEER_FIELD_REPAIR_QUESTION, buf_bytes(&message));
        }
    }
    buf_deinit(&message);
}

static void done_fill(struct job *job)
{
    struct fill_job *f = (struct fill_job *)job;
    struct member *m = f->member;
    bool go = member_job_ended(m, job) && m->state == MEMBER_RUNNING;
    f->scrub->fill_out = false;
    if (go) {
        if (f->count == 0) {
            log_info(m->log, "raft", "holes-filled", "entries=%zu", f->entry_count);
        }
        f->scrub->holes = f->count > 0;
        bool again = f->entry_count > 0; /* what did not help now does not help at once */
        if (f->count > 0 && (again || !fill_from_memory(m, f))) {
            ask_for_holes(m, f);
        }
    }
    for (size_t i = 0; i < f->entry_count; i++) {
        entry_unref(f->entries[i]);
    }
    mem_free(f->entries);
    mem_free(f);
}

void member_scrub_answer(struct member *m, struct bytes answer)
{
    struct scrub *s = m->scrub;
    struct repair_said said;
    struct err e;
    if (s == NULL || s->question == 0 || s->fill_out || m->state != MEMBER_RUNNING) {
        return;
    }
    if (repair_said_decode(answer, &said, &e) != ERR_OK) {
        log_warn(m->log, "raft", "repair-message", "reason=\"%s\"", e.text);
        return;
    }
    if (said.question == s->question && said.entry_count > 0) {
        struct entry **entries = mem_array(said.entry_count, sizeof *entries);
        for (size_t i = 0; i < said.entry_count; i++) {
            entries[i] = entry_ref(said.entries[i]);
        }
        submit_fill(m, entries, said.entry_count);
    }
    repair_said_deinit(&said);
}

/* --- life --- */

void member_scrub_tick(struct member *m)
{
    if (!takes_part(m)) {
        return;
    }
    if (m->scrub == NULL) {
        m->scrub = mem_zalloc(sizeof *m->scrub);
        m->scrub->allowed_ms = m->now_ms;
        m->scrub->parts = tsdb_scrub_open(random_u64(&m->random));
        for (unsigned i = 0; i < TARGET_COUNT; i++) {
            m->scrub->round_ms[i] = m->now_ms;
        }
    }
    struct scrub *s = m->scrub;
    step_tick(m);
    if (m->state == MEMBER_RUNNING && s->holes && !s->fill_out && m->now_ms >= s->fill_ms) {
        submit_fill(m, NULL, 0);
    }
}

uint64_t member_scrub_deadline_ms(const struct member *m)
{
    const struct scrub *s = m->scrub;
    uint64_t rate = m->settings.scrub_rate;
    if (s == NULL || rate == 0 || s->job_out || !takes_part(m)) {
        return UINT64_MAX;
    }
    uint64_t at = UINT64_MAX; /* of the next round that goes on or begins */
    for (unsigned i = 0; i < TARGET_COUNT; i++) {
        uint64_t begins = s->round_ended[i] ? s->round_ms[i] + m->scrub_pause_ms : m->now_ms;
        at = begins < at ? begins : at;
    }
    uint64_t missing = s->allowed < STEP_SIZE ? STEP_SIZE - s->allowed : 0;
    uint64_t allowed_at = s->allowed_ms + (missing * 1000 + rate - 1) / rate;
    return at > allowed_at ? at : allowed_at;
}

void member_scrub_close(struct member *m)
{
    if (m->scrub != NULL) {
        CHECK(!m->scrub->job_out);
        CHECK(!m->scrub->fill_out);
        tsdb_scrub_close(m->scrub->parts);
        mem_free(m->scrub);
        m->scrub = NULL;
    }
}
