/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/repair_text.h"

#include <inttypes.h>

#include "base/check.h"
#include "base/mem.h"

enum { HOLES_SHOWN = 8 };

static const char *name_of(const struct judge *j, uint64_t id)
{
    CHECK(id != j->id);
    CHECK(id != 0);
    for (size_t i = j->configuration_count; i > 0; i--) {
        const struct server *s = configuration_find(&j->configurations[i - 1], id);
        if (s != NULL) {
            return s->address;
        }
    }
    return "";
}

static const struct judge_peer *find_peer(const struct judge *j, uint64_t id)
{
    CHECK(id != 0);
    CHECK(j->peer_count <= LIMIT_REPAIR_PEERS);
    for (size_t i = 0; i < j->peer_count; i++) {
        if (j->peers[i].id == id) {
            return &j->peers[i];
        }
    }
    return NULL;
}

/* What a peer said about one entry, or, index 0, about checkpoints. */
enum said {
    SILENT,
    NOT_ASKED,
    NEVER_HELD,
    WHOLE,
    UNPROVED,
    OTHER_TERM,
    DAMAGED,
    UNKNOWN,
    CUT,
    NO_CHECKPOINT
};

static const char *const said_texts[] = {
    [SILENT] = "no answer from",
    [NOT_ASKED] = "not asked:",
    [NEVER_HELD] = "never held by",
    [WHOLE] = "whole at",
    [UNPROVED] = "whole, not proved the same, at",
    [OTHER_TERM] = "another term at",
    [DAMAGED] = "damaged at",
    [UNKNOWN] = "unknown at",
    [CUT] = "cut away at",
    [NO_CHECKPOINT] = "no such checkpoint at",
};

static enum said said_of(const struct judge_peer *p, uint64_t index, uint64_t term)
{
    CHECK(p == NULL || p->id != 0);
    struct slot slot;
    if (p == NULL || p->said == NULL) {
        return SILENT;
    }
    if (index == 0) {
        return NO_CHECKPOINT;
    }
    if (!repair_said_slot(p->said, index, &slot)) {
        return NOT_ASKED;
    }
    bool known = slot.kind == SLOT_WHOLE || slot.kind == SLOT_DAMAGED;
    if (known && term != 0 && slot.term != term) {
        return OTHER_TERM;
    }
    switch (slot.kind) {
    case SLOT_NEVER_HAD:
        return NEVER_HELD;
    case SLOT_WHOLE:
        return term == 0 ? UNPROVED : WHOLE;
    case SLOT_DAMAGED:
        return DAMAGED;
    case SLOT_UNKNOWN:
        return UNKNOWN;
    case SLOT_CUT:
        break;
    }
    return CUT;
}

static void put_node(struct buf *b, const struct judge *j, uint64_t id, enum said said)
{
    CHECK(id != 0);
    CHECK(said <= NO_CHECKPOINT);
    const char *name = name_of(j, id);
    buf_printf(b, "%s%s node %016" PRIx64, b->size == 0 ? "" : ", ", said_texts[said], id);
    if (name[0] != '\0') {
        buf_printf(b, " (%s)", name);
    }
}

/* Every server of a known configuration, and every other peer that answered. */
static void put_nodes(struct buf *out, const struct judge *j, uint64_t index, uint64_t term)
{
    CHECK(j->peer_count <= LIMIT_REPAIR_PEERS);
    struct buf nodes = {0};
    CHECK(index > 0 || j->base_missing);
    for (size_t i = 0; i < j->peer_count; i++) {
        put_node(&nodes, j, j->peers[i].id, said_of(&j->peers[i], index, term));
    }
    const struct configuration *c =
        j->configuration_count == 0 ? NULL : &j->configurations[j->configuration_count - 1];
    for (size_t i = 0; c != NULL && i < c->count; i++) {
        uint64_t id = c->servers[i].id;
        if (id != j->id && find_peer(j, id) == NULL) {
            put_node(&nodes, j, id, said_of(NULL, index, term));
        }
    }
    if (nodes.size == 0) {
        buf_printf(&nodes, "no other node is known");
    }
    buf_put_bytes(out, buf_bytes(&nodes));
    buf_deinit(&nodes);
}

/* Holes of one run of which everybody says the same are one part of the text. */
static void put_hole(struct buf *out, const struct judge *j, const struct slot_run *run)
{
    CHECK(run->first > j->base);
    CHECK(run->count > 0);
    uint64_t last = slot_run_last(run);
    buf_printf(out, "%s", out->size == 0 ? "" : "; ");
    if (last == run->first) {
        buf_printf(out, "entry %" PRIu64, run->first);
    } else {
        buf_printf(out, "entries %" PRIu64 " to %" PRIu64, run->first, last);
    }
    if (run->slot.kind == SLOT_DAMAGED) {
        buf_printf(out, " (term %" PRIu64 "): ", run->slot.term);
    } else {
        buf_printf(out, " (term lost): ");
    }
    put_nodes(out, j, run->first, run->slot.term);
}

static void put_end(struct buf *out, const struct judge *j)
{
    CHECK(j->last >= j->base);
    CHECK(j->end_unknown);
    buf_printf(out, "%swhat followed entry %" PRIu64 ": ", out->size == 0 ? "" : "; ", j->last);
    put_nodes(out, j, j->last + 1, 0);
}

static uint64_t same_until(const struct judge *j, uint64_t index, uint64_t last, uint64_t term)
{
    CHECK(index > j->base);
    CHECK(index <= last);
    uint64_t i = index + 1;
    for (; i <= last; i++) {
        for (size_t k = 0; k < j->peer_count; k++) {
            const struct judge_peer *p = &j->peers[k];
            if (said_of(p, i, term) != said_of(p, index, term)) {
                return i - 1;
            }
        }
    }
    return last;
}

char *repair_waiting_text(const struct judge *j)
{
    CHECK(j->own != NULL);
    struct buf out = {0};
    size_t shown = 0;
    uint64_t more = 0;
    if (j->base_missing) {
        buf_printf(&out, "a checkpoint that reaches entry %" PRIu64 ": ", j->base);
        put_nodes(&out, j, 0, 0);
    }
    for (size_t i = 0; i < j->own->count && !j->base_missing; i++) {
        struct slot_run run = j->own->items[i];
        uint64_t last = slot_run_last(&run);
        if (run.slot.kind != SLOT_DAMAGED && run.slot.kind != SLOT_UNKNOWN) {
            continue;
        }
        for (; run.first <= last && shown < HOLES_SHOWN; run.first += run.count, shown++) {
            run.count = same_until(j, run.first, last, run.slot.term) - run.first + 1;
            put_hole(&out, j, &run);
        }
        more += last + 1 - run.first;
    }
    if (j->end_unknown && !j->base_missing) {
        put_end(&out, j);
    }
    if (more > 0) {
        buf_printf(&out, "; and %" PRIu64 " more", more);
    }
    CHECK(out.size > 0);
    char *text = mem_format("waits for %.*s", (int)out.size, (const char *)out.data);
    buf_deinit(&out);
    return text;
}
