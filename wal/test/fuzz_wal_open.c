/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever stands in a log's directory, looking at it and opening it never
 * crashes, never asks for memory by a number read from the disk, and what opened
 * can be read, written and opened again.
 *
 * The input edits a small log of three segments:
 *
 *   byte 0       bit 0: local WAL, bits 1-2: recovery mode, bit 3: with a crash
 *   then edits   target u8 | offset u16 (in units of 4 bytes) | size u8 | bytes[size]
 *   target       bits 0-1: segment, bit 2: make the record's or page's crc right
 *                again, bit 3: cut the file there, bit 4: zeros instead of bytes */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "base/crc32c.h"
#include "base/mem.h"
#include "testkit/fake_disk.h"
#include "testkit/fake_disk_damage.h"
#include "wal/wal.h"
#include "wal/wal_inspect.h"
#include "wal/wal_record.h"
#include "wal/wal_segment.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SEGMENT_SIZE = 64 * 1024, EDITS_MAX = 64 };

struct log_under_test {
    struct fake_disk *disk;
    struct wal_options options;
    struct wal_extent extent;
};

static struct log_under_test made[2]; /* by role */
static struct fake_disk_image *images[2];
static struct wal_extent extents[2];

static enum err_code extent_changed(void *context, const struct wal_extent *extent, struct err *e)
{
    (void)e;
    ((struct log_under_test *)context)->extent = *extent;
    return ERR_OK;
}

static void append(struct wal *w, uint64_t index, uint64_t term, size_t size)
{
    static uint8_t payload[4096];
    memset(payload, (int)(index & 0xff), sizeof payload);
    const struct wal_entry entry = {
        .index = index, .term = term, .type = WAL_COMMAND, .payload = bytes_of(payload, size)};
    struct err e;
    CHECK(wal_append(w, &entry, 1, index / 2, &e) == ERR_OK);
}

/* Some of everything that a log can hold. */
static void make(enum wal_role role)
{
    struct log_under_test *l = &made[role - 1];
    l->disk = fake_disk_create(1);
    l->options = (struct wal_options){.io = fake_disk_io(l->disk),
                                      .dir = "log",
                                      .role = role,
                                      .cluster_id = 1,
                                      .directory_id = 2,
                                      .timeline = 1,
                                      .segment_size = SEGMENT_SIZE,
                                      .recovery_mode = WAL_POINT_IN_TIME_RECOVERY,
                                      .fresh = true,
                                      .extent_changed = extent_changed,
                                      .context = l};
    struct wal *w;
    struct wal_report report;
    struct err e;
    CHECK(wal_open(&l->options, &w, &report, &e) == ERR_OK);
    uint64_t index = 1;
    while (l->extent.segment_last < 3) {
        append(w, index, 1 + index / 20, 200 + index % 7 * 400);
        if (index % 9 == 0) {
            CHECK(wal_mark(w, index, &e) == ERR_OK);
        }
        index++;
    }
    if (role == WAL_RAFT) {
        CHECK(wal_drop(w, index - 1, 0, &e) == ERR_OK);
        const struct wal_entry entry = {.index = index - 3, .term = 90, .type = WAL_BARRIER};
        CHECK(wal_replace(w, &entry, 1, 0, &e) == ERR_OK);
    }
    CHECK(wal_close(w, &e) == ERR_OK);
    images[role - 1] = fake_disk_snapshot(l->disk);
    extents[role - 1] = l->extent;
}

/* --- edits --- */

static void fix_crc(struct fake_disk *disk, const char *path, uint64_t offset)
{
    uint8_t bytes[WAL_SEGMENT_HEADER_SIZE];
    uint64_t records = wal_segment_records_at(SEGMENT_SIZE);
    if (offset >= records) {
        uint64_t at = offset / WAL_RECORD_ALIGNMENT * WAL_RECORD_ALIGNMENT;
        if (at + WAL_RECORD_HEADER_SIZE <= SEGMENT_SIZE &&
            fake_disk_peek(disk, path, at, bytes, WAL_RECORD_HEADER_SIZE) ==
                WAL_RECORD_HEADER_SIZE) {
            bytes_put_u64(bytes + 88, bytes_get_u64(bytes + 88));
            bytes_put_u32(bytes, crc32c(0, bytes + 4, WAL_RECORD_HEADER_SIZE - 4));
            fake_disk_overwrite(disk, path, at, bytes_of(bytes, 4));
        }
    } else if (offset < WAL_SEGMENT_HEADER_SIZE &&
               fake_disk_peek(disk, path, 0, bytes, sizeof bytes) == sizeof bytes) {
        bytes_put_u32(bytes + sizeof bytes - 4, crc32c(0, bytes, sizeof bytes - 4));
        fake_disk_overwrite(disk, path, sizeof bytes - 4, bytes_of(bytes + sizeof bytes - 4, 4));
    }
}

static void edit(struct fake_disk *disk, struct cursor *input)
{
    unsigned target = cursor_u8(input);
    uint64_t offset = (uint64_t)cursor_u16(input) * 4 % SEGMENT_SIZE;
    size_t size = cursor_u8(input);
    char path[64] = "log/000000010000000000000001";
    path[strlen(path) - 1] = (char)('1' + (target & 3) % 3);
    uint64_t there = fake_disk_file_size(disk, path);
    if ((target & 8) != 0) {
        fake_disk_truncate(disk, path, offset < there ? offset : there);
        return;
    }
    size = size < input->size ? size : input->size;
    struct bytes bytes = cursor_take(input, size);
    if (offset >= there) {
        return;
    }
    size = size < there - offset ? size : (size_t)(there - offset);
    if ((target & 16) != 0) {
        fake_disk_zero(disk, path, offset, size);
    } else if (size > 0) {
        fake_disk_overwrite(disk, path, offset, bytes_of(bytes.data, size));
    }
    if ((target & 4) != 0) {
        fix_crc(disk, path, offset);
    }
}

/* --- use --- */

static bool count_views(void *context, const struct wal_view *view)
{
    CHECK(view->payload.size <= SEGMENT_SIZE);
    ++*(uint64_t *)context;
    return true;
}

static void count_problems(void *context, const struct wal_problem *problem)
{
    CHECK(problem->what != NULL && problem->index_first <= problem->index_last);
    ++*(uint64_t *)context;
}

static void read_entries(struct wal_inspection *s)
{
    struct wal_entry entry;
    struct err e;
    bool found = true;
    uint64_t last = 0;
    while (found && wal_inspection_next(s, &entry, &found, &e) == ERR_OK) {
        CHECK(!found || (entry.index > last && entry.payload.size <= SEGMENT_SIZE));
        last = entry.index;
    }
}

static void read_all(struct wal *w)
{
    struct buf storage = {0};
    struct err e;
    for (uint64_t index = wal_index_first(w); index <= wal_index_last(w);) {
        struct wal_entry entries[16];
        size_t count;
        enum err_code code = wal_read(w, index, 16, 100000, &storage, entries, &count, &e);
        CHECK(code == ERR_OK || code == ERR_CORRUPT);
        index = code == ERR_OK && count > 0 ? entries[count - 1].index + 1 : index + 1;
        if (wal_index_last(w) - index > 100000 && wal_index_last(w) > index) {
            break; /* a local WAL may skip far */
        }
    }
    buf_deinit(&storage);
}

static void use(struct wal *w, enum wal_role role)
{
    struct err e;
    read_all(w);
    uint64_t last = wal_index_last(w);
    if (role == WAL_RAFT) {
        CHECK(wal_drop(w, last + 1, 0, &e) == ERR_OK);
    }
    if (last < UINT64_MAX - 2) {
        append(w, last + 1, UINT32_MAX, 100);
        CHECK(wal_sync(w, &e) == ERR_OK);
    }
}

static void open_and_use(struct log_under_test *l, bool crash)
{
    struct wal *w = NULL;
    struct wal_report report;
    struct err e;
    for (unsigned round = 0; round < 2; round++) {
        l->options.extent = l->extent;
        l->options.fresh = false;
        enum err_code code = wal_open(&l->options, &w, &report, &e);
        CHECK(round == 0 || code == ERR_OK);
        if (code != ERR_OK) {
            CHECK(code != ERR_IO);
            return;
        }
        use(w, l->options.role);
        if (crash) {
            fake_disk_power_fail_lose_all(l->disk);
            wal_abandon(w);
        } else {
            CHECK(wal_close(w, &e) == ERR_OK);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (images[0] == NULL) {
        make(WAL_RAFT);
        make(WAL_LOCAL);
    }
    struct cursor input = cursor_of(bytes_of(data, size));
    unsigned first = cursor_u8(&input);
    unsigned which = first & 1;
    struct log_under_test *l = &made[which];
    fake_disk_restore(l->disk, images[which]);
    l->extent = extents[which];
    l->options.recovery_mode = (enum wal_recovery_mode)(first >> 1 & 3);
    for (unsigned i = 0; i < EDITS_MAX && input.size > 0; i++) {
        edit(l->disk, &input);
    }
    struct wal_report report;
    struct err e;
    uint64_t views = 0;
    const struct wal_visitor visitor = {
        .slot = count_views, .problem = count_problems, .context = &views};
    struct wal_inspection *s;
    if (wal_inspection_open(l->options.io, "log", &visitor, &report, &s, &e) == ERR_OK) {
        CHECK(report.segments > 0);
        read_entries(s);
    }
    wal_inspection_close(s);
    open_and_use(l, (first & 8) != 0);
    CHECK(fake_disk_open_files(l->disk) == 0);
    return 0;
}
