/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/raft_core.h"

#include "raft/test/single.h"
#include "testkit/test.h"

TEST(raft_core, gives_libraft_the_same_servers_in_the_same_order)
{
    struct configuration c;
    struct configuration other;
    struct raft_configuration theirs;
    single_configuration("vsp", 4, &c);
    raft_core_configuration(&c, &theirs);
    EXPECT_UINT(theirs.n, 3);
    EXPECT_INT(theirs.servers[0].role, RAFT_VOTER);
    EXPECT_INT(theirs.servers[1].role, RAFT_STANDBY);
    EXPECT_INT(theirs.servers[2].role, RAFT_SPARE);
    EXPECT_STR(theirs.servers[2].address, "0000000000000003");
    EXPECT(raft_core_matches(&theirs, &c));
    single_configuration("vss", 4, &other);
    EXPECT(!raft_core_matches(&theirs, &other));
    single_configuration("vs", 4, &other);
    EXPECT(!raft_core_matches(&theirs, &other));
    raft_configuration_close(&theirs);
}

TEST(raft_core, gives_libraft_two_servers_at_one_address)
{
    struct configuration c;
    struct raft_configuration theirs;
    single_configuration("vv", 4, &c);
    c.servers[1].address[1] = '1';
    EXPECT_STR(c.servers[1].address, c.servers[0].address);
    raft_core_configuration(&c, &theirs);
    EXPECT_UINT(theirs.n, 2);
    raft_configuration_close(&theirs);
}

TEST(raft_core, shows_libraft_terms_and_changes_and_no_payload)
{
    struct configuration c;
    struct buf payload = {0};
    single_configuration("vvs", 4, &c);
    configuration_encode(&c, &payload);
    struct entry *entries[3] = {entry_new(ENTRY_COMMAND, 2, 1, bytes_str("row")),
                                entry_new(ENTRY_BARRIER, 3, 2, (struct bytes){0}),
                                entry_new(ENTRY_CHANGE, 4, 2, buf_bytes(&payload))};
    struct raft_core_entries core;
    raft_core_entries_init(&core, entries, 3);
    EXPECT_UINT(core.count, 3);
    EXPECT_UINT(core.items[0].term, 1);
    EXPECT_UINT(core.items[0].type, RAFT_COMMAND);
    EXPECT(core.items[0].buf.base == NULL);
    EXPECT_UINT(core.items[1].type, RAFT_BARRIER);
    EXPECT(core.items[0].batch != NULL);
    EXPECT(core.items[0].batch == core.items[2].batch);

    struct raft_configuration back;
    EXPECT_UINT(core.items[2].type, RAFT_CHANGE);
    EXPECT_INT(raft_configuration_decode(&core.items[2].buf, &back), 0);
    EXPECT(raft_core_matches(&back, &c));
    raft_configuration_close(&back);
    raft_core_entries_deinit(&core);
    for (int i = 0; i < 3; i++) {
        entry_unref(entries[i]);
    }
    buf_deinit(&payload);
}

static void put_bad_change(void *arg)
{
    struct raft_core_entries core;
    struct entry *entry = arg;
    raft_core_entries_init(&core, &entry, 1);
}

TEST(raft_core, takes_a_change_that_is_none_for_a_bug)
{
    struct entry *entry = entry_new(ENTRY_CHANGE, 4, 2, bytes_str("nonsense"));
    EXPECT_DIES(put_bad_change, entry, "entry 4 holds no configuration");
    entry_unref(entry);
}

TEST(raft_core, writes_addresses_of_ids_as_hex)
{
    char text[RAFT_CORE_ADDRESS_SIZE];
    raft_core_address(0xabcdef0123456789, text);
    EXPECT_STR(text, "abcdef0123456789");
}
