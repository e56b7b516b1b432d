/* SPDX-License-Identifier: Apache-2.0 */
/* A write request of any bytes against the table d.m of fixture.h: refused, or
 * rows that a memory table takes and a merge gives back. */
#include "tsdb/memory_source.h"
#include "tsdb/test/fixture.h"
#include "tsdb/write_batch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct catalog *make_catalog(void)
{
    struct catalog *empty = catalog_new();
    struct catalog *database = NULL;
    struct catalog *table = NULL;
    struct buf b = {0};
    wire_put_str(&b, 1, "d");
    enum err_code code = catalog_create_database(empty, buf_bytes(&b), &database, NULL);
    CHECK(code == ERR_OK);
    buf_reset(&b);
    make_table_request(&b, "d", "m");
    code = catalog_create_table(database, buf_bytes(&b), 2, &table, NULL);
    CHECK(code == ERR_OK);
    catalog_unref(empty);
    catalog_unref(database);
    buf_deinit(&b);
    return table;
}

/* All rows of one series that the batch has. */
static void store(const struct write_batch *w)
{
    static const uint32_t places[] = {1, 2, 3, 4};
    struct memtable *m = memtable_new(1);
    struct series *s = series_set_add(w->table->series, 1, 3, w->series[0].key, w->series[0].tags);
    memtable_append(m, s, 3, w, 0, w->row_count);
    struct memory_source source;
    struct rows rows;
    rows_init(&rows, w->table, places, 4);
    memory_source_init(&source, memtable_find(m, s), 3, INT64_MIN, INT64_MAX);
    size_t total = 0;
    do {
        memory_source_next(&source, &rows, 100);
        for (size_t i = 1; i < rows.count; i++) {
            CHECK(rows.times[i] > rows.times[i - 1]);
        }
        total += rows.count;
    } while (rows.count > 0);
    CHECK(total > 0);
    CHECK(total <= w->row_count);
    memory_source_deinit(&source);
    rows_deinit(&rows);
    memtable_close(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct catalog *catalog = make_catalog();
    struct write_batch w = {0};
    struct err e = {0};
    enum err_code code = write_batch_read(&w, catalog, bytes_of(data, size), &e);
    if (code == ERR_OK) {
        CHECK(w.row_count > 0);
        store(&w);
    } else {
        CHECK(e.text[0] != '\0');
    }
    write_batch_deinit(&w);
    catalog_unref(catalog);
    return 0;
}
