/* SPDX-License-Identifier: Apache-2.0 */
#include "tsdb/large_change.h"

#include "base/check.h"

enum large_verdict large_change_add(struct large_change *l, const struct command_part *part,
                                    uint64_t index, uint64_t term)
{
    CHECK(index > 0);
    CHECK(part->place < part->count);
    bool follows = part->place == l->next && part->count == l->count && index == l->index + 1 &&
                   term == l->term;
    if (part->place == 0) {
        large_change_drop(l);
        l->count = part->count;
        l->term = term;
    } else if (!follows) {
        large_change_drop(l);
        return LARGE_VOID;
    }
    buf_put_bytes(&l->bytes, part->piece);
    l->index = index;
    l->next = part->place + 1;
    CHECK(l->bytes.size <= (size_t)COMMAND_PARTS_MAX * COMMAND_PART_SIZE_MAX);
    return l->next == l->count ? LARGE_WHOLE : LARGE_MORE;
}

void large_change_drop(struct large_change *l)
{
    buf_deinit(&l->bytes);
    *l = (struct large_change){0};
}
