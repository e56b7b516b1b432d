/* SPDX-License-Identifier: Apache-2.0 */
/* At most once: the answers that the state remembers, so that a repeated
 * request gets its first answer and is not applied again.
 *
 * A request is named by (session, sequence). Kept are the last LIMIT_SESSIONS
 * sessions by use, each with its last LIMIT_SESSION_ANSWERS answers by sequence.
 *
 *   unknown session                      refused, outcome unknown: never applied
 *   sequence <= floor                    refused, outcome unknown: never applied
 *   sequence answered                    the first answer again
 *   else                                 new: apply, then sessions_record()
 *
 * The floor of a session is the highest sequence whose answer may be gone: it
 * rises to what was dropped for room, and to sequence_open - 1 of each request,
 * below which the client no longer waits. "Use" is a request's place in the
 * history, not time, so every node drops the same.
 *
 *   encoded:  use_next varint | count varint | session ...      least used first
 *   session:  id u64 | floor varint | used varint | count varint | answer ...  by sequence
 *   answer:   sequence varint | kind u8 | code u8 | index varint | rows varint | text str
 *
 * One thread. */
#ifndef TIDEMARK_TSDB_SESSIONS_H
#define TIDEMARK_TSDB_SESSIONS_H

#include "base/bytes.h"
#include "base/err.h"
#include "base/hash.h"
#include "tsdb/tsdb.h"

struct sessions;

struct sessions *sessions_new(void);
void sessions_close(struct sessions *s); /* NULL is fine */

/* A new session; closes 'close_session' (0, or unknown: nothing to close) in
 * the same step. The id is made from what the arguments say and what is there:
 * never 0, never that of an open session. */
uint64_t sessions_open(struct sessions *s, uint64_t nonce, uint64_t close_session, uint64_t index);

enum session_verdict {
    SESSION_NEW,     /* apply it, then record the answer */
    SESSION_NONE,    /* it has no session: apply it */
    SESSION_ANSWERED /* *result is the answer, or the refusal */
};

/* Judges a command, and notes its use and its sequence_open. */
enum session_verdict sessions_judge(struct sessions *s, const struct command *command,
                                    struct tsdb_result *result);
/* The answer to a command that was SESSION_NEW, at once after applying it. */
void sessions_record(struct sessions *s, const struct command *command,
                     const struct tsdb_result *result);

size_t sessions_count(const struct sessions *s);
/* Of all that is remembered; kept up to date, costs nothing. */
struct hash128 sessions_hash(const struct sessions *s);

void sessions_encode(const struct sessions *s, struct buf *out);
/* ERR_CORRUPT. */
MUST_CHECK enum err_code sessions_decode(struct cursor *in, struct sessions **out, struct err *e);

#endif
