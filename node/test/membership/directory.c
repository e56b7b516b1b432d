/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>

#include "base/check.h"
#include "base/mem.h"
#include "node/founding_wire.h"
#include "node/test/membership/world.h"

enum { STEP_MS = 100 };

/* --- life --- */

void directory_free(struct directory *d)
{
    founding_close(d->founding);
    mem_free(d);
}

void directory_init(struct directory *d, size_t name)
{
    unsigned epoch = d->epoch;
    founding_close(d->founding);
    memset(d, 0, sizeof *d);
    d->name = name;
    d->epoch = epoch + 1;
}

static void draw_id(struct world *w, struct directory *d)
{
    uint64_t id = d->name + 1;
    if (w->mutation != MUTATION_IDS_BY_NAME) {
        if (w->id_last + 1 >= IDS) {
            w->ended = true;
            return;
        }
        id = ++w->id_last;
    }
    d->hard.directory_id = id;
    (void)snprintf(d->hard.name, sizeof d->hard.name, "n%zu", d->name + 1);
    w->id_name[id] = d->name;
}

static void address_of(size_t name, char *dst, size_t dst_size)
{
    (void)snprintf(dst, dst_size, "n%zu:7071", name + 1);
}

/* All three; the founder that is content with one answer has two in its list. */
static struct founding_peers peers_of(const struct world *w, const struct directory *d)
{
    bool short_list = w->mutation == MUTATION_NOT_ALL_ASKED && d->name == 0;
    struct founding_peers peers = {.count = short_list ? 2 : NAMES};
    for (size_t i = 0; i < peers.count; i++) {
        address_of(i, peers.items[i], sizeof peers.items[i]);
    }
    return peers;
}

static void open_founding(struct world *w, struct directory *d)
{
    struct founding_peers peers = peers_of(w, d);
    struct founding_options options = {
        .self = {.directory_id = d->hard.directory_id},
        .peers = &peers,
        .cluster_id = d->hard.cluster_id,
        .holds_entries = d->count > 0,
        .record = hard_state_blob_bytes(&d->hard.founding),
    };
    struct err e = {0};
    memcpy(options.self.name, d->hard.name, sizeof options.self.name);
    address_of(d->name, options.self.peer_address, sizeof options.self.peer_address);
    founding_close(d->founding);
    d->founding = NULL;
    if (founding_open(&options, &d->founding, &e) != ERR_OK) {
        wrong(w, "founding: %.100s", e.text);
    }
}

static void forget_volatile(struct directory *d)
{
    d->role = FOLLOWER;
    d->leader = 0;
    d->commit = 0;
    d->votes = 0;
    d->gated = false;
    d->node_count = 0;
    memset(d->match, 0, sizeof d->match);
    memset(d->heard, 0, sizeof d->heard);
    memset(d->want, 0, sizeof d->want);
    memset(d->links, 0, sizeof d->links);
    memset(d->asked, 0, sizeof d->asked);
}

static void close_gate(struct world *w, struct directory *d)
{
    uint32_t set = members_of(d).voters;
    uint64_t voters[LIMIT_VOTERS_MAX];
    size_t count = 0;
    for (uint64_t id = 1; id < IDS && count < LIMIT_VOTERS_MAX; id++) {
        if (has(set, id)) {
            voters[count++] = id;
        }
    }
    identity_gate_init(&d->gate, d->hard.directory_id, voters, count, UINT64_MAX);
    d->gated = w->mutation != MUTATION_NO_GATE && !identity_gate_is_open(&d->gate, 0);
}

void directory_start(struct world *w, struct directory *d)
{
    if (d->dead || d->up) {
        return;
    }
    if (d->hard.directory_id == 0) {
        draw_id(w, d);
    }
    if (w->ended) {
        return;
    }
    forget_volatile(d);
    d->up = true;
    if (w->mutation == MUTATION_NOT_STORED) {
        d->hard.seen_count = 0;
    }
    hard_state_add_start(&d->hard, world_fresh(w));
    w->counts->starts++;
    open_founding(w, d);
    if (d->hard.cluster_id != 0) {
        close_gate(w, d);
    }
    trace(w, "disk %zu starts n%zu id %" PRIu64 " start %" PRIu64 " term %" PRIu64 " last %zu",
          disk_of(w, d), d->name + 1, d->hard.directory_id, d->hard.start_counter, d->hard.term,
          d->count);
}

void directory_crash(struct world *w, struct directory *d)
{
    d->up = false;
    d->role = FOLLOWER;
    founding_close(d->founding);
    d->founding = NULL;
    trace(w, "disk %zu crashes", disk_of(w, d));
}

void directory_imaged(struct world *w, struct directory *d)
{
    if (d->up && w->mutation != MUTATION_NO_RAISE) {
        hard_state_add_start(&d->hard, world_fresh(w));
    }
}

void directory_rejoin(struct world *w, struct directory *d)
{
    uint64_t cluster = d->hard.cluster_id;
    directory_init(d, d->name);
    d->hard.cluster_id = cluster;
    d->up = true;
    draw_id(w, d);
    if (!w->ended) {
        hard_state_add_start(&d->hard, world_fresh(w));
        open_founding(w, d);
    }
}

/* --- founding --- */

static uint32_t voters_of(const struct founding_record *r)
{
    uint32_t voters = 0;
    for (size_t i = 0; i < r->count; i++) {
        voters |= 1U << r->members[i].directory_id;
    }
    return voters;
}

/* Founded or adopted: durable at once, with entry 1. */
static void settle(struct world *w, struct directory *d, const struct founding_record *decided)
{
    struct founding_record r = *decided;
    uint8_t configuration[4];
    struct buf bytes = {0};
    struct err e = {0};
    bytes_put_u32(configuration, voters_of(&r));
    r.configuration = bytes_of(configuration, sizeof configuration);
    CHECK(decided->configuration.size == 0 || bytes_equal(decided->configuration, r.configuration));
    founding_record_encode(&r, &bytes);
    d->hard.cluster_id = r.cluster_id;
    d->hard.term = 1;
    if (hard_state_set_blob(&d->hard.founding, 1, buf_bytes(&bytes), &e) != ERR_OK) {
        wrong(w, "founding record: %.100s", e.text);
    }
    uint32_t voters = voters_of(&r);
    d->log[0] = (struct entry){.kind = ENTRY_MEMBERS,
                               .term = 1,
                               .value = voters * UINT64_C(65599),
                               .members = {voters, 0}};
    d->count = 1;
    founding_settle(d->founding, r.cluster_id, buf_bytes(&bytes));
    buf_deinit(&bytes);
}

static void ask(struct world *w, struct directory *d, const struct founding_action *action)
{
    size_t name = (size_t)(action->address[1] - '1');
    struct founding_question q = *action->question;
    q.peers.count = NAMES; /* also of a founder that is mutated */
    address_of(NAMES - 1, q.peers.items[NAMES - 1], sizeof q.peers.items[0]);
    d->asked[name] = q.question;
    struct message *m = message_new(w, d, MESSAGE_QUESTION);
    founding_question_encode(&q, &m->body);
    message_send(w, m, (size_t)(d->links[name] >> 32) - 1);
}

static void run_actions(struct world *w, struct directory *d, const struct founding_actions *list,
                        size_t from)
{
    for (size_t i = 0; i < list->count; i++) {
        const struct founding_action *a = &list->items[i];
        struct message *m = NULL;
        switch (a->type) {
        case FOUNDING_ASK:
            ask(w, d, a);
            break;
        case FOUNDING_REPLY:
            m = message_new(w, d, MESSAGE_ANSWER);
            founding_answer_encode(a->answer, &m->body);
            message_send(w, m, from);
            break;
        case FOUNDING_FOUND:
            oracle_founded(w, a->record->cluster_id);
            w->counts->founded++;
            settle(w, d, a->record);
            trace(w, "disk %zu founds a cluster", disk_of(w, d));
            break;
        case FOUNDING_ADOPT:
            w->counts->adopted++;
            settle(w, d, a->record);
            trace(w, "disk %zu adopts the cluster", disk_of(w, d));
            break;
        case FOUNDING_JOIN:
            w->counts->joined++;
            d->hard.cluster_id = a->record->cluster_id;
            founding_settle(d->founding, d->hard.cluster_id, bytes_of(NULL, 0));
            trace(w, "disk %zu joins the cluster", disk_of(w, d));
            break;
        case FOUNDING_WAIT:
            break;
        }
    }
}

static void step(struct world *w, struct directory *d, struct founding_event event, size_t from)
{
    struct founding_actions actions;
    event.now_ms = (uint64_t)w->now * STEP_MS;
    event.random = world_fresh(w);
    founding_step(d->founding, &event, &actions);
    run_actions(w, d, &actions, from);
}

/* A link is to one start of one disk. */
static void tick_link(struct world *w, struct directory *d, size_t name)
{
    size_t disk = disk_with_name(w, name);
    uint64_t link = 0;
    char address[LIMIT_ADDRESS_SIZE_MAX + 1];
    address_of(name, address, sizeof address);
    if (disk < DISKS && disk != disk_of(w, d) && reaches(w, disk, disk_of(w, d))) {
        link = (uint64_t)(disk + 1) << 32 | w->disks[disk]->hard.start_counter;
    }
    if (link == d->links[name]) {
        return;
    }
    if (d->links[name] != 0) {
        step(w, d, (struct founding_event){.type = FOUNDING_PEER_DOWN, .address = address}, DISKS);
    }
    d->links[name] = link;
    if (link != 0) {
        step(w, d, (struct founding_event){.type = FOUNDING_PEER_UP, .address = address}, DISKS);
    }
}

void directory_tick_founding(struct world *w, struct directory *d)
{
    for (size_t name = 0; name < NAMES; name++) {
        if (name != d->name) {
            tick_link(w, d, name);
        }
    }
    step(w, d, (struct founding_event){.type = FOUNDING_TICK}, DISKS);
}

static void deliver_question(struct world *w, struct directory *d, const struct message *m)
{
    struct founding_question q;
    struct err e = {0};
    if (founding_question_decode(buf_bytes(&m->body), &q, &e) != ERR_OK) {
        wrong(w, "%.100s", e.text);
        return;
    }
    if (w->mutation == MUTATION_NOT_ALL_ASKED && d->name == 0) {
        q.peers = peers_of(w, d);
    }
    step(w, d, (struct founding_event){.type = FOUNDING_QUESTION, .question = &q}, m->from);
}

static void deliver_answer(struct world *w, struct directory *d, const struct message *m)
{
    struct founding_answer a;
    struct err e = {0};
    if (founding_answer_decode(buf_bytes(&m->body), &a, &e) != ERR_OK) {
        wrong(w, "%.100s", e.text);
        return;
    }
    if (w->mutation == MUTATION_LATE_ANSWERS) {
        a.question = d->asked[a.answerer.peer_address[1] - '1'];
    }
    if (a.question != 0) {
        step(w, d, (struct founding_event){.type = FOUNDING_ANSWER, .answer = &a}, m->from);
    }
}

/* --- the gate --- */

void directory_tick_gate(struct world *w, struct directory *d)
{
    uint64_t missing[LIMIT_VOTERS_MAX];
    size_t count = identity_gate_missing(&d->gate, missing);
    for (size_t i = 0; i < count; i++) {
        size_t to = disk_with_id(w, missing[i]);
        if (to < DISKS && reaches(w, to, disk_of(w, d))) {
            message_send(w, message_new(w, d, MESSAGE_HELLO), to);
        } else if (below(w, 4) == 0) {
            identity_gate_out_of_reach(&d->gate, missing[i]);
        }
    }
    d->gated = !identity_gate_is_open(&d->gate, 0);
}

/* --- hellos --- */

static void take_refusal(struct world *w, struct directory *d, const struct message *m)
{
    uint32_t set = members_of(d).voters;
    uint64_t voters[IDS];
    size_t count = 0;
    for (uint64_t id = 1; id < IDS; id++) {
        if (has(set, id)) {
            voters[count++] = id;
        }
    }
    struct peer_refusal refusal = m->refusal;
    if (w->mutation == MUTATION_ANY_REFUSAL && refusal.directory_id == d->hard.directory_id) {
        refusal.start_counter = d->hard.start_counter;
        refusal.nonce = d->hard.starts[d->hard.start_count - 1].nonce;
        refusal.seen_counter = UINT64_MAX; /* nor is it noticed that our own start was seen */
    }
    struct identity_standing standing = {&d->hard, d->role == LEADER, voters, count};
    char text[IDENTITY_TEXT_SIZE];
    switch (identity_judge_refusal(&standing, m->hello.directory_id, &refusal, text)) {
    case IDENTITY_GO_ON:
        return;
    case IDENTITY_CONDEMNED:
        w->counts->refused++;
        if (!w->id_copied[d->hard.directory_id] && w->mutation != MUTATION_IDS_BY_NAME) {
            wrong(w, "disk %zu is refused, and was never put back or copied", disk_of(w, d));
        }
        w->id_fault[d->hard.directory_id] = true;
        break;
    case IDENTITY_GONE:
        w->counts->removed++;
        break;
    }
    trace(w, "disk %zu: %s", disk_of(w, d), text);
    directory_rejoin(w, d);
}

/* The verdict that a hearer without the rule would give. */
static void mutate(const struct world *w, const struct peer_hello *h, struct identity_judgement *j)
{
    bool later = j->verdict == IDENTITY_ASK;
    bool back = j->verdict == IDENTITY_ROLLED_BACK;
    bool pass = false;
    switch (w->mutation) {
    case MUTATION_NO_COUNTER:
        pass = later || back || j->verdict == IDENTITY_UNPROVEN;
        break;
    case MUTATION_NO_NONCE:
        pass = later || (back && h->start_counter >= j->seen.counter);
        break;
    case MUTATION_NO_HISTORY:
        pass = later;
        break;
    case MUTATION_NONE:
    case MUTATION_IDS_BY_NAME:
    case MUTATION_NOT_STORED:
    case MUTATION_NO_GATE:
    case MUTATION_NO_RAISE:
    case MUTATION_NOT_ALL_ASKED:
    case MUTATION_LATE_ANSWERS:
    case MUTATION_ANY_REFUSAL:
    case MUTATION_COUNT:
        break;
    }
    if (pass) {
        j->verdict = IDENTITY_STORE;
        j->seen = (struct hard_state_seen){
            .directory_id = h->directory_id, .counter = h->start_counter, .nonce = h->nonce};
    }
}

static void judge(struct world *w, struct directory *d, struct message *m,
                  struct identity_judgement *j)
{
    struct identity_view view = {&d->hard, d->nodes, d->node_count};
    identity_judge(&view, &m->hello, j);
    mutate(w, &m->hello, j);
    if (j->verdict != IDENTITY_ASK) {
        return;
    }
    m->hello.known_counter = j->ask_nonce_of;
    m->hello.known_nonce = 0;
    for (size_t i = 0; i < m->start_count; i++) {
        if (m->starts[i].counter == j->ask_nonce_of) {
            m->hello.known_nonce = m->starts[i].nonce;
        }
    }
    identity_judge(&view, &m->hello, j);
    mutate(w, &m->hello, j);
}

static void refuse(struct world *w, struct directory *d, const struct message *m,
                   const struct identity_judgement *j)
{
    struct message *r = message_new(w, d, MESSAGE_REFUSAL);
    identity_refusal_make(&m->hello, j, &r->refusal);
    message_send(w, r, m->from);
    if (j->verdict == IDENTITY_ROLLED_BACK) {
        identity_gate_answered(&d->gate, m->hello.directory_id);
    }
}

static void welcome(struct world *w, struct directory *d, const struct message *m)
{
    struct message *r = message_new(w, d, MESSAGE_WELCOME);
    r->counter = m->hello.start_counter;
    message_send(w, r, m->from);
}

/* Its start is stored: what it says counts. */
static void hear(struct world *w, struct directory *d, const struct message *m)
{
    uint64_t id = m->hello.directory_id;
    d->heard[id] = w->now;
    switch (m->kind) {
    case MESSAGE_HELLO:
        welcome(w, d, m);
        break;
    case MESSAGE_WELCOME:
        if (m->counter == d->hard.start_counter) {
            identity_gate_answered(&d->gate, id);
            (void)identity_welcomed(&d->hard, id, m->counter);
        }
        break;
    case MESSAGE_JOIN:
        if (d->role == LEADER) {
            d->want[w->id_name[id]] = id;
        }
        break;
    case MESSAGE_VOTE:
    case MESSAGE_VOTE_RESULT:
    case MESSAGE_APPEND:
    case MESSAGE_APPEND_RESULT:
        if (!d->gated) {
            raft_message(w, d, m);
        }
        break;
    case MESSAGE_QUESTION:
    case MESSAGE_ANSWER:
    case MESSAGE_REFUSAL:
        break;
    }
}

void directory_deliver(struct world *w, struct directory *d, struct message *m)
{
    struct identity_judgement j;
    struct err e = {0};
    if (m->kind == MESSAGE_REFUSAL) {
        if (d->hard.cluster_id != 0 && m->hello.cluster_id == d->hard.cluster_id) {
            take_refusal(w, d, m);
        }
        return;
    }
    judge(w, d, m, &j);
    switch (j.verdict) {
    case IDENTITY_STORE:
        if (identity_store(&d->hard, &j, NULL, 0, &e) != ERR_OK) {
            wrong(w, "%.100s", e.text);
            return;
        }
        hear(w, d, m);
        break;
    case IDENTITY_ACCEPT:
        hear(w, d, m);
        break;
    case IDENTITY_FOUNDING:
        if (m->kind == MESSAGE_QUESTION) {
            deliver_question(w, d, m);
        } else if (m->kind == MESSAGE_ANSWER) {
            deliver_answer(w, d, m);
        }
        break;
    case IDENTITY_ROLLED_BACK:
    case IDENTITY_REMOVED:
        refuse(w, d, m, &j);
        break;
    case IDENTITY_ASK:
        wrong(w, "asked twice for the same start");
        break;
    case IDENTITY_UNPROVEN:
    case IDENTITY_FOREIGN:
    case IDENTITY_OWN_ID:
    case IDENTITY_BAD:
        break;
    }
}
