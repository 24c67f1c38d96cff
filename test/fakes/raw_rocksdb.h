/* Reaches past the store into RocksDB, for tests of what it should refuse or drop. */
#ifndef TEST_FAKES_RAW_ROCKSDB_H
#define TEST_FAKES_RAW_ROCKSDB_H

#include <stddef.h>

/* Opens or creates the database, writes one key to a file and closes it. */
void raw_rocksdb_put(const char *directory, const char *key, const void *bytes, size_t length);

#endif
