/* SPDX-License-Identifier: Apache-2.0 */
/* A node alone on a fake disk, for tests of the member: its lanes work at once,
 * its clock is a number, nobody answers its links. */
#ifndef TIDEMARK_NODE_TEST_SOLO_H
#define TIDEMARK_NODE_TEST_SOLO_H

#include "node/member.h"
#include "node/storage.h"
#include "testkit/fake_disk.h"

enum { SOLO_ROWS_MAX = 32 }; /* of one write */

struct solo_options {
    unsigned wal_level;
    size_t peer_count;          /* 0: alone */
    size_t part_size;           /* of a piece of a large write; 0: as in production */
    size_t checkpoint_step;     /* bytes of a checkpoint written at a time; 0: as in production */
    unsigned weaken;            /* node/member_weaken.h */
    bool hold_apply_when_local; /* once the state is open, the apply lane stands still */
};

/* A request, and its answer. */
struct solo_ask {
    struct member_request request; /* first: it leads back to us */
    bool answered;
    struct member_reply reply;
    char text[ERR_TEXT_SIZE];
};

struct solo {
    struct member_request request; /* first: it leads back to us */
    struct solo_options options;
    struct fake_disk *disk;
    struct storage *storage;
    struct member *member;
    struct job_queue lanes[LANE_COUNT];
    bool hold[LANE_COUNT]; /* the lane does not work (a disk that hangs) */
    uint64_t now_ms;
    bool stopped;
    int exit_code;
    char reason[ERR_TEXT_SIZE];
    /* the last request's answer */
    bool answered;
    struct member_reply reply;
    char text[ERR_TEXT_SIZE];
    size_t sent_count; /* messages to other nodes */
    struct buf sent;   /* the last one */
};

void solo_open(struct solo *s, struct solo_options options);
/* Starts the process on the disk as it is. */
void solo_start(struct solo *s);
/* The same where the disk may fail: false, and no member, if the directory can't be opened. */
bool solo_try_start(struct solo *s, struct err *e);
/* The process is killed; with 'power' nothing that was not synced is left. */
void solo_crash(struct solo *s, bool power);
/* After host->stopped(): closes, cleanly if the exit code is 0. */
void solo_end(struct solo *s);
/* The same where the disk may fail. */
enum err_code solo_try_end(struct solo *s, struct err *e);
void solo_close(struct solo *s);
/* Works, ticks and flushes until nothing is to be done; then lets 'ms' pass in steps. */
void solo_run(struct solo *s, uint64_t ms);

/* One turn of the loop and of each lane. False: nothing was to be done. */
bool solo_turn(struct solo *s);

/* Asks, and does not run: solo_turn() does. 'ask' lives until it is answered. */
void solo_ask_write(struct solo *s, int64_t time, struct solo_ask *ask);
void solo_ask_set(struct solo *s, const char *name, const char *value, struct solo_ask *ask);

/* A command, run until it is answered (or nothing happens any more). */
enum err_code solo_propose(struct solo *s, enum command_kind kind, struct bytes body);
enum err_code solo_set(struct solo *s, const char *name, const char *value);
enum err_code solo_make_table(struct solo *s); /* t.kv: ts, v int64; tag key */
enum err_code solo_write(struct solo *s, int64_t time);
/* Rows of 'count' times from 'time' on, in one write. */
enum err_code solo_write_rows(struct solo *s, int64_t time, size_t count);
/* Rows of t.kv that can be read now; -1: it can't be read. */
long solo_count(struct solo *s);

#endif
