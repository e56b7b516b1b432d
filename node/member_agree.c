/* SPDX-License-Identifier: Apache-2.0 */
/* Whether all nodes made the same checkpoint. Each tells the hash of its manifest, which
 * names everything, with its progress. Where two differ at one index, both read their
 * checkpoint and tell the hash of what it says, decoded: two encoders are no divergence
 * (safety.md E2).
 *
 *   ours is that of a majority    the others are named in the log
 *   another is a majority's       we have diverged: our checkpoint is given up, and with
 *                                 it all that was applied; we start again from our log,
 *                                 or from a checkpoint of the others (E4)
 *   neither                       one against one: nobody is refilled, both say so, and
 *                                 nobody is given a checkpoint of ours */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "node/member_internal.h"

static bool same(struct hash128 a, struct hash128 b)
{
    return a.low == b.low && a.high == b.high;
}

static bool is_none(struct hash128 h)
{
    return h.low == 0 && h.high == 0;
}

/* --- the hash of what a checkpoint says --- */

struct content_job {
    struct job job;
    struct member *member;
    uint64_t index;
    struct hash128 hash;
    enum err_code code;
    struct err err;
};

/* Opened a second time, beside the state in use: only its files are read. */
static void work_content(struct job *job)
{
    struct content_job *c = (struct content_job *)job;
    struct tsdb_options options = {
        .io = storage_io(c->member->storage),
        .dir = storage_tsdb_dir(c->member->storage),
        .checkpoint_index = c->index,
    };
    struct tsdb *db = NULL;
    c->code = tsdb_open(&options, &db, &c->err);
    if (c->code == ERR_OK) {
        struct tsdb_view *view = tsdb_view_pin(db);
        c->code = tsdb_view_hash(view, &c->hash, &c->err);
        tsdb_view_unpin(view);
    }
    tsdb_close(db);
}

static void judge(struct member *m);

static void done_content(struct job *job)
{
    struct content_job *c = (struct content_job *)job;
    struct member *m = c->member;
    bool go = member_job_ended(m, job);
    m->agree.content_out = false;
    if (go && c->code != ERR_OK) { /* replaced meanwhile, or damaged: the next one is judged */
        log_warn(m->log, "node", "checkpoint-not-compared", "index=%" PRIu64 " reason=\"%s\"",
                 c->index, c->err.text);
    } else if (go && c->index == m->control.checkpoint_index) {
        m->agree.content = c->hash;
        member_tell_progress(m);
        judge(m);
    }
    mem_free(c);
}

static void read_content(struct member *m)
{
    uint64_t index = m->control.checkpoint_index;
    if (m->agree.content_out || m->agree.content_index == index) {
        return;
    }
    m->agree.content_out = true;
    m->agree.content_index = index;
    struct content_job *c = mem_zalloc(sizeof *c);
    c->member = m;
    c->index = index;
    member_submit(m, &c->job, LANE_POOL, work_content, done_content);
}

/* --- judging --- */

/* What the voters hold at the index of our checkpoint. */
struct views {
    size_t voters;
    size_t with_us; /* ourselves included, if we vote */
    struct hash128 others[LIMIT_NODES_MAX];
    const struct peer *names[LIMIT_NODES_MAX];
    size_t count;
    size_t differ; /* voters that did when they were compared last */
    bool unread;   /* two differ, and what they say is not known yet */
};

/* Of one index; a manifest that differs counts as a difference until it is read. */
static bool is_equal(const struct member *m, const struct peer *p)
{
    return same(p->checkpoint_hash, m->agree.manifest) ||
           (!is_none(m->agree.content) && same(p->checkpoint_content, m->agree.content));
}

static void add_view(struct member *m, struct views *v, struct peer *p)
{
    if (p->checkpoint_index == 0) {
        p->differs = false; /* it has given its own up */
    }
    v->differ += p->differs ? 1 : 0; /* as seen last: it may be at another index now */
    if (p->checkpoint_index != m->control.checkpoint_index || is_none(p->checkpoint_hash)) {
        return; /* another one, or a node that tells no hash */
    }
    bool equal = is_equal(m, p);
    v->differ += (equal ? 0U : 1U) - (p->differs ? 1U : 0U);
    p->differs = !equal;
    if (equal) {
        v->with_us++;
    } else if (is_none(m->agree.content) || is_none(p->checkpoint_content)) {
        v->unread = true;
    } else {
        v->names[v->count] = p;
        v->others[v->count++] = p->checkpoint_content;
    }
}

static struct views collect(struct member *m)
{
    struct views v = {0};
    for (size_t i = 0; i < m->configuration.count; i++) {
        const struct server *s = &m->configuration.servers[i];
        if (s->role != SERVER_VOTER) {
            continue;
        }
        v.voters++;
        struct peer *p = member_peer(m, s->id);
        if (s->id == m->hard.directory_id) {
            v.with_us++;
        } else if (p != NULL) {
            add_view(m, &v, p);
        }
    }
    return v;
}

/* The largest number of others that agree with each other, and one of them. */
static size_t largest(const struct views *v, size_t *one)
{
    size_t most = 0;
    for (size_t i = 0; i < v->count; i++) {
        size_t count = 0;
        for (size_t k = 0; k < v->count; k++) {
            count += same(v->others[k], v->others[i]) ? 1 : 0;
        }
        if (count > most) {
            most = count;
            *one = i;
        }
    }
    return most;
}

static void dispute(struct member *m, const struct views *v, size_t one, size_t majority)
{
    char ours[HASH128_TEXT_SIZE];
    char theirs[HASH128_TEXT_SIZE];
    char text[sizeof m->agree.text];
    hash128_text(m->agree.content, ours);
    hash128_text(v->others[one], theirs);
    (void)snprintf(text, sizeof text,
                   "checkpoint %" PRIu64 " differs from that of %s (%.8s, %.8s): %s",
                   m->control.checkpoint_index, v->names[one]->name, ours, theirs,
                   v->with_us >= majority ? "it has diverged, a majority has ours"
                                          : "one against one, nobody is refilled");
    if (strcmp(text, m->agree.text) != 0) {
        memcpy(m->agree.text, text, sizeof text);
        log_error(m->log, "node", "checkpoints-differ", "reason=\"%s\"", text);
    }
    m->agree.disputed = v->with_us < majority;
}

static void judge(struct member *m)
{
    if (member_is_ending(m) || m->state != MEMBER_RUNNING || is_none(m->agree.manifest)) {
        return;
    }
    struct views v = collect(m);
    if (v.unread) {
        read_content(m);
    }
    if (v.count == 0 && v.differ > 0) {
        return; /* not at one index at this moment */
    }
    if (v.count == 0) {
        m->agree.disputed = false;
        m->agree.text[0] = '\0';
        return;
    }
    size_t majority = v.voters / 2 + 1;
    size_t one = 0;
    size_t against = largest(&v, &one);
    if (against >= majority || is_weakened(m->weaken, WEAKEN_MAJORITY)) {
        char why[ERR_TEXT_SIZE];
        (void)snprintf(why, sizeof why,
                       "this node has diverged: its checkpoint %" PRIu64
                       " is not that of a majority, of which is %s",
                       m->control.checkpoint_index, v.names[one]->name);
        member_checkpoint_lost(m, why);
        return;
    }
    dispute(m, &v, one, majority);
}

void member_agree_own(struct member *m, struct hash128 manifest)
{
    m->agree.manifest = manifest;
    m->agree.content = (struct hash128){0};
    judge(m);
}

void member_agree_peer(struct member *m, struct peer *p,
                       const Tidemark__Peer__V1__Progress *progress)
{
    p->checkpoint_hash =
        (struct hash128){.low = progress->manifest_low, .high = progress->manifest_high};
    p->checkpoint_content =
        (struct hash128){.low = progress->content_low, .high = progress->content_high};
    judge(m);
}

struct hash128 member_manifest_hash(const struct member *m, uint64_t index)
{
    char name[TSDB_NAME_SIZE];
    char path[IO_PATH_MAX];
    struct buf bytes = {0};
    struct hash128 hash = {0};
    tsdb_manifest_name(index, name);
    if (index > 0 && io_join(path, storage_tsdb_dir(m->storage), name, NULL) == ERR_OK &&
        io_read_file(storage_io(m->storage), path, LIMIT_MANIFEST_SIZE_MAX, &bytes, NULL) ==
            ERR_OK) {
        hash = hash128(buf_bytes(&bytes));
    }
    buf_deinit(&bytes);
    return hash;
}
