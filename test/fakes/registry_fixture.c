#include "test/fakes/registry_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "test/fakes/fixture.h"

int registry_setup(void **state)
{
    struct registry_fixture *fixture = calloc(1, sizeof(*fixture));
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

int registry_teardown(void **state)
{
    struct registry_fixture *fixture = *state;
    schema_registry_close(fixture->registry);
    registry_process_stop(&fixture->server);
    fixture_remove(fixture->directory);
    free(fixture->directory);
    free(fixture);
    return 0;
}

void registry_start_server(struct registry_fixture *fixture, const char *const *options)
{
    fixture->server = registry_process_start(options);
    (void)snprintf(fixture->url[0], sizeof(fixture->url[0]), "http://127.0.0.1:%d",
                   fixture->server.port);
}

void registry_must_open(struct registry_fixture *fixture)
{
    struct error error = {""};
    if (schema_registry_open(&fixture->options, &fixture->registry, &error) != STATUS_OK) {
        fail_msg("%s", error.message);
    }
}

enum registry_answer registry_find_at_last(struct registry_fixture *fixture, uint32_t id,
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
