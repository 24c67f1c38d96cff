#include "pipeline/commit/output_file.h"

#include <stdio.h>
#include <stdlib.h>

#include <xxhash.h>

#include "pipeline/output/avro_bytes.h"
#include "pipeline/output/output_schema.h"

/* Records are gathered up to this size and written with one call. */
#define WRITE_BYTES ((size_t)1 << 20)

static enum status out_of_memory(const char *what, struct error *error)
{
    return error_set(error, STATUS_FATAL, "%s: out of memory", what);
}

enum status output_file_init(struct output_file *file, struct storage *storage,
                             const char *output_directory, const char *partition,
                             enum output_format format, enum topic topic, struct error *error)
{
    const char *name = output_topics[topic].name;
    const char *suffix = format == OUTPUT_AVRO ? "avro" : "jsonl";
    size_t folder_bytes = strlen(output_directory) + strlen(name) + 2;
    size_t path_bytes = folder_bytes + strlen(partition) + strlen(suffix) + 2;
    *file = (struct output_file){.storage = storage, .format = format, .topic = topic};
    file->folder = malloc(folder_bytes);
    file->path = malloc(path_bytes);
    if (!file->folder || !file->path) {
        output_file_release(file);
        return out_of_memory(output_directory, error);
    }
    (void)snprintf(file->folder, folder_bytes, "%s/%s", output_directory, name);
    (void)snprintf(file->path, path_bytes, "%s/%s.%s", file->folder, partition, suffix);
    /* From the last two parts of the path, so that the same run gives the same file anywhere. */
    const char *own_name = file->path + strlen(output_directory) + 1;
    XXH128_canonical_t marker;
    XXH128_canonicalFromHash(&marker, XXH3_128bits(own_name, strlen(own_name)));
    memcpy(file->sync_marker, marker.digest, sizeof(file->sync_marker));
    return STATUS_OK;
}

void output_file_release(struct output_file *file)
{
    if (file->file) {
        file->storage->ops->close(file->file);
    }
    free(file->folder);
    free(file->path);
    *file = (struct output_file){0};
}

struct search {
    const char *name;
    bool is_found;
};

static void compare_name(void *context, const char *name)
{
    struct search *search = context;
    search->is_found = search->is_found || strcmp(name, search->name) == 0;
}

/* Without creating it, as opening would. */
static enum status is_there(const struct output_file *file, bool *ret_is_there, struct error *error)
{
    struct search search = {.name = file->path + strlen(file->folder) + 1};
    enum status status =
        file->storage->ops->list(file->storage, file->folder, compare_name, &search, error);
    *ret_is_there = search.is_found;
    return status;
}

/* 0 also where there is no file. An existing file is open afterwards. */
static enum status open_existing(struct output_file *file, bool *ret_is_there, uint64_t *ret_bytes,
                                 struct error *error)
{
    *ret_bytes = 0;
    enum status status = is_there(file, ret_is_there, error);
    if (status != STATUS_OK || !*ret_is_there) {
        return status;
    }
    if (!file->file) {
        status = file->storage->ops->open(file->storage, file->path, &file->file, error);
    }
    return status == STATUS_OK ? file->storage->ops->size(file->file, ret_bytes, error) : status;
}

enum status output_file_refuse_foreign(struct output_file *file, struct error *error)
{
    bool there = false;
    uint64_t bytes = 0;
    enum status status = open_existing(file, &there, &bytes, error);
    if (status == STATUS_OK && bytes > 0) {
        status = error_set(error, STATUS_FATAL,
                           "%s: holds %llu bytes of another run, while the state is new: remove "
                           "the outputs, or give the state directory that belongs to them",
                           file->path, (unsigned long long)bytes);
    }
    return status;
}

static enum status remove_empty(struct output_file *file, struct error *error)
{
    file->storage->ops->close(file->file);
    file->file = NULL;
    enum status status = file->storage->ops->remove(file->storage, file->path, error);
    return status == STATUS_OK
               ? file->storage->ops->sync_directory(file->storage, file->folder, error)
               : status;
}

enum status output_file_recover(struct output_file *file, uint64_t committed_bytes,
                                struct error *error)
{
    bool there = false;
    uint64_t bytes = 0;
    enum status status = open_existing(file, &there, &bytes, error);
    if (status != STATUS_OK) {
        return status;
    }
    if (bytes < committed_bytes) {
        return error_set(error, STATUS_FATAL,
                         "%s: committed output is missing: %llu bytes were committed, %s%llu there",
                         file->path, (unsigned long long)committed_bytes, there ? "" : "no file, ",
                         (unsigned long long)bytes);
    }
    file->committed_bytes = committed_bytes;
    file->pending_bytes = 0;
    if (committed_bytes == 0) {
        return there ? remove_empty(file, error) : STATUS_OK;
    }
    if (bytes > committed_bytes) {
        status = file->storage->ops->truncate(file->file, committed_bytes, error);
    }
    /* Also where nothing was cut: what a killed process did may not be on the disk yet. */
    if (status == STATUS_OK) {
        status = file->storage->ops->sync(file->file, error);
    }
    return status == STATUS_OK
               ? file->storage->ops->sync_directory(file->storage, file->folder, error)
               : status;
}

static enum status write_buffer(struct output_file *file, struct byte_buffer *buffer,
                                struct error *error)
{
    if (buffer->has_failed) {
        return out_of_memory(file->path, error);
    }
    enum status status =
        file->storage->ops->write_at(file->file, file->committed_bytes + file->pending_bytes,
                                     buffer->bytes, buffer->length, error);
    file->pending_bytes += buffer->length;
    buffer->length = 0;
    return status;
}

static void append_meta(struct byte_buffer *buffer, const char *key, const char *value)
{
    avro_append_bytes(buffer, key, (uint32_t)strlen(key));
    avro_append_bytes(buffer, value, (uint32_t)strlen(value));
}

/* Avro 1.11 specification, "Object Container Files". */
static enum status append_avro_header(const struct output_file *file, struct byte_buffer *buffer,
                                      struct error *error)
{
    char *schema = output_schema_avro(output_topics[file->topic].schema);
    if (!schema) {
        return out_of_memory(file->path, error);
    }
    byte_buffer_append(buffer, "Obj\x01", 4);
    avro_append_long(buffer, 2);
    append_meta(buffer, "avro.codec", "null");
    append_meta(buffer, "avro.schema", schema);
    avro_append_long(buffer, 0);
    byte_buffer_append(buffer, file->sync_marker, sizeof(file->sync_marker));
    free(schema);
    return STATUS_OK;
}

static enum status begin_block(const struct output_file *file, const struct output_batch *batch,
                               struct byte_buffer *buffer, struct error *error)
{
    enum status status =
        file->committed_bytes == 0 ? append_avro_header(file, buffer, error) : STATUS_OK;
    uint64_t count = output_batch_count(batch, file->topic);
    uint64_t bytes = 0;
    for (uint64_t i = 0; i < count; i++) {
        bytes += output_batch_get(batch, file->topic, i).length;
    }
    avro_append_long(buffer, (int64_t)count);
    avro_append_long(buffer, (int64_t)bytes);
    return status;
}

static enum status append_records(struct output_file *file, const struct output_batch *batch,
                                  struct byte_buffer *buffer, struct error *error)
{
    bool is_avro = file->format == OUTPUT_AVRO;
    uint64_t count = output_batch_count(batch, file->topic);
    enum status status = STATUS_OK;
    for (uint64_t i = 0; i < count && status == STATUS_OK; i++) {
        struct output_record record = output_batch_get(batch, file->topic, i);
        byte_buffer_append(buffer, record.bytes, record.length);
        if (!is_avro) {
            byte_buffer_append_byte(buffer, '\n');
        }
        if (buffer->length >= WRITE_BYTES) {
            status = write_buffer(file, buffer, error);
        }
    }
    if (is_avro) {
        byte_buffer_append(buffer, file->sync_marker, sizeof(file->sync_marker));
    }
    return status;
}

enum status output_file_append(struct output_file *file, const struct output_batch *batch,
                               struct byte_buffer *buffer, struct error *error)
{
    if (output_batch_count(batch, file->topic) == 0) {
        return STATUS_OK;
    }
    enum status status = STATUS_OK;
    if (!file->file) {
        status = file->storage->ops->open(file->storage, file->path, &file->file, error);
    }
    buffer->length = 0;
    if (status == STATUS_OK && file->format == OUTPUT_AVRO) {
        status = begin_block(file, batch, buffer, error);
    }
    if (status == STATUS_OK) {
        status = append_records(file, batch, buffer, error);
    }
    return status == STATUS_OK && (buffer->length > 0 || buffer->has_failed)
               ? write_buffer(file, buffer, error)
               : status;
}

enum status output_file_sync(struct output_file *file, struct error *error)
{
    if (file->pending_bytes == 0) {
        return STATUS_OK;
    }
    enum status status = file->storage->ops->sync(file->file, error);
    if (status == STATUS_OK && file->committed_bytes == 0) {
        status = file->storage->ops->sync_directory(file->storage, file->folder, error);
    }
    return status;
}

void output_file_commit(struct output_file *file)
{
    file->committed_bytes += file->pending_bytes;
    file->pending_bytes = 0;
}
