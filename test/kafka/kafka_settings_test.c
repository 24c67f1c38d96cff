#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pipeline/kafka/kafka_client.h"
#include "pipeline/kafka/kafka_topics.h"

#define GOOD "brokers: [127.0.0.1:9]\ntopic: clicks\n"

/* Reads and checks a section; `ret_options` is the caller's to release on success. */
static enum status read_section(const char *text, struct yaml_document **document,
                                struct kafka_options *ret_options, struct error *error)
{
    enum status status = yaml_parse("test.yaml", text, strlen(text), document, error);
    assert_int_equal(status, STATUS_OK);
    status = settings_read(&kafka_section, yaml_root(*document), ret_options, error);
    if (status != STATUS_OK) {
        return status;
    }
    status = kafka_options_check(ret_options, yaml_root(*document), error);
    if (status != STATUS_OK) {
        settings_release(&kafka_section, ret_options);
    }
    return status;
}

static void settings_that_cannot_work_are_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *text;
        const char *expected; /* Part of the message; NULL: accepted. */
    } cases[] = {
        {"the least", GOOD, NULL},
        {"no brokers", "topic: clicks\n", "kafka.brokers"},
        {"no topic", "brokers: [a:1]\n", "kafka.topic"},
        {"time without start", GOOD "start_time: 2026-01-01T00:00:00Z\n", "kafka.start_time"},
        {"start without time", GOOD "start: time\n", "kafka.start_time"},
        {"a property", GOOD "properties: {fetch.min.bytes: 10}\n", NULL},
        {"a property with members", GOOD "properties: {a: {b: c}}\n", "expected a value"},
        {"ours: group", GOOD "properties: {group.id: x}\n", "use kafka.group"},
        {"ours: id", GOOD "properties: {transactional.id: x}\n", "use name"},
        {"ours: assignor", GOOD "properties: {partition.assignment.strategy: cooperative-sticky}\n",
         "exactly once depends on it"},
        {"ours as a secret", GOOD "secrets: {isolation.level: {env: X}}\n", "use kafka"},
        {"a secret", GOOD "secrets: {sasl.password: {env: X}}\n", NULL},
        {"a secret in the open", GOOD "secrets: {sasl.password: swordfish}\n", "expected {env:"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct yaml_document *document = NULL;
        struct kafka_options options;
        struct error error = {{0}};
        enum status status = read_section(cases[i].text, &document, &options, &error);
        bool is_right = cases[i].expected
                            ? status == STATUS_INVALID && strstr(error.message, cases[i].expected)
                            : status == STATUS_OK;
        if (!is_right) {
            fail_msg("%s: status %d, \"%s\"", cases[i].name, (int)status, error.message);
        }
        assert_null(strstr(error.message, "swordfish"));
        if (status == STATUS_OK) {
            settings_release(&kafka_section, &options);
        }
        yaml_unload(document);
    }
}

/* Makes a client of a section, which connects to nothing. */
static enum status make_client(const char *text, struct error *error)
{
    struct yaml_document *document = NULL;
    struct kafka_options options;
    enum status status = read_section(text, &document, &options, error);
    assert_int_equal(status, STATUS_OK);
    const struct kafka_setup setup = {
        .options = &options, .application = "a", .group = "g", .instance = "i"};
    rd_kafka_t *client = NULL;
    struct kafka_refusal refusal;
    status = kafka_admin_create(&setup, &refusal, &client, error);
    if (status == STATUS_OK) {
        rd_kafka_destroy(client);
    }
    settings_release(&kafka_section, &options);
    yaml_unload(document);
    return status;
}

static void properties_reach_the_library_and_its_complaints_the_user(void **state)
{
    (void)state;
    struct error error = {{0}};
    assert_int_equal(make_client(GOOD "properties: {socket.timeout.ms: 1234}\n", &error),
                     STATUS_OK);
    assert_int_equal(make_client(GOOD "properties: {socket.timeout: 1234}\n", &error),
                     STATUS_INVALID);
    assert_non_null(strstr(error.message, "socket.timeout"));
}

static void secrets_come_from_the_environment_and_reach_no_message(void **state)
{
    (void)state;
    struct error error = {{0}};
    (void)setenv("KAFKA_SETTINGS_TEST", "swordfish", 1);
    assert_int_equal(
        make_client(GOOD "secrets: {sasl.password: {env: KAFKA_SETTINGS_TEST}}\n", &error),
        STATUS_OK);
    /* The library itself would quote this value. */
    assert_int_equal(
        make_client(GOOD "secrets: {socket.timeout.ms: {env: KAFKA_SETTINGS_TEST}}\n", &error),
        STATUS_INVALID);
    assert_non_null(strstr(error.message, "socket.timeout.ms"));
    assert_null(strstr(error.message, "swordfish"));
    (void)unsetenv("KAFKA_SETTINGS_TEST");
    assert_int_equal(
        make_client(GOOD "secrets: {sasl.password: {env: KAFKA_SETTINGS_TEST}}\n", &error),
        STATUS_INVALID);
    assert_non_null(strstr(error.message, "KAFKA_SETTINGS_TEST"));
    assert_int_equal(make_client(GOOD "secrets: {sasl.password: {file: /no/such/file}}\n", &error),
                     STATUS_INVALID);
    assert_non_null(strstr(error.message, "/no/such/file"));
}

static void topics_are_named_after_application_and_prefix(void **state)
{
    (void)state;
    char prefix[] = "shop.";
    struct kafka_options options = {.output_prefix = prefix};
    struct kafka_setup setup = {.options = &options, .application = "night"};
    struct kafka_topics topics;
    struct error error = {{0}};
    assert_int_equal(kafka_topics_name(&setup, &topics, &error), STATUS_OK);
    assert_string_equal(topics.outputs[TOPIC_ALERTS], "shop.alerts");
    assert_string_equal(topics.changelog, "night-changelog");
    assert_string_equal(topics.journal, "night-journal");
    setup.application = "night shift";
    assert_int_equal(kafka_topics_name(&setup, &topics, &error), STATUS_INVALID);
    assert_non_null(strstr(error.message, "night shift"));
    char long_prefix[KAFKA_TOPIC_BYTES + 1];
    memset(long_prefix, 'x', sizeof(long_prefix) - 1);
    long_prefix[sizeof(long_prefix) - 1] = '\0';
    options.output_prefix = long_prefix;
    assert_int_equal(kafka_topics_name(&setup, &topics, &error), STATUS_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(settings_that_cannot_work_are_refused_by_name),
        cmocka_unit_test(properties_reach_the_library_and_its_complaints_the_user),
        cmocka_unit_test(secrets_come_from_the_environment_and_reach_no_message),
        cmocka_unit_test(topics_are_named_after_application_and_prefix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
