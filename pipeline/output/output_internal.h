/* What output_batch.c and output_writer.c share. */
#ifndef PIPELINE_OUTPUT_OUTPUT_INTERNAL_H
#define PIPELINE_OUTPUT_OUTPUT_INTERNAL_H

#include "pipeline/base/arena.h"
#include "pipeline/base/byte_buffer.h"
#include "pipeline/output/output.h"

/* Records within records, maps and arrays of a topic, its own record included. */
#define OUTPUT_DEPTH_MAX 8

/* A topic's table made ready for writing: what stands before a field's value is put together. */
#define PREFIX_BYTES 32u
struct plan_field {
    const char *prefix; /* JSON: {"name": or ,"name": in at least PREFIX_BYTES bytes */
    uint32_t prefix_length;
    uint8_t type; /* enum output_type */
    uint8_t is_nullable;
    const struct plan *record; /* Of OUTPUT_RECORD and OUTPUT_RECORD_ARRAY. */
};

struct plan {
    const struct plan_field *fields;
    uint32_t field_count;
};

enum frame_kind { FRAME_RECORD, FRAME_ARRAY, FRAME_MAP };

struct frame {
    const struct plan *plan; /* Of the record, or of the array's records. */
    uint32_t next;           /* FRAME_RECORD: the field that comes next. */
    uint32_t left;           /* FRAME_ARRAY, FRAME_MAP: entries still to come. */
    uint8_t kind;            /* enum frame_kind */
    uint8_t value_type;      /* FRAME_MAP: enum output_type of the values. */
    bool is_first;           /* FRAME_ARRAY, FRAME_MAP: nothing was written yet. */
    bool is_named;           /* FRAME_MAP: a name was written, its value comes next. */
};

struct record_entry {
    struct key128 key;
    int64_t time_ms;
    uint64_t cause;
    size_t start;
    uint32_t length;
};

struct output_writer {
    struct byte_buffer bytes; /* Of all records of the topic, one after the other. */
    struct frame frames[OUTPUT_DEPTH_MAX];
    uint32_t depth; /* 0: no record is open. */
    bool is_avro;
    const struct plan *plan;
    struct byte_buffer entries; /* struct record_entry, one a finished record. */
    struct record_entry open;   /* The record being written. */
};

struct output_batch {
    struct output_writer writers[TOPIC_COUNT];
    struct arena plans;
    enum output_format format;
};

/* As output_batch_create(), for other tables than output_topics: [TOPIC_COUNT], for tests. */
MUST_CHECK enum status output_batch_create_for(const struct output_topic *topics,
                                               enum output_format format,
                                               struct output_batch **ret_batch,
                                               struct error *error);

#endif
