#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <avro.h>
#include <cmocka.h>
#include <pthread.h>

#include "pipeline/wire/confluent.h"
#include "pipeline/wire/wire_decoder.h"
#include "test/fakes/fixture.h"
#include "test/fakes/registry_process.h"

#define TIME_MS INT64_C(1570000000000)
#define MESSAGE_BYTES_MAX 4096
#define FIELD(name, type) "{\"name\":\"" name "\",\"type\":" type "}"
#define RECORD(fields) "{\"type\":\"record\",\"name\":\"r\",\"fields\":[" fields "]}"
#define TIME FIELD("event_time", "\"long\"")
#define TYPE FIELD("type", "\"string\"")
#define USER FIELD("user_id", "[\"null\",\"string\"]")

struct fixture {
    char *directory;
    struct registry_process server;
    struct schema_registry *registry;
    char url[64];
    char *urls[1];
    struct schema_registry_options options;
    struct mapping *mapping;
    struct wire_decoder *decoder;
    struct event_batch batch;
    char bytes[MESSAGE_BYTES_MAX + RAW_RECORD_PADDING];
    struct rejection rejection;
};

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
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

static int teardown(void **state)
{
    struct fixture *fixture = *state;
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

/* `mapping` is YAML, or NULL for canonical events. */
static enum status open_decoder(struct fixture *fixture, enum wire_format format,
                                const char *schema, const char *mapping, struct error *error)
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

static void must_open(struct fixture *fixture, enum wire_format format, const char *schema,
                      const char *mapping)
{
    struct error error = {""};
    if (open_decoder(fixture, format, schema, mapping, &error) != STATUS_OK) {
        fail_msg("%s", error.message);
    }
}

/* ---- Writing with Avro C, the oracle ---- */

struct field {
    const char *name;
    const char *text; /* NULL: the number. */
    double number;
    int branch; /* Of a union; -1: the field is none. */
};

static void set_plain(avro_value_t *value, const struct field *field)
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

static uint32_t write_datum(const char *json, const struct field *fields, char *bytes)
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

static struct wire_message framed(struct fixture *fixture, uint32_t id, const char *schema,
                                  const struct field *fields)
{
    confluent_header(id, (unsigned char *)fixture->bytes);
    uint32_t length = write_datum(schema, fields, fixture->bytes + CONFLUENT_HEADER_BYTES);
    return (struct wire_message){.payload = {fixture->bytes, length + CONFLUENT_HEADER_BYTES},
                                 .timestamp_ms = -1};
}

static enum wire_result decode(struct fixture *fixture, const struct wire_message *message)
{
    event_batch_reset(&fixture->batch);
    fixture->rejection = (struct rejection){.reason = REJECTION_NONE};
    return wire_decoder_decode(fixture->decoder, message, &fixture->batch, 0, &fixture->rejection);
}

/* As an input does that waits for the schema. */
static enum wire_result decode_at_last(struct fixture *fixture, const struct wire_message *message)
{
    enum wire_result result = decode(fixture, message);
    for (int i = 0; result == WIRE_WAIT && i < 5000; i++) {
        struct timespec pause = {.tv_nsec = 1000000};
        (void)nanosleep(&pause, NULL);
        result = decode(fixture, message);
    }
    return result;
}

static void expect_text(const struct fixture *fixture, enum event_field field, const char *expected)
{
    assert_int_equal(event_has(&fixture->batch, 0, field), expected != NULL);
    if (expected && !text_is(fixture->batch.text[field][0], expected)) {
        fail_msg("%s: %.*s, expected %s", event_fields[field].name,
                 (int)fixture->batch.text[field][0].length, fixture->batch.text[field][0].data,
                 expected);
    }
}

static void expect_rejection(const struct fixture *fixture, enum rejection_reason reason,
                             const char *piece)
{
    if (fixture->rejection.reason != reason || !strstr(fixture->rejection.detail, piece)) {
        fail_msg("%s: %s", rejection_names[fixture->rejection.reason], fixture->rejection.detail);
    }
}

/* ---- Schemas that change ---- */

#define END                                                                                        \
    {                                                                                              \
        NULL, NULL, 0, -1                                                                          \
    }
#define THE_TIME                                                                                   \
    {                                                                                              \
        "event_time", NULL, (double)TIME_MS, -1                                                    \
    }
#define THE_TYPE                                                                                   \
    {                                                                                              \
        "type", "search", 0, -1                                                                    \
    }

struct evolution_case {
    const char *name;
    const char *schema;
    struct field fields[8];
    const char *user;
    const char *item;
    int64_t price; /* -1: not there. */
};

static const struct evolution_case evolutions[] = {
    {"as few as may be",
     RECORD(TIME "," TYPE "," USER),
     {THE_TIME, THE_TYPE, {"user_id", "u1", 0, 1}, END},
     "u1",
     NULL,
     -1},
    {"null in a union",
     RECORD(TIME "," TYPE "," USER "," FIELD("item", "[\"null\",\"string\"]")),
     {THE_TIME, THE_TYPE, {"user_id", "u1", 0, 1}, {"item", NULL, 0, 0}, END},
     "u1",
     NULL,
     -1},
    {"fields added, before and between",
     RECORD(FIELD("new", "{\"type\":\"record\",\"name\":\"n\",\"fields\":[" FIELD(
                             "x", "\"double\"") "]}") "," TIME
                                                      "," FIELD("newer",
                                                                "{\"type\":\"array\",\"items\":"
                                                                "\"string\"}") "," TYPE "," USER),
     {THE_TIME, THE_TYPE, {"user_id", "u1", 0, 1}, END},
     "u1",
     NULL,
     -1},
    {"fields in another order",
     RECORD(USER "," FIELD("price", "\"long\"") "," TYPE "," TIME),
     {THE_TIME, THE_TYPE, {"user_id", "u1", 0, 1}, {"price", NULL, 5000000, -1}, END},
     "u1",
     NULL,
     5000000},
    {"an int for a long, text in bytes",
     RECORD(TIME "," TYPE "," FIELD("user_id", "\"bytes\"") "," FIELD("price", "\"int\"")),
     {THE_TIME, THE_TYPE, {"user_id", "u2", 0, -1}, {"price", NULL, 7, -1}, END},
     "u2",
     NULL,
     7},
    {"a double and a float for a long",
     RECORD(FIELD("event_time", "\"double\"") "," TYPE "," USER "," FIELD("price", "\"float\"")),
     {THE_TIME, THE_TYPE, {"user_id", "u2", 0, 1}, {"price", NULL, 1048576, -1}, END},
     "u2",
     NULL,
     1048576},
    {"a number for a text",
     RECORD(TIME "," TYPE "," FIELD("user_id", "\"long\"") "," FIELD("item", "[\"null\",\"int\"]")),
     {THE_TIME, THE_TYPE, {"user_id", NULL, 512, -1}, {"item", NULL, 99, 1}, END},
     "512",
     "99",
     -1},
    {"unions of several, null last",
     RECORD(TIME "," TYPE "," FIELD("user_id", "[\"int\",\"string\",\"null\"]") "," FIELD(
         "item", "[\"string\",\"null\"]")),
     {THE_TIME, THE_TYPE, {"user_id", NULL, 3, 0}, {"item", "i", 0, 0}, END},
     "3",
     "i",
     -1},
    {"an alias of the writer's",
     RECORD(TIME "," TYPE "," USER
                 ",{\"name\":\"sku\",\"aliases\":[\"item\"],\"type\":\"string\"}"),
     {THE_TIME, THE_TYPE, {"user_id", "u1", 0, 1}, {"sku", "i7", 0, -1}, END},
     "u1",
     "i7",
     -1},
    {"an enum for a text",
     RECORD(TIME "," FIELD("type", "{\"type\":\"enum\",\"name\":\"e\",\"symbols\":[\"login\","
                                   "\"search\"]}") "," USER),
     {THE_TIME, {"type", NULL, 1, -1}, {"user_id", "u1", 0, 1}, END},
     "u1",
     NULL,
     -1},
    {"a branch that fits beside one that does not",
     RECORD(TIME "," TYPE "," USER
                 "," FIELD("item", "[{\"type\":\"array\",\"items\":\"int\"},\"string\"]")),
     {THE_TIME, THE_TYPE, {"user_id", "u1", 0, 1}, {"item", "i8", 0, 1}, END},
     "u1",
     "i8",
     -1},
};
#define EVOLUTIONS (sizeof(evolutions) / sizeof(evolutions[0]))

static void expect_evolution(const struct fixture *fixture, const struct evolution_case *row)
{
    assert_int_equal(fixture->batch.time_ms[0], TIME_MS);
    assert_int_equal(fixture->batch.type[0], EVENT_SEARCH);
    expect_text(fixture, FIELD_USER_ID, row->user);
    expect_text(fixture, FIELD_ITEM, row->item);
    assert_int_equal(event_has(&fixture->batch, 0, FIELD_PRICE), row->price >= 0);
    if (row->price >= 0) {
        assert_int_equal(fixture->batch.price[0], row->price);
    }
}

static void reads_each_writers_schema_in_one_topic(void **state)
{
    struct fixture *fixture = *state;
    for (size_t i = 0; i < EVOLUTIONS; i++) {
        (void)registry_process_tell(&fixture->server, "add %zu %s", 100 + i, evolutions[i].schema);
    }
    must_open(fixture, WIRE_CONFLUENT, NULL, NULL);
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < EVOLUTIONS; i++) {
            print_message("case: %s\n", evolutions[i].name);
            struct wire_message message =
                framed(fixture, (uint32_t)(100 + i), evolutions[i].schema, evolutions[i].fields);
            if (decode_at_last(fixture, &message) != WIRE_EVENT) {
                fail_msg("%s", fixture->rejection.detail);
            }
            expect_evolution(fixture, &evolutions[i]);
        }
    }
    struct wire_decoder_stats stats = wire_decoder_stats(fixture->decoder);
    assert_int_equal(stats.schemas, EVOLUTIONS);
    assert_int_equal(stats.unresolved, 0);
    assert_int_equal(registry_process_tell(&fixture->server, "count"), (long)EVOLUTIONS);
}

static void reads_bare_avro_by_a_schema_that_is_given(void **state)
{
    struct fixture *fixture = *state;
    const struct evolution_case *row = &evolutions[3];
    must_open(fixture, WIRE_AVRO, row->schema, NULL);
    struct wire_message message = framed(fixture, 0, row->schema, row->fields);
    message.payload.data += CONFLUENT_HEADER_BYTES;
    message.payload.length -= CONFLUENT_HEADER_BYTES;
    assert_int_equal(decode(fixture, &message), WIRE_EVENT);
    expect_evolution(fixture, row);
}

struct unresolved_case {
    const char *name;
    const char *schema;
    const char *detail;
};

static const struct unresolved_case unresolved[] = {
    {"no time", RECORD(TYPE "," USER),
     "schema 5: its Avro schema has no field \"event_time\", which the mapping reads"},
    {"no type", RECORD(TIME "," USER), "has no field \"type\""},
    {"a text for a number", RECORD(TIME "," TYPE "," USER "," FIELD("price", "\"string\"")),
     "schema 5: its field \"price\" is a string, expected a number"},
    {"an array for a text",
     RECORD(TIME "," TYPE "," FIELD("item", "{\"type\":\"array\",\"items\":\"string\"}")),
     "its field \"item\" is an array, expected a text, number or boolean"},
    {"a union without a branch that does",
     RECORD(TIME "," TYPE "," FIELD("quantity", "[\"null\",\"boolean\"]")),
     "its field \"quantity\" is a union of other types, expected a number"},
    {"attributes that are no map", RECORD(TIME "," TYPE "," FIELD("attributes", "\"string\"")),
     "its field \"attributes\" is a string, expected a map"},
    {"no record", "\"string\"", "schema 5"},
    {"no schema", "{\"type\":\"nothing\"}", "schema 5"},
    {"no JSON", "{", "schema 5"},
};

static void sends_what_does_not_resolve_to_dead_letters_naming_the_field(void **state)
{
    struct fixture *fixture = *state;
    struct wire_message message = {.payload = {"\0\0\0\0\5abc", 8}};
    for (size_t i = 0; i < sizeof(unresolved) / sizeof(unresolved[0]); i++) {
        print_message("case: %s\n", unresolved[i].name);
        (void)registry_process_tell(&fixture->server, "add 5 %s", unresolved[i].schema);
        must_open(fixture, WIRE_CONFLUENT, NULL, NULL);
        for (int round = 0; round < 3; round++) {
            assert_int_equal(decode_at_last(fixture, &message), WIRE_REJECTED);
            expect_rejection(fixture, REJECTION_NO_SCHEMA, unresolved[i].detail);
        }
        assert_int_equal(wire_decoder_stats(fixture->decoder).unresolved, 1);
        wire_decoder_destroy(fixture->decoder);
        fixture->decoder = NULL;
        mapping_destroy(fixture->mapping);
        schema_registry_close(fixture->registry);
    }
    fixture->mapping = NULL;
    fixture->registry = NULL;
}

static void rejects_only_the_record_whose_branch_has_no_place(void **state)
{
    struct fixture *fixture = *state;
    const struct evolution_case *row = &evolutions[EVOLUTIONS - 1];
    struct field fields[8];
    memcpy(fields, row->fields, sizeof(fields));
    fields[3] = (struct field){"item", NULL, 0, 0};
    must_open(fixture, WIRE_AVRO, row->schema, NULL);
    struct wire_message message = framed(fixture, 0, row->schema, fields);
    message.payload.data += CONFLUENT_HEADER_BYTES;
    message.payload.length -= CONFLUENT_HEADER_BYTES;
    assert_int_equal(decode(fixture, &message), WIRE_REJECTED);
    expect_rejection(fixture, REJECTION_NOT_PARSED, "Avro field item: an array");
}

/* ---- Frames ---- */

struct frame_case {
    const char *name;
    const char *bytes;
    uint32_t length;
    enum rejection_reason reason;
    const char *detail;
};

static void rejects_what_is_no_frame(void **state)
{
    static const struct frame_case cases[] = {
        {"null", NULL, 0, REJECTION_NOT_PARSED, "a message without a value"},
        {"empty", "", 0, REJECTION_NOT_PARSED, "0 bytes, expected a zero byte"},
        {"too short", "\0\0\0\0", 4, REJECTION_NOT_PARSED, "4 bytes"},
        {"JSON", "{\"a\": 1}", 8, REJECTION_NOT_PARSED, "8 bytes"},
        {"an id that nobody knows", "\0\xff\xff\xff\xff", 5, REJECTION_NO_SCHEMA,
         "schema 4294967295: the registry does not know it"},
        {"no datum", "\0\0\0\0\1", 5, REJECTION_NOT_PARSED, "event_time"},
        {"bytes left over", "\0\0\0\0\1\2\2a\2\2bcd", 13, REJECTION_NOT_PARSED,
         "2 bytes are left over"},
        {"a branch that is not there", "\0\0\0\0\1\2\2a\4", 9, REJECTION_NOT_PARSED, "user_id"},
        {"a length beyond the end", "\0\0\0\0\1\2\xfe\xff\xff\xff\xf", 11, REJECTION_NOT_PARSED,
         "type"},
    };
    struct fixture *fixture = *state;
    (void)registry_process_tell(&fixture->server, "add 1 %s", RECORD(TIME "," TYPE "," USER));
    must_open(fixture, WIRE_CONFLUENT, NULL, NULL);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        print_message("case: %s\n", cases[i].name);
        struct wire_message message = {.payload = {cases[i].bytes, cases[i].length}};
        assert_int_equal(decode_at_last(fixture, &message), WIRE_REJECTED);
        expect_rejection(fixture, cases[i].reason, cases[i].detail);
    }
    static const char large[RAW_RECORD_BYTES_MAX + 1];
    struct wire_message message = {.payload = {large, sizeof(large)}};
    assert_int_equal(decode(fixture, &message), WIRE_REJECTED);
    expect_rejection(fixture, REJECTION_TOO_LONG, "1048577 bytes");
}

static void writes_the_frame_that_it_reads(void **state)
{
    (void)state;
    static const uint32_t ids[] = {0, 1, 255, 256, 0x01020304, UINT32_MAX};
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        struct byte_buffer buffer = {0};
        confluent_append(&buffer, ids[i], "datum", 5);
        assert_false(buffer.has_failed);
        uint32_t id = 0;
        struct text datum = {NULL, 0};
        struct text all = {(const char *)buffer.bytes, (uint32_t)buffer.length};
        assert_true(confluent_split(all, &id, &datum));
        assert_int_equal(id, ids[i]);
        assert_true(text_is(datum, "datum"));
        byte_buffer_release(&buffer);
    }
    struct byte_buffer buffer = {0};
    confluent_append(&buffer, 0x01020304, "", 0);
    assert_memory_equal(buffer.bytes, "\0\1\2\3\4", 5);
    byte_buffer_release(&buffer);
}

/* ---- The registry goes away ---- */

static void goes_on_with_known_ids_and_waits_for_others(void **state)
{
    struct fixture *fixture = *state;
    const struct evolution_case *row = &evolutions[0];
    (void)registry_process_tell(&fixture->server, "add 1 %s", row->schema);
    must_open(fixture, WIRE_CONFLUENT, NULL, NULL);
    struct wire_message message = framed(fixture, 1, row->schema, row->fields);
    assert_int_equal(decode_at_last(fixture, &message), WIRE_EVENT);
    registry_process_stop(&fixture->server);
    assert_int_equal(decode(fixture, &message), WIRE_EVENT);
    confluent_header(2, (unsigned char *)fixture->bytes);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(decode(fixture, &message), WIRE_WAIT);
        struct timespec pause = {.tv_nsec = 1000000};
        (void)nanosleep(&pause, NULL);
    }
    assert_non_null(
        strstr(fixture->rejection.detail, "schema 2: schema registry http://127.0.0.1"));
    assert_int_equal(wire_decoder_stats(fixture->decoder).waits >= 100, 1);
}

static void gives_unknown_ids_up_where_it_is_told_to(void **state)
{
    struct fixture *fixture = *state;
    registry_process_stop(&fixture->server);
    fixture->options.when_away = REGISTRY_GIVES_UP;
    must_open(fixture, WIRE_CONFLUENT, NULL, NULL);
    struct wire_message message = {.payload = {"\0\0\0\0\5abc", 8}};
    assert_int_equal(decode(fixture, &message), WIRE_WAIT);
    assert_int_equal(decode_at_last(fixture, &message), WIRE_REJECTED);
    expect_rejection(fixture, REJECTION_NO_SCHEMA, "schema 5: schema registry http://127.0.0.1");
}

/* ---- Beside the payload ---- */

static const char outer_mapping[] = "fields:\n"
                                    "  event_time: {from: kafka.timestamp, format: epoch_ms}\n"
                                    "  type: {from: a}\n"
                                    "  user_id: {from: kafka.key}\n"
                                    "  item: {from: kafka.header.item}\n"
                                    "  category: {from: kafka.header.none}\n"
                                    "  shop: {from: kafka.topic}\n"
                                    "  quantity: {from: kafka.partition}\n";

static const struct wire_header headers[] = {
    {{"item", 4}, {"first", 5}},
    {{"items", 5}, {"no", 2}},
    {{"item", 4}, {"last", 4}},
    {{"none", 4}, {NULL, 0}},
};

static void has_key_headers_and_time_of_a_message_at_hand_in_mappings(void **state)
{
    struct fixture *fixture = *state;
    static const char schema[] = RECORD(FIELD("a", "\"string\""));
    static const struct {
        enum wire_format format;
        const char *schema;
        const char *payload;
        uint32_t length;
    } cases[] = {
        {WIRE_JSON, NULL, "{\"a\": \"search\", \"kafka\": {\"key\": \"forged\"}}", 43},
        {WIRE_AVRO, schema, "\x0csearch", 7},
        {WIRE_CONFLUENT, NULL, "\0\0\0\0\3\x0csearch", 12},
    };
    (void)registry_process_tell(&fixture->server, "add 3 %s", schema);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        must_open(fixture, cases[i].format, cases[i].schema, outer_mapping);
        memcpy(fixture->bytes, cases[i].payload, cases[i].length);
        struct wire_message message = {
            .payload = {fixture->bytes, cases[i].length},
            .key = {"u9", 2},
            .topic = {"clicks", 6},
            .partition = 12,
            .timestamp_ms = TIME_MS,
            .headers = headers,
            .header_count = 4,
        };
        if (decode_at_last(fixture, &message) != WIRE_EVENT) {
            fail_msg("%s", fixture->rejection.detail);
        }
        assert_int_equal(fixture->batch.time_ms[0], TIME_MS);
        assert_int_equal(fixture->batch.type[0], EVENT_SEARCH);
        expect_text(fixture, FIELD_USER_ID, "u9");
        expect_text(fixture, FIELD_ITEM, "last");
        expect_text(fixture, FIELD_CATEGORY, NULL);
        expect_text(fixture, FIELD_SHOP, "clicks");
        assert_int_equal(fixture->batch.quantity[0], 12);

        message.timestamp_ms = -1;
        assert_int_equal(decode(fixture, &message), WIRE_REJECTED);
        expect_rejection(fixture, REJECTION_NO_TIME, "event_time");
        wire_decoder_destroy(fixture->decoder);
        fixture->decoder = NULL;
        mapping_destroy(fixture->mapping);
        fixture->mapping = NULL;
    }
}

static void refuses_a_mapping_that_wants_what_no_message_has(void **state)
{
    struct fixture *fixture = *state;
    struct error error = {""};
    assert_int_equal(open_decoder(fixture, WIRE_JSON, NULL,
                                  "fields:\n"
                                  "  event_time: {from: kafka.timestmp, format: epoch_ms}\n"
                                  "  type: {from: a}\n"
                                  "  user_id: {from: b}\n",
                                  &error),
                     STATUS_INVALID);
    assert_non_null(strstr(error.message, "clicks: the mapping reads \"kafka.timestmp\""));
    assert_non_null(strstr(error.message, "did you mean \"kafka.timestamp\""));
}

/* Of a mapping's fields a writer may drop some, not all. */
static void takes_a_field_that_a_writer_dropped_as_missing(void **state)
{
    struct fixture *fixture = *state;
    static const char mapping[] = "fields:\n"
                                  "  event_time: {from: t, format: epoch_ms}\n"
                                  "  type: {from: a}\n"
                                  "  user_id: {from: b}\n"
                                  "  item: {from: c}\n";
    static const char without[] =
        RECORD(FIELD("t", "\"long\"") "," FIELD("a", "\"string\"") "," FIELD("b", "\"string\""));
    (void)registry_process_tell(&fixture->server, "add 1 %s", without);
    (void)registry_process_tell(&fixture->server, "add 2 %s", RECORD(FIELD("z", "\"long\"")));
    must_open(fixture, WIRE_CONFLUENT, NULL, mapping);
    struct wire_message message = framed(
        fixture, 1, without,
        (const struct field[]){
            {"t", NULL, (double)TIME_MS, -1}, {"a", "search", 0, -1}, {"b", "u", 0, -1}, END});
    assert_int_equal(decode_at_last(fixture, &message), WIRE_EVENT);
    expect_text(fixture, FIELD_USER_ID, "u");
    expect_text(fixture, FIELD_ITEM, NULL);
    struct wire_message other = {.payload = {"\0\0\0\0\2\2", 6}};
    assert_int_equal(decode_at_last(fixture, &other), WIRE_REJECTED);
    expect_rejection(fixture, REJECTION_NO_SCHEMA, "schema 2: its Avro schema has no field \"t\"");
}

/* ---- Threads ---- */

#define THREADS 4
#define IDS 64

struct reader {
    struct fixture *fixture;
    pthread_t thread;
    uint32_t events;
};

static void *read_all(void *context)
{
    struct reader *reader = context;
    struct wire_decoder_options options = {
        .format = WIRE_CONFLUENT, .name = "clicks", .registry = reader->fixture->registry};
    struct wire_decoder *decoder = NULL;
    struct event_batch batch;
    if (event_batch_init(&batch, 0, NULL) != STATUS_OK ||
        wire_decoder_create(reader->fixture->mapping, &options, &decoder, NULL) != STATUS_OK) {
        return NULL;
    }
    for (uint32_t i = 0; i < 20 * IDS; i++) {
        unsigned char bytes[64] = {0};
        uint32_t id = 1 + i * 7 % IDS;
        confluent_header(id, bytes);
        uint32_t length =
            CONFLUENT_HEADER_BYTES + write_datum(evolutions[0].schema, evolutions[0].fields,
                                                 (char *)bytes + CONFLUENT_HEADER_BYTES);
        struct wire_message message = {.payload = {(const char *)bytes, length}};
        enum wire_result result = WIRE_WAIT;
        for (int j = 0; result == WIRE_WAIT && j < 10000; j++) {
            struct rejection rejection;
            event_batch_reset(&batch);
            result = wire_decoder_decode(decoder, &message, &batch, 0, &rejection);
            struct timespec pause = {.tv_nsec = result == WIRE_WAIT ? 1000000 : 0};
            (void)nanosleep(&pause, NULL);
        }
        reader->events += result == WIRE_EVENT && batch.time_ms[0] == TIME_MS;
    }
    wire_decoder_destroy(decoder);
    event_batch_release(&batch);
    return NULL;
}

static void shares_a_registry_among_threads(void **state)
{
    struct fixture *fixture = *state;
    for (uint32_t id = 1; id <= IDS; id++) {
        (void)registry_process_tell(&fixture->server, "add %u %s", id, evolutions[0].schema);
    }
    must_open(fixture, WIRE_CONFLUENT, NULL, NULL);
    struct reader readers[THREADS] = {{0}};
    for (int i = 0; i < THREADS; i++) {
        readers[i].fixture = fixture;
        assert_int_equal(pthread_create(&readers[i].thread, NULL, read_all, &readers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(readers[i].thread, NULL), 0);
        assert_int_equal(readers[i].events, 20 * IDS);
    }
    assert_int_equal(registry_process_tell(&fixture->server, "count"), IDS);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(reads_each_writers_schema_in_one_topic),
        TEST(reads_bare_avro_by_a_schema_that_is_given),
        TEST(sends_what_does_not_resolve_to_dead_letters_naming_the_field),
        TEST(rejects_only_the_record_whose_branch_has_no_place),
        TEST(rejects_what_is_no_frame),
        TEST(writes_the_frame_that_it_reads),
        TEST(goes_on_with_known_ids_and_waits_for_others),
        TEST(gives_unknown_ids_up_where_it_is_told_to),
        TEST(has_key_headers_and_time_of_a_message_at_hand_in_mappings),
        TEST(refuses_a_mapping_that_wants_what_no_message_has),
        TEST(takes_a_field_that_a_writer_dropped_as_missing),
        TEST(shares_a_registry_among_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
