/* SPDX-License-Identifier: Apache-2.0 */
/* A manifest of any bytes, size and checksum made right: refused, or a state
 * that can be encoded again. */
#include "base/check.h"
#include "base/crc32c.h"
#include "tsdb/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was decoded gives a manifest that decodes. */
static void check_again(const struct manifest *m)
{
    struct buf b = {0};
    struct manifest again;
    manifest_begin(&b, m->index, m->term, m->part_count);
    for (size_t i = 0; i < m->part_count; i++) {
        manifest_put_part(&b, &m->parts[i]);
    }
    manifest_put_catalog(&b, m->catalog, m->settings);
    manifest_put_members(&b, &m->nodes, buf_bytes(&m->configuration), m->configuration_index);
    manifest_put_sessions(&b, m->sessions, m->series_id_next);
    manifest_put_series(&b, m->catalog, m->index);
    manifest_end(&b);
    enum err_code code = manifest_decode(buf_bytes(&b), &again, NULL);
    CHECK(code == ERR_OK);
    CHECK(again.index == m->index);
    CHECK(again.part_count == m->part_count);
    manifest_deinit(&again);
    buf_deinit(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf b = {0};
    struct manifest m;
    struct err e = {0};
    buf_put(&b, data, size);
    if (size >= 20) {
        bytes_put_u64(b.data + 8, size);
        uint32_t crc = crc32c(0, b.data, 16);
        bytes_put_u32(b.data + 16, crc32c(crc, b.data + 20, size - 20));
    }
    if (manifest_decode(buf_bytes(&b), &m, &e) == ERR_OK) {
        check_again(&m);
    } else {
        CHECK(e.text[0] != '\0');
    }
    manifest_deinit(&m);
    buf_deinit(&b);
    return 0;
}
