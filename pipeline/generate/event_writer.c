#include "pipeline/generate/event_writer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/base/json_text.h"
#include "pipeline/output/avro_bytes.h"

#define BLOCK_BYTES 65536
#define SYNC_BYTES 16

struct event_writer {
    FILE *file;
    char *path;
    enum event_writer_format format;
    struct byte_buffer block; /* Encoded events not yet written. */
    int64_t block_events;
};

/* Not random: the same seed gives the same file, byte for byte. */
static const unsigned char sync_marker[SYNC_BYTES + 1] = "nudge-generated!";

static void append_schema(struct byte_buffer *json)
{
    json_append_raw(json, "{\"type\":\"record\",\"name\":\"click_event\",\"namespace\":\"nudge\","
                          "\"fields\":[");
    for (int field = 0; field < FIELD_ATTRIBUTES; field++) {
        json_append_separator(json);
        json_append_raw(json, "{");
        json_append_name(json, "name");
        json_append_text(json, text_of(event_fields[field].name));
        json_append_name(json, "type");
        json_append_raw(json, field == FIELD_TYPE_WORD ? "\"string\"}"
                              : field == FIELD_EVENT_TIME
                                  ? "{\"type\":\"long\",\"logicalType\":\"timestamp-millis\"}}"
                              : field < TEXT_FIELD_COUNT ? "[\"null\",\"string\"]}"
                                                         : "[\"null\",\"long\"]}");
    }
    json_append_raw(json, "]}");
}

static void append_header(struct byte_buffer *block)
{
    struct byte_buffer schema = {0};
    append_schema(&schema);
    block->has_failed = block->has_failed || schema.has_failed;
    byte_buffer_append(block, "Obj\1", 4);
    avro_append_long(block, 2);
    avro_append_text(block, text_of("avro.schema"));
    avro_append_bytes(block, schema.bytes, (uint32_t)schema.length);
    avro_append_text(block, text_of("avro.codec"));
    avro_append_bytes(block, "null", 4);
    avro_append_long(block, 0);
    byte_buffer_append(block, sync_marker, SYNC_BYTES);
    byte_buffer_release(&schema);
}

/* Room for all of it is asked for once; `at` moves on through it. */
static void append_avro(struct byte_buffer *block, const struct generated_event *event)
{
    size_t bytes_max = (size_t)EVENT_FIELD_COUNT * (1 + AVRO_LONG_BYTES_MAX);
    for (int field = 0; field < TEXT_FIELD_COUNT; field++) {
        bytes_max += event->text[field].length;
    }
    unsigned char *begin = byte_buffer_room(block, bytes_max);
    if (!begin) {
        return;
    }
    unsigned char *at = begin;
    for (int field = 0; field < TEXT_FIELD_COUNT; field++) {
        struct text value = event->text[field];
        if (field != FIELD_TYPE_WORD) {
            *at++ = value.length > 0 ? 2 : 0; /* The branch of the union, in zigzag. */
        }
        if (field == FIELD_TYPE_WORD || value.length > 0) {
            at += avro_put_long(at, value.length);
            memcpy(at, value.data, value.length);
            at += value.length;
        }
    }
    for (int field = TEXT_FIELD_COUNT; field < FIELD_ATTRIBUTES; field++) {
        bool is_present = generated_event_has_number(event, (enum event_field)field);
        if (field != FIELD_EVENT_TIME) {
            *at++ = is_present ? 2 : 0;
        }
        if (is_present) {
            at += avro_put_long(at, generated_event_number(event, (enum event_field)field));
        }
    }
    block->length += (size_t)(at - begin);
}

static void append_json(struct byte_buffer *block, const struct generated_event *event)
{
    json_append_raw(block, "{");
    json_append_name(block, event_fields[FIELD_EVENT_TIME].name);
    json_append_long(block, event->time_ms);
    for (int field = 0; field < TEXT_FIELD_COUNT; field++) {
        if (event->text[field].length > 0) {
            json_append_name(block, event_fields[field].name);
            json_append_text(block, event->text[field]);
        }
    }
    for (int field = FIELD_EVENT_TIME + 1; field < FIELD_ATTRIBUTES; field++) {
        if (generated_event_has_number(event, (enum event_field)field)) {
            json_append_name(block, event_fields[field].name);
            json_append_long(block, generated_event_number(event, (enum event_field)field));
        }
    }
    json_append_raw(block, "}\n");
}

void event_writer_encode(enum event_writer_format format, const struct generated_event *event,
                         struct byte_buffer *buffer)
{
    if (format == EVENT_WRITER_AVRO) {
        append_avro(buffer, event);
    } else {
        append_json(buffer, event);
    }
}

static enum status write_bytes(struct event_writer *writer, const void *bytes, size_t length,
                               struct error *error)
{
    if (length > 0 && fwrite(bytes, 1, length, writer->file) != length) {
        return error_set(error, STATUS_FATAL, "%s: %s", writer->path, strerror(errno));
    }
    return STATUS_OK;
}

static enum status write_block(struct event_writer *writer, struct error *error)
{
    if (writer->block.has_failed) {
        return error_set(error, STATUS_FATAL, "%s: out of memory", writer->path);
    }
    enum status status = STATUS_OK;
    bool is_framed = writer->format == EVENT_WRITER_AVRO && writer->block_events > 0;
    if (is_framed) {
        unsigned char frame[2 * AVRO_LONG_BYTES_MAX];
        uint32_t length = avro_put_long(frame, writer->block_events);
        length += avro_put_long(frame + length, (int64_t)writer->block.length);
        status = write_bytes(writer, frame, length, error);
    }
    if (status == STATUS_OK) {
        status = write_bytes(writer, writer->block.bytes, writer->block.length, error);
    }
    if (status == STATUS_OK && is_framed) {
        status = write_bytes(writer, sync_marker, SYNC_BYTES, error);
    }
    writer->block.length = 0;
    writer->block_events = 0;
    return status;
}

enum status event_writer_open(const char *path, enum event_writer_format format,
                              struct event_writer **ret_writer, struct error *error)
{
    struct event_writer *writer = calloc(1, sizeof(*writer));
    char *copy = strdup(path);
    if (!writer || !copy) {
        free(writer);
        free(copy);
        return error_set(error, STATUS_FATAL, "%s: out of memory", path);
    }
    writer->path = copy;
    writer->format = format;
    writer->file = strcmp(path, "-") == 0 ? stdout : fopen(path, "wb");
    if (!writer->file) {
        free(writer);
        free(copy);
        return error_set(error, STATUS_INVALID, "%s: %s", path, strerror(errno));
    }
    enum status status = STATUS_OK;
    if (format == EVENT_WRITER_AVRO) {
        append_header(&writer->block);
        status = write_block(writer, error);
    }
    if (status != STATUS_OK) {
        /* The first failure is the one to tell of. */
        enum status ignored = event_writer_close(writer, NULL);
        (void)ignored;
        return status;
    }
    *ret_writer = writer;
    return STATUS_OK;
}

enum status event_writer_write(struct event_writer *writer, const void *encoded, size_t length,
                               struct error *error)
{
    byte_buffer_append(&writer->block, encoded, length);
    writer->block_events++;
    return writer->block.length >= BLOCK_BYTES ? write_block(writer, error) : STATUS_OK;
}

enum status event_writer_close(struct event_writer *writer, struct error *error)
{
    if (!writer) {
        return STATUS_OK;
    }
    enum status status = write_block(writer, error);
    bool is_closed = writer->file == stdout ? fflush(stdout) == 0 : fclose(writer->file) == 0;
    if (!is_closed && status == STATUS_OK) {
        status = error_set(error, STATUS_FATAL, "%s: %s", writer->path, strerror(errno));
    }
    byte_buffer_release(&writer->block);
    free(writer->path);
    free(writer);
    return status;
}
