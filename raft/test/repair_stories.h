/* SPDX-License-Identifier: Apache-2.0 */
/* Stories of C1 and C2, for test_repair_judge.c. Node 0 repairs; the comment says
 * what was committed. */
#ifndef TIDEMARK_RAFT_TEST_REPAIR_STORIES_H
#define TIDEMARK_RAFT_TEST_REPAIR_STORIES_H

#include "raft/test/repair_lab.h"

/* ---- C1: fill by identity ---- */

/* 2:1 is whole at one node; another one has 2:2 there. */
static void fill_by_identity(struct lab *lab)
{
    lab_log(lab, 0, "1 1!");
    lab_log(lab, 1, "1 2");
    lab_log(lab, 2, "1 1");
    lab_run(lab);
}

/* Node 1's entry is of our last term, but not the one that was lost. */
static void another_term_is_no_fill(struct lab *lab)
{
    lab_log(lab, 0, "1 1! 2");
    lab_log(lab, 1, "1 2");
    lab_down(lab, 2);
    lab_run(lab);
}

static void flip_payload(struct lab *lab, struct buf *answer)
{
    (void)lab;
    struct repair_said said;
    if (repair_said_decode(buf_bytes(answer), &said, NULL) == ERR_OK) {
        if (said.entry_count > 0) {
            answer->data[answer->size - 8] ^= 1; /* before the crc, which ends the message */
        }
        repair_said_deinit(&said);
    }
}

static void refuse_a_flipped_entry(struct lab *lab)
{
    lab_log(lab, 0, "1 1!");
    lab_log(lab, 1, "1 1");
    lab_log(lab, 2, "1 1");
    lab->tamper = flip_payload;
    lab_run(lab);
}

/* Another entry in the place of the one that was asked for. */
static void change_identity(struct lab *lab, struct buf *answer)
{
    (void)lab;
    struct repair_said said;
    if (repair_said_decode(buf_bytes(answer), &said, NULL) != ERR_OK) {
        return;
    }
    if (said.entry_count > 0) {
        said.entries[0]->term++;
        buf_reset(answer);
        repair_said_encode(&said, answer);
    }
    repair_said_deinit(&said);
}

static void refuse_another_entry(struct lab *lab)
{
    lab_log(lab, 0, "1 1!");
    lab_log(lab, 1, "1 1");
    lab_log(lab, 2, "1 1");
    lab->tamper = change_identity;
    lab_run(lab);
}

/* ---- C2.1: a leader decides ---- */

static void leader_has_another_term(struct lab *lab)
{
    lab_log(lab, 0, "1 1! 1");
    lab_log(lab, 1, "1 2");
    lab_log(lab, 2, "1 2");
    lab_lead(lab, 1, 2, "2");
    lab_run(lab);
}

static void leader_has_nothing(struct lab *lab)
{
    lab_log(lab, 0, "1 1!");
    lab_log(lab, 1, "1");
    lab_log(lab, 2, "1");
    lab_lead(lab, 1, 1, "2");
    lab_run(lab);
}

/* Node 2 led term 2 and committed 2:2 with us, then died. Node 1 is the old
 * leader of term 1, cut off until now: it lacks 2:2, which proves nothing. */
static void old_leader_decides_nothing(struct lab *lab)
{
    lab_log(lab, 0, "1 2!");
    lab_log(lab, 1, "1");
    lab_log(lab, 2, "1 2");
    lab_lead(lab, 1, 1, "");
    lab_down(lab, 2);
    lab_run(lab);
}

static void old_leader_decides_nothing_unknown(struct lab *lab)
{
    lab_log(lab, 0, "1 ?");
    lab->nodes[0].term = 2;
    lab_log(lab, 1, "1");
    lab_lead(lab, 1, 1, "");
    lab_down(lab, 2);
    lab_run(lab);
}

/* Node 1 leads term 1. We ask about a hole at 1; it answers that it has no 2,
 * the answer is late. We are filled by node 2, run, and commit 2:1 with node 1.
 * Then 2:1 is damaged here, and the late answer arrives. */
static void answer_to_an_older_question(struct lab *lab)
{
    lab_log(lab, 0, "1!");
    lab_log(lab, 1, "1");
    lab_log(lab, 2, "1");
    lab_idle(lab, 1);
    lab_idle(lab, 2);
    lab_lead(lab, 1, 1, "");
    lab_start(lab, &lab->nodes[0]);
    lab_deliver(lab, 0); /* the question to node 1: its answer is now the last message */
    CHECK(lab->message_count == 2);
    struct lab_message late = lab->messages[1];
    lab->message_count--;
    lab_deliver_all(lab);
    lab_tick(lab);
    CHECK(lab_is_done(lab));
    lab_log(lab, 0, "1 1!");
    lab->cut[1][0] = true;
    lab_start(lab, &lab->nodes[0]);
    CHECK(lab->message_count == 2);
    lab->messages[lab->message_count++] = late;
    lab_run(lab);
}

/* Our stored term is above that of a leader which everybody follows, and our
 * last entry is lost: by C2.1 it decides nothing, and nobody who follows it
 * promises a term. Asked with insistence they do, as if a candidate of our term
 * had come, and the rule for voters applies. */
static void leader_of_a_lower_term_gives_way(struct lab *lab)
{
    lab_log(lab, 0, "1 ?");
    lab->nodes[0].term = 3;
    lab_log(lab, 1, "1 2");
    lab_log(lab, 2, "1 2");
    lab_lead(lab, 1, 2, "2");
    lab_run(lab);
}

/* ---- C2.2: a later term ---- */

static void later_term_proves(struct lab *lab)
{
    lab_log(lab, 0, "1 1! 1");
    lab->nodes[0].term = 5;
    lab_log(lab, 1, "1 2");
    lab_down(lab, 2);
    lab_run(lab);
}

/* Node 1 wrote 2:3 alone. Node 2 led term 4 and committed its own 2:2 and 3:4
 * with us: a term above that of the hole proves nothing. */
static void later_term_below_our_last(struct lab *lab)
{
    lab_log(lab, 0, "1 2! 4");
    lab_log(lab, 1, "1 3");
    lab_down(lab, 2);
    lab_run(lab);
}

/* The same, and 3:4 lost its identity. */
static void later_term_with_unknown_tail(struct lab *lab)
{
    lab_log(lab, 0, "1 2! ?");
    lab->nodes[0].term = 4;
    lab_log(lab, 1, "1 3");
    lab_down(lab, 2);
    lab_run(lab);
}

/* ---- C2.3: voters that never had it ---- */

/* A leader of term 1 may remember that we acknowledged 2:1. Both others promise
 * a term above it first: with nobody else can it commit. */
static void voters_never_had_it(struct lab *lab)
{
    lab_log(lab, 0, "1 1!");
    lab_log(lab, 1, "1");
    lab_log(lab, 2, "1");
    lab_run(lab);
}

static void one_voter_is_silent(struct lab *lab)
{
    lab_log(lab, 0, "1 1!");
    lab_log(lab, 1, "1");
    lab_log(lab, 2, "1 1");
    lab->cut[2][0] = true;
    lab_run(lab);
}

static void one_voter_has_it_damaged(struct lab *lab)
{
    lab_log(lab, 0, "1 1!");
    lab_log(lab, 1, "1");
    lab_log(lab, 2, "1 1!");
    lab_run(lab);
}

static void one_voter_lost_the_identity(struct lab *lab)
{
    lab_log(lab, 0, "1 1!");
    lab_log(lab, 1, "1");
    lab_log(lab, 2, "1 ?");
    lab->nodes[2].term = 1;
    lab_idle(lab, 2);
    lab_run(lab);
}

static void one_voter_lost_its_end(struct lab *lab)
{
    lab_log(lab, 0, "1 1!");
    lab_log(lab, 1, "1");
    lab_log(lab, 2, "1 ...");
    lab_idle(lab, 2);
    lab_run(lab);
}

static void standby_does_not_count(struct lab *lab)
{
    lab_configure(lab, lab_configuration(0, "012", "3"));
    lab_log(lab, 0, "1 1!");
    lab_log(lab, 1, "1");
    lab_down(lab, 2);
    lab_log(lab, 3, "1");
    lab_run(lab);
}

/* 3:3 lost its identity. Node 1 leads term 2 only: above our last known term,
 * not above what we have lost. */
static void our_term_with_unknown_tail(struct lab *lab)
{
    lab_log(lab, 0, "1 1! ?");
    lab->nodes[0].term = 3;
    lab_log(lab, 1, "1 2");
    lab_log(lab, 2, "1 2");
    lab_lead(lab, 1, 2, "2");
    lab->cut[1][0] = true; /* its answer is lost: only its follower's comes */
    lab_run(lab);
}

/* Four voters. The leader, node 3, had 2:1 and appended the change that adds
 * node 4, then committed 2:1 under it with node 4 and us, 3 of 5. Neither we
 * nor the two others know of the change. */
static void half_of_four_is_not_enough(struct lab *lab)
{
    lab_configure(lab, lab_configuration(0, "0123", ""));
    lab_log(lab, 0, "1 1!");
    lab_log(lab, 1, "1");
    lab_log(lab, 2, "1");
    lab_down(lab, 3);
    lab_run(lab);
}

static void one_other_of_two_is_enough(struct lab *lab)
{
    lab_log(lab, 0, "1 1!");
    lab_log(lab, 1, "1");
    lab_run(lab);
}

/* 3 removes node 2. What is lost at 2 may be committed under the configuration
 * before, with node 2. */
static void every_configuration_counts(struct lab *lab)
{
    lab_configure(lab, lab_configuration(0, "012", ""));
    lab_log(lab, 0, "1 1! 1");
    lab_knows(lab, 0, lab_configuration(3, "01", ""));
    lab_log(lab, 1, "1");
    lab_down(lab, 2);
    lab_run(lab);
}

/* 2 was the change that removes node 1: committed by us alone. */
static void lost_entry_can_be_a_change(struct lab *lab)
{
    lab_log(lab, 0, "1 1!");
    lab->nodes[0].log[2].slot.type = ENTRY_CHANGE;
    lab_log(lab, 1, "1");
    lab_run(lab);
}

/* The same with its identity lost. */
static void unknown_entry_can_be_a_change(struct lab *lab)
{
    lab_log(lab, 0, "1 ?");
    lab->nodes[0].term = 1;
    lab_log(lab, 1, "1");
    lab_run(lab);
}

/* The answers name a later configuration, of five: then two of five are too few. */
static void later_configuration_is_named(struct lab *lab)
{
    lab_configure(lab, lab_configuration(0, "012", ""));
    lab_log(lab, 0, "1 ? ?");
    lab->nodes[0].term = 2;
    lab_log(lab, 1, "1 1");
    lab_knows(lab, 1, lab_configuration(2, "01234", ""));
    lab_log(lab, 2, "1");
    lab_down(lab, 3);
    lab_down(lab, 4);
    lab_run(lab);
}

#endif
