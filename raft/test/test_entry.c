/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/entry.h"

#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "testkit/test.h"

TEST(entry, holds_a_copy_of_its_payload)
{
    char text[] = "speed=12";
    struct entry *e = entry_new(ENTRY_COMMAND, 7, 3, bytes_str(text));
    text[0] = 'x';
    EXPECT_UINT(e->index, 7);
    EXPECT_UINT(e->term, 3);
    EXPECT_UINT(e->type, ENTRY_COMMAND);
    EXPECT_UINT(entry_payload(e).size, 8);
    EXPECT_MEM(entry_payload(e).data, "speed=12", 8);
    entry_unref(e);
}

TEST(entry, is_freed_with_its_last_reference)
{
    size_t before = mem_in_use();
    struct entry *e = entry_new(ENTRY_COMMAND, 1, 1, bytes_of("0123456789abcdef", 16));
    EXPECT(mem_in_use() > before);
    EXPECT(entry_ref(e) == e);
    entry_unref(e);
    EXPECT_MEM(entry_payload(e).data, "0123456789abcdef", 16);
    entry_unref(e);
    EXPECT_UINT(mem_in_use(), before);
}

TEST(entry, may_be_filled_by_its_maker_before_it_is_shared)
{
    struct entry *e = entry_new(ENTRY_COMMAND, 1, 1, bytes_of(NULL, 1000));
    memset(e->payload, 0x5a, e->size);
    EXPECT_UINT(entry_payload(e).size, 1000);
    EXPECT_UINT(entry_payload(e).data[999], 0x5a);
    entry_unref(e);
}

TEST(entry, may_be_empty_or_nothing)
{
    struct entry *e = entry_new(ENTRY_BARRIER, 2, 5, (struct bytes){0});
    EXPECT_UINT(entry_payload(e).size, 0);
    entry_unref(e);
    entry_unref(NULL);
}

static void make_too_large(void *arg)
{
    (void)arg;
    entry_unref(entry_new(ENTRY_COMMAND, 1, 1, bytes_of(NULL, LIMIT_ENTRY_SIZE_MAX + 1)));
}

TEST(entry, above_its_limit_is_a_bug)
{
    EXPECT_DIES(make_too_large, NULL, "payload.size <= LIMIT_ENTRY_SIZE_MAX");
}
