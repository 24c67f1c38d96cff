/*
 * Appends values in Avro's binary encoding (Avro 1.11 specification, "Binary Encoding") to a
 * buffer. Failures stick to the buffer.
 */
#ifndef PIPELINE_OUTPUT_AVRO_BYTES_H
#define PIPELINE_OUTPUT_AVRO_BYTES_H

#include <stdint.h>

#include "pipeline/base/byte_buffer.h"
#include "pipeline/base/text.h"

#define AVRO_LONG_BYTES_MAX 10

/* Zigzag, then seven bits a byte, lowest first. Writes to `bytes`, returns the length. */
uint32_t avro_put_long(unsigned char *bytes, int64_t value);

void avro_append_long(struct byte_buffer *avro, int64_t value);
/* Not finite: a NaN of always the same bits. */
void avro_append_double(struct byte_buffer *avro, double value);
void avro_append_float(struct byte_buffer *avro, float value);
void avro_append_bytes(struct byte_buffer *avro, const void *bytes, uint32_t length);
/* A string. Avro asks for UTF-8: bytes that are not become U+FFFD, as in JSON. */
void avro_append_text(struct byte_buffer *avro, struct text value);
/* An array of floats: one block and the end mark. */
void avro_append_floats(struct byte_buffer *avro, const float *values, uint32_t count);

#endif
