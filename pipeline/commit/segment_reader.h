/* Reads the frames of one segment of the log, and tells a torn end from corruption. */
#ifndef PIPELINE_COMMIT_SEGMENT_READER_H
#define PIPELINE_COMMIT_SEGMENT_READER_H

#include "pipeline/commit/commit_frame.h"
#include "pipeline/commit/storage.h"

/* Made by log_segments_read(). */
struct segment_reader {
    struct storage *storage; /* Borrowed. */
    struct storage_file *file;
    char *path;
    uint64_t offset;        /* Of the next frame, behind the last good one. */
    uint64_t bytes;         /* Of the file. */
    uint64_t next_position; /* Log position that the next frame must have. */
    uint64_t end_position;  /* What the next segment begins with; UINT64_MAX: this is the last one,
                               which may end in a torn frame. */
    struct byte_buffer payload;
};

void segment_reader_close(struct segment_reader *reader); /* Zeroed is a no-op. */

/*
 * The next frame and its log position; *ret_is_end instead, where no good one follows. What a
 * segment held before it was used again lies behind its last frame and is no more than an end. A
 * torn frame at the end of the last segment is an end; anything else that is not good is
 * STATUS_FATAL, with file and offset. The frame is valid until the next call.
 */
MUST_CHECK enum status segment_reader_next(struct segment_reader *reader,
                                           struct commit_frame *ret_frame,
                                           uint64_t *ret_log_position, bool *ret_is_end,
                                           struct error *error);

#endif
