#include "pipeline/source/byte_stream.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pipeline/base/hash.h"
#include "pipeline/source/gunzip.h"

/* What is read at a time where the caller does not bring the room itself. */
#define COMPRESSED_BYTES ((size_t)256 * 1024)

enum stream_coding { CODING_UNKNOWN, CODING_PLAIN, CODING_GZIP };

struct byte_stream {
    char *path;
    int descriptor; /* -1: a followed file that is between two lives. */
    bool is_standard_input;
    bool is_regular;
    bool is_followed;
    enum stream_coding coding;
    uint64_t file_bytes; /* Read from the descriptor so far, or where it was set to. */
    uint64_t output_bytes;
    struct gunzip *gunzip; /* NULL until a gzip is recognised. */
    unsigned char *input;  /* [COMPRESSED_BYTES], of gzip; and the first bytes of any stream. */
    size_t input_begin, input_end;
    bool input_has_ended;
    size_t head_bytes;
    char head[BYTE_STREAM_HEAD_BYTES]; /* What the stream begins with. */
};

static enum status fail_with_errno(const struct byte_stream *stream, enum status status,
                                   const char *what, struct error *error)
{
    return error_set(error, status, "%s: cannot %s: %s", byte_stream_name(stream), what,
                     strerror(errno));
}

static enum status open_descriptor(struct byte_stream *stream, struct error *error)
{
    stream->descriptor =
        stream->is_standard_input ? dup(STDIN_FILENO) : open(stream->path, O_RDONLY | O_CLOEXEC);
    if (stream->descriptor < 0) {
        return fail_with_errno(stream, STATUS_INVALID, "open", error);
    }
    struct stat info;
    if (fstat(stream->descriptor, &info) != 0) {
        return fail_with_errno(stream, STATUS_INVALID, "look at", error);
    }
    if (S_ISDIR(info.st_mode)) {
        return error_set(error, STATUS_INVALID, "%s: is a directory, expected a file",
                         byte_stream_name(stream));
    }
    stream->is_regular = S_ISREG(info.st_mode);
    if (stream->is_regular && !stream->is_standard_input) {
        (void)posix_fadvise(stream->descriptor, 0, 0, POSIX_FADV_SEQUENTIAL);
    }
    return STATUS_OK;
}

enum status byte_stream_open(const char *path, bool is_followed, struct byte_stream **ret_stream,
                             struct error *error)
{
    struct byte_stream *stream = calloc(1, sizeof(*stream));
    if (!stream) {
        return error_set(error, STATUS_FATAL, "%s: out of memory", path);
    }
    stream->descriptor = -1;
    stream->is_standard_input = strcmp(path, "-") == 0;
    stream->is_followed = is_followed && !stream->is_standard_input;
    stream->path = strdup(path);
    stream->input = malloc(COMPRESSED_BYTES);
    enum status status = STATUS_FATAL;
    if (!stream->path || !stream->input) {
        (void)error_set(error, status, "%s: out of memory", path);
        goto cleanup;
    }
    status = open_descriptor(stream, error);
    if (status != STATUS_OK) {
        goto cleanup;
    }
    *ret_stream = stream;
    return STATUS_OK;
cleanup:
    byte_stream_close(stream);
    return status;
}

void byte_stream_close(struct byte_stream *stream)
{
    if (!stream) {
        return;
    }
    if (stream->descriptor >= 0) {
        (void)close(stream->descriptor);
    }
    gunzip_destroy(stream->gunzip);
    free(stream->input);
    free(stream->path);
    free(stream);
}

const char *byte_stream_name(const struct byte_stream *stream)
{
    return stream->is_standard_input ? "standard input" : stream->path;
}

/* True where a read would not wait. */
static bool is_ready(const struct byte_stream *stream)
{
    struct pollfd question = {.fd = stream->descriptor, .events = POLLIN};
    return poll(&question, 1, 0) != 0;
}

/* read(2) as an event: bytes, wait or end. */
static enum status read_descriptor(struct byte_stream *stream, void *bytes, size_t room,
                                   bool may_block, size_t *ret_read, enum stream_event *ret_event,
                                   struct error *error)
{
    *ret_read = 0;
    if (!stream->is_regular && !may_block && !is_ready(stream)) {
        *ret_event = STREAM_WAIT;
        return STATUS_OK;
    }
    ssize_t count;
    do {
        count = read(stream->descriptor, bytes, room);
    } while (count < 0 && errno == EINTR);
    if (count < 0) {
        if (errno == EAGAIN || errno == EWOULDBLOCK) {
            *ret_event = STREAM_WAIT;
            return STATUS_OK;
        }
        return fail_with_errno(stream, STATUS_FATAL, "read", error);
    }
    stream->file_bytes += (uint64_t)count;
    *ret_read = (size_t)count;
    *ret_event = count > 0 ? STREAM_BYTES : STREAM_END;
    return STATUS_OK;
}

static void start_over(struct byte_stream *stream)
{
    gunzip_destroy(stream->gunzip);
    stream->gunzip = NULL;
    stream->coding = CODING_UNKNOWN;
    stream->file_bytes = 0;
    stream->output_bytes = 0;
    stream->input_begin = 0;
    stream->input_end = 0;
    stream->input_has_ended = false;
    stream->head_bytes = 0;
}

/* Keeps of what was read at `at` what belongs to the stream's beginning. */
static void keep_head(struct byte_stream *stream, uint64_t at, const void *bytes, size_t length)
{
    if (at == stream->head_bytes && at < BYTE_STREAM_HEAD_BYTES && length > 0) {
        size_t room = BYTE_STREAM_HEAD_BYTES - stream->head_bytes;
        size_t count = length < room ? length : room;
        memcpy(stream->head + at, bytes, count);
        stream->head_bytes += count;
    }
}

/* At the end of a followed file: was it cut, or does its name stand for another file by now? */
static enum status look_for_replacement(struct byte_stream *stream, enum stream_event *ret_event,
                                        struct error *error)
{
    *ret_event = STREAM_WAIT;
    struct stat opened;
    struct stat named;
    if (fstat(stream->descriptor, &opened) != 0) {
        return fail_with_errno(stream, STATUS_FATAL, "look at", error);
    }
    if (opened.st_size >= 0 && (uint64_t)opened.st_size < stream->file_bytes) {
        if (lseek(stream->descriptor, 0, SEEK_SET) != 0) {
            return fail_with_errno(stream, STATUS_FATAL, "rewind", error);
        }
        start_over(stream);
        *ret_event = STREAM_REPLACED;
        return STATUS_OK;
    }
    if (stat(stream->path, &named) != 0 ||
        (named.st_dev == opened.st_dev && named.st_ino == opened.st_ino)) {
        return STATUS_OK; /* Still the same, or moved away and not yet made anew. */
    }
    int next = open(stream->path, O_RDONLY | O_CLOEXEC);
    if (next < 0) {
        return STATUS_OK;
    }
    (void)close(stream->descriptor);
    stream->descriptor = next;
    start_over(stream);
    *ret_event = STREAM_REPLACED;
    return STATUS_OK;
}

/* Fills `input` where it is empty. STREAM_BYTES: there is at least one byte in it. */
static enum status fill_input(struct byte_stream *stream, bool may_block,
                              enum stream_event *ret_event, struct error *error)
{
    if (stream->input_begin < stream->input_end) {
        *ret_event = STREAM_BYTES;
        return STATUS_OK;
    }
    size_t count = 0;
    enum status status = read_descriptor(stream, stream->input, COMPRESSED_BYTES, may_block, &count,
                                         ret_event, error);
    if (status == STATUS_OK && *ret_event == STREAM_BYTES) {
        stream->input_begin = 0;
        stream->input_end = count;
    }
    return status;
}

/* Reads on until the first two bytes tell what the stream is. STREAM_BYTES: `coding` is known. */
static enum status recognise(struct byte_stream *stream, bool may_block,
                             enum stream_event *ret_event, struct error *error)
{
    size_t count = 0;
    enum status status = STATUS_OK;
    *ret_event = STREAM_BYTES;
    while (stream->input_end < 2) {
        status = read_descriptor(stream, stream->input + stream->input_end,
                                 COMPRESSED_BYTES - stream->input_end, may_block, &count, ret_event,
                                 error);
        if (status != STATUS_OK || *ret_event == STREAM_WAIT) {
            return status;
        }
        stream->input_end += count;
        if (*ret_event == STREAM_END) {
            break;
        }
        if (stream->input_end == 1 && stream->input[0] != 0x1f) {
            break;
        }
    }
    bool is_gzip = stream->input_end >= 2 && stream->input[0] == 0x1f && stream->input[1] == 0x8b;
    if (*ret_event == STREAM_END && (stream->input_end == 0 || stream->is_followed)) {
        return STATUS_OK; /* Empty so far; a followed file may still become either. */
    }
    *ret_event = STREAM_BYTES;
    if (!is_gzip) {
        stream->coding = CODING_PLAIN;
        return STATUS_OK;
    }
    stream->gunzip = gunzip_create();
    if (!stream->gunzip) {
        return error_set(error, STATUS_FATAL, "%s: out of memory", byte_stream_name(stream));
    }
    stream->coding = CODING_GZIP;
    return STATUS_OK;
}

static enum status read_plain(struct byte_stream *stream, void *bytes, size_t room, bool may_block,
                              size_t *ret_read, enum stream_event *ret_event, struct error *error)
{
    size_t kept = stream->input_end - stream->input_begin;
    if (kept == 0) {
        return read_descriptor(stream, bytes, room, may_block, ret_read, ret_event, error);
    }
    size_t count = kept < room ? kept : room;
    memcpy(bytes, stream->input + stream->input_begin, count);
    stream->input_begin += count;
    *ret_read = count;
    *ret_event = STREAM_BYTES;
    return STATUS_OK;
}

/* One step of gunzip over what `input` holds, which may be nothing: output may still be pending. */
static enum status step_gzip(struct byte_stream *stream, void *bytes, size_t room, size_t *ret_read,
                             enum stream_event *ret_event, struct error *error)
{
    size_t used = 0;
    enum gunzip_result result =
        gunzip_step(stream->gunzip, stream->input + stream->input_begin,
                    stream->input_end - stream->input_begin, bytes, room, &used, ret_read);
    stream->input_begin += used;
    if (result == GUNZIP_NO_MEMORY) {
        return error_set(error, STATUS_FATAL, "%s: out of memory", byte_stream_name(stream));
    }
    *ret_event = result == GUNZIP_DAMAGED ? STREAM_DAMAGED : STREAM_BYTES;
    return STATUS_OK;
}

static enum status read_gzip(struct byte_stream *stream, void *bytes, size_t room, bool may_block,
                             size_t *ret_read, enum stream_event *ret_event, struct error *error)
{
    for (;;) {
        enum stream_event filled = STREAM_END;
        enum status status = fill_input(stream, may_block, &filled, error);
        if (status == STATUS_OK) {
            status = step_gzip(stream, bytes, room, ret_read, ret_event, error);
        }
        if (status != STATUS_OK || *ret_read > 0 || *ret_event == STREAM_DAMAGED) {
            return status;
        }
        if (filled == STREAM_WAIT || (filled == STREAM_END && stream->is_followed)) {
            *ret_event = filled;
            return STATUS_OK;
        }
        if (filled == STREAM_END) {
            bool is_whole = gunzip_is_between_members(stream->gunzip) || stream->input_has_ended;
            *ret_event = is_whole ? STREAM_END : STREAM_TRUNCATED;
            stream->input_has_ended = true;
            return STATUS_OK;
        }
    }
}

enum status byte_stream_read(struct byte_stream *stream, void *bytes, size_t room, bool may_block,
                             size_t *ret_read, enum stream_event *ret_event, struct error *error)
{
    assert(room > 0);
    *ret_read = 0;
    enum status status = STATUS_OK;
    *ret_event = STREAM_BYTES;
    if (stream->coding == CODING_UNKNOWN) {
        status = recognise(stream, may_block, ret_event, error);
    }
    if (status == STATUS_OK && *ret_event == STREAM_BYTES) {
        status = stream->coding == CODING_GZIP
                     ? read_gzip(stream, bytes, room, may_block, ret_read, ret_event, error)
                     : read_plain(stream, bytes, room, may_block, ret_read, ret_event, error);
    }
    if (status == STATUS_OK && *ret_event == STREAM_END && stream->is_followed) {
        status = look_for_replacement(stream, ret_event, error);
    }
    keep_head(stream, stream->output_bytes, bytes, *ret_read);
    stream->output_bytes += *ret_read;
    return status;
}

bool byte_stream_head_hash(const struct byte_stream *stream, uint64_t bytes, uint64_t *ret_hash)
{
    if (bytes > stream->head_bytes) {
        return false;
    }
    *ret_hash = hash64((struct text){stream->head, (uint32_t)bytes});
    return true;
}

/* The beginning of a plain file of which more is jumped over. */
static enum status read_head(struct byte_stream *stream, struct error *error)
{
    while (stream->head_bytes < BYTE_STREAM_HEAD_BYTES) {
        ssize_t count =
            pread(stream->descriptor, stream->head + stream->head_bytes,
                  BYTE_STREAM_HEAD_BYTES - stream->head_bytes, (off_t)stream->head_bytes);
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count < 0) {
            return fail_with_errno(stream, STATUS_FATAL, "read", error);
        }
        if (count == 0) {
            break;
        }
        stream->head_bytes += (size_t)count;
    }
    return STATUS_OK;
}

/* Gets to `bytes` by reading. */
static enum status read_forward(struct byte_stream *stream, uint64_t bytes, struct error *error)
{
    assert(bytes >= stream->output_bytes);
    char scratch[16384];
    while (stream->output_bytes < bytes) {
        uint64_t left = bytes - stream->output_bytes;
        size_t count = 0;
        enum stream_event event = STREAM_END;
        enum status status = byte_stream_read(
            stream, scratch, left < sizeof(scratch) ? (size_t)left : sizeof(scratch), true, &count,
            &event, error);
        if (status != STATUS_OK) {
            return status;
        }
        if (event == STREAM_END || event == STREAM_WAIT || event == STREAM_REPLACED) {
            return error_set(error, STATUS_INVALID,
                             "%s: ends at byte %llu, before byte %llu, up to which it was read "
                             "earlier; expected the same file as then",
                             byte_stream_name(stream), (unsigned long long)stream->output_bytes,
                             (unsigned long long)bytes);
        }
    }
    return STATUS_OK;
}

enum status byte_stream_seek(struct byte_stream *stream, uint64_t bytes, uint64_t *ret_bytes,
                             struct error *error)
{
    *ret_bytes = bytes;
    if (bytes == stream->output_bytes) {
        return STATUS_OK;
    }
    if (stream->coding == CODING_UNKNOWN) {
        enum stream_event event = STREAM_END;
        enum status status = recognise(stream, true, &event, error);
        if (status != STATUS_OK) {
            return status;
        }
    }
    if (!stream->is_regular || stream->coding == CODING_GZIP) {
        return read_forward(stream, bytes, error);
    }
    struct stat info;
    if (fstat(stream->descriptor, &info) != 0) {
        return fail_with_errno(stream, STATUS_FATAL, "look at", error);
    }
    if ((uint64_t)info.st_size < bytes) {
        if (!stream->is_followed) {
            return error_set(error, STATUS_INVALID,
                             "%s: has %lld bytes, expected the %llu that were read of it earlier",
                             byte_stream_name(stream), (long long)info.st_size,
                             (unsigned long long)bytes);
        }
        *ret_bytes = 0;
    }
    enum status status = read_head(stream, error);
    if (status != STATUS_OK) {
        return status;
    }
    if (lseek(stream->descriptor, (off_t)*ret_bytes, SEEK_SET) < 0) {
        return fail_with_errno(stream, STATUS_FATAL, "seek in", error);
    }
    stream->input_begin = 0;
    stream->input_end = 0;
    stream->file_bytes = *ret_bytes;
    stream->output_bytes = *ret_bytes;
    return STATUS_OK;
}

double byte_stream_progress(const struct byte_stream *stream)
{
    struct stat info;
    if (!stream->is_regular || stream->is_followed || fstat(stream->descriptor, &info) != 0) {
        return -1.0;
    }
    if (info.st_size <= 0) {
        return 1.0;
    }
    uint64_t kept = stream->input_end - stream->input_begin;
    double share = (double)(stream->file_bytes - kept) / (double)info.st_size;
    return share > 1.0 ? 1.0 : share;
}
