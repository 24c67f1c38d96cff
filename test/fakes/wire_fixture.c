#include "test/fakes/wire_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <avro.h>
#include <cmocka.h>

#include "pipeline/wire/confluent.h"
#include "test/fakes/fixture.h"

int wire_setup(void **state)
{
    struct wire_fixture *fixture = calloc(1, sizeof(*fixture));
    fixture->directory = fixture_directory();
    fixture->server = registry_process_start(NULL);
    (void)snprintf(fixture->url, sizeof(fixture->url), "http://127.0.0.1:%d", fixture->server.port);
    fixture->urls[0] = fixture->url;
    fixture->options = (struct schema_registry_options){
        .urls = {fixture->urls, 1},
        .timeout_ms = 2000,
        .start_timeout_ms = 5000,
        .backoff_min_ms = 1,
        .backoff_max_ms = 10,
        .give_up_after_ms = 30,
    };
    assert_int_equal(event_batch_init(&fixture->batch, 0, NULL), STATUS_OK);
    *state = fixture;
    return 0;
}

int wire_teardown(void **state)
{
    struct wire_fixture *fixture = *state;
    wire_decoder_destroy(fixture->decoder);
    mapping_destroy(fixture->mapping);
    schema_registry_close(fixture->registry);
    registry_process_stop(&fixture->server);
    event_batch_release(&fixture->batch);
    fixture_remove(fixture->directory);
    free(fixture->directory);
    free(fixture);
    return 0;
}

enum status wire_open(struct wire_fixture *fixture, enum wire_format format, const char *schema,
                      const char *mapping, struct error *error)
{
    char path[4200];
    (void)snprintf(path, sizeof(path), "%s/mapping.yaml", fixture->directory);
    if (mapping) {
        FILE *file = fopen(path, "w");
        assert_non_null(file);
        assert_true(fputs(mapping, file) >= 0);
        assert_int_equal(fclose(file), 0);
    }
    if (mapping_compile(mapping ? path : NULL, &fixture->mapping, error) != STATUS_OK) {
        fail_msg("%s", error->message);
    }
    if (format == WIRE_CONFLUENT &&
        schema_registry_open(&fixture->options, &fixture->registry, error) != STATUS_OK) {
        fail_msg("%s", error->message);
    }
    struct wire_decoder_options options = {
        .format = format, .name = "clicks", .schema = schema, .registry = fixture->registry};
    return wire_decoder_create(fixture->mapping, &options, &fixture->decoder, error);
}

void wire_must_open(struct wire_fixture *fixture, enum wire_format format, const char *schema,
                    const char *mapping)
{
    struct error error = {""};
    if (wire_open(fixture, format, schema, mapping, &error) != STATUS_OK) {
        fail_msg("%s", error.message);
    }
}

static void set_plain(avro_value_t *value, const struct wire_field *field)
{
    switch (avro_value_get_type(value)) {
    case AVRO_INT32:
        assert_int_equal(avro_value_set_int(value, (int32_t)field->number), 0);
        break;
    case AVRO_INT64:
        assert_int_equal(avro_value_set_long(value, (int64_t)field->number), 0);
        break;
    case AVRO_FLOAT:
        assert_int_equal(avro_value_set_float(value, (float)field->number), 0);
        break;
    case AVRO_DOUBLE:
        assert_int_equal(avro_value_set_double(value, field->number), 0);
        break;
    case AVRO_ENUM:
        assert_int_equal(avro_value_set_enum(value, (int)field->number), 0);
        break;
    case AVRO_BYTES:
        assert_int_equal(
            avro_value_set_bytes(value, (void *)(uintptr_t)field->text, strlen(field->text)), 0);
        break;
    case AVRO_STRING:
        assert_int_equal(avro_value_set_string(value, field->text), 0);
        break;
    case AVRO_NULL:
        assert_int_equal(avro_value_set_null(value), 0);
        break;
    default: /* A record or array: its empty self. */
        break;
    }
}

uint32_t wire_write_datum(const char *json, const struct wire_field *fields, char *bytes)
{
    avro_schema_t schema;
    assert_int_equal(avro_schema_from_json_length(json, strlen(json), &schema), 0);
    avro_value_iface_t *class = avro_generic_class_from_schema(schema);
    avro_value_t record;
    assert_int_equal(avro_generic_value_new(class, &record), 0);
    for (; fields->name; fields++) {
        avro_value_t value;
        if (avro_value_get_by_name(&record, fields->name, &value, NULL) != 0) {
            fail_msg("no field %s", fields->name);
            return 0;
        }
        if (fields->branch >= 0) {
            assert_int_equal(avro_value_set_branch(&value, fields->branch, &value), 0);
        }
        set_plain(&value, fields);
    }
    avro_writer_t writer = avro_writer_memory(bytes, MESSAGE_BYTES_MAX - CONFLUENT_HEADER_BYTES);
    assert_int_equal(avro_value_write(writer, &record), 0);
    uint32_t length = (uint32_t)avro_writer_tell(writer);
    avro_writer_free(writer);
    avro_value_decref(&record);
    avro_value_iface_decref(class);
    avro_schema_decref(schema);
    return length;
}

struct wire_message wire_framed(struct wire_fixture *fixture, uint32_t id, const char *schema,
                                const struct wire_field *fields)
{
    confluent_header(id, (unsigned char *)fixture->bytes);
    uint32_t length = wire_write_datum(schema, fields, fixture->bytes + CONFLUENT_HEADER_BYTES);
    return (struct wire_message){.payload = {fixture->bytes, length + CONFLUENT_HEADER_BYTES},
                                 .timestamp_ms = -1};
}

enum wire_result wire_decode(struct wire_fixture *fixture, const struct wire_message *message)
{
    event_batch_reset(&fixture->batch);
    fixture->rejection = (struct rejection){.reason = REJECTION_NONE};
    return wire_decoder_decode(fixture->decoder, message, &fixture->batch, 0, &fixture->rejection);
}

enum wire_result wire_decode_at_last(struct wire_fixture *fixture,
                                     const struct wire_message *message)
{
    enum wire_result result = wire_decode(fixture, message);
    for (int i = 0; result == WIRE_WAIT && i < 5000; i++) {
        struct timespec pause = {.tv_nsec = 1000000};
        (void)nanosleep(&pause, NULL);
        result = wire_decode(fixture, message);
    }
    return result;
}

void wire_expect_text(const struct wire_fixture *fixture, enum event_field field,
                      const char *expected)
{
    assert_int_equal(event_has(&fixture->batch, 0, field), expected != NULL);
    if (expected && !text_is(fixture->batch.text[field][0], expected)) {
        fail_msg("%s: %.*s, expected %s", event_fields[field].name,
                 (int)fixture->batch.text[field][0].length, fixture->batch.text[field][0].data,
                 expected);
    }
}

void wire_expect_rejection(const struct wire_fixture *fixture, enum rejection_reason reason,
                           const char *piece)
{
    if (fixture->rejection.reason != reason || !strstr(fixture->rejection.detail, piece)) {
        fail_msg("%s: %s", rejection_names[fixture->rejection.reason], fixture->rejection.detail);
    }
}
