/* SPDX-License-Identifier: Apache-2.0 */
/* A writer on a fake disk, and what it left there, for its tests. */
#ifndef TIDEMARK_WAL_TEST_WRITER_FIXTURE_H
#define TIDEMARK_WAL_TEST_WRITER_FIXTURE_H

#include <stdio.h>
#include <string.h>

#include "base/crc32c.h"
#include "testkit/fake_disk.h"
#include "testkit/fake_disk_damage.h"
#include "testkit/test.h"
#include "wal/wal_writer.h"

enum { SEGMENT_SIZE = 64 * 1024, LOG_KEY = 77, RECORDS_AT = 12 * 1024 };

struct fixture {
    struct fake_disk *disk;
    struct io *io;
    struct wal_set set;
    struct wal_pool pool;
    struct wal_writer writer;
    struct wal_extent extent; /* as last told */
    unsigned extents;
    enum err_code extent_code;
    struct err err;
};

static const struct wal_layout layout = {SEGMENT_SIZE, LOG_KEY};
static uint8_t payload[40 * 1024];

static inline enum err_code extent_changed(void *context, const struct wal_extent *extent,
                                           struct err *e)
{
    struct fixture *f = context;
    if (f->extent_code != ERR_OK) {
        return err_set(e, f->extent_code, "injected");
    }
    f->extent = *extent;
    f->extents++;
    return ERR_OK;
}

/* A writer that has no segment yet. */
static inline void fixture_init(struct fixture *f)
{
    *f = (struct fixture){.disk = fake_disk_create(1)};
    f->io = fake_disk_io(f->disk);
    for (size_t i = 0; i < sizeof payload; i++) {
        payload[i] = (uint8_t)(1 + i % 250);
    }
    REQUIRE_OK(io_mkdir(f->io, "log", &f->err));
    REQUIRE_OK(io_sync_dir(f->io, ".", &f->err));
    wal_set_init(&f->set, f->io, "log", &layout, 1);
    wal_pool_init(&f->pool, f->io, "log", SEGMENT_SIZE, 2);
    f->writer = (struct wal_writer){
        .set = &f->set,
        .pool = &f->pool,
        .io = f->io,
        .dir = "log",
        .layout = layout,
        .role = WAL_RAFT,
        .cluster_id = 11,
        .directory_id = 22,
        .timeline = 1,
        .extent_changed = extent_changed,
        .context = f,
        .extent = {.segment_first = 1, .segment_last = 1},
        .sealed = true,
    };
    wal_writer_init(&f->writer);
}

static inline enum err_code begin(struct fixture *f)
{
    bool done;
    enum err_code code = wal_pool_step(&f->pool, 1, UINT64_MAX, &done, &f->err);
    return code == ERR_OK ? wal_writer_restart(&f->writer, 0, 0, &f->err) : code;
}

static inline void fixture_open(struct fixture *f)
{
    fixture_init(f);
    REQUIRE_OK(begin(f));
}

static inline void fixture_close(struct fixture *f)
{
    wal_writer_deinit(&f->writer);
    wal_set_deinit(&f->set);
    wal_pool_deinit(&f->pool);
    EXPECT_UINT(fake_disk_open_files(f->disk), 0);
    fake_disk_destroy(f->disk);
}

static inline struct wal_draft draft_of(uint64_t index, size_t size)
{
    return (struct wal_draft){
        .record = {.type = WAL_RECORD_COMMAND, .index = index, .term = 3, .before = 2},
        .payload = bytes_of(payload, size),
    };
}

static inline enum err_code append(struct fixture *f, uint64_t index, size_t size)
{
    struct wal_draft draft = draft_of(index, size);
    enum err_code code = wal_writer_reserve(&f->writer, &draft, 1, &f->err);
    return code == ERR_OK ? wal_writer_append(&f->writer, &draft, 1, &f->err) : code;
}

static const char *path_of(const struct fixture *f, uint64_t number)
{
    static char path[IO_PATH_MAX];
    struct err e;
    REQUIRE_OK(wal_set_path(&f->set, number, path, &e));
    return path;
}

static inline void peek(const struct fixture *f, uint64_t lsn, uint8_t *dst, size_t size)
{
    REQUIRE_UINT(fake_disk_peek(f->disk, path_of(f, wal_lsn_segment(&layout, lsn)),
                                wal_lsn_offset(&layout, lsn), dst, size),
                 size);
}

static inline struct wal_record record_at(const struct fixture *f, uint64_t lsn)
{
    uint8_t header[WAL_RECORD_HEADER_SIZE];
    struct wal_record r = {.type = WAL_RECORD_COMMAND};
    peek(f, lsn, header, sizeof header);
    EXPECT_INT(wal_record_decode(header, &r), WAL_RECORD_GOOD);
    return r;
}

#endif
