#include "pipeline/commit/commit_frame.h"

#include <xxhash.h>

#include "pipeline/base/little_endian.h"

#define FRAME_MAGIC 0x6d72664eu           /* "Nfrm" */
#define JOURNAL_HEADER_BYTES 21u          /* ordinal, value, kind, length */
#define RECORD_HEADER_BYTES 21u           /* id, kind, length */
#define KEPT_BYTES_MAX ((size_t)32 << 20) /* Of a buffer that one large commit has grown. */

static uint64_t checksum_of(uint64_t log_position, uint32_t payload_bytes, const void *payload)
{
    return XXH3_64bits_withSeed(payload, payload_bytes,
                                log_position ^ ((uint64_t)payload_bytes << 32));
}

static void append_u32(struct byte_buffer *buffer, uint32_t value)
{
    unsigned char bytes[4];
    put_u32(bytes, value);
    byte_buffer_append(buffer, bytes, sizeof(bytes));
}

static void append_u64(struct byte_buffer *buffer, uint64_t value)
{
    unsigned char bytes[8];
    put_u64(bytes, value);
    byte_buffer_append(buffer, bytes, sizeof(bytes));
}

static void append_outputs(struct byte_buffer *frame, const uint64_t output_bytes[TOPIC_COUNT])
{
    unsigned char count = 0;
    for (int topic = 0; topic < TOPIC_COUNT; topic++) {
        count = (unsigned char)(count + (output_bytes[topic] > 0));
    }
    byte_buffer_append_byte(frame, count);
    for (int topic = 0; topic < TOPIC_COUNT; topic++) {
        if (output_bytes[topic] > 0) {
            /* By name, so that a later version may add or reorder topics. */
            const char *name = output_topics[topic].name;
            byte_buffer_append_byte(frame, (unsigned char)strlen(name));
            byte_buffer_append(frame, name, strlen(name));
            append_u64(frame, output_bytes[topic]);
        }
    }
}

static void append_journal(struct byte_buffer *frame, const struct commit_content *content)
{
    append_u32(frame, content->journal_count);
    for (uint32_t i = 0; i < content->journal_count; i++) {
        const struct journal_entry *entry = &content->journal[i];
        append_u64(frame, entry->ordinal);
        append_u64(frame, (uint64_t)entry->value);
        byte_buffer_append_byte(frame, entry->kind);
        append_u32(frame, entry->payload.length);
        byte_buffer_append(frame, entry->payload.data, entry->payload.length);
    }
}

static void append_records(struct byte_buffer *frame, const struct commit_content *content)
{
    append_u32(frame, content->record_count);
    for (uint32_t i = 0; i < content->record_count; i++) {
        const struct changelog_entry *entry = &content->records[i];
        unsigned char *room = byte_buffer_room(frame, RECORD_HEADER_BYTES + (size_t)entry->length);
        if (!room) {
            return;
        }
        put_u64(room, entry->key.id.high);
        put_u64(room + 8, entry->key.id.low);
        room[16] = entry->key.kind;
        put_u32(room + 17, entry->length);
        if (entry->length > 0) {
            memcpy(room + RECORD_HEADER_BYTES, entry->bytes, entry->length);
        }
        frame->length += RECORD_HEADER_BYTES + (size_t)entry->length;
    }
}

enum status commit_frame_encode(struct byte_buffer *frame, uint64_t log_position,
                                const struct commit_content *content,
                                const uint64_t output_bytes[TOPIC_COUNT], struct error *error)
{
    if (frame->capacity > KEPT_BYTES_MAX || frame->has_failed) {
        byte_buffer_release(frame);
    }
    frame->length = 0;
    frame->bytes_max = (size_t)FRAME_HEADER_BYTES + FRAME_PAYLOAD_BYTES_MAX;
    unsigned char header[FRAME_HEADER_BYTES] = {0};
    byte_buffer_append(frame, header, sizeof(header));
    append_u64(frame, content->position.ordinal);
    append_u64(frame, content->position.bytes);
    append_u64(frame, content->position.skip);
    append_outputs(frame, output_bytes);
    append_journal(frame, content);
    append_records(frame, content);
    if (frame->has_failed) {
        return error_set(error, STATUS_FATAL,
                         "a commit of %u records is over 1 GiB, or memory is exhausted",
                         (unsigned)content->record_count);
    }
    uint32_t payload_bytes = (uint32_t)(frame->length - FRAME_HEADER_BYTES);
    put_u32(frame->bytes, FRAME_MAGIC);
    put_u32(frame->bytes + 4, payload_bytes);
    put_u64(frame->bytes + 8, log_position);
    put_u64(frame->bytes + 16,
            checksum_of(log_position, payload_bytes, frame->bytes + FRAME_HEADER_BYTES));
    return STATUS_OK;
}

bool frame_header_read(const unsigned char bytes[FRAME_HEADER_BYTES],
                       struct frame_header *ret_header)
{
    struct frame_header header = {.payload_bytes = get_u32(bytes + 4),
                                  .log_position = get_u64(bytes + 8),
                                  .checksum = get_u64(bytes + 16)};
    if (get_u32(bytes) != FRAME_MAGIC || header.payload_bytes > FRAME_PAYLOAD_BYTES_MAX) {
        return false;
    }
    *ret_header = header;
    return true;
}

size_t frame_header_find(const unsigned char *bytes, size_t length)
{
    const unsigned char first = FRAME_MAGIC & 0xff;
    for (size_t at = 0; at + FRAME_HEADER_BYTES <= length; at++) {
        const unsigned char *found = memchr(bytes + at, first, length - at);
        if (!found || (size_t)(found - bytes) + FRAME_HEADER_BYTES > length) {
            break;
        }
        at = (size_t)(found - bytes);
        if (get_u32(found) == FRAME_MAGIC) {
            return at;
        }
    }
    return length;
}

bool frame_header_matches(const struct frame_header *header, const void *payload)
{
    return checksum_of(header->log_position, header->payload_bytes, payload) == header->checksum;
}

/* What is left of a payload. */
struct cursor {
    const unsigned char *at;
    uint32_t left;
};

/* NULL where fewer bytes are left. */
static const unsigned char *take(struct cursor *cursor, uint32_t bytes)
{
    if (cursor->left < bytes) {
        return NULL;
    }
    const unsigned char *taken = cursor->at;
    cursor->at += bytes;
    cursor->left -= bytes;
    return taken;
}

static bool read_position(struct cursor *cursor, struct commit_frame *frame)
{
    const unsigned char *bytes = take(cursor, 24);
    if (!bytes) {
        return false;
    }
    frame->position = (struct input_position){
        .ordinal = get_u64(bytes), .bytes = get_u64(bytes + 8), .skip = get_u64(bytes + 16)};
    return true;
}

static int topic_named(const unsigned char *name, uint32_t length)
{
    int topic = 0;
    while (topic < TOPIC_COUNT &&
           !text_is((struct text){(const char *)name, length}, output_topics[topic].name)) {
        topic++;
    }
    return topic;
}

static enum status read_outputs(struct cursor *cursor, struct commit_frame *frame,
                                struct error *error)
{
    const unsigned char *count = take(cursor, 1);
    for (uint32_t i = 0; count && i < *count; i++) {
        const unsigned char *length = take(cursor, 1);
        const unsigned char *name = length ? take(cursor, *length) : NULL;
        const unsigned char *bytes = name ? take(cursor, 8) : NULL;
        if (!bytes) {
            return error_set(error, STATUS_FATAL, "its list of outputs is cut");
        }
        int topic = topic_named(name, *length);
        if (topic == TOPIC_COUNT || frame->output_bytes[topic] > 0) {
            return error_set(error, STATUS_FATAL, "it has an output \"%.*s\" %s", (int)*length,
                             (const char *)name,
                             topic == TOPIC_COUNT ? "that this version does not know" : "twice");
        }
        frame->output_bytes[topic] = get_u64(bytes);
    }
    return count ? STATUS_OK : error_set(error, STATUS_FATAL, "it has no list of outputs");
}

/* A list of entries, each a head that ends with the length of what follows it. */
static bool skip_list(struct cursor *cursor, uint32_t head_bytes, uint32_t *ret_count,
                      const unsigned char **ret_first)
{
    const unsigned char *count = take(cursor, 4);
    if (!count) {
        return false;
    }
    *ret_count = get_u32(count);
    *ret_first = cursor->at;
    for (uint32_t i = 0; i < *ret_count; i++) {
        const unsigned char *head = take(cursor, head_bytes);
        if (!head || !take(cursor, get_u32(head + head_bytes - 4))) {
            return false;
        }
    }
    return true;
}

enum status commit_frame_decode(const unsigned char *payload, uint32_t length,
                                struct commit_frame *ret_frame, struct error *error)
{
    struct cursor cursor = {payload, length};
    struct commit_frame frame = {0};
    if (!read_position(&cursor, &frame)) {
        return error_set(error, STATUS_FATAL, "it has no input position");
    }
    enum status status = read_outputs(&cursor, &frame, error);
    if (status != STATUS_OK) {
        return status;
    }
    if (!skip_list(&cursor, JOURNAL_HEADER_BYTES, &frame.journal_count, &frame.journal)) {
        return error_set(error, STATUS_FATAL, "its journal is cut");
    }
    if (!skip_list(&cursor, RECORD_HEADER_BYTES, &frame.record_count, &frame.records)) {
        return error_set(error, STATUS_FATAL, "its list of records is cut");
    }
    if (cursor.left > 0) {
        return error_set(error, STATUS_FATAL, "%u bytes follow its last record",
                         (unsigned)cursor.left);
    }
    *ret_frame = frame;
    return STATUS_OK;
}

bool commit_frame_next_journal(struct commit_frame *frame, struct journal_entry *ret_entry)
{
    if (frame->journal_count == 0) {
        return false;
    }
    const unsigned char *head = frame->journal;
    const unsigned char *payload = head + JOURNAL_HEADER_BYTES;
    *ret_entry = (struct journal_entry){
        .ordinal = get_u64(head),
        .value = (int64_t)get_u64(head + 8),
        .kind = head[16],
        .payload = {.data = (const char *)payload, .length = get_u32(head + 17)},
    };
    frame->journal = payload + ret_entry->payload.length;
    frame->journal_count--;
    return true;
}

bool commit_frame_next_record(struct commit_frame *frame, struct changelog_entry *ret_entry)
{
    if (frame->record_count == 0) {
        return false;
    }
    const unsigned char *head = frame->records;
    *ret_entry = (struct changelog_entry){
        .key = {.id = {.high = get_u64(head), .low = get_u64(head + 8)}, .kind = head[16]},
        .bytes = head + RECORD_HEADER_BYTES,
        .length = get_u32(head + 17),
    };
    frame->records = head + RECORD_HEADER_BYTES + ret_entry->length;
    frame->record_count--;
    return true;
}
