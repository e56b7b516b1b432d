/* SPDX-License-Identifier: Apache-2.0 */
/* Commit without Raft: one node, the local WAL decides. What a reply waits for
 * is the level's promise (design, levels): off nothing, sync the group sync,
 * flush the write into the file system. Metadata is synced at every level. */
#include <inttypes.h>

#include "node/member_internal.h"

/* --- replay: the WAL behind the checkpoint --- */

/* Entries read and not yet applied; then reading waits. */
enum { REPLAY_QUEUE_MAX = 16 * MEMBER_APPLY_ENTRIES_MAX };

struct replay_job {
    struct job job;
    struct member *member;
    uint64_t from;
    uint64_t last;
    uint64_t term;
    struct recovery_step step; /* entries 0: nothing was read */
    size_t count;
    struct entry *entries[MEMBER_APPLY_ENTRIES_MAX];
};

static struct entry *entry_of(const struct wal_entry *w)
{
    return entry_new(log_map_entry_type(w->type), w->index, w->term, w->payload);
}

static void note_step(struct replay_job *r, const struct wal *w, const struct wal_entry *found)
{
    r->step = (struct recovery_step){.lsn_first = wal_lsn_at(w, found[0].index),
                                     .lsn = wal_lsn_at(w, found[r->count - 1].index),
                                     .lsn_end = wal_lsn_end(w),
                                     .index = found[r->count - 1].index,
                                     .entries = r->count};
}

static void work_replay(struct job *job)
{
    struct replay_job *r = (struct replay_job *)job;
    struct wal *w = storage_wal(r->member->storage, STORAGE_LOCAL);
    struct wal_entry found[MEMBER_APPLY_ENTRIES_MAX];
    struct buf storage = {0};
    struct err e;
    if (storage_failed(r->member->storage) != NULL) {
        return; /* founding it may be what failed */
    }
    r->last = wal_index_last(w);
    uint64_t from = r->from < wal_index_first(w) ? wal_index_first(w) : r->from;
    if (from <= r->last) {
        if (wal_read(w, from, MEMBER_APPLY_ENTRIES_MAX, MEMBER_BATCH_SIZE_MAX, &storage, found,
                     &r->count, &e) != ERR_OK) {
            (void)storage_fail(r->member->storage, &e);
            r->count = 0;
        }
        for (size_t i = 0; i < r->count; i++) {
            r->entries[i] = entry_of(&found[i]);
        }
        if (r->count > 0) {
            note_step(r, w, found);
        }
    }
    if (wal_index_last(w) > 0) {
        (void)wal_term_at(w, wal_index_last(w), &r->term);
    }
    buf_deinit(&storage);
}

static void done_replay(struct job *job);

static void replay_from(struct member *m, uint64_t from)
{
    struct replay_job *r = mem_zalloc(sizeof *r);
    r->member = m;
    r->from = from;
    member_submit(m, &r->job, LANE_LOG, work_replay, done_replay);
}

static void take_end(struct member *m, uint64_t last, uint64_t term)
{
    m->local_index = last > m->applied_index ? last : m->applied_index;
    if (term > m->local_term) {
        m->local_term = term;
    }
    m->local_read = true;
    member_local_applied(m);
}

static void advance(struct member *m, const struct recovery_step *step)
{
    char lsn[WAL_LSN_TEXT_SIZE];
    if (m->recovery.phase != RECOVERY_REDO) {
        return; /* back from Raft: there is nothing to redo */
    }
    recovery_advance(&m->recovery, step);
    if (!recovery_line_due(&m->recovery, m->now_ms)) {
        return;
    }
    struct recovery_view v = recovery_look(&m->recovery, m->now_ms);
    member_say(m,
               "redo of the local WAL: entry %" PRIu64 " at %s, %" PRIu64 " bytes left, %" PRIu64
               " a second, about %" PRIu64 " ms",
               step->index, wal_lsn_text(step->lsn, lsn), v.bytes_left, v.bytes_per_second,
               v.remaining_ms);
}

static void end_recovery(struct member *m)
{
    /* Of an open change the other parts never came: it never took effect (safety.md G2). */
    recovery_end(&m->recovery, m->now_ms, tsdb_has_open_change(m->db));
    log_info(m->log, "node", "recovered",
             "analysis_ms=%" PRIu64 " redo_ms=%" PRIu64 " entries=%" PRIu64 " undone=%" PRIu64,
             m->recovery.analysis_ms, m->recovery.redo_ms, m->recovery.entries, m->recovery.undone);
}

static size_t queued(const struct member *m)
{
    return m->apply_queue.count - m->apply_queue.head;
}

/* Before the last entry is applied the state is older than what was answered. */
void member_local_applied(struct member *m)
{
    const struct entry_queue *q = &m->apply_queue;
    if (m->state == MEMBER_LOCAL && m->replay_next != 0 && queued(m) < REPLAY_QUEUE_MAX / 2) {
        uint64_t from = m->replay_next;
        m->replay_next = 0;
        replay_from(m, from);
    }
    if (m->state != MEMBER_LOCAL || !m->local_read || m->applying != NULL || q->head < q->count) {
        return;
    }
    m->local_read = false;
    m->local_ready = true;
    end_recovery(m);
    member_local_first(m);
    member_say(m, "%s", "");
    if (storage_report(m->storage, STORAGE_LOCAL)->loss_found) {
        /* Nothing has to be read across the damage again (safety.md A9). */
        member_propose_own(m, COMMAND_CHECKPOINT, (struct bytes){0});
    }
    log_info(m->log, "node", "replayed", "index=%" PRIu64, m->local_index);
}

static void done_replay(struct job *job)
{
    struct replay_job *r = (struct replay_job *)job;
    struct member *m = r->member;
    bool go = member_job_ended(m, job);
    uint64_t next = r->step.index + 1;
    for (size_t i = 0; i < r->count; i++) {
        if (go) {
            member_apply_push(m, r->entries[i]);
        } else {
            entry_unref(r->entries[i]);
        }
    }
    if (go) {
        member_apply_pump(m);
        if (r->count > 0) {
            advance(m, &r->step);
        }
        if (r->count > 0 && queued(m) < REPLAY_QUEUE_MAX) {
            replay_from(m, next);
        } else if (r->count > 0) {
            m->replay_next = next; /* the log may hold more than fits in memory */
        } else {
            take_end(m, r->last, r->term);
        }
    }
    mem_free(r);
}

void member_local_start(struct member *m)
{
    const struct control_era *era = &m->control.eras[m->control.era_count - 1];
    m->local_term = era->term_first;
    if (m->applied_term > m->local_term) {
        m->local_term = m->applied_term;
    }
    /* What stands in the local WAL before the era are copies (safety.md F2). */
    CHECK(m->applied_index + 1 >= era->index_first);
    member_say(m, "replaying the local WAL from index %" PRIu64, m->applied_index + 1);
    m->replay_next = 0;
    recovery_begin(&m->recovery, m->now_ms, storage_analysis_ms(m->storage));
    replay_from(m, m->applied_index + 1);
}

/* --- committing --- */

struct commit_job {
    struct job job;
    struct member *member;
    struct entry *entry;
    bool append;
    bool sync;
    enum wal_type type;
    bool no_space;
    struct err err;
};

static void work_commit(struct job *job)
{
    struct commit_job *c = (struct commit_job *)job;
    struct storage *s = c->member->storage;
    struct wal_entry record = {
        .index = c->entry->index,
        .term = c->entry->term,
        .type = c->type,
        .payload = entry_payload(c->entry),
    };
    if (c->append && storage_failed(s) == NULL) {
        enum err_code code =
            wal_append(storage_wal(s, STORAGE_LOCAL), &record, 1, record.index - 1, &c->err);
        if (code == ERR_NO_SPACE) {
            c->no_space = true;
            return;
        }
        if (code != ERR_OK) {
            (void)storage_fail(s, &c->err);
            return;
        }
        if (member_is_checkpoint(c->entry)) {
            storage_rotate(s, STORAGE_LOCAL);
        }
    }
    if (c->sync) {
        storage_want_sync(s, STORAGE_LOCAL);
    }
}

static void done_commit(struct job *job)
{
    struct commit_job *c = (struct commit_job *)job;
    struct member *m = c->member;
    bool go = member_job_ended(m, job);
    if (go && c->no_space) {
        /* Nothing was written: the index is skipped, which a local WAL may. */
        member_say(m, "disk full: %s", c->err.text);
        member_refuse_proposal(m, c->entry->index, ERR_NO_SPACE, c->err.text);
    } else if (go) {
        member_apply_push(m, entry_ref(c->entry));
        member_apply_pump(m);
    }
    entry_unref(c->entry);
    mem_free(c);
}

static enum wal_type wal_type_of(const struct entry *entry)
{
    if (entry->type != ENTRY_COMMAND) {
        return log_map_wal_type(entry->type);
    }
    return command_is_metadata((enum command_kind)entry->payload[0]) ? WAL_METADATA : WAL_COMMAND;
}

void member_local_submit(struct member *m, struct entry *entry)
{
    CHECK(m->state == MEMBER_LOCAL);
    CHECK(entry->index == m->local_index + 1);
    m->local_index = entry->index;
    struct commit_job *c = mem_zalloc(sizeof *c);
    c->member = m;
    c->entry = entry_ref(entry);
    c->type = wal_type_of(entry);
    bool data = c->type == WAL_COMMAND;
    unsigned level = m->settings.wal_level; /* 3: until a change of the level is finished */
    c->append = !data || level != WAL_LEVEL_OFF;
    c->sync = !data || level == WAL_LEVEL_SYNC || level == WAL_LEVEL_BYRL;
    if (c->append) {
        member_room_appended(m, entry->size);
        m->mark_due = true;
        m->appended_ms = m->now_ms;
    }
    if (c->append && !c->sync) {
        member_log_unsynced(m);
    }
    member_submit(m, &c->job, LANE_LOG, work_commit, done_commit);
}
