/* SPDX-License-Identifier: Apache-2.0 */
/* CRC-32C (Castagnoli polynomial, reflected; RFC 3720 B.4), with the processor's instruction
 * where it has one, else eight bytes at a time by table. */
#ifndef TIDEMARK_BASE_CRC32C_H
#define TIDEMARK_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

/* crc32c(0, "123456789", 9) == 0xe3069283. Chains: the crc of "ab" is
 * crc32c(crc32c(0, "a", 1), "b", 1). */
uint32_t crc32c(uint32_t crc, const void *data, size_t size);
uint32_t crc32c_bytes(struct bytes b);
/* The portable way, for tests against the fast one. */
uint32_t crc32c_portable(uint32_t crc, const void *data, size_t size);

#endif
