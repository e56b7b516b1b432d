/* SPDX-License-Identifier: Apache-2.0 */
/* A local WAL of five segments, stopped cleanly, from which tests start again
 * and again. Indexes rise in steps: a local WAL may skip. */
#ifndef TIDEMARK_WAL_TEST_LOCAL_LOG_H
#define TIDEMARK_WAL_TEST_LOCAL_LOG_H

#include "wal/test/wal_fixture.h"

enum {
    SEGMENTS = 5,
    SIZE = 900,
    STEP = 3,
    PER_SEGMENT = 53, /* entries in each of the first four */
    IN_LAST = 27,
    TOTAL = (SEGMENTS - 1) * PER_SEGMENT + IN_LAST,
    KEPT_MAX = TOTAL + 64
};

static struct fixture f;
static struct fake_disk_image *image;
static struct wal_extent image_extent;
static bool kept[KEPT_MAX]; /* which entries a test expects, by their number */

static inline uint64_t index_of(int n) /* of the n-th entry, from 0 */
{
    return 10 + (uint64_t)n * STEP;
}

static inline void append(int n)
{
    REQUIRE_OK(fixture_append(&f, index_of(n), 0, SIZE));
    REQUIRE_OK(wal_sync(f.wal, &f.err));
}

static inline void build(void)
{
    fixture_init(&f, WAL_LOCAL);
    REQUIRE_OK(fixture_open(&f));
    for (int n = 0; n < TOTAL; n++) {
        append(n);
        REQUIRE_UINT(f.extent.segment_last, (uint64_t)(n / PER_SEGMENT) + 1);
    }
    REQUIRE_OK(wal_close(f.wal, &f.err));
    f.wal = NULL;
    image = fake_disk_snapshot(f.disk);
    image_extent = f.extent;
}

static inline void restore(void)
{
    fake_disk_restore(f.disk, image);
    f.extent = image_extent;
}

static inline void destroy(void)
{
    fixture_deinit(&f);
    fake_disk_image_free(image);
}

/* Of the n-th record of a segment, from 0. */
static inline uint64_t offset_of(int in_segment)
{
    return fixture_offset((uint64_t)in_segment, SIZE);
}

static inline void keep_range(int from, int to, bool value)
{
    REQUIRE(from <= to && to <= KEPT_MAX);
    for (int n = from; n < to; n++) {
        kept[n] = value;
    }
}

/* How many entries read back; they must be those below n_max that 'kept' names. */
static inline int count_kept(int n_max)
{
    int count = 0;
    uint64_t at = 1;
    struct wal_entry entry;
    size_t got;
    for (int n = 0; n < n_max; n++) {
        if (!kept[n]) {
            continue;
        }
        REQUIRE_OK(wal_read(f.wal, at, 1, SIZE_MAX, &f.storage, &entry, &got, &f.err));
        if (got == 0) {
            return count;
        }
        EXPECT_UINT(entry.index, index_of(n));
        EXPECT(bytes_equal(entry.payload, fixture_payload(&f, index_of(n), 0, SIZE)));
        at = entry.index + 1;
        count++;
    }
    EXPECT_OK(wal_read(f.wal, at, 1, SIZE_MAX, &f.storage, &entry, &got, &f.err));
    EXPECT_UINT(got, 0);
    return count;
}

#endif
