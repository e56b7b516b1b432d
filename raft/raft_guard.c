/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/raft_guard.h"

#include <string.h>

#include "base/check.h"

bool raft_guard_is_on(const struct raft_guards *g, enum raft_guard_number number)
{
    CHECK(g != NULL);
    CHECK(number > 0 && (unsigned)number < 8 * sizeof g->off);
    return (g->off & 1U << (unsigned)number) == 0;
}

/* libraft answers with its own, newer term and leaves last_log_index as the
 * stack had it. If the asker has since become leader of that very term it takes
 * the number as what we hold, and commits with it. The answer here says the
 * term and claims nothing. */
bool raft_guard_stale_term(const struct raft_guards *g, const struct raft_packet *p, uint64_t term,
                           struct raft_packet *reply)
{
    CHECK(p->kind == RAFT_MESSAGE_CORE);
    CHECK(reply != NULL);
    uint64_t theirs = UINT64_MAX;
    if (p->core.type == RAFT_APPEND_ENTRIES) {
        theirs = p->core.append_entries.term;
    } else if (p->core.type == RAFT_INSTALL_SNAPSHOT) {
        theirs = p->core.install_snapshot.term;
    }
    if (theirs >= term || !raft_guard_is_on(g, RAFT_G1)) {
        return false;
    }
    memset(reply, 0, sizeof *reply);
    reply->core.type = RAFT_APPEND_ENTRIES_RESULT;
    reply->core.server_id = p->core.server_id;
    reply->core.append_entries_result = (struct raft_append_entries_result){
        .version = RAFT_MESSAGE_RESULT_VERSION,
        .term = term,
        .features = RAFT_MESSAGE_FEATURES,
    };
    return true;
}

/* In probe state libraft asserts that a rejected index lies above what the peer
 * has acknowledged. A late or repeated rejection breaks that; so does a hint
 * (last_log_index) below it, which G11 at the peer may give. */
bool raft_guard_rejection(const struct raft_guards *g, struct raft_append_entries_result *result,
                          uint64_t match)
{
    CHECK(result != NULL);
    CHECK(match < UINT64_MAX);
    if (result->rejected == 0 || !raft_guard_is_on(g, RAFT_G2)) {
        return true;
    }
    if (result->rejected <= match) {
        return false;
    }
    if (result->last_log_index < match) {
        result->last_log_index = match;
    }
    return true;
}

/* libraft books every change of an append under the index of the first new
 * entry: the change is then never marked committed, and not rolled back when it
 * is truncated. Alone in its piece, it is the first. */
size_t raft_guard_piece(const struct raft_guards *g, struct entry *const *entries, size_t count,
                        size_t from)
{
    CHECK(from <= count);
    CHECK(entries != NULL || count == 0);
    if (from == count || !raft_guard_is_on(g, RAFT_G3)) {
        return count - from;
    }
    if (entries[from]->type == ENTRY_CHANGE) {
        return 1;
    }
    size_t end = from;
    while (end < count && entries[end]->type != ENTRY_CHANGE) {
        end++;
    }
    return end - from;
}

/* libraft asserts that the entry of a checkpoint is in its log, above its last
 * snapshot, durable and applied. While a snapshot of a leader is installed, or
 * after, none of that need hold for a checkpoint begun before. */
bool raft_guard_checkpoint(const struct raft_guards *g, const struct raft_log *log,
                           const struct raft_guard_checkpoint *c)
{
    CHECK(c->index > 0);
    CHECK(c->term > 0);
    if (!raft_guard_is_on(g, RAFT_G4)) {
        return true;
    }
    uint64_t term = 0;
    if (c->installing || c->index <= c->snapshot_index) {
        return false;
    }
    if (c->index > c->durable || c->index > c->applied) {
        return false;
    }
    return raft_log_term(log, c->index, &term) && term == c->term;
}

/* libraft reads candidate_state before it looks whether it is a candidate. And
 * it asserts that no pre-vote is granted by a server more than one term ahead:
 * a peer that says so is not one of ours. */
bool raft_guard_vote(const struct raft_guards *g, const struct raft_request_vote_result *result,
                     bool candidate, uint64_t term)
{
    CHECK(result != NULL);
    CHECK(term < UINT64_MAX);
    if (!raft_guard_is_on(g, RAFT_G5)) {
        return true;
    }
    if (!candidate) {
        return false;
    }
    return !(result->vote_granted && result->term > term + 1);
}

/* libraft ignores the message and forgets to free what it owns. The leader asks again. */
bool raft_guard_install(const struct raft_guards *g, bool installing)
{
    CHECK(g != NULL);
    return installing && raft_guard_is_on(g, RAFT_G6);
}

/* libraft appends a batch entry by entry and stops at a change that it refuses:
 * the entries before it stay in its log and never reach ours. */
bool raft_guard_submit(const struct raft_guards *g, struct entry *const *entries, size_t count)
{
    CHECK(entries != NULL);
    CHECK(count > 0);
    if (count == 1 || !raft_guard_is_on(g, RAFT_G7)) {
        return true;
    }
    for (size_t i = 0; i < count; i++) {
        if (entries[i]->type == ENTRY_CHANGE) {
            return false;
        }
    }
    return true;
}

/* libraft asks for the snapshot again at each rejected heartbeat, and sends no
 * heartbeat meanwhile: a transfer longer than a tick would start for ever and
 * the peer would hear from nobody. Repeated after 'repeat_ms', in case the
 * message was lost. */
bool raft_guard_snapshot(const struct raft_guards *g, const struct raft_guard_transfer *t,
                         uint64_t now_ms, unsigned repeat_ms)
{
    CHECK(t != NULL);
    CHECK(now_ms >= t->asked_ms);
    if (!raft_guard_is_on(g, RAFT_G8)) {
        return false;
    }
    return t->running && now_ms - t->asked_ms < repeat_ms;
}

void raft_guard_neutral(struct raft_packet *out, uint64_t peer, uint64_t term)
{
    CHECK(peer != 0);
    CHECK(term > 0);
    memset(out, 0, sizeof *out);
    out->core.type = RAFT_APPEND_ENTRIES;
    out->core.server_id = peer;
    out->core.append_entries.term = term;
}

/* After a voter became a spare its last contact holds raft_timeout() in the
 * past: the node would do nothing but time out. And an early timeout puts every
 * peer that has not answered since the last one back to probing. */
uint64_t raft_guard_timeout(const struct raft_guards *g, uint64_t timeout_ms, uint64_t last_ms,
                            unsigned heartbeat_ms)
{
    CHECK(heartbeat_ms > 0);
    CHECK(last_ms < UINT64_MAX - heartbeat_ms);
    uint64_t low = last_ms + (heartbeat_ms + 1) / 2;
    if (timeout_ms < low && raft_guard_is_on(g, RAFT_G9)) {
        return low;
    }
    return timeout_ms;
}

/* libraft sends the go-ahead as soon as the peer has acknowledged what it held
 * when an answer came, even if more was appended since; the peer ignores it and
 * libraft never repeats it. */
bool raft_guard_hand_over(const struct raft_guards *g, uint64_t match, uint64_t last)
{
    CHECK(match <= last);
    CHECK(last > 0);
    return match == last || !raft_guard_is_on(g, RAFT_G10);
}

/* Entries of one term come from one leader: if ours of that term is wrong at
 * the rejected index, the leader may have none of them. What is committed is
 * never wrong. */
void raft_guard_hint(const struct raft_guards *g, struct raft_append_entries_result *result,
                     const struct raft_log *log, uint64_t commit)
{
    CHECK(result != NULL);
    CHECK(log != NULL);
    uint64_t term = 0;
    if (result->rejected < log->first || !raft_guard_is_on(g, RAFT_G11) ||
        !raft_log_term(log, result->rejected, &term)) {
        return;
    }
    uint64_t before = raft_log_term_first(log, result->rejected) - 1;
    before = before < commit ? commit : before;
    if (before < result->last_log_index) {
        result->last_log_index = before;
    }
}

/* Entry 1 is taken as following nothing; after a cut libraft finds no entry at
 * 1 and appends it at the end. What it holds is committed and cut, so nothing is lost. */
bool raft_guard_prefix(const struct raft_guards *g, const struct raft_append_entries *append,
                       uint64_t log_first)
{
    CHECK(append != NULL);
    CHECK(log_first > 0);
    return append->prev_log_index == 0 && append->n_entries > 0 && log_first > 1 &&
           raft_guard_is_on(g, RAFT_G12);
}

/* libraft answers a pre-vote with the asker's term. If the server with the best
 * log is behind in terms, those that deny it for its low term never tell it, and
 * deny each other for their logs: nobody leads again. A candidate takes a higher
 * term from a denial, and asks for the one after it. */
void raft_guard_denial(const struct raft_guards *g, struct raft_request_vote_result *result,
                       uint64_t term)
{
    CHECK(result != NULL);
    CHECK(term < UINT64_MAX);
    if (result->pre_vote && !result->vote_granted && result->term < term &&
        raft_guard_is_on(g, RAFT_G13)) {
        result->term = term;
    }
}

/* libraft remembers which snapshot it asked for. After the next checkpoint its
 * heartbeats name the new one, and it takes the peer's refusals of that for old
 * ones, until its timeout for the transfer. Asking again early costs nothing: G8
 * turns it into "see that a transfer runs". */
unsigned raft_guard_install_timeout(const struct raft_guards *g, unsigned election_ms)
{
    enum { LIBRAFT_DEFAULT_MS = 30000 };
    CHECK(election_ms > 0);
    CHECK(g != NULL);
    return raft_guard_is_on(g, RAFT_G14) ? election_ms : LIBRAFT_DEFAULT_MS;
}

/* A candidate that loses votes again at each timeout, in a higher term, and if it
 * was once told to take over it still says that the leader is gone. A node that
 * nobody answers (removed without knowing it, or cut off one way) so deposes
 * leader after leader. Each try begins with a pre-vote instead; the right to
 * disturb is for one try. Both fields are libraft's own, and this is the state in
 * which it begins every other election. */
void raft_guard_candidate(const struct raft_guards *g, struct raft *core)
{
    CHECK(core != NULL);
    CHECK(core->pre_vote);
    if (core->state == RAFT_CANDIDATE && raft_guard_is_on(g, RAFT_G15)) {
        core->candidate_state.in_pre_vote = true;
        core->candidate_state.disrupt_leader = false;
    }
}

enum raft_guard_verdict raft_guard_unaware(const struct raft_guards *g,
                                           const struct raft_guard_voter *self,
                                           const struct raft_request_vote *request)
{
    CHECK(self != NULL);
    CHECK(request->term > 0);
    if (self->knows_itself || !self->settled || !raft_guard_is_on(g, RAFT_B5_VOTE)) {
        return RAFT_VOTE_CORE;
    }
    if (self->hears_leader && !request->disrupt_leader) {
        return RAFT_VOTE_CORE;
    }
    if (request->term < self->term) {
        return RAFT_VOTE_CORE;
    }
    bool voted = request->term == self->term && self->voted_for != 0 &&
                 self->voted_for != request->candidate_id;
    if (voted && !request->pre_vote) {
        return RAFT_VOTE_CORE;
    }
    if (request->last_log_term != self->last_term) {
        return request->last_log_term > self->last_term ? RAFT_VOTE_GRANT : RAFT_VOTE_CORE;
    }
    return request->last_log_index >= self->last_index ? RAFT_VOTE_GRANT : RAFT_VOTE_CORE;
}
