/* SPDX-License-Identifier: Apache-2.0 */
#include "base/crc32c.h"

#include <stdbool.h>

#include "base/check.h"

#if defined(__x86_64__)
#include <nmmintrin.h>
#include <wmmintrin.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <arm_acle.h>
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

/* table[k][i] is the crc of byte i followed by k zero bytes. The crc is linear:
 * the entry of i is the sum of the entries of i's bits, so eight constants make
 * a row, and the compiler makes the table (read-only, no initialisation). */
#define BIT(i, n, entry) (((((unsigned)(i)) >> (n)) & 1U) * (entry))
#define E1(i, a, b, c, d, e, f, g, h)                                                              \
    (BIT(i, 0, a) ^ BIT(i, 1, b) ^ BIT(i, 2, c) ^ BIT(i, 3, d) ^ BIT(i, 4, e) ^ BIT(i, 5, f) ^     \
     BIT(i, 6, g) ^ BIT(i, 7, h))
#define E4(i, ...)                                                                                 \
    E1((i), __VA_ARGS__), E1((i) + 1, __VA_ARGS__), E1((i) + 2, __VA_ARGS__),                      \
        E1((i) + 3, __VA_ARGS__)
#define E16(i, ...)                                                                                \
    E4((i), __VA_ARGS__), E4((i) + 4, __VA_ARGS__), E4((i) + 8, __VA_ARGS__),                      \
        E4((i) + 12, __VA_ARGS__)
#define E64(i, ...)                                                                                \
    E16((i), __VA_ARGS__), E16((i) + 16, __VA_ARGS__), E16((i) + 32, __VA_ARGS__),                 \
        E16((i) + 48, __VA_ARGS__)
#define ROW(...)                                                                                   \
    {E64(0, __VA_ARGS__), E64(64, __VA_ARGS__), E64(128, __VA_ARGS__), E64(192, __VA_ARGS__)}

/* clang-format off */
static const uint32_t table[8][256] = {
    ROW(0xf26b8303, 0xe13b70f7, 0xc79a971f, 0x8ad958cf, 0x105ec76f, 0x20bd8ede, 0x417b1dbc, 0x82f63b78),
    ROW(0x13a29877, 0x274530ee, 0x4e8a61dc, 0x9d14c3b8, 0x3fc5f181, 0x7f8be302, 0xff17c604, 0xfbc3faf9),
    ROW(0xa541927e, 0x4f6f520d, 0x9edea41a, 0x38513ec5, 0x70a27d8a, 0xe144fb14, 0xc76580d9, 0x8b277743),
    ROW(0xdd45aab8, 0xbf672381, 0x7b2231f3, 0xf64463e6, 0xe964b13d, 0xd725148b, 0xaba65fe7, 0x52a0c93f),
    ROW(0x38116fac, 0x7022df58, 0xe045beb0, 0xc5670b91, 0x8f2261d3, 0x1ba8b557, 0x37516aae, 0x6ea2d55c),
    ROW(0xef306b19, 0xdb8ca0c3, 0xb2f53777, 0x6006181f, 0xc00c303e, 0x85f4168d, 0x0e045beb, 0x1c08b7d6),
    ROW(0x68032cc8, 0xd0065990, 0xa5e0c5d1, 0x4e2dfd53, 0x9c5bfaa6, 0x3d5b83bd, 0x7ab7077a, 0xf56e0ef4),
    ROW(0x493c7d27, 0x9278fa4e, 0x211d826d, 0x423b04da, 0x847609b4, 0x0d006599, 0x1a00cb32, 0x34019664),
};
/* clang-format on */

uint32_t crc32c_portable(uint32_t crc, const void *data, size_t size)
{
    CHECK(data != NULL || size == 0);
    const uint8_t *p = data;
    crc = ~crc;
    for (; size >= 8; size -= 8, p += 8) {
        uint32_t low = bytes_get_u32(p) ^ crc;
        uint32_t high = bytes_get_u32(p + 4);
        crc = table[7][low & 0xff] ^ table[6][low >> 8 & 0xff] ^ table[5][low >> 16 & 0xff] ^
              table[4][low >> 24] ^ table[3][high & 0xff] ^ table[2][high >> 8 & 0xff] ^
              table[1][high >> 16 & 0xff] ^ table[0][high >> 24];
    }
    for (; size > 0; size--, p++) {
        crc = crc >> 8 ^ table[0][(crc ^ *p) & 0xff];
    }
    return ~crc;
}

#if defined(__x86_64__)

static bool has_instruction(void)
{
    return __builtin_cpu_supports("sse4.2") != 0 && __builtin_cpu_supports("pclmul") != 0;
}

/* The instruction gives its result after three cycles and can begin in each: three
 * lanes side by side cost what one does. Behind a lane come one or two more, so its
 * crc is multiplied by x^(8 * size of those): as carry-less product with that power
 * less 33 (bits reversed), which the instruction reduces. */
enum { LANE_SIZE = 256 };
static const uint64_t ONE_LANE_ON = 0xb9e02b86;
static const uint64_t TWO_LANES_ON = 0xdd7e3b0c;

__attribute__((target("sse4.2,pclmul"))) static uint64_t move_on(uint64_t crc, uint64_t power)
{
    __m128i product =
        _mm_clmulepi64_si128(_mm_cvtsi64_si128((int64_t)crc), _mm_cvtsi64_si128((int64_t)power), 0);
    return _mm_crc32_u64(0, (uint64_t)_mm_cvtsi128_si64(product));
}

__attribute__((target("sse4.2,pclmul"))) static uint64_t three_lanes(uint64_t first,
                                                                     const uint8_t *p)
{
    uint64_t second = 0;
    uint64_t third = 0;
    for (size_t i = 0; i < LANE_SIZE; i += 8) {
        first = _mm_crc32_u64(first, bytes_get_u64(p + i));
        second = _mm_crc32_u64(second, bytes_get_u64(p + LANE_SIZE + i));
        third = _mm_crc32_u64(third, bytes_get_u64(p + (size_t)2 * LANE_SIZE + i));
    }
    return move_on(first, TWO_LANES_ON) ^ move_on(second, ONE_LANE_ON) ^ third;
}

__attribute__((target("sse4.2,pclmul"))) static uint32_t crc32c_fast(uint32_t crc, const uint8_t *p,
                                                                     size_t size)
{
    uint64_t wide = (uint32_t)~crc;
    for (; size >= (size_t)3 * LANE_SIZE; size -= (size_t)3 * LANE_SIZE) {
        wide = three_lanes(wide, p);
        p += (size_t)3 * LANE_SIZE;
    }
    for (; size >= 8; size -= 8, p += 8) {
        wide = _mm_crc32_u64(wide, bytes_get_u64(p));
    }
    uint32_t narrow = (uint32_t)wide;
    if (size >= 4) { /* headers and identifiers end so */
        narrow = _mm_crc32_u32(narrow, bytes_get_u32(p));
        size -= 4;
        p += 4;
    }
    for (; size > 0; size--, p++) {
        narrow = _mm_crc32_u8(narrow, *p);
    }
    return ~narrow;
}

#elif defined(__aarch64__) && defined(__linux__)

static bool has_instruction(void)
{
    return (getauxval(AT_HWCAP) & HWCAP_CRC32) != 0;
}

__attribute__((target("+crc"))) static uint32_t crc32c_fast(uint32_t crc, const uint8_t *p,
                                                            size_t size)
{
    crc = ~crc;
    for (; size >= 8; size -= 8, p += 8) {
        crc = __crc32cd(crc, bytes_get_u64(p));
    }
    for (; size > 0; size--, p++) {
        crc = __crc32cb(crc, *p);
    }
    return ~crc;
}

#else

static bool has_instruction(void)
{
    return false;
}

static uint32_t crc32c_fast(uint32_t crc, const uint8_t *p, size_t size)
{
    return crc32c_portable(crc, p, size);
}

#endif

uint32_t crc32c(uint32_t crc, const void *data, size_t size)
{
    CHECK(data != NULL || size == 0);
    return has_instruction() ? crc32c_fast(crc, data, size) : crc32c_portable(crc, data, size);
}

uint32_t crc32c_bytes(struct bytes b)
{
    return crc32c(0, b.data, b.size);
}
