/* SPDX-License-Identifier: Apache-2.0 */
/* Work that must not run on the loop thread, and the lanes that run it.
 *
 *   loop:  host->submit(job) ─────────► lane: job->work(job), in order, one thread
 *   loop:  job->done(job)    ◄───────── the lane's whole queue at once
 *
 * LANE_LOG    hard state, control file and both logs. All jobs that wait when the lane
 *             wakes are worked on, then storage_sync() runs once: group commit.
 *             A job that needed the sync is done only after it.
 * LANE_APPLY  owns the struct tsdb
 * LANE_POOL   files that nobody else changes: checkpoints, snapshots, long scans
 *
 * A job belongs to the lane between submit and done; its memory is its
 * submitter's. done() always runs on the loop thread, also when work failed. */
#ifndef TIDEMARK_NODE_LANE_H
#define TIDEMARK_NODE_LANE_H

#include <stdint.h>

enum lane { LANE_LOG, LANE_APPLY, LANE_POOL, LANE_COUNT };

struct job {
    struct job *next; /* of the queue it is in */
    enum lane lane;
    void (*work)(struct job *job); /* on the lane */
    void (*done)(struct job *job); /* on the loop */
    void *context;                 /* the submitter's */
};

/* A FIFO of jobs. */
struct job_queue {
    struct job *first;
    struct job *last;
};

static inline void job_queue_push(struct job_queue *q, struct job *job)
{
    job->next = (struct job *)0;
    if (q->last != (struct job *)0) {
        q->last->next = job;
    } else {
        q->first = job;
    }
    q->last = job;
}

static inline struct job *job_queue_pop(struct job_queue *q)
{
    struct job *job = q->first;
    if (job != (struct job *)0) {
        q->first = job->next;
        if (q->first == (struct job *)0) {
            q->last = (struct job *)0;
        }
        job->next = (struct job *)0;
    }
    return job;
}

#endif
