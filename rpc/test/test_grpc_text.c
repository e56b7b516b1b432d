/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/grpc_text.h"

#include "testkit/test.h"

TEST(grpc_text, timeouts_are_read_in_every_unit)
{
    static const struct {
        const char *text;
        uint64_t ms;
    } good[] = {{"1H", 3600000}, {"2M", 120000}, {"3S", 3000}, {"4m", 4},
                {"1500u", 2},    {"1n", 1},      {"0m", 0},    {"99999999H", 359999996400000},
                {"1000000n", 1}};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        uint64_t ms = 0;
        EXPECT(grpc_timeout_parse(bytes_str(good[i].text), &ms));
        EXPECT_UINT(ms, good[i].ms);
    }
    static const char *const bad[] = {"",    "1",   "S",   "1x",   "123456789S",
                                      "-1S", " 1S", "1 S", "1.5S", "1SS"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        uint64_t ms = 0;
        EXPECT(!grpc_timeout_parse(bytes_str(bad[i]), &ms));
    }
}

TEST(grpc_text, timeouts_are_written_in_the_finest_unit_that_fits)
{
    static const struct {
        uint64_t ms;
        const char *text;
    } cases[] = {{0, "0m"},
                 {99999999, "99999999m"},
                 {100000000, "100000S"},
                 {UINT64_C(100000000) * 1000, "1666666M"},
                 {UINT64_C(100000000) * 60000, "1666666H"},
                 {UINT64_MAX, "99999999H"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[GRPC_TIMEOUT_TEXT_SIZE];
        grpc_timeout_format(text, cases[i].ms);
        EXPECT_STR(text, cases[i].text);
    }
}

TEST(grpc_text, statuses_are_small_numbers)
{
    enum grpc_status status = GRPC_OK;
    EXPECT(grpc_status_parse(bytes_str("14"), &status));
    EXPECT_INT(status, GRPC_UNAVAILABLE);
    EXPECT(grpc_status_parse(bytes_str("99"), &status));
    EXPECT_INT(status, GRPC_UNKNOWN);
    EXPECT(!grpc_status_parse(bytes_str(""), &status));
    EXPECT(!grpc_status_parse(bytes_str("x"), &status));
    EXPECT(!grpc_status_parse(bytes_str("-1"), &status));
    EXPECT(!grpc_status_parse(bytes_str("000000000"), &status));
}

TEST(grpc_text, messages_survive_the_way_there_and_back)
{
    static const char *const messages[] = {
        "", "plain", "100% sure", "line\nbreak\ttab", "gr\xc3\xbc\xc3\x9f", "%41"};
    for (size_t i = 0; i < sizeof messages / sizeof messages[0]; i++) {
        struct buf encoded = {0};
        grpc_message_encode(&encoded, messages[i], 1000);
        bool printable = true;
        for (size_t k = 0; k < encoded.size; k++) {
            printable = printable && encoded.data[k] >= 0x20 && encoded.data[k] <= 0x7e;
        }
        EXPECT(printable);
        char text[100];
        grpc_message_decode(buf_bytes(&encoded), text, sizeof text);
        EXPECT_STR(text, messages[i]);
        buf_deinit(&encoded);
    }
}

TEST(grpc_text, messages_are_cut_between_escapes)
{
    struct buf encoded = {0};
    grpc_message_encode(&encoded, "ab\n\n", 7);
    EXPECT_UINT(encoded.size, 5);
    EXPECT_MEM(encoded.data, "ab%0A", 5);
    buf_deinit(&encoded);

    char text[4];
    grpc_message_decode(bytes_str("abcdef"), text, sizeof text);
    EXPECT_STR(text, "abc");
}

TEST(grpc_text, bad_escapes_stand_for_themselves)
{
    static const struct {
        const char *in;
        const char *out;
    } cases[] = {{"%", "%"}, {"%4", "%4"}, {"%zz", "%zz"}, {"%41%", "A%"}, {"a%00b", "a?b"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[20];
        grpc_message_decode(bytes_str(cases[i].in), text, sizeof text);
        EXPECT_STR(text, cases[i].out);
    }
}
