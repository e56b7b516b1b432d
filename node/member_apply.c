/* SPDX-License-Identifier: Apache-2.0 */
/* Committed entries on their way through the apply lane: one batch at a time,
 * in order. Then the local copies that the level asks for, then the answers. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "node/member_internal.h"
#include "proto/tidemark/log/v1/log.pb-c.h"
#include "tsdb/settings.h"

/* --- the queue --- */

void member_apply_push(struct member *m, struct entry *entry)
{
    struct entry_queue *q = &m->apply_queue;
    if (q->head > 0 && q->head == q->count) {
        q->head = 0;
        q->count = 0;
    }
    q->items = mem_grow(q->items, &q->capacity, q->count + 1, sizeof *q->items);
    q->items[q->count++] = entry;
}

void member_apply_clear(struct member *m)
{
    struct entry_queue *q = &m->apply_queue;
    for (size_t i = q->head; i < q->count; i++) {
        entry_unref(q->items[i]);
    }
    q->head = 0;
    q->count = 0;
}

bool member_is_checkpoint(const struct entry *entry)
{
    return entry->type == ENTRY_COMMAND && entry->size > 0 &&
           entry->payload[0] == COMMAND_CHECKPOINT;
}

/* --- on the lane --- */

static void work_apply(struct job *job)
{
    struct apply_batch *b = (struct apply_batch *)job;
    struct tsdb *db = b->member->db;
    b->code = ERR_OK;
    for (size_t i = 0; i < b->count && b->code == ERR_OK; i++) {
        const struct entry *entry = b->entries[i];
        b->results[i].count = 0;
        switch (entry->type) {
        case ENTRY_COMMAND:
            b->code = tsdb_apply(db, entry->index, entry->term, entry_payload(entry),
                                 &b->results[i], &b->err);
            if (b->code == ERR_STATE && is_weakened(b->member->weaken, WEAKEN_CHECKPOINTS)) {
                tsdb_apply_barrier(db, entry->index, entry->term);
                b->code = ERR_OK;
            }
            break;
        case ENTRY_BARRIER:
            tsdb_apply_barrier(db, entry->index, entry->term);
            break;
        case ENTRY_CHANGE:
            tsdb_apply_configuration(db, entry->index, entry->term, entry_payload(entry));
            break;
        }
    }
}

/* --- local copies (safety.md D2): metadata always, data at levels 1 and 2 --- */

static bool is_metadata(const struct entry *entry)
{
    return entry->type == ENTRY_COMMAND && entry->size > 0 &&
           command_is_metadata((enum command_kind)entry->payload[0]);
}

static bool wants_copy(const struct apply_batch *b, const struct entry *entry)
{
    return entry->type == ENTRY_COMMAND && (is_metadata(entry) || !b->copy_metadata_only);
}

static void work_copy(struct job *job)
{
    struct apply_batch *b = (struct apply_batch *)job;
    struct storage *s = b->member->storage;
    struct wal *local = storage_wal(s, STORAGE_LOCAL);
    struct err e;
    for (size_t i = 0; i < b->count; i++) {
        const struct entry *entry = b->entries[i];
        if (!wants_copy(b, entry) || entry->index <= wal_index_last(local)) {
            continue; /* after a restart entries are applied again */
        }
        struct wal_entry record = {
            .index = entry->index,
            .term = entry->term,
            .type = is_metadata(entry) ? WAL_METADATA : WAL_COMMAND,
            .payload = entry_payload(entry),
        };
        if (wal_append(local, &record, 1, entry->index, &e) != ERR_OK) {
            (void)storage_fail(s, &e);
            return;
        }
        if (member_is_checkpoint(entry)) {
            storage_rotate(s, STORAGE_LOCAL);
        }
    }
    if (b->wait_copy) {
        storage_want_sync(s, STORAGE_LOCAL);
    }
}

static bool choose_copy(struct member *m, struct apply_batch *b)
{
    bool any = false;
    bool metadata = false;
    unsigned level = m->settings.wal_level;
    b->copy_metadata_only = level == WAL_LEVEL_OFF || level == WAL_LEVEL_BYRL || !m->formed;
    b->copy_metadata_only &= !is_weakened(m->weaken, WEAKEN_COPIES);
    for (size_t i = 0; i < b->count; i++) {
        any |= wants_copy(b, b->entries[i]);
        metadata |= is_metadata(b->entries[i]);
    }
    b->wait_copy = metadata || level == WAL_LEVEL_SYNC;
    return any && m->state != MEMBER_LOCAL && storage_has(m->storage, STORAGE_LOCAL);
}

/* --- what the member itself learns from an entry --- */

static void follow_settings(struct member *m)
{
    struct member_settings *s = &m->settings;
    unsigned heartbeat_ms = s->heartbeat_ms;
    unsigned election_ms = s->election_ms;
    s->wal_level = (unsigned)settings_value(m->values, "ts.wal.wal_level");
    s->heartbeat_ms = (unsigned)settings_value(m->values, "raft.heartbeat_interval");
    s->election_ms = (unsigned)settings_value(m->values, "raft.election_timeout");
    s->checkpoint_interval_ms = (uint64_t)settings_value(m->values, "ts.wal.checkpoint_interval");
    s->completion_target = (unsigned)settings_value(m->values, "checkpoint_completion_target");
    s->wal_size_max = (uint64_t)settings_value(m->values, "max_wal_size");
    s->scrub_rate = (uint64_t)settings_value(m->values, "ts.scrub.rate");
    s->slot_size_max = (uint64_t)settings_value(m->values, "max_slot_wal_keep_size");
    s->segments_kept = (uint64_t)settings_value(m->values, "wal_keep_segments");
    s->memory_size_max = (uint64_t)settings_value(m->values, "ts.mem_segment_size.max_limit");
    if (m->checkpoint_next_ms > m->now_ms + s->checkpoint_interval_ms) {
        m->checkpoint_next_ms = m->now_ms + s->checkpoint_interval_ms;
    }
    if (m->replica != NULL && (heartbeat_ms != s->heartbeat_ms || election_ms != s->election_ms)) {
        struct event ev = {
            .type = EVENT_TIMERS, .heartbeat_ms = s->heartbeat_ms, .election_ms = s->election_ms};
        (void)member_raft_step(m, &ev, NULL);
    }
    member_log_follow(m);
}

static void change_setting(struct member *m, const char *name, const struct bytes *value,
                           uint64_t index)
{
    struct settings *next = NULL;
    struct err e;
    if (settings_change(m->values, bytes_str(name), value, index, &next, &e) != ERR_OK) {
        log_warn(m->log, "node", "setting-ignored", "name=%s reason=\"%s\"", name, e.text);
        return;
    }
    settings_unref(m->values);
    m->values = next;
}

/* No entry is being applied yet: the loop may look into the tsdb. */
void member_load_settings(struct member *m)
{
    settings_unref(m->values);
    m->values = settings_new();
    for (size_t i = 0; i < settings_count(); i++) {
        const char *name = settings_at(i)->name;
        const char *value = tsdb_setting(m->db, name);
        if (value != NULL && strcmp(value, settings_text(m->values, i)) != 0) {
            struct bytes text = bytes_str(value);
            change_setting(m, name, &text, 0);
        }
    }
    follow_settings(m);
}

/* What a restart needs before it can read the state is mirrored (safety.md D3). */
static void mirror_settings(struct member *m)
{
    bool unfinished = m->state == MEMBER_LOCAL && m->settings.wal_level == WAL_LEVEL_BYRL;
    enum wal_level level =
        unfinished ? m->control.wal_level : (enum wal_level)m->settings.wal_level;
    enum wal_recovery_mode mode =
        (enum wal_recovery_mode)settings_value(m->values, "ts.wal.recovery_mode");
    if (m->control.wal_level != level || m->control.recovery_mode != mode) {
        m->control.wal_level = level;
        m->control.recovery_mode = mode;
        member_put_control(m);
    }
}

static void take_setting(struct member *m, const struct command *command, uint64_t index)
{
    Tidemark__Log__V1__SetSetting *set =
        tidemark__log__v1__set_setting__unpack(NULL, command->body.size, command->body.data);
    CHECK(set != NULL); /* the state has applied it */
    struct bytes value = bytes_str(set->value);
    change_setting(m, set->name, set->reset ? NULL : &value, index);
    tidemark__log__v1__set_setting__free_unpacked(set, NULL);
    follow_settings(m);
    mirror_settings(m);
    m->host.settings_changed(m->host.context);
}

static struct tsdb_node *node_of(struct member *m, uint64_t directory_id)
{
    for (size_t i = 0; i < m->node_count; i++) {
        if (m->nodes[i].directory_id == directory_id) {
            return &m->nodes[i];
        }
    }
    m->nodes = mem_grow(m->nodes, &m->node_capacity, m->node_count + 1, sizeof *m->nodes);
    struct tsdb_node *node = &m->nodes[m->node_count++];
    *node = (struct tsdb_node){.directory_id = directory_id};
    return node;
}

static void take_node_start(struct member *m, const struct command *command)
{
    Tidemark__Log__V1__NodeStart *start =
        tidemark__log__v1__node_start__unpack(NULL, command->body.size, command->body.data);
    CHECK(start != NULL); /* the state has applied it */
    struct tsdb_node *node = node_of(m, start->directory_id);
    node->start_counter = start->start_counter;
    node->nonce = start->nonce;
    (void)snprintf(node->name, sizeof node->name, "%s", start->name);
    (void)snprintf(node->peer_address, sizeof node->peer_address, "%s", start->peer_address);
    (void)snprintf(node->client_address, sizeof node->client_address, "%s", start->client_address);
    tidemark__log__v1__node_start__free_unpacked(start, NULL);
}

void member_forget_gone(struct member *m, uint64_t id)
{
    size_t kept = 0;
    for (size_t i = 0; i < m->gone_count; i++) {
        if (m->gone[i] != id) {
            m->gone[kept++] = m->gone[i];
        }
    }
    m->gone_count = kept;
}

static void take_node_removed(struct member *m, const struct command *command)
{
    Tidemark__Log__V1__NodeRemoved *removed =
        tidemark__log__v1__node_removed__unpack(NULL, command->body.size, command->body.data);
    CHECK(removed != NULL);
    node_of(m, removed->directory_id)->removed = true;
    member_forget_gone(m, removed->directory_id);
    tidemark__log__v1__node_removed__free_unpacked(removed, NULL);
}

static void take_command(struct member *m, const struct command *command, uint64_t index)
{
    if (command->kind == COMMAND_SET_SETTING) {
        take_setting(m, command, index);
    } else if (command->kind == COMMAND_CLUSTER_FORMED && !m->formed) {
        m->formed = true;
        m->hard.cluster_formed = true;
        member_put_hard(m);
        member_say(m, "%s", "");
    } else if (command->kind == COMMAND_NODE_START) {
        take_node_start(m, command);
    } else if (command->kind == COMMAND_NODE_REMOVED) {
        take_node_removed(m, command);
    }
}

/* Not what checkpoints bring with them, nor what a change of leader does: else an
 * idle cluster would make checkpoints of checkpoints for ever. */
static bool is_change(const struct entry *entry, const struct tsdb_results *results)
{
    if (!is_metadata(entry)) {
        return entry->type != ENTRY_BARRIER && !member_is_checkpoint(entry);
    }
    struct cursor cursor = cursor_of(entry_payload(entry));
    bool change = false;
    for (size_t i = 0; i < results->count && !change; i++) {
        struct command command;
        enum err_code code = command_next(&cursor, &command, NULL);
        CHECK(code == ERR_OK);
        change = command.kind != COMMAND_NODE_START;
    }
    return change;
}

static void learn(struct member *m, const struct entry *entry, const struct tsdb_results *results)
{
    if (!is_metadata(entry)) {
        return;
    }
    struct cursor cursor = cursor_of(entry_payload(entry));
    for (size_t i = 0; i < results->count; i++) {
        struct command command;
        enum err_code code = command_next(&cursor, &command, NULL);
        CHECK(code == ERR_OK);
        if (results->items[i].code == ERR_OK) {
            take_command(m, &command, entry->index);
        }
    }
}

/* What a node does that takes a refusal for impossible, as the leader has validated
 * the command before it went into the log (safety.md D4). */
static void trust_validation(struct member *m, uint64_t index, const struct tsdb_results *results)
{
    for (size_t i = 0; i < results->count; i++) {
        if (results->items[i].code != ERR_OK) {
            member_fail(m, "entry %" PRIu64 " was validated and can't be applied", index);
        }
    }
}

/* Who leads now or later tells the state of it (member_manage.c). */
static void note_gone(struct member *m, const struct configuration *before)
{
    for (size_t i = 0; i < before->count; i++) {
        uint64_t id = before->servers[i].id;
        if (configuration_find(&m->committed, id) == NULL && m->gone_count < LIMIT_NODES_MAX) {
            member_forget_gone(m, id);
            m->gone[m->gone_count++] = id;
        }
    }
}

static void learn_configuration(struct member *m, const struct entry *entry)
{
    struct err e;
    struct configuration before = m->committed;
    if (configuration_decode(entry_payload(entry), entry->index, &m->committed, &e) != ERR_OK) {
        member_fail(m, "entry %" PRIu64 ": %s", entry->index, e.text);
        return;
    }
    if (hard_state_set_blob(&m->hard.committed, entry->index, entry_payload(entry), &e) != ERR_OK) {
        member_fail(m, "entry %" PRIu64 ": %s", entry->index, e.text);
        return;
    }
    note_gone(m, &before);
    if (m->state == MEMBER_LOCAL) {
        m->configuration = m->committed; /* with Raft it is in force when it is appended */
    }
    if (m->hard.pending.index <= entry->index) {
        m->hard.pending.index = 0;
        m->hard.pending.size = 0;
    }
    member_put_hard(m);
}

/* --- the end of a batch --- */

static void free_batch(struct member *m, struct apply_batch *b)
{
    for (size_t i = 0; i < b->count; i++) {
        entry_unref(b->entries[i]);
        b->entries[i] = NULL;
    }
    b->count = 0;
    b->next_free = m->free_batches;
    m->free_batches = b;
}

static void answer_batch(struct member *m, struct apply_batch *b)
{
    for (size_t i = 0; i < b->count; i++) {
        member_resolve(m, b->entries[i]->index, b->entries[i]->term, &b->results[i]);
    }
}

static void done_copy(struct job *job)
{
    struct apply_batch *b = (struct apply_batch *)job;
    struct member *m = b->member;
    if (member_job_ended(m, job) && b->wait_copy) {
        answer_batch(m, b);
    }
    free_batch(m, b);
}

static void take_batch(struct member *m, struct apply_batch *b)
{
    const struct entry *last = b->entries[b->count - 1];
    m->applied_index = last->index;
    m->applied_term = last->term;
    if (m->founding != NULL && founding_is_settled(m->founding)) {
        founding_set_holds_entries(m->founding); /* a node that joined had none until now */
    }
    for (size_t i = 0; i < b->count && !member_is_ending(m); i++) {
        learn(m, b->entries[i], &b->results[i]);
        if (is_weakened(m->weaken, WEAKEN_REFUSALS)) {
            trust_validation(m, b->entries[i]->index, &b->results[i]);
        }
        if (b->entries[i]->type == ENTRY_CHANGE) {
            learn_configuration(m, b->entries[i]);
        }
        if (is_change(b->entries[i], &b->results[i])) {
            m->changed_index = b->entries[i]->index;
        }
        m->log_size += b->entries[i]->size;
        if (member_is_checkpoint(b->entries[i]) && b->results[i].count > 0) {
            m->log_size = 0;
            member_checkpoint_frozen(m);
        }
    }
    if (m->replica != NULL) {
        struct event ev = {.type = EVENT_APPLIED, .index = m->applied_index};
        struct err e;
        if (member_raft_step(m, &ev, &e) != ERR_OK && !is_weakened(m->weaken, WEAKEN_APPLY)) {
            member_fail(m, "applied %" PRIu64 ": %s", m->applied_index, e.text);
        }
    }
}

static void done_apply(struct job *job)
{
    struct apply_batch *b = (struct apply_batch *)job;
    struct member *m = b->member;
    CHECK(m->applying == b);
    m->applying = NULL;
    bool go = member_job_ended(m, job);
    if (go && b->code != ERR_OK) {
        member_fail(m, "the state machine stopped behind entry %" PRIu64 ": %s", m->applied_index,
                    b->err.text);
        go = false;
    }
    if (go) {
        take_batch(m, b);
        go = !member_is_ending(m);
    }
    if (!go) {
        free_batch(m, b);
        return;
    }
    bool copy = choose_copy(m, b);
    if (!copy || !b->wait_copy) {
        answer_batch(m, b);
    }
    if (copy && !b->wait_copy) {
        member_log_unsynced(m);
    }
    if (copy) {
        member_submit(m, &b->job, LANE_LOG, work_copy, done_copy);
    } else {
        free_batch(m, b);
    }
    member_serve_reads(m);
    member_apply_pump(m);
    member_local_applied(m);
}

static struct apply_batch *new_batch(struct member *m)
{
    struct apply_batch *b = m->free_batches;
    if (b == NULL) {
        b = mem_zalloc(sizeof *b);
        b->member = m;
    } else {
        m->free_batches = b->next_free;
    }
    b->next_free = NULL;
    b->wait_copy = false;
    CHECK(b->count == 0);
    return b;
}

void member_apply_pump(struct member *m)
{
    struct entry_queue *q = &m->apply_queue;
    if (m->applying != NULL || q->head == q->count || member_is_ending(m)) {
        return;
    }
    if (member_is_checkpoint(q->items[q->head]) && m->checkpoint_running &&
        !is_weakened(m->weaken, WEAKEN_CHECKPOINTS)) {
        member_checkpoint_resume(m); /* none is skipped: it waits for the one being written (E2) */
        return;
    }
    struct apply_batch *b = new_batch(m);
    while (b->count < MEMBER_APPLY_ENTRIES_MAX && q->head < q->count) {
        struct entry *entry = q->items[q->head];
        bool checkpoint = member_is_checkpoint(entry);
        if (checkpoint && b->count > 0) {
            break;
        }
        b->entries[b->count++] = entry;
        q->head++;
        if (checkpoint) {
            break;
        }
    }
    m->applying = b;
    member_submit(m, &b->job, LANE_APPLY, work_apply, done_apply);
}

/* --- reads that wait for the state --- */

void member_serve_reads(struct member *m)
{
    struct member_request *r = m->reads_waiting.first;
    while (r != NULL) {
        struct member_request *next = r->next;
        if (r->index <= m->applied_index) {
            list_remove(&m->reads_waiting, r);
            m->reads++;
            member_reply_ok(r, m->applied_index);
        }
        r = next;
    }
}
