/*
 * Bytes that grow at the end. A failure to grow sticks: later appends do nothing, and the owner
 * looks once, at the end, instead of after each append.
 */
#ifndef PIPELINE_BASE_BYTE_BUFFER_H
#define PIPELINE_BASE_BYTE_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

struct byte_buffer {
    unsigned char *bytes; /* Owned; NULL while nothing was appended. */
    size_t length;
    size_t capacity;
    size_t bytes_max; /* Growing beyond it fails. 0: only memory bounds it. */
    bool has_failed;  /* Memory ran out or the maximum was reached. */
};

/* Frees the memory and forgets a failure; the maximum stays. */
void byte_buffer_release(struct byte_buffer *buffer);

/* The slow half of byte_buffer_room(). */
unsigned char *byte_buffer_grow(struct byte_buffer *buffer, size_t bytes);

/*
 * Where the next `bytes` bytes go; NULL when the buffer has failed, now or before. The caller
 * writes there and adds what it used to `length`.
 */
static inline unsigned char *byte_buffer_room(struct byte_buffer *buffer, size_t bytes)
{
    if (buffer->capacity - buffer->length >= bytes && !buffer->has_failed) {
        return buffer->bytes + buffer->length;
    }
    return byte_buffer_grow(buffer, bytes);
}

static inline void byte_buffer_append(struct byte_buffer *buffer, const void *bytes, size_t length)
{
    unsigned char *room = length > 0 ? byte_buffer_room(buffer, length) : NULL;
    if (room) {
        memcpy(room, bytes, length);
        buffer->length += length;
    }
}

static inline void byte_buffer_append_byte(struct byte_buffer *buffer, unsigned char byte)
{
    unsigned char *room = byte_buffer_room(buffer, 1);
    if (room) {
        *room = byte;
        buffer->length++;
    }
}

#ifdef __cplusplus
}
#endif

#endif
