/* SPDX-License-Identifier: Apache-2.0 */
/* tidemark wal dump, verify: the logs of a stopped node, read from its disk. */
#include <inttypes.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "cli/commands.h"
#include "cli/value_text.h"
#include "io/io_posix.h"
#include "wal/wal.h"

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

/* "1/2A" as wal_lsn_text() prints it, or a bare number. */
static bool read_lsn(const char *text, uint64_t *lsn)
{
    const char *slash = strchr(text, '/');
    if (slash == NULL) {
        return value_text_uint64(bytes_str(text), lsn);
    }
    uint64_t high = 0;
    uint64_t low = 0;
    if (!value_text_hex64(bytes_of(text, (size_t)(slash - text)), &high) ||
        !value_text_hex64(bytes_str(slash + 1), &low) || high > UINT32_MAX || low > UINT32_MAX) {
        return false;
    }
    *lsn = high << 32 | low;
    return true;
}

/* --- dump --- */

struct dump {
    struct cli *cli;
    struct record_writer *writer;
    const char *log;
    uint64_t from_lsn;
    bool has_index;
    uint64_t index;
    uint64_t limit; /* records of all logs; 0: all */
};

static bool dump_record(void *context, const struct wal_view *v)
{
    struct dump *d = context;
    if (v->lsn < d->from_lsn || (d->has_index && v->index != d->index)) {
        return true;
    }
    char lsn[WAL_LSN_TEXT_SIZE];
    char durable[WAL_LSN_TEXT_SIZE];
    char vgroups[24];
    struct record_writer *w = d->writer;
    bool bad = strcmp(v->verdict, "whole") != 0;
    (void)snprintf(vgroups, sizeof vgroups, "%016" PRIx64, v->vgroups);
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
    record_str(w, vgroups);
    if (bad) {
        record_mark(w);
    }
    record_str(w, v->verdict);
    record_bool(w, v->replaced);
    return !d->cli->out.failed && (d->limit == 0 || record_count(w) < d->limit);
}

static enum cli_exit run_dump(struct cli *cli)
{
    static const char *const columns[] = {
        "log",  "lsn",    "segment",     "sequence", "index",   "term",    "kind",
        "size", "commit", "lsn_durable", "vgroups",  "verdict", "replaced"};
    struct dump d = {
        .cli = cli,
        .has_index = flag_is_set(cli->flags, "index"),
        .index = flag_uint(cli->flags, "index"),
        .limit = flag_uint(cli->flags, "limit"),
    };
    const char *from = flag_text(cli->flags, "from-lsn");
    if (from != NULL && !read_lsn(from, &d.from_lsn)) {
        return cli_usage(cli, "--from-lsn: '%s' is not a position like 0/16B3D80", from);
    }
    struct logs logs;
    struct err e = {0};
    enum err_code code = find_logs(cli_argument(cli, 0), &logs, &e);
    if (code != ERR_OK) {
        return cli_fail(cli, &e);
    }
    d.writer = cli_list(cli, "records", columns, sizeof columns / sizeof columns[0]);
    for (size_t i = 0; i < logs.count && code == ERR_OK; i++) {
        struct wal_report report;
        d.log = logs.items[i].name;
        if (d.limit == 0 || record_count(d.writer) < d.limit) {
            code = wal_inspect(io_posix(), logs.items[i].dir, &report, dump_record, &d, &e);
        }
    }
    record_close(d.writer);
    return code == ERR_OK ? cli_done(cli) : cli_fail(cli, &e);
}

/* --- verify --- */

struct verify {
    struct cli *cli;
    struct record_writer *writer; /* of the problems */
    const char *log;
    struct wal_report reports[LOGS_MAX];
    uint64_t problems[LOGS_MAX];
    enum err_code codes[LOGS_MAX];
    char reasons[LOGS_MAX][ERR_TEXT_SIZE];
    size_t log_at;
};

static void put_problem(struct verify *v, const char *lsn, const struct wal_view *view,
                        const char *problem)
{
    struct record_writer *w = v->writer;
    v->problems[v->log_at]++;
    record_str(w, v->log);
    record_mark(w);
    record_str(w, problem);
    if (view == NULL) {
        for (int i = 0; i < 6; i++) {
            record_null(w);
        }
        return;
    }
    bool known = strcmp(view->verdict, "damaged") == 0;
    record_str(w, lsn);
    record_uint(w, view->segment);
    if (known) {
        record_uint(w, view->index);
        record_uint(w, view->term);
        record_str(w, view->kind);
        record_uint(w, view->size);
        return;
    }
    for (int i = 0; i < 4; i++) {
        record_null(w);
    }
}

/* Torn records were never acknowledged: no damage. Replaced ones are not needed. */
static bool verify_record(void *context, const struct wal_view *view)
{
    struct verify *v = context;
    char lsn[WAL_LSN_TEXT_SIZE];
    bool damaged = strcmp(view->verdict, "damaged") == 0;
    if ((damaged && !view->replaced) || strcmp(view->verdict, "unknown") == 0) {
        put_problem(v, wal_lsn_text(view->lsn, lsn), view, view->verdict);
    }
    return !v->cli->out.failed;
}

static void verify_log(struct verify *v, const struct log_place *place)
{
    struct err e = {0};
    struct wal_report *report = &v->reports[v->log_at];
    v->log = place->name;
    v->codes[v->log_at] = wal_inspect(io_posix(), place->dir, report, verify_record, v, &e);
    if (v->codes[v->log_at] != ERR_OK) {
        (void)snprintf(v->reasons[v->log_at], ERR_TEXT_SIZE, "%s", e.text);
        put_problem(v, NULL, NULL, e.text);
        return;
    }
    for (unsigned i = 0; i < report->segments_missing; i++) {
        put_problem(v, NULL, NULL, "a segment is missing, short, or has a bad header");
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
                 " torn (never acknowledged), %" PRIu64 " damaged, %" PRIu64 " unknown",
                 logs->items[i].name, v->problems[i] == 0 ? "ok" : "damaged", r->segments,
                 wal_lsn_text(r->lsn_first, first), wal_lsn_text(r->lsn_end, end), r->records_whole,
                 r->records_torn, r->records_damaged, r->records_unknown);
    }
}

static enum cli_exit run_verify(struct cli *cli)
{
    static const char *const columns[] = {"log",   "problem", "lsn",  "segment",
                                          "index", "term",    "kind", "size"};
    struct logs logs;
    struct err e = {0};
    if (find_logs(cli_argument(cli, 0), &logs, &e) != ERR_OK) {
        return cli_fail(cli, &e);
    }
    struct verify v = {.cli = cli};
    v.writer = cli_list(cli, "problems", columns, sizeof columns / sizeof columns[0]);
    uint64_t problems = 0;
    for (size_t i = 0; i < logs.count; i++) {
        v.log_at = i;
        verify_log(&v, &logs.items[i]);
        problems += v.problems[i];
    }
    summarize(&v, &logs);
    enum cli_exit exit = cli_done(cli);
    if (problems > 0 && exit == CLI_OK) {
        (void)err_set(&e, ERR_CORRUPT, "%" PRIu64 " problems found", problems);
        return cli_fail(cli, &e);
    }
    return exit;
}

static const struct flag_definition dump_flags[] = {
    {.name = "index",
     .type = FLAG_UINT,
     .value_name = "N",
     .max = UINT64_MAX,
     .help = "only records of this index"},
    {.name = "from-lsn",
     .type = FLAG_TEXT,
     .value_name = "LSN",
     .help = "only from this position on, as 0/16B3D80"},
    {.name = "limit",
     .type = FLAG_UINT,
     .value_name = "N",
     .default_value = "0",
     .max = UINT64_MAX,
     .help = "records at most; 0: all"},
};

static const struct cli_command commands[] = {
    {.path = "wal dump",
     .arguments = "DIR",
     .arguments_min = 1,
     .arguments_max = 1,
     .summary = "print the records of a stopped node's logs",
     .details = "  DIR is a node's data directory (both logs) or the directory of one log.",
     .arguments_are_files = true,
     .flags = dump_flags,
     .flag_count = sizeof dump_flags / sizeof dump_flags[0],
     .run = run_dump},
    {.path = "wal verify",
     .arguments = "DIR",
     .arguments_min = 1,
     .arguments_max = 1,
     .summary = "check every record of a stopped node's logs",
     .details = "  Lists every problem; exit code 1 when there is one. Nothing is changed.",
     .arguments_are_files = true,
     .run = run_verify},
};

struct cli_commands commands_of_wal(void)
{
    return (struct cli_commands){commands, sizeof commands / sizeof commands[0]};
}
