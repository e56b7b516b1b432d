/* SPDX-License-Identifier: Apache-2.0 */
/* A log on a fake disk, with an extent that is durable at once, as hard state
 * is. Included by the tests of the log; every function is small and local. */
#ifndef TIDEMARK_WAL_TEST_WAL_FIXTURE_H
#define TIDEMARK_WAL_TEST_WAL_FIXTURE_H

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "testkit/fake_disk.h"
#include "testkit/fake_disk_damage.h"
#include "testkit/test.h"
#include "wal/wal.h"
#include "wal/wal_segment.h"

enum { FIXTURE_SEGMENT_SIZE = 64 * 1024, FIXTURE_PAYLOAD_MAX = 32 * 1024 };

struct fixture {
    struct fake_disk *disk;
    struct wal_options options;
    struct wal_extent extent; /* what hard state holds */
    bool extent_made;
    unsigned extent_fails_in; /* 1: the next extent_changed() fails; 0: never */
    struct wal *wal;
    struct wal_report report;
    struct err err;
    struct buf storage;
    uint8_t payload[FIXTURE_PAYLOAD_MAX];
};

static inline enum err_code fixture_extent_changed(void *context, const struct wal_extent *extent,
                                                   struct err *e)
{
    struct fixture *f = context;
    bool counted = f->extent_fails_in > 0;
    f->extent_fails_in -= counted ? 1 : 0;
    if (counted && f->extent_fails_in == 0) {
        return err_set(e, ERR_IO, "injected");
    }
    f->extent = *extent;
    f->extent_made = true;
    return ERR_OK;
}

static inline void fixture_init(struct fixture *f, enum wal_role role)
{
    *f = (struct fixture){.disk = fake_disk_create(1)};
    f->options = (struct wal_options){
        .io = fake_disk_io(f->disk),
        .dir = "log",
        .role = role,
        .cluster_id = 11,
        .directory_id = 22,
        .timeline = 1,
        .segment_size = FIXTURE_SEGMENT_SIZE,
        .recovery_mode = WAL_POINT_IN_TIME_RECOVERY,
        .segments_min = 8,
        .extent_changed = fixture_extent_changed,
        .context = f,
    };
}

static inline enum err_code fixture_open(struct fixture *f)
{
    f->options.fresh = !f->extent_made;
    f->options.extent = f->extent;
    f->options.context = f;
    f->wal = NULL;
    return wal_open(&f->options, &f->wal, &f->report, &f->err);
}

static inline void fixture_abandon(struct fixture *f)
{
    wal_abandon(f->wal);
    f->wal = NULL;
}

/* As kill -9 and a new start. */
static inline enum err_code fixture_kill_and_open(struct fixture *f)
{
    fake_disk_kill(f->disk);
    fixture_abandon(f);
    return fixture_open(f);
}

static inline enum err_code fixture_close_and_open(struct fixture *f)
{
    EXPECT_OK(wal_close(f->wal, &f->err));
    f->wal = NULL;
    return fixture_open(f);
}

static inline void fixture_deinit(struct fixture *f)
{
    fixture_abandon(f);
    EXPECT_UINT(fake_disk_open_files(f->disk), 0);
    fake_disk_destroy(f->disk);
    buf_deinit(&f->storage);
}

/* The payload of (index, term) is a function of both: reading it back tells
 * which entry it is. */
static inline struct bytes fixture_payload(struct fixture *f, uint64_t index, uint64_t term,
                                           size_t size)
{
    for (size_t i = 0; i < size; i++) {
        f->payload[i] = (uint8_t)(index * 31 + term * 7 + i + 1);
    }
    return bytes_of(f->payload, size);
}

static inline struct wal_entry fixture_entry(struct fixture *f, uint64_t index, uint64_t term,
                                             size_t size)
{
    return (struct wal_entry){.index = index,
                              .term = term,
                              .type = WAL_COMMAND,
                              .vgroups = index,
                              .payload = fixture_payload(f, index, term, size)};
}

static inline enum err_code fixture_append(struct fixture *f, uint64_t index, uint64_t term,
                                           size_t size)
{
    struct wal_entry entry = fixture_entry(f, index, term, size);
    return wal_append(f->wal, &entry, 1, 0, &f->err);
}

/* Entries first .. last of one term, one by one, synced together. */
static inline void fixture_fill(struct fixture *f, uint64_t first, uint64_t last, uint64_t term,
                                size_t size)
{
    for (uint64_t i = first; i <= last; i++) {
        REQUIRE_OK(fixture_append(f, i, term, size));
    }
    REQUIRE_OK(wal_sync(f->wal, &f->err));
}

/* Whether the entry reads back as (index, term) of that size. */
static inline bool fixture_reads(struct fixture *f, uint64_t index, uint64_t term, size_t size)
{
    struct wal_entry entry;
    size_t count;
    if (wal_read(f->wal, index, 1, SIZE_MAX, &f->storage, &entry, &count, &f->err) != ERR_OK ||
        count != 1) {
        return false;
    }
    return entry.index == index && entry.term == term && entry.type == WAL_COMMAND &&
           entry.vgroups == index &&
           bytes_equal(entry.payload, fixture_payload(f, index, term, size));
}

/* Offset of the n-th record (from 0) of equal payload size in a segment. */
static inline uint64_t fixture_offset(uint64_t n, size_t size)
{
    return wal_segment_records_at(FIXTURE_SEGMENT_SIZE) + n * wal_record_span((uint32_t)size);
}

static inline const char *fixture_segment(uint64_t number)
{
    static char path[64];
    char name[WAL_SEGMENT_NAME_SIZE];
    const struct wal_layout layout = {FIXTURE_SEGMENT_SIZE, 1};
    wal_segment_name(&layout, 1, number, name);
    (void)snprintf(path, sizeof path, "log/%s", name);
    return path;
}

#endif
