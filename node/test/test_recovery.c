/* SPDX-License-Identifier: Apache-2.0 */
#include "node/recovery.h"

#include "testkit/test.h"

static struct recovery begun(void)
{
    struct recovery r;
    recovery_begin(&r, 5000, 70);
    return r;
}

TEST(recovery, says_what_is_left_how_fast_and_for_how_long)
{
    struct recovery r = begun();
    struct recovery_view v = recovery_look(&r, 5000);
    EXPECT_UINT(v.bytes_done, 0);
    EXPECT_UINT(v.bytes_per_second, 0);
    EXPECT_UINT(v.remaining_ms, 0);
    recovery_advance(&r, &(struct recovery_step){100, 300, 2100, 9, 4});
    recovery_advance(&r, &(struct recovery_step){300, 1100, 2100, 20, 11});
    v = recovery_look(&r, 5500);
    EXPECT_UINT(v.bytes_done, 1000);
    EXPECT_UINT(v.bytes_left, 1000);
    EXPECT_UINT(v.bytes_per_second, 2000);
    EXPECT_UINT(v.remaining_ms, 500);
    EXPECT_UINT(r.index, 20);
    EXPECT_UINT(r.entries, 15);
    EXPECT_STR(recovery_phase_name(r.phase), "redo");
}

TEST(recovery, keeps_its_figures_when_it_is_over)
{
    struct recovery r = begun();
    recovery_advance(&r, &(struct recovery_step){100, 1100, 1100, 9, 4});
    recovery_end(&r, 7000, 1);
    struct recovery_view v = recovery_look(&r, 999999);
    EXPECT_STR(recovery_phase_name(r.phase), "done");
    EXPECT_UINT(r.analysis_ms, 70);
    EXPECT_UINT(r.redo_ms, 2000);
    EXPECT_UINT(r.undone, 1);
    EXPECT_UINT(v.bytes_done, 1000);
    EXPECT_UINT(v.bytes_left, 0);
    EXPECT_UINT(v.bytes_per_second, 500);
}

TEST(recovery, the_log_hears_of_it_once_a_second)
{
    struct recovery r = begun();
    EXPECT(!recovery_line_due(&r, 5999));
    EXPECT(recovery_line_due(&r, 6000));
    EXPECT(!recovery_line_due(&r, 6999));
    EXPECT(recovery_line_due(&r, 7000));
    recovery_end(&r, 7000, 0);
    EXPECT(!recovery_line_due(&r, 9000));
}
