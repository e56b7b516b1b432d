/* SPDX-License-Identifier: Apache-2.0 */
/* The texts inside gRPC's headers: grpc-timeout, grpc-status, grpc-message.
 *
 *   grpc-timeout:  1 to 8 digits, then H, M, S, m, u or n
 *   grpc-message:  UTF-8; bytes outside 0x20..0x7e and '%' as %XX */
#ifndef TIDEMARK_RPC_GRPC_TEXT_H
#define TIDEMARK_RPC_GRPC_TEXT_H

#include <stdbool.h>

#include "base/bytes.h"
#include "rpc/grpc_status.h"

/* In milliseconds, rounded up. False: it is not a timeout. */
bool grpc_timeout_parse(struct bytes text, uint64_t *ms);
enum { GRPC_TIMEOUT_TEXT_SIZE = 12 };
/* The finest unit that fits; a time too long for the text is the longest one. */
void grpc_timeout_format(char dst[GRPC_TIMEOUT_TEXT_SIZE], uint64_t ms);

/* False: not a number; a number that no status has gives GRPC_UNKNOWN. */
bool grpc_status_parse(struct bytes text, enum grpc_status *status);

/* Appends, without a terminating zero. At most 'size_max' bytes are put, never
 * half of an escape. */
void grpc_message_encode(struct buf *out, const char *message, size_t size_max);
/* Always terminated; cut when too long. A bad escape stands for itself. */
void grpc_message_decode(struct bytes text, char *dst, size_t dst_size);

#endif
