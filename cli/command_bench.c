/* SPDX-License-Identifier: Apache-2.0 */
/* tidemark bench: writes as many rows as the cluster takes, or at a given rate. */
#include <inttypes.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "cli/bench_rows.h"
#include "cli/commands.h"
#include "cli/latency_histogram.h"
#include "cli/retry.h"
#include "io/io_posix.h"
#include "proto/tidemark/v1/admin.pb-c.h"

enum { CONNECTIONS_MAX = 64, IN_FLIGHT_MAX = 1024, STEP_MS = 5, PROGRESS_EVERY_MS = 200 };

/* One place for a call; 'in flight' so many for each connection. */
struct worker {
    struct bench *bench;
    size_t connection;
    size_t endpoint; /* that the call went to */
    bool busy;
    uint64_t started_us;
    uint64_t due_ms;   /* not before: after a failure */
    unsigned failures; /* in a row */
};

struct bench {
    struct cli *cli;
    struct cli_table name;
    struct bench_rows rows;
    uint64_t duration_ms;
    uint64_t rate; /* rows a second; 0: all that goes */
    size_t connection_count;
    struct grpc_channel *(*channels)[ENDPOINTS_MAX]; /* owned, by connection and endpoint */
    struct worker *workers;                          /* owned */
    size_t worker_count;
    size_t busy_count;
    uint64_t row_next;
    struct latency_histogram latency;
    uint64_t requests, errors;
    char last_error[ERR_TEXT_SIZE];
    struct buf request; /* scratch */
    uint64_t started_ms, ended_ms, shown_ms;
};

/* --- calls --- */

static struct grpc_channel *channel_of(struct bench *b, const struct worker *w, struct err *e)
{
    struct grpc_channel **channel = &b->channels[w->connection][w->endpoint];
    if (*channel == NULL) {
        struct grpc_channel_options options = {
            .loop = grpc_blocking_loop(cluster_loop(b->cli->cluster)),
            .address = cluster_endpoints(b->cli->cluster)->addresses[w->endpoint],
        };
        if (grpc_channel_open(&options, channel, e) != ERR_OK) {
            return NULL;
        }
    }
    return *channel;
}

static void on_message(void *context, struct bytes message)
{
    (void)context;
    (void)message;
}

static void on_done(void *context, const struct grpc_result *result)
{
    struct worker *w = context;
    struct bench *b = w->bench;
    uint64_t now = cluster_now_ms(b->cli->cluster);
    w->busy = false;
    b->busy_count--;
    b->ended_ms = now;
    if (result->status == GRPC_OK) {
        latency_add(&b->latency, io_monotonic_us(io_posix()) - w->started_us);
        b->requests++;
        w->failures = 0;
        return;
    }
    b->errors++;
    w->failures++;
    w->due_ms = now + retry_delay_ms(w->failures);
    (void)snprintf(b->last_error, sizeof b->last_error, "%s: %s", grpc_status_name(result->status),
                   result->message);
    endpoint_list_failed(cluster_endpoints(b->cli->cluster), w->endpoint, result->leader);
}

static enum err_code send(struct bench *b, struct worker *w, struct err *e)
{
    static const struct grpc_client_events events = {on_message, on_done};
    w->endpoint = cluster_endpoints(b->cli->cluster)->current;
    struct grpc_channel *channel = channel_of(b, w, e);
    if (channel == NULL) {
        return ERR_IO;
    }
    buf_reset(&b->request);
    bench_rows_encode(&b->rows, b->row_next, &b->request);
    b->row_next += b->rows.rows;
    struct grpc_call_request request = {
        .path = "/tidemark.v1.Data/Write",
        .message = buf_bytes(&b->request),
        .deadline_ms = cluster_now_ms(b->cli->cluster) + b->cli->timeout_ms,
    };
    w->started_us = io_monotonic_us(io_posix());
    struct grpc_client_call *call = grpc_channel_call(channel, &request, &events, w);
    CHECK(call != NULL); /* IN_FLIGHT_MAX is below a channel's calls_max */
    w->busy = true;
    b->busy_count++;
    return ERR_OK;
}

/* --- the loop --- */

static bool rate_allows(const struct bench *b, uint64_t now)
{
    return b->rate == 0 ||
           (double)(b->row_next + b->rows.rows) <=
               (double)b->rate * (double)(now - b->started_ms) / 1000.0 + (double)b->rows.rows;
}

static void show_progress(struct bench *b, uint64_t now)
{
    if (!b->cli->progress || now - b->shown_ms < PROGRESS_EVERY_MS) {
        return;
    }
    b->shown_ms = now;
    uint64_t elapsed = now - b->started_ms;
    (void)fprintf(b->cli->err, "\r\x1b[K%4" PRIu64 " s  %" PRIu64 " rows/s  %" PRIu64 " errors",
                  elapsed / 1000, b->requests * b->rows.rows * 1000 / (elapsed == 0 ? 1 : elapsed),
                  b->errors);
    (void)fflush(b->cli->err);
}

static enum err_code run_load(struct bench *b, struct err *e)
{
    struct cluster *cluster = b->cli->cluster;
    b->started_ms = cluster_now_ms(cluster);
    b->ended_ms = b->started_ms;
    uint64_t end = b->started_ms + b->duration_ms;
    for (;;) {
        uint64_t now = cluster_now_ms(cluster);
        for (size_t i = 0; i < b->worker_count && now < end; i++) {
            struct worker *w = &b->workers[i];
            if (w->busy || w->due_ms > now || !rate_allows(b, now)) {
                continue;
            }
            enum err_code code = send(b, w, e);
            if (code != ERR_OK) {
                return code;
            }
        }
        if (now >= end && b->busy_count == 0) {
            break;
        }
        grpc_blocking_step(cluster_loop(cluster), STEP_MS);
        show_progress(b, now);
    }
    if (b->cli->progress) {
        (void)fputc('\n', b->cli->err);
    }
    return ERR_OK;
}

/* --- before and after --- */

static enum err_code call(struct bench *b, const char *path, struct bytes message, bool *ambiguous,
                          struct err *e)
{
    struct cluster_request request = {.path = path, .message = message};
    struct buf answer = {0};
    enum err_code code = cluster_call(b->cli->cluster, &request, &answer, ambiguous, e);
    buf_deinit(&answer);
    return code;
}

static enum err_code make_table(struct bench *b, struct err *e)
{
    Tidemark__V1__CreateDatabaseRequest database;
    tidemark__v1__create_database_request__init(&database);
    database.database = (char *)(uintptr_t)b->name.database;
    database.if_not_exists = 1;
    struct buf message = {0};
    cluster_pack(&database.base, &message);
    enum err_code code = call(b, "/tidemark.v1.Admin/CreateDatabase", buf_bytes(&message), NULL, e);
    buf_reset(&message);
    if (code == ERR_OK) {
        bool ambiguous = false;
        bench_rows_table(&b->rows, &message);
        code = call(b, "/tidemark.v1.Admin/CreateTable", buf_bytes(&message), &ambiguous, e);
        if (code == ERR_EXISTS && ambiguous) {
            code = ERR_OK; /* made by an attempt whose answer was lost */
        } else if (code == ERR_EXISTS) {
            (void)err_wrap(e, "it would be dropped after the bench: write into it with --keep");
        }
    }
    buf_deinit(&message);
    return code;
}

static enum err_code drop_table(struct bench *b, struct err *e)
{
    Tidemark__V1__DropTableRequest request;
    tidemark__v1__drop_table_request__init(&request);
    request.database = (char *)(uintptr_t)b->name.database;
    request.table = (char *)(uintptr_t)b->name.table;
    struct buf message = {0};
    cluster_pack(&request.base, &message);
    enum err_code code = call(b, "/tidemark.v1.Admin/DropTable", buf_bytes(&message), NULL, e);
    buf_deinit(&message);
    return code;
}

/* The leader, if it is one of the endpoints: other nodes would only pass writes on. */
static void start_at_leader(struct bench *b)
{
    struct endpoint_list *endpoints = cluster_endpoints(b->cli->cluster);
    for (size_t i = 0; i < endpoints->given; i++) {
        ProtobufCMessage *message = NULL;
        if (cluster_ask_at(b->cli->cluster, i, "/tidemark.v1.Admin/NodeStatus",
                           &tidemark__v1__node_status_response__descriptor, &message,
                           NULL) != ERR_OK) {
            continue;
        }
        Tidemark__V1__NodeStatusResponse *n = (Tidemark__V1__NodeStatusResponse *)message;
        bool leads = n->role == TIDEMARK__V1__ROLE__ROLE_LEADER;
        tidemark__v1__node_status_response__free_unpacked(n, NULL);
        if (leads) {
            endpoints->current = i;
            return;
        }
    }
}

static void print_result(struct bench *b)
{
    static const char *const columns[] = {
        "connections",
        "in_flight",
        "rows_per_request",
        "columns",
        "series",
        "duration_ms",
        "requests",
        "errors",
        "rows",
        "rows_per_second",
        "values_per_second",
        "requests_per_second",
        "latency_us_mean",
        "latency_us_p50",
        "latency_us_p90",
        "latency_us_p99",
        "latency_us_p999",
        "latency_us_max",
    };
    uint64_t ms = b->ended_ms - b->started_ms;
    ms = ms == 0 ? 1 : ms;
    uint64_t rows = b->requests * b->rows.rows;
    struct record_writer *w = cli_single(b->cli, columns, sizeof columns / sizeof columns[0]);
    record_uint(w, b->connection_count);
    record_uint(w, b->worker_count / b->connection_count);
    record_uint(w, b->rows.rows);
    record_uint(w, b->rows.columns);
    record_uint(w, b->rows.series);
    record_uint(w, ms);
    record_uint(w, b->requests);
    record_uint(w, b->errors);
    record_uint(w, rows);
    record_uint(w, rows * 1000 / ms);
    record_uint(w, rows * b->rows.columns * 1000 / ms);
    record_uint(w, b->requests * 1000 / ms);
    record_uint(w, latency_mean(&b->latency));
    record_uint(w, latency_percentile(&b->latency, 500));
    record_uint(w, latency_percentile(&b->latency, 900));
    record_uint(w, latency_percentile(&b->latency, 990));
    record_uint(w, latency_percentile(&b->latency, 999));
    record_uint(w, b->latency.max_us);
    record_close(w);
}

static enum err_code run_bench(struct bench *b, struct err *e)
{
    bench_rows_encode(&b->rows, 0, &b->request);
    if (b->request.size > LIMIT_MESSAGE_SIZE_MAX) {
        return err_set(e, ERR_RANGE,
                       "a request would have %zu bytes, at most %d are allowed: fewer "
                       "--rows or --columns",
                       b->request.size, LIMIT_MESSAGE_SIZE_MAX);
    }
    enum err_code code = make_table(b, e);
    if (code != ERR_OK) {
        return code;
    }
    start_at_leader(b);
    code = run_load(b, e);
    if (code != ERR_OK) {
        return code;
    }
    print_result(b);
    if (b->errors > 0) {
        cli_note(b->cli, "%" PRIu64 " requests failed, the last with %s", b->errors, b->last_error);
    }
    if (b->requests == 0) {
        return err_set(e, ERR_UNAVAILABLE, "not one request was answered with OK");
    }
    return flag_switch(b->cli->flags, "keep") ? ERR_OK : drop_table(b, e);
}

static void open_workers(struct bench *b)
{
    size_t in_flight = (size_t)flag_uint(b->cli->flags, "in-flight");
    b->connection_count = (size_t)flag_uint(b->cli->flags, "connections");
    b->worker_count = b->connection_count * in_flight;
    b->channels = mem_array(b->connection_count, sizeof *b->channels);
    b->workers = mem_array(b->worker_count, sizeof *b->workers);
    for (size_t i = 0; i < b->worker_count; i++) {
        b->workers[i] = (struct worker){.bench = b, .connection = i % b->connection_count};
    }
}

static void release(struct bench *b)
{
    for (size_t i = 0; b->channels != NULL && i < b->connection_count; i++) {
        for (size_t j = 0; j < ENDPOINTS_MAX; j++) {
            grpc_channel_close(b->channels[i][j]);
        }
    }
    buf_deinit(&b->request);
    mem_free(b->channels);
    mem_free(b->workers);
    mem_free(b);
}

static enum cli_exit run(struct cli *cli)
{
    enum cli_exit exit = CLI_OK;
    struct err e = {0};
    struct bench *b = mem_zalloc(sizeof *b);
    b->cli = cli;
    if (cli_table_name(flag_text(cli->flags, "table"), &b->name, &e) != ERR_OK) {
        exit = cli_usage(cli, "--table: %s", e.text);
    } else if (cli_cluster(cli, &exit) != NULL) {
        b->duration_ms = flag_uint(cli->flags, "duration");
        b->rate = flag_uint(cli->flags, "rate");
        b->rows = (struct bench_rows){
            .database = b->name.database,
            .table = b->name.table,
            .rows = (unsigned)flag_uint(cli->flags, "rows"),
            .columns = (unsigned)flag_uint(cli->flags, "columns"),
            .series = (unsigned)flag_uint(cli->flags, "series"),
            .start_ms = io_wall_us(io_posix()) / 1000,
            .may_exist = flag_switch(cli->flags, "keep"),
        };
        open_workers(b);
        exit = run_bench(b, &e) == ERR_OK ? cli_done(cli) : cli_fail(cli, &e);
    }
    release(b);
    return exit;
}

static const struct flag_definition flags[] = {
    {.name = "connections",
     .type = FLAG_UINT,
     .value_name = "N",
     .default_value = "1",
     .min = 1,
     .max = CONNECTIONS_MAX,
     .help = "connections to the leader"},
    {.name = "in-flight",
     .type = FLAG_UINT,
     .value_name = "N",
     .default_value = "16",
     .min = 1,
     .max = IN_FLIGHT_MAX,
     .help = "requests under way at once, on each connection"},
    {.name = "rows",
     .type = FLAG_UINT,
     .value_name = "N",
     .default_value = "1000",
     .min = 1,
     .max = 10000,
     .help = "rows of one request"},
    {.name = "columns",
     .type = FLAG_UINT,
     .value_name = "N",
     .default_value = "10",
     .min = 1,
     .max = 100,
     .help = "columns besides the time, all double"},
    {.name = "series",
     .type = FLAG_UINT,
     .value_name = "N",
     .default_value = "100",
     .min = 1,
     .max = 100000,
     .help = "series that the rows are spread over"},
    {.name = "duration",
     .type = FLAG_DURATION,
     .value_name = "TIME",
     .default_value = "10s",
     .min = 10,
     .help = "how long"},
    {.name = "rate",
     .type = FLAG_UINT,
     .value_name = "ROWS",
     .default_value = "0",
     .max = UINT32_MAX,
     .help = "rows a second; 0: as many as go"},
    {.name = "table",
     .type = FLAG_TEXT,
     .value_name = "DB.TABLE",
     .default_value = "bench.load",
     .help = "made for the bench, and dropped after it"},
    {.name = "keep", .type = FLAG_SWITCH, .help = "leave the table; it may exist before"},
};

static const struct cli_command commands[] = {
    {.path = "bench",
     .arguments = "",
     .summary = "measure how fast the cluster takes rows",
     .details = "  Writes carry no request id and are not repeated: a lost one counts as an error.",
     .flags = flags,
     .flag_count = sizeof flags / sizeof flags[0],
     .run = run},
};

struct cli_commands commands_of_bench(void)
{
    return (struct cli_commands){commands, sizeof commands / sizeof commands[0]};
}
