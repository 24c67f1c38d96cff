/*
 * Writes one batch of puts to a RocksDB as a sorted file that it takes over whole: cheaper than its
 * memtable, atomic, and durable at once. Source: "Creating and ingesting SST files" in RocksDB's
 * own documentation.
 */
#ifndef PIPELINE_STATE_ROCKSDB_SLICE_H
#define PIPELINE_STATE_ROCKSDB_SLICE_H

#include <rocksdb/c.h>

#include "pipeline/base/status.h"
#include "pipeline/state/state_store.h"

struct rocksdb_slice;

/* Works on a file of its own in `directory`. Returns NULL when memory is exhausted. */
struct rocksdb_slice *rocksdb_slice_create(const char *directory, const rocksdb_options_t *options);
void rocksdb_slice_destroy(struct rocksdb_slice *slice);

/*
 * Sorts, writes and hands over the puts, whose keys differ, and one more, `last`. Returns NULL or
 * RocksDB's message, to be freed with rocksdb_free(); then nothing was written.
 */
char *rocksdb_slice_write(struct rocksdb_slice *slice, rocksdb_t *db, const struct store_put *puts,
                          uint32_t count, const struct store_put *last);

#endif
