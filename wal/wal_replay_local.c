/* SPDX-License-Identifier: Apache-2.0 */
#include "wal/wal_replay_local.h"

#include "base/check.h"
#include "base/mem.h"

/* Nothing above 'index_max' can be among what was lost. At or below the cut a
 * checkpoint holds it: no loss. */
static void note_loss(struct wal_replay *r, uint64_t lsn, uint64_t index_max)
{
    CHECK(r->table->sparse);
    CHECK(r->local);
    CHECK(lsn != 0);
    if (index_max <= r->table->cut) {
        return;
    }
    r->losses = mem_grow(r->losses, &r->loss_capacity, r->loss_count + 1, sizeof *r->losses);
    r->losses[r->loss_count++] = lsn;
    if (!r->first_loss.found) {
        r->first_loss =
            (struct wal_first_loss){.found = true, .lsn = lsn, .index_kept = r->table->last};
    }
}

/* The entry before this record was 'before'. */
static void link_before(struct wal_replay *r, uint64_t lsn, uint64_t before)
{
    CHECK(r->table->sparse);
    CHECK(r->local);
    CHECK(lsn != 0);
    if (before > r->index_seen) {
        note_loss(r, r->pending ? r->lsn_pending : lsn, before);
    } else if (before < r->index_seen && before > r->table->cut) {
        wal_table_drop(r->table, before + 1); /* a DROP record was lost */
    }
    r->pending = false;
    r->index_seen = before;
}

static void replay_entry(struct wal_replay *r, const struct wal_found *s)
{
    CHECK(r->table->sparse);
    CHECK(wal_record_is_entry(s->record.type));
    CHECK(s->record.index > 0);
    if (s->by_header) {
        link_before(r, s->lsn, s->record.before);
    } else if (r->pending) {
        /* Nothing says how much is gone between. */
        note_loss(r, r->lsn_pending, s->record.index - 1);
        r->pending = false;
    }
    if (s->record.index <= r->index_seen) {
        /* Indexes only rise: what was between them is lost. */
        note_loss(r, s->lsn, s->record.index);
        return;
    }
    if (s->verdict == WAL_DAMAGED) {
        note_loss(r, s->lsn, s->record.index);
    } else if (r->first_loss.found && s->record.index > r->table->cut) {
        if (r->first_loss.entries_after++ == 0) {
            r->first_loss.index_after_first = s->record.index;
        }
        r->first_loss.index_after_last = s->record.index;
    }
    r->index_seen = s->record.index;
    struct wal_place place = wal_replay_place(s);
    wal_table_put(r->table, s->record.index, &place);
}

static void replay_drop(struct wal_replay *r, const struct wal_found *s)
{
    CHECK(s->record.type == WAL_RECORD_DROP);
    CHECK(s->record.index > 0);
    wal_table_drop(r->table, s->record.index);
    (void)wal_table_remove_holes(r->table);
    r->index_seen = s->record.index - 1;
    r->pending = false;
    r->first_loss = (struct wal_first_loss){0};
    r->loss_count = 0;
}

void wal_replay_local_slot(struct wal_replay *r, const struct wal_found *s)
{
    CHECK(s->lsn != 0);
    CHECK(s->verdict == WAL_WHOLE || s->verdict == WAL_DAMAGED);
    CHECK(r->local);
    if (wal_record_is_entry(s->record.type)) {
        replay_entry(r, s);
    } else if (s->record.type == WAL_RECORD_DROP) {
        replay_drop(r, s);
    } else if (s->record.type == WAL_RECORD_MARK) {
        link_before(r, s->lsn, s->record.index);
    }
}

void wal_replay_local_end(struct wal_replay *r)
{
    CHECK(r->table->sparse);
    CHECK(r->local);
    if (r->pending) {
        note_loss(r, r->lsn_pending, UINT64_MAX);
    }
}
