/* SPDX-License-Identifier: Apache-2.0 */
/* The local WAL of a node that commits through Raft is a copy (safety.md D2): damage of
 * it costs nothing, and it is filled again. With three nodes in cluster-tests. */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "node/test/solo.h"
#include "testkit/fake_disk_damage.h"
#include "testkit/test.h"
#include "wal/wal_inspect.h"

enum { CHANGES = 12, ENTRIES_MAX = 200, SEGMENT_SIZE = 64 * 1024, EVER_MS = 3000 };

/* Which entries the local WAL holds. */
struct held {
    uint64_t indexes[ENTRIES_MAX];
    uint64_t lsns[ENTRIES_MAX];
    size_t count;
    bool data; /* one of them is no metadata */
};

static bool note_slot(void *context, const struct wal_view *view)
{
    struct held *h = context;
    bool metadata = strcmp(view->kind, "metadata") == 0;
    if (view->state == WAL_SLOT_HELD && (metadata || strcmp(view->kind, "command") == 0)) {
        REQUIRE(h->count < ENTRIES_MAX);
        h->indexes[h->count] = view->index;
        h->lsns[h->count++] = view->lsn;
        h->data = h->data || !metadata;
    }
    return true;
}

static struct held look(struct solo *s)
{
    struct held h = {0};
    const struct wal_visitor visitor = {.slot = note_slot, .context = &h};
    struct wal_report report;
    struct err e;
    REQUIRE_OK(wal_inspect(fake_disk_io(s->disk), "/data/wal", &visitor, &report, &e));
    return h;
}

static void change_settings(struct solo *s)
{
    for (int i = 0; i < CHANGES; i++) {
        char value[16];
        (void)snprintf(value, sizeof value, "%dm", 60 + i);
        EXPECT_OK(solo_set(s, "ts.wal.checkpoint_interval", value));
        EXPECT_OK(solo_write(s, i + 1));
    }
}

static void damage(struct solo *s, uint64_t lsn)
{
    REQUIRE(lsn / SEGMENT_SIZE == 1);
    fake_disk_flip_bit(s->disk, "/data/wal/000000010000000000000001", lsn % SEGMENT_SIZE + 100, 1);
}

TEST(local_copy, a_copy_that_was_cut_short_is_filled_again)
{
    static const char *const modes[] = {"point_in_time_recovery", "skip_any_corrupted_records"};
    for (size_t m = 0; m < sizeof modes / sizeof modes[0]; m++) {
        struct solo s;
        test_context("%s", modes[m]);
        solo_open(&s, (struct solo_options){.wal_level = 3});
        solo_run(&s, 1500);
        EXPECT_OK(solo_make_table(&s));
        EXPECT_OK(solo_set(&s, "ts.wal.recovery_mode", modes[m]));
        change_settings(&s);
        solo_crash(&s, false);
        struct held before = look(&s);
        REQUIRE(before.count >= CHANGES);
        EXPECT(!before.data); /* level byrl: rows are in the Raft log alone */
        damage(&s, before.lsns[before.count / 2]);
        EXPECT_UINT(look(&s).count, before.count - 1);
        solo_start(&s);
        solo_run(&s, EVER_MS);
        EXPECT(storage_report(s.storage, STORAGE_LOCAL)->loss_found);
        EXPECT_INT(solo_count(&s), CHANGES);
        EXPECT(member_status(s.member).healthy);
        solo_crash(&s, true);
        struct held after = look(&s);
        REQUIRE(after.count >= before.count);
        for (size_t i = 0; i < before.count; i++) {
            EXPECT_UINT(after.indexes[i], before.indexes[i]);
        }
        EXPECT(!after.data);
        solo_close(&s);
    }
}

/* Whoever chose a strict mode wants to know. */
TEST(local_copy, a_strict_mode_refuses_a_damaged_copy)
{
    struct solo s;
    struct err e;
    solo_open(&s, (struct solo_options){.wal_level = 3});
    solo_run(&s, 1500);
    EXPECT_OK(solo_set(&s, "ts.wal.recovery_mode", "absolute_consistency"));
    EXPECT_OK(solo_make_table(&s));
    change_settings(&s);
    solo_crash(&s, false);
    struct held h = look(&s);
    damage(&s, h.lsns[h.count / 2]);
    EXPECT(!solo_try_start(&s, &e));
    EXPECT_CONTAINS(e.text, "the recovery mode refuses");
    solo_close(&s);
}
