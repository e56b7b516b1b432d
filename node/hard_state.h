/* SPDX-License-Identifier: Apache-2.0 */
/* What this directory has promised, durable before any message that rests on
 * it leaves (safety.md B1): who it is, which starts it made, the term and the
 * vote, how far its Raft log reaches, the configurations, and which starts of
 * other directories it has seen.
 *
 * Kept in the io_twin "hard-state" of the data directory:
 *
 *   payload: format u32 | cluster_id u64 | directory_id u64 | name blob
 *          | start_counter u64 | start_count u16 | { counter u64, nonce u64 } ...
 *          | term u64 | voted_for u64 | repair_term u64 | flags u8 | extent 8 x u64
 *          | committed | pending | founding      each: index u64, blob
 *          | seen_count u16 | { directory_id u64, counter u64, nonce u64, welcomed u64, flags u8 } ...
 *
 * little-endian; a blob is a varint size and its bytes.
 *
 *   hard_state_create ─┐
 *   hard_state_open  ──┴► hard_state_start ──► get, write ... ──► hard_state_close
 *
 * After a failed write the file refuses all further ones (ERR_STATE): stop the process.
 * A file belongs to one thread. */
#ifndef TIDEMARK_NODE_HARD_STATE_H
#define TIDEMARK_NODE_HARD_STATE_H

#include "base/limits.h"
#include "io/io.h"
#include "wal/wal.h"

enum {
    HARD_STATE_FORMAT = 1,
    HARD_STATE_STARTS_MAX = 64,
    HARD_STATE_SEEN_MAX = 64,
    HARD_STATE_BLOB_SIZE_MAX = 8 * LIMIT_KIB,
};

/* One start of a directory: its counter (raised at each process start and at
 * each checkpoint) and the nonce drawn with it. */
struct hard_state_start {
    uint64_t counter;
    uint64_t nonce;
};

/* The newest start of another directory that this one has accepted. */
struct hard_state_seen {
    uint64_t directory_id;
    uint64_t counter;
    uint64_t nonce;
    uint64_t welcomed; /* highest of *our* counters that it is known to have stored, 0: none */
    bool removed;      /* that id will never be a member again */
};

struct hard_state_blob {
    uint64_t index; /* of the entry that it comes from; 0: none */
    uint32_t size;
    uint8_t data[HARD_STATE_BLOB_SIZE_MAX];
};

/* Plain data, copied by value. */
struct hard_state {
    uint64_t cluster_id;   /* 0: the directory is empty, founding has not happened */
    uint64_t directory_id; /* never 0, never changes */
    char name[LIMIT_NAME_SIZE_MAX + 1];

    uint64_t start_counter; /* of the start in force; 0: hard_state_start() was never called */
    size_t start_count;
    struct hard_state_start starts[HARD_STATE_STARTS_MAX]; /* rising; the last is in force */

    uint64_t term;
    uint64_t voted_for;   /* 0: nobody in this term */
    uint64_t repair_term; /* 'term' as it was when the repair under way began (C2); 0: none */

    struct wal_extent raft_extent;

    struct hard_state_blob committed; /* newest configuration known to be committed */
    struct hard_state_blob pending;   /* one appended after it; index 0: none */
    struct hard_state_blob founding;  /* founding.h: what entry 1 was made from, index 1 */
    bool cluster_formed;              /* all founders have adopted (founding.h) */

    size_t seen_count;
    struct hard_state_seen seen[HARD_STATE_SEEN_MAX];
};

enum { HARD_STATE_MAGIC = 0x53484d54 }; /* "TMHS", of the twin hard-state (io/io_twin.h) */

struct hard_state_file;

struct hard_state_fresh {
    const char *name;    /* of the node */
    uint64_t cluster_id; /* kept by a directory whose old id was given up (B3); else 0 */
};

/* A directory id that was never used: draws it. Nothing was promised yet, so
 * what an attempt left behind that a crash cut short is overwritten.
 * ERR_EXISTS: this directory has promises. ERR_INVALID: the name is empty or too long. */
MUST_CHECK enum err_code hard_state_create(struct io *io, const char *dir,
                                           const struct hard_state_fresh *fresh,
                                           struct hard_state_file **out, struct err *e);
/* ERR_NOT_FOUND: a fresh directory. ERR_UNSUPPORTED: written by a newer
 * tidemarkd. ERR_CORRUPT: neither copy is whole, the node must not start under this id. */
MUST_CHECK enum err_code hard_state_open(struct io *io, const char *dir,
                                         struct hard_state_file **out, struct err *e);
/* Raises the counter and draws its nonce, durably; once per process, before
 * anything is said to anyone. */
MUST_CHECK enum err_code hard_state_start(struct hard_state_file *f, struct err *e);
/* The same while running, at each checkpoint: an image of the directory taken
 * before it is older than what peers have seen. Tell the peers (identity.h). */
MUST_CHECK enum err_code hard_state_raise_counter(struct hard_state_file *f, struct err *e);
/* Borrowed; changes with each write. */
const struct hard_state *hard_state_get(const struct hard_state_file *f);
/* The nonce of a start of ours. False: it was never made, or is no longer kept
 * (the last 64 are, and those that a peer is known to have stored last). */
bool hard_state_nonce(const struct hard_state *s, uint64_t counter, uint64_t *nonce);
/* Durable in both copies on return. A bug, so the process stops: another
 * directory id, another cluster id than the one held, a counter or a term that falls, a
 * second vote in one term. */
MUST_CHECK enum err_code hard_state_write(struct hard_state_file *f, const struct hard_state *next,
                                          struct err *e);
/* Copies found bad at open, for the operator's report. */
unsigned hard_state_bad_copies(const struct hard_state_file *f);
void hard_state_close(struct hard_state_file *f); /* NULL is fine */

/* --- changes to the plain data; nothing is durable before hard_state_write() --- */

/* A new start: the next counter, with this fresh random nonce (not 0). */
void hard_state_add_start(struct hard_state *s, uint64_t nonce);
/* Sets one of the blobs; index 0 and no bytes: none. ERR_RANGE: larger than HARD_STATE_BLOB_SIZE_MAX. */
MUST_CHECK enum err_code hard_state_set_blob(struct hard_state_blob *blob, uint64_t index,
                                             struct bytes data, struct err *e);
struct bytes hard_state_blob_bytes(const struct hard_state_blob *blob);

/* The entry for a directory; NULL: never seen. */
const struct hard_state_seen *hard_state_find_seen(const struct hard_state *s,
                                                   uint64_t directory_id);
/* Puts in what was seen: a higher counter wins, a removal stays. When the list
 * is full, one that is not in 'members' (ids of the configurations in force) gives way.
 * ERR_FULL: all of them are members. */
MUST_CHECK enum err_code hard_state_see(struct hard_state *s, const struct hard_state_seen *seen,
                                        const uint64_t *members, size_t member_count,
                                        struct err *e);

/* --- the bytes, for tests and offline tools --- */

void hard_state_encode(const struct hard_state *s, struct buf *out);
MUST_CHECK enum err_code hard_state_decode(struct bytes b, struct hard_state *out, struct err *e);

#endif
