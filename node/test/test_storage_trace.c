/* SPDX-License-Identifier: Apache-2.0 */
/* 200 operations on a data directory: hard state, control file, both logs, cuts,
 * drops, replacements, marks, segment changes, clean and unclean restarts. Before every call
 * of the disk the power fails on a copy of it, with every kind of loss of what was not
 * synced; the copy is opened and compared with what was promised until then.
 *
 * A log is judged by its records: what it holds must be what the first k of them
 * make, k between those that were synced and those that were begun. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "node/storage.h"
#include "testkit/fake_disk.h"
#include "testkit/test.h"

enum {
    SEGMENT_SIZE = 64 * 1024,
    PAYLOAD_MAX = 6000,
    RECORDS_MAX = 1024, /* of one log, in the whole trace */
    INDEX_MAX = 1024,
    LOG_COUNT = 2,
    FAILURES_SHOWN = 3,
    CLUSTER = 77,
};

/* One record of a log: an entry, or (payload 0) a drop of all from its index on. */
struct record {
    uint64_t index;
    uint64_t term;
    uint64_t payload; /* its number */
    bool joined;      /* does not count without the next one */
};

struct log_model {
    struct record records[RECORDS_MAX];
    size_t begun;
    size_t synced;
    size_t written; /* appended, and a sync was not yet asked for */
    uint64_t cut_begun, cut_done;
    uint64_t cut_term;
    bool made;
};

/* What a log holds: by index, 0 where it holds nothing. */
struct held {
    uint64_t last;
    uint64_t terms[INDEX_MAX];
    uint64_t payloads[INDEX_MAX];
};

struct promise {
    uint64_t done, begun;
};

struct trace {
    struct fake_disk *disk;
    struct fake_disk *copy; /* on which the power fails */
    struct storage *storage;
    struct log_model logs[LOG_COUNT];
    struct held live[LOG_COUNT];
    struct promise term, vote, checkpoint, counter;
    struct random random;
    uint64_t payload_next;
    /* what is tried */
    unsigned singles; /* at most so many at each call */
    unsigned subsets;
    struct random losses;
    /* what came out */
    uint64_t calls, opens;
    unsigned failures;
    bool quiet; /* failures are expected */
    char why[ERR_TEXT_SIZE];
};

static bool wrong(struct trace *t, const char *format, ...) ERR_FORMAT(2, 3);

static bool wrong(struct trace *t, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(t->why, sizeof t->why, format, arguments);
    va_end(arguments);
    return false;
}

static bool full(void)
{
    const char *rounds = getenv("TIDEMARK_ROUNDS");
    return rounds != NULL && strcmp(rounds, "full") == 0;
}

/* --- payloads: made from their number, so that nothing has to be kept --- */

static size_t payload_size(uint64_t number)
{
    struct random r = random_seeded(number);
    return 16 + random_below(&r, number % 4 == 0 ? PAYLOAD_MAX - 16 : 700);
}

static struct bytes payload_of(uint64_t number, uint8_t *dst)
{
    size_t size = payload_size(number);
    for (size_t i = 0; i < size; i++) {
        dst[i] = (uint8_t)(number >> i % 8 * 8 ^ i / 8);
    }
    return bytes_of(dst, size);
}

/* 0: no payload of ours. */
static uint64_t number_of(struct bytes payload)
{
    static uint8_t want[PAYLOAD_MAX];
    uint64_t number = 0;
    for (size_t i = 0; i < 8 && i < payload.size; i++) {
        number |= (uint64_t)payload.data[i] << i * 8;
    }
    bool ours = payload_size(number) == payload.size &&
                memcmp(payload_of(number, want).data, payload.data, payload.size) == 0;
    return ours ? number : 0;
}

/* --- what the records of a log make --- */

static void held_add(struct held *h, const struct record *r)
{
    for (uint64_t i = r->index; i <= h->last; i++) {
        h->payloads[i] = 0;
        h->terms[i] = 0;
    }
    h->last = r->payload == 0 ? r->index - 1 : r->index;
    while (h->last > 0 && h->payloads[h->last] == 0) {
        h->last--; /* a local log skips indexes */
    }
    if (r->payload != 0) {
        h->payloads[r->index] = r->payload;
        h->terms[r->index] = r->term;
        h->last = r->index;
    }
}

static bool held_same(const struct held *a, const struct held *b, uint64_t from)
{
    uint64_t last = a->last > b->last ? a->last : b->last;
    for (uint64_t i = from; i <= last; i++) {
        if (a->payloads[i] != b->payloads[i] || a->terms[i] != b->terms[i]) {
            return false;
        }
    }
    return true;
}

/* --- what a directory holds --- */

static bool read_log(struct trace *t, struct wal *w, struct held *h)
{
    struct wal_entry entries[64];
    struct buf storage = {0};
    size_t count = 1;
    bool ok = true;
    memset(h, 0, sizeof *h);
    for (uint64_t i = wal_index_first(w); ok && i <= wal_index_last(w) && count > 0;) {
        struct err e = {0};
        buf_reset(&storage);
        if (wal_read(w, i, 64, 1 << 20, &storage, entries, &count, &e) != ERR_OK) {
            ok = wrong(t, "read: %s", e.text);
        }
        for (size_t k = 0; ok && k < count; k++) {
            uint64_t number = number_of(entries[k].payload);
            ok = number != 0 && entries[k].index < INDEX_MAX;
            if (!ok) {
                (void)wrong(t, "invented: entry %" PRIu64, entries[k].index);
                break;
            }
            struct record r = {entries[k].index, entries[k].term, number, false};
            held_add(h, &r);
            i = r.index + 1;
        }
    }
    buf_deinit(&storage);
    return ok;
}

static bool judge_log(struct trace *t, const struct log_model *model, struct storage *s,
                      enum storage_log which)
{
    static struct held found;
    static struct held want;
    const char *name = which == STORAGE_RAFT ? "raft" : "wal";
    struct wal *w = storage_wal(s, which);
    if (w == NULL) {
        return !model->made || wrong(t, "%s: not there", name);
    }
    size_t holes = 0;
    (void)wal_holes(w, &holes);
    if (holes > 0 || (which == STORAGE_RAFT && wal_end_unknown(w))) {
        return wrong(t, "%s: a power failure is taken for damage", name);
    }
    uint64_t cut = wal_extent(w).index_cut;
    if (cut != model->cut_done && cut != model->cut_begun) {
        return wrong(t, "%s: cut at %" PRIu64 ", not at %" PRIu64, name, cut, model->cut_done);
    }
    if (!read_log(t, w, &found)) {
        return false;
    }
    memset(&want, 0, sizeof want);
    for (size_t k = 0; k <= model->begun; k++) {
        bool counts = k >= model->synced && (k == 0 || !model->records[k - 1].joined);
        if (counts && held_same(&found, &want, cut + 1)) {
            return true;
        }
        if (k < model->begun) {
            held_add(&want, &model->records[k]);
        }
    }
    return wrong(t, "%s: lost or invented: last %" PRIu64 ", %zu of %zu records were synced", name,
                 found.last, model->synced, model->begun);
}

static bool kept(struct trace *t, const char *what, uint64_t value, const struct promise *p)
{
    return value == p->done || value == p->begun ||
           wrong(t, "%s is %" PRIu64 ", not %" PRIu64 " or %" PRIu64, what, value, p->done,
                 p->begun);
}

static bool judge(struct trace *t, struct storage *s)
{
    const struct hard_state *h = storage_hard(s);
    return (h->start_counter > t->counter.done || wrong(t, "a start counter is used again")) &&
           kept(t, "term", h->term, &t->term) && kept(t, "vote", h->voted_for, &t->vote) &&
           kept(t, "checkpoint", storage_control(s)->checkpoint_index, &t->checkpoint) &&
           judge_log(t, &t->logs[STORAGE_RAFT], s, STORAGE_RAFT) &&
           judge_log(t, &t->logs[STORAGE_LOCAL], s, STORAGE_LOCAL);
}

/* --- a power failure on the copy --- */

static enum err_code open_on(struct fake_disk *d, int mode, struct storage **out, struct err *e)
{
    struct storage_options options = {
        .io = fake_disk_io(d),
        .dir = "/data",
        .name = "n1",
        .segment_size = SEGMENT_SIZE,
        .recovery_mode = mode,
    };
    return storage_open(&options, out, e);
}

static bool opens_right(struct trace *t, int mode)
{
    struct storage *s = NULL;
    struct err e = {0};
    enum err_code code = open_on(t->copy, mode, &s, &e);
    if (code == ERR_CORRUPT && mode == WAL_ABSOLUTE_CONSISTENCY) {
        code = open_on(t->copy, -1, &s, &e); /* the one refusal that was asked for */
    }
    t->opens++;
    if (code != ERR_OK) {
        return wrong(t, "a start is refused: %s", e.text);
    }
    bool right = judge(t, s);
    if (storage_close(s, false, &e) != ERR_OK) {
        return wrong(t, "close: %s", e.text);
    }
    return right;
}

/* 'variant' 0: nothing is kept, 1: everything, then single ones, then subsets. */
static void try_loss(struct trace *t, const struct fake_disk_image *image, uint64_t variant,
                     uint64_t singles)
{
    fake_disk_restore(t->copy, image);
    uint64_t count = fake_disk_pending(t->copy);
    uint64_t names = fake_disk_pending_names(t->copy);
    uint64_t names_kept = variant < 2 ? variant * names : random_below(&t->losses, names + 1);
    uint64_t single = singles == count ? variant - 2 : random_below(&t->losses, count + 1);
    bool *keep = mem_array(count + 1, sizeof *keep);
    for (uint64_t i = 0; i < count; i++) {
        keep[i] = variant < 2             ? variant == 1
                  : variant < 2 + singles ? i == single
                                          : random_chance(&t->losses, 1, 2);
    }
    fake_disk_power_fail_keep(t->copy, keep, names_kept);
    mem_free(keep);
    int mode = (int)(variant % 5) - 1;
    bool right = opens_right(t, mode);
    if (right && variant % 8 == 0) { /* what open wrote is not to be lost either */
        fake_disk_power_fail_lose_all(t->copy);
        right = opens_right(t, -1);
    }
    if (!right && t->failures++ < FAILURES_SHOWN && !t->quiet) {
        (void)printf("\n    call %" PRIu64 " variant %" PRIu64 " of %" PRIu64 " sectors, %" PRIu64
                     " of %" PRIu64 " names, mode %d: %s",
                     t->calls, variant, count, names_kept, names, mode, t->why);
    }
}

static void before_call(void *context)
{
    struct trace *t = context;
    t->calls++;
    if (t->failures >= FAILURES_SHOWN) {
        return;
    }
    t->losses = random_seeded(t->calls);
    uint64_t singles = fake_disk_pending(t->disk);
    singles = singles > t->singles ? t->singles : singles;
    struct fake_disk_image *image = fake_disk_snapshot(t->disk);
    for (uint64_t variant = 0; variant < 2 + singles + t->subsets; variant++) {
        try_loss(t, image, variant, singles);
    }
    fake_disk_image_free(image);
}

/* --- the operations --- */

static uint64_t below(struct trace *t, uint64_t limit)
{
    return random_below(&t->random, limit);
}

static void begin_record(struct log_model *model, struct record r)
{
    REQUIRE(model->begun < RECORDS_MAX);
    REQUIRE(r.index < INDEX_MAX);
    model->records[model->begun++] = r;
}

static void take_records(struct trace *t, enum storage_log which, size_t from)
{
    struct log_model *model = &t->logs[which];
    for (size_t i = from; i < model->begun; i++) {
        held_add(&t->live[which], &model->records[i]);
    }
    model->written = model->begun;
}

/* 'first' is where the entries go: behind the last, or (Raft) in place of some. */
static void append(struct trace *t, enum storage_log which, uint64_t first, size_t count,
                   bool replace)
{
    static uint8_t payloads[16][PAYLOAD_MAX];
    struct wal_entry entries[16];
    struct log_model *model = &t->logs[which];
    size_t from = model->begun;
    struct err e = {0};
    uint64_t index = first;
    REQUIRE(count > 0 && count <= 16);
    for (size_t i = 0; i < count; i++) {
        struct record r = {index, t->term.done, ++t->payload_next, replace && i + 1 < count};
        entries[i] = (struct wal_entry){.index = r.index,
                                        .term = r.term,
                                        .type = WAL_COMMAND,
                                        .payload = payload_of(r.payload, payloads[i])};
        begin_record(model, r);
        index += which == STORAGE_LOCAL ? 1 + below(t, 2) : 1;
    }
    struct wal *w = storage_wal(t->storage, which);
    REQUIRE_OK(replace ? wal_replace(w, entries, count, t->checkpoint.done, &e)
                       : wal_append(w, entries, count, t->checkpoint.done, &e));
    take_records(t, which, from);
    if (replace) {
        model->synced = model->begun;
    } else {
        storage_want_sync(t->storage, which);
    }
}

static void append_raft(struct trace *t, bool replace)
{
    const struct log_model *model = &t->logs[STORAGE_RAFT];
    uint64_t last = t->live[STORAGE_RAFT].last;
    uint64_t back = below(t, 3) == 0 || replace ? below(t, 4) : 0;
    last = last < model->cut_done ? model->cut_done : last;
    back = back > last - model->cut_done ? last - model->cut_done : back;
    append(t, STORAGE_RAFT, last + 1 - back, 1 + below(t, 8), replace);
}

static void append_local(struct trace *t)
{
    uint64_t last = t->live[STORAGE_LOCAL].last;
    uint64_t cut = t->logs[STORAGE_LOCAL].cut_done;
    append(t, STORAGE_LOCAL, (last < cut ? cut : last) + 1 + below(t, 3), 1 + below(t, 4), false);
}

static void drop(struct trace *t)
{
    struct log_model *model = &t->logs[STORAGE_RAFT];
    uint64_t last = t->live[STORAGE_RAFT].last;
    if (last <= model->cut_done) {
        return;
    }
    uint64_t back = below(t, 3);
    uint64_t index = last - model->cut_done > back ? last - back : model->cut_done + 1;
    size_t from = model->begun;
    struct err e = {0};
    begin_record(model, (struct record){.index = index});
    REQUIRE_OK(wal_drop(storage_wal(t->storage, STORAGE_RAFT), index, t->checkpoint.done, &e));
    take_records(t, STORAGE_RAFT, from);
    storage_want_sync(t->storage, STORAGE_RAFT);
}

static void sync_logs(struct trace *t)
{
    size_t written[LOG_COUNT] = {t->logs[0].written, t->logs[1].written};
    storage_sync(t->storage);
    REQUIRE(storage_failed(t->storage) == NULL);
    for (size_t i = 0; i < LOG_COUNT; i++) {
        t->logs[i].synced = written[i];
    }
}

static void mark(struct trace *t)
{
    struct err e = {0};
    for (size_t i = 0; i < LOG_COUNT; i++) {
        struct wal *w = storage_wal(t->storage, (enum storage_log)i);
        REQUIRE_OK(wal_mark(w, t->checkpoint.done, &e));
        t->logs[i].synced = t->logs[i].written;
    }
}

static void prepare(struct trace *t)
{
    struct err e = {0};
    bool done = false;
    enum storage_log which = (enum storage_log)below(t, LOG_COUNT);
    REQUIRE_OK(wal_prepare(storage_wal(t->storage, which), SEGMENT_SIZE / 4, &done, &e));
}

static void vote(struct trace *t)
{
    struct hard_state *next = mem_dup(storage_hard(t->storage), sizeof *next);
    struct err e = {0};
    next->term += below(t, 2) + (t->vote.done != 0 ? 1 : 0);
    next->voted_for = 1 + below(t, 3);
    t->term.begun = next->term;
    t->vote.begun = next->voted_for;
    REQUIRE_OK(storage_put_hard(t->storage, next, &e));
    t->term.done = next->term;
    t->vote.done = next->voted_for;
    mem_free(next);
}

/* The control file names it first, then both logs are cut. */
static void checkpoint(struct trace *t)
{
    struct control next = *storage_control(t->storage);
    struct err e = {0};
    uint64_t index = t->live[STORAGE_RAFT].last;
    if (index <= t->checkpoint.done + 4 || t->logs[STORAGE_RAFT].synced != t->logs[0].begun) {
        return;
    }
    index -= 2;
    next.checkpoint_index = index;
    next.checkpoint_term = t->live[STORAGE_RAFT].terms[index];
    t->checkpoint.begun = index;
    REQUIRE_OK(storage_put_control(t->storage, &next, &e));
    t->checkpoint.done = index;
    for (size_t i = 0; i < LOG_COUNT; i++) {
        struct log_model *model = &t->logs[i];
        model->cut_begun = index;
        struct wal *w = storage_wal(t->storage, (enum storage_log)i);
        if (i == STORAGE_RAFT || t->live[i].last >= index) {
            REQUIRE_OK(wal_cut(w, index, next.checkpoint_term, &e));
        }
        model->cut_begun = wal_extent(w).index_cut;
        model->cut_done = model->cut_begun;
    }
}

static void raise_counter(struct trace *t)
{
    struct err e = {0};
    t->counter.begun++;
    REQUIRE_OK(storage_raise_counter(t->storage, &e));
    t->counter.done = storage_hard(t->storage)->start_counter;
}

static void open_trace(struct trace *t)
{
    struct err e = {0};
    REQUIRE_OK(open_on(t->disk, -1, &t->storage, &e));
    t->counter.done = storage_hard(t->storage)->start_counter;
}

static void restart(struct trace *t, bool clean)
{
    struct err e = {0};
    if (clean) {
        sync_logs(t);
    } else {
        fake_disk_kill(t->disk);
    }
    REQUIRE_OK(storage_close(t->storage, clean, &e));
    t->storage = NULL;
    open_trace(t);
    for (size_t i = 0; i < LOG_COUNT; i++) { /* a kill keeps all, and open makes it durable */
        t->logs[i].synced = t->logs[i].begun;
    }
}

static void found(struct trace *t)
{
    struct hard_state *h = mem_dup(storage_hard(t->storage), sizeof *h);
    struct control c = *storage_control(t->storage);
    struct err e = {0};
    h->cluster_id = CLUSTER;
    h->term = 1;
    t->term.begun = 1;
    REQUIRE_OK(storage_put_hard(t->storage, h, &e));
    t->term.done = 1;
    c.cluster_id = CLUSTER;
    REQUIRE_OK(storage_put_control(t->storage, &c, &e));
    for (size_t i = 0; i < LOG_COUNT; i++) {
        REQUIRE_OK(storage_make_log(t->storage, (enum storage_log)i, 0, 0, &e));
        t->logs[i].made = true;
    }
    mem_free(h);
}

static void operate(struct trace *t, unsigned operation)
{
    if (operation % 67 == 66) {
        restart(t, operation % 2 == 0);
        return;
    }
    switch (below(t, 16)) {
    case 0:
    case 1:
    case 2:
    case 3:
        append_raft(t, false);
        break;
    case 4:
    case 5:
    case 6:
        append_local(t);
        break;
    case 7:
    case 8:
        sync_logs(t);
        break;
    case 9:
        drop(t);
        break;
    case 10:
        mark(t);
        break;
    case 11:
        prepare(t);
        break;
    case 12:
        vote(t);
        break;
    case 13:
        append_raft(t, true);
        break;
    case 14:
        raise_counter(t);
        break;
    default:
        checkpoint(t);
        break;
    }
}

static void init(struct trace *t, uint64_t seed)
{
    memset(t, 0, sizeof *t);
    t->disk = fake_disk_create(seed);
    t->copy = fake_disk_create(seed);
    t->random = random_seeded(seed);
}

static void run(struct trace *t, unsigned operations)
{
    fake_disk_watch(t->disk, before_call, t);
    open_trace(t);
    found(t);
    for (unsigned i = 0; i < operations; i++) {
        operate(t, i);
    }
    fake_disk_watch(t->disk, NULL, NULL);
}

static void deinit(struct trace *t)
{
    EXPECT_OK(storage_close(t->storage, false, NULL));
    fake_disk_destroy(t->copy);
    fake_disk_destroy(t->disk);
}

/* --- the tests --- */

static struct trace trace;

TEST(storage_trace, every_crash_of_200_operations_leaves_what_was_promised)
{
    struct trace *t = &trace;
    init(t, 1);
    t->singles = full() ? UINT32_MAX : TEST_SANITIZED ? 2 : 12;
    t->subsets = full() ? 64 : TEST_SANITIZED ? 2 : 8;
    run(t, 200);
    EXPECT_UINT(t->failures, 0);
    struct wal_extent raft = wal_extent(storage_wal(t->storage, STORAGE_RAFT));
    struct wal_extent local = wal_extent(storage_wal(t->storage, STORAGE_LOCAL));
    (void)printf("%" PRIu64 " calls, %" PRIu64 " power failures, segments %u and %u ", t->calls,
                 t->opens, (unsigned)raft.segment_last, (unsigned)local.segment_last);
    EXPECT(t->calls > 500);
    EXPECT(raft.segment_last > 3);
    EXPECT(raft.segment_first > 1);
    EXPECT(local.segment_last > 2);
    EXPECT(t->term.done > 5);
    deinit(t);
}

/* One disk for each sync that a promise rests on, which does not do it. */
TEST(storage_trace, finds_what_a_missing_sync_loses)
{
    static const struct {
        const char *path;
        enum fake_disk_call call;
    } lies[] = {
        {"/data/hard-state", FAKE_DISK_SYNC}, {"/data/control", FAKE_DISK_SYNC},
        {"/data/raft/0", FAKE_DISK_SYNC},     {"/data/wal/0", FAKE_DISK_SYNC},
        {"/data/raft", FAKE_DISK_SYNC_DIR},   {"/data/wal", FAKE_DISK_SYNC_DIR},
        {"/data", FAKE_DISK_SYNC_DIR},
    };
    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
        struct trace *t = &trace;
        test_context("%s %d: ", lies[i].path, (int)lies[i].call);
        init(t, 2);
        t->subsets = 1;
        t->quiet = true;
        fake_disk_fail(t->disk, (struct fake_disk_fault){.call = lies[i].call,
                                                         .path = lies[i].path,
                                                         .nth = 1,
                                                         .for_ever = true,
                                                         .code = ERR_OK});
        run(t, 100);
        EXPECT(t->failures > 0);
        deinit(t);
    }
}
