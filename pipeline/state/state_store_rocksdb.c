/*
 * One RocksDB a task. Writes neither go through its memtables nor its write-ahead log: each is a
 * sorted file that it takes over, durable at once, as a prefix of the writes. The newest one may
 * still be under way, on a thread of its own; until it is done, it is looked into first. Two keys
 * of our own stand before the records: the format of the store and the log position.
 */
#include <assert.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/stage.h"
#include "pipeline/state/key_filter.h"
#include "pipeline/state/rocksdb_options.h"
#include "pipeline/state/rocksdb_slice.h"
#include "pipeline/state/rocksdb_writer.h"
#include "pipeline/state/state_store.h"

#define STORE_FORMAT 1u
#define FORMAT_KEY "mformat"
#define POSITION_KEY "mposition"
/* Keys of one multi-get: their blocks are pinned in the cache meanwhile. */
#define GET_KEYS 128u
/* Keys that are read into the filter with each write, until all that were there at the start are.
 */
#define FILTER_SCAN_KEYS 32768u
/* What the keys of records begin with: the only ones that are asked for. */
#define RECORD_KEYS 'r'
#define STALL_MS_MAX 10000u /* How long a write waits for the one before it. */

struct rocksdb_store {
    struct state_store store;
    struct rocksdb_budget *budget; /* Borrowed. */
    struct rocksdb_retention retention;
    char *directory;
    rocksdb_options_t *options;
    rocksdb_readoptions_t *read_options;
    rocksdb_readoptions_t *scan_options;
    rocksdb_column_family_handle_t *family;
    rocksdb_t *db;
    struct rocksdb_slice *slice; /* What was written last. */
    struct rocksdb_writer *writer;
    uint64_t position;
    uint64_t durable_position; /* Of the writes before the one that may be under way. */
    /* The keys of records that were written since the start, or stand before filter_from. */
    struct key_filter *filter;
    struct store_key filter_from;
    bool is_filter_whole;  /* It has every key, so it can say that one is not there. */
    unsigned char *values; /* Of the last get_many. */
    size_t values_capacity;
};

static struct rocksdb_store *self_of(struct state_store *store)
{
    return container_of(store, struct rocksdb_store, store);
}

/*
 * A checksum that is wrong, or a file of its own that RocksDB misses. A disk that is full,
 * read-only or fails is none, nor is what a later version of RocksDB has written.
 */
static bool is_corruption(const char *message)
{
    bool is_newer = strstr(message, "newer version") || strstr(message, "ewer software");
    bool is_lost = strstr(message, "No such file") &&
                   (strstr(message, "/MANIFEST-") || strstr(message, ".sst"));
    return (strncmp(message, "Corruption", 10) == 0 && !is_newer) ||
           (strncmp(message, "IO error", 8) == 0 && is_lost);
}

static enum status report(const struct rocksdb_store *self, const char *doing, const char *message,
                          struct error *error)
{
    bool is_corrupt = is_corruption(message);
    return error_set(error, is_corrupt ? STATUS_CORRUPT : STATUS_FATAL, "state in %s: %s: %s%s",
                     self->directory, doing, message,
                     is_corrupt ? " (the stored state is corrupt)" : "");
}

/* Reports RocksDB's `message`, which is freed. */
static enum status fail(const struct rocksdb_store *self, const char *doing, char *message,
                        struct error *error)
{
    enum status status = report(self, doing, message, error);
    rocksdb_free(message);
    return status;
}

static bool values_reserve(struct rocksdb_store *self, size_t bytes)
{
    if (bytes <= self->values_capacity) {
        return true;
    }
    size_t capacity = bytes * 2;
    unsigned char *grown = realloc(self->values, capacity);
    if (!grown) {
        return false;
    }
    self->values = grown;
    self->values_capacity = capacity;
    return true;
}

/* Copies a value behind `used` bytes of earlier ones. ret_value->bytes is its offset + 1. */
static enum status copy_value(struct rocksdb_store *self, const void *bytes, size_t length,
                              struct store_value *ret_value, size_t *used, struct error *error)
{
    if (!values_reserve(self, *used + length)) {
        return error_set(error, STATUS_FATAL, "state store: out of memory");
    }
    memcpy(self->values + *used, bytes, length);
    *ret_value = (struct store_value){(void *)(uintptr_t)(*used + 1), (uint32_t)length};
    *used += length;
    return STATUS_OK;
}

/* Copies what was read. */
static enum status copy_values(struct rocksdb_store *self, rocksdb_pinnableslice_t **slices,
                               char **messages, uint32_t count, struct store_value *values,
                               size_t *used, struct error *error)
{
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < count; i++) {
        values[i] = (struct store_value){0};
        if (messages[i]) {
            status = fail(self, "reading", messages[i], status == STATUS_OK ? error : NULL);
        }
        if (!slices[i]) {
            continue;
        }
        size_t length;
        const char *bytes = rocksdb_pinnableslice_value(slices[i], &length);
        if (status == STATUS_OK) {
            status = copy_value(self, bytes, length, &values[i], used, error);
        }
        rocksdb_pinnableslice_destroy(slices[i]);
    }
    return status;
}

/* Reads those of the keys that are named in `wanted`. */
static enum status rocksdb_get_block(struct rocksdb_store *self, const struct store_key *keys,
                                     const uint32_t *wanted, uint32_t count,
                                     struct store_value *values, size_t *used, struct error *error)
{
    const char *key_bytes[GET_KEYS] = {0};
    size_t key_lengths[GET_KEYS] = {0};
    rocksdb_pinnableslice_t *slices[GET_KEYS];
    char *messages[GET_KEYS];
    struct store_value found[GET_KEYS];
    for (uint32_t i = 0; i < count; i++) {
        key_bytes[i] = (const char *)keys[wanted[i]].bytes;
        key_lengths[i] = keys[wanted[i]].length;
        slices[i] = NULL;
        messages[i] = NULL;
    }
    rocksdb_batched_multi_get_cf(self->db, self->read_options, self->family, count, key_bytes,
                                 key_lengths, slices, messages, 0);
    enum status status = copy_values(self, slices, messages, count, found, used, error);
    for (uint32_t i = 0; i < count; i++) {
        values[wanted[i]] = found[i];
    }
    return status;
}

/* The next keys from *at on that may be there, as many as one read takes; moves *at behind them. */
static uint32_t next_wanted(const struct rocksdb_store *self, const struct store_key *keys,
                            uint32_t key_count, uint32_t *at, uint32_t *ret_wanted)
{
    uint32_t count = 0;
    while (*at < key_count && count < GET_KEYS) {
        bool may_be[GET_KEYS];
        uint32_t some = key_count - *at < GET_KEYS - count ? key_count - *at : GET_KEYS - count;
        bool is_asked = self->is_filter_whole && keys[*at].bytes[0] == RECORD_KEYS;
        if (is_asked) {
            key_filter_ask(self->filter, keys + *at, some, may_be);
        }
        for (uint32_t i = 0; i < some; i++, (*at)++) {
            if (!is_asked || may_be[i] || keys[*at].bytes[0] != RECORD_KEYS) {
                ret_wanted[count++] = *at;
            }
        }
    }
    return count;
}

/* Takes those of the wanted keys that the write under way has; leaves the others in `wanted`. */
static enum status get_under_way(struct rocksdb_store *self, const struct store_key *keys,
                                 uint32_t *wanted, uint32_t *count, struct store_value *values,
                                 size_t *used, struct error *error)
{
    uint32_t left = 0;
    for (uint32_t i = 0; i < *count; i++) {
        struct store_value value;
        if (!rocksdb_slice_find(self->slice, &keys[wanted[i]], &value)) {
            wanted[left++] = wanted[i];
        } else if (value.bytes) {
            enum status status =
                copy_value(self, value.bytes, value.length, &values[wanted[i]], used, error);
            if (status != STATUS_OK) {
                return status;
            }
        }
    }
    *count = left;
    return STATUS_OK;
}

static enum status rocksdb_store_get_many(struct state_store *store, const struct store_key *keys,
                                          uint32_t count, struct store_value *values,
                                          struct error *error)
{
    struct rocksdb_store *self = self_of(store);
    size_t used = 1; /* So that a value without bytes has an address as well. */
    if (!values_reserve(self, used)) {
        return error_set(error, STATUS_FATAL, "state store: out of memory");
    }
    memset(values, 0, count * sizeof(*values));
    const char *message;
    bool is_under_way = !rocksdb_writer_wait(self->writer, 0, &message);
    if (message) {
        return report(self, "writing", message, error);
    }
    for (uint32_t at = 0; at < count;) {
        uint32_t wanted[GET_KEYS];
        uint32_t block = next_wanted(self, keys, count, &at, wanted);
        enum status status = STATUS_OK;
        if (is_under_way) {
            status = get_under_way(self, keys, wanted, &block, values, &used, error);
        }
        if (block > 0 && status == STATUS_OK) {
            status = rocksdb_get_block(self, keys, wanted, block, values, &used, error);
        }
        if (status != STATUS_OK) {
            return status;
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        if (values[i].bytes) {
            values[i].bytes = self->values + (uintptr_t)values[i].bytes - 1;
        }
    }
    return STATUS_OK;
}

/* Waits for the write under way. */
static enum status wait_for_write(struct rocksdb_store *self, uint32_t milliseconds,
                                  struct error *error)
{
    const char *message;
    if (!rocksdb_writer_wait(self->writer, milliseconds, &message)) {
        return error_set(error, STATUS_RETRY, "state in %s: compaction is more than %u ms behind",
                         self->directory, milliseconds);
    }
    if (message) {
        return report(self, "writing", message, error);
    }
    self->durable_position = self->position;
    return STATUS_OK;
}

struct filter_scan {
    struct rocksdb_store *self;
    uint32_t left;
};

static bool scan_key(void *context, const struct store_key *key, struct store_value value)
{
    (void)value;
    struct filter_scan *scan = context;
    scan->self->filter_from = *key;
    if (scan->left == 0) {
        return false;
    }
    scan->left--;
    key_filter_add(scan->self->filter, key);
    return true;
}

static enum status rocksdb_store_scan(struct state_store *store, const struct store_key *from,
                                      const struct store_key *to, store_visitor *visit,
                                      void *context, struct error *error);

/* A piece at a time, since a large store would hold up the start for seconds. */
static enum status fill_filter(struct rocksdb_store *self, struct error *error)
{
    if (self->is_filter_whole) {
        return STATUS_OK;
    }
    const struct store_key end = {.bytes = {RECORD_KEYS + 1}, .length = 1};
    struct store_key from = self->filter_from;
    struct filter_scan scan = {.self = self, .left = FILTER_SCAN_KEYS};
    enum status status = rocksdb_store_scan(&self->store, &from, &end, scan_key, &scan, error);
    self->is_filter_whole = status == STATUS_OK && scan.left > 0;
    return status;
}

static enum status rocksdb_store_write(struct state_store *store, const struct store_put *puts,
                                       uint32_t count, uint64_t log_position, struct error *error)
{
    struct rocksdb_store *self = self_of(store);
    assert(log_position >= self->position);
    enum status status = wait_for_write(self, STALL_MS_MAX, error);
    if (status == STATUS_OK) {
        status = fill_filter(self, error);
    }
    if (status != STATUS_OK) {
        return status;
    }
    key_filter_add_puts(self->filter, puts, count, RECORD_KEYS);
    struct store_put position = {.bytes = &log_position, .length = sizeof(log_position)};
    position.key.length = (uint8_t)strlen(POSITION_KEY);
    memcpy(position.key.bytes, POSITION_KEY, position.key.length);
    if (!rocksdb_slice_fill(self->slice, puts, count, &position)) {
        return error_set(error, STATUS_FATAL, "state store: out of memory");
    }
    self->position = log_position;
    rocksdb_writer_begin(self->writer);
    return STATUS_OK;
}

static enum status rocksdb_store_scan(struct state_store *store, const struct store_key *from,
                                      const struct store_key *to, store_visitor *visit,
                                      void *context, struct error *error)
{
    struct rocksdb_store *self = self_of(store);
    enum status status = wait_for_write(self, UINT32_MAX, error);
    if (status != STATUS_OK) {
        return status;
    }
    rocksdb_readoptions_set_iterate_upper_bound(self->scan_options, (const char *)to->bytes,
                                                to->length);
    rocksdb_iterator_t *iterator = rocksdb_create_iterator(self->db, self->scan_options);
    rocksdb_iter_seek(iterator, (const char *)from->bytes, from->length);
    bool goes_on = true;
    for (; goes_on && rocksdb_iter_valid(iterator); rocksdb_iter_next(iterator)) {
        size_t key_length;
        size_t length;
        const char *key = rocksdb_iter_key(iterator, &key_length);
        const char *bytes = rocksdb_iter_value(iterator, &length);
        struct store_key copy = {.length = (uint8_t)key_length};
        assert(key_length <= STORE_KEY_BYTES_MAX);
        memcpy(copy.bytes, key, key_length);
        goes_on = visit(context, &copy, (struct store_value){bytes, (uint32_t)length});
    }
    char *message = NULL;
    rocksdb_iter_get_error(iterator, &message);
    rocksdb_iter_destroy(iterator);
    return message ? fail(self, "scanning", message, error) : STATUS_OK;
}

static enum status rocksdb_store_flush(struct state_store *store, struct error *error)
{
    return wait_for_write(self_of(store), UINT32_MAX, error);
}

/* Returns RocksDB's message or NULL; *ret_value stays as it is when the key is not there. */
static char *read_number(struct rocksdb_store *self, const char *key, void *ret_value, size_t bytes)
{
    char *message = NULL;
    size_t length = 0;
    char *value = rocksdb_get(self->db, self->read_options, key, strlen(key), &length, &message);
    if (value && length == bytes) {
        memcpy(ret_value, value, bytes);
    }
    rocksdb_free(value);
    return message;
}

static uint64_t rocksdb_store_position(struct state_store *store)
{
    return self_of(store)->position;
}

static uint64_t rocksdb_store_durable_position(struct state_store *store)
{
    const struct rocksdb_store *self = self_of(store);
    const char *message;
    bool is_done = rocksdb_writer_wait(self->writer, 0, &message) && !message;
    return is_done ? self->position : self->durable_position;
}

static void rocksdb_store_close(struct state_store *store)
{
    if (!store) {
        return;
    }
    struct rocksdb_store *self = self_of(store);
    rocksdb_writer_stop(self->writer);
    if (self->db) {
        rocksdb_column_family_handle_destroy(self->family);
        rocksdb_close(self->db);
    }
    rocksdb_options_destroy(self->options);
    rocksdb_readoptions_destroy(self->read_options);
    rocksdb_readoptions_destroy(self->scan_options);
    rocksdb_slice_destroy(self->slice);
    key_filter_destroy(self->filter);
    free(self->directory);
    free(self->values);
    free(self);
}

static const struct state_store_ops rocksdb_store_ops = {
    .name = "rocksdb",
    .get_many = rocksdb_store_get_many,
    .write = rocksdb_store_write,
    .scan = rocksdb_store_scan,
    .flush = rocksdb_store_flush,
    .durable_position = rocksdb_store_durable_position,
    .position = rocksdb_store_position,
    .close = rocksdb_store_close,
};

static void make_options(struct rocksdb_store *self)
{
    self->options = rocksdb_options_make(self->budget, &self->retention);
    self->read_options = rocksdb_readoptions_create();
    self->scan_options = rocksdb_readoptions_create();
    rocksdb_readoptions_set_fill_cache(self->read_options, 0);
    rocksdb_readoptions_set_fill_cache(self->scan_options, 0);
}

/* A new store gets the format key at once, so that none is ever without. */
static enum status write_format(struct rocksdb_store *self, struct error *error)
{
    const uint32_t format = STORE_FORMAT;
    struct store_put put = {.bytes = &format, .length = sizeof(format)};
    put.key.length = (uint8_t)strlen(FORMAT_KEY);
    memcpy(put.key.bytes, FORMAT_KEY, put.key.length);
    if (!rocksdb_slice_fill(self->slice, NULL, 0, &put)) {
        return error_set(error, STATUS_FATAL, "state store: out of memory");
    }
    char *message = rocksdb_slice_write(self->slice, self->db);
    return message ? fail(self, "writing", message, error) : STATUS_OK;
}

static enum status check_format(struct rocksdb_store *self, struct error *error)
{
    uint32_t format = 0;
    char *message = read_number(self, FORMAT_KEY, &format, sizeof(format));
    if (!message) {
        message = read_number(self, POSITION_KEY, &self->position, sizeof(self->position));
    }
    if (message) {
        return fail(self, "reading", message, error);
    }
    if (format == 0 && self->position == 0) {
        self->is_filter_whole = true; /* There is no key yet. */
        return write_format(self, error);
    }
    if (format != STORE_FORMAT) {
        return error_set(error, STATUS_FATAL,
                         "state in %s: its format is %u and this version reads %u: it was written "
                         "by a %s version",
                         self->directory, format, STORE_FORMAT,
                         format > STORE_FORMAT ? "newer" : "different");
    }
    return STATUS_OK;
}

/*
 * Data without the file CURRENT, which says where the rest stands: RocksDB would take the folder
 * for a new one and put an empty store beside them. A manifest alone is what a crash leaves that
 * comes while the store is made, before there is anything in it.
 */
static enum status check_entry(const struct rocksdb_store *self, struct error *error)
{
    DIR *folder = opendir(self->directory);
    if (!folder) {
        return STATUS_OK; /* RocksDB makes it, or says why it cannot. */
    }
    bool has_current = false;
    bool has_data = false;
    for (struct dirent *entry = readdir(folder); entry; entry = readdir(folder)) {
        const char *ending = strrchr(entry->d_name, '.');
        has_current = has_current || strcmp(entry->d_name, "CURRENT") == 0;
        has_data = has_data || (ending && strcmp(ending, ".sst") == 0);
    }
    (void)closedir(folder);
    return has_current || !has_data
               ? STATUS_OK
               : error_set(error, STATUS_CORRUPT,
                           "state in %s is corrupt: there are data files but no file CURRENT; "
                           "restore the folder from a copy, or begin with an empty one",
                           self->directory);
}

static enum status open_db(struct rocksdb_store *self, struct error *error)
{
    enum status status = check_entry(self, error);
    if (status != STATUS_OK) {
        return status;
    }
    const char *name = "default";
    const rocksdb_options_t *family_options = self->options;
    char *message = NULL;
    self->db = rocksdb_open_column_families(self->options, self->directory, 1, &name,
                                            &family_options, &self->family, &message);
    if (!message) {
        return check_format(self, error);
    }
    self->db = NULL;
    /* Its own two ways to say so; the message also has the path, which may say anything. */
    if (strstr(message, "lock hold by current process") || strstr(message, "While lock file")) {
        status = error_set(error, STATUS_FATAL,
                           "state in %s is locked: another process has it open (%s)",
                           self->directory, message);
        rocksdb_free(message);
        return status;
    }
    return fail(self, "opening", message, error);
}

enum status state_store_rocksdb_open(const char *directory, struct rocksdb_budget *budget,
                                     int64_t retention_ms, struct state_store **ret_store,
                                     struct error *error)
{
    struct rocksdb_store *self = calloc(1, sizeof(*self));
    char *copy = strdup(directory);
    if (!self || !copy) {
        free(self);
        free(copy);
        return error_set(error, STATUS_FATAL, "state store: out of memory");
    }
    self->store.ops = &rocksdb_store_ops;
    self->budget = budget;
    self->directory = copy;
    self->retention.retention_ms = retention_ms;
    atomic_init(&self->retention.watermark_ms, INT64_MIN);
    make_options(self);
    self->slice = rocksdb_slice_create(directory, self->options);
    self->filter = key_filter_create(budget->filter_bytes);
    self->filter_from = (struct store_key){.bytes = {RECORD_KEYS}, .length = 1};
    enum status status = self->slice && self->filter
                             ? open_db(self, error)
                             : error_set(error, STATUS_FATAL, "state store: out of memory");
    if (status == STATUS_OK) {
        self->durable_position = self->position;
        self->writer = rocksdb_writer_start(self->db, self->slice);
        status = self->writer ? STATUS_OK
                              : error_set(error, STATUS_FATAL, "state in %s: no thread to be had",
                                          self->directory);
    }
    if (status != STATUS_OK) {
        rocksdb_store_close(&self->store);
        return status;
    }
    *ret_store = &self->store;
    return STATUS_OK;
}

bool state_store_rocksdb_stats(struct state_store *store, struct rocksdb_stats *ret_stats)
{
    if (store->ops != &rocksdb_store_ops) {
        return false;
    }
    rocksdb_t *db = self_of(store)->db;
    struct rocksdb_stats stats = {0};
    (void)rocksdb_property_int(db, "rocksdb.estimate-num-keys", &stats.keys);
    (void)rocksdb_property_int(db, "rocksdb.total-sst-files-size", &stats.file_bytes);
    (void)rocksdb_property_int(db, "rocksdb.estimate-pending-compaction-bytes",
                               &stats.pending_compaction_bytes);
    (void)rocksdb_property_int(db, "rocksdb.num-running-compactions", &stats.running_compactions);
    char *files = rocksdb_property_value(db, "rocksdb.num-files-at-level0");
    stats.top_files = files ? strtoull(files, NULL, 10) : 0;
    rocksdb_free(files);
    *ret_stats = stats;
    return true;
}

void state_store_rocksdb_watermark(struct state_store *store, int64_t watermark_ms)
{
    assert(store->ops == &rocksdb_store_ops);
    /* The end of time, as at the end of a finite input, is no reason to forget everybody. */
    if (watermark_ms != INT64_MAX) {
        atomic_store_explicit(&self_of(store)->retention.watermark_ms, watermark_ms,
                              memory_order_relaxed);
    }
}

enum status state_store_rocksdb_compact(struct state_store *store, struct error *error)
{
    assert(store->ops == &rocksdb_store_ops);
    struct rocksdb_store *self = self_of(store);
    enum status status = wait_for_write(self, UINT32_MAX, error);
    if (status != STATUS_OK) {
        return status;
    }
    rocksdb_compactoptions_t *options = rocksdb_compactoptions_create();
    /* Also what is in the last level already, for the filter's sake. */
    rocksdb_compactoptions_set_bottommost_level_compaction(options, 2);
    rocksdb_compact_range_opt(self->db, options, NULL, 0, NULL, 0);
    rocksdb_compactoptions_destroy(options);
    return STATUS_OK;
}
