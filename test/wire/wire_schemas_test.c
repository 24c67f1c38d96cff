/* One topic, many writers' schemas: what is read of each, and what is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "pipeline/wire/confluent.h"
#include "test/fakes/wire_fixture.h"

struct evolution_case {
    const char *name;
    const char *schema;
    struct wire_field fields[8];
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

static void expect_evolution(const struct wire_fixture *fixture, const struct evolution_case *row)
{
    assert_int_equal(fixture->batch.time_ms[0], TIME_MS);
    assert_int_equal(fixture->batch.type[0], EVENT_SEARCH);
    wire_expect_text(fixture, FIELD_USER_ID, row->user);
    wire_expect_text(fixture, FIELD_ITEM, row->item);
    assert_int_equal(event_has(&fixture->batch, 0, FIELD_PRICE), row->price >= 0);
    if (row->price >= 0) {
        assert_int_equal(fixture->batch.price[0], row->price);
    }
}

static void reads_each_writers_schema_in_one_topic(void **state)
{
    struct wire_fixture *fixture = *state;
    for (size_t i = 0; i < EVOLUTIONS; i++) {
        (void)registry_process_tell(&fixture->server, "add %zu %s", 100 + i, evolutions[i].schema);
    }
    wire_must_open(fixture, WIRE_CONFLUENT, NULL, NULL);
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < EVOLUTIONS; i++) {
            print_message("case: %s\n", evolutions[i].name);
            struct wire_message message = wire_framed(fixture, (uint32_t)(100 + i),
                                                      evolutions[i].schema, evolutions[i].fields);
            if (wire_decode_at_last(fixture, &message) != WIRE_EVENT) {
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
    struct wire_fixture *fixture = *state;
    const struct evolution_case *row = &evolutions[3];
    wire_must_open(fixture, WIRE_AVRO, row->schema, NULL);
    struct wire_message message = wire_framed(fixture, 0, row->schema, row->fields);
    message.payload.data += CONFLUENT_HEADER_BYTES;
    message.payload.length -= CONFLUENT_HEADER_BYTES;
    assert_int_equal(wire_decode(fixture, &message), WIRE_EVENT);
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
    struct wire_fixture *fixture = *state;
    struct wire_message message = {.payload = {"\0\0\0\0\5abc", 8}};
    for (size_t i = 0; i < sizeof(unresolved) / sizeof(unresolved[0]); i++) {
        print_message("case: %s\n", unresolved[i].name);
        (void)registry_process_tell(&fixture->server, "add 5 %s", unresolved[i].schema);
        wire_must_open(fixture, WIRE_CONFLUENT, NULL, NULL);
        for (int round = 0; round < 3; round++) {
            assert_int_equal(wire_decode_at_last(fixture, &message), WIRE_REJECTED);
            wire_expect_rejection(fixture, REJECTION_NO_SCHEMA, unresolved[i].detail);
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
    struct wire_fixture *fixture = *state;
    const struct evolution_case *row = &evolutions[EVOLUTIONS - 1];
    struct wire_field fields[8];
    memcpy(fields, row->fields, sizeof(fields));
    fields[3] = (struct wire_field){"item", NULL, 0, 0};
    wire_must_open(fixture, WIRE_AVRO, row->schema, NULL);
    struct wire_message message = wire_framed(fixture, 0, row->schema, fields);
    message.payload.data += CONFLUENT_HEADER_BYTES;
    message.payload.length -= CONFLUENT_HEADER_BYTES;
    assert_int_equal(wire_decode(fixture, &message), WIRE_REJECTED);
    wire_expect_rejection(fixture, REJECTION_NOT_PARSED, "Avro field item: an array");
}

/* Of a mapping's fields a writer may drop some, not all. */
static void takes_a_field_that_a_writer_dropped_as_missing(void **state)
{
    struct wire_fixture *fixture = *state;
    static const char mapping[] = "fields:\n"
                                  "  event_time: {from: t, format: epoch_ms}\n"
                                  "  type: {from: a}\n"
                                  "  user_id: {from: b}\n"
                                  "  item: {from: c}\n";
    static const char without[] =
        RECORD(FIELD("t", "\"long\"") "," FIELD("a", "\"string\"") "," FIELD("b", "\"string\""));
    (void)registry_process_tell(&fixture->server, "add 1 %s", without);
    (void)registry_process_tell(&fixture->server, "add 2 %s", RECORD(FIELD("z", "\"long\"")));
    wire_must_open(fixture, WIRE_CONFLUENT, NULL, mapping);
    struct wire_message message = wire_framed(
        fixture, 1, without,
        (const struct wire_field[]){
            {"t", NULL, (double)TIME_MS, -1}, {"a", "search", 0, -1}, {"b", "u", 0, -1}, END});
    assert_int_equal(wire_decode_at_last(fixture, &message), WIRE_EVENT);
    wire_expect_text(fixture, FIELD_USER_ID, "u");
    wire_expect_text(fixture, FIELD_ITEM, NULL);
    struct wire_message other = {.payload = {"\0\0\0\0\2\2", 6}};
    assert_int_equal(wire_decode_at_last(fixture, &other), WIRE_REJECTED);
    wire_expect_rejection(fixture, REJECTION_NO_SCHEMA,
                          "schema 2: its Avro schema has no field \"t\"");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, wire_setup, wire_teardown)
    const struct CMUnitTest tests[] = {
        TEST(reads_each_writers_schema_in_one_topic),
        TEST(reads_bare_avro_by_a_schema_that_is_given),
        TEST(sends_what_does_not_resolve_to_dead_letters_naming_the_field),
        TEST(rejects_only_the_record_whose_branch_has_no_place),
        TEST(takes_a_field_that_a_writer_dropped_as_missing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
