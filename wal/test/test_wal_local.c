/* SPDX-License-Identifier: Apache-2.0 */
/* The local WAL: damage x recovery mode, and what follows after each answer. */
#include <stdlib.h>

#include "base/random.h"
#include "wal/test/wal_fixture.h"

enum { SEGMENTS = 5, SIZE = 900, STEP = 3, REFUSED = -1 };

static struct fixture f;
static struct fake_disk_image *image; /* of a whole log, stopped cleanly */
static struct wal_extent image_extent;
static int total;       /* entries in it */
static int per_segment; /* in each of the first four */

static uint64_t index_of(int n) /* of the n-th entry, from 0 */
{
    return 10 + (uint64_t)n * STEP;
}

static void append(int n)
{
    REQUIRE_OK(fixture_append(&f, index_of(n), 0, SIZE));
    REQUIRE_OK(wal_sync(f.wal, &f.err));
}

static void build(void)
{
    fixture_init(&f, WAL_LOCAL);
    REQUIRE_OK(fixture_open(&f));
    total = 0;
    per_segment = 0;
    while (f.extent.segment_last < SEGMENTS) {
        append(total++);
        if (f.extent.segment_last == 1) {
            per_segment = total;
        }
    }
    for (int i = 0; i < per_segment / 2; i++) {
        append(total++);
    }
    REQUIRE_OK(wal_close(f.wal, &f.err));
    f.wal = NULL;
    image = fake_disk_snapshot(f.disk);
    image_extent = f.extent;
}

static void destroy(void)
{
    fixture_deinit(&f);
    fake_disk_image_free(image);
}

static uint64_t offset_of(int in_segment)
{
    return fixture_offset((uint64_t)in_segment, SIZE);
}

/* How many entries read back; they must be the n-th ones that 'kept' says. */
static int count_kept(const bool *kept, int n_max)
{
    int count = 0;
    uint64_t at = 1;
    for (int n = 0; n < n_max; n++) {
        if (!kept[n]) {
            continue;
        }
        struct wal_entry entry;
        size_t got;
        REQUIRE_OK(wal_read(f.wal, at, 1, SIZE_MAX, &f.storage, &entry, &got, &f.err));
        if (got == 0) {
            return count;
        }
        EXPECT_UINT(entry.index, index_of(n));
        EXPECT(bytes_equal(entry.payload, fixture_payload(&f, index_of(n), 0, SIZE)));
        at = entry.index + 1;
        count++;
    }
    struct wal_entry more;
    size_t got;
    EXPECT_OK(wal_read(f.wal, at, 1, SIZE_MAX, &f.storage, &more, &got, &f.err));
    EXPECT_UINT(got, 0);
    return count;
}

static bool kept[4096];

static void keep_range(int from, int to, bool value)
{
    for (int n = from; n < to; n++) {
        kept[n] = value;
    }
}

struct damage {
    const char *name;
    void (*make)(void);
    int lost_from; /* entries lost themselves: [lost_from, lost_to) */
    int lost_to;
    bool at_end; /* nothing whole behind it, in the last segment */
};

static void restore(const struct damage *d)
{
    fake_disk_restore(f.disk, image);
    f.extent = image_extent;
    if (d->make != NULL) {
        d->make();
    }
}

/* What a mode should keep of the damage; REFUSED, or a count with 'kept' set. */
static int expected(const struct damage *d, enum wal_recovery_mode mode)
{
    bool lost = d->lost_to > d->lost_from;
    keep_range(0, total, true);
    if (!lost) {
        return total;
    }
    switch (mode) {
    case WAL_TOLERATE_CORRUPTED_TAIL_RECORDS:
        if (!d->at_end) {
            return REFUSED;
        }
        break;
    case WAL_ABSOLUTE_CONSISTENCY:
        return REFUSED;
    case WAL_POINT_IN_TIME_RECOVERY:
        break;
    case WAL_SKIP_ANY_CORRUPTED_RECORDS:
        keep_range(d->lost_from, d->lost_to, false);
        return total - (d->lost_to - d->lost_from);
    }
    keep_range(d->lost_from, total, false);
    return d->lost_from;
}

/* New writes follow, and a crash; the log opens again, in every mode. */
static void goes_on(int before, enum wal_recovery_mode mode)
{
    int next = mode == WAL_SKIP_ANY_CORRUPTED_RECORDS ? total : before;
    uint64_t last = wal_index_last(f.wal);
    REQUIRE(last < index_of(next));
    keep_range(next, next + 3, true);
    for (int n = next; n < next + 3; n++) {
        append(n);
    }
    for (int m = 0; m <= 3; m++) {
        f.options.recovery_mode = (enum wal_recovery_mode)m;
        REQUIRE_OK(fixture_kill_and_open(&f));
        EXPECT_INT(count_kept(kept, next + 3), before + 3);
        size_t holes;
        (void)wal_holes(f.wal, &holes);
        EXPECT_UINT(holes, 0);
    }
}

static void try_mode(const struct damage *d, enum wal_recovery_mode mode)
{
    restore(d);
    f.options.recovery_mode = mode;
    int want = expected(d, mode);
    enum err_code code = fixture_open(&f);
    if (want == REFUSED) {
        EXPECT_INT(code, ERR_CORRUPT);
        EXPECT_CONTAINS(f.err.text, "segment 0000000100000000");
        EXPECT_CONTAINS(f.err.text, "offset");
        fixture_abandon(&f);
        return;
    }
    REQUIRE_INT(code, ERR_OK);
    EXPECT_INT(count_kept(kept, total), want);
    bool lost = d->lost_to > d->lost_from;
    bool dropped = lost && mode != WAL_SKIP_ANY_CORRUPTED_RECORDS;
    EXPECT_INT(f.report.stopped_at_damage, dropped);
    EXPECT_UINT(f.report.records_dropped, dropped ? (uint64_t)(total - d->lost_to) : 0);
    if (dropped && total > d->lost_to) {
        EXPECT_UINT(f.report.index_dropped_first, index_of(d->lost_to));
        EXPECT_UINT(f.report.index_dropped_last, index_of(total - 1));
    }
    EXPECT_INT(fake_disk_has(f.disk, "log/lost"), lost);
    goes_on(want, mode);
    fixture_abandon(&f);
}

static void try_all(const struct damage *d)
{
    for (int mode = 0; mode <= 3; mode++) {
        try_mode(d, (enum wal_recovery_mode)mode);
    }
}

/* --- the damage of rocksdb's table, as this log meets it --- */

TEST(wal_local, opens_a_whole_log_in_every_mode)
{
    build();
    try_all(&(struct damage){.name = "none"});
    destroy();
}

static void flip_last(void)
{
    fake_disk_flip_bit(f.disk, fixture_segment(SEGMENTS),
                       offset_of(total - 4 * per_segment - 1) + 300, 2);
}

TEST(wal_local, a_flipped_bit_in_the_last_record_is_damage_at_the_end)
{
    build();
    try_all(&(struct damage){
        .make = flip_last, .lost_from = total - 1, .lost_to = total, .at_end = true});
    destroy();
}

static void zero_last(void)
{
    fake_disk_zero(f.disk, fixture_segment(SEGMENTS), offset_of(total - 4 * per_segment - 1),
                   wal_record_span(SIZE));
}

TEST(wal_local, a_last_record_of_zeros_is_no_end_of_the_log)
{
    build();
    try_all(&(struct damage){
        .make = zero_last, .lost_from = total - 1, .lost_to = total, .at_end = true});
    destroy();
}

static void flip_in_last_segment(void)
{
    fake_disk_flip_bit(f.disk, fixture_segment(SEGMENTS), offset_of(3) + 300, 2);
}

TEST(wal_local, a_flipped_bit_in_the_last_segment)
{
    build();
    try_all(&(struct damage){.make = flip_in_last_segment,
                             .lost_from = 4 * per_segment + 3,
                             .lost_to = 4 * per_segment + 4});
    destroy();
}

static void flip_payload(void)
{
    fake_disk_flip_bit(f.disk, fixture_segment(3), offset_of(7) + 300, 2);
}

TEST(wal_local, a_flipped_bit_in_a_middle_segment_costs_one_record)
{
    build();
    try_all(&(struct damage){
        .make = flip_payload, .lost_from = 2 * per_segment + 7, .lost_to = 2 * per_segment + 8});
    destroy();
}

static void flip_length(void)
{
    fake_disk_flip_bit(f.disk, fixture_segment(3), offset_of(7) + 13, 5);
}

TEST(wal_local, a_flipped_length_does_not_look_like_an_end)
{
    build();
    try_all(&(struct damage){
        .make = flip_length, .lost_from = 2 * per_segment + 7, .lost_to = 2 * per_segment + 8});
    destroy();
}

static void flip_header_without_identifiers(void)
{
    fake_disk_zero(f.disk, fixture_segment(3), WAL_SEGMENT_HEADER_SIZE,
                   2 * WAL_IDENTIFIER_PAGE_SIZE);
    flip_length();
}

TEST(wal_local, a_lost_header_without_identifier_costs_one_record_too)
{
    build();
    try_all(&(struct damage){.make = flip_header_without_identifiers,
                             .lost_from = 2 * per_segment + 7,
                             .lost_to = 2 * per_segment + 8});
    destroy();
}

static void zero_record(void)
{
    fake_disk_zero(f.disk, fixture_segment(3), offset_of(7), wal_record_span(SIZE));
}

TEST(wal_local, a_zeroed_record_is_noticed)
{
    build();
    try_all(&(struct damage){
        .make = zero_record, .lost_from = 2 * per_segment + 7, .lost_to = 2 * per_segment + 8});
    destroy();
}

static void remove_third(void)
{
    fake_disk_remove(f.disk, fixture_segment(3));
}

TEST(wal_local, a_missing_middle_segment_is_noticed)
{
    build();
    try_all(&(struct damage){
        .make = remove_third, .lost_from = 2 * per_segment, .lost_to = 3 * per_segment});
    destroy();
}

static void remove_first(void)
{
    fake_disk_remove(f.disk, fixture_segment(1));
}

TEST(wal_local, a_missing_first_segment_is_noticed)
{
    build();
    try_all(&(struct damage){.make = remove_first, .lost_from = 0, .lost_to = per_segment});
    destroy();
}

static void remove_last(void)
{
    fake_disk_remove(f.disk, fixture_segment(SEGMENTS));
}

TEST(wal_local, a_missing_last_segment_is_no_torn_tail)
{
    build();
    try_all(&(struct damage){.make = remove_last, .lost_from = 4 * per_segment, .lost_to = total});
    destroy();
}

static void cut_in_record(void)
{
    fake_disk_truncate(f.disk, fixture_segment(3), offset_of(7) + 200);
}

TEST(wal_local, a_segment_that_ends_inside_a_record_is_noticed)
{
    build();
    try_all(&(struct damage){
        .make = cut_in_record, .lost_from = 2 * per_segment + 7, .lost_to = 3 * per_segment});
    destroy();
}

static void cut_on_boundary(void)
{
    fake_disk_truncate(f.disk, fixture_segment(3), offset_of(7));
}

TEST(wal_local, a_segment_that_ends_between_records_is_noticed)
{
    build();
    try_all(&(struct damage){
        .make = cut_on_boundary, .lost_from = 2 * per_segment + 7, .lost_to = 3 * per_segment});
    destroy();
}

static void cut_to_nothing(void)
{
    fake_disk_truncate(f.disk, fixture_segment(3), 0);
}

TEST(wal_local, an_empty_segment_is_noticed)
{
    build();
    try_all(&(struct damage){
        .make = cut_to_nothing, .lost_from = 2 * per_segment, .lost_to = 3 * per_segment});
    destroy();
}

static void repeat_record(void)
{
    fake_disk_misdirect(f.disk, (struct fake_disk_place){fixture_segment(3), offset_of(6)},
                        (struct fake_disk_place){fixture_segment(3), offset_of(7)},
                        wal_record_span(SIZE));
}

TEST(wal_local, a_record_in_the_place_of_another_is_damage)
{
    build();
    try_all(&(struct damage){
        .make = repeat_record, .lost_from = 2 * per_segment + 7, .lost_to = 2 * per_segment + 8});
    destroy();
}

static void replace_third_by_second(void)
{
    char to[64];
    memcpy(to, fixture_segment(3), sizeof to);
    fake_disk_misdirect(f.disk, (struct fake_disk_place){fixture_segment(2), 0},
                        (struct fake_disk_place){to, 0}, FIXTURE_SEGMENT_SIZE);
}

TEST(wal_local, a_copy_of_another_segment_is_damage)
{
    build();
    try_all(&(struct damage){
        .make = replace_third_by_second, .lost_from = 2 * per_segment, .lost_to = 3 * per_segment});
    destroy();
}

static void unreadable(void)
{
    fake_disk_read_error(f.disk, fixture_segment(3), (offset_of(7) + 511) / 512 * 512, 512);
}

TEST(wal_local, a_read_error_is_damage)
{
    build();
    try_all(&(struct damage){
        .make = unreadable, .lost_from = 2 * per_segment + 7, .lost_to = 2 * per_segment + 8});
    destroy();
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
    restore(&(struct damage){.make = flip_payload});
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
    const struct damage d = {.make = flip_payload};
    int want = 2 * per_segment + 7;
    keep_range(0, want, true);
    f.options.recovery_mode = WAL_POINT_IN_TIME_RECOVERY;
    uint64_t calls = UINT64_MAX;
    for (uint64_t stop = 0; stop <= calls; stop++) {
        restore(&d);
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
        EXPECT_INT(count_kept(kept, want), want);
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
