#include "test/fakes/avro_value_json.h"

#include "pipeline/base/json_text.h"

static bool put_value(const avro_value_t *value, const struct output_field *field,
                      struct byte_buffer *json);

/* The table's field of that name; fields usually stand where the table has them. */
static const struct output_field *find_field(const struct output_schema *schema, size_t index,
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

bool avro_value_json(const avro_value_t *value, const struct output_schema *schema,
                     struct byte_buffer *json)
{
    size_t count;
    if (avro_value_get_size(value, &count) != 0) {
        return false;
    }
    byte_buffer_append_byte(json, '{');
    for (size_t i = 0; i < count; i++) {
        avro_value_t child;
        const char *name;
        if (avro_value_get_by_index(value, i, &child, &name) != 0) {
            return false;
        }
        json_append_name(json, name);
        if (!put_value(&child, find_field(schema, i, name), json)) {
            return false;
        }
    }
    byte_buffer_append_byte(json, '}');
    return true;
}

static bool put_array(const avro_value_t *value, const struct output_field *field,
                      struct byte_buffer *json)
{
    size_t count;
    if (avro_value_get_size(value, &count) != 0) {
        return false;
    }
    byte_buffer_append_byte(json, '[');
    for (size_t i = 0; i < count; i++) {
        avro_value_t child;
        if (avro_value_get_by_index(value, i, &child, NULL) != 0) {
            return false;
        }
        json_append_separator(json);
        if (!put_value(&child, field, json)) {
            return false;
        }
    }
    byte_buffer_append_byte(json, ']');
    return true;
}

static bool put_map(const avro_value_t *value, struct byte_buffer *json)
{
    size_t count;
    if (avro_value_get_size(value, &count) != 0) {
        return false;
    }
    byte_buffer_append_byte(json, '{');
    for (size_t i = 0; i < count; i++) {
        avro_value_t child;
        const char *name;
        if (avro_value_get_by_index(value, i, &child, &name) != 0) {
            return false;
        }
        json_append_name(json, name);
        if (!put_value(&child, NULL, json)) {
            return false;
        }
    }
    byte_buffer_append_byte(json, '}');
    return true;
}

static bool put_text(const avro_value_t *value, struct byte_buffer *json)
{
    const char *data;
    size_t bytes; /* With the terminator. */
    if (avro_value_get_string(value, &data, &bytes) != 0 || bytes == 0 || bytes > UINT32_MAX) {
        return false;
    }
    json_append_text(json, (struct text){data, (uint32_t)bytes - 1});
    return true;
}

static bool put_bytes(const avro_value_t *value, struct byte_buffer *json)
{
    const void *data;
    size_t bytes;
    if (avro_value_get_bytes(value, &data, &bytes) != 0 || bytes > UINT32_MAX) {
        return false;
    }
    json_append_bytes(json, data, (uint32_t)bytes);
    return true;
}

static bool put_long(const avro_value_t *value, const struct output_field *field,
                     struct byte_buffer *json)
{
    int64_t number;
    if (avro_value_get_long(value, &number) != 0) {
        return false;
    }
    if (field && field->type == OUTPUT_TIME) {
        json_append_time(json, number);
    } else {
        json_append_long(json, number);
    }
    return true;
}

static bool put_real(const avro_value_t *value, struct byte_buffer *json)
{
    double number;
    float small_number;
    if (avro_value_get_type(value) == AVRO_FLOAT) {
        if (avro_value_get_float(value, &small_number) != 0) {
            return false;
        }
        json_append_float(json, small_number);
        return true;
    }
    if (avro_value_get_double(value, &number) != 0) {
        return false;
    }
    json_append_double(json, number);
    return true;
}

static bool put_bool(const avro_value_t *value, struct byte_buffer *json)
{
    int flag;
    if (avro_value_get_boolean(value, &flag) != 0) {
        return false;
    }
    json_append_bool(json, flag != 0);
    return true;
}

static bool put_branch(const avro_value_t *value, const struct output_field *field,
                       struct byte_buffer *json)
{
    avro_value_t branch;
    return avro_value_get_current_branch(value, &branch) == 0 && put_value(&branch, field, json);
}

static bool put_value(const avro_value_t *value, const struct output_field *field,
                      struct byte_buffer *json)
{
    switch (avro_value_get_type(value)) {
    case AVRO_NULL:
        json_append_null(json);
        return true;
    case AVRO_STRING:
        return put_text(value, json);
    case AVRO_BYTES:
        return put_bytes(value, json);
    case AVRO_INT64:
        return put_long(value, field, json);
    case AVRO_FLOAT:
    case AVRO_DOUBLE:
        return put_real(value, json);
    case AVRO_BOOLEAN:
        return put_bool(value, json);
    case AVRO_RECORD:
        return avro_value_json(value, field ? field->record : NULL, json);
    case AVRO_ARRAY:
        return put_array(value, field, json);
    case AVRO_MAP:
        return put_map(value, json);
    case AVRO_UNION:
        return put_branch(value, field, json);
    default:
        return false; /* Types that no table has: int, enum, fixed, link. */
    }
}
