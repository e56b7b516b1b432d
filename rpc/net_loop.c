/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/net_loop.h"

#include <signal.h>

#include "base/check.h"
#include "base/mem.h"
#include "rpc/net_conn.h"

static void on_idle(uv_idle_t *idle)
{
    (void)idle; /* its being active keeps the loop from waiting */
}

static void on_prepare(uv_prepare_t *prepare)
{
    struct net_loop *l = prepare->data;
    l->turn++;
    for (;;) {
        struct net_conn *c = TAILQ_FIRST(&l->dirty);
        if (c == NULL || c->turn == l->turn) {
            break;
        }
        c->turn = l->turn;
        net_conn_flush(c);
    }
    if (TAILQ_EMPTY(&l->dirty)) {
        CHECK(uv_idle_stop(&l->idle) == 0);
    }
}

void net_loop_wake(struct net_loop *l)
{
    if (TAILQ_EMPTY(&l->dirty) && !l->closing) {
        CHECK(uv_idle_start(&l->idle, on_idle) == 0);
    }
}

/* libuv writes without MSG_NOSIGNAL: writing to a connection that the other side
 * has closed would end the process. A handler of the program's own stays. */
static void ignore_sigpipe(void)
{
    struct sigaction action;
    CHECK(sigaction(SIGPIPE, NULL, &action) == 0);
    if (action.sa_handler == SIG_DFL) {
        action.sa_handler = SIG_IGN;
        CHECK(sigaction(SIGPIPE, &action, NULL) == 0);
    }
}

void net_loop_init(struct net_loop *l, uv_loop_t *uv, void (*closed)(void *owner), void *owner)
{
    *l = (struct net_loop){.uv = uv, .closed = closed, .owner = owner};
    TAILQ_INIT(&l->dirty);
    ignore_sigpipe();
    l->input = mem_alloc(NET_INPUT_SIZE);
    CHECK(uv_prepare_init(uv, &l->prepare) == 0);
    CHECK(uv_idle_init(uv, &l->idle) == 0);
    l->prepare.data = l;
    l->idle.data = l;
    CHECK(uv_prepare_start(&l->prepare, on_prepare) == 0);
    uv_unref((uv_handle_t *)&l->prepare);
    l->handles = 2;
}

static void on_closed(uv_handle_t *handle)
{
    net_loop_release(handle->data);
}

void net_loop_close(struct net_loop *l)
{
    CHECK(!l->closing);
    l->closing = true;
    uv_close((uv_handle_t *)&l->prepare, on_closed);
    uv_close((uv_handle_t *)&l->idle, on_closed);
}

void net_loop_hold(struct net_loop *l)
{
    CHECK(l->handles > 0);
    l->handles++;
}

void net_loop_release(struct net_loop *l)
{
    CHECK(l->handles > 0);
    l->handles--;
    if (l->handles > 0) {
        return;
    }
    CHECK(l->closing);
    CHECK(TAILQ_EMPTY(&l->dirty));
    mem_free(l->input);
    buf_deinit(&l->output);
    l->closed(l->owner);
}

uint64_t net_loop_now_ms(const struct net_loop *l)
{
    return uv_now(l->uv);
}

void net_timer_init(struct net_timer *t, struct net_loop *l, void (*fired)(void *owner),
                    void *owner)
{
    *t = (struct net_timer){.loop = l, .fired = fired, .owner = owner};
    CHECK(uv_timer_init(l->uv, &t->timer) == 0);
    t->timer.data = t;
    net_loop_hold(l);
}

static void on_timer(uv_timer_t *timer)
{
    struct net_timer *t = timer->data;
    t->fired(t->owner);
}

void net_timer_start(struct net_timer *t, uint64_t after_ms, uint64_t repeat_ms)
{
    CHECK(uv_timer_start(&t->timer, on_timer, after_ms, repeat_ms) == 0);
}

void net_timer_stop(struct net_timer *t)
{
    CHECK(uv_timer_stop(&t->timer) == 0);
}

bool net_timer_is_active(const struct net_timer *t)
{
    return uv_is_active((const uv_handle_t *)&t->timer) != 0;
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct net_timer *t = handle->data;
    struct net_loop *l = t->loop;
    if (t->closed != NULL) {
        t->closed(t->owner);
    }
    net_loop_release(l);
}

void net_timer_close(struct net_timer *t, void (*closed)(void *owner))
{
    t->closed = closed;
    uv_close((uv_handle_t *)&t->timer, on_timer_closed);
}
