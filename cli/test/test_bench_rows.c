/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/mem.h"
#include "cli/bench_rows.h"
#include "proto/tidemark/v1/admin.pb-c.h"
#include "testkit/test.h"

static struct bench_rows rows = {
    .database = "bench", .table = "load", .rows = 7, .columns = 2, .series = 3, .start_ms = 1000};

static Tidemark__V1__WriteRequest *encode(uint64_t first)
{
    struct buf b = {0};
    bench_rows_encode(&rows, first, &b);
    Tidemark__V1__WriteRequest *w = tidemark__v1__write_request__unpack(NULL, b.size, b.data);
    REQUIRE(w != NULL);
    buf_deinit(&b);
    return w;
}

TEST(bench_rows, a_request_has_a_value_for_every_row_and_column)
{
    Tidemark__V1__WriteRequest *w = encode(4);
    EXPECT_STR(w->database, "bench");
    EXPECT_STR(w->table, "load");
    REQUIRE_UINT(w->n_series, 3);
    REQUIRE_UINT(w->n_series_of_row, 7);
    REQUIRE_UINT(w->n_columns, 3);
    REQUIRE_UINT(w->columns[0]->n_int64_values, 7);
    REQUIRE_UINT(w->columns[1]->n_double_values, 7);
    REQUIRE_UINT(w->columns[2]->n_double_values, 7);
    for (size_t i = 0; i < 7; i++) {
        ProtobufCBinaryData series = w->series[w->series_of_row[i]]->values[0];
        EXPECT_UINT(series.data[1], '0' + (4 + i) % 3);
        EXPECT_INT(w->columns[0]->int64_values[i], 1000 + (int64_t)(4 + i) / 3);
        EXPECT(w->columns[1]->double_values[i] >= 0);
        EXPECT(w->columns[1]->double_values[i] < 1000);
    }
    tidemark__v1__write_request__free_unpacked(w, NULL);
}

TEST(bench_rows, requests_do_not_repeat_rows)
{
    enum { SERIES = 3, TIMES = 100 };
    bool seen[SERIES][TIMES] = {{false}};
    for (uint64_t first = 0; first < 140; first += 7) {
        Tidemark__V1__WriteRequest *w = encode(first);
        for (size_t i = 0; i < 7; i++) {
            unsigned series = w->series[w->series_of_row[i]]->values[0].data[1] - (unsigned)'0';
            int64_t time = w->columns[0]->int64_values[i] - 1000;
            REQUIRE(series < SERIES);
            REQUIRE(time < TIMES);
            EXPECT(!seen[series][time]);
            seen[series][time] = true;
        }
        tidemark__v1__write_request__free_unpacked(w, NULL);
    }
}

TEST(bench_rows, a_single_series_needs_no_index)
{
    rows.series = 1;
    Tidemark__V1__WriteRequest *w = encode(0);
    EXPECT_UINT(w->n_series, 1);
    EXPECT_UINT(w->n_series_of_row, 0);
    tidemark__v1__write_request__free_unpacked(w, NULL);
    rows.series = 3;
}

TEST(bench_rows, the_table_fits_the_requests)
{
    struct buf b = {0};
    bench_rows_table(&rows, &b);
    Tidemark__V1__CreateTableRequest *r =
        tidemark__v1__create_table_request__unpack(NULL, b.size, b.data);
    REQUIRE(r != NULL);
    EXPECT(!r->if_not_exists);
    REQUIRE(r->definition != NULL);
    EXPECT_STR(r->definition->table, "load");
    REQUIRE_UINT(r->definition->n_columns, 3);
    EXPECT_STR(r->definition->columns[2]->name, "v1");
    REQUIRE_UINT(r->definition->n_tags, 1);
    EXPECT(r->definition->tags[0]->primary);
    tidemark__v1__create_table_request__free_unpacked(r, NULL);
    buf_deinit(&b);
}
