/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster-tests/load.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "cluster-tests/register.h"
#include "proto/wire.h"
#include "testkit/test.h"

enum {
    WRITERS = 8,
    DEPTH = 4,
    ROWS = 5,
    WRITERS_MAX = 32,
    DEPTH_MAX = 32, /* below LIMIT_SESSION_ANSWERS */
    TRY_LIMIT_MS = 500,
    LARGE_TRY_LIMIT_MS = 10000,
    BACKOFF_MIN_MS = 5,
    BACKOFF_MAX_MS = 50,
    UNKNOWN_ANSWERS_MAX = 8, /* in a row for one write */
    LARGE_ONE_IN = 500,      /* most rows come from these: each check reads all, on every node */
    AGAIN_ONE_IN = 4,
    SCAN_LIMIT_MS = 120000, /* of all rows, which are more with TIDEMARK_ROUNDS=full */
    GAPS_MAX = 1000,
};

_Static_assert((int)DEPTH_MAX < (int)LIMIT_SESSION_ANSWERS, "every open write's answer is kept");

/* IDLE ──► READY ──► SENT ── answer ──► IDLE
 *            ▲────── again ─┘                    */
enum slot_state { IDLE, READY, SENT };

struct slot {
    struct writer *writer;
    enum slot_state state;
    struct node_write write;
    uint64_t at_us; /* READY: not before */
    unsigned tries;
    unsigned unknown_answers;
    bool large;
};

enum session_state { NO_SESSION, OPENING, OPEN };

struct writer {
    struct load *load;
    unsigned series;
    bool follows; /* the leader */
    enum session_state state;
    uint64_t session;
    uint64_t sequence;
    bool renew; /* its session is no good; open another when no write is open */
    uint64_t at_us;
    size_t target; /* node */
    struct slot slots[DEPTH_MAX];
};

struct load {
    struct cluster *cluster;
    struct load_options options;
    struct row_book *book;
    struct reg *reg; /* NULL: none */
    bool draining;
    bool closing;
    uint64_t last_ack_us;
    uint64_t gap_us;
    uint64_t gaps_ms[GAPS_MAX];
    size_t gap_count;
    uint64_t faults;
    char fault[256]; /* the first */
    struct writer writers[WRITERS_MAX];
};

/* --- helpers --- */

static void fault(struct load *l, const char *what, const char *text)
{
    if (l->faults++ == 0) {
        (void)snprintf(l->fault, sizeof l->fault, "%s: %s", what, text);
    }
}

static struct slot *first_open(struct writer *w)
{
    struct slot *first = NULL;
    for (unsigned i = 0; i < w->load->options.depth; i++) {
        struct slot *s = &w->slots[i];
        if (s->state != IDLE && (first == NULL || s->write.sequence < first->write.sequence)) {
            first = s;
        }
    }
    return first;
}

/* After a failure: where the answer points, else the next node. */
static void turn_elsewhere(struct writer *w, const struct grpc_result *r)
{
    struct cluster *c = w->load->cluster;
    size_t leader = r->leader == NULL ? cluster_size(c) : cluster_find(c, r->leader);
    if (w->follows && leader < cluster_size(c) && leader != w->target) {
        w->target = leader;
    } else {
        w->target = (w->target + 1) % cluster_size(c);
    }
}

static uint64_t backoff_us(unsigned tries)
{
    uint64_t ms = BACKOFF_MIN_MS * (uint64_t)tries;
    return 1000 * (ms > BACKOFF_MAX_MS ? (uint64_t)BACKOFF_MAX_MS : ms);
}

static bool call(struct writer *w, const struct grpc_call_request *request,
                 const struct grpc_client_events *events, void *context)
{
    struct node_client *client = cluster_client(w->load->cluster, w->target);
    return grpc_channel_call(client->channel, request, events, context) != NULL;
}

static uint64_t deadline_ms(const struct load *l, bool large)
{
    return grpc_blocking_now_ms(cluster_blocking(l->cluster)) +
           (large ? LARGE_TRY_LIMIT_MS : TRY_LIMIT_MS);
}

/* --- sessions --- */

static void on_session(void *context, struct bytes message)
{
    struct writer *w = context;
    struct cursor c = cursor_of(message);
    struct wire_field f;
    while (wire_next(&c, &f)) {
        if (f.number == 1) {
            w->session = wire_uint(&c, &f);
        }
    }
}

static void on_session_done(void *context, const struct grpc_result *r)
{
    struct writer *w = context;
    if (w->load->closing) {
        return;
    }
    if (r->status == GRPC_OK && w->session != 0) {
        w->state = OPEN;
        w->sequence = 0;
        w->renew = false;
        return;
    }
    w->state = NO_SESSION;
    w->at_us = process_now_us() + backoff_us(BACKOFF_MAX_MS);
    turn_elsewhere(w, r);
}

static void open_session(struct writer *w)
{
    static const struct grpc_client_events events = {on_session, on_session_done};
    struct buf request = {0};
    wire_put_uint(&request, 1, w->session); /* close the old one */
    struct grpc_call_request r = {
        .path = "/tidemark.v1.Data/OpenSession",
        .message = buf_bytes(&request),
        .deadline_ms = deadline_ms(w->load, false),
    };
    w->session = 0;
    w->state = OPENING;
    if (!call(w, &r, &events, w)) {
        w->state = NO_SESSION;
    }
    buf_deinit(&request);
}

/* --- writes --- */

static void acknowledged(struct slot *s)
{
    struct load *l = s->writer->load;
    uint64_t now = process_now_us();
    uint64_t gap = now - l->last_ack_us;
    l->gap_us = gap > l->gap_us ? gap : l->gap_us;
    l->last_ack_us = now;
    row_book_acked(l->book, s->write.value);
    s->state = IDLE;
    s->at_us = now + l->options.pause_ms * 1000;
}

static void again(struct slot *s, const struct grpc_result *r)
{
    s->state = READY;
    s->at_us = process_now_us() + backoff_us(++s->tries);
    turn_elsewhere(s->writer, r);
}

static void on_write_message(void *context, struct bytes message)
{
    (void)context;
    (void)message; /* its status says all */
}

static void on_write_done(void *context, const struct grpc_result *r)
{
    struct slot *s = context;
    struct load *l = s->writer->load;
    if (l->closing) {
        return;
    }
    CHECK(s->state == SENT);
    switch (r->status) {
    case GRPC_OK:
        acknowledged(s);
        return;
    case GRPC_ABORTED: /* unknown: also when the session is forgotten, which never gets better */
        if (s->unknown_answers++ < UNKNOWN_ANSWERS_MAX) {
            again(s, r);
        } else {
            s->writer->renew = true;
            s->state = IDLE;
        }
        return;
    case GRPC_UNAVAILABLE:
    case GRPC_DEADLINE_EXCEEDED:
    case GRPC_RESOURCE_EXHAUSTED:
    case GRPC_CANCELLED:
        again(s, r);
        return;
    case GRPC_UNKNOWN:
    case GRPC_INVALID_ARGUMENT:
    case GRPC_NOT_FOUND:
    case GRPC_ALREADY_EXISTS:
    case GRPC_PERMISSION_DENIED:
    case GRPC_FAILED_PRECONDITION:
    case GRPC_OUT_OF_RANGE:
    case GRPC_UNIMPLEMENTED:
    case GRPC_INTERNAL:
    case GRPC_DATA_LOSS:
    case GRPC_UNAUTHENTICATED:
    case GRPC_STATUS_COUNT:
        break;
    }
    fault(l, grpc_status_name(r->status), r->message);
    s->writer->renew = true;
    s->state = IDLE;
}

static void send_write(struct slot *s)
{
    static const struct grpc_client_events events = {on_write_message, on_write_done};
    struct writer *w = s->writer;
    const struct slot *first = first_open(w);
    struct buf request = {0};
    s->write.sequence_open = first->write.sequence;
    node_write_encode(&s->write, &request);
    struct grpc_call_request r = {
        .path = "/tidemark.v1.Data/Write",
        .message = buf_bytes(&request),
        .deadline_ms = deadline_ms(w->load, s->large),
    };
    s->state = SENT;
    if (!call(w, &r, &events, s)) {
        s->state = READY;
    }
    buf_deinit(&request);
}

static void begin_write(struct slot *s)
{
    struct writer *w = s->writer;
    struct load *l = w->load;
    struct random *random = cluster_random(l->cluster);
    s->large = l->options.large_rows > 0 && random_chance(random, 1, LARGE_ONE_IN);
    s->write = (struct node_write){
        .session = w->session,
        .sequence = ++w->sequence,
        .series = w->series,
        .first = row_book_next_key(l->book, w->series),
        .count = s->large ? l->options.large_rows : random_between(random, 1, l->options.rows_max),
    };
    if (random_chance(random, 1, AGAIN_ONE_IN) &&
        row_book_acked_key(l->book, w->series, random_u64(random), &s->write.first)) {
        s->write.count = 1;
        s->large = false;
    }
    s->write.value = row_book_begin(l->book, w->series, s->write.first, s->write.count);
    s->tries = 0;
    s->unknown_answers = 0;
    s->state = READY;
}

static void turn_writer(struct writer *w, uint64_t now)
{
    struct load *l = w->load;
    if (w->renew && first_open(w) == NULL && w->state == OPEN) {
        w->state = NO_SESSION;
    }
    if (w->state == NO_SESSION && now >= w->at_us && !l->draining) {
        open_session(w);
    }
    for (unsigned i = 0; i < l->options.depth && w->state == OPEN; i++) {
        struct slot *s = &w->slots[i];
        if (s->state == IDLE && !l->draining && !w->renew && now >= s->at_us) {
            begin_write(s);
        }
        if (s->state == READY && (s->tries == 0 || now >= s->at_us)) {
            send_write(s);
        }
    }
}

static bool is_idle(const struct load *l)
{
    for (unsigned i = 0; i < l->options.writers; i++) {
        const struct writer *w = &l->writers[i];
        for (unsigned k = 0; k < l->options.depth; k++) {
            if (w->slots[k].state != IDLE) {
                return false;
            }
        }
        if (w->state == OPENING) {
            return false;
        }
    }
    return l->reg == NULL || reg_is_idle(l->reg);
}

static bool on_turn(void *context)
{
    struct load *l = context;
    uint64_t now = process_now_us();
    for (unsigned i = 0; i < l->options.writers; i++) {
        turn_writer(&l->writers[i], now);
    }
    if (l->reg != NULL) {
        reg_turn(l->reg, now, l->draining);
    }
    if (l->faults > 0 || (l->reg != NULL && reg_fault(l->reg) != NULL)) {
        cluster_fail(l->cluster, "%s", l->faults > 0 ? l->fault : reg_fault(l->reg));
    }
    return !l->draining || !is_idle(l);
}

/* --- life --- */

static void make_table(struct cluster *c)
{
    struct err e;
    uint64_t end_us = process_now_us() + UINT64_C(1000) * CLUSTER_WAIT_MS;
    while (node_make_table(cluster_client(c, cluster_wait_leader(c)), &e) != ERR_OK) {
        if (process_now_us() > end_us) {
            cluster_fail(c, "no table: %s", e.text);
        }
        cluster_turn(c, BACKOFF_MAX_MS);
    }
}

struct load *load_open(struct cluster *c, const struct load_options *options)
{
    struct load *l = mem_zalloc(sizeof *l);
    l->cluster = c;
    l->options = *options;
    l->options.writers = options->writers == 0 ? (unsigned)WRITERS : options->writers;
    l->options.depth = options->depth == 0 ? (unsigned)DEPTH : options->depth;
    l->options.rows_max = options->rows_max == 0 ? (unsigned)ROWS : options->rows_max;
    CHECK(l->options.writers <= WRITERS_MAX);
    CHECK(l->options.depth <= DEPTH_MAX);
    l->book = row_book_open();
    make_table(c);
    if (options->reads) {
        l->reg = reg_open(c, l->book);
    }
    for (unsigned i = 0; i < l->options.writers; i++) {
        struct writer *w = &l->writers[i];
        *w = (struct writer){
            .load = l, .series = i + 1, .follows = i % 2 == 1, .target = i % cluster_size(c)};
        for (unsigned k = 0; k < DEPTH_MAX; k++) {
            w->slots[k].writer = w;
        }
    }
    load_gap_begin(l);
    cluster_on_turn(c, on_turn, l);
    return l;
}

static bool wait_idle(struct load *l, unsigned limit_ms)
{
    uint64_t end_us = process_now_us() + UINT64_C(1000) * limit_ms;
    while (!is_idle(l) && process_now_us() < end_us) {
        cluster_turn(l->cluster, 5);
    }
    return is_idle(l);
}

/* What is not answered by now stays unknown; its session goes with it. */
static void give_up(struct writer *w)
{
    for (unsigned i = 0; i < DEPTH_MAX; i++) {
        if (w->slots[i].state == READY) {
            w->slots[i].state = IDLE;
            w->renew = true;
        }
    }
}

void load_drain(struct load *l, unsigned limit_ms)
{
    l->draining = true;
    if (wait_idle(l, limit_ms)) {
        return;
    }
    /* Calls that are out end by their deadline; none is tried again. */
    uint64_t end_us = process_now_us() + UINT64_C(2000) * LARGE_TRY_LIMIT_MS;
    while (!is_idle(l) && process_now_us() < end_us) {
        for (unsigned i = 0; i < l->options.writers; i++) {
            give_up(&l->writers[i]);
        }
        if (l->reg != NULL) {
            reg_give_up(l->reg);
        }
        cluster_turn(l->cluster, 5);
    }
    if (!is_idle(l)) {
        cluster_fail(l->cluster, "a call outlives its deadline");
    }
}

void load_go(struct load *l)
{
    l->draining = false;
    load_gap_begin(l);
}

void load_close(struct load *l)
{
    load_drain(l, 0);
    l->closing = true;
    cluster_on_turn(l->cluster, NULL, NULL);
    if (l->reg != NULL) {
        reg_close(l->reg);
    }
    row_book_close(l->book);
    mem_free(l);
}

/* Until 'count' has grown by so many; it must not stand still for long. */
static void run_until(struct load *l, uint64_t (*count)(const struct load *l), uint64_t more,
                      const char *what)
{
    uint64_t begin = count(l);
    uint64_t seen = begin;
    uint64_t seen_us = process_now_us();
    while (count(l) < begin + more) {
        if (count(l) > seen) {
            seen = count(l);
            seen_us = process_now_us();
        }
        if (process_now_us() > seen_us + UINT64_C(1000) * CLUSTER_WAIT_MS) {
            cluster_fail(l->cluster, "%" PRIu64 " of %" PRIu64 " %s, and none for %u ms",
                         seen - begin, more, what, (unsigned)CLUSTER_WAIT_MS);
        }
        cluster_turn(l->cluster, 5);
    }
}

void load_run(struct load *l, uint64_t acks)
{
    run_until(l, load_acks, acks, "writes acknowledged");
}

uint64_t load_acks(const struct load *l)
{
    return row_book_acked_writes(l->book);
}

void load_gap_begin(struct load *l)
{
    l->last_ack_us = process_now_us();
    l->gap_us = 0;
}

uint64_t load_gap_ms(const struct load *l)
{
    uint64_t open_us = process_now_us() - l->last_ack_us;
    return (open_us > l->gap_us ? open_us : l->gap_us) / 1000;
}

uint64_t load_gap_end(struct load *l)
{
    CHECK(l->gap_count < GAPS_MAX);
    uint64_t gap_ms = load_gap_ms(l);
    l->gaps_ms[l->gap_count++] = gap_ms;
    return gap_ms;
}

static int compare_rising(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return x < y ? -1 : x > y ? 1 : 0;
}

void load_expect_gaps(struct load *l, const char *title, uint64_t limit_ms)
{
    REQUIRE(l->gap_count > 0);
    qsort(l->gaps_ms, l->gap_count, sizeof l->gaps_ms[0], compare_rising);
    uint64_t median_ms = l->gaps_ms[l->gap_count / 2];
    (void)printf("%s, %zu times: no write for %" PRIu64 " ms at the median, %" PRIu64
                 " ms at most\n",
                 title, l->gap_count, median_ms, l->gaps_ms[l->gap_count - 1]);
    EXPECT(median_ms <= limit_ms);
}

uint64_t load_reads(const struct load *l)
{
    return l->reg == NULL ? 0 : reg_reads(l->reg);
}

void load_wait_reads(struct load *l, uint64_t reads)
{
    run_until(l, load_reads, reads, "reads answered");
}

/* --- checking --- */

static void on_row(void *context, unsigned series, uint64_t key, uint64_t value)
{
    row_book_scan_row(context, series, key, value);
}

struct row_book_verdict load_scan(struct load *l, size_t node, bool stale)
{
    struct node_scan scan = {.stale = stale, .series = -1, .row = on_row, .context = l->book};
    struct node_client client = *cluster_client(l->cluster, node);
    client.timeout_ms = SCAN_LIMIT_MS;
    struct err e;
    enum err_code code = ERR_UNAVAILABLE;
    uint64_t end_us = process_now_us() + UINT64_C(1000) * CLUSTER_WAIT_MS;
    while (code == ERR_UNAVAILABLE && process_now_us() < end_us) {
        row_book_scan_begin(l->book);
        code = node_scan(&client, &scan, &e);
        if (code == ERR_OK) {
            return row_book_scan_end(l->book);
        }
        cluster_turn(l->cluster, BACKOFF_MAX_MS);
    }
    cluster_fail(l->cluster, "scan on %s: %s", cluster_name(l->cluster, node), e.text);
}

void load_check(struct load *l)
{
    load_drain(l, CLUSTER_WAIT_MS);
    cluster_expect_equal_state(l->cluster);
    for (size_t i = 0; i < cluster_size(l->cluster); i++) {
        const struct process *p = cluster_process(l->cluster, i);
        if (p->id == 0 || p->paused) {
            continue;
        }
        struct row_book_verdict v = load_scan(l, i, false);
        if (!row_book_is_good(&v)) {
            cluster_fail(l->cluster,
                         "scan on %s: %" PRIu64 " rows, %" PRIu64 " lost, %" PRIu64
                         " wrong, %" PRIu64 " never written, %" PRIu64 " torn writes; first: %s",
                         cluster_name(l->cluster, i), v.found, v.lost, v.wrong, v.phantom, v.torn,
                         v.first);
        }
    }
}

void load_print(const struct load *l, const char *title)
{
    (void)printf("%s: %" PRIu64 " writes acknowledged (%" PRIu64 " rows), %" PRIu64
                 " unknown, 0 lost; %" PRIu64 " linearizable reads\n",
                 title, load_acks(l), row_book_acked_rows(l->book),
                 row_book_unknown_writes(l->book), load_reads(l));
}
