/* SPDX-License-Identifier: Apache-2.0 */
/* tidemark import */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/mem.h"
#include "cli/commands.h"
#include "cli/csv_reader.h"
#include "cli/import_batch.h"
#include "cli/import_plan.h"
#include "cli/import_report.h"
#include "cli/import_sender.h"
#include "cli/import_window.h"
#include "cli/table_definition.h"

enum {
    READ_SIZE = 64 * 1024,
    SAMPLE_SIZE = 1024 * 1024, /* of the file's beginning, from which a table is guessed */
    INPUT_POLL_MS = 20,        /* between looks at an input that has nothing yet */
    PATIENCE_MS = 60 * 1000,
};

/* Why reading stopped for now. */
enum fill { FILL_BATCH, FILL_NO_INPUT, FILL_END, FILL_REJECTED };

struct import {
    struct cli *cli;
    struct cli_table name;
    struct import_request request;
    char separator;
    int fd;
    bool regular; /* reading never has to wait */
    bool input_ended;
    struct csv_reader *reader;
    struct buf sample; /* what was read before the plan stood */
    struct import_header header;
    struct import_plan plan;
    bool planned; /* plan is initialized */
    struct import_sender *sender;
    struct import_batch *batch; /* the sender's; NULL: none taken */
    struct import_rejects rejects;
    struct import_progress progress;
    uint64_t rows_read;
    uint64_t started_ms, shown_ms;
    uint8_t piece[READ_SIZE];
};

/* --- input --- */

static enum err_code open_input(struct import *m, const char *path, struct err *e)
{
    m->fd = strcmp(path, "-") == 0 ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (m->fd < 0 || fstat(m->fd, &st) != 0) {
        return err_set(e, ERR_IO, "%s: %s", path, strerror(errno));
    }
    if (S_ISDIR(st.st_mode)) {
        return err_set(e, ERR_IO, "%s: is a directory", path);
    }
    m->regular = S_ISREG(st.st_mode);
    m->progress.size = m->regular ? (uint64_t)st.st_size : 0;
    return ERR_OK;
}

static bool input_is_ready(const struct import *m)
{
    struct pollfd p = {.fd = m->fd, .events = POLLIN};
    return m->regular || poll(&p, 1, 0) != 0;
}

/* The next piece to the reader; the end is noted. Waits for input. */
static enum err_code read_piece(struct import *m, bool sample, struct err *e)
{
    ssize_t got = -1;
    do {
        got = read(m->fd, m->piece, sizeof m->piece);
    } while (got < 0 && errno == EINTR);
    if (got < 0) {
        return err_set(e, ERR_IO, "the file can't be read: %s", strerror(errno));
    }
    if (got == 0) {
        m->input_ended = true;
        csv_reader_end(m->reader);
        return ERR_OK;
    }
    m->progress.read += (uint64_t)got;
    struct bytes piece = bytes_of(m->piece, (size_t)got);
    csv_reader_feed(m->reader, piece);
    if (sample) {
        buf_put_bytes(&m->sample, piece);
    }
    return ERR_OK;
}

static enum err_code read_header(struct import *m, struct err *e)
{
    for (;;) {
        struct csv_record record;
        switch (csv_reader_next(m->reader, &record, e)) {
        case CSV_RECORD:
            return import_header_read(&record, &m->header, e);
        case CSV_BAD:
            return err_wrap(e, "line %" PRIu64 ", the header", record.line);
        case CSV_END:
            return err_set(e, ERR_INVALID, "the file is empty: not even a header line");
        case CSV_MORE:
            break;
        }
        enum err_code code = read_piece(m, true, e);
        if (code != ERR_OK) {
            return code;
        }
    }
}

/* --- the table --- */

static enum err_code create(struct import *m, const char *path, struct bytes message, struct err *e)
{
    struct cluster_request request = {.path = path, .message = message};
    struct buf answer = {0};
    enum err_code code = cluster_call(m->cli->cluster, &request, &answer, NULL, e);
    buf_deinit(&answer);
    return code;
}

static enum err_code create_table(struct import *m, struct err *e)
{
    while (m->sample.size < SAMPLE_SIZE && !m->input_ended) {
        enum err_code code = read_piece(m, true, e);
        if (code != ERR_OK) {
            return code;
        }
    }
    struct buf packed = {0};
    enum err_code code = import_guess_table(&m->request, &m->header, buf_bytes(&m->sample),
                                            m->separator, &packed, e);
    if (code == ERR_OK) {
        Tidemark__V1__CreateDatabaseRequest database;
        tidemark__v1__create_database_request__init(&database);
        database.database = (char *)(uintptr_t)m->name.database;
        database.if_not_exists = 1;
        struct buf message = {0};
        cluster_pack(&database.base, &message);
        code = create(m, "/tidemark.v1.Admin/CreateDatabase", buf_bytes(&message), e);
        buf_deinit(&message);
    }
    if (code == ERR_OK) {
        struct buf message = {0};
        Tidemark__V1__TableDefinition *definition =
            tidemark__v1__table_definition__unpack(NULL, packed.size, packed.data);
        CHECK(definition != NULL);
        Tidemark__V1__CreateTableRequest table;
        tidemark__v1__create_table_request__init(&table);
        table.definition = definition;
        table.if_not_exists = 1;
        cluster_pack(&table.base, &message);
        code = create(m, "/tidemark.v1.Admin/CreateTable", buf_bytes(&message), e);
        tidemark__v1__table_definition__free_unpacked(definition, NULL);
        buf_deinit(&message);
    }
    buf_deinit(&packed);
    return code == ERR_OK ? ERR_OK : err_wrap(e, "create %s.%s", m->name.database, m->name.table);
}

static enum err_code make_plan(struct import *m, struct err *e)
{
    struct table_lookup lookup;
    enum err_code code = table_lookup(m->cli, &m->name, &lookup, e);
    bool may_create = flag_switch(m->cli->flags, "create");
    if (code == ERR_NOT_FOUND && !may_create) {
        return err_wrap(e, "use --create to have it made");
    }
    if (code == ERR_NOT_FOUND) {
        code = create_table(m, e);
        if (code == ERR_OK) {
            code = table_lookup(m->cli, &m->name, &lookup, e);
        }
    }
    if (code != ERR_OK) {
        return code;
    }
    code = import_plan_init(&m->plan, &m->request, &m->header, lookup.table, e);
    m->planned = true;
    table_lookup_deinit(&lookup);
    buf_deinit(&m->sample);
    return code;
}

static enum err_code open_sender(struct import *m, struct err *e)
{
    const struct flag_set *flags = m->cli->flags;
    struct import_sender_options options = {
        .cluster = m->cli->cluster,
        .plan = &m->plan,
        .in_flight = (unsigned)flag_uint(flags, "in-flight"),
        .batch_rows = (size_t)flag_uint(flags, "batch-rows"),
        .patience_ms = flag_is_set(flags, "timeout") ? m->cli->timeout_ms : PATIENCE_MS,
    };
    return import_sender_open(&options, &m->sender, e);
}

/* --- rows --- */

static void send_batch(struct import *m)
{
    if (m->batch != NULL && import_batch_rows(m->batch) > 0 && import_sender_has_room(m->sender)) {
        import_sender_add(m->sender, m->batch);
        m->batch = NULL;
    }
}

/* False: one refused line too many. */
static bool take_record(struct import *m, enum csv_result result, const struct csv_record *record,
                        struct err *why)
{
    m->rows_read++;
    if (m->batch == NULL) {
        m->batch = import_sender_take(m->sender);
    }
    if (result == CSV_RECORD && import_batch_add(m->batch, record, why) == ERR_OK) {
        return true;
    }
    return import_rejects_add(&m->rejects, record->line, why->text);
}

/* Reads until a batch is full; then there is room for it. */
static enum err_code fill_batch(struct import *m, enum fill *fill, struct err *e)
{
    for (;;) {
        struct csv_record record;
        struct err why = {0};
        enum csv_result result = csv_reader_next(m->reader, &record, &why);
        if (result == CSV_END) {
            *fill = FILL_END;
            return ERR_OK;
        }
        if (result == CSV_MORE) {
            if (!input_is_ready(m)) {
                *fill = FILL_NO_INPUT;
                return ERR_OK;
            }
            enum err_code code = read_piece(m, false, e);
            if (code != ERR_OK) {
                return code;
            }
            continue;
        }
        if (!take_record(m, result, &record, &why)) {
            *fill = FILL_REJECTED;
            return ERR_OK;
        }
        if (import_batch_is_full(m->batch)) {
            *fill = FILL_BATCH;
            return ERR_OK;
        }
    }
}

static void show_progress(struct import *m, bool last)
{
    if (!m->cli->progress) {
        return;
    }
    uint64_t now = cluster_now_ms(m->cli->cluster);
    if (!last && now - m->shown_ms < IMPORT_PROGRESS_EVERY_MS) {
        return;
    }
    m->shown_ms = now;
    struct import_counts counts = import_sender_counts(m->sender);
    m->progress.rows = counts.rows_acknowledged;
    m->progress.retries = counts.retries;
    m->progress.elapsed_ms = now - m->started_ms;
    char text[IMPORT_PROGRESS_SIZE];
    (void)fprintf(m->cli->err, "\r\x1b[K%s%s", import_progress_text(&m->progress, text),
                  last ? "\n" : "");
    (void)fflush(m->cli->err);
}

static uint64_t wait_after(enum fill fill, const struct import *m)
{
    if (fill == FILL_NO_INPUT) {
        return INPUT_POLL_MS;
    }
    return fill == FILL_BATCH && import_sender_has_room(m->sender) ? 0 : IMPORT_PROGRESS_EVERY_MS;
}

/* All rows, until they are acknowledged. */
static enum err_code pump(struct import *m, struct err *e)
{
    enum fill fill = FILL_BATCH;
    for (;;) {
        bool reading = fill == FILL_BATCH || fill == FILL_NO_INPUT;
        if (reading && import_sender_has_room(m->sender)) {
            enum err_code code = fill_batch(m, &fill, e);
            if (code != ERR_OK) {
                return code;
            }
        }
        /* A slow input does not hold rows back: what is here goes when nothing is out. */
        if (fill != FILL_NO_INPUT || import_sender_is_empty(m->sender)) {
            send_batch(m);
        }
        enum err_code code = import_sender_run(m->sender, wait_after(fill, m), e);
        show_progress(m, false);
        if (code != ERR_OK) {
            return code;
        }
        bool left = m->batch != NULL && import_batch_rows(m->batch) > 0;
        if ((fill == FILL_END || fill == FILL_REJECTED) && !left &&
            import_sender_is_empty(m->sender)) {
            break;
        }
    }
    if (fill == FILL_REJECTED) {
        return err_set(e, ERR_INVALID,
                       "stopped after %" PRIu64 " refused lines (--max-rejects %" PRIu64
                       "); the rows before are stored",
                       m->rejects.count, m->rejects.count_max);
    }
    return ERR_OK;
}

/* --- the command --- */

static void print_summary(struct import *m, bool complete)
{
    static const char *const columns[] = {
        "rows_read",     "rows_sent",       "rows_acknowledged", "rows_distinct",
        "rows_rejected", "retries",         "sessions",          "gap_ms_max",
        "duration_ms",   "rows_per_second", "complete",
    };
    struct import_counts counts = import_sender_counts(m->sender);
    uint64_t duration = cluster_now_ms(m->cli->cluster) - m->started_ms;
    struct record_writer *w = cli_single(m->cli, columns, sizeof columns / sizeof columns[0]);
    record_uint(w, m->rows_read);
    record_uint(w, counts.rows_sent);
    record_uint(w, counts.rows_acknowledged);
    if (counts.distinct_known) {
        record_uint(w, counts.rows_distinct);
    } else {
        record_null(w);
    }
    record_uint(w, m->rejects.count);
    record_uint(w, counts.retries);
    record_uint(w, counts.sessions);
    record_uint(w, counts.gap_ms_max);
    record_uint(w, duration);
    record_uint(w, counts.rows_acknowledged * 1000 / (duration == 0 ? 1 : duration));
    record_bool(w, complete);
    record_close(w);
}

static enum err_code import_all(struct import *m, struct err *e)
{
    enum err_code code = read_header(m, e);
    if (code == ERR_OK) {
        code = make_plan(m, e);
    }
    if (code == ERR_OK) {
        code = open_sender(m, e);
    }
    if (code != ERR_OK) {
        return code;
    }
    m->started_ms = cluster_now_ms(m->cli->cluster);
    code = pump(m, e);
    show_progress(m, true);
    struct err closing = {0};
    if (import_rejects_close(&m->rejects, &closing) != ERR_OK && code == ERR_OK) {
        code = err_set(e, closing.code, "%s", closing.text);
    }
    print_summary(m, code == ERR_OK);
    return code;
}

static enum err_code prepare(struct import *m, struct err *e)
{
    const struct flag_set *flags = m->cli->flags;
    const char *separator = flag_text(flags, "separator");
    m->separator = separator[0];
    if (strcmp(separator, "tab") == 0) {
        m->separator = '\t';
    }
    if (m->separator != '\t' && (strlen(separator) != 1 || m->separator < ' ' ||
                                 m->separator == '"' || m->separator == 0x7f)) {
        return err_set(e, ERR_INVALID, "--separator: '%s' is neither one character nor tab",
                       separator);
    }
    struct time_format format;
    enum err_code code = time_text_format(flag_text(flags, "time-format"), &format, e);
    if (code != ERR_OK) {
        return err_wrap(e, "--time-format");
    }
    if (flag_text(flags, "table") == NULL) {
        return err_set(e, ERR_INVALID, "--table DATABASE.TABLE is needed");
    }
    code = cli_table_name(flag_text(flags, "table"), &m->name, e);
    if (code != ERR_OK) {
        return err_wrap(e, "--table");
    }
    m->request.database = m->name.database;
    m->request.table = m->name.table;
    m->request.time_column = flag_text(flags, "time-column");
    m->request.time_format = flag_text(flags, "time-format");
    m->request.tags = flag_text(flags, "tags");
    m->request.types = flag_text(flags, "types");
    m->request.skip = flag_text(flags, "skip");
    m->request.constant_count = flag_list_count(flags, "tag-value");
    return ERR_OK;
}

static void release(struct import *m, const char **constants)
{
    struct err ignored = {0};
    (void)!import_rejects_close(&m->rejects, &ignored); /* a failure was reported before */
    import_sender_close(m->sender);
    if (m->planned) {
        import_plan_deinit(&m->plan);
    }
    import_header_deinit(&m->header);
    csv_reader_close(m->reader);
    buf_deinit(&m->sample);
    if (m->fd > STDIN_FILENO) {
        (void)close(m->fd);
    }
    mem_free(constants);
    mem_free(m);
}

static enum cli_exit run_import(struct cli *cli)
{
    struct import *m = mem_zalloc(sizeof *m);
    m->cli = cli;
    m->fd = -1;
    struct err e = {0};
    enum cli_exit exit = CLI_OK;
    size_t count = flag_list_count(cli->flags, "tag-value");
    const char **constants = mem_array(count + 1, sizeof *constants);
    for (size_t i = 0; i < count; i++) {
        constants[i] = flag_list_item(cli->flags, "tag-value", i);
    }
    m->request.constants = constants;
    if (prepare(m, &e) != ERR_OK) {
        exit = cli_usage(cli, "%s", e.text);
    } else if (cli_cluster(cli, &exit) != NULL) {
        m->reader = csv_reader_open(m->separator);
        enum err_code code = open_input(m, cli_argument(cli, 0), &e);
        if (code == ERR_OK) {
            code = import_rejects_open(&m->rejects, flag_text(cli->flags, "rejects"),
                                       flag_uint(cli->flags, "max-rejects"), cli->err, &e);
        }
        if (code == ERR_OK) {
            code = import_all(m, &e);
        }
        exit = code == ERR_OK ? cli_done(cli) : cli_fail(cli, &e);
    }
    release(m, constants);
    return exit;
}

static const struct flag_definition flags[] = {
    {.name = "table",
     .type = FLAG_TEXT,
     .value_name = "DB.TABLE",
     .help = "where the rows go; needed"},
    {.name = "create",
     .type = FLAG_SWITCH,
     .help = "make database and table if they are missing, guessing types from the first rows"},
    {.name = "time-column",
     .type = FLAG_TEXT,
     .value_name = "FIELD",
     .help = "field with the time; else the one named as the table's, or time, timestamp, ts, "
             "date; else the first"},
    {.name = "time-format",
     .type = FLAG_TEXT,
     .value_name = "FORMAT",
     .default_value = "auto",
     .help = "auto, epoch_s, epoch_ms, epoch_us, epoch_ns, rfc3339, or a pattern like "
             "\"%Y-%m-%d %H:%M:%S\""},
    {.name = "tags",
     .type = FLAG_TEXT,
     .value_name = "FIELD,...",
     .help = "with --create: fields that are primary tags"},
    {.name = "types",
     .type = FLAG_TEXT,
     .value_name = "FIELD:TYPE,...",
     .help = "with --create: types not to be guessed"},
    {.name = "tag-value",
     .type = FLAG_LIST,
     .value_name = "TAG=VALUE",
     .help = "a tag that is not in the file, the same for all rows"},
    {.name = "skip", .type = FLAG_TEXT, .value_name = "FIELD,...", .help = "fields to leave out"},
    {.name = "separator",
     .type = FLAG_TEXT,
     .value_name = "CHAR",
     .default_value = ",",
     .help = "between fields: one character, or tab"},
    {.name = "rejects",
     .type = FLAG_FILE,
     .value_name = "FILE",
     .help = "write refused lines here as line,reason; else the first are shown"},
    {.name = "max-rejects",
     .type = FLAG_UINT,
     .value_name = "N",
     .default_value = "0",
     .max = UINT64_MAX,
     .help = "go on past so many refused lines"},
    {.name = "batch-rows",
     .type = FLAG_UINT,
     .value_name = "N",
     .default_value = "1000",
     .min = 1,
     .max = 10000,
     .help = "rows of one write, at most"},
    {.name = "in-flight",
     .type = FLAG_UINT,
     .value_name = "N",
     .default_value = "4",
     .min = 1,
     .max = WINDOW_BATCHES_MAX,
     .help = "writes under way at once; rows that override each other stay in order"},
};

static const struct cli_command commands[] = {
    {.path = "import",
     .arguments = "FILE",
     .arguments_min = 1,
     .arguments_max = 1,
     .summary = "store the rows of a CSV file (- for standard input)",
     .details =
         "  The first line names the fields. A field without anything is no value, \"\" is an "
         "empty\n"
         "  text. Writes that are lost are repeated, on another node if need be, with the same\n"
         "  request id: no row is lost or stored twice, and of rows with the same series and time\n"
         "  the last in the file is what stays. It gives up when nothing was acknowledged for\n"
         "  --timeout (here one minute if not given).\n\n"
         "  Example:\n"
         "    tidemark import --create --table metrics.cpu --tags host,core cpu.csv",
     .arguments_are_files = true,
     .flags = flags,
     .flag_count = sizeof flags / sizeof flags[0],
     .run = run_import},
};

struct cli_commands commands_of_import(void)
{
    return (struct cli_commands){commands, sizeof commands / sizeof commands[0]};
}
