/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cli/cluster_client.h"
#include "cli/import_sender.h"
#include "cli/test/fake_parts.h"
#include "cli/value_text.h"

void fake_open_session(struct server *s, struct grpc_call *call, struct bytes message)
{
    (void)message;
    struct fake *f = s->fake;
    f->session = f->session_next++;
    f->floor = 0;
    memset(f->answered, 0, sizeof f->answered);
    Tidemark__V1__OpenSessionResponse r;
    tidemark__v1__open_session_response__init(&r);
    r.session = f->session;
    fake_reply(call, &r.base);
}

static void print_value(const Tidemark__V1__Column *c, size_t row, struct buf *out)
{
    char number[VALUE_TEXT_DOUBLE_SIZE];
    if (c->nulls.len > 0 && (c->nulls.data[row / 8] >> (row % 8) & 1) != 0) {
        buf_printf(out, "null");
    } else if (c->n_double_values > row) {
        buf_printf(out, "%s", value_text_print_double(c->double_values[row], number));
    } else if (c->n_int64_values > row) {
        buf_printf(out, "%" PRId64, c->int64_values[row]);
    } else if (c->n_string_values > row) {
        buf_put(out, c->string_values[row].data, c->string_values[row].len);
    } else {
        buf_printf(out, "%s",
                   c->bool_values.len > row && c->bool_values.data[row] ? "true" : "false");
    }
}

static void print_tags(const Tidemark__V1__SeriesTags *series, struct buf *out)
{
    for (size_t i = 0; i < series->n_values; i++) {
        bool null = series->nulls.len > 0 && (series->nulls.data[i / 8] >> (i % 8) & 1) != 0;
        buf_printf(out, "%s", i == 0 ? "" : ",");
        buf_printf(out, "%.*s", null ? 4 : (int)series->values[i].len,
                   null ? "null" : (const char *)series->values[i].data);
    }
}

static void store_request(struct fake *f, const Tidemark__V1__WriteRequest *w)
{
    for (size_t i = 0; i < w->columns[0]->n_int64_values; i++) {
        struct buf tags = {0};
        struct buf values = {0};
        size_t series = w->n_series_of_row > 0 ? w->series_of_row[i] : 0;
        CHECK(series < w->n_series);
        print_tags(w->series[series], &tags);
        for (size_t c = 1; c < w->n_columns; c++) {
            buf_printf(&values, "%s", c == 1 ? "" : ",");
            print_value(w->columns[c], i, &values);
        }
        struct row row = {.time = w->columns[0]->int64_values[i]};
        (void)snprintf(row.tags, sizeof row.tags, "%.*s", (int)tags.size, (char *)tags.data);
        (void)snprintf(row.values, sizeof row.values, "%.*s", (int)values.size,
                       (char *)values.data);
        fake_store(f, &row);
        buf_deinit(&tags);
        buf_deinit(&values);
    }
}

/* As sessions_judge() would; NULL: it took effect, now or before. */
static const char *judge_write(struct fake *f, const Tidemark__V1__WriteRequest *w)
{
    const Tidemark__V1__RequestId *id = w->id;
    if (id == NULL) {
        store_request(f, w);
        return NULL;
    }
    if (id->session != f->session) {
        return "the session is not known (any more)";
    }
    if (id->sequence_open > f->floor + 1) {
        f->floor = id->sequence_open - 1;
    }
    if (id->sequence <= f->floor || id->sequence >= SEQUENCES_MAX) {
        return "the answer to that sequence is not kept any more";
    }
    if (f->answered[id->sequence]) {
        f->repeated++;
        return NULL;
    }
    f->answered[id->sequence] = true;
    f->applied++;
    store_request(f, w);
    return NULL;
}

const char *fake_apply_write(struct fake *f, struct bytes message)
{
    Tidemark__V1__WriteRequest *w =
        tidemark__v1__write_request__unpack(NULL, message.size, message.data);
    CHECK(w != NULL);
    const char *why = judge_write(f, w);
    tidemark__v1__write_request__free_unpacked(w, NULL);
    return why;
}

void fake_write(struct server *s, struct grpc_call *call, struct bytes message)
{
    const char *why = fake_apply_write(s->fake, message);
    if (why != NULL) {
        if (strncmp(why, "the session", 11) == 0) {
            grpc_call_trailer(call, IMPORT_SESSION_TRAILER, IMPORT_SESSION_UNKNOWN);
        }
        grpc_call_finish(call, GRPC_ABORTED, why);
        return;
    }
    Tidemark__V1__WriteResponse r;
    tidemark__v1__write_response__init(&r);
    r.index = 9;
    r.durability = TIDEMARK__V1__DURABILITY__MAJORITY;
    fake_reply(call, &r.base);
}

/* Rows with one double column "value" and one tag "host". */
static void send_rows(struct fake *f, struct grpc_call *call, size_t first, size_t count)
{
    Tidemark__V1__ScanResponse r;
    tidemark__v1__scan_response__init(&r);
    Tidemark__V1__Column time;
    tidemark__v1__column__init(&time);
    Tidemark__V1__Column value;
    tidemark__v1__column__init(&value);
    Tidemark__V1__Column *columns[] = {&time, &value};
    Tidemark__V1__SeriesTags *series = mem_array(count, sizeof *series);
    Tidemark__V1__SeriesTags **pointers = mem_array(count, sizeof *pointers);
    ProtobufCBinaryData *tags = mem_array(count, sizeof *tags);
    uint32_t *of_row = mem_array(count, sizeof *of_row);
    int64_t *times = mem_array(count, sizeof *times);
    double *values = mem_array(count, sizeof *values);
    uint8_t *nulls = mem_zalloc(count / 8 + 1);
    char *tag_names[] = {(char *)(uintptr_t)"host"};
    for (size_t i = 0; i < count; i++) {
        struct row *row = &f->rows[first + i];
        tags[i] = (ProtobufCBinaryData){strlen(row->tags), (uint8_t *)row->tags};
        tidemark__v1__series_tags__init(&series[i]);
        series[i].values = &tags[i];
        series[i].n_values = 1;
        pointers[i] = &series[i];
        of_row[i] = (uint32_t)i;
        times[i] = row->time;
        if (!value_text_double(bytes_str(row->values), &values[i])) {
            nulls[i / 8] |= (uint8_t)(1U << (i % 8));
        }
    }
    time.name = (char *)(uintptr_t)"ts";
    time.type = TIDEMARK__V1__TYPE__TIMESTAMP;
    time.int64_values = times;
    value.name = (char *)(uintptr_t)"value";
    value.type = TIDEMARK__V1__TYPE__DOUBLE;
    value.double_values = values;
    time.n_int64_values = value.n_double_values = count;
    value.nulls = (ProtobufCBinaryData){count / 8 + 1, nulls};
    r.tag_names = tag_names;
    r.n_tag_names = first == 0 ? 1 : 0;
    r.index = 42;
    r.series = pointers;
    r.series_of_row = of_row;
    r.columns = columns;
    r.n_series = r.n_series_of_row = count;
    r.n_columns = 2;
    r.rows = count;
    struct buf b = {0};
    cluster_pack(&r.base, &b);
    grpc_call_send(call, buf_bytes(&b));
    buf_deinit(&b);
    mem_free(series);
    mem_free(pointers);
    mem_free(tags);
    mem_free(of_row);
    mem_free(times);
    mem_free(values);
    mem_free(nulls);
}

void fake_scan(struct server *s, struct grpc_call *call, struct bytes message)
{
    enum { ROWS_PER_MESSAGE = 100 };
    struct fake *f = s->fake;
    Tidemark__V1__ScanRequest *request =
        tidemark__v1__scan_request__unpack(NULL, message.size, message.data);
    CHECK(request != NULL);
    size_t count = f->row_count;
    if (request->limit > 0 && request->limit < count) {
        count = (size_t)request->limit;
    }
    for (size_t i = 0; i < count && !request->count_only; i += ROWS_PER_MESSAGE) {
        send_rows(f, call, i, count - i < ROWS_PER_MESSAGE ? count - i : ROWS_PER_MESSAGE);
    }
    Tidemark__V1__ScanResponse last;
    tidemark__v1__scan_response__init(&last);
    last.index = 42;
    last.done = 1;
    last.rows_total = count;
    struct buf b = {0};
    cluster_pack(&last.base, &b);
    grpc_call_send(call, buf_bytes(&b));
    grpc_call_finish(call, GRPC_OK, NULL);
    buf_deinit(&b);
    tidemark__v1__scan_request__free_unpacked(request, NULL);
}
