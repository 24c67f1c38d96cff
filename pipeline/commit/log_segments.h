/*
 * The log of commits as a row of files, each named by the log position of its first frame. A
 * segment is a header and frames (commit_frame.h) one behind the other; positions rise by one from
 * frame to frame and from segment to segment.
 *   header: "nudgelog", u32 version, u32 header bytes, u64 first log position, u8 output format,
 *           3 zero bytes, u32 length and bytes of the partition's name, u64 XXH3 of all before
 */
#ifndef PIPELINE_COMMIT_LOG_SEGMENTS_H
#define PIPELINE_COMMIT_LOG_SEGMENTS_H

#include "pipeline/commit/segment_reader.h"

#define LOG_VERSION 1u
#define PARTITION_NAME_BYTES_MAX 200u

struct log_segments {
    struct storage *storage; /* Borrowed. */
    char *directory;
    char *partition;
    uint32_t partition_bytes; /* At most PARTITION_NAME_BYTES_MAX. */
    enum output_format format;
    bool is_synced;
    uint64_t *firsts; /* Log positions that the segments begin with, rising. */
    uint32_t count;
    uint32_t capacity;
    struct storage_file *current; /* The last segment, open for appending; or NULL. */
    uint64_t current_bytes;
    bool has_spare; /* A segment that is no longer needed waits to be used again. */
};

/* Copies the strings. */
MUST_CHECK enum status log_segments_init(struct log_segments *segments, struct storage *storage,
                                         const char *directory, const char *partition,
                                         enum output_format format, bool is_synced,
                                         struct error *error);
void log_segments_release(struct log_segments *segments); /* Zeroed is a no-op. */

/*
 * Finds the segments, and removes a spare one. A last one whose header never got to the disk is
 * removed. STATUS_FATAL for a log of a newer version or a broken header, STATUS_INVALID for one of
 * another partition or format.
 */
MUST_CHECK enum status log_segments_list(struct log_segments *segments, struct error *error);

/* Begins a new segment, durably; frames are appended to it from now on. */
MUST_CHECK enum status log_segments_add(struct log_segments *segments, uint64_t first,
                                        struct error *error);

/* Goes on behind the first `bytes` bytes of the last segment; the rest is cut off, durably. */
MUST_CHECK enum status log_segments_resume(struct log_segments *segments, uint64_t bytes,
                                           struct error *error);

/* Appends a frame and makes it durable. */
MUST_CHECK enum status log_segments_append(struct log_segments *segments,
                                           const struct byte_buffer *frame, struct error *error);

/*
 * Removes the oldest segments while all their frames are at or before `log_position`. One is kept
 * as a spare: writing over a file costs less than half of making one longer.
 */
MUST_CHECK enum status log_segments_trim(struct log_segments *segments, uint64_t log_position,
                                         struct error *error);

/* Opens a segment for reading; its header is checked, its content made durable. */
MUST_CHECK enum status log_segments_read(const struct log_segments *segments, uint32_t index,
                                         struct segment_reader *ret_reader, struct error *error);

/* True where the log in `directory` may have a frame; reads names and lengths, and changes nothing.
 */
MUST_CHECK enum status log_segments_have_frames(struct storage *storage, const char *directory,
                                                bool *ret_have, struct error *error);

#endif
