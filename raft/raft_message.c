/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/raft_message.h"

#include <inttypes.h>
#include <string.h>

#include "base/check.h"
#include "base/crc32c.h"
#include "base/mem.h"
#include "proto/tidemark/peer/v1/raft.pb-c.h"

/* Higher ones can't be reached; below, +1 can't overflow anywhere. */
static const uint64_t number_max = UINT64_MAX / 2;

/* What unpacking an entry takes beside its payload: struct, pointer, bookkeeping. */
enum { UNPACKED_ENTRY_SIZE = 512, UNPACKED_FIXED_SIZE = 64 * LIMIT_KIB, ENTRY_FRAMING_SIZE = 40 };

_Static_assert(LIMIT_ENTRY_SIZE_MAX + LIMIT_ENTRY_OVERHEAD_SIZE_MAX <= LIMIT_FRAME_SIZE_MAX,
               "an append of one entry fits in a frame");

/* protobuf-c takes memory as the sender's bytes tell it to: this bounds it. */
struct budget {
    size_t left;
};

static void *budget_alloc(void *context, size_t size)
{
    struct budget *b = context;
    CHECK(b != NULL);
    CHECK(b->left <= 2 * (size_t)LIMIT_FRAME_SIZE_MAX + UNPACKED_FIXED_SIZE);
    if (size > b->left) {
        return NULL;
    }
    b->left -= size;
    return mem_alloc(size);
}

static void budget_free(void *context, void *p)
{
    CHECK(context != NULL);
    mem_free(p);
}

static bool is_number(uint64_t v)
{
    return v <= number_max;
}

static enum err_code refuse(struct err *e, const char *what)
{
    CHECK(what != NULL);
    return err_set(e, ERR_CORRUPT, "raft message: %s", what);
}

static enum err_code decode_request_vote(const Tidemark__Peer__V1__RequestVote *in,
                                         struct raft_packet *out, struct err *e)
{
    CHECK(in != NULL);
    if (in->term == 0 || !is_number(in->term) || !is_number(in->last_log_index) ||
        in->last_log_term > in->term || in->version > UINT8_MAX) {
        return refuse(e, "request vote with impossible numbers");
    }
    if (in->candidate_id != out->core.server_id) {
        return refuse(e, "request vote for another candidate than its sender");
    }
    out->core.type = RAFT_REQUEST_VOTE;
    out->core.request_vote = (struct raft_request_vote){
        .version = (unsigned char)in->version,
        .term = in->term,
        .candidate_id = in->candidate_id,
        .last_log_index = in->last_log_index,
        .last_log_term = in->last_log_term,
        .disrupt_leader = in->disrupt_leader != 0,
        .pre_vote = in->pre_vote != 0,
    };
    return ERR_OK;
}

static enum err_code decode_request_vote_result(const Tidemark__Peer__V1__RequestVoteResult *in,
                                                struct raft_packet *out, struct err *e)
{
    CHECK(in != NULL);
    if (!is_number(in->term) || in->version > UINT8_MAX || in->features > UINT16_MAX ||
        in->capacity > UINT16_MAX) {
        return refuse(e, "vote with impossible numbers");
    }
    out->core.type = RAFT_REQUEST_VOTE_RESULT;
    out->core.request_vote_result = (struct raft_request_vote_result){
        .version = (unsigned char)in->version,
        .term = in->term,
        .vote_granted = in->vote_granted != 0,
        .pre_vote = in->pre_vote != 0,
        .features = (unsigned short)in->features,
        .capacity = (unsigned short)in->capacity,
    };
    return ERR_OK;
}

static bool is_entry_type(uint32_t type)
{
    return type == ENTRY_COMMAND || type == ENTRY_BARRIER || type == ENTRY_CHANGE;
}

static enum err_code check_entry(const Tidemark__Peer__V1__RaftEntry *in, uint64_t term_before,
                                 uint64_t term_message, struct err *e)
{
    CHECK(in != NULL);
    if (!is_entry_type(in->type)) {
        return refuse(e, "entry of unknown type");
    }
    if (in->term == 0 || in->term < term_before || in->term > term_message) {
        return refuse(e, "entry whose term falls, or is above its leader's");
    }
    if (in->payload.len > LIMIT_ENTRY_SIZE_MAX) {
        return refuse(e, "entry too large");
    }
    if (crc32c(0, in->payload.data, in->payload.len) != in->crc) {
        return refuse(e, "entry whose payload does not match its checksum");
    }
    return ERR_OK;
}

static enum err_code decode_entries(const Tidemark__Peer__V1__AppendEntries *in,
                                    struct raft_packet *out, struct err *e)
{
    CHECK(in->n_entries <= LIMIT_APPEND_ENTRIES_MAX);
    CHECK(in->term >= in->prev_log_term);
    CHECK(out->entries == NULL);
    if (in->prev_log_index == 0 && in->entries[0]->type != ENTRY_CHANGE) {
        return refuse(e, "a log that does not begin with a configuration");
    }
    uint64_t term = in->prev_log_term;
    for (size_t i = 0; i < in->n_entries; i++) {
        enum err_code code = check_entry(in->entries[i], term, in->term, e);
        if (code != ERR_OK) {
            return code;
        }
        term = in->entries[i]->term;
    }
    out->entries = mem_array(in->n_entries, sizeof(struct entry *));
    for (size_t i = 0; i < in->n_entries; i++) {
        const Tidemark__Peer__V1__RaftEntry *entry = in->entries[i];
        uint64_t index = in->prev_log_index + 1 + i;
        out->entries[i] = entry_new((enum entry_type)entry->type, index, entry->term,
                                    bytes_of(entry->payload.data, entry->payload.len));
        out->count++;
        struct configuration ignored;
        if (entry->type == ENTRY_CHANGE &&
            configuration_decode(entry_payload(out->entries[i]), index, &ignored, e) != ERR_OK) {
            return err_wrap(e, "raft message: entry %" PRIu64, index);
        }
    }
    return ERR_OK;
}

static enum err_code decode_append_entries(const Tidemark__Peer__V1__AppendEntries *in,
                                           struct raft_packet *out, struct err *e)
{
    CHECK(in != NULL);
    if (in->term == 0 || !is_number(in->term) || !is_number(in->prev_log_index) ||
        !is_number(in->leader_commit) || in->version > UINT8_MAX) {
        return refuse(e, "append with impossible numbers");
    }
    if ((in->prev_log_index == 0) != (in->prev_log_term == 0) || in->prev_log_term > in->term) {
        return refuse(e, "append whose previous entry can't exist");
    }
    if (in->n_entries > LIMIT_APPEND_ENTRIES_MAX) {
        return refuse(e, "append of too many entries");
    }
    out->core.type = RAFT_APPEND_ENTRIES;
    out->core.append_entries = (struct raft_append_entries){
        .version = (unsigned char)in->version,
        .term = in->term,
        .prev_log_index = in->prev_log_index,
        .prev_log_term = in->prev_log_term,
        .leader_commit = in->leader_commit,
        .n_entries = (unsigned)in->n_entries,
    };
    return in->n_entries == 0 ? ERR_OK : decode_entries(in, out, e);
}

static enum err_code decode_append_result(const Tidemark__Peer__V1__AppendEntriesResult *in,
                                          struct raft_packet *out, struct err *e)
{
    CHECK(in != NULL);
    if (!is_number(in->term) || !is_number(in->rejected) || !is_number(in->last_log_index) ||
        in->version > UINT8_MAX || in->features > UINT16_MAX || in->capacity > UINT16_MAX) {
        return refuse(e, "append result with impossible numbers");
    }
    out->core.type = RAFT_APPEND_ENTRIES_RESULT;
    out->core.append_entries_result = (struct raft_append_entries_result){
        .version = (unsigned char)in->version,
        .term = in->term,
        .rejected = in->rejected,
        .last_log_index = in->last_log_index,
        .features = (unsigned short)in->features,
        .capacity = (unsigned short)in->capacity,
    };
    return ERR_OK;
}

static enum err_code decode_install_snapshot(const Tidemark__Peer__V1__InstallSnapshot *in,
                                             struct raft_packet *out, struct err *e)
{
    CHECK(in != NULL);
    if (in->term == 0 || !is_number(in->term) || in->last_index == 0 ||
        !is_number(in->last_index) || in->last_term == 0 || in->last_term > in->term ||
        in->conf_index == 0 || in->conf_index > in->last_index || in->version > UINT8_MAX) {
        return refuse(e, "snapshot with impossible numbers");
    }
    struct bytes b = bytes_of(in->configuration.data, in->configuration.len);
    if (configuration_decode(b, in->conf_index, &out->configuration, e) != ERR_OK) {
        return err_wrap(e, "raft message: snapshot");
    }
    out->core.type = RAFT_INSTALL_SNAPSHOT;
    out->core.install_snapshot = (struct raft_install_snapshot){
        .version = (unsigned char)in->version,
        .term = in->term,
        .last_index = in->last_index,
        .last_term = in->last_term,
        .conf_index = in->conf_index,
    };
    return ERR_OK;
}

static enum err_code decode_timeout_now(const Tidemark__Peer__V1__TimeoutNow *in,
                                        struct raft_packet *out, struct err *e)
{
    CHECK(in != NULL);
    if (in->term == 0 || !is_number(in->term) || !is_number(in->last_log_index) ||
        in->last_log_term > in->term || in->version > UINT8_MAX) {
        return refuse(e, "timeout now with impossible numbers");
    }
    out->core.type = RAFT_TIMEOUT_NOW;
    out->core.timeout_now = (struct raft_timeout_now){
        .version = (unsigned char)in->version,
        .term = in->term,
        .last_log_index = in->last_log_index,
        .last_log_term = in->last_log_term,
    };
    return ERR_OK;
}

static enum err_code decode_round(enum raft_message_kind kind, uint64_t term, uint64_t round,
                                  struct raft_packet *out)
{
    CHECK(kind == RAFT_MESSAGE_PING || kind == RAFT_MESSAGE_PONG);
    CHECK(out != NULL);
    out->kind = kind;
    out->term = term;
    out->round = round;
    return ERR_OK;
}

static enum err_code decode_body(const Tidemark__Peer__V1__RaftMessage *in, struct raft_packet *out,
                                 struct err *e)
{
    CHECK(out->kind == RAFT_MESSAGE_CORE);
    CHECK(out->core.server_id != 0);
    switch (in->body_case) {
    case TIDEMARK__PEER__V1__RAFT_MESSAGE__BODY_REQUEST_VOTE:
        return decode_request_vote(in->request_vote, out, e);
    case TIDEMARK__PEER__V1__RAFT_MESSAGE__BODY_REQUEST_VOTE_RESULT:
        return decode_request_vote_result(in->request_vote_result, out, e);
    case TIDEMARK__PEER__V1__RAFT_MESSAGE__BODY_APPEND_ENTRIES:
        return decode_append_entries(in->append_entries, out, e);
    case TIDEMARK__PEER__V1__RAFT_MESSAGE__BODY_APPEND_ENTRIES_RESULT:
        return decode_append_result(in->append_entries_result, out, e);
    case TIDEMARK__PEER__V1__RAFT_MESSAGE__BODY_INSTALL_SNAPSHOT:
        return decode_install_snapshot(in->install_snapshot, out, e);
    case TIDEMARK__PEER__V1__RAFT_MESSAGE__BODY_TIMEOUT_NOW:
        return decode_timeout_now(in->timeout_now, out, e);
    case TIDEMARK__PEER__V1__RAFT_MESSAGE__BODY_PING:
        return decode_round(RAFT_MESSAGE_PING, in->ping->term, in->ping->round, out);
    case TIDEMARK__PEER__V1__RAFT_MESSAGE__BODY_PONG:
        return decode_round(RAFT_MESSAGE_PONG, in->pong->term, in->pong->round, out);
    case TIDEMARK__PEER__V1__RAFT_MESSAGE__BODY__NOT_SET:
    case _TIDEMARK__PEER__V1__RAFT_MESSAGE__BODY__CASE_IS_INT_SIZE:
        break;
    }
    return refuse(e, "no known body");
}

enum err_code raft_packet_decode(struct bytes b, uint64_t sender, struct raft_packet *out,
                                 struct err *e)
{
    CHECK(sender != 0);
    CHECK(out != NULL);
    memset(out, 0, sizeof *out);
    if (b.size > LIMIT_FRAME_SIZE_MAX) {
        return refuse(e, "longer than a frame");
    }
    struct budget budget = {b.size + (size_t)LIMIT_APPEND_ENTRIES_MAX * UNPACKED_ENTRY_SIZE +
                            UNPACKED_FIXED_SIZE};
    ProtobufCAllocator allocator = {budget_alloc, budget_free, &budget};
    Tidemark__Peer__V1__RaftMessage *in =
        tidemark__peer__v1__raft_message__unpack(&allocator, b.size, b.data);
    if (in == NULL) {
        return refuse(e, "not a RaftMessage");
    }
    out->core.server_id = sender;
    enum err_code code = decode_body(in, out, e);
    tidemark__peer__v1__raft_message__free_unpacked(in, &allocator);
    if (code != ERR_OK) {
        raft_packet_deinit(out);
    }
    return code;
}

void raft_packet_deinit(struct raft_packet *p)
{
    CHECK(p != NULL);
    CHECK(p->entries != NULL || p->count == 0);
    for (size_t i = 0; i < p->count; i++) {
        entry_unref(p->entries[i]);
    }
    mem_free((void *)p->entries);
    p->entries = NULL;
    p->count = 0;
}

size_t raft_packet_entry_size(const struct entry *e)
{
    CHECK(e != NULL);
    CHECK(e->size <= LIMIT_ENTRY_SIZE_MAX);
    return (size_t)e->size + ENTRY_FRAMING_SIZE;
}

static void pack(const Tidemark__Peer__V1__RaftMessage *m, struct buf *out)
{
    size_t size = tidemark__peer__v1__raft_message__get_packed_size(m);
    CHECK(size > 0);
    CHECK(size <= LIMIT_FRAME_SIZE_MAX);
    size_t packed = tidemark__peer__v1__raft_message__pack(m, buf_extend(out, size));
    CHECK(packed == size);
}

static void encode_request_vote(const struct raft_request_vote *v, struct buf *out)
{
    CHECK(v->term > 0);
    CHECK(v->candidate_id != 0);
    Tidemark__Peer__V1__RequestVote body = TIDEMARK__PEER__V1__REQUEST_VOTE__INIT;
    body.version = v->version;
    body.term = v->term;
    body.candidate_id = v->candidate_id;
    body.last_log_index = v->last_log_index;
    body.last_log_term = v->last_log_term;
    body.disrupt_leader = v->disrupt_leader;
    body.pre_vote = v->pre_vote;
    Tidemark__Peer__V1__RaftMessage m = TIDEMARK__PEER__V1__RAFT_MESSAGE__INIT;
    m.body_case = TIDEMARK__PEER__V1__RAFT_MESSAGE__BODY_REQUEST_VOTE;
    m.request_vote = &body;
    pack(&m, out);
}

static void encode_request_vote_result(const struct raft_request_vote_result *v, struct buf *out)
{
    CHECK(v->version == RAFT_MESSAGE_VOTE_VERSION);
    CHECK(is_number(v->term));
    Tidemark__Peer__V1__RequestVoteResult body = TIDEMARK__PEER__V1__REQUEST_VOTE_RESULT__INIT;
    body.version = v->version;
    body.term = v->term;
    body.vote_granted = v->vote_granted;
    body.pre_vote = v->pre_vote;
    body.features = v->features;
    body.capacity = v->capacity;
    Tidemark__Peer__V1__RaftMessage m = TIDEMARK__PEER__V1__RAFT_MESSAGE__INIT;
    m.body_case = TIDEMARK__PEER__V1__RAFT_MESSAGE__BODY_REQUEST_VOTE_RESULT;
    m.request_vote_result = &body;
    pack(&m, out);
}

static void encode_append_entries(const struct raft_packet *p, struct buf *out)
{
    const struct raft_append_entries *v = &p->core.append_entries;
    CHECK(p->count == v->n_entries);
    CHECK(p->count <= LIMIT_APPEND_ENTRIES_MAX);
    Tidemark__Peer__V1__RaftEntry *entries = mem_array(p->count, sizeof *entries);
    Tidemark__Peer__V1__RaftEntry **pointers = mem_array(p->count, sizeof(void *));
    for (size_t i = 0; i < p->count; i++) {
        const struct entry *entry = p->entries[i];
        CHECK(entry->index == v->prev_log_index + 1 + i);
        CHECK(entry->term > 0);
        tidemark__peer__v1__raft_entry__init(&entries[i]);
        entries[i].term = entry->term;
        entries[i].type = entry->type;
        /* protobuf-c only reads it. */
        entries[i].payload.data = (uint8_t *)(uintptr_t)entry->payload;
        entries[i].payload.len = entry->size;
        entries[i].crc = crc32c(0, entry->payload, entry->size);
        pointers[i] = &entries[i];
    }
    Tidemark__Peer__V1__AppendEntries body = TIDEMARK__PEER__V1__APPEND_ENTRIES__INIT;
    body.version = v->version;
    body.term = v->term;
    body.prev_log_index = v->prev_log_index;
    body.prev_log_term = v->prev_log_term;
    body.leader_commit = v->leader_commit;
    body.n_entries = p->count;
    body.entries = pointers;
    Tidemark__Peer__V1__RaftMessage m = TIDEMARK__PEER__V1__RAFT_MESSAGE__INIT;
    m.body_case = TIDEMARK__PEER__V1__RAFT_MESSAGE__BODY_APPEND_ENTRIES;
    m.append_entries = &body;
    pack(&m, out);
    mem_free((void *)pointers);
    mem_free(entries);
}

static void encode_append_result(const struct raft_append_entries_result *v, struct buf *out)
{
    CHECK(v->version == RAFT_MESSAGE_RESULT_VERSION);
    CHECK(is_number(v->last_log_index));
    Tidemark__Peer__V1__AppendEntriesResult body = TIDEMARK__PEER__V1__APPEND_ENTRIES_RESULT__INIT;
    body.version = v->version;
    body.term = v->term;
    body.rejected = v->rejected;
    body.last_log_index = v->last_log_index;
    body.features = v->features;
    body.capacity = v->capacity;
    Tidemark__Peer__V1__RaftMessage m = TIDEMARK__PEER__V1__RAFT_MESSAGE__INIT;
    m.body_case = TIDEMARK__PEER__V1__RAFT_MESSAGE__BODY_APPEND_ENTRIES_RESULT;
    m.append_entries_result = &body;
    pack(&m, out);
}

static void encode_install_snapshot(const struct raft_packet *p, struct buf *out)
{
    const struct raft_install_snapshot *v = &p->core.install_snapshot;
    CHECK(v->last_index > 0);
    CHECK(v->conf_index == p->configuration.index);
    struct buf configuration = {0};
    configuration_encode(&p->configuration, &configuration);
    Tidemark__Peer__V1__InstallSnapshot body = TIDEMARK__PEER__V1__INSTALL_SNAPSHOT__INIT;
    body.version = v->version;
    body.term = v->term;
    body.last_index = v->last_index;
    body.last_term = v->last_term;
    body.conf_index = v->conf_index;
    body.configuration.data = configuration.data;
    body.configuration.len = configuration.size;
    Tidemark__Peer__V1__RaftMessage m = TIDEMARK__PEER__V1__RAFT_MESSAGE__INIT;
    m.body_case = TIDEMARK__PEER__V1__RAFT_MESSAGE__BODY_INSTALL_SNAPSHOT;
    m.install_snapshot = &body;
    pack(&m, out);
    buf_deinit(&configuration);
}

static void encode_timeout_now(const struct raft_timeout_now *v, struct buf *out)
{
    CHECK(v->term > 0);
    CHECK(v->last_log_index > 0);
    Tidemark__Peer__V1__TimeoutNow body = TIDEMARK__PEER__V1__TIMEOUT_NOW__INIT;
    body.version = v->version;
    body.term = v->term;
    body.last_log_index = v->last_log_index;
    body.last_log_term = v->last_log_term;
    Tidemark__Peer__V1__RaftMessage m = TIDEMARK__PEER__V1__RAFT_MESSAGE__INIT;
    m.body_case = TIDEMARK__PEER__V1__RAFT_MESSAGE__BODY_TIMEOUT_NOW;
    m.timeout_now = &body;
    pack(&m, out);
}

static void encode_ping(const struct raft_packet *p, struct buf *out)
{
    CHECK(p->term > 0);
    CHECK(p->round > 0);
    Tidemark__Peer__V1__Ping body = TIDEMARK__PEER__V1__PING__INIT;
    body.term = p->term;
    body.round = p->round;
    Tidemark__Peer__V1__RaftMessage m = TIDEMARK__PEER__V1__RAFT_MESSAGE__INIT;
    m.body_case = TIDEMARK__PEER__V1__RAFT_MESSAGE__BODY_PING;
    m.ping = &body;
    pack(&m, out);
}

static void encode_pong(const struct raft_packet *p, struct buf *out)
{
    CHECK(p->kind == RAFT_MESSAGE_PONG);
    CHECK(is_number(p->term));
    Tidemark__Peer__V1__Pong body = TIDEMARK__PEER__V1__PONG__INIT;
    body.term = p->term;
    body.round = p->round;
    Tidemark__Peer__V1__RaftMessage m = TIDEMARK__PEER__V1__RAFT_MESSAGE__INIT;
    m.body_case = TIDEMARK__PEER__V1__RAFT_MESSAGE__BODY_PONG;
    m.pong = &body;
    pack(&m, out);
}

static void encode_core(const struct raft_packet *p, struct buf *out)
{
    CHECK(p->kind == RAFT_MESSAGE_CORE);
    CHECK(p->core.server_id != 0);
    switch (p->core.type) {
    case RAFT_APPEND_ENTRIES:
        encode_append_entries(p, out);
        break;
    case RAFT_APPEND_ENTRIES_RESULT:
        encode_append_result(&p->core.append_entries_result, out);
        break;
    case RAFT_REQUEST_VOTE:
        encode_request_vote(&p->core.request_vote, out);
        break;
    case RAFT_REQUEST_VOTE_RESULT:
        encode_request_vote_result(&p->core.request_vote_result, out);
        break;
    case RAFT_INSTALL_SNAPSHOT:
        encode_install_snapshot(p, out);
        break;
    case RAFT_TIMEOUT_NOW:
        encode_timeout_now(&p->core.timeout_now, out);
        break;
    }
}

void raft_packet_encode(const struct raft_packet *p, struct buf *out)
{
    CHECK(p != NULL);
    CHECK(out != NULL);
    switch (p->kind) {
    case RAFT_MESSAGE_CORE:
        encode_core(p, out);
        break;
    case RAFT_MESSAGE_PING:
        encode_ping(p, out);
        break;
    case RAFT_MESSAGE_PONG:
        encode_pong(p, out);
        break;
    }
}
