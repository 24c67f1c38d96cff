#include "pipeline/commit/segment_reader.h"

#include <stdlib.h>

#define CHUNK_BYTES 65536u
/* Frames further ahead than this are none of the log's, whatever their bytes look like. */
#define POSITIONS_AHEAD_MAX 1000000u

void segment_reader_close(struct segment_reader *reader)
{
    if (reader->file) {
        reader->storage->ops->close(reader->file);
    }
    free(reader->path);
    byte_buffer_release(&reader->payload);
    *reader = (struct segment_reader){0};
}

static enum status corrupt(const struct segment_reader *reader, const char *what,
                           struct error *error)
{
    return error_set(error, STATUS_FATAL, "%s: corrupt at offset %llu: %s", reader->path,
                     (unsigned long long)reader->offset, what);
}

static enum status read_at(struct segment_reader *reader, uint64_t offset, void *bytes,
                           uint64_t length, bool *ret_is_whole, struct error *error)
{
    uint64_t got = 0;
    enum status status =
        reader->file->ops->read_at(reader->file, offset, bytes, length, &got, error);
    *ret_is_whole = got == length;
    return status;
}

/* Reads the frame at `offset` into header and payload, if there is a whole one. */
static enum status read_frame(struct segment_reader *reader, uint64_t offset,
                              struct frame_header *ret_header, bool *ret_is_good,
                              struct error *error)
{
    *ret_is_good = false;
    uint64_t left = reader->bytes - offset;
    unsigned char bytes[FRAME_HEADER_BYTES];
    bool is_whole = false;
    if (left < FRAME_HEADER_BYTES) {
        return STATUS_OK;
    }
    enum status status = read_at(reader, offset, bytes, sizeof(bytes), &is_whole, error);
    if (status != STATUS_OK || !is_whole || !frame_header_read(bytes, ret_header)) {
        return status;
    }
    uint64_t ahead = ret_header->log_position - reader->next_position; /* Wraps: huge. */
    if (ret_header->payload_bytes > left - FRAME_HEADER_BYTES || ahead > POSITIONS_AHEAD_MAX) {
        return STATUS_OK;
    }
    reader->payload.length = 0;
    unsigned char *payload = byte_buffer_room(&reader->payload, ret_header->payload_bytes + 1);
    if (!payload) {
        return error_set(error, STATUS_FATAL, "%s: out of memory", reader->path);
    }
    status = read_at(reader, offset + FRAME_HEADER_BYTES, payload, ret_header->payload_bytes,
                     &is_whole, error);
    if (status == STATUS_OK) {
        *ret_is_good = is_whole && frame_header_matches(ret_header, payload);
    }
    return status;
}

/*
 * Only one frame is ever under way, and the one before it is durable, so a torn frame has no good
 * one behind it. If there is one, the bytes between were lost or changed after their commit.
 */
static enum status find_later_frame(struct segment_reader *reader, bool *ret_is_found,
                                    struct error *error)
{
    unsigned char chunk[CHUNK_BYTES];
    *ret_is_found = false;
    uint64_t at = reader->offset + 1;
    while (at + FRAME_HEADER_BYTES <= reader->bytes && !*ret_is_found) {
        uint64_t got = 0;
        enum status status =
            reader->file->ops->read_at(reader->file, at, chunk, sizeof(chunk), &got, error);
        if (status != STATUS_OK || got < FRAME_HEADER_BYTES) {
            return status;
        }
        uint64_t starts = got - FRAME_HEADER_BYTES + 1;
        uint64_t i = frame_header_find(chunk, (size_t)got);
        while (i < starts && !*ret_is_found) {
            struct frame_header header;
            status = read_frame(reader, at + i, &header, ret_is_found, error);
            if (status != STATUS_OK) {
                return status;
            }
            i++;
            i += frame_header_find(chunk + i, (size_t)(got - i));
        }
        at += starts;
    }
    return STATUS_OK;
}

static enum status end_or_corrupt(struct segment_reader *reader, bool *ret_is_end,
                                  struct error *error)
{
    if (reader->end_position != UINT64_MAX) {
        return corrupt(reader, "a frame is broken, and later segments follow", error);
    }
    bool is_found = false;
    enum status status = find_later_frame(reader, &is_found, error);
    if (status == STATUS_OK && is_found) {
        return corrupt(reader, "a frame is broken, and good ones follow", error);
    }
    *ret_is_end = true;
    return status;
}

enum status segment_reader_next(struct segment_reader *reader, struct commit_frame *ret_frame,
                                uint64_t *ret_log_position, bool *ret_is_end, struct error *error)
{
    *ret_is_end = false;
    if (reader->offset == reader->bytes || reader->next_position == reader->end_position) {
        *ret_is_end = true;
        return STATUS_OK;
    }
    struct frame_header header = {0};
    bool is_good = false;
    enum status status = read_frame(reader, reader->offset, &header, &is_good, error);
    if (status != STATUS_OK) {
        return status;
    }
    if (!is_good) {
        return end_or_corrupt(reader, ret_is_end, error);
    }
    if (header.log_position != reader->next_position) {
        return corrupt(reader, "frames are missing before this one", error);
    }
    struct error cause = {""};
    status = commit_frame_decode(reader->payload.bytes, header.payload_bytes, ret_frame, &cause);
    if (status != STATUS_OK) {
        return corrupt(reader, cause.message, error);
    }
    *ret_log_position = header.log_position;
    reader->offset += FRAME_HEADER_BYTES + (uint64_t)header.payload_bytes;
    reader->next_position++;
    return STATUS_OK;
}
