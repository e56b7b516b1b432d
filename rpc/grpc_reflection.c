/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/grpc_reflection.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "proto/wire.h"
#include "rpc/grpc_server.h"

/* Bounds against a descriptor set that is not ours. */
enum { FILES_MAX = 256, DEPENDENCIES_MAX = 64, SYMBOLS_MAX = 65536, NAME_SIZE_MAX = 512 };

/* What a descriptor describes. The order of child_kinds. */
enum kind { FILE_KIND, MESSAGE, ENUM, SERVICE, LEAF };

/* Which fields of a descriptor of google/protobuf/descriptor.proto hold
 * descriptors with names of their own. */
static const struct {
    enum kind parent;
    uint32_t field;
    enum kind child;
} children[] = {
    {FILE_KIND, 4, MESSAGE}, /* message_type */
    {FILE_KIND, 5, ENUM},    /* enum_type */
    {FILE_KIND, 6, SERVICE}, /* service */
    {FILE_KIND, 7, LEAF},    /* extension */
    {MESSAGE, 2, LEAF},      /* field */
    {MESSAGE, 3, MESSAGE},   /* nested_type */
    {MESSAGE, 4, ENUM},      /* enum_type */
    {MESSAGE, 6, LEAF},      /* extension */
    {MESSAGE, 8, LEAF},      /* oneof_decl */
    {SERVICE, 2, LEAF},      /* method */
};
/* Values of an enum are named beside it, not inside: ENUM has no line here. */

struct symbol {
    char *name; /* full, owned */
    size_t file;
    enum kind kind;
    struct bytes descriptor;
};

struct file {
    struct bytes name;
    struct bytes descriptor;
    struct bytes dependencies[DEPENDENCIES_MAX];
    size_t dependency_count;
};

struct grpc_reflection {
    struct grpc_method methods[2]; /* v1, v1alpha */
    struct file *files;
    size_t file_count, file_capacity;
    struct symbol *symbols; /* sorted by name after the open */
    size_t symbol_count, symbol_capacity;
};

/* --- reading the descriptors --- */

static bool add_symbol(struct grpc_reflection *r, const char *scope, struct symbol symbol)
{
    struct cursor c = cursor_of(symbol.descriptor);
    struct wire_field f;
    char name[NAME_SIZE_MAX] = "";
    while (wire_next(&c, &f)) {
        if (f.number == 1 && f.type == WIRE_BYTES) {
            wire_str(&c, &f, name, sizeof name);
        }
    }
    if (c.bad || r->symbol_count == SYMBOLS_MAX) {
        return false;
    }
    symbol.name = scope[0] == '\0' ? mem_strdup(name) : mem_format("%s.%s", scope, name);
    r->symbols =
        mem_grow(r->symbols, &r->symbol_capacity, r->symbol_count + 1, sizeof r->symbols[0]);
    r->symbols[r->symbol_count++] = symbol;
    return true;
}

/* The named descriptors directly inside one. */
static bool add_children(struct grpc_reflection *r, size_t file, enum kind kind, const char *scope,
                         struct bytes descriptor)
{
    struct cursor c = cursor_of(descriptor);
    struct wire_field f;
    while (wire_next(&c, &f)) {
        for (size_t i = 0; i < sizeof children / sizeof children[0]; i++) {
            if (children[i].parent != kind || children[i].field != f.number) {
                continue;
            }
            struct symbol child = {
                .file = file, .kind = children[i].child, .descriptor = wire_bytes(&c, &f)};
            if (c.bad || !add_symbol(r, scope, child)) {
                return false;
            }
        }
    }
    return !c.bad;
}

static bool read_file(struct file *file, char *package, size_t package_size)
{
    struct cursor c = cursor_of(file->descriptor);
    struct wire_field f;
    while (wire_next(&c, &f)) {
        if (f.number == 1) {
            file->name = wire_bytes(&c, &f);
        } else if (f.number == 2) {
            wire_str(&c, &f, package, package_size);
        } else if (f.number == 3) {
            if (file->dependency_count == DEPENDENCIES_MAX) {
                return false;
            }
            file->dependencies[file->dependency_count++] = wire_bytes(&c, &f);
        }
    }
    return !c.bad;
}

static bool add_file(struct grpc_reflection *r, struct bytes descriptor)
{
    if (r->file_count == FILES_MAX) {
        return false;
    }
    r->files = mem_grow(r->files, &r->file_capacity, r->file_count + 1, sizeof r->files[0]);
    size_t index = r->file_count++;
    r->files[index] = (struct file){.descriptor = descriptor};
    char package[NAME_SIZE_MAX] = "";
    size_t next = r->symbol_count;
    if (!read_file(&r->files[index], package, sizeof package) ||
        !add_children(r, index, FILE_KIND, package, descriptor)) {
        return false;
    }
    /* What was found may hold more: the list is its own queue. */
    for (; next < r->symbol_count; next++) {
        struct symbol s = r->symbols[next];
        if (!add_children(r, index, s.kind, s.name, s.descriptor)) {
            return false;
        }
    }
    return true;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct symbol *)a)->name, ((const struct symbol *)b)->name);
}

static bool read_set(struct grpc_reflection *r, struct bytes set)
{
    struct cursor c = cursor_of(set);
    struct wire_field f;
    while (wire_next(&c, &f)) {
        if (f.number == 1 && !add_file(r, wire_bytes(&c, &f))) {
            return false;
        }
    }
    if (r->symbol_count > 0) {
        qsort(r->symbols, r->symbol_count, sizeof r->symbols[0], by_name);
    }
    return !c.bad && r->file_count > 0;
}

/* --- answering --- */

static const struct symbol *find_symbol(const struct grpc_reflection *r, struct bytes name)
{
    char text[NAME_SIZE_MAX];
    if (name.size == 0 || name.size >= sizeof text || r->symbol_count == 0) {
        return NULL;
    }
    memcpy(text, name.data, name.size);
    text[name.size] = '\0';
    struct symbol key = {.name = text};
    return bsearch(&key, r->symbols, r->symbol_count, sizeof key, by_name);
}

static size_t find_file(const struct grpc_reflection *r, struct bytes name)
{
    for (size_t i = 0; i < r->file_count; i++) {
        if (bytes_equal(r->files[i].name, name)) {
            return i;
        }
    }
    return r->file_count;
}

/* FileDescriptorResponse: the file, then all that it imports, each once. */
static void put_files(const struct grpc_reflection *r, struct buf *out, size_t first)
{
    bool seen[FILES_MAX] = {false};
    size_t queue[FILES_MAX] = {first};
    size_t count = 1;
    seen[first] = true;
    size_t mark = wire_begin(out, 4);
    for (size_t i = 0; i < count; i++) {
        const struct file *file = &r->files[queue[i]];
        wire_put_item(out, 1, file->descriptor);
        for (size_t k = 0; k < file->dependency_count; k++) {
            size_t found = find_file(r, file->dependencies[k]);
            if (found < r->file_count && !seen[found]) {
                seen[found] = true;
                queue[count++] = found;
            }
        }
    }
    wire_end(out, mark);
}

static void put_error(struct buf *out, const char *what, struct bytes name)
{
    enum { SHOWN_MAX = 200 };
    char text[NAME_SIZE_MAX];
    int shown = name.size < SHOWN_MAX ? (int)name.size : SHOWN_MAX;
    (void)snprintf(text, sizeof text, "%s not found: %.*s", what, shown,
                   name.data == NULL ? "" : (const char *)name.data);
    size_t mark = wire_begin(out, 7);
    wire_put_uint(out, 1, GRPC_NOT_FOUND);
    wire_put_str(out, 2, text);
    wire_end(out, mark);
}

static void put_services(const struct grpc_reflection *r, struct buf *out)
{
    size_t list = wire_begin(out, 6);
    for (size_t i = 0; i < r->symbol_count; i++) {
        if (r->symbols[i].kind == SERVICE) {
            size_t service = wire_begin(out, 1);
            wire_put_str(out, 1, r->symbols[i].name);
            wire_end(out, service);
        }
    }
    wire_end(out, list);
}

/* There are no extensions: an empty list for a type that exists. */
static void put_extensions(const struct grpc_reflection *r, struct buf *out, struct bytes type)
{
    const struct symbol *symbol = find_symbol(r, type);
    if (symbol == NULL || symbol->kind != MESSAGE) {
        put_error(out, "type", type);
        return;
    }
    size_t mark = wire_begin(out, 5);
    wire_put_bytes(out, 1, type);
    wire_end(out, mark);
}

/* The question that a request holds: a field number of its oneof, 0: none. */
struct question {
    uint32_t number;
    struct bytes text;
    struct bytes host;
};

static bool read_question(struct bytes message, struct question *q)
{
    struct cursor c = cursor_of(message);
    struct wire_field f;
    *q = (struct question){0};
    while (wire_next(&c, &f)) {
        if (f.number == 1) {
            q->host = wire_bytes(&c, &f);
        } else if (f.number >= 3 && f.number <= 7) {
            q->number = f.number;
            q->text = wire_bytes(&c, &f);
        }
    }
    return !c.bad && q->number != 0;
}

static void put_answer(const struct grpc_reflection *r, struct buf *out, const struct question *q)
{
    size_t file;
    switch (q->number) {
    case 3: /* file_by_filename */
        file = find_file(r, q->text);
        break;
    case 4: { /* file_containing_symbol */
        const struct symbol *symbol = find_symbol(r, q->text);
        file = symbol == NULL ? r->file_count : symbol->file;
        break;
    }
    case 6: /* all_extension_numbers_of_type */
        put_extensions(r, out, q->text);
        return;
    case 7: /* list_services */
        put_services(r, out);
        return;
    default: /* file_containing_extension */
        put_error(out, "extension", (struct bytes){0});
        return;
    }
    if (file == r->file_count) {
        put_error(out, q->number == 3 ? "file" : "symbol", q->text);
    } else {
        put_files(r, out, file);
    }
}

static void on_cancelled(struct grpc_call *call, void *user)
{
    (void)user;
    grpc_call_finish(call, GRPC_CANCELLED, NULL);
}

static const struct grpc_call_events events = {.cancelled = on_cancelled};

static void on_message(struct grpc_call *call, struct bytes message, void *context)
{
    const struct grpc_reflection *r = context;
    grpc_call_watch(call, &events, NULL);
    struct question q;
    if (!read_question(message, &q)) {
        grpc_call_finish(call, GRPC_INVALID_ARGUMENT, "not a question about this server");
        return;
    }
    struct buf out = {0};
    wire_put_bytes(&out, 1, q.host);
    wire_put_item(&out, 2, message);
    put_answer(r, &out, &q);
    grpc_call_send_take(call, &out);
}

static void on_half_close(struct grpc_call *call, void *context)
{
    (void)context;
    grpc_call_finish(call, GRPC_OK, NULL);
}

enum err_code grpc_reflection_open(struct grpc_server *s, struct bytes descriptor_set,
                                   struct grpc_reflection **out, struct err *e)
{
    struct grpc_reflection *r = mem_zalloc(sizeof *r);
    if (!read_set(r, descriptor_set)) {
        grpc_reflection_close(r);
        return err_set(e, ERR_CORRUPT, "not a FileDescriptorSet");
    }
    static const char *const paths[] = {
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"};
    for (size_t i = 0; i < 2; i++) {
        r->methods[i] = (struct grpc_method){.path = paths[i],
                                             .kind = GRPC_BIDI,
                                             .message = on_message,
                                             .half_close = on_half_close,
                                             .context = r};
    }
    grpc_server_add(s, r->methods, 2);
    *out = r;
    return ERR_OK;
}

void grpc_reflection_close(struct grpc_reflection *r)
{
    if (r == NULL) {
        return;
    }
    for (size_t i = 0; i < r->symbol_count; i++) {
        mem_free(r->symbols[i].name);
    }
    mem_free(r->symbols);
    mem_free(r->files);
    mem_free(r);
}
