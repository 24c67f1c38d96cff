/* A store that passes calls on to another one and fails the Nth get, write or scan. */
#ifndef TEST_FAKES_FAILING_STORE_H
#define TEST_FAKES_FAILING_STORE_H

#include "pipeline/state/state_store.h"

struct failing_store {
    struct state_store store;
    struct state_store *inner; /* Borrowed. */
    uint64_t calls;            /* So far. */
    uint64_t fail_at;          /* This call fails, from 1; 0: none. */
};

void failing_store_init(struct failing_store *failing, struct state_store *inner);

#endif
