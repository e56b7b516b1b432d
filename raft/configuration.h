/* SPDX-License-Identifier: Apache-2.0 */
/* Who is in the cluster, and in which role: the payload of an ENTRY_CHANGE.
 *
 *   payload:  version u8 = 1 | count u8 | server * count        little-endian
 *   server:   id u64 | role u8 | address (varint size, bytes)
 *
 * The order of the servers is part of the configuration: libraft keeps a
 * leader's progress by position, so a step never moves one (replica.h).
 * libraft itself never sees these bytes or the addresses (raft_core.h). */
#ifndef TIDEMARK_RAFT_CONFIGURATION_H
#define TIDEMARK_RAFT_CONFIGURATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/limits.h"

/* What a server is in a configuration. A spare gets no log, a standby gets the
 * log but has no vote. */
enum server_role { SERVER_SPARE, SERVER_STANDBY, SERVER_VOTER };

struct server {
    uint64_t id;
    enum server_role role;
    char address[LIMIT_ADDRESS_SIZE_MAX + 1]; /* "name@host:port", opaque here */
};

struct configuration {
    uint64_t index; /* of the entry that made it */
    size_t count;
    struct server servers[LIMIT_NODES_MAX];
};

/* The bytes of an ENTRY_CHANGE, and back. A decoder of bytes from outside:
 * ERR_CORRUPT, never a crash. */
void configuration_encode(const struct configuration *c, struct buf *out);
MUST_CHECK enum err_code configuration_decode(struct bytes b, uint64_t index,
                                              struct configuration *out, struct err *e);
const struct server *configuration_find(const struct configuration *c,
                                        uint64_t id); /* NULL: none */
size_t configuration_voters(const struct configuration *c);
bool configuration_is_voter(const struct configuration *c, uint64_t id);
/* The same servers, in the same order and roles, at the same addresses. The index does not count. */
bool configuration_equal(const struct configuration *a, const struct configuration *b);

/* Whether 'to' is one step from 'from' (safety.md B5): one server is added at
 * the end as spare or standby, removed, moved up or down by one role, or gets
 * another address; all others stay as and where they are. ERR_INVALID says what is wrong. */
MUST_CHECK enum err_code configuration_check_step(const struct configuration *from,
                                                  const struct configuration *to, struct err *e);

/* More than half of the voters of 'c' are in 'ids'. */
bool configuration_has_majority(const struct configuration *c, const uint64_t *ids, size_t count);

#endif
