/* A store that outlives the task, fails or crashes at a chosen call, and goes down with the disk.
 */
#ifndef TEST_SIMULATION_SIMULATED_STORE_H
#define TEST_SIMULATION_SIMULATED_STORE_H

#include "pipeline/state/state_store.h"
#include "test/fakes/storage_fake.h"

enum store_fault {
    STORE_FAIL,
    STORE_BUSY, /* The write is to come again; other calls fail. */
    STORE_CRASH_BEFORE,
    STORE_CRASH_AFTER,
    STORE_CORRUPT,
};

struct simulated_store {
    struct state_store store;
    struct state_store *inner; /* Borrowed: close() leaves it. */
    struct storage_fake *disk; /* Borrowed. The process's, which dies with it. */
    uint64_t calls, writes;
    uint64_t fault_at; /* Of the calls; 0: none. */
    enum store_fault fault;
    bool was_hit;
    bool is_down; /* The process died in a call of this store. */
};

void simulated_store_init(struct simulated_store *store, struct state_store *inner,
                          struct storage_fake *disk);

#endif
