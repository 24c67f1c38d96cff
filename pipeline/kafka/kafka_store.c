#include "pipeline/kafka/kafka_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rocksdb/c.h>

#include "pipeline/base/log.h"
#include "pipeline/commit/storage.h"

#define PATH_BYTES 4096
#define ORIGIN_BYTES 512

/* ---- a store that is corrupt ---- */

enum status kafka_store_found_corrupt(struct kafka_store_health *health, uint64_t now_ns,
                                      struct error *error)
{
    bool is_again = health->is_rebuilding ||
                    (health->was_rebuilt && now_ns - health->rebuilt_ns < KAFKA_REBUILD_NS);
    if (is_again) {
        return error_prefix(error, STATUS_FATAL,
                            "its state is corrupt again right after it was made anew from the "
                            "changelog: check disk and memory of this machine");
    }
    health->is_corrupt = true;
    health->why = *error;
    return STATUS_OK;
}

void kafka_store_opened(struct kafka_store_health *health, uint64_t now_ns)
{
    if (health->is_rebuilding) {
        health->is_rebuilding = false;
        health->was_rebuilt = true;
        health->rebuilt_ns = now_ns;
    }
}

/*
 * Not put aside: it would have in it what retention and erasure are to remove, and take as much of
 * the disk again.
 */
static enum status remove_store(const char *directory, struct error *error)
{
    rocksdb_options_t *options = rocksdb_options_create();
    char *message = NULL;
    rocksdb_destroy_db(options, directory, &message);
    rocksdb_options_destroy(options);
    enum status status = STATUS_OK;
    if (message) {
        status = error_set(error, STATUS_FATAL, "state in %s: removing: %s", directory, message);
        rocksdb_free(message);
    }
    return status;
}

static enum status remove_corrupt(struct kafka_store *self, struct error *error)
{
    struct kafka_store_health *health = self->health;
    if (!health->is_corrupt) {
        return STATUS_OK;
    }
    log_line(LOG_WARNING, "state_rebuilt", "partition=%s message=\"it is corrupt: %s\"",
             self->options->name, health->why.message);
    enum status status = remove_store(self->directory, error);
    if (status == STATUS_OK) {
        health->is_corrupt = false;
        health->is_rebuilding = true;
    }
    return status;
}

/* ---- what it is the state of ---- */

static enum status open_origin(const struct partition_options *options,
                               struct storage_file **ret_file, struct error *error)
{
    char path[PATH_BYTES];
    struct storage *storage = storage_posix();
    (void)snprintf(path, sizeof(path), "%s/%s/origin", options->state_directory, options->name);
    return storage->ops->open(storage, path, ret_file, error);
}

/* "" where it says nothing yet. */
static enum status find_origin(const struct partition_options *options,
                               char ret_origin[ORIGIN_BYTES], struct error *error)
{
    struct storage_file *file;
    uint64_t length = 0;
    enum status status = open_origin(options, &file, error);
    if (status != STATUS_OK) {
        return status;
    }
    status = file->ops->read_at(file, 0, ret_origin, ORIGIN_BYTES - 1, &length, error);
    ret_origin[length] = '\0';
    file->ops->close(file);
    return status;
}

static enum status write_origin(const struct partition_options *options, const char *origin,
                                struct error *error)
{
    struct storage_file *file;
    enum status status = open_origin(options, &file, error);
    if (status != STATUS_OK) {
        return status;
    }
    status = file->ops->truncate(file, 0, error);
    if (status == STATUS_OK) {
        status = file->ops->write_at(file, 0, origin, strlen(origin), error);
    }
    if (status == STATUS_OK) {
        status = file->ops->sync(file, error);
    }
    file->ops->close(file);
    return status;
}

/* ---- opening ---- */

static enum status open_rocksdb(const struct kafka_store *self, struct state_store **ret_store,
                                struct error *error)
{
    const struct partition_options *options = self->options;
    return state_store_rocksdb_open(self->directory, options->budget,
                                    options->config->state.retention_ms, ret_store, error);
}

static enum status make_anew(const struct kafka_store *self, const char *why,
                             struct state_store **store, struct error *error)
{
    log_line(LOG_WARNING, "state_rebuilt", "partition=%s position=%llu message=\"%s\"",
             self->options->name, (unsigned long long)(*store)->ops->position(*store), why);
    (*store)->ops->close(*store);
    *store = NULL;
    enum status status = remove_store(self->directory, error);
    return status == STATUS_OK ? open_rocksdb(self, store, error) : status;
}

enum status kafka_store_open(struct kafka_store *self, struct state_store **ret_store,
                             struct error *error)
{
    const struct partition_options *options = self->options;
    char path[PATH_BYTES];
    char found[ORIGIN_BYTES] = "";
    int length =
        snprintf(path, sizeof(path), "%s/%s/store", options->state_directory, options->name);
    if (length >= PATH_BYTES) {
        return error_set(error, STATUS_INVALID, "%s: path too long", options->state_directory);
    }
    self->directory = strdup(path);
    if (!self->directory) {
        return error_set(error, STATUS_FATAL, "kafka: out of memory");
    }
    enum status status = find_origin(options, found, error);
    self->is_unnamed = !found[0];
    self->is_foreign = found[0] && strcmp(found, self->origin) != 0;
    if (status == STATUS_OK) {
        status = remove_corrupt(self, error);
    }
    return status == STATUS_OK ? open_rocksdb(self, ret_store, error) : status;
}

void kafka_store_release(struct kafka_store *self)
{
    free(self->directory);
    self->directory = NULL;
}

/* NULL: it goes on from there. An empty store is at 0: whatever the changelog has is all there is.
 */
static const char *find_misfit(const struct kafka_store *self, const struct kafka_log_range *range,
                               uint64_t position)
{
    return position == 0             ? NULL
           : self->is_foreign        ? "it belongs to another cluster or changelog"
           : self->is_unnamed        ? "it does not say of which cluster and changelog it is"
           : position < range->first ? "the changelog does not reach back to it"
           : position > range->last  ? "it is ahead of the changelog"
                                     : NULL;
}

enum status kafka_store_fit(struct kafka_store *self, const struct kafka_log_range *range,
                            struct state_store **store, struct error *error)
{
    const char *why = find_misfit(self, range, (*store)->ops->position(*store));
    enum status status = why ? make_anew(self, why, store, error) : STATUS_OK;
    /* Not before it is gone: a start that ends here would leave it as if it were ours. */
    if (status == STATUS_OK && (self->is_foreign || self->is_unnamed)) {
        status = write_origin(self->options, self->origin, error);
    }
    return status;
}
