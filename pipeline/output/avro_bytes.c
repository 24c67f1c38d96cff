#include "pipeline/output/avro_bytes.h"

#include <assert.h>
#include <math.h>

#include "pipeline/base/utf8.h"

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "floats are copied as they are in memory");

uint32_t avro_put_long(unsigned char *bytes, int64_t value)
{
    uint64_t left = ((uint64_t)value << 1) ^ (uint64_t) - (int64_t)(value < 0);
    uint32_t length = 0;
    while (left > 0x7F) {
        bytes[length++] = (unsigned char)(left | 0x80);
        left >>= 7;
    }
    bytes[length++] = (unsigned char)left;
    return length;
}

void avro_append_long(struct byte_buffer *avro, int64_t value)
{
    unsigned char *room = byte_buffer_room(avro, AVRO_LONG_BYTES_MAX);
    if (room) {
        avro->length += avro_put_long(room, value);
    }
}

void avro_append_double(struct byte_buffer *avro, double value)
{
    double written = isfinite(value) ? value : (double)NAN;
    byte_buffer_append(avro, &written, sizeof(written));
}

void avro_append_float(struct byte_buffer *avro, float value)
{
    float written = isfinite(value) ? value : NAN;
    byte_buffer_append(avro, &written, sizeof(written));
}

void avro_append_bytes(struct byte_buffer *avro, const void *bytes, uint32_t length)
{
    unsigned char *room = byte_buffer_room(avro, AVRO_LONG_BYTES_MAX + (size_t)length);
    if (!room) {
        return;
    }
    uint32_t head = avro_put_long(room, length);
    if (length > 0) {
        memcpy(room + head, bytes, length);
    }
    avro->length += head + (size_t)length;
}

/* The length of `value` once every invalid sequence is a U+FFFD. */
static uint64_t repaired_length(struct text value)
{
    uint64_t length = 0;
    for (uint32_t i = 0; i < value.length;) {
        bool is_valid;
        uint32_t sequence = utf8_sequence(value.data + i, value.length - i, &is_valid);
        length += is_valid ? sequence : 3;
        i += sequence;
    }
    return length;
}

static void append_repaired(struct byte_buffer *avro, struct text value, uint64_t length)
{
    unsigned char *to = byte_buffer_room(avro, AVRO_LONG_BYTES_MAX + (size_t)length);
    if (!to) {
        return;
    }
    uint32_t head = avro_put_long(to, (int64_t)length);
    avro->length += head + length;
    to += head;
    for (uint32_t i = 0; i < value.length;) {
        bool is_valid;
        uint32_t sequence = utf8_sequence(value.data + i, value.length - i, &is_valid);
        uint32_t count = is_valid ? sequence : 3;
        memcpy(to, is_valid ? value.data + i : UTF8_REPLACEMENT, count);
        to += count;
        i += sequence;
    }
}

void avro_append_text(struct byte_buffer *avro, struct text value)
{
    if (value.length == 0 || utf8_ascii_length(value.data, value.length) == value.length) {
        avro_append_bytes(avro, value.data, value.length);
    } else {
        append_repaired(avro, value, repaired_length(value));
    }
}

void avro_append_floats(struct byte_buffer *avro, const float *values, uint32_t count)
{
    size_t bytes = sizeof(*values) * (size_t)count;
    unsigned char *room = byte_buffer_room(avro, AVRO_LONG_BYTES_MAX + bytes + 1);
    if (!room) {
        return;
    }
    unsigned char *to = room;
    if (count > 0) {
        to += avro_put_long(to, count);
        for (uint32_t i = 0; i < count; i++, to += sizeof(float)) {
            float written = isfinite(values[i]) ? values[i] : NAN;
            memcpy(to, &written, sizeof(written));
        }
    }
    *to++ = 0;
    avro->length += (size_t)(to - room);
}
