/* SPDX-License-Identifier: Apache-2.0 */
/* The local WAL without damage, its answer to damage step by step, and random
 * work. Damage x recovery mode is in test_wal_recovery_table.c. */
#include <stdlib.h>

#include "base/random.h"
#include "wal/test/local_log.h"

static void flip_payload(void)
{
    fake_disk_flip_bit(f.disk, fixture_segment(3), offset_of(7) + 300, 2);
}

/* --- without damage --- */

TEST(wal_local, a_torn_tail_is_dropped_except_under_absolute_consistency)
{
    for (int mode = 0; mode <= 3; mode++) {
        fixture_init(&f, WAL_LOCAL);
        f.options.recovery_mode = (enum wal_recovery_mode)mode;
        REQUIRE_OK(fixture_open(&f));
        append(0);
        append(1);
        REQUIRE_OK(fixture_append(&f, index_of(2), 0, 2000));
        bool keep[16] = {true, false, true, true};
        REQUIRE(fake_disk_pending(f.disk) <= 16);
        fake_disk_power_fail_keep(f.disk, keep, 0);
        fixture_abandon(&f);
        if (mode == WAL_ABSOLUTE_CONSISTENCY) {
            EXPECT_ERR(fixture_open(&f), ERR_CORRUPT);
            EXPECT_CONTAINS(f.err.text, "incomplete record");
        } else {
            EXPECT_OK(fixture_open(&f));
            EXPECT_UINT(wal_index_last(f.wal), index_of(1));
            EXPECT(f.report.records_torn > 0);
        }
        fixture_deinit(&f);
    }
}

TEST(wal_local, indexes_may_skip_and_a_read_finds_the_next)
{
    fixture_init(&f, WAL_LOCAL);
    REQUIRE_OK(fixture_open(&f));
    append(0);
    append(5);
    append(9);
    struct wal_entry entry;
    size_t count;
    EXPECT_UINT(wal_index_first(f.wal), index_of(0));
    REQUIRE_OK(wal_read(f.wal, index_of(0) + 1, 1, SIZE_MAX, &f.storage, &entry, &count, &f.err));
    EXPECT_UINT(count, 1);
    EXPECT_UINT(entry.index, index_of(5));
    REQUIRE_OK(wal_cut(f.wal, index_of(6), 0, &f.err));
    EXPECT_UINT(wal_index_first(f.wal), index_of(9));
    REQUIRE_OK(fixture_close_and_open(&f));
    EXPECT_UINT(wal_index_first(f.wal), index_of(9));
    EXPECT_UINT(wal_index_last(f.wal), index_of(9));
    REQUIRE_OK(wal_cut(f.wal, index_of(9), 0, &f.err));
    REQUIRE_OK(fixture_kill_and_open(&f));
    EXPECT_UINT(wal_index_last(f.wal), index_of(9));
    append(10);
    REQUIRE_OK(fixture_kill_and_open(&f));
    EXPECT_UINT(wal_index_last(f.wal), index_of(10));
    EXPECT_UINT(wal_index_first(f.wal), index_of(10));
    fixture_deinit(&f);
}

TEST(wal_local, a_dropped_log_goes_on_in_the_next_timeline)
{
    build();
    restore();
    flip_payload();
    f.options.recovery_mode = WAL_POINT_IN_TIME_RECOVERY;
    REQUIRE_OK(fixture_open(&f));
    EXPECT(fake_disk_has(f.disk, "log/000000020000000000000006"));
    EXPECT(fake_disk_has(f.disk, "log/lost/000000010000000000000003"));
    EXPECT(fake_disk_has(f.disk, "log/lost/000000010000000000000005"));
    EXPECT(!fake_disk_has(f.disk, "log/lost/000000010000000000000002"));
    /* The copy is what was there, damage and all. */
    static uint8_t was[FIXTURE_SEGMENT_SIZE];
    static uint8_t is[FIXTURE_SEGMENT_SIZE];
    (void)fake_disk_peek(f.disk, fixture_segment(3), 0, was, sizeof was);
    (void)fake_disk_peek(f.disk, "log/lost/000000010000000000000003", 0, is, sizeof is);
    EXPECT(memcmp(was, is, sizeof is) == 0);
    destroy();
}

TEST(wal_local, an_answer_to_damage_survives_a_crash_at_every_call)
{
    build();
    int want = 2 * PER_SEGMENT + 7;
    keep_range(0, want, true);
    f.options.recovery_mode = WAL_POINT_IN_TIME_RECOVERY;
    uint64_t calls = UINT64_MAX;
    for (uint64_t stop = 0; stop <= calls; stop++) {
        restore();
        flip_payload();
        uint64_t before = fake_disk_calls(f.disk);
        if (calls != UINT64_MAX || stop > 0) {
            fake_disk_stop_after(f.disk, stop == 0 ? 0 : stop - 1);
        }
        enum err_code code = fixture_open(&f);
        if (calls == UINT64_MAX && stop == 0) {
            calls = fake_disk_calls(f.disk) - before + 1;
        }
        fake_disk_clear_faults(f.disk);
        fake_disk_power_fail_lose_all(f.disk);
        fixture_abandon(&f);
        (void)code;
        REQUIRE_OK(fixture_open(&f));
        EXPECT_INT(count_kept(want), want);
        fixture_abandon(&f);
    }
    destroy();
}

/* --- random work, crashes, one flipped bit --- */

enum { RANDOM_ENTRIES_MAX = 600 };

struct history {
    struct random random;
    uint64_t indexes[RANDOM_ENTRIES_MAX];
    size_t sizes[RANDOM_ENTRIES_MAX];
    int written;
    int acked;
    bool damaged;
};

static struct history h;

static bool try_append(void)
{
    uint64_t last = h.written == 0 ? 0 : h.indexes[h.written - 1];
    h.indexes[h.written] = last + 1 + random_below(&h.random, 5);
    h.sizes[h.written] = 8 + random_below(&h.random, 1200);
    enum err_code code = fixture_append(&f, h.indexes[h.written], 0, h.sizes[h.written]);
    h.written++;
    return code == ERR_OK;
}

static void random_work(void)
{
    if (random_chance(&h.random, 1, 2)) {
        fake_disk_stop_after(f.disk, random_below(&h.random, 60));
    }
    int left = 4 + (int)random_below(&h.random, 40);
    while (left-- > 0 && h.written + 1 < RANDOM_ENTRIES_MAX) {
        if (!try_append()) {
            return;
        }
        bool mark = random_chance(&h.random, 1, 8);
        if (mark || random_chance(&h.random, 1, 2)) {
            if ((mark ? wal_mark(f.wal, 0, &f.err) : wal_sync(f.wal, &f.err)) != ERR_OK) {
                return;
            }
            h.acked = h.written;
        }
    }
}

static void random_crash(void)
{
    fake_disk_clear_faults(f.disk);
    if (random_chance(&h.random, 1, 2)) {
        fake_disk_power_fail(f.disk, &h.random);
    } else {
        fake_disk_kill(f.disk);
    }
    fixture_abandon(&f);
}

static void random_damage(void)
{
    const char *path = fixture_segment(1 + random_below(&h.random, f.extent.segment_last));
    uint64_t at = wal_segment_records_at(FIXTURE_SEGMENT_SIZE);
    fake_disk_flip_bit(f.disk, path, at + random_below(&h.random, FIXTURE_SEGMENT_SIZE - at), 3);
    h.damaged = true;
}

/* How many of the entries written are held, from the first on; -1: something else. */
static int prefix_held(void)
{
    int n = 0;
    uint64_t at = 1;
    for (;;) {
        struct wal_entry entry;
        size_t got;
        if (wal_read(f.wal, at, 1, SIZE_MAX, &f.storage, &entry, &got, &f.err) != ERR_OK) {
            return -1;
        }
        if (got == 0) {
            return n;
        }
        if (n >= h.written || entry.index != h.indexes[n] ||
            !bytes_equal(entry.payload, fixture_payload(&f, entry.index, 0, h.sizes[n]))) {
            return -1;
        }
        at = entry.index + 1;
        n++;
    }
}

static bool random_run(uint64_t seed)
{
    h = (struct history){.random = random_seeded(seed)};
    fixture_init(&f, WAL_LOCAL);
    bool good = fixture_open(&f) == ERR_OK;
    for (int cycle = 0; good && cycle < 8; cycle++) {
        random_work();
        random_crash();
        if (cycle == 5) {
            random_damage();
        }
        good = fixture_open(&f) == ERR_OK;
        int held = good ? prefix_held() : -1;
        /* Less than what was acknowledged: only with damage, and never silently. */
        good = held >= h.acked || (held >= 0 && h.damaged &&
                                   (f.report.stopped_at_damage || f.report.records_torn > 0));
        good = good && held <= h.written;
        h.written = held;
        h.acked = held;
    }
    fixture_deinit(&f);
    return good;
}

TEST(wal_local, random_crashes_and_a_flipped_bit_leave_a_prefix)
{
    const char *rounds = getenv("TIDEMARK_ROUNDS");
    uint64_t count = rounds != NULL && strcmp(rounds, "full") == 0 ? 20000 : 400;
    for (uint64_t seed = 1; seed <= count; seed++) {
        if (!random_run(seed)) {
            (void)printf("\n    seed %llu: %d written, %d acknowledged: %s",
                         (unsigned long long)seed, h.written, h.acked, f.err.text);
            EXPECT(false);
            return;
        }
    }
    EXPECT(count > 0);
}
