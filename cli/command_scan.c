/* SPDX-License-Identifier: Apache-2.0 */
/* tidemark scan */
#include <inttypes.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "cli/commands.h"
#include "cli/scan_message.h"
#include "cli/table_definition.h"
#include "cli/time_text.h"
#include "cli/value_text.h"
#include "proto/wire.h"

/* Fields of tidemark.v1.ScanRequest and TagFilter. */
enum {
    REQUEST_DATABASE = 1,
    REQUEST_TABLE,
    REQUEST_COLUMNS,
    REQUEST_HAS_FROM,
    REQUEST_FROM,
    REQUEST_HAS_UNTIL,
    REQUEST_UNTIL,
    REQUEST_TAGS,
    REQUEST_LIMIT,
    REQUEST_STALE,
    REQUEST_INDEX_MIN,
    REQUEST_COUNT_ONLY,
};
enum { FILTER_TAG = 1, FILTER_ANY_OF };

struct scan {
    struct cli *cli;
    struct cli_table name;
    struct table_lookup lookup;
    unsigned precision;
    bool epoch; /* times as numbers */
    bool count_only;
    const char **columns; /* of the output: time, columns, tags; owned array */
    size_t value_count;   /* columns without time and tags */
    size_t tag_count;
    struct record_writer *writer;
    struct scan_message message;
    size_t *places;     /* owned: where each of the columns is in the message */
    size_t *tag_places; /* owned: where each of the tags is among its tags */
    bool started;
    bool done;
    uint64_t index;
    uint64_t rows_total;
    uint64_t age_ms;
    struct err failure; /* of an answer that can't be read, or output that can't be written */
};

/* --- the request --- */

static enum err_code put_time(const struct scan *s, const char *flag, uint32_t has, uint32_t field,
                              struct buf *out, struct err *e)
{
    const char *text = flag_text(s->cli->flags, flag);
    if (text == NULL) {
        return ERR_OK;
    }
    struct time_format format = {.kind = TIME_AUTO};
    int64_t time = 0;
    if (time_text_parse(&format, bytes_str(text), s->precision, &time, e) != ERR_OK) {
        return err_wrap(e, "--%s", flag);
    }
    wire_put_uint(out, has, 1);
    wire_put_fixed64(out, field, (uint64_t)time);
    return ERR_OK;
}

/* "NAME=A,B": any of these; "NAME=": only where the tag has no value. */
static enum err_code put_filter(const char *text, struct buf *out, struct err *e)
{
    const char *equals = strchr(text, '=');
    if (equals == NULL || equals == text) {
        return err_set(e, ERR_INVALID, "--tags: '%.80s' is not TAG=VALUE,...", text);
    }
    size_t mark = wire_begin(out, REQUEST_TAGS);
    wire_put_bytes(out, FILTER_TAG, bytes_of(text, (size_t)(equals - text)));
    for (const char *p = equals + 1; *p != '\0';) {
        size_t size = strcspn(p, ",");
        wire_put_item(out, FILTER_ANY_OF, bytes_of(p, size));
        p += size + (p[size] == ',' ? 1 : 0);
    }
    wire_end(out, mark);
    return ERR_OK;
}

static enum err_code make_request(const struct scan *s, struct buf *out, struct err *e)
{
    const struct flag_set *flags = s->cli->flags;
    wire_put_str(out, REQUEST_DATABASE, s->name.database);
    wire_put_str(out, REQUEST_TABLE, s->name.table);
    for (size_t i = 0; flag_text(flags, "columns") != NULL && i < s->value_count; i++) {
        wire_put_str(out, REQUEST_COLUMNS, s->columns[1 + i]);
    }
    enum err_code code = put_time(s, "from", REQUEST_HAS_FROM, REQUEST_FROM, out, e);
    if (code == ERR_OK) {
        code = put_time(s, "until", REQUEST_HAS_UNTIL, REQUEST_UNTIL, out, e);
    }
    for (size_t i = 0; code == ERR_OK && i < flag_list_count(flags, "tags"); i++) {
        code = put_filter(flag_list_item(flags, "tags", i), out, e);
    }
    wire_put_uint(out, REQUEST_LIMIT, flag_uint(flags, "limit"));
    wire_put_uint(out, REQUEST_STALE, flag_switch(flags, "stale") ? 1 : 0);
    wire_put_uint(out, REQUEST_COUNT_ONLY, s->count_only ? 1 : 0);
    return code;
}

/* --- the columns of the output --- */

static enum err_code choose_columns(struct scan *s, struct err *e)
{
    const Tidemark__V1__TableDefinition *t = s->lookup.table;
    const char *wanted = flag_text(s->cli->flags, "columns");
    size_t most = t->n_columns + t->n_tags + 1;
    s->columns = mem_array(most, sizeof *s->columns);
    s->columns[0] = t->columns[0]->name;
    for (const char *p = wanted; p != NULL && *p != '\0';) {
        size_t size = strcspn(p, ",");
        size_t i = 1;
        while (i < t->n_columns &&
               !bytes_equal(bytes_of(p, size), bytes_str(t->columns[i]->name))) {
            i++;
        }
        if (i == t->n_columns || s->value_count + 1 >= t->n_columns) {
            return err_set(e, ERR_NOT_FOUND, "--columns: the table has no %scolumn '%.*s'",
                           i == t->n_columns ? "" : "other ", size > 80 ? 80 : (int)size, p);
        }
        s->columns[1 + s->value_count++] = t->columns[i]->name;
        p += size + (p[size] == ',' ? 1 : 0);
    }
    for (size_t i = 1; wanted == NULL && i < t->n_columns; i++) {
        s->columns[1 + s->value_count++] = t->columns[i]->name;
    }
    for (size_t i = 0; i < t->n_tags; i++) {
        s->columns[1 + s->value_count + s->tag_count++] = t->tags[i]->name;
    }
    s->places = mem_array(s->value_count + 1, sizeof *s->places);
    s->tag_places = mem_array(s->tag_count + 1, sizeof *s->tag_places);
    return ERR_OK;
}

/* --- the answer --- */

static void write_time(struct scan *s, int64_t time)
{
    if (s->epoch) {
        record_int(s->writer, time);
    } else {
        char text[TIME_TEXT_SIZE];
        record_str(s->writer, time_text_print(time, s->precision, text));
    }
}

static void put_bytes(struct scan *s, struct bytes v)
{
    struct buf text = {0};
    value_text_print_bytes(v, &text);
    record_text(s->writer, buf_bytes(&text));
    buf_deinit(&text);
}

static void put_value(struct scan *s, size_t column, size_t row)
{
    struct record_writer *w = s->writer;
    const struct scan_message *m = &s->message;
    if (column >= m->column_count || scan_is_null(m, column, row)) {
        record_null(w);
        return;
    }
    switch (m->columns[column].type) {
    case TIDEMARK__V1__TYPE__DOUBLE:
        record_double(w, scan_double(m, column, row));
        break;
    case TIDEMARK__V1__TYPE__FLOAT:
        record_float(w, scan_float(m, column, row));
        break;
    case TIDEMARK__V1__TYPE__TIMESTAMP:
        write_time(s, scan_int64(m, column, row));
        break;
    case TIDEMARK__V1__TYPE__BYTES:
        put_bytes(s, scan_string(m, column, row));
        break;
    case TIDEMARK__V1__TYPE__BOOL:
        record_bool(w, scan_bool(m, column, row));
        break;
    case TIDEMARK__V1__TYPE__STRING:
        record_text(w, scan_string(m, column, row));
        break;
    default:
        record_int(w, scan_int64(m, column, row));
        break;
    }
}

static void put_row(struct scan *s, size_t row)
{
    const struct scan_message *m = &s->message;
    write_time(s, scan_int64(m, 0, row));
    for (size_t i = 0; i < s->value_count; i++) {
        put_value(s, s->places[i], row);
    }
    for (size_t i = 0; i < s->tag_count; i++) {
        struct bytes text = {0};
        if (scan_tag(m, row, s->tag_places[i], &text)) {
            record_text(s->writer, text);
        } else {
            record_null(s->writer);
        }
    }
}

static void find_places(struct scan *s)
{
    const struct scan_message *m = &s->message;
    for (size_t i = 0; i < s->value_count; i++) {
        s->places[i] = 1;
        while (s->places[i] < m->column_count &&
               strcmp(m->columns[s->places[i]].name, s->columns[1 + i]) != 0) {
            s->places[i]++;
        }
    }
}

static void find_tag_places(struct scan *s)
{
    const struct scan_message *m = &s->message;
    for (size_t i = 0; i < s->tag_count; i++) {
        const char *name = s->columns[1 + s->value_count + i];
        s->tag_places[i] = 0;
        while (s->tag_places[i] < m->tag_count &&
               strcmp(m->tag_names[s->tag_places[i]], name) != 0) {
            s->tag_places[i]++;
        }
        if (s->tag_places[i] == m->tag_count) {
            s->tag_places[i] = SIZE_MAX;
        }
    }
}

static void begin_output(struct scan *s)
{
    s->started = true;
    s->index = s->message.index;
    find_tag_places(s);
    if (s->count_only) {
        return;
    }
    s->writer = cli_list(s->cli, "rows", s->columns, 1 + s->value_count + s->tag_count);
    struct json_writer *json = record_json(s->writer);
    if (json != NULL) {
        json_put_str(json, "database", s->name.database);
        json_put_str(json, "table", s->name.table);
        json_put_uint(json, "index", s->index);
    }
}

static bool on_message(void *context, struct bytes message)
{
    struct scan *s = context;
    if (scan_message_read(&s->message, message, &s->failure) != ERR_OK) {
        return false;
    }
    if (!s->started) {
        begin_output(s);
    }
    find_places(s);
    for (size_t row = 0; !s->count_only && row < s->message.rows; row++) {
        put_row(s, row);
    }
    if (s->message.done) {
        s->done = true;
        s->rows_total = s->message.rows_total;
        s->age_ms = s->message.age_ms;
    }
    if (s->cli->out.failed) {
        (void)err_set(&s->failure, ERR_IO, "standard output: cannot be written");
        return false;
    }
    return true;
}

static void end_output(struct scan *s)
{
    if (s->writer == NULL) {
        return;
    }
    struct json_writer *json = record_json(s->writer);
    if (json != NULL) {
        json_put_uint(json, "rows_total", s->done ? s->rows_total : record_count(s->writer));
        json_put_uint(json, "age_ms", s->age_ms);
        json_put_bool(json, "complete", s->done);
    }
    record_close(s->writer);
    s->writer = NULL;
}

static void put_count(struct scan *s)
{
    static const char *const columns[] = {"rows", "index", "age_ms"};
    struct record_writer *w = cli_single(s->cli, columns, 3);
    record_uint(w, s->rows_total);
    record_uint(w, s->index);
    record_uint(w, s->age_ms);
    record_close(w);
}

static enum err_code run_request(struct scan *s, struct bytes message, struct err *e)
{
    struct cluster_request request = {
        .path = "/tidemark.v1.Data/Scan",
        .message = message,
        .manner = CLUSTER_SLOW,
    };
    enum err_code code = cluster_stream(s->cli->cluster, &request, on_message, s, e);
    if (code == ERR_CANCELLED && s->failure.code != ERR_OK) {
        code = err_set(e, s->failure.code, "%s", s->failure.text);
    }
    if (code == ERR_OK && !s->done) {
        code = err_set(e, ERR_CORRUPT, "the answer ended before its last message");
    }
    end_output(s);
    if (code == ERR_OK && s->count_only) {
        put_count(s);
    }
    if (code != ERR_OK && s->started && !s->count_only) {
        return err_wrap(e, "the rows above are not all");
    }
    return code;
}

static enum err_code scan_table(struct scan *s, struct err *e)
{
    enum err_code code = table_lookup(s->cli, &s->name, &s->lookup, e);
    if (code != ERR_OK) {
        return code;
    }
    const Tidemark__V1__TableDefinition *t = s->lookup.table;
    s->precision = t->precision == 0 ? 3 : t->precision;
    if (t->n_columns == 0 || s->precision > 9) {
        return err_set(e, ERR_CORRUPT, "the server's definition of the table makes no sense");
    }
    struct buf request = {0};
    code = choose_columns(s, e);
    if (code == ERR_OK) {
        code = make_request(s, &request, e);
    }
    if (code == ERR_OK) {
        code = run_request(s, buf_bytes(&request), e);
    }
    buf_deinit(&request);
    return code;
}

/* What can be seen without the table; its precision comes later. */
static enum err_code check_flags(const struct cli *cli, struct err *e)
{
    static const char *const names[] = {"from", "until"};
    for (size_t i = 0; i < 2; i++) {
        const char *text = flag_text(cli->flags, names[i]);
        struct time_format format = {.kind = TIME_AUTO};
        int64_t time = 0;
        if (text != NULL && time_text_parse(&format, bytes_str(text), 3, &time, e) == ERR_INVALID) {
            return err_wrap(e, "--%s", names[i]);
        }
    }
    struct buf ignored = {0};
    enum err_code code = ERR_OK;
    for (size_t i = 0; code == ERR_OK && i < flag_list_count(cli->flags, "tags"); i++) {
        code = put_filter(flag_list_item(cli->flags, "tags", i), &ignored, e);
    }
    buf_deinit(&ignored);
    return code;
}

static enum cli_exit run_scan(struct cli *cli)
{
    struct scan s = {
        .cli = cli,
        .epoch = strcmp(flag_text(cli->flags, "time-format"), "epoch") == 0,
        .count_only = flag_switch(cli->flags, "count"),
    };
    struct err e = {0};
    enum cli_exit exit = CLI_OK;
    if (cli_table_name(cli_argument(cli, 0), &s.name, &e) != ERR_OK ||
        check_flags(cli, &e) != ERR_OK) {
        return cli_usage(cli, "%s", e.text);
    }
    if (cli_cluster(cli, &exit) == NULL) {
        return exit;
    }
    enum err_code code = scan_table(&s, &e);
    scan_message_deinit(&s.message);
    table_lookup_deinit(&s.lookup);
    mem_free(s.columns);
    mem_free(s.places);
    mem_free(s.tag_places);
    (void)text_sink_flush(&cli->out);
    return code == ERR_OK ? cli_done(cli) : cli_fail(cli, &e);
}

static const struct flag_definition flags[] = {
    {.name = "from",
     .type = FLAG_TEXT,
     .value_name = "TIME",
     .help = "first time, included: 2014-02-14T14:30:00Z, 2014-02-14, or a number since 1970"},
    {.name = "until", .type = FLAG_TEXT, .value_name = "TIME", .help = "last time, excluded"},
    {.name = "tags",
     .type = FLAG_LIST,
     .value_name = "TAG=VALUE,...",
     .help = "only series with one of these values; all given must hold; TAG= where it has none"},
    {.name = "columns",
     .type = FLAG_TEXT,
     .value_name = "NAME,...",
     .help = "only these columns, besides time and tags"},
    {.name = "limit",
     .type = FLAG_UINT,
     .value_name = "N",
     .default_value = "0",
     .max = UINT64_MAX,
     .help = "rows at most; 0: all"},
    {.name = "stale",
     .type = FLAG_SWITCH,
     .help = "what the asked node has now, without making sure that nothing newer was stored"},
    {.name = "count", .type = FLAG_SWITCH, .help = "only how many rows there are"},
    {.name = "time-format",
     .type = FLAG_CHOICE,
     .choices = "rfc3339|epoch",
     .default_value = "rfc3339",
     .help = "times as text, or as a number in the table's unit"},
};

static const struct cli_command commands[] = {
    {.path = "scan",
     .arguments = "DB.TABLE",
     .arguments_min = 1,
     .arguments_max = 1,
     .summary = "print the rows of a table",
     .details =
         "  Series by series, by rising time within a series. --timeout is the longest silence.\n\n"
         "  Example:\n"
         "    tidemark scan metrics.cpu --tags host=web1,web2 --from 2026-01-01 --format csv",
     .flags = flags,
     .flag_count = sizeof flags / sizeof flags[0],
     .run = run_scan},
};

struct cli_commands commands_of_scan(void)
{
    return (struct cli_commands){commands, sizeof commands / sizeof commands[0]};
}
