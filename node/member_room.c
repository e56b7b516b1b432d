/* SPDX-License-Identifier: Apache-2.0 */
/* A disk that is full (safety.md H1). A write is taken only while there is room left for
 * what must go on without it: a segment of each log, for barriers, memberships, checkpoints
 * and drops; and the parts of the rows that are in memory. So a full disk refuses writes,
 * and never stops a node that a checkpoint would help.
 *
 * A follower takes what its log has room for, half of that reserve included: what the leader
 * has taken already, and the checkpoint that it makes when told. Behind that it drops appends
 * before libraft sees them, and serves no reads that wait for them.
 *
 * The log lane is asked how much room there is, and prepares the next segments on that
 * occasion: each second, and when an eighth of a segment was appended. What was given to the
 * lane since then is counted here. */
#include <inttypes.h>
#include <stdio.h>

#include "node/member_internal.h"

enum { ASK_MS = 1000, HAND_OVER_MS = 10000, SEGMENT_SHARE = 8 };

struct room_job {
    struct job job;
    struct member *member;
    struct storage_room found;
};

/* --- asking --- */

static void work_room(struct job *job)
{
    struct room_job *r = (struct room_job *)job;
    storage_prepare(r->member->storage, &r->found);
}

static void note_low(struct member *m, bool low)
{
    if (low && !m->room.low) {
        log_warn(m->log, "node", "disk-full", "dir=%s free=%" PRIu64 " needed=%" PRIu64,
                 storage_dir(m->storage), m->room.found.free, m->room.needed);
        m->room.hand_over_ms = m->now_ms;
    } else if (!low && m->room.low) {
        log_info(m->log, "node", "disk-has-room", "dir=%s free=%" PRIu64, storage_dir(m->storage),
                 m->room.found.free);
    }
    if (low != m->room.low) {
        m->room.low = low;
        member_tell_progress(m);
    }
}

/* What was dropped will not be applied soon: another node can tell. */
static void refuse_reads(struct member *m)
{
    struct member_request *r = m->reads_waiting.first;
    bool stuck = m->room.low && m->room.applied == m->applied_index;
    m->room.applied = m->applied_index;
    while (r != NULL && stuck) {
        struct member_request *next = r->next;
        if (r->index > m->applied_index) {
            list_remove(&m->reads_waiting, r);
            member_reply_error(r, ERR_UNAVAILABLE,
                               "this node is behind the others: the disk of %s is full",
                               storage_dir(m->storage));
        }
        r = next;
    }
}

static void done_room(struct job *job)
{
    struct room_job *r = (struct room_job *)job;
    struct member *m = r->member;
    m->room.asked = false;
    if (member_job_ended(m, job)) {
        m->room.found = r->found;
        m->room.appended -= m->room.appended_before;
        m->room.next_ms = r->found.done ? m->now_ms + ASK_MS : m->now_ms;
        struct err e;
        note_low(m, member_room_for(m, 0, &e) != ERR_OK);
        refuse_reads(m);
    }
    mem_free(r);
}

static bool room_is_watched(const struct member *m)
{
    bool serves = m->state == MEMBER_RUNNING || (m->state == MEMBER_LOCAL && m->local_ready);
    return serves && !is_weakened(m->weaken, WEAKEN_ROOM);
}

static bool is_time(const struct member *m)
{
    bool much = m->room.appended > m->room.found.segment / SEGMENT_SHARE;
    return !m->room.asked && (m->now_ms >= m->room.next_ms || much);
}

/* --- who leads --- */

/* Others may have room: they can't tell that we have none. */
static void hand_over(struct member *m)
{
    if (!m->room.low || m->now_ms < m->room.hand_over_ms || !member_is_leader(m)) {
        return;
    }
    m->room.hand_over_ms = m->now_ms + HAND_OVER_MS;
    const struct peer *next = member_peer(m, member_lead_successor(m));
    if (next != NULL && !next->no_room) {
        member_lead_give(m);
    }
}

void member_room_tick(struct member *m)
{
    if (!room_is_watched(m)) {
        return;
    }
    if (is_time(m)) {
        struct room_job *r = mem_zalloc(sizeof *r);
        r->member = m;
        m->room.asked = true;
        m->room.appended_before = m->room.appended;
        member_submit(m, &r->job, LANE_LOG, work_room, done_room);
    }
    hand_over(m);
}

uint64_t member_room_deadline_ms(const struct member *m)
{
    return room_is_watched(m) && !m->room.asked ? m->room.next_ms : UINT64_MAX;
}

/* --- counting --- */

void member_room_appended(struct member *m, size_t payload_size)
{
    m->room.appended += wal_record_room(payload_size);
}

/* A large change stands in parts. */
static uint64_t log_size(const struct member *m, uint64_t size)
{
    uint64_t parts = size / m->part_size + 1;
    return parts * wal_record_room((size_t)(size / parts));
}

/* Bytes of the file system that are missing for a change of that size; 0: there is room. */
static uint64_t missing(const struct member *m, uint64_t size)
{
    const struct storage_room *found = &m->room.found;
    uint64_t memory = m->db == NULL ? 0 : tsdb_memory_size(m->db);
    uint64_t log = m->room.appended + log_size(m, size) + found->unit;
    uint64_t parts = memory + m->room.appended + size + LIMIT_ROOM_MARGIN_SIZE;
    if (found->unit == 0 || is_weakened(m->weaken, WEAKEN_ROOM)) {
        return 0;
    }
    uint64_t lacks = log > found->taken ? log - found->taken : 0;
    uint64_t segments = (lacks + found->unit - 1) / found->unit;
    uint64_t wanted = parts + segments * found->segment;
    return wanted > found->free ? wanted - found->free : 0;
}

enum err_code member_room_for(struct member *m, size_t size, struct err *e)
{
    uint64_t more = missing(m, size);
    if (more == 0) {
        return ERR_OK;
    }
    m->room.needed = m->room.found.free + more;
    note_low(m, true);
    return err_set(e, ERR_NO_SPACE, "disk full: %s needs %" PRIu64 " bytes free, has %" PRIu64,
                   storage_dir(m->storage), m->room.needed, m->room.found.free);
}

enum replica_room member_room_for_append(struct member *m, size_t size)
{
    struct err e;
    const struct storage_room *found = &m->room.found;
    uint64_t log = m->room.appended + log_size(m, size);
    if (member_room_for(m, size, &e) == ERR_OK || found->taken >= log + found->unit / 2) {
        return REPLICA_ROOM_ALL;
    }
    return found->taken >= log ? REPLICA_ROOM_RESERVED : REPLICA_ROOM_NONE;
}

bool member_room_wants_checkpoint(const struct member *m)
{
    bool wants = m->room.low;
    for (size_t i = 0; i < m->known_count; i++) {
        wants = wants || (m->known[i].connected && m->known[i].no_room);
    }
    return wants && m->now_ms >= m->room.checkpoint_ms;
}

void member_room_message(const struct member *m, char *dst, size_t size)
{
    if (m->room.low) {
        (void)snprintf(dst, size,
                       "disk full: writes are refused; %s needs %" PRIu64
                       " bytes free, has %" PRIu64,
                       storage_dir(m->storage), m->room.needed, m->room.found.free);
    } else {
        member_checkpoint_message(m, dst, size);
    }
}
