/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/repair_wire.h"

#include "base/check.h"
#include "base/crc32c.h"
#include "base/mem.h"
#include "proto/wire.h"
#include "raft/repair_weak.h"

enum {
    QUESTION_SIZE_MAX = 64 * LIMIT_KIB,
    INDEX_BITS = 62, /* of indexes and terms from outside: sums of two can't overflow */
};

#define INDEX_MAX (UINT64_C(1) << INDEX_BITS)

/* ---- numbers and messages inside ---- */

static uint64_t read_index(struct cursor *c, const struct wire_field *f)
{
    CHECK(c != NULL);
    CHECK(f->number > 0);
    uint64_t v = wire_uint(c, f);
    if (v > INDEX_MAX) {
        c->bad = true;
        return 0;
    }
    return v;
}

/* Up to four numbers, as all the small messages here hold. */
static void read_numbers(struct cursor *c, const struct wire_field *outer, uint64_t v[4])
{
    CHECK(c != NULL);
    CHECK(outer->number > 0);
    memset(v, 0, 4 * sizeof v[0]);
    struct cursor inner = cursor_of(wire_bytes(c, outer));
    struct wire_field f;
    while (wire_next(&inner, &f)) {
        if (f.number <= 4) {
            v[f.number - 1] = read_index(&inner, &f);
        }
    }
    c->bad = c->bad || inner.bad;
}

static void put_numbers(struct buf *b, uint32_t number, const uint64_t v[4])
{
    CHECK(number > 0);
    CHECK(v[0] > 0);
    size_t mark = wire_begin(b, number);
    for (uint32_t i = 0; i < 4; i++) {
        CHECK(v[i] <= INDEX_MAX);
        wire_put_uint(b, i + 1, v[i]);
    }
    wire_end(b, mark);
}

/* ---- the question ---- */

void repair_question_encode(const struct repair_question *q, struct buf *out)
{
    CHECK(q->question != 0);
    CHECK(q->range_count <= LIMIT_REPAIR_RANGES);
    CHECK(q->want_count <= LIMIT_REPAIR_WANTS);
    wire_put_fixed64(out, 1, q->question);
    wire_put_uint(out, 2, q->term_above);
    wire_put_uint(out, 3, q->insist);
    for (size_t i = 0; i < q->range_count; i++) {
        const struct repair_range *r = &q->ranges[i];
        put_numbers(out, 4, (const uint64_t[4]){r->first, r->count});
    }
    for (size_t i = 0; i < q->want_count; i++) {
        const struct repair_want *w = &q->wants[i];
        CHECK(w->count > 0);
        put_numbers(out, 5, (const uint64_t[4]){w->index, w->count, w->term});
    }
}

static void read_range(struct cursor *c, const struct wire_field *f, struct repair_question *q)
{
    CHECK(q->range_count <= LIMIT_REPAIR_RANGES);
    uint64_t v[4];
    read_numbers(c, f, v);
    bool fits = q->range_count < LIMIT_REPAIR_RANGES && v[0] > 0;
    if (fits && q->range_count > 0) {
        const struct repair_range *before = &q->ranges[q->range_count - 1];
        fits = before->count > 0 && v[0] >= before->first + before->count;
    }
    if (!fits) {
        c->bad = true;
        return;
    }
    q->ranges[q->range_count++] = (struct repair_range){.first = v[0], .count = v[1]};
}

static void read_want(struct cursor *c, const struct wire_field *f, struct repair_question *q)
{
    CHECK(q->want_count <= LIMIT_REPAIR_WANTS);
    uint64_t v[4];
    read_numbers(c, f, v);
    if (q->want_count == LIMIT_REPAIR_WANTS || v[0] == 0 || v[1] == 0 || v[2] == 0) {
        c->bad = true;
        return;
    }
    q->wants[q->want_count++] = (struct repair_want){v[0], v[1], v[2]};
}

static void read_question_field(struct cursor *c, const struct wire_field *f,
                                struct repair_question *q)
{
    CHECK(f->number > 0);
    CHECK(q->want_count <= LIMIT_REPAIR_WANTS);
    switch (f->number) {
    case 1:
        q->question = wire_fixed64(c, f);
        break;
    case 2:
        q->term_above = read_index(c, f);
        break;
    case 3:
        q->insist = wire_bool(c, f);
        break;
    case 4:
        read_range(c, f, q);
        break;
    case 5:
        read_want(c, f, q);
        break;
    default:
        break; /* of a newer version */
    }
}

enum err_code repair_question_decode(struct bytes message, struct repair_question *out,
                                     struct err *e)
{
    CHECK(message.data != NULL || message.size == 0);
    CHECK(out != NULL);
    *out = (struct repair_question){0};
    if (message.size > QUESTION_SIZE_MAX) {
        return err_set(e, ERR_CORRUPT, "repair question of %zu bytes", message.size);
    }
    struct cursor c = cursor_of(message);
    struct wire_field f;
    while (wire_next(&c, &f)) {
        read_question_field(&c, &f, out);
    }
    if (c.bad || out->question == 0 || out->term_above == INDEX_MAX) {
        return err_set(e, ERR_CORRUPT, "repair question can't be decoded");
    }
    return ERR_OK;
}

/* ---- the answer ---- */

void repair_said_deinit(struct repair_said *said)
{
    CHECK(said->entry_count == 0 || said->entries != NULL);
    slot_runs_deinit(&said->runs);
    for (size_t i = 0; i < said->entry_count; i++) {
        entry_unref(said->entries[i]);
    }
    mem_free(said->entries);
    *said = (struct repair_said){0};
}

static void put_entry(struct buf *out, const struct entry *entry)
{
    CHECK(entry->index > 0);
    CHECK(entry->term > 0);
    struct bytes payload = entry_payload(entry);
    size_t mark = wire_begin(out, 15);
    wire_put_uint(out, 1, entry->index);
    wire_put_uint(out, 2, entry->term);
    wire_put_uint(out, 3, (uint64_t)entry->type);
    wire_put_bytes(out, 4, payload);
    wire_put_tag(out, 5, WIRE_FIXED32);
    buf_put_u32(out, crc32c_bytes(payload));
    wire_end(out, mark);
}

static void put_configuration(struct buf *out, const struct configuration *c)
{
    CHECK(c->count > 0);
    CHECK(c->count <= LIMIT_NODES_MAX);
    struct buf bytes = {0};
    configuration_encode(c, &bytes);
    wire_put_bytes(out, 12, buf_bytes(&bytes));
    wire_put_uint(out, 13, c->index);
    buf_deinit(&bytes);
}

void repair_said_encode(const struct repair_said *said, struct buf *out)
{
    CHECK(said->question != 0);
    CHECK(said->first > 0);
    CHECK(said->last + 1 >= said->first);
    CHECK(said->runs.count <= LIMIT_REPAIR_RUNS);
    wire_put_fixed64(out, 1, said->question);
    wire_put_uint(out, 2, said->term);
    wire_put_fixed64(out, 3, said->leader);
    wire_put_uint(out, 4, said->leader_term);
    wire_put_uint(out, 5, said->first);
    wire_put_uint(out, 6, said->last);
    wire_put_uint(out, 7, said->end_unknown);
    wire_put_uint(out, 8, said->cut_term);
    wire_put_uint(out, 9, said->snapshot_index);
    wire_put_uint(out, 10, said->snapshot_term);
    for (size_t i = 0; i < said->runs.count; i++) {
        const struct slot_run *run = &said->runs.items[i];
        put_numbers(
            out, 11,
            (const uint64_t[4]){run->first, run->count, (uint64_t)run->slot.kind, run->slot.term});
    }
    if (said->configuration_known) {
        put_configuration(out, &said->configuration);
    }
    wire_put_uint(out, 14, said->configuration_hidden);
    for (size_t i = 0; i < said->entry_count; i++) {
        put_entry(out, said->entries[i]);
    }
}

static void read_run(struct cursor *c, const struct wire_field *f, struct repair_said *said)
{
    CHECK(f->number > 0);
    CHECK(said->runs.count <= LIMIT_REPAIR_RUNS);
    uint64_t v[4];
    read_numbers(c, f, v);
    bool known = v[2] == SLOT_WHOLE || v[2] == SLOT_DAMAGED;
    bool good = known ? v[3] > 0 : v[2] == SLOT_UNKNOWN && v[3] == 0;
    good = good && v[0] > 0 && v[1] > 0 && said->runs.count < LIMIT_REPAIR_RUNS;
    if (good && said->runs.count > 0) {
        good = v[0] > slot_run_last(&said->runs.items[said->runs.count - 1]);
    }
    if (!good) {
        c->bad = true;
        return;
    }
    struct slot slot = {.kind = (enum slot_kind)v[2], .term = v[3]};
    slot_runs_add(&said->runs, (struct slot_run){v[0], v[1], slot});
}

/* One whose bytes don't match their checksum is left out: it counts as not sent. */
static void read_entry(struct cursor *c, const struct wire_field *outer, struct repair_said *said)
{
    CHECK(said->entry_count <= LIMIT_REPAIR_ENTRIES);
    uint64_t index = 0;
    uint64_t term = 0;
    uint64_t type = 0;
    uint64_t crc = 0;
    struct bytes payload = {0};
    struct cursor inner = cursor_of(wire_bytes(c, outer));
    struct wire_field f;
    while (wire_next(&inner, &f)) {
        if (f.number == 1) {
            index = read_index(&inner, &f);
        } else if (f.number == 2) {
            term = read_index(&inner, &f);
        } else if (f.number == 3) {
            type = wire_uint(&inner, &f);
        } else if (f.number == 4) {
            payload = wire_bytes(&inner, &f);
        } else if (f.number == 5) {
            crc = f.value;
            inner.bad = inner.bad || f.type != WIRE_FIXED32;
        }
    }
    bool typed = type == ENTRY_COMMAND || type == ENTRY_BARRIER || type == ENTRY_CHANGE;
    if (inner.bad || index == 0 || term == 0 || !typed || payload.size > LIMIT_ENTRY_SIZE_MAX ||
        said->entry_count == LIMIT_REPAIR_ENTRIES) {
        c->bad = true;
        return;
    }
    if (crc32c_bytes(payload) != crc && !WEAK(CRC)) {
        return;
    }
    if (said->entries == NULL) {
        said->entries = mem_array(LIMIT_REPAIR_ENTRIES, sizeof(struct entry *));
    }
    CHECK(said->entry_count < LIMIT_REPAIR_ENTRIES);
    said->entries[said->entry_count++] = entry_new((enum entry_type)type, index, term, payload);
}

static void read_said_number(struct cursor *c, const struct wire_field *f, struct repair_said *said)
{
    CHECK(f->number > 0);
    CHECK(said != NULL);
    switch (f->number) {
    case 2:
        said->term = read_index(c, f);
        break;
    case 4:
        said->leader_term = read_index(c, f);
        break;
    case 5:
        said->first = read_index(c, f);
        break;
    case 6:
        said->last = read_index(c, f);
        break;
    case 7:
        said->end_unknown = wire_bool(c, f);
        break;
    case 8:
        said->cut_term = read_index(c, f);
        break;
    case 9:
        said->snapshot_index = read_index(c, f);
        break;
    case 10:
        said->snapshot_term = read_index(c, f);
        break;
    case 13:
        said->configuration.index = read_index(c, f);
        break;
    case 14:
        said->configuration_hidden = wire_bool(c, f);
        break;
    default:
        break; /* of a newer version */
    }
}

static void read_said_field(struct cursor *c, const struct wire_field *f, struct repair_said *said,
                            struct bytes *configuration)
{
    CHECK(f->number > 0);
    CHECK(configuration != NULL);
    switch (f->number) {
    case 1:
        said->question = wire_fixed64(c, f);
        break;
    case 3:
        said->leader = wire_fixed64(c, f);
        break;
    case 11:
        read_run(c, f, said);
        break;
    case 12:
        *configuration = wire_bytes(c, f);
        break;
    case 15:
        read_entry(c, f, said);
        break;
    default:
        read_said_number(c, f, said);
        break;
    }
}

static bool runs_are_inside(const struct repair_said *said)
{
    CHECK(said->first > 0);
    CHECK(said->last + 1 >= said->first);
    if (said->runs.count == 0) {
        return true;
    }
    const struct slot_run *last = &said->runs.items[said->runs.count - 1];
    return said->runs.items[0].first >= said->first && slot_run_last(last) <= said->last;
}

static enum err_code read_said(struct bytes message, struct repair_said *said, struct err *e)
{
    CHECK(said->entries == NULL);
    CHECK(said->runs.count == 0);
    struct cursor c = cursor_of(message);
    struct wire_field f;
    struct bytes configuration = {0};
    while (wire_next(&c, &f)) {
        read_said_field(&c, &f, said, &configuration);
    }
    if (c.bad || said->question == 0 || said->first == 0 || said->last + 1 < said->first ||
        !runs_are_inside(said)) {
        return err_set(e, ERR_CORRUPT, "repair answer can't be decoded");
    }
    if ((said->snapshot_index == 0) != (said->snapshot_term == 0)) {
        return err_set(e, ERR_CORRUPT, "repair answer with a checkpoint of no term");
    }
    if ((said->leader == 0) != (said->leader_term == 0) || said->leader_term > said->term) {
        return err_set(e, ERR_CORRUPT, "repair answer of a leader of another term");
    }
    if (configuration.size == 0) {
        return ERR_OK;
    }
    said->configuration_known = true;
    return configuration_decode(configuration, said->configuration.index, &said->configuration, e);
}

enum err_code repair_said_decode(struct bytes message, struct repair_said *out, struct err *e)
{
    CHECK(message.data != NULL || message.size == 0);
    CHECK(out != NULL);
    *out = (struct repair_said){0};
    if (message.size > LIMIT_REPAIR_ANSWER_SIZE_MAX) {
        return err_set(e, ERR_CORRUPT, "repair answer of %zu bytes", message.size);
    }
    enum err_code code = read_said(message, out, e);
    if (code != ERR_OK) {
        repair_said_deinit(out);
    }
    return code;
}

static struct slot said_cut(const struct repair_said *said, uint64_t index)
{
    CHECK(index > 0);
    CHECK(index < said->first || index <= said->snapshot_index);
    if (WEAK(ANSWER_CUT)) {
        return (struct slot){.kind = SLOT_NEVER_HAD};
    }
    uint64_t term = 0;
    if (index == said->snapshot_index) {
        term = said->snapshot_term;
    } else if (index == said->first - 1) {
        term = said->cut_term;
    }
    return (struct slot){.kind = SLOT_CUT, .term = term};
}

bool repair_said_slot(const struct repair_said *said, uint64_t index, struct slot *out)
{
    CHECK(said->last + 1 >= said->first);
    CHECK(index > 0);
    CHECK(said->first > 0);
    if (index < said->first || (index > said->last && index <= said->snapshot_index)) {
        *out = said_cut(said, index);
        return true;
    }
    if (index > said->last) {
        *out = (struct slot){.kind = said->end_unknown ? SLOT_UNKNOWN : SLOT_NEVER_HAD};
        return true;
    }
    const struct slot_run *run = slot_runs_find(&said->runs, index);
    if (run == NULL) {
        return false;
    }
    *out = run->slot;
    if (out->kind == SLOT_DAMAGED && WEAK(ANSWER_DAMAGED)) {
        *out = (struct slot){.kind = SLOT_NEVER_HAD};
    }
    return true;
}
