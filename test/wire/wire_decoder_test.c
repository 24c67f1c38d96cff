#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <pthread.h>

#include "pipeline/wire/confluent.h"
#include "test/fakes/wire_fixture.h"

static const char plain_schema[] = RECORD(TIME "," TYPE "," USER);
static const struct wire_field plain_fields[] = {THE_TIME, THE_TYPE, {"user_id", "u1", 0, 1}, END};

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
    struct wire_fixture *fixture = *state;
    (void)registry_process_tell(&fixture->server, "add 1 %s", plain_schema);
    wire_must_open(fixture, WIRE_CONFLUENT, NULL, NULL);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        print_message("case: %s\n", cases[i].name);
        struct wire_message message = {.payload = {cases[i].bytes, cases[i].length}};
        assert_int_equal(wire_decode_at_last(fixture, &message), WIRE_REJECTED);
        wire_expect_rejection(fixture, cases[i].reason, cases[i].detail);
    }
    static const char large[RAW_RECORD_BYTES_MAX + 1];
    struct wire_message message = {.payload = {large, sizeof(large)}};
    assert_int_equal(wire_decode(fixture, &message), WIRE_REJECTED);
    wire_expect_rejection(fixture, REJECTION_TOO_LONG, "1048577 bytes");
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
    struct wire_fixture *fixture = *state;
    (void)registry_process_tell(&fixture->server, "add 1 %s", plain_schema);
    wire_must_open(fixture, WIRE_CONFLUENT, NULL, NULL);
    struct wire_message message = wire_framed(fixture, 1, plain_schema, plain_fields);
    assert_int_equal(wire_decode_at_last(fixture, &message), WIRE_EVENT);
    registry_process_stop(&fixture->server);
    assert_int_equal(wire_decode(fixture, &message), WIRE_EVENT);
    confluent_header(2, (unsigned char *)fixture->bytes);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(wire_decode(fixture, &message), WIRE_WAIT);
        struct timespec pause = {.tv_nsec = 1000000};
        (void)nanosleep(&pause, NULL);
    }
    assert_non_null(
        strstr(fixture->rejection.detail, "schema 2: schema registry http://127.0.0.1"));
    assert_int_equal(wire_decoder_stats(fixture->decoder).waits >= 100, 1);
}

static void gives_unknown_ids_up_where_it_is_told_to(void **state)
{
    struct wire_fixture *fixture = *state;
    registry_process_stop(&fixture->server);
    fixture->options.when_away = REGISTRY_GIVES_UP;
    wire_must_open(fixture, WIRE_CONFLUENT, NULL, NULL);
    struct wire_message message = {.payload = {"\0\0\0\0\5abc", 8}};
    assert_int_equal(wire_decode(fixture, &message), WIRE_WAIT);
    assert_int_equal(wire_decode_at_last(fixture, &message), WIRE_REJECTED);
    wire_expect_rejection(fixture, REJECTION_NO_SCHEMA,
                          "schema 5: schema registry http://127.0.0.1");
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
    struct wire_fixture *fixture = *state;
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
        wire_must_open(fixture, cases[i].format, cases[i].schema, outer_mapping);
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
        if (wire_decode_at_last(fixture, &message) != WIRE_EVENT) {
            fail_msg("%s", fixture->rejection.detail);
        }
        assert_int_equal(fixture->batch.time_ms[0], TIME_MS);
        assert_int_equal(fixture->batch.type[0], EVENT_SEARCH);
        wire_expect_text(fixture, FIELD_USER_ID, "u9");
        wire_expect_text(fixture, FIELD_ITEM, "last");
        wire_expect_text(fixture, FIELD_CATEGORY, NULL);
        wire_expect_text(fixture, FIELD_SHOP, "clicks");
        assert_int_equal(fixture->batch.quantity[0], 12);

        message.timestamp_ms = -1;
        assert_int_equal(wire_decode(fixture, &message), WIRE_REJECTED);
        wire_expect_rejection(fixture, REJECTION_NO_TIME, "event_time");
        wire_decoder_destroy(fixture->decoder);
        fixture->decoder = NULL;
        mapping_destroy(fixture->mapping);
        fixture->mapping = NULL;
    }
}

static void refuses_a_mapping_that_wants_what_no_message_has(void **state)
{
    struct wire_fixture *fixture = *state;
    struct error error = {""};
    assert_int_equal(wire_open(fixture, WIRE_JSON, NULL,
                               "fields:\n"
                               "  event_time: {from: kafka.timestmp, format: epoch_ms}\n"
                               "  type: {from: a}\n"
                               "  user_id: {from: b}\n",
                               &error),
                     STATUS_INVALID);
    assert_non_null(strstr(error.message, "clicks: the mapping reads \"kafka.timestmp\""));
    assert_non_null(strstr(error.message, "did you mean \"kafka.timestamp\""));
}

/* ---- Threads ---- */

#define THREADS 4
#define IDS 64

struct reader {
    struct wire_fixture *fixture;
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
            CONFLUENT_HEADER_BYTES +
            wire_write_datum(plain_schema, plain_fields, (char *)bytes + CONFLUENT_HEADER_BYTES);
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
    struct wire_fixture *fixture = *state;
    for (uint32_t id = 1; id <= IDS; id++) {
        (void)registry_process_tell(&fixture->server, "add %u %s", id, plain_schema);
    }
    wire_must_open(fixture, WIRE_CONFLUENT, NULL, NULL);
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
#define TEST(name) cmocka_unit_test_setup_teardown(name, wire_setup, wire_teardown)
    const struct CMUnitTest tests[] = {
        TEST(rejects_what_is_no_frame),
        TEST(writes_the_frame_that_it_reads),
        TEST(goes_on_with_known_ids_and_waits_for_others),
        TEST(gives_unknown_ids_up_where_it_is_told_to),
        TEST(has_key_headers_and_time_of_a_message_at_hand_in_mappings),
        TEST(refuses_a_mapping_that_wants_what_no_message_has),
        TEST(shares_a_registry_among_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
