#include "pipeline/state/rocksdb_slice.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SLICE_FILE "/slice.tmp"

/* A put in the order of its key. */
struct slice_item {
    uint64_t prefix; /* First bytes of the key, most significant first: decides most often. */
    const struct store_put *put;
};

struct rocksdb_slice {
    char *path;
    rocksdb_envoptions_t *environment;
    rocksdb_sstfilewriter_t *writer;
    rocksdb_ingestexternalfileoptions_t *ingest_options;
    struct slice_item *items; /* Grows to the largest slice. */
    size_t capacity;
};

struct rocksdb_slice *rocksdb_slice_create(const char *directory, const rocksdb_options_t *options)
{
    struct rocksdb_slice *slice = calloc(1, sizeof(*slice));
    char *path = malloc(strlen(directory) + sizeof(SLICE_FILE));
    if (!slice || !path) {
        free(slice);
        free(path);
        return NULL;
    }
    (void)stpcpy(stpcpy(path, directory), SLICE_FILE);
    slice->path = path;
    slice->environment = rocksdb_envoptions_create();
    slice->writer = rocksdb_sstfilewriter_create(slice->environment, options);
    slice->ingest_options = rocksdb_ingestexternalfileoptions_create();
    rocksdb_ingestexternalfileoptions_set_move_files(slice->ingest_options, 1);
    return slice;
}

void rocksdb_slice_destroy(struct rocksdb_slice *slice)
{
    if (slice) {
        rocksdb_sstfilewriter_destroy(slice->writer);
        rocksdb_envoptions_destroy(slice->environment);
        rocksdb_ingestexternalfileoptions_destroy(slice->ingest_options);
        free(slice->path);
        free(slice->items);
        free(slice);
    }
}

static int compare_items(const void *a, const void *b)
{
    const struct slice_item *x = a;
    const struct slice_item *y = b;
    if (x->prefix != y->prefix) {
        return x->prefix < y->prefix ? -1 : 1;
    }
    const struct store_key *p = &x->put->key;
    const struct store_key *q = &y->put->key;
    int order = memcmp(p->bytes, q->bytes, p->length < q->length ? p->length : q->length);
    return order != 0 ? order : (int)p->length - (int)q->length;
}

static struct slice_item item_of(const struct store_put *put)
{
    uint64_t prefix = 0;
    memcpy(&prefix, put->key.bytes, put->key.length < 8 ? put->key.length : 8);
    return (struct slice_item){__builtin_bswap64(prefix), put};
}

static int sort_puts(struct rocksdb_slice *slice, const struct store_put *puts, uint32_t count,
                     const struct store_put *last)
{
    if (slice->capacity < count + (size_t)1) {
        struct slice_item *grown =
            realloc(slice->items, (count + (size_t)1) * sizeof(*slice->items));
        if (!grown) {
            return 0;
        }
        slice->items = grown;
        slice->capacity = count + (size_t)1;
    }
    for (uint32_t i = 0; i < count; i++) {
        slice->items[i] = item_of(&puts[i]);
    }
    slice->items[count] = item_of(last);
    qsort(slice->items, count + (size_t)1, sizeof(*slice->items), compare_items);
    return 1;
}

static char *write_file(struct rocksdb_slice *slice, size_t count)
{
    char *message = NULL;
    rocksdb_sstfilewriter_open(slice->writer, slice->path, &message);
    for (size_t i = 0; i < count && !message; i++) {
        const struct store_put *put = slice->items[i].put;
        const char *key = (const char *)put->key.bytes;
        if (put->bytes) {
            rocksdb_sstfilewriter_put(slice->writer, key, put->key.length, put->bytes, put->length,
                                      &message);
        } else {
            rocksdb_sstfilewriter_delete(slice->writer, key, put->key.length, &message);
        }
    }
    if (!message) {
        rocksdb_sstfilewriter_finish(slice->writer, &message);
    }
    return message;
}

char *rocksdb_slice_write(struct rocksdb_slice *slice, rocksdb_t *db, const struct store_put *puts,
                          uint32_t count, const struct store_put *last)
{
    if (!sort_puts(slice, puts, count, last)) {
        return strdup("out of memory");
    }
    /*
     * RocksDB takes the file over by a second link and then removes the first. After a crash in
     * between, our name is still that of a live file: it must never be written to again.
     */
    if (unlink(slice->path) != 0 && errno != ENOENT) {
        return strdup("a file left from an earlier write cannot be removed");
    }
    char *message = write_file(slice, count + (size_t)1);
    if (!message) {
        const char *path = slice->path;
        rocksdb_ingest_external_file(db, &path, 1, slice->ingest_options, &message);
    }
    return message;
}
