/*
 * One batch of puts, copied and sorted, that goes to a RocksDB as a sorted file that it takes over
 * whole: cheaper than its memtable, atomic, and durable at once. Source: "Creating and ingesting
 * SST files" in RocksDB's own documentation.
 */
#ifndef PIPELINE_STATE_ROCKSDB_SLICE_H
#define PIPELINE_STATE_ROCKSDB_SLICE_H

#include <stdbool.h>

#include <rocksdb/c.h>

#include "pipeline/base/status.h"
#include "pipeline/state/state_store.h"

struct rocksdb_slice;

/* Works on a file of its own in `directory`. Returns NULL when memory is exhausted. */
struct rocksdb_slice *rocksdb_slice_create(const char *directory, const rocksdb_options_t *options);
void rocksdb_slice_destroy(struct rocksdb_slice *slice);

/*
 * Replaces what the slice holds by copies of the puts, whose keys differ, and of one more, `last`.
 * False when memory is exhausted: then it holds nothing.
 */
MUST_CHECK bool rocksdb_slice_fill(struct rocksdb_slice *slice, const struct store_put *puts,
                                   uint32_t count, const struct store_put *last);

/*
 * Whether the slice has a put of `key`; then *ret_value is what it puts, without bytes for a
 * deletion, valid until the next fill. Any number of threads, also while it is written.
 */
bool rocksdb_slice_find(const struct rocksdb_slice *slice, const struct store_key *key,
                        struct store_value *ret_value);

/*
 * Writes what it holds and hands it over. Returns NULL or a message of RocksDB's kind, to be freed
 * with rocksdb_free(); then nothing was written.
 */
char *rocksdb_slice_write(struct rocksdb_slice *slice, rocksdb_t *db);

#endif
