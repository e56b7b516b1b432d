/* SPDX-License-Identifier: Apache-2.0 */
#include "tsdb/settings.h"

#include "testkit/test.h"

static size_t find(const char *name)
{
    size_t i = 0;
    struct err e;
    EXPECT_OK(settings_find(bytes_str(name), &i, &e));
    return i;
}

static const char *parse(const char *name, const char *text, struct err *e)
{
    static char canonical[SETTING_VALUE_SIZE];
    int64_t number = 0;
    e->text[0] = '\0';
    enum err_code code =
        settings_parse(settings_at(find(name)), bytes_str(text), canonical, &number, e);
    return code == ERR_OK ? canonical : err_name(code);
}

static const char *change(struct settings **s, const char *name, const char *text, struct err *e)
{
    struct settings *changed = NULL;
    struct bytes value = bytes_str(text == NULL ? "" : text);
    enum err_code code =
        settings_change(*s, bytes_str(name), text == NULL ? NULL : &value, 77, &changed, e);
    if (code == ERR_OK) {
        settings_unref(*s);
        *s = changed;
    }
    return err_name(code);
}

TEST(settings, the_table_is_sorted_and_complete)
{
    for (size_t i = 0; i < settings_count(); i++) {
        const struct setting *s = settings_at(i);
        EXPECT(i == 0 || strcmp(settings_at(i - 1)->name, s->name) < 0);
        EXPECT(strlen(s->description) > 20);
        EXPECT_STR(s->scope, "cluster");
        EXPECT(s->unit != NULL);
        EXPECT(strlen(settings_type_name(s->type)) > 2);
    }
    EXPECT(settings_count() >= 11);
}

TEST(settings, every_default_is_canonical_and_in_range)
{
    for (size_t i = 0; i < settings_count(); i++) {
        const struct setting *s = settings_at(i);
        struct err e;
        EXPECT_STR(parse(s->name, s->initial, &e), s->initial);
        if (s->type == SETTING_INT || s->type == SETTING_DURATION || s->type == SETTING_BYTES) {
            EXPECT(s->min <= s->max);
        }
    }
}

TEST(settings, values_become_canonical)
{
    static const char *const cases[][3] = {
        {"ts.wal.wal_level", " 3 ", "3"},
        {"ts.wal.wal_level", "003", "3"},
        {"ts.wal.checkpoint_interval", "60000ms", "1m"},
        {"ts.wal.checkpoint_interval", "1m30s", "90s"},
        {"ts.wal.checkpoint_interval", "1500MS", "1500ms"},
        {"ts.wal.checkpoint_interval", "24h", "1d"},
        {"checkpoint_completion_target", "0.50", "0.5"},
        {"checkpoint_completion_target", "0", "0"},
        {"checkpoint_completion_target", "1.000", "1"},
        {"checkpoint_completion_target", "0.125", "0.125"},
        {"checkpoint_completion_target", "0.07", "0.07"},
        {"max_wal_size", "1073741824", "1GiB"},
        {"max_wal_size", "65536kib", "64MiB"},
        {"max_wal_size", "100000001B", "100000001"},
        {"max_wal_size", "1GiB1B", "1073741825"},
        {"node.replace", "MANUAL", "manual"},
        {"ts.wal.recovery_mode", "Absolute_Consistency", "absolute_consistency"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct err e;
        EXPECT_STR(parse(cases[i][0], cases[i][1], &e), cases[i][2]);
    }
}

TEST(settings, bad_values_are_refused_with_the_range)
{
    struct err e;
    EXPECT_STR(parse("ts.wal.wal_level", "4", &e), "RANGE");
    EXPECT_STR(e.text, "ts.wal.wal_level: \"4\" is outside 0..3");
    EXPECT_STR(parse("ts.wal.wal_level", "-1", &e), "RANGE");
    EXPECT_STR(parse("ts.wal.wal_level", "high", &e), "INVALID");
    EXPECT_STR(e.text, "ts.wal.wal_level: \"high\" is not a whole number (0..3)");
    EXPECT_STR(parse("ts.wal.wal_level", "", &e), "INVALID");
    EXPECT_STR(parse("ts.wal.wal_level", "3 4", &e), "INVALID");
    EXPECT_STR(parse("ts.wal.wal_level", "99999999999999999999", &e), "INVALID");
    EXPECT_STR(parse("ts.wal.checkpoint_interval", "0s", &e), "RANGE");
    EXPECT_STR(e.text, "ts.wal.checkpoint_interval: \"0s\" is outside 1ms..365d");
    EXPECT_STR(parse("ts.wal.checkpoint_interval", "60", &e), "INVALID");
    EXPECT_CONTAINS(e.text, "is not a time such as 500ms");
    EXPECT_STR(parse("ts.wal.checkpoint_interval", "5 minutes", &e), "INVALID");
    EXPECT_STR(parse("ts.wal.checkpoint_interval", "9223372036854775807d", &e), "INVALID");
    EXPECT_STR(parse("max_wal_size", "64MB", &e), "INVALID");
    EXPECT_CONTAINS(e.text, "is not a size such as");
    EXPECT_STR(parse("node.replace", "maybe", &e), "INVALID");
    EXPECT_STR(e.text, "node.replace: \"maybe\" is not one of the choices (auto | manual)");
    EXPECT_STR(parse("ts.dedup.rule", "merge", &e), "INVALID");
}

TEST(settings, an_unknown_name_is_answered_with_what_may_have_been_meant)
{
    size_t i = 0;
    struct err e;
    EXPECT_ERR(settings_find(bytes_str("ts.wal.wal_levle"), &i, &e), ERR_NOT_FOUND);
    EXPECT_STR(e.text, "no setting \"ts.wal.wal_levle\"; did you mean \"ts.wal.wal_level\"?");
    EXPECT_ERR(settings_find(bytes_str("wal_level"), &i, &e), ERR_NOT_FOUND);
    EXPECT_CONTAINS(e.text, "did you mean \"ts.wal.wal_level\"?");
    EXPECT_ERR(settings_find(bytes_str("nothing.like.it"), &i, &e), ERR_NOT_FOUND);
    EXPECT_STR(e.text, "no setting \"nothing.like.it\"; list them to see all");
    EXPECT_ERR(settings_find(bytes_str(""), &i, &e), ERR_NOT_FOUND);
    char name[1000];
    memset(name, 'x', sizeof name);
    EXPECT_ERR(settings_find(bytes_of(name, sizeof name), &i, &e), ERR_NOT_FOUND);
    EXPECT(strlen(e.text) < 200);
}

TEST(settings, a_change_makes_new_values_and_leaves_the_old)
{
    struct settings *s = settings_new();
    struct settings *old = settings_ref(s);
    struct err e;
    size_t level = find("ts.wal.wal_level");
    EXPECT_STR(change(&s, "ts.wal.wal_level", "3", &e), "OK");
    EXPECT_STR(settings_text(s, level), "3");
    EXPECT_INT(settings_number(s, level), 3);
    EXPECT_UINT(settings_changed(s, level), 77);
    EXPECT_STR(settings_text(old, level), "2");
    EXPECT_UINT(settings_changed(old, level), 0);
    EXPECT_STR(change(&s, "ts.wal.wal_level", NULL, &e), "OK");
    EXPECT_STR(settings_text(s, level), "2");
    EXPECT_UINT(settings_changed(s, level), 77);
    settings_unref(old);
    settings_unref(s);
}

TEST(settings, relations_between_settings_hold_whichever_is_changed)
{
    struct settings *s = settings_new();
    struct err e;
    EXPECT_STR(change(&s, "raft.heartbeat_interval", "200ms", &e), "RANGE");
    EXPECT_STR(e.text, "raft.election_timeout (500ms) must be at least three times "
                       "raft.heartbeat_interval (200ms)");
    EXPECT_STR(change(&s, "raft.election_timeout", "299ms", &e), "RANGE");
    EXPECT_STR(change(&s, "raft.election_timeout", "300ms", &e), "OK");
    EXPECT_STR(change(&s, "raft.election_timeout", "600ms", &e), "OK");
    EXPECT_STR(change(&s, "raft.heartbeat_interval", "200ms", &e), "OK");
    EXPECT_STR(change(&s, "raft.election_timeout", NULL, &e), "RANGE");
    EXPECT_STR(change(&s, "min_wal_size", "2GiB", &e), "RANGE");
    EXPECT_CONTAINS(e.text, "min_wal_size must be at most max_wal_size");
    EXPECT_STR(change(&s, "max_wal_size", "64MiB", &e), "RANGE");
    settings_unref(s);
}

TEST(settings, values_survive_encoding)
{
    struct settings *s = settings_new();
    struct err e;
    EXPECT_STR(change(&s, "ts.wal.wal_level", "3", &e), "OK");
    EXPECT_STR(change(&s, "node.replace", "manual", &e), "OK");
    EXPECT_STR(change(&s, "ts.scan.batch_size", NULL, &e), "OK");
    struct buf b = {0};
    settings_encode(s, &b);
    struct cursor c = cursor_of(buf_bytes(&b));
    struct settings *decoded = NULL;
    REQUIRE_OK(settings_decode(&c, &decoded, &e));
    EXPECT(cursor_done(&c));
    for (size_t i = 0; i < settings_count(); i++) {
        EXPECT_STR(settings_text(decoded, i), settings_text(s, i));
        EXPECT_INT(settings_number(decoded, i), settings_number(s, i));
        EXPECT_UINT(settings_changed(decoded, i), settings_changed(s, i));
    }
    EXPECT_INT(settings_value(decoded, "node.replace"), 1);
    settings_unref(decoded);
    for (size_t size = 0; size < b.size; size++) {
        c = cursor_of(bytes_of(b.data, size));
        EXPECT_ERR(settings_decode(&c, &decoded, &e), ERR_CORRUPT);
    }
    settings_unref(s);
    buf_deinit(&b);
}

TEST(settings, what_a_newer_program_wrote_is_refused_not_forgotten)
{
    struct buf b = {0};
    buf_put_varint(&b, 1);
    buf_put_str(&b, "a.later.setting");
    buf_put_str(&b, "on");
    buf_put_varint(&b, 5);
    struct cursor c = cursor_of(buf_bytes(&b));
    struct settings *s = NULL;
    struct err e;
    EXPECT_ERR(settings_decode(&c, &s, &e), ERR_UNSUPPORTED);
    EXPECT_CONTAINS(e.text, "a newer program wrote this: no setting \"a.later.setting\"");
    buf_deinit(&b);
}
