#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "pipeline/output/output_internal.h"

#define PLAN_BLOCK_BYTES 16384u
/* A buffer that one unusual batch made larger than this is given back. */
#define KEPT_BYTES_MAX ((size_t)32 << 20)

/* Returns {"name": or ,"name": or NULL. Names are Avro names, so nothing needs escaping. */
static const char *make_prefix(struct arena *arena, const char *name, bool is_first)
{
    size_t bytes = strlen(name) + sizeof("{\"\":");
    size_t taken = bytes < PREFIX_BYTES ? PREFIX_BYTES : bytes;
    char *prefix = arena_take(arena, taken);
    if (prefix) {
        memset(prefix, 0, taken);
        (void)snprintf(prefix, bytes, "%c\"%s\":", is_first ? '{' : ',', name);
    }
    return prefix;
}

/* NULL when memory is exhausted. */
static const struct plan *plan_make(struct arena *arena, const struct output_schema *schema,
                                    uint32_t depth)
{
    assert(depth <= OUTPUT_DEPTH_MAX && schema->field_count > 0);
    struct plan *plan = arena_take(arena, sizeof(*plan));
    struct plan_field *fields = arena_array(arena, struct plan_field, schema->field_count);
    if (!plan || !fields) {
        return NULL;
    }
    for (uint32_t i = 0; i < schema->field_count; i++) {
        const struct output_field *field = &schema->fields[i];
        bool has_record = field->type == OUTPUT_RECORD || field->type == OUTPUT_RECORD_ARRAY;
        assert(has_record == (field->record != NULL));
        fields[i] = (struct plan_field){
            .prefix = make_prefix(arena, field->name, i == 0),
            .prefix_length = (uint32_t)strlen(field->name) + 4,
            .type = (uint8_t)field->type,
            .is_nullable = field->is_nullable,
            .record = has_record ? plan_make(arena, field->record, depth + 1) : NULL,
        };
        if (!fields[i].prefix || (has_record && !fields[i].record)) {
            return NULL;
        }
    }
    *plan = (struct plan){.fields = fields, .field_count = schema->field_count};
    return plan;
}

enum status output_batch_create(enum output_format format, struct output_batch **ret_batch,
                                struct error *error)
{
    return output_batch_create_for(output_topics, format, ret_batch, error);
}

enum status output_batch_create_for(const struct output_topic *topics, enum output_format format,
                                    struct output_batch **ret_batch, struct error *error)
{
    struct output_batch *batch = calloc(1, sizeof(*batch));
    if (!batch) {
        return error_set(error, STATUS_FATAL, "out of memory for output batch");
    }
    batch->format = format;
    arena_init(&batch->plans, PLAN_BLOCK_BYTES);
    for (int topic = 0; topic < TOPIC_COUNT; topic++) {
        struct output_writer *writer = &batch->writers[topic];
        writer->is_avro = format == OUTPUT_AVRO;
        writer->bytes.bytes_max = OUTPUT_BYTES_MAX;
        writer->plan = plan_make(&batch->plans, topics[topic].schema, 1);
        if (!writer->plan) {
            output_batch_destroy(batch);
            return error_set(error, STATUS_FATAL, "out of memory for output batch");
        }
    }
    *ret_batch = batch;
    return STATUS_OK;
}

void output_batch_destroy(struct output_batch *batch)
{
    if (!batch) {
        return;
    }
    for (int topic = 0; topic < TOPIC_COUNT; topic++) {
        byte_buffer_release(&batch->writers[topic].bytes);
        byte_buffer_release(&batch->writers[topic].entries);
    }
    arena_release(&batch->plans);
    free(batch);
}

static void buffer_reset(struct byte_buffer *buffer)
{
    if (buffer->capacity > KEPT_BYTES_MAX) {
        byte_buffer_release(buffer);
    }
    buffer->length = 0;
    buffer->has_failed = false;
}

void output_batch_reset(struct output_batch *batch)
{
    for (int topic = 0; topic < TOPIC_COUNT; topic++) {
        struct output_writer *writer = &batch->writers[topic];
        assert(writer->depth == 0);
        buffer_reset(&writer->bytes);
        buffer_reset(&writer->entries);
    }
}

enum output_format output_batch_format(const struct output_batch *batch)
{
    return batch->format;
}

uint64_t output_batch_count(const struct output_batch *batch, enum topic topic)
{
    return batch->writers[topic].entries.length / sizeof(struct record_entry);
}

uint64_t output_batch_bytes(const struct output_batch *batch)
{
    uint64_t bytes = 0;
    for (int topic = 0; topic < TOPIC_COUNT; topic++) {
        const struct output_writer *writer = &batch->writers[topic];
        bytes += writer->depth > 0 ? writer->open.start : writer->bytes.length;
    }
    return bytes;
}

struct output_record output_batch_get(const struct output_batch *batch, enum topic topic,
                                      uint64_t index)
{
    assert(index < output_batch_count(batch, topic));
    const struct output_writer *writer = &batch->writers[topic];
    struct record_entry entry;
    memcpy(&entry, writer->entries.bytes + index * sizeof(entry), sizeof(entry));
    return (struct output_record){
        .key = entry.key,
        .time_ms = entry.time_ms,
        .cause = entry.cause,
        .bytes = writer->bytes.bytes + entry.start,
        .length = entry.length,
    };
}

bool output_batch_failed(const struct output_batch *batch)
{
    bool has_failed = false;
    for (int topic = 0; topic < TOPIC_COUNT; topic++) {
        const struct output_writer *writer = &batch->writers[topic];
        has_failed = has_failed || writer->bytes.has_failed || writer->entries.has_failed;
    }
    return has_failed;
}

void output_batch_set_bytes_max(struct output_batch *batch, uint64_t bytes_max)
{
    assert(bytes_max > 0 && bytes_max <= OUTPUT_BYTES_MAX);
    for (int topic = 0; topic < TOPIC_COUNT; topic++) {
        batch->writers[topic].bytes.bytes_max = (size_t)bytes_max;
    }
}
