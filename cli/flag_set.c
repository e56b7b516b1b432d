/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/flag_set.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/mem.h"
#include "cli/suggestion.h"
#include "cli/value_text.h"

struct flag {
    const struct flag_definition *definition;
    const char **values; /* borrowed strings */
    size_t value_count, value_capacity;
    bool set;      /* on the command line or by the environment */
    uint64_t uint; /* UINT, DURATION */
};

struct flag_set {
    struct flag *flags;
    size_t flag_count;
    const char **arguments; /* borrowed strings */
    size_t argument_count, argument_capacity;
};

static struct flag *find(const struct flag_set *f, const char *name, size_t size)
{
    for (size_t i = 0; i < f->flag_count; i++) {
        const char *known = f->flags[i].definition->name;
        if (strlen(known) == size && memcmp(known, name, size) == 0) {
            return &f->flags[i];
        }
    }
    return NULL;
}

static const struct flag *get(const struct flag_set *f, const char *name)
{
    const struct flag *flag = find(f, name, strlen(name));
    CHECK(flag != NULL);
    return flag;
}

/* --- values --- */

bool flag_is_choice(const char *choices, const char *word)
{
    size_t size = strlen(word);
    for (const char *p = choices; size > 0 && p != NULL;) {
        if (strcspn(p, "|") == size && memcmp(p, word, size) == 0) {
            return true;
        }
        p = strchr(p, '|');
        p = p == NULL ? NULL : p + 1;
    }
    return false;
}

static enum err_code check_duration(struct flag *flag, const char *text, const char *origin,
                                    struct err *e)
{
    const struct flag_definition *d = flag->definition;
    if (!value_text_duration_ms(bytes_str(text), &flag->uint)) {
        return err_set(e, ERR_INVALID, "%s: '%s' is not a duration like 500ms, 10s or 1m30s",
                       origin, text);
    }
    if (flag->uint < d->min || (d->max > 0 && flag->uint > d->max)) {
        return err_set(e, ERR_INVALID, "%s: '%s' is not between %" PRIu64 "ms and %" PRIu64 "ms",
                       origin, text, d->min, d->max > 0 ? d->max : UINT64_MAX);
    }
    return ERR_OK;
}

static enum err_code check_value(struct flag *flag, const char *text, const char *origin,
                                 struct err *e)
{
    const struct flag_definition *d = flag->definition;
    switch (d->type) {
    case FLAG_SWITCH: {
        bool on = false;
        if (!value_text_bool(bytes_str(text), &on)) {
            return err_set(e, ERR_INVALID, "%s: '%s' is neither true nor false", origin, text);
        }
        flag->uint = on ? 1 : 0;
        return ERR_OK;
    }
    case FLAG_UINT:
        if (!value_text_uint64(bytes_str(text), &flag->uint) || flag->uint < d->min ||
            flag->uint > d->max) {
            return err_set(e, ERR_INVALID,
                           "%s: '%s' is not a number between %" PRIu64 " and %" PRIu64, origin,
                           text, d->min, d->max);
        }
        return ERR_OK;
    case FLAG_DURATION:
        return check_duration(flag, text, origin, e);
    case FLAG_CHOICE:
        if (!flag_is_choice(d->choices, text)) {
            return err_set(e, ERR_INVALID, "%s: '%s' is not one of %s", origin, text, d->choices);
        }
        return ERR_OK;
    case FLAG_TEXT:
    case FLAG_FILE:
    case FLAG_LIST:
        return ERR_OK;
    }
    return ERR_OK;
}

static enum err_code add_value(struct flag *flag, const char *text, const char *origin,
                               struct err *e)
{
    enum err_code code = check_value(flag, text, origin, e);
    if (code != ERR_OK) {
        return code;
    }
    if (flag->definition->type != FLAG_LIST) {
        flag->value_count = 0; /* the last one counts */
    }
    flag->values =
        mem_grow(flag->values, &flag->value_capacity, flag->value_count + 1, sizeof *flag->values);
    flag->values[flag->value_count++] = text;
    return ERR_OK;
}

/* --- the command line --- */

static enum err_code unknown_flag(const struct flag_set *f, const char *name, size_t size,
                                  struct err *e)
{
    char word[SUGGESTION_WORD_SIZE_MAX + 1] = "";
    if (size <= SUGGESTION_WORD_SIZE_MAX) {
        memcpy(word, name, size);
        word[size] = '\0';
    }
    const char **words = mem_array(f->flag_count, sizeof *words);
    for (size_t i = 0; i < f->flag_count; i++) {
        words[i] = f->flags[i].definition->name;
    }
    const char *near = suggestion_find(word, words, f->flag_count);
    mem_free(words);
    int shown = size > 100 ? 100 : (int)size;
    if (near != NULL) {
        return err_set(e, ERR_INVALID, "unknown flag --%.*s; did you mean --%s?", shown, name,
                       near);
    }
    return err_set(e, ERR_INVALID, "unknown flag --%.*s", shown, name);
}

/* argv[*i] is a flag; leaves *i at the last word that belongs to it. */
static enum err_code take_flag(struct flag_set *f, int argc, char **argv, int *i, struct err *e)
{
    const char *name = argv[*i] + 2;
    const char *equals = strchr(name, '=');
    size_t size = equals == NULL ? strlen(name) : (size_t)(equals - name);
    struct flag *flag = find(f, name, size);
    if (flag == NULL) {
        return unknown_flag(f, name, size, e);
    }
    const char *value = equals == NULL ? NULL : equals + 1;
    if (value == NULL && flag->definition->type == FLAG_SWITCH) {
        value = "true";
    } else if (value == NULL) {
        if (*i + 1 >= argc) {
            return err_set(e, ERR_INVALID, "--%s needs a value", flag->definition->name);
        }
        value = argv[++*i];
    }
    char origin[SUGGESTION_WORD_SIZE_MAX + 4];
    (void)snprintf(origin, sizeof origin, "--%s", flag->definition->name);
    flag->set = true;
    return add_value(flag, value, origin, e);
}

static void add_argument(struct flag_set *f, const char *text)
{
    f->arguments =
        mem_grow(f->arguments, &f->argument_capacity, f->argument_count + 1, sizeof *f->arguments);
    f->arguments[f->argument_count++] = text;
}

/* "-" means standard input, "-5" is a number. */
static bool is_flag(const char *word)
{
    return word[0] == '-' && word[1] != '\0' && (word[1] < '0' || word[1] > '9');
}

static enum err_code take_all(struct flag_set *f, int argc, char **argv, struct err *e)
{
    bool flags_end = false;
    for (int i = 1; i < argc; i++) {
        enum err_code code = ERR_OK;
        if (flags_end || !is_flag(argv[i])) {
            add_argument(f, argv[i]);
        } else if (strcmp(argv[i], "--") == 0) {
            flags_end = true;
        } else if (strcmp(argv[i], "-h") == 0 && find(f, "help", 4) != NULL) {
            code = add_value(find(f, "help", 4), "true", "-h", e);
        } else if (argv[i][1] != '-') {
            code = err_set(e, ERR_INVALID, "unknown flag %s", argv[i]);
        } else {
            code = take_flag(f, argc, argv, &i, e);
        }
        if (code != ERR_OK) {
            return code;
        }
    }
    return ERR_OK;
}

static enum err_code fill_in(struct flag_set *f, const struct flag_request *request, struct err *e)
{
    for (size_t i = 0; i < f->flag_count; i++) {
        struct flag *flag = &f->flags[i];
        const struct flag_definition *d = flag->definition;
        if (flag->set) {
            continue;
        }
        const char *text = request->environment == NULL || d->environment == NULL
                               ? NULL
                               : request->environment(d->environment);
        if (text != NULL && text[0] != '\0') {
            flag->set = true;
            enum err_code code = add_value(flag, text, d->environment, e);
            if (code != ERR_OK) {
                return code;
            }
        } else if (d->default_value != NULL) {
            enum err_code code = add_value(flag, d->default_value, d->name, e);
            CHECK(code == ERR_OK);
        }
    }
    return ERR_OK;
}

enum err_code flag_set_open(const struct flag_request *request, int argc, char **argv,
                            struct flag_set **out, struct err *e)
{
    struct flag_set *f = mem_zalloc(sizeof *f);
    size_t count = 0;
    for (size_t t = 0; t < request->table_count; t++) {
        count += request->counts[t];
    }
    f->flags = mem_array(count + 1, sizeof *f->flags);
    for (size_t t = 0; t < request->table_count; t++) {
        for (size_t i = 0; i < request->counts[t]; i++) {
            const struct flag_definition *d = &request->tables[t][i];
            CHECK(find(f, d->name, strlen(d->name)) == NULL);
            f->flags[f->flag_count++].definition = d;
        }
    }
    enum err_code code = take_all(f, argc, argv, e);
    if (code == ERR_OK) {
        code = fill_in(f, request, e);
    }
    if (code != ERR_OK) {
        flag_set_close(f);
        return code;
    }
    *out = f;
    return ERR_OK;
}

void flag_set_close(struct flag_set *f)
{
    if (f == NULL) {
        return;
    }
    for (size_t i = 0; i < f->flag_count; i++) {
        mem_free(f->flags[i].values);
    }
    mem_free(f->flags);
    mem_free(f->arguments);
    mem_free(f);
}

/* --- asking --- */

size_t flag_argument_count(const struct flag_set *f)
{
    return f->argument_count;
}

const char *flag_argument(const struct flag_set *f, size_t i)
{
    CHECK(i < f->argument_count);
    return f->arguments[i];
}

bool flag_is_set(const struct flag_set *f, const char *name)
{
    return get(f, name)->set;
}

bool flag_switch(const struct flag_set *f, const char *name)
{
    const struct flag *flag = get(f, name);
    CHECK(flag->definition->type == FLAG_SWITCH);
    return flag->uint != 0;
}

const char *flag_text(const struct flag_set *f, const char *name)
{
    const struct flag *flag = get(f, name);
    CHECK(flag->definition->type != FLAG_LIST);
    return flag->value_count == 0 ? NULL : flag->values[0];
}

uint64_t flag_uint(const struct flag_set *f, const char *name)
{
    const struct flag *flag = get(f, name);
    CHECK(flag->definition->type == FLAG_UINT || flag->definition->type == FLAG_DURATION);
    return flag->uint;
}

size_t flag_list_count(const struct flag_set *f, const char *name)
{
    const struct flag *flag = get(f, name);
    CHECK(flag->definition->type == FLAG_LIST);
    return flag->value_count;
}

const char *flag_list_item(const struct flag_set *f, const char *name, size_t i)
{
    CHECK(i < flag_list_count(f, name));
    return get(f, name)->values[i];
}
