/* SPDX-License-Identifier: Apache-2.0 */
/* A few nodes with logs in memory that repair each other over a network in
 * memory: what the caller of repair.h does, in its simplest form. Nodes don't
 * run Raft; a test says who leads. Include repair_weakened.h before.
 *
 *   struct lab *lab = lab_open(3);
 *   lab_log(lab, 0, "1 1 2!");     node 0: entries 1:1, 2:1, 3:2 (damaged)
 *   lab_run(lab);                  repairs all until they are done or wait
 *   lab_close(lab);
 *
 * Node n has the id n + 1; entry (index, term) has the value lab_value(). */
#ifndef TIDEMARK_RAFT_TEST_REPAIR_LAB_H
#define TIDEMARK_RAFT_TEST_REPAIR_LAB_H

#include "raft/test/repair_lab_node.h"

/* ---- network ---- */

static inline void lab_send(struct lab *lab, size_t from, size_t to, bool question,
                            struct bytes bytes)
{
    CHECK(to < lab->node_count);
    lab->bytes_moved += bytes.size;
    if (lab->cut[from][to]) {
        return;
    }
    lab->messages = mem_grow(lab->messages, &lab->message_capacity, lab->message_count + 1,
                             sizeof *lab->messages);
    struct lab_message *m = &lab->messages[lab->message_count++];
    *m = (struct lab_message){.from = from, .to = to, .question = question};
    buf_put_bytes(&m->bytes, bytes);
    if (!question && bytes.size > 40) {
        m->due_ms = lab->now_ms + (uint64_t)lab->slow_ticks * LAB_INTERVAL_MS;
    }
}

static inline struct entry *lab_entry(void *context, uint64_t index, bool *need)
{
    struct lab_node *n = context;
    struct lab *lab = n->lab;
    CHECK(n->log[index].slot.kind == SLOT_WHOLE);
    if (index < n->cold_until) {
        *need = true;
        return NULL;
    }
    struct buf b = {0};
    const struct lab_slot *s = &n->log[index];
    if (s->slot.type == ENTRY_CHANGE) {
        for (size_t i = 0; i < n->configuration_count; i++) {
            if (n->configurations[i].index == index) {
                configuration_encode(&n->configurations[i], &b);
            }
        }
        CHECK(b.size > 0);
    } else {
        buf_put_u64(&b, s->value);
        buf_put_zeros(&b, lab->entry_size - 8);
    }
    struct entry *e = entry_new(s->slot.type, index, s->slot.term, buf_bytes(&b));
    buf_deinit(&b);
    return e;
}

static inline struct repair_self lab_self(struct lab_node *n)
{
    bool known = n->configuration_count > 0;
    return (struct repair_self){
        .id = n->id,
        .term = n->term,
        .leader = n->leader,
        .leader_term = n->leader_term,
        .snapshot_index = n->snapshot_index,
        .snapshot_term = n->snapshot_term,
        .configuration = known ? &n->configurations[n->configuration_count - 1] : NULL,
        .log = lab_view(n),
        .context = n,
        .entry = lab_entry,
    };
}

static inline void lab_answer(struct lab *lab, struct lab_message *m)
{
    struct lab_node *n = &lab->nodes[m->to];
    for (;;) {
        struct repair_self self = lab_self(n);
        struct repair_reply reply;
        struct err e;
        enum err_code code =
            repair_answer(&self, lab->nodes[m->from].id, buf_bytes(&m->bytes), &reply, &e);
        CHECK(code == ERR_OK);
        if (reply.term_first != 0) {
            CHECK(reply.term_first > n->term);
            n->term = reply.term_first;
            n->leader = 0;
            n->leader_term = 0;
        } else if (reply.need_count > 0) {
            CHECK(reply.need_index < n->cold_until);
            n->reads++;
            n->cold_until = 0;
        } else {
            if (lab->tamper != NULL) {
                lab->tamper(lab, &reply.message);
            }
            lab_send(lab, m->to, m->from, false, buf_bytes(&reply.message));
            buf_deinit(&reply.message);
            return;
        }
    }
}

/* ---- repair ---- */

static inline struct repair_event lab_peers(struct lab *lab, struct lab_node *n)
{
    size_t count = 0;
    for (size_t i = 0; i < lab->node_count; i++) {
        if (i != n->number && lab->nodes[i].up && !lab->cut[n->number][i]) {
            n->peers[count++] = lab->nodes[i].id;
        }
    }
    return (struct repair_event){.type = REPAIR_PEERS, .peers = n->peers, .peer_count = count};
}

/* As a node at its start: keeps the term of the first start of a repair (C2). */
static inline void lab_begin(struct lab *lab, struct lab_node *n)
{
    CHECK(n->repair == NULL);
    n->up = true;
    n->starts++;
    if (lab_is_whole(n)) {
        n->term_began = 0;
        return;
    }
    n->leader = 0;
    n->leader_term = 0;
    n->term_began = n->term_began == 0 ? n->term : n->term_began;
    struct repair_options options = {
        .id = n->id,
        .seed = random_u64(&lab->random),
        .term_began = n->term_began,
        .term = n->term,
        .snapshot_index = n->snapshot_index,
        .snapshot_term = n->snapshot_term,
        .configurations = n->configurations,
        .configuration_count = n->configuration_count,
        .log = lab_view(n),
        .ask_interval_ms = LAB_INTERVAL_MS,
    };
    n->repair = repair_start(&options, lab->now_ms, &n->actions);
}

static inline void lab_stop(struct lab_node *n)
{
    repair_close(n->repair);
    n->repair = NULL;
    n->up = false;
}

static inline void lab_learn(struct lab_node *n, const struct entry *e)
{
    struct configuration c;
    if (e->type == ENTRY_CHANGE) {
        enum err_code code = configuration_decode(entry_payload(e), e->index, &c, NULL);
        CHECK(code == ERR_OK);
        lab_add_configuration(n, &c);
    }
}

static inline void lab_write(struct lab_node *n, const struct entry *e)
{
    CHECK(e->index <= n->lab->log_max);
    uint64_t value = e->type == ENTRY_CHANGE ? lab_value(e->index, e->term) : 0;
    if (e->type != ENTRY_CHANGE) {
        CHECK(e->size >= 8);
        value = bytes_get_u64(e->payload);
    }
    n->log[e->index] =
        (struct lab_slot){{.kind = SLOT_WHOLE, .term = e->term, .type = e->type}, value};
    lab_learn(n, e);
}

static inline void lab_cut_end(struct lab_node *n, uint64_t from)
{
    CHECK(from >= n->first);
    for (uint64_t i = from; i <= n->last; i++) {
        n->log[i] = (struct lab_slot){0};
    }
    n->last = from - 1;
    n->end_unknown = false;
    while (n->configuration_count > 0 &&
           n->configurations[n->configuration_count - 1].index >= from) {
        n->configuration_count--;
    }
}

/* False: nobody gives it. */
static inline bool lab_install(struct lab *lab, struct lab_node *n, const struct repair_action *a)
{
    struct lab_node *from = &lab->nodes[a->id - 1];
    if (lab->installs_to_fail > 0) {
        lab->installs_to_fail--;
        return false;
    }
    if (!from->up || from->snapshot_index < a->index) {
        return false;
    }
    uint64_t index = from->snapshot_index;
    uint64_t term = from->snapshot_term;
    struct log_view view = lab_view(n);
    bool keeps = repair_keeps_later(&view, index, term);
    struct configuration base = from->configurations[0];
    for (size_t i = 0; i < from->configuration_count; i++) {
        if (from->configurations[i].index <= index) {
            base = from->configurations[i];
        }
    }
    size_t kept = 0;
    for (size_t i = 0; i < n->configuration_count && keeps; i++) {
        if (n->configurations[i].index > index) {
            n->configurations[kept++] = n->configurations[i];
        }
    }
    n->configuration_count = kept;
    lab_add_configuration(n, &base);
    n->snapshot_index = index;
    n->snapshot_term = term;
    n->term = term > n->term ? term : n->term;
    if (!keeps) {
        lab_cut_end(n, n->first);
        n->configuration_count = 0;
        lab_add_configuration(n, &base);
    }
    if (index + 1 > n->first) {
        n->first = index + 1;
        n->cut_term = term;
        n->last = n->last > index ? n->last : index;
    }
    return true;
}

/* The event that ends it, type TICK: none. */
static inline struct repair_event lab_change(struct lab *lab, struct lab_node *n,
                                             const struct repair_action *a)
{
    struct repair_event event = {.type = REPAIR_FILLED};
    switch (a->type) {
    case REPAIR_FILL:
        for (size_t i = 0; i < a->count; i++) {
            lab_write(n, a->entries[i]);
        }
        return event;
    case REPAIR_REPLACE:
        CHECK(a->index == a->entries[0]->index);
        CHECK(a->index <= n->last + 1);
        lab_cut_end(n, a->index);
        for (size_t i = 0; i < a->count; i++) {
            CHECK(a->entries[i]->index == n->last + 1);
            lab_write(n, a->entries[i]);
            n->last++;
        }
        return event;
    case REPAIR_DROP:
        CHECK(a->index <= n->last + 1);
        lab_cut_end(n, a->index);
        return event;
    case REPAIR_PERSIST_TERM:
        n->term = a->term > n->term ? a->term : n->term;
        return (struct repair_event){.type = REPAIR_PERSISTED, .term = n->term};
    case REPAIR_SNAPSHOT:
        event.type = REPAIR_INSTALLED;
        if (lab_install(lab, n, a)) {
            event.index = n->snapshot_index;
            event.term = n->snapshot_term;
            event.configuration = &n->configurations[0];
        }
        return event;
    case REPAIR_ASK:
    case REPAIR_WAITS:
    case REPAIR_DONE:
        break;
    }
    return (struct repair_event){.type = REPAIR_TICK};
}

/* Returns the event that follows. */
static inline struct repair_event lab_run_change(struct lab *lab, struct lab_node *n,
                                                 const struct repair_action *a)
{
    lab->steps++;
    bool crash = lab->steps == lab->crash_at;
    struct repair_event event = {0};
    if (!crash || lab->crash_after) {
        event = lab_change(lab, n, a);
    }
    if (crash) {
        lab_stop(n);
        lab_begin(lab, n);
        event = lab_peers(lab, n);
    }
    return event;
}

/* True: 'next' follows. */
static inline bool lab_run_action(struct lab *lab, struct lab_node *n, struct repair_action *a,
                                  struct repair_event *next)
{
    switch (a->type) {
    case REPAIR_ASK:
        lab_send(lab, n->number, a->id - 1, true, buf_bytes(&a->message));
        return false;
    case REPAIR_WAITS:
        mem_free(n->waits);
        n->waits = a->text;
        a->text = NULL;
        n->waits_said++;
        return false;
    case REPAIR_DONE:
        repair_close(n->repair);
        n->repair = NULL;
        n->term_began = 0;
        return false;
    case REPAIR_FILL:
    case REPAIR_REPLACE:
    case REPAIR_DROP:
    case REPAIR_PERSIST_TERM:
    case REPAIR_SNAPSHOT:
        *next = lab_run_change(lab, n, a);
        return true;
    }
    return false;
}

static inline void lab_step(struct lab *lab, struct lab_node *n, struct repair_event event)
{
    for (bool more = true; more && n->repair != NULL;) {
        struct repair_actions list = n->actions;
        struct err e;
        n->actions = (struct repair_actions){0};
        event.now_ms = lab->now_ms;
        enum err_code code = repair_step(n->repair, &event, &list, &e);
        CHECK(code == ERR_OK);
        more = false;
        for (size_t i = 0; i < list.count; i++) {
            CHECK(!more); /* a change of the disk is the last action of a step */
            more = lab_run_action(lab, n, &list.items[i], &event);
        }
        repair_actions_deinit(&list);
    }
}

static inline void lab_tell_peers(struct lab *lab, struct lab_node *n)
{
    lab_step(lab, n, lab_peers(lab, n));
}

static inline void lab_start(struct lab *lab, struct lab_node *n)
{
    lab_begin(lab, n);
    lab_tell_peers(lab, n);
}

static inline void lab_deliver(struct lab *lab, size_t at)
{
    struct lab_message m = lab->messages[at];
    lab->message_count--;
    for (size_t i = at; i < lab->message_count; i++) {
        lab->messages[i] = lab->messages[i + 1];
    }
    struct lab_node *to = &lab->nodes[m.to];
    if (to->up && m.question) {
        lab_answer(lab, &m);
    } else if (to->up) {
        lab_step(lab, to,
                 (struct repair_event){.type = REPAIR_MESSAGE,
                                       .id = lab->nodes[m.from].id,
                                       .message = buf_bytes(&m.bytes)});
    }
    buf_deinit(&m.bytes);
}

/* ---- life ---- */

static inline struct lab *lab_open_long(size_t node_count, uint64_t log_max)
{
    CHECK(node_count <= LAB_NODES);
    struct lab *lab = mem_zalloc(sizeof *lab);
    lab->log_max = log_max;
    lab->node_count = node_count;
    lab->random = random_seeded(node_count);
    lab->now_ms = 1000;
    lab->entry_size = 8;
    struct configuration c = {0};
    for (size_t i = 0; i < node_count; i++) {
        lab_add_server(&c, i + 1, SERVER_VOTER);
    }
    for (size_t i = 0; i < node_count; i++) {
        struct lab_node *n = &lab->nodes[i];
        n->lab = lab;
        n->number = i;
        n->id = i + 1;
        n->first = 1;
        n->log = mem_array(log_max + 1, sizeof(struct lab_slot));
        lab_knows(lab, i, c);
    }
    return lab;
}

static inline struct lab *lab_open(size_t node_count)
{
    return lab_open_long(node_count, LAB_LOG);
}

static inline void lab_close(struct lab *lab)
{
    for (size_t i = 0; i < lab->node_count; i++) {
        lab_stop(&lab->nodes[i]);
        repair_actions_deinit(&lab->nodes[i].actions);
        mem_free(lab->nodes[i].waits);
        mem_free(lab->nodes[i].log);
        mem_free(lab->nodes[i].configurations);
    }
    for (size_t i = 0; i < lab->message_count; i++) {
        buf_deinit(&lab->messages[i].bytes);
    }
    mem_free(lab->messages);
    mem_free(lab);
}

/* Answers questions, but does not repair its own log. */
static inline void lab_idle(struct lab *lab, size_t number)
{
    lab->nodes[number].up = true;
    lab->nodes[number].starts = 1;
}

/* Is down until lab_start(). */
static inline void lab_down(struct lab *lab, size_t number)
{
    lab->nodes[number].up = false;
    lab->nodes[number].starts = 1;
}

/* It leads, and the others in 'followers' (node numbers) follow. */
static inline void lab_lead(struct lab *lab, size_t number, uint64_t term, const char *followers)
{
    struct lab_node *leader = &lab->nodes[number];
    leader->term = leader->term > term ? leader->term : term;
    leader->leader = leader->id;
    leader->leader_term = term;
    for (const char *p = followers; *p != '\0'; p++) {
        struct lab_node *n = &lab->nodes[*p - '0'];
        n->term = term;
        n->leader = leader->id;
        n->leader_term = term;
    }
}

/* Delivers messages, in random order between nodes, until none is left that is due. */
static inline void lab_deliver_all(struct lab *lab)
{
    for (;;) {
        size_t due = 0;
        for (size_t i = 0; i < lab->message_count; i++) {
            due += lab->messages[i].due_ms <= lab->now_ms;
        }
        if (due == 0) {
            return;
        }
        size_t at = 0;
        for (uint64_t skip = random_below(&lab->random, due);
             skip > 0 || lab->messages[at].due_ms > lab->now_ms; at++) {
            skip -= lab->messages[at].due_ms <= lab->now_ms;
        }
        for (size_t i = 0; i < at; i++) { /* first of its link */
            if (lab->messages[i].from == lab->messages[at].from &&
                lab->messages[i].to == lab->messages[at].to) {
                at = i;
            }
        }
        lab_deliver(lab, at);
    }
}

static inline void lab_tick(struct lab *lab)
{
    lab->now_ms += LAB_INTERVAL_MS;
    for (size_t i = 0; i < lab->node_count; i++) {
        lab_step(lab, &lab->nodes[i], (struct repair_event){.type = REPAIR_TICK});
    }
    lab_deliver_all(lab);
}

/* Node 0 as it stands, and all terms: "1 1 2, done, terms 2 1 1". */
static inline char *lab_outcome(const struct lab *lab)
{
    struct buf b = {0};
    char *log = lab_text(lab, 0);
    buf_printf(&b, "%s, %s, terms", log, lab->nodes[0].repair == NULL ? "done" : "waits");
    for (size_t i = 0; i < lab->node_count; i++) {
        buf_printf(&b, " %" PRIu64, lab->nodes[i].term);
    }
    char *text = mem_format("%.*s", (int)b.size, (const char *)b.data);
    buf_deinit(&b);
    mem_free(log);
    return text;
}

static inline bool lab_is_done(const struct lab *lab)
{
    for (size_t i = 0; i < lab->node_count; i++) {
        if (lab->nodes[i].repair != NULL) {
            return false;
        }
    }
    return true;
}

/* Starts those that were never started; then until all are done, or for so long
 * that nothing will come any more. */
static inline void lab_run_for(struct lab *lab, unsigned rounds)
{
    for (size_t i = 0; i < lab->node_count; i++) {
        lab->nodes[i].up = lab->nodes[i].up || lab->nodes[i].starts == 0;
    }
    for (size_t i = 0; i < lab->node_count; i++) {
        if (lab->nodes[i].starts == 0) {
            lab_start(lab, &lab->nodes[i]);
        }
    }
    lab_deliver_all(lab);
    for (unsigned round = 0; round < rounds && !lab_is_done(lab); round++) {
        lab_tick(lab);
    }
}

static inline void lab_run(struct lab *lab)
{
    lab_run_for(lab, LAB_ROUNDS);
}

#endif
