/* SPDX-License-Identifier: Apache-2.0 */
/* Peers that say anything that can be decoded: the replica refuses, ignores,
 * follows or stops (ACTION_STOP), and never aborts. Numbers are drawn from small
 * ranges, so that they often nearly fit. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/random.h"
#include "raft/raft_replica.h"
#include "raft/test/single.h"
#include "testkit/test.h"

enum { TERMS = 7, INDEXES = 24, MESSAGES = 60, ENTRIES_MAX = 6 };

static uint64_t term(struct random *r)
{
    return random_below(r, TERMS);
}

static uint64_t position(struct random *r)
{
    return random_chance(r, 1, 50) ? random_u64(r) >> 2 : random_below(r, INDEXES);
}

static void make_append(struct random *r, struct raft_packet *p, struct entry **entries)
{
    static const char *const configurations[] = {"vvv", "vvvs", "vvvv", "vvs", "-vv", "v"};
    struct raft_append_entries *a = &p->core.append_entries;
    p->core.type = RAFT_APPEND_ENTRIES;
    a->term = term(r);
    a->prev_log_index = random_below(r, INDEXES);
    a->prev_log_term = a->prev_log_index == 0 ? 0 : term(r);
    a->leader_commit = position(r);
    p->count = random_below(r, ENTRIES_MAX);
    a->n_entries = (unsigned)p->count;
    uint64_t t = a->prev_log_term == 0 ? 1 : a->prev_log_term;
    for (size_t i = 0; i < p->count; i++) {
        struct buf payload = {0};
        bool change = random_chance(r, 1, 5) || (a->prev_log_index == 0 && i == 0);
        enum entry_type type = change ? ENTRY_CHANGE : ENTRY_COMMAND;
        t += random_chance(r, 1, 5) ? 1 : 0;
        if (type == ENTRY_CHANGE) {
            struct configuration c;
            single_configuration(configurations[random_below(r, 6)], 1, &c);
            configuration_encode(&c, &payload);
        }
        entries[i] = entry_new(type, a->prev_log_index + 1 + i, t, buf_bytes(&payload));
        buf_deinit(&payload);
    }
    p->entries = entries;
}

static void make_result(struct random *r, struct raft_packet *p)
{
    p->core.type = RAFT_APPEND_ENTRIES_RESULT;
    p->core.append_entries_result = (struct raft_append_entries_result){
        .version = RAFT_MESSAGE_RESULT_VERSION,
        .term = term(r),
        .rejected = random_chance(r, 1, 2) ? 0 : position(r),
        .last_log_index = position(r),
        .features = RAFT_MESSAGE_FEATURES,
    };
}

static void make_votes(struct random *r, struct raft_packet *p, bool request)
{
    if (request) {
        p->core.type = RAFT_REQUEST_VOTE;
        p->core.request_vote = (struct raft_request_vote){
            .version = RAFT_MESSAGE_VOTE_VERSION,
            .term = term(r),
            .candidate_id = p->core.server_id,
            .last_log_index = position(r),
            .last_log_term = term(r),
            .disrupt_leader = random_chance(r, 1, 2),
            .pre_vote = random_chance(r, 1, 2),
        };
        return;
    }
    p->core.type = RAFT_REQUEST_VOTE_RESULT;
    p->core.request_vote_result = (struct raft_request_vote_result){
        .version = RAFT_MESSAGE_VOTE_VERSION,
        .term = term(r),
        .vote_granted = random_chance(r, 2, 3),
        .pre_vote = random_chance(r, 1, 2),
    };
}

static void make_install(struct random *r, struct raft_packet *p)
{
    p->core.type = RAFT_INSTALL_SNAPSHOT;
    p->core.install_snapshot.term = term(r);
    p->core.install_snapshot.last_index = random_below(r, INDEXES);
    p->core.install_snapshot.last_term = term(r);
    p->core.install_snapshot.conf_index = random_below(r, INDEXES);
    single_configuration(random_chance(r, 1, 2) ? "vvv" : "vvvs",
                         p->core.install_snapshot.conf_index, &p->configuration);
}

static void make_order(struct random *r, struct raft_packet *p)
{
    p->core.type = RAFT_TIMEOUT_NOW;
    p->core.timeout_now.term = 1 + term(r);
    p->core.timeout_now.last_log_index = 1 + random_below(r, INDEXES);
    p->core.timeout_now.last_log_term = term(r);
}

/* Encoding checks what we send; a hostile peer has no such scruples, so what it
 * would refuse to encode is left out here (the decoder's tests have it). */
static bool can_be_sent(const struct raft_packet *p)
{
    if (p->kind != RAFT_MESSAGE_CORE) {
        return p->term > 0 && p->round > 0;
    }
    switch (p->core.type) {
    case RAFT_REQUEST_VOTE:
        return p->core.request_vote.term > 0;
    case RAFT_INSTALL_SNAPSHOT:
        return p->core.install_snapshot.last_index > 0 && p->core.install_snapshot.conf_index > 0;
    case RAFT_APPEND_ENTRIES:
    case RAFT_APPEND_ENTRIES_RESULT:
    case RAFT_REQUEST_VOTE_RESULT:
    case RAFT_TIMEOUT_NOW:
        break;
    }
    return true;
}

static void say_anything(struct random *r, struct single *s)
{
    struct entry *entries[ENTRIES_MAX] = {NULL};
    struct raft_packet p = {.kind = RAFT_MESSAGE_CORE};
    uint64_t from = 2 + random_below(r, 3);
    p.core.server_id = from;
    switch (random_below(r, 9)) {
    case 0:
    case 1:
    case 2:
        make_append(r, &p, entries);
        break;
    case 3:
    case 4:
        make_result(r, &p);
        break;
    case 5:
        make_votes(r, &p, true);
        break;
    case 6:
        make_votes(r, &p, false);
        break;
    case 7:
        make_install(r, &p);
        break;
    default:
        if (random_chance(r, 1, 2)) {
            make_order(r, &p);
        } else {
            p.kind = random_chance(r, 1, 2) ? RAFT_MESSAGE_PING : RAFT_MESSAGE_PONG;
            p.term = term(r);
            p.round = random_below(r, 4);
        }
        break;
    }
    if (can_be_sent(&p)) {
        (void)single_packet(s, from, &p);
    }
    for (size_t i = 0; i < p.count; i++) {
        entry_unref(entries[i]);
    }
}

/* What its caller does meanwhile. */
static void do_something(struct random *r, struct single *s)
{
    static const char *const steps[] = {"vvvs", "vvs", "vv", "-vv"};
    struct replica_status t = single_status(s);
    struct event e = {.type = EVENT_READ, .token = 1};
    switch (random_below(r, 10)) {
    case 0:
        (void)single_submit(s, 1 + random_below(r, 3), 8);
        break;
    case 1:
        (void)single_step(s, &e);
        break;
    case 2:
        (void)single_change(s, steps[random_below(r, 4)]);
        break;
    case 3:
        e = (struct event){.type = EVENT_TRANSFER, .id = random_below(r, 4)};
        (void)single_step(s, &e);
        break;
    case 4:
        e = (struct event){.type = EVENT_LEADER_GONE};
        (void)single_step(s, &e);
        break;
    case 5:
        e = (struct event){.type = EVENT_CHECKPOINT,
                           .index = t.applied_index,
                           .cut = random_below(r, t.applied_index + 1)};
        if (replica_term_at(s->replica, t.applied_index, &e.term)) {
            (void)single_step(s, &e);
        }
        break;
    case 6:
        s->disk_held = random_chance(r, 1, 2);
        break;
    case 7:
        (void)single_applied(s, random_below(r, INDEXES));
        break;
    case 8:
        e = (struct event){.type = EVENT_INSTALLED,
                           .index = s->replica->install.index,
                           .term = s->replica->install.term};
        (void)single_step(s, &e);
        break;
    default:
        single_wait(s);
        break;
    }
}

struct counts {
    uint64_t led, stopped, refused, installs;
};

static void run_one(uint64_t seed, struct counts *counts)
{
    static const char *const servers[] = {"vvv", "vvv", "vvvs", "svv", "-vv", "v", "vvvv"};
    struct random r = random_seeded(seed);
    uint64_t terms[10];
    struct single_options o = {.servers = servers[random_below(&r, 7)],
                               .count = random_below(&r, 10),
                               .terms = terms,
                               .term = 4,
                               .snapshot = random_chance(&r, 1, 3) ? 5 : 0,
                               .empty = random_chance(&r, 1, 10),
                               .cache_size_max = random_chance(&r, 1, 2) ? 0 : 1 << 20};
    for (size_t i = 0; i < 10; i++) {
        terms[i] = i == 0 ? 1 : terms[i - 1] + (terms[i - 1] < 4 && random_chance(&r, 1, 4));
    }
    o.count = o.empty ? 0 : o.count;
    struct single s;
    single_open(&s, &o);
    for (int i = 0; i < MESSAGES && single_count(&s, ACTION_STOP) == 0; i++) {
        if (random_chance(&r, 2, 3)) {
            say_anything(&r, &s);
        } else {
            do_something(&r, &s);
        }
        counts->refused += s.code == ERR_CORRUPT ? 1 : 0;
    }
    for (size_t i = 0; i < s.actions.count; i++) {
        const struct action *a = &s.actions.items[i];
        counts->led += a->type == ACTION_ROLE && a->role == REPLICA_LEADER ? 1 : 0;
    }
    counts->stopped += single_count(&s, ACTION_STOP);
    counts->installs += single_count(&s, ACTION_INSTALL);
    single_close(&s);
}

TEST(replica_hostile, peers_may_say_anything)
{
    const char *one = getenv("TIDEMARK_SEED");
    uint64_t first = one == NULL ? 1 : strtoull(one, NULL, 10);
    uint64_t count = one == NULL ? 3000 : 1;
    struct counts counts = {0};
    size_t before = mem_in_use();
    if (getenv("TIDEMARK_ROUNDS") != NULL) {
        count *= 20;
    }
    for (uint64_t seed = first; seed < first + count; seed++) {
        run_one(seed, &counts);
    }
    printf("%" PRIu64 " seeds: led %" PRIu64 ", stopped %" PRIu64 ", installs %" PRIu64
           ", refused %" PRIu64 "\n",
           count, counts.led, counts.stopped, counts.installs, counts.refused);
    EXPECT_UINT(mem_in_use(), before);
    if (one == NULL) {
        EXPECT(counts.led > 100);
        EXPECT(counts.installs > 100);
        EXPECT(counts.refused > 1000);
        EXPECT(counts.stopped > 10);
    }
}
