/*
 * The fields of one JSON object, in one pass, by simdjson (Langdale and Lemire: Parsing gigabytes
 * of JSON per second, 2019). The only C++ of the decoders stands behind this header.
 */
#ifndef PIPELINE_EVENT_JSON_READER_H
#define PIPELINE_EVENT_JSON_READER_H

#include <stddef.h>

#include "pipeline/base/arena.h"
#include "pipeline/event/field_value.h"

#ifdef __cplusplus
extern "C" {
#endif

struct json_reader; /* One thread at a time. */

enum json_result {
    JSON_OK,
    JSON_NOT_PARSED,
    JSON_BAD_UTF8,
    JSON_TOO_MANY, /* More members in the collected object than it may have. */
    JSON_NO_MEMORY,
};

/* The members of one object, without nulls; nested values as their JSON text. */
struct json_members {
    const struct text *texts; /* Arena. Name, value, name, value ... */
    uint32_t count;           /* Of pairs. */
};

/*
 * Looks for the `count` paths; a dot goes into an object, [2] into the third element of an array
 * and [name=word] into the first whose member `name` is that text. `collected`: name of a top-level
 * object whose members are collected, or NULL. Returns NULL when memory is exhausted.
 */
struct json_reader *json_reader_create(const char *const *paths, size_t count,
                                       const char *collected, uint32_t members_max);
void json_reader_destroy(struct json_reader *reader); /* NULL is a no-op. */

/*
 * Writes values[count]; what is not there or null is VALUE_MISSING, an object or array is its JSON
 * text, a number too large for any type is infinite. Of members of the same name the first counts;
 * others are passed over unread. Behind the bytes of `json` RAW_RECORD_PADDING more may be read.
 * Texts point into `json` or, where they had escapes, into the arena. On failure `detail` says what
 * is wrong, and at which byte where that is known.
 */
enum json_result json_reader_read(struct json_reader *reader, struct text json, struct arena *arena,
                                  struct field_value *values, struct json_members *ret_members,
                                  char *detail, size_t detail_bytes);

#ifdef __cplusplus
}
#endif

#endif
