#include "pipeline/output/output_reader.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/output/avro_json.h"

struct output_reader {
    char *path;
    const struct output_schema *schema; /* Borrowed. */
    uint64_t record;                    /* Number of the next one, from 1. */
    FILE *file;
    char *line; /* JSON lines. */
    size_t line_bytes;
    bool is_avro;
    struct avro_file avro;   /* Avro container. */
    avro_schema_t type;      /* Its schema; NULL before it is read. */
    struct avro_input input; /* In the block. */
    uint64_t left;           /* Records left in the block. */
    struct byte_buffer json;
};

static bool ends_with(const char *path, const char *suffix)
{
    size_t length = strlen(path);
    size_t suffix_length = strlen(suffix);
    return length >= suffix_length && strcmp(path + length - suffix_length, suffix) == 0;
}

static enum status open_avro(struct output_reader *reader, struct error *error)
{
    struct avro_file *avro = &reader->avro;
    enum status status = avro_file_init(avro, reader->file, reader->path, error);
    if (status != STATUS_OK) {
        return status;
    }
    const char *json = (const char *)avro->schema.bytes;
    if (avro_schema_from_json_length(json, avro->schema.length, &reader->type) != 0) {
        reader->type = NULL;
        return error_set(error, STATUS_INVALID, "%s: its schema cannot be read: %s", reader->path,
                         avro_strerror());
    }
    if (!is_avro_record(reader->type)) {
        return error_set(error, STATUS_INVALID, "%s: its schema is not a record", reader->path);
    }
    return STATUS_OK;
}

enum status output_reader_open(const char *path, const struct output_schema *schema,
                               struct output_reader **ret_reader, struct error *error)
{
    bool is_avro = ends_with(path, ".avro");
    if (!is_avro && !ends_with(path, ".jsonl")) {
        return error_set(error, STATUS_INVALID, "%s: expected a file ending in .jsonl or .avro",
                         path);
    }
    struct output_reader *reader = calloc(1, sizeof(*reader));
    char *copy = strdup(path);
    if (!reader || !copy) {
        free(reader);
        free(copy);
        return error_set(error, STATUS_FATAL, "%s: out of memory", path);
    }
    *reader =
        (struct output_reader){.path = copy, .schema = schema, .record = 1, .is_avro = is_avro};
    enum status status = STATUS_OK;
    reader->file = fopen(path, "rb");
    if (!reader->file) {
        status = error_set(error, STATUS_INVALID, "%s: %s", path, strerror(errno));
    } else if (is_avro) {
        status = open_avro(reader, error);
    }
    if (status != STATUS_OK) {
        output_reader_close(reader);
        return status;
    }
    *ret_reader = reader;
    return STATUS_OK;
}

void output_reader_close(struct output_reader *reader)
{
    if (!reader) {
        return;
    }
    if (reader->type) {
        avro_schema_decref(reader->type);
    }
    avro_file_release(&reader->avro);
    if (reader->file) {
        (void)fclose(reader->file);
    }
    byte_buffer_release(&reader->json);
    free(reader->line);
    free(reader->path);
    free(reader);
}

static enum status next_line(struct output_reader *reader, struct text *ret_json,
                             struct error *error)
{
    errno = 0;
    ssize_t length = getline(&reader->line, &reader->line_bytes, reader->file);
    if (length < 0) {
        if (!feof(reader->file)) {
            return error_set(error, STATUS_FATAL, "%s: %s", reader->path, strerror(errno));
        }
        *ret_json = (struct text){0};
        return STATUS_OK;
    }
    if (length < 2 || reader->line[length - 1] != '\n' || (uint64_t)length > UINT32_MAX) {
        return error_set(error, STATUS_INVALID,
                         "%s: ends inside record %llu, expected a whole line", reader->path,
                         (unsigned long long)reader->record);
    }
    *ret_json = (struct text){reader->line, (uint32_t)length - 1};
    return STATUS_OK;
}

static enum status next_block(struct output_reader *reader, struct error *error)
{
    enum status status = avro_file_next(&reader->avro, &reader->left, error);
    if (status != STATUS_OK) {
        return error_prefix(error, status, "after record %llu",
                            (unsigned long long)reader->record - 1);
    }
    const struct byte_buffer *block = &reader->avro.block;
    reader->input = (struct avro_input){
        .next = block->bytes,
        .end = block->length > 0 ? block->bytes + block->length : block->bytes,
    };
    return STATUS_OK;
}

static enum status next_value(struct output_reader *reader, struct text *ret_json,
                              struct error *error)
{
    enum status status = reader->left > 0 ? STATUS_OK : next_block(reader, error);
    if (status != STATUS_OK) {
        return status;
    }
    if (reader->left == 0) {
        *ret_json = (struct text){0};
        return STATUS_OK;
    }
    reader->json.length = 0;
    avro_json_append(&reader->input, reader->type, reader->schema, &reader->json);
    reader->left--;
    bool has_rest = reader->left == 0 && reader->input.next != reader->input.end;
    if (reader->input.has_failed || has_rest) {
        return error_set(error, STATUS_INVALID, "%s: record %llu does not fit its schema or block",
                         reader->path, (unsigned long long)reader->record);
    }
    if (reader->json.has_failed || reader->json.length > UINT32_MAX) {
        return error_set(error, STATUS_FATAL, "%s: out of memory in record %llu", reader->path,
                         (unsigned long long)reader->record);
    }
    *ret_json = (struct text){(const char *)reader->json.bytes, (uint32_t)reader->json.length};
    return STATUS_OK;
}

enum status output_reader_next(struct output_reader *reader, struct text *ret_json,
                               struct error *error)
{
    enum status status =
        reader->is_avro ? next_value(reader, ret_json, error) : next_line(reader, ret_json, error);
    reader->record++;
    return status;
}
