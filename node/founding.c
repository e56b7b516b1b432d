/* SPDX-License-Identifier: Apache-2.0 */
#include "node/founding.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "node/founding_wire.h"

enum state { ASKING, DECIDED, SETTLED };

static const unsigned allowed[] = {
    [ASKING] = 1U << DECIDED,
    [DECIDED] = 1U << SETTLED,
    [SETTLED] = 0,
};

/* What a listed peer said to the question that is open. */
enum said { NOTHING, EMPTY, DIFFERS, STRANGER, HOLDS_NOTHING };

struct peer_state {
    bool connected;
    uint64_t question; /* open to it; 0: none */
    uint64_t asked_ms;
    enum said said;
    struct founding_member who;  /* EMPTY, STRANGER */
    struct founding_peers peers; /* DIFFERS */
    uint64_t cluster_id;         /* HOLDS_NOTHING */
};

struct founding {
    enum state state;
    struct founding_member self;
    struct founding_peers peers; /* at least our own address */
    size_t own_at;               /* in peers */
    struct peer_state others[LIMIT_NODES_MAX];

    uint64_t cluster_id; /* DECIDED, SETTLED */
    bool holds_entries;
    struct buf record; /* encoded; may be empty */

    char text[FOUNDING_TEXT_SIZE]; /* ASKING: for whom it waits */

    /* What the actions of the last step point to. */
    struct founding_question questions_out[LIMIT_NODES_MAX];
    struct founding_answer answer_out;
    struct founding_record record_out;
    struct buf record_bytes; /* behind record_out */
};

static void check_invariants(const struct founding *f)
{
    CHECK(f->peers.count > 0);
    CHECK(f->peers.count <= LIMIT_NODES_MAX);
    CHECK(f->own_at < f->peers.count);
    switch (f->state) {
    case ASKING:
        CHECK(f->cluster_id == 0);
        CHECK(f->record.size == 0);
        break;
    case DECIDED:
        CHECK(f->cluster_id != 0);
        break;
    case SETTLED:
        CHECK(f->cluster_id != 0);
        CHECK(f->text[0] == '\0');
        break;
    }
}

static void set_state(struct founding *f, enum state next)
{
    CHECK((allowed[f->state] & 1U << next) != 0);
    f->state = next;
}

/* --- lists of peers --- */

static int compare_addresses(const void *a, const void *b)
{
    return strcmp(a, b);
}

enum err_code founding_peers_make(const char *const *addresses, size_t count,
                                  struct founding_peers *out, struct err *e)
{
    memset(out, 0, sizeof *out);
    for (size_t i = 0; i < count; i++) {
        size_t size = strlen(addresses[i]);
        if (size > LIMIT_ADDRESS_SIZE_MAX) {
            return err_set(e, ERR_RANGE, "a peer's address has %zu bytes, more than %d", size,
                           LIMIT_ADDRESS_SIZE_MAX);
        }
        bool known = false;
        for (size_t k = 0; k < out->count; k++) {
            known = known || strcmp(out->items[k], addresses[i]) == 0;
        }
        if (known) {
            continue;
        }
        if (out->count == LIMIT_NODES_MAX) {
            return err_set(e, ERR_FULL, "more than %d peers", LIMIT_NODES_MAX);
        }
        memcpy(out->items[out->count++], addresses[i], size + 1);
    }
    qsort(out->items, out->count, sizeof out->items[0], compare_addresses);
    return ERR_OK;
}

static bool peers_equal(const struct founding_peers *a, const struct founding_peers *b)
{
    for (size_t i = 0; i < a->count && i < b->count; i++) {
        if (strcmp(a->items[i], b->items[i]) != 0) {
            return false;
        }
    }
    return a->count == b->count;
}

/* Where an address stands; peers->count: nowhere. */
static size_t peers_find(const struct founding_peers *peers, const char *address)
{
    size_t at = 0;
    while (at < peers->count && strcmp(peers->items[at], address) != 0) {
        at++;
    }
    return at;
}

static bool peers_sorted(const struct founding_peers *peers)
{
    for (size_t i = 1; i < peers->count; i++) {
        if (strcmp(peers->items[i - 1], peers->items[i]) >= 0) {
            return false;
        }
    }
    return true;
}

/* --- text --- */

/* Cut, never overrun. */
static void add_text(char text[FOUNDING_TEXT_SIZE], const char *format, ...) ERR_FORMAT(2, 3);
static void add_text(char text[FOUNDING_TEXT_SIZE], const char *format, ...)
{
    size_t used = strlen(text);
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text + used, FOUNDING_TEXT_SIZE - used, format, args);
    va_end(args);
}

static void add_list(char text[FOUNDING_TEXT_SIZE], const struct founding_peers *peers)
{
    for (size_t i = 0; i < peers->count; i++) {
        add_text(text, "%s%s", i == 0 ? "" : ", ", peers->items[i]);
    }
}

/* A fault that someone has to mend comes before what only takes time. */
static bool describe_fault(const struct founding *f, char text[FOUNDING_TEXT_SIZE])
{
    for (size_t i = 0; i < f->peers.count; i++) {
        if (f->others[i].said == DIFFERS) {
            add_text(text, "%s was started with other peers (", f->peers.items[i]);
            add_list(text, &f->others[i].peers);
            add_text(text, ") than this node (");
            add_list(text, &f->peers);
            add_text(text, "): give all nodes the same list");
            return true;
        }
        if (f->others[i].said == STRANGER) {
            add_text(text, "%s answers as %s: its advertise-peer is not as in the list of peers",
                     f->peers.items[i], f->others[i].who.peer_address);
            return true;
        }
    }
    return false;
}

static size_t count_said(const struct founding *f, enum said said)
{
    size_t count = 0;
    for (size_t i = 0; i < f->peers.count; i++) {
        count += i != f->own_at && f->others[i].said == said;
    }
    return count;
}

static void add_peers_that(const struct founding *f, enum said said, char text[FOUNDING_TEXT_SIZE])
{
    const char *comma = "";
    for (size_t i = 0; i < f->peers.count; i++) {
        if (i != f->own_at && f->others[i].said == said) {
            add_text(text, "%s%s", comma, f->peers.items[i]);
            comma = ", ";
        }
    }
}

static void describe_wait(const struct founding *f, char text[FOUNDING_TEXT_SIZE])
{
    if (describe_fault(f, text)) {
        return;
    }
    size_t silent = count_said(f, NOTHING);
    if (f->own_at == 0) {
        add_text(text, "cluster is not founded yet, %zu of %zu nodes are there",
                 1 + count_said(f, EMPTY), f->peers.count);
    } else {
        add_text(text, "waits for %s, the first of the list, to found the cluster",
                 f->peers.items[0]);
    }
    if (silent > 0) {
        add_text(text, "; no answer yet from ");
        add_peers_that(f, NOTHING, text);
    }
    if (count_said(f, HOLDS_NOTHING) > 0) {
        add_text(text, "; joined a cluster but hold nothing of it yet: ");
        add_peers_that(f, HOLDS_NOTHING, text);
    }
}

/* --- actions --- */

static struct founding_action *add_action(struct founding_actions *actions,
                                          enum founding_action_type type)
{
    CHECK(actions->count < FOUNDING_ACTIONS_MAX);
    struct founding_action *a = &actions->items[actions->count++];
    memset(a, 0, sizeof *a);
    a->type = type;
    return a;
}

static void decide(struct founding *f, enum founding_action_type type,
                   struct founding_actions *actions)
{
    CHECK(f->record_out.cluster_id != 0);
    set_state(f, DECIDED);
    f->cluster_id = f->record_out.cluster_id;
    f->text[0] = '\0';
    add_action(actions, type)->record = &f->record_out;
}

/* --- asking --- */

static bool is_due(const struct founding *f, const struct peer_state *peer, uint64_t now_ms)
{
    bool settled = f->own_at == 0 && peer->said == EMPTY;
    uint64_t interval = settled ? FOUNDING_ASK_AGAIN_MS : FOUNDING_ASK_INTERVAL_MS;
    return peer->connected && (peer->question == 0 || now_ms - peer->asked_ms >= interval);
}

/* Each peer is asked by a number of its own, the same until the question is void. */
static void ask_who_is_due(struct founding *f, const struct founding_event *event,
                           struct founding_actions *actions)
{
    for (size_t i = 0; i < f->peers.count; i++) {
        struct peer_state *peer = &f->others[i];
        if (i == f->own_at || !is_due(f, peer, event->now_ms)) {
            continue;
        }
        if (peer->question == 0) {
            peer->question = event->random ^ (uint64_t)i << 48;
        }
        peer->asked_ms = event->now_ms;
        struct founding_question *q = &f->questions_out[i];
        q->question = peer->question;
        q->asker = f->self;
        q->peers = f->peers;
        struct founding_action *a = add_action(actions, FOUNDING_ASK);
        a->address = f->peers.items[i];
        a->question = q;
    }
}

/* What it said counts no more, nor what it says to the question that was open. */
static void void_question(struct peer_state *peer)
{
    peer->question = 0;
    peer->said = NOTHING;
}

static void set_connected(struct founding *f, const char *address, bool connected)
{
    size_t at = peers_find(&f->peers, address);
    if (at < f->peers.count) {
        void_question(&f->others[at]);
        f->others[at].connected = connected;
    }
}

static void answer_question(struct founding *f, const struct founding_event *event,
                            struct founding_actions *actions)
{
    const struct founding_question *q = event->question;
    if (f->state == DECIDED || q->asker.directory_id == f->self.directory_id) {
        return;
    }
    struct founding_answer *a = &f->answer_out;
    memset(a, 0, sizeof *a);
    a->question = q->question;
    a->answerer = f->self;
    a->peers = f->peers;
    if (f->state == SETTLED) {
        a->cluster_id = f->cluster_id;
        a->holds_entries = f->holds_entries;
        a->record = buf_bytes(&f->record);
    } else {
        a->empty = true;
        a->peers_differ = !peers_equal(&q->peers, &f->peers);
        bool from_founder = strcmp(q->asker.peer_address, f->peers.items[0]) == 0;
        if (!a->peers_differ && from_founder && f->own_at != 0) {
            for (size_t i = 0; i < f->peers.count; i++) {
                void_question(&f->others[i]);
            }
        }
    }
    add_action(actions, FOUNDING_REPLY)->answer = a;
}

/* --- what was answered --- */

/* A cluster is there. */
static void take_cluster(struct founding *f, const struct founding_answer *a, size_t at,
                         struct founding_actions *actions)
{
    struct founding_record *r = &f->record_out;
    if (a->record.size > 0) {
        buf_reset(&f->record_bytes);
        buf_put_bytes(&f->record_bytes, a->record);
        if (founding_record_decode(buf_bytes(&f->record_bytes), r, NULL) != ERR_OK ||
            r->cluster_id != a->cluster_id) {
            return; /* damaged or mixed up: another peer, or its next answer, tells */
        }
        for (size_t i = 0; i < r->count; i++) {
            if (r->members[i].directory_id == f->self.directory_id) {
                decide(f, FOUNDING_ADOPT, actions);
                return;
            }
        }
    }
    if (a->holds_entries) {
        memset(r, 0, sizeof *r);
        r->cluster_id = a->cluster_id;
        r->count = 1;
        r->members[0] = a->answerer;
        decide(f, FOUNDING_JOIN, actions);
    } else {
        f->others[at].said = HOLDS_NOTHING;
        f->others[at].cluster_id = a->cluster_id;
    }
}

static void take_empty(struct founding *f, size_t at, const struct founding_answer *a)
{
    struct peer_state *peer = &f->others[at];
    peer->who = a->answerer;
    if (a->peers_differ) {
        peer->said = DIFFERS;
        peer->peers = a->peers;
    } else {
        bool as_listed = strcmp(a->answerer.peer_address, f->peers.items[at]) == 0;
        peer->said = as_listed ? EMPTY : STRANGER;
    }
}

static void take_answer(struct founding *f, const struct founding_answer *a,
                        struct founding_actions *actions)
{
    size_t at = 0;
    while (at < f->peers.count && f->others[at].question != a->question) {
        at++;
    }
    if (a->question == 0 || at == f->peers.count ||
        a->answerer.directory_id == f->self.directory_id) {
        return; /* to a question that is not open */
    }
    if (a->empty) {
        take_empty(f, at, a);
    } else {
        take_cluster(f, a, at, actions);
    }
}

/* --- founding --- */

/* Two nodes that can't be told apart by name, or that are one directory. */
static bool describe_twins(const struct founding *f, char text[FOUNDING_TEXT_SIZE])
{
    for (size_t i = 0; i < f->peers.count; i++) {
        const struct founding_member *a = i == f->own_at ? &f->self : &f->others[i].who;
        for (size_t k = 0; k < i; k++) {
            const struct founding_member *b = k == f->own_at ? &f->self : &f->others[k].who;
            if (strcmp(a->name, b->name) == 0) {
                add_text(text, "%s and %s are both named %s: give each node a name of its own",
                         f->peers.items[k], f->peers.items[i], a->name);
                return true;
            }
            if (a->directory_id == b->directory_id) {
                add_text(text, "%s and %s are the same node", f->peers.items[k], f->peers.items[i]);
                return true;
            }
        }
    }
    return false;
}

/* Only the first of the list, and only when every other one said "empty" to the
 * question that is open. False: 'text' may say why not. */
static bool may_found(const struct founding *f, char text[FOUNDING_TEXT_SIZE])
{
    if (f->own_at != 0 || count_said(f, EMPTY) != f->peers.count - 1) {
        return false;
    }
    if (f->peers.count > LIMIT_VOTERS_MAX) {
        add_text(text, "a cluster is founded by at most %d nodes, the list has %zu",
                 LIMIT_VOTERS_MAX, f->peers.count);
        return false;
    }
    return !describe_twins(f, text);
}

static void found(struct founding *f, uint64_t random, struct founding_actions *actions)
{
    struct founding_record *r = &f->record_out;
    memset(r, 0, sizeof *r);
    r->cluster_id = random;
    r->count = f->peers.count;
    for (size_t i = 0; i < r->count; i++) {
        r->members[i] = i == f->own_at ? f->self : f->others[i].who;
        memcpy(r->members[i].peer_address, f->peers.items[i], sizeof f->peers.items[i]);
    }
    decide(f, FOUNDING_FOUND, actions);
}

static void found_or_wait(struct founding *f, const struct founding_event *event,
                          struct founding_actions *actions)
{
    char text[FOUNDING_TEXT_SIZE] = "";
    if (may_found(f, text)) {
        found(f, event->random, actions);
        return;
    }
    if (text[0] == '\0') {
        describe_wait(f, text);
    }
    if (strcmp(text, f->text) != 0) {
        memcpy(f->text, text, sizeof text);
        add_action(actions, FOUNDING_WAIT)->text = f->text;
    }
}

/* --- life --- */

enum err_code founding_open(const struct founding_options *options, struct founding **out,
                            struct err *e)
{
    CHECK(options->self.directory_id != 0);
    struct founding_peers peers = *options->peers;
    const char *own = options->self.peer_address;
    if (peers.count == 0) {
        peers.count = 1;
        memcpy(peers.items[0], own, sizeof peers.items[0]);
    }
    if (peers.count > LIMIT_NODES_MAX || !peers_sorted(&peers)) {
        return err_set(e, ERR_INVALID, "the list of %zu peers is not in order", peers.count);
    }
    size_t own_at = peers_find(&peers, own);
    if (own_at == peers.count) {
        return err_set(e, ERR_INVALID,
                       "the list of peers does not hold %s, the address of this node itself", own);
    }
    struct founding_record record;
    if (options->record.size > 0 &&
        (founding_record_decode(options->record, &record, e) != ERR_OK ||
         record.cluster_id != options->cluster_id)) {
        return err_set(e, ERR_INVALID, "the founding record is not that of cluster %016" PRIx64,
                       options->cluster_id);
    }
    struct founding *f = mem_zalloc(sizeof *f);
    f->state = options->cluster_id == 0 ? ASKING : SETTLED;
    f->self = options->self;
    f->peers = peers;
    f->own_at = own_at;
    f->cluster_id = options->cluster_id;
    f->holds_entries = options->holds_entries;
    buf_put_bytes(&f->record, options->record);
    check_invariants(f);
    *out = f;
    return ERR_OK;
}

void founding_step(struct founding *f, const struct founding_event *event,
                   struct founding_actions *actions)
{
    CHECK(event->random != 0);
    actions->count = 0;
    switch (event->type) {
    case FOUNDING_TICK:
        break;
    case FOUNDING_PEER_UP:
    case FOUNDING_PEER_DOWN:
        set_connected(f, event->address, event->type == FOUNDING_PEER_UP);
        break;
    case FOUNDING_QUESTION:
        answer_question(f, event, actions);
        break;
    case FOUNDING_ANSWER:
        if (f->state == ASKING) {
            take_answer(f, event->answer, actions);
        }
        break;
    }
    if (f->state == ASKING) {
        found_or_wait(f, event, actions);
    }
    if (f->state == ASKING && event->type != FOUNDING_QUESTION) {
        ask_who_is_due(f, event, actions);
    }
    check_invariants(f);
}

void founding_settle(struct founding *f, uint64_t cluster_id, struct bytes record)
{
    CHECK(cluster_id == f->cluster_id);
    set_state(f, SETTLED);
    f->holds_entries = f->holds_entries || record.size > 0;
    buf_reset(&f->record);
    buf_put_bytes(&f->record, record);
    check_invariants(f);
}

void founding_set_holds_entries(struct founding *f)
{
    CHECK(f->state == SETTLED);
    f->holds_entries = true;
}

bool founding_is_settled(const struct founding *f)
{
    return f->state == SETTLED;
}

const char *founding_text(const struct founding *f)
{
    return f->text;
}

void founding_close(struct founding *f)
{
    if (f == NULL) {
        return;
    }
    buf_deinit(&f->record);
    buf_deinit(&f->record_bytes);
    mem_free(f);
}

bool founding_is_formed(const struct founding_voter *voters, size_t count,
                        char text[FOUNDING_TEXT_SIZE])
{
    size_t ready = 0;
    for (size_t i = 0; i < count; i++) {
        ready += voters[i].match_index > 0;
    }
    text[0] = '\0';
    add_text(text, "cluster is forming, %zu of %zu", ready, count);
    const char *before = ": waits for ";
    for (size_t i = 0; i < count; i++) {
        if (voters[i].match_index == 0) {
            add_text(text, "%s%s", before, voters[i].name);
            before = ", ";
        }
    }
    return count > 0 && ready == count;
}
