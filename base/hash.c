/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hash.h"

#include <inttypes.h>
#include <stdio.h>
#include <xxhash.h>

#include "base/check.h"

/* XXH3 is frozen since 0.8.0: values in files stay valid across versions. */
_Static_assert(XXH_VERSION_NUMBER >= 800, "libxxhash before 0.8.0 has another XXH3");

uint64_t hash64(struct bytes b)
{
    CHECK(b.data != NULL || b.size == 0);
    return XXH3_64bits(b.data, b.size);
}

static struct hash128 from_xxh(XXH128_hash_t h)
{
    return (struct hash128){h.low64, h.high64};
}

struct hash128 hash128(struct bytes b)
{
    CHECK(b.data != NULL || b.size == 0);
    return from_xxh(XXH3_128bits(b.data, b.size));
}

/* The state and the hash of b, each of fixed size, are hashed again: no two
 * splits of the same bytes into links give the same input. */
struct hash128 hash128_chain(struct hash128 state, struct bytes b)
{
    struct hash128 link = hash128(b);
    uint8_t block[32];
    bytes_put_u64(block, state.low);
    bytes_put_u64(block + 8, state.high);
    bytes_put_u64(block + 16, link.low);
    bytes_put_u64(block + 24, link.high);
    return hash128(bytes_of(block, sizeof block));
}

void hash128_text(struct hash128 h, char dst[HASH128_TEXT_SIZE])
{
    (void)snprintf(dst, HASH128_TEXT_SIZE, "%016" PRIx64 "%016" PRIx64, h.high, h.low);
}
