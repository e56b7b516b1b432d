/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log_json.h"

#include <stdio.h>
#include <string.h>

#include "base/random.h"
#include "testkit/test.h"

static const char time_text[] = "2026-01-31T12:00:00.123456Z";

static const char *write_pairs(const char *pairs)
{
    static char text[LOG_LINE_SIZE_MAX + 1];
    struct log_json line = {
        .time = time_text, .level = "info", .node = "n1", .room = "a", .verb = "b", .pairs = pairs};
    log_json_write(&line, text);
    return text;
}

/* What stands behind the verb. */
static void expect_members(const char *pairs, const char *want)
{
    char whole[LOG_LINE_SIZE_MAX + 1];
    (void)snprintf(
        whole, sizeof whole,
        "{\"time\":\"%s\",\"level\":\"info\",\"node\":\"n1\",\"room\":\"a\",\"verb\":\"b\""
        "%s}\n",
        time_text, want);
    EXPECT_STR(write_pairs(pairs), whole);
}

/* --- a flat object, read by the letter --- */

static const char *skip_string(const char *at)
{
    if (*at != '"') {
        return NULL;
    }
    for (at++; *at != '"'; at++) {
        if (*at == '\\') {
            at++;
            if (*at == 'u' && strspn(at + 1, "0123456789abcdef") >= 4) {
                at += 4;
            } else if (*at != '"' && *at != '\\') {
                return NULL;
            }
        } else if ((unsigned char)*at < 0x20) {
            return NULL;
        }
    }
    return at + 1;
}

static const char *skip_value(const char *at)
{
    size_t digits = strspn(at, "0123456789");
    if (digits > 0) {
        return digits == 1 || *at != '0' ? at + digits : NULL;
    }
    return strncmp(at, "true", 4) == 0 ? at + 4 : skip_string(at);
}

static bool is_object(const char *at)
{
    char before = *at++ == '{' ? ',' : '\0';
    while (before == ',') {
        at = skip_string(at);
        if (at == NULL || *at != ':') {
            return false;
        }
        at = skip_value(at + 1);
        if (at == NULL) {
            return false;
        }
        before = *at++;
    }
    return before == '}' && strcmp(at, "\n") == 0;
}

/* --- tests --- */

TEST(log_json, pairs_are_members)
{
    expect_members("", "");
    expect_members("index=7 term=0", ",\"index\":7,\"term\":0");
    expect_members("name=n2 reason=\"no space left\" code=1",
                   ",\"name\":\"n2\",\"reason\":\"no space left\",\"code\":1");
    expect_members("text=\"\"", ",\"text\":\"\"");
    expect_members("a= b=x", ",\"a\":\"\",\"b\":\"x\"");
    struct log_json line = {.time = "t", .level = "error", .node = "", .room = "a", .verb = "b"};
    char text[LOG_LINE_SIZE_MAX + 1];
    line.pairs = "";
    log_json_write(&line, text);
    EXPECT_STR(text, "{\"time\":\"t\",\"level\":\"error\",\"room\":\"a\",\"verb\":\"b\"}\n");
}

/* Else a reader would take another number for an id, or refuse the line. */
TEST(log_json, only_numbers_that_every_reader_keeps_are_numbers)
{
    expect_members("a=999999999999999", ",\"a\":999999999999999");
    expect_members("a=1000000000000000", ",\"a\":\"1000000000000000\"");
    expect_members("a=007", ",\"a\":\"007\"");
    expect_members("a=-1", ",\"a\":\"-1\"");
    expect_members("a=1.5", ",\"a\":\"1.5\"");
    expect_members("a=\"1\"", ",\"a\":\"1\"");
}

TEST(log_json, a_value_goes_on_until_the_next_pair)
{
    expect_members("reason=not now n=1", ",\"reason\":\"not now\",\"n\":1");
    expect_members("text=\"say \"hello\" to n2\" n=1",
                   ",\"text\":\"say \\\"hello\\\" to n2\",\"n\":1");
    expect_members("text=\"the end is cut", ",\"text\":\"the end is cut\"");
    expect_members("words alone n=1", ",\"text\":\"words alone\",\"n\":1");
}

TEST(log_json, content_is_escaped)
{
    expect_members("text=\"a\nb\x1b c\\d\x7f\"", ",\"text\":\"a\\u000ab\\u001b c\\\\d\\u007f\"");
    expect_members("text=\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80",
                   ",\"text\":\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"");
    /* cut, overlong, surrogate, beyond all planes, alone */
    expect_members("text=\xc3 \xc0\x80 \xed\xa0\x80 \xf4\x90\x80\x80 \x80",
                   ",\"text\":\"? ?? ??? ???? ?\"");
}

TEST(log_json, a_line_too_long_is_cut_says_so_and_stays_an_object)
{
    char pairs[LOG_LINE_SIZE_MAX + 20];
    static const char mark[] = ",\"cut\":true}\n";
    bool cut = false;
    for (size_t size = LOG_LINE_SIZE_MAX - 200; size < sizeof pairs - 10; size++) {
        (void)snprintf(pairs, sizeof pairs, "text=");
        memset(pairs + 5, size % 2 == 0 ? '"' : 'x', size - 5);
        (void)snprintf(pairs + size, sizeof pairs - size, " n=12345");
        const char *text = write_pairs(pairs);
        EXPECT(strlen(text) <= LOG_LINE_SIZE_MAX);
        EXPECT(is_object(text));
        cut = strcmp(text + strlen(text) - strlen(mark), mark) == 0;
        EXPECT(cut || strstr(text, "\"n\":12345}") != NULL);
    }
    EXPECT(cut);
    struct log_json line = {
        .time = "t", .level = "info", .node = "", .room = "a", .verb = "b", .pairs = "n=1"};
    char text[LOG_LINE_SIZE_MAX + 1];
    line.cut = true;
    log_json_write(&line, text);
    EXPECT_STR(text, "{\"time\":\"t\",\"level\":\"info\",\"room\":\"a\",\"verb\":\"b\",\"n\":1,"
                     "\"cut\":true}\n");
}

TEST(log_json, noise_stays_an_object)
{
    enum { ROUNDS = 20000 };
    static const char letters[] = "ab=\" \\\n\x80\xc3\xa9\xed\xff{}:,01";
    struct random random = random_seeded(1);
    EXPECT(!is_object("{\"a\":01}\n") && !is_object("{\"a\":\"\n\"}\n") && !is_object("{}x\n"));
    for (unsigned i = 0; i < ROUNDS; i++) {
        char pairs[64];
        size_t size = random_below(&random, sizeof pairs);
        for (size_t k = 0; k < size; k++) {
            pairs[k] = letters[random_below(&random, sizeof letters - 1)];
        }
        pairs[size] = '\0';
        test_context("round %u", i);
        EXPECT(is_object(write_pairs(pairs)));
    }
}
