/* SPDX-License-Identifier: Apache-2.0 */
#include "base/check.h"
#include "base/mem.h"
#include "raft/repair_weak.h"
#include "raft/repair_wire.h"

enum {
    ENTRIES_SIZE_MAX = LIMIT_MIB, /* of one answer; a first entry always goes */
    NEED_MAX = 64,                /* entries read from disk for one answer */
};

static void check_self(const struct repair_self *self)
{
    uint64_t first = self->log.first(self->log.context);
    uint64_t last = self->log.last(self->log.context);
    CHECK(self->id != 0);
    CHECK(first > 0);
    CHECK(last + 1 >= first);
    CHECK((self->leader == 0) == (self->leader_term == 0));
    CHECK(self->leader_term <= self->term);
    CHECK(self->snapshot_index == 0 || self->snapshot_term > 0);
}

/* The promise of C2.3: who follows a live leader, or leads, names the leader
 * instead, unless the asker found that this leader can't decide. */
static bool must_promise(const struct repair_self *self, const struct repair_question *q)
{
    CHECK(q->question != 0);
    CHECK(self->id != 0);
    if (q->term_above == 0 || self->term > q->term_above || WEAK(C23_TERM)) {
        return false;
    }
    return self->leader == 0 || q->insist;
}

static void say_position(const struct repair_self *self, const struct repair_question *q,
                         struct repair_said *said)
{
    CHECK(q->question != 0);
    CHECK(self->id != 0);
    void *log = self->log.context;
    said->question = q->question;
    said->term = self->term;
    said->leader = self->leader;
    said->leader_term = self->leader_term;
    said->first = self->log.first(log);
    said->last = self->log.last(log);
    said->end_unknown = self->log.end_unknown(log) && !WEAK(ANSWER_END);
    said->snapshot_index = self->snapshot_index;
    said->snapshot_term = self->snapshot_term;
    if (said->first > 1) {
        struct slot cut = self->log.at(log, said->first - 1);
        CHECK(cut.kind == SLOT_CUT);
        said->cut_term = cut.term;
    }
}

/* At most LIMIT_REPAIR_RUNS: what is not said counts as not asked. */
static void say_range(const struct repair_self *self, struct repair_range range,
                      struct repair_said *said)
{
    CHECK(said->first > 0);
    CHECK(range.first > 0);
    uint64_t low = self->log.first(self->log.context);
    uint64_t high = self->log.last(self->log.context);
    uint64_t first = range.first > low ? range.first : low;
    uint64_t last = range.count == 0 ? high : range.first + range.count - 1;
    last = last < high ? last : high;
    for (uint64_t i = first; i <= last && said->runs.count < LIMIT_REPAIR_RUNS; i++) {
        struct slot slot = self->log.at(self->log.context, i);
        CHECK(slot.kind == SLOT_WHOLE || slot.kind == SLOT_DAMAGED || slot.kind == SLOT_UNKNOWN);
        slot.term = slot.kind == SLOT_UNKNOWN ? 0 : slot.term;
        slot_runs_add(&said->runs, (struct slot_run){i, 1, {.kind = slot.kind, .term = slot.term}});
    }
}

/* Whether a lost entry of ours can be a membership change that is later than
 * the latest one that we know. */
static bool hides_later_change(const struct repair_self *self, uint64_t known)
{
    CHECK(self->log.at != NULL);
    if (self->log.end_unknown(self->log.context)) {
        return true;
    }
    uint64_t low = self->log.first(self->log.context);
    uint64_t high = self->log.last(self->log.context);
    low = low > known + 1 ? low : known + 1;
    low = low > self->snapshot_index + 1 ? low : self->snapshot_index + 1;
    for (uint64_t i = low; i <= high; i++) {
        struct slot slot = self->log.at(self->log.context, i);
        bool change = slot.type != ENTRY_COMMAND && slot.type != ENTRY_BARRIER;
        if (slot.kind == SLOT_UNKNOWN || (slot.kind == SLOT_DAMAGED && change)) {
            return true;
        }
    }
    return false;
}

static void say_configuration(const struct repair_self *self, struct repair_said *said)
{
    CHECK(self->id != 0);
    CHECK(!said->configuration_known);
    uint64_t known = 0;
    if (self->configuration != NULL) {
        CHECK(self->configuration->count > 0);
        said->configuration_known = true;
        said->configuration = *self->configuration;
        known = self->configuration->index;
    }
    said->configuration_hidden = hides_later_change(self, known);
}

static bool is_whole_here(const struct repair_self *self, uint64_t index, uint64_t term)
{
    CHECK(index > 0);
    CHECK(term > 0);
    if (index < self->log.first(self->log.context) || index > self->log.last(self->log.context)) {
        return false;
    }
    struct slot slot = self->log.at(self->log.context, index);
    return slot.kind == SLOT_WHOLE && slot.term == term;
}

/* False: the answer has no room for it. */
static bool add_entry(struct repair_said *said, struct entry *entry, size_t *size)
{
    CHECK(entry->index > 0);
    CHECK(said->entry_count < LIMIT_REPAIR_ENTRIES);
    if (said->entry_count > 0 && *size + entry->size > ENTRIES_SIZE_MAX) {
        entry_unref(entry);
        return false;
    }
    said->entries[said->entry_count++] = entry;
    *size += entry->size;
    return true;
}

/* The first run of entries that must be read. */
static void add_need(struct repair_reply *reply, uint64_t index)
{
    CHECK(index > 0);
    CHECK(reply->need_count <= NEED_MAX);
    if (reply->need_count == 0) {
        reply->need_index = index;
        reply->need_count = 1;
    } else if (reply->need_count < NEED_MAX && reply->need_index + reply->need_count == index) {
        reply->need_count++;
    }
}

/* False: the answer is full. */
static bool say_want(const struct repair_self *self, const struct repair_want *want,
                     struct repair_said *said, size_t *size, struct repair_reply *reply)
{
    CHECK(said->entries != NULL);
    CHECK(want->count > 0);
    for (uint64_t k = 0; k < want->count && k < LIMIT_REPAIR_ENTRIES; k++) {
        uint64_t index = want->index + k;
        bool need = false;
        if (said->entry_count == LIMIT_REPAIR_ENTRIES) {
            return false;
        }
        if (!is_whole_here(self, index, want->term)) {
            continue;
        }
        struct entry *entry = self->entry(self->context, index, &need);
        if (entry != NULL) {
            CHECK(entry->index == index);
            CHECK(entry->term == want->term);
            if (!add_entry(said, entry, size)) {
                return false;
            }
        } else if (need) {
            add_need(reply, index);
        }
    }
    return true;
}

/* What is in memory now is sent. When nothing is, the first run that is held
 * whole must be read, and the question answered after that. */
static void say_entries(const struct repair_self *self, const struct repair_question *q,
                        struct repair_said *said, struct repair_reply *reply)
{
    CHECK(q->want_count <= LIMIT_REPAIR_WANTS);
    CHECK(said->entries == NULL);
    said->entries = mem_array(LIMIT_REPAIR_ENTRIES, sizeof(struct entry *));
    size_t size = 0;
    for (size_t i = 0; i < q->want_count; i++) {
        if (!say_want(self, &q->wants[i], said, &size, reply)) {
            return;
        }
    }
}

enum err_code repair_answer(const struct repair_self *self, uint64_t asker, struct bytes question,
                            struct repair_reply *reply, struct err *e)
{
    CHECK(asker != 0);
    CHECK(asker != self->id);
    check_self(self);
    *reply = (struct repair_reply){0};
    struct repair_question q;
    enum err_code code = repair_question_decode(question, &q, e);
    if (code != ERR_OK) {
        return code;
    }
    if (must_promise(self, &q)) {
        reply->term_first = q.term_above + 1;
        return ERR_OK;
    }
    struct repair_said said = {0};
    say_position(self, &q, &said);
    for (size_t i = 0; i < q.range_count; i++) {
        say_range(self, q.ranges[i], &said);
    }
    if (q.term_above != 0) {
        say_configuration(self, &said);
    }
    if (q.want_count > 0) {
        say_entries(self, &q, &said, reply);
    }
    if (reply->need_count > 0 && said.entry_count == 0) {
        repair_said_deinit(&said);
        return ERR_OK;
    }
    reply->need_count = 0;
    reply->need_index = 0;
    repair_said_encode(&said, &reply->message);
    CHECK(reply->message.size <= LIMIT_REPAIR_ANSWER_SIZE_MAX);
    repair_said_deinit(&said);
    return ERR_OK;
}
