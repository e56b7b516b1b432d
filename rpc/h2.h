/* SPDX-License-Identifier: Apache-2.0 */
/* Small things that the HTTP/2 server and client share around nghttp2. */
#ifndef TIDEMARK_RPC_H2_H
#define TIDEMARK_RPC_H2_H

#include <nghttp2/nghttp2.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

enum {
    /* What one stream, and one connection, may send before we have taken it. A connection's
     * window is larger so that one slow stream does not stop the others. */
    H2_STREAM_WINDOW_SIZE = 1024 * 1024,
    H2_CONNECTION_WINDOW_SIZE = 16 * 1024 * 1024,
};

/* nghttp2's memory through base/mem.h. */
nghttp2_mem *h2_mem(void);

/* A header field; borrows both. Literals need no copy inside nghttp2. */
nghttp2_nv h2_field(const char *name, struct bytes value);
nghttp2_nv h2_literal(const char *name, const char *value);

static inline bool h2_is(const uint8_t *text, size_t size, const char *literal)
{
    return size == strlen(literal) && memcmp(text, literal, size) == 0;
}

/* "application/grpc", or that followed by '+' or ';'. */
bool h2_is_grpc_content(struct bytes value);

/* Pairs of texts, each terminated: the metadata or trailers of a call. */
void h2_pairs_put(struct buf *pairs, struct bytes name, struct bytes value);
/* First value of that name, or NULL. */
const char *h2_pairs_find(const struct buf *pairs, const char *name);

/* So many events at once, then so many a second. */
struct h2_allowance {
    uint64_t burst;
    uint64_t per_second;
    uint64_t used_milli; /* thousandths of an event */
    uint64_t last_ms;
};

/* False: over the allowance. */
bool h2_allowance_use(struct h2_allowance *a, uint64_t now_ms);

#endif
