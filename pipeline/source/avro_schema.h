/*
 * An Avro schema as a tree made for reading data by it (Apache Avro 1.11 specification). Avro C
 * parses and checks the schema; it forgets logical types and aliases, which are looked up beside
 * it.
 */
#ifndef PIPELINE_SOURCE_AVRO_SCHEMA_H
#define PIPELINE_SOURCE_AVRO_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pipeline/base/status.h"
#include "pipeline/base/text.h"

enum avro_kind {
    AVRO_KIND_NULL,
    AVRO_KIND_BOOLEAN,
    AVRO_KIND_INT,
    AVRO_KIND_LONG,
    AVRO_KIND_FLOAT,
    AVRO_KIND_DOUBLE,
    AVRO_KIND_BYTES,
    AVRO_KIND_STRING,
    AVRO_KIND_FIXED,
    AVRO_KIND_ENUM,
    AVRO_KIND_ARRAY,
    AVRO_KIND_MAP,
    AVRO_KIND_UNION,
    AVRO_KIND_RECORD,
};

enum avro_logical { AVRO_PLAIN, AVRO_TIMESTAMP_MILLIS, AVRO_TIMESTAMP_MICROS };

/* The commonest types, which are passed over without looking further. */
enum avro_quick {
    AVRO_QUICK_NONE,
    AVRO_QUICK_LONG,  /* int, long */
    AVRO_QUICK_BYTES, /* bytes, string */
    AVRO_QUICK_NULL_OR_LONG,
    AVRO_QUICK_NULL_OR_BYTES,
};

struct avro_node {
    enum avro_kind kind;
    uint8_t quick;       /* enum avro_quick */
    uint8_t null_branch; /* Of AVRO_QUICK_NULL_OR_...: 0 or 1. */
    enum avro_logical logical;
    uint32_t count;                 /* Of fields, branches or symbols; bytes of a fixed. */
    const struct avro_node **nodes; /* [count] of a record or union; one of an array or map. */
    const struct text *names;       /* [count] of a record's fields or an enum's symbols. */
    struct avro_names {
        const struct text *items;
        uint32_t count;
    } * aliases; /* [count] of a record's fields. */
};

struct avro_schema;

/* `name` stands for the file in messages. STATUS_INVALID for what is no schema of a record. */
MUST_CHECK enum status avro_schema_compile(const char *name, const char *json, size_t length,
                                           struct avro_schema **ret_schema, struct error *error);
void avro_schema_release(struct avro_schema *schema); /* NULL is a no-op. */

/* A record; lives as long as the schema. */
const struct avro_node *avro_schema_root(const struct avro_schema *schema);

/* Where binary data are read; `next` moves on only as far as they are there. */
struct avro_cursor {
    const unsigned char *next;
    const unsigned char *end;
};

/* All readers return false at the end of the data and for what no writer writes. */
bool avro_read_long_slowly(struct avro_cursor *cursor, int64_t *ret_value);

static inline bool avro_read_long(struct avro_cursor *cursor, int64_t *ret_value)
{
    const unsigned char *at = cursor->next;
    if (at < cursor->end && *at < 0x80) {
        *ret_value = (int64_t)(*at >> 1) ^ -(int64_t)(*at & 1);
        cursor->next = at + 1;
        return true;
    }
    return avro_read_long_slowly(cursor, ret_value);
}

static inline bool avro_read_bytes(struct avro_cursor *cursor, struct text *ret_bytes)
{
    int64_t length = 0;
    if (!avro_read_long(cursor, &length) || length < 0 || length > cursor->end - cursor->next ||
        length > UINT32_MAX) {
        return false;
    }
    *ret_bytes = (struct text){(const char *)cursor->next, (uint32_t)length};
    cursor->next += length;
    return true;
}

static inline bool avro_skip_bytes(struct avro_cursor *cursor, uint32_t length)
{
    if (length > cursor->end - cursor->next) {
        return false;
    }
    cursor->next += length;
    return true;
}

/* Reads the branch of AVRO_QUICK_NULL_OR_...; false where it is neither. */
static inline bool avro_read_is_there(struct avro_cursor *cursor, uint8_t null_branch,
                                      bool *ret_is_there)
{
    if (cursor->next == cursor->end || *cursor->next > 2 || *cursor->next == 1) {
        return false;
    }
    *ret_is_there = *cursor->next >> 1 != null_branch;
    cursor->next++;
    return true;
}

/* Passes over one datum. Nesting deeper than 64 is refused. */
bool avro_skip_datum(struct avro_cursor *cursor, const struct avro_node *node);

#endif
