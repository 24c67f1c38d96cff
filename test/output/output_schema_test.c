/* The topics' tables as Avro schemas, as files in schemas/ and as documentation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <avro.h>
#include <cmocka.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "pipeline/output/output_schema.h"
#include "test/fakes/output_sample.h"

/* Set to rewrite the files of schemas/ from the tables. */
#define REWRITE "NUDGE_REWRITE_SCHEMAS"

static FILE *open_schema(enum topic topic, const char *mode)
{
    char path[256];
    (void)snprintf(path, sizeof(path), "schemas/%s.avsc", output_topics[topic].name);
    return fopen(path, mode);
}

static void rewrite(enum topic topic)
{
    FILE *file = open_schema(topic, "wb");
    assert_non_null(file);
    assert_int_equal(output_schema_print(topic, file, NULL), STATUS_OK);
    assert_int_equal(fclose(file), 0);
}

static void assert_file_is(enum topic topic, const char *json, size_t length)
{
    char content[65536];
    FILE *file = open_schema(topic, "rb");
    size_t found = file ? fread(content, 1, sizeof(content), file) : 0;
    if (file) {
        (void)fclose(file);
    }
    if (found != length || memcmp(content, json, length) != 0) {
        fail_msg("schemas/%s.avsc is not what the table says; rewrite it with %s=1 "
                 "output_schema_test",
                 output_topics[topic].name, REWRITE);
    }
}

static void committed_schemas_are_the_tables(void **state)
{
    (void)state;
    for (int topic = 0; topic < TOPIC_COUNT; topic++) {
        if (getenv(REWRITE)) {
            rewrite((enum topic)topic);
        }
        char *json = NULL;
        size_t length = 0;
        FILE *file = open_memstream(&json, &length);
        assert_non_null(file);
        assert_int_equal(output_schema_print((enum topic)topic, file, NULL), STATUS_OK);
        assert_int_equal(fclose(file), 0);
        assert_file_is((enum topic)topic, json, length);
        free(json);
    }
}

static void printing_to_a_full_disk_fails(void **state)
{
    (void)state;
    FILE *file = fopen("/dev/full", "w");
    assert_non_null(file);
    setbuf(file, NULL);
    struct error error;
    assert_int_equal(output_schema_print(TOPIC_ALERTS, file, &error), STATUS_FATAL);
    assert_non_null(strstr(error.message, "alerts"));
    (void)fclose(file);
}

/* The branch that is not null, or the type itself. */
static avro_schema_t value_type(avro_schema_t type)
{
    return is_avro_union(type) ? avro_schema_union_branch(type, 1) : type;
}

static void assert_type(const struct output_schema *schema, const struct output_field *field,
                        avro_schema_t type)
{
    static const avro_type_t types[] = {
        [OUTPUT_TEXT] = AVRO_STRING,        [OUTPUT_LONG] = AVRO_INT64,
        [OUTPUT_DOUBLE] = AVRO_DOUBLE,      [OUTPUT_FLOAT] = AVRO_FLOAT,
        [OUTPUT_BOOL] = AVRO_BOOLEAN,       [OUTPUT_TIME] = AVRO_INT64,
        [OUTPUT_BYTES] = AVRO_BYTES,        [OUTPUT_RECORD] = AVRO_RECORD,
        [OUTPUT_RECORD_ARRAY] = AVRO_ARRAY, [OUTPUT_FLOAT_ARRAY] = AVRO_ARRAY,
        [OUTPUT_LONG_MAP] = AVRO_MAP,       [OUTPUT_TEXT_MAP] = AVRO_MAP,
    };
    avro_schema_t value = value_type(type);
    if (is_avro_union(type) != field->is_nullable ||
        (avro_typeof(value) != types[field->type] && !is_avro_link(value))) {
        fail_msg("%s.%s has the wrong Avro type", schema->name, field->name);
    }
}

static void avro_c_reads_each_schema(void **state)
{
    (void)state;
    for (int topic = -1; topic < TOPIC_COUNT; topic++) {
        const struct output_schema *schema =
            topic < 0 ? sample_topics()[0].schema : output_topics[topic].schema;
        char *json = output_schema_avro(schema);
        assert_non_null(json);
        avro_schema_t parsed;
        if (avro_schema_from_json_length(json, strlen(json), &parsed) != 0) {
            fail_msg("%s: %s\n%s", schema->name, avro_strerror(), json);
        }
        assert_string_equal(avro_schema_name(parsed), schema->name);
        assert_string_equal(avro_schema_namespace(parsed), "nudge");
        assert_int_equal(avro_schema_record_size(parsed), schema->field_count);
        for (uint32_t i = 0; i < schema->field_count; i++) {
            const struct output_field *field = &schema->fields[i];
            assert_string_equal(avro_schema_record_field_name(parsed, (int)i), field->name);
            assert_type(schema, field, avro_schema_record_field_get_by_index(parsed, (int)i));
        }
        avro_schema_decref(parsed);
        free(json);
    }
}

static void schema_says_privacy_time_and_doc_of_a_field(void **state)
{
    (void)state;
    char *json = output_schema_avro(sample_topics()[0].schema);
    assert_non_null(json);
    assert_non_null(strstr(json, "{\"name\":\"bytes\",\"type\":\"bytes\",\"privacy\":\"content\","
                                 "\"doc\":\"Bytes.\"}"));
    assert_non_null(strstr(json, "{\"name\":\"time\",\"type\":{\"type\":\"long\",\"logicalType\":"
                                 "\"timestamp-millis\"},\"privacy\":\"none\""));
    assert_non_null(strstr(json, "{\"name\":\"maybe_text\",\"type\":[\"null\",\"string\"],"
                                 "\"default\":null,"));
    assert_non_null(strstr(json, "\"doc\":\"Value \\\"quoted\\\".\""));
    /* A record is defined once and named afterwards. */
    assert_non_null(strstr(json, "{\"name\":\"maybe_record\",\"type\":[\"null\",\"term\"]"));
    free(json);
}

static bool is_sentence(const char *doc)
{
    size_t length = strlen(doc);
    return length > 8 && isupper((unsigned char)doc[0]) && doc[length - 1] == '.';
}

static void check_docs(const struct output_schema *schema)
{
    if (!is_sentence(schema->doc)) {
        fail_msg("%s: its doc is not a sentence", schema->name);
    }
    for (uint32_t i = 0; i < schema->field_count; i++) {
        const struct output_field *field = &schema->fields[i];
        if (!is_sentence(field->doc)) {
            fail_msg("%s.%s: its doc is not a sentence", schema->name, field->name);
        }
        for (uint32_t j = 0; j < i; j++) {
            if (strcmp(field->name, schema->fields[j].name) == 0) {
                fail_msg("%s.%s stands twice", schema->name, field->name);
            }
        }
        if (field->record) {
            check_docs(field->record);
        }
    }
}

static void every_field_is_documented_in_a_sentence(void **state)
{
    (void)state;
    for (int topic = 0; topic < TOPIC_COUNT; topic++) {
        check_docs(output_topics[topic].schema);
    }
}

static void description_names_every_topic_and_field(void **state)
{
    (void)state;
    for (int markdown = 0; markdown < 2; markdown++) {
        char *text = NULL;
        size_t bytes = 0;
        FILE *file = open_memstream(&text, &bytes);
        assert_non_null(file);
        output_topics_describe(markdown != 0, file);
        assert_int_equal(fclose(file), 0);
        for (int topic = 0; topic < TOPIC_COUNT; topic++) {
            const struct output_schema *schema = output_topics[topic].schema;
            assert_non_null(strstr(text, output_topics[topic].name));
            for (uint32_t i = 0; i < schema->field_count; i++) {
                char cell[256];
                (void)snprintf(cell, sizeof(cell), markdown ? "| `%s` |" : "\n  %s ",
                               schema->fields[i].name);
                assert_non_null(strstr(text, cell));
            }
        }
        assert_non_null(strstr(text, "record contribution"));
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(committed_schemas_are_the_tables),
        cmocka_unit_test(printing_to_a_full_disk_fails),
        cmocka_unit_test(avro_c_reads_each_schema),
        cmocka_unit_test(schema_says_privacy_time_and_doc_of_a_field),
        cmocka_unit_test(every_field_is_documented_in_a_sentence),
        cmocka_unit_test(description_names_every_topic_and_field),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
