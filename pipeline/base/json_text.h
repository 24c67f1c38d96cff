/*
 * Appends JSON (RFC 8259) to a buffer: the one place that escapes. Failures stick to the buffer.
 */
#ifndef PIPELINE_BASE_JSON_TEXT_H
#define PIPELINE_BASE_JSON_TEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "pipeline/base/byte_buffer.h"
#include "pipeline/base/text.h"

/* `value` between quotes, escaped. Bytes that are not UTF-8 become U+FFFD. */
void json_append_text(struct byte_buffer *json, struct text value);

/* A comma where one is due (not after '{' or '[', nor at the start), then the name and a colon. */
void json_append_name(struct byte_buffer *json, const char *name);

/* The comma before an element of an array, where one is due. */
void json_append_separator(struct byte_buffer *json);

/* As it is: a bracket, or a piece that is JSON already. */
void json_append_raw(struct byte_buffer *json, const char *terminated);

void json_append_long(struct byte_buffer *json, int64_t value);
/* The shortest text that reads back; null for NaN and infinity. */
void json_append_double(struct byte_buffer *json, double value);
void json_append_float(struct byte_buffer *json, float value);
void json_append_bool(struct byte_buffer *json, bool value);
void json_append_null(struct byte_buffer *json);
/* Milliseconds since 1970 as "2019-10-01T00:00:00.000Z". */
void json_append_time(struct byte_buffer *json, int64_t time_ms);
/* Base64 (RFC 4648, with padding) between quotes. */
void json_append_bytes(struct byte_buffer *json, const void *bytes, uint32_t length);

#endif
