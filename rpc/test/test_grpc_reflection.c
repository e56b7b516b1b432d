/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/grpc_reflection.h"

#include "proto/descriptors.h"
#include "proto/wire.h"
#include "rpc/grpc_inbox.h"
#include "rpc/test/echo_server.h"
#include "rpc/test/raw_client.h"

/* Fields of the oneofs of ServerReflectionRequest and ServerReflectionResponse. */
enum ask { BY_FILENAME = 3, BY_SYMBOL = 4, BY_EXTENSION = 5, EXTENSIONS_OF = 6, LIST_SERVICES = 7 };
enum answer_kind { FILES = 4, EXTENSIONS = 5, SERVICES = 6, ERROR = 7 };

enum { PARTS_MAX = 64 };

/* An answer: which it is, and its parts: files, names, or the error's text. */
struct answer {
    uint32_t kind;
    uint64_t error_code;
    struct bytes parts[PARTS_MAX];
    size_t count;
    struct buf memory;
};

struct fixture {
    struct loop loop;
    struct echo_server echo;
    struct grpc_reflection *reflection;
    struct raw_client *client;
};

static struct fixture *fixture_open(void)
{
    struct fixture *f = mem_zalloc(sizeof *f);
    loop_open(&f->loop);
    echo_server_open(&f->echo, &f->loop, (struct grpc_server_options){0});
    REQUIRE_OK(grpc_reflection_open(f->echo.server,
                                    bytes_of(proto_descriptor_set, proto_descriptor_set_size),
                                    &f->reflection, NULL));
    f->client = raw_open(&f->loop, grpc_server_port(f->echo.server), true);
    return f;
}

static void fixture_close(struct fixture *f)
{
    raw_close(f->client, &f->loop);
    echo_server_close(&f->echo);
    grpc_reflection_close(f->reflection);
    loop_close(&f->loop);
    mem_free(f);
}

static void add_part(struct answer *a, struct bytes part)
{
    REQUIRE(a->count < PARTS_MAX);
    a->parts[a->count++] = part;
}

/* The message inside the oneof: parts are its repeated field 1, or an error. */
static void read_response(struct answer *a, struct bytes response)
{
    struct cursor c = cursor_of(response);
    struct wire_field f;
    while (wire_next(&c, &f)) {
        if (f.type == WIRE_VARINT) {
            a->error_code = f.value;
        } else if (a->kind == SERVICES) {
            struct cursor service = cursor_of(f.bytes);
            struct wire_field name;
            REQUIRE(wire_next(&service, &name));
            add_part(a, name.bytes);
        } else {
            add_part(a, f.bytes);
        }
    }
    EXPECT(!c.bad);
}

static void read_answer(struct answer *a, struct bytes message, struct bytes question)
{
    struct cursor c = cursor_of(message);
    struct wire_field f;
    struct bytes original = {0};
    while (wire_next(&c, &f)) {
        if (f.number == 2) {
            original = f.bytes;
        } else if (f.number >= FILES) {
            a->kind = f.number;
            read_response(a, f.bytes);
        }
    }
    EXPECT(!c.bad);
    EXPECT(bytes_equal(original, question));
}

/* One question over a stream of 'version'. */
static struct answer ask(struct fixture *f, const char *version, enum ask what, const char *text)
{
    char path[100];
    (void)snprintf(path, sizeof path, "/grpc.reflection.%s.ServerReflection/ServerReflectionInfo",
                   version);
    struct buf question = {0};
    wire_put_item(&question, what, bytes_str(text));
    struct buf request = {0};
    grpc_prefix_encode(buf_extend(&request, GRPC_PREFIX_SIZE), question.size);
    buf_put_bytes(&request, buf_bytes(&question));
    struct raw_body body = {.bytes = buf_bytes(&request)};
    struct raw_stream *s = raw_stream(f->client, raw_grpc(f->client, path, &body));
    WAIT_FOR(&f->loop, s->closed);
    EXPECT_STR(s->grpc_status, "0");
    REQUIRE(s->data.size > GRPC_PREFIX_SIZE);
    struct answer a = {.memory = s->data};
    s->data = (struct buf){0};
    read_answer(&a, bytes_of(a.memory.data + GRPC_PREFIX_SIZE, a.memory.size - GRPC_PREFIX_SIZE),
                buf_bytes(&question));
    buf_deinit(&question);
    buf_deinit(&request);
    return a;
}

static bool has_part(const struct answer *a, const char *text)
{
    for (size_t i = 0; i < a->count; i++) {
        if (bytes_equal(a->parts[i], bytes_str(text))) {
            return true;
        }
    }
    return false;
}

TEST(grpc_reflection, lists_the_services_in_both_versions)
{
    struct fixture *f = fixture_open();
    static const char *const versions[] = {"v1", "v1alpha"};
    for (size_t i = 0; i < 2; i++) {
        struct answer a = ask(f, versions[i], LIST_SERVICES, "");
        EXPECT_UINT(a.kind, SERVICES);
        EXPECT(has_part(&a, "tidemark.v1.Data"));
        EXPECT(has_part(&a, "grpc.health.v1.Health"));
        EXPECT(has_part(&a, "grpc.reflection.v1.ServerReflection"));
        EXPECT(!has_part(&a, "tidemark.v1.WriteRequest"));
        buf_deinit(&a.memory);
    }
    fixture_close(f);
}

/* The file asked for comes first, then what it imports, each once. */
static void expect_files(struct fixture *f, enum ask what, const char *text, size_t count,
                         const char *first)
{
    struct answer a = ask(f, "v1", what, text);
    EXPECT_UINT(a.kind, FILES);
    REQUIRE_UINT(a.count, count);
    size_t size = strlen(first);
    REQUIRE(a.parts[0].size > size + 2);
    EXPECT_UINT(a.parts[0].data[0], 0x0a); /* field 1: its name */
    EXPECT_UINT(a.parts[0].data[1], size);
    EXPECT_MEM(a.parts[0].data + 2, first, size);
    buf_deinit(&a.memory);
}

TEST(grpc_reflection, finds_the_file_of_any_symbol)
{
    static const struct {
        const char *symbol;
        const char *file;
        size_t files;
    } cases[] = {
        {"grpc.health.v1.Health", "grpc/health/v1/health.proto", 1},
        {"grpc.health.v1.Health.Check", "grpc/health/v1/health.proto", 1},
        {"grpc.health.v1.HealthCheckResponse", "grpc/health/v1/health.proto", 1},
        {"grpc.health.v1.HealthCheckResponse.ServingStatus", "grpc/health/v1/health.proto", 1},
        {"grpc.health.v1.HealthCheckRequest.service", "grpc/health/v1/health.proto", 1},
        {"tidemark.v1.Data", "tidemark/v1/data.proto", 1},
        {"tidemark.v1.Admin", "tidemark/v1/admin.proto", 2}, /* imports data.proto */
    };
    struct fixture *f = fixture_open();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        expect_files(f, BY_SYMBOL, cases[i].symbol, cases[i].files, cases[i].file);
    }
    expect_files(f, BY_FILENAME, "tidemark/v1/admin.proto", 2, "tidemark/v1/admin.proto");
    fixture_close(f);
}

TEST(grpc_reflection, what_is_unknown_is_an_error_response)
{
    static const struct {
        enum ask what;
        const char *text;
    } cases[] = {{BY_SYMBOL, "no.such.Thing"},
                 {BY_SYMBOL, ""},
                 {BY_FILENAME, "no/such.proto"},
                 {BY_FILENAME, ""},
                 {EXTENSIONS_OF, "no.such.Thing"},
                 {EXTENSIONS_OF, "grpc.health.v1.Health"}, /* no message */
                 {BY_EXTENSION, ""}};
    struct fixture *f = fixture_open();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct answer a = ask(f, "v1", cases[i].what, cases[i].text);
        EXPECT_UINT(a.kind, ERROR);
        EXPECT_UINT(a.error_code, GRPC_NOT_FOUND);
        REQUIRE_UINT(a.count, 1);
        buf_put_u8(&a.memory, 0); /* the text is the last field */
        const char *end = (const char *)a.memory.data + a.memory.size - 1;
        EXPECT_STR(end - strlen(cases[i].text), cases[i].text);
        buf_deinit(&a.memory);
    }
    struct answer a = ask(f, "v1", EXTENSIONS_OF, "grpc.health.v1.HealthCheckRequest");
    EXPECT_UINT(a.kind, EXTENSIONS);
    EXPECT_UINT(a.count, 1); /* the type's name, and no number */
    EXPECT(has_part(&a, "grpc.health.v1.HealthCheckRequest"));
    buf_deinit(&a.memory);
    fixture_close(f);
}

TEST(grpc_reflection, nonsense_ends_the_stream_with_invalid_argument)
{
    struct fixture *f = fixture_open();
    static const char *const bodies[] = {"\0\0\0\0\0", "\0\0\0\0\2\xff\xff", "\0\0\0\0\2\x1a\x7f"};
    static const size_t sizes[] = {5, 7, 7};
    for (size_t i = 0; i < 3; i++) {
        struct raw_body body = {.bytes = bytes_of(bodies[i], sizes[i])};
        int32_t id =
            raw_grpc(f->client, "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", &body);
        WAIT_FOR(&f->loop, raw_stream(f->client, id)->closed);
        EXPECT_STR(raw_stream(f->client, id)->grpc_status, "3");
    }
    EXPECT_UINT(echo_stats(&f->echo).calls_open, 0);
    fixture_close(f);
}

/* A descriptor set cut anywhere is refused or read, never a crash. */
TEST(grpc_reflection, damaged_descriptor_sets_are_refused)
{
    struct loop loop;
    struct echo_server echo;
    loop_open(&loop);
    echo_server_open(&echo, &loop, (struct grpc_server_options){0});
    struct grpc_reflection *r = NULL;
    struct err e;
    EXPECT_ERR(grpc_reflection_open(echo.server, bytes_of(NULL, 0), &r, &e), ERR_CORRUPT);
    EXPECT_ERR(grpc_reflection_open(echo.server, bytes_str("nonsense"), &r, &e), ERR_CORRUPT);
    for (size_t size = 1; size < 200; size++) {
        /* A copy of exactly that size: a read beyond it would be seen. */
        uint8_t *cut = mem_dup(proto_descriptor_set, size);
        EXPECT_ERR(grpc_reflection_open(echo.server, bytes_of(cut, size), &r, &e), ERR_CORRUPT);
        mem_free(cut);
    }
    grpc_reflection_close(NULL);
    echo_server_close(&echo);
    loop_close(&loop);
}
