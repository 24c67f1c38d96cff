/*
 * Confluent's wire format: a zero byte, the schema's id as four bytes, most significant first, then
 * one Avro datum ("Schema Registry: Wire format" in their documentation).
 */
#ifndef PIPELINE_WIRE_CONFLUENT_H
#define PIPELINE_WIRE_CONFLUENT_H

#include <stdbool.h>
#include <stdint.h>

#include "pipeline/base/byte_buffer.h"
#include "pipeline/base/text.h"

#define CONFLUENT_HEADER_BYTES 5u

/* False: not of that form; `ret_datum` points into `bytes`. */
static inline bool confluent_split(struct text bytes, uint32_t *ret_id, struct text *ret_datum)
{
    if (!bytes.data || bytes.length < CONFLUENT_HEADER_BYTES || bytes.data[0] != 0) {
        return false;
    }
    const unsigned char *at = (const unsigned char *)bytes.data + 1;
    *ret_id = (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
    *ret_datum =
        (struct text){bytes.data + CONFLUENT_HEADER_BYTES, bytes.length - CONFLUENT_HEADER_BYTES};
    return true;
}

/* What stands before the datum of an output record. */
static inline void confluent_header(uint32_t id, unsigned char ret_bytes[CONFLUENT_HEADER_BYTES])
{
    ret_bytes[0] = 0;
    ret_bytes[1] = (unsigned char)(id >> 24);
    ret_bytes[2] = (unsigned char)(id >> 16);
    ret_bytes[3] = (unsigned char)(id >> 8);
    ret_bytes[4] = (unsigned char)id;
}

/* Appends header and datum; a failure sticks to the buffer. */
static inline void confluent_append(struct byte_buffer *buffer, uint32_t id, const void *datum,
                                    size_t length)
{
    unsigned char header[CONFLUENT_HEADER_BYTES];
    confluent_header(id, header);
    byte_buffer_append(buffer, header, sizeof(header));
    byte_buffer_append(buffer, datum, length);
}

#endif
