#include "pipeline/kafka/kafka_ends.h"

#include <stdio.h>
#include <string.h>

#include <rocksdb/c.h>

#include "pipeline/base/log.h"
#include "pipeline/commit/storage.h"
#include "pipeline/kafka/kafka_input.h"
#include "pipeline/stage.h" /* container_of */

#define PATH_BYTES 4096
#define ORIGIN_BYTES 512
#define REQUEST_TIMEOUT_MS 5000

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

static enum status make_anew(const struct partition_options *options, const char *directory,
                             const char *why, struct task_parts *parts, struct error *error)
{
    log_line(LOG_WARNING, "state_rebuilt", "partition=%s position=%llu message=\"%s\"",
             options->name, (unsigned long long)parts->store->ops->position(parts->store), why);
    parts->store->ops->close(parts->store);
    parts->store = NULL;
    enum status status = remove_store(directory, error);
    return status == STATUS_OK
               ? state_store_rocksdb_open(directory, options->budget,
                                          options->config->state.retention_ms, &parts->store, error)
               : status;
}

/* A store that the changelog does not lead on from is of no use: it is made anew from all of it. */
static enum status check_store(const struct partition_options *options, const char *directory,
                               const struct kafka_log_range *range, bool is_foreign,
                               struct task_parts *parts, struct error *error)
{
    uint64_t position = parts->store->ops->position(parts->store);
    /* An empty store is at 0, and whatever the changelog has is all there is. */
    if (position == 0) {
        return STATUS_OK;
    }
    if (is_foreign) {
        return make_anew(options, directory, "it belongs to another cluster or changelog", parts,
                         error);
    }
    if (position < range->first) {
        return make_anew(options, directory, "the changelog does not reach back to it", parts,
                         error);
    }
    return position > range->last
               ? make_anew(options, directory, "it is ahead of the changelog", parts, error)
               : STATUS_OK;
}

static enum status open_origin(const struct partition_options *options,
                               struct storage_file **ret_file, struct error *error)
{
    char path[PATH_BYTES];
    struct storage *storage = storage_posix();
    (void)snprintf(path, sizeof(path), "%s/%s/origin", options->state_directory, options->name);
    return storage->ops->open(storage, path, ret_file, error);
}

/* What the state's folder says it is the state of; "" where it says nothing yet. */
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

static enum status read_origin(const struct kafka_ends *self, char ret_origin[ORIGIN_BYTES],
                               struct error *error)
{
    char *cluster = rd_kafka_clusterid(self->fetcher, REQUEST_TIMEOUT_MS);
    if (!cluster) {
        return error_set(error, STATUS_RETRY, "kafka: the brokers do not answer");
    }
    (void)snprintf(ret_origin, ORIGIN_BYTES, "%s %s\n", cluster, self->topics->changelog);
    rd_kafka_mem_free(self->fetcher, cluster);
    return STATUS_OK;
}

enum wire_format kafka_ends_format(const struct config *config,
                                   const struct schema_registry *registry)
{
    return config->input.format == INPUT_JSONL ? WIRE_JSON : registry ? WIRE_CONFLUENT : WIRE_AVRO;
}

/* Store and log; a store that is not of this changelog is made anew. */
static enum status open_state(struct kafka_ends *self, const struct partition_options *options,
                              const struct kafka_log_options *log, struct task_parts *parts,
                              struct error *error)
{
    char directory[PATH_BYTES];
    int length = snprintf(directory, sizeof(directory), "%s/%s/store", options->state_directory,
                          options->name);
    if (length >= PATH_BYTES) {
        return error_set(error, STATUS_INVALID, "%s: path too long", options->state_directory);
    }
    struct kafka_log_range range;
    char origin[ORIGIN_BYTES];
    char found[ORIGIN_BYTES] = "";
    enum status status = kafka_topics_still_there(self->topics, self->fetcher, error);
    if (status == STATUS_OK) {
        status = read_origin(self, origin, error);
    }
    if (status == STATUS_OK) {
        status = find_origin(options, found, error);
    }
    bool is_foreign = found[0] && strcmp(found, origin) != 0;
    if (status == STATUS_OK && !found[0]) {
        status = write_origin(options, origin, error);
    }
    /* Before the log: its lock keeps a second process on the same disk from shutting us out. */
    if (status == STATUS_OK) {
        status = state_store_rocksdb_open(
            directory, options->budget, options->config->state.retention_ms, &parts->store, error);
    }
    if (status == STATUS_OK) {
        status = kafka_log_open(log, &parts->log, &range, error);
    }
    /* Before the restore, which it is good for as well. */
    if (status == STATUS_OK) {
        status = kafka_fetch_start(&self->pulse, self->fetcher, self->topics->journal,
                                   self->partition, RD_KAFKA_OFFSET_END, error);
    }
    if (status == STATUS_OK) {
        status = check_store(options, directory, &range, is_foreign, parts, error);
    }
    /* Not before its store is gone: a start that ends here would leave it as if it were ours. */
    if (status == STATUS_OK && is_foreign) {
        status = write_origin(options, origin, error);
    }
    return status;
}

static enum status open_ends(struct partition_ends *ends, const struct partition_options *options,
                             struct task_parts *parts, struct error *error)
{
    struct kafka_ends *self = container_of(ends, struct kafka_ends, ends);
    const struct config *config = options->config;
    self->places = (struct kafka_places){.count = self->topics->input_count};
    self->traces.names = &self->setup->options->trace_headers;
    for (uint32_t i = 0; i < self->topics->input_count; i++) {
        self->input_topics[i] = self->topics->inputs[i];
    }
    struct kafka_log_options log = {
        .setup = self->setup,
        .topics = self->topics,
        .member = self->member,
        .fetcher = self->fetcher,
        .places = &self->places,
        .traces = &self->traces,
        .progress = &self->progress,
        .client_metrics = &self->producer_metrics,
        .partition = self->partition,
        .is_cancelled = &self->is_cancelled,
    };
    struct kafka_input_options input = {
        .fetcher = self->fetcher,
        .topics = self->input_topics,
        .places = &self->places,
        .traces = &self->traces,
        .partition = self->partition,
        .format = kafka_ends_format(config, self->registry),
        .schema = self->input_schema,
        .registry = self->registry,
        .mapping = config->mapping,
        .ends = self->setup->options->ends,
        .origin_count = options->origin_count,
    };
    enum status status = open_state(self, options, &log, parts, error);
    if (status == STATUS_OK) {
        status = kafka_input_open(&input, &parts->input, error);
    }
    self->log = parts->log;
    return status;
}

void kafka_ends_serve(struct kafka_ends *ends)
{
    const rd_kafka_message_t *message;
    struct error ignored;
    if (ends->pulse.topic) {
        do {
            message = NULL;
        } while (kafka_fetch_next(&ends->pulse, 0, &message, &ignored) == STATUS_OK && message);
    }
}

void kafka_ends_close(struct kafka_ends *ends)
{
    kafka_fetch_stop(&ends->pulse);
}

void kafka_ends_init(struct kafka_ends *ends)
{
    ends->ends.open = open_ends;
    atomic_init(&ends->is_cancelled, false);
}

void kafka_ends_release(struct kafka_ends *ends)
{
    kafka_traces_release(&ends->traces);
}
