/* How far a group is behind the end of its topic. */
#ifndef PIPELINE_KAFKA_KAFKA_LAG_H
#define PIPELINE_KAFKA_KAFKA_LAG_H

#include <stdio.h>

#include "pipeline/kafka/kafka_client.h"

/* A line a partition, and a sum. Blocks; the group is asked, not joined. */
MUST_CHECK enum status kafka_lag_print(const struct kafka_setup *setup, FILE *out,
                                       struct error *error);

#endif
