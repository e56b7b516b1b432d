/* SPDX-License-Identifier: Apache-2.0 */
#include "node/host_lanes.h"

#include <uv.h>

#include "base/check.h"
#include "node/storage.h"
#include "testkit/fake_disk.h"
#include "testkit/test.h"

enum { JOBS = 200 };

struct fixture {
    uv_loop_t loop;
    struct fake_disk *disk;
    struct storage *storage;
    struct host_lanes *lanes;
    size_t out;
    size_t done;
    bool in_order;
    struct err err;
};

struct step {
    struct job job;
    struct fixture *fixture;
    size_t number;
    size_t worked; /* how many of the lane's jobs were worked on before it */
    uv_barrier_t *barrier;
    size_t *counter; /* of the lane; only its thread touches it */
};

static void on_finished(void *context)
{
    struct fixture *f = context;
    for (struct job *job = host_lanes_take(f->lanes), *next; job != NULL; job = next) {
        next = job->next;
        f->out--;
        job->done(job);
    }
}

static void fixture_open(struct fixture *f)
{
    *f = (struct fixture){.disk = fake_disk_create(1), .in_order = true};
    REQUIRE_INT(uv_loop_init(&f->loop), 0);
    struct storage_options options = {
        .io = fake_disk_io(f->disk),
        .dir = "/data",
        .name = "n1",
        .segment_size = 64 * 1024,
        .recovery_mode = -1,
    };
    REQUIRE_OK(storage_open(&options, &f->storage, &f->err));
    REQUIRE_OK(storage_make_log(f->storage, STORAGE_LOCAL, 0, 0, &f->err));
    REQUIRE_OK(host_lanes_open(&f->loop, f->storage, on_finished, f, &f->lanes, &f->err));
}

static void fixture_close(struct fixture *f)
{
    host_lanes_close(f->lanes);
    EXPECT_INT(uv_run(&f->loop, UV_RUN_DEFAULT), 0);
    EXPECT_INT(uv_loop_close(&f->loop), 0);
    EXPECT_OK(storage_close(f->storage, false, &f->err));
    fake_disk_destroy(f->disk);
}

static void submit(struct fixture *f, struct step *s, enum lane lane, void (*work)(struct job *),
                   void (*done)(struct job *))
{
    s->fixture = f;
    s->job = (struct job){.lane = lane, .work = work, .done = done, .context = s};
    f->out++;
    host_lanes_submit(f->lanes, &s->job);
}

static void run_until_done(struct fixture *f)
{
    while (f->out > 0) {
        (void)uv_run(&f->loop, UV_RUN_ONCE);
    }
}

static void work_count(struct job *job)
{
    struct step *s = job->context;
    s->worked = (*s->counter)++;
}

static void done_in_order(struct job *job)
{
    struct step *s = job->context;
    s->fixture->in_order &= s->number == s->fixture->done && s->worked == s->number;
    s->fixture->done++;
}

TEST(host_lanes, works_on_jobs_and_gives_them_back_in_their_order)
{
    static struct step steps[JOBS];
    struct fixture f;
    fixture_open(&f);
    for (enum lane lane = LANE_LOG; lane <= LANE_APPLY; lane++) {
        size_t counter = 0;
        f.done = 0;
        for (size_t i = 0; i < JOBS; i++) {
            steps[i] = (struct step){.number = i, .counter = &counter};
            submit(&f, &steps[i], lane, work_count, done_in_order);
        }
        run_until_done(&f);
        EXPECT_UINT(f.done, JOBS);
        EXPECT(f.in_order);
    }
    fixture_close(&f);
}

/* --- group commit --- */

/* Holds the lane until all that follows is queued. */
static void work_wait(struct job *job)
{
    struct step *s = job->context;
    (void)uv_barrier_wait(s->barrier);
}

static void work_append(struct job *job)
{
    struct step *s = job->context;
    struct storage *storage = s->fixture->storage;
    struct wal *w = storage_wal(storage, STORAGE_LOCAL);
    struct wal_entry entry = {.index = wal_index_last(w) + 1,
                              .term = 1,
                              .type = WAL_COMMAND,
                              .payload = bytes_str("payload")};
    struct err e;
    enum err_code code = wal_append(w, &entry, 1, 0, &e);
    CHECK(code == ERR_OK);
    storage_want_sync(storage, STORAGE_LOCAL);
}

/* What it needed is durable before it is given back. */
static void done_durable(struct job *job)
{
    struct step *s = job->context;
    struct wal *w = storage_wal(s->fixture->storage, STORAGE_LOCAL);
    s->fixture->in_order &= wal_index_durable(w) > s->number;
    s->fixture->done++;
}

static void done_nothing(struct job *job)
{
    (void)job;
}

TEST(host_lanes, syncs_the_whole_queue_of_the_log_lane_once)
{
    static struct step steps[JOBS];
    struct fixture f;
    fixture_open(&f);
    uv_barrier_t barrier;
    REQUIRE_INT(uv_barrier_init(&barrier, 2), 0);
    struct step first = {.barrier = &barrier};
    submit(&f, &first, LANE_LOG, work_wait, done_nothing);
    for (size_t i = 0; i < JOBS; i++) {
        steps[i] = (struct step){.number = i};
        submit(&f, &steps[i], LANE_LOG, work_append, done_durable);
    }
    uint64_t before = fake_disk_calls_of(f.disk, FAKE_DISK_SYNC);
    (void)uv_barrier_wait(&barrier); /* now the lane goes on, alone on the disk */
    run_until_done(&f);
    EXPECT_UINT(f.done, JOBS);
    EXPECT(f.in_order);
    /* One, unless the first job was taken together with others. */
    EXPECT(fake_disk_calls_of(f.disk, FAKE_DISK_SYNC) - before <= 2);
    EXPECT(fake_disk_calls_of(f.disk, FAKE_DISK_SYNC) > before);
    uv_barrier_destroy(&barrier);
    fixture_close(&f);
}

/* Both wait for each other: behind one another they would never end. */
TEST(host_lanes, runs_jobs_of_the_pool_beside_each_other)
{
    struct fixture f;
    fixture_open(&f);
    uv_barrier_t barrier;
    REQUIRE_INT(uv_barrier_init(&barrier, 2), 0);
    struct step steps[2] = {{.barrier = &barrier}, {.barrier = &barrier}};
    for (size_t i = 0; i < 2; i++) {
        submit(&f, &steps[i], LANE_POOL, work_wait, done_nothing);
    }
    run_until_done(&f);
    EXPECT_UINT(f.out, 0);
    uv_barrier_destroy(&barrier);
    fixture_close(&f);
}

/* A scan that takes long holds no write up. */
TEST(host_lanes, works_on_other_lanes_while_the_pool_is_busy)
{
    struct fixture f;
    fixture_open(&f);
    uv_barrier_t barrier;
    REQUIRE_INT(uv_barrier_init(&barrier, 3), 0);
    struct step busy[2] = {{.barrier = &barrier}, {.barrier = &barrier}};
    for (size_t i = 0; i < 2; i++) {
        submit(&f, &busy[i], LANE_POOL, work_wait, done_nothing);
    }
    struct step append = {.number = 0};
    submit(&f, &append, LANE_LOG, work_append, done_durable);
    while (f.done == 0) {
        (void)uv_run(&f.loop, UV_RUN_ONCE);
    }
    EXPECT_UINT(f.out, 2);
    (void)uv_barrier_wait(&barrier);
    run_until_done(&f);
    EXPECT(f.in_order);
    uv_barrier_destroy(&barrier);
    fixture_close(&f);
}
