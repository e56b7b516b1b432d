/* SPDX-License-Identifier: Apache-2.0 */
/* tidemark wal dump, verify: the logs of a node, read from its disk. */
#include <inttypes.h>
#include <poll.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "cli/commands.h"
#include "cli/record_filter.h"
#include "io/io_posix.h"
#include "wal/wal_follow.h"

enum { LOGS_MAX = 2 };

/* A log to look at. */
struct log_place {
    const char *name; /* "raft", "local", or the directory itself */
    char dir[IO_PATH_MAX];
};

struct logs {
    struct log_place items[LOGS_MAX];
    size_t count;
};

/* A node's data directory has the logs in raft/ and wal/; anything else is a log itself. */
static enum err_code find_logs(const char *dir, struct logs *out, struct err *e)
{
    static const struct {
        const char *sub, *name;
    } known[LOGS_MAX] = {{"raft", "raft"}, {"wal", "local"}};
    *out = (struct logs){0};
    for (size_t i = 0; i < LOGS_MAX; i++) {
        struct log_place *p = &out->items[out->count];
        bool exists = false;
        enum err_code code = io_join(p->dir, dir, known[i].sub, e);
        if (code == ERR_OK) {
            code = io_exists(io_posix(), p->dir, &exists, e);
        }
        if (code != ERR_OK) {
            return code;
        }
        p->name = known[i].name;
        out->count += exists ? 1 : 0;
    }
    if (out->count > 0) {
        return ERR_OK;
    }
    if (strlen(dir) >= IO_PATH_MAX) {
        return err_set(e, ERR_RANGE, "the path is too long");
    }
    struct io_name *names = NULL;
    size_t count = 0;
    enum err_code code = io_list(io_posix(), dir, &names, &count, e);
    mem_free(names);
    out->items[0].name = dir;
    memcpy(out->items[0].dir, dir, strlen(dir) + 1);
    out->count = 1;
    return code;
}

/* --- dump --- */

enum { FOLLOW_MS = 200, VGROUPS_TEXT_SIZE = 256 };

static const char *const dump_columns[] = {
    "log",    "lsn",         "segment", "sequence", "index",  "term",    "kind", "size",
    "commit", "lsn_durable", "vgroups", "commands", "tables", "verdict", "state"};

enum { DUMP_COLUMNS = sizeof dump_columns / sizeof dump_columns[0] };

struct dump {
    struct cli *cli;
    struct record_writer *writer; /* NULL: one for each record */
    const char *log;
    struct record_filter filter;
    struct entry_content content;
    uint64_t limit; /* records of all logs; 0: all */
    uint64_t shown;
};

/* The VGroups whose bits are set: "0 3"; nothing: not known. */
static void put_vgroups(struct record_writer *w, uint64_t vgroups)
{
    char text[VGROUPS_TEXT_SIZE] = "";
    size_t size = 0;
    for (unsigned i = 0; i < 64; i++) {
        if ((vgroups >> i & 1) != 0) {
            int added = snprintf(text + size, sizeof text - size, size == 0 ? "%u" : " %u", i);
            CHECK(added > 0 && size + (size_t)added < sizeof text);
            size += (size_t)added;
        }
    }
    if (size == 0) {
        record_null(w);
    } else {
        record_str(w, text);
    }
}

static void put_content(struct record_writer *w, const struct entry_content *c, bool has)
{
    if (!has) {
        record_null(w);
        record_null(w);
        return;
    }
    if (c->readable) {
        record_text(w, buf_bytes(&c->commands));
    } else {
        record_str(w, "not readable");
    }
    record_text(w, buf_bytes(&c->tables));
}

static void put_record(struct record_writer *w, const struct dump *d, const struct wal_view *v,
                       bool has_content)
{
    char lsn[WAL_LSN_TEXT_SIZE];
    char durable[WAL_LSN_TEXT_SIZE];
    record_str(w, d->log);
    record_str(w, wal_lsn_text(v->lsn, lsn));
    record_uint(w, v->segment);
    record_uint(w, v->sequence);
    record_uint(w, v->index);
    record_uint(w, v->term);
    record_str(w, v->kind);
    record_uint(w, v->size);
    record_uint(w, v->commit);
    record_str(w, wal_lsn_text(v->lsn_durable, durable));
    put_vgroups(w, v->vgroups);
    put_content(w, &d->content, has_content);
    if (v->state == WAL_SLOT_LOST) {
        record_mark(w);
    }
    record_str(w, v->verdict);
    record_str(w, wal_slot_state_name(v->state));
}

static bool dump_record(void *context, const struct wal_view *v)
{
    struct dump *d = context;
    bool has_content = strcmp(v->verdict, "whole") == 0 &&
                       (strcmp(v->kind, "command") == 0 || strcmp(v->kind, "metadata") == 0);
    entry_content_clear(&d->content);
    if (has_content) {
        entry_content_read(&d->content, v->payload);
    }
    if (!record_filter_passes(&d->filter, v, &d->content)) {
        return true;
    }
    struct record_writer *w =
        d->writer != NULL ? d->writer : cli_single(d->cli, dump_columns, DUMP_COLUMNS);
    put_record(w, d, v, has_content);
    if (w != d->writer) {
        record_close(w);
    }
    d->shown++;
    return !d->cli->out.failed && (d->limit == 0 || d->shown < d->limit);
}

static bool has_enough(const struct dump *d)
{
    return d->cli->out.failed || (d->limit != 0 && d->shown >= d->limit);
}

static void note_missing(void *context, const struct wal_problem *problem)
{
    const struct dump *d = context;
    cli_note(d->cli, "%s: %s: %" PRIu64 " (cut before it was read)", d->log, problem->what,
             problem->segment);
}

static enum err_code dump_all(struct dump *d, const struct logs *logs, struct err *e)
{
    const struct wal_visitor visitor = {.slot = dump_record, .context = d};
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < logs->count && code == ERR_OK && !has_enough(d); i++) {
        struct wal_report report;
        d->log = logs->items[i].name;
        code = wal_inspect(io_posix(), logs->items[i].dir, &visitor, &report, e);
    }
    return code;
}

/* Until interrupted, until nobody reads any more, or until the limit is reached. */
static enum err_code follow(struct dump *d, const struct logs *logs, struct err *e)
{
    const struct wal_visitor visitor = {.slot = dump_record, .problem = note_missing, .context = d};
    struct wal_follow *follows[LOGS_MAX] = {NULL};
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < logs->count && code == ERR_OK; i++) {
        code = wal_follow_open(io_posix(), logs->items[i].dir, &follows[i], e);
    }
    while (code == ERR_OK && !has_enough(d)) {
        for (size_t i = 0; i < logs->count && code == ERR_OK && !has_enough(d); i++) {
            d->log = logs->items[i].name;
            code = wal_follow_poll(follows[i], &visitor, e);
        }
        (void)text_sink_flush(&d->cli->out);
        if (!has_enough(d)) {
            (void)poll(NULL, 0, FOLLOW_MS);
        }
    }
    for (size_t i = 0; i < LOGS_MAX; i++) {
        wal_follow_close(follows[i]);
    }
    return code;
}

/* The flags of a dump. ERR_INVALID. */
static enum err_code read_filter(const struct cli *cli, struct record_filter *f, struct err *e)
{
    static const char *const names[] = {"index", "term"};
    *f = record_filter_all();
    f->type = flag_text(cli->flags, "type");
    f->table = flag_text(cli->flags, "table");
    struct record_range *const ranges[] = {&f->index, &f->term};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (record_range_read(flag_text(cli->flags, names[i]), ranges[i], e) != ERR_OK) {
            return err_wrap(e, "--%s", names[i]);
        }
    }
    return record_range_read_lsn(flag_text(cli->flags, "lsn"), &f->lsn, e) == ERR_OK
               ? ERR_OK
               : err_wrap(e, "--lsn");
}

static enum cli_exit run_dump(struct cli *cli)
{
    struct dump d = {.cli = cli, .limit = flag_uint(cli->flags, "limit")};
    bool follows = flag_switch(cli->flags, "follow");
    struct logs logs;
    struct err e = {0};
    if (read_filter(cli, &d.filter, &e) != ERR_OK) {
        return cli_usage(cli, "%s", e.text);
    }
    enum err_code code = find_logs(cli_argument(cli, 0), &logs, &e);
    if (code != ERR_OK) {
        return cli_fail(cli, &e);
    }
    if (follows && cli->format == FORMAT_TABLE) {
        cli->format = FORMAT_CSV; /* the widths of a table would have to be known before */
    }
    if (!follows || cli->format != FORMAT_JSON) {
        d.writer = cli_list(cli, "records", dump_columns, DUMP_COLUMNS);
    }
    code = follows ? follow(&d, &logs, &e) : dump_all(&d, &logs, &e);
    if (d.writer != NULL) {
        record_close(d.writer);
    }
    entry_content_deinit(&d.content);
    return code == ERR_OK ? cli_done(cli) : cli_fail(cli, &e);
}

/* --- verify --- */

static const char *const verify_columns[] = {"log",   "problem",    "state", "lsn",  "segment",
                                             "index", "index_last", "term",  "kind", "size"};

enum { VERIFY_COLUMNS = sizeof verify_columns / sizeof verify_columns[0] };

struct verify {
    struct cli *cli;
    struct record_writer *writer; /* of the problems */
    const char *log;
    struct wal_report reports[LOGS_MAX];
    uint64_t problems[LOGS_MAX]; /* something is missing, or can't be read */
    uint64_t repaired[LOGS_MAX];
    uint64_t settled[LOGS_MAX];
    enum err_code codes[LOGS_MAX];
    size_t log_at;
};

static void put_known(struct record_writer *w, uint64_t value)
{
    if (value == 0) {
        record_null(w);
    } else {
        record_uint(w, value);
    }
}

static void put_problem(void *context, const struct wal_problem *p)
{
    struct verify *v = context;
    struct record_writer *w = v->writer;
    char lsn[WAL_LSN_TEXT_SIZE];
    v->problems[v->log_at]++;
    record_str(w, v->log);
    record_mark(w);
    record_str(w, p->what);
    record_str(w, wal_slot_state_name(WAL_SLOT_LOST));
    if (p->lsn == 0) {
        record_null(w);
    } else {
        record_str(w, wal_lsn_text(p->lsn, lsn));
    }
    put_known(w, p->segment);
    put_known(w, p->index_first);
    put_known(w, p->index_last);
    put_known(w, p->term);
    record_null(w);
    record_null(w);
}

/* Counts a slot that is not whole; torn ones were never acknowledged: no damage. */
static void count_slot(struct verify *v, enum wal_slot_state state)
{
    if (state == WAL_SLOT_LOST) {
        v->problems[v->log_at]++;
    } else if (state == WAL_SLOT_REPAIRED) {
        v->repaired[v->log_at]++;
    } else {
        v->settled[v->log_at]++;
    }
}

static bool verify_record(void *context, const struct wal_view *view)
{
    struct verify *v = context;
    struct record_writer *w = v->writer;
    char lsn[WAL_LSN_TEXT_SIZE];
    bool damaged = strcmp(view->verdict, "damaged") == 0;
    if (!damaged && strcmp(view->verdict, "unknown") != 0) {
        return true;
    }
    count_slot(v, view->state);
    record_str(w, v->log);
    if (view->state == WAL_SLOT_LOST) {
        record_mark(w);
    }
    record_str(w, view->verdict);
    record_str(w, wal_slot_state_name(view->state));
    record_str(w, wal_lsn_text(view->lsn, lsn));
    record_uint(w, view->segment);
    put_known(w, view->index);
    put_known(w, view->index_last);
    if (damaged) {
        record_uint(w, view->term);
        record_str(w, view->kind);
        record_uint(w, view->size);
    } else {
        for (int i = 0; i < 3; i++) {
            record_null(w);
        }
    }
    return !v->cli->out.failed;
}

static void verify_log(struct verify *v, const struct log_place *place)
{
    struct err e = {0};
    const struct wal_visitor visitor = {
        .slot = verify_record, .problem = put_problem, .context = v};
    struct wal_report *report = &v->reports[v->log_at];
    v->log = place->name;
    v->codes[v->log_at] = wal_inspect(io_posix(), place->dir, &visitor, report, &e);
    if (v->codes[v->log_at] != ERR_OK) {
        const struct wal_problem unreadable = {.what = e.text};
        put_problem(v, &unreadable);
    }
}

static void put_json_report(struct json_writer *j, const char *name, const struct verify *v,
                            size_t i)
{
    const struct wal_report *r = &v->reports[i];
    char text[WAL_LSN_TEXT_SIZE];
    json_begin_object(j);
    json_put_str(j, "log", name);
    json_put_bool(j, "readable", v->codes[i] == ERR_OK);
    json_put_uint(j, "problems", v->problems[i]);
    json_put_uint(j, "repaired", v->repaired[i]);
    json_put_uint(j, "settled", v->settled[i]);
    json_put_uint(j, "segments", r->segments);
    json_put_uint(j, "segments_missing", r->segments_missing);
    json_put_str(j, "lsn_first", wal_lsn_text(r->lsn_first, text));
    json_put_str(j, "lsn_end", wal_lsn_text(r->lsn_end, text));
    json_put_str(j, "lsn_durable", wal_lsn_text(r->lsn_durable, text));
    json_put_uint(j, "records_whole", r->records_whole);
    json_put_uint(j, "records_torn", r->records_torn);
    json_put_uint(j, "bytes_torn", r->bytes_torn);
    json_put_uint(j, "records_damaged", r->records_damaged);
    json_put_uint(j, "records_unknown", r->records_unknown);
    json_put_uint(j, "commit_stated", r->commit_stated);
    json_end(j);
}

static void summarize(struct verify *v, const struct logs *logs)
{
    struct json_writer *j = record_json(v->writer);
    if (j != NULL) {
        json_key(j, "logs");
        json_begin_array(j);
        for (size_t i = 0; i < logs->count; i++) {
            put_json_report(j, logs->items[i].name, v, i);
        }
        json_end(j);
    }
    record_close(v->writer);
    for (size_t i = 0; i < logs->count; i++) {
        const struct wal_report *r = &v->reports[i];
        char first[WAL_LSN_TEXT_SIZE];
        char end[WAL_LSN_TEXT_SIZE];
        if (v->codes[i] != ERR_OK) {
            continue;
        }
        cli_note(v->cli,
                 "%s: %s: %u segments, %s to %s, %" PRIu64 " records whole, %" PRIu64
                 " torn (never acknowledged), %" PRIu64 " damaged, %" PRIu64 " unknown: %" PRIu64
                 " repaired, %" PRIu64 " settled, %" PRIu64 " problems left",
                 logs->items[i].name, v->problems[i] == 0 ? "ok" : "damaged", r->segments,
                 wal_lsn_text(r->lsn_first, first), wal_lsn_text(r->lsn_end, end), r->records_whole,
                 r->records_torn, r->records_damaged, r->records_unknown, v->repaired[i],
                 v->settled[i], v->problems[i]);
    }
}

static enum cli_exit run_verify(struct cli *cli)
{
    struct logs logs;
    struct err e = {0};
    if (find_logs(cli_argument(cli, 0), &logs, &e) != ERR_OK) {
        return cli_fail(cli, &e);
    }
    struct verify v = {.cli = cli};
    v.writer = cli_list(cli, "problems", verify_columns, VERIFY_COLUMNS);
    uint64_t problems = 0;
    for (size_t i = 0; i < logs.count; i++) {
        v.log_at = i;
        verify_log(&v, &logs.items[i]);
        problems += v.problems[i];
    }
    summarize(&v, &logs);
    enum cli_exit exit = cli_done(cli);
    if (problems > 0 && exit == CLI_OK) {
        (void)err_set(&e, ERR_CORRUPT, "%" PRIu64 " problem%s found", problems,
                      problems == 1 ? "" : "s");
        return cli_fail(cli, &e);
    }
    return exit;
}

static const struct flag_definition dump_flags[] = {
    {.name = "index",
     .type = FLAG_TEXT,
     .value_name = "RANGE",
     .help = "only records of these indexes: 7, 7..20, 7.. or ..20"},
    {.name = "lsn",
     .type = FLAG_TEXT,
     .value_name = "RANGE",
     .help = "only records at these positions: 0/16B3D80.."},
    {.name = "term", .type = FLAG_TEXT, .value_name = "RANGE", .help = "only of these terms"},
    {.name = "type",
     .type = FLAG_TEXT,
     .value_name = "TYPE",
     .help = "only records of this kind (command, metadata, mark, drop, ...), or with a command "
             "like write or create_table in them"},
    {.name = "table",
     .type = FLAG_TEXT,
     .value_name = "DATABASE.TABLE",
     .help = "only records with a command about this table"},
    {.name = "limit",
     .type = FLAG_UINT,
     .value_name = "N",
     .default_value = "0",
     .max = UINT64_MAX,
     .help = "records at most; 0: all"},
    {.name = "follow",
     .type = FLAG_SWITCH,
     .help = "go on with what a running node writes, until interrupted"},
};

static const struct cli_command commands[] = {
    {.path = "wal dump",
     .arguments = "DIR",
     .arguments_min = 1,
     .arguments_max = 1,
     .summary = "print the records of a node's logs",
     .details = "  DIR is a node's data directory (both logs) or the directory of one log. Nothing "
                "is\n"
                "  changed and no lock taken. Of a running node use --follow: its files are read\n"
                "  along, records as they become whole; csv, or with --format json one document\n"
                "  for each record. A large write stands in parts, which name no table.",
     .arguments_are_files = true,
     .flags = dump_flags,
     .flag_count = sizeof dump_flags / sizeof dump_flags[0],
     .run = run_dump},
    {.path = "wal verify",
     .arguments = "DIR",
     .arguments_min = 1,
     .arguments_max = 1,
     .summary = "check every record of a stopped node's logs",
     .details =
         "  Lists everything that is not whole. State lost: missing now. repaired: the entry was\n"
         "  fetched from another node and stands beside its old place. settled: a later record\n"
         "  or a recovery mode has answered it. Exit code 0 when nothing is lost, 1 when\n"
         "  something is, or a log can't be read. Nothing is changed.",
     .arguments_are_files = true,
     .run = run_verify},
};

struct cli_commands commands_of_wal(void)
{
    return (struct cli_commands){commands, sizeof commands / sizeof commands[0]};
}
