/*
 * An ordered store of byte keys, one for each task. Implementations: state_store_rocksdb.c in
 * production, state_store_memory.c in tests and in the simulator. It is never ahead of the commit
 * log: only committed records are written, each write carries the log position that it is equal to
 * or ahead of, and after a crash the log is replayed from the position that survived.
 */
#ifndef PIPELINE_STATE_STATE_STORE_H
#define PIPELINE_STATE_STATE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pipeline/base/status.h"

#define STORE_KEY_BYTES_MAX 32u

struct store_key {
    unsigned char bytes[STORE_KEY_BYTES_MAX];
    uint8_t length;
};

struct store_value {
    const void *bytes; /* NULL: no such key. Valid until the next call on the store. */
    uint32_t length;
};

struct store_put {
    struct store_key key;
    const void *bytes; /* NULL: delete. */
    uint32_t length;
};

struct state_store;

/* Returns false to stop the scan. */
typedef bool store_visitor(void *context, const struct store_key *key, struct store_value value);

struct state_store_ops {
    const char *name; /* "rocksdb", "memory" */

    /* values[i] of keys[i]; keys need not be sorted and may repeat. */
    enum status (*get_many)(struct state_store *store, const struct store_key *keys, uint32_t count,
                            struct store_value *values, struct error *error);

    /*
     * Applies all puts and remembers `log_position`, atomically, but not durably: a crash may undo
     * it and all later writes, never an earlier one alone. Borrowed memory is free afterwards. What
     * goes wrong may be told by a later call, and from then on by each.
     */
    enum status (*write)(struct state_store *store, const struct store_put *puts, uint32_t count,
                         uint64_t log_position, struct error *error);

    /* Visits the keys in [from, to) in order. The store must not be written meanwhile. */
    enum status (*scan)(struct state_store *store, const struct store_key *from,
                        const struct store_key *to, store_visitor *visit, void *context,
                        struct error *error);

    /* Makes all earlier writes durable. May take long. */
    enum status (*flush)(struct state_store *store, struct error *error);

    /* Log position of the newest write that would survive a crash now; 0: none. Cheap. */
    uint64_t (*durable_position)(struct state_store *store);

    /* Log position of the newest write. */
    uint64_t (*position)(struct state_store *store);

    /* Not a flush: what was not durable may be lost. NULL is a no-op. */
    void (*close)(struct state_store *store);
};

/* Embedded by each implementation. */
struct state_store {
    const struct state_store_ops *ops;
};

/*
 * Shared by the stores of all tasks of the process, so that the memory cap holds for them together:
 * one cache of blocks, and for each store a filter that knows most keys that are new.
 */
struct rocksdb_budget;
MUST_CHECK enum status rocksdb_budget_create(size_t block_cache_bytes, size_t filter_bytes,
                                             struct rocksdb_budget **ret_budget,
                                             struct error *error);
void rocksdb_budget_destroy(struct rocksdb_budget *budget);

/*
 * Opens or creates the store in `directory`. Refused, each with its own message: locked by another
 * process, written by a newer format, corrupt. Whatever a call finds broken in what is stored is
 * STATUS_CORRUPT. `budget` is borrowed. Records whose last event is
 * more than `retention_ms` older than the watermark and that have no timer are dropped by
 * compaction (0: never), see state_store_rocksdb_watermark.
 */
MUST_CHECK enum status state_store_rocksdb_open(const char *directory,
                                                struct rocksdb_budget *budget, int64_t retention_ms,
                                                struct state_store **ret_store,
                                                struct error *error);
struct rocksdb_stats {
    uint64_t keys; /* About how many. */
    uint64_t file_bytes;
    uint64_t pending_compaction_bytes; /* About what compaction still has to write. */
    uint64_t running_compactions;
    uint64_t top_files; /* Of level 0, which every reading goes through. */
};
/* False: the store is no RocksDB. Cheap enough for once a second; the store's thread. */
bool state_store_rocksdb_stats(struct state_store *store, struct rocksdb_stats *ret_stats);

/* Tells the compaction of a RocksDB store the event time reached. Thread-safe. */
void state_store_rocksdb_watermark(struct state_store *store, int64_t watermark_ms);

/*
 * In memory. memory_store_crash() forgets what was not flushed, back to a random earlier write
 * between the last flush and now chosen by `seed`, as a crash of the real one would.
 */
MUST_CHECK enum status state_store_memory_open(struct state_store **ret_store, struct error *error);
void state_store_memory_crash(struct state_store *store, uint64_t seed);

#endif
