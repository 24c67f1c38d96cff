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

void side_topics_late_event(struct output_batch *outputs, const struct event_batch *batch,
                            uint32_t row);

/*
 * Writes the live events whose hash of (partition, ordinal) falls into `share` (0 to 1): an
 * unbiased sample that does not depend on what was decided.
 */
void side_topics_scored_events(struct event_batch *batch, const char *partition, double share,
                               uint64_t epoch, const char *numeric_profile);

#endif
