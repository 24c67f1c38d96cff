#include "pipeline/wire/registry_call.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/base/json_text.h"
#include "pipeline/base/json_tree.h"

#define ARENA_BYTES 65536
#define PATH_BYTES_MAX 2048

/* Codes of the interface that are told apart within 404. */
#define SUBJECT_NOT_FOUND 40401
#define VERSION_NOT_FOUND 40402
#define SCHEMA_NOT_FOUND 40403

struct answer {
    struct http_response response;
    struct arena arena;
    const struct json_value *json; /* NULL: the answer is not JSON. */
    int64_t error_code;            /* 0: none given. */
    char words[REGISTRY_DETAIL_BYTES];
};

/* Printable and cut: what a server says goes into logs and dead letters. */
static void copy_words(struct text from, char *ret_words)
{
    uint32_t length =
        from.length < REGISTRY_DETAIL_BYTES - 1 ? from.length : REGISTRY_DETAIL_BYTES - 1;
    for (uint32_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)from.data[i];
        ret_words[i] = (char)(byte < 0x20 || byte > 0x7e ? ' ' : byte);
    }
    ret_words[length] = '\0';
}

static void answer_init(struct answer *answer)
{
    *answer = (struct answer){0};
    arena_init(&answer->arena, ARENA_BYTES);
}

static void answer_release(struct answer *answer)
{
    byte_buffer_release(&answer->response.body);
    arena_release(&answer->arena);
}

/* `ret_answer` is initialised before and released after. */
static enum status ask(struct http_client *client, const char *path, const struct byte_buffer *body,
                       struct answer *ret_answer, struct error *error)
{
    enum status status = http_client_send(client, path, body, &ret_answer->response, error);
    if (status != STATUS_OK) {
        return status;
    }
    const struct byte_buffer *said = &ret_answer->response.body;
    struct text json = {(const char *)said->bytes, (uint32_t)said->length};
    if (json_tree_parse(json, &ret_answer->arena, &ret_answer->json, NULL) != STATUS_OK) {
        ret_answer->json = NULL;
    }
    (void)json_as_long(json_member(ret_answer->json, "error_code"), &ret_answer->error_code);
    struct text message = json_member_text(ret_answer->json, "message");
    copy_words(message.data ? message : json, ret_answer->words);
    return STATUS_OK;
}

static enum status unexpected(const char *what, const struct answer *answer, struct error *error)
{
    return error_set(error, STATUS_INVALID, "schema registry: %s: answered %ld %s", what,
                     answer->response.code, answer->words);
}

static bool read_id(const struct json_value *value, uint32_t *ret_id)
{
    int64_t id = 0;
    if (!value || !json_as_long(value, &id) || id < 0 || id > UINT32_MAX) {
        return false;
    }
    *ret_id = (uint32_t)id;
    return true;
}

enum status registry_call_hello(struct http_client *client, struct error *error)
{
    struct answer answer;
    answer_init(&answer);
    /* Any answer of the interface will do: older registries do not know this path. */
    enum status status = ask(client, "/schemas/types", NULL, &answer, error);
    if (status == STATUS_OK && !answer.json && answer.response.code != 404) {
        status = unexpected("is it one? No JSON", &answer, error);
    }
    answer_release(&answer);
    return status;
}

static enum status take_schema(const struct answer *answer, enum registry_answer *ret_answer,
                               char **ret_schema, char *ret_detail, struct error *error)
{
    struct text schema = json_member_text(answer->json, "schema");
    struct text type = json_member_text(answer->json, "schemaType");
    const struct json_value *references = json_member(answer->json, "references");
    *ret_answer = REGISTRY_UNUSABLE;
    if (!schema.data || memchr(schema.data, '\0', schema.length)) {
        return unexpected("the answer has no schema", answer, error);
    }
    if (type.data && !text_is(type, "AVRO")) {
        (void)snprintf(ret_detail, REGISTRY_DETAIL_BYTES, "its type is %.*s, expected AVRO",
                       type.length > 20 ? 20 : (int)type.length, type.data);
        return STATUS_OK;
    }
    if (references && references->kind == JSON_ARRAY && references->count > 0) {
        (void)snprintf(ret_detail, REGISTRY_DETAIL_BYTES,
                       "it refers to %u other schemas, which are not resolved", references->count);
        return STATUS_OK;
    }
    char *copy = malloc((size_t)schema.length + 1);
    if (!copy) {
        return error_set(error, STATUS_FATAL, "schema registry: out of memory");
    }
    memcpy(copy, schema.data, schema.length);
    copy[schema.length] = '\0';
    *ret_answer = REGISTRY_FOUND;
    *ret_schema = copy;
    return STATUS_OK;
}

enum status registry_call_schema(struct http_client *client, uint32_t id,
                                 enum registry_answer *ret_answer, char **ret_schema,
                                 char *ret_detail, struct error *error)
{
    char path[64];
    (void)snprintf(path, sizeof(path), "/schemas/ids/%u", (unsigned)id);
    struct answer answer;
    answer_init(&answer);
    enum status status = ask(client, path, NULL, &answer, error);
    if (status == STATUS_OK && answer.response.code == 404 &&
        answer.error_code == SCHEMA_NOT_FOUND) {
        *ret_answer = REGISTRY_UNKNOWN;
        (void)snprintf(ret_detail, REGISTRY_DETAIL_BYTES, "the registry does not know it");
    } else if (status == STATUS_OK && answer.response.code == 200) {
        status = take_schema(&answer, ret_answer, ret_schema, ret_detail, error);
    } else if (status == STATUS_OK) {
        /* A 404 of something else that stands at this address, for one. */
        status = unexpected(path, &answer, error);
    }
    answer_release(&answer);
    return status;
}

/* "/PREFIX/SUBJECT/SUFFIX" and {"schema": "..."}. */
static enum status ask_of_subject(struct http_client *client, const char *prefix,
                                  const char *subject, const char *suffix, const char *schema,
                                  struct answer *ret_answer, struct error *error)
{
    answer_init(ret_answer);
    char *escaped = http_escape(subject);
    struct byte_buffer body = {0};
    json_append_raw(&body, "{");
    json_append_name(&body, "schema");
    json_append_text(&body, text_of(schema));
    json_append_raw(&body, "}");
    char path[PATH_BYTES_MAX];
    int length = escaped ? snprintf(path, sizeof(path), "%s%s%s", prefix, escaped, suffix) : 0;
    enum status status = STATUS_OK;
    if (!escaped || body.has_failed) {
        status = error_set(error, STATUS_FATAL, "schema registry: out of memory");
    } else if (length < 0 || length >= PATH_BYTES_MAX) {
        status = error_set(error, STATUS_INVALID, "schema registry: the subject is too long");
    } else {
        status = ask(client, path, &body, ret_answer, error);
    }
    byte_buffer_release(&body);
    free(escaped);
    return status;
}

enum status registry_call_register(struct http_client *client, const char *subject,
                                   const char *schema, uint32_t *ret_id, struct error *error)
{
    struct answer answer;
    enum status status =
        ask_of_subject(client, "/subjects/", subject, "/versions", schema, &answer, error);
    if (status == STATUS_OK && answer.response.code == 409) {
        status = error_set(error, STATUS_INVALID,
                           "schema registry: %s: the schema is not compatible with the one that is "
                           "registered: %s",
                           subject, answer.words);
    } else if (status == STATUS_OK &&
               (answer.response.code != 200 || !read_id(json_member(answer.json, "id"), ret_id))) {
        status = unexpected(subject, &answer, error);
    }
    answer_release(&answer);
    return status;
}

enum status registry_call_lookup(struct http_client *client, const char *subject,
                                 const char *schema, bool *ret_is_there, uint32_t *ret_id,
                                 struct error *error)
{
    struct answer answer;
    enum status status = ask_of_subject(client, "/subjects/", subject, "", schema, &answer, error);
    if (status == STATUS_OK && answer.response.code == 404 &&
        (answer.error_code == SUBJECT_NOT_FOUND || answer.error_code == SCHEMA_NOT_FOUND)) {
        *ret_is_there = false;
    } else if (status == STATUS_OK && answer.response.code == 200 &&
               read_id(json_member(answer.json, "id"), ret_id)) {
        *ret_is_there = true;
    } else if (status == STATUS_OK) {
        status = unexpected(subject, &answer, error);
    }
    answer_release(&answer);
    return status;
}

enum status registry_call_compatible(struct http_client *client, const char *subject,
                                     const char *schema, bool *ret_is_compatible, char *ret_detail,
                                     struct error *error)
{
    struct answer answer;
    *ret_detail = '\0';
    enum status status = ask_of_subject(client, "/compatibility/subjects/", subject,
                                        "/versions/latest?verbose=true", schema, &answer, error);
    const struct json_value *flag =
        status == STATUS_OK ? json_member(answer.json, "is_compatible") : NULL;
    if (status == STATUS_OK && answer.response.code == 404 &&
        (answer.error_code == SUBJECT_NOT_FOUND || answer.error_code == VERSION_NOT_FOUND)) {
        *ret_is_compatible = true;
    } else if (flag && answer.response.code == 200 && flag->kind == JSON_BOOL) {
        *ret_is_compatible = flag->flag;
        const struct json_value *messages = json_member(answer.json, "messages");
        if (messages && messages->kind == JSON_ARRAY && messages->first &&
            messages->first->kind == JSON_TEXT) {
            copy_words(messages->first->text, ret_detail);
        }
    } else if (status == STATUS_OK) {
        status = unexpected(subject, &answer, error);
    }
    answer_release(&answer);
    return status;
}
