/* SPDX-License-Identifier: Apache-2.0 */
/* tidemark status */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "cli/commands.h"
#include "cli/time_text.h"
#include "proto/tidemark/v1/admin.pb-c.h"
#include "wal/wal.h"

enum { WATCH_MS = 1000 };

/* An endpoint that could not be asked, and why. */
struct missing {
    const char *address; /* of the endpoint list */
    char why[ERR_TEXT_SIZE];
};

struct answer {
    Tidemark__V1__ClusterStatusResponse *cluster; /* owned; NULL with --local */
    Tidemark__V1__NodeStatusResponse *local;      /* owned; with --local */
    struct missing missing[ENDPOINTS_MAX];
    size_t missing_count;
};

static const char *role_name(Tidemark__V1__Role role)
{
    static const char *const names[] = {
        [TIDEMARK__V1__ROLE__ROLE_UNSPECIFIED] = "?",
        [TIDEMARK__V1__ROLE__ROLE_FOLLOWER] = "follower",
        [TIDEMARK__V1__ROLE__ROLE_CANDIDATE] = "candidate",
        [TIDEMARK__V1__ROLE__ROLE_LEADER] = "leader",
        [TIDEMARK__V1__ROLE__ROLE_STANDALONE] = "standalone",
        [TIDEMARK__V1__ROLE__ROLE_FORMING] = "forming",
        [TIDEMARK__V1__ROLE__ROLE_REPAIRING] = "repairing",
        [TIDEMARK__V1__ROLE__ROLE_SPARE] = "spare",
        [TIDEMARK__V1__ROLE__ROLE_UNREACHABLE] = "unreachable",
    };
    bool known = role >= 0 && (size_t)role < sizeof names / sizeof names[0];
    return known ? names[role] : "?";
}

/* --- asking --- */

/* The first endpoint that answers; those before it are missing. */
static enum err_code ask(struct cli *cli, struct answer *a, bool local, struct err *e)
{
    const struct endpoint_list *endpoints = cluster_endpoints(cli->cluster);
    enum err_code code = ERR_UNAVAILABLE;
    for (size_t i = 0; i < (local ? 1 : endpoints->given); i++) {
        ProtobufCMessage *message = NULL;
        code = cluster_ask_at(cli->cluster, i,
                              local ? "/tidemark.v1.Admin/NodeStatus"
                                    : "/tidemark.v1.Admin/ClusterStatus",
                              local ? &tidemark__v1__node_status_response__descriptor
                                    : &tidemark__v1__cluster_status_response__descriptor,
                              &message, e);
        if (code == ERR_OK && local) {
            a->local = (Tidemark__V1__NodeStatusResponse *)message;
            return ERR_OK;
        }
        if (code == ERR_OK) {
            a->cluster = (Tidemark__V1__ClusterStatusResponse *)message;
            return ERR_OK;
        }
        struct missing *m = &a->missing[a->missing_count++];
        m->address = endpoints->addresses[i];
        (void)snprintf(m->why, sizeof m->why, "%s", e->text);
    }
    return code;
}

static void release(struct answer *a)
{
    if (a->cluster != NULL) {
        tidemark__v1__cluster_status_response__free_unpacked(a->cluster, NULL);
    }
    if (a->local != NULL) {
        tidemark__v1__node_status_response__free_unpacked(a->local, NULL);
    }
}

/* --- what it means --- */

static const char *text_or_empty(const char *text)
{
    return text == NULL ? "" : text;
}

static uint64_t highest_commit(Tidemark__V1__NodeStatusResponse *const *nodes, size_t count)
{
    uint64_t highest = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t known = nodes[i]->commit_index > nodes[i]->applied_index ? nodes[i]->commit_index
                                                                          : nodes[i]->applied_index;
        highest = known > highest ? known : highest;
    }
    return highest;
}

/* Of logs and parts. */
struct damage_sums {
    uint64_t holes, found, filled, dropped, torn;
    const char *waiting;
};

static struct damage_sums sum_damage(const Tidemark__V1__NodeStatusResponse *n)
{
    struct damage_sums s = {.waiting = ""};
    for (size_t i = 0; i < n->n_logs; i++) {
        const Tidemark__V1__LogStatus *log = n->logs[i];
        s.holes += log->holes;
        s.found += log->holes_found;
        s.filled += log->holes_filled;
        s.dropped += log->holes_dropped;
        s.torn += log->records_torn;
        s.waiting = text_or_empty(log->waiting)[0] == '\0' ? s.waiting : log->waiting;
    }
    if (n->damage != NULL) {
        s.holes += n->damage->parts_waiting;
        s.found += n->damage->parts_found;
        s.filled += n->damage->parts_refilled;
        s.dropped += n->damage->parts_dropped;
    }
    return s;
}

static bool is_unreachable(const Tidemark__V1__NodeStatusResponse *n)
{
    return n->role == TIDEMARK__V1__ROLE__ROLE_UNREACHABLE;
}

static bool is_sound(const Tidemark__V1__NodeStatusResponse *n)
{
    return !is_unreachable(n) && n->healthy && sum_damage(n).holes == 0;
}

/* "ok", or what was found in logs and parts and what became of it. */
static const char *disk_health(const Tidemark__V1__NodeStatusResponse *n, char *dst, size_t size)
{
    struct damage_sums s = sum_damage(n);
    if (is_unreachable(n)) {
        (void)snprintf(dst, size, "?");
    } else if (s.found == 0 && s.holes == 0) {
        (void)snprintf(dst, size, "ok");
    } else {
        (void)snprintf(
            dst, size,
            "%s: %" PRIu64 " found, %" PRIu64 " filled, %" PRIu64 " dropped, %" PRIu64 " waiting",
            s.holes == 0 ? "repaired" : "damaged", s.found, s.filled, s.dropped, s.holes);
    }
    return dst;
}

/* --- table and csv --- */

static void put_number(struct record_writer *w, const Tidemark__V1__NodeStatusResponse *n,
                       uint64_t v)
{
    if (is_unreachable(n)) {
        record_null(w);
    } else {
        record_uint(w, v);
    }
}

static void put_node(struct record_writer *w, const Tidemark__V1__NodeStatusResponse *n,
                     uint64_t commit)
{
    char health[160];
    char message[ERR_TEXT_SIZE];
    bool bad = !is_sound(n);
    const Tidemark__V1__Member *self = n->self;
    record_str(w, self == NULL ? "" : text_or_empty(self->name));
    if (bad) {
        record_mark(w);
    }
    record_str(w, role_name(n->role));
    record_str(w, self == NULL ? "" : text_or_empty(self->kind));
    put_number(w, n, n->term);
    put_number(w, n, n->commit_index);
    put_number(w, n, n->applied_index);
    put_number(w, n, commit > n->applied_index ? commit - n->applied_index : 0);
    if (bad) {
        record_mark(w);
    }
    record_str(w, disk_health(n, health, sizeof health));
    record_str(w, self == NULL ? "" : text_or_empty(self->client_address));
    record_str(w, text_or_empty(n->version));
    struct damage_sums sums = sum_damage(n);
    const char *own = text_or_empty(n->message);
    bool both = own[0] != '\0' && sums.waiting[0] != '\0' && strcmp(own, sums.waiting) != 0;
    (void)snprintf(message, sizeof message, "%s%s%s", own, both ? "; " : "",
                   own[0] == '\0' || both ? sums.waiting : "");
    record_str(w, message);
}

static void put_missing(struct record_writer *w, const struct missing *m)
{
    record_str(w, "");
    record_mark(w);
    record_str(w, "unreachable");
    record_str(w, "");
    for (int i = 0; i < 4; i++) {
        record_null(w);
    }
    record_str(w, "?");
    record_str(w, m->address);
    record_str(w, "");
    record_str(w, m->why);
}

/* Whether the answer says itself that this address could not be reached. */
static bool is_listed(const Tidemark__V1__ClusterStatusResponse *c, const char *address)
{
    for (size_t i = 0; i < c->n_nodes; i++) {
        const Tidemark__V1__Member *self = c->nodes[i]->self;
        if (self != NULL && strcmp(text_or_empty(self->client_address), address) == 0) {
            return true;
        }
    }
    return false;
}

static void put_table(struct cli *cli, const struct answer *a,
                      Tidemark__V1__NodeStatusResponse *const *nodes, size_t count)
{
    static const char *const columns[] = {
        "name", "role", "kind",    "term",    "commit",  "applied",
        "lag",  "log",  "address", "version", "message",
    };
    struct record_writer *w = cli_list(cli, "nodes", columns, sizeof columns / sizeof columns[0]);
    uint64_t commit = highest_commit(nodes, count);
    for (size_t i = 0; i < count; i++) {
        put_node(w, nodes[i], commit);
    }
    for (size_t i = 0; i < a->missing_count; i++) {
        if (a->cluster == NULL || !is_listed(a->cluster, a->missing[i].address)) {
            put_missing(w, &a->missing[i]);
        }
    }
    record_close(w);
}

/* --- the table of the logs --- */

static const char *checkpoint_time(const Tidemark__V1__NodeStatusResponse *n,
                                   char dst[TIME_TEXT_SIZE])
{
    bool known = n->last_checkpoint != NULL && n->last_checkpoint->time_ms != 0;
    dst[0] = '\0';
    return known ? time_text_print(n->last_checkpoint->time_ms, 3, dst) : dst;
}

/* What 99 of 100 calls took less than, in microseconds. */
static void put_slow(struct record_writer *w, const Tidemark__V1__LogLatency *l)
{
    uint64_t left = l == NULL ? 0 : l->count;
    if (left == 0) {
        record_null(w);
        return;
    }
    uint64_t slow = left / 100; /* how many may take longer */
    size_t i = 0;
    while (i + 1 < l->n_buckets && i + 1 < WAL_LATENCY_BUCKETS && left - l->buckets[i] > slow &&
           l->buckets[i] <= left) {
        left -= l->buckets[i];
        i++;
    }
    record_uint(w, i + 1 < WAL_LATENCY_BUCKETS ? UINT64_C(1) << i : l->us_max);
}

static void put_log(struct record_writer *w, const Tidemark__V1__NodeStatusResponse *n,
                    const Tidemark__V1__LogStatus *log)
{
    char time[TIME_TEXT_SIZE];
    record_str(w, n->self == NULL ? "" : text_or_empty(n->self->name));
    record_str(w, text_or_empty(log->name));
    record_str(w, text_or_empty(log->lsn_end));
    record_str(w, text_or_empty(log->lsn_durable));
    record_str(w, text_or_empty(log->lsn_checkpoint));
    record_uint(w, log->index_last);
    record_uint(w, log->index_durable);
    record_uint(w, log->index_checkpoint);
    record_uint(w, log->segments_current);
    record_uint(w, log->segments_checkpoint);
    record_uint(w, log->segments_recycled);
    record_str(w, checkpoint_time(n, time));
    if (n->last_checkpoint == NULL) {
        record_null(w);
        record_null(w);
    } else {
        record_uint(w, n->last_checkpoint->duration_ms);
        record_uint(w, n->last_checkpoint->bytes);
    }
    record_str(w, text_or_empty(log->retained_by));
    record_uint(w, log->write == NULL ? 0 : log->write->count);
    put_slow(w, log->write);
    record_uint(w, log->buffers_full);
    record_uint(w, log->syncs);
    put_slow(w, log->sync);
}

static void put_logs(struct cli *cli, Tidemark__V1__NodeStatusResponse *const *nodes, size_t count)
{
    static const char *const columns[] = {
        "node",
        "log",
        "lsn",
        "lsn_synced",
        "lsn_checkpoint",
        "index",
        "index_synced",
        "index_checkpoint",
        "segments_current",
        "segments_checkpoint",
        "segments_recycled",
        "checkpoint_time",
        "checkpoint_ms",
        "checkpoint_bytes",
        "retained_by",
        "writes",
        "write_us_p99",
        "buffers_full",
        "syncs",
        "sync_us_p99",
    };
    struct record_writer *w = cli_list(cli, "logs", columns, sizeof columns / sizeof columns[0]);
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < nodes[i]->n_logs; k++) {
            put_log(w, nodes[i], nodes[i]->logs[k]);
        }
    }
    record_close(w);
}

/* --- json: everything --- */

static void put_id(struct json_writer *j, const char *key, uint64_t id)
{
    char text[17];
    (void)snprintf(text, sizeof text, "%016" PRIx64, id);
    json_put_str(j, key, text);
}

static void put_json_latency(struct json_writer *j, const char *key,
                             const Tidemark__V1__LogLatency *l)
{
    json_key(j, key);
    if (l == NULL) { /* an older node */
        json_null(j);
        return;
    }
    json_begin_object(j);
    json_put_uint(j, "count", l->count);
    json_put_uint(j, "us", l->us);
    json_put_uint(j, "us_max", l->us_max);
    json_key(j, "below_us"); /* a count for each power of two */
    json_begin_object(j);
    for (size_t i = 0; i < l->n_buckets && i < WAL_LATENCY_BUCKETS; i++) {
        char below[24];
        (void)snprintf(below, sizeof below, "%" PRIu64, UINT64_C(1) << i);
        json_put_uint(j, i + 1 < WAL_LATENCY_BUCKETS ? below : "more", l->buckets[i]);
    }
    json_end(j);
    json_end(j);
}

static void put_json_log(struct json_writer *j, const Tidemark__V1__LogStatus *log)
{
    json_begin_object(j);
    json_put_str(j, "name", text_or_empty(log->name));
    json_put_str(j, "lsn_end", text_or_empty(log->lsn_end));
    json_put_str(j, "lsn_durable", text_or_empty(log->lsn_durable));
    json_put_uint(j, "index_first", log->index_first);
    json_put_uint(j, "index_last", log->index_last);
    json_put_uint(j, "index_durable", log->index_durable);
    json_put_uint(j, "segments", log->segments);
    json_put_uint(j, "holes", log->holes);
    json_put_uint(j, "holes_found", log->holes_found);
    json_put_uint(j, "holes_filled", log->holes_filled);
    json_put_uint(j, "holes_dropped", log->holes_dropped);
    json_put_uint(j, "records_torn", log->records_torn);
    json_put_str(j, "waiting", text_or_empty(log->waiting));
    json_put_uint(j, "syncs", log->syncs);
    json_put_uint(j, "sync_us_max", log->sync_us_max);
    json_put_str(j, "lsn_checkpoint", text_or_empty(log->lsn_checkpoint));
    json_put_uint(j, "index_checkpoint", log->index_checkpoint);
    json_put_uint(j, "segments_current", log->segments_current);
    json_put_uint(j, "segments_checkpoint", log->segments_checkpoint);
    json_put_uint(j, "segments_recycled", log->segments_recycled);
    json_put_uint(j, "segment_size", log->segment_size);
    json_put_str(j, "retained_by", text_or_empty(log->retained_by));
    json_put_uint(j, "records", log->records);
    json_put_uint(j, "bytes", log->bytes);
    json_put_uint(j, "buffers_full", log->buffers_full);
    put_json_latency(j, "write", log->write);
    put_json_latency(j, "sync", log->sync);
    json_end(j);
}

static void put_json_checkpoint(struct json_writer *j, const Tidemark__V1__NodeStatusResponse *n)
{
    char time[TIME_TEXT_SIZE];
    json_key(j, "last_checkpoint");
    if (n->last_checkpoint == NULL) {
        json_null(j);
        return;
    }
    json_begin_object(j);
    json_put_uint(j, "index", n->last_checkpoint->index);
    json_put_str(j, "time", checkpoint_time(n, time));
    json_put_uint(j, "duration_ms", n->last_checkpoint->duration_ms);
    json_put_uint(j, "bytes", n->last_checkpoint->bytes);
    json_end(j);
}

static void put_json_damage(struct json_writer *j, const Tidemark__V1__DamageStatus *d)
{
    json_key(j, "damage");
    if (d == NULL) { /* an older node */
        json_null(j);
        return;
    }
    json_begin_object(j);
    json_put_uint(j, "parts_found", d->parts_found);
    json_put_uint(j, "parts_refilled", d->parts_refilled);
    json_put_uint(j, "parts_waiting", d->parts_waiting);
    json_put_uint(j, "parts_dropped", d->parts_dropped);
    json_put_uint(j, "scrubbed_bytes", d->scrubbed_bytes);
    json_put_uint(j, "scrub_rounds_parts", d->scrub_rounds_parts);
    json_put_uint(j, "scrub_rounds_logs", d->scrub_rounds_logs);
    json_end(j);
}

static void put_json_recovery(struct json_writer *j, const Tidemark__V1__RecoveryStatus *r)
{
    json_key(j, "recovery");
    if (r == NULL) {
        json_null(j);
        return;
    }
    json_begin_object(j);
    json_put_str(j, "phase", text_or_empty(r->phase));
    json_put_uint(j, "analysis_ms", r->analysis_ms);
    json_put_str(j, "lsn", text_or_empty(r->lsn));
    json_put_uint(j, "index", r->index);
    json_put_uint(j, "entries", r->entries);
    json_put_uint(j, "bytes_done", r->bytes_done);
    json_put_uint(j, "bytes_left", r->bytes_left);
    json_put_uint(j, "bytes_per_second", r->bytes_per_second);
    json_put_uint(j, "remaining_ms", r->remaining_ms);
    json_put_uint(j, "redo_ms", r->redo_ms);
    json_put_uint(j, "changes_undone", r->changes_undone);
    json_put_str(j, "lsn_lost", text_or_empty(r->lsn_lost));
    json_put_uint(j, "index_kept", r->index_kept);
    json_put_uint(j, "records_dropped", r->records_dropped);
    json_end(j);
}

static void put_json_node(struct json_writer *j, const Tidemark__V1__NodeStatusResponse *n,
                          uint64_t commit)
{
    const Tidemark__V1__Member *self = n->self;
    json_begin_object(j);
    json_put_str(j, "name", self == NULL ? "" : text_or_empty(self->name));
    put_id(j, "id", self == NULL ? 0 : self->id);
    json_put_str(j, "role", role_name(n->role));
    json_put_str(j, "kind", self == NULL ? "" : text_or_empty(self->kind));
    json_put_bool(j, "reachable", !is_unreachable(n));
    json_put_bool(j, "healthy", n->healthy != 0);
    json_put_str(j, "message", text_or_empty(n->message));
    json_put_str(j, "client_address", self == NULL ? "" : text_or_empty(self->client_address));
    json_put_str(j, "peer_address", self == NULL ? "" : text_or_empty(self->peer_address));
    json_put_uint(j, "term", n->term);
    put_id(j, "leader_id", n->leader_id);
    json_put_str(j, "leader_name", text_or_empty(n->leader_name));
    json_put_uint(j, "commit_index", n->commit_index);
    json_put_uint(j, "applied_index", n->applied_index);
    json_put_uint(j, "lag", commit > n->applied_index ? commit - n->applied_index : 0);
    json_put_uint(j, "last_index", n->last_index);
    json_put_uint(j, "checkpoint_index", n->checkpoint_index);
    json_put_uint(j, "wal_level", n->wal_level);
    json_put_uint(j, "memory_bytes", n->memory_bytes);
    json_put_uint(j, "uptime_ms", n->uptime_ms);
    json_put_uint(j, "start_counter", n->start_counter);
    json_put_uint(j, "writes", n->writes);
    json_put_uint(j, "rows_written", n->rows_written);
    json_put_uint(j, "reads", n->reads);
    json_put_str(j, "version", text_or_empty(n->version));
    put_json_checkpoint(j, n);
    put_json_damage(j, n->damage);
    put_json_recovery(j, n->recovery);
    json_key(j, "logs");
    json_begin_array(j);
    for (size_t i = 0; i < n->n_logs; i++) {
        put_json_log(j, n->logs[i]);
    }
    json_end(j);
    json_end(j);
}

static void put_json(struct cli *cli, const struct answer *a,
                     Tidemark__V1__NodeStatusResponse *const *nodes, size_t count, bool healthy)
{
    struct json_writer j;
    uint64_t commit = highest_commit(nodes, count);
    json_init(&j, &cli->out);
    json_begin_object(&j);
    put_id(&j, "cluster_id",
           a->cluster != NULL ? a->cluster->cluster_id : (count > 0 ? nodes[0]->cluster_id : 0));
    json_put_bool(&j, "healthy", healthy);
    if (a->cluster != NULL) {
        json_put_uint(&j, "configuration_index", a->cluster->configuration_index);
    }
    json_key(&j, "nodes");
    json_begin_array(&j);
    for (size_t i = 0; i < count; i++) {
        put_json_node(&j, nodes[i], commit);
    }
    json_end(&j);
    json_key(&j, "endpoints_unreachable");
    json_begin_array(&j);
    for (size_t i = 0; i < a->missing_count; i++) {
        json_begin_object(&j);
        json_put_str(&j, "address", a->missing[i].address);
        json_put_str(&j, "reason", a->missing[i].why);
        json_end(&j);
    }
    json_end(&j);
    json_end(&j);
    json_finish(&j);
}

/* --- the command --- */

static void print(struct cli *cli, const struct answer *a, bool healthy)
{
    Tidemark__V1__NodeStatusResponse *const *nodes =
        a->cluster != NULL ? a->cluster->nodes : &a->local;
    size_t count = a->cluster != NULL ? a->cluster->n_nodes : (a->local != NULL ? 1 : 0);
    if (cli->format == FORMAT_JSON) {
        put_json(cli, a, nodes, count, healthy);
    } else if (flag_switch(cli->flags, "logs")) {
        put_logs(cli, nodes, count);
    } else {
        put_table(cli, a, nodes, count);
    }
}

/* The status once. */
static enum cli_exit show(struct cli *cli)
{
    struct answer a = {0};
    struct err e = {0};
    bool local = flag_switch(cli->flags, "local");
    if (ask(cli, &a, local, &e) != ERR_OK) {
        print(cli, &a, false);
        return cli_fail(cli, &e);
    }
    bool healthy = local ? is_sound(a.local) : a.cluster->healthy != 0;
    print(cli, &a, healthy);
    release(&a);
    enum cli_exit exit = cli_done(cli);
    if (exit == CLI_OK && !healthy && flag_switch(cli->flags, "check")) {
        cli_note(cli, local ? "the node is not healthy" : "the cluster is not healthy");
        return CLI_UNHEALTHY;
    }
    return exit;
}

/* Until interrupted, or until nobody reads any more: a cluster that can't be
 * reached now may be there the next time. */
static enum cli_exit watch(struct cli *cli, struct cluster *cluster)
{
    enum cli_exit exit = CLI_OK;
    for (bool first = true; !cli->out.failed; first = false) {
        if (cli->terminal) {
            text_sink_str(&cli->out, "\033[2J\033[H");
        } else if (!first) {
            text_sink_str(&cli->out, "\n");
        }
        exit = show(cli);
        (void)text_sink_flush(&cli->out);
        cluster_wait(cluster, WATCH_MS);
    }
    return exit;
}

static enum cli_exit run_status(struct cli *cli)
{
    enum cli_exit exit = CLI_OK;
    bool watches = flag_switch(cli->flags, "watch");
    if (watches && flag_switch(cli->flags, "check")) {
        return cli_usage(cli, "--check gives one exit code, --watch never ends: use one of them");
    }
    struct cluster *cluster = cli_cluster(cli, &exit);
    if (cluster == NULL) {
        return exit;
    }
    return watches ? watch(cli, cluster) : show(cli);
}

static const struct flag_definition flags[] = {
    {.name = "check",
     .type = FLAG_SWITCH,
     .help = "exit code 4 unless there is a leader and all voters are reachable and whole"},
    {.name = "local", .type = FLAG_SWITCH, .help = "only the node at the first endpoint"},
    {.name = "logs", .type = FLAG_SWITCH, .help = "a line for each log of each node"},
    {.name = "watch", .type = FLAG_SWITCH, .help = "again every second, until interrupted"},
};

static const struct cli_command commands[] = {
    {.path = "status",
     .arguments = "",
     .summary = "how the nodes are: role, term, commit, lag, health of their logs",
     .details = "  lag   changes that the node has not applied yet, of all known to be committed\n"
                "  log   ok; or damage: records found bad since the start, how many of them were\n"
                "        filled from other nodes, dropped as never committed, or wait for a node\n"
                "With --logs, a line for each log of each node:\n"
                "  lsn, index            where it ends; what is synced; what the last checkpoint\n"
                "                        holds and where a replay from it begins\n"
                "  segments_current      files that hold what is behind the checkpoint\n"
                "  segments_checkpoint   files that hold only what the checkpoint holds too\n"
                "  segments_recycled     spare files, for new segments\n"
                "  retained_by           for whom the log keeps what the checkpoint holds\n"
                "JSON has everything that the nodes report.",
     .flags = flags,
     .flag_count = sizeof flags / sizeof flags[0],
     .run = run_status},
};

struct cli_commands commands_of_status(void)
{
    return (struct cli_commands){commands, sizeof commands / sizeof commands[0]};
}
