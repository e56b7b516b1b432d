/* SPDX-License-Identifier: Apache-2.0 */
/* A uv loop for one test, turned until something has happened. */
#ifndef TIDEMARK_RPC_TEST_LOOP_H
#define TIDEMARK_RPC_TEST_LOOP_H

#include <stdio.h>
#include <uv.h>

#include "testkit/test.h"

enum { LOOP_TURN_MS = 20, LOOP_TURNS_MAX = 1500 };

struct loop {
    uv_loop_t uv;
    uv_timer_t timer;
};

static inline void loop_on_timer(uv_timer_t *timer)
{
    (void)timer;
}

static inline void loop_open(struct loop *l)
{
    REQUIRE_INT(uv_loop_init(&l->uv), 0);
    REQUIRE_INT(uv_timer_init(&l->uv, &l->timer), 0);
}

/* One turn, waiting for events a moment at most. */
static inline void loop_turn(struct loop *l)
{
    (void)uv_timer_start(&l->timer, loop_on_timer, LOOP_TURN_MS, 0);
    (void)uv_run(&l->uv, UV_RUN_ONCE);
    (void)uv_timer_stop(&l->timer);
}

/* Every handle must be closing: what is left ends by itself. */
static inline void loop_close(struct loop *l)
{
    uv_close((uv_handle_t *)&l->timer, NULL);
    for (unsigned i = 0; i < LOOP_TURNS_MAX && uv_run(&l->uv, UV_RUN_ONCE) != 0; i++) {
    }
    REQUIRE_INT(uv_loop_close(&l->uv), 0);
}

/* Turns the loop until 'fact' holds, and fails if it never does. */
#define WAIT_FOR(loop, fact)                                                                       \
    do {                                                                                           \
        for (unsigned turn_ = 0; turn_ < LOOP_TURNS_MAX && !(fact); turn_++) {                     \
            loop_turn(loop);                                                                       \
        }                                                                                          \
        REQUIRE(fact);                                                                             \
    } while (false)

static inline const char *loop_address(uint16_t port)
{
    static char text[64];
    (void)snprintf(text, sizeof text, "127.0.0.1:%u", (unsigned)port);
    return text;
}

#endif
