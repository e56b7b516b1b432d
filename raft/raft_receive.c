/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/check.h"
#include "proto/command.h"
#include "raft/raft_replica.h"

static void step_message(struct replica *r, struct raft_message *m)
{
    CHECK(m->server_id != 0);
    char address[RAFT_CORE_ADDRESS_SIZE];
    raft_core_address(m->server_id, address);
    m->server_address = address;
    struct raft_input input = {.event = {.type = RAFT_RECEIVE}};
    input.event.receive.message = m;
    int rv = raft_update_step(r, &input);
    CHECK(rv == 0 || r->stopped);
}

/* Two leaders of one term: nothing that libraft could do is right. */
static bool is_second_leader(struct replica *r, uint64_t term)
{
    CHECK(term > 0);
    CHECK(!r->stopped);
    if (raft_state(&r->core) != RAFT_LEADER || raft_current_term(&r->core) != term) {
        return false;
    }
    raft_stop(r, "another node leads in our own term");
    return true;
}

static bool reply_to_stale(struct replica *r, const struct raft_packet *p)
{
    CHECK(p->kind == RAFT_MESSAGE_CORE);
    struct raft_packet reply;
    if (!raft_guard_stale_term(&r->guards, p, raft_current_term(&r->core), &reply)) {
        return false;
    }
    CHECK(reply.core.server_id == p->core.server_id);
    raft_send_packet(r, reply.core.server_id, &reply);
    return true;
}

/* Part of G3. A change about to be appended after an entry that we share with
 * the leader: the changes we hold before it are committed, else the leader could
 * not have made another. libraft must know, or it rolls back too far. */
static void tell_older_changes(struct replica *r, const struct raft_append_entries *append,
                               const struct entry *change)
{
    CHECK(change->type == ENTRY_CHANGE);
    CHECK(change->index == append->prev_log_index + 1);
    uint64_t term = 0;
    if (r->installing || append->term < raft_current_term(&r->core) ||
        !raft_guard_is_on(&r->guards, RAFT_G3)) {
        return;
    }
    if (append->prev_log_index > 0 &&
        (!raft_term_at(r, append->prev_log_index, &term) || term != append->prev_log_term)) {
        return;
    }
    if (raft_term_at(r, change->index, &term) && term == change->term) {
        return;
    }
    for (size_t i = 0; i < r->history.count; i++) {
        const struct configuration *c = &r->history.items[i];
        if (c->index > r->told && c->index <= append->prev_log_index) {
            raft_update_tell(r, c);
        }
    }
}

/* libraft forgets commits when it starts anew, and takes the founding entry of a
 * log that is still all uncommitted for one that may go: this remembers. */
static bool replaces_committed(const struct replica *r, const struct raft_append_entries *append,
                               struct entry *const *entries)
{
    uint64_t term = 0;
    uint64_t committed = r->commit > r->told ? r->commit : r->told;
    CHECK(append->n_entries > 0);
    CHECK(entries[0]->index == append->prev_log_index + 1);
    committed = committed == 0 ? 1 : committed;
    if (r->installing ||
        (append->prev_log_index > 0 &&
         (!raft_term_at(r, append->prev_log_index, &term) || term != append->prev_log_term))) {
        return false; /* refused, or left out, anyway */
    }
    for (unsigned i = 0; i < append->n_entries && entries[i]->index <= committed; i++) {
        if (raft_log_term(&r->log, entries[i]->index, &term) && term != entries[i]->term) {
            return true;
        }
    }
    return false;
}

/* Gives entries [from, from + size) of the packet to libraft. True: they are in our log now. */
static bool step_piece(struct replica *r, const struct raft_packet *p, size_t from, size_t size)
{
    CHECK(from + size <= p->count);
    struct raft_message m = p->core;
    struct raft_append_entries *append = &m.append_entries;
    struct raft_core_entries core = {0};
    struct raft_input input = {.event = {.type = RAFT_RECEIVE}};
    append->prev_log_index = p->core.append_entries.prev_log_index + from;
    if (from > 0) {
        append->prev_log_term = p->entries[from - 1]->term;
    }
    append->n_entries = (unsigned)size;
    if (size > 0) {
        if (replaces_committed(r, append, p->entries + from)) {
            raft_stop(r, "a committed entry would be replaced");
            return false;
        }
        if (p->entries[from]->type == ENTRY_CHANGE) {
            tell_older_changes(r, append, p->entries[from]);
        }
        raft_core_entries_init(&core, p->entries + from, size);
        append->entries = core.items;
        input.entries = p->entries + from;
        input.count = size;
        input.core = &core;
    }
    char address[RAFT_CORE_ADDRESS_SIZE];
    raft_core_address(m.server_id, address);
    m.server_address = address;
    input.event.receive.message = &m;
    int rv = r->stopped ? -1 : raft_update_step(r, &input);
    CHECK(rv == 0 || r->stopped);
    raft_core_entries_deinit(&core);
    uint64_t term = 0;
    uint64_t last = append->prev_log_index + size;
    return size > 0 && rv == 0 && raft_term_at(r, last, &term) &&
           term == p->entries[from + size - 1]->term;
}

static bool is_reserved(const struct entry *entry)
{
    CHECK(entry->index > 0);
    return entry->type != ENTRY_COMMAND ||
           (entry->size > 0 && entry->payload[0] == COMMAND_CHECKPOINT);
}

/* How many of the entries are taken now. */
static size_t entries_with_room(const struct replica *r, const struct raft_packet *p,
                                enum replica_room room)
{
    size_t count = 0;
    if (r->log.bytes > r->options.cache_size_max + LIMIT_UNAPPLIED_SIZE_MAX ||
        room == REPLICA_ROOM_NONE) {
        return 0;
    }
    while (count < p->count && (room == REPLICA_ROOM_ALL || is_reserved(p->entries[count]))) {
        count++;
    }
    return count;
}

/* No room: the append counts as a shorter one or a heartbeat, and the rest is sent
 * again later. */
static void leave_out_entries(const struct replica *r, struct raft_packet *p,
                              enum replica_room room)
{
    CHECK(p->core.type == RAFT_APPEND_ENTRIES);
    size_t count = entries_with_room(r, p, room);
    for (size_t i = count; i < p->count; i++) {
        entry_unref(p->entries[i]);
    }
    p->count = count;
    p->core.append_entries.n_entries = (unsigned)count;
    CHECK(p->entries != NULL || p->count == 0);
}

static void receive_append(struct replica *r, struct raft_packet *p, enum replica_room room)
{
    CHECK(p->count == p->core.append_entries.n_entries);
    const struct raft_append_entries *append = &p->core.append_entries;
    uint64_t term = append->term;
    CHECK(term > 0);
    if (reply_to_stale(r, p) || is_second_leader(r, term)) {
        return;
    }
    if (raft_guard_prefix(&r->guards, append, r->log.first)) {
        return;
    }
    leave_out_entries(r, p, room);
    size_t from = 0;
    bool goes_on = true;
    do {
        size_t size = raft_guard_piece(&r->guards, p->entries, p->count, from);
        goes_on = step_piece(r, p, from, size);
        from += size;
    } while (goes_on && from < p->count && !r->stopped);
    if (!r->stopped && raft_current_term(&r->core) == term) {
        raft_follow_heard(r, p->core.server_id);
    }
}

static void receive_append_result(struct replica *r, struct raft_packet *p)
{
    struct raft_append_entries_result *result = &p->core.append_entries_result;
    CHECK(p->core.type == RAFT_APPEND_ENTRIES_RESULT);
    bool leader = raft_state(&r->core) == RAFT_LEADER;
    raft_index match = 0;
    if (leader && result->term == raft_current_term(&r->core) &&
        raft_match_index(&r->core, p->core.server_id, &match) == 0 &&
        !raft_guard_rejection(&r->guards, result, match)) {
        return;
    }
    step_message(r, &p->core);
    CHECK(!r->stopped || r->actions->count > 0);
    struct raft_peer *peer = raft_peer_find(r, p->core.server_id);
    if (peer == NULL || r->stopped || raft_state(&r->core) != RAFT_LEADER) {
        return;
    }
    if (peer->transfer.running && raft_lead_match(r, peer->id) >= peer->transfer.index) {
        peer->transfer.running = false;
    }
    raft_send_feed(r, peer);
}

static void receive_install(struct replica *r, const struct raft_packet *p)
{
    CHECK(p->core.type == RAFT_INSTALL_SNAPSHOT);
    CHECK(p->configuration.count > 0);
    uint64_t term = p->core.install_snapshot.term;
    if (reply_to_stale(r, p) || is_second_leader(r, term)) {
        return;
    }
    if (raft_guard_install(&r->guards, r->installing)) {
        return;
    }
    if (!r->installing) {
        r->install.index = p->core.install_snapshot.last_index;
        r->install.term = p->core.install_snapshot.last_term;
        r->install.configuration = p->configuration;
    }
    /* libraft owns both from here: it frees them, or hands them back with an update. */
    struct raft_message m = p->core;
    raft_core_configuration(&p->configuration, &m.install_snapshot.conf);
    m.install_snapshot.data.base = raft_malloc(1);
    m.install_snapshot.data.len = 1;
    CHECK(m.install_snapshot.data.base != NULL);
    step_message(r, &m);
    if (!r->stopped && raft_current_term(&r->core) == term) {
        raft_follow_heard(r, p->core.server_id);
    }
}

static void receive_core(struct replica *r, struct raft_packet *p, enum replica_room room)
{
    CHECK(p->kind == RAFT_MESSAGE_CORE);
    CHECK(p->core.server_id != r->options.id);
    switch (p->core.type) {
    case RAFT_APPEND_ENTRIES:
        receive_append(r, p, room);
        break;
    case RAFT_APPEND_ENTRIES_RESULT:
        receive_append_result(r, p);
        break;
    case RAFT_REQUEST_VOTE:
        if (!raft_follow_vote(r, p)) {
            step_message(r, &p->core);
        }
        break;
    case RAFT_REQUEST_VOTE_RESULT:
        if (raft_guard_vote(&r->guards, &p->core.request_vote_result,
                            raft_state(&r->core) == RAFT_CANDIDATE, raft_current_term(&r->core))) {
            step_message(r, &p->core);
        }
        break;
    case RAFT_INSTALL_SNAPSHOT:
        receive_install(r, p);
        break;
    case RAFT_TIMEOUT_NOW:
        step_message(r, &p->core);
        break;
    }
}

static void receive_ping(struct replica *r, uint64_t sender, const struct raft_packet *ping)
{
    CHECK(ping->kind == RAFT_MESSAGE_PING);
    CHECK(sender != r->options.id);
    if (ping->term != raft_current_term(&r->core)) {
        return;
    }
    struct raft_packet pong = *ping;
    pong.kind = RAFT_MESSAGE_PONG;
    raft_send_packet(r, sender, &pong);
}

enum err_code raft_receive(struct replica *r, const struct event *event, struct err *e)
{
    uint64_t sender = event->id;
    CHECK(r->actions != NULL);
    CHECK(!r->stopped);
    if (sender == 0 || sender == r->options.id) {
        return err_set(e, ERR_INVALID, "a message from nobody, or from ourselves");
    }
    struct raft_packet p;
    enum err_code code = raft_packet_decode(event->message, sender, &p, e);
    if (code != ERR_OK) {
        return code;
    }
    struct raft_peer *peer = raft_peer_find(r, sender);
    if (peer != NULL) {
        peer->heard_ms = r->now_ms;
    }
    switch (p.kind) {
    case RAFT_MESSAGE_CORE:
        receive_core(r, &p, event->room);
        break;
    case RAFT_MESSAGE_PING:
        receive_ping(r, sender, &p);
        break;
    case RAFT_MESSAGE_PONG:
        raft_lead_pong(r, sender, p.term, p.round);
        break;
    }
    raft_packet_deinit(&p);
    return ERR_OK;
}
