/* SPDX-License-Identifier: Apache-2.0 */
/* What stands in a log entry: commands, one behind the other, so that one
 * entry carries many requests.
 *
 *   entry payload:  command | command | ...
 *   command:        kind u8 | session varint | sequence varint | open varint | size varint | body[size]
 *
 * The body is a protobuf message, for writes the very bytes that the client sent.
 *
 * A command that is too large for one entry stands in several, one behind the
 * other without a gap and of one term (safety.md G2), each a PART alone in its entry:
 *
 *   body of a PART:  place varint | count varint | piece of the command as above
 *
 * It takes effect where its last part stands. A leader proposes all parts in one
 * step; what comes between them, if the leader is lost, makes those before it void.
 *
 * Commands that are not metadata may stand compressed in one PACKED (packed.h), alone
 * in its entry: a reader takes what it holds for the entry. */
#ifndef TIDEMARK_PROTO_COMMAND_H
#define TIDEMARK_PROTO_COMMAND_H

#include "base/bytes.h"
#include "base/limits.h"

enum command_kind {
    COMMAND_WRITE = 1,           /* tidemark.v1.WriteRequest */
    COMMAND_OPEN_SESSION = 2,    /* log.v1.OpenSession */
    COMMAND_SET_SETTING = 3,     /* log.v1.SetSetting */
    COMMAND_CREATE_DATABASE = 4, /* tidemark.v1.CreateDatabaseRequest */
    COMMAND_DROP_DATABASE = 5,
    COMMAND_CREATE_TABLE = 6,
    COMMAND_DROP_TABLE = 7,
    COMMAND_CHECKPOINT = 8,      /* log.v1.Checkpoint; alone in its entry */
    COMMAND_NODE_START = 9,      /* log.v1.NodeStart */
    COMMAND_CLUSTER_FORMED = 10, /* log.v1.ClusterFormed */
    COMMAND_NODE_REMOVED = 11,   /* log.v1.NodeRemoved */
    COMMAND_PART = 12,           /* a piece of a large one */
    COMMAND_PACKED = 13,         /* others, compressed */
    COMMAND_ALTER_TABLE = 14,    /* tidemark.v1.AlterTableRequest */
    COMMAND_KIND_COUNT
};

struct command {
    enum command_kind kind;
    uint64_t session; /* 0: none; see tidemark.v1.RequestId */
    uint64_t sequence;
    uint64_t sequence_open;
    struct bytes body; /* borrowed */
};

void command_put(struct buf *entry, const struct command *command);
/* The next command of an entry. ERR_CORRUPT: cut, or an unknown kind. */
MUST_CHECK enum err_code command_next(struct cursor *entry, struct command *out, struct err *e);

/* --- large commands --- */

enum {
    COMMAND_PART_SIZE_MAX = LIMIT_ENTRY_SIZE_MAX - LIMIT_KIB, /* of a piece */
    COMMAND_PARTS_MAX =
        (LIMIT_MESSAGE_SIZE_MAX + LIMIT_ENTRY_OVERHEAD_SIZE_MAX) / COMMAND_PART_SIZE_MAX + 1
};

struct command_part {
    uint64_t place; /* 0 .. count - 1 */
    uint64_t count; /* 2 .. COMMAND_PARTS_MAX */
    struct bytes piece;
};

void command_put_part(struct buf *entry, const struct command_part *part);
/* 'body' is that of a PART. ERR_CORRUPT. */
MUST_CHECK enum err_code command_read_part(struct bytes body, struct command_part *out,
                                           struct err *e);

bool command_is_metadata(enum command_kind kind); /* kept in the local WAL at every level */

#endif
