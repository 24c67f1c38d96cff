#include "pipeline/output/output_schema.h"

#include <assert.h>
#include <errno.h>

#include "pipeline/base/json_text.h"

#define NAMESPACE "nudge"
/* Different nested records of one topic. */
#define NAMED_RECORDS_MAX 16

/* Avro allows a named type to be defined once; later uses give its name. */
struct schema_text {
    struct byte_buffer *json;
    const struct output_schema *defined[NAMED_RECORDS_MAX];
    uint32_t defined_count;
    bool is_indented;
    uint32_t depth;
};

const char *output_privacy_name(enum privacy_class privacy)
{
    static const char *const names[] = {
        [PRIVACY_NONE] = "none",
        [PRIVACY_QUASI] = "quasi",
        [PRIVACY_IDENTITY] = "identity",
        [PRIVACY_CONTENT] = "content",
    };
    assert((size_t)privacy < sizeof(names) / sizeof(names[0]));
    return names[privacy];
}

static void put_line(struct schema_text *text)
{
    if (text->is_indented) {
        byte_buffer_append_byte(text->json, '\n');
        for (uint32_t i = 0; i < text->depth; i++) {
            json_append_raw(text->json, "  ");
        }
    }
}

static void put_property(struct schema_text *text, const char *name, const char *value)
{
    json_append_name(text->json, name);
    json_append_text(text->json, text_of(value));
}

static void put_record(struct schema_text *text, const struct output_schema *schema);

static void put_type(struct schema_text *text, const struct output_field *field)
{
    static const char *const simple[] = {
        [OUTPUT_TEXT] = "\"string\"",
        [OUTPUT_LONG] = "\"long\"",
        [OUTPUT_DOUBLE] = "\"double\"",
        [OUTPUT_FLOAT] = "\"float\"",
        [OUTPUT_BOOL] = "\"boolean\"",
        [OUTPUT_TIME] = "{\"type\":\"long\",\"logicalType\":\"timestamp-millis\"}",
        [OUTPUT_BYTES] = "\"bytes\"",
        [OUTPUT_FLOAT_ARRAY] = "{\"type\":\"array\",\"items\":\"float\"}",
        [OUTPUT_LONG_MAP] = "{\"type\":\"map\",\"values\":\"long\"}",
        [OUTPUT_TEXT_MAP] = "{\"type\":\"map\",\"values\":\"string\"}",
    };
    if (field->type == OUTPUT_RECORD) {
        put_record(text, field->record);
    } else if (field->type == OUTPUT_RECORD_ARRAY) {
        json_append_raw(text->json, "{\"type\":\"array\",\"items\":");
        put_record(text, field->record);
        json_append_raw(text->json, "}");
    } else {
        json_append_raw(text->json, simple[field->type]);
    }
}

static void put_field(struct schema_text *text, const struct output_field *field)
{
    struct byte_buffer *json = text->json;
    json_append_separator(json);
    put_line(text);
    json_append_raw(json, "{");
    put_property(text, "name", field->name);
    json_append_name(json, "type");
    if (field->is_nullable) {
        json_append_raw(json, "[\"null\",");
        put_type(text, field);
        json_append_raw(json, "]");
        json_append_name(json, "default");
        json_append_null(json);
    } else {
        put_type(text, field);
    }
    put_property(text, "privacy", output_privacy_name(field->privacy));
    put_property(text, "doc", field->doc);
    json_append_raw(json, "}");
}

static bool is_defined(const struct schema_text *text, const struct output_schema *schema)
{
    for (uint32_t i = 0; i < text->defined_count; i++) {
        if (text->defined[i] == schema) {
            return true;
        }
    }
    return false;
}

static void put_record(struct schema_text *text, const struct output_schema *schema)
{
    struct byte_buffer *json = text->json;
    if (is_defined(text, schema)) {
        json_append_text(json, text_of(schema->name));
        return;
    }
    assert(text->defined_count < NAMED_RECORDS_MAX);
    text->defined[text->defined_count++] = schema;
    json_append_raw(json, "{");
    put_property(text, "type", "record");
    put_property(text, "name", schema->name);
    if (text->defined_count == 1) {
        put_property(text, "namespace", NAMESPACE);
    }
    put_property(text, "doc", schema->doc);
    json_append_name(json, "fields");
    json_append_raw(json, "[");
    text->depth++;
    for (uint32_t i = 0; i < schema->field_count; i++) {
        put_field(text, &schema->fields[i]);
    }
    text->depth--;
    put_line(text);
    json_append_raw(json, "]}");
}

char *output_schema_avro(const struct output_schema *schema)
{
    struct byte_buffer json = {0};
    struct schema_text text = {.json = &json};
    put_record(&text, schema);
    byte_buffer_append_byte(&json, '\0');
    if (json.has_failed) {
        byte_buffer_release(&json);
        return NULL;
    }
    return (char *)json.bytes;
}

enum status output_schema_print(enum topic topic, FILE *file, struct error *error)
{
    struct byte_buffer json = {0};
    struct schema_text text = {.json = &json, .is_indented = true};
    put_record(&text, output_topics[topic].schema);
    byte_buffer_append_byte(&json, '\n');
    enum status status = STATUS_OK;
    if (json.has_failed) {
        status = error_set(error, STATUS_FATAL, "out of memory for the schema of %s",
                           output_topics[topic].name);
    } else if (fwrite(json.bytes, 1, json.length, file) != json.length) {
        status = error_set(error, STATUS_FATAL, "schema of %s: %s", output_topics[topic].name,
                           strerror(errno));
    }
    byte_buffer_release(&json);
    return status;
}

/* As people read it: "text", "long", "record scores", "array of contribution" ... */
static void type_name(const struct output_field *field, char *ret_name, size_t bytes)
{
    static const char *const names[] = {
        [OUTPUT_TEXT] = "text",
        [OUTPUT_LONG] = "long",
        [OUTPUT_DOUBLE] = "double",
        [OUTPUT_FLOAT] = "float",
        [OUTPUT_BOOL] = "bool",
        [OUTPUT_TIME] = "time",
        [OUTPUT_BYTES] = "bytes",
        [OUTPUT_RECORD] = "record",
        [OUTPUT_RECORD_ARRAY] = "array of",
        [OUTPUT_FLOAT_ARRAY] = "array of float",
        [OUTPUT_LONG_MAP] = "map of long",
        [OUTPUT_TEXT_MAP] = "map of text",
    };
    (void)snprintf(ret_name, bytes, "%s%s%s%s", names[field->type], field->record ? " " : "",
                   field->record ? field->record->name : "", field->is_nullable ? ", or null" : "");
}

static void describe_fields(const struct output_schema *schema, bool markdown, FILE *file)
{
    if (markdown) {
        (void)fprintf(file, "| field | type | privacy | meaning |\n|---|---|---|---|\n");
    }
    for (uint32_t i = 0; i < schema->field_count; i++) {
        const struct output_field *field = &schema->fields[i];
        char type[128];
        type_name(field, type, sizeof(type));
        const char *privacy = output_privacy_name(field->privacy);
        (void)fprintf(file, markdown ? "| `%s` | %s | %s | %s |\n" : "  %-20s %-26s %-9s %s\n",
                      field->name, type, privacy, field->doc);
    }
}

/* The nested records, each once: of all topics together, since they share them. */
static void collect_nested(const struct output_schema *schema, struct schema_text *found)
{
    for (uint32_t i = 0; i < schema->field_count; i++) {
        const struct output_schema *record = schema->fields[i].record;
        if (record && !is_defined(found, record)) {
            assert(found->defined_count < NAMED_RECORDS_MAX);
            found->defined[found->defined_count++] = record;
            collect_nested(record, found);
        }
    }
}

static void describe_one(const char *title, const struct output_schema *schema, bool markdown,
                         FILE *file)
{
    (void)fprintf(file, markdown ? "## %s\n\n%s\n\n" : "%s: %s\n", title, schema->doc);
    describe_fields(schema, markdown, file);
    (void)fputc('\n', file);
}

void output_topics_describe(bool markdown, FILE *file)
{
    struct schema_text nested = {0};
    for (int topic = 0; topic < TOPIC_COUNT; topic++) {
        const struct output_schema *schema = output_topics[topic].schema;
        describe_one(output_topics[topic].name, schema, markdown, file);
        collect_nested(schema, &nested);
    }
    for (uint32_t i = 0; i < nested.defined_count; i++) {
        char title[128];
        (void)snprintf(title, sizeof(title), "record %s", nested.defined[i]->name);
        describe_one(title, nested.defined[i], markdown, file);
    }
}
