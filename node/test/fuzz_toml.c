/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a configuration file: an error with a place, or entries that
 * can all be read. */
#include "base/check.h"
#include "node/toml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t read_entry(const struct toml_entry *entry)
{
    size_t sum = strlen(entry->key);
    if (entry->type == TOML_STRING) {
        sum += strlen(entry->string);
    }
    for (size_t i = 0; i < entry->item_count; i++) {
        sum += strlen(entry->items[i]);
    }
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct toml *t = NULL;
    struct err e = {0};
    if (toml_parse(bytes_of(data, size), &t, &e) != ERR_OK) {
        CHECK(e.code == ERR_INVALID);
        CHECK(strncmp(e.text, "line ", 5) == 0);
        return 0;
    }
    size_t count = 0;
    const struct toml_entry *entries = toml_entries(t, &count);
    size_t sum = 0;
    for (size_t i = 0; i < count; i++) {
        sum += read_entry(&entries[i]);
    }
    CHECK(sum <= size * TOML_KEY_SIZE_MAX);
    toml_close(t);
    return 0;
}
