#include "test/fakes/raw_rocksdb.h"

#include <assert.h>
#include <string.h>

#include <rocksdb/c.h>

void raw_rocksdb_put(const char *directory, const char *key, const void *bytes, size_t length)
{
    rocksdb_options_t *options = rocksdb_options_create();
    rocksdb_options_set_create_if_missing(options, 1);
    char *message = NULL;
    rocksdb_t *db = rocksdb_open(options, directory, &message);
    assert(!message);
    rocksdb_writeoptions_t *write_options = rocksdb_writeoptions_create();
    rocksdb_put(db, write_options, key, strlen(key), bytes, length, &message);
    assert(!message);
    rocksdb_writeoptions_destroy(write_options);
    rocksdb_close(db);
    rocksdb_options_destroy(options);
}
