#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "pipeline/base/clock.h"
#include "pipeline/wire/registry_metrics.h"
#include "pipeline/wire/schema_registry.h"
#include "test/fakes/fixture.h"
#include "test/fakes/registry_process.h"

#define SCHEMA_A                                                                                   \
    "{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"a\",\"type\":\"int\"}]}"
#define SCHEMA_A_WIDER                                                                             \
    "{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"a\",\"type\":\"long\"},"          \
    "{\"name\":\"b\",\"type\":[\"null\",\"string\"],\"default\":null}]}"
#define SCHEMA_A_BROKEN                                                                            \
    "{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"c\",\"type\":\"string\"}]}"

struct fixture {
    char *directory;
    struct registry_process server;
    struct schema_registry *registry;
    char url[2][64];
    char *urls[2];
    struct schema_registry_options options;
    uint32_t failures_heard;
    char heard[512];
};

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    fixture->directory = fixture_directory();
    fixture->urls[0] = fixture->url[0];
    fixture->urls[1] = fixture->url[1];
    fixture->options = (struct schema_registry_options){
        .urls = {fixture->urls, 1},
        .timeout_ms = 2000,
        .start_timeout_ms = 5000,
        .backoff_min_ms = 2,
        .backoff_max_ms = 20,
        .give_up_after_ms = 60000,
    };
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    schema_registry_close(fixture->registry);
    registry_process_stop(&fixture->server);
    fixture_remove(fixture->directory);
    free(fixture->directory);
    free(fixture);
    return 0;
}

static void start_server(struct fixture *fixture, const char *const *options)
{
    fixture->server = registry_process_start(options);
    (void)snprintf(fixture->url[0], sizeof(fixture->url[0]), "http://127.0.0.1:%d",
                   fixture->server.port);
}

static void open_registry(struct fixture *fixture)
{
    struct error error = {""};
    if (schema_registry_open(&fixture->options, &fixture->registry, &error) != STATUS_OK) {
        fail_msg("%s", error.message);
    }
}

/* Asks until there is an answer other than PENDING, as an input does. */
static enum registry_answer find_at_last(struct fixture *fixture, uint32_t id,
                                         const char **ret_schema, char *ret_detail)
{
    enum registry_answer answer = REGISTRY_PENDING;
    for (int i = 0; answer == REGISTRY_PENDING && i < 5000; i++) {
        answer = schema_registry_find(fixture->registry, id, ret_schema, ret_detail);
        struct timespec pause = {.tv_nsec = 1000000};
        (void)nanosleep(&pause, NULL);
    }
    return answer;
}

static void hear(void *context, uint32_t attempt, int64_t wait_ms, const char *message)
{
    struct fixture *fixture = context;
    (void)attempt;
    assert_true(wait_ms >= 0 && wait_ms <= fixture->options.backoff_max_ms);
    fixture->failures_heard++;
    (void)snprintf(fixture->heard, sizeof(fixture->heard), "%s", message);
}

/* ---- Ids ---- */

static void asks_for_an_id_once_and_keeps_it_for_good(void **state)
{
    struct fixture *fixture = *state;
    start_server(fixture, NULL);
    (void)registry_process_tell(&fixture->server, "add 7 %s", SCHEMA_A);
    open_registry(fixture);
    const char *schema = NULL;
    char detail[REGISTRY_DETAIL_BYTES];
    assert_int_equal(schema_registry_find(fixture->registry, 7, &schema, detail), REGISTRY_PENDING);
    assert_int_equal(find_at_last(fixture, 7, &schema, detail), REGISTRY_FOUND);
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
    struct fixture *fixture = *state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        print_message("case: %s\n", cases[i].name);
        start_server(fixture, NULL);
        (void)registry_process_tell(&fixture->server, "%s", cases[i].command);
        open_registry(fixture);
        const char *schema = NULL;
        char detail[REGISTRY_DETAIL_BYTES] = "?";
        assert_int_equal(find_at_last(fixture, 9, &schema, detail), cases[i].answer);
        assert_string_equal(detail, cases[i].detail);
        schema_registry_close(fixture->registry);
        fixture->registry = NULL;
        registry_process_stop(&fixture->server);
    }
}

/* A registry's followers hear of a new id a moment later. */
static void believes_that_an_id_is_unknown_only_when_told_repeatedly(void **state)
{
    struct fixture *fixture = *state;
    start_server(fixture, NULL);
    open_registry(fixture);
    const char *schema = NULL;
    char detail[REGISTRY_DETAIL_BYTES];
    assert_int_equal(find_at_last(fixture, 4, &schema, detail), REGISTRY_UNKNOWN);
    assert_int_equal(registry_process_tell(&fixture->server, "count"), 3);
    assert_int_equal(schema_registry_find(fixture->registry, 4, &schema, detail), REGISTRY_UNKNOWN);
    assert_int_equal(schema_registry_stats(fixture->registry).unknown, 1);
}

static void gets_an_id_in_spite_of_failures(void **state)
{
    static const int codes[] = {500, 503, 429, 408, 0, 401, 302};
    struct fixture *fixture = *state;
    start_server(fixture, NULL);
    (void)registry_process_tell(&fixture->server, "add 7 %s", SCHEMA_A);
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        print_message("code %d\n", codes[i]);
        (void)registry_process_tell(&fixture->server, "fail %d 3", codes[i]);
        open_registry(fixture);
        const char *schema = NULL;
        char detail[REGISTRY_DETAIL_BYTES];
        assert_int_equal(find_at_last(fixture, 7, &schema, detail), REGISTRY_FOUND);
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
    struct fixture *fixture = *state;
    start_server(fixture, NULL);
    int port = fixture->server.port;
    registry_process_stop(&fixture->server);
    fixture->options.when_away = REGISTRY_GIVES_UP;
    fixture->options.give_up_after_ms = 50;
    open_registry(fixture);
    const char *schema = NULL;
    char detail[REGISTRY_DETAIL_BYTES];
    assert_int_equal(find_at_last(fixture, 7, &schema, detail), REGISTRY_AWAY);
    assert_non_null(strstr(detail, "http://127.0.0.1"));
    assert_true(schema_registry_stats(fixture->registry).is_away);

    /* It goes on asking: the registry comes back. */
    char text[16];
    (void)snprintf(text, sizeof(text), "%d", port);
    start_server(fixture, (const char *const[]){"--port", text, NULL});
    (void)registry_process_tell(&fixture->server, "add 7 %s", SCHEMA_A);
    enum registry_answer answer = REGISTRY_AWAY;
    for (int i = 0; answer != REGISTRY_FOUND && i < 3000; i++) {
        answer = find_at_last(fixture, 7, &schema, detail);
    }
    assert_int_equal(answer, REGISTRY_FOUND);

    schema_registry_close(fixture->registry);
    registry_process_stop(&fixture->server);
    fixture->options.when_away = REGISTRY_WAITS;
    open_registry(fixture);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(schema_registry_find(fixture->registry, 7, &schema, detail),
                         REGISTRY_PENDING);
        struct timespec pause = {.tv_nsec = 1000000};
        (void)nanosleep(&pause, NULL);
    }
}

static void goes_to_another_address_when_one_is_away(void **state)
{
    struct fixture *fixture = *state;
    start_server(fixture, NULL);
    (void)snprintf(fixture->url[1], sizeof(fixture->url[1]), "%.60s/", fixture->url[0]);
    (void)snprintf(fixture->url[0], sizeof(fixture->url[0]), "http://127.0.0.1:1");
    fixture->options.urls.count = 2;
    (void)registry_process_tell(&fixture->server, "add 7 %s", SCHEMA_A);
    open_registry(fixture);
    const char *schema = NULL;
    char detail[REGISTRY_DETAIL_BYTES];
    assert_int_equal(find_at_last(fixture, 7, &schema, detail), REGISTRY_FOUND);
    assert_int_equal(schema_registry_stats(fixture->registry).failures, 0);
}

static void holds_no_more_ids_than_it_may(void **state)
{
    struct fixture *fixture = *state;
    start_server(fixture, NULL);
    open_registry(fixture);
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
    struct fixture *fixture = *state;
    start_server(fixture, NULL);
    fixture->options.timeout_ms = 60000;
    (void)registry_process_tell(&fixture->server, "delay 20000");
    open_registry(fixture);
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
    struct fixture *fixture = *state;
    start_server(fixture, NULL);
    (void)registry_process_tell(&fixture->server, "add 7 %s", SCHEMA_A);
    (void)registry_process_tell(&fixture->server, "fail 503 2");
    open_registry(fixture);
    struct metrics *metrics = NULL;
    struct registry_metrics told;
    assert_int_equal(metrics_create(&metrics, NULL), STATUS_OK);
    assert_int_equal(registry_metrics_add(metrics, &told, NULL), STATUS_OK);
    const char *schema = NULL;
    char detail[REGISTRY_DETAIL_BYTES];
    assert_int_equal(find_at_last(fixture, 7, &schema, detail), REGISTRY_FOUND);
    assert_int_equal(find_at_last(fixture, 8, &schema, detail), REGISTRY_UNKNOWN);
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

/* ---- The start ---- */

static void retries_at_the_start_and_then_says_what_is_wrong(void **state)
{
    struct fixture *fixture = *state;
    start_server(fixture, NULL);
    registry_process_stop(&fixture->server);
    fixture->options.start_timeout_ms = 100;
    open_registry(fixture);
    struct registry_listener listener = {hear, fixture};
    struct error error = {""};
    assert_int_equal(schema_registry_await(fixture->registry, &listener, &error), STATUS_RETRY);
    assert_true(fixture->failures_heard >= 3);
    assert_non_null(strstr(error.message, fixture->url[0]));
    assert_non_null(strstr(error.message, "attempts in"));
}

static void starts_once_the_registry_has_come(void **state)
{
    struct fixture *fixture = *state;
    start_server(fixture, NULL);
    (void)registry_process_tell(&fixture->server, "fail 503 4");
    open_registry(fixture);
    struct registry_listener listener = {hear, fixture};
    struct error error = {""};
    assert_int_equal(schema_registry_await(fixture->registry, &listener, &error), STATUS_OK);
    assert_int_equal(fixture->failures_heard, 4);
    assert_non_null(strstr(fixture->heard, "answered 503"));
}

static void gives_a_request_up_after_its_time(void **state)
{
    struct fixture *fixture = *state;
    start_server(fixture, NULL);
    (void)registry_process_tell(&fixture->server, "delay 5000");
    fixture->options.timeout_ms = 50;
    fixture->options.start_timeout_ms = 0;
    open_registry(fixture);
    struct error error = {""};
    assert_int_equal(schema_registry_await(fixture->registry, NULL, &error), STATUS_RETRY);
    assert_non_null(strstr(error.message, "timed out"));
}

/* ---- Who is let in ---- */

struct login_case {
    const char *name;
    const char *username;
    const char *password;
    const char *token;
    enum status status;
};

static void write_file(const char *path, const char *content)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(content, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void sends_user_and_password_or_a_token_and_never_prints_them(void **state)
{
    static const struct login_case cases[] = {
        {"right user", "shop", "s3cret-w0rd\n", NULL, STATUS_OK},
        {"right token", NULL, NULL, "t0ken-w0rd\n", STATUS_OK},
        {"wrong password", "shop", "wrong-w0rd", NULL, STATUS_INVALID},
        {"wrong token", NULL, NULL, "wrong-w0rd", STATUS_INVALID},
        {"nobody", NULL, NULL, NULL, STATUS_INVALID},
    };
    struct fixture *fixture = *state;
    start_server(fixture, (const char *const[]){"--user", "shop:s3cret-w0rd", "--token",
                                                "t0ken-w0rd", NULL});
    char path[4200];
    (void)snprintf(path, sizeof(path), "%s/secret", fixture->directory);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        print_message("case: %s\n", cases[i].name);
        const struct login_case *row = &cases[i];
        const char *secret = row->password ? row->password : row->token;
        write_file(path, secret ? secret : "");
        fixture->options.username = (char *)(uintptr_t)row->username;
        fixture->options.password_file = row->password ? path : NULL;
        fixture->options.token_file = row->token ? path : NULL;
        open_registry(fixture);
        struct error error = {""};
        assert_int_equal(schema_registry_await(fixture->registry, NULL, &error), row->status);
        assert_null(strstr(error.message, "w0rd"));
        if (row->status != STATUS_OK) {
            assert_non_null(strstr(error.message, "401: check username, password or token"));
        }
        schema_registry_close(fixture->registry);
        fixture->registry = NULL;
    }
}

struct refusal_case {
    const char *name;
    const char *url;
    const char *username;
    const char *password_env;
    const char *token_env;
    const char *certificate_file;
    const char *expected;
};

static void refuses_settings_that_cannot_work(void **state)
{
    static const struct refusal_case cases[] = {
        {"scheme", "registry:8081", NULL, NULL, NULL, NULL, "expected http://HOST:PORT"},
        {"no host", "http:///a", NULL, NULL, NULL, NULL, "expected http://HOST:PORT"},
        {"password in the address", "http://a:w0rd@h", NULL, NULL, NULL, NULL,
         "schema_registry.url: an address with user and password"},
        {"both", "http://h", "a", NULL, "NUDGE_TEST_TOKEN", NULL, "a username and a token"},
        {"colon", "http://h", "a:b", NULL, NULL, NULL, "schema_registry.username: no colon"},
        {"password alone", "http://h", NULL, "NUDGE_TEST_TOKEN", NULL, NULL,
         "schema_registry.username: expected with a password"},
        {"not set", "http://h", "a", "NUDGE_TEST_NOT_SET", NULL, NULL,
         "the environment variable NUDGE_TEST_NOT_SET is not set"},
        {"line end", "http://h", NULL, NULL, "NUDGE_TEST_LINES", NULL, "has a control character"},
        {"half a certificate", "http://h", NULL, NULL, NULL, "a.pem", "belong together"},
    };
    struct fixture *fixture = *state;
    assert_int_equal(setenv("NUDGE_TEST_TOKEN", "w0rd", 1), 0);
    assert_int_equal(setenv("NUDGE_TEST_LINES", "w0rd\nHost: b", 1), 0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct refusal_case *row = &cases[i];
        print_message("case: %s\n", row->name);
        fixture->urls[0] = (char *)(uintptr_t)row->url;
        fixture->options.username = (char *)(uintptr_t)row->username;
        fixture->options.password_env = (char *)(uintptr_t)row->password_env;
        fixture->options.token_env = (char *)(uintptr_t)row->token_env;
        fixture->options.certificate_file = (char *)(uintptr_t)row->certificate_file;
        struct error error = {""};
        assert_int_equal(schema_registry_open(&fixture->options, &fixture->registry, &error),
                         STATUS_INVALID);
        assert_null(fixture->registry);
        assert_null(strstr(error.message, "w0rd"));
        if (!strstr(error.message, row->expected)) {
            fail_msg("said: %s", error.message);
        }
    }
}

/* ---- TLS ---- */

/* A certificate of our own for 127.0.0.1, signed by itself. */
static void make_certificate(const struct fixture *fixture, const char *name, char *ret_key,
                             char *ret_certificate)
{
    char command[16384];
    (void)snprintf(ret_key, 4200, "%s/%s.key", fixture->directory, name);
    (void)snprintf(ret_certificate, 4200, "%s/%s.pem", fixture->directory, name);
    (void)snprintf(command, sizeof(command),
                   "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes "
                   "-keyout %s -out %s -days 2 -subj /CN=registry -addext "
                   "subjectAltName=IP:127.0.0.1 2>/dev/null",
                   ret_key, ret_certificate);
    assert_int_equal(system(command), 0); /* NOLINT(bugprone-command-processor): of a test. */
}

static void speaks_tls_to_whom_its_certificates_vouch_for(void **state)
{
    struct fixture *fixture = *state;
    char key[4200];
    char certificate[4200];
    char other_key[4200];
    char other[4200];
    make_certificate(fixture, "own", key, certificate);
    make_certificate(fixture, "other", other_key, other);
    start_server(fixture, (const char *const[]){"--tls", certificate, key, NULL});
    (void)snprintf(fixture->url[0], sizeof(fixture->url[0]), "https://127.0.0.1:%d",
                   fixture->server.port);
    struct {
        const char *name;
        const char *ca_file;
        enum status status;
    } cases[] = {{"its own", certificate, STATUS_OK},
                 {"another", other, STATUS_INVALID},
                 {"the system's", NULL, STATUS_INVALID},
                 {"a file that is not there", "/nowhere.pem", STATUS_INVALID}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        print_message("case: %s\n", cases[i].name);
        fixture->options.ca_file = (char *)(uintptr_t)cases[i].ca_file;
        open_registry(fixture);
        struct error error = {""};
        assert_int_equal(schema_registry_await(fixture->registry, NULL, &error), cases[i].status);
        if (cases[i].status != STATUS_OK) {
            assert_non_null(strstr(error.message, "its certificate does not hold"));
        }
        if (cases[i].status == STATUS_OK) {
            (void)registry_process_tell(&fixture->server, "fail 0 3");
            assert_int_equal(schema_registry_await(fixture->registry, NULL, &error), STATUS_OK);
        }
        schema_registry_close(fixture->registry);
        fixture->registry = NULL;
    }
}

/* ---- Schemas of outputs ---- */

static void registers_a_schema_and_finds_it_again(void **state)
{
    struct fixture *fixture = *state;
    start_server(fixture, NULL);
    open_registry(fixture);
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
    assert_int_equal(find_at_last(fixture, id, &schema, detail), REGISTRY_FOUND);
    assert_string_equal(schema, SCHEMA_A);
}

static void says_why_a_schema_may_not_follow_another(void **state)
{
    struct fixture *fixture = *state;
    start_server(fixture, NULL);
    open_registry(fixture);
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
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
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
        TEST(retries_at_the_start_and_then_says_what_is_wrong),
        TEST(starts_once_the_registry_has_come),
        TEST(gives_a_request_up_after_its_time),
        TEST(sends_user_and_password_or_a_token_and_never_prints_them),
        TEST(refuses_settings_that_cannot_work),
        TEST(speaks_tls_to_whom_its_certificates_vouch_for),
        TEST(registers_a_schema_and_finds_it_again),
        TEST(says_why_a_schema_may_not_follow_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
