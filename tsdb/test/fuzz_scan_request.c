/* SPDX-License-Identifier: Apache-2.0 */
/* A scan request of any bytes against a tsdb with a few rows: refused, or a
 * stream of messages that ends. */
#include "tsdb/test/fixture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void apply_one(struct fixture *f, enum command_kind kind, struct bytes body)
{
    enum err_code code = apply_body(f, kind, body);
    CHECK(code == ERR_OK);
}

static void fill(struct fixture *f)
{
    static const char *const tags[] = {"a 1 true", "b 1", "c"};
    struct buf b = {0};
    wire_put_str(&b, 1, "d");
    apply_one(f, COMMAND_CREATE_DATABASE, buf_bytes(&b));
    buf_reset(&b);
    make_table_request(&b, "d", "m");
    apply_one(f, COMMAND_CREATE_TABLE, buf_bytes(&b));
    for (size_t i = 0; i < 3; i++) {
        buf_reset(&b);
        make_write_request(&b, "m", tags[i], "1 1 1 true x\n2 - - - -\n3 3 - false yz");
        apply_one(f, COMMAND_WRITE, buf_bytes(&b));
    }
    buf_deinit(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fixture f = {.disk = fake_disk_create(1), .term = 1};
    f.io = fake_disk_io(f.disk);
    enum err_code code = open_at(&f, 0);
    CHECK(code == ERR_OK);
    fill(&f);
    struct tsdb_view *v = tsdb_view_pin(f.db);
    struct tsdb_scan *s = NULL;
    struct buf answer = {0};
    bool done = false;
    if (tsdb_scan_open(v, bytes_of(data, size), &s, &f.err) == ERR_OK) {
        for (unsigned messages = 0; !done; messages++) {
            CHECK(messages < 20);
            code = tsdb_scan_next(s, 60, &answer, &done, &f.err);
            CHECK(code == ERR_OK);
        }
    } else {
        CHECK(f.err.text[0] != '\0');
    }
    buf_deinit(&answer);
    tsdb_scan_close(s);
    tsdb_view_unpin(v);
    tsdb_close(f.db);
    tsdb_results_deinit(&f.results);
    fake_disk_destroy(f.disk);
    return 0;
}
