/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/repair_text.h"

#include "base/mem.h"
#include "testkit/test.h"

enum { PEERS = 4 };

/* Node 1 waits; nodes 2 and 3 are members and answered, 4 is one that did not,
 * 5 is a stranger. */
struct fixture {
    struct configuration configuration;
    struct slot_runs own;
    struct repair_said said[PEERS];
    struct judge_peer peers[PEERS];
    struct judge judge;
};

static void add_server(struct configuration *c, uint64_t id, const char *address)
{
    struct server *s = &c->servers[c->count++];
    *s = (struct server){.id = id, .role = SERVER_VOTER};
    memcpy(s->address, address, strlen(address) + 1);
}

static void open_fixture(struct fixture *f)
{
    *f = (struct fixture){0};
    add_server(&f->configuration, 1, "a@h:1");
    add_server(&f->configuration, 2, "b@h:1");
    add_server(&f->configuration, 3, "");
    add_server(&f->configuration, 4, "d@h:1");
    for (size_t i = 0; i < PEERS; i++) {
        f->said[i] = (struct repair_said){.question = 1, .first = 1};
        f->peers[i] = (struct judge_peer){.id = i + 2, .said = &f->said[i]};
    }
    f->judge = (struct judge){
        .id = 1,
        .own = &f->own,
        .configurations = &f->configuration,
        .configuration_count = 1,
        .peers = f->peers,
        .peer_count = 2,
    };
}

static void close_fixture(struct fixture *f)
{
    slot_runs_deinit(&f->own);
    for (size_t i = 0; i < PEERS; i++) {
        repair_said_deinit(&f->said[i]);
    }
}

static void hole(struct fixture *f, enum slot_kind kind, uint64_t first, uint64_t count,
                 uint64_t term)
{
    slot_runs_add(&f->own, (struct slot_run){first, count, {.kind = kind, .term = term}});
    f->judge.last = first + count - 1;
}

static void says(struct fixture *f, size_t peer, enum slot_kind kind, uint64_t index, uint64_t term)
{
    slot_runs_add(&f->said[peer].runs, (struct slot_run){index, 1, {.kind = kind, .term = term}});
    f->said[peer].last = index;
}

#define EXPECT_TEXT(f, want) expect_text((f), (want), TEST_HERE(false))

static void expect_text(const struct fixture *f, const char *want, struct test_place place)
{
    char *text = repair_waiting_text(&f->judge);
    test_str(text, want, "text", place);
    mem_free(text);
}

TEST(repair_text, names_the_entry_and_what_each_node_says)
{
    struct fixture f;
    open_fixture(&f);
    hole(&f, SLOT_DAMAGED, 3, 1, 2);
    says(&f, 0, SLOT_DAMAGED, 3, 2);
    EXPECT_TEXT(&f, "waits for entry 3 (term 2): damaged at node 0000000000000002 (b@h:1), "
                    "never held by node 0000000000000003, "
                    "no answer from node 0000000000000004 (d@h:1)");
    close_fixture(&f);
}

TEST(repair_text, has_words_for_everything_that_can_be_said)
{
    struct fixture f;
    open_fixture(&f);
    f.judge.peer_count = 4;
    hole(&f, SLOT_DAMAGED, 3, 1, 2);
    says(&f, 0, SLOT_WHOLE, 3, 1);
    says(&f, 1, SLOT_UNKNOWN, 3, 0);
    f.said[2].first = 9;
    f.said[2].last = 8;
    f.said[3].last = 5; /* not asked about 3 */
    EXPECT_TEXT(&f, "waits for entry 3 (term 2): another term at node 0000000000000002 (b@h:1), "
                    "unknown at node 0000000000000003, cut away at node 0000000000000004 (d@h:1), "
                    "not asked: node 0000000000000005");
    slot_runs_reset(&f.said[0].runs);
    says(&f, 0, SLOT_WHOLE, 3, 2);
    f.judge.peer_count = 1;
    f.judge.configuration_count = 0;
    EXPECT_TEXT(&f, "waits for entry 3 (term 2): whole at node 0000000000000002");
    f.judge.peer_count = 0;
    EXPECT_TEXT(&f, "waits for entry 3 (term 2): no other node is known");
    close_fixture(&f);
}

TEST(repair_text, says_when_the_identity_is_lost)
{
    struct fixture f;
    open_fixture(&f);
    f.judge.configuration_count = 0;
    f.judge.peer_count = 1;
    hole(&f, SLOT_UNKNOWN, 3, 1, 0);
    says(&f, 0, SLOT_WHOLE, 3, 2);
    f.judge.end_unknown = true;
    EXPECT_TEXT(&f, "waits for entry 3 (term lost): whole, not proved the same, at node "
                    "0000000000000002; what followed entry 3: never held by node "
                    "0000000000000002");
    close_fixture(&f);
}

TEST(repair_text, joins_entries_of_which_the_same_is_said)
{
    struct fixture f;
    open_fixture(&f);
    f.judge.configuration_count = 0;
    f.judge.peer_count = 1;
    hole(&f, SLOT_DAMAGED, 3, 4, 2);
    says(&f, 0, SLOT_DAMAGED, 3, 2);
    says(&f, 0, SLOT_DAMAGED, 4, 2);
    EXPECT_TEXT(&f, "waits for entries 3 to 4 (term 2): damaged at node 0000000000000002; "
                    "entries 5 to 6 (term 2): never held by node 0000000000000002");
    close_fixture(&f);
}

TEST(repair_text, names_the_first_and_counts_the_rest)
{
    struct fixture f;
    open_fixture(&f);
    f.judge.configuration_count = 0;
    f.judge.peer_count = 0;
    for (uint64_t i = 0; i < 20; i++) {
        hole(&f, SLOT_DAMAGED, 1 + 2 * i, 1, 1);
        hole(&f, SLOT_WHOLE, 2 + 2 * i, 1, 1);
    }
    char *text = repair_waiting_text(&f.judge);
    EXPECT_CONTAINS(text, "; entry 15 (term 1)");
    EXPECT(strstr(text, "entry 17") == NULL);
    EXPECT_CONTAINS(text, "; and 12 more");
    mem_free(text);
    close_fixture(&f);
}

TEST(repair_text, says_when_there_is_no_checkpoint_under_the_log)
{
    struct fixture f;
    open_fixture(&f);
    f.judge.configuration_count = 0;
    f.judge.peer_count = 1;
    f.judge.base = 7;
    f.judge.last = 7;
    f.judge.base_missing = true;
    EXPECT_TEXT(&f, "waits for a checkpoint that reaches entry 7: no such checkpoint at node "
                    "0000000000000002");
    close_fixture(&f);
}
