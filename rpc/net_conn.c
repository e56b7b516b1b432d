/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/net_conn.h"

#include "base/check.h"
#include "base/mem.h"
#include "rpc/net_dial.h"

enum { KEEP_CAPACITY_MAX = 64 * 1024 };

static const unsigned allowed[] = {
    [NET_CONN_DIALING] = 1U << NET_CONN_OPEN | 1U << NET_CONN_ENDED | 1U << NET_CONN_CLOSING,
    [NET_CONN_OPEN] = 1U << NET_CONN_ENDED | 1U << NET_CONN_CLOSING,
    [NET_CONN_ENDED] = 1U << NET_CONN_CLOSING,
    [NET_CONN_CLOSING] = 0,
};

static void set_state(struct net_conn *c, enum net_conn_state next)
{
    CHECK((allowed[c->state] & 1U << next) != 0);
    c->state = next;
}

static void unmark(struct net_conn *c)
{
    if (c->is_dirty) {
        TAILQ_REMOVE(&c->loop->dirty, c, dirty_entry);
        c->is_dirty = false;
    }
}

static void end(struct net_conn *c, int status)
{
    CHECK(c->state == NET_CONN_OPEN);
    set_state(c, NET_CONN_ENDED);
    unmark(c);
    (void)uv_read_stop((uv_stream_t *)&c->tcp);
    c->ops->ended(c, status);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
    (void)suggested;
    const struct net_conn *c = handle->data;
    *out = uv_buf_init((char *)c->loop->input, NET_INPUT_SIZE);
}

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buf)
{
    struct net_conn *c = stream->data;
    if (c->state != NET_CONN_OPEN || size == 0) {
        return;
    }
    if (size < 0) {
        end(c, size == UV_EOF ? 0 : (int)size);
        return;
    }
    if (!c->finishing) {
        c->ops->read(c, bytes_of(buf->base, (size_t)size));
    }
}

void net_conn_opened(struct net_conn *c)
{
    (void)uv_tcp_nodelay(&c->tcp, 1);
    struct sockaddr_storage sa;
    int size = sizeof sa;
    if (uv_tcp_getpeername(&c->tcp, (struct sockaddr *)&sa, &size) == 0) {
        net_address_format((struct sockaddr *)&sa, c->peer);
    }
    CHECK(uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read) == 0);
    if (c->dial != NULL) {
        net_dial_free(c->dial);
        c->dial = NULL;
        set_state(c, NET_CONN_OPEN);
        c->ops->connected(c);
    }
}

void net_conn_dial_failed(struct net_conn *c, int status)
{
    net_dial_free(c->dial);
    c->dial = NULL;
    set_state(c, NET_CONN_ENDED);
    c->ops->ended(c, status);
}

void net_conn_dial(struct net_conn *c, struct net_loop *l, const struct net_conn_ops *ops,
                   const struct net_address *address, unsigned timeout_ms)
{
    void *owner = c->owner;
    *c = (struct net_conn){.loop = l, .ops = ops, .owner = owner, .state = NET_CONN_DIALING};
    net_loop_hold(l);
    net_dial_start(c, address, timeout_ms);
}

int net_conn_take(struct net_conn *c, struct net_loop *l, const struct net_conn_ops *ops,
                  uv_stream_t *listener)
{
    void *owner = c->owner;
    *c = (struct net_conn){.loop = l, .ops = ops, .owner = owner, .state = NET_CONN_OPEN};
    net_loop_hold(l);
    CHECK(uv_tcp_init(l->uv, &c->tcp) == 0);
    c->tcp.data = c;
    int status = uv_accept(listener, (uv_stream_t *)&c->tcp);
    if (status < 0) {
        net_conn_close(c);
        return status;
    }
    net_conn_opened(c);
    return 0;
}

void net_conn_mark(struct net_conn *c)
{
    if (c->state == NET_CONN_OPEN && !c->is_dirty && !c->writing) {
        net_loop_wake(c->loop);
        TAILQ_INSERT_TAIL(&c->loop->dirty, c, dirty_entry);
        c->is_dirty = true;
    }
}

size_t net_conn_queued(const struct net_conn *c)
{
    return c->out.size + (c->writing ? c->tcp.write_queue_size : 0);
}

static void on_written(uv_write_t *write, int status)
{
    struct net_conn *c = write->handle->data;
    c->writing = false;
    if (c->flight.capacity > KEEP_CAPACITY_MAX) {
        buf_deinit(&c->flight);
    }
    buf_reset(&c->flight);
    if (c->state != NET_CONN_OPEN) {
        return;
    }
    if (status < 0) {
        end(c, status);
        return;
    }
    net_conn_mark(c);
}

/* What the kernel did not take waits in 'flight'. */
static void write_rest(struct net_conn *c, struct buf *out, size_t taken)
{
    CHECK(!c->writing);
    size_t rest = out->size - taken;
    if (out == &c->out) {
        struct buf swapped = c->flight;
        c->flight = c->out;
        c->out = swapped;
        buf_reset(&c->out);
    } else {
        buf_reset(&c->flight);
        buf_put(&c->flight, out->data + taken, rest);
        buf_reset(out);
        taken = 0;
    }
    uv_buf_t piece = uv_buf_init((char *)c->flight.data + taken, (unsigned)rest);
    c->writing = true;
    int status = uv_write(&c->write, (uv_stream_t *)&c->tcp, &piece, 1, on_written);
    if (status < 0) {
        c->writing = false;
        end(c, status);
    }
}

/* One write of what is there. True: the kernel took all of it. */
static bool write_out(struct net_conn *c, struct buf *out)
{
    uv_buf_t piece = uv_buf_init((char *)out->data, (unsigned)out->size);
    int taken = uv_try_write((uv_stream_t *)&c->tcp, &piece, 1);
    if (taken < 0 && taken != UV_EAGAIN) {
        buf_reset(out);
        end(c, taken);
        return false;
    }
    size_t size = taken < 0 ? 0 : (size_t)taken;
    if (size < out->size) {
        write_rest(c, out, size);
        return false;
    }
    if (out->capacity > 2 * KEEP_CAPACITY_MAX) {
        buf_deinit(out);
    }
    buf_reset(out);
    return true;
}

void net_conn_flush(struct net_conn *c)
{
    unmark(c);
    CHECK(c->state == NET_CONN_OPEN);
    struct buf *out = c->ops->fill == NULL ? &c->out : &c->loop->output;
    size_t written = 0;
    while (!c->writing) {
        if (c->ops->fill != NULL) {
            CHECK(out->size == 0);
            c->ops->fill(c, out);
            if (c->state != NET_CONN_OPEN) {
                buf_reset(out);
                return;
            }
        }
        size_t size = out->size;
        if (size == 0) {
            if (c->finishing) {
                end(c, 0);
            }
            return;
        }
        if (!write_out(c, out)) {
            return;
        }
        written += size;
        if (written >= NET_TURN_SIZE_MAX) {
            net_conn_mark(c);
            return;
        }
    }
}

void net_conn_finish(struct net_conn *c)
{
    if (c->state != NET_CONN_OPEN) {
        return;
    }
    c->finishing = true;
    net_conn_mark(c);
}

void net_conn_closed(uv_handle_t *handle)
{
    struct net_conn *c = handle->data;
    struct net_loop *l = c->loop;
    buf_deinit(&c->out);
    buf_deinit(&c->flight);
    c->ops->closed(c); /* 'c' may be gone */
    net_loop_release(l);
}

void net_conn_close(struct net_conn *c)
{
    if (c->state == NET_CONN_CLOSING) {
        return;
    }
    set_state(c, NET_CONN_CLOSING);
    unmark(c);
    if (c->dial != NULL) {
        net_dial_free(c->dial);
        c->dial = NULL;
    }
    if (!uv_is_closing((uv_handle_t *)&c->tcp)) {
        uv_close((uv_handle_t *)&c->tcp, net_conn_closed);
    }
}

bool net_conn_is_open(const struct net_conn *c)
{
    return c->state == NET_CONN_OPEN;
}

const char *net_conn_reason(int status)
{
    return status == 0 ? "closed by the other side" : uv_strerror(status);
}
