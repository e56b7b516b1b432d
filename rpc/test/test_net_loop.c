/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/net_loop.h"

#include <signal.h>

#include "rpc/test/loop.h"

struct fixture {
    struct loop loop;
    struct net_loop net;
    unsigned closed;
    unsigned fired;
    unsigned timers_closed;
};

static void on_closed(void *owner)
{
    ((struct fixture *)owner)->closed++;
}

static void on_fired(void *owner)
{
    ((struct fixture *)owner)->fired++;
}

static void on_timer_closed(void *owner)
{
    struct fixture *f = owner;
    EXPECT_UINT(f->closed, 0);
    f->timers_closed++;
}

static void fixture_open(struct fixture *f)
{
    *f = (struct fixture){.closed = 0};
    loop_open(&f->loop);
    net_loop_init(&f->net, &f->loop.uv, on_closed, f);
}

TEST(net_loop, does_not_keep_an_idle_loop_alive)
{
    struct fixture f;
    fixture_open(&f);
    EXPECT_INT(uv_run(&f.loop.uv, UV_RUN_NOWAIT), 0);
    EXPECT_UINT(f.closed, 0);
    net_loop_close(&f.net);
    loop_close(&f.loop);
    EXPECT_UINT(f.closed, 1);
}

TEST(net_loop, sigpipe_is_ignored)
{
    struct fixture f;
    fixture_open(&f);
    struct sigaction action;
    REQUIRE_INT(sigaction(SIGPIPE, NULL, &action), 0);
    EXPECT(action.sa_handler == SIG_IGN);
    net_loop_close(&f.net);
    loop_close(&f.loop);
}

TEST(net_loop, is_closed_after_the_last_handle)
{
    struct fixture f;
    fixture_open(&f);
    net_loop_hold(&f.net);
    net_loop_close(&f.net);
    for (int i = 0; i < 5; i++) {
        loop_turn(&f.loop);
    }
    EXPECT_UINT(f.closed, 0);
    net_loop_release(&f.net);
    EXPECT_UINT(f.closed, 1);
    loop_close(&f.loop);
}

TEST(net_loop, timers_fire_once_or_again_and_again)
{
    struct fixture f;
    fixture_open(&f);
    struct net_timer timer;
    net_timer_init(&timer, &f.net, on_fired, &f);
    EXPECT(!net_timer_is_active(&timer));
    net_timer_start(&timer, 1, 0);
    EXPECT(net_timer_is_active(&timer));
    WAIT_FOR(&f.loop, f.fired == 1);
    EXPECT(!net_timer_is_active(&timer));
    net_timer_start(&timer, 1, 1);
    WAIT_FOR(&f.loop, f.fired == 4);
    net_timer_stop(&timer);
    loop_turn(&f.loop);
    EXPECT_UINT(f.fired, 4);
    EXPECT(net_loop_now_ms(&f.net) > 0);
    net_timer_close(&timer, on_timer_closed);
    net_loop_close(&f.net);
    loop_close(&f.loop);
    EXPECT_UINT(f.timers_closed, 1);
    EXPECT_UINT(f.closed, 1);
}
