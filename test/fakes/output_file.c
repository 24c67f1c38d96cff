#include "test/fakes/output_file.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/output/avro_bytes.h"
#include "pipeline/output/output_schema.h"

static const unsigned char sync_mark[16] = "sync mark 16 by.";

static void put_header(struct byte_buffer *file, const struct output_schema *schema)
{
    char *json = output_schema_avro(schema);
    assert(json);
    byte_buffer_append(file, "Obj\x01", 4);
    avro_append_long(file, 2);
    avro_append_text(file, text_of("avro.schema"));
    avro_append_bytes(file, json, (uint32_t)strlen(json));
    avro_append_text(file, text_of("avro.codec"));
    avro_append_text(file, text_of("null"));
    avro_append_long(file, 0);
    byte_buffer_append(file, sync_mark, sizeof(sync_mark));
    free(json);
}

static void put_block(struct byte_buffer *file, const struct output_batch *batch, enum topic topic,
                      uint64_t from, uint64_t count)
{
    uint64_t bytes = 0;
    for (uint64_t i = 0; i < count; i++) {
        bytes += output_batch_get(batch, topic, from + i).length;
    }
    avro_append_long(file, (int64_t)count);
    avro_append_long(file, (int64_t)bytes);
    for (uint64_t i = 0; i < count; i++) {
        struct output_record record = output_batch_get(batch, topic, from + i);
        byte_buffer_append(file, record.bytes, record.length);
    }
    byte_buffer_append(file, sync_mark, sizeof(sync_mark));
}

static void put_lines(struct byte_buffer *file, const struct output_batch *batch, enum topic topic)
{
    for (uint64_t i = 0; i < output_batch_count(batch, topic); i++) {
        struct output_record record = output_batch_get(batch, topic, i);
        byte_buffer_append(file, record.bytes, record.length);
        byte_buffer_append_byte(file, '\n');
    }
}

void output_file_write(const char *path, const struct output_batch *batch, enum topic topic,
                       const struct output_schema *schema, uint32_t block_records)
{
    struct byte_buffer content = {0};
    if (output_batch_format(batch) == OUTPUT_JSONL) {
        put_lines(&content, batch, topic);
    } else {
        uint64_t count = output_batch_count(batch, topic);
        put_header(&content, schema);
        for (uint64_t from = 0; from < count; from += block_records) {
            uint64_t left = count - from;
            put_block(&content, batch, topic, from, left < block_records ? left : block_records);
        }
    }
    FILE *file = fopen(path, "wb");
    assert(file && !content.has_failed);
    size_t written = content.length ? fwrite(content.bytes, 1, content.length, file) : 0;
    assert(written == content.length);
    int closed = fclose(file);
    assert(closed == 0);
    byte_buffer_release(&content);
}
