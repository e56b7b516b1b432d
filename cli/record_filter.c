/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/record_filter.h"

#include <string.h>

#include "cli/value_text.h"

static const struct record_range everything = {0, UINT64_MAX};

struct record_filter record_filter_all(void)
{
    return (struct record_filter){.lsn = everything, .index = everything, .term = everything};
}

static bool read_number(struct bytes text, uint64_t *out)
{
    return value_text_uint64(text, out);
}

/* "1/2A" as wal_lsn_text() prints it, or a bare number. */
static bool read_lsn(struct bytes text, uint64_t *out)
{
    const uint8_t *slash = memchr(text.data, '/', text.size);
    if (slash == NULL) {
        return value_text_uint64(text, out);
    }
    size_t before = (size_t)(slash - text.data);
    uint64_t high = 0;
    uint64_t low = 0;
    if (!value_text_hex64(bytes_of(text.data, before), &high) ||
        !value_text_hex64(bytes_of(slash + 1, text.size - before - 1), &low) || high > UINT32_MAX ||
        low > UINT32_MAX) {
        return false;
    }
    *out = high << 32 | low;
    return true;
}

static enum err_code read_range(const char *text, bool (*read)(struct bytes text, uint64_t *out),
                                struct record_range *out, struct err *e)
{
    *out = everything;
    if (text == NULL) {
        return ERR_OK;
    }
    const char *dots = strstr(text, "..");
    bool good;
    if (dots == NULL) {
        good = read(bytes_str(text), &out->first);
        out->last = out->first;
    } else {
        struct bytes first = bytes_of(text, (size_t)(dots - text));
        struct bytes last = bytes_str(dots + 2);
        good = (first.size > 0 || last.size > 0) && (first.size == 0 || read(first, &out->first)) &&
               (last.size == 0 || read(last, &out->last));
    }
    if (!good) {
        return err_set(e, ERR_INVALID, "'%s' is neither a value nor a range FIRST..LAST", text);
    }
    if (out->first > out->last) {
        return err_set(e, ERR_INVALID, "'%s' ends before it begins", text);
    }
    return ERR_OK;
}

enum err_code record_range_read(const char *text, struct record_range *out, struct err *e)
{
    return read_range(text, read_number, out, e);
}

enum err_code record_range_read_lsn(const char *text, struct record_range *out, struct err *e)
{
    return read_range(text, read_lsn, out, e);
}

static bool is_inside(const struct record_range *range, uint64_t value)
{
    return value >= range->first && value <= range->last;
}

bool record_filter_passes(const struct record_filter *f, const struct wal_view *view,
                          const struct entry_content *content)
{
    return is_inside(&f->lsn, view->lsn) && is_inside(&f->index, view->index) &&
           is_inside(&f->term, view->term) &&
           (f->type == NULL || strcmp(f->type, view->kind) == 0 ||
            entry_content_has_command(content, f->type)) &&
           (f->table == NULL || entry_content_has_table(content, f->table));
}
