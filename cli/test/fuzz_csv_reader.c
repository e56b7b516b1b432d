/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a CSV file, cut into pieces: records within the limits, bad ones
 * with a reason, line numbers that rise, an end. The first byte says how large the pieces are. */
#include "base/check.h"
#include "cli/csv_reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_record(const struct csv_record *record)
{
    CHECK(record->count > 0);
    CHECK(record->count <= CSV_FIELDS_MAX);
    size_t sum = 0;
    for (size_t i = 0; i < record->count; i++) {
        struct bytes text = record->fields[i].text;
        CHECK(text.size == 0 || memchr(text.data, '\0', text.size) == NULL);
        sum += text.size;
    }
    CHECK(sum <= CSV_RECORD_SIZE_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t piece = size == 0 ? 1 : (size_t)data[0] % 61 + 1;
    size_t at = size == 0 ? 0 : 1;
    struct csv_reader *r = csv_reader_open(',');
    uint64_t line = 0;
    for (size_t steps = 0;; steps++) {
        struct csv_record record;
        struct err e = {0};
        enum csv_result result = csv_reader_next(r, &record, &e);
        CHECK(steps <= 4 * size + 8);
        if (result == CSV_END) {
            break;
        }
        if (result == CSV_MORE) {
            size_t next = size - at < piece ? size - at : piece;
            if (next == 0) {
                csv_reader_end(r);
            } else {
                csv_reader_feed(r, bytes_of(data + at, next));
            }
            at += next;
            continue;
        }
        CHECK(record.line > line);
        line = record.line;
        if (result == CSV_RECORD) {
            check_record(&record);
        } else {
            CHECK(e.code == ERR_INVALID);
            CHECK(e.text[0] != '\0');
        }
    }
    csv_reader_close(r);
    return 0;
}
