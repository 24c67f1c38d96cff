/* Whether what stands in a changelog is this application's, for `nudge topics check`. */
#ifndef PIPELINE_KAFKA_KAFKA_CONTENTS_H
#define PIPELINE_KAFKA_KAFKA_CONTENTS_H

#include "pipeline/kafka/kafka_topics.h"

/*
 * Looks at the first record of each partition of the changelog, and at what the group has
 * committed. STATUS_INVALID for records of another program, or of a group that is not this one. A
 * run refuses the same when it opens a partition. `observer` is of kafka_observer_create(). Blocks.
 */
MUST_CHECK enum status kafka_contents_check(const struct kafka_setup *setup, rd_kafka_t *observer,
                                            const struct kafka_topics *topics, uint32_t partitions,
                                            struct error *error);

#endif
