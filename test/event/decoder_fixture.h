/* A file to decode and a mapping that shows what came of it; of a program that tests decoders. */
#ifndef TEST_EVENT_DECODER_FIXTURE_H
#define TEST_EVENT_DECODER_FIXTURE_H

#include <stdio.h>

#include "test/event/mapping_stub.h"
#include "test/fakes/fixture.h"

struct fixture {
    char *directory;
    char path[4200];
    struct event_batch batch;
    struct mapping mapping;
    char *names[STUB_VALUES_MAX];
};

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    fixture->directory = fixture_directory();
    (void)snprintf(fixture->path, sizeof(fixture->path), "%s/input", fixture->directory);
    assert_int_equal(event_batch_init(&fixture->batch, 0, NULL), STATUS_OK);
    fixture->mapping.wanted.items = fixture->names;
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    event_batch_release(&fixture->batch);
    fixture_remove(fixture->directory);
    free(fixture->directory);
    free(fixture);
    return 0;
}

#endif
