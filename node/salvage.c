/* SPDX-License-Identifier: Apache-2.0 */
#include "node/salvage.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "node/storage.h"
#include "proto/command.h"
#include "proto/tidemark/log/v1/log.pb-c.h"
#include "tsdb/tsdb.h"
#include "wal/wal_inspect.h"

enum { SOURCES = 2, LINES_MAX = 200 /* of losses in the report; the rest is counted */ };

/* One log of SRC, read entry by entry. */
struct source {
    const char *name;
    char dir[IO_PATH_MAX];
    struct wal_visitor visitor;
    struct wal_report report;
    struct wal_inspection *inspection; /* NULL: there is none, or it can't be read */
    struct wal_entry entry;            /* the next one */
    bool has_entry;
    uint64_t kept;
    uint64_t lost;
    struct buf *text; /* of the report, while it is looked at */
};

struct salvage {
    const struct salvage_options *options;
    struct salvage_figures *figures;
    struct buf *text;
    struct file *lock; /* of SRC */
    struct source sources[SOURCES];
    struct storage *storage; /* of NEWDIR */
    struct tsdb *db;
    struct tsdb_results results;
    struct buf entry; /* being made */
    uint64_t term;
};

enum { RAFT, LOCAL };

/* --- may it be done? --- */

/* A directory on a medium that can't be written has no running node. */
static enum err_code lock_source(struct salvage *s, struct err *e)
{
    char path[IO_PATH_MAX];
    enum err_code code = io_join(path, s->options->from, "lock", e);
    if (code == ERR_OK) {
        code = io_lock_read(s->options->io, path, &s->lock, e);
    }
    if (code == ERR_STATE) {
        return err_wrap(e, "a node runs in %s", s->options->from);
    }
    return code == ERR_NOT_FOUND ? ERR_OK : code;
}

static enum err_code check_target(struct salvage *s, struct err *e)
{
    struct io_name *names = NULL;
    size_t count = 0;
    size_t size = strlen(s->options->from);
    bool begins = strncmp(s->options->to, s->options->from, size) == 0;
    if (begins && (s->options->to[size] == '\0' || s->options->to[size] == '/')) {
        return err_set(e, ERR_INVALID, "%s is in %s, which must stay as it is", s->options->to,
                       s->options->from);
    }
    enum err_code code = io_list(s->options->io, s->options->to, &names, &count, e);
    mem_free(names);
    if (code == ERR_NOT_FOUND) {
        return ERR_OK;
    }
    if (code == ERR_OK && count > 0) {
        return err_set(e, ERR_EXISTS, "%s is not empty", s->options->to);
    }
    return code;
}

/* --- the logs of SRC --- */

static void put_loss(struct source *source, const char *what, uint64_t lsn, uint64_t first,
                     uint64_t last)
{
    char text[WAL_LSN_TEXT_SIZE];
    source->lost++;
    if (source->lost > LINES_MAX) {
        return;
    }
    buf_printf(source->text, "dropped: %s: %s at %s", source->name, what, wal_lsn_text(lsn, text));
    if (first != 0) {
        buf_printf(source->text, ", entries %" PRIu64 " to %" PRIu64, first, last);
    }
    buf_printf(source->text, "\n");
}

static bool note_slot(void *context, const struct wal_view *view)
{
    if (view->state == WAL_SLOT_LOST || view->state == WAL_SLOT_DOUBTED) {
        put_loss(context, view->state == WAL_SLOT_LOST ? view->verdict : "doubted", view->lsn,
                 view->index, view->index_last);
    }
    return true;
}

static void note_problem(void *context, const struct wal_problem *problem)
{
    put_loss(context, problem->what, problem->lsn, problem->index_first, problem->index_last);
}

/* A log that can't be read any further has ended. */
static void next_entry(struct source *source)
{
    struct err why;
    if (wal_inspection_next(source->inspection, &source->entry, &source->has_entry, &why) !=
        ERR_OK) {
        source->has_entry = false;
        source->lost++;
        buf_printf(source->text, "dropped: %s: the rest: %s\n", source->name, why.text);
    }
}

static void open_source(struct salvage *s, struct source *source)
{
    struct err why;
    source->text = s->text;
    source->visitor =
        (struct wal_visitor){.slot = note_slot, .problem = note_problem, .context = source};
    enum err_code code = wal_inspection_open(s->options->io, source->dir, &source->visitor,
                                             &source->report, &source->inspection, &why);
    if (code != ERR_OK) {
        buf_printf(s->text, "dropped: %s: all of it: %s\n", source->name, why.text);
        source->lost += code != ERR_NOT_FOUND;
        return;
    }
    if (source->lost > LINES_MAX) {
        buf_printf(s->text, "dropped: %s: and %" PRIu64 " more\n", source->name,
                   source->lost - LINES_MAX);
    }
    if (source->report.commit_stated > s->figures->commit) {
        s->figures->commit = source->report.commit_stated;
    }
    next_entry(source);
}

static enum err_code open_sources(struct salvage *s, struct err *e)
{
    static const struct {
        const char *name, *dir;
    } known[SOURCES] = {[RAFT] = {"Raft log", "raft"}, [LOCAL] = {"local WAL", "wal"}};
    for (size_t i = 0; i < SOURCES; i++) {
        struct source *source = &s->sources[i];
        source->name = known[i].name;
        enum err_code code = io_join(source->dir, s->options->from, known[i].dir, e);
        if (code != ERR_OK) {
            return code;
        }
        open_source(s, source);
    }
    return ERR_OK;
}

/* The source of the next entry in order of index; NULL: no more. */
static struct source *next_source(struct salvage *s)
{
    struct source *raft = &s->sources[RAFT];
    struct source *local = &s->sources[LOCAL];
    if (!raft->has_entry || !local->has_entry) {
        return raft->has_entry ? raft : local->has_entry ? local : NULL;
    }
    return local->entry.index <= raft->entry.index ? local : raft;
}

static void step_over(struct salvage *s, uint64_t index)
{
    for (size_t i = 0; i < SOURCES; i++) {
        if (s->sources[i].has_entry && s->sources[i].entry.index <= index) {
            next_entry(&s->sources[i]);
        }
    }
}

/* --- the checkpoint --- */

static enum err_code open_state(struct salvage *s, struct err *e)
{
    char from[IO_PATH_MAX];
    struct tsdb_rescued r;
    struct salvage_figures *f = s->figures;
    enum err_code code = io_join(from, s->options->from, "tsdb", e);
    if (code == ERR_OK) {
        code = tsdb_rescue(s->options->io, from, storage_tsdb_dir(s->storage), &r, e);
    }
    if (code != ERR_OK) {
        return code;
    }
    f->checkpoint_index = r.index;
    f->parts_kept = r.parts_kept;
    f->parts_dropped = r.parts_dropped;
    f->rows_dropped = r.rows_dropped;
    if (r.manifests_bad > 0) {
        buf_printf(s->text, "dropped: %u newer checkpoints: %s\n", r.manifests_bad, r.reason);
    }
    if (r.index == 0) {
        buf_printf(s->text, "kept: no checkpoint\n");
    } else {
        buf_printf(s->text, "kept: checkpoint %" PRIu64 " with %u parts, %" PRIu64 " rows\n",
                   r.index, r.parts_kept, r.rows_kept);
    }
    if (r.parts_dropped > 0) {
        buf_printf(s->text, "dropped: %u parts with %" PRIu64 " rows: %s\n", r.parts_dropped,
                   r.rows_dropped, r.reason);
    }
    const struct tsdb_options options = {.io = s->options->io,
                                         .log = s->options->log,
                                         .dir = storage_tsdb_dir(s->storage),
                                         .checkpoint_index = r.index};
    s->term = r.term;
    return tsdb_open(&options, &s->db, e);
}

/* --- entries --- */

/* Members, and the level of a log that is no longer there, are the old cluster's. */
static bool is_wanted(const struct command *c)
{
    if (c->kind == COMMAND_SET_SETTING) {
        Tidemark__Log__V1__SetSetting *set =
            tidemark__log__v1__set_setting__unpack(NULL, c->body.size, c->body.data);
        bool level = set != NULL && strcmp(set->name, "ts.wal.wal_level") == 0;
        tidemark__log__v1__set_setting__free_unpacked(set, NULL);
        return !level;
    }
    return c->kind != COMMAND_NODE_START && c->kind != COMMAND_NODE_REMOVED &&
           c->kind != COMMAND_CLUSTER_FORMED && c->kind != COMMAND_CHECKPOINT;
}

/* The entry without what the new cluster has no use for. False: it is no list of
 * commands. */
static bool filter_entry(struct salvage *s, struct bytes payload)
{
    struct cursor cursor = cursor_of(payload);
    size_t count = 0;
    bool part = false;
    buf_reset(&s->entry);
    while (cursor.size > 0) {
        struct command command;
        if (command_next(&cursor, &command, NULL) != ERR_OK) {
            return false;
        }
        count++;
        part = part || command.kind == COMMAND_PART;
        if (is_wanted(&command)) {
            command_put(&s->entry, &command);
        }
    }
    return count > 0 && !(part && count > 1);
}

static enum err_code write_checkpoint(struct salvage *s, struct err *e)
{
    struct tsdb_checkpoint made;
    uint64_t keep;
    enum err_code code = tsdb_checkpoint_write(s->db, &made, e);
    if (code == ERR_OK) {
        code = tsdb_checkpoint_finish(s->db, e);
    }
    keep = made.index;
    return code == ERR_OK ? tsdb_clean(s->db, &keep, 1, e) : code;
}

/* An own entry on top. */
static enum err_code apply_own(struct salvage *s, enum command_kind kind, struct bytes body,
                               struct err *e)
{
    const struct command command = {.kind = kind, .body = body};
    buf_reset(&s->entry);
    command_put(&s->entry, &command);
    return tsdb_apply(s->db, tsdb_applied_index(s->db) + 1, s->term, buf_bytes(&s->entry),
                      &s->results, e);
}

static bool is_checkpoint(struct bytes payload)
{
    return payload.size > 0 && payload.data[0] == COMMAND_CHECKPOINT;
}

/* As often as the node did it: what it had in memory fits into ours. */
static enum err_code apply_checkpoint(struct salvage *s, const struct wal_entry *entry,
                                      struct err *e)
{
    enum err_code code =
        tsdb_apply(s->db, entry->index, entry->term, entry->payload, &s->results, e);
    return code == ERR_OK && tsdb_frozen(s->db) ? write_checkpoint(s, e) : code;
}

static void count_refused(struct salvage *s)
{
    for (size_t i = 0; i < s->results.count; i++) {
        if (s->results.items[i].code != ERR_OK && s->figures->commands_refused++ < LINES_MAX) {
            buf_printf(s->text, "dropped: a command of entry %" PRIu64 ": %s\n",
                       tsdb_applied_index(s->db), s->results.items[i].text);
        }
    }
}

static enum err_code apply_entry(struct salvage *s, struct source *source, struct err *e)
{
    const struct wal_entry *entry = &source->entry;
    bool command = entry->type == WAL_COMMAND || entry->type == WAL_METADATA;
    enum err_code code = ERR_OK;
    if (entry->index <= tsdb_applied_index(s->db)) {
        return ERR_OK; /* the checkpoint holds it */
    }
    if (entry->term < s->term ||
        (command && !is_checkpoint(entry->payload) && !filter_entry(s, entry->payload))) {
        s->figures->entries_bad++;
        buf_printf(s->text, "dropped: %s: entry %" PRIu64 " of term %" PRIu64 ": %s\n",
                   source->name, entry->index, entry->term,
                   entry->term < s->term ? "a term that fell" : "no commands");
        return ERR_OK;
    }
    s->term = entry->term;
    if (command && is_checkpoint(entry->payload)) {
        code = apply_checkpoint(s, entry, e);
    } else if (command && s->entry.size > 0) {
        code = tsdb_apply(s->db, entry->index, entry->term, buf_bytes(&s->entry), &s->results, e);
        count_refused(s);
    } else {
        tsdb_apply_barrier(s->db, entry->index, entry->term);
    }
    source->kept += code == ERR_OK;
    return code;
}

static enum err_code apply_entries(struct salvage *s, struct err *e)
{
    for (struct source *source = next_source(s); source != NULL; source = next_source(s)) {
        uint64_t index = source->entry.index;
        enum err_code code = apply_entry(s, source, e);
        if (code != ERR_OK) {
            return code;
        }
        step_over(s, index);
    }
    s->figures->index = tsdb_applied_index(s->db);
    for (size_t i = 0; i < SOURCES; i++) {
        s->figures->entries_kept += s->sources[i].kept;
        s->figures->slots_lost += s->sources[i].lost;
        buf_printf(s->text, "kept: %s: %" PRIu64 " entries\n", s->sources[i].name,
                   s->sources[i].kept);
    }
    return ERR_OK;
}

/* --- the new node --- */

/* Its own settings, and a checkpoint of everything: it has nothing to replay. */
static enum err_code finish_state(struct salvage *s, struct err *e)
{
    Tidemark__Log__V1__SetSetting set;
    tidemark__log__v1__set_setting__init(&set);
    char name[] = "ts.wal.wal_level";
    char value[] = "2";
    set.name = name;
    set.value = value;
    struct buf body = {0};
    size_t size = tidemark__log__v1__set_setting__get_packed_size(&set);
    (void)tidemark__log__v1__set_setting__pack(&set, buf_extend(&body, size));
    s->term += s->term == 0;
    enum err_code code = apply_own(s, COMMAND_SET_SETTING, buf_bytes(&body), e);
    CHECK(code != ERR_OK || s->results.items[0].code == ERR_OK);
    if (code == ERR_OK) {
        code = apply_own(s, COMMAND_CHECKPOINT, (struct bytes){0}, e);
    }
    buf_deinit(&body);
    return code == ERR_OK ? write_checkpoint(s, e) : code;
}

/* The control file names the era last: until then nothing was founded here. */
static enum err_code found(struct salvage *s, struct err *e)
{
    uint64_t index = tsdb_applied_index(s->db);
    struct hard_state *hard = mem_dup(storage_hard(s->storage), sizeof *hard);
    struct control control = *storage_control(s->storage);
    const struct control_era era = {
        .log = CONTROL_LOG_LOCAL, .index_first = index + 1, .term_first = s->term};
    hard->cluster_id = io_entropy_u64(s->options->io);
    hard->cluster_id += hard->cluster_id == 0;
    hard->term = s->term;
    control.cluster_id = hard->cluster_id;
    control.wal_level = WAL_LEVEL_FLUSH;
    control.checkpoint_index = index;
    control.checkpoint_term = s->term;
    control.local_applied = index;
    s->figures->cluster_id = hard->cluster_id;
    s->figures->directory_id = hard->directory_id;
    enum err_code code = control_add_era(&control, &era, e);
    if (code == ERR_OK) {
        code = storage_put_hard(s->storage, hard, e);
    }
    if (code == ERR_OK) {
        code = storage_make_log(s->storage, STORAGE_LOCAL, index, s->term, e);
    }
    if (code == ERR_OK) {
        code = storage_put_control(s->storage, &control, e);
    }
    mem_free(hard);
    return code;
}

static void sum_up(struct salvage *s)
{
    const struct salvage_figures *f = s->figures;
    if (f->commands_refused > LINES_MAX) {
        buf_printf(s->text, "dropped: and %" PRIu64 " more commands\n",
                   f->commands_refused - LINES_MAX);
    }
    if (f->index > f->commit && f->index > f->checkpoint_index) {
        uint64_t known = f->commit > f->checkpoint_index ? f->commit : f->checkpoint_index;
        buf_printf(s->text,
                   "note: nothing says that entries %" PRIu64 " to %" PRIu64 " were committed\n",
                   known + 1, f->index);
    }
    buf_printf(s->text,
               "salvaged %s into %s: cluster %016" PRIx64 ", directory %016" PRIx64
               ", up to entry %" PRIu64 "\n",
               s->options->from, s->options->to, f->cluster_id, f->directory_id, f->index);
}

/* --- all of it --- */

/* 'checkpoint': whether there may be one. */
static enum err_code check_sources(const struct salvage *s, bool checkpoint, struct err *e)
{
    if (!checkpoint && s->sources[RAFT].inspection == NULL &&
        s->sources[LOCAL].inspection == NULL) {
        return err_set(e, ERR_NOT_FOUND, "%s: no log and no checkpoint can be read",
                       s->options->from);
    }
    return ERR_OK;
}

/* Before anything is made: a directory that is no node's leaves none behind. */
static enum err_code check_any(const struct salvage *s, struct err *e)
{
    char path[IO_PATH_MAX];
    bool exists = false;
    enum err_code code = io_join(path, s->options->from, "tsdb", e);
    if (code == ERR_OK) {
        code = io_exists(s->options->io, path, &exists, e);
    }
    return code == ERR_OK ? check_sources(s, exists, e) : code;
}

static enum err_code fill_target(struct salvage *s, struct err *e)
{
    const struct storage_options options = {.io = s->options->io,
                                            .log = s->options->log,
                                            .dir = s->options->to,
                                            .name = s->options->name,
                                            .segment_size = s->options->segment_size,
                                            .recovery_mode = -1};
    enum err_code code = storage_open(&options, &s->storage, e);
    if (code == ERR_OK) {
        code = open_state(s, e);
    }
    if (code == ERR_OK) {
        code = check_sources(s, s->figures->checkpoint_index != 0, e);
    }
    if (code == ERR_OK) {
        code = apply_entries(s, e);
    }
    if (code == ERR_OK) {
        code = finish_state(s, e);
    }
    return code == ERR_OK ? found(s, e) : code;
}

static enum err_code salvage(struct salvage *s, struct err *e)
{
    enum err_code code = lock_source(s, e);
    if (code == ERR_OK) {
        code = check_target(s, e);
    }
    if (code == ERR_OK) {
        code = open_sources(s, e);
    }
    if (code == ERR_OK) {
        code = check_any(s, e);
    }
    if (code == ERR_OK) {
        code = fill_target(s, e);
    }
    bool good = code == ERR_OK;
    enum err_code closed = storage_close(s->storage, good, good ? e : NULL);
    return good ? closed : code;
}

enum err_code salvage_run(const struct salvage_options *options, struct salvage_figures *figures,
                          struct buf *text, struct err *e)
{
    CHECK(options->io != NULL);
    CHECK(options->from != NULL && options->to != NULL);
    struct salvage s = {.options = options, .figures = figures, .text = text};
    *figures = (struct salvage_figures){0};
    enum err_code code = salvage(&s, e);
    if (code == ERR_OK) {
        sum_up(&s);
    }
    tsdb_close(s.db);
    tsdb_results_deinit(&s.results);
    for (size_t i = 0; i < SOURCES; i++) {
        wal_inspection_close(s.sources[i].inspection);
    }
    buf_deinit(&s.entry);
    file_close(s.lock);
    return code;
}
