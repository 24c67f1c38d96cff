#include <assert.h>
#include <math.h>

#include "pipeline/base/json_text.h"
#include "pipeline/output/avro_bytes.h"
#include "pipeline/output/output_internal.h"

/* Branches of the union ["null", T] that every nullable field is. */
#define UNION_NULL 0x00
#define UNION_VALUE 0x02

static struct frame *top_frame(struct output_writer *writer)
{
    assert(writer->depth > 0);
    return &writer->frames[writer->depth - 1];
}

static void push_frame(struct output_writer *writer, struct frame frame)
{
    assert(writer->depth < OUTPUT_DEPTH_MAX);
    writer->frames[writer->depth++] = frame;
}

/* Most names are short: copying a fixed number of bytes is faster than copying as many as needed.
 */
static void put_prefix(struct byte_buffer *json, const struct plan_field *field)
{
    if (field->prefix_length > PREFIX_BYTES) {
        byte_buffer_append(json, field->prefix, field->prefix_length);
        return;
    }
    unsigned char *room = byte_buffer_room(json, PREFIX_BYTES);
    if (room) {
        memcpy(room, field->prefix, PREFIX_BYTES);
        json->length += field->prefix_length;
    }
}

/* What stands before a field's value. */
static void put_field_start(struct output_writer *writer, const struct plan_field *field,
                            unsigned char branch)
{
    if (!writer->is_avro) {
        put_prefix(&writer->bytes, field);
    } else if (field->is_nullable) {
        byte_buffer_append_byte(&writer->bytes, branch);
    }
}

/* The next value, which must be of `type`: a field of a record or the value of a map's entry. */
static const struct plan_field *value_begin(struct output_writer *writer, enum output_type type)
{
    struct frame *frame = top_frame(writer);
    if (frame->kind == FRAME_MAP) {
        assert(frame->is_named && frame->value_type == type);
        frame->is_named = false;
        return NULL;
    }
    assert(frame->kind == FRAME_RECORD && frame->next < frame->plan->field_count);
    const struct plan_field *field = &frame->plan->fields[frame->next++];
    assert(field->type == type);
    put_field_start(writer, field, UNION_VALUE);
    return field;
}

struct output_writer *output_begin(struct output_batch *batch, enum topic topic, struct key128 key,
                                   int64_t time_ms)
{
    struct output_writer *writer = &batch->writers[topic];
    assert(writer->depth == 0);
    writer->open = (struct record_entry){
        .key = key,
        .time_ms = time_ms,
        .cause = OUTPUT_CAUSE_NONE,
        .start = writer->bytes.length,
    };
    push_frame(writer, (struct frame){.kind = FRAME_RECORD, .plan = writer->plan});
    return writer;
}

void output_set_cause(struct output_writer *writer, uint64_t ordinal)
{
    assert(writer->depth > 0);
    writer->open.cause = ordinal;
}

void output_end(struct output_writer *writer)
{
    struct frame *frame = top_frame(writer);
    assert(writer->depth == 1 && frame->next == frame->plan->field_count);
    writer->depth = 0;
    if (!writer->is_avro) {
        byte_buffer_append_byte(&writer->bytes, '}');
    }
    if (!writer->bytes.has_failed) {
        writer->open.length = (uint32_t)(writer->bytes.length - writer->open.start);
        byte_buffer_append(&writer->entries, &writer->open, sizeof(writer->open));
    }
}

void output_null(struct output_writer *writer)
{
    struct frame *frame = top_frame(writer);
    assert(frame->kind == FRAME_RECORD && frame->next < frame->plan->field_count);
    const struct plan_field *field = &frame->plan->fields[frame->next++];
    assert(field->is_nullable);
    put_field_start(writer, field, UNION_NULL);
    if (!writer->is_avro) {
        json_append_null(&writer->bytes);
    }
}

void output_text(struct output_writer *writer, struct text value)
{
    (void)value_begin(writer, OUTPUT_TEXT);
    if (writer->is_avro) {
        avro_append_text(&writer->bytes, value);
    } else {
        json_append_text(&writer->bytes, value);
    }
}

/* Spreads the eight digits of a word over eight bytes, then turns all into characters at once. */
static uint64_t hex_word(uint32_t value)
{
    const uint64_t each = UINT64_C(0x0101010101010101);
    uint64_t digits = value;
    digits = (digits | digits << 16) & UINT64_C(0x0000FFFF0000FFFF);
    digits = (digits | digits << 8) & UINT64_C(0x00FF00FF00FF00FF);
    digits = (digits | digits << 4) & UINT64_C(0x0F0F0F0F0F0F0F0F);
    uint64_t is_letter = (digits + each * 6) >> 4 & each; /* 10 and above. */
    return digits + each * '0' + is_letter * ('a' - '0' - 10);
}

static void put_hex(unsigned char *to, uint64_t value)
{
    uint64_t high = __builtin_bswap64(hex_word((uint32_t)(value >> 32)));
    uint64_t low = __builtin_bswap64(hex_word((uint32_t)value));
    memcpy(to, &high, sizeof(high));
    memcpy(to + 8, &low, sizeof(low));
}

/* `count` words of 16 hexadecimal digits as one text. */
static void put_hex_text(struct output_writer *writer, const uint64_t *words, uint32_t count)
{
    (void)value_begin(writer, OUTPUT_TEXT);
    unsigned char *to = byte_buffer_room(&writer->bytes, AVRO_LONG_BYTES_MAX + 16 * (size_t)count);
    if (!to) {
        return;
    }
    unsigned char *start = to;
    if (writer->is_avro) {
        to += avro_put_long(to, 16 * (int64_t)count);
    } else {
        *to++ = '"';
    }
    for (uint32_t i = 0; i < count; i++, to += 16) {
        put_hex(to, words[i]);
    }
    if (!writer->is_avro) {
        *to++ = '"';
    }
    writer->bytes.length += (size_t)(to - start);
}

void output_key(struct output_writer *writer, struct key128 value)
{
    put_hex_text(writer, (const uint64_t[]){value.high, value.low}, 2);
}

void output_id(struct output_writer *writer, uint64_t value)
{
    put_hex_text(writer, &value, 1);
}

void output_long(struct output_writer *writer, int64_t value)
{
    (void)value_begin(writer, OUTPUT_LONG);
    if (writer->is_avro) {
        avro_append_long(&writer->bytes, value);
    } else {
        json_append_long(&writer->bytes, value);
    }
}

void output_double(struct output_writer *writer, double value)
{
    if (!isfinite(value)) {
        output_null(writer);
        return;
    }
    (void)value_begin(writer, OUTPUT_DOUBLE);
    if (writer->is_avro) {
        avro_append_double(&writer->bytes, value);
    } else {
        json_append_double(&writer->bytes, value);
    }
}

void output_float(struct output_writer *writer, float value)
{
    if (!isfinite(value)) {
        output_null(writer);
        return;
    }
    (void)value_begin(writer, OUTPUT_FLOAT);
    if (writer->is_avro) {
        avro_append_float(&writer->bytes, value);
    } else {
        json_append_float(&writer->bytes, value);
    }
}

void output_bool(struct output_writer *writer, bool value)
{
    (void)value_begin(writer, OUTPUT_BOOL);
    if (writer->is_avro) {
        byte_buffer_append_byte(&writer->bytes, value);
    } else {
        json_append_bool(&writer->bytes, value);
    }
}

void output_time(struct output_writer *writer, int64_t time_ms)
{
    (void)value_begin(writer, OUTPUT_TIME);
    if (writer->is_avro) {
        avro_append_long(&writer->bytes, time_ms);
    } else {
        json_append_time(&writer->bytes, time_ms);
    }
}

void output_bytes(struct output_writer *writer, const void *bytes, uint32_t length)
{
    (void)value_begin(writer, OUTPUT_BYTES);
    if (writer->is_avro) {
        avro_append_bytes(&writer->bytes, bytes, length);
    } else {
        json_append_bytes(&writer->bytes, bytes, length);
    }
}

void output_float_array(struct output_writer *writer, const float *values, uint32_t count)
{
    (void)value_begin(writer, OUTPUT_FLOAT_ARRAY);
    if (writer->is_avro) {
        avro_append_floats(&writer->bytes, values, count);
        return;
    }
    byte_buffer_append_byte(&writer->bytes, '[');
    for (uint32_t i = 0; i < count; i++) {
        if (i > 0) {
            byte_buffer_append_byte(&writer->bytes, ',');
        }
        json_append_float(&writer->bytes, values[i]);
    }
    byte_buffer_append_byte(&writer->bytes, ']');
}

/* Between two entries of a JSON array or map. */
static void put_comma(struct output_writer *writer, struct frame *frame)
{
    if (!frame->is_first && !writer->is_avro) {
        byte_buffer_append_byte(&writer->bytes, ',');
    }
    frame->is_first = false;
}

void output_record_begin(struct output_writer *writer)
{
    struct frame *frame = top_frame(writer);
    const struct plan *plan = frame->plan;
    if (frame->kind == FRAME_ARRAY) {
        assert(frame->left > 0);
        frame->left--;
        put_comma(writer, frame);
    } else {
        plan = value_begin(writer, OUTPUT_RECORD)->record;
    }
    push_frame(writer, (struct frame){.kind = FRAME_RECORD, .plan = plan});
}

void output_record_end(struct output_writer *writer)
{
    struct frame *frame = top_frame(writer);
    assert(writer->depth > 1 && frame->kind == FRAME_RECORD);
    assert(frame->next == frame->plan->field_count);
    writer->depth--;
    if (!writer->is_avro) {
        byte_buffer_append_byte(&writer->bytes, '}');
    }
}

/* The start of an array or a map: a bracket, or the number of entries in the only block. */
static void put_block_start(struct output_writer *writer, unsigned char bracket, uint32_t count)
{
    if (!writer->is_avro) {
        byte_buffer_append_byte(&writer->bytes, bracket);
    } else if (count > 0) {
        avro_append_long(&writer->bytes, count);
    }
}

static void put_block_end(struct output_writer *writer, unsigned char bracket, enum frame_kind kind)
{
    struct frame *frame = top_frame(writer);
    assert(frame->kind == kind && frame->left == 0 && !frame->is_named);
    writer->depth--;
    byte_buffer_append_byte(&writer->bytes, writer->is_avro ? 0 : bracket);
}

void output_array_begin(struct output_writer *writer, uint32_t count)
{
    const struct plan_field *field = value_begin(writer, OUTPUT_RECORD_ARRAY);
    put_block_start(writer, '[', count);
    push_frame(writer, (struct frame){
                           .kind = FRAME_ARRAY,
                           .plan = field->record,
                           .left = count,
                           .is_first = true,
                       });
}

void output_array_end(struct output_writer *writer)
{
    put_block_end(writer, ']', FRAME_ARRAY);
}

void output_map_begin(struct output_writer *writer, uint32_t count)
{
    struct frame *frame = top_frame(writer);
    assert(frame->kind == FRAME_RECORD && frame->next < frame->plan->field_count);
    enum output_type type = (enum output_type)frame->plan->fields[frame->next].type;
    assert(type == OUTPUT_LONG_MAP || type == OUTPUT_TEXT_MAP);
    (void)value_begin(writer, type);
    put_block_start(writer, '{', count);
    push_frame(writer, (struct frame){
                           .kind = FRAME_MAP,
                           .value_type = type == OUTPUT_LONG_MAP ? OUTPUT_LONG : OUTPUT_TEXT,
                           .left = count,
                           .is_first = true,
                       });
}

void output_map_name(struct output_writer *writer, struct text name)
{
    struct frame *frame = top_frame(writer);
    assert(frame->kind == FRAME_MAP && !frame->is_named && frame->left > 0);
    frame->left--;
    frame->is_named = true;
    put_comma(writer, frame);
    if (writer->is_avro) {
        avro_append_text(&writer->bytes, name);
    } else {
        json_append_text(&writer->bytes, name);
        byte_buffer_append_byte(&writer->bytes, ':');
    }
}

void output_map_end(struct output_writer *writer)
{
    put_block_end(writer, '}', FRAME_MAP);
}
