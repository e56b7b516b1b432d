/* SPDX-License-Identifier: Apache-2.0 */
/* Random executions: elections, crashes, messages lost and late, damage, several
 * repairs at once, checkpoints and cuts. Nothing committed may be lost or
 * contradicted, and when the faults stop everything that can be repaired must be.
 *
 *   TIDEMARK_ROUNDS=full   more seeds
 *   TIDEMARK_SEED=n        that one, with a trace
 *   TIDEMARK_WEAK=NAME     with a weaker rule (repair_weak.h): how many seeds until it fails */
#include "raft/test/repair_weakened.h"

#include "raft/test/repair_cluster_life.h"
#include "testkit/test.h"

/* ---- one step ---- */

enum { ANY = CLUSTER_NODES };

static bool is_running(const struct member *m)
{
    return m->running;
}

static bool is_leader(const struct member *m)
{
    return m->running && m->role == CLUSTER_LEADER;
}

static bool is_up(const struct member *m)
{
    return m->lab->up;
}

static bool is_down(const struct member *m)
{
    return !m->lab->up;
}

static bool is_repairing(const struct member *m)
{
    return m->lab->up && m->lab->repair != NULL;
}

static bool is_unsynced(const struct member *m)
{
    return m->running && m->persisted < member_last(m);
}

/* One of those that 'fits'; ANY: there is none. */
static size_t pick(struct cluster *c, bool (*fits)(const struct member *m))
{
    size_t found[CLUSTER_NODES];
    size_t count = 0;
    for (size_t x = 0; x < c->nodes; x++) {
        if (fits(&c->members[x])) {
            found[count++] = x;
        }
    }
    return count == 0 ? (size_t)ANY : found[below(c, count)];
}

static void replicate_some(struct cluster *c, size_t x)
{
    for (uint64_t k = 1 + below(c, 3); k > 0 && is_leader(&c->members[x]); k--) {
        size_t to = below(c, c->nodes);
        if (to != x && member_sees(&c->members[x], to)) {
            cluster_replicate(c, x, to);
            cluster_settle(c);
        }
        if (is_unsynced(&c->members[x]) && below(c, 3) > 0) {
            cluster_sync(c, x);
            cluster_settle(c);
        }
    }
}

/* An answer to some question comes again, long after: it counts for nothing. */
static void echo(struct cluster *c, const struct lab_message *delivered)
{
    struct lab_message *m = &c->echoes[below(c, CLUSTER_ECHOES)];
    if (!delivered->question && below(c, 3) == 0) {
        buf_deinit(&m->bytes);
        *m = *delivered;
        m->bytes = (struct buf){0};
        buf_put_bytes(&m->bytes, buf_bytes(&delivered->bytes));
    } else if (m->bytes.size > 0 && c->members[m->to].lab->up) {
        lab_step(c->lab, c->members[m->to].lab,
                 (struct repair_event){
                     .type = REPAIR_MESSAGE, .id = m->from + 1, .message = buf_bytes(&m->bytes)});
        notice(c);
    }
}

/* A message of a repair arrives, or is lost. */
static void repair_message(struct cluster *c)
{
    struct lab *lab = c->lab;
    if (lab->message_count == 0) {
        return;
    }
    size_t at = below(c, lab->message_count);
    for (size_t i = 0; i < at; i++) {
        if (lab->messages[i].from == lab->messages[at].from &&
            lab->messages[i].to == lab->messages[at].to) {
            at = i;
        }
    }
    struct lab_message *m = &lab->messages[at];
    if (!cluster_linked(c, m->from, m->to) || below(c, 12) == 0) {
        buf_deinit(&m->bytes);
        lab->message_count--;
        for (size_t i = at; i < lab->message_count; i++) {
            lab->messages[i] = lab->messages[i + 1];
        }
        return;
    }
    echo(c, m);
    lab_deliver(lab, at);
    notice(c);
}

static void repair_tick(struct cluster *c, size_t x)
{
    c->lab->now_ms += LAB_INTERVAL_MS;
    lab_step(c->lab, c->members[x].lab, (struct repair_event){.type = REPAIR_TICK});
    notice(c);
}

static void crash_some(struct cluster *c)
{
    if (below(c, 12) == 0) {
        for (size_t x = 0; x < c->nodes; x++) {
            stop(c, x, true);
        }
        return;
    }
    size_t x = pick(c, is_up);
    if (x != ANY) {
        stop(c, x, below(c, 2) == 0);
    }
}

static void damage_and_start(struct cluster *c, uint64_t unknown_of_3)
{
    size_t x = pick(c, is_up);
    if (x == ANY) {
        return;
    }
    stop(c, x, below(c, 3) == 0);
    damage(c, x, unknown_of_3);
    if (below(c, 3) == 0) {
        damage(c, x, unknown_of_3);
    }
    start(c, x);
}

static void rot(struct cluster *c, size_t x)
{
    struct member *m = &c->members[x];
    if (m->lab->snapshot_index > 0 && below(c, 2) == 0) {
        m->lab->snapshot_index = 0;
        m->lab->snapshot_term = 0;
        m->was_rotten = true;
        CLUSTER_TRACE(c, "    %zu: its checkpoint rots\n", x);
    }
}

enum step {
    STEP_ELECT,
    STEP_SUBMIT,
    STEP_CHANGE,
    STEP_REPLICATE,
    STEP_LATE,
    STEP_SYNC,
    STEP_LINKS,
    STEP_CRASH,
    STEP_DAMAGE,
    STEP_START,
    STEP_REPAIR,
    STEP_TICK,
    STEP_CHECKPOINT,
    STEP_CUT,
    STEP_ROT,
    STEP_CALM,
    STEP_DAMAGE_AND_START,
    STEP_COUNT
};

static const uint64_t weights[STEP_COUNT] = {
    [STEP_ELECT] = 10, [STEP_SUBMIT] = 10, [STEP_REPLICATE] = 26, [STEP_LATE] = 10,
    [STEP_SYNC] = 8,   [STEP_LINKS] = 4,   [STEP_CRASH] = 8,      [STEP_DAMAGE] = 8,
    [STEP_START] = 12, [STEP_REPAIR] = 40, [STEP_TICK] = 8,       [STEP_CHECKPOINT] = 6,
    [STEP_CUT] = 4,    [STEP_ROT] = 1,     [STEP_CALM] = 3,       [STEP_DAMAGE_AND_START] = 14,
};

/* Few elections, short logs, links that change: old leaders live on beside new
 * ones, and remember acknowledgements of what a repair drops. */
static const uint64_t stubborn_weights[STEP_COUNT] = {
    [STEP_ELECT] = 3,
    [STEP_SUBMIT] = 8,
    [STEP_REPLICATE] = 24,
    [STEP_LATE] = 4,
    [STEP_SYNC] = 8,
    [STEP_LINKS] = 14,
    [STEP_CRASH] = 1,
    [STEP_START] = 16,
    [STEP_REPAIR] = 50,
    [STEP_TICK] = 20,
    [STEP_DAMAGE_AND_START] = 10,
};

static void step_on(struct cluster *c, enum step step, size_t x, uint64_t unknown_of_3)
{
    struct member *m = &c->members[x];
    switch (step) {
    case STEP_ELECT:
        cluster_elect(c, x);
        break;
    case STEP_SUBMIT:
        if (member_last(m) < c->log_cap) {
            cluster_submit(c, x);
            if (below(c, 4) > 0) {
                cluster_sync(c, x);
            }
        }
        break;
    case STEP_CHANGE:
        cluster_change_members(c, x, below(c, c->nodes));
        break;
    case STEP_REPLICATE:
        replicate_some(c, x);
        break;
    case STEP_SYNC:
        cluster_sync(c, x);
        break;
    case STEP_DAMAGE:
        damage(c, x, unknown_of_3);
        break;
    case STEP_START:
        start(c, x);
        break;
    case STEP_TICK:
        repair_tick(c, x);
        break;
    case STEP_CHECKPOINT:
        checkpoint(c, m);
        break;
    case STEP_CUT:
        cut(c, m);
        break;
    case STEP_ROT:
        rot(c, x);
        break;
    case STEP_CALM:
        member_calm(m);
        break;
    case STEP_LATE:
    case STEP_LINKS:
    case STEP_CRASH:
    case STEP_REPAIR:
    case STEP_DAMAGE_AND_START:
    case STEP_COUNT:
        CHECK(step != step);
    }
}

static void links(struct cluster *c)
{
    uint64_t split = below(c, 3);
    for (size_t x = 0; x < c->nodes; x++) {
        c->group[x] = split == 0 ? 0 : (unsigned)below(c, c->stubborn ? 3 : 2);
        CLUSTER_TRACE(c, "%s%u%s", x == 0 ? "    groups " : " ", c->group[x],
                      x + 1 == c->nodes ? "\n" : "");
    }
    tell_peers(c);
    notice(c);
}

static void play_step(struct cluster *c, enum step step, uint64_t unknown_of_3)
{
    static bool (*const fits[STEP_COUNT])(const struct member *m) = {
        [STEP_ELECT] = is_running,      [STEP_SUBMIT] = is_leader,  [STEP_CHANGE] = is_leader,
        [STEP_REPLICATE] = is_leader,   [STEP_SYNC] = is_unsynced,  [STEP_DAMAGE] = is_down,
        [STEP_START] = is_down,         [STEP_TICK] = is_repairing, [STEP_CUT] = is_running,
        [STEP_CHECKPOINT] = is_running, [STEP_ROT] = is_down,       [STEP_CALM] = is_running,
    };
    if (fits[step] != NULL) {
        size_t x = pick(c, fits[step]);
        if (x != ANY) {
            step_on(c, step, x, unknown_of_3);
        }
    } else if (step == STEP_LATE) {
        cluster_post_late(c);
    } else if (step == STEP_LINKS) {
        links(c);
    } else if (step == STEP_CRASH) {
        crash_some(c);
    } else if (step == STEP_REPAIR) {
        for (uint64_t k = 1 + below(c, 12); k > 0; k--) {
            repair_message(c);
        }
    } else {
        CHECK(step == STEP_DAMAGE_AND_START);
        damage_and_start(c, unknown_of_3);
    }
    cluster_settle(c);
}

/* ---- after the faults ---- */

struct totals {
    unsigned runs;
    unsigned commits; /* runs with one */
    unsigned repairs;
    uint64_t states;        /* of the logs of a cluster: one after each step */
    unsigned gone;          /* runs in which a committed entry has no copy left */
    unsigned waits_gone;    /* ... nodes wait for one without a copy */
    unsigned waits_unknown; /* ... only for what lost its identity */
    uint64_t seed;          /* of the first failure; 0: none */
    const char *failure;
};

/* No more than a minority of logs and checkpoints was damaged: then a copy of
 * each committed entry must be left. */
static void observe_copies(struct cluster *c, struct totals *t)
{
    size_t damaged = 0;
    size_t rotten = 0;
    bool gone = false;
    for (size_t x = 0; x < c->voters; x++) {
        damaged += c->members[x].was_damaged;
        rotten += c->members[x].was_rotten;
    }
    for (uint64_t i = 1; i <= CLUSTER_LOG; i++) {
        bool held = c->committed[i].value == 0;
        for (size_t x = 0; x < c->nodes; x++) {
            held = held || member_holds(&c->members[x], i, c->committed[i]);
        }
        gone = gone || !held;
        if (!held && !c->changing && damaged < c->voters / 2 + 1 && rotten < c->voters / 2 + 1) {
            cluster_fail(c, "a committed entry has no copy left", i);
        }
    }
    t->gone += gone;
}

static bool is_healed(const struct cluster *c)
{
    const struct member *leader = NULL;
    for (size_t x = 0; x < c->nodes; x++) {
        leader = is_leader(&c->members[x]) &&
                         (leader == NULL || c->members[x].lab->term > leader->lab->term)
                     ? &c->members[x]
                     : leader;
    }
    if (leader == NULL || leader->commit != member_last(leader)) {
        return false;
    }
    for (size_t x = 0; x < c->nodes; x++) {
        const struct member *m = &c->members[x];
        if (!member_sees(leader, x)) {
            continue; /* removed, or never added */
        }
        if (!m->running || member_last(m) != member_last(leader) ||
            m->lab->term != leader->lab->term ||
            member_term_at(m, member_last(m)) != member_term_at(leader, member_last(m))) {
            return false;
        }
    }
    return true;
}

/* Running nodes, as bits. */
static unsigned running_nodes(const struct cluster *c)
{
    unsigned nodes = 0;
    for (size_t x = 0; x < c->nodes; x++) {
        nodes |= c->members[x].running ? 1U << x : 0;
    }
    return nodes;
}

/* A leader without a majority, and those who follow it. */
static void give_up(struct cluster *c, size_t x)
{
    for (size_t p = 0; p < c->nodes; p++) {
        if (p == x || c->members[p].lab->leader == x + 1) {
            member_calm(&c->members[p]);
        }
    }
}

static size_t find_leader(struct cluster *c, size_t round)
{
    size_t leader = ANY;
    unsigned running = running_nodes(c);
    for (size_t x = 0; x < c->nodes; x++) {
        struct member *m = &c->members[x];
        if (is_leader(m) && !member_sees_majority(c, m, running)) {
            give_up(c, x);
        }
        bool later = leader == ANY || m->lab->term > c->members[leader].lab->term;
        leader = is_leader(m) && later ? x : leader;
    }
    for (size_t k = 0; k < 2 * c->nodes && leader == ANY; k++) {
        size_t x = (k + round) % c->nodes;
        if (member_sees_majority(c, &c->members[x], running)) {
            cluster_elect(c, x);
            cluster_settle(c);
            leader = is_leader(&c->members[x]) ? x : leader;
        }
    }
    return leader;
}

static void serve(struct cluster *c, size_t x, size_t round)
{
    struct member *m = &c->members[x];
    if (round > 2 && round < 6 && member_last(m) + 12 < CLUSTER_LOG) {
        cluster_submit(c, x);
    }
    cluster_sync(c, x);
    for (size_t p = 0; p < c->nodes; p++) {
        if (is_unsynced(&c->members[p])) {
            cluster_sync(c, p);
        }
        cluster_settle(c);
    }
    for (unsigned k = 0; k < 24; k++) {
        for (size_t p = 0; p < c->nodes && is_leader(m); p++) {
            const struct member *follower = &c->members[p];
            bool behind = m->match[p] < member_last(m) || follower->commit < m->commit || k == 0;
            if (p != x && follower->running && behind && member_sees(m, p)) {
                cluster_replicate(c, x, p);
                cluster_settle(c);
            }
        }
    }
}

/* What node x waits for has a whole copy somewhere, all of it. */
static bool could_be_repaired(const struct cluster *c, size_t x, bool *unknown)
{
    const struct member *m = &c->members[x];
    bool could = true;
    *unknown = *unknown || m->lab->end_unknown;
    for (uint64_t i = member_base(m) + 1; i <= m->lab->last; i++) {
        bool held = m->lab->log[i].slot.kind == SLOT_WHOLE;
        for (size_t p = 0; p < c->nodes; p++) {
            held = held || (p != x && member_holds(&c->members[p], i, m->truth[i]));
        }
        *unknown = *unknown || m->lab->log[i].slot.kind == SLOT_UNKNOWN;
        could = could && held;
    }
    if (member_base(m) > m->lab->snapshot_index) { /* no checkpoint under its log */
        bool held = false;
        for (size_t p = 0; p < c->nodes; p++) {
            held = held || c->members[p].lab->snapshot_index >= member_base(m);
        }
        could = could && held;
    }
    return could;
}

static void judge_waiting(struct cluster *c, struct totals *t)
{
    bool could = true;
    bool unknown = false;
    bool any = false;
    for (size_t x = 0; x < c->nodes; x++) {
        bool removed = c->change_committed != NULL && c->members[x].was_removed &&
                       configuration_find(&c->change_committed->configuration, x + 1) == NULL;
        if (!c->members[x].running && !removed) {
            any = true;
            could = could_be_repaired(c, x, &unknown) && could;
        }
    }
    if (!any) {
        cluster_fail(c, "all nodes run, and nothing moves", 0);
    } else if (could && !unknown) {
        cluster_fail(c, "waits for ever for what others have whole", 0);
    }
    t->waits_gone += !could;
    t->waits_unknown += could && unknown;
}

static void heal(struct cluster *c, struct totals *t)
{
    c->healing = true;
    c->message_count = 0;
    memset(c->group, 0, sizeof c->group);
    CLUSTER_TRACE(c, "  no more faults\n");
    for (size_t x = 0; x < c->nodes; x++) {
        if (!c->members[x].lab->up) {
            start(c, x);
        }
    }
    tell_peers(c);
    for (size_t round = 0; round < 30 && c->failure == NULL; round++) {
        lab_deliver_all(c->lab);
        notice(c);
        c->lab->now_ms += 20 * (uint64_t)LAB_INTERVAL_MS;
        lab_tick(c->lab);
        notice(c);
        size_t leader = find_leader(c, round);
        if (leader != ANY && c->failure == NULL) {
            serve(c, leader, round);
        }
        if (is_healed(c)) {
            return;
        }
    }
    if (c->failure == NULL) {
        judge_waiting(c, t);
    }
}

/* ---- one run ---- */

static void open_cluster(struct cluster *c, uint64_t seed)
{
    memset(c, 0, sizeof *c);
    c->random = random_seeded(seed * UINT64_C(0xd1342543de82ef95));
    c->stubborn = seed % 4 == 0;
    c->voters = c->stubborn ? 5 - below(c, 3) / 2 : 2 + below(c, 4);
    c->nodes = c->voters + (below(c, 4) == 0 ? 1 + below(c, 2) : 0);
    c->changing = !c->stubborn && below(c, 3) == 0;
    c->nodes = c->changing ? c->voters + 1 : c->nodes;
    c->log_cap = c->stubborn ? 2 + below(c, 2) : 3 + below(c, 6);
    c->lab = lab_open_long(c->nodes, CLUSTER_LOG + 1);
    c->lab->random = random_seeded(seed);
    struct configuration all = {0};
    for (size_t x = 0; x < c->nodes; x++) {
        if (x < c->voters || !c->changing) {
            lab_add_server(&all, x + 1, x < c->voters ? SERVER_VOTER : SERVER_STANDBY);
        }
    }
    lab_configure(c->lab, all);
    for (size_t x = 0; x < c->nodes; x++) {
        c->members[x].lab = &c->lab->nodes[x];
        c->lab->nodes[x].up = true;
        launch(c, x);
    }
}

static void show(const struct cluster *c)
{
    for (size_t x = 0; x < c->nodes && c->trace; x++) {
        const struct member *m = &c->members[x];
        char *text = lab_text(c->lab, x);
        printf("      %zu t%" PRIu64 "%s %s from %" PRIu64 " snapshot %" PRIu64 ": %s\n", x,
               m->lab->term, is_leader(m) ? "*" : "",
               m->running   ? "up"
               : m->lab->up ? "repairs"
                            : "down",
               m->lab->first, m->lab->snapshot_index, text);
        mem_free(text);
    }
}

struct manner {
    bool trace;
    bool lazy; /* see struct cluster */
};

/* How often each step is taken in this run; returns the sum. */
static uint64_t weigh(struct cluster *c, uint64_t of_run[STEP_COUNT])
{
    static const uint64_t factors[] = {0, 1, 2, 2, 4};
    uint64_t sum = 0;
    for (size_t i = 0; i < STEP_COUNT; i++) {
        of_run[i] = weights[i] * factors[below(c, 5)] / 2;
        bool needed = i <= STEP_LATE || i == STEP_START || i == STEP_REPAIR || i == STEP_TICK;
        of_run[i] = of_run[i] == 0 && needed ? weights[i] / 2 : of_run[i];
        of_run[i] = c->stubborn ? stubborn_weights[i] : of_run[i];
        of_run[i] = i == STEP_CHANGE ? (c->changing ? 8 : 0) : of_run[i];
        sum += of_run[i];
    }
    return sum;
}

static void play(uint64_t seed, struct manner how, struct totals *t)
{
    struct cluster *c = mem_zalloc(sizeof *c);
    open_cluster(c, seed);
    c->trace = how.trace;
    c->lazy = how.lazy;
    uint64_t of_run[STEP_COUNT];
    uint64_t sum = weigh(c, of_run);
    uint64_t unknown_of_3 = below(c, 4);
    for (uint64_t k = 40 + below(c, 160); k > 0 && c->failure == NULL; k--) {
        uint64_t r = below(c, sum);
        size_t step = 0;
        while (r >= of_run[step]) {
            r -= of_run[step++];
        }
        play_step(c, (enum step)step, unknown_of_3);
        t->states++;
        show(c);
    }
    if (c->failure == NULL) {
        observe_copies(c, t);
    }
    if (c->failure == NULL) {
        heal(c, t);
        show(c);
    }
    t->runs++;
    t->repairs += c->repairs;
    t->commits += c->committed[1].value != 0;
    if (c->failure != NULL && t->failure == NULL) {
        t->failure = c->failure;
        t->seed = seed;
    }
    if (how.trace && c->failure != NULL) {
        printf("  fails: %s (%" PRIu64 ")\n", c->failure, c->failure_index);
    }
    for (size_t i = 0; i < CLUSTER_ECHOES; i++) {
        buf_deinit(&c->echoes[i].bytes);
    }
    lab_close(c->lab);
    mem_free(c);
}

static uint64_t number_of(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text == NULL ? otherwise : strtoull(text, NULL, 10);
}

/* Under a sanitizer each takes ten times as long. */
enum {
    SEEDS = TEST_SANITIZED ? 4000 : 20000,
    SEEDS_FULL = TEST_SANITIZED ? 60000 : 400000,
    STATES_FULL = 2500000, /* as many as the published model of such a repair was checked in */
};

static uint64_t seeds_to_play(void)
{
    const char *rounds = getenv("TIDEMARK_ROUNDS");
    bool full = rounds != NULL && strcmp(rounds, "full") == 0;
    return number_of("TIDEMARK_SEED_COUNT", full ? SEEDS_FULL : SEEDS);
}

TEST(repair_cluster, nothing_committed_is_lost_and_all_that_can_be_is_repaired)
{
    struct totals t = {0};
    uint64_t one = number_of("TIDEMARK_SEED", 0);
    uint64_t count = seeds_to_play();
    const char *weak = getenv("TIDEMARK_WEAK");
    for (size_t i = 0; i < WEAK_COUNT && weak != NULL; i++) {
        repair_weakness =
            strcmp(weak, repair_weak_names[i]) == 0 ? (enum repair_weakness)i : repair_weakness;
    }
    for (uint64_t seed = one == 0 ? 1 : one; seed <= (one == 0 ? count : one) && t.seed == 0;
         seed++) {
        play(seed, (struct manner){.trace = one != 0}, &t);
    }
    repair_weakness = WEAK_COUNT;
    printf("%u runs, %" PRIu64 " states, %u with a commit, %u repairs, a committed entry gone in "
           "%u, waiting for what is gone in %u, for lost identities in %u\n",
           t.runs, t.states, t.commits, t.repairs, t.gone, t.waits_gone, t.waits_unknown);
    if (t.seed != 0) {
        printf("%s: TIDEMARK_SEED=%" PRIu64 " test_repair_cluster\n", t.failure, t.seed);
    }
    EXPECT_UINT(t.seed, 0);
    EXPECT(t.commits > t.runs / 2 || one != 0);
    EXPECT(t.repairs > t.runs / 2 || one != 0);
    EXPECT(t.states > STATES_FULL || count < SEEDS_FULL || one != 0);
}

/* ---- the same without a rule: it must fail, and soon ---- */

/* The runs until one fails; 0: none of 'limit' does. */
static uint64_t runs_until_failure(enum repair_weakness weakness, struct manner how, uint64_t limit)
{
    struct totals t = {0};
    repair_weakness = weakness;
    for (uint64_t seed = 1; seed <= limit && t.seed == 0; seed++) {
        play(seed, how, &t);
    }
    repair_weakness = WEAK_COUNT;
    if (t.seed != 0) {
        printf("(run %" PRIu64 ": %s) ", t.seed, t.failure);
    }
    return t.seed;
}

/* C2.3. */
TEST(repair_cluster, a_quorum_that_is_lower_by_one_is_caught_at_once)
{
    EXPECT(runs_until_failure(WEAK_C23_COUNT, (struct manner){0}, 200) != 0);
    EXPECT(runs_until_failure(WEAK_C23_DAMAGED, (struct manner){0}, 1000) != 0);
}

/* C7. A power failure takes what a repair has written, after others counted on it. */
TEST(repair_cluster, what_a_repair_writes_counts_only_when_it_is_synced)
{
    EXPECT(runs_until_failure(WEAK_COUNT, (struct manner){.lazy = true}, 2000) != 0);
}

TEST(repair_cluster, a_term_is_durable_before_a_drop_that_relies_on_it)
{
    EXPECT(runs_until_failure(WEAK_DROP_TERM, (struct manner){0}, 200) != 0);
}
