/* What a registry is asked for: schemas by id, and ids of our outputs' schemas. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "pipeline/base/clock.h"
#include "pipeline/wire/registry_metrics.h"
#include "test/fakes/registry_fixture.h"

#define SCHEMA_A                                                                                   \
    "{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"a\",\"type\":\"int\"}]}"
#define SCHEMA_A_WIDER                                                                             \
    "{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"a\",\"type\":\"long\"},"          \
    "{\"name\":\"b\",\"type\":[\"null\",\"string\"],\"default\":null}]}"
#define SCHEMA_A_BROKEN                                                                            \
    "{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"c\",\"type\":\"string\"}]}"

/* ---- Ids ---- */

static void asks_for_an_id_once_and_keeps_it_for_good(void **state)
{
    struct registry_fixture *fixture = *state;
    registry_start_server(fixture, NULL);
    (void)registry_process_tell(&fixture->server, "add 7 %s", SCHEMA_A);
    registry_must_open(fixture);
    const char *schema = NULL;
    char detail[REGISTRY_DETAIL_BYTES];
    assert_int_equal(schema_registry_find(fixture->registry, 7, &schema, detail), REGISTRY_PENDING);
    assert_int_equal(registry_find_at_last(fixture, 7, &schema, detail), REGISTRY_FOUND);
    assert_string_equal(schema, SCHEMA_A);
    assert_int_equal(registry_process_tell(&fixture->server, "count"), 1);

    registry_process_stop(&fixture->server);
    const char *again = NULL;
    assert_int_equal(schema_registry_find(fixture->registry, 7, &again, detail), REGISTRY_FOUND);
    assert_ptr_equal(again, schema);
    assert_int_equal(schema_registry_stats(fixture->registry).known, 1);
}

struct answer_case {
    const char *name;
    const char *command;
    enum registry_answer answer;
    const char *detail;
};

static void tells_ids_that_it_cannot_use_from_those_it_does_not_know(void **state)
{
    static const struct answer_case cases[] = {
        {"not known", "add 1 {}", REGISTRY_UNKNOWN, "the registry does not know it"},
        {"protobuf", "raw 9 {\"schemaType\": \"PROTOBUF\", \"schema\": \"message A {}\"}",
         REGISTRY_UNUSABLE, "its type is PROTOBUF, expected AVRO"},
        {"avro by name", "raw 9 {\"schemaType\": \"AVRO\", \"schema\": \"{}\"}", REGISTRY_FOUND,
         ""},
        {"references",
         "raw 9 {\"schema\": \"{}\", \"references\": [{\"name\": \"a\"}, {\"name\": \"b\"}]}",
         REGISTRY_UNUSABLE, "it refers to 2 other schemas, which are not resolved"},
    };
    struct registry_fixture *fixture = *state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        print_message("case: %s\n", cases[i].name);
        registry_start_server(fixture, NULL);
        (void)registry_process_tell(&fixture->server, "%s", cases[i].command);
        registry_must_open(fixture);
        const char *schema = NULL;
        char detail[REGISTRY_DETAIL_BYTES] = "?";
        assert_int_equal(registry_find_at_last(fixture, 9, &schema, detail), cases[i].answer);
        assert_string_equal(detail, cases[i].detail);
        schema_registry_close(fixture->registry);
        fixture->registry = NULL;
        registry_process_stop(&fixture->server);
    }
}

/* A registry's followers hear of a new id a moment later. */
static void believes_that_an_id_is_unknown_only_when_told_repeatedly(void **state)
{
    struct registry_fixture *fixture = *state;
    registry_start_server(fixture, NULL);
    registry_must_open(fixture);
    const char *schema = NULL;
    char detail[REGISTRY_DETAIL_BYTES];
    assert_int_equal(registry_find_at_last(fixture, 4, &schema, detail), REGISTRY_UNKNOWN);
    assert_int_equal(registry_process_tell(&fixture->server, "count"), 3);
    assert_int_equal(schema_registry_find(fixture->registry, 4, &schema, detail), REGISTRY_UNKNOWN);
    assert_int_equal(schema_registry_stats(fixture->registry).unknown, 1);
}

static void gets_an_id_in_spite_of_failures(void **state)
{
    static const int codes[] = {500, 503, 429, 408, 0, 401, 302};
    struct registry_fixture *fixture = *state;
    registry_start_server(fixture, NULL);
    (void)registry_process_tell(&fixture->server, "add 7 %s", SCHEMA_A);
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        print_message("code %d\n", codes[i]);
        (void)registry_process_tell(&fixture->server, "fail %d 3", codes[i]);
        registry_must_open(fixture);
        const char *schema = NULL;
        char detail[REGISTRY_DETAIL_BYTES];
        assert_int_equal(registry_find_at_last(fixture, 7, &schema, detail), REGISTRY_FOUND);
        struct schema_registry_stats stats = schema_registry_stats(fixture->registry);
        assert_int_equal(stats.failures, 3);
        assert_int_equal(stats.requests, 4);
        assert_false(stats.is_away);
        schema_registry_close(fixture->registry);
        fixture->registry = NULL;
    }
}

static void waits_for_ever_or_gives_up_while_the_registry_is_away(void **state)
{
    struct registry_fixture *fixture = *state;
    registry_start_server(fixture, NULL);
    int port = fixture->server.port;
    registry_process_stop(&fixture->server);
    fixture->options.when_away = REGISTRY_GIVES_UP;
    fixture->options.give_up_after_ms = 50;
    registry_must_open(fixture);
    const char *schema = NULL;
    char detail[REGISTRY_DETAIL_BYTES];
    assert_int_equal(registry_find_at_last(fixture, 7, &schema, detail), REGISTRY_AWAY);
    assert_non_null(strstr(detail, "http://127.0.0.1"));
    assert_true(schema_registry_stats(fixture->registry).is_away);

    /* It goes on asking: the registry comes back. */
    char text[16];
    (void)snprintf(text, sizeof(text), "%d", port);
    registry_start_server(fixture, (const char *const[]){"--port", text, NULL});
    (void)registry_process_tell(&fixture->server, "add 7 %s", SCHEMA_A);
    enum registry_answer answer = REGISTRY_AWAY;
    for (int i = 0; answer != REGISTRY_FOUND && i < 3000; i++) {
        answer = registry_find_at_last(fixture, 7, &schema, detail);
    }
    assert_int_equal(answer, REGISTRY_FOUND);

    schema_registry_close(fixture->registry);
    registry_process_stop(&fixture->server);
    fixture->options.when_away = REGISTRY_WAITS;
    registry_must_open(fixture);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(schema_registry_find(fixture->registry, 7, &schema, detail),
                         REGISTRY_PENDING);
        struct timespec pause = {.tv_nsec = 1000000};
        (void)nanosleep(&pause, NULL);
    }
}

static void goes_to_another_address_when_one_is_away(void **state)
{
    struct registry_fixture *fixture = *state;
    registry_start_server(fixture, NULL);
    (void)snprintf(fixture->url[1], sizeof(fixture->url[1]), "%.60s/", fixture->url[0]);
    (void)snprintf(fixture->url[0], sizeof(fixture->url[0]), "http://127.0.0.1:1");
    fixture->options.urls.count = 2;
    (void)registry_process_tell(&fixture->server, "add 7 %s", SCHEMA_A);
    registry_must_open(fixture);
    const char *schema = NULL;
    char detail[REGISTRY_DETAIL_BYTES];
    assert_int_equal(registry_find_at_last(fixture, 7, &schema, detail), REGISTRY_FOUND);
    assert_int_equal(schema_registry_stats(fixture->registry).failures, 0);
}

static void holds_no_more_ids_than_it_may(void **state)
{
    struct registry_fixture *fixture = *state;
    registry_start_server(fixture, NULL);
    registry_must_open(fixture);
    const char *schema = NULL;
    char detail[REGISTRY_DETAIL_BYTES];
    for (uint32_t id = 1; id <= 3 * REGISTRY_UNKNOWN_MAX; id++) {
        assert_int_equal(schema_registry_find(fixture->registry, id, &schema, detail),
                         REGISTRY_PENDING);
    }
    assert_true(schema_registry_stats(fixture->registry).pending <= REGISTRY_UNKNOWN_MAX);
}

static void closes_at_once_in_the_middle_of_a_request(void **state)
{
    struct registry_fixture *fixture = *state;
    registry_start_server(fixture, NULL);
    fixture->options.timeout_ms = 60000;
    (void)registry_process_tell(&fixture->server, "delay 20000");
    registry_must_open(fixture);
    const char *schema = NULL;
    char detail[REGISTRY_DETAIL_BYTES];
    (void)schema_registry_find(fixture->registry, 7, &schema, detail);
    while (registry_process_tell(&fixture->server, "count") == 0) {
    }
    uint64_t begin_ns = clock_monotonic_ns();
    schema_registry_close(fixture->registry);
    fixture->registry = NULL;
    assert_true(clock_monotonic_ns() - begin_ns < UINT64_C(3000000000));
}

static void tells_its_metrics(void **state)
{
    struct registry_fixture *fixture = *state;
    registry_start_server(fixture, NULL);
    (void)registry_process_tell(&fixture->server, "add 7 %s", SCHEMA_A);
    (void)registry_process_tell(&fixture->server, "fail 503 2");
    registry_must_open(fixture);
    struct metrics *metrics = NULL;
    struct registry_metrics told;
    assert_int_equal(metrics_create(&metrics, NULL), STATUS_OK);
    assert_int_equal(registry_metrics_add(metrics, &told, NULL), STATUS_OK);
    const char *schema = NULL;
    char detail[REGISTRY_DETAIL_BYTES];
    assert_int_equal(registry_find_at_last(fixture, 7, &schema, detail), REGISTRY_FOUND);
    assert_int_equal(registry_find_at_last(fixture, 8, &schema, detail), REGISTRY_UNKNOWN);
    registry_process_stop(&fixture->server);
    assert_int_equal(schema_registry_find(fixture->registry, 9, &schema, detail), REGISTRY_PENDING);
    while (!schema_registry_stats(fixture->registry).is_away) {
    }
    registry_metrics_publish(&told, fixture->registry);
    struct byte_buffer text = {0};
    metrics_render(metrics, &text);
    byte_buffer_append_byte(&text, '\0');
    const char *said = (const char *)text.bytes;
    assert_non_null(said);
    assert_null(strstr(said, "registry_requests_total 0\n"));
    assert_null(strstr(said, "registry_failures_total 0\n"));
    assert_non_null(strstr(said, "registry_known_schemas 1\n"));
    assert_non_null(strstr(said, "registry_pending_schemas 1\n"));
    assert_non_null(strstr(said, "registry_unknown_schemas 1\n"));
    assert_non_null(strstr(said, "registry_away 1\n"));
    byte_buffer_release(&text);
    metrics_remove(metrics, &told);
    metrics_destroy(metrics);
}

/* ---- Schemas of outputs ---- */

static void registers_a_schema_and_finds_it_again(void **state)
{
    struct registry_fixture *fixture = *state;
    registry_start_server(fixture, NULL);
    registry_must_open(fixture);
    uint32_t id = 0;
    uint32_t again = 0;
    const char subject[] = "shop/alerts-\xc3\xa9-value";
    struct error error = {""};
    assert_int_equal(schema_registry_output_id(fixture->registry, subject, SCHEMA_A, REGISTRY_CHECK,
                                               NULL, &id, &error),
                     STATUS_INVALID);
    assert_non_null(strstr(error.message, "it could be: it is compatible"));
    assert_int_equal(schema_registry_output_id(fixture->registry, subject, SCHEMA_A,
                                               REGISTRY_REGISTER, NULL, &id, &error),
                     STATUS_OK);
    assert_int_equal(schema_registry_output_id(fixture->registry, subject, SCHEMA_A,
                                               REGISTRY_REGISTER, NULL, &again, &error),
                     STATUS_OK);
    assert_int_equal(id, again);
    again = 0;
    assert_int_equal(schema_registry_output_id(fixture->registry, subject, SCHEMA_A, REGISTRY_CHECK,
                                               NULL, &again, &error),
                     STATUS_OK);
    assert_int_equal(id, again);
    const char *schema = NULL;
    char detail[REGISTRY_DETAIL_BYTES];
    assert_int_equal(registry_find_at_last(fixture, id, &schema, detail), REGISTRY_FOUND);
    assert_string_equal(schema, SCHEMA_A);
}

static void says_why_a_schema_may_not_follow_another(void **state)
{
    struct registry_fixture *fixture = *state;
    registry_start_server(fixture, NULL);
    registry_must_open(fixture);
    uint32_t id = 0;
    struct error error = {""};
    bool is_compatible = false;
    char detail[REGISTRY_DETAIL_BYTES];
    assert_int_equal(schema_registry_is_compatible(fixture->registry, "s", SCHEMA_A_BROKEN, NULL,
                                                   &is_compatible, detail, &error),
                     STATUS_OK);
    assert_true(is_compatible);
    assert_int_equal(schema_registry_output_id(fixture->registry, "s", SCHEMA_A, REGISTRY_REGISTER,
                                               NULL, &id, &error),
                     STATUS_OK);
    assert_int_equal(schema_registry_is_compatible(fixture->registry, "s", SCHEMA_A_WIDER, NULL,
                                                   &is_compatible, detail, &error),
                     STATUS_OK);
    assert_true(is_compatible);
    assert_int_equal(schema_registry_is_compatible(fixture->registry, "s", SCHEMA_A_BROKEN, NULL,
                                                   &is_compatible, detail, &error),
                     STATUS_OK);
    assert_false(is_compatible);
    assert_string_equal(detail, "READER_FIELD_MISSING_DEFAULT_VALUE: c");
    uint32_t untouched = 4711;
    assert_int_equal(schema_registry_output_id(fixture->registry, "s", SCHEMA_A_BROKEN,
                                               REGISTRY_REGISTER, NULL, &untouched, &error),
                     STATUS_INVALID);
    assert_int_equal(untouched, 4711);
    assert_non_null(strstr(error.message, "MISSING_DEFAULT_VALUE: c"));
    assert_int_equal(schema_registry_output_id(fixture->registry, "s", SCHEMA_A_BROKEN,
                                               REGISTRY_CHECK, NULL, &untouched, &error),
                     STATUS_INVALID);
    assert_non_null(strstr(error.message, "it could not be: READER_FIELD"));
    assert_int_equal(schema_registry_output_id(fixture->registry, "s", "not json",
                                               REGISTRY_REGISTER, NULL, &untouched, &error),
                     STATUS_INVALID);
    assert_non_null(strstr(error.message, "422 Input schema is an invalid Avro schema"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, registry_setup, registry_teardown)
    const struct CMUnitTest tests[] = {
        TEST(asks_for_an_id_once_and_keeps_it_for_good),
        TEST(tells_ids_that_it_cannot_use_from_those_it_does_not_know),
        TEST(believes_that_an_id_is_unknown_only_when_told_repeatedly),
        TEST(gets_an_id_in_spite_of_failures),
        TEST(waits_for_ever_or_gives_up_while_the_registry_is_away),
        TEST(goes_to_another_address_when_one_is_away),
        TEST(holds_no_more_ids_than_it_may),
        TEST(closes_at_once_in_the_middle_of_a_request),
        TEST(tells_its_metrics),
        TEST(registers_a_schema_and_finds_it_again),
        TEST(says_why_a_schema_may_not_follow_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
