/* SPDX-License-Identifier: Apache-2.0 */
#include "node/toml.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/check.h"
#include "base/mem.h"

enum { TABLES_MAX = TOML_KEYS_MAX, END = -1 };

struct name {
    char text[TOML_KEY_SIZE_MAX + 1];
    unsigned line;
};

struct toml {
    struct toml_entry *entries; /* owned, TOML_KEYS_MAX of them */
    struct name *keys;          /* owned, of the entries */
    size_t count;
    struct name *tables; /* owned, TABLES_MAX: headers seen */
    size_t table_count;
    char *strings; /* owned: no value is longer than its text, quotes included */
    size_t string_size;
    size_t string_capacity;
};

struct parser {
    const uint8_t *text;
    size_t size;
    size_t at;                          /* next byte */
    size_t line_start;                  /* first byte of the line */
    unsigned line;                      /* from 1 */
    char prefix[TOML_KEY_SIZE_MAX + 1]; /* the table in force, "" for none */
    struct toml *out;
    struct err *e;
};

/* --- reading bytes --- */

static int peek_at(const struct parser *p, size_t ahead)
{
    return p->size - p->at > ahead ? p->text[p->at + ahead] : END;
}

static int peek(const struct parser *p)
{
    return peek_at(p, 0);
}

static void newline(struct parser *p)
{
    CHECK(p->text[p->at - 1] == '\n');
    p->line++;
    p->line_start = p->at;
}

/* Characters, not bytes: what an editor shows. */
static unsigned column_of(const struct parser *p, size_t at)
{
    unsigned column = 1;
    for (size_t i = p->line_start; i < at; i++) {
        column += (p->text[i] & 0xc0) != 0x80;
    }
    return column;
}

static enum err_code fail_at(const struct parser *p, size_t at, const char *format, ...)
    ERR_FORMAT(3, 4);
static enum err_code fail_at(const struct parser *p, size_t at, const char *format, ...)
{
    char text[ERR_TEXT_SIZE];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return err_set(p->e, ERR_INVALID, "line %u, column %u: %s", p->line, column_of(p, at), text);
}

static bool is_blank(int c)
{
    return c == ' ' || c == '\t';
}

static bool is_digit(int c)
{
    return c >= '0' && c <= '9';
}

static bool is_bare(int c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '_' || c == '-';
}

static bool is_control(int c)
{
    return (c >= 0 && c < 0x20 && c != '\t') || c == 0x7f;
}

static void skip_blanks(struct parser *p)
{
    while (is_blank(peek(p))) {
        p->at++;
    }
}

static enum err_code skip_comment(struct parser *p)
{
    if (peek(p) != '#') {
        return ERR_OK;
    }
    while (peek(p) != END && peek(p) != '\n' && !(peek(p) == '\r' && peek_at(p, 1) == '\n')) {
        if (is_control(peek(p))) {
            return fail_at(p, p->at, "control character in a comment");
        }
        p->at++;
    }
    return ERR_OK;
}

/* True when a line ended here. */
static bool take_newline(struct parser *p)
{
    if (peek(p) == '\r' && peek_at(p, 1) == '\n') {
        p->at++;
    }
    if (peek(p) != '\n') {
        return false;
    }
    p->at++;
    newline(p);
    return true;
}

/* Bytes of the UTF-8 character at the start of 's', 0: it is none. */
static size_t utf8_size(const uint8_t *s, size_t size)
{
    static const struct {
        uint8_t mask, lead;
        uint32_t min;
    } forms[] = {{0x80, 0x00, 0}, {0xe0, 0xc0, 0x80}, {0xf0, 0xe0, 0x800}, {0xf8, 0xf0, 0x10000}};
    for (size_t n = 1; n <= 4; n++) {
        if ((s[0] & forms[n - 1].mask) != forms[n - 1].lead) {
            continue;
        }
        if (n > size) {
            return 0;
        }
        uint32_t code = s[0] & (uint8_t)~forms[n - 1].mask;
        for (size_t i = 1; i < n; i++) {
            if ((s[i] & 0xc0) != 0x80) {
                return 0;
            }
            code = code << 6 | (s[i] & 0x3f);
        }
        bool surrogate = code >= 0xd800 && code <= 0xdfff;
        return code >= forms[n - 1].min && code <= 0x10ffff && !surrogate ? n : 0;
    }
    return 0;
}

static enum err_code check_utf8(const struct parser *start)
{
    struct parser p = *start;
    while (p.at < p.size) {
        size_t size = utf8_size(p.text + p.at, p.size - p.at);
        if (size == 0) {
            return fail_at(&p, p.at, "not UTF-8");
        }
        p.at += size;
        if (size == 1 && p.text[p.at - 1] == '\n') {
            newline(&p);
        }
    }
    return ERR_OK;
}

/* --- strings --- */

static void put_char(struct toml *t, uint8_t c)
{
    CHECK(t->string_size < t->string_capacity);
    t->strings[t->string_size++] = (char)c;
}

static void put_code(struct toml *t, uint32_t code)
{
    if (code < 0x80) {
        put_char(t, (uint8_t)code);
    } else if (code < 0x800) {
        put_char(t, (uint8_t)(0xc0 | code >> 6));
        put_char(t, (uint8_t)(0x80 | (code & 0x3f)));
    } else if (code < 0x10000) {
        put_char(t, (uint8_t)(0xe0 | code >> 12));
        put_char(t, (uint8_t)(0x80 | (code >> 6 & 0x3f)));
        put_char(t, (uint8_t)(0x80 | (code & 0x3f)));
    } else {
        put_char(t, (uint8_t)(0xf0 | code >> 18));
        put_char(t, (uint8_t)(0x80 | (code >> 12 & 0x3f)));
        put_char(t, (uint8_t)(0x80 | (code >> 6 & 0x3f)));
        put_char(t, (uint8_t)(0x80 | (code & 0x3f)));
    }
}

static int hex_value(int c)
{
    if (is_digit(c)) {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static enum err_code take_unicode(struct parser *p, size_t digits)
{
    size_t start = p->at;
    uint32_t code = 0;
    for (size_t i = 0; i < digits; i++) {
        int value = hex_value(peek(p));
        if (value < 0) {
            return fail_at(p, p->at, "expected %zu hexadecimal digits", digits);
        }
        code = code << 4 | (uint32_t)value;
        p->at++;
    }
    if (code == 0 || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) {
        return fail_at(p, start, "U+%04" PRIX32 " is not a character that can stand here", code);
    }
    put_code(p->out, code);
    return ERR_OK;
}

static enum err_code take_escape(struct parser *p)
{
    static const char names[] = "btnfr\"\\";
    static const char values[] = "\b\t\n\f\r\"\\";
    p->at++; /* the backslash */
    int c = peek(p);
    if (c == 'u' || c == 'U') {
        p->at++;
        return take_unicode(p, c == 'u' ? 4 : 8);
    }
    const char *found = c > 0 ? strchr(names, c) : NULL;
    if (found == NULL) {
        return fail_at(p, p->at, "unknown escape");
    }
    p->at++;
    put_char(p->out, (uint8_t)values[found - names]);
    return ERR_OK;
}

/* A basic or literal string of one line. *out points into the strings of the result. */
static enum err_code take_string(struct parser *p, const char **out)
{
    int quote = peek(p);
    size_t start = p->at;
    CHECK(quote == '"' || quote == '\'');
    if (peek_at(p, 1) == quote && peek_at(p, 2) == quote) {
        return fail_at(p, p->at, "strings over several lines are not supported");
    }
    p->at++;
    *out = p->out->strings + p->out->string_size;
    while (peek(p) != quote) {
        int c = peek(p);
        if (c == END || c == '\n' || c == '\r') {
            return fail_at(p, start, "the string does not end on its line");
        }
        if (is_control(c)) {
            return fail_at(p, p->at, "control character in a string");
        }
        if (c == '\\' && quote == '"') {
            enum err_code code = take_escape(p);
            if (code != ERR_OK) {
                return code;
            }
            continue;
        }
        put_char(p->out, (uint8_t)c);
        p->at++;
    }
    p->at++;
    put_char(p->out, '\0');
    return ERR_OK;
}

/* --- keys --- */

/* One part of a dotted key, appended to 'key'. */
static enum err_code take_key_part(struct parser *p, char key[TOML_KEY_SIZE_MAX + 1])
{
    const char *part = NULL;
    size_t size = 0;
    size_t start = p->at;
    if (peek(p) == '"' || peek(p) == '\'') {
        enum err_code code = take_string(p, &part);
        if (code != ERR_OK) {
            return code;
        }
        size = strlen(part);
        if (strchr(part, '.') != NULL) {
            return fail_at(p, start, "a dot inside a quoted key is not supported");
        }
    } else {
        part = (const char *)p->text + p->at;
        while (is_bare(peek(p))) {
            p->at++;
        }
        size = p->at - start;
    }
    if (size == 0) {
        return fail_at(p, start, "expected a key");
    }
    size_t used = strlen(key);
    size_t dot = used > 0 ? 1 : 0;
    if (used + dot + size > TOML_KEY_SIZE_MAX) {
        return fail_at(p, start, "the key has more than %d bytes", TOML_KEY_SIZE_MAX);
    }
    memcpy(key + used, ".", dot);
    memcpy(key + used + dot, part, size);
    key[used + dot + size] = '\0';
    return ERR_OK;
}

/* Appended to what 'key' holds already. */
static enum err_code take_key(struct parser *p, char key[TOML_KEY_SIZE_MAX + 1])
{
    for (;;) {
        enum err_code code = take_key_part(p, key);
        if (code != ERR_OK) {
            return code;
        }
        skip_blanks(p);
        if (peek(p) != '.') {
            return ERR_OK;
        }
        p->at++;
        skip_blanks(p);
    }
}

/* 'outer' is a table that would hold 'inner'. */
static bool is_inside(const char *inner, const char *outer)
{
    size_t size = strlen(outer);
    return strncmp(inner, outer, size) == 0 && inner[size] == '.';
}

static enum err_code check_new_key(const struct parser *p, size_t start, const char *key)
{
    for (size_t i = 0; i < p->out->count; i++) {
        const struct name *other = &p->out->keys[i];
        if (strcmp(key, other->text) == 0) {
            return fail_at(p, start, "'%s' is given twice, first on line %u", key, other->line);
        }
        if (is_inside(key, other->text) || is_inside(other->text, key)) {
            return fail_at(p, start, "'%s' does not go with '%s' on line %u", key, other->text,
                           other->line);
        }
    }
    return ERR_OK;
}

/* --- values --- */

static enum err_code take_array_end(struct parser *p, bool *ended)
{
    do {
        skip_blanks(p);
        enum err_code code = skip_comment(p);
        if (code != ERR_OK) {
            return code;
        }
    } while (take_newline(p));
    *ended = peek(p) == ']';
    if (*ended) {
        p->at++;
    }
    return ERR_OK;
}

/* '*items' is the entry's, also on failure. */
static enum err_code take_items(struct parser *p, const char **items, size_t *count)
{
    bool ended = false;
    p->at++; /* the bracket */
    for (;;) {
        enum err_code code = take_array_end(p, &ended);
        if (code != ERR_OK || ended) {
            return code;
        }
        if (peek(p) == END) {
            return fail_at(p, p->at, "the array does not end");
        }
        if (peek(p) != '"' && peek(p) != '\'') {
            return fail_at(p, p->at, "only arrays of strings are supported");
        }
        if (*count == TOML_ITEMS_MAX) {
            return fail_at(p, p->at, "more than %d items", TOML_ITEMS_MAX);
        }
        code = take_string(p, &items[*count]);
        if (code != ERR_OK) {
            return code;
        }
        (*count)++;
        code = take_array_end(p, &ended);
        if (code != ERR_OK || ended) {
            return code;
        }
        if (peek(p) != ',') {
            return fail_at(p, p->at, "expected ',' or ']'");
        }
        p->at++;
    }
}

static int number_base(const struct parser *p)
{
    if (peek(p) != '0') {
        return 10;
    }
    switch (peek_at(p, 1)) {
    case 'x':
        return 16;
    case 'o':
        return 8;
    case 'b':
        return 2;
    default:
        return 10;
    }
}

/* Digits with single underscores between them. */
static enum err_code take_digits(struct parser *p, int base, uint64_t max, uint64_t *out)
{
    size_t start = p->at;
    uint64_t value = 0;
    bool digit_before = false;
    for (;;) {
        int c = peek(p);
        int digit = hex_value(c);
        if (c == '_' && digit_before && hex_value(peek_at(p, 1)) >= 0) {
            p->at++;
            digit_before = false;
            continue;
        }
        if (digit < 0 || digit >= base) {
            break;
        }
        if (value > (max - (uint64_t)digit) / (uint64_t)base) {
            return fail_at(p, start, "the number is too large");
        }
        value = value * (uint64_t)base + (uint64_t)digit;
        digit_before = true;
        p->at++;
    }
    if (!digit_before) {
        return fail_at(p, p->at, "expected a digit");
    }
    *out = value;
    return ERR_OK;
}

static enum err_code take_integer(struct parser *p, int64_t *out)
{
    size_t start = p->at;
    bool negative = peek(p) == '-';
    bool sign = negative || peek(p) == '+';
    p->at += sign ? 1 : 0;
    int base = sign ? 10 : number_base(p);
    p->at += base == 10 ? 0 : 2;
    bool zero_first = base == 10 && peek(p) == '0';
    size_t digits = p->at;
    uint64_t max = (uint64_t)INT64_MAX + (negative ? 1 : 0);
    uint64_t value = 0;
    enum err_code code = take_digits(p, base, max, &value);
    if (code != ERR_OK) {
        return code;
    }
    if (zero_first && p->at - digits > 1) {
        return fail_at(p, start, "a number must not begin with 0");
    }
    *out = negative ? (int64_t)(0 - value) : (int64_t)value;
    return ERR_OK;
}

static bool take_word(struct parser *p, const char *word)
{
    size_t size = strlen(word);
    if (p->size - p->at < size || memcmp(p->text + p->at, word, size) != 0) {
        return false;
    }
    p->at += size;
    return true;
}

static enum err_code take_value(struct parser *p, struct toml_entry *entry)
{
    int c = peek(p);
    size_t start = p->at;
    enum err_code code = ERR_OK;
    if (c == '"' || c == '\'') {
        entry->type = TOML_STRING;
        return take_string(p, &entry->string);
    }
    if (c == '[') {
        const char **items = mem_array(TOML_ITEMS_MAX, sizeof *items);
        entry->type = TOML_ARRAY;
        entry->items = items;
        return take_items(p, items, &entry->item_count);
    }
    if (take_word(p, "true") || take_word(p, "false")) {
        entry->type = TOML_BOOLEAN;
        entry->boolean = p->text[start] == 't';
    } else if (is_digit(c) || c == '-' || c == '+') {
        entry->type = TOML_INTEGER;
        code = take_integer(p, &entry->integer);
    } else {
        return fail_at(p, start, "expected a string, an integer, true, false or an array");
    }
    c = peek(p);
    if (code == ERR_OK && (is_bare(c) || c == '.' || c == ':')) {
        return fail_at(p, start, "only strings, integers, true and false are supported");
    }
    return code;
}

/* --- lines --- */

static enum err_code take_header(struct parser *p)
{
    struct toml *t = p->out;
    size_t start = p->at;
    p->at++;
    if (peek(p) == '[') {
        return fail_at(p, start, "arrays of tables are not supported");
    }
    skip_blanks(p);
    p->prefix[0] = '\0';
    enum err_code code = take_key(p, p->prefix);
    if (code != ERR_OK) {
        return code;
    }
    if (peek(p) != ']') {
        return fail_at(p, p->at, "expected ']'");
    }
    p->at++;
    for (size_t i = 0; i < t->table_count; i++) {
        if (strcmp(t->tables[i].text, p->prefix) == 0) {
            return fail_at(p, start, "table '%s' is given twice, first on line %u", p->prefix,
                           t->tables[i].line);
        }
    }
    for (size_t i = 0; i < t->count; i++) {
        if (strcmp(t->keys[i].text, p->prefix) == 0) {
            return fail_at(p, start, "'%s' is a value, given on line %u", p->prefix,
                           t->keys[i].line);
        }
    }
    if (t->table_count == TABLES_MAX) {
        return fail_at(p, start, "more than %d tables", TABLES_MAX);
    }
    struct name *table = &t->tables[t->table_count++];
    memcpy(table->text, p->prefix, sizeof table->text);
    table->line = p->line;
    return ERR_OK;
}

static enum err_code take_pair(struct parser *p)
{
    struct toml *t = p->out;
    size_t start = p->at;
    char key[TOML_KEY_SIZE_MAX + 1];
    memcpy(key, p->prefix, sizeof key);
    enum err_code code = take_key(p, key);
    if (code != ERR_OK) {
        return code;
    }
    if (peek(p) != '=') {
        return fail_at(p, p->at, "expected '=' after '%s'", key);
    }
    code = check_new_key(p, start, key);
    if (code != ERR_OK) {
        return code;
    }
    if (t->count == TOML_KEYS_MAX) {
        return fail_at(p, start, "more than %d keys", TOML_KEYS_MAX);
    }
    p->at++;
    skip_blanks(p);
    struct toml_entry *entry = &t->entries[t->count];
    struct name *name = &t->keys[t->count];
    memcpy(name->text, key, sizeof name->text);
    name->line = p->line;
    t->count++;
    entry->key = name->text;
    entry->line = p->line;
    return take_value(p, entry);
}

static enum err_code take_line(struct parser *p)
{
    enum err_code code = ERR_OK;
    skip_blanks(p);
    if (peek(p) == '[') {
        code = take_header(p);
    } else if (peek(p) != '#' && peek(p) != '\n' && peek(p) != '\r' && peek(p) != END) {
        code = take_pair(p);
    }
    if (code != ERR_OK) {
        return code;
    }
    skip_blanks(p);
    code = skip_comment(p);
    if (code != ERR_OK) {
        return code;
    }
    if (peek(p) != END && !take_newline(p)) {
        return fail_at(p, p->at, "expected the end of the line");
    }
    return ERR_OK;
}

enum err_code toml_parse(struct bytes text, struct toml **out, struct err *e)
{
    CHECK(out != NULL);
    CHECK(text.size < UINT32_MAX);
    struct toml *t = mem_zalloc(sizeof *t);
    t->entries = mem_array(TOML_KEYS_MAX, sizeof *t->entries);
    t->keys = mem_array(TOML_KEYS_MAX, sizeof *t->keys);
    t->tables = mem_array(TABLES_MAX, sizeof *t->tables);
    t->string_capacity = text.size + 1;
    t->strings = mem_alloc(t->string_capacity);

    struct parser p = {.text = text.data, .size = text.size, .line = 1, .out = t, .e = e};
    enum err_code code = check_utf8(&p);
    while (code == ERR_OK && p.at < p.size) {
        code = take_line(&p);
    }
    if (code != ERR_OK) {
        toml_close(t);
        return code;
    }
    *out = t;
    return ERR_OK;
}

const struct toml_entry *toml_entries(const struct toml *t, size_t *count)
{
    CHECK(t->count <= TOML_KEYS_MAX);
    *count = t->count;
    return t->entries;
}

void toml_close(struct toml *t)
{
    if (t == NULL) {
        return;
    }
    for (size_t i = 0; i < t->count; i++) {
        if (t->entries[i].items != NULL) {
            /* The view is const, the array is ours. */
            mem_free((void *)(uintptr_t)t->entries[i].items);
        }
    }
    mem_free(t->entries);
    mem_free(t->keys);
    mem_free(t->tables);
    mem_free(t->strings);
    mem_free(t);
}
