/* SPDX-License-Identifier: Apache-2.0 */
/* Commands on their way into the log, and the requests that wait for them. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "node/member_internal.h"
#include "proto/packed.h"

/* Where a request waits; kept in member_request.phase. */
enum phase { IDLE, GATHERED, PROPOSED, LISTED };

/* What commands may hold in one entry: each adds a few bytes of its own. */
enum {
    COMMAND_OVERHEAD_SIZE = 64,
    COMMANDS_SIZE_MAX = MEMBER_BATCH_SIZE_MAX - COMMAND_OVERHEAD_SIZE
};

_Static_assert((int)MEMBER_BATCH_SIZE_MAX <= (int)LIMIT_ENTRY_SIZE_MAX, "a batch is one entry");

/* --- lists --- */

void list_push(struct request_list *list, struct member_request *r)
{
    r->next = NULL;
    r->prev = list->last;
    if (list->last != NULL) {
        list->last->next = r;
    } else {
        list->first = r;
    }
    list->last = r;
    r->phase = LISTED;
    r->list = list;
}

void list_remove(struct request_list *list, struct member_request *r)
{
    CHECK(r->phase == LISTED);
    CHECK(r->list == list);
    if (r->prev != NULL) {
        r->prev->next = r->next;
    } else {
        list->first = r->next;
    }
    if (r->next != NULL) {
        r->next->prev = r->prev;
    } else {
        list->last = r->prev;
    }
    r->phase = IDLE;
    r->list = NULL;
}

struct member_request *list_find(const struct request_list *list, uint64_t token)
{
    struct member_request *r = list->first;
    while (r != NULL && r->token != token) {
        r = r->next;
    }
    return r;
}

/* --- answers --- */

static void answer(struct member_request *r, const struct member_reply *reply)
{
    CHECK(r->phase == IDLE);
    r->done(r, reply);
}

void member_reply_error(struct member_request *r, enum err_code code, const char *format, ...)
{
    char text[ERR_TEXT_SIZE];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    char address[LIMIT_ADDRESS_SIZE_MAX + 1];
    struct member_reply reply = {
        .code = code,
        .text = text,
        .leader = member_leader_address(r->member, address),
    };
    answer(r, &reply);
}

void member_reply_ok(struct member_request *r, uint64_t index)
{
    struct member_reply reply = {.code = ERR_OK, .text = "", .index = index, .leader = ""};
    answer(r, &reply);
}

static void reply_result(struct member_request *r, const struct tsdb_result *result)
{
    struct member_reply reply = {
        .code = result->code,
        .text = result->text,
        .index = result->index,
        .leader = "",
        .result = *result,
    };
    answer(r, &reply);
}

/* --- the leader, as clients are told --- */

bool member_is_leader(const struct member *m)
{
    return m->replica != NULL && replica_status(m->replica).role == REPLICA_LEADER;
}

const char *member_leader_address(struct member *m, char dst[LIMIT_ADDRESS_SIZE_MAX + 1])
{
    dst[0] = '\0';
    uint64_t leader = m->replica == NULL ? 0 : replica_status(m->replica).leader;
    if (leader == 0) {
        return dst;
    }
    if (leader == m->hard.directory_id) {
        (void)snprintf(dst, LIMIT_ADDRESS_SIZE_MAX + 1, "%s", m->client_address);
        return dst;
    }
    const struct peer *peer = member_peer(m, leader);
    if (peer != NULL) {
        (void)snprintf(dst, LIMIT_ADDRESS_SIZE_MAX + 1, "%s", peer->client_address);
    }
    return dst;
}

/* --- gathering --- */

static void unslot(struct member_request *r)
{
    r->slot = NULL;
    r->phase = IDLE;
}

static void refuse_gathered(struct member *m, enum err_code code, const char *text)
{
    size_t count = m->gathered_count;
    m->gathered_count = 0;
    buf_reset(&m->gather);
    for (size_t i = 0; i < count; i++) {
        struct member_request *r = m->gathered[i];
        m->gathered[i] = NULL;
        if (r != NULL) {
            unslot(r);
            member_reply_error(r, code, "%s", text);
        }
    }
}

/* Of one entry that was just proposed; with room for 'count' requests. */
static struct proposal *add_proposal(struct member *m, const struct entry *entry, size_t count)
{
    CHECK(entry != NULL);
    struct proposal *p = mem_zalloc(sizeof *p + count * sizeof(struct member_request *));
    p->index = entry->index;
    p->term = entry->term;
    p->count = count;
    if (m->proposals_last != NULL) {
        m->proposals_last->next = p;
    } else {
        m->proposals_first = p;
    }
    m->proposals_last = p;
    return p;
}

/* The requests move behind the entry, the last one of a large command. */
static void keep_proposals(struct member *m, struct entry *const *entries, size_t count)
{
    for (size_t i = 0; i + 1 < count; i++) {
        (void)add_proposal(m, entries[i], 0);
    }
    struct proposal *p = add_proposal(m, entries[count - 1], m->gathered_count);
    for (size_t i = 0; i < m->gathered_count; i++) {
        struct member_request *r = m->gathered[i];
        p->requests[i] = r;
        if (r != NULL) {
            r->slot = &p->requests[i];
            r->phase = PROPOSED;
        }
    }
    m->gathered_count = 0;
    buf_reset(&m->gather);
}

static bool is_large(const struct member *m, const struct command *command)
{
    return command->kind == COMMAND_WRITE && command->body.size > m->part_size;
}

/* The gathered commands as one compressed entry; NULL: they stay as they are. */
static struct entry *pack_entry(const struct member *m)
{
    struct bytes all = buf_bytes(&m->gather);
    CHECK(all.size > 0);
    enum command_kind kind = (enum command_kind)all.data[0];
    if (command_is_metadata(kind) || kind == COMMAND_CHECKPOINT) {
        return NULL;
    }
    struct buf payload = {0};
    struct entry *entry = NULL;
    if (packed_put(&payload, (enum packed_method)m->settings.wal_compression, all) &&
        payload.size <= COMMANDS_SIZE_MAX) {
        entry = entry_new(ENTRY_COMMAND, 0, 0, buf_bytes(&payload));
    }
    buf_deinit(&payload);
    return entry;
}

/* One, or the parts of a large write (safety.md G2). */
static size_t make_entries(const struct member *m, struct entry *entries[COMMAND_PARTS_MAX])
{
    struct bytes all = buf_bytes(&m->gather);
    entries[0] = pack_entry(m);
    if (entries[0] != NULL) {
        return 1;
    }
    if (!m->gathered_large) {
        entries[0] = entry_new(ENTRY_COMMAND, 0, 0, all);
        return 1;
    }
    struct command_part part = {.count = (all.size - 1) / m->part_size + 1};
    CHECK(m->gathered_count == 1);
    CHECK(part.count <= COMMAND_PARTS_MAX);
    for (; part.place < part.count; part.place++) {
        struct buf payload = {0};
        part.piece.data = all.data;
        part.piece.size = all.size < m->part_size ? all.size : m->part_size;
        all.data += part.piece.size;
        all.size -= part.piece.size;
        command_put_part(&payload, &part);
        entries[part.place] = entry_new(ENTRY_COMMAND, 0, 0, buf_bytes(&payload));
        buf_deinit(&payload);
    }
    return (size_t)part.count;
}

static void propose_local(struct member *m, struct entry **entries, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        entries[i]->index = m->local_index + 1 + i;
        entries[i]->term = m->local_term;
    }
    keep_proposals(m, entries, count);
    for (size_t i = 0; i < count; i++) {
        member_local_submit(m, entries[i]);
    }
}

/* In one step, so that nothing comes between the parts of a large command. */
static void propose_raft(struct member *m, struct entry **entries, size_t count)
{
    struct event ev = {.type = EVENT_SUBMIT, .entries = entries, .count = count};
    struct err e;
    enum err_code code = member_raft_step(m, &ev, &e);
    if (code == ERR_NOT_LEADER) {
        refuse_gathered(m, ERR_UNAVAILABLE, "this node no longer leads: retry");
    } else if (code != ERR_OK) {
        refuse_gathered(m, code == ERR_FULL ? ERR_FULL : ERR_UNAVAILABLE, e.text);
    } else {
        keep_proposals(m, entries, count);
    }
}

void member_flush(struct member *m, uint64_t now_ms)
{
    member_time(m, now_ms);
    if (m->gathered_count == 0) {
        return;
    }
    if (member_is_ending(m)) {
        refuse_gathered(m, ERR_UNAVAILABLE, "the node is stopping");
        return;
    }
    struct entry *entries[COMMAND_PARTS_MAX] = {0};
    size_t count = make_entries(m, entries);
    if (m->state == MEMBER_LOCAL) {
        propose_local(m, entries, count);
    } else if (m->replica != NULL) {
        propose_raft(m, entries, count);
    } else {
        refuse_gathered(m, ERR_UNAVAILABLE, "this node no longer leads: retry");
    }
    for (size_t i = 0; i < count; i++) {
        entry_unref(entries[i]);
    }
}

static void gather(struct member *m, const struct command *command, struct member_request *r)
{
    /* The local WAL of a cluster holds metadata alone, so one entry is never both. */
    bool alone = command_is_metadata(command->kind) || command->kind == COMMAND_CHECKPOINT ||
                 is_large(m, command);
    bool full = m->gathered_count == MEMBER_BATCH_COMMANDS_MAX ||
                m->gather.size + command->body.size > COMMANDS_SIZE_MAX;
    if (m->gathered_count > 0 && (alone || full)) {
        member_flush(m, m->now_ms);
    }
    command_put(&m->gather, command);
    m->gathered_large = is_large(m, command);
    m->gathered[m->gathered_count] = r;
    if (r != NULL) {
        r->slot = &m->gathered[m->gathered_count];
        r->phase = GATHERED;
    }
    m->gathered_count++;
    if (alone) {
        member_flush(m, m->now_ms);
    }
}

/* --- proposing --- */

const char *member_why_no_leader(const struct member *m)
{
    return member_is_refused(m) ? m->refused : "no leader is known now: retry";
}

static const char *why_unavailable(const struct member *m)
{
    return m->message[0] != '\0' ? m->message : member_why_no_leader(m);
}

static void note_deadline(uint64_t *next, const struct member_request *r)
{
    if (r->deadline_ms != 0 && (*next == 0 || r->deadline_ms < *next)) {
        *next = r->deadline_ms;
    }
}

void member_start_request(struct member *m, struct member_request *r)
{
    CHECK(r->done != NULL);
    r->member = m;
    r->phase = IDLE;
    r->slot = NULL;
    r->list = NULL;
    note_deadline(&m->deadlines_ms, r);
}

/* What apply would refuse for certain costs no log; apply validates again (D4).
 * A repeat is left to apply, which knows its first answer, unless memory is full. */
static bool is_refused(struct member *m, const struct command *command, struct err *e)
{
    enum err_code code = tsdb_validate(m->db, command, e);
    return code != ERR_OK && (command->session == 0 || code == ERR_FULL);
}

void member_propose(struct member *m, const struct command *command, struct member_request *r)
{
    member_start_request(m, r);
    size_t limit =
        command->kind == COMMAND_WRITE ? (size_t)LIMIT_MESSAGE_SIZE_MAX : (size_t)COMMANDS_SIZE_MAX;
    if (command->body.size > limit) {
        member_reply_error(r, ERR_RANGE, "a change of %zu bytes is larger than the limit of %zu",
                           command->body.size, limit);
    } else if (member_is_ending(m) || m->stop_asked) {
        member_reply_error(r, ERR_UNAVAILABLE, "the node is stopping");
    } else if (member_level_holds(m)) {
        member_level_hold(m, command, r);
    } else if (!member_serves_clients(m) || (m->state != MEMBER_LOCAL && m->replica == NULL) ||
               (m->state == MEMBER_LOCAL && !m->local_ready)) {
        member_reply_error(r, ERR_UNAVAILABLE, "%s", why_unavailable(m));
    } else if (m->state == MEMBER_LOCAL || member_is_leader(m)) {
        struct err e;
        if (is_refused(m, command, &e) || member_room_for(m, command->body.size, &e) != ERR_OK) {
            member_reply_error(r, e.code, "%s", e.text);
        } else if (!member_level_take(m, command, r)) {
            gather(m, command, r);
        }
    } else {
        member_forward(m, command, r);
    }
}

void member_propose_own(struct member *m, enum command_kind kind, struct bytes body)
{
    struct command command = {.kind = kind, .body = body};
    if (member_level_holds(m)) {
        member_level_hold(m, &command, NULL);
    } else {
        member_propose_now(m, &command, NULL);
    }
}

void member_propose_now(struct member *m, const struct command *command, struct member_request *r)
{
    CHECK(m->state == MEMBER_LOCAL || m->replica != NULL);
    if (r != NULL) {
        member_start_request(m, r);
    }
    gather(m, command, r);
    member_flush(m, m->now_ms);
}

void member_propose_configuration(struct member *m, const struct configuration *c)
{
    CHECK(m->state == MEMBER_LOCAL);
    struct buf bytes = {0};
    configuration_encode(c, &bytes);
    member_flush(m, m->now_ms);
    struct entry *entry =
        entry_new(ENTRY_CHANGE, m->local_index + 1, m->local_term, buf_bytes(&bytes));
    (void)add_proposal(m, entry, 0);
    member_local_submit(m, entry);
    entry_unref(entry);
    buf_deinit(&bytes);
}

/* --- the end of a request --- */

static struct proposal *pop_proposal(struct member *m)
{
    struct proposal *p = m->proposals_first;
    m->proposals_first = p->next;
    if (m->proposals_first == NULL) {
        m->proposals_last = NULL;
    }
    return p;
}

static void resolve_one(struct member *m, struct proposal *p, const struct tsdb_results *results)
{
    CHECK(results->count == p->count);
    for (size_t i = 0; i < p->count; i++) {
        struct member_request *r = p->requests[i];
        if (r == NULL) {
            continue;
        }
        unslot(r);
        if (results->items[i].code == ERR_OK && results->items[i].kind == COMMAND_WRITE) {
            m->writes++;
            m->rows_written += results->items[i].rows;
        }
        reply_result(r, &results->items[i]);
    }
}

static void refuse_one(struct proposal *p, enum err_code code, const char *text)
{
    for (size_t i = 0; i < p->count; i++) {
        struct member_request *r = p->requests[i];
        if (r != NULL) {
            unslot(r);
            member_reply_error(r, code, "%s", text);
        }
    }
}

/* Out of the list, or NULL. */
static struct proposal *take_proposal(struct member *m, uint64_t index)
{
    struct proposal **link = &m->proposals_first;
    struct proposal *before = NULL;
    while (*link != NULL && (*link)->index < index) {
        before = *link;
        link = &before->next;
    }
    struct proposal *p = *link;
    if (p == NULL || p->index != index) {
        return NULL;
    }
    *link = p->next;
    if (m->proposals_last == p) {
        m->proposals_last = before;
    }
    return p;
}

/* Its place was taken, or its answer came with a snapshot: the state knows the
 * outcome, a retry with the same id asks it. */
static void refuse_unknown(struct proposal *p)
{
    refuse_one(p, ERR_UNKNOWN_OUTCOME,
               "leadership changed before the answer was known: retry with the same request id");
    mem_free(p);
}

void member_resolve(struct member *m, uint64_t index, uint64_t term,
                    const struct tsdb_results *results)
{
    struct proposal *p = take_proposal(m, index);
    if (p == NULL) {
        return;
    }
    if (p->term == term && results->count > 0) {
        resolve_one(m, p, results);
        mem_free(p);
    } else {
        refuse_unknown(p);
    }
}

void member_resolve_installed(struct member *m, uint64_t index)
{
    while (m->proposals_first != NULL && m->proposals_first->index <= index) {
        refuse_unknown(pop_proposal(m));
    }
}

void member_lost_from(struct member *m, uint64_t index)
{
    struct proposal *keep = NULL;
    struct proposal *p = m->proposals_first;
    while (p != NULL && p->index < index) {
        keep = p;
        p = p->next;
    }
    m->proposals_last = keep;
    if (keep != NULL) {
        keep->next = NULL;
    } else {
        m->proposals_first = NULL;
    }
    while (p != NULL) {
        struct proposal *next = p->next;
        refuse_one(p, ERR_UNAVAILABLE, "another leader took over before this was committed: retry");
        mem_free(p);
        p = next;
    }
}

void member_refuse_proposal(struct member *m, uint64_t index, enum err_code code, const char *text)
{
    struct proposal *p = take_proposal(m, index);
    CHECK(p != NULL);
    refuse_one(p, code, text);
    mem_free(p);
}

static void reply_list(struct request_list *list, enum err_code code, const char *text)
{
    while (list->first != NULL) {
        struct member_request *r = list->first;
        list_remove(list, r);
        member_reply_error(r, code, "%s", text);
    }
}

void member_reply_all(struct member *m, enum err_code code, const char *text)
{
    refuse_gathered(m, code, text);
    while (m->proposals_first != NULL) {
        struct proposal *p = pop_proposal(m);
        refuse_one(p, ERR_UNKNOWN_OUTCOME, text);
        mem_free(p);
    }
    reply_list(&m->forwards, ERR_UNKNOWN_OUTCOME, text);
    reply_list(&m->reads_asked, code, text);
    reply_list(&m->reads_remote, code, text);
    reply_list(&m->reads_waiting, code, text);
    reply_list(&m->checkpoint_requests, code, text);
    reply_list(&m->status_asked, code, text);
}

void member_cancel(struct member *m, struct member_request *r)
{
    CHECK(r->member == m);
    switch ((enum phase)r->phase) {
    case IDLE:
        break;
    case GATHERED:
    case PROPOSED:
        *r->slot = NULL;
        unslot(r);
        break;
    case LISTED:
        list_remove(r->list, r);
        break;
    }
}

/* --- deadlines --- */

static bool is_late(const struct member *m, const struct member_request *r)
{
    return r->deadline_ms != 0 && r->deadline_ms <= m->now_ms;
}

void member_expire_list(struct member *m, struct request_list *list, uint64_t *next)
{
    struct member_request *r = list->first;
    while (r != NULL) {
        struct member_request *after = r->next;
        if (is_late(m, r)) {
            list_remove(list, r);
            member_reply_error(r, ERR_DEADLINE, "the deadline passed");
        } else {
            note_deadline(next, r);
        }
        r = after;
    }
}

static void expire_proposals(struct member *m, uint64_t *next)
{
    for (struct proposal *p = m->proposals_first; p != NULL; p = p->next) {
        for (size_t i = 0; i < p->count; i++) {
            struct member_request *r = p->requests[i];
            if (r == NULL) {
                continue;
            }
            if (is_late(m, r)) {
                p->requests[i] = NULL;
                unslot(r);
                member_reply_error(r, ERR_DEADLINE,
                                   "the deadline passed; the change may still take effect");
            } else {
                note_deadline(next, r);
            }
        }
    }
}

void member_expire(struct member *m)
{
    if (m->deadlines_ms == 0 || m->now_ms < m->deadlines_ms) {
        return;
    }
    uint64_t next = 0;
    expire_proposals(m, &next);
    member_level_expire(m, &next);
    member_expire_list(m, &m->forwards, &next);
    member_expire_list(m, &m->reads_asked, &next);
    member_expire_list(m, &m->reads_remote, &next);
    member_expire_list(m, &m->reads_waiting, &next);
    member_expire_list(m, &m->checkpoint_requests, &next);
    member_expire_list(m, &m->status_asked, &next);
    m->deadlines_ms = next;
}
