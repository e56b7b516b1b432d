/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/repair_voters.h"

#include "testkit/test.h"

enum { PEERS = 6 };

/* Node 1 repairs, nodes 2 .. 7 are its peers and have all promised term 5. */
struct fixture {
    struct configuration configurations[3];
    struct slot_runs own;
    struct repair_said said[PEERS];
    struct judge_peer peers[PEERS];
    struct judge judge;
};

static struct configuration members(uint64_t index, uint64_t first, uint64_t last)
{
    struct configuration c = {.index = index};
    for (uint64_t id = first; id <= last; id++) {
        c.servers[c.count++] = (struct server){.id = id, .role = SERVER_VOTER};
    }
    return c;
}

/* Entries 1 .. 9 of term 4, the hole at 5 damaged. */
static void open_fixture(struct fixture *f, uint64_t voters)
{
    *f = (struct fixture){0};
    f->configurations[0] = members(0, 1, voters);
    slot_runs_add(&f->own, (struct slot_run){1, 4, {.kind = SLOT_WHOLE, .term = 4}});
    slot_runs_add(&f->own, (struct slot_run){5, 1, {.kind = SLOT_DAMAGED, .term = 4}});
    slot_runs_add(&f->own, (struct slot_run){6, 4, {.kind = SLOT_WHOLE, .term = 4}});
    for (size_t i = 0; i < PEERS; i++) {
        f->said[i] = (struct repair_said){
            .question = 1,
            .term = 5,
            .first = 1,
            .configuration_known = true,
            .configuration = f->configurations[0],
        };
        f->peers[i] = (struct judge_peer){.id = i + 2, .said = &f->said[i], .source = true};
    }
    f->judge = (struct judge){
        .id = 1,
        .term_began = 4,
        .last = 9,
        .own = &f->own,
        .configurations = f->configurations,
        .configuration_count = 1,
        .peers = f->peers,
        .peer_count = PEERS,
    };
}

/* From how many peers on it is enough; 0: never. */
static unsigned enough_from(const struct fixture *f, uint64_t index)
{
    for (unsigned count = 1; count <= PEERS; count++) {
        if (voters_are_enough(&f->judge, (UINT32_C(1) << count) - 1, index)) {
            return count;
        }
    }
    return 0;
}

static unsigned needed(uint64_t voters, bool hidden)
{
    struct fixture f;
    open_fixture(&f, voters);
    f.judge.end_unknown = hidden;
    unsigned count = enough_from(&f, 5);
    slot_runs_deinit(&f.own);
    return count;
}

TEST(repair_voters, so_many_that_no_majority_is_without_one)
{
    EXPECT_UINT(needed(1, false), 0); /* alone: nobody else can know */
    EXPECT_UINT(needed(2, false), 1);
    EXPECT_UINT(needed(3, false), 2);
    EXPECT_UINT(needed(5, false), 3);
    EXPECT_UINT(needed(7, false), 4);
}

/* Half of them is not enough: a step of membership away it is no obstacle. */
TEST(repair_voters, a_majority_of_an_even_number)
{
    EXPECT_UINT(needed(4, false), 3);
    EXPECT_UINT(needed(6, false), 4);
}

TEST(repair_voters, a_majority_where_a_change_can_be_lost)
{
    EXPECT_UINT(needed(2, true), 0);
    EXPECT_UINT(needed(3, true), 2);
    EXPECT_UINT(needed(4, true), 3);
    EXPECT_UINT(needed(5, true), 3);
}

TEST(repair_voters, every_configuration_from_the_one_in_force_on)
{
    struct fixture f;
    open_fixture(&f, 3);
    f.configurations[1] = members(4, 1, 4);
    f.configurations[2] = members(7, 1, 5);
    f.judge.configuration_count = 3;
    EXPECT_UINT(enough_from(&f, 5), 3);
    f.configurations[2] = members(7, 3, 7); /* others: peers 3 .. 7 are bits 1 .. 5 */
    EXPECT_UINT(enough_from(&f, 5), 4);
    f.judge.configuration_count = 1;
    EXPECT_UINT(enough_from(&f, 5), 2);
    f.configurations[0].index = 6; /* what was in force at 5 is not known */
    EXPECT_UINT(enough_from(&f, 5), 0);
    EXPECT_UINT(enough_from(&f, 6), 2);
    f.judge.configuration_count = 0;
    EXPECT_UINT(enough_from(&f, 5), 0);
    slot_runs_deinit(&f.own);
}

/* The change is behind the one that we know and before our end: lost. */
TEST(repair_voters, a_later_configuration_that_is_named_counts)
{
    struct fixture f;
    open_fixture(&f, 3);
    f.said[1].configuration = members(5, 1, 7);
    EXPECT_UINT(enough_from(&f, 5), 2); /* nothing of ours can have been a change */
    f.own.items[1].slot.type = ENTRY_CHANGE;
    EXPECT_UINT(enough_from(&f, 5), 4);
    f.said[1].configuration.index = 0; /* the one that we know */
    EXPECT_UINT(enough_from(&f, 5), 2);
    slot_runs_deinit(&f.own);
}

TEST(repair_voters, only_who_promised_and_can_tell_counts)
{
    struct fixture f;
    open_fixture(&f, 3);
    EXPECT(voters_may_count(&f.judge, &f.peers[0], 5));
    f.said[0].term = 4; /* ours */
    EXPECT(!voters_may_count(&f.judge, &f.peers[0], 5));
    f.said[0].term = 5;
    f.said[0].configuration_hidden = true;
    EXPECT(voters_may_count(&f.judge, &f.peers[0], 5)); /* it does not matter here */
    f.judge.end_unknown = true;
    EXPECT(!voters_may_count(&f.judge, &f.peers[0], 5));
    f.said[0].configuration_hidden = false;
    EXPECT(voters_may_count(&f.judge, &f.peers[0], 5));
    f.said[0].configuration_known = false;
    EXPECT(!voters_may_count(&f.judge, &f.peers[0], 5));
    f.peers[0].said = NULL;
    EXPECT(!voters_may_count(&f.judge, &f.peers[0], 5));
    f.judge.term_began = 5; /* what is lost can be of term 5 */
    EXPECT(!voters_may_count(&f.judge, &f.peers[1], 5));
    slot_runs_deinit(&f.own);
}

TEST(repair_voters, spares_and_standbys_do_not_count)
{
    struct fixture f;
    open_fixture(&f, 5);
    f.configurations[0].servers[1].role = SERVER_STANDBY;
    f.configurations[0].servers[2].role = SERVER_SPARE; /* three voters: 1, 4, 5 */
    EXPECT_UINT(enough_from(&f, 5), 4);
    slot_runs_deinit(&f.own);
}
