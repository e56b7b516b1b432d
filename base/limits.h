/* SPDX-License-Identifier: Apache-2.0 */
/* Every limit of the system, by name and unit, and how the limits depend on
 * each other. Reaching one is an error code of the function that meets it,
 * never a truncation, and has a test.
 *
 * _SIZE is bytes, _COUNT or a plural is things, _MS is milliseconds. */
#ifndef TIDEMARK_BASE_LIMITS_H
#define TIDEMARK_BASE_LIMITS_H

enum {
    LIMIT_KIB = 1024,
    LIMIT_MIB = 1024 * 1024,

    /* --- one change, one message --- */

    /* Payload of one log record. A larger change is BEGIN, PART ..., END. */
    LIMIT_ENTRY_SIZE_MAX = 1 * LIMIT_MIB,
    /* What a record or a peer message adds around an entry, all headers together. */
    LIMIT_ENTRY_OVERHEAD_SIZE_MAX = 4 * LIMIT_KIB,
    /* One request or answer of a client. */
    LIMIT_MESSAGE_SIZE_MAX = 4 * LIMIT_MIB,
    /* One frame between nodes: several entries, or one chunk of a snapshot. */
    LIMIT_FRAME_SIZE_MAX = 8 * LIMIT_MIB,
    /* One chunk of a part in a snapshot transfer. */
    LIMIT_CHUNK_SIZE_MAX = 1 * LIMIT_MIB,

    /* --- cluster --- */

    LIMIT_VOTERS_MAX = 7,
    LIMIT_NODES_MAX = 16, /* voters, standbys and spares together */
    LIMIT_ADDRESS_SIZE_MAX = 255,

    /* --- schema and values --- */

    LIMIT_NAME_SIZE_MAX = 63, /* database, table, column, tag, user, node */
    LIMIT_COLUMNS_MAX = 4096, /* of one table, the timestamp included, tags not */
    LIMIT_TAGS_MAX = 128,     /* of one table, the primary ones included */
    LIMIT_PRIMARY_TAGS_MAX = 32,
    LIMIT_STRING_SIZE_MAX = 64 * LIMIT_KIB, /* one string value, of a column or a tag */
    /* Primary tags of one series together, as its key is stored. */
    LIMIT_SERIES_KEY_SIZE_MAX = 256 * LIMIT_KIB,

    LIMIT_WRITE_ROWS_MAX = 256 * LIMIT_KIB, /* of one write request */
    LIMIT_DATABASES_MAX = 1024,
    LIMIT_TABLES_MAX = 4096,                 /* of all databases */
    LIMIT_CATALOG_COLUMNS_MAX = 256 * 1024,  /* columns and tags of all tables */
    LIMIT_SERIES_MAX = 1024 * 1024,          /* of all tables */
    LIMIT_SERIES_SIZE_MAX = 256 * LIMIT_MIB, /* tags of all series together, as stored */
    LIMIT_REMOVED_NODES_MAX = 4096,          /* ids that may never come back */

    /* --- checkpoints --- */

    LIMIT_BLOCK_ROWS_MAX = 4096,                /* rows of one series in one block */
    LIMIT_BLOCK_SIZE_MAX = 64 * LIMIT_MIB,      /* one encoded block */
    LIMIT_PARTS_PER_VGROUP = 8,                 /* more are merged at a checkpoint */
    LIMIT_MERGE_SIZE_MAX = 1024 * LIMIT_MIB,    /* a larger part is not merged again */
    LIMIT_MANIFEST_SIZE_MAX = 1024 * LIMIT_MIB, /* all replicated state but the rows */

    /* --- at most once (answers that the replicated state remembers) --- */

    LIMIT_SESSIONS = 4096,
    LIMIT_SESSION_ANSWERS = 64, /* for each session */

    /* --- log --- */

    /* What a checkpoint takes of the disk besides the rows: its manifest. */
    LIMIT_ROOM_MARGIN_SIZE = 1 * LIMIT_MIB,
    /* Entries that a leader has submitted and not yet seen committed. */
    LIMIT_UNCOMMITTED_ENTRIES = 1024,
    /* Entries that are out to one peer, and of one append. */
    LIMIT_APPEND_ENTRIES_MAX = 4096,
    /* Entries in memory that are not applied yet: a leader refuses more, a follower leaves more out. */
    LIMIT_UNAPPLIED_SIZE_MAX = 128 * LIMIT_MIB,
    /* Changes that wait while ts.wal.wal_level is changed. */
    LIMIT_HELD_COMMANDS = 65536,
    LIMIT_HELD_SIZE_MAX = 64 * LIMIT_MIB,
    /* Linearizable reads that wait for a leadership round. */
    LIMIT_READS_WAITING = 65536,
    /* One file of a log; a power of two between these. */
    LIMIT_SEGMENT_SIZE_MIN = 4 * LIMIT_MIB,
    LIMIT_SEGMENT_SIZE_MAX = 1024 * LIMIT_MIB,

    /* --- repair of a damaged log --- */

    /* One answer of a peer: entries, or at least one, and what its log holds. */
    LIMIT_REPAIR_ANSWER_SIZE_MAX = 4 * LIMIT_MIB,
    LIMIT_REPAIR_ENTRIES = 1024, /* in one answer, and of one step of a repair */
    LIMIT_REPAIR_RANGES = 64,    /* in one question */
    LIMIT_REPAIR_WANTS = 64,     /* in one question; a run of entries each */
    LIMIT_REPAIR_RUNS = 16384,   /* of equal slots, in one answer */
    LIMIT_REPAIR_PEERS = 32,     /* that are asked at once */
    /* Entries that replace the end of a log in one step, in memory together. */
    LIMIT_REPAIR_REPLACE_SIZE_MAX = 256 * LIMIT_MIB,

    /* --- connections (defaults of what their owners may set) --- */

    LIMIT_CONNECTIONS = 1024,  /* of clients, on one port */
    LIMIT_STREAMS = 1024,      /* calls under way on one connection */
    LIMIT_CALLS = 65536,       /* calls not finished by their handlers */
    LIMIT_CLIENT_CALLS = 4096, /* calls that one channel has out */
    LIMIT_HEADERS_SIZE_MAX = 16 * LIMIT_KIB,
    LIMIT_REQUESTS_SIZE = 256 * LIMIT_MIB,  /* requests held, all together */
    LIMIT_ANSWERS_SIZE = 256 * LIMIT_MIB,   /* answers that the network has not taken */
    LIMIT_PEER_QUEUE_SIZE = 32 * LIMIT_MIB, /* to one peer */
    LIMIT_PEER_LINKS = 64,                  /* connections between nodes, in every state */

    /* --- parts of one gathered write --- */

    LIMIT_WRITE_PARTS_MAX = 4096
};

_Static_assert(LIMIT_ENTRY_SIZE_MAX + LIMIT_ENTRY_OVERHEAD_SIZE_MAX <= LIMIT_SEGMENT_SIZE_MIN / 2,
               "a record is at most half of the smallest segment");
_Static_assert(LIMIT_ENTRY_SIZE_MAX + LIMIT_ENTRY_OVERHEAD_SIZE_MAX <= LIMIT_FRAME_SIZE_MAX,
               "an entry fits in one frame between nodes");
_Static_assert(LIMIT_MESSAGE_SIZE_MAX + LIMIT_ENTRY_OVERHEAD_SIZE_MAX <= LIMIT_FRAME_SIZE_MAX,
               "a follower can forward any request in one frame");
_Static_assert(LIMIT_CHUNK_SIZE_MAX + LIMIT_ENTRY_OVERHEAD_SIZE_MAX <= LIMIT_FRAME_SIZE_MAX,
               "a chunk of a part fits in one frame");
_Static_assert(LIMIT_UNCOMMITTED_ENTRIES < LIMIT_APPEND_ENTRIES_MAX,
               "a leader's own limit comes before libraft's limit per peer");
_Static_assert(LIMIT_FRAME_SIZE_MAX <= LIMIT_UNAPPLIED_SIZE_MAX / 2, "one append always has room");
_Static_assert(LIMIT_ENTRY_SIZE_MAX + LIMIT_REPAIR_RUNS * 64 <= LIMIT_REPAIR_ANSWER_SIZE_MAX,
               "an answer about the longest list of runs has room for an entry");
_Static_assert(LIMIT_REPAIR_ANSWER_SIZE_MAX <= LIMIT_FRAME_SIZE_MAX, "an answer fits in a frame");
_Static_assert(LIMIT_NODES_MAX < LIMIT_REPAIR_PEERS, "every node of a cluster can be asked");
_Static_assert(LIMIT_PEER_QUEUE_SIZE >= 2 * LIMIT_FRAME_SIZE_MAX,
               "one frame waits while another leaves");
_Static_assert(LIMIT_REQUESTS_SIZE >= LIMIT_MESSAGE_SIZE_MAX, "any request fits");
_Static_assert(LIMIT_ANSWERS_SIZE >= LIMIT_MESSAGE_SIZE_MAX, "any answer fits");
_Static_assert(LIMIT_PEER_LINKS >= 2 * LIMIT_NODES_MAX, "both sides of each pair may dial");
_Static_assert(LIMIT_STRING_SIZE_MAX < LIMIT_ENTRY_SIZE_MAX,
               "a row of one string fits in one record");
_Static_assert(LIMIT_SERIES_KEY_SIZE_MAX < LIMIT_ENTRY_SIZE_MAX, "a new series fits in one record");
_Static_assert(LIMIT_VOTERS_MAX % 2 == 1, "an even number of voters tolerates no more");
_Static_assert(LIMIT_VOTERS_MAX < LIMIT_NODES_MAX, "room for standbys beside the voters");
_Static_assert(LIMIT_PRIMARY_TAGS_MAX <= LIMIT_TAGS_MAX, "primary tags are tags");
_Static_assert(LIMIT_NAME_SIZE_MAX <= LIMIT_ADDRESS_SIZE_MAX, "a node's name can be its address");
_Static_assert((LIMIT_SEGMENT_SIZE_MIN & (LIMIT_SEGMENT_SIZE_MIN - 1)) == 0, "a power of two");
_Static_assert((LIMIT_SEGMENT_SIZE_MAX & (LIMIT_SEGMENT_SIZE_MAX - 1)) == 0, "a power of two");

#endif
