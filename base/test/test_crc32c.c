/* SPDX-License-Identifier: Apache-2.0 */
#include "base/crc32c.h"

#include <string.h>

#include "base/random.h"
#include "testkit/test.h"

/* RFC 3720, B.4, and the check value of the catalogue of parametrised crcs. */
TEST(crc32c, has_the_published_values)
{
    uint8_t data[32];
    EXPECT_UINT(crc32c(0, "123456789", 9), 0xe3069283);
    memset(data, 0, sizeof data);
    EXPECT_UINT(crc32c(0, data, sizeof data), 0x8a9136aa);
    memset(data, 0xff, sizeof data);
    EXPECT_UINT(crc32c(0, data, sizeof data), 0x62a8ab43);
    for (size_t i = 0; i < sizeof data; i++) {
        data[i] = (uint8_t)i;
    }
    EXPECT_UINT(crc32c_bytes(bytes_of(data, sizeof data)), 0x46dd794e);
    for (size_t i = 0; i < sizeof data; i++) {
        data[i] = (uint8_t)(31 - i);
    }
    EXPECT_UINT(crc32c(0, data, sizeof data), 0x113fdb5c);
    EXPECT_UINT(crc32c_portable(0, data, sizeof data), 0x113fdb5c);
    EXPECT_UINT(crc32c(0, NULL, 0), 0);
    EXPECT_UINT(crc32c_portable(0, NULL, 0), 0);
}

/* Bit by bit, straight from the definition. */
static uint32_t crc32c_slow(uint32_t crc, const uint8_t *p, size_t size)
{
    crc = ~crc;
    for (size_t i = 0; i < size; i++) {
        crc ^= p[i];
        for (unsigned bit = 0; bit < 8; bit++) {
            crc = crc >> 1 ^ ((crc & 1) != 0 ? 0x82f63b78 : 0);
        }
    }
    return ~crc;
}

TEST(crc32c, all_ways_agree_at_every_size_and_alignment)
{
    struct random r = random_seeded(3);
    static uint8_t data[2000]; /* some of what is done at once, and any rest */
    for (size_t i = 0; i < sizeof data; i++) {
        data[i] = (uint8_t)random_u64(&r);
    }
    for (size_t offset = 0; offset < 9; offset++) {
        for (size_t size = 0; size + offset <= sizeof data; size += size < 160 ? 1 : 7) {
            uint32_t start = (uint32_t)random_u64(&r);
            uint32_t want = crc32c_slow(start, data + offset, size);
            EXPECT_UINT(crc32c(start, data + offset, size), want);
            EXPECT_UINT(crc32c_portable(start, data + offset, size), want);
        }
    }
}

TEST(crc32c, fast_and_portable_agree_on_large_inputs)
{
    static uint8_t data[100000];
    struct random r = random_seeded(4);
    for (size_t i = 0; i < sizeof data; i++) {
        data[i] = (uint8_t)random_u64(&r);
    }
    for (unsigned i = 0; i < 200; i++) {
        size_t offset = (size_t)random_below(&r, 5000);
        size_t size = (size_t)random_below(&r, sizeof data - offset);
        EXPECT_UINT(crc32c(0, data + offset, size), crc32c_portable(0, data + offset, size));
    }
}

TEST(crc32c, chains_over_any_split)
{
    const char *text = "the crc of a whole is the crc of its parts, chained";
    size_t size = strlen(text);
    uint32_t whole = crc32c(0, text, size);
    for (size_t i = 0; i <= size; i++) {
        EXPECT_UINT(crc32c(crc32c(0, text, i), text + i, size - i), whole);
        EXPECT_UINT(crc32c_portable(crc32c_portable(0, text, i), text + i, size - i), whole);
    }
}

TEST(crc32c, sees_every_flipped_bit)
{
    uint8_t data[64] = {1, 2, 3};
    uint32_t want = crc32c(0, data, sizeof data);
    for (size_t bit = 0; bit < 8 * sizeof data; bit++) {
        data[bit / 8] ^= (uint8_t)(1U << bit % 8);
        EXPECT(crc32c(0, data, sizeof data) != want);
        data[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
}
