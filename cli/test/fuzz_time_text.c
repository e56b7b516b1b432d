/* SPDX-License-Identifier: Apache-2.0 */
/* Any text as a time, in every format: refused, or a time that prints and reads
 * back as itself. Up to the first line end the input is a pattern. */
#include "base/check.h"
#include "cli/time_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_time(const struct time_format *format, struct bytes text)
{
    static const struct time_format back = {.kind = TIME_RFC3339};
    for (unsigned precision = 3; precision <= 9; precision += 3) {
        int64_t time = 0;
        int64_t again = 0;
        struct err e = {0};
        enum err_code code = time_text_parse(format, text, precision, &time, &e);
        if (code != ERR_OK) {
            CHECK(code == ERR_INVALID || code == ERR_RANGE);
            continue;
        }
        char printed[TIME_TEXT_SIZE];
        (void)time_text_print(time, precision, printed);
        CHECK(time_text_parse(&back, bytes_str(printed), precision, &again, &e) == ERR_OK);
        CHECK(again == time);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *end = size == 0 ? NULL : memchr(data, '\n', size);
    if (end == NULL) {
        return 0;
    }
    struct bytes text = bytes_of(end + 1, size - (size_t)(end - data) - 1);
    for (enum time_kind kind = TIME_AUTO; kind < TIME_PATTERN; kind++) {
        struct time_format format = {.kind = kind};
        try_time(&format, text);
    }
    char pattern[2 * TIME_TEXT_PATTERN_SIZE];
    size_t pattern_size = (size_t)(end - data);
    if (pattern_size < sizeof pattern) {
        struct time_format format;
        struct err e = {0};
        memcpy(pattern, data, pattern_size);
        pattern[pattern_size] = '\0';
        if (time_text_format(pattern, &format, &e) == ERR_OK) {
            try_time(&format, text);
        }
    }
    return 0;
}
