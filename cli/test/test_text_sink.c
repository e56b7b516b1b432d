/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "cli/text_sink.h"
#include "testkit/test.h"

TEST(text_sink, gathers_when_it_has_no_file)
{
    struct text_sink s;
    text_sink_init(&s, NULL);
    EXPECT_STR(text_sink_text(&s), "");
    text_sink_str(&s, "a");
    text_sink_char(&s, 'b');
    text_sink_printf(&s, "%d-%s", 7, "c");
    text_sink_put(&s, (struct bytes){0});
    EXPECT_STR(text_sink_text(&s), "ab7-c");
    EXPECT(text_sink_flush(&s));
    EXPECT_STR(text_sink_text(&s), "ab7-c");
    text_sink_deinit(&s);
}

TEST(text_sink, writes_large_output_as_it_comes)
{
    FILE *file = tmpfile();
    REQUIRE(file != NULL);
    struct text_sink s;
    text_sink_init(&s, file);
    for (unsigned i = 0; i < 50000; i++) {
        text_sink_printf(&s, "%09u\n", i);
        REQUIRE(s.text.size < TEXT_SINK_FLUSH_SIZE);
    }
    EXPECT(text_sink_flush(&s));
    EXPECT_INT(ftell(file), 500000);
    REQUIRE_INT(fseek(file, 0, SEEK_SET), 0);
    char line[16];
    unsigned bad = 0;
    for (unsigned i = 0; i < 50000 && fgets(line, sizeof line, file) != NULL; i++) {
        char want[16];
        (void)snprintf(want, sizeof want, "%09u\n", i);
        bad += strcmp(line, want) != 0;
    }
    EXPECT_UINT(bad, 0);
    text_sink_deinit(&s);
    (void)fclose(file);
}

TEST(text_sink, remembers_a_failed_write)
{
    FILE *file = fopen("/dev/full", "w");
    REQUIRE(file != NULL);
    struct text_sink s;
    text_sink_init(&s, file);
    text_sink_str(&s, "lost");
    EXPECT(!text_sink_flush(&s));
    EXPECT(s.failed);
    for (unsigned i = 0; i < 100000; i++) {
        text_sink_str(&s, "more");
        REQUIRE(s.text.size < TEXT_SINK_FLUSH_SIZE);
    }
    EXPECT(!text_sink_flush(&s));
    text_sink_deinit(&s);
    (void)fclose(file);
}
