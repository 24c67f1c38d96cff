/*
 * Writes slices to a RocksDB on a thread of its own, one after the other, so that a task does not
 * stand still while a file is built and synced. All but the thread itself belongs to one thread,
 * the store's.
 */
#ifndef PIPELINE_STATE_ROCKSDB_WRITER_H
#define PIPELINE_STATE_ROCKSDB_WRITER_H

#include <stdbool.h>
#include <stdint.h>

#include "pipeline/state/rocksdb_slice.h"

struct rocksdb_writer;

/* Borrows both. Returns NULL when there is no memory or no thread to be had. */
struct rocksdb_writer *rocksdb_writer_start(rocksdb_t *db, struct rocksdb_slice *slice);

/* Waits for what is under way, then ends the thread. NULL is a no-op. */
void rocksdb_writer_stop(struct rocksdb_writer *writer);

/*
 * Waits until nothing is under way, `milliseconds` at most; false: something still is. When a slice
 * could not be written, *ret_message says why, from then on each time; it is the writer's.
 */
MUST_CHECK bool rocksdb_writer_wait(struct rocksdb_writer *writer, uint32_t milliseconds,
                                    const char **ret_message);

/* Begins to write what the slice holds. Nothing may be under way. */
void rocksdb_writer_begin(struct rocksdb_writer *writer);

#endif
