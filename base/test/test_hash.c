/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hash.h"

#include <string.h>

#include "testkit/test.h"

static bool same(struct hash128 a, struct hash128 b)
{
    return a.low == b.low && a.high == b.high;
}

/* They are in files: a library that computes others must fail here. The values
 * of no bytes are those that XXH3 publishes. */
TEST(hash, has_these_values_for_ever)
{
    char text[HASH128_TEXT_SIZE];
    EXPECT_UINT(hash64(bytes_of(NULL, 0)), UINT64_C(0x2d06800538d394c2));
    hash128_text(hash128(bytes_of(NULL, 0)), text);
    EXPECT_STR(text, "99aa06d3014798d86001c324468d497f");
    EXPECT_UINT(hash64(bytes_str("tidemark")), UINT64_C(0x1ad33d63e54a5581));
    hash128_text(hash128(bytes_str("tidemark")), text);
    EXPECT_STR(text, "4cee4796e60b0c9e327e5f0227a23053");
    hash128_text(hash128_chain((struct hash128){0, 0}, bytes_str("tidemark")), text);
    EXPECT_STR(text, "d665e960b7641077c9f43942cdc3b08e");
}

TEST(hash, text_is_the_high_half_first_and_padded)
{
    char text[HASH128_TEXT_SIZE];
    hash128_text((struct hash128){.low = 0xab, .high = 1}, text);
    EXPECT_STR(text, "000000000000000100000000000000ab");
}

TEST(hash, a_chain_depends_on_the_order_and_on_the_split)
{
    struct hash128 zero = {0, 0};
    struct hash128 ab = hash128_chain(hash128_chain(zero, bytes_str("a")), bytes_str("b"));
    struct hash128 ba = hash128_chain(hash128_chain(zero, bytes_str("b")), bytes_str("a"));
    struct hash128 once = hash128_chain(zero, bytes_str("ab"));
    struct hash128 padded = hash128_chain(hash128_chain(zero, bytes_str("ab")), bytes_str(""));
    EXPECT(!same(ab, ba));
    EXPECT(!same(ab, once));
    EXPECT(!same(once, padded));
    EXPECT(same(ab, hash128_chain(hash128_chain(zero, bytes_str("a")), bytes_str("b"))));
}
