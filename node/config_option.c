/* SPDX-License-Identifier: Apache-2.0 */
#include "node/config_option.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "rpc/net_address.h"

enum {
    SECOND_MS = 1000,
    MINUTE_MS = 60 * SECOND_MS,
    HOUR_MS = 60 * MINUTE_MS,
    GUESS_SIZE_MAX = 64,
    DATA_DIR_SIZE_MAX = IO_PATH_MAX - 128, /* room for the names inside */
};

static const char *const log_levels[] = {
    [LOG_DEBUG] = "debug", [LOG_INFO] = "info", [LOG_WARN] = "warn", [LOG_ERROR] = "error", NULL,
};

static const char *const log_formats[] = {
    [CONFIG_LOG_TEXT] = "text",
    [CONFIG_LOG_JSON] = "json",
    NULL,
};

static const char *const wal_levels[] = {
    [WAL_LEVEL_OFF] = "off",
    [WAL_LEVEL_SYNC] = "sync",
    [WAL_LEVEL_FLUSH] = "flush",
    [WAL_LEVEL_BYRL] = "byrl",
    NULL,
};

#define FIELD(field) offsetof(struct config, field), sizeof((struct config *)0)->field

/* In the order of --help. */
static const struct config_option options[] = {
    {"name", OPTION_NAME, FIELD(name), .fallback_help = "from advertise-peer",
     .help = "what people call this node"},
    {"data-dir", OPTION_TEXT, FIELD(data_dir), .fallback = "tidemark-data", .value_help = "DIR",
     .help = "where everything is kept"},
    {"peers", OPTION_PEERS, FIELD(peers), .fallback_help = "none: one node alone",
     .help = "peer addresses of all nodes that found the cluster, this one's own among them; the "
             "same list on every node"},
    {"listen-client", OPTION_ADDRESS, FIELD(listen_client), .fallback = "127.0.0.1:7070",
     .help = "where programs and operators connect (gRPC)"},
    {"advertise-client", OPTION_ADDRESS, FIELD(advertise_client), .fallback_help = "listen-client",
     .help = "the same address as clients reach it"},
    {"listen-peer", OPTION_ADDRESS, FIELD(listen_peer), .fallback = "127.0.0.1:7071",
     .help = "where other nodes connect"},
    {"advertise-peer", OPTION_ADDRESS, FIELD(advertise_peer), .fallback_help = "listen-peer",
     .help = "the same address as other nodes reach it, as it stands in their peers"},
    {"wal-segment-size", OPTION_SIZE, FIELD(wal_segment_size), .min = CONFIG_TEST_SEGMENT_SIZE_MIN,
     .max = LIMIT_SEGMENT_SIZE_MAX, .fallback = "16MiB",
     .help = "size of one log file, a power of two from 4MiB to 1GiB; fixed when the data "
             "directory is made"},
    {"wal-level", OPTION_CHOICE, FIELD(wal_level), .choices = wal_levels, .fallback = "flush",
     .help = "level of a new data directory of one node alone; later ts.wal.wal_level"},
    {"recovery-mode", OPTION_CHOICE, FIELD(recovery_mode), .choices = wal_recovery_mode_names,
     .fallback_help = "as stored by ts.wal.recovery_mode",
     .help = "how a damaged local log is opened, for this start only"},
    {"message-size-max", OPTION_SIZE, FIELD(message_size_max), .min = 64 * LIMIT_KIB,
     .max = LIMIT_MESSAGE_SIZE_MAX, .fallback = "4MiB", .help = "largest request of a client"},
    {"drain-limit", OPTION_DURATION, FIELD(drain_limit_ms), .max = HOUR_MS, .fallback = "30s",
     .help = "how long a stop waits for open requests"},
    {"log-level", OPTION_CHOICE, FIELD(log_level), .choices = log_levels, .fallback = "info",
     .help = "lines below it are left out"},
    {"log-format", OPTION_CHOICE, FIELD(log_format), .choices = log_formats, .fallback = "text",
     .help = "of the lines on standard error"},
    {"test-small-segments", OPTION_SWITCH, FIELD(test_small_segments), .fallback = "false",
     .help = "lets wal-segment-size go down to 64KiB", .hidden = true},
    {"config", OPTION_TEXT, FIELD(file), .fallback_help = "none", .value_help = "FILE",
     .help = "a TOML file with any of the options above as keys", .flag_only = true},
    {"print-config", OPTION_SWITCH, FIELD(print_config), .fallback = "false",
     .help = "print every option, its value and where it came from, and exit", .flag_only = true},
    {"version", OPTION_SWITCH, FIELD(version), .fallback = "false",
     .help = "print the version and exit", .flag_only = true},
    {"help", OPTION_SWITCH, FIELD(help), .fallback = "false", .help = "print this and exit",
     .flag_only = true},
};

enum { OPTION_COUNT = sizeof options / sizeof options[0] };

_Static_assert((int)OPTION_COUNT <= (int)CONFIG_OPTIONS_MAX, "struct config has a source for each");
_Static_assert(sizeof(enum log_level) == sizeof(unsigned), "a choice is held as an unsigned");

const struct config_option *config_options(size_t *count)
{
    *count = OPTION_COUNT;
    return options;
}

size_t config_option_find(const char *name)
{
    size_t at = 0;
    while (at < OPTION_COUNT && strcmp(options[at].name, name) != 0) {
        at++;
    }
    return at;
}

void config_option_variable(const struct config_option *option, char dst[CONFIG_VARIABLE_SIZE])
{
    int size = snprintf(dst, CONFIG_VARIABLE_SIZE, "TIDEMARK_%s", option->name);
    CHECK(size > 0);
    CHECK(size < CONFIG_VARIABLE_SIZE);
    for (char *p = dst; *p != '\0'; p++) {
        if (*p == '-') {
            *p = '_';
        } else if (*p >= 'a' && *p <= 'z') {
            *p = (char)(*p - 'a' + 'A');
        }
    }
}

/* --- numbers with a unit --- */

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit size_units[] = {{"GiB", UINT64_C(1024) * LIMIT_MIB},
                                         {"MiB", LIMIT_MIB},
                                         {"KiB", LIMIT_KIB},
                                         {"", 1},
                                         {NULL, 0}};
static const struct unit duration_units[] = {
    {"h", HOUR_MS}, {"m", MINUTE_MS}, {"s", SECOND_MS}, {"ms", 1}, {NULL, 0}};

static const struct unit *units_of(enum option_kind kind)
{
    return kind == OPTION_SIZE ? size_units : duration_units;
}

static bool parse_number(const char *text, const struct unit *units, uint64_t *out)
{
    uint64_t value = 0;
    const char *p = text;
    while (*p >= '0' && *p <= '9') {
        uint64_t digit = (uint64_t)(*p - '0');
        if (value > (UINT64_MAX - digit) / 10) {
            return false;
        }
        value = value * 10 + digit;
        p++;
    }
    for (const struct unit *unit = units; p > text && unit->name != NULL; unit++) {
        if (strcmp(p, unit->name) == 0 && value <= UINT64_MAX / unit->factor) {
            *out = value * unit->factor;
            return true;
        }
    }
    return false;
}

/* In the largest unit that it is a whole number of. */
static void format_number(uint64_t value, const struct unit *units, struct buf *out)
{
    const struct unit *unit = units;
    while (unit[1].name != NULL && (value == 0 || value % unit->factor != 0)) {
        unit++;
    }
    buf_printf(out, "%" PRIu64 "%s", value / unit->factor, unit->name);
}

static enum err_code set_number(const struct config_option *option, const char *text,
                                uint64_t *field, struct err *e)
{
    const struct unit *units = units_of(option->kind);
    uint64_t value = 0;
    if (!parse_number(text, units, &value)) {
        return err_set(e, ERR_INVALID, "'%.100s' is not a %s", text,
                       option->kind == OPTION_SIZE ? "size such as 16MiB (units: KiB, MiB, GiB)"
                                                   : "time such as 30s (units: ms, s, m, h)");
    }
    if (value < option->min || value > option->max) {
        struct buf range = {0};
        format_number(option->min, units, &range);
        buf_printf(&range, " to ");
        format_number(option->max, units, &range);
        buf_put_u8(&range, 0);
        enum err_code code =
            err_set(e, ERR_INVALID, "%.100s is not from %s", text, (const char *)range.data);
        buf_deinit(&range);
        return code;
    }
    *field = value;
    return ERR_OK;
}

/* --- texts --- */

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
}

static enum err_code check_name(const char *text, struct err *e)
{
    bool good = text[0] != '-' && text[0] != '.';
    for (const char *p = text; *p != '\0'; p++) {
        good = good && is_name_char(*p);
    }
    return good ? ERR_OK
                : err_set(e, ERR_INVALID,
                          "'%.100s' is not a name: letters, digits, '_', '-' and '.', not first "
                          "'-' or '.'",
                          text);
}

static enum err_code check_address(const char *text, struct err *e)
{
    struct net_address address;
    return net_address_parse(text, &address, e);
}

static enum err_code set_text(const struct config_option *option, const char *text, char *field,
                              struct err *e)
{
    size_t size = strlen(text);
    size_t size_max = option->kind == OPTION_TEXT ? DATA_DIR_SIZE_MAX : option->size - 1;
    if (size == 0) {
        return err_set(e, ERR_INVALID, "it is empty");
    }
    if (size > size_max) {
        return err_set(e, ERR_INVALID, "it has %zu bytes, more than %zu", size, size_max);
    }
    enum err_code code = ERR_OK;
    if (option->kind == OPTION_NAME) {
        code = check_name(text, e);
    } else if (option->kind == OPTION_ADDRESS) {
        code = check_address(text, e);
    }
    if (code == ERR_OK) {
        memcpy(field, text, size + 1);
    }
    return code;
}

/* --- the list of peers --- */

static int compare_addresses(const void *a, const void *b)
{
    return strcmp(a, b);
}

static enum err_code add_peer(struct config_peers *peers, struct bytes text, struct err *e)
{
    char address[LIMIT_ADDRESS_SIZE_MAX + 1];
    if (text.size > LIMIT_ADDRESS_SIZE_MAX) {
        return err_set(e, ERR_INVALID, "an address of %zu bytes, more than %d", text.size,
                       LIMIT_ADDRESS_SIZE_MAX);
    }
    memcpy(address, text.data, text.size);
    address[text.size] = '\0';
    if (check_address(address, e) != ERR_OK) {
        return ERR_INVALID;
    }
    for (size_t i = 0; i < peers->count; i++) {
        if (strcmp(peers->items[i], address) == 0) {
            return ERR_OK;
        }
    }
    if (peers->count == LIMIT_NODES_MAX) {
        return err_set(e, ERR_INVALID, "more than %d addresses", LIMIT_NODES_MAX);
    }
    memcpy(peers->items[peers->count++], address, text.size + 1);
    return ERR_OK;
}

static enum err_code set_peers(const char *text, struct config_peers *field, struct err *e)
{
    struct config_peers peers = {.count = 0};
    const char *p = text;
    for (;;) {
        while (*p == ' ') {
            p++;
        }
        size_t size = strcspn(p, ",");
        size_t trimmed = size;
        while (trimmed > 0 && p[trimmed - 1] == ' ') {
            trimmed--;
        }
        if (trimmed > 0) {
            enum err_code code = add_peer(&peers, bytes_of(p, trimmed), e);
            if (code != ERR_OK) {
                return code;
            }
        }
        if (p[size] == '\0') {
            break;
        }
        p += size + 1;
    }
    qsort(peers.items, peers.count, sizeof peers.items[0], compare_addresses);
    *field = peers;
    return ERR_OK;
}

/* --- choices and switches --- */

static enum err_code set_choice(const struct config_option *option, const char *text,
                                unsigned *field, struct err *e)
{
    struct buf list = {0};
    size_t count = 0;
    for (; option->choices[count] != NULL; count++) {
        if (strcmp(option->choices[count], text) == 0) {
            *field = (unsigned)count;
            buf_deinit(&list);
            return ERR_OK;
        }
        buf_printf(&list, "%s%s", count == 0 ? "" : ", ", option->choices[count]);
    }
    buf_put_u8(&list, 0);
    const char *guess = config_option_guess(text, option->choices, count);
    enum err_code code = err_set(e, ERR_INVALID, "'%.100s' is not one of %s%s%s%s", text,
                                 (const char *)list.data, guess != NULL ? ": did you mean " : "",
                                 guess != NULL ? guess : "", guess != NULL ? "?" : "");
    buf_deinit(&list);
    return code;
}

static enum err_code set_switch(const char *text, bool *field, struct err *e)
{
    bool on = strcmp(text, "true") == 0;
    if (!on && strcmp(text, "false") != 0) {
        return err_set(e, ERR_INVALID, "'%.100s' is neither true nor false", text);
    }
    *field = on;
    return ERR_OK;
}

enum err_code config_option_set(const struct config_option *option, const char *text,
                                struct config *c, struct err *e)
{
    CHECK(option->offset + option->size <= sizeof *c);
    void *field = (char *)c + option->offset;
    switch (option->kind) {
    case OPTION_TEXT:
    case OPTION_NAME:
    case OPTION_ADDRESS:
        return set_text(option, text, field, e);
    case OPTION_PEERS:
        return set_peers(text, field, e);
    case OPTION_SIZE:
    case OPTION_DURATION:
        return set_number(option, text, field, e);
    case OPTION_CHOICE:
        return set_choice(option, text, field, e);
    case OPTION_SWITCH:
        return set_switch(text, field, e);
    }
    return err_set(e, ERR_INVALID, "no such kind of option");
}

static void format_peers(const struct config_peers *peers, struct buf *out)
{
    for (size_t i = 0; i < peers->count; i++) {
        buf_printf(out, "%s%s", i == 0 ? "" : ",", peers->items[i]);
    }
}

void config_option_format(const struct config_option *option, const struct config *c,
                          struct buf *out)
{
    const void *field = (const char *)c + option->offset;
    switch (option->kind) {
    case OPTION_TEXT:
    case OPTION_NAME:
    case OPTION_ADDRESS:
        buf_printf(out, "%s", (const char *)field);
        break;
    case OPTION_PEERS:
        format_peers(field, out);
        break;
    case OPTION_SIZE:
    case OPTION_DURATION:
        format_number(*(const uint64_t *)field, units_of(option->kind), out);
        break;
    case OPTION_CHOICE:
        buf_printf(out, "%s", option->choices[*(const unsigned *)field]);
        break;
    case OPTION_SWITCH:
        buf_printf(out, "%s", *(const bool *)field ? "true" : "false");
        break;
    }
}

/* --- did you mean --- */

static size_t min3(size_t a, size_t b, size_t c)
{
    size_t min = a < b ? a : b;
    return min < c ? min : c;
}

/* Letters to change, add or remove; both shorter than GUESS_SIZE_MAX. */
static size_t edit_distance(const char *a, const char *b)
{
    size_t row[GUESS_SIZE_MAX + 1];
    size_t size = strlen(b);
    for (size_t k = 0; k <= size; k++) {
        row[k] = k;
    }
    for (size_t i = 1; a[i - 1] != '\0'; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t k = 1; k <= size; k++) {
            size_t above = row[k];
            size_t change = diagonal + (a[i - 1] != b[k - 1] ? 1 : 0);
            row[k] = min3(above + 1, row[k - 1] + 1, change);
            diagonal = above;
        }
    }
    return row[size];
}

const char *config_option_guess(const char *unknown, const char *const *names, size_t count)
{
    const char *best = NULL;
    size_t best_distance = 0;
    if (strlen(unknown) >= GUESS_SIZE_MAX) {
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        CHECK(strlen(names[i]) < GUESS_SIZE_MAX);
        size_t distance = edit_distance(unknown, names[i]);
        size_t near = 1 + strlen(names[i]) / 5;
        if (distance <= near && (best == NULL || distance < best_distance)) {
            best = names[i];
            best_distance = distance;
        }
    }
    return best;
}
