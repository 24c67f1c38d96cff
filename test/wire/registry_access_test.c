/* How a registry is reached: the start, who is let in, TLS. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "test/fakes/fixture.h"
#include "test/fakes/registry_fixture.h"

static void hear(void *context, uint32_t attempt, int64_t wait_ms, const char *message)
{
    struct registry_fixture *fixture = context;
    (void)attempt;
    assert_true(wait_ms >= 0 && wait_ms <= fixture->options.backoff_max_ms);
    fixture->failures_heard++;
    (void)snprintf(fixture->heard, sizeof(fixture->heard), "%s", message);
}

static void retries_at_the_start_and_then_says_what_is_wrong(void **state)
{
    struct registry_fixture *fixture = *state;
    registry_start_server(fixture, NULL);
    registry_process_stop(&fixture->server);
    fixture->options.start_timeout_ms = 100;
    registry_must_open(fixture);
    struct registry_listener listener = {hear, fixture};
    struct error error = {""};
    assert_int_equal(schema_registry_await(fixture->registry, &listener, &error), STATUS_RETRY);
    assert_true(fixture->failures_heard >= 3);
    assert_non_null(strstr(error.message, fixture->url[0]));
    assert_non_null(strstr(error.message, "attempts in"));
}

static void starts_once_the_registry_has_come(void **state)
{
    struct registry_fixture *fixture = *state;
    registry_start_server(fixture, NULL);
    (void)registry_process_tell(&fixture->server, "fail 503 4");
    registry_must_open(fixture);
    struct registry_listener listener = {hear, fixture};
    struct error error = {""};
    assert_int_equal(schema_registry_await(fixture->registry, &listener, &error), STATUS_OK);
    assert_int_equal(fixture->failures_heard, 4);
    assert_non_null(strstr(fixture->heard, "answered 503"));
}

static void gives_a_request_up_after_its_time(void **state)
{
    struct registry_fixture *fixture = *state;
    registry_start_server(fixture, NULL);
    (void)registry_process_tell(&fixture->server, "delay 5000");
    fixture->options.timeout_ms = 50;
    fixture->options.start_timeout_ms = 0;
    registry_must_open(fixture);
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

static void sends_user_and_password_or_a_token_and_never_prints_them(void **state)
{
    static const struct login_case cases[] = {
        {"right user", "shop", "s3cret-w0rd\n", NULL, STATUS_OK},
        {"right token", NULL, NULL, "t0ken-w0rd\n", STATUS_OK},
        {"wrong password", "shop", "wrong-w0rd", NULL, STATUS_INVALID},
        {"wrong token", NULL, NULL, "wrong-w0rd", STATUS_INVALID},
        {"nobody", NULL, NULL, NULL, STATUS_INVALID},
    };
    struct registry_fixture *fixture = *state;
    registry_start_server(fixture, (const char *const[]){"--user", "shop:s3cret-w0rd", "--token",
                                                         "t0ken-w0rd", NULL});
    char path[4200];
    (void)snprintf(path, sizeof(path), "%s/secret", fixture->directory);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        print_message("case: %s\n", cases[i].name);
        const struct login_case *row = &cases[i];
        const char *secret = row->password ? row->password : row->token;
        fixture_write(path, secret ? secret : "");
        fixture->options.username = (char *)(uintptr_t)row->username;
        fixture->options.password_file = row->password ? path : NULL;
        fixture->options.token_file = row->token ? path : NULL;
        registry_must_open(fixture);
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
    struct registry_fixture *fixture = *state;
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
static void make_certificate(const struct registry_fixture *fixture, const char *name,
                             char *ret_key, char *ret_certificate)
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
    struct registry_fixture *fixture = *state;
    char key[4200];
    char certificate[4200];
    char other_key[4200];
    char other[4200];
    make_certificate(fixture, "own", key, certificate);
    make_certificate(fixture, "other", other_key, other);
    registry_start_server(fixture, (const char *const[]){"--tls", certificate, key, NULL});
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
        registry_must_open(fixture);
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

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, registry_setup, registry_teardown)
    const struct CMUnitTest tests[] = {
        TEST(retries_at_the_start_and_then_says_what_is_wrong),
        TEST(starts_once_the_registry_has_come),
        TEST(gives_a_request_up_after_its_time),
        TEST(sends_user_and_password_or_a_token_and_never_prints_them),
        TEST(refuses_settings_that_cannot_work),
        TEST(speaks_tls_to_whom_its_certificates_vouch_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
