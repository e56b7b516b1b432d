/* SPDX-License-Identifier: Apache-2.0 */
#include "node/storage.h"

#include <inttypes.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"

enum {
    LOG_COUNT = 2,
    SET_ASIDE_MAX = 10000,
    PREPARE_SIZE = 1024 * 1024, /* zeroed between two batches */
};

static const char *const log_names[LOG_COUNT] = {
    [STORAGE_RAFT] = "raft",
    [STORAGE_LOCAL] = "wal",
};

struct log_state {
    struct wal *wal; /* NULL: the directory has none */
    struct wal_report report;
    bool sync_wanted;
};

struct storage {
    struct io *io;
    const struct log *log;
    char dir[IO_PATH_MAX];
    char tsdb_dir[IO_PATH_MAX];
    struct file *lock;
    struct hard_state_file *hard;
    struct control_file *control;
    struct log_state logs[LOG_COUNT];
    struct storage_log_settings log_settings;
    int recovery_mode; /* -1: what control says */
    bool was_clean;
    uint64_t analysis_ms;
    atomic_bool failed; /* set once, after failure was written */
    struct err failure;
};

/* --- extents: kept by the twin that goes with the log --- */

static enum err_code raft_extent_changed(void *context, const struct wal_extent *extent,
                                         struct err *e)
{
    struct storage *s = context;
    struct hard_state *next = mem_dup(hard_state_get(s->hard), sizeof *next);
    next->raft_extent = *extent;
    enum err_code code = hard_state_write(s->hard, next, e);
    mem_free(next);
    return code;
}

static enum err_code local_extent_changed(void *context, const struct wal_extent *extent,
                                          struct err *e)
{
    struct storage *s = context;
    struct control next = *control_get(s->control);
    next.local_extent = *extent;
    return control_write(s->control, &next, e);
}

/* --- logs --- */

/* Of the small ones of tests as many as of the smallest that users may have. */
static unsigned segments_min(const struct storage *s)
{
    uint64_t size = storage_segment_size(s);
    uint64_t count =
        s->log_settings.size_min / (size < LIMIT_SEGMENT_SIZE_MIN ? LIMIT_SEGMENT_SIZE_MIN : size);
    return count < UINT_MAX ? (unsigned)count : UINT_MAX - 1;
}

/* In a cluster the local WAL is a copy (safety.md D2), which is written again from the
 * first loss on as the Raft log is applied again. Its index only rises, so with what
 * stands behind a gap kept the gap would stay. */
static enum wal_recovery_mode recovery_mode_of(const struct storage *s)
{
    const struct control *control = control_get(s->control);
    enum wal_recovery_mode mode =
        s->recovery_mode >= 0 ? (enum wal_recovery_mode)s->recovery_mode : control->recovery_mode;
    bool copy = control_log(control) == CONTROL_LOG_RAFT;
    return copy && mode == WAL_SKIP_ANY_CORRUPTED_RECORDS ? WAL_POINT_IN_TIME_RECOVERY : mode;
}

static enum err_code open_log(struct storage *s, enum storage_log which, bool fresh, struct err *e)
{
    const struct control *control = control_get(s->control);
    const struct hard_state *hard = hard_state_get(s->hard);
    char dir[IO_PATH_MAX];
    enum err_code code = io_join(dir, s->dir, log_names[which], e);
    if (code != ERR_OK) {
        return code;
    }
    bool raft = which == STORAGE_RAFT;
    struct wal_options options = {
        .io = s->io,
        .log = s->log,
        .dir = dir,
        .role = raft ? WAL_RAFT : WAL_LOCAL,
        .cluster_id = hard->cluster_id,
        .directory_id = hard->directory_id,
        .timeline = control->timeline,
        .segment_size = control->segment_size,
        .recovery_mode = recovery_mode_of(s),
        .fresh = fresh,
        .extent = raft ? hard->raft_extent : control->local_extent,
        .sync_method = s->log_settings.sync_method[which],
        .buffer_size = s->log_settings.buffer_size,
        .segments_min = segments_min(s),
        .extent_changed = raft ? raft_extent_changed : local_extent_changed,
        .context = s,
    };
    struct log_state *l = &s->logs[which];
    code = wal_open(&options, &l->wal, &l->report, e);
    return code == ERR_OK ? ERR_OK : err_wrap(e, "log %s", dir);
}

static bool is_zero_extent(const struct wal_extent *extent)
{
    return extent->segment_last == 0 && extent->segment_first == 0;
}

/* A log exists once its extent was made durable. */
static enum err_code open_logs(struct storage *s, struct err *e)
{
    const struct control *control = control_get(s->control);
    const struct hard_state *hard = hard_state_get(s->hard);
    enum err_code code = ERR_OK;
    if (hard->cluster_id != 0 && !is_zero_extent(&hard->raft_extent)) {
        code = open_log(s, STORAGE_RAFT, false, e);
    }
    if (code == ERR_OK && hard->cluster_id != 0 && !is_zero_extent(&control->local_extent)) {
        code = open_log(s, STORAGE_LOCAL, false, e);
    }
    return code;
}

/* --- opening --- */

static enum err_code make_dir(struct io *io, const char *dir, struct err *e)
{
    bool exists = false;
    enum err_code code = io_exists(io, dir, &exists, e);
    if (code != ERR_OK || exists) {
        return code;
    }
    return io_mkdir(io, dir, e);
}

static enum err_code make_dirs(struct storage *s, struct err *e)
{
    static const char *const names[] = {"raft", "wal", "tsdb", "lost"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[IO_PATH_MAX];
        enum err_code code = io_join(path, s->dir, names[i], e);
        if (code == ERR_OK) {
            code = make_dir(s->io, path, e);
        }
        if (code != ERR_OK) {
            return code;
        }
    }
    return io_sync_dir(s->io, s->dir, e);
}

static enum err_code create_control(struct storage *s, const struct storage_options *o,
                                    struct err *e)
{
    struct control first = {
        .directory_id = hard_state_get(s->hard)->directory_id,
        .segment_size = o->segment_size,
        .timeline = 1,
        .wal_level = WAL_LEVEL_FLUSH,
        .recovery_mode = WAL_POINT_IN_TIME_RECOVERY,
    };
    return control_create(s->io, s->dir, &first, &s->control, e);
}

static enum err_code create_promises(struct storage *s, const struct storage_options *o,
                                     struct err *e)
{
    struct hard_state_fresh fresh = {.name = o->name, .cluster_id = 0};
    enum err_code code = hard_state_create(s->io, s->dir, &fresh, &s->hard, e);
    return code == ERR_OK ? create_control(s, o, e) : code;
}

static bool has_given_up(const struct hard_state *h);
static enum err_code finish_giving_up(struct storage *s, struct err *e);

/* Nothing was ever promised here: no log and no control file was made yet. */
static bool is_unfinished(const struct storage *s)
{
    static const char *const names[] = {"control.0", "control.1", "raft", "wal"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[IO_PATH_MAX];
        struct io_name *found = NULL;
        size_t count = 0;
        bool exists = true;
        if (io_join(path, s->dir, names[i], NULL) != ERR_OK ||
            io_exists(s->io, path, &exists, NULL) != ERR_OK) {
            return false;
        }
        if (exists && (io_list(s->io, path, &found, &count, NULL) != ERR_OK || count > 0)) {
            mem_free(found);
            return false;
        }
        mem_free(found);
    }
    return true;
}

static enum err_code check_segment_size(const struct storage *s, const struct storage_options *o,
                                        struct err *e)
{
    uint64_t size = storage_segment_size(s);
    if (!o->segment_size_given || o->segment_size == size) {
        return ERR_OK;
    }
    return err_set(e, ERR_INVALID,
                   "%s was made with wal-segment-size %" PRIu64 "KiB, which can't be changed to "
                   "%" PRIu64 "KiB: leave the option out, or use a new directory",
                   s->dir, size / LIMIT_KIB, o->segment_size / LIMIT_KIB);
}

static enum err_code open_promises(struct storage *s, const struct storage_options *o,
                                   struct err *e)
{
    enum err_code code = hard_state_open(s->io, s->dir, &s->hard, e);
    if (code == ERR_NOT_FOUND || (code == ERR_CORRUPT && is_unfinished(s))) {
        return create_promises(s, o, e);
    }
    if (code != ERR_OK) {
        return code;
    }
    if (has_given_up(hard_state_get(s->hard))) {
        code = finish_giving_up(s, e);
        if (code != ERR_OK) {
            return code;
        }
    }
    const struct hard_state *hard = hard_state_get(s->hard);
    code = control_open(s->io, s->dir, hard->directory_id, &s->control, e);
    bool missing = code == ERR_NOT_FOUND || code == ERR_CORRUPT;
    if (missing && hard->start_counter == 0) {
        return create_control(s, o, e); /* a first start that a crash cut short */
    }
    if (code == ERR_NOT_FOUND) {
        return err_set(e, ERR_CORRUPT, "%s: the control file is missing", s->dir);
    }
    return code == ERR_OK ? check_segment_size(s, o, e) : code;
}

static enum err_code begin_start(struct storage *s, struct err *e)
{
    struct control next = *control_get(s->control);
    s->was_clean = next.clean;
    if (next.clean) {
        next.clean = false;
        enum err_code code = control_write(s->control, &next, e);
        if (code != ERR_OK) {
            return code;
        }
    }
    return hard_state_start(s->hard, e);
}

static void release(struct storage *s)
{
    for (size_t i = 0; i < LOG_COUNT; i++) {
        wal_abandon(s->logs[i].wal);
    }
    hard_state_close(s->hard);
    control_close(s->control);
    file_close(s->lock);
    mem_free(s);
}

/* A new data directory has to survive a power failure itself: with it, every
 * promise in it would be gone, and the node would found a second time. */
static enum err_code make_data_dir(struct storage *s, struct err *e)
{
    char parent[IO_PATH_MAX];
    (void)snprintf(parent, sizeof parent, "%s", s->dir);
    char *slash = strrchr(parent, '/');
    if (slash == NULL) {
        (void)snprintf(parent, sizeof parent, ".");
    } else {
        slash[slash == parent ? 1 : 0] = '\0';
    }
    enum err_code code = make_dir(s->io, s->dir, e);
    return code == ERR_OK ? io_sync_dir(s->io, parent, e) : code;
}

static enum err_code open_all(struct storage *s, const struct storage_options *o, struct err *e)
{
    enum err_code code = make_data_dir(s, e);
    char path[IO_PATH_MAX];
    if (code == ERR_OK) {
        code = io_join(path, s->dir, "lock", e);
    }
    if (code == ERR_OK) {
        code = io_lock(s->io, path, &s->lock, e);
    }
    if (code == ERR_OK) {
        code = make_dirs(s, e);
    }
    if (code == ERR_OK) {
        code = open_promises(s, o, e);
    }
    if (code == ERR_OK) {
        code = begin_start(s, e);
    }
    if (code == ERR_OK) {
        code = open_logs(s, e);
    }
    return code;
}

enum err_code storage_open(const struct storage_options *options, struct storage **out,
                           struct err *e)
{
    CHECK(options->io != NULL);
    CHECK(options->dir != NULL);
    struct storage *s = mem_zalloc(sizeof *s);
    s->io = options->io;
    s->log = options->log;
    s->recovery_mode = options->recovery_mode;
    s->log_settings.buffer_size = STORAGE_BUFFER_SIZE;
    s->log_settings.size_min = STORAGE_SIZE_MIN;
    (void)snprintf(s->dir, sizeof s->dir, "%s", options->dir);
    uint64_t began_us = io_monotonic_us(s->io);
    enum err_code code = io_join(s->tsdb_dir, s->dir, "tsdb", e);
    if (code == ERR_OK) {
        code = open_all(s, options, e);
    }
    s->analysis_ms = (io_monotonic_us(s->io) - began_us) / 1000;
    if (code != ERR_OK) {
        release(s);
        return code;
    }
    *out = s;
    return ERR_OK;
}

enum err_code storage_close(struct storage *s, bool clean, struct err *e)
{
    if (s == NULL) {
        return ERR_OK;
    }
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < LOG_COUNT && clean && !s->failed; i++) {
        if (s->logs[i].wal != NULL && code == ERR_OK) {
            code = wal_close(s->logs[i].wal, e);
            s->logs[i].wal = NULL;
        }
    }
    if (clean && !s->failed && code == ERR_OK) {
        struct control next = *control_get(s->control);
        next.clean = true;
        code = control_write(s->control, &next, e);
    }
    release(s);
    return code;
}

/* --- as found --- */

const struct hard_state *storage_hard(const struct storage *s)
{
    return hard_state_get(s->hard);
}

const struct control *storage_control(const struct storage *s)
{
    return control_get(s->control);
}

const struct wal_report *storage_report(const struct storage *s, enum storage_log log)
{
    return &s->logs[log].report;
}

bool storage_has(const struct storage *s, enum storage_log log)
{
    return s->logs[log].wal != NULL;
}

bool storage_was_clean(const struct storage *s)
{
    return s->was_clean;
}

uint64_t storage_analysis_ms(const struct storage *s)
{
    return s->analysis_ms;
}

struct io *storage_io(const struct storage *s)
{
    return s->io;
}

const char *storage_dir(const struct storage *s)
{
    return s->dir;
}

const char *storage_tsdb_dir(const struct storage *s)
{
    return s->tsdb_dir;
}

uint64_t storage_segment_size(const struct storage *s)
{
    return control_get(s->control)->segment_size;
}

/* --- on the log lane --- */

/* What a failed disk is told now could be read back as if all before it were there. */
static enum err_code refuse_failed(const struct storage *s, struct err *e)
{
    return s->failed ? err_set(e, ERR_STATE, "%s: %s", s->dir, s->failure.text) : ERR_OK;
}

enum err_code storage_make_log(struct storage *s, enum storage_log log, uint64_t index,
                               uint64_t term, struct err *e)
{
    CHECK(s->logs[log].wal == NULL);
    enum err_code code = refuse_failed(s, e);
    if (code == ERR_OK) {
        code = open_log(s, log, true, e);
    }
    if (code == ERR_OK && index > 0) {
        code = wal_reset(s->logs[log].wal, index, term, e);
    }
    return code;
}

struct wal *storage_wal(struct storage *s, enum storage_log log)
{
    return s->logs[log].wal;
}

void storage_rotate(struct storage *s, enum storage_log log)
{
    struct err e;
    if (wal_rotate(s->logs[log].wal, &e) != ERR_OK) {
        (void)storage_fail(s, &e);
    }
}

enum err_code storage_put_hard(struct storage *s, const struct hard_state *h, struct err *e)
{
    enum err_code code = refuse_failed(s, e);
    if (code != ERR_OK) {
        return code;
    }
    struct hard_state *next = mem_dup(h, sizeof *next);
    const struct hard_state *now = hard_state_get(s->hard);
    next->raft_extent = now->raft_extent;
    next->start_counter = now->start_counter;
    next->start_count = now->start_count;
    memcpy(next->starts, now->starts, sizeof next->starts);
    code = hard_state_write(s->hard, next, e);
    mem_free(next);
    return code;
}

enum err_code storage_raise_counter(struct storage *s, struct err *e)
{
    enum err_code code = refuse_failed(s, e);
    return code != ERR_OK ? code : hard_state_raise_counter(s->hard, e);
}

enum err_code storage_put_control(struct storage *s, const struct control *c, struct err *e)
{
    enum err_code code = refuse_failed(s, e);
    struct control next = *c;
    next.local_extent = control_get(s->control)->local_extent;
    return code != ERR_OK ? code : control_write(s->control, &next, e);
}

enum err_code storage_set_log_settings(struct storage *s,
                                       const struct storage_log_settings *settings, struct err *e)
{
    s->log_settings = *settings;
    for (size_t i = 0; i < LOG_COUNT; i++) {
        struct wal *w = s->logs[i].wal;
        if (w == NULL) {
            continue;
        }
        wal_set_buffer_size(w, settings->buffer_size);
        wal_keep_segments(w, segments_min(s));
        enum err_code code = wal_set_sync_method(w, settings->sync_method[i], e);
        if (code != ERR_OK) {
            return code;
        }
    }
    return ERR_OK;
}

void storage_want_sync(struct storage *s, enum storage_log log)
{
    CHECK(s->logs[log].wal != NULL);
    s->logs[log].sync_wanted = true;
}

/* A full disk is no failure: 'done' means that trying again now is of no use. */
static enum err_code prepare_log(struct wal *w, struct storage_room *out, struct err *e)
{
    bool done = false;
    uint64_t unit = 0;
    enum err_code code = wal_prepare(w, PREPARE_SIZE, &done, e);
    if (code != ERR_OK && code != ERR_NO_SPACE) {
        return code;
    }
    uint64_t taken = wal_room(w, &unit);
    out->taken = taken < out->taken ? taken : out->taken;
    out->unit = unit;
    out->done = out->done && (done || code == ERR_NO_SPACE);
    return ERR_OK;
}

void storage_prepare(struct storage *s, struct storage_room *out)
{
    struct err e;
    *out = (struct storage_room){
        .taken = UINT64_MAX, .segment = storage_segment_size(s), .done = true};
    for (size_t i = 0; i < LOG_COUNT && !s->failed; i++) {
        struct wal *w = s->logs[i].wal;
        if (w != NULL && prepare_log(w, out, &e) != ERR_OK) {
            (void)storage_fail(s, &e);
        }
    }
    if (!s->failed && io_space(s->io, s->dir, &out->free, &e) != ERR_OK) {
        (void)storage_fail(s, &e);
    }
}

void storage_sync(struct storage *s)
{
    for (size_t i = 0; i < LOG_COUNT; i++) {
        struct log_state *l = &s->logs[i];
        if (!l->sync_wanted || s->failed) {
            continue;
        }
        l->sync_wanted = false;
        struct err e;
        if (wal_sync(l->wal, &e) != ERR_OK) {
            (void)storage_fail(s, &e);
        }
    }
}

const char *storage_failed(const struct storage *s)
{
    return s->failed ? s->failure.text : NULL;
}

enum err_code storage_fail(struct storage *s, const struct err *e)
{
    if (!s->failed) {
        s->failure = *e;
        s->failed = true;
        log_error(s->log, "node", "disk-failed", "dir=%s reason=\"%s\"", s->dir, e->text);
    }
    return e->code;
}

enum err_code storage_set_aside(struct storage *s, const char *name, struct err *e)
{
    char from[IO_PATH_MAX];
    char to[IO_PATH_MAX];
    char lost[IO_PATH_MAX];
    enum err_code code = io_join(from, s->dir, name, e);
    if (code == ERR_OK) {
        code = io_join(lost, s->dir, "lost", e);
    }
    bool taken = true;
    for (unsigned i = 1; code == ERR_OK && taken && i < SET_ASIDE_MAX; i++) {
        char numbered[IO_NAME_MAX];
        (void)snprintf(numbered, sizeof numbered, "%s-%u", name, i);
        code = io_join(to, lost, numbered, e);
        if (code == ERR_OK) {
            code = io_exists(s->io, to, &taken, e);
        }
    }
    if (code != ERR_OK) {
        return code;
    }
    if (taken) {
        return err_set(e, ERR_FULL, "%s: too many things set aside", lost);
    }
    code = io_rename(s->io, from, to, e);
    if (code == ERR_OK) {
        code = io_sync_dir(s->io, lost, e);
    }
    return code == ERR_OK ? io_sync_dir(s->io, s->dir, e) : code;
}

/* Whether this directory has begun to give up its id: it names itself removed. */
static bool has_given_up(const struct hard_state *h)
{
    const struct hard_state_seen *self = hard_state_find_seen(h, h->directory_id);
    return self != NULL && self->removed;
}

/* Can be cut short and done again at any step; hard state goes last. */
static enum err_code finish_giving_up(struct storage *s, struct err *e)
{
    static const char *const names[] = {"raft",      "wal",          "control.0",
                                        "control.1", "hard-state.1", "hard-state.0"};
    struct hard_state_fresh fresh = {.cluster_id = hard_state_get(s->hard)->cluster_id};
    char name[LIMIT_NAME_SIZE_MAX + 1];
    memcpy(name, hard_state_get(s->hard)->name, sizeof name);
    fresh.name = name;
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < sizeof names / sizeof names[0] && code == ERR_OK; i++) {
        code = storage_set_aside(s, names[i], e);
        code = code == ERR_NOT_FOUND ? ERR_OK : code;
    }
    if (code != ERR_OK) {
        return code;
    }
    struct hard_state_file *hard = NULL;
    code = hard_state_create(s->io, s->dir, &fresh, &hard, e);
    if (code != ERR_OK) {
        return code; /* the old one stays open: a failed node still says who it was */
    }
    hard_state_close(s->hard);
    s->hard = hard;
    return make_dirs(s, e);
}

enum err_code storage_give_up_identity(struct storage *s, struct err *e)
{
    for (size_t i = 0; i < LOG_COUNT; i++) {
        wal_abandon(s->logs[i].wal);
        s->logs[i].wal = NULL;
        s->logs[i].sync_wanted = false;
    }
    struct hard_state *next = mem_dup(hard_state_get(s->hard), sizeof *next);
    struct hard_state_seen self = {.directory_id = next->directory_id, .removed = true};
    enum err_code code = hard_state_see(next, &self, &next->directory_id, 1, e);
    if (code == ERR_OK) {
        code = hard_state_write(s->hard, next, e);
    }
    mem_free(next);
    return code == ERR_OK ? finish_giving_up(s, e) : code;
}
