/* SPDX-License-Identifier: Apache-2.0 */
/* Every clause of safety.md C on a few nodes: what it allows, what it forbids,
 * and, with the clause weakened, what goes wrong. */
#include "raft/test/repair_weakened.h"

#include "raft/test/repair_lab.h"
#include "testkit/test.h"

/* The node's log is this. */
#define EXPECT_LOG(lab, number, text) expect_log((lab), (number), (text), TEST_HERE(false))

static void expect_log(const struct lab *lab, size_t number, const char *want,
                       struct test_place place)
{
    char *text = lab_text(lab, number);
    test_str(text, want, "log", place);
    mem_free(text);
}

/* ---- C1 ---- */

TEST(repair, a_damaged_entry_is_filled_from_whoever_has_it_whole)
{
    struct lab *lab = lab_open(3);
    lab_log(lab, 0, "1 1! 2");
    lab_log(lab, 1, "1 1! 2");
    lab_log(lab, 2, "1 1 2");
    lab_run(lab);
    EXPECT(lab_is_done(lab));
    EXPECT_LOG(lab, 0, "1 1 2");
    EXPECT_LOG(lab, 1, "1 1 2");
    EXPECT_UINT(lab->nodes[0].term, 2);
    EXPECT_UINT(lab->nodes[2].term, 2);
    lab_close(lab);
}
