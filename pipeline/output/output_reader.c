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
    avro_file_reader_t avro; /* Avro container. */
    avro_value_iface_t *iface;
    avro_value_t value;
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
    if (avro_file_reader_fp(reader->file, reader->path, 0, &reader->avro) != 0) {
        reader->avro = NULL;
        return error_set(error, STATUS_INVALID, "%s: not an Avro container: %s", reader->path,
                         avro_strerror());
    }
    avro_schema_t schema = avro_file_reader_get_writer_schema(reader->avro);
    enum status status = STATUS_OK;
    if (!is_avro_record(schema)) {
        status = error_set(error, STATUS_INVALID, "%s: its schema is not a record", reader->path);
    } else {
        reader->iface = avro_generic_class_from_schema(schema);
        if (!reader->iface || avro_generic_value_new(reader->iface, &reader->value) != 0) {
            status = error_set(error, STATUS_INVALID, "%s: schema cannot be used: %s", reader->path,
                               avro_strerror());
        }
    }
    avro_schema_decref(schema);
    return status;
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
    *reader = (struct output_reader){.path = copy, .schema = schema, .record = 1};
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
    if (reader->value.iface) {
        avro_value_decref(&reader->value);
    }
    if (reader->iface) {
        avro_value_iface_decref(reader->iface);
    }
    if (reader->avro) {
        (void)avro_file_reader_close(reader->avro);
    }
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

static enum status next_value(struct output_reader *reader, struct text *ret_json,
                              struct error *error)
{
    (void)avro_value_reset(&reader->value);
    int result = avro_file_reader_read_value(reader->avro, &reader->value);
    if (result == EOF) {
        *ret_json = (struct text){0};
        return STATUS_OK;
    }
    reader->json.length = 0;
    if (result != 0 || !avro_json_append_record(&reader->value, reader->schema, &reader->json)) {
        return error_set(error, STATUS_INVALID, "%s: record %llu cannot be read: %s", reader->path,
                         (unsigned long long)reader->record, avro_strerror());
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
        reader->avro ? next_value(reader, ret_json, error) : next_line(reader, ret_json, error);
    reader->record++;
    return status;
}
