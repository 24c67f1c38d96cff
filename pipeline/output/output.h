/*
 * Output records: topics described by tables, and a writer that encodes straight from a stage's
 * values to JSON or Avro. Fields are written in the order of the topic's table.
 */
#ifndef PIPELINE_OUTPUT_OUTPUT_H
#define PIPELINE_OUTPUT_OUTPUT_H

#include <stdbool.h>
#include <stdint.h>

#include "pipeline/base/hash.h"
#include "pipeline/base/status.h"
#include "pipeline/event/event_fields.h"

enum topic {
    TOPIC_ALERTS,
    TOPIC_PROMOTIONS,
    TOPIC_SESSIONS,
    TOPIC_DECISIONS,
    TOPIC_DEAD_LETTERS,
    TOPIC_LATE_EVENTS,
    TOPIC_SCORED_EVENTS,
    TOPIC_COUNT
};

enum output_type {
    OUTPUT_TEXT,
    OUTPUT_LONG,
    OUTPUT_DOUBLE,
    OUTPUT_FLOAT,
    OUTPUT_BOOL,
    OUTPUT_TIME, /* Milliseconds since 1970; Avro timestamp-millis; JSON "2019-10-01T00:00:00.000Z".
                  */
    OUTPUT_BYTES,        /* JSON: base64. */
    OUTPUT_RECORD,       /* `record` describes it. */
    OUTPUT_RECORD_ARRAY, /* Of `record`. */
    OUTPUT_FLOAT_ARRAY,  /* An element that is not finite: null in JSON, NaN in Avro. */
    OUTPUT_LONG_MAP,
    OUTPUT_TEXT_MAP,
};

struct output_schema;
struct output_field {
    const char *name;
    enum output_type type;
    bool is_nullable;
    enum privacy_class privacy;
    const char *doc;
    const struct output_schema *record;
};

struct output_schema {
    const char *name; /* Avro record name. */
    const char *doc;
    const struct output_field *fields;
    uint32_t field_count;
};

struct output_topic {
    const char *name; /* Folder or Kafka topic. */
    const struct output_schema *schema;
};

extern const struct output_topic output_topics[TOPIC_COUNT];

enum output_format { OUTPUT_JSONL, OUTPUT_AVRO };

#define OUTPUT_CAUSE_NONE UINT64_MAX

/* One finished record as the commit sees it: value bytes without framing. */
struct output_record {
    struct key128 key; /* The user's pseudonym, or zero. */
    int64_t time_ms;   /* Event time. */
    uint64_t cause;    /* Ordinal of the event that caused it; or OUTPUT_CAUSE_NONE. */
    const unsigned char *bytes;
    uint32_t length;
};

/* The records of a transaction, by topic, in order. One writer a topic. */
struct output_batch;

MUST_CHECK enum status output_batch_create(enum output_format format,
                                           struct output_batch **ret_batch, struct error *error);
void output_batch_destroy(struct output_batch *batch);
void output_batch_reset(struct output_batch *batch); /* Forgets all records, keeps memory. */
enum output_format output_batch_format(const struct output_batch *batch);
uint64_t output_batch_count(const struct output_batch *batch, enum topic topic);
uint64_t output_batch_bytes(const struct output_batch *batch);
/* Record `index` of a topic; valid until the next record of that topic is begun. */
struct output_record output_batch_get(const struct output_batch *batch, enum topic topic,
                                      uint64_t index);
/* True once memory ran out: the batch is useless until reset. Writers below then do nothing. */
bool output_batch_failed(const struct output_batch *batch);
/* What one topic may hold until reset; beyond it the batch fails. At first OUTPUT_BYTES_MAX. */
#define OUTPUT_BYTES_MAX (UINT64_C(1) << 30)
void output_batch_set_bytes_max(struct output_batch *batch, uint64_t bytes_max);

/*
 * Writing one record: begin, then each field in the order of the table, then end. Using the wrong
 * type or order is a bug (assert). A NaN or infinite double is written as null, so its field must
 * be nullable. Records of different topics may be open at the same time; of one topic, one.
 */
struct output_writer *output_begin(struct output_batch *batch, enum topic topic, struct key128 key,
                                   int64_t time_ms);
/* Which event, by its ordinal, caused the record at once; for a record that is open. */
void output_set_cause(struct output_writer *writer, uint64_t ordinal);
void output_end(struct output_writer *writer);

void output_null(struct output_writer *writer);
void output_text(struct output_writer *writer, struct text value);
void output_key(struct output_writer *writer, struct key128 value); /* OUTPUT_TEXT: 32 hex digits */
void output_id(struct output_writer *writer, uint64_t value);       /* OUTPUT_TEXT: 16 hex digits */
void output_long(struct output_writer *writer, int64_t value);
void output_double(struct output_writer *writer, double value); /* Shortest text that reads back. */
void output_float(struct output_writer *writer, float value);   /* Likewise, as a float. */
void output_bool(struct output_writer *writer, bool value);
void output_time(struct output_writer *writer, int64_t time_ms);
void output_bytes(struct output_writer *writer, const void *bytes, uint32_t length);
void output_float_array(struct output_writer *writer, const float *values, uint32_t count);
/* A nested record: begin, its fields, end. */
void output_record_begin(struct output_writer *writer);
void output_record_end(struct output_writer *writer);
/* An array of `count` records: array_begin, count times record_begin .. record_end, array_end. */
void output_array_begin(struct output_writer *writer, uint32_t count);
void output_array_end(struct output_writer *writer);
/* A map of `count` entries: map_begin, count times (map_name, output_long or output_text), map_end.
 */
void output_map_begin(struct output_writer *writer, uint32_t count);
void output_map_name(struct output_writer *writer, struct text name);
void output_map_end(struct output_writer *writer);

#endif
