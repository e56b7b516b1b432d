/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the member share. Only node/member*.c may include this.
 *
 *   member.c           life: opening, choosing a way, ticking, stopping
 *   member_propose.c   commands: gathering into entries, answers, deadlines
 *   member_apply.c     committed entries through the apply lane; local copies
 *   member_local.c     commit without Raft: the local WAL alone
 *   member_level.c     changing ts.wal.wal_level, between the two as well
 *   member_raft.c      replica events and actions; reads; the log lane's jobs
 *   member_peer.c      links to other nodes: who they are and what they say
 *   member_forward.c   what one node hands to another
 *   member_found.c     founding a cluster, adopting one, joining one
 *   member_repair.c    repair before joining; answering other nodes' repairs
 *   member_checkpoint.c checkpoints and cutting the log
 *   member_snapshot.c  sending a checkpoint to a peer, and installing one
 *   member_refill.c    parts that are damaged, refilled from another node
 *   member_agree.c     whether all nodes made the same checkpoint
 *   member_scrub.c     reading logs and parts in the background, to find damage
 *   member_manage.c    membership changes
 *   member_lead.c      handing over the lead */
#ifndef TIDEMARK_NODE_MEMBER_INTERNAL_H
#define TIDEMARK_NODE_MEMBER_INTERNAL_H

#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/random.h"
#include "node/founding.h"
#include "node/founding_wire.h"
#include "node/log_map.h"
#include "node/member.h"
#include "node/member_weaken.h"
#include "node/recovery.h"
#include "node/storage.h"
#include "proto/tidemark/peer/v1/peer.pb-c.h"
#include "raft/repair.h"

enum {
    MEMBER_PEERS_MAX = 2 * LIMIT_NODES_MAX,
    MEMBER_BATCH_COMMANDS_MAX = 512,   /* commands gathered into one entry */
    MEMBER_BATCH_SIZE_MAX = 1 << 20,   /* bytes after which an entry is proposed at once */
    MEMBER_APPLY_ENTRIES_MAX = 64,     /* entries of one apply job */
    MEMBER_MARK_IDLE_MS = 50,          /* safety.md A3 */
    MEMBER_STOPPED_MS = 1500,          /* between two ticks: the process was stopped meanwhile */
    MEMBER_DISK_HANG_MS = 2000,        /* safety.md H2 */
    MEMBER_PROGRESS_MS = 500,          /* how often peers are told of our progress */
    MEMBER_CHUNK_SIZE = 256 * 1024,    /* of a checkpoint file in one message */
    MEMBER_TRAILING_ENTRIES = 1024,    /* kept in the log below a checkpoint for slow followers */
    MEMBER_CACHE_SIZE = 32 << 20,      /* bytes of applied entries kept in memory for followers */
    MEMBER_GATE_MS = 1000,             /* how long a start waits for the voters' welcome */
    MEMBER_SCRUB_PAUSE_MS = 10000,     /* small logs and parts are not read all the time */
    MEMBER_REFUSED_MS = 5000,          /* a refusal is news for so long; we dial again sooner */
    MEMBER_ROOM_CHECKPOINT_MS = 10000, /* between checkpoints made because a disk is full */
    MEMBER_WRITE_STEP = 1 << 20, /* bytes of a checkpoint written at a time, if it may take time */
};

/* The settings that the member itself follows, as last applied. */
struct member_settings {
    unsigned wal_level;
    unsigned heartbeat_ms;
    unsigned election_ms;
    uint64_t checkpoint_interval_ms;
    unsigned completion_target; /* thousandths of the interval over which a checkpoint spreads */
    uint64_t wal_size_max;
    uint64_t slot_size_max;   /* bytes of Raft log kept for slow replicas */
    uint64_t segments_kept;   /* of the Raft log, whoever needs them */
    uint64_t memory_size_max; /* bytes of rows in memory; at half of it too */
    unsigned wal_compression; /* enum packed_method of the entries made here */
    uint64_t writer_delay_ms; /* an answer without a sync gets one after this long */
    uint64_t scrub_rate;      /* bytes per second; 0: off */
};

/* One entry that was proposed here: whom to answer, in command order. */
struct proposal {
    struct proposal *next;
    uint64_t index;
    uint64_t term;
    size_t count;
    struct member_request *requests[]; /* NULL: cancelled */
};

/* Our newest checkpoint beside those of the others. */
struct agreement {
    struct hash128 manifest; /* 0: not known */
    struct hash128 content;  /* 0: not read, nobody differs */
    uint64_t content_index;  /* last one that was read */
    bool content_out;
    bool disputed;  /* others differ, and no majority has either */
    char text[200]; /* for people; "": all agree */
};

/* Requests in a list of the member's (reads, forwards, checkpoints). */
struct request_list {
    struct member_request *first;
    struct member_request *last;
};

/* Entries waiting to be applied, one reference each. */
struct entry_queue {
    struct entry **items;
    size_t head, count, capacity;
};

/* Entries being applied, and their answers. */
struct apply_batch {
    struct job job; /* on LANE_APPLY, then for the local copy on LANE_LOG */
    struct member *member;
    struct apply_batch *next_free;
    size_t count;
    struct entry *entries[MEMBER_APPLY_ENTRIES_MAX];
    struct tsdb_results results[MEMBER_APPLY_ENTRIES_MAX];
    enum err_code code;
    struct err err;
    bool wait_copy; /* answers wait until the local copy is synced */
    bool copy_metadata_only;
};

struct peer {
    uint64_t id;
    bool connected;            /* both sides have welcomed each other */
    bool told;                 /* it has stored our hello as it is now */
    uint64_t hello_ms;         /* when to say it again */
    bool unreachable;          /* its address refused, or the link broke */
    uint64_t counter, nonce;   /* the start that it said */
    uint64_t cluster_id;       /* that it said; only founding messages count unless it is ours */
    uint64_t checkpoint_index; /* last one it said it holds durably */
    uint64_t applied_index;
    bool no_room; /* its disk is full */
    char client_address[LIMIT_ADDRESS_SIZE_MAX + 1];
    char peer_address[LIMIT_ADDRESS_SIZE_MAX + 1];
    char name[LIMIT_NAME_SIZE_MAX + 1];
    struct hash128 checkpoint_hash;    /* of that checkpoint's manifest; 0: not known */
    struct hash128 checkpoint_content; /* of what it says; 0: not known */
    bool differs;          /* its checkpoint did from ours, when both were at one index last */
    uint64_t fetch_ms;     /* last time it fetched from our checkpoint */
    bool sending_snapshot; /* the replica was told that a transfer runs */
};

struct answer_job;
struct checkpoint_job;
struct founding;
struct install;
struct level_switch;
struct manage;
struct refill;
struct scrub;
struct settings;

struct member {
    enum member_state state;
    uint64_t now_ms;
    uint64_t opened_ms;
    uint64_t ticked_ms; /* last tick; a long gap means that the process was stopped */
    struct member_host host;
    const struct log *log;
    struct storage *storage;
    char name[LIMIT_NAME_SIZE_MAX + 1];
    char peer_address[LIMIT_ADDRESS_SIZE_MAX + 1];
    char client_address[LIMIT_ADDRESS_SIZE_MAX + 1];
    char **peers; /* founders' addresses, sorted */
    size_t peer_address_count;
    unsigned wal_level_new;
    uint64_t log_keep;
    size_t part_size; /* a larger write stands in parts of this size */
    size_t cache_size_max;
    uint64_t scrub_pause_ms;
    size_t checkpoint_step;
    unsigned weaken; /* member_weaken.h */
    struct random random;

    struct hard_state hard;  /* as last given to the log lane */
    uint64_t term_durable;   /* stored: only that is told to a node that repairs (safety.md C2.3) */
    struct control control;  /* the same */
    struct settings *values; /* all of them, as last applied */
    struct member_settings settings;
    size_t jobs_out;
    size_t log_jobs_out;
    uint64_t log_progress_ms; /* when the log lane last finished a job, or got its first */
    struct {
        struct storage_room found; /* unit 0: not known yet */
        uint64_t appended;         /* bytes given to the log lane since 'found' was asked for */
        uint64_t appended_before;  /* of them, those before the question that is out */
        uint64_t next_ms;          /* when to ask again */
        bool asked;                /* the question is out */
        bool low;                  /* writes are refused, appends dropped */
        uint64_t needed;           /* bytes that the last one refused would need */
        uint64_t hand_over_ms;     /* when the lead may be handed over for that */
        uint64_t checkpoint_ms;    /* when a checkpoint may be made for that */
        bool checkpoint_waits;     /* checkpoint_waits is for room */
        uint64_t applied;          /* applied_index when it was last asked */
    } room;
    bool mark_due; /* a log was written to since the last MARK */
    uint64_t appended_ms;
    struct storage_log_settings log_settings; /* as last given to the log lane */
    uint64_t log_sync_ms; /* when what was answered without a sync gets one; 0: nothing was */
    char message[400];    /* for people; see member_say() */
    char refused[300];    /* why another node has refused us, last */
    uint64_t refused_ms;

    struct tsdb *db;
    uint64_t applied_index;
    uint64_t applied_term;
    bool formed;
    struct configuration configuration; /* in force, as far as known */
    struct configuration committed;     /* as applied */

    /* proposing */
    struct buf gather; /* commands of the next entry */
    struct member_request *gathered[MEMBER_BATCH_COMMANDS_MAX];
    size_t gathered_count;
    bool gathered_large; /* one write, that takes several entries */
    struct proposal *proposals_first, *proposals_last;
    struct request_list forwards; /* handed to the leader, by token */
    uint64_t token_next;
    uint64_t deadlines_ms; /* when to look for requests past their deadline */

    /* applying */
    struct entry_queue apply_queue;
    struct apply_batch *applying; /* NULL: the apply lane has no entries of ours */
    struct apply_batch *free_batches;

    /* raft */
    struct replica *replica;
    uint64_t generation; /* of the replica; answers to an older one are ignored */
    struct actions actions;
    bool running_actions;
    struct request_list reads_asked;   /* the replica proves leadership for them */
    struct request_list reads_remote;  /* the leader was asked for its read index */
    struct request_list reads_waiting; /* for applied_index */
    struct request_list status_asked;  /* of peers */
    uint64_t leader_gone_ms;           /* 0: no; else when EVENT_LEADER_GONE is due (safety.md I) */
    uint64_t leader_gone_id;
    uint64_t leader_gone_again_ms;
    uint64_t gate_open_ms; /* STARTING: who is silent until then is out of reach */
    bool gate_ready;
    struct identity_gate gate; /* STARTING: every voter in reach is asked first (B2) */
    struct entry **loaded;     /* STARTING: whole entries of the log */
    size_t loaded_count;
    uint64_t loaded_first;
    bool loaded_ready;
    struct configuration log_configuration; /* the newest one in the loaded log; index 0: none */

    /* local commit */
    uint64_t local_index; /* of the last entry given to the local WAL */
    uint64_t local_term;
    struct recovery recovery;
    uint64_t replay_next; /* index to go on reading from when less is queued; 0: none */
    bool local_read;      /* all of the local WAL is read, and being applied */
    bool local_ready;     /* ... and is applied */

    struct level_switch *level; /* a change of ts.wal.wal_level is under way */

    /* peers */
    struct peer known[MEMBER_PEERS_MAX];
    size_t known_count;
    size_t stores_out;       /* starts of peers on their way to the disk */
    struct tsdb_node *nodes; /* as the replicated state knows them */
    size_t node_count, node_capacity;
    uint64_t progress_ms; /* when to tell them again */
    struct buf send_buf;  /* reused */

    /* founding and joining */
    struct founding *founding;
    uint64_t found_ms; /* when to ask the peers again */
    uint64_t join_ms;  /* when to ask again to be added */
    bool formed_proposed;

    /* repair */
    struct repair *repair;
    struct repair_actions repair_actions;
    struct log_map map; /* of the Raft log; valid in REPAIRING and at start */
    struct configuration repair_configurations[3];
    struct repair_status repair_total; /* of all repairs since the start */
    struct answer_job *answering;      /* what was read from disk for the question at hand */

    /* checkpoints */
    bool checkpoint_running;
    struct checkpoint_job *checkpoint_paused; /* between two steps; NULL: none */
    uint64_t checkpoint_started_ms;
    size_t checkpoint_memory; /* bytes of rows when it was frozen */
    uint64_t checkpoint_next_ms;
    uint64_t checkpoint_retry_ms; /* one was proposed: the next not before, unless it is applied */
    uint64_t checkpoint_before;   /* the one before the newest; kept for transfers */
    uint64_t log_size;            /* of entries applied since the last checkpoint */
    uint64_t changed_index;       /* last applied entry that is worth a checkpoint */
    uint64_t slot_index;          /* lowest index in the log that may be kept for slow replicas */
    uint64_t kept_index;          /* lowest index that wal_keep_segments keeps */
    char retained_by[200]; /* why the last checkpoint did not cut the Raft log to its index */
    bool memory_full;      /* the leader refuses writes; as last logged */
    struct configuration checkpoint_configuration; /* committed as of the freeze */
    struct request_list checkpoint_requests;
    struct install *install;
    size_t views; /* pinned by scans */

    /* damage found while running */
    struct refill *refill; /* NULL: no damaged part was ever seen */
    struct scrub *scrub;   /* NULL: not begun yet */
    struct agreement agree;
    struct member_damage damage;
    struct checkpoint_job *checkpoint_waits; /* for parts that it can't read, or for room */

    struct manage *manage;
    uint64_t led_ms; /* when the role last changed */
    /* Out of the committed configuration, and the state does not say so yet. */
    uint64_t gone[LIMIT_NODES_MAX];
    size_t gone_count;
    uint64_t gone_ms; /* when to propose it (again) */

    /* stopping */
    int exit_code;
    char reason[ERR_TEXT_SIZE];
    uint64_t stop_by_ms;
    bool stop_asked;
    bool stop_checkpoint; /* the last one was proposed */
    bool stop_closed;

    uint64_t writes, rows_written, reads;
};

/* --- member.c --- */

void member_set_state(struct member *m, enum member_state next);
/* The node can't keep its promises: stops taking part at once, ends with 1. */
void member_fail(struct member *m, const char *format, ...) ERR_FORMAT(2, 3);
/* Others refuse us, and nobody leads us: m->refused says why. */
bool member_is_refused(const struct member *m);
/* What a person should know now; "" clears it. Logged when it changes. */
void member_say(struct member *m, const char *format, ...) ERR_FORMAT(2, 3);
bool member_is_ending(const struct member *m);
/* Alone, or all founders have adopted: clients are served. */
bool member_serves_clients(const struct member *m);
void member_submit(struct member *m, struct job *job, enum lane lane, void (*work)(struct job *),
                   void (*done)(struct job *));
/* First statement of every job's done(): keeps the books. False: the member is
 * ending or the disk failed, only free the job. */
bool member_job_ended(struct member *m, const struct job *job);
/* Hands the current m->hard (m->control) to the log lane. */
void member_put_hard(struct member *m);
void member_put_control(struct member *m);
/* The directory is ready: log loaded whole, or repair, or local. */
void member_begin(struct member *m);
void member_adopt_state(struct member *m);
void member_go_local(struct member *m);
/* This directory may no longer vote under its id (safety.md B3): its data is set
 * aside, the process starts again as a newcomer. */
void member_give_up_identity(struct member *m, const char *why);
struct peer *member_peer(struct member *m, uint64_t id); /* NULL: unknown */
struct peer *member_peer_add(struct member *m, uint64_t id);

/* By the configurations that hard state holds; for when the state is not open. */
bool member_is_known_alone(const struct member *m);

/* --- member_propose.c --- */

void member_reply_error(struct member_request *r, enum err_code code, const char *format, ...)
    ERR_FORMAT(3, 4);
void member_reply_ok(struct member_request *r, uint64_t index);
/* The proposals' entry 'index' of 'term' was applied with these results. */
void member_resolve(struct member *m, uint64_t index, uint64_t term,
                    const struct tsdb_results *results);
/* Everything up to 'index' came with a checkpoint: the answers to it are not known here. */
void member_resolve_installed(struct member *m, uint64_t index);
/* The log from 'index' on is replaced: what was proposed there is lost, for certain. */
void member_lost_from(struct member *m, uint64_t index);
/* Every public call that takes a request begins with this. */
void member_start_request(struct member *m, struct member_request *r);
/* The entry at 'index' was not written after all (the disk is full). */
void member_refuse_proposal(struct member *m, uint64_t index, enum err_code code, const char *text);
/* Every open request ends with this (stopping). */
void member_reply_all(struct member *m, enum err_code code, const char *text);
void member_expire(struct member *m);
/* Of one list; *next: the next deadline in it. */
void member_expire_list(struct member *m, struct request_list *list, uint64_t *next);
void list_push(struct request_list *list, struct member_request *r);
void list_remove(struct request_list *list, struct member_request *r);
struct member_request *list_find(const struct request_list *list, uint64_t token);
bool member_is_leader(const struct member *m);
/* Why no leader is known; for the client, who may retry. */
const char *member_why_no_leader(const struct member *m);
/* Client address of the leader, "" when unknown. */
const char *member_leader_address(struct member *m, char dst[LIMIT_ADDRESS_SIZE_MAX + 1]);
/* Proposes a command that no client waits for. */
void member_propose_own(struct member *m, enum command_kind kind, struct bytes body);
/* Whatever waits for a change of the level: this one does not. 'r' may be NULL. */
void member_propose_now(struct member *m, const struct command *command, struct member_request *r);
/* LOCAL: as an entry of its own. */
void member_propose_configuration(struct member *m, const struct configuration *c);

/* --- member_apply.c --- */

void member_apply_push(struct member *m, struct entry *entry); /* takes the reference */
void member_apply_pump(struct member *m);
void member_apply_clear(struct member *m);
/* The state says that this id is removed. */
void member_forget_gone(struct member *m, uint64_t id);
bool member_is_checkpoint(const struct entry *entry);
void member_load_settings(struct member *m); /* before the lanes run, or from a result */
void member_serve_reads(struct member *m);

/* --- member_local.c --- */

void member_local_start(struct member *m);
/* The apply lane has finished a batch: perhaps the last one of the replay. */
void member_local_applied(struct member *m);
/* Appends the entry (its index and term are set here) and applies it. */
void member_local_submit(struct member *m, struct entry *entry);

/* --- member_level.c --- */

/* True: it was a change of ts.wal.wal_level, and is answered from there. */
bool member_level_take(struct member *m, const struct command *command, struct member_request *r);
/* Changes wait until the level is changed: member_level_hold() instead of proposing. */
bool member_level_holds(const struct member *m);
void member_level_hold(struct member *m, const struct command *command, struct member_request *r);
/* The way to commit is being changed: reads are served at once meanwhile. */
bool member_level_reads_here(const struct member *m);
void member_level_tick(struct member *m);
void member_level_expire(struct member *m, uint64_t *next);
/* A stop was asked for: gives up what can be given up. */
void member_level_stop(struct member *m);
void member_level_close(struct member *m);

/* --- member_raft.c --- */

/* STARTING: loads the log on the log lane, waits for the gate, starts. */
void member_raft_load(struct member *m);
void member_raft_try_start(struct member *m);
void member_raft_close(struct member *m);
/* One event into the replica, its actions run. */
enum err_code member_raft_step(struct member *m, struct event *event, struct err *e);
void member_raft_tick(struct member *m);
void member_raft_read(struct member *m, struct member_request *r);
void member_mark(struct member *m);

/* member_log.c: the settings of the logs changed; something was appended to the
 * local WAL and answered without a sync. */
void member_log_follow(struct member *m);
void member_log_unsynced(struct member *m);
void member_log_tick(struct member *m);
void member_configuration_changed(struct member *m, const struct configuration *c);
void member_run_actions(struct member *m);

/* --- member_forward.c --- */

void member_forward(struct member *m, const struct command *command, struct member_request *r);
void member_forward_read(struct member *m, struct member_request *r);
void member_take_forward(struct member *m, uint64_t peer_id, const Tidemark__Peer__V1__Forward *f);
void member_take_forward_answer(struct member *m, const Tidemark__Peer__V1__ForwardAnswer *a);
void member_take_status_answer(struct member *m, const Tidemark__Peer__V1__StatusAnswer *a);
/* What was handed to an earlier leader is answered now: that one may sleep. */
void member_leader_changed(struct member *m, uint64_t leader);
/* What was handed to a peer whose link broke. */
void member_forwards_lost(struct member *m, uint64_t peer_id);

/* --- member_room.c: a disk that is full (safety.md H1) --- */

void member_room_tick(struct member *m);
uint64_t member_room_deadline_ms(const struct member *m);
/* Counts what is given to the log lane. */
void member_room_appended(struct member *m, size_t payload_size);
/* Whether a change of that many bytes may be taken. ERR_NO_SPACE names the directory
 * and the bytes that it needs. */
MUST_CHECK enum err_code member_room_for(struct member *m, size_t size, struct err *e);
/* What is taken of an append of the leader's, of that many bytes. */
enum replica_room member_room_for_append(struct member *m, size_t size);
/* Our disk or a peer's is full, and the last checkpoint for that is a while ago. */
bool member_room_wants_checkpoint(const struct member *m);
/* What to tell people; while there is room, what checkpoints have to tell. */
void member_room_message(const struct member *m, char *dst, size_t size);

/* --- member_peer.c --- */

void member_peer_tick(struct member *m);
void member_dial(struct member *m);
void member_tell_progress(struct member *m);
/* Fields of PeerMessage that carry another message's bytes. */
enum {
    PEER_FIELD_RAFT = 1,
    PEER_FIELD_REPAIR_QUESTION = 2,
    PEER_FIELD_REPAIR_ANSWER = 3,
    PEER_FIELD_FOUND_QUESTION = 4,
    PEER_FIELD_FOUND_ANSWER = 5,
    PEER_FIELD_HELLO = 13,
};
void member_send_bytes(struct member *m, uint64_t peer_id, uint32_t field, struct bytes body);
void member_send_message(struct member *m, uint64_t peer_id,
                         const Tidemark__Peer__V1__PeerMessage *message);
/* The peer that listens at an address, 0: none known. */
uint64_t member_peer_at(const struct member *m, const char *address);
/* Our Hello is no longer true: tell the host and everybody who is connected. */
void member_hello_changed(struct member *m);

/* --- member_found.c --- */

void member_found_open(struct member *m);
void member_found_resume(struct member *m);
void member_found_start(struct member *m);
/* LOCAL: a new directory gets the level that it was started with. */
void member_local_first(struct member *m);
void member_found_alone(struct member *m);
/* This node as the only member. */
void member_own_configuration(const struct member *m, struct configuration *out);
/* The body of a SetSetting command. */
void member_put_level(struct buf *body, unsigned level);
void member_propose_formed(struct member *m);
void member_found_tick(struct member *m);
uint64_t member_found_deadline_ms(const struct member *m);
void member_found_peer(struct member *m, const char *address, bool up);
void member_found_question(struct member *m, uint64_t peer_id, struct bytes question);
void member_found_answer(struct member *m, struct bytes answer);
void member_found_close(struct member *m);
void member_formed_tick(struct member *m);

/* --- member_repair.c --- */

void member_repair_start(struct member *m);
void member_repair_tick(struct member *m);
void member_repair_message(struct member *m, uint64_t peer_id, struct bytes answer);
void member_repair_question(struct member *m, uint64_t peer_id, struct bytes question);
void member_repair_peers(struct member *m);
void member_repair_installed(struct member *m, uint64_t index, uint64_t term);
void member_repair_close(struct member *m);
uint64_t member_repair_deadline_ms(const struct member *m);
/* Hard state's term is at least 'term', with no vote if it was lower: true, to be
 * made durable before what asked for it. */
bool member_raise_term(struct member *m, uint64_t term);
/* Damage found while running (safety.md C6): leave, repair, come back. */
void member_repair_again(struct member *m, const char *what);

/* --- member_checkpoint.c --- */

void member_checkpoint_tick(struct member *m);
/* Goes on with one that pauses, if it is time or somebody waits for it. */
void member_checkpoint_resume(struct member *m);
void member_checkpoint_frozen(struct member *m);
/* Highest checkpoint that a majority of voters hold durably, 0: none (safety.md E3). */
uint64_t member_checkpoint_majority(const struct member *m);
void member_checkpoint_cut(struct member *m);
/* Our checkpoint can't be used any more: the node starts again without one, and
 * takes its state from its log, or a checkpoint from another node (repair). */
void member_checkpoint_lost(struct member *m, const char *why);
/* Gives up the checkpoint that pauses or waits for parts. */
void member_checkpoint_close(struct member *m);
/* Parts may have been refilled: the checkpoint that waits for them, if one does, is tried again. */
void member_checkpoint_again(struct member *m);
/* For people: that rows in memory keep writes out, and what for; "": they do not. */
void member_checkpoint_message(const struct member *m, char *dst, size_t size);

/* --- member_snapshot.c --- */

void member_fetch_question(struct member *m, uint64_t peer_id,
                           const Tidemark__Peer__V1__FetchQuestion *question);
void member_fetch_answer(struct member *m, uint64_t peer_id,
                         const Tidemark__Peer__V1__FetchAnswer *answer);
/* Fetches checkpoint 'index' (at least) from a peer and puts it in place of the state. */
void member_install_start(struct member *m, uint64_t peer_id, uint64_t index, uint64_t term,
                          bool for_repair);
void member_install_tick(struct member *m);
void member_install_close(struct member *m);
void member_snapshot_tick(struct member *m);

/* --- member_refill.c --- */

/* Another node says that what it was given of this part is wrong. */
void member_suspect(struct member *m, const char *part);
void member_refill_tick(struct member *m);
void member_refill_close(struct member *m);
/* False: the answer is to another question. */
bool member_refill_answer(struct member *m, uint64_t peer_id,
                          const Tidemark__Peer__V1__FetchAnswer *answer);
/* For people: which part is damaged and what is done about it; "": none. */
void member_refill_message(const struct member *m, char *dst, size_t size);

/* --- member_agree.c --- */

/* Our newest checkpoint's manifest has this hash. */
void member_agree_own(struct member *m, struct hash128 manifest);
void member_agree_peer(struct member *m, struct peer *p,
                       const Tidemark__Peer__V1__Progress *progress);
/* On a lane: reads the manifest; 0: it can't be read. */
struct hash128 member_manifest_hash(const struct member *m, uint64_t index);

/* --- member_scrub.c --- */

void member_scrub_tick(struct member *m);
uint64_t member_scrub_deadline_ms(const struct member *m);
void member_scrub_close(struct member *m);
/* A RepairAnswer while no repair runs: entries for holes that the scrubber found. */
void member_scrub_answer(struct member *m, struct bytes answer);

/* --- member_manage.c --- */

void member_manage_tick(struct member *m);
void member_manage_role(struct member *m);
void member_manage_failed(struct member *m, const char *reason);
void member_manage_close(struct member *m);
void member_join_request(struct member *m, uint64_t peer_id, const char *name,
                         const char *peer_address);

/* --- member_lead.c --- */

/* The connected voter that holds most of our log; 0: none, or we do not lead. */
uint64_t member_lead_successor(const struct member *m);
/* Stopping: to the successor, if there is one. Called until we no longer lead:
 * one that goes away meanwhile is followed by another. */
void member_lead_give(struct member *m);

#endif
