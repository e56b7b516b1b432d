/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "raft/raft_actions.h"
#include "raft/raft_replica.h"

void raft_send_packet(struct replica *r, uint64_t peer, const struct raft_packet *p)
{
    CHECK(peer != r->options.id);
    struct buf message = {0};
    raft_packet_encode(p, &message);
    CHECK(message.size > 0);
    raft_outbox_send(&r->outbox, peer, &message, r->actions);
}

static void note_append(struct replica *r, struct raft_peer *peer, uint64_t index)
{
    CHECK(peer != NULL);
    CHECK(r->now_ms >= peer->sent_ms);
    peer->sent_ms = r->now_ms;
    peer->sent_index = index;
}

/* Entries that are at hand, as appends below the size of a frame. */
static void send_entries(struct replica *r, struct raft_peer *peer, struct entry **entries,
                         size_t count)
{
    CHECK(count > 0);
    CHECK(raft_state(&r->core) == RAFT_LEADER);
    uint64_t commit = raft_commit_index(&r->core);
    for (size_t from = 0; from < count;) {
        size_t size = raft_packet_entry_size(entries[from]);
        size_t n = 1;
        while (from + n < count && n < LIMIT_APPEND_ENTRIES_MAX &&
               size + raft_packet_entry_size(entries[from + n]) <= r->options.append_size) {
            size += raft_packet_entry_size(entries[from + n]);
            n++;
        }
        struct raft_packet p = {.kind = RAFT_MESSAGE_CORE};
        p.core.type = RAFT_APPEND_ENTRIES;
        p.core.server_id = peer->id;
        p.core.append_entries.term = raft_current_term(&r->core);
        p.core.append_entries.leader_commit = commit;
        p.core.append_entries.prev_log_index = entries[from]->index - 1;
        p.core.append_entries.n_entries = (unsigned)n;
        p.entries = entries + from;
        p.count = n;
        uint64_t term = 0;
        if (entries[from]->index > 1) {
            if (!raft_term_at(r, entries[from]->index - 1, &term)) {
                return; /* cut meanwhile: libraft will send a snapshot */
            }
            p.core.append_entries.prev_log_term = term;
        }
        raft_send_packet(r, peer->id, &p);
        from += n;
        note_append(r, peer, entries[from - 1]->index);
    }
}

static bool is_cached(const struct replica *r, uint64_t first, uint64_t last)
{
    CHECK(first <= last);
    CHECK(last <= r->log.last);
    return first >= r->log.cache_first;
}

static void send_cached(struct replica *r, struct raft_peer *peer, uint64_t first, uint64_t last)
{
    CHECK(is_cached(r, first, last));
    CHECK(last - first < LIMIT_APPEND_ENTRIES_MAX * 2);
    size_t count = (size_t)(last - first + 1);
    struct entry **entries = mem_array(count, sizeof(struct entry *));
    for (size_t i = 0; i < count; i++) {
        entries[i] = raft_log_entry(&r->log, first + i);
        CHECK(entries[i] != NULL);
    }
    send_entries(r, peer, entries, count);
    mem_free((void *)entries);
}

/* One heartbeat is enough within this time. */
static bool is_surplus(const struct replica *r, const struct raft_peer *peer)
{
    CHECK(r->now_ms >= peer->sent_ms);
    CHECK(r->options.heartbeat_ms > 0);
    return peer->sent_ms != 0 && r->now_ms - peer->sent_ms < (r->options.heartbeat_ms + 1) / 2;
}

/* Says who leads, to a peer for which anything else would come too early. */
static void send_neutral(struct replica *r, struct raft_peer *peer)
{
    CHECK(raft_state(&r->core) == RAFT_LEADER);
    if (is_surplus(r, peer)) {
        return;
    }
    CHECK(peer->id != r->options.id);
    struct raft_packet p;
    raft_guard_neutral(&p, peer->id, raft_current_term(&r->core));
    raft_send_packet(r, peer->id, &p);
    note_append(r, peer, peer->sent_index);
}

void raft_send_feed(struct replica *r, struct raft_peer *peer)
{
    struct raft_feed *feed = &peer->feed;
    if (!feed->active || feed->token != 0) {
        return;
    }
    CHECK(raft_state(&r->core) == RAFT_LEADER);
    if (feed->next < r->log.first || feed->next > feed->end) {
        *feed = (struct raft_feed){0};
        return;
    }
    CHECK(feed->end <= r->log.last);
    uint64_t match = raft_lead_match(r, peer->id);
    uint64_t held = match > feed->begin ? match : feed->begin;
    if (feed->next > held + RAFT_FEED_WINDOW) {
        return; /* goes on when the peer acknowledges */
    }
    feed->moved_ms = r->now_ms;
    if (is_cached(r, feed->next, feed->end)) {
        uint64_t first = feed->next;
        uint64_t last = feed->end;
        *feed = (struct raft_feed){0};
        send_cached(r, peer, first, last);
        return;
    }
    uint64_t last = feed->end < r->log.cache_first ? feed->end : r->log.cache_first - 1;
    uint64_t count = last - feed->next + 1;
    r->token++;
    feed->token = r->token;
    struct action *a = raft_actions_put(r->actions, ACTION_READ_LOG);
    a->index = feed->next;
    a->count = (size_t)(count < RAFT_FEED_ENTRIES ? count : RAFT_FEED_ENTRIES);
    a->token = feed->token;
    a->id = peer->id;
}

/* libraft wants 'peer' to have [first, last], and memory does not hold all of it. */
static void feed_request(struct replica *r, struct raft_peer *peer, uint64_t first, uint64_t last)
{
    struct raft_feed *feed = &peer->feed;
    CHECK(first <= last);
    CHECK(last <= r->log.last);
    uint64_t patience_ms = 2 * (uint64_t)r->options.heartbeat_ms;
    bool again = feed->active && first < feed->next && r->now_ms - feed->moved_ms < patience_ms;
    if (again) {
        /* libraft probes at each heartbeat; what it asks for is on its way. */
        feed->end = last > feed->end ? last : feed->end;
        return;
    }
    if (!feed->active || first < feed->next) {
        *feed = (struct raft_feed){.active = true, .begin = first, .next = first, .end = last};
    }
    feed->end = last > feed->end ? last : feed->end;
    CHECK(feed->next <= feed->end);
    raft_send_feed(r, peer);
}

enum err_code raft_send_log_read(struct replica *r, const struct event *event, struct err *e)
{
    CHECK(event->type == EVENT_LOG_READ);
    CHECK(event->entries != NULL || event->count == 0);
    struct raft_peer *peer = NULL;
    for (size_t i = 0; i < r->peer_count; i++) {
        if (event->token != 0 && r->peers[i].feed.token == event->token) {
            peer = &r->peers[i];
        }
    }
    if (peer == NULL || raft_state(&r->core) != RAFT_LEADER) {
        return ERR_OK; /* asked for in another life: an older term, or another start of the feed */
    }
    peer->feed.token = 0;
    if (event->count == 0) {
        peer->feed = (struct raft_feed){0};
        return ERR_OK;
    }
    for (size_t i = 0; i < event->count; i++) {
        uint64_t term = 0;
        const struct entry *entry = event->entries[i];
        if (entry->index != peer->feed.next + i || !raft_log_term(&r->log, entry->index, &term) ||
            entry->term != term) {
            peer->feed = (struct raft_feed){0};
            return err_set(e, ERR_INVALID,
                           "entry %" PRIu64 " of term %" PRIu64 " was not asked for", entry->index,
                           entry->term);
        }
    }
    send_entries(r, peer, event->entries, event->count);
    peer->feed.next += event->count;
    raft_send_feed(r, peer);
    return ERR_OK;
}

static void send_append(struct replica *r, const struct raft_message *m)
{
    const struct raft_append_entries *append = &m->append_entries;
    struct raft_peer *peer = raft_peer_get(r, m->server_id);
    CHECK(append->term == raft_current_term(&r->core));
    if (peer == NULL) {
        return;
    }
    CHECK(raft_state(&r->core) == RAFT_LEADER);
    uint64_t first = append->prev_log_index + 1;
    uint64_t last = append->prev_log_index + append->n_entries;
    if (append->n_entries > 0) {
        if (peer->feed.active || !is_cached(r, first, last)) {
            feed_request(r, peer, first, last);
            send_neutral(r, peer); /* unless something was sent just now */
        } else {
            send_cached(r, peer, first, last);
        }
        return;
    }
    if (peer->feed.active) {
        /* What it names is not with the peer yet: the peer would refuse it. */
        send_neutral(r, peer);
        return;
    }
    bool lags = append->prev_log_index != 0 && append->prev_log_index == peer->sent_index;
    if (lags && is_surplus(r, peer)) {
        return;
    }
    struct raft_packet p = {.kind = RAFT_MESSAGE_CORE, .core = *m};
    p.core.append_entries.entries = NULL;
    raft_send_packet(r, peer->id, &p);
    note_append(r, peer, append->prev_log_index);
}

/* libraft's request is taken as "see that this peer gets our snapshot" (G8). */
static void send_install(struct replica *r, const struct raft_message *m)
{
    struct raft_peer *peer = raft_peer_get(r, m->server_id);
    CHECK(r->snapshot.index == m->install_snapshot.last_index);
    CHECK(r->snapshot.term == m->install_snapshot.last_term);
    if (peer == NULL) {
        return;
    }
    peer->feed = (struct raft_feed){0};
    bool covered =
        raft_guard_snapshot(&r->guards, &peer->transfer, r->now_ms, r->options.election_ms);
    if (!covered) {
        struct raft_packet p = {.kind = RAFT_MESSAGE_CORE};
        p.core.type = RAFT_INSTALL_SNAPSHOT;
        p.core.server_id = peer->id;
        p.core.install_snapshot = (struct raft_install_snapshot){
            .version = m->install_snapshot.version,
            .term = m->install_snapshot.term,
            .last_index = r->snapshot.index,
            .last_term = r->snapshot.term,
            .conf_index = r->snapshot.configuration.index,
        };
        p.configuration = r->snapshot.configuration;
        raft_send_packet(r, peer->id, &p);
        peer->transfer.running = true;
        peer->transfer.index = r->snapshot.index;
        peer->transfer.asked_ms = r->now_ms;
    }
    if (raft_guard_is_on(&r->guards, RAFT_G8)) {
        send_neutral(r, peer);
    }
}

void raft_send_core(struct replica *r, const struct raft_message *m)
{
    CHECK(m->server_id != 0);
    CHECK(m->server_id != r->options.id);
    struct raft_packet p = {.kind = RAFT_MESSAGE_CORE};
    switch (m->type) {
    case RAFT_APPEND_ENTRIES:
        send_append(r, m);
        return;
    case RAFT_INSTALL_SNAPSHOT:
        send_install(r, m);
        return;
    case RAFT_APPEND_ENTRIES_RESULT:
        p.core = *m;
        raft_guard_hint(&r->guards, &p.core.append_entries_result, &r->log, r->commit);
        break;
    case RAFT_REQUEST_VOTE_RESULT:
        p.core = *m;
        raft_guard_denial(&r->guards, &p.core.request_vote_result, raft_current_term(&r->core));
        break;
    case RAFT_REQUEST_VOTE:
    case RAFT_TIMEOUT_NOW:
        p.core = *m;
        break;
    }
    p.core.server_address = NULL;
    raft_send_packet(r, m->server_id, &p);
}
