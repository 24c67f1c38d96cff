/* A schema registry as another process, and our client of it. */
#ifndef TEST_FAKES_REGISTRY_FIXTURE_H
#define TEST_FAKES_REGISTRY_FIXTURE_H

#include "pipeline/wire/schema_registry.h"
#include "test/fakes/registry_process.h"

struct registry_fixture {
    char *directory;
    struct registry_process server;
    struct schema_registry *registry;
    char url[2][64];
    char *urls[2];
    struct schema_registry_options options;
    uint32_t failures_heard; /* For a test that listens. */
    char heard[512];
};

/* Of cmocka: the state is a struct registry_fixture; neither server nor client runs yet. */
int registry_setup(void **state);
int registry_teardown(void **state);

/* `options`: of registry_process_start(). */
void registry_start_server(struct registry_fixture *fixture, const char *const *options);
void registry_must_open(struct registry_fixture *fixture);

/* Asks until there is an answer other than PENDING, as an input does. */
enum registry_answer registry_find_at_last(struct registry_fixture *fixture, uint32_t id,
                                           const char **ret_schema, char *ret_detail);

#endif
