/*
 * Any bytes as a frame, and as the payload of one with a right checksum: decoding either refuses
 * them or gives entries that encode to the same bytes again.
 */
#include <assert.h>
#include <stdint.h>

#include "pipeline/commit/commit_frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ENTRIES_MAX 256u

static bool names_no_output_twice_or_empty(const struct commit_frame *frame, uint8_t count)
{
    uint8_t set = 0;
    for (int topic = 0; topic < TOPIC_COUNT; topic++) {
        set = (uint8_t)(set + (frame->output_bytes[topic] > 0));
    }
    return set == count;
}

static void decode(const uint8_t *payload, uint32_t length)
{
    struct commit_frame frame;
    struct error error = {""};
    if (commit_frame_decode(payload, length, &frame, &error) != STATUS_OK) {
        assert(error.message[0]);
        return;
    }
    static struct journal_entry journal[ENTRIES_MAX];
    static struct changelog_entry records[ENTRIES_MAX];
    struct commit_content content = {
        .position = frame.position, .journal = journal, .records = records};
    bool is_small = frame.journal_count <= ENTRIES_MAX && frame.record_count <= ENTRIES_MAX;
    struct commit_frame copy = frame;
    uint64_t bytes = 0;
    struct journal_entry entry;
    while (commit_frame_next_journal(&copy, &entry)) {
        bytes += entry.payload.length;
        if (is_small) {
            journal[content.journal_count++] = entry;
        }
    }
    struct changelog_entry record;
    while (commit_frame_next_record(&copy, &record)) {
        bytes += record.length;
        if (is_small) {
            records[content.record_count++] = record;
        }
    }
    assert(bytes <= length);
    if (is_small && names_no_output_twice_or_empty(&frame, payload[24])) {
        static struct byte_buffer again;
        enum status status = commit_frame_encode(&again, 1, &content, frame.output_bytes, &error);
        assert(status == STATUS_OK && again.length == FRAME_HEADER_BYTES + (size_t)length);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size >= FRAME_HEADER_BYTES) {
        struct frame_header header;
        if (frame_header_read(data, &header) && header.payload_bytes <= size - FRAME_HEADER_BYTES &&
            frame_header_matches(&header, data + FRAME_HEADER_BYTES)) {
            decode(data + FRAME_HEADER_BYTES, header.payload_bytes);
        }
    }
    decode(data, (uint32_t)size);
    return 0;
}
