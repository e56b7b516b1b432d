/* SPDX-License-Identifier: Apache-2.0 */
/* A small world that plays the membership rules (safety.md B2 to B5) at random:
 * six disks, three names, lost, late and repeated messages, partitions, crashes,
 * wipes, images put back, directories started twice, a second machine under a
 * name. Identity and founding are the production modules; Raft is played as far as
 * votes, commits and membership steps need it. Then everything heals, and three
 * (with a name dead for ever, two) voters must lead a formed cluster.
 *
 *   directory.c  a directory: starts, images, new ids, founding, hellos
 *   raft.c       votes, replication, commits
 *   steps.c      membership, one server a step
 *   world.c      messages, faults, healing
 *   oracle.c     what must never be, from knowledge of every disk
 *
 * The fault budget is that of the promises: a wipe, an image or a copy only
 * while all other voters are up, reachable and agree; one wipe while forming.
 * The same seed gives the same run. */
#ifndef TIDEMARK_NODE_TEST_MEMBERSHIP_WORLD_H
#define TIDEMARK_NODE_TEST_MEMBERSHIP_WORLD_H

#include "base/random.h"
#include "node/founding.h"
#include "node/hard_state.h"
#include "node/identity.h"

enum {
    DISKS = 6,
    NAMES = 3,
    IDS = 32, /* directory ids are 1 .. IDS - 1, so that sets of them are bits */
    LOG_MAX = 112,
    QUEUE_MAX = 96,
    TERMS_MAX = 512,
    CLUSTERS_MAX = 6,
    SILENT_AFTER = 120, /* steps without a word */
};

/* A rule taken out: the run must then go wrong for some seed. */
enum mutation {
    MUTATION_NONE,
    MUTATION_IDS_BY_NAME,   /* a wiped node votes under its old id */
    MUTATION_NO_COUNTER,    /* older starts are accepted */
    MUTATION_NO_NONCE,      /* only the counter counts */
    MUTATION_NO_HISTORY,    /* a later start proves nothing */
    MUTATION_NOT_STORED,    /* starts seen are forgotten by a restart */
    MUTATION_NO_GATE,       /* nobody is asked before the first vote */
    MUTATION_NO_RAISE,      /* the counter does not rise with an image */
    MUTATION_NOT_ALL_ASKED, /* the founder is content with one answer */
    MUTATION_LATE_ANSWERS,  /* answers count for any question */
    MUTATION_ANY_REFUSAL,   /* a refusal condemns, whichever start it names */
    MUTATION_COUNT,
};

enum entry_kind { ENTRY_BARRIER, ENTRY_WRITE, ENTRY_MEMBERS, ENTRY_START, ENTRY_FORMED };

struct members {
    uint32_t voters; /* bit i: directory i */
    uint32_t spares;
};

struct entry {
    enum entry_kind kind;
    uint64_t term;
    uint64_t value; /* tells entries of one kind apart; START: the directory */
    struct members members;
    struct hard_state_start start;
};

enum role { FOLLOWER, CANDIDATE, LEADER };

struct directory {
    /* durable */
    bool dead; /* for ever */
    size_t name;
    struct hard_state hard; /* directory_id 0: nothing was ever started here */
    struct entry log[LOG_MAX];
    size_t count;   /* entries; index of the last */
    bool fault;     /* put back or copied: may be refused */
    unsigned epoch; /* an image is of one epoch */

    /* volatile */
    bool up;
    enum role role;
    uint64_t leader;
    size_t commit;
    uint32_t votes;
    bool gated;
    struct identity_gate gate;
    struct tsdb_node nodes[IDS]; /* the replicated state, as far as committed */
    size_t node_count;
    size_t match[IDS], next[IDS];
    int64_t heard[IDS];
    uint64_t want[NAMES]; /* newcomer under a name */
    struct founding *founding;
    uint64_t links[NAMES]; /* who is reached under a name; changes with each start */
    uint64_t asked[NAMES]; /* number of the question open to a name */
};

enum message_kind {
    MESSAGE_QUESTION,
    MESSAGE_ANSWER,
    MESSAGE_HELLO,
    MESSAGE_WELCOME,
    MESSAGE_REFUSAL,
    MESSAGE_JOIN,
    MESSAGE_VOTE,
    MESSAGE_VOTE_RESULT,
    MESSAGE_APPEND,
    MESSAGE_APPEND_RESULT,
};

/* Every message brings the hello of the link it was sent on. */
struct message {
    enum message_kind kind;
    size_t from, to;
    struct peer_hello hello;
    struct hard_state_start starts[HARD_STATE_STARTS_MAX]; /* of the sender, to answer with */
    size_t start_count;
    struct peer_refusal refusal;
    uint64_t counter; /* WELCOME: the start that is welcomed */
    struct buf body;  /* QUESTION, ANSWER */
    uint64_t term;
    size_t index;
    uint64_t log_term;
    size_t commit;
    bool good;
    struct entry entries[2];
    size_t entry_count;
};

struct counts {
    uint64_t runs, founded, adopted, joined, elections, steps, replaced, refused, removed;
    uint64_t starts, wipes, images, copies;
};

struct oracle {
    uint64_t clusters[CLUSTERS_MAX];
    size_t cluster_count;
    struct entry committed[CLUSTERS_MAX][LOG_MAX + 1];
    bool is_committed[CLUSTERS_MAX][LOG_MAX + 1];
    size_t committed_max[CLUSTERS_MAX];
    unsigned writes[CLUSTERS_MAX];
    size_t leader[CLUSTERS_MAX][TERMS_MAX]; /* disk + 1 */
    uint64_t leader_id[CLUSTERS_MAX][TERMS_MAX];
    uint64_t vote[CLUSTERS_MAX][IDS][TERMS_MAX];
};

struct world {
    struct random random;
    enum mutation mutation;
    bool verbose;
    bool healing;
    bool ended;      /* a limit of the model was reached: the run proves nothing more */
    char wrong[160]; /* what must never be, and was; "" */
    int64_t now;
    uint64_t fresh; /* nonces, questions, clusters */
    uint64_t id_last;
    size_t id_name[IDS];
    bool id_fault[IDS];
    bool id_copied[IDS];   /* an image of it was started */
    bool partition[DISKS]; /* on the other side */
    bool name_dead[NAMES];
    unsigned faults;
    bool many_images; /* a run about identity */
    bool wiped_forming, second_machine;
    struct directory *disks[DISKS];
    struct directory *images[DISKS]; /* NULL: none */
    struct message *queue[QUEUE_MAX];
    size_t queued;
    struct oracle oracle;
    struct counts *counts;
};

/* --- world.c --- */

struct world *world_open(uint64_t seed, enum mutation mutation, struct counts *counts);
void world_run(struct world *w);
void world_close(struct world *w);
uint64_t world_fresh(struct world *w);
uint64_t below(struct world *w, uint64_t limit);
void trace(const struct world *w, const char *format, ...) ERR_FORMAT(2, 3);
void wrong(struct world *w, const char *format, ...) ERR_FORMAT(2, 3);
size_t disk_of(const struct world *w, const struct directory *d);
bool reaches(const struct world *w, size_t a, size_t b);
/* A running disk with that id, or name; DISKS: none. */
size_t disk_with_id(struct world *w, uint64_t id);
size_t disk_with_name(struct world *w, size_t name);
/* A message of 'd' with its hello, to be sent. */
struct message *message_new(struct world *w, const struct directory *d, enum message_kind kind);
void message_send(struct world *w, struct message *m, size_t to);
/* All voters of the newest configuration but the one on disk 'except' are up,
 * reachable, without fault, and know it. */
bool world_is_healthy(const struct world *w, size_t except);
const struct directory *world_leader(const struct world *w);
bool silent(const struct world *w, const struct directory *d, uint64_t id);

/* --- directory.c --- */

void directory_init(struct directory *d, size_t name);
void directory_start(struct world *w, struct directory *d);
void directory_crash(struct world *w, struct directory *d);
/* An image: the original's counter rises, as with a checkpoint. */
void directory_imaged(struct world *w, struct directory *d);
/* Gives up its id: refused or removed. */
void directory_rejoin(struct world *w, struct directory *d);
void directory_tick_founding(struct world *w, struct directory *d);
void directory_tick_gate(struct world *w, struct directory *d);
void directory_deliver(struct world *w, struct directory *d, struct message *m);
void directory_free(struct directory *d);

/* --- raft.c --- */

static inline bool has(uint32_t set, uint64_t id)
{
    return (set >> id & 1) != 0;
}

struct members members_at(const struct directory *d, size_t index);
struct members members_of(const struct directory *d); /* of the last entry */
size_t members_index(const struct directory *d, size_t index);
bool is_voter(const struct directory *d);
bool is_quorum(uint32_t set, uint32_t voters);
uint64_t term_at(const struct directory *d, size_t index);
void raft_append(struct world *w, struct directory *d, struct entry entry);
void raft_commit(struct world *w, struct directory *d, size_t index);
void raft_advance(struct world *w, struct directory *d);
void raft_campaign(struct world *w, struct directory *d);
void raft_replicate(struct world *w, struct directory *d);
void raft_message(struct world *w, struct directory *d, const struct message *m);

/* --- steps.c --- */

void steps_tick(struct world *w, struct directory *d);

/* --- oracle.c --- */

void oracle_founded(struct world *w, uint64_t cluster_id);
void oracle_committed(struct world *w, const struct directory *d, size_t index);
void oracle_voted(struct world *w, const struct directory *candidate, uint64_t voter);
void oracle_leads(struct world *w, const struct directory *d);

#endif
