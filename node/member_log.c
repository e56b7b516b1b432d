/* SPDX-License-Identifier: Apache-2.0 */
/* What settings say about how the logs write (wal_sync_method, wal_buffers,
 * wal_compression), and
 * the sync in the background of what was answered without one (wal_writer_delay). */
#include "node/member_internal.h"
#include "tsdb/settings.h"

struct log_settings_job {
    struct job job;
    struct member *member;
    struct storage_log_settings settings;
};

static void work_settings(struct job *job)
{
    struct log_settings_job *l = (struct log_settings_job *)job;
    struct storage *s = l->member->storage;
    struct err e;
    if (storage_failed(s) == NULL && storage_set_log_settings(s, &l->settings, &e) != ERR_OK) {
        (void)storage_fail(s, &e);
    }
}

static void done_settings(struct job *job)
{
    struct log_settings_job *l = (struct log_settings_job *)job;
    (void)member_job_ended(l->member, job);
    mem_free(l);
}

/* The same without writing each record through: where records are answered before
 * they are synced, that would make a sync of each. */
static enum wal_sync_method by_call(enum wal_sync_method method)
{
    switch (method) {
    case WAL_FDATASYNC:
    case WAL_OPEN_DATASYNC:
        return WAL_FDATASYNC;
    case WAL_FSYNC:
    case WAL_OPEN_SYNC:
        return WAL_FSYNC;
    }
    PANIC("sync method %d", (int)method);
}

void member_log_follow(struct member *m)
{
    enum wal_sync_method method =
        (enum wal_sync_method)settings_value(m->values, "wal_sync_method");
    bool synced = m->settings.wal_level == WAL_LEVEL_SYNC;
    const struct storage_log_settings next = {
        .sync_method =
            {[STORAGE_RAFT] = method, [STORAGE_LOCAL] = synced ? method : by_call(method)},
        .buffer_size = (size_t)settings_value(m->values, "wal_buffers"),
        .size_min = (uint64_t)settings_value(m->values, "min_wal_size"),
    };
    m->settings.wal_compression = (unsigned)settings_value(m->values, "wal_compression");
    m->settings.writer_delay_ms = (uint64_t)settings_value(m->values, "wal_writer_delay");
    const struct storage_log_settings *now = &m->log_settings;
    if (now->sync_method[STORAGE_RAFT] == next.sync_method[STORAGE_RAFT] &&
        now->sync_method[STORAGE_LOCAL] == next.sync_method[STORAGE_LOCAL] &&
        now->buffer_size == next.buffer_size && now->size_min == next.size_min) {
        return;
    }
    m->log_settings = next;
    struct log_settings_job *l = mem_zalloc(sizeof *l);
    l->member = m;
    l->settings = next;
    member_submit(m, &l->job, LANE_LOG, work_settings, done_settings);
}

/* --- the sync in the background --- */

struct background_job {
    struct job job;
    struct member *member;
};

static void work_sync(struct job *job)
{
    struct storage *s = ((struct background_job *)job)->member->storage;
    if (storage_failed(s) == NULL && storage_has(s, STORAGE_LOCAL)) {
        storage_want_sync(s, STORAGE_LOCAL); /* nothing to do if a later write was synced */
    }
}

static void done_sync(struct job *job)
{
    struct background_job *b = (struct background_job *)job;
    (void)member_job_ended(b->member, job);
    mem_free(b);
}

void member_log_unsynced(struct member *m)
{
    if (m->log_sync_ms == 0) {
        m->log_sync_ms = m->now_ms + m->settings.writer_delay_ms;
    }
}

void member_log_tick(struct member *m)
{
    if (m->log_sync_ms == 0 || m->now_ms < m->log_sync_ms) {
        return;
    }
    m->log_sync_ms = 0;
    struct background_job *b = mem_zalloc(sizeof *b);
    b->member = m;
    member_submit(m, &b->job, LANE_LOG, work_sync, done_sync);
}
