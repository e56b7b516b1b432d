/* SPDX-License-Identifier: Apache-2.0 */
#include "node/host_lanes.h"

#include <uv.h>

#include "base/check.h"
#include "base/mem.h"
#include "node/storage.h"

enum { POOL_THREADS = 2, THREADS = LANE_POOL + POOL_THREADS };

struct queue {
    uv_mutex_t mutex;
    uv_cond_t waiting;
    struct job_queue jobs;
    bool stop;
};

struct worker {
    struct host_lanes *lanes;
    enum lane lane;
    uv_thread_t thread;
};

struct host_lanes {
    struct storage *storage;
    struct queue queues[LANE_COUNT];
    struct worker workers[THREADS];
    uv_mutex_t finished_mutex;
    struct job_queue finished;
    uv_async_t wake;
    void (*on_finished)(void *context);
    void *context;
};

static void give_back(struct host_lanes *l, struct job_queue *jobs)
{
    uv_mutex_lock(&l->finished_mutex);
    bool was_empty = l->finished.first == NULL;
    if (was_empty) {
        l->finished = *jobs;
    } else {
        l->finished.last->next = jobs->first;
        l->finished.last = jobs->last;
    }
    uv_mutex_unlock(&l->finished_mutex);
    if (was_empty) {
        int rv = uv_async_send(&l->wake);
        CHECK(rv == 0);
    }
}

/* The pool shares its queue among threads: one job at a time. */
static struct job_queue take(struct queue *q, enum lane lane)
{
    struct job_queue taken = {0};
    uv_mutex_lock(&q->mutex);
    while (q->jobs.first == NULL && !q->stop) {
        uv_cond_wait(&q->waiting, &q->mutex);
    }
    if (lane == LANE_POOL) {
        struct job *job = job_queue_pop(&q->jobs);
        if (job != NULL) {
            job_queue_push(&taken, job);
        }
    } else {
        taken = q->jobs;
        q->jobs = (struct job_queue){0};
    }
    uv_mutex_unlock(&q->mutex);
    return taken;
}

static void work(void *arg)
{
    struct worker *w = arg;
    struct host_lanes *l = w->lanes;
    for (;;) {
        struct job_queue jobs = take(&l->queues[w->lane], w->lane);
        if (jobs.first == NULL) {
            return; /* told to stop, and nothing is left */
        }
        for (struct job *job = jobs.first; job != NULL; job = job->next) {
            job->work(job);
        }
        if (w->lane == LANE_LOG) {
            storage_sync(l->storage);
        }
        give_back(l, &jobs);
    }
}

static void on_wake(uv_async_t *handle)
{
    struct host_lanes *l = handle->data;
    l->on_finished(l->context);
}

static void start_worker(struct host_lanes *l, size_t i)
{
    struct worker *w = &l->workers[i];
    w->lanes = l;
    w->lane = i < LANE_POOL ? (enum lane)i : LANE_POOL;
    int rv = uv_thread_create(&w->thread, work, w);
    if (rv != 0) {
        PANIC("a thread can't be made: %s", uv_strerror(rv));
    }
}

enum err_code host_lanes_open(struct uv_loop_s *loop, struct storage *storage,
                              void (*finished)(void *context), void *context,
                              struct host_lanes **out, struct err *e)
{
    struct host_lanes *l = mem_zalloc(sizeof *l);
    l->storage = storage;
    l->on_finished = finished;
    l->context = context;
    l->wake.data = l;
    int rv = uv_async_init(loop, &l->wake, on_wake);
    if (rv != 0) {
        mem_free(l);
        return err_set(e, ERR_IO, "lanes: %s", uv_strerror(rv));
    }
    rv = uv_mutex_init(&l->finished_mutex);
    CHECK(rv == 0);
    for (size_t i = 0; i < LANE_COUNT; i++) {
        rv = uv_mutex_init(&l->queues[i].mutex);
        CHECK(rv == 0);
        rv = uv_cond_init(&l->queues[i].waiting);
        CHECK(rv == 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        start_worker(l, i);
    }
    *out = l;
    return ERR_OK;
}

void host_lanes_submit(struct host_lanes *l, struct job *job)
{
    CHECK(job->lane < LANE_COUNT);
    struct queue *q = &l->queues[job->lane];
    uv_mutex_lock(&q->mutex);
    CHECK(!q->stop);
    job_queue_push(&q->jobs, job);
    uv_cond_signal(&q->waiting);
    uv_mutex_unlock(&q->mutex);
}

struct job *host_lanes_take(struct host_lanes *l)
{
    uv_mutex_lock(&l->finished_mutex);
    struct job *first = l->finished.first;
    l->finished = (struct job_queue){0};
    uv_mutex_unlock(&l->finished_mutex);
    return first;
}

static void on_closed(uv_handle_t *handle)
{
    mem_free(handle->data);
}

void host_lanes_close(struct host_lanes *l)
{
    if (l == NULL) {
        return;
    }
    for (size_t i = 0; i < LANE_COUNT; i++) {
        uv_mutex_lock(&l->queues[i].mutex);
        l->queues[i].stop = true;
        uv_cond_broadcast(&l->queues[i].waiting);
        uv_mutex_unlock(&l->queues[i].mutex);
    }
    for (size_t i = 0; i < THREADS; i++) {
        int rv = uv_thread_join(&l->workers[i].thread);
        CHECK(rv == 0);
    }
    CHECK(l->finished.first == NULL);
    for (size_t i = 0; i < LANE_COUNT; i++) {
        uv_cond_destroy(&l->queues[i].waiting);
        uv_mutex_destroy(&l->queues[i].mutex);
    }
    uv_mutex_destroy(&l->finished_mutex);
    uv_close((uv_handle_t *)&l->wake, on_closed);
}
