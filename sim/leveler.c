/* SPDX-License-Identifier: Apache-2.0 */
/* Somebody who changes ts.wal.wal_level again and again, at any node. Draws from a
 * stream of its own, so that the faults of a seed stay what they are without it. */
#include <inttypes.h>
#include <stdio.h>

#include "base/check.h"
#include "base/mem.h"
#include "proto/wire.h"
#include "sim/world.h"

enum { PAUSE_MIN_MS = 20, PAUSE_MAX_MS = 4000, PAUSE_MAX_ALONE_MS = 500, LEVELS = 4 };

struct leveler {
    struct member_request request; /* first */
    struct world *world;
    struct random random;
    bool asked;
    unsigned level; /* that was asked for */
    uint64_t next_us;
};

static void on_answer(struct member_request *r, const struct member_reply *reply)
{
    struct leveler *l = (struct leveler *)r;
    struct world *w = l->world;
    l->asked = false;
    world_say(w, "level %u: %s %s (writes waited %" PRIu64 " ms)", l->level, err_name(reply->code),
              reply->text, reply->blocked_ms);
    if (reply->code == ERR_OK) {
        w->counts.level_changes++;
    } else if (reply->code == ERR_INVALID || reply->code == ERR_RANGE) {
        world_fail(w, "level %u was refused: %s", l->level, reply->text);
    }
}

/* What a node alone promises at level 2 it keeps unless the power fails, and at
 * level 0 it promises nothing. */
bool world_may_be_level(const struct world *w, unsigned level)
{
    return w->node_count > 1 || level == WAL_LEVEL_SYNC || level == WAL_LEVEL_BYRL ||
           (level == WAL_LEVEL_FLUSH && !w->power_fails);
}

void leveler_set(struct world *w, struct node *n, unsigned level)
{
    struct leveler *l = w->leveler;
    CHECK(!l->asked);
    char text[2] = {(char)('0' + level), '\0'};
    struct buf body = {0};
    wire_put_str(&body, 1, "ts.wal.wal_level");
    wire_put_str(&body, 2, text);
    struct command command = {.kind = COMMAND_SET_SETTING, .body = buf_bytes(&body)};
    l->asked = true;
    l->level = level;
    l->request = (struct member_request){.done = on_answer};
    world_say(w, "level %u is asked for at %s", level, n->name);
    member_propose(n->member, &command, &l->request);
    buf_deinit(&body);
}

void leveler_open(struct world *w)
{
    struct leveler *l = mem_zalloc(sizeof *l);
    l->world = w;
    l->random = random_seeded(w->seed * UINT64_C(0x9E3779B97F4A7C15) + 3);
    l->next_us = w->calm ? UINT64_MAX : w->now_us + 3 * WORLD_SECOND;
    w->leveler = l;
}

void leveler_close(struct world *w)
{
    CHECK(!w->leveler->asked); /* the member answered */
    mem_free(w->leveler);
}

void leveler_run(struct world *w)
{
    struct leveler *l = w->leveler;
    if (l->asked || w->now_us < l->next_us) {
        return;
    }
    uint64_t pause_ms = random_between(&l->random, PAUSE_MIN_MS,
                                       w->node_count > 1 ? PAUSE_MAX_MS : PAUSE_MAX_ALONE_MS);
    unsigned level = (unsigned)random_below(&l->random, LEVELS);
    struct node *n = &w->nodes[random_below(&l->random, w->node_count)];
    l->next_us = w->now_us + pause_ms * WORLD_MS;
    if (node_is_serving(n) && world_may_be_level(w, level)) {
        leveler_set(w, n, level);
    }
}

uint64_t leveler_next_us(const struct world *w)
{
    return world_is_healing(w) || w->leveler->asked ? UINT64_MAX : w->leveler->next_us;
}
