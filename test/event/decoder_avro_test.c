#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "pipeline/event/decoder.h"
#include "test/event/decoder_fixture.h"

#define FIELD(name, type) "{\"name\":\"" name "\",\"type\":" type "}"
#define RECORD(fields) "{\"type\":\"record\",\"name\":\"r\",\"fields\":[" fields "]}"
#define NULLABLE(type) "[\"null\"," type "]"
#define MILLIS "{\"type\":\"long\",\"logicalType\":\"timestamp-millis\"}"
#define MICROS "{\"type\":\"long\",\"logicalType\":\"timestamp-micros\"}"

static void put_long(FILE *file, size_t value)
{
    uint64_t zigzag = (uint64_t)value * 2;
    for (; zigzag >= 0x80; zigzag >>= 7) {
        (void)fputc((int)(zigzag & 0x7f) | 0x80, file);
    }
    (void)fputc((int)zigzag, file);
}

static void put_bytes(FILE *file, const void *bytes, size_t length)
{
    put_long(file, length);
    (void)fwrite(bytes, 1, length, file);
}

/* A container with one record. By hand, since Avro C drops logical types and aliases. */
static void write_record(const char *path, const char *schema, const unsigned char *bytes,
                         size_t length)
{
    static const char sync[] = "0123456789abcdef";
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    (void)fwrite("Obj\1", 1, 4, file);
    put_long(file, 1);
    put_bytes(file, "avro.schema", strlen("avro.schema"));
    put_bytes(file, schema, strlen(schema));
    put_long(file, 0);
    (void)fwrite(sync, 1, 16, file);
    put_long(file, 1);
    put_bytes(file, bytes, length);
    (void)fwrite(sync, 1, 16, file);
    assert_int_equal(fclose(file), 0);
}

/* Decodes the file's one record; what comes of it, or "!!message" where it is refused before. */
static enum mapping_result decode(struct fixture *fixture, struct rejection *rejection,
                                  struct error *error)
{
    struct source_options options = {.path = fixture->path, .format = INPUT_AVRO};
    struct input_position start = {0};
    struct source *source = NULL;
    struct decoder *decoder = NULL;
    struct raw_record record;
    enum source_result result = SOURCE_END;
    if (source_open(&options, &start, &source, error) != STATUS_OK) {
        fail_msg("%s", error->message);
    }
    enum mapping_result decoded = MAPPING_FAILED;
    if (decoder_create(&fixture->mapping, &options, source, &decoder, error) == STATUS_OK) {
        event_batch_reset(&fixture->batch);
        assert_int_equal(source_next(source, &record, &result, error), STATUS_OK);
        assert_int_equal(result, SOURCE_RECORD);
        *rejection = (struct rejection){.reason = REJECTION_NONE};
        decoded = decoder_decode(decoder, &record, &fixture->batch, 0, rejection);
    }
    /* The texts point into source and decoder: they may go only once they were looked at. */
    for (int field = 0; field < TEXT_FIELD_COUNT && decoded == MAPPING_EVENT; field++) {
        if (fixture->mapping.is_canonical &&
            event_has(&fixture->batch, 0, (enum event_field)field)) {
            struct text *text = &fixture->batch.text[field][0];
            char *copy = arena_take(&fixture->batch.arena, text->length + 1u);
            memcpy(copy, text->data, text->length);
            text->data = copy;
        }
    }
    for (size_t i = 0; i < fixture->mapping.wanted.count && decoded == MAPPING_EVENT; i++) {
        struct text *text = &fixture->mapping.values[i].text;
        char *copy = arena_take(&fixture->batch.arena, text->length + 1u);
        if (text->length > 0) {
            memcpy(copy, text->data, text->length);
        }
        text->data = copy;
    }
    decoder_destroy(decoder);
    source_close(source);
    return decoded;
}

struct writer_case {
    const char *name;
    const char *schema;
    const char *bytes;
    size_t length;
    int64_t time_ms;
    const char *type;
    const char *user; /* NULL: not there. */
    int64_t price;    /* -1: not there. */
};

#define BYTES(text) (text), sizeof(text) - 1

/* Zigzag: 1000 is d0 0f, 1000000 is 80 89 7a. */
static const struct writer_case writer_cases[] = {
    {"plain types", RECORD(FIELD("event_time", MILLIS) "," FIELD("type", "\"string\"")),
     BYTES("\xd0\x0f\x02x"), 1000, "x", NULL, -1},
    {"other order, fields that nobody knows",
     RECORD(FIELD("new", "{\"type\":\"array\",\"items\":\"int\"}") "," FIELD(
         "user_id",
         NULLABLE(
             "\"string\"")) "," FIELD("type",
                                      "\"string\"") "," FIELD("old",
                                                              "{\"type\":\"fixed\",\"name\":\"f\","
                                                              "\"size\":3}") "," FIELD("event_time",
                                                                                       "\"long\"")),
     BYTES("\x04\x02\x04\x00\x02\x02u\x02xabc\xd0\x0f"), 1000, "x", "u", -1},
    {"null first or last",
     RECORD(FIELD("event_time", "[\"long\",\"null\"]") "," FIELD(
         "type",
         "[\"string\",\"null\"]") "," FIELD("user_id",
                                            "[\"string\",\"null\"]") "," FIELD("price",
                                                                               NULLABLE(
                                                                                   "\"long\""))),
     BYTES("\x00\xd0\x0f\x00\x02x\x02\x02\x80\x89\x7a"), 1000, "x", NULL, 1000000},
    {"int, float, bytes and enum",
     RECORD(FIELD("event_time", "\"int\"") "," FIELD(
         "type",
         "{\"type\":\"enum\",\"name\":\"e\","
         "\"symbols\":[\"a\",\"b\"]}") "," FIELD("user_id", "\"bytes\"") "," FIELD("price",
                                                                                   "\"float\"")),
     BYTES("\xd0\x0f\x02\x02u\x00\x00\x80\x40"), 1000, "b", "u", 4},
    {"microseconds before 1970",
     RECORD(FIELD("event_time", MICROS) "," FIELD("type", "\"string\"")), BYTES("\xb7\x17\x02x"),
     -2, "x", NULL, -1},
    {"time as text", RECORD(FIELD("event_time", "\"string\"") "," FIELD("type", "\"string\"")),
     BYTES("\x28"
           "1970-01-01T00:00:01Z\x02x"),
     1000, "x", NULL, -1},
    {"a number where text is wanted",
     RECORD(FIELD("event_time", "\"long\"") "," FIELD("type", "\"string\"") "," FIELD("user_id",
                                                                                      "\"long\"")),
     BYTES("\xd0\x0f\x02x\x0d"), 1000, "x", "-7", -1},
    {"several branches",
     RECORD(FIELD("event_time", "\"long\"") "," FIELD("type", "\"string\"") "," FIELD(
         "user_id", "[\"null\",\"long\",\"string\"]")),
     BYTES("\xd0\x0f\x02x\x04\x02u"), 1000, "x", "u", -1},
    {"alias",
     RECORD(FIELD("event_time", "\"long\"") "," FIELD(
         "type", "\"string\"") ",{\"name\":\"uid\",\"type\":\"string\",\"aliases\":[\"user_id\"]}"),
     BYTES("\xd0\x0f\x02x\x02u"), 1000, "x", "u", -1},
    {"a name counts more than an alias",
     RECORD("{\"name\":\"uid\",\"type\":\"string\",\"aliases\":[\"user_id\"]}," FIELD(
         "user_id", "\"string\"") "," FIELD("event_time", "\"long\"") "," FIELD("type",
                                                                                "\"string\"")),
     BYTES("\x02v\x02u\xd0\x0f\x02x"), 1000, "x", "u", -1},
};

static void canonical_event_is_read_from_any_writers_schema(void **state)
{
    struct fixture *fixture = *state;
    fixture->mapping.is_canonical = true;
    for (size_t i = 0; i < sizeof(writer_cases) / sizeof(writer_cases[0]); i++) {
        const struct writer_case *row = &writer_cases[i];
        write_record(fixture->path, row->schema, (const unsigned char *)row->bytes, row->length);
        struct rejection rejection;
        struct error error = {""};
        if (decode(fixture, &rejection, &error) != MAPPING_EVENT) {
            fail_msg("%s: %s %s", row->name, error.message, rejection.detail);
        }
        const struct event_batch *batch = &fixture->batch;
        bool is_right = batch->time_ms[0] == row->time_ms &&
                        text_is(batch->text[FIELD_TYPE_WORD][0], row->type) &&
                        event_has(batch, 0, FIELD_USER_ID) == (row->user != NULL) &&
                        (!row->user || text_is(batch->text[FIELD_USER_ID][0], row->user)) &&
                        event_has(batch, 0, FIELD_PRICE) == (row->price >= 0) &&
                        (row->price < 0 || batch->price[0] == row->price);
        if (!is_right) {
            fail_msg("%s: read wrongly", row->name);
        }
    }
}

static void attributes_are_collected(void **state)
{
    struct fixture *fixture = *state;
    fixture->mapping.is_canonical = true;
    static const char schema[] =
        RECORD(FIELD("event_time", "\"long\"") "," FIELD("type", "\"string\"") "," FIELD(
            "attributes", NULLABLE("{\"type\":\"map\",\"values\":[\"null\",\"string\",\"int\"]}")));
    /* Two blocks, one with a byte count: a=null, b=c; d=3. */
    static const char bytes[] = "\xd0\x0f\x02x\x02\x04\x02"
                                "a\x00\x02"
                                "b\x02\x02"
                                "c\x01\x08\x02"
                                "d\x04\x06\x00";
    write_record(fixture->path, schema, (const unsigned char *)bytes, sizeof(bytes) - 1);
    struct rejection rejection;
    struct error error = {""};
    assert_int_equal(decode(fixture, &rejection, &error), MAPPING_EVENT);
    assert_true(event_has(&fixture->batch, 0, FIELD_ATTRIBUTES));
    assert_int_equal(fixture->batch.attributes[0].count, 2);
    assert_true(text_is(fixture->batch.attributes[0].items[1].value, "3"));
}

static void mapping_values_come_from_nested_records(void **state)
{
    struct fixture *fixture = *state;
    static char names[4][8] = {"a.b.c", "a.d", "e.f", "g"};
    for (size_t i = 0; i < 4; i++) {
        fixture->names[i] = names[i];
    }
    fixture->mapping.wanted.count = 4;
    static const char inner[] = "{\"type\":\"record\",\"name\":\"i\",\"fields\":[" FIELD(
        "x", "\"string\"") "," FIELD("c", "\"int\"") "]}";
    char schema[2048];
    (void)snprintf(
        schema, sizeof(schema),
        RECORD("{\"name\":\"a\",\"type\":{\"type\":\"record\",\"name\":\"o\",\"fields\":["
               "{\"name\":\"b\",\"type\":[\"null\",%s]}," FIELD(
                   "d", "\"boolean\"") "]}},"
                                       "{\"name\":\"e\",\"type\":[{\"type\":\"record\",\"name\":"
                                       "\"k\",\"fields\":[" FIELD(
                                           "f", "\"double\"") "]},\"string\"]}," FIELD("g",
                                                                                       "\"long\"")),
        inner);
    static const char full[] = "\x02\x02y\x05\x01\x00\0\0\0\0\0\0\xf8\x3f\x0e";
    static const char empty[] = "\x00\x00\x02\x02z\x0e";
    struct rejection rejection;
    struct error error = {""};
    const struct field_value *values = fixture->mapping.values;
    write_record(fixture->path, schema, (const unsigned char *)full, sizeof(full) - 1);
    if (decode(fixture, &rejection, &error) != MAPPING_EVENT) {
        fail_msg("%s %s", error.message, rejection.detail);
    }
    assert_int_equal(values[0].integer, -3);
    assert_int_equal(values[1].kind, VALUE_BOOL);
    assert_int_equal(values[1].integer, 1);
    assert_true(values[2].kind == VALUE_NUMBER && values[2].number == 1.5);
    assert_int_equal(values[3].integer, 7);
    write_record(fixture->path, schema, (const unsigned char *)empty, sizeof(empty) - 1);
    assert_int_equal(decode(fixture, &rejection, &error), MAPPING_EVENT);
    assert_int_equal(values[0].kind, VALUE_MISSING);
    assert_int_equal(values[1].integer, 0);
    assert_int_equal(values[2].kind, VALUE_MISSING);
    assert_int_equal(values[3].integer, 7);
}

static void field_that_the_writer_does_not_have_is_named(void **state)
{
    struct fixture *fixture = *state;
    fixture->mapping.is_canonical = true;
    static const char schema[] =
        RECORD(FIELD("event_tim", "\"long\"") "," FIELD("type", "\"string\""));
    write_record(fixture->path, schema, (const unsigned char *)"\x02\x02x", 3);
    struct rejection rejection;
    struct error error = {""};
    assert_int_equal(decode(fixture, &rejection, &error), MAPPING_FAILED);
    assert_non_null(strstr(error.message, "no field \"event_time\""));
    assert_non_null(strstr(error.message, "did you mean \"event_tim\"?"));
}

static void number_that_is_none_is_rejected(void **state)
{
    struct fixture *fixture = *state;
    fixture->mapping.is_canonical = true;
    static const char schema[] = RECORD(FIELD("event_time", "\"long\"") "," FIELD(
        "type", "\"string\"") "," FIELD("price", "\"double\""));
    write_record(fixture->path, schema, (const unsigned char *)"\x02\x02x\0\0\0\0\0\0\xf8\x7f", 11);
    struct rejection rejection = {.reason = REJECTION_NONE};
    struct error error = {""};
    assert_int_equal(decode(fixture, &rejection, &error), MAPPING_REJECTED);
    assert_int_equal(rejection.reason, REJECTION_BAD_NUMBER);
    assert_non_null(strstr(rejection.detail, "price"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(canonical_event_is_read_from_any_writers_schema, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(attributes_are_collected, setup, teardown),
        cmocka_unit_test_setup_teardown(mapping_values_come_from_nested_records, setup, teardown),
        cmocka_unit_test_setup_teardown(field_that_the_writer_does_not_have_is_named, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(number_that_is_none_is_rejected, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
