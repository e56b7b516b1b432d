/* SPDX-License-Identifier: Apache-2.0 */
/* One simulated cluster: production members on fake disks and a fake network,
 * in one thread and virtual time, from one seed.
 *
 *   world_create ──► world_run (faults, then healing, then checks) ──► world_destroy
 *
 * Parts:
 *   world.c   time: whose turn is next
 *   node.c    a directory, and the process on it: lanes, links, start, crash
 *   chaos.c   when what breaks, within what the cluster must survive
 *   client.c  writers and readers, and the history of what they were told
 *   leveler.c changes of ts.wal.wal_level
 *   check.c   what must hold at every step, and at the end
 *
 * A violation ends the process by abort(): it says the seed, the time and what
 * was seen, to standard error. */
#ifndef TIDEMARK_SIM_WORLD_H
#define TIDEMARK_SIM_WORLD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"
#include "base/random.h"
#include "node/hard_state.h"
#include "node/member.h"
#include "node/storage.h"
#include "testkit/fake_disk.h"
#include "testkit/fake_net.h"

enum {
    WORLD_NODES_MAX = 5,
    WORLD_OFFERS_MAX = 64,
    WORLD_CLIENTS = 4,
    WORLD_SEGMENT_SIZE = 64 * 1024,
};

#define WORLD_MS UINT64_C(1000)
#define WORLD_SECOND UINT64_C(1000000)

struct world;

/* Totals over a run, printed so that a run that tested nothing is seen. */
struct world_counts {
    uint64_t commits, acked_writes, acked_reads, unknown, crashes, power_failures, damages;
    uint64_t large_writes, repairs, hurts, hurts_repaired, wipes, rollbacks, partitions, elections,
        checkpoints, fail_stops, full_disks, level_changes;
};

/* What one side of a link knows. */
struct link {
    bool up;          /* of the network */
    bool accepted;    /* we accepted them */
    bool accepted_by; /* they accepted us */
    bool announced;   /* the member was told */
    uint64_t offer;
    struct peer_hello hello; /* theirs */
    uint64_t retry_us;
};

struct node {
    struct world *world;
    size_t number;
    char name[16];
    char address[32];
    struct fake_disk *disk;
    struct log log;

    /* the process */
    bool up;
    bool paused;
    uint64_t incarnation;
    struct storage *storage;
    struct member *member;
    bool refused; /* its directory was not opened: it stays down */
    bool stopped; /* host->stopped was called */
    int exit_code;
    struct job_queue lanes[LANE_COUNT];   /* waiting */
    struct job_queue working[LANE_COUNT]; /* worked on, not given back yet */
    uint64_t lane_free_us[LANE_COUNT];
    struct link links[WORLD_NODES_MAX];
    bool dial[WORLD_NODES_MAX];

    /* faults */
    uint64_t restart_us;       /* 0: not planned */
    uint64_t resume_us;        /* of a pause */
    uint64_t slow_until_us;    /* the disk is slow */
    uint64_t full_until_us;    /* the disk has next to no room; 0: it has */
    uint64_t applied_index;    /* as last seen */
    uint64_t checkpoint_index; /* highest that was durable here, before a wipe too: a leader
                                      can't know of the wipe */
    struct hard_state hard;    /* when the process ended */
    bool damaged;              /* something of its log was broken and is not repaired yet */
    bool hurt;                 /* while it ran, a log or a part was, and was not read since: */
    uint64_t hurt_rounds_logs, hurt_rounds_parts; /* the rounds of its scrubber by then */
    bool diverted;                 /* its process began with another state than it had */
    bool replaced;                 /* wiped or rolled back, not a voter again yet */
    struct fake_disk_image *image; /* an older state, to roll back to ... */
    uint64_t image_counter;        /* ... its start */
    uint64_t image_id;             /* ... and whose it is */
    struct configuration image_configuration;
};

struct client;

/* Rules that the simulated machines and clients break, beside those of
 * node/member_weaken.h that the members break. */
enum world_weaken {
    WORLD_WEAKEN_CHANGES = 1U << 26,   /* G2: a large write is sent in two pieces */
    WORLD_WEAKEN_ROLLBACKS = 1U << 27, /* B2: nothing tells a directory from its image */
    WORLD_WEAKEN_WIPES = 1U << 28,     /* B3: a wiped directory keeps its id */
    WORLD_WEAKEN_REPAIR = 1U << 29,    /* C: a log is cut at its first hole, not repaired */
    WORLD_WEAKEN_ANSWERS = 1U << 30,   /* G1: a repeated write does not say that it is one */
};

struct world_options {
    uint64_t seed;
    unsigned weaken; /* rules that every node breaks */
    bool verbose;
    bool calm;         /* no faults but those that the test makes; a network as it should be */
    size_t cache_size; /* of members: applied entries in memory; 0: as in production */
    size_t nodes;      /* 0: three. One: it changes the way it commits too */
};

struct world {
    uint64_t seed;
    unsigned weaken;
    struct random random;
    uint64_t now_us;
    uint64_t fault_end_us, end_us;
    bool verbose;
    bool calm;
    bool diverges;    /* a test makes a node whose checkpoints differ */
    bool power_fails; /* crashes may lose what is not synced */
    size_t node_count;
    struct node nodes[WORLD_NODES_MAX];
    struct fake_net *net;
    uint64_t trace;    /* a hash of all that happened: the same for the same seed */
    uint64_t log_keep; /* entries kept below a checkpoint; 0: as in production */
    size_t part_size;  /* of a piece of a large write; 0: none is that large */
    size_t cache_size;
    bool may_refuse;        /* a node may find its directory unfit to start from */
    size_t checkpoint_step; /* bytes of a checkpoint written at a time; 0: all */
    uint64_t chaos_us;      /* when the next fault is due */
    struct client *clients;
    struct leveler *leveler;
    struct world_counts counts;
    uint64_t leader_of_term_count;
    uint64_t cut_max;         /* highest checkpoint that a majority has held durably */
    uint64_t *leader_of_term; /* directory id, by term */
    uint64_t manifest_of_index_count;
    uint64_t *manifest_of_index; /* its hash, of the checkpoint first made anywhere */
    uint64_t applied_count;
    uint64_t *term_of_index; /* as first applied anywhere */
    int64_t wall_offset_us[WORLD_NODES_MAX];
};

/* --- world.c --- */

struct world *world_create(const struct world_options *options);
void world_run(struct world *w);
/* For calm worlds, whose test makes the faults: world_run() then only heals and checks. */
void world_run_for(struct world *w, uint64_t us);
/* The bits of a name as in "simulator --weaken leader-gone"; 0: there is none. */
unsigned world_weaken_named(const char *name);
void world_destroy(struct world *w);
__attribute__((noreturn)) void world_fail(struct world *w, const char *format, ...)
    ERR_FORMAT(2, 3);
void world_say(struct world *w, const char *format, ...) ERR_FORMAT(2, 3);
bool world_is_healing(const struct world *w);
/* Something happened, and when: into the trace. */
void world_trace(struct world *w, uint64_t what, uint64_t a, uint64_t b);

/* --- node.c --- */

void node_open(struct world *w, size_t number);
void node_close(struct node *n);
void node_start(struct node *n);
/* 'power': unsynced writes are lost at random; else they survive. */
void node_crash(struct node *n, bool power);
void node_wipe(struct node *n);
void node_restore(struct node *n, const struct fake_disk_image *image);
/* Runs what is due; true if something was. */
bool node_run(struct node *n);
uint64_t node_next_us(struct node *n);
void node_event(struct node *n, const struct fake_net_event *event);
bool node_is_serving(const struct node *n);

/* --- chaos.c --- */

void chaos_run(struct world *w);
void chaos_heal(struct world *w);
uint64_t chaos_next_us(const struct world *w);

/* --- leveler.c --- */

void leveler_open(struct world *w);
void leveler_close(struct world *w);
void leveler_run(struct world *w);
uint64_t leveler_next_us(const struct world *w);
/* Asks once, at this node. */
void leveler_set(struct world *w, struct node *n, unsigned level);
/* Whether the cluster keeps what it acknowledged at that level, as crashes are here. */
bool world_may_be_level(const struct world *w, unsigned level);

/* --- client.c --- */

void clients_open(struct world *w);
void clients_close(struct world *w);
bool clients_run(struct world *w);
uint64_t clients_next_us(const struct world *w);
/* A node's process ends: what was asked of it has an unknown outcome. */
void clients_node_lost(struct world *w, struct node *n);
bool clients_are_settled(const struct world *w);
/* Every acknowledged row is on every node with its value. */
void clients_check(struct world *w);

/* --- check.c --- */

void check_step(struct node *n);
/* All nodes are at one index with one state hash. */
void check_end(struct world *w);
bool check_is_converged(struct world *w);

#endif
