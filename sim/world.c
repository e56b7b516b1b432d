/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/world.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "node/member_weaken.h"

enum {
    FAULT_SECONDS = 30, /* at least; longer until the seed has done enough */
    FAULT_SECONDS_MAX = 150,
    HEAL_SECONDS = 16,
    EXTRA_SECONDS = 60, /* after which a cluster that has not converged never will */
    COMMITS_MIN = 1000,
    CRASHES_MIN = 5,
};

void world_fail(struct world *w, const char *format, ...)
{
    (void)fflush(stdout);
    (void)fprintf(stderr, "seed %" PRIu64 " FAILED at %" PRIu64 ".%06" PRIu64 " s: ", w->seed,
                  w->now_us / WORLD_SECOND, w->now_us % WORLD_SECOND);
    va_list args;
    va_start(args, format);
    (void)vfprintf(stderr, format, args);
    va_end(args);
    (void)fprintf(stderr, "\nreplay: simulator --first %" PRIu64 " --seeds 1 --verbose\n", w->seed);
    abort();
}

void world_say(struct world *w, const char *format, ...)
{
    if (!w->verbose) {
        return;
    }
    (void)fprintf(stderr, "%9.6f ---- ", (double)w->now_us / (double)WORLD_SECOND);
    va_list args;
    va_start(args, format);
    (void)vfprintf(stderr, format, args);
    va_end(args);
    (void)fputc('\n', stderr);
}

bool world_is_healing(const struct world *w)
{
    return w->now_us >= w->fault_end_us;
}

void world_trace(struct world *w, uint64_t what, uint64_t a, uint64_t b)
{
    const uint64_t values[] = {w->now_us, what, a, b};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        w->trace = (w->trace ^ values[i]) * UINT64_C(0x9E3779B97F4A7C15);
        w->trace ^= w->trace >> 29;
    }
}

static const struct fake_net_options calm_network = {
    .fifo = true,
    .delay_min_us = 200,
    .delay_max_us = 400,
    .connect_timeout_us = 200 * WORLD_MS,
    .break_us = 1000 * WORLD_MS,
};

static struct fake_net_options draw_network(struct random *r)
{
    struct fake_net_options o = {
        .fifo = random_chance(r, 3, 4), /* as TCP; the rest tests the guards */
        .delay_min_us = 200,
        .delay_max_us = random_between(r, 500, 8000),
        .slow_max_us = random_between(r, 10, 400) * WORLD_MS,
        .slow_per_million = (uint32_t)random_between(r, 0, 5000),
        .loss_per_million = (uint32_t)random_between(r, 0, 10000),
        .connect_timeout_us = 200 * WORLD_MS,
        .break_us = random_between(r, 300, 3000) * WORLD_MS,
    };
    o.duplicate_per_million = o.fifo ? 0 : (uint32_t)random_between(r, 0, 10000);
    return o;
}

unsigned world_weaken_named(const char *name)
{
    static const struct {
        const char *name;
        unsigned rule;
    } rules[] = {
        {"votes", WEAKEN_VOTES},
        {"appends", WEAKEN_APPENDS},
        {"rollbacks", WORLD_WEAKEN_ROLLBACKS},
        {"wipes", WORLD_WEAKEN_WIPES},
        {"repair", WORLD_WEAKEN_REPAIR},
        {"apply", WEAKEN_APPLY},
        {"copies", WEAKEN_COPIES},
        {"fail-stop", WEAKEN_FAIL_STOP},
        {"sessions", WEAKEN_SESSIONS},
        {"checkpoints", WEAKEN_CHECKPOINTS},
        {"cuts", WEAKEN_CUTS},
        {"majority", WEAKEN_MAJORITY},
        {"clean-stop", WEAKEN_CLEAN_STOP},
        {"answers", WORLD_WEAKEN_ANSWERS},
        {"hangs", WEAKEN_HANGS},
        {"room", WEAKEN_ROOM},
        {"leader-gone", WEAKEN_LEADER_GONE},
        {"eras", WEAKEN_ERAS},
        {"alone", WEAKEN_ALONE},
        {"forming", WEAKEN_FORMING},
        {"promises", WEAKEN_PROMISES},
        {"told", WEAKEN_TOLD},
        {"found", WEAKEN_FOUND},
        {"refusals", WEAKEN_REFUSALS},
        {"changes", WORLD_WEAKEN_CHANGES},
    };
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        if (strcmp(rules[i].name, name) == 0) {
            return rules[i].rule;
        }
    }
    return 0;
}

struct world *world_create(const struct world_options *options)
{
    struct world *w = mem_zalloc(sizeof *w);
    w->seed = options->seed;
    w->weaken = options->weaken;
    w->random = random_seeded(w->seed * 2654435761U + 17);
    w->verbose = options->verbose;
    w->calm = options->calm;
    w->cache_size = options->cache_size;
    w->now_us = WORLD_SECOND;
    w->fault_end_us = w->now_us + FAULT_SECONDS * WORLD_SECOND;
    w->end_us = w->fault_end_us + HEAL_SECONDS * WORLD_SECOND;
    w->node_count = options->nodes != 0 ? options->nodes : 3;
    w->power_fails = w->node_count > 1 || w->seed % 2 == 0;
    w->log_keep = random_between(&w->random, 1, 200);
    w->part_size = random_chance(&w->random, 1, 2) ? random_between(&w->random, 100, 400) : 0;
    w->checkpoint_step = w->seed % 4 == 0 ? 1 + w->seed % 97 : 0;
    w->log_keep = w->seed % 8 == 4 ? 0 : w->log_keep; /* then few need a checkpoint of another */
    struct fake_net_options net = w->calm ? calm_network : draw_network(&w->random);
    w->net = fake_net_create(w->node_count, random_u64(&w->random), &net);
    for (size_t i = 0; i < w->node_count; i++) {
        node_open(w, i);
    }
    for (size_t i = 0; i < w->node_count; i++) {
        node_start(&w->nodes[i]);
    }
    clients_open(w);
    leveler_open(w);
    w->chaos_us = w->calm ? UINT64_MAX : w->now_us + 2 * WORLD_SECOND;
    return w;
}

void world_destroy(struct world *w)
{
    for (size_t i = 0; i < w->node_count; i++) {
        node_close(&w->nodes[i]); /* answers what the clients have asked */
    }
    clients_close(w);
    leveler_close(w);
    fake_net_destroy(w->net);
    mem_free(w->leader_of_term);
    mem_free(w->manifest_of_index);
    mem_free(w->term_of_index);
    mem_free(w);
}

static bool deliver(struct world *w)
{
    struct fake_net_event event;
    if (!fake_net_deliver(w->net, w->now_us, &event)) {
        return false;
    }
    node_event(&w->nodes[event.node], &event);
    return true;
}

/* Everything that is due now, until nothing is. */
static void run_due(struct world *w)
{
    bool more = true;
    for (unsigned rounds = 0; more; rounds++) {
        if (rounds > 100000) {
            world_fail(w, "something is due for ever");
        }
        more = deliver(w);
        for (size_t i = 0; i < w->node_count; i++) {
            more |= node_run(&w->nodes[i]);
        }
        more |= clients_run(w);
    }
}

static uint64_t earliest(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t next_us(struct world *w)
{
    uint64_t at = fake_net_next_us(w->net);
    for (size_t i = 0; i < w->node_count; i++) {
        at = earliest(at, node_next_us(&w->nodes[i]));
    }
    at = earliest(at, clients_next_us(w));
    at = earliest(at, chaos_next_us(w));
    at = earliest(at, leveler_next_us(w));
    return at <= w->now_us ? w->now_us + 1 : at;
}

void world_run_for(struct world *w, uint64_t us)
{
    uint64_t until_us = w->now_us + us;
    for (;;) {
        run_due(w);
        if (w->now_us >= until_us) {
            return;
        }
        w->now_us = earliest(next_us(w), until_us);
    }
}

/* A seed that did little tests little: its faults go on. */
static void extend(struct world *w)
{
    const struct world_counts *c = &w->counts;
    bool enough = w->calm || (c->commits >= COMMITS_MIN && c->crashes >= CRASHES_MIN &&
                              (c->damages >= 1 || w->node_count == 1));
    uint64_t limit_us = (1 + FAULT_SECONDS_MAX) * WORLD_SECOND;
    if (!enough && w->now_us >= w->fault_end_us && w->fault_end_us < limit_us) {
        w->fault_end_us += WORLD_SECOND;
        w->end_us += WORLD_SECOND;
    }
}

void world_run(struct world *w)
{
    bool healed = false;
    if (w->calm) {
        w->fault_end_us = w->now_us;
        w->end_us = w->now_us + HEAL_SECONDS * WORLD_SECOND;
    }
    for (;;) {
        run_due(w);
        if (!healed) {
            extend(w);
        }
        uint64_t limit_us = w->end_us + EXTRA_SECONDS * WORLD_SECOND;
        if (!healed && world_is_healing(w)) {
            healed = true;
            chaos_heal(w);
            continue;
        }
        if (healed && w->now_us >= w->end_us && clients_are_settled(w) && check_is_converged(w)) {
            break;
        }
        if (w->now_us >= limit_us) {
            check_end(w); /* says what has not converged */
            world_fail(w, "not converged %u s after the faults ended",
                       (unsigned)(HEAL_SECONDS + EXTRA_SECONDS));
        }
        uint64_t at = next_us(w);
        if (!healed && at > w->fault_end_us) {
            at = w->fault_end_us;
        }
        w->now_us = earliest(at, limit_us);
        if (!healed) {
            chaos_run(w);
            leveler_run(w);
        }
    }
    check_end(w);
    clients_check(w);
}
