#include "pipeline/output/avro_json.h"

#include "pipeline/base/json_text.h"

static void put_value(struct avro_input *input, avro_schema_t type,
                      const struct output_field *field, struct byte_buffer *json);

/* The table's field of that name; fields usually stand where the table has them. */
static const struct output_field *find_field(const struct output_schema *schema, uint32_t index,
                                             const char *name)
{
    if (!schema) {
        return NULL;
    }
    if (index < schema->field_count && strcmp(schema->fields[index].name, name) == 0) {
        return &schema->fields[index];
    }
    for (uint32_t i = 0; i < schema->field_count; i++) {
        if (strcmp(schema->fields[i].name, name) == 0) {
            return &schema->fields[i];
        }
    }
    return NULL;
}

void avro_json_append(struct avro_input *input, avro_schema_t type,
                      const struct output_schema *schema, struct byte_buffer *json)
{
    uint32_t count = (uint32_t)avro_schema_record_size(type);
    byte_buffer_append_byte(json, '{');
    for (uint32_t i = 0; i < count && !input->has_failed; i++) {
        const char *name = avro_schema_record_field_name(type, (int)i);
        json_append_name(json, name);
        put_value(input, avro_schema_record_field_get_by_index(type, (int)i),
                  find_field(schema, i, name), json);
    }
    byte_buffer_append_byte(json, '}');
}

static struct text read_text(struct avro_input *input)
{
    int64_t length = avro_input_long(input);
    const unsigned char *bytes = avro_input_raw(input, length < 0 ? UINT64_MAX : (uint64_t)length);
    return bytes ? (struct text){(const char *)bytes, (uint32_t)length} : (struct text){0};
}

/* Entries in the next block of an array or a map; 0 ends it. */
static uint64_t read_block_count(struct avro_input *input)
{
    int64_t count = avro_input_long(input);
    if (count == INT64_MIN) {
        input->has_failed = true;
        return 0;
    }
    if (count < 0) {
        (void)avro_input_long(input); /* The block's length in bytes. */
        count = -count;
    }
    return (uint64_t)count;
}

static void put_array(struct avro_input *input, avro_schema_t type,
                      const struct output_field *field, struct byte_buffer *json)
{
    byte_buffer_append_byte(json, '[');
    for (uint64_t left; (left = read_block_count(input)) > 0;) {
        for (; left > 0 && !input->has_failed; left--) {
            json_append_separator(json);
            put_value(input, avro_schema_array_items(type), field, json);
        }
    }
    byte_buffer_append_byte(json, ']');
}

static void put_map(struct avro_input *input, avro_schema_t type, struct byte_buffer *json)
{
    byte_buffer_append_byte(json, '{');
    for (uint64_t left; (left = read_block_count(input)) > 0;) {
        for (; left > 0 && !input->has_failed; left--) {
            json_append_separator(json);
            json_append_text(json, read_text(input));
            byte_buffer_append_byte(json, ':');
            put_value(input, avro_schema_map_values(type), NULL, json);
        }
    }
    byte_buffer_append_byte(json, '}');
}

static void put_union(struct avro_input *input, avro_schema_t type,
                      const struct output_field *field, struct byte_buffer *json)
{
    int64_t branch = avro_input_long(input);
    if (branch < 0 || branch >= (int64_t)avro_schema_union_size(type)) {
        input->has_failed = true;
        return;
    }
    put_value(input, avro_schema_union_branch(type, (int)branch), field, json);
}

static void put_long(struct avro_input *input, const struct output_field *field,
                     struct byte_buffer *json)
{
    int64_t value = avro_input_long(input);
    if (field && field->type == OUTPUT_TIME) {
        json_append_time(json, value);
    } else {
        json_append_long(json, value);
    }
}

static void put_double(struct avro_input *input, struct byte_buffer *json)
{
    double value = 0;
    const unsigned char *bytes = avro_input_raw(input, sizeof(value));
    if (bytes) {
        memcpy(&value, bytes, sizeof(value));
    }
    json_append_double(json, value);
}

static void put_float(struct avro_input *input, struct byte_buffer *json)
{
    float value = 0;
    const unsigned char *bytes = avro_input_raw(input, sizeof(value));
    if (bytes) {
        memcpy(&value, bytes, sizeof(value));
    }
    json_append_float(json, value);
}

static void put_bool(struct avro_input *input, struct byte_buffer *json)
{
    const unsigned char *byte = avro_input_raw(input, 1);
    json_append_bool(json, byte && *byte != 0);
}

static void put_value(struct avro_input *input, avro_schema_t type,
                      const struct output_field *field, struct byte_buffer *json)
{
    switch (avro_typeof(type)) {
    case AVRO_NULL:
        json_append_null(json);
        return;
    case AVRO_STRING:
        json_append_text(json, read_text(input));
        return;
    case AVRO_BYTES: {
        struct text bytes = read_text(input);
        json_append_bytes(json, bytes.data, bytes.length);
        return;
    }
    case AVRO_INT32:
    case AVRO_INT64:
        put_long(input, field, json);
        return;
    case AVRO_FLOAT:
        put_float(input, json);
        return;
    case AVRO_DOUBLE:
        put_double(input, json);
        return;
    case AVRO_BOOLEAN:
        put_bool(input, json);
        return;
    case AVRO_RECORD:
        avro_json_append(input, type, field ? field->record : NULL, json);
        return;
    case AVRO_LINK: /* A record that was defined before. */
        put_value(input, avro_schema_link_target(type), field, json);
        return;
    case AVRO_ARRAY:
        put_array(input, type, field, json);
        return;
    case AVRO_MAP:
        put_map(input, type, json);
        return;
    case AVRO_UNION:
        put_union(input, type, field, json);
        return;
    default:
        input->has_failed = true; /* Types that no table has: enum and fixed. */
    }
}
