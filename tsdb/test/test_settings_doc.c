/* SPDX-License-Identifier: Apache-2.0 */
#include "tsdb/settings_doc.h"

#include "io/io_posix.h"
#include "testkit/test.h"

TEST(settings_doc, the_manual_page_equals_the_table)
{
    struct buf want = {0};
    settings_doc(&want);
    struct buf have = {0};
    struct err e = {0};
    EXPECT_OK(
        io_read_file(io_posix(), TEST_DATA_DIR "/../../docs/settings.md", 1 << 20, &have, &e));
    EXPECT(bytes_equal(buf_bytes(&have), buf_bytes(&want)));
    EXPECT(want.size > 1000);
    buf_deinit(&want);
    buf_deinit(&have);
}
