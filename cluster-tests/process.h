/* SPDX-License-Identifier: Apache-2.0 */
/* A child process of a test: started, paused, killed, waited for; always by the
 * id that this module started.
 *
 *   process_start ──► running ── process_pause ──► paused ── process_resume ──► running
 *                        └── process_signal, its own end ──► process_wait ──► gone
 *
 * A child dies with the thread that started it, so that nothing outlives a test
 * that crashed. Output and errors go to one file, appended. */
#ifndef TIDEMARK_CLUSTER_TESTS_PROCESS_H
#define TIDEMARK_CLUSTER_TESTS_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

struct process {
    pid_t id; /* 0: gone, or never started */
    bool paused;
};

/* How it ended: one of the two. */
struct process_end {
    int code;   /* of exit(); -1: by a signal */
    int number; /* of the signal; 0: by exit() */
};

/* argv[0] is the path of the program; NULL at the end. ERR_IO: it could not be
 * executed. */
MUST_CHECK enum err_code process_start(struct process *p, const char *const *argv,
                                       const char *output, struct err *e);
/* SIGKILL, SIGTERM ...; does not wait. */
void process_signal(struct process *p, int number);
/* Returns when the process has stopped running, so what it sends later is none of before. */
void process_pause(struct process *p);
void process_resume(struct process *p);
/* False: it still runs. */
bool process_has_ended(struct process *p, struct process_end *end);
/* ERR_DEADLINE: it still runs after timeout_ms. */
MUST_CHECK enum err_code process_wait(struct process *p, uint64_t timeout_ms,
                                      struct process_end *end, struct err *e);
/* SIGKILL, and waits. Fine for a process that is gone. */
void process_kill(struct process *p);

/* CLOCK_MONOTONIC. */
uint64_t process_now_us(void);

#endif
