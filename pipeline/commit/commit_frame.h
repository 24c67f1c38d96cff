/*
 * The form of one commit in the log: a header and a payload, little-endian.
 *   header:  u32 magic, u32 payload bytes, u64 log position, u64 checksum
 *   payload: u64 ordinal, u64 bytes, u64 skip (where the input goes on)
 *            u8 topics, each: u8 length, name, u64 committed bytes of its output file
 *            u32 journal entries, each: u64 ordinal, i64 value, u8 kind, u32 length, payload
 *            u32 records, each: u64 id high, u64 id low, u8 kind, u32 length, bytes
 * The checksum is XXH3 (64 bits) of the payload, seeded with the log position and the length.
 */
#ifndef PIPELINE_COMMIT_COMMIT_FRAME_H
#define PIPELINE_COMMIT_COMMIT_FRAME_H

#include "pipeline/base/byte_buffer.h"
#include "pipeline/commit/commit_log.h"

#define FRAME_HEADER_BYTES 24u
#define FRAME_PAYLOAD_BYTES_MAX (1u << 30)

struct frame_header {
    uint64_t log_position;
    uint64_t checksum;
    uint32_t payload_bytes;
};

/* Puts the frame into `frame`, emptied first. STATUS_FATAL when it is too large or memory is out.
 */
MUST_CHECK enum status commit_frame_encode(struct byte_buffer *frame, uint64_t log_position,
                                           const struct commit_content *content,
                                           const uint64_t output_bytes[TOPIC_COUNT],
                                           struct error *error);

/* False where the bytes are no header, whatever comes behind them. */
bool frame_header_read(const unsigned char bytes[FRAME_HEADER_BYTES],
                       struct frame_header *ret_header);

/* Where the first thing that begins like a header stands; `length` where nothing does. */
size_t frame_header_find(const unsigned char *bytes, size_t length);

/* True where the payload is the one that the header was written with. */
bool frame_header_matches(const struct frame_header *header, const void *payload);

/* A decoded frame. It borrows the payload. */
struct commit_frame {
    struct input_position position;
    uint64_t output_bytes[TOPIC_COUNT];
    uint32_t journal_count; /* Left to take with next_journal. */
    uint32_t record_count;  /* Left to take with next_record. */
    const unsigned char *journal;
    const unsigned char *records;
};

/* Checks the whole payload. STATUS_FATAL, with what is wrong, where it has not that form. */
MUST_CHECK enum status commit_frame_decode(const unsigned char *payload, uint32_t length,
                                           struct commit_frame *ret_frame, struct error *error);

/* Take the entries one after the other; false at the end. */
bool commit_frame_next_journal(struct commit_frame *frame, struct journal_entry *ret_entry);
bool commit_frame_next_record(struct commit_frame *frame, struct changelog_entry *ret_entry);

#endif
