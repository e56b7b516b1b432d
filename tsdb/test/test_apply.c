/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/packed.h"
#include "testkit/test.h"
#include "tsdb/db.h"
#include "tsdb/test/random_commands.h"

/* One node playing a history; 'at' entries are applied, so its index is 'at'. */
static void apply_next(struct fixture *f, const struct history *h)
{
    size_t at = (size_t)f->index;
    REQUIRE(at < h->count);
    REQUIRE_OK(apply_entry(f, buf_bytes(&h->entries[at])));
}

static void finish_checkpoint(struct fixture *f)
{
    struct tsdb_checkpoint c = {0};
    REQUIRE_OK(tsdb_checkpoint_write(f->db, &c, &f->err));
    REQUIRE_OK(tsdb_checkpoint_finish(f->db, &f->err));
    REQUIRE_UINT(tsdb_checkpoint_index(f->db), c.index);
}

/* Names of all files but the manifest: equal names are equal bytes. */
static void list_parts(struct fixture *f, struct buf *out)
{
    struct io_name *names = NULL;
    size_t count = 0;
    EXPECT_OK(io_list(f->io, "tsdb", &names, &count, &f->err));
    for (size_t i = 0; i < count; i++) {
        buf_printf(out, "%s\n", names[i].name);
    }
    mem_free(names);
}

static void expect_same_files(struct fixture *a, struct fixture *b)
{
    uint64_t keep = tsdb_checkpoint_index(a->db);
    struct buf x = {0};
    struct buf y = {0};
    EXPECT_OK(tsdb_clean(a->db, &keep, keep == 0 ? 0 : 1, &a->err));
    EXPECT_OK(tsdb_clean(b->db, &keep, keep == 0 ? 0 : 1, &b->err));
    list_parts(a, &x);
    list_parts(b, &y);
    EXPECT(bytes_equal(buf_bytes(&x), buf_bytes(&y)));
    buf_deinit(&x);
    buf_deinit(&y);
    if (keep == 0) {
        return;
    }
    char name[TSDB_NAME_SIZE];
    char path[IO_PATH_MAX];
    tsdb_manifest_name(keep, name);
    REQUIRE_OK(io_join(path, "tsdb", name, &a->err));
    EXPECT_OK(io_read_file(a->io, path, 1 << 24, &x, &a->err));
    EXPECT_OK(io_read_file(b->io, path, 1 << 24, &y, &b->err));
    EXPECT(bytes_equal(buf_bytes(&x), buf_bytes(&y)));
    buf_deinit(&x);
    buf_deinit(&y);
}

/* Closes and opens from the last checkpoint, then applies again to where it was. */
static void reopen(struct fixture *f, const struct history *h)
{
    uint64_t index = f->index;
    uint64_t at = tsdb_checkpoint_index(f->db);
    tsdb_close(f->db);
    REQUIRE_OK(open_at(f, at));
    EXPECT_UINT(f->index, at);
    while (f->index < index) {
        apply_next(f, h);
        if (tsdb_frozen(f->db)) {
            finish_checkpoint(f);
        }
    }
}

/* Two nodes, the same entries. One writes its checkpoints at once, the other
 * late, while later entries are applied, and starts again now and then. At each
 * checkpoint their states, files and answers are the same, byte for byte. */
static void play(uint64_t seed, size_t count)
{
    struct history *h = history_new(seed, count);
    struct random random = random_seeded(seed + 1000);
    struct fixture a = fixture_open(true);
    struct fixture b = fixture_open(true);
    while (a.index < h->count) {
        bool checkpoint = h->checkpoint[a.index];
        if (checkpoint && tsdb_frozen(b.db)) {
            EXPECT_ERR(apply_entry(&b, buf_bytes(&h->entries[b.index])), ERR_STATE);
            finish_checkpoint(&b);
        }
        apply_next(&a, h);
        apply_next(&b, h);
        REQUIRE_UINT(a.results.count, b.results.count);
        for (size_t i = 0; i < a.results.count; i++) {
            EXPECT_INT(a.results.items[i].code, b.results.items[i].code);
            EXPECT_UINT(a.results.items[i].rows, b.results.items[i].rows);
            EXPECT_UINT(a.results.items[i].session, b.results.items[i].session);
            EXPECT_STR(a.results.items[i].text, b.results.items[i].text);
        }
        if (checkpoint) {
            finish_checkpoint(&a);
            EXPECT_SAME_HASH(state_hash(&a), state_hash(&b));
        }
        if (tsdb_frozen(b.db) && random_chance(&random, 1, 6)) {
            finish_checkpoint(&b);
            expect_same_files(&a, &b);
        }
        if (random_chance(&random, 1, 40)) {
            reopen(&b, h);
        }
    }
    EXPECT_SAME_HASH(state_hash(&a), state_hash(&b));
    EXPECT_STR(scan_all(&a), scan_all(&b));
    fixture_close(&a);
    fixture_close(&b);
    history_free(h);
}

TEST(apply, the_same_entries_give_the_same_state_files_and_answers)
{
    for (uint64_t seed = 1; seed <= 8; seed++) {
        play(seed, 260);
    }
}

/* After a restart a node is given entries that it holds already: from any one
 * on the outcome is the same. */
TEST(apply, entries_applied_again_from_any_index_change_nothing)
{
    struct history *h = history_new(77, 90);
    struct fixture f = fixture_open(true);
    while (f.index < h->count) {
        apply_next(&f, h);
        if (tsdb_frozen(f.db)) {
            finish_checkpoint(&f);
        }
    }
    struct hash128 want = state_hash(&f);
    uint64_t at = tsdb_checkpoint_index(f.db);
    EXPECT(at > 5);
    for (uint64_t from = 0; from <= at; from++) {
        tsdb_close(f.db);
        REQUIRE_OK(open_at(&f, at));
        f.index = from;
        while (f.index < h->count) {
            bool held = f.index + 1 <= at;
            apply_next(&f, h);
            EXPECT(f.results.count > 0 || held);
        }
        EXPECT_SAME_HASH(state_hash(&f), want);
    }
    fixture_close(&f);
    history_free(h);
}

TEST(apply, a_write_takes_effect_wholly_or_not_at_all)
{
    struct fixture f = fixture_open(false);
    EXPECT_OK(put(&f, "a", "1 1 - - -"));
    struct hash128 before = state_hash(&f);
    uint64_t rows = f.result.rows;
    EXPECT_UINT(rows, 1);
    struct buf body = {0};
    make_write_request(&body, "m", "new", "1 1 1 true x\n2 2 2 true y");
    unsigned refused = 0;
    for (size_t size = 0; size < body.size; size++) {
        enum err_code code = apply_body(&f, COMMAND_WRITE, bytes_of(body.data, size));
        if (code != ERR_OK) {
            EXPECT_SAME_HASH(state_hash(&f), before);
            EXPECT(f.result.text[0] != '\0');
            refused++;
        }
        before = state_hash(&f);
    }
    EXPECT(refused > body.size - 6);
    buf_deinit(&body);
    fixture_close(&f);
}

TEST(apply, refusals_are_results_and_are_told_in_words)
{
    struct fixture f = fixture_open(false);
    EXPECT_ERR(create_table(&f, "m"), ERR_EXISTS);
    EXPECT_STR(f.result.text, "table \"m\" exists in database \"d\"");
    EXPECT_INT(f.result.kind, COMMAND_CREATE_TABLE);
    EXPECT_UINT(f.result.index, f.index);
    EXPECT_ERR(set_setting(&f, "ts.wal.wal_levle", "3"), ERR_NOT_FOUND);
    EXPECT_CONTAINS(f.result.text, "did you mean \"ts.wal.wal_level\"?");
    EXPECT_ERR(set_setting(&f, "ts.wal.wal_level", "4"), ERR_RANGE);
    EXPECT_STR(tsdb_setting(f.db, "ts.wal.wal_level"), "2");
    EXPECT_OK(set_setting(&f, "ts.wal.wal_level", "03"));
    EXPECT_STR(tsdb_setting(f.db, "ts.wal.wal_level"), "3");
    EXPECT_OK(set_setting(&f, "ts.wal.wal_level", NULL));
    EXPECT_STR(tsdb_setting(f.db, "ts.wal.wal_level"), "2");
    EXPECT(tsdb_setting(f.db, "nothing") == NULL);
    static const uint8_t garbage[] = {0xff};
    for (int kind = COMMAND_WRITE; kind < COMMAND_KIND_COUNT; kind++) {
        if (kind != COMMAND_CHECKPOINT && kind != COMMAND_PART && kind != COMMAND_PACKED) {
            EXPECT_ERR(apply_body(&f, (enum command_kind)kind, bytes_of(garbage, 1)), ERR_INVALID);
        }
    }
    fixture_close(&f);
}

/* What can't be decoded was not written by this program: the node stops. */
TEST(apply, an_entry_that_is_no_entry_is_an_error_not_a_result)
{
    struct fixture f = fixture_open(false);
    uint64_t index = f.index;
    EXPECT_ERR(apply_entry(&f, bytes_of("\xff", 1)), ERR_CORRUPT);
    EXPECT_CONTAINS(f.err.text, "log entry 3: a command of the log entry");
    EXPECT_ERR(apply_entry(&f, (struct bytes){0}), ERR_CORRUPT);
    struct buf entry = {0};
    struct command c = {.kind = COMMAND_CHECKPOINT};
    command_put(&entry, &c);
    command_put(&entry, &c);
    EXPECT_ERR(apply_entry(&f, buf_bytes(&entry)), ERR_CORRUPT);
    EXPECT_CONTAINS(f.err.text, "a checkpoint shares its log entry with others");
    EXPECT_UINT(tsdb_applied_index(f.db), index);
    EXPECT(!tsdb_frozen(f.db));
    buf_deinit(&entry);
    fixture_close(&f);
}

/* The 'place'-th half of a write of two rows, as two parts. */
static enum err_code apply_half(struct fixture *f, const struct command *write, uint64_t place)
{
    struct buf whole = {0};
    struct buf entry = {0};
    command_put(&whole, write);
    size_t half = whole.size / 2;
    struct command_part part = {.place = place, .count = 2, .piece = {whole.data, half}};
    if (place == 1) {
        part.piece = bytes_of(whole.data + half, whole.size - half);
    }
    command_put_part(&entry, &part);
    enum err_code code = apply_entry(f, buf_bytes(&entry));
    buf_deinit(&whole);
    buf_deinit(&entry);
    return code;
}

TEST(apply, a_large_write_takes_effect_with_its_last_part)
{
    struct fixture f = fixture_open(false);
    struct buf rows = {0};
    make_write_request(&rows, "m", "a", "1 1 - - -\n2 2 - - -");
    uint64_t session = open_session(&f, 1);
    struct command write = {
        .kind = COMMAND_WRITE, .session = session, .sequence = 1, .body = buf_bytes(&rows)};
    EXPECT_OK(apply_half(&f, &write, 0));
    EXPECT_UINT(f.results.count, 0);
    EXPECT_STR(scan_all(&f), "");
    EXPECT_OK(apply_half(&f, &write, 1));
    REQUIRE_UINT(f.results.count, 1);
    EXPECT_INT(f.result.kind, COMMAND_WRITE);
    EXPECT_UINT(f.result.rows, 2);
    EXPECT_UINT(f.result.index, f.index);
    EXPECT_STR(scan_all(&f), "a,-,- 1 1 - - -\na,-,- 2 2 - - -\n");
    EXPECT_OK(apply_half(&f, &write, 0));
    EXPECT_OK(apply_half(&f, &write, 1));
    EXPECT(f.result.repeated);
    EXPECT_UINT(f.result.index, f.index - 2);
    buf_deinit(&rows);
    fixture_close(&f);
}

TEST(apply, a_large_write_with_something_between_its_parts_has_no_effect)
{
    struct fixture f = fixture_open(false);
    struct buf rows = {0};
    make_write_request(&rows, "m", "a", "1 1 - - -\n2 2 - - -");
    struct command write = {.kind = COMMAND_WRITE, .body = buf_bytes(&rows)};
    EXPECT_OK(apply_half(&f, &write, 0));
    EXPECT(f.db->large.bytes.size > 0);
    tsdb_apply_barrier(f.db, ++f.index, f.term);
    EXPECT_UINT(f.db->large.bytes.size, 0); /* nobody waits for the rest of it */
    EXPECT_OK(apply_half(&f, &write, 1));
    EXPECT_INT(f.result.code, ERR_UNAVAILABLE);
    EXPECT_OK(apply_half(&f, &write, 0));
    EXPECT_OK(put(&f, "b", "3 3 - - -"));
    EXPECT_UINT(f.db->large.bytes.size, 0);
    EXPECT_OK(apply_half(&f, &write, 1));
    EXPECT_INT(f.result.code, ERR_UNAVAILABLE);
    EXPECT_STR(scan_all(&f), "b,-,- 3 3 - - -\n");
    buf_deinit(&rows);
    fixture_close(&f);
}

TEST(apply, parts_that_are_no_write_are_an_error)
{
    struct fixture f = fixture_open(false);
    struct command checkpoint = {.kind = COMMAND_CHECKPOINT, .body = bytes_str("xxxx")};
    EXPECT_OK(apply_half(&f, &checkpoint, 0));
    EXPECT_ERR(apply_half(&f, &checkpoint, 1), ERR_CORRUPT);
    EXPECT_CONTAINS(f.err.text, "no write");
    EXPECT_ERR(apply_body(&f, COMMAND_PART, bytes_str("x")), ERR_CORRUPT);
    fixture_close(&f);
}

TEST(apply, several_commands_of_an_entry_are_answered_one_by_one)
{
    struct fixture f = fixture_open(false);
    struct buf entry = {0};
    struct buf good = {0};
    struct buf bad = {0};
    make_write_request(&good, "m", "a", "1 1 - - -\n2 2 - - -");
    make_write_request(&bad, "nothing", "a", "1 1 - - -");
    struct command commands[] = {{.kind = COMMAND_WRITE, .body = buf_bytes(&good)},
                                 {.kind = COMMAND_WRITE, .body = buf_bytes(&bad)},
                                 {.kind = COMMAND_OPEN_SESSION},
                                 {.kind = COMMAND_OPEN_SESSION}};
    for (size_t i = 0; i < 4; i++) {
        command_put(&entry, &commands[i]);
    }
    EXPECT_OK(apply_entry(&f, buf_bytes(&entry)));
    REQUIRE_UINT(f.results.count, 4);
    EXPECT_UINT(f.results.items[0].rows, 2);
    EXPECT_INT(f.results.items[1].code, ERR_NOT_FOUND);
    EXPECT(f.results.items[2].session != 0);
    EXPECT(f.results.items[2].session != f.results.items[3].session);
    EXPECT_STR(scan_all(&f), "a,-,- 1 1 - - -\na,-,- 2 2 - - -\n");
    buf_deinit(&entry);
    buf_deinit(&good);
    buf_deinit(&bad);
    fixture_close(&f);
}

/* 'count' times the same command, packed; or side by side. */
static enum err_code apply_many(struct fixture *f, const struct command *command, size_t count,
                                enum packed_method method)
{
    struct buf commands = {0};
    struct buf entry = {0};
    for (size_t i = 0; i < count; i++) {
        command_put(&commands, command);
    }
    bool packed = packed_put(&entry, method, buf_bytes(&commands));
    EXPECT(packed == (method != PACKED_OFF));
    enum err_code code = apply_entry(f, buf_bytes(packed ? &entry : &commands));
    buf_deinit(&commands);
    buf_deinit(&entry);
    return code;
}

TEST(apply, packed_commands_do_what_they_do_side_by_side)
{
    enum { COUNT = 20 };
    struct hash128 plain = {0};
    for (int method = PACKED_OFF; method <= PACKED_ZSTD; method++) {
        struct fixture f = fixture_open(false);
        struct buf rows = {0};
        make_write_request(&rows, "m", "a", "1 1 - - -\n2 2 - - -");
        struct command write = {.kind = COMMAND_WRITE, .body = buf_bytes(&rows)};
        EXPECT_OK(apply_many(&f, &write, COUNT, (enum packed_method)method));
        REQUIRE_UINT(f.results.count, COUNT);
        for (size_t i = 0; i < COUNT; i++) {
            EXPECT_INT(f.results.items[i].kind, COMMAND_WRITE);
            EXPECT_UINT(f.results.items[i].rows, 2);
        }
        EXPECT_STR(scan_all(&f), "a,-,- 1 1 - - -\na,-,- 2 2 - - -\n");
        plain = method == PACKED_OFF ? state_hash(&f) : plain;
        EXPECT_SAME_HASH(state_hash(&f), plain);
        buf_deinit(&rows);
        fixture_close(&f);
    }
}

/* Others look for them in the first byte of an entry, and would not find them. */
TEST(apply, metadata_checkpoints_parts_and_packed_ones_are_never_packed)
{
    static const enum command_kind kinds[] = {COMMAND_SET_SETTING, COMMAND_CREATE_TABLE,
                                              COMMAND_CHECKPOINT, COMMAND_PART, COMMAND_PACKED};
    struct fixture f = fixture_open(false);
    uint64_t index = f.index;
    uint8_t body[64] = {0};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        struct command command = {.kind = kinds[i], .body = bytes_of(body, sizeof body)};
        EXPECT_ERR(apply_many(&f, &command, 20, PACKED_LZ4), ERR_CORRUPT);
    }
    EXPECT_ERR(apply_body(&f, COMMAND_PACKED, bytes_str("x")), ERR_CORRUPT);
    EXPECT_CONTAINS(f.err.text, "packed");
    EXPECT_UINT(tsdb_applied_index(f.db), index);
    fixture_close(&f);
}

TEST(apply, other_entries_move_the_index_and_keep_the_configuration)
{
    struct fixture f = fixture_open(false);
    uint64_t index = 99;
    EXPECT_UINT(tsdb_configuration(f.db, &index).size, 0);
    EXPECT_UINT(index, 0);
    tsdb_apply_barrier(f.db, 10, 3);
    EXPECT_UINT(tsdb_applied_index(f.db), 10);
    EXPECT_UINT(tsdb_applied_term(f.db), 3);
    tsdb_apply_configuration(f.db, 11, 3, bytes_str("voters"));
    tsdb_apply_configuration(f.db, 11, 3, bytes_str("again"));
    tsdb_apply_barrier(f.db, 9, 3);
    EXPECT_UINT(tsdb_applied_index(f.db), 11);
    EXPECT(bytes_equal(tsdb_configuration(f.db, &index), bytes_str("voters")));
    EXPECT_UINT(index, 11);
    f.index = 11;
    f.term = 3;
    EXPECT_OK(checkpoint(&f, NULL));
    uint64_t at = f.index;
    tsdb_close(f.db);
    REQUIRE_OK(open_at(&f, at));
    EXPECT(bytes_equal(tsdb_configuration(f.db, &index), bytes_str("voters")));
    EXPECT_UINT(index, 11);
    EXPECT_UINT(tsdb_applied_term(f.db), 3);
    fixture_close(&f);
}

TEST(apply, nodes_are_kept_across_checkpoints)
{
    struct fixture f = fixture_open(false);
    struct buf body = {0};
    wire_put_fixed64(&body, 1, 42);
    wire_put_uint(&body, 2, 7);
    wire_put_fixed64(&body, 3, 99);
    EXPECT_OK(apply_body(&f, COMMAND_NODE_START, buf_bytes(&body)));
    buf_reset(&body);
    wire_put_fixed64(&body, 1, 5);
    EXPECT(!tsdb_cluster_formed(f.db));
    EXPECT_OK(apply_body(&f, COMMAND_CLUSTER_FORMED, buf_bytes(&body)));
    EXPECT_OK(checkpoint(&f, NULL));
    uint64_t at = f.index;
    tsdb_close(f.db);
    REQUIRE_OK(open_at(&f, at));
    size_t count = 0;
    const struct tsdb_node *nodes = tsdb_nodes(f.db, &count);
    REQUIRE_UINT(count, 1);
    EXPECT_UINT(nodes[0].directory_id, 42);
    EXPECT_UINT(nodes[0].start_counter, 7);
    EXPECT(tsdb_cluster_formed(f.db));
    buf_deinit(&body);
    fixture_close(&f);
}

TEST(apply, a_dropped_table_is_gone_with_its_rows_and_its_name_is_free)
{
    struct fixture f = fixture_open(false);
    EXPECT_OK(put(&f, "a", "1 1 - - -"));
    EXPECT_OK(checkpoint(&f, NULL));
    EXPECT_OK(put(&f, "a", "2 2 - - -"));
    struct tsdb_view *v = tsdb_view_pin(f.db);
    EXPECT_OK(drop_table(&f, "m"));
    EXPECT_STR(scan_all(&f), "no table \"m\" in database \"d\"");
    EXPECT_ERR(put(&f, "a", "3 3 - - -"), ERR_NOT_FOUND);
    EXPECT_OK(create_table(&f, "m"));
    EXPECT_STR(scan_all(&f), "");
    EXPECT_OK(put(&f, "a", "4 4 - - -"));
    EXPECT_STR(scan_all(&f), "a,-,- 4 4 - - -\n");
    EXPECT_OK(checkpoint(&f, NULL));
    EXPECT_STR(scan_all(&f), "a,-,- 4 4 - - -\n");
    /* Who pinned a view before still sees the old table. */
    struct buf request = {0};
    struct scan_totals totals;
    scan_of(&request, "m");
    EXPECT_OK(scan_view(&f, v, buf_bytes(&request), 1 << 20, &totals));
    EXPECT_STR((const char *)f.text.data, "a,-,- 1 1 - - -\na,-,- 2 2 - - -\n");
    tsdb_view_unpin(v);
    uint64_t at = f.index;
    tsdb_close(f.db);
    REQUIRE_OK(open_at(&f, at));
    EXPECT_STR(scan_all(&f), "a,-,- 4 4 - - -\n");
    buf_deinit(&request);
    fixture_close(&f);
}

/* --- before proposing --- */

static const char *validate(struct fixture *f, enum command_kind kind, struct bytes body)
{
    struct command c = {.kind = kind, .body = body};
    f->err.text[0] = '\0';
    return tsdb_validate(f->db, &c, &f->err) == ERR_OK ? "ok" : f->err.text;
}

TEST(apply, validation_refuses_what_would_fail_and_changes_nothing)
{
    struct fixture f = fixture_open(false);
    struct hash128 before = state_hash(&f);
    struct buf body = {0};
    make_write_request(&body, "m", "a", "1 1 - - -");
    EXPECT_STR(validate(&f, COMMAND_WRITE, buf_bytes(&body)), "ok");
    buf_reset(&body);
    make_write_request(&body, "x", "a", "1 1 - - -");
    EXPECT_STR(validate(&f, COMMAND_WRITE, buf_bytes(&body)), "no table \"x\" in database \"d\"");
    buf_reset(&body);
    make_table_request(&body, "d", "m");
    EXPECT_STR(validate(&f, COMMAND_CREATE_TABLE, buf_bytes(&body)),
               "table \"m\" exists in database \"d\"");
    buf_reset(&body);
    make_table_request(&body, "d", "new");
    EXPECT_STR(validate(&f, COMMAND_CREATE_TABLE, buf_bytes(&body)), "ok");
    buf_reset(&body);
    wire_put_str(&body, 1, "ts.wal.wal_level");
    wire_put_str(&body, 2, "9");
    EXPECT_STR(validate(&f, COMMAND_SET_SETTING, buf_bytes(&body)),
               "ts.wal.wal_level: \"9\" is outside 0..3");
    EXPECT_STR(validate(&f, COMMAND_CHECKPOINT, (struct bytes){0}), "ok");
    EXPECT_STR(validate(&f, COMMAND_OPEN_SESSION, (struct bytes){0}), "ok");
    EXPECT_CONTAINS(validate(&f, COMMAND_PART, buf_bytes(&body)), "can't be proposed");
    EXPECT_CONTAINS(validate(&f, COMMAND_PACKED, buf_bytes(&body)), "can't be proposed");
    EXPECT_SAME_HASH(state_hash(&f), before);
    buf_deinit(&body);
    fixture_close(&f);
}

TEST(apply, validation_refuses_what_the_log_can_not_hold)
{
    struct fixture f = fixture_open(false);
    uint8_t *large = mem_zalloc(LIMIT_MESSAGE_SIZE_MAX + 1);
    EXPECT_CONTAINS(validate(&f, COMMAND_WRITE, bytes_of(large, LIMIT_MESSAGE_SIZE_MAX + 1)),
                    "does not fit in the log");
    EXPECT_CONTAINS(validate(&f, COMMAND_CREATE_TABLE, bytes_of(large, LIMIT_ENTRY_SIZE_MAX)),
                    "does not fit in the log");
    mem_free(large);
    fixture_close(&f);
}

/* Memory is bounded before a write is proposed; what is in the log is applied
 * on every node, whatever memory it has. */
TEST(apply, validation_refuses_writes_while_memory_is_full)
{
    struct fixture f = fixture_open(false);
    EXPECT_OK(set_setting(&f, "ts.mem_segment_size.max_limit", "1MiB"));
    struct buf body = {0};
    make_write_request(&body, "m", "a", "1 1 1 true some_text\n2 2 2 true some_text");
    int64_t host = 0;
    while (tsdb_memory_size(f.db) < 1024 * 1024) {
        char tags[32];
        (void)snprintf(tags, sizeof tags, "h%d", (int)host++);
        EXPECT_STR(validate(&f, COMMAND_WRITE, buf_bytes(&body)), "ok");
        REQUIRE_OK(put(&f, tags, "1 1 1 true some_text\n2 2 2 true some_text"));
    }
    EXPECT_CONTAINS(validate(&f, COMMAND_WRITE, buf_bytes(&body)),
                    "bytes of rows wait in memory for a checkpoint, at most 1048576 are allowed");
    EXPECT_OK(put(&f, "a", "1 1 1 true some_text"));
    EXPECT_OK(freeze(&f));
    EXPECT_CONTAINS(validate(&f, COMMAND_WRITE, buf_bytes(&body)), "bytes of rows wait in memory");
    finish_checkpoint(&f);
    EXPECT_STR(validate(&f, COMMAND_WRITE, buf_bytes(&body)), "ok");
    buf_deinit(&body);
    fixture_close(&f);
}

/* --- limits of the state, the same on every node --- */

TEST(apply, the_limits_of_series_refuse_new_ones_and_take_rows_of_old_ones)
{
    struct fixture f = fixture_open(false);
    EXPECT_OK(put(&f, "a", "1 1 - - -"));
    uint64_t count = f.db->series_count;
    f.db->series_count = LIMIT_SERIES_MAX;
    EXPECT_ERR(put(&f, "b", "1 1 - - -"), ERR_FULL);
    EXPECT_STR(f.result.text, "there are 1048576 series, at most 1048576 are allowed");
    EXPECT_OK(put(&f, "a", "2 2 - - -"));
    f.db->series_count = count;
    uint64_t size = f.db->series_size;
    f.db->series_size = LIMIT_SERIES_SIZE_MAX - 3;
    EXPECT_ERR(put(&f, "b", "1 1 - - -"), ERR_FULL);
    EXPECT_CONTAINS(f.result.text, "the tags of all series take 268435453 bytes");
    EXPECT_OK(put(&f, "a", "3 3 - - -"));
    f.db->series_size = size;
    EXPECT_OK(put(&f, "b", "1 1 - - -"));
    EXPECT_UINT(f.db->series_count, count + 1);
    /* A table that goes gives its series back. */
    EXPECT_OK(drop_table(&f, "m"));
    EXPECT_UINT(f.db->series_count, 0);
    EXPECT_UINT(f.db->series_size, 0);
    fixture_close(&f);
}
