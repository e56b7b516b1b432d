/* SPDX-License-Identifier: Apache-2.0 */
/* A short trace of work, crashed at every call of the disk, with every kind of
 * loss of what was not synced; and failed at the n-th call of each kind. */
#include "testkit/test.h"
#include "wal/test/random_run.h"

static struct rl r;
static struct rl_totals totals;

static bool full(void)
{
    const char *rounds = getenv("TIDEMARK_ROUNDS");
    return rounds != NULL && strcmp(rounds, "full") == 0;
}

static void init(uint64_t seed)
{
    const struct rl_options options = {.seed = seed, .fault = RL_NONE, .totals = &totals};
    rl_init(&r, &options);
}

static void deinit(void)
{
    wal_abandon(r.wal);
    r.wal = NULL;
    fake_disk_destroy(r.disk);
}

/* Always the same work for one seed: some of everything, until a call fails. */
static void work(unsigned operations)
{
    if (rl_try_open(&r) != ERR_OK) {
        r.broken = true;
    }
    for (unsigned i = 0; i < operations && !r.broken; i++) {
        switch (i % 8) {
        case 0:
        case 2:
        case 5:
            rl_batch(&r);
            break;
        case 1:
            rl_idle(&r);
            break;
        case 3:
            rl_advance_commit(&r);
            rl_prepare(&r);
            break;
        case 4:
            rl_append(&r, r.live.last + 1, 8, ++r.term);
            rl_ack(&r);
            break;
        case 6:
            rl_rotate(&r);
            if (!r.broken) {
                rl_cut(&r);
            }
            break;
        default:
            rl_ack(&r);
            break;
        }
    }
    if (!r.broken) {
        rl_close(&r);
    }
}

static bool opens_right(bool exact)
{
    static struct rl_view view;
    static struct rl_state state;
    if (rl_try_open(&r) != ERR_OK) {
        return rl_fail(&r, "open refuses: %s", r.err.text);
    }
    return rl_look(&r, &view) && rl_judge(&r, &view, exact, &state) == RL_RIGHT;
}

/* --- crashes --- */

struct losses {
    bool *keep;
    uint64_t count;
    uint64_t names;
    struct random random;
};

/* Variant 0: nothing is kept, 1: everything, then each sector alone, then subsets. */
static void choose(struct losses *l, uint64_t variant)
{
    for (uint64_t i = 0; i < l->count; i++) {
        if (variant < 2) {
            l->keep[i] = variant == 1;
        } else if (variant < 2 + l->count) {
            l->keep[i] = i == variant - 2;
        } else {
            l->keep[i] = random_chance(&l->random, 1, 2);
        }
    }
}

static unsigned try_losses(uint64_t stop, unsigned subsets)
{
    struct fake_disk_image *image = fake_disk_snapshot(r.disk);
    const struct wal_extent extent = r.extent;
    bool made = r.extent_made;
    struct losses l = {.count = fake_disk_pending(r.disk),
                       .names = fake_disk_pending_names(r.disk),
                       .random = random_seeded(stop)};
    l.keep = mem_array(l.count + 1, sizeof *l.keep);
    unsigned bad = 0;
    for (uint64_t variant = 0; variant < 2 + l.count + subsets && bad == 0; variant++) {
        fake_disk_restore(r.disk, image);
        r.extent = extent;
        r.extent_made = made;
        choose(&l, variant);
        uint64_t names = variant % 3 == 0 ? 0 : variant % 3 == 1 ? l.names : l.names / 2;
        fake_disk_power_fail_keep(r.disk, l.keep, names);
        if (!opens_right(true)) {
            (void)printf("\n    call %" PRIu64 " variant %" PRIu64 " of %" PRIu64
                         " sectors, %" PRIu64 " of %" PRIu64 " names: %s",
                         stop, variant, l.count, names, l.names, r.why);
            bad++;
        }
        wal_abandon(r.wal);
        r.wal = NULL;
    }
    mem_free(l.keep);
    fake_disk_image_free(image);
    return bad;
}

static unsigned crash_at_every_call(uint64_t seed, unsigned operations, unsigned subsets)
{
    init(seed);
    work(operations);
    REQUIRE(r.wal == NULL);
    uint64_t calls = fake_disk_calls(r.disk);
    uint64_t segments = r.extent.segment_last;
    deinit();
    EXPECT(calls > 100);
    EXPECT(segments > 2);
    (void)printf("%" PRIu64 " calls, %u segments ", calls, (unsigned)segments);
    unsigned bad = 0;
    for (uint64_t stop = 0; stop <= calls && bad == 0; stop++) {
        init(seed);
        fake_disk_stop_after(r.disk, stop);
        work(operations);
        wal_abandon(r.wal);
        r.wal = NULL;
        fake_disk_clear_faults(r.disk);
        bad += try_losses(stop, subsets);
        deinit();
    }
    return bad;
}

TEST(wal_crash, every_call_and_every_loss_leaves_what_was_acknowledged)
{
    EXPECT_UINT(crash_at_every_call(7, full() ? 200 : 60, full() ? 64 : 16), 0);
}

TEST(wal_crash, other_work_too)
{
    EXPECT_UINT(crash_at_every_call(11, full() ? 200 : 40, full() ? 64 : 16), 0);
}

/* --- calls that fail --- */

/* How many calls of the kind the work makes. */
static unsigned fail_each(enum fake_disk_call call, enum err_code code, unsigned operations)
{
    unsigned failed = 0;
    for (uint64_t nth = 1;; nth++) {
        init(3);
        fake_disk_fail(r.disk, (struct fake_disk_fault){.call = call, .nth = nth, .code = code});
        work(operations);
        bool seen = fake_disk_faults_seen(r.disk) > 0;
        rl_crash(&r);
        if (!opens_right(true)) {
            (void)printf("\n    %u, call %" PRIu64 ": %s", (unsigned)call, nth, r.why);
            EXPECT(false);
        }
        deinit();
        if (!seen) {
            return failed;
        }
        failed++;
    }
}

TEST(wal_crash, an_error_of_any_call_loses_nothing_acknowledged)
{
    for (unsigned call = 0; call < FAKE_DISK_CALL_COUNT; call++) {
        unsigned failed = fail_each((enum fake_disk_call)call, ERR_IO, full() ? 200 : 40);
        bool used = call != FAKE_DISK_RMDIR && call != FAKE_DISK_LOCK && call != FAKE_DISK_SPACE &&
                    call != FAKE_DISK_RESIZE && call != FAKE_DISK_UNLINK;
        EXPECT(!used || failed > 0);
    }
}

TEST(wal_crash, a_full_disk_at_any_call_loses_nothing_acknowledged)
{
    static const enum fake_disk_call calls[] = {FAKE_DISK_OPEN, FAKE_DISK_WRITE, FAKE_DISK_MKDIR,
                                                FAKE_DISK_RENAME};
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        EXPECT(fail_each(calls[i], ERR_NO_SPACE, full() ? 200 : 40) > 0);
    }
}

TEST(wal_crash, a_failed_sync_that_kept_a_part_loses_nothing_acknowledged)
{
    for (uint64_t done = 1; done < (full() ? 64U : 12U); done += 3) {
        for (uint64_t nth = 1; nth < 40; nth++) {
            init(5);
            fake_disk_fail(r.disk,
                           (struct fake_disk_fault){
                               .call = FAKE_DISK_SYNC, .nth = nth, .code = ERR_IO, .done = done});
            work(40);
            fake_disk_clear_faults(r.disk);
            wal_abandon(r.wal);
            r.wal = NULL;
            fake_disk_kill(r.disk);
            fake_disk_evict(r.disk);
            EXPECT(opens_right(true));
            deinit();
        }
    }
}
