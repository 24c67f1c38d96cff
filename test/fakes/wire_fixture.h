/*
 * Messages as they come from a topic, decoded with a schema registry of our own beside; data are
 * written with Avro C, the oracle.
 */
#ifndef TEST_FAKES_WIRE_FIXTURE_H
#define TEST_FAKES_WIRE_FIXTURE_H

#include "pipeline/wire/wire_decoder.h"
#include "test/fakes/registry_process.h"

#define TIME_MS INT64_C(1570000000000)
#define MESSAGE_BYTES_MAX 4096
#define FIELD(name, type) "{\"name\":\"" name "\",\"type\":" type "}"
#define RECORD(fields) "{\"type\":\"record\",\"name\":\"r\",\"fields\":[" fields "]}"
#define TIME FIELD("event_time", "\"long\"")
#define TYPE FIELD("type", "\"string\"")
#define USER FIELD("user_id", "[\"null\",\"string\"]")

struct wire_fixture {
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

/* Of cmocka: the state is a struct wire_fixture, its registry running. */
int wire_setup(void **state);
int wire_teardown(void **state);

/* `mapping` is YAML, or NULL for canonical events. */
MUST_CHECK enum status wire_open(struct wire_fixture *fixture, enum wire_format format,
                                 const char *schema, const char *mapping, struct error *error);
void wire_must_open(struct wire_fixture *fixture, enum wire_format format, const char *schema,
                    const char *mapping);

struct wire_field {
    const char *name;
    const char *text; /* NULL: the number. */
    double number;
    int branch; /* Of a union; -1: the field is none. */
};

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

/* Writes a record with these fields, up to END, to `bytes`; returns its length. */
uint32_t wire_write_datum(const char *schema, const struct wire_field *fields, char *bytes);

/* The same in the fixture's bytes, behind the header of schema `id`. */
struct wire_message wire_framed(struct wire_fixture *fixture, uint32_t id, const char *schema,
                                const struct wire_field *fields);

/* Into row 0 of the fixture's batch; the second waits for the schema, as an input does. */
enum wire_result wire_decode(struct wire_fixture *fixture, const struct wire_message *message);
enum wire_result wire_decode_at_last(struct wire_fixture *fixture,
                                     const struct wire_message *message);

/* `expected`: NULL where the field is not to be there. */
void wire_expect_text(const struct wire_fixture *fixture, enum event_field field,
                      const char *expected);
void wire_expect_rejection(const struct wire_fixture *fixture, enum rejection_reason reason,
                           const char *piece);

#endif
