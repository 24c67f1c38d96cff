#define _GNU_SOURCE /* qsort_r. NOLINT(bugprone-reserved-identifier) */
#include "pipeline/state/rocksdb_slice.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SLICE_FILE "/slice.tmp"
#define PREFETCH_PUTS 8u
#define FETCH_BYTES ((off_t)131072) /* The kernel cuts larger wishes off at its read-ahead. */

/* A put in the order of its key. */
struct slice_item {
    uint64_t prefix; /* First bytes of the key, most significant first: decides most often. */
    size_t at;       /* Of its copy. */
};

/* In front of the key and the value of a copy. */
struct slice_copy {
    uint32_t length; /* Of the value. */
    uint8_t key_length;
    bool is_deletion;
    unsigned char bytes[];
};

struct rocksdb_slice {
    char *path;
    rocksdb_envoptions_t *environment;
    rocksdb_sstfilewriter_t *writer;
    rocksdb_ingestexternalfileoptions_t *ingest_options;
    struct slice_item *items; /* In order of their keys. Grows to the largest slice, as `bytes`. */
    size_t count, capacity;
    unsigned char *bytes; /* Copies, one behind the other. */
    size_t bytes_capacity;
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
        free(slice->bytes);
        free(slice);
    }
}

static const struct slice_copy *copy_at(const struct rocksdb_slice *slice, size_t at)
{
    return (const struct slice_copy *)(const void *)(slice->bytes + at);
}

static size_t copy_bytes(const struct store_put *put)
{
    const size_t mask = _Alignof(struct slice_copy) - 1;
    return (sizeof(struct slice_copy) + put->key.length + put->length + mask) & ~mask;
}

static uint64_t prefix_of(const unsigned char *key, size_t length)
{
    uint64_t prefix = 0;
    memcpy(&prefix, key, length < 8 ? length : 8);
    return __builtin_bswap64(prefix);
}

static int compare_keys(const unsigned char *a, size_t a_length, const unsigned char *b,
                        size_t b_length)
{
    int order = memcmp(a, b, a_length < b_length ? a_length : b_length);
    return order != 0 ? order : (int)a_length - (int)b_length;
}

static int compare_items(const void *a, const void *b, void *context)
{
    const struct rocksdb_slice *slice = context;
    const struct slice_item *x = a;
    const struct slice_item *y = b;
    if (x->prefix != y->prefix) {
        return x->prefix < y->prefix ? -1 : 1;
    }
    const struct slice_copy *p = copy_at(slice, x->at);
    const struct slice_copy *q = copy_at(slice, y->at);
    return compare_keys(p->bytes, p->key_length, q->bytes, q->key_length);
}

static bool reserve(void **memory, size_t *capacity, size_t wanted, size_t element_bytes)
{
    if (*capacity >= wanted) {
        return true;
    }
    void *grown = realloc(*memory, wanted * element_bytes);
    if (!grown) {
        return false;
    }
    *memory = grown;
    *capacity = wanted;
    return true;
}

static void add_copy(struct rocksdb_slice *slice, const struct store_put *put, size_t *at)
{
    struct slice_copy *copy = (struct slice_copy *)(void *)(slice->bytes + *at);
    *copy = (struct slice_copy){put->length, put->key.length, !put->bytes};
    memcpy(copy->bytes, put->key.bytes, put->key.length);
    if (put->bytes) {
        memcpy(copy->bytes + put->key.length, put->bytes, put->length);
    }
    slice->items[slice->count++] =
        (struct slice_item){prefix_of(put->key.bytes, put->key.length), *at};
    *at += copy_bytes(put);
}

bool rocksdb_slice_fill(struct rocksdb_slice *slice, const struct store_put *puts, uint32_t count,
                        const struct store_put *last)
{
    slice->count = 0;
    size_t bytes = copy_bytes(last);
    for (uint32_t i = 0; i < count; i++) {
        bytes += copy_bytes(&puts[i]);
    }
    void *items = slice->items;
    void *copies = slice->bytes;
    bool is_enough = reserve(&items, &slice->capacity, count + (size_t)1, sizeof(*slice->items)) &&
                     reserve(&copies, &slice->bytes_capacity, bytes, 1);
    slice->items = items;
    slice->bytes = copies;
    if (!is_enough) {
        return false;
    }
    size_t at = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (i + PREFETCH_PUTS < count) {
            __builtin_prefetch(puts[i + PREFETCH_PUTS].bytes);
        }
        add_copy(slice, &puts[i], &at);
    }
    add_copy(slice, last, &at);
    qsort_r(slice->items, slice->count, sizeof(*slice->items), compare_items, slice);
    return true;
}

bool rocksdb_slice_find(const struct rocksdb_slice *slice, const struct store_key *key,
                        struct store_value *ret_value)
{
    uint64_t prefix = prefix_of(key->bytes, key->length);
    size_t from = 0;
    size_t to = slice->count;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        const struct slice_item *item = &slice->items[middle];
        const struct slice_copy *copy = NULL;
        int order = item->prefix < prefix ? -1 : item->prefix > prefix;
        if (order == 0) {
            copy = copy_at(slice, item->at);
            order = compare_keys(copy->bytes, copy->key_length, key->bytes, key->length);
        }
        if (order == 0) {
            *ret_value = copy->is_deletion
                             ? (struct store_value){0}
                             : (struct store_value){copy->bytes + copy->key_length, copy->length};
            return true;
        }
        from = order < 0 ? middle + 1 : from;
        to = order < 0 ? to : middle;
    }
    return false;
}

static char *write_file(struct rocksdb_slice *slice)
{
    char *message = NULL;
    rocksdb_sstfilewriter_open(slice->writer, slice->path, &message);
    for (size_t i = 0; i < slice->count && !message; i++) {
        const struct slice_copy *copy = copy_at(slice, slice->items[i].at);
        const char *key = (const char *)copy->bytes;
        if (copy->is_deletion) {
            rocksdb_sstfilewriter_delete(slice->writer, key, copy->key_length, &message);
        } else {
            rocksdb_sstfilewriter_put(slice->writer, key, copy->key_length, key + copy->key_length,
                                      copy->length, &message);
        }
    }
    if (!message) {
        rocksdb_sstfilewriter_finish(slice->writer, &message);
    }
    return message;
}

/*
 * The writer of the file tells the kernel to forget its pages, and the next records that have left
 * the cache, or the merge of this file, would be read from the disk again, some 30 us of CPU each
 * on a virtual one. So they are fetched back at once, in large pieces, by the kernel and for as
 * long as it has memory to spare. A hint: what goes wrong is not looked at.
 */
static void fetch_pages(const struct rocksdb_slice *slice)
{
    int file = open(slice->path, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        return;
    }
    off_t end = lseek(file, 0, SEEK_END);
    for (off_t at = 0; at < end; at += FETCH_BYTES) {
        (void)posix_fadvise(file, at, FETCH_BYTES, POSIX_FADV_WILLNEED);
    }
    (void)close(file);
}

char *rocksdb_slice_write(struct rocksdb_slice *slice, rocksdb_t *db)
{
    assert(slice->count > 0);
    /*
     * RocksDB takes the file over by a second link and then removes the first. After a crash in
     * between, our name is still that of a live file: it must never be written to again.
     */
    if (unlink(slice->path) != 0 && errno != ENOENT) {
        return strdup("a file left from an earlier write cannot be removed");
    }
    char *message = write_file(slice);
    if (!message) {
        const char *path = slice->path;
        fetch_pages(slice);
        rocksdb_ingest_external_file(db, &path, 1, slice->ingest_options, &message);
    }
    return message;
}
