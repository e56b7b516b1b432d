/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as values of any encoding: refused, or values that can be encoded and
 * decoded again to the same.
 *
 *   input:  encoding u8 | kind u8 | n u8 | data */
#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "tsdb/encoding.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_words(const uint64_t *words, size_t n, enum encoding_kind kind)
{
    static uint64_t again[LIMIT_BLOCK_ROWS_MAX];
    struct buf b = {0};
    enum encoding encoding = encoding_put_words(&b, words, n, kind);
    bool good = encoding_get_words((uint8_t)encoding, buf_bytes(&b), again, n);
    CHECK(good);
    CHECK(memcmp(again, words, n * sizeof *words) == 0);
    buf_deinit(&b);
}

static void check_strings(const struct bytes *strings, size_t n)
{
    static struct bytes again[LIMIT_BLOCK_ROWS_MAX];
    struct buf b = {0};
    enum encoding encoding = encoding_put_strings(&b, strings, n);
    bool good = encoding_get_strings((uint8_t)encoding, buf_bytes(&b), again, n);
    CHECK(good);
    for (size_t i = 0; i < n; i++) {
        CHECK(bytes_equal(again[i], strings[i]));
    }
    buf_deinit(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint64_t words[LIMIT_BLOCK_ROWS_MAX];
    static struct bytes strings[LIMIT_BLOCK_ROWS_MAX];
    struct cursor c = cursor_of(bytes_of(data, size));
    uint8_t encoding = cursor_u8(&c);
    enum encoding_kind kind = (enum encoding_kind)(cursor_u8(&c) % 3);
    size_t n = 1 + (size_t)cursor_u8(&c) * 16;
    if (c.bad) {
        return 0;
    }
    n = n < LIMIT_BLOCK_ROWS_MAX ? n : LIMIT_BLOCK_ROWS_MAX;
    struct bytes rest = bytes_of(c.data, c.size);
    if (encoding_get_words(encoding, rest, words, n)) {
        for (size_t i = 0; i < n && kind == ENCODING_OF_FLOATS; i++) {
            words[i] &= UINT32_MAX;
        }
        check_words(words, n, kind);
    }
    if (encoding_get_strings(encoding, rest, strings, n)) {
        check_strings(strings, n);
    }
    /* The same bytes as values. */
    n = rest.size / 8 < LIMIT_BLOCK_ROWS_MAX ? rest.size / 8 : LIMIT_BLOCK_ROWS_MAX;
    for (size_t i = 0; i < n; i++) {
        words[i] = bytes_get_u64(rest.data + i * 8);
        words[i] = kind == ENCODING_OF_FLOATS ? words[i] & UINT32_MAX : words[i];
        strings[i] = bytes_of(rest.data + i * 8, words[i] % 8);
    }
    if (n > 0) {
        check_words(words, n, kind);
        check_strings(strings, n);
    }
    return 0;
}
