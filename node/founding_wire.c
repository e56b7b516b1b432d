/* SPDX-License-Identifier: Apache-2.0 */
#include "node/founding_wire.h"

#include "base/check.h"
#include "proto/wire.h"

/* Field numbers of peer.proto. */
enum founder_field { FOUNDER_ID = 1, FOUNDER_NAME, FOUNDER_PEER_ADDRESS, FOUNDER_CLIENT_ADDRESS };
enum founding_field { FOUNDING_CLUSTER_ID = 1, FOUNDING_FOUNDERS, FOUNDING_CONFIGURATION };
enum question_field { QUESTION_NUMBER = 1, QUESTION_PEERS, QUESTION_ASKER };
enum answer_field {
    ANSWER_NUMBER = 1,
    ANSWER_EMPTY,
    ANSWER_PEERS_DIFFER,
    ANSWER_CLUSTER_ID,
    ANSWER_FOUNDING,
    ANSWER_ANSWERER,
    ANSWER_HOLDS_ENTRIES,
    ANSWER_PEERS,
};

/* --- parts --- */

static void put_member(struct buf *out, uint32_t field, const struct founding_member *m)
{
    size_t mark = wire_begin(out, field);
    wire_put_fixed64(out, FOUNDER_ID, m->directory_id);
    wire_put_str(out, FOUNDER_NAME, m->name);
    wire_put_str(out, FOUNDER_PEER_ADDRESS, m->peer_address);
    wire_put_str(out, FOUNDER_CLIENT_ADDRESS, m->client_address);
    wire_end(out, mark);
}

static void put_peers(struct buf *out, uint32_t field, const struct founding_peers *peers)
{
    for (size_t i = 0; i < peers->count; i++) {
        wire_put_item(out, field, bytes_str(peers->items[i]));
    }
}

/* A member without an id, or anything else wrong in it, makes 'message' bad. */
static void take_member(struct cursor *message, const struct wire_field *field,
                        struct founding_member *out)
{
    struct cursor c = cursor_of(wire_bytes(message, field));
    struct wire_field f;
    memset(out, 0, sizeof *out);
    while (wire_next(&c, &f)) {
        switch (f.number) {
        case FOUNDER_ID:
            out->directory_id = wire_fixed64(&c, &f);
            break;
        case FOUNDER_NAME:
            wire_str(&c, &f, out->name, sizeof out->name);
            break;
        case FOUNDER_PEER_ADDRESS:
            wire_str(&c, &f, out->peer_address, sizeof out->peer_address);
            break;
        case FOUNDER_CLIENT_ADDRESS:
            wire_str(&c, &f, out->client_address, sizeof out->client_address);
            break;
        default: /* of a newer version */
            break;
        }
    }
    message->bad = message->bad || c.bad || out->directory_id == 0;
}

static void take_peer(struct cursor *message, const struct wire_field *field,
                      struct founding_peers *out)
{
    if (out->count == LIMIT_NODES_MAX) {
        message->bad = true;
        return;
    }
    wire_str(message, field, out->items[out->count], sizeof out->items[0]);
    out->count++;
}

/* --- the record --- */

void founding_record_encode(const struct founding_record *r, struct buf *out)
{
    CHECK(r->cluster_id != 0);
    CHECK(r->count > 0);
    CHECK(r->count <= LIMIT_VOTERS_MAX);
    size_t start = out->size;
    wire_put_fixed64(out, FOUNDING_CLUSTER_ID, r->cluster_id);
    for (size_t i = 0; i < r->count; i++) {
        put_member(out, FOUNDING_FOUNDERS, &r->members[i]);
    }
    wire_put_bytes(out, FOUNDING_CONFIGURATION, r->configuration);
    CHECK(out->size - start <= FOUNDING_RECORD_SIZE_MAX);
}

enum err_code founding_record_decode(struct bytes b, struct founding_record *out, struct err *e)
{
    memset(out, 0, sizeof *out);
    out->configuration = bytes_of(b.data, 0);
    if (b.size > FOUNDING_RECORD_SIZE_MAX) {
        return err_set(e, ERR_CORRUPT, "founding record of %zu bytes", b.size);
    }
    struct cursor c = cursor_of(b);
    struct wire_field f;
    while (wire_next(&c, &f)) {
        switch (f.number) {
        case FOUNDING_CLUSTER_ID:
            out->cluster_id = wire_fixed64(&c, &f);
            break;
        case FOUNDING_FOUNDERS:
            if (out->count == LIMIT_VOTERS_MAX) {
                return err_set(e, ERR_CORRUPT, "founding record of more than %d founders",
                               LIMIT_VOTERS_MAX);
            }
            take_member(&c, &f, &out->members[out->count]);
            out->count++;
            break;
        case FOUNDING_CONFIGURATION:
            out->configuration = wire_bytes(&c, &f);
            break;
        default: /* of a newer version */
            break;
        }
    }
    if (c.bad || out->cluster_id == 0 || out->count == 0) {
        return err_set(e, ERR_CORRUPT, "founding record of %zu bytes can't be read", b.size);
    }
    return ERR_OK;
}

/* --- question and answer --- */

void founding_question_encode(const struct founding_question *q, struct buf *out)
{
    CHECK(q->question != 0);
    wire_put_fixed64(out, QUESTION_NUMBER, q->question);
    put_peers(out, QUESTION_PEERS, &q->peers);
    put_member(out, QUESTION_ASKER, &q->asker);
}

enum err_code founding_question_decode(struct bytes b, struct founding_question *out, struct err *e)
{
    struct cursor c = cursor_of(b);
    struct wire_field f;
    memset(out, 0, sizeof *out);
    while (wire_next(&c, &f)) {
        switch (f.number) {
        case QUESTION_NUMBER:
            out->question = wire_fixed64(&c, &f);
            break;
        case QUESTION_PEERS:
            take_peer(&c, &f, &out->peers);
            break;
        case QUESTION_ASKER:
            take_member(&c, &f, &out->asker);
            break;
        default: /* of a newer version */
            break;
        }
    }
    if (c.bad || out->question == 0 || out->asker.directory_id == 0) {
        return err_set(e, ERR_CORRUPT, "question of %zu bytes can't be read", b.size);
    }
    return ERR_OK;
}

void founding_answer_encode(const struct founding_answer *a, struct buf *out)
{
    CHECK(a->question != 0);
    CHECK(a->empty == (a->cluster_id == 0));
    wire_put_fixed64(out, ANSWER_NUMBER, a->question);
    wire_put_uint(out, ANSWER_EMPTY, a->empty ? 1 : 0);
    wire_put_uint(out, ANSWER_PEERS_DIFFER, a->peers_differ ? 1 : 0);
    wire_put_fixed64(out, ANSWER_CLUSTER_ID, a->cluster_id);
    wire_put_bytes(out, ANSWER_FOUNDING, a->record);
    put_member(out, ANSWER_ANSWERER, &a->answerer);
    wire_put_uint(out, ANSWER_HOLDS_ENTRIES, a->holds_entries ? 1 : 0);
    put_peers(out, ANSWER_PEERS, &a->peers);
}

static void take_answer_field(struct cursor *c, const struct wire_field *f,
                              struct founding_answer *out)
{
    switch (f->number) {
    case ANSWER_NUMBER:
        out->question = wire_fixed64(c, f);
        break;
    case ANSWER_EMPTY:
        out->empty = wire_bool(c, f);
        break;
    case ANSWER_PEERS_DIFFER:
        out->peers_differ = wire_bool(c, f);
        break;
    case ANSWER_CLUSTER_ID:
        out->cluster_id = wire_fixed64(c, f);
        break;
    case ANSWER_FOUNDING:
        out->record = wire_bytes(c, f);
        break;
    case ANSWER_ANSWERER:
        take_member(c, f, &out->answerer);
        break;
    case ANSWER_HOLDS_ENTRIES:
        out->holds_entries = wire_bool(c, f);
        break;
    case ANSWER_PEERS:
        take_peer(c, f, &out->peers);
        break;
    default: /* of a newer version */
        break;
    }
}

enum err_code founding_answer_decode(struct bytes b, struct founding_answer *out, struct err *e)
{
    struct cursor c = cursor_of(b);
    struct wire_field f;
    memset(out, 0, sizeof *out);
    out->record = bytes_of(b.data, 0);
    while (wire_next(&c, &f)) {
        take_answer_field(&c, &f, out);
    }
    /* "Empty" and a cluster are exactly one of two. */
    if (c.bad || out->question == 0 || out->answerer.directory_id == 0 ||
        out->empty != (out->cluster_id == 0)) {
        return err_set(e, ERR_CORRUPT, "answer of %zu bytes can't be read", b.size);
    }
    return ERR_OK;
}
