/* SPDX-License-Identifier: Apache-2.0 */
#include "node/log_map.h"

#include <string.h>

#include "testkit/fake_disk.h"
#include "testkit/fake_disk_damage.h"
#include "testkit/test.h"

enum { SEGMENT_SIZE = 64 * 1024, PAYLOAD_SIZE = 600 };

static enum err_code extent_changed(void *context, const struct wal_extent *extent, struct err *e)
{
    (void)e;
    *(struct wal_extent *)context = *extent;
    return ERR_OK;
}

static struct wal *open_log(struct fake_disk *d, struct wal_extent *extent, bool fresh)
{
    struct wal_options options = {
        .io = fake_disk_io(d),
        .dir = "/raft",
        .role = WAL_RAFT,
        .cluster_id = 1,
        .directory_id = 2,
        .timeline = 1,
        .segment_size = SEGMENT_SIZE,
        .fresh = fresh,
        .extent = *extent,
        .extent_changed = extent_changed,
        .context = extent,
    };
    struct wal *w = NULL;
    struct wal_report report;
    struct err e;
    REQUIRE_OK(wal_open(&options, &w, &report, &e));
    return w;
}

static void append(struct wal *w, uint64_t index, uint64_t term, enum wal_type type)
{
    uint8_t payload[PAYLOAD_SIZE];
    memset(payload, (int)index, sizeof payload);
    struct wal_entry entry = {
        .index = index, .term = term, .type = type, .payload = bytes_of(payload, sizeof payload)};
    EXPECT_OK(wal_append(w, &entry, 1, 0, NULL));
}

/* Where the payload of an entry stands in the first segment. */
static uint64_t find_payload(struct fake_disk *d, const char *path, uint8_t fill)
{
    uint8_t bytes[PAYLOAD_SIZE];
    uint8_t wanted[PAYLOAD_SIZE];
    memset(wanted, fill, sizeof wanted);
    for (uint64_t at = 0; at + PAYLOAD_SIZE < SEGMENT_SIZE; at++) {
        (void)fake_disk_peek(d, path, at, bytes, sizeof bytes);
        if (memcmp(bytes, wanted, sizeof bytes) == 0) {
            return at;
        }
    }
    return 0;
}

TEST(log_map, shows_terms_types_holes_and_ends)
{
    struct fake_disk *d = fake_disk_create(1);
    struct wal_extent extent = {0};
    struct wal *w = open_log(d, &extent, true);
    append(w, 1, 1, WAL_CHANGE);
    append(w, 2, 2, WAL_BARRIER);
    append(w, 3, 2, WAL_COMMAND);
    append(w, 4, 5, WAL_COMMAND);
    EXPECT_OK(wal_sync(w, NULL));
    EXPECT_OK(wal_close(w, NULL));

    const char *path = "/raft/000000010000000000000001";
    uint64_t at = find_payload(d, path, 3);
    REQUIRE(at > 0);
    fake_disk_flip_bit(d, path, at + 10, 3);
    w = open_log(d, &extent, false);
    struct log_map map;
    log_map_take(&map, w);
    EXPECT_UINT(map.first, 1);
    EXPECT_UINT(map.last, 4);
    EXPECT(!log_map_is_whole(&map));

    struct log_view view = log_map_view(&map);
    struct slot first = view.at(view.context, 1);
    EXPECT(first.kind == SLOT_WHOLE);
    EXPECT_UINT(first.term, 1);
    EXPECT(first.type == ENTRY_CHANGE);
    EXPECT(view.at(view.context, 2).type == ENTRY_BARRIER);
    struct slot hole = view.at(view.context, 3);
    EXPECT(hole.kind == SLOT_DAMAGED);
    EXPECT_UINT(hole.term, 2);
    EXPECT_UINT(view.at(view.context, 4).term, 5);
    EXPECT(view.at(view.context, 5).kind == SLOT_NEVER_HAD);
    EXPECT(view.at(view.context, 0).kind == SLOT_CUT);

    log_map_deinit(&map);
    wal_abandon(w);
    fake_disk_destroy(d);
}

TEST(log_map, an_empty_log_is_whole_and_never_had_anything)
{
    struct fake_disk *d = fake_disk_create(1);
    struct wal_extent extent = {0};
    struct wal *w = open_log(d, &extent, true);
    struct log_map map;
    log_map_take(&map, w);
    EXPECT(log_map_is_whole(&map));
    EXPECT_UINT(map.last, 0);
    EXPECT(log_map_at(&map, 1).kind == SLOT_NEVER_HAD);
    log_map_deinit(&map);
    wal_abandon(w);
    fake_disk_destroy(d);
}

TEST(log_map, types_of_entries_and_records_fit)
{
    for (int t = ENTRY_COMMAND; t <= ENTRY_CHANGE; t++) {
        enum entry_type type = (enum entry_type)t;
        EXPECT(log_map_entry_type(log_map_wal_type(type)) == type);
    }
}
