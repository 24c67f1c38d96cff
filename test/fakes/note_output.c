#include "test/fakes/note_output.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/output/output_internal.h"

static const struct output_field fields[] = {{.name = "n", .type = OUTPUT_LONG, .doc = "Number."}};
static const struct output_schema schema = {
    .name = "note", .doc = "A number.", .fields = fields, .field_count = 1};
static const struct output_topic topics[TOPIC_COUNT] = {
    {"a", &schema}, {"b", &schema}, {"c", &schema}, {"d", &schema},
    {"e", &schema}, {"f", &schema}, {"g", &schema}};

struct output_batch *note_batch_create(enum output_format format)
{
    struct output_batch *batch = NULL;
    enum status status = output_batch_create_for(topics, format, &batch, NULL);
    assert(status == STATUS_OK);
    return batch;
}

void note_write(struct output_batch *batch, enum topic topic, int64_t number)
{
    struct output_writer *writer = output_begin(batch, topic, (struct key128){0}, number);
    output_long(writer, number);
    output_end(writer);
}

static int64_t read_lines(const unsigned char *bytes, uint64_t length, int64_t *numbers,
                          int64_t numbers_max)
{
    int64_t count = 0;
    uint64_t at = 0;
    while (at < length) {
        const unsigned char *end = memchr(bytes + at, '\n', (size_t)(length - at));
        if (!end || length - at < 6 || memcmp(bytes + at, "{\"n\":", 5) != 0 || end[-1] != '}') {
            return -1;
        }
        if (count < numbers_max) {
            numbers[count] = strtoll((const char *)bytes + at + 5, NULL, 10);
        }
        count++;
        at = (uint64_t)(end - bytes) + 1;
    }
    return count;
}

struct avro_cursor {
    const unsigned char *bytes;
    uint64_t at;
    uint64_t length;
    bool has_failed;
};

static int64_t read_long(struct avro_cursor *cursor)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (cursor->at == cursor->length) {
            break;
        }
        unsigned char byte = cursor->bytes[cursor->at++];
        value |= (uint64_t)(byte & 127) << shift;
        if (byte < 128) {
            return (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
        }
    }
    cursor->has_failed = true;
    return 0;
}

static const unsigned char *take_bytes(struct avro_cursor *cursor, int64_t count)
{
    if (cursor->has_failed || count < 0 || (uint64_t)count > cursor->length - cursor->at) {
        cursor->has_failed = true;
        return NULL;
    }
    cursor->at += (uint64_t)count;
    return cursor->bytes + cursor->at - count;
}

static int64_t read_container(const unsigned char *bytes, uint64_t length, int64_t *numbers,
                              int64_t numbers_max)
{
    struct avro_cursor cursor = {.bytes = bytes, .length = length};
    const unsigned char *magic = take_bytes(&cursor, 4);
    if (!magic || memcmp(magic, "Obj\x01", 4) != 0) {
        return -1;
    }
    for (int64_t entries = read_long(&cursor); entries > 0 && !cursor.has_failed;
         entries = read_long(&cursor)) {
        for (int64_t i = 0; i < 2 * entries && !cursor.has_failed; i++) {
            (void)take_bytes(&cursor, read_long(&cursor));
        }
    }
    const unsigned char *marker = take_bytes(&cursor, 16);
    int64_t count = 0;
    while (!cursor.has_failed && cursor.at < cursor.length) {
        int64_t records = read_long(&cursor);
        int64_t block_bytes = read_long(&cursor);
        uint64_t begin = cursor.at;
        for (int64_t i = 0; i < records && !cursor.has_failed; i++) {
            int64_t number = read_long(&cursor);
            if (count < numbers_max) {
                numbers[count] = number;
            }
            count++;
        }
        bool is_as_long = cursor.at - begin == (uint64_t)block_bytes;
        const unsigned char *block_marker = take_bytes(&cursor, 16);
        if (!block_marker || !is_as_long || memcmp(block_marker, marker, 16) != 0) {
            return -1;
        }
    }
    return cursor.has_failed ? -1 : count;
}

int64_t note_read(enum output_format format, const unsigned char *bytes, uint64_t length,
                  int64_t *numbers, int64_t numbers_max)
{
    return format == OUTPUT_JSONL ? read_lines(bytes, length, numbers, numbers_max)
                                  : read_container(bytes, length, numbers, numbers_max);
}
