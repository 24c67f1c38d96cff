/* A table with a field of each type, and records of it, for the tests of writer and reader. */
#ifndef TEST_FAKES_OUTPUT_SAMPLE_H
#define TEST_FAKES_OUTPUT_SAMPLE_H

#include "pipeline/output/output.h"

#define SAMPLE_ENTRIES_MAX 8

struct sample_term {
    struct text name;
    float value; /* NaN: null. */
};

struct sample_entry {
    struct text name;
    struct text text;
    int64_t number;
};

struct sample {
    struct text text;
    int64_t number;
    double real;
    float small_real;
    bool flag;
    int64_t time_ms;
    struct text bytes;
    struct sample_term record;
    struct sample_term records[SAMPLE_ENTRIES_MAX];
    uint32_t record_count;
    float floats[SAMPLE_ENTRIES_MAX];
    uint32_t float_count;
    struct sample_entry longs[SAMPLE_ENTRIES_MAX];
    uint32_t long_count;
    struct sample_entry texts[SAMPLE_ENTRIES_MAX];
    uint32_t text_count;
    struct text maybe_text; /* data NULL: null */
    bool has_maybe_record;  /* Then it equals `record`. */
    struct key128 key;
    uint64_t id;
};

/* [TOPIC_COUNT], each with the sample's table. */
const struct output_topic *sample_topics(void);

/* The same values each time, some of each type. */
struct sample sample_full(void);

void sample_write(struct output_batch *batch, enum topic topic, const struct sample *sample);

#endif
