/* SPDX-License-Identifier: Apache-2.0 */
#include "node/test/membership/world.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/check.h"
#include "base/mem.h"

enum {
    FAULT_STEPS_MIN = 200,
    FAULT_STEPS_RANGE = 1800,
    HEAL_STEPS_MAX = 12000,
    UNCOMMITTED_MAX = 6, /* entries, beyond which the leader proposes no starts */
};

/* --- small things --- */

uint64_t below(struct world *w, uint64_t limit)
{
    return random_below(&w->random, limit);
}

uint64_t world_fresh(struct world *w)
{
    return ++w->fresh;
}

void trace(const struct world *w, const char *format, ...)
{
    if (!w->verbose) {
        return;
    }
    va_list args;
    va_start(args, format);
    (void)printf("%6" PRId64 " ", w->now);
    (void)vprintf(format, args);
    (void)printf("\n");
    va_end(args);
}

void wrong(struct world *w, const char *format, ...)
{
    if (w->wrong[0] == '\0') {
        va_list args;
        va_start(args, format);
        (void)vsnprintf(w->wrong, sizeof w->wrong, format, args);
        va_end(args);
        trace(w, "WRONG: %s", w->wrong);
    }
}

size_t disk_of(const struct world *w, const struct directory *d)
{
    size_t disk = 0;
    while (w->disks[disk] != d) {
        disk++;
        CHECK(disk < DISKS);
    }
    return disk;
}

bool reaches(const struct world *w, size_t a, size_t b)
{
    return w->partition[a] == w->partition[b];
}

/* Any of those that fit, each with the same chance. */
size_t disk_with_id(struct world *w, uint64_t id)
{
    size_t found = DISKS;
    uint64_t count = 0;
    for (size_t i = 0; i < DISKS; i++) {
        if (w->disks[i]->up && w->disks[i]->hard.directory_id == id && below(w, ++count) == 0) {
            found = i;
        }
    }
    return found;
}

size_t disk_with_name(struct world *w, size_t name)
{
    size_t found = DISKS;
    uint64_t count = 0;
    for (size_t i = 0; i < DISKS; i++) {
        if (w->disks[i]->up && w->disks[i]->name == name && below(w, ++count) == 0) {
            found = i;
        }
    }
    return found;
}

bool silent(const struct world *w, const struct directory *d, uint64_t id)
{
    return w->now - d->heard[id] > SILENT_AFTER;
}

/* --- messages --- */

struct message *message_new(struct world *w, const struct directory *d, enum message_kind kind)
{
    struct message *m = mem_zalloc(sizeof *m);
    char address[LIMIT_ADDRESS_SIZE_MAX + 1];
    struct identity_self self = {&d->hard, address, "", ""};
    (void)snprintf(address, sizeof address, "n%zu:7071", d->name + 1);
    m->kind = kind;
    m->from = disk_of(w, d);
    m->term = d->hard.term;
    identity_hello_make(&self, 0, &m->hello);
    memcpy(m->starts, d->hard.starts, sizeof m->starts);
    m->start_count = d->hard.start_count;
    return m;
}

static void message_free(struct message *m)
{
    buf_deinit(&m->body);
    mem_free(m);
}

/* Takes it out. */
static struct message *take(struct world *w, size_t at)
{
    struct message *m = w->queue[at];
    w->queued--;
    memmove(&w->queue[at], &w->queue[at + 1], (w->queued - at) * sizeof w->queue[0]);
    return m;
}

void message_send(struct world *w, struct message *m, size_t to)
{
    m->to = to;
    if (to >= DISKS) {
        message_free(m);
        return;
    }
    if (w->queued == QUEUE_MAX) {
        message_free(take(w, below(w, QUEUE_MAX)));
    }
    w->queue[w->queued++] = m;
}

static void deliver(struct world *w, struct message *m)
{
    struct directory *d = w->disks[m->to];
    if (d->up && reaches(w, m->from, m->to)) {
        directory_deliver(w, d, m);
    }
}

static struct message *message_copy(const struct message *m)
{
    struct message *copy = mem_dup(m, sizeof *m);
    copy->body = (struct buf){0};
    buf_put_bytes(&copy->body, buf_bytes(&m->body));
    return copy;
}

/* Any message that waits: lost, delivered, or delivered and kept to come again. */
static void deliver_any(struct world *w)
{
    struct message *m = take(w, below(w, w->queued));
    if (below(w, 12) == 0) {
        message_send(w, message_copy(m), m->to);
    }
    if (below(w, 10) != 0) {
        deliver(w, m);
    }
    message_free(m);
}

/* --- what is seen from above --- */

const struct directory *world_leader(const struct world *w)
{
    const struct directory *best = NULL;
    for (size_t i = 0; i < DISKS; i++) {
        const struct directory *d = w->disks[i];
        if (d->up && d->role == LEADER && (best == NULL || d->hard.term > best->hard.term)) {
            best = d;
        }
    }
    return best;
}

static bool voter_is_well(const struct world *w, uint64_t id, size_t except)
{
    size_t count = 0;
    for (size_t i = 0; i < DISKS; i++) {
        const struct directory *d = w->disks[i];
        count +=
            d->hard.directory_id == id && (i == except || d->up) && !d->fault && !w->partition[i];
    }
    return count == 1 && !w->id_fault[id];
}

bool world_is_healthy(const struct world *w, size_t except)
{
    const struct directory *leader = world_leader(w);
    if (leader == NULL || members_index(leader, leader->count) > leader->commit) {
        return false;
    }
    uint32_t voters = members_of(leader).voters;
    unsigned count = 0;
    for (uint64_t id = 1; id < IDS; id++) {
        count += has(voters, id);
        if (has(voters, id) && !voter_is_well(w, id, except)) {
            return false;
        }
    }
    for (size_t i = 0; i < DISKS; i++) {
        const struct directory *d = w->disks[i];
        if (d->hard.directory_id != 0 && has(voters, d->hard.directory_id) &&
            (d->fault || members_of(d).voters != voters)) {
            return false;
        }
    }
    return count >= NAMES;
}

static bool any_formed(const struct world *w)
{
    for (size_t i = 0; i < DISKS; i++) {
        if (w->disks[i]->hard.cluster_formed) {
            return true;
        }
    }
    return false;
}

/* A directory put back or copied that has not found its place: no further fault. */
static bool fault_is_pending(const struct world *w)
{
    for (size_t i = 0; i < DISKS; i++) {
        const struct directory *d = w->disks[i];
        if (d->up && d->fault && (d->gated || d->leader == 0)) {
            return true;
        }
    }
    return false;
}

/* --- ticks --- */

static bool start_is_logged(const struct directory *d, const struct hard_state_seen *seen)
{
    for (size_t i = 0; i < d->count; i++) {
        const struct entry *e = &d->log[i];
        if (e->kind == ENTRY_START && e->value == seen->directory_id &&
            e->start.counter >= seen->counter) {
            return true;
        }
    }
    return false;
}

static void record_starts(struct world *w, struct directory *d)
{
    struct members now = members_of(d);
    for (size_t i = 0; i < d->hard.seen_count; i++) {
        const struct hard_state_seen *seen = &d->hard.seen[i];
        if (seen->counter == 0 || !has(now.voters | now.spares, seen->directory_id) ||
            d->count - d->commit >= UNCOMMITTED_MAX || below(w, 4) != 0) {
            continue;
        }
        if (!start_is_logged(d, seen)) {
            raft_append(w, d,
                        (struct entry){.kind = ENTRY_START,
                                       .value = seen->directory_id,
                                       .start = {seen->counter, seen->nonce}});
        }
    }
}

static void ask_to_join(struct world *w, struct directory *d)
{
    struct members now = members_of(d);
    uint64_t id = d->hard.directory_id;
    if (has(now.voters, id) && d->leader != 0) {
        return;
    }
    for (size_t i = 0; i < DISKS; i++) {
        if (w->disks[i] != d && w->disks[i]->up) {
            message_send(w, message_new(w, d, MESSAGE_JOIN), i);
        }
    }
}

static void tick(struct world *w, struct directory *d)
{
    if (!d->up) {
        return;
    }
    if (d->hard.cluster_id == 0) {
        directory_tick_founding(w, d);
    } else if (d->gated) {
        directory_tick_gate(w, d);
    } else if (d->role == LEADER) {
        record_starts(w, d);
        raft_advance(w, d);
        raft_replicate(w, d);
        if (d->role == LEADER) {
            steps_tick(w, d);
        }
    } else {
        ask_to_join(w, d);
    }
}

static void write(struct world *w, struct directory *d)
{
    if (d->up && d->role == LEADER && d->hard.cluster_formed) {
        raft_append(w, d, (struct entry){.kind = ENTRY_WRITE, .value = world_fresh(w)});
        raft_advance(w, d);
    }
}

/* An election timeout, or a leader that has lost its quorum. */
static void time_out(struct world *w, struct directory *d)
{
    if (!d->up) {
        return;
    }
    if (d->role != LEADER) {
        size_t leader = d->leader != 0 ? disk_with_id(w, d->leader) : DISKS;
        bool leader_is_well =
            leader < DISKS && !silent(w, d, d->leader) && w->disks[leader]->role == LEADER &&
            reaches(w, leader, disk_of(w, d)) && w->disks[leader]->hard.term >= d->hard.term;
        if (w->healing && leader_is_well) {
            return;
        }
        if (d->leader != 0) {
            d->leader = 0;
        } else if (!w->healing || below(w, 3) == 0) {
            raft_campaign(w, d);
        }
        return;
    }
    uint32_t heard = 1U << d->hard.directory_id;
    for (uint64_t id = 1; id < IDS; id++) {
        heard |= silent(w, d, id) ? 0 : 1U << id;
    }
    if (w->healing ? !is_quorum(heard, members_of(d).voters) : below(w, 3) == 0) {
        d->role = FOLLOWER;
        d->leader = 0;
    }
}

/* --- faults --- */

static void wipe(struct world *w, size_t disk)
{
    struct directory *d = w->disks[disk];
    bool formed = any_formed(w);
    bool founded = w->oracle.cluster_count > 0;
    bool forming = !formed && founded && !w->wiped_forming && w->faults == 0 && disk < NAMES;
    if (d->hard.directory_id == 0 || !(formed ? world_is_healthy(w, disk) : forming)) {
        return;
    }
    w->wiped_forming = w->wiped_forming || !formed;
    w->id_fault[d->hard.directory_id] = true;
    w->faults++;
    w->counts->wipes++;
    trace(w, "disk %zu is WIPED", disk);
    directory_init(d, d->name);
    if (w->images[disk] != NULL) {
        mem_free(w->images[disk]);
        w->images[disk] = NULL;
    }
}

static struct directory *image_of(const struct directory *d)
{
    struct directory *image = mem_dup(d, sizeof *d);
    image->founding = NULL;
    image->up = false;
    image->role = FOLLOWER;
    return image;
}

static void take_image(struct world *w, size_t disk)
{
    struct directory *d = w->disks[disk];
    if (d->hard.directory_id == 0 || d->hard.cluster_id == 0 || d->fault) {
        return;
    }
    mem_free(w->images[disk]);
    w->images[disk] = image_of(d);
    directory_imaged(w, d);
}

/* A witness that was just started has only what it stored. */
static void restart_others(struct world *w, size_t disk)
{
    for (size_t i = 0; i < DISKS; i++) {
        if (i != disk && w->disks[i]->up) {
            directory_crash(w, w->disks[i]);
            directory_start(w, w->disks[i]);
        }
    }
}

static void put_back(struct world *w, size_t disk)
{
    struct directory *d = w->disks[disk];
    const struct directory *image = w->images[disk];
    if (image == NULL || image->epoch != d->epoch ||
        image->hard.directory_id != d->hard.directory_id || !world_is_healthy(w, disk)) {
        return;
    }
    unsigned epoch = d->epoch;
    founding_close(d->founding);
    *d = *image;
    d->epoch = epoch + 1;
    d->fault = true;
    w->id_copied[d->hard.directory_id] = true;
    w->faults++;
    w->counts->images++;
    trace(w, "disk %zu id %" PRIu64 " is PUT BACK to start %" PRIu64, disk, d->hard.directory_id,
          d->hard.start_counter);
    if (below(w, 3) == 0) {
        restart_others(w, disk);
    }
    directory_start(w, d);
    for (uint64_t more = below(w, 4); more > 0; more--) {
        directory_crash(w, d); /* its counter may well reach what was seen */
        directory_start(w, d);
    }
}

static void copy(struct world *w, size_t disk)
{
    struct directory *d = w->disks[disk];
    size_t to = NAMES + below(w, DISKS - NAMES);
    struct directory *other = w->disks[to];
    if (to == disk || other->up || other->hard.directory_id != 0 || d->hard.directory_id == 0 ||
        d->hard.cluster_id == 0 || !world_is_healthy(w, disk)) {
        return;
    }
    struct directory *image = image_of(d);
    directory_imaged(w, d);
    founding_close(other->founding);
    *other = *image;
    mem_free(image);
    other->fault = true;
    w->id_copied[d->hard.directory_id] = true;
    w->faults++;
    w->counts->copies++;
    trace(w, "disk %zu id %" PRIu64 " is COPIED to disk %zu", disk, d->hard.directory_id, to);
    directory_start(w, other);
}

static void add_machine(struct world *w)
{
    struct directory *d = w->disks[NAMES + below(w, DISKS - NAMES)];
    if (d->hard.directory_id != 0 || d->up || w->second_machine || !any_formed(w)) {
        return;
    }
    w->second_machine = true;
    directory_init(d, below(w, NAMES));
    directory_start(w, d);
}

static void crash(struct world *w, struct directory *d)
{
    if (d->up && !fault_is_pending(w)) {
        directory_crash(w, d);
    }
}

static void divide(struct world *w)
{
    memset(w->partition, 0, sizeof w->partition);
    if (below(w, 2) == 0 && !fault_is_pending(w)) {
        w->partition[below(w, DISKS)] = true;
    }
}

/* Half of the runs have many of the faults that identity is about. */
static uint64_t draw_fault(struct world *w)
{
    enum { FAULTS = 13, IMAGE = 6, PUT_BACK = 8 };
    if (w->many_images && below(w, 2) == 0) {
        return below(w, 2) == 0 ? IMAGE : PUT_BACK + below(w, 3);
    }
    return below(w, FAULTS);
}

static void fault(struct world *w)
{
    size_t disk = below(w, DISKS);
    struct directory *d = w->disks[disk];
    switch (draw_fault(w)) {
    case 0:
    case 1:
        crash(w, d);
        break;
    case 2:
    case 3:
    case 4:
        if (d->hard.directory_id != 0 || disk < NAMES) {
            directory_start(w, d);
        }
        break;
    case 5:
        divide(w);
        break;
    case 6:
        take_image(w, disk);
        break;
    case 7:
        wipe(w, disk);
        break;
    case 8:
    case 9:
        put_back(w, disk);
        break;
    case 10:
        copy(w, disk);
        break;
    case 11:
        add_machine(w);
        break;
    default:
        if (world_leader(w) != NULL && below(w, 4) == 0) {
            crash(w, w->disks[disk_of(w, world_leader(w))]);
        }
        break;
    }
}

/* --- the run --- */

static void step(struct world *w)
{
    enum { MESSAGE = 55, TICK = 88, TIMEOUT = 92, CLIENT = 95, ALL = 100 };
    w->now++;
    for (unsigned i = 0; w->healing && w->queued > 0 && i < 400; i++) {
        struct message *m = take(w, 0); /* a fair network */
        deliver(w, m);
        message_free(m);
    }
    uint64_t kind = w->healing ? MESSAGE + below(w, ALL - MESSAGE) : below(w, ALL);
    struct directory *d = w->disks[below(w, DISKS)];
    if (kind < MESSAGE && w->queued > 0) {
        deliver_any(w);
    } else if (kind < TICK) {
        tick(w, d);
    } else if (kind < TIMEOUT) {
        time_out(w, d);
    } else if (kind < CLIENT) {
        if (!w->healing || below(w, 5) == 0) {
            write(w, d);
        }
    } else if (!w->healing) {
        fault(w);
    }
}

/* One formed cluster, led, with a voter for each name that lives. */
static bool is_well(const struct world *w)
{
    const struct directory *leader = world_leader(w);
    if (leader == NULL || !leader->hard.cluster_formed ||
        members_index(leader, leader->count) > leader->commit) {
        return false;
    }
    uint32_t voters = members_of(leader).voters;
    unsigned names = 0;
    unsigned count = 0;
    for (uint64_t id = 1; id < IDS; id++) {
        if (has(voters, id)) {
            names |= 1U << w->id_name[id];
            count++;
        }
    }
    unsigned want = 0;
    unsigned want_count = 0;
    for (size_t i = 0; i < NAMES; i++) {
        want |= w->name_dead[i] ? 0 : 1U << i;
        want_count += !w->name_dead[i];
    }
    return names == want && count == want_count;
}

static void heal(struct world *w)
{
    bool one_dies = below(w, 3) == 0;
    size_t name = below(w, NAMES);
    memset(w->partition, 0, sizeof w->partition);
    w->healing = true;
    trace(w, "HEAL");
    if (one_dies && any_formed(w) && world_is_healthy(w, DISKS)) {
        trace(w, "n%zu is dead for ever", name + 1);
        w->name_dead[name] = true;
        for (size_t i = 0; i < DISKS; i++) {
            if (w->disks[i]->name == name) {
                directory_crash(w, w->disks[i]);
                w->disks[i]->dead = true;
            }
        }
    }
    for (size_t i = 0; i < DISKS; i++) {
        if (w->disks[i]->hard.directory_id != 0 || i < NAMES) {
            directory_start(w, w->disks[i]);
        }
    }
}

static bool goes_on(const struct world *w)
{
    return !w->ended && w->wrong[0] == '\0';
}

void world_run(struct world *w)
{
    w->counts->runs++;
    for (size_t i = 0; i < NAMES; i++) {
        directory_start(w, w->disks[i]);
    }
    uint64_t steps = FAULT_STEPS_MIN + below(w, FAULT_STEPS_RANGE);
    for (uint64_t i = 0; i < steps && goes_on(w); i++) {
        step(w);
    }
    heal(w);
    for (unsigned i = 0; i < HEAL_STEPS_MAX && goes_on(w); i++) {
        step(w);
        if (i % 50 == 0 && is_well(w)) {
            return;
        }
    }
    if (goes_on(w)) {
        wrong(w, "waits for ever (%s)", any_formed(w) ? "formed" : "forming");
    }
}

struct world *world_open(uint64_t seed, enum mutation mutation, struct counts *counts)
{
    struct world *w = mem_zalloc(sizeof *w);
    w->random = random_seeded(seed);
    w->mutation = mutation;
    w->many_images = seed % 2 == 0;
    w->counts = counts;
    for (size_t i = 0; i < DISKS; i++) {
        w->disks[i] = mem_zalloc(sizeof *w->disks[i]);
        directory_init(w->disks[i], i % NAMES);
    }
    return w;
}

void world_close(struct world *w)
{
    while (w->queued > 0) {
        message_free(take(w, 0));
    }
    for (size_t i = 0; i < DISKS; i++) {
        directory_free(w->disks[i]);
        mem_free(w->images[i]);
    }
    mem_free(w);
}
