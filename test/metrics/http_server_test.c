#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "pipeline/metrics/http_server.h"
#include "test/fakes/output_of.h"

static unsigned answer_many(void *context, struct byte_buffer *body)
{
    (void)context;
    for (int i = 0; i < 300000; i++) {
        byte_buffer_append(body, "0123456789", 10);
    }
    return 200;
}

static unsigned answer_not_now(void *context, struct byte_buffer *body)
{
    byte_buffer_append(body, context, strlen(context));
    return 503;
}

static unsigned answer_failed(void *context, struct byte_buffer *body)
{
    (void)context;
    body->bytes_max = 4;
    byte_buffer_append(body, "too much", 8);
    return 200;
}

static unsigned answer_nothing(void *context, struct byte_buffer *body)
{
    (void)context;
    (void)body;
    return 200;
}

static const struct http_route routes[] = {
    {"/many", "text/plain; version=0.0.4", answer_many},
    {"/not_now", "text/plain", answer_not_now},
    {"/failed", "text/plain", answer_failed},
    {"/nothing", "text/plain", answer_nothing},
};

static enum status start(const char *listen, struct http_server **ret_server, struct error *error)
{
    static char context[] = "not now";
    struct http_server_options options = {.listen = listen,
                                          .setting = "metrics.listen",
                                          .routes = routes,
                                          .route_count = 4,
                                          .context = context};
    return http_server_start(&options, ret_server, error);
}

static void must_start(const char *listen, struct http_server **ret_server)
{
    struct error error = {""};
    if (start(listen, ret_server, &error) != STATUS_OK) {
        fail_msg("%s", error.message);
    }
}

struct request_case {
    const char *method;
    const char *path;
    const char *expected;
};

static void answers_its_paths_and_nothing_else(void **state)
{
    (void)state;
    static const struct request_case cases[] = {
        {"GET", "/not_now", "503 text/plain not now\n"},
        {"GET", "/not_now?a=b", "503 text/plain not now\n"},
        {"HEAD", "/not_now", "503 text/plain \n"},
        {"GET", "/nothing", "200 text/plain; charset=utf-8 \n"},
        {"GET", "/failed", "500 text/plain; charset=utf-8 out of memory\n"},
        {"GET", "/", "404 text/plain; charset=utf-8 not found\n"},
        {"GET", "/not_now/", "404 text/plain; charset=utf-8 not found\n"},
        {"GET", "/../etc/passwd", "404 text/plain; charset=utf-8 not found\n"},
        {"POST", "/not_now", "405 text/plain; charset=utf-8 only GET\n"},
        {"DELETE", "/not_now", "405 text/plain; charset=utf-8 only GET\n"},
    };
    struct http_server *server = NULL;
    must_start("127.0.0.1:0", &server);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        print_message("case: %s %s\n", cases[i].method, cases[i].path);
        int code = -1;
        char *said = output_of(&code, "python3 test/metrics/http_get.py %s http://127.0.0.1:%u%s",
                               cases[i].method, (unsigned)http_server_port(server), cases[i].path);
        assert_int_equal(code, 0);
        assert_string_equal(said, cases[i].expected);
        free(said);
    }
    int code = -1;
    char *said = output_of(&code, "python3 test/metrics/http_get.py GET http://127.0.0.1:%u/many",
                           (unsigned)http_server_port(server));
    assert_int_equal(strlen(said), 3000000 + strlen("200 text/plain; version=0.0.4 \n"));
    free(said);
    http_server_stop(server);
}

struct listen_case {
    const char *listen;
    const char *expected; /* NULL: it starts. */
};

static void refuses_addresses_that_are_none(void **state)
{
    (void)state;
    static const struct listen_case cases[] = {
        {"localhost:0", NULL},
        {"[127.0.0.1]:0", NULL},
        {"", "expected an address and a port, such as 127.0.0.1:9464"},
        {"9464", "expected an address and a port"},
        {":9464", "expected an address and a port"},
        {"127.0.0.1:", "expected an address and a port"},
        {"127.0.0.1:70000", "expected an address and a port"},
        {"127.0.0.1:12a", "expected an address and a port"},
        {"::1:9464", "expected an address and a port"},
        {"no.such.host.invalid:9464", "expected an address and a port"},
        {"192.0.2.1:9464", "metrics.listen: 192.0.2.1:9464: Cannot assign requested address"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        print_message("case: \"%s\"\n", cases[i].listen);
        struct http_server *server = NULL;
        struct error error = {""};
        enum status status = start(cases[i].listen, &server, &error);
        assert_int_equal(status, cases[i].expected ? STATUS_INVALID : STATUS_OK);
        if (cases[i].expected) {
            assert_null(server);
            assert_non_null(strstr(error.message, cases[i].expected));
        }
        http_server_stop(server);
    }
}

static void says_that_a_port_is_taken_and_frees_its_own(void **state)
{
    (void)state;
    struct http_server *server = NULL;
    must_start("127.0.0.1:0", &server);
    char listen[32];
    (void)snprintf(listen, sizeof(listen), "127.0.0.1:%u", (unsigned)http_server_port(server));
    struct http_server *second = NULL;
    struct error error = {""};
    assert_int_equal(start(listen, &second, &error), STATUS_INVALID);
    assert_non_null(strstr(error.message, "Address already in use"));
    http_server_stop(server);
    must_start(listen, &second);
    http_server_stop(second);
}

/* Those who connect and say nothing must neither keep others out for good nor hold up a stop. */
static void stops_in_spite_of_silent_connections(void **state)
{
    (void)state;
    struct http_server *server = NULL;
    must_start("127.0.0.1:0", &server);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(http_server_port(server)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int sockets[HTTP_CONNECTIONS_MAX / 2];
    for (size_t i = 0; i < HTTP_CONNECTIONS_MAX / 2; i++) {
        sockets[i] = socket(AF_INET, SOCK_STREAM, 0);
        assert_int_equal(connect(sockets[i], (struct sockaddr *)&address, sizeof(address)), 0);
        assert_int_equal(write(sockets[i], "GET /no", 7), 7);
    }
    int code = -1;
    char *said =
        output_of(&code, "python3 test/metrics/http_get.py GET http://127.0.0.1:%u/not_now",
                  (unsigned)http_server_port(server));
    assert_string_equal(said, "503 text/plain not now\n");
    free(said);
    http_server_stop(server);
    for (size_t i = 0; i < HTTP_CONNECTIONS_MAX / 2; i++) {
        (void)close(sockets[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_its_paths_and_nothing_else),
        cmocka_unit_test(refuses_addresses_that_are_none),
        cmocka_unit_test(says_that_a_port_is_taken_and_frees_its_own),
        cmocka_unit_test(stops_in_spite_of_silent_connections),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
