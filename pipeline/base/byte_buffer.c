#include "pipeline/base/byte_buffer.h"

#include <stdint.h>
#include <stdlib.h>

#define FIRST_BYTES 4096u

void byte_buffer_release(struct byte_buffer *buffer)
{
    free(buffer->bytes);
    *buffer = (struct byte_buffer){.bytes_max = buffer->bytes_max};
}

unsigned char *byte_buffer_grow(struct byte_buffer *buffer, size_t bytes)
{
    size_t most = buffer->bytes_max ? buffer->bytes_max : SIZE_MAX / 2;
    if (buffer->has_failed || buffer->length > most || bytes > most - buffer->length) {
        buffer->has_failed = true;
        return NULL;
    }
    size_t needed = buffer->length + bytes;
    size_t capacity = buffer->capacity ? buffer->capacity : FIRST_BYTES;
    while (capacity < needed) {
        capacity *= 2;
    }
    capacity = capacity > most ? most : capacity;
    unsigned char *grown = realloc(buffer->bytes, capacity);
    if (!grown) {
        buffer->has_failed = true;
        return NULL;
    }
    buffer->bytes = grown;
    buffer->capacity = capacity;
    return grown + buffer->length;
}
