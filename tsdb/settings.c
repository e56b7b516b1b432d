/* SPDX-License-Identifier: Apache-2.0 */
#include "tsdb/settings.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"

enum { NAME_SIZE_MAX = 64, KIB = 1024, FRACTION_ONE = 1000, FRACTION_DIGITS = 3 };

#define MIB (INT64_C(1024) * KIB)
#define GIB (INT64_C(1024) * MIB)
#define TIB (INT64_C(1024) * GIB)

#define SECOND INT64_C(1000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

/* Sorted by name (checked by a test). */
static const struct setting table[] = {
    {.name = "checkpoint_completion_target",
     .type = SETTING_FRACTION,
     .min = 0,
     .max = FRACTION_ONE,
     .initial = "0.5",
     .unit = "",
     .scope = "cluster",
     .description = "The share of ts.wal.checkpoint_interval over which a checkpoint spreads its "
                    "writing, so that it does not stand in the way of writers. 0: as fast as the "
                    "disk can. One that somebody waits for, or that is late, does not wait."},
    {.name = "max_slot_wal_keep_size",
     .type = SETTING_BYTES,
     .min = 0,
     .max = 16 * TIB,
     .initial = "256MiB",
     .unit = "bytes",
     .scope = "cluster",
     .description = "How much of the Raft log is kept, at most, for replicas that are slow or "
                    "away, in whole files, beside the last 1,024 entries. One that needs more than "
                    "that gets a checkpoint instead. 0: nothing is kept for them."},
    {.name = "max_wal_size",
     .type = SETTING_BYTES,
     .min = 32 * MIB,
     .max = 16 * TIB,
     .initial = "1GiB",
     .unit = "bytes",
     .scope = "cluster",
     .description = "Log between two checkpoints: it asks for the next one before its time, so "
                    "early that it is done, as checkpoint_completion_target spreads it, when the "
                    "log has grown by this much."},
    {.name = "min_wal_size",
     .type = SETTING_BYTES,
     .min = 8 * MIB,
     .max = 16 * TIB,
     .initial = "80MiB",
     .unit = "bytes",
     .scope = "cluster",
     .description = "Files that a checkpoint has made free are kept for use again while a log "
                    "takes less than this; more are removed. At most max_wal_size."},
    {.name = "node.replace",
     .type = SETTING_ENUM,
     .choices = "auto|manual",
     .initial = "auto",
     .unit = "",
     .scope = "cluster",
     .description = "Whether a new directory of a node's name takes the old one's seat by itself, "
                    "once it holds everything and the old one is silent, or waits for "
                    "\"tidemark node replace\"."},
    {.name = "raft.election_timeout",
     .type = SETTING_DURATION,
     .min = 50,
     .max = MINUTE,
     .initial = "500ms",
     .unit = "ms",
     .scope = "cluster",
     .description = "A follower that hears nothing from its leader for one to two times this long "
                    "asks to be elected. At least three times raft.heartbeat_interval."},
    {.name = "raft.heartbeat_interval",
     .type = SETTING_DURATION,
     .min = 10,
     .max = 20 * SECOND,
     .initial = "100ms",
     .unit = "ms",
     .scope = "cluster",
     .description = "How often an idle leader tells its followers that it is there."},
    {.name = "ts.dedup.rule",
     .type = SETTING_ENUM,
     .choices = "override",
     .initial = "override",
     .unit = "",
     .scope = "cluster",
     .description = "What happens to a row of the same series and time as an older one: override "
                    "puts the whole new row in its place."},
    {.name = "ts.mem_segment_size.max_limit",
     .type = SETTING_BYTES,
     .min = 1 * MIB,
     .max = 16 * TIB,
     .initial = "512MiB",
     .unit = "bytes",
     .scope = "cluster",
     .description = "Rows in memory, not yet in a checkpoint. At half of it a checkpoint is asked "
                    "for before its time; at all of it new writes are refused until there is "
                    "room."},
    {.name = "ts.scan.batch_size",
     .type = SETTING_INT,
     .min = 1,
     .max = 65536,
     .initial = "4096",
     .unit = "rows",
     .scope = "cluster",
     .description = "Rows in one message of a scan's answer, at most."},
    {.name = "ts.scrub.rate",
     .type = SETTING_BYTES,
     .min = 0,
     .max = 1 * TIB,
     .initial = "4MiB",
     .unit = "bytes/s",
     .scope = "cluster",
     .description = "How fast each node reads its logs and parts in the background to find "
                    "damage before it is needed; what it finds is repaired from the other nodes. "
                    "0: not at all."},
    {.name = "ts.wal.checkpoint_interval",
     .type = SETTING_DURATION,
     .min = 1,
     .max = 365 * DAY,
     .initial = "1m",
     .unit = "ms",
     .scope = "cluster",
     .description = "Time between checkpoints: how often rows move from memory to parts, which "
                    "lets the log be cut."},
    {.name = "ts.wal.recovery_mode",
     .type = SETTING_ENUM,
     .choices = "tolerate_corrupted_tail_records|absolute_consistency|point_in_time_recovery|"
                "skip_any_corrupted_records",
     .initial = "point_in_time_recovery",
     .unit = "",
     .scope = "cluster",
     .restart = true,
     .description = "What a start does about damage in the local write-ahead log: accept it at the "
                    "very end only, refuse any, stop before the first, or leave out what is "
                    "damaged."},
    {.name = "ts.wal.wal_level",
     .type = SETTING_INT,
     .min = 0,
     .max = 3,
     .initial = "2",
     .unit = "",
     .scope = "cluster",
     .description = "When a write is answered. 0 off: not logged. 1 sync: in the local log, "
                    "synced. 2 flush: in the local log, handed to the file system. 3 byrl: in the "
                    "Raft log of a majority, synced; the local log holds only metadata."},
    {.name = "wal_buffers",
     .type = SETTING_BYTES,
     .min = 64 * KIB,
     .max = 16 * MIB,
     .initial = "1MiB",
     .unit = "bytes",
     .scope = "cluster",
     .description = "Records gathered into one write of a log, at most; a larger record is a "
                    "write of its own. How often it was full is in the status."},
    {.name = "wal_compression",
     .type = SETTING_ENUM,
     .choices = "off|lz4|zstd",
     .initial = "off",
     .unit = "",
     .scope = "cluster",
     .description = "Writes are compressed in their log entry, once, by the node that accepts "
                    "them; every node stores and sends them so. Any node reads every choice. What "
                    "gets less than an eighth smaller stays as it is."},
    {.name = "wal_keep_segments",
     .type = SETTING_INT,
     .min = 0,
     .max = 65536,
     .initial = "0",
     .unit = "segments",
     .scope = "cluster",
     .description = "Files of the Raft log that are kept behind the one that is written to, even "
                    "when no replica is known to need them."},
    {.name = "wal_sync_method",
     .type = SETTING_ENUM,
     .choices = "fdatasync|fsync|open_datasync|open_sync",
     .initial = "fdatasync",
     .unit = "",
     .scope = "cluster",
     .description = "How the records of a log become durable: by a call after a group of writes, "
                    "or written through, as with O_DSYNC and O_SYNC. At level flush a local log "
                    "is never written through."},
    {.name = "wal_writer_delay",
     .type = SETTING_DURATION,
     .min = 1,
     .max = 10 * SECOND,
     .initial = "200ms",
     .unit = "ms",
     .scope = "cluster",
     .description = "At level flush the local log is synced in the background when something was "
                    "written this long ago: how much a power failure can take."},
};

enum { COUNT = sizeof table / sizeof table[0] };

struct value {
    char text[SETTING_VALUE_SIZE];
    int64_t number;
    uint64_t changed_index;
};

struct settings {
    atomic_uint references;
    struct value values[COUNT];
};

/* --- the table --- */

size_t settings_count(void)
{
    return COUNT;
}

const struct setting *settings_at(size_t i)
{
    CHECK(i < COUNT);
    return &table[i];
}

const char *settings_type_name(enum setting_type type)
{
    switch (type) {
    case SETTING_INT:
        return "int";
    case SETTING_BOOL:
        return "bool";
    case SETTING_DURATION:
        return "duration";
    case SETTING_BYTES:
        return "bytes";
    case SETTING_FRACTION:
        return "fraction";
    case SETTING_ENUM:
        return "enum";
    }
    PANIC("setting type %d", (int)type);
}

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c - 'A' + 'a') : c;
}

static bool equal_words(struct bytes a, struct bytes b)
{
    if (a.size != b.size) {
        return false;
    }
    for (size_t i = 0; i < a.size; i++) {
        if (lower(a.data[i]) != lower(b.data[i])) {
            return false;
        }
    }
    return true;
}

static size_t min3(size_t a, size_t b, size_t c)
{
    size_t least = a < b ? a : b;
    return least < c ? least : c;
}

/* How many letters have to be put in, left out or changed (Levenshtein). */
static size_t edit_distance(struct bytes a, struct bytes b)
{
    CHECK(a.size <= NAME_SIZE_MAX);
    CHECK(b.size <= NAME_SIZE_MAX);
    size_t row[NAME_SIZE_MAX + 1];
    for (size_t j = 0; j <= b.size; j++) {
        row[j] = j;
    }
    for (size_t i = 0; i < a.size; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < b.size; j++) {
            size_t change = diagonal + (lower(a.data[i]) == lower(b.data[j]) ? 0 : 1);
            diagonal = row[j + 1];
            row[j + 1] = min3(change, row[j] + 1, row[j + 1] + 1);
        }
    }
    return row[b.size];
}

static bool ends_with(struct bytes text, struct bytes end)
{
    return text.size >= end.size &&
           equal_words(bytes_of(text.data + text.size - end.size, end.size), end);
}

/* The setting that was probably meant: the last words of its name, or a name
 * with few other letters. NULL: none is near. */
static const char *suggest(struct bytes name)
{
    if (name.size < 3 || name.size > NAME_SIZE_MAX) {
        return NULL;
    }
    const char *best = NULL;
    size_t best_distance = name.size / 3 + 1;
    for (size_t i = 0; i < COUNT; i++) {
        struct bytes known = bytes_str(table[i].name);
        if (ends_with(known, name)) {
            return table[i].name;
        }
        size_t distance = edit_distance(name, known);
        if (distance < best_distance) {
            best_distance = distance;
            best = table[i].name;
        }
    }
    return best;
}

enum err_code settings_find(struct bytes name, size_t *i, struct err *e)
{
    for (*i = 0; *i < COUNT; (*i)++) {
        if (bytes_equal(name, bytes_str(table[*i].name))) {
            return ERR_OK;
        }
    }
    int shown = (int)(name.size < NAME_SIZE_MAX ? name.size : NAME_SIZE_MAX);
    const char *meant = suggest(name);
    if (meant == NULL) {
        return err_set(e, ERR_NOT_FOUND, "no setting \"%.*s\"; list them to see all", shown,
                       (const char *)name.data);
    }
    return err_set(e, ERR_NOT_FOUND, "no setting \"%.*s\"; did you mean \"%s\"?", shown,
                   (const char *)name.data, meant);
}

/* --- numbers with units --- */

struct unit {
    const char *name;
    int64_t factor;
};

/* Smallest first. */
static const struct unit duration_units[] = {{"ms", 1},   {"s", SECOND}, {"m", MINUTE},
                                             {"h", HOUR}, {"d", DAY},    {NULL, 0}};
static const struct unit bytes_units[] = {{"", 1},      {"B", 1},     {"KiB", KIB}, {"MiB", MIB},
                                          {"GiB", GIB}, {"TiB", TIB}, {NULL, 0}};

static void print_with_unit(int64_t number, const struct unit *units, char dst[SETTING_VALUE_SIZE])
{
    const struct unit *best = units;
    for (const struct unit *u = units; u->name != NULL; u++) {
        if (number % u->factor == 0 && number != 0 && u->factor > best->factor) {
            best = u;
        }
    }
    (void)snprintf(dst, SETTING_VALUE_SIZE, "%" PRId64 "%s", number / best->factor, best->name);
}

/* Not negative, in thousandths; without zeros at its end. */
static void print_fraction(int64_t number, char dst[SETTING_VALUE_SIZE])
{
    (void)snprintf(dst, SETTING_VALUE_SIZE, "%" PRId64 ".%03" PRId64, number / FRACTION_ONE,
                   number % FRACTION_ONE);
    size_t size = strlen(dst);
    while (dst[size - 1] == '0') {
        size--;
    }
    dst[dst[size - 1] == '.' ? size - 1 : size] = '\0';
}

static void print_number(enum setting_type type, int64_t number, char dst[SETTING_VALUE_SIZE])
{
    if (type == SETTING_DURATION) {
        print_with_unit(number, duration_units, dst);
    } else if (type == SETTING_BYTES) {
        print_with_unit(number, bytes_units, dst);
    } else if (type == SETTING_FRACTION) {
        print_fraction(number, dst);
    } else {
        (void)snprintf(dst, SETTING_VALUE_SIZE, "%" PRId64, number);
    }
}

void settings_range(const struct setting *s, char dst[SETTING_RANGE_SIZE])
{
    char min[SETTING_VALUE_SIZE];
    char max[SETTING_VALUE_SIZE];
    size_t used = 0;
    switch (s->type) {
    case SETTING_BOOL:
        (void)snprintf(dst, SETTING_RANGE_SIZE, "on | off");
        return;
    case SETTING_INT:
    case SETTING_DURATION:
    case SETTING_BYTES:
    case SETTING_FRACTION:
        print_number(s->type, s->min, min);
        print_number(s->type, s->max, max);
        (void)snprintf(dst, SETTING_RANGE_SIZE, "%s..%s", min, max);
        return;
    case SETTING_ENUM:
        for (const char *c = s->choices; *c != '\0' && used + 4 < SETTING_RANGE_SIZE; c++) {
            if (*c == '|') {
                memcpy(dst + used, " | ", 3);
                used += 3;
            } else {
                dst[used++] = *c;
            }
        }
        dst[used] = '\0';
        return;
    }
}

/* Digits at the front of 'text', taken off it. False: none, or too many. */
static bool take_digits(struct bytes *text, int64_t *number)
{
    size_t i = 0;
    *number = 0;
    for (; i < text->size && text->data[i] >= '0' && text->data[i] <= '9'; i++) {
        int digit = text->data[i] - '0';
        if (*number > (INT64_MAX - digit) / 10) {
            return false;
        }
        *number = *number * 10 + digit;
    }
    if (i == 0) {
        return false; /* and no arithmetic on the pointer of an empty text */
    }
    text->data += i;
    text->size -= i;
    return true;
}

static const struct unit *take_unit(struct bytes *text, const struct unit *units)
{
    size_t size = 0;
    while (size < text->size && (text->data[size] < '0' || text->data[size] > '9')) {
        size++;
    }
    for (const struct unit *u = units; u->name != NULL; u++) {
        if (equal_words(bytes_of(text->data, size), bytes_str(u->name))) {
            text->data += size;
            text->size -= size;
            return u;
        }
    }
    return NULL;
}

/* One or more of number and unit, added up. */
static bool parse_with_units(struct bytes text, const struct unit *units, int64_t *number)
{
    *number = 0;
    do {
        int64_t part = 0;
        if (!take_digits(&text, &part)) {
            return false;
        }
        const struct unit *unit = take_unit(&text, units);
        if (unit == NULL || part > INT64_MAX / unit->factor) {
            return false;
        }
        part *= unit->factor;
        if (*number > INT64_MAX - part) {
            return false;
        }
        *number += part;
    } while (text.size > 0);
    return true;
}

static bool parse_int(struct bytes text, int64_t *number)
{
    bool negative = text.size > 0 && text.data[0] == '-';
    if (negative) {
        text.data++;
        text.size--;
    }
    if (!take_digits(&text, number) || text.size > 0) {
        return false;
    }
    *number = negative ? -*number : *number;
    return true;
}

static bool parse_fraction(struct bytes text, int64_t *number)
{
    int64_t part = 0;
    if (!take_digits(&text, number) || *number > INT64_MAX / FRACTION_ONE - 1) {
        return false;
    }
    *number *= FRACTION_ONE;
    if (text.size == 0) {
        return true;
    }
    if (text.data[0] != '.') {
        return false;
    }
    text.data++;
    text.size--;
    size_t digits = text.size;
    if (digits > FRACTION_DIGITS || !take_digits(&text, &part) || text.size > 0) {
        return false;
    }
    for (; digits < FRACTION_DIGITS; digits++) {
        part *= 10;
    }
    *number += part;
    return true;
}

static bool parse_bool(struct bytes text, int64_t *number)
{
    static const char *const words[] = {"off", "on", "false", "true", "no", "yes", "0", "1"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (equal_words(text, bytes_str(words[i]))) {
            *number = (int64_t)(i % 2);
            return true;
        }
    }
    return false;
}

/* Place of the choice in "a|b|c", and its word. */
static bool parse_choice(const char *choices, struct bytes text, struct bytes *word,
                         int64_t *number)
{
    const char *at = choices;
    for (*number = 0;; (*number)++) {
        const char *end = strchr(at, '|');
        *word = end == NULL ? bytes_str(at) : bytes_of(at, (size_t)(end - at));
        if (equal_words(text, *word)) {
            return true;
        }
        if (end == NULL) {
            return false;
        }
        at = end + 1;
    }
}

static struct bytes trim(struct bytes text)
{
    while (text.size > 0 && text.data[0] == ' ') {
        text.data++;
        text.size--;
    }
    while (text.size > 0 && text.data[text.size - 1] == ' ') {
        text.size--;
    }
    return text;
}

static bool parse_typed(const struct setting *s, struct bytes text, char *canonical,
                        int64_t *number)
{
    struct bytes word;
    switch (s->type) {
    case SETTING_INT:
        return parse_int(text, number);
    case SETTING_DURATION:
        return parse_with_units(text, duration_units, number);
    case SETTING_BYTES:
        return parse_with_units(text, bytes_units, number);
    case SETTING_FRACTION:
        return parse_fraction(text, number);
    case SETTING_BOOL:
        (void)snprintf(canonical, SETTING_VALUE_SIZE, "%s",
                       parse_bool(text, number) && *number != 0 ? "on" : "off");
        return parse_bool(text, number);
    case SETTING_ENUM:
        if (!parse_choice(s->choices, text, &word, number) || word.size >= SETTING_VALUE_SIZE) {
            return false;
        }
        (void)snprintf(canonical, SETTING_VALUE_SIZE, "%.*s", (int)word.size,
                       (const char *)word.data);
        return true;
    }
    return false;
}

static const char *how_written(enum setting_type type)
{
    switch (type) {
    case SETTING_INT:
        return "is not a whole number";
    case SETTING_BOOL:
        return "is neither on nor off";
    case SETTING_DURATION:
        return "is not a time such as 500ms, 90s, 1m30s, 2h or 1d";
    case SETTING_BYTES:
        return "is not a size such as 65536, 64KiB, 16MiB or 1GiB";
    case SETTING_FRACTION:
        return "is not a number such as 0, 0.5 or 0.125";
    case SETTING_ENUM:
        return "is not one of the choices";
    }
    PANIC("setting type %d", (int)type);
}

enum err_code settings_parse(const struct setting *s, struct bytes text,
                             char canonical[SETTING_VALUE_SIZE], int64_t *number, struct err *e)
{
    char range[SETTING_RANGE_SIZE];
    settings_range(s, range);
    text = trim(text);
    int shown = (int)(text.size < SETTING_VALUE_SIZE ? text.size : SETTING_VALUE_SIZE);
    const char *start = text.size > 0 ? (const char *)text.data : "";
    if (!parse_typed(s, text, canonical, number)) {
        return err_set(e, ERR_INVALID, "%s: \"%.*s\" %s (%s)", s->name, shown, start,
                       how_written(s->type), range);
    }
    if (s->type == SETTING_BOOL || s->type == SETTING_ENUM) {
        return ERR_OK;
    }
    if (*number < s->min || *number > s->max) {
        return err_set(e, ERR_RANGE, "%s: \"%.*s\" is outside %s", s->name, shown, start, range);
    }
    print_number(s->type, *number, canonical);
    return ERR_OK;
}

/* --- values in force --- */

static void set_value(struct value *v, size_t i, struct bytes text, struct err *e)
{
    enum err_code code = settings_parse(&table[i], text, v->text, &v->number, e);
    CHECK(code == ERR_OK);
}

struct settings *settings_new(void)
{
    struct settings *s = mem_zalloc(sizeof *s);
    atomic_init(&s->references, 1);
    for (size_t i = 0; i < COUNT; i++) {
        set_value(&s->values[i], i, bytes_str(table[i].initial), NULL);
    }
    return s;
}

struct settings *settings_ref(struct settings *s)
{
    unsigned before = atomic_fetch_add_explicit(&s->references, 1, memory_order_relaxed);
    CHECK(before > 0);
    return s;
}

void settings_unref(struct settings *s)
{
    if (s != NULL) {
        unsigned before = atomic_fetch_sub_explicit(&s->references, 1, memory_order_acq_rel);
        CHECK(before > 0);
        if (before == 1) {
            mem_free(s);
        }
    }
}

const char *settings_text(const struct settings *s, size_t i)
{
    CHECK(i < COUNT);
    return s->values[i].text;
}

int64_t settings_number(const struct settings *s, size_t i)
{
    CHECK(i < COUNT);
    return s->values[i].number;
}

uint64_t settings_changed(const struct settings *s, size_t i)
{
    CHECK(i < COUNT);
    return s->values[i].changed_index;
}

int64_t settings_value(const struct settings *s, const char *name)
{
    size_t i = 0;
    enum err_code code = settings_find(bytes_str(name), &i, NULL);
    CHECK(code == ERR_OK);
    return s->values[i].number;
}

/* What must hold between settings, whichever of them is changed. */
static enum err_code check_relations(const struct settings *s, struct err *e)
{
    int64_t heartbeat = settings_value(s, "raft.heartbeat_interval");
    int64_t election = settings_value(s, "raft.election_timeout");
    if (election < 3 * heartbeat) {
        return err_set(e, ERR_RANGE,
                       "raft.election_timeout (%" PRId64 "ms) must be at least three times "
                       "raft.heartbeat_interval (%" PRId64 "ms)",
                       election, heartbeat);
    }
    if (settings_value(s, "min_wal_size") > settings_value(s, "max_wal_size")) {
        return err_set(e, ERR_RANGE, "min_wal_size must be at most max_wal_size");
    }
    return ERR_OK;
}

enum err_code settings_change(const struct settings *s, struct bytes name, const struct bytes *text,
                              uint64_t index, struct settings **out, struct err *e)
{
    *out = NULL;
    size_t i = 0;
    enum err_code code = settings_find(name, &i, e);
    if (code != ERR_OK) {
        return code;
    }
    struct value v = {.changed_index = index};
    struct bytes initial = bytes_str(table[i].initial);
    code = settings_parse(&table[i], text != NULL ? *text : initial, v.text, &v.number, e);
    if (code != ERR_OK) {
        return code;
    }
    struct settings *changed = mem_zalloc(sizeof *changed);
    memcpy(changed->values, s->values, sizeof changed->values);
    atomic_init(&changed->references, 1);
    changed->values[i] = v;
    code = check_relations(changed, e);
    if (code != ERR_OK) {
        settings_unref(changed);
        return code;
    }
    *out = changed;
    return ERR_OK;
}

void settings_encode(const struct settings *s, struct buf *out)
{
    uint64_t count = 0;
    for (size_t i = 0; i < COUNT; i++) {
        count += s->values[i].changed_index != 0 ? 1 : 0;
    }
    buf_put_varint(out, count);
    for (size_t i = 0; i < COUNT; i++) {
        if (s->values[i].changed_index != 0) {
            buf_put_str(out, table[i].name);
            buf_put_str(out, s->values[i].text);
            buf_put_varint(out, s->values[i].changed_index);
        }
    }
}

static enum err_code decode_one(struct cursor *c, struct settings *s, struct err *e)
{
    struct bytes name = cursor_blob(c);
    struct bytes text = cursor_blob(c);
    uint64_t index = cursor_varint(c);
    if (c->bad || index == 0) {
        return err_set(e, ERR_CORRUPT, "a setting is cut short");
    }
    size_t i = 0;
    enum err_code code = settings_find(name, &i, e);
    if (code == ERR_OK) {
        struct value *v = &s->values[i];
        v->changed_index = index;
        code = settings_parse(&table[i], text, v->text, &v->number, e);
    }
    if (code != ERR_OK) {
        char why[ERR_TEXT_SIZE] = "";
        if (e != NULL) {
            memcpy(why, e->text, sizeof why);
        }
        return err_set(e, ERR_UNSUPPORTED, "a newer program wrote this: %s", why);
    }
    return ERR_OK;
}

enum err_code settings_decode(struct cursor *c, struct settings **out, struct err *e)
{
    *out = NULL;
    uint64_t count = cursor_varint(c);
    struct settings *s = settings_new();
    enum err_code code = ERR_OK;
    for (uint64_t i = 0; i < count && code == ERR_OK; i++) {
        code = decode_one(c, s, e);
    }
    if (code == ERR_OK && c->bad) {
        code = err_set(e, ERR_CORRUPT, "the settings are cut short");
    }
    if (code != ERR_OK) {
        settings_unref(s);
        return code;
    }
    *out = s;
    return ERR_OK;
}
