/* SPDX-License-Identifier: Apache-2.0 */
#include "testkit/test.h"
#include "tsdb/settings.h"
#include "tsdb/test/fixture.h"

static Tidemark__V1__ListSettingsResponse *list(struct fixture *f, const char *pattern,
                                                bool changed_only)
{
    struct buf request = {0};
    struct buf answer = {0};
    wire_put_str(&request, 1, pattern);
    wire_put_uint(&request, 2, changed_only ? 1 : 0);
    EXPECT_OK(tsdb_ask(f->db, TSDB_LIST_SETTINGS, buf_bytes(&request), &answer, &f->err));
    Tidemark__V1__ListSettingsResponse *r =
        tidemark__v1__list_settings_response__unpack(NULL, answer.size, answer.data);
    REQUIRE(r != NULL);
    buf_deinit(&request);
    buf_deinit(&answer);
    return r;
}

TEST(ask, all_settings_are_listed_with_what_is_known_of_them)
{
    struct fixture f = fixture_open(true);
    EXPECT_OK(set_setting(&f, "ts.wal.checkpoint_interval", "90s"));
    Tidemark__V1__ListSettingsResponse *r = list(&f, "", false);
    REQUIRE_UINT(r->n_settings, settings_count());
    for (size_t i = 0; i < r->n_settings; i++) {
        const Tidemark__V1__Setting *s = r->settings[i];
        EXPECT_STR(s->name, settings_at(i)->name);
        EXPECT_STR(s->default_value, settings_at(i)->initial);
        EXPECT(strlen(s->description) > 20);
        EXPECT(strlen(s->range) > 0);
        EXPECT_STR(s->scope, "cluster");
        bool changed = strcmp(s->name, "ts.wal.checkpoint_interval") == 0;
        EXPECT_STR(s->value, changed ? "90s" : s->default_value);
        EXPECT_UINT(s->changed_index, changed ? f.index : 0);
        EXPECT(s->restart == settings_at(i)->restart);
    }
    tidemark__v1__list_settings_response__free_unpacked(r, NULL);
    fixture_close(&f);
}

TEST(ask, settings_are_listed_by_start_of_name_and_by_change)
{
    struct fixture f = fixture_open(true);
    EXPECT_OK(set_setting(&f, "ts.wal.wal_level", "3"));
    EXPECT_OK(set_setting(&f, "node.replace", "manual"));
    EXPECT_OK(set_setting(&f, "node.replace", NULL));
    Tidemark__V1__ListSettingsResponse *r = list(&f, "ts.wal.", false);
    EXPECT_UINT(r->n_settings, 3);
    tidemark__v1__list_settings_response__free_unpacked(r, NULL);
    r = list(&f, "", true);
    REQUIRE_UINT(r->n_settings, 1);
    EXPECT_STR(r->settings[0]->name, "ts.wal.wal_level");
    EXPECT_STR(r->settings[0]->value, "3");
    tidemark__v1__list_settings_response__free_unpacked(r, NULL);
    r = list(&f, "nothing", false);
    EXPECT_UINT(r->n_settings, 0);
    tidemark__v1__list_settings_response__free_unpacked(r, NULL);
    fixture_close(&f);
}

TEST(ask, one_setting_is_got_by_name)
{
    struct fixture f = fixture_open(true);
    struct buf request = {0};
    struct buf answer = {0};
    wire_put_str(&request, 1, "raft.election_timeout");
    EXPECT_OK(tsdb_ask(f.db, TSDB_GET_SETTING, buf_bytes(&request), &answer, &f.err));
    Tidemark__V1__Setting *s = tidemark__v1__setting__unpack(NULL, answer.size, answer.data);
    REQUIRE(s != NULL);
    EXPECT_STR(s->value, "500ms");
    EXPECT_STR(s->type, "duration");
    EXPECT_STR(s->range, "50ms..1m");
    tidemark__v1__setting__free_unpacked(s, NULL);
    buf_reset(&request);
    buf_reset(&answer);
    wire_put_str(&request, 1, "raft.election_timout");
    EXPECT_ERR(tsdb_ask(f.db, TSDB_GET_SETTING, buf_bytes(&request), &answer, &f.err),
               ERR_NOT_FOUND);
    EXPECT_CONTAINS(f.err.text, "did you mean \"raft.election_timeout\"?");
    EXPECT_UINT(answer.size, 0);
    buf_deinit(&request);
    buf_deinit(&answer);
    fixture_close(&f);
}

TEST(ask, databases_and_tables_are_listed)
{
    struct fixture f = fixture_open(false);
    struct buf answer = {0};
    EXPECT_OK(tsdb_ask(f.db, TSDB_LIST_DATABASES, (struct bytes){0}, &answer, &f.err));
    Tidemark__V1__ListDatabasesResponse *d =
        tidemark__v1__list_databases_response__unpack(NULL, answer.size, answer.data);
    REQUIRE(d != NULL);
    EXPECT_UINT(d->n_databases, 1);
    tidemark__v1__list_databases_response__free_unpacked(d, NULL);
    buf_reset(&answer);
    EXPECT_OK(tsdb_ask(f.db, TSDB_LIST_TABLES, (struct bytes){0}, &answer, &f.err));
    Tidemark__V1__ListTablesResponse *t =
        tidemark__v1__list_tables_response__unpack(NULL, answer.size, answer.data);
    REQUIRE(t != NULL);
    REQUIRE_UINT(t->n_tables, 1);
    EXPECT_STR(t->tables[0]->table, "m");
    EXPECT(t->tables[0]->id != 0);
    tidemark__v1__list_tables_response__free_unpacked(t, NULL);
    buf_deinit(&answer);
    fixture_close(&f);
}

TEST(ask, malformed_questions_are_refused_without_an_answer)
{
    struct fixture f = fixture_open(false);
    struct buf answer = {0};
    buf_put_str(&answer, "kept");
    size_t size = answer.size;
    static const enum tsdb_question questions[] = {TSDB_LIST_SETTINGS, TSDB_GET_SETTING,
                                                   TSDB_LIST_TABLES};
    for (size_t i = 0; i < 3; i++) {
        EXPECT_ERR(tsdb_ask(f.db, questions[i], bytes_of("\xff", 1), &answer, &f.err), ERR_INVALID);
        EXPECT_UINT(answer.size, size);
    }
    buf_deinit(&answer);
    fixture_close(&f);
}
