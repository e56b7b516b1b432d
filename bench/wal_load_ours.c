/* SPDX-License-Identifier: Apache-2.0 */
/* The log of the room wal under load: a local WAL, as one node has it. */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "bench/wal_load.h"
#include "io/io_posix.h"
#include "wal/wal.h"

enum {
    SEGMENT_SIZE = 16 * 1024 * 1024,
    RECYCLE_SEGMENTS = 8,
    BATCH_MAX = 256,
    FILL_BATCH = 64,
    READ_COUNT = 256,
    READ_SIZE = 1024 * 1024
};

struct ours {
    struct wal *wal;
    struct wal_extent extent;
    uint64_t index;
};

/* The node keeps it in its control file; no load measures that. */
static enum err_code keep_extent(void *context, const struct wal_extent *extent, struct err *e)
{
    (void)e;
    struct ours *o = context;
    o->extent = *extent;
    return ERR_OK;
}

/* What settings say about a log. */
struct how {
    enum wal_sync_method sync_method;
    size_t buffer_size;
};

static const struct how by_default = {.sync_method = WAL_FDATASYNC, .buffer_size = 1024 * 1024};

static struct ours *open_log(const char *dir, const struct wal_extent *extent,
                             const struct how *how)
{
    struct ours *o = mem_zalloc(sizeof *o);
    struct wal_options options = {
        .io = io_posix(),
        .dir = dir,
        .role = WAL_LOCAL,
        .cluster_id = 1,
        .directory_id = 2,
        .timeline = 1,
        .segment_size = SEGMENT_SIZE,
        .recovery_mode = WAL_POINT_IN_TIME_RECOVERY,
        .fresh = extent == NULL,
        .segments_min = RECYCLE_SEGMENTS,
        .extent_changed = keep_extent,
        .context = o,
        .sync_method = how->sync_method,
        .buffer_size = how->buffer_size,
    };
    if (extent != NULL) {
        options.extent = *extent;
        o->extent = *extent;
    }
    struct wal_report report;
    struct err e;
    load_must(wal_open(&options, &o->wal, &report, &e), &e);
    o->index = wal_index_last(o->wal);
    return o;
}

static void *ours_open(const char *dir)
{
    return open_log(dir, NULL, &by_default);
}

static void *fsync_open(const char *dir)
{
    struct how how = by_default;
    how.sync_method = WAL_FSYNC;
    return open_log(dir, NULL, &how);
}

static void *open_datasync_open(const char *dir)
{
    struct how how = by_default;
    how.sync_method = WAL_OPEN_DATASYNC;
    return open_log(dir, NULL, &how);
}

static void *open_sync_open(const char *dir)
{
    struct how how = by_default;
    how.sync_method = WAL_OPEN_SYNC;
    return open_log(dir, NULL, &how);
}

static void *small_buffer_open(const char *dir)
{
    struct how how = by_default;
    how.buffer_size = (size_t)64 * 1024;
    return open_log(dir, NULL, &how);
}

static void ours_write(void *log, struct bytes payload, size_t count, bool sync)
{
    struct ours *o = log;
    struct wal_entry entries[BATCH_MAX];
    struct err e;
    CHECK(count <= BATCH_MAX);
    for (size_t i = 0; i < count; i++) {
        entries[i] = (struct wal_entry){
            .index = ++o->index, .term = 1, .type = WAL_COMMAND, .payload = payload};
    }
    load_must(wal_append(o->wal, entries, count, entries[0].index - 1, &e), &e);
    if (sync) {
        load_must(wal_sync(o->wal, &e), &e);
    }
}

/* The next round begins in a new segment, and the one after it is prepared. */
static void ours_tidy(void *log)
{
    struct ours *o = log;
    struct err e;
    bool done = false;
    load_must(wal_reset(o->wal, o->index, 1, &e), &e);
    while (!done) {
        load_must(wal_prepare(o->wal, SEGMENT_SIZE, &done, &e), &e);
    }
}

static void ours_close(void *log)
{
    struct ours *o = log;
    wal_abandon(o->wal);
    mem_free(o);
}

/* The extent that fill() left, for replay(): of the one log that is being replayed. */
static struct wal_extent filled;

static void ours_fill(const char *dir, size_t size, uint64_t count)
{
    struct ours *o = ours_open(dir);
    struct err e;
    uint8_t *payload = mem_alloc(size);
    memset(payload, 0x5a, size);
    for (uint64_t done = 0; done < count;) {
        size_t n = count - done < FILL_BATCH ? (size_t)(count - done) : FILL_BATCH;
        payload[0] = (uint8_t)done;
        ours_write(o, bytes_of(payload, size), n, false);
        done += n;
    }
    load_must(wal_mark(o->wal, o->index, &e), &e);
    filled = o->extent;
    mem_free(payload);
    ours_close(o);
}

static uint64_t ours_replay(const char *dir)
{
    struct ours *o = open_log(dir, &filled, &by_default);
    uint64_t count = o->index;
    ours_close(o);
    return count;
}

uint64_t load_ours_read_back(const char *dir, double *seconds)
{
    struct ours *o = open_log(dir, &filled, &by_default);
    struct wal_entry *entries = mem_array(READ_COUNT, sizeof *entries);
    struct buf storage = {0};
    struct err e;
    uint64_t total = 0;
    double begin = load_busy();
    for (uint64_t index = 1; index <= o->index;) {
        size_t count = 0;
        load_must(wal_read(o->wal, index, READ_COUNT, READ_SIZE, &storage, entries, &count, &e),
                  &e);
        CHECK(count > 0);
        index = entries[count - 1].index + 1;
        total += count;
    }
    *seconds = load_busy() - begin;
    buf_deinit(&storage);
    mem_free(entries);
    ours_close(o);
    return total;
}

const struct load_kind load_ours = {
    .name = "ours",
    .open = ours_open,
    .write = ours_write,
    .tidy = ours_tidy,
    .close = ours_close,
    .fill = ours_fill,
    .replay = ours_replay,
};

const struct load_kind load_ours_fsync = {.name = "fsync",
                                          .open = fsync_open,
                                          .write = ours_write,
                                          .tidy = ours_tidy,
                                          .close = ours_close};

const struct load_kind load_ours_open_datasync = {.name = "open_datasync",
                                                  .open = open_datasync_open,
                                                  .write = ours_write,
                                                  .tidy = ours_tidy,
                                                  .close = ours_close};

const struct load_kind load_ours_open_sync = {.name = "open_sync",
                                              .open = open_sync_open,
                                              .write = ours_write,
                                              .tidy = ours_tidy,
                                              .close = ours_close};

const struct load_kind load_ours_small_buffer = {.name = "64 KiB",
                                                 .open = small_buffer_open,
                                                 .write = ours_write,
                                                 .tidy = ours_tidy,
                                                 .close = ours_close};
