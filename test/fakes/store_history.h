/* A store on disk, and random writes to a store whose content is known after each. */
#ifndef TEST_FAKES_STORE_HISTORY_H
#define TEST_FAKES_STORE_HISTORY_H

#include "pipeline/state/rocksdb_options.h"
#include "pipeline/state/state_store.h"
#include "test/fakes/random.h"

/* A folder, a budget and a store in it. */
struct store_disk {
    char *directory;
    struct rocksdb_budget *budget;
    struct state_store *store;
};

/* Of cmocka: the state is a struct store_disk whose store is not open. */
int store_disk_setup(void **state);
int store_disk_teardown(void **state);

void store_disk_open(struct store_disk *disk, int64_t retention_ms);
void store_disk_close(struct store_disk *disk); /* If it is open. */

/* Opening it fails with `why` and a message that has `expected` and the folder. */
void store_assert_refused(const struct store_disk *disk, enum status why, const char *expected);

#define KEYS 300u
#define WRITES_MAX 400u

struct store_key store_test_key(uint32_t i);

/* What key i holds after each write: the number of that write, or 0. */
struct store_history {
    uint32_t values[WRITES_MAX + 1][KEYS];
    uint64_t positions[WRITES_MAX + 1];
    uint32_t writes;
};

/* One write of a fifth of the keys, and removal of a tenth. */
void store_write_some(struct state_store *store, struct random *random,
                      struct store_history *history);

/* WRITES_MAX of them from nothing, checked along the way, flushed now and then. */
void store_run_history(struct state_store *store, uint64_t seed, struct store_history *history);

void store_check_content(struct state_store *store, const uint32_t values[KEYS]);

#endif
