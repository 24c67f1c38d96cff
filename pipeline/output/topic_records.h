/*
 * Writes the records of those topics that the task itself fills: each function knows the order of
 * its table. Texts with data NULL are written as null where the table allows it.
 */
#ifndef PIPELINE_OUTPUT_TOPIC_RECORDS_H
#define PIPELINE_OUTPUT_TOPIC_RECORDS_H

#include "pipeline/base/digest.h"
#include "pipeline/event/event_batch.h"
#include "pipeline/event/rejection.h"
#include "pipeline/output/output.h"

/* The fields topic, partition and ordinal, null where they are not known. */
void place_write(struct output_writer *writer, const struct event_places *places, uint64_t place);

/* Where a record stands in the input. */
struct input_place {
    struct text source;    /* File or topic. */
    struct text partition; /* Name of the partition. */
    uint64_t ordinal;
    uint64_t byte_position;
    uint64_t cause; /* For output_set_cause(): the ordinal, or what it is here where the record was
                       sent on from there. */
};

/*
 * A record that was rejected. `bytes` is what was read of it, or, where there is a `whole`, its
 * beginning; at most DEAD_LETTER_BYTES_MAX of them are kept; without `has_content` none, nor what
 * the detail quotes of them. Its event time is unknown: `time_ms` is the partition's newest event
 * time, or 0 where there is none, so that it depends on the input alone.
 */
void dead_letter_write(struct output_batch *batch, const struct input_place *place,
                       const struct rejection *rejection, struct text bytes,
                       const struct digest *whole, bool has_content, int64_t time_ms);

/* An event older than its watermark; `row` of `events`, which says whether it was diverted. */
void late_event_write(struct output_batch *batch, const struct event_batch *events, uint32_t row);

/* What all scored events of a run have in common. */
struct scored_event_context {
    uint64_t feature_set_hash;
    int64_t configuration_epoch;
    struct text numeric_profile;
    double sampling_rate;
};

/* A sampled event row with its features and scores. */
void scored_event_write(struct output_batch *batch, const struct scored_event_context *context,
                        const struct event_batch *events, uint32_t row);

#endif
