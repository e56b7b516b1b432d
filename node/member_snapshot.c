/* SPDX-License-Identifier: Apache-2.0 */
/* A checkpoint as a snapshot. The node that needs it pulls: manifest first,
 * then the parts that it does not have, chunk by chunk; so it resumes where it
 * was, and the giver keeps nothing but the files.
 *
 *   MANIFEST ──► FILES ──► SWAP (waits for open scans and a checkpoint of ours)
 *      │            │         └─► control file ─► log ─► state opened ─► done
 *      └────────────┴── the giver no longer has it ─► abandoned */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/crc32c.h"
#include "node/member_internal.h"
#include "proto/tidemark/peer/v1/peer.pb-c.h"

enum {
    ASK_AGAIN_MS = 1000,
    TRANSFER_IDLE_MS = 2000,
    FILE_SIZE_MAX = 1 << 30,
    BAD_FILES_MAX = 2, /* then the giver's are damaged: it is told, and asked no more */
};

/* --- giving --- */

struct fetch_job {
    struct job job;
    struct member *member;
    uint64_t peer;
    uint64_t token;
    uint64_t index;
    uint64_t term;
    char name[TSDB_NAME_SIZE]; /* as asked */
    uint64_t offset;
    size_t size_max;
    uint8_t *data;
    size_t size;
    uint64_t file_size;
    bool gone;
};

static void work_fetch(struct job *job)
{
    struct fetch_job *f = (struct fetch_job *)job;
    struct io *io = storage_io(f->member->storage);
    char name[TSDB_NAME_SIZE];
    char path[IO_PATH_MAX];
    struct file *file = NULL;
    memcpy(name, f->name, sizeof name);
    if (name[0] == '\0') {
        tsdb_manifest_name(f->index, name);
    }
    f->gone = true;
    if (io_join(path, storage_tsdb_dir(f->member->storage), name, NULL) != ERR_OK ||
        io_open(io, path, IO_READ, &file, NULL) != ERR_OK) {
        return;
    }
    f->data = mem_alloc(f->size_max);
    if (file_size(file, &f->file_size, NULL) == ERR_OK &&
        file_read_at(file, f->offset, f->data, f->size_max, &f->size, NULL) == ERR_OK) {
        f->gone = false;
    }
    file_close(file);
}

static void done_fetch(struct job *job)
{
    struct fetch_job *f = (struct fetch_job *)job;
    struct member *m = f->member;
    if (member_job_ended(m, job)) {
        Tidemark__Peer__V1__FetchAnswer answer;
        tidemark__peer__v1__fetch_answer__init(&answer);
        answer.token = f->token;
        answer.file = f->name;
        answer.index = f->index;
        answer.term = f->term;
        answer.offset = f->offset;
        answer.file_size = f->file_size;
        answer.gone = f->gone;
        answer.data.data = f->data;
        answer.data.len = f->size;
        answer.crc = crc32c(0, f->data, f->size);
        Tidemark__Peer__V1__PeerMessage message;
        tidemark__peer__v1__peer_message__init(&message);
        message.body_case = TIDEMARK__PEER__V1__PEER_MESSAGE__BODY_FETCH_ANSWER;
        message.fetch_answer = &answer;
        member_send_message(m, f->peer, &message);
    }
    mem_free(f->data);
    mem_free(f);
}

void member_fetch_question(struct member *m, uint64_t peer_id,
                           const Tidemark__Peer__V1__FetchQuestion *question)
{
    bool named = question->file[0] != '\0';
    if (named && !tsdb_name_is_valid(question->file)) {
        m->host.disconnect(m->host.context, peer_id, "asks for a file that is no part");
        return;
    }
    if (named && question->bad) {
        member_suspect(m, question->file);
        return;
    }
    struct peer *p = member_peer(m, peer_id);
    p->fetch_ms = m->now_ms;
    struct fetch_job *f = mem_zalloc(sizeof *f);
    f->member = m;
    f->peer = peer_id;
    f->token = question->token;
    f->index = question->index;
    f->term = m->control.checkpoint_term;
    if (!named && m->agree.disputed) { /* E4: nobody is refilled from it */
        f->index = 0;
    } else if (!named && question->for_repair) {
        f->index = m->control.checkpoint_index; /* that one or any later */
    }
    (void)snprintf(f->name, sizeof f->name, "%s", question->file);
    f->offset = question->offset;
    f->size_max = question->size_max < MEMBER_CHUNK_SIZE ? question->size_max : MEMBER_CHUNK_SIZE;
    member_submit(m, &f->job, LANE_POOL, work_fetch, done_fetch);
}

void member_snapshot_tick(struct member *m)
{
    for (size_t i = 0; i < m->known_count; i++) {
        struct peer *p = &m->known[i];
        if (p->fetch_ms == 0 || m->now_ms < p->fetch_ms + TRANSFER_IDLE_MS) {
            continue;
        }
        p->fetch_ms = 0;
        if (member_is_leader(m)) {
            struct event ev = {.type = EVENT_SNAPSHOT_ENDED, .id = p->id};
            (void)member_raft_step(m, &ev, NULL);
        }
    }
}

/* --- taking --- */

enum install_state { INSTALL_MANIFEST, INSTALL_FILES, INSTALL_SWAP, INSTALL_SWAPPING };

struct install {
    enum install_state state;
    uint64_t peer;
    uint64_t index;
    uint64_t term;
    bool for_repair;
    uint64_t token; /* of the question that is out; 0: none */
    uint64_t asked_ms;
    bool job_out;
    bool abandoned; /* to be freed when its job ends */
    struct buf manifest;
    struct tsdb_install *files;
    struct tsdb_file file;
    unsigned bad; /* files that came whole and did not have their hash */
    uint64_t offset;
    uint64_t bytes;
    uint64_t started_ms;
    uint64_t time_ms; /* since 1970, when all was here */
};

struct install_job {
    struct job job;
    struct member *member;
    struct install *install;
    struct buf data; /* of a chunk */
    bool more;
    struct control control;
    struct hard_state *hard; /* NULL: its term is high enough */
    struct log_map map;      /* after the swap */
    struct hash128 hash;     /* of the new manifest */
    struct tsdb *db;
    enum err_code code;
    struct err err;
};

void member_install_start(struct member *m, uint64_t peer_id, uint64_t index, uint64_t term,
                          bool for_repair)
{
    member_install_close(m);
    struct install *t = mem_zalloc(sizeof *t);
    t->state = INSTALL_MANIFEST;
    t->peer = peer_id;
    t->index = index;
    t->term = term;
    t->for_repair = for_repair;
    t->started_ms = m->now_ms;
    m->install = t;
    member_apply_clear(m);
    member_say(m, "takes a checkpoint at %" PRIu64 " from a peer", index);
}

void member_install_close(struct member *m)
{
    struct install *t = m->install;
    if (t == NULL) {
        return;
    }
    if (t->job_out) {
        t->abandoned = true; /* its job still uses it: freed when that ends */
        m->install = NULL;
        return;
    }
    tsdb_install_close(t->files);
    buf_deinit(&t->manifest);
    mem_free(t);
    m->install = NULL;
}

static void ask(struct member *m, struct install *t)
{
    Tidemark__Peer__V1__FetchQuestion question;
    tidemark__peer__v1__fetch_question__init(&question);
    t->token = m->token_next++;
    t->asked_ms = m->now_ms;
    question.token = t->token;
    question.index = t->index;
    question.size_max = MEMBER_CHUNK_SIZE;
    question.for_repair = t->for_repair;
    if (t->state == INSTALL_FILES) {
        question.file = t->file.name;
        question.offset = t->offset;
    } else {
        question.offset = t->manifest.size;
    }
    Tidemark__Peer__V1__PeerMessage message;
    tidemark__peer__v1__peer_message__init(&message);
    message.body_case = TIDEMARK__PEER__V1__PEER_MESSAGE__BODY_FETCH_QUESTION;
    message.fetch_question = &question;
    member_send_message(m, t->peer, &message);
}

/* What was asked for can't be had: the replica starts again from disk and asks
 * its leader anew; a repair looks for another way. */
static void abandon(struct member *m, const char *why)
{
    bool for_repair = m->install->for_repair;
    log_warn(m->log, "node", "install-abandoned", "index=%" PRIu64 " reason=\"%s\"",
             m->install->index, why);
    member_install_close(m);
    if (for_repair) {
        member_repair_installed(m, 0, 0);
    } else if (m->state == MEMBER_RUNNING) {
        member_raft_close(m);
        member_apply_clear(m);
        member_set_state(m, MEMBER_STARTING);
        member_raft_load(m);
    }
}

/* The giver should look at its own copy. */
static void tell_bad(struct member *m, const struct install *t)
{
    Tidemark__Peer__V1__FetchQuestion question;
    tidemark__peer__v1__fetch_question__init(&question);
    char name[TSDB_NAME_SIZE];
    memcpy(name, t->file.name, sizeof name);
    question.file = name;
    question.bad = true;
    Tidemark__Peer__V1__PeerMessage message;
    tidemark__peer__v1__peer_message__init(&message);
    message.body_case = TIDEMARK__PEER__V1__PEER_MESSAGE__BODY_FETCH_QUESTION;
    message.fetch_question = &question;
    member_send_message(m, t->peer, &message);
}

static struct install_job *new_job(struct member *m)
{
    struct install_job *j = mem_zalloc(sizeof *j);
    j->member = m;
    j->install = m->install;
    m->install->job_out = true;
    return j;
}

/* False: the install is over, or the member is; the job is only to be freed. */
static bool install_job_ended(struct install_job *j)
{
    struct member *m = j->member;
    bool go = member_job_ended(m, &j->job);
    j->install->job_out = false;
    if (j->install->abandoned) {
        tsdb_install_close(j->install->files);
        buf_deinit(&j->install->manifest);
        mem_free(j->install);
        return false;
    }
    return go;
}

static void free_job(struct install_job *j)
{
    buf_deinit(&j->data);
    mem_free(j->hard);
    mem_free(j);
}

static void work_files(struct job *job)
{
    struct install_job *j = (struct install_job *)job;
    struct install *t = j->install;
    struct storage *s = j->member->storage;
    if (t->files == NULL) {
        j->code = tsdb_install_begin(storage_io(s), storage_tsdb_dir(s), t->index,
                                     buf_bytes(&t->manifest), &t->files, &j->err);
    } else {
        j->code =
            tsdb_install_chunk(t->files, t->file.name, t->offset, buf_bytes(&j->data), &j->err);
        if (j->code == ERR_CORRUPT && t->bad++ < BAD_FILES_MAX) {
            j->code = ERR_OK; /* that file is fetched again from its start */
        }
    }
    if (j->code == ERR_OK) {
        j->more = tsdb_install_next(t->files, &t->file, &t->offset);
    }
    if (j->code == ERR_OK && !j->more) {
        j->code = tsdb_install_finish(t->files, &t->index, &t->term, &j->err);
        t->time_ms = (uint64_t)io_wall_us(storage_io(s)) / 1000;
    }
}

/* The disk is full (safety.md H1): the same is asked for again in a while, when the chunk
 * may find room. Without its list of files nothing was begun. */
static void wait_for_room(struct member *m, struct install *t, const char *why)
{
    if (t->files == NULL) {
        abandon(m, why);
        return;
    }
    log_warn(m->log, "node", "install-waits", "index=%" PRIu64 " reason=\"%s\"", t->index, why);
    t->token = m->token_next++; /* of a question that was never sent */
    t->asked_ms = m->now_ms;
}

static void done_files(struct job *job)
{
    struct install_job *j = (struct install_job *)job;
    struct member *m = j->member;
    if (install_job_ended(j)) {
        struct install *t = m->install;
        if (j->code == ERR_CORRUPT || j->code == ERR_NOT_FOUND) {
            if (t->bad > BAD_FILES_MAX) {
                tell_bad(m, t);
            }
            abandon(m, j->err.text);
        } else if (j->code == ERR_NO_SPACE) {
            wait_for_room(m, t, j->err.text);
        } else if (j->code != ERR_OK) {
            member_fail(m, "checkpoint from a peer: %s", j->err.text);
        } else if (j->more) {
            t->state = INSTALL_FILES;
            ask(m, t);
        } else {
            t->state = INSTALL_SWAP;
        }
    }
    free_job(j);
}

void member_fetch_answer(struct member *m, uint64_t peer_id,
                         const Tidemark__Peer__V1__FetchAnswer *answer)
{
    struct install *t = m->install;
    if (member_refill_answer(m, peer_id, answer)) {
        return;
    }
    if (t == NULL || t->token == 0 || answer->token != t->token || t->peer != peer_id) {
        return;
    }
    struct bytes data = bytes_of(answer->data.data, answer->data.len);
    if (answer->gone || answer->file_size > FILE_SIZE_MAX) {
        abandon(m, "the peer no longer has it");
        return;
    }
    if (crc32c_bytes(data) != answer->crc || data.size == 0) {
        t->token = 0; /* asked again by the tick */
        return;
    }
    t->token = 0;
    t->bytes += data.size;
    if (t->state == INSTALL_MANIFEST) {
        t->index = answer->index;
        buf_put_bytes(&t->manifest, data);
        if (t->manifest.size < answer->file_size) {
            ask(m, t);
            return;
        }
    }
    struct install_job *j = new_job(m);
    if (t->state == INSTALL_FILES) {
        buf_put_bytes(&j->data, data);
    }
    member_submit(m, &j->job, LANE_POOL, work_files, done_files);
}

/* --- the swap --- */

static enum err_code swap_log(struct install_job *j, struct err *e)
{
    struct storage *s = j->member->storage;
    struct wal *w = storage_wal(s, STORAGE_RAFT);
    uint64_t index = j->control.checkpoint_index;
    uint64_t term = j->control.checkpoint_term;
    enum err_code code = ERR_OK;
    if (j->hard != NULL) {
        code = storage_put_hard(s, j->hard, e);
    }
    if (code == ERR_OK) {
        code = storage_put_control(s, &j->control, e);
    }
    if (code != ERR_OK) {
        return code;
    }
    struct log_map map;
    log_map_take(&map, w);
    struct log_view view = log_map_view(&map);
    bool keep = j->install->for_repair && repair_keeps_later(&view, index, term);
    log_map_deinit(&map);
    return keep ? wal_cut(w, index, term, e) : wal_reset(w, index, term, e);
}

static void work_swap_log(struct job *job)
{
    struct install_job *j = (struct install_job *)job;
    struct storage *s = j->member->storage;
    struct err e;
    if (storage_failed(s) == NULL && swap_log(j, &e) != ERR_OK) {
        (void)storage_fail(s, &e);
    }
    log_map_take(&j->map, storage_wal(s, STORAGE_RAFT));
}

static void work_swap_state(struct job *job)
{
    struct install_job *j = (struct install_job *)job;
    struct member *m = j->member;
    struct tsdb_options options = {
        .io = storage_io(m->storage),
        .log = m->log,
        .dir = storage_tsdb_dir(m->storage),
        .checkpoint_index = j->control.checkpoint_index,
    };
    tsdb_close(m->db);
    m->db = NULL;
    j->code = tsdb_open(&options, &j->db, &j->err);
    j->hash = member_manifest_hash(m, options.checkpoint_index);
}

static void installed(struct member *m, const struct install *t)
{
    uint64_t index = t->index;
    uint64_t term = t->term;
    bool for_repair = t->for_repair;
    log_info(m->log, "node", "installed", "index=%" PRIu64 " bytes=%" PRIu64, index, t->bytes);
    member_install_close(m);
    member_say(m, "%s", "");
    member_resolve_installed(m, index);
    if (m->founding != NULL) {
        founding_set_holds_entries(m->founding);
    }
    if (for_repair) {
        member_repair_installed(m, index, term);
    } else {
        struct event ev = {.type = EVENT_INSTALLED, .index = index, .term = term};
        (void)member_raft_step(m, &ev, NULL);
    }
}

static void done_swap_state(struct job *job)
{
    struct install_job *j = (struct install_job *)job;
    struct member *m = j->member;
    bool go = install_job_ended(j);
    if (j->code == ERR_OK) {
        m->db = j->db;
        m->applied_index = tsdb_applied_index(m->db);
        m->applied_term = tsdb_applied_term(m->db);
        if (go) {
            member_adopt_state(m);
            member_agree_own(m, j->hash);
        }
    }
    if (go && j->code != ERR_OK) {
        member_fail(m, "checkpoint from a peer: %s", j->err.text);
    } else if (go && !member_is_ending(m)) {
        installed(m, m->install);
        member_tell_progress(m);
    }
    free_job(j);
}

static void done_swap_log(struct job *job)
{
    struct install_job *j = (struct install_job *)job;
    struct member *m = j->member;
    if (!install_job_ended(j)) {
        log_map_deinit(&j->map);
        free_job(j);
        return;
    }
    log_map_deinit(&m->map);
    m->map = j->map;
    j->map = (struct log_map){0};
    m->install->job_out = true;
    member_submit(m, job, LANE_APPLY, work_swap_state, done_swap_state);
}

static void try_swap(struct member *m, struct install *t)
{
    bool writing = m->checkpoint_running && m->checkpoint_waits == NULL;
    if (m->views > 0 || writing || m->applying != NULL) {
        return;
    }
    if (t->index <= m->control.checkpoint_index) {
        abandon(m, "our own checkpoint is newer");
        return;
    }
    t->state = INSTALL_SWAPPING;
    member_checkpoint_close(m);
    m->control.checkpoint_index = t->index;
    m->control.checkpoint_term = t->term;
    m->control.checkpoint_time_ms = t->time_ms;
    m->control.checkpoint_duration_ms = m->now_ms - t->started_ms;
    m->control.checkpoint_bytes = t->bytes;
    struct install_job *j = new_job(m);
    if (member_raise_term(m, t->term)) {
        j->hard = mem_dup(&m->hard, sizeof m->hard);
    }
    j->control = m->control;
    member_submit(m, &j->job, LANE_LOG, work_swap_log, done_swap_log);
}

void member_install_tick(struct member *m)
{
    struct install *t = m->install;
    if (t == NULL || t->job_out) {
        return;
    }
    switch (t->state) {
    case INSTALL_MANIFEST:
    case INSTALL_FILES:
        if (!member_peer_connected(m, t->peer)) {
            abandon(m, "the link to the peer was lost");
        } else if (t->token == 0 || m->now_ms >= t->asked_ms + ASK_AGAIN_MS) {
            ask(m, t);
        }
        break;
    case INSTALL_SWAP:
        try_swap(m, t);
        break;
    case INSTALL_SWAPPING:
        break;
    }
}

/* --- views: scans that pin the state --- */

bool member_may_view(const struct member *m)
{
    bool swapping = m->install != NULL && m->install->state >= INSTALL_SWAP;
    return m->db != NULL && !swapping && !member_is_ending(m);
}

void member_view_opened(struct member *m)
{
    CHECK(member_may_view(m));
    m->views++;
}

void member_view_closed(struct member *m)
{
    CHECK(m->views > 0);
    m->views--;
}
