/* SPDX-License-Identifier: Apache-2.0 */
/* What holds at every step: one leader per term, one term per applied index.
 * What holds at the end: one index, one state hash on all nodes. */
#include <inttypes.h>
#include <string.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "proto/wire.h"
#include "sim/world.h"

static uint64_t *slot_of(uint64_t **items, uint64_t *count, uint64_t i)
{
    CHECK(i < UINT64_C(1) << 24);
    if (i >= *count) {
        size_t capacity = *count;
        *items = mem_grow(*items, &capacity, i + 1, sizeof **items);
        memset(*items + *count, 0, (capacity - *count) * sizeof **items);
        *count = capacity;
    }
    return &(*items)[i];
}

static void check_leader(struct node *n, const struct member_status *s)
{
    struct world *w = n->world;
    if (s->replica.role != REPLICA_LEADER) {
        return;
    }
    uint64_t *leader = slot_of(&w->leader_of_term, &w->leader_of_term_count, s->replica.term);
    if (*leader == 0) {
        *leader = s->directory_id;
        w->counts.elections++;
        world_trace(w, n->number, s->replica.term, s->directory_id);
        world_say(w, "%s leads term %" PRIu64, n->name, s->replica.term);
    } else if (*leader != s->directory_id) {
        world_fail(w, "two leaders in term %" PRIu64 ": %s is the second", s->replica.term,
                   n->name);
    }
}

static void check_applied(struct node *n)
{
    struct world *w = n->world;
    const struct tsdb *db = member_tsdb(n->member);
    if (db == NULL || n->working[LANE_APPLY].first != NULL) {
        return;
    }
    uint64_t index = tsdb_applied_index(db);
    if (index == 0) {
        return; /* nothing yet */
    }
    if (index != n->applied_index) {
        n->applied_index = index;
        world_trace(w, n->number, index, tsdb_applied_term(db));
    }
    uint64_t *term = slot_of(&w->term_of_index, &w->applied_count, index);
    if (*term == 0) {
        *term = tsdb_applied_term(db);
        w->counts.commits++;
    } else if (*term != tsdb_applied_term(db)) {
        world_fail(w, "%s applied entry %" PRIu64 " of term %" PRIu64 ", others that of %" PRIu64,
                   n->name, index, tsdb_applied_term(db), *term);
    }
}

/* Every node makes the same checkpoints of the same bytes (safety.md E2). */
static void check_checkpoint(struct node *n, uint64_t index)
{
    struct world *w = n->world;
    char name[TSDB_NAME_SIZE];
    char path[IO_PATH_MAX];
    struct buf manifest = {0};
    struct err e;
    tsdb_manifest_name(index, name);
    if (io_join(path, storage_tsdb_dir(n->storage), name, &e) == ERR_OK &&
        io_read_file(fake_disk_io(n->disk), path, LIMIT_MANIFEST_SIZE_MAX, &manifest, &e) ==
            ERR_OK) { /* else its disk has just died */
        uint64_t hash = hash64(buf_bytes(&manifest)) | 1;
        uint64_t *first = slot_of(&w->manifest_of_index, &w->manifest_of_index_count, index);
        if (*first == 0) {
            *first = hash;
        } else if (*first != hash && !w->diverges) {
            world_fail(w, "%s has another checkpoint %" PRIu64 " than others", n->name, index);
        }
        w->counts.checkpoints++;
    }
    buf_deinit(&manifest);
}

/* Nothing leaves a log before a majority holds it in a checkpoint (safety.md E3). */
static void check_cut(struct node *n, const struct member_status *s)
{
    struct world *w = n->world;
    if (s->checkpoint_index > n->checkpoint_index) {
        n->checkpoint_index = s->checkpoint_index;
        check_checkpoint(n, s->checkpoint_index);
    }
    uint64_t held[WORLD_NODES_MAX];
    for (size_t i = 0; i < w->node_count; i++) { /* rising */
        size_t k = i;
        for (; k > 0 && held[k - 1] > w->nodes[i].checkpoint_index; k--) {
            held[k] = held[k - 1];
        }
        held[k] = w->nodes[i].checkpoint_index;
    }
    uint64_t majority = held[(w->node_count - 1) / 2];
    w->cut_max = majority > w->cut_max ? majority : w->cut_max;
    const struct wal *log = storage_wal(n->storage, STORAGE_RAFT);
    if (log != NULL && wal_index_first(log) > w->cut_max + 1) {
        world_fail(w, "%s has cut its log up to %" PRIu64 ", a majority holds checkpoint %" PRIu64,
                   n->name, wal_index_first(log) - 1, w->cut_max);
    }
}

/* Its scrubber has read everything since it was hurt, and nothing is left to be repaired. */
static bool is_read_anew(struct node *n, const struct member_status *s)
{
    enum { ROUNDS = 2 }; /* the first had begun before */
    size_t holes = 0;
    (void)wal_holes(storage_wal(n->storage, STORAGE_RAFT), &holes);
    return s->damage.rounds_logs >= n->hurt_rounds_logs + ROUNDS &&
           s->damage.rounds_parts >= n->hurt_rounds_parts + ROUNDS &&
           s->damage.parts_waiting == 0 && holes == 0;
}

static void note_repaired(struct node *n, const struct member_status *s)
{
    struct world *w = n->world;
    if (s->state != MEMBER_RUNNING) {
        return;
    }
    if (n->damaged && s->replica.leader != 0) {
        n->damaged = false;
        w->counts.repairs++;
    }
    if (n->hurt && is_read_anew(n, s)) {
        n->hurt = false;
        w->counts.hurts_repaired++;
    }
    const struct configuration *c = member_configuration(n->member);
    bool seated = configuration_is_voter(c, s->directory_id) &&
                  configuration_voters(c) == w->node_count && s->replica.leader != 0;
    if (n->replaced && seated) {
        n->replaced = false;
        world_say(w, "%s is a voter again, as %016" PRIx64, n->name, s->directory_id);
    }
}

void check_step(struct node *n)
{
    if (!n->up || n->stopped) {
        return;
    }
    struct member_status s = member_status(n->member);
    if (s.state == MEMBER_RUNNING) {
        check_leader(n, &s);
    }
    check_applied(n);
    check_cut(n, &s);
    note_repaired(n, &s);
}

bool check_is_converged(struct world *w)
{
    uint64_t index = 0;
    for (size_t i = 0; i < w->node_count; i++) {
        struct node *n = &w->nodes[i];
        if (!node_is_serving(n) || n->working[LANE_APPLY].first != NULL || n->hurt) {
            return false;
        }
        struct member_status s = member_status(n->member);
        index = i == 0 ? s.applied_index : index;
        bool led = s.replica.leader != 0 || s.state == MEMBER_LOCAL;
        if (!led || s.replica.commit_index != s.applied_index || s.applied_index != index) {
            return false;
        }
    }
    return true;
}

/* The index of the last change of the level. */
static uint64_t level_changed_index(struct node *n)
{
    enum { FIELD_CHANGED_INDEX = 10 };
    struct buf request = {0};
    struct buf answer = {0};
    struct err e;
    uint64_t index = 0;
    wire_put_str(&request, 1, "ts.wal.wal_level");
    if (tsdb_ask(member_tsdb(n->member), TSDB_GET_SETTING, buf_bytes(&request), &answer, &e) !=
        ERR_OK) {
        world_fail(n->world, "%s: level: %s", n->name, e.text);
    }
    struct cursor c = cursor_of(buf_bytes(&answer));
    struct wire_field f;
    while (wire_next(&c, &f)) {
        index = f.number == FIELD_CHANGED_INDEX ? wire_uint(&c, &f) : index;
    }
    buf_deinit(&request);
    buf_deinit(&answer);
    return index;
}

/* Since it is level byrl (or off, which is as that in a cluster), the local WAL
 * takes metadata alone (safety.md D2). */
static void check_copies(struct node *n)
{
    struct wal *local = storage_wal(n->storage, STORAGE_LOCAL);
    struct member_status s = member_status(n->member);
    bool copies = s.wal_level == WAL_LEVEL_SYNC || s.wal_level == WAL_LEVEL_FLUSH;
    if (local == NULL || copies || s.state == MEMBER_LOCAL) {
        return;
    }
    uint64_t changed_index = level_changed_index(n);
    struct buf storage = {0};
    struct err e;
    for (uint64_t index = wal_index_first(local);;) {
        struct wal_entry record;
        size_t count = 0;
        buf_reset(&storage);
        if (wal_read(local, index, 1, LIMIT_ENTRY_SIZE_MAX, &storage, &record, &count, &e) !=
            ERR_OK) {
            world_fail(n->world, "%s: local WAL: %s", n->name, e.text);
        }
        if (count == 0) {
            break;
        }
        if (record.type == WAL_COMMAND && record.index > changed_index) {
            world_fail(n->world, "%s: the local WAL holds a write, entry %" PRIu64, n->name,
                       record.index);
        }
        index = record.index + 1;
    }
    buf_deinit(&storage);
}

static struct hash128 state_hash(struct node *n)
{
    struct tsdb_view *view = tsdb_view_pin(member_tsdb(n->member));
    struct hash128 hash;
    struct err e;
    if (tsdb_view_hash(view, &hash, &e) != ERR_OK) {
        world_fail(n->world, "%s: state hash: %s", n->name, e.text);
    }
    tsdb_view_unpin(view);
    return hash;
}

static void say_state(struct world *w)
{
    for (size_t i = 0; i < w->node_count; i++) {
        struct node *n = &w->nodes[i];
        if (!n->up) {
            world_say(w, "%s is down", n->name);
            continue;
        }
        struct member_status s = member_status(n->member);
        world_say(w,
                  "%s: %s role %d term %" PRIu64 " leader %016" PRIx64 " applied %" PRIu64
                  " commit %" PRIu64 " last %" PRIu64 ": %s",
                  n->name, member_state_name(s.state), (int)s.replica.role, s.replica.term,
                  s.replica.leader, s.applied_index, s.replica.commit_index, s.replica.last_index,
                  s.message);
    }
}

void check_end(struct world *w)
{
    if (!check_is_converged(w)) {
        w->verbose = true;
        say_state(w);
        return;
    }
    for (size_t i = 0; i < w->node_count; i++) {
        check_copies(&w->nodes[i]);
    }
    struct hash128 first = state_hash(&w->nodes[0]);
    for (size_t i = 1; i < w->node_count; i++) {
        struct hash128 hash = state_hash(&w->nodes[i]);
        if (hash.low != first.low || hash.high != first.high) {
            world_fail(w, "%s and %s have different states at index %" PRIu64, w->nodes[0].name,
                       w->nodes[i].name, tsdb_applied_index(member_tsdb(w->nodes[i].member)));
        }
    }
}
