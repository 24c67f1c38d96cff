/* The topics that no stage writes: dead letters, diverted late events, sampled scored events. */
#ifndef PIPELINE_RUN_SIDE_TOPICS_H
#define PIPELINE_RUN_SIDE_TOPICS_H

#include "pipeline/event/event_batch.h"
#include "pipeline/event/rejection.h"
#include "pipeline/output/output.h"
#include "pipeline/source/source.h"

/* `time_ms` is the event time that the partition had reached, since the record has none. */
void side_topics_dead_letter(struct output_batch *outputs, const char *source_name,
                             const char *partition, int64_t time_ms, const struct raw_record *raw,
                             const struct rejection *rejection);

/* Writes the late events of the batch, after the stages: processed and diverted ones, no
 * duplicates. */
void side_topics_late_events(const struct event_batch *batch, const char *partition);

struct scored_events_options {
    const char *partition;
    double share; /* 0 to 1 */
    uint64_t feature_set_hash;
    uint64_t epoch;
    const char *numeric_profile;
};

/*
 * Writes the live events whose hash of (partition, ordinal) falls into the share: an unbiased
 * sample, since it does not depend on what was decided.
 */
void side_topics_scored_events(const struct event_batch *batch,
                               const struct scored_events_options *options);

#endif
