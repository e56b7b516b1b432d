/* SPDX-License-Identifier: Apache-2.0 */
/* What the sources of repair.h share. repair_state.c: the log as it was read,
 * configurations, peers. repair_ask.c: questions and the entries that come back.
 * repair.c: what is done with them. The rules are repair_judge.h's. */
#ifndef TIDEMARK_RAFT_REPAIR_INTERNAL_H
#define TIDEMARK_RAFT_REPAIR_INTERNAL_H

#include "base/random.h"
#include "raft/repair_judge.h"

enum state { WAITING, ASKING, FETCHING, CHANGING, DONE };

/* How much a question asks for; each is tried when the one before was not enough. */
enum effort {
    EFFORT_NEAR,   /* what stands at and beside the first holes */
    EFFORT_ALL,    /* the whole log, and a promise of a term above ours */
    EFFORT_INSIST, /* ... also from those who follow a leader of a lower term */
};

enum {
    IDLE_MAX = 4,      /* doublings of the interval while nothing comes of asking */
    PATIENCE_MIN = 10, /* intervals that a fetch may take; doubled each time it was too short */
    PATIENCE_MAX = 1280,
};

/* What the caller is doing to the disk for us. */
enum change {
    CHANGE_NONE,
    CHANGE_PERSIST, /* before the drop or replacement of 'verdict' */
    CHANGE_FILL,
    CHANGE_REPLACE,
    CHANGE_DROP,
    CHANGE_SNAPSHOT,
};

struct peer {
    uint64_t id;
    bool connected;
    bool answered;  /* the open question: 'said' */
    bool fruitless; /* did not give what it said it has; not asked for it again before the next
                       question */
    struct repair_said said;
};

struct repair {
    enum state state;
    enum effort effort;
    enum change change;
    uint64_t id;
    uint64_t term_began;
    uint64_t term; /* stored now, as far as we know */
    uint64_t ask_interval_ms;
    struct log_view log;
    struct random random;

    uint64_t snapshot_index;
    uint64_t snapshot_term;
    struct configuration *configurations; /* oldest first */
    size_t configuration_count;
    size_t configuration_capacity;
    struct slot_runs own; /* base + 1 .. the log's last */
    uint64_t base;
    uint64_t last;
    uint64_t gap_first; /* see struct judge */
    bool end_unknown;
    bool replace_too_long;

    uint64_t question;  /* the open one */
    struct buf message; /* ... encoded */
    bool timed_out;     /* who has not answered it by now is not waited for */
    uint64_t since_ms;  /* of the question, the fetch or the wait */
    unsigned idle;      /* waits in a row of which nothing came */
    unsigned patience;  /* PATIENCE_MIN .. PATIENCE_MAX */
    struct peer peers[LIMIT_REPAIR_PEERS];
    size_t peer_count;

    struct verdict verdict; /* FETCHING, CHANGING: what is being done */
    struct entry **entries; /* fetched for it, in order */
    size_t entry_count;
    size_t entry_capacity;
    uint64_t entries_size;
    uint64_t fetch_question;
    uint64_t fetch_id; /* the peer asked */

    char *text; /* last given as REPAIR_WAITS */
    struct repair_status status;
};

/* --- repair_state.c --- */

struct repair_action *repair_add_action(struct repair_actions *a, enum repair_action_type type);
void repair_check(const struct repair *r);
void repair_set_state(struct repair *r, enum state next);
void repair_forget_verdict(struct repair *r);
void repair_forget_answers(struct repair *r);
bool repair_base_is_missing(const struct repair *r);
void repair_read_log(struct repair *r);
uint64_t repair_count_holes(const struct repair *r);
/* 'peers' has room for LIMIT_REPAIR_PEERS. */
struct judge repair_judge_of(const struct repair *r, struct judge_peer *peers);

void repair_add_configuration(struct repair *r, const struct configuration *c);
/* Those of index 'from' and later. */
void repair_drop_configurations(struct repair *r, uint64_t from);
/* A snapshot's configuration stands for every one at or below it. */
void repair_base_configuration(struct repair *r, const struct configuration *c, uint64_t index);
/* From the entries that were fetched. */
void repair_learn_configurations(struct repair *r);

struct peer *repair_find_peer(struct repair *r, uint64_t id); /* NULL: none */
void repair_see_peers(struct repair *r, const struct repair_event *event);
bool repair_is_connected(const struct repair *r); /* to anybody */
bool repair_all_answered(const struct repair *r); /* or had time to */

/* --- repair_ask.c --- */

/* A new question to everybody, a new start of what we know of them. */
void repair_ask_all(struct repair *r, enum effort effort, uint64_t now_ms,
                    struct repair_actions *actions);
/* The open question to one more. */
void repair_ask_peer(const struct repair *r, const struct peer *p, struct repair_actions *actions);
/* The first target of the verdict that is not fetched yet; false: none. */
bool repair_next_target(const struct repair *r, uint64_t *index, uint64_t *term);
/* Asks for it. False: nobody who can be asked has it. */
bool repair_fetch(struct repair *r, uint64_t now_ms, struct repair_actions *actions);
/* How many entries came that we asked for; they are kept. */
size_t repair_take_entries(struct repair *r, struct repair_said *said);

#endif
