#include "pipeline/source/source.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/source/splitter.h"

/* Records not yet released may hold this much. A batch of usual events holds about 1 MiB. */
#define HELD_BYTES_MAX ((size_t)64 * 1024 * 1024)

static enum status skip_records(struct source *source, uint64_t count, struct error *error)
{
    for (uint64_t i = 0; i < count; i++) {
        struct raw_record record;
        enum source_result result = SOURCE_END;
        enum status status = source_next(source, &record, &result, error);
        if (status != STATUS_OK) {
            return status;
        }
        if (result == SOURCE_WAIT && source->window.held_bytes == 0) {
            result = SOURCE_END; /* A followed file without what was read of it before. */
        }
        if (result == SOURCE_END) {
            return error_set(error, STATUS_INVALID,
                             "%s: ends before record %llu, up to which it was read earlier; "
                             "expected the same file as then",
                             byte_stream_name(source->stream),
                             (unsigned long long)(source->next.ordinal + count - i));
        }
        source_release(source);
    }
    return STATUS_OK;
}

/* From where a header ends, forward; part of it may stand in the window already. */
static enum status go_to_bytes(struct source *source, uint64_t bytes, struct error *error)
{
    struct read_window *window = &source->window;
    if (bytes >= window->data_bytes && bytes - window->data_bytes <= window->length) {
        read_window_take(window, (size_t)(bytes - window->data_bytes));
        source->next.bytes = bytes;
        return STATUS_OK;
    }
    uint64_t reached = 0;
    enum status status = byte_stream_seek(source->stream, bytes, &reached, error);
    if (status == STATUS_OK) {
        read_window_restart(window, reached);
        source->next.bytes = reached;
        source->splitter->ops->reset(source);
    }
    return status;
}

static enum status go_to(struct source *source, const struct input_position *start,
                         struct error *error)
{
    if (start->skip > start->ordinal) {
        return error_set(error, STATUS_INVALID, "%s: position of record %llu skips %llu records",
                         byte_stream_name(source->stream), (unsigned long long)start->ordinal,
                         (unsigned long long)start->skip);
    }
    uint64_t skip = start->skip;
    if (start->bytes > source->next.bytes) {
        enum status status = go_to_bytes(source, start->bytes, error);
        if (status != STATUS_OK) {
            return status;
        }
        skip = source->next.bytes == start->bytes ? skip : 0;
    }
    source->next.ordinal = start->ordinal - skip;
    return skip_records(source, skip, error);
}

enum status source_open(const struct source_options *options, const struct input_position *start,
                        struct source **ret_source, struct error *error)
{
    struct source *source = calloc(1, sizeof(*source));
    if (!source) {
        return error_set(error, STATUS_FATAL, "%s: out of memory", options->path);
    }
    source->options = *options;
    source->may_block = true;
    source->path = strdup(options->path);
    enum status status = STATUS_FATAL;
    if (!source->path) {
        (void)error_set(error, status, "%s: out of memory", options->path);
        goto cleanup;
    }
    source->options.path = source->path;
    if (source->options.csv_delimiter == '\0') {
        source->options.csv_delimiter = ',';
    }
    status = byte_stream_open(source->path, options->is_followed, &source->stream, error);
    if (status != STATUS_OK) {
        goto cleanup;
    }
    source->window.stream = source->stream;
    status = options->format == INPUT_AVRO ? avro_splitter_create(source, &source->splitter, error)
                                           : text_splitter_create(source, &source->splitter, error);
    if (status == STATUS_OK) {
        status = go_to(source, start, error);
    }
    if (status != STATUS_OK) {
        goto cleanup;
    }
    source->may_block = false;
    source->has_last = false;
    *ret_source = source;
    return STATUS_OK;
cleanup:
    source_close(source);
    return status;
}

void source_close(struct source *source)
{
    if (!source) {
        return;
    }
    if (source->splitter) {
        source->splitter->ops->destroy(source->splitter);
    }
    read_window_release_all(&source->window);
    byte_stream_close(source->stream);
    if (source->csv_header) {
        for (size_t i = 0; i < source->csv_header->count; i++) {
            free(source->csv_header->items[i]);
        }
        free(source->csv_header->items);
        free(source->csv_header);
    }
    free(source->avro_schema);
    free(source->path);
    free(source);
}

enum status source_next(struct source *source, struct raw_record *ret_record,
                        enum source_result *ret_result, struct error *error)
{
    if (source->is_unread) {
        source->is_unread = false;
        *ret_record = source->last;
        *ret_result = SOURCE_RECORD;
        return STATUS_OK;
    }
    if (source->window.held_bytes > HELD_BYTES_MAX) {
        *ret_result = SOURCE_WAIT;
        return STATUS_OK;
    }
    struct raw_record record = {.defect = REJECTION_NONE};
    enum source_result result = SOURCE_END;
    enum status status = source->splitter->ops->next(source, &record, &result, error);
    if (status != STATUS_OK) {
        return status;
    }
    if (result == SOURCE_RECORD) {
        source->last = record;
        source->has_last = true;
        *ret_record = record;
    }
    *ret_result = result;
    return STATUS_OK;
}

void source_unread(struct source *source)
{
    assert(source->has_last && !source->is_unread);
    source->is_unread = true;
}

struct input_position source_position(const struct source *source)
{
    return source->is_unread ? source->last.position : source->next;
}

void source_release(struct source *source)
{
    struct text unread = source->is_unread ? source->last.bytes : (struct text){NULL, 0};
    read_window_recycle(&source->window, unread, source->splitter->ops->kept(source->splitter));
    source->has_last = source->is_unread;
}

double source_progress(const struct source *source)
{
    return byte_stream_progress(source->stream);
}

uint64_t source_fingerprint(const struct source *source, uint64_t bytes, uint64_t *ret_bytes)
{
    uint64_t hash = 0;
    *ret_bytes = bytes < BYTE_STREAM_HEAD_BYTES ? bytes : BYTE_STREAM_HEAD_BYTES;
    if (!byte_stream_head_hash(source->stream, *ret_bytes, &hash)) {
        *ret_bytes = 0;
    }
    return hash;
}

const struct text_list *source_csv_header(const struct source *source)
{
    return source->options.csv_columns && source->options.csv_columns->count > 0
               ? source->options.csv_columns
               : source->csv_header;
}

const char *source_avro_schema(const struct source *source)
{
    return source->avro_schema;
}
