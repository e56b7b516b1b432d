/* SPDX-License-Identifier: Apache-2.0 */
#include "node/identity.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/check.h"

_Static_assert((int)IDENTITY_TEXT_SIZE <= (int)sizeof((struct peer_refusal *)0)->reason,
               "a judgement's text fits in a refusal");

static void copy_text(char *dst, size_t dst_size, const char *text)
{
    size_t size = strlen(text);
    CHECK(size < dst_size);
    memcpy(dst, text, size + 1);
}

static bool is_in(uint64_t id, const uint64_t *ids, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (ids[i] == id) {
            return true;
        }
    }
    return false;
}

/* --- what is said --- */

void identity_hello_make(const struct identity_self *self, uint64_t ask_nonce_of,
                         struct peer_hello *out)
{
    const struct hard_state *s = self->state;
    CHECK(s->start_counter > 0);
    memset(out, 0, sizeof *out);
    out->protocol = PEER_PROTOCOL;
    out->cluster_id = s->cluster_id;
    out->directory_id = s->directory_id;
    out->start_counter = s->start_counter;
    out->nonce = s->starts[s->start_count - 1].nonce;
    out->known_counter = ask_nonce_of;
    if (ask_nonce_of == 0 && s->start_count > 1) {
        out->known_counter = s->starts[s->start_count - 2].counter;
    }
    if (!hard_state_nonce(s, out->known_counter, &out->known_nonce)) {
        out->known_nonce = 0;
    }
    copy_text(out->name, sizeof out->name, s->name);
    copy_text(out->peer_address, sizeof out->peer_address, self->peer_address);
    copy_text(out->client_address, sizeof out->client_address, self->client_address);
    copy_text(out->version, sizeof out->version, self->version);
}

/* --- the hearer --- */

static const struct tsdb_node *find_node(const struct identity_view *view, uint64_t id)
{
    for (size_t i = 0; i < view->node_count; i++) {
        if (view->nodes[i].directory_id == id) {
            return &view->nodes[i];
        }
    }
    return NULL;
}

bool identity_known(const struct identity_view *view, uint64_t directory_id,
                    struct hard_state_seen *out)
{
    const struct hard_state_seen *seen = hard_state_find_seen(view->state, directory_id);
    const struct tsdb_node *node = find_node(view, directory_id);
    memset(out, 0, sizeof *out);
    if (seen != NULL) {
        *out = *seen;
    }
    if (node != NULL) {
        out->directory_id = directory_id;
        out->removed = out->removed || node->removed;
        if (node->start_counter > out->counter) {
            out->counter = node->start_counter;
            out->nonce = node->nonce;
        }
    }
    return seen != NULL || node != NULL;
}

static void judge_as(struct identity_judgement *out, enum identity_verdict verdict,
                     const char *format, ...) ERR_FORMAT(3, 4);
static void judge_as(struct identity_judgement *out, enum identity_verdict verdict,
                     const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(out->text, sizeof out->text, format, args);
    va_end(args);
    out->verdict = verdict;
}

/* Makes sense, and comes from another directory of the same cluster (or of
 * none yet). False: 'out' is the verdict. */
static bool judge_sender(const struct hard_state *own, const struct peer_hello *h,
                         struct identity_judgement *out)
{
    if (h->protocol != PEER_PROTOCOL) {
        judge_as(out, IDENTITY_BAD, "%s speaks version %" PRIu32 " of the peer protocol, not %d",
                 h->name, h->protocol, PEER_PROTOCOL);
        return false;
    }
    if (h->directory_id == 0 || h->start_counter == 0 || h->nonce == 0) {
        judge_as(out, IDENTITY_BAD, "%s does not say which directory and start it is", h->name);
        return false;
    }
    if (h->directory_id == own->directory_id) {
        judge_as(out, IDENTITY_OWN_ID,
                 "directory %016" PRIx64 " of %s: %s says it has the same (start %" PRIu64
                 " there, %" PRIu64 " here)",
                 h->directory_id, own->name, h->name, h->start_counter, own->start_counter);
        return false;
    }
    if (h->cluster_id != 0 && own->cluster_id != 0 && h->cluster_id != own->cluster_id) {
        judge_as(out, IDENTITY_FOREIGN,
                 "%s belongs to cluster %016" PRIx64 ", %s to cluster %016" PRIx64
                 ": one of them has another's data directory, or wrong peers",
                 h->name, h->cluster_id, own->name, own->cluster_id);
        return false;
    }
    return true;
}

static void judge_rolled_back(const struct peer_hello *h, const struct hard_state_seen *known,
                              struct identity_judgement *out)
{
    out->seen = *known;
    judge_as(out, IDENTITY_ROLLED_BACK,
             "directory %016" PRIx64 " of %s is older than what was seen of it, or a copy: start "
             "%" PRIu64 " (%016" PRIx64 ") after start %" PRIu64 " (%016" PRIx64 ")",
             h->directory_id, h->name, h->start_counter, h->nonce, known->counter, known->nonce);
}

/* A start above the one we know: it must show that it came from that one. */
static void judge_later(const struct peer_hello *h, const struct hard_state_seen *known,
                        struct identity_judgement *out)
{
    if (h->known_counter != known->counter) {
        out->ask_nonce_of = known->counter;
        judge_as(out, IDENTITY_ASK, "start %" PRIu64 " of %s has yet to prove start %" PRIu64,
                 h->start_counter, h->name, known->counter);
    } else if (h->known_nonce == known->nonce) {
        judge_as(out, IDENTITY_STORE, "%s", "");
    } else if (h->known_nonce == 0) {
        judge_as(out, IDENTITY_UNPROVEN,
                 "%s, start %" PRIu64 ", no longer keeps the nonce of start %" PRIu64
                 ", which is the last that was seen here: replace one of the two nodes",
                 h->name, h->start_counter, known->counter);
    } else {
        judge_rolled_back(h, known, out);
    }
}

static void judge_start(const struct identity_view *view, const struct peer_hello *h,
                        struct identity_judgement *out)
{
    struct hard_state_seen known;
    bool any = identity_known(view, h->directory_id, &known);
    if (any && known.removed) {
        judge_as(out, IDENTITY_REMOVED,
                 "directory %016" PRIx64 " of %s was removed from the cluster", h->directory_id,
                 h->name);
        return;
    }
    if (known.counter == 0) {
        judge_as(out, IDENTITY_STORE, "%s", "");
    } else if (h->start_counter > known.counter) {
        judge_later(h, &known, out);
    } else if (h->start_counter < known.counter || h->nonce != known.nonce) {
        judge_rolled_back(h, &known, out);
    } else {
        /* What only the replicated state holds is not known here after a restart
         * until it is applied again: our own hard state has to hold it. */
        const struct hard_state_seen *own = hard_state_find_seen(view->state, h->directory_id);
        bool stored = own != NULL && own->counter == known.counter;
        judge_as(out, stored ? IDENTITY_ACCEPT : IDENTITY_STORE, "%s", "");
    }
}

void identity_judge(const struct identity_view *view, const struct peer_hello *hello,
                    struct identity_judgement *out)
{
    CHECK(view->state->directory_id != 0);
    CHECK(view->nodes != NULL || view->node_count == 0);
    memset(out, 0, sizeof *out);
    if (!judge_sender(view->state, hello, out)) {
        return;
    }
    if (hello->cluster_id == 0 || view->state->cluster_id == 0) {
        judge_as(out, IDENTITY_FOUNDING, "%s", "");
        return;
    }
    judge_start(view, hello, out);
    if (out->verdict == IDENTITY_STORE) {
        out->seen = (struct hard_state_seen){.directory_id = hello->directory_id,
                                             .counter = hello->start_counter,
                                             .nonce = hello->nonce};
    }
}

enum err_code identity_store(struct hard_state *next, const struct identity_judgement *judgement,
                             const uint64_t *members, size_t member_count, struct err *e)
{
    CHECK(judgement->verdict == IDENTITY_STORE);
    return hard_state_see(next, &judgement->seen, members, member_count, e);
}

bool identity_welcomed(struct hard_state *next, uint64_t directory_id, uint64_t counter)
{
    CHECK(counter <= next->start_counter);
    for (size_t i = 0; i < next->seen_count; i++) {
        struct hard_state_seen *seen = &next->seen[i];
        if (seen->directory_id == directory_id && seen->welcomed < counter) {
            seen->welcomed = counter;
            return true;
        }
    }
    return false;
}

bool identity_is_news(const struct identity_view *view, const struct peer_hello *hello)
{
    const struct tsdb_node *node = find_node(view, hello->directory_id);
    if (node == NULL) {
        return true;
    }
    if (node->removed || node->start_counter > hello->start_counter) {
        return false;
    }
    return node->start_counter < hello->start_counter || strcmp(node->name, hello->name) != 0 ||
           strcmp(node->peer_address, hello->peer_address) != 0 ||
           strcmp(node->client_address, hello->client_address) != 0;
}

void identity_refusal_make(const struct peer_hello *heard,
                           const struct identity_judgement *judgement, struct peer_refusal *out)
{
    memset(out, 0, sizeof *out);
    copy_text(out->reason, sizeof out->reason, judgement->text);
    out->removed = judgement->verdict == IDENTITY_REMOVED;
    out->rolled_back = judgement->verdict == IDENTITY_ROLLED_BACK;
    if (out->rolled_back) {
        out->seen_counter = judgement->seen.counter;
        out->seen_nonce = judgement->seen.nonce;
    }
    out->directory_id = heard->directory_id;
    out->start_counter = heard->start_counter;
    out->nonce = heard->nonce;
}

/* --- the side that was refused --- */

static enum identity_fate fate_as(char text[IDENTITY_TEXT_SIZE], enum identity_fate fate,
                                  const char *format, ...) ERR_FORMAT(3, 4);
static enum identity_fate fate_as(char text[IDENTITY_TEXT_SIZE], enum identity_fate fate,
                                  const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, IDENTITY_TEXT_SIZE, format, args);
    va_end(args);
    return fate;
}

/* Our own starts show whether what the refuser saw was us. */
static bool is_own_start(const struct hard_state *s, uint64_t counter, uint64_t nonce)
{
    uint64_t own = 0;
    return hard_state_nonce(s, counter, &own) && own == nonce;
}

enum identity_fate identity_judge_refusal(const struct identity_standing *standing,
                                          uint64_t refuser_id, const struct peer_refusal *refusal,
                                          char text[IDENTITY_TEXT_SIZE])
{
    const struct hard_state *s = standing->state;
    CHECK(s->start_count > 0);
    if (!refusal->removed && !refusal->rolled_back) {
        return fate_as(text, IDENTITY_GO_ON, "%.200s", refusal->reason);
    }
    if (refusal->directory_id != s->directory_id || refusal->start_counter != s->start_counter ||
        refusal->nonce != s->starts[s->start_count - 1].nonce) {
        return fate_as(text, IDENTITY_GO_ON, "refused start %" PRIu64 ", which is not this one",
                       refusal->start_counter);
    }
    if (refusal->removed) {
        return standing->leader ? fate_as(text, IDENTITY_GO_ON, "said to be removed while leading")
                                : fate_as(text, IDENTITY_GONE,
                                          "directory %016" PRIx64 " was removed from the cluster",
                                          s->directory_id);
    }
    if (is_own_start(s, refusal->seen_counter, refusal->seen_nonce)) {
        return fate_as(text, IDENTITY_GO_ON, "refused because of start %" PRIu64 ", our own",
                       refusal->seen_counter);
    }
    bool voter = is_in(s->directory_id, standing->voters, standing->voter_count);
    bool may_refuse =
        refuser_id != s->directory_id && is_in(refuser_id, standing->voters, standing->voter_count);
    if (voter && !may_refuse) {
        return fate_as(text, IDENTITY_GO_ON, "refused by %016" PRIx64 ", which is no voter here",
                       refuser_id);
    }
    return fate_as(text, IDENTITY_CONDEMNED,
                   "directory %016" PRIx64 ", start %" PRIu64
                   ", was put back from an image or copied: start %" PRIu64 " (%016" PRIx64
                   ") was seen, which was not made here",
                   s->directory_id, s->start_counter, refusal->seen_counter, refusal->seen_nonce);
}

/* --- the gate --- */

void identity_gate_init(struct identity_gate *g, uint64_t own_id, const uint64_t *voters,
                        size_t voter_count, uint64_t deadline_ms)
{
    CHECK(voter_count <= LIMIT_VOTERS_MAX);
    memset(g, 0, sizeof *g);
    g->deadline_ms = deadline_ms;
    if (!is_in(own_id, voters, voter_count)) {
        return;
    }
    for (size_t i = 0; i < voter_count; i++) {
        if (voters[i] != own_id) {
            g->voters[g->count++].id = voters[i];
        }
    }
}

void identity_gate_answered(struct identity_gate *g, uint64_t id)
{
    for (size_t i = 0; i < g->count; i++) {
        g->voters[i].answered = g->voters[i].answered || g->voters[i].id == id;
    }
}

static void set_out_of_reach(struct identity_gate *g, uint64_t id, bool out_of_reach)
{
    for (size_t i = 0; i < g->count; i++) {
        if (g->voters[i].id == id) {
            g->voters[i].out_of_reach = out_of_reach;
        }
    }
}

void identity_gate_out_of_reach(struct identity_gate *g, uint64_t id)
{
    set_out_of_reach(g, id, true);
}

void identity_gate_in_reach(struct identity_gate *g, uint64_t id)
{
    set_out_of_reach(g, id, false);
}

size_t identity_gate_missing(const struct identity_gate *g, uint64_t ids[LIMIT_VOTERS_MAX])
{
    size_t count = 0;
    for (size_t i = 0; i < g->count; i++) {
        if (!g->voters[i].answered && !g->voters[i].out_of_reach) {
            ids[count++] = g->voters[i].id;
        }
    }
    return count;
}

bool identity_gate_is_open(const struct identity_gate *g, uint64_t now_ms)
{
    uint64_t missing[LIMIT_VOTERS_MAX];
    return now_ms >= g->deadline_ms || identity_gate_missing(g, missing) == 0;
}
