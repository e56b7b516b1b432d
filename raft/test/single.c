/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/test/single.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "raft/raft_replica.h"

enum { SELF = 1, ENTRIES_MAX = 4096, FIRST_MS = 1000 };

void single_configuration(const char *servers, uint64_t index, struct configuration *out)
{
    memset(out, 0, sizeof *out);
    out->index = index;
    for (const char *p = servers; *p != '\0'; p++) {
        uint64_t id = (uint64_t)(p - servers) + 1;
        if (*p == '-') {
            continue; /* a number that is not in it */
        }
        struct server *s = &out->servers[out->count];
        s->id = id;
        s->role = *p == 'v' ? SERVER_VOTER : *p == 's' ? SERVER_STANDBY : SERVER_SPARE;
        (void)snprintf(s->address, sizeof s->address, "n%llu", (unsigned long long)id);
        out->count++;
    }
}

static struct entry *make_entry(enum entry_type type, uint64_t index, uint64_t term,
                                const char *servers)
{
    struct buf payload = {0};
    if (type == ENTRY_CHANGE) {
        struct configuration c;
        single_configuration(servers, index, &c);
        configuration_encode(&c, &payload);
    } else if (type == ENTRY_COMMAND) {
        buf_put_u64(&payload, index * 1000 + term);
    }
    struct entry *e = entry_new(type, index, term, buf_bytes(&payload));
    buf_deinit(&payload);
    return e;
}

void single_open(struct single *s, const struct single_options *o)
{
    const char *servers = o->servers == NULL ? "vvv" : o->servers;
    struct entry *entries[ENTRIES_MAX];
    struct replica_state state = {.term = o->term == 0 ? 1 : o->term,
                                  .voted_for = o->voted_for,
                                  .log_first = o->snapshot + 1,
                                  .entries = entries};
    memset(s, 0, sizeof *s);
    s->now_ms = FIRST_MS;
    if (o->empty) {
        state.term = 0;
    } else if (o->snapshot != 0) {
        state.snapshot_index = o->snapshot;
        state.snapshot_term = 1;
        single_configuration(servers, 1, &state.snapshot_configuration);
    } else {
        entries[state.count++] = make_entry(ENTRY_CHANGE, 1, 1, servers);
    }
    CHECK(o->count + 1 < ENTRIES_MAX);
    for (size_t i = 0; i < o->count; i++) {
        entries[state.count] = make_entry(ENTRY_COMMAND, state.log_first + state.count,
                                          o->terms == NULL ? 1 : o->terms[i], NULL);
        state.count++;
    }
    struct replica_options options = {.id = SELF,
                                      .seed = 42,
                                      .heartbeat_ms = 100,
                                      .election_ms = 500,
                                      .cache_size_max = o->cache_size_max};
    (void)snprintf(options.address, sizeof options.address, "n1");
    struct err e = {0};
    if (replica_start(&options, &state, s->now_ms, &s->replica, &s->actions, &e) != ERR_OK) {
        PANIC("single_open: %s", e.text);
    }
    s->replica->guards.off = o->guards_off;
    s->replica->outbox.leaks = (o->guards_off & 1U << RAFT_B1) != 0;
    for (size_t i = 0; i < state.count; i++) {
        entry_unref(entries[i]);
    }
    single_sync(s);
}

void single_close(struct single *s)
{
    replica_close(s->replica);
    actions_deinit(&s->actions);
    s->replica = NULL;
}

void single_forget(struct single *s)
{
    s->forgotten = s->actions.count;
}

static void give_to_disk(struct single *s)
{
    while (s->handled < s->actions.count) {
        const struct action *a = &s->actions.items[s->handled++];
        struct event event = {.now_ms = s->now_ms};
        if (a->type == ACTION_HARD_STATE) {
            event.type = EVENT_HARD_STATE_DURABLE;
        } else if (a->type == ACTION_APPEND) {
            event.type = EVENT_APPEND_DURABLE;
            event.token = a->token;
        } else {
            continue;
        }
        enum err_code code = replica_step(s->replica, &event, &s->actions, &s->err);
        CHECK(code == ERR_OK || single_count(s, ACTION_STOP) > 0);
    }
}

void single_sync(struct single *s)
{
    bool held = s->disk_held;
    s->disk_held = false;
    give_to_disk(s);
    s->disk_held = held;
}

enum err_code single_step(struct single *s, struct event *event)
{
    event->now_ms = s->now_ms;
    memset(&s->err, 0, sizeof s->err);
    s->code = replica_step(s->replica, event, &s->actions, &s->err);
    if (!s->disk_held) {
        give_to_disk(s);
    }
    return s->code;
}

enum err_code single_tick(struct single *s, uint64_t ms)
{
    s->now_ms += ms;
    struct event event = {.type = EVENT_TICK};
    return single_step(s, &event);
}

void single_wait(struct single *s)
{
    uint64_t due = replica_deadline_ms(s->replica);
    (void)single_tick(s, due > s->now_ms ? due - s->now_ms : 0);
}

enum err_code single_packet(struct single *s, uint64_t from, const struct raft_packet *p)
{
    struct buf message = {0};
    raft_packet_encode(p, &message);
    struct event event = {.type = EVENT_MESSAGE, .id = from, .message = buf_bytes(&message)};
    enum err_code code = single_step(s, &event);
    buf_deinit(&message);
    return code;
}

enum err_code single_append(struct single *s, uint64_t from, const struct single_append *a)
{
    struct entry *entries[ENTRIES_MAX];
    struct raft_packet p = {.kind = RAFT_MESSAGE_CORE, .entries = entries, .count = a->count};
    p.core.type = RAFT_APPEND_ENTRIES;
    p.core.server_id = from;
    p.core.append_entries = (struct raft_append_entries){
        .term = a->term,
        .prev_log_index = a->prev,
        .prev_log_term = a->prev_term,
        .leader_commit = a->commit,
        .n_entries = (unsigned)a->count,
    };
    CHECK(a->count <= ENTRIES_MAX);
    for (size_t i = 0; i < a->count; i++) {
        entries[i] = make_entry(a->types == NULL ? ENTRY_COMMAND : a->types[i], a->prev + 1 + i,
                                a->terms == NULL ? 1 : a->terms[i], a->servers);
    }
    enum err_code code = single_packet(s, from, &p);
    for (size_t i = 0; i < a->count; i++) {
        entry_unref(entries[i]);
    }
    return code;
}

enum err_code single_heartbeat(struct single *s, uint64_t from, uint64_t term, uint64_t prev,
                               uint64_t prev_term, uint64_t commit)
{
    struct single_append a = {.term = term, .prev = prev, .prev_term = prev_term, .commit = commit};
    return single_append(s, from, &a);
}

enum err_code single_result(struct single *s, uint64_t from, uint64_t term, uint64_t rejected,
                            uint64_t last)
{
    struct raft_packet p = {.kind = RAFT_MESSAGE_CORE};
    p.core.type = RAFT_APPEND_ENTRIES_RESULT;
    p.core.server_id = from;
    p.core.append_entries_result = (struct raft_append_entries_result){
        .version = RAFT_MESSAGE_RESULT_VERSION,
        .term = term,
        .rejected = rejected,
        .last_log_index = last,
        .features = RAFT_MESSAGE_FEATURES,
    };
    return single_packet(s, from, &p);
}

enum err_code single_vote(struct single *s, uint64_t from, uint64_t term, bool granted, bool pre)
{
    struct raft_packet p = {.kind = RAFT_MESSAGE_CORE};
    p.core.type = RAFT_REQUEST_VOTE_RESULT;
    p.core.server_id = from;
    p.core.request_vote_result = (struct raft_request_vote_result){
        .version = RAFT_MESSAGE_VOTE_VERSION,
        .term = term,
        .vote_granted = granted,
        .pre_vote = pre,
        .features = RAFT_MESSAGE_FEATURES,
    };
    return single_packet(s, from, &p);
}

enum err_code single_request_vote(struct single *s, uint64_t from,
                                  const struct raft_request_vote *v)
{
    struct raft_packet p = {.kind = RAFT_MESSAGE_CORE};
    p.core.type = RAFT_REQUEST_VOTE;
    p.core.server_id = from;
    p.core.request_vote = *v;
    p.core.request_vote.version = RAFT_MESSAGE_VOTE_VERSION;
    p.core.request_vote.candidate_id = from;
    return single_packet(s, from, &p);
}

enum err_code single_install(struct single *s, uint64_t from, uint64_t term, uint64_t index,
                             uint64_t index_term, const char *servers)
{
    struct raft_packet p = {.kind = RAFT_MESSAGE_CORE};
    p.core.type = RAFT_INSTALL_SNAPSHOT;
    p.core.server_id = from;
    p.core.install_snapshot.term = term;
    p.core.install_snapshot.last_index = index;
    p.core.install_snapshot.last_term = index_term;
    p.core.install_snapshot.conf_index = 1;
    single_configuration(servers, 1, &p.configuration);
    return single_packet(s, from, &p);
}

enum err_code single_round(struct single *s, uint64_t from, enum raft_message_kind kind,
                           uint64_t term, uint64_t round)
{
    struct raft_packet p = {.kind = kind, .term = term, .round = round};
    return single_packet(s, from, &p);
}

enum err_code single_submit(struct single *s, size_t count, size_t size)
{
    struct entry **entries = mem_array(count, sizeof(struct entry *));
    for (size_t i = 0; i < count; i++) {
        entries[i] = entry_new(ENTRY_COMMAND, 0, 0, bytes_of(NULL, size));
        memset(entries[i]->payload, 7, size);
    }
    struct event event = {.type = EVENT_SUBMIT, .entries = entries, .count = count};
    enum err_code code = single_step(s, &event);
    for (size_t i = 0; i < count; i++) {
        entry_unref(entries[i]);
    }
    mem_free((void *)entries);
    return code;
}

enum err_code single_applied(struct single *s, uint64_t index)
{
    struct event event = {.type = EVENT_APPLIED, .index = index};
    return single_step(s, &event);
}

enum err_code single_change(struct single *s, const char *servers)
{
    struct configuration to;
    single_configuration(servers, 0, &to);
    struct event event = {.type = EVENT_CHANGE, .configuration = &to};
    return single_step(s, &event);
}

void single_lead(struct single *s)
{
    for (int i = 0; i < 8 && single_status(s).role == REPLICA_FOLLOWER; i++) {
        single_wait(s);
    }
    CHECK(single_status(s).role == REPLICA_CANDIDATE);
    uint64_t term = single_status(s).term + 1;
    for (uint64_t voter = 2; voter <= 3; voter++) {
        (void)single_vote(s, voter, term, true, true);
    }
    for (uint64_t voter = 2; voter <= 3; voter++) {
        (void)single_vote(s, voter, term, true, false);
    }
    CHECK(single_status(s).role == REPLICA_LEADER);
}

void single_acknowledge(struct single *s, uint64_t from)
{
    struct replica_status status = single_status(s);
    (void)single_result(s, from, status.term, 0, status.last_index);
}

struct replica_status single_status(const struct single *s)
{
    return replica_status(s->replica);
}

size_t single_count(const struct single *s, enum action_type type)
{
    size_t count = 0;
    for (size_t i = s->forgotten; i < s->actions.count; i++) {
        count += s->actions.items[i].type == type ? 1U : 0U;
    }
    return count;
}

const struct action *single_action(const struct single *s, enum action_type type, size_t nth)
{
    for (size_t i = s->forgotten; i < s->actions.count; i++) {
        if (s->actions.items[i].type == type && nth-- == 0) {
            return &s->actions.items[i];
        }
    }
    return NULL;
}

static int type_of(const struct raft_packet *p)
{
    return p->kind == RAFT_MESSAGE_CORE ? (int)p->core.type : 100 + (int)p->kind;
}

size_t single_sent_count(const struct single *s, uint64_t to, int type)
{
    size_t count = 0;
    while (single_sent(s, to, type, count).found) {
        count++;
    }
    return count;
}

struct single_sent single_sent(const struct single *s, uint64_t to, int type, size_t nth)
{
    struct single_sent out = {0};
    for (size_t i = s->forgotten; i < s->actions.count && !out.found; i++) {
        const struct action *a = &s->actions.items[i];
        if (a->type != ACTION_SEND || a->id != to) {
            continue;
        }
        struct raft_packet p;
        enum err_code code = raft_packet_decode(buf_bytes(&a->message), SELF, &p, NULL);
        CHECK(code == ERR_OK);
        if ((type == 0 || type_of(&p) == type) && nth-- == 0) {
            out.found = true;
            out.packet = p;
            out.packet.entries = NULL;
            out.packet.count = 0;
            out.entry_count = p.count;
            out.entry_first = p.count == 0 ? 0 : p.entries[0]->index;
        }
        raft_packet_deinit(&p);
    }
    return out;
}
