#include "pipeline/commit/log_segments.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <xxhash.h>

#include "pipeline/base/crash_point.h"
#include "pipeline/base/little_endian.h"

#define NAME_OFFSET 32u /* Of the partition's name in a header. */
#define HEADER_BYTES_MAX (NAME_OFFSET + PARTITION_NAME_BYTES_MAX + 8u)
#define SUFFIX ".log"
#define SPARE_NAME "spare"
#define POSITION_DIGITS 20u
#define NAME_BYTES (POSITION_DIGITS + sizeof(SUFFIX)) /* Terminated. */
#define SEGMENTS_MAX 1000000u

static const unsigned char magic[8] = {'n', 'u', 'd', 'g', 'e', 'l', 'o', 'g'};

static enum status out_of_memory(const struct log_segments *segments, struct error *error)
{
    return error_set(error, STATUS_FATAL, "%s: out of memory", segments->directory);
}

enum status log_segments_init(struct log_segments *segments, struct storage *storage,
                              const char *directory, const char *partition,
                              enum output_format format, bool is_synced, struct error *error)
{
    *segments = (struct log_segments){.storage = storage,
                                      .directory = strdup(directory),
                                      .partition = strdup(partition),
                                      .partition_bytes = (uint32_t)strlen(partition),
                                      .format = format,
                                      .is_synced = is_synced};
    if (!segments->directory || !segments->partition) {
        log_segments_release(segments);
        return error_set(error, STATUS_FATAL, "%s: out of memory", directory);
    }
    return STATUS_OK;
}

void log_segments_release(struct log_segments *segments)
{
    if (segments->current) {
        segments->storage->ops->close(segments->current);
    }
    free(segments->directory);
    free(segments->partition);
    free(segments->firsts);
    *segments = (struct log_segments){0};
}

/* To free(); NULL when memory is exhausted. */
static char *segment_path(const struct log_segments *segments, uint64_t first)
{
    size_t bytes = strlen(segments->directory) + 1 + NAME_BYTES;
    char *path = malloc(bytes);
    if (path) {
        (void)snprintf(path, bytes, "%s/%0*" PRIu64 SUFFIX, segments->directory,
                       (int)POSITION_DIGITS, first);
    }
    return path;
}

/* True for the names that segment_path() makes. */
static bool read_name(const char *name, uint64_t *ret_first)
{
    if (strlen(name) != NAME_BYTES - 1 || strspn(name, "0123456789") != POSITION_DIGITS ||
        strcmp(name + POSITION_DIGITS, SUFFIX) != 0) {
        return false;
    }
    *ret_first = strtoull(name, NULL, 10);
    return *ret_first > 0 && *ret_first < UINT64_MAX; /* Larger ones saturate. */
}

static bool add_first(struct log_segments *segments, uint64_t first)
{
    if (segments->count == segments->capacity) {
        uint32_t capacity = segments->capacity ? 2 * segments->capacity : 16;
        uint64_t *grown = capacity <= 2 * SEGMENTS_MAX
                              ? realloc(segments->firsts, capacity * sizeof(*grown))
                              : NULL;
        if (!grown) {
            return false;
        }
        segments->firsts = grown;
        segments->capacity = capacity;
    }
    segments->firsts[segments->count++] = first;
    return true;
}

struct listing {
    struct log_segments *segments;
    bool has_failed;
};

static void visit_name(void *context, const char *name)
{
    struct listing *listing = context;
    uint64_t first = 0;
    if (read_name(name, &first) && !add_first(listing->segments, first)) {
        listing->has_failed = true;
    }
}

static int compare_positions(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;
    return left < right ? -1 : left > right;
}

/* To free(); NULL when memory is exhausted. */
static char *spare_path(const struct log_segments *segments)
{
    size_t bytes = strlen(segments->directory) + 1 + sizeof(SPARE_NAME);
    char *path = malloc(bytes);
    if (path) {
        (void)snprintf(path, bytes, "%s/%s", segments->directory, SPARE_NAME);
    }
    return path;
}

static uint32_t header_make(const struct log_segments *segments, uint64_t first,
                            unsigned char header[HEADER_BYTES_MAX])
{
    uint32_t name_bytes = segments->partition_bytes;
    assert(name_bytes <= PARTITION_NAME_BYTES_MAX);
    uint32_t bytes = NAME_OFFSET + name_bytes + 8;
    memset(header, 0, HEADER_BYTES_MAX);
    memcpy(header, magic, sizeof(magic));
    put_u32(header + 8, LOG_VERSION);
    put_u32(header + 12, bytes);
    put_u64(header + 16, first);
    header[24] = (unsigned char)segments->format;
    put_u32(header + 28, name_bytes);
    memcpy(header + NAME_OFFSET, segments->partition, name_bytes);
    put_u64(header + bytes - 8, XXH3_64bits(header, bytes - 8));
    return bytes;
}

static const char *format_name(unsigned format)
{
    return format == OUTPUT_JSONL ? "jsonl" : format == OUTPUT_AVRO ? "avro" : "unknown";
}

/* A whole header that is not this log's. */
static enum status complain_of_header(const struct log_segments *segments, const char *path,
                                      const unsigned char *header, uint32_t bytes,
                                      struct error *error)
{
    uint32_t name_bytes = bytes - NAME_OFFSET - 8;
    if (header[24] != (unsigned char)segments->format) {
        return error_set(error, STATUS_INVALID,
                         "%s: the outputs so far are %s, the configuration says %s: keep the "
                         "format, or begin with a new state and output directory",
                         path, format_name(header[24]), format_name(segments->format));
    }
    return error_set(error, STATUS_INVALID,
                     "%s: this is the log of partition \"%.*s\", not of \"%s\"", path,
                     (int)name_bytes, (const char *)header + NAME_OFFSET, segments->partition);
}

/*
 * Compares the header in the file with the one it should have. `*ret_is_torn`: the file ends in or
 * right behind a header that is not whole.
 */
static enum status check_header(const struct log_segments *segments, const char *path,
                                struct storage_file *file, uint64_t file_bytes, uint64_t first,
                                bool *ret_is_torn, struct error *error)
{
    unsigned char expected[HEADER_BYTES_MAX];
    unsigned char header[HEADER_BYTES_MAX] = {0};
    uint32_t expected_bytes = header_make(segments, first, expected);
    uint64_t got = 0;
    enum status status = file->ops->read_at(file, 0, header, sizeof(header), &got, error);
    if (status != STATUS_OK) {
        return status;
    }
    *ret_is_torn = false;
    if (got >= expected_bytes && memcmp(header, expected, expected_bytes) == 0) {
        return STATUS_OK;
    }
    bool has_magic = got >= 16 && memcmp(header, magic, sizeof(magic)) == 0;
    if (has_magic && get_u32(header + 8) > LOG_VERSION) {
        return error_set(error, STATUS_FATAL,
                         "%s: written by a newer version (log version %u, this one reads up to %u)",
                         path, (unsigned)get_u32(header + 8), LOG_VERSION);
    }
    uint32_t bytes = has_magic ? get_u32(header + 12) : 0;
    if (bytes >= NAME_OFFSET + 8 && bytes <= got && get_u64(header + 16) == first &&
        get_u64(header + bytes - 8) == XXH3_64bits(header, bytes - 8)) {
        return complain_of_header(segments, path, header, bytes, error);
    }
    if (file_bytes <= expected_bytes) {
        *ret_is_torn = true;
        return STATUS_OK;
    }
    return error_set(error, STATUS_FATAL, "%s: corrupt: the header at offset 0 is broken", path);
}

static enum status remove_segment(struct log_segments *segments, uint64_t first,
                                  struct error *error)
{
    char *path = segment_path(segments, first);
    if (!path) {
        return out_of_memory(segments, error);
    }
    const struct storage_ops *ops = segments->storage->ops;
    enum status status = ops->remove(segments->storage, path, error);
    if (status == STATUS_OK) {
        /* One by one, so that a crash never leaves a gap behind. */
        status = ops->sync_directory(segments->storage, segments->directory, error);
    }
    free(path);
    return status;
}

/* The last segment is removed where a crash came before its header was durable. */
static enum status drop_torn_segment(struct log_segments *segments, struct error *error)
{
    uint64_t first = segments->firsts[segments->count - 1];
    char *path = segment_path(segments, first);
    if (!path) {
        return out_of_memory(segments, error);
    }
    const struct storage_ops *ops = segments->storage->ops;
    struct storage_file *file = NULL;
    uint64_t bytes = 0;
    bool is_torn = false;
    enum status status = ops->open(segments->storage, path, &file, error);
    if (status == STATUS_OK) {
        status = ops->size(file, &bytes, error);
    }
    if (status == STATUS_OK) {
        status = check_header(segments, path, file, bytes, first, &is_torn, error);
    }
    ops->close(file);
    free(path);
    if (status == STATUS_OK && is_torn) {
        status = remove_segment(segments, first, error);
        segments->count--;
    }
    return status;
}

static enum status remove_spare(struct log_segments *segments, struct error *error)
{
    char *path = spare_path(segments);
    if (!path) {
        return out_of_memory(segments, error);
    }
    enum status status = segments->storage->ops->remove(segments->storage, path, error);
    free(path);
    return status;
}

enum status log_segments_list(struct log_segments *segments, struct error *error)
{
    struct listing listing = {.segments = segments};
    segments->count = 0;
    segments->has_spare = false;
    enum status status = remove_spare(segments, error);
    if (status == STATUS_OK) {
        status = segments->storage->ops->list(segments->storage, segments->directory, visit_name,
                                              &listing, error);
    }
    if (status == STATUS_OK && listing.has_failed) {
        return out_of_memory(segments, error);
    }
    if (status != STATUS_OK || segments->count == 0) {
        return status;
    }
    qsort(segments->firsts, segments->count, sizeof(*segments->firsts), compare_positions);
    if (segments->is_synced) {
        /* A process killed before it got here leaves names that a power loss would still undo. */
        status =
            segments->storage->ops->sync_directory(segments->storage, segments->directory, error);
    }
    return status == STATUS_OK ? drop_torn_segment(segments, error) : status;
}

static enum status open_current(struct log_segments *segments, struct error *error)
{
    if (segments->current) {
        segments->storage->ops->close(segments->current);
        segments->current = NULL;
    }
    char *path = segment_path(segments, segments->firsts[segments->count - 1]);
    if (!path) {
        return out_of_memory(segments, error);
    }
    enum status status =
        segments->storage->ops->open(segments->storage, path, &segments->current, error);
    free(path);
    return status;
}

static enum status sync_current(struct log_segments *segments, struct error *error)
{
    return segments->is_synced ? segments->storage->ops->sync(segments->current, error) : STATUS_OK;
}

/* Writes the header, durably, before the file can be taken for a segment. */
static enum status write_header(struct log_segments *segments, struct storage_file *file,
                                uint64_t first, struct error *error)
{
    unsigned char header[HEADER_BYTES_MAX];
    uint32_t bytes = header_make(segments, first, header);
    enum status status = file->ops->write_at(file, 0, header, bytes, error);
    if (status == STATUS_OK && segments->is_synced) {
        status = file->ops->sync(file, error);
    }
    segments->current_bytes = bytes;
    return status;
}

/* Gives the spare file a new header and then its new name. */
static enum status use_spare(struct log_segments *segments, uint64_t first, struct error *error)
{
    const struct storage_ops *ops = segments->storage->ops;
    struct storage_file *file = NULL;
    char *from = spare_path(segments);
    char *to = segment_path(segments, first);
    enum status status = from && to ? STATUS_OK : out_of_memory(segments, error);
    if (status == STATUS_OK) {
        status = ops->open(segments->storage, from, &file, error);
    }
    if (file) {
        status = write_header(segments, file, first, error);
    }
    ops->close(file);
    if (status == STATUS_OK) {
        status = ops->rename(segments->storage, from, to, error);
    }
    free(from);
    free(to);
    segments->has_spare = false;
    return status;
}

enum status log_segments_add(struct log_segments *segments, uint64_t first, struct error *error)
{
    assert(segments->count == 0 || segments->firsts[segments->count - 1] < first);
    if (!add_first(segments, first)) {
        return out_of_memory(segments, error);
    }
    bool is_reused = segments->has_spare;
    enum status status = is_reused ? use_spare(segments, first, error) : STATUS_OK;
    if (status == STATUS_OK) {
        status = open_current(segments, error);
    }
    if (segments->current && status == STATUS_OK && !is_reused) {
        status = write_header(segments, segments->current, first, error);
    }
    if (status == STATUS_OK && segments->is_synced) {
        status =
            segments->storage->ops->sync_directory(segments->storage, segments->directory, error);
    }
    return status;
}

enum status log_segments_resume(struct log_segments *segments, uint64_t bytes, struct error *error)
{
    enum status status = open_current(segments, error);
    if (!segments->current) {
        return status;
    }
    uint64_t file_bytes = 0;
    status = segments->current->ops->size(segments->current, &file_bytes, error);
    if (status == STATUS_OK && file_bytes > bytes) {
        status = segments->current->ops->truncate(segments->current, bytes, error);
        if (status == STATUS_OK) {
            status = sync_current(segments, error);
        }
    }
    segments->current_bytes = bytes;
    return status;
}

enum status log_segments_append(struct log_segments *segments, const struct byte_buffer *frame,
                                struct error *error)
{
    const struct storage_ops *ops = segments->storage->ops;
    enum status status = ops->write_at(segments->current, segments->current_bytes, frame->bytes,
                                       frame->length, error);
    crash_point(CRASH_COMMIT_FRAME_WRITTEN);
    if (status == STATUS_OK) {
        status = sync_current(segments, error);
    }
    segments->current_bytes += frame->length;
    return status;
}

static enum status keep_as_spare(struct log_segments *segments, uint64_t first, struct error *error)
{
    const struct storage_ops *ops = segments->storage->ops;
    char *from = segment_path(segments, first);
    char *to = spare_path(segments);
    enum status status = from && to ? ops->rename(segments->storage, from, to, error)
                                    : out_of_memory(segments, error);
    if (status == STATUS_OK) {
        status = ops->sync_directory(segments->storage, segments->directory, error);
    }
    free(from);
    free(to);
    segments->has_spare = status == STATUS_OK;
    return status;
}

enum status log_segments_trim(struct log_segments *segments, uint64_t log_position,
                              struct error *error)
{
    while (segments->count > 1 && segments->firsts[1] - 1 <= log_position) {
        uint64_t first = segments->firsts[0];
        enum status status = segments->has_spare ? remove_segment(segments, first, error)
                                                 : keep_as_spare(segments, first, error);
        crash_point(CRASH_LOG_TRIMMED);
        if (status != STATUS_OK) {
            return status;
        }
        segments->count--;
        memmove(segments->firsts, segments->firsts + 1,
                segments->count * sizeof(*segments->firsts));
    }
    return STATUS_OK;
}

enum status log_segments_read(const struct log_segments *segments, uint32_t index,
                              struct segment_reader *ret_reader, struct error *error)
{
    assert(index < segments->count);
    uint64_t first = segments->firsts[index];
    struct segment_reader reader = {
        .storage = segments->storage,
        .path = segment_path(segments, first),
        .next_position = first,
        .end_position = index + 1 == segments->count ? UINT64_MAX : segments->firsts[index + 1]};
    if (!reader.path) {
        return out_of_memory(segments, error);
    }
    const struct storage_ops *ops = segments->storage->ops;
    unsigned char header[HEADER_BYTES_MAX];
    reader.offset = header_make(segments, first, header);
    bool is_torn = false;
    enum status status = ops->open(segments->storage, reader.path, &reader.file, error);
    if (status == STATUS_OK && segments->is_synced) {
        /* A killed process may have left frames in memory only. They are about to be taken for
         * committed, so they must outlive a power loss from here on. */
        status = ops->sync(reader.file, error);
    }
    if (status == STATUS_OK) {
        status = ops->size(reader.file, &reader.bytes, error);
    }
    if (status == STATUS_OK) {
        status =
            check_header(segments, reader.path, reader.file, reader.bytes, first, &is_torn, error);
    }
    if (status == STATUS_OK && is_torn) {
        status = error_set(error, STATUS_FATAL, "%s: corrupt: the header at offset 0 is broken",
                           reader.path);
    }
    if (status != STATUS_OK) {
        segment_reader_close(&reader);
        return status;
    }
    *ret_reader = reader;
    return STATUS_OK;
}

/* The log's only segment has more than its header. */
static enum status has_frames(const struct log_segments *segments, bool *ret_has,
                              struct error *error)
{
    char *path = segment_path(segments, segments->firsts[0]);
    if (!path) {
        return out_of_memory(segments, error);
    }
    struct storage_file *file = NULL;
    uint64_t bytes = 0;
    unsigned char header[NAME_OFFSET] = {0};
    uint64_t got = 0;
    enum status status = segments->storage->ops->open(segments->storage, path, &file, error);
    if (status == STATUS_OK) {
        status = file->ops->size(file, &bytes, error);
    }
    if (status == STATUS_OK) {
        status = file->ops->read_at(file, 0, header, sizeof(header), &got, error);
    }
    *ret_has = status == STATUS_OK && got == sizeof(header) && bytes > get_u32(header + 12);
    segments->storage->ops->close(file);
    free(path);
    return status;
}

enum status log_segments_have_frames(struct storage *storage, const char *directory, bool *ret_have,
                                     struct error *error)
{
    struct log_segments segments;
    struct listing listing = {.segments = &segments};
    enum status status =
        log_segments_init(&segments, storage, directory, "", OUTPUT_JSONL, false, error);
    if (status != STATUS_OK) {
        return status;
    }
    status = storage->ops->list(storage, directory, visit_name, &listing, error);
    if (status == STATUS_OK && listing.has_failed) {
        status = out_of_memory(&segments, error);
    }
    bool have = segments.count > 1; /* The later ones were begun behind frames. */
    if (status == STATUS_OK && segments.count == 1) {
        status = has_frames(&segments, &have, error);
    }
    log_segments_release(&segments);
    if (status == STATUS_OK) {
        *ret_have = have;
    }
    return status;
}
