/* Everything that is set on RocksDB, and what the stores of all tasks share. */
#ifndef PIPELINE_STATE_ROCKSDB_OPTIONS_H
#define PIPELINE_STATE_ROCKSDB_OPTIONS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <rocksdb/c.h>

#include "pipeline/base/status.h"

struct rocksdb_budget {
    rocksdb_cache_t *block_cache; /* Index and filter blocks of all stores. */
    size_t filter_bytes;          /* Of the filter of new keys, for each store. */
};

/* What the compaction filter knows. Read by RocksDB's own threads. */
struct rocksdb_retention {
    int64_t retention_ms; /* 0: nothing is dropped. */
    _Atomic int64_t watermark_ms;
};

/* Borrows both, which outlive the store. */
rocksdb_options_t *rocksdb_options_make(const struct rocksdb_budget *budget,
                                        struct rocksdb_retention *retention);

struct state_store;
/* Compacts everything and waits: for tests, and for measurements of a store that has settled. */
MUST_CHECK enum status state_store_rocksdb_compact(struct state_store *store, struct error *error);

#endif
