/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster-tests/node_client.h"

#include <string.h>

#include "proto/tidemark/v1/data.pb-c.h"
#include "proto/wire.h"
#include "testkit/test.h"

TEST(node_client, makes_the_request_that_the_definition_describes)
{
    struct node_write w = {.session = 3,
                           .sequence = 9,
                           .sequence_open = 7,
                           .series = 12,
                           .first = 100,
                           .count = 2,
                           .value = 41};
    struct buf b = {0};
    node_write_encode(&w, &b);
    Tidemark__V1__WriteRequest *r = tidemark__v1__write_request__unpack(NULL, b.size, b.data);
    REQUIRE(r != NULL);
    EXPECT_UINT(r->id->session, 3);
    EXPECT_UINT(r->id->sequence, 9);
    EXPECT_UINT(r->id->sequence_open, 7);
    EXPECT_UINT(r->n_series, 1);
    EXPECT_UINT(r->n_columns, 4);
    EXPECT_STR(r->columns[0]->name, "ts");
    EXPECT_UINT(r->columns[0]->n_int64_values, 2);
    EXPECT_INT(r->columns[0]->int64_values[1], 101);
    EXPECT_INT(r->columns[1]->int64_values[1], 41);
    EXPECT_DOUBLE(r->columns[2]->double_values[0], 20.5);
    EXPECT_UINT(r->columns[3]->n_string_values, 2);
    EXPECT_MEM(r->columns[3]->string_values[1].data, "n41", 3);
    tidemark__v1__write_request__free_unpacked(r, NULL);
    buf_deinit(&b);
}

/* Two rows of series 4 and 5 with the values 6 and 'second'; its half is 'half',
 * its note 'note'. */
static struct buf answer(uint64_t second, double half, const char *note)
{
    static char *const names[] = {"ts", "value", "half", "note"};
    Tidemark__V1__ScanResponse r = TIDEMARK__V1__SCAN_RESPONSE__INIT;
    Tidemark__V1__SeriesTags series[2];
    Tidemark__V1__SeriesTags *series_list[2];
    ProtobufCBinaryData tags[2] = {{1, (uint8_t[]){'4'}}, {1, (uint8_t[]){'5'}}};
    uint32_t series_of_row[] = {0, 1};
    for (size_t i = 0; i < 2; i++) {
        tidemark__v1__series_tags__init(&series[i]);
        series[i].n_values = 1;
        series[i].values = &tags[i];
        series_list[i] = &series[i];
    }
    int64_t ts[] = {10, 11};
    int64_t values[] = {6, (int64_t)second};
    double halves[] = {3, half};
    ProtobufCBinaryData notes[2] = {{2, (uint8_t[]){'n', '6'}},
                                    {strlen(note), (uint8_t *)(uintptr_t)note}};
    Tidemark__V1__Column columns[4];
    Tidemark__V1__Column *column_list[4];
    for (size_t i = 0; i < 4; i++) {
        tidemark__v1__column__init(&columns[i]);
        columns[i].name = names[i];
        column_list[i] = &columns[i];
    }
    columns[0].n_int64_values = columns[1].n_int64_values = 2;
    columns[0].int64_values = ts;
    columns[1].int64_values = values;
    columns[2].n_double_values = 2;
    columns[2].double_values = halves;
    columns[3].n_string_values = 2;
    columns[3].string_values = notes;
    r.n_series = 2;
    r.series = series_list;
    r.n_series_of_row = 2;
    r.series_of_row = series_of_row;
    r.n_columns = 4;
    r.columns = column_list;
    r.rows = 2;
    struct buf b = {0};
    size_t size = tidemark__v1__scan_response__get_packed_size(&r);
    (void)tidemark__v1__scan_response__pack(&r, buf_extend(&b, size));
    return b;
}

static void on_row(void *context, unsigned series, uint64_t key, uint64_t value)
{
    buf_printf(context, "%u:%u=%u ", series, (unsigned)key, (unsigned)value);
}

static bool reads(struct buf message, struct buf *rows)
{
    struct node_scan scan = {.series = -1, .row = on_row, .context = rows};
    bool good = node_scan_message(&scan, buf_bytes(&message));
    buf_deinit(&message);
    return good;
}

TEST(node_client, reads_rows)
{
    struct buf rows = {0};
    EXPECT(reads(answer(7, 3.5, "n7"), &rows));
    EXPECT(bytes_equal(buf_bytes(&rows), bytes_str("4:10=6 5:11=7 ")));
    buf_deinit(&rows);
}

TEST(node_client, refuses_a_row_that_is_a_mixture)
{
    struct buf rows = {0};
    EXPECT(!reads(answer(7, 3, "n7"), &rows));
    EXPECT(!reads(answer(7, 3.5, "n6"), &rows));
    EXPECT(!reads(answer(8, 3.5, "n7"), &rows));
    struct buf broken = answer(7, 3.5, "n7");
    broken.size--;
    EXPECT(!reads(broken, &rows));
    buf_deinit(&rows);
}
