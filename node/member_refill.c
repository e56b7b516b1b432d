/* SPDX-License-Identifier: Apache-2.0 */
/* Parts that are damaged are refilled from whoever has their twin: the part of the
 * same hash (safety.md E4). One part at a time, chunk by chunk, from one node after the
 * other; what came in part from one and in part from another is judged by its hash.
 *
 *   IDLE ── damage was seen ──► LOOKING   apply: which parts are damaged?
 *   LOOKING ──► CHECKING                  pool: read anew from the disk; perhaps it is whole
 *   CHECKING ──► FETCHING                 the next node that is connected
 *   CHECKING, FETCHING ──► USING          apply: the file is used from now on ──► LOOKING
 *   FETCHING ──► WAITING                  nobody in reach has it ──► LOOKING, a little later
 *   LOOKING ──► IDLE                      no part is damaged */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/crc32c.h"
#include "node/member_internal.h"

enum {
    ASK_AGAIN_MS = 1000,
    ASK_LIMIT_MS = 5000, /* without an answer the next node is asked */
    WAIT_MIN_MS = 1000,
    WAIT_MAX_MS = 60000,
};

enum refill_state {
    REFILL_IDLE,
    REFILL_LOOKING,
    REFILL_CHECKING,
    REFILL_FETCHING,
    REFILL_USING,
    REFILL_WAITING,
};

struct refill {
    enum refill_state state;
    bool job_out;
    bool seen; /* damage was seen since the last look */
    bool all;  /* the round looks for every damaged part, not only for new ones */
    struct tsdb_damage parts[TSDB_DAMAGE_MAX];
    size_t count;
    size_t at; /* being refilled; those before it could not be */
    struct tsdb_install *files;
    struct tsdb_file file;
    uint64_t offset;
    size_t peer_at; /* in the list of known nodes: the one that is asked */
    bool asked;     /* anybody, for this part */
    bool gone;      /* everybody who was asked has it no longer */
    uint64_t token; /* of the question that is out; 0: none */
    uint64_t asked_ms, answered_ms;
    uint64_t wait_ms, again_ms; /* WAITING */
    size_t connected;
};

struct refill_job {
    struct job job;
    struct member *member;
    struct refill *refill;
    struct tsdb_damage parts[TSDB_DAMAGE_MAX]; /* LOOKING */
    size_t count;
    struct buf data; /* FETCHING: of a chunk */
    bool more;
    bool bad; /* what is complete now does not have its hash */
    enum err_code code;
    struct err err;
};

bool member_has_others(const struct member *m)
{
    return m->state != MEMBER_LOCAL && m->configuration.count > 1;
}

bool member_is_known_alone(const struct member *m)
{
    const struct hard_state_blob *blobs[] = {&m->hard.committed, &m->hard.pending};
    size_t count = 0;
    for (size_t i = 0; i < 2; i++) {
        struct configuration c;
        if (blobs[i]->index != 0 && configuration_decode(hard_state_blob_bytes(blobs[i]),
                                                         blobs[i]->index, &c, NULL) == ERR_OK) {
            count = c.count > count ? c.count : count;
        }
    }
    return count == 1;
}

static const char *part_of(const struct refill *r)
{
    return r->parts[r->at].file.name;
}

static struct refill_job *new_job(struct member *m)
{
    struct refill_job *j = mem_zalloc(sizeof *j);
    j->member = m;
    j->refill = m->refill;
    CHECK(!m->refill->job_out);
    m->refill->job_out = true;
    return j;
}

static bool refill_job_ended(struct refill_job *j)
{
    j->refill->job_out = false;
    return member_job_ended(j->member, &j->job);
}

static void free_job(struct refill_job *j)
{
    buf_deinit(&j->data);
    mem_free(j);
}

/* --- looking --- */

static void work_look(struct job *job)
{
    struct refill_job *j = (struct refill_job *)job;
    if (j->member->db != NULL) { /* else a checkpoint takes its place just now */
        j->count = tsdb_damaged(j->member->db, j->parts);
    }
}

static bool is_listed(const struct tsdb_damage *parts, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(parts[i].file.name, name) == 0) {
            return true;
        }
    }
    return false;
}

static void take_list(struct member *m, const struct refill_job *j)
{
    struct refill *r = m->refill;
    for (size_t i = 0; i < r->count; i++) { /* merged into another, or of a state replaced */
        bool gone = !is_listed(j->parts, j->count, r->parts[i].file.name);
        m->damage.parts_dropped += gone ? 1 : 0;
    }
    for (size_t i = 0; i < j->count; i++) {
        const struct tsdb_damage *d = &j->parts[i];
        if (!is_listed(r->parts, r->count, d->file.name)) {
            m->damage.parts_found++;
            log_error(m->log, "node", "part-damaged",
                      "part=%s vgroup=%u rows=%" PRIu64 " size=%" PRIu64, d->file.name, d->vgroup,
                      d->row_count, d->file.size);
        }
    }
    size_t known = 0;
    for (size_t i = 0; i < r->count; i++) { /* what nobody has comes first, and is passed over */
        if (is_listed(j->parts, j->count, r->parts[i].file.name)) {
            r->parts[known++] = r->parts[i];
        }
    }
    size_t count = known;
    for (size_t i = 0; i < j->count && count < TSDB_DAMAGE_MAX; i++) {
        if (!is_listed(r->parts, known, j->parts[i].file.name)) {
            r->parts[count++] = j->parts[i];
        }
    }
    r->count = count;
    r->at = r->all ? 0 : known;
    m->damage.parts_waiting = count;
}

static void check_part(struct member *m);

static void done_look(struct job *job)
{
    struct refill_job *j = (struct refill_job *)job;
    struct member *m = j->member;
    if (refill_job_ended(j)) {
        take_list(m, j);
        check_part(m);
    }
    free_job(j);
}

/* 'all': also for those that nobody had a moment ago. */
static void look(struct member *m, bool all)
{
    m->refill->state = REFILL_LOOKING;
    m->refill->seen = false;
    m->refill->all = all;
    member_submit(m, &new_job(m)->job, LANE_APPLY, work_look, done_look);
}

void member_damage_seen(struct member *m)
{
    if (member_is_ending(m)) {
        return;
    }
    if (m->refill == NULL) {
        m->refill = mem_zalloc(sizeof *m->refill);
    }
    m->refill->seen = true;
    member_refill_tick(m);
}

struct suspect_job {
    struct job job;
    struct member *member;
    char name[TSDB_NAME_SIZE];
};

static void work_suspect(struct job *job)
{
    struct suspect_job *s = (struct suspect_job *)job;
    if (s->member->db != NULL) {
        tsdb_suspect(s->member->db, s->name);
    }
}

static void done_suspect(struct job *job)
{
    struct suspect_job *s = (struct suspect_job *)job;
    if (member_job_ended(s->member, job)) {
        member_damage_seen(s->member);
    }
    mem_free(s);
}

void member_suspect(struct member *m, const char *part)
{
    struct suspect_job *s = mem_zalloc(sizeof *s);
    s->member = m;
    (void)snprintf(s->name, sizeof s->name, "%s", part);
    member_submit(m, &s->job, LANE_APPLY, work_suspect, done_suspect);
}

/* --- one part --- */

static void close_files(struct refill *r)
{
    tsdb_install_close(r->files);
    r->files = NULL;
    r->token = 0;
}

static void pass_part(struct member *m)
{
    close_files(m->refill);
    m->refill->at++;
    check_part(m);
}

static void end_part(struct member *m)
{
    struct refill *r = m->refill;
    close_files(r);
    r->count--;
    memmove(&r->parts[r->at], &r->parts[r->at + 1], (r->count - r->at) * sizeof r->parts[0]);
    m->damage.parts_waiting = r->count;
    check_part(m);
}

static void finish_files(struct refill_job *j)
{
    uint64_t index = 0;
    uint64_t term = 0;
    j->code = tsdb_install_finish(j->refill->files, &index, &term, &j->err);
}

static void work_check(struct job *job)
{
    struct refill_job *j = (struct refill_job *)job;
    struct refill *r = j->refill;
    struct storage *s = j->member->storage;
    j->code = tsdb_refill_begin(storage_io(s), storage_tsdb_dir(s), &r->parts[r->at].file,
                                &r->files, &j->err);
    j->more = j->code == ERR_OK && tsdb_install_next(r->files, &r->file, &r->offset);
    if (j->code == ERR_OK && !j->more) {
        finish_files(j); /* a crash may have left it whole beside the damaged one */
    }
}

static void use_part(struct member *m);
static void ask_next(struct member *m);

/* The disk takes no files: no room, or worse; the log lane will notice the latter. */
static void fail_part(struct member *m, const struct refill_job *j)
{
    log_warn(m->log, "node", "part-not-written", "part=%s reason=\"%s\"", part_of(m->refill),
             j->err.text);
    pass_part(m);
}

static void done_check(struct job *job)
{
    struct refill_job *j = (struct refill_job *)job;
    struct member *m = j->member;
    if (refill_job_ended(j)) {
        struct refill *r = m->refill;
        if (j->code != ERR_OK) {
            fail_part(m, j);
        } else if (!j->more) {
            use_part(m);
        } else {
            r->state = REFILL_FETCHING;
            r->peer_at = SIZE_MAX;
            r->asked = false;
            r->gone = true;
            ask_next(m);
        }
    }
    free_job(j);
}

static size_t count_connected(const struct member *m)
{
    size_t count = 0;
    for (size_t i = 0; i < m->known_count; i++) {
        count += m->known[i].connected ? 1 : 0;
    }
    return count;
}

/* Each look reads the damaged files anew, so it comes less and less often. */
static void end_round(struct member *m)
{
    struct refill *r = m->refill;
    if (r->count == 0) {
        r->state = REFILL_IDLE;
        r->wait_ms = 0;
        member_checkpoint_again(m);
        return;
    }
    r->state = REFILL_WAITING;
    if (r->all || r->wait_ms == 0) {
        r->wait_ms = r->wait_ms == 0 ? WAIT_MIN_MS : 2 * r->wait_ms;
        r->wait_ms = r->wait_ms < WAIT_MAX_MS ? r->wait_ms : WAIT_MAX_MS;
        r->again_ms = m->now_ms + r->wait_ms;
    }
    r->connected = count_connected(m);
    if (!member_has_others(m)) {
        member_checkpoint_again(m); /* it spares what is damaged */
    }
}

static void check_part(struct member *m)
{
    struct refill *r = m->refill;
    if (r->at == r->count) {
        end_round(m);
        return;
    }
    r->state = REFILL_CHECKING;
    member_submit(m, &new_job(m)->job, LANE_POOL, work_check, done_check);
}

/* --- fetching --- */

static void ask_peer(struct member *m, bool bad)
{
    struct refill *r = m->refill;
    Tidemark__Peer__V1__FetchQuestion question;
    tidemark__peer__v1__fetch_question__init(&question);
    r->token = m->token_next++;
    r->asked_ms = m->now_ms;
    question.token = r->token;
    question.file = r->file.name;
    question.offset = r->offset;
    question.size_max = bad ? 0 : MEMBER_CHUNK_SIZE;
    question.bad = bad;
    Tidemark__Peer__V1__PeerMessage message;
    tidemark__peer__v1__peer_message__init(&message);
    message.body_case = TIDEMARK__PEER__V1__PEER_MESSAGE__BODY_FETCH_QUESTION;
    message.fetch_question = &question;
    member_send_message(m, m->known[r->peer_at].id, &message);
}

/* Nobody can help with this part. When all who were asked have merged it into others,
 * and one is ahead of us, its checkpoint can replace ours. */
static void give_up_part(struct member *m)
{
    const struct refill *r = m->refill;
    bool ahead = false;
    for (size_t i = 0; i < m->known_count; i++) {
        ahead |=
            m->known[i].connected && m->known[i].checkpoint_index > m->control.checkpoint_index;
    }
    if (r->asked && r->gone && ahead) {
        char why[ERR_TEXT_SIZE];
        (void)snprintf(why, sizeof why,
                       "%s of checkpoint %" PRIu64 " is damaged and no other node has it any more",
                       part_of(r), m->control.checkpoint_index);
        member_checkpoint_lost(m, why);
        return;
    }
    log_warn(m->log, "node", "part-waits", "part=%s reason=\"%s\"", part_of(r),
             r->asked ? "no node that was asked has it whole" : "no other node is connected");
    pass_part(m);
}

static void ask_next(struct member *m)
{
    struct refill *r = m->refill;
    r->token = 0;
    for (r->peer_at++; r->peer_at < m->known_count; r->peer_at++) {
        const struct peer *p = &m->known[r->peer_at];
        if (p->connected && p->cluster_id == m->hard.cluster_id) {
            r->asked = true;
            r->answered_ms = m->now_ms;
            ask_peer(m, false);
            return;
        }
    }
    give_up_part(m);
}

static void work_chunk(struct job *job)
{
    struct refill_job *j = (struct refill_job *)job;
    struct refill *r = j->refill;
    j->code = tsdb_install_chunk(r->files, r->file.name, r->offset, buf_bytes(&j->data), &j->err);
    j->bad = j->code == ERR_CORRUPT;
    if (j->code == ERR_OK || j->bad) {
        j->code = ERR_OK;
        j->more = tsdb_install_next(r->files, &r->file, &r->offset);
    }
    if (j->code == ERR_OK && !j->more) {
        finish_files(j);
    }
}

static void done_chunk(struct job *job)
{
    struct refill_job *j = (struct refill_job *)job;
    struct member *m = j->member;
    if (refill_job_ended(j)) {
        struct refill *r = m->refill;
        if (j->code != ERR_OK) {
            fail_part(m, j);
        } else if (j->bad) { /* that node's is damaged too: it should look */
            r->gone = false;
            ask_peer(m, true);
            ask_next(m);
        } else if (j->more) {
            ask_peer(m, false);
        } else {
            log_info(m->log, "node", "part-refilled", "part=%s size=%" PRIu64 " from=%s",
                     part_of(r), r->parts[r->at].file.size, m->known[r->peer_at].name);
            use_part(m);
        }
    }
    free_job(j);
}

bool member_refill_answer(struct member *m, uint64_t peer_id,
                          const Tidemark__Peer__V1__FetchAnswer *answer)
{
    struct refill *r = m->refill;
    if (r == NULL || r->state != REFILL_FETCHING || r->token == 0 || answer->token != r->token ||
        m->known[r->peer_at].id != peer_id) {
        return false;
    }
    struct bytes data = bytes_of(answer->data.data, answer->data.len);
    if (answer->gone || answer->file_size != r->file.size) {
        r->gone &= answer->gone != 0;
        ask_next(m);
        return true;
    }
    r->token = 0;
    if (crc32c_bytes(data) != answer->crc || data.size == 0 || answer->offset != r->offset) {
        return true; /* asked again by the tick */
    }
    r->answered_ms = m->now_ms;
    struct refill_job *j = new_job(m);
    buf_put_bytes(&j->data, data);
    member_submit(m, &j->job, LANE_POOL, work_chunk, done_chunk);
    return true;
}

/* --- using it --- */

static void work_use(struct job *job)
{
    struct refill_job *j = (struct refill_job *)job;
    if (j->member->db != NULL) {
        j->code = tsdb_refilled(j->member->db, part_of(j->refill), &j->err);
    }
}

static void done_use(struct job *job)
{
    struct refill_job *j = (struct refill_job *)job;
    struct member *m = j->member;
    if (refill_job_ended(j)) {
        if (j->code == ERR_OK) {
            m->damage.parts_refilled++;
            end_part(m);
        } else if (j->code == ERR_NOT_FOUND) {
            m->damage.parts_dropped++;
            end_part(m);
        } else {
            fail_part(m, j);
        }
    }
    free_job(j);
}

static void use_part(struct member *m)
{
    close_files(m->refill);
    m->refill->state = REFILL_USING;
    member_submit(m, &new_job(m)->job, LANE_APPLY, work_use, done_use);
}

/* --- time --- */

void member_refill_tick(struct member *m)
{
    struct refill *r = m->refill;
    if (r == NULL || r->job_out || m->db == NULL) {
        return;
    }
    switch (r->state) {
    case REFILL_IDLE:
        if (r->seen) {
            look(m, true);
        }
        break;
    case REFILL_WAITING:
        if (m->now_ms >= r->again_ms || count_connected(m) > r->connected) {
            look(m, true);
        } else if (r->seen) {
            look(m, false);
        }
        break;
    case REFILL_FETCHING:
        if (!m->known[r->peer_at].connected || m->now_ms >= r->answered_ms + ASK_LIMIT_MS) {
            r->gone = false;
            ask_next(m);
        } else if (r->token == 0 || m->now_ms >= r->asked_ms + ASK_AGAIN_MS) {
            ask_peer(m, false);
        }
        break;
    case REFILL_LOOKING:
    case REFILL_CHECKING:
    case REFILL_USING:
        break;
    }
}

void member_refill_close(struct member *m)
{
    if (m->refill != NULL) {
        CHECK(!m->refill->job_out);
        close_files(m->refill);
        mem_free(m->refill);
        m->refill = NULL;
    }
}

void member_refill_message(const struct member *m, char *dst, size_t size)
{
    dst[0] = '\0';
    const struct refill *r = m->refill;
    if (r == NULL || r->count == 0) {
        return;
    }
    const struct tsdb_damage *d = &r->parts[0];
    const char *what = "it is being refilled from another node";
    if (!member_has_others(m)) {
        what = "no other node has it, its rows can't be read; all others can";
    } else if (r->state == REFILL_WAITING) {
        what = "waits for a node that has it whole";
    }
    (void)snprintf(dst, size, "%s (VGroup %u, %" PRIu64 " rows) is damaged%s: %s", d->file.name,
                   d->vgroup, d->row_count, r->count > 1 ? ", others too" : "", what);
}
