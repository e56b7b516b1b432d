/* SPDX-License-Identifier: Apache-2.0 */
#include "tsdb/block.h"

#include "base/check.h"
#include "base/crc32c.h"
#include "base/mem.h"
#include "tsdb/encoding.h"

enum { CRC_AT = 4, COVERED_AT = 8 };

/* --- encoding --- */

struct encoder {
    size_t row_count;
    struct buf *entries;
    struct buf *data;
    uint64_t *words;       /* values that are not null */
    struct bytes *strings; /* the same, of a string column */
};

static enum encoding_kind kind_of(enum value_type type)
{
    if (type == VALUE_FLOAT) {
        return ENCODING_OF_FLOATS;
    }
    return type == VALUE_DOUBLE ? ENCODING_OF_DOUBLES : ENCODING_OF_NUMBERS;
}

static void put_entry(struct encoder *x, uint32_t id, enum value_type type, size_t value_count,
                      struct bytes nulls)
{
    size_t data_at = x->data->size;
    buf_put_bytes(x->data, nulls);
    enum encoding encoding =
        value_is_long(type) ? encoding_put_strings(x->data, x->strings, value_count)
                            : encoding_put_words(x->data, x->words, value_count, kind_of(type));
    buf_put_varint(x->entries, id);
    buf_put_u8(x->entries, (uint8_t)type);
    buf_put_u8(x->entries, (uint8_t)encoding);
    buf_put_varint(x->entries, x->row_count - value_count);
    buf_put_varint(x->entries, x->data->size - data_at);
    if (id != 0) {
        struct block_statistics statistics;
        block_statistics_of(type, x->words, value_count, &statistics);
        block_statistics_put(x->entries, type, &statistics, value_count);
    }
}

/* The values of a column that are not null, into the encoder; null bits into 'nulls'. */
static size_t collect(struct encoder *x, const struct rows *rows, const struct rows_column *c,
                      size_t from, size_t to, uint8_t *nulls)
{
    memset(nulls, 0, LIMIT_BLOCK_ROWS_MAX / 8);
    size_t n = 0;
    for (size_t row = from; row < to; row++) {
        if (c->nulls[row] != 0) {
            nulls[(row - from) / 8] |= (uint8_t)(1U << ((row - from) % 8));
            continue;
        }
        if (value_is_long(c->type)) {
            x->strings[n] = rows_string(rows, c->words[row]);
        } else {
            x->words[n] = c->words[row];
        }
        n++;
    }
    return n;
}

static unsigned put_columns(struct encoder *x, const struct rows *rows, size_t from, size_t to)
{
    uint8_t nulls[LIMIT_BLOCK_ROWS_MAX / 8];
    size_t row_count = to - from;
    for (size_t i = 0; i < row_count; i++) {
        x->words[i] = (uint64_t)rows->times[from + i];
    }
    put_entry(x, 0, VALUE_TIMESTAMP, row_count, (struct bytes){0});
    unsigned count = 1;
    for (size_t i = 0; i < rows->column_count; i++) {
        const struct rows_column *c = &rows->columns[i];
        size_t n = collect(x, rows, c, from, to, nulls);
        if (n > 0) {
            struct bytes bits = bytes_of(nulls, n < row_count ? (row_count + 7) / 8 : 0);
            put_entry(x, rows->table->columns[c->place].id, c->type, n, bits);
            count++;
        }
    }
    return count;
}

void block_encode(uint64_t series_id, const struct rows *rows, size_t from, size_t to,
                  struct buf *out)
{
    CHECK(from < to);
    CHECK(to <= rows->count);
    CHECK(to - from <= LIMIT_BLOCK_ROWS_MAX);
    struct buf entries = {0};
    struct buf data = {0};
    struct encoder x = {.row_count = to - from, .entries = &entries, .data = &data};
    x.words = mem_array(to - from, sizeof *x.words);
    x.strings = mem_array(to - from, sizeof *x.strings);
    unsigned columns = put_columns(&x, rows, from, to);

    size_t at = out->size;
    size_t size = BLOCK_HEADER_SIZE + entries.size + data.size;
    CHECK(size <= UINT32_MAX);
    buf_put_u32(out, (uint32_t)size);
    buf_put_u32(out, 0); /* crc, below */
    buf_put_u8(out, BLOCK_VERSION);
    buf_put_u8(out, 0);
    buf_put_u16(out, (uint16_t)columns);
    buf_put_u32(out, (uint32_t)(to - from));
    buf_put_u64(out, series_id);
    buf_put_u64(out, (uint64_t)rows->times[from]);
    buf_put_u64(out, (uint64_t)rows->times[to - 1]);
    CHECK(out->size - at == BLOCK_HEADER_SIZE);
    buf_put_bytes(out, buf_bytes(&entries));
    buf_put_bytes(out, buf_bytes(&data));
    uint8_t *block = out->data + at;
    bytes_put_u32(block + CRC_AT, crc32c(0, block + COVERED_AT, size - COVERED_AT));

    mem_free(x.words);
    mem_free(x.strings);
    buf_deinit(&entries);
    buf_deinit(&data);
}

/* --- decoding --- */

enum err_code block_check(struct bytes block, struct block_header *out, struct err *e)
{
    struct cursor c = cursor_of(block);
    out->size = cursor_u32(&c);
    uint32_t crc = cursor_u32(&c);
    uint8_t version = cursor_u8(&c);
    uint8_t zero = cursor_u8(&c);
    out->column_count = cursor_u16(&c);
    out->row_count = cursor_u32(&c);
    out->series_id = cursor_u64(&c);
    out->time_first = (int64_t)cursor_u64(&c);
    out->time_last = (int64_t)cursor_u64(&c);
    if (c.bad || out->size != block.size) {
        return err_set(e, ERR_CORRUPT, "a block of %zu bytes says that it has %u", block.size,
                       c.bad ? 0 : out->size);
    }
    uint32_t have = crc32c(0, block.data + COVERED_AT, block.size - COVERED_AT);
    if (crc != have) {
        return err_set(e, ERR_CORRUPT, "a block's checksum is %08x, its bytes give %08x", crc,
                       have);
    }
    if (version != BLOCK_VERSION) {
        return err_set(e, ERR_UNSUPPORTED, "a block has format version %u, this program knows %d",
                       version, BLOCK_VERSION);
    }
    if (zero != 0 || out->row_count == 0 || out->row_count > LIMIT_BLOCK_ROWS_MAX ||
        out->column_count == 0 || out->time_first > out->time_last) {
        return err_set(e, ERR_CORRUPT, "the header of a block is malformed");
    }
    return ERR_OK;
}

/* One entry. Its data is still to be taken: only its size is known. */
static void get_entry(struct cursor *c, const struct block_header *h, struct block_column *out,
                      uint64_t *data_size)
{
    uint64_t id = cursor_varint(c);
    uint8_t type = cursor_u8(c);
    out->encoding = cursor_u8(c);
    uint64_t null_count = cursor_varint(c);
    *data_size = cursor_varint(c);
    if (id > UINT32_MAX || !value_type_is_valid(type) || null_count >= h->row_count) {
        c->bad = true;
        return;
    }
    out->id = (uint32_t)id;
    out->type = (enum value_type)type;
    out->value_count = h->row_count - (uint32_t)null_count;
    if (id == 0) {
        uint64_t first = (uint64_t)h->time_first;
        uint64_t last = (uint64_t)h->time_last;
        out->statistics = (struct block_statistics){first, last, first, last, 0, 0};
    } else {
        block_statistics_get(c, out->type, out->value_count, &out->statistics);
    }
}

static size_t count_set_bits(struct bytes bits)
{
    size_t count = 0;
    for (size_t i = 0; i < bits.size; i++) {
        count += (size_t)__builtin_popcount(bits.data[i]);
    }
    return count;
}

/* Null bits and values, behind the entries. */
static void take_data(struct cursor *c, const struct block_header *h, struct block_column *out,
                      uint64_t size)
{
    size_t nulls_size = out->value_count < h->row_count ? (h->row_count + 7) / 8 : 0;
    if (size > c->size || size < nulls_size) {
        c->bad = true;
        return;
    }
    out->nulls = cursor_take(c, nulls_size);
    out->data = cursor_take(c, (size_t)size - nulls_size);
    if (nulls_size == 0) {
        return;
    }
    unsigned tail = h->row_count % 8;
    bool beyond = tail != 0 && out->nulls.data[nulls_size - 1] >> tail != 0;
    if (beyond || count_set_bits(out->nulls) != h->row_count - out->value_count) {
        c->bad = true;
    }
}

enum err_code block_columns(struct bytes block, const struct block_header *h,
                            struct block_column **columns, struct err *e)
{
    struct cursor c =
        cursor_of(bytes_of(block.data + BLOCK_HEADER_SIZE, block.size - BLOCK_HEADER_SIZE));
    struct block_column *items = mem_array(h->column_count, sizeof *items);
    uint64_t *sizes = mem_array(h->column_count, sizeof *sizes);
    for (size_t i = 0; i < h->column_count && !c.bad; i++) {
        get_entry(&c, h, &items[i], &sizes[i]);
        bool rising = i == 0 ? items[0].id == 0 : items[i].id > items[i - 1].id;
        c.bad = c.bad || !rising;
    }
    for (size_t i = 0; i < h->column_count && !c.bad; i++) {
        take_data(&c, h, &items[i], sizes[i]);
    }
    mem_free(sizes);
    bool timed = items[0].type == VALUE_TIMESTAMP && items[0].value_count == h->row_count;
    if (!cursor_done(&c) || !timed) {
        mem_free(items);
        *columns = NULL;
        return err_set(e, ERR_CORRUPT, "the columns of a block are malformed");
    }
    *columns = items;
    return ERR_OK;
}

static bool decode_times(const struct block_header *h, const struct block_column *c,
                         struct rows *rows)
{
    uint64_t *words = (uint64_t *)rows->times; /* the same bits */
    if (!encoding_get_words(c->encoding, c->data, words, h->row_count)) {
        return false;
    }
    for (size_t i = 1; i < h->row_count; i++) {
        if (rows->times[i] <= rows->times[i - 1]) {
            return false;
        }
    }
    return rows->times[0] == h->time_first && rows->times[h->row_count - 1] == h->time_last;
}

static void set_all_null(struct rows_column *c, size_t count)
{
    memset(c->nulls, 1, count);
    memset(c->words, 0, count * sizeof *c->words);
    c->any_null = true;
}

/* The values are at the front; each goes to its row, from the last on. */
static void spread(struct rows_column *to, const struct block_column *c, size_t row_count)
{
    size_t value = c->value_count;
    for (size_t row = row_count; row-- > 0;) {
        bool null = (c->nulls.data[row / 8] >> (row % 8) & 1) != 0;
        to->nulls[row] = null ? 1 : 0;
        to->words[row] = null ? 0 : to->words[--value];
    }
    CHECK(value == 0);
    to->any_null = true;
}

static bool decode_strings(const struct block_column *c, struct rows *rows, struct rows_column *to)
{
    struct bytes *strings = mem_array(c->value_count, sizeof *strings);
    bool good = encoding_get_strings(c->encoding, c->data, strings, c->value_count);
    for (size_t i = 0; i < c->value_count && good; i++) {
        to->words[i] = rows_put_string(rows, strings[i]);
    }
    mem_free(strings);
    return good;
}

static bool decode_values(const struct block_column *c, struct rows *rows, struct rows_column *to)
{
    if (value_is_long(c->type)) {
        return decode_strings(c, rows, to);
    }
    if (!encoding_get_words(c->encoding, c->data, to->words, c->value_count)) {
        return false;
    }
    bool any_word = c->type == VALUE_TIMESTAMP || c->type == VALUE_INT64 || c->type == VALUE_DOUBLE;
    for (size_t i = 0; i < c->value_count && !any_word; i++) {
        if (!value_word_is_valid(c->type, to->words[i])) {
            return false;
        }
    }
    return true;
}

static bool decode_column(const struct block_header *h, const struct block_column *columns,
                          struct rows *rows, struct rows_column *to)
{
    uint32_t id = rows->table->columns[to->place].id;
    const struct block_column *c = NULL;
    for (size_t low = 0, high = h->column_count; low < high;) {
        size_t middle = low + (high - low) / 2;
        if (columns[middle].id == id) {
            c = &columns[middle];
            break;
        }
        low = columns[middle].id < id ? middle + 1 : low;
        high = columns[middle].id < id ? high : middle;
    }
    if (c == NULL) {
        set_all_null(to, h->row_count);
        return true;
    }
    if (!value_can_widen(c->type, to->type) || !decode_values(c, rows, to)) {
        return false;
    }
    for (size_t i = 0; i < c->value_count && c->type == VALUE_FLOAT && to->type == VALUE_DOUBLE;
         i++) {
        to->words[i] = value_widen(c->type, to->type, to->words[i]);
    }
    if (c->nulls.size > 0) {
        spread(to, c, h->row_count);
    } else {
        memset(to->nulls, 0, h->row_count);
    }
    return true;
}

enum err_code block_decode(struct bytes block, struct block_header *h, struct rows *rows,
                           struct err *e)
{
    rows_clear(rows);
    struct block_column *columns = NULL;
    enum err_code code = block_check(block, h, e);
    if (code == ERR_OK) {
        code = block_columns(block, h, &columns, e);
    }
    if (code != ERR_OK) {
        return code;
    }
    CHECK(columns != NULL);
    rows_reserve(rows, h->row_count);
    bool good = decode_times(h, &columns[0], rows);
    for (size_t i = 0; i < rows->column_count && good; i++) {
        good = decode_column(h, columns, rows, &rows->columns[i]);
    }
    mem_free(columns);
    if (!good) {
        rows_clear(rows);
        return err_set(e, ERR_CORRUPT, "the values of a block are malformed");
    }
    rows->count = h->row_count;
    return ERR_OK;
}
